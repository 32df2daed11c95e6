//! Taking symbol tables and debug sections out of a shared object (ELF, System V ABI), in the same way on every
//! machine and without touching what is loaded.
//!
//! Programs and libraries are loaded by their program headers alone. What no program header covers is for
//! linkers and debuggers: of that, symbol tables and debug sections go. What stays keeps its bytes and its
//! address; it only moves towards the start of the file, segments by whole pages of their own alignment, so
//! that each offset stays congruent to its address. (Moving segments by less is how stripping breaks libraries
//! that patchelf has rewritten.) Where anything is unusual the file is left as it is.

mod elf;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
};

use elf::{Class, Elf};

const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Something to read a file from.
pub trait ReadAt {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills `buffer` from offset `at`.
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for &[u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..at.checked_add(buffer.len())?));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, at)
    }
}

/// What can be done about a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be made smaller.
    Smaller(Recipe),
    /// It is not ELF, or has nothing to take out.
    Nothing,
    /// It has, but is unusual in this way.
    Unusual(&'static str),
}

/// How a smaller file comes from one.
#[derive(Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Its size in bytes, less than before.
    pub size: u64,
    /// What is kept, in order; each moves towards the start or not at all. Between them are zeros.
    copies: Vec<Span>,
    /// Bytes that are put over the copies.
    patches: Vec<(u64, Vec<u8>)>,
}

/// Bytes that stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: u64,
    to: u64,
    length: u64,
}

impl Recipe {
    /// The smaller file, of the bytes that the recipe is for.
    pub fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let mut out = vec![0; at(self.size)];
        for span in &self.copies {
            let length = at(span.length);
            out[at(span.to)..][..length].copy_from_slice(&bytes[at(span.from)..][..length]);
        }
        for (to, patch) in &self.patches {
            out[at(*to)..][..patch.len()].copy_from_slice(patch);
        }
        out
    }

    /// Makes the file smaller in its place.
    pub fn apply_to(&self, file: &File) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        let mut end = 0;
        for span in &self.copies {
            while end < span.to {
                let length = (span.to - end).min(buffer.len() as u64);
                let zeros = &mut buffer[..usize::try_from(length).unwrap_or(0)];
                zeros.fill(0);
                file.write_all_at(zeros, end)?;
                end += length;
            }
            let mut done = 0;
            while done < span.length {
                let length = (span.length - done).min(buffer.len() as u64);
                let piece = &mut buffer[..usize::try_from(length).unwrap_or(0)];
                file.read_exact_at(piece, span.from + done)?;
                file.write_all_at(piece, span.to + done)?;
                done += length;
            }
            end = span.to + span.length;
        }
        file.set_len(end)?;
        for (to, patch) in &self.patches {
            file.write_all_at(patch, *to)?;
        }
        let mut file = file;
        file.flush()
    }
}

/// Says what can be done about a file.
///
/// # Errors
/// Only those of `source`; what is damaged is [`Verdict::Unusual`].
pub fn look(source: &dyn ReadAt) -> io::Result<Verdict> {
    let length = source.length()?;
    let mut head = [0; 64];
    if length < 64 {
        return Ok(Verdict::Nothing);
    }
    source.read(0, &mut head)?;
    if !head.starts_with(ELF_MAGIC) {
        return Ok(Verdict::Nothing);
    }
    let class = match (head[4], head[5]) {
        (class @ (1 | 2), data @ (1 | 2)) => Class { wide: class == 2, big: data == 2 },
        _ => return Ok(Verdict::Unusual("its class or byte order is unknown")),
    };
    let elf = match Elf::read(source, class, &head, length)? {
        Ok(elf) => elf,
        Err(why) => return Ok(Verdict::Unusual(why)),
    };
    Ok(elf.recipe().unwrap_or_else(Verdict::Unusual))
}
