//! libFuzzer's bytes for the reader `wheel`.
#![no_main]

venvoy_fuzz::target!("wheel");
