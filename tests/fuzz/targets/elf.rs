//! libFuzzer's bytes for the reader `elf`.
#![no_main]

venvoy_fuzz::target!("elf");
