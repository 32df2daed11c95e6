//! Requests to servers: TLS, proxies, redirects, credentials, tries. The only room that uses the network.

mod client;
mod contact;
mod failure;
mod hop;
mod lanes;
mod names;
mod options;
mod pace;
mod reply;
mod request;
mod room;
mod servers;
#[cfg(test)]
mod tests;
mod tls;

pub use client::Client;
pub(crate) use failure::{Failure, Tries};
pub(crate) use lanes::Lane;
pub use options::{CaPaths, FetchOptions, Proxies};
pub(crate) use reply::{Outcome, Reply};
pub(crate) use request::{Body, Identity, Method, Redirects, Request, header_value};
pub(crate) use room::{Held, Room, SMALL};
