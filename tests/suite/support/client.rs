//! An HTTP client without the command, and downloads kept in memory.

use std::{io, time::Duration};

use url::Url;
use venvoy::inside::{
    packages::{
        fetch::Sink,
        http::{Client, FetchOptions},
    },
    project::auth::{AuthOptions, CredentialStore},
    words::{error::Result, vocab::SourceUrl},
};

/// A download kept in memory.
#[derive(Default)]
pub struct Memory {
    pub bytes: Vec<u8>,
    pub resets: usize,
}

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Memory {
    fn received(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn reset(&mut self) -> Result<()> {
        self.bytes.clear();
        self.resets += 1;
        Ok(())
    }
}

/// Options with short pauses and the patience for a busy machine, on which a second try is one request more than a test
/// expects; and without the machine's own settings.
pub fn quick() -> FetchOptions {
    FetchOptions {
        backoff: Duration::from_millis(1),
        read_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(30),
        retries: 3,
        ..FetchOptions::default()
    }
}

/// No credentials from anywhere but the sources.
pub fn no_credentials() -> AuthOptions {
    AuthOptions { secret_netrc: None, ..AuthOptions::default() }
}

/// A client with these options that knows these sources.
pub fn client(options: FetchOptions, auth: AuthOptions, sources: &[&SourceUrl]) -> Client<'static> {
    let mut store = CredentialStore::new(auth).expect("a store");
    for source in sources {
        store.register_source(None, source);
    }
    Client::new(options, store).expect("a client")
}

/// A client without credentials.
pub fn anonymous() -> Client<'static> {
    client(quick(), no_credentials(), &[])
}

pub fn url(text: &str) -> Url {
    Url::parse(text).expect(text)
}

pub fn source(text: &str) -> SourceUrl {
    text.parse().expect(text)
}

/// Downloads `url` into memory.
pub fn download(client: &Client, url: &Url) -> Result<Memory> {
    let mut sink = Memory::default();
    client.download(url, None, &mut sink, &|_| {})?;
    Ok(sink)
}
