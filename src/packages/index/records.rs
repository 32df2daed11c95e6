//! Selection records: which files the digests of a lock's entry belong to.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{IndexFile, explains, link::is_safe_name};
use crate::{
    packages::cache::{Cache, Keyed},
    project::lock::Hashes,
    words::{
        error::Result,
        vocab::{Concealed, PackageName, Realm, Sha256, SourceUrl},
    },
};

/// What a record is kept for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SelectionKey<'a> {
    /// The index that was asked; credentials in it have no part in the key.
    pub source: &'a SourceUrl,
    /// What may stand in its path and in the files' URLs, but neither in the key nor in the record.
    pub concealed: &'a Concealed,
    /// The package.
    pub name: &'a PackageName,
    /// The pin as text.
    pub pin: &'a str,
    /// The digests the lock accepts, in any order.
    pub hashes: &'a Hashes,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SelectionRecord {
    /// The files whose digests the lock accepts.
    pub files: Vec<IndexFile>,
    /// Whether they account for every digest: then the index has nothing to add, and need not be asked.
    pub complete: bool,
}

#[derive(Serialize, Deserialize)]
struct Record {
    filename: String,
    url: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requires_python: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    yanked: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

impl SelectionKey<'_> {
    /// Whether a URL leads to the source's own server.
    fn is_at(&self, url: &Url) -> bool {
        Realm::of(url).is_some_and(|realm| Realm::of(self.source.url()) == Some(realm))
    }

    fn digest(&self) -> Sha256 {
        let mut text =
            format!("{}\n{}\n{}\n", self.concealed.hide(self.source.url().as_str()), self.name, self.pin);
        let mut hashes = self.hashes.sha256.clone();
        hashes.sort_unstable();
        hashes.dedup();
        for hash in hashes {
            text.push_str(&hash.to_string());
            text.push('\n');
        }
        Sha256::of(text.as_bytes())
    }
}

impl SelectionKey<'_> {
    /// Records belong to the first digest of an entry, so that they go when no lock names it any more. An entry without
    /// digests has none.
    fn place<'c>(&self, cache: &'c Cache) -> Option<Keyed<'c>> {
        Some(cache.derived("selections", self.hashes.sha256.iter().min()?, &self.digest()))
    }

    /// The record; one that is damaged counts as none.
    ///
    /// Of several (caches may lie below the cache) the first complete one counts, else the first.
    pub(crate) fn known(&self, cache: &Cache) -> Option<SelectionRecord> {
        let place = self.place(cache)?;
        let mut first = None;
        for reading in place.readings() {
            let Some(selection) = self.parse(&reading.bytes) else { continue };
            if selection.complete {
                if !reading.is_here {
                    // It saves asking again, and nothing else.
                    let _ = place.publish(&reading.bytes);
                }
                return Some(selection);
            }
            first.get_or_insert(selection);
        }
        first
    }

    /// Where the record is, below the cache's layout; `None` for an entry without digests.
    pub(crate) fn path(&self, cache: &Cache) -> Option<PathBuf> {
        self.place(cache).map(|place| place.path().to_owned())
    }

    /// `None` for what [`SelectionKey::keep`] would not have written: a record may come from a cache that others write.
    pub(crate) fn parse(&self, bytes: &[u8]) -> Option<SelectionRecord> {
        let records: Vec<Record> = serde_json::from_slice(bytes).ok()?;
        let files: Option<Vec<IndexFile>> = records.into_iter().map(|record| record.read(self)).collect();
        let files = files?;
        Some(SelectionRecord { complete: explains(&files, self.hashes), files })
    }

    /// Keeps what an index said about the digests of an entry; files that the entry does not pin are
    /// left out. So are files whose URL has a query: it may be a signature or a token, and those are
    /// not kept. The index is then asked again next time.
    pub(crate) fn keep(&self, cache: &Cache, files: &[IndexFile]) -> Result<()> {
        let mut records: Vec<Record> = files.iter().filter_map(|file| Record::of(file, self)).collect();
        records.sort_by(|a, b| (&a.filename, &a.url).cmp(&(&b.filename, &b.url)));
        if records.is_empty() {
            return Ok(());
        }
        // Serialising plain values cannot fail.
        let Ok(bytes) = serde_json::to_vec(&records) else { return Ok(()) };
        let Some(place) = self.place(cache) else { return Ok(()) };
        if place.read().as_deref() == Some(&bytes) {
            return Ok(());
        }
        place.publish(&bytes)
    }
}

/// Whether nothing in it may be a signature, a token or a password. A fragment is none of these, but what an index said has
/// none any more.
fn is_clean(url: &Url) -> bool {
    let is_plain = url.query().is_none() && url.fragment().is_none();
    is_plain && url.username().is_empty() && url.password().is_none()
}

impl Record {
    fn of(file: &IndexFile, key: &SelectionKey) -> Option<Self> {
        let digest = file.sha256.filter(|digest| key.hashes.sha256.contains(digest))?;
        let url = key.concealed.hide(file.url.as_str());
        let clean = is_clean(&file.url) && (url == file.url.as_str() || key.is_at(&file.url));
        clean.then(|| Record {
            filename: file.filename.clone(),
            url,
            sha256: digest.to_string(),
            requires_python: file.requires_python.clone(),
            yanked: file.yanked.clone(),
            size: file.size,
        })
    }

    fn read(self, key: &SelectionKey<'_>) -> Option<IndexFile> {
        let revealed = key.concealed.reveal(&self.url);
        let url = Url::parse(&revealed).ok()?;
        // The source's own server is told what is in the source's URL, and nobody else, whoever wrote the record.
        let told = revealed == self.url || key.is_at(&url);
        let scheme = key.source.url().scheme();
        let leads = matches!(url.scheme(), "http" | "https") || url.scheme() == scheme;
        (told && leads && is_clean(&url) && is_safe_name(&self.filename)).then_some(())?;
        Some(IndexFile {
            filename: self.filename,
            url,
            sha256: Some(self.sha256.parse().ok()?),
            requires_python: self.requires_python,
            yanked: self.yanked,
            size: self.size,
        })
    }
}
