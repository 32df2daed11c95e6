//! The words everything else is said in: errors, types of the field, variables, arguments.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub mod error;
pub mod gather;
pub mod threads;
pub mod files;
pub mod interrupt;
pub mod vocab;
pub mod env;
pub mod choices;
pub mod args;
pub mod progress;
