//! One build from beginning to end.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    BuildSource, Built, Context, Job, Limits,
    backend::Backend,
    direct_url, environment,
    outcome::Strict,
    place::BuildDirectory,
    process::Runner,
    settings::Settings,
    store::{BuildRecord, digest},
    traces::BuildSite,
    unpack,
};
use crate::{
    packages::cache::VerifiedFile,
    project::lock::Hashes,
    words::{
        error::{Error, Kind, Result, Warnings},
        vocab::{Credentials, Secret, Sha256, SourceUrl, WheelName},
    },
};

/// One source's build, from its bytes to a wheel.
pub(super) struct BuildSession<'a> {
    pub(super) job: &'a Job,
    pub(super) context: &'a Context<'a>,
    pub(super) runner: Runner<'a>,
    pub(super) settings: Settings,
    pub(super) work: PathBuf,
    pub(super) warnings: Warnings,
    /// What the build's environment holds, as `name==version`.
    pub(super) requirements: Vec<String>,
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
    match fs::remove_file(&log) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("cannot remove", &log, e));
        }
        _ => {}
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
        secrets.extend(password.quoted());
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
    pub(super) fn without_secrets(&self, record: &[u8]) -> Vec<u8> {
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

    pub(super) fn build_and_keep(
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
}

fn is_wheel(file_name: &str) -> bool {
    Path::new(file_name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("whl"))
}
