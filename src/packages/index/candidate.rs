//! A file of an index seen against a request and a target: what it is, whether it fits, how well.

use std::cmp::{Ordering, Reverse};

use super::{IndexFile, Pinned, SdistName};
use crate::{
    project::{
        lock::Pin,
        python::{Mismatch, Target},
    },
    words::vocab::{Specifiers, Version, WheelName},
};

/// What a file name says, read for the package of the request.
#[derive(Debug, Clone)]
pub(super) enum Form {
    Wheel(WheelName),
    Sdist(SdistName),
}

/// Why a file cannot be used.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    /// No wheel or sdist of this package; says what is wrong.
    NotOfPackage(String),
    OtherVersion(String),
    Tags(Mismatch),
    RequiresPython(String),
    NoBinary,
    OnlyBinary,
    /// Yanked (with the reason), and nothing pins it.
    Yanked(String),
}

/// A file that can be used, ready to be compared with others.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub file: &'a IndexFile,
    pub form: Form,
    /// The position of its best tag; 0 for sdists.
    rank: usize,
    /// A pre-release where the pin does not ask for one.
    unasked_pre: bool,
}

impl<'a> Candidate<'a> {
    /// Looks whether a file can be used; its digest is not this function's business.
    pub(super) fn judge(file: &'a IndexFile, request: &Pinned, target: &Target) -> Result<Self, Refusal> {
        let form = Form::read(&file.filename, request)?;
        if !form.matches(request.pin) {
            return Err(Refusal::OtherVersion(form.version_text()));
        }
        let mut rank = 0;
        match &form {
            Form::Wheel(_) if request.no_binary => return Err(Refusal::NoBinary),
            Form::Sdist(_) if request.only_binary => return Err(Refusal::OnlyBinary),
            Form::Wheel(name) => match target.tags.best(name) {
                Some(best) => rank = best,
                None => return Err(Refusal::Tags(target.tags.explain(name).unwrap_or_else(unexplained))),
            },
            Form::Sdist(_) => {}
        }
        if let Some(text) = &file.requires_python
            && !admits(text, target)
        {
            return Err(Refusal::RequiresPython(text.clone()));
        }
        if let Some(reason) = &file.yanked
            && !request.is_pinned()
        {
            return Err(Refusal::Yanked(reason.clone()));
        }
        let unasked_pre = match request.pin {
            Pin::Exact(_) | Pin::Arbitrary(_) => false,
            Pin::Any => form.is_pre(),
            Pin::Range(range) => form.is_pre() && !range.ask_for_prereleases(),
        };
        Ok(Candidate { file, form, rank, unasked_pre })
    }

    /// Orders by preference, the best first. Total over everything that tells two files apart, so that
    /// the order in which an index lists its files has no say.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let (wheel, build, format) = self.form.order();
        let (other_wheel, other_build, other_format) = other.form.order();
        (self.file.yanked.is_some(), self.unasked_pre)
            .cmp(&(other.file.yanked.is_some(), other.unasked_pre))
            .then_with(|| other.form.version().cmp(&self.form.version()))
            .then_with(|| (Reverse(wheel), self.rank).cmp(&(Reverse(other_wheel), other.rank)))
            .then_with(|| other_build.cmp(&build))
            .then_with(|| format.cmp(&other_format))
            .then_with(|| self.file.filename.cmp(&other.file.filename))
            .then_with(|| self.file.sha256.is_none().cmp(&other.file.sha256.is_none()))
            .then_with(|| self.file.sha256.cmp(&other.file.sha256))
            .then_with(|| self.file.url.cmp(&other.file.url))
            .then_with(|| self.file.requires_python.cmp(&other.file.requires_python))
            .then_with(|| self.file.yanked.cmp(&other.file.yanked))
            .then_with(|| self.file.size.cmp(&other.file.size))
    }
}

impl Form {
    /// Reads a file name as a wheel or sdist of the request's package.
    pub(super) fn read(name: &str, request: &Pinned) -> Result<Self, Refusal> {
        if name.to_ascii_lowercase().ends_with(".whl") {
            let wheel: WheelName = name
                .parse()
                .map_err(|error: crate::words::error::Error| Refusal::NotOfPackage(error.to_string()))?;
            if wheel.name != *request.name {
                return Err(Refusal::NotOfPackage(format!("it is a wheel of {}", wheel.name)));
            }
            return Ok(Form::Wheel(wheel));
        }
        SdistName::parse(name, request.name)
            .map(Form::Sdist)
            .ok_or_else(|| Refusal::NotOfPackage(format!("neither a wheel nor an sdist of {}", request.name)))
    }

    pub(super) fn version(&self) -> Option<&Version> {
        match self {
            Form::Wheel(wheel) => Some(&wheel.version),
            Form::Sdist(sdist) => sdist.version.as_ref(),
        }
    }

    /// The version in its normal form, or as written where it has none.
    pub(super) fn version_text(&self) -> String {
        match self {
            Form::Sdist(SdistName { version: None, written, .. }) => written.clone(),
            _ => self.version().map(ToString::to_string).unwrap_or_default(),
        }
    }

    fn written(&self) -> &str {
        match self {
            Form::Wheel(wheel) => wheel.written_version(),
            Form::Sdist(sdist) => &sdist.written,
        }
    }

    fn is_pre(&self) -> bool {
        self.version().is_none_or(Version::any_prerelease)
    }

    /// Whether the pin accepts this version. What is no version of PEP 440 is accepted only by `===`:
    /// `demo-extra-1.0.tar.gz` is rather another package than `extra-1.0` of demo.
    pub(super) fn matches(&self, pin: &Pin) -> bool {
        match self.version() {
            Some(version) => pin.accepts(version, self.written()),
            None => pin.accepts_text(self.written()),
        }
    }

    fn order(
        &self,
    ) -> (bool, Option<&crate::words::vocab::BuildTag>, Option<crate::words::vocab::ArchiveFormat>) {
        match self {
            Form::Wheel(wheel) => (true, wheel.build.as_ref(), None),
            Form::Sdist(sdist) => (false, None, Some(sdist.format)),
        }
    }
}

/// Whether a `Requires-Python` admits the target. What cannot be read excludes nothing, as in pip.
/// Only release numbers are compared, and an assumed micro version is given the benefit of the doubt.
fn admits(text: &str, target: &Target) -> bool {
    const MICRO_LIMIT: u8 = 40;
    let Ok(range) = text.parse::<Specifiers>() else { return true };
    let (major, minor, micro) = target.version;
    let admits = |micro: u8| range.contains(&Version::new([major, minor, micro].map(u64::from)));
    admits(micro) || target.assumed_micro && (0..MICRO_LIMIT).any(admits)
}

/// Only for a target that would call the same tags fitting and not fitting.
fn unexplained() -> Mismatch {
    Mismatch { part: crate::project::python::TagPart::Platform, got: Vec::new(), accepted: Vec::new() }
}
