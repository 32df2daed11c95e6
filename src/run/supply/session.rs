//! What a run works with once it knows its inputs: the cache, the network and the indexes.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use url::Url;

use crate::{
    environment::layout::DistInput,
    packages::{
        cache::{self, Cache, Trust, VerifiedFile},
        fetch::Answer,
        http::{Client, FetchOptions},
        index::{IndexFile, find_links, parse_page},
    },
    project::{
        lock::{Entry, EntryOrigin},
        python::Target,
    },
    run::options::{Common, IndexOptions},
    words::{
        error::{Error, Kind, Result},
        vocab::{NOT_SHOWN, PackageName, Realm, SourceUrl, shown_text},
    },
};
use crate::{
    run::{
        options::Options,
        supply::{
            lower::{credentials, lower},
            pages::Pages,
            sources::{Index, Sources},
        },
    },
    words::progress::Progress,
};

/// Everything the entries of a run are found and fetched with.
pub(crate) struct Session<'a> {
    /// What was asked for.
    pub request: &'a Options,
    /// The interpreter.
    pub target: &'a Target,
    /// Which index an entry belongs to.
    pub sources: &'a Sources<'a>,
    /// Verified files.
    pub cache: Cache,
    /// The network.
    pub client: Arc<Client<'a>>,
    /// Pages that several entries ask for.
    pub pages: Option<Arc<Pages>>,
    /// Whoever watches.
    pub progress: &'a dyn Progress,
    find_links: Vec<IndexFile>,
}

/// What the sessions of a run share.
#[derive(Clone)]
pub(crate) struct Shared<'a> {
    /// Verified files.
    pub cache: Cache,
    /// The network, as whom this run is.
    pub client: Arc<Client<'a>>,
    /// Pages that several entries ask for.
    pub pages: Option<Arc<Pages>>,
}

impl<'a> Session<'a> {
    /// Opens the cache, reads netrc and lists the find-links.
    pub(crate) fn open(
        request: &'a Options,
        target: &'a Target,
        sources: &'a Sources<'a>,
        entries: &[Entry],
        trust: Trust,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let cache = open_cache(request, trust, progress);
        let client = client(&request.common, &request.index, sources, entries, progress)?;
        let shared = Shared { cache, client: Arc::new(client), pages: None };
        Self::over(request, target, sources, shared, progress)
    }

    /// The same with what other sessions of the run have as well.
    pub(crate) fn over(
        request: &'a Options,
        target: &'a Target,
        sources: &'a Sources<'a>,
        shared: Shared<'a>,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let Shared { cache, client, pages } = shared;
        let mut session =
            Session { request, target, sources, cache, client, pages, progress, find_links: Vec::new() };
        session.find_links = session.list_find_links()?;
        session.tell();
        Ok(session)
    }

    /// Forgets a cached file that is no longer what its place says, and says whether it was one.
    pub(crate) fn forget_if_damaged(&self, file: &VerifiedFile) -> Result<bool> {
        let damaged = self.cache.forget_if_damaged(file)?;
        self.tell();
        Ok(damaged)
    }

    /// Forgets the cached files of those wheels that are damaged, and says whether there were any: then the same run can
    /// still succeed.
    pub(crate) fn forget_damaged<'d>(&self, inputs: impl IntoIterator<Item = &'d DistInput>) -> Result<bool> {
        inputs.into_iter().try_fold(false, |any, input| Ok(self.forget_if_damaged(&input.wheel.file)? || any))
    }

    /// Tells the user what happened in the cache.
    pub(crate) fn tell(&self) {
        self.cache.notes().iter().for_each(|note| self.progress.warn(note));
    }

    /// The files of find-links that carry this package's name.
    pub(crate) fn linked(&self, name: &PackageName) -> Vec<IndexFile> {
        self.find_links.iter().filter(|file| is_of(&file.filename, name)).cloned().collect()
    }

    fn list_find_links(&self) -> Result<Vec<IndexFile>> {
        let mut files = Vec::new();
        for place in &self.request.index.find_links {
            let shown = shown_text(place);
            match FindLinks::of(place, &self.request.common)? {
                FindLinks::Directory(dir) => match list(&dir) {
                    Ok(found) => files.extend(found),
                    // As in pip: a build that shares one PIP_FIND_LINKS need not have the directory everywhere.
                    Err(error) => {
                        // The reason names the path, which may be a URL that lost its scheme.
                        let why = match &*shown {
                            NOT_SHOWN => "it is neither a directory nor a URL".to_owned(),
                            _ => error.in_one_line(),
                        };
                        self.progress.warn(&format!("--find-links {shown} is ignored: {why}"));
                    }
                },
                FindLinks::Page(url) => files.extend(self.links_page(&url)?),
            }
        }
        Ok(files)
    }

    fn links_page(&self, source: &SourceUrl) -> Result<Vec<IndexFile>> {
        if self.request.index.offline && source.url().scheme() != "file" {
            self.progress.warn(&format!("--find-links {source} is not asked: --offline"));
            return Ok(Vec::new());
        }
        let what = || format!("cannot use --find-links {source}");
        match self.client.page(source.url(), source).map_err(|e| e.context(what()))? {
            Answer::Page(page) => {
                parse_page(page.content_type.as_deref(), &page.body, &page.url).map_err(|e| e.context(what()))
            }
            Answer::NotFound(error) => Err(error.context(what())),
        }
    }
}

/// Where a find-links setting points.
enum FindLinks {
    Directory(PathBuf),
    Page(SourceUrl),
}

impl FindLinks {
    fn of(text: &str, common: &Common) -> Result<Self> {
        let usable = |e: Error| {
            e.context(format!("--find-links {} is unusable", shown_text(text))).with_kind(Kind::Usage)
        };
        if let Some((scheme, _)) = text.split_once("://") {
            let source: SourceUrl = text.parse().map_err(usable)?;
            return Ok(match (scheme, source.url().to_file_path()) {
                ("file", Ok(dir)) if dir.is_dir() => FindLinks::Directory(dir),
                _ => FindLinks::Page(source),
            });
        }
        let home = common.env.path("HOME");
        let path = match (text.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        };
        let path = crate::run::options::absolute(&path)?;
        if path.is_file() {
            let url = Url::from_file_path(&path).map_err(|()| {
                Error::new(
                    Kind::Usage,
                    format!("--find-links {} cannot be written as a URL", shown_text(text)),
                )
            })?;
            return Ok(FindLinks::Page(url.into()));
        }
        Ok(FindLinks::Directory(path))
    }
}

fn list(dir: &Path) -> Result<Vec<IndexFile>> {
    let cannot = |e| Error::io("cannot list", dir, e);
    let mut listing = Vec::new();
    for item in std::fs::read_dir(dir).map_err(cannot)? {
        let item = item.map_err(cannot)?;
        // A link to a file is fine; what vanished meanwhile is not there.
        let Ok(meta) = std::fs::metadata(item.path()) else { continue };
        if let (true, Ok(name), Ok(url)) =
            (meta.is_file(), item.file_name().into_string(), Url::from_file_path(item.path()))
        {
            listing.push((name, meta.len(), url));
        }
    }
    listing.sort();
    Ok(find_links(&listing))
}

/// Whether a file name can be one of this package's: a wheel's first part, or what an sdist begins with.
fn is_of(file_name: &str, name: &PackageName) -> bool {
    let names = |end: usize| file_name[..end].parse::<PackageName>().is_ok_and(|found| found == *name);
    let mut dashes = file_name.match_indices('-').map(|(at, _)| at);
    if Path::new(file_name).extension().is_some_and(|end| end.eq_ignore_ascii_case("whl")) {
        return dashes.next().is_some_and(names);
    }
    // The name of an old sdist may hold dashes: try each.
    dashes.any(names)
}

/// Opens the cache of a run with those below it.
pub(crate) fn open_cache(request: &Options, trust: Trust, progress: &dyn Progress) -> Cache {
    let IndexOptions { cache_from, trust_built, .. } = &request.index;
    let below = cache_from.iter().map(|from| lower(from, &request.common, &request.index)).collect();
    let options = cache::Options { trust, below, trust_built: *trust_built, ..cache::Options::default() };
    let cache = Cache::open(&request.common.cache_dir, options);
    if let Some(warning) = cache.warning() {
        progress.warn(&warning);
    }
    cache
}

/// The network with every source's credentials known to it.
pub(crate) fn client<'a>(
    common: &Common,
    options: &IndexOptions,
    sources: &Sources<'_>,
    entries: &[Entry],
    progress: &'a dyn Progress,
) -> Result<Client<'a>> {
    let mut store = credentials(common, options, Some(progress))?;
    let mut insecure = BTreeSet::new();
    // A source with an unset variable is an error only for entries that need it.
    for index in sources.all().filter_map(Result::ok) {
        store.register_source(Some(&index.name), &index.url);
        insecure.extend(unverified(&index, progress));
    }
    for place in &options.find_links {
        if let Ok(FindLinks::Page(url)) = FindLinks::of(place, common) {
            store.register_source(None, &url);
        }
    }
    if let Some(notice) = store.ci_notice() {
        progress.warn(&notice);
    }
    for entry in entries {
        match &entry.origin {
            EntryOrigin::Url(url) => store.register_source(None, url),
            EntryOrigin::Vcs(vcs) => store.register_source(None, &vcs.url),
            EntryOrigin::Index | EntryOrigin::Path(_) => {}
        }
        for url in entry.files.iter().filter_map(|file| file.url.as_ref()) {
            store.register_source(None, url);
        }
    }
    let fetch = FetchOptions {
        ca: options.ca.clone(),
        client_cert: options.client_cert.clone(),
        proxies: options.proxies.clone(),
        connections: options.concurrent_downloads,
        insecure,
        allow_forwarding: options.allow_forwarding,
        ..FetchOptions::default()
    };
    Ok(Client::new(fetch, store)?.watched_by(progress))
}

fn unverified(index: &Index, progress: &dyn Progress) -> Option<Realm> {
    let realm = Realm::of(index.url.url()).filter(|realm| !index.verify_ssl && realm.scheme == "https")?;
    progress.warn(&format!(
        "the certificate of {realm} is not verified (verify_ssl = false of source {}): anyone on the way can \
         answer in its place, and read the credentials sent to it",
        index.name
    ));
    Some(realm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_links_files_are_told_apart_by_name() {
        let name: PackageName = "foo".parse().expect("a name");
        assert!(is_of("foo-1.0-py3-none-any.whl", &name));
        assert!(!is_of("foo_bar-1.0-py3-none-any.whl", &name));
        assert!(is_of("Foo-1.0.tar.gz", &name));
        let dashed: PackageName = "foo.bar".parse().expect("a name");
        assert!(is_of("foo-bar-1.0.zip", &dashed));
        assert!(is_of("Foo_Bar-1.0-py3-none-any.whl", &dashed));
    }
}
