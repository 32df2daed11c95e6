//! One gzip member (RFC 1952) of deflate streams that exist already, and of few bytes between them.
//!
//! Streams are joined as zlib's `examples/gzjoin.c` does: the last block of each loses its mark, an empty stored block
//! fills its last byte up, and the CRC-32s are combined. What lies between, tar headers above all, is encoded here:
//! they are so small and so like each other that a block of fixed codes with a look at the one before is smaller
//! and faster than what a compressor makes of each alone, and it never changes with a library's version.

use std::io::{self, Read, Write};

use super::tar::BLOCK;
use crate::packages::wheel::deflate::{
    DISTANCE_BASES, DISTANCE_EXTRA, LENGTH_BASES, LENGTH_EXTRA, StreamEnd,
};

/// No name, no time, an unknown system: nothing of the machine.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty block of fixed codes, marked as the last.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// How far back a length may reach.
const WINDOW: u64 = 32 << 10;

/// Shorter repetitions are cheaper as literals.
const SHORTEST: usize = 3;
const LONGEST: usize = 258;

/// Writes a gzip member, or several that follow each other.
pub(crate) struct Member<W> {
    out: Counted<W>,
    crc: u32,
    size: u64,
    /// The last block given to [`Member::bytes`], and where it begins in what is compressed.
    before: Vec<u8>,
    before_at: u64,
    copied: Vec<u8>,
}

impl<W: Write> Member<W> {
    /// Begins a member.
    pub(crate) fn new(out: W) -> io::Result<Self> {
        let mut out = Counted { out, count: 0 };
        out.write_all(&HEADER)?;
        Ok(Member { out, crc: 0, size: 0, before: Vec::new(), before_at: 0, copied: vec![0; 64 << 10] })
    }

    /// Adds what a deflate stream inflates to, by copying the stream, which `input` gives from its start. `crc` is the
    /// CRC-32 of the inflated bytes.
    pub(crate) fn stream(&mut self, input: &mut dyn Read, end: &StreamEnd, crc: u32) -> io::Result<()> {
        let total = end.bytes();
        let (marked, bit) = (end.last_block / 8, end.last_block % 8);
        let mut done = 0;
        while done < total {
            let length = (total - done).min(self.copied.len() as u64);
            let piece = &mut self.copied[..usize::try_from(length).unwrap_or(0)];
            input.read_exact(piece)?;
            if (done..done + length).contains(&marked) {
                piece[usize::try_from(marked - done).unwrap_or(0)] &= !(1 << bit);
            }
            done += length;
            if done == total
                && let Some(last) = piece.last_mut()
                && !end.end.is_multiple_of(8)
            {
                // What stands behind the stream in its last byte belongs to nobody.
                *last &= (1 << (end.end % 8)) - 1;
            }
            self.out.write_all(piece)?;
        }
        self.align(end.end)?;
        self.crc = zlib_rs::crc32::crc32_combine(self.crc, crc, end.size);
        self.size += end.size;
        Ok(())
    }

    /// Adds these few bytes. What their last block shares with that of the call before, or repeats itself, costs next
    /// to nothing.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        // The last blocks of both calls lie one over the other.
        let first = bytes.len().saturating_sub(BLOCK);
        let back = self.size + first as u64 - self.before_at;
        let known = back <= WINDOW && self.before.len() == bytes.len() - first;
        let before = if known { &self.before[..] } else { &[] };
        let mut bits = BitWriter::default();
        encode(bytes, before, usize::try_from(back).unwrap_or(usize::MAX), &mut bits);
        let end = bits.length;
        self.out.write_all(&bits.finish())?;
        self.align(end)?;
        self.crc = zlib_rs::crc32::crc32(self.crc, bytes);
        self.before.clear();
        self.before.extend_from_slice(&bytes[first..]);
        self.before_at = self.size + first as u64;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Ends the member and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end()?;
        Ok(self.out.out)
    }

    /// Ends the member and begins another; says where that is, counted from the first.
    pub(crate) fn again(&mut self) -> io::Result<u64> {
        self.end()?;
        let at = self.out.count;
        self.out.write_all(&HEADER)?;
        (self.crc, self.size, self.before_at) = (0, 0, 0);
        self.before.clear();
        Ok(at)
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(&LAST_BLOCK)?;
        self.out.write_all(&self.crc.to_le_bytes())?;
        #[allow(clippy::cast_possible_truncation, reason = "RFC 1952: modulo 2^32")]
        self.out.write_all(&(self.size as u32).to_le_bytes())
    }

    /// An empty stored block where what was written ended within a byte: three bits of header and zeros up to the next
    /// byte, then a length of zero and its complement.
    fn align(&mut self, end: u64) -> io::Result<()> {
        match end % 8 {
            0 => Ok(()),
            1..=5 => self.out.write_all(&[0, 0, 0xff, 0xff]),
            _ => self.out.write_all(&[0, 0, 0, 0xff, 0xff]),
        }
    }
}

/// Counts what is written.
struct Counted<W> {
    out: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes a block of fixed codes (RFC 1951, 3.2.6), not the last one. `before` is what stood `back` bytes before the end
/// of `bytes`.
fn encode(bytes: &[u8], before: &[u8], back: usize, bits: &mut BitWriter) {
    bits.put(0b010, 3);
    let mut at = 0;
    let first = bytes.len() - before.len();
    while at < bytes.len() {
        let limit = (bytes.len() - at).min(LONGEST);
        let rest = &bytes[at..at + limit];
        let old = at.checked_sub(first).map_or(&[][..], |at| &before[at..]);
        let as_before = old.iter().zip(rest).take_while(|(a, b)| a == b).count();
        let repeated = at.checked_sub(1).map(|last| bytes[last]);
        let run = rest.iter().take_while(|&&byte| Some(byte) == repeated).count();
        let (length, distance) = if as_before > run { (as_before, back) } else { (run, 1) };
        if length < SHORTEST {
            bits.literal(bytes[at]);
            at += 1;
            continue;
        }
        bits.length_and_distance(length, distance);
        at += length;
    }
    bits.code(256);
}

/// Bits, the least significant first.
#[derive(Default)]
struct BitWriter {
    out: Vec<u8>,
    hold: u64,
    held: u32,
    /// How many bits were put.
    length: u64,
}

impl BitWriter {
    fn put(&mut self, bits: u64, count: u32) {
        self.hold |= bits << self.held;
        self.held += count;
        self.length += u64::from(count);
        while self.held >= 8 {
            self.out.push((self.hold & 0xff) as u8);
            self.hold >>= 8;
            self.held -= 8;
        }
    }

    /// A code's bits go most significant first.
    fn reversed(&mut self, code: u16, count: u32) {
        self.put(u64::from(code.reverse_bits() >> (16 - count)), count);
    }

    fn literal(&mut self, byte: u8) {
        self.code(byte.into());
    }

    fn code(&mut self, symbol: u16) {
        match symbol {
            0..=143 => self.reversed(0x30 + symbol, 8),
            144..=255 => self.reversed(0x190 + (symbol - 144), 9),
            256..=279 => self.reversed(symbol - 256, 7),
            _ => self.reversed(0xc0 + (symbol - 280), 8),
        }
    }

    fn length_and_distance(&mut self, length: usize, distance: usize) {
        let at = LENGTH_BASES.partition_point(|&base| usize::from(base) <= length) - 1;
        // Positions in these tables are below 30.
        #[allow(clippy::cast_possible_truncation, reason = "small")]
        self.code(257 + at as u16);
        self.put((length - usize::from(LENGTH_BASES[at])) as u64, LENGTH_EXTRA[at].into());
        let at = DISTANCE_BASES.partition_point(|&base| usize::from(base) <= distance) - 1;
        #[allow(clippy::cast_possible_truncation, reason = "small")]
        self.reversed(at as u16, 5);
        self.put((distance - usize::from(DISTANCE_BASES[at])) as u64, DISTANCE_EXTRA[at].into());
    }

    fn finish(mut self) -> Vec<u8> {
        if self.held > 0 {
            self.out.push((self.hold & 0xff) as u8);
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;

    use super::*;
    use crate::packages::wheel::deflate::walk;

    enum Part {
        Stream(Vec<u8>, u32),
        Bytes(Vec<u8>),
    }

    fn joined(parts: &[Part]) -> (Vec<u8>, Vec<u8>) {
        let mut member = Member::new(Vec::new()).expect("memory");
        let mut plain = Vec::new();
        for part in parts {
            match part {
                Part::Bytes(bytes) => {
                    member.bytes(bytes).expect("memory");
                    plain.extend_from_slice(bytes);
                }
                Part::Stream(bytes, level) => {
                    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(*level));
                    let stream = encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory");
                    let end = walk(&mut &stream[..]).expect("a stream");
                    let crc = libdeflater::crc32(bytes);
                    member.stream(&mut &stream[..], &end, crc).expect("memory");
                    plain.extend_from_slice(bytes);
                }
            }
        }
        (member.finish().expect("memory"), plain)
    }

    /// One member, whole: nothing follows it, and length and CRC-32 are right.
    fn check(parts: &[Part]) -> usize {
        let (member, plain) = joined(parts);
        let mut decoder = flate2::bufread::GzDecoder::new(&member[..]);
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).expect("a whole member");
        assert!(decoder.into_inner().is_empty(), "one member");
        assert!(out == plain);
        // A second opinion.
        let mut out = vec![0; plain.len()];
        libdeflater::Decompressor::new().gzip_decompress(&member, &mut out).expect("a whole member");
        assert!(out == plain);
        member.len()
    }

    #[test]
    fn streams_and_bytes_become_one_member() {
        check(&[]);
        let text = b"import os\n".repeat(3000);
        let noise: Vec<u8> =
            (0..100_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
        for level in [0, 1, 6, 9] {
            check(&[
                Part::Bytes(vec![0; 512]),
                Part::Stream(text.clone(), level),
                Part::Bytes(vec![0; 700]),
                Part::Stream(Vec::new(), level),
                Part::Stream(noise.clone(), level),
                Part::Stream(b"x".to_vec(), level),
                Part::Bytes(noise[..512].to_vec()),
                Part::Bytes(noise[..512].to_vec()),
                Part::Bytes(noise[..600].to_vec()),
            ]);
        }
    }

    #[test]
    fn a_header_like_the_one_before_costs_little() {
        let mut header = vec![0; 512];
        header[..40].copy_from_slice(b".venv/lib/python3.9/site-packages/demo/a");
        header[100..157]
            .copy_from_slice(b"0000644\x000000000\x000000000\x0000000012345\x0002263000000\x00012345\x00 0");
        let once = check(&[Part::Bytes(header.clone())]);
        let mut next = header.clone();
        next[39] = b'b';
        let twice = check(&[Part::Bytes(header), Part::Bytes(next)]);
        assert!(twice - once < 25, "{once} {twice}");
    }

    #[test]
    fn the_member_says_nothing_of_the_machine() {
        let (member, _) = joined(&[]);
        assert_eq!(member[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    fn part() -> impl Strategy<Value = Part> {
        let bytes = || proptest::collection::vec(prop_oneof![Just(0_u8), Just(0), 0_u8..=255], 0..1500);
        prop_oneof![
            bytes().prop_map(Part::Bytes),
            (bytes(), 0_u32..10).prop_map(|(bytes, level)| Part::Stream(bytes, level)),
        ]
    }

    impl std::fmt::Debug for Part {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            match self {
                Part::Stream(bytes, level) => write!(f, "stream {level} {bytes:?}"),
                Part::Bytes(bytes) => write!(f, "bytes {bytes:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_parts(parts in proptest::collection::vec(part(), 0..12)) {
            check(&parts);
        }
    }
}
