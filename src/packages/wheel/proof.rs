//! What is known of a wheel's entries once they were inflated: the digests of their bytes, and where their
//! deflate streams end. Found once for an entry and kept in the cache.
//!
//! ```text
//! venvoy proof 2        and a line end
//! SHA-256               of all that follows, 32 bytes
//! for each entry: SHA-256 (32 bytes), LAST BLOCK and END (8 bytes each, little-endian); zeros where nothing is known
//! ```

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rayon::prelude::*;

use super::{
    Checked, Method, STREAM_LIMIT, Wheel, WheelEntry,
    deflate::{self, StreamEnd, walk},
    refused, with_scratch,
};
use crate::{
    packages::cache::{Cache, Item, Keyed},
    words::{error::Result, vocab::Sha256},
};

const KIND: &str = "proofs";
pub(crate) const HEAD: &[u8] = b"venvoy proof 2\n";
const ROW: usize = 48;

/// What is known of an entry that was inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proven {
    /// The digest of the inflated bytes, whatever RECORD says.
    pub sha256: Sha256,
    /// Where its deflate stream ends; `None` where it is stored.
    pub end: Option<StreamEnd>,
}

impl From<Checked> for Proven {
    fn from(checked: Checked) -> Self {
        Proven { sha256: checked.sha256, end: checked.end }
    }
}

/// What is known of each of a wheel's entries, in their order. Their sizes and CRC-32s were as the archive says.
#[derive(Debug)]
pub(crate) struct Proof {
    rows: Box<[OnceLock<Proven>]>,
    /// Whether the cache does not know all of it.
    learnt: AtomicBool,
}

impl Proof {
    /// What the cache knows of the wheel, which may be nothing.
    pub(crate) fn kept(wheel: &Wheel, cache: &Cache) -> Proof {
        let kept = place(wheel, cache).read_kept().and_then(|bytes| Proof::parse(&bytes, wheel));
        kept.unwrap_or_else(|| Proof {
            rows: wheel.entries.iter().map(|_| OnceLock::new()).collect(),
            learnt: AtomicBool::new(false),
        })
    }

    /// What is known of an entry.
    pub(crate) fn get(&self, entry: usize) -> Option<Proven> {
        self.rows[entry].get().copied()
    }

    /// What is known of an entry, else what inflating it shows.
    ///
    /// # Errors
    /// [`crate::words::error::Kind::Integrity`] for entries that are not what the archive says. What an entry holds behind the
    /// end of its stream is no part of it.
    pub(crate) fn prove(&self, wheel: &Wheel, entry: usize) -> Result<Proven> {
        if let Some(known) = self.get(entry) {
            return Ok(known);
        }
        let proven = wheel.prove(entry)?;
        self.note(entry, proven);
        Ok(proven)
    }

    /// Takes what was found of an entry elsewhere.
    pub(crate) fn note(&self, entry: usize, proven: Proven) {
        if self.rows[entry].set(proven).is_ok() {
            self.learnt.store(true, Ordering::Relaxed);
        }
    }

    /// Lets the cache know. One that cannot be written costs the next run the same again.
    pub(crate) fn keep(&self, wheel: &Wheel, cache: &Cache) {
        if self.learnt.swap(false, Ordering::Relaxed) {
            let _ = place(wheel, cache).publish(&self.render());
        }
    }

    /// The record that the cache keeps, which [`Proof`]'s reader takes again.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut rows = Vec::with_capacity(self.rows.len() * ROW);
        for one in &self.rows {
            let Some(one) = one.get() else {
                rows.extend([0; ROW]);
                continue;
            };
            let (last_block, end) = one.end.map_or((0, 0), |end| (end.last_block, end.end));
            rows.extend(one.sha256.0);
            rows.extend(last_block.to_le_bytes());
            rows.extend(end.to_le_bytes());
        }
        [HEAD, &Sha256::of(&rows).0, &rows].concat()
    }

    /// `None` for what was not written by [`Proof::render`] for this wheel.
    pub(crate) fn parse(bytes: &[u8], wheel: &Wheel) -> Option<Proof> {
        let (digest, rows) = bytes.strip_prefix(HEAD)?.split_first_chunk::<32>()?;
        if Sha256::of(rows).0 != *digest || rows.len() != wheel.entries.len() * ROW {
            return None;
        }
        let parse = |(row, entry): (&[u8], &WheelEntry)| {
            if row.iter().all(|&byte| byte == 0) {
                return Some(OnceLock::new());
            }
            let (sha256, rest) = row.split_first_chunk::<32>()?;
            let (last_block, rest) = rest.split_first_chunk::<8>()?;
            let (end, _) = rest.split_first_chunk::<8>()?;
            let end = StreamEnd {
                last_block: u64::from_le_bytes(*last_block),
                end: u64::from_le_bytes(*end),
                size: entry.size,
            };
            // Whoever copies the stream copies no more than the entry has.
            let whole = end.bytes() <= entry.compressed_size && end.last_block < end.end;
            let end = match entry.method {
                Method::Stored => None,
                Method::Deflated => Some(whole.then_some(end)?),
            };
            Some(OnceLock::from(Proven { sha256: Sha256(*sha256), end }))
        };
        let rows = rows.chunks_exact(ROW).zip(&wheel.entries).map(parse).collect::<Option<_>>()?;
        Some(Proof { rows, learnt: AtomicBool::new(false) })
    }
}

/// Looks at a wheel's record in the cache; says whether it is right. One that this user's venvoy wrote, to the very file, is taken
/// to be. Any other is compared with what inflating the wheel shows, once; so is it known that an exchanged one, or one that is whole
/// and another wheel's, is not.
pub(crate) fn examine(item: &Item, wheel: &Wheel, cache: &Cache) -> bool {
    let read = cache.read_kept_file(&item.path);
    let Some(proof) = read.ok().and_then(|bytes| Proof::parse(&bytes, wheel)) else { return false };
    if cache.made(KIND, item) {
        return true;
    }
    let right = |(entry, row): (usize, &OnceLock<Proven>)| {
        row.get().is_none_or(|row| wheel.prove(entry).is_ok_and(|shown| shown == *row))
    };
    let right = proof.rows.par_iter().enumerate().all(right);
    if right {
        cache.vouch(KIND, item);
    }
    right
}

/// Whether it is such a record, of this version.
pub(crate) fn is_proof(item: &Item) -> bool {
    item.kind == KIND && item.name == Sha256::of(HEAD).to_string()
}

fn place<'c>(wheel: &Wheel, cache: &'c Cache) -> Keyed<'c> {
    cache.derived(KIND, &wheel.file.sha256(), &Sha256::of(HEAD))
}

/// Bytes of a file from one place to another.
pub(crate) struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Section {
    /// `length` bytes from `at` on.
    pub(crate) fn new(file: Arc<File>, at: u64, length: u64) -> Self {
        Section { file, at, end: at.saturating_add(length) }
    }

    /// The same from its byte `skip` on.
    pub(super) fn from(&self, skip: u64) -> Self {
        let at = self.at.saturating_add(skip).min(self.end);
        Section { file: Arc::clone(&self.file), at, end: self.end }
    }
}

impl io::Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Wheel {
    /// Inflates an entry and finds its stream's end.
    fn prove(&self, entry: usize) -> Result<Proven> {
        let WheelEntry { size, compressed_size, method, .. } = self.entries[entry];
        let large = size.max(compressed_size) > STREAM_LIMIT;
        match method {
            _ if large => self.stream(entry, &mut |_| Ok(())).map(Proven::from),
            Method::Stored => {
                let sha256 = with_scratch(|scratch| self.inflate(entry, scratch).map(|found| found.sha256))?;
                Ok(Proven { sha256, end: None })
            }
            Method::Deflated => with_scratch(|scratch| self.inflate_and_end(entry, scratch)),
        }
    }

    /// Finds the end of a deflated entry's stream in its bytes.
    pub(super) fn end_in(&self, entry: usize, raw: &mut deflate::Input<'_>) -> Result<StreamEnd> {
        let WheelEntry { size, compressed_size, .. } = self.entries[entry];
        let end =
            walk(raw).map_err(|error| refused("its deflate stream cannot be followed").because(error))?;
        match end.bytes() {
            bytes if bytes <= compressed_size && end.size == size => Ok(end),
            bytes => Err(refused(format!(
                "its deflate stream holds {} bytes and ends after {bytes}, expected {size} in {compressed_size}, as the zip directory says",
                end.size
            ))),
        }
    }
}
