//! URL, environment and netrc in, credentials per realm out.

mod ci;
mod files;
mod keyring;
mod netrc;
mod origin;
mod store;
#[cfg(test)]
mod tests;

pub use keyring::Keyring;
pub use netrc::{Entry, Netrc};
pub use origin::{CredentialOrigin, Found};
pub use store::{AuthOptions, CredentialStore, secret_variables};
