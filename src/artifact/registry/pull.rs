//! Blobs and manifests out of a repository.

use std::io::{self, Read};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use sha2::Digest as _;

use super::{
    access::{LIMIT, Registry, Right},
    push::DIGEST,
};
use crate::{
    packages::http::{Reply, Request},
    words::{
        error::{Context as _, Error, Kind, Result},
        vocab::Sha256,
    },
};

/// All that a base may be: what is not in here is converted by some registries, into what it is not.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A manifest as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Of what type the registry says it is.
    pub media_type: Option<String>,
}

impl Registry<'_> {
    /// A manifest by tag or digest (`sha256:...`); `None` where there is none.
    ///
    /// # Errors
    /// [`Kind::Integrity`] where it is another than was asked for.
    pub(crate) fn manifest(&self, name: &str) -> Result<Option<Manifest>> {
        let what = || format!("cannot read the manifest {name} of {}", self.reference);
        let url = self.reference.url(&format!("manifests/{name}"))?;
        let request = Request::get(&url).header(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let mut reply = self.ask(&request, Right::Pull).context(what)?;
        match reply.status() {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(reply).context(what())),
        }
        let header = |name| reply.header(name).map(str::to_owned);
        let (media_type, said) = (header(&CONTENT_TYPE), header(&DIGEST));
        let bytes = reply.bytes(LIMIT).map_err(|failure| failure.into_error().context(what()))?;
        let got = format!("sha256:{}", Sha256::of(&bytes));
        let expected = if name.starts_with("sha256:") {
            Some(name.to_owned())
        } else {
            said.filter(|said| said.starts_with("sha256:"))
        };
        if let Some(expected) = expected.filter(|expected| *expected != got) {
            return Err(self.lied(&got, &expected).context(what()));
        }
        let media_type = media_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        Ok(Some(Manifest { bytes, media_type }))
    }

    /// The bytes of a blob that is small, such as a config.
    ///
    /// # Errors
    /// [`Kind::Integrity`] where it is not what was asked for.
    pub(crate) fn blob(&self, digest: &Sha256) -> Result<Vec<u8>> {
        let what = || format!("cannot read the blob sha256:{digest} of {}", self.reference);
        let mut reply = self.get(digest).context(what)?;
        let bytes = reply.bytes(LIMIT).map_err(|failure| failure.into_error().context(what()))?;
        let got = Sha256::of(&bytes);
        if got == *digest {
            return Ok(bytes);
        }
        Err(self.lied(&format!("sha256:{got}"), &format!("sha256:{digest}")).context(what()))
    }

    /// The bytes of a blob as they come. What is not `size` bytes of that digest ends in an error instead of its end.
    pub(crate) fn open_blob(&self, digest: &Sha256, size: u64) -> Result<Box<dyn Read + Send>> {
        let reply = self
            .get(digest)
            .context(|| format!("cannot read the blob sha256:{digest} of {}", self.reference))?;
        let host = self.reference.host.clone();
        Ok(Box::new(Checked { reply, host, digest: sha2::Sha256::new(), expected: *digest, left: size }))
    }

    /// A blob as it comes, not compared with its digest; `None` where there is none.
    pub(super) fn find_blob(&self, digest: &Sha256) -> Result<Option<Reply>> {
        let url = self.reference.url(&format!("blobs/sha256:{digest}"))?;
        let reply = self.ask(&Request::get(&url), Right::Pull)?;
        match reply.status() {
            200 => Ok(Some(reply)),
            404 => Ok(None),
            _ => Err(self.refused(reply)),
        }
    }

    fn get(&self, digest: &Sha256) -> Result<Reply> {
        let url = self.reference.url(&format!("blobs/sha256:{digest}"))?;
        let reply = self.ask(&Request::get(&url), Right::Pull)?;
        if reply.status() == 200 { Ok(reply) } else { Err(self.refused(reply)) }
    }

    fn lied(&self, got: &str, expected: &str) -> Error {
        Error::new(Kind::Integrity, format!("{} gave {got}, expected {expected}", self.reference.host))
            .help("the registry, or something on the way to it, is damaged: nothing of this was used")
    }
}

/// A blob on its way, digested.
struct Checked {
    reply: Reply,
    host: String,
    digest: sha2::Sha256,
    expected: Sha256,
    left: u64,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self
            .reply
            .read(buffer)
            .map_err(|failure| io::Error::other(failure.into_error().in_one_line()))?;
        self.digest.update(&buffer[..count]);
        let whole = self.left.checked_sub(count as u64);
        self.left = whole.unwrap_or(0);
        let wrong = |what: String| Err(io::Error::other(what));
        match whole {
            None => wrong(format!("{} gave more bytes of sha256:{} than it has", self.host, self.expected)),
            Some(left) if count == 0 && left > 0 => {
                wrong(format!("{} left out the last {left} bytes of sha256:{}", self.host, self.expected))
            }
            // Before the last bytes are handed on: who has as many as there are asks for no more.
            Some(0) if count > 0 => {
                let got = Sha256(self.digest.clone().finalize().into());
                if got == self.expected {
                    Ok(count)
                } else {
                    wrong(format!("{} gave sha256:{got}, expected sha256:{}", self.host, self.expected))
                }
            }
            Some(_) => Ok(count),
        }
    }
}
