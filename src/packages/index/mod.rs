//! Index pages (PEP 503, PEP 691) and the choice of a file. Pure: bytes in, values out.

mod candidate;
mod choice;
mod html;
mod json;
mod keeper;
mod link;
mod page;
mod records;
mod refusal;
mod sdist_name;
#[cfg(test)]
mod tests;

use url::Url;

pub(crate) use choice::{Choice, Pinned, choose};
pub(crate) use page::{find_links, parse_page, parse_page_for};
pub(crate) use records::SelectionKey;
pub(crate) use refusal::check_digests;
pub(crate) use sdist_name::SdistName;

use crate::{project::lock::Hashes, words::vocab::Sha256};

/// One file as an index page or a find-links directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexFile {
    /// The file's name, percent-decoded once, without directory.
    pub filename: String,
    /// Where it is (absolute, without the hash fragment; may be a `file:` URL). Userinfo, if the page
    /// gives any, is dropped: credentials come from `auth` only.
    pub url: Url,
    /// Its SHA-256, where the index gives one.
    pub sha256: Option<Sha256>,
    /// `Requires-Python`, as written; empty counts as absent.
    pub requires_python: Option<String>,
    /// The reason it was yanked (PEP 592), possibly empty; `None` if it was not.
    pub yanked: Option<String>,
    /// Its size in bytes, where the index gives it.
    pub size: Option<u64>,
}

/// Whether every digest of an entry is known to belong to one of `files`. Only then does a kept
/// selection stand for the index itself: which file a digest belongs to never changes, so there is
/// nothing left to ask. An entry without digests is never explained.
pub(crate) fn explains(files: &[IndexFile], hashes: &Hashes) -> bool {
    let known = |digest: &Sha256| files.iter().any(|file| file.sha256.as_ref() == Some(digest));
    !hashes.sha256.is_empty() && hashes.sha256.iter().all(known)
}

/// Gives files that the index lists without a digest the digest that `known` has for the same name at
/// the same URL. A stale digest does no harm: what is installed are the bytes of a digest that the
/// lock pins, wherever they come from.
pub(crate) fn fill_digests(files: &mut [IndexFile], known: &[IndexFile]) {
    for file in files.iter_mut().filter(|file| file.sha256.is_none()) {
        let same = |other: &&IndexFile| other.filename == file.filename && other.url == file.url;
        file.sha256 = known.iter().filter(same).find_map(|other| other.sha256);
    }
}
