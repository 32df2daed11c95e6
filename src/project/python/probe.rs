//! What `probe.py` says about an interpreter, and the target that follows from it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Interpreter, Libc, Platform, Target};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::MarkerEnv,
};

/// The answer of `probe.py`; its fields are explained there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "they are an interpreter's build options")]
pub(super) struct Probe {
    pub markers: MarkerEnv,
    pub version: (u8, u8, u8),
    pub executable: PathBuf,
    pub base_prefix: PathBuf,
    pub cache_tag: Option<String>,
    pub site_packages: String,
    pub platform: String,
    pub narrow: bool,
    pub free_threaded: bool,
    pub debug: bool,
    pub pymalloc: bool,
    pub version_nodot: String,
    pub ext_suffix: Option<String>,
    pub glibc: Option<String>,
    pub musl: Option<String>,
    pub elf: Option<Elf>,
    pub refused_manylinux: Vec<(u32, u32)>,
    pub mac: Option<Mac>,
}

/// What the header of a Linux interpreter's executable says, which its platform tags depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Elf {
    pub wide: bool,
    pub little: bool,
    pub machine: u16,
    pub flags: u32,
    pub loader: Option<String>,
}

/// What macOS says of itself, which platform tags depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Mac {
    pub version: String,
    pub machine: String,
}

impl Elf {
    /// 32-bit ARM with the hard-float ABI (EABI 5), or 32-bit x86: what manylinux asks for there.
    fn is_manylinux_abi(&self) -> bool {
        const ARM: u16 = 40;
        const I386: u16 = 3;
        const HARD_FLOAT_EABI5: u32 = 0x0500_0400;
        !self.wide
            && self.little
            && match self.machine {
                ARM => self.flags & 0xff00_0400 == HARD_FLOAT_EABI5,
                I386 => true,
                _ => false,
            }
    }
}

/// The first two numbers of a version that may end in anything (`2.20-2014.11`).
fn two_numbers(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.trim().split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

/// The version in what musl's loader prints: a line `musl libc (x86_64)`, then `Version 1.2.3`.
pub(super) fn musl_version(output: &str) -> Option<(u32, u32)> {
    let mut lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next()?;
    let version = lines.next()?.strip_prefix("Version ")?;
    if first.starts_with("musl") { two_numbers(version) } else { None }
}

impl Probe {
    /// What decides the platform tags.
    pub(super) fn platform(&self) -> Platform {
        if let Some(mac) = &self.mac {
            let version = two_numbers(&mac.version)
                .or_else(|| mac.version.parse().ok().map(|major| (major, 0)))
                .unwrap_or_default();
            let narrow_intel = self.narrow && !mac.machine.starts_with("ppc");
            let arch = if narrow_intel { "i386".to_owned() } else { mac.machine.clone() };
            return Platform::MacOs { version, arch };
        }
        let name = super::platform::normalised(&self.platform);
        let Some(arch) = name.strip_prefix("linux_") else { return Platform::Other(name) };
        // A 32-bit interpreter on a 64-bit kernel.
        let arch = match (self.narrow, arch) {
            (true, "x86_64") => "i686",
            (true, "aarch64") => "armv8l",
            (_, arch) => arch,
        };
        let glibc = self.glibc.as_deref().and_then(two_numbers).map(|(a, b)| Libc::Glibc(a, b));
        let musl = self.musl.as_deref().and_then(musl_version).map(|(a, b)| Libc::Musl(a, b));
        Platform::Linux {
            arch: arch.to_owned(),
            libc: glibc.or(musl).unwrap_or(Libc::Unknown),
            manylinux_abi: self.elf.as_ref().is_some_and(Elf::is_manylinux_abi),
            refused: self.refused_manylinux.clone(),
        }
    }

    /// What decides the Python and ABI tags.
    pub(super) fn interpreter(&self) -> Interpreter {
        let (major, minor, _) = self.version;
        let nodot = &self.version_nodot;
        Interpreter {
            implementation: self.markers.implementation_name.clone(),
            version: (major, minor),
            version_nodot: if nodot.is_empty() { format!("{major}{minor}") } else { nodot.clone() },
            free_threaded: self.free_threaded,
            debug: self.debug,
            pymalloc: self.pymalloc,
            ext_suffix: self.ext_suffix.clone().unwrap_or_default(),
        }
    }

    /// The target, its base interpreter being `executable`.
    pub(super) fn into_target(self, executable: PathBuf) -> Result<Target> {
        let odd = |what: &str, value: &str| {
            let name = executable.display();
            Error::new(Kind::Target, format!("the interpreter {name} gives {value:?} as its {what}"))
        };
        if self.markers.os_name == "nt" {
            return Err(odd("os.name", "nt").help("environments on Windows are not supported yet"));
        }
        let (major, minor, _) = self.version;
        let home = executable.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Target {
            tags: self.interpreter().tags(&self.platform().tags()),
            version: self.version,
            assumed_micro: false,
            implementation: self.markers.implementation_name.clone(),
            free_threaded: self.free_threaded,
            cache_tag: self.cache_tag.unwrap_or_default(),
            site_packages: self
                .site_packages
                .parse()
                .map_err(|error: Error| odd("site-packages", &self.site_packages).because(error))?,
            include: format!("include/site/python{major}.{minor}").parse()?,
            lib64: !self.narrow && self.markers.sys_platform != "darwin",
            markers: self.markers,
            home,
            executable,
            described: None,
        })
    }
}
