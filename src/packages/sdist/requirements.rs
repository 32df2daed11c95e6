//! Build requirements: which files they mean, resolved once by pip and kept.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{Context, environment::Environment, settings::Settings, store::digest};
use crate::{
    packages::cache::{KeyLock, VerifiedFile},
    words::{
        error::{Context as _, Error, Kind, Result},
        vocab::{Sha256, WheelName},
    },
};

/// How long an answer counts before pip is asked again.
const FRESH: Duration = Duration::from_hours(24);

/// Changes when the same requirements are resolved in another way.
const FORMAT: &str = "venvoy requirements 1";

/// What of the cache and of other rooms a build's environment is made with.
pub trait Workshop: Sync {
    /// Takes a wheel that pip brought into the cache.
    fn adopt(&self, wheel: &Path) -> Result<VerifiedFile>;
    /// A file of the cache.
    fn file(&self, digest: &Sha256) -> Option<VerifiedFile>;
    /// The sole right to resolve what `key` stands for.
    fn lock(&self, key: &Sha256) -> KeyLock;
    /// Makes an environment of these wheels at a place, whose parent is private.
    fn lay_out(&self, wheels: &[Requirement], environment: &Path, how: LayOut) -> Result<()>;
}

/// How an environment to build in is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct LayOut {
    /// Whether nobody who uses it can write to it, so that it may share files with the cache.
    pub read_only: bool,
    /// Whether such an environment was made before. Only then there is bytecode, which takes longer to make than one build
    /// saves by it.
    pub again: bool,
    /// Whether what the interpreter itself has is seen in it.
    pub interpreters: bool,
}

/// A wheel that a build needs.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// Its file, in the cache.
    pub file: VerifiedFile,
    /// Its name.
    pub name: WheelName,
}

impl Requirement {
    /// `name==version`.
    pub fn pin(&self) -> String {
        format!("{}=={}", self.name.name, self.name.version)
    }
}

/// An answer of pip's, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Resolved {
    /// When it was asked, in seconds since 1970.
    asked: u64,
    /// The indexes that were asked.
    sources: Vec<String>,
    /// The wheels.
    files: Vec<Named>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: String,
    sha256: String,
}

/// Gives the wheels that these requirements mean for the target: those that were found before, if that is not long ago,
/// else those that `ask` (pip) leaves in a directory; and whether they were known. `into` is that directory, which is private and not there yet.
///
/// Where `ask` fails for want of a network, an older answer counts, which `warn` is told.
pub(super) fn resolve(
    context: &Context,
    requirements: &[String],
    settings: &Settings,
    into: &Path,
    ask: &dyn Fn(&Path) -> Result<()>,
    warn: &mut dyn FnMut(String),
) -> Result<(Vec<Requirement>, bool)> {
    let key = key(context, requirements, settings);
    let _lock = context.workshop.lock(&key);
    let name = key.to_string();
    let known = known(context, &name)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let fresh = |asked: u64| now.saturating_sub(asked) < FRESH.as_secs() && asked <= now;
    if let Some((asked, wheels)) = &known
        && (context.offline || fresh(*asked) && !context.refresh)
    {
        return Ok((wheels.clone(), true));
    }
    fs::create_dir(into).map_err(|e| Error::io("cannot create", into, e))?;
    if let Err(error) = ask(into) {
        let Some((_, wheels)) = known else { return Err(error) };
        warn(format!(
            "cannot ask again what the build requirements ({}) mean; those of an earlier run are used: {}",
            requirements.join(", "),
            error.in_one_line()
        ));
        return Ok((wheels, true));
    }
    let wheels = adopt_all(context, into)?;
    let file =
        |one: &Requirement| Named { name: one.name.file_name.clone(), sha256: one.file.sha256().to_string() };
    let resolved = Resolved {
        asked: now,
        sources: context.sources.iter().map(|source| context.concealed.hide(source.url.as_str())).collect(),
        files: wheels.iter().map(file).collect(),
    };
    let text = serde_json::to_string(&resolved)
        .map_err(|e| Error::new(Kind::Io, "cannot write build requirements as JSON").because(e))?;
    context.store.keep_note(&name, &text)?;
    Ok((wheels, false))
}

/// What was found before, if all of it is there still.
fn known(context: &Context, key: &str) -> Result<Option<(u64, Vec<Requirement>)>> {
    let Some(note) = context.store.note(key)? else { return Ok(None) };
    let Ok(resolved) = serde_json::from_str::<Resolved>(&note) else { return Ok(None) };
    let find = |one: &Named| {
        let file = context.workshop.file(&one.sha256.parse().ok()?)?;
        Some(Requirement { file, name: one.name.parse().ok()? })
    };
    let wheels: Option<Vec<Requirement>> = resolved.files.iter().map(find).collect();
    Ok(wheels.map(|wheels| (resolved.asked, wheels)))
}

fn adopt_all(context: &Context, directory: &Path) -> Result<Vec<Requirement>> {
    let failed = |e| Error::io("cannot read", directory, e);
    let mut wheels = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name: WheelName =
            file_name.parse().context(|| format!("pip left {file_name} as a build requirement"))?;
        wheels.push(Requirement { file: context.workshop.adopt(&path)?, name });
    }
    wheels.sort_by(|a, b| a.name.file_name.cmp(&b.name.file_name));
    Ok(wheels)
}

/// What decides which files a set of requirements means, but for the day: no secret is among it.
fn key(context: &Context, requirements: &[String], settings: &Settings) -> Sha256 {
    let target = context.target;
    let mut requirements = requirements.to_vec();
    requirements.sort();
    requirements.dedup();
    let platform = target.tags.iter().next().map_or("any", |tag| tag.platform.as_str());
    let sources: Vec<String> =
        context.sources.iter().map(|source| context.concealed.hide(source.url.as_str())).collect();
    let mut text = format!(
        "{FORMAT}\n{requirements:?}\n{} {:?} {} {platform}\n{sources:?}\n{:?}\n",
        target.cache_tag, target.version, target.free_threaded, settings.pip
    );
    for (name, value) in Environment::for_pip(context.env, &[]).iter() {
        let name = name.to_string_lossy();
        if !name.starts_with("PIP_") {
            continue;
        }
        let _ = writeln!(text, "{name}={}", Sha256::of(value.as_encoded_bytes()));
        if name.ends_with("CONSTRAINT") {
            for file in value.to_string_lossy().split_whitespace() {
                let digest = digest(&context.project_dir.join(file)).map(|(digest, _)| digest.to_string());
                let _ = writeln!(text, "{}", digest.unwrap_or_default());
            }
        }
    }
    Sha256::of(text.as_bytes())
}
