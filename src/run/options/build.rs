//! How source packages are treated.

use super::Packages;
use crate::{
    packages::sdist,
    project::lock::Entry,
    words::{
        args::BuildArgs,
        env::Env,
        error::{Error, Kind, Result},
    },
};

/// How source packages are treated.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuildOptions {
    /// Packages to build from source even where a wheel fits.
    pub no_binary: Packages,
    /// Packages never to build from source.
    pub only_binary: Packages,
    /// Arguments for pip.
    pub extra_pip_args: Vec<String>,
    /// Whether editable projects become ordinary copies.
    pub no_editable: bool,
    /// Whether build requirements are asked for again, though they are known.
    pub refresh: bool,
    /// The longest a build may take.
    pub timeout: std::time::Duration,
}

impl BuildOptions {
    /// Whether a build of this entry is not isolated (`--no-build-isolation`, also the entry's own). A word that is wrong is
    /// told by the build.
    pub(crate) fn is_unisolated(&self, entry: &Entry) -> bool {
        let words: Vec<String> = self.extra_pip_args.iter().chain(&entry.pip_args).cloned().collect();
        sdist::Settings::parse(&words).is_ok_and(|settings| settings.no_isolation)
    }

    /// Whether wheels are out of the question for an entry, and whether source distributions are. A name
    /// outweighs `:all:`, as in pip: `--only-binary :all: --no-binary NAME` builds NAME alone.
    pub(crate) fn forms(&self, entry: &Entry) -> (bool, bool) {
        let (no, only) = (&self.no_binary, &self.only_binary);
        let named = (entry.no_binary || no.names(&entry.name), only.names(&entry.name));
        if named == (false, false) { (*no == Packages::All, *only == Packages::All) } else { named }
    }

    /// Checks the builds' part of the command line.
    pub(crate) fn new(args: &BuildArgs, env: &Env) -> Result<Self> {
        let given = |typed: &[String], option: &str, variable: &str| {
            let typed = || typed.iter().map(String::as_str);
            let all = Packages::parse(env.get(variable).into_iter().chain(typed()), option)?;
            Ok::<_, Error>((all, Packages::parse(typed(), option)?))
        };
        let (no_binary, typed_no) = given(&args.no_binary, "--no-binary", "PIP_NO_BINARY")?;
        let (only_binary, typed_only) = given(&args.only_binary, "--only-binary", "PIP_ONLY_BINARY")?;
        let both = |package: &str| {
            Error::new(Kind::Usage, format!("{package} is given to both --no-binary and --only-binary"))
                .help("wheels, source distributions or both: leave one of the two out")
        };
        if typed_no == Packages::All && typed_only == Packages::All {
            return Err(both(":all:"));
        }
        if let Packages::Named(names) = &typed_no
            && let Some(name) = names.iter().find(|name| typed_only.names(name))
        {
            return Err(both(name.as_str()));
        }
        let extra = args.extra_pip_args.as_deref().or_else(|| env.get("PIPENV_EXTRA_PIP_ARGS"));
        let mut extra_pip_args = shlex::split(extra.unwrap_or_default())
            .ok_or_else(|| Error::new(Kind::Usage, "--extra-pip-args has a quote that is not closed"))?;
        // As pip reads it: the variable is what the option sets, which is whether builds are isolated.
        if env.get("PIP_NO_BUILD_ISOLATION").is_some() && !env.flag("PIP_NO_BUILD_ISOLATION") {
            extra_pip_args.push("--no-build-isolation".to_owned());
        }
        Ok(BuildOptions {
            // What is typed outweighs what the environment says.
            no_binary: no_binary.without(&typed_no, &typed_only),
            only_binary: only_binary.without(&typed_only, &typed_no),
            extra_pip_args,
            no_editable: args.no_editable,
            refresh: args.refresh,
            timeout: std::time::Duration::from_secs(args.build_timeout),
        })
    }
}
