//! Entry points and activators as text. Pure.

mod entry_point;
mod environment;

pub use entry_point::{LauncherStyle, launcher, rewrite_script};
pub use environment::{EnvFile, EnvLink, Environment, Place, environment};
