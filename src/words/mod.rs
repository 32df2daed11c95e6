//! What all other floors use: errors, types of the field, variables, arguments.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub(crate) mod error;
pub(crate) mod gather;
pub(crate) mod threads;
pub(crate) mod files;
pub(crate) mod interrupt;
pub(crate) mod vocab;
pub(crate) mod env;
pub(crate) mod secret_names;
pub(crate) mod choices;
pub(crate) mod args;
pub(crate) mod progress;
