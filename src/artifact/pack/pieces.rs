//! The bytes of every file of a plan, checked, as deflate streams: those of wheels where they are, all others in a
//! spool.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
};

use rayon::prelude::*;

use super::spool::{Made, Spool};
use crate::{
    environment::{
        bytecode::Compiler,
        content::{self, Contents, EntryAt, Medium, Stripped, Whole},
        layout::{Plan, PlanFile, Written},
        manifest,
    },
    packages::{
        cache::Cache,
        wheel::{Content, Proof, Proven, STREAM_LIMIT, Scratch, deflate::StreamEnd, with_scratch},
    },
    words::{
        error::{Error, Kind, Result},
        interrupt,
        vocab::Sha256,
    },
};

/// What is needed to make the pieces of a plan.
pub(crate) struct Options<'a> {
    /// Whether a file to which its wheel's RECORD gives another digest is an error.
    pub strict: bool,
    /// What compiles the plan's bytecode.
    pub compiler: Option<&'a Compiler<'a>>,
    /// Where proofs are kept, and things in the making.
    pub cache: &'a Cache,
}

/// A file's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// None.
    Empty,
    /// An entry of a wheel, as it stands there.
    Entry {
        /// Position of the distribution.
        dist: usize,
        /// Position in its wheel.
        entry: usize,
        /// Where its stream ends.
        end: StreamEnd,
    },
    /// Made here.
    Made(Made),
}

/// A file, ready to be packed.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Its digest and size.
    pub written: Written,
    /// Its bytes.
    pub body: Body,
}

impl Piece {
    /// About how many bytes it takes in a compressed archive.
    pub(crate) fn compressed(&self) -> u64 {
        match &self.body {
            Body::Empty => 0,
            Body::Entry { end, .. } => end.bytes(),
            Body::Made(made) => made.end.bytes(),
        }
    }

    /// Gives the stream's bytes to `with`, together with its end and the CRC-32 of what it inflates to.
    pub(crate) fn stream<T>(
        &self,
        plan: &Plan,
        with: impl FnOnce(&mut dyn Read, &StreamEnd, u32) -> Result<T>,
    ) -> Result<Option<T>> {
        match &self.body {
            Body::Empty => Ok(None),
            Body::Made(made) => with(&mut made.read(), &made.end, made.crc).map(Some),
            Body::Entry { dist, entry, end } => {
                let wheel = &*plan.dists[*dist].wheel;
                let one = &wheel.entries[*entry];
                if one.span > STREAM_LIMIT {
                    return with(&mut wheel.section(*entry, end.bytes())?, end, one.crc32).map(Some);
                }
                with_scratch(|scratch| with(&mut wheel.raw(*entry, scratch)?, end, one.crc32)).map(Some)
            }
        }
    }

    /// Inflates the bytes into `sink`, piece by piece. They were checked when the piece was made; a stream that does
    /// not inflate to that many bytes any more is an error.
    pub(crate) fn inflate(&self, plan: &Plan, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let size = self.written.size;
        if let Body::Entry { dist, entry, .. } = self.body {
            let wheel = &plan.dists[dist].wheel;
            let one = &wheel.entries[entry];
            if one.size.max(one.compressed_size) > STREAM_LIMIT {
                return wheel.stream(entry, sink).map(drop);
            }
            return with_scratch(|scratch| sink(wheel.inflate(entry, scratch)?.bytes));
        }
        let inflated = self.stream(plan, |input, _, _| {
            let mut decoder = flate2::read::DeflateDecoder::new(input);
            let mut buffer = vec![0; 64 << 10];
            let mut got = 0;
            loop {
                let count = decoder.read(&mut buffer).map_err(unreadable)?;
                if count == 0 {
                    return Ok(got);
                }
                got += count as u64;
                sink(&buffer[..count])?;
            }
        })?;
        if inflated.unwrap_or(0) == size {
            Ok(())
        } else {
            Err(unreadable(io::ErrorKind::UnexpectedEof.into()))
        }
    }
}

fn unreadable(error: io::Error) -> Error {
    Error::new(Kind::Io, "cannot read back what was made for the archive").because(error)
}

/// All files of a plan.
pub(crate) struct Pieces<'p> {
    /// The plan without what does not compile.
    pub plan: Cow<'p, Plan>,
    /// One for each of its files.
    pub files: Vec<Piece>,
    /// The manifest, which stands at the top.
    pub manifest: Piece,
    /// What the user should hear, sorted.
    pub warnings: Vec<String>,
    /// Shared objects that were made smaller, or are unusual, by distribution and path.
    pub stripped: Vec<Stripped>,
    /// Modules without bytecode, each with the reason, sorted.
    pub uncompiled: Vec<String>,
}

impl<'p> Pieces<'p> {
    /// Makes the pieces of `plan`.
    ///
    /// # Errors
    /// [`Kind::Integrity`] for wheels that are not what they claim to be.
    pub(crate) fn make(plan: &'p Plan, options: &Options<'_>) -> Result<Self> {
        let temporary = options.cache.temporary()?;
        let dir = temporary.path();
        let spool = Spool::new(dir).map_err(|e| Error::io("cannot make a temporary file in", dir, e))?;
        let proofs: Vec<Proof> =
            plan.dists.par_iter().map(|dist| Proof::of(&dist.wheel, options.cache)).collect::<Result<_>>()?;
        let contents = Contents::new(options.strict, STREAM_LIMIT);
        let maker = Maker { plan, dir, spool, proofs, contents };
        let mut files: Vec<Option<Piece>> = plan
            .files
            .par_iter()
            .map(|file| {
                interrupt::check()?;
                with_scratch(|scratch| maker.contents.put(plan, file, &maker, scratch))
            })
            .collect::<Result<_>>()?;
        let uncompiled = content::put_bytecode(plan, &mut files, options.compiler, &maker)?;
        let kept = if uncompiled.left_out.is_empty() {
            Cow::Borrowed(plan)
        } else {
            Cow::Owned(plan.clone().without(&uncompiled.left_out))
        };
        content::put_records(&kept, &mut files, &maker)?;
        let files = content::complete(&kept, files)?;
        let written: Vec<Written> = files.iter().map(|piece| piece.written).collect();
        let manifest = maker.made(&manifest::render_manifest(&kept, &written))?;
        let notes = maker.contents.into_notes();
        Ok(Pieces {
            plan: kept,
            files,
            manifest,
            warnings: notes.warnings,
            stripped: notes.stripped,
            uncompiled: uncompiled.reasons,
        })
    }
}

struct Maker<'a> {
    plan: &'a Plan,
    /// Where temporary files go.
    dir: &'a Path,
    spool: Spool,
    proofs: Vec<Proof>,
    contents: Contents,
}

impl Maker<'_> {
    fn cannot_spool(&self, error: io::Error) -> Error {
        Error::io("cannot write a temporary file in", self.dir, error)
    }

    fn made(&self, bytes: &[u8]) -> Result<Piece> {
        if bytes.is_empty() {
            return Ok(Piece { written: Written { sha256: Sha256::of(b""), size: 0 }, body: Body::Empty });
        }
        let (written, made) = self.spool.add(bytes).map_err(|e| self.cannot_spool(e))?;
        Ok(Piece { written, body: Body::Made(made) })
    }

    fn made_large(&self, bytes: &mut dyn Read) -> Result<Piece> {
        let (written, made) = Spool::add_large(self.dir, bytes).map_err(|e| self.cannot_spool(e))?;
        Ok(Piece { written, body: Body::Made(made) })
    }

    /// The piece of an entry that passes as it stands in its wheel; `None` where it is not deflated there.
    fn passing(&self, from: EntryAt) -> Option<Piece> {
        let EntryAt { dist, entry } = from;
        let Proven { sha256, end } = self.proofs[dist].0[entry];
        let written = Written { sha256, size: self.plan.dists[dist].wheel.entries[entry].size };
        match end {
            _ if written.size == 0 => Some(Piece { written, body: Body::Empty }),
            Some(end) => Some(Piece { written, body: Body::Entry { dist, entry, end } }),
            None => None,
        }
    }
}

impl Medium for Maker<'_> {
    type Made = Piece;

    fn written(made: &Piece) -> Written {
        made.written
    }

    fn check(&self) -> Result<()> {
        interrupt::check()
    }

    fn put(&self, _: &PlanFile, bytes: &[u8]) -> Result<Piece> {
        self.made(bytes)
    }

    fn entry(&self, _: &PlanFile, from: EntryAt, scratch: &mut Scratch) -> Result<Piece> {
        let wheel = &*self.plan.dists[from.dist].wheel;
        self.contents.compare(wheel, from.entry, self.proofs[from.dist].0[from.entry].sha256)?;
        if let Some(piece) = self.passing(from) {
            return Ok(piece);
        }
        let size = wheel.entries[from.entry].size;
        if size <= STREAM_LIMIT {
            return self.made(wheel.inflate(from.entry, scratch)?.bytes);
        }
        self.made_large(&mut wheel.section(from.entry, size)?)
    }

    fn inflated(&self, _: &PlanFile, from: EntryAt, content: Content<'_>) -> Result<Piece> {
        self.passing(from).map_or_else(|| self.made(content.bytes), Ok)
    }

    fn open(&self, _: &PlanFile) -> Result<File> {
        tempfile::tempfile_in(self.dir).map_err(|e| self.cannot_spool(e))
    }

    fn filled(&self, _: &PlanFile, from: EntryAt, mut bytes: File, whole: Whole) -> Result<Piece> {
        if let (Whole::Entry(_), Some(piece)) = (whole, self.passing(from)) {
            return Ok(piece);
        }
        bytes.rewind().map_err(|e| self.cannot_spool(e))?;
        self.made_large(&mut bytes)
    }

    fn read(&self, _: &PlanFile, made: &Piece) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        made.inflate(self.plan, &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn cannot_write(&self, _: &PlanFile, error: io::Error) -> Error {
        self.cannot_spool(error)
    }
}
