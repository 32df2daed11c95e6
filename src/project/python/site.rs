//! Where an interpreter's own packages are: what `--system` and an active virtual environment install into.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Target, run};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::RelPath,
};

/// Where packages of an interpreter go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// The interpreter, as scripts name it in their first line.
    pub(crate) python: PathBuf,
    /// The directory below which all of it lies, links resolved: `/usr/local`, a virtual environment, `~/.local`.
    pub(crate) root: PathBuf,
    /// Where packages go, such as `lib/python3.11/site-packages`.
    pub(crate) packages: RelPath,
    /// Where packages of other installers may be as well, with `packages` itself.
    pub(crate) others: Vec<RelPath>,
    /// Where headers go, their distribution's name following.
    pub(crate) include: RelPath,
    /// Whether it is a virtual environment.
    pub(crate) is_virtual: bool,
    /// What forbids to install there (PEP 668); empty where whoever forbids it gives no reason.
    pub(crate) externally_managed: Option<String>,
}

/// The answer of `site.py`; its fields are explained there.
#[derive(Deserialize)]
struct Answer {
    executable: PathBuf,
    prefix: PathBuf,
    is_virtual: bool,
    sees_user_site: bool,
    externally_managed: Option<String>,
    paths: Paths,
}

#[derive(Deserialize)]
struct Paths {
    purelib: PathBuf,
    platlib: PathBuf,
    scripts: PathBuf,
    data: PathBuf,
    include: PathBuf,
}

impl Site {
    /// Asks the interpreter at `python`; `user` for the user's own packages (PIP_USER), whose place PYTHONUSERBASE may
    /// say.
    ///
    /// # Errors
    /// [`Kind::Target`] for what is no interpreter, and for one whose packages lie where none of venvoy's can.
    pub(crate) fn of(python: &Path, user: bool, user_base: Option<&Path>) -> Result<Self> {
        let mut command = run::isolated_command(python);
        command.args(["-I", "-c", include_str!("site.py")]);
        if user {
            command.arg("user");
        }
        if let Some(base) = user_base {
            command.env("PYTHONUSERBASE", base);
        }
        let answer: Answer = run::answer(command, python, run::TIME_LIMIT)?;
        let name = python.display();
        if user && answer.is_virtual && !answer.sees_user_site {
            return Err(Error::new(
                Kind::Target,
                format!(
                    "PIP_USER is set, and the virtual environment {} does not see the user's packages",
                    answer.prefix.display()
                ),
            )
            .help("unset PIP_USER to install into the environment, or leave it (`deactivate`)"));
        }
        let odd = |what: &str, path: &Path| {
            Error::new(
                Kind::Target,
                format!(
                    "the interpreter {name} has its {what} in {}, which is not where venvoy can install",
                    path.display()
                ),
            )
            .help("make an environment instead: leave --system and PIPENV_SYSTEM out")
        };
        let Paths { purelib, platlib, scripts, data, include } = answer.paths;
        // What is not there yet is made; what is there is known by its real path.
        let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
        let root =
            scripts.parent().filter(|_| scripts.ends_with("bin")).ok_or_else(|| odd("scripts", &scripts))?;
        if real(data.clone()) != real(root.to_owned()) {
            return Err(odd("data", &data));
        }
        let below = |path: &Path| -> Option<RelPath> {
            let inner = path.strip_prefix(root).map(Path::to_owned).ok();
            let inner = inner.or_else(|| {
                real(path.to_owned()).strip_prefix(real(root.to_owned())).map(Path::to_owned).ok()
            });
            inner?.to_str()?.parse().ok()
        };
        let packages = below(&purelib).ok_or_else(|| odd("packages", &purelib))?;
        let mut others = vec![packages.clone()];
        // In a virtual environment `lib64` is a link.
        if real(platlib.clone()) != real(purelib) {
            others.extend(below(&platlib));
        }
        Ok(Site {
            include: below(&include).unwrap_or_else(|| packages.clone()),
            python: if answer.executable.is_absolute() { answer.executable } else { python.to_owned() },
            root: real(root.to_owned()),
            packages,
            others,
            is_virtual: answer.is_virtual,
            externally_managed: answer.externally_managed,
        })
    }

    /// The interpreter's target, files placed as they are here.
    pub(crate) fn placed(&self, target: &Target) -> Target {
        Target {
            executable: self.python.clone(),
            site_packages: self.packages.clone(),
            include: self.include.clone(),
            ..target.clone()
        }
    }

    /// The directory with its packages and what venvoy notes of them.
    pub(crate) fn packages_dir(&self) -> PathBuf {
        self.root.join(self.packages.as_path())
    }
}
