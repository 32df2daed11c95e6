//! `venvoy size` as tables.

use super::output::Stdout;
use crate::run::size::{Amount, Usage, percent};
use crate::words::vocab::{count, size};

/// All of it: by package, by kind, and what `--slim` would save.
pub(super) fn report(out: &mut Stdout, usage: &Usage) {
    let amount = |amount: &Amount| {
        let saves = if amount.slim > 0 { size(amount.slim) } else { String::new() };
        [amount.files.to_string(), size(amount.bytes), percent(amount.bytes, usage.total.bytes), saves]
    };
    let packages = usage.packages.iter().map(|package| {
        let head = [package.name.clone(), package.version.clone().unwrap_or_default()];
        head.into_iter().chain(amount(&package.amount)).collect()
    });
    table(out, 2, &["package", "version", "files", "size", "share", "--slim saves"], packages.collect());
    out.line("");
    let kinds = usage
        .kinds
        .iter()
        .map(|of| std::iter::once(of.kind.word().to_owned()).chain(amount(&of.amount)).collect());
    table(out, 1, &["kind", "files", "size", "share", "--slim saves"], kinds.collect());
    out.line("");
    let slim = usage.slim.iter().map(|of| {
        let name = format!("--slim={}{}", of.kind, if of.safe { "" } else { " (only by name)" });
        vec![name, of.files.to_string(), size(of.bytes), percent(of.bytes, usage.total.bytes)]
    });
    table(out, 1, &["would save", "files", "size", "share"], slim.collect());
    out.line("");
    let files = count(usize::try_from(usage.total.files).unwrap_or(usize::MAX), "file");
    out.line(&format!(
        "{} in {files}; --slim would save {} ({})",
        size(usage.total.bytes),
        size(usage.total.slim),
        percent(usage.total.slim, usage.total.bytes)
    ));
}

/// Columns padded to their widest cell; those after the first `left` are numbers and end together.
fn table(out: &mut Stdout, left: usize, heading: &[&str], mut rows: Vec<Vec<String>>) {
    rows.insert(0, heading.iter().map(|&text| text.to_owned()).collect());
    // A path or name of a package may hold anything; a terminal is to see none of it.
    let shown = |text: &str| text.replace(char::is_control, "\u{fffd}");
    let width = |column: usize| rows.iter().map(|row| shown(&row[column]).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            let cell = shown(cell);
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        out.line(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
