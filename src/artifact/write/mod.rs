//! A plan in, an environment on disk out, published by one rename.
//!
//! The tree is made in a staging directory beside the destination (`.venv.venvoy-XXXXXXXX`), and takes
//! the destination's place by one exchange; the old tree is removed afterwards, a large one by a process that
//! outlives the run. Where that cannot be (the destination is a mount point, or its parent cannot be written), the
//! staging directory lies inside the destination and top-level entries are moved one by one, see [`destination`]. One
//! run at a time works on a destination; whatever a killed run left behind is swept by the next.

mod ahead;
mod bytecode;
mod change;
mod copy;
mod destination;
pub(crate) mod journal;
mod publish;
pub(crate) mod remove;
mod replace;
mod site;
mod store;
mod tree;
mod unpack;
mod work_list;

#[cfg(test)]
mod tests;

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

pub(crate) use ahead::Ahead;
pub(crate) use change::{Changing, Previous, Standing, change};
pub(crate) use site::{Ours, install, recover_site};
pub(crate) use store::examine;

use crate::{
    environment::{
        bytecode::Compiler,
        content::Stripped,
        layout::{Plan, Written},
        manifest::{is_current, render_manifest},
    },
    packages::cache::Unpacked,
    project::python::Site,
    words::{
        choices::LinkMode,
        error::{Error, Kind, Result, Warnings},
    },
};

/// What [`write()`] needs to know besides the plan.
#[derive(Clone, Copy, Default)]
pub(crate) struct WriteOptions<'a> {
    /// How files get from the store into the environment.
    pub link: LinkMode,
    /// Whether a file to which its wheel's RECORD gives another digest is an error rather than a warning
    /// (one that RECORD lacks is [`crate::packages::wheel::Wheel::open`]'s to refuse).
    pub strict: bool,
    /// Worker threads; `None` for as many as there are cores.
    pub threads: Option<NonZeroUsize>,
    /// Unpacked wheels in the cache; `None` for no store.
    pub store: Option<&'a Unpacked>,
    /// Wheels that were unpacked beside the destination ([`Ahead::beside`]): their files are moved from there,
    /// and the store is not used.
    pub ahead: Option<&'a Path>,
    /// Whether to write although the destination is current already.
    pub force: bool,
    /// Looked at between files: once true, the run ends with [`Kind::Interrupted`], its staging removed.
    pub interrupted: Option<&'a AtomicBool>,
    /// Called from any worker with the size of each file put in place.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
    /// What compiles the plan's bytecode. Without it the plan must hold none.
    pub compiler: Option<&'a Compiler<'a>>,
    /// This program, which removes a large old tree when this run is over ([`remove`]); without it the run waits for
    /// that.
    pub remover: Option<&'a Path>,
    /// Called before compiling with the size of all sources; the size of each goes to `progress`.
    pub compiling: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl WriteOptions<'_> {
    fn check_interrupted(&self) -> Result<()> {
        if self.interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::new(Kind::Interrupted, "interrupted while writing the environment")
                .help("the old environment is untouched; run the same command again"));
        }
        Ok(())
    }
}

/// What [`write()`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Nothing was written: the destination held this very plan (another run may just have written it).
    pub current: bool,
    /// Regular files in the environment, the manifest not counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were linked, cloned, copied or moved from where they were unpacked before.
    pub from_store: u64,
    /// The destination is a mount point (or its parent cannot be written): it was filled in place.
    pub in_place: bool,
    /// Shared objects that were made smaller, or would have been if they were not unusual; sorted.
    pub stripped: Vec<Stripped>,
    /// What the user should hear, sorted.
    pub warnings: Warnings,
    /// Modules without bytecode as they do not compile, each with the reason, sorted.
    pub uncompiled: Vec<String>,
}

/// Makes `dest` the environment that `plan` describes.
///
/// A destination that is a symbolic link to a directory is followed. What stands there is replaced only if
/// it is an empty directory or an environment (of venvoy, venv, virtualenv, pipenv).
///
/// # Errors
/// [`Kind::Destination`] where the destination is something else or cannot be written: what stood there is
/// untouched then. [`Kind::Integrity`] for wheels that are not what they claim to be.
pub(crate) fn write(plan: &Plan, dest: &Path, options: &WriteOptions<'_>) -> Result<Report> {
    match write_once(plan, dest, options, false)? {
        Some(report) => Ok(report),
        // Kernels before 5.8 do not tell that a directory is a mount point; the rename does.
        None => write_once(plan, dest, options, true)?
            .ok_or_else(|| Error::new(Kind::Destination, format!("{} is busy", dest.display()))),
    }
}

/// Finishes or removes what killed runs left of `dest`, unless another run is at work there: for runs that find
/// nothing else to do.
pub(crate) fn tidy(dest: &Path) {
    destination::tidy(dest);
}

/// The same for the packages of an interpreter that is there.
pub(crate) fn tidy_site(site: &Site) {
    destination::tidy_site(site);
}

/// Finishes a change of `dest` that was cut short, so that it is the environment which that run was making. What
/// cannot be finished is marked, and made anew by the next [`write()`].
pub(crate) fn recover(dest: &Path) -> Result<()> {
    destination::recover(dest)
}

/// One try; `None` if the destination turned out to be a mount point that must be written `inside`.
fn write_once(plan: &Plan, dest: &Path, options: &WriteOptions<'_>, inside: bool) -> Result<Option<Report>> {
    let destination = destination::open(dest, options, inside)?;
    destination.sweep(options.ahead);
    if !options.force && is_current(destination.path(), &plan.key) {
        return Ok(Some(Report { current: true, ..Report::default() }));
    }
    destination.check_replaceable()?;
    let staging = destination.stage()?;
    let mut report = in_pool(options.threads, || {
        let render = |plan: &Plan, written: &[Written]| Some(render_manifest(plan, written));
        tree::fill(plan, staging.path(), destination.path(), options, None, render)
            .map(|filled| filled.report)
    })??;
    options.check_interrupted()?;
    report.in_place = destination.is_inside();
    Ok(match destination.publish(staging, options.remover)? {
        destination::Published::Done(left) => {
            if let Some(warning) = left {
                report.warnings.push(warning);
            }
            Some(report)
        }
        destination::Published::Busy => None,
    })
}

/// Runs `work` where rayon uses the wanted number of threads.
fn in_pool<T: Send>(threads: Option<NonZeroUsize>, work: impl FnOnce() -> T + Send) -> Result<T> {
    let Some(threads) = threads else { return Ok(work()) };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .build()
        .map_err(|e| Error::new(Kind::Io, "cannot start worker threads").because(e))?;
    Ok(pool.install(work))
}
