//! What a cache holds, and making it smaller.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Cache, Dir, built,
    dir::{Found, now},
    files,
    keyed::SELECTIONS,
    ledger,
    temporary::TemporaryDir,
    unpacked, unsharded,
};
use crate::words::{
    error::{Error, Result},
    vocab::Sha256,
};

/// Kinds that say something about a file which need not be here.
const ABOUT_ANY_FILE: [&str; 2] = [SELECTIONS, built::KIND];

/// Kinds that are cheaper to make than to carry to another machine, or mean nothing there.
const CHEAPER_TO_MAKE: [&str; 5] = [unpacked::KIND, "bytecode", "interpreters", "places", "logs"];

/// Whether something is worth carrying to another machine, by its path below the layout's directory.
pub(crate) fn is_carried(path: &Path) -> bool {
    let kind = path.iter().next().and_then(|kind| kind.to_str()).unwrap_or_default();
    !CHEAPER_TO_MAKE.contains(&kind)
}

/// Directories that hold nothing which is kept.
const AT_WORK: [&str; 2] = ["tmp", "locks"];

/// What one kind of entry takes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// How many files.
    pub files: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

impl Usage {
    fn add(&mut self, other: Usage) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// One thing in the cache: it is there or not, as a whole.
#[derive(Debug, Clone)]
pub struct Item {
    /// What sort of thing it is.
    pub kind: String,
    /// Where it is, below the layout's directory.
    pub path: PathBuf,
    /// The digest of the file that it is, or is derived from.
    pub from: Option<Sha256>,
    /// Its name: that of a file, or its key.
    pub name: String,
    /// What it takes.
    pub usage: Usage,
    /// When it was last used, in seconds since 1970.
    pub used: i64,
}

impl Item {
    fn is_file(&self) -> bool {
        self.kind == files::KIND
    }

    /// Whether it is worth nothing without the file.
    fn goes_with_its_file(&self) -> bool {
        !self.is_file() && self.from.is_some() && !ABOUT_ANY_FILE.contains(&self.kind.as_str())
    }
}

/// What goes. Everything asked for is done, one after the other in this order.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What is cheaper to make than to carry.
    pub ci: bool,
    /// Whatever is neither one of these files (or of what else a lock names, by digest) nor derived from one.
    pub keep_only: Option<HashSet<Sha256>>,
    /// What was not used for this long.
    pub older_than: Option<Duration>,
    /// What was not used for longest, until the rest takes no more than this many bytes.
    pub max_size: Option<u64>,
}

impl Cache {
    /// What the cache holds, by kind (`files`, `selections`, `unpacked`, ...).
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        let mut sizes = BTreeMap::new();
        let Some(root) = self.0.roots.first() else { return sizes };
        for kind in kinds(root) {
            let mut usage = Usage::default();
            if let Ok(dir) = root.below(&kind) {
                dir.walk(&mut |_, _, found| usage.add(Usage { files: 1, bytes: found.size }));
            }
            if usage.files > 0 {
                sizes.insert(kind, usage);
            }
        }
        sizes
    }

    /// Everything in the cache, sorted by path. What is not laid out as it should be is left out.
    pub fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let Some(root) = self.0.roots.first() else { return items };
        for kind in kinds(root) {
            let list = Lister { root, kind: &kind };
            match kind.as_str() {
                unpacked::KIND => list.unpacked(&mut items),
                // It says something about the others, and goes with them all or not at all.
                ledger::DIR => {}
                "logs" => list.below(Path::new(""), None, &mut items),
                _ => list.sharded(&mut items),
            }
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        items
    }

    /// Removes everything, and says how much that was. Runs at work go on: each kind is moved aside by one rename before
    /// it is removed, and what they are just making stays.
    pub fn clear(&self) -> Result<Usage> {
        let mut freed = Usage::default();
        let Some(root) = self.0.roots.first() else { return Ok(freed) };
        for (_, usage) in self.usage() {
            freed.add(usage);
        }
        let tmp = self.temporary()?;
        let names = root.names().unwrap_or_default();
        for name in names.iter().filter(|name| !is_at_work(name)) {
            let shown = root.path().join(name);
            let aside = TemporaryDir::new(&tmp)
                .map_err(|error| Error::io("cannot make a directory in", tmp.path(), error))?;
            match root.rename(name, aside.dir(), name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("cannot move aside", &shown, error));
                }
                _ => {}
            }
            aside.dir().remove(name).map_err(|error| Error::io("cannot remove", &shown, error))?;
        }
        Ok(freed)
    }

    /// Makes the cache smaller, and says how much that gave back. What is in use by another run may be missing to it
    /// afterwards: it is then fetched or made again.
    pub fn prune(&self, policy: &Policy) -> Result<Usage> {
        let mut freed = Usage::default();
        let mut items = self.items();
        let mut go = |items: &mut Vec<Item>, goes: &dyn Fn(&Item) -> bool| -> Result<()> {
            let gone: Vec<Item> = items.extract_if(.., |item| goes(item)).collect();
            for item in gone {
                self.remove(&item)?;
                freed.add(item.usage);
            }
            Ok(())
        };
        if policy.ci {
            go(&mut items, &|item| CHEAPER_TO_MAKE.contains(&item.kind.as_str()))?;
            if let Some(root) = self.0.roots.first() {
                let shown = root.path().join(ledger::DIR);
                root.remove(ledger::DIR).map_err(|error| Error::io("cannot remove", &shown, error))?;
            }
        }
        if let Some(keep) = &policy.keep_only {
            let needed = self.needed(&items, keep);
            go(&mut items, &|item| item.from.is_some_and(|from| !needed.contains(&from)))?;
        }
        if let Some(age) = policy.older_than {
            let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            let now = now();
            go(&mut items, &|item| now.saturating_sub(item.used) >= age)?;
        }
        if let Some(limit) = policy.max_size {
            let mut all: u64 = items.iter().map(|item| item.usage.bytes).sum();
            items.sort_by_key(|item| Reverse(item.used));
            let mut gone = HashSet::new();
            for item in items.iter().rev() {
                if all <= limit {
                    break;
                }
                all -= item.usage.bytes;
                gone.insert(item.path.clone());
            }
            go(&mut items, &|item| gone.contains(&item.path))?;
        }
        let files: HashSet<Sha256> =
            items.iter().filter(|item| item.is_file()).filter_map(|item| item.from).collect();
        go(&mut items, &|item| {
            item.goes_with_its_file() && item.from.is_some_and(|from| !files.contains(&from))
        })?;
        Ok(freed)
    }

    /// The digests that what is to be kept hangs on: wheels that were built from it count as well.
    fn needed(&self, items: &[Item], keep: &HashSet<Sha256>) -> HashSet<Sha256> {
        let mut needed = keep.clone();
        let Some(root) = self.0.roots.first() else { return needed };
        for item in items.iter().filter(|item| item.kind == built::KIND) {
            if item.from.is_some_and(|from| keep.contains(&from)) {
                needed.extend(built_digest(root, item));
            }
        }
        needed
    }

    /// The records of builds that gave one of these files, by their paths below the layout's directory.
    pub fn builds_of(&self, files: &HashSet<Sha256>) -> Vec<PathBuf> {
        let Some(root) = self.0.roots.first() else { return Vec::new() };
        let list = Lister { root, kind: built::KIND };
        let mut items = Vec::new();
        list.sharded(&mut items);
        items.retain(|item| built_digest(root, item).is_some_and(|digest| files.contains(&digest)));
        items.into_iter().map(|item| item.path).collect()
    }

    /// Removes one thing.
    pub fn remove(&self, item: &Item) -> Result<()> {
        let Some(root) = self.0.roots.first() else { return Ok(()) };
        let (Some(parent), Some(name)) = (item.path.parent(), item.path.file_name()) else { return Ok(()) };
        let Ok(dir) = root.below(parent) else { return Ok(()) };
        dir.remove(name).map_err(|error| Error::io("cannot remove", &root.path().join(&item.path), error))?;
        // Directories that are empty now, unless someone fills them at this moment.
        for parent in parent.ancestors().take_while(|parent| !parent.as_os_str().is_empty()) {
            let (Some(above), Some(name)) = (parent.parent(), parent.file_name()) else { break };
            let Ok(above) = root.below(above) else { break };
            if rustix::fs::unlinkat(above.handle(), name, rustix::fs::AtFlags::REMOVEDIR).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// The digest of the wheel that a record of a build names.
pub(super) fn built_digest(root: &Dir, item: &Item) -> Option<Sha256> {
    let dir = root.below(item.path.parent()?).ok()?;
    built::Record::parse(&dir.read(item.path.file_name()?, 1 << 20).ok()?)?.digest()
}

/// The kinds of entries there are.
fn kinds(root: &Dir) -> Vec<String> {
    let names = root.names().unwrap_or_default();
    names.into_iter().filter(|name| !is_at_work(name)).filter_map(|name| name.into_string().ok()).collect()
}

fn is_at_work(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| AT_WORK.contains(&name))
}

/// Lists the things of one kind.
struct Lister<'a> {
    root: &'a Dir,
    kind: &'a str,
}

impl Lister<'_> {
    /// `KIND/ab/cdef...`: a file, or a directory of what is derived from the file with that digest.
    fn sharded(&self, items: &mut Vec<Item>) {
        let Ok(kind) = self.root.below(self.kind) else { return };
        for shard in kind.names().unwrap_or_default() {
            let Ok(dir) = kind.below(&shard) else { continue };
            for name in dir.names().unwrap_or_default() {
                let Some(digest) = unsharded(&shard, &name) else { continue };
                let inside = Path::new(&shard).join(&name);
                let is_dir = dir.look(&name).is_ok_and(|found| found.kind.is_dir());
                if self.kind == files::KIND {
                    items.extend(self.item(&inside, Some(digest), None));
                } else if built::DIRECTORIES.contains(&self.kind) {
                    items.extend(self.item(&inside, None, None));
                } else if is_dir {
                    self.below(&inside, Some(digest), items);
                } else {
                    let record = || built::Record::parse(&dir.read(&name, 1 << 20).ok()?)?.from();
                    let from = if self.kind == built::KIND { record() } else { None };
                    items.extend(self.item(&inside, from, None));
                }
            }
        }
    }

    /// `unpacked/v1/MTIME/DIGEST`.
    fn unpacked(&self, items: &mut Vec<Item>) {
        let versions = Path::new("v1");
        let Ok(times) = self.root.below(Path::new(self.kind).join(versions)) else { return };
        for time in times.names().unwrap_or_default() {
            let Ok(wheels) = times.below(&time) else { continue };
            for name in wheels.names().unwrap_or_default() {
                let from = name.to_str().and_then(|name| name.parse().ok());
                items.extend(self.item(&versions.join(&time).join(&name), from, Some(|found| found.changed)));
            }
        }
    }

    /// Everything right in a directory.
    fn below(&self, inside: &Path, from: Option<Sha256>, items: &mut Vec<Item>) {
        let Ok(dir) = self.root.below(Path::new(self.kind).join(inside)) else { return };
        for name in dir.names().unwrap_or_default() {
            items.extend(self.item(&inside.join(name), from, None));
        }
    }

    /// What is at a path below the kind's directory.
    fn item(&self, inside: &Path, from: Option<Sha256>, also: Option<fn(&Found) -> i64>) -> Option<Item> {
        let path = Path::new(self.kind).join(inside);
        let dir = self.root.below(path.parent()?).ok()?;
        let found = dir.look(path.file_name()?).ok()?;
        let mut item = Item {
            kind: self.kind.to_owned(),
            name: path.file_name()?.to_string_lossy().into_owned(),
            path,
            from,
            usage: Usage { files: 1, bytes: found.size },
            used: found.used,
        };
        if !found.kind.is_dir() {
            // What is derived from a file is used together.
            item.used =
                item.used.max(dir.look(".").map_or(0, |dir| if from.is_some() { dir.modified } else { 0 }));
            return Some(item);
        }
        item.usage = Usage::default();
        item.used = 0;
        let dir = dir.below(item.path.file_name()?).ok()?;
        dir.walk(&mut |at, name, found| {
            item.usage.add(Usage { files: 1, bytes: found.size });
            item.used = item.used.max(found.used).max(also.map_or(0, |also| also(found)));
            if self.kind == files::KIND {
                item.used = item.used.max(at.look(".").map_or(0, |dir| dir.modified));
                item.name = name.to_string_lossy().into_owned();
            }
        });
        if item.usage.files == 0 {
            item.used = found.modified;
        }
        Some(item)
    }
}
