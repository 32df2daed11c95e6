//! What a build's directory leaves in the files it makes: paths of an interpreter and of sources that are gone
//! afterwards.

use std::{os::unix::ffi::OsStrExt as _, path::PathBuf};

use super::{isolated::HOME, place::BuildDirectory};
use crate::project::python::Target;

/// A path that is written elsewhere than where it will be: replaced in an editable wheel's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    /// Where the backend saw it.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
}

/// Where a wheel was built, and what stands there for what.
#[derive(Debug, Clone)]
pub(super) struct BuildSite {
    /// The directory of the build.
    place: PathBuf,
    /// Whether that is the same path everywhere.
    fixed: bool,
    /// The interpreter that the build's own leads to.
    interpreter: PathBuf,
    /// Paths to replace in editable wheels, in this order.
    pub moved: Vec<Move>,
}

/// A file without what the build's directory left in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cleaned {
    /// Its contents.
    pub bytes: Vec<u8>,
    /// Its first line named the build's interpreter, and is `#!python` now.
    pub script: bool,
    /// What remains, if anything, for the user to hear.
    pub warning: Option<String>,
}

impl BuildSite {
    /// What is built in a place for a target.
    pub(super) fn of(place: &BuildDirectory, target: &Target) -> Self {
        Self::new(place.path(), place.fixed, &target.executable)
    }

    /// What is built in the directory `place`, which may be the same path `everywhere`, by an environment whose
    /// interpreter leads to `interpreter`.
    pub(super) fn new(place: impl Into<PathBuf>, everywhere: bool, interpreter: impl Into<PathBuf>) -> Self {
        BuildSite {
            place: place.into(),
            fixed: everywhere,
            interpreter: interpreter.into(),
            moved: Vec::new(),
        }
    }

    /// Takes the traces out of an entry, as far as that can be done without knowing what they are for.
    ///
    /// - A first line that names the build's interpreter becomes `#!python`, which an installer knows.
    /// - Elsewhere in a text the interpreter is the one that it leads to: it is there afterwards.
    /// - In machine code a path stays; unless it is the same everywhere, that is told.
    pub(super) fn clean(&self, name: &str, bytes: Vec<u8>) -> Cleaned {
        let place = self.place.as_os_str().as_bytes();
        let mut cleaned = Cleaned { bytes, script: false, warning: None };
        if memchr::memmem::find(&cleaned.bytes, place).is_none() {
            return cleaned;
        }
        let is_text = !cleaned.bytes.contains(&0);
        let python = [place, b"/", HOME.as_bytes(), b"/bin/python"].concat();
        if is_text {
            if let Some(rest) = cleaned
                .bytes
                .strip_prefix(b"#!")
                .map(<[u8]>::trim_ascii_start)
                .and_then(|rest| rest.strip_prefix(&python[..]))
            {
                let rest = &rest[version_end(rest)..];
                cleaned.bytes = [&b"#!python"[..], rest].concat();
                cleaned.script = true;
            }
            let (replaced, count) =
                replace_python(&cleaned.bytes, &python, self.interpreter.as_os_str().as_bytes());
            if count > 0 {
                cleaned.bytes = replaced;
                cleaned.warning = Some(format!(
                    "{name} records the interpreter that built it, and names {} now: what it starts there knows nothing of the environment",
                    self.interpreter.display()
                ));
            }
        }
        if !self.fixed && memchr::memmem::find(&cleaned.bytes, place).is_some() {
            cleaned.warning = Some(format!(
                "{name} holds the path of its build, {}: built elsewhere than below /tmp it is not the same twice (unset TMPDIR)",
                self.place.display()
            ));
        }
        cleaned
    }
}

/// How much of `rest` is the version in an interpreter's name.
fn version_end(rest: &[u8]) -> usize {
    rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(rest.len())
}

fn replace_python(bytes: &[u8], python: &[u8], with: &[u8]) -> (Vec<u8>, usize) {
    let (mut out, mut rest, mut count) = (Vec::with_capacity(bytes.len()), bytes, 0);
    while let Some(at) = memchr::memmem::find(rest, python) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        let after = &rest[at + python.len()..];
        // A full stop may end a sentence: a version goes on after it.
        let mut end = version_end(after);
        while end > 0 && after[end - 1] == b'.' {
            end -= 1;
        }
        rest = &after[end..];
        count += 1;
    }
    out.extend_from_slice(rest);
    (out, count)
}

/// Replaces one path by another wherever it is written.
pub(super) fn replace(bytes: &[u8], moved: &Move) -> Vec<u8> {
    let (from, to) = (moved.from.as_os_str().as_bytes(), moved.to.as_os_str().as_bytes());
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(fixed: bool) -> BuildSite {
        BuildSite::new("/tmp/venvoy-build-0", fixed, "/usr/bin/python3.12")
    }

    fn clean(text: &str) -> (String, bool, bool) {
        let cleaned = origin(true).clean("demo/tool", text.into());
        (String::from_utf8(cleaned.bytes).expect("text"), cleaned.script, cleaned.warning.is_some())
    }

    #[test]
    fn a_first_line_becomes_what_an_installer_knows() {
        let script = "#!/tmp/venvoy-build-0/venv/env/bin/python3.12 -E\nprint()\n";
        assert_eq!(clean(script), ("#!python -E\nprint()\n".into(), true, false));
        let spaced = "#! /tmp/venvoy-build-0/venv/env/bin/python\n";
        assert_eq!(clean(spaced), ("#!python\n".into(), true, false));
        assert_eq!(clean("#!/usr/bin/python\n"), ("#!/usr/bin/python\n".into(), false, false));
    }

    #[test]
    fn elsewhere_in_a_text_the_interpreter_is_the_one_that_remains() {
        let text = "PYTHON = '/tmp/venvoy-build-0/venv/env/bin/python3.12'\n# /tmp/venvoy-build-0/venv/env/bin/python.\n";
        let expected = "PYTHON = '/usr/bin/python3.12'\n# /usr/bin/python3.12.\n";
        assert_eq!(clean(text), (expected.into(), false, true));
    }

    #[test]
    fn a_path_that_differs_from_build_to_build_is_told() {
        let binary = b"\0/tmp/venvoy-build-0/source/demo.c\0".to_vec();
        assert_eq!(origin(true).clean("demo.so", binary.clone()).warning, None);
        let cleaned = origin(false).clean("demo.so", binary.clone());
        assert_eq!(cleaned.bytes, binary);
        assert!(cleaned.warning.expect("a warning").contains("demo.so holds the path of its build"));
    }
}
