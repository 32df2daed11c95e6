//! `--cache-from`: caches that are only read from.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    backend::{self, lib},
    files,
    index::index,
    package::{Package, greeter},
    process::started_by,
    project::Project,
    server::Server,
};

fn demo() -> Package {
    Package::new(&greeter("demo", "1.0").stored("demo_data.txt", "something to damage"))
}

/// A project whose packages are warmed into `base`, and nothing is cached.
fn warmed(packages: &[Package], more: &[&str]) -> (Server, Project) {
    let server = index(packages);
    let project = Project::at(&server, packages);
    project.run(&[&["warm", "--cache-dir", "../base"], more].concat()).succeeds();
    (server, project)
}

/// What of a directory must stay as it is: names, inodes, bytes, and the kernel's own times.
fn whole(dir: &Path) -> Vec<(PathBuf, u64, i64, i64, Vec<u8>)> {
    files::contents(dir)
        .into_iter()
        .map(|(path, bytes)| {
            let found = fs::metadata(&path).expect("a file");
            (path, found.ino(), found.ctime(), found.ctime_nsec(), bytes)
        })
        .collect()
}

fn entry(project: &Project, package: &Package) -> PathBuf {
    let found = files::below(&project.path("base"));
    found.into_iter().find(|path| path.ends_with(&package.file)).expect("it is there")
}

#[test]
fn a_directory_below_is_used_where_it_is_and_never_written() {
    let (server, project) = warmed(&[demo(), Package::simple("other", "1.0")], &[]);
    let (asked, before) = (server.log().len(), whole(&project.path("base")));
    for link in ["auto", "hardlink", "copy", "unpack"] {
        project.run(&["sync", "--cache-from", "../base", "--fresh", "--link", link]).succeeds();
        assert_eq!(project.script("demo"), "demo 1.0");
    }
    project
        .run(&["warm", "--cache-from", "../base"])
        .succeeds()
        .mentions(&["2 there", "everything was there"]);
    project.run(&["plan", "--offline", "--cache-from", "../base"]).succeeds().mentions(&["0 B to download"]);
    assert_eq!(server.log().len(), asked);
    assert_eq!(whole(&project.path("base")), before);
    assert!(!project.path("cache/v1/files").exists(), "no copy was made");
}

#[test]
fn a_tar_is_read_without_unpacking_it() {
    let (server, project) = warmed(&[demo(), Package::simple("other", "1.0")], &["-o", "../base.tar"]);
    fs::remove_dir_all(project.path("base")).expect("removed");
    let (asked, before) = (server.log().len(), whole(&project.path("base.tar")));
    let project = project.variable("VENVOY_CACHE_FROM", "../base.tar");
    project.run(&["sync"]).says(&[".venv: 2 packages, {size} in {time} s: 2 cached"]);
    assert_eq!(project.script("demo"), "demo 1.0");
    assert_eq!(server.log().len(), asked);
    assert_eq!(whole(&project.path("base.tar")), before);
    // It is here now.
    fs::remove_file(project.path("base.tar")).expect("removed");
    fs::remove_dir_all(project.venv()).expect("removed");
    let run = project.run(&["sync", "--offline"]);
    run.succeeds();
    assert_eq!(
        run.stderr.matches("the cache {root}/project/../base.tar is passed over").count(),
        1,
        "{}",
        run.stderr
    );
}

#[test]
fn the_same_tar_comes_of_the_same_cache() {
    let (_server, project) = warmed(&[demo(), Package::simple("other", "1.0")], &["-o", "../one.tar"]);
    project.run(&["warm", "--cache-from", "../one.tar", "-o", "../two.tar"]).succeeds();
    let [one, two] = ["one.tar", "two.tar"].map(|name| fs::read(project.path(name)).expect("a tar"));
    assert_eq!(one, two);
}

#[test]
fn caches_are_asked_in_their_order_before_the_index_and_what_is_missing_comes_from_there() {
    let packages = [demo(), Package::simple("other", "1.0"), Package::simple("third", "1.0")];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    let part = |packages: &[Package], base: &str| {
        let part = Project::at(&server, packages);
        part.run(&["warm", "--cache-dir", project.path(base).to_str().expect("UTF-8")]).succeeds();
    };
    part(&packages[..1], "first");
    part(&packages[1..2], "second");
    let asked = server.log().len();
    let run = project.run(&["sync", "--cache-from", "../first", "--cache-from", "../second"]);
    run.says(&[".venv: 3 packages, {size} in {time} s: 2 cached, 1 downloaded (1.1 kB)"]);
    let paths: Vec<String> = server.log().into_iter().skip(asked).map(|request| request.path).collect();
    assert_eq!(paths, ["/simple/third/", &packages[2].path()]);
}

/// Does something to the base and says what a run says of it; the environment is right in any case.
fn after(spoil: impl Fn(&Project, &Path)) -> Vec<String> {
    let demo = demo();
    let (_server, project) = warmed(std::slice::from_ref(&demo), &[]);
    spoil(&project, &entry(&project, &demo));
    let before = whole(&project.path("base"));
    let run = project.run(&["sync", "--cache-from", "../base"]);
    run.succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
    assert_eq!(whole(&project.path("base")), before, "nothing below is mended");
    assert!(run.stderr.contains("1 downloaded"), "{}", run.stderr);
    let again = project.run(&["sync", "--fresh", "--offline"]);
    again.succeeds();
    warnings(&run.stderr)
}

fn warnings(stderr: &str) -> Vec<String> {
    stderr.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect()
}

/// A root's command as a user who may do nothing special.
fn as_nobody(command: &Command) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    started_by(setpriv, command)
}

fn names_one(warnings: &[String], what: &str) {
    assert!(warnings.len() == 1 && warnings[0].contains(what), "{warnings:?}");
}

#[test]
fn an_entry_with_other_bytes_is_named_and_passed_over() {
    let swapped = after(|_, entry| {
        let mut bytes = fs::read(entry).expect("a file");
        let at = memchr::memmem::find(&bytes, b"something to damage").expect("it is there");
        bytes[at] ^= 1;
        fs::write(entry, bytes).expect("written");
    });
    names_one(&swapped, "is damaged: it is passed over");
}

#[test]
fn a_truncated_entry_is_none() {
    let truncated = after(|_, entry| {
        let bytes = fs::read(entry).expect("a file");
        fs::write(entry, &bytes[..bytes.len() / 2]).expect("written");
    });
    assert_eq!(truncated, Vec::<String>::new());
}

#[test]
fn an_entry_that_leads_away_is_none() {
    let away = after(|project, entry| {
        fs::rename(entry, project.path("elsewhere")).expect("moved");
        symlink(project.path("elsewhere"), entry).expect("a link");
    });
    assert_eq!(away, Vec::<String>::new());
    let directory = after(|project, entry| {
        let dir = entry.parent().expect("a directory");
        fs::rename(dir, project.path("elsewhere")).expect("moved");
        symlink(project.path("elsewhere"), dir).expect("a link");
    });
    assert_eq!(directory, Vec::<String>::new());
    let fifo = after(|_, entry| {
        fs::remove_file(entry).expect("removed");
        let made = Command::new("mkfifo").arg(entry).status().expect("mkfifo");
        assert!(made.success());
    });
    assert_eq!(fifo, Vec::<String>::new());
}

#[test]
fn foreign_files_are_left_alone() {
    let foreign = after(|project, entry| {
        fs::remove_file(entry).expect("removed");
        project.write("base/v1/files/zz/not-a-digest", "x");
        project.write("base/v1/selections/README", "x");
        project.write("base/v2/files/x", "of a newer venvoy");
    });
    assert_eq!(foreign, Vec::<String>::new());
}

#[test]
fn what_cannot_be_used_at_all_is_named_once_and_passed_over() {
    let packages = [demo(), Package::simple("other", "1.0")];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    project.write("a-file", "x");
    project.write("empty/x", "no cache");
    project.write("bad.tar", [7_u8; 5000]);
    project.write("none.tar", [0_u8; 10240]);
    for place in ["../missing", "../a-file", "../empty", "../bad.tar", "../none.tar", "../missing.tar"] {
        let _ = fs::remove_dir_all(project.venv());
        let run = project.run(&["sync", "--cache-from", place]);
        run.succeeds();
        let name = format!("warning: the cache {{root}}/project/{place} is passed over: ");
        assert_eq!(run.stderr.matches("warning: ").count(), 1, "{}", run.stderr);
        assert!(run.stderr.contains(&name), "{}", run.stderr);
    }
    for (typed, says) in [("", "--cache-from is empty"), ("ftp://a/b", "--cache-from takes no \"ftp\" URL")] {
        project.run(&["sync", "--cache-from", typed]).ends_with(2).mentions(&[says]);
    }
}

#[test]
fn a_tar_that_ends_too_early_is_good_for_what_it_has() {
    let packages = [demo(), Package::simple("other", "1.0")];
    let (server, project) = warmed(&packages, &["-o", "../base.tar"]);
    let bytes = fs::read(project.path("base.tar")).expect("a tar");
    // Inside of the last file.
    fs::write(project.path("base.tar"), &bytes[..bytes.len() - 2500]).expect("written");
    let run = project.run(&["sync", "--cache-from", "../base.tar"]);
    run.succeeds();
    assert_eq!(project.installed(), ["demo 1.0", "other 1.0"]);
    drop(server);
}

#[test]
fn an_entry_that_may_not_be_read_is_named_and_passed_over() {
    let demo = demo();
    let (_server, project) = warmed(std::slice::from_ref(&demo), &[]);
    let entry = entry(&project, &demo);
    let mut command = project.command(&["sync", "--cache-from", "../base"]);
    if rustix::process::geteuid().is_root() {
        // Root reads everything.
        for dir in [project.path(""), project.dir(), project.path("home")] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("permissions");
        }
        command = as_nobody(&command);
        command.env("VENVOY_CACHE_DIR", project.path("home/cache"));
    }
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o000)).expect("permissions");
    let run = project.finish(&mut command);
    run.succeeds().mentions(&["1 downloaded"]);
    names_one(&warnings(&run.stderr), "cannot be read and is passed over");
}

#[test]
fn built_wheels_are_taken_from_below_only_where_they_are_trusted() {
    let source = backend::sdist("lib", lib("built"));
    let (_server, project) = warmed(std::slice::from_ref(&source), &["-o", "../base.tar"]);
    for base in ["../base", "../base.tar"] {
        for (args, came) in [(&[][..], "1 built"), (&["--trust-built"], "1 cached")] {
            project.forget();
            let run = project.run(&[&["sync", "--cache-from", base], args].concat());
            run.succeeds().mentions(&[came]);
            assert_eq!(project.script("lib"), "built");
        }
    }
}

#[test]
fn damage_that_is_only_met_while_writing_is_no_dead_end() {
    let demo = demo();
    let (server, project) = warmed(std::slice::from_ref(&demo), &[]);
    project.run(&["sync", "--cache-from", "../base", "--link", "unpack"]).succeeds();
    let (path, asked) = (entry(&project, &demo), server.log().len());
    let mut bytes = fs::read(&path).expect("a file");
    let at = memchr::memmem::find(&bytes, b"something to damage").expect("it is there");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("written");
    let run = project.run(&["sync", "--cache-from", "../base", "--link", "unpack", "--fresh"]);
    run.succeeds().mentions(&["1 downloaded"]);
    assert_eq!(server.log().len(), asked + 1);
}
