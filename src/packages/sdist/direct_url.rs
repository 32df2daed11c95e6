//! `direct_url.json`: where a distribution came from when that was no index (PEP 610).

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    project::lock::{Vcs, VcsKind},
    words::vocab::{Sha256, SourceUrl},
};

/// The record of a repository at `commit`. `url` has no credentials; the user `git` of an ssh URL stays,
/// as it is none.
pub(super) fn vcs(vcs: &Vcs, url: &str, commit: &str) -> Vec<u8> {
    let mut info = json!({ "commit_id": commit });
    if let Some(reference) = &vcs.reference {
        info["requested_revision"] = json!(reference);
    }
    info["vcs"] = json!(program(vcs.kind));
    let mut record = json!({});
    if let Some(subdirectory) = &vcs.subdirectory {
        record["subdirectory"] = json!(subdirectory.as_str());
    }
    record["url"] = json!(url);
    record["vcs_info"] = info;
    bytes(&record)
}

/// The record of a file at a URL.
pub(super) fn archive(url: &SourceUrl, sha256: Sha256) -> Vec<u8> {
    let info = json!({ "hash": format!("sha256={sha256}"), "hashes": { "sha256": sha256.to_string() } });
    bytes(&json!({ "archive_info": info, "url": url.to_string() }))
}

/// The record of a local project used in its place; `None` for a path that is not absolute.
pub(super) fn editable(directory: &Path) -> Option<Vec<u8>> {
    let url = url::Url::from_file_path(directory).ok()?;
    Some(bytes(&json!({ "dir_info": { "editable": true }, "url": url.as_str() })))
}

/// The program a version control system is known by.
pub(crate) fn program(kind: VcsKind) -> &'static str {
    match kind {
        VcsKind::Git => "git",
        VcsKind::Hg => "hg",
        VcsKind::Svn => "svn",
        VcsKind::Bzr => "bzr",
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_no_credentials() {
        let url: SourceUrl = "https://ci:canary@git.example/demo.git".parse().expect("a URL");
        let entry = Vcs {
            kind: VcsKind::Git,
            url: url.clone(),
            reference: Some("main".into()),
            subdirectory: Some("sub".parse().expect("a path")),
        };
        assert_eq!(
            String::from_utf8(vcs(&entry, &url.to_string(), "c0ffee")).expect("text"),
            r#"{"subdirectory":"sub","url":"https://git.example/demo.git","vcs_info":{"commit_id":"c0ffee","requested_revision":"main","vcs":"git"}}"#
        );
        let record = String::from_utf8(archive(&url, Sha256([0xab; 32]))).expect("text");
        assert!(record.starts_with(r#"{"archive_info":{"hash":"sha256=abab"#), "{record}");
        assert!(!record.contains("canary"), "{record}");
        let record = String::from_utf8(editable(Path::new("/a b")).expect("a record")).expect("text");
        assert_eq!(record, r#"{"dir_info":{"editable":true},"url":"file:///a%20b"}"#);
    }
}
