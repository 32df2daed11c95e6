//! One build from beginning to end.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Deserialize;
use serde_json::json;

use super::{
    BuildSource, Built, Context, Job, Limits,
    backend::Backend,
    beside::{self, Beside},
    decisive, direct_url,
    environment::{self, Environment},
    hints,
    isolated::Isolated,
    normalise::{Normalised, normalise},
    place::BuildDirectory,
    process::{Runner, Step},
    requirements::Requirement,
    settings::Settings,
    store::{BuildRecord, BuildStore, copy_all, digest},
    traces::BuildSite,
    tree::{Tree, needs_history},
    unpack,
    vcs::Remote,
};
use crate::{
    packages::cache::VerifiedFile,
    project::lock::{Hashes, Vcs},
    words::{
        error::{Context as _, Error, Kind, Result, Warnings},
        progress::Progress,
        vocab::{Credentials, Secret, Sha256, SourceUrl, WheelName},
    },
};

const HOOKS: &str = include_str!("hooks.py");

/// Changes when the same inputs are built in another way, so that older wheels are not taken for it.
const FORMAT: &str = "venvoy build 2";

/// How strictly what was built must be what the lock names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strict {
    /// Another name or version is an error: the file claims to be this release.
    All,
    /// Another name is an error; the version beside a repository's commit is old news.
    Name,
    /// The user's own project: a difference is only told.
    Nothing,
}

pub(super) struct BuildSession<'a> {
    pub(super) job: &'a Job,
    pub(super) context: &'a Context<'a>,
    runner: Runner<'a>,
    pub(super) settings: Settings,
    pub(super) work: PathBuf,
    pub(super) warnings: Warnings,
    /// What the build's environment holds, as `name==version`.
    pub(super) requirements: Vec<String>,
}

/// A build that whoever watches is told of as long as this lives.
struct Shown<'a> {
    progress: &'a dyn Progress,
    what: String,
}

impl<'a> Shown<'a> {
    fn new(progress: &'a dyn Progress, what: String) -> Self {
        progress.build_begins(&what);
        Shown { progress, what }
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.progress.build_ends(&self.what);
    }
}

/// What hooks are called with.
#[derive(Clone, Copy)]
struct Call<'a> {
    isolated: &'a Isolated<'a>,
    work: &'a Path,
    project: &'a Path,
    backend: &'a Backend,
    out: &'a Path,
}

/// What `hooks.py` writes down.
#[derive(Deserialize)]
struct Told {
    hook: String,
    /// Nothing is an answer, too, if a wrong one.
    #[serde(default, deserialize_with = "present")]
    answer: Option<serde_json::Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(from).map(Some)
}

/// What the last hook that was called gave.
struct Answer {
    hook: String,
    value: serde_json::Value,
}

/// Runs a job. See [`super::build`].
pub(super) fn run(job: &Job, context: &Context) -> Result<Built> {
    let mut args = context.pip_args.to_vec();
    args.extend(job.pip_args.iter().cloned());
    let settings = Settings::parse(&args)?;
    let scratch =
        context.scratch.canonicalize().map_err(|e| Error::io("cannot resolve", context.scratch, e))?;
    let work = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(&scratch)
        .map_err(|e| Error::io("cannot create a directory in", &scratch, e))?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(context.log_dir)
        .map_err(|e| Error::io("cannot create", context.log_dir, e))?;
    let subject = Sha256::of(job.subject().as_bytes()).to_string();
    let log = context.log_dir.join(format!("{}-{}.log", job.name, &subject[..12]));
    if log.exists() {
        fs::remove_file(&log).map_err(|e| Error::io("cannot remove", &log, e))?;
    }
    let runner = Runner {
        deadline: Instant::now() + context.timeout,
        timeout: context.timeout,
        interrupted: context.interrupted,
        progress: Some(context.progress),
        log,
        secrets: secrets(job, context),
        guard: context.guard,
    };
    let mut session = BuildSession {
        job,
        context,
        runner,
        settings,
        work: work.path().to_path_buf(),
        warnings: Warnings::default(),
        requirements: Vec::new(),
    };
    let result = match &job.source {
        BuildSource::Sdist { file, file_name } => session.archive(file, file_name, Strict::All),
        BuildSource::Url { file, url, file_name } => session.url(file, url, file_name),
        BuildSource::LocalFile { path, hashes } => session.local_file(path, hashes),
        BuildSource::Directory { path, editable } => session.directory(path, *editable),
        BuildSource::Vcs { vcs, editable } => session.repository(vcs, editable.as_deref()),
    };
    match result {
        Ok(mut built) => {
            built.warnings.extend(session.warnings);
            built.log = session.runner.log.exists().then_some(session.runner.log);
            Ok(built)
        }
        Err(error) => {
            let error = error.context(format!("cannot build {}", job.subject()));
            let log = &session.runner.log;
            Err(if log.exists() {
                error.help(format!("the whole output is in {}", log.display()))
            } else {
                error
            })
        }
    }
}

/// All that must not be shown, should a child come across it.
fn secrets(job: &Job, context: &Context) -> Vec<Secret> {
    let mut found: Vec<Credentials> =
        context.sources.iter().filter_map(|source| (context.credentials)(&source.url)).collect();
    let own = match &job.source {
        BuildSource::Vcs { vcs, .. } => Some(&vcs.url),
        BuildSource::Url { url, .. } => Some(url),
        _ => None,
    };
    if let Some(url) = own {
        if !url.url().scheme().ends_with("ssh") {
            found.extend(url.credentials().cloned());
        }
        found.extend((context.credentials)(url.url()));
    }
    let passwords = found.into_iter().map(|credentials| credentials.password);
    let mut secrets = Vec::new();
    let others = environment::secrets(context.env).into_iter().chain(context.concealed.secrets());
    for password in passwords.chain(others) {
        let secret = password.expose();
        let encoded =
            percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
        if encoded != secret {
            secrets.push(Secret::new(encoded));
        }
        secrets.push(password);
    }
    secrets
}

impl BuildSession<'_> {
    fn url(&mut self, file: &VerifiedFile, url: &SourceUrl, file_name: &str) -> Result<Built> {
        let mut built = if is_wheel(file_name) {
            self.finished_wheel(file.clone(), file_name, Strict::All)?
        } else {
            self.archive(file, file_name, Strict::All)?
        };
        built.direct_url = Some(self.without_secrets(&direct_url::archive(url, file.sha256())));
        Ok(built)
    }

    /// A record for the environment, in which a token in a URL's path has its variable's name (PEP 610 leaves
    /// secrets out).
    fn without_secrets(&self, record: &[u8]) -> Vec<u8> {
        self.context.concealed.hide(&String::from_utf8_lossy(record)).into_bytes()
    }

    fn local_file(&mut self, path: &Path, hashes: &Hashes) -> Result<Built> {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A copy is what is digested and used: the original may change in between.
        let place =
            self.context.scratch.join(format!("file-{}", Sha256::of(path.as_os_str().as_encoded_bytes())));
        fs::create_dir_all(&place).map_err(|e| Error::io("cannot create", &place, e))?;
        let copy = place.join(&file_name);
        fs::copy(path, &copy).map_err(|e| {
            let missing = e.kind() == std::io::ErrorKind::NotFound;
            let error = Error::io("cannot read", path, e);
            if missing {
                error
                    .with_kind(Kind::Build)
                    .help("check the path in the lock, and that the file was copied to where venvoy runs")
            } else {
                error
            }
        })?;
        let (sha256, size) = digest(&copy)?;
        if !hashes.sha256.is_empty() && !hashes.sha256.contains(&sha256) {
            let expected: Vec<String> = hashes.sha256.iter().map(|hash| format!("sha256:{hash}")).collect();
            return Err(Error::new(
                Kind::Integrity,
                format!("{} is sha256:{sha256}, the lock accepts {}", path.display(), expected.join(", ")),
            )
            .help("lock again if the file was changed on purpose"));
        }
        // What lies here is the project's own: it may do without, but not with what anyone can forge.
        if !hashes.suffice(true) {
            let error = Error::new(Kind::Integrity, hashes.shortfall()).context(path.display().to_string());
            return Err(error.help("lock again with a current pipenv"));
        }
        if is_wheel(&file_name) {
            return self.finished_wheel(VerifiedFile::vouch(copy, sha256, size), &file_name, Strict::Nothing);
        }
        self.archive(&VerifiedFile::vouch(copy, sha256, size), &file_name, Strict::Nothing)
    }

    /// A wheel needs no build; it must still be what the lock names and fit the target.
    fn finished_wheel(&mut self, file: VerifiedFile, file_name: &str, strict: Strict) -> Result<Built> {
        let name: WheelName = file_name.parse()?;
        self.check(&name, strict)?;
        self.built(file, name, &BuildRecord::default(), false)
    }

    fn archive(&mut self, file: &VerifiedFile, file_name: &str, strict: Strict) -> Result<Built> {
        let key = self.key(&format!("archive {}", file.sha256()));
        if let Some(built) = self.kept(&key, strict)? {
            return Ok(built);
        }
        let place = self.claim(&key)?;
        // Another run may have built it meanwhile.
        if let Some(built) = self.kept(&key, strict)? {
            return Ok(built);
        }
        let project =
            unpack::unpack_file(file.open()?, file_name, &place.path().join("source"), Limits::default())?;
        self.build_and_keep(&project, &place, &key, strict)
    }

    /// The directory for a build, its path decided by `key`.
    pub(super) fn claim(&self, key: &str) -> Result<BuildDirectory> {
        BuildDirectory::claim(self.context.places, key, self.runner.deadline)
    }

    fn directory(&mut self, path: &Path, editable: bool) -> Result<Built> {
        if !path.exists() {
            return Err(Error::new(Kind::Build, format!("{} does not exist", path.display()))
                .help("check the path in the lock, and that the project was copied to where venvoy runs"));
        }
        let tree = Tree::of(path, &Environment::for_git(self.context.env))?;
        let directory = tree.project_directory();
        if editable {
            return self.editable_directory(&tree, &directory);
        }
        let key = self.local_key("directory", &tree)?;
        if let Some(built) = self.kept(&key, Strict::Nothing)? {
            return Ok(built);
        }
        let place = self.claim(&key)?;
        if let Some(built) = self.kept(&key, Strict::Nothing)? {
            return Ok(built);
        }
        let beside = self.link_beside(&tree, &place)?;
        let project = tree.copy(beside.copy())?;
        let backend = Backend::of(&project)?;
        let wheel = self.hook_wheel(&project, place.path(), &backend, "build_wheel")?;
        self.note_beside(&tree, &beside)?;
        let key = self.local_key("directory", &tree)?;
        self.finish(&wheel, Some(&key), Strict::Nothing, &BuildSite::of(&place, self.context.target))
    }

    /// The key of what is built from a local project, with what the last build of it read beside it.
    pub(super) fn local_key(&self, how: &str, tree: &Tree) -> Result<String> {
        let used = used_beside(tree, self.context.store)?;
        let digest = local_digest(tree, tree.digest()?, &used, &Environment::for_git(self.context.env))?;
        Ok(self.key(&format!("{how} {digest}")))
    }

    /// The same for an editable project, of which not every file decides.
    pub(super) fn editable_key(&self, how: &str, tree: &Tree) -> Result<String> {
        let used = used_beside(tree, self.context.store)?;
        let own = decisive::digest(tree, self.context.store, self.context.env)?;
        let digest = local_digest(tree, own, &used, &Environment::for_git(self.context.env))?;
        Ok(self.key(&format!("{how} {digest}")))
    }

    /// Lays what is beside a local project beside its copy.
    pub(super) fn link_beside(&self, tree: &Tree, place: &BuildDirectory) -> Result<Beside> {
        let project_dir = self.context.project_dir.canonicalize().ok();
        let above: Vec<&Path> = tree.repository().into_iter().chain(project_dir.as_deref()).collect();
        Beside::link(tree.root(), &above, &place.path().join("tree"))
    }

    /// Remembers what the build read beside the project.
    pub(super) fn note_beside(&self, tree: &Tree, beside: &Beside) -> Result<()> {
        let used = beside.used();
        let paths: Vec<&str> = used.iter().filter_map(|path| path.to_str()).collect();
        if paths.len() < used.len() {
            return Err(Error::new(
                Kind::Build,
                format!("what the build reads beside {} has a name that is not UTF-8", tree.root().display()),
            ));
        }
        self.context.store.keep_note(&beside_note(tree), &json!(paths).to_string())
    }

    fn repository(&mut self, vcs: &Vcs, editable: Option<&Path>) -> Result<Built> {
        let private = self.work.join("vcs");
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&private)
            .map_err(|e| Error::io("cannot create", &private, e))?;
        let context = self.context;
        let mut warnings = Warnings::default();
        let (mut built, commit, url) = {
            let deadline = Runner {
                deadline: self.runner.deadline,
                timeout: self.runner.timeout,
                interrupted: self.runner.interrupted,
                progress: self.runner.progress,
                log: self.runner.log.clone(),
                secrets: self.runner.secrets.clone(),
                guard: self.runner.guard,
            };
            let remote = Remote::new(vcs, context, &deadline, &private)?;
            let known = remote.commit(&mut warnings)?;
            let url = remote.shown();
            let inside = vcs.subdirectory.as_ref().map_or(String::new(), ToString::to_string);
            let source = |commit: &str| format!("{} {url} {commit} {inside}", direct_url::program(vcs.kind));
            let kept = match (&known, editable) {
                (Some(commit), None) => self.kept(&self.key(&source(commit)), Strict::Name)?,
                _ => None,
            };
            let (built, commit) = if let (Some(built), Some(commit)) = (kept, known.clone()) {
                (built, commit)
            } else {
                let top = self.work.join("source");
                let commit =
                    fetch(&remote, context, known.as_deref(), &url, inside.as_str(), &top, &mut warnings)?;
                let project = subdirectory(&top, vcs)?;
                // A revision that only the fetch could tell may have been built before.
                let key = self.key(&source(&commit));
                let built = if let Some(place) = editable {
                    self.editable_checkout(&top, &project, &key, place)?
                } else if let Some(built) = self.kept(&key, Strict::Name)? {
                    built
                } else {
                    let place = self.claim(&key)?;
                    let (_, project) = into_place(&top, &project, &place)?;
                    self.build_and_keep(&project, &place, &key, Strict::Name)?
                };
                (built, commit)
            };
            (built, commit, remote.recorded())
        };
        built.warnings.extend(warnings);
        built.direct_url = Some(self.without_secrets(&direct_url::vcs(vcs, &url, &commit)));
        built.commit = Some(commit);
        Ok(built)
    }

    fn build_and_keep(
        &mut self,
        project: &Path,
        place: &BuildDirectory,
        key: &str,
        strict: Strict,
    ) -> Result<Built> {
        let backend = Backend::of(project)?;
        let wheel = self.hook_wheel(project, place.path(), &backend, "build_wheel")?;
        self.finish(&wheel, Some(key), strict, &BuildSite::of(place, self.context.target))
    }

    /// Calls a backend's hook in an environment of its own, below `work`, and gives the wheel it wrote.
    pub(super) fn hook_wheel(
        &mut self,
        project: &Path,
        work: &Path,
        backend: &Backend,
        hook: &str,
    ) -> Result<PathBuf> {
        let _shown = Shown::new(self.context.progress, self.job.label());
        // What lasts is rebuilt in by whoever imports it; all else is gone after this build.
        let lasting = !work.starts_with(self.context.places);
        let isolated = Isolated::create(self.context, &self.runner, work, &self.settings, lasting)?;
        let mut installed = backend.requires.clone();
        let mut warnings = Warnings::default();
        let mut requirements = if self.settings.no_isolation {
            isolated.share(&installed, &self.settings, &mut warnings)?
        } else {
            isolated.install(&installed, &self.settings, &mut warnings)?
        };
        let out = work.join("out");
        fs::create_dir_all(&out).map_err(|e| Error::io("cannot create", &out, e))?;
        let ask = hook.replace("build_", "get_requires_for_build_");
        let call = Call { isolated: &isolated, work, project, backend, out: &out };
        let mut name = self.hooks(&call, &[&ask, hook], &installed)?;
        if let Answer { value, hook: last } = &name
            && *last == ask
        {
            let further: Vec<String> = serde_json::from_value(value.clone()).map_err(|e| {
                Error::new(Kind::Build, "the backend's further requirements are no list of texts").because(e)
            })?;
            installed.extend(further.into_iter().filter(|one| !backend.requires.contains(one)));
            if !self.settings.no_isolation {
                requirements = isolated.install(&installed, &self.settings, &mut warnings)?;
            }
            name = self.hooks(&call, &[hook], &installed)?;
        }
        let name = name.value;
        self.requirements = requirements.iter().map(Requirement::pin).collect();
        self.warnings.extend(warnings);
        let name = name.as_str().unwrap_or_default();
        name.parse::<WheelName>()
            .context(|| format!("{} gave {name:?} as the wheel's name", backend.object))?;
        let wheel = out.join(name);
        if !fs::symlink_metadata(&wheel).is_ok_and(|meta| meta.is_file()) {
            return Err(Error::new(
                Kind::Build,
                format!("{} said it wrote {name}, but did not", backend.object),
            ));
        }
        Ok(wheel)
    }

    /// Calls hooks one after another, as long as they ask for nothing that is not installed.
    fn hooks(&self, call: &Call, hooks: &[&str], installed: &[String]) -> Result<Answer> {
        let Call { isolated, work, project, backend, out } = *call;
        let config: serde_json::Map<String, serde_json::Value> = self
            .settings
            .config
            .iter()
            .map(|(key, values)| {
                (
                    key.clone(),
                    match values.as_slice() {
                        [one] if !key.starts_with("--") => json!(one),
                        several => json!(several),
                    },
                )
            })
            .collect();
        let request = json!({
            "hooks": hooks,
            "installed": installed,
            "backend": backend.object,
            "backend_path": backend.path,
            "config": config,
            "out": out,
        });
        let place = work.join("hooks");
        fs::create_dir_all(&place).map_err(|e| Error::io("cannot create", &place, e))?;
        let (script, question, answer) =
            (place.join("hooks.py"), place.join("request.json"), place.join("answer.json"));
        for (path, text) in [(&script, HOOKS), (&question, request.to_string().as_str()), (&answer, "")] {
            fs::write(path, text).map_err(|e| Error::io("cannot write", path, e))?;
        }
        let args: Vec<OsString> = vec![script.into(), question.into(), answer.clone().into()];
        let step = Step {
            program: isolated.python.as_os_str(),
            args,
            directory: project,
            environment: &isolated.environment,
            private: Vec::new(),
            writable: isolated.writable.clone(),
        };
        let result = self.runner.run(&step)?;
        let told: Option<Told> = fs::read(&answer).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let last = told.as_ref().map_or(hooks[0], |told| &told.hook).to_owned();
        if let Err(failure) = result {
            let error = failure.error();
            let hint = if self.settings.no_isolation {
                let missing = isolated.missing(installed);
                hints::without_isolation(&failure.output, self.job.name.as_str(), &missing)
            } else {
                None
            };
            let hint = hint.or_else(|| hints::hint(&failure.output, self.job.name.as_str()));
            let error = match hint {
                Some(hint) => error.help(hint),
                None => error,
            };
            return Err(error.context(format!("{last} of {} failed", backend.object)));
        }
        match told.and_then(|told| told.answer) {
            Some(value) => Ok(Answer { hook: last, value }),
            None => {
                Err(Error::new(Kind::Build, format!("{last} of {} ended without an answer", backend.object)))
            }
        }
    }

    /// Normalises, checks and keeps a wheel.
    pub(super) fn finish(
        &mut self,
        wheel: &Path,
        key: Option<&str>,
        strict: Strict,
        origin: &BuildSite,
    ) -> Result<Built> {
        let file_name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name: WheelName = file_name.parse()?;
        let place = tempfile::Builder::new()
            .prefix("wheel-")
            .tempdir_in(self.context.scratch)
            .map_err(|e| Error::io("cannot create a directory in", self.context.scratch, e))?
            .keep();
        let out = place.join(&file_name);
        let Normalised { identity, scripts, warnings } =
            normalise(wheel, &out, self.context.epoch(), origin)?;
        for warning in warnings.0 {
            self.warnings.push(format!("{}: {warning}", self.job.name));
        }
        let record = BuildRecord {
            scripts: scripts.iter().map(ToString::to_string).collect(),
            requirements: self.requirements.clone(),
            from: self.job.source.stands_for(&self.job.name).to_string(),
        };
        if identity.name != name.name || identity.version != name.version {
            return Err(Error::new(
                Kind::Integrity,
                format!(
                    "the built wheel {file_name} says inside that it is {} {}",
                    identity.name, identity.version
                ),
            ));
        }
        self.check(&name, strict)?;
        let (file, record) = if let Some(key) = key {
            self.context.store.keep_wheel(key, &out, &record)?
        } else {
            let (sha256, size) = digest(&out)?;
            (VerifiedFile::vouch(out, sha256, size), record)
        };
        self.built(file, name, &record, false)
    }

    /// A wheel that an earlier build of the same inputs gave.
    pub(super) fn kept(&mut self, key: &str, strict: Strict) -> Result<Option<Built>> {
        let Some((file, record)) = self.context.store.wheel(key)? else { return Ok(None) };
        let name: WheelName = file.path().file_name().unwrap_or_default().to_string_lossy().parse()?;
        self.check(&name, strict)?;
        self.built(file, name, &record, true).map(Some)
    }

    #[allow(clippy::unused_self, reason = "it belongs to the other ways to end a session")]
    fn built(
        &self,
        wheel: VerifiedFile,
        file_name: WheelName,
        record: &BuildRecord,
        cached: bool,
    ) -> Result<Built> {
        Ok(Built {
            scripts: record.scripts.iter().map(|path| path.parse()).collect::<Result<_>>()?,
            requirements: record.requirements.clone(),
            wheel,
            name: file_name.name.clone(),
            version: file_name.version.clone(),
            file_name,
            direct_url: None,
            editable: None,
            checkout: None,
            commit: None,
            cached,
            log: None,
            warnings: Warnings::default(),
        })
    }

    /// Whether the wheel is the distribution the lock names, and one the target can use.
    fn check(&mut self, wheel: &WheelName, strict: Strict) -> Result<()> {
        let same_name = wheel.name == self.job.name || is_placeholder(self.job.name.as_str());
        let same_version = self.job.pin.accepts(&wheel.version, wheel.written_version());
        let fatal = !same_name && strict != Strict::Nothing || !same_version && strict == Strict::All;
        if !same_name || !same_version {
            let expected = [self.job.name.as_str(), &self.job.pin.bare()].join(" ");
            let expected = expected.trim_end();
            let message = format!("got {} {}, the lock says {expected}", wheel.name, wheel.version);
            if fatal {
                return Err(Error::new(Kind::Integrity, message)
                    .help("the source does not give what the lock names: do not use it, or lock again"));
            }
            self.warnings.push(message);
        }
        let target = self.context.target;
        if target.tags.best(wheel).is_none() {
            let why = target.tags.explain(wheel).map_or_else(String::new, |mismatch| format!(": {mismatch}"));
            return Err(Error::new(
                Kind::Selection,
                format!("{} does not fit {}{why}", wheel.file_name, target.describe_shortly()),
            )
            .help("build it on the platform and with the interpreter it is for"));
        }
        Ok(())
    }

    /// What a built wheel is kept under: everything that decides its bytes, and no secret.
    pub(super) fn key(&self, source: &str) -> String {
        let target = self.context.target;
        let platform = target.tags.iter().next().map_or("any", |tag| tag.platform.as_str());
        let flags = Environment::for_pip(self.context.env, &self.runner.secrets).flags();
        let text = format!(
            "{FORMAT}\n{source}\n{} {:?} {} {platform}\n{}\n{}\n{flags}",
            target.cache_tag,
            target.version,
            target.free_threaded,
            self.context.epoch(),
            self.settings.key(),
        );
        let text = if self.settings.no_isolation {
            format!("{text}\n{}", self.context.installed.key())
        } else {
            text
        };
        Sha256::of(text.as_bytes()).to_string()
    }
}

/// What names the note of what builds of a project read beside it.
fn beside_note(tree: &Tree) -> String {
    Sha256::of(format!("beside {}", tree.project_directory().display()).as_bytes()).to_string()
}

/// What the last build of a project read beside it.
pub(super) fn used_beside(tree: &Tree, store: &dyn BuildStore) -> Result<Vec<PathBuf>> {
    // A damaged note is the same as none: the next build writes it anew.
    let note = store.note(&beside_note(tree))?;
    Ok(note.and_then(|note| serde_json::from_str(&note).ok()).unwrap_or_default())
}

/// The digest of a project's tree (`tree_digest`) and of what its build reads beside it.
pub(super) fn local_digest(
    tree: &Tree,
    tree_digest: Sha256,
    used: &[PathBuf],
    user: &Environment,
) -> Result<Sha256> {
    if used.is_empty() {
        return Ok(tree_digest);
    }
    let beside = beside::digest(tree.root(), used, user)?;
    Ok(Sha256::of(format!("{tree_digest} {beside}").as_bytes()))
}

/// Brings a checkout and the project in it to where it is built; gives where they are then.
pub(super) fn into_place(top: &Path, project: &Path, place: &BuildDirectory) -> Result<(PathBuf, PathBuf)> {
    let source = place.path().join("source");
    move_all(top, &source)?;
    let inside = project.strip_prefix(top).unwrap_or(Path::new(""));
    // An empty component would leave a slash at the end.
    let project = inside.iter().fold(source.clone(), |path, part| path.join(part));
    Ok((source, project))
}

/// Moves a directory to where nothing is yet, also to another file system.
pub(super) fn move_all(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {
            fs::create_dir(to).map_err(|e| Error::io("cannot create", to, e))?;
            copy_all(from, to)
        }
        moved => moved.map_err(|e| Error::io("cannot move", from, e)),
    }
}

fn is_wheel(file_name: &str) -> bool {
    Path::new(file_name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("whl"))
}

/// A key that an older pipenv made up for a project without a name (seven hexadecimal digits).
fn is_placeholder(name: &str) -> bool {
    name.len() == 7 && name.bytes().all(|c| c.is_ascii_hexdigit())
}

/// Puts a repository's tree into `top`, from the store when it was there before, and gives its commit.
fn fetch(
    remote: &Remote,
    context: &Context,
    known: Option<&str>,
    url: &str,
    inside: &str,
    top: &Path,
    warnings: &mut Warnings,
) -> Result<String> {
    let key = |commit: &str| Sha256::of(format!("tree {url} {commit}").as_bytes()).to_string();
    if let Some(commit) = known
        && let Some(kept) = context.store.tree(&key(commit))?
    {
        fs::create_dir(top).map_err(|e| Error::io("cannot create", top, e))?;
        copy_all(&kept, top)?;
        return Ok(commit.to_owned());
    }
    let mut commit = remote.check_out(known, top, false, warnings)?;
    if needs_history(&top.join(inside)) && top.join(".git").is_dir() {
        // Only now is it known that the version is made from the commits and tags.
        fs::remove_dir_all(top).map_err(|e| Error::io("cannot remove", top, e))?;
        commit = remote.check_out(Some(&commit), top, true, warnings)?;
    }
    context.store.keep_tree(&key(&commit), top)?;
    Ok(commit)
}

/// The project's directory in a checkout; a link may not lead out of it.
fn subdirectory(top: &Path, vcs: &Vcs) -> Result<PathBuf> {
    let Some(inside) = &vcs.subdirectory else { return Ok(top.to_path_buf()) };
    let project = top.join(inside.as_path());
    let resolved = project.canonicalize().ok().filter(|path| path.is_dir());
    match resolved {
        Some(resolved) if resolved.starts_with(top) => Ok(resolved),
        _ => Err(Error::new(Kind::Build, format!("{} has no directory {inside} at this commit", vcs.url))
            .help("check `subdirectory` in the lock")),
    }
}
