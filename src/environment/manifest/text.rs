//! The manifest: what an environment holds, and which plan it was made from.
//!
//! One text file, `venvoy.manifest`, at the top of the environment. Lines end in LF:
//!
//! ```text
//! venvoy manifest 2
//! key 64-hex-digits          the plan's name
//! common 64-hex-digits       what all files depend on: interpreter, options
//! mtime 315532800            of every directory, file and link
//! slim tests,strip           what was left out; no such line where nothing was
//! made --slim=tests,strip    the options that decide bytes, as words of a shell; no such line where there are none
//! for linux/arm64 3.11       what was described as its target; no such line where an interpreter was asked
//! p 64-hex-digits DIST-INFO  a distribution: what decides its files, and where its record is
//! s PATH                     a file that more than one distribution lists
//! d .                        a directory; what follows lies in it
//! f 123 RECORD-digest NAME   a file of mode 0644: size, SHA-256, name
//! x 123 RECORD-digest NAME   the same with mode 0755
//! l NAME<TAB>TARGET          a symbolic link
//! d lib
//! ```
//!
//! Directories are sorted and so are the names in each. Backslash, LF, CR and TAB in names are written
//! `\\`, `\n`, `\r`, `\t`. Nothing in it depends on where or when the environment was made.

use std::{borrow::Cow, collections::HashMap, io::Read as _, path::Path};

use rayon::prelude::*;

pub(crate) use crate::environment::layout::{JOURNAL, MANIFEST};
use crate::{
    environment::layout::{Plan, PlanKey, Written},
    words::{files::open_regular, vocab::Sha256},
};

const HEAD: &str = "venvoy manifest 2\n";

/// The manifest of `plan` once its files (in the plan's order) came out as `written`.
pub(crate) fn render(plan: &Plan, written: &[Written]) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut dirs: Vec<(&str, Vec<NewItem<'_>>)> = std::iter::once(".")
        .chain(plan.dirs.iter().map(crate::words::vocab::RelPath::as_str))
        .map(|dir| (dir, Vec::new()))
        .collect();
    dirs.sort_unstable_by_key(|(dir, _)| *dir);
    let positions: HashMap<&str, usize> = dirs.iter().enumerate().map(|(i, (dir, _))| (*dir, i)).collect();
    let mut last = 0;
    let mut add = |path, content| {
        let (dir, name) = split(path);
        // A plan names every directory of its files, and most files lie where the one before does.
        if dirs[last].0 != dir {
            let Some(&position) = positions.get(dir) else { return };
            last = position;
        }
        dirs[last].1.push(NewItem { name, content });
    };
    for (file, written) in plan.files.iter().zip(written) {
        add(file.path.as_str(), New::File(*written, file.executable));
    }
    for link in &plan.links {
        add(link.path.as_str(), New::Link(&link.target));
    }
    let parts: Vec<String> = dirs
        .par_chunks_mut(64)
        .map(|dirs| {
            let mut out = String::new();
            for (dir, items) in dirs {
                let _ = writeln!(out, "d {}", escape(dir));
                items.sort_by_key(|item| item.name);
                for item in items.iter() {
                    item.render(&mut out);
                }
            }
            out
        })
        .collect();
    let dists = plan.dists.iter().map(|dist| (dist.key, dist.dist_info.as_str()));
    let mut shared: Vec<&str> = plan.shared.iter().map(|&(_, at)| plan.files[at].path.as_str()).collect();
    shared.sort_unstable();
    shared.dedup();
    let mut out = head(&Head::of(plan), dists, &shared);
    out.extend(parts);
    out.into_bytes()
}

/// What a manifest says of all of an environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) key: PlanKey,
    pub(crate) common: Sha256,
    pub(crate) mtime: i64,
    pub(crate) slim: &'a str,
    pub(crate) made: &'a str,
    pub(crate) described: Option<&'a (String, String)>,
}

impl<'a> Head<'a> {
    /// What a manifest says before it names files.
    pub(crate) fn of(plan: &'a Plan) -> Self {
        let Plan { key, common, mtime, slim, made, described, .. } = plan;
        Head { key: *key, common: *common, mtime: *mtime, slim, made, described: described.as_ref() }
    }
}

/// The version and the platform that describe the target of an environment, where no interpreter was asked for it.
pub(crate) fn described(venv: &Path) -> Option<(String, String)> {
    // The line is among the first, whatever the size of the rest.
    let mut head = Vec::new();
    open_regular(&venv.join(MANIFEST)).ok()?.take(64 << 10).read_to_end(&mut head).ok()?;
    let head = String::from_utf8_lossy(&head);
    let mut lines = head
        .strip_prefix(HEAD)?
        .lines()
        .take_while(|line| !line.starts_with("p ") && !line.starts_with("d "));
    let (platform, version) = lines.find_map(|line| line.strip_prefix("for "))?.split_once(' ')?;
    Some((unescape(version)?.into_owned(), unescape(platform)?.into_owned()))
}

/// Everything before the first directory.
pub(crate) fn head<'a>(
    of: &Head<'_>,
    dists: impl Iterator<Item = (Sha256, &'a str)>,
    shared: &[&str],
) -> String {
    use std::fmt::Write as _;
    let Head { key, common, mtime, slim, made, described } = of;
    let mut out = format!("{HEAD}key {key}\ncommon {common}\nmtime {mtime}\n");
    if !slim.is_empty() {
        let _ = writeln!(out, "slim {}", escape(slim));
    }
    if !made.is_empty() {
        let _ = writeln!(out, "made {}", escape(made));
    }
    if let Some((version, platform)) = described {
        let _ = writeln!(out, "for {} {}", escape(platform), escape(version));
    }
    for (key, dist_info) in dists {
        let _ = writeln!(out, "p {key} {}", escape(dist_info));
    }
    for path in shared {
        let _ = writeln!(out, "s {}", escape(path));
    }
    out
}

/// A line to be written.
pub(crate) struct NewItem<'p> {
    pub(crate) name: &'p str,
    pub(crate) content: New<'p>,
}

/// What a manifest that is being written says of a path.
pub(crate) enum New<'p> {
    /// Whether it is executable comes second.
    File(Written, bool),
    Link(&'p str),
    /// As another manifest has it.
    Known(&'p Content<'p>),
}

impl NewItem<'_> {
    pub(crate) fn render(&self, out: &mut String) {
        use std::fmt::Write as _;
        let name = escape(self.name);
        let _ = match &self.content {
            New::File(Written { sha256, size }, executable) => {
                let kind = if *executable { 'x' } else { 'f' };
                writeln!(out, "{kind} {size} {} {name}", sha256.to_record())
            }
            New::Link(target) => writeln!(out, "l {name}\t{}", escape(target)),
            New::Known(Content::File { size, digest, executable }) => {
                let kind = if *executable { 'x' } else { 'f' };
                writeln!(out, "{kind} {size} {digest} {name}")
            }
            New::Known(Content::Link(target)) => writeln!(out, "l {name}\t{}", escape(target)),
        };
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}

/// A manifest's text, its head and directories found; items are parsed on demand.
pub(crate) struct Manifest<'t> {
    pub(crate) key: &'t str,
    pub(crate) common: &'t str,
    pub(crate) mtime: i64,
    pub(crate) slim: Option<Cow<'t, str>>,
    pub(crate) made: Option<Cow<'t, str>>,
    /// Each distribution's key and dist-info directory, in the order they were laid out.
    pub(crate) dists: Vec<(&'t str, Cow<'t, str>)>,
    /// Files that more than one distribution lists.
    pub(crate) shared: Vec<Cow<'t, str>>,
    pub(crate) dirs: Vec<Dir<'t>>,
}

/// A directory and the lines of what lies in it (directories not among them).
pub(crate) struct Dir<'t> {
    /// `.` for the top.
    pub(crate) path: Cow<'t, str>,
    pub(crate) lines: &'t str,
}

/// A file or link in a directory.
pub(crate) struct Item<'t> {
    pub(crate) name: Cow<'t, str>,
    pub(crate) content: Content<'t>,
}

/// What an item is.
pub(crate) enum Content<'t> {
    /// A file; the digest is in RECORD's form.
    File { size: u64, digest: Cow<'t, str>, executable: bool },
    /// A link with this target.
    Link(Cow<'t, str>),
}

impl<'t> Manifest<'t> {
    /// Reads a manifest; `None` if it is not one of this version, or its directories are not in order.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let rest = text.strip_prefix(HEAD)?;
        let (key, rest) = rest.strip_prefix("key ")?.split_once('\n')?;
        let (common, rest) = rest.strip_prefix("common ")?.split_once('\n')?;
        let (mtime, rest) = rest.strip_prefix("mtime ")?.split_once('\n')?;
        let (slim, rest) = match rest.strip_prefix("slim ") {
            Some(rest) => rest.split_once('\n').map(|(slim, rest)| (unescape(slim), rest))?,
            None => (None, rest),
        };
        let (made, rest) = match rest.strip_prefix("made ") {
            Some(rest) => rest.split_once('\n').map(|(made, rest)| (unescape(made), rest))?,
            None => (None, rest),
        };
        let rest = match rest.strip_prefix("for ") {
            Some(rest) => rest.split_once('\n')?.1,
            None => rest,
        };
        let (mut dists, mut shared) = (Vec::new(), Vec::new());
        let mut rest = rest;
        while let Some(line) = rest.strip_prefix("p ") {
            let (line, after) = line.split_once('\n')?;
            let (key, dist_info) = line.split_once(' ')?;
            dists.push((key, unescape(dist_info)?));
            rest = after;
        }
        while let Some(line) = rest.strip_prefix("s ") {
            let (path, after) = line.split_once('\n')?;
            shared.push(unescape(path)?);
            rest = after;
        }
        if !rest.starts_with("d ") || !rest.ends_with('\n') {
            return None;
        }
        let starts = std::iter::once(0)
            .chain(memchr::memmem::find_iter(rest.as_bytes(), b"\nd ").map(|at| at + 1))
            .collect::<Vec<_>>();
        let mut dirs = Vec::with_capacity(starts.len());
        for (i, &start) in starts.iter().enumerate() {
            let end = starts.get(i + 1).copied().unwrap_or(rest.len());
            let (path, lines) = rest[start + 2..end].split_once('\n')?;
            let dir = Dir { path: unescape(path)?, lines };
            // As they were written; whoever looks one up relies on it.
            if dirs.last().is_some_and(|last: &Dir<'_>| last.path >= dir.path) {
                return None;
            }
            dirs.push(dir);
        }
        Some(Manifest { key, common, mtime: mtime.parse().ok()?, slim, made, dists, shared, dirs })
    }

    /// So many bytes at its beginning are enough for [`Manifest::is_of`].
    pub(crate) const NAMED_WITHIN: usize = HEAD.len() + "key ".len() + 64 + 1;

    /// Whether a manifest that begins like this is that of the plan named `key`.
    pub(crate) fn is_of(beginning: &[u8], key: &PlanKey) -> bool {
        beginning.starts_with(format!("{HEAD}key {key}\n").as_bytes())
    }

    /// The directory at a path.
    pub(crate) fn dir(&self, path: &str) -> Option<&Dir<'t>> {
        self.dirs.binary_search_by(|dir| (*dir.path).cmp(path)).ok().map(|at| &self.dirs[at])
    }
}

impl<'t> Dir<'t> {
    /// The items in order; `None` for a damaged line.
    pub(crate) fn items(&self) -> impl Iterator<Item = Option<Item<'t>>> + use<'t> {
        self.lines.lines().map(|line| {
            let (kind, rest) = line.split_once(' ')?;
            match kind {
                "f" | "x" => {
                    let mut fields = rest.splitn(3, ' ');
                    let size = fields.next()?.parse().ok()?;
                    let digest = Cow::Borrowed(fields.next()?);
                    let name = unescape(fields.next()?)?;
                    Some(Item { name, content: Content::File { size, digest, executable: kind == "x" } })
                }
                "l" => {
                    let (name, target) = rest.split_once('\t')?;
                    Some(Item { name: unescape(name)?, content: Content::Link(unescape(target)?) })
                }
                _ => None,
            }
        })
    }
}

/// A text in one field of a line: tabs and ends of lines are written as `\t`, `\n` and `\r`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '\r', '\t']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t"))
}

/// The text that [`escape`] wrote; nothing where it writes no such thing.
pub(crate) fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '\\' => '\\',
                _ => return None,
            },
            c => c,
        });
    }
    Some(Cow::Owned(out))
}
