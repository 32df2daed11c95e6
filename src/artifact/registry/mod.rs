//! A registry of images (OCI distribution specification 1.1): blobs and manifests out. Stands on `http`, which has TLS,
//! proxies and retries; knows the challenges of registries and where `docker login` keeps what it was told.

mod login;
mod push;
mod reference;

pub use login::Logins;
pub use push::{Registry, Upload};
pub use reference::Reference;
