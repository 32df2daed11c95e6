//! A private environment to build in: the target's interpreter, the build requirements, nothing else.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Context, IndexSource, Installed,
    backend::check_requirement,
    confine::{confines, writable},
    environment::Environment,
    login::{self, Logins},
    process::{Failure, Runner, Step},
    requirements::{LayOut, Requirement, resolve},
    settings::Settings,
};
use crate::words::{
    error::{Context as _, Error, Kind, Result, Warnings},
    vocab::{PackageName, Secret, WheelName},
};

/// Where the environment lies below a build's directory.
pub(super) const HOME: &str = "venv/env";

/// pip's option that keeps it from building anything.
const ONLY_WHEELS: &str = "--only-binary=:all:";

const PROBE: &str = include_str!("probe.py");

/// Where pip may be found, as the interpreter knows it.
#[derive(Deserialize)]
struct Pip {
    /// Its own installed package.
    pip: Option<PathBuf>,
    /// ensurepip's bundled wheels.
    wheels: Vec<PathBuf>,
}

/// A virtual environment made for one build, below that build's temporary directory.
pub(super) struct Isolated<'a> {
    context: &'a Context<'a>,
    runner: &'a Runner<'a>,
    /// The interpreter to run hooks with.
    pub python: PathBuf,
    /// The environment hooks see: no index, no credentials, the requirements' programs first.
    pub environment: Environment,
    /// What runs pip: a directory or wheel with `__main__`; `None` until first needed.
    home: PathBuf,
    private: PathBuf,
    /// Where hooks may write; everywhere without isolation.
    pub writable: Option<Vec<PathBuf>>,
    /// Whether they cannot write to the environment itself, which then may share files with the cache.
    read_only: bool,
}

impl<'a> Isolated<'a> {
    /// Makes the environment below `work` (which is private to this build).
    pub(super) fn create(
        context: &'a Context<'a>,
        runner: &'a Runner<'a>,
        work: &Path,
        settings: &Settings,
        lasting: bool,
    ) -> Result<Self> {
        // In a directory of its own: whoever writes an environment locks the directory above it.
        let home = work.join(HOME);
        let private = work.join("private");
        let temporary = work.join("tmp");
        let target = context.target;
        let site_packages = home.join(target.site_packages.as_path());
        for directory in [&private, &temporary, &home.join("bin"), &site_packages] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(|e| Error::io("cannot create", directory, e))?;
        }
        if target.lib64 {
            symlink("lib", home.join("lib64"))
                .map_err(|e| Error::io("cannot create", &home.join("lib64"), e))?;
        }
        // What `python -m venv --without-pip` makes, without starting an interpreter or needing
        // Debian's python3-venv.
        let bin = home.join("bin");
        let mut names = vec!["python".to_owned(), "python3".to_owned()];
        names.push(format!("python{}.{}", target.version.0, target.version.1));
        for name in names {
            let link = bin.join(name);
            symlink(&target.executable, &link).map_err(|e| Error::io("cannot create", &link, e))?;
        }
        let config = format!(
            "home = {}\ninclude-system-site-packages = {}\nversion = {}.{}.{}\n",
            target.home.display(),
            settings.no_isolation,
            target.version.0,
            target.version.1,
            target.version.2
        );
        let file = home.join("pyvenv.cfg");
        fs::write(&file, config).map_err(|e| Error::io("cannot write", &file, e))?;

        let mut environment = Environment::for_build(context.env, &runner.secrets);
        let mut path = OsString::from(&bin);
        if let Some(user) = environment.get("PATH") {
            path.push(":");
            path.push(user);
        }
        environment.set("PATH", path);
        environment.set("TMPDIR", &temporary);
        environment.set("SOURCE_DATE_EPOCH", context.epoch().to_string());
        // The sources lie beside this environment.
        let read_only = !lasting && !settings.no_isolation && confines();
        let writable = writable(work, read_only.then(|| home.parent()).flatten(), &mut environment)?;
        let writable = (!settings.no_isolation).then_some(writable);
        Ok(Isolated {
            context,
            runner,
            python: bin.join("python"),
            environment,
            home,
            private,
            writable,
            read_only,
        })
    }

    /// Makes the environment one of these build requirements (PEP 508) and what they need, and gives their wheels.
    ///
    /// pip finds out which those are, from the lock's sources, unless that is known from an earlier run. Index URLs with
    /// their credentials are in memory that pip alone finds, and only while it runs: in no file that could be left
    /// behind, not in its arguments, not in its environment, and gone when the backend starts.
    pub(super) fn install(
        &self,
        requirements: &[String],
        settings: &Settings,
        warnings: &mut Warnings,
    ) -> Result<Vec<Requirement>> {
        if requirements.is_empty() {
            return Ok(Vec::new());
        }
        let (wheels, known) = self.find(requirements, settings, warnings)?;
        let how = LayOut { read_only: self.read_only, again: known, interpreters: false };
        self.context.workshop.lay_out(&wheels, &self.home, how).context(|| cannot_install(requirements))?;
        Ok(wheels)
    }

    /// The wheels of these requirements and of what they need, and whether they were known.
    fn find(
        &self,
        requirements: &[String],
        settings: &Settings,
        warnings: &mut Warnings,
    ) -> Result<(Vec<Requirement>, bool)> {
        if requirements.is_empty() {
            return Ok((Vec::new(), true));
        }
        for requirement in requirements {
            check_requirement(requirement)?;
        }
        let ask = |into: &Path| self.ask_pip(requirements, into, settings);
        let into = self.private.join("wheels");
        if into.exists() {
            fs::remove_dir_all(&into).map_err(|e| Error::io("cannot remove", &into, e))?;
        }
        let mut warn = |warning| warnings.push(warning);
        resolve(self.context, requirements, settings, &into, &ask, &mut warn)
            .context(|| cannot_install(requirements))
    }

    /// Without isolation: makes the environment one of what is installed before, beside what the interpreter has. The
    /// build may write to it, so it shares nothing with the cache. Gives the wheels that these build requirements name.
    pub(super) fn share(
        &self,
        requirements: &[String],
        settings: &Settings,
        warnings: &mut Warnings,
    ) -> Result<Vec<Requirement>> {
        let Installed { wheels, requires, interpreter: _ } = self.context.installed;
        let mut first = self.find(requires, settings, warnings)?.0;
        first.retain(|one| wheels.iter().all(|wheel| wheel.name.name != one.name.name));
        let wheels = [first, wheels.clone()].concat();
        if wheels.is_empty() {
            return Ok(wheels);
        }
        let how = LayOut { read_only: false, again: false, interpreters: true };
        self.context
            .workshop
            .lay_out(&wheels, &self.home, how)
            .context(|| "cannot make an environment of what is installed before it")?;
        let named: Vec<PackageName> = requirements.iter().filter_map(|one| name_of(one)).collect();
        Ok(wheels.into_iter().filter(|wheel| named.contains(&wheel.name.name)).collect())
    }

    /// What of these requirements a build without isolation does not find installed, by name: whether a version fits
    /// is left to the backend, as pip does.
    pub(super) fn missing(&self, requirements: &[String]) -> Vec<String> {
        let installed = self.context.installed;
        let first: Vec<PackageName> = installed.requires.iter().filter_map(|one| name_of(one)).collect();
        let is_missing = |one: &&String| {
            let name = name_of(one).filter(|_| !one.contains(';'));
            name.is_some_and(|name| !installed.has(&name) && !first.contains(&name))
        };
        requirements.iter().filter(is_missing).cloned().collect()
    }

    /// Has pip collect the wheels of requirements and of what they need. Where the lock has several sources, what the
    /// entry's own index has is taken from there and asked for nowhere else: pip alone would take the highest version
    /// that any of them has.
    fn ask_pip(&self, requirements: &[String], into: &Path, settings: &Settings) -> Result<()> {
        let sources = self.context.sources;
        let pip = |requirements: &[String], sources, options: &[&str]| {
            self.run_pip(requirements, into, sources, options, settings)
        };
        if self.context.offline || sources.len() < 2 {
            return pip(requirements, sources, &[])?.map_err(|failure| self.explain(&failure));
        }
        let own = &sources[..1];
        let mut there = Vec::new();
        for requirement in requirements {
            if let Some(name) = name_of(requirement)
                && (self.context.has)(&own[0], &name)?
            {
                there.push(requirement.clone());
            }
        }
        if there.len() == requirements.len() {
            match pip(&there, own, &[])? {
                // What they need themselves may lie elsewhere.
                Err(failure) if unfound(&failure).is_some() => {}
                done => return done.map_err(|failure| self.explain(&failure)),
            }
        }
        // Not by name, or pip would look for it elsewhere all the same.
        let mut all: Vec<String> = requirements.iter().filter(|one| !there.contains(one)).cloned().collect();
        if !there.is_empty() {
            pip(&there, own, &["--no-deps"])?.map_err(|failure| self.explain(&failure))?;
            // What was found there is named by its file: pip looks for it nowhere else.
            for entry in fs::read_dir(into).map_err(|e| Error::io("cannot read", into, e))?.flatten() {
                let path = entry.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().parse::<WheelName>()?;
                if let Ok(url) = url::Url::from_file_path(&path) {
                    let same = |one: &&String| name_of(one).is_some_and(|other| other == name.name);
                    let extras = there.iter().find(same).map_or("", |one| extras_of(one));
                    all.push(format!("{}{extras} @ {url}", name.name));
                }
            }
        }
        pip(&all, sources, &[])?.map_err(|failure| self.explain(&failure))
    }

    fn run_pip(
        &self,
        requirements: &[String],
        into: &Path,
        sources: &[IndexSource],
        options: &[&str],
        settings: &Settings,
    ) -> Result<Result<(), Failure>> {
        let list = self.private.join("requirements.txt");
        fs::write(&list, requirements.join("\n") + "\n").map_err(|e| Error::io("cannot write", &list, e))?;
        let mut environment = Environment::for_pip(self.context.env, &self.runner.secrets);
        for name in ["PATH", "HOME", "TMPDIR", "SOURCE_DATE_EPOCH", "CARGO_HOME", "XDG_CACHE_HOME"] {
            if let Some(value) = self.environment.get(name) {
                environment.set(name, value);
            }
        }
        let cache = self.context.scratch.join("pip-cache");
        fs::create_dir_all(&cache).map_err(|e| Error::io("cannot create", &cache, e))?;
        environment.set("PIP_CACHE_DIR", &cache);
        let writable = self.writable.clone().map(|mut places| {
            places.extend([cache, self.private.clone()]);
            places
        });
        if self.context.offline || sources.is_empty() {
            environment.set("PIP_NO_INDEX", "1");
        }
        let program = self.pip()?;
        let (major, minor, _) = self.context.target.version;
        let links = login::links(self.context.env);
        let logins = Logins::new(sources, &links, &self.context.credentials, (major, minor), &program);
        let mut args: Vec<OsString> = vec!["-I".into(), program.into(), "wheel".into()];
        args.extend(["--progress-bar=off", "--wheel-dir"].map(OsString::from));
        args.push(into.into());
        args.extend(options.iter().map(OsString::from));
        args.extend(settings.pip.iter().map(OsString::from));
        if logins.only_wheels {
            args.push(ONLY_WHEELS.into());
        }
        args.extend(["-r".into(), list.into()]);
        let mut private = vec![("PIP_CONFIG_FILE", Secret::new(logins.config))];
        private.extend(logins.netrc.map(|netrc| ("NETRC", Secret::new(netrc))));
        // Relative `PIP_FIND_LINKS` and constraints are relative to where the user is.
        let step = Step {
            program: self.python.as_os_str(),
            args,
            directory: self.context.project_dir,
            environment: &environment,
            private,
            writable,
        };
        Ok(self.runner.run(&step)?.map(drop))
    }

    fn explain(&self, failure: &Failure) -> Error {
        let error = failure.error();
        // Its own help says what to do, which is nothing about sources.
        if failure.disk_full() {
            return error;
        }
        match unfound(failure) {
            Some(what) if self.context.offline => error.help(format!(
                "{what} is needed for the build and --offline asks no index: run once with a network, so that the built wheel is kept, or name a directory of wheels in PIP_FIND_LINKS"
            )),
            Some(what) if failure.command.contains(ONLY_WHEELS) => error.help(format!(
                "{what} is needed for the build and none of the lock's sources has a wheel of it that fits; pip cannot be let build one, as it would hand the indexes' logins on in arguments that all can read: publish a wheel of it, name a directory of wheels in PIP_FIND_LINKS, or give indexes of one host one login"
            )),
            Some(what) => error.help(format!(
                "{what} is needed for the build and none of the lock's sources has it: add it to one of them, or name a directory of wheels in PIP_FIND_LINKS"
            )),
            None => error.help("the build requirements come from the lock's sources: check that they answer"),
        }
    }

    /// What to give the interpreter as its program to run pip, alone: no neighbour of an installed pip
    /// may pass for an installed requirement.
    fn pip(&self) -> Result<PathBuf> {
        let place = self.private.join("pip-home");
        let link = place.join("pip");
        if link.exists() {
            return Ok(link);
        }
        let target = &self.context.target.executable;
        let step = Step {
            program: target.as_os_str(),
            args: vec!["-I".into(), "-c".into(), PROBE.into()],
            directory: &self.home,
            environment: &self.environment,
            private: Vec::new(),
            writable: self.writable.clone(),
        };
        let output = self
            .runner
            .run(&step)?
            .map_err(|failure| failure.error())
            .context(|| format!("cannot ask {} for its pip", target.display()))?;
        let found: Pip =
            output.lines().last().and_then(|line| serde_json::from_str(line).ok()).ok_or_else(|| {
                Error::new(Kind::Target, format!("{} did not say where its pip is", target.display()))
            })?;
        if let Some(pip) = found.pip {
            fs::create_dir_all(&place).map_err(|e| Error::io("cannot create", &place, e))?;
            symlink(pip, &link).map_err(|e| Error::io("cannot create", &link, e))?;
            return Ok(link);
        }
        let wheel = match (found.wheels.into_iter().next_back(), self.context.pip_wheel) {
            (Some(wheel), _) => wheel,
            (None, Some(fetch)) if !self.context.offline => {
                fetch().context(|| "cannot get pip from the index")?
            }
            _ => {
                return Err(Error::new(
                    Kind::Build,
                    format!("{} has neither pip nor ensurepip, so nothing can be built", target.display()),
                )
                .help("install pip for it (Debian: python3-pip or python3-venv; Alpine: py3-pip), or lock versions that have wheels"));
            }
        };
        Ok(wheel.join("pip"))
    }
}

fn cannot_install(requirements: &[String]) -> String {
    format!("cannot install the build requirements ({})", requirements.join(", "))
}

/// The package a requirement (PEP 508) names; `None` where its URL stands beside it, so that no index is asked.
fn name_of(requirement: &str) -> Option<PackageName> {
    let text = requirement.trim();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(text.len());
    let extras = text[end..].trim_start();
    let after =
        extras.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(extras, |(_, rest)| rest);
    if after.trim_start().starts_with('@') { None } else { text[..end].parse().ok() }
}

/// A requirement's extras with their brackets, or nothing.
fn extras_of(requirement: &str) -> &str {
    let Some(start) = requirement.find('[') else { return "" };
    let plain = requirement[..start].chars().all(|c| c.is_ascii_alphanumeric() || " ._-".contains(c));
    let end = requirement[start..].find(']').filter(|_| plain);
    end.map_or("", |end| &requirement[start..=start + end])
}

/// What pip could not find anywhere.
fn unfound(failure: &Failure) -> Option<String> {
    let mut lines = failure.output.lines().rev();
    let (_, what) = lines.find_map(|line| line.split_once("No matching distribution found for "))?;
    Some(what.split(" (").next().unwrap_or(what).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_names_its_package_unless_its_url_stands_beside_it() {
        let name = |text: &str| name_of(text).map(|name| name.as_str().to_owned());
        for text in
            ["Set.Tools", " set-tools[a,b] >= 61 ; python_version > '3'", "set_tools>=1", "set-tools;x"]
        {
            assert_eq!(name(text).as_deref(), Some("set-tools"), "{text}");
        }
        for text in ["x @ https://h.example/x.whl", "x[a]@file:///x.whl", "@x", ""] {
            assert_eq!(name(text), None, "{text}");
        }
    }
}
