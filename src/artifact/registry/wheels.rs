//! Wheels in a repository: a lock's `sha256:` is a blob's address, so a registry is a cache of wheels for a fleet.
//!
//! A wheel is one blob. A manifest of its own, tagged with its digest, keeps it from the registry's garbage collection and
//! says what it is called. What an index said of a lock's entry (which file has which digest, see `index::SelectionKey`) is
//! an annotation of another manifest, tagged with the record's key. Both depend on nothing but what they hold, so several
//! who push write the same bytes under the same tags, and what is read is compared with the lock.

use std::{
    io::{self, Read},
    path::Path,
};

use serde_json::{Value, json};

use super::{Reference, access::Registry, push::Upload};
use crate::{
    packages::{
        cache::{Below, VerifiedFile},
        http::Reply,
    },
    words::{
        error::{Context as _, Error, Kind, Result},
        vocab::Sha256,
    },
};

/// The manifest's type.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a manifest without a config has as its config (image specification 1.1).
const EMPTY: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// What a manifest's title is called.
const TITLE: &str = "org.opencontainers.image.title";

/// The annotation that a selection record is in.
const RECORD: &str = "dev.venvoy.selection";

/// Registries take manifests of up to 4 MiB; a record that is larger stays where it is.
const LARGEST_RECORD: usize = 2 << 20;

/// A repository that wheels are read from.
pub(crate) struct Wheels {
    registry: Registry<'static>,
}

impl Wheels {
    /// Of this repository.
    pub(crate) fn new(registry: Registry<'static>) -> Self {
        Wheels { registry }
    }
}

impl std::fmt::Debug for Wheels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Below for Wheels {
    fn name(&self) -> String {
        shown(self.registry.reference())
    }

    fn is_near(&self) -> bool {
        false
    }

    fn look(&self, _: &Sha256) -> Option<(u64, String)> {
        None
    }

    fn open(&self, sha256: &Sha256) -> Result<Option<Box<dyn Read + Send>>> {
        let reply = self.registry.find_blob(sha256)?;
        Ok(reply.map(|reply| Box::new(Coming(reply)) as Box<dyn Read + Send>))
    }

    fn record(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let is_selection = path.starts_with("selections");
        let Some(key) = path.file_name().and_then(|key| key.to_str()).filter(|_| is_selection) else {
            return Ok(None);
        };
        let Some(manifest) = self.registry.manifest(&selection_tag(key))? else { return Ok(None) };
        Ok(record_of(&manifest.bytes))
    }
}

/// The record in a manifest; one that is not ours says nothing.
pub(crate) fn record_of(manifest: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(manifest).ok()?;
    Some(value["annotations"][RECORD].as_str()?.as_bytes().to_vec())
}

/// How a repository of wheels is written.
pub(crate) fn shown(reference: &Reference) -> String {
    format!("oci://{}/{}", reference.host, reference.path)
}

fn wheel_tag(sha256: &Sha256) -> String {
    format!("wheel-{sha256}")
}

fn selection_tag(key: &str) -> String {
    format!("selection-{key}")
}

/// A blob as it comes; who reads it digests it.
struct Coming(Reply);

impl Read for Coming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|failure| {
            // What is not worth another try is not tried again.
            let kind = if failure.is_final() { io::ErrorKind::TimedOut } else { io::ErrorKind::Other };
            io::Error::new(kind, failure.into_error().in_one_line())
        })
    }
}

impl Registry<'_> {
    /// Sends a wheel (or source distribution) with the manifest that keeps it, as far as either is not there. Says whether
    /// anything was sent.
    pub(crate) fn push_wheel(&self, file: &VerifiedFile, file_name: &str) -> Result<bool> {
        let (sha256, size) = (file.sha256(), file.size());
        let layer = json!({
            "mediaType": "application/octet-stream",
            "digest": format!("sha256:{sha256}"),
            "size": size,
            "annotations": {TITLE: file_name},
        });
        let manifest = manifest("application/vnd.venvoy.wheel.v1", &layer, &json!({TITLE: file_name}));
        let open = || {
            let file = file.open().map_err(io::Error::other)?;
            Ok(Box::new(file) as Box<dyn Read + Send>)
        };
        // Whose manifest is there need not have the blob any more.
        let blob = self.push_blob(&sha256, size, None, &open)?;
        let kept = self.push_kept(&wheel_tag(&sha256), &manifest)?;
        Ok(blob == Upload::Sent || kept)
    }

    /// Sends a selection record under its key, unless it is there. Says whether it was sent.
    pub(crate) fn push_selection(&self, key: &str, record: &[u8], title: &str) -> Result<bool> {
        let Some(text) = std::str::from_utf8(record).ok().filter(|text| text.len() <= LARGEST_RECORD) else {
            return Ok(false);
        };
        let annotations = json!({TITLE: title, RECORD: text});
        let manifest = manifest("application/vnd.venvoy.selection.v1+json", &empty(), &annotations);
        self.push_kept(&selection_tag(key), &manifest)
    }

    /// Sends what manifests without a config name as their config.
    pub(crate) fn push_empty(&self) -> Result<()> {
        let open = || Ok(Box::new(EMPTY) as Box<dyn Read + Send>);
        self.push_blob(&Sha256::of(EMPTY), EMPTY.len() as u64, None, &open).map(drop)
    }

    /// Sends a manifest under a tag, unless that is it already.
    fn push_kept(&self, tag: &str, manifest: &Value) -> Result<bool> {
        let bytes = serde_json::to_vec(manifest)
            .map_err(|error| Error::new(Kind::Io, "cannot write a manifest as JSON").because(error))?;
        let what = || format!("cannot push {tag} to {}", shown(self.reference()));
        if self.has_manifest(tag, &Sha256::of(&bytes)).context(what)? {
            return Ok(false);
        }
        self.push_manifest(tag, &bytes, MANIFEST).context(what)?;
        Ok(true)
    }
}

fn empty() -> Value {
    json!({"mediaType": EMPTY_TYPE, "digest": format!("sha256:{}", Sha256::of(EMPTY)), "size": EMPTY.len()})
}

fn manifest(artifact_type: &str, layer: &Value, annotations: &Value) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": empty(),
        "layers": [layer],
        "annotations": annotations,
    })
}
