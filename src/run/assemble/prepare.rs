//! From wheels and options to a plan. All code before this serves every kind of artifact; all code after it makes one kind.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use crate::{
    environment::{
        bytecode::Compiler,
        layout::{self, DistInput, EnvFiles, GivenFile, Plan, PlanKey, PlanLink},
        script::{EnvFile, EnvLink, LauncherStyle, Place, environment},
    },
    packages::cache::Cache,
    project::python::Target,
    run::{
        assemble::{key, slim},
        options::{MakeOptions, TargetOptions},
    },
    words::{
        error::{Error, Kind, Result},
        progress::Progress,
        vocab::{RelPath, Sha256},
    },
};

/// What every plan of a run has in common.
pub(crate) struct Frame<'a> {
    /// The target, its interpreter where it will be at run time ([`runtime_target`]).
    pub runtime: &'a Target,
    /// What is made.
    pub make: &'a MakeOptions,
    /// The interpreter's files, where they are copied.
    pub copied: &'a [GivenFile],
    /// The key of what all files depend on ([`key::common`]).
    pub common: Sha256,
}

impl Frame<'_> {
    /// The plan of a whole environment. The order of `inputs` is that in which they are installed.
    pub(crate) fn plan(&self, mut inputs: Vec<DistInput>, progress: &dyn Progress) -> Result<Plan> {
        self.cut(&mut inputs, progress)?;
        let (place, launchers) = style(self.make)?;
        let files = environment_files(self.runtime, &place, self.copied)?;
        self.lay_out(&inputs, files, &launchers, progress)
    }

    /// Decides what `--slim` leaves out of each distribution of an environment; these are all of them.
    pub(crate) fn cut(&self, inputs: &mut [DistInput], progress: &dyn Progress) -> Result<()> {
        slim::cut(inputs, self.runtime, &self.make.slim, progress)
    }

    /// What the RECORD of each distribution of an environment lists; these are all of them.
    pub(crate) fn listed(&self, inputs: &[DistInput]) -> Result<Vec<HashSet<RelPath>>> {
        let launchers = style(self.make)?.1;
        let (plan, _) = layout::plan(inputs, self.runtime, EnvFiles::default(), &launchers)?;
        let plan = if self.make.compile.is_some() { plan.with_bytecode(self.runtime) } else { plan };
        let paths = |files: Vec<usize>| files.into_iter().map(|at| plan.files[at].path.clone()).collect();
        Ok(plan.listed().into_iter().map(paths).collect())
    }

    /// The plan of some distributions alone, without the environment's own files. What `--slim` leaves out of them has
    /// been decided.
    pub(crate) fn plan_part(&self, inputs: &[DistInput], progress: &dyn Progress) -> Result<Plan> {
        let (_, launchers) = style(self.make)?;
        self.lay_out(inputs, EnvFiles::default(), &launchers, progress)
    }

    fn lay_out(
        &self,
        inputs: &[DistInput],
        files: EnvFiles,
        launchers: &LauncherStyle,
        progress: &dyn Progress,
    ) -> Result<Plan> {
        let key = key::whole(self.common, inputs.iter().map(|input| input.key));
        let (mut plan, warnings) = layout::plan(inputs, self.runtime, files, launchers)?;
        warnings.0.iter().for_each(|warning| progress.warn(warning));
        plan.key = PlanKey(key);
        plan.common = self.common;
        plan.mtime = self.make.mtime;
        plan.slim = self.make.slim.to_string();
        plan.made = self.make.words();
        plan.described.clone_from(&self.runtime.described);
        Ok(if self.make.compile.is_some() { plan.with_bytecode(self.runtime) } else { plan })
    }

    /// What compiles, where that is wanted: `target`'s interpreter, which is here, for the place where the
    /// environment will be.
    pub(crate) fn compiler<'c>(&self, target: &Target, cache: &'c Cache) -> Result<Option<Compiler<'c>>> {
        let Some(invalidation) = self.make.compile else { return Ok(None) };
        let at = match style(self.make)?.1 {
            LauncherStyle::Absolute(at) => Some(at),
            // What is installed for an interpreter stays where it is.
            LauncherStyle::Interpreter(_) => {
                self.make.at.as_deref().and_then(Path::to_str).map(str::to_owned)
            }
            LauncherStyle::Relative => None,
        };
        Compiler::new(target, invalidation, at.as_deref(), self.make.mtime, Some(cache)).map(Some)
    }
}

/// What only an interpreter that is here can do.
pub(crate) fn refuse_described(make: &MakeOptions) -> Result<()> {
    let (what, does) = match (make.compile, make.copies) {
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

/// The target with its interpreter where it will be at run time (`--python-home`, `--python-exe`).
pub(crate) fn runtime_target(target: &Target, options: &TargetOptions) -> Result<Target> {
    let mut runtime = target.clone();
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

/// How scripts and activators find the environment.
fn style(make: &MakeOptions) -> Result<(Place, LauncherStyle)> {
    let Some(at) = &make.at else { return Ok((Place::Relative, LauncherStyle::Relative)) };
    let text = at.to_str().ok_or_else(|| {
        Error::new(Kind::Usage, format!("--at {} is not UTF-8: no script could name it", at.display()))
    })?;
    let launchers = match make.python.as_deref().map(Path::to_str) {
        Some(Some(python)) => LauncherStyle::Interpreter(python.to_owned()),
        Some(None) => {
            return Err(Error::new(
                Kind::Usage,
                "the interpreter's path is not UTF-8: no script could name it",
            ));
        }
        None => LauncherStyle::Absolute(text.to_owned()),
    };
    Ok((Place::At(at.clone()), launchers))
}

fn environment_files(target: &Target, place: &Place, copied: &[GivenFile]) -> Result<EnvFiles> {
    let own = environment(target, place, None)?;
    let file =
        |file: EnvFile| GivenFile { path: file.path, bytes: file.bytes.into(), executable: file.executable };
    let link = |link: EnvLink| PlanLink { path: link.path, target: link.target };
    let is_copied = |link: &PlanLink| copied.iter().any(|file| file.path == link.path);
    Ok(EnvFiles {
        files: own.files.into_iter().map(file).chain(copied.iter().cloned()).collect(),
        links: own.links.into_iter().map(link).filter(|link| !is_copied(link)).collect(),
    })
}
