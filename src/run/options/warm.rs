//! Which locks are warmed, for which targets, and what is kept of them: `warm`'s part of the command line.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{
    BuildOptions, Common, IndexOptions, LockOptions, Options, OutputOptions, PackOptions, TargetOptions, To,
    absolute, pack,
};
use crate::artifact::registry::Reference;
use crate::words::{
    args::{Global, WarmArgs, WarmTargetArgs},
    env::Env,
    error::{Error, Kind, Result},
    files::{LARGEST_TEXT, read_regular},
};

/// How deep projects are looked for, in directories.
const DEPTH: usize = 32;

/// Directories that hold other people's projects.
const NOT_OURS: [&str; 4] = ["node_modules", "site-packages", "__pycache__", "vendor"];

/// A lock, and what is wanted of it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// What messages call it.
    pub label: String,
    /// What is taken from it, and from where; one for each target, each with what messages call that.
    pub targets: Vec<(Option<String>, Options)>,
    /// What builds and layers are made with.
    pub output: OutputOptions,
}

/// What is kept beside what the cache gets.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    /// Whether wheels are unpacked.
    pub unpacked: bool,
    /// How layers are made, where they are.
    pub layers: Option<PackOptions>,
    /// A directory of wheels for pip.
    pub wheelhouse: Option<PathBuf>,
    /// A tar of all that the locks need.
    pub output: Option<To>,
    /// A cache of what was added.
    pub delta: Option<PathBuf>,
    /// A repository that wheels are pushed to.
    pub push: Option<Reference>,
}

impl Keep {
    /// Whether standard output is taken by what is made.
    pub(crate) fn takes_stdout(&self) -> bool {
        self.output == Some(To::Stdout)
    }

    /// Checks what was typed.
    pub(crate) fn new(args: &WarmArgs, env: &Env) -> Result<Self> {
        let keep = &args.keep;
        let output = keep.output.as_deref().map(pack::to).transpose()?;
        if let Some(path) = keep.output.as_deref()
            && path != Path::new("-")
            && path.extension().is_none_or(|end| end != "tar")
        {
            return Err(Error::new(Kind::Usage, format!("--output {} is no FILE.tar", path.display()))
                .help("wheels are compressed already: expected FILE.tar or -"));
        }
        if args.json && output == Some(To::Stdout) {
            return Err(Error::new(Kind::Usage, "--json and --output - both want standard output")
                .help("write the tar to a file"));
        }
        let push = keep.push.as_deref().map(Reference::repository).transpose()?;
        if push.is_some() && !keep.push_anyway {
            refuse_untrusted(env)?;
        }
        Ok(Keep {
            unpacked: keep.unpacked,
            layers: keep.layers.then(|| PackOptions::of_layers(&keep.owner, keep.max_layers)).transpose()?,
            wheelhouse: keep.wheelhouse.as_deref().map(absolute).transpose()?,
            output,
            delta: keep.delta.as_deref().map(absolute).transpose()?,
            push,
        })
    }
}

/// Refuses to push in a job whose code was reviewed by nobody: what it pushes, the jobs of protected branches would find
/// there. It guards against an accident; who writes such a job can leave the guard out, so that what may push belongs
/// among the registry's rights.
fn refuse_untrusted(env: &Env) -> Result<()> {
    let Some(why) = untrusted(env) else { return Ok(()) };
    Err(Error::new(Kind::Usage, format!("--push in a job for an untrusted ref: {why}")).help(
        "push in a job of a protected branch alone, and let the others read (--cache-from); --push-anyway pushes",
    ))
}

/// Why a job's ref is not trusted, by the variables of its service.
fn untrusted(env: &Env) -> Option<String> {
    if env.flag("GITLAB_CI") && env.get("CI_COMMIT_REF_PROTECTED") != Some("true") {
        let name = env.get("CI_COMMIT_REF_NAME").unwrap_or("?");
        return Some(format!("{name} is not protected (CI_COMMIT_REF_PROTECTED)"));
    }
    let event = env.get("GITHUB_EVENT_NAME").unwrap_or_default();
    if !env.flag("GITHUB_ACTIONS") || !event.starts_with("pull_request") {
        return None;
    }
    let read = || {
        let bytes = read_regular(&env.path("GITHUB_EVENT_PATH")?, LARGEST_TEXT).ok()?;
        let event: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let repository = |side: &str| {
            let repository = &event["pull_request"][side]["repo"];
            repository["full_name"].as_str().map(str::to_owned)
        };
        Some((repository("head")?, repository("base")?))
    };
    match read() {
        Some((head, base)) if head == base => None,
        Some((head, _)) => Some(format!("the pull request comes from {head}")),
        None => Some(format!("GITHUB_EVENT_PATH does not say where the {event} comes from")),
    }
}

/// The locks that are meant, each with its project and that one's `.env`.
pub(crate) fn asks(args: &WarmArgs, global: &Global, env: &Env) -> Result<Vec<Ask>> {
    if args.lock.lock_file.is_some() && !args.places.is_empty() {
        return Err(Error::new(Kind::Usage, "--lock and PROJECT|LOCK both name locks")
            .help("name all of them without --lock"));
    }
    let places = if args.recursive { found(&args.places, global)? } else { args.places.clone() };
    if places.is_empty() {
        return Ok(vec![ask(args, global, args.lock.lock_file.as_deref(), env)?]);
    }
    let mut seen = BTreeSet::new();
    let mut asks = Vec::new();
    for place in &places {
        let (dir, lock) = if place.is_dir() {
            (place.clone(), None)
        } else {
            let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
            (parent.unwrap_or(Path::new(".")).to_owned(), Some(absolute(place)?))
        };
        let own = Global { project: Some(dir), ..global.clone() };
        let ask = ask(args, &own, lock.as_deref(), env)?;
        let lock = ask.targets.first().and_then(|(_, options)| options.common.project.lock.clone());
        if lock.is_none_or(|lock| seen.insert(lock.path().to_owned())) {
            asks.push(Ask { label: place.display().to_string(), ..ask });
        }
    }
    Ok(asks)
}

fn ask(args: &WarmArgs, global: &Global, lock: Option<&Path>, env: &Env) -> Result<Ask> {
    let common = Common::new(global, lock, env.clone())?;
    let label = match &common.project.lock {
        Some(lock) => lock.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        None => common.project.dir.display().to_string(),
    };
    let output = OutputOptions::for_artifact(&args.make, &common.project, &common.env)?;
    let mut options = Options {
        lock: LockOptions::new(&args.lock, &common.env),
        target: TargetOptions::of_env(&common.env),
        index: IndexOptions::new(&args.index, &common.env)?,
        build: BuildOptions::new(&args.build, &common.env)?,
        common,
    };
    if let Some(python) = &args.target.python {
        options.target.python = Some((python.clone(), "--python"));
    }
    let mut targets = Vec::new();
    for (version, platform) in described(&args.target) {
        let label = format!("{version} {platform}");
        let mut options = options.clone();
        options.target = TargetOptions {
            described: Some((version, platform)),
            home: Some(args.target.python_home.clone()),
            ..TargetOptions::default()
        };
        targets.push((Some(label), options));
    }
    if targets.is_empty() || args.target.native {
        targets.push((None, options));
    }
    Ok(Ask { label, targets, output })
}

/// Each Python on each platform.
fn described(args: &WarmTargetArgs) -> Vec<(String, String)> {
    let here = [format!("linux/{}", std::env::consts::ARCH)];
    let platforms = if args.platform.is_empty() { &here[..] } else { &args.platform };
    let mut all: Vec<(String, String)> = Vec::new();
    for version in &args.python_version {
        for platform in platforms {
            let one = (version.clone(), platform.clone());
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

/// Every directory with a lock, in these directories and below them.
fn found(places: &[PathBuf], global: &Global) -> Result<Vec<PathBuf>> {
    let here = [global.project.clone().unwrap_or_else(|| PathBuf::from("."))];
    let places = if places.is_empty() { &here[..] } else { places };
    let mut dirs = Vec::new();
    for place in places {
        if !place.is_dir() {
            return Err(Error::new(Kind::Usage, format!("{} is not a directory", place.display()))
                .help("--recursive takes directories; a lock is named without it"));
        }
        below(place, DEPTH, &mut dirs)?;
    }
    if dirs.is_empty() {
        let named: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        return Err(Error::new(
            Kind::Lock,
            format!("there is no Pipfile.lock and no pylock.toml in {} or below", named.join(", ")),
        )
        .help("name the directory that holds the projects"));
    }
    Ok(dirs)
}

fn below(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = |error| Error::io("cannot list", dir, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        // A link to a directory could lead back.
        let is_dir = entry.file_type().map_err(cannot)?.is_dir();
        names.push((entry.file_name(), is_dir));
    }
    names.sort();
    let has = |name: &str| names.iter().any(|(found, is_dir)| !is_dir && found == OsStr::new(name));
    if has("pyvenv.cfg") {
        return Ok(());
    }
    if has("Pipfile.lock") || has("pylock.toml") {
        found.push(dir.to_owned());
    }
    let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
    for (name, _) in names.iter().filter(|(_, is_dir)| *is_dir) {
        let hidden = name.to_str().is_some_and(|name| name.starts_with('.') || NOT_OURS.contains(&name));
        if !hidden {
            below(&dir.join(name), depth, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_for_refs_that_nobody_reviewed_do_not_push() {
        let refused = |variables: &[(&str, &str)]| {
            let mut env = Env::default();
            for (name, value) in variables {
                env.set(*name, *value);
            }
            untrusted(&env)
        };
        assert_eq!(refused(&[]), None, "a person's own machine");
        let gitlab = ("GITLAB_CI", "true");
        assert_eq!(refused(&[gitlab, ("CI_COMMIT_REF_PROTECTED", "true")]), None);
        for variables in [
            &[gitlab, ("CI_COMMIT_REF_PROTECTED", "false"), ("CI_COMMIT_REF_NAME", "patch")][..],
            &[gitlab, ("CI_COMMIT_REF_NAME", "patch")],
        ] {
            assert!(refused(variables).expect("refused").contains("patch is not protected"));
        }
        let dir = tempfile::tempdir().expect("a directory");
        let event = |head: &str| {
            let file = dir.path().join("event.json");
            let text = serde_json::json!({"pull_request": {
                "head": {"repo": {"full_name": head}}, "base": {"repo": {"full_name": "team/shop"}}}});
            std::fs::write(&file, text.to_string()).expect("written");
            file.to_str().expect("UTF-8").to_owned()
        };
        let github = ("GITHUB_ACTIONS", "true");
        assert_eq!(refused(&[github, ("GITHUB_EVENT_NAME", "push")]), None);
        for name in ["pull_request", "pull_request_target"] {
            let own = event("team/shop");
            assert_eq!(refused(&[github, ("GITHUB_EVENT_NAME", name), ("GITHUB_EVENT_PATH", &own)]), None);
            let fork = event("mallory/shop");
            let why = refused(&[github, ("GITHUB_EVENT_NAME", name), ("GITHUB_EVENT_PATH", &fork)]);
            assert!(why.expect("refused").contains("comes from mallory/shop"));
            assert!(
                refused(&[github, ("GITHUB_EVENT_NAME", name)]).is_some(),
                "an event that cannot be read"
            );
        }
    }
}
