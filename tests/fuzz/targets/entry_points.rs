//! libFuzzer's bytes for the reader `entry_points`.
#![no_main]

venvoy_fuzz::target!("entry_points");
