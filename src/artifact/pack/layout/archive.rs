//! Writing a layout as a tar.

use std::io::Write;

use serde_json::json;

use super::{Content, VERSION, index};
use crate::{
    artifact::pack::{
        archive::Failed,
        image::bytes,
        tar::{self, Common, END, Kind as Entry},
    },
    packages::cache::Cache,
    words::{
        error::{Error, Kind, Result},
        vocab::Sha256,
    },
};

/// Writes a tar of the layout, with the `manifest.json` that `docker load` wants in it.
pub(crate) fn to_tar(
    out: &mut dyn Write,
    content: &Content<'_>,
    cache: &Cache,
    mtime: i64,
    failed: Failed<'_>,
) -> Result<()> {
    let common = Common { owner: tar::Owner::default(), mtime };
    let blobs = content.blobs();
    let at = |digest: &Sha256| format!("blobs/sha256/{digest}");
    let mut members = vec![("index.json", bytes(&index(None, content)))];
    // It knows one platform; several are loaded by index.json alone.
    if let [one] = content.images.as_slice() {
        let mut layers: Vec<String> = one.base.iter().map(|(blob, _)| at(&blob.sha256)).collect();
        layers.extend(one.layers.iter().map(|layer| at(&layer.blob.sha256)));
        let docker = json!([{
            "Config": at(&Sha256::of(&one.image.config)),
            "RepoTags": [content.name],
            "Layers": layers,
        }]);
        members.push(("manifest.json", bytes(&docker)));
    }
    members.push(("oci-layout", VERSION.as_bytes().to_vec()));
    let mut put = |path: &str, entry: Entry<'_>| {
        let mut header = Vec::new();
        tar::header(path, entry, common, &mut header);
        out.write_all(&header).map_err(failed)
    };
    put("blobs", Entry::Directory)?;
    put("blobs/sha256", Entry::Directory)?;
    for (blob, source) in &blobs {
        let mut header = Vec::new();
        tar::header(
            &at(&blob.sha256),
            Entry::File { size: blob.size, executable: false },
            common,
            &mut header,
        );
        out.write_all(&header).map_err(failed)?;
        let source = source.here(cache)?;
        let mut reader = source.open(cache).map_err(|error| {
            Error::new(Kind::Io, format!("cannot read the blob sha256:{}", blob.sha256)).because(error)
        })?;
        let copied = std::io::copy(&mut reader, out).map_err(failed)?;
        if copied != blob.size {
            return Err(Error::new(
                Kind::Integrity,
                format!("the blob sha256:{} has {copied} bytes, expected {}", blob.sha256, blob.size),
            ));
        }
        out.write_all(&END[..tar::padding(blob.size)]).map_err(failed)?;
    }
    for (name, content) in members {
        let mut header = Vec::new();
        tar::header(name, Entry::File { size: content.len() as u64, executable: false }, common, &mut header);
        out.write_all(&header).map_err(failed)?;
        out.write_all(&content).map_err(failed)?;
        out.write_all(&END[..tar::padding(content.len() as u64)]).map_err(failed)?;
    }
    out.write_all(&END).map_err(failed)
}
