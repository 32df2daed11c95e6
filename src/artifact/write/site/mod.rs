//! Installing for an interpreter that is there: into its own site-packages, where others have installed as well.
//!
//! A manifest beside the packages says what is venvoy's. A run adds, changes and removes only that, and whatever
//! others installed under a name that comes now: that goes by its RECORD, as with pip. New bytes are written and verified
//! in a staging directory, and a [journal](super::journal) carries them to their places, as when an environment of
//! venvoy's own is changed. Directories belong to everybody: they are made where they are missing and removed where they
//! are empty, and nothing else in them is touched.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::{
    Report, WriteOptions,
    change::{Changing, publish, read_regular},
    destination, in_pool,
    journal::Step,
    tree::{self, Filled},
};
use crate::{
    environment::{
        layout::{JOURNAL, MANIFEST, Plan, PlanKey, Written, record_paths},
        manifest::{
            condition::{Extent, examine},
            text::{Content, Head, Manifest, New, NewItem, escape, head},
        },
    },
    project::python::Site,
    words::{
        error::{Error, Kind, Result},
        vocab::{PackageName, RelPath, Sha256},
    },
};

/// What venvoy installed for an interpreter, as its manifest and `stat` describe it.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    text: String,
    common: String,
    key: String,
    changing: bool,
    dists: Vec<(Sha256, RelPath)>,
    /// Of each distribution, relative to the site's root.
    files: Vec<Vec<String>>,
    damaged: HashSet<usize>,
}

impl Ours {
    /// Reads what is there; nothing is where there is no manifest, or none that can be trusted.
    pub(crate) fn read(site: &Site) -> Self {
        let dir = site.packages_dir();
        let changing = fs::symlink_metadata(dir.join(JOURNAL)).is_ok();
        let text = read_regular(&dir.join(MANIFEST)).unwrap_or_default();
        Self::parse(site, &text)
            .map_or_else(|| Ours { changing, ..Ours::default() }, |ours| Ours { changing, ..ours })
    }

    fn parse(site: &Site, text: &str) -> Option<Self> {
        let manifest = Manifest::parse(text)?;
        let top = fs::File::open(&site.root).ok()?;
        let bad: HashSet<String> = examine(&top, &manifest, Extent::Listed)?.bad.into_iter().collect();
        let dists = manifest
            .dists
            .iter()
            .map(|(key, dist_info)| Some((key.parse().ok()?, dist_info.parse().ok()?)))
            .collect::<Option<Vec<(Sha256, RelPath)>>>()?;
        let listed: Vec<Option<Vec<String>>> =
            dists.iter().map(|(_, dist_info)| listed(site, dist_info, &manifest)).collect();
        // What no record lists any more was listed by one that is gone.
        let known: HashSet<&str> = listed.iter().flatten().flatten().map(String::as_str).collect();
        let mut orphans = Vec::new();
        for dir in &manifest.dirs {
            for item in dir.items() {
                let path = path_in(&dir.path, &item?.name);
                if !known.contains(path.as_str()) {
                    orphans.push(path);
                }
            }
        }
        let is_damaged = |files: &Option<Vec<String>>| {
            files.as_ref().is_none_or(|files| files.iter().any(|file| bad.contains(file)))
        };
        let damaged = (0..dists.len()).filter(|&at| is_damaged(&listed[at])).collect();
        let files = listed.into_iter().map(|files| files.unwrap_or_else(|| orphans.clone())).collect();
        Some(Ours {
            text: text.to_owned(),
            common: manifest.common.to_owned(),
            key: manifest.key.to_owned(),
            changing: false,
            dists,
            files,
            damaged,
        })
    }

    /// The key of what all its files depend on.
    pub(crate) fn common(&self) -> &str {
        &self.common
    }

    /// Its distributions in the order in which they were installed: key and dist-info directory.
    pub(crate) fn dists(&self) -> &[(Sha256, RelPath)] {
        &self.dists
    }

    /// Those whose files are not as they were written, by position.
    pub(crate) fn damaged(&self) -> &HashSet<usize> {
        &self.damaged
    }

    /// Whether this is what `key` names, every file as it was written as far as `stat` can tell.
    pub(crate) fn is_current(&self, key: &PlanKey) -> bool {
        self.key == key.to_string() && self.damaged.is_empty() && !self.changing
    }
}

/// The files that the RECORD of a distribution lists; `None` if it is not the one that was written.
fn listed(site: &Site, dist_info: &RelPath, manifest: &Manifest<'_>) -> Option<Vec<String>> {
    let text = read_regular(&site.root.join(dist_info.as_path()).join("RECORD"))?;
    let at = manifest.dirs.binary_search_by(|dir| (*dir.path).cmp(dist_info.as_str())).ok()?;
    let item = manifest.dirs[at].items().flatten().find(|item| item.name == "RECORD")?;
    let Content::File { digest, .. } = item.content else { return None };
    if Sha256::of(text.as_bytes()).to_record() != *digest {
        return None;
    }
    let paths = record_paths(text.as_bytes(), &dist_info.parent()?)?;
    Some(paths.iter().map(RelPath::to_string).collect())
}

/// Finishes what a run that was killed had begun.
pub(crate) fn recover_site(site: &Site) -> Result<()> {
    if fs::symlink_metadata(site.packages_dir().join(JOURNAL)).is_err() {
        return Ok(());
    }
    super::change::recover(&destination::of_site(site, &WriteOptions::default())?)
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Installed {
    /// Figures and warnings.
    pub(crate) report: Report,
    /// What others had installed and was replaced: names and versions.
    pub(crate) replaced: Vec<(String, String)>,
}

/// Installs for an interpreter, where what venvoy has there is still as `ours` says; `None` where that is not so, or
/// what comes shares paths with what stays: all of it is to come again then, and nothing was changed.
///
/// # Errors
/// [`Kind::Destination`] where it cannot be written, or something of others is in the way. If that happens while the
/// change is under way, the next run finishes it.
pub(crate) fn install(
    site: &Site,
    ours: &Ours,
    change: &Changing<'_>,
    options: &WriteOptions<'_>,
) -> Result<Option<Installed>> {
    let destination = destination::of_site(site, options)?;
    destination.sweep(None);
    // Another run may have been faster. A manifest that says nothing is as good as none.
    let now = read_regular(&destination.path().join(MANIFEST)).unwrap_or_default();
    if now != ours.text && !(ours.text.is_empty() && Ours::parse(site, &now).is_none()) {
        return Ok(None);
    }
    let names: HashSet<&str> = change.plan.dists.iter().map(|dist| dist.name.as_str()).collect();
    let kept: HashSet<&str> = (0..ours.dists.len())
        .filter(|at| !change.leaving.contains(at))
        .flat_map(|at| ours.files[at].iter().map(String::as_str))
        .collect();
    let own: HashSet<&str> = (0..ours.dists.len())
        .filter(|at| !ours.damaged.contains(at))
        .map(|at| ours.dists[at].1.as_str())
        .collect();
    let others = Others::find(site, &names, &own)?;
    let mut old: HashSet<&str> =
        change.leaving.iter().flat_map(|&at| ours.files[at].iter().map(String::as_str)).collect();
    let theirs: HashSet<&str> =
        others.files.iter().map(String::as_str).filter(|path| !kept.contains(path)).collect();
    if old.iter().any(|path| kept.contains(path)) {
        return Ok(None);
    }
    let staging = destination.stage().map_err(|error| {
        error.help("as another user, PIP_USER=1 installs into a directory of your own, and `venvoy sync` makes .venv")
    })?;
    same_file_system(site, staging.path())?;
    let filled = in_pool(options.threads, || {
        tree::fill(change.plan, staging.path(), &site.root, options, |_, _| None)
    })??;
    options.check_interrupted()?;
    if filled.plan.files.iter().any(|file| kept.contains(file.path.as_str())) {
        return Ok(None);
    }
    let manifest = Manifest::parse(&ours.text);
    let own_old = old.clone();
    old.extend(theirs);
    let work = Work { site, filled: &filled, old: &old, all: options.force };
    let steps = work.steps(manifest.as_ref())?;
    let text = render(change, &filled, manifest.as_ref(), &own_old);
    publish(&destination, staging, steps, &text, change.plan.mtime)?;
    Ok(Some(Installed { report: filled.report, replaced: others.names }))
}

/// A rename leads from the staging directory, which is among the packages, to scripts and data.
fn same_file_system(site: &Site, staging: &Path) -> Result<()> {
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    let scripts = site.root.join("bin");
    match (device(staging), device(&scripts)) {
        (Some(packages), Some(other)) if packages != other => Err(Error::new(
            Kind::Destination,
            format!(
                "{} and {} are on different file systems",
                scripts.display(),
                site.packages_dir().display()
            ),
        )
        .help("make an environment instead: leave --system and PIPENV_SYSTEM out")),
        _ => Ok(()),
    }
}

/// What other installers have under the names that come.
#[derive(Default)]
struct Others {
    files: Vec<String>,
    names: Vec<(String, String)>,
}

impl Others {
    fn find(site: &Site, names: &HashSet<&str>, own: &HashSet<&str>) -> Result<Self> {
        let mut others = Others::default();
        for dir in &site.others {
            let Ok(entries) = fs::read_dir(site.root.join(dir.as_path())) else { continue };
            let mut found: Vec<String> =
                entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
            found.sort_unstable();
            for file in found {
                let Some((stem, kind)) = file.rsplit_once('.') else { continue };
                if !matches!(kind, "dist-info" | "egg-info" | "egg-link") {
                    continue;
                }
                let (name, version) = match stem.split_once('-') {
                    // `name-version-py3.11.egg-info`
                    Some((name, rest)) => (name, rest.split("-py").next().unwrap_or(rest)),
                    None => (stem, ""),
                };
                let Ok(name) = name.parse::<PackageName>() else { continue };
                let path = format!("{dir}/{file}");
                if !names.contains(name.as_str()) || own.contains(path.as_str()) {
                    continue;
                }
                others.files.extend(files_of(site, dir, &file, kind)?);
                others.names.push((name.to_string(), version.to_owned()));
            }
        }
        Ok(others)
    }
}

/// The files of a distribution that another installer put there.
fn files_of(site: &Site, dir: &RelPath, name: &str, kind: &str) -> Result<Vec<String>> {
    let path = site.root.join(dir.as_path()).join(name);
    let unknown = |why: &str| {
        Error::new(Kind::Destination, format!("{} is to be replaced, and {why}", path.display()))
            .help("remove it with what installed it, then run the same command again")
    };
    // RECORD's paths are relative to the directory it is for, those of the older file to the one it lies in.
    let (list, base) = match kind {
        "dist-info" => ("RECORD", dir.clone()),
        "egg-info" if path.is_dir() => ("installed-files.txt", dir.join(&name.parse()?)),
        _ => return Err(unknown("nothing says which files belong to it")),
    };
    let text = read_regular(&path.join(list))
        .ok_or_else(|| unknown(&format!("has no {list} that could be read")))?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut files = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|e| unknown(&format!("its {list} is damaged")).because(e))?;
        // What lies elsewhere (of another prefix) is not for us to remove.
        files.extend(row.get(0).and_then(|path| resolve(site, &base, path)));
    }
    // Whatever is in its own directory goes with it: pip lists all of it.
    files.push(format!("{dir}/{name}/{list}"));
    Ok(files)
}

/// A path of a RECORD, relative to the site's root; `None` where it leads out of it.
fn resolve(site: &Site, base: &RelPath, path: &str) -> Option<String> {
    if let Some(absolute) = path.strip_prefix('/') {
        let root = site.root.to_str()?.strip_prefix('/')?;
        let inner = absolute.strip_prefix(root)?.strip_prefix('/')?;
        return inner.parse::<RelPath>().ok().map(|path| path.to_string());
    }
    let mut parts: Vec<&str> = base.components().collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/").parse::<RelPath>().ok().map(|path| path.to_string())
}

/// What is to be done, in steps.
struct Work<'a> {
    site: &'a Site,
    filled: &'a Filled<'a>,
    /// Files that are there and go, or come again.
    old: &'a HashSet<&'a str>,
    /// Whether to put what is there already in its place again.
    all: bool,
}

impl Work<'_> {
    fn steps(&self, manifest: Option<&Manifest<'_>>) -> Result<Vec<Step>> {
        let plan = &*self.filled.plan;
        let new: HashSet<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
        let mut removed: BTreeSet<String> =
            self.old.iter().filter(|path| !new.contains(**path)).map(|path| (*path).to_owned()).collect();
        // Whatever a record may claim: a directory is nobody's file, and others' packages are in it.
        removed
            .retain(|path| fs::symlink_metadata(self.site.root.join(path)).is_ok_and(|meta| !meta.is_dir()));
        let stale = self.stale_bytecode(&removed, &new);
        removed.extend(stale);
        let emptied = self.emptied(&removed);
        let mut steps = Vec::new();
        for path in &removed {
            steps.push(Step::Remove(path.parse()?));
        }
        // The deepest first.
        for dir in emptied.iter().rev() {
            steps.push(Step::RemoveEmpty(dir.parse()?));
        }
        let whole = self.whole_directories(&removed)?;
        for dir in &whole {
            steps.push(Step::Move(dir.parse()?));
        }
        let moved = |path: &str| {
            let at = whole.partition_point(|dir| dir.as_str() <= path);
            at > 0 && path.strip_prefix(whole[at - 1].as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let same = self.same(manifest);
        for file in plan.files.iter().filter(|file| !moved(file.path.as_str())) {
            let path = file.path.as_str();
            if same.contains(path) {
                continue;
            }
            let there = self.site.root.join(file.path.as_path());
            if there.is_dir() && !there.is_symlink() && !emptied.contains(path) {
                return Err(in_the_way(&there, "a directory", "a file"));
            }
            steps.push(Step::Move(file.path.clone()));
        }
        Ok(steps)
    }

    /// Files that are there already, as they are to be.
    fn same(&self, manifest: Option<&Manifest<'_>>) -> HashSet<String> {
        let Some(manifest) = manifest.filter(|_| !self.all) else { return HashSet::new() };
        let Ok(top) = fs::File::open(&self.site.root) else { return HashSet::new() };
        let Some(condition) = examine(&top, manifest, Extent::Listed) else { return HashSet::new() };
        let bad: HashSet<&str> = condition.bad.iter().map(String::as_str).collect();
        let new: HashMap<&str, (&Written, bool)> = self
            .filled
            .plan
            .files
            .iter()
            .zip(&self.filled.written)
            .map(|(file, written)| (file.path.as_str(), (written, file.executable)))
            .collect();
        let mut same = HashSet::new();
        for dir in &manifest.dirs {
            for item in dir.items().flatten() {
                let path = path_in(&dir.path, &item.name);
                if let Content::File { size, digest, executable } = &item.content
                    && let Some((written, is_executable)) = new.get(path.as_str())
                    && written.size == *size
                    && written.sha256.to_record() == *digest
                    && is_executable == executable
                    && !bad.contains(path.as_str())
                {
                    same.insert(path);
                }
            }
        }
        same
    }

    /// Directories that are not there and come by one rename with all that is in them, sorted.
    fn whole_directories(&self, removed: &BTreeSet<String>) -> Result<Vec<String>> {
        let plan = &*self.filled.plan;
        let mut whole: Vec<String> = Vec::new();
        for dir in &plan.dirs {
            let dir = dir.as_str();
            let inside = format!("{dir}/");
            let above = whole.last().is_some_and(|above| dir.starts_with(&format!("{above}/")));
            let first = plan.files.partition_point(|file| file.path.as_str() < inside.as_str());
            let is_empty = plan.files.get(first).is_none_or(|file| !file.path.as_str().starts_with(&inside));
            if above || is_empty {
                continue;
            }
            let there = self.site.root.join(dir);
            match fs::symlink_metadata(&there) {
                Ok(meta) if meta.is_dir() => {}
                Ok(meta) if meta.is_symlink() && there.is_dir() => {
                    return Err(in_the_way(&there, "a link to a directory", "a directory"));
                }
                Ok(_) if !removed.contains(dir) => return Err(in_the_way(&there, "a file", "a directory")),
                _ => whole.push(dir.to_owned()),
            }
        }
        Ok(whole)
    }

    /// Bytecode that an interpreter made of sources which go or are not what they were: with times that never change,
    /// it would be taken for theirs.
    fn stale_bytecode(&self, removed: &BTreeSet<String>, new: &HashSet<&str>) -> Vec<String> {
        let mut sources: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
        for path in removed.iter().map(String::as_str).chain(new.iter().copied()) {
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
            if let Some(stem) = name.strip_suffix(".py") {
                sources.entry(dir).or_default().insert(stem);
            }
        }
        let mut stale = Vec::new();
        for (dir, stems) in sources {
            let cache = format!("{dir}/__pycache__");
            let Ok(entries) = fs::read_dir(self.site.root.join(&cache)) else { continue };
            for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
                let stem =
                    name.strip_suffix(".pyc").and_then(|stem| stem.split_once('.')).map(|(stem, _)| stem);
                let path = format!("{cache}/{name}");
                if stem.is_some_and(|stem| stems.contains(stem)) && !new.contains(path.as_str()) {
                    stale.push(path);
                }
            }
        }
        stale
    }

    /// Directories that may be empty once these files are gone, and are not needed. What every prefix has stays.
    fn emptied(&self, removed: &BTreeSet<String>) -> BTreeSet<String> {
        let plan = &*self.filled.plan;
        let needed: HashSet<&str> = plan.dirs.iter().map(RelPath::as_str).collect();
        let packages = self.site.packages.as_str();
        let stays = |dir: &str| {
            !dir.contains('/')
                || needed.contains(dir)
                || packages == dir
                || packages.starts_with(&format!("{dir}/"))
        };
        let mut emptied = BTreeSet::new();
        for path in removed {
            let mut dir = path.as_str();
            while let Some((above, _)) = dir.rsplit_once('/') {
                if stays(above) || !emptied.insert(above.to_owned()) {
                    break;
                }
                dir = above;
            }
        }
        emptied
    }
}

fn in_the_way(path: &Path, is: &str, comes: &str) -> Error {
    Error::new(
        Kind::Destination,
        format!("{} is {is}, and {comes} is to be installed there; nothing was changed", path.display()),
    )
    .help("find out what made it, and move it away")
}

/// The manifest of what is venvoy's afterwards.
fn render(
    change: &Changing<'_>,
    filled: &Filled<'_>,
    manifest: Option<&Manifest<'_>>,
    old: &HashSet<&str>,
) -> String {
    let plan = &*filled.plan;
    let mut dirs: BTreeMap<String, BTreeMap<String, String>> =
        BTreeMap::from([(".".to_owned(), BTreeMap::new())]);
    let mut add = |path: &str, content: New<'_>| {
        let (dir, name) = path.rsplit_once('/').unwrap_or((".", path));
        let mut line = String::new();
        NewItem { name, content }.render(&mut line);
        dirs.entry(dir.to_owned()).or_default().insert(name.to_owned(), line);
    };
    for dir in manifest.iter().flat_map(|manifest| &manifest.dirs) {
        for item in dir.items().flatten() {
            let path = path_in(&dir.path, &item.name);
            if !old.contains(path.as_str()) {
                add(&path, New::Known(&item.content));
            }
        }
    }
    for (file, written) in plan.files.iter().zip(&filled.written) {
        add(file.path.as_str(), New::File(*written, file.executable));
    }
    let Plan { shared, files, .. } = plan;
    let mut shared: Vec<&str> = shared.iter().map(|&(_, at)| files[at].path.as_str()).collect();
    shared.extend(manifest.iter().flat_map(|manifest| manifest.shared.iter().map(|path| &**path)));
    shared.retain(|path| files.iter().any(|file| file.path.as_str() == *path) || !old.contains(path));
    shared.sort_unstable();
    shared.dedup();
    let dists = change.dists.iter().map(|(key, dist_info)| (*key, dist_info.as_str()));
    let mut out = head(&Head::of(plan), dists, &shared);
    for (dir, items) in dirs {
        out.push_str("d ");
        out.push_str(&escape(&dir));
        out.push('\n');
        out.extend(items.into_values());
    }
    out
}

fn path_in(dir: &str, name: &str) -> String {
    if dir == "." { name.to_owned() } else { format!("{dir}/{name}") }
}
