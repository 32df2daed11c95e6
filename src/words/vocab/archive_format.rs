//! The formats that source distributions are packed in, by how a file's name ends.

/// An archive format of source distributions (PEP 527, and what older files on indexes use), the preferred first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "they are the endings' names")]
pub(crate) enum ArchiveFormat {
    TarGz,
    Zip,
    TarBz2,
    TarXz,
    Tar,
}

/// The only table of these endings: what an index lists, what is chosen and what can be unpacked are the same.
const ENDINGS: [(&str, ArchiveFormat); 8] = [
    (".tar.gz", ArchiveFormat::TarGz),
    (".tgz", ArchiveFormat::TarGz),
    (".zip", ArchiveFormat::Zip),
    (".tar.bz2", ArchiveFormat::TarBz2),
    (".tbz", ArchiveFormat::TarBz2),
    (".tar.xz", ArchiveFormat::TarXz),
    (".txz", ArchiveFormat::TarXz),
    (".tar", ArchiveFormat::Tar),
];

impl ArchiveFormat {
    /// What a file's name stands for: what comes before the ending, in any letter case, and the format.
    pub(crate) fn split(file_name: &str) -> Option<(&str, Self)> {
        ENDINGS.into_iter().find_map(|(ending, format)| {
            let at = file_name.len().checked_sub(ending.len())?;
            let end = file_name.get(at..)?;
            end.eq_ignore_ascii_case(ending).then(|| (&file_name[..at], format))
        })
    }

    /// The endings for a message: `.tar.gz, .tgz, .zip ...`.
    pub(crate) fn endings() -> String {
        ENDINGS.map(|(ending, _)| ending).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_before_its_ending() {
        assert_eq!(ArchiveFormat::split("Demo-1.0.TAR.XZ"), Some(("Demo-1.0", ArchiveFormat::TarXz)));
        assert_eq!(ArchiveFormat::split(".tgz"), Some(("", ArchiveFormat::TarGz)));
        for name in ["", "tar", "demo.gz", "demo-1.0.tar.lz", "d\u{f6}"] {
            assert_eq!(ArchiveFormat::split(name), None, "{name}");
        }
    }
}
