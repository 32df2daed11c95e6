//! `graph` and `why`: what the metadata in an environment says.

use serde_json::json;

use crate::support::{lock::Lock, package::Package, project::Project, wheel::WheelBuilder};

fn wheel(name: &str, version: &str, requires: &[&str]) -> Package {
    let wheel = WheelBuilder::new(name, version).file(&format!("{name}.py"), "");
    Package::new(
        &requires.iter().fold(wheel, |wheel, one| wheel.metadata_line(&format!("Requires-Dist: {one}"))),
    )
}

fn project() -> Project {
    let packages = [
        wheel("app", "1.0", &["lib>=1,<2", "gone; sys_platform == 'win32'"]),
        wheel("lib", "1.5", &["base[fast]"]),
        wheel("base", "2.0", &["speed; extra == 'fast'", "colour; extra == 'pretty'"]),
        wheel("speed", "3.0", &[]),
        wheel("colour", "4.0", &[]),
        wheel("alone", "5.0", &[]),
    ];
    let project = Project::new();
    project.wheels(&packages);
    let lock = packages.iter().fold(Lock::new(), |lock, package| match package.name.as_str() {
        "alone" => lock.entry("develop", "alone", package.entry()),
        _ => lock.package(package),
    });
    project.lock(&lock);
    project.write("project/Pipfile", "[packages]\napp = '*'\n[dev-packages]\nAlone = '*'\nbase = '*'\n");
    project.sync_with(&["--dev"]).succeeds();
    project
}

/// A FIFO would wait for a writer for good.
#[test]
fn a_named_pipe_in_an_environment_is_no_metadata() {
    for (name, code) in [("pyvenv.cfg", 10), ("METADATA", 10), ("direct_url.json", 0)] {
        let project = project();
        let file = if name == "pyvenv.cfg" {
            project.venv().join(name)
        } else {
            let lib = std::fs::read_dir(project.venv().join("lib")).expect("there").next();
            let python = lib.expect("a Python").expect("a Python").path();
            python.join("site-packages/app-1.0.dist-info").join(name)
        };
        let _ = std::fs::remove_file(&file);
        let (mode, kind) = (rustix::fs::Mode::RUSR, rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, &file, kind, mode, 0).expect("a pipe");
        let run = project.run(&["graph"]);
        assert_eq!(run.code, Some(code), "{name}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn graph_shows_who_requires_whom() {
    let project = project();
    let run = project.run(&["graph"]);
    run.says(&[]);
    assert_eq!(
        run.stdout,
        "alone==5.0\napp==1.0\n└── lib [required: >=1,<2, installed: 1.5]\n    └── base [required: Any, installed: 2.0]\n        \
         └── speed [required: Any, installed: 3.0]\ncolour==4.0\n"
    );
    let reverse = project.run(&["graph", "--reverse"]).stdout;
    assert!(
        reverse.contains("speed==3.0\n└── base==2.0 [requires: speed]\n    └── lib==1.5 [requires: base]\n        └── app==1.0 [requires: lib>=1,<2]\n"),
        "{reverse}"
    );
    let flat = project.run(&["graph", "--json"]).json();
    assert_eq!(flat[2]["package"]["key"], "base");
    assert_eq!(
        flat[2]["dependencies"],
        json!([{"key": "speed", "package_name": "speed", "installed_version": "3.0", "required_version": "Any"}])
    );
    let tree = project.run(&["graph", "--json-tree"]).json();
    assert_eq!(tree[1]["dependencies"][0]["dependencies"][0]["key"], "base");
    project.run(&["graph", "--json", "--json-tree"]).mentions(&["cannot be used with"]).ends_with(2);
    let path = project.run(&["graph", "../project/.venv"]);
    assert_eq!(path.stdout, run.stdout);
}

#[test]
fn why_says_who_requires_a_package_and_in_which_category() {
    let project = project();
    let why = |package: &str| project.run(&["why", package]);
    assert_eq!(
        why("base").stdout,
        "base 2.0, locked in default (==2.0), in the Pipfile's [dev-packages]\n\
         └── lib 1.5 requires it (any version)\n    └── app 1.0 requires it (>=1,<2), in the Pipfile's [packages]\n"
    );
    assert_eq!(
        why("Alone").stdout,
        "alone 5.0, locked in develop (==5.0), in the Pipfile's [dev-packages]\n"
    );
    assert_eq!(
        why("colour").stdout,
        "colour 4.0, locked in default (==4.0)\nnothing that is installed requires it, and the Pipfile does not name it\n"
    );
    let json = project.run(&["why", "lib", "--json"]).json();
    assert_eq!(
        (&json["installed"], &json["required_by"][0]["listed"][0]),
        (&json!("1.5"), &json!("packages"))
    );
    why("nope").ends(
        3,
        &[
            "error: nope is neither in {root}/project/.venv nor in the lock",
            "  help: `venvoy graph` shows what is there, `venvoy plan` what is locked",
        ],
    );
    project.forget();
    assert_eq!(why("lib").stdout, "lib: not installed, locked in default (==1.5)\n");
    project.run(&["graph"]).mentions(&["there is no environment at {root}/project/.venv"]).ends_with(10);
}
