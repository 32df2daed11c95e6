//! What a wheel's `.dist-info` says about it (binary distribution format, core metadata).

use std::collections::BTreeSet;

use super::{WheelEntry, refused};
use crate::words::{
    error::{Result, Warnings},
    vocab::{PackageName, RelPath, Version, WheelName},
};

/// The one top-level `NAME-VERSION{suffix}` directory, as the wheel spells it. Another that ends so is
/// refused: it would be taken for another distribution's.
pub(super) fn find(entries: &[WheelEntry], suffix: &str, name: &WheelName) -> Result<Option<RelPath>> {
    let found: BTreeSet<&str> = entries
        .iter()
        .filter_map(|entry| entry.path.as_str().split_once('/'))
        .map(|(top, _)| top)
        .filter(|top| top.ends_with(suffix))
        .collect();
    let expected = || format!("expected {}-{}{suffix}", name.name.for_file_name(), name.version);
    if found.len() > 1 {
        let found: Vec<&str> = found.into_iter().collect();
        return Err(refused(format!("it has {} {suffix} directories ({})", found.len(), found.join(", "))));
    }
    let Some(top) = found.first() else { return Ok(None) };
    let stem = top.strip_suffix(suffix).unwrap_or(top);
    let matches = stem.match_indices('-').any(|(at, _)| {
        stem[..at].parse::<PackageName>().is_ok_and(|n| n == name.name)
            && version(&stem[at + 1..]).is_some_and(|v| v == name.version)
    });
    if !matches {
        return Err(refused(format!("it holds {top:?}, {}", expected())));
    }
    Ok(Some(top.parse()?))
}

/// Old tools wrote `_` for what PEP 440 writes as `-` or `+`.
fn version(text: &str) -> Option<Version> {
    [text.to_owned(), text.replace('_', "-"), text.replacen('_', "+", 1)].iter().find_map(|t| t.parse().ok())
}

/// METADATA must name the distribution and version that the file name does.
pub(super) fn check_metadata(bytes: &[u8], dist_info: &RelPath, name: &WheelName) -> Result<()> {
    let missing = |what: &str| refused(format!("{dist_info}/METADATA has no {what}"));
    let found = header(bytes, "Name").ok_or_else(|| missing("Name"))?;
    if found.parse::<PackageName>().ok().as_ref() != Some(&name.name) {
        return Err(refused(format!(
            "{dist_info}/METADATA says Name: {found}, expected {} as in the file name",
            name.name.as_str()
        )));
    }
    let found = header(bytes, "Version").ok_or_else(|| missing("Version"))?;
    if version(&found).as_ref() != Some(&name.version) {
        return Err(refused(format!(
            "{dist_info}/METADATA says Version: {found}, expected {} as in the file name",
            name.version
        )));
    }
    Ok(())
}

/// Checks Wheel-Version (1.x; a newer minor warns).
pub(super) fn check_wheel_file(bytes: &[u8], dist_info: &RelPath, warnings: &mut Warnings) -> Result<()> {
    let found = header(bytes, "Wheel-Version")
        .ok_or_else(|| refused(format!("{dist_info}/WHEEL has no Wheel-Version")))?;
    let parts: Option<Vec<u64>> = found.split('.').map(|part| part.trim().parse().ok()).collect();
    match parts.as_deref() {
        Some([1, 0] | [1]) => {}
        Some([1, ..]) => warnings.push(format!(
            "its Wheel-Version is {found}, newer than the 1.0 that venvoy knows: something new may be missing"
        )),
        Some(_) => {
            return Err(refused(format!("{dist_info}/WHEEL says Wheel-Version: {found}, expected 1.x"))
                .help("a newer venvoy may know this format"));
        }
        None => {
            return Err(refused(format!("{dist_info}/WHEEL says Wheel-Version: {found}, expected 1.0")));
        }
    }
    Ok(())
}

/// The first header of that name (any letter case) before the body.
fn header(bytes: &[u8], name: &str) -> Option<String> {
    // The body, often a long description, is of no interest.
    let end = memchr::memmem::find(bytes, b"\n\n").unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.trim_start_matches('\u{feff}')
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}
