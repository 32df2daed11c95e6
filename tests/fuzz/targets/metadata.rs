//! libFuzzer's bytes for the reader `metadata`.
#![no_main]

venvoy_fuzz::target!("metadata");
