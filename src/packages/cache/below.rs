//! Caches below this one: only read from, asked in their order for what is not here.
//!
//! None of them is ever written, and none is ever an error: one that is missing, broken, slow or refuses is named once
//! and passed over. What comes from there is digested like what comes from an index. A directory is used where it is;
//! from anything else, what is wanted is copied into the cache itself.

use std::{
    fmt,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Cache, Dir, LAYOUT, Pending, VerifiedFile, files, keyed::Reading};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::Sha256,
};

/// How often the bytes of one file are asked for where they stop coming.
const TRIES: u32 = 3;

/// A record has some kilobytes, and hundreds are asked for: where that many took that long, no time is saved.
const LONG: Duration = Duration::from_secs(3);
const OFTEN: u32 = 4;

/// A cache that is no directory.
pub trait Below: Send + Sync + fmt::Debug {
    /// What messages call it.
    fn name(&self) -> String;

    /// Whether it is on this machine: looking for something costs nothing to speak of.
    fn is_near(&self) -> bool;

    /// The size and name of a file, where that is known without asking anybody.
    fn look(&self, sha256: &Sha256) -> Option<(u64, String)>;

    /// Opens the file that should have this digest; `None` where there is none. An error of reading that is
    /// [`io::ErrorKind::TimedOut`] is not worth another try.
    fn open(&self, sha256: &Sha256) -> Result<Option<Box<dyn Read + Send>>>;

    /// A record, by its path below the layout's directory.
    fn record(&self, path: &Path) -> Result<Option<Vec<u8>>>;
}

/// Where a cache below is, as it is given to [`super::Options::below`].
#[derive(Debug, Clone)]
pub enum Lower {
    /// A cache's directory.
    Directory(PathBuf),
    /// Something else.
    Other(Arc<dyn Below>),
    /// What could not be opened: its name, and why.
    Unusable(String, String),
}

/// One of them in a run.
#[derive(Debug)]
pub(super) struct Layer {
    source: LowerSource,
    name: String,
    /// It failed, and is not asked again.
    off: AtomicBool,
    /// How many records took long.
    slow: AtomicU32,
}

/// What it is read from.
#[derive(Debug)]
pub(super) enum LowerSource {
    Directory(Dir),
    Other(Arc<dyn Below>),
}

impl Layer {
    /// Opens it.
    ///
    /// # Errors
    /// What to say of one that cannot be used.
    pub(super) fn new(lower: Lower) -> Result<Self, String> {
        let (source, name) = match lower {
            Lower::Directory(path) => {
                let name = path.display().to_string();
                let dir = Dir::open(&path).and_then(|top| top.below(LAYOUT));
                (LowerSource::Directory(dir.map_err(|error| passed_over(&name, &error))?), name)
            }
            Lower::Other(other) => {
                let name = other.name();
                (LowerSource::Other(other), name)
            }
            Lower::Unusable(name, why) => return Err(passed_over(&name, &why)),
        };
        Ok(Layer { source, name, off: AtomicBool::new(false), slow: AtomicU32::new(0) })
    }

    fn is_on(&self) -> bool {
        !self.off.load(Ordering::Relaxed)
    }

    /// A record took that long to come, or to be said not to be there; says so where it is one too many.
    fn took(&self, time: Duration) -> Option<String> {
        let is_last = time >= LONG && self.slow.fetch_add(1, Ordering::Relaxed) + 1 == OFTEN;
        is_last.then(|| {
            format!(
                "{OFTEN} answers took more than {} s, the last {:.1} s",
                LONG.as_secs(),
                time.as_secs_f32()
            )
        })
    }
}

fn passed_over(name: &str, why: &dyn fmt::Display) -> String {
    format!("the cache {name} is passed over: {why}")
}

/// Why a file did not come.
enum Broken {
    /// Its bytes could not be read.
    Read(io::Error),
    /// They could not be stored here.
    Stored(Error),
}

impl Cache {
    /// Those that are still asked.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.0.below.iter().filter(|layer| layer.is_on())
    }

    /// The directories among them.
    pub(super) fn directories_below(&self) -> impl Iterator<Item = &Dir> {
        self.layers().filter_map(|layer| match &layer.source {
            LowerSource::Directory(dir) => Some(dir),
            LowerSource::Other(_) => None,
        })
    }

    /// Does without one from now on, and says so.
    fn give_up(&self, layer: &Layer, why: &dyn fmt::Display) {
        if !layer.off.swap(true, Ordering::Relaxed) {
            self.note(passed_over(&layer.name, why));
        }
    }

    /// The size of a file, where one of those on this machine has it.
    pub(super) fn size_below(&self, sha256: &Sha256) -> Option<u64> {
        self.layers().find_map(|layer| match &layer.source {
            LowerSource::Directory(dir) => files::candidates(dir, sha256).next().map(|found| found.size),
            LowerSource::Other(other) => other.look(sha256).map(|(size, _)| size),
        })
    }

    /// A file of one of those on this machine.
    pub(super) fn file_near(&self, sha256: &Sha256) -> Option<VerifiedFile> {
        self.layers().find_map(|layer| match &layer.source {
            LowerSource::Directory(dir) => self.file_in_place(dir, sha256),
            LowerSource::Other(other) if other.is_near() => {
                let (_, name) = other.look(sha256)?;
                self.brought(layer, other.as_ref(), sha256, &name).ok()?
            }
            LowerSource::Other(_) => None,
        })
    }

    /// A file of one of those elsewhere, brought here.
    ///
    /// # Errors
    /// Where it cannot be stored here.
    pub(super) fn file_far(&self, sha256: &Sha256, file_name: &str) -> Result<Option<VerifiedFile>> {
        for layer in self.layers() {
            if let LowerSource::Other(other) = &layer.source
                && !other.is_near()
                && let Some(file) = self.brought(layer, other.as_ref(), sha256, file_name)?
            {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// A file that is used where it is.
    fn file_in_place(&self, root: &Dir, sha256: &Sha256) -> Option<VerifiedFile> {
        files::candidates(root, sha256).find_map(|files::Candidate { dir, name, size }| {
            let path = dir.path().join(&name);
            match self.digested(&dir, &name, sha256) {
                Ok(Some(identity)) => Some(VerifiedFile::of(path, *sha256, size, identity)),
                Ok(None) => {
                    self.note(format!("{} is damaged: it is passed over", path.display()));
                    None
                }
                Err(error) => {
                    self.note(format!("{} cannot be read and is passed over: {error}", path.display()));
                    None
                }
            }
        })
    }

    fn brought(
        &self,
        layer: &Layer,
        other: &dyn Below,
        sha256: &Sha256,
        file_name: &str,
    ) -> Result<Option<VerifiedFile>> {
        let mut tries = 0;
        let mut pending = self.begin(file_name)?;
        loop {
            tries += 1;
            let reader = match other.open(sha256) {
                Ok(None) => return Ok(None),
                Ok(Some(reader)) => reader,
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Err(error) => {
                    self.give_up(layer, &error.in_one_line());
                    return Ok(None);
                }
            };
            match fill(&mut pending, reader) {
                Ok(()) => break,
                Err(Broken::Stored(error)) => return Err(error),
                Err(Broken::Read(error))
                    if tries < TRIES && !other.is_near() && error.kind() != io::ErrorKind::TimedOut =>
                {
                    pending.reset()?;
                }
                Err(Broken::Read(error)) => {
                    crate::words::interrupt::check()?;
                    self.give_up(layer, &format!("{file_name} cannot be read ({error})"));
                    return Ok(None);
                }
            }
        }
        let got = pending.sha256();
        if got != *sha256 {
            self.note(format!(
                "{file_name} of the cache {} is passed over: got sha256:{got}, expected sha256:{sha256}",
                layer.name
            ));
            return Ok(None);
        }
        pending.from(layer.name.clone()).commit(&[*sha256]).map(Some)
    }

    /// A record of each of those that have one: for what says nothing that is not compared with the lock, or where the
    /// user trusts that (`--trust-built`).
    pub(super) fn records_below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = Reading> + 'a {
        self.layers().filter_map(move |layer| match &layer.source {
            LowerSource::Directory(dir) => {
                let bytes =
                    dir.below(path.parent()?).ok()?.read(path.file_name()?, super::keyed::LIMIT).ok()?;
                Some(Reading { bytes, is_here: true })
            }
            LowerSource::Other(other) => {
                let begin = Instant::now();
                let found = other.record(path);
                let slow = layer.took(begin.elapsed()).filter(|_| !other.is_near());
                match (&found, slow) {
                    (Err(error), _) if error.kind() == Kind::Interrupted => {}
                    (Err(error), _) => self.give_up(layer, &error.in_one_line()),
                    (Ok(_), Some(slow)) => self.give_up(layer, &slow),
                    (Ok(_), None) => {}
                }
                let bytes = found.ok()??;
                Some(Reading { bytes, is_here: false })
            }
        })
    }
}

fn fill(pending: &mut Pending, mut reader: Box<dyn Read + Send>) -> Result<(), Broken> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => pending
                .write_all(&buffer[..count])
                .map_err(|error| Broken::Stored(Error::io("cannot write", &pending.path(), error)))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::Read(error)),
        }
    }
}
