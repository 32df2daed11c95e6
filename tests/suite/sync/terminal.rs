//! What a person sees: a bar with packages and bytes on a terminal, plain lines elsewhere, a last line that says
//! what happened.

use crate::support::{
    index::{answer, index},
    lock::Lock,
    package::{Package, greeter, noise},
    project::Project,
    run::Run,
    server::Server,
};
use std::{process::Command, time::Duration};

/// A package of about a megabyte.
fn large() -> Package {
    Package::new(&greeter("large", "1.0").file("large.bin", noise(1_000_000)))
}

/// An index whose `demo` takes a while, so that there is something to watch.
fn slow(packages: &[Package], milliseconds: u64) -> Server {
    let packages = packages.to_vec();
    Server::start(move |request| {
        if request.path.contains("demo-1.0") {
            std::thread::sleep(Duration::from_millis(milliseconds));
        }
        answer(&packages, request)
    })
}

/// Two packages on a slow index, one more in the lock than there is where `missing`.
fn two(missing: bool) -> (Server, Project) {
    let packages = vec![large(), Package::simple("demo", "1.0")];
    let server = slow(&packages, 1_000);
    let project = Project::at(&server, &packages);
    if missing {
        let gone = Package::simple("gone", "1.0");
        project.lock(&Lock::of(&server.url("/simple"), &[packages, vec![gone]].concat()));
    }
    (server, project)
}

/// Runs the command on a terminal of its own: `script` (util-linux) makes one. All output comes as one.
fn on_terminal(project: &Project, args: &[&str], variables: &[(&str, &str)]) -> Run {
    let plain = project.command(args);
    let words = std::iter::once(plain.get_program()).chain(plain.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().expect("UTF-8")).collect();
    let mut command = Command::new("script");
    command.args(["-qefc", &shlex::try_join(words).expect("words"), "/dev/null"]).env_clear();
    let given = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(given).env("SHELL", "/bin/sh").env("TERM", "xterm").envs(variables.iter().copied());
    command.current_dir(project.dir()).stdin(std::process::Stdio::null());
    project.finish(&mut command)
}

#[test]
fn a_terminal_shows_packages_and_bytes_and_at_last_one_line() {
    let (_server, project) = two(false);
    let run = on_terminal(&project, &["sync"], &[]);
    run.succeeds();
    let said = &run.stdout;
    assert!(said.contains("Fetching 1/2 packages "), "{said}");
    // The index, which is HTML, gives no sizes: they are known once a download begins.
    assert!(said.contains("MB/1.0 MB"), "{said}");
    assert!(!said.contains("/0 B") && !said.contains("MiB"), "{said}");
    // The bar is gone in the end: a carriage return and an erased line come before the last line.
    let last = said.trim_end().rsplit(['\r', '\n']).next().expect("a line");
    assert!(
        last.contains(".venv: 2 packages, 1.0 MB in ") && last.ends_with("2 downloaded (1.0 MB)"),
        "{last:?}"
    );
}

#[test]
fn a_terminal_shows_no_bar_in_ci_nor_when_quiet() {
    let (_server, project) = two(false);
    let run = on_terminal(&project, &["sync"], &[("CI", "true")]);
    run.succeeds();
    assert!(!run.stdout.contains('\x1b') && run.stdout.lines().count() == 1, "{:?}", run.stdout);
    let run = on_terminal(&project, &["sync", "-q", "--venv", "other"], &[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    let run = on_terminal(&project, &["sync", "--venv", "third"], &[("PIPENV_QUIET", "1")]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
}

#[test]
fn errors_are_coloured_on_a_terminal_unless_no_color_says_otherwise() {
    let (_server, project) = two(true);
    let error = |variables: &[(&str, &str)]| {
        let run = on_terminal(&project, &["sync"], variables);
        assert_eq!(run.code, Some(5), "{}", run.stdout);
        run.stdout
    };
    assert!(error(&[]).contains("\x1b[1;31merror:\x1b[0m cannot install gone 1.0 [default]"));
    let plain = error(&[("NO_COLOR", "1")]);
    assert!(plain.contains("error: cannot install gone 1.0") && !plain.contains("\x1b[1;31m"), "{plain}");
}

/// A log shows that work goes on, though nobody watches.
#[test]
fn a_long_download_says_now_and_then_how_far_it_is() {
    let packages = vec![large(), Package::simple("demo", "1.0")];
    let server = slow(&packages, 10_500);
    let project = Project::at(&server, &packages);
    let run = project.run(&["sync"]);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", run.stderr);
    assert!(lines[0].starts_with("Fetching 1/2 packages: 1.0 MB/1.0 MB"), "{}", run.stderr);
    assert!(lines[1].starts_with(".venv: 2 packages, "), "{}", run.stderr);
}

#[test]
fn v_says_for_each_package_why_this_file() {
    let packages = [Package::simple("demo", "1.0")];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    let run = project.run(&["sync", "-v"]);
    run.succeeds();
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines[0].starts_with("for CPython 3."), "{}", run.stderr);
    assert_eq!(
        lines[1],
        "demo 1.0: demo-1.0-py3-none-any.whl (downloaded), from example: best of 1 wheels that fit among 1 pinned files, by py3-none-any"
    );
    // Twice: every request, too.
    let run = project.run(&["sync", "-vv", "--venv", "other", "--cache-dir", "../empty"]);
    assert!(run.stderr.contains("asking http://127.0.0.1:{port}/simple/demo/"), "{}", run.stderr);
    assert!(run.stderr.contains("demo-1.0-py3-none-any.whl"), "{}", run.stderr);
}
