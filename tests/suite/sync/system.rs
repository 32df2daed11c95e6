//! `--system` and active virtual environments: packages among those of other installers, which go on working.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    backend::of_module,
    interpreters,
    lock::Lock,
    mount::with_mounts,
    package::Package,
    prefix::{Prefix, differences, pip},
    program::clean,
    project::Project,
    run::Run,
    wheel::WheelBuilder,
};

/// A package with a module, one that only this version has, a script, data and a header.
fn package(name: &str, version: &str) -> Package {
    let own = format!("{name}/v{}.py", &version[..1]);
    Package::new(
        &WheelBuilder::new(name, version)
            .file(&format!("{name}/__init__.py"), format!("def main():\n    print('{name} {version}')\n"))
            .file(&own, "")
            .data(&format!("data/share/{name}/text"), version)
            .data(&format!("scripts/{name}-plain"), "#!python\nprint('plain')\n")
            .data(&format!("headers/{name}.h"), version)
            .console_script(&format!("{name} = {name}:main")),
    )
}

/// A project beside an interpreter with a prefix of its own, and packages to install from.
struct Place {
    project: Project,
    prefix: Prefix,
}

impl Place {
    fn new(packages: &[&Package]) -> Self {
        let project = Project::new();
        let owned: Vec<Package> = packages.iter().map(|package| (*package).clone()).collect();
        project.wheels(&owned);
        let prefix = Prefix::new(&project.path("usr/local"), (3, 11));
        let path = prefix.path();
        Place { project: project.variable("PATH", path), prefix }
    }

    fn command(&self, packages: &[&Package], args: &[&str]) -> Command {
        self.project.lock(&packages.iter().fold(Lock::new(), |lock, package| lock.package(package)));
        self.project
            .command(&[&["install", "--system", "--deploy", "--find-links", "../wheels"], args].concat())
    }

    #[track_caller]
    fn install(&self, packages: &[&Package], args: &[&str]) -> String {
        last_line(&self.project.finish(&mut self.command(packages, args)))
    }

    #[track_caller]
    fn pip(&self, args: &[&str]) -> String {
        self.prefix.pip(&self.project.path("wheels"), args)
    }

    /// Name and version of all that pip sees.
    fn list(&self) -> Vec<String> {
        let list = self.pip(&["list", "--format", "freeze"]);
        list.lines().filter(|line| !line.starts_with("pip==")).map(str::to_owned).collect()
    }
}

#[track_caller]
fn last_line(run: &Run) -> String {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stderr.lines().last().unwrap_or_default().to_owned()
}

fn runs(script: &Path) -> String {
    let output = clean(script).output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn inode(path: &Path) -> (u64, i64) {
    let meta = fs::symlink_metadata(path).expect("it is there");
    (meta.ino(), meta.ctime())
}

#[test]
fn what_others_installed_stays_and_pip_goes_on_working() {
    let (old, new, other, tool) =
        (package("demo", "1.0"), package("demo", "2.0"), package("other", "1.0"), package("tool", "1.0"));
    let place = Place::new(&[&old, &new, &other, &tool]);
    place.pip(&["install", "demo==1.0", "other"]);
    let before = inode(&place.prefix.site("other/__init__.py"));

    let said = place.install(&[&new, &tool], &[]);
    assert!(said.contains("{root}/usr/local: 1 added, 1 changed; 0 kept, in "), "{said}");
    assert_eq!(place.list(), ["demo==2.0", "other==1.0", "tool==1.0"]);
    assert_eq!(place.pip(&["check"]).trim(), "No broken requirements found.");
    assert!(!place.prefix.site("demo/v1.py").exists(), "the old one went by its RECORD");
    assert!(!place.prefix.site("demo-1.0.dist-info").exists());
    assert!(!place.prefix.site("demo/__pycache__/v1.cpython-311.pyc").exists());
    assert_eq!(before, inode(&place.prefix.site("other/__init__.py")));
    let script = place.prefix.root.join("bin/demo");
    assert_eq!(runs(&script), "demo 2.0");
    let first = fs::read_to_string(&script).expect("a script");
    assert!(first.starts_with(&format!("#!{}/bin/python3\n", place.prefix.root.display())), "{first}");
    assert_eq!(runs(&place.prefix.root.join("bin/demo-plain")), "plain");
    assert!(!place.project.venv().exists());

    assert!(place.install(&[&new, &tool], &[]).contains("up to date"));
    let said = place.install(&[&new], &[]);
    assert!(said.contains("1 removed; 1 kept"), "{said}");
    assert_eq!(place.list(), ["demo==2.0", "other==1.0"]);
    assert!(!place.prefix.root.join("share/tool").exists() && !place.prefix.root.join("bin/tool").exists());

    // pip can take away what venvoy installed, and venvoy brings it back.
    place.pip(&["uninstall", "--yes", "demo"]);
    assert_eq!(place.list(), ["other==1.0"]);
    let said = place.install(&[&new], &[]);
    assert!(said.contains("1 changed; 0 kept"), "{said}");
    assert_eq!(runs(&script), "demo 2.0");
    // And pip can exchange it, which venvoy then takes back.
    place.pip(&["install", "demo==1.0"]);
    place.install(&[&new], &[]);
    assert_eq!(place.list(), ["demo==2.0", "other==1.0"]);
    assert!(!place.prefix.site("demo/v1.py").exists());
}

#[test]
fn the_files_are_those_of_pip() {
    let (demo, tool) = (package("demo", "1.0"), package("tool", "1.0"));
    let place = Place::new(&[&demo, &tool]);
    place.install(&[&demo, &tool], &[]);
    let ours = place.prefix.files();
    fs::remove_dir_all(&place.prefix.root).expect("removed");
    let theirs = Prefix::new(&place.prefix.root, (3, 11));
    theirs.pip(&place.project.path("wheels"), &["install", "--no-deps", "demo", "tool"]);
    let own = ["venvoy.manifest", "/INSTALLER", "/REQUESTED", "/RECORD"];
    let known = |files: Vec<(String, Vec<u8>)>| -> Vec<(String, Vec<u8>)> {
        files.into_iter().filter(|(name, _)| !own.iter().any(|own| name.ends_with(own))).collect()
    };
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let (ours, theirs) = (known(ours), known(theirs.files()));
    assert_eq!(names(&ours), names(&theirs));
    let differing: Vec<&String> =
        ours.iter().zip(&theirs).filter(|(a, b)| a != b).map(|((name, _), _)| name).collect();
    // pip's launcher for an entry point is worded otherwise.
    assert_eq!(differing, ["bin/demo", "bin/tool"]);
}

#[test]
fn an_interpreter_that_the_system_manages_is_left_alone() {
    let demo = package("demo", "1.0");
    let place = Place::new(&[&demo]);
    let marker = place.prefix.root.join(&place.prefix.lib).join("EXTERNALLY-MANAGED");
    fs::write(&marker, "[externally-managed]\nError=Use apt\n instead.\n").expect("written");
    let run = place.project.finish(&mut place.command(&[&demo], &[]));
    assert_eq!(run.code, Some(10), "{}", run.stderr);
    assert!(run.stderr.contains("is managed by the system (EXTERNALLY-MANAGED, PEP 668): Use apt instead."));
    assert!(run.stderr.contains("--break-system-packages"), "{}", run.stderr);
    assert!(!place.prefix.site("demo").exists());
    place.install(&[&demo], &["--break-system-packages"]);
    assert_eq!(place.list(), ["demo==1.0"]);
    let mut command = place.command(&[&demo], &["--fresh"]);
    last_line(&place.project.finish(command.env("PIP_BREAK_SYSTEM_PACKAGES", "1")));
}

#[test]
fn pip_user_means_the_users_own_packages() {
    let demo = package("demo", "1.0");
    let place = Place::new(&[&demo]);
    let said = last_line(&place.project.finish(place.command(&[&demo], &[]).env("PIP_USER", "1")));
    assert!(said.contains("{root}/home/.local: 1 added"), "{said}");
    assert!(place.project.path("home/.local/lib/python3.11/site-packages/demo/__init__.py").is_file());
    assert!(!place.prefix.site("demo").exists());
    let mut command = clean(&place.project.path("home/.local/bin/demo"));
    let output = command.env("HOME", place.project.path("home")).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "demo 1.0\n");
}

#[test]
fn pipenv_system_means_the_same() {
    let demo = package("demo", "1.0");
    let place = Place::new(&[&demo]);
    place.project.lock(&Lock::new().package(&demo));
    let mut command = place.project.command(&["sync", "--find-links", "../wheels"]);
    let said = last_line(&place.project.finish(command.env("PIPENV_SYSTEM", "1")));
    assert!(said.contains("{root}/usr/local: 1 added"), "{said}");
    // What is named is meant.
    let mut command = place.project.command(&["sync", "--find-links", "../wheels", "--venv", "../named"]);
    let said = last_line(&place.project.finish(command.env("PIPENV_SYSTEM", "1")));
    assert!(said.contains("named: 1 package"), "{said}");
}

#[test]
fn check_compares_what_venvoy_installed_and_repairs_it() {
    let (demo, other) = (package("demo", "1.0"), package("other", "1.0"));
    let place = Place::new(&[&demo, &other]);
    place.pip(&["install", "other"]);
    place.install(&[&demo], &["--link", "unpack"]);
    let check = |args: &[&str]| {
        place.project.run(&[&["check", "--system", "--find-links", "../wheels"], args].concat())
    };
    assert_eq!(check(&[]).code, Some(0), "{}", check(&[]).stdout);
    // An edit that left neither size nor time behind.
    let module = place.prefix.site("demo/__init__.py");
    let time = fs::metadata(&module).and_then(|meta| meta.modified()).expect("a time");
    let text = fs::read_to_string(&module).expect("read").replace("1.0", "6.6");
    fs::write(&module, text).expect("written");
    fs::File::open(&module).and_then(|file| file.set_modified(time)).expect("set");
    let run = check(&[]);
    assert_eq!(run.code, Some(8), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("demo/__init__.py"), "{}", run.stdout);
    assert_eq!(check(&["--repair"]).code, Some(0), "{}", check(&[]).stdout);
    assert_eq!(runs(&place.prefix.root.join("bin/demo")), "demo 1.0");
    assert_eq!(place.list(), ["demo==1.0", "other==1.0"]);
}

#[test]
fn options_of_environments_make_no_sense_there() {
    let demo = package("demo", "1.0");
    let place = Place::new(&[&demo]);
    for (args, named) in [
        (&["--at", "/opt/venv"][..], "--at"),
        (&["--copies"], "--copies"),
        (&["--seed"], "--seed"),
        (&["--slim"], "--slim"),
        (&["--venv", "elsewhere"], "--venv"),
    ] {
        let run = place.project.finish(&mut place.command(&[&demo], args));
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(named) && run.stderr.contains("exclude each other"), "{}", run.stderr);
    }
}

#[test]
fn what_is_in_the_way_is_named_and_nothing_is_changed() {
    let (demo, tool) = (package("demo", "1.0"), package("tool", "1.0"));
    let place = Place::new(&[&demo, &tool]);
    place.install(&[&tool], &[]);
    // Somebody's directory where a script goes, and a link to a directory where one is to be.
    let refused = |what: &str| {
        let run = place.project.finish(&mut place.command(&[&demo, &tool], &[]));
        assert_eq!(run.code, Some(10), "{}", run.stderr);
        assert!(run.stderr.contains(what), "{}", run.stderr);
        assert!(!place.prefix.site("demo-1.0.dist-info").exists());
    };
    fs::create_dir(place.prefix.root.join("bin/demo")).expect("made");
    fs::write(place.prefix.root.join("bin/demo/precious"), "").expect("written");
    refused("bin/demo is a directory, and a file is to be installed there");
    fs::remove_dir_all(place.prefix.root.join("bin/demo")).expect("removed");
    symlink("tool", place.prefix.site("demo")).expect("linked");
    refused("demo is a link to a directory, and a directory is to be installed there");
    fs::remove_file(place.prefix.site("demo")).expect("removed");
    // A distribution of which nobody knows the files.
    fs::write(place.prefix.site("demo-0.1.egg-info"), "Metadata-Version: 1.0\nName: demo\nVersion: 0.1\n")
        .expect("written");
    refused("nothing says which files belong to it");
    fs::remove_file(place.prefix.site("demo-0.1.egg-info")).expect("removed");
    // One whose record claims directories, and what lies outside.
    let outside = place.project.path("outside");
    fs::write(&outside, "kept").expect("written");
    fs::create_dir(place.prefix.site("demo-0.1.dist-info")).expect("made");
    let record = format!("../../../bin,,\ntool,,\n../../../../../outside,,\n{},,\n", outside.display());
    fs::write(place.prefix.site("demo-0.1.dist-info/RECORD"), record).expect("written");
    place.install(&[&demo, &tool], &[]);
    assert_eq!(place.list(), ["demo==1.0", "tool==1.0"]);
    assert_eq!(fs::read_to_string(&outside).expect("read"), "kept");
    assert_eq!(runs(&place.prefix.root.join("bin/tool")), "tool 1.0");
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next() {
    let all: Vec<Package> =
        (0..6).flat_map(|i| ["1.0", "2.0"].map(|version| package(&format!("p{i}"), version))).collect();
    let (old, new): (Vec<&Package>, Vec<&Package>) = all.iter().partition(|package| package.version == "1.0");
    let place = Place::new(&all.iter().collect::<Vec<_>>());
    place.pip(&["install", "p0==2.0"]);
    let mut expected = Vec::new();
    for packages in [&old, &new] {
        place.install(packages, &[]);
        expected.push(place.prefix.files());
    }
    for round in 0..12_u64 {
        let wanted = usize::try_from(round % 2).expect("small");
        let packages = [&old, &new][wanted];
        let mut command = place.command(packages, &[]);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("it starts");
        thread::sleep(Duration::from_millis(40 + round * 7));
        let _ = child.kill();
        let _ = child.wait();
        place.install(packages, &[]);
        let now = place.prefix.files();
        let differs = differences(&expected[wanted], &now);
        assert!(differs.is_empty(), "round {round}: {differs:#?}");
    }
}

#[test]
fn what_a_run_left_that_was_killed_at_its_very_end_goes_with_the_next() {
    let demo = package("demo", "1.0");
    let place = Place::new(&[&demo]);
    place.install(&[&demo], &[]);
    let expected = place.prefix.files();
    let left = place.prefix.site(".venvoy-0a1B2c3D");
    fs::create_dir_all(left.join("bin")).expect("made");
    fs::write(left.join("bin/demo"), "as it is in its place").expect("written");
    assert!(place.install(&[&demo], &[]).contains("up to date"));
    assert!(!left.exists());
    assert_eq!(differences(&expected, &place.prefix.files()), [] as [String; 0]);
}

#[test]
fn local_projects_come_later_and_editable_ones_stay_where_they_are() {
    let demo = package("demo", "1.0");
    let place = Place::new(&[&demo]);
    let lock = Lock::new().package(&demo).entry("default", "lib", json!({"path": "./lib", "editable": true}));
    place.project.lock(&lock);
    let install = |args: &[&str]| {
        let args = [&["install", "--system", "--find-links", "../wheels"], args].concat();
        place.project.run(&args)
    };
    let run = install(&["--only-install-local"]);
    assert_eq!(run.code, Some(10), "{}", run.stderr);
    assert!(run.stderr.contains("venvoy has installed nothing into"), "{}", run.stderr);
    last_line(&install(&["--no-install-local"]));
    let module = |says: &str| {
        of_module("lib", "1.0", "lib", &format!("def main():\n    print('{says}')\n"), Some("lib"))
    };
    place.project.plant("project/lib", &module("one"));
    let said = last_line(&install(&["--only-install-local"]));
    assert!(said.contains("1 added; 1 kept"), "{said}");
    assert_eq!(runs(&place.prefix.root.join("bin/lib")), "one");
    place.project.write("project/lib/lib.py", "def main():\n    print('two')\n");
    assert_eq!(runs(&place.prefix.root.join("bin/lib")), "two", "it is where it was");
}

/// Debian's own Python, whose packages go to `/usr/local/lib/python3.X/dist-packages`, beside its own pip.
#[test]
fn debians_python_has_its_packages_in_usr_local() {
    let python = Path::new("/usr/bin/python3");
    let is_debian = Path::new("/usr/lib/python3/dist-packages").is_dir() && python.exists();
    assert!(is_debian || std::env::var_os("CI").is_none(), "this test wants Debian's python3");
    if !is_debian {
        return;
    }
    let demo = package("demo", "1.0");
    let project = Project::with_wheels(std::slice::from_ref(&demo));
    let local = project.path("local");
    fs::create_dir(&local).expect("made");
    let path = "/usr/bin:/bin";
    let mut command =
        project.command(&["install", "--system", "--find-links", "../wheels", "--break-system-packages"]);
    let Some(mut command) = with_mounts("mount --bind \"$0\" /usr/local", &local, command.env("PATH", path))
    else {
        return;
    };
    let said = last_line(&project.finish(&mut command));
    assert!(said.contains("/usr/local: 1 added"), "{said}");
    let lib = fs::read_dir(local.join("lib")).expect("a library").flatten().next().expect("a python").path();
    assert!(lib.join("dist-packages/demo/__init__.py").is_file());
    let script = fs::read_to_string(local.join("bin/demo")).expect("a script");
    assert!(script.starts_with("#!/usr/bin/python3\n"), "{script}");
    let inside = |words: &[&str]| {
        let mut command = clean(Path::new(words[0]));
        command.args(&words[1..]);
        let mut command = with_mounts("mount --bind \"$0\" /usr/local", &local, &command).expect("mounts");
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(inside(&["/usr/local/bin/demo"]), "demo 1.0\n");
    let has_pip = Path::new("/usr/lib/python3/dist-packages/pip").is_dir();
    if has_pip {
        assert!(inside(&["/usr/bin/python3", "-m", "pip", "list"]).contains("demo"));
        let uninstall = ["-m", "pip", "uninstall", "--yes", "--break-system-packages", "demo"];
        inside(&[&["/usr/bin/python3"], &uninstall[..]].concat());
        assert!(!lib.join("dist-packages/demo").exists());
    }
}

/// A virtual environment that `python -m venv` made, with its pip.
fn venv(project: &Project, at: &str) -> PathBuf {
    let (_, python) =
        interpreters::pyenv().into_iter().rfind(|(found, _)| *found == (3, 11)).expect("Python 3.11");
    let path = project.path(at);
    let made = clean(&python).args(["-m", "venv"]).arg(&path).status().expect("it runs");
    assert!(made.success());
    path
}

#[test]
fn an_active_virtual_environment_is_what_packages_are_installed_into() {
    let (demo, other) = (package("demo", "1.0"), package("other", "1.0"));
    let project = Project::with_wheels(std::slice::from_ref(&demo));
    project.wheels(std::slice::from_ref(&other));
    let active = venv(&project, "opt/venv");
    let python = active.join("bin/python");
    pip(&python, &project.path("wheels"), &["install", "other"]);
    let sync = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = project.command(&[&["sync", "--find-links", "../wheels"], args].concat());
        command.env("VIRTUAL_ENV", &active).envs(variables.iter().copied());
        last_line(&project.finish(&mut command))
    };
    let said = sync(&[], &[]);
    assert!(said.contains("{root}/opt/venv (the active virtual environment): 1 added; 0 kept"), "{said}");
    assert!(!project.venv().exists());
    assert_eq!(runs(&active.join("bin/demo")), "demo 1.0");
    let list = pip(&python, &project.path("wheels"), &["list", "--format", "freeze"]);
    assert!(list.contains("demo==1.0") && list.contains("other==1.0") && list.contains("pip=="), "{list}");
    assert!(sync(&[], &[]).contains("up to date"));
    let foreseen = project.finish(
        project.command(&["plan", "--diff", "--find-links", "../wheels"]).env("VIRTUAL_ENV", &active),
    );
    assert!(foreseen.stdout.contains("0 to add, 0 to remove, 0 to change; 1 to keep"), "{}", foreseen.stdout);

    let named = project.path("named").display().to_string();
    assert!(sync(&[], &["--venv", &named]).starts_with("{root}/named: 1 package"));
    assert!(sync(&[("PIPENV_IGNORE_VIRTUALENVS", "1")], &[]).starts_with(".venv: 1 package"));
    assert!(sync(&[("PIPENV_ACTIVE", "1")], &[]).starts_with(".venv is up to date"));
    // One that venvoy or pipenv made is its own.
    fs::write(active.join(".project"), "").expect("written");
    assert!(sync(&[], &[]).starts_with(".venv is up to date"));
    let mut command = project.command(&["sync", "--find-links", "../wheels"]);
    let run = project.finish(command.env("VIRTUAL_ENV", &named));
    assert!(last_line(&run).starts_with(".venv is up to date"));
}
