//! libFuzzer's bytes for the reader `sdist_zip`.
#![no_main]

venvoy_fuzz::target!("sdist_zip");
