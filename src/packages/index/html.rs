//! PEP 503 HTML pages, and the directory listings web servers make.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use url::Url;

use super::{
    IndexFile,
    keeper::Keeper,
    link,
    page::{check_api_version, not_an_index},
};
use crate::words::error::Result;

/// How far into a page its charset is looked for, as browsers do.
const CHARSET_WITHIN: usize = 1024;

/// How much of a heading is read.
const HEADING: usize = 1024;

/// What one `<a>` said, unresolved: `<base>` may follow it.
struct Anchor {
    href: String,
    requires_python: Option<String>,
    yanked: Option<String>,
}

#[derive(Default)]
struct Found {
    base: Option<String>,
    anchors: Vec<Anchor>,
    /// Whether there are links, to files or not.
    links: bool,
    api_version: Option<String>,
    /// Form fields: an index page has none, a login page does.
    fields: bool,
    heading: String,
}

pub(super) fn parse(
    body: &[u8],
    charset: Option<&str>,
    page_url: &Url,
    mut keeper: Keeper<'_>,
) -> Result<Vec<IndexFile>> {
    let local = page_url.scheme() == "file";
    // `<base>` may follow, and changes neither a file's name nor its digest.
    let found = scan(&decode(body, charset), |anchor| {
        read(anchor, page_url, local).is_some_and(|file| keeper.wants(&file))
    });
    if let Some(version) = &found.api_version {
        check_api_version(version)?;
    }
    let base = found.base.as_deref().and_then(|href| page_url.join(href.trim()).ok());
    let base = base.as_ref().unwrap_or(page_url);
    let files: Vec<IndexFile> = found.anchors.iter().filter_map(|anchor| read(anchor, base, local)).collect();
    if files.is_empty() && !found.is_index() {
        let what = match (found.fields, !found.links) {
            (true, _) => "got an HTML page with a form and no files: a login page?",
            (false, true) => "got an HTML page without any link",
            (false, false) => return Ok(files),
        };
        let heading = link::printable(&found.heading);
        let heading = if heading.is_empty() { String::new() } else { format!(" (its title: {heading:?})") };
        return Err(not_an_index(format!("{what}{heading}")));
    }
    Ok(files)
}

impl Found {
    /// Whether a page without files is an index page all the same.
    fn is_index(&self) -> bool {
        let heading = self.heading.trim().to_ascii_lowercase();
        // devpi puts the index's name first: `team/dev: links for demo`.
        self.api_version.is_some() || heading.contains("links for ") || heading.starts_with("index of")
    }
}

fn read(anchor: &Anchor, base: &Url, local: bool) -> Option<IndexFile> {
    let link = link::resolve(&anchor.href, base, local)?;
    let filename = link::file_name(&link.url)?;
    if link.sha256.is_none() && !link::is_distribution(&filename) {
        return None;
    }
    Some(IndexFile {
        filename,
        url: link.url,
        sha256: link.sha256,
        requires_python: anchor.requires_python.clone().filter(|text| !text.is_empty()),
        yanked: anchor.yanked.clone(),
        size: None,
    })
}

/// Reads a page; of its links, those that `keep` wants.
fn scan(text: &str, mut keep: impl FnMut(&Anchor) -> bool) -> Found {
    let mut found = Found::default();
    let mut emitter = DefaultEmitter::default();
    // Links inside scripts, styles and text areas are text.
    emitter.naively_switch_states(true);
    let mut in_heading = false;
    for Ok(token) in Tokenizer::new_with_emitter(text, emitter) {
        match token {
            Token::StartTag(tag) => {
                let attribute = |name: &str| attribute(&tag, name);
                match &**tag.name {
                    b"a" => {
                        let anchor = attribute("href").map(|href| Anchor {
                            href,
                            requires_python: attribute("data-requires-python")
                                .map(|text| text.trim().to_owned()),
                            yanked: attribute("data-yanked"),
                        });
                        found.links |= anchor.is_some();
                        found.anchors.extend(anchor.filter(&mut keep));
                    }
                    b"base" if found.base.is_none() => found.base = attribute("href"),
                    b"meta" if attribute("name").as_deref() == Some("pypi:repository-version") => {
                        found.api_version = attribute("content");
                    }
                    b"input" | b"form" => found.fields = true,
                    b"title" | b"h1" => in_heading = found.heading.trim().is_empty(),
                    _ => {}
                }
            }
            Token::EndTag(_) => in_heading = false,
            Token::String(text) if in_heading && found.heading.len() < HEADING => {
                found.heading.push_str(&String::from_utf8_lossy(&text));
            }
            _ => {}
        }
    }
    found
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The page as text: by its byte order mark, the header's charset, the page's own, and where none is
/// given as UTF-8 if it is that, else as Latin-1 in the sense browsers give it.
fn decode<'a>(body: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    let stated = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = stated
        .or_else(|| charset_of_page(body))
        .unwrap_or_else(|| if std::str::from_utf8(body).is_ok() { UTF_8 } else { WINDOWS_1252 });
    encoding.decode(body).0
}

/// The charset that `<meta charset>` or `<meta http-equiv="Content-Type">` names.
fn charset_of_page(body: &[u8]) -> Option<&'static Encoding> {
    let start = String::from_utf8_lossy(&body[..body.len().min(CHARSET_WITHIN)]);
    for Ok(token) in Tokenizer::new(&*start) {
        let Token::StartTag(tag) = token else { continue };
        if **tag.name != *b"meta" {
            continue;
        }
        let content = attribute(&tag, "content").unwrap_or_default().to_ascii_lowercase();
        let label = attribute(&tag, "charset").or_else(|| {
            let rest = &content[content.find("charset=")? + "charset=".len()..];
            Some(rest.trim_matches(['"', '\'', ' ']).split(';').next()?.to_owned())
        });
        if let Some(encoding) = label.and_then(|label| Encoding::for_label(label.as_bytes())) {
            // A page whose tags can be read as bytes is not UTF-16, whatever it says.
            let wide = [encoding_rs::UTF_16BE, encoding_rs::UTF_16LE].contains(&encoding);
            return Some(if wide { UTF_8 } else { encoding });
        }
    }
    None
}
