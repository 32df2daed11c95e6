//! Threads, where the system may have none left to give: a limit on processes, or a container's on PIDs.

use std::{
    error::Error as _,
    io,
    thread::{Builder, JoinHandle},
};

use super::error::{Error, Kind, Result};

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
