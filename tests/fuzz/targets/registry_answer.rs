//! libFuzzer's bytes for the reader `registry_answer`.
#![no_main]

venvoy_fuzz::target!("registry_answer");
