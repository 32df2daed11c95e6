//! `pack`: a tar or an image of what `sync` would make.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::registry::DESCRIBED;
use crate::support::{
    files::{below, names},
    lock::Lock,
    package::{Package, greeter, noise, sha256},
    project::Project,
    run::Run,
    wheel::{Member, WheelBuilder},
};

/// `venvoy pack` with what is in `wheels`.
pub fn pack(project: &Project, args: &[&str]) -> Run {
    project.run(&[&["pack", "--find-links", "../wheels"], args].concat())
}

pub fn tar(args: &[&str], dir: &Path) -> String {
    let output = Command::new("tar").args(args).current_dir(dir).output().expect("tar");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The digest of the environment that a tar holds.
fn digest_of(project: &Project, file: &Path) -> String {
    let root = tempfile::tempdir_in(project.path("")).expect("a directory");
    tar(&["-xpf", file.to_str().expect("UTF-8")], root.path());
    digest(project, &root.path().join(".venv"))
}

pub fn digest(project: &Project, venv: &Path) -> String {
    let run = project.run(&["digest", venv.to_str().expect("UTF-8")]);
    run.succeeds();
    run.stdout.trim_end().to_owned()
}

/// Packages with everything that is treated in a way of its own: scripts, data, bytecode, tests, stored and empty
/// files, names that do not fit into a header, and noise that does not compress.
pub fn various() -> Vec<Package> {
    let long = "d".repeat(60);
    let rich = WheelBuilder::new("rich_one", "2.0")
        .file("rich_one/__init__.py", "import os\n")
        .file("rich_one/tests/__init__.py", "")
        .file("rich_one/tests/test_a.py", "def test_a():\n    assert True\n")
        .file("rich_one/broken.py", "def (:\n")
        .stored("rich_one/py.typed", "")
        .stored("rich_one/stored.bin", noise(3000))
        .file("rich_one/noise.bin", noise(90_000))
        .file(&format!("rich_one/{long}/{long}/{long}/{long}/x.txt"), "deep")
        .file(&format!("rich_one/{}.txt", "n".repeat(150)), "long")
        .file("rich_one/daten/über uns.txt", "grüße")
        .data("scripts/run-rich", "#!python\nprint('rich')\n")
        .data("data/share/doc/rich/readme.txt", "read me")
        .data("headers/rich.h", "#define RICH\n");
    vec![Package::simple("demo", "1.0"), Package::simple("other", "3.1"), Package::new(&rich)]
}

#[test]
fn a_tar_and_a_directory_are_the_same_environment() {
    let project = Project::with_wheels(&various());
    for options in [&[][..], &["--slim"], &["--compile"], &["--compile=timestamp", "--slim"]] {
        project.sync_with(&[&["--at", "/.venv"], options].concat()).succeeds();
        let expected = digest(&project, &project.venv());
        for file in ["a.tar", "a.tar.gz"] {
            pack(&project, &[&["-o", file], options].concat()).succeeds();
            assert_eq!(
                digest_of(&project, &project.path("project").join(file)),
                expected,
                "{file} {options:?}"
            );
        }
        pack(&project, &[&["-o", "a.tar.zst"], options].concat()).succeeds();
        let plain = fs::read(project.path("project/a.tar")).expect("a tar");
        let zstd = fs::read(project.path("project/a.tar.zst")).expect("a tar");
        assert!(zstd::decode_all(&zstd[..]).expect("zstd") == plain);
        let stdout = project
            .command(&[&["pack", "--find-links", "../wheels", "-o", "-"], options].concat())
            .output()
            .expect("it runs");
        assert!(stdout.stdout == plain, "{}", String::from_utf8_lossy(&stdout.stderr));
        // One member: what follows the first would be skipped by some readers.
        let gzip = fs::read(project.path("project/a.tar.gz")).expect("a tar");
        let mut decoder = flate2::bufread::GzDecoder::new(&gzip[..]);
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).expect("gzip");
        assert!(out == plain && decoder.into_inner().is_empty());
    }
}

/// A layout's blob.
pub fn blob(layout: &Path, digest: &Value) -> Vec<u8> {
    let digest = digest.as_str().and_then(|text| text.strip_prefix("sha256:")).expect("a digest");
    let bytes = fs::read(layout.join("blobs/sha256").join(digest)).expect("a blob");
    assert_eq!(sha256(&bytes), digest);
    bytes
}

/// A layout's manifest and config.
pub fn image(layout: &Path) -> (Value, Value) {
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    let index = json(&fs::read(layout.join("index.json")).expect("an index"));
    let manifest = json(&blob(layout, &index["manifests"][0]["digest"]));
    let config = json(&blob(layout, &manifest["config"]["digest"]));
    (manifest, config)
}

/// The digests of a layout's layers.
pub fn layers(layout: &Path) -> Vec<String> {
    let (manifest, _) = image(layout);
    let rows = manifest["layers"].as_array().expect("layers").iter();
    rows.map(|row| row["digest"].as_str().expect("a digest").to_owned()).collect()
}

#[test]
fn an_image_is_the_same_environment_in_layers_that_hold_what_they_say() {
    let project = Project::with_wheels(&various());
    project.sync_with(&["--at", "/.venv", "--compile"]).succeeds();
    for budget in ["1", "2", "3", "10"] {
        let dir = project.path(&format!("layout{budget}"));
        let out = dir.to_str().expect("UTF-8");
        pack(&project, &["--oci", out, "--max-layers", budget, "--compile"]).succeeds();
        let (manifest, config) = image(&dir);
        let rows = manifest["layers"].as_array().expect("layers");
        assert_eq!(rows.len(), budget.parse::<usize>().expect("a number").min(4));
        assert_eq!(config["history"].as_array().map(Vec::len), Some(rows.len()));
        let root = tempfile::tempdir_in(project.path("")).expect("a directory");
        let mut seen = BTreeSet::new();
        for (row, diff_id) in rows.iter().zip(config["rootfs"]["diff_ids"].as_array().expect("ids")) {
            let bytes = blob(&dir, &row["digest"]);
            assert_eq!(row["size"], json!(bytes.len()));
            let mut plain = Vec::new();
            flate2::bufread::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).expect("gzip");
            assert_eq!(*diff_id, json!(format!("sha256:{}", sha256(&plain))));
            let mut here = BTreeSet::new();
            for entry in tar::Archive::new(&plain[..]).entries().expect("a tar") {
                let entry = entry.expect("an entry");
                let path = entry.path().expect("a path").into_owned();
                let parent = path.parent().expect("a parent");
                assert!(
                    parent == Path::new("") || here.contains(parent),
                    "{path:?} comes before its directory"
                );
                assert!(here.insert(path.clone()), "{path:?} is there twice");
                assert!(
                    entry.header().entry_type().is_dir() || seen.insert(path.clone()),
                    "{path:?} is in two layers"
                );
            }
            let file = root.path().join("layer.tar");
            fs::write(&file, &plain).expect("written");
            tar(&["-xpf", "layer.tar"], root.path());
        }
        assert_eq!(
            digest(&project, &root.path().join(".venv")),
            digest(&project, &project.venv()),
            "{budget}"
        );
    }
}

#[test]
fn an_image_is_the_same_whatever_the_machine_is_like() {
    let project = Project::with_wheels(&various());
    let manifest = |args: &[&str], prepare: &dyn Fn(&mut Command)| {
        let all = [&["pack", "--find-links", "../wheels", "--oci", "o.tar"], &DESCRIBED[..], args].concat();
        let mut command = project.command(&all);
        prepare(&mut command);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = fs::read(project.path("project/o.tar")).expect("a tar");
        (String::from_utf8(output.stdout).expect("UTF-8"), sha256(&bytes))
    };
    let first = manifest(&[], &|_| ());
    assert_eq!(manifest(&[], &|_| ()), first, "from the cache");
    fs::remove_dir_all(project.path("cache")).expect("removed");
    assert_eq!(
        manifest(&[], &|command| {
            command.env("RAYON_NUM_THREADS", "1").env("LC_ALL", "C").env("TZ", "Asia/Tokyo");
        }),
        first
    );
    fs::remove_dir_all(project.path("cache")).expect("removed");
    // No interpreter is looked for, and nobody's variables count.
    assert_eq!(
        manifest(&[], &|command| {
            command.env("PATH", "/nowhere").env("HOME", "/nowhere");
        }),
        first
    );
    assert_ne!(manifest(&["--owner", "1099"], &|_| ()), first);
    let later = manifest(&[], &|command| {
        command.env("SOURCE_DATE_EPOCH", "1000000000");
    });
    assert_ne!(later, first);
    // Stable until `LAYOUT_VERSION` or the format of layers says otherwise; the version is part of the manifest's key.
    let layer = pack(&project, &[&["--oci", "golden"], &DESCRIBED[..]].concat());
    layer.succeeds();
    let golden = layers(&project.path("project/golden"));
    assert_eq!(golden.len(), 4);
    assert_eq!(golden[0], GOLDEN, "the layer of demo 1.0 changed: raise archive::FORMAT, or find out why");
}

/// The layer of a small package.
const GOLDEN: &str = "sha256:8e06c403cd11e536e93b1b3fb824f14f679bd7f85ac29003c6d02e401a696a42";

#[test]
fn one_changed_package_changes_its_layer_and_the_environments() {
    let before: Vec<Package> = ["aa", "bb", "cc", "dd"].map(|name| Package::simple(name, "1.0")).to_vec();
    let project = Project::with_wheels(&before);
    pack(&project, &[&["--oci", "one"], &DESCRIBED[..]].concat()).succeeds();
    let changed = Package::simple("cc", "1.1");
    project.wheels(std::slice::from_ref(&changed));
    let after = [&before[..2], &[changed], &before[3..]].concat();
    project.lock(&after.iter().fold(Lock::new(), Lock::package));
    pack(&project, &[&["--oci", "two"], &DESCRIBED[..]].concat()).succeeds();
    let both = ["one", "two"]
        .map(|dir| layers(&project.path("project").join(dir)).into_iter().collect::<BTreeSet<_>>());
    assert_eq!(both[0].len(), 5);
    assert_eq!(both[1].difference(&both[0]).count(), 2);
}

#[test]
fn where_layers_are_few_packages_share_one_with_those_of_their_size() {
    let package = |name: &str, version: &str, bytes: usize| {
        Package::new(&greeter(name, version).file(&format!("{name}_data.bin"), noise(bytes)))
    };
    let large = ["la", "lb", "lc", "ld", "le"].map(|name| package(name, "1.0", 300_000));
    let small = ["sa", "sb", "sc", "sd", "se"].map(|name| package(name, "1.0", 1000));
    let before = [&large[..], &small[..]].concat();
    let project = Project::with_wheels(&before);
    let history = |out: &str| {
        pack(&project, &[&["--oci", out, "--max-layers", "6"], &DESCRIBED[..]].concat()).succeeds();
        let (_, config) = image(&project.path("project").join(out));
        let all = config["history"].as_array().expect("history").iter();
        all.map(|one| one["comment"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let own = "the environment's own files";
    let small = "sa 1.0, sb 1.0, sc 1.0 and 2 more";
    assert_eq!(history("out"), ["la 1.0", "lb 1.0", "lc 1.0", "ld 1.0, le 1.0", small, own]);
    let digests = |out: &str| layers(&project.path("project").join(out)).into_iter().collect::<BTreeSet<_>>();
    let changed = |at: usize, package: &Package, out: &str, expected: [&str; 6], sent: usize| {
        project.wheels(std::slice::from_ref(package));
        let mut after = before.clone();
        after[at] = package.clone();
        project.lock(&after.iter().fold(Lock::new(), Lock::package));
        assert_eq!(history(out), expected);
        assert_eq!(digests(out).difference(&digests("out")).count(), sent, "{out}");
    };
    let newer = "sa 1.0, sb 1.0, sc 1.1 and 2 more";
    changed(
        7,
        &package("sc", "1.1", 2000),
        "small",
        ["la 1.0", "lb 1.0", "lc 1.0", "ld 1.0, le 1.0", newer, own],
        2,
    );
    changed(
        4,
        &package("le", "1.1", 310_000),
        "large",
        ["la 1.0", "lb 1.0", "lc 1.0", "ld 1.0, le 1.1", small, own],
        2,
    );
    // The largest now: the last of those that were alone gives it its place.
    changed(
        4,
        &package("le", "1.2", 900_000),
        "most",
        ["la 1.0", "lb 1.0", "le 1.2", "lc 1.0, ld 1.0", small, own],
        3,
    );
}

#[test]
fn distributions_that_share_a_path_are_in_one_layer() {
    let sharing = |name: &str| {
        Package::new(&greeter(name, "1.0").file("shared/__init__.py", "").file("shared/data.txt", "the same"))
    };
    let project = Project::with_wheels(&[sharing("aa"), Package::simple("mm", "1.0"), sharing("zz")]);
    pack(&project, &[&["--oci", "out"], &DESCRIBED[..]].concat()).succeeds();
    let (_, config) = image(&project.path("project/out"));
    let holds: Vec<_> =
        config["history"].as_array().expect("history").iter().map(|one| one["comment"].clone()).collect();
    assert_eq!(holds, ["aa 1.0, zz 1.0", "mm 1.0", "the environment's own files"]);
}

/// A wheel with one member that is not what it seems.
fn with_member(change: impl FnOnce(&mut Member)) -> Package {
    let mut member = Member::deflated("demo_data.txt", &b"some text, some text, some text".repeat(9));
    change(&mut member);
    Package::new(&greeter("demo", "1.0").member(member))
}

fn resize(member: &mut Member) {
    let size = u32::try_from(member.data.len()).expect("small");
    (member.local.compressed_size, member.central.compressed_size) = (size, size);
}

#[test]
fn a_stream_that_ends_early_is_refused_and_what_follows_one_is_left_out() {
    let early = with_member(|member| {
        member.data.truncate(member.data.len() - 4);
        resize(member);
    });
    let project = Project::with_wheels(&[early]);
    pack(&project, &["-o", "a.tar.gz"]).fails(8, &["  because: its deflate stream is damaged or cut off"]);
    assert_eq!(names(&project.dir()), ["Pipfile.lock"]);
    // As with pip, and as with sync.
    let late = with_member(|member| {
        member.data.extend(b"more");
        resize(member);
    });
    let project = Project::with_wheels(&[late]);
    pack(&project, &["-o", "a.tar.gz"]).succeeds();
    let unpacked = project.path("unpacked");
    fs::create_dir(&unpacked).expect("a directory");
    let mut tar = Command::new("tar");
    tar.args(["-xzf", "a.tar.gz", "-C"]).arg(&unpacked).current_dir(project.dir());
    assert!(tar.status().expect("tar is there").success());
    project.sync().succeeds();
    let data = |root: &Path| {
        let file = below(root).into_iter().find(|file| file.ends_with("demo_data.txt"));
        fs::read(root.join(file.expect("a file"))).expect("read")
    };
    assert_eq!(data(&unpacked), b"some text, some text, some text".repeat(9));
    assert_eq!(data(&project.venv()), data(&unpacked));
}

#[test]
fn a_file_that_declares_9_gb_is_refused_before_it_takes_them() {
    let huge = with_member(|member| {
        // Zip64: both sizes in the extra field.
        let mut extra = vec![1, 0, 16, 0];
        extra.extend((9_u64 << 30).to_le_bytes());
        extra.extend((member.data.len() as u64).to_le_bytes());
        for header in [&mut member.local, &mut member.central] {
            (header.size, header.compressed_size) = (u32::MAX, u32::MAX);
            header.extra.clone_from(&extra);
        }
    });
    let project = Project::with_wheels(&[huge]);
    let run = pack(&project, &["-o", "a.tar.gz"]);
    assert_eq!(run.code, Some(8), "{}", run.stderr);
    assert!(run.stderr.contains("claims to inflate from 19 to 9663676416 bytes"), "{}", run.stderr);
}

#[test]
fn verify_finds_what_is_known_of_a_wheel_to_be_damaged_or_of_another() {
    // As many entries, streams as long.
    let packages = ["aa", "bb"].map(|name| Package::simple(name, "1.0"));
    let project = Project::with_wheels(&packages);
    let packed = || pack(&project, &[&["--oci", "o.tar"], &DESCRIBED[..]].concat()).succeeds().stdout.clone();
    let (first, cache) = (packed(), project.path("cache"));
    let dir = project.path("cache/v1/proofs");
    let proofs = || if dir.is_dir() { below(&dir) } else { Vec::new() };
    let verify = || {
        let run = project.run(&["cache", "verify"]);
        (run.code, run.stdout.lines().filter(|line| line.contains("/proofs/")).count())
    };
    let [one, other] = &proofs()[..] else { panic!("{:?}", proofs()) };
    assert_eq!((verify(), proofs().len()), ((Some(0), 0), 2));
    // Restored from elsewhere: compared with the wheels, and taken.
    let copy = project.path("copy");
    let copied = Command::new("cp").arg("-a").arg(&cache).arg(&copy).status();
    assert!(copied.expect("cp runs").success());
    fs::remove_dir_all(&cache).expect("removed");
    fs::rename(&copy, &cache).expect("restored");
    assert_eq!((verify(), proofs().len()), ((Some(0), 0), 2));
    // Whole, and another wheel's.
    fs::copy(one, other).expect("exchanged");
    assert_eq!((verify(), proofs().len()), ((Some(8), 1), 1));
    assert_eq!(verify(), (Some(0), 0));
    let mut bytes = fs::read(one).expect("a record");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(one, &bytes).expect("written");
    assert_eq!((verify(), proofs().len()), ((Some(8), 1), 0));
    assert_eq!((packed(), verify(), proofs().len()), (first, (Some(0), 0), 2));
}

#[test]
fn layers_that_were_tampered_with_are_made_again() {
    let project = Project::with_wheels(&[Package::new(&greeter("demo", "1.0").file("x.bin", noise(5000)))]);
    let args = [&["--oci", "out"], &DESCRIBED[..]].concat();
    pack(&project, &args).succeeds();
    let expected = layers(&project.path("project/out"));
    for change in
        [|bytes: &mut Vec<u8>| bytes[100] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(50), Vec::clear]
    {
        fs::remove_dir_all(project.path("project/out")).expect("removed");
        let mut blobs: Vec<PathBuf> = below(&project.path("cache/v1/files"));
        blobs.retain(|path| path.ends_with("layer.tar.gz"));
        assert_eq!(blobs.len(), 2);
        for path in &blobs {
            let mut bytes = fs::read(path).expect("a blob");
            change(&mut bytes);
            fs::write(path, bytes).expect("written");
        }
        pack(&project, &args).succeeds();
        let out = project.path("project/out");
        assert_eq!(layers(&out), expected);
        let (manifest, _) = image(&out);
        for row in manifest["layers"].as_array().expect("layers") {
            blob(&out, &row["digest"]);
        }
    }
    for kind in ["images", "layers", "proofs"] {
        fs::remove_dir_all(project.path("project/out")).expect("removed");
        for path in below(&project.path("cache/v1").join(kind)) {
            fs::write(path, "{}").expect("written");
        }
        pack(&project, &args).succeeds();
        assert_eq!(layers(&project.path("project/out")), expected, "{kind}");
    }
}

#[test]
fn source_packages_for_a_foreign_target_are_named() {
    let project = Project::new();
    let sdist = |name: &str| Package {
        version: "1.0".to_owned(),
        ..Package::of(&format!("{name}-1.0.tar.gz"), b"not looked at".to_vec())
    };
    let packages = [sdist("aa"), Package::simple("demo", "1.0"), sdist("bb")];
    project.wheels(&packages);
    project.lock(&packages.iter().fold(Lock::new(), Lock::package));
    let run = pack(&project, &[&["-o", "a.tar"], &DESCRIBED[..]].concat());
    assert_eq!(run.code, Some(9), "{}", run.stderr);
    assert!(
        run.stderr.contains("aa") && run.stderr.contains("bb") && !run.stderr.contains("demo"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_cannot_be_copied_is_named() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let copy = |what: &str| pack(&project, &[&["--oci", "out", "--copy", what], &DESCRIBED[..]].concat());
    copy("nowhere:/srv").fails(2, &["error: cannot copy nowhere"]);
    copy("app").fails(2, &["error: --copy \"app\" is not SRC:DST"]);
    project.write("project/app/a.txt", "a");
    copy("app:srv").fails(2, &["  because: its place \"srv\" is not absolute"]);
    copy("app:/a/../b").fails(2, &["  because: its place \"/a/../b\" goes up with `..`"]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        project.path("project/app/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .expect("a pipe");
    copy("app:/srv")
        .fails(2, &["  because: {root}/project/app/pipe is neither a file, a directory nor a link"]);
}

/// A blob that was linked into a layout was digested again by every later run: the rename there moved its time of change.
#[test]
fn what_a_layout_is_linked_to_is_still_known_to_the_cache() {
    use std::os::unix::fs::MetadataExt as _;
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    for out in ["one", "two"] {
        pack(&project, &[&["--oci", out], &DESCRIBED[..]].concat()).succeeds();
        let user = rustix::process::geteuid().as_raw();
        let ledger = project.read(&format!("cache/v1/verified/{user}/files"));
        for digest in layers(&project.path("project").join(out)) {
            let digest = digest.trim_start_matches("sha256:");
            let blob = project.path("project").join(out).join("blobs/sha256").join(digest);
            let found = fs::metadata(&blob).expect("a blob");
            assert!(found.nlink() > 1, "it is a link");
            let known = ledger.lines().rev().find_map(|line| line.strip_prefix(digest)).expect("known");
            let changed = format!(" {} {}", found.ctime(), found.ctime_nsec());
            assert!(known.ends_with(&changed), "{known}, expected{changed}");
        }
    }
}

/// The digests that RECORDs give are taken for true until an entry's bytes are packed. Where one is not, what is made is
/// what `sync` makes, and the same whatever is known.
#[test]
fn a_record_that_does_not_hold_is_noticed_while_its_files_are_packed() {
    let wrong = WheelBuilder::new("zwrong", "1.0")
        .file("zwrong/a.py", "a = 1\n".repeat(200))
        .file("zwrong/b.py", "b = 2\n");
    let bytes = wrong.build();
    let record = String::from_utf8(wheel_member(&bytes, "zwrong-1.0.dist-info/RECORD")).expect("UTF-8");
    let claimed = record.lines().find(|line| line.starts_with("zwrong/a.py,")).expect("a row").to_owned();
    let other = record.lines().find(|line| line.starts_with("zwrong/b.py,")).expect("a row");
    let borrowed = other.split(',').nth(1).expect("a digest");
    let size = claimed.rsplit(',').next().expect("a size");
    let project = Project::with_wheels(&[
        Package::new(&wrong.record(&record.replace(&claimed, &format!("zwrong/a.py,{borrowed},{size}")))),
        Package::simple("demo", "1.0"),
    ]);
    project.sync_with(&["--at", "/.venv"]).succeeds();
    let expected = digest(&project, &project.venv());
    let mut seen = BTreeSet::new();
    for (round, out) in ["a.tar", "b.tar.gz", "c.tar"].into_iter().enumerate() {
        if round < 2 {
            project.forget();
        }
        let run = pack(&project, &["-o", out]);
        run.succeeds();
        assert!(run.stderr.contains("zwrong/a.py: got sha256:"), "{out}: {}", run.stderr);
        assert_eq!(digest_of(&project, &project.path("project").join(out)), expected, "{out}");
    }
    for (round, out) in ["one", "two"].into_iter().enumerate() {
        if round == 0 {
            project.forget();
        }
        pack(&project, &[&["--oci", out], &DESCRIBED[..]].concat()).succeeds();
        seen.insert(layers(&project.path("project").join(out)));
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    project.forget();
    let run = pack(&project, &["--compile", "-o", "compiled.tar"]);
    run.succeeds();
    assert!(run.stderr.contains("zwrong/a.py: got sha256:"), "{}", run.stderr);
    // To standard output nothing is written twice.
    project.forget();
    let output =
        project.command(&["pack", "--find-links", "../wheels", "-o", "-"]).output().expect("it runs");
    assert!(output.status.success());
    assert!(output.stdout == fs::read(project.path("project/a.tar")).expect("a tar"));
    project.forget();
    let refused = pack(&project, &["--strict", "-o", "d.tar"]);
    assert_eq!(refused.code, Some(8), "{}", refused.stderr);
    assert!(refused.stderr.contains("as its RECORD says"), "{}", refused.stderr);
    assert!(!project.path("project/d.tar").exists());
}

fn wheel_member(wheel: &[u8], name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(wheel)).expect("a wheel");
    let mut bytes = Vec::new();
    archive.by_name(name).expect("a member").read_to_end(&mut bytes).expect("its bytes");
    bytes
}
