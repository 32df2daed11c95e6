//! Why no file of an index can be taken, said so that a person can act on it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    IndexFile, Pinned,
    candidate::{Candidate, Form, Refusal},
    link::printable,
};
use crate::{
    project::{
        lock::Pin,
        python::{TagPart, Target},
    },
    words::{
        error::{Error, Kind, Result},
        gather::listed,
    },
};

/// How many files, versions or digests one message lists.
const SHOWN: usize = 12;

/// The package with its pin, as a requirement.
fn subject(request: &Pinned) -> String {
    let name = request.name;
    match request.pin {
        Pin::Any => name.to_string(),
        pin => format!("{name} {pin}"),
    }
}

/// Whether an entry has what its files can be verified by, or need not.
///
/// # Errors
/// [`Kind::Lock`]: the lock pins by nothing, or by digests that anyone can forge.
pub(crate) fn check_digests(request: &Pinned) -> Result<()> {
    let Pinned { name, hashes, allow_unhashed, .. } = request;
    if hashes.suffice(*allow_unhashed) {
        return Ok(());
    }
    let help = if hashes.other.is_empty() {
        format!(
            "lock again with a current pipenv, or pass --allow-unhashed {name} to take whatever the index serves"
        )
    } else {
        "lock again with a current pipenv and an index that gives sha256 digests".to_owned()
    };
    Err(Error::new(Kind::Lock, hashes.shortfall()).help(help))
}

/// Finds out what kept every file from being chosen.
pub(super) fn explain(request: &Pinned, files: &[IndexFile], target: &Target) -> Error {
    let subject = subject(request);
    let forms: Vec<(&IndexFile, Form)> =
        files.iter().filter_map(|file| Some((file, Form::read(&file.filename, request).ok()?))).collect();
    let digests = request.hashes.pinned();
    let pinned = |file: &IndexFile| file.sha256.is_some_and(|digest| digests.contains(&digest));
    let of_version = || forms.iter().filter(|(_, form)| form.matches(request.pin)).map(|(file, _)| *file);
    // What the lock accepts or may accept, were it only usable.
    let unhashed = request.hashes.sha256.is_empty();
    let mut accepted: Vec<&IndexFile> = files.iter().filter(|file| pinned(file)).collect();
    // Where a file would do but for its bytes, that is the news, not that others without a digest do
    // not fit.
    let only_bytes_differ =
        |file: &IndexFile| file.sha256.is_some() && Candidate::judge(file, request, target).is_ok();
    if unhashed || !accepted.is_empty() || !of_version().any(only_bytes_differ) {
        accepted.extend(of_version().filter(|file| unhashed || file.sha256.is_none()));
    }
    if !accepted.is_empty() {
        return unusable(&subject, &accepted, request, target);
    }
    let mut there: Vec<&IndexFile> = of_version().collect();
    if !there.is_empty() {
        there.sort_by(|a, b| (&a.filename, a.sha256).cmp(&(&b.filename, b.sha256)));
        return no_match(&subject, &there, request);
    }
    if forms.is_empty() {
        return Error::new(Kind::Selection, format!("the index lists no file of {}", request.name))
            .help("check that the lock names the right source for this package");
    }
    let mut versions: Vec<_> = forms.iter().map(|(_, form)| (form.version(), form.version_text())).collect();
    versions.sort();
    versions.dedup();
    versions.reverse();
    Error::new(
        Kind::Selection,
        format!(
            "the index has no file of {subject}; it has {}",
            listed(&versions.iter().map(|(_, text)| text).collect::<Vec<_>>())
        ),
    )
    .help("check that the lock names the right source for this package, or lock again")
}

/// The version is there, but in other bytes than the lock pins.
fn no_match(subject: &str, there: &[&IndexFile], request: &Pinned) -> Error {
    let mut lines: Vec<String> = there
        .iter()
        .map(|file| {
            let digest = file.sha256.map_or("no sha256".to_owned(), |digest| format!("sha256:{digest}"));
            format!("the index has {} with {digest}", file.filename)
        })
        .collect();
    cut(&mut lines, "files");
    let mut expected: Vec<String> =
        request.hashes.sha256.iter().map(|digest| format!("the lock has sha256:{digest}")).collect();
    expected.sort();
    cut(&mut expected, "hashes");
    lines.extend(expected);
    Error::all(
        Kind::Selection,
        format!("no file that the index has of {subject} is one that the lock pins"),
        lines.into_iter().map(|line| Error::new(Kind::Selection, line)).collect(),
    )
    .help(
        "if the files were built or uploaded again, lock again; otherwise the source is not the one the lock \
         was made with, or the files were tampered with",
    )
}

/// The lock's files are there, but none can be used here.
fn unusable(subject: &str, accepted: &[&IndexFile], request: &Pinned, target: &Target) -> Error {
    // Sorted by how close they came, then by name.
    let mut reasons = BTreeSet::new();
    let mut tags = BTreeMap::new();
    let (mut sdist_excluded, mut wheel_excluded, mut yanked) = (false, false, false);
    for file in accepted {
        let name = &file.filename;
        match Candidate::judge(file, request, target) {
            Ok(_) => {}
            Err(Refusal::OnlyBinary) => {
                sdist_excluded = true;
                reasons.insert((0, format!("{name}: an sdist, and only wheels may be used")));
            }
            Err(Refusal::NoBinary) => {
                wheel_excluded = true;
                reasons.insert((0, format!("{name}: a wheel, and only sdists may be used")));
            }
            Err(Refusal::Yanked(reason)) => {
                yanked = true;
                let reason = yanked_because(&reason);
                reasons.insert((
                    0,
                    format!("{name}: was yanked ({reason}), and neither a version nor a hash pins it"),
                ));
            }
            Err(Refusal::RequiresPython(text)) => {
                reasons.insert((1, format!("{name}: requires Python {}", printable(&text))));
            }
            Err(Refusal::Tags(mismatch)) => {
                let order = match mismatch.part {
                    TagPart::Platform => 2,
                    TagPart::Abi => 3,
                    TagPart::Python => 4,
                };
                let got = mismatch.got.join(".");
                reasons.insert((order, format!("{name}: {} tag {got} does not fit", mismatch.part)));
                tags.insert(order, mismatch);
            }
            Err(Refusal::OtherVersion(version)) => {
                reasons.insert((5, format!("{name}: its hash is the lock's, but its version is {version}")));
            }
            Err(Refusal::NotOfPackage(why)) => {
                reasons.insert((6, format!("{name}: {why}")));
            }
        }
    }
    let mut lines: Vec<String> = reasons.into_iter().map(|(_, line)| line).collect();
    let count = lines.len();
    cut(&mut lines, "files");
    for mismatch in tags.values() {
        let accepted = listed(&mismatch.accepted);
        lines.push(format!("the target accepts the {} tags {accepted}", mismatch.part));
    }
    let target_text = target.describe_shortly();
    let whose = if request.hashes.sha256.is_empty() { "the index has" } else { "the lock pins" };
    let message = match count {
        1 => format!("the only file that {whose} for {subject} cannot be used with {target_text}"),
        _ => format!("none of the {count} files that {whose} for {subject} can be used with {target_text}"),
    };
    let error = Error::all(
        Kind::Selection,
        message,
        lines.into_iter().map(|line| Error::new(Kind::Selection, line)).collect(),
    );
    error.help(if sdist_excluded {
        "allow this package to be built from its sdist, or use an interpreter that it has a wheel for"
    } else if wheel_excluded {
        "allow wheels for this package, or lock a version that has an sdist"
    } else if yanked {
        "lock again so that it gets hashes, or pin this version with =="
    } else {
        "use an interpreter and platform that the package has files for, or lock another version"
    })
}

/// The reason for which a file was yanked, fit to be shown.
pub(super) fn yanked_because(reason: &str) -> String {
    let reason = printable(reason);
    if reason.is_empty() { "no reason given".to_owned() } else { reason }
}

/// Keeps a list short, saying what it leaves out.
fn cut(lines: &mut Vec<String>, what: &str) {
    if lines.len() > SHOWN {
        let more = lines.len() - SHOWN;
        lines.truncate(SHOWN);
        lines.push(format!("and {more} more {what}"));
    }
}
