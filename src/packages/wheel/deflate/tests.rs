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

/// A stream of which each read gives seven bytes at most.
struct InPieces<'a>(&'a [u8]);

impl Read for InPieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(7);
        self.0.read(&mut into[..length])
    }
}

/// What lies between a stream's access points, the last part first; a block does not end where none of them is.
fn part_by_part(stream: &[u8], end: StreamEnd, size: usize) -> Vec<u8> {
    let (same, points) = inflate_and_mark(&mut &*stream, &mut |_| Ok(()), 0).expect("a whole stream");
    assert_eq!(same, end);
    let mut out = vec![0; size];
    let ends: Vec<_> = std::iter::once(None).chain(points.iter().map(Some)).collect();
    for (at, &from) in ends.iter().enumerate().rev() {
        let (bit, mut place) =
            from.map_or((0, 0), |from| (from.bit, usize::try_from(from.at).expect("small")));
        let until = ends.get(at + 1).copied().flatten();
        let inflate = |until: Option<u64>, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>| {
            let begin = usize::try_from(bit / 8).expect("small");
            inflate_between(&mut &stream[begin..], from, until, sink)
        };
        let mut put = |bytes: &[u8]| {
            out[place..place + bytes.len()].copy_from_slice(bytes);
            place += bytes.len();
            Ok(())
        };
        inflate(until.map(|until| until.bit), &mut put).expect("a part");
        assert_eq!(place as u64, until.map_or(size as u64, |until| until.at));
        inflate(Some(until.map_or(end.end, |until| until.bit) - 1), &mut |_| Ok(()))
            .expect_err("no block ends there");
    }
    out
}

fn check(bytes: &[u8], stream: &[u8]) {
    let end = walk(&mut &*stream).expect("a whole stream");
    assert_eq!((end.size, end.bytes()), (bytes.len() as u64, stream.len() as u64));
    let mut out = vec![0; bytes.len()];
    assert_eq!(super::inflate(stream, &mut out).expect("a whole stream"), end);
    assert!(out == bytes);
    let mut pieces = Vec::new();
    let mut take = |piece: &[u8]| {
        pieces.extend_from_slice(piece);
        Ok(())
    };
    assert_eq!(inflate_in_pieces(&mut &*stream, &mut take).expect("a whole stream"), end);
    assert!(pieces == bytes);
    assert_eq!(part_by_part(stream, end, bytes.len()), bytes);
    if let Some(less) = bytes.len().checked_sub(1) {
        super::inflate(stream, &mut out[..less]).expect_err("there is no room for its last byte");
    }
    assert_eq!(inflated(&reopened(stream, end)), bytes);
    // However the bytes arrive.
    if stream.len() < 2000 {
        assert_eq!(walk(&mut InPieces(stream)).expect("a whole stream"), end);
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
    // More than one piece, with distances from one into the one before, in coded and in stored blocks.
    let long = sample(1_400_000, 9);
    for level in [0, 6] {
        check(&long, &deflated(&long, level));
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

/// What zlib takes is taken, with the same bytes and the same end; what it refuses is refused.
fn as_zlib(stream: &[u8]) -> Result<(), TestCaseError> {
    let mut out = Vec::with_capacity(1 << 20);
    let mut inflater = flate2::Decompress::new(false);
    let zlib = inflater.decompress_vec(stream, &mut out, flate2::FlushDecompress::Finish);
    let ours = walk(&mut &*stream);
    let mut room = vec![0; out.len()];
    let mut pieces = Vec::new();
    let mut take = |piece: &[u8]| {
        pieces.extend_from_slice(piece);
        Ok(())
    };
    let in_pieces = inflate_in_pieces(&mut &*stream, &mut take);
    prop_assert_eq!(in_pieces.as_ref().ok(), ours.as_ref().ok());
    prop_assert!(in_pieces.is_err() || pieces == out);
    if let (Ok(both), Ok(walked)) = (super::inflate(stream, &mut room), &ours) {
        prop_assert_eq!(both, *walked);
        prop_assert!(room == out);
    }
    if let Ok(flate2::Status::StreamEnd) = zlib {
        let end = ours.expect("as zlib");
        prop_assert_eq!((end.size, end.bytes()), (inflater.total_out(), inflater.total_in()));
    } else {
        prop_assert!(ours.is_err(), "{:?} {:?}", zlib, ours);
    }
    Ok(())
}

/// A stream that is put together bit by bit.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    bits: usize,
}

impl Writer {
    /// A number, its lowest bit first.
    fn number(mut self, value: usize, count: usize) -> Self {
        for bit in 0..count {
            self = self.bit(value >> bit & 1);
        }
        self
    }

    /// A code, its highest bit first.
    fn code(mut self, value: usize, count: usize) -> Self {
        for bit in (0..count).rev() {
            self = self.bit(value >> bit & 1);
        }
        self
    }

    fn bit(mut self, bit: usize) -> Self {
        if self.bits.is_multiple_of(8) {
            self.bytes.push(0);
        }
        self.bytes[self.bits / 8] |= u8::try_from(bit << (self.bits % 8)).expect("a bit");
        self.bits += 1;
        self
    }

    /// A stored block, which is not the last.
    fn stored(mut self, bytes: &[u8]) -> Self {
        self = self.number(0, 3);
        while !self.bits.is_multiple_of(8) {
            self = self.bit(0);
        }
        self = self.number(bytes.len(), 16).number(bytes.len() ^ 0xffff, 16);
        self.bits += 8 * bytes.len();
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The head of a last block with codes of its own. Its lengths' code has four bits for 0 to 12 and for the repeats.
    fn described(mut self, literals: usize, distances: usize) -> Self {
        self = self.number(1, 1).number(2, 2);
        self = self.number(literals - 257, 5).number(distances - 1, 5).number(19 - 4, 4);
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
            self = self.number(if (13..16).contains(&symbol) { 0 } else { 4 }, 3);
        }
        self
    }

    /// A code's length, or how often to repeat one (16 to 18, with what adds to that).
    fn length(self, symbol: usize, more: usize) -> Self {
        match symbol {
            16 => self.code(13, 4).number(more, 2),
            17 => self.code(14, 4).number(more, 3),
            18 => self.code(15, 4).number(more, 7),
            length => self.code(length, 4),
        }
    }

    /// A last block of fixed codes.
    fn fixed(self) -> Self {
        self.number(1, 1).number(1, 2)
    }
}

/// Lengths of a complete code with so many symbols, none longer than 12: leaves are parted as `choices` say.
fn complete(symbols: usize, choices: &[u16]) -> Vec<usize> {
    let mut lengths = vec![0_usize];
    for at in 0.. {
        let open: Vec<usize> = (0..lengths.len()).filter(|&leaf| lengths[leaf] < 12).collect();
        if lengths.len() >= symbols || open.is_empty() {
            break;
        }
        let leaf = open[usize::from(choices[at % choices.len()]).wrapping_mul(at + 1) % open.len()];
        lengths[leaf] += 1;
        lengths.push(lengths[leaf]);
    }
    lengths
}

#[test]
fn what_no_code_stands_for_is_refused() {
    let end = |writer: Writer| writer.code(0, 7);
    // All of 286 and 30 lengths but the first ones: zeros, then 256 with one bit.
    let zeros = |writer: Writer, count: usize| (0..count).fold(writer, |writer, _| writer.length(0, 0));
    let cases: Vec<(&str, Writer)> = vec![
        ("unknown type", Writer::default().number(1, 1).number(3, 2)),
        ("complement disagree", Writer::default().number(1, 8).number(5, 16).number(5, 16)),
        // 286 and 287 have codes, and mean nothing; as do distances 30 and 31.
        ("stands for nothing", end(Writer::default().fixed().code(0b1100_0110, 8))),
        ("stands for nothing", end(Writer::default().fixed().code(0b1100_0111, 8))),
        ("stands for nothing", end(Writer::default().fixed().code(0x30, 8).code(1, 7).code(30, 5))),
        ("stands for nothing", end(Writer::default().fixed().code(0x30, 8).code(1, 7).code(31, 5))),
        ("too many symbols", Writer::default().described(287, 1)),
        ("too many symbols", Writer::default().described(288, 1)),
        ("too many symbols", Writer::default().described(257, 31)),
        ("too many symbols", Writer::default().described(257, 32)),
        ("none before", Writer::default().described(257, 1).length(16, 0)),
        ("more lengths", zeros(Writer::default().described(257, 1), 250).length(18, 0)),
        ("cannot end", zeros(Writer::default().described(257, 1), 258)),
        ("not complete", zeros(Writer::default().described(257, 1), 256).length(2, 0).length(0, 0)),
        ("more symbols than fit", {
            let three = Writer::default().described(257, 1).length(1, 0).length(1, 0);
            zeros(three, 254).length(1, 0).length(0, 0)
        }),
        ("not complete", zeros(Writer::default().described(257, 1), 256).length(1, 0).length(2, 0)),
    ];
    for (why, writer) in cases {
        // More than enough follows, so that nothing is refused for its length.
        let stream = [&writer.bytes[..], &[0; 64]].concat();
        let error = walk(&mut &*stream).expect_err(why);
        assert!(error.to_string().contains(why), "{error}, expected {why}");
        as_zlib(&stream).expect("as zlib");
    }
    // One code of one bit, for the end alone, with no distance at all or a lone one: zlib takes that.
    for distance in [0, 1] {
        let writer = zeros(Writer::default().described(257, 1), 256).length(1, 0).length(distance, 0);
        let stream = writer.code(0, 1).bytes;
        assert_eq!(walk(&mut &*stream).expect("a stream").size, 0);
        as_zlib(&stream).expect("as zlib");
    }
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
        as_zlib(&stream)?;
    }

    /// Codes of every shape, complete or off by one symbol, with distances into a whole window, and whatever bits.
    #[test]
    fn codes_of_every_shape_are_read_as_by_zlib(
        symbols in 2_usize..287, distances in 0_usize..31, shape in proptest::collection::vec(0_u16..u16::MAX, 1..40),
        turn in 0_usize..286, off in 0_usize..40, body in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        window in prop_oneof![Just(0_usize), Just(100), Just(40_000)],
    ) {
        let spread = |lengths: Vec<usize>, places: usize| {
            let mut spread = vec![0; places];
            for (at, length) in lengths.into_iter().enumerate() {
                // 256 is among them; 7 has no divisor in common with 286 or 30.
                spread[(256 + at * 7) % places] = length;
            }
            spread
        };
        let mut lengths = spread(complete(symbols, &shape), 286);
        lengths.extend(spread(if distances == 0 { Vec::new() } else { complete(distances, &shape) }, 30));
        if off == 0 {
            lengths[turn] = (lengths[turn] + 1) % 13;
        }
        let window = sample(window, 5);
        let mut writer = Writer::default();
        if !window.is_empty() {
            writer = writer.stored(&window);
        }
        writer = writer.described(286, 30);
        for length in lengths {
            writer = writer.length(length, 0);
        }
        for byte in body {
            writer = writer.number(byte.into(), 8);
        }
        as_zlib(&writer.bytes)?;
    }
}
