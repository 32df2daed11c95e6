//! Tar headers (POSIX.1-2017, "ustar Interchange Format"; PAX records only for what does not fit there), which depend on
//! nothing but what they describe.

use std::fmt::Write as _;

/// Everything in a tar comes in blocks of this many bytes.
pub(crate) const BLOCK: usize = 512;

/// What ends a tar: two blocks of zeros.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A directory, mode 0755.
    Directory,
    /// A directory that anybody may write to, mode 1777, such as `/tmp`.
    Shared,
    /// A regular file of this many bytes, mode 0755 or 0644.
    File {
        /// Its size.
        size: u64,
        /// Whether it is executable.
        executable: bool,
    },
    /// A symbolic link to this.
    Link(&'a str),
}

impl Kind<'_> {
    /// Its permissions.
    pub(crate) fn mode(self) -> u32 {
        match self {
            Kind::Directory | Kind::File { executable: true, .. } => 0o755,
            Kind::Shared => 0o1777,
            Kind::File { executable: false, .. } => 0o644,
            Kind::Link(_) => 0o777,
        }
    }
}

/// Whom everything in an artifact belongs to; names are left out, as they mean something else elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

/// What all entries of an artifact have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Common {
    /// Whom they belong to.
    pub owner: Owner,
    /// Their time, in seconds since 1970 (not negative).
    pub mtime: i64,
}

/// How many zeros follow a file of this size.
pub(crate) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if over == 0 { 0 } else { BLOCK - over }
}

/// Appends an entry's header: one block, with PAX records before it where it needs them. `path` has neither a slash at
/// its start nor one at its end.
pub(crate) fn header(path: &str, kind: Kind<'_>, common: Common, out: &mut Vec<u8>) {
    let mut records = Vec::new();
    let directory;
    let path = if matches!(kind, Kind::Directory | Kind::Shared) {
        directory = format!("{path}/");
        &directory
    } else {
        path
    };
    let (prefix, name) = split(path).unwrap_or_else(|| {
        record("path", path, &mut records);
        (String::new(), ascii(path))
    });
    let (size, flag, link) = match kind {
        Kind::Directory | Kind::Shared => (0, b'5', String::new()),
        Kind::File { size, .. } => (size, b'0', String::new()),
        Kind::Link(target) if fits(target, NAME.1) => (0, b'2', target.to_owned()),
        Kind::Link(target) => {
            record("linkpath", target, &mut records);
            (0, b'2', ascii(target))
        }
    };
    let mut block = [0; BLOCK];
    let mut text = |(at, length): (usize, usize), value: &str| {
        let value = &value.as_bytes()[..value.len().min(length)];
        block[at..at + value.len()].copy_from_slice(value);
    };
    text(NAME, &name);
    text(PREFIX, &prefix);
    text(LINK, &link);
    text(MAGIC, "ustar\x0000");
    block[FLAG] = flag;
    let mut number = |(at, length): (usize, usize), key: &str, value: u64| {
        let digits = length - 1;
        let value = if value >> (3 * digits) == 0 {
            value
        } else {
            record(key, &value.to_string(), &mut records);
            0
        };
        block[at..at + digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
    };
    number(MODE, "mode", kind.mode().into());
    number(USER, "uid", common.owner.user.into());
    number(GROUP, "gid", common.owner.group.into());
    number(SIZE, "size", size);
    number(TIME, "mtime", u64::try_from(common.mtime).unwrap_or(0));
    if !records.is_empty() {
        out.extend_from_slice(&extended(&records, common));
    }
    out.extend_from_slice(&with_checksum(block));
}

// Where the fields are, and how long they are.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 8);
const USER: (usize, usize) = (108, 8);
const GROUP: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
const TIME: (usize, usize) = (136, 12);
const CHECKSUM: usize = 148;
const FLAG: usize = 156;
const LINK: (usize, usize) = (157, 100);
const MAGIC: (usize, usize) = (257, 8);
const PREFIX: (usize, usize) = (345, 155);

/// Whether a text can stand in a field: what is not ASCII is read differently by different programs.
fn fits(text: &str, length: usize) -> bool {
    text.len() <= length && text.is_ascii()
}

/// A path as prefix and name, if it fits so.
fn split(path: &str) -> Option<(String, String)> {
    if fits(path, NAME.1) {
        return Some((String::new(), path.to_owned()));
    }
    if !path.is_ascii() {
        return None;
    }
    // A directory's own slash at the end belongs to its name.
    let mut slashes = path.match_indices('/').map(|(at, _)| at).filter(|&at| at + 1 < path.len());
    let at = slashes.rfind(|&at| at <= PREFIX.1)?;
    (path.len() - at - 1 <= NAME.1).then(|| (path[..at].to_owned(), path[at + 1..].to_owned()))
}

/// What a reader that knows no PAX records sees in their place.
fn ascii(text: &str) -> String {
    text.chars().filter(char::is_ascii).take(NAME.1).collect()
}

/// Appends a PAX record: its length, which counts itself, a key and a value.
fn record(key: &str, value: &str, records: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut text = String::with_capacity(length);
    let _ = writeln!(text, "{length} {key}={value}");
    records.extend_from_slice(text.as_bytes());
}

/// The entry that holds PAX records for the next.
fn extended(records: &[u8], common: Common) -> Vec<u8> {
    let mut block = [0; BLOCK];
    let mut text = |(at, _): (usize, usize), value: &str| {
        block[at..at + value.len()].copy_from_slice(value.as_bytes());
    };
    text(NAME, "PaxHeaders/next");
    text(MODE, "0000644");
    text(USER, "0000000");
    text(GROUP, "0000000");
    text(SIZE, &format!("{:011o}", records.len()));
    // A time that does not fit has a record of its own.
    text(TIME, &format!("{:011o}", u64::try_from(common.mtime).unwrap_or(0) & 0o77_777_777_777));
    text(MAGIC, "ustar\x0000");
    block[FLAG] = b'x';
    let mut out = with_checksum(block).to_vec();
    out.extend_from_slice(records);
    out.resize(out.len() + padding(records.len() as u64), 0);
    out
}

fn with_checksum(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    // It is summed up with blanks in its own place.
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum::<u32>() + 8 * u32::from(b' ');
    block[CHECKSUM..CHECKSUM + 8].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, process::Command};

    use super::*;

    const COMMON: Common = Common { owner: Owner { user: 1099, group: 7 }, mtime: 315_532_800 };

    fn archive(entries: &[(&str, Kind<'_>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (path, kind) in entries {
            header(path, *kind, COMMON, &mut out);
            if let Kind::File { size, .. } = kind {
                let size = usize::try_from(*size).expect("small");
                out.resize(out.len() + size + padding(size as u64), b'x');
            }
        }
        out.extend_from_slice(&END);
        out
    }

    /// Names around each limit: of a field, of both together, not ASCII, with blanks.
    fn names() -> Vec<String> {
        let long = |length: usize| {
            let text = "abcdefghi/".repeat(60);
            format!("{}z", &text[..length - 1]).replace("/z", "yz")
        };
        let mut names: Vec<String> = [99, 100, 101, 154, 155, 156, 255, 256, 257, 400].map(long).to_vec();
        names.push("n".repeat(100));
        names.push(format!("{}/{}", "p".repeat(155), "n".repeat(100)));
        names.push(format!("{}/{}", "p".repeat(156), "n".repeat(100)));
        names.push("q".repeat(101));
        names.push("with a blank/and \"quotes\"".to_owned());
        names.push("päckchen/ünïcode-日本.py".to_owned());
        names
    }

    #[test]
    fn any_name_comes_back_as_it_was() {
        let names = names();
        let entries: Vec<_> =
            names.iter().map(|name| (name.as_str(), Kind::File { size: 3, executable: false })).collect();
        let bytes = archive(&entries);
        let mut found = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for entry in found.entries().expect("a tar") {
            let mut entry = entry.expect("an entry");
            let mut content = String::new();
            entry.read_to_string(&mut content).expect("its bytes");
            assert_eq!(content, "xxx");
            seen.push(entry.path().expect("a path").to_str().expect("UTF-8").to_owned());
        }
        assert_eq!(seen, names);
    }

    #[test]
    fn what_fits_has_no_records() {
        for (name, blocks) in [
            ("n".repeat(100), 1),
            ("d".repeat(101), 3),
            (format!("{}/{}", "p".repeat(155), "n".repeat(100)), 1),
        ] {
            let mut out = Vec::new();
            header(&name, Kind::File { size: 0, executable: false }, COMMON, &mut out);
            assert_eq!(out.len(), blocks * BLOCK, "{name}");
        }
        let mut out = Vec::new();
        // With its slash it has 101 bytes.
        header(&"d".repeat(100), Kind::Directory, COMMON, &mut out);
        assert_eq!(out.len(), 3 * BLOCK);
    }

    #[test]
    fn modes_owners_times_and_links_are_fixed() {
        let long = "../".repeat(60);
        let bytes = archive(&[
            ("bin", Kind::Directory),
            ("bin/tool", Kind::File { size: 1, executable: true }),
            ("bin/text", Kind::File { size: 0, executable: false }),
            ("lib64", Kind::Link("lib")),
            ("far", Kind::Link(&long)),
        ]);
        let mut found = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for entry in found.entries().expect("a tar") {
            let entry = entry.expect("an entry");
            let head = entry.header();
            assert_eq!(
                (head.uid().ok(), head.gid().ok(), head.mtime().ok()),
                (Some(1099), Some(7), Some(315_532_800))
            );
            assert_eq!(
                (head.username().ok().flatten(), head.groupname().ok().flatten()),
                (Some(""), Some(""))
            );
            let link =
                entry.link_name().expect("a name").map(|link| link.to_str().expect("UTF-8").to_owned());
            seen.push((head.mode().expect("a mode"), head.entry_type().as_byte(), link));
        }
        assert_eq!(seen[0], (0o755, b'5', None));
        assert_eq!(seen[1], (0o755, b'0', None));
        assert_eq!(seen[2], (0o644, b'0', None));
        assert_eq!(seen[3], (0o777, b'2', Some("lib".to_owned())));
        assert_eq!(seen[4], (0o777, b'2', Some(long)));
    }

    #[test]
    fn sizes_beyond_8_gib_are_records() {
        let mut out = Vec::new();
        header("huge", Kind::File { size: 9 << 30, executable: false }, COMMON, &mut out);
        assert_eq!(out.len(), 3 * BLOCK);
        assert!(out[BLOCK..].starts_with(b"19 size=9663676416\n"));
        out.clear();
        header("large", Kind::File { size: (8 << 30) - 1, executable: false }, COMMON, &mut out);
        assert_eq!(out.len(), BLOCK);
    }

    #[test]
    fn gnu_tar_and_python_read_it_too() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a.tar");
        let names = names();
        let entries: Vec<_> =
            names.iter().map(|name| (name.as_str(), Kind::File { size: 3, executable: false })).collect();
        std::fs::write(&file, archive(&entries)).expect("written");
        let list = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).arg(&file).output().expect(program);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(list("tar", &["--quoting-style=literal", "-tf"]), names);
        let program = "import sys, tarfile; sys.stdout.reconfigure(encoding='utf-8')\nfor name in tarfile.open(sys.argv[1]).getnames(): print(name)";
        assert_eq!(list("python3", &["-c", program]), names);
    }
}
