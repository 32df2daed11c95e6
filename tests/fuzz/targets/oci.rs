//! libFuzzer's bytes for the reader `oci`.
#![no_main]

venvoy_fuzz::target!("oci");
