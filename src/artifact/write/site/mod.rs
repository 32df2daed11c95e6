//! Installing for an interpreter that is there: into its own site-packages, where others have installed as well.
//!
//! A manifest beside the packages says what is venvoy's. A run adds, changes and removes only that, and whatever
//! others installed under a name that comes now: that goes by its RECORD, as with pip. New bytes are written and verified
//! in a staging directory, and a [journal](super::journal) carries them to their places, as when an environment of
//! venvoy's own is changed. Directories belong to everybody: they are made where they are missing and removed where they
//! are empty, and nothing else in them is touched.

mod others;
mod steps;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use self::{others::Others, steps::Work};
use super::{
    Report, WriteOptions,
    change::Changing,
    destination, in_pool,
    publish::{publish, read_regular, recover},
    tree::{self, Filled},
};
use crate::{
    environment::{
        layout::{JOURNAL, MANIFEST, Plan, PlanKey, record_paths},
        manifest::{
            condition::{Extent, examine},
            text::{Content, Head, Manifest, New, NewItem, escape, head},
        },
    },
    project::python::Site,
    words::{
        error::{Error, Kind, Result},
        vocab::{RelPath, Sha256},
    },
};

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
    let item = manifest.dir(dist_info.as_str())?.items().flatten().find(|item| item.name == "RECORD")?;
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
    recover(&destination::of_site(site, &WriteOptions::default())?)
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
        tree::fill(change.plan, staging.path(), &site.root, options, None, |_, _| None)
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
