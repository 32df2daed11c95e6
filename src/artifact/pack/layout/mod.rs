//! An OCI image layout (image specification 1.1, "Image Layout Specification"), as a directory or as a tar that Docker
//! loads too.

mod archive;
mod directory;
mod reader;

use std::{fs, path::PathBuf, sync::Arc};

use serde_json::{Value, json};

use super::{
    image::{Blob, Family, Image, Layer, bytes, descriptor},
    store,
};
use crate::{
    artifact::registry::Registry,
    packages::cache::Cache,
    words::error::{Error, Kind, Result},
};

pub(crate) use archive::to_tar;
pub(crate) use directory::to_directory;
pub(crate) use reader::{Layout, pick};

/// What `oci-layout` says.
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Under which name a tag stands in `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// How often a blob is fetched that breaks on its way.
const TRIES: u32 = 3;

/// A blob that goes into a layout.
#[derive(Clone)]
pub(crate) enum BlobSource<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A layer in the cache.
    Cached(Blob),
    /// A file, as a base's blob.
    File(PathBuf),
    /// A part of a file.
    Section(Arc<fs::File>, u64, u64),
    /// A blob of a repository.
    Remote(&'a Registry<'a>, Blob),
}

impl BlobSource<'_> {
    /// Opens it at its beginning.
    pub(crate) fn open(&self, cache: &Cache) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        let cached =
            |blob| store::file(cache, blob).and_then(|file| file.open()).map_err(std::io::Error::other);
        Ok(match self {
            BlobSource::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes.to_vec())),
            BlobSource::Cached(blob) => Box::new(cached(blob)?),
            BlobSource::File(path) => Box::new(fs::File::open(path)?),
            BlobSource::Section(file, at, length) => {
                Box::new(crate::packages::wheel::Section::new(Arc::clone(file), *at, *length))
            }
            BlobSource::Remote(_, blob) if cache.has(&blob.sha256).is_some() => Box::new(cached(blob)?),
            BlobSource::Remote(registry, blob) => registry
                .open_blob(&blob.sha256, blob.size)
                .map_err(|error| std::io::Error::other(error.in_one_line()))?,
        })
    }

    /// Has a blob of a repository come into the cache, from where it is taken for every layout.
    fn here(&self, cache: &Cache) -> Result<Self> {
        let BlobSource::Remote(registry, blob) = self else { return Ok(self.clone()) };
        let mut tries = 0;
        while cache.file(&blob.sha256).is_none() {
            tries += 1;
            let what = || format!("cannot read the blob sha256:{} of {}", blob.sha256, registry.reference());
            let mut pending = cache.begin(store::FILE_NAME)?;
            let mut reader = registry.open_blob(&blob.sha256, blob.size)?;
            match std::io::copy(&mut reader, &mut pending) {
                Ok(_) => drop(pending.commit(&[blob.sha256])?),
                Err(error) if tries >= TRIES => {
                    return Err(Error::new(Kind::Network, what()).because(error));
                }
                Err(_) => crate::words::interrupt::check()?,
            }
        }
        Ok(BlobSource::Cached(blob.clone()))
    }
}

/// An image that is put into a layout.
pub(crate) struct One<'a> {
    /// Its config and manifest.
    pub image: &'a Image,
    /// Its own layers.
    pub layers: &'a [Layer],
    /// Its base's layers and where their bytes are.
    pub base: Vec<(Blob, BlobSource<'a>)>,
}

/// What is put into a layout.
pub(crate) struct Content<'a> {
    /// One image for each platform.
    images: Vec<One<'a>>,
    /// The list of them, where there are several.
    list: Option<(Vec<u8>, Family)>,
    /// `NAME:TAG`, the tag after the last colon.
    name: &'a str,
}

impl<'a> Content<'a> {
    /// Of images, at least one, under a name.
    pub(crate) fn new(images: Vec<One<'a>>, name: &'a str) -> Self {
        let list = (images.len() > 1).then(|| {
            let family = if images.iter().all(|one| one.image.family == Family::Docker) {
                Family::Docker
            } else {
                Family::Oci
            };
            let rows: Vec<Value> = images.iter().map(|one| one.image.row()).collect();
            let list = json!({ "schemaVersion": 2, "mediaType": family.index(), "manifests": rows });
            (bytes(&list), family)
        });
        Content { images, list, name }
    }

    /// What is tagged: the bytes of the one manifest or of the list, and their media type.
    pub(crate) fn top(&self) -> (&[u8], &'static str) {
        match (&self.list, self.images.first()) {
            (Some((list, family)), _) => (list, family.index()),
            (None, Some(one)) => (&one.image.manifest, one.image.family.manifest()),
            (None, None) => (b"", Family::Oci.manifest()),
        }
    }

    /// The images.
    pub(crate) fn images(&self) -> &[One<'a>] {
        &self.images
    }

    fn tag(&self) -> &str {
        self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag)
    }

    /// The row in `index.json`.
    fn row(&self) -> Value {
        let (top, media_type) = self.top();
        let mut row = match self.images.as_slice() {
            [one] => one.image.row(),
            _ => descriptor(media_type, &Blob::of(top)),
        };
        row["annotations"] = json!({
            "io.containerd.image.name": full_name(self.name),
            REF_NAME: self.tag(),
        });
        row
    }

    /// Every blob with its source, sorted by digest, each once; manifests are among them.
    pub(crate) fn blobs(&self) -> Vec<(Blob, BlobSource<'_>)> {
        let mut all: Vec<(Blob, BlobSource<'_>)> = Vec::new();
        if let Some((list, _)) = &self.list {
            all.push((Blob::of(list), BlobSource::Bytes(list)));
        }
        for one in &self.images {
            all.push((Blob::of(&one.image.manifest), BlobSource::Bytes(&one.image.manifest)));
            all.extend(one.blobs());
        }
        all.sort_by_key(|(blob, _)| blob.sha256);
        all.dedup_by_key(|(blob, _)| blob.sha256);
        all
    }
}

impl One<'_> {
    /// Every blob that its manifest names.
    pub(crate) fn blobs(&self) -> Vec<(Blob, BlobSource<'_>)> {
        let mut all = vec![(Blob::of(&self.image.config), BlobSource::Bytes(&self.image.config))];
        all.extend(
            self.layers.iter().map(|layer| (layer.blob.clone(), BlobSource::Cached(layer.blob.clone()))),
        );
        all.extend(self.base.iter().cloned());
        all
    }
}

/// A name as containerd has it, the registry in front.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

/// `index.json`: what is there under other names stays.
fn index(old: Option<&Value>, content: &Content<'_>) -> Value {
    let tag = content.tag();
    let mut manifests: Vec<Value> = old
        .and_then(|old| old["manifests"].as_array())
        .into_iter()
        .flatten()
        .filter(|one| one["annotations"][REF_NAME].as_str() != Some(tag))
        .cloned()
        .collect();
    manifests.push(content.row());
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    })
}
