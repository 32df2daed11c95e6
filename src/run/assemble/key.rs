//! What an environment is made from, as digests: equal keys, equal environments.
//!
//! Three kinds of them. *Common* stands for what decides every file: interpreter, options, venvoy itself. Each
//! distribution has one for what decides its own files: its entry in the lock where that says it all, else the
//! wheel that was found. The environment's is the digest of all of these. So two environments can be compared by
//! distribution without a look at any wheel.
//!
//! Every options struct is taken apart by name, so that a new option does not compile before somebody decided
//! whether it counts.

use sha2::Digest as _;

use crate::{
    environment::{
        bytecode::VERSION as BYTECODE_VERSION,
        layout::{DistInput, GivenFile, LAYOUT_VERSION},
    },
    project::{
        lock::{Entry, EntryOrigin},
        python::Target,
    },
    run::options::{BuildOptions, MakeOptions, SlimOptions},
    words::{error::Result, vocab::Sha256},
};

/// Collects lines; each is a name and a value with its length, so that no two inputs run together.
struct Lines(sha2::Sha256);

impl Lines {
    fn new() -> Self {
        Lines(sha2::Sha256::new())
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

/// The key of what all files of an environment depend on. How files get there (index or mirror, threads,
/// links, cache) is left out: their digests decide, and the key is part of what is written, which a mirror must not
/// change.
pub(crate) fn common(
    target: &Target,
    make: &MakeOptions,
    build: &BuildOptions,
    copied: &[GivenFile],
) -> Sha256 {
    // `copied` says what `copies` gave.
    let MakeOptions { at, python, compile, copies: _, strict, seed, slim, mtime } = make;
    let SlimOptions { kinds: _, except: _ } = slim;
    let mut lines = Lines::new();
    lines.add("venvoy", env!("CARGO_PKG_VERSION"));
    lines.add("layout", &LAYOUT_VERSION.to_string());
    lines.add("executable", &target.executable.display().to_string());
    lines.add("home", &target.home.display().to_string());
    lines.add("version", &target.version_text());
    lines.add("interpreter", &format!("{} {}", target.describe_shortly(), target.cache_tag));
    lines.add("paths", &format!("{} {} {}", target.site_packages, target.include, target.lib64));
    if let Some((version, platform)) = &target.described {
        lines.add("described", &format!("{version} {platform}"));
    }
    for tag in target.tags.iter() {
        lines.add("tag", &format!("{tag:?}"));
    }
    lines.add("bytecode", &format!("{compile:?} {BYTECODE_VERSION}"));
    for file in copied {
        lines.add("copied", &format!("{} {}", file.path, Sha256::of(&file.bytes)));
    }
    lines.add("at", &format!("{at:?}"));
    if let Some(python) = python {
        lines.add("python", &python.display().to_string());
    }
    lines.add("mtime", &mtime.to_string());
    lines.add("seed", &seed.to_string());
    lines.add("strict", &strict.to_string());
    lines.add("slim", &slim.to_string());
    // The longest a build may take does not change what it gives.
    let BuildOptions { no_binary, only_binary, extra_pip_args, no_editable, refresh: _, timeout: _ } = build;
    lines.add("build", &format!("{no_binary:?} {only_binary:?} {no_editable}"));
    lines.add("build arguments", &format!("{extra_pip_args:?}"));
    lines.finish()
}

/// The key of an entry's files, beside the common one; `None` where the entry alone does not decide them (a
/// branch moves, an index may serve anything for an entry without hashes). `local` is the digest of a local
/// entry's files.
pub(crate) fn of_entry(entry: &Entry, local: Option<Sha256>) -> Option<Sha256> {
    if !is_decided(entry) {
        return None;
    }
    let Entry {
        name,
        written: _,
        // Where it stands in the lock and why it applies do not change what it is.
        category: _,
        marker: _,
        extras: _,
        index: _,
        files: _,
        // What builds without isolation see is added by `Keys`.
        turn: _,
        pin,
        hashes,
        origin,
        editable,
        no_binary,
        pip_args,
    } = entry;
    let mut lines = Lines::new();
    lines.add("entry", name.as_str());
    lines.add("pin", &pin.to_string());
    lines.add("settings", &format!("{editable} {no_binary} {pip_args:?}"));
    let mut digests = hashes.sha256.clone();
    digests.sort_unstable();
    lines.add("hashes", &format!("{digests:?}"));
    match origin {
        EntryOrigin::Index => {}
        // `Debug` of these shows no secret: `SourceUrl` keeps userinfo in a type that prints as stars.
        origin => lines.add("origin", &format!("{origin:?}")),
    }
    if let Some(digest) = local {
        lines.add("local", &digest.to_string());
    }
    Some(lines.finish())
}

/// The key of a distribution's files where its entry did not decide them: by what was found for it.
pub(crate) fn of_wheel(input: &DistInput) -> Sha256 {
    let mut lines = Lines::new();
    lines.add("wheel", &format!("{} {}", input.wheel.name, input.wheel.file.sha256()));
    lines.add("direct", &format!("{:?} {:?} {}", input.direct_url, input.extra, input.requested));
    lines.finish()
}

/// The key of a whole environment, by those of its distributions in the order in which they are installed: of two
/// that bring one path, the later counts.
pub(crate) fn whole(common: Sha256, dists: impl Iterator<Item = Sha256>) -> Sha256 {
    let mut lines = Lines::new();
    lines.add("common", &common.to_string());
    for dist in dists {
        lines.add("distribution", &dist.to_string());
    }
    lines.finish()
}

/// Whether an entry always stands for the same files.
fn is_decided(entry: &Entry) -> bool {
    match &entry.origin {
        EntryOrigin::Index | EntryOrigin::Url(_) => !entry.hashes.sha256.is_empty(),
        EntryOrigin::Path(_) => true,
        EntryOrigin::Vcs(vcs) => vcs.reference.as_deref().is_some_and(|reference| {
            reference.len() == 40 && reference.bytes().all(|c| c.is_ascii_hexdigit())
        }),
    }
}

/// The keys of a run's entries, and of all of them together.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// One for each entry, in their order; `None` where only a wheel decides.
    pub entries: Vec<Option<Sha256>>,
    /// Of the environment, where the entries decide all of it.
    pub whole: Option<Sha256>,
}

impl Keys {
    /// The keys of these entries; `local` digests what a local one's files are now.
    pub(crate) fn new(
        common: Sha256,
        entries: &[Entry],
        seed: bool,
        build: &BuildOptions,
        local: &dyn Fn(&Entry) -> Result<Option<Sha256>>,
    ) -> Result<Self> {
        let mut keys = entries
            .iter()
            .map(|entry| Ok(if is_decided(entry) { of_entry(entry, local(entry)?) } else { None }))
            .collect::<Result<Vec<_>>>()?;
        // What is built without isolation depends on what is installed before. Whether an index has a wheel of it is
        // not known here.
        for at in (0..entries.len()).filter(|&at| build.is_unisolated(&entries[at])) {
            let before =
                entries.iter().zip(&keys).filter(|(entry, _)| entry.turn.is_before(entries[at].turn));
            let before: Option<Vec<Sha256>> = before.map(|(_, key)| *key).collect();
            keys[at] = keys[at].zip(before).map(|(own, before)| whole(own, before.into_iter()));
        }
        // Which wheels an interpreter ships is seen only when it is asked.
        let all: Option<Vec<Sha256>> = if seed { None } else { keys.iter().copied().collect() };
        let whole = all.map(|all| whole(common, all.into_iter()));
        Ok(Keys { entries: keys, whole })
    }
}
