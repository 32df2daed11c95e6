//! The page: one HTML file that needs nothing else, neither a network nor, for its tables, JavaScript.
//!
//! Names and paths come from packages, so they are data: in the tables they are escaped, for the map they are
//! JSON without `<`, `>` and `&`, which the script only ever sets as text. The page's own policy forbids to load
//! anything.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Amount, FileKind, Package, Usage};
use crate::{
    run::page::{escape, fill},
    words::vocab::size as human,
};

const TEMPLATE: &str = include_str!("page.html");

/// Of each kind in each package the page names this many files at most.
const FILES: usize = 24;
/// And only those that are at least one part in this many of everything.
const PART: u64 = 20_000;

/// The page; `shown` is what the environment is called on it.
pub(crate) fn page(usage: &Usage, shown: &str) -> String {
    fill(TEMPLATE, |mark| {
        Some(match mark {
            "name" => escape(shown),
            "summary" => summary(usage),
            "data" => data(usage),
            "packages" => packages(usage),
            "kinds" => kinds(usage),
            "slim" => slim(usage),
            _ => return None,
        })
    })
}

fn summary(usage: &Usage) -> String {
    let number = usage.packages.iter().filter(|package| !package.name.starts_with('(')).count();
    format!(
        "<b>{}</b> in {} files of {number} packages; <code>--slim</code> would save <b>{}</b> ({})",
        human(usage.total.bytes),
        usage.total.files,
        human(usage.total.slim),
        percent(usage.total.slim, usage.total.bytes),
    )
}

/// What the map is drawn from. Arrays rather than objects, as there are thousands.
fn data(usage: &Usage) -> String {
    let least = usage.total.bytes / PART;
    let package = |package: &Package| {
        let kinds: Vec<Value> = package
            .kinds
            .iter()
            .map(|of| {
                let files = package.files.iter().filter(|file| file.kind == of.kind);
                let shown: Vec<Value> = files
                    .take(FILES)
                    .filter(|file| file.bytes >= least)
                    .map(|file| json!([file.path, file.bytes, file.safe_saving()]))
                    .collect();
                let position = FileKind::ALL.iter().position(|kind| *kind == of.kind);
                json!([position, of.amount.bytes, of.amount.files, of.amount.slim, shown])
            })
            .collect();
        let Amount { files, bytes, slim } = package.amount;
        json!([package.name, package.version, bytes, files, slim, kinds])
    };
    let packages: Vec<Value> = usage.packages.iter().map(package).collect();
    let kinds: Vec<&str> = FileKind::ALL.iter().map(|kind| kind.word()).collect();
    let text = json!({"kinds": kinds, "bytes": usage.total.bytes, "packages": packages}).to_string();
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn packages(usage: &Usage) -> String {
    let mut rows = String::new();
    for package in &usage.packages {
        let version = package.version.as_deref().unwrap_or_default();
        let _ = write!(rows, "<tr><th scope=row>{}<td>{}", escape(&package.name), escape(version));
        cells(&mut rows, package.amount, usage.total.bytes);
    }
    rows
}

fn kinds(usage: &Usage) -> String {
    let mut rows = String::new();
    for of in &usage.kinds {
        let word = of.kind.word();
        let _ = write!(rows, "<tr><th scope=row><i class=key data-kind={word}></i>{word}");
        cells(&mut rows, of.amount, usage.total.bytes);
    }
    rows
}

fn slim(usage: &Usage) -> String {
    let mut rows = String::new();
    for of in &usage.slim {
        let note = if of.safe { "" } else { " <small>(only by name)</small>" };
        let _ = write!(
            rows,
            "<tr><th scope=row>{}{note}<td class=n>{}<td class=n>{}<td class=n>{}",
            of.kind,
            of.files,
            human(of.bytes),
            percent(of.bytes, usage.total.bytes)
        );
    }
    rows
}

fn cells(rows: &mut String, amount: Amount, of: u64) {
    let saves = if amount.slim > 0 { human(amount.slim) } else { String::new() };
    let _ = write!(
        rows,
        "<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{saves}",
        amount.files,
        human(amount.bytes),
        percent(amount.bytes, of)
    );
}

/// A share with one decimal.
pub(crate) fn percent(part: u64, of: u64) -> String {
    let tenths = if of == 0 { 0 } else { (u128::from(part) * 1000 + u128::from(of) / 2) / u128::from(of) };
    format!("{}.{} %", tenths / 10, tenths % 10)
}
