//! Records of selections.

use std::fs;

use url::Url;

use crate::{
    packages::{
        cache::scratch::{files_below, open, scratch},
        index::{IndexFile, SelectionKey, records::SelectionRecord},
    },
    project::lock::Hashes,
    words::vocab::{Concealed, PackageName, Sha256, SourceUrl},
};

struct Locked {
    source: SourceUrl,
    concealed: Concealed,
    name: PackageName,
    hashes: Hashes,
}

impl Locked {
    fn new(source: &str, contents: &[&str]) -> Self {
        let sha256 = contents.iter().map(|text| Sha256::of(text.as_bytes())).collect();
        Locked {
            source: source.parse().expect("a URL"),
            concealed: Concealed::default(),
            name: "demo".parse().expect("a name"),
            hashes: Hashes { sha256, other: Vec::new() },
        }
    }

    fn key(&self) -> SelectionKey<'_> {
        SelectionKey {
            source: &self.source,
            concealed: &self.concealed,
            name: &self.name,
            pin: "==1.0",
            hashes: &self.hashes,
        }
    }
}

fn listed(filename: &str, contents: &str) -> IndexFile {
    IndexFile {
        filename: filename.to_owned(),
        url: Url::parse(&format!("https://index.example/files/{filename}")).expect("a URL"),
        sha256: Some(Sha256::of(contents.as_bytes())),
        requires_python: Some(">=3.8".to_owned()),
        yanked: Some(String::new()),
        size: Some(7),
    }
}

#[test]
fn a_selection_is_complete_once_every_digest_has_its_file() {
    let root = scratch();
    let cache = open(root.path());
    let locked = Locked::new("https://ci:canary@index.example/simple", &["a", "b"]);
    assert_eq!(locked.key().known(&cache), None);
    let (a, b) = (listed("a.whl", "a"), listed("b.tar.gz", "b"));
    locked.key().keep(&cache, std::slice::from_ref(&a)).expect("stored");
    let partial = SelectionRecord { files: vec![a.clone()], complete: false };
    assert_eq!(locked.key().known(&cache), Some(partial));
    let all = [b.clone(), listed("other.whl", "not pinned"), a.clone()];
    locked.key().keep(&cache, &all).expect("stored");
    assert_eq!(locked.key().known(&cache), Some(SelectionRecord { files: vec![a, b], complete: true }));

    let same = Locked::new("https://someone:else@index.example/simple", &["b", "a", "b"]);
    assert!(same.key().known(&cache).is_some(), "neither credentials nor order are part of the key");
    for other in [
        Locked::new("https://other.example/simple", &["a", "b"]),
        Locked::new("https://index.example/simple", &["a"]),
    ] {
        assert_eq!(other.key().known(&cache), None);
    }
    for path in files_below(root.path()) {
        assert!(!String::from_utf8_lossy(&fs::read(&path).expect("bytes")).contains("canary"));
        assert!(!path.to_string_lossy().contains("canary"));
    }
}

#[test]
fn an_entry_without_digests_is_never_explained() {
    let root = scratch();
    let cache = open(root.path());
    let locked = Locked::new("https://index.example/simple", &[]);
    locked.key().keep(&cache, &[listed("a.whl", "a")]).expect("nothing to store");
    assert_eq!(locked.key().known(&cache), None);
}

#[test]
fn signed_urls_are_not_kept() {
    let root = scratch();
    let cache = open(root.path());
    let locked = Locked::new("https://index.example/simple", &["a", "b"]);
    let mut signed = listed("a.whl", "a");
    signed.url.set_query(Some("signature=canary"));
    locked.key().keep(&cache, &[signed, listed("b.whl", "b")]).expect("stored");
    let kept = locked.key().known(&cache).expect("a record");
    assert_eq!((kept.files, kept.complete), (vec![listed("b.whl", "b")], false));
}

/// What a record with this row says, by whoever it was written.
fn foreign(locked: &Locked, filename: &str, url: &str) -> Option<SelectionRecord> {
    let sha256 = Sha256::of(b"a").to_string();
    let row = serde_json::json!([{"filename": filename, "url": url, "sha256": sha256}]);
    locked.key().parse(row.to_string().as_bytes())
}

#[test]
fn a_record_of_somebody_else_sends_no_secret_to_another_server() {
    let locked = Locked::new("https://index.example/canary-4711/simple", &["a"]);
    locked.concealed.add("TOKEN", "canary-4711");
    let url = |url: &str| foreign(&locked, "a.whl", url).map(|record| record.files[0].url.to_string());
    for theirs in ["https://mallory.example/${TOKEN}/a.whl", "http://index.example/${TOKEN}/a.whl"] {
        assert_eq!(url(theirs), None, "{theirs}");
    }
    // A token as the host's name is one in a query for that name.
    assert_eq!(url("https://${TOKEN}.example/a.whl"), None);
    let own = url("https://index.example/${TOKEN}/a.whl");
    assert_eq!(own.as_deref(), Some("https://index.example/canary-4711/a.whl"));
    assert!(url("https://files.example/a.whl").is_some(), "files may lie elsewhere");
    // Nor is such a record written: it would never count.
    let root = scratch();
    let cache = open(root.path());
    let mut elsewhere = listed("a.whl", "a");
    elsewhere.url = Url::parse("https://files.example/canary-4711/a.whl").expect("a URL");
    locked.key().keep(&cache, &[elsewhere]).expect("nothing to store");
    assert_eq!(locked.key().known(&cache), None);
}

#[test]
fn a_record_of_somebody_else_names_plain_files_on_servers() {
    let locked = Locked::new("https://index.example/simple", &["a"]);
    assert!(foreign(&locked, "a.whl", "https://index.example/a.whl").is_some());
    for filename in ["../a.whl", "/etc/passwd", "a\u{1b}[2J.whl", "", "a/b.whl"] {
        assert_eq!(foreign(&locked, filename, "https://index.example/a.whl"), None, "{filename:?}");
    }
    for url in [
        "file:///etc/passwd",
        "ftp://index.example/a.whl",
        "https://u:p@index.example/a.whl",
        "https://index.example/b.whl#/a.whl",
        "data:,x",
    ] {
        assert_eq!(foreign(&locked, "a.whl", url), None, "{url}");
    }
}

#[test]
fn a_damaged_record_counts_as_none_and_is_replaced() {
    let root = scratch();
    let cache = open(root.path());
    let locked = Locked::new("https://index.example/simple", &["a"]);
    let files = [listed("a.whl", "a")];
    locked.key().keep(&cache, &files).expect("stored");
    let path = files_below(root.path()).remove(0);
    let whole = fs::read(&path).expect("bytes");
    for damaged in [&b""[..], b"\0\0\0", &whole[..whole.len() / 2], b"[{\"filename\": 1}]", b"{}"] {
        fs::write(&path, damaged).expect("damaged");
        assert_eq!(locked.key().known(&cache), None);
    }
    locked.key().keep(&cache, &files).expect("stored");
    assert!(locked.key().known(&cache).expect("a record").complete);
}
