//! What `--slim` leaves out of an environment, decided from paths and from what the code mentions. Pure.
//!
//! Each kind is careful in its own way, so that what is left still imports:
//!
//! - a test package stays if code outside of it imports or names it (`django.test`, `astropy.tests`);
//! - bytecode goes only where its source stays;
//! - a stub goes only where the module that it describes is beside it (those of a type checker's own typeshed
//!   are its data), and unless that module reads it (`lazy_loader.attach_stub`);
//! - a README goes unless the distribution's code names it;
//! - `.dist-info` and licences always stay.

mod mentions;
mod names;
mod survey;
#[cfg(test)]
mod tests;

use super::{Slim, SlimKind};
pub(crate) use mentions::Mentions;
pub(crate) use names::{is_doc, is_header, is_shared_object};
pub(crate) use survey::{Reading, Survey};

/// What is left out of one distribution. The default leaves out nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// By position in `Wheel::entries`; empty where nothing is dropped.
    pub dropped: Vec<Option<SlimKind>>,
    /// Whether its shared objects are stripped.
    pub strip: bool,
}

impl Cut {
    /// As what an entry is dropped, if it is.
    pub(crate) fn drops(&self, entry: usize) -> Option<SlimKind> {
        self.dropped.get(entry).copied().flatten()
    }
}
