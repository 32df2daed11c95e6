//! A wheel's RECORD (recording installed projects, PEP 376/427/627): digests of its files. It is read,
//! never followed: only the archive's own entries are ever written.

use std::collections::HashMap;

use super::WheelEntry;
use crate::words::vocab::{RelPath, Sha256};

/// What RECORD says about the entries.
pub(super) struct Record {
    /// The digest of each entry, by position.
    pub digests: Vec<Option<Sha256>>,
    /// Where it is not right, each kind in one sentence.
    pub complaints: Vec<String>,
}

/// RECORD itself and what signs it: not among what it lists, not installed.
pub(super) fn is_record_or_signature(path: &RelPath, dist_info: &RelPath) -> bool {
    path.as_str()
        .strip_prefix(dist_info.as_str())
        .is_some_and(|rest| matches!(rest, "/RECORD" | "/RECORD.jws" | "/RECORD.p7s"))
}

/// Names of files that share one complaint; the first few are told.
#[derive(Default)]
struct Told(Vec<String>, usize);

impl Told {
    fn add(&mut self, name: &str) {
        if self.0.len() < 3 {
            self.0.push(format!("{name:?}"));
        }
        self.1 += 1;
    }

    fn complain(self, what: &str, complaints: &mut Vec<String>) {
        if self.1 > 0 {
            let more = if self.1 > self.0.len() {
                format!(" and {} more", self.1 - self.0.len())
            } else {
                String::new()
            };
            complaints.push(format!("{what}: {}{more}", self.0.join(", ")));
        }
    }
}

/// Reads RECORD as Python's `csv` module would; `index` gives the position of each path.
pub(super) fn parse(
    bytes: &[u8],
    entries: &[WheelEntry],
    index: &HashMap<&str, usize>,
    dist_info: &RelPath,
) -> Record {
    let mut digests = vec![None; entries.len()];
    let mut listed = vec![false; entries.len()];
    let [mut unreadable, mut escaping, mut absent, mut weak, mut sizes, mut twice, mut lacking] =
        std::array::from_fn(|_| Told::default());

    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut row = csv::ByteRecord::new();
    // Most RECORDs keep the archive's order: the next row is likely the next entry's.
    let mut next = 0;
    // Reading from memory with `flexible` and bytes has no way to fail.
    while let Ok(true) = reader.read_byte_record(&mut row) {
        let field = |at| row.get(at).map_or(Ok(""), std::str::from_utf8);
        let (Ok(path), Ok(digest), Ok(size)) = (field(0), field(1), field(2)) else {
            unreadable.add(&String::from_utf8_lossy(row.get(0).unwrap_or_default()));
            continue;
        };
        if path.is_empty() {
            continue;
        }
        let expected = entries.get(next).filter(|entry| entry.path.as_str() == path);
        let Some(at) = expected.map(|_| next).or_else(|| index.get(path).copied()) else {
            if path.parse::<RelPath>().is_err() {
                escaping.add(path);
            } else if path.strip_prefix(dist_info.as_str()) != Some("/RECORD") {
                absent.add(path);
            }
            continue;
        };
        next = at + 1;
        let entry = &entries[at];
        if is_record_or_signature(&entry.path, dist_info) {
            continue;
        }
        let sha256 = match digest.split_once('=') {
            Some(("sha256", value)) => Sha256::from_record(value),
            _ => None,
        };
        if listed[at] {
            if sha256 != digests[at] {
                twice.add(path);
            }
            continue;
        }
        listed[at] = true;
        if !size.is_empty() && size.parse() != Ok(entry.size) {
            // Bytes of another size have another digest: one warning for one fact.
            sizes.add(path);
            continue;
        }
        digests[at] = sha256;
        if sha256.is_none() {
            weak.add(path);
        }
    }
    for (entry, _) in entries.iter().zip(&listed).filter(|(_, listed)| !**listed) {
        if !is_record_or_signature(&entry.path, dist_info) {
            lacking.add(entry.path.as_str());
        }
    }

    let mut complaints = Vec::new();
    lacking.complain("RECORD lacks files that the wheel holds", &mut complaints);
    weak.complain("RECORD has no SHA-256 digest for", &mut complaints);
    sizes.complain("RECORD gives another size than the wheel for", &mut complaints);
    twice.complain("RECORD gives two digests for", &mut complaints);
    absent.complain("RECORD lists files that the wheel does not hold", &mut complaints);
    escaping.complain("RECORD lists paths outside the wheel, which were ignored", &mut complaints);
    unreadable.complain("RECORD has rows that are not UTF-8", &mut complaints);
    Record { digests, complaints }
}
