//! Stand-in for the wheel room's reading, until it is merged.

use std::{borrow::Cow, io::Write, os::unix::fs::FileExt as _};

use crate::{
    error::{Error, Kind, Result},
    layout::{Plan, Written},
    vocab::Sha256,
    wheel::{Method, Wheel, WheelEntry},
};

/// Per-thread buffers.
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

fn grown(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

pub(super) fn inflate<'s>(
    wheel: &Wheel,
    entry: &WheelEntry,
    scratch: &'s mut Scratch,
) -> Result<(&'s [u8], Written)> {
    let bad = |what: &str| {
        Error::new(Kind::Integrity, format!("{}: {}: {what}", wheel.file.path().display(), entry.path))
    };
    let size = usize::try_from(entry.size).map_err(|_| bad("too large"))?;
    let compressed_size = usize::try_from(entry.compressed_size).map_err(|_| bad("too large"))?;
    let Scratch { compressed, inflated, inflater } = scratch;
    let bytes: &[u8] = match entry.method {
        Method::Stored => {
            let out = grown(inflated, size);
            wheel
                .handle
                .read_exact_at(out, entry.data_offset)
                .map_err(|e| Error::io("cannot read", wheel.file.path(), e))?;
            out
        }
        Method::Deflated => {
            let input = grown(compressed, compressed_size);
            wheel
                .handle
                .read_exact_at(input, entry.data_offset)
                .map_err(|e| Error::io("cannot read", wheel.file.path(), e))?;
            let out = grown(inflated, size);
            let n = inflater.deflate_decompress(input, out).map_err(|e| bad(&e.to_string()))?;
            if n != size {
                return Err(bad("size"));
            }
            out
        }
    };
    if libdeflater::crc32(bytes) != entry.crc32 {
        return Err(bad("crc"));
    }
    Ok((bytes, Written { sha256: Sha256::of(bytes), size: entry.size }))
}

pub(super) fn stream(wheel: &Wheel, entry: &WheelEntry, out: &mut dyn Write) -> Result<Written> {
    use sha2::Digest as _;
    use std::io::Read as _;
    struct At<'a>(&'a Wheel, u64, u64);
    impl std::io::Read for At<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let n = buf.len().min(usize::try_from(self.2).unwrap_or(usize::MAX));
            let n = self.0.handle.read_at(&mut buf[..n], self.1)?;
            self.1 += n as u64;
            self.2 -= n as u64;
            Ok(n)
        }
    }
    let input =
        std::io::BufReader::with_capacity(128 << 10, At(wheel, entry.data_offset, entry.compressed_size));
    let mut input: Box<dyn std::io::Read> = match entry.method {
        Method::Stored => Box::new(input),
        Method::Deflated => Box::new(flate2::bufread::DeflateDecoder::new(input)),
    };
    let mut digest = sha2::Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    let mut size = 0;
    loop {
        let n = input.read(&mut buffer).map_err(|e| Error::io("cannot read", wheel.file.path(), e))?;
        if n == 0 {
            break;
        }
        digest.update(&buffer[..n]);
        size += n as u64;
        out.write_all(&buffer[..n])
            .map_err(|e| Error::io("cannot write", entry.path.as_path(), e).with_kind(Kind::Destination))?;
    }
    Ok(Written { sha256: Sha256(digest.finalize().into()), size })
}

pub(super) fn rewrite_script<'a>(bytes: &'a [u8], console: &[u8], gui: &[u8]) -> Cow<'a, [u8]> {
    if !bytes.starts_with(b"#!python") {
        return Cow::Borrowed(bytes);
    }
    let head = if bytes.starts_with(b"#!pythonw") { gui } else { console };
    let rest = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    Cow::Owned([head, &bytes[rest..]].concat())
}

pub(super) fn render_record(plan: &Plan, dist: usize, written: &[Option<Written>]) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut out = String::new();
    let site = plan.dists[dist].dist_info.parent();
    for (file, written) in plan.files.iter().zip(written) {
        if file.dist != Some(dist) {
            continue;
        }
        let path = match &site {
            Some(site) => file.path.strip_prefix(site).map_or_else(
                || format!("{}{}", "../".repeat(site.components().count()), file.path),
                |p| p.to_string(),
            ),
            None => file.path.to_string(),
        };
        match written {
            Some(w) => {
                let _ = writeln!(out, "{path},sha256={},{}", w.sha256.to_record(), w.size);
            }
            None => {
                let _ = writeln!(out, "{path},,");
            }
        }
    }
    out.into_bytes()
}
