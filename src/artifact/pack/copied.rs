//! Files of the project that come along (`--copy SRC:DST`).

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{
    archive::{Item, Items},
    pieces::{Body, Piece},
    spool::Spool,
};
use crate::{
    artifact::interpreter::{Interpreter, Part},
    environment::layout::Written,
    packages::wheel::STREAM_LIMIT,
    words::{
        error::{Error, Kind, Result},
        vocab::Sha256,
    },
};

/// One `--copy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    /// The file or directory.
    pub from: PathBuf,
    /// Its place in the image, absolute. With a slash at its end a file goes into that directory.
    pub to: String,
}

enum Found {
    Directory,
    Shared,
    Link(String),
    File(Piece, bool),
}

/// What was found, read.
pub(crate) struct Copied(Vec<(String, Found)>);

impl Copied {
    /// Reads files and directories; links stay links. Modes are 0755 for what is executable and 0644 for the rest,
    /// times and owners those of all else.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is not there, and for what is neither file, directory nor link.
    pub(crate) fn read(copies: &[Copy], spool: &Spool, temporary: &Path) -> Result<Copied> {
        let mut found = Vec::new();
        for copy in copies {
            let named = |error: Error| error.context(format!("cannot copy {}", copy.from.display()));
            let to = inside(copy).map_err(named)?;
            let from = fs::canonicalize(&copy.from)
                .map_err(|e| named(Error::io("cannot find", &copy.from, e).with_kind(Kind::Usage)))?;
            walk(&from, &to, spool, temporary, &mut found).map_err(named)?;
        }
        Ok(Copied(found))
    }

    /// Reads the files of an interpreter, and adds `/tmp`.
    pub(crate) fn interpreter(found: &Interpreter, spool: &Spool, temporary: &Path) -> Result<Copied> {
        let one = |(to, part): (&PathBuf, &Part)| {
            let path = to.to_str().map(|to| to.trim_start_matches('/').to_owned()).ok_or_else(|| {
                Error::new(Kind::Target, format!("{}: its name is not UTF-8", to.display()))
            })?;
            let read = match part {
                Part::Link(target) => Found::Link(target.clone()),
                Part::File(from) => {
                    let meta = fs::metadata(from).map_err(|e| Error::io("cannot read", from, e))?;
                    let executable = meta.permissions().mode() & 0o111 != 0;
                    Found::File(piece(from, meta.size(), spool, temporary)?, executable)
                }
            };
            Ok((path, read))
        };
        let mut all = found.parts.par_iter().map(one).collect::<Result<Vec<_>>>()?;
        // Programs expect it, and there is no base that has it.
        all.push(("tmp".to_owned(), Found::Shared));
        Ok(Copied(all))
    }

    /// As items of a layer. Where two have one path, the later counts.
    pub(crate) fn items(&self) -> Items<'_> {
        let mut items = Items::default();
        for (path, found) in &self.0 {
            let item = match found {
                Found::Directory => Item::Directory,
                Found::Shared => Item::Shared,
                Found::Link(target) => Item::Link(target),
                Found::File(piece, executable) => Item::File { piece, executable: *executable },
            };
            if !path.is_empty() {
                items.add(path.clone(), item);
            }
        }
        items
    }
}

/// The path in the image, without slashes at its ends.
fn inside(copy: &Copy) -> Result<String> {
    let wrong = |why: &str| {
        Error::new(Kind::Usage, format!("its place {:?} {why}", copy.to))
            .help("expected something like --copy app:/srv/app")
    };
    if !copy.to.starts_with('/') {
        return Err(wrong("is not absolute"));
    }
    let parts: Vec<&str> = copy.to.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(wrong("goes up with `..`"));
    }
    let mut to = parts.join("/");
    if (copy.to.ends_with('/') || to.is_empty()) && copy.from.is_file() {
        let name =
            copy.from.file_name().and_then(|name| name.to_str()).ok_or_else(|| wrong("needs a name"))?;
        to = if to.is_empty() { name.to_owned() } else { format!("{to}/{name}") };
    }
    Ok(to)
}

fn walk(
    from: &Path,
    to: &str,
    spool: &Spool,
    temporary: &Path,
    found: &mut Vec<(String, Found)>,
) -> Result<()> {
    let unreadable = |e| Error::io("cannot read", from, e);
    let meta = fs::symlink_metadata(from).map_err(unreadable)?;
    if meta.is_dir() {
        found.push((to.to_owned(), Found::Directory));
        let mut names = fs::read_dir(from)
            .and_then(|entries| {
                entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()
            })
            .map_err(unreadable)?;
        names.sort();
        for name in names {
            let text = name.to_str().ok_or_else(|| {
                Error::new(Kind::Usage, format!("{}: its name is not UTF-8", from.join(&name).display()))
            })?;
            let to = if to.is_empty() { text.to_owned() } else { format!("{to}/{text}") };
            walk(&from.join(text), &to, spool, temporary, found)?;
        }
        return Ok(());
    }
    if meta.is_symlink() {
        let target = fs::read_link(from).map_err(unreadable)?;
        let target = target
            .to_str()
            .ok_or_else(|| Error::new(Kind::Usage, format!("{}: its target is not UTF-8", from.display())))?;
        found.push((to.to_owned(), Found::Link(target.to_owned())));
        return Ok(());
    }
    if !meta.is_file() {
        return Err(Error::new(
            Kind::Usage,
            format!("{} is neither a file, a directory nor a link", from.display()),
        )
        .help("an image holds nothing else: leave it out"));
    }
    let executable = meta.permissions().mode() & 0o111 != 0;
    found.push((to.to_owned(), Found::File(piece(from, meta.size(), spool, temporary)?, executable)));
    Ok(())
}

/// A file's bytes, of which there are so many.
fn piece(from: &Path, size: u64, spool: &Spool, temporary: &Path) -> Result<Piece> {
    let unreadable = |e| Error::io("cannot read", from, e);
    let cannot = |e| Error::io("cannot write a temporary file in", temporary, e);
    Ok(if size > STREAM_LIMIT {
        let mut file = fs::File::open(from).map_err(unreadable)?;
        let (written, made) = Spool::add_large(temporary, &mut file).map_err(cannot)?;
        Piece { written, body: Body::Made(made) }
    } else {
        let bytes = fs::read(from).map_err(unreadable)?;
        if bytes.is_empty() {
            Piece { written: Written { sha256: Sha256::of(b""), size: 0 }, body: Body::Empty }
        } else {
            let (written, made) = spool.add(&bytes).map_err(cannot)?;
            Piece { written, body: Body::Made(made) }
        }
    })
}
