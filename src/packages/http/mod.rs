//! Requests and answers: TLS, proxies, redirects, credentials, retries. The only room that uses the network.

pub(crate) mod client;
pub(crate) mod failure;
mod names;
mod options;
mod tls;

pub use client::Client;
pub use options::{CaPaths, FetchOptions, Proxies};
