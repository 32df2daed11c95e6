//! Files of an index, with what a lock says about them.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::Digest as _;

use super::wheel::WheelBuilder;

/// A wheel or a source distribution.
#[derive(Clone)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub file: String,
    pub bytes: Vec<u8>,
    pub sha256: String,
}

impl Package {
    pub fn new(wheel: &WheelBuilder) -> Self {
        Self::of(&wheel.file_name(), wheel.build())
    }

    /// A file whose name begins with name and version.
    pub fn of(file: &str, bytes: Vec<u8>) -> Self {
        let stem = file.strip_suffix(".tar.gz").unwrap_or(file);
        let mut parts = stem.split('-').map(str::to_owned);
        let name = parts.next().expect("a name").replace('_', "-");
        let version = parts.next().expect("a version");
        let sha256 = sha256(&bytes);
        Package { name, version, file: file.to_owned(), bytes, sha256 }
    }

    /// A package of one module whose console script of the same name prints name and version.
    pub fn simple(name: &str, version: &str) -> Self {
        Self::new(&greeter(name, version))
    }

    /// Version 1.0 of a package of one module that knows who published it.
    pub fn by(publisher: &str, name: &str) -> Self {
        let module = format!("publisher = {publisher:?}\n");
        Self::new(&WheelBuilder::new(name, "1.0").file(&format!("{name}.py"), module))
    }

    /// Its entry in a lock.
    pub fn entry(&self) -> Value {
        json!({"hashes": [format!("sha256:{}", self.sha256)], "version": format!("=={}", self.version)})
    }

    /// Its entry in a lock that names its source.
    pub fn entry_from(&self, source: &str) -> Value {
        let mut entry = self.entry();
        entry["index"] = json!(source);
        entry
    }

    /// Where an index serves it.
    pub fn path(&self) -> String {
        format!("/simple/files/{}", self.file)
    }

    /// The link that its page has.
    pub fn link(&self) -> String {
        format!("<a href=\"../files/{0}#sha256={1}\">{0}</a>", self.file, self.sha256)
    }
}

/// See [`Package::simple`], before it is built.
pub fn greeter(name: &str, version: &str) -> WheelBuilder {
    let module = name.replace('-', "_");
    WheelBuilder::new(&module, version)
        .file(&format!("{module}.py"), format!("def main():\n    print('{name} {version}')\n"))
        .console_script(&format!("{name} = {module}:main"))
}

pub fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes that do not compress and repeat nowhere near, so that a misplaced part shows.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| step()).collect()
}
