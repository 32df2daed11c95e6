//! A source distribution's archive in, its one directory out. Nothing a member says leaves that directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tar::EntryType;

use crate::words::{
    error::{Context as _, Error, Kind, Result},
    files::open_regular,
    vocab::{ArchiveFormat, RelPath},
};

/// What an archive may grow to. A source distribution beyond these is refused before the disk is full.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the whole archive once inflated.
    pub total: u64,
    /// Members, directories included.
    pub members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { total: 4 << 30, members: 500_000 }
    }
}

/// The longest PAX header or GNU long name that is read: no honest one comes near, and it is held in memory.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// What unpacking `.tar.xz` may hold in memory, in KiB: an archive says how much its window wants. `xz -9` wants 64 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// Unpacks `archive`, whose format `file_name` tells, into `into` (made here, must not exist yet) and
/// gives the directory that holds the project.
///
/// Modes are 0644 or 0755; times are the archive's, as makefiles compare them. Fails with
/// [`Kind::Integrity`] for absolute and escaping members, links that lead outside, devices, sizes that
/// contradict each other, and archives beyond `limits`.
pub fn unpack(archive: &Path, file_name: &str, into: &Path, limits: Limits) -> Result<PathBuf> {
    let file = open_regular(archive).map_err(|e| Error::io("cannot read", archive, e))?;
    unpack_file(file, file_name, into, limits)
}

/// [`unpack`] of a file that is open already: of a verified one, whose place may hold another by now.
pub(super) fn unpack_file(file: File, file_name: &str, into: &Path, limits: Limits) -> Result<PathBuf> {
    let (_, format) = ArchiveFormat::split(file_name).ok_or_else(|| {
        Error::new(
            Kind::Build,
            format!(
                "{file_name} is not a source distribution venvoy can unpack: expected {}",
                ArchiveFormat::endings()
            ),
        )
    })?;
    let file = BufReader::with_capacity(128 << 10, file);
    fs::create_dir(into).map_err(|e| Error::io("cannot create", into, e))?;
    let mut unpacker = Unpacker {
        root: into,
        limits,
        written: 0,
        members: 0,
        files: BTreeSet::new(),
        symlinks: BTreeMap::new(),
    };
    match format {
        ArchiveFormat::TarGz => unpacker.tar(flate2::read::MultiGzDecoder::new(file)),
        ArchiveFormat::TarBz2 => unpacker.tar(bzip2::read::MultiBzDecoder::new(file)),
        ArchiveFormat::TarXz => unpacker.tar(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY)),
        ArchiveFormat::Tar => unpacker.tar(file),
        ArchiveFormat::Zip => unpacker.zip(file),
    }
    .and_then(|()| unpacker.link())
    .and_then(|()| project_directory(into))
    .context(|| format!("cannot unpack {file_name}"))
}

struct Unpacker<'a> {
    root: &'a Path,
    limits: Limits,
    written: u64,
    members: usize,
    files: BTreeSet<RelPath>,
    symlinks: BTreeMap<RelPath, PathBuf>,
}

fn unsafe_member(member: &str, why: &str) -> Error {
    Error::new(Kind::Integrity, format!("member {member:?} {why}"))
        .help("the file does not look like a source distribution made by a build tool: do not use it")
}

fn damaged(error: io::Error) -> Error {
    Error::new(Kind::Integrity, "the archive is damaged").because(error)
}

impl Unpacker<'_> {
    fn count(&mut self) -> Result<()> {
        self.members += 1;
        if self.members > self.limits.members {
            return Err(Error::new(
                Kind::Integrity,
                format!("the archive has more than {} members", self.limits.members),
            ));
        }
        Ok(())
    }

    /// A member's path; `None` for the archive's own root (`./`).
    fn path(name: &str) -> Result<Option<RelPath>> {
        let trimmed = name.trim_end_matches('/');
        let inner: Vec<&str> = trimmed.split('/').filter(|part| *part != ".").collect();
        if trimmed.is_empty() && !name.starts_with('/') || inner.is_empty() {
            return Ok(None);
        }
        // An absolute path keeps its empty first component, which `RelPath` refuses.
        inner.join("/").parse().map(Some)
    }

    fn tar(&mut self, reader: impl Read) -> Result<()> {
        // Headers, padding and long names count as well: a bomb may be made of them.
        let limit = self.limits.total.saturating_add(self.limits.members as u64 * 1024);
        let mut archive = tar::Archive::new(reader.take(limit));
        let mut extensions = Extensions::default();
        // Raw: the library would read a header's extensions whole, however long they claim to be.
        for entry in archive.entries().map_err(damaged)?.raw(true) {
            let mut entry = entry.map_err(damaged)?;
            self.count()?;
            let kind = entry.header().entry_type();
            if matches!(kind, EntryType::XGlobalHeader) || extensions.read(kind, &mut entry)? {
                continue;
            }
            let Extensions { name, link, size } = std::mem::take(&mut extensions);
            let name = name.unwrap_or_else(|| entry.path_bytes().into_owned());
            let name = String::from_utf8(name)
                .map_err(|_| Error::new(Kind::Integrity, "a member's name is not UTF-8"))?;
            // Readers that believe different ones see different files.
            if size.is_some_and(|size| size != entry.size()) {
                return Err(unsafe_member(&name, "has two sizes that differ"));
            }
            let Some(path) = Self::path(&name)? else { continue };
            let header = entry.header();
            let executable = header.mode().is_ok_and(|mode| mode & 0o111 != 0);
            let modified = header.mtime().unwrap_or(0);
            match kind {
                EntryType::Directory => self.directory(&path)?,
                EntryType::Regular | EntryType::Continuous => {
                    let size = entry.size();
                    self.file(&path, &mut entry, size, executable, modified)?;
                }
                EntryType::Symlink | EntryType::Link => {
                    let target = link
                        .or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned))
                        .and_then(|bytes| String::from_utf8(bytes).ok())
                        .ok_or_else(|| unsafe_member(&name, "is a link without a readable target"))?;
                    if kind == EntryType::Symlink {
                        self.symlink(&path, &target)?;
                    } else {
                        self.hard_link(&path, &target, executable, modified)?;
                    }
                }
                _ => return Err(unsafe_member(&name, "is a device, a pipe or of an unknown type")),
            }
        }
        Ok(())
    }

    fn zip(&mut self, reader: BufReader<File>) -> Result<()> {
        let broken =
            |e: zip::result::ZipError| Error::new(Kind::Integrity, "the archive is damaged").because(e);
        let mut archive = zip::ZipArchive::new(reader).map_err(broken)?;
        for index in 0..archive.len() {
            self.count()?;
            let mut entry = archive.by_index(index).map_err(broken)?;
            let name = entry.name().map_err(broken)?.into_owned();
            let Some(path) = Self::path(&name)? else { continue };
            let mode = entry.unix_mode().unwrap_or(0o644);
            if entry.is_dir() {
                self.directory(&path)?;
            } else if mode & 0o170_000 != 0 && mode & 0o170_000 != 0o100_000 {
                return Err(unsafe_member(&name, "is a link or of an unknown type"));
            } else {
                let size = entry.size();
                // A zip's times are local ones without a zone: they order nothing, so none is kept.
                self.file(&path, &mut entry, size, mode & 0o111 != 0, 0)?;
            }
        }
        Ok(())
    }

    /// The path on disk, its parents made. Links are only made at the end, so nothing here follows one.
    fn place(&mut self, path: &RelPath) -> Result<PathBuf> {
        if let Some(parent) = path.parent() {
            self.directory(&parent)?;
        }
        Ok(self.root.join(path.as_path()))
    }

    fn directory(&mut self, path: &RelPath) -> Result<()> {
        let mut walked = PathBuf::from(self.root);
        for component in path.components() {
            walked.push(component);
            match fs::create_dir(&walked) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && walked.is_dir() => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(unsafe_member(path.as_str(), "passes through a file"));
                }
                Err(e) => return Err(Error::io("cannot create", &walked, e)),
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &RelPath,
        from: &mut dyn Read,
        size: u64,
        executable: bool,
        modified: u64,
    ) -> Result<()> {
        let left = self.limits.total.saturating_sub(self.written);
        if size > left {
            return Err(Error::new(
                Kind::Integrity,
                format!("the archive unpacks to more than {} bytes", self.limits.total),
            ));
        }
        let place = self.place(path)?;
        // Some archives hold a file twice, the later one meant; anything else in its place is refused.
        let mut options = OpenOptions::new();
        options.write(true).mode(if executable { 0o755 } else { 0o644 });
        if self.files.contains(path) {
            options.truncate(true)
        } else {
            options.create_new(true)
        };
        let mut file = options.open(&place).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => {
                unsafe_member(path.as_str(), "is both a file and something else")
            }
            _ => Error::io("cannot create", &place, e),
        })?;
        let got = io::copy(&mut from.take(size), &mut file).map_err(damaged)?;
        if got != size {
            return Err(Error::new(
                Kind::Integrity,
                format!("the archive is cut off: {path} has {got} of {size} bytes"),
            ));
        }
        self.written += size;
        // The umask does not reach what is built, and neither does the archive's.
        let mode = fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 });
        file.set_permissions(mode)
            .and_then(|()| {
                file.set_modified(
                    SystemTime::UNIX_EPOCH + Duration::from_secs(modified.min(u64::from(u32::MAX))),
                )
            })
            .map_err(|e| Error::io("cannot set the mode and time of", &place, e))?;
        self.files.insert(path.clone());
        Ok(())
    }

    fn hard_link(&mut self, path: &RelPath, target: &str, executable: bool, modified: u64) -> Result<()> {
        let source = Self::path(target)?.filter(|source| self.files.contains(source));
        let Some(source) = source else {
            return Err(unsafe_member(
                path.as_str(),
                "is a hard link to something that is no earlier file of the archive",
            ));
        };
        if &source == path {
            return Ok(());
        }
        let from = self.root.join(source.as_path());
        let mut file = File::open(&from).map_err(|e| Error::io("cannot read", &from, e))?;
        let size = file.metadata().map_err(|e| Error::io("cannot read", &from, e))?.len();
        self.file(path, &mut file, size, executable, modified)
    }

    fn symlink(&mut self, path: &RelPath, target: &str) -> Result<()> {
        let mut depth = path.components().count() - 1;
        for component in target.split('/') {
            match component {
                "." => {}
                "" if !target.starts_with('/') => {}
                ".." if depth > 0 => depth -= 1,
                "" | ".." => {
                    return Err(unsafe_member(path.as_str(), "is a symbolic link that leads outside"));
                }
                _ => depth += 1,
            }
        }
        self.symlinks.insert(path.clone(), PathBuf::from(target));
        Ok(())
    }

    /// Makes the symbolic links, all files being in place, and proves where each one ends: a chain of
    /// links may leave the directory although none of them does alone.
    fn link(&mut self) -> Result<()> {
        for (path, target) in std::mem::take(&mut self.symlinks) {
            // A parent that is a link would be followed; links come in order, parents first.
            let place = self.root.join(path.as_path());
            let mut parent = PathBuf::from(self.root);
            for component in path.components().take(path.components().count() - 1) {
                parent.push(component);
                match fs::symlink_metadata(&parent) {
                    Ok(meta) if meta.is_dir() => {}
                    Ok(_) => return Err(unsafe_member(path.as_str(), "passes through a link")),
                    Err(_) => fs::create_dir(&parent).map_err(|e| Error::io("cannot create", &parent, e))?,
                }
            }
            std::os::unix::fs::symlink(&target, &place).map_err(|e| {
                if e.kind() == io::ErrorKind::AlreadyExists {
                    unsafe_member(path.as_str(), "is both a link and something else")
                } else {
                    Error::io("cannot create", &place, e)
                }
            })?;
            self.symlinks.insert(path, target);
        }
        let root = self.root.canonicalize().map_err(|e| Error::io("cannot resolve", self.root, e))?;
        for path in self.symlinks.keys() {
            let place = self.root.join(path.as_path());
            match place.canonicalize() {
                Ok(end) if end.starts_with(&root) => {}
                Ok(_) => return Err(unsafe_member(path.as_str(), "is a symbolic link that leads outside")),
                // It leads nowhere (or in a circle); a build could make it lead somewhere.
                Err(_) => fs::remove_file(&place).map_err(|e| Error::io("cannot remove", &place, e))?,
            }
        }
        Ok(())
    }
}

/// What members before one say about it (PAX headers, GNU's long names).
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extensions {
    /// Reads a member that speaks of the next one; `false` where it is one of its own.
    fn read<R: Read>(&mut self, kind: EntryType, entry: &mut tar::Entry<'_, R>) -> Result<bool> {
        if !matches!(kind, EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink) {
            return Ok(false);
        }
        if entry.size() > EXTENSION_LIMIT {
            return Err(Error::new(
                Kind::Integrity,
                format!(
                    "the archive has a header of {} bytes (PAX or a GNU long name), expected at most {EXTENSION_LIMIT}",
                    entry.size()
                ),
            )
            .help("the file does not look like a source distribution made by a build tool: do not use it"));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(damaged)?;
        match kind {
            EntryType::GNULongName => self.name = Some(until_nul(bytes)),
            EntryType::GNULongLink => self.link = Some(until_nul(bytes)),
            _ => self.read_pax(&bytes)?,
        }
        Ok(true)
    }

    fn read_pax(&mut self, bytes: &[u8]) -> Result<()> {
        for extension in tar::PaxExtensions::new(bytes) {
            let extension = extension.map_err(damaged)?;
            let (key, value) = (extension.key_bytes(), extension.value_bytes());
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or_else(|| {
                        Error::new(Kind::Integrity, "a PAX header gives a size that is no number")
                    })?);
                }
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(Error::new(Kind::Integrity, "a member is a sparse file")
                        .help("the file does not look like a source distribution made by a build tool: do not use it"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    bytes
}

/// The directory that holds the project: the only one at the top, or the top itself.
fn project_directory(root: &Path) -> Result<PathBuf> {
    let mut directories = Vec::new();
    for entry in fs::read_dir(root).map_err(|e| Error::io("cannot read", root, e))? {
        let entry = entry.map_err(|e| Error::io("cannot read", root, e))?;
        if is_project(&entry.path()) {
            directories.push(entry.path());
        }
    }
    directories.sort();
    match directories.as_slice() {
        [one] if !is_project(root) => Ok(one.clone()),
        _ if is_project(root) => Ok(root.to_path_buf()),
        [] => Err(Error::new(
            Kind::Build,
            "the archive holds neither a pyproject.toml nor a setup.py in its top directory",
        )
        .help("it is no source distribution of a Python project")),
        several => Err(Error::new(
            Kind::Build,
            format!("the archive holds {} projects at its top, expected one", several.len()),
        )),
    }
}

fn is_project(directory: &Path) -> bool {
    ["pyproject.toml", "setup.py"].iter().any(|name| directory.join(name).is_file())
        && fs::symlink_metadata(directory).is_ok_and(|meta| meta.is_dir())
}
