//! argv in, exit code out: reads what was typed, runs the command, prints results and errors.

mod fault;
mod output;
mod reading;
mod ui;
mod usage;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _};

use self::{
    output::{CheckResult, Stdout, SyncResult},
    ui::Ui,
};
use crate::{
    artifact::write::remove,
    packages::sdist,
    run::{
        commands::{self, Outcome},
        options::{
            self, Common, IndexOptions, InstallPlace, Keep, LockOptions, Options, OutputOptions, PackOptions,
        },
        timings::{self, Report, Timings},
    },
    words::{
        args::{
            CheckArgs, Cli, Command, Global, InstallArgs, LockArgs, PackArgs, PackagesArgs, Questions,
            Reading, SizeArgs, SyncArgs, WarmArgs,
            pipenv::{self, Answer, Other},
        },
        env::Env,
        error::{Error, Kind, Result},
        interrupt,
        progress::Progress,
        threads,
        vocab::{count, size},
    },
};

/// Runs the command line and gives the exit code (README, "Exit codes").
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    fault::listen();
    if sdist::is_guard(args.iter().cloned()) {
        return sdist::guard();
    }
    if let Some(tree) = remove::asked(args.iter().cloned()) {
        return remove::run(&tree);
    }
    let bare = args.len() <= 1;
    let cli = match parse(args.into_iter()) {
        Ok(Ok(cli)) => cli,
        Ok(Err(other)) => {
            eprintln!("error: {}", not_taken(other).report());
            return ExitCode::from(Kind::Usage.exit_code());
        }
        // As with pipenv: an answer, not a complaint.
        Err(_) if bare => {
            let _ = pipenv::with_others(Cli::command()).print_help();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Kind::Usage.exit_code() } else { 0 });
        }
    };
    let env = Env::of_process();
    let ui = Ui::new(options::verbosity(&cli.global, &env), &env);
    let Cli { command, questions, global } = cli;
    // What takes the place of this process is to find it as this process was found.
    let command = match command {
        Some(Command::Reading(Reading::Run(args))) => return reading::run(&args, &global, env, &ui),
        Some(command) => inherited(command, &questions),
        None => return ended(reading::answer(&questions, &global, env, &ui), &ui),
    };
    raise_file_limit();
    if let Err(error) = interrupt::listen() {
        ui.error(&format!("cannot listen for signals\n  because: {error}"));
        return ExitCode::from(Kind::Io.exit_code());
    }
    let result = threads::workers().and_then(|()| dispatch(command, &global, env, &ui));
    ended(result, &ui)
}

/// The exit code of a command, an error told.
fn ended(result: Result<ExitCode>, ui: &Ui) -> ExitCode {
    result.unwrap_or_else(|error| {
        ui.error(&error.report());
        ExitCode::from(error.kind().exit_code())
    })
}

/// What was typed, or the first thing of it that only pipenv has.
fn parse(args: impl Iterator<Item = OsString>) -> Result<Result<Cli, &'static Other>, clap::Error> {
    let matches = pipenv::with_others(Cli::command()).try_get_matches_from(args)?;
    Ok(match pipenv::refused(&matches) {
        Some(other) => Err(other),
        None => Ok(Cli::from_arg_matches(&matches)?),
    })
}

fn not_taken(other: &Other) -> Error {
    let typed = other.typed();
    match other.answer {
        Answer::Instead(does_not, help) => Error::new(Kind::Usage, format!("{typed}: {does_not}")).help(help),
        Answer::PassedOver(why) => Error::new(Kind::Usage, format!("{typed}: {why}")),
    }
}

/// A command with what was typed before it for it, as with pipenv; what was typed after it counts.
fn inherited(mut command: Command, questions: &Questions) -> Command {
    let PackagesArgs { target, index, .. } = match &mut command {
        Command::Sync(sync) => &mut sync.packages,
        Command::Install(install) => &mut install.sync.packages,
        Command::Check(check) => &mut check.sync.packages,
        Command::Plan(plan) => &mut plan.packages,
        _ => return command,
    };
    target.python = target.python.take().or_else(|| questions.python.clone());
    index.pypi_mirror = index.pypi_mirror.take().or_else(|| questions.pypi_mirror.clone());
    command
}

/// Every wheel of a run is open at once, and the usual limit of 1024 files is not for us to run into.
/// Gives the limit as it was.
fn raise_file_limit() -> rustix::process::Rlimit {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let mut limit = before;
    limit.current = limit.maximum;
    // Where it cannot be raised, a lock of a thousand packages fails with the system's own words.
    let _ = setrlimit(Resource::Nofile, limit);
    before
}

fn dispatch(command: Command, global: &Global, env: Env, ui: &Ui) -> Result<ExitCode> {
    let mut out = Stdout::new(env.concealed());
    match command {
        Command::Sync(args) => sync(&args, LockOptions::new, global, env, ui, &mut out)?,
        Command::Install(args) => {
            refuse(&args)?;
            sync(&args.sync, LockOptions::of_install, global, env, ui, &mut out)?;
        }
        Command::Reading(command) => return reading::dispatch(command, global, env, ui, out),
        Command::Plan(args) => {
            let common = common(global, &args.packages.lock, env, ui)?;
            let request = Options::new(&args.packages, LockOptions::new, common)?;
            if args.diff {
                let output = OutputOptions::new(&args.output, &request.common.project, &request.common.env)?;
                let foreseen = commands::foresee(&request, &output, ui)?;
                if args.json {
                    out.json(&foreseen)?;
                } else {
                    output::foreseen(&mut out, &foreseen);
                }
                return out.finish(ExitCode::SUCCESS);
            }
            let rows = commands::plan(&request, ui)?;
            if args.json {
                out.json(&rows)?;
            } else {
                output::plan_table(&mut out, &rows);
            }
        }
        Command::Pack(args) => pack(&args, global, env, ui, &mut out)?,
        Command::Warm(args) => return warm(&args, global, &env, ui, out),
        Command::Auth(args) => {
            let common = common(global, &args.lock, env, ui)?;
            let lock = LockOptions::new(&args.lock, &common.env);
            let index = IndexOptions::new(&args.index, &common.env)?;
            let rows = commands::auth(&common, &lock, &index, args.check, ui)?;
            if args.json {
                out.json(&rows)?;
            } else {
                output::auth_list(&mut out, &rows);
            }
            if rows.iter().any(|row| !row.ok) {
                return out.finish(ExitCode::from(Kind::Auth.exit_code()));
            }
        }
        Command::Check(args) => return check(&args, global, env, ui, out),
        Command::Digest(args) => {
            let venv = environment(args.venv.as_deref(), global, &env)?;
            out.line(&format!("sha256:{}", crate::environment::manifest::tree_digest(&venv)?));
        }
        Command::Size(args) => measure(&args, global, &env, ui, &mut out)?,
        Command::Cache(args) => {
            let dir = options::cache_dir(global, &env)?;
            if !commands::cache(args.action, &dir, &env, &mut |line| out.line(line))? {
                return out.finish(ExitCode::from(Kind::Integrity.exit_code()));
            }
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "venvoy", &mut script);
            out.line(String::from_utf8_lossy(&script).trim_end());
        }
    }
    out.finish(ExitCode::SUCCESS)
}

fn common(global: &Global, lock: &LockArgs, env: Env, ui: &Ui) -> Result<Common> {
    let common = Common::new(global, lock.lock_file.as_deref(), env)?;
    // The project's `.env` may say how much.
    ui.print(common.verbosity);
    Ok(common)
}

/// What `sync` was asked to do, checked; `lock` says what its options for the lock mean.
fn request(
    args: &SyncArgs,
    lock: fn(&LockArgs, &Env) -> LockOptions,
    global: &Global,
    env: Env,
    ui: &Ui,
) -> Result<(Options, OutputOptions)> {
    let common = common(global, &args.packages.lock, env, ui)?;
    let output = OutputOptions::new(&args.output, &common.project, &common.env)?;
    Ok((Options::new(&args.packages, lock, common)?, output))
}

/// Makes a tar or an image.
fn pack(args: &PackArgs, global: &Global, env: Env, ui: &Ui, out: &mut Stdout) -> Result<()> {
    let start = std::time::Instant::now();
    let common = common(global, &args.packages.lock, env, ui)?;
    let pack = PackOptions::new(&args.artifact)?;
    let output = OutputOptions::for_artifact(&args.make, &common.project, &common.env)?;
    let request = Options::new(&args.packages, LockOptions::new, common)?;
    let timings = &*args.watch.timings;
    let prints_timings = args.watch.prints_timings();
    if prints_timings && pack.takes_stdout() {
        return Err(Error::new(Kind::Usage, "--timings=json and an artifact both go to standard output")
            .help("write one of them to a file"));
    }
    measured(timings, &request.common, ui, |progress| {
        let packed = commands::pack(&request, &output, &pack, progress)?;
        if let Some(image) = packed.image.as_ref().filter(|_| !pack.takes_stdout()) {
            for layer in &image.layers {
                ui.detail(&format!(
                    "layer sha256:{} {} {}",
                    layer.blob.sha256,
                    size(layer.blob.size),
                    layer.holds
                ));
            }
            if !prints_timings {
                out.line(&format!("sha256:{}", image.digest));
            }
        }
        Ok(((), output::packed(&packed, start.elapsed())))
    })
}

/// Fills the cache.
fn warm(args: &WarmArgs, global: &Global, env: &Env, ui: &Ui, mut out: Stdout) -> Result<ExitCode> {
    let start = std::time::Instant::now();
    let asks = options::asks(args, global, env)?;
    if let [ask] = &*asks
        && let Some((_, options)) = ask.targets.first()
    {
        // The project's `.env` may say how much.
        ui.print(options.common.verbosity);
    }
    let keep = Keep::new(args, env)?;
    let told = |progress: &dyn Progress| {
        let (warmed, outcome) = commands::warm(&asks, &keep, progress)?;
        if args.json {
            out.json(&warmed)?;
        } else if !keep.takes_stdout() && !args.watch.prints_timings() {
            output::warmed(&mut out, &warmed);
        }
        let code = out.finish(ExitCode::SUCCESS)?;
        outcome?;
        Ok((code, output::warmed_line(&warmed, start.elapsed())))
    };
    let timings = &*args.watch.timings;
    let common = asks.iter().find_map(|ask| ask.targets.first().map(|(_, options)| &options.common));
    if let Some(common) = common {
        return measured(timings, common, ui, told);
    }
    // Nothing is asked for: there is nothing to measure.
    let (code, line) = told(ui)?;
    ui.done(&line);
    Ok(code)
}

/// Compares an environment with what was written and with the lock; with `--repair` it is made anew.
fn check(args: &CheckArgs, global: &Global, env: Env, ui: &Ui, mut out: Stdout) -> Result<ExitCode> {
    let (mut request, mut output) = request(&args.sync, LockOptions::new, global, env, ui)?;
    let checked = commands::check(&request, &output, ui)?;
    if args.sync.json {
        out.json(&CheckResult::from(&checked))?;
    } else {
        output::check_report(&mut out, &output.place.venv, &checked);
    }
    if checked.is_clean() {
        return out.finish(ExitCode::SUCCESS);
    }
    if !args.repair {
        return out.finish(ExitCode::from(Kind::Integrity.exit_code()));
    }
    let code = out.finish(ExitCode::SUCCESS)?;
    output.place.fresh = true;
    output.place.repair = true;
    commands::keep_python(&mut request, &output)?;
    run_sync(&request, &output, ui, None)?;
    let repaired = commands::check(&request, &output, ui)?;
    if repaired.is_clean() {
        return Ok(code);
    }
    let wrong = repaired.files.missing.len() + repaired.files.changed.len() + repaired.files.extra.len();
    let venv = output.place.venv.display();
    let (files, packages) = (count(wrong, "file"), count(repaired.lock.len(), "package"));
    Err(Error::new(
        Kind::Integrity,
        format!("{venv} was made anew and is still not right: {files} and {packages} differ"),
    )
    .help("find out what else writes to it; `venvoy check` names what differs"))
}

/// Shows what takes the space in an environment.
fn measure(args: &SizeArgs, global: &Global, env: &Env, ui: &Ui, out: &mut Stdout) -> Result<()> {
    let venv = environment(args.venv.as_deref(), global, env)?;
    let usage = crate::run::size::measure(&venv)?;
    if args.json {
        out.json(&usage)?;
    } else {
        usage::report(out, &usage);
    }
    if let Some(file) = &args.html {
        let shown = args.venv.as_deref().unwrap_or(std::path::Path::new(".venv")).display().to_string();
        std::fs::write(file, crate::run::size::page(&usage, &shown))
            .map_err(|e| Error::io("cannot write", file, e))?;
        ui.done(&format!("wrote {}", file.display()));
    }
    Ok(())
}

fn sync(
    args: &SyncArgs,
    lock: fn(&LockArgs, &Env) -> LockOptions,
    global: &Global,
    env: Env,
    ui: &Ui,
    out: &mut Stdout,
) -> Result<()> {
    let (request, output) = request(args, lock, global, env, ui)?;
    let json = args.json.then_some(out);
    measured(&args.watch.timings, &request.common, ui, |progress| {
        sync_told(&request, &output, progress, json).map(|line| ((), line))
    })
}

/// Runs what gives a result and the line that says what was done. What it tells its watchers is written down in each of
/// these files.
fn measured<T>(
    files: &[PathBuf],
    common: &Common,
    ui: &Ui,
    run: impl FnOnce(&dyn Progress) -> Result<(T, String)>,
) -> Result<T> {
    if files.is_empty() {
        let (value, line) = run(ui)?;
        ui.done(&line);
        return Ok(value);
    }
    let timings = Timings::new(ui);
    let result = run(&timings);
    let ended = match &result {
        Ok((_, line)) => line.clone(),
        Err(error) => format!("failed: {}", error.in_one_line()),
    };
    // Where the time of a run went that failed is of interest too.
    let report = timings.report(common.env.concealed().hide(&ended));
    let written: Vec<Result<()>> =
        files.iter().map(|file| write_timings(&report, file, common, ui)).collect();
    let (value, line) = result?;
    ui.done(&line);
    written.into_iter().collect::<Result<()>>().map(|()| value)
}

/// Writes or prints where the time went.
fn write_timings(report: &Report, file: &Path, common: &Common, ui: &Ui) -> Result<()> {
    if file == Path::new("json") {
        let mut out = Stdout::new(common.env.concealed());
        out.json(report)?;
        return out.finish(ExitCode::SUCCESS).map(drop);
    }
    let dir = &common.project.dir;
    let name =
        dir.file_name().map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned());
    std::fs::write(file, timings::page(report, &name)).map_err(|e| Error::io("cannot write", file, e))?;
    ui.detail(&format!("wrote {}", file.display()));
    Ok(())
}

fn run_sync(request: &Options, output: &OutputOptions, ui: &Ui, json: Option<&mut Stdout>) -> Result<()> {
    ui.done(&sync_told(request, output, ui, json)?);
    Ok(())
}

/// Makes the environment and gives the line that says what was done; the same as a value to `json`, where that is given.
fn sync_told(
    request: &Options,
    output: &OutputOptions,
    progress: &dyn Progress,
    json: Option<&mut Stdout>,
) -> Result<String> {
    let start = std::time::Instant::now();
    let (place, outcome) = commands::sync(request, output, progress)?;
    let venv = place.strip_prefix(&request.common.project.dir).unwrap_or(&place).display().to_string();
    let venv = match output.place.into {
        InstallPlace::Active(_) if place != output.place.venv => {
            format!("{venv} (the active virtual environment)")
        }
        _ => venv,
    };
    if let Some(json) = json {
        json.json(&SyncResult::new(&venv, &outcome, start.elapsed()))?;
    }
    Ok(match outcome {
        Outcome::Current { packages } => {
            format!("{venv} is up to date ({})", count(packages, "package"))
        }
        Outcome::Written(summary) => output::summary(&venv, &summary, start.elapsed()),
        Outcome::Changed(changes, summary) => {
            for (names, word) in
                [(&changes.added, "added"), (&changes.removed, "removed"), (&changes.changed, "changed")]
            {
                for name in names {
                    progress.detail(&format!("{word}: {name}"));
                }
            }
            output::changes(&venv, &changes, &summary, start.elapsed())
        }
    })
}

/// What pipenv's `install` can do and venvoy's cannot: adding packages. `pipenv install requests` edits the Pipfile and the lock, which venvoy never does.
fn refuse(args: &InstallArgs) -> Result<()> {
    let Some(first) = args.packages.first() else { return Ok(()) };
    Err(Error::new(
        Kind::Usage,
        format!("venvoy installs what the lock holds; it does not add packages such as {first:?}"),
    )
    .help(format!("add it with `pipenv install {first}` or `pipenv lock`, then run `venvoy install`")))
}

/// The environment that `digest` and `size` are about: a path, or the project's `.venv`.
fn environment(named: Option<&std::path::Path>, global: &Global, env: &Env) -> Result<std::path::PathBuf> {
    if let Some(path) = named {
        return options::absolute(path);
    }
    options::venv_path(None, &Common::new(global, None, env.clone())?.project)
}
