//! What became of a wheel's sources, as one file in the cache.
//!
//! ```text
//! venvoy bytecode 1          and a line end
//! SHA-256                    of the bytes before they were deflated, 32 bytes
//! SIZE                       of those, 8 bytes
//! deflated: ENTRY DONE LENGTH BYTES, again and again
//! ```
//!
//! ENTRY is the source's position in the wheel (4 bytes), DONE is 1 before a `.pyc` file and 0 before a
//! reason, LENGTH takes 4 bytes. Numbers are little-endian.

use std::collections::BTreeMap;

use super::Compiled;
use crate::{
    packages::cache::Keyed,
    words::{error::Result, vocab::Sha256},
};

pub(super) const KIND: &str = "bytecode";

const HEAD: &[u8] = b"venvoy bytecode 1\n";

/// More than any wheel's bytecode; a file that claims more is damaged.
const LIMIT: usize = 1 << 30;

/// What became of a wheel's sources, by their position among its entries.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Kept(pub BTreeMap<usize, Compiled>);

impl Kept {
    /// Reads what was published; `None` if it is not there or not as it was written.
    pub(super) fn read(place: &Keyed<'_>) -> Option<Self> {
        Self::parse(&place.read_own()?)
    }

    pub(super) fn publish(&self, place: &Keyed<'_>) -> Result<()> {
        match self.render() {
            Some(bytes) => place.publish(&bytes),
            None => Ok(()),
        }
    }

    /// `None` for more than [`Kept::parse`] takes.
    pub(super) fn render(&self) -> Option<Vec<u8>> {
        let mut raw = Vec::new();
        for (&entry, compiled) in &self.0 {
            let (done, bytes) = match compiled {
                Ok(bytes) => (1, bytes.as_slice()),
                Err(reason) => (0, reason.as_bytes()),
            };
            raw.extend(u32::try_from(entry).ok()?.to_le_bytes());
            raw.push(done);
            raw.extend(u32::try_from(bytes.len()).ok()?.to_le_bytes());
            raw.extend(bytes);
        }
        if raw.len() > LIMIT {
            return None;
        }
        // The fastest level: it takes a hundredth of the time that compiling took.
        let mut deflater = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(1).ok()?);
        let mut deflated = vec![0; deflater.deflate_compress_bound(raw.len())];
        let length = deflater.deflate_compress(&raw, &mut deflated).ok()?;
        let mut out = Vec::with_capacity(HEAD.len() + 40 + length);
        out.extend(HEAD);
        out.extend(Sha256::of(&raw).0);
        out.extend((raw.len() as u64).to_le_bytes());
        out.extend(&deflated[..length]);
        Some(out)
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (digest, rest) = bytes.strip_prefix(HEAD)?.split_first_chunk::<32>()?;
        let (size, deflated) = rest.split_first_chunk::<8>()?;
        let size = usize::try_from(u64::from_le_bytes(*size)).ok().filter(|&size| size <= LIMIT)?;
        let mut raw = vec![0; size];
        let length = libdeflater::Decompressor::new().deflate_decompress(deflated, &mut raw).ok()?;
        if length != size || Sha256::of(&raw).0 != *digest {
            return None;
        }
        let mut kept = BTreeMap::new();
        let mut rest = raw.as_slice();
        while let Some((entry, after)) = rest.split_first_chunk::<4>() {
            let (done, after) = after.split_first()?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let (content, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let compiled = match done {
                1 => Ok(content.to_vec()),
                _ => Err(String::from_utf8(content.to_vec()).ok()?),
            };
            kept.insert(u32::from_le_bytes(*entry) as usize, compiled);
            rest = after;
        }
        rest.is_empty().then_some(Kept(kept))
    }
}
