//! Source distributions, checkouts and local projects in, wheels out.
