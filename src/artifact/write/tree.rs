//! Filling a staging directory: directories first, then all files from one work list, then RECORDs, the
//! manifest and links, and last the directories' times.

use std::{
    borrow::Cow,
    collections::HashSet,
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::{
    Report, WriteOptions,
    store::{Fetched, Store, StoredWheel},
    unpack::{Spot, failed, held_at_most, probe_modes, timestamps},
    work_list::{Run, WorkList},
};
use crate::{
    environment::{
        content::{self, Contents, EntryAt, Medium, Whole},
        layout::{ContentOrigin, Plan, PlanFile, Written},
        manifest::MANIFEST,
    },
    packages::wheel::{Checked, Content, Scratch, with_scratch},
    words::{
        error::{Error, Kind, Result},
        vocab::{RelPath, Sha256},
    },
};

/// What was written into an empty directory.
pub(super) struct Filled<'p> {
    /// The plan without what turned out not to exist (bytecode of what does not compile).
    pub(super) plan: Cow<'p, Plan>,
    /// Digest and size of each of its files.
    pub(super) written: Vec<Written>,
    /// Positions of those that were not written, as they are in their place already.
    pub(super) there: HashSet<usize>,
    /// Figures and warnings.
    pub(super) report: Report,
}

/// Whether a file with this digest and size is in its place already, so that it need not be written.
pub(super) type There<'a> = dyn Fn(&PlanFile, Written) -> bool + Sync + 'a;

/// Fills the empty directory `root` with what `plan` says; errors name paths below `shown`. `manifest` gives the
/// manifest's text, where there is to be one. What is `there` already is left out, if its wheel is known to hold what its
/// RECORD says.
pub(super) fn fill<'p>(
    given: &'p Plan,
    root: &Path,
    shown: &Path,
    options: &WriteOptions<'_>,
    there: Option<&There<'_>>,
    manifest: impl FnOnce(&Plan, &[Written]) -> Option<Vec<u8>> + Send,
) -> Result<Filled<'p>> {
    let plan = given;
    let dir = File::open(root).map_err(|e| failed("open", root, e))?;
    let chmod = probe_modes(root, &dir)?;
    let store = match options.ahead {
        Some(path) => Store::unpacked_ahead(path, plan.mtime),
        None => Store::open(options.store, options.link, &dir)?,
    };
    if let Some(store) = &store {
        let wheels = plan.dists.iter().map(|dist| &*dist.wheel);
        store.examine(wheels, &|| options.check_interrupted())?;
    }
    let mut fill = Fill {
        plan: Cow::Borrowed(plan),
        shown,
        root: &dir,
        options,
        store: store.as_ref(),
        wheels: std::iter::repeat_with(OnceLock::new).take(plan.dists.len()).collect(),
        chmod,
        contents: Contents::new(options.strict, held_at_most()),
        held: held_at_most(),
        from_store: AtomicUsize::new(0),
    };
    let mut written: Vec<Option<Written>> = vec![None; plan.files.len()];
    // Bytecode is made from sources that were written.
    if let Some(there) = there.filter(|_| options.compiler.is_none()) {
        fill.note_there(&mut written, there);
    }
    let there: HashSet<usize> = (0..written.len()).filter(|&at| written[at].is_some()).collect();
    let list = WorkList::new(plan, rayon::current_num_threads(), &there);
    list.shared.iter().try_for_each(|dir| fill.make_dir(dir))?;
    fill.put_all(&list.parts, &mut written)?;
    fill.put_all(&list.large, &mut written)?;
    if let Some(store) = fill.store {
        fill.wheels.iter().filter_map(|wheel| wheel.get()?.as_ref()).for_each(|wheel| store.settle(wheel));
    }
    let uncompiled = fill.compile(&mut written)?;
    content::put_records(&fill.plan, &mut written, &fill.top())?;
    let plan = &*fill.plan;
    let written = content::complete(plan, written)?;
    fill.make_links()?;
    // The manifest changes no directory but the root.
    let (put, times) = rayon::join(
        || {
            let Some(text) = manifest(plan, &written) else { return Ok(()) };
            fill.put_bytes(&fill.spot(MANIFEST, false), &text).map(drop)
        },
        || fill.set_dir_times(&list.left_out),
    );
    put.and(times)?;
    rustix::fs::futimens(&dir, &timestamps(plan.mtime)).map_err(|e| failed("set the time of", shown, e))?;

    let notes = fill.contents.into_notes();
    let report = Report {
        current: false,
        files: written.len() as u64,
        bytes: written.iter().map(|w| w.size).sum(),
        from_store: fill.from_store.into_inner() as u64,
        in_place: false,
        stripped: notes.stripped,
        warnings: notes.warnings.into_iter().collect(),
        uncompiled,
    };
    let plan = match fill.plan {
        Cow::Borrowed(_) => Cow::Borrowed(given),
        Cow::Owned(changed) => Cow::Owned(changed),
    };
    Ok(Filled { plan, written, there, report })
}

/// A tree that is being filled with what a plan says.
pub(super) struct Fill<'a> {
    pub(super) plan: Cow<'a, Plan>,
    shown: &'a Path,
    pub(super) root: &'a File,
    pub(super) options: &'a WriteOptions<'a>,
    store: Option<&'a Store>,
    /// By position in `plan.dists`; opened by whoever first needs one.
    wheels: Vec<OnceLock<Option<StoredWheel>>>,
    chmod: bool,
    /// Entries larger than this are streamed rather than held.
    held: u64,
    from_store: AtomicUsize,
    contents: Contents,
}

impl Fill<'_> {
    pub(super) fn spot<'s>(&'s self, path: &'s str, executable: bool) -> Spot<'s> {
        Spot { dir: self.root.as_fd(), name: path, shown: self.shown, path, executable, chmod: self.chmod }
    }

    pub(super) fn failed(&self, action: &str, path: &str, error: impl Into<io::Error>) -> Error {
        failed(action, &self.shown.join(path), error.into())
    }

    fn make_dir(&self, dir: &RelPath) -> Result<()> {
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mkdirat(self.root, dir.as_str(), mode)
            .and_then(|()| {
                if self.chmod {
                    rustix::fs::chmodat(self.root, dir.as_str(), mode, AtFlags::empty())
                } else {
                    Ok(())
                }
            })
            .map_err(|e| self.failed("make the directory", dir.as_str(), e))
    }

    /// Puts files where their paths say, from the environment's directory on.
    pub(super) fn top(&self) -> Here<'_> {
        Here { fill: self, dir: None }
    }

    /// Does all of the list. A shared counter rather than rayon's splitting: the list's order (heaviest
    /// first) is the point.
    fn put_all(&self, list: &[Vec<Run<'_>>], written: &mut [Option<Written>]) -> Result<()> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let work = |scratch: &mut Scratch| {
            let mut done = Vec::new();
            while let Some(part) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                part.iter().try_for_each(|run| self.put_run(run, &stop, scratch, &mut done))?;
            }
            Ok(done)
        };
        let results =
            rayon::broadcast(|_| with_scratch(work).inspect_err(|_| stop.store(true, Ordering::Relaxed)));
        for result in results {
            for (position, one) in result? {
                written[position] = Some(one);
            }
        }
        Ok(())
    }

    /// Makes a directory and puts files there; ends early when another worker failed.
    fn put_run(
        &self,
        run: &Run<'_>,
        stop: &AtomicBool,
        scratch: &mut Scratch,
        done: &mut Vec<(usize, Written)>,
    ) -> Result<()> {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let (Some(dir), true) = (run.dir, run.make) {
            self.make_dir(dir)?;
        }
        let opened = match run.dir {
            Some(dir) if run.files.len() > 1 => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = rustix::fs::openat(self.root, dir.as_str(), flags, Mode::empty());
                Some(opened.map_err(|e| self.failed("open", dir.as_str(), e))?)
            }
            _ => None,
        };
        for &position in &run.files {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.options.check_interrupted()?;
            let file = &self.plan.files[position];
            let here = Here { fill: self, dir: opened.as_ref().map(AsFd::as_fd) };
            let Some(written) = self.contents.put(&self.plan, file, &here, scratch)? else {
                return Err(Error::new(Kind::Io, format!("{}: is made from what was written", file.path)));
            };
            if let Some(progress) = self.options.progress {
                progress(written.size);
            }
            done.push((position, written));
        }
        Ok(())
    }

    fn put_bytes(&self, spot: &Spot<'_>, bytes: &[u8]) -> Result<Written> {
        self.write_bytes(spot, bytes)?;
        Ok(Written { sha256: Sha256::of(bytes), size: bytes.len() as u64 })
    }

    fn write_bytes(&self, spot: &Spot<'_>, bytes: &[u8]) -> Result<()> {
        spot.create()
            .map_err(io::Error::from)
            .and_then(|mut out| {
                out.write_all(bytes)?;
                Ok(spot.finish(&out, self.plan.mtime)?)
            })
            .map_err(|e| spot.failed("write", e))
    }

    fn make_links(&self) -> Result<()> {
        for link in &self.plan.links {
            let path = link.path.as_str();
            rustix::fs::symlinkat(&link.target, self.root, path)
                .and_then(|()| {
                    let times = timestamps(self.plan.mtime);
                    rustix::fs::utimensat(self.root, path, &times, AtFlags::SYMLINK_NOFOLLOW)
                })
                .map_err(|e| self.failed("make the link", path, e))?;
        }
        Ok(())
    }

    /// Notes what is in its place already as written.
    fn note_there(&self, written: &mut [Option<Written>], there: &There<'_>) {
        written.par_iter_mut().zip(&self.plan.files).with_min_len(64).for_each(|(written, file)| {
            let ContentOrigin::Entry { dist, entry } = file.origin else { return };
            let wheel = &self.plan.dists[dist].wheel;
            let Some(sha256) = wheel.known(entry) else { return };
            let one = Written { sha256, size: wheel.entries[entry].size };
            if there(file, one) {
                self.options.progress.inspect(|progress| progress(one.size));
                *written = Some(one);
            }
        });
    }

    fn set_dir_times(&self, left_out: &HashSet<&str>) -> Result<()> {
        let times = timestamps(self.plan.mtime);
        let made: Vec<&RelPath> =
            self.plan.dirs.iter().filter(|dir| !left_out.contains(dir.as_str())).collect();
        made.par_iter().with_min_len(64).try_for_each(|dir| {
            rustix::fs::utimensat(self.root, dir.as_str(), &times, AtFlags::empty())
                .map_err(|e| self.failed("set the time of", dir.as_str(), e))
        })
    }
}

/// A directory of the environment, into which files are put.
pub(super) struct Here<'f> {
    fill: &'f Fill<'f>,
    /// The directory that holds the files, opened; without it they are named from the environment's on.
    dir: Option<BorrowedFd<'f>>,
}

impl Here<'_> {
    fn spot<'s>(&'s self, file: &'s PlanFile) -> Spot<'s> {
        let mut spot = self.fill.spot(file.path.as_str(), file.executable);
        if let Some(dir) = self.dir {
            (spot.dir, spot.name) = (dir, file.path.file_name());
        }
        spot
    }
}

impl Medium for Here<'_> {
    type Made = Written;

    fn written(made: &Written) -> Written {
        *made
    }

    fn check(&self) -> Result<()> {
        self.fill.options.check_interrupted()
    }

    fn put(&self, file: &PlanFile, bytes: &[u8]) -> Result<Written> {
        self.fill.put_bytes(&self.spot(file), bytes)
    }

    fn entry(&self, file: &PlanFile, from: EntryAt, scratch: &mut Scratch) -> Result<Written> {
        let (fill, spot) = (self.fill, &self.spot(file));
        let wheel = &*fill.plan.dists[from.dist].wheel;
        let (position, entry) = (from.entry, &wheel.entries[from.entry]);
        let stored = fill.store.filter(|store| store.keeps(entry.size)).and_then(|store| {
            let open = || store.wheel(wheel);
            Some((store, fill.wheels[from.dist].get_or_init(open).as_ref()?))
        });
        let store = match (stored, entry.sha256) {
            (Some((store, stored)), Some(sha256)) => {
                match store.fetch(stored, position, entry.size, spot)? {
                    Fetched::Yes => {
                        fill.from_store.fetch_add(1, Ordering::Relaxed);
                        return Ok(Written { sha256, size: entry.size });
                    }
                    Fetched::Missing => Some((store, stored)),
                    Fetched::No => None,
                }
            }
            _ => None,
        };
        let sha256 = spot.unpack(wheel, position, scratch, fill.held, fill.plan.mtime)?;
        let matched = fill.contents.compare(wheel, position, sha256)?;
        if let (Some((store, stored)), true) = (store, matched) {
            store.add(stored, position, entry.size, spot)?;
        }
        Ok(Written { sha256, size: entry.size })
    }

    fn inflated(&self, file: &PlanFile, _: EntryAt, content: Content<'_>) -> Result<Written> {
        self.fill.write_bytes(&self.spot(file), content.bytes)?;
        Ok(Written { sha256: content.sha256, size: content.bytes.len() as u64 })
    }

    fn open(&self, file: &PlanFile) -> Result<File> {
        let spot = self.spot(file);
        spot.create_to_read().map_err(|e| spot.failed("create", e))
    }

    fn filled(&self, file: &PlanFile, _: EntryAt, bytes: File, whole: Whole) -> Result<Written> {
        let spot = self.spot(file);
        let written = match whole {
            Whole::Entry(Checked { sha256, size, .. }) => Written { sha256, size },
            Whole::Smaller(size) => {
                let digest = Sha256::of_file(&bytes).map_err(|e| spot.failed("read", e))?;
                Written { sha256: digest.0, size }
            }
        };
        spot.finish(&bytes, self.fill.plan.mtime).map_err(|e| spot.failed("set mode and time of", e))?;
        Ok(written)
    }

    fn read(&self, file: &PlanFile, _: &Written) -> Result<Vec<u8>> {
        let spot = self.spot(file);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut bytes = Vec::new();
        rustix::fs::openat(spot.dir, spot.name, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| File::from(file).read_to_end(&mut bytes))
            .map_err(|error| spot.failed("read", error))?;
        Ok(bytes)
    }

    fn cannot_write(&self, file: &PlanFile, error: io::Error) -> Error {
        self.spot(file).failed("write", error)
    }

    fn compiling(&self, bytes: u64) {
        if let Some(begin) = self.fill.options.compiling {
            begin(bytes);
        }
    }

    fn compiled(&self, bytes: u64) {
        if let Some(progress) = self.fill.options.progress {
            progress(bytes);
        }
    }
}
