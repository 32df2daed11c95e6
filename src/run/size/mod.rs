//! What takes the space in an environment: by distribution, by kind of file, and by what `--slim` would drop.
//!
//! Any environment with RECORDs will do, whoever made it. What is on disk is what counts: RECORD only says
//! whose a file is, and a row that leads out of the environment says nothing.

mod claims;
mod html;
mod kind;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, io, os::unix::fs::MetadataExt as _, path::Path};

use rayon::prelude::*;
use serde::Serialize;

pub(crate) use html::{page, percent};
pub(crate) use kind::FileKind;

use self::claims::{Claims, Owner};
use crate::{
    environment::{
        layout::{Mentions, Slim, SlimKind, Survey, is_shared_object},
        strip::{self, Verdict},
    },
    words::{
        error::{Error, Kind, Result},
        files::{self, open_regular, read_regular},
    },
};

/// The name under which what every environment has of its own is counted.
pub(crate) const ENVIRONMENT: &str = "(environment)";
/// The name under which what no RECORD lists is counted.
pub(crate) const UNCLAIMED: &str = "(unclaimed)";

/// Source files larger than this are not read for what they mention (bytes).
const SOURCE_LIMIT: u64 = 16 << 20;

/// What takes the space. Sizes are lengths of files in bytes, not blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    /// Everything.
    pub total: Amount,
    /// By distribution, largest first.
    pub packages: Vec<Package>,
    /// By kind, largest first.
    pub kinds: Vec<OfKind>,
    /// What each kind of `--slim` would save, in the order of kinds.
    pub slim: Vec<OfSlim>,
}

/// A number of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Amount {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many bytes `--slim` (alone: the safe kinds) would save.
    pub slim: u64,
}

impl Amount {
    fn add(&mut self, file: &SizedFile) {
        self.files += 1;
        self.bytes += file.bytes;
        self.slim += file.safe_saving();
    }
}

/// A distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Package {
    /// Its name, normalised; [`ENVIRONMENT`] or [`UNCLAIMED`] for what is none.
    pub name: String,
    /// Its version, where there is one.
    pub version: Option<String>,
    /// All of it.
    #[serde(flatten)]
    pub amount: Amount,
    /// By kind, largest first.
    pub kinds: Vec<OfKind>,
    /// Its files, largest first.
    #[serde(skip)]
    pub files: Vec<SizedFile>,
}

/// The files of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct OfKind {
    /// The kind.
    pub kind: FileKind,
    /// How much.
    #[serde(flatten)]
    pub amount: Amount,
}

/// What one kind of `--slim` would save.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct OfSlim {
    /// The word on the command line.
    pub kind: &'static str,
    /// Files that would be dropped or made smaller.
    pub files: u64,
    /// Bytes saved.
    pub bytes: u64,
    /// Whether `--slim` alone includes it.
    pub safe: bool,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SizedFile {
    /// Where it is, relative to the environment.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// What it is.
    pub kind: FileKind,
    /// What `--slim` would save of it, and as which kind.
    pub saving: Option<(SlimKind, u64)>,
}

impl SizedFile {
    /// What `--slim` alone would save of it, in bytes.
    pub(crate) fn safe_saving(&self) -> u64 {
        self.saving.filter(|(kind, _)| Slim::SAFE.contains(*kind)).map_or(0, |(_, bytes)| bytes)
    }
}

/// A file on disk.
struct Found {
    path: String,
    bytes: u64,
    regular: bool,
}

/// Measures an environment.
///
/// # Errors
/// [`Kind::Destination`] where `venv` is none, or something in it cannot be read.
pub(crate) fn measure(venv: &Path) -> Result<Usage> {
    let site = site_packages(venv)?;
    let mut found = walk(venv)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let claims = Claims::read(venv, &site, found.iter().map(|file| file.path.as_str()))?;

    let mut owned: BTreeMap<Owner, Vec<&Found>> = BTreeMap::new();
    for file in &found {
        owned.entry(claims.owner(&file.path)).or_default().push(file);
    }
    let dists: Vec<(&Owner, &Vec<&Found>)> = owned.iter().collect();
    // What is nobody's is not laid out by anyone, so that `--slim` would not drop it; its code counts as code.
    let paths =
        dists.iter().map(|(_, files)| files.iter().map(|file| file.path.as_str()).collect()).collect();
    let mut survey = Survey::new(&site, paths);
    loop {
        let wanted = survey.unread();
        if wanted.is_empty() {
            break;
        }
        let mentions: Vec<Mentions> = wanted
            .par_iter()
            .map(|reading| {
                let file = dists[reading.dist].1[reading.file];
                if !file.regular || file.bytes > SOURCE_LIMIT {
                    return Ok(Mentions::default());
                }
                let full = venv.join(&file.path);
                let text = read_regular(&full, SOURCE_LIMIT).map_err(|e| unreadable(&full, e))?;
                Ok(Mentions::of(survey.path(*reading), &text))
            })
            .collect::<Result<_>>()?;
        for (reading, mentions) in wanted.into_iter().zip(mentions) {
            survey.learn(reading, mentions);
        }
    }
    let mut packages = Vec::new();
    for (dist, (owner, files)) in dists.iter().enumerate() {
        let dropped = match owner {
            Owner::Distribution { .. } => survey.decide(dist, Slim::ALL),
            _ => vec![None; files.len()],
        };
        let strips = matches!(owner, Owner::Distribution { .. });
        let sized: Vec<SizedFile> = files
            .par_iter()
            .zip(dropped)
            .map(|(file, dropped)| {
                let saving = match dropped {
                    Some(kind) => Some((kind, file.bytes)),
                    None if strips && file.regular && is_shared_object(&file.path) => {
                        strippable(&venv.join(&file.path), file.bytes)?.map(|bytes| (SlimKind::Strip, bytes))
                    }
                    None => None,
                };
                let kind = FileKind::of(&file.path, &site, survey.is_below_tests(&file.path));
                Ok(SizedFile { path: file.path.clone(), bytes: file.bytes, kind, saving })
            })
            .collect::<Result<_>>()?;
        packages.push(package(owner, sized));
    }
    packages.sort_by(|a, b| b.amount.bytes.cmp(&a.amount.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(usage(packages))
}

fn package(owner: &Owner, mut files: Vec<SizedFile>) -> Package {
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    let (name, version) = match owner {
        Owner::Distribution { name, version } => {
            (name.clone(), Some(version.clone()).filter(|v| !v.is_empty()))
        }
        Owner::Environment => (ENVIRONMENT.to_owned(), None),
        Owner::Nobody => (UNCLAIMED.to_owned(), None),
    };
    let mut amount = Amount::default();
    for file in &files {
        amount.add(file);
    }
    Package { name, version, amount, kinds: by_kind(files.iter()), files }
}

fn by_kind<'a>(files: impl Iterator<Item = &'a SizedFile>) -> Vec<OfKind> {
    let mut kinds: BTreeMap<FileKind, Amount> = BTreeMap::new();
    files.for_each(|file| kinds.entry(file.kind).or_default().add(file));
    let mut kinds: Vec<OfKind> = kinds.into_iter().map(|(kind, amount)| OfKind { kind, amount }).collect();
    kinds.sort_by(|a, b| b.amount.bytes.cmp(&a.amount.bytes).then_with(|| a.kind.cmp(&b.kind)));
    kinds
}

fn usage(packages: Vec<Package>) -> Usage {
    let files = || packages.iter().flat_map(|package| &package.files);
    let mut total = Amount::default();
    files().for_each(|file| total.add(file));
    let slim = SlimKind::ALL.map(|kind| {
        let savings = files().filter_map(|file| file.saving).filter(|(of, _)| *of == kind);
        let (files, bytes) = savings.fold((0, 0), |(files, sum), (_, bytes)| (files + 1, sum + bytes));
        OfSlim { kind: kind.word(), files, bytes, safe: Slim::SAFE.contains(kind) }
    });
    let kinds = by_kind(files());
    Usage { total, kinds, slim: slim.to_vec(), packages }
}

/// How many bytes smaller a shared object could be, if it could.
fn strippable(path: &Path, length: u64) -> Result<Option<u64>> {
    let verdict = open_regular(path).and_then(|file| strip::look(&file)).map_err(|e| unreadable(path, e))?;
    Ok(match verdict {
        Verdict::Smaller(recipe) => Some(length.saturating_sub(recipe.size)),
        Verdict::Nothing | Verdict::Unusual(_) => None,
    })
}

/// Where an environment's packages are, relative to it.
fn site_packages(venv: &Path) -> Result<String> {
    let lib = venv.join("lib");
    let mut found: Vec<String> = fs::read_dir(&lib)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("python") || name.starts_with("pypy"))
        .map(|name| format!("lib/{name}/site-packages"))
        .filter(|path| venv.join(path).is_dir())
        .collect();
    found.sort();
    found.into_iter().next().ok_or_else(|| {
        Error::new(
            Kind::Destination,
            format!("{} is no environment: it has no lib/python*/site-packages", venv.display()),
        )
        .help("name one, as in `venvoy size .venv`, or make it with `venvoy sync`")
    })
}

/// Everything in an environment but directories.
fn walk(venv: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in files::below(venv) {
        let entry = entry.map_err(|(path, error)| unreadable(&path, error))?;
        if entry.file_type().is_dir() {
            continue;
        }
        let meta = entry.metadata().map_err(|error| unreadable(entry.path(), error.into()))?;
        let path = entry.path().strip_prefix(venv).unwrap_or(entry.path());
        found.push(Found {
            path: path.to_string_lossy().into_owned(),
            bytes: meta.size(),
            regular: meta.is_file(),
        });
    }
    Ok(found)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::io("cannot read", path, error).with_kind(Kind::Destination)
}
