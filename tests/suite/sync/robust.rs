//! Runs that are cut short, crowded, or have no room: the old environment and the cache stay whole.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use crate::support::{
    files,
    index::{answer, index},
    lock::Lock,
    mount::Mount,
    package::{Package, greeter, noise},
    process::started_by,
    program::{clean, script, script_of_python, tool},
    project::Project,
    server::{self, Server},
};
use rustix::process::{Pid, Signal, kill_process};

fn demo(version: &str) -> Package {
    Package::simple("demo", version)
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("it runs");
}

/// An index whose files come to a halt half way, drop by drop, until it is released.
struct Slow {
    server: Server,
    half_way: Receiver<()>,
    released: Arc<AtomicBool>,
}

fn slow(packages: &[Package]) -> Slow {
    let packages = packages.to_vec();
    let released = Arc::new(AtomicBool::new(false));
    let (tell, half_way) = channel();
    let (tell, free) = (std::sync::Mutex::new(tell), released.clone());
    let server = Server::with_streams(move |request, stream| {
        let whole = answer(&packages, request);
        if !request.path.starts_with("/simple/files/") || free.load(Ordering::SeqCst) {
            drop(stream.write_all(&whole));
            return;
        }
        let (first, rest) = whole.split_at(whole.len() / 2);
        if stream.write_all(first).is_err() {
            return;
        }
        let _ = tell.lock().expect("a sender").send(());
        for drop in rest.chunks(16) {
            if free.load(Ordering::SeqCst) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
            if stream.write_all(drop).is_err() {
                return;
            }
        }
    });
    Slow { server, half_way, released }
}

/// A wheel of many files, which takes a while to write.
fn many(version: &str) -> Package {
    of_files(version, 6000)
}

fn of_files(version: &str, count: usize) -> Package {
    let files = (0..count).fold(greeter("demo", version), |wheel, number| {
        wheel.stored(
            &format!("demo_files/part{}/file{number}.py", number % 60),
            format!("NUMBER = {number}\n"),
        )
    });
    Package::new(&files)
}

/// Something heavy to fetch, too large to come before the server is asked to go on.
fn heavy(version: &str) -> Package {
    Package::new(&greeter("demo", version).stored("demo.bin", noise(1_000_000)))
}

/// A project with demo 1.0 installed, whose lock then wants `new` from a server.
fn outdated(server: &Server, new: &Package) -> Project {
    let mut project = Project::with_wheels(&[demo("1.0")]);
    project.sync().succeeds();
    project.knows(server);
    project.lock(&Lock::of(&server.url("/simple"), std::slice::from_ref(new)));
    project
}

/// What a run that did not end well must leave.
#[track_caller]
fn is_untouched(project: &Project, before: &files::Snapshot) {
    assert_eq!(project.snapshot(), *before);
    assert_eq!(project.script("demo"), "demo 1.0");
}

/// Nothing half done lies about beside the environment.
#[track_caller]
fn is_swept(project: &Project) {
    let left: Vec<String> = project.names().into_iter().filter(|name| name.contains("venvoy")).collect();
    assert_eq!(left, [""; 0]);
}

/// What a run says that ends by itself where it is asked to.
const INTERRUPTED: [&str; 2] =
    ["error: interrupted", "  help: nothing was changed; run the same command again to go on"];

/// Nor in the cache.
#[track_caller]
fn is_tidy(project: &Project) {
    is_swept(project);
    assert_eq!(files::names(&project.path("cache/v1/tmp")), [""; 0]);
}

#[test]
fn a_large_old_environment_goes_behind_the_end_and_at_once_in_a_ci_job() {
    let project = Project::with_wheels(&[of_files("1.0", 9000)]);
    project.sync().succeeds();
    // As a run that was killed leaves it.
    let left = project.venv().with_file_name(".venv.venvoy-Killed00");
    fs::create_dir_all(left.join("lib/python3/site-packages/a")).expect("directories");
    project.sync_with(&["--fresh"]).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
    assert!(!left.exists());
    for _ in 0..500 {
        if project.names().iter().all(|name| !name.contains(".venvoy-")) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    is_swept(&project);
    // What goes on when a job has ended would be in its workspace.
    let project = project.variable("CI", "true");
    project.sync_with(&["--fresh"]).succeeds();
    is_swept(&project);
}

#[test]
fn sigint_during_a_download_leaves_the_old_environment_and_a_rerun_succeeds() {
    let new = heavy("2.0");
    let slow = slow(std::slice::from_ref(&new));
    let project = outdated(&slow.server, &new);
    let before = project.snapshot();
    let child = project.start(&[]);
    slow.half_way.recv().expect("it downloads");
    signal(&child, Signal::INT);
    project.wait(child).ends(130, &INTERRUPTED);
    is_untouched(&project, &before);
    is_tidy(&project);
    slow.released.store(true, Ordering::SeqCst);
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 2.0");
}

#[test]
fn sigterm_is_as_good_as_sigint() {
    let new = heavy("2.0");
    let slow = slow(std::slice::from_ref(&new));
    let project = outdated(&slow.server, &new);
    let child = project.start(&[]);
    slow.half_way.recv().expect("it downloads");
    signal(&child, Signal::TERM);
    assert_eq!(project.wait(child).code, Some(130));
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn a_second_sigint_ends_a_run_whose_server_says_nothing() {
    let (tell, asked) = channel();
    let tell = std::sync::Mutex::new(tell);
    let server = Server::with_streams(move |_, _| {
        let _ = tell.lock().expect("a sender").send(());
        // Until the test's process ends.
        thread::park();
    });
    let project = outdated(&server, &demo("2.0"));
    let before = project.snapshot();
    let mut child = project.start(&[]);
    asked.recv().expect("it asks");
    while child.try_wait().expect("a status").is_none() {
        signal(&child, Signal::INT);
        thread::sleep(Duration::from_millis(20));
    }
    project.wait(child).ends(
        130,
        &[
            "error: interrupted",
            "  help: run the same command again; it removes what this one left half done",
        ],
    );
    is_untouched(&project, &before);
}

#[test]
fn sigint_ends_the_wait_between_two_tries() {
    let (tell, asked) = channel();
    let tell = std::sync::Mutex::new(tell);
    let server = Server::start(move |_| {
        let _ = tell.lock().expect("a sender").send(());
        server::reply("503 Service Unavailable", &["Retry-After: 60"], b"")
    });
    let project = outdated(&server, &demo("2.0"));
    let child = project.start(&[]);
    asked.recv().expect("it asks");
    signal(&child, Signal::INT);
    // The help tells this end from that of a run that had to be torn from its sleep.
    project.wait(child).ends(130, &INTERRUPTED);
    is_tidy(&project);
}

#[test]
fn sigkill_during_a_download_leaves_the_old_environment_and_a_rerun_succeeds() {
    let new = heavy("2.0");
    let slow = slow(std::slice::from_ref(&new));
    let project = outdated(&slow.server, &new);
    let before = project.snapshot();
    let child = project.start(&[]);
    slow.half_way.recv().expect("it downloads");
    signal(&child, Signal::KILL);
    assert_eq!(project.wait(child).code, None);
    is_untouched(&project, &before);
    slow.released.store(true, Ordering::SeqCst);
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 2.0");
}

/// Waits until a directory beside the environment is being filled, or the run has ended.
fn writing(project: &Project, child: &mut Child) {
    let staged = |name: &String| name.starts_with(".venv.venvoy-");
    while child.try_wait().expect("a status").is_none() {
        if project.names().iter().any(staged) {
            return;
        }
        thread::yield_now();
    }
}

/// Sends a signal to runs that write, until one was hit in the middle; whatever was hit, the environment is
/// the old or the new one.
fn cut_short_while_writing(sent: Signal, code: Option<i32>) -> Project {
    let (old, new) = (demo("1.0"), many("2.0"));
    let project = Project::with_wheels(&[old.clone(), new.clone()]);
    for try_ in 0..20 {
        project.lock(&Lock::new().package(&old));
        project.sync().succeeds();
        let before = project.snapshot();
        project.lock(&Lock::new().package(&new));
        let mut child = project.start(&["--link", "unpack"]);
        writing(&project, &mut child);
        if child.try_wait().expect("a status").is_none() {
            signal(&child, sent);
        }
        let run = project.wait(child);
        if run.code == Some(0) {
            assert_eq!(project.script("demo"), "demo 2.0", "try {try_}");
            continue;
        }
        assert_eq!(run.code, code, "{}", run.stderr);
        if project.script("demo") == "demo 2.0" {
            // Hit after the environment was in its place.
            assert_eq!(project.run(&["check"]).code, Some(0));
            continue;
        }
        is_untouched(&project, &before);
        return project;
    }
    panic!("no run was hit while it wrote");
}

#[test]
fn sigint_while_writing_leaves_the_old_environment_and_a_rerun_succeeds() {
    let project = cut_short_while_writing(Signal::INT, Some(130));
    is_tidy(&project);
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 2.0");
    assert_eq!(project.run(&["check"]).code, Some(0));
}

#[test]
fn sigkill_while_writing_leaves_the_old_environment_and_a_rerun_succeeds_and_tidies_up() {
    let project = cut_short_while_writing(Signal::KILL, None);
    project.sync().succeeds();
    is_swept(&project);
    assert_eq!(project.script("demo"), "demo 2.0");
    assert_eq!(project.run(&["check"]).code, Some(0));
}

#[test]
fn what_a_killed_run_left_goes_with_a_run_that_has_nothing_to_do() {
    let project = cut_short_while_writing(Signal::KILL, None);
    project.lock(&Lock::new().package(&demo("1.0")));
    project.sync().says(&[".venv is up to date (1 package)"]);
    is_swept(&project);
}

#[test]
fn a_run_killed_at_any_moment_leaves_the_old_environment_or_the_new_one() {
    let (old, new) = (demo("1.0"), many("2.0"));
    let project = Project::with_wheels(&[old.clone(), new.clone()]);
    for pause in [0, 2, 5, 10, 20, 40, 80, 160] {
        project.lock(&Lock::new().package(&old));
        project.sync().succeeds();
        project.lock(&Lock::new().package(&new));
        // The unpacked store is in the making too.
        let child = project.start(&["--link", "hardlink"]);
        thread::sleep(Duration::from_millis(pause));
        signal(&child, Signal::KILL);
        project.wait(child);
        let version = project.script("demo");
        let whole = if version == "demo 1.0" { &old } else { &new };
        project.lock(&Lock::new().package(whole));
        let check = project.run(&["check"]);
        assert_eq!(check.code, Some(0), "killed after {pause} ms: {}", check.stdout);
    }
    project.lock(&Lock::new().package(&new));
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 2.0");
    assert_eq!(project.run(&["check"]).code, Some(0));
    is_swept(&project);
}

#[test]
fn runs_at_once_on_one_project_all_succeed_and_fetch_each_file_once() {
    let packages: Vec<Package> = (0..8).map(|n| Package::simple(&format!("demo{n}"), "1.0")).collect();
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    let children: Vec<Child> = (0..4).map(|_| project.start(&[])).collect();
    for child in children {
        project.wait(child).succeeds();
    }
    assert_eq!(project.run(&["check"]).code, Some(0));
    assert_eq!(project.script("demo7"), "demo7 1.0");
    is_tidy(&project);
    let mut files: Vec<String> =
        server.log().into_iter().map(|r| r.path).filter(|path| path.starts_with("/simple/files/")).collect();
    files.sort();
    assert_eq!(files, packages.iter().map(Package::path).collect::<Vec<_>>());
}

#[test]
fn runs_at_once_of_two_projects_share_a_cache() {
    let packages: Vec<Package> = (0..8).map(|n| Package::simple(&format!("demo{n}"), "1.0")).collect();
    let server = index(&packages);
    let (one, two) = (Project::at(&server, &packages), Project::at(&server, &packages[4..]));
    let mut other = two.command(&["sync"]);
    other.env("VENVOY_CACHE_DIR", one.path("cache"));
    let children = (one.start(&[]), other.spawn().expect("it runs"));
    one.wait(children.0).succeeds();
    two.wait(children.1).succeeds();
    for project in [&one, &two] {
        assert_eq!(project.script("demo7"), "demo7 1.0");
        assert_eq!(project.run(&["check"]).code, Some(0));
    }
    let files = server.log().into_iter().filter(|request| request.path.starts_with("/simple/files/"));
    assert_eq!(files.count(), packages.len());
}

#[test]
fn a_full_disk_while_caching_leaves_cache_and_environment_whole() {
    let new = heavy("2.0");
    let server = index(std::slice::from_ref(&new));
    let project = outdated(&server, &new);
    let before = project.snapshot();
    let kept = project.path("cache");
    let files = || files::below(&kept.join("v1/files")).len();
    let old = files();
    // The cache moves to a disk of its own, with hardly any room.
    let copy = project.path("copy");
    fs::rename(&kept, &copy).expect("moved");
    let Some(disk) = Mount::tmpfs(&kept, "512k") else { return };
    files::copy(&copy, &kept);
    let mut nowhere = project.command(&["sync"]);
    nowhere.env("TMPDIR", &kept);
    project.finish(&mut nowhere).ends(
        1,
        &[
            "warning: there is no room left for the cache {root}/cache: what is downloaded now will not be kept",
            "error: cannot install demo 2.0 [default]",
            "  because: cannot store what comes from http://127.0.0.1:{port}/simple/files/demo-2.0-py3-none-any.whl",
            "  because: No space left on device (os error 28)",
            "  help: free some space for the cache and run the same command again",
        ],
    );
    is_untouched(&project, &before);
    is_tidy(&project);
    assert_eq!(files(), old);
    // Where there is room for temporary files, the run goes on without a cache.
    project.sync().says(&[
        "warning: there is no room left for the cache {root}/cache: what is downloaded now will not be kept",
        ".venv: 1 package, {size} in {time} s: 1 downloaded (1.0 MB)",
    ]);
    assert_eq!(project.script("demo"), "demo 2.0");
    assert_eq!(files(), old);
    fs::remove_dir_all(project.venv()).expect("removed");
    disk.change("size=16m");
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 2.0");
}

#[test]
fn a_full_disk_while_writing_leaves_the_old_environment_whole() {
    let (old, new) =
        (demo("1.0"), Package::new(&greeter("demo", "2.0").file("demo.bin", vec![0; 3_000_000])));
    let project = Project::with_wheels(&[old, new.clone()]);
    let Some(disk) = Mount::tmpfs(&project.dir(), "1m") else { return };
    project.lock(&Lock::new().package(&demo("1.0")));
    project.sync().succeeds();
    let before = project.snapshot();
    project.lock(&Lock::new().package(&new));
    let python = script_of_python("import sys; print('python%d.%d' % sys.version_info[:2])");
    let file = format!("  because: cannot write {{root}}/project/.venv/lib/{python}/site-packages/demo.bin");
    for link in ["auto", "unpack", "copy"] {
        // One thread: with more, another file may be the first for which there is no space.
        project.sync_with(&["--link", link, "--threads", "1"]).ends(10, &["error: cannot make {root}/project/.venv", &file, "  because: No space left on device (os error 28)", "  help: free some space on that file system and run the same command again; nothing was lost"]);
        is_untouched(&project, &before);
        is_tidy(&project);
    }
    disk.change("size=32m");
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 2.0");
}

#[test]
fn a_venv_that_is_a_mount_point_is_filled_in_place() {
    let (one, two) = (demo("1.0"), demo("2.0"));
    let project = Project::with_wheels(&[one.clone(), two.clone()]);
    fs::create_dir(project.venv()).expect("made");
    let Some(_disk) = Mount::tmpfs(&project.venv(), "16m") else { return };
    for (package, prints) in [(&one, "demo 1.0"), (&two, "demo 2.0"), (&one, "demo 1.0")] {
        project.lock(&Lock::new().package(package));
        project.sync().succeeds();
        assert_eq!(project.script("demo"), prints);
        assert_eq!(project.run(&["check"]).code, Some(0));
        project.sync().says(&[".venv is up to date (1 package)"]);
    }
    assert!(!files::names(&project.venv()).iter().any(|name| name.starts_with(".venvoy-")));
}

#[test]
fn a_run_killed_while_it_fills_a_mount_point_is_healed_by_the_next() {
    let (old, new) = (demo("1.0"), many("2.0"));
    let project = Project::with_wheels(&[old.clone(), new.clone()]);
    let Some(_disk) = Mount::tmpfs(&project.venv(), "128m") else { return };
    for pause in [0, 10, 30, 60, 100, 150, 250] {
        project.lock(&Lock::new().package(&old));
        project.sync().succeeds();
        assert_eq!(project.script("demo"), "demo 1.0");
        let check = project.run(&["check"]);
        assert_eq!(check.code, Some(0), "killed after {pause} ms: {}", check.stdout);
        project.lock(&Lock::new().package(&new));
        let child = project.start(&["--link", "unpack"]);
        thread::sleep(Duration::from_millis(pause));
        signal(&child, Signal::KILL);
        project.wait(child);
    }
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 2.0");
    assert_eq!(project.run(&["check"]).code, Some(0));
    assert!(!files::names(&project.venv()).iter().any(|name| name.starts_with(".venvoy-")));
}

#[test]
fn an_environment_in_a_lower_layer_is_replaced_and_whatever_goes_wrong_the_old_one_works() {
    let (old, new) = (demo("1.0"), demo("2.0"));
    let gone = Package::new(&greeter("gone", "1.0").file("gone_data.bin", noise(3_000_000)));
    let other = Package::simple("other", "1.0");
    let project = Project::with_wheels(&[old.clone(), new.clone(), gone.clone(), other.clone()]);
    project.lock(&Lock::new().package(&old).package(&gone));
    project.sync().succeeds();
    let upper = project.path("upper");
    let Some(disk) = Mount::tmpfs(&upper, "2m") else { return };
    let Some(_overlay) = Mount::overlay(&project.dir(), &upper) else { return };
    // Inodes change where a file is copied up.
    let look = || project.snapshot().into_iter().map(|(path, state)| (path, state.modified, state.bytes));
    let before: Vec<_> = look().collect();
    project.lock(&Lock::new().package(&new).package(&other));
    // There is no room for what goes: a file of the lower layer is copied before it can be moved.
    let run = project.sync_with(&["--fresh", "--link", "unpack"]);
    assert_eq!(run.code, Some(10), "{}", run.stderr);
    assert_eq!(look().collect::<Vec<_>>(), before);
    assert_eq!((project.script("demo"), project.script("gone")), ("demo 1.0".into(), "gone 1.0".into()));
    disk.change("size=64m");
    project.sync_with(&["--fresh"]).succeeds();
    assert_eq!(project.installed(), ["demo 2.0", "other 1.0"]);
    assert_eq!((project.script("demo"), project.script("other")), ("demo 2.0".into(), "other 1.0".into()));
    assert_eq!(project.run(&["check"]).code, Some(0));
    project.sync().says(&[".venv is up to date (2 packages)"]);
}

#[test]
fn a_link_to_a_directory_at_venv_is_followed() {
    let project = Project::with_wheels(&[demo("1.0")]);
    fs::create_dir(project.path("envs")).expect("made");
    fs::create_dir(project.path("envs/app")).expect("made");
    std::os::unix::fs::symlink("../envs/app", project.venv()).expect("linked");
    project.sync().succeeds();
    assert!(project.venv().is_symlink());
    assert_eq!(script(&project.path("envs/app/bin/demo")), "demo 1.0");
    project.sync().says(&[".venv is up to date (1 package)"]);
}

#[test]
fn something_else_at_venv_is_refused_and_left_alone() {
    let project = Project::with_wheels(&[demo("1.0")]);
    project.write("project/.venv/thesis.txt", "years of work");
    project.sync().ends(10, &["error: cannot make {root}/project/.venv", "  because: {root}/project/.venv is not a virtual environment: it has no pyvenv.cfg, but holds thesis.txt", "  help: move it away, or name another place for the environment; nothing was changed"]);
    assert_eq!(fs::read_to_string(project.venv().join("thesis.txt")).expect("a file"), "years of work");
    fs::remove_dir_all(project.venv()).expect("removed");

    fs::write(project.venv(), "a file").expect("written");
    project.sync().ends(
        10,
        &[
            "error: cannot make {root}/project/.venv",
            "  because: {root}/project/.venv is not a directory",
            "  help: move it away, or name another place for the environment",
        ],
    );
    assert_eq!(fs::read_to_string(project.venv()).expect("a file"), "a file");
    fs::remove_file(project.venv()).expect("removed");

    std::os::unix::fs::symlink("nowhere", project.venv()).expect("linked");
    project.sync().ends(10, &["error: cannot make {root}/project/.venv", "  because: {root}/project/.venv is a symbolic link to something that is not a directory (nowhere)", "  help: remove the link, or make the directory it points to"]);
    assert!(project.venv().is_symlink());
    assert!(!project.dir().join("nowhere").exists());
    is_tidy(&project);
}

#[test]
fn a_venv_that_holds_nothing_to_lose_is_replaced() {
    let project = Project::with_wheels(&[demo("1.0")]);
    let start = |files: &[&str]| {
        let _ = fs::remove_dir_all(project.venv());
        fs::create_dir_all(project.venv().join("lib/python3.11/site-packages")).expect("made");
        for file in files {
            project.write(&format!("project/.venv/{file}"), "*\n");
        }
    };
    for files in [&[][..], &[".gitignore"], &["lib/.gitkeep", "CACHEDIR.TAG"]] {
        start(files);
        project.sync().succeeds();
        assert_eq!(project.script("demo"), "demo 1.0");
        assert_eq!(project.run(&["check"]).code, Some(0));
    }
    // A file deep below counts as much as one at the top.
    start(&["lib/python3.11/notes.txt"]);
    project.sync().ends(10, &["error: cannot make {root}/project/.venv", "  because: {root}/project/.venv is not a virtual environment: it has no pyvenv.cfg, but holds lib/python3.11/notes.txt", "  help: move it away, or name another place for the environment; nothing was changed"]);
}

#[test]
fn a_fifo_in_the_place_of_a_file_of_the_environment_stops_nobody() {
    let project = Project::with_wheels(&[demo("1.0")]);
    project.sync().succeeds();
    let files = files::below(&project.venv());
    let of = |end: &str| files.iter().find(|path| path.ends_with(end)).expect("a file").clone();
    let fifo = |path: &Path| {
        fs::remove_file(path).expect("removed");
        assert!(std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
    };
    fifo(&of("demo-1.0.dist-info/RECORD"));
    assert_eq!(project.run(&["check"]).code, Some(8));
    assert_eq!(project.run(&["size"]).code, Some(10));
    fifo(&of("venvoy.manifest"));
    project.run(&["check"]).fails(
        10,
        &["error: cannot read {root}/project/.venv/venvoy.manifest", "  because: not a regular file"],
    );
    project.sync().succeeds();
    assert_eq!(project.run(&["check"]).code, Some(0));
}

#[test]
fn an_environment_of_venv_is_replaced() {
    let project = Project::with_wheels(&[demo("1.0")]);
    let made = clean(Path::new("python3"))
        .args(["-m", "venv", "--without-pip"])
        .arg(project.venv())
        .status()
        .expect("python3 runs");
    assert!(made.success(), "python3 -m venv (Debian: python3-venv)");
    project.write("project/.venv/bin/left-over", "");
    project.sync().says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(project.script("demo"), "demo 1.0");
    assert!(!project.venv().join("bin/left-over").exists());
    assert_eq!(project.run(&["check"]).code, Some(0));
}

#[test]
fn an_environment_of_virtualenv_is_replaced() {
    let project = Project::with_wheels(&[demo("1.0")]);
    let made = clean(&tool("virtualenv"))
        .env("HOME", project.path("home"))
        .args(["--no-seed", "--quiet", "--python", "python3"])
        .arg(project.venv())
        .status()
        .expect("virtualenv is among the tools that tests/run installs");
    assert!(made.success());
    project.sync().says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(project.script("demo"), "demo 1.0");
    assert_eq!(project.run(&["check"]).code, Some(0));
}

/// A limit on processes or a container's on PIDs: std's and rayon's ways to start a thread would panic.
#[test]
fn where_no_thread_can_be_had_that_is_said_and_nothing_changes() {
    let project = Project::with_wheels(&[demo("1.0")]);
    project.sync().succeeds();
    project.wheels(&[demo("2.0")]);
    project.lock(&Lock::new().package(&demo("2.0")));
    let before = project.snapshot();
    let mut said = 0;
    for first in 1..30 {
        let inject = format!("--inject=clone,clone3:error=EAGAIN:when={first}+");
        let sync = ["sync", "--find-links", "../wheels", "--fresh"];
        let run = project.traced(&["--trace=clone,clone3", &inject], &sync);
        assert!(!run.stderr.contains("panicked"), "{first}: {}", run.stderr);
        if run.code == Some(0) {
            break;
        }
        assert!(run.stderr.starts_with("error: cannot "), "{first}: {}", run.stderr);
        is_untouched(&project, &before);
        said += 1;
    }
    assert!(said >= 3, "{said}");
    assert_eq!(project.script("demo"), "demo 2.0");
}

/// The event loop of the HTTP client panics where it cannot be woken: that is a fault, no error, and nothing of what is
/// asked for stands in it.
#[test]
fn a_fault_of_venvoy_itself_is_told_apart_and_shows_no_secret() {
    let server = index(&[demo("1.0")]);
    let url = server.url("/simple").replace("http://", "http://me:canary4711@");
    let project = Project::of(&Lock::of(&url, &[demo("1.0")]));
    let fail = ["-P", "anon_inode:[eventfd]", "--trace=write", "--inject=write:error=EIO:when=1"];
    let run = project.traced(&fail, &["sync"]);
    assert_eq!(run.code, Some(70), "{}", run.stderr);
    assert!(
        run.stderr.contains("fault: venvoy ") && run.stderr.contains("`venvoy doctor` prints"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("canary") && !run.stderr.contains("panicked"), "{}", run.stderr);
    assert!(!project.venv().exists());
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
}

/// A lock's file was opened again to see whether it was still the same, and with no descriptor left that went on for ever.
#[test]
fn with_too_few_descriptors_a_run_ends() {
    let project = Project::with_wheels(&[demo("1.0"), Package::simple("other", "1.0")]);
    for limit in 11..20 {
        let pack = project.command(&["pack", "--find-links", "../wheels", "--output", "../app.tar"]);
        let mut timeout = Command::new("timeout");
        timeout.args(["60", "sh", "-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
        let run = project.finish(&mut started_by(timeout, &pack));
        assert_ne!(run.code, Some(124), "{limit}: {}", run.stderr);
    }
}
