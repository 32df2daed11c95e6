//! Entry points and activators as text. Pure.

mod environment;

pub use environment::{EnvFile, EnvLink, Environment, Place, environment};
