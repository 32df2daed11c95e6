//! A target without an interpreter at hand: `3.9` for `linux/arm64`.

use std::path::Path;

use super::{Interpreter, Libc, Platform, Target, Wanted};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::MarkerEnv,
};

/// No Python has had this many micro releases.
pub(super) const MICRO_LIMIT: u8 = 40;

/// The glibc that a description without one means: old enough for every image still in use, new
/// enough for nearly every wheel.
const DEFAULT_GLIBC: Libc = Libc::Glibc(2, 28);

/// The musl that `musl` alone means (Alpine 3.13 and later).
const DEFAULT_MUSL: Libc = Libc::Musl(1, 2);

/// A target as a person describes it.
#[derive(Debug, Clone)]
pub struct Description<'a> {
    /// `3.9`, `3.9.18`, `3.13t`. Without the micro version the newest one is assumed.
    pub python_version: &'a str,
    /// In Docker's words (`linux/arm64`, `linux/arm/v7`), the C library after that where it is not
    /// glibc 2.28: `linux/amd64/musl`, `linux/amd64/musl1.2`, `linux/arm64/glibc2.17`.
    pub platform: &'a str,
    /// The directory that will hold the interpreter, such as `/usr/local/bin`. Absolute.
    pub python_home: &'a Path,
}

impl Description<'_> {
    /// The target described. Pure: looks at nothing.
    pub fn target(&self) -> Result<Target> {
        let wanted: Wanted =
            self.python_version.parse().map_err(|error: Error| error.with_kind(Kind::Usage))?;
        let (release, free_threaded) = match wanted {
            Wanted::Components { release, free_threaded } if release.len() > 1 => (release, free_threaded),
            _ => {
                let message = format!("--python-version {:?} names no single version", self.python_version);
                return Err(Error::new(Kind::Usage, message).help("expected something like 3.11 or 3.11.7"));
            }
        };
        let (major, minor) = (release[0], release[1]);
        if major != 3 || minor < 7 || (free_threaded && minor < 13) {
            let message = format!("--python-version {} is not supported", self.python_version);
            return Err(
                Error::new(Kind::Usage, message).help("expected 3.7 or newer, free-threaded 3.13t or newer")
            );
        }
        if !self.python_home.is_absolute() {
            let message = format!("--python-home {} is not absolute", self.python_home.display());
            return Err(Error::new(Kind::Usage, message)
                .help("expected the directory of the interpreter, such as /usr/local/bin"));
        }
        let micro = release.get(2).copied();
        // A lock leaves packages out on early micro versions (`not in '3.9.0, 3.9.1'`) far more often
        // than on late ones, and nobody pulls those images any more.
        let version = (major, minor, micro.unwrap_or(MICRO_LIMIT));
        let system = System::parse(self.platform)?;
        let suffix = if free_threaded { "t" } else { "" };
        let executable = self.python_home.join(format!("python{major}.{minor}{suffix}"));
        let full = format!("{major}.{minor}.{}", version.2);
        let interpreter = Interpreter {
            implementation: "cpython".into(),
            version: (major, minor),
            version_nodot: format!("{major}{minor}"),
            free_threaded,
            debug: false,
            pymalloc: true,
            ext_suffix: String::new(),
        };
        Ok(Target {
            home: self.python_home.to_owned(),
            executable,
            markers: MarkerEnv {
                implementation_name: "cpython".into(),
                implementation_version: full.clone(),
                os_name: "posix".into(),
                platform_machine: system.machine.into(),
                platform_python_implementation: "CPython".into(),
                platform_release: String::new(),
                platform_system: if system.mac { "Darwin" } else { "Linux" }.into(),
                platform_version: String::new(),
                python_full_version: full,
                python_version: format!("{major}.{minor}"),
                sys_platform: if system.mac { "darwin" } else { "linux" }.into(),
            },
            tags: interpreter.tags(&system.platform.tags()),
            version,
            assumed_micro: micro.is_none(),
            implementation: "cpython".into(),
            free_threaded,
            cache_tag: format!("cpython-{major}{minor}"),
            site_packages: format!("lib/python{major}.{minor}{suffix}/site-packages").parse()?,
            include: format!("include/site/python{major}.{minor}").parse()?,
            lib64: !system.mac && !system.narrow,
            described: Some((self.python_version.to_owned(), self.platform.to_owned())),
        })
    }
}

/// What a platform in Docker's words means.
struct System {
    platform: Platform,
    /// `platform.machine()`.
    machine: &'static str,
    narrow: bool,
    mac: bool,
}

impl System {
    fn parse(text: &str) -> Result<System> {
        let wrong = |why: String| {
            Error::new(Kind::Usage, format!("--platform {text:?}: {why}")).help(
                "expected something like linux/amd64, linux/arm64, linux/arm/v7, linux/amd64/musl or linux/amd64/glibc2.31",
            )
        };
        let mut parts = text.split('/');
        let os = parts.next().unwrap_or_default();
        let arch = parts.next().unwrap_or_default();
        let (mut variant, mut libc) = ("", DEFAULT_GLIBC);
        let mut libc_given = false;
        for part in parts {
            if part.starts_with('v') && part[1..].parse::<u8>().is_ok() && variant.is_empty() {
                variant = part;
            } else if let Some(given) = parse_libc(part)
                && !libc_given
            {
                (libc, libc_given) = (given, true);
            } else {
                return Err(wrong(format!("{part:?} is neither a variant nor a C library")));
            }
        }
        let (machine, narrow) = match (arch, variant) {
            ("amd64" | "x86_64", _) => ("x86_64", false),
            ("arm64" | "aarch64", _) => ("aarch64", false),
            ("arm", "" | "v7") => ("armv7l", true),
            ("arm", "v6") => ("armv6l", true),
            ("386", _) => ("i686", true),
            ("ppc64le", _) => ("ppc64le", false),
            ("s390x", _) => ("s390x", false),
            ("riscv64", _) => ("riscv64", false),
            ("loong64", _) => ("loongarch64", false),
            _ => return Err(wrong(format!("the machine {arch:?} is not known"))),
        };
        match os {
            "linux" => {
                let platform = Platform::Linux {
                    arch: machine.to_owned(),
                    libc,
                    manylinux_abi: true,
                    refused: Vec::new(),
                };
                Ok(System { platform, machine, narrow, mac: false })
            }
            "darwin" if libc_given => Err(wrong("macOS has one C library only".into())),
            "darwin" => {
                let machine = if machine == "aarch64" { "arm64" } else { machine };
                let platform = Platform::MacOs { version: (13, 0), arch: machine.to_owned() };
                Ok(System { platform, machine, narrow, mac: true })
            }
            "windows" => Err(wrong("Windows is not supported yet".into())),
            _ => Err(wrong(format!("the system {os:?} is not known"))),
        }
    }
}

/// `musl`, `musl1.2`, `musllinux_1_2`, `glibc`, `glibc2.31`, `manylinux_2_31`.
fn parse_libc(text: &str) -> Option<Libc> {
    let numbers = |rest: &str| {
        let (major, minor) = rest.trim_start_matches('_').split_once(['.', '_'])?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let versioned = |prefix: &str| text.strip_prefix(prefix).and_then(numbers);
    match text {
        "glibc" => Some(DEFAULT_GLIBC),
        "musl" => Some(DEFAULT_MUSL),
        _ => {
            if let Some((major, minor)) = versioned("glibc").or_else(|| versioned("manylinux_")) {
                // Versions count down to the first: an absurd one would make absurdly many tags.
                (major == 2 && minor < 1000).then_some(Libc::Glibc(major, minor))
            } else {
                let (major, minor) = versioned("musllinux_").or_else(|| versioned("musl"))?;
                (major == 1 && minor < 1000).then_some(Libc::Musl(major, minor))
            }
        }
    }
}
