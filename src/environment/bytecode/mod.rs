//! Bytecode: sources in, `.pyc` files out, the same bytes each time.
//!
//! The target's interpreter compiles (`compile.py`, one process for each thread) and [`marshal`] gives its
//! output one form. The name that a code object has for its file is the one by which it will be known at
//! run time where that is known (`--at`), else the path relative to the environment: the interpreter puts
//! in the true one when it loads the file (`_fix_co_filename`), so tracebacks show it in both cases.
//!
//! What was compiled is kept in the cache by wheel, see [`Kept`].

mod batch;
mod kept;
pub(crate) mod marshal;
mod worker;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub(crate) use batch::{Module, Modules};
pub use kept::Kept;
pub(crate) use worker::Worker;

use crate::{
    packages::cache::Cache,
    project::python::Target,
    words::{
        choices::Invalidation,
        error::{Error, Kind, Result},
        vocab::Sha256,
    },
};

/// What became of a source: a `.pyc` file, or the reason why there is none.
pub(crate) type Compiled = Result<Vec<u8>, String>;

/// Changes whenever the same source would give other bytes.
pub(crate) const VERSION: u32 = 1;

/// Compiles for one target.
#[derive(Debug)]
pub struct Compiler<'c> {
    python: PathBuf,
    version: (u8, u8),
    shape: marshal::Shape,
    invalidation: Invalidation,
    /// Of every source, in seconds since 1970.
    mtime: i64,
    /// What file names begin with: empty, or the environment's place with a slash.
    prefix: String,
    key: Sha256,
    cache: Option<&'c Cache>,
}

impl<'c> Compiler<'c> {
    /// A compiler for an environment that will live `at` a place or anywhere.
    ///
    /// # Errors
    /// [`Kind::Target`] for interpreters whose code objects are not known: others than CPython 3.7 to 3.14.
    pub fn new(
        target: &Target,
        invalidation: Invalidation,
        at: Option<&str>,
        mtime: i64,
        cache: Option<&'c Cache>,
    ) -> Result<Self> {
        let (major, minor, _) = target.version;
        let cpython = target.implementation == "cpython" && major == 3;
        let shape = marshal::Shape::of(minor).filter(|_| cpython).ok_or_else(|| {
            Error::new(
                Kind::Target,
                format!(
                    "--compile: {} is not known; expected CPython 3.7 to 3.14",
                    target.describe_shortly()
                ),
            )
            .help("leave --compile out: the interpreter compiles what it imports")
        })?;
        let prefix = at.map_or_else(String::new, |at| format!("{}/", at.trim_end_matches('/')));
        let time = if invalidation == Invalidation::Timestamp { mtime } else { 0 };
        let key = Sha256::of(
            format!(
                "bytecode {VERSION}\n{}\n{}\n{}\n{}\n{time}\n{prefix}\n",
                target.describe_shortly(),
                target.cache_tag,
                target.site_packages,
                invalidation.word(),
            )
            .as_bytes(),
        );
        Ok(Compiler {
            python: target.executable.clone(),
            version: (major, minor),
            shape,
            invalidation,
            mtime,
            prefix,
            key,
            cache,
        })
    }

    /// Starts an interpreter.
    pub fn start(&self) -> Result<Worker<'_>> {
        Worker::start(self)
    }

    /// What was kept of a wheel's sources.
    pub fn kept(&self, wheel: &Sha256) -> Option<Kept> {
        Kept::read(&self.cache?.derived(kept::KIND, wheel, &self.key))
    }

    /// Keeps what became of a wheel's sources.
    pub fn keep(&self, wheel: &Sha256, kept: &Kept) {
        if let Some(cache) = self.cache {
            // The cache is a convenience: where it cannot be written, the next run compiles again.
            let _ = kept.publish(&cache.derived(kept::KIND, wheel, &self.key));
        }
    }
}
