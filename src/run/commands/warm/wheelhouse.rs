//! Wheels in a directory, and requirements files that pin them, for pip.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::{
    Work, Written,
    fetch::{Got, Outcome},
};
use crate::{
    project::lock::Entry,
    run::supply::session::Session,
    words::{
        error::{Error, Kind, Result},
        vocab::{Sha256, WheelName},
    },
};

/// A line of a requirements file: what pins it, and the digests of what there is of it.
type Lines = BTreeMap<(String, String), BTreeSet<Sha256>>;

/// Puts the files into a directory, each under the name that counts, and writes a `requirements.txt`; one for each lock
/// where there are several, as they may pin different versions.
pub(super) fn wheelhouse(
    dir: &Path,
    needs: &[(&Work<'_>, &Session<'_>)],
    fetched: &[Vec<Outcome>],
) -> Result<Written> {
    std::fs::create_dir_all(dir).map_err(|error| Error::io("cannot make the directory", dir, error))?;
    let mut files: BTreeMap<&str, &Got> = BTreeMap::new();
    let mut locks: BTreeMap<&str, Lines> = BTreeMap::new();
    for ((work, _), row) in needs.iter().zip(fetched) {
        let lines = locks.entry(&work.ask.label).or_default();
        for (entry, outcome) in work.entries.iter().zip(row) {
            let Some(got) = outcome.file() else { continue };
            let known = files.entry(&got.file_name).or_insert(got);
            if known.file.sha256() != got.file.sha256() {
                return Err(two_of_one_name(got, known));
            }
            if let Some(line) = line(entry, &got.file_name) {
                lines.entry(line).or_default().insert(got.file.sha256());
            }
        }
    }
    let mut bytes = 0;
    for (name, got) in &files {
        let mut source = got.file.open()?;
        publish(&dir.join(name), &mut source)?;
        bytes += got.file.size();
    }
    let one = locks.len() == 1;
    for (label, lines) in &locks {
        let name =
            if one { "requirements.txt".to_owned() } else { format!("requirements-{}.txt", plain(label)) };
        publish(&dir.join(name), &mut text(lines).as_bytes())?;
    }
    Ok(Written { what: "wheelhouse", place: dir.display().to_string(), files: files.len(), bytes })
}

fn two_of_one_name(got: &Got, known: &Got) -> Error {
    Error::new(
        Kind::Destination,
        format!(
            "two different files are called {}: sha256:{} and sha256:{}",
            got.file_name,
            known.file.sha256(),
            got.file.sha256()
        ),
    )
    .help("make a wheelhouse for each lock: a directory can hold one of them")
}

/// The requirement and its marker.
fn line(entry: &Entry, file_name: &str) -> Option<(String, String)> {
    let version = match file_name.parse::<WheelName>() {
        Ok(wheel) => wheel.version.to_string(),
        Err(_) => entry.pin.bare(),
    };
    let extras: Vec<String> = entry.extras.iter().map(ToString::to_string).collect();
    let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
    let marker = entry.marker.as_ref().map_or_else(String::new, |marker| format!(" ; {marker}"));
    (!version.is_empty()).then(|| (format!("{}{extras}=={version}", entry.name), marker))
}

fn text(lines: &Lines) -> String {
    let mut text = String::from(
        "# Made by venvoy, for pip install --no-index --find-links DIR --no-deps --require-hashes\n",
    );
    for ((requirement, marker), digests) in lines {
        let _ = write!(text, "{requirement}{marker}");
        for digest in digests {
            let _ = write!(text, " \\\n    --hash=sha256:{digest}");
        }
        text.push('\n');
    }
    text
}

/// A label as a part of a file's name.
fn plain(label: &str) -> String {
    let name = label.trim_start_matches("./").trim_end_matches("/Pipfile.lock");
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    name.chars().map(plain).collect::<String>().trim_matches('-').to_owned()
}

/// Writes a file that appears whole.
fn publish(to: &Path, from: &mut dyn std::io::Read) -> Result<()> {
    let cannot = |error| Error::io("cannot write", to, error);
    let parent = to.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".part-").tempfile_in(parent).map_err(cannot)?;
    std::io::copy(from, &mut temporary).map_err(cannot)?;
    temporary.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(cannot)?;
    temporary.persist(to).map(drop).map_err(|error| cannot(error.error))
}
