use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;

use super::*;
use crate::{
    environment::{
        layout::{ContentOrigin, PlanFile, PlanKey, PlanLink, PlannedDist, Written},
        manifest::{
            MANIFEST, render_manifest,
            text::{self as manifest, Content, Manifest},
            tree_digest, verify,
        },
        script::LauncherStyle,
    },
    packages::{
        cache::{self, Cache, Unpacked, VerifiedFile},
        wheel::{Strictness, Wheel, testing::WheelBuilder},
    },
    words::vocab::{RelPath, Sha256},
};

const MTIME: i64 = 315_532_800;
const SITE: &str = "lib/python3.11/site-packages";

fn path(text: &str) -> RelPath {
    text.parse().expect(text)
}

fn key(text: &str) -> PlanKey {
    PlanKey(Sha256::of(text.as_bytes()))
}

/// A directory with wheels, a store and a place for environments.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Place { dir: tempfile::tempdir().expect("directory") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("path").join(name)
    }

    fn wheel(&self, builder: &WheelBuilder) -> Wheel {
        let (bytes, path) = (builder.build(), builder.write_to(self.dir.path()));
        let file = VerifiedFile::vouch(path, Sha256::of(&bytes), bytes.len() as u64);
        let name = builder.file_name().parse().expect("name");
        Wheel::open(file, name, Strictness::Refuse).map_err(|e| e.report()).expect("wheel").0
    }

    /// A plan of every kind of content, with a wheel of the usual files.
    fn plan(&self) -> Plan {
        // Above what one of 32 threads may hold: it is streamed.
        let big = (0..1_400_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect::<Vec<u8>>();
        let wheel = demo()
            .file("demo/__init__.py", "")
            .file("demo/code.py", "print('hello')\n")
            .file("demo/data/big.bin", big)
            .executable("demo/tool.sh", "#!/bin/sh\n")
            .data("scripts/run", "#!python -s\nprint('run')\n");
        plan_of(self.wheel(&wheel))
    }

    /// The same under another name.
    fn plan_named(&self, name: &str) -> Plan {
        Plan { key: key(name), ..self.plan() }
    }

    fn write(&self, plan: &Plan, name: &str, options: &WriteOptions<'_>) -> Report {
        write(plan, &self.at(name), options).map_err(|e| e.report()).expect("written")
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.at("cache"), cache::Options::default())
    }

    /// A store in a cache of that name.
    fn store(&self, name: &str) -> Unpacked {
        Cache::open(&self.at(name), cache::Options::default()).unpacked(MTIME).expect("a store")
    }

    /// What is in the place besides `known`.
    fn others(&self, known: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.at(""))
            .expect("list")
            .map(|entry| entry.expect("entry").file_name().into_string().expect("UTF-8"))
            .filter(|name| !known.contains(&name.as_str()) && !name.starts_with("demo-1.0-"))
            .collect();
        names.sort();
        names
    }
}

fn demo() -> WheelBuilder {
    WheelBuilder::new("demo", "1.0")
}

fn plan_of(wheel: Wheel) -> Plan {
    let wheel = Arc::new(wheel);
    let bytes = |text: &str| ContentOrigin::Bytes(Arc::from(text.as_bytes()));
    let mut files = vec![
        PlanFile {
            path: path("pyvenv.cfg"),
            dist: None,
            origin: bytes("home = /usr/bin\n"),
            executable: false,
        },
        PlanFile {
            path: path(&format!("{SITE}/demo-1.0.dist-info/RECORD")),
            dist: Some(0),
            origin: ContentOrigin::Record { dist: 0 },
            executable: false,
        },
    ];
    for (entry, one) in wheel.entries.iter().enumerate() {
        let name = one.path.as_str();
        files.push(if let Some(script) = name.strip_prefix("demo-1.0.data/scripts/") {
            PlanFile {
                path: path(&format!("bin/{script}")),
                dist: Some(0),
                origin: ContentOrigin::Script {
                    dist: 0,
                    entry,
                    style: Arc::new(LauncherStyle::Absolute("/opt/env".to_owned())),
                },
                executable: true,
            }
        } else {
            PlanFile {
                path: path(&format!("{SITE}/{name}")),
                dist: Some(0),
                origin: ContentOrigin::Entry { dist: 0, entry },
                executable: one.executable,
            }
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut dirs = BTreeSet::from([path("include")]);
    for file in &files {
        dirs.extend(std::iter::successors(file.path.parent(), RelPath::parent));
    }
    Plan {
        dists: vec![PlannedDist {
            name: wheel.name.name.clone(),
            version: wheel.name.version.clone(),
            dist_info: path(&format!("{SITE}/demo-1.0.dist-info")),
            wheel,
            key: Sha256::default(),
        }],
        key: key("plan"),
        mtime: MTIME,
        dirs: dirs.into_iter().collect(),
        files,
        links: vec![PlanLink { path: path("lib64"), target: "lib".to_owned() }],
        ..Plan::default()
    }
}

fn options() -> WriteOptions<'static> {
    WriteOptions::default()
}

#[test]
fn every_kind_of_content_arrives_with_its_mode_and_time() {
    let place = Place::new();
    let report = place.write(&place.plan(), "env", &options());
    let env = place.at("env");
    assert_eq!((report.files, report.from_store, report.current, report.in_place), (9, 0, false, false));
    assert_eq!(fs::read(env.join(SITE).join("demo/code.py")).expect("file"), b"print('hello')\n");
    assert_eq!(fs::metadata(env.join(SITE).join("demo/data/big.bin")).expect("file").len(), 5_600_000);
    assert_eq!(
        fs::read_to_string(env.join("bin/run")).expect("file"),
        "#!/opt/env/bin/python\nprint('run')\n"
    );
    assert_eq!(fs::read_link(env.join("lib64")).expect("link"), Path::new("lib"));
    let record = fs::read_to_string(env.join(SITE).join("demo-1.0.dist-info/RECORD")).expect("file");
    let script = Sha256::of(b"#!/opt/env/bin/python\nprint('run')\n").to_record();
    assert!(record.contains(&format!("../../../bin/run,sha256={script},35\n")), "{record}");
    assert!(record.contains("demo-1.0.dist-info/RECORD,,\n"), "{record}");
    for (name, mode) in [
        ("bin/run", 0o755),
        ("bin", 0o755),
        ("include", 0o755),
        (MANIFEST, 0o644),
        ("pyvenv.cfg", 0o644),
        ("lib/python3.11/site-packages/demo/tool.sh", 0o755),
        ("lib/python3.11/site-packages/demo/code.py", 0o644),
        (".", 0o755),
        ("lib/python3.11/site-packages", 0o755),
    ] {
        let meta = fs::metadata(env.join(name)).expect(name);
        assert_eq!(
            (meta.permissions().mode() & 0o7777, meta.mtime(), meta.mtime_nsec()),
            (mode, MTIME, 0),
            "{name}"
        );
    }
    assert_eq!(fs::symlink_metadata(env.join("lib64")).expect("link").mtime(), MTIME);
    assert!(verify(&env).expect("verified").is_clean());
    assert_eq!(place.others(&["env"]), Vec::<String>::new());
}

#[test]
fn the_tree_is_the_same_whatever_way_it_was_made() {
    let place = Place::new();
    let plan = place.plan();
    let store = place.store("store");
    let with_store = WriteOptions { store: Some(&store), ..options() };
    place.write(&plan, "unpacked", &options());
    let digest = |name: &str| tree_digest(&place.at(name)).expect("digest");
    let expected = digest("unpacked");

    assert_eq!(place.write(&plan, "fills-the-store", &with_store).from_store, 0);
    assert_eq!(place.write(&plan, "from-the-store", &with_store).from_store, 6);
    let linked = fs::metadata(place.at("from-the-store").join(SITE).join("demo/code.py")).expect("file");
    assert!(linked.nlink() >= 3 || linked.nlink() == 1, "linked, or cloned: {}", linked.nlink());
    let copied = place.write(&plan, "copied", &WriteOptions { link: LinkMode::Copy, ..with_store });
    assert_eq!(copied.from_store, 6);
    assert_eq!(fs::metadata(place.at("copied").join(SITE).join("demo/code.py")).expect("file").nlink(), 1);
    let other = place.store("other-store");
    let copies = WriteOptions { store: Some(&other), link: LinkMode::Copy, ..options() };
    assert_eq!(place.write(&plan, "copied-into-the-store", &copies).from_store, 0);
    assert_eq!(place.write(&plan, "copied-out-of-it", &copies).from_store, 6);
    let one = WriteOptions { threads: NonZeroUsize::new(1), ..options() };
    place.write(&plan, "one-thread", &one);
    let many = WriteOptions { threads: NonZeroUsize::new(32), ..options() };
    place.write(&plan, "many-threads", &many);
    // What is made below a set-group-ID directory gets that bit too, as an odd umask takes bits away.
    fs::create_dir(place.at("group")).expect("directory");
    fs::set_permissions(place.at("group"), fs::Permissions::from_mode(0o2755)).expect("mode");
    place.write(&plan, "group/env", &options());
    fs::create_dir(place.at("inside")).expect("directory");
    write_once(&plan, &place.at("inside"), &options(), true).expect("written");
    for name in [
        "inside",
        "fills-the-store",
        "from-the-store",
        "copied",
        "copied-into-the-store",
        "copied-out-of-it",
        "one-thread",
        "many-threads",
        "group/env",
    ] {
        assert_eq!(digest(name), expected, "{name}");
    }
}

#[test]
fn what_was_unpacked_ahead_is_linked_or_moved_and_gives_the_same_tree() {
    let place = Place::new();
    let (plan, cache) = (place.plan(), place.cache());
    let store = cache.unpacked(MTIME).expect("a store");
    place.write(&plan, "unpacked", &options());
    for (link, name, links) in
        [(LinkMode::Auto, "linked", 2), (LinkMode::Unpack, "moved", 1), (LinkMode::Copy, "copied", 1)]
    {
        let ahead = Ahead::new(&cache, link, MTIME, &place.at(name)).expect("a place");
        assert_eq!(ahead.beside(), None);
        ahead.unpack(&plan.dists[0].wheel, &|| false);
        assert_eq!(ahead.beside().is_some(), link == LinkMode::Unpack);
        let options = WriteOptions { store: Some(&store), ahead: ahead.beside(), link, ..options() };
        assert_eq!(place.write(&plan, name, &options).from_store, 6, "{name}");
        let file = place.at(name).join(SITE).join("demo/code.py");
        assert_eq!(fs::metadata(file).expect("file").nlink(), links, "{name}");
        let digest = |name: &str| tree_digest(&place.at(name)).expect("digest");
        assert_eq!(digest(name), digest("unpacked"));
    }
    assert_eq!(place.others(&["cache", "copied", "linked", "moved", "unpacked"]), Vec::<String>::new());
}

#[test]
fn unpacking_ahead_that_is_stopped_leaves_all_to_be_written() {
    let place = Place::new();
    let (plan, cache) = (place.plan(), place.cache());
    let store = cache.unpacked(MTIME).expect("a store");
    for (link, name) in [(LinkMode::Hardlink, "linked"), (LinkMode::Unpack, "moved")] {
        let ahead = Ahead::new(&cache, link, MTIME, &place.at(name)).expect("a place");
        let asked = AtomicUsize::new(0);
        ahead.unpack(&plan.dists[0].wheel, &|| asked.fetch_add(1, Ordering::Relaxed) >= 2);
        let options = WriteOptions { store: Some(&store), ahead: ahead.beside(), link, ..options() };
        assert_eq!(place.write(&plan, name, &options).from_store, 0, "{name}");
        assert!(verify(&place.at(name)).expect("verified").is_clean());
    }
    assert_eq!(place.others(&["cache", "linked", "moved"]), Vec::<String>::new());
}

#[test]
fn a_mount_point_is_filled_in_place_and_replaced_in_place() {
    let place = Place::new();
    let plan = place.plan();
    place.write(&plan, "beside", &options());
    let env = place.at("env");
    fs::create_dir_all(env.join("lost+found")).expect("directory");
    let inode = |path: &Path| fs::metadata(path).expect("metadata").ino();
    let before = inode(&env);
    for round in 0..2 {
        let options = WriteOptions { force: true, ..options() };
        assert!(write_once(&plan, &env, &options, true).expect("written").expect("not busy").in_place);
        assert_eq!(inode(&env), before, "round {round}");
        assert!(is_current(&env, &key("plan")), "round {round}");
        fs::remove_dir(env.join("lost+found")).expect("kept, as a file system's own");
        assert_eq!(tree_digest(&env).expect("digest"), tree_digest(&place.at("beside")).expect("digest"));
        fs::create_dir(env.join("lost+found")).expect("directory");
        fs::write(env.join("bin/stale"), "").expect("file");
        fs::create_dir(env.join("etc")).expect("directory");
    }
}

#[test]
fn a_run_in_place_that_was_killed_is_no_obstacle_and_not_current() {
    let place = Place::new();
    let plan = place.plan();
    let env = place.at("env");
    // As if killed before, and then while, top-level entries were moved.
    for names in [&[".venvoy-abcd1234/lib", "lost+found"][..], &[".venvoy-abcd1234/lib", "bin", "pyvenv.cfg"]]
    {
        let _ = fs::remove_dir_all(&env);
        for name in names {
            if *name == "pyvenv.cfg" {
                fs::write(env.join(name), "").expect("file");
            } else {
                fs::create_dir_all(env.join(name)).expect("directory");
            }
        }
        assert!(!is_current(&env, &key("plan")));
        write_once(&plan, &env, &options(), true).expect("written");
        let extra = verify(&env).expect("verified").extra;
        assert!(extra.iter().all(|path| path == Path::new("lost+found")), "{extra:?}");
        assert!(!env.join(".venvoy-abcd1234").exists());
    }
}

#[test]
fn an_old_environment_is_replaced_and_leftovers_are_swept() {
    let place = Place::new();
    let env = place.at("env");
    fs::create_dir_all(env.join("lib/old")).expect("directory");
    fs::write(env.join("pyvenv.cfg"), "home = /old\n").expect("file");
    fs::create_dir_all(place.at("env.venvoy-abcd1234/lib")).expect("directory");
    fs::create_dir_all(place.at("env.venvoy-mine-not")).expect("directory");
    place.write(&place.plan(), "env", &options());
    assert!(!env.join("lib/old").exists());
    assert!(verify(&env).expect("verified").is_clean());
    assert_eq!(place.others(&["env"]), ["env.venvoy-mine-not"]);
}

#[test]
fn a_replacement_cut_short_between_two_renames_is_healed() {
    let place = Place::new();
    place.write(&place.plan(), "env", &options());
    fs::rename(place.at("env"), place.at("env.venvoy-previous")).expect("renamed");
    let stopped = AtomicBool::new(true);
    let interrupted = WriteOptions { interrupted: Some(&stopped), force: true, ..options() };
    write(&place.plan(), &place.at("env"), &interrupted).expect_err("interrupted");
    assert!(is_current(&place.at("env"), &key("plan")), "the previous environment is back");
    assert_eq!(place.others(&["env"]), Vec::<String>::new());
}

#[test]
fn what_is_not_an_environment_is_refused_and_left_alone() {
    let place = Place::new();
    let plan = place.plan();
    fs::create_dir(place.at("project")).expect("directory");
    fs::write(place.at("project/main.py"), "x").expect("file");
    fs::write(place.at("file"), "x").expect("file");
    symlink("nowhere", place.at("dangling")).expect("link");
    symlink("project", place.at("link")).expect("link");
    for (name, why) in [
        ("project", "is not a virtual environment: it has no pyvenv.cfg, but holds main.py"),
        ("link", "is not a virtual environment: it has no pyvenv.cfg, but holds main.py"),
        ("file", "is not a directory"),
        ("dangling", "is a symbolic link to something that is not a directory (nowhere)"),
    ] {
        let error = write(&plan, &place.at(name), &options()).expect_err(name);
        assert_eq!(error.kind(), Kind::Destination);
        assert!(error.report().contains(why), "{}", error.report());
        assert!(error.report().contains("help: "), "{}", error.report());
    }
    assert_eq!(fs::read_to_string(place.at("project/main.py")).expect("file"), "x");
    assert_eq!(place.others(&[]), ["dangling", "file", "link", "project"]);
}

#[test]
fn a_link_to_an_environment_is_followed() {
    let place = Place::new();
    fs::create_dir_all(place.at("far/env")).expect("directory");
    symlink("far/env", place.at(".venv")).expect("link");
    place.write(&place.plan(), ".venv", &options());
    assert!(fs::symlink_metadata(place.at(".venv")).expect("link").is_symlink());
    assert!(verify(&place.at("far/env")).expect("verified").is_clean());
}

#[test]
fn the_same_plan_again_is_noticed_and_another_is_not_taken_for_it() {
    let place = Place::new();
    let plan = place.plan();
    place.write(&plan, "env", &options());
    assert!(place.write(&plan, "env", &options()).current);
    assert!(!is_current(&place.at("env"), &key("another plan")));
    let other = Plan { key: key("another plan"), ..plan.clone() };
    assert!(!place.write(&other, "env", &options()).current);
    let forced = WriteOptions { force: true, ..options() };
    assert!(!place.write(&other, "env", &forced).current);
}

#[test]
fn whatever_changes_an_environment_makes_it_not_current_but_bytecode_does_not() {
    let place = Place::new();
    let plan = place.plan();
    let env = place.at("env");
    let site = env.join(SITE);
    let current_after = |change: &dyn Fn() -> std::io::Result<()>| {
        place.write(&plan, "env", &WriteOptions { force: true, ..options() });
        assert!(is_current(&env, &key("plan")));
        change().expect("changed");
        is_current(&env, &key("plan"))
    };
    assert!(current_after(&|| {
        fs::create_dir(site.join("demo/__pycache__"))?;
        fs::write(site.join("demo/__pycache__/code.cpython-311.pyc"), "")?;
        fs::write(env.join(".lock"), "")
    }));
    assert!(!current_after(&|| fs::remove_file(site.join("demo/__init__.py"))));
    assert!(!current_after(&|| fs::remove_file(env.join("lib64"))));
    assert!(!current_after(&|| fs::remove_file(env.join("bin/run"))));
    assert!(!current_after(&|| fs::remove_dir(env.join("include"))));
    assert!(!current_after(&|| fs::remove_dir_all(site.join("demo"))));
    assert!(!current_after(&|| fs::create_dir(site.join("added_by_pip"))));
    assert!(!current_after(&|| fs::remove_file(env.join(MANIFEST))));
    assert!(!current_after(&|| fs::write(env.join(MANIFEST), "venvoy manifest 2\nkey ")));
}

#[test]
fn a_check_tells_missing_changed_and_extra_apart() {
    let place = Place::new();
    place.write(&place.plan(), "env", &options());
    let env = place.at("env");
    let site = env.join(SITE);
    fs::remove_file(site.join("demo/__init__.py")).expect("removed");
    fs::write(site.join("demo/code.py"), "print('HELLO')\n").expect("changed");
    fs::set_permissions(env.join("bin/run"), fs::Permissions::from_mode(0o777)).expect("mode");
    fs::remove_file(env.join("lib64")).expect("removed");
    symlink("elsewhere", env.join("lib64")).expect("link");
    fs::remove_file(env.join("pyvenv.cfg")).expect("removed");
    fs::create_dir(env.join("pyvenv.cfg")).expect("directory");
    fs::create_dir_all(site.join("more/inner")).expect("directory");
    fs::create_dir_all(site.join("demo/__pycache__")).expect("directory");
    let check = verify(&env).expect("verified");
    assert_eq!(check.missing, [Path::new(SITE).join("demo/__init__.py")]);
    assert_eq!(check.extra, [Path::new(SITE).join("more")]);
    let changed: Vec<String> =
        check.changed.iter().map(|one| format!("{} {}", one.path.display(), one.change)).collect();
    assert_eq!(
        changed,
        [
            "bin/run has mode 0777",
            "lib/python3.11/site-packages/demo/code.py has other contents",
            "lib64 points to elsewhere",
            "pyvenv.cfg is of another type",
        ]
    );
    let error = verify(&place.at("nowhere")).expect_err("no manifest");
    assert!(error.report().contains("venvoy sync"), "{}", error.report());
}

#[test]
fn a_file_edited_through_a_hard_link_never_reaches_another_environment() {
    let place = Place::new();
    let plan = place.plan();
    let store = place.store("store");
    let options = WriteOptions { store: Some(&store), link: LinkMode::Hardlink, ..options() };
    place.write(&plan, "first", &options);
    let edited = place.at("first").join(SITE).join("demo/code.py");
    fs::write(&edited, "print('HELLO')\n").expect("same size, other bytes");
    fs::set_permissions(place.at("first").join(SITE).join("demo/tool.sh"), fs::Permissions::from_mode(0o700))
        .expect("mode");
    assert_eq!(place.write(&plan, "second", &options).from_store, 4);
    assert!(verify(&place.at("second")).expect("verified").is_clean());
    assert_eq!(fs::read_to_string(edited).expect("file"), "print('HELLO')\n");
    assert_eq!(place.write(&plan, "third", &options).from_store, 6, "the store has sound files again");
    assert!(verify(&place.at("third")).expect("verified").is_clean());
}

#[test]
fn an_empty_file_where_a_power_failure_cut_the_store_short_is_unpacked_anew() {
    let place = Place::new();
    let plan = place.plan();
    let store = place.store("store");
    let options = WriteOptions { store: Some(&store), ..options() };
    place.write(&plan, "first", &options);
    let wheel = store.path().join(plan.dists[0].wheel.file.sha256().to_string());
    for entry in fs::read_dir(wheel).expect("store") {
        let path = entry.expect("entry").path();
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "").expect("truncated");
    }
    place.write(&plan, "second", &options);
    assert!(verify(&place.at("second")).expect("verified").is_clean());
}

#[test]
fn a_store_that_cannot_be_made_is_done_without_unless_it_was_asked_for() {
    let place = Place::new();
    let store = place.store("gone");
    fs::remove_dir_all(place.at("gone")).expect("removed");
    let auto = WriteOptions { store: Some(&store), ..options() };
    place.write(&place.plan(), "env", &auto);
    let asked = WriteOptions { link: LinkMode::Hardlink, ..auto };
    let error = write(&place.plan(), &place.at("other"), &asked).expect_err("no store");
    assert!(error.report().contains("cannot open the store"), "{}", error.report());
    assert_eq!(place.others(&["env"]), Vec::<String>::new());
}

#[test]
fn a_file_that_differs_from_record_warns_and_strictly_is_an_error_that_changes_nothing() {
    let place = Place::new();
    place.write(&place.plan(), "env", &options());
    let mut wheel = place.wheel(&demo().file("demo/wrong.py", "bytes"));
    let wrong = wheel.entries.iter().position(|entry| entry.path.as_str() == "demo/wrong.py").expect("entry");
    wheel.entries[wrong].sha256 = Some(Sha256::of(b"other"));
    let plan = plan_of(wheel);
    let store = place.store("store");
    let lenient = WriteOptions { store: Some(&store), ..options() };
    let cache = place.cache();
    let ahead = Ahead::new(&cache, LinkMode::Unpack, MTIME, &place.at("third")).expect("a place");
    ahead.unpack(&plan.dists[0].wheel, &|| false);
    for (name, ahead) in [("first", None), ("second", None), ("third", ahead.beside())] {
        let report = place.write(&plan, name, &WriteOptions { ahead, ..lenient });
        let stored = fs::metadata(place.at(name).join(SITE).join("demo/wrong.py")).expect("file").nlink();
        assert_eq!(stored, 1, "what RECORD does not vouch for is not stored");
        let warning = format!(
            "demo-1.0-py3-none-any.whl: demo/wrong.py: got sha256:{}, expected sha256:{} as its RECORD says",
            Sha256::of(b"bytes"),
            Sha256::of(b"other")
        );
        assert_eq!(report.warnings.0, [warning]);
    }
    drop(ahead);
    let strict = WriteOptions { strict: true, ..options() };
    let error = write(&Plan { key: key("strict"), ..plan }, &place.at("env"), &strict).expect_err("strict");
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(error.report().contains("demo/wrong.py: got sha256:"), "{}", error.report());
    assert!(is_current(&place.at("env"), &key("plan")));
    assert_eq!(place.others(&["cache", "env", "first", "second", "third", "store"]), Vec::<String>::new());
}

#[test]
fn a_damaged_entry_is_refused_by_name_whether_held_or_streamed() {
    let place = Place::new();
    let big = vec![7_u8; 5_000_000];
    let sound = place.wheel(&demo().file("demo/small.py", "small").file("demo/big.bin", big));
    let many = WriteOptions { threads: NonZeroUsize::new(32), ..options() };
    for name in ["demo/small.py", "demo/big.bin"] {
        let mut wheel = Wheel::clone(&sound);
        let entry = wheel.entries.iter_mut().find(|entry| entry.path.as_str() == name).expect("entry");
        entry.crc32 ^= 1;
        let error = write(&plan_of(wheel), &place.at("env"), &many).expect_err("damaged");
        let report = error.report();
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(report.contains("cannot unpack wheel demo-1.0-py3-none-any.whl"), "{report}");
        assert!(report.contains(name) && report.contains("CRC-32"), "{report}");
    }
    assert_eq!(place.others(&[]), Vec::<String>::new());
}

#[test]
fn an_interrupted_run_leaves_the_old_environment_and_nothing_else() {
    let place = Place::new();
    place.write(&place.plan(), "env", &options());
    let stopped = AtomicBool::new(true);
    let other = WriteOptions { interrupted: Some(&stopped), ..options() };
    let error = write(&place.plan_named("other"), &place.at("env"), &other).expect_err("interrupted");
    assert_eq!(error.kind(), Kind::Interrupted);
    assert!(is_current(&place.at("env"), &key("plan")));
    assert_eq!(place.others(&["env"]), Vec::<String>::new());
}

#[test]
fn of_two_runs_at_once_one_writes_and_the_other_finds_nothing_to_do() {
    let place = Place::new();
    let plan = place.plan();
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| place.write(&plan, "env", &options()))).collect();
        runs.into_iter().map(|run| run.join().expect("run")).collect()
    });
    assert_eq!(reports.iter().filter(|report| !report.current).count(), 1);
    assert!(verify(&place.at("env")).expect("verified").is_clean());
}

proptest! {
    #[test]
    fn a_manifest_gives_any_name_back(name in "[^/\\\\\0]{1,20}", target in "\\PC{1,20}", size in any::<u64>(), slim in "(tests,pyc except [\\PC\n]{0,9})?", made in "(--at [\\PC\n]{0,9})?") {
        prop_assume!(format!("d/{name}").parse::<RelPath>().is_ok());
        let target = format!("{target}\\\n\t");
        let plan = Plan {
            dirs: vec![path("d")],
            files: vec![PlanFile {
                path: path(&format!("d/{name}")),
                dist: None,
                origin: ContentOrigin::Bytes(Arc::from(&b""[..])),
                executable: true,
            }],
            links: vec![PlanLink { path: path("link"), target: target.clone() }],
            key: key("k"),
            mtime: MTIME,
            slim: slim.clone(),
            made: made.clone(),
            ..Plan::default()
        };
        let text = render_manifest(&plan, &[Written { sha256: Sha256::of(b""), size }]);
        let text = String::from_utf8(text).expect("UTF-8");
        let manifest = Manifest::parse(&text).expect("parsed");
        prop_assert_eq!(manifest.mtime, MTIME);
        prop_assert_eq!(manifest.slim.as_deref().unwrap_or_default(), &slim);
        prop_assert_eq!(manifest.made.as_deref().unwrap_or_default(), &made);
        prop_assert_eq!(manifest.key, key("k").to_string());
        let items: Vec<_> = manifest.dirs.iter().flat_map(manifest::Dir::items).map(|item| item.expect("item")).collect();
        prop_assert_eq!(items.len(), 2);
        prop_assert!(matches!(&items[0].content, Content::Link(got) if *got == target));
        prop_assert_eq!(&items[1].name, &name);
        let is_file = matches!(&items[1].content, Content::File { size: got, executable: true, .. } if *got == size);
        prop_assert!(is_file);
    }

    #[test]
    fn any_text_is_a_manifest_or_is_not_and_nothing_else_happens(text in "(venvoy manifest 2\nkey k\ncommon c\nmtime 1\n)?[dflxps .\\\\\tn0-9\n]{0,60}") {
        if let Some(manifest) = Manifest::parse(&text) {
            manifest.dirs.iter().for_each(|dir| assert!(dir.items().count() <= text.len()));
        }
    }
}
