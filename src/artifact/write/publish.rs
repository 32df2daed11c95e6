//! Publishing a change under a journal, and finishing one that was cut short.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    path::Path,
};

use tempfile::TempDir;

use super::{
    destination::Destination,
    journal::{Journal, Step, settle},
    unpack::failed,
};
use crate::{
    environment::manifest::{JOURNAL, MANIFEST},
    words::{
        error::{Error, Kind, Result},
        files,
    },
};

/// Writes the journal, carries it out, and ends with the new manifest.
pub(super) fn publish(
    destination: &Destination,
    staging: TempDir,
    steps: Vec<Step>,
    text: &str,
    mtime: i64,
) -> Result<()> {
    let name = staging.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let journal = Journal { staging: name, mtime, steps };
    let put = |name: &str, text: &str| {
        let path = staging.path().join(name);
        let file = File::create(&path).and_then(|mut file| {
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
            rustix::fs::futimens(&file, &super::unpack::timestamps(mtime))?;
            Ok(())
        });
        file.map_err(|e| failed("write", &path, e))
    };
    put(MANIFEST, text)?;
    put(JOURNAL, &journal.render())?;
    // From here on the staging directory must stay, whatever happens.
    let staging = staging.keep();
    let to = destination.path().join(JOURNAL);
    if let Err(error) = fs::rename(staging.join(JOURNAL), &to) {
        let _ = fs::remove_dir_all(&staging);
        return Err(failed("write", &to, error));
    }
    finish(destination, &staging, &journal)
}

/// Carries a journal out and removes it.
fn finish(destination: &Destination, staging: &Path, journal: &Journal) -> Result<()> {
    let dest = destination.root();
    let open = |dir: &Path| File::open(dir).map_err(|e| failed("open", dir, e));
    let (root, top, from) = (open(dest)?, open(destination.path())?, open(staging)?);
    journal.carry_out(root.as_fd(), from.as_fd()).map_err(|(path, error)| {
        failed("change", &dest.join(path), error)
            .help("the environment is partly changed; the next `venvoy sync` finishes it")
    })?;
    let cannot = |e: rustix::io::Errno| failed("finish the change of", dest, e);
    match rustix::fs::renameat(&from, MANIFEST, &top, MANIFEST) {
        // It was moved by the run that was killed.
        Err(rustix::io::Errno::NOENT) => {}
        moved => moved.map_err(cannot)?,
    }
    rustix::fs::unlinkat(&top, JOURNAL, rustix::fs::AtFlags::empty()).map_err(cannot)?;
    // A directory in which others install as well has its own time.
    let settled = || if destination.is_site() { Ok(()) } else { settle(&top, journal.mtime).map_err(cannot) };
    settled()?;
    drop(from);
    // Nothing but empty directories is left in it.
    let _ = super::remove::remove_tree(staging);
    settled()
}

/// Finishes a change that was cut short. A journal that cannot be trusted goes, and the manifest with it: nobody
/// can say any more what is in the environment, so it is made anew.
pub(super) fn recover(destination: &Destination) -> Result<()> {
    let dest = destination.path();
    let path = dest.join(JOURNAL);
    if fs::symlink_metadata(&path).is_err() {
        return Ok(());
    }
    let journal = read_regular(&path).and_then(|text| Journal::parse(&text));
    if let Some(journal) = &journal
        && let Some(staging) = destination.staging_called(&journal.staging)
        && finish(destination, &staging, journal).is_ok()
    {
        return Ok(());
    }
    for name in [MANIFEST, JOURNAL] {
        let path = dest.join(name);
        let removed = if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("cannot remove", &path, e).with_kind(Kind::Destination));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A text file of usual size; `None` for anything else that may lie in its place.
pub(super) fn read_regular(path: &Path) -> Option<String> {
    text_of(&open_regular(path)?)
}

/// A file that is no link to one; `None` for anything else that may lie in its place.
pub(super) fn open_regular(path: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    files::regular(rustix::fs::open(path, flags, Mode::empty()).ok()?.into()).ok()
}

/// A text of usual size.
pub(super) fn text_of(file: &File) -> Option<String> {
    String::from_utf8(files::read(file, files::LARGEST_TEXT).ok()?).ok()
}
