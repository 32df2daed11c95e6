//! What becomes of a seed: a few edits, of the kinds that fuzzers know.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Edit {
    Put(Index, u8),
    Flip(Index, u8),
    Number(Index, u8, u64, bool),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index, Index),
    Splice(Index, Index, Index, Index),
    Cut(Index),
}

/// What means something to a reader.
const WORDS: [&str; 96] = [
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\t",
    " ",
    "\"",
    "'",
    "\\",
    "/",
    "//",
    "..",
    "../",
    "./",
    ":",
    ";",
    ",",
    "#",
    "=",
    "==",
    "===",
    "~=",
    "!=",
    ">=",
    "<",
    "*",
    ".*",
    "-",
    "_",
    "@",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "{{",
    "${",
    "${TOKEN}",
    "$USER",
    ":-",
    "%",
    "%2f",
    "%00",
    "%2e%2e",
    "&#0;",
    "&amp;",
    "<",
    "</a>",
    "<!--",
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1e999",
    "18446744073709551616",
    "é",
    "\u{202e}",
    "\u{feff}",
    "\u{1b}[2J",
    "\u{9b}",
    "\u{661}",
    "and",
    "or",
    "not in",
    "in",
    "extra",
    "python_version",
    "platform_release",
    "1.0",
    "1!1.0.post1.dev2+l.1",
    "v1",
    "1.0a1",
    "==1.*",
    "git+",
    "https://",
    "file://",
    "me:pass4711@",
    "sha256:",
    "sha256=",
    "__init__.py",
    ".dist-info/",
    ".data/scripts/",
    "RECORD",
    "machine ",
    "default",
    "login ",
    "macdef x",
    "PK\u{1}\u{2}",
    "PK\u{3}\u{4}",
    "PK\u{5}\u{6}",
    "[[source]]\n",
    "mtime",
    "layers",
    "rootfs",
];

/// Numbers that are at an edge.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ff00,
];

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Put(at, byte)),
        1 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        1 => (at(), select(vec![1, 2, 4, 8]), select(NUMBERS.to_vec()), any::<bool>())
            .prop_map(|(at, width, number, big)| Edit::Number(at, width, number, big)),
        3 => (at(), select(WORDS.to_vec())).prop_map(|(at, word)| Edit::Insert(at, word.as_bytes().to_vec())),
        1 => (at(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => (at(), at()).prop_map(|(from, to)| Edit::Remove(from, to)),
        1 => (at(), at(), at()).prop_map(|(from, length, to)| Edit::Repeat(from, length, to)),
        2 => (at(), at(), at(), at()).prop_map(|(seed, from, length, to)| Edit::Splice(seed, from, length, to)),
        1 => at().prop_map(Edit::Cut),
    ]
}

/// One of `seeds`, edited up to five times.
pub fn of(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (any::<Index>(), vec(edit(), 1..6)).prop_map(move |(seed, edits)| {
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        for edit in edits {
            apply(&mut bytes, &edit, &seeds);
        }
        bytes
    })
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit, seeds: &[Vec<u8>]) {
    let length = bytes.len();
    let within = |index: &Index| index.index(length + 1);
    // Most of what matters is short.
    let short = |from: usize, size: &Index, length: usize| from + size.index((length - from).min(64) + 1);
    match edit {
        Edit::Put(at, byte) if length > 0 => bytes[at.index(length)] = *byte,
        Edit::Flip(at, bit) if length > 0 => bytes[at.index(length)] ^= 1 << bit,
        Edit::Number(at, width, number, big) if length >= usize::from(*width) => {
            let width = usize::from(*width);
            let at = at.index(length - width + 1);
            let digits = if *big {
                number.to_be_bytes()[8 - width..].to_vec()
            } else {
                number.to_le_bytes()[..width].to_vec()
            };
            bytes[at..at + width].copy_from_slice(&digits);
        }
        Edit::Put(..) | Edit::Flip(..) | Edit::Number(..) => {}
        Edit::Insert(at, word) => {
            let at = within(at);
            bytes.splice(at..at, word.iter().copied());
        }
        Edit::Remove(from, size) => {
            let from = within(from);
            bytes.drain(from..short(from, size, length));
        }
        Edit::Repeat(from, size, to) => {
            let (from, to) = (within(from), within(to));
            let piece = bytes[from..short(from, size, length)].to_vec();
            bytes.splice(to..to, piece);
        }
        Edit::Splice(seed, from, size, to) => {
            let other = &seeds[seed.index(seeds.len())];
            let from = from.index(other.len() + 1);
            let piece = other[from..short(from, size, other.len())].to_vec();
            let to = within(to);
            bytes.splice(to..to, piece);
        }
        Edit::Cut(at) => bytes.truncate(within(at)),
    }
}
