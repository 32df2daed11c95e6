//! Scripts whose names hold a version of Python.

use crate::{packages::wheel::EntryPoint, words::vocab::RelPath};

/// Programs of which pip makes scripts for the version that they are installed for, whatever their wheels say: the
/// name, and what stands between it and a version.
const VERSIONED: [(&str, &str); 2] = [("pip", ""), ("easy_install", "-")];

/// The scripts of a distribution, with pip's and easy_install's for this version of Python (`pip`, `pip3`, `pip3.11`;
/// `easy_install-3.11`) in place of those that the wheel names, as pip does it.
pub(crate) fn versioned(scripts: &[EntryPoint], (major, minor): (u8, u8)) -> Vec<EntryPoint> {
    let mut out = scripts.to_vec();
    for (program, between) in VERSIONED {
        let Some(plain) = out.iter().find(|one| !one.gui && one.name.as_str() == program).cloned() else {
            continue;
        };
        out.retain(|one| one.gui || !is_version_of(one.name.as_str(), program, between));
        let mut names = vec![program.to_owned(), format!("{program}{between}{major}.{minor}")];
        if between.is_empty() {
            names.push(format!("{program}{major}"));
        }
        let named = |name: &String| -> Option<EntryPoint> {
            let name: RelPath = name.parse().ok()?;
            Some(EntryPoint { name, ..plain.clone() })
        };
        out.extend(names.iter().filter_map(named));
    }
    out
}

/// Whether a script's name is the program's own, or that with a version (`3`, `3.11`).
fn is_version_of(name: &str, program: &str, between: &str) -> bool {
    let Some(rest) = name.strip_prefix(program) else { return false };
    let Some(version) = rest.strip_prefix(between) else { return rest.is_empty() };
    rest.is_empty()
        || version.split('.').all(|part| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scripts: &[&str]) -> Vec<String> {
        let script = |name: &&str| EntryPoint {
            name: name.parse().expect("a name"),
            module: "m".into(),
            function: "f".into(),
            gui: false,
        };
        let scripts: Vec<EntryPoint> = scripts.iter().map(script).collect();
        let mut names: Vec<String> =
            versioned(&scripts, (3, 11)).iter().map(|one| one.name.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn pip_has_the_version_that_it_is_installed_for() {
        assert_eq!(names(&["pip", "pip3", "pip3.12", "pipx"]), ["pip", "pip3", "pip3.11", "pipx"]);
        assert_eq!(
            names(&["easy_install", "easy_install-3.6", "easy_install3"]),
            ["easy_install", "easy_install-3.11", "easy_install3"]
        );
        assert_eq!(names(&["pip3.12", "demo"]), ["demo", "pip3.12"], "no pip, no version of it");
    }
}
