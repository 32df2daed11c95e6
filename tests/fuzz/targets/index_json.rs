//! libFuzzer's bytes for the reader `index_json`.
#![no_main]

venvoy_fuzz::target!("index_json");
