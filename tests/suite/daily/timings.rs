//! `--timings`: where a run's time went, as JSON and as a page that a browser draws.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{
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

/// A browser with a screen of its own; `tests/run` installs Debian's.
fn chromium(home: &Path, dark: bool, args: &[&str]) -> std::process::Output {
    let scheme = format!("--blink-settings=preferredColorScheme={}", i32::from(!dark));
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--window-size=1400,1200",
        &scheme,
    ]);
    command.args(args).env("HOME", home).stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{error}; install chromium"))
}

#[test]
fn the_page_is_drawn_in_both_colour_schemes_without_a_network() {
    let (_server, project) = project();
    project.run(&["sync", "--timings"]).succeeds();
    let file = project.dir().join("venvoy-timings.html");
    let page = fs::read_to_string(&file).expect("the page");
    assert!(!page.contains("://") && !page.contains("<script"), "nothing is loaded and nothing runs");
    let url = format!("file://{}", file.display());
    let dom = chromium(&project.path("home"), false, &["--dump-dom", &url]);
    let (text, said) = (String::from_utf8_lossy(&dom.stdout), String::from_utf8_lossy(&dom.stderr));
    assert!(!said.contains("CONSOLE"), "{said}");
    assert_eq!(text.matches("<tr tabindex=\"0\"").count(), 5, "{text}");
    let shot = |dark: bool| {
        let picture = project.path(if dark { "dark.png" } else { "light.png" });
        chromium(&project.path("home"), dark, &[&format!("--screenshot={}", picture.display()), &url]);
        fs::read(&picture).expect("a picture")
    };
    let (light, dark) = (shot(false), shot(true));
    assert!(light.len() > 20_000 && dark.len() > 20_000 && light != dark, "{} {}", light.len(), dark.len());
}
