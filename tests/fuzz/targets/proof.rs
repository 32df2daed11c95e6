//! libFuzzer's bytes for the reader `proof`.
#![no_main]

venvoy_fuzz::target!("proof");
