//! The page: one HTML file that needs nothing else, neither a network nor JavaScript. Bars are boxes whose place and
//! width are parts of the run's time, so they add up to what the numbers beside them say.

use std::fmt::Write as _;

use super::{PartOf, Report};
use crate::{
    run::page::{escape, fill},
    words::{progress::Part, vocab::size},
};

const TEMPLATE: &str = include_str!("page.html");

/// The page; `shown` is what the run is called on it.
pub(crate) fn page(report: &Report, shown: &str) -> String {
    fill(TEMPLATE, |mark| {
        Some(match mark {
            "name" => escape(shown),
            "summary" => summary(report),
            "stages" => stages(report),
            "critical" => critical(report),
            "totals" => totals(report),
            "flows" => flows(report),
            "threads" => threads(report),
            "scale" => scale(report),
            "columns" => columns(report),
            "rows" => rows(report),
            "legend" => legend(report),
            _ => return None,
        })
    })
}

/// Milliseconds as people read them.
fn time(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.2} s", ms / 1_000.0)
    }
}

/// A share of the run in percent.
fn share(ms: f64, report: &Report) -> f64 {
    if report.total_ms > 0.0 { (ms / report.total_ms * 100.0).clamp(0.0, 100.0) } else { 0.0 }
}

fn summary(report: &Report) -> String {
    let packages: std::collections::BTreeSet<&str> =
        report.parts.iter().map(|part| part.package.as_str()).collect();
    format!(
        "<b>{}</b> in all, {} packages, {} threads; {}",
        time(report.total_ms),
        packages.len(),
        report.threads,
        escape(&report.outcome)
    )
}

fn stages(report: &Report) -> String {
    let mut out = String::new();
    for stage in &report.stages {
        let (left, width) = (share(stage.start_ms, report), share(stage.ms, report));
        let name = escape(&stage.name);
        let _ = writeln!(
            out,
            "<tr><th scope=row>{name}<td class=n>{}<td class=n>{width:.1} %<td class=lane><i class=stage style=\"left:{left:.3}%;width:{width:.3}%\"></i>",
            time(stage.ms)
        );
    }
    out
}

fn critical(report: &Report) -> String {
    let mut out = String::new();
    for step in &report.critical_path {
        let (left, width) = (share(step.start_ms, report), share(step.ms, report));
        let _ = writeln!(
            out,
            "<tr><th scope=row>{}<td class=n>{}<td class=n>{}<td class=lane><i class=path style=\"left:{left:.3}%;width:{width:.3}%\"></i>",
            escape(&step.what),
            time(step.start_ms),
            time(step.ms)
        );
    }
    out
}

fn totals(report: &Report) -> String {
    let all: f64 = report.totals.values().sum();
    let mut out = String::new();
    for (part, ms) in &report.totals {
        let bytes: u64 = report.parts.iter().filter(|one| one.part == *part).map(|one| one.bytes).sum();
        let bytes = if bytes > 0 { size(bytes) } else { String::new() };
        let of = if all > 0.0 { ms / all * 100.0 } else { 0.0 };
        let word = part.word();
        let _ = writeln!(
            out,
            "<tr><th scope=row><span class=\"key {word}\"></span>{word}<td class=n>{}<td class=n>{of:.1} %<td class=n>{bytes}",
            time(*ms)
        );
    }
    out
}

fn legend(report: &Report) -> String {
    let key = |part: &Part| format!("<span><span class=\"key {0}\"></span>{0}</span>", part.word());
    let keys: String = report.totals.keys().map(key).collect();
    format!("{keys}<span><span class=\"key wait\"></span>waiting</span>")
}

/// A bar chart of bytes over time for each stage that has some.
#[allow(clippy::cast_precision_loss, reason = "drawn, not counted")]
fn flows(report: &Report) -> String {
    let mut out = String::new();
    for flow in &report.bytes {
        let most = flow.ticks.iter().map(|(_, bytes)| *bytes).max().unwrap_or(1).max(1);
        let all: u64 = flow.ticks.iter().map(|(_, bytes)| *bytes).sum();
        let mut bars = String::new();
        for (until, bytes) in &flow.ticks {
            let right = share(*until as f64, report);
            let width = share(20.0, report).max(0.15);
            let height = (*bytes as f64 / most as f64 * 100.0).max(1.0);
            let _ = write!(
                bars,
                "<i style=\"left:{:.3}%;width:{width:.3}%;height:{height:.1}%\"></i>",
                (right - width).max(0.0)
            );
        }
        let _ = writeln!(
            out,
            "<figure><figcaption>{}: {}, at most {} in 20 ms</figcaption><div class=flow>{bars}</div></figure>",
            escape(&flow.stage),
            size(all),
            size(most)
        );
    }
    out
}

/// What a row opens to, by click or key: each of these parts, when it began and how long it took.
fn opened(shown: &str, parts: &[&PartOf], named: bool) -> String {
    let mut steps = String::new();
    for part in parts {
        let word = part.part.word();
        let name = if named { format!(" {}", escape(&part.package)) } else { String::new() };
        let _ = write!(
            steps,
            "<li><span><span class=\"key {word}\"></span>{word}{name}</span><span class=n>from {}</span><span class=n>{}</span>",
            time(part.start_ms),
            time(part.ms)
        );
    }
    format!("<details><summary>{}</summary><ul class=steps>{steps}</ul></details>", escape(shown))
}

/// What each thread was busy with.
fn threads(report: &Report) -> String {
    let mut out = String::new();
    for number in 0..report.threads {
        let own: Vec<&PartOf> = report.parts.iter().filter(|part| part.thread == number).collect();
        let busy: f64 = own.iter().map(|part| part.ms).sum();
        let bars: String = own.iter().map(|part| bar(part, report, true)).collect();
        let _ = writeln!(
            out,
            "<tr><th scope=row>{}<td class=n>{}<td class=n>{:.0} %<td class=lane>{bars}",
            opened(&(number + 1).to_string(), &own, true),
            time(busy),
            share(busy, report)
        );
    }
    out
}

fn bar(part: &PartOf, report: &Report, named: bool) -> String {
    let (left, width) = (share(part.start_ms, report), share(part.ms, report));
    let word = part.part.word();
    let name = if named { format!("{} ", part.package) } else { String::new() };
    let told = escape(&format!("{name}{word} {}", time(part.ms)));
    format!("<i class={word} style=\"left:{left:.3}%;width:{width:.3}%\" title=\"{told}\"></i>")
}

/// Times along the top of the packages.
fn scale(report: &Report) -> String {
    let mut out = String::new();
    for quarter in 0..5 {
        let part = f64::from(quarter) / 4.0;
        let _ =
            write!(out, "<span style=\"left:{:.1}%\">{}</span>", part * 100.0, time(report.total_ms * part));
    }
    out
}

/// The heads of the columns: of the kinds of parts that there were, as more would leave the bars no room.
fn columns(report: &Report) -> String {
    report.totals.keys().flat_map(|part| ["<th class=n>", part.word()]).collect()
}

/// A row for each package, in the order in which they are ready; what it waited for is between its parts.
fn rows(report: &Report) -> String {
    let mut packages: Vec<(&str, Vec<&PartOf>)> = Vec::new();
    for part in &report.parts {
        match packages.iter_mut().find(|(name, _)| *name == part.package) {
            Some((_, parts)) => parts.push(part),
            None => packages.push((&part.package, vec![part])),
        }
    }
    let mut out = String::new();
    for (name, parts) in packages {
        let start = parts.iter().map(|part| part.start_ms).fold(f64::INFINITY, f64::min);
        let end = parts.iter().map(|part| part.end()).fold(0.0, f64::max);
        let busy: f64 = parts.iter().map(|part| part.ms).sum();
        let wait = (end - start - busy).max(0.0);
        let bytes: u64 = parts
            .iter()
            .filter(|part| matches!(part.part, Part::Download | Part::Open))
            .map(|part| part.bytes)
            .sum();
        let of = |wanted: Part| -> String {
            let ms: f64 = parts.iter().filter(|part| part.part == wanted).map(|part| part.ms).sum();
            if parts.iter().any(|part| part.part == wanted) { time(ms) } else { String::new() }
        };
        let cells: String =
            report.totals.keys().flat_map(|part| ["<td class=n>".to_owned(), of(*part)]).collect();
        let (left, width) = (share(start, report), share(end - start, report));
        let bars: String = parts.iter().map(|part| bar(part, report, false)).collect();
        let bytes = if bytes > 0 { size(bytes) } else { String::new() };
        let name = opened(name, &parts, false);
        let _ = writeln!(
            out,
            "<tr data-total=\"{:.3}\" data-busy=\"{busy:.3}\" data-wait=\"{wait:.3}\"><th scope=row>{name}<td class=n>{bytes}<td class=n>{}{cells}<td class=n>{}\
             <td class=lane><i class=wait style=\"left:{left:.3}%;width:{width:.3}%\"></i>{bars}",
            end - start,
            time(end - start),
            time(wait),
        );
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::words::progress::Progress;

    /// Hears nothing.
    pub(in crate::run::timings) struct Silent;

    impl Progress for Silent {
        fn warn(&self, _: &str) {}
        fn detail(&self, _: &str) {}
        fn request(&self, _: &url::Url) {}
        fn packages(&self, _: usize, _: usize) {}
        fn stage(&self, _: &str, _: u64) {}
        fn expect(&self, _: u64) {}
        fn advance(&self, _: u64) {}
        fn build_begins(&self, _: &str) {}
        fn build_ends(&self, _: &str) {}
        fn tick(&self) {}
    }

    #[test]
    fn every_package_has_a_row_whose_bars_add_up() {
        let page = page(&super::super::tests::example(), "a run");
        assert!(page.contains("<b>150 ms</b> in all, 3 packages, 3 threads; made"), "{page}");
        // Names come from packages: they are text, not markup.
        assert!(page.contains("&lt;c&gt;&amp;") && !page.contains("<c>&"), "{page}");
        let number = |row: &str, name: &str| -> f64 {
            let value = row.split(&format!("data-{name}=\"")).nth(1).expect(name);
            value.split('"').next().expect("a value").parse().expect("a number")
        };
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("<tr data-total")).collect();
        assert_eq!(rows.len(), 3);
        for row in rows {
            assert!((number(row, "busy") + number(row, "wait") - number(row, "total")).abs() < 0.01, "{row}");
        }
        assert!(!page.contains("<!--{") && !page.contains("<script"), "{page}");
    }

    #[test]
    fn a_run_without_packages_has_a_page() {
        let report = super::super::Timings::new(&Silent).report("up to date".into());
        let page = page(&report, "a run");
        assert!(page.contains("0 packages, 0 threads; up to date"), "{page}");
    }
}
