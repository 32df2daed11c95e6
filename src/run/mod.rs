//! Who conducts: options, inputs, supply, assembly, the commands and the command line.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub mod options;
pub mod inputs;
pub mod supply;
pub mod assemble;
pub mod size;
pub mod timings;
pub mod commands;
pub mod cli;
