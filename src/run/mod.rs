//! What calls the floors above in order: options, inputs, supply, assembly, the commands and the command line.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub(crate) mod options;
pub(crate) mod inputs;
pub(crate) mod supply;
pub(crate) mod assemble;
pub(crate) mod page;
pub(crate) mod size;
pub(crate) mod timings;
pub(crate) mod commands;
pub(crate) mod cli;
