//! Results on standard output: tables for people, JSON for programs.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde::Serialize;

use crate::{
    run::commands::{
        AuthRow, Changes, Checked, Difference, Foreseen, Outcome, Packed, PlanRow, Summary, Warmed,
    },
    words::{
        error::{Error, Kind, Result},
        vocab::{Concealed, count, fit_to_show, fit_to_show_json, size},
    },
};

/// Standard output, collected and written at once, so that a failing command prints no half result.
pub(super) struct Stdout {
    /// What is fit to be shown already.
    text: String,
    concealed: Concealed,
}

impl Stdout {
    /// Nothing yet; what is concealed when it is written will not be shown.
    pub(super) fn new(concealed: &Concealed) -> Self {
        Stdout { text: String::new(), concealed: concealed.clone() }
    }

    /// Adds a line: whatever a lock or an index put into it does not write to the terminal.
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(&fit_to_show(line));
        self.text.push('\n');
    }

    /// Adds a line of a file for another program: it is what its file says, a password that stands there included.
    /// Whoever made it has seen to it that it is one line.
    pub(super) fn product(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds a value as indented JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::new(Kind::Io, "cannot write the result as JSON").because(e))?;
        self.text.push_str(&fit_to_show_json(&text));
        self.text.push('\n');
        Ok(())
    }

    /// Writes everything. A reader that left early (`| head`) is no error.
    pub(super) fn finish(self, code: ExitCode) -> Result<ExitCode> {
        match std::io::stdout().write_all(self.concealed.hide(&self.text).as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::new(Kind::Io, "cannot write to standard output").because(error))
            }
            _ => Ok(code),
        }
    }
}

/// Columns padded to their widest cell; the last is left ragged.
pub(super) fn table(out: &mut Stdout, heading: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain(std::iter::once(heading[column].len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut print = |cells: &mut dyn Iterator<Item = &str>| {
        let line: Vec<String> = cells.zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        out.line(line.join("  ").trim_end());
    };
    print(&mut heading.iter().copied());
    for row in rows {
        print(&mut row.iter().map(String::as_str));
    }
}

/// `venvoy plan`.
pub(super) fn plan_table(out: &mut Stdout, rows: &[PlanRow]) {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.name.clone(),
                row.version.clone().unwrap_or_default(),
                row.kind.to_owned(),
                row.source.clone().unwrap_or_else(|| "-".into()),
                row.size.map(size).unwrap_or_default(),
                if row.cached { "cached" } else { "" }.to_owned(),
                file_cell(row),
            ]
        })
        .collect();
    table(out, &["package", "version", "kind", "source", "size", "cache", "file"], &cells);
    let total: u64 = rows.iter().filter_map(|row| row.size).sum();
    let missing: u64 = rows.iter().filter(|row| !row.cached).filter_map(|row| row.size).sum();
    out.line(&format!("{}, {}, {} to download", count(rows.len(), "package"), size(total), size(missing)));
}

/// The file and what else there is to know.
fn file_cell(row: &PlanRow) -> String {
    let said = row.note.as_deref().is_some_and(|note| note.contains("no hashes"));
    let unhashed = (row.unhashed && !said).then_some("no hashes");
    let notes: Vec<&str> = row.note.as_deref().into_iter().chain(unhashed).collect();
    if notes.is_empty() {
        row.file.clone()
    } else {
        format!("{} ({})", row.file, notes.join(", ")).trim_start().to_owned()
    }
}

/// `venvoy auth`: a paragraph for each source, as the places that were looked in make long lines.
pub(super) fn auth_list(out: &mut Stdout, rows: &[AuthRow]) {
    for row in rows {
        out.line(format!("{}  {}", row.source, row.url).trim_end());
        out.line(&match row.user.as_deref() {
            Some("") => format!("  a token, from {}", row.origin),
            Some(user) => format!("  user {user}, from {}", row.origin),
            None => format!("  {}", row.origin),
        });
        if let Some(answer) = &row.answer {
            out.line(&format!("  {answer}"));
        }
    }
}

/// What `venvoy check` found, for JSON.
#[derive(Debug, Serialize)]
pub(super) struct CheckResult {
    clean: bool,
    files: u64,
    slim: Option<String>,
    missing: Vec<String>,
    changed: Vec<ChangedResult>,
    extra: Vec<String>,
    lock: Vec<Difference>,
}

#[derive(Debug, Serialize)]
struct ChangedResult {
    path: String,
    change: String,
}

impl From<&Checked> for CheckResult {
    fn from(checked: &Checked) -> Self {
        let text = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
        let files = &checked.files;
        CheckResult {
            clean: checked.is_clean(),
            files: files.files,
            slim: files.slim.clone(),
            missing: text(&files.missing),
            changed: files
                .changed
                .iter()
                .map(|one| ChangedResult {
                    path: one.path.display().to_string(),
                    change: one.change.to_string(),
                })
                .collect(),
            extra: text(&files.extra),
            lock: checked.lock.clone(),
        }
    }
}

/// `venvoy check`.
pub(super) fn check_report(out: &mut Stdout, venv: &Path, checked: &Checked) {
    let files = &checked.files;
    for path in &files.missing {
        out.line(&format!("missing: {}", path.display()));
    }
    for one in &files.changed {
        out.line(&format!("changed: {} {}", one.path.display(), one.change));
    }
    for path in &files.extra {
        out.line(&format!("extra:   {}", path.display()));
    }
    for Difference { name, installed, locked } in &checked.lock {
        out.line(&match (installed, locked) {
            (Some(installed), Some(locked)) => {
                format!("version: {name} is {installed}, the lock says {locked}")
            }
            (None, Some(locked)) => format!("missing: {name} {locked} of the lock"),
            (Some(installed), None) => format!("extra:   {name} {installed} is not in the lock"),
            (None, None) => continue,
        });
    }
    if checked.is_clean() {
        let slim = files.slim.as_ref().map_or(String::new(), |kinds| format!(", without {kinds}"));
        out.line(&format!("{} is as it was written ({} files{slim})", venv.display(), files.files));
    } else {
        out.line(&format!(
            "{} is not what it should be: {} missing, {} changed, {} extra, {} unlike the lock \
             (--repair makes it anew)",
            venv.display(),
            files.missing.len(),
            files.changed.len(),
            files.extra.len(),
            checked.lock.len()
        ));
    }
}

/// The last line of a run that made an environment.
pub(super) fn summary(venv: &str, summary: &Summary, took: Duration) -> String {
    let mut parts = Vec::new();
    if summary.cached > 0 {
        parts.push(format!("{} cached", summary.cached));
    }
    if summary.downloaded > 0 {
        parts.push(format!("{} downloaded ({})", summary.downloaded, size(summary.downloaded_bytes)));
    }
    if summary.built > 0 {
        parts.push(format!("{} built", summary.built));
    }
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let line = format!(
        "{venv}: {}, {} in {:.2} s{parts}",
        count(summary.packages, "package"),
        size(summary.bytes),
        took.as_secs_f64()
    );
    if summary.slim.is_empty() { line } else { format!("{line}\n{}", saved(summary)) }
}

/// `venvoy plan --diff`.
pub(super) fn foreseen(out: &mut Stdout, foreseen: &Foreseen) {
    let Foreseen { fresh, changes } = foreseen;
    for (list, sign) in [(&changes.added, '+'), (&changes.removed, '-'), (&changes.changed, '~')] {
        for change in list {
            out.line(&format!("{sign} {change}"));
        }
    }
    let how = if *fresh { "; the environment would be made anew" } else { "" };
    let counts =
        [(&changes.added, "to add"), (&changes.removed, "to remove"), (&changes.changed, "to change")];
    let counts: Vec<String> = counts.iter().map(|(list, word)| format!("{} {word}", list.len())).collect();
    out.line(&format!("{}; {} to keep{how}", counts.join(", "), changes.kept));
}

/// The result of a run as a value.
#[derive(Debug, Serialize)]
pub(super) struct SyncResult<'a> {
    venv: &'a str,
    /// `current`, `fresh` or `changed`.
    outcome: &'static str,
    packages: usize,
    files_written: u64,
    bytes_written: u64,
    downloaded: usize,
    downloaded_bytes: u64,
    built: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a Changes>,
    seconds: f64,
}

impl<'a> SyncResult<'a> {
    /// The result of a run that took so long.
    pub(super) fn new(venv: &'a str, outcome: &'a Outcome, took: Duration) -> Self {
        let none = Summary::default();
        let (word, packages, summary, changes) = match outcome {
            Outcome::Current { packages } => ("current", *packages, &none, None),
            Outcome::Written(summary) => ("fresh", summary.packages, summary, None),
            Outcome::Changed(changes, summary) => ("changed", summary.packages, summary, Some(changes)),
        };
        SyncResult {
            venv,
            outcome: word,
            packages,
            files_written: summary.files,
            bytes_written: summary.bytes,
            downloaded: summary.downloaded,
            downloaded_bytes: summary.downloaded_bytes,
            built: summary.built,
            changes,
            seconds: took.as_secs_f64(),
        }
    }
}

/// The last line of a run that changed an environment.
pub(super) fn changes(venv: &str, changes: &Changes, summary: &Summary, took: Duration) -> String {
    let Changes { added, removed, changed, kept } = changes;
    let mut parts = Vec::new();
    for (names, word) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
        if !names.is_empty() {
            parts.push(format!("{} {word}", names.len()));
        }
    }
    if parts.is_empty() {
        parts.push("put right".to_owned());
    }
    let mut had = Vec::new();
    if summary.downloaded > 0 {
        had.push(format!("{} downloaded ({})", summary.downloaded, size(summary.downloaded_bytes)));
    }
    if summary.built > 0 {
        had.push(format!("{} built", summary.built));
    }
    let had = if had.is_empty() { String::new() } else { format!(": {}", had.join(", ")) };
    format!("{venv}: {}; {kept} kept, in {:.2} s{had}", parts.join(", "), took.as_secs_f64())
}

/// The last line of a run that packed.
pub(super) fn packed(packed: &Packed, took: Duration) -> String {
    let made: Vec<String> = packed
        .made
        .iter()
        .map(|(place, bytes)| {
            bytes.map_or_else(|| place.clone(), |bytes| format!("{place} ({})", size(bytes)))
        })
        .collect();
    let image = packed.image.as_ref().map_or(String::new(), |image| {
        let bytes = image.layers.iter().map(|layer| layer.blob.size).sum();
        let below =
            if image.below > 0 { format!(" on the {} of its base", image.below) } else { String::new() };
        format!(", {} of {}{below}", count(image.layers.len(), "layer"), size(bytes))
    });
    format!(
        "{}: {}{image} in {:.2} s",
        made.join(", "),
        count(packed.packages, "package"),
        took.as_secs_f64()
    )
}

/// `venvoy warm`: a line for each target of each lock.
pub(super) fn warmed(out: &mut Stdout, warmed: &Warmed) {
    for target in &warmed.targets {
        let counts = [
            (target.came, "came"),
            (target.there, "there"),
            (target.built, "built"),
            (target.no_wheel.len(), "without a wheel"),
            (target.failed.len(), "not to be had"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(many, _)| *many > 0)
            .map(|(many, word)| format!("{many} {word}"))
            .collect();
        let packages = count(target.packages, "package");
        let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
        out.line(&format!("{} for {}: {packages}{counts}", target.lock, target.target));
        for package in &target.no_wheel {
            out.line(&format!("  no wheel: {package}"));
        }
    }
}

/// The last line of a run that warmed.
pub(super) fn warmed_line(warmed: &Warmed, took: Duration) -> String {
    let mut parts = Vec::new();
    if warmed.downloaded > 0 {
        parts.push(format!(
            "{} downloaded ({})",
            count(warmed.downloaded, "file"),
            size(warmed.downloaded_bytes)
        ));
    }
    if warmed.copied > 0 {
        parts.push(format!("{} from other caches", count(warmed.copied, "file")));
    }
    if warmed.built > 0 {
        parts.push(format!("{} built", warmed.built));
    }
    if warmed.layers > 0 {
        parts.push(format!("{} in the cache", count(warmed.layers, "layer")));
    }
    for written in &warmed.written {
        let files = count(written.files, "file");
        parts.push(format!("{} ({files}, {})", written.place, size(written.bytes)));
    }
    if parts.is_empty() {
        parts.push("everything was there".to_owned());
    }
    format!("warm: {} in {:.2} s: {}", count(warmed.locks, "lock"), took.as_secs_f64(), parts.join(", "))
}

/// What `--slim` saved, for the line after.
fn saved(summary: &Summary) -> String {
    let parts: Vec<String> =
        summary.slim.iter().map(|one| format!("{} {}", one.kind.word(), size(one.bytes))).collect();
    let total: u64 = summary.slim.iter().map(|one| one.bytes).sum();
    let left = match summary.unstripped {
        0 => String::new(),
        n => format!("; {} not stripped, -v says why", count(n, "shared object")),
    };
    format!("slim saved {}: {}{left}", size(total), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut out = Stdout::new(&Concealed::default());
        table(&mut out, &["a", "b"], &[vec!["long".into(), "x".into()], vec!["s".into(), String::new()]]);
        assert_eq!(out.text, "a     b\nlong  x\ns\n");
    }
}
