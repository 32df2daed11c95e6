//! Where a deflate stream's last block begins and where the stream ends (RFC 1951).
//!
//! Streams can be joined into one without inflating and compressing them again, once the mark of the last block is
//! cleared in each but the last (zlib's `examples/gzjoin.c`). No library that inflates fast says to the bit where that mark is,
//! and a second pass for it alone took longer than inflating; so this decodes streams itself: into memory, or adding up
//! lengths only. As it knows where blocks begin, several threads can inflate one stream that was inflated before.

use std::{
    cell::RefCell,
    io::{self, Read},
};

use bits::{BUFFER, Bits};
use codes::Codes;
pub(crate) use codes::{DISTANCE_BASES, DISTANCE_EXTRA, LENGTH_BASES, LENGTH_EXTRA};
use room::Room;

mod bits;
mod block;
mod code;
mod codes;
mod room;
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

/// A place between two blocks of a stream, where inflating can begin (zlib's `examples/zran.c` has such).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessPoint {
    /// Where the block's head begins, in bits from the stream's first.
    pub bit: u64,
    /// How many bytes the stream inflates to before it.
    pub at: u64,
    /// The last [`WINDOW`] of these, which distances may reach.
    pub window: Box<[u8]>,
}

/// What a stream is read from; it may be read by another thread.
pub(crate) type Input<'i> = dyn Read + Send + 'i;

/// Reads a stream from `input` up to its end, buffering what it reads.
///
/// # Errors
/// Those of `input`; [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] where what it holds is no whole
/// stream that zlib would inflate.
pub(crate) fn walk(input: &mut Input<'_>) -> io::Result<StreamEnd> {
    with_tools(|Tools { buffer, codes, .. }| {
        let mut bits = Bits::new(input, buffer);
        let mut room = Room { out: &mut [], at: 0 };
        let mut way = Way::default();
        way.go::<false>(codes, &mut bits, &mut room)?;
        Ok(way.end(&bits, room.at as u64))
    })
}

/// Inflates a stream into `out`, which has room for as many bytes as it gives, and finds its end.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] for what is no whole stream, and for one that gives
/// more bytes.
pub(crate) fn inflate(mut stream: &[u8], out: &mut [u8]) -> io::Result<StreamEnd> {
    with_tools(|Tools { buffer, codes, .. }| {
        let mut bits = Bits::new(&mut stream, buffer);
        let mut room = Room { out, at: 0 };
        let mut way = Way::default();
        if !way.go::<true>(codes, &mut bits, &mut room)? {
            return Err(invalid("a stream that gives more bytes than are expected"));
        }
        Ok(way.end(&bits, room.at as u64))
    })
}

/// Inflates a stream of any size, gives `sink` the bytes piece by piece while the next are inflated, and finds the stream's
/// end.
///
/// # Errors
/// Those of `input` and `sink`; [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] for what is no whole stream.
pub(crate) fn inflate_in_pieces(
    input: &mut Input<'_>,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
) -> io::Result<StreamEnd> {
    pieces(input, sink, None).map(|(end, _)| end)
}

/// The same, and notes access points that are at least `apart` bytes of what is inflated from each other, and as many from
/// the beginning.
///
/// # Errors
/// Those of [`inflate_in_pieces`].
pub(crate) fn inflate_and_mark(
    input: &mut Input<'_>,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    apart: u64,
) -> io::Result<(StreamEnd, Vec<AccessPoint>)> {
    pieces(input, sink, Some(Marks { apart: apart.max(WINDOW as u64), base: 0, found: Vec::new() }))
}

fn pieces(
    input: &mut Input<'_>,
    sink: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    marks: Option<Marks>,
) -> io::Result<(StreamEnd, Vec<AccessPoint>)> {
    with_tools(|Tools { buffer, codes, windows: [this, next] }| {
        this.resize(WINDOW + PIECE, 0);
        next.resize(WINDOW + PIECE, 0);
        let mut bits = Bits::new(input, buffer);
        let mut way = Way { marks, ..Way::default() };
        let mut room = Room { out: this, at: 0 };
        let mut ended = way.go::<true>(codes, &mut bits, &mut room)?;
        let (mut given, mut at, mut size) = (0, room.at, 0);
        loop {
            let piece = &this[given..at];
            size += piece.len() as u64;
            if ended {
                sink(piece)?;
                return Ok((way.end(&bits, size), way.marks.map(|marks| marks.found).unwrap_or_default()));
            }
            // What a distance may still reach comes first.
            let reach = at.min(WINDOW);
            next[..reach].copy_from_slice(&this[at - reach..at]);
            let mut room = Room { out: next, at: reach };
            way.rebase(size - reach as u64);
            let (taken, went) = rayon::join(|| sink(piece), || way.go::<true>(codes, &mut bits, &mut room));
            taken?;
            ended = went?;
            (given, at) = (reach, room.at);
            std::mem::swap(this, next);
        }
    })
}

/// Inflates what lies between two access points, or before the first, or behind the last, and gives `sink` the bytes piece by
/// piece. `input` begins with the byte that has the bit at which `from` is, else with the stream.
///
/// # Errors
/// Those of `input` and `sink`; [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] where a block does not end
/// at `until`, or the stream not behind the last block.
pub(crate) fn inflate_between(
    input: &mut Input<'_>,
    from: Option<&AccessPoint>,
    until: Option<u64>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    with_tools(|Tools { buffer, codes, windows: [out, _] }| {
        out.resize(WINDOW + PIECE, 0);
        let mut bits = Bits::new(input, buffer);
        let (mut reach, first) = (0, from.map_or(0, |from| from.bit));
        if let Some(from) = from {
            reach = from.window.len().min(WINDOW);
            out[..reach].copy_from_slice(&from.window[..reach]);
            bits.fill()?;
            bits.take((first % 8) as u32);
        }
        let until = until.map(|until| until.saturating_sub(first - first % 8));
        let mut way = Way { until, ..Way::default() };
        loop {
            let mut room = Room { out, at: reach };
            let ended = way.go::<true>(codes, &mut bits, &mut room)?;
            let at = room.at;
            sink(&out[reach..at])?;
            if ended {
                let right = match until {
                    Some(until) => bits.position() == until && !way.last,
                    None => way.last,
                };
                return if right { Ok(()) } else { Err(invalid("a block that ends elsewhere")) };
            }
            reach = at.min(WINDOW);
            out.copy_within(at - reach..at, 0);
        }
    })
}

/// How far back a distance reaches (RFC 1951).
pub(crate) const WINDOW: usize = 32 << 10;

/// How much is inflated at a time, where it is not all at once.
const PIECE: usize = 512 << 10;

/// How far a stream was gone through.
#[derive(Default)]
struct Way {
    within: Within,
    /// Whether the last block was begun, and where the one that was begun last begins.
    last: bool,
    begin: u64,
    /// The bit at which to end where a block does.
    until: Option<u64>,
    marks: Option<Marks>,
}

/// Access points in the making.
struct Marks {
    apart: u64,
    /// How many bytes there were before the room's first.
    base: u64,
    found: Vec<AccessPoint>,
}

impl Marks {
    /// Notes a place between two blocks, where it is far enough from the last one.
    fn look(&mut self, bit: u64, room: &Room<'_>) {
        let at = self.base + room.at as u64;
        let last = self.found.last().map_or(0, |point| point.at);
        if at - last >= self.apart
            && let Some(from) = room.at.checked_sub(WINDOW)
            && let Some(window) = room.out.get(from..room.at)
        {
            self.found.push(AccessPoint { bit, at, window: window.into() });
        }
    }
}

#[derive(Default)]
enum Within {
    #[default]
    Between,
    /// A block of codes.
    Coded,
    /// A stored block, of which so many bytes are left.
    Stored(usize),
}

impl Way {
    /// Goes on to the stream's end, or until there is no room; says whether it is the end. Unless it should `PUT` bytes,
    /// they are counted alone.
    fn go<const PUT: bool>(
        &mut self,
        codes: &mut Codes,
        bits: &mut Bits<'_>,
        room: &mut Room<'_>,
    ) -> io::Result<bool> {
        loop {
            match self.within {
                Within::Between if self.last => return Ok(true),
                Within::Between if self.until.is_some_and(|until| bits.position() >= until) => {
                    return Ok(true);
                }
                Within::Between => {
                    if let Some(marks) = &mut self.marks {
                        marks.look(bits.position(), room);
                    }
                    self.within = self.head(codes, bits)?;
                }
                Within::Coded => {
                    if !codes.block::<PUT>(bits, room)? {
                        return Ok(false);
                    }
                    self.within = Within::Between;
                }
                Within::Stored(0) => self.within = Within::Between,
                Within::Stored(left) => {
                    let space = room.space::<PUT>();
                    if space == 0 {
                        return Ok(false);
                    }
                    let got = bits.bytes(left.min(space), |bytes| room.put::<PUT>(bytes))?;
                    self.within = Within::Stored(left - got);
                }
            }
            if bits.overrun() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads a block's head.
    fn head(&mut self, codes: &mut Codes, bits: &mut Bits<'_>) -> io::Result<Within> {
        self.begin = bits.position();
        bits.fill()?;
        self.last = bits.take(1) == 1;
        match bits.take(2) {
            0 => return Ok(Within::Stored(bits.stored()?)),
            1 => codes.fix()?,
            2 => codes.read(bits)?,
            _ => return Err(invalid("a block of an unknown type")),
        }
        Ok(Within::Coded)
    }

    /// Says how many bytes there were before the next room's first.
    fn rebase(&mut self, base: u64) {
        if let Some(marks) = &mut self.marks {
            marks.base = base;
        }
    }

    fn end(&self, bits: &Bits<'_>, size: u64) -> StreamEnd {
        StreamEnd { last_block: self.begin, end: bits.position(), size }
    }
}

/// What a thread reuses from stream to stream.
struct Tools {
    buffer: Vec<u8>,
    codes: Codes,
    windows: [Vec<u8>; 2],
}

/// Lends this thread's tools.
fn with_tools<T>(work: impl FnOnce(&mut Tools) -> T) -> T {
    thread_local!(static TOOLS: RefCell<Option<Box<Tools>>> = const { RefCell::new(None) });
    let mut tools = TOOLS.with_borrow_mut(Option::take).unwrap_or_else(|| {
        Box::new(Tools {
            buffer: vec![0; BUFFER],
            codes: Codes::default(),
            windows: [Vec::new(), Vec::new()],
        })
    });
    let result = work(&mut tools);
    TOOLS.set(Some(tools));
    result
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
