//! `check`: an environment beside what was written and beside the lock.

use std::path::Path;

use serde::Serialize;

use super::site::Ground;
use crate::{
    artifact::write,
    environment::{
        installed::Installed,
        manifest::{self, Check},
    },
    project::lock::{Entry, EntryOrigin},
    run::{
        inputs::Inputs,
        options::{InstallPlace, Options, OutputOptions},
    },
    words::{error::Result, progress::Progress},
};

/// What was found.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Files that are not as they were written.
    pub files: Check,
    /// Distributions that are not what the lock says.
    pub lock: Vec<Difference>,
}

impl Checked {
    /// Whether nothing is wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.files.is_clean() && self.lock.is_empty()
    }
}

/// A distribution that is not what the lock says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// Its name, normalised.
    pub name: String,
    /// The installed version; `None` where it is missing.
    pub installed: Option<String>,
    /// What the lock says; `None` where it is not in the lock.
    pub locked: Option<String>,
}

/// Compares an environment with its manifest, every file's digest included, and its distributions with the
/// entries that the same options would install. The environment says which Python and which platform it is for: none is
/// looked for, and none need be here.
///
/// # Errors
/// [`crate::words::error::Kind::Destination`] where there is no environment of venvoy's.
pub(crate) fn check(request: &Options, output: &OutputOptions, progress: &dyn Progress) -> Result<Checked> {
    if let Some(ground) = Ground::find(request, output, progress)? {
        return ground.check(progress);
    }
    write::recover(&output.place.venv)?;
    let files = manifest::verify(&output.place.venv)?;
    let inputs = Inputs::read(&request.common, &request.lock, progress)?;
    let Installed { markers, free_threaded, distributions: mut installed, .. } =
        Installed::read(&output.place.venv)?;
    let markers = if request.target.described.is_some() {
        inputs.target(&request.common, &request.target, request.lock.deploy, progress)?.markers
    } else {
        inputs.check_requires(&markers, free_threaded, request.lock.deploy, progress)?;
        markers
    };
    let selection = inputs.select_for(&request.lock, &markers)?;
    let mut lock = Vec::new();
    for entry in &selection.entries {
        let found = installed.remove(&entry.name);
        let fits = found.as_ref().is_some_and(|found| entry.pin.accepts(&found.version, &found.written));
        if !fits {
            lock.push(Difference {
                name: entry.name.to_string(),
                installed: found.map(|found| found.written),
                locked: Some(entry.pin.to_string()),
            });
        }
    }
    // Local projects may be called something else in a lock than they call themselves, and `--seed` brings pip.
    let local = selection.entries.iter().any(|entry| entry.origin != EntryOrigin::Index);
    if !local && !output.make.seed {
        lock.extend(installed.into_iter().map(|(name, found)| Difference {
            name: name.to_string(),
            installed: Some(found.written),
            locked: None,
        }));
    } else {
        lock.retain(|difference| {
            let of_index = |entry: &&Entry| entry.name.as_str() == difference.name;
            selection.entries.iter().find(of_index).is_none_or(|entry| entry.origin == EntryOrigin::Index)
        });
    }
    lock.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Checked { files, lock })
}

/// Has an environment made anew for the Python that it is for, unless another was asked for.
///
/// # Errors
/// [`crate::words::error::Kind::Destination`] for an environment that cannot be read.
pub(crate) fn keep_python(options: &mut Options, output: &OutputOptions) -> Result<()> {
    let target = &mut options.target;
    // An interpreter that is there is named already.
    let in_place = output.place.into != InstallPlace::Environment;
    if in_place || target.described.is_some() || target.python.is_some() {
        return Ok(());
    }
    let venv = &output.place.venv;
    let Installed { described, python, .. } = Installed::read(venv)?;
    if let Some(described) = described {
        target.described = Some(described);
        // Where its interpreter will be is not known here; it is what the environment leads to.
        if target.home.is_none() && target.executable.is_none() {
            target.home = python.as_deref().and_then(Path::parent).map(Path::to_owned);
            target.executable = std::fs::read_link(venv.join("bin/python")).ok();
        }
        return Ok(());
    }
    let python = python.filter(|python| python.is_file());
    target.python = python.map(|python| (python.display().to_string(), "--python"));
    Ok(())
}
