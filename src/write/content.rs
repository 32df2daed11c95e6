//! The bytes of wheel entries as they are written, and the RECORD made from them.
//!
//! Reading entries belongs to the `wheel` room: once it inflates into a caller's scratch, this is a thin layer.

use std::{
    borrow::Cow,
    io::{self, BufReader, Read, Write},
    os::unix::fs::FileExt as _,
};

use sha2::Digest as _;

use crate::{
    error::{Error, Kind, Result},
    layout::{Plan, Written},
    vocab::Sha256,
    wheel::{Method, Wheel, WheelEntry},
};

/// Bytes read and written at a time when an entry is streamed.
const PIECE: usize = 128 << 10;

/// A thread's buffers, which grow to its largest entry and are used again.
pub(super) struct Scratch {
    compressed: Vec<u8>,
    inflated: Vec<u8>,
    inflater: libdeflater::Decompressor,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Scratch { compressed: Vec::new(), inflated: Vec::new(), inflater: libdeflater::Decompressor::new() }
    }
}

fn at_least(buffer: &mut Vec<u8>, size: u64) -> io::Result<&mut [u8]> {
    let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    Ok(&mut buffer[..size])
}

fn unreadable(wheel: &Wheel, error: io::Error) -> Error {
    Error::io("cannot read", wheel.file.path(), error)
}

fn damaged(wheel: &Wheel, entry: &WheelEntry, why: &str) -> Error {
    let file = wheel.file.path().file_name().unwrap_or_default().to_string_lossy();
    Error::new(Kind::Integrity, format!("{file}: {}: {why}", entry.path))
        .help("the wheel itself is damaged, although its digest is the lock's: report it to its publisher")
}

fn wrong_crc(wheel: &Wheel, entry: &WheelEntry, got: u32) -> Error {
    damaged(wheel, entry, &format!("got CRC-32 {got:08x}, its directory says {:08x}", entry.crc32))
}

/// An entry's bytes, of the declared size and CRC-32, and their digest.
pub(super) fn inflate<'s>(
    wheel: &Wheel,
    entry: &WheelEntry,
    scratch: &'s mut Scratch,
) -> Result<(&'s [u8], Written)> {
    let Scratch { compressed, inflated, inflater } = scratch;
    let read = |buffer, size| {
        let part: &mut [u8] = at_least(buffer, size)?;
        wheel.handle.read_exact_at(part, entry.data_offset)?;
        Ok(part)
    };
    let bytes: &[u8] = match entry.method {
        Method::Stored => read(inflated, entry.size).map_err(|e| unreadable(wheel, e))?,
        Method::Deflated => {
            let input = read(compressed, entry.compressed_size).map_err(|e| unreadable(wheel, e))?;
            let out = at_least(inflated, entry.size).map_err(|e| unreadable(wheel, e))?;
            let size = inflater
                .deflate_decompress(input, out)
                .map_err(|e| damaged(wheel, entry, "cannot be inflated to its size").because(e))?;
            if size != out.len() {
                let why = format!("got {size} bytes, its directory says {}", entry.size);
                return Err(damaged(wheel, entry, &why));
            }
            out
        }
    };
    let crc = libdeflater::crc32(bytes);
    if crc != entry.crc32 {
        return Err(wrong_crc(wheel, entry, crc));
    }
    Ok((bytes, Written { sha256: Sha256::of(bytes), size: entry.size }))
}

/// An entry's compressed bytes in the wheel.
struct Compressed<'w> {
    wheel: &'w Wheel,
    at: u64,
    left: u64,
}

impl Read for Compressed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.wheel.handle.read_at(&mut buffer[..wanted], self.at)?;
        self.at += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}

/// Writes an entry piece by piece: no more than its declared size ever reaches `out`.
pub(super) fn stream(
    wheel: &Wheel,
    entry: &WheelEntry,
    out: &mut dyn Write,
    unwritable: impl Fn(io::Error) -> Error,
) -> Result<Written> {
    let compressed = Compressed { wheel, at: entry.data_offset, left: entry.compressed_size };
    let compressed = BufReader::with_capacity(PIECE, compressed);
    let mut input: Box<dyn Read> = match entry.method {
        Method::Stored => Box::new(compressed),
        Method::Deflated => Box::new(flate2::bufread::DeflateDecoder::new(compressed)),
    };
    let (mut digest, mut crc) = (sha2::Sha256::new(), libdeflater::Crc::new());
    let mut buffer = vec![0; PIECE];
    let mut size = 0_u64;
    loop {
        let got =
            input.read(&mut buffer).map_err(|e| damaged(wheel, entry, "cannot be inflated").because(e))?;
        size += got as u64;
        if size > entry.size || (got == 0 && size < entry.size) {
            let what = if got == 0 { "fewer" } else { "more" };
            let why = format!("got {what} bytes than the {} its directory says", entry.size);
            return Err(damaged(wheel, entry, &why));
        }
        if got == 0 {
            break;
        }
        digest.update(&buffer[..got]);
        crc.update(&buffer[..got]);
        out.write_all(&buffer[..got]).map_err(&unwritable)?;
    }
    if crc.sum() != entry.crc32 {
        return Err(wrong_crc(wheel, entry, crc.sum()));
    }
    Ok(Written { sha256: Sha256(digest.finalize().into()), size })
}

/// A script with its `#!python` line replaced (binary distribution format, "Recommended archiver features").
pub(super) fn rewrite_script<'a>(bytes: &'a [u8], console: &[u8], gui: &[u8]) -> Cow<'a, [u8]> {
    if !bytes.starts_with(b"#!python") {
        return Cow::Borrowed(bytes);
    }
    let head = if bytes.starts_with(b"#!pythonw") { gui } else { console };
    let rest = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    Cow::Owned([head, &bytes[rest..]].concat())
}

/// The RECORD of a distribution whose files are at `positions` of the plan.
pub(super) fn render_record(
    plan: &Plan,
    dist: usize,
    positions: &[usize],
    written: &[Option<Written>],
) -> Vec<u8> {
    let site = plan.dists[dist].dist_info.parent();
    let site = site.as_ref().map_or(String::new(), |site| format!("{site}/"));
    let up = "../".repeat(site.matches('/').count());
    let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    for &position in positions {
        let path = plan.files[position].path.as_str();
        let path = path.strip_prefix(&site).map_or_else(|| format!("{up}{path}"), str::to_owned);
        let (digest, size) = written[position].map_or((String::new(), String::new()), |written| {
            (format!("sha256={}", written.sha256.to_record()), written.size.to_string())
        });
        // Writing to memory cannot fail.
        let _ = out.write_record([path, digest, size]);
    }
    out.into_inner().unwrap_or_default()
}
