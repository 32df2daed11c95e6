//! An environment that is there becomes another one: what stays is not touched, what a fresh run would make is what
//! is there in the end, and a run that is killed leaves nothing that passes as either.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::support::{lock::Lock, mount::Mount, package::Package, project::Project, wheel::WheelBuilder};

/// A package of two modules, one of which is the same in every version.
fn package(name: &str, version: &str) -> Package {
    Package::new(
        &WheelBuilder::new(name, version)
            .file(&format!("{name}/__init__.py"), format!("version = '{version}'\n"))
            .file(&format!("{name}/same.py"), "same = True\n")
            .console_script(&format!("{name} = {name}:main")),
    )
}

fn lock(packages: &[&Package]) -> Lock {
    packages.iter().fold(Lock::new(), |lock, package| lock.package(package))
}

/// A project that can install any of these packages, and has these.
struct Place {
    project: Project,
    /// Where the same is made from nothing.
    fresh: Project,
    /// Whether the lock has an editable project as well.
    editable: std::cell::Cell<bool>,
}

impl Place {
    fn new(all: &[&Package]) -> Self {
        let editable = std::cell::Cell::new(false);
        let place = Place { project: Project::new(), fresh: Project::new(), editable };
        for project in [&place.project, &place.fresh] {
            for package in all {
                project.wheels(&[(*package).clone()]);
            }
        }
        place
    }

    fn lock(&self, project: &Project, packages: &[&Package]) {
        let lock = lock(packages);
        let entry = || serde_json::json!({"path": "./lib", "editable": true});
        project.lock(&if self.editable.get() { lock.entry("default", "lib", entry()) } else { lock });
    }

    /// Asks for these packages and gives the last line of the run.
    fn sync(&self, packages: &[&Package], args: &[&str]) -> String {
        self.lock(&self.project, packages);
        let run = self.project.sync_with(args);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stderr.lines().last().unwrap_or_default().to_owned()
    }

    /// Whether the environment is bit for bit what a fresh run makes.
    fn assert_as_fresh(&self, packages: &[&Package], args: &[&str]) {
        self.lock(&self.fresh, packages);
        let run = self.fresh.sync_with(&[args, &["--fresh"]].concat());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let digest = |project: &Project| project.run(&["digest"]).stdout;
        let manifest = |project: &Project| {
            fs::read_to_string(project.venv().join("venvoy.manifest")).expect("a manifest")
        };
        let (there, fresh) = (manifest(&self.project), manifest(&self.fresh));
        let differ = |(a, b): &(&str, &str)| a != b;
        let line = there.lines().zip(fresh.lines()).find(differ);
        let packages = names(packages);
        assert_eq!(digest(&self.project), digest(&self.fresh), "{packages:?} {args:?} {line:?}");
        let mut names = self.project.names();
        names.retain(|name| name != "lib");
        assert_eq!(names, [".venv", "Pipfile.lock"], "nothing is left beside the environment");
    }

    fn site(&self, name: &str) -> PathBuf {
        self.project.site(name)
    }
}

fn names(packages: &[&Package]) -> Vec<String> {
    packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

fn inode(path: &Path) -> (u64, i64) {
    let meta = fs::symlink_metadata(path).expect("it is there");
    (meta.ino(), meta.ctime())
}

#[test]
fn files_that_stay_are_not_touched() {
    let (a, b1, b2, c) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"), package("c", "1.0"));
    let place = Place::new(&[&a, &b1, &b2, &c]);
    place.sync(&[&a, &b1], &["--link", "unpack"]);
    let before =
        ["a/__init__.py", "a-1.0.dist-info/RECORD", "b/same.py", "a"].map(|name| inode(&place.site(name)));
    let cfg = inode(&place.project.venv().join("pyvenv.cfg"));

    let said = place.sync(&[&a, &b2, &c], &["--link", "unpack"]);
    assert!(said.contains(".venv: 1 added, 1 changed; 1 kept, in "), "{said}");
    let after =
        ["a/__init__.py", "a-1.0.dist-info/RECORD", "b/same.py", "a"].map(|name| inode(&place.site(name)));
    assert_eq!(before, after, "also the module that both versions of b have");
    assert_eq!(cfg, inode(&place.project.venv().join("pyvenv.cfg")));
    assert!(!place.site("b-1.0.dist-info").exists());
    place.assert_as_fresh(&[&a, &b2, &c], &[]);

    let said = place.sync(&[&a], &[]);
    assert!(said.contains(".venv: 2 removed; 1 kept, in "), "{said}");
    place.assert_as_fresh(&[&a], &[]);
    assert!(place.sync(&[&a], &[]).contains("up to date"));
}

#[test]
fn what_two_versions_have_in_common_is_not_even_linked() {
    let (a, b1, b2) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"));
    let place = Place::new(&[&a, &b1, &b2]);
    // Once each was unpacked, it is known to hold what its RECORD says.
    place.sync(&[&a, &b1], &[]);
    place.sync(&[&a, &b2], &[]);
    let changed = || {
        let meta = fs::symlink_metadata(place.site("b/same.py")).expect("it is there");
        (meta.ino(), meta.ctime(), meta.ctime_nsec())
    };
    let before = changed();
    let said = place.sync(&[&a, &b1], &[]);
    assert!(said.contains(".venv: 1 changed; 1 kept, in "), "{said}");
    // A link to it, made and removed, would show.
    assert_eq!(before, changed());
    place.assert_as_fresh(&[&a, &b1], &[]);

    // One that was edited is another.
    fs::write(place.site("b/same.py"), "same = False\n").expect("written");
    place.sync(&[&a, &b2], &[]);
    place.assert_as_fresh(&[&a, &b2], &[]);
}

#[test]
fn what_the_interpreter_ships_stays_with_seed() {
    let (a, b1, b2) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"));
    let place = Place::new(&[&a, &b1, &b2]);
    place.sync(&[&a, &b1], &["--seed"]);
    let before = inode(&place.site("pip/__init__.py"));
    place.lock(&place.project, &[&a, &b2]);
    let run = place.project.run(&["plan", "--diff", "--seed"]);
    assert!(run.stdout.contains("b 1.0 -> 2.0") && !run.stdout.contains("pip"), "{}", run.stdout);
    let said = place.sync(&[&a, &b2], &["--seed"]);
    assert!(said.contains(".venv: 1 changed; "), "{said}");
    assert_eq!(before, inode(&place.site("pip/__init__.py")));
    place.assert_as_fresh(&[&a, &b2], &["--seed"]);
    assert!(place.sync(&[&a, &b2], &["--seed"]).contains("up to date"));
    // A locked one takes the place of the interpreter's.
    let pip = package("pip", "99.0");
    for project in [&place.project, &place.fresh] {
        project.wheels(std::slice::from_ref(&pip));
    }
    let said = place.sync(&[&a, &b2, &pip], &["--seed"]);
    assert!(said.contains("1 changed; "), "{said}");
    place.assert_as_fresh(&[&a, &b2, &pip], &["--seed"]);
}

#[test]
fn a_change_is_named_with_v_and_fresh_asks_for_a_whole_one() {
    let (a, b1, b2) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"));
    let place = Place::new(&[&a, &b1, &b2]);
    place.sync(&[&a, &b1], &[]);
    place.project.lock(&lock(&[&a, &b2]));
    let run = place.project.sync_with(&["-v"]);
    assert!(run.stderr.contains("changed: b 1.0 -> 2.0"), "{}", run.stderr);
    let before = inode(&place.site("a/same.py").with_file_name("__init__.py"));
    let said = place.sync(&[&a, &b2], &["--fresh", "--link", "unpack"]);
    assert!(said.contains("2 packages"), "{said}");
    assert_ne!(before, inode(&place.site("a/__init__.py")));
}

#[test]
fn what_others_changed_is_put_right_with_the_change() {
    let (a, b1, b2, c) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"), package("c", "1.0"));
    let place = Place::new(&[&a, &b1, &b2, &c]);
    place.sync(&[&a, &b1, &c], &["--link", "unpack"]);
    // As editors save, as pip installs, as somebody cleans up.
    let mut kept = fs::OpenOptions::new().append(true).open(place.site("a/same.py")).expect("opened");
    kept.write_all(b"# edited\n").expect("written");
    let edited = place.site("a/__init__.py");
    fs::remove_file(&edited).expect("removed");
    fs::write(&edited, "edited = True\n").expect("written");
    let other = place.site("other");
    fs::create_dir(&other).expect("made");
    fs::write(other.join("module.py"), "").expect("written");
    fs::remove_dir_all(place.site("c")).expect("removed");
    fs::set_permissions(place.site("c-1.0.dist-info"), fs::Permissions::from_mode(0o555)).expect("mode");
    place.sync(&[&a, &b2, &c], &[]);
    place.assert_as_fresh(&[&a, &b2, &c], &[]);
    assert_eq!(place.project.run(&["check"]).code, Some(0));
}

#[test]
fn bytecode_of_an_exchanged_module_goes_with_it() {
    let (a, b1, b2) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"));
    let place = Place::new(&[&a, &b1, &b2]);
    place.sync(&[&a, &b1], &[]);
    for name in ["a/__pycache__/__init__.cpython-311.pyc", "b/__pycache__/__init__.cpython-311.pyc"] {
        fs::create_dir_all(place.site(name).parent().expect("a parent")).expect("made");
        fs::write(place.site(name), "bytecode").expect("written");
    }
    place.sync(&[&a, &b2], &[]);
    assert!(place.site("a/__pycache__/__init__.cpython-311.pyc").exists(), "its source is what it was");
    assert!(
        !place.site("b/__pycache__/__init__.cpython-311.pyc").exists(),
        "with its time it would be believed"
    );
    assert_eq!(place.project.run(&["check"]).code, Some(0));
}

#[test]
fn a_file_becomes_a_directory_and_the_reverse() {
    let of =
        |version: &str, path: &str| Package::new(&WheelBuilder::new("x", version).file(path, "content\n"));
    let (file, dir, a) = (of("1.0", "thing"), of("2.0", "thing/inner/deep.py"), package("a", "1.0"));
    let place = Place::new(&[&file, &dir, &a]);
    for wanted in [&file, &dir, &file, &dir] {
        place.sync(&[&a, wanted], &[]);
        place.assert_as_fresh(&[&a, wanted], &[]);
    }
}

#[test]
fn of_a_namespace_shared_by_several_one_goes() {
    let part = |name: &str| {
        let own = format!("shared/{name}.py");
        Package::new(&WheelBuilder::new(name, "1.0").file(&own, "").file("legacy/__init__.py", "same\n"))
    };
    let (a, b, c) = (part("a"), part("b"), part("c"));
    let place = Place::new(&[&a, &b, &c]);
    for wanted in [&[&a, &b, &c][..], &[&a, &c], &[&c], &[&b, &c]] {
        place.sync(wanted, &[]);
        place.assert_as_fresh(wanted, &[]);
        assert!(place.site("legacy/__init__.py").exists());
    }
}

#[test]
fn of_what_shares_a_path_only_that_comes_again_and_counts_by_its_turn() {
    let part = |name: &str, version: &str| {
        let own = format!("{name}/__init__.py");
        let wheel = WheelBuilder::new(name, version).file(&own, version);
        let text = format!("{name} {version}");
        Package::new(&wheel.file("shared/one.py", text.clone()).file(&format!("shared/{name}.py"), text))
    };
    let (a, b, c, b2) = (part("a", "1.0"), part("b", "1.0"), part("c", "1.0"), part("b", "2.0"));
    // What the one that comes has in common with none that comes, but with one that has to come again.
    let bridge = Package::new(&WheelBuilder::new("bridge", "1.0").file("shared/c.py", "bridge"));
    let other = package("other", "1.0");
    let place = Place::new(&[&a, &b, &c, &b2, &bridge, &other]);
    place.sync(&[&a, &b, &c, &other], &["--link", "unpack"]);
    let kept = || ["other/__init__.py", "other-1.0.dist-info/RECORD"].map(|name| inode(&place.site(name)));
    let before = kept();
    for (wanted, told) in [
        (&[&a, &b, &other][..], "1 removed; 3 kept"),
        (&[&a, &other], "1 removed; 2 kept"),
        (&[&a, &b2, &other], "1 added; 2 kept"),
        (&[&b, &c, &other], "1 added, 1 removed, 1 changed; 1 kept"),
        (&[&a, &b, &c, &other], "1 added; 3 kept"),
        (&[&a, &b2, &bridge, &c, &other], "1 added, 1 changed; 3 kept"),
        (&[&other], "4 removed; 1 kept"),
        (&[&a, &c, &other], "2 added; 1 kept"),
    ] {
        place.lock(&place.project, wanted);
        let foreseen = place.project.run(&["plan", "--diff"]);
        assert_eq!(foreseen.code, Some(0), "{}", foreseen.stderr);
        let (changes, kept) = told.split_once("; ").expect("two parts");
        let count = |word: &str| {
            let part = changes.split(", ").find_map(|part| part.strip_suffix(word));
            part.map_or("0", str::trim).to_owned()
        };
        let (added, removed, changed) = (count("added"), count("removed"), count("changed"));
        let kept = kept.trim_end_matches(" kept");
        let summary = format!("{added} to add, {removed} to remove, {changed} to change; {kept} to keep");
        assert!(foreseen.stdout.contains(&summary), "{summary}: {}", foreseen.stdout);
        let said = place.sync(wanted, &["--link", "unpack"]);
        assert!(said.contains(told), "{told}: {said}");
        place.assert_as_fresh(wanted, &[]);
        assert_eq!(place.project.run(&["check"]).code, Some(0), "{told}");
    }
    assert_eq!(before, kept());
}

#[test]
fn what_is_left_out_with_slim_follows_the_code_that_comes_and_goes() {
    let tested = Package::new(
        &WheelBuilder::new("tested", "1.0")
            .file("tested/__init__.py", "")
            .file("tested/tests/__init__.py", "")
            .file("tested/tests/test_it.py", "helper = 1\n"),
    );
    let user = |version: &str, code: &str| {
        Package::new(&WheelBuilder::new("user", version).file("user/__init__.py", code))
    };
    let (uses, does_not) = (user("1.0", "from tested.tests import test_it\n"), user("2.0", "helper = 1\n"));
    let other = Package::new(
        &WheelBuilder::new("other", "1.0").file("other/__init__.py", "").file("other/tests/test_it.py", ""),
    );
    let place = Place::new(&[&tested, &uses, &does_not, &other]);
    let slim = ["--slim", "--link", "unpack"];
    place.sync(&[&other, &tested], &slim);
    let before = inode(&place.site("other/__init__.py"));
    for (wanted, told, stays) in [
        (&[&other, &tested, &uses][..], "1 added; 2 kept", true),
        (&[&other, &tested, &does_not], "1 changed; 2 kept", false),
        (&[&other, &tested, &uses], "1 changed; 2 kept", true),
        (&[&other, &tested], "1 removed; 2 kept", false),
    ] {
        let said = place.sync(wanted, &slim);
        assert!(said.contains(told), "{told}: {said}");
        assert_eq!(place.site("tested/tests/test_it.py").exists(), stays, "{told}");
        assert!(!place.site("other/tests").exists(), "{told}");
        place.assert_as_fresh(wanted, &["--slim"]);
        assert!(place.sync(wanted, &slim).contains("up to date"));
    }
    assert_eq!(before, inode(&place.site("other/__init__.py")));
}

#[test]
fn with_slim_and_seed_what_stays_is_not_touched() {
    let (a, b) = (package("a", "1.0"), package("b", "1.0"));
    let place = Place::new(&[&a, &b]);
    let args = ["--slim", "--seed", "--link", "unpack"];
    place.sync(&[&a], &args);
    let pip = || inode(&place.site("pip/__init__.py"));
    let before = (pip(), inode(&place.site("a/__init__.py")));
    // pip, and what else the interpreter ships.
    let kept = place.project.distributions();
    for (wanted, told) in [(&[&a, &b][..], "1 added"), (&[&a], "1 removed")] {
        let said = place.sync(wanted, &args);
        assert!(said.contains(&format!("{told}; {kept} kept")), "{said}");
        place.assert_as_fresh(wanted, &["--slim", "--seed"]);
    }
    assert_eq!(before, (pip(), inode(&place.site("a/__init__.py"))));
}

#[test]
fn a_manifest_that_was_edited_is_not_believed() {
    let (a, b1, b2) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"));
    let place = Place::new(&[&a, &b1, &b2]);
    place.sync(&[&a, &b1], &[]);
    let path = place.project.venv().join("venvoy.manifest");
    let text = fs::read_to_string(&path).expect("a manifest");
    let edits: [&dyn Fn(&str) -> String; 4] = [
        &|text| text.replace("site-packages/b-1.0.dist-info\n", "site-packages/../../../../../outside\n"),
        &|text| text.replace("same.py", "other.py"),
        &|text| text[..text.len() / 2].to_owned(),
        &|text| text.replace("\np ", "\np zz"),
    ];
    for edit in edits {
        place.sync(&[&a, &b1], &["--fresh"]);
        fs::write(&path, edit(&text)).expect("written");
        place.sync(&[&a, &b2], &[]);
        place.assert_as_fresh(&[&a, &b2], &[]);
    }
}

/// Leaves an environment with a journal: everything that is new is staged, nothing is moved.
fn journal(place: &Place, steps: &str, staging: &str) {
    let text = format!("venvoy journal 1\nstaging {staging}\nmtime 315532800\n{steps}");
    let digest = crate::support::package::sha256(text.as_bytes());
    fs::write(place.project.venv().join("venvoy.journal"), format!("{text}end {digest}\n")).expect("written");
}

/// What puts a journal into a place.
type Plant<'a> = &'a dyn Fn();

#[test]
fn a_journal_that_cannot_be_trusted_is_given_up_and_reaches_nothing_outside() {
    let (a, b) = (package("a", "1.0"), package("b", "1.0"));
    let place = Place::new(&[&a, &b]);
    let outside = place.project.path("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("kept"), "kept").expect("written");
    let venv = place.project.venv();
    let staging = place.project.path("project/.venv.venvoy-abcdefgh");
    let plants: [(&str, Plant<'_>); 8] = [
        ("empty", &|| fs::write(venv.join("venvoy.journal"), "").expect("written")),
        ("foreign", &|| fs::write(venv.join("venvoy.journal"), "something else\n").expect("written")),
        ("truncated", &|| {
            journal(&place, "- bin/a\n", ".venv.venvoy-abcdefgh");
            let path = venv.join("venvoy.journal");
            let text = fs::read_to_string(&path).expect("read");
            fs::write(&path, &text[..text.len() - 20]).expect("written");
        }),
        ("outside", &|| {
            fs::create_dir_all(&staging).expect("made");
            journal(&place, "r ../outside\n- ../outside/kept\n", ".venv.venvoy-abcdefgh");
        }),
        ("through a link", &|| {
            fs::create_dir_all(&staging).expect("made");
            symlink(&outside, venv.join("door")).expect("linked");
            journal(&place, "- door/kept\nr door/kept\n", ".venv.venvoy-abcdefgh");
        }),
        ("another's staging", &|| journal(&place, "> kept\n", "../outside")),
        ("a link", &|| symlink(outside.join("kept"), venv.join("venvoy.journal")).expect("linked")),
        ("a directory", &|| fs::create_dir(venv.join("venvoy.journal")).expect("made")),
    ];
    for (what, plant) in plants {
        place.sync(&[&a, &b], &["--fresh"]);
        plant();
        assert!(!place.sync(&[&a, &b], &[]).contains("up to date") || what == "through a link", "{what}");
        assert_eq!(fs::read_to_string(outside.join("kept")).expect(what), "kept");
        let _ = fs::remove_file(venv.join("door"));
        place.sync(&[&a, &b], &["--fresh"]);
        place.assert_as_fresh(&[&a, &b], &[]);
    }
}

#[test]
fn a_journal_is_finished_by_check_as_well() {
    let (a, b) = (package("a", "1.0"), package("b", "1.0"));
    let place = Place::new(&[&a, &b]);
    place.sync(&[&a, &b], &["--link", "unpack"]);
    // One file is still to come, one directory still to be given its time.
    let staging = place.project.path("project/.venv.venvoy-abcdefgh");
    let module = place.site("b/same.py");
    let inner = module.strip_prefix(place.project.venv()).expect("inside").display().to_string();
    let to = staging.join(&inner);
    fs::create_dir_all(to.parent().expect("a parent")).expect("made");
    fs::rename(&module, &to).expect("moved");
    let dir = Path::new(&inner).parent().expect("a directory").display().to_string();
    journal(&place, &format!("> {inner}\nt {dir}\n"), ".venv.venvoy-abcdefgh");
    assert_eq!(place.project.run(&["check"]).code, Some(0));
    place.assert_as_fresh(&[&a, &b], &[]);
}

#[test]
fn two_runs_at_once_end_as_one() {
    let all: Vec<Package> =
        (0..6).flat_map(|i| ["1.0", "2.0"].map(|v| package(&format!("p{i}"), v))).collect();
    let all: Vec<&Package> = all.iter().collect();
    let place = Place::new(&all);
    let (old, new): (Vec<&Package>, Vec<&Package>) = all.iter().partition(|package| package.version == "1.0");
    for round in 0..3 {
        place.sync(&old, &[]);
        place.project.lock(&lock(&[&old[..=round], &new[round + 1..]].concat()));
        let runs: Vec<_> = (0..3).map(|_| place.project.start(&[])).collect();
        for run in runs {
            let run = place.project.wait(run);
            assert_eq!(run.code, Some(0), "{}", run.stderr);
        }
        place.assert_as_fresh(&[&old[..=round], &new[round + 1..]].concat(), &[]);
    }
}

#[test]
fn a_full_disk_leaves_the_old_environment_or_the_new_one() {
    let of = |version: &str| {
        Package::new(
            &WheelBuilder::new("big", version).file("big.bin", crate::support::package::noise(400_000)),
        )
    };
    let (a, one, two) = (package("a", "1.0"), of("1.0"), of("2.0"));
    let place = Place::new(&[&a, &one, &two]);
    let Some(mount) = Mount::tmpfs(&place.project.path("project"), "4m") else { return };
    place.sync(&[&a, &one], &["--link", "unpack"]);
    let filler = place.project.path("project/filler");
    let mut file = fs::File::create(&filler).expect("created");
    while file.write_all(&[0; 16 << 10]).is_ok() {}
    let full = file.metadata().expect("its size").len();
    file.set_len(full - 200_000).expect("room for half of what comes");
    drop(file);
    place.project.lock(&lock(&[&a, &two]));
    let run = place.project.sync_with(&["--link", "unpack"]);
    assert_eq!(run.code, Some(10), "{}", run.stderr);
    assert!(run.stderr.contains("free some space"), "{}", run.stderr);
    fs::remove_file(&filler).expect("removed");
    place.project.lock(&lock(&[&a, &one]));
    assert_eq!(place.project.run(&["check"]).code, Some(0), "the old one is whole");
    place.sync(&[&a, &two], &["--link", "unpack"]);
    place.assert_as_fresh(&[&a, &two], &[]);
    drop(mount);
}

#[test]
fn an_edited_module_of_an_editable_project_costs_nothing() {
    let a = package("a", "1.0");
    let place = Place::new(&[&a]);
    let entry = serde_json::json!({"path": "./lib", "editable": true});
    place.project.lock(&lock(&[&a]).entry("default", "lib", entry));
    place.project.plant("project/lib", &crate::support::backend::lib("one"));
    let sync = || {
        let run = place.project.sync();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stderr.lines().last().unwrap_or_default().to_owned()
    };
    sync();
    place.project.write("project/lib/lib.py", "def main():\n    print('two')\n");
    assert!(sync().contains("up to date"));
    assert_eq!(place.project.script("lib"), "two");
    let project = place.project.read("project/lib/pyproject.toml");
    place.project.write("project/lib/pyproject.toml", format!("{project}# edited\n"));
    // The same wheel comes of it; that is seen only once it is built.
    assert!(sync().contains("1 changed; 1 kept"));
    assert!(sync().contains("up to date"));
}

/// ext4 allows a file 65,000 links; some network file systems a few hundred.
#[test]
fn as_many_links_as_the_file_system_allows_fail_no_run() {
    let a = package("a", "1.0");
    let place = Place::new(&[&a]);
    place.sync(&[&a], &[]);
    let linked = place.site("a/__init__.py");
    if fs::metadata(&linked).expect("it is there").nlink() < 2 {
        eprintln!("skipped: files are not linked here");
        return;
    }
    let links = place.project.path("links");
    fs::create_dir(&links).expect("made");
    let mut numbers = 0..140_000;
    for mode in ["auto", "hardlink"] {
        // What a run removed makes room for another.
        let source = if mode == "auto" { linked.clone() } else { links.join("0") };
        let is_full = numbers
            .by_ref()
            .take(70_000)
            .any(|number| fs::hard_link(&source, links.join(number.to_string())).is_err());
        let said = place.sync(&[&a], &["--fresh", "--link", mode]);
        assert!(said.contains("1 package"), "{said}");
        assert_eq!(fs::read_to_string(place.site("a/__init__.py")).expect("read"), "version = '1.0'\n");
        let own = fs::metadata(place.site("a/__init__.py")).expect("it is there").nlink();
        assert!(!is_full || own < 60_000, "{mode}: it has {own} links");
    }
    assert_eq!(place.project.run(&["check"]).code, Some(0));
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound as u64).expect("small")
    }
}

#[test]
fn files_are_linked_before_they_are_cloned_where_both_can_be() {
    let (a, b1, b2) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"));
    for kind in ["xfs", "btrfs"] {
        let project = Project::new();
        for package in [&a, &b1, &b2] {
            project.wheels(std::slice::from_ref(package));
        }
        let Some(_disk) = Mount::cloning(kind, &project.dir(), &project.path("disk.img")) else { continue };
        let cache = project.dir().join("cache").to_str().expect("UTF-8").to_owned();
        let project = project.variable("VENVOY_CACHE_DIR", cache);
        for (mode, packages, links) in [
            ("auto", [&a, &b1], 2),
            ("reflink", [&a, &b2], 1),
            ("hardlink", [&a, &b1], 2),
            ("copy", [&a, &b2], 1),
        ] {
            project.lock(&lock(&packages));
            let run = project.sync_with(&["--fresh", "--link", mode]);
            assert_eq!(run.code, Some(0), "{kind} {mode}: {}", run.stderr);
            let linked = fs::metadata(project.site("a/__init__.py")).expect("it is there").nlink();
            assert_eq!(linked, links, "{kind} {mode}");
            assert_eq!(project.run(&["check"]).code, Some(0), "{kind} {mode}");
        }
    }
}

/// As in a container whose image was warmed: a link copies the file up first, which is as fast as any other way.
#[test]
fn a_cache_in_the_lower_layer_of_an_overlay_serves_every_way_and_stays_as_it_was() {
    let (a, b1, b2) = (package("a", "1.0"), package("b", "1.0"), package("b", "2.0"));
    let project = Project::new();
    for package in [&a, &b1, &b2] {
        project.wheels(std::slice::from_ref(package));
    }
    let cache = project.dir().join("cache");
    let project = project.variable("VENVOY_CACHE_DIR", cache.to_str().expect("UTF-8").to_owned());
    let sync = |packages: &[&Package], args: &[&str]| {
        project.lock(&lock(packages));
        let run = project.sync_with(args);
        assert_eq!(run.code, Some(0), "{args:?}: {}", run.stderr);
        project.run(&["digest"]).stdout
    };
    let other = sync(&[&a, &b2], &[]);
    let before = sync(&[&a, &b1], &[]);
    let is_whole = |when: &str| {
        let run = project.run(&["cache", "verify"]);
        assert_eq!(run.code, Some(0), "{when}: {}", run.stderr);
        assert_eq!(project.run(&["check"]).code, Some(0), "{when}");
    };
    let upper = project.path("upper");
    let Some(_memory) = Mount::tmpfs(&upper, "32m") else { return };
    for mode in ["auto", "hardlink", "copy", "unpack"] {
        let upper = upper.join(mode);
        let Some(_overlay) = Mount::overlay(&project.dir(), &upper) else { return };
        assert_eq!(sync(&[&a, &b1], &["--fresh", "--link", mode]), before, "{mode}");
        is_whole(mode);
        assert_eq!(sync(&[&a, &b2], &["--link", mode]), other, "{mode}");
        is_whole(mode);
    }
    project.lock(&lock(&[&a, &b1]));
    assert!(project.sync().stderr.contains("up to date"), "what is below was not written to");
    is_whole("below");
}

/// Random locks one after the other, with other options now and then, some runs killed at a random moment: after each
/// whole run the environment is what a fresh run makes.
#[test]
fn random_changes_and_kills_give_what_a_fresh_run_gives() {
    let mut all = Vec::new();
    for i in 0..8 {
        for version in ["1.0", "2.0", "3.0"] {
            let name = format!("p{i}");
            let mut wheel = WheelBuilder::new(&name, version)
                .file(&format!("{name}/__init__.py"), format!("'{version}'\n"))
                .file(&format!("{name}/same.py"), "")
                .console_script(&format!("{name}-{} = {name}:main", &version[..1]));
            if i % 2 == 0 {
                wheel = wheel
                    .file(&format!("{name}/v{version}/inner.py"), "inner = 1\n")
                    .file(&format!("ns/{name}.py"), "");
            }
            if i % 3 == 0 && version != "2.0" {
                wheel = wheel
                    .file("shared/__init__.py", version)
                    .data(&format!("data/share/{name}.txt"), version);
            }
            // With `--slim` the tests of p1 stay as long as the code of p5 or p6 names them.
            if i == 1 {
                wheel = wheel.file("p1/tests/__init__.py", "").file("p1/tests/test_it.py", version);
            }
            if [5, 6].contains(&i) && version == "3.0" {
                wheel = wheel.file(&format!("{name}/uses.py"), "from p1.tests import test_it\n");
            }
            all.push(Package::new(&wheel));
        }
    }
    let place = Place::new(&all.iter().collect::<Vec<_>>());
    for project in [&place.project, &place.fresh] {
        project.plant("project/lib", &crate::support::backend::lib("editable"));
    }
    let mut dice = Dice(5);
    let mut wanted: BTreeMap<usize, usize> = BTreeMap::from([(1, 0)]);
    let mut args: &[&str] = &[];
    let (mut changed, mut slimmed) = (0, 0);
    for _ in 0..36 {
        for _ in 0..=dice.below(3) {
            let (name, version) = (dice.below(8), dice.below(4));
            if version == 3 {
                wanted.remove(&name);
            } else {
                wanted.insert(name, version);
            }
        }
        wanted.entry(1).or_insert(0);
        let packages: Vec<&Package> = wanted.iter().map(|(name, version)| &all[name * 3 + version]).collect();
        if dice.below(3) == 0 {
            args = match dice.below(9) {
                0 => &["--link", "unpack"],
                1 => &["--compile"],
                2 => &["--at", "/opt/venv"],
                3 | 4 => &["--slim"],
                5 => &["--link", "copy"],
                6 => &["--link", "hardlink"],
                _ => &[],
            };
        }
        // At a place of its own, an environment names an editable project by its path, which is another for the fresh one.
        place.editable.set(dice.below(3) == 0 && !args.contains(&"--at"));
        let killed = dice.below(3) == 0;
        if killed {
            place.lock(&place.project, &packages);
            let mut child = place.project.start(args);
            thread::sleep(Duration::from_millis(dice.below(40) as u64));
            let _ = child.kill();
            let _ = child.wait();
        }
        // How far a killed run comes is chance.
        let is_change = place.sync(&packages, args).contains(" kept, in ") && !killed;
        changed += usize::from(is_change);
        slimmed += usize::from(is_change && args == ["--slim"]);
        place.assert_as_fresh(&packages, args);
    }
    assert!(
        changed >= 9 && slimmed >= 2,
        "{changed} of 36 runs changed the environment, {slimmed} a slim one"
    );
}
