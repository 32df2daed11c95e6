//! Wheels and options in, a plan and its key out: all that artifacts have in common.

pub(crate) mod copies;
pub(crate) mod key;
pub(crate) mod prepare;
pub(crate) mod slim;

pub(crate) use prepare::Frame;
