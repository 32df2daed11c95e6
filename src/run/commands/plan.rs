//! `plan`: what would be installed, changing nothing but the cache.

use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    packages::cache::Trust,
    project::lock::{Entry, EntryOrigin},
    words::error::{Error, Kind, Result},
};
use crate::{
    run::{
        inputs::Inputs,
        options::Options,
        supply::{
            obtain::local_path,
            resolve::{Records, Resolved, What, check_digests, resolve},
            session::Session,
            sources::Sources,
            work::subject,
        },
    },
    words::{gather::gather_by_cause, progress::Progress},
};

/// One entry of a plan.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlanRow {
    /// The package, normalised.
    pub name: String,
    /// Its version, where the lock or the file says.
    pub version: Option<String>,
    /// The category of the lock.
    pub category: String,
    /// `wheel`, `sdist`, `git` (`hg`, ...), `url`, `directory`, `file`, `index` where no index was asked,
    /// or `skipped`.
    pub kind: &'static str,
    /// The index, `find-links`, or nothing.
    pub source: Option<String>,
    /// The file's name, or where the entry's source is.
    pub file: String,
    /// The file's size in bytes, where it is known.
    pub size: Option<u64>,
    /// The file's digest.
    pub sha256: Option<String>,
    /// Whether the file is in the cache.
    pub cached: bool,
    /// Whether the entry lacks hashes although its kind could have them.
    pub unhashed: bool,
    /// What else there is to know.
    pub note: Option<String>,
}

/// Says for each entry what would be installed.
pub(crate) fn plan(request: &Options, progress: &dyn Progress) -> Result<Vec<PlanRow>> {
    let inputs = Inputs::read(&request.common, &request.lock, progress)?;
    let target = inputs.target(&request.common, &request.target, request.lock.deploy, progress)?;
    let selection = inputs.select(&request.lock, &target)?;
    selection.warnings.0.iter().for_each(|warning| progress.warn(warning));
    let sources = Sources::new(&inputs.lock, inputs.pipfile.as_ref(), &request.index)?;
    let session = Session::open(request, &target, &sources, &selection.entries, Trust::Recorded, progress)?;

    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(request.index.concurrent_downloads.min(selection.entries.len()).max(1))
        .build()
        .map_err(|e| Error::new(Kind::Io, "cannot start threads").because(e))?;
    let found: Vec<Result<PlanRow>> =
        pool.install(|| selection.entries.par_iter().map(|entry| row(&session, entry)).collect());
    let mut failed = Vec::new();
    let mut entries = selection.entries.iter();
    let mut told = |found: Result<PlanRow>| {
        let entry = entries.next()?;
        found.map_err(|error| failed.push((subject(entry), error))).ok()
    };
    // In the place of what was found: there may be very many.
    let mut rows: Vec<PlanRow> = found.into_iter().filter_map(&mut told).collect();
    gather_by_cause(failed, selection.entries.len())?;
    let skipped = selection.skipped.iter().map(|skipped| PlanRow {
        kind: "skipped",
        note: Some(skipped.why.clone()),
        ..bare(&skipped.entry)
    });
    rows.extend(skipped);
    rows.sort_by(|a, b| (&a.name, &a.category).cmp(&(&b.name, &b.category)));
    Ok(rows)
}

fn bare(entry: &Entry) -> PlanRow {
    let can_have_hashes = matches!(entry.origin, EntryOrigin::Index | EntryOrigin::Url(_));
    PlanRow {
        name: entry.name.to_string(),
        version: Some(entry.pin.bare()).filter(|version| !version.is_empty()),
        category: entry.category.to_string(),
        kind: "index",
        source: None,
        file: String::new(),
        size: None,
        sha256: None,
        cached: false,
        unhashed: can_have_hashes && entry.hashes.sha256.is_empty(),
        note: None,
    }
}

fn row(session: &Session<'_>, entry: &Entry) -> Result<PlanRow> {
    if let Err(error) = check_digests(session, entry) {
        // The table is where one looks for what is wrong with a lock; `sync` refuses.
        return Ok(PlanRow {
            note: Some(format!("refused without --allow-unhashed: {error}")),
            ..direct(session, entry)
        });
    }
    let resolved = match resolve(session, entry, Records::Trust) {
        // Without a network the plan still says what each entry is.
        Err(error) if session.request.index.offline && error.kind() == Kind::Network => {
            return Ok(PlanRow { note: Some("no index was asked".to_owned()), ..bare(entry) });
        }
        resolved => resolved?,
    };
    Ok(match &resolved.what {
        What::Wheel(_, name) => {
            from_index(session, entry, &resolved, "wheel", Some(name.version.to_string()))
        }
        What::Sdist(_, name) => {
            from_index(session, entry, &resolved, "sdist", name.version.as_ref().map(ToString::to_string))
        }
        What::Direct => direct(session, entry),
    })
}

fn from_index(
    session: &Session<'_>,
    entry: &Entry,
    resolved: &Resolved,
    kind: &'static str,
    version: Option<String>,
) -> PlanRow {
    let bare = bare(entry);
    let Some(file) = resolved.file() else { return bare };
    let cached = file.sha256.and_then(|digest| session.cache.has(&digest));
    PlanRow {
        version: version.or(bare.version),
        kind,
        source: Some(
            resolved.source.as_ref().map_or_else(|| "find-links".to_owned(), |index| index.name.clone()),
        ),
        file: file.filename.clone(),
        size: file.size.or(cached),
        sha256: file.sha256.map(|digest| digest.to_string()),
        cached: cached.is_some(),
        ..bare
    }
}

fn direct(session: &Session<'_>, entry: &Entry) -> PlanRow {
    let bare = bare(entry);
    let editable = (entry.editable && !session.request.build.no_editable).then(|| "editable".to_owned());
    match &entry.origin {
        EntryOrigin::Vcs(vcs) => {
            let reference = vcs.reference.as_deref().unwrap_or("the default branch");
            let file = format!("{}@{reference}", vcs.url);
            PlanRow { kind: crate::packages::sdist::program(vcs.kind), file, note: editable, ..bare }
        }
        EntryOrigin::Url(url) => {
            let cached = entry.hashes.sha256.iter().find_map(|digest| session.cache.has(digest));
            let size = cached;
            PlanRow { kind: "url", file: url.to_string(), cached: cached.is_some(), size, ..bare }
        }
        EntryOrigin::Path(path) => {
            let place = local_path(session.request, path);
            let note = if place.exists() { editable } else { Some("missing".to_owned()) };
            let is_file = if place.exists() { place.is_file() } else { names_an_archive(&place) };
            let kind = if is_file { "file" } else { "directory" };
            PlanRow { kind, file: path.clone(), note, ..bare }
        }
        EntryOrigin::Index => bare,
    }
}

/// Whether a path that is not there was one of a file: of a wheel or a source distribution.
fn names_an_archive(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
    matches!(end.as_deref(), Some("whl" | "zip" | "gz" | "tgz" | "bz2" | "tbz" | "xz" | "tar"))
}
