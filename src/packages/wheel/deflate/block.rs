//! The way through a block's codes (RFC 1951, 3.2.3), as fast as can be while there is plenty of everything, else with care.

use std::io;

use super::{
    bits::Bits,
    code::Entry,
    codes::Codes,
    invalid,
    room::{Room, repeat},
};

/// Enough room for what is decoded from one look at it to the next.
const PLENTY: usize = 3 + 258;

/// What one symbol led to.
enum Step {
    Went,
    Ended,
    /// There is no room for it, and it was not taken.
    Full,
}

impl Codes {
    /// Goes through a block's codes, to its end or until there is no room; says whether it is the end.
    pub(super) fn block<const PUT: bool>(
        &self,
        bits: &mut Bits<'_>,
        room: &mut Room<'_>,
    ) -> io::Result<bool> {
        loop {
            if self.fast::<PUT>(bits, room)? {
                return Ok(true);
            }
            match self.step::<PUT>(bits, room)? {
                Step::Went => {}
                Step::Ended => return Ok(true),
                Step::Full => return Ok(false),
            }
        }
    }

    /// As far as there is plenty of input and room, or to the block's end, which is told.
    fn fast<const PUT: bool>(&self, bits: &mut Bits<'_>, room: &mut Room<'_>) -> io::Result<bool> {
        // What is used all the time is not looked up in these two.
        let (mut hold, mut held, mut from) = (bits.hold, bits.held, bits.at);
        let mut at = room.at;
        let input = &bits.buffer[..bits.filled];
        let out = &mut *room.out;
        let limit = if PUT { out.len().saturating_sub(PLENTY) } else { usize::MAX - PLENTY };
        macro_rules! fill {
            () => {
                // Bits beyond `held` are taken again next time; they are the same then.
                if let Some(next) = input.get(from..from + 8).and_then(|next| next.first_chunk::<8>()) {
                    hold |= u64::from_le_bytes(*next) << held;
                    from += ((63 - held) >> 3) as usize;
                    held |= 56;
                    true
                } else {
                    false
                }
            };
        }
        macro_rules! take {
            ($entry:expr) => {
                let count = $entry.bits();
                hold >>= count;
                held -= count;
            };
        }
        macro_rules! put {
            ($entry:expr) => {
                take!($entry);
                if PUT {
                    out[at] = $entry.byte();
                }
                at += 1;
            };
        }
        let mut ended = false;
        // The next look is under way while bytes are copied.
        let mut more = fill!();
        let mut entry = self.literals.look(hold);
        while at < limit && more {
            // What is held is enough for three looks at literals that need no further table, or for a length with its distance.
            if entry.is_literal() {
                put!(entry);
                entry = self.literals.look(hold);
                if entry.is_literal() {
                    put!(entry);
                    entry = self.literals.look(hold);
                    if entry.is_literal() {
                        put!(entry);
                        more = fill!();
                        entry = self.literals.look(hold);
                        continue;
                    }
                }
                if !fill!() {
                    break;
                }
            }
            if entry.is_other() {
                if entry.is_further() {
                    take!(entry);
                    entry = self.literals.further(entry, hold);
                    if entry.is_literal() {
                        put!(entry);
                        more = fill!();
                        entry = self.literals.look(hold);
                        continue;
                    }
                }
                if entry.is_other() {
                    take!(entry);
                    if entry.is_end_of_block() {
                        ended = true;
                        break;
                    }
                    return Err(unused());
                }
            }
            let length = entry.value(hold);
            take!(entry);
            entry = self.distances.look(hold);
            if entry.is_other() {
                if !entry.is_further() {
                    return Err(unused());
                }
                take!(entry);
                entry = self.distances.further(entry, hold);
                if entry.is_other() {
                    return Err(unused());
                }
            }
            let distance = entry.value(hold);
            take!(entry);
            more = fill!();
            entry = self.literals.look(hold);
            // Joined to others, the stream would reach into the one before.
            if distance > at {
                return Err(too_far());
            }
            if PUT {
                repeat(out, at, length, distance);
            }
            at += length;
        }
        (bits.hold, bits.held, bits.at) = (hold, held, from);
        room.at = at;
        Ok(ended)
    }

    /// One symbol, with its distance.
    fn step<const PUT: bool>(&self, bits: &mut Bits<'_>, room: &mut Room<'_>) -> io::Result<Step> {
        bits.fill()?;
        let (mut hold, mut count) = (bits.hold, 0);
        let mut take = |entry: Entry, hold: &mut u64| {
            *hold >>= entry.bits();
            count += entry.bits();
        };
        let mut entry = self.literals.look(hold);
        if entry.is_further() {
            take(entry, &mut hold);
            entry = self.literals.further(entry, hold);
        }
        let length = entry.value(hold);
        take(entry, &mut hold);
        let space = room.space::<PUT>();
        let step = if entry.is_literal() {
            if space == 0 {
                return Ok(Step::Full);
            }
            room.put::<PUT>(&[entry.byte()]);
            Step::Went
        } else if entry.is_end_of_block() {
            Step::Ended
        } else if entry.is_other() {
            return Err(unused());
        } else {
            let mut entry = self.distances.look(hold);
            if entry.is_further() {
                take(entry, &mut hold);
                entry = self.distances.further(entry, hold);
            }
            if entry.is_other() {
                return Err(unused());
            }
            let distance = entry.value(hold);
            take(entry, &mut hold);
            if distance > room.at {
                return Err(too_far());
            }
            if length > space {
                return Ok(Step::Full);
            }
            if PUT {
                repeat(room.out, room.at, length, distance);
            }
            room.at += length;
            Step::Went
        };
        bits.drop(count);
        if bits.overrun() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(step)
    }
}

fn unused() -> io::Error {
    invalid("a code that stands for nothing")
}

fn too_far() -> io::Error {
    invalid("a distance that reaches before the stream's start")
}
