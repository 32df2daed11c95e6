//! An image's config and manifest (OCI image specification 1.1; Docker's schema 2 where the base has it).

mod compose;
mod platform;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::words::{
    error::{Error, Kind, Result},
    vocab::Sha256,
};

pub(crate) use compose::compose;
pub(crate) use platform::Platform;

/// Engines with a classic store take 125 layers; some are left to whoever builds on it.
pub(crate) const LAYER_LIMIT: usize = 120;

/// Whose media types an image has. They are never mixed: engines take one family or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Family {
    /// The Open Container Initiative's.
    #[default]
    Oci,
    /// Docker's (manifest version 2, schema 2).
    Docker,
}

impl Family {
    /// The family of a manifest's media type.
    ///
    /// # Errors
    /// [`Kind::Usage`] for schema 1 and for what is no image's manifest.
    pub(crate) fn of(media_type: &str) -> Result<Family> {
        match media_type {
            "application/vnd.oci.image.manifest.v1+json" => Ok(Family::Oci),
            "application/vnd.docker.distribution.manifest.v2+json" => Ok(Family::Docker),
            "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => {
                Err(Error::new(Kind::Usage, "its manifest is Docker's schema 1; expected schema 2 or OCI")
                    .help("push the base again with a newer engine: `docker pull`, `docker push`"))
            }
            other => Err(Error::new(
                Kind::Usage,
                format!(
                    "its manifest is of the type {other:?}; expected an image's (OCI or Docker schema 2)"
                ),
            )),
        }
    }

    /// The media type of a manifest.
    pub(crate) fn manifest(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.manifest.v1+json",
            Family::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// The media type of a list of manifests.
    pub(crate) fn index(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.index.v1+json",
            Family::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// The media type of a config.
    pub(crate) fn config(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.config.v1+json",
            Family::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// The media type of a layer.
    pub(crate) fn layer(self) -> &'static str {
        match self {
            Family::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
            Family::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

/// A blob as manifests name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Their number.
    pub size: u64,
}

impl Blob {
    /// The blob of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Blob {
        Blob { sha256: Sha256::of(bytes), size: bytes.len() as u64 }
    }
}

/// A layer that is added to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The gzip member.
    pub blob: Blob,
    /// The digest of the tar inside.
    pub diff_id: Sha256,
    /// What it holds, for `history`.
    pub holds: String,
    /// What lists its files, where it can be read file by file.
    pub toc: Option<Toc>,
}

/// What says which files a layer holds, and where (eStargz).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Toc {
    /// The digest of that list.
    pub sha256: Sha256,
    /// How many bytes the layer's tar has.
    pub uncompressed: u64,
}

impl Layer {
    /// What names its blob in a manifest.
    pub(crate) fn descriptor(&self, family: Family) -> Value {
        let mut row = descriptor(family.layer(), &self.blob);
        if let Some(Toc { sha256, uncompressed }) = self.toc {
            // The second is for containers/storage, which has to know a size before it has the bytes.
            row["annotations"] = json!({
                "containerd.io/snapshot/stargz/toc.digest": format!("sha256:{sha256}"),
                "io.containers.estargz.uncompressed-size": uncompressed.to_string(),
            });
        }
        row
    }
}

/// What an image is to be, beside its layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The command, where it is not the base's.
    pub cmd: Option<Vec<String>>,
    /// The entry point, where it is not the base's.
    pub entrypoint: Option<Vec<String>>,
    /// Variables, on top of the base's.
    pub env: Vec<(String, String)>,
    /// The user.
    pub user: Option<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Labels, on top of the base's.
    pub labels: Vec<(String, String)>,
}

/// What a base has that a new image needs; its layers stay where they are.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    /// Its media types.
    pub family: Family,
    /// Its config.
    pub config: Map<String, Value>,
    /// The descriptors of its layers, as they stand in its manifest.
    pub layers: Vec<Value>,
    /// The digest of its manifest, for annotations and keys.
    pub digest: Sha256,
    /// What it was called, for annotations.
    pub name: String,
}

impl Base {
    /// A base from the bytes of its manifest and config.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a base of a kind that nothing can be put on.
    pub(crate) fn new(manifest: &[u8], media_type: Option<&str>, config: &[u8], name: &str) -> Result<Base> {
        let damaged = |what: &str| {
            Error::new(Kind::Integrity, format!("its {what} is not what the OCI specification says"))
        };
        let digest = Sha256::of(manifest);
        let manifest: Value =
            serde_json::from_slice(manifest).map_err(|error| damaged("manifest").because(error))?;
        let media_type = manifest["mediaType"].as_str().or(media_type);
        let family = Family::of(media_type.unwrap_or_else(|| match manifest["schemaVersion"].as_u64() {
            Some(1) => "application/vnd.docker.distribution.manifest.v1+json",
            _ => Family::Oci.manifest(),
        }))?;
        let layers = manifest["layers"].as_array().cloned().ok_or_else(|| damaged("manifest"))?;
        let config: Value =
            serde_json::from_slice(config).map_err(|error| damaged("config").because(error))?;
        let Value::Object(config) = config else { return Err(damaged("config")) };
        let diff_ids = config.get("rootfs").and_then(|rootfs| rootfs["diff_ids"].as_array());
        if diff_ids.is_none_or(|ids| ids.len() != layers.len()) {
            return Err(Error::new(
                Kind::Integrity,
                format!(
                    "its config lists {} layers and its manifest {}",
                    diff_ids.map_or(0, Vec::len),
                    layers.len()
                ),
            ));
        }
        if layers.len() >= LAYER_LIMIT {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "it has {} layers; expected fewer than {LAYER_LIMIT}, as engines take no more than 125 in all",
                    layers.len()
                ),
            )
            .help("squash the base, or use one with fewer layers"));
        }
        Ok(Base { family, config, layers, digest, name: name.to_owned() })
    }

    /// The same with OCI's media types: of config and layers both families have the same bytes.
    pub(crate) fn into_oci(mut self) -> Base {
        if self.family == Family::Docker {
            self.family = Family::Oci;
            for layer in &mut self.layers {
                if let Some(media_type) = layer["mediaType"].as_str().and_then(oci_layer) {
                    layer["mediaType"] = json!(media_type);
                }
            }
        }
        self
    }

    /// Its platform.
    pub(crate) fn platform(&self) -> Platform {
        Platform::of_json(&Value::Object(self.config.clone()))
    }

    /// A variable of its environment.
    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        let list = self.config.get("config")?["Env"].as_array()?;
        list.iter().filter_map(Value::as_str).find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What OCI calls a layer of Docker's (image specification, "Compatibility Matrix").
fn oci_layer(docker: &str) -> Option<&'static str> {
    Some(match docker.strip_prefix("application/vnd.docker.image.rootfs.")? {
        "diff.tar" => "application/vnd.oci.image.layer.v1.tar",
        "diff.tar.gzip" => "application/vnd.oci.image.layer.v1.tar+gzip",
        "diff.tar.zstd" => "application/vnd.oci.image.layer.v1.tar+zstd",
        "foreign.diff.tar.gzip" => "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        _ => return None,
    })
}

/// The bytes of an image's config and manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// Its media types.
    pub family: Family,
    /// The config.
    pub config: Vec<u8>,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// What it runs on.
    pub platform: Platform,
}

impl Image {
    /// What names its manifest.
    pub(crate) fn descriptor(&self) -> Value {
        descriptor(self.family.manifest(), &Blob::of(&self.manifest))
    }

    /// The manifest as lists of manifests have it.
    pub(crate) fn row(&self) -> Value {
        let mut row = self.descriptor();
        row["platform"] = self.platform.to_json();
        row
    }
}

/// A descriptor.
pub(crate) fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", blob.sha256), "size": blob.size })
}

/// JSON without blanks, its keys in the order in which they were put in.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
