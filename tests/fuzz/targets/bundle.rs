//! libFuzzer's bytes for the reader `bundle`.
#![no_main]

venvoy_fuzz::target!("bundle");
