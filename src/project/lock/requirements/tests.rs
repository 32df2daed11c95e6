use serde_json::json;

use super::*;
use crate::words::env::Env;

fn wanted<'a>(categories: &[&str]) -> Wanted<'a> {
    let categories = categories.iter().map(|&name| name.to_owned()).collect();
    let is_directory = &|path: &str| !path.contains("://") && path.strip_suffix(".zip").is_none();
    Wanted { categories, hashes: false, markers: true, sources: false, mirror: None, is_directory }
}

fn of(lock: &Value, wanted: &Wanted<'_>) -> Result<Requirements> {
    of_lock(lock.to_string().as_bytes(), "Pipfile.lock", None, wanted)
}

fn pipfile(text: &str) -> Pipfile {
    Pipfile::parse(text.as_bytes(), "Pipfile", &Env::default()).expect("a Pipfile").0
}

fn line(entry: &Value) -> String {
    let lock = json!({"default": {"a": entry}});
    of(&lock, &wanted(&["default"])).expect("read").lines.remove(0)
}

#[test]
fn an_entry_is_the_line_that_pipenv_prints() {
    for (entry, expected) in [
        (json!({"version": "==1.12.3", "extras": ["azure", "x"]}), "a[azure,x]==1.12.3"),
        (json!({"version": "*"}), "a"),
        (json!("1.0"), "a==1.0"),
        (json!("*"), "a"),
        (json!({"version": "==1", "markers": "python_version >= '3.7'"}), "a==1; python_version >= '3.7'"),
        (json!({"version": "==1", "markers": null}), "a==1"),
        (json!({"file": "https://f.example/f.zip", "hashes": ["sha256:3"]}), "https://f.example/f.zip"),
        (json!({"path": ".", "editable": true, "markers": "os_name=='posix'"}), "-e . ; os_name=='posix'"),
        (json!({"path": "./x.zip", "editable": true}), "./x.zip"),
        (
            json!({"git": "https://u:${PW}@git.example/g.git@v2", "ref": "abc", "subdirectory": "s", "extras": ["e"]}),
            "a[e] @ git+https://u:${PW}@git.example/g.git@abc#subdirectory=s",
        ),
        (
            json!({"git": "git+ssh://git@git.example/g.git", "ref": null}),
            "a @ git+ssh://git@git.example/g.git",
        ),
        (json!({"hg": "https://hg.example/g@v1"}), "a @ hg+https://hg.example/g@v1"),
        (
            json!({"git": "https://git.example/g.git", "ref": "abc", "editable": true, "subdirectory": "q"}),
            "-e git+https://git.example/g.git@abc#egg=a&subdirectory=q",
        ),
        (json!({"git": "file:///x/g", "ref": "abc"}), "-e git+file:///x/g@abc#egg=a"),
    ] {
        assert_eq!(line(&entry), expected, "{entry}");
    }
}

/// Each is a line that pip refuses or takes for something else when it is pipenv's.
#[test]
fn where_pip_does_not_take_pipenvs_line_ours_is_one_it_takes() {
    for (entry, expected) in [
        // pipenv: `a @ git+git@abc`, without the repository.
        (
            json!({"git": "git@git.example:g/p.git", "ref": "abc"}),
            "a @ git+ssh://git@git.example/g/p.git@abc",
        ),
        // pipenv: without the marker, so that it is installed everywhere.
        (
            json!({"git": "https://git.example/g.git", "ref": "v1", "markers": "os_name == 'nt'"}),
            "a @ git+https://git.example/g.git@v1 ; os_name == 'nt'",
        ),
        // pipenv: `#egg=a&subdirectory=q[e]`, a directory of that name.
        (
            json!({"git": "https://git.example/g.git", "editable": true, "subdirectory": "q", "extras": ["e"]}),
            "-e git+https://git.example/g.git#egg=a&subdirectory=q",
        ),
        // pipenv: `a==1; os_name == 'nt'; python_version > '3'`, which is no marker.
        (
            json!({"version": "==1", "os_markers": "os_name == 'nt' or os_name == 'x'", "markers": "python_version > '3'"}),
            "a==1; python_version > '3' and (os_name == 'nt' or os_name == 'x')",
        ),
        // pipenv: without the condition.
        (json!({"version": "==1", "sys_platform": "== 'linux'"}), "a==1; sys_platform == 'linux'"),
        // pipenv: `a1.0`.
        (json!({"version": "1.0"}), "a==1.0"),
    ] {
        assert_eq!(line(&entry), expected, "{entry}");
    }
}

#[test]
fn a_package_of_two_categories_stands_where_it_came_first_as_it_came_last() {
    let lock = json!({"_meta": {}, "default": {"r": "1", "both": "1"}, "develop": {"both": "2", "d": "1"}});
    let lines = |categories: &[&str]| of(&lock, &wanted(categories)).expect("read").lines;
    assert_eq!(lines(&["develop", "default"]), ["both==1", "d==1", "r==1"]);
    assert_eq!(lines(&["default", "develop"]), ["r==1", "both==2", "d==1"]);
    assert_eq!(lines(&["default"]), ["r==1", "both==1"]);
    assert_eq!(
        of(&lock, &wanted(&["docs"])).expect_err("unknown").report(),
        "Pipfile.lock has no category \"docs\"\n  help: its categories: default, develop"
    );
    assert_eq!(
        of(&lock, &wanted(&["_meta"])).expect_err("unknown").report(),
        "Pipfile.lock has no category \"_meta\"\n  help: its categories: default, develop"
    );
}

#[test]
fn sources_come_first_with_their_variables_for_pip_to_expand() {
    let source = |url: &str| json!({"name": "x", "url": url, "verify_ssl": true});
    let public = super::super::source::public_index();
    let urls = ["https://${U}:$PW@index.example/simple", &public, "https://u:canary@b.example/$1/simple"];
    let lock = json!({"_meta": {"sources": urls.map(source)}, "default": {}});
    let mut all = Wanted { sources: true, ..wanted(&["default"]) };
    let found = of(&lock, &all).expect("read");
    assert_eq!(
        found.lines,
        [
            "-i https://${U}:${PW}@index.example/simple".to_owned(),
            format!("--extra-index-url {public}"),
            "--extra-index-url https://u:canary@b.example/$1/simple".to_owned(),
        ]
    );
    assert_eq!(
        found.warnings.0,
        [
            "source 3 has a password in its URL, and so have these lines; a variable (${NAME}) would keep it out"
        ]
    );
    all.mirror = Some("https://m.example/simple");
    assert_eq!(
        of(&lock, &all).expect("read").lines,
        [
            "-i https://m.example/simple",
            "--extra-index-url https://${U}:${PW}@index.example/simple",
            "--extra-index-url https://u:canary@b.example/$1/simple",
        ]
    );
}

#[test]
fn hashes_and_markers_are_a_choice_and_what_pip_does_otherwise_is_said() {
    let lock = json!({"default": {
        "a": {"version": "==1", "hashes": ["sha256:1", "sha256:2"], "markers": "os_name == 'posix'"},
        "b": {"version": "==1"},
        "g": {"git": "https://git.example/g.git", "ref": "v1", "editable": true, "markers": "os_name == 'nt'"},
    }});
    let mut all = Wanted { hashes: true, ..wanted(&["default"]) };
    let found = of(&lock, &all).expect("read");
    assert_eq!(
        found.lines,
        [
            "a==1; os_name == 'posix' --hash=sha256:1 --hash=sha256:2",
            "b==1",
            "-e git+https://git.example/g.git@v1#egg=g",
        ]
    );
    assert_eq!(
        found.warnings.0,
        [
            "b has no hashes: beside lines that have some, pip refuses it",
            "g has no hashes: beside lines that have some, pip refuses it",
            "g: pip passes over the marker of an editable requirement",
        ]
    );
    (all.hashes, all.markers) = (false, false);
    let found = of(&lock, &all).expect("read");
    assert_eq!(found.lines[..2], ["a==1", "b==1"]);
    assert_eq!(found.warnings.0, [""; 0]);
}

#[test]
fn with_a_pipfile_only_packages_it_names_are_listed_in_any_spelling() {
    let lock =
        json!({"default": {"zope-x": "1", "sub": "1"}, "develop": {"d": "1"}, "docs": {"s": "1", "t": "1"}});
    let pipfile = pipfile("[packages]\nZope_X = '*'\n[dev-packages]\nsub = '*'\n[docs]\ns = '*'");
    let lines = |categories: &[&str]| {
        of_lock(lock.to_string().as_bytes(), "Pipfile.lock", Some(&pipfile), &wanted(categories))
            .expect("read")
            .lines
    };
    assert_eq!(lines(&["default"]), ["zope-x==1"]);
    assert_eq!(lines(&["develop"]), [""; 0]);
    assert_eq!(lines(&["docs"]), ["s==1"]);
}

#[test]
fn a_pipfile_gives_its_own_specifiers() {
    let pipfile = pipfile(
        "[[source]]\nname = 'x'\nurl = 'https://$U@index.example/simple'\n[packages]\nrequests = '*'\nZope_x = '>=1'\n\
        a = {version = '1.0', extras = ['x', 'y'], markers = \"os_name=='posix'\", sys_platform = \"== 'linux'\"}\n\
        g = {git = 'https://git.example/g.git', ref = 'v1', subdirectory = 's'}\np = {path = '.', editable = true}\n\
        bare = '1.2'\n[dev-packages]\nd = '*'\n[docs]\ns = '~=2'\n[scripts]\nt = 'x'",
    );
    let lines = |wanted: &Wanted<'_>| of_pipfile(&pipfile, "Pipfile", wanted).expect("read").lines;
    assert_eq!(
        lines(&Wanted { sources: true, ..wanted(&["develop", "default"]) }),
        [
            "-i https://${U}@index.example/simple",
            "d",
            "requests",
            "Zope_x>=1",
            "a[x,y]==1.0; os_name=='posix' and sys_platform == 'linux'",
            "g @ git+https://git.example/g.git@v1#subdirectory=s",
            "-e .",
            "bare==1.2",
        ]
    );
    assert_eq!(lines(&wanted(&["docs"])), ["s~=2"]);
    assert_eq!(
        of_pipfile(&pipfile, "Pipfile", &wanted(&["scripts"])).expect_err("no category").report(),
        "Pipfile has no category \"scripts\"\n  help: its categories: default, develop, docs"
    );
}

#[test]
fn options_and_lines_hidden_in_texts_are_refused() {
    let hidden = [
        json!({"default": {"a": {"version": "==1\n--index-url https://evil.example"}}}),
        json!({"default": {"a": {"version": "==1 --index-url https://evil.example"}}}),
        json!({"default": {"a": {"version": "==1", "markers": "os_name == 'posix' --config-settings x=y"}}}),
        json!({"default": {"--index-url": {"version": "*"}}}),
        json!({"default": {"a": {"path": "--requirement=other.txt"}}}),
        json!({"default": {"a": {"git": "https://git.example/a.git", "ref": "v1\r\nevil"}}}),
        json!({"_meta": {"sources": [{"url": "https://a.example/simple --extra-index-url https://evil.example"}]}, "default": {}}),
    ];
    for lock in hidden {
        let all = Wanted { sources: true, ..wanted(&["default"]) };
        let error = of(&lock, &all).expect_err("refused");
        assert!(error.kind() == Kind::Lock && !error.report().contains("evil"), "{}", error.report());
    }
}

#[test]
fn what_is_wrong_is_named() {
    let report = |lock: &Value| of(lock, &wanted(&["default"])).expect_err("wrong").report();
    assert_eq!(
        report(&json!({"default": {"a": 3}})),
        "a of Pipfile.lock is wrong\n  because: it is a number, expected an object"
    );
    assert_eq!(
        report(&json!({"default": {"a": {"version": 3}}})),
        "a of Pipfile.lock is wrong\n  because: version is a number, expected a string"
    );
    let damaged = of_lock(b"{", "Pipfile.lock", None, &wanted(&[])).expect_err("damaged").report();
    assert!(damaged.starts_with("Pipfile.lock is not JSON: it ends too early"), "{damaged}");
}
