//! Where the dynamic loader looks for libraries (ld.so(8); for musl, ldso/dynlink.c).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::Linked;

/// Directories that every loader knows, beside those of the platform.
const ALWAYS: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// Files of configuration name others; no deeper than this.
const DEEP: u8 = 8;

/// Where the dynamic loader looks for shared libraries (`ld.so(8)`), without running it.
pub(super) struct Loader {
    /// Directories that it knows by itself, also in an image that has nothing else.
    known: Vec<PathBuf>,
    /// Directories that this machine's configuration names.
    configured: Vec<PathBuf>,
    machine: (u16, bool),
}

/// Where a library is.
pub(super) enum Found {
    /// In the environment, at this path.
    Own(PathBuf),
    /// Here, and where the loader will find it in an image.
    At { from: PathBuf, to: PathBuf },
    /// Neither.
    Nowhere,
}

impl Loader {
    /// The loader of a program.
    pub(super) fn of(program: &Linked) -> Self {
        let name = program.interpreter.as_deref().unwrap_or_default();
        let arch = std::env::consts::ARCH;
        let mut known = Vec::new();
        let mut configured = Vec::new();
        if name.contains("musl") {
            let file = format!("/etc/ld-musl-{arch}.path");
            let text = fs::read_to_string(file).unwrap_or_default();
            configured.extend(text.split(['\n', ':']).filter(|dir| !dir.is_empty()).map(PathBuf::from));
            known.extend(["/lib", "/usr/local/lib", "/usr/lib"].map(PathBuf::from));
        } else {
            // Debian's loader has its multiarch directories built in.
            for dir in ["/lib", "/usr/lib"] {
                known.extend(multiarch(dir, arch));
            }
            known.extend(ALWAYS.map(PathBuf::from));
            read_configuration(Path::new("/etc/ld.so.conf"), &mut configured, 0);
        }
        Loader { known, configured, machine: program.machine }
    }

    /// Finds a library that `object`, at `path`, needs; `above` are the RPATHs of what loaded it.
    pub(super) fn find(
        &self,
        name: &str,
        path: &Path,
        object: &Linked,
        above: &[String],
        has: &dyn Fn(&Path) -> bool,
    ) -> Found {
        if name.contains('/') {
            let file = PathBuf::from(name);
            return if self.fits(&file) {
                Found::At { from: file.clone(), to: file }
            } else {
                Found::Nowhere
            };
        }
        let own: Vec<String> = match &object.runpath {
            Some(runpath) => runpath.iter().map(|dir| expand(dir, path)).collect(),
            None => object.rpath.iter().map(|dir| expand(dir, path)).chain(above.iter().cloned()).collect(),
        };
        for dir in own {
            let file = path_clean::clean(Path::new(&dir).join(name));
            if has(&file) {
                return Found::Own(file);
            }
            if self.fits(&file) {
                return Found::At { from: file.clone(), to: file };
            }
        }
        // The cache is made of the configured directories before those known.
        for dir in &self.configured {
            let from = dir.join(name);
            if self.fits(&from) {
                let to = if self.known.contains(dir) { from.clone() } else { self.home().join(name) };
                return Found::At { from, to };
            }
        }
        for dir in &self.known {
            let from = dir.join(name);
            if self.fits(&from) {
                return Found::At { to: from.clone(), from };
            }
        }
        Found::Nowhere
    }

    /// Where a library goes that an image has no configuration for.
    fn home(&self) -> &Path {
        self.known.first().map_or(Path::new("/lib"), PathBuf::as_path)
    }

    fn fits(&self, file: &Path) -> bool {
        use std::io::Read as _;
        // The headers are at the beginning: machine and class are in the first 20 bytes.
        let mut head = [0; 20];
        let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut head));
        let machine = if head[5] == 2 {
            u16::from_be_bytes([head[18], head[19]])
        } else {
            u16::from_le_bytes([head[18], head[19]])
        };
        read.is_ok() && head.starts_with(b"\x7fELF") && (machine, head[4] == 2) == self.machine
    }
}

/// `$ORIGIN` and `${ORIGIN}` are the directory of the file that says so.
pub(super) fn expand(dir: &str, path: &Path) -> String {
    let origin = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
    dir.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)
}

/// The directories of `dir` that are named after the architecture (`x86_64-linux-gnu`).
fn multiarch(dir: &str, arch: &str) -> Vec<PathBuf> {
    let names = [format!("{arch}-linux-gnu"), format!("{arch}-linux-gnueabihf"), "i386-linux-gnu".to_owned()];
    let there = names.iter().filter(|name| name.starts_with(arch) || arch == "x86");
    there.map(|name| Path::new(dir).join(name)).filter(|dir| dir.is_dir()).collect()
}

/// The directories of an `ld.so.conf` and of those that it includes.
fn read_configuration(file: &Path, dirs: &mut Vec<PathBuf>, depth: u8) {
    let Ok(text) = fs::read_to_string(file) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include ").filter(|_| depth < DEEP) {
            for included in glob(&file.parent().unwrap_or(Path::new("/")).join(pattern.trim())) {
                read_configuration(&included, dirs, depth + 1);
            }
        } else if line.starts_with('/') {
            dirs.push(PathBuf::from(line));
        }
    }
}

/// The files of a directory whose names begin and end as a pattern with one `*` in its last part says.
fn glob(pattern: &Path) -> BTreeSet<PathBuf> {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((begin, end)) = name.split_once('*') else { return BTreeSet::from([pattern.to_owned()]) };
    let entries = pattern.parent().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    let fits = |path: &PathBuf| {
        path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
        })
    };
    entries.map(|entry| entry.path()).filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_includes_what_a_pattern_finds() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        write("ld.so.conf", "# first\ninclude more.d/*.conf\n/opt/lib # why\nrelative\n");
        fs::create_dir(dir.path().join("more.d")).expect("made");
        write("more.d/b.conf", "/b\n");
        write("more.d/a.conf", "/a\n");
        write("more.d/c.off", "/c\n");
        let mut dirs = Vec::new();
        read_configuration(&dir.path().join("ld.so.conf"), &mut dirs, 0);
        assert_eq!(dirs, ["/a", "/b", "/opt/lib"].map(PathBuf::from));
    }

    #[test]
    fn origin_is_where_the_object_is() {
        let path = Path::new("/.venv/lib/numpy/core/x.so");
        assert_eq!(expand("$ORIGIN/../../numpy.libs", path), "/.venv/lib/numpy/core/../../numpy.libs");
        assert_eq!(expand("${ORIGIN}", path), "/.venv/lib/numpy/core");
    }
}
