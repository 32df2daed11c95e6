//! Repositories: real ones, made by git for the test, on disk or behind a server on the loopback.

use std::fs;

use crate::support::{
    archive::wheel_files,
    backend::in_tree,
    build::{Run, SETUPTOOLS, credentials, job},
    files::{self, State, plant},
    git::{git, repository},
    index::basic,
    server::Server,
};
use venvoy::inside::{
    packages::sdist::{BuildSource, Job},
    project::lock::{Vcs, VcsKind},
    words::error::Kind,
};

fn vcs(url: &str, reference: Option<&str>) -> Vcs {
    Vcs {
        kind: VcsKind::Git,
        url: url.parse().expect("a URL"),
        reference: reference.map(str::to_owned),
        subdirectory: None,
    }
}

fn from(vcs: Vcs) -> Job {
    job("demo", None, BuildSource::Vcs { vcs, editable: None })
}

/// A project whose wheel holds what `source.txt` says.
fn project(text: &str) -> Vec<(String, String)> {
    let mut files = in_tree("return wheel(out, **{'source.txt': open('source.txt').read()})");
    files.push(("source.txt".into(), text.into()));
    files
}

fn file_url(path: &std::path::Path) -> String {
    format!("file://{}", path.display())
}

fn source(built: &venvoy::inside::packages::sdist::Built) -> String {
    String::from_utf8_lossy(&wheel_files(built.wheel.path())["source.txt"]).into_owned()
}

#[test]
fn a_commit_a_branch_and_a_tag_are_found() {
    let run = Run::default();
    let root = run.path().join("repository");
    let first = repository(&root, &(project("first")));
    git(&root, &["tag", "--annotate", "v1", "--message", "one"]);
    plant(&root, &[("source.txt", "second")]);
    git(&root, &["commit", "--quiet", "--all", "--message", "two"]);
    let second = git(&root, &["rev-parse", "HEAD"]);
    let url = file_url(&root);
    for (reference, commit, text, warned) in [
        (Some(first.as_str()), &first, "first", false),
        (Some(&first[..9]), &first, "first", false),
        (Some("v1"), &first, "first", true),
        (Some("main"), &second, "second", true),
        (None, &second, "second", true),
    ] {
        let built = run.built(&from(vcs(&url, reference)));
        assert_eq!(source(&built), text, "{reference:?}");
        assert_eq!(built.commit.as_ref(), Some(commit));
        assert!(run.built(&from(vcs(&url, reference))).cached, "{reference:?}");
        let record = String::from_utf8(built.direct_url.clone().expect("a record")).expect("text");
        assert!(record.contains(&format!("\"commit_id\":\"{commit}\"")), "{record}");
        assert_eq!(
            built.warnings.0.iter().any(|w| w.contains("a lock should pin a commit")),
            warned,
            "{reference:?}"
        );
    }
}

#[test]
fn a_branch_that_moved_is_built_anew_and_a_commit_is_not() {
    let run = Run::default();
    let root = run.path().join("repository");
    let first = repository(&root, &(project("first")));
    let url = file_url(&root);
    assert!(!run.built(&from(vcs(&url, Some("main")))).cached);
    plant(&root, &[("source.txt", "second")]);
    git(&root, &["commit", "--quiet", "--all", "--message", "two"]);
    let moved = run.built(&from(vcs(&url, Some("main"))));
    assert!(!moved.cached);
    assert_eq!(source(&moved), "second");
    fs::remove_dir_all(&root).expect("removed");
    let kept = run.built(&from(vcs(&url, Some(&first))));
    assert!(kept.cached, "a commit that was built needs no repository");
    assert_eq!(source(&kept), "first");
}

#[test]
fn a_subdirectory_and_submodules_come_along() {
    let run = Run::default();
    let inner = run.path().join("inner");
    repository(&inner, &[("source.txt", "from the submodule")]);
    let root = run.path().join("repository");
    let files = in_tree("return wheel(out, **{'source.txt': open('../inner/source.txt').read()})");
    let files: Vec<(String, String)> =
        files.into_iter().map(|(name, text)| (format!("sub/{name}"), text)).collect();
    repository(&root, &files);
    git(&root, &["submodule", "--quiet", "add", &file_url(&inner), "inner"]);
    git(&root, &["commit", "--quiet", "--message", "two"]);
    let commit = git(&root, &["rev-parse", "HEAD"]);
    let mut entry = vcs(&file_url(&root), Some(&commit));
    entry.subdirectory = Some("sub".parse().expect("a path"));
    let built = run.built(&from(entry.clone()));
    assert_eq!(source(&built), "from the submodule");
    let record = String::from_utf8(built.direct_url.expect("a record")).expect("text");
    assert!(record.contains(r#""subdirectory":"sub""#), "{record}");
    entry.subdirectory = Some("missing".parse().expect("a path"));
    assert!(run.fails(&from(entry)).contains("has no directory missing"));
}

#[test]
fn what_the_repository_does_not_have_is_named() {
    let run = Run::default();
    let root = run.path().join("repository");
    repository(&root, &(project("first")));
    let url = file_url(&root);
    for reference in ["0123456789012345678901234567890123456789", "no-such-branch", "abcdef1"] {
        let report = run.fails(&from(vcs(&url, Some(reference))));
        assert!(report.contains(&format!("has no commit, branch or tag {reference}")), "{report}");
    }
    let report = run.fails(&from(vcs(&format!("{url}-missing"), Some("main"))));
    assert!(report.contains("check the repository's URL"), "{report}");
}

#[test]
fn a_revision_is_never_an_option_and_a_url_never_a_program() {
    let run = Run::default();
    for reference in ["--upload-pack=touch evil", "-x", "a b", "main:main", "@{u}", "a..b"] {
        let report = run.fails(&from(vcs("file:///nowhere", Some(reference))));
        assert!(report.contains("is not a commit, branch or tag"), "{report}");
    }
    assert!(run.fails(&from(vcs("ext::sh -c evil", None))).contains("ext repositories are not fetched"));
}

#[test]
fn without_git_the_package_to_install_is_named() {
    let mut run = Run::default();
    run.set("PATH", "/nonexistent");
    let report = run.fails(&from(vcs("https://git.example/demo.git", Some(&"a".repeat(40)))));
    assert!(report.contains("git is not installed") && report.contains("apk add git"), "{report}");
    for (kind, package) in
        [(VcsKind::Hg, "mercurial"), (VcsKind::Svn, "subversion"), (VcsKind::Bzr, "breezy")]
    {
        let mut entry = vcs("https://code.example/demo", None);
        entry.kind = kind;
        let report = run.fails(&from(entry));
        assert!(report.contains("is not installed") && report.contains(package), "{report}");
    }
}

#[test]
fn offline_nothing_is_fetched_and_what_is_kept_is_used() {
    let run = Run { offline: true, ..Run::default() };
    let report = run.fails(&from(vcs("https://git.example/demo.git", Some(&"a".repeat(40)))));
    assert!(report.contains("--offline fetches nothing"), "{report}");
    let report = run.fails(&from(vcs("https://git.example/demo.git", Some("main"))));
    assert!(report.contains("--offline asks nobody"), "{report}");
}

#[test]
fn a_password_reaches_the_server_and_nothing_else() {
    let mut run = Run::default();
    let root = run.path().join("repository");
    let commit = repository(&root, &(project("private")));
    git(&root, &["update-server-info"]);
    // "ci:canary" in base64.
    let server = Server::of_directory(&root, &basic("ci:canary"));
    let url = server.url("/.git");

    let error = run.error(&from(vcs(&url, Some("main"))));
    assert_eq!(error.kind(), Kind::Auth);
    assert!(
        error.report().contains("refuses access") && error.report().contains("give credentials"),
        "{}",
        error.report()
    );

    run.credentials = Some((url.parse().expect("a URL"), credentials("ci", "wrong-canary")));
    let report = run.fails(&from(vcs(&url, Some("main"))));
    assert!(report.contains("refuses access") && !report.contains("canary"), "{report}");

    run.credentials = Some((url.parse().expect("a URL"), credentials("ci", "canary")));
    let built = run.built(&from(vcs(&url, Some("main"))));
    assert_eq!((source(&built).as_str(), built.commit.as_deref()), ("private", Some(commit.as_str())));

    // The same from the URL's own userinfo, at the commit.
    run.credentials = None;
    let with = url.replace("http://", "http://ci:canary@");
    let other = Run::default();
    let built = other.built(&from(vcs(&with, Some(&commit))));
    assert!(!built.cached);
    let record = String::from_utf8(built.direct_url.clone().expect("a record")).expect("text");
    assert!(record.contains(&url) && !record.contains("canary"), "{record}");

    for kept in [run.path(), other.path()] {
        for (path, State { bytes, .. }) in files::snapshot(kept) {
            if !path.starts_with(root.join(".git")) {
                assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", path.display());
            }
        }
    }
}

#[test]
fn an_editable_checkout_leads_to_where_it_will_live() {
    let run = Run::with_backends();
    let root = run.path().join("repository");
    let commit = repository(&root, SETUPTOOLS);
    let place = run.project().join(".venv/src/demo");
    let entry = vcs(&file_url(&root), Some(&commit));
    let built = run.built(&job("demo", None, BuildSource::Vcs { vcs: entry, editable: Some(place.clone()) }));
    let editable = built.editable.expect("editable");
    assert_eq!(editable.paths, [place.join("demo")]);
    assert!(editable.relocatable);
    assert!(built.checkout.expect("a checkout").join("demo.py").is_file());
}

#[test]
fn a_version_from_the_history_is_the_one_of_the_commit() {
    let run = Run::with_backends();
    let root = run.path().join("repository");
    repository(
        &root,
        &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['setuptools', 'setuptools-scm']\n[project]\nname = 'demo'\ndynamic = ['version']\n[tool.setuptools_scm]\n",
            ),
            ("demo.py", ""),
        ],
    );
    git(&root, &["tag", "v3.1"]);
    plant(&root, &[("other.txt", "")]);
    git(&root, &["add", "--all"]);
    git(&root, &["commit", "--quiet", "--message", "two"]);
    git(&root, &["tag", "v3.2"]);
    let commit = git(&root, &["rev-parse", "HEAD"]);
    let built = run.built(&from(vcs(&file_url(&root), Some(&commit))));
    assert_eq!(built.version.to_string(), "3.2");
}
