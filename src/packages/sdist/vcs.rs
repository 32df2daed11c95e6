//! Repositories in, a working tree at one commit out.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use url::Url;

use super::{
    Context,
    direct_url::program,
    environment::Environment,
    process::{Failure, Runner, Step},
};
use crate::{
    project::lock::{Vcs, VcsKind},
    words::{
        error::{Context as _, Error, Kind, Result, Warnings},
        vocab::{Credentials, Secret, Sha256},
    },
};

/// Protocols that may be spoken. `ext` and its like would run what the URL says.
const SCHEMES: &[&str] = &["https", "http", "ssh", "git", "file", "svn", "svn+ssh", "bzr", "lp", "sftp"];

/// Names the file with the answer of git's credential helper, in memory alone.
const ANSWER: &str = "VENVOY_GIT_ANSWER";

/// A repository of a lock entry, ready to be asked.
pub(super) struct Remote<'a> {
    vcs: &'a Vcs,
    context: &'a Context<'a>,
    runner: &'a Runner<'a>,
    /// The URL without secrets; an ssh user stays, since it says whom to log in as.
    pub url: Url,
    environment: Environment,
    /// `-c` options that come before git's command.
    options: Vec<OsString>,
    /// What git's credential helper says.
    answer: Option<Secret>,
    directory: PathBuf,
}

impl<'a> Remote<'a> {
    /// Checks the entry; nothing is asked yet. `private` is a directory only the user can read.
    ///
    /// Fails for revisions that would be taken for options and for protocols that run programs.
    pub(super) fn new(
        vcs: &'a Vcs,
        context: &'a Context<'a>,
        runner: &'a Runner<'a>,
        private: &Path,
    ) -> Result<Self> {
        let mut url = vcs.url.url().clone();
        if !SCHEMES.contains(&url.scheme()) {
            return Err(Error::new(
                Kind::Lock,
                format!("{} repositories are not fetched: {url}", url.scheme()),
            )
            .help("expected a https, ssh or file URL"));
        }
        if let Some(reference) = &vcs.reference
            && (reference.starts_with('-')
                || reference.is_empty()
                || reference.contains([':', '\n', '\0', ' ', '*', '?', '[', '\\', '^', '~'])
                || reference.contains("..")
                || reference.contains("@{"))
        {
            return Err(Error::new(Kind::Lock, format!("{reference:?} is not a commit, branch or tag")));
        }
        let own = vcs.url.credentials();
        let ssh = matches!(url.scheme(), "ssh" | "svn+ssh" | "sftp");
        if ssh && let Some(credentials) = own {
            // Where a URL has a user and no password, the user is no secret: it is an account's name.
            let (user, _) = credentials.basic();
            let _ = url.set_username(user);
        }
        let mut remote = Remote {
            vcs,
            context,
            runner,
            url,
            environment: Environment::for_git(context.env),
            options: Vec::new(),
            answer: None,
            directory: private.to_path_buf(),
        };
        remote.environment.set("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file");
        for option in [
            "core.hooksPath=/dev/null",
            "core.autocrlf=false",
            "core.fsmonitor=false",
            "advice.detachedHead=false",
            "protocol.ext.allow=never",
        ] {
            remote.options.extend(["-c".into(), option.into()]);
        }
        if !ssh && matches!(remote.url.scheme(), "https" | "http") {
            let credentials = own.cloned().or_else(|| (context.credentials)(&remote.url));
            if let Some(credentials) = credentials {
                remote.authenticate(&credentials)?;
            }
        }
        Ok(remote)
    }

    /// Has git ask a text in memory for the password, for this scheme, host and port alone: a submodule or a
    /// redirect elsewhere gets nothing.
    fn authenticate(&mut self, credentials: &Credentials) -> Result<()> {
        let (user, password) = credentials.basic();
        if user.contains(['\n', '\0']) || password.contains(['\n', '\0']) {
            return Err(Error::new(
                Kind::Auth,
                format!("the credentials for {} hold a line break", self.url),
            ));
        }
        self.answer = Some(Secret::new(format!("username={user}\npassword={password}\n")));
        let realm = self.url[..url::Position::AfterPort].to_owned();
        let helper =
            format!("credential.{realm}.helper=!f() {{ test \"$1\" = get && cat \"${ANSWER}\"; }}; f");
        // The empty one first: a helper of the user's own would be asked before ours.
        self.options.extend([
            "-c".into(),
            format!("credential.{realm}.helper=").into(),
            "-c".into(),
            helper.into(),
        ]);
        Ok(())
    }

    /// The URL as text.
    pub(super) fn shown(&self) -> String {
        self.url.to_string()
    }

    /// The URL for `direct_url.json`: of users, `git` alone may stay.
    pub(super) fn recorded(&self) -> String {
        let mut url = self.url.clone();
        if url.username() != "git" {
            let _ = url.set_username("");
        }
        url.to_string()
    }

    /// The commit the entry means, asked as little as possible: a full commit is itself; a branch or tag
    /// is looked up once, or, offline, in what the last lookup gave. `None` where only a full fetch
    /// can tell (an abbreviated commit, other systems than git).
    pub(super) fn commit(&self, warnings: &mut Warnings) -> Result<Option<String>> {
        let reference = self.vcs.reference.as_deref();
        if let Some(full) = reference.filter(|reference| is_full_commit(reference)) {
            return Ok(Some(full.to_ascii_lowercase()));
        }
        if self.vcs.kind != VcsKind::Git {
            if reference.is_none() {
                warnings.push(format!("{} is locked to no revision; a lock should pin one", self.shown()));
            }
            return Ok(None);
        }
        let named = reference.map_or("the default branch".to_owned(), |reference| format!("{reference:?}"));
        let key = Sha256::of(format!("ref {} {}", self.shown(), reference.unwrap_or("HEAD")).as_bytes())
            .to_string();
        let commit = if self.context.offline && self.url.scheme() != "file" {
            Some(self.context.store.note(&key)?.ok_or_else(|| {
                Error::new(
                    Kind::Network,
                    format!(
                        "which commit {named} of {} is was never looked up, and --offline asks nobody",
                        self.shown()
                    ),
                )
                .help("let the lock pin a commit, or run once with a network")
            })?)
        } else {
            self.look_up(reference)?
        };
        if let Some(commit) = &commit {
            warnings.push(format!(
                "{} is locked to {named}, which can move: it is commit {commit} now; a lock should pin a commit",
                self.shown()
            ));
            self.context.store.keep_note(&key, commit)?;
        }
        Ok(commit)
    }

    fn look_up(&self, reference: Option<&str>) -> Result<Option<String>> {
        let mut args: Vec<OsString> = vec!["ls-remote".into(), "--".into(), self.shown().into()];
        // Branches before tags, as pip takes them; `^{}` is the commit an annotated tag stands for.
        let wanted: Vec<String> = match reference {
            None => vec!["HEAD".into()],
            Some(name) if name.starts_with("refs/") => vec![format!("{name}^{{}}"), name.into()],
            Some(name) => {
                vec![
                    format!("refs/heads/{name}"),
                    format!("refs/tags/{name}^{{}}"),
                    format!("refs/tags/{name}"),
                ]
            }
        };
        args.extend(wanted.iter().map(OsString::from));
        let output = self.git(&self.directory, args)?.map_err(|failure| self.explain(&failure))?;
        let found: Vec<(&str, &str)> = output.lines().filter_map(|line| line.split_once('\t')).collect();
        for name in &wanted {
            if let Some((commit, _)) = found.iter().find(|(_, found)| found == name)
                && is_full_commit(commit)
            {
                return Ok(Some((*commit).to_owned()));
            }
        }
        match reference {
            Some(text) if text.len() >= 4 && text.bytes().all(|c| c.is_ascii_hexdigit()) => Ok(None),
            _ => Err(self.missing(reference.unwrap_or("HEAD"))),
        }
    }

    /// Makes a working tree at `commit` (or the entry's own revision) in `into`, and gives the commit it is at.
    ///
    /// Submodules come along; files of git-lfs do where it is installed. `history` asks for all commits
    /// and tags, which versions may be made from.
    pub(super) fn check_out(
        &self,
        commit: Option<&str>,
        into: &Path,
        history: bool,
        warnings: &mut Warnings,
    ) -> Result<String> {
        if self.context.offline && self.url.scheme() != "file" {
            return Err(Error::new(
                Kind::Network,
                format!("{} was never fetched at this commit, and --offline fetches nothing", self.shown()),
            )
            .help("run once with a network, so that it is kept in the cache"));
        }
        let commit = match self.vcs.kind {
            VcsKind::Git => self.check_out_git(commit, into, history, warnings),
            other => self.check_out_other(other, into),
        }
        .context(|| format!("cannot fetch {}", self.shown()))?;
        Ok(commit)
    }

    fn check_out_git(
        &self,
        commit: Option<&str>,
        into: &Path,
        history: bool,
        warnings: &mut Warnings,
    ) -> Result<String> {
        fs::create_dir(into).map_err(|e| Error::io("cannot create", into, e))?;
        let git = |args: &[&str]| self.git(into, args.iter().map(OsString::from).collect());
        let must = |args: &[&str]| git(args)?.map_err(|failure| self.explain(&failure));
        let url = self.shown();
        must(&["init", "--quiet", "--template="])?;
        must(&["remote", "add", "origin", "--", &url])?;
        let reference = commit.or(self.vcs.reference.as_deref()).unwrap_or("HEAD");
        let shallow = match commit {
            Some(commit) if !history => {
                git(&["fetch", "--quiet", "--depth=1", "--no-tags", "origin", commit])?.is_ok()
            }
            _ => false,
        };
        if !shallow {
            // Some servers give single commits to nobody; and an abbreviated one is found only among all.
            must(&["fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"])?;
        }
        let revision = format!("{reference}^{{commit}}");
        let mut resolved = git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &revision])?;
        if resolved.is_err() && !shallow && commit.is_some() {
            // A commit of no branch and no tag, such as a pull request's: the server may give it when asked.
            let _ = git(&["fetch", "--quiet", "--no-tags", "origin", reference])?;
            resolved = git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &revision])?;
        }
        let at = resolved
            .ok()
            .and_then(|output| output.lines().last().map(|line| line.trim().to_ascii_lowercase()))
            .filter(|at| is_full_commit(at))
            .ok_or_else(|| self.missing(reference))?;
        must(&["checkout", "--quiet", "--detach", &at])?;
        if into.join(".gitmodules").is_file() {
            // A submodule may not name files of this machine, unless the repository itself is one.
            let file = if self.url.scheme() == "file" {
                "protocol.file.allow=always"
            } else {
                "protocol.file.allow=never"
            };
            let mut args: Vec<OsString> = vec!["-c".into(), file.into()];
            args.extend(["submodule", "--quiet", "update", "--init", "--recursive"].map(OsString::from));
            self.git(into, args)?
                .map_err(|failure| self.explain(&failure))
                .context(|| "cannot fetch its submodules")?;
        }
        self.fetch_large(into, warnings)?;
        Ok(at)
    }

    /// Puts the contents of files that git-lfs keeps elsewhere in the place of their pointers.
    fn fetch_large(&self, tree: &Path, warnings: &mut Warnings) -> Result<()> {
        let git = |args: &[&str]| self.git(tree, args.iter().map(OsString::from).collect());
        let must = |args: &[&str]| git(args)?.map_err(|failure| self.explain(&failure));
        let listed = must(&["ls-files", "-z", "--", ":(glob)**/.gitattributes"])?;
        let uses = |name: &str| {
            fs::read(tree.join(name)).is_ok_and(|bytes| memchr::memmem::find(&bytes, b"filter=lfs").is_some())
        };
        if !listed.split('\0').filter(|name| !name.is_empty()).any(uses) {
            return Ok(());
        }
        if git(&["lfs", "version"])?.is_err() {
            warnings.push(format!(
                "{} keeps files in git-lfs, which is not installed: they are pointers only (Debian and Alpine: git-lfs)",
                self.shown()
            ));
            return Ok(());
        }
        // Without its filters, which the user need not have set up, it fetches and leaves the pointers.
        must(&["lfs", "install", "--local", "--skip-repo"])?;
        must(&["lfs", "pull"])?;
        Ok(())
    }

    fn check_out_other(&self, kind: VcsKind, into: &Path) -> Result<String> {
        let url = self.shown();
        let reference = self.vcs.reference.as_deref();
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        // The URL begins with its scheme, so nothing here can be taken for an option.
        let (mut fetch, identify) = match kind {
            VcsKind::Hg => (
                words(&[
                    "clone",
                    "--noninteractive",
                    "--quiet",
                    "--updaterev",
                    reference.unwrap_or("default"),
                    &url,
                ]),
                words(&["log", "--noninteractive", "--rev", ".", "--template", "{node}\\n"]),
            ),
            VcsKind::Svn => (
                words(&[
                    "checkout",
                    "--quiet",
                    "--non-interactive",
                    "--revision",
                    reference.unwrap_or("HEAD"),
                    &url,
                ]),
                words(&["info", "--non-interactive", "--show-item", "revision"]),
            ),
            _ => (
                words(&["branch", "--quiet", "--revision", reference.unwrap_or("-1"), &url]),
                words(&["revno", "--tree"]),
            ),
        };
        fetch.push(into.into());
        let program = OsStr::new(program(kind));
        let run = |directory: &Path, args| {
            self.program(program, directory, args)?.map_err(|failure| self.explain(&failure))
        };
        run(&self.directory, fetch)?;
        let at = run(into, identify)?;
        Ok(at.lines().last().unwrap_or_default().trim().to_owned())
    }

    fn git(&self, directory: &Path, args: Vec<OsString>) -> Result<Result<String, Failure>> {
        let mut all = self.options.clone();
        all.extend(args);
        self.program(OsStr::new("git"), directory, all)
    }

    fn program(
        &self,
        program: &OsStr,
        directory: &Path,
        args: Vec<OsString>,
    ) -> Result<Result<String, Failure>> {
        let found = self
            .environment
            .get("PATH")
            .is_some_and(|path| std::env::split_paths(path).any(|place| place.join(program).is_file()));
        if !found {
            let name = program.to_string_lossy();
            let (debian, alpine) = match name.as_ref() {
                "hg" => ("mercurial", "mercurial"),
                "svn" => ("subversion", "subversion"),
                "bzr" => ("brz", "breezy"),
                _ => ("git", "git"),
            };
            return Err(Error::new(
                Kind::Build,
                format!("{name} is not installed, and {} is a {name} repository", self.shown()),
            )
            .help(format!("on Debian and Ubuntu: apt-get install {debian}; on Alpine: apk add {alpine}")));
        }
        let private = self.answer.iter().map(|answer| (ANSWER, answer.clone())).collect();
        let environment = &self.environment;
        self.runner.run(&Step { program, args, directory, environment, private, writable: None })
    }

    fn missing(&self, reference: &str) -> Error {
        Error::new(Kind::Build, format!("{} has no commit, branch or tag {reference}", self.shown()))
            .help("it may have been removed or rewritten since the lock was made: lock again, or push it")
    }

    /// What a failed command means, from what it said.
    fn explain(&self, failure: &Failure) -> Error {
        let said = |signs: &[&str]| signs.iter().any(|sign| failure.output.contains(sign));
        let error = failure.error();
        if said(&[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied",
            "returned error: 401",
            "returned error: 403",
            "HTTP Basic: Access denied",
            "Host key verification failed",
        ]) {
            let how = if self.url.scheme() == "ssh" {
                "ssh needs a key the server knows and a known host key (in BuildKit: RUN --mount=type=ssh)"
            } else {
                "give credentials for its host, as for an index, or in the netrc file"
            };
            return Error::new(Kind::Auth, format!("{} refuses access", self.shown()))
                .because(error)
                .help(how);
        }
        if said(&[
            "not our ref",
            "unadvertised object",
            "couldn't find remote ref",
            "unknown revision",
            "reference is not a tree",
        ]) {
            return self.missing(self.vcs.reference.as_deref().unwrap_or("HEAD")).because(error);
        }
        if said(&[
            "Could not resolve host",
            "Connection refused",
            "Connection timed out",
            "unable to access",
            "Network is unreachable",
            "Connection reset",
        ]) {
            return error.with_kind(Kind::Network).help("check that the host can be reached from here");
        }
        if said(&["not found", "does not exist", "does not appear to be a git repository"]) {
            return error
                .help("check the repository's URL; some hosts say this, too, when credentials are missing");
        }
        error
    }
}

/// Whether this is a whole commit id (SHA-1 or SHA-256).
pub(super) fn is_full_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|c| c.is_ascii_hexdigit())
}
