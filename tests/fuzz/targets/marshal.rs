//! libFuzzer's bytes for the reader `marshal`.
#![no_main]

venvoy_fuzz::target!("marshal");
