//! Regular files: opened without waiting, read within a limit.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Resource, getrlimit},
};
use walkdir::{DirEntry, WalkDir};

/// The largest lock, Pipfile, `.env` or other text that is read, in bytes: a hundred times the largest real ones.
pub(crate) const LARGEST_TEXT: u64 = 256 << 20;

/// The room for a file that is said to be smaller, in bytes: those in /proc are said to be empty.
const LEAST_ROOM: u64 = 4096;

/// How many files of one kind may stay open at once: a quarter of what the process may open, as connections, files that
/// arrive and those that are written need theirs.
pub(crate) fn share_of_descriptors() -> u64 {
    static SHARE: OnceLock<u64> = OnceLock::new();
    *SHARE.get_or_init(|| getrlimit(Resource::Nofile).current.map_or(u64::MAX, |limit| limit / 4))
}

/// Whether there is no room left, on the disk or for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Opens a regular file to read it. Anything else is an error at once: a FIFO would wait for a writer, a device may
/// never end.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    regular(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// The same file, if it is a regular one.
pub(crate) fn regular(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(ErrorKind::IsADirectory.into())
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Everything in a file, if that is no more than `limit` bytes.
pub(crate) fn read(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    // With room for all of it the system is asked twice, otherwise once for each doubling of the room.
    let expected = file.metadata()?.len().max(LEAST_ROOM).min(limit);
    let expected = usize::try_from(expected).map_err(io::Error::other)?;
    let mut bytes = vec![0; expected.saturating_add(1)];
    let mut filled = 0;
    while filled < bytes.len() {
        match (&*file).read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    // Longer than it said: it grows, or its length is not known beforehand, as in /proc.
    if filled > expected {
        file.take(limit.saturating_add(1) - filled as u64).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// A regular file's contents, if they are no more than `limit` bytes.
pub(crate) fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read(&open_regular(path)?, limit)
}

/// A regular file's contents as text, if they are no more than `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let bytes = read(&open_regular(path)?, limit)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "not UTF-8"))
}

/// Everything below a directory, links not followed: a directory before what is in it, sorted by name. An error comes with the
/// path that cannot be read.
///
/// Whatever is written into, removed or held against others goes by handles instead, as paths may lead elsewhere by then: the cache
/// (`packages::cache`), and environments while they are changed (`artifact::write`).
pub(crate) fn below(top: &Path) -> impl Iterator<Item = Result<DirEntry, (PathBuf, io::Error)>> {
    let top = top.to_path_buf();
    WalkDir::new(&top).min_depth(1).sort_by_file_name().into_iter().map(move |entry| {
        entry.map_err(|error| {
            let path = error.path().unwrap_or(&top).to_path_buf();
            (path, error.into())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0)
            .expect("a pipe");
        for path in [&pipe, Path::new("/dev/zero"), Path::new("/dev/null")] {
            let error = open_regular(path).expect_err("no file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}: {error}", path.display());
        }
        let error = open_regular(directory.path()).expect_err("no file");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn files_are_read_to_their_end_whatever_length_they_say() {
        let directory = tempfile::tempdir().expect("a directory");
        for length in [0, 1, 4095, 4096, 4097, 100_000] {
            let path = directory.path().join("file");
            let bytes: Vec<u8> = (0..length).map(|at: usize| at.to_le_bytes()[0]).collect();
            std::fs::write(&path, &bytes).expect("written");
            assert_eq!(read_regular(&path, LARGEST_TEXT).expect("a file"), bytes);
            assert_eq!(read_regular(&path, length as u64).expect("a file"), bytes);
            if let Some(less) = length.checked_sub(1) {
                let error = read_regular(&path, less as u64).expect_err("too large");
                assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            }
        }
        // Said to be empty, and longer than the least room.
        let text = read_text(Path::new("/proc/kallsyms"), LARGEST_TEXT)
            .or_else(|_| read_text(Path::new("/proc/self/smaps"), LARGEST_TEXT));
        if cfg!(target_os = "linux") {
            assert!(text.is_ok_and(|text| text.len() > 4096));
        }
    }

    #[test]
    fn files_are_read_through_links_and_up_to_a_limit() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "text").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        assert_eq!(read_regular(&link, 4).expect("a file"), b"text");
        assert_eq!(read_regular(&link, 3).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
    }
}
