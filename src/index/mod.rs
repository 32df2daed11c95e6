//! Index pages (PEP 503, PEP 691) and the choice of a file. Pure: bytes in, values out.

use url::Url;

use crate::vocab::Sha256;

/// One file as an index page or a find-links directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
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
