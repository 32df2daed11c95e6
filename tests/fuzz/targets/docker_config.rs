//! libFuzzer's bytes for the reader `docker_config`.
#![no_main]

venvoy_fuzz::target!("docker_config");
