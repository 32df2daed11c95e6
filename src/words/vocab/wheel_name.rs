//! Wheel file names (binary distribution format, PEP 427).

use std::{fmt, str::FromStr};

use super::{PackageName, Version};
use crate::words::error::{Error, Kind};

/// A build tag: a number, then any text; sorted first by number, then by text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildTag(pub u64, pub String);

/// A wheel's file name, parsed: `name-version(-build)?-python-abi-platform.whl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    /// The file name as the index or directory gives it.
    pub file_name: String,
    /// The distribution, normalised.
    pub name: PackageName,
    /// Its version, local part included.
    pub version: Version,
    /// The build tag, the tie breaker between wheels of equal tags.
    pub build: Option<BuildTag>,
    /// Python tags (`py2.py3` gives two).
    pub python: Vec<String>,
    /// ABI tags.
    pub abi: Vec<String>,
    /// Platform tags.
    pub platform: Vec<String>,
}

impl WheelName {
    /// The version as the file name spells it.
    pub fn written_version(&self) -> &str {
        self.file_name.split('-').nth(1).unwrap_or_default()
    }
}

impl FromStr for WheelName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| {
            Error::new(
                Kind::Integrity,
                format!(
                    "{text:?} is not a wheel's file name: {why}; expected NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl"
                ),
            )
        };
        if text.contains(['/', '\\']) {
            return Err(wrong("it contains a path separator".into()));
        }
        let stem = text.strip_suffix(".whl").ok_or_else(|| wrong("it does not end in .whl".into()))?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, python, abi, platform] => (name, version, None, [python, abi, platform]),
            [name, version, build, python, abi, platform] => {
                let digits = build.bytes().take_while(u8::is_ascii_digit).count();
                let number = build[..digits]
                    .parse()
                    .map_err(|_| wrong(format!("build tag {build:?} does not begin with a number")))?;
                (name, version, Some(BuildTag(number, build[digits..].to_owned())), [python, abi, platform])
            }
            _ => return Err(wrong(format!("it has {} parts", parts.len()))),
        };
        let split = |tags: &str| tags.split('.').map(str::to_ascii_lowercase).collect();
        Ok(WheelName {
            file_name: text.to_owned(),
            name: name.parse().map_err(|_| wrong(format!("{name:?} is not a name")))?,
            // Old tools wrote `_` for what PEP 440 writes as `-` or `+`.
            version: version
                .parse()
                .or_else(|_| version.replace('_', "-").parse())
                .or_else(|_| version.replacen('_', "+", 1).parse())
                .map_err(|_| wrong(format!("{version:?} is not a version")))?,
            build,
            python: split(tags[0]),
            abi: split(tags[1]),
            platform: split(tags[2]),
        })
    }
}

impl fmt::Display for WheelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_every_part_is_read() {
        let wheel: WheelName =
            "Torch_Vision-1.0+cpu-12b-cp39.cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
                .parse()
                .expect("a wheel name");
        assert_eq!(wheel.name.as_str(), "torch-vision");
        assert_eq!(wheel.version.to_string(), "1.0+cpu");
        assert_eq!(wheel.build, Some(BuildTag(12, "b".into())));
        assert_eq!(wheel.python, ["cp39", "cp310"]);
        assert_eq!(wheel.platform, ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]);
    }

    #[test]
    fn what_is_not_a_wheel_name_is_refused_with_the_reason() {
        for (text, why) in [
            ("demo-1.0.tar.gz", "does not end in .whl"),
            ("demo-1.0-py3-none.whl", "4 parts"),
            ("demo-x-py3-none-any.whl", "not a version"),
            ("demo-1.0-b1-py3-none-any.whl", "does not begin with a number"),
            ("../demo-1.0-py3-none-any.whl", "path separator"),
        ] {
            let error = text.parse::<WheelName>().expect_err(text);
            assert!(error.report().contains(why), "{}", error.report());
        }
    }
}
