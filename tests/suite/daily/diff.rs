//! `diff`: locks, projects and environments side by side.

use std::process::Stdio;

use crate::support::{lock::Lock, package::Package, project::Project};

fn project() -> Project {
    let packages = ["demo", "gone"].map(|name| Package::simple(name, "1.0"));
    let project = Project::with_wheels(&packages);
    project.sync().succeeds();
    let newer = [Package::simple("demo", "2.0"), Package::simple("fresh", "1.0")];
    project.wheels(&newer);
    project.write("new/Pipfile.lock", newer.iter().fold(Lock::new(), Lock::package).0.to_string());
    project
}

#[test]
fn locks_and_projects_are_compared_by_version_and_category() {
    let project = project();
    for second in ["../new", "../new/Pipfile.lock"] {
        let run = project.run(&["diff", ".", second]);
        run.says(&[]);
        assert_eq!(
            run.stdout,
            "package  change   before  after  more\ndemo     changed  1.0     2.0\nfresh    added    -       1.0    default\n\
             gone     removed  1.0     -      default\n1 package added, 1 removed, 1 changed, 0 the same\n"
        );
    }
    let json = project.run(&["diff", ".", "../new", "--json"]).json();
    assert_eq!(json["packages"][0]["to"]["version"], "2.0");
    let markdown = project.run(&["diff", ".", "../new", "--markdown"]).stdout;
    assert!(markdown.starts_with("| package | change | before | after | more |\n|---|---|---|---|---|\n| demo | changed | 1.0 | 2.0 |  |\n"), "{markdown}");
    project.run(&["diff", ".", "../new", "--exit-code"]).ends_with(1);
    project.run(&["diff", ".", ".", "--exit-code"]).ends_with(0);
}

#[test]
fn an_environment_is_compared_with_its_lock_and_with_another() {
    let project = project();
    assert_eq!(
        project.run(&["diff", "Pipfile.lock", ".venv"]).stdout,
        "0 packages added, 0 removed, 0 changed, 2 the same\n"
    );
    std::fs::rename(project.venv(), project.path("before")).expect("moved");
    std::fs::copy(project.path("new/Pipfile.lock"), project.dir().join("Pipfile.lock")).expect("copied");
    project.sync().succeeds();
    let run = project.run(&["diff", "../before", ".venv"]);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(
        lines[2].starts_with("fresh    added    -       1.0    +") && lines[2].ends_with(" kB"),
        "{lines:?}"
    );
    assert!(lines[4].starts_with("1 package added, 1 removed, 1 changed, 0 the same; "), "{lines:?}");
}

#[test]
fn a_lock_comes_from_standard_input_as_git_show_gives_it() {
    let project = project();
    let mut command = project.command(&["diff", "-", "../new"]);
    let lock = std::fs::File::open(project.dir().join("Pipfile.lock")).expect("a lock");
    let run = project.finish(command.stdin(Stdio::from(lock)));
    assert!(run.succeeds().stdout.contains("1 package added, 1 removed, 1 changed"), "{}", run.stdout);
    project.run(&["diff", "-", "-"]).ends(2, &["error: both are -, and there is one standard input"]);
    project.run(&["diff", "../wheels", "."]).ends(
        2,
        &[
            "error: ../wheels is neither an environment nor a project with a lock",
            "  help: name a Pipfile.lock, a pylock.toml, a directory with one of them, an environment or an image",
        ],
    );
    project.run(&["diff", "nowhere", "."]).mentions(&["cannot read nowhere"]).ends_with(3);
}
