//! The part of `sync` that installs for an interpreter which is there: `--system`, and an active virtual environment.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    change::{self, LaidOut, named, whole},
    check::{Checked, Difference},
    sync::{Named, Outcome, Run, name, trust},
};
use crate::{
    artifact::write::{self, Changing, Ours},
    environment::{layout::PlanKey, manifest},
    project::{
        lock::{Entry, EntryOrigin},
        python::{Site, Target},
    },
    run::{
        assemble::{Frame, key::Keys},
        inputs::Inputs,
        options::{InstallPlace, Local, LockOptions, MakeOptions, Options, OutputOptions},
        supply::{builder::Builder, session::Session, sources::Sources},
    },
    words::{
        error::{Context as _, Error, Kind, Result},
        progress::Progress,
        vocab::Version,
    },
};

/// The interpreter to install for, and what a run for it is asked to do.
pub(super) struct Ground {
    pub(super) site: Site,
    pub(super) options: Options,
    pub(super) output: OutputOptions,
}

impl Ground {
    /// Finds the interpreter; `None` where an environment of venvoy's own is made.
    ///
    /// # Errors
    /// [`Kind::Usage`] for options that make no sense there, [`Kind::Target`] where there is no interpreter,
    /// [`Kind::Destination`] where somebody else manages it (PEP 668).
    pub(super) fn find(
        options: &Options,
        output: &OutputOptions,
        progress: &dyn Progress,
    ) -> Result<Option<Self>> {
        let python = match &output.place.into {
            InstallPlace::Environment => return Ok(None),
            InstallPlace::System => {
                refuse(options, &output.make)?;
                system_python(options, progress)?
            }
            InstallPlace::Active(venv) => {
                if options.target.described.is_some()
                    || !fits(&output.make)
                    || options.target.python.is_some()
                {
                    return Ok(None);
                }
                venv.join("bin/python")
            }
        };
        let env = &options.common.env;
        let user = env.flag("PIP_USER");
        let site = Site::of(&python, user, env.path("PYTHONUSERBASE").as_deref())?;
        check_managed(&site, output.place.break_system_packages)?;
        let mut options = options.clone();
        options.target.python = Some((site.python.display().to_string(), "--python"));
        let mut output = output.clone();
        output.make.at = Some(site.root.clone());
        output.make.python = Some(site.python.clone());
        output.place.venv.clone_from(&site.root);
        Ok(Some(Ground { site, options, output }))
    }

    /// Installs what the lock says.
    pub(super) fn sync(&self, progress: &dyn Progress) -> Result<Outcome> {
        let Ground { site, options, output } = self;
        let place = &output.place;
        write::recover_site(site).context(|| format!("cannot install into {}", site.root.display()))?;
        let inputs = Inputs::read(&options.common, &options.lock, progress)?;
        let target = inputs.target(&options.common, &options.target, options.lock.deploy, progress)?;
        let all = LockOptions { local: Local::With, ..options.lock.clone() };
        let only_local = options.lock.local == Local::Only;
        let selection = inputs.select(if only_local { &all } else { &options.lock }, &target)?;
        selection.warnings.0.iter().for_each(|warning| progress.warn(warning));
        for skipped in &selection.skipped {
            progress.detail(&format!("{}: skipped, {}", skipped.entry.written, skipped.why));
        }
        let entries = selection.entries;
        let placed = site.placed(&target);
        let builder = Builder::for_site(options, output, site, placed.clone());
        let Named { copied, common, keys } = name(options, &output.make, &target, &placed, &entries)?;
        let ours = Ours::read(site);
        let checkouts_there = builder.has_all_checkouts(&entries);
        if let Some(key) = keys.whole
            && checkouts_there
            && !place.fresh
            && ours.is_current(&PlanKey(key))
        {
            write::tidy_site(site);
            return Ok(Outcome::Current { packages: entries.len() });
        }
        let is_same = ours.common() == common.to_string();
        if only_local && !is_same {
            return Err(nothing_to_add_to(site, &ours));
        }
        let sources = Sources::new(&inputs.lock, inputs.pipfile.as_ref(), &options.index)?;
        sources.check(&entries)?;
        let session = Session::open(options, &target, &sources, &entries, trust(output), progress)?;
        let frame = Frame { runtime: &placed, make: &output.make, copied: &copied, common };
        let run = Run { session: &session, frame: &frame, place, ahead: None, force: place.fresh };
        let fresh = place.fresh || !is_same || !checkouts_there;
        self.apply(&run, &builder, &entries, &keys, fresh)
    }

    /// Compares what venvoy installed with its manifest, every file's digest included, and with the lock.
    pub(super) fn check(&self, progress: &dyn Progress) -> Result<Checked> {
        let Ground { site, options, .. } = self;
        write::recover_site(site)?;
        let files = manifest::verify_listed(&site.root, &site.packages_dir().join(manifest::MANIFEST))?;
        let inputs = Inputs::read(&options.common, &options.lock, progress)?;
        let target = inputs.target(&options.common, &options.target, options.lock.deploy, progress)?;
        let entries = inputs.select(&options.lock, &target)?.entries;
        let ours = Ours::read(site);
        let there: HashMap<String, String> =
            ours.dists().iter().map(|(_, dist_info)| named(dist_info)).collect();
        let mut lock = Vec::new();
        for entry in entries.iter().filter(|entry| entry.origin == EntryOrigin::Index) {
            let installed = there.get(entry.name.as_str());
            let fits = installed.and_then(|version| Some((version.parse::<Version>().ok()?, version)));
            if !fits.is_some_and(|(version, written)| entry.pin.accepts(&version, written)) {
                lock.push(Difference {
                    name: entry.name.to_string(),
                    installed: installed.cloned(),
                    locked: Some(entry.pin.to_string()),
                });
            }
        }
        Ok(Checked { files, lock })
    }

    fn apply(
        &self,
        run: &Run<'_>,
        builder: &Builder<'_>,
        entries: &[Entry],
        keys: &Keys,
        mut fresh: bool,
    ) -> Result<Outcome> {
        let session = run.session;
        let mut tries = 0;
        loop {
            let ours = Ours::read(&self.site);
            let there = if fresh { HashMap::new() } else { whole(ours.dists(), ours.damaged()) };
            let difference = change::Difference::find(run, builder, entries, keys, &there, None)?;
            if !difference.keeps_order() && !fresh {
                fresh = true;
                continue;
            }
            let LaidOut { plan, dists, kept, leaving } = difference.lay_out(run, ours.dists())?;
            if plan.dists.is_empty() && leaving.is_empty() && ours.is_current(&plan.key) {
                write::tidy_site(&self.site);
                return Ok(Outcome::Current { packages: entries.len() });
            }
            session.progress.stage("Writing", difference.bytes());
            let compiler = run.frame.compiler(session.target, &session.cache)?;
            let changing = Changing { plan: &plan, dists: &dists, leaving: &leaving };
            let installed = run.with_options(compiler.as_ref(), |options| {
                write::install(&self.site, &ours, &changing, options)
            });
            tries += 1;
            match installed.context(|| format!("cannot install into {}", self.site.root.display())) {
                Ok(Some(installed)) => {
                    let mut gone = difference.gone(ours.dists(), &leaving);
                    gone.extend(installed.replaced);
                    let report = &installed.report;
                    return difference.done(run, &plan, ours.dists(), gone, kept.len(), report);
                }
                // It is not what it was a moment ago, or what comes shares paths with what stays.
                Ok(None) if tries < 3 => fresh = true,
                Ok(None) => {
                    let place = self.site.packages_dir();
                    return Err(Error::new(
                        Kind::Destination,
                        format!("{} changes all the time", place.display()),
                    )
                    .help("find out what else installs there, and run the same command again"));
                }
                // Bits that went bad in the cache.
                Err(error) if error.kind() == Kind::Integrity && tries == 1 => {
                    if !session.forget_damaged(&difference.inputs())? {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether these options say what is made, which is not for an environment that others made.
fn fits(make: &MakeOptions) -> bool {
    make.at.is_none() && !make.copies && !make.seed && make.slim.kinds.is_empty()
}

fn refuse(options: &Options, make: &MakeOptions) -> Result<()> {
    let asked = [
        (options.target.described.is_some(), "--python-version"),
        (make.at.is_some(), "--at"),
        (make.copies, "--copies (or PIPENV_VIRTUALENV_COPIES)"),
        (make.seed, "--seed"),
        (!make.slim.kinds.is_empty(), "--slim"),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        None => Ok(()),
        Some((_, option)) => Err(Error::new(
            Kind::Usage,
            format!("--system (or PIPENV_SYSTEM) and {option} exclude each other: that is for environments of venvoy's own"),
        )
        .help("leave one of them out")),
    }
}

/// The interpreter that `--system` means: the one asked for, else the first on PATH, as with pipenv.
fn system_python(options: &Options, progress: &dyn Progress) -> Result<PathBuf> {
    if let Some((asked, _)) = &options.target.python {
        if !asked.contains('/') {
            let inputs = Inputs::read(&options.common, &options.lock, progress)?;
            let target: Target = inputs.target(&options.common, &options.target, false, progress)?;
            return Ok(target.executable);
        }
        let path = Path::new(asked);
        let inside = ["bin/python3", "bin/python"].map(|name| path.join(name));
        return Ok(inside.into_iter().find(|path| path.exists()).unwrap_or_else(|| path.to_owned()));
    }
    let path = options.common.env.get("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect();
    let candidates = ["python3", "python"].iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| {
        Error::new(Kind::Target, "--system: there is no python3 and no python on PATH")
            .help("install one, or name it with --python PATH")
    })
}

/// PEP 668: whoever manages the interpreter may forbid others to install into it.
fn check_managed(site: &Site, allowed: bool) -> Result<()> {
    let Some(says) = site.externally_managed.as_ref().filter(|_| !allowed) else { return Ok(()) };
    let lines: Vec<&str> = says.lines().map(str::trim).filter(|line| !line.is_empty()).take(4).collect();
    let says = if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" ")) };
    Err(Error::new(
        Kind::Destination,
        format!("{} is managed by the system (EXTERNALLY-MANAGED, PEP 668){says}", site.python.display()),
    )
    .help("leave --system out to make an environment, or pass --break-system-packages as to pip"))
}

fn nothing_to_add_to(site: &Site, ours: &Ours) -> Error {
    let place = site.packages_dir();
    let why = if ours.dists().is_empty() {
        format!("venvoy has installed nothing into {}", place.display())
    } else {
        format!("what is in {} was installed with other options", place.display())
    };
    Error::new(Kind::Destination, format!("--only-install-local: {why}"))
        .help("run the same command with --no-install-local first")
}
