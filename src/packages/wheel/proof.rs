//! What is known of a wheel's entries once all of them were inflated: the digests of their bytes, and where their
//! deflate streams end. Found once for a wheel and kept in the cache.
//!
//! ```text
//! venvoy proof 1        and a line end
//! SHA-256               of all that follows, 32 bytes
//! for each entry: SHA-256 (32 bytes), LAST BLOCK and END (8 bytes each, little-endian)
//! ```

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use rayon::prelude::*;

use super::{
    Method, STREAM_LIMIT, Wheel, WheelEntry,
    deflate::{StreamEnd, walk},
    refused, with_scratch,
};
use crate::{
    packages::cache::Cache,
    words::{
        error::{Context as _, Result},
        interrupt,
        vocab::Sha256,
    },
};

const KIND: &str = "proofs";
const HEAD: &[u8] = b"venvoy proof 1\n";
const ROW: usize = 48;

/// What is known of an entry that was inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proven {
    /// The digest of the inflated bytes, whatever RECORD says.
    pub sha256: Sha256,
    /// Where its deflate stream ends; `None` where it is stored.
    pub end: Option<StreamEnd>,
}

/// What is known of each of a wheel's entries, in their order. Their sizes and CRC-32s were as the archive says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof(pub Vec<Proven>);

impl Proof {
    /// What the cache knows of the wheel, else what inflating all of it shows, which is kept then.
    ///
    /// # Errors
    /// [`crate::words::error::Kind::Integrity`] for entries that are not what the archive says. What an entry holds behind the
    /// end of its stream is no part of it.
    pub(crate) fn of(wheel: &Wheel, cache: &Cache) -> Result<Proof> {
        let place = cache.derived(KIND, &wheel.file.sha256(), &Sha256::of(HEAD));
        if let Some(proof) = place.read_kept().and_then(|bytes| Proof::parse(&bytes, wheel)) {
            return Ok(proof);
        }
        let prove = |entry: usize| {
            interrupt::check()?;
            wheel.prove(entry)
        };
        let proof = Proof((0..wheel.entries.len()).into_par_iter().map(prove).collect::<Result<_>>()?);
        // A cache that cannot be written costs the next run the same again.
        let _ = place.publish(&proof.render());
        Ok(proof)
    }

    fn render(&self) -> Vec<u8> {
        let mut rows = Vec::with_capacity(self.0.len() * ROW);
        for one in &self.0 {
            let (last_block, end) = one.end.map_or((0, 0), |end| (end.last_block, end.end));
            rows.extend(one.sha256.0);
            rows.extend(last_block.to_le_bytes());
            rows.extend(end.to_le_bytes());
        }
        [HEAD, &Sha256::of(&rows).0, &rows].concat()
    }

    /// `None` for what was not written by [`Proof::render`] for this wheel.
    fn parse(bytes: &[u8], wheel: &Wheel) -> Option<Proof> {
        let (digest, rows) = bytes.strip_prefix(HEAD)?.split_first_chunk::<32>()?;
        if Sha256::of(rows).0 != *digest || rows.len() != wheel.entries.len() * ROW {
            return None;
        }
        let parse = |(row, entry): (&[u8], &WheelEntry)| {
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
            match entry.method {
                Method::Stored => Some(Proven { sha256: Sha256(*sha256), end: None }),
                Method::Deflated => whole.then_some(Proven { sha256: Sha256(*sha256), end: Some(end) }),
            }
        };
        rows.chunks_exact(ROW).zip(&wheel.entries).map(parse).collect::<Option<Vec<_>>>().map(Proof)
    }
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
        Section { file, at, end: at + length }
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
        let sha256 = if large {
            self.stream(entry, &mut |_| Ok(()))?.sha256
        } else {
            with_scratch(|scratch| self.inflate(entry, scratch).map(|content| content.sha256))?
        };
        if method == Method::Stored {
            return Ok(Proven { sha256, end: None });
        }
        let walked = if large {
            walk(&mut self.section(entry, compressed_size)?)
        } else {
            with_scratch(|scratch| self.raw(entry, scratch).map(|mut raw| walk(&mut raw)))?
        };
        let end = walked
            .map_err(|error| refused("its deflate stream cannot be followed").because(error))
            .and_then(|end| match end.bytes() {
                bytes if bytes <= compressed_size && end.size == size => Ok(end),
                bytes => Err(refused(format!(
                    "its deflate stream holds {} bytes and ends after {bytes}, expected {size} in {compressed_size}, as the zip directory says",
                    end.size
                ))),
            })
            .context(|| format!("entry {:?} cannot be unpacked", self.entries[entry].path.as_str()))
            .context(|| format!("cannot unpack wheel {}", self.name))?;
        Ok(Proven { sha256, end: Some(end) })
    }
}
