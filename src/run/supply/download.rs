//! URLs into the cache, with the run's limits: offline, interruption, progress.

use std::{cell::Cell, io};

use url::Url;

use crate::{
    packages::{
        cache::{Pending, VerifiedFile},
        fetch::Sink,
    },
    words::{
        error::{Error, Kind, Result},
        interrupt,
        vocab::{Sha256, SourceUrl},
    },
};
use crate::{run::supply::session::Session, words::progress::Progress};

/// A file on its way into the cache that stops coming when the user interrupts, or when there is more of it
/// than the index said.
struct Arriving<'a> {
    pending: &'a mut Pending,
    size: Option<u64>,
    too_long: bool,
    progress: &'a dyn Progress,
    announced: bool,
}

impl io::Write for Arriving<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if interrupt::requested() {
            // Not `ErrorKind::Interrupted`, which means "try again" to everyone who writes.
            return Err(io::Error::other("interrupted"));
        }
        let after = self.pending.len().saturating_add(bytes.len() as u64);
        if self.size.is_some_and(|size| after > size) {
            self.too_long = true;
            return Err(io::Error::other("longer than it should be"));
        }
        self.pending.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pending.flush()
    }
}

impl Sink for Arriving<'_> {
    fn received(&self) -> u64 {
        self.pending.len()
    }

    fn reset(&mut self) -> Result<()> {
        self.pending.reset()
    }

    fn places(&mut self) -> Result<Option<std::fs::File>> {
        self.pending.places().map(Some)
    }

    fn join(&mut self, end: u64) -> io::Result<()> {
        if self.size.is_some_and(|size| end > size) {
            self.too_long = true;
            return Err(io::Error::other("longer than it should be"));
        }
        self.pending.join(end)
    }

    fn announced(&mut self, bytes: u64) {
        // What the index said was counted when the file was chosen.
        if self.size.is_none() && !self.announced {
            self.announced = true;
            self.progress.expect(bytes);
        }
    }
}

impl Session<'_> {
    /// Fetches a file that is not in the cache, without judging it. `size` is what the index said: where
    /// more comes than that, nobody waits for the end.
    pub(crate) fn fetch(
        &self,
        url: &Url,
        via: Option<&SourceUrl>,
        size: Option<u64>,
        pending: &mut Pending,
    ) -> Result<()> {
        interrupt::check()?;
        if self.request.index.offline && url.scheme() != "file" {
            let file = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
            return Err(Error::new(
                Kind::Network,
                format!("{file} is not in the cache, and --offline asks nobody"),
            )
            .help("run once without --offline, with the same cache, or add --find-links"));
        }
        self.progress.request(url);
        let furthest = Cell::new(0);
        let progress = |received: u64| {
            // What is fetched a second time is no progress.
            if let Some(more @ 1..) = received.checked_sub(furthest.get()) {
                furthest.set(received);
                self.progress.advance(more);
            }
        };
        let mut arriving =
            Arriving { pending, size, too_long: false, progress: self.progress, announced: false };
        let fetched = self.client.download(url, via, &mut arriving, &progress);
        interrupt::check()?;
        match size {
            Some(size) if arriving.too_long => {
                let file = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
                Err(Error::new(
                    Kind::Integrity,
                    format!("{file} is longer than the {size} bytes that the index gives for it"),
                )
                .help("whoever serves the file serves another one than the index lists: publish it again, or ask who runs the server"))
            }
            _ => fetched,
        }
    }

    /// The file with one of these digests, from the cache or else from `url`. The second value is how many
    /// bytes were fetched for it.
    pub(crate) fn verified(
        &self,
        url: &Url,
        via: Option<&SourceUrl>,
        file_name: &str,
        size: Option<u64>,
        expected: &[Sha256],
    ) -> Result<(VerifiedFile, u64)> {
        let found = self.cached_or_fetched(url, via, file_name, size, expected);
        self.tell();
        found
    }

    fn cached_or_fetched(
        &self,
        url: &Url,
        via: Option<&SourceUrl>,
        file_name: &str,
        size: Option<u64>,
        expected: &[Sha256],
    ) -> Result<(VerifiedFile, u64)> {
        let cached = expected.iter().find_map(|digest| self.cache.file(digest));
        if let Some(file) = cached {
            return Ok((file, 0));
        }
        if let [digest] = expected {
            let mut fetched = 0;
            let file = self.cache.file_or(digest, file_name, |pending| {
                self.fetch(url, via, size, pending)?;
                fetched = pending.len();
                Ok(())
            })?;
            return Ok((file, fetched));
        }
        let mut pending = self.cache.begin(file_name)?;
        self.fetch(url, via, size, &mut pending)?;
        let fetched = pending.len();
        // Without digests the user said that whatever comes is welcome (`--allow-unhashed`).
        let file = if expected.is_empty() { pending.commit_unpinned() } else { pending.commit(expected) }?;
        Ok((file, fetched))
    }

    /// The file of an entry for which the lock has no digest, and whose user said that this is fine. What came the first
    /// time is noted: another file at the same place is an error ever after. `stated` is what the index says.
    pub(crate) fn unpinned(
        &self,
        url: &Url,
        via: Option<&SourceUrl>,
        file_name: &str,
        size: Option<u64>,
        stated: Option<Sha256>,
    ) -> Result<(VerifiedFile, u64)> {
        let mut place = url.clone();
        // A signature in it is another one each time.
        place.set_query(None);
        let key = format!("unhashed {}", self.request.common.env.concealed().hide(place.as_str()));
        let note = self.cache.keyed("unhashed", &Sha256::of(key.as_bytes()));
        let noted = note.read().and_then(|text| String::from_utf8(text).ok()?.parse::<Sha256>().ok());
        let changed = |got: &str| {
            let expected = noted.map(|digest| digest.to_string()).unwrap_or_default();
            Error::new(
                Kind::Integrity,
                format!(
                    "{file_name} is not the file that came from there the first time\ngot {got}\nexpected \
                     sha256:{expected}"
                ),
            )
            .help("find out who changed it; if that was on purpose, write its digest into the lock")
        };
        if let (Some(noted), Some(stated)) = (noted, stated)
            && noted != stated
        {
            return Err(changed(&format!("sha256:{stated}")));
        }
        let expected: Vec<Sha256> = noted.or(stated).into_iter().collect();
        let (file, fetched) =
            self.verified(url, via, file_name, size, &expected).map_err(|error| {
                match (noted, error.kind()) {
                    (Some(_), Kind::Integrity) => changed("another one").because(error),
                    _ => error,
                }
            })?;
        if noted.is_none() {
            let digest = file.sha256();
            self.progress
                .warn(&format!("the lock has no hash for {file_name}: what came has sha256:{digest}"));
            note.publish(digest.to_string().as_bytes())?;
        }
        Ok((file, fetched))
    }
}
