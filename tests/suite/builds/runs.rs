//! Builds through the whole command: where they take place, what they may do, and what is left when they end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    backend::lib,
    files,
    index::index,
    lock::Lock,
    mount,
    package::{Package, noise},
    program::{script, script_of_python},
    project::Project,
    server::{Server, reply},
    wheel::WheelBuilder,
};
use serde_json::json;

/// A project with a package `lib` beside its lock, whose backend runs this first, in `build_wheel`. `extra` is a
/// dictionary of further files of the wheel.
fn building(code: &str) -> Project {
    let project = Project::new();
    project.lock(&Lock::new().entry("default", "lib", json!({"path": "./lib"})));
    project.plant("project/lib", &lib("built"));
    backend(&project, code);
    project
}

fn backend(project: &Project, code: &str) {
    let path = project.path("project/lib/backend/own.py");
    let text = fs::read_to_string(&path).expect("a backend");
    let own = code.lines().fold(String::new(), |out, line| out + "    " + line + "\n");
    let (head, module) = ("metadata_directory=None):\n", "{\"lib.py\": open(\"lib.py\").read()}");
    assert!(text.contains(head) && text.contains(module), "{text}");
    let text = text
        .replacen(head, &format!("{head}    import subprocess, time\n    extra = {{}}\n{own}"), 1)
        .replacen(module, &format!("dict(extra, **{module})"), 1);
    fs::write(path, text).expect("written");
}

fn kill(signal: &str, pid: u32) {
    let done = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill");
    assert!(done.success());
}

/// Waits until something is so, for some seconds.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process runs, or may yet.
fn runs(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Fault 29: what a build started went on after SIGHUP, SIGQUIT and SIGKILL, in its own session or not.
#[test]
fn what_a_build_started_ends_with_venvoy_however_that_ends() {
    for signal in ["-HUP", "-QUIT", "-KILL"] {
        let project = building(
            "child = subprocess.Popen(['sleep', '120'], start_new_session=True)\n\
             place = os.path.expanduser('~/.cache/pids')\n\
             open(place + '.new', 'w').write('{} {}'.format(os.getpid(), child.pid))\n\
             os.rename(place + '.new', place)\n\
             time.sleep(120)",
        );
        project.write("home/.cache/.keep", "");
        let tmp = project.path("tmp");
        fs::create_dir(&tmp).expect("a directory");
        let mut command = project.command(&["sync"]);
        let mut child = command.env("TMPDIR", &tmp).spawn().expect("venvoy runs");
        let pids = project.path("home/.cache/pids");
        until("the build begins", || pids.exists());
        let pids = fs::read_to_string(pids).expect("read");
        assert!(pids.split(' ').all(runs), "{pids}");
        kill(signal, child.id());
        child.wait().expect("it ends");
        until("all that the build started is gone", || !pids.split(' ').any(runs));
        if signal != "-KILL" {
            assert_eq!(files::names(&tmp), Vec::<String>::new(), "{signal}");
        }
        // Whatever is left is swept by the next run that builds.
        fs::create_dir_all(project.path("project/lib")).expect("a directory");
        project.plant("project/lib", &lib("again"));
        let mut command = project.command(&["sync"]);
        project.finish(command.env("TMPDIR", &tmp)).succeeds();
        assert_eq!(files::names(&tmp), Vec::<String>::new(), "{signal}");
        assert_eq!(project.script("lib"), "again");
    }
}

/// Fault 29: pip's configuration with the password was a file, which stayed when the run was killed.
#[test]
fn no_file_of_a_build_holds_a_password_even_while_pip_runs() {
    let server = Server::start(|request| {
        if request.header("authorization").is_none() {
            return reply("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"x\""], b"");
        }
        std::thread::sleep(Duration::from_secs(2));
        reply("200 OK", &["Content-Type: text/html"], b"<html></html>")
    });
    let mut project = building("pass");
    project.knows(&server);
    let url = server.url("/simple").replace("http://", "http://user:canary-word@");
    project.lock(&Lock::at(&url).entry("default", "lib", json!({"path": "./lib"})));
    let pyproject = fs::read_to_string(project.path("project/lib/pyproject.toml")).expect("read");
    project.write("project/lib/pyproject.toml", pyproject.replace("requires = []", "requires = [\"slow\"]"));
    let tmp = project.path("tmp");
    fs::create_dir(&tmp).expect("a directory");
    let mut command = project.command(&["sync"]);
    let mut child =
        command.env("TMPDIR", &tmp).stderr(std::process::Stdio::piped()).spawn().expect("venvoy runs");
    let asked = || {
        server
            .log()
            .iter()
            .any(|request| request.path.contains("/slow/") && request.header("authorization").is_some())
    };
    until("pip asks with the password", asked);
    let real = tmp.canonicalize().expect("resolved");
    let found: Vec<PathBuf> = files::below(&tmp)
        .into_iter()
        // What is linked to is the user's own: the lock has the password.
        .filter(|file| tmp.join(file).canonicalize().is_ok_and(|file| file.starts_with(&real)))
        .filter(|file| {
            let bytes = fs::read(tmp.join(file)).unwrap_or_default();
            memchr::memmem::find(&bytes, b"canary-word").is_some()
        })
        .collect();
    assert_eq!(found, Vec::<PathBuf>::new());
    for process in fs::read_dir("/proc").expect("a directory").flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let program = String::from_utf8_lossy(&words);
        assert!(!program.contains("canary-word"), "{program}");
    }
    kill("-KILL", child.id());
    child.wait().expect("it ends");
}

/// Fault 29: `/proc/PPID/environ` of a build was venvoy's own.
#[test]
fn a_build_cannot_read_the_variables_of_those_above_it() {
    let project = building(
        "pid, found = os.getpid(), []\n\
         while pid > 1:\n    \
             pid = int(open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[1])\n    \
             try:\n        \
                 found.append(b'canary' in open('/proc/%d/environ' % pid, 'rb').read())\n    \
             except OSError:\n        \
                 found.append(None)\n\
         extra['found.py'] = 'found = %r' % found",
    );
    let mut command = project.command(&["sync"]);
    project.finish(command.env("VENVOY_INDEX_MAIN_PASSWORD", "canary")).succeeds();
    let site = files::below(&project.venv()).into_iter().find(|file| file.ends_with("found.py"));
    let found = fs::read_to_string(site.expect("a file")).expect("read");
    assert!(!found.contains("True"), "{found}");
    // Its guard's, which is empty, at least: the test looks at something.
    assert!(found.contains("False"), "{found}");
}

/// Fault 3: scripts that a build made with the path of its interpreter named one that was gone.
#[test]
fn scripts_made_during_a_build_start_the_environments_python() {
    let project = building(
        "script = '#!' + sys.executable + '\\nimport sys; import lib; print(sys.prefix)\\n'\n\
         extra['lib-1.0.data/data/libexec/deep/lib-tool'] = script\n\
         extra['lib_tools/tool'] = script\n\
         extra['lib_tools/config.py'] = 'python = %r\\n' % sys.executable",
    );
    let run = project.sync();
    run.succeeds();
    assert!(
        run.stderr.contains("lib_tools/config.py records the interpreter that built it"),
        "{}",
        run.stderr
    );
    let base = script_of_python("import sys; print(sys.prefix)");
    let check = |venv: &Path| {
        for tool in ["libexec/deep/lib-tool", "lib/PYTHON/site-packages/lib_tools/tool"] {
            let python = files::names(&venv.join("lib")).remove(0);
            let said = script(&venv.join(tool.replace("PYTHON", &python)));
            assert_eq!(said, venv.display().to_string(), "{tool}");
            assert_ne!(said, base);
        }
    };
    check(&project.venv());
    let config = files::below(&project.venv()).into_iter().find(|file| file.ends_with("lib_tools/config.py"));
    let config = fs::read_to_string(project.venv().join(config.expect("a file"))).expect("read");
    assert!(!config.contains("venvoy-build"), "{config}");
    fs::rename(project.dir(), project.path("moved")).expect("moved");
    check(&project.path("moved/.venv"));
    fs::rename(project.path("moved"), project.dir()).expect("moved back");
    let at = project.venv().display().to_string();
    project.sync_with(&["--at", &at]).succeeds();
    check(&project.venv());
    let script = fs::read_to_string(project.venv().join("libexec/deep/lib-tool")).expect("read");
    assert!(script.starts_with(&format!("#!{at}/bin/python\n")), "{script}");
}

/// Fault 4: paths of a build were random, so what recorded them was never the same twice.
#[test]
fn a_build_that_records_its_paths_gives_the_same_twice() {
    let code = "import tempfile\n\
                extra['paths.py'] = repr((os.getcwd(), os.path.expanduser('~'), tempfile.gettempdir(), __file__, sys.prefix))";
    let digest = || {
        let project = building(code);
        project.sync().succeeds();
        project.run(&["digest"]).succeeds().stdout.clone()
    };
    assert_eq!(digest(), digest());
    // Elsewhere than in /tmp it is another path, which is told.
    let project = building(code);
    let tmp = project.path("tmp");
    fs::create_dir(&tmp).expect("a directory");
    let mut command = project.command(&["sync"]);
    let run = project.finish(command.env("TMPDIR", &tmp));
    run.succeeds();
    assert!(run.stderr.contains("paths.py holds the path of its build"), "{}", run.stderr);
}

/// Fault 35: whether a build may write to `~/.cache/tool` depended on `~/.cache` being there.
#[test]
fn a_build_has_a_home_whatever_the_users_holds() {
    let code = "for place in ['.cache/tool', '.local/share/tool', '.tool', '.cargo/registry', '.npm']:\n    \
                    os.makedirs(os.path.expanduser('~/' + place), exist_ok=True)\n\
                open(os.path.expanduser('~/.cache/tool/kept'), 'w').close()";
    for home in ["home", "nowhere"] {
        let project = building(code);
        let mut command = project.command(&["sync"]);
        project.finish(command.env("HOME", project.path(home))).succeeds();
        assert_eq!(files::names(&project.path("home")), Vec::<String>::new());
        assert!(!project.path("nowhere").exists());
    }
    // A cache that is there is used.
    let project = building(code);
    project.write("home/.cache/other", "");
    project.sync().succeeds();
    assert!(project.path("home/.cache/tool/kept").exists());
}

/// A build could not write where its user had cargo keep what it compiles, and failed.
#[test]
fn a_build_keeps_what_it_compiles_where_a_variable_says() {
    let code = "kept = os.environ.get('CARGO_TARGET_DIR', 'target')\nos.makedirs(kept, exist_ok=True)\n\
                open(kept + '/compiled', 'a').write('.')";
    let project = building(code);
    let kept = project.path("kept");
    let built = |edit: &str, place: &Path| {
        project.write("project/lib/lib.py", format!("def main():\n    print('{edit}')\n"));
        let mut command = project.command(&["sync"]);
        project.finish(command.env("CARGO_TARGET_DIR", place)).succeeds();
        assert_eq!(project.script("lib"), edit);
    };
    // It is as without where there is no such place, and where that is a part of the project.
    built("first", &kept);
    built("second", Path::new("own"));
    assert!(!kept.exists());
    fs::create_dir(&kept).expect("a directory");
    built("third", &kept);
    built("fourth", &kept);
    assert_eq!(fs::read_to_string(kept.join("compiled")).expect("what was kept"), "..");
}

/// Fault 31: a full disk in a build's pip was exit code 9 and advice about sources.
#[test]
fn a_full_disk_in_a_builds_pip_is_named() {
    let project = building("pass");
    let pyproject = fs::read_to_string(project.path("project/lib/pyproject.toml")).expect("read");
    project.write("project/lib/pyproject.toml", pyproject.replace("requires = []", "requires = [\"large\"]"));
    let large = WheelBuilder::new("large", "1.0").file("large.bin", noise(8 << 20));
    project.write(&format!("wheels/{}", large.file_name()), large.build());
    let tmp = project.path("tmp");
    fs::create_dir(&tmp).expect("a directory");
    // Without the right to mount there is nothing to fill.
    let Some(_mount) = mount::Mount::tmpfs(&tmp, "4m") else { return };
    let mut command = project.command(&["sync", "--offline"]);
    command.env("TMPDIR", &tmp).env("PIP_FIND_LINKS", project.path("wheels"));
    let run = project.finish(&mut command);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stderr.contains("the disk is full: free some space in {root}/tmp, or set TMPDIR"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("sources"), "{}", run.stderr);
}

/// Fault 23: while something compiled for minutes, nothing said what.
#[test]
fn what_is_built_is_named_when_it_begins() {
    let project = building("pass");
    let run = project.sync_with(&["-v"]);
    run.succeeds();
    let lines: Vec<&str> = run.stderr.lines().collect();
    let at = |what: &str| lines.iter().position(|line| line.starts_with(what));
    assert!(at("building lib") < at("lib 1.0: built from lib"), "{}", run.stderr);
    assert!(at("building lib").is_some(), "{}", run.stderr);
}

/// Which files build requirements mean is asked once a day: a changed project is built without asking anybody.
#[test]
fn build_requirements_are_asked_for_once() {
    let dep = Package::new(&WheelBuilder::new("dep", "1.0").file("dep.py", "one = 1\n"));
    let server = index(std::slice::from_ref(&dep));
    let mut project = building("import dep; extra['dep_seen.py'] = 'one = %r' % dep.one");
    project.knows(&server);
    let pyproject = fs::read_to_string(project.path("project/lib/pyproject.toml")).expect("read");
    project.write("project/lib/pyproject.toml", pyproject.replace("requires = []", "requires = [\"dep\"]"));
    project.lock(&Lock::at(&server.url("/simple")).entry("default", "lib", json!({"path": "./lib"})));
    let asked = || server.log().len();
    let built = |options: &[&str], prints: &str| {
        project.write("project/lib/lib.py", format!("def main():\n    print('{prints}')\n"));
        let run = project.run(&[&["sync", "-v"], options].concat());
        run.succeeds();
        assert!(run.stderr.contains("lib: built with dep==1.0"), "{}", run.stderr);
        assert_eq!(project.script("lib"), prints);
    };
    built(&[], "first");
    let first = asked();
    assert!(first > 0);
    built(&[], "second");
    built(&["--offline"], "third");
    assert_eq!(asked(), first, "nobody is asked again");
    built(&["--refresh"], "fourth");
    assert!(asked() > first);
}

/// A build cannot write to the files of its own environment, which may be those of the cache.
#[test]
fn a_build_cannot_change_what_it_is_built_with() {
    let dep = Package::new(&WheelBuilder::new("dep", "1.0").file("dep.py", "one = 1\n"));
    let server = index(std::slice::from_ref(&dep));
    let project = building(
        "import dep\ntry:\n    open(dep.__file__, 'a').write('two = 2\\n')\nexcept OSError:\n    pass\n\
         extra['dep_seen.py'] = open(dep.__file__).read()",
    );
    let pyproject = fs::read_to_string(project.path("project/lib/pyproject.toml")).expect("read");
    project.write("project/lib/pyproject.toml", pyproject.replace("requires = []", "requires = [\"dep\"]"));
    project.lock(&Lock::at(&server.url("/simple")).entry("default", "lib", json!({"path": "./lib"})));
    project.sync().succeeds();
    for prints in ["second", "third"] {
        project.write("project/lib/lib.py", format!("def main():\n    print('{prints}')\n"));
        project.sync().succeeds();
    }
    let seen = files::below(&project.venv()).into_iter().find(|file| file.ends_with("dep_seen.py"));
    let seen = fs::read_to_string(seen.expect("a file")).expect("read");
    // Where the kernel confines no one, each environment is a copy: at most this build's own change is in it.
    assert!(seen.matches("two").count() <= 1, "{seen}");
}
