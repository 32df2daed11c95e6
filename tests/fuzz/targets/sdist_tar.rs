//! libFuzzer's bytes for the reader `sdist_tar`.
#![no_main]

venvoy_fuzz::target!("sdist_tar");
