//! Where a stream is inflated to.

/// Bytes of which the first `at` are there; nothing of them where bytes are counted alone.
pub(super) struct Room<'o> {
    pub(super) out: &'o mut [u8],
    pub(super) at: usize,
}

impl Room<'_> {
    /// How many bytes there is room for.
    pub(super) fn space<const PUT: bool>(&self) -> usize {
        if PUT { self.out.len() - self.at } else { usize::MAX }
    }

    /// Adds bytes, for which there must be room.
    pub(super) fn put<const PUT: bool>(&mut self, bytes: &[u8]) {
        if PUT {
            self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }
}

/// How many bytes are copied at a time.
const STRIDE: usize = 16;

/// Puts `length` bytes at `at` that are as those `distance` before, which there must be, as there must be room.
#[inline]
pub(super) fn repeat(out: &mut [u8], at: usize, length: usize, distance: usize) {
    let (mut from, mut to, end) = (at - distance, at, at + length);
    if distance >= STRIDE && end + STRIDE <= out.len() {
        // Up to one stride too many, which what comes next is put over.
        while to < end {
            let mut bytes = [0; STRIDE];
            bytes.copy_from_slice(&out[from..from + STRIDE]);
            out[to..to + STRIDE].copy_from_slice(&bytes);
            (from, to) = (from + STRIDE, to + STRIDE);
        }
    } else if distance == 1 {
        let byte = out[from];
        out[to..end].fill(byte);
    } else if distance >= length {
        out.copy_within(from..from + length, to);
    } else {
        for at in to..end {
            out[at] = out[at - distance];
        }
    }
}
