//! Every interpreter of this machine gets an environment that works: pyenv's, and Debian's PyPy.

use crate::support::{
    interpreters,
    lock::Lock,
    package::Package,
    program::{PATH, script, script_in, script_of_python},
    project::Project,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What an environment's interpreter says of itself.
fn ask(venv: &Path, expression: &str) -> String {
    let program = format!("import sys, platform, sysconfig, os; print({expression})");
    script_in(venv, &program)
}

/// An environment for `python`, moved, works and has everything where that interpreter looks.
fn works(python: &Path) {
    let project = Project::hello();
    let python = python.to_str().expect("UTF-8");
    project.run(&["sync", "--find-links", "wheels", "--python", python]).succeeds();
    let moved = project.path("moved 'here'");
    fs::rename(project.venv(), &moved).expect("moved");
    assert_eq!(script(&moved.join("bin/hello")), "hello from venvoy", "{python}");
    assert_eq!(script(&moved.join("bin/hello-data")), "hello from data", "{python}");
    let version = Command::new(python)
        .env("PATH", PATH)
        .args(["-I", "-c", "import platform as p; print(p.python_implementation(), p.python_version())"])
        .output()
        .expect("it runs");
    assert_eq!(
        ask(&moved, "platform.python_implementation() + ' ' + platform.python_version()"),
        String::from_utf8_lossy(&version.stdout).trim_end(),
        "{python}"
    );
    let canonical = moved.canonicalize().expect("a path");
    assert_eq!(ask(&moved, "os.path.realpath(sys.prefix)"), canonical.to_str().expect("UTF-8"));
    let purelib = PathBuf::from(ask(&moved, "os.path.realpath(sysconfig.get_paths()['purelib'])"));
    assert!(purelib.join("hello_greeting-1.0.dist-info/RECORD").is_file(), "{}", purelib.display());
}

#[test]
fn every_python_of_pyenv_gets_an_environment_that_works() {
    let found = interpreters::pyenv();
    for (_, python) in found.iter().filter(|(version, _)| *version >= (3, 7)) {
        works(python);
    }
    // Anyone has one; what CI has must not go missing unseen.
    works(Path::new("python3"));
    if std::env::var_os("CI").is_some() && !found.is_empty() {
        let minors: Vec<u32> =
            found.iter().filter(|((major, _), _)| *major == 3).map(|((_, m), _)| *m).collect();
        assert!((7..=13).all(|minor| minors.contains(&minor)), "pyenv has only 3.{minors:?}");
    }
}

#[test]
fn pypy_gets_an_environment_that_works() {
    let pypy =
        ["/usr/bin/pypy3", "/usr/local/bin/pypy3"].map(PathBuf::from).into_iter().find(|path| path.exists());
    works(&pypy.expect("pypy3 must be installed"));
    let project = Project::hello();
    project.run(&["sync", "--find-links", "wheels", "--python", "pypy3"]).succeeds();
    assert!(project.venv().join("bin/pypy3").is_symlink());
    assert_eq!(ask(&project.venv(), "platform.python_implementation()"), "PyPy");
}

/// An environment is checked, and made anew, for the Python that it is for, whatever the default is.
#[test]
fn check_and_repair_take_the_environments_own_python() {
    let found = interpreters::pyenv();
    let Some((_, python)) = found.iter().find(|(version, _)| *version == (3, 9)) else {
        assert!(std::env::var_os("CI").is_none(), "pyenv has no 3.9");
        return;
    };
    let project = Project::with_wheels(&[Package::simple("demo", "1.0"), Package::simple("old", "1.0")]);
    let [demo, mut old] = ["demo", "old"].map(|name| Package::simple(name, "1.0").entry());
    old["markers"] = "python_version < '3.10'".into();
    project.lock(&Lock::new().entry("default", "demo", demo).entry("default", "old", old));
    let find = ["--find-links", "../wheels"];
    project.run(&[&["sync", "--python", python.to_str().expect("UTF-8")], &find[..]].concat()).succeeds();
    assert_eq!(project.run(&[&["check"], &find[..]].concat()).says(&[]).code, Some(0));
    // With no interpreter to be found at all.
    let mut command = project.command(&["check"]);
    project.finish(command.env("PATH", "/nowhere").env("PYENV_ROOT", "/nowhere")).says(&[]);
    let module = project.venv().join("lib/python3.9/site-packages/demo.py");
    let module = if module.exists() { module } else { module.with_file_name("demo").join("__init__.py") };
    fs::remove_file(&module).expect("removed");
    assert_eq!(project.run(&["check"]).code, Some(8));
    project.run(&[&["check", "--repair"], &find[..]].concat()).succeeds();
    assert!(module.exists());
    assert_eq!(ask(&project.venv(), "'%d.%d' % sys.version_info[:2]"), "3.9");
}

/// Fault 10: an environment that was described for another platform was compared with the markers of this one.
#[test]
fn check_and_repair_take_the_platform_that_an_environment_is_for() {
    const HOME: [&str; 2] = ["--python-home", "/opt/python/bin"];
    const MAC: [&str; 4] = ["--python-version", "3.11", "--platform", "darwin/arm64"];
    let (here, there) = (Package::simple("here", "1.0"), Package::simple("there", "1.0"));
    let entry = |package: &Package, platform: &str| {
        let mut entry = package.entry();
        entry["markers"] = format!("sys_platform == '{platform}'").into();
        entry
    };
    let lock = Lock::new().entry("default", "here", entry(&here, "linux"));
    let project = Project::of(&lock.entry("default", "there", entry(&there, "darwin")));
    project.wheels(&[here, there]);
    let made = [&MAC[..], &HOME, &["--python-exe", "/opt/python/bin/python3"]].concat();
    project.sync_with(&made).succeeds();
    let digest = || project.run(&["digest"]).stdout.clone();
    let before = digest();
    project.run(&["check"]).succeeds();
    project.run(&["graph"]).succeeds().mentions(&["there"]);
    fs::write(project.venv().join("lib/python3.11/site-packages/there.py"), "changed").expect("written");
    project.run(&["check"]).ends_with(8);
    project.run(&["check", "--repair", "--find-links", "../wheels"]).succeeds();
    assert_eq!(digest(), before);
    project.sync_with(&made).says(&[".venv is up to date (1 package)"]);
    // What is asked for counts before what the environment says.
    let other = ["check", "--python-version", "3.11", "--platform", "linux/amd64"];
    project.run(&[&other[..], &HOME].concat()).ends_with(8);
}

#[test]
fn a_python_that_is_too_old_is_refused() {
    let project = Project::hello();
    for (version, python) in interpreters::pyenv().iter().filter(|(version, _)| *version < (3, 7)) {
        let name = python.ancestors().nth(2).and_then(Path::file_name).and_then(|name| name.to_str());
        let shown = if version.0 == 2 { "2" } else { name.expect("a version") };
        let python = python.to_str().expect("UTF-8");
        project.run(&["sync", "--find-links", "wheels", "--python", python]).ends(
            4,
            &[
                &format!("error: --python {python} is unusable"),
                &format!("  because: {python} is Python {shown}; expected 3.7 or newer"),
                "  help: choose another interpreter with --python",
            ],
        );
        assert!(!project.venv().exists());
    }
}

#[test]
fn pipenvs_variables_choose_the_interpreter() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let sync = |variable: &str, value: &str| {
        project.finish(project.command(&["sync", "--find-links", "../wheels"]).env(variable, value))
    };
    let python3 = script_of_python("import sys; print('%d.%d' % sys.version_info[:2])");
    for variable in ["PIPENV_PYTHON", "PIPENV_DEFAULT_PYTHON_VERSION"] {
        sync(variable, &python3).succeeds();
        let run = sync(variable, "3.99");
        assert_eq!(run.code, Some(4), "{}", run.stderr);
        let head = format!(
            "error: Python 3.99 was not found ({variable} asks for it); looked in /usr/local/bin, /usr/bin, /bin, "
        );
        assert!(run.stderr.starts_with(&head), "{}", run.stderr);
    }
    // What is typed counts before a variable, PIPENV_PYTHON before the lock, and the lock before a default.
    let mut typed = project.command(&["sync", "--find-links", "../wheels", "--python", "python3"]);
    project.finish(typed.env("PIPENV_PYTHON", "3.99")).succeeds();
    let lock = Lock::new()
        .package(&Package::simple("demo", "1.0"))
        .meta("requires", serde_json::json!({"python_version": python3}));
    project.lock(&lock);
    sync("PIPENV_DEFAULT_PYTHON_VERSION", "3.99").succeeds();
    assert_eq!(sync("PIPENV_PYTHON", "3.99").code, Some(4));
}
