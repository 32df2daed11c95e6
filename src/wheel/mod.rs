//! A verified wheel file, read: its entries, RECORD, entry points and metadata. Nothing is unpacked here.

use std::{fs::File, sync::Arc};

use crate::{
    cache::VerifiedFile,
    vocab::{RelPath, Sha256, WheelName},
};

/// A wheel that was opened and whose structure was checked. Reading is positional (`pread`), so one
/// open file serves all threads and nothing is mapped.
#[derive(Debug, Clone)]
pub struct Wheel {
    /// Its file name, parsed. The version here is the one the file name gives.
    pub name: WheelName,
    /// The file it was read from.
    pub file: VerifiedFile,
    /// The open file.
    pub handle: Arc<File>,
    /// `NAME-VERSION.dist-info` as the wheel spells it.
    pub dist_info: RelPath,
    /// `NAME-VERSION.data` as the wheel spells it, if it has one.
    pub data_dir: Option<RelPath>,
    /// `Root-Is-Purelib` of the WHEEL file.
    pub root_is_purelib: bool,
    /// Every file entry in the archive's order; directories are left out, RECORD and its signatures too.
    pub entries: Vec<WheelEntry>,
    /// Console and gui scripts of `entry_points.txt`, in the order of the file.
    pub scripts: Vec<EntryPoint>,
}

/// One file inside a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelEntry {
    /// Its path inside the archive.
    pub path: RelPath,
    /// Where its local header begins in the file.
    pub header_offset: u64,
    /// Where its (compressed) bytes begin; checked against the local header when the wheel is opened.
    pub data_offset: u64,
    /// Its size inside the archive.
    pub compressed_size: u64,
    /// Its size once inflated.
    pub size: u64,
    /// The CRC-32 of its inflated bytes.
    pub crc32: u32,
    /// How it is stored.
    pub method: Method,
    /// Whether the archive marks it executable (any execute bit of the external attributes' Unix mode).
    pub executable: bool,
    /// The digest that RECORD gives; `None` where RECORD lacks it (a warning was made).
    pub sha256: Option<Sha256>,
}

/// The zip methods a wheel may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Method {
    Stored,
    Deflated,
}

/// A console or gui script (entry points specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPoint {
    /// The script's name: one path component, checked.
    pub name: RelPath,
    /// The module to import, checked: dotted identifiers.
    pub module: String,
    /// The object to call, checked: dotted identifiers.
    pub function: String,
    /// Whether it stands under `gui_scripts`.
    pub gui: bool,
}
