//! What a cache holds, and making it smaller.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{Cache, temporary};
use crate::words::error::{Error, Result};

/// What one kind of entry takes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// How many files.
    pub files: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

impl Cache {
    /// What the cache holds, by kind (`files`, `selections`, `unpacked`, ...).
    pub fn size(&self) -> BTreeMap<String, Usage> {
        let mut sizes = BTreeMap::new();
        for (kind, path) in self.kinds() {
            let mut usage = Usage::default();
            walk(&path, &mut |_, metadata| {
                usage.files += 1;
                usage.bytes += metadata.len();
            });
            sizes.insert(kind, usage);
        }
        sizes
    }

    /// Removes everything. Runs at work go on: each kind is moved aside by one rename before it is
    /// removed, and what they are just making stays.
    pub fn clear(&self) -> Result<()> {
        for (kind, path) in self.kinds() {
            let (aside, _lock) = temporary::directory(&self.temporary())?;
            match fs::rename(&path, aside.path().join(kind)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("cannot move aside", &path, error));
                }
                _ => {}
            }
            let name = aside.path().to_owned();
            aside.close().map_err(|error| Error::io("cannot remove", &name, error))?;
        }
        Ok(())
    }

    /// Removes files, selection records and bytecode that nobody read or wrote for `age`, and says how much that
    /// gave back. Directories (unpacked wheels, say) are left to [`Cache::clear`]: half of one would be
    /// worse than none.
    pub fn prune(&self, age: Duration) -> Usage {
        let mut freed = Usage::default();
        let now = SystemTime::now();
        for (kind, path) in self.kinds() {
            if !matches!(kind.as_str(), "files" | "selections" | "bytecode") {
                continue;
            }
            walk(&path, &mut |path, metadata| {
                let used = metadata.accessed().ok().max(metadata.modified().ok());
                let unused =
                    used.and_then(|used| now.duration_since(used).ok()).is_some_and(|idle| idle >= age);
                if unused && fs::remove_file(path).is_ok() {
                    freed.files += 1;
                    freed.bytes += metadata.len();
                }
            });
        }
        freed
    }

    /// The kinds of entries there are, with their directories.
    fn kinds(&self) -> Vec<(String, std::path::PathBuf)> {
        let entries = fs::read_dir(self.root()).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
        let mut kinds: Vec<_> = named.filter(|(kind, _)| kind != "tmp" && kind != "locks").collect();
        kinds.sort();
        kinds
    }
}

/// Calls `each` for every file below `dir`, following no links; directories that are empty afterwards
/// stay, as someone may be about to fill them.
fn walk(dir: &Path, each: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            walk(&entry.path(), each);
        } else {
            each(&entry.path(), &metadata);
        }
    }
}
