//! `verify`: was the lock made for this Pipfile?

use crate::{
    project::lock::{Lock, Pipfile},
    run::{
        inputs,
        options::{Common, LockFile},
    },
    words::error::{Error, Kind, Result},
};

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    /// It was.
    UpToDate,
    /// It was made for another, or there is none.
    OutOfDate,
}

/// Compares the hash in the lock with the Pipfile's.
///
/// # Errors
/// [`Kind::Lock`] without a Pipfile, and for files that cannot be read.
pub(crate) fn verify(common: &Common) -> Result<Verified> {
    let path = common.project.pipfile()?;
    let bytes = inputs::read(path, "correct its permissions")?;
    let (pipfile, _) = Pipfile::parse(&bytes, &inputs::label(path), &common.env)?;
    let lock = match &common.project.lock {
        None => return Ok(Verified::OutOfDate),
        Some(LockFile::Pipenv(lock)) => lock,
        Some(LockFile::Pylock(lock)) => {
            return Err(Error::new(
                Kind::Lock,
                format!("{} does not say which Pipfile it was made for", inputs::label(lock)),
            )
            .help("`venvoy verify` needs a Pipfile.lock: make one with `pipenv lock`"));
        }
    };
    let bytes = inputs::read(lock, "correct its permissions")?;
    let lock = Lock::glance(&bytes, &inputs::label(lock), &common.env)?;
    Ok(if pipfile.is_fresh(&lock) { Verified::UpToDate } else { Verified::OutOfDate })
}
