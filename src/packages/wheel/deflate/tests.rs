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
        let mut pieces = Vec::new();
        let mut take = |piece: &[u8]| {
            pieces.extend_from_slice(piece);
            Ok(())
        };
        let in_pieces = inflate_in_pieces(&mut &stream[..], &mut take);
        prop_assert_eq!(in_pieces.as_ref().ok(), ours.as_ref().ok());
        prop_assert!(in_pieces.is_err() || pieces == out);
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
