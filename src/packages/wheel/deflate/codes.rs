//! The codes of a deflate stream's blocks (RFC 1951, 3.2).

use std::io;

use super::{
    bits::Bits,
    code::{Code, Entry},
    invalid,
};

/// What the symbols of lengths and distances stand for, and how many bits follow that add to it (RFC 1951, 3.2.5).
pub(crate) const LENGTH_BASES: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
pub(crate) const LENGTH_EXTRA: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
pub(crate) const DISTANCE_BASES: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];
pub(crate) const DISTANCE_EXTRA: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

/// What each symbol of literals and lengths stands for, but for the bits of its code.
#[allow(clippy::cast_possible_truncation, reason = "numbers of few bits")]
const LITERALS: [Entry; 288] = {
    let mut entries = [Entry::UNUSED; 288];
    let mut at = 0;
    while at < 256 {
        entries[at] = Entry::literal(at as u8);
        at += 1;
    }
    entries[256] = Entry::END_OF_BLOCK;
    at = 0;
    while at < 29 {
        entries[257 + at] = Entry::base(LENGTH_BASES[at], LENGTH_EXTRA[at]);
        at += 1;
    }
    entries
};

/// What each symbol of distances stands for.
const DISTANCES: [Entry; 32] = {
    let mut entries = [Entry::UNUSED; 32];
    let mut at = 0;
    while at < 30 {
        entries[at] = Entry::base(DISTANCE_BASES[at], DISTANCE_EXTRA[at]);
        at += 1;
    }
    entries
};

/// What each symbol of the code for lengths of codes stands for.
#[allow(clippy::cast_possible_truncation, reason = "numbers of few bits")]
const LENGTHS: [Entry; 19] = {
    let mut entries = [Entry::UNUSED; 19];
    let mut at = 0;
    while at < 19 {
        entries[at] = Entry::base(at as u16, 0);
        at += 1;
    }
    entries
};

/// In which order the lengths of the code lengths' own code stand.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The codes of a block.
#[derive(Default)]
pub(super) struct Codes {
    lengths: Code<7, 128>,
    // At most 2342 and 402 entries (zlib's `enough.c`).
    pub(super) literals: Code<11, 4096>,
    pub(super) distances: Code<8, 512>,
    fixed: bool,
}

impl Codes {
    /// The codes that need not be described (RFC 1951, 3.2.6).
    pub(super) fn fix(&mut self) -> io::Result<()> {
        if self.fixed {
            return Ok(());
        }
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.literals.set(&lengths, &LITERALS, false)?;
        self.distances.set(&[5; 32], &DISTANCES, false)?;
        self.fixed = true;
        Ok(())
    }

    /// Codes that are described at a block's start (RFC 1951, 3.2.7).
    #[allow(clippy::cast_possible_truncation, reason = "numbers of few bits")]
    pub(super) fn read(&mut self, bits: &mut Bits<'_>) -> io::Result<()> {
        self.fixed = false;
        bits.fill()?;
        let literals = bits.take(5) as usize + 257;
        let distances = bits.take(5) as usize + 1;
        let count = bits.take(4) as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(invalid("a block with too many symbols"));
        }
        let mut own = [0_u8; 19];
        for &at in &ORDER[..count] {
            bits.fill()?;
            own[at] = bits.take(3) as u8;
        }
        self.lengths.set(&own, &LENGTHS, false)?;

        let mut lengths = [0_u8; 286 + 30];
        let mut at = 0;
        while at < literals + distances {
            bits.fill()?;
            let entry = self.lengths.look(bits.hold);
            bits.drop(entry.bits());
            let (value, times) = match entry.value(0) {
                length @ 0..16 => (length as u8, 1),
                16 if at == 0 => return Err(invalid("a repeated length where there is none before")),
                16 => (lengths[at - 1], 3 + bits.take(2) as usize),
                17 => (0, 3 + bits.take(3) as usize),
                _ => (0, 11 + bits.take(7) as usize),
            };
            let end = at + times;
            if end > literals + distances {
                return Err(invalid("more lengths than there are symbols"));
            }
            lengths[at..end].fill(value);
            at = end;
        }
        if lengths[256] == 0 {
            return Err(invalid("a block that cannot end"));
        }
        self.literals.set(&lengths[..literals], &LITERALS, true)?;
        self.distances.set(&lengths[literals..literals + distances], &DISTANCES, true)
    }
}
