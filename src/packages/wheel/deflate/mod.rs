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

use bits::{BUFFER, Bits};
use codes::Codes;
pub(crate) use codes::{DISTANCE_BASES, DISTANCE_EXTRA, LENGTH_BASES, LENGTH_EXTRA};

mod bits;
mod codes;
#[cfg(test)]
mod tests;

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
