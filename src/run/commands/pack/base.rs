//! What the layers are put on: an image of a layout, a registry or the local engine.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::doors::Doors;
use crate::{
    artifact::{
        engine::Engine,
        pack::{
            image::{Base, Blob, Platform},
            layout::{BlobSource, Layout, pick},
            saved::Saved,
        },
        registry::{Reference, Registry},
    },
    packages::cache::Cache,
    project::{lock::Requires, python::Target},
    run::options::TargetOptions,
    words::{
        choices::EngineKind,
        error::{Context as _, Error, Kind, Result},
        vocab::Sha256,
    },
};

/// A base that was found.
pub(in crate::run::commands) struct OpenBase<'d> {
    from: From<'d>,
    name: String,
}

/// Where it is.
enum From<'d> {
    /// In an image layout, under this tag.
    Layout(Layout, Option<String>),
    /// In a registry.
    Registry(Registry<'d>),
    /// In the cache, where an engine's image was put.
    Saved(Saved),
}

impl<'d> OpenBase<'d> {
    /// Finds a base by what was typed: a path, perhaps with a tag; an image of a registry; one of the local engine.
    pub(in crate::run::commands) fn open(
        text: &str,
        doors: &'d Doors<'_>,
        cache: &Cache,
    ) -> Result<OpenBase<'d>> {
        let named = |e: Error| e.context(format!("cannot use the base {text}"));
        let from = find(text, doors, cache).map_err(named)?;
        Ok(OpenBase { from, name: text.to_owned() })
    }

    /// Reads manifest and config for a platform: `target`'s, else this machine's.
    pub(super) fn read(&self, target: &TargetOptions, cache: &Cache) -> Result<Base> {
        let named = |e: Error| e.context(format!("cannot use the base {}", self.name));
        let asked = target.platforms.first().map(|platform| described_platform(platform));
        let wanted = asked.or_else(|| Platform::of_machine(std::env::consts::ARCH));
        let (manifest, media_type) = self.manifest(wanted.as_ref(), cache).map_err(named)?;
        let config = self.config(&manifest, cache).map_err(named)?;
        let base = Base::new(&manifest, media_type.as_deref(), &config, &self.name).map_err(named)?;
        let platform = base.platform();
        if let Some(wanted) = wanted.filter(|wanted| !wanted.matches(&platform)) {
            return Err(named(
                Error::new(Kind::Usage, format!("it is for {platform}; expected {wanted}"))
                    .help("give another base, or its --platform (with --python-version and --python-home)"),
            ));
        }
        Ok(base)
    }

    /// Reads manifest and config: for this machine where there are several, else of the only one.
    pub(crate) fn look(&self, cache: &Cache) -> Result<Base> {
        let named = |e: Error| e.context(format!("cannot use the image {}", self.name));
        let here = Platform::of_machine(std::env::consts::ARCH);
        let found = self.manifest(here.as_ref(), cache).or_else(|_| self.manifest(None, cache));
        let (manifest, media_type) = found.map_err(named)?;
        let config = self.config(&manifest, cache).map_err(named)?;
        Base::new(&manifest, media_type.as_deref(), &config, &self.name).map_err(named)
    }

    fn manifest(&self, wanted: Option<&Platform>, cache: &Cache) -> Result<(Vec<u8>, Option<String>)> {
        let registry = match &self.from {
            From::Layout(layout, tag) => return layout.manifest(tag.as_deref(), wanted),
            From::Saved(saved) => return Ok((saved.manifest.clone().into_bytes(), None)),
            From::Registry(registry) => registry,
        };
        let mut name = registry.reference().manifest();
        for _ in 0..3 {
            let (bytes, media_type) = by_name(registry, &name, cache)?;
            let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
                Error::new(Kind::Integrity, format!("its manifest {name} is not JSON")).because(error)
            })?;
            let Some(rows) = value["manifests"].as_array() else { return Ok((bytes, media_type)) };
            let row = pick(&rows.iter().collect::<Vec<_>>(), wanted)?;
            row["digest"].as_str().unwrap_or_default().clone_into(&mut name);
            if !name.starts_with("sha256:") {
                return Err(Error::new(
                    Kind::Integrity,
                    format!("its list names the manifest {name:?}; expected sha256:..."),
                ));
            }
        }
        Err(Error::new(Kind::Integrity, "its list of manifests leads to lists of lists; expected an image"))
    }

    fn config(&self, manifest: &[u8], cache: &Cache) -> Result<Vec<u8>> {
        let value: Value = serde_json::from_slice(manifest).unwrap_or_default();
        // A manifest without a config is refused by `Base::new`, which knows why.
        let Some(digest) = value["config"]["digest"].as_str() else { return Ok(b"{}".to_vec()) };
        match &self.from {
            From::Layout(layout, _) => layout.blob(digest),
            From::Saved(saved) => Ok(saved.config.clone().into_bytes()),
            From::Registry(registry) => {
                let sha256 = sha256(digest)?;
                kept(cache, &sha256, "config.json", || registry.blob(&sha256))
            }
        }
    }

    /// The base's layers with their sources.
    pub(in crate::run::commands) fn layers(&self, base: &Base) -> Result<Vec<(Blob, BlobSource<'_>)>> {
        base.layers
            .iter()
            .map(|row| {
                let digest = row["digest"].as_str().unwrap_or_default();
                let blob = Blob { sha256: sha256(digest)?, size: row["size"].as_u64().unwrap_or(0) };
                let source = match &self.from {
                    From::Layout(layout, _) => layout.source(digest)?,
                    From::Saved(_) => BlobSource::Cached(blob.clone()),
                    From::Registry(registry) => BlobSource::Remote(registry, blob.clone()),
                };
                Ok((blob, source))
            })
            .collect::<Result<_>>()
            .context(|| format!("cannot use the base {}", self.name))
    }

    /// The repository that has the base's layers, where it is in the registry that `to` is in.
    pub(super) fn beside(&self, to: &Reference) -> Option<&str> {
        match &self.from {
            From::Registry(registry) if registry.reference().host == to.host => {
                Some(registry.reference().path.as_str())
            }
            _ => None,
        }
    }
}

fn find<'d>(text: &str, doors: &'d Doors<'_>, cache: &Cache) -> Result<From<'d>> {
    let after = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    if let Some(path) = after(&["oci:", "oci-archive:", "oci-layout://", "docker-archive:"]) {
        return layout(path, cache);
    }
    if let Some(image) = after(&["docker-daemon:"]) {
        return engine(&doors.engine(Some(EngineKind::Docker))?, image, doors, cache);
    }
    if let Some(image) = after(&["containers-storage:"]) {
        return engine(&doors.engine(Some(EngineKind::Podman))?, image, doors, cache);
    }
    if let Some(image) = after(&["docker://"]) {
        let reference =
            if Reference::names_registry(image) { image.parse()? } else { Reference::of_hub(image)? };
        return doors.registry(reference).map(From::Registry);
    }
    // A colon that is part of a name is no tag.
    let is_there =
        Path::new(text).exists() || text.rsplit_once(':').is_some_and(|(path, _)| Path::new(path).exists());
    let is_name = text.contains([':', '@']) && !text.starts_with(['.', '/']);
    if is_there || !is_name {
        return layout(text, cache);
    }
    if Reference::names_registry(text) {
        return doors.registry(text.parse()?).map(From::Registry);
    }
    // As engines do it: what they have, else Docker Hub's.
    if let Ok(found) = doors.engine(None)
        && let Ok(Some(_)) = found.id(text)
    {
        return engine(&found, text, doors, cache);
    }
    doors.registry(Reference::of_hub(text)?).map(From::Registry)
}

fn layout<'d>(text: &str, cache: &Cache) -> Result<From<'d>> {
    let (path, tag) = match text.rsplit_once(':') {
        Some((before, tag)) if !Path::new(text).exists() => (before, Some(tag.to_owned())),
        _ => (text, None),
    };
    let layout = Layout::open(Path::new(path)).map_err(|error| {
        let help = "name an OCI layout, or an image with its tag (registry.example/python:3.9, python:3.9)";
        error.help(help)
    })?;
    if layout.is_saved() {
        return Saved::read(&layout, tag.as_deref(), cache).map(From::Saved);
    }
    Ok(From::Layout(layout, tag))
}

/// An image of the local engine: saved once, known by its digest from then on.
fn engine<'d>(engine: &Engine, image: &str, doors: &Doors<'_>, cache: &Cache) -> Result<From<'d>> {
    let id = engine.id(image)?.ok_or_else(|| {
        Error::new(Kind::Usage, format!("{engine} has no image {image}"))
            .help(format!("`{engine} pull {image}` gets it, or docker://{image} reads it from its registry"))
    })?;
    if let Some(saved) = Saved::kept(cache, &id) {
        return Ok(From::Saved(saved));
    }
    doors.progress.stage("Reading", 0);
    let temporary = cache.temporary()?;
    let path: PathBuf = temporary.path().join("image.tar");
    engine.save(image, &path)?;
    // There is one image in it, whatever it is called there.
    let saved = Saved::read(&Layout::open(&path)?, None, cache)?;
    saved.keep(cache, &id);
    Ok(From::Saved(saved))
}

/// A manifest by tag or digest. By its digest it is the same for ever.
fn by_name(registry: &Registry<'_>, name: &str, cache: &Cache) -> Result<(Vec<u8>, Option<String>)> {
    let missing = || {
        Error::new(
            Kind::Usage,
            format!("{} has no {} {name}", registry.reference().host, registry.reference().path),
        )
        .help("check its name and tag; some registries say so of what a login may not read")
    };
    let ask = || registry.manifest(name)?.ok_or_else(missing);
    if name.starts_with("sha256:") {
        let bytes = kept(cache, &sha256(name)?, "manifest.json", || ask().map(|manifest| manifest.bytes))?;
        return Ok((bytes, None));
    }
    let manifest = ask()?;
    Ok((manifest.bytes, manifest.media_type))
}

/// A small blob by its digest, from the cache or else what `get` gives.
fn kept(
    cache: &Cache,
    sha256: &Sha256,
    name: &str,
    get: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    use std::io::{Read as _, Write as _};
    if let Some(file) = cache.file(sha256) {
        let mut bytes = Vec::new();
        if file.open()?.read_to_end(&mut bytes).is_ok() && Sha256::of(&bytes) == *sha256 {
            return Ok(bytes);
        }
    }
    let bytes = get()?;
    // A cache that cannot be written costs the next run the same again.
    if let Ok(mut pending) = cache.begin(name)
        && pending.write_all(&bytes).is_ok()
    {
        let _ = pending.commit(&[*sha256]);
    }
    Ok(bytes)
}

fn sha256(digest: &str) -> Result<Sha256> {
    digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok()).ok_or_else(|| {
        Error::new(Kind::Integrity, format!("{digest:?} is not a digest that is known; expected sha256:..."))
    })
}

/// The platform of `--platform`, its C library left out.
fn described_platform(text: &str) -> Platform {
    let parts: Vec<&str> = text.split('/').collect();
    let variant = parts.get(2).filter(|part| part.starts_with('v')).map(|part| (*part).to_owned());
    let machine = Platform::of_machine(parts.get(1).unwrap_or(&""));
    Platform {
        os: parts[0].to_owned(),
        architecture: machine
            .as_ref()
            .map_or_else(|| parts.get(1).unwrap_or(&"").to_string(), |known| known.architecture.clone()),
        variant: variant.or_else(|| machine.and_then(|known| known.variant)),
    }
}

/// What official Python images say of themselves: PYTHON_VERSION, and an interpreter in /usr/local/bin. Where the base does not
/// say its version, the project's does; an interpreter that happens to be on this machine says nothing of a base's.
pub(super) fn take_from(base: &Base, requires: &Requires, target: &mut TargetOptions) -> Result<()> {
    let of_base = base.env("PYTHON_VERSION").map(str::to_owned);
    let required = || Some(requires.wanted().ok()??.single()?.to_string());
    let version = target.version.clone().or(of_base.clone()).or_else(required);
    let asked = target.python.is_some() || target.executable.is_some() || target.described.is_some();
    let missing = |what: &str, help: &str| {
        let message = format!("the base {} does not say {what} (it has no PYTHON_VERSION)", base.name);
        Error::new(Kind::Usage, message).help(help)
    };
    let unknown = version.is_none() && !asked;
    if target.home.is_none() && target.executable.is_none() {
        if of_base.is_none() {
            let help = if unknown {
                "say both: --python-home /usr/bin --python-version 3.11"
            } else {
                "say it: --python-home /usr/bin"
            };
            return Err(missing("where its Python is", help));
        }
        target.home = Some(PathBuf::from("/usr/local/bin"));
    }
    if unknown {
        return Err(missing(
            "which Python it has",
            "say it: --python-version 3.11; or let [requires] of the project name one version",
        ));
    }
    if let (None, None, Some(version)) = (&target.described, &target.python, version) {
        if let [platform] = target.platforms.as_slice() {
            target.described = Some((version, platform.clone()));
            return Ok(());
        }
        let Platform { os, architecture, variant } = base.platform();
        let variant = variant.filter(|_| architecture == "arm").map_or(String::new(), |v| format!("/{v}"));
        let history = serde_json::to_string(&base.config.get("history")).unwrap_or_default();
        let libc = if history.contains("alpine") { "/musl" } else { "" };
        target.described = Some((version, format!("{os}/{architecture}{variant}{libc}")));
    }
    Ok(())
}

/// An environment for one Python on a base with another would not start.
pub(super) fn check(base: &Base, target: &Target) -> Result<()> {
    let Some(version) = base.env("PYTHON_VERSION") else { return Ok(()) };
    let (major, minor, _) = target.version;
    let same =
        version.split('.').take(2).eq([major.to_string(), minor.to_string()].iter().map(String::as_str));
    if same {
        return Ok(());
    }
    Err(Error::new(
        Kind::Target,
        format!(
            "the base {} has Python {version}, and the environment is for {}",
            base.name,
            target.describe_shortly()
        ),
    )
    .help("use a base with that Python, or --python-version of the base's"))
}
