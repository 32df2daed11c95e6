//! The directory of a zip archive (APPNOTE 6.3), read strictly: what another reader could take
//! differently (bytes before or after, overlaps, gaps, two files of one name, odd methods) is refused. What is odd
//! and can be taken in one way only is a complaint: NUL bytes after the archive's end, an entry that is there twice
//! with the same bytes, one that is marked as a symbolic link (a file with the link's text, as pip has it).

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::{Method, WheelEntry, refused};
use crate::words::{
    error::{Context as _, Error, Result},
    vocab::{RelPath, Sha256},
};

/// Enough for the central directory of most wheels: one read does.
const TAIL: u64 = 32 * 1024;
const END: &[u8] = b"PK\x05\x06";
const END_SIZE: usize = 22;
const END64: &[u8] = b"PK\x06\x06";
const END64_SIZE: usize = 56;
const LOCATOR64: &[u8] = b"PK\x06\x07";
const LOCATOR64_SIZE: usize = 20;
const CENTRAL: &[u8] = b"PK\x01\x02";
const CENTRAL_SIZE: usize = 46;
/// A local header without name and extra field.
pub(super) const LOCAL_SIZE: usize = 30;
/// The longest data descriptor: signature, CRC-32 and two 64-bit sizes.
const DESCRIPTOR_SIZE: u64 = 24;

/// The version of the format (6.3) that readers know.
const NEWEST: u8 = 63;

/// Encrypted, patched, strongly encrypted, masked headers.
pub(super) const REFUSED_FLAGS: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;
const UTF8: u16 = 1 << 11;

/// What an archive of `size` bytes holds.
pub(super) fn read(file: &File, path: &Path, size: u64) -> Result<Contents> {
    let on_disk = file.metadata().map_err(|e| Error::io("cannot read", path, e))?.len();
    if on_disk != size {
        return Err(refused(format!("got a file of {on_disk} bytes, expected {size}: it was changed")));
    }
    let read = |from: u64, to: u64| -> Result<Vec<u8>> {
        let mut bytes = vec![0; len(to - from)?];
        file.read_exact_at(&mut bytes, from).map_err(|e| Error::io("cannot read", path, e))?;
        Ok(bytes)
    };
    let mut tail_start = size.saturating_sub(TAIL);
    let mut tail = read(tail_start, size)?;
    let mut end = find_end(&tail)?;
    if end.is_none() {
        // A comment may be up to 64 KiB long.
        tail_start = size.saturating_sub(END_SIZE as u64 + u64::from(u16::MAX));
        tail = read(tail_start, size)?;
        end = find_end(&tail)?;
    }
    let (end, padding) = end.ok_or_else(|| refused("it is not a zip archive: there is no end record"))?;
    let directory = directory(&tail, tail_start, end)?;
    let first = directory.start;
    let bytes = if first >= tail_start {
        let from = len(first - tail_start)?;
        tail.get(from..from + directory.size).ok_or_else(truncated)?.to_vec()
    } else {
        read(first, first + directory.size as u64)?
    };
    let mut contents = entries(&bytes, &directory)?;
    if padding > 0 {
        contents.complaints.push(format!("{padding} NUL bytes follow the end of the zip archive"));
    }
    Ok(contents)
}

/// Where the central directory is.
struct Directory {
    start: u64,
    size: usize,
    count: u64,
}

/// Where the end record is, and how many NUL bytes follow the archive: some tools pad files to whole blocks.
fn find_end(tail: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(at) = memchr::memmem::rfind(tail, END) else { return Ok(None) };
    let comment = tail.get(at + 20..at + END_SIZE).map(|b| usize::from(u16_at(b, 0)));
    match comment.and_then(|comment| tail.get(at + END_SIZE + comment..)) {
        Some(after) if after.iter().all(|byte| *byte == 0) => Ok(Some((at, after.len()))),
        _ => Err(refused("bytes follow the end of the zip archive, or its end is cut off")),
    }
}

fn directory(tail: &[u8], tail_start: u64, end: usize) -> Result<Directory> {
    let record = &tail[end..end + END_SIZE];
    let mut disks = [u16_at(record, 4), u16_at(record, 6)].map(u32::from);
    let mut counts = [u16_at(record, 8), u16_at(record, 10)].map(u64::from);
    let mut size = u64::from(u32_at(record, 12));
    let mut start = u64::from(u32_at(record, 16));
    let mut stop = tail_start + end as u64;

    if let Some(at) = end.checked_sub(LOCATOR64_SIZE)
        && tail[at..].starts_with(LOCATOR64)
    {
        let at64 = at
            .checked_sub(END64_SIZE)
            .filter(|&at64| {
                tail[at64..].starts_with(END64)
                    && u64_at(tail, at64 + 4) == END64_SIZE as u64 - 12
                    && u64_at(tail, at + 8) == tail_start + at64 as u64
            })
            .ok_or_else(|| refused("its zip64 end record is not right before its locator"))?;
        let record64 = &tail[at64..at64 + END64_SIZE];
        // Every field of the classic record is either the same or says "see zip64".
        let wide = [u64_at(record64, 24), u64_at(record64, 32), u64_at(record64, 40), u64_at(record64, 48)];
        let narrow = [counts[0], counts[1], size, start];
        let limits = [u64::from(u16::MAX), u64::from(u16::MAX), u64::from(u32::MAX), u64::from(u32::MAX)];
        if (0..4).any(|i| narrow[i] != wide[i] && narrow[i] != limits[i]) {
            return Err(refused("its two end records (zip and zip64) disagree"));
        }
        for disk in &mut disks {
            *disk = if *disk == u32::from(u16::MAX) { 0 } else { *disk };
        }
        if u32_at(record64, 16) != 0 || u32_at(record64, 20) != 0 || u32_at(tail, at + 4) != 0 {
            disks[0] = 1;
        }
        counts = [wide[0], wide[1]];
        (size, start) = (wide[2], wide[3]);
        stop = tail_start + at64 as u64;
    }
    if disks != [0, 0] || counts[0] != counts[1] {
        return Err(refused("it is one part of a zip archive in several files"));
    }
    if start.checked_add(size) != Some(stop) {
        return Err(refused(format!(
            "its central directory should end at byte {stop}, got {size} bytes from byte {start}: \
             something stands before or after the archive"
        )));
    }
    if counts[0].checked_mul(CENTRAL_SIZE as u64).is_none_or(|least| least > size) {
        return Err(refused(format!("{} entries do not fit a directory of {size} bytes", counts[0])));
    }
    Ok(Directory { start, size: len(size)?, count: counts[0] })
}

fn entries(mut bytes: &[u8], directory: &Directory) -> Result<Contents> {
    let count = len(directory.count)?;
    let mut files: Vec<WheelEntry> = Vec::with_capacity(count);
    let mut folders: Vec<RelPath> = Vec::new();
    let mut complaints = Vec::new();
    // (header's offset, least end, position among the files)
    let mut spans: Vec<(u64, u64, Option<usize>)> = Vec::with_capacity(count);
    for number in 1..=count {
        let Central { entry, is_folder, is_link, rest } =
            central(bytes).context(|| format!("entry {number} of its zip directory is refused"))?;
        bytes = rest;
        if is_link {
            complaints.push(format!(
                "entry {:?} is a symbolic link, taken as a file with the link's text",
                entry.path.as_str()
            ));
        }
        let least_end = entry
            .header_offset
            .checked_add((LOCAL_SIZE + entry.path.as_str().len()) as u64 + u64::from(is_folder))
            .and_then(|end| end.checked_add(entry.compressed_size))
            .filter(|&end| end <= directory.start)
            .ok_or_else(|| {
                refused(format!("entry {:?} reaches past the archive's data", entry.path.as_str()))
            })?;
        spans.push((entry.header_offset, least_end, (!is_folder).then_some(files.len())));
        if is_folder {
            folders.push(entry.path);
        } else {
            files.push(entry);
        }
    }
    if !bytes.is_empty() {
        return Err(refused(format!("its zip directory holds more than the {count} entries it announces")));
    }

    spans.sort_unstable();
    if spans.first().map_or(directory.start, |first| first.0) != 0 {
        return Err(refused("something stands before the archive's first entry"));
    }
    for (i, &(offset, least_end, file)) in spans.iter().enumerate() {
        let next = spans.get(i + 1).map_or(directory.start, |next| next.0);
        let named = || file.map_or("a directory", |f| files[f].path.as_str());
        if next < least_end {
            return Err(refused(format!("entry {:?} overlaps the one after it", named())));
        }
        // The extra field's length is in the local header; what it cannot explain is a gap for certain.
        if next - least_end > u64::from(u16::MAX) + DESCRIPTOR_SIZE {
            return Err(refused(format!("bytes that belong to no entry follow entry {:?}", named())));
        }
        if let Some(file) = file {
            files[file].span = next - offset;
        }
    }

    Ok(Contents { files, folders, complaints })
}

/// What an archive holds.
pub(super) struct Contents {
    /// The file entries in the archive's order.
    pub files: Vec<WheelEntry>,
    folders: Vec<RelPath>,
    /// What is odd about the archive, each in a sentence.
    pub complaints: Vec<String>,
}

impl Contents {
    /// Leaves one of several entries of one path that `digest` finds to have the same bytes: the last one, as pip and
    /// Python's `zipfile` have it.
    ///
    /// # Errors
    /// [`crate::words::error::Kind::Integrity`] where their bytes differ: readers would see different files.
    pub(super) fn unify(&mut self, digest: impl Fn(&WheelEntry) -> Result<Sha256>) -> Result<()> {
        let mut last: HashMap<&str, usize> = HashMap::with_capacity(self.files.len());
        let mut superfluous = HashSet::new();
        for (at, file) in self.files.iter().enumerate() {
            let Some(before) = last.insert(file.path.as_str(), at) else { continue };
            let earlier = &self.files[before];
            let alike = (earlier.size, earlier.crc32) == (file.size, file.crc32);
            if !alike || digest(earlier)? != digest(file)? {
                let path = file.path.as_str();
                return Err(refused(format!("entry {path:?} is there twice, with different bytes")));
            }
            superfluous.insert(before);
            self.complaints
                .push(format!("entry {:?} is there twice, with the same bytes", file.path.as_str()));
        }
        if !superfluous.is_empty() {
            let mut at = 0..;
            self.files.retain(|_| at.next().is_none_or(|at: usize| !superfluous.contains(&at)));
        }
        Ok(())
    }

    /// The position of every file by its path; a path that is there twice is refused.
    pub(super) fn index(&self) -> Result<HashMap<&str, usize>> {
        let mut index = HashMap::with_capacity(self.files.len());
        for (at, file) in self.files.iter().enumerate() {
            if index.insert(file.path.as_str(), at).is_some() {
                return Err(refused(format!("entry {:?} is there twice", file.path.as_str())));
            }
        }
        if let Some(both) = self.folders.iter().find(|folder| index.contains_key(folder.as_str())) {
            return Err(refused(format!("entry {:?} is both a file and a directory", both.as_str())));
        }
        Ok(index)
    }
}

/// One central header.
struct Central<'b> {
    /// The entry; its span is not yet known.
    entry: WheelEntry,
    is_folder: bool,
    is_link: bool,
    /// What follows.
    rest: &'b [u8],
}

fn central(bytes: &[u8]) -> Result<Central<'_>> {
    let header = bytes.get(..CENTRAL_SIZE).ok_or_else(truncated)?;
    if !header.starts_with(CENTRAL) {
        return Err(refused("it does not begin with a central header's signature"));
    }
    let (flags, method) = (u16_at(header, 8), u16_at(header, 10));
    let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(header, at)));
    let mut at = CENTRAL_SIZE;
    let mut take = |len: usize| {
        let part = bytes.get(at..at + len).ok_or_else(truncated)?;
        at += len;
        Ok::<_, Error>(part)
    };
    let (name, extra, _) = (take(name)?, take(extra)?, take(comment)?);
    let name = std::str::from_utf8(name)
        .map_err(|_| refused(format!("its name is not UTF-8: {:?}", String::from_utf8_lossy(name))))?;
    if !name.is_ascii() && flags & UTF8 == 0 {
        return Err(refused(format!("its name {name:?} is not ASCII and not marked as UTF-8")));
    }
    let wrong = |why: &str| refused(format!("{name:?} {why}"));

    let is_folder = name.ends_with('/');
    let path: RelPath = name.strip_suffix('/').unwrap_or(name).parse()?;
    let mut sizes = Sizes {
        size: u64::from(u32_at(header, 24)),
        compressed: u64::from(u32_at(header, 20)),
        offset: Some(u64::from(u32_at(header, 42))),
    };
    sizes.widen(extra, name)?;
    let (size, compressed_size) = (sizes.size, sizes.compressed);

    if flags & REFUSED_FLAGS != 0 {
        return Err(wrong("is encrypted or patched"));
    }
    // Python's zipfile, and so pip, refuses them as well.
    if header[6] > NEWEST {
        return Err(wrong("needs a version of the zip format that is not known"));
    }
    if u16_at(header, 34) != 0 {
        return Err(wrong("lies in another file of a split archive"));
    }
    let method = match method {
        0 => Method::Stored,
        8 => Method::Deflated,
        other => {
            return Err(wrong(&format!("uses zip method {other}; expected 0 (stored) or 8 (deflate)")));
        }
    };
    let mode = u32_at(header, 38) >> 16;
    let is_link = mode & 0o170_000 == 0o120_000 && !is_folder;
    match mode & 0o170_000 {
        0 | 0o100_000 => {}
        0o040_000 if is_folder => {}
        0o120_000 if is_link => {}
        _ => return Err(wrong(&format!("has the file type of mode {mode:o}; expected a regular file"))),
    }
    if is_folder && size != 0 {
        return Err(wrong("is a directory with contents"));
    }
    if method == Method::Stored && compressed_size != size {
        return Err(wrong(&format!("is stored in {compressed_size} bytes, its size is {size}")));
    }
    // Deflate cannot do better than 258 bytes from two bits.
    if size / 1032 > compressed_size {
        return Err(wrong(&format!("claims to inflate from {compressed_size} to {size} bytes")));
    }
    let entry = WheelEntry {
        path,
        header_offset: sizes.offset.unwrap_or(0),
        span: 0,
        compressed_size,
        size,
        crc32: u32_at(header, 16),
        method,
        executable: mode & 0o170_000 == 0o100_000 && mode & 0o111 != 0,
        sha256: None,
    };
    Ok(Central { entry, is_folder, is_link, rest: &bytes[at..] })
}

/// The fields that a zip64 extra field may hold in place of a saturated one.
pub(super) struct Sizes {
    pub size: u64,
    pub compressed: u64,
    /// Only central headers have it.
    pub offset: Option<u64>,
}

impl Sizes {
    /// Reads an extra field: zip64 values where a field is saturated; a second name must be the same.
    pub(super) fn widen(&mut self, mut extra: &[u8], name: &str) -> Result<()> {
        let wrong = |why: &str| refused(format!("{name:?} has {why}"));
        let mut seen = false;
        while extra.len() >= 4 {
            let (id, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
            let mut field = extra.get(4..4 + len).ok_or_else(|| wrong("a damaged extra field"))?;
            extra = &extra[4 + len..];
            match id {
                1 => {
                    if std::mem::replace(&mut seen, true) {
                        return Err(wrong("two zip64 extra fields"));
                    }
                    let fields = [Some(&mut self.size), Some(&mut self.compressed), self.offset.as_mut()];
                    for value in fields.into_iter().flatten() {
                        if *value == u64::from(u32::MAX) {
                            if field.len() < 8 {
                                return Err(wrong("a zip64 extra field that is too short"));
                            }
                            *value = u64_at(field, 0);
                            field = &field[8..];
                        }
                    }
                }
                // Info-ZIP's Unicode path: version, CRC-32 of the name, name.
                0x7075 if field.get(5..) != Some(name.as_bytes()) => {
                    return Err(wrong("a second, different name"));
                }
                _ => {}
            }
        }
        // Some writers pad with fewer than four zero bytes.
        if extra.iter().any(|&byte| byte != 0) {
            return Err(wrong("a damaged extra field"));
        }
        Ok(())
    }
}

fn truncated() -> Error {
    refused("its zip directory is cut off")
}

/// A length that fits memory.
pub(super) fn len(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| refused(format!("{bytes} bytes do not fit this machine's memory")))
}

/// Two bytes, little endian; the caller has checked the length.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes, little endian; the caller has checked the length.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// Eight bytes, little endian; the caller has checked the length.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
