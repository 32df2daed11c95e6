//! Every file of the suite is named in a `mod.rs`: one that is not would never be built nor run.

use std::{fs, path::Path};

use crate::support::files;

#[test]
fn every_file_is_a_module_of_the_one_binary() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let is_rust = |path: &Path| path.extension().is_some_and(|end| end == "rs");
    for path in files::below(&tests.join("suite")).into_iter().filter(|path| is_rust(path)) {
        let (dir, stem) = (path.parent().expect("a directory"), path.file_stem().expect("a name"));
        if stem == "main" {
            continue;
        }
        let (above, name) = if stem == "mod" {
            (dir.parent().expect("a directory"), dir.file_name().expect("a name"))
        } else {
            (dir, stem)
        };
        let root = ["mod.rs", "main.rs"].map(|name| above.join(name)).into_iter().find(|root| root.is_file());
        let declared = fs::read_to_string(root.expect("a mod.rs")).expect("a source file");
        let wanted = format!("mod {};", name.to_str().expect("UTF-8"));
        let found = declared.lines().any(|line| line.trim_start_matches("pub ") == wanted);
        assert!(found, "{} is not run: {} lacks `{wanted}`", path.display(), above.display());
    }
    for name in files::names(&tests) {
        assert!(
            !is_rust(Path::new(&name)),
            "tests/{name} makes a binary of its own: it belongs into tests/suite"
        );
    }
}
