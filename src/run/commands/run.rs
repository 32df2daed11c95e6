//! `run`: a command, or a script of the Pipfile, in an environment, as `pipenv run` does it.
//!
//! Nothing is started for that but the command itself, which takes the place of this process.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use crate::{
    environment::installed::Installed,
    project::lock::{Pipfile, Script},
    run::{
        inputs,
        options::{self, Common},
    },
    words::{
        env::Env,
        error::{Error, Kind, Result},
    },
};

/// What a shell says with its exit code where there is no such command.
pub(crate) const NOT_FOUND: u8 = 127;
/// The same where the command cannot be run.
const NOT_RUNNABLE: u8 = 126;

/// An error, and the exit code a shell would have ended with.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub code: u8,
    /// What there is to say.
    pub error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { code: error.kind().exit_code(), error }
    }
}

/// A command, ready to run.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    program: PathBuf,
    /// Whether the program was looked for on PATH.
    searched: bool,
    arguments: Vec<OsString>,
    /// Variables that differ from this process's.
    variables: BTreeMap<OsString, OsString>,
}

/// Commands that run one after the other until one fails.
#[derive(Debug)]
pub(crate) struct Steps(Vec<Step>);

/// The environment to run in: the one named, else the one that `sync` would install into: an active one that others
/// made, else the project's; else whatever is active.
///
/// # Errors
/// [`Kind::Destination`] where there is none.
pub(crate) fn environment(named: Option<PathBuf>, common: &Common) -> Result<PathBuf> {
    let own = common.project.dir.join(".venv");
    if let Some(named) = named {
        return if Installed::is_at(&named) { Ok(named) } else { Err(missing(&named)) };
    }
    let active = options::active(&common.project, &common.env).filter(|active| Installed::is_at(active));
    if let Some(active) = active {
        return Ok(active);
    }
    if Installed::is_at(&own) {
        return Ok(own);
    }
    // As in an image whose environment lies elsewhere than the project.
    let active = common.env.path("VIRTUAL_ENV").filter(|path| path.is_absolute() && Installed::is_at(path));
    active.ok_or_else(|| missing(&own))
}

/// The error for an environment that is not there.
pub(crate) fn missing(venv: &Path) -> Error {
    Error::new(Kind::Destination, format!("there is no environment at {}", venv.display()))
        .help("make it with `venvoy sync`, or with `venvoy run --sync COMMAND` before the command")
}

/// The project's Pipfile, parsed, where there is one.
///
/// # Errors
/// [`Kind::Lock`] for one that cannot be read.
pub(crate) fn pipfile(common: &Common) -> Result<Option<Pipfile>> {
    let Some(path) = &common.project.pipfile else { return Ok(None) };
    let bytes = inputs::read(path, "correct its permissions")?;
    Pipfile::parse(&bytes, &inputs::label(path), &common.env).map(|(pipfile, _)| Some(pipfile))
}

impl Steps {
    /// What `words` (a command or script, and arguments) means in an environment; `None` for no environment.
    ///
    /// # Errors
    /// A script that is wrong, a command that is not there.
    pub(crate) fn new(common: &Common, venv: Option<&Path>, words: &[OsString]) -> Result<Self, Failure> {
        let script = match words.first().and_then(|word| word.to_str()) {
            Some(name) => pipfile(common)?.map(|pipfile| pipfile.scripts.get(name)).transpose()?.flatten(),
            None => None,
        };
        let commands = match script {
            Some(Script(commands)) => {
                let owned = |words: Vec<String>| words.into_iter().map(OsString::from).collect::<Vec<_>>();
                let mut commands: Vec<Vec<OsString>> = commands.into_iter().map(owned).collect();
                // What is typed after a script's name is for its last command.
                if let Some(last) = commands.last_mut() {
                    last.extend_from_slice(&words[1..]);
                }
                commands
            }
            None => vec![words.to_vec()],
        };
        let variables = variables(common, venv);
        commands
            .into_iter()
            .map(|words| Step::new(&words, &variables, common))
            .collect::<Result<_, _>>()
            .map(Steps)
    }

    /// The commands as a shell would take them, for those who asked for details.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|step| {
            let words = std::iter::once(step.program.as_os_str())
                .chain(step.arguments.iter().map(OsString::as_os_str));
            words.map(quoted).collect::<Vec<_>>().join(" ")
        })
    }

    /// The pip of another Python that stands in for an environment's without one: what it lists, installs and removes is
    /// not the environment's.
    pub(crate) fn foreign_pip(&self, venv: &Path) -> Option<&Path> {
        let is_pip = |step: &&Step| {
            let name = step.program.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let version = name.strip_prefix("pip");
            let named = version.is_some_and(|rest| rest.bytes().all(|c| c.is_ascii_digit() || c == b'.'));
            // pip takes the Python to work on as an option.
            let told = step.arguments.first().is_some_and(|word| word.as_bytes().starts_with(b"--python"));
            named && step.searched && !told && step.program.parent() != Some(&venv.join("bin"))
        };
        self.0.iter().find(is_pip).map(|step| &*step.program)
    }

    /// Runs all but the last, then becomes the last. Comes back only with the exit code of one that failed.
    ///
    /// # Errors
    /// A program that cannot be run.
    pub(crate) fn run(self) -> Result<u8, Failure> {
        let mut steps = self.0;
        let Some(last) = steps.pop() else { return Ok(0) };
        if !steps.is_empty() {
            let code = super::relay::relayed(steps.into_iter().map(|step| (step.command(), step.program)))?;
            if code != 0 {
                return Ok(code);
            }
        }
        let error = last.command().exec();
        Err(not_run(&last.program, error))
    }
}

/// The exit code as a shell gives it: a signal's number and 128.
pub(super) fn code_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// The error for a program that the system does not run.
pub(super) fn not_run(program: &Path, error: io::Error) -> Failure {
    let format = error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error());
    // The program is there; what is not may be the interpreter that its first line names.
    let interpreter = error.kind() == io::ErrorKind::NotFound;
    let mut told = Error::new(Kind::Io, format!("cannot run {}", program.display())).because(error);
    if format {
        told = told
            .help("is it a script? then its first line names its interpreter, such as #!/usr/bin/env python");
    } else if interpreter {
        told = told.help(
            "its first line (#!) names an interpreter that is not here; `venvoy sync` writes scripts anew",
        );
    }
    Failure { code: NOT_RUNNABLE, error: told }
}

/// What the command finds set beyond this process's environment: what `.env` has, and what an activated
/// environment has.
fn variables(common: &Common, venv: Option<&Path>) -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = common
        .env
        .iter()
        .filter(|(name, value)| std::env::var_os(name).is_none_or(|outer| outer != **value))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    if let Some(venv) = venv {
        let mut path = venv.join("bin").into_os_string();
        if let Some(rest) = variables.get(OsStr::new("PATH")).cloned().or_else(|| std::env::var_os("PATH")) {
            path.push(":");
            path.push(rest);
        }
        variables.insert("PATH".into(), path);
        variables.insert("VIRTUAL_ENV".into(), venv.into());
    }
    variables.insert("PIPENV_ACTIVE".into(), "1".into());
    variables.insert("PIPENV_PROJECT_DIR".into(), common.project.dir.clone().into());
    variables
}

impl Step {
    fn new(
        words: &[OsString],
        variables: &BTreeMap<OsString, OsString>,
        common: &Common,
    ) -> Result<Self, Failure> {
        let mut variables = variables.clone();
        let mut words = words;
        while let [first, rest @ ..] = words
            && let Some((name, value)) = first.to_str().and_then(assignment)
        {
            if rest.is_empty() {
                return Err(Error::new(
                    Kind::Usage,
                    format!("{name}=... sets a variable for a command, and none follows"),
                )
                .help("write the command after it: venvoy run NAME=value COMMAND")
                .into());
            }
            variables.insert(name.into(), value.into());
            words = rest;
        }
        let Some((command, arguments)) = words.split_first() else {
            return Err(Error::new(Kind::Usage, "there is no command to run").into());
        };
        let value = |name: &str| -> Option<OsString> {
            variables.get(OsStr::new(name)).cloned().or_else(|| std::env::var_os(name))
        };
        let arguments: Vec<OsString> = arguments.iter().map(|argument| expanded(argument, &value)).collect();
        let path = value("PATH").unwrap_or_default();
        if let Some(program) = find(command, &path) {
            let searched = !command.as_bytes().contains(&b'/');
            return Ok(Step { program, searched, arguments, variables });
        }
        if command.to_str().is_some_and(|name| BUILTINS.contains(&name)) {
            let line =
                std::iter::once(command).chain(&arguments).map(|word| quoted(word)).collect::<Vec<_>>();
            let arguments = vec!["-c".into(), line.join(" ").into()];
            return Ok(Step { program: "/bin/sh".into(), searched: false, arguments, variables });
        }
        Err(not_found(command, &path, common))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(&self.variables);
        command
    }
}

/// What only a shell has; `echo`, `pwd` and others are programs as well.
const BUILTINS: [&str; 22] = [
    ".", ":", "alias", "bg", "cd", "command", "eval", "exec", "exit", "export", "fg", "hash", "jobs", "read",
    "set", "source", "times", "trap", "type", "ulimit", "umask", "unset",
];

fn not_found(command: &OsStr, path: &OsStr, common: &Common) -> Failure {
    let shown = command.to_string_lossy();
    let there = Path::new(command);
    if command.as_bytes().contains(&b'/') && there.exists() {
        let error = if there.is_dir() {
            Error::new(Kind::Io, format!("{shown} is a directory, expected a program"))
        } else {
            Error::new(Kind::Io, format!("{shown} is not executable"))
                .help(format!("run it with its interpreter (`venvoy run python {shown}`), or chmod +x it"))
        };
        return Failure { code: NOT_RUNNABLE, error };
    }
    let error = if command.as_bytes().contains(&b'/') {
        Error::new(Kind::Io, format!("{shown}: not found"))
    } else {
        let first = std::env::split_paths(path).next().unwrap_or_default();
        let error =
            Error::new(Kind::Io, format!("{shown}: not found in {} nor elsewhere on PATH", first.display()));
        match common.project.pipfile {
            Some(_) => {
                error.help("`venvoy scripts` lists the Pipfile's scripts; `venvoy plan` what is installed")
            }
            None => error,
        }
    };
    Failure { code: NOT_FOUND, error }
}

/// A program by name on PATH, or by a path of its own.
fn find(command: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if command.is_empty() {
        return None;
    }
    if command.as_bytes().contains(&b'/') {
        let program = PathBuf::from(command);
        return is_program(&program).then_some(program);
    }
    std::env::split_paths(path).map(|dir| dir.join(command)).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// `NAME=value`, as a shell takes it before a command.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    is_name(name).then_some((name, value))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// `$NAME` and `${NAME}` of an argument, as `pipenv run` expands them whoever wrote them; what is not set stays.
fn expanded(argument: &OsStr, value: &dyn Fn(&str) -> Option<OsString>) -> OsString {
    let Some(text) = argument.to_str().filter(|text| text.contains('$')) else { return argument.to_owned() };
    let mut out = OsString::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push(before);
        let (name, length) = if let Some(inner) = from[1..].strip_prefix('{') {
            inner.find('}').map_or(("", 1), |end| (&inner[..end], end + 3))
        } else {
            let name = &from[1..];
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
            (&name[..end], end + 1)
        };
        let found = if name.is_empty() || name.contains(['\0', '=']) { None } else { value(name) };
        match found {
            Some(value) => out.push(value),
            None => out.push(&from[..length]),
        }
        rest = &from[length..];
    }
    out.push(rest);
    out
}

/// A word as a shell takes it.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), std::borrow::Cow::into_owned)
}

/// Whether variables of an outer `run` are set: what there was to say has been said.
pub(crate) fn is_nested(env: &Env) -> bool {
    env.get("PIPENV_ACTIVE").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_arguments_are_replaced_as_pipenv_does() {
        let value = |name: &str| match name {
            "A" => Some(OsString::from("a b")),
            "E" => Some(OsString::new()),
            "é" => Some(OsString::from("x")),
            _ => None,
        };
        for (text, expected) in [
            ("$A", "a b"),
            ("x${A}y$A-", "xa bya b-"),
            ("$NOPE ${NOPE}", "$NOPE ${NOPE}"),
            ("$E|", "|"),
            ("$", "$"),
            ("$$A", "$a b"),
            ("${", "${"),
            ("${A", "${A"),
            ("${}", "${}"),
            ("$é", "x"),
            ("\\$A", "\\a b"),
            ("$1 $A1", "$1 $A1"),
        ] {
            assert_eq!(expanded(OsStr::new(text), &value), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_before_a_command_has_a_name() {
        assert_eq!(assignment("FOO=a b"), Some(("FOO", "a b")));
        assert_eq!(assignment("_1=").map(|(name, _)| name), Some("_1"));
        for word in ["1A=b", "=b", "A-B=c", "--opt=x", "a"] {
            assert_eq!(assignment(word), None, "{word}");
        }
    }
}
