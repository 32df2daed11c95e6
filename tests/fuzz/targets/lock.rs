//! libFuzzer's bytes for the reader `lock`.
#![no_main]

venvoy_fuzz::target!("lock");
