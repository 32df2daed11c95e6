//! A look at all distributions of an environment: which files are of which kind, once the code was read.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Mentions, Slim, SlimKind,
    names::{
        TEST_DIRS, file_name, is_header, is_licence, is_readme, is_shared_doc, is_shared_object,
        is_test_module,
    },
};

/// A file to be read, by position: the distribution, and the file in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The position of the distribution.
    pub dist: usize,
    /// The position of its file.
    pub file: usize,
}

/// All files of all distributions, and what is known of them.
///
/// Whoever has the bytes reads what [`Survey::unread`] asks for, tells it with [`Survey::learn`], and does so
/// until nothing is unread: a test package that is imported is code, too, and may import another.
#[derive(Debug)]
pub(crate) struct Survey<'a> {
    /// The directory of packages, with a slash at its end.
    site: String,
    /// By distribution, paths relative to the environment.
    dists: Vec<Vec<&'a str>>,
    /// Every path of every distribution.
    all: HashSet<&'a str>,
    /// Test directories below site-packages, and whether they stay.
    tests: BTreeMap<&'a str, bool>,
    /// Shared objects by their module: `a/b` for `a/b.abi3.so`.
    compiled: HashSet<&'a str>,
    /// What was asked for.
    read: HashSet<(usize, usize)>,
    /// By distribution.
    readmes: Vec<BTreeSet<String>>,
    /// Sources that read their stubs.
    stub_readers: HashSet<&'a str>,
}

impl<'a> Survey<'a> {
    /// A survey of distributions, each a list of paths relative to the environment.
    pub(crate) fn new(site_packages: &str, dists: Vec<Vec<&'a str>>) -> Self {
        let site = format!("{site_packages}/");
        let paths = || dists.iter().flatten().copied();
        let mut tests = BTreeMap::new();
        for path in paths() {
            if is_test_module(file_name(path))
                && let Some(dir) = path.strip_prefix(&site).and_then(test_dir)
            {
                tests.insert(dir, false);
            }
        }
        let compiled = paths().filter(|path| is_shared_object(path)).filter_map(module_of).collect();
        Survey {
            all: paths().collect(),
            compiled,
            tests,
            read: HashSet::new(),
            readmes: vec![BTreeSet::new(); dists.len()],
            stub_readers: HashSet::new(),
            site,
            dists,
        }
    }

    /// Lets all of a distribution stay, its tests too.
    pub(crate) fn keep(&mut self, dist: usize) {
        for dir in
            self.dists[dist].iter().filter_map(|path| path.strip_prefix(&self.site)).filter_map(test_dir)
        {
            if let Some(stays) = self.tests.get_mut(dir) {
                *stays = true;
            }
        }
    }

    /// Source files that count as code and were not asked for yet.
    pub(crate) fn unread(&mut self) -> Vec<Reading> {
        let mut wanted = Vec::new();
        for (dist, files) in self.dists.iter().enumerate() {
            for (file, path) in files.iter().enumerate() {
                let Some(inner) = path.strip_prefix(&self.site) else { continue };
                let is_code =
                    inner.strip_suffix(".py").is_some() || inner.ends_with(".dist-info/entry_points.txt");
                if is_code && !self.is_test(inner) && self.read.insert((dist, file)) {
                    wanted.push(Reading { dist, file });
                }
            }
        }
        wanted
    }

    /// The path below site-packages of a file to be read: what [`Mentions::of`] wants to know.
    pub(crate) fn path(&self, reading: Reading) -> &'a str {
        let path = self.dists[reading.dist][reading.file];
        path.strip_prefix(&self.site).unwrap_or(path)
    }

    /// Takes what a file mentions.
    pub(crate) fn learn(&mut self, reading: Reading, mentions: Mentions) {
        let points = !mentions.tests.is_empty() || !mentions.test_paths.is_empty();
        for (dir, stays) in self.tests.iter_mut().filter(|_| points) {
            let named = mentions.tests.contains(*dir);
            let pointed_at = mentions.test_paths.iter().any(|end| {
                dir.strip_suffix(end.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            });
            *stays |= named || pointed_at;
        }
        self.readmes[reading.dist].extend(mentions.readmes);
        if mentions.reads_stub {
            self.stub_readers.insert(self.dists[reading.dist][reading.file]);
        }
    }

    /// Test directories that stay as code names them, below site-packages, sorted.
    pub(crate) fn kept_tests(&self) -> impl Iterator<Item = &'a str> {
        self.tests.iter().filter(|(_, stays)| **stays).map(|(dir, _)| *dir)
    }

    /// As what each file of a distribution would be dropped.
    pub(crate) fn decide(&self, dist: usize, slim: Slim) -> Vec<Option<SlimKind>> {
        self.dists[dist].iter().map(|path| slim.kinds().find(|&kind| self.is(dist, path, kind))).collect()
    }

    /// Whether a distribution's file is of a kind that is dropped whole.
    fn is(&self, dist: usize, path: &str, kind: SlimKind) -> bool {
        let inner = path.strip_prefix(&self.site);
        let top = inner.and_then(|inner| inner.split_once('/')).map_or("", |(top, _)| top);
        if is_licence(path) || top.ends_with(".dist-info") || top.ends_with(".egg-info") {
            return false;
        }
        match (kind, inner) {
            (SlimKind::Tests, Some(inner)) => self.is_test(inner),
            (SlimKind::Pyc, Some(_)) => self.is_spare_bytecode(path),
            (SlimKind::Stubs, Some(_)) => top.ends_with("-stubs") || self.is_spare_stub(path),
            (SlimKind::Docs, None) => is_shared_doc(path),
            (SlimKind::Docs, Some(inner)) => {
                let name = file_name(inner);
                is_readme(name) && !self.readmes[dist].contains(name)
            }
            (SlimKind::Headers, _) => is_header(path),
            _ => false,
        }
    }

    /// Whether a file lies in a directory of tests, be it dropped or not.
    pub(crate) fn is_below_tests(&self, path: &str) -> bool {
        let dir = path.strip_prefix(&self.site).and_then(test_dir);
        dir.is_some_and(|dir| self.tests.contains_key(dir))
    }

    fn is_test(&self, inner: &str) -> bool {
        test_dir(inner).is_some_and(|dir| self.tests.get(dir) == Some(&false))
    }

    /// In `__pycache__` (never imported without its source, PEP 3147), or beside its source.
    fn is_spare_bytecode(&self, path: &str) -> bool {
        let Some(stem) = path.strip_suffix(".pyc") else { return false };
        let in_cache = path.rsplit('/').nth(1) == Some("__pycache__");
        in_cache || self.all.contains(format!("{stem}.py").as_str())
    }

    /// Beside its module, be that source or compiled, and not read by it.
    fn is_spare_stub(&self, path: &str) -> bool {
        let Some(stem) = path.strip_suffix(".pyi") else { return false };
        let source = format!("{stem}.py");
        if self.all.contains(source.as_str()) {
            return !self.stub_readers.contains(source.as_str());
        }
        self.compiled.contains(stem)
    }
}

/// A shared object's path up to the first dot of its name.
fn module_of(path: &str) -> Option<&str> {
    let start = path.len() - file_name(path).len();
    path[start..].find('.').map(|dot| &path[..start + dot])
}

/// The outermost test directory above a file, both below site-packages. A top-level one is nobody's but the
/// project's.
fn test_dir(inner: &str) -> Option<&str> {
    let mut end = inner.find('/')?;
    while let Some(length) = inner[end + 1..].find('/') {
        let next = end + 1 + length;
        if TEST_DIRS.contains(&&inner[end + 1..next]) {
            return Some(&inner[..next]);
        }
        end = next;
    }
    None
}
