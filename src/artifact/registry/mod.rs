//! A registry of images (OCI distribution specification 1.1): blobs and manifests in and out. Stands on `http`, which has
//! TLS, proxies and retries; knows the challenges of registries and where `docker login` keeps what it was told.

mod access;
mod attach;
mod login;
mod pull;
mod push;
mod reference;
mod wheels;

pub(crate) use access::Registry;
pub(crate) use login::Logins;
pub(crate) use push::Upload;
pub(crate) use reference::Reference;
pub(crate) use wheels::{Wheels, shown as shown_repository};
