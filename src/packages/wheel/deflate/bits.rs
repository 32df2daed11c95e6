//! A deflate stream bit by bit.

use std::io;

use super::{Input, invalid};

/// How much is read at a time.
pub(super) const BUFFER: usize = 64 << 10;

/// What `input` holds, bit by bit. Past its end come zeros, which [`Bits::overrun`] tells.
pub(super) struct Bits<'i> {
    input: &'i mut Input<'i>,
    pub(super) buffer: &'i mut [u8],
    /// The next byte of `buffer`, and how many it holds.
    pub(super) at: usize,
    pub(super) filled: usize,
    /// Bytes that went through the buffer before it was filled last.
    before: u64,
    /// Zero bytes made up after the end.
    missing: u64,
    ended: bool,
    pub(super) hold: u64,
    pub(super) held: u32,
}

impl<'i> Bits<'i> {
    pub(super) fn new(input: &'i mut Input<'i>, buffer: &'i mut [u8]) -> Self {
        Bits { input, buffer, at: 0, filled: 0, before: 0, missing: 0, ended: false, hold: 0, held: 0 }
    }

    /// How many bits were taken.
    pub(super) fn position(&self) -> u64 {
        (self.before + self.at as u64 + self.missing) * 8 - u64::from(self.held)
    }

    /// Whether bits were taken that `input` does not have.
    pub(super) fn overrun(&self) -> bool {
        self.missing * 8 > u64::from(self.held)
    }

    /// Holds at least 56 bits afterwards.
    #[inline]
    pub(super) fn fill(&mut self) -> io::Result<()> {
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
    pub(super) fn take(&mut self, count: u32) -> u64 {
        let bits = self.hold & ((1 << count) - 1);
        self.drop(count);
        bits
    }

    #[inline]
    pub(super) fn drop(&mut self, count: u32) {
        self.hold >>= count;
        self.held -= count;
    }

    /// The length of a stored block, whose bytes come next.
    pub(super) fn stored(&mut self) -> io::Result<usize> {
        self.drop(self.held % 8);
        self.fill()?;
        let length = self.take(16);
        if self.take(16) != length ^ 0xffff {
            return Err(invalid("a stored block whose length and its complement disagree"));
        }
        usize::try_from(length).map_err(io::Error::other)
    }

    /// Gives `with` the next bytes, which begin where a byte does: at most `length`, of which there is at least one. Says how
    /// many they were.
    pub(super) fn bytes(&mut self, length: usize, mut with: impl FnMut(&[u8])) -> io::Result<usize> {
        if self.held >= 8 {
            self.hold &= (1_u64 << self.held) - 1;
            let count = length.min(self.held as usize / 8);
            for _ in 0..count {
                with(&self.hold.to_le_bytes()[..1]);
                self.drop(8);
            }
            if self.overrun() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            return Ok(count);
        }
        self.hold = 0;
        if self.at == self.filled {
            self.refill()?;
            if self.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let count = length.min(self.filled - self.at);
        with(&self.buffer[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
