//! A cache that is damaged, full or cannot be written: what is right in it is used, what is not is fetched again.

use crate::support::{
    files,
    index::{answer, index},
    lock::Lock,
    mount::Mount,
    package::{Package, greeter},
    program::script,
    project::Project,
    server::{self, Server},
};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

fn demo(version: &str) -> Package {
    Package::simple("demo", version)
}

/// How many files a server was asked for.
fn fetched(server: &Server) -> usize {
    server.log().iter().filter(|request| request.path.starts_with("/simple/files/")).count()
}

/// The cached copy of a file.
fn cached(project: &Project, file: &str) -> PathBuf {
    let files = files::below(&project.path("cache"));
    files.into_iter().find(|path| path.ends_with(file)).expect("it is cached")
}

/// What is said of a damaged file.
fn damaged(package: &Package) -> String {
    let (shard, rest) = package.sha256.split_at(2);
    let (length, file) = (package.bytes.len(), &package.file);
    format!("warning: {{root}}/cache/v1/files/{shard}/{rest}/{length}/{file} is damaged: it is fetched again")
}

/// Turns one byte of `needle` in a file around.
fn damage(path: &Path, needle: &[u8]) {
    let mut bytes = fs::read(path).expect("a file");
    let at = memchr::memmem::find(&bytes, needle).expect("it is there");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_damaged_file_in_the_cache_is_noticed_and_fetched_again() {
    let demo = Package::new(&greeter("demo", "1.0").stored("demo_data.txt", "something to damage"));
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.sync().succeeds();
    damage(&cached(&project, &demo.file), b"something to damage");
    let run = project.sync_with(&["--venv", "other", "--link", "unpack"]);
    run.says(&[&damaged(&demo), "other: 1 package, {size} in {time} s: 1 downloaded (1.2 kB)"]);
    assert_eq!(fs::read(cached(&project, &demo.file)).expect("a file"), demo.bytes);
    assert_eq!(fetched(&server), 2);
    let other = files::below(&project.dir().join("other"));
    let data = other.iter().find(|path| path.ends_with("demo_data.txt")).expect("a file");
    assert_eq!(fs::read(data).expect("a file"), b"something to damage");
}

#[test]
fn a_damaged_directory_of_a_cached_wheel_is_noticed_and_fetched_again() {
    let demo = demo("1.0");
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.sync().succeeds();
    let path = cached(&project, &demo.file);
    let length = fs::metadata(&path).expect("a file").len();
    fs::write(&path, vec![0; usize::try_from(length).expect("small")]).expect("written");
    project
        .sync_with(&["--venv", "other"])
        .says(&[&damaged(&demo), "other: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(script(&project.dir().join("other/bin/demo")), "demo 1.0");
}

#[test]
fn a_damaged_unpacked_copy_in_the_cache_is_not_linked() {
    let project = Project::with_wheels(&[demo("1.0")]);
    project.sync_with(&["--link", "hardlink"]).succeeds();
    let unpacked = files::below(&project.path("cache/v1/unpacked"));
    let holds = |path: &&PathBuf| {
        memchr::memmem::find(&fs::read(path).expect("a file"), b"print('demo 1.0')").is_some()
    };
    damage(unpacked.iter().find(holds).expect("it is unpacked"), b"demo 1.0");
    project.sync_with(&["--venv", "other", "--link", "hardlink"]).succeeds();
    assert_eq!(script(&project.dir().join("other/bin/demo")), "demo 1.0");
}

/// Makes an environment, does something to every file of the cache, and makes another.
fn after(damage: impl Fn(&Path)) {
    let packages = [demo("1.0"), Package::simple("other", "1.0")];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    project.sync().succeeds();
    for path in files::below(&project.path("cache/v1")) {
        damage(&path);
    }
    for link in ["auto", "hardlink", "copy", "unpack"] {
        let run = project.sync_with(&["--venv", link, "--link", link]);
        assert_eq!(run.code, Some(0), "{link}: {}", run.stderr);
        for (name, prints) in [("demo", "demo 1.0"), ("other", "other 1.0")] {
            assert_eq!(script(&project.dir().join(link).join("bin").join(name)), prints, "{link}");
        }
        assert_eq!(project.run(&["check", "--venv", link]).code, Some(0), "{link}");
    }
    assert_eq!(fetched(&server), 4);
}

#[test]
fn a_cache_whose_every_file_is_empty_is_no_obstacle() {
    after(|path| fs::write(path, "").expect("written"));
}

#[test]
fn a_cache_whose_every_file_was_cut_short_is_no_obstacle() {
    after(|path| {
        let bytes = fs::read(path).expect("a file");
        fs::write(path, &bytes[..bytes.len() / 2]).expect("written");
    });
}

#[test]
fn a_cache_whose_every_file_holds_something_else_is_no_obstacle() {
    after(|path| {
        let length = usize::try_from(fs::metadata(path).expect("a file").len()).expect("small");
        fs::write(path, "x".repeat(length)).expect("written");
    });
}

#[test]
fn a_full_cache_that_has_everything_is_enough() {
    let packages = [demo("1.0"), Package::simple("other", "1.0")];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    let Some(_disk) = Mount::tmpfs(&project.path("cache"), "1m") else { return };
    project.sync().succeeds();
    fill(&project.path("cache/ballast"));
    // The same files by another URL: the answers of the index are new, and cannot be kept.
    project.lock(&Lock::of(&server.url("/simple/"), &packages));
    fs::remove_dir_all(project.venv()).expect("removed");
    project.sync().says(&[
        "warning: there is no room left for the cache {root}/cache: what is downloaded now will not be kept",
        ".venv: 2 packages, {size} in {time} s: 2 cached",
    ]);
    assert_eq!(project.script("other"), "other 1.0");
    assert_eq!(fetched(&server), 2);
}

/// Writes until there is no room left.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).expect("made");
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[test]
fn a_cache_that_is_no_directory_is_done_without() {
    let project = Project::with_wheels(&[demo("1.0")]);
    project.write("cache", "a file");
    project.sync().says(&[
        "warning: the cache {root}/cache cannot be used (File exists (os error 17)): what is downloaded now will not be kept; set VENVOY_CACHE_DIR to a directory that can be written",
        ".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)",
    ]);
    assert_eq!(fs::read(project.path("cache")).expect("the file"), b"a file");
}

/// A file of an environment by the end of its path.
fn installed(project: &Project, venv: &str, end: &str) -> PathBuf {
    let files = files::below(&project.dir().join(venv));
    files.into_iter().find(|path| path.ends_with(end)).expect("it is there")
}

/// Writes other bytes into a file without changing its size or time.
fn tamper(path: &Path, needle: &[u8]) {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
    damage(path, needle);
    fs::File::open(path).and_then(|file| file.set_modified(time)).expect("the time it had");
}

#[test]
fn a_cached_wheel_exchanged_for_another_of_its_size_is_never_installed() {
    let with = |text: &str| Package::new(&greeter("demo", "1.0").stored("demo_data.txt", text));
    let right = with("right00");
    // Digests of other bytes in RECORD deflate to other lengths, some of them to the same.
    let evil = (0..1000).map(|n| with(&format!("evil{n:03}")));
    let evil = evil.into_iter().find(|evil| evil.bytes.len() == right.bytes.len()).expect("one of its size");
    let server = index(std::slice::from_ref(&right));
    let project = Project::at(&server, std::slice::from_ref(&right));
    project.sync().succeeds();
    let path = cached(&project, &right.file);
    fs::write(&path, &evil.bytes).expect("exchanged");
    project
        .sync_with(&["--venv", "other", "--link", "unpack"])
        .says(&[&damaged(&right), "other: 1 package, {size} in {time} s: 1 downloaded (1.2 kB)"]);
    assert_eq!(fs::read(installed(&project, "other", "demo_data.txt")).expect("a file"), b"right00");
    fs::write(cached(&project, &right.file), &evil.bytes).expect("exchanged");
    project.sync_with(&["--venv", "third", "--offline", "--link", "unpack"]).ends(
        7,
        &[
            &damaged(&right),
            "error: cannot install demo 1.0 [default]",
            "  because: demo-1.0-py3-none-any.whl is not in the cache, and --offline asks nobody",
            "  help: run once without --offline, with the same cache, or add --find-links",
        ],
    );
}

#[test]
fn strictly_nothing_is_linked_that_was_written_to_through_another_environment() {
    let demo = Package::new(&greeter("demo", "1.0").stored("demo_data.txt", "something to tamper with"));
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.sync_with(&["--link", "hardlink"]).succeeds();
    tamper(&installed(&project, ".venv", "demo_data.txt"), b"something");
    project.sync_with(&["--venv", "other", "--link", "hardlink", "--strict"]).succeeds();
    let data = |venv| fs::read(installed(&project, venv, "demo_data.txt")).expect("a file");
    assert_eq!(data("other"), b"something to tamper with");
    // What was wrong is gone from the cache.
    project.sync_with(&["--venv", "third", "--link", "hardlink"]).succeeds();
    assert_eq!(data("third"), b"something to tamper with");
}

#[test]
fn a_repair_that_could_link_what_is_wrong_makes_it_right() {
    let demo = Package::new(&greeter("demo", "1.0").stored("demo_data.txt", "something to tamper with"));
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.sync_with(&["--link", "hardlink"]).succeeds();
    tamper(&installed(&project, ".venv", "demo_data.txt"), b"something");
    let repair = ["check", "--repair", "--link", "hardlink"];
    assert_eq!(project.run(&repair).code, Some(0));
    let data = fs::read(installed(&project, ".venv", "demo_data.txt")).expect("a file");
    assert_eq!(data, b"something to tamper with");
    assert_eq!(project.run(&["check"]).code, Some(0));
}

#[test]
fn a_store_that_was_restored_from_elsewhere_is_digested_before_it_is_linked() {
    let demo = Package::new(&greeter("demo", "1.0").stored("demo_data.txt", "something to tamper with"));
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.sync_with(&["--link", "hardlink"]).succeeds();
    tamper(&installed(&project, ".venv", "demo_data.txt"), b"something");
    let (kept, copy) = (project.path("cache"), project.path("copy"));
    let copied = std::process::Command::new("cp").arg("-a").arg(&kept).arg(&copy).status();
    assert!(copied.expect("cp runs").success());
    fs::remove_dir_all(&kept).expect("removed");
    fs::rename(&copy, &kept).expect("restored");
    project.sync_with(&["--venv", "other", "--link", "hardlink"]).succeeds();
    let data = fs::read(installed(&project, "other", "demo_data.txt")).expect("a file");
    assert_eq!(data, b"something to tamper with");
    assert_eq!(fetched(&server), 1);
}

#[test]
fn verify_names_what_is_damaged_and_the_next_run_heals_it() {
    let demo = Package::new(&greeter("demo", "1.0").stored("demo_data.txt", "something to damage"));
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.sync_with(&["--link", "hardlink"]).succeeds();
    let verify = || {
        let run = project.run(&["cache", "verify"]);
        (run.code, run.stdout.clone())
    };
    assert_eq!(verify(), (Some(0), "1 file, 1.2 kB: all as their digests say\n".to_owned()));
    let path = cached(&project, &demo.file);
    tamper(&installed(&project, ".venv", "demo_data.txt"), b"something");
    let (code, said) = verify();
    assert!(
        said.contains("cache/v1/unpacked/v1/315532800/") && said.contains(" was damaged, and is gone"),
        "{said}"
    );
    assert_eq!((code, verify().0), (Some(8), Some(0)));
    tamper(&path, b"something to damage");
    let (code, said) = verify();
    let shown = path.display().to_string().replace(&project.path("").display().to_string(), "{root}/");
    assert_eq!(code, Some(8));
    assert!(said.contains(&format!("{shown} was damaged, and is gone\n")), "{said}");
    assert_eq!(verify().0, Some(0));
    project
        .sync_with(&["--venv", "other"])
        .says(&["other: 1 package, {size} in {time} s: 1 downloaded (1.2 kB)"]);
    assert_eq!(verify().0, Some(0));
}

#[test]
fn prune_keeps_what_a_lock_needs_and_verify_tells_what_it_lacks() {
    let packages = [demo("1.0"), Package::simple("other", "1.0")];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    project.sync().succeeds();
    project.lock(&Lock::of(&server.url("/simple"), &packages[..1]));
    let run = project.run(&["cache", "prune", "--keep-locks", "."]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let left = |name: &str| {
        let run = project.run(&["cache", "list", "--json", name]);
        let items: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
        items.as_array().expect("a list").iter().filter(|item| item["kind"] == "files").count()
    };
    assert_eq!((left("demo"), left("other")), (1, 0));
    let list = project.run(&["cache", "list"]).stdout.clone();
    assert!(list.contains("demo-1.0-py3-none-any.whl  + selections ") && !list.contains("other"), "{list}");
    fs::remove_dir_all(project.venv()).expect("removed");
    project.sync_with(&["--offline"]).says(&[".venv: 1 package, {size} in {time} s: 1 cached"]);
    let run = project.run(&["cache", "verify", "--lock", "."]);
    assert!(run.stdout.contains("0 digests of the lock not here"), "{}", run.stdout);
    project.lock(&Lock::of(&server.url("/simple"), &packages));
    let run = project.run(&["cache", "verify", "--lock", "Pipfile.lock"]);
    assert!(run.stdout.contains("1 digest of the lock not here"), "{}", run.stdout);
    project.run(&["cache", "prune", "--keep-locks", "nowhere"]).fails(
        3,
        &[
            "error: cannot read nowhere",
            "  because: No such file or directory (os error 2)",
            "  help: name a project's directory, or its lock",
        ],
    );
    assert_eq!((left("demo"), left("other")), (1, 0));
}

#[test]
fn a_cache_pruned_for_ci_holds_what_is_worth_carrying() {
    let packages = [demo("1.0"), Package::simple("other", "1.0")];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    project.sync_with(&["--compile"]).succeeds();
    assert_eq!(project.run(&["cache", "prune", "--ci", "--keep-locks", "."]).code, Some(0));
    let info = project.run(&["cache", "info", "--json"]);
    let info: serde_json::Value = serde_json::from_str(&info.stdout).expect("JSON");
    let kinds =
        info["kinds"].as_array().expect("a list").iter().map(|kind| kind["kind"].as_str().expect("text"));
    assert_eq!(kinds.collect::<Vec<_>>(), ["files", "selections"]);
    assert_eq!((&info["writable"], &info["layout"], &info["files"]), (&true.into(), &1.into(), &4.into()));
    fs::remove_dir_all(project.venv()).expect("removed");
    project.sync_with(&["--offline"]).says(&[".venv: 2 packages, {size} in {time} s: 2 cached"]);
}

#[test]
fn the_key_of_a_ci_cache_follows_what_is_pinned() {
    let project = Project::with_wheels(&[demo("1.0")]);
    let key = |args: &[&str]| {
        let run = project.run(&[&["cache", "key"], args].concat());
        let lines: Vec<String> = run.succeeds().stdout.lines().map(str::to_owned).collect();
        let [key, prefix] = &*lines else { panic!("{lines:?}") };
        assert!(key.starts_with(prefix) && prefix.starts_with("venvoy-v1-"), "{lines:?}");
        key.clone()
    };
    let first = key(&[]);
    assert_eq!(key(&["Pipfile.lock"]), first);
    assert_ne!(key(&["--with", "linux/arm64"]), first);
    let text = fs::read_to_string(project.dir().join("Pipfile.lock")).expect("a lock");
    fs::write(project.dir().join("Pipfile.lock"), text.replace('\n', "\r\n")).expect("written");
    assert_eq!(key(&[]), first, "the same pins");
    project.lock(&Lock::new().package(&demo("2.0")));
    assert_ne!(key(&[]), first);
}

#[test]
fn the_cache_is_where_the_settings_say() {
    let project = Project::with_wheels(&[demo("1.0")]);
    let dir = |set: &[(&str, &str)], args: &[&str]| {
        let mut command = project.command(&[args, &["cache", "dir"]].concat());
        command.env_remove("VENVOY_CACHE_DIR").envs(set.iter().copied());
        project.finish(&mut command).succeeds().stdout.clone()
    };
    assert_eq!(dir(&[], &[]), "{root}/home/.cache/venvoy\n");
    assert_eq!(dir(&[("XDG_CACHE_HOME", "/xdg")], &[]), "/xdg/venvoy\n");
    let pipenv = ("PIPENV_CACHE_DIR", "/pipenv");
    assert_eq!(dir(&[pipenv], &[]), "/pipenv/venvoy\n");
    assert_eq!(dir(&[pipenv, ("VENVOY_CACHE_DIR", "/ours")], &[]), "/ours\n");
    assert_eq!(
        dir(&[pipenv, ("VENVOY_CACHE_DIR", "/ours")], &["--cache-dir", "typed"]),
        "{root}/project/typed\n"
    );
}

#[test]
fn an_index_without_digests_is_asked_for_the_files_once() {
    let (right, other) = (demo("1.0"), Package::new(&greeter("demo", "1.0").tag("py2.py3-none-any")));
    let packages = [right.clone(), other.clone()];
    let server = Server::start(move |request| {
        let answer = answer(&packages, request);
        if request.path.starts_with("/simple/files/") {
            return answer;
        }
        let links: Vec<String> =
            packages.iter().map(|package| format!("<a href=\"{0}\">{0}</a>", package.path())).collect();
        server::reply("200 OK", &["Content-Type: text/html"], links.join("\n").as_bytes())
    });
    let project = Project::at(&server, &[right]);
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
    assert!(fetched(&server) <= 2);
    let asked = server.log().len();
    fs::remove_dir_all(project.venv()).expect("removed");
    project.sync_with(&["--offline"]).says(&[".venv: 1 package, {size} in {time} s: 1 cached"]);
    assert_eq!(server.log().len(), asked);
    let kept = files::below(&project.path("cache/v1/files"));
    assert!(kept.iter().all(|path| !path.ends_with(&other.file)), "{kept:?}");
}

#[test]
fn a_read_only_cache_is_read_and_the_rest_is_fetched_for_this_run() {
    let (one, two) = (Package::simple("one", "1.0"), Package::simple("two", "1.0"));
    let server = index(&[one.clone(), two.clone()]);
    let project = Project::at(&server, std::slice::from_ref(&one));
    fs::create_dir(project.path("cache")).expect("made");
    let Some(disk) = Mount::tmpfs(&project.path("cache"), "16m") else { return };
    project.sync().succeeds();
    disk.change("ro");
    let before = files::snapshot(&project.path("cache"));
    project.lock(&Lock::of(&server.url("/simple"), &[one, two]));
    project.sync().says(&["warning: the cache {root}/cache cannot be written: it is read, but what is downloaded now will not be kept; set VENVOY_CACHE_DIR to a directory that can be written", ".venv: 1 added; 1 kept, in {time} s: 1 downloaded (1.0 kB)"]);
    assert_eq!(project.installed(), ["one 1.0", "two 1.0"]);
    assert_eq!(files::snapshot(&project.path("cache")), before);
    fs::remove_dir_all(project.venv()).expect("removed");
    project.lock(&Lock::of(&server.url("/simple"), &[Package::simple("one", "1.0")]));
    project.sync_with(&["--offline"]).says(&["warning: the cache {root}/cache cannot be written: it is read, but what is downloaded now will not be kept; set VENVOY_CACHE_DIR to a directory that can be written", ".venv: 1 package, {size} in {time} s: 1 cached"]);
}

#[test]
fn an_unpacked_copy_in_a_cache_on_another_file_system_is_made_and_copied_from() {
    let demo = Package::new(&greeter("demo", "1.0").stored("demo_data.txt", "something to damage"));
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    let Some(_disk) = Mount::tmpfs(&project.path("cache"), "16m") else { return };
    let run = |venv| project.sync_with(&["--link", "copy", "--venv", venv]);
    run("first").says(&["first: 1 package, {size} in {time} s: 1 downloaded (1.2 kB)"]);
    // Had the second environment been unpacked from the wheel, it would not have this.
    let unpacked = files::below(&project.path("cache/v1/unpacked"));
    let holds = |path: &&PathBuf| fs::read(path).expect("a file") == b"something to damage";
    tamper(unpacked.iter().find(holds).expect("it is unpacked"), b"something");
    run("second").says(&["second: 1 package, {size} in {time} s: 1 cached"]);
    for venv in ["first", "second"] {
        let files = files::below(&project.dir().join(venv));
        let data = files.iter().find(|path| path.ends_with("demo_data.txt")).expect("a file");
        let text = fs::read(data).expect("a file");
        assert_eq!(text == b"something to damage", venv == "first");
        assert_eq!(fs::metadata(data).expect("a file").nlink(), 1);
    }
    assert_eq!(fetched(&server), 1);
}

/// A run whose last file is not served before the first was unpacked in one of the `places` below a root.
fn unpacks_ahead(link: &str, places: fn(&Path) -> Vec<PathBuf>) {
    let packages = [demo("1.0"), Package::simple("late", "1.0")];
    let (served, late) = (packages.clone(), packages[1].path());
    let wheel = packages[0].sha256.clone();
    let root = Arc::new(OnceLock::<PathBuf>::new());
    let (known, seen) = (root.clone(), Arc::new(AtomicBool::new(false)));
    let tell = seen.clone();
    let server = Server::start(move |request| {
        // Long enough for any machine, but not for ever.
        for _ in (0..2000).take_while(|_| request.path == late && !tell.load(Ordering::SeqCst)) {
            let filled = |place: PathBuf| {
                fs::read_dir(place.join(&wheel)).is_ok_and(|mut entries| entries.next().is_some())
            };
            tell.store(places(known.wait()).into_iter().any(filled), Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
        }
        answer(&served, request)
    });
    let project = Project::at(&server, &packages);
    root.set(project.path("")).expect("once");
    project.sync_with(&["--link", link]).succeeds();
    assert!(seen.load(Ordering::SeqCst), "nothing was unpacked before all had come");
    for name in ["demo", "late"] {
        assert_eq!(project.script(name), format!("{name} 1.0"));
    }
    assert_eq!(project.names(), [".venv", "Pipfile.lock"]);
}

#[test]
fn what_has_arrived_is_unpacked_into_the_cache_while_the_rest_still_comes() {
    unpacks_ahead("auto", |root| vec![root.join("cache/v1/unpacked/v1/315532800")]);
}

#[test]
fn what_has_arrived_is_unpacked_beside_the_environment_where_nothing_can_be_linked() {
    unpacks_ahead("unpack", |root| {
        let project = root.join("project");
        let staging = files::names(&project).into_iter().filter(|name| name.starts_with(".venv.venvoy-"));
        staging.map(|name| project.join(name)).collect()
    });
}

/// A package with an entry as large as those are that have access points, in several blocks, and its bytes.
static WITH_LARGE_ENTRY: LazyLock<(Package, Vec<u8>)> = LazyLock::new(|| {
    let large: Vec<u8> = (0..17_000_000_u32).flat_map(|number| (number / 3 * 7).to_le_bytes()).collect();
    let wheel =
        greeter("demo", "1.0").file("demo_large.bin", &large).file("small.txt", "something to damage");
    (Package::new(&wheel), large)
});

fn large_of(project: &Project, venv: &str) -> Vec<u8> {
    let files = files::below(&project.dir().join(venv));
    let data = files.iter().find(|path| path.ends_with("demo_large.bin")).expect("a file");
    fs::read(data).expect("a file")
}

#[test]
fn a_large_entry_is_the_same_by_one_thread_and_by_several() {
    let (demo, large) = &*WITH_LARGE_ENTRY;
    let server = index(std::slice::from_ref(demo));
    let project = Project::at(&server, std::slice::from_ref(demo));
    for (venv, mode) in [("first", "unpack"), ("second", "unpack"), ("third", "copy"), ("fourth", "copy")] {
        project.sync_with(&["--link", mode, "--venv", venv]).succeeds();
        assert_eq!(files::below(&project.path("cache/v1/points")).len(), 1, "{venv}");
        assert!(large_of(&project, venv) == *large, "{venv}");
        assert_eq!(project.run(&["check", "--venv", venv]).code, Some(0), "{venv}");
    }
}

#[test]
fn where_nothing_can_be_linked_large_entries_are_kept_unpacked_from_the_second_time_on() {
    let (demo, large) = &*WITH_LARGE_ENTRY;
    let server = index(std::slice::from_ref(demo));
    let project = Project::at(&server, std::slice::from_ref(demo));
    let Some(disk) = Mount::tmpfs(&project.path("cache"), "100m") else { return };
    let kept = || {
        let place = project.path("cache/v1/unpacked");
        // Where a wheel is unpacked beside the environment while it comes, nobody needs the place.
        if place.is_dir() { files::below(&place) } else { Vec::new() }
    };
    let sync = |venv: &str, more: &[&str]| {
        project.sync_with(&[&["--venv", venv], more].concat()).succeeds();
        assert!(large_of(&project, venv) == *large, "{venv}");
    };
    sync("first", &[]);
    assert_eq!(kept(), Vec::<PathBuf>::new(), "it may be the only time");
    sync("small", &[]);
    assert_eq!(kept(), Vec::<PathBuf>::new(), "it would take more than a quarter of what the disk has left");
    disk.change("size=1g");
    sync("unpack", &["--link", "unpack"]);
    assert_eq!(kept(), Vec::<PathBuf>::new(), "another way was asked for");
    sync("second", &[]);
    let [copy] = &*kept() else { panic!("{:?}", kept()) };
    assert_eq!(fs::metadata(copy).expect("a file").len(), large.len() as u64);
    // Had the next environment been inflated from the wheel, it would not have this.
    tamper(copy, &[0, 0, 0, 0]);
    project.sync_with(&["--venv", "third"]).succeeds();
    assert!(large_of(&project, "third") != *large);
    sync("strict", &["--strict"]);
    // What was cut short is no copy any more.
    sync("fourth", &[]);
    let [copy] = &*kept() else { panic!("{:?}", kept()) };
    fs::File::options().write(true).open(copy).and_then(|file| file.set_len(5)).expect("cut");
    sync("fifth", &[]);
    project.run(&["cache", "verify"]).succeeds().mentions(&["all as their digests say"]);
}
