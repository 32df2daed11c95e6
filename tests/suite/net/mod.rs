//! The HTTP client, its credentials and certificates, without the command.

mod auth;
mod download;
mod indexes;
mod tls;
