//! `pack`: from a lock to a tar or an image, without an environment on disk in between.

pub(super) mod base;
pub(super) mod deliver;
pub(super) mod doors;
mod layers;
mod python;
mod sboms;

use std::path::{Path, PathBuf};

use crate::{
    artifact::{
        pack::{
            copied::Copied,
            image::{self, Base, Image, Layer, Platform},
            layout::{Content, One},
            pieces::Wheels,
            spool::Spool,
            store::{self, Members},
            tar::Common,
        },
        sbom::Component,
    },
    packages::cache::Cache,
    project::python::Target,
    run::{
        inputs::Inputs,
        options::{Options, OutputOptions, PackOptions, SbomTo, TargetOptions},
        supply::sources::Sources,
    },
    words::{
        error::{Error, Kind, Result},
        files::open_regular,
        progress::Progress,
        vocab::Sha256,
    },
};

use self::{
    base::OpenBase,
    deliver::Deliver,
    doors::Doors,
    layers::{Layered, Packing},
};

/// Where an environment is in an image, unless `--at` says otherwise.
const PLACE: &str = "/.venv";

/// What a run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Distributions in it.
    pub packages: usize,
    /// Where artifacts are, each with its size in bytes, where one is known.
    pub made: Vec<(String, Option<u64>)>,
    /// The image.
    pub image: Option<PackedImage>,
}

/// An image that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackedImage {
    /// The digest of its manifest, or of the list of them.
    pub digest: Sha256,
    /// The layers that were put on the base, of all platforms.
    pub layers: Vec<Layer>,
    /// How many layers are the base's.
    pub below: usize,
}

/// Makes what `pack` says of what the lock says.
pub(crate) fn pack(
    options: &Options,
    output: &OutputOptions,
    pack: &PackOptions,
    progress: &dyn Progress,
) -> Result<Packed> {
    let mut output = output.clone();
    let at = output.make.at.get_or_insert_with(|| PathBuf::from(PLACE));
    let place = place(at)?;
    let cache = Cache::open(&options.common.cache_dir, crate::packages::cache::Options::default());
    let inputs = Inputs::read(&options.common, &options.lock, progress)?;
    let sources = Sources::new(&inputs.lock, inputs.pipfile.as_ref(), &options.index)?;
    let doors = Doors::new(options, &sources, progress);
    let open = pack.base.as_deref().map(|text| OpenBase::open(text, &doors, &cache)).transpose()?;
    let run = Run {
        output: &output,
        pack,
        inputs: &inputs,
        sources: &sources,
        cache: &cache,
        place: &place,
        common: Common { owner: pack.owner, mtime: output.make.mtime },
        progress,
    };
    let mut packed = Packed { packages: 0, made: Vec::new(), image: None };
    let targets = options.target.each();
    one_platform(&targets, pack)?;
    let mut images = Vec::new();
    let mut inside = Vec::new();
    for target in &targets {
        let made = run.one(options, target, open.as_ref(), &mut packed.made)?;
        packed.packages = packed.packages.max(made.packages);
        images.extend(made.image);
        inside.push(made.components);
    }
    if images.is_empty() {
        sboms::write(pack, None, &inside, output.make.mtime)?;
        return Ok(packed);
    }
    let mut content = Vec::new();
    for (image, layers, base) in &images {
        let below = match (&open, base) {
            (Some(open), Some(base)) => open.layers(base)?,
            _ => Vec::new(),
        };
        content.push(One { image, layers, base: below });
    }
    let below = content.iter().map(|one| one.base.len()).max().unwrap_or(0);
    let content = Content::new(content, &pack.name);
    let layers = images.iter().flat_map(|(_, layers, _)| layers).cloned().collect();
    packed.image = Some(PackedImage { digest: Sha256::of(content.top().0), layers, below });
    let deliver = Deliver { content: &content, cache: &cache, doors: &doors, mtime: output.make.mtime };
    if let Some(oci) = &pack.oci {
        packed.made.push(deliver.layout(oci)?);
    }
    if let Some(kind) = pack.load {
        packed.made.push(deliver.load(kind, &pack.name)?);
    }
    if let Some(reference) = &pack.push {
        packed.made.push(deliver.push(reference, open.as_ref())?);
    }
    let images: Vec<&Image> = images.iter().map(|(image, ..)| image).collect();
    sboms::write(pack, Some(&images), &inside, output.make.mtime)?;
    sboms::attach(pack, &images, &inside, output.make.mtime, &doors)?;
    Ok(packed)
}

/// Makes the layers that [`pack`] would make, and keeps them in the cache; says how many.
pub(super) fn layers(
    options: &Options,
    output: &OutputOptions,
    pack: &PackOptions,
    progress: &dyn Progress,
) -> Result<usize> {
    let packed = self::pack(options, output, pack, progress)?;
    Ok(packed.image.map_or(0, |image| image.layers.len()))
}

/// Refuses several platforms where there can be one only.
fn one_platform(targets: &[TargetOptions], pack: &PackOptions) -> Result<()> {
    let to_file = pack.sboms.iter().any(|(_, to)| *to != SbomTo::Attach);
    let what = match (&pack.archive, pack.load) {
        (Some(_), _) => "--output writes a tar",
        (None, Some(_)) => "--load loads an image",
        (None, None) if to_file => "--sbom writes a file",
        (None, None) => return Ok(()),
    };
    if targets.len() < 2 {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("{what} for one platform; {} were given", targets.len()))
        .help("run once for each; --oci and --push make one image of several"))
}

/// What one platform gave.
struct Made {
    packages: usize,
    /// Its image, with its own layers and its base; none where a tar alone is wanted.
    image: Option<(Image, Vec<Layer>, Option<Base>)>,
    /// What is inside, where somebody asks.
    components: Vec<Component>,
}

/// What all platforms have in common.
struct Run<'a> {
    output: &'a OutputOptions,
    pack: &'a PackOptions,
    inputs: &'a Inputs,
    sources: &'a Sources<'a>,
    cache: &'a Cache,
    place: &'a str,
    common: Common,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    /// Packs for one target.
    fn one(
        &self,
        options: &Options,
        target: &TargetOptions,
        open: Option<&OpenBase<'_>>,
        made: &mut Vec<(String, Option<u64>)>,
    ) -> Result<Made> {
        let mut options = Options { target: target.clone(), ..options.clone() };
        let base = open.map(|open| open.read(&options.target, self.cache)).transpose()?;
        // Readers of a layout look for OCI's types alone, and Docker's manifests have no place for what is said of lazy
        // layers. A registry gets what the base has.
        let converted = self.pack.oci.is_some() || self.pack.members == Members::PerFile;
        let base = if converted { base.map(Base::into_oci) } else { base };
        if let Some(base) = &base {
            base::take_from(base, self.inputs.requires(), &mut options.target)?;
        }
        let target =
            self.inputs.target(&options.common, &options.target, options.lock.deploy, self.progress)?;
        if let Some(base) = &base {
            base::check(base, &target)?;
        }
        let platform = platform(&target)?;
        let selection = self.inputs.select(&options.lock, &target)?;
        selection.warnings.0.iter().for_each(|warning| self.progress.warn(warning));
        for skipped in &selection.skipped {
            self.progress.detail(&format!("{}: skipped, {}", skipped.entry.written, skipped.why));
        }
        // A working tree on this machine is nothing that an image could point to. Where there is none, the key stays that
        // of an environment that `sync` makes.
        options.build.no_editable |= selection.entries.iter().any(|entry| entry.editable);
        let entries = &selection.entries;
        let packing = Packing { run: self, options: &options, target: &target, entries };
        let Layered { layers, components } = packing.layers(base.as_ref(), made)?;
        let image = match layers {
            None => None,
            Some(mut layers) => {
                self.copy(&mut layers)?;
                layers.iter().filter_map(too_large).for_each(|warning| self.progress.warn(&warning));
                let image = image::compose(
                    base.as_ref(),
                    &layers,
                    &self.pack.settings,
                    &platform,
                    &format!("/{}", self.place),
                    self.common.mtime,
                    &annotations(&options, base.as_ref())?,
                );
                Some((image, layers, base))
            }
        };
        Ok(Made { packages: entries.len(), image, components })
    }

    /// Adds the layer of what comes along.
    fn copy(&self, layers: &mut Vec<Layer>) -> Result<()> {
        if self.pack.copies.is_empty() {
            return Ok(());
        }
        let temporary = self.cache.temporary()?;
        let dir = temporary.path();
        let spool = Spool::new(dir).map_err(|e| Error::io("cannot make a temporary file in", dir, e))?;
        let copied = Copied::read(&self.pack.copies, &spool, dir)?;
        let from: Vec<&str> = self.pack.copies.iter().map(|copy| copy.to.as_str()).collect();
        let (wheels, members) = (Wheels::default(), self.pack.members);
        let (layer, _) =
            store::layer(self.cache, &copied.items(), wheels, self.common, members, from.join(", "))?;
        layers.push(layer);
        Ok(())
    }
}

/// Some registries refuse larger layers.
const LARGE: u64 = 2 << 30;

/// What is to be said of a layer that some registries refuse.
fn too_large(layer: &Layer) -> Option<String> {
    (layer.blob.size > LARGE).then(|| {
        format!(
            "the layer of {} has {} bytes, and some registries refuse more than 2 GB: --slim makes packages smaller, \
             a larger --max-layers puts several into layers of their own, and --copy can leave something out",
            layer.holds, layer.blob.size
        )
    })
}

/// What the manifest says of where the image comes from.
fn annotations(options: &Options, base: Option<&Base>) -> Result<Vec<(String, String)>> {
    let path = options.common.project.lock()?.path();
    let (lock, _) = open_regular(path)
        .and_then(|file| Sha256::of_file(&file))
        .map_err(|e| Error::io("cannot read", path, e))?;
    let annotations = [
        ("org.opencontainers.image.base.digest", base.map(|base| format!("sha256:{}", base.digest))),
        ("org.opencontainers.image.base.name", base.map(|base| base.name.clone())),
        ("dev.venvoy.lock", Some(format!("sha256:{lock}"))),
    ];
    Ok(annotations.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_layer_beyond_2_gib_is_said_what_to_do() {
        let layer = |size: u64| Layer {
            blob: image::Blob { sha256: Sha256::of(b""), size },
            diff_id: Sha256::of(b""),
            holds: "torch".to_owned(),
            toc: None,
        };
        assert_eq!(too_large(&layer(2 << 30)), None);
        let said = too_large(&layer((2 << 30) + 1)).expect("a warning");
        assert!(
            said.starts_with("the layer of torch has 2147483649 bytes, ") && said.contains("--slim"),
            "{said}"
        );
    }

    #[test]
    fn the_place_is_a_directory_of_its_own() {
        assert_eq!(place(Path::new("/.venv")).expect("a place"), ".venv");
        assert_eq!(place(Path::new("//opt/app//.venv/")).expect("a place"), "opt/app/.venv");
        for wrong in ["/", "/a/../b", "/./a"] {
            assert!(place(Path::new(wrong)).is_err(), "{wrong}");
        }
    }
}
