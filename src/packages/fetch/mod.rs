//! What is had over the network: pages of indexes, and files.

mod download;
mod page;

pub use download::Sink;
pub use page::{Answer, Page};
