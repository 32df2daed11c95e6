//! Verified files, records, what is derived from them, and locks below one directory.
//!
//! `docs/cache.md` describes the layout; in short, below a directory that names its version:
//!
//! ```text
//! v1/files/ab/cdef.../SIZE/FILENAME   a file that matched sha256:abcdef..., SIZE bytes long
//! v1/KIND/ab/cdef...                  a record by its key (`Cache::keyed`): answers of interpreters
//! v1/KIND/ab/cdef.../KEY              what is derived from the file sha256:abcdef... (`Cache::derived`)
//! v1/unpacked/v1/MTIME/DIGEST         an unpacked wheel (`Unpacked`)
//! v1/verified/UID/KIND                what this user's venvoy verified or made itself (`ledger`)
//! v1/logs, v1/locks, v1/tmp           output of builds; who is at work, and on what
//! ```
//!
//! Everything is made in `tmp` and published by one rename, so a run that is killed leaves nothing that
//! a later one would trust. Nothing secret is ever part of a key or of what is kept. One open directory leads to all
//! of it, never through a link (`dir`).

mod below;
mod built;
mod bundle;
mod dir;
mod files;
mod identity;
mod keyed;
mod ledger;
mod lock;
mod pending;
#[cfg(test)]
pub(crate) mod scratch;
mod temporary;
#[cfg(test)]
mod tests;
mod unpacked;
mod upkeep;
mod verified;
mod verify;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};

pub(crate) use below::{Below, Lower};
pub(crate) use built::{of_commit, of_project};
pub(crate) use bundle::Bundle;
pub(crate) use dir::Dir;
pub(crate) use files::path as file_path;
pub(crate) use identity::Identity;
pub(crate) use keyed::{Keyed, PendingDir};
pub(crate) use ledger::known as known_to_ledger;
pub(crate) use lock::KeyLock;
pub(crate) use pending::Pending;
pub(crate) use unpacked::{Unpacked, UnpackedWheel};
pub(crate) use upkeep::{Item, Policy, Usage, is_carried};
pub(crate) use verified::VerifiedFile;
pub(crate) use verify::Found;

use crate::{
    project::python::Answers,
    words::{
        error::{Error, Result},
        vocab::Sha256,
    },
};
use below::Layer;
use ledger::Ledger;

/// The layout's version: another one is another directory, so old and new venvoys share a cache.
const LAYOUT: &str = "v1";

/// Answers of interpreters.
const INTERPRETERS: &str = "interpreters";

/// How a cache is opened.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// Change nothing in the cache, as if it could not be written.
    pub read_only: bool,
    /// What counts as verified before.
    pub trust: Trust,
    /// Caches that are only read from, in the order in which they are asked (`--cache-from`).
    pub below: Vec<Lower>,
    /// Whether what was built, which no lock pins, is taken from them as well (`--trust-built`).
    pub trust_built: bool,
}

/// What a run takes from the cache without digesting it again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Whatever this user's venvoy verified or made itself, as long as it is the very same file.
    #[default]
    Recorded,
    /// The same, but nothing that environments may be linked to: whoever writes into one of them changes it. Nor that
    /// what a wheel holds is what its RECORD says (`--strict`).
    Unlinked,
    /// Nothing (`check --repair`, `cache verify`).
    Nothing,
}

/// The cache directory. Shared by threads and by processes, on one machine or through a mount.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What the user called it.
    place: PathBuf,
    /// The layout's directories: where entries are looked for, in order. If the cache can be written, the first one is
    /// where new ones go.
    roots: Vec<Dir>,
    /// Whether new entries stay: the cache can be written, and is not full.
    keeps: AtomicBool,
    /// Why they do not, where that was so from the beginning.
    why_not: Option<String>,
    /// New entries of a run that cannot keep them; removed at its end.
    private: OnceLock<Option<Private>>,
    trust: Trust,
    /// Caches below this one.
    below: Vec<Layer>,
    trust_built: bool,
    /// What this run put into the cache, by its path below the layout's directory.
    added: Mutex<Vec<Added>>,
    ledgers: Mutex<BTreeMap<&'static str, Arc<Ledger>>>,
    /// What happened that the user should hear.
    notes: Mutex<Vec<String>>,
}

/// Something that a run put into the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Its path below the layout's directory.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The cache below that it came from, if it did.
    pub from: Option<String>,
}

#[derive(Debug)]
struct Private {
    root: Dir,
    _removed_when_dropped: tempfile::TempDir,
}

impl Cache {
    /// Opens the cache at `place`, making it if need be, and sweeps what killed runs left behind.
    ///
    /// A cache that cannot be written is read all the same, and one that cannot be used at all is passed over; what is
    /// new goes to a private temporary directory for this run, and [`Cache::warning`] says so.
    pub fn open(place: &Path, options: Options) -> Self {
        let writable = if options.read_only { None } else { Some(make(place)) };
        let (roots, why_not) = match writable {
            Some(Ok(root)) => {
                if let Ok(tmp) = root.below("tmp") {
                    temporary::sweep(&tmp);
                }
                (vec![root], None)
            }
            not => {
                let readable = Dir::open(place).and_then(|dir| dir.below(LAYOUT)).ok();
                let why = not.map(|made| made.err().map_or_else(String::new, |e| e.to_string()));
                (readable.into_iter().collect(), Some(why.unwrap_or_default()))
            }
        };
        let (mut below, mut notes) = (Vec::new(), Vec::new());
        for lower in options.below {
            match Layer::new(lower) {
                Ok(layer) => below.push(layer),
                Err(note) => notes.push(note),
            }
        }
        Cache(Arc::new(Inner {
            place: place.to_owned(),
            roots,
            keeps: AtomicBool::new(why_not.is_none()),
            why_not,
            private: OnceLock::new(),
            trust: options.trust,
            below,
            trust_built: options.trust_built,
            added: Mutex::default(),
            ledgers: Mutex::default(),
            notes: Mutex::new(notes),
        }))
    }

    /// What the user should hear about this cache.
    pub fn warning(&self) -> Option<String> {
        let shown = self.0.place.display();
        let Some(why) = &self.0.why_not else { return self.others_can_write() };
        let set = "set VENVOY_CACHE_DIR to a directory that can be written";
        if self.0.roots.is_empty() {
            return Some(format!(
                "the cache {shown} cannot be used ({why}): what is downloaded now will not be kept; {set}"
            ));
        }
        Some(format!(
            "the cache {shown} cannot be written: it is read, but what is downloaded now will not be kept; {set}"
        ))
    }

    /// Root has more to lose than the others who can write here.
    fn others_can_write(&self) -> Option<String> {
        let root = self.0.roots.first()?;
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let top = fs::metadata(&self.0.place).ok()?;
        let own = |metadata: &fs::Metadata| metadata.uid() == 0 && metadata.mode() & 0o022 == 0;
        if own(&top) && root.handle().metadata().is_ok_and(|metadata| own(&metadata)) {
            return None;
        }
        Some(format!(
            "the cache {} can be written by others than root: nothing in it is used that root's venvoy did not verify \
             or make itself",
            self.0.place.display()
        ))
    }

    /// What happened since the last call that the user should hear.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock_notes())
    }

    fn note(&self, note: String) {
        let mut notes = self.lock_notes();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    fn lock_notes(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.notes.lock()
    }

    /// Whether what this run stores is gone after it.
    pub fn is_read_only(&self) -> bool {
        !self.0.keeps.load(Ordering::Relaxed)
    }

    /// The directory of the layout that new entries go to.
    fn home(&self) -> Result<Dir> {
        if self.is_read_only() { self.private() } else { Ok(self.0.roots[0].clone()) }
    }

    /// Where entries are looked for.
    fn roots(&self) -> impl Iterator<Item = &Dir> {
        let private = self.0.private.get().and_then(Option::as_ref);
        private.map(|private| &private.root).into_iter().chain(&self.0.roots)
    }

    /// What this run put into the cache so far.
    pub fn added(&self) -> Vec<Added> {
        self.0.added.lock().clone()
    }

    fn note_added(&self, path: &Path, size: u64, from: Option<String>) {
        let added = Added { path: path.to_owned(), size, from };
        self.0.added.lock().push(added);
    }

    fn private(&self) -> Result<Dir> {
        let cannot = |error| Error::io("cannot make a temporary directory in", &std::env::temp_dir(), error);
        let make = || {
            let made = tempfile::Builder::new().prefix("venvoy-cache-").tempdir()?;
            let root = make(made.path())?;
            Ok::<_, io::Error>(Private { root, _removed_when_dropped: made })
        };
        let mut failed = None;
        let private = self.0.private.get_or_init(|| make().map_err(|error| failed = Some(error)).ok());
        match private {
            Some(private) => Ok(private.root.clone()),
            None => Err(cannot(failed.unwrap_or_else(|| io::ErrorKind::Other.into()))),
        }
    }

    /// Whether something that cannot stay at `root` can go elsewhere. Several threads find out about a full disk at the
    /// same time, so the place where one of them failed counts, and not whether another said so already.
    fn can_spill_from(&self, root: &Dir) -> bool {
        let private = self.0.private.get().and_then(Option::as_ref);
        private.is_none_or(|private| private.root.path() != root.path())
    }

    /// Goes on with a private directory, as there is no room left in the cache or it is gone.
    fn spill(&self, why: &io::Error) -> Result<Dir> {
        if self.0.keeps.swap(false, Ordering::Relaxed) {
            let place = self.0.place.display();
            let what = match why.kind() {
                io::ErrorKind::NotFound => format!("the cache {place} was removed meanwhile"),
                _ => format!("there is no room left for the cache {place}"),
            };
            self.note(format!("{what}: what is downloaded now will not be kept"));
        }
        self.private()
    }

    /// Where unfinished things are made: on the same file system as their final places.
    pub fn temporary(&self) -> Result<Dir> {
        self.place_for("tmp")
    }

    /// Where the output of builds is kept.
    pub fn logs_dir(&self) -> Result<PathBuf> {
        self.place_for("logs").map(|dir| dir.path().to_owned())
    }

    /// A directory at the top, made if it is not there.
    fn place_for(&self, name: &str) -> Result<Dir> {
        let home = self.home()?;
        home.make(name)
            .map_err(|error| Error::io("cannot make the directory", &home.path().join(name), error))
    }

    /// Waits for the sole right to make what belongs to `key`; given back when the value is dropped.
    ///
    /// It saves work and protects nothing, as everything is published by rename: where the file system
    /// knows no locks, this returns at once. Look again for what you want once you have it.
    pub fn lock(&self, key: &Sha256) -> KeyLock {
        match self.place_for("locks") {
            Ok(dir) => KeyLock::acquire(&dir, &format!("{key}.lock")),
            Err(_) => KeyLock::none(),
        }
    }

    fn ledger(&self, kind: &'static str) -> Arc<Ledger> {
        let mut ledgers = self.0.ledgers.lock();
        let new = || {
            let dir = if self.is_read_only() { None } else { self.0.roots.first() };
            let user = rustix::process::geteuid().as_raw().to_string();
            let dir = dir.and_then(|root| root.make(Path::new(ledger::DIR).join(user)).ok());
            let doubted = match self.0.trust {
                Trust::Recorded => false,
                Trust::Unlinked => [unpacked::KIND, files::AS_RECORDED].contains(&kind),
                Trust::Nothing => true,
            };
            Arc::new(Ledger::new(dir, kind, doubted))
        };
        ledgers.entry(kind).or_insert_with(new).clone()
    }
}

impl Answers for Cache {
    fn read(&self, key: &Sha256) -> Option<Vec<u8>> {
        self.keyed(INTERPRETERS, key).read_own()
    }

    fn keep(&self, key: &Sha256, answer: &[u8]) {
        if !self.is_read_only() {
            let _ = self.keyed(INTERPRETERS, key).publish(answer);
        }
    }
}

/// `ab/cdef...`: no directory gets more than a few hundred entries.
fn sharded(key: &Sha256) -> PathBuf {
    let text = key.to_string();
    Path::new(&text[..2]).join(&text[2..])
}

/// The key that a path of two components, as [`sharded`] makes them, stands for.
fn unsharded(first: &OsStr, rest: &OsStr) -> Option<Sha256> {
    format!("{}{}", first.to_str()?, rest.to_str()?).parse().ok()
}

/// Makes the directories that everything else needs and marks the cache for backup programs; gives the layout's.
fn make(place: &Path) -> io::Result<Dir> {
    fs::create_dir_all(place)?;
    let top = Dir::open(place)?;
    let layout = top.make(LAYOUT)?;
    for name in ["tmp", "locks"] {
        let dir = layout.make(name)?;
        let writable = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(dir.handle(), ".", writable, rustix::fs::AtFlags::EACCESS)?;
    }
    // Only a courtesy (https://bford.info/cachedir/): a cache without it works.
    if let Ok(mut tag) = top.create("CACHEDIR.TAG", 0o644) {
        let _ = io::Write::write_all(
            &mut tag,
            b"Signature: 8a477f597d28d172789f06886806bc55\n# Made by venvoy.\n",
        );
    }
    Ok(layout)
}
