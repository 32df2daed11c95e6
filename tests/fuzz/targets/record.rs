//! libFuzzer's bytes for the reader `record`.
#![no_main]

venvoy_fuzz::target!("record");
