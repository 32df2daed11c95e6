//! Contents that are made while writing: scripts with their first line replaced, and RECORDs.

use std::borrow::Cow;

use crate::layout::{Plan, Written};

/// A script with its `#!python` line replaced (binary distribution format, "Recommended archiver features").
pub(super) fn rewrite_script<'a>(bytes: &'a [u8], console: &[u8], gui: &[u8]) -> Cow<'a, [u8]> {
    if !bytes.starts_with(b"#!python") {
        return Cow::Borrowed(bytes);
    }
    let head = if bytes.starts_with(b"#!pythonw") { gui } else { console };
    let rest = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    Cow::Owned([head, &bytes[rest..]].concat())
}

/// The RECORD of a distribution whose files are at `positions` of the plan.
pub(super) fn render_record(
    plan: &Plan,
    dist: usize,
    positions: &[usize],
    written: &[Option<Written>],
) -> Vec<u8> {
    let site = plan.dists[dist].dist_info.parent();
    let site = site.as_ref().map_or(String::new(), |site| format!("{site}/"));
    let up = "../".repeat(site.matches('/').count());
    let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    for &position in positions {
        let path = plan.files[position].path.as_str();
        let path = path.strip_prefix(&site).map_or_else(|| format!("{up}{path}"), str::to_owned);
        let (digest, size) = written[position].map_or((String::new(), String::new()), |written| {
            (format!("sha256={}", written.sha256.to_record()), written.size.to_string())
        });
        // Writing to memory cannot fail.
        let _ = out.write_record([path, digest, size]);
    }
    out.into_inner().unwrap_or_default()
}
