//! PEP 691 JSON pages, read as leniently as servers write them, and file by file: a page may be larger than what is
//! kept of it.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use url::Url;

use super::{
    IndexFile,
    keeper::Keeper,
    link,
    page::{check_api_version, not_an_index},
};
use crate::words::error::Result;

/// How many keys of an answer that is no page are named.
const KEYS: usize = 6;

pub(super) fn parse(body: &[u8], page_url: &Url, mut keeper: Keeper<'_>) -> Result<Vec<IndexFile>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let page = PageSeed { page_url, keeper: &mut keeper }.deserialize(&mut reader);
    let page = page.and_then(|page| reader.end().map(|()| page));
    // The error quotes the text it stumbled over, in full.
    let page = page.map_err(|error| {
        not_an_index("got JSON that is damaged or of another shape")
            .because(link::printable(&error.to_string()))
    })?;
    if let Some(version) = page.api_version {
        check_api_version(&version)?;
    }
    if !page.lists_files {
        return Err(not_an_index(format!("got JSON without \"files\"{}", keys(&page.keys))));
    }
    Ok(keeper.into_files())
}

fn read(file: File, page_url: &Url) -> Option<IndexFile> {
    let link = link::resolve(file.url.text()?, page_url, page_url.scheme() == "file")?;
    let filename = match file.filename.text() {
        Some(name) => link::is_safe_name(name).then(|| name.to_owned())?,
        None => link::file_name(&link.url)?,
    };
    let stated = file.hashes.0.and_then(|text| text.parse().ok());
    Some(IndexFile {
        filename,
        url: link.url,
        sha256: stated.or(link.sha256),
        requires_python: file
            .requires_python
            .text()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(Into::into),
        yanked: match file.yanked {
            Lenient::Bool(true) => Some(String::new()),
            Lenient::Text(reason) if !reason.is_empty() => Some(reason.into_owned()),
            _ => None,
        },
        size: match file.size {
            Lenient::Number(size) => Some(size),
            _ => None,
        },
    })
}

/// The keys an answer has instead: enough to recognise an error object without showing its text.
fn keys(keys: &[String]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("{:?}", link::printable(key))).collect();
    if keys.is_empty() { ", an empty object".to_owned() } else { format!(", but with {}", keys.join(", ")) }
}

/// What a page says besides its files, which went to the keeper.
#[derive(Default)]
struct Page {
    api_version: Option<String>,
    lists_files: bool,
    keys: Vec<String>,
}

struct PageSeed<'p, 'k> {
    page_url: &'p Url,
    keeper: &'p mut Keeper<'k>,
}

impl<'de> DeserializeSeed<'de> for PageSeed<'_, '_> {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Page, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_, '_> {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let mut page = Page::default();
        while let Some(key) = map.next_key::<Cow<str>>()? {
            match &*key {
                "files" => {
                    let files = FilesSeed { page_url: self.page_url, keeper: &mut *self.keeper };
                    page.lists_files |= map.next_value_seed(files)?;
                }
                "meta" => page.api_version = map.next_value::<Inner<ApiVersion>>()?.0.map(Cow::into_owned),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if page.keys.len() < KEYS {
                page.keys.push(key.into_owned());
            }
        }
        Ok(page)
    }
}

/// Reads the list of files; false where there is `null` instead.
struct FilesSeed<'p, 'k> {
    page_url: &'p Url,
    keeper: &'p mut Keeper<'k>,
}

impl<'de> DeserializeSeed<'de> for FilesSeed<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FilesSeed<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut files: A) -> Result<bool, A::Error> {
        while let Some(file) = files.next_element::<File>()? {
            if let Some(file) = read(file, self.page_url) {
                self.keeper.offer(file);
            }
        }
        Ok(true)
    }
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    filename: Lenient<'a>,
    #[serde(borrow, default)]
    url: Lenient<'a>,
    #[serde(borrow, default)]
    hashes: Inner<'a, Sha256Of>,
    #[serde(borrow, default, rename = "requires-python")]
    requires_python: Lenient<'a>,
    #[serde(borrow, default)]
    yanked: Lenient<'a>,
    #[serde(borrow, default)]
    size: Lenient<'a>,
}

/// A value that may be of any type; what nobody looks at is passed over, however large it is.
#[derive(Default)]
enum Lenient<'de> {
    Text(Cow<'de, str>),
    Bool(bool),
    Number(u64),
    #[default]
    Other,
}

impl Lenient<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Lenient::Text(text) => Some(text),
            _ => None,
        }
    }
}

struct LenientVisitor;

impl<'de: 'a, 'a> Deserialize<'de> for Lenient<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LenientVisitor)
    }
}

impl<'de> Visitor<'de> for LenientVisitor {
    type Value = Lenient<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Lenient::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Lenient::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Lenient::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Lenient::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Lenient::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Lenient::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Lenient::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lenient::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Lenient::Other)
    }
}

/// The text under one key of an object, where there is an object with such a text.
#[derive(Default)]
struct Inner<'de, K>(Option<Cow<'de, str>>, PhantomData<K>);

trait Key {
    const NAME: &'static str;
}

#[derive(Default)]
struct ApiVersion;

impl Key for ApiVersion {
    const NAME: &'static str = "api-version";
}

#[derive(Default)]
struct Sha256Of;

impl Key for Sha256Of {
    const NAME: &'static str = "sha256";
}

struct InnerVisitor<K>(PhantomData<K>);

impl<'de: 'a, 'a, K: Key> Deserialize<'de> for Inner<'a, K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(InnerVisitor(PhantomData))
    }
}

impl<'de, K: Key> Visitor<'de> for InnerVisitor<K> {
    type Value = Inner<'de, K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<str>>()? {
            if key == K::NAME {
                found = match map.next_value::<Lenient>()? {
                    Lenient::Text(text) => Some(text),
                    _ => None,
                };
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Inner(found, PhantomData))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Inner(None, PhantomData))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Inner(None, PhantomData))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Inner(None, PhantomData))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Inner(None, PhantomData))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Inner(None, PhantomData))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Inner(None, PhantomData))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Inner(None, PhantomData))
    }
}
