//! libFuzzer's bytes for the reader `dotenv`.
#![no_main]

venvoy_fuzz::target!("dotenv");
