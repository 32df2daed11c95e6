//! The one error type of venvoy: a subject, what was got and expected, and what to do next.
//!
//! An [`Error`] is one link of a chain. Rooms make the innermost link with [`Error::new`]; each stage
//! adds at most one more with [`Error::context`]. Only `cli` prints a chain, with [`Error::report`].

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
};

/// What went wrong in general: decides the exit code (see README, "Exit codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line, an environment variable or a configuration value is unusable.
    Usage,
    /// The lock or Pipfile is missing, damaged, stale or does not hold what was asked for.
    Lock,
    /// No interpreter fits, or the interpreter does not match what the lock requires.
    Target,
    /// The index has no file that the lock pins and the target can use.
    Selection,
    /// Credentials are missing, refused or unreadable.
    Auth,
    /// The index or a file server could not be reached or did not answer properly.
    Network,
    /// Bytes are not what they claim to be: a digest, a wheel's structure, a RECORD.
    Integrity,
    /// A source distribution, checkout or local project could not be built.
    Build,
    /// The destination is not ours to replace or cannot be written.
    Destination,
    /// The operating system refused something that is not the destination's fault.
    Io,
    /// The user interrupted the run.
    Interrupted,
}

impl Kind {
    /// The process exit code for this kind of error.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Io => 1,
            Kind::Usage => 2,
            Kind::Lock => 3,
            Kind::Target => 4,
            Kind::Selection => 5,
            Kind::Auth => 6,
            Kind::Network => 7,
            Kind::Integrity => 8,
            Kind::Build => 9,
            Kind::Destination => 10,
            Kind::Interrupted => 130,
        }
    }
}

/// One link of an error chain. Cheap to move: one pointer.
#[derive(Debug)]
pub struct Error(Box<Link>);

#[derive(Debug)]
struct Link {
    kind: Kind,
    message: String,
    help: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    parts: Vec<Error>,
}

/// The result of everything in venvoy that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An innermost error: `message` names the subject, what was got and what was expected.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error(Box::new(Link { kind, message: message.into(), help: None, source: None, parts: Vec::new() }))
    }

    /// An operating-system error about `path`, with what was being done to it ("cannot read").
    pub fn io(action: &str, path: &std::path::Path, error: std::io::Error) -> Self {
        let full = super::files::is_full(&error);
        let error = Error::new(Kind::Io, format!("{action} {}", path.display())).because(error);
        if full {
            error.help("free some space on that file system and run the same command again; nothing was lost")
        } else {
            error
        }
    }

    /// Several errors of equal standing, reported together under one message.
    pub fn all(kind: Kind, message: impl Into<String>, parts: Vec<Error>) -> Self {
        let mut error = Error::new(kind, message);
        error.0.parts = parts;
        error
    }

    /// Says what the user can do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Records the error of another library that led to this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Wraps this error once more, keeping its kind: `message` names the stage and its subject.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Self {
        let kind = self.kind();
        Error::new(kind, message).because(self)
    }

    /// The same error under another kind (a stage may know better what it means for the user).
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error once more, for others whom it concerns as well. Causes of other libraries become text.
    #[must_use]
    pub fn again(&self) -> Self {
        let link = &self.0;
        let source = link.source.as_deref().map(|source| {
            let source: &(dyn std::error::Error + 'static) = source;
            match source.downcast_ref::<Error>() {
                Some(ours) => ours.again().into(),
                None => Told::of(source).into(),
            }
        });
        Error(Box::new(Link {
            kind: link.kind,
            message: link.message.clone(),
            help: link.help.clone(),
            source,
            parts: link.parts.iter().map(Error::again).collect(),
        }))
    }

    /// What kind of error this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The whole chain as shown to a user: messages from the outside in, then every help line.
    pub fn report(&self) -> String {
        let mut out = String::new();
        let mut helps = Vec::new();
        self.write_chain(&mut out, "", &mut helps);
        for help in helps {
            let _ = write!(out, "\n  help: {}", help.replace('\n', "\n        "));
        }
        out
    }

    /// The chain in one line, for a warning or the cell of a table: messages from the outside in.
    pub fn in_one_line(&self) -> String {
        let mut out = self.0.message.replace('\n', " ");
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let _ = write!(out, ": {}", cause.to_string().replace('\n', " "));
            source = cause.source();
        }
        out
    }

    fn write_chain<'a>(&'a self, out: &mut String, indent: &str, helps: &mut Vec<&'a str>) {
        let nested = format!("\n{indent}  ");
        out.push_str(&self.0.message.replace('\n', &nested));
        if let Some(help) = &self.0.help
            && !helps.contains(&help.as_str())
        {
            helps.push(help);
        }
        for part in &self.0.parts {
            let _ = write!(out, "\n{indent}  - ");
            part.write_chain(out, &format!("{indent}    "), helps);
        }
        let mut source = self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static));
        while let Some(cause) = source {
            let _ = write!(out, "\n{indent}  because: ");
            if let Some(ours) = cause.downcast_ref::<Error>() {
                ours.write_chain(out, indent, helps);
                break;
            }
            out.push_str(&cause.to_string().replace('\n', &nested));
            source = cause.source();
        }
    }
}

/// An error of another library, kept as its text.
#[derive(Debug)]
struct Told(String, Option<Box<Told>>);

impl Told {
    fn of(error: &dyn std::error::Error) -> Self {
        Told(error.to_string(), error.source().map(|source| Box::new(Told::of(source))))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|told| told as &(dyn std::error::Error + 'static))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

/// Adds a stage's message to whatever error comes through.
pub(crate) trait Context<T> {
    /// Wraps an error with the message that `message` makes.
    fn context<S: Into<String>>(self, message: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn context<S: Into<String>>(self, message: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| e.context(message()))
    }
}

/// What a pure room noticed that the user should hear but that stops nothing.
#[derive(Debug, Default, Clone)]
pub struct Warnings(pub Vec<String>, HashSet<String>);

impl Warnings {
    /// Adds one warning, unless the very same one is there already.
    pub fn push(&mut self, warning: impl Into<String>) {
        let warning = warning.into();
        if self.1.insert(warning.clone()) {
            self.0.push(warning);
        }
    }

    /// Takes over all warnings of `other`.
    pub fn extend(&mut self, other: Warnings) {
        for warning in other.0 {
            self.push(warning);
        }
    }
}

impl FromIterator<String> for Warnings {
    fn from_iter<I: IntoIterator<Item = String>>(warnings: I) -> Self {
        let mut all = Warnings::default();
        warnings.into_iter().for_each(|warning| all.push(warning));
        all
    }
}

impl PartialEq for Warnings {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Warnings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_the_chain_from_the_outside_in_and_then_what_to_do() {
        let error = Error::new(Kind::Integrity, "got sha256:aa, expected sha256:bb")
            .help("lock again")
            .context("cannot verify demo-1.0-py3-none-any.whl")
            .context("cannot install demo 1.0");
        assert_eq!(error.kind().exit_code(), 8);
        assert_eq!(
            error.report(),
            "cannot install demo 1.0\n  because: cannot verify demo-1.0-py3-none-any.whl\n  \
             because: got sha256:aa, expected sha256:bb\n  help: lock again"
        );
    }

    #[test]
    fn a_chain_fits_in_one_line() {
        let error = Error::io("cannot list", std::path::Path::new("x"), std::io::Error::other("no\nway"));
        assert_eq!(error.context("it is ignored").in_one_line(), "it is ignored: cannot list x: no way");
    }

    #[test]
    fn a_warning_is_kept_once_and_very_many_are_kept_at_once() {
        let mut warnings = Warnings::default();
        let start = std::time::Instant::now();
        for _ in 0..2 {
            (0..100_000)
                .for_each(|at| warnings.push(format!("an entry of the archive has no time: {at:06}")));
        }
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
        assert_eq!(warnings.0.len(), 100_000);
        assert_eq!(warnings.0[1], "an entry of the archive has no time: 000001");
    }

    #[test]
    fn parts_of_equal_standing_are_listed_together() {
        let error = Error::all(
            Kind::Lock,
            "2 entries are unusable",
            vec![Error::new(Kind::Lock, "default: a"), Error::new(Kind::Lock, "develop: b").help("fix b")],
        );
        assert_eq!(error.report(), "2 entries are unusable\n  - default: a\n  - develop: b\n  help: fix b");
    }

    #[test]
    fn a_full_disk_says_so_and_what_to_do() {
        let error = Error::io(
            "cannot write",
            std::path::Path::new("x"),
            std::io::Error::from(std::io::ErrorKind::StorageFull),
        );
        assert!(error.report().contains("free some space"), "{}", error.report());
    }
}
