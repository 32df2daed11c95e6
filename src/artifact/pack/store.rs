//! Layers in the cache: their blobs are files by digest, and records say which digest each content has.

use std::{fs::File, io::Write as _, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    archive::{self, Items},
    estargz,
    image::{Blob, Layer, Toc},
    pieces::Wheels,
    tar::Common,
};
use crate::{
    packages::cache::{Cache, VerifiedFile},
    words::{
        error::{Error, Kind, Result},
        vocab::Sha256,
    },
};

/// What the cache calls records of layers: what a content's key gave.
const LAYERS: &str = "layers";

/// The name that every blob has.
pub(crate) const FILE_NAME: &str = "layer.tar.gz";

/// The gzip members that a layer consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Members {
    /// One.
    #[default]
    One,
    /// One for each file, and a table of contents (eStargz).
    PerFile,
}

impl Members {
    /// A key of layers that are made in this way, from one that knows nothing of it.
    pub(crate) fn key(self, key: Sha256) -> Sha256 {
        match self {
            Members::One => key,
            Members::PerFile => Sha256::of(format!("estargz {}\n{key}\n", estargz::FORMAT).as_bytes()),
        }
    }
}

/// What is remembered of a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    sha256: String,
    diff_id: String,
    holds: String,
    /// The digest of its table of contents, and how many bytes its tar has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    toc: Option<(String, u64)>,
}

impl Record {
    /// The layer, if its blob is in the cache.
    pub(crate) fn layer(&self, cache: &Cache) -> Option<Layer> {
        let sha256 = self.sha256.parse().ok()?;
        let file = cache.file(&sha256)?;
        Some(Layer {
            blob: Blob { sha256, size: file.size() },
            diff_id: self.diff_id.parse().ok()?,
            holds: self.holds.clone(),
            toc: match &self.toc {
                Some((sha256, uncompressed)) => {
                    Some(Toc { sha256: sha256.parse().ok()?, uncompressed: *uncompressed })
                }
                None => None,
            },
        })
    }
}

/// A layer's blob.
pub(crate) fn file(cache: &Cache, blob: &Blob) -> Result<VerifiedFile> {
    cache.file(&blob.sha256).ok_or_else(|| {
        Error::new(Kind::Io, format!("the layer sha256:{} is not in the cache any more", blob.sha256))
            .help("run the same command again, and do not clear the cache meanwhile")
    })
}

/// The layer of these items: from the cache, or made and kept there.
pub(crate) fn layer(
    cache: &Cache,
    items: &Items<'_>,
    wheels: Wheels<'_>,
    common: Common,
    members: Members,
    holds: String,
) -> Result<(Layer, Record)> {
    let place = cache.keyed(LAYERS, &members.key(items.key(wheels, common)));
    let record = place.read_kept().and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    if let Some(mut record) = record {
        record.holds.clone_from(&holds);
        if let Some(layer) = record.layer(cache) {
            return Ok((layer, record));
        }
    }
    let mut pending = cache.begin(FILE_NAME)?;
    let name = pending.path();
    let failed = |error| Error::io("cannot write", &name, error);
    let mut out = std::io::BufWriter::with_capacity(256 << 10, &mut pending);
    let (diff_id, toc) = match members {
        Members::One => (archive::gzip(items, wheels, common, true, &mut out, &failed)?, None),
        Members::PerFile => {
            let (diff_id, toc) = estargz::write(items, wheels, common, &mut out, &failed)?;
            (Some(diff_id), Some(toc))
        }
    };
    out.flush().map_err(failed)?;
    drop(out);
    let blob = pending.commit_unpinned()?;
    let diff_id = diff_id.unwrap_or_else(|| blob.sha256());
    let record = Record {
        sha256: blob.sha256().to_string(),
        diff_id: diff_id.to_string(),
        holds: holds.clone(),
        toc: toc.map(|toc| (toc.sha256.to_string(), toc.uncompressed)),
    };
    // A cache that cannot be written costs the next run the same again.
    if let Ok(text) = serde_json::to_vec(&record) {
        let _ = place.publish(&text);
    }
    Ok((Layer { blob: Blob { sha256: blob.sha256(), size: blob.size() }, diff_id, holds, toc }, record))
}

/// Puts a blob of the cache at `to` by a hard link; says whether that can be.
pub(crate) fn link(cache: &Cache, blob: &Blob, to: &Path) -> Result<bool> {
    Ok(cache.link(&file(cache, blob)?, to).is_ok())
}

/// Puts a blob of the cache at `to` as a clone or copy.
pub(crate) fn copy(cache: &Cache, blob: &Blob, to: &Path) -> Result<()> {
    let mut source = file(cache, blob)?.open()?;
    let copied = (|| {
        let mut target = File::create(to)?;
        if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
            std::io::copy(&mut source, &mut target)?;
        }
        Ok(())
    })();
    copied.map_err(|error| Error::io("cannot write", to, error).with_kind(Kind::Destination))
}
