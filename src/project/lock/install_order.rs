//! In which order pipenv would install entries: what decides which of two versions, and which of two files of one
//! path, is there in the end.
//!
//! pipenv installs category after category. Of each it runs pip once for every index, in the order in which the
//! category first names them (what is editable comes after everything else), and for every set of `pip_args`
//! within; first for entries with hashes, then for those without. Each pip installs in descending order of
//! names. What is installed later replaces what was there. Found by running pipenv 2026.10.3; the pip runs with and
//! without hashes are started together there, and those without, which have to be built, end last nearly always.
//!
//! An entry of a later category is passed over by pipenv where what is installed satisfies it.

use std::{cmp::Reverse, collections::HashMap, hash::Hash, path::Path};

use super::{Entry, EntryOrigin};
use crate::words::vocab::{Version, WheelName};

/// Whether what an earlier category installed makes a later entry of the same package superfluous.
///
/// Of a repository, a directory and a source distribution the version is not known before it is built: an entry
/// of an index then counts as not satisfied.
pub(super) fn satisfies(installed: &Entry, wanted: &Entry) -> bool {
    match &wanted.origin {
        EntryOrigin::Index if installed.pin == wanted.pin && installed.origin == wanted.origin => true,
        EntryOrigin::Index => {
            version_of(installed).is_some_and(|version| wanted.pin.accepts(&version, &version.to_string()))
        }
        // pip always looks again at what a repository or a directory has.
        EntryOrigin::Vcs(_) => false,
        EntryOrigin::Url(_) | EntryOrigin::Path(_) => {
            let wheel = wheel_of(wanted);
            wheel.is_some_and(|wheel| version_of(installed) == Some(wheel.version))
        }
    }
}

/// The version that an entry gives, as far as lock and file name tell.
fn version_of(entry: &Entry) -> Option<Version> {
    match entry.origin {
        EntryOrigin::Index => entry.pin.version(),
        _ => wheel_of(entry).map(|wheel| wheel.version),
    }
}

/// The wheel that an entry names by URL or path.
fn wheel_of(entry: &Entry) -> Option<WheelName> {
    let name = match &entry.origin {
        EntryOrigin::Url(url) => url.url().path_segments()?.next_back()?.to_owned(),
        EntryOrigin::Path(path) => Path::new(path).file_name()?.to_str()?.to_owned(),
        EntryOrigin::Index | EntryOrigin::Vcs(_) => return None,
    };
    percent_encoding::percent_decode_str(&name).decode_utf8().ok()?.parse().ok()
}

/// The entries that one category installs, in the order of installation, each with the run of pip that installs it,
/// counted from 0. `default` is the index of those that name none; with `search_all` (`install_search_all_sources`) an
/// entry's index makes no difference.
pub(super) fn in_category<'a>(
    mut entries: Vec<&'a Entry>,
    default: Option<&'a str>,
    search_all: bool,
) -> Vec<(usize, &'a Entry)> {
    let is_last = |entry: &Entry| entry.editable && entry.origin != EntryOrigin::Index;
    entries.sort_by_key(|entry| is_last(entry));
    let index = |entry: &'a Entry| if search_all { None } else { entry.index.as_deref().or(default) };
    let mut indexes = HashMap::new();
    let mut arguments = HashMap::new();
    let mut keyed: Vec<_> = entries
        .iter()
        .map(|&entry| {
            let index = position(&mut indexes, index(entry));
            let arguments = position(&mut arguments, (index, &*entry.pip_args));
            let built = entry.origin != EntryOrigin::Index || entry.hashes.is_empty();
            ((index, arguments, built), Reverse(&entry.name), entry)
        })
        .collect();
    keyed.sort_by(|(a, name, _), (b, other, _)| a.cmp(b).then_with(|| name.cmp(other)));
    let mut run = 0;
    let mut before = None;
    let numbered = keyed.into_iter().map(|(together, _, entry)| {
        run += usize::from(before.is_some_and(|before| before != together));
        before = Some(together);
        (run, entry)
    });
    numbered.collect()
}

/// The number of what was seen before, or the next one.
fn position<T: Eq + Hash>(seen: &mut HashMap<T, usize>, wanted: T) -> usize {
    let next = seen.len();
    *seen.entry(wanted).or_insert(next)
}
