//! What a source file mentions of what `--slim` would drop: by words around words, not by parsing. To see a
//! mention where there is none (an import in a docstring) only keeps a file that could have gone.

use std::collections::BTreeSet;

use memchr::memmem;

use super::names::{TEST_DIRS, is_readme};

/// What a source file mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mentions {
    /// Test packages, as paths below site-packages (`a/b/tests`).
    pub(super) tests: BTreeSet<String>,
    /// Ends of paths to test directories (`votable/tests` for `"../votable/tests/data/x.xml"`).
    pub(super) test_paths: BTreeSet<String>,
    /// Names of README files and the like.
    pub(super) readmes: BTreeSet<String>,
    /// Whether it reads its own stub to know what to import (`lazy_loader.attach_stub`).
    pub(super) reads_stub: bool,
}

impl Mentions {
    /// What `text` mentions, the source file at `path` below site-packages.
    pub(crate) fn of(path: &str, text: &[u8]) -> Self {
        let mut found =
            Mentions { reads_stub: memmem::find(text, b"attach_stub").is_some(), ..Mentions::default() };
        for at in memmem::find_iter(text, b"test") {
            found.tests_at(path, text, at);
        }
        // Each of the words that `is_readme` knows, as they are written.
        for word in [&b"README"[..], b"readme", b"Readme", b"CHANGE", b"HISTORY", b"NEWS"] {
            for at in memmem::find_iter(text, word) {
                let (_, name) = run(text, at, |c| is_word(c) || c == b'.' || c == b'-');
                let name = name.trim_end_matches('.');
                if is_readme(name) {
                    found.readmes.insert(name.to_owned());
                }
            }
        }
        found
    }

    /// An occurrence of `test`, if it is the name of a directory or package that is imported, or part of a
    /// string that is nothing but a dotted name or a path.
    fn tests_at(&mut self, path: &str, text: &[u8], at: usize) {
        let (_, word) = run(text, at, is_word);
        if !TEST_DIRS.contains(&word) {
            return;
        }
        let (start, dotted) = run(text, at, |c| is_word(c) || c == b'.');
        let (literal_start, literal) = run(text, at, |c| is_word(c) || matches!(c, b'.' | b'/' | b'-'));
        let is_entry_point = path.ends_with("/entry_points.txt");
        if is_quoted(text, literal_start, literal.len()) && literal.contains('/') {
            self.path(path, literal);
        } else if is_entry_point || is_quoted(text, start, dotted.len()) || is_imported(text, start) {
            self.dotted(path, dotted);
        } else if let Some(module) = imported_from(text, at) {
            let dot = if module.ends_with('.') { "" } else { "." };
            self.dotted(path, &format!("{module}{dot}{word}"));
        }
    }

    /// A path in a string, as far as the test directory in it.
    fn path(&mut self, path: &str, literal: &str) {
        let parts: Vec<&str> = literal.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
        match parts.iter().position(|part| TEST_DIRS.contains(part)) {
            // Looked for beside the code.
            Some(0) => {
                let up = literal.split('/').filter(|part| *part == "..").count();
                self.dotted(path, &format!("{}{}", ".".repeat(up + 1), parts[0]));
            }
            Some(end) => drop(self.test_paths.insert(parts[end - 1..=end].join("/"))),
            None => {}
        }
    }

    /// A dotted name, seen from the module at `path` where it begins with dots.
    fn dotted(&mut self, path: &str, dotted: &str) {
        if dotted.starts_with('.') { self.relative(path, dotted) } else { self.absolute(dotted) }
    }

    fn absolute(&mut self, dotted: &str) {
        self.add(&dotted.split('.').collect::<Vec<_>>());
    }

    /// `..a.tests`, seen from the module at `path`.
    fn relative(&mut self, path: &str, dotted: &str) {
        let inner = dotted.trim_start_matches('.');
        let level = dotted.len() - inner.len();
        let dirs: Vec<&str> = path.split('/').collect();
        // The file's name is one level, each dot after the first another.
        let Some(package) = dirs.len().checked_sub(level).map(|depth| &dirs[..depth]) else { return };
        self.add(&package.iter().copied().chain(inner.split('.')).collect::<Vec<_>>());
    }

    fn add(&mut self, parts: &[&str]) {
        let is_test = |part: &&str| TEST_DIRS.contains(part);
        if let Some(end) = parts.iter().skip(1).position(is_test) {
            self.tests.insert(parts[..=end + 1].join("/"));
        }
    }
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_'
}

/// The longest run of such bytes around `at`, and where it begins; empty where it is not text.
fn run(text: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> (usize, &str) {
    let start = text[..at].iter().rposition(|&c| !wanted(c)).map_or(0, |before| before + 1);
    let end = text[at..].iter().position(|&c| !wanted(c)).map_or(text.len(), |after| at + after);
    (start, std::str::from_utf8(&text[start..end]).unwrap_or_default())
}

/// Whether a run is all of a string.
fn is_quoted(text: &[u8], start: usize, length: usize) -> bool {
    let before = start.checked_sub(1).and_then(|before| text.get(before));
    let after = text.get(start + length);
    before == after && matches!(before, Some(b'"' | b'\''))
}

/// The line up to `at`.
fn line_before(text: &[u8], at: usize) -> &str {
    let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |before| before + 1);
    std::str::from_utf8(&text[start..at]).unwrap_or_default()
}

/// Whether a statement may begin after this part of a line.
fn begins_statement(before: &str) -> bool {
    let before = before.trim();
    before.is_empty() || before.ends_with([':', ';'])
}

/// Whether the dotted name at `start` is in a place where one is imported: `import a, NAME`, `from NAME`.
fn is_imported(text: &[u8], start: usize) -> bool {
    let line = line_before(text, start);
    if let Some(before) = line.trim_end().strip_suffix("from") {
        return begins_statement(before);
    }
    line.rsplit_once("import ").is_some_and(|(before, names)| {
        begins_statement(before) && names.bytes().all(|c| is_word(c) || matches!(c, b'.' | b',' | b' '))
    })
}

/// The module of the `from MODULE import ...` whose names include the word at `at`.
fn imported_from(text: &[u8], at: usize) -> Option<&str> {
    // Names in parentheses may be on lines of their own.
    let open = memchr::memrchr(b'(', &text[..at]).filter(|&open| !text[open..at].contains(&b')'));
    let line = line_before(text, open.unwrap_or(at));
    let (before, names) = line.rsplit_once(" import")?;
    if !names.bytes().all(|c| is_word(c) || matches!(c, b',' | b' ')) {
        return None;
    }
    let (before, module) = before.trim_end().rsplit_once([' ', '\t'])?;
    before.trim_end().strip_suffix("from").filter(|before| begins_statement(before)).map(|_| module)
}
