//! What an environment is made from, as one digest: equal keys, equal environments.

use sha2::Digest as _;

use crate::run::options::Options;
use crate::{
    environment::{
        bytecode::VERSION as BYTECODE_VERSION,
        layout::{DistInput, GivenFile, LAYOUT_VERSION},
        script::LauncherStyle,
    },
    project::{
        lock::{Entry, Origin},
        python::Target,
    },
    run::options::OutputOptions,
    words::{error::Result, vocab::Sha256},
};

/// Collects lines; each is a name and a value with its length, so that no two inputs run together.
struct Lines(sha2::Sha256);

impl Lines {
    fn new(target: &Target, output: &OutputOptions, copied: &[GivenFile]) -> Self {
        let mut lines = Lines(sha2::Sha256::new());
        lines.add("venvoy", env!("CARGO_PKG_VERSION"));
        lines.add("layout", &LAYOUT_VERSION.to_string());
        lines.add("executable", &target.executable.display().to_string());
        lines.add("home", &target.home.display().to_string());
        lines.add("version", &target.version_text());
        lines.add("interpreter", &format!("{} {}", target.describe_shortly(), target.cache_tag));
        lines.add("paths", &format!("{} {} {}", target.site_packages, target.include, target.lib64));
        for tag in target.tags.iter() {
            lines.add("tag", &format!("{tag:?}"));
        }
        lines.add("bytecode", &format!("{:?} {BYTECODE_VERSION}", output.compile));
        for file in copied {
            lines.add("copied", &format!("{} {}", file.path, Sha256::of(&file.bytes)));
        }
        lines
    }

    fn add(&mut self, name: &str, value: &str) {
        self.0.update(format!("{name} {}\n", value.len()));
        self.0.update(value);
        self.0.update("\n");
    }

    fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

/// The key of the environment that these entries give for this target with these options; `None` where
/// the entries alone do not decide it (a branch moves, an index may serve anything for an entry without
/// hashes). How files get there (index or mirror, threads, links, cache) is left out: their digests decide, and
/// the key is part of what is written, which a mirror must not change.
pub fn of(
    entries: &[Entry],
    target: &Target,
    request: &Options,
    output: &OutputOptions,
    copied: &[GivenFile],
    local: &dyn Fn(&Entry) -> Result<Option<Sha256>>,
) -> Result<Option<Sha256>> {
    let mut lines = Lines::new(target, output, copied);
    lines.add("options", &format!("{:?} {:?} {} {}", output.at, output.mtime, output.seed, output.strict));
    lines.add("slim", &output.slim.to_string());
    let build = &request.build;
    lines.add("build", &format!("{:?} {:?} {}", build.no_binary, build.only_binary, build.no_editable));
    lines.add("build arguments", &format!("{:?}", build.extra_pip_args));
    for entry in entries {
        if !is_decided(entry) {
            return Ok(None);
        }
        lines.add("entry", entry.name.as_str());
        lines.add("pin", &entry.pin.to_string());
        lines.add("settings", &format!("{} {} {:?}", entry.editable, entry.no_binary, entry.pip_args));
        let mut hashes = entry.hashes.sha256.clone();
        hashes.sort_unstable();
        lines.add("hashes", &format!("{hashes:?}"));
        match &entry.origin {
            Origin::Index => {}
            // `Debug` of these shows no secret: `SourceUrl` keeps userinfo in a type that prints as stars.
            origin => lines.add("origin", &format!("{origin:?}")),
        }
        if let Some(digest) = local(entry)? {
            lines.add("local", &digest.to_string());
        }
    }
    Ok(Some(lines.finish()))
}

/// The key of an environment whose entries did not decide it: by what was found for them.
pub fn of_wheels(
    inputs: &[DistInput],
    launchers: &LauncherStyle,
    target: &Target,
    output: &OutputOptions,
    copied: &[GivenFile],
) -> Sha256 {
    let mut lines = Lines::new(target, output, copied);
    lines.add("launchers", &format!("{launchers:?}"));
    lines.add("slim", &output.slim.to_string());
    for input in inputs {
        lines.add("wheel", &format!("{} {}", input.wheel.name, input.wheel.file.sha256()));
        lines.add("direct", &format!("{:?} {:?}", input.direct_url, input.extra));
    }
    lines.finish()
}

/// Whether an entry always stands for the same files.
fn is_decided(entry: &Entry) -> bool {
    match &entry.origin {
        Origin::Index | Origin::Url(_) => !entry.hashes.sha256.is_empty(),
        Origin::Path(_) => true,
        Origin::Vcs(vcs) => vcs.reference.as_deref().is_some_and(|reference| {
            reference.len() == 40 && reference.bytes().all(|c| c.is_ascii_hexdigit())
        }),
    }
}
