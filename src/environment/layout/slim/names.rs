//! What a path alone tells.

/// Directories that hold tests, if there are test modules in them.
pub(super) const TEST_DIRS: [&str; 2] = ["tests", "test"];

/// `x.so`, `x.cpython-311-x86_64-linux-gnu.so`, `libx.so.1.2`.
pub(crate) fn is_shared_object(path: &str) -> bool {
    let name = file_name(path);
    if name.strip_suffix(".so").is_some() {
        return true;
    }
    name.rsplit_once(".so.")
        .is_some_and(|(_, version)| version.bytes().all(|c| c.is_ascii_digit() || c == b'.'))
}

pub(super) fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The name without its last extension, and that extension in lower case.
pub(super) fn split_extension(name: &str) -> (&str, String) {
    name.rsplit_once('.').map_or((name, String::new()), |(stem, end)| (stem, end.to_ascii_lowercase()))
}

/// What test runners collect: `test_x.py`, `x_test.py`.
pub(super) fn is_test_module(name: &str) -> bool {
    name.strip_suffix(".py").is_some_and(|stem| stem.starts_with("test_") || stem.ends_with("_test"))
}

/// A licence, or a file that gives credit as a licence asks for. Such files are never dropped.
pub(super) fn is_licence(path: &str) -> bool {
    let name = file_name(path).to_ascii_lowercase();
    let (_, extension) = split_extension(&name);
    if matches!(extension.as_str(), "py" | "pyc" | "pyi" | "pyx" | "pxd" | "h" | "so") {
        return false;
    }
    ["copying", "copyright", "notice", "authors", "patents", "legal"]
        .iter()
        .any(|word| name.starts_with(word))
        || ["license", "licence"].iter().any(|word| name.contains(word))
        || path
            .split('/')
            .rev()
            .skip(1)
            .any(|dir| dir.eq_ignore_ascii_case("licenses") || dir.eq_ignore_ascii_case("licences"))
}

/// `README.md`, `CHANGES`, `HISTORY.rst` and the like.
pub(super) fn is_readme(name: &str) -> bool {
    let (stem, extension) = split_extension(name);
    matches!(extension.as_str(), "" | "md" | "rst" | "txt")
        && ["readme", "changes", "changelog", "history", "news"]
            .iter()
            .any(|word| stem.eq_ignore_ascii_case(word))
}

/// Documentation that lies outside of packages, `path` being relative to the environment.
pub(super) fn is_shared_doc(path: &str) -> bool {
    ["share/man/", "share/doc/", "share/info/", "man/man"].iter().any(|dir| path.starts_with(dir))
}

/// A file for compilers.
pub(crate) fn is_header(path: &str) -> bool {
    let (_, extension) = split_extension(file_name(path));
    path.starts_with("include/")
        || matches!(extension.as_str(), "h" | "hh" | "hpp" | "hxx" | "pxd" | "pxi" | "a")
}

/// Documentation, by its place or its name.
pub(crate) fn is_doc(path: &str, in_packages: bool) -> bool {
    if in_packages { is_readme(file_name(path)) } else { is_shared_doc(path) }
}
