//! A registry of images (OCI distribution specification 1.1): blobs and manifests in and out. Stands on `http`, which has
//! TLS, proxies and retries; knows the challenges of registries and where `docker login` keeps what it was told.

mod access;
mod attach;
mod login;
mod pull;
mod push;
mod reference;

pub use access::Registry;
pub use login::Logins;
pub use pull::Manifest;
pub use push::{Open, Upload};
pub use reference::Reference;
