//! Environments that packages are built in.

use std::{path::Path, sync::Arc};

use crate::{
    artifact::write::{WriteOptions, write},
    environment::{
        bytecode::Compiler,
        layout::{self, DistInput, EnvFiles, GivenFile, PlanLink},
        script::{LauncherStyle, Place, environment},
    },
    packages::{
        cache::{Cache, KeyLock, VerifiedFile},
        sdist::{self, LayOut, Requirement},
        wheel::{Strictness, Wheel},
    },
    project::python::Target,
    words::{
        choices::{Invalidation, LinkMode},
        error::{Context as _, Error, Kind, Result},
        vocab::Sha256,
    },
};

/// The time of all files in such an environment: 1980, where zips begin.
const MTIME: i64 = 315_532_800;

/// Makes environments to build in, for one target, from one cache.
#[derive(Debug, Clone, Copy)]
pub struct Workshop<'a> {
    /// Where wheels, unpacked trees and bytecode are.
    pub cache: &'a Cache,
    /// The interpreter to build with.
    pub target: &'a Target,
}

impl sdist::Workshop for Workshop<'_> {
    fn adopt(&self, wheel: &Path) -> Result<VerifiedFile> {
        self.cache.adopt_unpinned(wheel)
    }

    fn file(&self, digest: &Sha256) -> Option<VerifiedFile> {
        self.cache.file(digest)
    }

    fn lock(&self, key: &Sha256) -> KeyLock {
        self.cache.lock(key)
    }

    fn lay_out(&self, wheels: &[Requirement], place: &Path, how: LayOut) -> Result<()> {
        let LayOut { read_only, again, interpreters } = how;
        let at = place.to_str().ok_or_else(|| {
            Error::new(Kind::Usage, format!("{} is not UTF-8: no script could name it", place.display()))
                .help("set TMPDIR to another directory")
        })?;
        let mut inputs = Vec::with_capacity(wheels.len());
        for one in wheels {
            // A build requirement is no part of what is made: what its RECORD lacks is its own affair.
            let (wheel, _) = Wheel::open(one.file.clone(), one.name.clone(), Strictness::Warn)
                .context(|| format!("cannot use {}", one.name.file_name))?;
            inputs.push(DistInput { requested: false, ..DistInput::new(Arc::new(wheel)) });
        }
        let own = environment(self.target, &Place::At(place.to_owned()), None)?;
        let files = EnvFiles {
            files: own
                .files
                .into_iter()
                .map(|file| {
                    let bytes = match file.path.as_str() {
                        "pyvenv.cfg" if interpreters => with_interpreters(&file.bytes),
                        _ => file.bytes,
                    };
                    GivenFile { path: file.path, bytes: bytes.into(), executable: file.executable }
                })
                .collect(),
            links: own
                .links
                .into_iter()
                .map(|link| PlanLink { path: link.path, target: link.target })
                .collect(),
        };
        let launchers = LauncherStyle::Absolute(at.to_owned());
        let (mut plan, _) = layout::plan(&inputs, self.target, files, &launchers)?;
        plan.mtime = MTIME;
        // Importing a backend would take longer than all the rest without. Not every interpreter's is known.
        let compiler =
            || Compiler::new(self.target, Invalidation::Unchecked, None, MTIME, Some(self.cache)).ok();
        let compiler = again.then(compiler).flatten();
        if compiler.is_some() {
            plan = plan.with_bytecode(self.target);
        }
        let store = self.cache.unpacked(MTIME).ok();
        let options = WriteOptions {
            // What a build can write to must not be what others have.
            link: if read_only { LinkMode::Auto } else { LinkMode::Copy },
            store: store.as_ref().filter(|_| !self.cache.is_read_only()),
            compiler: compiler.as_ref(),
            // What lies there is an empty environment, or one with too little.
            force: true,
            ..WriteOptions::default()
        };
        write(&plan, place, &options).map(drop)
    }
}

/// A `pyvenv.cfg` that lets through what the interpreter itself has.
fn with_interpreters(config: &[u8]) -> Vec<u8> {
    const SETTING: &str = "include-system-site-packages = ";
    String::from_utf8_lossy(config)
        .replace(&format!("{SETTING}false"), &format!("{SETTING}true"))
        .into_bytes()
}
