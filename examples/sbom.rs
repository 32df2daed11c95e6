//! The bill of materials of a release's binary, written as those of images are: `.ci/release sbom` gives it cargo's metadata.
//!
//! usage: sbom cyclonedx|spdx CARGO.LOCK <METADATA.json

use std::io::{Read as _, Write as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(format), Some(lock)) = (words.next(), words.next()) else {
        return Err("usage: sbom cyclonedx|spdx CARGO.LOCK <METADATA.json".into());
    };
    let mut metadata = String::new();
    std::io::stdin().read_to_string(&mut metadata)?;
    let lock = std::fs::read_to_string(lock)?;
    let document = venvoy::inside::artifact::sbom::of_binary(&format, &metadata, &lock)?;
    std::io::stdout().write_all(&document)?;
    Ok(())
}
