//! libFuzzer's bytes for the reader `manifest`.
#![no_main]

venvoy_fuzz::target!("manifest");
