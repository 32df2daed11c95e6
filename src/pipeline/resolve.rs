//! Which file an entry is installed from.

use super::{
    session::Session,
    sources::{Index, page_url},
};
use crate::{
    cache::{SelectionKey, digest_of},
    error::{Error, Kind, Result},
    fetch::Answer,
    index::{self, Choice, IndexFile, SdistName, choose, explains, fill_digests, parse_page},
    lock::{Entry, Origin, Pin},
    vocab::WheelName,
};

/// What an entry is installed from.
#[derive(Debug)]
pub enum What {
    /// A wheel of an index or find-links.
    Wheel(IndexFile, Box<WheelName>),
    /// A source distribution of an index or find-links.
    Sdist(IndexFile, SdistName),
    /// What the entry itself says: a repository, a URL, a path.
    Direct,
}

/// An entry whose file is known.
#[derive(Debug)]
pub struct Resolved {
    /// What it is installed from.
    pub what: What,
    /// The index that listed the file.
    pub source: Option<Index>,
    /// Whether that was read from a record rather than from the index.
    pub remembered: bool,
}

impl Resolved {
    /// The file, where there is one to fetch from an index.
    pub fn file(&self) -> Option<&IndexFile> {
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
pub enum Records {
    /// A complete record stands for the index.
    Trust,
    /// Ask the index: what a record said turned out not to be there any more.
    Ignore,
}

/// Finds the file for an entry. Which one it is depends on lock, target and the answers of find-links and
/// index only; a complete record answers as the index would.
pub fn resolve(session: &Session<'_>, entry: &Entry, records: Records) -> Result<Resolved> {
    check_digests(session, entry)?;
    if entry.origin != Origin::Index {
        return Ok(Resolved { what: What::Direct, source: None, remembered: false });
    }
    let build = &session.request.build;
    let request = index::Request {
        name: &entry.name,
        pin: &entry.pin,
        hashes: &entry.hashes,
        no_binary: entry.no_binary || build.no_binary.contains(&entry.name),
        only_binary: build.only_binary.contains(&entry.name),
        allow_unhashed: session.request.index.allow_unhashed,
    };
    let mut listings = vec![linked(session, entry)?];
    let mut missing = None;
    let settled = |listings: &[Listing]| {
        let all: Vec<IndexFile> = listings.iter().flat_map(|listing| listing.files.clone()).collect();
        explains(&all, &entry.hashes)
    };
    if !session.request.index.no_index && !settled(&listings) {
        for index in session.sources.of(entry)? {
            match ask(session, entry, index, records)? {
                Ok(listing) => listings.push(listing),
                Err(error) => drop(missing.get_or_insert(error)),
            }
            if settled(&listings) {
                break;
            }
        }
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
            remember(session, entry, listing)?;
        }
        let from = listings.into_iter().find(|listing| listing.files.iter().any(|file| file.url == url));
        let (source, remembered) = from.map_or((None, false), |from| (from.source, from.remembered));
        return Ok(Resolved { what, source, remembered });
    }
}

/// A lock without digests pins nothing: whoever answers decides what is installed. Repositories and local
/// directories have none in any lock.
pub fn check_digests(session: &Session<'_>, entry: &Entry) -> Result<()> {
    let needed = matches!(entry.origin, Origin::Index | Origin::Url(_));
    if !needed || !entry.hashes.sha256.is_empty() || session.request.index.allow_unhashed {
        return Ok(());
    }
    let other = entry.hashes.other.join(", ");
    let got = if other.is_empty() { "no hashes".to_owned() } else { format!("only {other}") };
    Err(Error::new(Kind::Lock, format!("the lock has {got} for it; expected sha256 digests"))
        .help("lock again with a current pipenv, or pass --allow-unhashed to take whatever the index serves"))
}

/// What find-links has, with digests: the files are here, so they are read.
fn linked(session: &Session<'_>, entry: &Entry) -> Result<Listing> {
    let mut files = session.linked(&entry.name);
    for file in files.iter_mut().filter(|file| file.sha256.is_none()) {
        if let Ok(path) = file.url.to_file_path() {
            file.sha256 = Some(digest_of(&path)?);
        }
    }
    Ok(Listing { source: None, files, remembered: false })
}

/// What an index has; the inner error says that it does not have the package.
fn ask(
    session: &Session<'_>,
    entry: &Entry,
    index: Index,
    records: Records,
) -> Result<Result<Listing, Error>> {
    let pin = pin_text(&entry.pin);
    let key = SelectionKey { source: &index.url, name: &entry.name, pin: &pin, hashes: &entry.hashes };
    let known = session.cache.selection(&key);
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
    session.progress.request(&url);
    Ok(match session.client.page(&url, &index.url)? {
        Answer::Page(page) => {
            let mut files = parse_page(page.content_type.as_deref(), &page.body, &page.url)?;
            if let Some(known) = known {
                fill_digests(&mut files, &known.files);
            }
            Ok(Listing { source: Some(index), files, remembered: false })
        }
        Answer::NotFound(error) => Err(error),
    })
}

fn remember(session: &Session<'_>, entry: &Entry, listing: &Listing) -> Result<()> {
    let Some(index) = listing.source.as_ref().filter(|_| !listing.remembered) else { return Ok(()) };
    let pin = pin_text(&entry.pin);
    let key = SelectionKey { source: &index.url, name: &entry.name, pin: &pin, hashes: &entry.hashes };
    session.cache.store_selection(&key, &listing.files)
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

/// The pin as one text, for keys and messages.
pub fn pin_text(pin: &Pin) -> String {
    match pin {
        Pin::Exact(version) => format!("=={version}"),
        Pin::Arbitrary(text) => format!("==={text}"),
        Pin::Range(specifiers) => specifiers.to_string(),
        Pin::Any => "*".to_owned(),
    }
}
