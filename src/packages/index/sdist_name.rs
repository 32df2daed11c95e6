//! File names of source distributions, in the form of PEP 625 and in the older ones.

use crate::words::vocab::{ArchiveFormat, PackageName, Version};

/// A source distribution's file name, read for a known package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SdistName {
    /// The version as the file name writes it (a legacy version need not be one of PEP 440).
    pub written: String,
    /// The version, where it is one of PEP 440.
    pub version: Option<Version>,
    /// The archive's format.
    pub format: ArchiveFormat,
}

impl SdistName {
    /// Reads a file name as a source distribution of `name`; `None` where it is something else.
    ///
    /// `NAME-VERSION.tar.gz` with any spelling of the name: old names hold dashes, so the name's end is
    /// wherever what stands before a dash is this package, the first that leaves a version counts.
    pub(crate) fn parse(file_name: &str, name: &PackageName) -> Option<Self> {
        let (stem, format) = ArchiveFormat::split(file_name)?;
        let mut legacy = None;
        for (at, _) in stem.match_indices('-') {
            let (prefix, written) = (&stem[..at], &stem[at + 1..]);
            if written.is_empty() || !prefix.parse::<PackageName>().is_ok_and(|prefix| prefix == *name) {
                continue;
            }
            // Old tools wrote `_` for what PEP 440 writes as `+`.
            let version = written.parse().or_else(|_| written.replacen('_', "+", 1).parse()).ok();
            let read = SdistName { written: written.to_owned(), version, format };
            if read.version.is_some() {
                return Some(read);
            }
            legacy = legacy.or(Some(read));
        }
        legacy
    }
}
