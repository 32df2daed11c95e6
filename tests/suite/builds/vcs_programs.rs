//! Repositories that need a program besides git: Mercurial, Subversion, Bazaar, ssh, git-lfs.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::support::{
    archive::wheel_files,
    backend::in_tree,
    build::{Run, job},
    files::plant,
    git::{git, repository},
};
use venvoy::inside::{
    packages::sdist::{BuildSource, Built, Job},
    project::lock::{Vcs, VcsKind},
    words::error::Kind,
};

fn from(kind: VcsKind, url: &str, reference: Option<&str>) -> Job {
    let vcs = Vcs {
        kind,
        url: url.parse().expect("a URL"),
        reference: reference.map(str::to_owned),
        subdirectory: None,
    };
    job("demo", None, BuildSource::Vcs { vcs, editable: None })
}

/// A project whose wheel holds what `source.txt` says.
fn project(text: &str) -> Vec<(String, String)> {
    let mut files = in_tree("return wheel(out, **{'source.txt': open('source.txt').read()})");
    files.push(("source.txt".into(), text.into()));
    files
}

fn source(built: &Built) -> String {
    String::from_utf8_lossy(&wheel_files(built.wheel.path())["source.txt"]).into_owned()
}

/// Runs a program in a directory with a home of its own and gives what it prints.
fn run(home: &Path, directory: &Path, words: &[&str]) -> String {
    let output = Command::new(words[0])
        .args(&words[1..])
        .current_dir(directory)
        .env("HOME", home)
        .env("HGRCPATH", "")
        .env("BRZ_EMAIL", "Test <test@example.invalid>")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", words[0]));
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Both revisions can be had, the second is the default, and what was built is not built again.
fn both_revisions(run: &Run, kind: VcsKind, url: &str, first: &str, second: &str, program: &str) {
    for (reference, revision, text) in
        [(Some(first), first, "first"), (Some(second), second, "second"), (None, second, "second")]
    {
        let built = run.built(&from(kind, url, reference));
        assert_eq!(
            (source(&built).as_str(), built.commit.as_deref()),
            (text, Some(revision)),
            "{reference:?}"
        );
        assert_eq!(built.warnings.0.iter().any(|w| w.contains("a lock should pin one")), reference.is_none());
        let record = String::from_utf8(built.direct_url.clone().expect("a record")).expect("text");
        assert!(record.contains(&format!("\"commit_id\":\"{revision}\"")), "{record}");
        assert!(record.contains(&format!("\"vcs\":\"{program}\"")), "{record}");
        assert!(run.built(&from(kind, url, reference)).cached, "{reference:?}");
    }
    let report = run.fails(&from(kind, url, Some("987654")));
    assert!(report.contains("cannot fetch") && report.contains(url), "{report}");
}

#[test]
fn mercurial() {
    let test = Run::default();
    let (home, root) = (test.path(), test.path().join("repository"));
    plant(&root, &(project("first")));
    let commit = |message: &str| {
        run(
            home,
            &root,
            &["hg", "commit", "--quiet", "--addremove", "-u", "test", "-d", "0 0", "-m", message],
        );
        run(home, &root, &["hg", "log", "--rev", ".", "--template", "{node}"])
    };
    run(home, &root, &["hg", "init"]);
    let first = commit("one");
    plant(&root, &[("source.txt", "second")]);
    let second = commit("two");
    both_revisions(&test, VcsKind::Hg, &format!("file://{}", root.display()), &first, &second, "hg");
}

#[test]
fn subversion() {
    let test = Run::default();
    let (home, root) = (test.path(), test.path().join("checkout"));
    let url = format!("file://{}/server/trunk", home.display());
    run(home, home, &["svnadmin", "create", "server"]);
    run(home, home, &["svn", "mkdir", "--quiet", "--message", "zero", &url]);
    run(home, home, &["svn", "checkout", "--quiet", &url, "checkout"]);
    plant(&root, &(project("first")));
    run(home, &root, &["svn", "add", "--quiet", "--force", "."]);
    run(home, &root, &["svn", "commit", "--quiet", "--message", "one"]);
    plant(&root, &[("source.txt", "second")]);
    run(home, &root, &["svn", "commit", "--quiet", "--message", "two"]);
    both_revisions(&test, VcsKind::Svn, &url, "2", "3", "svn");
}

#[test]
fn bazaar() {
    let test = Run::default();
    let (home, root) = (test.path(), test.path().join("branch"));
    run(home, home, &["bzr", "init", "--quiet", "branch"]);
    plant(&root, &(project("first")));
    run(home, &root, &["bzr", "add", "--quiet"]);
    run(home, &root, &["bzr", "commit", "--quiet", "--message", "one"]);
    plant(&root, &[("source.txt", "second")]);
    run(home, &root, &["bzr", "commit", "--quiet", "--message", "two"]);
    both_revisions(&test, VcsKind::Bzr, &format!("file://{}", root.display()), "1", "2", "bzr");
}

#[test]
fn files_in_git_lfs_come_along() {
    let mut test = Run::default();
    let root = test.path().join("repository");
    let mut files = project("the real content");
    files.push((".gitattributes".into(), "source.txt filter=lfs diff=lfs merge=lfs -text\n".into()));
    fs::create_dir(&root).expect("a directory");
    git(&root, &["init", "--quiet"]);
    git(&root, &["lfs", "install", "--local"]);
    let commit = repository(&root, &files);
    assert!(git(&root, &["show", "HEAD:source.txt"]).starts_with("version https://git-lfs"));
    let job = from(VcsKind::Git, &format!("file://{}", root.display()), Some(&commit));
    assert_eq!(source(&test.built(&job)), "the real content");

    // Without it: the pointer, and a warning that says what is missing.
    let bin = test.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    std::os::unix::fs::symlink("/usr/bin/git", bin.join("git")).expect("a link");
    test.set("PATH", bin.to_str().expect("text"));
    test.store = venvoy::inside::packages::sdist::DirStore::new(test.path().join("another store"));
    let built = test.built(&job);
    assert!(source(&built).starts_with("version https://git-lfs"), "{}", source(&built));
    assert!(
        built.warnings.0.iter().any(|w| w.contains("git-lfs, which is not installed")),
        "{:?}",
        built.warnings
    );
}

/// An ssh server on loopback that takes one key.
struct SshServer {
    process: Child,
    port: u16,
    directory: PathBuf,
}

impl SshServer {
    fn start(directory: &Path) -> Self {
        // As root it wants the place Debian makes when the machine starts.
        let _ = fs::create_dir("/run/sshd");
        for key in ["host", "user", "stranger"] {
            let file = directory.join(key);
            let file = file.to_str().expect("text");
            run(directory, directory, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file]);
        }
        fs::copy(directory.join("user.pub"), directory.join("authorized")).expect("copied");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let options = [
            format!("Port={port}"),
            "ListenAddress=127.0.0.1".into(),
            format!("HostKey={}", directory.join("host").display()),
            format!("AuthorizedKeysFile={}", directory.join("authorized").display()),
            "StrictModes=no".into(),
            "PidFile=none".into(),
            "PasswordAuthentication=no".into(),
            "KbdInteractiveAuthentication=no".into(),
            "PermitRootLogin=prohibit-password".into(),
        ];
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", "/dev/null"]);
        for option in options {
            command.arg("-o").arg(option);
        }
        let log = fs::File::create(directory.join("sshd.log")).expect("a file");
        let process = command.stdin(Stdio::null()).stderr(log).spawn().expect("sshd");
        let server = SshServer { process, port, directory: directory.to_path_buf() };
        let waiting = || TcpStream::connect(("127.0.0.1", port)).is_err();
        for _ in 0..200 {
            if !waiting() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let key = fs::read_to_string(directory.join("host.pub")).expect("a key");
        fs::write(directory.join("known"), format!("[127.0.0.1]:{port} {key}")).expect("written");
        server
    }

    /// What the user's ssh is set to, with this key and this file of known hosts.
    fn command(&self, key: &str, known: &str) -> String {
        let place = self.directory.display();
        format!(
            "ssh -F /dev/null -oBatchMode=yes -oIdentitiesOnly=yes -oIdentityAgent=none -i {place}/{key} -oGlobalKnownHostsFile=/dev/null -oUserKnownHostsFile={place}/{known}"
        )
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn ssh_needs_the_users_key_and_a_known_host() {
    let mut test = Run::default();
    let root = test.path().join("repository");
    let commit = repository(&root, &(project("over ssh")));
    let server = SshServer::start(test.path());
    let user = run(test.path(), test.path(), &["id", "-un"]);
    let url = format!("ssh://{user}@127.0.0.1:{}{}", server.port, root.display());
    for (key, known) in [("stranger", "known"), ("user", "nobody")] {
        test.set("GIT_SSH_COMMAND", &server.command(key, known));
        let error = test.error(&from(VcsKind::Git, &url, Some("main")));
        assert_eq!(error.kind(), Kind::Auth, "{}", error.report());
        assert!(error.report().contains("--mount=type=ssh"), "{}", error.report());
    }
    test.set("GIT_SSH_COMMAND", &server.command("user", "known"));
    for reference in ["main", &commit] {
        let built = test.built(&from(VcsKind::Git, &url, Some(reference)));
        assert_eq!((source(&built).as_str(), built.commit.as_deref()), ("over ssh", Some(commit.as_str())));
        // A user other than `git` may be a person: the record leaves it out.
        let record = String::from_utf8(built.direct_url.expect("a record")).expect("text");
        assert!(!record.contains(&format!("{user}@")), "{record}");
    }
}
