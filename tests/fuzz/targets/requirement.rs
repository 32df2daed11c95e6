//! libFuzzer's bytes for the reader `requirement`.
#![no_main]

venvoy_fuzz::target!("requirement");
