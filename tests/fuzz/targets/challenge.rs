//! libFuzzer's bytes for the reader `challenge`.
#![no_main]

venvoy_fuzz::target!("challenge");
