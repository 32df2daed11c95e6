//! Where a deflate stream's last block begins and where the stream ends (RFC 1951).
//!
//! Streams can be joined into one without inflating and compressing them again, once the mark of the last block is
//! cleared in each but the last (zlib's `examples/gzjoin.c`). No library that inflates says where that mark is, so
//! this walks through a stream's blocks: codes are decoded and lengths added up, but no byte is put out.

use std::{
    cell::RefCell,
    io::{self, Read},
};

use zlib_rs::{Inflate, InflateFlush, Status};

/// Where a deflate stream ends, in bits from its first (bit 0 is the least significant of the first byte).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamEnd {
    /// Where the last block's header begins; its first bit is the mark of the last block.
    pub last_block: u64,
    /// Where the first bit after the stream would be.
    pub end: u64,
    /// How many bytes the stream inflates to.
    pub size: u64,
}

impl StreamEnd {
    /// How many bytes the stream takes, the last one perhaps in part.
    pub(crate) fn bytes(&self) -> u64 {
        self.end.div_ceil(8)
    }
}

/// Reads a stream from `input` up to its end, buffering what it reads.
///
/// # Errors
/// Those of `input`; [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] where what it holds is no whole
/// stream that zlib would inflate.
pub(crate) fn walk(input: &mut dyn Read) -> io::Result<StreamEnd> {
    with_tools(|tools| {
        let mut bits = Bits::new(input, &mut tools.buffer);
        let mut size = 0;
        loop {
            let last_block = bits.position();
            if tools.codes.pass(&mut bits, &mut size)? {
                return Ok(StreamEnd { last_block, end: bits.position(), size });
            }
        }
    })
}

/// Inflates a stream into `out`, which has room for as many bytes as it gives, and finds its end: in two thirds of the time
/// of inflating and walking, since zlib stops where blocks begin. It says at which byte, not at which bit; that is known once only
/// one bit there begins a block which ends where the stream does.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] for what is no whole stream, and for one that gives
/// more bytes.
pub(crate) fn inflate(stream: &[u8], out: &mut [u8]) -> io::Result<StreamEnd> {
    let number = |at: u64| usize::try_from(at).map_err(io::Error::other);
    let found = with_tools(|tools| -> io::Result<Option<StreamEnd>> {
        let zlib = &mut tools.zlib;
        zlib.reset(false);
        let mut block = (0, 0);
        let mut begun = false;
        loop {
            let before = (zlib.total_in(), zlib.total_out());
            let (rest, room) = (&stream[number(before.0)?..], &mut out[number(before.1)?..]);
            let status = zlib
                .decompress(rest, room, InflateFlush::Block)
                .map_err(|_| invalid("a stream that zlib does not inflate"))?;
            let after = (zlib.total_in(), zlib.total_out());
            match status {
                Status::StreamEnd => break,
                // Only at the stream's own beginning does it stop without having read anything.
                _ if after == before && begun => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => (block, begun) = (after, true),
            }
        }
        let (end, size) = (zlib.total_in(), zlib.total_out());
        let stream = &stream[..number(end)?];
        let mut found = None;
        for begin in (block.0 * 8).saturating_sub(7)..=block.0 * 8 {
            let at = number(begin / 8)?;
            if stream.get(at).is_none_or(|byte| byte >> (begin % 8) & 1 == 0) {
                continue;
            }
            let mut input = &stream[at..];
            let mut bits = Bits::new(&mut input, &mut tools.buffer);
            bits.fill()?;
            bits.drop((begin % 8) as u32);
            let mut got = block.1;
            if !tools.codes.pass(&mut bits, &mut got).unwrap_or(false) {
                continue;
            }
            let stop = at as u64 * 8 + bits.position();
            if got == size && stop.div_ceil(8) == end {
                if found.is_some() {
                    return Ok(None);
                }
                found = Some(StreamEnd { last_block: begin, end: stop, size });
            }
        }
        Ok(found)
    })?;
    match found {
        Some(end) => Ok(end),
        None => walk(&mut &*stream),
    }
}

/// What a thread reuses from stream to stream.
struct Tools {
    buffer: Vec<u8>,
    codes: Codes,
    zlib: Inflate,
}

/// Lends this thread's tools.
fn with_tools<T>(work: impl FnOnce(&mut Tools) -> T) -> T {
    thread_local!(static TOOLS: RefCell<Option<Box<Tools>>> = const { RefCell::new(None) });
    let mut tools = TOOLS.with_borrow_mut(Option::take).unwrap_or_else(|| {
        Box::new(Tools { buffer: vec![0; BUFFER], codes: Codes::default(), zlib: Inflate::new(false, 15) })
    });
    let result = work(&mut tools);
    TOOLS.set(Some(tools));
    result
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// How much is read at a time.
const BUFFER: usize = 64 << 10;

/// What `input` holds, bit by bit. Past its end come zeros, which [`Bits::overrun`] tells.
struct Bits<'i> {
    input: &'i mut dyn Read,
    buffer: &'i mut [u8],
    /// The next byte of `buffer`, and how many it holds.
    at: usize,
    filled: usize,
    /// Bytes that went through the buffer before it was filled last.
    before: u64,
    /// Zero bytes made up after the end.
    missing: u64,
    ended: bool,
    hold: u64,
    held: u32,
}

impl<'i> Bits<'i> {
    fn new(input: &'i mut dyn Read, buffer: &'i mut [u8]) -> Self {
        Bits { input, buffer, at: 0, filled: 0, before: 0, missing: 0, ended: false, hold: 0, held: 0 }
    }

    /// How many bits were taken.
    fn position(&self) -> u64 {
        (self.before + self.at as u64 + self.missing) * 8 - u64::from(self.held)
    }

    /// Whether bits were taken that `input` does not have.
    fn overrun(&self) -> bool {
        self.missing * 8 > u64::from(self.held)
    }

    /// Holds at least 56 bits afterwards.
    #[inline]
    fn fill(&mut self) -> io::Result<()> {
        if let Some(next) = self.buffer[self.at..self.filled].first_chunk::<8>() {
            // Bits beyond `held` are taken again next time; they are the same then.
            self.hold |= u64::from_le_bytes(*next) << self.held;
            let taken = (63 - self.held) >> 3;
            self.at += taken as usize;
            self.held += taken * 8;
            return Ok(());
        }
        self.fill_slowly()
    }

    #[cold]
    fn fill_slowly(&mut self) -> io::Result<()> {
        if self.overrun() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The fast way may have left bits of bytes that were not taken.
        self.hold &= (1_u64 << self.held) - 1;
        while self.held < 56 {
            if self.at == self.filled && !self.ended {
                self.refill()?;
            }
            let byte = if self.at < self.filled {
                self.at += 1;
                self.buffer[self.at - 1]
            } else {
                self.missing += 1;
                0
            };
            self.hold |= u64::from(byte) << self.held;
            self.held += 8;
        }
        Ok(())
    }

    fn refill(&mut self) -> io::Result<()> {
        self.before += self.filled as u64;
        (self.at, self.filled) = (0, 0);
        loop {
            match self.input.read(self.buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.filled = count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    /// The next bits, which must be held.
    #[inline]
    fn take(&mut self, count: u32) -> u64 {
        let bits = self.hold & ((1 << count) - 1);
        self.drop(count);
        bits
    }

    #[inline]
    fn drop(&mut self, count: u32) {
        self.hold >>= count;
        self.held -= count;
    }

    /// Skips a stored block's bytes and says how many they are.
    fn stored(&mut self) -> io::Result<u64> {
        self.drop(self.held % 8);
        self.fill()?;
        let length = self.take(16);
        if self.take(16) != length ^ 0xffff {
            return Err(invalid("a stored block whose length and its complement disagree"));
        }
        // What is held is whole bytes now.
        self.hold &= (1_u64 << self.held) - 1;
        let mut left = length;
        while left > 0 && self.held >= 8 {
            self.drop(8);
            left -= 1;
        }
        while left > 0 {
            if self.at == self.filled {
                self.refill()?;
                if self.ended {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let here = left.min((self.filled - self.at) as u64);
            self.at += usize::try_from(here).unwrap_or(0);
            left -= here;
        }
        Ok(length)
    }
}

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
struct Codes {
    lengths: Code<7>,
    literals: Code<11>,
    distances: Code<8>,
    fixed: bool,
}

impl Codes {
    /// Goes through a block, adding up what it stands for; says whether it was the last.
    fn pass(&mut self, bits: &mut Bits<'_>, size: &mut u64) -> io::Result<bool> {
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;

    use super::*;

    fn deflated(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory")
    }

    /// Text that compresses, and noise that does not.
    fn sample(length: usize, seed: u32) -> Vec<u8> {
        let mut state = seed | 1;
        (0..length)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at / 3000 % 2 == 0 {
                    b"import os, sys"[(state >> 28) as usize % 14]
                } else {
                    (state >> 24) as u8
                }
            })
            .collect()
    }

    /// The stream with its last block no longer marked and an empty last block after it: inflates to the same only if
    /// both places were right.
    fn reopened(stream: &[u8], end: StreamEnd) -> Vec<u8> {
        let mut out = stream[..usize::try_from(end.bytes()).expect("small")].to_vec();
        let at = usize::try_from(end.last_block).expect("small");
        assert_eq!(out[at / 8] >> (at % 8) & 1, 1, "the last block is marked");
        out[at / 8] &= !(1 << (at % 8));
        // A last block of fixed codes that ends at once: bits 1, 1, 0 and seven zeros.
        let mut put = |at: u64, bit: u8| {
            let byte = usize::try_from(at / 8).expect("small");
            out.resize(out.len().max(byte + 1), 0);
            out[byte] |= bit << (at % 8);
        };
        for (at, bit) in (end.end..).zip([1, 1, 0, 0, 0, 0, 0, 0, 0, 0]) {
            put(at, bit);
        }
        out
    }

    fn inflated(stream: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::DeflateDecoder::new(stream).read_to_end(&mut out).expect("a whole stream");
        out
    }

    fn check(bytes: &[u8], stream: &[u8]) {
        let end = walk(&mut &*stream).expect("a whole stream");
        assert_eq!((end.size, end.bytes()), (bytes.len() as u64, stream.len() as u64));
        let mut out = vec![0; bytes.len()];
        assert_eq!(super::inflate(stream, &mut out).expect("a whole stream"), end);
        assert!(out == bytes);
        if let Some(less) = bytes.len().checked_sub(1) {
            super::inflate(stream, &mut out[..less]).expect_err("there is no room for its last byte");
        }
        assert_eq!(inflated(&reopened(stream, end)), bytes);
        // However the bytes arrive.
        let mut slow = stream
            .chunks(7)
            .collect::<Vec<_>>()
            .into_iter()
            .fold(Box::new(io::empty()) as Box<dyn Read>, |before, chunk| Box::new(before.chain(chunk)));
        if stream.len() < 2000 {
            assert_eq!(walk(&mut slow).expect("a whole stream"), end);
        }
    }

    #[test]
    fn the_end_is_found_in_streams_of_every_kind_of_block() {
        for length in [0, 1, 2, 100, 300, 4000, 70_000, 300_000] {
            let bytes = sample(length, 7);
            for level in [0, 1, 6, 9] {
                check(&bytes, &deflated(&bytes, level));
            }
            let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
            let mut out = vec![0; compressor.deflate_compress_bound(length)];
            let size = compressor.deflate_compress(&bytes, &mut out).expect("room");
            check(&bytes, &out[..size]);
        }
        let zeros = vec![0; 1 << 20];
        check(&zeros, &deflated(&zeros, 6));
    }

    #[test]
    fn what_follows_the_stream_is_not_read_into_it() {
        let stream = deflated(b"abc", 6);
        let longer = [&stream[..], b"trailing"].concat();
        assert_eq!(walk(&mut &longer[..]).expect("a stream"), walk(&mut &stream[..]).expect("a stream"));
    }

    #[test]
    fn a_stream_that_ends_early_is_refused_at_every_length() {
        let bytes = sample(5000, 3);
        for level in [0, 6] {
            let stream = deflated(&bytes, level);
            for length in 0..stream.len() {
                assert!(walk(&mut &stream[..length]).is_err(), "{length} of {}", stream.len());
                assert!(
                    super::inflate(&stream[..length], &mut [0; 5000]).is_err(),
                    "{length} of {}",
                    stream.len()
                );
            }
        }
    }

    #[test]
    fn a_distance_before_the_start_is_refused() {
        // Fixed codes: one literal, then a length of 3 at distance 4.
        let mut bits: Vec<u8> = vec![1, 1, 0];
        bits.extend([0, 1, 1, 1, 0, 0, 0, 1]); // literal 'A' (0x30 + 65)
        bits.extend([0, 0, 0, 0, 0, 0, 1]); // length 3 (symbol 257)
        bits.extend([0, 0, 0, 1, 1]); // distance 4 (symbol 3)
        bits.extend([0; 7]);
        let mut stream = vec![0_u8; bits.len().div_ceil(8)];
        for (at, bit) in bits.iter().enumerate() {
            stream[at / 8] |= bit << (at % 8);
        }
        let error = walk(&mut &stream[..]).expect_err("it reaches too far");
        assert!(error.to_string().contains("before the stream's start"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_at_any_level(bytes in proptest::collection::vec(0_u8..20, 0..3000), level in 0_u32..10) {
            check(&bytes, &deflated(&bytes, level));
        }

        /// Never a panic, never without end; and what is taken, zlib takes too.
        #[test]
        fn damaged_streams_are_refused_as_zlib_does(
            bytes in proptest::collection::vec(0_u8..9, 0..600), at in 0_usize..400, bit in 0_u32..8, level in 1_u32..10,
        ) {
            let mut stream = deflated(&bytes, level);
            let at = at % stream.len();
            stream[at] ^= 1 << bit;
            let mut out = Vec::new();
            let mut inflater = flate2::Decompress::new(false);
            out.reserve(1 << 18);
            let zlib = inflater.decompress_vec(&stream, &mut out, flate2::FlushDecompress::Finish);
            let ours = walk(&mut &stream[..]);
            let mut room = vec![0; out.len()];
            if let (Ok(both), Ok(walked)) = (super::inflate(&stream, &mut room), &ours) {
                prop_assert_eq!(both, *walked);
                prop_assert!(room == out);
            }
            if let Ok(flate2::Status::StreamEnd) = zlib {
                let end = ours.expect("as zlib");
                prop_assert_eq!((end.size, end.bytes()), (inflater.total_out(), inflater.total_in()));
            } else {
                prop_assert!(ours.is_err(), "{:?} {:?}", zlib, ours);
            }
        }
    }
}
