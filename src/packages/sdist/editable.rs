//! Editable wheels (PEP 660): what their `.pth` files say, and how that survives a move.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::Read as _,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Component, Path, PathBuf},
};

use crate::words::{
    error::{Error, Kind, Result},
    vocab::RelPath,
};

/// What an editable wheel leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EditableInfo {
    /// The source directories its `.pth` files name; absolute.
    pub paths: Vec<PathBuf>,
    /// Its `.pth` files, all at the top of the wheel.
    pub pth_files: Vec<RelPath>,
    /// Whether its `.pth` files hold paths, and its hooks texts that are paths, so that [`relativise`] and
    /// [`relativise_hook`] make it movable.
    pub relocatable: bool,
    /// Files at the top of the wheel with import hooks that know absolute paths.
    pub hook_files: Vec<RelPath>,
}

impl EditableInfo {
    /// Reads the `.pth` files of an editable wheel.
    pub fn of(wheel: &Path) -> Result<Self> {
        let broken = |e: zip::result::ZipError| {
            Error::new(Kind::Integrity, format!("cannot read {}", wheel.display())).because(e)
        };
        let file = File::open(wheel).map_err(|e| Error::io("cannot read", wheel, e))?;
        let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
        let names: Vec<String> = archive.file_names().filter_map(|name| name.ok().map(Into::into)).collect();
        let mut info = EditableInfo { relocatable: true, ..EditableInfo::default() };
        let mut hooks = BTreeSet::new();
        for name in names.iter().filter(|name| !name.contains('/') && has_extension(name, "pth")) {
            let mut bytes = Vec::new();
            archive.by_name(name).map_err(broken)?.read_to_end(&mut bytes).map_err(|e| broken(e.into()))?;
            for line in lines(&bytes) {
                match meaning(line) {
                    Line::Path(path) => info.paths.push(path.to_path_buf()),
                    Line::Import(code) => {
                        // The module an import line names first holds the hook.
                        let code = String::from_utf8_lossy(code);
                        let module = code
                            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                            .find(|word| !word.is_empty());
                        let file = module.map(|module| format!("{module}.py"));
                        match file.filter(|file| names.contains(file)) {
                            Some(file) => drop(hooks.insert(file)),
                            // Code of its own: who knows what it does.
                            None => info.relocatable = false,
                        }
                    }
                    Line::Nothing => {}
                }
            }
            info.pth_files.push(name.parse()?);
        }
        for name in &hooks {
            let mut bytes = Vec::new();
            archive.by_name(name).map_err(broken)?.read_to_end(&mut bytes).map_err(|e| broken(e.into()))?;
            info.paths.extend(literals(&bytes).map(|literal| literal.path.to_path_buf()));
            info.hook_files.push(name.parse()?);
        }
        info.paths.sort();
        info.paths.dedup();
        Ok(info)
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension() == Some(OsStr::new(extension))
}

enum Line<'a> {
    Path(&'a Path),
    Import(&'a [u8]),
    Nothing,
}

fn lines(pth: &[u8]) -> impl Iterator<Item = &[u8]> {
    pth.split(|byte| *byte == b'\n')
}

/// A line as `site` reads it: a comment, code when it begins with `import` and a blank, else a path.
fn meaning(line: &[u8]) -> Line<'_> {
    let line = line.trim_ascii_end();
    if line.is_empty() || line.starts_with(b"#") {
        return Line::Nothing;
    }
    for keyword in [&b"import "[..], b"import\t"] {
        if let Some(code) = line.strip_prefix(keyword) {
            return Line::Import(code);
        }
    }
    Line::Path(Path::new(OsStr::from_bytes(line)))
}

/// The same `.pth` with every absolute path below `anchor` written relative to `site_packages`, the
/// directory the file will lie in (both absolute). `site` joins lines to that directory, so the file
/// means the same, also after `anchor` was moved with everything in it. Other lines stay as they are.
pub fn relativise(pth: &[u8], site_packages: &Path, anchor: &Path) -> Vec<u8> {
    let rewritten: Vec<Vec<u8>> = lines(pth)
        .map(|line| match meaning(line) {
            Line::Path(path)
                if path.is_absolute() && path.starts_with(anchor) && site_packages.starts_with(anchor) =>
            {
                relative(path, site_packages).into_os_string().into_vec()
            }
            _ => line.to_vec(),
        })
        .collect();
    rewritten.join(&b'\n')
}

/// A text in Python source that is an absolute path.
struct Literal<'a> {
    /// Where it stands, quotes included.
    range: std::ops::Range<usize>,
    path: &'a Path,
}

/// The texts of Python source that are absolute paths, as code generators write them: in one pair of quotes, without
/// backslashes.
fn literals(source: &[u8]) -> impl Iterator<Item = Literal<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < source.len() {
            let quote = source[at];
            if !matches!(quote, b'\'' | b'"') {
                at += 1;
                continue;
            }
            let start = at;
            let end = source[start + 1..].iter().position(|&byte| byte == quote || byte == b'\n')?;
            let inner = &source[start + 1..start + 1 + end];
            at = start + end + 2;
            let closed = source.get(at - 1) == Some(&quote);
            if closed && inner.starts_with(b"/") && inner.len() > 1 && !inner.contains(&b'\\') {
                return Some(Literal { range: start..at, path: Path::new(OsStr::from_bytes(inner)) });
            }
        }
        None
    })
}

/// The same module of import hooks with every absolute path below `anchor` written as an expression that finds it
/// relative to the module's own file, which will lie in `site_packages`.
pub fn relativise_hook(source: &[u8], site_packages: &Path, anchor: &Path) -> Vec<u8> {
    let mut out = Vec::with_capacity(source.len());
    let mut done = 0;
    for Literal { range, path } in literals(source) {
        if !path.starts_with(anchor) || !site_packages.starts_with(anchor) {
            continue;
        }
        out.extend_from_slice(&source[done..range.start]);
        let quote = char::from(source[range.start]);
        out.extend_from_slice(format!("__import__(\"os\").path.normpath(__file__ + {quote}/../").as_bytes());
        out.extend_from_slice(relative(path, site_packages).as_os_str().as_bytes());
        out.extend_from_slice(format!("{quote})").as_bytes());
        done = range.end;
    }
    out.extend_from_slice(&source[done..]);
    out
}

/// The way from `from` to `to`, both absolute and without `..`.
fn relative(to: &Path, from: &Path) -> PathBuf {
    let shared = to.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let up =
        from.components().skip(shared).filter(|c| matches!(c, Component::Normal(_))).map(|_| Path::new(".."));
    let down = to.components().skip(shared).map(|c| Path::new(c.as_os_str()));
    let way: PathBuf = up.chain(down).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(pth: &str) -> String {
        let site = Path::new("/app/.venv/lib/python3.11/site-packages");
        String::from_utf8(relativise(pth.as_bytes(), site, Path::new("/app"))).expect("text")
    }

    #[test]
    fn paths_beside_the_environment_become_relative() {
        assert_eq!(rewritten("/app/src\n"), "../../../../src\n");
        assert_eq!(rewritten("/app"), "../../../..");
        assert_eq!(rewritten("/app/.venv/src/demo/\r\n"), "../../../src/demo\n");
    }

    #[test]
    fn paths_in_a_hook_are_found_from_its_own_file() {
        let site = Path::new("/app/.venv/lib/python3.11/site-packages");
        let rewritten = |text: &str| {
            String::from_utf8(relativise_hook(text.as_bytes(), site, Path::new("/app"))).expect("text")
        };
        assert_eq!(
            rewritten("MAPPING: dict[str, str] = {'demo': '/app/src/demo', \"b\": \"/app\"}\n"),
            "MAPPING: dict[str, str] = {'demo': __import__(\"os\").path.normpath(__file__ + \
             '/../../../../../src/demo'), \"b\": __import__(\"os\").path.normpath(__file__ + \"/../../../../..\")}\n"
        );
        for other in ["X = '/elsewhere/demo'\n", "# it's /app\n", "'/app\\n'", "'/app\n", "'unfinished /app"]
        {
            assert_eq!(rewritten(other), other);
        }
    }

    #[test]
    fn what_does_not_move_along_stays() {
        for pth in [
            "/application/src\n",
            "/elsewhere\n",
            "import demo_hook\n",
            "# /app/src\n",
            "\n",
            "already/relative\n",
        ] {
            assert_eq!(rewritten(pth), pth);
        }
    }
}
