//! Unpacking into the store before there is a plan: while other wheels still come over the network.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use rustix::fs::AtFlags;

use super::{
    LinkMode,
    store::{entry_name, place},
    unpack::{Spot, held_at_most, probe_modes},
    work_list::LARGE,
};
use crate::{
    error::{Error, Kind, Result},
    vocab::Sha256,
    wheel::{Wheel, with_scratch},
};

/// What is unpacked ahead goes to the store of the cache, so that [`super::write()`] only links it.
pub struct Ahead {
    store: PathBuf,
    mtime: i64,
}

impl Ahead {
    /// For an environment at `dest` that is made with `link`; `None` where it will not come from the store.
    /// `scratch` is a directory of the cache to try a link in.
    pub fn new(store: &Path, link: LinkMode, mtime: i64, dest: &Path, scratch: &Path) -> Option<Self> {
        if matches!(link, LinkMode::Copy | LinkMode::Unpack) {
            return None;
        }
        let there = dest.ancestors().find_map(|dir| rustix::fs::stat(dir).ok())?;
        let here = rustix::fs::stat(scratch).ok()?;
        (there.st_dev == here.st_dev && can_link(scratch))
            .then(|| Ahead { store: place(store, mtime), mtime })
    }

    /// Where the unpacked files of this wheel belong.
    pub fn place(&self, wheel: Sha256) -> PathBuf {
        self.store.join(wheel.to_string())
    }

    /// Unpacks a wheel into the empty directory `dir`, which the caller then renames to its [`Self::place`].
    /// `stop` is asked between files.
    ///
    /// Nothing is reported here that will not come up again: a file that its RECORD contradicts is left out,
    /// and an error means that the directory is to be discarded, and the wheel to be left to `write`.
    pub fn unpack(&self, wheel: &Wheel, dir: &Path, stop: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        let open = File::open(dir).map_err(|e| Error::io("cannot open", dir, e))?;
        let chmod = probe_modes(dir, &open)?;
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
            if entry.sha256 != Some(got) {
                rustix::fs::unlinkat(dir, &name, AtFlags::empty()).map_err(|e| spot.failed("remove", e))?;
            }
            Ok(())
        };
        let is_script = |position: usize| {
            let scripts = wheel.data_dir.as_ref().map(|dir| format!("{dir}/scripts/"));
            scripts.is_some_and(|scripts| wheel.entries[position].path.as_str().starts_with(&scripts))
        };
        // Scripts are rewritten, and so never linked.
        let wanted =
            (0..wheel.entries.len()).filter(|&at| wheel.entries[at].sha256.is_some() && !is_script(at));
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
