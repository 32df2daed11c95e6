//! libFuzzer's bytes for the reader `pylock`.
#![no_main]

venvoy_fuzz::target!("pylock");
