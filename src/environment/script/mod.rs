//! Entry points and activators as text. Pure.

mod entry_point;
mod environment;
mod versioned;

pub(crate) use entry_point::rewrite_script_at;
pub use entry_point::{LauncherStyle, launcher, rewrite_script};
pub(crate) use environment::{EnvFile, EnvLink};
pub use environment::{Place, environment};
pub(crate) use versioned::versioned;
