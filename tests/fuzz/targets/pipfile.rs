//! libFuzzer's bytes for the reader `pipfile`.
#![no_main]

venvoy_fuzz::target!("pipfile");
