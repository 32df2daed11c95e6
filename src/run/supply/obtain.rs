//! An entry's wheel, opened: from the cache, an index, or a build.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::run::{
    options::Options,
    supply::{
        builder::Builder,
        resolve::{Records, Resolved, What, resolve},
        session::Session,
    },
};
use crate::{
    environment::{
        layout::{self, DistInput, GivenFile},
        script::rewrite_script_at,
    },
    packages::{
        cache::VerifiedFile,
        index::IndexFile,
        sdist::{self, BuildSource, Built, EditableInfo, Installed, Job, relativise, relativise_hook},
        wheel::{Strictness, Wheel, with_scratch},
    },
    project::lock::{Entry, EntryOrigin, Hashes, Vcs},
    run::options::LockFile,
    words::{
        error::{Context as _, Error, Kind, Result},
        vocab::{RelPath, SourceUrl, WheelName},
    },
};

/// How often a wheel is fetched that is gone from the cache, or damaged there, when it is opened.
const TRIES: u32 = 5;

/// How a wheel came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// It was in the cache.
    Cached,
    /// It was fetched: so many bytes.
    Downloaded(u64),
    /// It was built.
    Built,
}

/// What an entry is laid out from.
#[derive(Debug)]
pub(crate) struct Obtained {
    /// Its wheel, and what goes beside it.
    pub input: DistInput,
    /// Where it came from.
    pub came: Came,
    /// An editable repository's working tree and where it is to live.
    pub checkout: Option<(PathBuf, PathBuf)>,
}

impl Obtained {
    /// What is there already and needs nothing else.
    pub(crate) fn there(input: DistInput) -> Self {
        Obtained { input, came: Came::Cached, checkout: None }
    }
}

/// Gets the file of an entry that has one, without a look into it; the second value is how many bytes were fetched.
pub(crate) fn bring(
    session: &Session<'_>,
    entry: &Entry,
    file: &IndexFile,
    resolved: &Resolved,
) -> Result<(VerifiedFile, u64)> {
    as_resolved(session, entry, resolved, |resolved| {
        let file = resolved.file().unwrap_or(file);
        indexed(session, entry, file, resolved.source.as_ref().map(|index| &index.url))
    })
}

/// Does `work` with what an entry was resolved to, and once more with what the index says now where a record may not be
/// true any more: indexes move and replace files.
fn as_resolved<T>(
    session: &Session<'_>,
    entry: &Entry,
    resolved: &Resolved,
    work: impl Fn(&Resolved) -> Result<T>,
) -> Result<T> {
    match work(resolved) {
        Err(error)
            if resolved.remembered
                && matches!(error.kind(), Kind::Selection | Kind::Network | Kind::Auth)
                && !session.request.index.offline =>
        {
            work(&resolve(session, entry, Records::Ignore)?)
        }
        outcome => outcome,
    }
}

/// Gets the wheel of an entry whose file is known. `installed` is what a build without isolation finds.
pub(crate) fn obtain(
    session: &Session<'_>,
    builder: &Builder<'_>,
    entry: &Entry,
    resolved: &Resolved,
    installed: &Installed,
) -> Result<Obtained> {
    as_resolved(session, entry, resolved, |resolved| try_obtain(session, builder, entry, resolved, installed))
}

/// Whether a file of the cache is not, or no longer, what it was when it was found there.
fn is_to_be_fetched_anew(session: &Session<'_>, file: &VerifiedFile, error: &Error) -> Result<bool> {
    let is_gone = file.path().symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    Ok(is_gone || error.kind() == Kind::Integrity && session.forget_if_damaged(file)?)
}

fn try_obtain(
    session: &Session<'_>,
    builder: &Builder<'_>,
    entry: &Entry,
    resolved: &Resolved,
    installed: &Installed,
) -> Result<Obtained> {
    let via = resolved.source.as_ref().map(|index| &index.url);
    match &resolved.what {
        What::Wheel(file, name) => {
            let get = || indexed(session, entry, file, via);
            let open = |file| open(session, builder, file, (**name).clone());
            let (wheel, fetched) = while_there(session, get, open)?;
            session.progress.detail(&format!(
                "{} {}: {} ({}), from {}: {}",
                entry.name,
                name.version,
                file.filename,
                if fetched == 0 { "cached" } else { "downloaded" },
                resolved.source.as_ref().map_or("find-links", |index| &index.name),
                resolved.why
            ));
            let came = if fetched == 0 { Came::Cached } else { Came::Downloaded(fetched) };
            Ok(Obtained { input: DistInput::new(wheel), came, checkout: None })
        }
        What::Sdist(file, _) => {
            let get = || indexed(session, entry, file, via);
            let build = |verified| {
                let source = BuildSource::Sdist { file: verified, file_name: file.filename.clone() };
                build(session, builder, entry, source, installed)
            };
            Ok(while_there(session, get, build)?.0)
        }
        What::Direct => build_direct(session, builder, entry, installed),
    }
}

/// Gets a file and does `work` with it, anew where the file turns out to be gone from the cache or damaged there. A disk that
/// lost bits must not be a dead end, and somebody may prune the cache at any moment.
fn while_there<T>(
    session: &Session<'_>,
    get: impl Fn() -> Result<(VerifiedFile, u64)>,
    work: impl Fn(VerifiedFile) -> Result<T>,
) -> Result<(T, u64)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (file, fetched) = get()?;
        match work(file.clone()) {
            Err(error) if tries < TRIES && is_to_be_fetched_anew(session, &file, &error)? => {}
            outcome => return Ok((outcome?, fetched)),
        }
    }
}

/// A file that an index lists.
fn indexed(
    session: &Session<'_>,
    entry: &Entry,
    file: &IndexFile,
    via: Option<&SourceUrl>,
) -> Result<(VerifiedFile, u64)> {
    let IndexFile { url, filename, size, sha256, .. } = file;
    if entry.hashes.sha256.is_empty() && entry.files.is_empty() {
        return session.unpinned(url, via, filename, *size, *sha256);
    }
    session.verified(url, via, filename, *size, sha256.as_slice())
}

fn open(
    session: &Session<'_>,
    builder: &Builder<'_>,
    file: VerifiedFile,
    name: WheelName,
) -> Result<Arc<Wheel>> {
    let strictness = if builder.strict { Strictness::Refuse } else { Strictness::Warn };
    let (mut wheel, warnings) = Wheel::open(file, name, strictness)?;
    wheel.rely_on(&session.cache);
    warnings.0.iter().for_each(|warning| session.progress.warn(warning));
    Ok(Arc::new(wheel))
}

/// Builds what names its own source.
fn build_direct(
    session: &Session<'_>,
    builder: &Builder<'_>,
    entry: &Entry,
    installed: &Installed,
) -> Result<Obtained> {
    let editable = entry.editable && !session.request.build.no_editable;
    let source = match &entry.origin {
        EntryOrigin::Vcs(vcs) => {
            let place = editable.then(|| builder.checkout_dir(entry.name.as_str()));
            BuildSource::Vcs { vcs: Vcs::clone(vcs), editable: place }
        }
        EntryOrigin::Url(url) => {
            let file_name = last_component(url)?;
            let get = || match &*entry.hashes.sha256 {
                [] => session.unpinned(url.url(), Some(url), &file_name, None, None),
                hashes => session.verified(url.url(), Some(url), &file_name, None, hashes),
            };
            let build = |file| {
                let (url, file_name) = (SourceUrl::clone(url), file_name.clone());
                build(session, builder, entry, BuildSource::Url { file, url, file_name }, installed)
            };
            return Ok(while_there(session, get, build)?.0);
        }
        EntryOrigin::Path(path) => {
            let path = local_path(session.request, path);
            if path.is_file() {
                BuildSource::LocalFile { path, hashes: Hashes::clone(&entry.hashes) }
            } else {
                BuildSource::Directory { path, editable }
            }
        }
        EntryOrigin::Index => {
            return Err(Error::new(Kind::Lock, "an index entry has no source of its own"));
        }
    };
    build(session, builder, entry, source, installed)
}

/// A path of the lock as it is on disk: relative ones are relative to the project, and in a
/// `pylock.toml` to the lock itself (PEP 751).
pub(crate) fn local_path(request: &Options, path: &str) -> PathBuf {
    let project = &request.common.project;
    let base = match &project.lock {
        Some(LockFile::Pylock(lock)) => lock.parent().unwrap_or(&project.dir),
        Some(LockFile::Pipenv(_)) | None => &project.dir,
    };
    path_clean::clean(base.join(path))
}

/// The file name a URL ends in, percent-decoded once.
pub(crate) fn last_component(url: &SourceUrl) -> Result<String> {
    let last = url.url().path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    let name = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
    if name.is_empty() || name.contains('/') {
        return Err(Error::new(Kind::Lock, format!("{url} does not end in a file name"))
            .help("expected the URL of a wheel or source distribution"));
    }
    Ok(name)
}

fn build(
    session: &Session<'_>,
    builder: &Builder<'_>,
    entry: &Entry,
    source: BuildSource,
    installed: &Installed,
) -> Result<Obtained> {
    let job =
        Job { name: entry.name.clone(), pin: entry.pin.clone(), source, pip_args: entry.pip_args.clone() };
    let fetched_wheel = match &job.source {
        BuildSource::Url { file_name, .. } => is_wheel(Path::new(file_name)),
        BuildSource::LocalFile { path, .. } => is_wheel(path),
        _ => false,
    };
    let built = builder.run(session, entry, &job, installed)?;
    built.warnings.0.iter().for_each(|warning| session.progress.warn(warning));
    session.progress.detail(&format!(
        "{} {}: {} from {} ({})",
        entry.name,
        built.version,
        if fetched_wheel { "taken" } else { "built" },
        job.subject(),
        if built.cached { "cached" } else { "now" }
    ));
    if !built.requirements.is_empty() {
        session.progress.detail(&format!("{}: built with {}", entry.name, built.requirements.join(", ")));
    }
    let wheel = open(session, builder, built.wheel.clone(), built.file_name.clone())?;
    let failed = || format!("cannot make {} {} movable", entry.name, entry.pin);
    let mut extra = movable(session, builder, &wheel, &built).context(failed)?;
    extra.extend(scripts(session, builder, &wheel, &built).context(failed)?);
    let place = built.checkout.is_some().then(|| builder.checkout_dir(entry.name.as_str()));
    let direct_url = built.direct_url.clone().filter(|_| !moves_along(builder, entry, &built));
    let input = DistInput { direct_url, extra, ..DistInput::new(wheel) };
    let came = if built.cached || fetched_wheel { Came::Cached } else { Came::Built };
    Ok(Obtained { input, came, checkout: built.checkout.zip(place) })
}

/// Whether what was resolved has to be built, as far as names tell.
pub(crate) fn is_built(entry: &Entry, resolved: &Resolved) -> bool {
    match (&resolved.what, &entry.origin) {
        (What::Wheel(..), _) => false,
        (What::Direct, EntryOrigin::Url(url)) => !is_wheel(Path::new(url.url().path())),
        (What::Direct, EntryOrigin::Path(path)) => !is_wheel(Path::new(path)),
        (What::Sdist(..), _) | (What::Direct, EntryOrigin::Vcs(_) | EntryOrigin::Index) => true,
    }
}

fn is_wheel(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("whl"))
}

/// The `.pth` files of an editable project with paths relative to site-packages where project and
/// environment move together.
fn movable(
    session: &Session<'_>,
    builder: &Builder<'_>,
    wheel: &Wheel,
    built: &Built,
) -> Result<Vec<GivenFile>> {
    let Some(editable) = &built.editable else { return Ok(Vec::new()) };
    let target = builder.placed(session.target);
    let site_packages = builder.venv.join(target.site_packages.as_path());
    let outside = |path: &&PathBuf| !path.starts_with(builder.anchor());
    for path in editable.paths.iter().filter(outside).filter(|_| builder.moves()) {
        session.progress.warn(&format!(
            "{} is editable and lies in {}: the environment works only while that stays there \
             (--no-editable installs a copy)",
            built.name,
            path.display()
        ));
    }
    let hooks: &[RelPath] = if editable.relocatable { &editable.hook_files } else { &[] };
    let texts =
        editable.pth_files.iter().map(|pth| (pth, false)).chain(hooks.iter().map(|hook| (hook, true)));
    let mut files = Vec::new();
    for (path, is_hook) in texts {
        let Some(position) = wheel.entries.iter().position(|entry| entry.path == *path) else { continue };
        let rewrite = if is_hook { relativise_hook } else { relativise };
        let bytes = with_scratch(|scratch| {
            let content = wheel.inflate(position, scratch)?;
            Ok::<_, Error>(rewrite(content.bytes, &site_packages, builder.anchor()))
        })?;
        files.push(GivenFile {
            path: target.site_packages.join(path),
            bytes: bytes.into(),
            executable: false,
        });
    }
    Ok(files)
}

/// The files of a built wheel that are scripts although they are not among its scripts, with a first line for the
/// environment. They lie anywhere in it.
fn scripts(
    session: &Session<'_>,
    builder: &Builder<'_>,
    wheel: &Arc<Wheel>,
    built: &Built,
) -> Result<Vec<GivenFile>> {
    if built.scripts.is_empty() {
        return Ok(Vec::new());
    }
    let target = builder.placed(session.target);
    let places = layout::places(&[DistInput::new(Arc::clone(wheel))], target)?;
    let mut files = Vec::new();
    for (position, (entry, place)) in wheel.entries.iter().zip(places.into_iter().flatten()).enumerate() {
        let Some(path) = place.filter(|_| built.scripts.contains(&entry.path)) else { continue };
        let bytes = with_scratch(|scratch| {
            let content = wheel.inflate(position, scratch)?;
            Ok::<_, Error>(rewrite_script_at(content.bytes, builder.launchers(), &path))
        })?;
        files.extend(bytes.map(|bytes| GivenFile { path, bytes: bytes.into(), executable: true }));
    }
    Ok(files)
}

/// Whether a local project is editable and moves with its environment. It gets no `direct_url.json`: that could
/// only name the place of the build (PEP 610 wants an absolute URL), and would be wrong after a move.
fn moves_along(builder: &Builder<'_>, entry: &Entry, built: &Built) -> bool {
    let local = matches!(entry.origin, EntryOrigin::Path(_));
    let inside = |editable: &EditableInfo| {
        editable.relocatable && editable.paths.iter().all(|path| path.starts_with(builder.anchor()))
    };
    local && built.editable.as_ref().is_some_and(inside)
}

/// Brings an editable repository's working tree to its place.
pub(crate) fn place_checkout(from: &Path, to: &Path) -> Result<()> {
    let cannot = |e| Error::io("cannot put the working tree at", to, e).with_kind(Kind::Destination);
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(cannot)?;
    }
    if to.is_dir() {
        std::fs::remove_dir_all(to).map_err(cannot)?;
    }
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => sdist::copy_all(from, to),
        result => result.map_err(cannot),
    }
}
