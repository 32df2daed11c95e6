//! Readers of what an interrupted change leaves behind, and of images.

use std::path::Path;

use serde_json::{Value, json};

use super::{Read, said, text_of, with_file, without_place};
use crate::{
    artifact::{
        pack::{
            image::{Base, Platform, Settings, compose},
            layout::Layout,
            saved::Saved,
        },
        write::journal::Journal,
    },
    packages::cache::{Cache, Options},
    words::vocab::Sha256,
};

/// A journal; the digest at its end is put right, or hardly any would be read.
pub(super) fn journal(bytes: &[u8]) -> Read {
    let text = text_of(bytes)?;
    let lines = text.rfind("\nend ").map_or(text, |at| &text[..=at]);
    let sealed = format!("{lines}end {}\n", Sha256::of(lines.as_bytes()));
    let Some(journal) = Journal::parse(&sealed) else {
        return Err("it is no journal of this version".to_owned());
    };
    let again = journal.render();
    assert_eq!(Journal::parse(&again).as_ref(), Some(&journal), "{again:?}");
    Ok(json!(again))
}

/// A base's manifest and config, with a line of NULs between them.
pub(super) fn oci(bytes: &[u8]) -> Read {
    let at = bytes.windows(2).position(|pair| pair == b"\0\n").ok_or("there is one part only")?;
    let (manifest, config) = (&bytes[..at], &bytes[at + 2..]);
    let base = said(Base::new(manifest, None, config, "base"))?;
    let platform = Platform::of_json(&json!({"os": "linux", "architecture": "amd64"}));
    let image = compose(Some(&base), &[], &Settings::default(), &platform, "/app/.venv", 0, &[]);
    let config: Value = serde_json::from_slice(&image.config).unwrap_or_else(|error| panic!("{error}"));
    let ids = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    assert_eq!(ids, base.layers.len(), "an image of {ids} layers");
    let history = config["history"].as_array().into_iter().flatten();
    let counted = history.filter(|one| one["empty_layer"] != json!(true)).count();
    assert_eq!(counted, ids, "its history tells of {counted} layers of {ids}");
    let again = said(Base::new(&image.manifest, None, &image.config, "again"));
    again.unwrap_or_else(|error| panic!("its own image is refused: {error}"));
    Ok(json!({"layers": ids, "platform": base.platform().to_string()}))
}

/// A tar of a base: an OCI layout, or what engines save. What is read of it is what its names and digests say.
pub(super) fn layout(bytes: &[u8]) -> Read {
    with_file("base.tar", bytes, |path| without_place(path, base_in(path)))
}

fn base_in(path: &Path) -> Read {
    let layout = said(Layout::open(path))?;
    let wanted = Platform::of_json(&json!({"os": "linux", "architecture": "amd64"}));
    if layout.is_saved() {
        let cache = Cache::open(&path.with_extension("cache"), Options::default());
        let saved = said(Saved::read(&layout, None, &cache))?;
        let base = said(Base::new(saved.manifest.as_bytes(), None, saved.config.as_bytes(), "base"))?;
        return Ok(json!({"saved": base.layers.len()}));
    }
    let (manifest, media_type) = said(layout.manifest(None, Some(&wanted)))?;
    let named: Value = serde_json::from_slice(&manifest).map_err(|error| error.to_string())?;
    let digest = named["config"]["digest"].as_str().unwrap_or_default();
    let config = said(layout.blob(digest))?;
    assert_eq!(digest, format!("sha256:{}", Sha256::of(&config)), "a blob is not what it is called");
    let base = said(Base::new(&manifest, media_type.as_deref(), &config, "base"))?;
    for layer in &base.layers {
        drop(said(layout.source(layer["digest"].as_str().unwrap_or_default()))?);
    }
    Ok(json!({"layers": base.layers.len(), "platform": base.platform().to_string()}))
}
