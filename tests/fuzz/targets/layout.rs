//! libFuzzer's bytes for the reader `layout`.
#![no_main]

venvoy_fuzz::target!("layout");
