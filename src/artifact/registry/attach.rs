//! Documents about an image, beside it (OCI distribution specification 1.1, "Referrers").

use reqwest::header::HeaderName;
use serde_json::{Value, json};

use super::access::{LIMIT, Registry, Right};
use crate::{
    packages::http::Request,
    words::{
        error::{Context as _, Error, Kind, Result},
        vocab::Sha256,
    },
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What stands for a config where there is none.
const EMPTY: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// With this a registry says that it lists what refers to an image by itself.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

impl Registry<'_> {
    /// Attaches a document of a media type to the manifest that `subject` describes. Where the registry keeps no list of
    /// what refers to an image, the list is kept under a tag (`sha256-...`), as the specification says.
    ///
    /// # Errors
    /// Whatever the registry says against it.
    pub(crate) fn attach(&self, subject: &Value, media_type: &str, document: &[u8]) -> Result<()> {
        let what = || format!("cannot attach a document to {}", self.reference());
        for bytes in [EMPTY, document] {
            let open = || Ok(Box::new(std::io::Cursor::new(bytes.to_vec())) as Box<dyn std::io::Read + Send>);
            self.push_blob(&Sha256::of(bytes), bytes.len() as u64, None, &open).context(what)?;
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": media_type,
            "config": descriptor(EMPTY_TYPE, EMPTY),
            "layers": [descriptor(media_type, document)],
            "subject": subject,
        })
        .to_string()
        .into_bytes();
        let digest = format!("sha256:{}", Sha256::of(&manifest));
        let reply = self.put_manifest(&digest, &manifest, MANIFEST).context(what)?;
        if reply.header(&SUBJECT).is_some() {
            return Ok(());
        }
        let about = subject["digest"].as_str().unwrap_or_default();
        if self.lists(about).context(what)? {
            return Ok(());
        }
        let mut row = descriptor(MANIFEST, &manifest);
        row["artifactType"] = json!(media_type);
        self.list(&about.replace(':', "-"), &row).context(what)
    }

    /// Whether the registry answers who refers to a manifest.
    fn lists(&self, about: &str) -> Result<bool> {
        let url = self.reference().url(&format!("referrers/{about}"))?;
        let mut reply = self.ask(&Request::get(&url), Right::Push)?;
        if reply.status() != 200 {
            return Ok(false);
        }
        // Some answer anything with a page of their own.
        let bytes = reply.bytes(LIMIT).map_err(crate::packages::http::Failure::into_error)?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(value["manifests"].is_array())
    }

    /// Adds a row to the list under a tag, unless it is there.
    fn list(&self, tag: &str, row: &Value) -> Result<()> {
        let known = self.manifest(tag)?;
        let mut list: Value = match &known {
            Some(manifest) => serde_json::from_slice(&manifest.bytes).map_err(|error| {
                Error::new(Kind::Network, format!("what is tagged {tag} is not JSON")).because(error)
            })?,
            None => json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }),
        };
        let rows = list["manifests"].as_array_mut().ok_or_else(|| {
            Error::new(Kind::Network, format!("what is tagged {tag} is not a list of manifests"))
                .help("remove that tag, or attach to an image of another name")
        })?;
        if rows.iter().any(|other| other["digest"] == row["digest"]) {
            return Ok(());
        }
        rows.push(row.clone());
        self.push_manifest(tag, list.to_string().as_bytes(), INDEX)
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", Sha256::of(bytes)), "size": bytes.len() })
}
