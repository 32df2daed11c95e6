//! Environments made here: what is counted as whose, and what the page shows of it.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use super::*;

const SITE: &str = "lib/python3.11/site-packages";

/// An environment of files.
struct Env {
    dir: tempfile::TempDir,
}

impl Env {
    fn new() -> Self {
        let env = Env { dir: tempfile::tempdir().expect("a directory") };
        env.file("pyvenv.cfg", "home = /usr/bin\n").file("bin/activate", "x").file("bin/python3.11", "")
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("env")
    }

    fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let full = self.path().join(path);
        fs::create_dir_all(full.parent().expect("a parent")).expect("a directory");
        fs::write(full, bytes).expect("written");
        self
    }

    /// A distribution whose RECORD has these rows.
    fn dist(self, name: &str, rows: &[&str]) -> Self {
        let record = rows.join("\n");
        self.file(&format!("{SITE}/{name}.dist-info/RECORD"), record)
    }

    fn usage(&self) -> Usage {
        measure(&self.path()).unwrap_or_else(|e| panic!("{}", e.report()))
    }
}

fn files_of<'u>(usage: &'u Usage, name: &str) -> Vec<&'u str> {
    let package = usage.packages.iter().find(|package| package.name == name);
    let mut files: Vec<&str> =
        package.into_iter().flat_map(|package| &package.files).map(|file| file.path.as_str()).collect();
    files.sort_unstable();
    files
}

#[test]
fn every_file_is_somebodys() {
    let env = Env::new()
        .dist(
            "Demo_Pkg-1.0",
            &["demo.py,sha256=x,3", "../../../bin/demo,,", "\"odd, name.txt\",,", "gone.py,,"],
        )
        .file(&format!("{SITE}/demo.py"), "abc")
        .file(&format!("{SITE}/__pycache__/demo.cpython-311.pyc"), "bytecode")
        .file(&format!("{SITE}/__pycache__/stray.cpython-311.pyc"), "x")
        .file(&format!("{SITE}/odd, name.txt"), "x")
        .file(&format!("{SITE}/Demo_Pkg-1.0.dist-info/INSTALLER"), "pip\n")
        .file("bin/demo", "#!")
        .file("bin/stray", "#!")
        .file(&format!("{SITE}/old-2.0-py3.11.egg-info/installed-files.txt"), "../old.py\nPKG-INFO\n")
        .file(&format!("{SITE}/old.py"), "x");
    symlink("lib", env.path().join("lib64")).expect("linked");
    let usage = env.usage();
    assert_eq!(
        files_of(&usage, "demo-pkg"),
        [
            "bin/demo",
            &format!("{SITE}/Demo_Pkg-1.0.dist-info/INSTALLER"),
            &format!("{SITE}/Demo_Pkg-1.0.dist-info/RECORD"),
            &format!("{SITE}/__pycache__/demo.cpython-311.pyc"),
            &format!("{SITE}/demo.py"),
            &format!("{SITE}/odd, name.txt"),
        ]
    );
    assert_eq!(
        files_of(&usage, "old"),
        [format!("{SITE}/old-2.0-py3.11.egg-info/installed-files.txt"), format!("{SITE}/old.py")]
    );
    assert_eq!(
        files_of(&usage, UNCLAIMED),
        ["bin/stray".to_owned(), format!("{SITE}/__pycache__/stray.cpython-311.pyc")]
    );
    assert_eq!(files_of(&usage, ENVIRONMENT), ["bin/activate", "bin/python3.11", "lib64", "pyvenv.cfg"]);
    assert_eq!(usage.total.files, 14);
    let sum: u64 = usage.packages.iter().map(|package| package.amount.bytes).sum();
    assert_eq!(sum, usage.total.bytes);
    assert_eq!(usage.kinds.iter().map(|of| of.amount.bytes).sum::<u64>(), usage.total.bytes);
}

#[test]
fn records_that_lead_out_of_the_environment_claim_nothing() {
    let rows = ["../../../../outside.txt,,", "/etc/passwd,,", "../../../../env2/x,,", "\0,,", ",,"];
    let env = Env::new().dist("evil-1.0", &rows);
    fs::write(env.dir.path().join("outside.txt"), "much more than the environment").expect("written");
    assert_eq!(files_of(&env.usage(), "evil"), [format!("{SITE}/evil-1.0.dist-info/RECORD")]);
}

#[test]
fn what_slim_would_save_is_told_by_kind() {
    let env = Env::new()
        .dist(
            "pkg-1.0",
            &["pkg/__init__.py", "pkg/__init__.pyi", "pkg/tests/test_a.py", "pkg/a.h", "pkg/kept.pyi"],
        )
        .file(&format!("{SITE}/pkg/__init__.py"), "")
        .file(&format!("{SITE}/pkg/__init__.pyi"), "12")
        .file(&format!("{SITE}/pkg/kept.pyi"), "123456789")
        .file(&format!("{SITE}/pkg/tests/test_a.py"), "1234")
        .file(&format!("{SITE}/pkg/a.h"), "12345678")
        .file(&format!("{SITE}/stray/tests/test_a.py"), "nobody's, so it stays");
    let usage = env.usage();
    let saved: Vec<(&str, u64)> =
        usage.slim.iter().filter(|of| of.files > 0).map(|of| (of.kind, of.bytes)).collect();
    assert_eq!(saved, [("tests", 4), ("stubs", 2), ("headers", 8)]);
    assert_eq!(usage.total.slim, 6, "headers only go by name");
    let json = serde_json::to_value(&usage).expect("JSON");
    let package =
        &json["packages"].as_array().expect("packages").iter().find(|p| p["name"] == "pkg").expect("pkg");
    assert_eq!((&package["version"], &package["slim"]), (&"1.0".into(), &6.into()));
    assert_eq!(package["kinds"][1]["kind"], "stubs", "both of them, after the metadata");
}

#[test]
fn what_is_no_environment_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let report = measure(dir.path()).expect_err("no environment").report();
    assert!(report.contains("it has no lib/python*/site-packages"), "{report}");
    assert!(report.contains("venvoy size .venv"), "{report}");
}

#[test]
fn names_that_are_markup_stay_text() {
    let name = "</script><script>alert(1)</script>";
    let dir = "<img src=x onerror=alert(2)>&amp;'\"\u{2028}";
    let env = Env::new()
        .dist("good-1.0", &[&format!("\"{}/a.txt\"", dir.replace('"', "\"\""))])
        .file(&format!("{SITE}/{dir}/a.txt"), "x")
        .file(&format!("{SITE}/{}-1.0.dist-info/RECORD", name.replace('/', "_")), "")
        .file(&format!("{SITE}/<!--{{data}}-->-2.dist-info/RECORD"), "x");
    let page = page(&env.usage(), name);
    assert_eq!(page.matches("<script").count(), 2, "the template's own");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<img") && !page.contains('\u{2028}'));
    assert_eq!(page.matches("type=\"application/json\"").count(), 1);
    assert!(
        page.contains("<title>venvoy size: &lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title>")
    );
    let data = page.split_once("id=\"data\">").expect("data").1.split_once("</script>").expect("its end").0;
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert!(data.to_string().contains(&dir[..20]), "{data}");
}

#[test]
fn the_page_loads_nothing() {
    let page = page(&Env::new().dist("demo-1.0", &[]).usage(), ".venv");
    assert!(page.contains("default-src 'none'"));
    for word in ["http:", "https:", "src=", "@import", "url(", "innerHTML", "fetch(", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(!page.contains("<!--{"), "every mark has its text");
}

#[test]
fn shares_are_rounded() {
    assert_eq!(
        [percent(1, 3), percent(0, 0), percent(2, 2), percent(1, 2000)],
        ["33.3 %", "0.0 %", "100.0 %", "0.1 %"]
    );
}
