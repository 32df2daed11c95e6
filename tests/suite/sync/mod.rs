//! The command: what it makes, what it says, what it survives.

mod bad_index;
mod bad_lock;
mod cache;
mod change;
mod compile;
mod copies;
mod hello;
mod interpreters;
mod local;
mod moved;
mod owners;
mod robust;
mod settings;
mod slim;
mod source;
mod system;
mod terminal;
mod unisolated;
