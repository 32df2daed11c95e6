//! libFuzzer's bytes for the reader `wheel_file`.
#![no_main]

venvoy_fuzz::target!("wheel_file");
