//! Builds of a run: how many at once, with what, and where what is editable will live.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use parking_lot::{Condvar, Mutex};

use crate::run::{
    options::Options,
    supply::{
        session::Session,
        sources::{Index, page_url},
        workshop::Workshop,
    },
};
use crate::{
    environment::script::LauncherStyle,
    packages::{
        fetch::Answer,
        index::{self, Choice, choose, parse_page_for},
        sdist::{self, Built, Context, DirStore, IndexSource, Installed, Job},
    },
    project::{
        lock::{Entry, EntryOrigin, Hashes, Pin},
        python::{Site, Target, isolated_command},
    },
    run::options::OutputOptions,
    words::{
        error::{Error, Kind, Result},
        interrupt, threads,
        vocab::{Credentials, PackageName},
    },
};

/// Runs builds, as many at once as there are cores.
pub(crate) struct Builder<'a> {
    /// Whether a RECORD that does not hold is an error.
    pub(crate) strict: bool,
    /// The environment that is being made, links above it resolved.
    pub(crate) venv: PathBuf,
    anchor: PathBuf,
    src: PathBuf,
    placed: Option<Target>,
    scratch: Mutex<Option<(sdist::BuildDirectory, sdist::Sweep)>>,
    launchers: LauncherStyle,
    guard: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    free: Mutex<usize>,
    freed: Condvar,
    request: &'a Options,
    mtime: i64,
    interpreters: OnceLock<Vec<String>>,
}

impl<'a> Builder<'a> {
    /// A builder for an environment.
    pub(crate) fn new(request: &'a Options, output: &OutputOptions) -> Self {
        let venv = resolved(&output.place.venv);
        // With --at the environment goes elsewhere alone: only what is inside it moves with it.
        let anchor = match (&output.make.at, venv.parent()) {
            (None, Some(parent)) => parent.to_owned(),
            _ => venv.clone(),
        };
        Builder {
            strict: output.make.strict,
            src: venv.join("src"),
            placed: None,
            venv,
            anchor,
            scratch: Mutex::new(None),
            launchers: match output.make.at.as_deref().and_then(Path::to_str) {
                Some(at) => LauncherStyle::Absolute(at.to_owned()),
                None => LauncherStyle::Relative,
            },
            guard: own_program(),
            env: variables(request),
            free: Mutex::new(threads::cores()),
            freed: Condvar::new(),
            request,
            mtime: output.make.mtime,
            interpreters: OnceLock::new(),
        }
    }

    /// A builder for an interpreter that is there, with its target as files are placed there.
    pub(crate) fn for_site(
        request: &'a Options,
        output: &OutputOptions,
        site: &Site,
        placed: Target,
    ) -> Self {
        let base = if site.is_virtual { &site.root } else { &request.common.project.dir };
        let python = site.python.to_string_lossy().into_owned();
        Builder {
            src: base.join("src"),
            placed: Some(placed),
            // Nothing of it moves.
            anchor: site.packages_dir(),
            launchers: LauncherStyle::Interpreter(python),
            ..Self::new(request, output)
        }
    }

    /// The target as files are placed: the interpreter that is there, else `otherwise`.
    pub(crate) fn placed<'t>(&'t self, otherwise: &'t Target) -> &'t Target {
        self.placed.as_ref().unwrap_or(otherwise)
    }

    /// Whether what is made may be moved.
    pub(crate) fn moves(&self) -> bool {
        self.placed.is_none()
    }

    /// Whether an entry has a working tree beside what is installed.
    pub(crate) fn has_checkout(&self, entry: &Entry) -> bool {
        matches!(entry.origin, EntryOrigin::Vcs(_)) && entry.editable && !self.request.build.no_editable
    }

    /// Whether every entry that has a working tree finds it in its place.
    pub(crate) fn has_all_checkouts(&self, entries: &[Entry]) -> bool {
        let mut with_one = entries.iter().filter(|entry| self.has_checkout(entry));
        with_one.all(|entry| self.checkout_dir(entry.name.as_str()).is_dir())
    }

    /// The directory that moves as a whole: paths below it are written relative to site-packages.
    pub(crate) fn anchor(&self) -> &Path {
        &self.anchor
    }

    /// How scripts of the environment find their interpreter.
    pub(crate) fn launchers(&self) -> &LauncherStyle {
        &self.launchers
    }

    /// Where an editable repository's working tree lives: PIP_SRC, else `src` in the environment, or in the project where
    /// there is none.
    pub(crate) fn checkout_dir(&self, name: &str) -> PathBuf {
        let project = &self.request.common.project.dir;
        match self.request.common.env.path("PIP_SRC") {
            Some(src) => project.join(src).join(name),
            None => self.src.join(name),
        }
    }

    /// Refuses a build for a target whose interpreter is not here.
    pub(crate) fn check_target(&self, subject: &str) -> Result<()> {
        if self.request.target.described.is_none() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Build,
            format!("{subject} must be built, and no interpreter of the target is here to build it"),
        )
        .help("run venvoy on that platform with that interpreter (--python), or lock a version that has a wheel for it"))
    }

    /// Builds for an entry; waits while as many builds run as there are cores.
    pub(crate) fn run(
        &self,
        session: &Session<'_>,
        entry: &Entry,
        job: &Job,
        installed: &Installed,
    ) -> Result<Built> {
        self.check_target(&job.subject())?;
        let _permit = self.permit();
        interrupt::check()?;
        let scratch = self.scratch()?;
        let store = DirStore::of(session.cache.clone());
        let mut indexes: Vec<Index> = if self.request.index.no_index {
            Vec::new()
        } else {
            session.sources.all().filter_map(Result::ok).collect()
        };
        let own = session.sources.of(entry).ok().and_then(|own| own.into_iter().next());
        // A stable sort: the others stay in the lock's order.
        indexes.sort_by_key(|index| own.as_ref().is_none_or(|own| own.name != index.name));
        let source =
            |index: &Index| IndexSource { url: index.url.url().clone(), verify_ssl: index.verify_ssl };
        let sources: Vec<IndexSource> = indexes.iter().map(source).collect();
        let has = |source: &IndexSource, name: &PackageName| {
            let Some(index) = indexes.iter().find(|index| *index.url.url() == source.url) else {
                return Ok(false);
            };
            let answer = session.client.page_of_unpinned(&page_url(index, name), &index.url)?;
            Ok(matches!(answer, Answer::Page(_)))
        };
        let credentials = |url: &url::Url| -> Option<Credentials> {
            session.client.store().lookup(url, None).ok().flatten().map(|found| found.credentials)
        };
        let pip_wheel = || fetch_pip(session, &scratch);
        let stop = interrupt::flag();
        let context = Context {
            target: session.target,
            project_dir: &self.request.common.project.dir,
            scratch: &scratch,
            places: &std::env::temp_dir(),
            guard: self.guard.as_deref(),
            log_dir: &session.cache.logs_dir()?,
            store: &store,
            sources: &sources,
            has: &has,
            credentials: &credentials,
            env: &self.env,
            pip_args: &self.request.build.extra_pip_args,
            workshop: &Workshop { cache: &session.cache, target: session.target },
            installed,
            refresh: self.request.build.refresh,
            offline: self.request.index.offline,
            timeout: self.request.build.timeout,
            source_date_epoch: u64::try_from(self.mtime).ok(),
            pip_wheel: Some(&pip_wheel),
            concealed: self.request.common.env.concealed(),
            progress: session.progress,
            interrupted: Some(stop),
        };
        sdist::build(job, &context)
    }

    /// Whether a build of this entry is not isolated. A word that is wrong is told by the build.
    pub(crate) fn is_unisolated(&self, entry: &Entry) -> bool {
        self.request.build.is_unisolated(entry)
    }

    /// What the interpreter has installed, asked for once: builds without isolation find it.
    pub(crate) fn interpreters(&self, session: &Session<'_>) -> Result<&[String]> {
        const LIST: &str = "\
            import os, sys\n\
            for place in sys.path:\n    \
                for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():\n        \
                    stem, end = os.path.splitext(name)\n        \
                    if end in ('.dist-info', '.egg-info', '.egg-link'): print(stem)";
        if let Some(known) = self.interpreters.get() {
            return Ok(known);
        }
        let python = &session.target.executable;
        let output = isolated_command(python)
            .args(["-I", "-c", LIST])
            .output()
            .map_err(|e| Error::io("cannot run", python, e).with_kind(Kind::Target))?;
        let list = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        Ok(self.interpreters.get_or_init(|| list))
    }

    /// A directory of this run, made when the first build needs it.
    fn scratch(&self) -> Result<PathBuf> {
        let mut slot = self.scratch.lock();
        if let Some((dir, _)) = &*slot {
            return Ok(dir.path().to_owned());
        }
        let root = std::env::temp_dir();
        let dir = sdist::BuildDirectory::elsewhere(&root)?;
        let path = dir.path().to_owned();
        *slot = Some((dir, sdist::Sweep::start(&root)));
        Ok(path)
    }

    fn permit(&self) -> Permit<'_> {
        let mut free = self.free.lock();
        while *free == 0 {
            self.freed.wait(&mut free);
        }
        *free -= 1;
        Permit { free: &self.free, freed: &self.freed }
    }
}

/// This program, as another process of it is started: also when its file was replaced meanwhile.
pub(crate) fn own_program() -> Option<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() { Some(own.to_owned()) } else { std::env::current_exe().ok() }
}

struct Permit<'a> {
    free: &'a Mutex<usize>,
    freed: &'a Condvar,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.free.lock() += 1;
        self.freed.notify_one();
    }
}

/// The environment of a run as children get it. pip, which fetches build requirements, trusts and presents
/// the certificates that this run does.
pub(crate) fn variables(request: &Options) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> =
        request.common.env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    // pip takes one place.
    let authorities = request.index.ca.as_ref().map(|ca| ca.paths.as_slice());
    let authority = authorities.and_then(|paths| if let [path] = paths { Some(path) } else { None });
    for (name, path) in [("PIP_CERT", authority), ("PIP_CLIENT_CERT", request.index.client_cert.as_ref())] {
        // Relative to where venvoy was started, which need not be where pip is.
        if let Some(path) = path.and_then(|path| crate::run::options::absolute(path).ok()) {
            variables.push((name.into(), path.into()));
        }
    }
    variables
}

/// A path with the links above its last component resolved, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// The newest pip that the first source has for this target, for interpreters that come without one. It
/// runs in a throwaway environment only.
fn fetch_pip(session: &Session<'_>, scratch: &Path) -> Result<PathBuf> {
    let name = "pip".parse()?;
    let request = index::Pinned {
        name: &name,
        pin: &Pin::Any,
        hashes: &Hashes::default(),
        no_binary: false,
        only_binary: true,
        allow_unhashed: true,
    };
    let source = session.sources.all().next().transpose()?;
    let mut files = session.linked(&name);
    if let Some(index) = source.as_ref().filter(|_| files.is_empty() && !session.request.index.offline) {
        let url = page_url(index, &name);
        files = match session.client.page_of_unpinned(&url, &index.url)? {
            Answer::Page(page) => {
                parse_page_for(&request, page.content_type.as_deref(), &page.body, &page.url)?
            }
            Answer::NotFound(error) => return Err(error),
        };
    }
    let Choice::Wheel { file, .. } = choose(&request, &files, session.target)? else {
        return Err(Error::new(Kind::Selection, "the index has no wheel of pip"));
    };
    let expected: Vec<_> = file.sha256.into_iter().collect();
    let via = source.as_ref().map(|index| &index.url);
    let (verified, _) = session.verified(&file.url, via, &file.filename, file.size, &expected)?;
    // pip is run from the file, whose name must be a wheel's.
    let place = scratch.join(&file.filename);
    std::fs::copy(verified.path(), &place).map_err(|e| Error::io("cannot write", &place, e))?;
    Ok(place)
}
