//! Access points into the streams of a wheel's large entries, so that one entry is inflated by several threads. Found when
//! an entry is inflated for the first time, and kept in the cache.
//!
//! ```text
//! venvoy points 1       and a line end
//! a zstd frame          of points, in the order of entries and bits:
//!     ENTRY             4 bytes, the entry's position (all numbers are little-endian)
//!     BIT, AT           8 bytes each
//!     WINDOW            32 KiB
//! ```
//!
//! What they lead to is compared with the archive's CRC-32 alone, and a CRC-32 can be made to fit. So they are taken only
//! where this user's venvoy wrote them, in this very file.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use rayon::prelude::*;

use super::{
    Method, Section, Wheel, WheelEntry,
    deflate::{AccessPoint, WINDOW, inflate_between},
};
use crate::{
    packages::cache::{Cache, Keyed},
    words::{
        error::{Error, Result},
        interrupt,
        vocab::Sha256,
    },
};

const KIND: &str = "points";
pub(crate) const HEAD: &[u8] = b"venvoy points 1\n";

/// Entries of fewer bytes have none: a thread inflates them in a tenth of a second.
pub(crate) const LARGE_ENTRY: u64 = if cfg!(test) { 256 << 10 } else { 64 << 20 };

/// How many bytes lie between two points at least. A point takes 32 KiB, or half of it once they are compressed.
pub(super) const APART: u64 = if cfg!(test) { 64 << 10 } else { 16 << 20 };

/// Bytes of a point, before they are compressed.
const ROW: usize = 4 + 8 + 8 + WINDOW;

/// The points of entries, by their positions.
pub(crate) type Points = BTreeMap<usize, Vec<AccessPoint>>;

/// What is known of a wheel's entries. Its clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Access {
    cache: Option<Cache>,
    /// What an earlier run found, once somebody asked.
    kept: Arc<OnceLock<Points>>,
    /// What this run found.
    found: Arc<Mutex<Points>>,
}

impl Access {
    /// What the cache knows, which may be nothing.
    pub(super) fn of(cache: &Cache) -> Self {
        Access { cache: Some(cache.clone()), ..Access::default() }
    }

    pub(super) fn found(&self, entry: usize, points: Vec<AccessPoint>) {
        if !points.is_empty() {
            self.found.lock().insert(entry, points);
        }
    }
}

impl Wheel {
    /// Whether points of an entry are worth noting while it is inflated.
    pub(super) fn wants_points(&self, entry: usize) -> bool {
        is_large(&self.entries[entry]) && self.access.cache.is_some() && self.kept_points(entry).is_none()
    }

    /// Whether an earlier run noted points of any of its entries, and so inflated all of it.
    pub(crate) fn has_points(&self) -> bool {
        (0..self.entries.len())
            .any(|entry| is_large(&self.entries[entry]) && self.kept_points(entry).is_some())
    }

    fn kept_points(&self, entry: usize) -> Option<&[AccessPoint]> {
        let kept = self.access.kept.get_or_init(|| {
            let read = || parse(&place(self, self.access.cache.as_ref()?).read_own()?, &self.entries);
            read().unwrap_or_default()
        });
        kept.get(&entry).map(Vec::as_slice)
    }

    /// Lets the cache know what this run found. One that cannot be written costs the next run the same again.
    pub(super) fn keep_points(&self, cache: &Cache) {
        let mut points = std::mem::take(&mut *self.access.found.lock());
        if !points.is_empty() {
            points.extend(self.access.kept.get().cloned().unwrap_or_default());
            if let Ok(bytes) = render(&points) {
                let _ = place(self, cache).publish(&bytes);
            }
        }
    }

    /// Writes an entry into a file with all threads at once and gives its digest, where it is large, was found to have
    /// RECORD's digest, and has points. `None` leaves it to [`Wheel::stream`], also for bytes that are not as the archive
    /// says; what was written by then is to be written over.
    ///
    /// # Errors
    /// Those of `out`, through `unwritable`; the signal that ends this run.
    pub(crate) fn write_at_once(
        &self,
        entry: usize,
        out: &File,
        unwritable: &(dyn Fn(io::Error) -> Error + Sync),
    ) -> Result<Option<Sha256>> {
        let one = &self.entries[entry];
        let Some(sha256) = self.known(entry).filter(|_| is_large(one) && rayon::current_num_threads() > 1)
        else {
            return Ok(None);
        };
        let Some(points) = self.kept_points(entry) else { return Ok(None) };
        let Ok(section) = self.section(entry, one.compressed_size) else { return Ok(None) };
        let starts = std::iter::once(None).chain(points.iter().map(Some));
        let parts: Vec<_> = starts.zip(points.iter().map(Some).chain([None])).collect();
        let inflated = parts.into_par_iter().map(|(from, to)| {
            interrupt::check()?;
            let part = Part { from, to, size: one.size };
            part.write(section.from(from.map_or(0, |from| from.bit / 8)), out, unwritable)
        });
        let inflated: Option<Vec<(u32, u64)>> = inflated.collect::<Result<_>>()?;
        let joined = inflated.map(|parts| {
            parts.into_iter().fold(0, |crc, (next, length)| zlib_rs::crc32::crc32_combine(crc, next, length))
        });
        Ok((joined == Some(one.crc32)).then_some(sha256))
    }
}

/// What lies between two points.
struct Part<'p> {
    from: Option<&'p AccessPoint>,
    to: Option<&'p AccessPoint>,
    /// How many bytes the entry has.
    size: u64,
}

impl Part<'_> {
    /// Inflates it into its place and gives its CRC-32 and its length; `None` where it is not what the points say.
    fn write(
        &self,
        mut input: Section,
        out: &File,
        unwritable: &(dyn Fn(io::Error) -> Error + Sync),
    ) -> Result<Option<(u32, u64)>> {
        let (start, end) = (self.from.map_or(0, |from| from.at), self.to.map_or(self.size, |to| to.at));
        let (mut at, mut crc, mut failed) = (start, libdeflater::Crc::new(), false);
        let inflated = inflate_between(&mut input, self.from, self.to.map(|to| to.bit), &mut |bytes| {
            let next = at + bytes.len() as u64;
            if next > end {
                return Err(io::ErrorKind::InvalidData.into());
            }
            crc.update(bytes);
            out.write_all_at(bytes, at).inspect_err(|_| failed = true)?;
            at = next;
            Ok(())
        });
        match (inflated, failed) {
            (Err(error), true) => Err(unwritable(error)),
            (Ok(()), _) if at == end => Ok(Some((crc.sum(), end - start))),
            _ => Ok(None),
        }
    }
}

fn is_large(entry: &WheelEntry) -> bool {
    entry.method == Method::Deflated && entry.size >= LARGE_ENTRY
}

fn place<'c>(wheel: &Wheel, cache: &'c Cache) -> Keyed<'c> {
    cache.derived(KIND, &wheel.file.sha256(), &Sha256::of(HEAD))
}

/// The record that the cache keeps.
///
/// # Errors
/// Those of zstd.
pub(crate) fn render(points: &Points) -> io::Result<Vec<u8>> {
    let mut rows = Vec::new();
    for (entry, points) in points {
        let entry = u32::try_from(*entry).map_err(io::Error::other)?;
        for point in points {
            rows.extend(entry.to_le_bytes());
            rows.extend(point.bit.to_le_bytes());
            rows.extend(point.at.to_le_bytes());
            rows.extend(&point.window[..]);
        }
    }
    Ok([HEAD, &zstd::bulk::compress(&rows, 1)?].concat())
}

/// `None` for what was not written by [`render`] for a wheel of these entries.
pub(crate) fn parse(bytes: &[u8], entries: &[WheelEntry]) -> Option<Points> {
    let most: u64 = entries.iter().filter(|entry| is_large(entry)).map(|entry| entry.size / APART).sum();
    let most = usize::try_from(most).ok()?.checked_mul(ROW)?;
    let rows = zstd::bulk::decompress(bytes.strip_prefix(HEAD)?, most).ok()?;
    let (rows, rest) = rows.as_chunks::<ROW>();
    let mut points = Points::new();
    for row in rows {
        let (entry, row) = row.split_first_chunk::<4>()?;
        let (bit, row) = row.split_first_chunk::<8>()?;
        let (at, window) = row.split_first_chunk::<8>()?;
        let entry = usize::try_from(u32::from_le_bytes(*entry)).ok()?;
        let one = entries.get(entry).filter(|one| is_large(one))?;
        let point =
            AccessPoint { bit: u64::from_le_bytes(*bit), at: u64::from_le_bytes(*at), window: window.into() };
        let before = points.entry(entry).or_default();
        let (bit, at) = before.last().map_or((0, 0), |last: &AccessPoint| (last.bit, last.at));
        let follows = point.bit > bit && point.at.checked_sub(at).is_some_and(|apart| apart >= APART);
        if !follows || point.bit / 8 >= one.compressed_size || point.at >= one.size {
            return None;
        }
        before.push(point);
    }
    rest.is_empty().then_some(points)
}
