//! `--sbom`, several platforms, and loading into an engine.

use std::{
    collections::BTreeMap, fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path,
    process::Command,
};

use serde_json::{Value, json};

use super::{
    base::base,
    image::{blob, layers, pack, tar},
    registry::{DESCRIBED, EMPTY, debians, of_bytes, plain, push, with_body},
};
use crate::support::{
    bill,
    files::names,
    interpreters,
    lock::Lock,
    package::{Package, greeter, sha256},
    project::Project,
};

fn parsed(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("it is there")).expect("JSON")
}

/// A package that requires another, and says under which licence it is.
fn packages() -> [Package; 2] {
    let demo = greeter("demo", "1.0")
        .metadata_line("Requires-Dist: other")
        .metadata_line("Requires-Dist: absent")
        .metadata_line("License-Expression: MIT");
    [Package::new(&demo), Package::simple("other", "1.0")]
}

#[test]
fn a_list_of_what_is_inside_is_the_same_each_time_whatever_is_kept() {
    let project = Project::with_wheels(&packages());
    let lists = |args: &[&str]| {
        let both = ["--sbom", "cyclonedx", "c.json", "--sbom", "spdx", "s.json"];
        pack(&project, &[args, &both[..], &DESCRIBED[..]].concat()).succeeds();
        ["c.json", "s.json"].map(|name| fs::read(project.path("project").join(name)).expect("a list"))
    };
    let first = lists(&["--oci", "out"]);
    assert_eq!(lists(&["--oci", "out"]), first, "of what was kept");
    fs::remove_dir_all(project.path("cache/v1/images")).expect("removed");
    assert_eq!(lists(&["--oci", "other.tar"]), first, "of wheels");
    let list = parsed(&project.path("project/c.json"));
    let component = &list["components"][0];
    assert_eq!(component["purl"], "pkg:pypi/demo@1.0");
    assert_eq!(component["licenses"], json!([{"expression": "MIT"}]));
    let wheel = fs::read_dir(project.path("wheels")).expect("wheels").flatten().map(|entry| entry.path());
    let wheel = wheel.into_iter().find(|path| path.to_string_lossy().contains("demo")).expect("a wheel");
    assert_eq!(component["hashes"][0]["content"], sha256(&fs::read(wheel).expect("a wheel")));
    let own = list["metadata"]["component"]["bom-ref"].clone();
    let index = parsed(&project.path("project/out/index.json"));
    assert_eq!(own, index["manifests"][0]["digest"], "it is about the image");
    let on: BTreeMap<String, Value> = list["dependencies"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["ref"].as_str().expect("a reference").to_owned(), row["dependsOn"].clone()))
        .collect();
    assert_eq!(on["pkg:pypi/demo@1.0"], json!(["pkg:pypi/other@1.0"]), "what is not there is left out");
    assert_eq!(on[own.as_str().expect("a reference")], json!(["pkg:pypi/demo@1.0"]));
    // Beside a tar there is no image.
    pack(&project, &["-o", "a.tar", "--sbom", "spdx", "t.json"]).succeeds();
    let list = parsed(&project.path("project/t.json"));
    assert_eq!(list["packages"][0]["primaryPackagePurpose"], "APPLICATION");
    pack(&project, &["-o", "a.tar", "--sbom", "swid", "t.json"]).ends(
        2,
        &[
            "error: --sbom swid: there is no such format",
            "  help: expected cyclonedx or spdx, and a file or `attach`",
        ],
    );
    pack(&project, &["-o", "a.tar", "--sbom", "spdx", "attach"])
        .fails(2, &["error: --sbom attach attaches to an image that is pushed"]);
}

#[test]
fn lists_are_valid_by_the_schemas_of_their_formats() {
    let [demo, other] = packages();
    let odd = |name: &str, line: &str| Package::new(&greeter(name, "1!2.0+local.1").metadata_line(line));
    let project = Project::with_wheels(&[
        demo,
        other,
        odd("named", "License: A licence of \"its\" own / 2"),
        odd("classified", "Classifier: License :: OSI Approved :: BSD License"),
        odd("several", "License-Expression: (MIT OR Apache-2.0) AND LicenseRef-Own"),
        odd("wrong", "License-Expression: no such licence"),
        odd("zope.dotted_name", "Requires-Dist: demo"),
    ]);
    let (_, python) = interpreters::pyenv().pop().expect("an interpreter of pyenv's");
    let python = ["--with-python", "--python", python.to_str().expect("UTF-8")];
    for args in [&DESCRIBED[..], &python] {
        for artifact in [["--oci", "out"], ["--output", "a.tar"]] {
            let lists = ["--sbom", "cyclonedx", "c.json", "--sbom", "spdx", "s.json"];
            pack(&project, &[&artifact[..], &lists, args].concat()).succeeds();
            bill::are_valid(&project.path("project/c.json"), &project.path("project/s.json"));
        }
    }
}

#[test]
fn a_list_is_attached_to_what_it_is_about() {
    let project = Project::with_wheels(&packages());
    // Debian's registry keeps no list of what refers to an image: there is a tag for it.
    let (_registry, port) = debians(&project);
    let to = format!("127.0.0.1:{port}/shop:one");
    let attach = ["--sbom", "cyclonedx", "attach", "--sbom", "spdx", "attach"];
    let first = push(&project, &to, &attach);
    first.succeeds();
    push(&project, &to, &attach).succeeds();
    let image = first.stdout.trim_end();
    let store = project.path("registry/docker/registry/v2");
    let blob = |digest: &str| {
        fs::read(store.join("blobs/sha256").join(&digest[7..9]).join(&digest[7..]).join("data"))
            .expect("a blob")
    };
    let tag =
        store.join(format!("repositories/shop/_manifests/tags/{}/current/link", image.replace(':', "-")));
    let list: Value =
        serde_json::from_slice(&blob(fs::read_to_string(tag).expect("a tag").trim())).expect("JSON");
    let rows = list["manifests"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "each once: {rows:?}");
    for (row, kind) in rows.iter().zip(["application/vnd.cyclonedx+json", "application/spdx+json"]) {
        assert_eq!(row["artifactType"], kind);
        let manifest: Value =
            serde_json::from_slice(&blob(row["digest"].as_str().expect("a digest"))).expect("JSON");
        assert_eq!(
            (manifest["subject"]["digest"].as_str(), &manifest["artifactType"]),
            (Some(image), &json!(kind))
        );
        let document = blob(manifest["layers"][0]["digest"].as_str().expect("a digest"));
        assert!(String::from_utf8_lossy(&document).contains("pkg:pypi/demo@1.0"));
    }
}

#[test]
fn a_registry_that_lists_by_itself_gets_no_tag_for_it() {
    let project = Project::with_wheels(&packages());
    for says in [true, false] {
        let (port, log) = of_bytes(move |_, method, path, _| {
            if says && method == "PUT" && path.contains("/manifests/sha256:") {
                return Some(format!("201 Created\r\nOCI-Subject: sha256:00\r\n{EMPTY}").into_bytes());
            }
            if path.contains("/referrers/") {
                return Some(with_body("200 OK", "", br#"{"schemaVersion": 2, "manifests": []}"#));
            }
            Some(plain(method, path).into_bytes())
        });
        push(&project, &format!("127.0.0.1:{port}/shop:one"), &["--sbom", "spdx", "attach"]).succeeds();
        let log = log.lock().expect("a lock");
        assert!(!log.iter().any(|(_, path, ..)| path.contains("/manifests/sha256-")));
        assert_eq!(log.iter().any(|(_, path, ..)| path.contains("/referrers/")), !says);
    }
}

const BOTH: [&str; 4] = ["--platform", "linux/amd64,linux/arm64", "--python-home", "/usr/local/bin"];

#[test]
fn several_platforms_are_one_list_and_one_platform_is_a_plain_manifest() {
    let native = |tag: &str| {
        let wheel = greeter("native", "1.0").tag(&format!("cp311-cp311-manylinux_2_17_{tag}"));
        Package::new(&wheel.file("native/lib.txt", tag.as_bytes()))
    };
    let project = Project::new();
    let packages = [Package::simple("demo", "1.0"), native("x86_64"), native("aarch64")];
    project.wheels(&packages);
    let hashes: Vec<String> =
        packages[1..].iter().map(|package| format!("sha256:{}", package.sha256)).collect();
    let lock = Lock::new().package(&packages[0]);
    project.lock(&lock.entry("default", "native", json!({"hashes": hashes, "version": "==1.0"})));
    let args = [&["--python-version", "3.11", "--sbom", "spdx", "attach"], &BOTH[..]].concat();
    let (_registry, port) = debians(&project);
    let to = format!("127.0.0.1:{port}/shop:one");
    let run = pack(&project, &[&["--oci", "out", "--push", &to], &args[..]].concat());
    run.succeeds();
    let out = project.path("project/out");
    let index = parsed(&out.join("index.json"));
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(1));
    let row = &index["manifests"][0];
    assert_eq!(row["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(run.stdout.trim_end(), row["digest"]);
    let list: Value = serde_json::from_slice(&blob(&out, &row["digest"])).expect("JSON");
    let platforms: Vec<_> = list["manifests"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["platform"]["architecture"].clone())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let of = |at: usize| -> Value {
        serde_json::from_slice(&blob(&out, &list["manifests"][at]["digest"])).expect("JSON")
    };
    // What is the same for both is there once.
    let shared: Vec<Value> = of(0)["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .filter(|row| of(1)["layers"].as_array().expect("layers").contains(row))
        .cloned()
        .collect();
    assert!(!shared.is_empty() && shared.len() < 3, "{shared:?}");
    // As a base, each platform gets its own.
    for (platform, at) in [("linux/amd64", 0), ("linux/arm64", 1)] {
        let args = [
            "--oci",
            "on.tar",
            "--base",
            &to,
            "--python-version",
            "3.11",
            "--platform",
            platform,
            "--python-home",
            "/usr/local/bin",
        ];
        pack(&project, &args).succeeds();
        let unpacked = project.path(&format!("on-{at}"));
        fs::create_dir(&unpacked).expect("made");
        tar(&["-xf", project.path("project/on.tar").to_str().expect("UTF-8")], &unpacked);
        assert_eq!(json!(layers(&unpacked)[0]), of(at)["layers"][0]["digest"]);
    }
    pack(&project, &[&["--oci", "one", "--python-version", "3.11"], &DESCRIBED[2..]].concat()).succeeds();
    let index = parsed(&project.path("project/one/index.json"));
    assert_eq!(index["manifests"][0]["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(index["manifests"][0]["digest"], list["manifests"][0]["digest"]);
    let both = |args: &[&str]| pack(&project, &[args, &["--python-version", "3.11"], &BOTH[..]].concat());
    both(&["-o", "a.tar"]).fails(2, &["error: --output writes a tar for one platform; 2 were given"]);
    both(&["--load"]).fails(2, &["error: --load loads an image for one platform; 2 were given"]);
    both(&["--oci", "o", "--sbom", "spdx", "s.json"])
        .fails(2, &["error: --sbom writes a file for one platform; 2 were given"]);
    project.run(&[&["sync", "--python-version", "3.11"], &BOTH[..]].concat()).ends(
        2,
        &[
            "error: an environment is for one platform, and these are linux/amd64, linux/arm64",
            "  help: run once for each; `venvoy pack --oci` and `--push` make one image of several",
        ],
    );
    for (args, what) in [
        (&["--python-version", "3.11"][..], "--python-version needs --platform"),
        (&["--platform", "linux/amd64"], "--platform needs --python-version"),
        (&["--python-version", "3.11", "--platform", "linux/amd64"], "--python-version needs --python-home"),
    ] {
        project.run(&[&["sync"], args].concat()).fails(2, &[&format!("error: {what}")]);
    }
}

/// A program of that name on PATH.
fn program(project: &Project, name: &str, text: &str) {
    project.write(&format!("programs/{name}"), text);
    fs::set_permissions(project.path("programs").join(name), fs::Permissions::from_mode(0o755)).expect("set");
}

fn with_programs(project: &Project, args: &[&str]) -> crate::support::run::Run {
    let mut command =
        project.command(&[&["pack", "--find-links", "../wheels"], args, &DESCRIBED[..]].concat());
    // No engine of this machine.
    project.finish(command.env("PATH", project.path("programs")))
}

#[test]
fn an_engine_is_given_the_image_and_what_it_says_against_it_is_told() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let loaded = project.path("loaded.tar");
    program(
        &project,
        "podman",
        &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n[ \"$*\" = load ] && exec cat >{}\n", loaded.display()),
    );
    with_programs(&project, &["--load", "--name", "shop:one"]).succeeds();
    pack(&project, &[&["--oci", "same.tar", "--name", "shop:one"], &DESCRIBED[..]].concat()).succeeds();
    assert_eq!(
        fs::read(&loaded).expect("it got one"),
        fs::read(project.path("project/same.tar")).expect("made")
    );
    with_programs(&project, &["--load=docker"]).ends(
        2,
        &[
            "error: there is no docker on PATH",
            "  help: install an engine, or write --oci FILE.tar and load that where there is one",
        ],
    );
    // One that gives up before it has read all.
    program(
        &project,
        "docker",
        "#!/bin/sh\nPATH=/usr/bin:/bin\nhead -c 600 >/dev/null; echo 'no space left' >&2; exit 1\n",
    );
    with_programs(&project, &["--load"]).ends(
        10,
        &["error: docker failed: no space left", "  help: see that `docker images` works for this user"],
    );
}

#[test]
fn an_image_of_the_local_engine_is_saved_once() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "base", "amd64", |_| ());
    // As `docker save` writes it: plain tars, one of them a link to another.
    let saved = project.path("saved");
    let (_, config) = super::image::image(&project.path("project/base"));
    let mut config = config;
    config["rootfs"]["diff_ids"] = json!(vec![format!("sha256:{}", sha256(&[0; 1024])); 2]);
    config["history"] = json!([{"created_by": "a"}, {"created_by": "b"}]);
    project.write("saved/config.json", config.to_string());
    project.write("saved/one/layer.tar", [0; 1024]);
    fs::create_dir(saved.join("two")).expect("made");
    std::os::unix::fs::symlink("../one/layer.tar", saved.join("two/layer.tar")).expect("a link");
    let list = json!([{"Config": "config.json", "RepoTags": ["python:3.11"], "Layers": ["one/layer.tar", "two/layer.tar"]}]);
    project.write("saved/manifest.json", list.to_string());
    tar(&["-cf", "../saved.tar", "-C", "../saved", "."], &project.dir());
    let count = project.path("count");
    program(
        &project,
        "docker",
        &format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin\ncase \"$*\" in\n'image inspect --format {{{{.Id}}}} python:3.11') echo sha256:feed ;;\n\
             'image inspect '*) echo \"Error: No such image: $5\" >&2; exit 1 ;;\n\
             'image save --output '*) echo saved >>{}; cp {} \"$4\" ;;\nesac\n",
            count.display(),
            project.path("saved.tar").display()
        ),
    );
    with_programs(&project, &["--oci", "one", "--base", "python:3.11"]).succeeds();
    with_programs(&project, &["--oci", "two", "--base", "docker-daemon:python:3.11"]).succeeds();
    assert_eq!(fs::read_to_string(&count).expect("it was asked"), "saved\n");
    let one = layers(&project.path("project/one"));
    assert_eq!(one, layers(&project.path("project/two")));
    assert_eq!(one[0], one[1], "a layer twice, as the config has it");
    with_programs(&project, &["--oci", "three", "--base", "../saved.tar"]).succeeds();
    assert_eq!(one, layers(&project.path("project/three")));
    let unpacked = Command::new("gzip")
        .arg("-dc")
        .stdin(fs::File::open(project.path("project/one/blobs/sha256").join(&one[0][7..])).expect("a blob"))
        .output()
        .expect("gzip");
    assert_eq!(unpacked.stdout, [0; 1024]);
    with_programs(&project, &["--oci", "four", "--base", "docker-daemon:python:3.12"])
        .fails(2, &["  because: docker has no image python:3.12"]);
    assert!(!names(&project.path("project")).contains(&"four".to_owned()));
}

#[test]
fn a_compressed_layer_that_an_engine_saved_is_what_its_config_says() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "base", "amd64", |_| ());
    let (_, mut config) = super::image::image(&project.path("project/base"));
    let tar = [0; 1024];
    config["rootfs"]["diff_ids"] = json!([format!("sha256:{}", sha256(&tar))]);
    config["history"] = json!([{"created_by": "a"}]);
    project.write("saved/config.json", config.to_string());
    let list = json!([{"Config": "config.json", "RepoTags": ["python:3.11"], "Layers": ["layer.tar"]}]);
    project.write("saved/manifest.json", list.to_string());
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory")
    };
    let packed = |layer: &[u8]| {
        project.write("saved/layer.tar", layer);
        fs::remove_dir_all(project.path("cache/v1/saved")).unwrap_or_default();
        with_programs(&project, &["--oci", "out", "--base", "../saved"])
    };
    let whole = gzip(&tar);
    packed(&whole).succeeds();
    assert_eq!(layers(&project.path("project/out"))[0], format!("sha256:{}", sha256(&whole)), "as it is");
    packed(&zstd::encode_all(&tar[..], 0).expect("memory")).succeeds();
    fs::remove_dir_all(project.path("project/out")).expect("removed");

    let because = format!(
        "  because: it holds sha256:{}, expected sha256:{} as its config says",
        sha256(&[1; 1024]),
        sha256(&tar)
    );
    let help =
        "  help: save the image again; if that is the same, its engine's store is damaged: pull it again";
    packed(&gzip(&[1; 1024])).fails(8, &[&because, help]);
    packed(&whole[..whole.len() - 9]).fails(8, &["  because: it is compressed, and damaged or cut off"]);
    assert!(!names(&project.path("project")).contains(&"out".to_owned()), "nothing is left");
}
