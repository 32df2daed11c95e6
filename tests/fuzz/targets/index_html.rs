//! libFuzzer's bytes for the reader `index_html`.
#![no_main]

venvoy_fuzz::target!("index_html");
