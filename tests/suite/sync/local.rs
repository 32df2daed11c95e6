//! Local projects in a layer of their own: left out first, added later.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use serde_json::json;

use crate::support::{
    backend::{self, of_module},
    lock::Lock,
    mount::Mount,
    package::Package,
    project::Project,
    run::Run,
    wheel::WheelBuilder,
};

fn dependency(name: &str, version: &str) -> Package {
    Package::new(&WheelBuilder::new(name, version).file(&format!("{name}/__init__.py"), version))
}

/// A project with two dependencies, a local directory between them by name, and one that is the project itself.
fn project() -> Project {
    let packages = [dependency("alpha", "1.0"), dependency("omega", "1.0")];
    let project = Project::with_wheels(&packages);
    project.lock(&lock(&packages));
    project
}

fn lock(packages: &[Package]) -> Lock {
    packages.iter().fold(Lock::new(), Lock::package).entry("default", "lib", json!({"path": "./lib"})).entry(
        "default",
        "zoo",
        json!({"path": "."}),
    )
}

fn plant(project: &Project, says: &str) {
    project.plant("project/lib", &backend::lib(says));
    project.plant("project", &of_module("zoo", "1.0", "zoo", "def main():\n    print('zoo')\n", Some("zoo")));
}

fn ok(run: &Run) -> String {
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stderr.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn local_projects_are_left_out_and_added_later_and_then_all_is_as_of_one_run() {
    let project = project();
    // Their sources are not there yet, as in a Dockerfile that copies the lock first.
    ok(&project.sync_with(&["--no-install-local"]));
    assert!(!project.venv().join("bin/lib").exists());
    plant(&project, "one");
    let alpha = fs::metadata(project.site("alpha/__init__.py")).expect("it is there").ino();
    let said = ok(&project.sync_with(&["--only-install-local"]));
    assert!(said.contains("2 added; 2 kept"), "{said}");
    assert_eq!(alpha, fs::metadata(project.site("alpha/__init__.py")).expect("it is there").ino());
    assert_eq!(project.script("lib"), "one");
    let digest = project.run(&["digest"]).stdout;
    assert!(ok(&project.sync()).contains("up to date"), "the same as one run makes");
    ok(&project.sync_with(&["--fresh"]));
    assert_eq!(digest, project.run(&["digest"]).stdout);

    plant(&project, "two");
    let said = ok(&project.sync_with(&["--only-install-local"]));
    assert!(said.contains("2 changed; 2 kept"), "the directory of the one is in that of the other: {said}");
    assert_eq!(project.script("lib"), "two");
    assert!(ok(&project.sync_with(&["--only-install-local"])).contains("up to date"));
}

#[test]
fn what_is_there_stays_although_the_lock_has_moved_on() {
    let project = project();
    plant(&project, "one");
    ok(&project.sync_with(&["--no-install-local"]));
    let newer = [dependency("alpha", "2.0")];
    project.wheels(&newer);
    project.lock(&lock(&newer));
    let foreseen =
        project.run(&["plan", "--diff", "--json", "--only-install-local", "--find-links", "../wheels"]);
    let foreseen: serde_json::Value = serde_json::from_str(&foreseen.stdout).expect("JSON");
    assert_eq!(foreseen["removed"], json!([]), "{foreseen}");
    assert_eq!(foreseen["kept"], json!(2), "{foreseen}");
    let said = ok(&project.sync_with(&["--only-install-local"]));
    assert!(said.contains("2 added; 2 kept"), "{said}");
    assert!(project.site("alpha-1.0.dist-info").exists() && project.site("omega").exists());
    let said = ok(&project.sync());
    assert!(said.contains("1 removed, 1 changed; 2 kept"), "{said}");
}

#[test]
fn local_projects_are_added_to_a_slim_environment_as_well() {
    let tested = Package::new(
        &WheelBuilder::new("tested", "1.0")
            .file("tested/__init__.py", "")
            .file("tested/tests/test_it.py", "")
            .file("tested/docs/index.md", ""),
    );
    let (alpha, newer) = (dependency("alpha", "1.0"), dependency("alpha", "2.0"));
    let project = Project::with_wheels(&[alpha.clone(), newer.clone(), tested.clone()]);
    let plant = |says: &str, code: &str| {
        plant(&project, says);
        let code = format!("{code}\ndef main():\n    print('zoo')\n");
        project.plant("project", &of_module("zoo", "1.0", "zoo", &code, Some("zoo")));
    };
    for seed in [&[][..], &["--seed"]] {
        project.lock(&lock(&[alpha.clone(), tested.clone()]));
        let sync = |args: &[&str]| ok(&project.sync_with(&[seed, &["--slim"], args].concat()));
        plant("one", "");
        sync(&["--fresh", "--no-install-local"]);
        let kept = project.distributions();
        let alpha = || fs::metadata(project.site("alpha/__init__.py")).expect("it is there").ino();
        let (before, tests) = (alpha(), project.site("tested/tests"));
        let said = sync(&["--only-install-local"]);
        assert!(said.contains(&format!("2 added; {kept} kept")), "{said}");
        assert!(!tests.exists());
        // What the project's code needs of the others comes.
        plant("two", "def test():\n    from tested.tests import test_it\n");
        let said = sync(&["--only-install-local"]);
        assert!(said.contains(&format!("2 changed; {kept} kept")), "{said}");
        assert!(tests.exists());
        assert_eq!((before, project.script("lib")), (alpha(), "two".into()));
        assert!(sync(&[]).contains("up to date"), "the same as one run makes");
        let digest = project.run(&["digest"]).stdout;
        sync(&["--fresh"]);
        assert_eq!(digest, project.run(&["digest"]).stdout);
        // What the lock has otherwise by now is not looked at, and stays with all the others.
        project.lock(&lock(&[newer.clone(), tested.clone()]));
        plant("three", "");
        let said = sync(&["--only-install-local"]);
        assert!(said.contains(&format!("2 changed; {kept} kept")), "{said}");
        assert!(project.site("alpha-1.0.dist-info").exists() && tests.exists());
        assert_eq!(project.script("lib"), "three");
    }
}

#[test]
fn without_something_to_add_to_or_to_add_nothing_is_done() {
    let project = project();
    plant(&project, "one");
    let run = project.sync_with(&["--only-install-local"]);
    assert_eq!(run.code, Some(10), "{}", run.stderr);
    assert!(run.stderr.contains("there is no environment of venvoy's at"), "{}", run.stderr);
    assert!(run.stderr.contains("run `venvoy sync --no-install-local`"), "{}", run.stderr);
    assert!(!project.venv().exists());
    ok(&project.sync_with(&["--no-install-local"]));
    let run = project.sync_with(&["--only-install-local", "--compile"]);
    assert!(run.stderr.contains("was made for another interpreter or with other options"), "{}", run.stderr);
    project.lock(&Lock::of("https://index.example/simple", &[dependency("alpha", "1.0")]));
    let run = project.sync_with(&["--only-install-local"]);
    assert!(run.stderr.contains("the lock has no local project that applies here"), "{}", run.stderr);
    let run = project.sync_with(&["--only-install-local", "--no-install-local"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}

/// The layers of an image: an overlay's upper directory holds what its `RUN` changed.
#[test]
fn after_an_edited_source_line_the_layer_holds_only_the_projects_files() {
    let project = project();
    ok(&project.sync_with(&["--no-install-local"]));
    for (build, says) in ["one", "two"].into_iter().enumerate() {
        let upper = project.path(&format!("upper{build}"));
        let Some(mount) = Mount::overlay(&project.dir(), &upper) else { return };
        let upper = upper.join("upper");
        plant(&project, says);
        ok(&project.sync_with(&["--only-install-local"]));
        assert_eq!(project.script("lib"), says);
        drop(mount);
        let mut files = Vec::new();
        list(&upper.join(".venv"), &mut files);
        let own = ["lib", "zoo", "venvoy.manifest"];
        let alien: Vec<&String> =
            files.iter().filter(|file| !own.iter().any(|own| file.contains(own))).collect();
        assert!(alien.is_empty(), "{alien:?}");
        assert!(files.len() < 20, "{files:?}");
        let names = crate::support::files::names(&upper);
        assert_eq!(
            names,
            [".venv", "backend", "lib", "pyproject.toml", "zoo.py"],
            "nothing is left beside it"
        );
    }
}

/// Paths of files below, a project's path left out.
fn list(dir: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        if entry.file_type().expect("a type").is_dir() {
            list(&entry.path(), files);
        } else {
            let path = entry.path();
            let from = path.components().skip_while(|part| part.as_os_str() != ".venv").skip(1);
            let parts: Vec<String> =
                from.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            // `lib` is the name of a project here.
            let parts = parts.strip_prefix(&["lib".to_owned()]).unwrap_or(&parts);
            files.push(parts.join("/"));
        }
    }
}
