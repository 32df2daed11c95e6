//! Blobs and manifests into a repository.

use std::io::{self, Read};

use reqwest::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RANGE};
use url::Url;

use super::access::{Registry, Right};
use crate::{
    packages::http::{Body, Identity, Method, Redirects, Reply, Request, header_value},
    words::{
        error::{Context as _, Error, Kind, Result},
        interrupt,
        vocab::{Realm, Sha256},
    },
};

/// How often an upload that broke is begun anew.
const TRIES: u32 = 4;

/// What is sent in one request where all of a blob is too much (ghcr takes no more than this).
const SMALL_PIECE: u64 = 4 << 20;

/// The digest of what a registry has, as it says itself.
pub(super) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Opens what is uploaded, at its beginning.
pub(crate) type Open<'a> = &'a (dyn Fn() -> io::Result<Box<dyn Read + Send>> + Sync);

/// How a blob got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    /// It was there.
    Known,
    /// Another repository of the registry had it.
    Mounted,
    /// It was sent.
    Sent,
}

/// How one try ended that did not fail.
enum Tried {
    Done,
    /// The registry does not take this much at once.
    Smaller(u64),
}

impl Registry<'_> {
    /// Sends a blob unless it is there; `from` names a repository of the same registry that has it.
    ///
    /// # Errors
    /// Whatever the registry says against it; [`Kind::Integrity`] where it says it has something else.
    pub(crate) fn push_blob(
        &self,
        digest: &Sha256,
        size: u64,
        from: Option<&str>,
        open: Open<'_>,
    ) -> Result<Upload> {
        let what = || format!("cannot push the blob sha256:{digest} to {}", self.reference);
        if self.has_blob(digest).context(what)? {
            return Ok(Upload::Known);
        }
        let mut begun = match from {
            Some(from) => match self.mount(digest, from).context(what)? {
                Mount::Done => return Ok(Upload::Mounted),
                Mount::Begun(to) => Some(to),
                Mount::Refused => None,
            },
            None => None,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            interrupt::check()?;
            let piece = *self.piece.lock();
            match self.upload(digest, size, begun.take(), piece, open) {
                Ok(Tried::Done) => return Ok(Upload::Sent),
                // Each time less: this ends.
                Ok(Tried::Smaller(less)) => *self.piece.lock() = Some(less),
                Err(error) if error.kind() == Kind::Network && tries < TRIES => {}
                Err(error) => return Err(error.context(what())),
            }
        }
    }

    /// Whether the repository has a blob. How long it is need not be said, and storage elsewhere need not be asked.
    pub(crate) fn has_blob(&self, digest: &Sha256) -> Result<bool> {
        let url = self.reference.url(&format!("blobs/sha256:{digest}"))?;
        let request = Request::new(Method::HEAD, &url).redirects(Redirects::Keep);
        let reply = self.ask(&request, Right::Push)?;
        match reply.status() {
            200..400 => self.compare(&reply, digest).map(|()| true),
            // Some answer no HEAD.
            404 | 405 => Ok(false),
            _ => Err(self.refused(reply)),
        }
    }

    /// Whether exactly this manifest stands under a name.
    pub(super) fn has_manifest(&self, name: &str, digest: &Sha256) -> Result<bool> {
        let url = self.reference.url(&format!("manifests/{name}"))?;
        let accept = HeaderValue::from_static("application/vnd.oci.image.manifest.v1+json");
        let request = Request::new(Method::HEAD, &url).header(ACCEPT, accept);
        let reply = self.ask(&request, Right::Push)?;
        match reply.status() {
            200..300 => Ok(reply.header(&DIGEST) == Some(&format!("sha256:{digest}"))),
            404 | 405 => Ok(false),
            _ => Err(self.refused(reply)),
        }
    }

    /// What the registry says it has must be what was asked for.
    fn compare(&self, reply: &Reply, digest: &Sha256) -> Result<()> {
        let expected = format!("sha256:{digest}");
        match reply.header(&DIGEST) {
            Some(got) if got != expected => Err(Error::new(
                Kind::Integrity,
                format!("{} says that it stored {got}, expected {expected}", self.reference.host),
            )),
            _ => Ok(()),
        }
    }

    /// Asks for a blob of another repository. That is a favour: whatever the answer is but "done", it can be sent.
    fn mount(&self, digest: &Sha256, from: &str) -> Result<Mount> {
        let mut url = self.reference.url("blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &format!("sha256:{digest}")).append_pair("from", from);
        let reply = match self.ask(&Request::new(Method::POST, &url), Right::Mount(from)) {
            Ok(reply) => reply,
            // No token for both, or a server that fails at it.
            Err(error) if matches!(error.kind(), Kind::Auth | Kind::Network) => return Ok(Mount::Refused),
            Err(error) => return Err(error),
        };
        Ok(match reply.status() {
            201 => Mount::Done,
            202 => location(&reply).map_or(Mount::Refused, Mount::Begun),
            _ => Mount::Refused,
        })
    }

    /// One upload: a place is asked for unless one is given, and the blob sent there, in one piece unless the registry
    /// wants less at once.
    fn upload(
        &self,
        digest: &Sha256,
        size: u64,
        begun: Option<Url>,
        piece: Option<u64>,
        open: Open<'_>,
    ) -> Result<Tried> {
        let mut to = match begun {
            Some(to) => to,
            None => self.begin()?,
        };
        if let Some(piece) = piece {
            match self.patch(&to, size, piece, open)? {
                Ok(next) => to = next,
                Err(less) => return Ok(Tried::Smaller(less)),
            }
        }
        to.query_pairs_mut().append_pair("digest", &format!("sha256:{digest}"));
        let body = match piece {
            None => Body::Stream { open, length: size },
            Some(_) => Body::Empty,
        };
        let reply = self.store(Method::PUT, &to, body, None)?;
        match (reply.status(), piece) {
            (201 | 204, _) => self.compare(&reply, digest).map(|()| Tried::Done),
            // The place was forgotten, as after an upload that broke.
            (404 | 416, _) => Err(self.refused(reply).with_kind(Kind::Network)),
            // It does not take a body with PUT, or not so much of it.
            (400 | 405 | 411 | 415 | 501, None) => Ok(Tried::Smaller(u64::MAX)),
            (413, None) => Ok(Tried::Smaller(SMALL_PIECE)),
            _ => Err(self.refused(reply)),
        }
    }

    /// Asks for a place to send a blob to.
    fn begin(&self) -> Result<Url> {
        let url = self.reference.url("blobs/uploads/")?;
        let reply = self.ask(&Request::new(Method::POST, &url), Right::Push)?;
        if reply.status() != 202 {
            return Err(self.refused(reply));
        }
        location(&reply).ok_or_else(|| {
            Error::new(Kind::Network, format!("{} does not say where to send blobs", self.reference.host))
        })
    }

    /// Sends a blob in pieces, in order; says where it is to be finished, or how much less to send at once.
    #[allow(clippy::type_complexity, reason = "the inner says that another size is wanted")]
    fn patch(
        &self,
        to: &Url,
        size: u64,
        piece: u64,
        open: Open<'_>,
    ) -> Result<std::result::Result<Url, u64>> {
        let unreadable =
            |error: io::Error| Error::new(Kind::Io, "cannot read what is to be sent").because(error);
        let mut to = to.clone();
        let mut sent = 0;
        let mut reader = if piece < size { Some(open().map_err(unreadable)?) } else { None };
        let mut buffer = Vec::new();
        while sent < size {
            let length = piece.min(size - sent);
            let body = match &mut reader {
                None => Body::Stream { open, length },
                Some(reader) => {
                    buffer.clear();
                    reader.take(length).read_to_end(&mut buffer).map_err(unreadable)?;
                    Body::Bytes(&buffer)
                }
            };
            let end = sent + length - 1;
            let reply = self.store(Method::PATCH, &to, body, Some((sent, end)))?;
            match reply.status() {
                202 | 204 | 201 => {}
                413 if length > SMALL_PIECE => return Ok(Err(SMALL_PIECE)),
                404 | 416 => return Err(self.refused(reply).with_kind(Kind::Network)),
                _ => return Err(self.refused(reply)),
            }
            // Some kept the first piece alone and said so nowhere else.
            let kept = reply.header(&RANGE).and_then(|range| range.rsplit('-').next()?.parse::<u64>().ok());
            if let Some(kept) = kept.filter(|&kept| kept != end) {
                return Err(Error::new(
                    Kind::Network,
                    format!("{} kept the bytes up to {kept} of those up to {end}", self.reference.host),
                ));
            }
            to = location(&reply).unwrap_or(to);
            sent += length;
        }
        Ok(Ok(to))
    }

    /// Sends a part of a blob to where the registry said. Storage on another host has its permission in the URL, and gets
    /// none of ours.
    fn store(&self, method: Method, to: &Url, body: Body<'_>, range: Option<(u64, u64)>) -> Result<Reply> {
        let octets = HeaderValue::from_static("application/octet-stream");
        let mut request = Request::new(method, to).header(CONTENT_TYPE, octets).body(body);
        if let Some((first, last)) = range {
            request = request.header(CONTENT_RANGE, header_value(&format!("{first}-{last}"), "a range")?);
        }
        if Realm::of(to) == Realm::of(&self.reference.url("")?) {
            self.ask(&request, Right::Push)
        } else {
            self.send_as(&request, Identity::Anonymous)
        }
    }

    /// Sends a manifest under a name: a tag, or its digest (`sha256:...`).
    ///
    /// # Errors
    /// Whatever the registry says against it; [`Kind::Integrity`] where it says it has something else.
    pub(crate) fn push_manifest(&self, name: &str, manifest: &[u8], media_type: &str) -> Result<()> {
        let what = || format!("cannot push the manifest of {}", self.reference);
        self.put_manifest(name, manifest, media_type).map(drop).context(what)
    }

    /// Puts a manifest under a tag or digest; gives the answer's headers.
    ///
    /// # Errors
    /// Any other answer than success.
    pub(super) fn put_manifest(&self, name: &str, manifest: &[u8], media_type: &str) -> Result<Reply> {
        let url = self.reference.url(&format!("manifests/{name}"))?;
        let kind = header_value(media_type, "the manifest's type")?;
        let request = Request::new(Method::PUT, &url).header(CONTENT_TYPE, kind).body(Body::Bytes(manifest));
        let reply = self.ask(&request, Right::Push)?;
        if !matches!(reply.status(), 200..300) {
            return Err(self.refused(reply));
        }
        self.compare(&reply, &Sha256::of(manifest)).map(|()| reply)
    }
}

/// How the request for a mount ended.
enum Mount {
    Done,
    /// A place for an upload came instead.
    Begun(Url),
    Refused,
}

/// Where the registry says to go on, without a login in it: credentials that a server puts into a URL are not ours to
/// send.
fn location(reply: &Reply) -> Option<Url> {
    next_place(reply.url(), reply.header(&LOCATION)?)
}

/// See [`location`]: what `Location` means in an answer of `from`.
pub(crate) fn next_place(from: &Url, location: &str) -> Option<Url> {
    let mut url = from.join(location).ok()?;
    let _ = url.set_username("");
    let _ = url.set_password(None);
    // Not from https to where anyone on the way reads along.
    (matches!(url.scheme(), "http" | "https") && (from.scheme() == "http" || url.scheme() == "https"))
        .then_some(url)
}
