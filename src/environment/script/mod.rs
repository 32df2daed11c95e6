//! Entry points and activators as text. Pure.

mod entry_point;
mod environment;
mod versioned;

pub use entry_point::{LauncherStyle, launcher, rewrite_script, rewrite_script_at};
pub use environment::{EnvFile, EnvLink, Environment, Place, environment};
pub use versioned::versioned;
