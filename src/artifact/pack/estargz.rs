//! Layers that can be read file by file before all of them is there: eStargz, as
//! <https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md> specifies it.
//!
//! It is a gzip file of many members, which any engine takes. A member begins where a file's bytes do and holds what follows
//! them up to the next file's, so that a wheel's streams are copied here too. A large file is divided into chunks, which
//! are compressed anew: a stream cannot be begun in its middle. Last comes a table of contents with the place and digest
//! of each, and a footer that says where the table is.

use std::io::Write;

use rayon::prelude::*;
use serde::Serialize;
use sha2::Digest as _;

use super::{
    archive::{Batch, Failed, Item, Items, Streamed, in_batches, kind},
    gzip::Member,
    image::Toc,
    pieces::{Piece, Wheels},
    spool::deflate,
    tar::{self, Common, END, Kind},
};
use crate::words::{
    error::{Error, Kind as ErrorKind, Result},
    interrupt,
    vocab::{Sha256, timestamp},
};

/// Changes whenever the same items would give other bytes.
pub(crate) const FORMAT: u32 = 1;

/// The table of contents.
const TOC: &str = "stargz.index.json";

/// Says that no file is to be had before it is asked for, and is a file of one byte.
const NO_PREFETCH: &str = ".no.prefetch.landmark";
const LANDMARK: [u8; 1] = [0xf];

/// What has a meaning in such a layer.
const RESERVED: [&str; 3] = [TOC, NO_PREFETCH, ".prefetch.landmark"];

/// How many bytes of a file are in one chunk, as those that other tools make.
const CHUNK: usize = 4 << 20;

/// How many chunks are compressed at once.
const AT_ONCE: usize = 4;

/// What the table says of an entry, or of a chunk beyond an entry's first. What is zero or empty is left out where the
/// specification allows that.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    modified: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_name: Option<&'a str>,
    mode: u32,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<String>,
}

/// Writes such a layer; gives the tar's digest (OCI: DiffID) and what is to be said of its table of contents.
///
/// # Errors
/// [`ErrorKind::Usage`] for what would be at the place of the table or a landmark.
pub(crate) fn write(
    items: &Items<'_>,
    wheels: Wheels<'_>,
    common: Common,
    out: &mut (dyn Write + Send),
    failed: Failed<'_>,
) -> Result<(Sha256, Toc)> {
    if let Some(name) = RESERVED.iter().find(|name| items.has(name)) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("--lazy wants /{name} for itself, and there is one"),
        )
        .help("leave that file out, or pack without --lazy"));
    }
    let mut writer = Writer {
        member: Member::new(out).map_err(failed)?,
        tar_digest: sha2::Sha256::new(),
        tar_size: 0,
        between: Vec::with_capacity(4 * tar::BLOCK),
        toc: Vec::from(&br#"{"version":1,"entries":["#[..]),
        modified: timestamp(common.mtime.max(0)),
        common,
        wheels,
        failed,
    };
    writer.landmark()?;
    in_batches(items, wheels, true, &mut |batch| writer.batch(batch))?;
    writer.finish()
}

struct Writer<'w, 'a> {
    member: Member<&'w mut (dyn Write + Send)>,
    tar_digest: sha2::Sha256,
    tar_size: u64,
    /// Headers and padding that no stream is in between.
    between: Vec<u8>,
    /// The table, as JSON, so far.
    toc: Vec<u8>,
    /// The time of all, as the table has it.
    modified: String,
    common: Common,
    wheels: Wheels<'a>,
    failed: Failed<'a>,
}

/// Where the bytes of a file's part are.
#[derive(Clone, Copy)]
struct Part {
    /// The member's place in the layer.
    offset: u64,
    /// The part's place in the file.
    at: u64,
    /// Its length; `None` for what goes to the file's end.
    length: Option<u64>,
    sha256: Sha256,
}

impl Writer<'_, '_> {
    fn batch(&mut self, batch: &Batch<'_, '_>) -> Result<()> {
        for (path, item, read) in batch.entries() {
            interrupt::check()?;
            tar::header(path, kind(item), self.common, &mut self.between);
            match item {
                Item::File { piece, .. } if piece.written.size > 0 => {
                    self.write_between()?;
                    self.file(path, kind(item), piece, read)?;
                    self.between.resize(tar::padding(piece.written.size), 0);
                }
                _ => self.row(path, kind(item), None, None)?,
            }
        }
        Ok(())
    }

    fn landmark(&mut self) -> Result<()> {
        let kind = Kind::File { size: LANDMARK.len() as u64, executable: false };
        tar::header(NO_PREFETCH, kind, self.common, &mut self.between);
        self.write_between()?;
        let sha256 = Sha256::of(&LANDMARK);
        let (stream, end) = deflate(&LANDMARK).map_err(self.failed)?;
        let crc = libdeflater::crc32(&LANDMARK);
        let read = Streamed { stream: &stream, end, crc, inflated: &LANDMARK };
        self.whole(NO_PREFETCH, kind, sha256, &read)?;
        self.between.resize(tar::padding(LANDMARK.len() as u64), 0);
        Ok(())
    }

    fn file(&mut self, path: &str, kind: Kind<'_>, piece: &Piece, read: Option<Streamed<'_>>) -> Result<()> {
        match read {
            Some(read) if read.inflated.len() <= CHUNK => self.whole(path, kind, piece.written.sha256, &read),
            Some(read) => {
                let mut chunks = Chunks::new(path, kind, piece);
                read.inflated.chunks(AT_ONCE * CHUNK).try_for_each(|part| chunks.write(part, self))
            }
            None => {
                let mut chunks = Chunks::new(path, kind, piece);
                let mut held = Vec::with_capacity(AT_ONCE * CHUNK);
                piece.inflate(self.wheels, &mut |mut bytes| {
                    while !bytes.is_empty() {
                        let (now, rest) = bytes.split_at(bytes.len().min(AT_ONCE * CHUNK - held.len()));
                        held.extend_from_slice(now);
                        bytes = rest;
                        if held.len() == AT_ONCE * CHUNK {
                            chunks.write(&held, self)?;
                            held.clear();
                        }
                    }
                    Ok(())
                })?;
                chunks.write(&held, self)
            }
        }
    }

    /// A file in one member.
    fn whole(&mut self, path: &str, kind: Kind<'_>, sha256: Sha256, read: &Streamed<'_>) -> Result<()> {
        let offset = self.stream(read)?;
        self.row(path, kind, Some(sha256), Some(Part { offset, at: 0, length: None, sha256 }))
    }

    /// Begins a member with a stream; says where it is.
    fn stream(&mut self, read: &Streamed<'_>) -> Result<u64> {
        let offset = self.member.again().map_err(self.failed)?;
        let mut stream = read.stream;
        self.member.stream(&mut stream, &read.end, read.crc).map_err(self.failed)?;
        self.tar_digest.update(read.inflated);
        self.tar_size += read.inflated.len() as u64;
        Ok(offset)
    }

    /// Adds an entry's row, or that of a chunk beyond the first.
    fn row(&mut self, path: &str, kind: Kind<'_>, digest: Option<Sha256>, part: Option<Part>) -> Result<()> {
        let directory;
        let first = part.is_none_or(|part| part.at == 0);
        let (name, type_name, size, link_name) = match kind {
            Kind::Directory | Kind::Shared => {
                directory = format!("{path}/");
                (&*directory, "dir", None, None)
            }
            Kind::Link(target) => (path, "symlink", None, Some(target)),
            Kind::File { size, .. } if first => (path, "reg", Some(size).filter(|&size| size > 0), None),
            Kind::File { .. } => (path, "chunk", None, None),
        };
        let row = Row {
            name,
            kind: type_name,
            size,
            modified: first.then_some(self.modified.as_str()),
            link_name,
            mode: kind.mode(),
            uid: self.common.owner.user,
            gid: self.common.owner.group,
            digest: digest.map(|sha256| format!("sha256:{sha256}")),
            offset: part.map(|part| part.offset),
            chunk_offset: part.map(|part| part.at).filter(|&at| at > 0),
            chunk_size: part.and_then(|part| part.length),
            chunk_digest: part.map(|part| format!("sha256:{}", part.sha256)),
        };
        if self.toc.last() != Some(&b'[') {
            self.toc.push(b',');
        }
        serde_json::to_writer(&mut self.toc, &row).map_err(|error| (self.failed)(error.into()))
    }

    fn write_between(&mut self) -> Result<()> {
        self.tar_digest.update(&self.between);
        self.tar_size += self.between.len() as u64;
        self.member.bytes(&self.between).map_err(self.failed)?;
        self.between.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(Sha256, Toc)> {
        self.write_between()?;
        self.toc.extend_from_slice(b"]}");
        let toc = std::mem::take(&mut self.toc);
        let toc_at = self.member.again().map_err(self.failed)?;
        let size = toc.len() as u64;
        tar::header(TOC, Kind::File { size, executable: false }, self.common, &mut self.between);
        self.write_between()?;
        let (stream, end) = deflate(&toc).map_err(self.failed)?;
        self.member.stream(&mut &stream[..], &end, libdeflater::crc32(&toc)).map_err(self.failed)?;
        self.tar_digest.update(&toc);
        self.tar_size += size;
        self.between.resize(tar::padding(size), 0);
        self.between.extend_from_slice(&END);
        self.write_between()?;
        let out = self.member.finish().map_err(self.failed)?;
        out.write_all(&footer(toc_at)).map_err(self.failed)?;
        let sha256 = Sha256::of(&toc);
        Ok((Sha256(self.tar_digest.finalize().into()), Toc { sha256, uncompressed: self.tar_size }))
    }
}

/// A file that is written in chunks.
struct Chunks<'p> {
    path: &'p str,
    kind: Kind<'p>,
    size: u64,
    sha256: Sha256,
    at: u64,
}

impl<'p> Chunks<'p> {
    fn new(path: &'p str, kind: Kind<'p>, piece: &Piece) -> Self {
        Chunks { path, kind, size: piece.written.size, sha256: piece.written.sha256, at: 0 }
    }

    /// Writes the next bytes: whole chunks, but at the file's end.
    fn write(&mut self, bytes: &[u8], writer: &mut Writer<'_, '_>) -> Result<()> {
        interrupt::check()?;
        let compressed = bytes
            .par_chunks(CHUNK)
            .map(|chunk| {
                let (stream, end) = deflate(chunk)?;
                Ok((chunk, stream, end, libdeflater::crc32(chunk), Sha256::of(chunk)))
            })
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(writer.failed)?;
        for (chunk, stream, end, crc, sha256) in compressed {
            let offset = writer.stream(&Streamed { stream: &stream, end, crc, inflated: chunk })?;
            let length = chunk.len() as u64;
            let last = self.at + length == self.size;
            let part = Part { offset, at: self.at, length: (!last).then_some(length), sha256 };
            let digest = (self.at == 0).then_some(self.sha256);
            writer.row(self.path, self.kind, digest, Some(part))?;
            self.at += length;
        }
        Ok(())
    }
}

/// An empty member whose extra field says where the table is.
fn footer(toc_at: u64) -> Vec<u8> {
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    footer.extend_from_slice(&[26, 0, b'S', b'G', 22, 0]);
    footer.extend_from_slice(format!("{toc_at:016x}STARGZ").as_bytes());
    // An empty stored block, the last one; no bytes, so that their CRC-32 and number are zero.
    footer.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    footer.extend_from_slice(&[0; 8]);
    footer
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_footer_has_51_bytes_and_is_an_empty_member() {
        let footer = footer(0xab_cdef);
        assert_eq!(footer.len(), 51);
        assert_eq!(&footer[16..38], b"0000000000abcdefSTARGZ");
        let mut decoder = flate2::bufread::GzDecoder::new(&footer[..]);
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).expect("a member");
        assert!(out.is_empty() && decoder.into_inner().is_empty());
    }
}
