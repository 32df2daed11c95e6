//! Repositories of git.

use std::{fs, path::Path, process::Command};

use super::{files::plant, program::run};

/// Runs git in a directory, as somebody, at a fixed time.
pub fn git(directory: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    for setting in [
        "user.name=Test",
        "user.email=test@example.invalid",
        "init.defaultBranch=main",
        "protocol.file.allow=always",
    ] {
        command.args(["-c", setting]);
    }
    command
        .args(args)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_DATE", "2020-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z");
    String::from_utf8(run(&mut command, "git")).expect("text").trim().to_owned()
}

/// Makes a repository of these files and gives its commit.
pub fn repository<N: AsRef<str>, T: AsRef<[u8]>>(root: &Path, files: &[(N, T)]) -> String {
    fs::create_dir_all(root).expect("a directory");
    git(root, &["init", "--quiet"]);
    plant(root, files);
    git(root, &["add", "--all"]);
    git(root, &["commit", "--quiet", "--message", "one"]);
    git(root, &["rev-parse", "HEAD"])
}
