//! Answers of interpreters, kept between runs.
//!
//! An answer holds for one file (path, size, time of change), one kernel and one C library: a cache
//! that travels between CI machines must not bring another machine's tags along.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{probe::Probe, run};
use crate::words::{error::Result, vocab::Sha256};

/// Loaders whose change means another C library.
const LOADERS: [&str; 8] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-armhf.so.3",
    "/lib/ld-linux.so.2",
    "/lib64/ld64.so.2",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
    "/lib/ld-musl-armhf.so.1",
];

/// An answer with what it is an answer to: a file under the right name with another content is none.
#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    probe: Probe,
}

/// Asks the interpreter at `path`, or the cache where it knows the answer.
pub(super) fn query(path: &Path, cache_dir: Option<&Path>, limit: Duration) -> Result<Probe> {
    let entry = cache_dir.and_then(|dir| {
        let key = key(path)?;
        let name = format!("{}.json", Sha256::of(key.as_bytes()));
        Some((key, dir.join("interpreters").join(name)))
    });
    let Some((key, file)) = entry else { return run::query(path, limit) };
    if let Some(probe) = read(&file, &key) {
        return Ok(probe);
    }
    let probe = run::query(path, limit)?;
    // A cache that cannot be written costs the next run some milliseconds, and this one nothing.
    let _ = publish(&file, &Record { key, probe: probe.clone() });
    Ok(probe)
}

fn identity(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    Some(format!("{} {}.{:09}", file.size(), file.mtime(), file.mtime_nsec()))
}

/// All that an answer depends on; `None` where the file cannot be looked at.
fn key(path: &Path) -> Option<String> {
    use std::fmt::Write as _;
    let mut key = format!("{}\n{}\n", env!("CARGO_PKG_VERSION"), Sha256::of(include_bytes!("probe.py")));
    let real: PathBuf = path.canonicalize().ok()?;
    let _ = writeln!(key, "{}\n{}\n{}", path.to_str()?, real.to_str()?, identity(path)?);
    let system = rustix::system::uname();
    for part in [system.sysname(), system.release(), system.version(), system.machine()] {
        let _ = writeln!(key, "{}", part.to_string_lossy());
    }
    for loader in LOADERS {
        if let Some(identity) = identity(Path::new(loader)) {
            let _ = writeln!(key, "{loader} {identity}");
        }
    }
    Some(key)
}

fn read(file: &Path, key: &str) -> Option<Probe> {
    let record: Record = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (record.key == key).then_some(record.probe)
}

fn publish(file: &Path, record: &Record) -> std::io::Result<()> {
    let Some(dir) = file.parent() else { return Ok(()) };
    fs::create_dir_all(dir)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    temporary.write_all(&serde_json::to_vec(record)?)?;
    temporary.persist(file)?;
    Ok(())
}
