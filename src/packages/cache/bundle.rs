//! A cache in one tar: what `warm -o FILE.tar` writes and `--cache-from FILE.tar` reads, where it lies.

use std::{
    collections::HashMap,
    fs::{File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{Below, Cache, Item, LAYOUT, files, unsharded};
use crate::words::{
    error::{Error, Result},
    files::open_regular,
    vocab::Sha256,
};

/// A part of the open tar.
#[derive(Debug, Clone, Copy)]
struct Span {
    at: u64,
    size: u64,
}

/// A tar whose members are known by their places.
#[derive(Debug)]
pub(crate) struct Bundle {
    path: PathBuf,
    file: Arc<File>,
    records: HashMap<PathBuf, Span>,
    files: HashMap<Sha256, (String, Span)>,
}

impl Bundle {
    /// Reads the headers of a tar. One that ends too early is good for what it has: every file in it has a digest.
    ///
    /// # Errors
    /// Where it cannot be opened, or is no tar of a cache.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let cannot = |error| Error::io("cannot read", path, error);
        let file = open_regular(path).map_err(cannot)?;
        let mut bundle = Bundle {
            path: path.to_owned(),
            file: Arc::new(file),
            records: HashMap::new(),
            files: HashMap::new(),
        };
        let reader = Arc::clone(&bundle.file);
        let mut archive = tar::Archive::new(&*reader);
        for entry in archive.entries_with_seek().map_err(cannot)? {
            let Ok(entry) = entry else { break };
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let span = Span { at: entry.raw_file_position(), size: entry.size() };
            let Some(place) = entry.path().ok().and_then(|path| below_layout(&path)) else { continue };
            match file_of(&place, span.size) {
                Some((sha256, name)) => drop(bundle.files.insert(sha256, (name, span))),
                None => drop(bundle.records.insert(place, span)),
            }
        }
        if bundle.files.is_empty() && bundle.records.is_empty() {
            let none = io::Error::new(io::ErrorKind::InvalidData, "it is no uncompressed tar of a cache");
            return Err(cannot(none));
        }
        Ok(bundle)
    }

    /// The digests that files of it should have.
    pub(crate) fn digests(&self) -> Vec<Sha256> {
        self.files.keys().copied().collect()
    }

    /// Where its records are, below the layout's directory.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        self.records.keys().cloned().collect()
    }
}

impl Below for Bundle {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn is_near(&self) -> bool {
        true
    }

    fn look(&self, sha256: &Sha256) -> Option<(u64, String)> {
        self.files.get(sha256).map(|(name, span)| (span.size, name.clone()))
    }

    fn open(&self, sha256: &Sha256) -> Result<Option<Box<dyn Read + Send>>> {
        let Some((_, span)) = self.files.get(sha256) else { return Ok(None) };
        Ok(Some(Box::new(Part {
            file: Arc::clone(&self.file),
            at: span.at,
            end: span.at.saturating_add(span.size),
        })))
    }

    fn record(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let Some(span) = self.records.get(path) else { return Ok(None) };
        let mut bytes = Vec::new();
        let mut part =
            Part { file: Arc::clone(&self.file), at: span.at, end: span.at.saturating_add(span.size) };
        part.read_to_end(&mut bytes).map_err(|error| Error::io("cannot read", &self.path, error))?;
        Ok(Some(bytes))
    }
}

/// A part of a file, read from its beginning. The file may have become shorter: that is an error, not an end.
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        if left == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..left], self.at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// What comes after the layout's directory, wherever that is in the tar.
fn below_layout(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components().skip_while(|part| part.as_os_str() != LAYOUT);
    parts.next()?;
    let rest: PathBuf = parts.clone().collect();
    parts.all(|part| matches!(part, Component::Normal(_))).then_some(rest)
}

/// The digest and name of `files/ab/cdef.../SIZE/NAME`.
fn file_of(place: &Path, size: u64) -> Option<(Sha256, String)> {
    let parts: Vec<_> = place.iter().collect();
    let [kind, shard, rest, length, name] = parts[..] else { return None };
    let right = kind == files::KIND && length.to_str()?.parse() == Ok(size);
    right.then_some(())?;
    Some((unsharded(shard, rest)?, name.to_str()?.to_owned()))
}

impl Cache {
    /// Writes a tar that holds these things of the cache, by their paths below the layout's directory: files in the
    /// order given, with nothing in their headers that depends on who wrote them. What is not there any more is an error.
    pub fn bundle(&self, paths: &[PathBuf], out: &mut dyn Write) -> Result<()> {
        let mut builder = tar::Builder::new(out);
        for path in paths {
            let file = self.open_kept(path)?;
            let named = |error| Error::io("cannot write into the tar", path, error);
            let mut header = tar::Header::new_gnu();
            header.set_size(file.metadata().map_err(named)?.len());
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_entry_type(tar::EntryType::Regular);
            builder.append_data(&mut header, Path::new(LAYOUT).join(path), &file).map_err(named)?;
        }
        builder.finish().map_err(|error| Error::io("cannot write into the tar", Path::new(LAYOUT), error))
    }

    /// Copies these things into another cache's directory, which is made if need be: as clones where that can be. Says
    /// how many bytes they have.
    pub fn copy_to(&self, paths: &[PathBuf], to: &Path) -> Result<u64> {
        let mut bytes = 0;
        std::fs::create_dir_all(to).map_err(|error| Error::io("cannot make the directory", to, error))?;
        for path in paths {
            let place = to.join(LAYOUT).join(path);
            let cannot = |error| Error::io("cannot write", &place, error);
            let parent = place.parent().unwrap_or(to);
            std::fs::create_dir_all(parent).map_err(cannot)?;
            let temporary = tempfile::Builder::new().prefix(".part-").tempfile_in(parent).map_err(cannot)?;
            let source = self.open_kept(path)?;
            bytes += source.metadata().map_err(cannot)?.len();
            if rustix::fs::ioctl_ficlone(temporary.as_file(), &source).is_err() {
                io::copy(&mut &source, &mut temporary.as_file())
                    .map_err(|error| Error::io("cannot copy to", &place, error))?;
            }
            temporary.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(cannot)?;
            temporary.persist(&place).map_err(|error| cannot(error.error))?;
        }
        Ok(bytes)
    }

    /// The files that a thing of the cache consists of, by their paths below the layout's directory.
    pub fn files_of(&self, item: &Item) -> Vec<PathBuf> {
        let Some(root) = self.0.roots.first() else { return Vec::new() };
        let Ok(dir) = root.below(&item.path) else { return vec![item.path.clone()] };
        let mut files = Vec::new();
        dir.walk(&mut |at, name, _| {
            let path = at.path().join(name);
            files.extend(path.strip_prefix(root.path()).ok().map(Path::to_owned));
        });
        files
    }

    /// The contents of something that is kept, by its path below the layout's directory.
    pub fn read_kept_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open_kept(path).map_err(io::Error::other)?;
        crate::words::files::read(&file, super::keyed::LIMIT)
    }

    /// Whether something is kept, by its path below the layout's directory.
    pub fn holds(&self, path: &Path) -> bool {
        self.open_kept(path).is_ok()
    }

    /// Opens something that is kept, wherever among the directories it is.
    fn open_kept(&self, path: &Path) -> Result<File> {
        let gone = || {
            Error::io("cannot open", path, io::ErrorKind::NotFound.into())
                .help("run the same command again, and do not clear the cache meanwhile")
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(gone()) };
        let open = |root: &super::Dir| root.below(parent).ok()?.file(name).ok();
        self.roots().chain(self.directories_below()).find_map(open).ok_or_else(gone)
    }
}
