//! `diff`: what packages two locks, environments or images hold, side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Serialize;

use super::image::{self, Contents};
use crate::{
    artifact::pack::image::Blob,
    environment::installed::Installed,
    project::lock::{Entry, EntryOrigin, Lock, parse_pylock},
    run::{
        inputs,
        options::Options,
        size::{self, ENVIRONMENT, UNCLAIMED},
    },
    words::{
        env::Env,
        error::{Error, Kind, Result},
        files::open_regular,
        progress::Progress,
        vocab::{count, size as bytes_text},
    },
};

/// Two holdings of packages beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Differences {
    /// Packages that differ, by name.
    pub packages: Vec<Changed>,
    /// How many do not.
    pub same: usize,
    /// Their layers, where both are images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layers: Option<Layers>,
}

/// The layers of two images beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Layers {
    /// How many both have.
    pub(crate) same: usize,
    /// Those that only the second has: whoever has the first gets no more than these.
    pub(crate) added: Vec<Layer>,
    /// Those that only the first has.
    pub(crate) removed: Vec<Layer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Layer {
    /// Its digest.
    pub(crate) digest: String,
    /// Its size as it is sent.
    pub(crate) bytes: u64,
}

impl Layers {
    fn of(first: &[Blob], second: &[Blob]) -> Self {
        let only = |one: &[Blob], other: &[Blob]| -> Vec<Layer> {
            one.iter()
                .filter(|blob| other.iter().all(|known| known.sha256 != blob.sha256))
                .map(|blob| Layer { digest: format!("sha256:{}", blob.sha256), bytes: blob.size })
                .collect()
        };
        let added = only(second, first);
        Layers { same: second.len() - added.len(), added, removed: only(first, second) }
    }
}

/// What became of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have it, at different versions, of other sources or files, or in other categories.
    Changed,
}

/// A package that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Changed {
    /// Its normalised name.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// What the first has.
    pub from: Option<Held>,
    /// What the second has.
    pub to: Option<Held>,
}

/// A package as a lock or environment holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Held {
    /// The version, or where it comes from.
    pub version: String,
    /// The lock's categories that have it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub categories: BTreeSet<String>,
    /// The bytes of its files in an environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The digests that a lock accepts.
    #[serde(skip)]
    digests: BTreeSet<String>,
}

type Holdings = BTreeMap<String, Held>;

/// Reads an image by its name.
type Images<'a> = &'a dyn Fn(&str) -> Result<Contents>;

/// What reads images with the options of a run.
fn images<'a>(
    options: impl Fn() -> Result<Options> + 'a,
    progress: &'a dyn Progress,
) -> impl Fn(&str) -> Result<Contents> + 'a {
    move |text| image::read(text, &options()?, progress)
}

/// Compares two places: a lock (`-` for standard input), a project's directory, an environment, an image.
///
/// # Errors
/// [`Kind::Usage`] for what is none of these, and whatever reading them brings.
pub(crate) fn diff(
    first: &Path,
    second: &Path,
    env: &Env,
    options: impl Fn() -> Result<Options>,
    progress: &dyn Progress,
) -> Result<Differences> {
    if first == Path::new("-") && second == Path::new("-") {
        return Err(Error::new(Kind::Usage, "both are -, and there is one standard input"));
    }
    let images = images(options, progress);
    let (first, before) = holdings(first, env, &images)?;
    let (second, after) = holdings(second, env, &images)?;
    let mut found = compared(&first, &second);
    if let (Some(before), Some(after)) = (before, after) {
        found.layers = Some(Layers::of(&before, &after));
    }
    Ok(found)
}

/// Whether what was typed is an image: in a layout, or where only images are.
fn is_image(place: &Path) -> bool {
    if place.is_dir() {
        return place.join("oci-layout").is_file();
    }
    if place.exists() {
        // The magic of a tar.
        let mut head = [0; 262];
        let read = open_regular(place).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut head));
        return read.is_ok() && &head[257..] == b"ustar";
    }
    place.to_str().is_some_and(|text| text.contains([':', '@']) && !text.ends_with([':', '@']))
}

fn of_image(contents: Contents) -> (Holdings, Option<Vec<Blob>>) {
    let held = contents
        .packages
        .into_iter()
        .map(|(name, (version, bytes))| {
            (name.to_string(), Held { version, bytes: Some(bytes), ..Held::default() })
        })
        .collect();
    (held, Some(contents.layers))
}

/// What a place holds, with its layers where it is an image.
fn holdings(place: &Path, env: &Env, images: Images<'_>) -> Result<(Holdings, Option<Vec<Blob>>)> {
    if place != Path::new("-") && is_image(place) {
        return images(&place.to_string_lossy()).map(of_image);
    }
    on_disk(place, env).map(|held| (held, None))
}

fn on_disk(place: &Path, env: &Env) -> Result<Holdings> {
    if place == Path::new("-") {
        return of_lock(&standard_input()?, "standard input", env);
    }
    if Installed::is_at(place) {
        return of_environment(place);
    }
    let file = if place.is_dir() {
        let found = ["Pipfile.lock", "pylock.toml"]
            .map(|name| place.join(name))
            .into_iter()
            .find(|file| file.is_file());
        found.ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("{} is neither an environment nor a project with a lock", place.display()),
            )
            .help("name a Pipfile.lock, a pylock.toml, a directory with one of them, an environment or an image")
        })?
    } else {
        place.to_owned()
    };
    of_lock(
        &inputs::read(&file, "name a lock, a project's directory or an environment")?,
        &file.display().to_string(),
        env,
    )
}

fn standard_input() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes)
        .map_err(|e| Error::new(Kind::Io, "cannot read standard input").because(e))?;
    Ok(bytes)
}

fn of_lock(bytes: &[u8], label: &str, env: &Env) -> Result<Holdings> {
    // A lock of pipenv is JSON, a pylock.toml is not; what is empty is told as the former.
    let text = bytes.trim_ascii_start();
    let lock = if text.is_empty() || text.starts_with(b"{") {
        Lock::glance(bytes, label, env)?
    } else {
        parse_pylock(bytes, label, env)?.0
    };
    let mut held = Holdings::new();
    for (category, entries) in &lock.categories {
        for entry in entries {
            let of = held.entry(entry.name.to_string()).or_default();
            let version = version(entry);
            if of.version.is_empty() {
                of.version = version;
            } else if of.version != version {
                // Categories may lock it differently.
                of.version = format!("{}, {version}", of.version);
            }
            of.categories.insert(category.clone());
            of.digests.extend(entry.hashes.sha256.iter().map(ToString::to_string));
            of.digests
                .extend(entry.files.iter().filter_map(|file| file.sha256.map(|digest| digest.to_string())));
        }
    }
    Ok(held)
}

fn version(entry: &Entry) -> String {
    match &entry.origin {
        EntryOrigin::Index => entry.pin.to_string().trim_start_matches('=').to_owned(),
        EntryOrigin::Vcs(vcs) => {
            // Twelve digits tell commits apart; a branch or tag is shown whole.
            let reference = vcs.reference.as_deref().unwrap_or("its default branch");
            let commit = reference.len() == 40 && reference.bytes().all(|c| c.is_ascii_hexdigit());
            format!("{}@{}", vcs.url, if commit { &reference[..12] } else { reference })
        }
        EntryOrigin::Url(url) => url.to_string(),
        EntryOrigin::Path(path) => path.clone(),
    }
}

fn of_environment(venv: &Path) -> Result<Holdings> {
    let installed = Installed::read(venv)?;
    let mut held: Holdings = installed
        .distributions
        .iter()
        .map(|(name, one)| (name.to_string(), Held { version: one.written.clone(), ..Held::default() }))
        .collect();
    for package in size::measure(venv)?.packages {
        if matches!(package.name.as_str(), ENVIRONMENT | UNCLAIMED) {
            continue;
        }
        if let Some(of) = held.get_mut(&package.name) {
            of.bytes = Some(package.amount.bytes);
        }
    }
    Ok(held)
}

fn compared(first: &Holdings, second: &Holdings) -> Differences {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let mut packages = Vec::new();
    let mut same = 0;
    for name in names {
        let (from, to) = (first.get(name), second.get(name));
        let change = match (from, to) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(from), Some(to)) if differ(from, to) => Change::Changed,
            _ => {
                same += 1;
                continue;
            }
        };
        packages.push(Changed { name: name.clone(), change, from: from.cloned(), to: to.cloned() });
    }
    Differences { packages, same, layers: None }
}

/// A lock beside an environment differs by versions alone: one has no sizes, the other no categories.
fn differ(from: &Held, to: &Held) -> bool {
    let both = |one: bool, other: bool| one && other;
    from.version != to.version
        || both(!from.categories.is_empty(), !to.categories.is_empty()) && from.categories != to.categories
        || both(!from.digests.is_empty(), !to.digests.is_empty()) && from.digests != to.digests
        || both(from.bytes.is_some(), to.bytes.is_some()) && from.bytes != to.bytes
}

impl Changed {
    /// The cells of a row: name, change, first, second, and what else differs.
    pub(crate) fn cells(&self) -> [String; 5] {
        let change = match self.change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
        };
        let version =
            |held: &Option<Held>| held.as_ref().map_or_else(|| "-".to_owned(), |held| held.version.clone());
        [self.name.clone(), change.to_owned(), version(&self.from), version(&self.to), self.more()]
    }

    fn more(&self) -> String {
        let mut parts = Vec::new();
        let categories = |held: &Held| held.categories.iter().cloned().collect::<Vec<_>>().join(", ");
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => {
                if from.categories != to.categories
                    && !from.categories.is_empty()
                    && !to.categories.is_empty()
                {
                    parts.push(format!("{} -> {}", categories(from), categories(to)));
                }
                if from.version == to.version && from.digests != to.digests {
                    parts.push("other files".to_owned());
                }
                if let (Some(before), Some(after)) = (from.bytes, to.bytes)
                    && before != after
                {
                    parts.push(grown(before, after));
                }
            }
            (Some(held), None) => parts.extend(held.bytes.map(|bytes| grown(bytes, 0))),
            (None, Some(held)) => parts.extend(held.bytes.map(|bytes| grown(0, bytes))),
            (None, None) => {}
        }
        if let (None, Some(held)) | (Some(held), None) = (&self.from, &self.to)
            && !held.categories.is_empty()
        {
            parts.push(categories(held));
        }
        parts.join("; ")
    }
}

fn grown(before: u64, after: u64) -> String {
    let sign = if after >= before { '+' } else { '-' };
    format!("{sign}{}", bytes_text(after.abs_diff(before)))
}

impl Differences {
    /// Whether nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        let layers = self.layers.as_ref().is_none_or(|of| of.added.is_empty() && of.removed.is_empty());
        self.packages.is_empty() && layers
    }

    /// The last line.
    pub(crate) fn summary(&self) -> String {
        let of = |change| self.packages.iter().filter(|one| one.change == change).count();
        let bytes = |held: &Option<Held>| held.as_ref().and_then(|held| held.bytes);
        let (before, after) = self.packages.iter().fold((0, 0), |(before, after), one| {
            (before + bytes(&one.from).unwrap_or(0), after + bytes(&one.to).unwrap_or(0))
        });
        let sizes = self.packages.iter().any(|one| bytes(&one.from).or(bytes(&one.to)).is_some());
        let sizes = if sizes { format!("; {}", grown(before, after)) } else { String::new() };
        let layers = self.layers.as_ref().map_or(String::new(), |layers| {
            let sum = |layers: &[Layer]| bytes_text(layers.iter().map(|layer| layer.bytes).sum());
            format!(
                "; {} the same, {} added ({}), {} removed ({})",
                count(layers.same, "layer"),
                layers.added.len(),
                sum(&layers.added),
                layers.removed.len(),
                sum(&layers.removed)
            )
        });
        format!(
            "{} added, {} removed, {} changed, {} the same{sizes}{layers}",
            count(of(Change::Added), "package"),
            of(Change::Removed),
            of(Change::Changed),
            self.same
        )
    }

    /// A table in Markdown, for the comment of a merge request.
    pub(crate) fn markdown(&self) -> Vec<String> {
        if self.packages.is_empty() {
            return vec![self.summary()];
        }
        let cell = |text: String| text.replace('|', "\\|").replace(char::is_control, "\u{fffd}");
        let mut lines = vec![
            "| package | change | before | after | more |".to_owned(),
            "|---|---|---|---|---|".to_owned(),
        ];
        lines.extend(self.packages.iter().map(|one| format!("| {} |", one.cells().map(cell).join(" | "))));
        lines.extend([String::new(), self.summary()]);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &str) -> Holdings {
        of_lock(packages.as_bytes(), "Pipfile.lock", &Env::default()).expect("a lock")
    }

    #[test]
    fn what_differs_is_told_and_what_does_not_is_counted() {
        let [one, two] = ["1", "2"].map(|digit| format!("sha256:{}", digit.repeat(64)));
        let first = lock(&format!(
            r#"{{"_meta":{{}},"default":{{"a":{{"version":"==1"}},"same":{{"version":"==1"}},"gone":{{"version":"==2"}},
            "files":{{"version":"==1","hashes":["{one}"]}},"moved":{{"version":"==1"}},
            "repo":{{"git":"https://u:canary@git.example/r.git","ref":"{}"}}}},"develop":{{}}}}"#,
            "a".repeat(40)
        ));
        let second = lock(&format!(
            r#"{{"_meta":{{}},"default":{{"a":{{"version":"==1.1"}},"same":{{"version":"==1"}},"files":{{"version":"==1","hashes":["{two}"]}},
            "repo":{{"git":"https://u:canary@git.example/r.git","ref":"{}"}}}},"develop":{{"moved":{{"version":"==1"}},"new":{{"version":"*"}}}}}}"#,
            "b".repeat(40)
        ));
        let found = compared(&first, &second);
        let rows: Vec<String> = found.packages.iter().map(|one| one.cells().join("|")).collect();
        assert_eq!(
            rows,
            [
                "a|changed|1|1.1|",
                "files|changed|1|1|other files",
                "gone|removed|2|-|default",
                "moved|changed|1|1|default -> develop",
                "new|added|-|*|develop",
                "repo|changed|https://git.example/r.git@aaaaaaaaaaaa|https://git.example/r.git@bbbbbbbbbbbb|",
            ]
        );
        assert_eq!(found.summary(), "1 package added, 1 removed, 4 changed, 1 the same");
        assert_eq!(found.markdown()[2], "| a | changed | 1 | 1.1 |  |");
    }

    #[test]
    fn sizes_count_where_both_are_environments() {
        let held = |bytes| {
            Holdings::from([("a".to_owned(), Held { version: "1".into(), bytes, ..Held::default() })])
        };
        let grown = compared(&held(Some(1_000)), &held(Some(3_500)));
        assert_eq!(grown.packages[0].cells()[4], "+2.5 kB");
        assert_eq!(grown.summary(), "0 packages added, 0 removed, 1 changed, 0 the same; +2.5 kB");
        assert_eq!(compared(&held(Some(1)), &held(None)).same, 1);
        assert_eq!(compared(&held(Some(5)), &Holdings::new()).packages[0].cells()[4], "-5 B");
    }
}
