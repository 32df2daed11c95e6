//! What `warm` writes beside the cache: wheels for pip, a tar, what was added.

use std::{fs, process::Command};

use serde_json::json;

use super::locks::FOUR;
use crate::support::{
    backend::{self, lib},
    files,
    index::index,
    lock::Lock,
    package::Package,
    program::{PATH, script_in},
    project::Project,
};

#[test]
fn pip_installs_from_a_wheelhouse_without_an_index() {
    let (demo, other) = (Package::simple("demo", "1.0"), Package::simple("other", "2.0"));
    let source = backend::sdist("lib", lib("from an sdist"));
    let server = index(&[demo.clone(), other.clone(), source.clone()]);
    let mut marked = other.entry();
    marked["markers"] = json!("python_version >= '3.0'");
    let lock =
        Lock::at(&server.url("/simple")).package(&demo).package(&source).entry("default", "other", marked);
    let project = Project::of(&lock);
    project.run(&["warm", "--wheelhouse", "../house"]).succeeds().mentions(&["house (3 files"]);
    let text = project.read("house/requirements.txt");
    assert!(text.contains(&format!("demo==1.0 \\\n    --hash=sha256:{}\n", demo.sha256)), "{text}");
    assert!(text.contains("other==2.0 ; python_version >= \"3.0\" \\\n"), "{text}");
    let (venv, house) = (project.path("venv"), project.path("house"));
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).env("PATH", PATH).output();
    assert!(made.as_ref().is_ok_and(|made| made.status.success()), "{made:?}");
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "--isolated",
        "install",
        "--no-index",
        "--require-hashes",
        "--disable-pip-version-check",
    ])
    .arg("--find-links")
    .arg(&house)
    .arg("-r")
    .arg(house.join("requirements.txt"))
    .env("PATH", PATH)
    .env("PIP_CONFIG_FILE", "/dev/null");
    let output = pip.output().expect("pip runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(script_in(&venv, "import lib, demo; lib.main(); demo.main()"), "from an sdist\ndemo 1.0");
    // A file that was changed is refused by pip, too.
    let wheel = house.join(&demo.file);
    fs::write(&wheel, Package::by("someone else", "demo").bytes).expect("written");
    let refused = pip.arg("--force-reinstall").output().expect("pip runs");
    assert!(!refused.status.success());
}

#[test]
fn several_locks_have_a_requirements_file_each() {
    let (old, new) = (Package::simple("demo", "1.0"), Package::simple("demo", "2.0"));
    let server = index(&[old.clone(), new.clone()]);
    let project = Project::new();
    for (place, demo) in [("a", &old), ("b/c", &new)] {
        let lock = Lock::at(&server.url("/simple")).package(demo);
        project.write(&format!("project/{place}/Pipfile.lock"), lock.0.to_string());
    }
    project.run(&[&["warm", "a", "b/c", "--wheelhouse", "../house"], &FOUR[..]].concat()).succeeds();
    assert_eq!(
        files::names(&project.path("house")),
        [old.file.as_str(), new.file.as_str(), "requirements-a.txt", "requirements-b-c.txt"]
    );
}

#[test]
fn a_delta_has_what_this_run_added_and_nothing_else() {
    let (demo, other) = (Package::simple("demo", "1.0"), Package::simple("other", "1.0"));
    let server = index(&[demo.clone(), other.clone()]);
    let url = server.url("/simple");
    let project = Project::of(&Lock::at(&url).package(&demo));
    let delta = |dir: &str| {
        project.run(&["warm", "--delta", dir]).succeeds();
        let found = files::below(&project.path(dir.trim_start_matches("../")));
        let mut kinds: Vec<String> = found
            .iter()
            .map(|path| path.strip_prefix(project.path(dir.trim_start_matches("../"))).expect("below it"))
            .map(|path| path.iter().nth(1).expect("a kind").to_str().expect("UTF-8").to_owned())
            .collect();
        kinds.sort();
        kinds
    };
    assert_eq!(delta("../first"), ["files", "selections"]);
    project.lock(&Lock::at(&url).package(&demo).package(&other));
    assert_eq!(delta("../second"), ["files", "selections"]);
    assert!(!files::below(&project.path("second")).iter().any(|path| path.ends_with(&demo.file)));
    fs::create_dir(project.path("none")).expect("a directory");
    assert_eq!(delta("../none"), Vec::<String>::new());
    // Both together are the whole.
    fs::remove_dir_all(project.path("cache")).expect("removed");
    let asked = server.log().len();
    project.run(&["sync", "--cache-from", "../first", "--cache-from", "../second"]).succeeds();
    assert_eq!((project.installed().len(), server.log().len()), (2, asked));
}

#[test]
fn a_wheelhouse_that_cannot_be_written_is_an_error_of_the_destination() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    project.write("house", "a file");
    let links = ["warm", "--find-links", "../wheels"];
    project
        .run(&[&links[..], &["--wheelhouse", "../house"]].concat())
        .ends_with(10)
        .mentions(&["cannot make the directory"]);
    project.run(&[&links[..], &["--delta", "../house"]].concat()).ends_with(10);
    project
        .run(&[&links[..], &["-o", "../nowhere/x.tar"]].concat())
        .ends_with(10)
        .mentions(&["cannot write"]);
}
