//! Platform tags: manylinux (PEP 600 and its forerunners), musllinux (PEP 656), macOS, Windows.

/// What decides the platform tags of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Platform {
    /// Linux, and the machine as tags write it (`x86_64`, `aarch64`, `armv7l`).
    Linux {
        /// The machine.
        arch: String,
        /// The C library.
        libc: Libc,
        /// Whether the binary interface is the one manylinux asks for (hard float on 32-bit ARM).
        manylinux_abi: bool,
        /// glibc versions the distribution rules out by a `_manylinux` module.
        refused: Vec<(u32, u32)>,
    },
    /// macOS of a version, on `x86_64` or `arm64`.
    MacOs {
        /// `(major, minor)`.
        version: (u32, u32),
        /// The machine.
        arch: String,
    },
    /// Anything else has one tag: `sysconfig.get_platform()` (`win-amd64`).
    Other(String),
}

/// A C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Libc {
    /// GNU, `(major, minor)`.
    Glibc(u32, u32),
    /// musl, `(major, minor)`.
    Musl(u32, u32),
    /// Not known: only `linux_*` wheels fit.
    Unknown,
}

/// Machines that manylinux wheels exist for without a look at the ELF header.
const MANYLINUX_ARCHS: [&str; 7] =
    ["x86_64", "aarch64", "ppc64", "ppc64le", "s390x", "loongarch64", "riscv64"];

/// The last minor version of a glibc major version that is over; none is yet, this is what
/// `packaging` assumes.
const LAST_GLIBC_MINOR: u32 = 50;

impl Platform {
    /// The platform tags, best first.
    pub(crate) fn tags(&self) -> Vec<String> {
        match self {
            Platform::Linux { arch, libc, manylinux_abi, refused } => {
                let archs: &[&str] = match arch.as_str() {
                    "armv8l" => &["armv8l", "armv7l"],
                    other => &[other],
                };
                let mut tags: Vec<String> = archs.iter().map(|arch| format!("linux_{arch}")).collect();
                match *libc {
                    Libc::Glibc(major, minor) => {
                        let by_header = archs.contains(&"armv7l") || archs.contains(&"i686");
                        let known = archs.iter().any(|arch| MANYLINUX_ARCHS.contains(arch));
                        if if by_header { *manylinux_abi } else { known } {
                            manylinux(&mut tags, archs, (major, minor), refused);
                        }
                    }
                    Libc::Musl(major, minor) => {
                        for arch in archs {
                            tags.extend((0..=minor).rev().map(|n| format!("musllinux_{major}_{n}_{arch}")));
                        }
                    }
                    Libc::Unknown => {}
                }
                tags
            }
            Platform::MacOs { version, arch } => macos(*version, arch),
            Platform::Other(name) => vec![normalised(name)],
        }
    }
}

/// A name as tags write it.
pub(super) fn normalised(name: &str) -> String {
    name.replace(['.', '-', ' '], "_")
}

fn manylinux(tags: &mut Vec<String>, archs: &[&str], glibc: (u32, u32), refused: &[(u32, u32)]) {
    // glibc 2.5 is CentOS 5's, the first manylinux; other machines began with 2.17.
    let x86 = archs.iter().any(|arch| matches!(*arch, "x86_64" | "i686"));
    let oldest = if x86 { 5 } else { 17 };
    for arch in archs {
        for major in (2..=glibc.0).rev() {
            let newest = if major == glibc.0 { glibc.1 } else { LAST_GLIBC_MINOR };
            for minor in (if major == 2 { oldest } else { 0 }..=newest).rev() {
                if refused.contains(&(major, minor)) {
                    continue;
                }
                tags.push(format!("manylinux_{major}_{minor}_{arch}"));
                let legacy = match (major, minor) {
                    (2, 17) => "manylinux2014",
                    (2, 12) => "manylinux2010",
                    (2, 5) => "manylinux1",
                    _ => continue,
                };
                tags.push(format!("{legacy}_{arch}"));
            }
        }
    }
}

fn macos(version: (u32, u32), arch: &str) -> Vec<String> {
    // Since 11 a release bumps the major version, and tags always say minor 0.
    let (ten, later) = match version {
        (10, minor) => (0..minor + 1, 0..0),
        (major, _) if major > 10 => (4..17, 11..major + 1),
        _ => (0..0, 0..0),
    };
    let releases = later.rev().map(|major| (major, 0)).chain(ten.rev().map(|minor| (10, minor)));
    let mut tags = Vec::new();
    for (major, minor) in releases {
        let formats = if major == 10 && version.0 > 10 && arch != "x86_64" {
            // The x86_64 half of a universal2 binary may ask for less than arm64 ever had.
            vec!["universal2"]
        } else {
            macos_formats((major, minor), arch)
        };
        tags.extend(formats.iter().map(|format| format!("macosx_{major}_{minor}_{format}")));
    }
    tags
}

/// The binary formats that run on a machine under a version of macOS, best first.
fn macos_formats(version: (u32, u32), arch: &str) -> Vec<&str> {
    match arch {
        "x86_64" | "i386" if version < (10, 4) => vec![],
        "x86_64" => vec!["x86_64", "intel", "fat64", "fat3", "universal2", "universal"],
        "i386" => vec!["i386", "intel", "fat3", "fat", "universal"],
        "arm64" => vec!["arm64", "universal2"],
        other => vec![other],
    }
}
