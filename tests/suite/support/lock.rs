//! A `Pipfile.lock` in the making.

use serde_json::{Value, json};

use super::package::Package;

/// See [`Lock::new`].
#[derive(Clone)]
pub struct Lock(pub Value);

impl Lock {
    /// A lock without packages, whose index nobody can reach.
    pub fn new() -> Self {
        Self::at("https://index.example/simple")
    }

    /// A lock without packages, with one source called `example`.
    pub fn at(url: &str) -> Self {
        Self::bare().source("example", url)
    }

    /// A lock without packages and sources.
    pub fn bare() -> Self {
        Lock(json!({
            "_meta": {"hash": {"sha256": "0"}, "pipfile-spec": 6, "requires": {}, "sources": []},
            "default": {},
            "develop": {},
        }))
    }

    /// A lock of these packages.
    pub fn of(url: &str, packages: &[Package]) -> Self {
        packages.iter().fold(Self::at(url), Self::package)
    }

    /// One more source.
    pub fn source(self, name: &str, url: &str) -> Self {
        self.any_source(json!({"name": name, "url": url, "verify_ssl": true}))
    }

    /// One more source, however it is written.
    pub fn any_source(mut self, source: Value) -> Self {
        self.0["_meta"]["sources"].as_array_mut().expect("sources").push(source);
        self
    }

    pub fn package(self, package: &Package) -> Self {
        self.entry("default", &package.name, package.entry())
    }

    /// A package whose entry names its source.
    pub fn package_from(self, source: &str, package: &Package) -> Self {
        self.entry("default", &package.name, package.entry_from(source))
    }

    pub fn entry(mut self, category: &str, name: &str, entry: Value) -> Self {
        self.0[category][name] = entry;
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.0["_meta"][key] = value;
        self
    }
}
