//! Which file an entry is installed from.

use std::sync::Arc;

use url::Url;

use crate::run::supply::{
    obtain::{last_component, local_path},
    session::Session,
    sources::{Index, page_url},
};
use crate::{
    packages::{
        fetch::Answer,
        index::{
            self, Choice, IndexFile, SdistName, SelectionKey, choose, explains, fill_digests, parse_page_for,
        },
    },
    project::lock::{Entry, EntryOrigin, PinnedFile},
    words::{
        error::{Error, Kind, Result},
        files::open_regular,
        vocab::{Sha256, SourceUrl, WheelName},
    },
};

/// What an entry is installed from.
#[derive(Debug)]
pub(crate) enum What {
    /// A wheel of an index, find-links or the lock itself.
    Wheel(IndexFile, Box<WheelName>),
    /// A source distribution of an index, find-links or the lock itself.
    Sdist(IndexFile, SdistName),
    /// What the entry itself says: a repository, a URL, a path.
    Direct,
}

/// An entry whose file is known.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// What it is installed from.
    pub what: What,
    /// The index that listed the file, or the lock where it names the file itself.
    pub source: Option<Index>,
    /// Whether that was read from a record rather than from the index.
    pub remembered: bool,
    /// Why this file and no other, for those who ask.
    pub why: String,
}

impl Resolved {
    /// The file, where there is one to fetch from an index.
    pub(crate) fn file(&self) -> Option<&IndexFile> {
        match &self.what {
            What::Wheel(file, _) | What::Sdist(file, _) => Some(file),
            What::Direct => None,
        }
    }
}

/// Files that one place lists, and whether the place was remembered instead of asked.
struct Listing {
    source: Option<Index>,
    files: Vec<IndexFile>,
    remembered: bool,
}

/// How much to rely on records of earlier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Records {
    /// A complete record stands for the index.
    Trust,
    /// Ask the index: what a record said turned out not to be there any more.
    Ignore,
}

/// Finds the file for an entry. Which one it is depends on lock, target and the answers of find-links and
/// index only; a complete record answers as the index would.
pub(crate) fn resolve(session: &Session<'_>, entry: &Entry, records: Records) -> Result<Resolved> {
    check_digests(session, entry)?;
    if entry.origin != EntryOrigin::Index {
        return Ok(Resolved { what: What::Direct, source: None, remembered: false, why: String::new() });
    }
    let request = request(session, entry);
    let mut listings = vec![linked(session, entry)?];
    let mut missing = None;
    let settled = |listings: &[Listing]| {
        let all: Vec<IndexFile> = listings.iter().flat_map(|listing| listing.files.clone()).collect();
        explains(&all, &entry.hashes)
    };
    if !entry.files.is_empty() {
        // The lock says where its files are: nobody has to be asked.
        listings.extend(pinned(session, entry)?);
    } else if !session.request.index.no_index && !settled(&listings) {
        for index in session.sources.of(entry)? {
            match ask(session, entry, &request, index, records)? {
                Ok(listing) => listings.push(listing),
                Err(error) => drop(missing.get_or_insert(error)),
            }
            if settled(&listings) {
                break;
            }
        }
    }
    if session.request.index.offline && !settled(&listings) {
        listings.push(cached(session, entry));
    }
    loop {
        let files: Vec<IndexFile> = listings.iter().flat_map(|listing| listing.files.clone()).collect();
        let choice = match choose(&request, &files, session.target) {
            Ok(choice) => choice,
            // An index that has nothing at all explains more than the empty list it leaves.
            Err(error) => return Err(missing.filter(|_| files.is_empty()).unwrap_or(error)),
        };
        let (what, url, warnings) = match choice {
            Choice::NeedDigests(wanted) => {
                digest(session, entry, &wanted, &mut listings)?;
                continue;
            }
            Choice::Wheel { file, name, warnings } => (What::Wheel(file.clone(), name), file.url, warnings),
            Choice::Sdist { file, name, warnings } => (What::Sdist(file.clone(), name), file.url, warnings),
        };
        warnings.0.iter().for_each(|warning| session.progress.warn(warning));
        for listing in &listings {
            remember(session, entry, listing);
        }
        let asked = session.request.common.verbosity > 1;
        let why = if asked { why(&what, &files, entry, session) } else { String::new() };
        let from = listings.into_iter().find(|listing| listing.files.iter().any(|file| file.url == url));
        let (source, remembered) = from.map_or((None, false), |from| (from.source, from.remembered));
        return Ok(Resolved { what, source, remembered, why });
    }
}

/// Why a file was chosen: how many the lock pins, how many of these fit, and by which tag this one does.
fn why(what: &What, files: &[IndexFile], entry: &Entry, session: &Session<'_>) -> String {
    let digests = entry.hashes.pinned();
    let pinned: Vec<&IndexFile> =
        files.iter().filter(|file| file.sha256.is_some_and(|digest| digests.contains(&digest))).collect();
    let rank = |file: &IndexFile| session.target.tags.best(&file.filename.parse::<WheelName>().ok()?);
    let fitting = pinned.iter().filter(|file| rank(file).is_some()).count();
    match what {
        What::Wheel(file, _) => {
            let tag = rank(file).and_then(|rank| session.target.tags.iter().nth(rank));
            let tag = tag
                .map_or_else(String::new, |tag| format!(", by {}-{}-{}", tag.python, tag.abi, tag.platform));
            format!("best of {fitting} wheels that fit among {} pinned files{tag}", pinned.len())
        }
        What::Sdist(..) => format!("none of {} pinned files is a wheel to use here", pinned.len()),
        What::Direct => String::new(),
    }
}

/// What an entry asks of an index.
fn request<'a>(session: &Session<'_>, entry: &'a Entry) -> index::Pinned<'a> {
    let (no_binary, only_binary) = session.request.build.forms(entry);
    index::Pinned {
        name: &entry.name,
        pin: &entry.pin,
        hashes: &entry.hashes,
        no_binary,
        only_binary,
        allow_unhashed: session.request.index.allow_unhashed.contains(&entry.name),
    }
}

/// Whether the lock has digests for what is fetched, or may lack them.
///
/// # Errors
/// [`Kind::Lock`]. For a file at a URL, which no pipenv gives a hash, the error has the digest of what is served, and
/// what to do with it.
pub(crate) fn check_digests(session: &Session<'_>, entry: &Entry) -> Result<()> {
    match &entry.origin {
        EntryOrigin::Index => index::check_digests(&request(session, entry)),
        EntryOrigin::Url(url) => {
            let allowed = session.request.index.allow_unhashed.contains(&entry.name);
            if entry.hashes.suffice(allowed) { Ok(()) } else { Err(unhashed(session, entry, url)) }
        }
        EntryOrigin::Vcs(_) | EntryOrigin::Path(_) => Ok(()),
    }
}

fn unhashed(session: &Session<'_>, entry: &Entry, url: &SourceUrl) -> Error {
    let name = &entry.name;
    let message = entry.hashes.shortfall();
    // Kept in the cache: with the digest in the lock it need not come again.
    match last_component(url).and_then(|file| session.verified(url.url(), Some(url), &file, None, &[])) {
        Ok((file, _)) => {
            let digest = file.sha256();
            Error::new(Kind::Lock, format!("{message}; what is served now has sha256:{digest}")).help(format!(
                "if that is the right file, write its digest behind the URL in the Pipfile ({url}#sha256={digest}) and \
                 lock again, or into the lock (\"hashes\": [\"sha256:{digest}\"]); --allow-unhashed {name} takes what is \
                 served"
            ))
        }
        Err(error) => Error::new(Kind::Lock, message).because(error).help(format!(
            "write the digest of the file behind its URL in the Pipfile ({url}#sha256=...) and lock again, or pass \
             --allow-unhashed {name} to take whatever is served"
        )),
    }
}

/// What find-links has, with digests: the files are here, so they are read.
fn linked(session: &Session<'_>, entry: &Entry) -> Result<Listing> {
    let mut files = session.linked(&entry.name);
    for file in files.iter_mut().filter(|file| file.sha256.is_none()) {
        if let Ok(path) = file.url.to_file_path() {
            let digest = open_regular(&path).and_then(|file| Sha256::of_file(&file));
            file.sha256 = Some(digest.map_err(|error| Error::io("cannot read", &path, error))?.0);
        }
    }
    Ok(Listing { source: None, files, remembered: false })
}

/// The files that the lock itself names, each with the place it comes from.
fn pinned(session: &Session<'_>, entry: &Entry) -> Result<Vec<Listing>> {
    let lock = session.request.common.project.lock()?.path();
    let name = lock.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let listing = |file: &PinnedFile| {
        let local = file.path.as_deref().map(|path| local_path(session.request, path));
        let local = local.filter(|path| file.url.is_none() || path.is_file());
        let url = match (local, &file.url) {
            (Some(path), _) => SourceUrl::from(Url::from_file_path(&path).map_err(|()| {
                Error::new(Kind::Lock, format!("{} cannot be written as a URL", path.display()))
            })?),
            (None, Some(url)) => url.clone(),
            (None, None) => {
                return Err(Error::new(Kind::Lock, format!("{} has neither path nor url", file.name)));
            }
        };
        let files = vec![IndexFile {
            filename: file.name.clone(),
            url: url.url().clone(),
            sha256: file.sha256,
            requires_python: None,
            yanked: None,
            size: file.size,
        }];
        let source = Index { name: name.clone(), url, verify_ssl: true };
        Ok(Listing { source: Some(source), files, remembered: false })
    };
    entry.files.iter().map(listing).collect()
}

/// What the cache has of an entry's digests, for runs that may ask nobody: its files came from wherever an
/// earlier run found them, find-links included, of which no record is kept.
fn cached(session: &Session<'_>, entry: &Entry) -> Listing {
    let mut listing = Listing { source: None, files: Vec::new(), remembered: true };
    for file in entry.hashes.sha256.iter().filter_map(|digest| session.cache.file(digest)) {
        let (Some(name), Ok(url)) =
            (file.path().file_name().and_then(|name| name.to_str()), Url::from_file_path(file.path()))
        else {
            continue;
        };
        listing.source.get_or_insert_with(|| Index {
            name: "cache".to_owned(),
            url: url.clone().into(),
            verify_ssl: true,
        });
        listing.files.push(IndexFile {
            filename: name.to_owned(),
            url,
            sha256: Some(file.sha256()),
            requires_python: None,
            yanked: None,
            size: Some(file.size()),
        });
    }
    listing
}

/// What an index has; the inner error says that it does not have the package.
fn ask(
    session: &Session<'_>,
    entry: &Entry,
    request: &index::Pinned,
    index: Index,
    records: Records,
) -> Result<Result<Listing, Error>> {
    let pin = entry.pin.to_string();
    let key = selection_key(session, entry, &index.url, &pin);
    let known = key.known(&session.cache);
    let offline = session.request.index.offline && index.url.url().scheme() != "file";
    if let Some(known) = &known
        && (known.complete && records == Records::Trust || offline)
    {
        return Ok(Ok(Listing { source: Some(index), files: known.files.clone(), remembered: true }));
    }
    if offline {
        return Ok(Err(Error::new(
            Kind::Network,
            format!(
                "{} was not asked for {}: --offline, and an earlier run kept no answer",
                index.name, entry.name
            ),
        )
        .help("run once without --offline, with the same lock and cache, or add --find-links")));
    }
    let url = page_url(&index, &entry.name);
    let ask = || {
        session.progress.request(&url);
        if entry.hashes.sha256.is_empty() {
            session.client.page_of_unpinned(&url, &index.url)
        } else {
            session.client.page(&url, &index.url)
        }
    };
    // What is pinned may come from elsewhere, what is not may not: two questions.
    let pages = session.pages.as_ref().filter(|_| !entry.hashes.sha256.is_empty());
    let answer = match pages {
        Some(pages) => pages.get(&url, &index.url, ask),
        None => ask().map(Arc::new),
    };
    Ok(match &*answer? {
        Answer::Page(page) => {
            let mut files = parse_page_for(request, page.content_type.as_deref(), &page.body, &page.url)?;
            if let Some(known) = known {
                fill_digests(&mut files, &known.files);
            }
            Ok(Listing { source: Some(index), files, remembered: false })
        }
        Answer::NotFound(error) => Err(error.again()),
    })
}

fn selection_key<'a>(
    session: &'a Session<'_>,
    entry: &'a Entry,
    source: &'a SourceUrl,
    pin: &'a str,
) -> SelectionKey<'a> {
    let concealed = session.request.common.env.concealed();
    SelectionKey { source, concealed, name: &entry.name, pin, hashes: &entry.hashes }
}

/// Keeps an index's answer. It saves work and nothing else: a disk that is full is no reason to stop here.
fn remember(session: &Session<'_>, entry: &Entry, listing: &Listing) {
    let asked = !listing.remembered && entry.files.is_empty();
    let Some(index) = listing.source.as_ref().filter(|_| asked) else { return };
    let pin = entry.pin.to_string();
    let key = selection_key(session, entry, &index.url, &pin);
    if key.keep(&session.cache, &listing.files).is_err() {
        let warning = "the cache cannot keep the index's answers: a run with --offline may miss them";
        session.progress.warn(warning);
    }
}

/// Fetches files that an index lists without a digest, in order, until one is among the lock's.
fn digest(
    session: &Session<'_>,
    entry: &Entry,
    wanted: &[IndexFile],
    listings: &mut [Listing],
) -> Result<()> {
    for file in wanted {
        let listing = listings.iter_mut().find(|listing| listing.files.iter().any(|f| f.url == file.url));
        let Some(listing) = listing else { continue };
        let via = listing.source.as_ref().map(|index| &index.url);
        let mut pending = session.cache.begin(&file.filename)?;
        session.fetch(&file.url, via, file.size, &mut pending)?;
        let digest = pending.sha256();
        for known in listing.files.iter_mut().filter(|known| known.url == file.url) {
            known.sha256 = Some(digest);
        }
        if entry.hashes.sha256.contains(&digest) {
            pending.commit(&entry.hashes.sha256)?;
            break;
        }
    }
    Ok(())
}
