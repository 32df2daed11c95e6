//! `diff` of images: in a layout, its tar, a registry.

use super::registry::{DESCRIBED, debians, push};
use crate::support::{
    lock::Lock,
    package::{Package, greeter, noise},
    project::Project,
};

/// Two images, `one` and `two`: one package changes, one goes, one comes, one stays.
fn images() -> Project {
    let large = |version: &str| Package::new(&greeter("large", version).file("large.bin", noise(90_000)));
    let first = [large("1.0"), Package::simple("gone", "1.0"), Package::simple("stays", "1.0")];
    let second = [large("1.0"), Package::simple("fresh", "3.0"), Package::simple("stays", "1.1")];
    let project = Project::with_wheels(&first);
    project.wheels(&second);
    for (name, packages) in [("one", &first), ("two", &second)] {
        project.lock(&packages.iter().fold(Lock::new(), Lock::package));
        pack(&project, &["--oci", &format!("../{name}")]);
    }
    project
}

fn pack(project: &Project, args: &[&str]) {
    project.run(&[&["pack", "--find-links", "../wheels"], &DESCRIBED[..], args].concat()).succeeds();
}

#[test]
fn two_layouts_are_compared_by_package_and_by_layer() {
    let project = images();
    let run = project.run(&["diff", "../one", "../two"]);
    run.succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", run.stdout);
    assert!(lines[1].starts_with("fresh    added    -       3.0    +"), "{}", run.stdout);
    assert!(lines[2].starts_with("gone     removed  1.0     -      -"), "{}", run.stdout);
    assert!(lines[3].starts_with("stays    changed  1.0     1.1"), "{}", run.stdout);
    let layers = "1 package added, 1 removed, 1 changed, 1 the same; ";
    assert!(lines[4].starts_with(layers) && lines[4].contains("; 1 layer the same, "), "{}", run.stdout);
    let json = project.run(&["diff", "../one", "../two", "--json"]).json();
    assert_eq!(json["packages"][0]["to"]["version"], "3.0");
    assert!(json["packages"][0]["to"]["bytes"].as_u64() > Some(0));
    let added = json["layers"]["added"].as_array().expect("layers");
    assert!(
        added
            .iter()
            .all(|layer| layer["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")))
    );
    let markdown = project.run(&["diff", "../one", "../two", "--markdown"]).stdout;
    assert!(markdown.contains("| gone | removed | 1.0 | - | -"), "{markdown}");
    project.run(&["diff", "../one", "../two", "--exit-code"]).ends_with(1);
    project.run(&["diff", "../one", "../one", "--exit-code"]).ends_with(0);
}

#[test]
fn an_image_is_compared_with_its_tar_a_registry_its_lock_and_an_environment() {
    let project = images();
    pack(&project, &["--oci", "../two.tar"]);
    let same = "0 packages added, 0 removed, 0 changed, 3 the same";
    let layers = |first: &str, second: &str| {
        let run = project.run(&["diff", first, second, "--exit-code"]);
        run.ends_with(0);
        assert!(
            run.stdout.starts_with(same) && run.stdout.contains(" the same, 0 added (0 B), 0 removed (0 B)")
        );
    };
    layers("../two", "../two.tar");
    let (_registry, port) = debians(&project);
    let name = format!("127.0.0.1:{port}/shop:two");
    push(&project, &name, &[]).succeeds();
    layers(&name, "oci:../two");
    assert_eq!(project.run(&["diff", "Pipfile.lock", &name]).stdout, format!("{same}\n"));
    project.sync().succeeds();
    let run = project.run(&["diff", ".venv", "../two.tar"]);
    assert!(
        run.stdout.contains("0 added, 0 removed") || run.stdout.contains("0 packages added, 0 removed"),
        "{}",
        run.stdout
    );
    let missing = project.run(&["diff", ".venv", &format!("127.0.0.1:{port}/shop:none")]);
    missing.ends_with(2);
    assert!(missing.stderr.contains("has no shop none"), "{}", missing.stderr);
}

#[test]
fn a_layer_that_is_not_what_its_digest_says_is_refused() {
    let project = images();
    let index = project.read("one/index.json");
    let digest =
        |text: &str, from: usize| text[from..].split("sha256:").nth(1).expect("a digest")[..64].to_owned();
    let manifest = project.read(&format!("one/blobs/sha256/{}", digest(&index, 0)));
    let layer = digest(&manifest, manifest.find("\"layers\"").expect("layers"));
    let path = project.path(&format!("one/blobs/sha256/{layer}"));
    let mut bytes = std::fs::read(&path).expect("a layer");
    bytes.push(0);
    std::fs::write(&path, bytes).expect("written");
    let run = project.run(&["diff", "../one", "../two"]);
    run.ends_with(8);
    assert!(run.stderr.contains(&format!("cannot read the layer sha256:{layer}")), "{}", run.stderr);
}
