//! What a build gave: checked, kept under a key, or taken from an earlier one.

use std::path::Path;

use super::{
    Built,
    environment::Environment,
    normalise::{Normalised, normalise},
    session::BuildSession,
    store::{BuildRecord, digest},
    traces::BuildSite,
};
use crate::{
    packages::cache::VerifiedFile,
    words::{
        error::{Error, Kind, Result, Warnings},
        vocab::{Sha256, WheelName},
    },
};

/// Changes when the same inputs are built in another way, so that older wheels are not taken for it.
const FORMAT: &str = "venvoy build 2";

/// How strictly what was built must be what the lock names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strict {
    /// Another name or version is an error: the file claims to be this release.
    All,
    /// Another name is an error; the version beside a repository's commit is old news.
    Name,
    /// The user's own project: a difference is only told.
    Nothing,
}

impl BuildSession<'_> {
    /// Normalises, checks and keeps a wheel.
    pub(super) fn finish(
        &mut self,
        wheel: &Path,
        key: Option<&str>,
        strict: Strict,
        origin: &BuildSite,
    ) -> Result<Built> {
        let file_name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name: WheelName = file_name.parse()?;
        let place = tempfile::Builder::new()
            .prefix("wheel-")
            .tempdir_in(self.context.scratch)
            .map_err(|e| Error::io("cannot create a directory in", self.context.scratch, e))?
            .keep();
        let out = place.join(&file_name);
        let Normalised { identity, scripts, warnings } =
            normalise(wheel, &out, self.context.epoch(), origin)?;
        for warning in warnings.0 {
            self.warnings.push(format!("{}: {warning}", self.job.name));
        }
        let record = BuildRecord {
            scripts: scripts.iter().map(ToString::to_string).collect(),
            requirements: self.requirements.clone(),
            from: self.job.source.stands_for(&self.job.name).to_string(),
        };
        if identity.name != name.name || identity.version != name.version {
            return Err(Error::new(
                Kind::Integrity,
                format!(
                    "the built wheel {file_name} says inside that it is {} {}",
                    identity.name, identity.version
                ),
            ));
        }
        self.check(&name, strict)?;
        let (file, record) = if let Some(key) = key {
            self.context.store.keep_wheel(key, &out, &record)?
        } else {
            let (sha256, size) = digest(&out)?;
            (VerifiedFile::vouch(out, sha256, size), record)
        };
        self.built(file, name, &record, false)
    }

    /// A wheel that an earlier build of the same inputs gave.
    pub(super) fn kept(&mut self, key: &str, strict: Strict) -> Result<Option<Built>> {
        let Some((file, record)) = self.context.store.wheel(key)? else { return Ok(None) };
        let name: WheelName = file.path().file_name().unwrap_or_default().to_string_lossy().parse()?;
        self.check(&name, strict)?;
        self.built(file, name, &record, true).map(Some)
    }

    #[allow(clippy::unused_self, reason = "it belongs to the other ways to end a session")]
    pub(super) fn built(
        &self,
        wheel: VerifiedFile,
        file_name: WheelName,
        record: &BuildRecord,
        cached: bool,
    ) -> Result<Built> {
        Ok(Built {
            scripts: record.scripts.iter().map(|path| path.parse()).collect::<Result<_>>()?,
            requirements: record.requirements.clone(),
            wheel,
            name: file_name.name.clone(),
            version: file_name.version.clone(),
            file_name,
            direct_url: None,
            editable: None,
            checkout: None,
            commit: None,
            cached,
            log: None,
            warnings: Warnings::default(),
        })
    }

    /// Whether the wheel is the distribution the lock names, and one the target can use.
    pub(super) fn check(&mut self, wheel: &WheelName, strict: Strict) -> Result<()> {
        let same_name = wheel.name == self.job.name || is_placeholder(self.job.name.as_str());
        let same_version = self.job.pin.accepts(&wheel.version, wheel.written_version());
        let fatal = !same_name && strict != Strict::Nothing || !same_version && strict == Strict::All;
        if !same_name || !same_version {
            let expected = [self.job.name.as_str(), &self.job.pin.bare()].join(" ");
            let expected = expected.trim_end();
            let message = format!("got {} {}, the lock says {expected}", wheel.name, wheel.version);
            if fatal {
                return Err(Error::new(Kind::Integrity, message)
                    .help("the source does not give what the lock names: do not use it, or lock again"));
            }
            self.warnings.push(message);
        }
        let target = self.context.target;
        if target.tags.best(wheel).is_none() {
            let why = target.tags.explain(wheel).map_or_else(String::new, |mismatch| format!(": {mismatch}"));
            return Err(Error::new(
                Kind::Selection,
                format!("{} does not fit {}{why}", wheel.file_name, target.describe_shortly()),
            )
            .help("build it on the platform and with the interpreter it is for"));
        }
        Ok(())
    }

    /// What a built wheel is kept under: everything that decides its bytes, and no secret.
    pub(super) fn key(&self, source: &str) -> String {
        let target = self.context.target;
        let platform = target.tags.iter().next().map_or("any", |tag| tag.platform.as_str());
        let flags = Environment::for_pip(self.context.env, &self.runner.secrets).flags();
        let text = format!(
            "{FORMAT}\n{source}\n{} {:?} {} {platform}\n{}\n{}\n{flags}",
            target.cache_tag,
            target.version,
            target.free_threaded,
            self.context.epoch(),
            self.settings.key(),
        );
        let text = if self.settings.no_isolation {
            format!("{text}\n{}", self.context.installed.key())
        } else {
            text
        };
        Sha256::of(text.as_bytes()).to_string()
    }
}

/// A key that an older pipenv made up for a project without a name (seven hexadecimal digits).
fn is_placeholder(name: &str) -> bool {
    name.len() == 7 && name.bytes().all(|c| c.is_ascii_hexdigit())
}
