//! Verified files, selection records, built wheels and locks below one directory.

mod verified;

pub use verified::VerifiedFile;
