//! libFuzzer's bytes for the reader `wheel_name`.
#![no_main]

venvoy_fuzz::target!("wheel_name");
