//! The bytes of every file of a plan, checked, as deflate streams: those of wheels where they are, all others in a
//! spool.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek as _},
    ops::Range,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rayon::prelude::*;

use super::spool::{Made, Spool};
use crate::{
    environment::{
        bytecode::Compiler,
        content::{self, Contents, EntryAt, Medium, Stripped, Whole},
        layout::{Plan, PlanFile, PlannedDist, Written},
        manifest,
    },
    packages::{
        cache::Cache,
        wheel::{
            Content, Method, Proof, Proven, STREAM_LIMIT, Scratch, Taker, Wheel, WheelEntry,
            deflate::StreamEnd, with_scratch,
        },
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
    /// Whether entries are taken to have the digests that their wheels' RECORDs give until their bytes are packed, so that
    /// they are read and inflated once. Where one has another, packing ends with an error and [`Pieces::contradicted`]
    /// says so.
    pub trusting: bool,
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
        /// How many bytes it has there.
        compressed: u64,
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

/// The wheels whose entries pieces are, and what is known of them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wheels<'a> {
    of: Option<(&'a [PlannedDist], &'a [Proof], &'a AtomicBool)>,
}

impl<'a> Wheels<'a> {
    /// A distribution's wheel and what is known of it, by its position.
    fn get(&self, dist: usize) -> Result<(&'a Wheel, &'a Proof)> {
        let found =
            self.of.and_then(|(dists, proofs, _)| Some((&*dists.get(dist)?.wheel, proofs.get(dist)?)));
        found.ok_or_else(|| {
            Error::new(Kind::Io, "an entry of a wheel is to be packed, and there are no wheels")
        })
    }

    /// The digest of a distribution's wheel.
    pub(crate) fn digest(&self, dist: usize) -> Option<Sha256> {
        Some(self.of?.0.get(dist)?.wheel.file.sha256())
    }

    /// Refuses what an entry turned out to be where its piece says otherwise.
    fn settle(&self, piece: &Piece, wheel: &Wheel, entry: usize, got: Sha256) -> Result<()> {
        let contradiction = wheel.contradiction(entry, got);
        if got == piece.written.sha256 {
            return Ok(());
        }
        if let Some((.., contradicted)) = self.of {
            contradicted.store(true, Ordering::Relaxed);
        }
        Err(contradiction.unwrap_or_else(|| {
            Error::new(Kind::Integrity, format!("{}: its bytes changed while they were packed", wheel.name))
        }))
    }
}

/// Takes inflated bytes, in order.
pub(crate) type Sink<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// The end of a stream that is not there.
const NO_STREAM: StreamEnd = StreamEnd { last_block: 0, end: 0, size: 0 };

/// A piece's stream in memory.
pub(crate) struct Held {
    /// Where it is in the buffer that was given for it.
    pub stream: Range<usize>,
    /// Where it ends.
    pub end: StreamEnd,
    /// The CRC-32 of what it inflates to.
    pub crc: u32,
}

impl Piece {
    /// About how many bytes it takes in a compressed archive.
    pub(crate) fn compressed(&self) -> u64 {
        match &self.body {
            Body::Empty => 0,
            Body::Entry { compressed, .. } => *compressed,
            Body::Made(made) => made.end.bytes(),
        }
    }

    /// How many bytes [`Piece::hold`] needs for the stream, and for what it inflates to; `None` for what is too large to be
    /// held. Where nobody wants it inflated, that is done only to find out what it is.
    pub(crate) fn room(&self, wheels: Wheels<'_>, inflated: bool) -> Result<Option<(usize, usize)>> {
        let (stream, inflated) = match &self.body {
            Body::Empty => return Ok(Some((0, 0))),
            Body::Made(made) => (made.end.bytes(), inflated),
            &Body::Entry { dist, entry, .. } => {
                let (wheel, proof) = wheels.get(dist)?;
                (wheel.entries[entry].span, inflated || proof.get(entry).is_none())
            }
        };
        if stream.max(self.written.size) > STREAM_LIMIT {
            return Ok(None);
        }
        let number = |bytes: u64| usize::try_from(bytes).unwrap_or(0);
        Ok(Some((number(stream), if inflated { number(self.written.size) } else { 0 })))
    }

    /// Reads it, and inflates it if there is room. What was not known of it before is found out, and compared with what
    /// the piece says.
    pub(crate) fn hold(&self, wheels: Wheels<'_>, stream: &mut [u8], out: &mut [u8]) -> Result<Held> {
        match &self.body {
            Body::Empty => Ok(Held { stream: 0..0, end: NO_STREAM, crc: 0 }),
            Body::Made(made) => {
                made.read().read_exact(stream).map_err(unreadable)?;
                if !out.is_empty() {
                    let mut inflater = flate2::Decompress::new(false);
                    let done = inflater.decompress(stream, out, flate2::FlushDecompress::Finish);
                    let whole = matches!(done, Ok(flate2::Status::StreamEnd));
                    if !whole || inflater.total_out() != self.written.size {
                        return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                Ok(Held { stream: 0..stream.len(), end: made.end, crc: made.crc })
            }
            &Body::Entry { dist, entry, .. } => {
                let (wheel, proof) = wheels.get(dist)?;
                let known = proof.get(entry);
                let room = (!out.is_empty()).then_some(&mut *out);
                let (stream, end) = wheel.both(entry, stream, room, known.and_then(|known| known.end))?;
                if known.is_none() {
                    let sha256 = wheel.digest(entry, out);
                    self.settle(wheels, dist, entry, Proven { sha256, end: Some(end) })?;
                }
                let stream = stream.start..stream.start + usize::try_from(end.bytes()).unwrap_or(0);
                Ok(Held { stream, end, crc: wheel.entries[entry].crc32 })
            }
        }
    }

    /// Takes what was found of an entry, if the piece says the same.
    fn settle(&self, wheels: Wheels<'_>, dist: usize, entry: usize, found: Proven) -> Result<()> {
        let (wheel, proof) = wheels.get(dist)?;
        wheels.settle(self, wheel, entry, found.sha256)?;
        proof.note(entry, found);
        Ok(())
    }

    /// Gives what is too large to be held to `sink` inflated, if that is wanted, and then its stream to `with`, together with
    /// its end and the CRC-32 of what it inflates to.
    pub(crate) fn pass(
        &self,
        wheels: Wheels<'_>,
        sink: Option<Sink<'_>>,
        with: &mut dyn FnMut(&mut dyn Read, &StreamEnd, u32) -> Result<()>,
    ) -> Result<()> {
        let &Body::Entry { dist, entry, .. } = &self.body else {
            let Body::Made(made) = &self.body else { return Ok(()) };
            if let Some(sink) = sink {
                self.inflate(wheels, &mut |bytes| {
                    sink(bytes);
                    Ok(())
                })?;
            }
            return with(&mut made.read(), &made.end, made.crc);
        };
        let (wheel, proof) = wheels.get(dist)?;
        let known = proof.get(entry);
        let end = match (known.and_then(|known| known.end), sink) {
            (Some(end), None) => end,
            (_, sink) => {
                let mut ignore = |_: &[u8]| {};
                let sink = sink.unwrap_or(&mut ignore);
                let known = known.map(|known| known.sha256).or_else(|| wheel.known(entry));
                let found = Proven::from(wheel.stream_known(entry, known, &mut |bytes| {
                    sink(bytes);
                    Ok(())
                })?);
                self.settle(wheels, dist, entry, found)?;
                found.end.unwrap_or(NO_STREAM)
            }
        };
        with(&mut wheel.section(entry, end.bytes())?, &end, wheel.entries[entry].crc32)
    }

    /// Inflates the bytes into `sink`, piece by piece. They were checked when the piece was made, or are now; a stream that
    /// does not inflate to that many bytes any more is an error.
    pub(crate) fn inflate(&self, wheels: Wheels<'_>, sink: &mut Taker<'_>) -> Result<()> {
        let size = self.written.size;
        match &self.body {
            Body::Empty => Ok(()),
            &Body::Entry { dist, entry, .. } => {
                let (wheel, proof) = wheels.get(dist)?;
                let one = &wheel.entries[entry];
                let got = if one.size.max(one.compressed_size) > STREAM_LIMIT {
                    wheel.stream(entry, sink)?.sha256
                } else {
                    with_scratch(|scratch| {
                        let content = wheel.inflate(entry, scratch)?;
                        sink(content.bytes).map(|()| content.sha256)
                    })?
                };
                if proof.get(entry).is_some() { Ok(()) } else { wheels.settle(self, wheel, entry, got) }
            }
            Body::Made(made) => {
                let mut decoder = flate2::read::DeflateDecoder::new(made.read());
                let mut buffer = vec![0; 64 << 10];
                let mut got = 0;
                loop {
                    let count = decoder.read(&mut buffer).map_err(unreadable)?;
                    if count == 0 {
                        break;
                    }
                    got += count as u64;
                    sink(&buffer[..count])?;
                }
                if got == size { Ok(()) } else { Err(unreadable(io::ErrorKind::UnexpectedEof.into())) }
            }
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
    proofs: Vec<Proof>,
    contradicted: AtomicBool,
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
            plan.dists.par_iter().map(|dist| Proof::kept(&dist.wheel, options.cache)).collect();
        let contents = Contents::new(options.strict, STREAM_LIMIT);
        let maker = Maker {
            plan,
            dir,
            spool,
            proofs,
            contents,
            trusting: options.trusting,
            contradicted: AtomicBool::new(false),
        };
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
        let (proofs, contradicted) = (maker.proofs, maker.contradicted);
        Ok(Pieces {
            plan: kept,
            files,
            manifest,
            warnings: notes.warnings,
            stripped: notes.stripped,
            uncompiled: uncompiled.reasons,
            proofs,
            contradicted,
        })
    }

    /// The wheels that entries are of.
    pub(crate) fn wheels(&self) -> Wheels<'_> {
        Wheels { of: Some((&self.plan.dists, &self.proofs, &self.contradicted)) }
    }

    /// Whether an entry turned out to have another digest than its wheel's RECORD gives.
    pub(crate) fn contradicted(&self) -> bool {
        self.contradicted.load(Ordering::Relaxed)
    }

    /// Keeps what was found of wheels.
    pub(crate) fn keep(&self, cache: &Cache) {
        self.plan.dists.par_iter().zip(&self.proofs).for_each(|(dist, proof)| proof.keep(&dist.wheel, cache));
    }
}

struct Maker<'a> {
    plan: &'a Plan,
    /// Where temporary files go.
    dir: &'a Path,
    spool: Spool,
    proofs: Vec<Proof>,
    contents: Contents,
    trusting: bool,
    contradicted: AtomicBool,
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

    fn wheels(&self) -> Wheels<'_> {
        Wheels { of: Some((&self.plan.dists, &self.proofs, &self.contradicted)) }
    }

    /// The piece of an entry that passes as it stands in its wheel; `None` where it is not deflated there.
    fn passing(&self, from: EntryAt, sha256: Sha256) -> Option<Piece> {
        let EntryAt { dist, entry } = from;
        let WheelEntry { size, compressed_size, method, .. } = self.plan.dists[dist].wheel.entries[entry];
        let written = Written { sha256, size };
        match method {
            _ if size == 0 => Some(Piece { written, body: Body::Empty }),
            Method::Deflated => {
                Some(Piece { written, body: Body::Entry { dist, entry, compressed: compressed_size } })
            }
            Method::Stored => None,
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
        let (wheel, proof) = (&*self.plan.dists[from.dist].wheel, &self.proofs[from.dist]);
        let WheelEntry { size, method, sha256, .. } = wheel.entries[from.entry];
        if self.trusting
            && method == Method::Deflated
            && size > 0
            && proof.get(from.entry).is_none()
            && let Some(piece) = sha256.and_then(|sha256| self.passing(from, sha256))
        {
            return Ok(piece);
        }
        if method == Method::Stored && size <= STREAM_LIMIT {
            let content = wheel.inflate(from.entry, scratch)?;
            self.contents.compare(wheel, from.entry, content.sha256)?;
            return self.made(content.bytes);
        }
        let sha256 = proof.prove(wheel, from.entry)?.sha256;
        self.contents.compare(wheel, from.entry, sha256)?;
        match self.passing(from, sha256) {
            Some(piece) => Ok(piece),
            None => self.made_large(&mut wheel.section(from.entry, size)?),
        }
    }

    fn inflated(&self, _: &PlanFile, from: EntryAt, content: Content<'_>) -> Result<Piece> {
        self.passing(from, content.sha256).map_or_else(|| self.made(content.bytes), Ok)
    }

    fn open(&self, _: &PlanFile) -> Result<File> {
        tempfile::tempfile_in(self.dir).map_err(|e| self.cannot_spool(e))
    }

    fn filled(&self, _: &PlanFile, from: EntryAt, mut bytes: File, whole: Whole) -> Result<Piece> {
        if let Whole::Entry(checked) = whole
            && let Some(piece) = self.passing(from, checked.sha256)
        {
            return Ok(piece);
        }
        bytes.rewind().map_err(|e| self.cannot_spool(e))?;
        self.made_large(&mut bytes)
    }

    fn read(&self, _: &PlanFile, made: &Piece) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        made.inflate(self.wheels(), &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn cannot_write(&self, _: &PlanFile, error: io::Error) -> Error {
        self.cannot_spool(error)
    }
}
