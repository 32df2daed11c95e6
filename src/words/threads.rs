//! Threads: how many, and an error where the system has none left (a limit on processes, or a container's on PIDs).

use std::{
    error::Error as _,
    io,
    sync::OnceLock,
    thread::{Builder, JoinHandle},
};

use super::error::{Error, Kind, Result};

/// How many threads run at once. The system is asked once: on Linux the answer is in several files of cgroups.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Starts a thread, which `std::thread::spawn` does with a panic where none can be had.
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.into()).spawn(work).map_err(|error| {
        let error =
            format!("{error} (no thread can be had: see `ulimit -u` and the container's limit on PIDs)");
        io::Error::other(error)
    })
}

/// Starts the workers that everything in parallel uses. They would start when first used, with a panic where no
/// thread can be had.
pub(crate) fn workers() -> Result<()> {
    match rayon::ThreadPoolBuilder::new().build_global() {
        // Without a source it says that they have been started.
        Err(error) if error.source().is_some() => Err(Error::new(Kind::Io, "cannot start worker threads")
            .because(error)
            .help("allow more threads: see `ulimit -u` and the container's limit on PIDs")),
        _ => Ok(()),
    }
}
