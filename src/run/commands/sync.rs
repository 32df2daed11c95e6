//! `sync`: from a lock to an environment on disk.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use crate::{
    artifact::write::{self, Ahead, Report, WriteOptions, remove},
    environment::{
        bytecode::Compiler,
        layout::{DistInput, GivenFile, PlanKey},
        manifest::is_current,
    },
    packages::{
        cache::Trust,
        sdist::{DirStore, directory_digest},
    },
    project::{
        lock::{Entry, EntryOrigin},
        python::Target,
    },
    run::{
        assemble::{
            Frame, copies,
            key::{self, Keys},
            prepare::{refuse_described, runtime_target},
            slim::{self, Saved},
        },
        commands::{
            bring,
            change::{self, Changes},
            site::Ground,
        },
        inputs::Inputs,
        options::{Local, LockOptions, MakeOptions, Options, OutputOptions, PlaceOptions},
        supply::{
            builder::{Builder, own_program, variables},
            obtain::{Came, Obtained, local_path, place_checkout},
            seed::seeds,
            session::Session,
            sources::Sources,
            work::obtain_all,
        },
    },
    words::{
        error::{Context as _, Error, Kind, Result},
        files::open_regular,
        interrupt,
        progress::Progress,
        vocab::{PackageName, Sha256},
    },
};

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The environment was what the lock says already.
    Current {
        /// How many packages it holds.
        packages: usize,
    },
    /// The environment was made anew.
    Written(Summary),
    /// The environment was changed, see [`Changes`].
    Changed(Changes, Summary),
}

/// Figures of a run that made an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
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

impl Summary {
    /// Counts where a package's wheel came from.
    pub(super) fn count(&mut self, came: Came) {
        match came {
            Came::Cached => self.cached += 1,
            Came::Downloaded(bytes) => {
                self.downloaded += 1;
                self.downloaded_bytes += bytes;
            }
            Came::Built => self.built += 1,
        }
    }
}

/// Makes the environment what the lock says; gives where that is with what was done. With `--system` or an active
/// virtual environment that is another place.
pub(crate) fn sync(
    options: &Options,
    output: &OutputOptions,
    progress: &dyn Progress,
) -> Result<(PathBuf, Outcome)> {
    match Ground::find(options, output, progress)? {
        Some(ground) => Ok((ground.site.root.clone(), ground.sync(progress)?)),
        None => Ok((output.place.venv.clone(), make(options, output, progress)?)),
    }
}

/// Makes or changes an environment of venvoy's own.
fn make(options: &Options, output: &OutputOptions, progress: &dyn Progress) -> Result<Outcome> {
    let inputs = Inputs::read(&options.common, &options.lock, progress)?;
    let target = inputs.target(&options.common, &options.target, options.lock.deploy, progress)?;
    let outcome = make_for(options, output, &inputs, &target, progress)?;
    if let Some(root) = &output.place.tree {
        bring::interpreter(options, output, &target, root, progress)?;
    }
    Ok(outcome)
}

fn make_for(
    options: &Options,
    output: &OutputOptions,
    inputs: &Inputs,
    target: &Target,
    progress: &dyn Progress,
) -> Result<Outcome> {
    // What is there besides local projects is looked at as well, so that it can be left alone.
    let only_local = options.lock.local == Local::Only;
    let all = LockOptions { local: Local::With, ..options.lock.clone() };
    let selection = inputs.select(if only_local { &all } else { &options.lock }, target)?;
    selection.warnings.0.iter().for_each(|warning| progress.warn(warning));
    for skipped in &selection.skipped {
        progress.detail(&format!("{}: skipped, {}", skipped.entry.written, skipped.why));
    }
    let entries = selection.entries;
    let sources = Sources::new(&inputs.lock, inputs.pipfile.as_ref(), &options.index)?;
    let runtime = runtime_target(target, &options.target)?;
    let builder = Builder::new(options, output);
    // What an earlier run began.
    write::recover(&output.place.venv).context(|| format!("cannot make {}", output.place.venv.display()))?;

    let OutputOptions { make, place } = output;
    let Named { copied, common, keys } = name(options, make, target, &runtime, &entries)?;
    let checkouts_there = builder.has_all_checkouts(&entries);
    if let Some(key) = keys.whole
        && checkouts_there
        && !place.fresh
        && is_current(&place.venv, &PlanKey(key))
    {
        write::tidy(&place.venv);
        return Ok(Outcome::Current { packages: entries.len() });
    }

    if only_local {
        change::check_base(&place.venv, common, &entries)?;
    }
    sources.check(&entries)?;
    let session = Session::open(options, target, &sources, &entries, trust(output), progress)?;
    let frame = Frame { runtime: &runtime, make, copied: &copied, common };
    // What `--slim` drops need not be unpacked, and what it strips is not taken as it is.
    let ahead =
        make.slim.kinds.is_empty().then(|| Ahead::new(&session.cache, place.link, make.mtime, &place.venv));
    let ahead = ahead.flatten();
    if !place.fresh && checkouts_there {
        let run = Run { session: &session, frame: &frame, place, ahead: None, force: false };
        match change::apply(&run, &builder, &entries, &keys, ahead.as_ref()) {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            // Perhaps bits that went bad in the cache: whoever makes all of it finds and forgets them.
            Err(error) if error.kind() == Kind::Integrity => {}
            Err(error) => return Err(error),
        }
    }
    let mut tries = 0;
    loop {
        progress.stage("Fetching", 0);
        let all: Vec<usize> = (0..entries.len()).collect();
        let mut obtained = obtain_all(&session, &builder, &entries, &all, ahead.as_ref(), place.threads)?;
        // A first build tells what it read beside its project, which counts from then on.
        let keys =
            Keys::new(common, &entries, make.seed, &options.build, &|entry| local_digest(entry, options))?;
        for (one, key) in obtained.iter_mut().zip(&keys.entries) {
            one.input.key = key.unwrap_or_else(|| key::of_wheel(&one.input));
        }
        let run = Run {
            session: &session,
            frame: &frame,
            place,
            ahead: ahead.as_ref().and_then(Ahead::beside),
            force: place.fresh || !checkouts_there,
        };
        match run.write(obtained) {
            // Bits that went bad in the cache: once they are gone from there, the same run can still succeed.
            Err((error, inputs)) if error.kind() == Kind::Integrity && tries == 0 => {
                tries += 1;
                if !session.forget_damaged(&inputs)? {
                    return Err(error);
                }
            }
            Err((error, _)) => return Err(error),
            Ok(outcome) => return Ok(outcome),
        }
    }
}

/// Whoever repairs or is strict does not take the cache's word for what links lead to.
pub(super) fn trust(output: &OutputOptions) -> Trust {
    match (output.place.repair, output.make.strict) {
        (true, _) => Trust::Nothing,
        (false, true) => Trust::Unlinked,
        (false, false) => Trust::Recorded,
    }
}

/// The last part of a run: wheels are there, the environment is not.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) frame: &'a Frame<'a>,
    pub(super) place: &'a PlaceOptions,
    /// What was unpacked beside the environment.
    pub(super) ahead: Option<&'a Path>,
    /// Whether to write although the environment is current.
    pub(super) force: bool,
}

impl Run<'_> {
    /// Lays out and writes; an error comes with what was laid out.
    fn write(&self, obtained: Vec<Obtained>) -> Result<Outcome, (Error, Vec<DistInput>)> {
        let mut summary = Summary::default();
        let mut inputs = Vec::with_capacity(obtained.len());
        let mut checkouts = Vec::new();
        for one in obtained {
            summary.count(one.came);
            inputs.push(one.input);
            checkouts.extend(one.checkout);
        }
        match self.try_write(&mut inputs, &checkouts) {
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
    ) -> Result<(Report, Vec<Saved>)> {
        let Session { progress, cache, target, .. } = self.session;
        if self.frame.make.seed {
            // As a virtual environment has them before anything is installed into it.
            let locked: Vec<&PackageName> = inputs.iter().map(|input| &input.wheel.name.name).collect();
            let first = seeds(self.session, &locked, key::of_wheel)?;
            inputs.splice(0..0, first);
        }
        let plan = self.frame.plan(inputs.clone(), *progress)?;
        let bytes: u64 = inputs.iter().flat_map(|input| &input.wheel.entries).map(|entry| entry.size).sum();
        progress.stage("Writing", bytes);
        let compiler = self.frame.compiler(target, cache)?;
        let report = self
            .with_options(compiler.as_ref(), |options| write::write(&plan, &self.place.venv, options))
            .context(|| format!("cannot make {}", self.place.venv.display()))?;
        self.tell(&report);
        if report.current {
            return Ok((report, Vec::new()));
        }
        plan.dists.iter().for_each(|dist| dist.wheel.settle(cache));
        for (from, to) in checkouts {
            place_checkout(from, to)?;
        }
        let saved = slim::saved(&self.frame.make.slim, &plan, &report.stripped, *progress);
        Ok((report, saved))
    }

    /// Calls with what the writer is to know.
    pub(super) fn with_options<T>(
        &self,
        compiler: Option<&Compiler<'_>>,
        call: impl FnOnce(&WriteOptions<'_>) -> T,
    ) -> T {
        let Session { progress, cache, .. } = self.session;
        let store = cache.unpacked(self.frame.make.mtime).ok();
        let in_ci = self.session.request.common.env.flag("CI");
        let remover = own_program().filter(|_| remove::may_outlive(in_ci));
        call(&WriteOptions {
            remover: remover.as_deref(),
            link: self.place.link,
            strict: self.frame.make.strict,
            threads: NonZeroUsize::new(self.place.threads),
            store: store.as_ref().filter(|_| !cache.is_read_only()),
            ahead: self.ahead,
            force: self.force,
            interrupted: Some(interrupt::flag()),
            progress: Some(&|bytes| progress.advance(bytes)),
            compiler,
            compiling: Some(&|bytes| progress.stage("Compiling", bytes)),
        })
    }

    /// Tells whoever watches what the writer noticed.
    pub(super) fn tell(&self, report: &Report) {
        self.session.tell();
        report.warnings.0.iter().for_each(|warning| self.session.progress.warn(warning));
        report.uncompiled.iter().for_each(|module| self.session.progress.detail(module));
    }
}

/// What names the environment of a run.
pub(super) struct Named {
    /// The interpreter's files, where they are copied.
    pub(super) copied: Vec<GivenFile>,
    /// The key of what all files depend on.
    pub(super) common: Sha256,
    /// Those of the entries.
    pub(super) keys: Keys,
}

/// Computes the keys of what these entries give.
pub(super) fn name(
    options: &Options,
    make: &MakeOptions,
    target: &Target,
    runtime: &Target,
    entries: &[Entry],
) -> Result<Named> {
    if options.target.described.is_some() {
        refuse_described(make)?;
    }
    let copied = if make.copies { copies::interpreter(target)? } else { Vec::new() };
    let common = key::common(runtime, make, &options.build, &copied);
    let keys = Keys::new(common, entries, make.seed, &options.build, &|entry| local_digest(entry, options))?;
    Ok(Named { copied, common, keys })
}

/// What a local entry's files are now.
pub(super) fn local_digest(entry: &Entry, options: &Options) -> Result<Option<Sha256>> {
    let EntryOrigin::Path(path) = &entry.origin else { return Ok(None) };
    let path = local_path(options, path);
    if path.is_dir() {
        let store = DirStore::new(&options.common.cache_dir);
        let editable = entry.editable && !options.build.no_editable;
        return directory_digest(&path, editable, &variables(options), &store).map(Some);
    }
    // What is missing is an error later, where it can be told together with others.
    let digest = open_regular(&path).and_then(|file| Sha256::of_file(&file));
    Ok(digest.ok().map(|(digest, _)| digest))
}
