//! Files copied from the store: a large one by all threads at once.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use rayon::prelude::*;
use rustix::{fs::FallocateFlags, io::Errno};

use crate::packages::wheel;

/// Files of so many bytes are copied by all threads at once.
pub(super) const AT_ONCE: u64 = wheel::LARGE_ENTRY;

/// How many bytes a thread copies of such a file before it looks for another part.
const PART: u64 = if cfg!(test) { 64 << 10 } else { 16 << 20 };

/// How many bytes pass through memory at a time, where they have to.
const BUFFER: usize = 1 << 20;

/// Copies a file of `size` bytes into an empty one.
///
/// # Errors
/// Those of the file system; also where the file is shorter than that.
pub(super) fn copy(source: &File, size: u64, mut out: &File) -> io::Result<()> {
    if size >= AT_ONCE {
        return copy_at_once(source, size, out);
    }
    let mut source = source;
    io::copy(&mut source, &mut out).map(drop)
}

/// Copies a large file by all threads at once, each a part of it.
fn copy_at_once(source: &File, size: u64, out: &File) -> io::Result<()> {
    // As for what is inflated (`Spot::unpack`).
    let _ = rustix::fs::fallocate(out, FallocateFlags::empty(), 0, size);
    let parts: Vec<u64> = (0..size.div_ceil(PART)).map(|part| part * PART).collect();
    parts.into_par_iter().try_for_each(|start| copy_part(source, start..size.min(start + PART), out))
}

fn copy_part(source: &File, part: Range<u64>, out: &File) -> io::Result<()> {
    let (mut at, mut buffer) = (part.start, Vec::new());
    while at < part.end {
        let left = usize::try_from(part.end - at).unwrap_or(usize::MAX);
        // Some file systems need not look at the bytes; others cannot do it at all, or not to another one.
        let (mut from, mut to) = (at, at);
        let copied = match rustix::fs::copy_file_range(source, Some(&mut from), out, Some(&mut to), left) {
            Ok(copied) => copied,
            Err(Errno::INTR) => continue,
            Err(_) => {
                buffer.resize(left.min(BUFFER), 0);
                let read = source.read_at(&mut buffer, at)?;
                out.write_all_at(&buffer[..read], at)?;
                read
            }
        };
        if copied == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += copied as u64;
    }
    Ok(())
}
