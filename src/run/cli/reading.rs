//! The commands that only read, and `run`: see `words::args`.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser};

use super::{Stdout, Ui, environment, raise_file_limit, request, run_sync};
use crate::{
    environment::installed::Installed,
    run::{
        commands::{
            self, Freshness, Graph, Verified,
            run::{Failure, Steps},
        },
        options::{self, Common, LockOptions},
    },
    words::{
        args::{
            Cli, Deferred, DiffArgs, Global, GraphArgs, LockArgs, Questions, Reading, RequirementsArgs,
            RunArgs, ScriptsArgs, SyncArgs, variables,
        },
        env::Env,
        error::{Error, Kind, Result},
        interrupt,
        progress::Progress,
    },
};

/// What `pipenv verify` ends with where the lock is not fresh, and what is asked of it by hooks.
const NOT_VERIFIED: u8 = 1;

pub(super) fn dispatch(
    command: Reading,
    global: &Global,
    env: Env,
    ui: &Ui,
    mut out: Stdout,
) -> Result<ExitCode> {
    match command {
        Reading::Run(args) => return Ok(run(&args, global, env, ui)),
        Reading::Scripts(args) => scripts(&args, &Common::new(global, None, env)?, &mut out)?,
        Reading::Verify => return verify(global, env, ui, out),
        Reading::Requirements(args) => requirements(&args, global, env, ui, &mut out)?,
        Reading::Graph(args) => graph(&args, global, env, &mut out)?,
        Reading::Diff(args) => return diff(&args, global, &env, ui, out),
        Reading::Doctor(args) => doctor(args.json, global, &env, ui, &mut out)?,
        Reading::Man(args) => manual(&args.dir)?,
        Reading::Why(Deferred(args)) => {
            let common = Common::new(global, None, env)?;
            let venv = args
                .venv
                .map_or_else(|| Ok(common.project.dir.join(".venv")), |venv| options::absolute(&venv))?;
            let why = commands::why(&common, &venv, &args.package)?;
            if args.json {
                out.json(&why)?;
            } else {
                why.lines().iter().for_each(|line| out.line(line));
            }
        }
    }
    out.finish(ExitCode::SUCCESS)
}

/// What is asked without a command.
pub(super) fn answer(questions: &Questions, global: &Global, env: Env, ui: &Ui) -> Result<ExitCode> {
    let mut out = Stdout::new(env.concealed());
    if questions.envs {
        out.line(
            "Each may be set in the environment; those of pipenv and pip also in .env beside the Pipfile.\n",
        );
        for variables::Row(names, meaning) in variables::VARIABLES {
            out.line(&format!("{}\n    {meaning}", names.join(", ")));
        }
        return out.finish(ExitCode::SUCCESS);
    }
    if questions.support {
        doctor(false, global, &env, ui, &mut out)?;
        return out.finish(ExitCode::SUCCESS);
    }
    let common = Common::new(global, None, env)?;
    if questions.python.is_some() || questions.pypi_mirror.is_some() {
        return Err(Error::new(
            Kind::Usage,
            "--python and --pypi-mirror are for a command, and none follows",
        )
        .help("write it after them, such as `venvoy --python 3.12 sync`"));
    }
    if questions.place {
        let dir = &common.project.dir;
        if common.project.pipfile.is_none() && common.project.lock.is_none() {
            return Err(Error::new(
                Kind::Lock,
                format!("No Pipfile present at project home, nor a lock: {}", dir.display()),
            )
            .help("go to the project's directory, or name it with --project DIR"));
        }
        out.line(&dir.display().to_string());
    }
    if questions.venv || questions.py {
        let venv = commands::run::environment(None, &common)?;
        let shown = if questions.py { venv.join("bin/python") } else { venv };
        out.line(&shown.display().to_string());
    }
    out.finish(ExitCode::SUCCESS)
}

/// `run`: comes back only where the command could not be run, or one before the last of a script failed.
pub(super) fn run(args: &RunArgs, global: &Global, env: Env, ui: &Ui) -> ExitCode {
    match try_run(args, global, env, ui) {
        Ok(code) => ExitCode::from(code),
        Err(Failure { code, error }) => {
            ui.error(&error.report());
            ExitCode::from(code)
        }
    }
}

fn try_run(args: &RunArgs, global: &Global, env: Env, ui: &Ui) -> Result<u8, Failure> {
    let nested = commands::run::is_nested(&env);
    let common = Common::new(global, args.lock.lock_file.as_deref(), env.clone())?;
    common.warnings.0.iter().for_each(|warning| ui.warn(warning));
    let named = args.venv.as_deref().map(options::absolute).transpose()?;
    let venv = if args.system { None } else { Some(ready(args, named, &common, global, env, nested, ui)?) };
    let steps = Steps::new(&common, venv.as_deref(), &args.command)?;
    steps.lines().for_each(|line| ui.detail(&format!("$ {line}")));
    if let Some(venv) = &venv
        && let Some(pip) = steps.foreign_pip(venv)
    {
        let (shown, pip) = (venv.strip_prefix(&common.project.dir).unwrap_or(venv).display(), pip.display());
        ui.warn(&format!(
            "{shown} has no pip: {pip} lists and changes another Python's packages; `venvoy sync --seed` puts pip into it"
        ));
    }
    steps.run()
}

/// The environment to run in; with `--sync` made first where it is missing or not what the lock says.
fn ready(
    args: &RunArgs,
    named: Option<PathBuf>,
    common: &Common,
    global: &Global,
    env: Env,
    nested: bool,
    ui: &Ui,
) -> Result<PathBuf> {
    let found = commands::run::environment(named.clone(), common);
    let freshness = match &found {
        Ok(venv) if args.sync || !nested => commands::freshness(common, venv)?,
        _ => None,
    };
    let stale = freshness.as_ref().filter(|freshness| !freshness.is_fresh());
    if !args.sync {
        let venv = found?;
        if let Some(stale) = stale {
            let shown = venv.strip_prefix(&common.project.dir).unwrap_or(&venv).display();
            ui.warn(&format!("{shown} is not what the lock says: {stale}; `venvoy sync` makes it so, or `venvoy run --sync`"));
        }
        return Ok(venv);
    }
    if let (Ok(venv), None, Some(_)) = (&found, &stale, &freshness) {
        return Ok(venv.clone());
    }
    sync_first(args, named, found.as_deref().ok(), freshness.as_ref(), global, env, ui)?;
    commands::run::environment(args.venv.clone(), common)
}

/// `sync` as typed alone.
#[derive(Debug, Parser)]
struct SyncAlone {
    #[command(flatten)]
    sync: SyncArgs,
}

impl SyncAlone {
    /// `sync` with these words behind it.
    fn of<T: Into<OsString> + Clone>(words: &[T]) -> Result<SyncArgs> {
        let words = words.iter().cloned().map(Into::into);
        let parsed = SyncAlone::try_parse_from(std::iter::once("venvoy".into()).chain(words));
        parsed.map(|alone| alone.sync).map_err(|e| {
            Error::new(Kind::Usage, "a variable sets an option of `venvoy sync` to what it does not take")
                .because(e)
        })
    }
}

fn sync_first(
    args: &RunArgs,
    named: Option<PathBuf>,
    before: Option<&Path>,
    freshness: Option<&Freshness>,
    global: &Global,
    env: Env,
    ui: &Ui,
) -> Result<()> {
    // An environment is made again as it was made: smaller, compiled, for its place.
    let mut sync = SyncAlone::of(&before.map(commands::made_with).unwrap_or_default())?;
    let LockArgs {
        dev,
        categories,
        all_categories,
        deploy,
        ignore_pipfile,
        no_install_local,
        only_install_local,
        lock_file,
    } = &args.lock;
    sync.packages.lock = LockArgs {
        no_install_local: *no_install_local,
        only_install_local: *only_install_local,
        dev: *dev,
        categories: categories.clone(),
        all_categories: *all_categories,
        deploy: *deploy,
        ignore_pipfile: *ignore_pipfile,
        lock_file: lock_file.clone(),
    };
    if let Some(installed) = freshness.filter(|_| !dev && !all_categories && categories.is_none()) {
        sync.packages.lock.categories = Some(installed.categories.join(","));
    }
    sync.output.venv = named;
    let limit = raise_file_limit();
    interrupt::listen().map_err(|e| Error::new(Kind::Io, "cannot listen for signals").because(e))?;
    let (request, output) = request(&sync, LockOptions::new, global, env, ui)?;
    run_sync(&request, &output, ui, None)?;
    // The command is to find the limit that this process found.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    Ok(())
}

/// The page for a bug report; it is printed whatever is wrong.
fn doctor(json: bool, global: &Global, env: &Env, ui: &Ui, out: &mut Stdout) -> Result<()> {
    let common = Common::new(global, None, env.clone());
    let sections = commands::doctor(common.as_ref(), env, &Silent);
    if let Err(error) = &common {
        ui.warn(&error.in_one_line());
    }
    if json {
        return out.json(&sections);
    }
    for (position, section) in sections.iter().enumerate() {
        if position > 0 {
            out.line("");
        }
        section.text().iter().for_each(|line| out.line(line));
    }
    Ok(())
}

/// Hears what a run says and keeps it to itself: the page has its own words.
struct Silent;

impl Progress for Silent {
    fn warn(&self, _warning: &str) {}
    fn detail(&self, _message: &str) {}
    fn request(&self, _url: &url::Url) {}
    fn packages(&self, _done: usize, _of: usize) {}
    fn stage(&self, _name: &str, _total_bytes: u64) {}
    fn expect(&self, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn build_begins(&self, _what: &str) {}
    fn build_ends(&self, _what: &str) {}
    fn tick(&self) {}
}

fn diff(args: &DiffArgs, global: &Global, env: &Env, ui: &Ui, mut out: Stdout) -> Result<ExitCode> {
    // Only an image needs them.
    let options = || {
        let sync = SyncAlone::of::<&str>(&[])?;
        request(&sync, LockOptions::new, global, env.clone(), ui).map(|(options, _)| options)
    };
    let found = commands::diff(&args.first, &args.second, env, options, ui)?;
    if args.json {
        out.json(&found)?;
    } else if args.markdown {
        found.markdown().iter().for_each(|line| out.line(line));
    } else {
        let rows: Vec<Vec<String>> = found.packages.iter().map(|one| one.cells().to_vec()).collect();
        if !rows.is_empty() {
            super::output::table(&mut out, &["package", "change", "before", "after", "more"], &rows);
        }
        out.line(&found.summary());
    }
    out.finish(ExitCode::from(u8::from(args.exit_code && !found.is_empty())))
}

/// A page for venvoy, and one for each command.
fn manual(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io("cannot make the directory", dir, e))?;
    let root = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(root, dir).map_err(|e| Error::io("cannot write the manual pages into", dir, e))
}

fn scripts(args: &ScriptsArgs, common: &Common, out: &mut Stdout) -> Result<()> {
    common.project.pipfile()?;
    let pipfile = commands::run::pipfile(common)?;
    let scripts: Vec<(&str, String)> = pipfile.iter().flat_map(|pipfile| pipfile.scripts.iter()).collect();
    if args.json {
        let object: serde_json::Map<String, serde_json::Value> =
            scripts.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
        return out.json(&object);
    }
    let width = |texts: &mut dyn Iterator<Item = &str>, least: usize| {
        texts.map(|text| text.chars().count()).fold(least, usize::max)
    };
    let first = width(&mut scripts.iter().map(|(name, _)| *name), "Command".len());
    let second = width(&mut scripts.iter().map(|(_, text)| text.as_str()), "Script".len());
    out.line(&format!("{:<first$}  Script", "Command"));
    out.line(&format!("{:-<first$}  {:-<second$}", "", ""));
    for (name, text) in scripts {
        out.line(format!("{name:<first$}  {text}").trim_end());
    }
    Ok(())
}

fn verify(global: &Global, env: Env, ui: &Ui, mut out: Stdout) -> Result<ExitCode> {
    let verified = Common::new(global, None, env).and_then(|common| commands::verify(&common));
    match verified {
        Ok(Verified::UpToDate) => {
            out.line("Pipfile.lock is up-to-date.");
            out.finish(ExitCode::SUCCESS)
        }
        Ok(Verified::OutOfDate) => {
            ui.error("Pipfile.lock is out-of-date.\n  help: make it anew with `pipenv lock`");
            Ok(ExitCode::from(NOT_VERIFIED))
        }
        Err(error) => {
            ui.error(&error.report());
            Ok(ExitCode::from(NOT_VERIFIED))
        }
    }
}

fn requirements(args: &RequirementsArgs, global: &Global, env: Env, ui: &Ui, out: &mut Stdout) -> Result<()> {
    let common = Common::new(global, args.lock_file.as_deref(), env)?;
    let requirements = commands::requirements(&common, args)?;
    requirements.warnings.0.iter().for_each(|warning| ui.warn(warning));
    requirements.lines.iter().for_each(|line| out.product(line));
    Ok(())
}

fn graph(args: &GraphArgs, global: &Global, env: Env, out: &mut Stdout) -> Result<()> {
    let venv = environment(args.venv.as_deref(), global, &env)?;
    let asked = match args.venv {
        Some(_) => BTreeMap::new(),
        None => commands::asked_extras(&Common::new(global, None, env)?)?,
    };
    if !Installed::is_at(&venv) {
        return Err(commands::run::missing(&venv));
    }
    let graph = Graph::read(&venv, asked)?;
    if args.json {
        return out.json(&graph.flat(args.bare));
    }
    let trees = if args.reverse { graph.reversed(args.bare) } else { graph.trees(args.bare) };
    if args.json_tree {
        return out.json(&trees);
    }
    trees.iter().flat_map(|tree| tree.lines(args.reverse)).for_each(|line| out.line(&line));
    Ok(())
}
