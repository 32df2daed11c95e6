//! What of pipenv's command line venvoy does not have, and what to do instead. `docs/pipenv.md` has it as a table; a
//! test holds both to what `pipenv --help` says.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// A command or an option of pipenv that is not taken as it is there.
pub struct Other {
    /// The command; empty for options that stand before one.
    pub command: &'static str,
    /// Its option without dashes; empty for the command itself.
    pub option: &'static str,
    /// What matches call it: no other argument is called so.
    id: &'static str,
    /// The option's letter, where it means nothing else here.
    pub short: Option<char>,
    /// Whether a value follows.
    pub value: bool,
    /// What becomes of it.
    pub answer: Answer,
}

/// What becomes of it.
pub enum Answer {
    /// It is passed over: what it asks for is so anyway, or concerns what venvoy has not. The text says why.
    PassedOver(&'static str),
    /// It is an error; the first text says what venvoy does not do, the second what to do.
    Instead(&'static str, &'static str),
}

use Answer::{Instead, PassedOver};

const RESOLVES: &str = "venvoy never resolves versions and never edits the Pipfile or the lock";
const AUDIT: &str = "venvoy looks nothing up about vulnerabilities";
const AUDIT_HELP: &str =
    "`pipenv audit`, or `venvoy requirements --hash | pip-audit --disable-pip -r /dev/stdin`";
const CLEARED: &str = "nothing in the cache goes stale; `venvoy cache clear` empties it";

const fn command(command: &'static str, does_not: &'static str, help: &'static str) -> Other {
    Other { command, option: "", id: "", short: None, value: false, answer: Instead(does_not, help) }
}

/// An option that is alone.
macro_rules! flag {
    ($command:literal, $option:literal, $answer:expr $(,)?) => {
        Other {
            command: $command,
            option: $option,
            id: concat!("pipenv ", $option),
            short: None,
            value: false,
            answer: $answer,
        }
    };
}

/// An option that a value follows.
macro_rules! valued {
    ($command:literal, $option:literal, $short:expr, $answer:expr $(,)?) => {
        Other {
            command: $command,
            option: $option,
            id: concat!("pipenv ", $option),
            short: $short,
            value: true,
            answer: $answer,
        }
    };
}

/// All of them, in the order of `pipenv --help`.
pub const OTHERS: &[Other] = &[
    command("remove", "venvoy removes no environment", "rm -r .venv (`venvoy --venv` says where it is)"),
    command("upgrade", RESOLVES, "run `pipenv upgrade`, then `venvoy sync`"),
    command("uninstall", RESOLVES, "run `pipenv uninstall`, then `venvoy sync`"),
    command("lock", RESOLVES, "run `pipenv lock`, then `venvoy sync`"),
    command("shell", "venvoy starts no shell", "`. .venv/bin/activate`, or `venvoy run $SHELL`"),
    command(
        "activate",
        "venvoy prints no activation",
        "`. .venv/bin/activate` (or activate.fish, .csh, .nu beside it)",
    ),
    command("audit", AUDIT, AUDIT_HELP),
    command("update", RESOLVES, "run `pipenv update --lock-only` or `pipenv lock`, then `venvoy sync`"),
    command(
        "open",
        "venvoy opens no editor",
        "`$EDITOR \"$(venvoy run python -c 'import MODULE; print(MODULE.__file__)')\"`",
    ),
    command(
        "clean",
        "venvoy cleans nothing apart",
        "`venvoy sync`: it leaves nothing in the environment that the lock does not have",
    ),
    command(
        "pylock",
        "venvoy writes no pylock.toml, it installs from one",
        "run `pipenv pylock --generate`, then `venvoy sync --lock pylock.toml`",
    ),
    flag!(
        "",
        "rm",
        Instead("venvoy removes no environment", "rm -r .venv (`venvoy --venv` says where it is)"),
    ),
    flag!("", "bare", PassedOver("there is nothing to leave out")),
    flag!(
        "",
        "man",
        Instead(
            "there is no manual page at hand",
            "`venvoy help`, `venvoy help COMMAND`; `venvoy man DIR` writes the manual pages",
        ),
    ),
    flag!("", "clear", PassedOver(CLEARED)),
    flag!(
        "",
        "site-packages",
        Instead(
            "an environment of venvoy's sees no other packages than the lock's",
            "lock what is needed: `pipenv install NAME`",
        ),
    ),
    flag!("", "no-site-packages", PassedOver("it is so anyway")),
    flag!("install", "pre", Instead(RESOLVES, "run `pipenv lock --pre`, then `venvoy install`")),
    valued!("install", "resolver", None, PassedOver("nothing is resolved")),
    valued!(
        "install",
        "extras",
        None,
        PassedOver("pipenv reads it and does nothing with it; name categories with --categories"),
    ),
    valued!(
        "install",
        "config-settings",
        None,
        Instead(
            "venvoy passes no settings to build backends by option",
            "pip_args of the entry in the Pipfile, then `pipenv lock`",
        ),
    ),
    valued!(
        "install",
        "index",
        Some('i'),
        Instead(
            RESOLVES,
            "run `pipenv install --index URL PACKAGE`; to use another URL for a source of the lock, --index-url NAME=URL",
        ),
    ),
    valued!(
        "install",
        "requirements",
        Some('r'),
        Instead(
            "venvoy installs what the lock holds, no requirements file",
            "run `pipenv install -r FILE` once, commit Pipfile and lock, then `venvoy install`",
        ),
    ),
    valued!(
        "install",
        "editable",
        Some('e'),
        Instead(RESOLVES, "run `pipenv install -e PATH`, then `venvoy install`"),
    ),
    flag!(
        "install",
        "skip-lock",
        Instead(
            "venvoy installs what the lock holds, and nothing without one",
            "run `pipenv lock`, commit the lock, then `venvoy install`",
        ),
    ),
    flag!("install", "keep-outdated", PassedOver("nothing is resolved, so nothing is brought up to date")),
    flag!("install", "sequential", PassedOver("the result does not depend on the order of work")),
    flag!("install", "clear", PassedOver(CLEARED)),
    flag!(
        "install",
        "site-packages",
        Instead(
            "an environment of venvoy's sees no other packages than the lock's",
            "lock what is needed: `pipenv install NAME`",
        ),
    ),
    flag!("install", "no-site-packages", PassedOver("it is so anyway")),
    flag!("sync", "bare", PassedOver("-q prints errors only")),
    flag!("sync", "clean", PassedOver("what the lock does not have is never left")),
    flag!("sync", "pre", PassedOver("nothing is resolved")),
    valued!("sync", "resolver", None, PassedOver("nothing is resolved")),
    valued!(
        "sync",
        "extras",
        None,
        PassedOver("pipenv reads it and does nothing with it; name categories with --categories"),
    ),
    flag!("sync", "keep-outdated", PassedOver("nothing is resolved, so nothing is brought up to date")),
    flag!("sync", "sequential", PassedOver("the result does not depend on the order of work")),
    flag!("sync", "clear", PassedOver(CLEARED)),
    flag!(
        "sync",
        "site-packages",
        Instead(
            "an environment of venvoy's sees no other packages than the lock's",
            "lock what is needed: `pipenv install NAME`",
        ),
    ),
    flag!("sync", "no-site-packages", PassedOver("it is so anyway")),
    valued!("check", "db", None, Instead(AUDIT, AUDIT_HELP)),
    valued!("check", "ignore", Some('i'), Instead(AUDIT, AUDIT_HELP)),
    valued!("check", "output", None, Instead(AUDIT, AUDIT_HELP)),
    valued!("check", "key", None, Instead(AUDIT, AUDIT_HELP)),
    valued!("check", "policy-file", None, Instead(AUDIT, AUDIT_HELP)),
    flag!("check", "exit-code", Instead(AUDIT, AUDIT_HELP)),
    flag!("check", "continue-on-error", Instead(AUDIT, AUDIT_HELP)),
    flag!("check", "audit-and-monitor", Instead(AUDIT, AUDIT_HELP)),
    flag!("check", "disable-audit-and-monitor", Instead(AUDIT, AUDIT_HELP)),
    valued!("check", "save-json", None, Instead(AUDIT, AUDIT_HELP)),
    flag!("check", "use-installed", Instead(AUDIT, AUDIT_HELP)),
    flag!("check", "auto-install", Instead(AUDIT, AUDIT_HELP)),
    flag!("check", "scan", Instead(AUDIT, AUDIT_HELP)),
    flag!("check", "clear", Instead(AUDIT, AUDIT_HELP)),
    valued!("scripts", "pypi-mirror", None, PassedOver("no index is asked")),
    flag!("scripts", "clear", PassedOver(CLEARED)),
    valued!("scripts", "python", None, PassedOver("no interpreter is needed")),
];

impl Other {
    /// How it is typed.
    pub fn typed(&self) -> String {
        let dashed = if self.option.is_empty() { String::new() } else { format!("--{}", self.option) };
        [self.command, &dashed].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// The command line with what pipenv has and venvoy has not, for parsing only: help and completions do without.
#[must_use]
pub fn with_others(mut root: Command) -> Command {
    for other in OTHERS {
        if other.option.is_empty() {
            root = root
                .subcommand(Command::new(other.command).hide(true).disable_help_flag(true).defer(anything));
            continue;
        }
        // What the command has of its own is not known yet ([`super::Deferred`]); a test says that the table names none of it.
        let add = |command: Command| {
            let action = if other.value { ArgAction::Append } else { ArgAction::SetTrue };
            let arg = Arg::new(other.id).long(other.option).hide(true).action(action);
            command.arg(match other.short {
                Some(letter) => arg.short(letter),
                None => arg,
            })
        };
        root = if other.command.is_empty() { add(root) } else { root.mut_subcommand(other.command, add) };
    }
    root
}

/// Whatever is typed after a command that is not taken.
fn anything(command: Command) -> Command {
    command.arg(Arg::new("anything").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true))
}

/// The first thing typed that venvoy answers with an error.
pub(crate) fn refused(matches: &ArgMatches) -> Option<&'static Other> {
    let name = matches.subcommand_name();
    OTHERS.iter().filter(|other| matches!(other.answer, Instead(..))).find(|other| {
        if other.option.is_empty() {
            return name == Some(other.command);
        }
        let at =
            if other.command.is_empty() { Some(matches) } else { matches.subcommand_matches(other.command) };
        at.is_some_and(|at| {
            at.try_contains_id(other.id).is_ok_and(|there| there)
                && at.value_source(other.id) == Some(clap::parser::ValueSource::CommandLine)
        })
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::words::args::Cli;

    fn parsed(args: &[&str]) -> ArgMatches {
        with_others(Cli::command())
            .try_get_matches_from([&["venvoy"], args].concat())
            .unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_command_line_stays_sound() {
        with_others(Cli::command()).debug_assert();
    }

    #[test]
    fn what_is_not_taken_is_found_wherever_it_stands() {
        let typed = |args: &[&str]| refused(&parsed(args)).map(Other::typed);
        assert_eq!(typed(&["lock", "--pre", "-v"]).as_deref(), Some("lock"));
        assert_eq!(typed(&["update", "--help"]).as_deref(), Some("update"));
        assert_eq!(typed(&["install", "--deploy", "-r", "x.txt"]).as_deref(), Some("install --requirements"));
        assert_eq!(typed(&["--rm"]).as_deref(), Some("--rm"));
        assert_eq!(typed(&["sync", "--clean", "--bare", "--sequential"]), None);
        assert_eq!(typed(&["sync"]), None);
        assert_eq!(typed(&["run", "lock"]), None);
    }
}
