//! Where a build may write: its own directory and the caches of its tools (Landlock, Linux 5.13).
//!
//! Reading is free; this keeps a build from leaving something behind in the user's project, in the
//! interpreter or in other builds. Where the kernel has no Landlock, a build is as free as with pip.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use landlock::{
    ABI, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
    path_beneath_rules,
};

use super::environment::Environment;
use crate::words::error::{Error, Result};

/// The newest rights this asks for; older kernels get what they know.
const RIGHTS: ABI = ABI::V5;

/// Caches of build tools: the variable that names one, and its place below the home directory.
const CACHES: &[(&str, &str)] = &[
    ("CARGO_HOME", ".cargo"),
    ("RUSTUP_HOME", ".rustup"),
    ("XDG_CACHE_HOME", ".cache"),
    ("CCACHE_DIR", ".ccache"),
    ("SCCACHE_DIR", ".sccache"),
    ("GOPATH", "go"),
    ("npm_config_cache", ".npm"),
    ("GRADLE_USER_HOME", ".gradle"),
    ("CONAN_HOME", ".conan2"),
];

/// Variables that name a place where a compiler keeps what it made for the next build.
const KEPT: &[&str] =
    &["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "GOCACHE", "GOMODCACHE", "ZIG_GLOBAL_CACHE_DIR"];

/// What a build below `work` may write to: there, in a home directory of its own that is made there, and in the user's
/// caches of build tools, also where variables say that they are. What it may do does not depend on which of those exist: for
/// one that does not there is a place in its own home, or what its tool takes by itself.
///
/// Of what is below `work` already, `but` is only read.
pub(super) fn writable(
    work: &Path,
    but: Option<&Path>,
    environment: &mut Environment,
) -> Result<Vec<PathBuf>> {
    let own = work.join("home");
    let mut places = vec![PathBuf::from("/dev")];
    places.extend(home(&own, environment)?);
    match but {
        None => places.push(work.to_path_buf()),
        Some(but) => {
            for name in ["out", "hooks"] {
                let directory = work.join(name);
                fs::create_dir_all(&directory).map_err(|e| Error::io("cannot create", &directory, e))?;
            }
            for entry in fs::read_dir(work).map_err(|e| Error::io("cannot read", work, e))? {
                let path = entry.map_err(|e| Error::io("cannot read", work, e))?.path();
                if path != *but {
                    places.push(path);
                }
            }
        }
    }
    for (variable, place) in CACHES {
        match environment.get(variable).map(PathBuf::from) {
            Some(named) if named.is_dir() => places.push(named),
            Some(_) => environment.set(variable, own.join(place)),
            None => {}
        }
    }
    for variable in KEPT {
        // What is relative lies in the build's own directory.
        match environment.get(variable).map(PathBuf::from).filter(|named| named.is_absolute()) {
            Some(named) if named.is_dir() => places.push(named),
            Some(_) => environment.remove(variable),
            None => {}
        }
    }
    Ok(places)
}

/// Makes a home directory in which what is shared leads to the user's own, sets HOME to it, and gives the directories
/// of the user's that may be written to.
fn home(own: &Path, environment: &mut Environment) -> Result<Vec<PathBuf>> {
    let user = environment.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let failed = |e| Error::io("cannot create", own, e);
    fs::DirBuilder::new().mode(0o700).create(own).map_err(failed)?;
    let mut writable = Vec::new();
    if let Some(user) = user {
        // What a home has besides caches is only read: settings of compilers, of git.
        for entry in fs::read_dir(&user).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if CACHES.iter().any(|(_, cache)| name == *cache) && entry.path().is_dir() {
                writable.push(entry.path());
            }
            symlink(entry.path(), own.join(&name)).map_err(failed)?;
        }
    }
    for (_, cache) in CACHES {
        match fs::create_dir(own.join(cache)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(e)),
            _ => {}
        }
    }
    environment.set("HOME", own);
    Ok(writable)
}

/// Whether this kernel confines processes at all.
pub(super) fn confines() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    // In a thread that ends with the question.
    *KNOWN.get_or_init(|| std::thread::spawn(|| confine_thread(&[])).join().unwrap_or(false))
}

/// Confines this thread and every process it starts from now on. `false` where the kernel cannot.
pub(super) fn confine_thread(writable: &[PathBuf]) -> bool {
    let confine = || -> Result<bool, RulesetError> {
        let status = Ruleset::default()
            .handle_access(AccessFs::from_write(RIGHTS))?
            .create()?
            .add_rules(path_beneath_rules(writable, AccessFs::from_write(RIGHTS)))?
            .restrict_self()?;
        Ok(status.ruleset != RulesetStatus::NotEnforced)
    };
    // A refusal (a seccomp profile that knows no Landlock) is the same to the build as an old kernel.
    confine().unwrap_or(false)
}
