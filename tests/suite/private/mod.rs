//! The command with private indexes: logins, certificates, what must not leak, whom it must not ask.

mod auth;
mod canary;
mod confusion;
mod indexes;
mod servers;
mod tls;
