//! Links of a page: what they point to, with nothing in them that could harm.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::words::vocab::{ArchiveFormat, Sha256};

/// Endings of further files that indexes list: distributions of every age. Only wheels and sdists can be
/// chosen, but a lock pins all of them, and each digest wants its explanation.
const FURTHER_ENDINGS: [&str; 11] =
    [".whl", ".tar.lz", ".tlz", ".tar.lzma", ".tar.z", ".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg"];

/// Where a link leads: an absolute URL without userinfo and fragment, and what the fragment said.
pub(super) struct Link {
    pub url: Url,
    pub sha256: Option<Sha256>,
}

/// Resolves a link against the page's base; `None` for links that are no files: other schemes,
/// anchors within the page, `#egg=` links to checkouts, and links to a local file unless the page
/// itself is `local` (its base says nothing about that: a page chooses its base).
pub(super) fn resolve(href: &str, base: &Url, local: bool) -> Option<Link> {
    let href = href.trim();
    if href.is_empty() || href.starts_with('#') {
        return None;
    }
    let mut url = base.join(href).ok()?;
    match url.scheme() {
        "http" | "https" => {}
        "file" if local => {}
        _ => return None,
    }
    let fragment = url.fragment().unwrap_or_default().to_owned();
    let mut sha256 = None;
    for (key, value) in fragment.split('&').filter_map(|part| part.split_once('=')) {
        match key {
            "egg" => return None,
            "sha256" => sha256 = sha256.or_else(|| value.parse().ok()),
            _ => {}
        }
    }
    without_secrets(&mut url);
    Some(Link { url, sha256 })
}

/// Takes userinfo and fragment off.
pub(super) fn without_secrets(url: &mut Url) {
    url.set_fragment(None);
    // These fail for URLs that cannot have userinfo, which then have none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// The file name a URL ends in, decoded exactly once; `None` where that is no safe name.
pub(super) fn file_name(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    let name = percent_decode_str(last).decode_utf8().ok()?.into_owned();
    is_safe_name(&name).then_some(name)
}

/// Whether a text is one plain component of a path: it cannot lead elsewhere, nor write to a terminal.
pub(super) fn is_safe_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name.len() <= 255
        && !name.contains("..")
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

/// Whether a name ends as files of distributions do.
pub(super) fn is_distribution(name: &str) -> bool {
    if let Some((stem, _)) = ArchiveFormat::split(name) {
        return !stem.is_empty();
    }
    let name = name.to_ascii_lowercase();
    FURTHER_ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
}

/// Text from an index made fit for a terminal: no control characters, not longer than a few lines.
pub(super) fn printable(text: &str) -> String {
    const LIMIT: usize = 300;
    let mut out: String =
        text.trim().chars().take(LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().chars().nth(LIMIT).is_some() {
        out.push_str("...");
    }
    out
}
