//! The bytes of a plan's files, checked: a directory and an archive get the same ones from here.
//!
//! What differs is a [`Medium`]'s: how bytes get into it, and how an entry of a wheel gets there as it stands.

mod derived;

use std::{
    fs::File,
    io::{self, Write as _},
};

use parking_lot::Mutex;

pub(crate) use derived::{complete, put_bytecode, put_records};

use crate::{
    environment::{
        layout::{ContentOrigin, Plan, PlanFile, Written},
        script::rewrite_script,
        strip::{self, Verdict},
    },
    packages::wheel::{Checked, Content, Scratch, Wheel},
    words::error::{Error, Result},
};

/// What files are put into.
pub(crate) trait Medium: Sync {
    /// What is known of a file that was put there.
    type Made: Send + Sync;

    /// Its digest and size.
    fn written(made: &Self::Made) -> Written;

    /// An error once the user wants to stop.
    fn check(&self) -> Result<()>;

    /// Puts bytes there.
    fn put(&self, file: &PlanFile, bytes: &[u8]) -> Result<Self::Made>;

    /// Puts an entry there as it stands in its wheel, once [`Contents::compare`] took it.
    fn entry(&self, file: &PlanFile, from: EntryAt, scratch: &mut Scratch) -> Result<Self::Made>;

    /// Puts an entry there as it stands in its wheel, which was inflated and compared already.
    fn inflated(&self, file: &PlanFile, from: EntryAt, content: Content<'_>) -> Result<Self::Made>;

    /// Opens an empty file to put there, for what is too large to be held: written, read and then given to
    /// [`Medium::filled`].
    fn open(&self, file: &PlanFile) -> Result<File>;

    /// Puts a file there that was opened for that.
    fn filled(&self, file: &PlanFile, from: EntryAt, bytes: File, whole: Whole) -> Result<Self::Made>;

    /// Reads back what was put there.
    fn read(&self, file: &PlanFile, made: &Self::Made) -> Result<Vec<u8>>;

    /// The error of a file that cannot be put there.
    fn cannot_write(&self, file: &PlanFile, error: io::Error) -> Error;

    /// Sources of so many bytes are about to be compiled.
    fn compiling(&self, _: u64) {}

    /// One of so many bytes was compiled.
    fn compiled(&self, _: u64) {}
}

/// An entry of a wheel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryAt {
    /// Position of the distribution in the plan.
    pub dist: usize,
    /// Position of the entry in its wheel.
    pub entry: usize,
}

/// What a file holds that was filled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whole {
    /// The entry, as it stands in its wheel.
    Entry(Checked),
    /// What was left of it, in bytes.
    Smaller(u64),
}

/// What became of a shared object that was to be stripped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stripped {
    /// The distribution, a position in `Plan::dists`.
    pub dist: usize,
    /// Where it is, relative to the environment.
    pub path: String,
    /// The bytes that this saved, or why it was left as it is.
    pub outcome: Result<u64, &'static str>,
}

/// Makes files, and notes what is to be said about them.
pub(crate) struct Contents {
    /// Whether a file to which its wheel's RECORD gives another digest is an error rather than a warning.
    strict: bool,
    /// Entries larger than this (bytes) are streamed rather than held.
    held: u64,
    notes: Mutex<Notes>,
}

/// What is to be said about files that were made.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// What the user should hear, sorted.
    pub warnings: Vec<String>,
    /// Shared objects that were made smaller, or would have been if they were not unusual; sorted.
    pub stripped: Vec<Stripped>,
}

impl Contents {
    /// Refuses what contradicts its wheel's RECORD if it is to be `strict`, and streams entries of more than `held`
    /// bytes.
    pub(crate) fn new(strict: bool, held: u64) -> Self {
        Contents { strict, held, notes: Mutex::default() }
    }

    /// Puts a file of `plan` into `medium`; `None` for what is made from others, see [`put_bytecode`] and
    /// [`put_records`].
    ///
    /// # Errors
    /// [`crate::words::error::Kind::Integrity`] for wheels that are not what they claim to be.
    pub(crate) fn put<M: Medium>(
        &self,
        plan: &Plan,
        file: &PlanFile,
        medium: &M,
        scratch: &mut Scratch,
    ) -> Result<Option<M::Made>> {
        match &file.origin {
            ContentOrigin::Bytes(bytes) => medium.put(file, bytes),
            &ContentOrigin::Entry { dist, entry } => medium.entry(file, EntryAt { dist, entry }, scratch),
            ContentOrigin::Script { dist, entry, style } => {
                let from = EntryAt { dist: *dist, entry: *entry };
                let content = self.inflate(plan, from, scratch)?;
                match rewrite_script(content.bytes, style) {
                    Some(script) => medium.put(file, &script),
                    None => medium.inflated(file, from, content),
                }
            }
            &ContentOrigin::Stripped { dist, entry } => {
                self.strip(plan, file, EntryAt { dist, entry }, medium, scratch)
            }
            ContentOrigin::Bytecode { .. } | ContentOrigin::Record { .. } => return Ok(None),
        }
        .map(Some)
    }

    /// A shared object without what is not loaded.
    fn strip<M: Medium>(
        &self,
        plan: &Plan,
        file: &PlanFile,
        from: EntryAt,
        medium: &M,
        scratch: &mut Scratch,
    ) -> Result<M::Made> {
        let unwritable = |error| medium.cannot_write(file, error);
        let wheel = &*plan.dists[from.dist].wheel;
        let entry = &wheel.entries[from.entry];
        let (verdict, made) = if entry.size.max(entry.compressed_size) > self.held {
            let mut out = medium.open(file)?;
            let whole = wheel.stream(from.entry, &mut |bytes| out.write_all(bytes).map_err(unwritable))?;
            self.compare(wheel, from.entry, whole.sha256)?;
            let verdict = strip::look(&out).map_err(unwritable)?;
            let whole = match &verdict {
                Verdict::Smaller(recipe) => {
                    recipe.apply_to(&out).map_err(unwritable)?;
                    Whole::Smaller(recipe.size)
                }
                _ => Whole::Entry(whole),
            };
            (verdict, medium.filled(file, from, out, whole)?)
        } else {
            let content = self.inflate(plan, from, scratch)?;
            let verdict = strip::look(&content.bytes).map_err(unwritable)?;
            let made = match &verdict {
                Verdict::Smaller(recipe) => medium.put(file, &recipe.apply(content.bytes))?,
                _ => medium.inflated(file, from, content)?,
            };
            (verdict, made)
        };
        let outcome = match verdict {
            Verdict::Smaller(recipe) => Ok(entry.size - recipe.size),
            Verdict::Unusual(why) => Err(why),
            Verdict::Nothing => return Ok(made),
        };
        let stripped = Stripped { dist: from.dist, path: file.path.to_string(), outcome };
        self.notes.lock().stripped.push(stripped);
        Ok(made)
    }

    /// An entry's bytes, compared with RECORD.
    fn inflate<'s>(&self, plan: &Plan, from: EntryAt, scratch: &'s mut Scratch) -> Result<Content<'s>> {
        let wheel = &*plan.dists[from.dist].wheel;
        let content = wheel.inflate(from.entry, scratch)?;
        self.compare(wheel, from.entry, content.sha256)?;
        Ok(content)
    }

    /// Whether an entry's bytes have the digest that the wheel's RECORD gives; warns of others, or refuses them.
    pub(crate) fn compare(
        &self,
        wheel: &Wheel,
        entry: usize,
        got: crate::words::vocab::Sha256,
    ) -> Result<bool> {
        let Some(contradiction) = wheel.contradiction(entry, got) else {
            return Ok(wheel.entries[entry].sha256.is_some());
        };
        if self.strict {
            return Err(contradiction);
        }
        self.notes.lock().warnings.push(contradiction.to_string());
        Ok(false)
    }

    /// What is to be said.
    pub(crate) fn into_notes(self) -> Notes {
        let mut notes = self.notes.into_inner();
        notes.warnings.sort();
        notes.stripped.sort();
        notes
    }
}
