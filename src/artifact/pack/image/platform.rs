//! A platform in the words of images.

use serde_json::{Map, Value, json};

/// A platform in the words of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `v7`, for `arm`.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform of a marker environment's `platform_machine`; `None` for machines that images have no word for.
    pub(crate) fn of_machine(machine: &str) -> Option<Platform> {
        let (architecture, variant) = match machine {
            "x86_64" | "amd64" => ("amd64", None),
            "aarch64" | "arm64" => ("arm64", None),
            "armv7l" | "armv8l" => ("arm", Some("v7")),
            "armv6l" => ("arm", Some("v6")),
            "i386" | "i686" => ("386", None),
            same @ ("ppc64le" | "s390x" | "riscv64") => (same, None),
            "loongarch64" => ("loong64", None),
            _ => return None,
        };
        Some(Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }

    /// Whether an image of the platform `other` is one of this platform. A variant counts where both have one; arm64 is
    /// always v8.
    pub(crate) fn matches(&self, other: &Platform) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.architecture == "arm64"
                || self.variant.is_none()
                || other.variant.is_none()
                || self.variant == other.variant)
    }

    /// What a config or a descriptor's `platform` says.
    pub(crate) fn of_json(value: &Value) -> Platform {
        let text = |key: &str| value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Platform {
            os: text("os").unwrap_or_default(),
            architecture: text("architecture").unwrap_or_default(),
            variant: text("variant"),
        }
    }

    /// As a descriptor has it.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("architecture".to_owned(), json!(self.architecture));
        map.insert("os".to_owned(), json!(self.os));
        if let Some(variant) = &self.variant {
            map.insert("variant".to_owned(), json!(variant));
        }
        Value::Object(map)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}
