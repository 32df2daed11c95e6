//! The bytes of every file of a plan, checked, as deflate streams: those of wheels where they are, all others in a
//! spool.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    io::{self, Read, Seek as _, Write as _},
    path::Path,
    sync::Mutex,
};

use rayon::prelude::*;

use super::spool::{Made, Spool};
use crate::{
    environment::{
        bytecode::{Compiler, Module},
        layout::{ContentOrigin, Plan, PlanFile, Written, render_record},
        manifest,
        script::rewrite_script,
        strip::{self, Verdict},
    },
    packages::{
        cache::Cache,
        wheel::{Proof, Proven, STREAM_LIMIT, Wheel, deflate::StreamEnd, with_scratch},
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
    pub stripped: Vec<(usize, String, Result<u64, &'static str>)>,
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
        let maker = Maker { plan, options, dir, spool, proofs, notes: Mutex::default() };
        let mut files: Vec<Option<Piece>> = plan
            .files
            .par_iter()
            .map(|file| {
                interrupt::check()?;
                maker.file(file)
            })
            .collect::<Result<_>>()?;
        let (left_out, uncompiled) = maker.compile(&mut files)?;
        let mut result = Pieces {
            plan: Cow::Borrowed(plan),
            files: Vec::new(),
            manifest: Piece { written: Written { sha256: Sha256::of(b""), size: 0 }, body: Body::Empty },
            warnings: Vec::new(),
            stripped: Vec::new(),
            uncompiled,
        };
        if !left_out.is_empty() {
            let mut at = 0;
            files.retain(|_| {
                at += 1;
                !left_out.contains(&(at - 1))
            });
            result.plan = Cow::Owned(plan.clone().without(&left_out));
        }
        maker.records(&result.plan, &mut files)?;
        result.files = files
            .into_iter()
            .zip(&result.plan.files)
            .map(|(piece, file)| {
                piece.ok_or_else(|| Error::new(Kind::Io, format!("{}: was not made", file.path)))
            })
            .collect::<Result<_>>()?;
        let written: Vec<Written> = result.files.iter().map(|piece| piece.written).collect();
        let text = manifest::render_manifest(&result.plan, &written);
        result.manifest = maker.made(&text)?;
        let notes = maker.notes.into_inner().unwrap_or_default();
        (result.warnings, result.stripped) = (notes.warnings, notes.stripped);
        result.warnings.sort();
        result.stripped.sort();
        Ok(result)
    }
}

#[derive(Default)]
struct Notes {
    warnings: Vec<String>,
    stripped: Vec<(usize, String, Result<u64, &'static str>)>,
}

struct Maker<'a> {
    plan: &'a Plan,
    options: &'a Options<'a>,
    /// Where temporary files go.
    dir: &'a Path,
    spool: Spool,
    proofs: Vec<Proof>,
    notes: Mutex<Notes>,
}

impl Maker<'_> {
    fn cannot_write(&self, error: io::Error) -> Error {
        Error::io("cannot write a temporary file in", self.dir, error)
    }

    fn made(&self, bytes: &[u8]) -> Result<Piece> {
        if bytes.is_empty() {
            return Ok(Piece { written: Written { sha256: Sha256::of(b""), size: 0 }, body: Body::Empty });
        }
        let (written, made) = self.spool.add(bytes).map_err(|e| self.cannot_write(e))?;
        Ok(Piece { written, body: Body::Made(made) })
    }

    /// The piece of a file; `None` for what is made from others.
    fn file(&self, file: &PlanFile) -> Result<Option<Piece>> {
        match &file.origin {
            ContentOrigin::Bytes(bytes) => self.made(bytes),
            ContentOrigin::Entry { dist, entry } => self.entry(*dist, *entry),
            ContentOrigin::Stripped { dist, entry } => self.stripped(file, *dist, *entry),
            ContentOrigin::Script { dist, entry, style } => {
                let wheel = &*self.plan.dists[*dist].wheel;
                let rewritten = with_scratch(|scratch| {
                    let content = wheel.inflate(*entry, scratch)?;
                    rewrite_script(content.bytes, style).map(|script| self.made(&script)).transpose()
                })?;
                match rewritten {
                    Some(piece) => {
                        self.compare(wheel, *entry, self.proofs[*dist].0[*entry].sha256)?;
                        Ok(piece)
                    }
                    None => self.entry(*dist, *entry),
                }
            }
            ContentOrigin::Bytecode { .. } | ContentOrigin::Record { .. } => return Ok(None),
        }
        .map(Some)
    }

    /// An entry as it stands in its wheel.
    fn entry(&self, dist: usize, entry: usize) -> Result<Piece> {
        let wheel = &*self.plan.dists[dist].wheel;
        let Proven { sha256, end } = self.proofs[dist].0[entry];
        self.compare(wheel, entry, sha256)?;
        let size = wheel.entries[entry].size;
        let written = Written { sha256, size };
        match end {
            _ if size == 0 => Ok(Piece { written, body: Body::Empty }),
            Some(end) => Ok(Piece { written, body: Body::Entry { dist, entry, end } }),
            None if size <= STREAM_LIMIT => {
                with_scratch(|scratch| self.made(wheel.inflate(entry, scratch)?.bytes))
            }
            None => {
                let mut stored = wheel.section(entry, size)?;
                let (written, made) =
                    Spool::add_large(self.dir, &mut stored).map_err(|e| self.cannot_write(e))?;
                Ok(Piece { written, body: Body::Made(made) })
            }
        }
    }

    /// A shared object without what is not loaded.
    fn stripped(&self, file: &PlanFile, dist: usize, entry: usize) -> Result<Piece> {
        let wheel = &*self.plan.dists[dist].wheel;
        let one = &wheel.entries[entry];
        let (verdict, piece) = if one.size.max(one.compressed_size) > STREAM_LIMIT {
            let mut whole = tempfile::tempfile_in(self.dir).map_err(|e| self.cannot_write(e))?;
            wheel.stream(entry, &mut |bytes| whole.write_all(bytes).map_err(|e| self.cannot_write(e)))?;
            let verdict = strip::look(&whole).map_err(|e| self.cannot_write(e))?;
            let piece = match &verdict {
                Verdict::Smaller(recipe) => Some(
                    recipe
                        .apply_to(&whole)
                        .and_then(|()| whole.rewind())
                        .and_then(|()| Spool::add_large(self.dir, &mut whole))
                        .map(|(written, made)| Piece { written, body: Body::Made(made) })
                        .map_err(|e| self.cannot_write(e))?,
                ),
                _ => None,
            };
            (verdict, piece)
        } else {
            with_scratch(|scratch| {
                let content = wheel.inflate(entry, scratch)?;
                let verdict = strip::look(&content.bytes).map_err(|e| self.cannot_write(e))?;
                let piece = match &verdict {
                    Verdict::Smaller(recipe) => Some(self.made(&recipe.apply(content.bytes))?),
                    _ => None,
                };
                Ok::<_, Error>((verdict, piece))
            })?
        };
        let outcome = match (&verdict, &piece) {
            (Verdict::Smaller(_), Some(piece)) => Some(Ok(one.size - piece.written.size)),
            (Verdict::Unusual(why), _) => Some(Err(*why)),
            _ => None,
        };
        if let (Some(outcome), Ok(mut notes)) = (outcome, self.notes.lock()) {
            notes.stripped.push((dist, file.path.to_string(), outcome));
        }
        match piece {
            Some(piece) => {
                self.compare(wheel, entry, self.proofs[dist].0[entry].sha256)?;
                Ok(piece)
            }
            None => self.entry(dist, entry),
        }
    }

    /// Warns of, or refuses, an entry that is not what its wheel's RECORD says.
    fn compare(&self, wheel: &Wheel, entry: usize, got: Sha256) -> Result<()> {
        let Some(contradiction) = wheel.contradiction(entry, got) else { return Ok(()) };
        if self.options.strict {
            return Err(contradiction);
        }
        if let Ok(mut notes) = self.notes.lock() {
            notes.warnings.push(contradiction.to_string());
        }
        Ok(())
    }

    /// Makes the bytecode; says which positions have none, and why.
    fn compile(&self, files: &mut [Option<Piece>]) -> Result<(HashSet<usize>, Vec<String>)> {
        let plan = self.plan;
        let mut targets = Vec::new();
        let mut modules = Vec::new();
        for (at, file) in plan.files.iter().enumerate() {
            let ContentOrigin::Bytecode { source } = file.origin else { continue };
            let from = &plan.files[source];
            let wheel = match from.origin {
                ContentOrigin::Entry { dist, entry } => Some((plan.dists[dist].wheel.file.sha256(), entry)),
                _ => None,
            };
            let size = files[source].as_ref().map_or(0, |piece| piece.written.size);
            targets.push((at, source));
            modules.push(Module { path: from.path.as_str(), size, wheel });
        }
        if modules.is_empty() {
            return Ok((HashSet::new(), Vec::new()));
        }
        let compiler = self.options.compiler.ok_or_else(|| {
            Error::new(Kind::Io, "the plan has bytecode, and there is nothing to compile it with")
        })?;
        let made: Mutex<HashMap<usize, Piece>> = Mutex::default();
        let failed: Mutex<Vec<(usize, String)>> = Mutex::default();
        let so_far = &*files;
        compiler.compile_all(
            &modules,
            &|module| {
                let mut bytes = Vec::new();
                if let Some(piece) = &so_far[targets[module].1] {
                    piece.inflate(plan, &mut |part| {
                        bytes.extend_from_slice(part);
                        Ok(())
                    })?;
                }
                Ok(bytes)
            },
            &|module, compiled| {
                match compiled {
                    Ok(bytes) => {
                        let piece = self.made(bytes)?;
                        if let Ok(mut made) = made.lock() {
                            made.insert(targets[module].0, piece);
                        }
                    }
                    Err(reason) => {
                        if let Ok(mut failed) = failed.lock() {
                            failed.push((module, reason.clone()));
                        }
                    }
                }
                Ok(())
            },
        )?;
        for (at, piece) in made.into_inner().unwrap_or_default() {
            files[at] = Some(piece);
        }
        let failed = failed.into_inner().unwrap_or_default();
        let mut uncompiled: Vec<String> = failed
            .iter()
            .map(|(module, reason)| format!("{} does not compile: {reason}", modules[*module].path))
            .collect();
        uncompiled.sort();
        Ok((failed.into_iter().map(|(module, _)| targets[module].0).collect(), uncompiled))
    }

    /// RECORDs come last, as they list everything else.
    fn records(&self, plan: &Plan, files: &mut [Option<Piece>]) -> Result<()> {
        let listed = plan.listed();
        let so_far = &*files;
        let made = plan
            .files
            .par_iter()
            .enumerate()
            .filter_map(|(at, file)| match file.origin {
                ContentOrigin::Record { dist } => Some((at, dist)),
                _ => None,
            })
            .map(|(at, dist)| {
                let rows = listed[dist].iter().map(|&at| {
                    let file = &plan.files[at];
                    let written = so_far[at].as_ref().map(|piece| piece.written);
                    // As pip's: the interpreter may replace bytecode, so its digest is nobody's business.
                    (&file.path, written.filter(|_| !matches!(file.origin, ContentOrigin::Bytecode { .. })))
                });
                let dist_info = &plan.dists[dist].dist_info;
                let site_packages = dist_info.parent().unwrap_or_else(|| dist_info.clone());
                Ok((at, self.made(&render_record(rows, &site_packages))?))
            })
            .collect::<Result<Vec<_>>>()?;
        for (at, piece) in made {
            files[at] = Some(piece);
        }
        Ok(())
    }
}
