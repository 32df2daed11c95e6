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
    vocab::RelPath,
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

/// The archive formats of source distributions (PEP 527, and what older files on indexes use).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    TarGz,
    TarBz2,
    Tar,
    Zip,
}

impl Format {
    fn of(file_name: &str) -> Result<Self> {
        let lower = file_name.to_ascii_lowercase();
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| lower.ends_with(suffix));
        if ends(&[".tar.gz", ".tgz"]) {
            Ok(Format::TarGz)
        } else if ends(&[".tar.bz2", ".tbz"]) {
            Ok(Format::TarBz2)
        } else if ends(&[".tar"]) {
            Ok(Format::Tar)
        } else if ends(&[".zip"]) {
            Ok(Format::Zip)
        } else {
            Err(Error::new(
                Kind::Build,
                format!(
                    "{file_name} is not a source distribution venvoy can unpack: expected .tar.gz, .tar.bz2, .tar or .zip"
                ),
            ))
        }
    }
}

/// Unpacks `archive`, whose format `file_name` tells, into `into` (made here, must not exist yet) and
/// gives the directory that holds the project.
///
/// Modes are 0644 or 0755; times are the archive's, as makefiles compare them. Fails with
/// [`Kind::Integrity`] for absolute and escaping members, links that lead outside, devices, sizes that
/// contradict each other, and archives beyond `limits`.
pub fn unpack(archive: &Path, file_name: &str, into: &Path, limits: Limits) -> Result<PathBuf> {
    let format = Format::of(file_name)?;
    let file = File::open(archive).map_err(|e| Error::io("cannot read", archive, e))?;
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
        Format::TarGz => unpacker.tar(flate2::read::MultiGzDecoder::new(file)),
        Format::TarBz2 => unpacker.tar(bzip2::read::MultiBzDecoder::new(file)),
        Format::Tar => unpacker.tar(file),
        Format::Zip => unpacker.zip(file),
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
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            self.count()?;
            let kind = entry.header().entry_type();
            if matches!(kind, EntryType::XGlobalHeader) {
                continue;
            }
            let name = String::from_utf8(entry.path_bytes().into_owned())
                .map_err(|_| Error::new(Kind::Integrity, "a member's name is not UTF-8"))?;
            check_pax(&mut entry, &name)?;
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
                    let target = entry
                        .link_name_bytes()
                        .and_then(|bytes| String::from_utf8(bytes.into_owned()).ok())
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

/// A size given twice must be the same size: readers that believe different ones see different files.
fn check_pax<R: Read>(entry: &mut tar::Entry<'_, R>, name: &str) -> Result<()> {
    let declared = entry.header().entry_size().map_err(damaged)?;
    let Some(extensions) = entry.pax_extensions().map_err(damaged)? else { return Ok(()) };
    for extension in extensions {
        let extension = extension.map_err(damaged)?;
        let key = extension.key_bytes();
        if key.starts_with(b"GNU.sparse") {
            return Err(unsafe_member(name, "is a sparse file"));
        }
        if key == b"size" && extension.value().ok().and_then(|v| v.parse().ok()) != Some(declared) {
            return Err(unsafe_member(name, "has two sizes that differ"));
        }
    }
    Ok(())
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
