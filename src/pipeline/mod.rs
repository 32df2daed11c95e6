//! From options to an environment: the only place that names every room.

mod auth;
mod builder;
mod cache;
mod check;
mod copies;
mod download;
mod inputs;
mod key;
mod obtain;
mod plan;
mod resolve;
mod seed;
mod session;
mod slim;
mod sources;
mod sync;
mod work;

pub use self::{
    auth::{AuthRow, auth},
    cache::cache,
    check::{Checked, Difference, check},
    plan::{PlanRow, plan},
    slim::Saved,
    sync::{Outcome, Summary, sync},
};

use crate::options::{BuildOptions, Common, IndexOptions, LockOptions, TargetOptions};

/// What a run is asked to do, checked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The project, the environment and the cache.
    pub common: Common,
    /// Which part of the lock.
    pub lock: LockOptions,
    /// Which interpreter.
    pub target: TargetOptions,
    /// From where.
    pub index: IndexOptions,
    /// How source packages are treated.
    pub build: BuildOptions,
}

/// Whoever watches a run.
pub trait Progress: Sync {
    /// Something the user should hear that stops nothing. The same text is said once.
    fn warn(&self, warning: &str);
    /// A detail, for those who asked for them.
    fn detail(&self, message: &str);
    /// A server is about to be asked.
    fn request(&self, url: &url::Url);
    /// So many of the stage's packages are there.
    fn packages(&self, done: usize, of: usize);
    /// A new stage begins, with so many bytes to go through.
    fn stage(&self, name: &str, total_bytes: u64);
    /// The stage turns out to have more bytes to go through.
    fn expect(&self, bytes: u64);
    /// So many bytes of the stage are done.
    fn advance(&self, bytes: u64);
}
