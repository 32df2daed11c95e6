//! The tags of an interpreter on a platform, in the order of `packaging.tags.sys_tags()`.

use super::{
    platform::normalised,
    tags::{Tag, Tags},
};

/// What decides the Python and ABI tags of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// `sys.implementation.name`.
    pub implementation: String,
    /// `(major, minor)`.
    pub version: (u8, u8),
    /// The version as tags write it (`311`).
    pub version_nodot: String,
    /// Whether the build has no GIL (PEP 703).
    pub free_threaded: bool,
    /// Whether it is a debug build.
    pub debug: bool,
    /// Whether Python's allocator is used (part of the ABI before 3.8).
    pub pymalloc: bool,
    /// The file name ending of its extension modules, such as `.cpython-311-x86_64-linux-gnu.so`.
    pub ext_suffix: String,
}

impl Interpreter {
    /// All tags that it supports on a platform with `platforms`, best first.
    pub(crate) fn tags(&self, platforms: &[String]) -> Tags {
        let mut list = List { tags: Vec::new(), platforms };
        if self.implementation == "cpython" {
            self.cpython(&mut list);
            self.compatible(&mut list, Some(&format!("cp{}", self.version_nodot)));
        } else {
            let short = match self.implementation.as_str() {
                "pypy" => "pp",
                "ironpython" => "ip",
                "jython" => "jy",
                "python" => "py",
                other => other,
            };
            let python = format!("{short}{}", self.version_nodot);
            if let Some(abi) = self.generic_abi() {
                list.on_platforms(&python, &abi);
            }
            list.on_platforms(&python, "none");
            self.compatible(&mut list, (short == "pp").then_some("pp3"));
        }
        list.tags.into_iter().collect()
    }

    /// ABIs of CPython, best first.
    fn cpython_abis(&self) -> Vec<String> {
        let (major, minor) = self.version;
        let threading = if self.version >= (3, 13) && self.free_threaded { "t" } else { "" };
        let debug = if self.debug { "d" } else { "" };
        let pymalloc = if self.version < (3, 8) && self.pymalloc { "m" } else { "" };
        let mut abis = vec![format!("cp{major}{minor}{threading}{debug}{pymalloc}")];
        if self.version >= (3, 8) && self.debug {
            // Since 3.8 a debug build loads extensions of the release build too.
            abis.push(format!("cp{major}{minor}{threading}"));
        }
        abis
    }

    fn cpython(&self, list: &mut List) {
        let (major, minor) = self.version;
        let own = format!("cp{major}{minor}");
        for abi in self.cpython_abis() {
            list.on_platforms(&own, &abi);
        }
        // A free-threaded build has a stable ABI of its own (PEP 803).
        let free_threaded = self.free_threaded && self.version >= (3, 13);
        let stable = if free_threaded { "abi3t" } else { "abi3" };
        list.on_platforms(&own, stable);
        list.on_platforms(&own, "none");
        for older in (2..minor).rev() {
            list.on_platforms(&format!("cp{major}{older}"), stable);
        }
    }

    /// The ABI that the extension modules' ending tells; `None` where it tells none.
    fn generic_abi(&self) -> Option<String> {
        let soabi = self.ext_suffix.strip_prefix('.')?.split_once('.')?.0;
        let first = |count: usize| soabi.split('-').take(count).collect::<Vec<_>>().join("-");
        let abi = if soabi.starts_with("cpython") {
            format!("cp{}", soabi.split('-').nth(1)?)
        } else if soabi.starts_with("cp") {
            first(1)
        } else if soabi.starts_with("pypy") {
            first(2)
        } else if soabi.starts_with("graalpy") {
            first(3)
        } else {
            soabi.to_owned()
        };
        (!abi.is_empty()).then(|| normalised(&abi))
    }

    /// The tags of wheels without an ABI.
    fn compatible(&self, list: &mut List, own: Option<&str>) {
        let (major, minor) = self.version;
        let mut pythons = vec![format!("py{major}{minor}"), format!("py{major}")];
        pythons.extend((0..minor).rev().map(|older| format!("py{major}{older}")));
        for python in &pythons {
            list.on_platforms(python, "none");
        }
        for python in own.into_iter().chain(pythons.iter().map(String::as_str)) {
            list.push(python, "none", "any");
        }
    }
}

struct List<'a> {
    tags: Vec<Tag>,
    platforms: &'a [String],
}

impl List<'_> {
    fn push(&mut self, python: &str, abi: &str, platform: &str) {
        self.tags.push(Tag { python: python.into(), abi: abi.into(), platform: platform.into() });
    }

    fn on_platforms(&mut self, python: &str, abi: &str) {
        for platform in self.platforms {
            self.push(python, abi, platform);
        }
    }
}
