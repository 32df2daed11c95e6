//! `--lazy`: layers that can be read file by file.

use std::{fs, path::Path};

use super::{
    base::{as_dockers, base},
    image::{blob, digest, image, layers, pack, tar, various},
    registry::{DESCRIBED, debians},
};
use crate::support::{
    interpreters,
    package::{Package, noise, sha256},
    program::clean,
    project::Project,
    wheel::WheelBuilder,
};

/// Makes the tree of an image's tables of contents, with a reader that was written from the specification; gives what it
/// says.
fn read(project: &Project, layout: &str, to: &str) -> String {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected/estargz.py");
    fs::create_dir(project.path(to)).expect("made");
    let output = clean(Path::new("python3"))
        .arg(reader)
        .args([project.path("project").join(layout), project.path(to)])
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

/// Files of all lengths around a chunk's, one that is too large to be held at once, and all that is treated in a way of its
/// own.
fn with_large_files() -> Vec<Package> {
    const CHUNK: usize = 4 << 20;
    // Long enough to reach back over a chunk's edge, and compressible.
    let text = |length: usize| {
        let line = noise(251).repeat(length / 251 + 1);
        line[..length].to_vec()
    };
    let mut large = WheelBuilder::new("large", "1.0").file("large/__init__.py", "");
    for (name, length) in [
        ("less", CHUNK - 1),
        ("equal", CHUNK),
        ("more", CHUNK + 1),
        ("twice", 2 * CHUNK),
        ("huge", 4 * CHUNK + 5),
    ] {
        large = large.file(&format!("large/{name}.bin"), text(length));
    }
    large = large.stored("large/stored.bin", text(CHUNK + 3));
    let mut packages = various();
    packages.push(Package::new(&large));
    packages
}

#[test]
fn every_file_can_be_had_by_the_table_of_contents_alone() {
    let project = Project::with_wheels(&with_large_files());
    pack(&project, &[&["--oci", "out", "--lazy"], &DESCRIBED[..]].concat()).succeeds();
    let said = read(&project, "out", "lazily");
    // 1 + 1 + 4 chunks beyond the first, and one of what was stored.
    assert!(said.ends_with("files, 7 more chunks"), "{said}");
    // What engines unpack that know nothing of it.
    let root = project.path("plainly");
    fs::create_dir(&root).expect("made");
    let out = project.path("project/out");
    for name in layers(&out) {
        fs::write(root.join("l.tgz"), blob(&out, &name.into())).expect("written");
        tar(&["-xpzf", "l.tgz"], &root);
    }
    pack(&project, &[&["-o", "a.tar"], &DESCRIBED[..]].concat()).succeeds();
    let whole = project.path("whole");
    fs::create_dir(&whole).expect("made");
    tar(&["-xpf", project.path("project/a.tar").to_str().expect("UTF-8")], &whole);
    let expected = digest(&project, &whole.join(".venv"));
    assert_eq!(digest(&project, &project.path("lazily/.venv")), expected);
    assert_eq!(digest(&project, &root.join(".venv")), expected);
}

/// The layer of a small package.
const GOLDEN: &str = "sha256:5f596666c72f4201d740770384cddab38df15978acae4343aa932477d753f3db";

#[test]
fn lazy_layers_are_the_same_each_time_and_others_stay_as_they_are() {
    let project = Project::with_wheels(&various());
    let make = |out: &str, args: &[&str]| {
        pack(&project, &[&["--oci", out], &DESCRIBED[..], args].concat()).succeeds();
        let (manifest, _) = image(&project.path("project").join(out));
        sha256(manifest.to_string().as_bytes())
    };
    let plain = make("plain", &[]);
    let lazy = make("lazy", &["--lazy"]);
    assert_ne!(lazy, plain);
    // From the cache, where both are, and without one.
    assert_eq!((make("plain2", &[]), make("lazy2", &["--lazy"])), (plain, lazy.clone()));
    fs::remove_dir_all(project.path("cache")).expect("removed");
    assert_eq!(make("lazy3", &["--lazy"]), lazy);
    let golden = &layers(&project.path("project/lazy"))[0];
    assert_eq!(golden, GOLDEN, "the layer of demo 1.0 changed: raise estargz::FORMAT, or find out why");
    for row in image(&project.path("project/plain")).0["layers"].as_array().expect("layers") {
        assert!(row.get("annotations").is_none(), "{row}");
    }
}

#[test]
fn what_comes_along_is_lazy_too_and_a_base_stays_as_it_is() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    project.write("project/app/main.py", "print('app')\n");
    let (_, python) = interpreters::pyenv().pop().expect("an interpreter of pyenv's");
    let python = ["--with-python", "--python", python.to_str().expect("UTF-8")];
    let along = ["--lazy", "--copy", "app:/srv/app"];
    pack(&project, &[&["--oci", "own"], &along[..], &python].concat()).succeeds();
    let said = read(&project, "own", "root");
    assert!(!said.contains("not lazy"), "{said}");
    assert!(project.path("root/srv/app/main.py").exists() && project.path("root/tmp").exists());
    // Once more, of what is kept.
    pack(&project, &[&["--oci", "again"], &along[..], &python].concat()).succeeds();
    assert_eq!(layers(&project.path("project/again")), layers(&project.path("project/own")));
    base(&project, "base", "amd64", |_| ());
    pack(&project, &[&["--oci", "on", "--base", "base"], &along[..]].concat()).succeeds();
    let said = read(&project, "on", "above");
    assert_eq!(said.matches("not lazy").count(), 1, "{said}");
    // And is a base itself, whose layers keep what is said of them.
    pack(&project, &["--oci", "higher", "--base", "on"]).succeeds();
    let (lower, higher) = (image(&project.path("project/on")).0, image(&project.path("project/higher")).0);
    let count = lower["layers"].as_array().map_or(0, Vec::len);
    let kept = higher["layers"].as_array().map(|all| all[..count].to_vec());
    assert_eq!(kept, lower["layers"].as_array().cloned());
    // Docker's types have no place for what is said of layers: they become OCI's, also in a registry.
    base(&project, "docker", "amd64", |_| ());
    as_dockers(&project.path("project/docker"));
    let (_registry, port) = debians(&project);
    let pushed = format!("127.0.0.1:{port}/shop:lazy");
    pack(&project, &["--push", &pushed, "--lazy", "--base", "docker"]).succeeds();
    pack(&project, &["--oci", "pulled", "--base", &pushed]).succeeds();
    let (manifest, _) = image(&project.path("project/pulled"));
    assert!(!manifest.to_string().contains("vnd.docker"), "{manifest}");
    let notes =
        manifest["layers"].as_array().expect("layers").iter().filter(|row| row["annotations"].is_object());
    assert_eq!(notes.count(), 2, "{manifest}");
}

#[test]
fn what_cannot_be_lazy_is_refused() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let run = pack(&project, &[&["-o", "a.tar.gz", "--lazy"], &DESCRIBED[..]].concat());
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("--oci"), "{}", run.stderr);
    for name in ["stargz.index.json", ".no.prefetch.landmark", ".prefetch.landmark"] {
        project.write(&format!("project/{name}"), "mine");
        let copy = format!("{name}:/");
        pack(&project, &[&["--oci", "out", "--lazy", "--copy", &copy], &DESCRIBED[..]].concat()).ends(
            2,
            &[
                &format!("error: --lazy wants /{name} for itself, and there is one"),
                "  help: leave that file out, or pack without --lazy",
            ],
        );
    }
    assert!(!project.path("project/out").exists());
}
