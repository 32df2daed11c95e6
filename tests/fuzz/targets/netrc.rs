//! libFuzzer's bytes for the reader `netrc`.
#![no_main]

venvoy_fuzz::target!("netrc");
