//! Applying a difference: an environment that is there becomes another one, and what stays is not touched.
//!
//! What is new is written and verified in a staging directory, as a fresh environment is. A [journal](super::journal)
//! then says which renames and removals are left, and is carried out by this run or, if that is killed, by the next.
//! The result is bit for bit what a fresh run makes; where that cannot be promised (distributions that share a
//! path come or go, the environment's own files were edited), nothing is changed and the caller makes a fresh one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{self, File},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    Report, WriteOptions,
    destination::{self, Destination},
    in_pool,
    journal::{Journal, Step, settle},
    tree::{self, Filled},
    unpack::failed,
};
use crate::{
    environment::{
        layout::{Plan, Written, record_paths},
        manifest::{
            Condition, JOURNAL, MANIFEST,
            condition::{Extent, Near, examine},
            text::{Content, Head, Manifest, New, NewItem, escape, head},
        },
    },
    words::{
        error::{Error, Kind, Result},
        files,
        vocab::{RelPath, Sha256},
    },
};

/// The largest manifest, record or journal that is read, in bytes: ten times what 700 packages have.
const LARGEST: u64 = 256 << 20;

/// In an environment with more files than this, what stays is looked at by directory before a change, as it is where
/// there is nothing to do: the cost of a change is to follow its size. What was added, removed or exchanged since shows
/// that way; an edit that left the file in its place is for `check` to find, which reads all of it.
const LOOK_AT_ALL: usize = 5000;

/// An environment that is there, as its manifest and `stat` describe it.
#[derive(Debug)]
pub(crate) struct Previous {
    dest: PathBuf,
    text: String,
    common: String,
    dists: Vec<(Sha256, RelPath)>,
    condition: Condition,
}

/// What becomes of an environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changing<'a> {
    /// The distributions that come, or come again: a plan of these alone. Its key is the new environment's.
    pub plan: &'a Plan,
    /// All distributions of the new environment in the order in which they are installed: key and dist-info
    /// directory.
    pub dists: &'a [(Sha256, RelPath)],
    /// Those that go, or come again: positions in [`Previous::dists`].
    pub leaving: &'a HashSet<usize>,
}

impl Previous {
    /// Reads what is at `dest`; `None` where that is no environment that could be changed.
    pub(crate) fn read(dest: &Path) -> Option<Self> {
        let text = read_regular(&dest.join(MANIFEST))?;
        let top = File::open(dest).ok()?;
        let manifest = Manifest::parse(&text)?;
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count();
        let extent = if lines > LOOK_AT_ALL { Extent::Directories } else { Extent::Whole };
        let condition = examine(&top, &manifest, extent)?;
        let dists = manifest
            .dists
            .iter()
            .map(|(key, dist_info)| Some((key.parse().ok()?, dist_info.parse().ok()?)))
            .collect::<Option<Vec<_>>>()?;
        let common = manifest.common.to_owned();
        Some(Previous { dest: dest.to_owned(), common, dists, condition, text })
    }

    /// The key of what all its files depend on.
    pub(crate) fn common(&self) -> &str {
        &self.common
    }

    /// Its distributions in the order in which they were installed: key and dist-info directory.
    pub(crate) fn dists(&self) -> &[(Sha256, RelPath)] {
        &self.dists
    }

    /// The distributions whose files are not as they were written, by position; `None` where something else is
    /// not either: a fresh environment is the remedy then.
    pub(crate) fn damaged(&self) -> Option<HashSet<usize>> {
        let mut damaged = HashSet::new();
        if self.condition.bad.is_empty() && self.condition.bad_dirs.is_empty() {
            return Some(damaged);
        }
        let manifest = Manifest::parse(&self.text)?;
        let mut unexplained: HashSet<&str> = self.condition.bad.iter().map(String::as_str).collect();
        for (position, (_, dist_info)) in self.dists.iter().enumerate() {
            let own = format!("{dist_info}/");
            // A record that is not as it was written explains what lies beside it, and no more.
            let listed = if unexplained.contains(format!("{own}RECORD").as_str()) {
                None
            } else {
                self.listed(position, &manifest)
            };
            let before = unexplained.len();
            match &listed {
                Some(listed) => unexplained.retain(|path| !listed.iter().any(|one| one.as_str() == *path)),
                None => unexplained.retain(|path| !path.starts_with(&own)),
            }
            if unexplained.len() < before {
                damaged.insert(position);
            }
        }
        // What was listed by a record that is gone is among the files of the distribution when it comes again,
        // or it is not: `change` finds out.
        let lost_record = damaged.iter().any(|&position| self.listed(position, &manifest).is_none());
        (unexplained.is_empty() || lost_record).then_some(damaged)
    }

    /// The files that a distribution's RECORD lists, relative to the environment; `None` if it is not the one that
    /// was written.
    fn listed(&self, position: usize, manifest: &Manifest<'_>) -> Option<Vec<RelPath>> {
        let dist_info = &self.dists[position].1;
        let path = dist_info.join(&"RECORD".parse().ok()?);
        let text = read_regular(&self.dest.join(path.as_path()))?;
        // Sorted by path, as they were written; a manifest in which they are not gives nothing.
        let at = manifest.dirs.binary_search_by(|dir| (*dir.path).cmp(dist_info.as_str())).ok()?;
        let dir = &manifest.dirs[at];
        let item = dir.items().flatten().find(|item| item.name == "RECORD")?;
        let Content::File { digest, .. } = item.content else { return None };
        if Sha256::of(text.as_bytes()).to_record() != *digest {
            return None;
        }
        record_paths(text.as_bytes(), &dist_info.parent()?)
    }
}

/// Changes the environment at `dest`, which is still as `previous` says; `None` where it must be made anew, and
/// nothing was changed.
///
/// # Errors
/// [`Kind::Destination`] where it cannot be written. If that happens while the change is under way, the next run
/// finishes it.
pub(crate) fn change(
    previous: &Previous,
    change: &Changing<'_>,
    dest: &Path,
    options: &WriteOptions<'_>,
) -> Result<Option<Report>> {
    let destination = destination::open(dest, options, false)?;
    destination.sweep(options.ahead);
    // Another run may have been faster.
    if read_regular(&destination.path().join(MANIFEST)).as_deref() != Some(&previous.text) {
        return Ok(None);
    }
    if fs::symlink_metadata(destination.path().join(JOURNAL)).is_ok() {
        return Ok(None);
    }
    let Some(manifest) = Manifest::parse(&previous.text) else { return Ok(None) };
    let Some(old) = leaving_files(previous, change, &manifest) else { return Ok(None) };
    let staging = destination.stage()?;
    let filled = in_pool(options.threads, || {
        tree::fill(change.plan, staging.path(), destination.path(), options, |_, _| None)
    })??;
    options.check_interrupted()?;
    let tree = Tree { manifest: &manifest, old: &old, filled: &filled };
    let Some((steps, text)) = tree.steps(previous, change, destination.path()) else { return Ok(None) };
    publish(&destination, staging, steps, &text, change.plan.mtime)?;
    let mut report = filled.report;
    report.in_place = destination.is_inside();
    Ok(Some(report))
}

/// What the distributions that leave had written; `None` where that is not known, or others list it too.
fn leaving_files(
    previous: &Previous,
    change: &Changing<'_>,
    manifest: &Manifest<'_>,
) -> Option<HashSet<String>> {
    let mut old = HashSet::new();
    for &position in change.leaving {
        if let Some(listed) = previous.listed(position, manifest) {
            old.extend(listed.iter().map(RelPath::to_string));
            continue;
        }
        // It comes again, so its files are known; they are looked at one by one.
        let key = previous.dists[position].0;
        let planned = change.plan.dists.iter().position(|dist| dist.key == key)?;
        let listed = change.plan.listed();
        old.extend(listed[planned].iter().map(|&at| change.plan.files[at].path.to_string()));
    }
    let shared = manifest.shared.iter().any(|path| old.contains(&**path));
    (!shared && change.plan.shared.is_empty() && change.plan.links.is_empty()).then_some(old)
}

/// The tree before and after.
struct Tree<'a> {
    manifest: &'a Manifest<'a>,
    /// Files of the distributions that leave.
    old: &'a HashSet<String>,
    filled: &'a Filled<'a>,
}

/// A file or link of a directory that is touched: what it is to be.
enum After<'a> {
    Stays(Content<'a>),
    New(Written, bool),
}

impl Tree<'_> {
    /// What is to be done, and the new manifest; `None` where the new tree cannot be made out of the old one.
    fn steps(&self, previous: &Previous, change: &Changing<'_>, dest: &Path) -> Option<(Vec<Step>, String)> {
        let plan = &*self.filled.plan;
        let top = File::open(dest).ok()?;
        let near = Near::new(&top, self.manifest);
        let bad: HashSet<&str> = previous.condition.bad.iter().map(String::as_str).collect();
        let positions: HashMap<&str, usize> =
            self.manifest.dirs.iter().enumerate().map(|(at, dir)| (&*dir.path, at)).collect();
        let mut touched: BTreeMap<&str, BTreeMap<String, After<'_>>> = BTreeMap::new();
        let paths = plan.files.iter().map(|file| file.path.as_str());
        for path in paths.chain(self.old.iter().map(String::as_str)) {
            let dir = split(path).0;
            if touched.contains_key(dir) {
                continue;
            }
            let mut items = BTreeMap::new();
            if let Some(&at) = positions.get(dir) {
                for item in self.manifest.dirs[at].items() {
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
        for (file, written) in plan.files.iter().zip(&self.filled.written) {
            let path = file.path.as_str();
            let (dir, name) = split(path);
            let items = touched.get_mut(dir)?;
            match items.get(name) {
                // Another distribution's, which stays.
                Some(_) if !self.old.contains(path) => return None,
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
        let mut dirs: BTreeSet<&str> = positions.keys().copied().collect();
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
                None => positions.get(dir).is_some_and(|&at| !self.manifest.dirs[at].lines.is_empty()),
            };
            if has_dirs || has_files || always.contains(dir) {
                continue;
            }
            dirs.remove(dir);
            if positions.contains_key(dir) {
                emptied.push(dir);
                candidates.insert(split(dir).0);
            }
        }
        // One path is a file or a directory.
        if new.iter().any(|path| dirs.contains(path)) {
            return None;
        }
        let added: Vec<&str> = dirs.iter().copied().filter(|dir| !positions.contains_key(dir)).collect();
        for dir in &added {
            let (above, name) = split(dir);
            let stays = if let Some(items) = touched.get(above) {
                items.contains_key(name)
            } else {
                let items = positions.get(above).map(|&at| self.manifest.dirs[at].items());
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
            positions: &positions,
        })?;
        Some((steps, self.render(change, &dirs, &touched, &positions)))
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
            if work.positions.contains_key(dir.as_str()) && !emptied.contains(dir.as_str()) && dir != "." {
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
            let was_there = work.touched.contains(dir) || work.positions.contains_key(dir);
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
        change: &Changing<'_>,
        dirs: &BTreeSet<&str>,
        touched: &BTreeMap<&str, BTreeMap<String, After<'_>>>,
        positions: &HashMap<&str, usize>,
    ) -> String {
        let shared: Vec<&str> = self.manifest.shared.iter().map(|path| &**path).collect();
        let dists = change.dists.iter().map(|(key, dist_info)| (*key, dist_info.as_str()));
        let mut out = head(&Head::of(change.plan), dists, &shared);
        for dir in dirs {
            out.push_str("d ");
            out.push_str(&escape(dir));
            out.push('\n');
            match (touched.get(dir), positions.get(dir)) {
                (Some(items), _) => {
                    for (name, after) in items {
                        let content = match after {
                            After::New(written, executable) => New::File(*written, *executable),
                            After::Stays(content) => New::Known(content),
                        };
                        NewItem { name, content }.render(&mut out);
                    }
                }
                (None, Some(&at)) => out.push_str(self.manifest.dirs[at].lines),
                (None, None) => {}
            }
        }
        out
    }
}

/// What was found to be done.
struct Work<'a> {
    previous: &'a Previous,
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
    /// Directories that were there.
    positions: &'a HashMap<&'a str, usize>,
}

/// Writes the journal, carries it out, and ends with the new manifest.
pub(super) fn publish(
    destination: &Destination,
    staging: TempDir,
    steps: Vec<Step>,
    text: &str,
    mtime: i64,
) -> Result<()> {
    let name = staging.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let journal = Journal { staging: name, mtime, steps };
    let put = |name: &str, text: &str| {
        let path = staging.path().join(name);
        let file = File::create(&path).and_then(|mut file| {
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
            rustix::fs::futimens(&file, &super::unpack::timestamps(mtime))?;
            Ok(())
        });
        file.map_err(|e| failed("write", &path, e))
    };
    put(MANIFEST, text)?;
    put(JOURNAL, &journal.render())?;
    // From here on the staging directory must stay, whatever happens.
    let staging = staging.keep();
    let to = destination.path().join(JOURNAL);
    if let Err(error) = fs::rename(staging.join(JOURNAL), &to) {
        let _ = fs::remove_dir_all(&staging);
        return Err(failed("write", &to, error));
    }
    finish(destination, &staging, &journal)
}

/// Carries a journal out and removes it.
fn finish(destination: &Destination, staging: &Path, journal: &Journal) -> Result<()> {
    let dest = destination.root();
    let open = |dir: &Path| File::open(dir).map_err(|e| failed("open", dir, e));
    let (root, top, from) = (open(dest)?, open(destination.path())?, open(staging)?);
    journal.carry_out(root.as_fd(), from.as_fd()).map_err(|(path, error)| {
        failed("change", &dest.join(path), error)
            .help("the environment is partly changed; the next `venvoy sync` finishes it")
    })?;
    let cannot = |e: rustix::io::Errno| failed("finish the change of", dest, e);
    match rustix::fs::renameat(&from, MANIFEST, &top, MANIFEST) {
        // It was moved by the run that was killed.
        Err(rustix::io::Errno::NOENT) => {}
        moved => moved.map_err(cannot)?,
    }
    rustix::fs::unlinkat(&top, JOURNAL, rustix::fs::AtFlags::empty()).map_err(cannot)?;
    // A directory in which others install as well has its own time.
    let settled = || if destination.is_site() { Ok(()) } else { settle(&top, journal.mtime).map_err(cannot) };
    settled()?;
    drop(from);
    // Nothing but empty directories is left in it.
    let _ = super::remove::remove_tree(staging);
    settled()
}

/// Finishes a change that was cut short. A journal that cannot be trusted goes, and the manifest with it: nobody
/// can say any more what is in the environment, so it is made anew.
pub(super) fn recover(destination: &Destination) -> Result<()> {
    let dest = destination.path();
    let path = dest.join(JOURNAL);
    if fs::symlink_metadata(&path).is_err() {
        return Ok(());
    }
    let journal = read_regular(&path).and_then(|text| Journal::parse(&text));
    if let Some(journal) = &journal
        && let Some(staging) = destination.staging_called(&journal.staging)
        && finish(destination, &staging, journal).is_ok()
    {
        return Ok(());
    }
    for name in [MANIFEST, JOURNAL] {
        let path = dest.join(name);
        let removed = if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("cannot remove", &path, e).with_kind(Kind::Destination));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A text file of usual size; `None` for anything else that may lie in its place.
pub(super) fn read_regular(path: &Path) -> Option<String> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = files::regular(rustix::fs::open(path, flags, Mode::empty()).ok()?.into()).ok()?;
    String::from_utf8(files::read(&file, LARGEST).ok()?).ok()
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}
