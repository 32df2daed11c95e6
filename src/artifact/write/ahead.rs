//! Unpacking before there is a plan: while other wheels still come over the network.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rayon::prelude::*;
use rustix::fs::AtFlags;
use tempfile::TempDir;

use super::{
    LinkMode, destination,
    store::entry_name,
    unpack::{Spot, held_at_most, probe_modes},
    work_list::LARGE,
};
use crate::{
    packages::{
        cache::{Cache, Unpacked},
        wheel::{Wheel, with_scratch},
    },
    words::error::{Error, Kind, Result},
};

/// Where wheels are unpacked ahead, so that [`super::write()`] only has to put the files in their places.
///
/// Nothing is reported here that will not come up again: what cannot be unpacked ahead is left to `write`.
pub(crate) struct Ahead {
    place: Workplace,
    mtime: i64,
}

enum Workplace {
    /// The cache's store, which `write` links or copies from.
    Store(Unpacked),
    /// Beside the environment, from where `write` moves the files: the cache is on another file system.
    /// Made by whoever first needs it.
    Beside(PathBuf, OnceLock<Option<TempDir>>),
}

impl Ahead {
    /// For an environment at `dest` that is made with `link`; `None` where there is no good place.
    pub(crate) fn new(cache: &Cache, link: LinkMode, mtime: i64, dest: &Path) -> Option<Self> {
        let scratch = cache.temporary().ok()?;
        let linked = || {
            let there = dest.ancestors().find_map(|dir| rustix::fs::stat(dir).ok())?;
            let here = rustix::fs::fstat(scratch.handle()).ok()?;
            Some(there.st_dev == here.st_dev && !cache.is_read_only() && can_link(scratch.path()))
        };
        let kept = cache.unpacked(mtime).ok()?;
        let store = || Workplace::Store(kept.clone());
        let beside = || Workplace::Beside(dest.to_owned(), OnceLock::new());
        let place = match link {
            LinkMode::Auto if linked()? => store(),
            LinkMode::Auto | LinkMode::Unpack => beside(),
            LinkMode::Reflink | LinkMode::Hardlink => linked()?.then(store)?,
            LinkMode::Copy if cache.is_read_only() => beside(),
            LinkMode::Copy => store(),
        };
        Some(Ahead { place, mtime })
    }

    /// What [`super::WriteOptions::ahead`] is to be.
    pub(crate) fn beside(&self) -> Option<&Path> {
        match &self.place {
            Workplace::Beside(_, dir) => dir.get()?.as_ref().map(TempDir::path),
            Workplace::Store(_) => None,
        }
    }

    /// Unpacks a wheel, unless that was done before. `stop` is asked between files.
    pub(crate) fn unpack(&self, wheel: &Wheel, stop: &(dyn Fn() -> bool + Sync)) {
        match &self.place {
            Workplace::Store(store) => {
                let sha256 = wheel.file.sha256();
                if store.has(sha256) {
                    return;
                }
                let Ok(filled) = store.begin(sha256) else { return };
                let dir = filled.dir();
                if self.unpack_into(dir.handle(), dir.path(), wheel, stop).is_ok() {
                    let _ = store.commit(sha256, filled);
                }
            }
            Workplace::Beside(dest, dir) => {
                let Some(dir) = dir.get_or_init(|| destination::beside(dest)) else { return };
                let dir = dir.path().join(wheel.file.sha256().to_string());
                let made = || {
                    fs::create_dir(&dir)?;
                    File::open(&dir)
                };
                if let Ok(open) = made()
                    && self.unpack_into(&open, &dir, wheel, stop).is_err()
                {
                    let _ = fs::remove_dir_all(&dir);
                }
            }
        }
    }

    /// Unpacks a wheel into an empty directory, to be discarded after an error. A file that its RECORD
    /// contradicts is left out.
    fn unpack_into(
        &self,
        open: &File,
        dir: &Path,
        wheel: &Wheel,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<()> {
        let chmod = probe_modes(dir, open)?;
        let held = held_at_most();
        let put = |&position: &usize| {
            if stop() {
                return Err(Error::new(Kind::Interrupted, "stopped"));
            }
            let entry = &wheel.entries[position];
            let name = entry_name(position, entry.executable);
            let (dir, shown, executable) = (open.as_fd(), dir, entry.executable);
            let spot = Spot { dir, name: &name, shown, path: &name, executable, chmod };
            let got = with_scratch(|scratch| spot.unpack(wheel, position, scratch, held, self.mtime))?;
            if wheel.contradiction(position, got).is_some() {
                rustix::fs::unlinkat(dir, &name, AtFlags::empty()).map_err(|e| spot.failed("remove", e))?;
            }
            Ok(())
        };
        // Scripts are rewritten, and so never linked.
        let scripts = wheel.data_dir.as_ref().map(|dir| format!("{dir}/scripts/"));
        let wanted = (0..wheel.entries.len()).filter(|&at| {
            let entry = &wheel.entries[at];
            let is_script = scripts.as_ref().is_some_and(|dir| entry.path.as_str().starts_with(dir));
            entry.sha256.is_some() && !is_script
        });
        let (large, small): (Vec<usize>, Vec<usize>) =
            wanted.partition(|&at| wheel.entries[at].size >= LARGE);
        let (a, b) = rayon::join(
            || small.iter().try_for_each(put),
            || large.par_iter().with_max_len(1).try_for_each(put),
        );
        a.and(b)
    }
}

/// Whether this file system has hard links at all.
fn can_link(scratch: &Path) -> bool {
    let Ok(file) = tempfile::NamedTempFile::new_in(scratch) else { return false };
    let mut other = file.path().as_os_str().to_owned();
    other.push("-link");
    let linked = fs::hard_link(file.path(), &other).is_ok();
    let _ = fs::remove_file(&other);
    linked
}
