//! Which part of the lock, and how strictly: the lock's part of the command line.

use crate::{
    project::lock::{Entry, EntryOrigin},
    words::{args::LockArgs, env::Env},
};

/// Which part of the lock, and how strictly.
#[derive(Debug, Clone)]
pub(crate) struct LockOptions {
    /// Which categories.
    pub categories: Categories,
    /// Whether a stale lock or another interpreter is an error.
    pub deploy: bool,
    /// Whether to leave the freshness of the lock alone.
    pub ignore_pipfile: bool,
    /// Whether local projects are among what is installed.
    pub local: Local,
}

/// What becomes of local projects and files (`path`, `file` and `.` in a lock).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Local {
    /// They are installed with the rest.
    #[default]
    With,
    /// They are left out (`--no-install-local`).
    Without,
    /// They alone are installed, into what is there (`--only-install-local`).
    Only,
}

impl Local {
    /// Why an entry is left out; `None` where it is not.
    pub(crate) fn leaves_out(self, entry: &Entry) -> Option<&'static str> {
        match (self, matches!(entry.origin, EntryOrigin::Path(_))) {
            (Local::Without, true) => Some("it is local (--no-install-local)"),
            (Local::Only, false) => Some("it is not local (--only-install-local)"),
            _ => None,
        }
    }
}

/// The categories asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Categories {
    /// `default`, and `develop` where `dev`.
    Standard {
        /// Whether `develop` is wanted.
        dev: bool,
    },
    /// Exactly these, as the lock names them, in this order.
    Named(Vec<String>),
    /// All there are.
    All,
}

impl LockOptions {
    /// The lock's part of the command line, where it means what it means to pipenv's `sync`.
    pub(crate) fn new(args: &LockArgs, env: &Env) -> Self {
        Self::with(args, env, Categories::of_sync)
    }

    /// The same where it means what it means to pipenv's `install`.
    pub(crate) fn of_install(args: &LockArgs, env: &Env) -> Self {
        Self::with(args, env, Categories::of_install)
    }

    fn with(args: &LockArgs, env: &Env, categories: fn(&LockArgs, &Env) -> Categories) -> Self {
        LockOptions {
            categories: categories(args, env),
            deploy: args.deploy || env.flag("PIPENV_DEPLOY"),
            ignore_pipfile: args.ignore_pipfile || env.flag("PIPENV_IGNORE_PIPFILE"),
            local: match (args.no_install_local, args.only_install_local) {
                (true, _) => Local::Without,
                (false, true) => Local::Only,
                (false, false) => Local::With,
            },
        }
    }
}

/// As found by running pipenv 2026.10.3, where both commands differ: `sync` takes `--all` and `--categories` before
/// `--dev`, and `install` has it the other way round. A variable counts as its option does.
/// PIPENV_DEFAULT_CATEGORIES counts where neither is given, not even empty or switched off.
impl Categories {
    fn of_sync(args: &LockArgs, env: &Env) -> Self {
        if args.all_categories || env.flag("PIPENV_ALL_CATEGORIES") {
            return Categories::All;
        }
        let dev = args.dev || env.flag("PIPENV_DEV");
        let named = args.categories.as_deref().or_else(|| env.get_raw("PIPENV_CATEGORIES"));
        let says_dev = args.dev || env.get_raw("PIPENV_DEV").is_some();
        let default = env.get("PIPENV_DEFAULT_CATEGORIES").filter(|_| !says_dev && named.is_none());
        let names: Vec<String> = named.or(default).map(category_names).unwrap_or_default();
        if names.is_empty() { Categories::Standard { dev } } else { Categories::Named(names) }
    }

    fn of_install(args: &LockArgs, env: &Env) -> Self {
        if args.dev || env.flag("PIPENV_DEV") {
            return Categories::Standard { dev: true };
        }
        Self::of_sync(args, env)
    }
}

/// Categories as typed, separated by commas or spaces, by the names that a lock gives them.
pub(crate) fn category_names(text: &str) -> Vec<String> {
    let name = |word: &str| match word {
        "packages" => "default".to_owned(),
        "dev-packages" => "develop".to_owned(),
        other => other.to_owned(),
    };
    text.split([',', ' ']).filter(|word| !word.is_empty()).map(name).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::words::args::{Cli, Command};

    /// What `sync` and `install` take, in words.
    fn taken(options: &str, variables: &[(&str, &str)]) -> [String; 2] {
        let mut env = Env::default();
        for (name, value) in variables {
            env.set(*name, *value);
        }
        let args = |command: &str| {
            let words = options.split('|').filter(|_| !options.is_empty());
            let words = ["venvoy", command].into_iter().chain(words);
            match Cli::try_parse_from(words).expect(options).command {
                Some(Command::Sync(args)) => args.0.packages.lock,
                Some(Command::Install(args)) => args.0.sync.packages.lock,
                other => panic!("{other:?}"),
            }
        };
        [LockOptions::new(&args("sync"), &env), LockOptions::of_install(&args("install"), &env)].map(
            |options| match options.categories {
                Categories::Standard { dev: true } => "default develop".to_owned(),
                Categories::Standard { dev: false } => "default".to_owned(),
                Categories::Named(names) => names.join(" "),
                Categories::All => "all".to_owned(),
            },
        )
    }

    /// What pipenv 2026.10.3 installs of a lock with `default`, `develop`, `docs` and `tests`.
    #[test]
    fn categories_are_those_pipenv_takes() {
        for (options, variables, sync, install) in [
            ("", &[][..], "default", "default"),
            ("--dev", &[], "default develop", "default develop"),
            ("--dev|--categories|docs", &[], "docs", "default develop"),
            ("--categories|docs", &[], "docs", "docs"),
            ("--categories|docs tests", &[], "docs tests", "docs tests"),
            ("--categories|docs, tests", &[], "docs tests", "docs tests"),
            ("--categories|dev-packages packages", &[], "develop default", "develop default"),
            ("--categories|", &[], "default", "default"),
            ("--all", &[], "all", "all"),
            ("--all|--dev", &[], "all", "default develop"),
            ("", &[("PIPENV_DEV", "1")], "default develop", "default develop"),
            ("", &[("PIPENV_DEFAULT_CATEGORIES", "docs")], "docs", "docs"),
            ("--dev", &[("PIPENV_DEFAULT_CATEGORIES", "docs")], "default develop", "default develop"),
            (
                "",
                &[("PIPENV_DEV", "1"), ("PIPENV_DEFAULT_CATEGORIES", "docs")],
                "default develop",
                "default develop",
            ),
            ("", &[("PIPENV_DEV", "0"), ("PIPENV_DEFAULT_CATEGORIES", "docs")], "default", "default"),
            ("--dev", &[("PIPENV_CATEGORIES", "docs")], "docs", "default develop"),
            ("", &[("PIPENV_CATEGORIES", "docs")], "docs", "docs"),
            ("--categories|docs", &[("PIPENV_CATEGORIES", "tests")], "docs", "docs"),
            ("--categories|docs", &[("PIPENV_DEFAULT_CATEGORIES", "tests")], "docs", "docs"),
            ("", &[("PIPENV_CATEGORIES", "")], "default", "default"),
            ("", &[("PIPENV_CATEGORIES", ""), ("PIPENV_DEFAULT_CATEGORIES", "tests")], "default", "default"),
            ("", &[("PIPENV_ALL_CATEGORIES", "1")], "all", "all"),
        ] {
            assert_eq!(taken(options, variables), [sync, install], "{options} {variables:?}");
        }
    }
}
