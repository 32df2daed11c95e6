//! `--base`: what the layers are put on.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use serde_json::{Value, json};

use super::{
    image::{blob, image, layers, pack, tar},
    registry::{DESCRIBED, EMPTY, debians, having, of_bytes, push, with_body},
};
use crate::support::{
    files::below,
    lock::Lock,
    package::{Package, sha256},
    project::Project,
};

/// An image layout with a base that is like an official Python's.
pub fn base(project: &Project, dir: &str, architecture: &str, change: impl Fn(&mut Value)) {
    let put = |bytes: &[u8]| {
        let digest = sha256(bytes);
        project.write(&format!("project/{dir}/blobs/sha256/{digest}"), bytes);
        (format!("sha256:{digest}"), bytes.len())
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&[0; 1024]).expect("memory");
    let (layer, layer_size) = put(&encoder.finish().expect("memory"));
    let mut config = json!({
        "architecture": architecture, "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.11.9"], "Cmd": ["python3"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&[0; 1024]))]},
        "history": [{"created_by": "debian"}],
    });
    change(&mut config);
    let (config, config_size) = put(config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": layer_size}],
    });
    let (manifest, size) = put(manifest.to_string().as_bytes());
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": size,
        "platform": {"os": "linux", "architecture": architecture},
    }]});
    project.write(&format!("project/{dir}/index.json"), index.to_string());
    project.write(&format!("project/{dir}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
}

#[test]
fn a_base_gives_its_layers_its_python_and_its_settings() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "base", "amd64", |_| ());
    project.write("project/app/main.py", "print('app')\n");
    project.write("project/app/bin/tool", "#!/bin/sh\n");
    fs::set_permissions(project.path("project/app/bin/tool"), fs::Permissions::from_mode(0o750))
        .expect("set");
    symlink("main.py", project.path("project/app/link")).expect("a link");
    let args = [
        "--base",
        "base",
        "--oci",
        "out",
        "--copy",
        "app:/srv/app",
        "--cmd",
        "python /srv/app/main.py",
        "--user",
        "1099",
        "--workdir",
        "/srv",
        "--label",
        "a=b",
        "--env",
        "X=Y",
    ];
    // Without any interpreter.
    let mut command = project.command(&[&["pack", "--find-links", "../wheels"], &args[..]].concat());
    project.finish(command.env("PATH", "/nowhere")).succeeds();
    let out = project.path("project/out");
    let (manifest, config) = image(&out);
    let first = layers(&project.path("project/base"));
    assert_eq!(layers(&out)[0], first[0], "the base's layer is as it was");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(4));
    assert_eq!(config["history"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        config["config"],
        json!({
            "Env": ["PATH=/.venv/bin:/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.11.9", "X=Y"], "Cmd": ["python", "/srv/app/main.py"],
            "User": "1099", "WorkingDir": "/srv", "Labels": {"a": "b"},
        })
    );
    let root = project.path("root");
    fs::create_dir(&root).expect("a directory");
    for digest in &layers(&out)[1..] {
        fs::write(root.join("l.tgz"), blob(&out, &json!(digest))).expect("written");
        tar(&["-xpzf", "l.tgz"], &root);
    }
    assert_eq!(
        fs::read_link(root.join(".venv/bin/python")).expect("a link"),
        Path::new("/usr/local/bin/python3.11")
    );
    let mode = |path: &str| fs::symlink_metadata(root.join(path)).expect(path).mode() & 0o7777;
    assert_eq!((mode("srv/app/main.py"), mode("srv/app/bin/tool")), (0o644, 0o755));
    assert_eq!(fs::read_link(root.join("srv/app/link")).expect("a link"), Path::new("main.py"));
    // The same from a tar of the base, into a tar.
    tar(&["-cf", "base.tar", "-C", "base", "."], &project.dir());
    let again: Vec<&str> = args
        .iter()
        .map(|arg| match *arg {
            "base" => "base.tar",
            "out" => "out.tar",
            arg => arg,
        })
        .collect();
    let run = pack(&project, &again);
    run.succeeds();
    let unpacked = project.path("unpacked");
    fs::create_dir(&unpacked).expect("a directory");
    tar(&["-xf", project.path("project/out.tar").to_str().expect("UTF-8")], &unpacked);
    assert_eq!(layers(&unpacked), layers(&out));
    let docker: Value =
        serde_json::from_slice(&fs::read(unpacked.join("manifest.json")).expect("it is there"))
            .expect("JSON");
    assert_eq!(docker[0]["RepoTags"], json!(["venvoy-pack:latest"]));
    assert_eq!(docker[0]["Layers"].as_array().map(Vec::len), Some(4));
}

/// Changes a layout's manifest, and what names it.
pub fn change_manifest(layout: &Path, change: impl FnOnce(&mut Value)) {
    let (mut manifest, _) = image(layout);
    change(&mut manifest);
    let bytes = manifest.to_string();
    let name = sha256(bytes.as_bytes());
    fs::write(layout.join("blobs/sha256").join(&name), &bytes).expect("written");
    let row = json!({
        "mediaType": manifest["mediaType"], "digest": format!("sha256:{name}"), "size": bytes.len(),
        "platform": {"os": "linux", "architecture": "amd64"},
    });
    let index = json!({"schemaVersion": 2, "manifests": [row]});
    fs::write(layout.join("index.json"), index.to_string()).expect("written");
}

/// Gives an image's manifest and what it names Docker's media types.
pub fn as_dockers(layout: &Path) {
    let docker = "application/vnd.docker";
    change_manifest(layout, |manifest| {
        manifest["mediaType"] = format!("{docker}.distribution.manifest.v2+json").into();
        manifest["config"]["mediaType"] = format!("{docker}.container.image.v1+json").into();
        for layer in manifest["layers"].as_array_mut().expect("layers") {
            layer["mediaType"] = format!("{docker}.image.rootfs.diff.tar.gzip").into();
        }
    });
}

#[test]
fn a_layout_has_ocis_types_whatever_the_base_has_and_a_registry_those_of_the_base() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "docker", "amd64", |_| ());
    as_dockers(&project.path("project/docker"));
    for (name, args) in [("out", &["--oci", "out"][..]), ("unpacked", &["--oci", "out.tar"])] {
        pack(&project, &[args, &["--base", "docker"]].concat()).succeeds();
        if name == "unpacked" {
            fs::create_dir(project.path("project/unpacked")).expect("made");
            tar(&["-xf", "../out.tar"], &project.path("project/unpacked"));
        }
        let (manifest, _) = image(&project.path("project").join(name));
        assert!(!manifest.to_string().contains("vnd.docker"), "{manifest}");
        assert!(manifest["annotations"]["dev.venvoy.lock"].is_string(), "{manifest}");
    }
    // As podman and buildah find it.
    let found = Command::new("skopeo")
        .args(["inspect", "--raw", "oci:project/out:latest"])
        .current_dir(project.path(""))
        .output()
        .expect("skopeo");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let (_registry, port) = debians(&project);
    let pushed = format!("127.0.0.1:{port}/shop:one");
    pack(&project, &["--push", &pushed, "--base", "docker"]).succeeds();
    let found = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{pushed}")])
        .output()
        .expect("skopeo");
    let text = String::from_utf8_lossy(&found.stdout);
    assert!(text.contains("vnd.docker.distribution.manifest.v2") && !text.contains("vnd.oci"), "{text}");
}

#[test]
fn on_a_base_of_119_layers_there_is_room_for_one() {
    let project = Project::with_wheels(&["one", "two"].map(|name| Package::simple(name, "1.0")));
    for count in [119, 120] {
        let dir = format!("base{count}");
        base(&project, &dir, "amd64", |config| {
            let ids = &mut config["rootfs"]["diff_ids"];
            *ids = json!(vec![ids[0].clone(); count]);
            // And one without history.
            config.as_object_mut().expect("an object").remove("history");
        });
        change_manifest(&project.path("project").join(&dir), |manifest| {
            let layers = &mut manifest["layers"];
            *layers = json!(vec![layers[0].clone(); count]);
        });
    }
    pack(&project, &["--oci", "out", "--base", "base119"]).succeeds();
    let (manifest, config) = image(&project.path("project/out"));
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(120));
    assert_eq!(config["history"].as_array().map(Vec::len), Some(120));
    project.write("project/app/main.py", "print('app')\n");
    pack(&project, &["--oci", "more", "--base", "base119", "--copy", "app:/srv"]).ends(
        2,
        &[
            "error: the base has 119 layers, and --copy needs one more than the 120 there may be",
            "  help: squash the base, or use one with fewer layers",
        ],
    );
    pack(&project, &["--oci", "more", "--base", "base120"]).ends(
        2,
        &[
            "error: cannot use the base base120",
            "  because: it has 120 layers; expected fewer than 120, as engines take no more than 125 in all",
            "  help: squash the base, or use one with fewer layers",
        ],
    );
    assert!(!project.path("project/more").exists());
}

#[test]
fn bases_that_do_not_fit_are_refused_with_what_there_is() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "arm", "arm64", |_| ());
    pack(&project, &[&["--oci", "out", "--base", "arm"], &DESCRIBED[..]].concat()).ends(
        2,
        &[
            "error: cannot use the base arm",
            "  because: it has no image for linux/amd64; there are: linux/arm64",
            "  help: choose one of these with --platform, or another base",
        ],
    );
    base(&project, "plain", "amd64", |config| config["config"]["Env"] = json!(["PATH=/bin"]));
    pack(&project, &["--oci", "out", "--base", "plain"]).ends(
        2,
        &[
            "error: the base plain does not say where its Python is (it has no PYTHON_VERSION)",
            "  help: say both: --python-home /usr/bin --python-version 3.11",
        ],
    );
    base(&project, "old", "amd64", |config| config["config"]["Env"] = json!(["PYTHON_VERSION=3.8.1"]));
    pack(&project, &[&["--oci", "out", "--base", "old"], &DESCRIBED[..]].concat())
        .fails(4, &["error: the base old has Python 3.8.1, and the environment is for CPython 3.11"]);
    base(&project, "many", "amd64", |_| ());
    pack(&project, &["--oci", "out", "--base", "many:stable"]).ends(
        2,
        &["error: cannot use the base many:stable", "  because: many has no image stable; there are: none"],
    );
    pack(&project, &["--oci", "out", "--base", "nowhere"]).fails(2, &["error: cannot use the base nowhere"]);
    pack(&project, &["--oci", "out", "--base", "../wheels"])
        .fails(2, &["  because: ../wheels has no index.json; expected an OCI layout"]);
    // A blob that is not what its name says.
    base(&project, "lies", "amd64", |_| ());
    for path in below(&project.path("project/lies/blobs")) {
        let mut bytes = fs::read(&path).expect("a blob");
        bytes.push(b' ');
        fs::write(&path, bytes).expect("written");
    }
    pack(&project, &["--oci", "out", "--base", "lies"])
        .fails(8, &["  help: the layout is damaged: copy the base again"]);
    assert!(!project.path("project/out").exists());
}

#[test]
fn of_a_base_that_does_not_say_its_python_the_project_does_or_it_is_asked_for() {
    let package = Package::simple("demo", "1.0");
    let project = Project::with_wheels(std::slice::from_ref(&package));
    base(&project, "plain", "amd64", |config| config["config"]["Env"] = json!(["PATH=/bin"]));
    let requiring = |version: &str| {
        project.lock(&Lock::new().package(&package).meta("requires", json!({"python_version": version})));
    };
    let here = ["--oci", "out.tar", "--base", "plain", "--python-home", "/usr/bin"];
    for any in ["*", ">=3.8", "3"] {
        requiring(any);
        pack(&project, &here).ends(
            2,
            &[
                "error: the base plain does not say which Python it has (it has no PYTHON_VERSION)",
                "  help: say it: --python-version 3.11; or let [requires] of the project name one version",
            ],
        );
    }
    let digest = |args: &[&str]| {
        // No interpreter is looked for.
        let mut command = project.command(&[&["pack", "--find-links", "../wheels"], args].concat());
        project.finish(command.env("PATH", "/nowhere")).succeeds().stdout.clone()
    };
    requiring("3.10");
    let required = digest(&here);
    pack(&project, &here[..4]).ends(
        2,
        &[
            "error: the base plain does not say where its Python is (it has no PYTHON_VERSION)",
            "  help: say it: --python-home /usr/bin",
        ],
    );
    let asked = |version: &str| digest(&[&here[..], &["--python-version", version]].concat());
    assert_eq!(asked("3.10"), required);
    assert_ne!(asked("3.11"), required);
}

/// A registry that has the image of the layout `base`, where `mount` answers requests for mounts.
fn having_base(project: &Project, mount: &'static str) -> (u16, super::registry::Log) {
    let usual = having(&project.path("project/base"));
    of_bytes(move |_, method, path, _| {
        if method == "POST" && path.contains("mount=") {
            return Some(format!("{mount}\r\n{EMPTY}").into_bytes());
        }
        Some(usual(method, path))
    })
}

#[test]
fn of_a_base_in_a_registry_manifest_and_config_are_read_and_layers_mounted() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "base", "amd64", |_| ());
    let (port, log) = having_base(&project, "201 Created");
    let from = format!("127.0.0.1:{port}/base:3.11");
    let run = push(&project, &format!("127.0.0.1:{port}/team/shop:one"), &["--base", &from]);
    run.succeeds();
    let log = log.lock().expect("a lock");
    let below = layers(&project.path("project/base"))[0].clone();
    let got: Vec<&str> =
        log.iter().filter(|(method, ..)| method == "GET").map(|(_, path, ..)| path.as_str()).collect();
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(got[0] == "/v2/base/manifests/3.11" && !got[1].ends_with(&below[7..]), "{got:?}");
    let mounts: Vec<&str> = log
        .iter()
        .filter(|(_, path, ..)| path.contains("mount="))
        .map(|(_, path, ..)| path.as_str())
        .collect();
    assert_eq!(mounts, [format!("/v2/team/shop/blobs/uploads/?mount=sha256%3A{}&from=base", &below[7..])]);
    assert!(!log.iter().any(|(method, path, ..)| method == "PUT" && path.ends_with(&below[7..])));
}

#[test]
fn any_answer_to_a_mount_but_done_means_that_the_layer_is_sent() {
    for answer in
        ["202 Accepted", "401 Unauthorized", "403 Forbidden", "404 Not Found", "405 Method Not Allowed"]
    {
        let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
        base(&project, "base", "amd64", |_| ());
        let (port, log) = if answer.starts_with("202") {
            having_base(&project, "202 Accepted\r\nLocation: /upload?state=mount")
        } else {
            having_base(&project, answer)
        };
        let from = format!("127.0.0.1:{port}/base:3.11");
        let run = push(&project, &format!("127.0.0.1:{port}/shop:one"), &["--base", &from]);
        run.succeeds();
        let log = log.lock().expect("a lock");
        let below = layers(&project.path("project/base"))[0].clone();
        let sent: Vec<_> =
            log.iter().filter(|(method, path, ..)| method == "PUT" && path.ends_with(&below[7..])).collect();
        assert_eq!(sent.len(), 1, "{answer}");
        // All of it, as it was; where an upload was begun instead of a mount, there.
        assert_eq!(sent[0].3, below[7..], "{answer}");
        assert_eq!(sent[0].1.contains("state=mount"), answer.starts_with("202"), "{answer}");
    }
}

#[test]
fn a_base_is_copied_through_to_another_registry_and_into_a_layout() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "base", "amd64", |_| ());
    let (port, _) = having_base(&project, "201 Created");
    let (_registry, debian) = debians(&project);
    let from = format!("127.0.0.1:{port}/base:3.11");
    push(&project, &format!("127.0.0.1:{debian}/shop:one"), &["--base", &from]).succeeds();
    pack(&project, &["--oci", "out", "--base", &from]).succeeds();
    pack(&project, &["--oci", "out.tar", "--base", &from]).succeeds();
    pack(&project, &["--oci", "same", "--base", "base"]).succeeds();
    let out = project.path("project/out");
    assert_eq!(layers(&out), layers(&project.path("project/same")));
    let below = layers(&out)[0].clone();
    assert_eq!(below, layers(&project.path("project/base"))[0]);
    blob(&out, &json!(below));
    // From Debian's registry, into another of its repositories: nothing but what differs is sent.
    let again = push(
        &project,
        &format!("127.0.0.1:{debian}/other:one"),
        &["--base", &format!("127.0.0.1:{debian}/shop:one"), "--single-layer"],
    );
    again.succeeds();
    let (_, config) = image(&out);
    assert_eq!(config["config"]["Env"][1], json!("PYTHON_VERSION=3.11.9"));
}

/// What is answered to a method and path instead of the usual.
type Quirk = Box<dyn Fn(&str, &str) -> Option<Vec<u8>> + Send + Sync>;

#[test]
fn bases_that_a_registry_cannot_give_are_refused() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    base(&project, "base", "amd64", |_| ());
    let with = |answer: Quirk| {
        let usual = having(&project.path("project/base"));
        let (port, _) = of_bytes(move |_, method, path, _| {
            Some(answer(method, path).unwrap_or_else(|| usual(method, path)))
        });
        fs::remove_dir_all(project.path("cache"))
            .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .expect("removed");
        pack(&project, &["--oci", "out", "--base", &format!("127.0.0.1:{port}/base:3.11")])
    };
    let manifests = |media_type: &str, body: Value| -> Quirk {
        let headers = format!("Content-Type: {media_type}\r\n");
        Box::new(move |_, path| {
            path.contains("/manifests/").then(|| with_body("200 OK", &headers, body.to_string().as_bytes()))
        })
    };
    let list = json!({"schemaVersion": 2, "manifests": [
        {"digest": format!("sha256:{}", "1".repeat(64)), "size": 2, "platform": {"os": "linux", "architecture": "s390x"}},
        {"digest": format!("sha256:{}", "2".repeat(64)), "size": 2, "platform": {"os": "unknown", "architecture": "unknown"}},
    ]});
    with(manifests("application/vnd.oci.image.index.v1+json", list))
        .fails(2, &["  because: it has no image for linux/amd64; there are: linux/s390x"]);
    let old = json!({"schemaVersion": 1, "name": "base", "fsLayers": []});
    with(manifests("application/vnd.docker.distribution.manifest.v1+prettyjws", old))
        .fails(2, &["  because: its manifest is Docker's schema 1; expected schema 2 or OCI"]);
    let missing = with(Box::new(|_, path| {
        path.contains("/manifests/").then(|| format!("404 Not Found\r\n{EMPTY}").into_bytes())
    }));
    missing
        .fails(2, &["  help: check its name and tag; some registries say so of what a login may not read"]);
    let lies = with(Box::new(|_, path| {
        let headers = format!("Docker-Content-Digest: sha256:{}\r\n", "0".repeat(64));
        path.contains("/manifests/").then(|| with_body("200 OK", &headers, b"{}"))
    }));
    assert_eq!(lies.code, Some(8), "{}", lies.stderr);
    assert!(
        lies.stderr.contains(&format!(
            "gave sha256:{}, expected sha256:{}",
            crate::support::package::sha256(b"{}"),
            "0".repeat(64)
        )),
        "{}",
        lies.stderr
    );
    let other = with(Box::new(|_, path| path.contains("/blobs/").then(|| with_body("200 OK", "", b"{}"))));
    assert_eq!(other.code, Some(8), "{}", other.stderr);
    // A layer that is cut off, in an answer that is whole.
    let below = layers(&project.path("project/base"))[0].clone();
    let cut = with(Box::new(move |_, path| {
        path.ends_with(&below[7..]).then(|| with_body("200 OK", "", b"\x1f\x8b"))
    }));
    assert_eq!(cut.code, Some(7), "{}", cut.stderr);
    assert!(cut.stderr.contains("left out the last "), "{}", cut.stderr);
    assert!(!project.path("project/out/index.json").exists());
    pack(&project, &["--oci", "out", "--offline", "--base", "127.0.0.1:1/base:3.11"]).fails(
        2,
        &["  because: --offline and an image of a registry (127.0.0.1:1/base:3.11) exclude each other"],
    );
}

/// The command of a job in `docs/gitlab.md`, as a shell gets it.
fn documented() -> String {
    let page = include_str!("../../../docs/gitlab.md");
    let (_, job) = page.split_once("<!-- file: pack.gitlab-ci.yml -->").expect("the job");
    let (_, command) = job.split_once("- >-\n").expect("a folded command");
    let lines = command.lines().take_while(|line| line.starts_with("      "));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn gitlabs_job_packs_and_pushes_with_its_own_login() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let (_registry, port) = debians(&project);
    base(&project, "base", "amd64", |_| ());
    let own = format!("127.0.0.1:{port}/team/shop");
    push(&project, &format!("{own}/python:3.11"), &["--base", "base"]).succeeds();
    project.write("project/src/shop/__main__.py", "print('shop')\n");
    let venvoy = Path::new(env!("CARGO_BIN_EXE_venvoy"));
    let mut command = std::process::Command::new("sh");
    let path = format!("{}:/usr/bin:/bin", venvoy.parent().expect("a directory").display());
    command.args(["-euc", &documented()]).current_dir(project.dir()).env_clear();
    command.env("PATH", path).env("HOME", project.path("home")).env("PIP_FIND_LINKS", project.path("wheels"));
    command.env("VENVOY_CACHE_DIR", project.path("cache")).env("CI_REGISTRY_IMAGE", &own);
    command.env("CI_COMMIT_SHORT_SHA", "0123abcd").env("CI_REGISTRY", format!("127.0.0.1:{port}"));
    command.env("CI_REGISTRY_USER", "job").env("CI_REGISTRY_PASSWORD", "t0ken");
    let run = project.finish(&mut command);
    run.succeeds();
    let tags = project.path("registry/docker/registry/v2/repositories/team/shop/_manifests/tags");
    let link = fs::read_to_string(tags.join("0123abcd/current/link")).expect("a tag");
    assert_eq!(link, run.stdout.trim_end());
    assert_eq!(fs::read_dir(tags).expect("tags").count(), 2, "the image, and the list of what refers to it");
}
