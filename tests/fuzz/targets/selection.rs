//! libFuzzer's bytes for the reader `selection`.
#![no_main]

venvoy_fuzz::target!("selection");
