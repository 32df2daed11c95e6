//! URLs in, bytes out: the only room that uses the network.

mod client;
mod download;
mod failure;
mod names;
mod options;
mod page;
mod tls;

pub use client::Client;
pub use download::Sink;
pub use options::{CaPaths, FetchOptions, Proxies};
pub use page::{Answer, Page};
