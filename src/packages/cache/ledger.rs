//! What this user's venvoy itself verified or made in this cache, file by file.
//!
//! One text file for each kind and user, `verified/UID/KIND`:
//!
//! ```text
//! venvoy verified 1 DEVICE INODE BIRTH     this very file: a copy of it, restored elsewhere, says nothing
//! KEY DEVICE INODE SIZE MTIME NS CTIME NS   again and again; the last line of a key counts
//! ```
//!
//! It vouches for nothing but what has exactly the identity of a line. A cache that came from elsewhere, a file that
//! was exchanged, or another user's file is thus digested before it is used, and what has no digest to be compared
//! with is made again.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    time::SystemTime,
};

use parking_lot::Mutex;

use super::{
    Identity,
    dir::{self, Dir},
};
use crate::words::files;

/// Where ledgers are.
pub(super) const DIR: &str = "verified";

const HEAD: &str = "venvoy verified 1";

/// More than any cache's; one that is larger is begun anew.
const LIMIT: u64 = 16 << 20;

/// How old a change must be, in seconds, before others' files are recorded: within one tick of the file system's clock a
/// second change could not be told from the first. Nobody else can write to a user's own files.
const SETTLED: i64 = 2;

/// The ledger of one kind.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Where the ledgers of this user are; `None` where none can be.
    dir: Option<Dir>,
    kind: &'static str,
    /// What it says does not count in this run.
    doubted: bool,
    state: Mutex<Option<State>>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<String, Identity>,
    /// Open for appending; `None` where that cannot be.
    file: Option<File>,
}

impl Ledger {
    pub(super) fn new(dir: Option<Dir>, kind: &'static str, doubted: bool) -> Self {
        Ledger { dir, kind, doubted, state: Mutex::new(None) }
    }

    /// Whether the thing with this key was verified or made with exactly this identity.
    pub(super) fn knows(&self, key: &str, identity: &Identity) -> bool {
        self.with(|state| state.known.get(key) == Some(identity))
    }

    /// Whether there is a line for this key that says something else: it was exchanged here.
    pub(super) fn contradicts(&self, key: &str, identity: &Identity) -> bool {
        self.with(|state| state.known.get(key).is_some_and(|known| known != identity))
    }

    /// Records that it was verified or made. `own`: nobody else can write to it. Where nothing can be recorded, it
    /// holds for this run.
    pub(super) fn record(&self, key: &str, identity: Identity, own: bool) {
        if !own && dir::now() - identity.changed() < SETTLED {
            return;
        }
        self.with(|state| {
            if state.known.insert(key.to_owned(), identity) != Some(identity)
                && let Some(file) = &mut state.file
            {
                // One write for one line, so that lines of several runs do not mix.
                let _ = file.write_all(format!("{key} {identity}\n").as_bytes());
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        work(state.get_or_insert_with(|| self.load()))
    }

    fn load(&self) -> State {
        let Some(dir) = &self.dir else { return State::default() };
        let mut state = self.read(dir).or_else(|_| self.begin(dir)).unwrap_or_default();
        if self.doubted {
            state.known.clear();
        }
        state
    }

    fn read(&self, dir: &Dir) -> io::Result<State> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let file = dir.open_or_create(self.kind, 0o600, true)?;
        let metadata = file.metadata()?;
        if !dir::is_own(&metadata) || metadata.nlink() != 1 {
            return Err(invalid());
        }
        let bytes = files::read(&file, LIMIT)?;
        let text = String::from_utf8(bytes).map_err(|_| invalid())?;
        if text.lines().next() != Some(&head(&metadata)) {
            return Err(invalid());
        }
        let (known, lines) = known(&text);
        let mut state = State { known, file: Some(file) };
        if lines > 2 * state.known.len() + 1000 {
            let known = std::mem::take(&mut state.known);
            state = self.begin(dir)?;
            let lines: Vec<String> =
                known.iter().map(|(key, identity)| format!("{key} {identity}\n")).collect();
            if let Some(file) = &mut state.file {
                let _ = file.write_all(lines.concat().as_bytes());
            }
            state.known = known;
        } else if !text.ends_with('\n') {
            // What comes next is a line of its own.
            let _ = state.file.as_mut().map(|file| file.write_all(b"\n"));
        }
        Ok(state)
    }

    /// A new file that knows nothing, in the place of whatever is there.
    fn begin(&self, dir: &Dir) -> io::Result<State> {
        dir.remove(self.kind)?;
        let mut file = dir.open_or_create(self.kind, 0o600, true)?;
        let head = head(&file.metadata()?);
        file.write_all(format!("{head}\n").as_bytes())?;
        Ok(State { known: HashMap::new(), file: Some(file) })
    }
}

/// What the lines after the first say, and how many they are. A line that a killed run left half says nothing.
pub(crate) fn known(text: &str) -> (HashMap<String, Identity>, usize) {
    let mut known = HashMap::new();
    let mut lines = 0;
    for line in text.lines().skip(1) {
        lines += 1;
        if let Some((key, identity)) = line.split_once(' ')
            && let Ok(identity) = identity.parse()
        {
            known.insert(key.to_owned(), identity);
        }
    }
    (known, lines)
}

/// Inodes are used again, in a fresh container even in the same order; the time of birth is the kernel's.
fn head(metadata: &std::fs::Metadata) -> String {
    let born = metadata.created().ok().and_then(|born| born.duration_since(SystemTime::UNIX_EPOCH).ok());
    format!("{HEAD} {} {} {}", metadata.dev(), metadata.ino(), born.map_or(0, |born| born.as_nanos()))
}
