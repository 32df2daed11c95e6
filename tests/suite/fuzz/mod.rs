//! Bytes thrown at every reader of what somebody else wrote: seeds, and what becomes of them by edits that a fixed
//! number decides. The same readers are given to libFuzzer by `tests/fuzz`, whose README says how to run it for long.
//!
//! VENVOY_FUZZ_CASES is how many are made for each reader, VENVOY_FUZZ_SEED what decides them, and
//! VENVOY_FUZZ_CORPUS a directory with one directory for each reader: seeds are put there, and what is there is read, too.

mod edits;
mod references;
mod seeds;

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use venvoy::fuzzing::{READERS, Reader};

use crate::support::{files, package::sha256};

fn number(variable: &str, otherwise: u32) -> u32 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// What decides all that looks random here.
fn runner(of: &str) -> TestRunner {
    let seed = format!("{of} {}", number("VENVOY_FUZZ_SEED", 0));
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&sha256(seed.as_bytes()).as_bytes()[..32]);
    let config = Config {
        cases: number("VENVOY_FUZZ_CASES", 150),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Inputs that once went wrong.
fn crashes(reader: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/crashes").join(reader);
    if !dir.is_dir() {
        return Vec::new();
    }
    files::below(&dir).iter().map(|path| fs::read(path).expect("a crash")).collect()
}

/// What a fuzzer found for a reader, after the seeds are put there.
fn found(reader: &str, seeds: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let Some(top) = std::env::var_os("VENVOY_FUZZ_CORPUS") else { return Vec::new() };
    let dir = PathBuf::from(top).join(reader);
    fs::create_dir_all(&dir).expect("the corpus");
    for seed in seeds {
        fs::write(dir.join(&sha256(seed)[..16]), seed).expect("a seed");
    }
    files::below(&dir).iter().map(|path| fs::read(path).expect("a found input")).collect()
}

fn throw_at(reader: Reader) {
    let mut inputs = seeds::of(reader.name);
    assert!(!inputs.is_empty(), "{} has no seed", reader.name);
    let taken = inputs.iter().filter(|input| reader.read(input).is_ok()).count();
    assert!(taken > 0, "{} takes none of its seeds: {:?}", reader.name, reader.read(&inputs[0]));
    inputs.extend(crashes(reader.name));
    let more = found(reader.name, &inputs);
    inputs.extend(more);
    for input in &inputs {
        let _ = reader.read(input);
    }
    let outcome = runner(reader.name).run(&edits::of(inputs), |input| {
        let _ = reader.read(&input);
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => {
            panic!("{}: {why}\nbytes: {}", reader.name, input.escape_ascii())
        }
        Err(TestError::Abort(why)) => panic!("{}: {why}", reader.name),
    }
}

/// A test for each floor's readers, so that they run side by side.
fn throw_at_all(names: &[&str]) {
    for name in names {
        let reader = READERS.iter().find(|reader| reader.name == *name);
        throw_at(*reader.unwrap_or_else(|| panic!("there is no reader {name}")));
    }
}

const WORDS: [&str; 4] = ["marker", "specifier", "wheel_name", "url"];
const PROJECT: [&str; 5] = ["lock", "pipfile", "pylock", "dotenv", "netrc"];
const INDEX: [&str; 2] = ["index_html", "index_json"];
const WHEELS: [&str; 6] = ["wheel", "record", "metadata", "wheel_file", "entry_points", "deflate"];
const SDISTS: [&str; 2] = ["sdist_tar", "sdist_zip"];
const ENVIRONMENT: [&str; 4] = ["requirement", "manifest", "elf", "marshal"];
const ARTIFACTS: [&str; 3] = ["journal", "oci", "layout"];
const REGISTRIES: [&str; 3] = ["challenge", "registry_answer", "docker_config"];
const CACHES: [&str; 4] = ["selection", "ledger", "proof", "bundle"];

#[test]
fn words_take_any_bytes() {
    throw_at_all(&WORDS);
}

#[test]
fn files_of_a_project_may_be_any_bytes() {
    throw_at_all(&PROJECT);
}

#[test]
fn pages_of_an_index_may_be_any_bytes() {
    throw_at_all(&INDEX);
}

#[test]
fn wheels_may_be_any_bytes() {
    throw_at_all(&WHEELS);
}

#[test]
fn source_distributions_may_be_any_bytes() {
    throw_at_all(&SDISTS);
}

#[test]
fn files_of_an_environment_may_be_any_bytes() {
    throw_at_all(&ENVIRONMENT);
}

#[test]
fn journals_and_images_may_be_any_bytes() {
    throw_at_all(&ARTIFACTS);
}

#[test]
fn registries_and_files_of_logins_may_be_any_bytes() {
    throw_at_all(&REGISTRIES);
}

#[test]
fn a_cache_may_hold_any_bytes() {
    throw_at_all(&CACHES);
}

#[test]
fn every_reader_is_thrown_at_here_and_by_libfuzzer() {
    let mut here: Vec<&str> =
        [&WORDS[..], &PROJECT, &INDEX, &WHEELS, &SDISTS, &ENVIRONMENT, &ARTIFACTS, &REGISTRIES, &CACHES]
            .concat();
    here.sort_unstable();
    let mut names: Vec<&str> = READERS.iter().map(|reader| reader.name).collect();
    names.sort_unstable();
    assert_eq!(here, names);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let targets = files::names(&fuzz.join("targets"));
    let targets: Vec<&str> = targets.iter().filter_map(|file| file.strip_suffix(".rs")).collect();
    assert_eq!(targets, names, "tests/fuzz/targets");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("Cargo.toml");
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"\n")), "{name}");
        let text = fs::read_to_string(fuzz.join("targets").join(format!("{name}.rs"))).expect("a target");
        assert!(text.contains(&format!("venvoy_fuzz::target!(\"{name}\");")), "{name}: {text}");
    }
}
