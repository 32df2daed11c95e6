//! PEP 691 JSON pages, read as leniently as servers write them.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    IndexFile, link,
    page::{check_api_version, not_an_index},
};
use crate::words::error::Result;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    meta: Value,
    files: Option<Vec<File>>,
}

#[derive(Deserialize)]
struct File {
    filename: Option<String>,
    url: Option<String>,
    #[serde(default)]
    hashes: Value,
    #[serde(default, rename = "requires-python")]
    requires_python: Value,
    #[serde(default)]
    yanked: Value,
    #[serde(default)]
    size: Value,
}

pub(super) fn parse(body: &[u8], page_url: &Url) -> Result<Vec<IndexFile>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let page: Page = serde_json::from_slice(body)
        // The error quotes the text it stumbled over, in full.
        .map_err(|error| {
            not_an_index("got JSON that is damaged or of another shape")
                .because(link::printable(&error.to_string()))
        })?;
    if let Some(version) = page.meta.get("api-version").and_then(Value::as_str) {
        check_api_version(version)?;
    }
    let Some(files) = page.files else {
        return Err(not_an_index(format!("got JSON without \"files\"{}", keys(body))));
    };
    Ok(files.into_iter().filter_map(|file| read(file, page_url)).collect())
}

fn read(file: File, page_url: &Url) -> Option<IndexFile> {
    let link = link::resolve(&file.url?, page_url, page_url.scheme() == "file")?;
    let filename = match file.filename {
        Some(name) => link::is_safe_name(&name).then_some(name)?,
        None => link::file_name(&link.url)?,
    };
    let stated = file.hashes.get("sha256").and_then(Value::as_str).and_then(|text| text.parse().ok());
    Some(IndexFile {
        filename,
        url: link.url,
        sha256: stated.or(link.sha256),
        requires_python: file
            .requires_python
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(Into::into),
        yanked: match file.yanked {
            Value::Bool(true) => Some(String::new()),
            Value::String(reason) if !reason.is_empty() => Some(reason),
            _ => None,
        },
        size: file.size.as_u64(),
    })
}

/// The keys an answer has instead: enough to recognise an error object without showing its text.
fn keys(body: &[u8]) -> String {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else { return String::new() };
    let keys: Vec<String> = object.keys().take(6).map(|key| format!("{:?}", link::printable(key))).collect();
    if keys.is_empty() { ", an empty object".to_owned() } else { format!(", but with {}", keys.join(", ")) }
}
