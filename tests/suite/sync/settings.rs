//! Where the project, its settings and its files come from: variables, `.env`, `pylock.toml`.

use crate::support::{
    files,
    index::{answer, index},
    lock::Lock,
    package::{Package, greeter, noise},
    program::script,
    project::Project,
    server::{Server, reply},
};
use serde_json::json;

fn demo() -> Package {
    Package::simple("demo", "1.0")
}

#[test]
fn pipenv_pipfile_names_the_project() {
    let project = Project::with_wheels(&[demo()]);
    project.write("other/Pipfile.lock", Lock::new().package(&demo()).0.to_string());
    std::fs::remove_file(project.dir().join("Pipfile.lock")).expect("removed");
    let mut command = project.command(&["sync", "--find-links", "../wheels"]);
    let run = project.finish(command.env("PIPENV_PIPFILE", project.path("other/Pipfile")));
    run.says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(script(&project.path("other/.venv/bin/demo")), "demo 1.0");
    assert!(!project.venv().exists());
}

#[test]
fn pipenv_pipfile_that_is_not_there_is_an_error() {
    let project = Project::with_wheels(&[demo()]);
    let mut command = project.command(&["sync"]);
    project.finish(command.env("PIPENV_PIPFILE", "nowhere/Pipfile")).ends(3, &["error: PIPENV_PIPFILE names {root}/project/nowhere/Pipfile, and there is neither that file nor a lock beside it", "  help: correct PIPENV_PIPFILE, or unset it to look for a Pipfile from here upwards"]);
}

#[test]
fn a_lock_without_a_pipfile_is_enough() {
    let project = Project::with_wheels(&[demo()]);
    project.sync_with(&["--deploy"]).says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(project.script("demo"), "demo 1.0");
}

/// `default` has one, `develop` two, `docs` three.
fn in_categories() -> Project {
    let packages = ["one", "two", "three"].map(|name| Package::simple(name, "1.0"));
    let project = Project::with_wheels(&packages);
    let [one, two, three] = packages.map(|package| package.entry());
    let lock = Lock::new();
    project
        .lock(&lock.entry("default", "one", one).entry("develop", "two", two).entry("docs", "three", three));
    project
}

#[test]
fn variables_for_pipenv_count_in_dotenv_as_in_the_environment() {
    for (dotenv, installed) in [
        ("", &["one 1.0"][..]),
        ("PIPENV_DEV=1\n", &["one 1.0", "two 1.0"]),
        ("PIPENV_CATEGORIES=docs\n", &["three 1.0"]),
        ("PIPENV_ALL_CATEGORIES=1\n", &["one 1.0", "three 1.0", "two 1.0"]),
    ] {
        let project = in_categories();
        project.write("project/.env", dotenv);
        project.sync_with(&["--find-links", "../wheels"]).succeeds();
        assert_eq!(project.installed(), installed, "{dotenv}");
    }
    let project = in_categories();
    project.write("project/.env", "PIPENV_QUIET=1\nVENVOY_OFFLINE=1\nPIPENV_VIRTUALENV_COPIES=1\n");
    project.sync_with(&["--find-links", "../wheels"]).says(&[]);
    assert!(!project.venv().join("bin/python").is_symlink(), "copied");
}

#[test]
fn install_and_sync_differ_in_dev_with_categories_as_in_pipenv() {
    for (command, installed) in [("sync", &["three 1.0"][..]), ("install", &["one 1.0", "two 1.0"])] {
        let project = in_categories();
        let words = [command, "--dev", "--categories", "docs", "--find-links", "../wheels"];
        project.run(&words).succeeds();
        assert_eq!(project.installed(), installed, "{command}");
    }
}

#[test]
fn variables_of_the_index_come_from_dotenv() {
    let demo = demo();
    let packages = [demo.clone()];
    let server = Server::start(move |request| match request.header("authorization") {
        // ci:s3cret
        Some("Basic Y2k6czNjcmV0") => answer(&packages, request),
        _ => reply("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"x\""], b""),
    });
    let mut project = Project::new();
    project.knows(&server);
    project.lock(&Lock::of("http://${INDEX_USER}:${INDEX_PASS}@${INDEX_HOST}/simple", &[demo]));
    project.write(
        "project/.env",
        format!(
            "# where it is\nexport INDEX_HOST=127.0.0.1:{}\nINDEX_USER='ci'\nINDEX_PASS=\"s3cret\"\n",
            server.port
        ),
    );
    let run = project.run(&["sync", "-vv"]);
    run.succeeds();
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    assert_eq!(project.script("demo"), "demo 1.0");
    for file in files::below(&project.path("cache")).iter().chain(&files::below(&project.venv())) {
        let content = std::fs::read(file).unwrap_or_default();
        assert!(memchr::memmem::find(&content, b"s3cret").is_none(), "{}", file.display());
    }
}

#[test]
fn pipenv_dotenv_location_names_another_env_file() {
    let project = Project::with_wheels(&[demo()]);
    project.write("project/.env", "PIPENV_DEFAULT_PYTHON_VERSION=3.98\n");
    project.write("ci.env", "PIPENV_DEFAULT_PYTHON_VERSION=3.99\n");
    let with = |location: &str| {
        let mut command = project.command(&["sync", "--find-links", "../wheels"]);
        project.finish(command.env("PIPENV_DOTENV_LOCATION", location))
    };
    let run = with("../ci.env");
    assert!(run.stderr.starts_with("error: Python 3.99 was not found"), "{}", run.stderr);
    // As with pipenv, where there is none no other is loaded.
    for none in ["nowhere.env", "../wheels"] {
        let run = with(none);
        run.succeeds();
        let warning = format!("warning: PIPENV_DOTENV_LOCATION is passed over: {none} is not a file");
        assert_eq!(run.stderr.lines().next(), Some(warning.as_str()), "{}", run.stderr);
    }
}

#[test]
fn pipenv_max_depth_says_how_far_up_a_project_is_looked_for() {
    let project = Project::with_wheels(&[demo()]);
    project.write("project/Pipfile", "[packages]\ndemo = \"*\"\n");
    project.write("project/a/b/c/d/file", "");
    let from_below = |depth: &str| {
        let mut command = project.command(&["plan", "--json", "--find-links"]);
        command.arg(project.path("wheels")).current_dir(project.dir().join("a/b/c/d"));
        project.finish(command.env("PIPENV_MAX_DEPTH", depth)).code
    };
    assert_eq!((from_below("3"), from_below("5")), (Some(3), Some(0)));
}

#[test]
fn a_variable_of_the_index_that_is_not_set_is_named() {
    let project = Project::new();
    project.lock(&Lock::of("http://ci:${INDEX_PASS}@127.0.0.1:1/simple", &[demo()]));
    project.run(&["sync"]).ends(
        3,
        &[
            "error: source example cannot be used: the variable INDEX_PASS is not set",
            "  help: set INDEX_PASS (in CI's settings, or in .env beside the Pipfile)",
        ],
    );
}

#[test]
fn pip_find_links_and_no_index_do_without_the_index() {
    let project = Project::with_wheels(&[demo()]);
    let mut command = project.command(&["sync", "--no-index"]);
    project
        .finish(command.env("PIP_FIND_LINKS", project.path("wheels")))
        .says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(project.script("demo"), "demo 1.0");
}

/// A `pylock.toml` of packages, each with the place of its wheel and further lines.
fn pylock(packages: &[(&Package, &str, &str)]) -> String {
    let package = |(package, place, more): &(&Package, &str, &str)| {
        format!(
            "[[packages]]\nname = '{}'\nversion = '{}'\n{more}\n\
             wheels = [{{ {place}, hashes = {{ sha256 = '{}' }} }}]\n",
            package.name, package.version, package.sha256
        )
    };
    let head = "lock-version = '1.0'\ncreated-by = 'test'\nrequires-python = '>=3.7'\n\
                dependency-groups = ['dev']\n";
    packages.iter().map(package).fold(head.to_owned(), |text, package| text + &package)
}

fn url(server: &Server, package: &Package) -> String {
    format!("url = '{}'", server.url(&package.path()))
}

#[test]
fn a_pylock_that_names_urls_asks_no_index() {
    let demo = demo();
    let server = index(std::slice::from_ref(&demo));
    let project = Project::new();
    let index = format!("index = '{}'", server.url("/simple"));
    project.write("project/pylock.toml", pylock(&[(&demo, &url(&server, &demo), &index)]));
    project.run(&["sync"]).says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(project.script("demo"), "demo 1.0");
    let asked: Vec<String> = server.log().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, [demo.path()]);
    project.run(&["sync"]).says(&[".venv is up to date (1 package)"]);
    let plan = project.run(&["plan"]).says(&[]).stdout.clone();
    assert_eq!(
        plan.lines().collect::<Vec<_>>(),
        [
            "package  version  kind   source       size    cache   file",
            "demo     1.0      wheel  pylock.toml  1.1 kB  cached  demo-1.0-py3-none-any.whl",
            "1 package, 1.1 kB, 0 B to download",
        ]
    );
    assert_eq!(server.log().len(), 1);
}

#[test]
fn a_pylock_without_an_index_installs_from_its_urls() {
    let demo = demo();
    let server = index(std::slice::from_ref(&demo));
    let project = Project::new();
    project.write("project/pylock.toml", pylock(&[(&demo, &url(&server, &demo), "")]));
    project
        .run(&["sync", "--no-index"])
        .says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn paths_of_a_pylock_are_relative_to_it() {
    let demo = demo();
    let project = Project::new();
    project.write(&format!("locks/files/{}", demo.file), &demo.bytes);
    let path = format!("path = './files/{}'", demo.file);
    project.write("locks/pylock.web.toml", pylock(&[(&demo, &path, "")]));
    project
        .run(&["sync", "--lock", "../locks/pylock.web.toml"])
        .says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn a_pylock_path_that_is_missing_is_an_error_that_names_it() {
    let demo = demo();
    let project = Project::new();
    let path = format!("path = '{}'", demo.file);
    project.write("project/pylock.toml", pylock(&[(&demo, &path, "")]));
    project.run(&["sync"]).ends(
        1,
        &[
            "error: cannot install demo 1.0 [default]",
            "  because: cannot open {root}/project/demo-1.0-py3-none-any.whl",
            "  because: No such file or directory (os error 2)",
        ],
    );
}

#[test]
fn a_pylock_url_stands_in_for_a_path_that_is_missing() {
    let demo = demo();
    let server = index(std::slice::from_ref(&demo));
    let project = Project::new();
    let place = format!("path = 'gone/{}', {}", demo.file, url(&server, &demo));
    project.write("project/pylock.toml", pylock(&[(&demo, &place, "")]));
    project.run(&["sync"]).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn a_file_that_is_not_what_the_pylock_pins_is_refused() {
    let demo = demo();
    let other = Package::simple("demo", "6.6");
    let served = Package { bytes: other.bytes.clone(), ..demo.clone() };
    let server = index(&[served]);
    let mut project = Project::new();
    project.knows(&server);
    project.write("project/pylock.toml", pylock(&[(&demo, &url(&server, &demo), "")]));
    let got = format!("  got sha256:{} ({} bytes)", other.sha256, other.bytes.len());
    let expected = format!("  expected sha256:{}", demo.sha256);
    project
        .run(&["sync"])
        .fails(8, &["  because: demo-1.0-py3-none-any.whl is not the file that was locked", &got, &expected]);
    assert!(!project.venv().exists());
}

#[test]
fn credentials_in_a_pylock_url_are_sent_and_never_shown() {
    let demo = demo();
    let packages = [demo.clone()];
    let server = Server::start(move |request| match request.header("authorization") {
        Some("Basic Y2k6czNjcmV0") => answer(&packages, request),
        _ => reply("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"x\""], b""),
    });
    let project = Project::new();
    let place = url(&server, &demo).replace("http://", "http://ci:s3cret@");
    project.write("project/pylock.toml", pylock(&[(&demo, &place, "")]));
    let run = project.run(&["sync", "-vv"]);
    run.succeeds();
    let plan = project.run(&["plan", "--json", "-vv"]);
    let shown = format!("{}{}{}", run.stderr, plan.stdout, plan.stderr);
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn credentials_in_a_pylock_index_are_never_shown() {
    let demo = demo();
    let server = index(std::slice::from_ref(&demo));
    let project = Project::new();
    project.write(
        "project/pylock.toml",
        pylock(&[(&demo, &url(&server, &demo), "index = 'https://ci:s3cret@index.example/simple'")]),
    );
    let runs = [&["auth"][..], &["auth", "--json"], &["plan", "-vv"], &["sync", "-vv"]];
    for args in runs {
        let run = project.run(args);
        let shown = format!("{}{}", run.stdout, run.stderr);
        assert!(run.code == Some(0) && !shown.contains("s3cret"), "{args:?}: {:?}\n{shown}", run.code);
    }
}

#[test]
fn groups_of_a_pylock_are_its_categories() {
    let (demo, tool) = (demo(), Package::simple("tool", "2.0"));
    let server = index(&[demo.clone(), tool.clone()]);
    let project = Project::new();
    let only_dev = "marker = \"'dev' in dependency_groups\"";
    let lock = pylock(&[(&demo, &url(&server, &demo), ""), (&tool, &url(&server, &tool), only_dev)]);
    project.write("project/pylock.toml", lock);
    project.run(&["sync"]).succeeds();
    assert_eq!(project.installed(), ["demo 1.0"]);
    project.run(&["sync", "--categories", "dev"]).succeeds();
    assert_eq!(project.installed(), ["demo 1.0", "tool 2.0"]);
    project
        .run(&["sync", "--categories", "docs"])
        .ends(3, &["error: pylock.toml has no group \"docs\"", "  help: its groups: default, dev"]);
}

#[test]
fn of_the_pylocks_wheels_the_one_that_fits_is_taken() {
    let demo = demo();
    let windows = Package::new(&greeter("demo", "1.0").tag("cp39-cp39-win_amd64"));
    let server = index(&[demo.clone(), windows.clone()]);
    let project = Project::new();
    let file = |package: &Package| {
        format!("{{ {}, hashes = {{ sha256 = '{}' }} }}", url(&server, package), package.sha256)
    };
    project.write(
        "project/pylock.toml",
        format!(
            "lock-version = '1.0'\n[[packages]]\nname = 'demo'\nversion = '1.0'\nwheels = [{}, {}]\n",
            file(&windows),
            file(&demo)
        ),
    );
    project.run(&["sync"]).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn a_pipfile_lock_comes_before_a_pylock() {
    let project = Project::with_wheels(&[demo()]);
    project.write("project/pylock.toml", "broken");
    project.sync().succeeds();
    project.run(&["sync", "--lock", "pylock.toml"]).ends(
        3,
        &[
            "error: pylock.toml is not TOML: key with no value, expected `=` in line 1",
            "  help: make it anew with the tool that wrote it",
        ],
    );
}

#[test]
fn an_unhashed_pylock_file_is_refused_unless_allowed() {
    let demo = demo();
    let server = index(std::slice::from_ref(&demo));
    let project = Project::new();
    let text = format!(
        "lock-version = '1.0'\n[[packages]]\nname = 'demo'\nversion = '1.0'\nwheels = [{{ {} }}]\n",
        url(&server, &demo)
    );
    project.write("project/pylock.toml", text);
    project.run(&["sync"]).ends(3, &["error: cannot install demo 1.0 [default]", "  because: the lock has no hashes for it; expected sha256 digests", "  help: lock again with a current pipenv, or pass --allow-unhashed demo to take whatever the index serves"]);
    project.run(&["sync", "--allow-unhashed"]).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn index_url_replaces_a_source_of_the_lock() {
    let demo = demo();
    let server = index(std::slice::from_ref(&demo));
    let project = Project::new();
    project.lock(&Lock::new().package(&demo));
    let mirror = format!("example={}", server.url("/simple"));
    project.run(&["sync", "--index-url", &mirror]).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
    project.run(&["sync", "--index-url", "other=https://index.example/simple"]).ends(
        2,
        &[
            "error: --index-url other=...: the lock has no source of that name",
            "  help: sources of the lock: example",
        ],
    );
}

#[test]
fn all_sources_are_searched_only_where_the_pipfile_says_so() {
    let demo = demo();
    let (first, second) = (index::<Package>(&[]), index(std::slice::from_ref(&demo)));
    let project = Project::new();
    let sources = serde_json::json!([
        {"name": "first", "url": first.url("/simple"), "verify_ssl": true},
        {"name": "second", "url": second.url("/simple"), "verify_ssl": true},
    ]);
    project.lock(&Lock::new().meta("sources", sources).package(&demo));
    project.write("project/Pipfile", "[packages]\n");
    assert_eq!(project.run(&["sync"]).code, Some(5));
    assert_eq!(second.log().len(), 0);
    project.write("project/Pipfile", "[packages]\n[pipenv]\ninstall_search_all_sources = true\n");
    project.run(&["sync"]).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn a_wheel_whose_record_does_not_hold_warns_and_strict_refuses() {
    let wheel = greeter("demo", "1.0").file("unlisted.py", "").record(
        "demo.py,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,1\ndemo-1.0.dist-info/RECORD,,\n",
    );
    let project = Project::with_wheels(&[Package::new(&wheel)]);
    assert_eq!(project.sync_with(&["--strict"]).code, Some(8));
    assert!(!project.venv().exists());
    let run = project.sync();
    run.succeeds();
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("unlisted.py"), "{}", run.stderr);
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn pipenvs_variables_are_its_flags() {
    let project = Project::with_wheels(&[demo()]);
    let tool = Package::simple("tool", "1.0");
    project.wheels(std::slice::from_ref(&tool));
    project.lock(&Lock::new().package(&demo()).entry("develop", "tool", tool.entry()));
    let with = |name: &str, value: &str| {
        let mut command = project.command(&["sync", "--find-links", "../wheels"]);
        project.finish(command.env(name, value)).succeeds();
        project.installed()
    };
    assert_eq!(with("PIPENV_DEV", "1"), ["demo 1.0", "tool 1.0"]);
    assert_eq!(with("PIPENV_DEV", "0"), ["demo 1.0"]);
    assert_eq!(with("PIPENV_CATEGORIES", "dev-packages"), ["tool 1.0"]);
    assert_eq!(with("PIPENV_DONT_LOAD_ENV", "1"), ["demo 1.0"]);
    assert_eq!(with("PIPENV_DEFAULT_CATEGORIES", "default dev-packages"), ["demo 1.0", "tool 1.0"]);
    assert_eq!(with("VENVOY_OFFLINE", "1"), ["demo 1.0"]);
    // An image takes a variable back by setting it to nothing.
    for name in ["PIPENV_DEV", "PIPENV_CATEGORIES", "PIPENV_PYTHON", "PIPENV_EXTRA_PIP_ARGS", "VENVOY_LINK"] {
        assert_eq!(with(name, ""), ["demo 1.0"]);
    }
}

#[test]
fn pipenv_deploy_and_ignore_pipfile_are_its_flags() {
    let project = Project::with_wheels(&[demo()]);
    project.write("project/Pipfile", "[packages]\ndemo = \"*\"\nother = \"*\"\n");
    let with = |variables: &[(&str, &str)]| {
        let mut command = project.command(&["install", "--find-links", "../wheels"]);
        project.finish(command.envs(variables.iter().copied()))
    };
    assert_eq!(with(&[("PIPENV_DEPLOY", "1")]).code, Some(3));
    assert!(!project.venv().exists());
    let run = with(&[("PIPENV_DEPLOY", "1"), ("PIPENV_IGNORE_PIPFILE", "yes")]);
    run.says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
}

#[test]
fn a_link_mode_that_is_none_is_named_with_those_there_are() {
    let project = Project::with_wheels(&[demo()]);
    let mut command = project.command(&["sync", "--find-links", "../wheels"]);
    project
        .finish(command.env("VENVOY_LINK", "sym"))
        .ends(2, &["error: VENVOY_LINK is \"sym\": expected one of auto, reflink, hardlink, copy, unpack"]);
    let mut command = project.command(&["sync", "--find-links", "../wheels"]);
    project.finish(command.env("VENVOY_LINK", "Unpack")).succeeds();
}

/// As with pipenv: `venvoy install $OPTIONS --dev` must not fail because OPTIONS has it already.
#[test]
fn of_an_option_given_twice_the_last_counts() {
    let project = Project::with_wheels(&[demo()]);
    let tool = Package::simple("tool", "1.0");
    project.wheels(std::slice::from_ref(&tool));
    project.lock(&Lock::new().package(&demo()).entry("develop", "tool", tool.entry()));
    project.sync_with(&["--dev", "-d", "--python", "3.99", "--python", "python3"]).succeeds();
    assert_eq!(project.installed(), ["demo 1.0", "tool 1.0"]);
    project.sync_with(&["--categories", "default", "--categories", "develop"]).succeeds();
    assert_eq!(project.installed(), ["tool 1.0"]);
    // What may be repeated adds up.
    let run = project.run(&["sync", "-f", "../nowhere", "-f", "../wheels", "-v", "-v"]);
    run.succeeds();
    assert!(
        run.stderr.contains("../nowhere is ignored") && run.stderr.contains("best of 1"),
        "{}",
        run.stderr
    );
    assert_eq!(project.installed(), ["demo 1.0"]);
}

/// Of an entry without a hash the key of an environment once left out both.
#[test]
fn another_time_or_strictness_makes_another_environment_with_and_without_hashes() {
    let demo = demo();
    for entry in [demo.entry(), serde_json::json!({"version": "==1.0"})] {
        let project = Project::of(&Lock::new().entry("default", "demo", entry.clone()));
        project.wheels(std::slice::from_ref(&demo));
        let is_new = |args: &[&str], epoch: &str| {
            let args =
                [&["sync", "--no-index", "--find-links", "../wheels", "--allow-unhashed"], args].concat();
            let run = project.finish(project.command(&args).env("SOURCE_DATE_EPOCH", epoch));
            run.succeeds();
            !run.stderr.contains("up to date")
        };
        let first: &[(&[&str], &str)] =
            &[(&[], "1000000000"), (&[], "1000000001"), (&["--strict"], "1000000001")];
        for (args, epoch) in first {
            assert!(is_new(args, epoch), "{entry}: {args:?} at {epoch} is another environment");
            assert!(!is_new(args, epoch), "{entry}: {args:?} at {epoch} is there already");
        }
    }
}

/// The tail of a run is the file that began last, so it must not be a large one: also where its page came last.
#[test]
fn the_largest_files_are_fetched_first() {
    let sized = |(name, size)| Package::new(&greeter(name, "1.0").file("data.bin", noise(size)));
    let packages: Vec<Package> =
        [("a", 20_000), ("b", 1_000), ("c", 60_000), ("d", 300_000)].map(sized).into();
    let all = packages.clone();
    let server = Server::start(move |request| {
        let name = request.path.strip_prefix("/simple/").map(|name| name.trim_end_matches('/'));
        let Some(package) = all.iter().find(|package| Some(&*package.name) == name) else {
            return answer(&all, request);
        };
        let file = json!({
            "filename": package.file,
            "url": package.path(),
            "hashes": {"sha256": package.sha256},
            "size": package.bytes.len(),
        });
        let page = json!({"meta": {"api-version": "1.1"}, "name": package.name, "files": [file]});
        reply("200 OK", &["Content-Type: application/vnd.pypi.simple.v1+json"], page.to_string().as_bytes())
    });
    let project = Project::at(&server, &packages);
    project.run(&["sync", "--concurrent-downloads", "1"]).succeeds();
    let asked = server.log().into_iter().map(|request| request.path);
    let files: Vec<String> = asked.filter(|path| path.starts_with("/simple/files/")).collect();
    assert_eq!(files, [3, 2, 0, 1].map(|at: usize| packages[at].path()));
}
