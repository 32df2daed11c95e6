//! The codes of a deflate stream's blocks (RFC 1951, 3.2), and the way through a block.

use std::io;

use super::{bits::Bits, invalid};

/// The longest code there is, in bits.
const LONGEST: usize = 15;

/// What the tables give for literals and lengths: how many bits the code has, how many bytes it stands for, how many
/// further bits there are that add to them, and what follows.
#[derive(Clone, Copy)]
struct Entry {
    bits: u8,
    extra: u8,
    base: u16,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No byte before is needed: one literal, or two.
    Literal,
    /// A distance follows.
    Length,
    EndOfBlock,
    /// A code longer than the table's index: decoded bit by bit.
    Long,
    Unused,
}

const UNUSED: Entry = Entry { bits: 0, extra: 0, base: 0, kind: Kind::Unused };

/// A code (RFC 1951, 3.2.2) as a table of its short codes, and what is needed to decode the others.
struct Code<const BITS: usize> {
    table: Vec<Entry>,
    /// How many codes have each length.
    counts: [u16; LONGEST + 1],
    /// The symbols, by length and then by value.
    symbols: Vec<u16>,
}

impl<const BITS: usize> Default for Code<BITS> {
    fn default() -> Self {
        Code { table: vec![UNUSED; 1 << BITS], counts: [0; LONGEST + 1], symbols: Vec::new() }
    }
}

impl<const BITS: usize> Code<BITS> {
    /// Takes the code with these lengths. As in zlib, a code that is not complete is refused unless it has but one
    /// symbol, and that of one bit (or none).
    fn set(&mut self, lengths: &[u8], entry: impl Fn(u16) -> Entry, lone: bool) -> io::Result<()> {
        self.counts = [0; LONGEST + 1];
        for &length in lengths {
            self.counts[usize::from(length)] += 1;
        }
        self.counts[0] = 0;
        let mut left = 1_i32;
        let mut offsets = [0_usize; LONGEST + 2];
        for length in 1..=LONGEST {
            left = (left << 1) - i32::from(self.counts[length]);
            if left < 0 {
                return Err(invalid("a code with more symbols than fit"));
            }
            offsets[length + 1] = offsets[length] + usize::from(self.counts[length]);
        }
        let used = offsets[LONGEST + 1];
        let single = used == 0 || (used == 1 && self.counts[1] == 1);
        if left > 0 && !(lone && single) {
            return Err(invalid("a code that is not complete"));
        }
        self.symbols.clear();
        self.symbols.resize(used, 0);
        for (symbol, &length) in (0_u16..).zip(lengths) {
            if length > 0 {
                let at = &mut offsets[usize::from(length)];
                self.symbols[*at] = symbol;
                *at += 1;
            }
        }

        self.table.fill(UNUSED);
        let mut next = 0;
        let mut code = 0_usize;
        for length in 1..=LONGEST {
            for _ in 0..self.counts[length] {
                let symbol = self.symbols[next];
                next += 1;
                let reversed = code.reverse_bits() >> (usize::BITS as usize - length);
                code += 1;
                if length > BITS {
                    self.table[reversed & ((1 << BITS) - 1)].kind = Kind::Long;
                    continue;
                }
                #[allow(clippy::cast_possible_truncation, reason = "at most 15")]
                let entry = Entry { bits: length as u8, ..entry(symbol) };
                for place in self.table[reversed..].iter_mut().step_by(1 << length) {
                    *place = entry;
                }
            }
            code <<= 1;
        }
        Ok(())
    }

    /// Two short literals in one look: most of a text is literals.
    fn pair(&mut self) {
        for at in (0..1_usize << BITS).rev() {
            let first = self.table[at];
            if first.kind != Kind::Literal || first.base != 1 {
                continue;
            }
            // The second is at a smaller index or this very one, so it was not paired yet.
            let second = self.table[at >> first.bits];
            if second.kind == Kind::Literal
                && second.base == 1
                && usize::from(first.bits + second.bits) <= BITS
            {
                self.table[at] = Entry { bits: first.bits + second.bits, base: 2, ..first };
            }
        }
    }

    /// The symbol of the code that comes next, bit by bit, and its length.
    #[cold]
    fn long(&self, hold: u64) -> io::Result<(u16, u8)> {
        let (mut code, mut first, mut index) = (0_usize, 0_usize, 0_usize);
        for length in 1..=LONGEST {
            code |= usize::from(hold >> (length - 1) & 1 == 1);
            let count = usize::from(self.counts[length]);
            if code < first + count {
                #[allow(clippy::cast_possible_truncation, reason = "at most 15")]
                return Ok((self.symbols[index + code - first], length as u8));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(invalid("a code that stands for nothing"))
    }
}

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

fn literal_or_length(symbol: u16) -> Entry {
    match symbol {
        0..=255 => Entry { bits: 0, extra: 0, base: 1, kind: Kind::Literal },
        256 => Entry { kind: Kind::EndOfBlock, ..UNUSED },
        _ => match usize::from(symbol - 257) {
            at @ 0..29 => {
                Entry { bits: 0, extra: LENGTH_EXTRA[at], base: LENGTH_BASES[at], kind: Kind::Length }
            }
            _ => UNUSED,
        },
    }
}

fn distance(symbol: u16) -> Entry {
    match usize::from(symbol) {
        at @ 0..30 => {
            Entry { bits: 0, extra: DISTANCE_EXTRA[at], base: DISTANCE_BASES[at], kind: Kind::Length }
        }
        _ => UNUSED,
    }
}

/// In which order the lengths of the code lengths' own code stand.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The codes of a block.
#[derive(Default)]
pub(super) struct Codes {
    lengths: Code<7>,
    literals: Code<11>,
    distances: Code<8>,
    fixed: bool,
}

impl Codes {
    /// Goes through a block, adding up what it stands for; says whether it was the last.
    pub(super) fn pass(&mut self, bits: &mut Bits<'_>, size: &mut u64) -> io::Result<bool> {
        bits.fill()?;
        let last = bits.take(1) == 1;
        match bits.take(2) {
            0 => *size += bits.stored()?,
            1 => {
                self.fix()?;
                self.block(bits, size)?;
            }
            2 => {
                self.read(bits)?;
                self.block(bits, size)?;
            }
            _ => return Err(invalid("a block of an unknown type")),
        }
        if bits.overrun() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(last)
    }

    /// The codes that need not be described (RFC 1951, 3.2.6).
    fn fix(&mut self) -> io::Result<()> {
        if self.fixed {
            return Ok(());
        }
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.literals.set(&lengths, literal_or_length, false)?;
        self.literals.pair();
        self.distances.set(&[5; 32], distance, false)?;
        self.fixed = true;
        Ok(())
    }

    /// Codes that are described at a block's start (RFC 1951, 3.2.7).
    #[allow(clippy::cast_possible_truncation, reason = "numbers of few bits")]
    fn read(&mut self, bits: &mut Bits<'_>) -> io::Result<()> {
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
        self.lengths.set(&own, |symbol| Entry { base: symbol, kind: Kind::Literal, ..UNUSED }, false)?;

        let mut lengths = [0_u8; 286 + 30];
        let mut at = 0;
        while at < literals + distances {
            bits.fill()?;
            let entry = self.lengths.table[(bits.hold & 0x7f) as usize];
            if entry.kind == Kind::Unused {
                return Err(invalid("a code that stands for nothing"));
            }
            bits.drop(u32::from(entry.bits));
            #[allow(clippy::cast_possible_truncation, reason = "at most 15")]
            let (value, times) = match entry.base {
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
        self.literals.set(&lengths[..literals], literal_or_length, true)?;
        self.literals.pair();
        self.distances.set(&lengths[literals..literals + distances], distance, true)
    }

    /// Goes through a block's codes to its end, adding up what they stand for.
    fn block(&self, bits: &mut Bits<'_>, size: &mut u64) -> io::Result<()> {
        let mut total = *size;
        loop {
            bits.fill()?;
            let mut entry = self.literals.table[(bits.hold & 0x7ff) as usize];
            // What is held is enough for three looks at literals, or for a length with its distance.
            if entry.kind == Kind::Literal {
                bits.drop(u32::from(entry.bits));
                total += u64::from(entry.base);
                entry = self.literals.table[(bits.hold & 0x7ff) as usize];
                if entry.kind == Kind::Literal {
                    bits.drop(u32::from(entry.bits));
                    total += u64::from(entry.base);
                    entry = self.literals.table[(bits.hold & 0x7ff) as usize];
                    if entry.kind == Kind::Literal {
                        bits.drop(u32::from(entry.bits));
                        total += u64::from(entry.base);
                    }
                    continue;
                }
                bits.fill()?;
            }
            if entry.kind == Kind::Long {
                let (symbol, length) = self.literals.long(bits.hold)?;
                entry = Entry { bits: length, ..literal_or_length(symbol) };
            }
            bits.drop(u32::from(entry.bits));
            match entry.kind {
                Kind::Literal => {
                    total += u64::from(entry.base);
                    continue;
                }
                Kind::EndOfBlock => break,
                Kind::Length => {}
                Kind::Long | Kind::Unused => return Err(invalid("a code that stands for nothing")),
            }
            let length = u64::from(entry.base) + bits.take(u32::from(entry.extra));
            let mut entry = self.distances.table[(bits.hold & 0xff) as usize];
            if entry.kind == Kind::Long {
                let (symbol, length) = self.distances.long(bits.hold)?;
                entry = Entry { bits: length, ..distance(symbol) };
            }
            if entry.kind != Kind::Length {
                return Err(invalid("a code that stands for nothing"));
            }
            bits.drop(u32::from(entry.bits));
            let distance = u64::from(entry.base) + bits.take(u32::from(entry.extra));
            // Joined to others, the stream would reach into the one before.
            if distance > total {
                return Err(invalid("a distance that reaches before the stream's start"));
            }
            total += length;
            if bits.overrun() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        *size = total;
        Ok(())
    }
}
