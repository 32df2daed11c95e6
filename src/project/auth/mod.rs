//! URL, environment and netrc in, credentials per realm out.

mod ci;
mod files;
mod keyring;
mod netrc;
mod origin;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use keyring::Keyring;
pub(crate) use netrc::Netrc;
pub(crate) use origin::{CredentialOrigin, Found};
pub use store::{AuthOptions, CredentialStore};
