//! What engines write with `save`: `manifest.json`, a config, and layers that are mostly plain tars. Its blobs are brought
//! into the cache, layers as one gzip member each, so that an image is saved once only.

use std::io::{self, Read as _, Write as _};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Digest as _;

use super::{
    image::{Blob, Family, bytes, descriptor},
    layout::{BlobSource, Layout},
    store,
};
use crate::{
    packages::cache::{Cache, VerifiedFile},
    words::{
        error::{Context as _, Error, Kind, Result},
        interrupt,
        vocab::Sha256,
    },
};

/// What the cache calls records of images that engines saved.
const SAVED: &str = "saved";

/// An image whose layers are in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// Its manifest, as it is here: engines have none, or another.
    pub manifest: String,
    /// Its config, as the engine has it.
    pub config: String,
}

impl Saved {
    /// What an engine saved before under this digest of an image (`sha256:...`), if all of it is still there.
    pub(crate) fn kept(cache: &Cache, id: &str) -> Option<Saved> {
        let bytes = cache.keyed(SAVED, &Sha256::of(id.as_bytes())).read_kept()?;
        let saved: Saved = serde_json::from_slice(&bytes).ok()?;
        let manifest: Value = serde_json::from_str(&saved.manifest).ok()?;
        let there = |row: &Value| {
            let sha256: Sha256 = row["digest"].as_str()?.strip_prefix("sha256:")?.parse().ok()?;
            cache.file(&sha256)
        };
        manifest["layers"].as_array()?.iter().all(|row| there(row).is_some()).then_some(saved)
    }

    /// Remembers it under the image's digest. A cache that cannot be written costs the next run the same again.
    pub(crate) fn keep(&self, cache: &Cache, id: &str) {
        if let Ok(text) = serde_json::to_vec(self) {
            let _ = cache.keyed(SAVED, &Sha256::of(id.as_bytes())).publish(&text);
        }
    }

    /// Reads what an engine saved: the image of that name, or the only one.
    ///
    /// # Errors
    /// [`Kind::Usage`] where there is none or it is not clear which; [`Kind::Integrity`] for layers that are not what the
    /// config says.
    pub(crate) fn read(layout: &Layout, name: Option<&str>, cache: &Cache) -> Result<Saved> {
        let damaged = |what: &str| {
            Error::new(
                Kind::Integrity,
                format!("{}: {what} is not what engines save", layout.shown().display()),
            )
        };
        let list: Value =
            serde_json::from_slice(&layout.read("manifest.json")?).map_err(|_| damaged("manifest.json"))?;
        let all: Vec<&Value> = list.as_array().into_iter().flatten().collect();
        let tags = |image: &Value| -> Vec<String> {
            let tags = image["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
            tags.map(str::to_owned).collect()
        };
        let named = |image: &&&Value| {
            name.is_none_or(|name| {
                tags(image).iter().any(|tag| tag == name || tag.ends_with(&format!("/{name}")))
            })
        };
        let image = match (all.as_slice(), all.iter().filter(named).collect::<Vec<_>>().as_slice()) {
            ([only], _) => only,
            (_, [only]) => **only,
            _ => {
                let there: Vec<String> = all.iter().flat_map(|image| tags(image)).collect();
                return Err(Error::new(
                    Kind::Usage,
                    format!(
                        "{} has no single image {}; there are: {}",
                        layout.shown().display(),
                        name.unwrap_or("at all"),
                        there.join(", ")
                    ),
                ));
            }
        };
        let config = layout.read(image["Config"].as_str().unwrap_or_default())?;
        let config = String::from_utf8(config).map_err(|_| damaged("its config"))?;
        let parsed: Value = serde_json::from_str(&config).map_err(|_| damaged("its config"))?;
        let texts = |list: &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (layers, diff_ids) = (texts(&image["Layers"]), texts(&parsed["rootfs"]["diff_ids"]));
        if layers.len() != diff_ids.len() {
            return Err(damaged("the number of its layers"));
        }
        let blobs: Vec<Blob> = layers
            .par_iter()
            .zip(&diff_ids)
            .map(|(member, diff_id)| {
                layer(&layout.find(member)?, diff_id, cache)
                    .context(|| format!("{}: cannot take the layer {member}", layout.shown().display()))
            })
            .collect::<Result<_>>()?;
        let family = Family::Oci;
        let rows: Vec<Value> = blobs.iter().map(|blob| descriptor(family.layer(), blob)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": family.manifest(),
            "config": descriptor(family.config(), &Blob::of(config.as_bytes())),
            "layers": rows,
        });
        let manifest = String::from_utf8(bytes(&manifest)).map_err(|_| damaged("its config"))?;
        Ok(Saved { manifest, config })
    }
}

/// A layer in the cache: as it is where it is a gzip, else made into one gzip member once. Either way it holds what the
/// config says.
fn layer(member: &BlobSource<'_>, diff_id: &str, cache: &Cache) -> Result<Blob> {
    let expected: Sha256 = diff_id
        .strip_prefix("sha256:")
        .and_then(|hex| hex.parse().ok())
        .ok_or_else(|| Error::new(Kind::Integrity, format!("{diff_id:?} is no digest that is known")))?;
    let blob = |file: &VerifiedFile| Blob { sha256: file.sha256(), size: file.size() };
    let place = cache.keyed(SAVED, &expected);
    let known = place.read_kept().and_then(|text| String::from_utf8(text).ok()?.parse().ok());
    if let Some(file) = known.and_then(|sha256| cache.file(&sha256)) {
        return Ok(blob(&file));
    }
    let unreadable = |error: io::Error| Error::new(Kind::Io, "cannot read it").because(error);
    let mut input = member.open(cache).map_err(unreadable)?;
    let mut magic = Vec::new();
    input.by_ref().take(4).read_to_end(&mut magic).map_err(unreadable)?;
    let mut input = io::Cursor::new(magic.clone()).chain(input);
    let mut pending = cache.begin(store::FILE_NAME)?;
    let path = pending.path();
    let unwritable = |error| Error::io("cannot write", &path, error);
    let mut tar = Digested(sha2::Sha256::new());
    if magic.starts_with(&[0x1f, 0x8b]) {
        let mut inflater = flate2::write::MultiGzDecoder::new(&mut tar);
        pass(&mut input, &mut |bytes| {
            pending.write_all(bytes).map_err(unwritable)?;
            inflater.write_all(bytes).map_err(damaged)
        })?;
        inflater.finish().map_err(damaged)?;
    } else {
        let mut plain: Box<dyn io::Read + '_> = match magic.as_slice() {
            [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(input).map_err(unreadable)?),
            _ => Box::new(input),
        };
        let mut encoder = flate2::write::GzEncoder::new(&mut pending, flate2::Compression::default());
        pass(&mut plain, &mut |bytes| {
            tar.0.update(bytes);
            encoder.write_all(bytes).map_err(unwritable)
        })?;
        encoder.finish().map_err(unwritable)?;
    }
    let got = Sha256(tar.0.finalize().into());
    if got != expected {
        return Err(Error::new(
            Kind::Integrity,
            format!("it holds sha256:{got}, expected sha256:{expected} as its config says"),
        )
        .help("save the image again; if that is the same, its engine's store is damaged: pull it again"));
    }
    let file = pending.commit_unpinned()?;
    let _ = place.publish(file.sha256().to_string().as_bytes());
    Ok(blob(&file))
}

fn damaged(error: io::Error) -> Error {
    Error::new(Kind::Integrity, "it is compressed, and damaged or cut off").because(error)
}

/// Takes bytes for their digest.
struct Digested(sha2::Sha256);

impl io::Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives `to` all that `from` has.
fn pass(from: &mut dyn io::Read, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        interrupt::check()?;
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::new(Kind::Io, "it cannot be copied").because(error)),
        }
    }
}
