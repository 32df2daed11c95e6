//! A registry of images (OCI distribution specification 1.1): blobs and manifests in and out. Stands on `http`, which has
//! TLS, proxies and retries; knows the challenges of registries and where `docker login` keeps what it was told.

mod access;
mod attach;
mod login;
mod pull;
mod push;
mod reference;
mod wheels;

pub(crate) use access::{Challenge, Registry, error_of, token_of};
pub(crate) use login::{Config, Login, Logins};
pub(crate) use push::{Upload, next_place};
pub(crate) use reference::Reference;
pub(crate) use wheels::{Wheels, record_of, shown as shown_repository};
