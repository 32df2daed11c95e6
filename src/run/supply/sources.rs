//! Which index an entry is asked for on. A package is only ever asked for where it belongs.

use std::{borrow::Cow, collections::HashSet};

use crate::{
    project::lock::{Entry, EntryOrigin, Lock, Pipfile, Source, is_public_index},
    run::options::IndexOptions,
    words::{
        error::{Error, Kind, Result},
        gather::gather,
        vocab::{SourceUrl, shown_text},
    },
};

/// An index to ask, with this run's replacements applied.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// Its name in the lock, or its URL where it has none.
    pub name: String,
    /// Its URL.
    pub url: SourceUrl,
    /// Whether its certificate is verified.
    pub verify_ssl: bool,
}

/// The sources of a lock, as this run uses them.
pub(crate) struct Sources<'a> {
    known: Vec<Source>,
    options: &'a IndexOptions,
    search_all: bool,
    build_requires: Vec<String>,
}

impl<'a> Sources<'a> {
    /// The lock's sources, else the Pipfile's.
    ///
    /// # Errors
    /// [`Kind::Usage`] where `--index-url` names a source that there is not.
    pub(crate) fn new(lock: &Lock, pipfile: Option<&Pipfile>, options: &'a IndexOptions) -> Result<Self> {
        let mut sources = lock.sources.clone();
        if sources.is_empty()
            && let Some(pipfile) = pipfile
        {
            sources.clone_from(&pipfile.sources);
        }
        let sources = Sources {
            known: sources,
            options,
            search_all: pipfile.is_some_and(|p| p.install_search_all_sources),
            build_requires: pipfile.map(|p| p.build_requires.clone()).unwrap_or_default(),
        };
        for (name, _) in &options.mirrors {
            if !sources.known.iter().any(|source| source.name.as_deref() == Some(name)) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("--index-url {name}=...: the lock has no source of that name"),
                )
                .help(sources.names_help()));
            }
        }
        Ok(sources)
    }

    /// Whether these are the same sources, asked as the same user.
    pub(crate) fn is_same(&self, other: &Sources<'_>) -> bool {
        let all = |sources: &Sources<'_>| -> Vec<Option<(String, SourceUrl, bool)>> {
            let one = |index: Index| (index.name, index.url, index.verify_ssl);
            sources.all().map(|index| index.ok().map(one)).collect()
        };
        self.search_all == other.search_all && all(self) == all(other)
    }

    /// All of them, for `auth`.
    pub(crate) fn all(&self) -> impl Iterator<Item = Result<Index>> {
        self.known.iter().map(|source| self.index(source))
    }

    /// What the Pipfile wants installed from them before everything else.
    pub(crate) fn build_requires(&self) -> &[String] {
        &self.build_requires
    }

    /// Their names in the same order, also of those that cannot be used.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(|source| source.name.as_deref().unwrap_or("(unnamed)"))
    }

    /// The indexes an entry may be asked for on, in order: the one it names, else the first; all of them
    /// where the Pipfile sets `install_search_all_sources`.
    pub(crate) fn of(&self, entry: &Entry) -> Result<Vec<Index>> {
        let named = match &entry.index {
            Some(name) => {
                let source = self.known.iter().find(|source| source.name.as_deref() == Some(&**name));
                Some(source.ok_or_else(|| {
                    Error::new(
                        Kind::Lock,
                        format!(
                            "the lock has no source called {:?}, which {} names as its index",
                            shown_text(name),
                            entry.written
                        ),
                    )
                    .help(self.names_help())
                })?)
            }
            None => None,
        };
        match (named, self.known.first()) {
            (None, None) => Err(Error::new(Kind::Lock, "the lock names no source")
                .help("add a [[source]] to the Pipfile and lock again, or use --find-links with --no-index")),
            (None, Some(_)) if self.search_all => self.all().collect(),
            (Some(source), _) | (None, Some(source)) => Ok(vec![self.index(source)?]),
        }
    }

    /// Looks whether every entry has an index.
    ///
    /// # Errors
    /// [`Kind::Lock`] with every entry that has none.
    pub(crate) fn check(&self, entries: &[Entry]) -> Result<()> {
        if self.options.no_index {
            return Ok(());
        }
        let asked =
            entries.iter().filter(|entry| entry.origin == EntryOrigin::Index && entry.files.is_empty());
        let mut errors: Vec<Error> = Vec::new();
        let mut said = HashSet::new();
        for error in asked.filter_map(|entry| self.of(entry).err()) {
            // A source that cannot be used is said once, not once for each of its packages.
            if said.insert(error.report()) {
                errors.push(error);
            }
        }
        gather(errors, |many| format!("the lock's sources cannot be used: {many} errors"))
    }

    fn index(&self, source: &Source) -> Result<Index> {
        let replaced = self
            .options
            .mirrors
            .iter()
            .find(|(name, _)| source.name.as_deref() == Some(name))
            .map(|(_, url)| url.clone());
        let url = if let Some(url) = replaced {
            url
        } else {
            let url = source.url()?.clone();
            match &self.options.public_mirror {
                Some(mirror) if is_public_index(&url) => mirror.clone(),
                _ => url,
            }
        };
        // Some locks name the index by its URL, which may hold a password.
        let name =
            source.name.as_deref().map_or_else(|| url.to_string(), |name| shown_text(name).into_owned());
        Ok(Index { name, url, verify_ssl: source.verify_ssl })
    }

    fn names_help(&self) -> String {
        let names: Vec<Cow<str>> = self
            .known
            .iter()
            .map(|source| source.name.as_deref().map_or("(unnamed)".into(), shown_text))
            .collect();
        format!(
            "sources of the lock: {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )
    }
}

/// The page of a package on an index: `BASE/NAME/` (PEP 503).
pub(crate) fn page_url(index: &Index, name: &crate::words::vocab::PackageName) -> url::Url {
    let mut url = index.url.url().clone();
    // Source URLs have a path: `Url` gives http(s) at least "/", so this cannot fail.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(name.as_str()).push("");
    }
    url
}
