//! The interpreter as files of an environment (`--copies`), as `python -m venv --copies` has it.

use std::path::{Component, Path, PathBuf};

use memchr::memmem;

use crate::{
    environment::layout::GivenFile,
    project::python::{Target, isolated_command},
    words::{
        error::{Error, Kind, Result},
        vocab::RelPath,
    },
};

/// Prints the library that the interpreter is, where it is one.
const LIBRARY: &str = "
import os, sys
try:
    with open('/proc/self/maps', 'rb') as maps:
        paths = {line[line.index(b'/'):].rstrip(b'\\n') for line in maps if b'/' in line}
except OSError:
    paths = set()
found = sorted(path for path in paths if os.path.basename(path).startswith(b'libpython%d' % sys.version_info[0]))
sys.stdout.buffer.write(b''.join(found[:1]))
";

/// `bin/python` as a file, and the library it looks for relative to itself (`$ORIGIN` in its search path),
/// if it does. The standard library stays where it is: `home` in `pyvenv.cfg` says where.
///
/// # Errors
/// [`Kind::Target`] where that cannot be done.
pub(crate) fn interpreter(target: &Target) -> Result<Vec<GivenFile>> {
    if target.implementation != "cpython" {
        return Err(Error::new(
            Kind::Target,
            format!("--copies: {} cannot be copied; expected CPython", target.describe_shortly()),
        )
        .help("leave --copies out: the environment gets a link to the interpreter"));
    }
    let unreadable = |path: &Path, error| Error::io("cannot copy", path, error).with_kind(Kind::Target);
    let read = |path: &Path| std::fs::read(path).map_err(|error| unreadable(path, error));
    let executable = &target.executable;
    let real = executable.canonicalize().map_err(|error| unreadable(executable, error))?;
    let bytes = read(&real)?;
    let relative = [&b"$ORIGIN"[..], b"${ORIGIN}"].iter().any(|word| memmem::find(&bytes, word).is_some());
    let mut files = vec![file("bin/python".parse()?, bytes)];
    if relative && let Some(library) = library(executable)? {
        let place = beside(&real, &library).ok_or_else(|| {
            Error::new(
                Kind::Target,
                format!(
                    "--copies: {} looks for {} relative to itself, which an environment has no place for",
                    real.display(),
                    library.display()
                ),
            )
            .help("leave --copies out: the environment gets a link to the interpreter")
        })?;
        files.push(file(place, read(&library)?));
    }
    Ok(files)
}

fn file(path: RelPath, bytes: Vec<u8>) -> GivenFile {
    GivenFile { path, bytes: bytes.into(), executable: true }
}

/// The shared library that the interpreter has loaded as itself.
fn library(python: &Path) -> Result<Option<PathBuf>> {
    use std::os::unix::ffi::OsStringExt as _;
    let cannot = |why| {
        Error::new(Kind::Target, format!("cannot ask {} for its library", python.display())).because(why)
    };
    let output = isolated_command(python)
        .args(["-I", "-S", "-c", LIBRARY])
        .output()
        .map_err(|error| cannot(error.into()))?;
    if !output.status.success() {
        return Err(cannot(Box::<dyn std::error::Error + Send + Sync>::from(format!(
            "it ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        ))));
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(output.stdout));
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

/// Where a library must be in an environment to be to `bin/python` what it is to the interpreter.
fn beside(executable: &Path, library: &Path) -> Option<RelPath> {
    let from: Vec<Component<'_>> = executable.parent()?.components().collect();
    let to: Vec<Component<'_>> = library.components().collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    // `bin` is one level deep: further up is outside.
    let inside: PathBuf = match from.len() - common {
        0 => Path::new("bin").join(to[common..].iter().collect::<PathBuf>()),
        1 => to[common..].iter().collect(),
        _ => return None,
    };
    inside.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_keeps_its_place_relative_to_the_interpreter() {
        for (executable, library, place) in [
            (
                "/usr/local/bin/python3.12",
                "/usr/local/lib/libpython3.12.so.1.0",
                Some("lib/libpython3.12.so.1.0"),
            ),
            ("/opt/py/python3.12", "/opt/py/libpython3.12.so.1.0", Some("bin/libpython3.12.so.1.0")),
            ("/opt/py/bin/python3.12", "/opt/py/bin/lib/x.so", Some("bin/lib/x.so")),
            ("/opt/py/bin/python3.12", "/opt/lib/libpython3.12.so.1.0", None),
        ] {
            let found = beside(Path::new(executable), Path::new(library));
            assert_eq!(found.as_ref().map(RelPath::as_str), place, "{executable} {library}");
        }
    }
}
