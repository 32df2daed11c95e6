//! libFuzzer's bytes for the reader `journal`.
#![no_main]

venvoy_fuzz::target!("journal");
