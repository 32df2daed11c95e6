//! Many processes with one cache, some of them killed; and a cache that is not what it was a moment ago.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::support::{
    backend::{self, lib},
    files,
    index::{answer, index},
    mount::{Mount, with_mounts},
    package::{Package, greeter, noise},
    process::started_by,
    program::script,
    project::Project,
    server::Server,
};

const DESCRIBED: [&str; 6] =
    ["--python-version", "3.11", "--platform", "linux/amd64", "--python-home", "/usr/local/bin"];

/// How long the crowd is at it: a minute is asked for by `VENVOY_CROWD_SECONDS=60`.
fn long() -> Duration {
    let seconds = std::env::var("VENVOY_CROWD_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

#[test]
fn sixteen_processes_share_a_cache_while_some_are_killed() {
    let packages: Vec<Package> = (0..12)
        .map(|n| Package::new(&greeter(&format!("demo{n}"), "1.0").file("data.bin", noise(20_000 + n))))
        .collect();
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    let (end, runs, killed) = (Instant::now() + long(), AtomicUsize::new(0), AtomicUsize::new(0));
    let failed: Mutex<Vec<String>> = Mutex::default();
    let one = |who: usize| {
        let mut round = 0;
        while Instant::now() < end && failed.lock().expect("a lock").is_empty() {
            round += 1;
            let venv = format!("venv-{who}");
            let tar = format!("out-{who}.tar");
            let args: Vec<&str> = match who {
                6..=7 => vec!["sync", "--fresh", "--venv", &venv, "--link", "copy"],
                8..=9 => vec!["warm", "--unpacked"],
                10..=11 => [&["pack", "-o", &tar], &DESCRIBED[..]].concat(),
                12 if round % 5 == 0 => vec!["cache", "clear"],
                12 => vec!["cache", "prune", "--max-size", "100kB"],
                13 => vec!["cache", "verify"],
                14 => vec!["warm", "--layers"],
                _ => vec!["sync", "--fresh", "--venv", &venv],
            };
            let mut child = project.command(&args);
            child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            let mut child = child.spawn().expect("venvoy runs");
            if who >= 14 {
                thread::sleep(Duration::from_millis(20 + 37 * (round % 9)));
                let _ = child.kill();
                killed.fetch_add(1, Ordering::Relaxed);
            }
            let output = child.wait_with_output().expect("it ends");
            if who < 14 && !output.status.success() {
                failed.lock().expect("a lock").push(format!(
                    "{args:?}: {}\n{}{}",
                    output.status,
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
            runs.fetch_add(1, Ordering::Relaxed);
            if args[0] == "sync" && output.status.success() {
                assert_eq!(script(&project.dir().join(&venv).join("bin/demo3")), "demo3 1.0");
            }
        }
    };
    thread::scope(|scope| {
        for who in 0..16 {
            let one = &one;
            scope.spawn(move || one(who));
        }
    });
    let failed = failed.into_inner().expect("a lock");
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    let (runs, killed) = (runs.into_inner(), killed.into_inner());
    assert!(runs > 16 && killed > 0, "{runs} runs, {killed} killed");
    project.run(&["sync"]).succeeds();
    project.run(&["cache", "verify"]).succeeds().mentions(&["all as their digests say"]);
}

#[test]
fn a_cache_that_is_removed_in_the_middle_of_a_run_is_done_without_and_made_again_by_the_next() {
    let packages: Vec<Package> = (0..6).map(|n| Package::simple(&format!("demo{n}"), "1.0")).collect();
    let place: &'static Mutex<Option<PathBuf>> = Box::leak(Box::default());
    let all = packages.clone();
    let server = Server::start(move |request| {
        if request.path.ends_with("demo3-1.0-py3-none-any.whl")
            && let Some(cache) = place.lock().expect("a lock").take()
        {
            let _ = fs::remove_dir_all(cache);
        }
        answer(&all, request)
    });
    let project = Project::at(&server, &packages);
    // What only fills a cache has then done nothing.
    for (command, code) in [("sync", 0), ("warm", 1)] {
        project.forget();
        *place.lock().expect("a lock") = Some(project.path("cache"));
        let run = project.run(&[command, "--concurrent-downloads", "1"]);
        run.ends_with(code).mentions(&[
            "the cache {root}/cache was removed meanwhile: what is downloaded now will not be kept",
        ]);
        assert!(place.lock().expect("a lock").is_none(), "it was removed");
    }
    project.run(&["sync"]).succeeds();
    project.run(&["cache", "verify"]).succeeds();
}

fn set_times(dir: &Path, time: SystemTime) {
    for path in files::below(dir) {
        let file =
            fs::File::options().write(true).open(&path).or_else(|_| fs::File::open(&path)).expect("a file");
        file.set_times(fs::FileTimes::new().set_accessed(time).set_modified(time)).expect("times");
    }
}

#[test]
fn a_copy_that_a_run_has_not_ended_is_no_damage() {
    let demo = Package::simple("demo", "1.0");
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.run(&["warm", "--unpacked"]).succeeds();
    let unpacked = files::below(&project.path("cache/v1/unpacked"));
    let beside = |name: &str| unpacked[0].with_file_name(name);
    let (at_work, left) = (beside(".0.1"), beside(".1.1"));
    for path in [&at_work, &left] {
        fs::write(path, "half").expect("written");
    }
    let then = SystemTime::now() - Duration::from_hours(2);
    fs::File::options().write(true).open(&left).and_then(|file| file.set_modified(then)).expect("a time");
    project.run(&["cache", "verify"]).succeeds().mentions(&["all as their digests say"]);
    assert!(at_work.exists() && !left.exists());
}

#[test]
fn a_clock_that_jumps_costs_nothing_that_is_right() {
    let demo = Package::simple("demo", "1.0");
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    let years = Duration::from_hours(24 * 365 * 10);
    for time in [SystemTime::now() + years, SystemTime::now() - years, SystemTime::UNIX_EPOCH] {
        project.forget();
        project.run(&["warm", "--unpacked"]).succeeds();
        let asked = server.log().len();
        set_times(&project.path("cache/v1"), time);
        for link in ["auto", "unpack"] {
            project.run(&["sync", "--fresh", "--link", link]).succeeds();
            assert_eq!(project.script("demo"), "demo 1.0");
        }
        project.run(&["cache", "verify"]).succeeds();
        assert_eq!(server.log().len(), asked, "it is still the right file");
    }
    // What was used in the future was not used long ago.
    project.forget();
    project.run(&["warm"]).succeeds();
    set_times(&project.path("cache/v1/files"), SystemTime::now() + years);
    project.run(&["cache", "prune", "--older-than", "1h"]).succeeds();
    project.run(&["sync", "--offline"]).succeeds();
}

#[test]
fn in_a_ci_job_the_cache_has_wheels_and_nothing_that_is_cheaper_to_make() {
    let demo = Package::simple("demo", "1.0");
    let project = Project::with_wheels(std::slice::from_ref(&demo)).variable("CI", "true");
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
    assert!(!project.path("cache/v1/unpacked").exists());
    // Who knows better says so.
    project.sync_with(&["--fresh", "--link", "auto"]).succeeds();
    assert!(project.path("cache/v1/unpacked").exists());
    let project = Project::with_wheels(std::slice::from_ref(&demo))
        .variable("CI", "true")
        .variable("VENVOY_LINK", "hardlink");
    project.sync().succeeds();
    assert!(project.path("cache/v1/unpacked").exists());
}

/// What a cache on `mount` is good for.
fn serves(project: &Project, server: &Server, mount: &Mount) {
    project.run(&["warm"]).succeeds();
    let asked = server.log().len();
    for link in ["auto", "hardlink", "copy"] {
        let run = project.run(&["sync", "--fresh", "--link", link]);
        if link != "hardlink" {
            run.succeeds();
            assert_eq!(project.script("demo"), "demo 1.0");
        }
    }
    project.run(&["cache", "verify"]).succeeds();
    mount.change("ro");
    project.run(&["warm"]).succeeds().mentions(&["cannot be written", "everything was there"]);
    project.run(&["sync", "--fresh"]).succeeds();
    assert_eq!(server.log().len(), asked);
    mount.change("rw");
}

#[test]
fn a_cache_in_memory_in_an_overlay_or_read_only_serves() {
    let demo = Package::simple("demo", "1.0");
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    if let Some(mount) = Mount::tmpfs(&project.path("cache"), "4m") {
        serves(&project, &server, &mount);
    }
    let project = Project::at(&server, std::slice::from_ref(&demo));
    let upper = project.path("changes");
    fs::create_dir_all(project.path("cache")).expect("a directory");
    let Some(_memory) = Mount::tmpfs(&upper, "8m") else { return };
    if let Some(mount) = Mount::overlay(&project.path("cache"), &upper) {
        serves(&project, &server, &mount);
    }
}

#[test]
fn to_warm_a_cache_that_keeps_nothing_is_an_error_and_a_sync_goes_on() {
    let large = Package::new(&greeter("demo", "1.0").stored("data.bin", noise(900_000)));
    let server = index(std::slice::from_ref(&large));
    let project = Project::at(&server, std::slice::from_ref(&large));
    let Some(_small) = Mount::tmpfs(&project.path("cache"), "512k") else { return };
    project.run(&["warm"]).ends_with(1).mentions(&[
        "there is no room left for the cache {root}/cache: what is downloaded now will not be kept",
        "error: the cache {root}/cache keeps nothing of what came",
    ]);
    project.run(&["sync"]).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
    // What else it was to make is made.
    project.run(&["warm", "--wheelhouse", "../house"]).succeeds();
    assert!(project.path("house").join(&large.file).is_file());
}

/// The command on a system where no file system has locks, as NFS mounted with `nolock` or without a lock server. Its
/// `/tmp` is below the project's root: the builds of other tests have locks, and would take its builds for left behind.
fn without_locks(root: &Path, command: &Command) -> Option<Command> {
    const OWN_TMP: &str = r#"mkdir -p "$0/own-tmp/${0##*/}" && mount --bind "$0" "$0/own-tmp/${0##*/}" &&
        mount --rbind "$0/own-tmp" /tmp && cd "$0/project""#;
    // The program may be below the `/tmp` that is hidden.
    let program = root.join("venvoy");
    if !program.exists() {
        fs::copy(command.get_program(), &program).expect("copied");
    }
    let mut copy = Command::new(program);
    copy.args(command.get_args());
    copy.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"]);
    strace.args(["--trace=flock", "--inject=flock:error=ENOLCK"]);
    with_mounts(OWN_TMP, root, &started_by(strace, &copy))
}

#[test]
fn a_cache_on_a_file_system_without_locks_serves_also_several_at_once() {
    let packages = [Package::simple("demo", "1.0"), backend::sdist("lib", lib("from an sdist"))];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    let dir = project.dir();
    let root = dir.parent().expect("a root");
    if without_locks(root, &project.command(&["--version"])).is_none() {
        return;
    }
    let run = |args: &[&str]| {
        let mut command = without_locks(root, &project.command(args)).expect("mounts are possible");
        project.finish(&mut command)
    };
    let kept = run(&["warm", "--unpacked"]);
    kept.succeeds();
    assert!(kept.stderr.matches("warning: ").count() <= 1, "{}", kept.stderr);
    let asked = server.log().len();
    for link in ["auto", "hardlink", "copy", "unpack"] {
        let sync = run(&["sync", "--fresh", "--link", link]);
        sync.succeeds();
        assert!(sync.stderr.matches("warning: ").count() <= 1, "{link}: {}", sync.stderr);
        assert_eq!(project.script("demo"), "demo 1.0");
    }
    assert_eq!(server.log().len(), asked, "it is all there");
    // Whoever comes at the same time does the work twice, and nothing else.
    for round in 0..3 {
        let _ = fs::remove_dir_all(project.path("cache"));
        thread::scope(|scope| {
            for who in 0..4 {
                let (run, venv) = (&run, format!("venv{who}"));
                scope.spawn(move || {
                    let sync = run(&["sync", "--venv", &venv]);
                    assert!(sync.code == Some(0), "{round}: {}", sync.stderr);
                });
            }
        });
        for who in 0..4 {
            assert_eq!(script(&project.dir().join(format!("venv{who}/bin/demo"))), "demo 1.0");
            fs::remove_dir_all(project.dir().join(format!("venv{who}"))).expect("removed");
        }
    }
    run(&["cache", "verify"]).succeeds().mentions(&["all as their digests say"]);
    run(&["cache", "prune", "--keep-locks", "."]).succeeds();
    run(&["sync", "--offline", "--fresh"]).succeeds();
}

#[test]
fn what_a_newer_venvoy_adds_to_a_cache_is_left_alone_and_in_nobodys_way() {
    let demo = Package::simple("demo", "1.0");
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.run(&["warm", "--unpacked"]).succeeds();
    // Another layout, another kind, other names in known kinds, and more in a record than is known here.
    let newer = [
        "cache/v2/files/ab/a-file",
        "cache/v1/summaries/ab/a-record",
        "cache/v1/summaries/index.json",
        "cache/v1/files/index.json",
        "cache/v1/selections/index.json",
        "cache/v1/verified/more",
    ];
    for name in newer {
        project.write(name, "of a newer venvoy");
    }
    let record = files::below(&project.path("cache/v1/selections"))
        .into_iter()
        .find(|path| !path.ends_with("index.json"))
        .expect("a record");
    let more =
        fs::read_to_string(&record).expect("a record").replacen('{', "{\"provenance\": {\"a\": [1]}, ", 1);
    fs::write(&record, &more).expect("written");
    let asked = server.log().len();
    for args in
        [&["sync", "--fresh"][..], &["warm"], &["cache", "verify"], &["cache", "info"], &["cache", "list"]]
    {
        let run = project.run(args);
        run.succeeds();
        assert!(!run.stderr.contains("warning"), "{args:?}: {}", run.stderr);
    }
    for args in [&["cache", "prune"][..], &["cache", "prune", "--ci", "--keep-locks", "."]] {
        project.run(args).succeeds();
        project.run(&["sync", "--fresh", "--offline"]).succeeds();
    }
    assert_eq!(server.log().len(), asked);
    assert_eq!(fs::read_to_string(&record).expect("it is there"), more);
    let gone: Vec<&&str> = newer.iter().filter(|name| project.read(name).is_empty()).collect();
    // What a job does not carry is what was verified on this machine.
    assert_eq!(gone, [&"cache/v1/verified/more"]);
}
