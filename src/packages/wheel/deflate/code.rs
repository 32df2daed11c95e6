//! A code (RFC 1951, 3.2.2) as a table.

use std::io;

use super::invalid;

/// The longest code there is, in bits.
const LONGEST: usize = 15;

/// What the next bits stand for. The lowest byte says how many bits that takes altogether, the four bits above it how many
/// of these are the code (the others add to the base), and the upper half is the byte, the base, or where a further
/// table begins.
#[derive(Clone, Copy)]
pub(super) struct Entry(u32);

const LITERAL: u32 = 1 << 31;
/// Neither a literal nor a length or distance: one of the three after it.
const OTHER: u32 = 1 << 15;
const END_OF_BLOCK: u32 = OTHER | 1 << 14;
const FURTHER: u32 = OTHER | 1 << 13;
const UNUSED: u32 = OTHER | 1 << 12;

impl Entry {
    /// Of symbols that stand for nothing.
    pub(super) const UNUSED: Entry = Entry(UNUSED);
    pub(super) const END_OF_BLOCK: Entry = Entry(END_OF_BLOCK);

    pub(super) const fn literal(byte: u8) -> Entry {
        Entry(LITERAL | (byte as u32) << 16)
    }

    /// A length or distance, to which so many further bits add.
    pub(super) const fn base(base: u16, extra: u8) -> Entry {
        Entry((base as u32) << 16 | extra as u32)
    }

    #[inline]
    pub(super) fn is_literal(self) -> bool {
        self.0 & LITERAL != 0
    }

    /// Whether it is neither a literal nor a length or distance.
    #[inline]
    pub(super) fn is_other(self) -> bool {
        self.0 & OTHER != 0
    }

    #[inline]
    pub(super) fn is_end_of_block(self) -> bool {
        self.0 & END_OF_BLOCK == END_OF_BLOCK
    }

    /// Whether [`Code::further`] has it.
    #[inline]
    pub(super) fn is_further(self) -> bool {
        self.0 & FURTHER == FURTHER
    }

    /// How many bits it takes.
    #[inline]
    pub(super) fn bits(self) -> u32 {
        self.0 & 0x3f
    }

    /// A literal's byte.
    #[inline]
    pub(super) fn byte(self) -> u8 {
        self.0.to_le_bytes()[2]
    }

    /// Its base and what adds to it; `bits` begin with its code.
    #[inline]
    pub(super) fn value(self, bits: u64) -> usize {
        let more = (bits & ((1 << self.bits()) - 1)) >> self.field();
        self.upper() + word(more)
    }

    #[inline]
    fn upper(self) -> usize {
        usize::from((self.0 >> 16) as u16)
    }

    #[inline]
    fn field(self) -> u32 {
        self.0 >> 8 & 15
    }

    /// With a code of so many bits.
    #[allow(clippy::cast_possible_truncation, reason = "a number of four bits")]
    fn coded(self, length: usize) -> Entry {
        Entry(self.0 + (length & LONGEST) as u32 * 0x101)
    }

    #[allow(clippy::cast_possible_truncation, reason = "numbers of few bits")]
    fn to_further(begin: usize, bits: usize, first: usize) -> Entry {
        Entry(FURTHER | ((begin & 0x7fff) << 16 | bits << 8 | first) as u32)
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the lowest are wanted")]
fn word(bits: u64) -> usize {
    bits as usize
}

/// A code: `BITS` lead to an entry, for longer codes to a further table, which lies behind that. `SIZE` is a power of two with room
/// for all of them.
pub(super) struct Code<const BITS: usize, const SIZE: usize> {
    table: Box<[Entry; SIZE]>,
}

impl<const BITS: usize, const SIZE: usize> Default for Code<BITS, SIZE> {
    fn default() -> Self {
        Code { table: Box::new([Entry::UNUSED; SIZE]) }
    }
}

impl<const BITS: usize, const SIZE: usize> Code<BITS, SIZE> {
    /// Takes the code with these lengths. As in zlib, a code that is not complete is refused unless it has but one
    /// symbol, and that of one bit (or none).
    pub(super) fn set(&mut self, lengths: &[u8], entries: &[Entry], lone: bool) -> io::Result<()> {
        let mut counts = [0_u16; LONGEST + 1];
        for &length in lengths {
            counts[usize::from(length & 15)] += 1;
        }
        counts[0] = 0;
        let mut left = 1_i32;
        let mut offsets = [0_usize; LONGEST + 2];
        for length in 1..=LONGEST {
            left = (left << 1) - i32::from(counts[length]);
            if left < 0 {
                return Err(invalid("a code with more symbols than fit"));
            }
            offsets[length + 1] = offsets[length] + usize::from(counts[length]);
        }
        let used = offsets[LONGEST + 1];
        let single = used == 0 || (used == 1 && counts[1] == 1);
        if left > 0 {
            if !(lone && single) {
                return Err(invalid("a code that is not complete"));
            }
            self.table[..1 << BITS].fill(Entry::UNUSED);
        }
        let mut symbols = [0_u16; 320];
        for (symbol, &length) in (0_u16..).zip(lengths) {
            if length > 0 {
                let at = &mut offsets[usize::from(length & 15)];
                symbols[*at] = symbol;
                *at += 1;
            }
        }
        let mut symbols = symbols[..used].iter().map(|&symbol| entries[usize::from(symbol)]);
        if left > 0 {
            if let Some(only) = symbols.next() {
                self.table[..1 << BITS].iter_mut().step_by(2).for_each(|place| *place = only.coded(1));
            }
            return Ok(());
        }

        // The bits of a code come first to last, so its index is the code read backwards. Whatever is set for the first half
        // of the codes of a length is so for the second.
        let mut code = 0_usize;
        for (length, &count) in counts.iter().enumerate().take(BITS + 1).skip(1) {
            let half = 1 << (length - 1);
            self.table.copy_within(..half, half);
            for symbol in symbols.by_ref().take(count.into()) {
                self.table[code & (SIZE - 1)] = symbol.coded(length);
                code = next(code, length);
            }
        }
        let (mut begin, mut size, mut prefix) = (1 << BITS, 0, usize::MAX);
        for length in BITS + 1..=LONGEST {
            for remaining in (1..=usize::from(counts[length])).rev() {
                let Some(symbol) = symbols.next() else { break };
                if code & ((1 << BITS) - 1) != prefix {
                    prefix = code & ((1 << BITS) - 1);
                    begin += size;
                    let mut bits = length - BITS;
                    let mut full = remaining;
                    while full < 1 << bits && BITS + bits < LONGEST {
                        bits += 1;
                        full = (full << 1) + usize::from(counts[BITS + bits]);
                    }
                    size = 1 << bits;
                    self.table[prefix] = Entry::to_further(begin, bits, BITS);
                }
                let Some(further) = self.table.get_mut(begin..begin + size) else {
                    return Err(invalid("a code with more symbols than fit"));
                };
                let places = further[code >> BITS..].iter_mut().step_by(1 << (length - BITS));
                places.for_each(|place| *place = symbol.coded(length - BITS));
                code = next(code, length);
            }
        }
        Ok(())
    }

    /// What comes next.
    #[inline]
    pub(super) fn look(&self, bits: u64) -> Entry {
        self.table[word(bits) & ((1 << BITS) - 1)]
    }

    /// What an entry leads to that is further; `bits` are those after it.
    #[inline]
    pub(super) fn further(&self, entry: Entry, bits: u64) -> Entry {
        self.table[(entry.upper() + (word(bits) & ((1 << entry.field()) - 1))) & (SIZE - 1)]
    }
}

/// The code after this one of the same length, both read backwards; of the last one, the same again.
fn next(code: usize, length: usize) -> usize {
    let zeros = !code & ((1 << length) - 1);
    match zeros.checked_ilog2() {
        Some(bit) => code & ((1 << bit) - 1) | 1 << bit,
        None => code,
    }
}
