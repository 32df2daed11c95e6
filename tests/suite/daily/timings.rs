//! `--timings`: where a run's time went, as JSON and as a page that a browser draws.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    browser::Browser,
    index::index,
    package::{Package, greeter, noise},
    project::Project,
    server::Server,
};

fn packages() -> Vec<Package> {
    let wheel = |n: usize| {
        Package::new(
            &greeter(&format!("pack{n}"), "1.0").file(&format!("pack{n}_data.bin"), noise(50_000 * n)),
        )
    };
    (1..6).map(wheel).collect()
}

fn project() -> (Server, Project) {
    let packages = packages();
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    (server, project)
}

#[test]
fn json_says_when_what_was_done_and_adds_up() {
    let (_server, project) = project();
    let run = project.run(&["sync", "--timings=json"]);
    run.succeeds().mentions(&[".venv: 5 packages, "]);
    let report = run.json();
    let number = |value: &Value| value.as_f64().expect("a number");
    let stages = report["stages"].as_array().expect("stages");
    assert_eq!(
        stages.iter().map(|stage| stage["name"].as_str().expect("a name")).collect::<Vec<_>>(),
        ["Reading", "Fetching", "Writing"]
    );
    let sum: f64 = stages.iter().map(|stage| number(&stage["ms"])).sum();
    assert!((sum - number(&report["total_ms"])).abs() < 1.0, "{report}");
    let parts = report["parts"].as_array().expect("parts");
    for name in (1..6).map(|n| format!("pack{n}")) {
        let of = |part: &str| parts.iter().find(|one| one["package"] == *name && one["part"] == *part);
        let (index, download) = (of("index").expect("an index"), of("download").expect("a download"));
        assert!(
            number(&index["start_ms"]) + number(&index["ms"]) <= number(&download["start_ms"]) + 0.01,
            "{report}"
        );
        assert!(number(&download["bytes"]) > 50_000.0);
    }
    let totals: f64 = report["totals"].as_object().expect("totals").values().map(number).sum();
    let all: f64 = parts.iter().map(|part| number(&part["ms"])).sum();
    assert!((totals - all).abs() < 0.1, "{report}");
    let path = report["critical_path"].as_array().expect("a path");
    assert_eq!(path.first().expect("a step")["what"], "Reading");
    assert_eq!(path.last().expect("a step")["what"], "Writing");
    let bytes: f64 =
        report["bytes"][0]["ticks"].as_array().expect("ticks").iter().map(|tick| number(&tick[1])).sum();
    assert!(bytes > 750_000.0, "{report}");
}

#[test]
fn a_run_that_fails_or_has_nothing_to_do_is_told_too() {
    let (_server, project) = project();
    project.run(&["sync"]).succeeds();
    let report = project.run(&["sync", "--timings=json"]).json();
    assert_eq!(report["outcome"], ".venv is up to date (5 packages)");
    project.forget();
    let run = project.run(&["sync", "--offline", "--timings=page.html"]);
    run.ends_with(7);
    let page = project.read("project/page.html");
    assert!(page.contains("failed: "), "{page}");
}

/// What the page shows: of each row the bars' widths in parts of the run, and the numbers beside them.
const SHOWN: &str = r"(() => {
    const bars = row => [...row.querySelectorAll('.lane i')].map(bar => ({
        word: bar.className,
        percent: parseFloat(bar.style.width),
        drawn: bar.getBoundingClientRect().width / bar.parentElement.getBoundingClientRect().width * 100,
        pixel: 100 / bar.parentElement.getBoundingClientRect().width,
    }));
    const rows = id => [...document.querySelectorAll(`#${id} tbody tr`)].map(row => ({
        name: (row.querySelector('summary') ?? row.cells[0]).textContent,
        numbers: [...row.cells].slice(1).map(cell => cell.textContent),
        bars: bars(row),
    }));
    return Object.fromEntries(['stages', 'parts', 'critical', 'packages', 'threads'].map(id => [id, rows(id)]));
})()";

/// The milliseconds that a text like `9.8 ms` or `1.23 s` says, and how far they may be off.
fn milliseconds(text: &str) -> (f64, f64) {
    let (number, unit) = text.split_once(' ').unwrap_or_else(|| panic!("{text:?} is no time"));
    let number: f64 = number.parse().expect("a number");
    match unit {
        "s" => (number * 1000.0, 5.01),
        "ms" if number < 10.0 => (number, 0.051),
        "ms" => (number, 0.51),
        _ => panic!("{text:?} is no time"),
    }
}

#[test]
fn bars_and_numbers_of_the_page_add_up_to_what_the_json_says() {
    let (_server, project) = project();
    let run = project.run(&["sync", "--timings=page.html", "--timings=json"]);
    let report = run.succeeds().json();
    let mut browser = Browser::start(&project.path("home"));
    browser.open(&project.path("project/page.html"));
    let shown = browser.evaluate(SHOWN);
    let number = |value: &Value| value.as_f64().expect("a number");
    let total = number(&report["total_ms"]);
    let rows = |id: &str| shown[id].as_array().expect("rows").clone();
    // The widths of all bars of one kind, as milliseconds; each is a thousandth of a percent off at most.
    let widths = |rows: &[Value], word: &str| -> (f64, f64) {
        let bars = rows.iter().flat_map(|row| row["bars"].as_array().expect("bars"));
        let of: Vec<f64> = bars
            .filter(|bar| bar["word"] == word)
            .map(|bar| number(&bar["percent"]) * total / 100.0)
            .collect();
        (of.iter().sum(), f64::from(u32::try_from(of.len() + 1).expect("few")) * total / 100.0 * 0.001)
    };
    let near = |(is, off): (f64, f64), expected: f64, what: &str| {
        assert!((is - expected).abs() <= off, "{what}: {is}, expected {expected} ± {off}\n{shown}\n{report}");
    };
    let text = |row: &Value, at: usize| milliseconds(row["numbers"][at].as_str().expect("a text"));

    let stages = rows("stages");
    assert_eq!(stages.len(), report["stages"].as_array().expect("stages").len());
    for (row, stage) in stages.iter().zip(report["stages"].as_array().expect("stages")) {
        assert_eq!(row["name"], stage["name"]);
        near(widths(std::slice::from_ref(row), "stage"), number(&stage["ms"]), "a stage's bar");
        near(text(row, 0), number(&stage["ms"]), "a stage's number");
    }
    near(widths(&stages, "stage"), total, "all stages");
    let (steps, path) = (rows("critical"), report["critical_path"].as_array().expect("a path"));
    assert_eq!(steps.len(), path.len());
    for (row, step) in steps.iter().zip(path) {
        near(widths(std::slice::from_ref(row), "path"), number(&step["ms"]), "a step's bar");
        near(text(row, 1), number(&step["ms"]), "a step's number");
    }
    let (packages, threads, parts) = (rows("packages"), rows("threads"), rows("parts"));
    assert_eq!((packages.len(), threads.len() as u64), (5, report["threads"].as_u64().expect("a number")));
    let totals = report["totals"].as_object().expect("totals");
    assert_eq!(parts.len(), totals.len());
    for (row, (part, ms)) in parts.iter().zip(totals) {
        assert_eq!(row["name"], **part);
        near(text(row, 0), number(ms), "a part's number");
        near(widths(&packages, part), number(ms), "a part's bars of all packages");
        near(widths(&threads, part), number(ms), "a part's bars of all threads");
    }
    let of_report = report["parts"].as_array().expect("parts");
    for row in &packages {
        let own: Vec<&Value> = of_report.iter().filter(|part| part["package"] == row["name"]).collect();
        let start = own.iter().map(|part| number(&part["start_ms"])).fold(f64::INFINITY, f64::min);
        let end = own.iter().map(|part| number(&part["start_ms"]) + number(&part["ms"])).fold(0.0, f64::max);
        near(text(row, 1), end - start, "a package's number");
        near(widths(std::slice::from_ref(row), "wait"), end - start, "what is behind a package's bars");
    }
    for (at, row) in threads.iter().enumerate() {
        let own = of_report.iter().filter(|part| part["thread"] == at);
        near(text(row, 0), own.map(|part| number(&part["ms"])).sum(), "a thread's number");
    }
    // What is drawn is what the styles say, but for bars that would be too small to be seen.
    for bar in shown.as_object().expect("sections").values().flat_map(|rows| rows.as_array().expect("rows")) {
        for bar in bar["bars"].as_array().expect("bars") {
            let (drawn, pixel) = (number(&bar["drawn"]), number(&bar["pixel"]));
            let expected = number(&bar["percent"]).max(pixel);
            assert!((drawn - expected).abs() < pixel / 2.0, "{bar}");
        }
    }
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn the_page_is_operated_with_keys_as_with_a_mouse() {
    let (_server, project) = project();
    project.run(&["sync", "--timings=page.html"]).succeeds();
    let mut browser = Browser::start(&project.path("home"));
    browser.open(&project.path("project/page.html"));
    let names = |browser: &mut Browser, of: &str| -> Vec<String> {
        let list = format!("[...document.querySelectorAll('{of}')].map(it => it.textContent)");
        let list = browser.evaluate(&list);
        list.as_array().expect("names").iter().map(|name| name.as_str().expect("a text").to_owned()).collect()
    };
    let links = names(&mut browser, "nav a");
    assert_eq!(links, ["Stages", "Parts", "Critical path", "Packages", "Threads", "Bytes"]);
    let rows = names(&mut browser, "summary");
    assert!(rows.len() > 5 && rows.contains(&"pack1".to_owned()), "{rows:?}");

    // Tab comes to everything that can be operated, in the order in which it stands there.
    let focused = "document.activeElement.textContent";
    let mut reached = Vec::new();
    for _ in 0..links.len() + rows.len() {
        browser.press("Tab", 9, "");
        reached.push(browser.evaluate(focused).as_str().expect("a text").to_owned());
        if reached.len() == 4 {
            // A link leads to its section, and Tab goes on from there.
            browser.press("Enter", 13, "\r");
            assert_eq!(browser.evaluate("location.hash"), "#packages");
            let skipped = browser.evaluate("document.querySelector('#packages').getBoundingClientRect().top");
            assert!(skipped.as_f64().expect("a number") < 1200.0);
            break;
        }
    }
    assert_eq!(reached, links[..4]);
    browser.press("Tab", 9, "");
    assert_eq!(browser.evaluate(focused), *rows[0]);
    let background = "getComputedStyle(document.activeElement.closest('tr')).backgroundColor";
    assert_ne!(browser.evaluate(background), "rgba(0, 0, 0, 0)", "it is seen where the focus is");
    for row in &rows[1..] {
        browser.press("Tab", 9, "");
        assert_eq!(browser.evaluate(focused), **row);
    }

    // Enter and space open and close a row, as a click does; all show the same.
    let open = "document.activeElement.parentElement.open";
    let steps = "document.activeElement.parentElement.querySelector('ul').innerText";
    browser.evaluate("document.querySelector('#packages summary').focus()");
    assert_eq!(browser.evaluate(open), false);
    let mut seen = Vec::new();
    for (key, code, text) in [("Enter", 13, "\r"), (" ", 32, " ")] {
        browser.press(key, code, text);
        assert_eq!(browser.evaluate(open), true, "{key:?} opens");
        seen.push(browser.evaluate(steps));
        browser.press(key, code, text);
        assert_eq!(browser.evaluate(open), false, "{key:?} closes");
    }
    browser.click("document.querySelector('#packages summary')");
    assert_eq!(browser.evaluate(open), true, "a click opens");
    seen.push(browser.evaluate(steps));
    assert!(seen[0].as_str().expect("a text").contains("download"), "{seen:?}");
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    let height = "document.activeElement.parentElement.querySelector('ul').getBoundingClientRect().height";
    assert!(browser.evaluate(height).as_f64().expect("a number") > 20.0);
    // Shift and Tab go back.
    browser.evaluate("document.querySelector('#threads summary').focus()");
    browser.ask(
        "Input.dispatchKeyEvent",
        &json!({"type": "rawKeyDown", "key": "Tab", "windowsVirtualKeyCode": 9, "modifiers": 8}),
    );
    assert_eq!(browser.evaluate(focused), *rows[4]);
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}

#[test]
fn the_page_is_drawn_in_both_colour_schemes_without_a_network() {
    let (_server, project) = project();
    project.run(&["sync", "--timings"]).succeeds();
    let file = project.dir().join("venvoy-timings.html");
    let page = fs::read_to_string(&file).expect("the page");
    assert!(!page.contains("://") && !page.contains("<script"), "nothing is loaded and nothing runs");
    let mut browser = Browser::start(&project.path("home"));
    browser.open(&file);
    assert_eq!(browser.evaluate("document.querySelectorAll('#packages tbody tr').length"), 5);
    let (light, dark) = (browser.picture("light"), browser.picture("dark"));
    // For whoever changes how it looks: a directory to look into.
    if let Some(dir) = std::env::var_os("VENVOY_PICTURES") {
        fs::write(Path::new(&dir).join("timings-light.png"), &light).expect("written");
        fs::write(Path::new(&dir).join("timings-dark.png"), &dark).expect("written");
    }
    assert!(light.len() > 20_000 && dark.len() > 20_000 && light != dark, "{} {}", light.len(), dark.len());
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
}
