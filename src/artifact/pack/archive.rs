//! A tar of pieces: plain, or as one gzip member that copies their streams.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use sha2::Digest as _;

use super::{
    gzip::Member,
    pieces::{Piece, Pieces},
    tar::{self, Common, END, Kind},
};
use crate::{
    environment::layout::{MANIFEST, Plan},
    words::{
        error::{Error, Result},
        interrupt,
        vocab::Sha256,
    },
};

/// An entry of an archive.
#[derive(Clone, Copy)]
pub(crate) enum Item<'p> {
    /// A directory.
    Directory,
    /// A directory that anybody may write to.
    Shared,
    /// A symbolic link to this.
    Link(&'p str),
    /// A file.
    File {
        /// Its bytes.
        piece: &'p Piece,
        /// Whether it is executable.
        executable: bool,
    },
}

/// What an archive holds, in the order in which it stands there: all that is in a directory follows it directly, since
/// GNU tar sets a directory's time once something outside of it comes.
#[derive(Default, Clone)]
pub(crate) struct Items<'p>(BTreeMap<TreePath, Item<'p>>);

/// A path that is sorted by its components.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TreePath(String);

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.split('/').cmp(other.0.split('/'))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<'p> Items<'p> {
    /// Adds an entry and every directory above it, so that strict readers find them.
    pub(crate) fn add(&mut self, path: String, item: Item<'p>) {
        let mut parent = path.as_str();
        while let Some((above, _)) = parent.rsplit_once('/') {
            let above_path = TreePath(above.to_owned());
            if self.0.contains_key(&above_path) {
                break;
            }
            self.0.insert(above_path, Item::Directory);
            parent = above;
        }
        self.0.insert(TreePath(path), item);
    }

    /// Adds all of others; where both have a path, theirs counts.
    pub(crate) fn merge(&mut self, other: Items<'p>) {
        self.0.extend(other.0);
    }

    /// A whole environment at `place` (no slash at either end).
    pub(crate) fn environment(pieces: &'p Pieces<'_>, place: &str) -> Self {
        let mut items = Items::default();
        items.add_own(pieces, place, |_| true);
        for at in 0..pieces.files.len() {
            items.add_file(pieces, place, at);
        }
        items
    }

    /// Adds a file by its position.
    pub(crate) fn add_file(&mut self, pieces: &'p Pieces<'_>, place: &str, at: usize) {
        let file = &pieces.plan.files[at];
        let item = Item::File { piece: &pieces.files[at], executable: file.executable };
        self.add(format!("{place}/{}", file.path), item);
    }

    /// Adds what no distribution brings but the files: links, the manifest, and those directories that `wanted` says.
    pub(crate) fn add_own(&mut self, pieces: &'p Pieces<'_>, place: &str, wanted: impl Fn(&str) -> bool) {
        for dir in pieces.plan.dirs.iter().filter(|dir| wanted(dir.as_str())) {
            self.add(format!("{place}/{dir}"), Item::Directory);
        }
        for link in &pieces.plan.links {
            self.add(format!("{place}/{}", link.path), Item::Link(&link.target));
        }
        self.add(format!("{place}/{MANIFEST}"), Item::File { piece: &pieces.manifest, executable: false });
    }

    /// A digest of all that decides the bytes of a gzip member of these, and its tar's.
    pub(crate) fn key(&self, plan: &Plan, common: Common) -> Sha256 {
        use super::pieces::Body;
        let mut digest = sha2::Sha256::new();
        digest.update(format!("layer {FORMAT} {common:?}\n"));
        for (TreePath(path), item) in &self.0 {
            let text = match item {
                Item::Directory => "d".to_owned(),
                Item::Shared => "s".to_owned(),
                Item::Link(target) => format!("l {} {target}", target.len()),
                Item::File { piece, executable } => {
                    // Streams of wheels are whatever compressed them; those made here follow from their bytes.
                    let from = match piece.body {
                        Body::Entry { dist, entry, .. } => {
                            format!("{} {entry}", plan.dists[dist].wheel.file.sha256())
                        }
                        Body::Empty | Body::Made(_) => String::new(),
                    };
                    format!("f {executable} {} {from}", piece.written.sha256)
                }
            };
            digest.update(format!("{} {path} {text}\n", path.len()));
        }
        Sha256(digest.finalize().into())
    }
}

/// Changes whenever the same items would give other bytes.
pub(crate) const FORMAT: u32 = 1;

/// An archive that cannot be written.
pub(crate) type Failed<'a> = &'a (dyn Fn(io::Error) -> Error + Sync);

/// Writes a plain tar.
pub(crate) fn plain(
    items: &Items<'_>,
    plan: &Plan,
    common: Common,
    out: &mut dyn Write,
    failed: Failed<'_>,
) -> Result<()> {
    let mut header = Vec::with_capacity(4 * tar::BLOCK);
    for (TreePath(path), item) in &items.0 {
        interrupt::check()?;
        header.clear();
        tar::header(path, kind(item), common, &mut header);
        out.write_all(&header).map_err(failed)?;
        if let Item::File { piece, .. } = item {
            piece.inflate(plan, &mut |bytes| out.write_all(bytes).map_err(failed))?;
            out.write_all(&END[..tar::padding(piece.written.size)]).map_err(failed)?;
        }
    }
    out.write_all(&END).map_err(failed)
}

/// Writes a tar as one gzip member. With `diff_id` everything is inflated besides, and the tar's digest is the answer (OCI:
/// DiffID).
pub(crate) fn gzip(
    items: &Items<'_>,
    plan: &Plan,
    common: Common,
    diff_id: bool,
    out: &mut dyn Write,
    failed: Failed<'_>,
) -> Result<Option<Sha256>> {
    let mut member = Member::new(out).map_err(failed)?;
    let mut tar_digest = diff_id.then(sha2::Sha256::new);
    let mut between = Vec::with_capacity(4 * tar::BLOCK);
    for (TreePath(path), item) in &items.0 {
        interrupt::check()?;
        tar::header(path, kind(item), common, &mut between);
        let Item::File { piece, .. } = item else { continue };
        if piece.written.size == 0 {
            continue;
        }
        member.bytes(&between).map_err(failed)?;
        if let Some(digest) = &mut tar_digest {
            digest.update(&between);
            piece.inflate(plan, &mut |bytes| {
                digest.update(bytes);
                Ok(())
            })?;
        }
        piece.stream(plan, |input, end, crc| member.stream(input, end, crc).map_err(failed))?;
        between.clear();
        between.resize(tar::padding(piece.written.size), 0);
    }
    between.extend_from_slice(&END);
    if let Some(digest) = &mut tar_digest {
        digest.update(&between);
    }
    member.bytes(&between).map_err(failed)?;
    member.finish().map_err(failed)?;
    Ok(tar_digest.map(|digest| Sha256(digest.finalize().into())))
}

fn kind<'p>(item: &Item<'p>) -> Kind<'p> {
    match item {
        Item::Directory => Kind::Directory,
        Item::Shared => Kind::Shared,
        Item::Link(target) => Kind::Link(target),
        Item::File { piece, executable } => Kind::File { size: piece.written.size, executable: *executable },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_in_a_directory_follows_it_directly() {
        let mut items = Items::default();
        for path in ["v/blinker-1.8.dist-info/RECORD", "v/blinker/a.py", "v/blinker.py", "v/blinker/sub/b.py"]
        {
            items.add(path.to_owned(), Item::Link("x"));
        }
        let paths: Vec<&str> = items.0.keys().map(|TreePath(path)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "v",
                "v/blinker",
                "v/blinker/a.py",
                "v/blinker/sub",
                "v/blinker/sub/b.py",
                "v/blinker-1.8.dist-info",
                "v/blinker-1.8.dist-info/RECORD",
                "v/blinker.py",
            ]
        );
    }
}
