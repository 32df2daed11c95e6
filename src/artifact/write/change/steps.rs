//! What is to be done so that one tree becomes another, in steps.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{self, File},
    path::Path,
};

use super::{Changing, Previous};
use crate::{
    artifact::write::{journal::Step, tree::Filled},
    environment::{
        layout::Written,
        manifest::{
            condition::Near,
            text::{Content, Dir, Head, Manifest, New, NewItem, escape, head},
        },
    },
    words::vocab::RelPath,
};

/// The tree before and after.
pub(super) struct Tree<'a> {
    /// What was there.
    pub(super) manifest: &'a Manifest<'a>,
    /// Files of the distributions that leave.
    pub(super) old: &'a HashSet<String>,
    /// What is new, in the staging directory.
    pub(super) filled: &'a Filled<'a>,
}

/// A file or link of a directory that is touched: what it is to be.
enum After<'a> {
    Stays(Content<'a>),
    New(Written, bool),
}

impl Tree<'_> {
    /// What is to be done, and the new manifest; `None` where the new tree cannot be made out of the old one.
    pub(super) fn steps(
        &self,
        previous: &Previous<'_>,
        change: &Changing<'_>,
        dest: &Path,
    ) -> Option<(Vec<Step>, String)> {
        let plan = &*self.filled.plan;
        let top = File::open(dest).ok()?;
        let near = Near::new(&top, self.manifest);
        let bad: HashSet<&str> = previous.condition.bad.iter().map(String::as_str).collect();
        let mut touched: BTreeMap<&str, BTreeMap<String, After<'_>>> = BTreeMap::new();
        let paths = plan.files.iter().map(|file| file.path.as_str());
        for path in paths.chain(self.old.iter().map(String::as_str)) {
            let dir = split(path).0;
            if touched.contains_key(dir) {
                continue;
            }
            let mut items = BTreeMap::new();
            if let Some(there) = self.manifest.dir(dir) {
                for item in there.items() {
                    let item = item?;
                    items.insert(item.name.into_owned(), After::Stays(item.content));
                }
            }
            touched.insert(dir, items);
        }

        // Files: what goes, what comes, what is the same.
        let new: HashSet<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
        let mut removed = Vec::new();
        for path in self.old.iter().map(String::as_str).filter(|path| !new.contains(path)) {
            let (dir, name) = split(path);
            if touched.get_mut(dir)?.remove(name).is_some() {
                removed.push(path);
            }
        }
        let mut put = Vec::new();
        for (at, (file, written)) in plan.files.iter().zip(&self.filled.written).enumerate() {
            let path = file.path.as_str();
            let (dir, name) = split(path);
            let items = touched.get_mut(dir)?;
            match items.get(name) {
                // Another distribution's, which stays.
                Some(_) if !self.old.contains(path) => return None,
                Some(_) if self.filled.there.contains(&at) => {}
                Some(After::Stays(content @ Content::File { size, digest, executable }))
                    if *size == written.size
                        && *executable == file.executable
                        && *digest == written.sha256.to_record()
                        && !bad.contains(path)
                        && near.is_as_written(path, content, self.manifest.mtime) => {}
                _ => {
                    items.insert(name.to_owned(), After::New(*written, file.executable));
                    put.push(&file.path);
                }
            }
        }
        // Whatever is not as it was written is put right, or this is not the way.
        if bad.iter().any(|path| !new.contains(path) && !self.old.contains(*path)) {
            return None;
        }

        // Directories: which are there afterwards.
        let mut dirs: BTreeSet<&str> = self.manifest.dirs.iter().map(|dir| &*dir.path).collect();
        dirs.extend(plan.dirs.iter().map(RelPath::as_str));
        let always: HashSet<&str> = plan.dirs.iter().map(RelPath::as_str).chain(["."]).collect();
        let mut emptied = Vec::new();
        let mut candidates: BTreeSet<&str> =
            touched.iter().filter(|(_, items)| items.is_empty()).map(|(dir, _)| *dir).collect();
        // The deepest first, as a directory may be empty once those in it are gone.
        while let Some(dir) = candidates.pop_last() {
            let inside = format!("{dir}/");
            let has_dirs = dirs.range(inside.as_str()..).next().is_some_and(|next| next.starts_with(&inside));
            let has_files = match touched.get(dir) {
                Some(items) => !items.is_empty(),
                None => self.manifest.dir(dir).is_some_and(|dir| !dir.lines.is_empty()),
            };
            if has_dirs || has_files || always.contains(dir) {
                continue;
            }
            dirs.remove(dir);
            if self.manifest.dir(dir).is_some() {
                emptied.push(dir);
                candidates.insert(split(dir).0);
            }
        }
        // One path is a file or a directory.
        if new.iter().any(|path| dirs.contains(path)) {
            return None;
        }
        let came: BTreeSet<&str> = plan.dirs.iter().map(RelPath::as_str).collect();
        let added: Vec<&str> = came.into_iter().filter(|dir| self.manifest.dir(dir).is_none()).collect();
        for dir in &added {
            let (above, name) = split(dir);
            let stays = if let Some(items) = touched.get(above) {
                items.contains_key(name)
            } else {
                let items = self.manifest.dir(above).map(Dir::items);
                items.into_iter().flatten().flatten().any(|item| item.name == name)
            };
            if stays {
                return None;
            }
        }

        let steps = self.order(&Work {
            previous,
            dest,
            removed: &removed,
            emptied: &emptied,
            added: &added,
            put: &put,
            touched: touched.keys().copied().filter(|dir| dirs.contains(dir)).collect(),
        })?;
        Some((steps, self.render(previous, change, &dirs, &touched)))
    }

    /// The steps in their order: what goes, directories, what comes, times.
    fn order(&self, work: &Work<'_>) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        let mut settle: BTreeSet<&str> = BTreeSet::new();
        let parse = |path: &str| path.parse::<RelPath>().ok();
        // A directory that goes does so as a whole, and nothing in it is named: the steps that remove lie nowhere in
        // each other, as they are done at the same time.
        let emptied: HashSet<&str> = work.emptied.iter().copied().collect();
        let goes_whole = |path: &str| emptied.contains(split(path).0);
        for path in work.previous.condition.extra.iter().filter(|path| !goes_whole(path)) {
            steps.push(Step::RemoveTree(parse(path)?));
            settle.insert(split(path).0);
        }
        let mut sources: HashMap<&str, HashSet<&str>> = HashMap::new();
        let gone = work.removed.iter().copied().filter(|path| !goes_whole(path));
        for path in gone.clone().chain(work.put.iter().map(|path| path.as_str())) {
            let (dir, name) = split(path);
            if let Some(stem) = name.strip_suffix(".py") {
                sources.entry(dir).or_default().insert(stem);
            }
            settle.insert(dir);
        }
        for path in gone {
            steps.push(Step::Remove(parse(path)?));
        }
        for path in self.stale_bytecode(work.dest, &sources) {
            if !goes_whole(&path) {
                steps.push(Step::Remove(parse(&path)?));
            }
        }
        for dir in work.emptied.iter().filter(|dir| !goes_whole(dir)) {
            steps.push(Step::RemoveTree(parse(dir)?));
            settle.insert(split(dir).0);
        }
        // Those that went missing, before anything is moved into them.
        for dir in &work.previous.condition.bad_dirs {
            if self.manifest.dir(dir).is_some() && !emptied.contains(dir.as_str()) && dir != "." {
                steps.push(Step::MakeDir(parse(dir)?));
                settle.insert(dir);
                settle.insert(split(dir).0);
            }
        }
        // A directory that is new as a whole comes by one rename, if nothing unlisted is in its place.
        let mut whole: Vec<&str> = Vec::new();
        for dir in work.added {
            if whole
                .last()
                .is_some_and(|above| dir.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')))
            {
                continue;
            }
            let gone = work.previous.condition.extra.iter().any(|extra| extra == dir);
            if !gone && fs::symlink_metadata(work.dest.join(dir)).is_ok() {
                return None;
            }
            steps.push(Step::Move(parse(dir)?));
            settle.insert(split(dir).0);
            whole.push(dir);
        }
        let moved = |path: &str| {
            let at = whole.partition_point(|dir| *dir <= path);
            at > 0 && path.strip_prefix(whole[at - 1]).is_some_and(|rest| rest.starts_with('/'))
        };
        for path in work.put.iter().filter(|path| !moved(path.as_str())) {
            steps.push(Step::Move((*path).clone()));
        }
        for dir in settle {
            let was_there = work.touched.contains(dir) || self.manifest.dir(dir).is_some();
            let is_new = moved(dir) || whole.contains(&dir);
            if dir != "." && was_there && !emptied.contains(dir) && !is_new {
                steps.push(Step::Settle(parse(dir)?));
            }
        }
        Some(steps)
    }

    /// Bytecode that an interpreter made of sources which are not what they were: with times that never change,
    /// it would be taken for theirs.
    fn stale_bytecode(&self, dest: &Path, sources: &HashMap<&str, HashSet<&str>>) -> Vec<String> {
        let plan = &*self.filled.plan;
        let mut stale = Vec::new();
        for (dir, stems) in sources {
            let cache = if *dir == "." { "__pycache__".to_owned() } else { format!("{dir}/__pycache__") };
            let Ok(entries) = fs::read_dir(dest.join(&cache)) else { continue };
            for entry in entries.filter_map(Result::ok) {
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let of_one = name.strip_suffix(".pyc").and_then(|stem| stem.split_once('.'));
                let of_one = of_one.is_some_and(|(stem, _)| stems.contains(stem));
                let path = format!("{cache}/{name}");
                let planned =
                    plan.files.binary_search_by(|file| file.path.as_str().cmp(path.as_str())).is_ok();
                if of_one && !planned && !self.old.contains(&path) {
                    stale.push(path);
                }
            }
        }
        stale.sort_unstable();
        stale
    }

    /// The manifest of the tree afterwards: lines of directories that are not touched stay as they are.
    fn render(
        &self,
        previous: &Previous<'_>,
        change: &Changing<'_>,
        dirs: &BTreeSet<&str>,
        touched: &BTreeMap<&str, BTreeMap<String, After<'_>>>,
    ) -> String {
        let stay = self.manifest.shared.iter().map(|path| &**path).filter(|path| !self.old.contains(*path));
        let plan = &*self.filled.plan;
        let come = plan.shared.iter().map(|&(_, at)| plan.files[at].path.as_str());
        let shared: BTreeSet<&str> = stay.chain(come).collect();
        let shared: Vec<&str> = shared.into_iter().collect();
        let dists = change.dists.iter().map(|(key, dist_info)| (*key, dist_info.as_str()));
        let mut out = head(&Head::of(change.plan), dists, &shared);
        // Most of it is the same.
        out.reserve(previous.length() + (64 << 10));
        // All three are in order.
        let mut there = self.manifest.dirs.iter().peekable();
        let mut touched = touched.iter().peekable();
        for dir in dirs {
            while there.next_if(|one| *one.path < **dir).is_some() {}
            while touched.next_if(|(one, _)| *one < dir).is_some() {}
            let there = there.next_if(|one| one.path == **dir);
            out.push_str("d ");
            out.push_str(&escape(dir));
            out.push('\n');
            if let Some((_, items)) = touched.next_if(|(one, _)| *one == dir) {
                for (name, after) in items {
                    let content = match after {
                        After::New(written, executable) => New::File(*written, *executable),
                        After::Stays(content) => New::Known(content),
                    };
                    NewItem { name, content }.render(&mut out);
                }
            } else if let Some(there) = there {
                out.push_str(there.lines);
            }
        }
        out
    }
}

/// What was found to be done.
struct Work<'a> {
    previous: &'a Previous<'a>,
    dest: &'a Path,
    /// Files that go.
    removed: &'a [&'a str],
    /// Directories that go, the deepest first.
    emptied: &'a [&'a str],
    /// Directories that come, parents first.
    added: &'a [&'a str],
    /// Files that come.
    put: &'a [&'a RelPath],
    /// Directories with files that come or go, and are there afterwards.
    touched: HashSet<&'a str>,
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}
