//! libFuzzer's bytes for the reader `specifier`.
#![no_main]

venvoy_fuzz::target!("specifier");
