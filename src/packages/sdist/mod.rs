//! Source distributions, checkouts and local projects in, wheels out.
//!
//! venvoy calls the backends' hooks itself (PEP 517, PEP 660) and leaves what pip is good at to pip: finding the wheels
//! that build requirements mean. That splits a build in two kinds of processes: pip, which may read the indexes'
//! credentials while it runs, and the backend with all the project's own code, which never can. `pip wheel` of the
//! project would give both the same. What pip found is kept, so that it is not asked for each build.

mod backend;
mod beside;
mod checkout;
mod confine;
mod decisive;
mod direct_url;
mod editable;
mod environment;
mod git;
mod guard;
mod hints;
mod hook;
mod in_place;
mod isolated;
mod job;
mod local;
mod login;
mod normalise;
mod outcome;
mod place;
mod process;
mod requirements;
mod session;
mod settings;
mod store;
mod traces;
mod tree;
mod unpack;
mod vcs;

pub(crate) use direct_url::program;
pub(crate) use editable::EditableInfo;
pub use editable::{relativise, relativise_hook};
pub(crate) use guard::{is_asked as is_guard, run as guard};
pub use job::Installed;
pub use job::{BuildSource, Built, Context, IndexSource, Job};
pub(crate) use place::{BuildDirectory, Sweep};
pub(crate) use requirements::{LayOut, Requirement, Workshop};
pub(crate) use settings::Settings;
pub(crate) use store::copy_all;
pub use store::{BuildRecord, BuildStore, DirStore};
pub use unpack::{Limits, unpack};

use std::{ffi::OsString, path::Path};

use crate::words::{error::Result, vocab::Sha256};

/// Builds what `job` asks for, or takes it from the store when that was done before.
///
/// Safe to call from many threads at once with one context; it blocks until the build is over, so the
/// caller bounds how many run. Fails with [`crate::words::error::Kind::Build`] when the build does, with the
/// command, its exit code, its last lines and the log's path; with other kinds for what went wrong around
/// it (a refused login, a wheel of another name).
pub fn build(job: &Job, context: &Context) -> Result<Built> {
    session::run(job, context)
}

/// The digest of a local project as it is now: what git sees of it where it does, all but leftovers
/// elsewhere, and what its last build read beside it; of an `editable` one, of its files those that decide the build.
/// Nothing is written. Fails where there is no such directory or
/// it cannot be read.
pub(crate) fn directory_digest(
    directory: &Path,
    editable: bool,
    env: &[(OsString, OsString)],
    store: &dyn BuildStore,
) -> Result<Sha256> {
    let user = environment::Environment::for_git(env);
    let tree = tree::Tree::of(directory, &user)?;
    let own = if editable { decisive::digest(&tree, store, env)? } else { tree.digest()? };
    local::local_digest(&tree, own, &local::used_beside(&tree, store)?, &user)
}
