//! The bytes of an entry: read at once, checked against its local header, inflated, digested.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use sha2::Digest as _;

use super::{
    Method, Proven, Section, Wheel, WheelEntry,
    access::APART,
    deflate::{self, AccessPoint, StreamEnd},
    refused,
    zip_directory::{LOCAL_SIZE, REFUSED_FLAGS, Sizes, len, u16_at, u32_at, u64_at},
};
use crate::words::{
    error::{Context as _, Error, Result},
    vocab::Sha256,
};

/// Entries larger than this (bytes, inflated or not) are better read with [`Wheel::stream`], so that a
/// run's memory does not grow with its largest file: a worker holds at most twice this.
pub(crate) const STREAM_LIMIT: u64 = 16 * 1024 * 1024;

/// How much of what is stored is held at a time, in bytes.
const CHUNK: usize = 256 * 1024;
const DESCRIPTOR: u16 = 1 << 3;

/// What one worker reuses from entry to entry: an inflater and two buffers that grow as needed.
pub(crate) struct Scratch {
    inflater: libdeflater::Decompressor,
    raw: Vec<u8>,
    out: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { inflater: libdeflater::Decompressor::new(), raw: Vec::new(), out: Vec::new() }
    }
}

/// Lends this thread's scratch (a fresh one where `work` itself lends it again).
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    thread_local!(static SCRATCH: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) });
    let mut scratch = SCRATCH.with_borrow_mut(Option::take).unwrap_or_default();
    let result = work(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}

/// An entry's bytes: size and CRC-32 are as the archive says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'s> {
    /// The inflated bytes.
    pub bytes: &'s [u8],
    /// Their digest, to be compared with RECORD's by [`Wheel::contradiction`].
    pub sha256: Sha256,
}

/// What came out of an entry that was streamed: size and CRC-32 were as the archive says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The digest of the inflated bytes.
    pub sha256: Sha256,
    /// Their number.
    pub size: u64,
    /// Where its deflate stream ends; `None` where it is stored.
    pub end: Option<StreamEnd>,
}

/// Takes an entry's bytes piece by piece, perhaps on another thread than the one that inflates.
pub(crate) type Taker<'s> = dyn FnMut(&[u8]) -> Result<()> + Send + 's;

impl Wheel {
    /// An entry's bytes, whole. Never more than the declared size is written.
    pub(crate) fn inflate<'s>(&self, entry: usize, scratch: &'s mut Scratch) -> Result<Content<'s>> {
        let file = self.handle.file(&self.file)?;
        bytes(&file, self.file.path(), &self.entries[entry], scratch)
            .map(|bytes| Content { bytes, sha256: self.digest(entry, bytes) })
            .context(|| format!("cannot unpack wheel {}", self.name))
    }

    /// Hands an entry's bytes to `sink` piece by piece, in order, each while the next is inflated. Size, CRC-32 and the end of
    /// the compressed stream are known to be right only when this returns: discard what `sink` got on an
    /// error. Errors of `sink` come back as they are.
    pub(crate) fn stream(&self, entry: usize, sink: &mut Taker<'_>) -> Result<Checked> {
        self.stream_known(entry, self.known(entry), sink)
    }

    /// The same. The digest is computed unless it is `known`.
    pub(crate) fn stream_known(
        &self,
        entry: usize,
        known: Option<Sha256>,
        sink: &mut Taker<'_>,
    ) -> Result<Checked> {
        let mut from_sink = false;
        let mut watched = |bytes: &[u8]| sink(bytes).inspect_err(|_| from_sink = true);
        let file = self.handle.file(&self.file)?;
        let mut points = self.wants_points(entry).then(Vec::new);
        match stream(&file, self.file.path(), &self.entries[entry], known, points.as_mut(), &mut watched) {
            Err(error) if !from_sink => Err(error.context(format!("cannot unpack wheel {}", self.name))),
            Err(error) => Err(error),
            Ok(checked) => {
                self.access.found(entry, points.unwrap_or_default());
                Ok(checked)
            }
        }
    }

    /// What is to be known of a deflated entry that is small enough to be held.
    pub(super) fn inflate_and_end(&self, entry: usize, scratch: &mut Scratch) -> Result<Proven> {
        let Scratch { raw, out, .. } = scratch;
        let (span, size) = (len(self.entries[entry].span)?, len(self.entries[entry].size)?);
        raw.resize(raw.len().max(span), 0);
        out.resize(out.len().max(size), 0);
        let (_, end) = self.both(entry, &mut raw[..span], Some(&mut out[..size]), None)?;
        Ok(Proven { sha256: self.digest(entry, &out[..size]), end: Some(end) })
    }

    /// The digest of an entry that inflates to these bytes.
    pub(crate) fn digest(&self, entry: usize, bytes: &[u8]) -> Sha256 {
        self.known(entry).unwrap_or_else(|| Sha256::of(bytes))
    }

    /// The digest of an entry, where it need not be computed (see [`Wheel::rely_on`]).
    pub(crate) fn known(&self, entry: usize) -> Option<Sha256> {
        self.entries[entry].sha256.filter(|_| self.as_recorded.known())
    }

    /// The first `length` of an entry's bytes as the archive holds them, after its local header was checked.
    pub(crate) fn section(&self, entry: usize, length: u64) -> Result<Section> {
        let entry = &self.entries[entry];
        let file = self.handle.file(&self.file)?;
        head(&file, self.file.path(), entry)
            .and_then(|head| Ok(entry.header_offset + Local::check(&head, entry)?.data_at))
            .map(|at| Section::new(file, at, length.min(entry.compressed_size)))
            .context(|| format!("entry {:?} cannot be read", entry.path.as_str()))
            .context(|| format!("cannot unpack wheel {}", self.name))
    }

    /// A deflated entry as the archive holds it, read into `span`, which has as many bytes as the entry's span, and inflated
    /// where `out` is given: size and CRC-32 are as the archive says then. Says where in `span` its stream is and, unless that is
    /// `known`, finds where it ends.
    pub(crate) fn both(
        &self,
        entry: usize,
        span: &mut [u8],
        out: Option<&mut [u8]>,
        known: Option<StreamEnd>,
    ) -> Result<(Range<usize>, StreamEnd)> {
        let one = &self.entries[entry];
        let file = self.handle.file(&self.file)?;
        let read = || {
            let range = raw_into(&file, self.file.path(), one, span)?;
            let data = &span[range.clone()];
            let Some(out) = out else {
                return Ok((range, known.map_or_else(|| self.end_in(entry, &mut &*data), Ok)?));
            };
            let end = match known {
                Some(_) => None,
                None => deflate::inflate(data, out).ok().filter(|end| end.size == one.size),
            };
            let end = if let Some(end) = end {
                end
            } else {
                // Also says what is wrong with a stream that was not taken.
                with_scratch(|scratch| inflate_into(&mut scratch.inflater, data, one, out))?;
                known.map_or_else(|| self.end_in(entry, &mut &*data), Ok)?
            };
            check_crc(one, libdeflater::crc32(out))?;
            Ok((range, end))
        };
        read()
            .context(|| format!("entry {:?} cannot be unpacked", one.path.as_str()))
            .context(|| format!("cannot unpack wheel {}", self.name))
    }
}

/// [`Wheel::inflate`] before there is a wheel, without the digest.
pub(super) fn bytes<'s>(
    handle: &File,
    path: &Path,
    entry: &WheelEntry,
    scratch: &'s mut Scratch,
) -> Result<&'s [u8]> {
    inflated(handle, path, entry, scratch)
        .context(|| format!("entry {:?} cannot be unpacked", entry.path.as_str()))
}

fn inflated<'s>(
    handle: &File,
    path: &Path,
    entry: &WheelEntry,
    scratch: &'s mut Scratch,
) -> Result<&'s [u8]> {
    let Scratch { inflater, raw: buffer, out } = scratch;
    let data = raw(handle, path, entry, buffer)?;
    let bytes = match entry.method {
        Method::Stored => data,
        Method::Deflated => {
            let size = len(entry.size)?;
            if out.len() < size {
                out.resize(size, 0);
            }
            inflate_into(inflater, data, entry, &mut out[..size])?;
            &out[..size]
        }
    };
    check_crc(entry, libdeflater::crc32(bytes))?;
    Ok(bytes)
}

/// Inflates a deflated entry's bytes into a buffer of its size.
fn inflate_into(
    inflater: &mut libdeflater::Decompressor,
    data: &[u8],
    entry: &WheelEntry,
    out: &mut [u8],
) -> Result<()> {
    let got = inflater.deflate_decompress(data, out).map_err(|e| match e {
        libdeflater::DecompressionError::InsufficientSpace => too_long(entry),
        libdeflater::DecompressionError::BadData => damaged(),
    })?;
    if got == out.len() { Ok(()) } else { Err(wrong_size(entry, got as u64)) }
}

/// [`Wheel::stream`] before there is a wheel. Its digest is not computed where it is `known`. Access points are added to
/// `points`.
pub(super) fn stream(
    file: &Arc<File>,
    path: &Path,
    entry: &WheelEntry,
    known: Option<Sha256>,
    points: Option<&mut Vec<AccessPoint>>,
    sink: &mut Taker<'_>,
) -> Result<Checked> {
    let mut sha256 = sha2::Sha256::new();
    let mut crc = libdeflater::Crc::new();
    let mut size = 0_u64;
    let (mut stopped, mut sink_failed) = (None, false);
    let mut take = |bytes: &[u8]| {
        size += bytes.len() as u64;
        if size > entry.size {
            stopped = Some(too_long(entry));
        } else {
            crc.update(bytes);
            if known.is_none() {
                sha256.update(bytes);
            }
            stopped = sink(bytes).inspect_err(|_| sink_failed = true).err();
        }
        if stopped.is_none() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::Other)) }
    };
    let end = match data_at(file, path, entry) {
        Ok(at) => {
            let mut data = Section::new(Arc::clone(file), at, entry.compressed_size);
            let end = match entry.method {
                // What may follow a stream is passed over, as by Python's zipfile, which pip reads wheels with.
                Method::Deflated => match points {
                    None => deflate::inflate_in_pieces(&mut data, &mut take).map(Some),
                    Some(points) => {
                        deflate::inflate_and_mark(&mut data, &mut take, APART).map(|(end, found)| {
                            *points = found;
                            Some(end)
                        })
                    }
                },
                Method::Stored => copy_in_pieces(&mut data, &mut take).map(|()| None),
            };
            end.map_err(|error| match (stopped, error.kind()) {
                (Some(stopped), _) => stopped,
                (None, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => damaged(),
                (None, _) => Error::io("cannot read", path, error),
            })
        }
        Err(error) => Err(error),
    };
    let checked = end.and_then(|end| {
        if size != entry.size {
            return Err(wrong_size(entry, size));
        }
        check_crc(entry, crc.sum())?;
        let sha256 = known.unwrap_or_else(|| Sha256(sha256.finalize().into()));
        Ok(Checked { sha256, size, end })
    });
    match checked {
        Err(error) if !sink_failed => {
            Err(error.context(format!("entry {:?} cannot be unpacked", entry.path.as_str())))
        }
        other => other,
    }
}

/// Gives `sink` what is stored, piece by piece.
fn copy_in_pieces(data: &mut Section, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match data.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => sink(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The local header with its name and extra field, and perhaps more.
fn head(handle: &File, path: &Path, entry: &WheelEntry) -> Result<Vec<u8>> {
    let mut head = vec![0; len(entry.span.min(LOCAL_SIZE as u64 + 2 * u64::from(u16::MAX)))?];
    handle.read_exact_at(&mut head, entry.header_offset).map_err(|e| Error::io("cannot read", path, e))?;
    Ok(head)
}

/// Where an entry's bytes begin in the file, after what stands before and behind them was checked.
fn data_at(handle: &File, path: &Path, entry: &WheelEntry) -> Result<u64> {
    let head = head(handle, path, entry)?;
    let local = Local::check(&head, entry)?;
    let data_at = entry.header_offset + local.data_at;
    let mut after = vec![0; len(entry.span - local.data_at - entry.compressed_size)?];
    handle
        .read_exact_at(&mut after, data_at + entry.compressed_size)
        .map_err(|e| Error::io("cannot read", path, e))?;
    local.check_descriptor(&after, entry)?;
    Ok(data_at)
}

/// The compressed bytes: one read of the whole span, local header and descriptor checked.
fn raw<'b>(handle: &File, path: &Path, entry: &WheelEntry, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
    let span = len(entry.span)?;
    if buffer.len() < span {
        buffer.resize(span, 0);
    }
    let data = raw_into(handle, path, entry, &mut buffer[..span])?;
    Ok(&buffer[data])
}

/// The same, read into as many bytes as the span has; says where there.
fn raw_into(handle: &File, path: &Path, entry: &WheelEntry, span: &mut [u8]) -> Result<Range<usize>> {
    handle.read_exact_at(span, entry.header_offset).map_err(|e| Error::io("cannot read", path, e))?;
    let local = Local::check(span, entry)?;
    let data_at = len(local.data_at)?;
    let data_end = data_at + len(entry.compressed_size)?;
    local.check_descriptor(&span[data_end..], entry)?;
    Ok(data_at..data_end)
}

/// A local header that agrees with the central one.
struct Local {
    /// Where the data begins, from the header's first byte.
    data_at: u64,
    described: bool,
}

impl Local {
    /// `span` holds at least the header, its name and extra field, if the archive is right.
    fn check(span: &[u8], entry: &WheelEntry) -> Result<Local> {
        let disagree =
            |what: &str| refused(format!("its local header and the zip directory differ in {what}"));
        let Some(header) = span.get(..LOCAL_SIZE).filter(|h| h.starts_with(b"PK\x03\x04")) else {
            return Err(refused("there is no local header where the zip directory says"));
        };
        let (name, extra) = (usize::from(u16_at(header, 26)), usize::from(u16_at(header, 28)));
        let name_at = LOCAL_SIZE;
        let data_at = name_at + name + extra;
        if span.get(name_at..name_at + name) != Some(entry.path.as_str().as_bytes()) {
            return Err(disagree("the name"));
        }
        if (data_at as u64).checked_add(entry.compressed_size).is_none_or(|end| end > entry.span) {
            return Err(refused("it overlaps the entry after it"));
        }
        let extra = span.get(name_at + name..data_at).ok_or_else(|| disagree("their extra field"))?;
        let flags = u16_at(header, 6);
        if flags & REFUSED_FLAGS != 0 {
            return Err(disagree("the flags"));
        }
        let method = if entry.method == Method::Stored { 0 } else { 8 };
        if u16_at(header, 8) != method {
            return Err(disagree("the method"));
        }
        let mut sizes = Sizes {
            size: u64::from(u32_at(header, 22)),
            compressed: u64::from(u32_at(header, 18)),
            offset: None,
        };
        sizes.widen(extra, entry.path.as_str())?;
        let described = flags & DESCRIPTOR != 0;
        // With a data descriptor, each of the three may be left zero here.
        let agrees = |local: u64, central: u64| local == central || described && local == 0;
        if !agrees(u64::from(u32_at(header, 14)), u64::from(entry.crc32)) {
            return Err(disagree("the CRC-32"));
        }
        if !agrees(sizes.size, entry.size) || !agrees(sizes.compressed, entry.compressed_size) {
            return Err(disagree("the size"));
        }
        Ok(Local { data_at: data_at as u64, described })
    }

    /// What stands between the data and the next header: nothing, or a data descriptor that agrees.
    fn check_descriptor(&self, after: &[u8], entry: &WheelEntry) -> Result<()> {
        if !self.described {
            return match after.len() {
                0 => Ok(()),
                n => Err(refused(format!("{n} bytes that belong to no entry follow it"))),
            };
        }
        let values = match after.len() {
            16 | 24 if after.starts_with(b"PK\x07\x08") => &after[4..],
            12 | 20 => after,
            n => return Err(refused(format!("expected its data descriptor after it, got {n} bytes"))),
        };
        let (compressed, size) = if values.len() == 12 {
            (u64::from(u32_at(values, 4)), u64::from(u32_at(values, 8)))
        } else {
            (u64_at(values, 4), u64_at(values, 12))
        };
        if (u32_at(values, 0), compressed, size) != (entry.crc32, entry.compressed_size, entry.size) {
            return Err(refused("its data descriptor and the zip directory differ"));
        }
        Ok(())
    }
}

fn check_crc(entry: &WheelEntry, got: u32) -> Result<()> {
    if got == entry.crc32 {
        return Ok(());
    }
    Err(refused(format!("got CRC-32 {got:08x}, expected {:08x}", entry.crc32)))
}

fn wrong_size(entry: &WheelEntry, got: u64) -> Error {
    refused(format!("it inflates to {got} bytes, expected {}", entry.size))
}

fn too_long(entry: &WheelEntry) -> Error {
    refused(format!("it inflates to more than the {} bytes it declares", entry.size))
}

fn damaged() -> Error {
    refused("its deflate stream is damaged or cut off")
}
