//! `pack`: from a lock to a tar or an image, without an environment on disk in between.

use std::{
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    artifact::{
        pack::{
            archive::{self, FORMAT, Items},
            copied::Copied,
            image::{self, Base, Blob, LAYER_LIMIT, Layer, Platform},
            layout::{self, BlobSource, Content, Layout},
            pieces::{self, Pieces},
            split::split,
            spool::Spool,
            store::{self, Record},
            tar::Common,
        },
        registry::{Logins, Reference, Registry, Upload},
    },
    environment::layout::{DistInput, PlanKey},
    packages::cache::{Cache, Trust},
    project::{
        lock::{Entry, EntryOrigin},
        python::Target,
    },
    run::{
        assemble::{
            Frame,
            key::{self, Keys},
            prepare::runtime_target,
        },
        commands::sync::{Named, local_digest, name},
        inputs::Inputs,
        options::{Archive, Form, Oci, Options, OutputOptions, PackOptions, To},
        supply::{
            builder::Builder,
            seed::seeds,
            session::{Session, client},
            sources::Sources,
            work::obtain_all,
        },
    },
    words::{
        error::{Context as _, Error, Kind, Result},
        files::open_regular,
        progress::Progress,
        vocab::Sha256,
    },
};

/// Where an environment is in an image, unless `--at` says otherwise.
const PLACE: &str = "/.venv";

/// What the cache calls the layers of an environment.
const IMAGES: &str = "images";

/// What a run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Distributions in it.
    pub packages: usize,
    /// Where artifacts are, each with its size in bytes, where one is known.
    pub made: Vec<(String, Option<u64>)>,
    /// The image's manifest, its own layers, and how many are its base's.
    pub image: Option<(Sha256, Vec<Layer>, usize)>,
}

/// Makes what `pack` says of what the lock says.
pub fn pack(
    options: &Options,
    output: &OutputOptions,
    pack: &PackOptions,
    progress: &dyn Progress,
) -> Result<Packed> {
    let mut options = options.clone();
    let mut output = output.clone();
    let at = output.make.at.get_or_insert_with(|| PathBuf::from(PLACE));
    let place = place(at)?;
    let base = pack.base.as_deref().map(OpenBase::open).transpose()?;
    let base = match base {
        Some(open) => Some(open.read(&mut options)?),
        None => None,
    };
    let inputs = Inputs::read(&options.common, &options.lock, progress)?;
    let target = inputs.target(&options.common, &options.target, options.lock.deploy, progress)?;
    if let Some((_, base)) = &base {
        check_base(base, &target)?;
    }
    let platform = platform(&target)?;
    let selection = inputs.select(&options.lock, &target)?;
    selection.warnings.0.iter().for_each(|warning| progress.warn(warning));
    for skipped in &selection.skipped {
        progress.detail(&format!("{}: skipped, {}", skipped.entry.written, skipped.why));
    }
    // A working tree on this machine is nothing that an image could point to. Where there is none, the key stays that of
    // an environment that `sync` makes.
    options.build.no_editable |= selection.entries.iter().any(|entry| entry.editable);
    let run = Run {
        options: &options,
        output: &output,
        pack,
        inputs: &inputs,
        target: &target,
        entries: &selection.entries,
        place: &place,
        common: Common { owner: pack.owner, mtime: output.make.mtime },
        progress,
    };
    run.run(base, &platform)
}

struct Run<'a> {
    options: &'a Options,
    output: &'a OutputOptions,
    pack: &'a PackOptions,
    inputs: &'a Inputs,
    target: &'a Target,
    entries: &'a [Entry],
    place: &'a str,
    common: Common,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    fn run(&self, base: Option<(OpenBase, Base)>, platform: &Platform) -> Result<Packed> {
        let make = &self.output.make;
        let sources = Sources::new(&self.inputs.lock, self.inputs.pipfile.as_ref(), &self.options.index)?;
        let runtime = runtime_target(self.target, &self.options.target)?;
        let Named { copied, common, keys } = name(self.options, make, self.target, &runtime, self.entries)?;
        let budget = self.budget(base.as_ref().map(|(_, base)| base))?;

        let mut made = Vec::new();
        let mut layers = None;
        let cache = Cache::open(&self.options.common.cache_dir, crate::packages::cache::Options::default());
        if self.pack.archive.is_none() {
            layers = keys.whole.and_then(|key| Self::kept(&cache, &self.layers_key(key, budget)));
        }
        if layers.is_none() {
            sources.check(self.entries)?;
            let trust = if make.strict { Trust::Unlinked } else { Trust::Recorded };
            let session =
                Session::open(self.options, self.target, &sources, self.entries, trust, self.progress)?;
            let frame = Frame { runtime: &runtime, make, copied: &copied, common };
            layers = self.make_layers(&session, &frame, budget, &mut made)?;
        }
        let mut image = None;
        if let Some(mut layers) = layers {
            self.copy(&cache, &mut layers)?;
            let annotations = [
                (
                    "org.opencontainers.image.base.digest",
                    base.as_ref().map(|(_, base)| format!("sha256:{}", base.digest)),
                ),
                ("org.opencontainers.image.base.name", base.as_ref().map(|(_, base)| base.name.clone())),
                ("dev.venvoy.lock", Some(format!("sha256:{}", self.lock_digest()?))),
            ];
            let annotations: Vec<(String, String)> =
                annotations.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            let composed = image::compose(
                base.as_ref().map(|(_, base)| base),
                &layers,
                &self.pack.settings,
                platform,
                &format!("/{}", self.place),
                make.mtime,
                &annotations,
            );
            let digest = Sha256::of(&composed.manifest);
            let below = match &base {
                Some((open, base)) => open.layers(base)?,
                None => Vec::new(),
            };
            let content = Content { image: &composed, layers: &layers, base: below, name: &self.pack.name };
            if let Some(oci) = &self.pack.oci {
                made.push(self.write_layout(oci, &content, &cache)?);
            }
            if let Some(reference) = &self.pack.push {
                made.push(self.push(reference, &content, &cache, &sources)?);
            }
            let below = base.map_or(0, |(_, base)| base.layers.len());
            image = Some((digest, layers, below));
        }
        Ok(Packed { packages: self.entries.len(), made, image })
    }

    /// How many layers packages and environment may have.
    fn budget(&self, base: Option<&Base>) -> Result<usize> {
        let below = base.map_or(0, |base| base.layers.len());
        let copies = usize::from(!self.pack.copies.is_empty());
        let room = LAYER_LIMIT - below;
        let budget = self.pack.layers.min(room).saturating_sub(copies);
        if budget == 0 && room <= copies {
            return Err(Error::new(
                Kind::Usage,
                format!("the base has {below} layers, and --copy needs one more than the {LAYER_LIMIT} there may be"),
            )
            .help("squash the base, or use one with fewer layers"));
        }
        Ok(budget.max(1))
    }

    fn lock_digest(&self) -> Result<Sha256> {
        let path = self.options.common.project.lock()?.path();
        open_regular(path)
            .and_then(|file| Sha256::of_file(&file))
            .map(|(digest, _)| digest)
            .map_err(|e| Error::io("cannot read", path, e))
    }

    /// What decides the layers of an environment beside the environment itself.
    fn layers_key(&self, plan: Sha256, budget: usize) -> Sha256 {
        let Common { owner, mtime } = self.common;
        let text = format!(
            "image {FORMAT}\n{plan}\n{}\n{owner:?}\n{mtime}\n{budget}\n{:?}\n",
            self.place,
            self.local_names()
        );
        Sha256::of(text.as_bytes())
    }

    /// The layers that were made of this before, if all are still there.
    fn kept(cache: &Cache, key: &Sha256) -> Option<Vec<Layer>> {
        let bytes = cache.keyed(IMAGES, key).read_kept()?;
        let records: Vec<Record> = serde_json::from_slice(&bytes).ok()?;
        records.iter().map(|record| record.layer(cache)).collect()
    }

    /// The packages that come from the project itself.
    fn local_names(&self) -> Vec<&str> {
        let local = self.entries.iter().filter(|entry| matches!(entry.origin, EntryOrigin::Path(_)));
        local.map(|entry| entry.name.as_str()).collect()
    }

    /// Gets wheels and makes of them what was asked for.
    fn make_layers(
        &self,
        session: &Session<'_>,
        frame: &Frame<'_>,
        budget: usize,
        made: &mut Vec<(String, Option<u64>)>,
    ) -> Result<Option<Vec<Layer>>> {
        let builder = Builder::new(self.options, self.output);
        let mut tries = 0;
        loop {
            self.progress.stage("Fetching", 0);
            let obtained = obtain_all(session, &builder, self.entries, None, self.output.place.threads)?;
            // A first build tells what it read beside its project, which counts from then on.
            let keys = Keys::new(frame.common, self.entries, frame.make.seed, &|entry| {
                local_digest(entry, self.options)
            })?;
            let mut inputs = Vec::with_capacity(obtained.len());
            for (mut one, key) in obtained.into_iter().zip(&keys.entries) {
                one.input.key = key.unwrap_or_else(|| key::of_wheel(&one.input));
                inputs.push(one.input);
            }
            if frame.make.seed {
                inputs.extend(seeds(session, &inputs, key::of_wheel)?);
            }
            match self.make(session, frame, &inputs, budget, made) {
                // Bits that went bad in the cache: once they are gone from there, the same run can still succeed.
                Err(error) if error.kind() == Kind::Integrity && tries == 0 => {
                    tries += 1;
                    let mut forgotten = false;
                    for input in &inputs {
                        forgotten |= session.forget_if_damaged(&input.wheel.file)?;
                    }
                    if !forgotten {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    fn make(
        &self,
        session: &Session<'_>,
        frame: &Frame<'_>,
        inputs: &[DistInput],
        budget: usize,
        made: &mut Vec<(String, Option<u64>)>,
    ) -> Result<Option<Vec<Layer>>> {
        let cache = &session.cache;
        let plan = frame.plan(inputs.to_vec(), self.progress)?;
        let compiler = frame.compiler(self.target, cache)?;
        self.progress.stage("Reading", 0);
        let pieces = Pieces::make(
            &plan,
            &pieces::Options { strict: frame.make.strict, compiler: compiler.as_ref(), cache },
        )?;
        pieces.warnings.iter().for_each(|warning| self.progress.warn(warning));
        pieces.uncompiled.iter().for_each(|module| self.progress.detail(module));
        self.progress.stage("Packing", 0);
        if let Some(archive) = &self.pack.archive {
            made.push(self.write_archive(archive, &pieces)?);
        }
        if self.pack.oci.is_none() && self.pack.push.is_none() {
            return Ok(None);
        }
        let local = self.local_names();
        let is_local: Vec<bool> =
            pieces.plan.dists.iter().map(|dist| local.contains(&dist.name.as_str())).collect();
        let parts = split(&pieces, self.place, budget, &is_local);
        let one = |part: &crate::artifact::pack::split::Part<'_>| {
            store::layer(cache, &part.items, &pieces.plan, self.common, part.holds.clone())
        };
        let (layers, records): (Vec<Layer>, Vec<Record>) = {
            use rayon::prelude::*;
            let both: Vec<(Layer, Record)> = parts.par_iter().map(one).collect::<Result<_>>()?;
            both.into_iter().unzip()
        };
        for layer in layers.iter().filter(|layer| layer.blob.size > 2 << 30) {
            self.progress.warn(&format!(
                "the layer of {} has {} bytes: some registries refuse more than 2 GB; --slim makes it smaller, \
                 a larger --max-layers divides what is divisible",
                layer.holds, layer.blob.size
            ));
        }
        let PlanKey(key) = plan.key;
        // A cache that cannot be written costs the next run the same again.
        if let Ok(text) = serde_json::to_vec(&records) {
            let _ = cache.keyed(IMAGES, &self.layers_key(key, budget)).publish(&text);
        }
        Ok(Some(layers))
    }

    /// Adds the layer of what comes along.
    fn copy(&self, cache: &Cache, layers: &mut Vec<Layer>) -> Result<()> {
        if self.pack.copies.is_empty() {
            return Ok(());
        }
        let temporary = cache.temporary()?;
        let dir = temporary.path();
        let spool = Spool::new(dir).map_err(|e| Error::io("cannot make a temporary file in", dir, e))?;
        let copied = Copied::read(&self.pack.copies, &spool, dir)?;
        let plan = crate::environment::layout::Plan::default();
        let from: Vec<&str> = self.pack.copies.iter().map(|copy| copy.to.as_str()).collect();
        let (layer, _) = store::layer(cache, &copied.items(), &plan, self.common, from.join(", "))?;
        layers.push(layer);
        Ok(())
    }

    fn write_archive(&self, archive: &Archive, pieces: &Pieces<'_>) -> Result<(String, Option<u64>)> {
        let items = Items::environment(pieces, self.place);
        let plan = &pieces.plan;
        publish(&archive.to, &mut |out, failed| match archive.form {
            Form::Plain => archive::plain(&items, plan, self.common, out, failed),
            Form::Gzip => archive::gzip(&items, plan, self.common, false, out, failed).map(drop),
            Form::Zstd => {
                let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed)?;
                archive::plain(&items, plan, self.common, &mut encoder, failed)?;
                encoder.finish().map(drop).map_err(failed)
            }
        })
    }

    /// Sends what the registry does not have; says how many bytes that were.
    fn push(
        &self,
        reference: &Reference,
        content: &Content<'_>,
        cache: &Cache,
        sources: &Sources<'_>,
    ) -> Result<(String, Option<u64>)> {
        use rayon::prelude::*;
        let Options { common, index, .. } = self.options;
        if index.offline {
            return Err(Error::new(Kind::Usage, "--push and --offline exclude each other"));
        }
        let client = client(common, index, sources, self.entries, self.progress)?;
        let registry = Registry::new(&client, reference.clone(), &Logins::of(&common.env))?;
        let manifest = Sha256::of(&content.image.manifest);
        let mut blobs = content.blobs();
        blobs.retain(|(blob, _)| blob.sha256 != manifest);
        self.progress.stage("Pushing", blobs.iter().map(|(blob, _)| blob.size).sum());
        let sent = blobs
            .par_iter()
            .map(|(blob, source)| {
                let open = || source.open(cache);
                let upload = registry.push_blob(&blob.sha256, blob.size, &open)?;
                self.progress.advance(blob.size);
                Ok(if upload == Upload::Sent { blob.size } else { 0 })
            })
            .collect::<Result<Vec<u64>>>()?;
        registry.push_manifest(&content.image.manifest, content.image.family.manifest())?;
        Ok((reference.to_string(), Some(sent.iter().sum())))
    }

    fn write_layout(&self, oci: &Oci, content: &Content<'_>, cache: &Cache) -> Result<(String, Option<u64>)> {
        match oci {
            Oci::Directory(dir) => {
                layout::to_directory(dir, content, cache)?;
                Ok((dir.display().to_string(), None))
            }
            Oci::Tar(to) => {
                publish(to, &mut |out, failed| layout::to_tar(out, content, cache, self.common.mtime, failed))
            }
        }
    }
}

/// Writes to a file that appears whole, or to standard output.
fn publish(
    to: &To,
    write: &mut dyn FnMut(&mut dyn Write, archive::Failed<'_>) -> Result<()>,
) -> Result<(String, Option<u64>)> {
    const BUFFER: usize = 256 << 10;
    let To::File(path) = to else {
        let failed = |error: io::Error| {
            Error::new(Kind::Destination, "cannot write to standard output").because(error)
        };
        let mut out = io::BufWriter::with_capacity(BUFFER, io::stdout().lock());
        write(&mut out, &failed)?;
        out.flush().map_err(failed)?;
        return Ok(("standard output".to_owned(), None));
    };
    let failed = |error: io::Error| Error::io("cannot write", path, error).with_kind(Kind::Destination);
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Error::new(
            Kind::Destination,
            format!("{} is there and no regular file", path.display()),
        )
        .help("name another file, or - for standard output; nothing was changed"));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(".venvoy-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(failed)?;
    let mut out = io::BufWriter::with_capacity(BUFFER, file.as_file_mut());
    write(&mut out, &failed)?;
    out.flush().map_err(failed)?;
    drop(out);
    let size = file.as_file().metadata().map_err(failed)?.len();
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok((path.display().to_string(), Some(size)))
}

/// The environment's place as tars name it: no slash at either end.
fn place(at: &Path) -> Result<String> {
    let wrong = |why: &str| {
        Error::new(Kind::Usage, format!("--at {} {why}", at.display()))
            .help("name the place in the image, such as --at /.venv")
    };
    let text = at.to_str().ok_or_else(|| wrong("is not UTF-8: no script could name it"))?;
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(wrong("is the root of the image; expected a directory of its own"));
    }
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(wrong("has `.` or `..` in it"));
    }
    Ok(parts.join("/"))
}

/// The platform that a target's image is for.
fn platform(target: &Target) -> Result<Platform> {
    let markers = &target.markers;
    let known = (markers.sys_platform == "linux").then(|| Platform::of_machine(&markers.platform_machine));
    known.flatten().ok_or_else(|| {
        Error::new(
            Kind::Usage,
            format!("no image can hold an environment for {} on {}", markers.platform_system, markers.platform_machine),
        )
        .help("describe the image's interpreter: --python-version 3.9 --platform linux/amd64 --python-home /usr/local/bin")
    })
}

/// A base that was found.
struct OpenBase {
    layout: Layout,
    tag: Option<String>,
    name: String,
}

impl OpenBase {
    /// Finds a layout by what was typed: a path, perhaps with a tag.
    fn open(text: &str) -> Result<OpenBase> {
        let named = |e: Error| e.context(format!("cannot use the base {text}"));
        let bare = ["oci:", "oci-archive:", "oci-layout://"];
        let path = bare.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
        let (path, tag) = match path.rsplit_once(':') {
            Some((before, tag)) if !Path::new(path).exists() => (before, Some(tag.to_owned())),
            _ => (path, None),
        };
        let layout = Layout::open(Path::new(path)).map_err(named)?;
        Ok(OpenBase { layout, tag, name: text.to_owned() })
    }

    /// Reads manifest and config, and takes from them what was not typed: platform, Python's version and its place.
    fn read(self, options: &mut Options) -> Result<(OpenBase, Base)> {
        let named = |e: Error| e.context(format!("cannot use the base {}", self.name));
        let asked = options.target.described.as_ref().map(|(_, platform)| described_platform(platform));
        let wanted = asked.or_else(|| Platform::of_machine(std::env::consts::ARCH));
        let (manifest, media_type) =
            self.layout.manifest(self.tag.as_deref(), wanted.as_ref()).map_err(named)?;
        let digest = |manifest: &[u8]| {
            let value: Value = serde_json::from_slice(manifest).ok()?;
            value["config"]["digest"].as_str().map(str::to_owned)
        };
        // A manifest without a config is refused by `Base::new`, which knows why.
        let config = match digest(&manifest) {
            Some(digest) => self.layout.blob(&digest).map_err(named)?,
            None => b"{}".to_vec(),
        };
        let base = Base::new(&manifest, media_type.as_deref(), &config, &self.name).map_err(named)?;
        let platform = base.platform();
        if let Some(wanted) = wanted.filter(|wanted| !wanted.matches(&platform)) {
            return Err(named(
                Error::new(Kind::Usage, format!("it is for {platform}; expected {wanted}"))
                    .help("give another base, or its --platform (with --python-version and --python-home)"),
            ));
        }
        take_from(&base, options)?;
        Ok((self, base))
    }

    /// The base's layers with their sources.
    fn layers(&self, base: &Base) -> Result<Vec<(Blob, BlobSource<'_>)>> {
        base.layers
            .iter()
            .map(|row| {
                let digest = row["digest"].as_str().unwrap_or_default();
                let hex = digest.strip_prefix("sha256:").unwrap_or_default();
                let blob = Blob { sha256: hex.parse()?, size: row["size"].as_u64().unwrap_or(0) };
                Ok((blob, self.layout.source(digest)?))
            })
            .collect::<Result<_>>()
            .context(|| format!("cannot use the base {}", self.name))
    }
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

/// What official Python images say of themselves: PYTHON_VERSION, and an interpreter in /usr/local/bin.
fn take_from(base: &Base, options: &mut Options) -> Result<()> {
    let target = &mut options.target;
    let version = base.env("PYTHON_VERSION").map(str::to_owned);
    if target.home.is_none() && target.executable.is_none() {
        if version.is_none() {
            return Err(Error::new(
                Kind::Usage,
                format!("the base {} does not say where its Python is (it has no PYTHON_VERSION)", base.name),
            )
            .help("say it: --python-home /usr/bin"));
        }
        target.home = Some(PathBuf::from("/usr/local/bin"));
    }
    if let (None, None, Some(version)) = (&target.described, &target.python, version) {
        let Platform { os, architecture, variant } = base.platform();
        let variant = variant.filter(|_| architecture == "arm").map_or(String::new(), |v| format!("/{v}"));
        let history = serde_json::to_string(&base.config.get("history")).unwrap_or_default();
        let libc = if history.contains("alpine") { "/musl" } else { "" };
        target.described = Some((version, format!("{os}/{architecture}{variant}{libc}")));
    }
    Ok(())
}

/// An environment for one Python on a base with another would not start.
fn check_base(base: &Base, target: &Target) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_a_directory_of_its_own() {
        assert_eq!(place(Path::new("/.venv")).expect("a place"), ".venv");
        assert_eq!(place(Path::new("//opt/app//.venv/")).expect("a place"), "opt/app/.venv");
        for wrong in ["/", "/a/../b", "/./a"] {
            assert!(place(Path::new(wrong)).is_err(), "{wrong}");
        }
    }
}
