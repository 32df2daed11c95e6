//! `sync`: from a lock to an environment on disk.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use crate::{
    artifact::write::{self, Ahead, Report, WriteOptions},
    environment::{
        bytecode::Compiler,
        layout::{self, DistInput, EnvFiles, GivenFile, PlanLink},
        manifest::{PlanKey, is_current},
        script::{LauncherStyle, Place, environment},
    },
    packages::sdist::directory_digest,
    project::{
        lock::{Entry, Origin},
        python::Target,
    },
    run::options::OutputOptions,
    words::{
        error::{Context as _, Error, Kind, Result},
        interrupt,
        vocab::Sha256,
    },
};
use crate::{
    run::{
        assemble::{
            copies, key,
            slim::{self, Saved},
        },
        inputs::Inputs,
        options::Options,
        supply::{
            builder::{Builder, variables},
            obtain::{Came, Obtained, forget_if_damaged, local_path, place_checkout},
            seed::seeds,
            session::Session,
            sources::Sources,
            work::obtain_all,
        },
    },
    words::progress::Progress,
};

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The environment was what the lock says already.
    Current {
        /// How many packages it holds.
        packages: usize,
    },
    /// The environment was made.
    Written(Summary),
}

/// Figures of a run that made an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Distributions in it.
    pub packages: usize,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packages whose wheels were in the cache.
    pub cached: usize,
    /// Packages whose wheels were downloaded.
    pub downloaded: usize,
    /// Bytes downloaded.
    pub downloaded_bytes: u64,
    /// Packages built from source.
    pub built: usize,
    /// What `--slim` saved, by kind; empty without it.
    pub slim: Vec<Saved>,
    /// Shared objects that were not stripped as they are unusual.
    pub unstripped: usize,
}

/// Makes the environment what the lock says.
pub fn sync(request: &Options, output: &OutputOptions, progress: &dyn Progress) -> Result<Outcome> {
    let inputs = Inputs::read(&request.common, &request.lock, progress)?;
    let target = inputs.target(&request.common, &request.target, request.lock.deploy, progress)?;
    let selection = inputs.select(&request.lock, &target)?;
    selection.warnings.0.iter().for_each(|warning| progress.warn(warning));
    for skipped in &selection.skipped {
        progress.detail(&format!("{}: skipped, {}", skipped.entry.written, skipped.why));
    }
    let entries = selection.entries;
    let sources = Sources::new(&inputs.lock, inputs.pipfile.as_ref(), &request.index)?;
    let runtime = runtime_target(&target, request)?;
    let builder = Builder::new(request, output);

    if request.target.described.is_some() {
        refuse_described(output)?;
    }
    let copied = if output.copies { copies::interpreter(&target)? } else { Vec::new() };
    let local = |entry: &Entry| local_digest(entry, request);
    let key = key::of(&entries, &runtime, request, output, &copied, &local)?;
    let checkouts_there = entries
        .iter()
        .filter(|entry| {
            matches!(entry.origin, Origin::Vcs(_)) && entry.editable && !request.build.no_editable
        })
        .all(|entry| builder.checkout_dir(entry.name.as_str()).is_dir());
    if let Some(key) = key
        && checkouts_there
        && !output.force
        && is_current(&output.venv, &PlanKey(key))
    {
        write::tidy(&output.venv);
        return Ok(Outcome::Current { packages: entries.len() });
    }

    sources.check(&entries)?;
    let session = Session::open(request, &target, &sources, &entries, progress)?;
    // What `--slim` drops need not be unpacked, and what it strips is not taken as it is.
    let ahead = output
        .slim
        .kinds
        .is_empty()
        .then(|| Ahead::new(&session.cache, output.link, output.mtime, &output.venv));
    let ahead = ahead.flatten();
    let mut tries = 0;
    loop {
        progress.stage("Fetching", 0);
        let obtained = obtain_all(&session, &builder, &entries, ahead.as_ref(), output.threads)?;
        let ahead = ahead.as_ref().and_then(Ahead::beside);
        let run = Run { session: &session, output, runtime: &runtime, copied: &copied, key, ahead };
        match run.write(obtained, output.force || !checkouts_there) {
            // Bits that went bad in the cache: once they are gone from there, the same run can still succeed.
            Err((error, inputs)) if error.kind() == Kind::Integrity && tries == 0 => {
                tries += 1;
                let mut forgotten = false;
                for input in &inputs {
                    forgotten |= forget_if_damaged(&session, &input.wheel.file)?;
                }
                if !forgotten {
                    return Err(error);
                }
            }
            Err((error, _)) => return Err(error),
            Ok(outcome) => return Ok(outcome),
        }
    }
}

/// The last part of a run: wheels are there, the environment is not.
struct Run<'a> {
    session: &'a Session<'a>,
    output: &'a OutputOptions,
    runtime: &'a Target,
    /// The interpreter's files, where they are copied.
    copied: &'a [GivenFile],
    key: Option<Sha256>,
    /// What was unpacked beside the environment.
    ahead: Option<&'a Path>,
}

impl Run<'_> {
    /// Lays out and writes; an error comes with what was laid out.
    fn write(&self, obtained: Vec<Obtained>, force: bool) -> Result<Outcome, (Error, Vec<DistInput>)> {
        let mut summary = Summary::default();
        let mut inputs = Vec::with_capacity(obtained.len());
        let mut checkouts = Vec::new();
        for one in obtained {
            match one.came {
                Came::Cached => summary.cached += 1,
                Came::Downloaded(bytes) => {
                    summary.downloaded += 1;
                    summary.downloaded_bytes += bytes;
                }
                Came::Built => summary.built += 1,
            }
            inputs.push(one.input);
            checkouts.extend(one.checkout);
        }
        match self.try_write(&mut inputs, &checkouts, force) {
            Ok((report, _)) if report.current => Ok(Outcome::Current { packages: inputs.len() }),
            Ok((report, slim)) => {
                summary.slim = slim;
                summary.unstripped = report.stripped.iter().filter(|one| one.outcome.is_err()).count();
                summary.packages = inputs.len();
                summary.files = report.files;
                summary.bytes = report.bytes;
                Ok(Outcome::Written(summary))
            }
            Err(error) => Err((error, inputs)),
        }
    }

    fn try_write(
        &self,
        inputs: &mut Vec<DistInput>,
        checkouts: &[(PathBuf, PathBuf)],
        force: bool,
    ) -> Result<(Report, Vec<Saved>)> {
        if self.output.seed {
            inputs.extend(seeds(self.session, inputs)?);
        }
        let progress = self.session.progress;
        slim::cut(inputs, self.runtime, &self.output.slim, progress)?;
        let (place, launchers) = style(self.output)?;
        let files = environment_files(self.runtime, &place, self.copied)?;
        let (mut plan, warnings) = layout::plan(inputs.clone(), self.runtime, files, &launchers)?;
        warnings.0.iter().for_each(|warning| progress.warn(warning));
        let key = self
            .key
            .unwrap_or_else(|| key::of_wheels(inputs, &launchers, self.runtime, self.output, self.copied));
        let bytes: u64 = inputs.iter().flat_map(|input| &input.wheel.entries).map(|entry| entry.size).sum();
        progress.stage("Writing", bytes);
        let store = self.session.cache.unpacked_dir();
        let compiler = self.compiler(&launchers)?;
        if compiler.is_some() {
            plan = plan.with_bytecode(self.runtime);
        }
        let slim_words = self.output.slim.to_string();
        let options = WriteOptions {
            slim: &slim_words,
            link: self.output.link,
            strict: self.output.strict,
            threads: NonZeroUsize::new(self.output.threads),
            store: (!self.session.cache.is_read_only()).then_some(store.as_path()),
            ahead: self.ahead,
            force,
            interrupted: Some(interrupt::flag()),
            progress: Some(&|bytes| progress.advance(bytes)),
            compiler: compiler.as_ref(),
            compiling: Some(&|bytes| progress.stage("Compiling", bytes)),
            ..WriteOptions::new(PlanKey(key), self.output.mtime)
        };
        let report = write::write(&plan, &self.output.venv, &options)
            .context(|| format!("cannot make {}", self.output.venv.display()))?;
        report.warnings.0.iter().for_each(|warning| progress.warn(warning));
        report.uncompiled.iter().for_each(|module| progress.detail(module));
        if report.current {
            return Ok((report, Vec::new()));
        }
        for (from, to) in checkouts {
            place_checkout(from, to)?;
        }
        let saved = slim::saved(&self.output.slim, &plan, &report.stripped, progress);
        Ok((report, saved))
    }

    /// What compiles, where that is wanted: the interpreter that is here, for the place where the
    /// environment will be.
    fn compiler(&self, launchers: &LauncherStyle) -> Result<Option<Compiler<'_>>> {
        let Some(invalidation) = self.output.compile else { return Ok(None) };
        let at = match launchers {
            LauncherStyle::Absolute(at) => Some(at.as_str()),
            LauncherStyle::Relative => None,
        };
        let Session { target, cache, .. } = self.session;
        Compiler::new(target, invalidation, at, self.output.mtime, Some(cache)).map(Some)
    }
}

/// What only an interpreter that is here can do.
fn refuse_described(output: &OutputOptions) -> Result<()> {
    let (what, does) = match (output.compile, output.copies) {
        (Some(_), _) => ("--compile", "compiles"),
        (None, true) => ("--copies (or PIPENV_VIRTUALENV_COPIES)", "is copied"),
        (None, false) => return Ok(()),
    };
    Err(Error::new(
        Kind::Usage,
        format!("{what} and --python-version exclude each other: the target's own interpreter {does}, and it is not here"),
    )
    .help("run venvoy on that platform with that interpreter (--python), or leave one of them out"))
}

/// How scripts and activators find the environment.
fn style(output: &OutputOptions) -> Result<(Place, LauncherStyle)> {
    let Some(at) = &output.at else { return Ok((Place::Relative, LauncherStyle::Relative)) };
    let text = at.to_str().ok_or_else(|| {
        Error::new(Kind::Usage, format!("--at {} is not UTF-8: no script could name it", at.display()))
    })?;
    Ok((Place::At(at.clone()), LauncherStyle::Absolute(text.to_owned())))
}

fn environment_files(target: &Target, place: &Place, copied: &[GivenFile]) -> Result<EnvFiles> {
    let own = environment(target, place, None)?;
    let file = |file: crate::environment::script::EnvFile| GivenFile {
        path: file.path,
        bytes: file.bytes.into(),
        executable: file.executable,
    };
    let link = |link: crate::environment::script::EnvLink| PlanLink { path: link.path, target: link.target };
    let is_copied = |link: &PlanLink| copied.iter().any(|file| file.path == link.path);
    Ok(EnvFiles {
        files: own.files.into_iter().map(file).chain(copied.iter().cloned()).collect(),
        links: own.links.into_iter().map(link).filter(|link| !is_copied(link)).collect(),
    })
}

/// The target with its interpreter where it will be at run time (`--python-home`, `--python-exe`).
fn runtime_target(target: &Target, request: &Options) -> Result<Target> {
    let mut runtime = target.clone();
    let options = &request.target;
    if let Some(home) = &options.home {
        let name = target.executable.file_name().unwrap_or_default();
        runtime.executable = home.join(name);
        runtime.home.clone_from(home);
    }
    if let Some(executable) = &options.executable {
        runtime.executable.clone_from(executable);
        if options.home.is_none() {
            runtime.home = executable.parent().map_or_else(|| runtime.home.clone(), PathBuf::from);
        }
    }
    if !runtime.executable.is_absolute() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "the interpreter's place at run time is {}, which is not absolute",
                runtime.executable.display()
            ),
        )
        .help("expected something like --python-home /usr/local/bin"));
    }
    Ok(runtime)
}

/// What a local entry's files are now.
fn local_digest(entry: &Entry, request: &Options) -> Result<Option<Sha256>> {
    let Origin::Path(path) = &entry.origin else { return Ok(None) };
    let path = local_path(request, path);
    if path.is_dir() {
        return directory_digest(&path, &variables(request)).map(Some);
    }
    // What is missing is an error later, where it can be told together with others.
    Ok(crate::packages::cache::digest_of(&path).ok())
}
