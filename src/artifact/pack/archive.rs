//! A tar of pieces: plain, or as one gzip member that copies their streams.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    ops::Range,
};

use rayon::prelude::*;
use sha2::Digest as _;

use super::{
    gzip::Member,
    pieces::{Piece, Pieces, Sink, Wheels},
    tar::{self, Common, END, Kind},
};
use crate::{
    environment::layout::MANIFEST,
    packages::wheel::deflate::StreamEnd,
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
        // A slash comes before every other byte, as what is in a directory does.
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
        let (ours, others) = (self.0.as_bytes(), other.0.as_bytes());
        match ours.iter().zip(others).find(|(a, b)| a != b) {
            Some((a, b)) => rank(a).cmp(&rank(b)),
            None => ours.len().cmp(&others.len()),
        }
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

    /// Whether something is at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(&TreePath(path.to_owned()))
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
    pub(crate) fn key(&self, wheels: Wheels<'_>, common: Common) -> Sha256 {
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
                            let wheel = wheels.digest(dist).map(|digest| digest.to_string());
                            format!("{} {entry}", wheel.unwrap_or_default())
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
    wheels: Wheels<'_>,
    common: Common,
    out: &mut (dyn Write + Send),
    failed: Failed<'_>,
) -> Result<()> {
    let mut header = Vec::with_capacity(4 * tar::BLOCK);
    for (TreePath(path), item) in &items.0 {
        interrupt::check()?;
        header.clear();
        tar::header(path, kind(item), common, &mut header);
        out.write_all(&header).map_err(failed)?;
        if let Item::File { piece, .. } = item {
            piece.inflate(wheels, &mut |bytes| out.write_all(bytes).map_err(failed))?;
            out.write_all(&END[..tar::padding(piece.written.size)]).map_err(failed)?;
        }
    }
    out.write_all(&END).map_err(failed)
}

/// How many bytes are read and inflated while those before are written, about: what both take stays in the processor's caches.
const BATCH: usize = 4 << 20;

/// Writes a tar as one gzip member. With `diff_id` everything is inflated besides, and the tar's digest is the answer (OCI:
/// DiffID).
pub(crate) fn gzip(
    items: &Items<'_>,
    wheels: Wheels<'_>,
    common: Common,
    diff_id: bool,
    out: &mut (dyn Write + Send),
    failed: Failed<'_>,
) -> Result<Option<Sha256>> {
    let mut writer = Writer {
        member: Member::new(out).map_err(failed)?,
        tar_digest: diff_id.then(sha2::Sha256::new),
        between: Vec::with_capacity(4 * tar::BLOCK),
        common,
        wheels,
        failed,
    };
    in_batches(items, wheels, diff_id, &mut |batch| writer.batch(batch))?;
    writer.finish()
}

/// Reads all, and inflates it where that is wanted; while one batch is given to `write`, the next is read.
pub(super) fn in_batches(
    items: &Items<'_>,
    wheels: Wheels<'_>,
    inflated: bool,
    write: &mut (dyn FnMut(&Batch<'_, '_>) -> Result<()> + Send),
) -> Result<()> {
    let entries: Vec<(&str, &Item<'_>)> =
        items.0.iter().map(|(TreePath(path), item)| (path.as_str(), item)).collect();
    let mut batches = Batches { rest: &entries, wheels, diff_id: inflated };
    let mut ready = batches.next(Buffers::default())?;
    let mut spare = Buffers::default();
    while let Some(batch) = ready {
        let buffers = std::mem::take(&mut spare);
        let (written, next) = rayon::join(|| write(&batch), || batches.next(buffers));
        written?;
        ready = next?;
        spare = batch.buffers;
    }
    Ok(())
}

/// Where streams, and what they inflate to, are held.
#[derive(Default)]
struct Buffers {
    streams: Vec<u8>,
    inflated: Vec<u8>,
}

/// A piece's bytes in such buffers.
struct Spot {
    stream: Range<usize>,
    end: StreamEnd,
    crc: u32,
    inflated: Range<usize>,
}

/// A piece's bytes, read.
pub(super) struct Streamed<'b> {
    /// Its deflate stream, and what may stand behind that.
    pub stream: &'b [u8],
    /// Where the stream ends.
    pub end: StreamEnd,
    /// The CRC-32 of what it inflates to.
    pub crc: u32,
    /// What it inflates to, where that was wanted.
    pub inflated: &'b [u8],
}

/// Entries that follow each other, read.
pub(super) struct Batch<'i, 'p> {
    /// With what was read of it: nothing of what is no file, is empty, or is too large to be held.
    entries: Vec<(&'i str, &'i Item<'p>, Option<Spot>)>,
    buffers: Buffers,
}

impl<'i, 'p> Batch<'i, 'p> {
    /// Paths and what is there, with its bytes: none of what is no file, is empty, or is too large to be held.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'i str, &'i Item<'p>, Option<Streamed<'_>>)> {
        self.entries.iter().map(|(path, item, spot)| {
            let read = spot.as_ref().map(|spot| Streamed {
                stream: &self.buffers.streams[spot.stream.clone()],
                end: spot.end,
                crc: spot.crc,
                inflated: &self.buffers.inflated[spot.inflated.clone()],
            });
            (*path, *item, read)
        })
    }
}

/// An archive's entries, read in batches.
struct Batches<'i, 'p> {
    rest: &'i [(&'i str, &'i Item<'p>)],
    wheels: Wheels<'i>,
    diff_id: bool,
}

impl<'i, 'p> Batches<'i, 'p> {
    /// The next batch, in these buffers.
    fn next(&mut self, mut buffers: Buffers) -> Result<Option<Batch<'i, 'p>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (mut rooms, mut streams, mut inflated) = (Vec::new(), 0, 0);
        while let Some((_, item)) = self.rest.get(rooms.len())
            && streams + inflated < BATCH
        {
            let room = match item {
                Item::File { piece, .. } => piece.room(self.wheels, self.diff_id)?,
                _ => None,
            };
            let room = room.unwrap_or((0, 0));
            (streams, inflated) = (streams + room.0, inflated + room.1);
            rooms.push(room);
        }
        let (now, rest) = self.rest.split_at(rooms.len());
        self.rest = rest;
        let Buffers { streams: stream_room, inflated: inflated_room } = &mut buffers;
        stream_room.resize(streams.max(stream_room.len()), 0);
        inflated_room.resize(inflated.max(inflated_room.len()), 0);
        let (mut streams, mut inflated) = (&mut stream_room[..], &mut inflated_room[..]);
        let (mut stream_at, mut inflated_at) = (0, 0);
        let mut work = Vec::with_capacity(now.len());
        for (&(path, item), (stream, out)) in now.iter().zip(rooms) {
            let (stream_part, out_part);
            (stream_part, streams) = streams.split_at_mut(stream);
            (out_part, inflated) = inflated.split_at_mut(out);
            work.push((path, item, stream_at, inflated_at, stream_part, out_part));
            (stream_at, inflated_at) = (stream_at + stream, inflated_at + out);
        }
        let read = |(path, item, stream_at, inflated_at, stream, out): Work<'i, 'p, '_>| {
            interrupt::check()?;
            let spot = match item {
                Item::File { piece, .. } if !stream.is_empty() => {
                    let held = piece.hold(self.wheels, stream, out)?;
                    let stream = stream_at + held.stream.start..stream_at + held.stream.end;
                    let inflated = inflated_at..inflated_at + out.len();
                    Some(Spot { stream, end: held.end, crc: held.crc, inflated })
                }
                _ => None,
            };
            Ok((path, item, spot))
        };
        let entries = work.into_par_iter().map(read).collect::<Result<_>>()?;
        Ok(Some(Batch { entries, buffers }))
    }
}

/// An entry that is to be read: where its bytes begin in the buffers, and the room there.
type Work<'i, 'p, 'b> = (&'i str, &'i Item<'p>, usize, usize, &'b mut [u8], &'b mut [u8]);

/// Writes a gzip member.
struct Writer<'w, 'a> {
    member: Member<&'w mut (dyn Write + Send)>,
    tar_digest: Option<sha2::Sha256>,
    /// Headers and padding that no stream is in between.
    between: Vec<u8>,
    common: Common,
    wheels: Wheels<'a>,
    failed: Failed<'a>,
}

impl Writer<'_, '_> {
    fn batch(&mut self, batch: &Batch<'_, '_>) -> Result<()> {
        for (path, item, read) in batch.entries() {
            interrupt::check()?;
            tar::header(path, kind(item), self.common, &mut self.between);
            let Item::File { piece, .. } = item else { continue };
            if piece.written.size == 0 {
                continue;
            }
            self.write_between()?;
            match read {
                Some(Streamed { mut stream, end, crc, inflated }) => {
                    if let Some(digest) = &mut self.tar_digest {
                        digest.update(inflated);
                    }
                    self.member.stream(&mut stream, &end, crc).map_err(self.failed)?;
                }
                None => self.large(piece)?,
            }
            self.between.resize(tar::padding(piece.written.size), 0);
        }
        Ok(())
    }

    fn large(&mut self, piece: &Piece) -> Result<()> {
        let Writer { member, tar_digest, wheels, failed, .. } = self;
        let mut sink;
        let sink: Option<Sink<'_>> = match tar_digest {
            Some(digest) => {
                sink = |bytes: &[u8]| digest.update(bytes);
                Some(&mut sink)
            }
            None => None,
        };
        piece.pass(*wheels, sink, &mut |input, end, crc| member.stream(input, end, crc).map_err(*failed))
    }

    fn write_between(&mut self) -> Result<()> {
        if let Some(digest) = &mut self.tar_digest {
            digest.update(&self.between);
        }
        self.member.bytes(&self.between).map_err(self.failed)?;
        self.between.clear();
        Ok(())
    }

    /// Ends tar and member; gives the tar's digest.
    fn finish(mut self) -> Result<Option<Sha256>> {
        self.between.extend_from_slice(&END);
        self.write_between()?;
        self.member.finish().map_err(self.failed)?;
        Ok(self.tar_digest.map(|digest| Sha256(digest.finalize().into())))
    }
}

/// What an item is in a tar.
pub(super) fn kind<'p>(item: &Item<'p>) -> Kind<'p> {
    match item {
        Item::Directory => Kind::Directory,
        Item::Shared => Kind::Shared,
        Item::Link(target) => Kind::Link(target),
        Item::File { piece, executable } => Kind::File { size: piece.written.size, executable: *executable },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn paths_are_sorted_by_their_components(a in "[ab/.-]{0,7}", b in "[ab/.-]{0,7}") {
            let by_components = a.split('/').cmp(b.split('/'));
            prop_assert_eq!(TreePath(a).cmp(&TreePath(b)), by_components);
        }
    }

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
