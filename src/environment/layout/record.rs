//! RECORD as text (recording installed projects, PEP 376/627).

use std::fmt::Write as _;

use super::Written;
use crate::words::vocab::RelPath;

/// A RECORD: one row for each file with its digest and size (`None` for RECORD itself), sorted, paths
/// relative to `site_packages`, quoted as Python's `csv` does, lines ending in `\n`.
pub(crate) fn render_record<'a>(
    rows: impl Iterator<Item = (&'a RelPath, Option<Written>)>,
    site_packages: &RelPath,
) -> Vec<u8> {
    let mut rows: Vec<(String, Option<Written>)> =
        rows.map(|(path, written)| (relative(path, site_packages), written)).collect();
    rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut out = String::with_capacity(rows.iter().map(|(path, _)| path.len() + 64).sum());
    for (path, written) in rows {
        if path.contains([',', '"', '\n', '\r']) {
            let _ = write!(out, "\"{}\"", path.replace('"', "\"\""));
        } else {
            out.push_str(&path);
        }
        match written {
            Some(Written { sha256, size }) => {
                let _ = writeln!(out, ",sha256={},{size}", sha256.to_record());
            }
            None => out.push_str(",,\n"),
        }
    }
    out.into_bytes()
}

/// `path` as seen from `base`, both relative to the environment.
fn relative(path: &RelPath, base: &RelPath) -> String {
    let inside = path.as_str().strip_prefix(base.as_str()).and_then(|rest| rest.strip_prefix('/'));
    if let Some(inside) = inside {
        return inside.to_owned();
    }
    let common = path.components().zip(base.components()).take_while(|(a, b)| a == b).count();
    let up = base.components().count() - common;
    let down: Vec<&str> = path.components().skip(common).collect();
    "../".repeat(up) + &down.join("/")
}

/// The files that a RECORD as [`render_record`] writes it lists, relative to the environment; `None` for any other
/// text, and for a path that leads outside.
pub(crate) fn record_paths(text: &[u8], site_packages: &RelPath) -> Option<Vec<RelPath>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut paths = Vec::new();
    for row in reader.records() {
        let row = row.ok()?;
        let mut parts: Vec<&str> = site_packages.components().collect();
        for part in row.get(0)?.split('/') {
            if part == ".." {
                parts.pop()?;
            } else {
                parts.push(part);
            }
        }
        paths.push(parts.join("/").parse().ok()?);
    }
    Some(paths)
}
