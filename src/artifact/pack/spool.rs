//! Bytes that are made here, as deflate streams in unnamed files, so that a run's memory does not grow with them.

use std::{
    fs::File,
    io::{self, Read, Seek as _, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::{Compression, write::DeflateEncoder};
use sha2::Digest as _;

use crate::{
    environment::layout::Written,
    packages::wheel::{
        Section,
        deflate::{StreamEnd, walk},
    },
    words::vocab::Sha256,
};

/// How hard small files are compressed; zlib's usual level, here with libdeflate.
const LEVEL: i32 = 6;

/// Where streams go.
pub(crate) struct Spool {
    file: Arc<File>,
    end: AtomicU64,
}

/// A file's bytes as a deflate stream.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    file: Arc<File>,
    at: u64,
    /// Where the stream ends, counted from its start.
    pub end: StreamEnd,
    /// The CRC-32 of the inflated bytes.
    pub crc: u32,
}

impl Made {
    /// The stream's bytes.
    pub(crate) fn read(&self) -> Section {
        Section::new(Arc::clone(&self.file), self.at, self.end.bytes())
    }
}

/// Bytes as a deflate stream, and where that ends.
pub(crate) fn deflate(bytes: &[u8]) -> io::Result<(Vec<u8>, StreamEnd)> {
    thread_local!(static COMPRESSOR: std::cell::RefCell<Option<libdeflater::Compressor>> = const { std::cell::RefCell::new(None) });
    let stream = COMPRESSOR.with_borrow_mut(|compressor| {
        let compressor = compressor.get_or_insert_with(|| {
            libdeflater::Compressor::new(libdeflater::CompressionLvl::new(LEVEL).unwrap_or_default())
        });
        let mut out = vec![0; compressor.deflate_compress_bound(bytes.len())];
        let length = compressor.deflate_compress(bytes, &mut out).map_err(|_| io::Error::other("no room"))?;
        out.truncate(length);
        Ok::<_, io::Error>(out)
    })?;
    let end = walk(&mut &stream[..])?;
    Ok((stream, end))
}

impl Spool {
    /// A spool in a directory.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        Ok(Spool { file: Arc::new(tempfile::tempfile_in(dir)?), end: AtomicU64::new(0) })
    }

    /// Adds bytes.
    pub(crate) fn add(&self, bytes: &[u8]) -> io::Result<(Written, Made)> {
        let (stream, end) = deflate(bytes)?;
        let at = self.end.fetch_add(stream.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(&stream, at)?;
        let written = Written { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
        Ok((written, Made { file: Arc::clone(&self.file), at, end, crc: libdeflater::crc32(bytes) }))
    }

    /// Adds what is too large to be held, in a file of its own.
    pub(crate) fn add_large(dir: &Path, input: &mut dyn Read) -> io::Result<(Written, Made)> {
        let mut encoder = DeflateEncoder::new(tempfile::tempfile_in(dir)?, Compression::default());
        let mut buffer = vec![0; 256 << 10];
        let (mut crc, mut sha256, mut size) = (libdeflater::Crc::new(), sha2::Sha256::new(), 0);
        loop {
            let count = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let piece = &buffer[..count];
            encoder.write_all(piece)?;
            crc.update(piece);
            sha256.update(piece);
            size += count as u64;
        }
        let mut file = encoder.finish()?;
        file.rewind()?;
        let end = walk(&mut file)?;
        let written = Written { sha256: Sha256(sha256.finalize().into()), size };
        Ok((written, Made { file: Arc::new(file), at: 0, end, crc: crc.sum() }))
    }
}
