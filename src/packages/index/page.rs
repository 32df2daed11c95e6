//! A page of an index or of find-links: which format it is in, and what to say when it is neither.

use url::Url;

use super::{IndexFile, Pinned, html, json, keeper::Keeper, link};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::shown_url,
};

/// Reads a project's page: PEP 691 JSON or PEP 503 HTML (which find-links pages are as well).
///
/// `page_url` is where the answer finally came from; relative links start there. An answer that is no
/// index page at all (a login form, a JSON error) is an error of kind [`Kind::Network`]; a page that
/// lists no files is not.
pub(crate) fn parse_page(content_type: Option<&str>, body: &[u8], page_url: &Url) -> Result<Vec<IndexFile>> {
    read(content_type, body, page_url, Keeper::new(None))
}

/// Reads a project's page for one entry of a lock: what it does not pin and nobody needs for a message is dropped.
pub(crate) fn parse_page_for(
    request: &Pinned,
    content_type: Option<&str>,
    body: &[u8],
    page_url: &Url,
) -> Result<Vec<IndexFile>> {
    read(content_type, body, page_url, Keeper::new(Some(request)))
}

fn read(
    content_type: Option<&str>,
    body: &[u8],
    page_url: &Url,
    keeper: Keeper<'_>,
) -> Result<Vec<IndexFile>> {
    let (essence, charset) = split_content_type(content_type.unwrap_or_default());
    let result = match format(&essence, body) {
        Ok(Format::Json) => json::parse(body, page_url, keeper),
        Ok(Format::Html) => html::parse(body, charset.as_deref(), page_url, keeper),
        Err(error) => Err(error),
    };
    result.map_err(|error| {
        error.context(format!("{} is not an index page that venvoy can read", shown_url(page_url)))
    })
}

/// The files of a find-links directory, in the order they are given: name, size in bytes, URL. What is
/// not named as a distribution is left out.
pub(crate) fn find_links(listing: &[(String, u64, Url)]) -> Vec<IndexFile> {
    let wanted = |name: &str| link::is_safe_name(name) && link::is_distribution(name);
    let files = listing.iter().filter(|(name, _, _)| wanted(name));
    files
        .map(|(name, size, url)| IndexFile {
            filename: name.clone(),
            url: url.clone(),
            sha256: None,
            requires_python: None,
            yanked: None,
            size: Some(*size),
        })
        .collect()
}

/// An answer that should have been an index page.
pub(super) fn not_an_index(message: impl Into<String>) -> Error {
    Error::new(Kind::Network, message).help(
        "check the source's URL in the lock (it usually ends in /simple) and that the credentials for it \
         are known: some servers answer with a login page",
    )
}

/// Refuses what a repository of another major API version says (PEP 629): its meaning is not known.
pub(super) fn check_api_version(version: &str) -> Result<()> {
    let major = version.trim().split('.').next().unwrap_or_default();
    if major == "1" {
        return Ok(());
    }
    Err(Error::new(
        Kind::Network,
        format!("got version {:?} of the simple API, expected 1.x", link::printable(version)),
    )
    .help("a newer venvoy may know this version; otherwise ask for an index that speaks version 1"))
}

enum Format {
    Html,
    Json,
}

/// The format by what the server says; where it says nothing useful, by how the body begins.
fn format(essence: &str, body: &[u8]) -> Result<Format> {
    if let Some(rest) = essence.strip_prefix("application/vnd.pypi.simple.") {
        let (version, format) = rest.split_once('+').unwrap_or((rest, ""));
        if version != "latest" {
            check_api_version(version.trim_start_matches('v'))?;
        }
        match format {
            "json" => return Ok(Format::Json),
            "html" => return Ok(Format::Html),
            _ => {}
        }
    }
    let first = body.iter().copied().find(|c| !c.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(c));
    match (essence, first) {
        // Some servers call everything HTML, a JSON error too.
        ("application/json" | "text/json", _) | (_, Some(b'{')) => Ok(Format::Json),
        ("text/html" | "application/xhtml+xml", _) | (_, Some(b'<')) => Ok(Format::Html),
        ("", _) => Err(not_an_index("got neither HTML nor JSON, and no content type that says more")),
        _ => Err(not_an_index(format!("got content of type {essence:?}, expected HTML or JSON"))),
    }
}

/// The media type in lower case and the charset, if there is one.
fn split_content_type(text: &str) -> (String, Option<String>) {
    let mut parts = text.split(';');
    let essence = link::printable(parts.next().unwrap_or_default()).to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        key.trim().eq_ignore_ascii_case("charset").then(|| value.to_owned())
    });
    (essence, charset)
}
