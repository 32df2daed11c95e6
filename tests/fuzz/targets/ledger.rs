//! libFuzzer's bytes for the reader `ledger`.
#![no_main]

venvoy_fuzz::target!("ledger");
