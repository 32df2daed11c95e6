//! Which file it is, and in which state: what tells the file that was verified from one put in its place.

use std::{fmt, fs::Metadata, os::unix::fs::MetadataExt as _, str::FromStr};

/// Device, inode, size and times of a file or directory. The time of change (ctime) is the kernel's: it moves with
/// every write, rename and change of mode, and no program can set it. So a file that has the identity it was verified
/// with has the bytes it was verified with, and a copy of it (a cache that was restored) has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// What a file or directory is now.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it is the same file, in whatever state.
    pub(super) fn is_same_file(&self, other: &Identity) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether `later` is the same file with the same bytes, of which at most the number of links changed.
    pub(super) fn is_linked(&self, later: &Identity) -> bool {
        self.is_same_file(later) && (self.size, self.modified) == (later.size, later.modified)
    }

    /// When it was last changed, in seconds since 1970.
    pub(super) fn changed(&self) -> i64 {
        self.changed.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { device, inode, size, modified, changed } = self;
        write!(f, "{device} {inode} {size} {} {} {} {}", modified.0, modified.1, changed.0, changed.1)
    }
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split(' ').map(|number| number.parse::<i128>().map_err(|_| ()));
        let mut next = || numbers.next().ok_or(())?;
        let unsigned = |number: i128| u64::try_from(number).map_err(|_| ());
        let signed = |number: i128| i64::try_from(number).map_err(|_| ());
        let identity = Identity {
            device: unsigned(next()?)?,
            inode: unsigned(next()?)?,
            size: unsigned(next()?)?,
            modified: (signed(next()?)?, signed(next()?)?),
            changed: (signed(next()?)?, signed(next()?)?),
        };
        next().is_err().then_some(identity).ok_or(())
    }
}
