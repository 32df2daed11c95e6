//! libFuzzer's bytes for the reader `marker`.
#![no_main]

venvoy_fuzz::target!("marker");
