//! Index pages and files: what is asked for, how much of it is held, and over how many connections it comes.

mod file;
mod page;
mod parts;

pub use file::Sink;
pub use page::{Answer, Page};
