//! Filling a staging directory: directories first, then all files from one work list, then RECORDs, the
//! manifest and links, and last the directories' times.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::Path,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::{
    Report, Stripped, WriteOptions,
    store::{Fetched, Store, StoredWheel},
    unpack::{Spot, failed, held_at_most, probe_modes, timestamps},
    work_list::{Run, WorkList},
};
use crate::{
    environment::{
        layout::{ContentOrigin, Plan, PlanFile, Written, render_record},
        manifest::MANIFEST,
        script::rewrite_script,
        strip::{self, Verdict},
    },
    packages::wheel::{Scratch, Wheel, WheelEntry, with_scratch},
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
    /// Figures and warnings.
    pub(super) report: Report,
}

/// Fills the empty directory `root` with what `plan` says; errors name paths below `shown`. `manifest` gives the
/// manifest's text, where there is to be one.
pub(super) fn fill<'p>(
    given: &'p Plan,
    root: &Path,
    shown: &Path,
    options: &WriteOptions<'_>,
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
        held: held_at_most(),
        from_store: AtomicUsize::new(0),
        stripped: Mutex::default(),
        warnings: Mutex::default(),
    };
    let mut written = vec![None; plan.files.len()];
    let list = WorkList::new(plan, rayon::current_num_threads());
    list.shared.iter().try_for_each(|dir| fill.make_dir(dir))?;
    fill.put_all(&list.parts, &mut written)?;
    fill.put_all(&list.large, &mut written)?;
    if let Some(store) = fill.store {
        fill.wheels.iter().filter_map(|wheel| wheel.get()?.as_ref()).for_each(|wheel| store.settle(wheel));
    }
    let uncompiled = fill.compile(&mut written)?;
    fill.put_records(&mut written)?;
    let plan = &*fill.plan;
    let written: Vec<Written> = plan
        .files
        .iter()
        .zip(written)
        .map(|(file, written)| {
            written.ok_or_else(|| Error::new(Kind::Io, format!("{}: was not written", file.path)))
        })
        .collect::<Result<_>>()?;
    let mut stripped = fill.stripped.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
    stripped.sort();
    fill.make_links()?;
    // The manifest changes no directory but the root.
    let (put, times) = rayon::join(
        || {
            let Some(text) = manifest(plan, &written) else { return Ok(()) };
            fill.put_bytes(&fill.spot(MANIFEST, false), &text).map(drop)
        },
        || fill.set_dir_times(),
    );
    put.and(times)?;
    rustix::fs::futimens(&dir, &timestamps(plan.mtime)).map_err(|e| failed("set the time of", shown, e))?;

    let mut warnings = fill.warnings.into_inner().unwrap_or_default();
    warnings.sort();
    let report = Report {
        current: false,
        files: written.len() as u64,
        bytes: written.iter().map(|w| w.size).sum(),
        from_store: fill.from_store.into_inner() as u64,
        in_place: false,
        stripped,
        warnings: crate::words::error::Warnings(warnings),
        uncompiled,
    };
    let plan = match fill.plan {
        Cow::Borrowed(_) => Cow::Borrowed(given),
        Cow::Owned(changed) => Cow::Owned(changed),
    };
    Ok(Filled { plan, written, report })
}

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
    stripped: Mutex<Vec<Stripped>>,
    warnings: Mutex<Vec<String>>,
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

    pub(super) fn entry(&self, file: &PlanFile) -> Option<(usize, usize, &WheelEntry)> {
        match file.origin {
            ContentOrigin::Entry { dist, entry }
            | ContentOrigin::Stripped { dist, entry }
            | ContentOrigin::Script { dist, entry, .. } => {
                Some((dist, entry, &self.plan.dists[dist].wheel.entries[entry]))
            }
            ContentOrigin::Bytes(_) | ContentOrigin::Bytecode { .. } | ContentOrigin::Record { .. } => None,
        }
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
            let mut spot = self.spot(file.path.as_str(), file.executable);
            if let Some(dir) = &opened {
                (spot.dir, spot.name) = (dir.as_fd(), file.path.file_name());
            }
            let written = self.put(file, &spot, scratch)?;
            if let Some(progress) = self.options.progress {
                progress(written.size);
            }
            done.push((position, written));
        }
        Ok(())
    }

    fn put(&self, file: &PlanFile, spot: &Spot<'_>, scratch: &mut Scratch) -> Result<Written> {
        let Some((dist, position, entry)) = self.entry(file) else {
            let ContentOrigin::Bytes(bytes) = &file.origin else {
                return Err(Error::new(Kind::Io, format!("{}: is made from what was written", file.path)));
            };
            return self.put_bytes(spot, bytes);
        };
        let wheel = &*self.plan.dists[dist].wheel;
        if let ContentOrigin::Script { style, .. } = &file.origin {
            let content = wheel.inflate(position, scratch)?;
            self.compare(wheel, position, content.sha256)?;
            return match rewrite_script(content.bytes, style) {
                Some(script) => self.put_bytes(spot, &script),
                None => self.put_bytes(spot, content.bytes),
            };
        }
        if matches!(file.origin, ContentOrigin::Stripped { .. }) {
            return self.put_stripped(dist, position, spot, scratch);
        }
        let stored = self.store.and_then(|store| {
            let open = || store.wheel(wheel.file.sha256());
            Some((store, self.wheels[dist].get_or_init(open).as_ref()?))
        });
        let store = match (stored, entry.sha256) {
            (Some((store, stored)), Some(sha256)) => {
                match store.fetch(stored, position, entry.size, spot)? {
                    Fetched::Yes => {
                        self.from_store.fetch_add(1, Ordering::Relaxed);
                        return Ok(Written { sha256, size: entry.size });
                    }
                    Fetched::Missing => Some((store, stored)),
                    Fetched::No => None,
                }
            }
            _ => None,
        };
        let sha256 = spot.unpack(wheel, position, scratch, self.held, self.plan.mtime)?;
        let matched = self.compare(wheel, position, sha256)?;
        if let (Some((store, stored)), true) = (store, matched) {
            store.add(stored, position, spot)?;
        }
        Ok(Written { sha256, size: entry.size })
    }

    /// A shared object without what is not loaded. Its bytes are its own: neither from the store nor for it.
    fn put_stripped(
        &self,
        dist: usize,
        position: usize,
        spot: &Spot<'_>,
        scratch: &mut Scratch,
    ) -> Result<Written> {
        let wheel = &*self.plan.dists[dist].wheel;
        let entry = &wheel.entries[position];
        let unwritable = |e| spot.failed("write", e);
        let (verdict, written) = if entry.size.max(entry.compressed_size) > self.held {
            let mut out = spot.create_to_read().map_err(|e| spot.failed("create", e))?;
            let whole = wheel.stream(position, &mut |bytes| out.write_all(bytes).map_err(unwritable))?;
            self.compare(wheel, position, whole.sha256)?;
            let verdict = strip::look(&out).map_err(unwritable)?;
            let written = match &verdict {
                Verdict::Smaller(recipe) => {
                    recipe.apply_to(&out).map_err(unwritable)?;
                    Written { sha256: Sha256::of_file(&out).map_err(unwritable)?.0, size: recipe.size }
                }
                _ => Written { sha256: whole.sha256, size: entry.size },
            };
            spot.finish(&out, self.plan.mtime).map_err(|e| spot.failed("set mode and time of", e))?;
            (verdict, written)
        } else {
            let content = wheel.inflate(position, scratch)?;
            self.compare(wheel, position, content.sha256)?;
            let verdict = strip::look(&content.bytes).map_err(unwritable)?;
            let written = match &verdict {
                Verdict::Smaller(recipe) => self.put_bytes(spot, &recipe.apply(content.bytes))?,
                _ => self.put_bytes(spot, content.bytes)?,
            };
            (verdict, written)
        };
        let outcome = match verdict {
            Verdict::Smaller(_) => Ok(entry.size - written.size),
            Verdict::Unusual(why) => Err(why),
            Verdict::Nothing => return Ok(written),
        };
        if let Ok(mut stripped) = self.stripped.lock() {
            stripped.push(Stripped { dist, path: spot.path.to_owned(), outcome });
        }
        Ok(written)
    }

    pub(super) fn put_bytes(&self, spot: &Spot<'_>, bytes: &[u8]) -> Result<Written> {
        spot.create()
            .map_err(io::Error::from)
            .and_then(|mut out| {
                out.write_all(bytes)?;
                Ok(spot.finish(&out, self.plan.mtime)?)
            })
            .map_err(|e| spot.failed("write", e))?;
        Ok(Written { sha256: Sha256::of(bytes), size: bytes.len() as u64 })
    }

    /// Whether what was unpacked has the digest that the wheel's RECORD gives; warns where it has another.
    fn compare(&self, wheel: &Wheel, entry: usize, got: Sha256) -> Result<bool> {
        let Some(contradiction) = wheel.contradiction(entry, got) else {
            return Ok(wheel.entries[entry].sha256.is_some());
        };
        if self.options.strict {
            return Err(contradiction);
        }
        if let Ok(mut warnings) = self.warnings.lock() {
            warnings.push(contradiction.to_string());
        }
        Ok(false)
    }

    /// RECORDs are made from what was written, so they come last.
    fn put_records(&self, written: &mut [Option<Written>]) -> Result<()> {
        let so_far = &*written;
        let listed = self.plan.listed();
        let records: Vec<(usize, Written)> = self
            .plan
            .files
            .par_iter()
            .enumerate()
            .filter_map(|(position, file)| match file.origin {
                ContentOrigin::Record { dist } => Some((position, file, dist)),
                _ => None,
            })
            .map(|(position, file, dist)| {
                let rows = listed[dist].iter().map(|&at| {
                    let file = &self.plan.files[at];
                    // As pip's: the interpreter may replace bytecode, so its digest is nobody's business.
                    let written =
                        so_far[at].filter(|_| !matches!(file.origin, ContentOrigin::Bytecode { .. }));
                    (&file.path, written)
                });
                let dist_info = &self.plan.dists[dist].dist_info;
                let site_packages = dist_info.parent().unwrap_or_else(|| dist_info.clone());
                let bytes = render_record(rows, &site_packages);
                let spot = self.spot(file.path.as_str(), file.executable);
                Ok((position, self.put_bytes(&spot, &bytes)?))
            })
            .collect::<Result<_>>()?;
        for (position, one) in records {
            written[position] = Some(one);
        }
        Ok(())
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

    fn set_dir_times(&self) -> Result<()> {
        let times = timestamps(self.plan.mtime);
        self.plan.dirs.par_iter().with_min_len(64).try_for_each(|dir| {
            rustix::fs::utimensat(self.root, dir.as_str(), &times, AtFlags::empty())
                .map_err(|e| self.failed("set the time of", dir.as_str(), e))
        })
    }
}
