//! Where a build may write: its own directory and the caches of its tools (Landlock, Linux 5.13).
//!
//! Reading is free; this keeps a build from leaving something behind in the user's project, in the
//! interpreter or in other builds. Where the kernel has no Landlock, a build is as free as with pip.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
    path_beneath_rules,
};

use super::environment::Environment;

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
];

/// Those that tools insist on and make themselves.
const NEEDED: &[&str] = &["CARGO_HOME", "XDG_CACHE_HOME"];

/// What a build below `work` may write to. Sets variables of caches that do not exist yet to places
/// below `work`, since making them in the home directory would be refused.
pub fn writable(work: &Path, environment: &mut Environment) -> Vec<PathBuf> {
    let mut places = vec![work.to_path_buf(), PathBuf::from("/dev")];
    let home = environment.get("HOME").map(PathBuf::from);
    for (variable, place) in CACHES {
        let named = environment.get(variable).map(PathBuf::from);
        match named.or_else(|| home.as_ref().map(|home| home.join(place))) {
            Some(cache) if cache.is_dir() => places.push(cache),
            _ if NEEDED.contains(variable) => environment.set(variable, work.join("caches").join(place)),
            _ => {}
        }
    }
    places
}

/// Confines this thread and every process it starts from now on. `false` where the kernel cannot.
pub fn confine_thread(writable: &[PathBuf]) -> bool {
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
