//! The JSON of a `Pipfile.lock`, read entry by entry: what a lock holds is never there as a whole beside the
//! entries made of it, as JSON values take several times the room.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Entry, read_entry::Entries};
use crate::words::{env::Env, error::Error};

/// What the object of a lock holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// `_meta`, whatever it is.
    pub meta: Option<Value>,
    /// All else, in the lock's order. Of a key that is there twice the later counts, as in Python.
    pub categories: Vec<(String, Category)>,
}

/// What stands under the name of a category.
#[derive(Debug)]
pub(super) enum Category {
    /// Packages in the lock's order, and what is wrong with those that cannot be read.
    Packages {
        /// Those that can.
        entries: Vec<Entry>,
        /// What is wrong with the others.
        bad: Vec<Error>,
    },
    /// No object: what it is, in words.
    Other(&'static str),
}

impl Contents {
    /// Reads the text of an object.
    pub(super) fn read(text: &str, env: &Env) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let contents = json.deserialize_map(Root { env })?;
        json.end()?;
        Ok(contents)
    }
}

struct Root<'a> {
    env: &'a Env,
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = Contents;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Contents, A::Error> {
        let mut contents = Contents::default();
        while let Some(name) = map.next_key::<String>()? {
            if name == "_meta" {
                contents.meta = Some(map.next_value()?);
                continue;
            }
            let category = map.next_value_seed(OfCategory { name: &name, env: self.env })?;
            match contents.categories.iter_mut().find(|(other, _)| *other == name) {
                Some((_, before)) => *before = category,
                None => contents.categories.push((name, category)),
            }
        }
        Ok(contents)
    }
}

struct OfCategory<'a> {
    name: &'a str,
    env: &'a Env,
}

impl<'de> DeserializeSeed<'de> for OfCategory<'_> {
    type Value = Category;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Category, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OfCategory<'_> {
    type Value = Category;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of packages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Category, A::Error> {
        // The position of each key, and what was read for it.
        let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
        let mut entries = Entries::new(self.name, self.env);
        let mut read: Vec<Result<Entry, Error>> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            let entry = entries.read(&key, &value);
            if let Some(&at) = seen.get(&*key) {
                read[at] = entry;
            } else {
                let key = entry.as_ref().map_or_else(|_| key.into(), |entry| Arc::clone(&entry.written));
                seen.insert(key, read.len());
                read.push(entry);
            }
        }
        drop(seen);
        let mut bad = Vec::new();
        // In the place of what was read.
        let entries = read.into_iter().filter_map(|one| one.map_err(|error| bad.push(error)).ok()).collect();
        Ok(Category::Packages { entries, bad })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Category, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Category::Other("a list"))
    }

    fn visit_unit<E>(self) -> Result<Category, E> {
        Ok(Category::Other("null"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Category, E> {
        Ok(Category::Other("true or false"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Category, E> {
        Ok(Category::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Category, E> {
        Ok(Category::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Category, E> {
        Ok(Category::Other("a number"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Category, E> {
        Ok(Category::Other("a string"))
    }
}
