//! libFuzzer's bytes for the reader `url`.
#![no_main]

venvoy_fuzz::target!("url");
