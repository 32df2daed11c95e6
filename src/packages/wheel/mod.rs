//! A verified wheel file, read: its entries, RECORD, entry points and metadata. Nothing is unpacked here.
//!
//! The archive's directory is read by our own strict reader ([`zip_directory`]): a wheel that two zip
//! readers could see differently is refused, so that what was reviewed is what is installed.

mod access;
mod as_recorded;
pub(crate) mod deflate;
mod dist_info;
mod entry_points;
mod handle;
pub(crate) mod proof;
mod read;
mod record;
#[cfg(test)]
#[allow(unreachable_pub)]
#[path = "../../../tests/suite/support/wheel.rs"]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod zip_directory;

use std::sync::Arc;

use access::Access;
pub(crate) use access::LARGE_ENTRY;
use as_recorded::AsRecorded;
use handle::Handle;
pub(crate) use proof::{HEAD as PROOF_HEAD, Proof, Proven, Section};
pub(crate) use read::{Checked, Content, STREAM_LIMIT, Scratch, Taker, with_scratch};

use crate::{
    packages::cache::VerifiedFile,
    words::{
        error::{Context as _, Error, Kind, Result, Warnings},
        vocab::{RelPath, Sha256, WheelName},
    },
};

/// The largest file of `.dist-info` that is read when a wheel is opened.
const TEXT_LIMIT: u64 = 4 * STREAM_LIMIT;

/// A wheel that was opened and whose structure was checked. Reading is positional (`pread`), so one
/// open file serves all threads and nothing is mapped.
#[derive(Debug, Clone)]
pub(crate) struct Wheel {
    /// Its file name, parsed. The version here is the one the file name gives.
    pub name: WheelName,
    /// The file it was read from.
    pub file: VerifiedFile,
    /// The open file.
    handle: Handle,
    as_recorded: AsRecorded,
    access: Access,
    /// `NAME-VERSION.dist-info` as the wheel spells it.
    pub dist_info: RelPath,
    /// `NAME-VERSION.data` as the wheel spells it, if it has one.
    pub data_dir: Option<RelPath>,
    /// Every file entry in the archive's order; directories are left out, RECORD and its signatures too.
    pub entries: Vec<WheelEntry>,
    /// Console and gui scripts of `entry_points.txt`, in the order of the file.
    pub scripts: Vec<EntryPoint>,
}

/// One file inside a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WheelEntry {
    /// Its path inside the archive.
    pub path: RelPath,
    /// Where its local header begins in the file.
    pub header_offset: u64,
    /// Bytes from there to the next local header or the central directory: local header, data and
    /// data descriptor, nothing else. The local header is checked when the entry is read.
    pub span: u64,
    /// Its size inside the archive.
    pub compressed_size: u64,
    /// Its size once inflated.
    pub size: u64,
    /// The CRC-32 of its inflated bytes.
    pub crc32: u32,
    /// How it is stored.
    pub method: Method,
    /// Whether the archive marks it executable (a regular file with any execute bit, as pip has it).
    pub executable: bool,
    /// The digest that RECORD gives; `None` where RECORD lacks it (a warning was made).
    pub sha256: Option<Sha256>,
}

/// The zip methods a wheel may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub(crate) enum Method {
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

/// What happens where a wheel contradicts its own RECORD, or its archive is odd and still clear. The wheel as a whole is what the lock pins,
/// so this is not a matter of integrity but of care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Strictness {
    /// It is installed, with a warning.
    #[default]
    Warn,
    /// It is refused (`--strict`).
    Refuse,
}

impl Wheel {
    /// Opens a wheel and checks its structure: the zip directory, its one `.dist-info`, METADATA, WHEEL,
    /// RECORD and entry points (binary distribution format, Wheel-Version 1.x).
    pub(crate) fn open(
        file: VerifiedFile,
        name: WheelName,
        strictness: Strictness,
    ) -> Result<(Wheel, Warnings)> {
        let subject = name.file_name.clone();
        Self::read(file, name, strictness).context(|| format!("cannot use wheel {subject}"))
    }

    fn read(file: VerifiedFile, name: WheelName, strictness: Strictness) -> Result<(Wheel, Warnings)> {
        let open = Arc::new(file.open()?);
        let handle = Handle::of(&open);
        let mut contents = zip_directory::read(&open, file.path(), file.size())?;
        contents.unify(|entry| {
            read::stream(&open, file.path(), entry, None, None, &mut |_| Ok(())).map(|checked| checked.sha256)
        })?;
        let odd = std::mem::take(&mut contents.complaints);
        let index = contents.index()?;
        let entries = &contents.files;

        let dist_info = dist_info::find(entries, ".dist-info", &name)?.ok_or_else(|| {
            refused(format!("it has no {}-{}.dist-info directory", name.name.for_file_name(), name.version))
        })?;
        let data_dir = dist_info::find(entries, ".data", &name)?;
        let text = |name: &str| -> Result<Option<Vec<u8>>> {
            let Some(&at) = index.get(format!("{dist_info}/{name}").as_str()) else { return Ok(None) };
            if entries[at].size > TEXT_LIMIT {
                return Err(refused(format!("{dist_info}/{name} is larger than {TEXT_LIMIT} bytes")));
            }
            with_scratch(|scratch| {
                read::bytes(&open, file.path(), &entries[at], scratch).map(|bytes| Some(bytes.to_vec()))
            })
        };
        let required = |file: &str| -> Result<Vec<u8>> {
            text(file)?.ok_or_else(|| refused(format!("{dist_info}/{file} is missing")))
        };

        let mut warnings = Warnings::default();
        dist_info::check_metadata(&required("METADATA")?, &dist_info, &name)?;
        dist_info::check_wheel_file(&required("WHEEL")?, &dist_info, &mut warnings)?;
        let record = record::parse(&required("RECORD")?, entries, &index, &dist_info);
        let (scripts, odd_scripts) = match text("entry_points.txt")? {
            Some(bytes) => entry_points::parse(&bytes)
                .context(|| format!("{dist_info}/entry_points.txt cannot be used"))?,
            None => (Vec::new(), Vec::new()),
        };
        drop(index);

        for (what, complaints) in [
            ("its archive".to_owned(), odd),
            (format!("{dist_info}/RECORD"), record.complaints),
            (format!("{dist_info}/entry_points.txt"), odd_scripts),
        ] {
            if strictness == Strictness::Refuse && !complaints.is_empty() {
                let parts = complaints.into_iter().map(refused).collect();
                return Err(Error::all(Kind::Integrity, format!("{what} is not right"), parts)
                    .help("leave out --strict to install the wheel as the lock pins it"));
            }
            for complaint in complaints {
                warnings.push(complaint);
            }
        }
        let warnings = warnings.0.into_iter().map(|w| format!("{name}: {w}")).collect();

        let mut kept = Vec::with_capacity(entries.len());
        for (mut entry, sha256) in contents.files.into_iter().zip(record.digests) {
            if !record::is_record_or_signature(&entry.path, &dist_info) {
                entry.sha256 = sha256;
                kept.push(entry);
            }
        }
        let as_recorded = AsRecorded::nothing(kept.len());
        let access = Access::default();
        let wheel =
            Wheel { name, file, handle, as_recorded, access, dist_info, data_dir, entries: kept, scripts };
        Ok((wheel, warnings))
    }

    /// What to say where an entry's bytes have not the digest that RECORD gives; `None` if they have, or
    /// if RECORD gives none (which `open` complained about). The caller warns or refuses.
    pub(crate) fn contradiction(&self, position: usize, actual: Sha256) -> Option<Error> {
        let entry = &self.entries[position];
        let recorded = entry.sha256?;
        if recorded == actual {
            self.as_recorded.found(position);
        }
        (recorded != actual).then(|| {
            refused(format!(
                "{}: {}: got sha256:{actual}, expected sha256:{recorded} as its RECORD says",
                self.name, entry.path
            ))
            .help("the lock pins the wheel as a whole, and that digest is right; ask its authors to repair RECORD")
        })
    }
}

/// A wheel that is not what it should be.
fn refused(message: impl Into<String>) -> Error {
    Error::new(Kind::Integrity, message)
}
