//! Entry points and activators as text. Pure.

mod entry_point;

pub use entry_point::{LauncherStyle, launcher, rewrite_script};
