//! Environment markers (PEP 508) with the semantics of `packaging`.

/// A parsed marker expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(pub(crate) String);
