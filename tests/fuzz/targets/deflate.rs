//! libFuzzer's bytes for the reader `deflate`.
#![no_main]

venvoy_fuzz::target!("deflate");
