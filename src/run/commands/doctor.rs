//! `doctor`: what a bug report needs to say, on one page. Nothing in it can be a secret: what is shown is a
//! [`Shown`], and that is made from kinds of values that are none. Of a variable that may hold one, only that it is set.

use std::path::Path;

use serde::{Serialize, Serializer};

use crate::{
    environment::installed::Installed,
    packages::cache::{Cache, Options as CacheOptions},
    project::lock::Lock,
    run::{
        commands::{fresh::freshness, verify::verify},
        inputs::{self, Inputs},
        options::{Common, LockFile, LockOptions, TargetOptions},
    },
    words::{
        args::variables::VARIABLES,
        env::Env,
        error::{Error, Result},
        progress::Progress,
        threads,
        vocab::{SourceUrl, count, size},
    },
};

/// A text that can be pasted anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown(String);

impl Shown {
    /// A text of venvoy's own.
    fn word(text: &'static str) -> Self {
        Shown(text.to_owned())
    }

    /// A number and its noun, a version, a size: what is computed here.
    fn figure(text: impl std::fmt::Display) -> Self {
        Shown(text.to_string())
    }

    /// A path; the home directory is `~`.
    fn path(path: &Path, env: &Env) -> Self {
        let home = env.path("HOME").filter(|home| home.parent().is_some());
        Shown(match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
            Some(inside) => format!("~/{}", inside.display()),
            None => path.display().to_string(),
        })
    }

    /// Where a URL leads: scheme, host and port. Userinfo, path and query may hold secrets.
    fn host(url: &SourceUrl) -> Self {
        let url = url.url();
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        Shown(format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default()))
    }

    /// Why something is not: the outermost line of an error, which names subjects and no values.
    fn problem(error: &Error) -> Self {
        Shown(error.report().lines().next().unwrap_or_default().to_owned())
    }

    /// Several, with commas.
    fn list(all: impl IntoIterator<Item = Shown>) -> Self {
        Shown(all.into_iter().map(|one| one.0).collect::<Vec<_>>().join(", "))
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        f.write_str(&self.0.chars().map(printable).collect::<String>())
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

/// A part of the page.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Section {
    /// What it is about.
    pub title: &'static str,
    /// What is said.
    pub lines: Vec<(Shown, Shown)>,
}

/// Variables whose values are shown: switches, versions and places.
const OPEN: [&str; 22] = [
    "CI",
    "NO_COLOR",
    "PIPENV_CATEGORIES",
    "PIPENV_CUSTOM_VENV_NAME",
    "PIPENV_DEFAULT_CATEGORIES",
    "PIPENV_DEFAULT_PYTHON_VERSION",
    "PIPENV_DEPLOY",
    "PIPENV_DEV",
    "PIPENV_DONT_LOAD_ENV",
    "PIPENV_IGNORE_PIPFILE",
    "PIPENV_IGNORE_VIRTUALENVS",
    "PIPENV_MAX_DEPTH",
    "PIPENV_PYTHON",
    "PIPENV_QUIET",
    "PIPENV_SYSTEM",
    "PIPENV_VENV_IN_PROJECT",
    "PIPENV_VIRTUALENV_COPIES",
    "PIP_NO_INDEX",
    "SOURCE_DATE_EPOCH",
    "VENVOY_LINK",
    "VENVOY_OFFLINE",
    "PIPENV_ACTIVE",
];

/// The page. What cannot be found out is said in its place: a bug report is wanted most where much is wrong.
pub(crate) fn doctor(common: Result<&Common, &Error>, env: &Env, progress: &dyn Progress) -> Vec<Section> {
    let mut sections = vec![section("venvoy", program(env)), section("system", system(env))];
    match common {
        Ok(common) => {
            sections.push(section("project", project(common)));
            sections.push(section("interpreter", interpreter(common, progress)));
            sections.push(section("environment", environment(common)));
            sections.push(section("cache", cache(common)));
            sections.push(section("sources", sources(common)));
        }
        Err(error) => {
            sections.push(section("project", vec![(Shown::word("problem"), Shown::problem(error))]));
        }
    }
    sections.push(section("variables", variables(common.map_or(env, |common| &common.env), env)));
    sections
}

fn section(title: &'static str, lines: Vec<(Shown, Shown)>) -> Section {
    Section { title, lines }
}

fn line(name: &'static str, value: Shown) -> (Shown, Shown) {
    (Shown::word(name), value)
}

fn program(env: &Env) -> Vec<(Shown, Shown)> {
    let binary =
        std::env::current_exe().map_or_else(|_| Shown::word("unknown"), |path| Shown::path(&path, env));
    let linked = if cfg!(target_feature = "crt-static") { "static" } else { "dynamic" };
    let build = [std::env::consts::ARCH, std::env::consts::OS, linked];
    vec![
        line("version", Shown::word(env!("CARGO_PKG_VERSION"))),
        line("binary", binary),
        line("built for", Shown::list(build.map(Shown::word))),
    ]
}

fn system(env: &Env) -> Vec<(Shown, Shown)> {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches('"').to_owned());
    let container = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    let container = container.iter().find(|(file, _)| Path::new(file).exists()).map(|(_, name)| *name);
    let ci = [
        ("GITLAB_CI", "GitLab CI"),
        ("GITHUB_ACTIONS", "GitHub Actions"),
        ("JENKINS_URL", "Jenkins"),
        ("BUILDKITE", "Buildkite"),
        ("CIRCLECI", "CircleCI"),
        ("TF_BUILD", "Azure Pipelines"),
        ("TEAMCITY_VERSION", "TeamCity"),
        ("CI", "one that only sets CI"),
    ];
    let ci = ci.iter().find(|(variable, _)| env.get(variable).is_some()).map_or("none", |(_, name)| *name);
    let cores = threads::cores();
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = |limit: Option<u64>| limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    vec![
        line(
            "kernel",
            Shown::figure(format!(
                "{} {} {}",
                text(uname.sysname()),
                text(uname.release()),
                text(uname.machine())
            )),
        ),
        line("distribution", name.map_or_else(|| Shown::word("unknown"), Shown::figure)),
        line("cores", Shown::figure(cores)),
        line("root", Shown::word(if rustix::process::geteuid().is_root() { "yes" } else { "no" })),
        line("container", Shown::word(container.unwrap_or("none seen"))),
        line("CI", Shown::word(ci)),
        line("open files", Shown::figure(format!("{} of {}", limit(files.current), limit(files.maximum)))),
    ]
}

fn project(common: &Common) -> Vec<(Shown, Shown)> {
    let project = &common.project;
    let mut lines = vec![line("directory", Shown::path(&project.dir, &common.env))];
    let pipfile =
        project.pipfile.as_ref().map_or_else(|| Shown::word("none"), |path| Shown::path(path, &common.env));
    lines.push(line("Pipfile", pipfile));
    let Some(file) = &project.lock else {
        lines.push(line("lock", Shown::word("none")));
        return lines;
    };
    lines.push(line("lock", Shown::path(file.path(), &common.env)));
    match lock(common, file) {
        Ok(Some(lock)) => {
            let of = |(name, entries): &(String, Vec<_>)| Shown::figure(format!("{name} {}", entries.len()));
            lines.push(line("locked", Shown::list(lock.categories.iter().map(of))));
        }
        Ok(None) => lines.push(line("locked", Shown::word("see the pylock.toml"))),
        Err(error) => lines.push(line("problem", Shown::problem(&error))),
    }
    if project.pipfile.is_some() {
        let fresh = match verify(common) {
            Ok(super::Verified::UpToDate) => Shown::word("yes"),
            Ok(super::Verified::OutOfDate) => Shown::word("no"),
            Err(error) => Shown::problem(&error),
        };
        lines.push(line("lock is fresh", fresh));
    }
    let warnings = common.warnings.0.len();
    let dotenv = match (project.dir.join(".env").is_file(), warnings) {
        (false, 0) => Shown::word("none"),
        (_, 0) => Shown::word("read"),
        (_, many) => Shown::figure(format!("read, with {}", count(many, "warning"))),
    };
    lines.push(line(".env", dotenv));
    lines
}

fn lock(common: &Common, file: &LockFile) -> Result<Option<Lock>> {
    let LockFile::Pipenv(path) = file else { return Ok(None) };
    Lock::glance(&inputs::read(path, "")?, &inputs::label(path), &common.env).map(Some)
}

fn interpreter(common: &Common, progress: &dyn Progress) -> Vec<(Shown, Shown)> {
    let options = LockOptions {
        categories: crate::run::options::Categories::All,
        deploy: false,
        ignore_pipfile: true,
        local: crate::run::options::Local::With,
    };
    let found = Inputs::read(common, &options, progress)
        .and_then(|inputs| inputs.target(common, &TargetOptions::of_env(&common.env), false, progress));
    match found {
        Ok(target) => {
            let tag = target.tags.iter().next().map(Shown::figure);
            let mut lines = vec![
                line("found", Shown::path(&target.executable, &common.env)),
                line("is", Shown::figure(target.describe_shortly())),
            ];
            lines.extend(tag.map(|tag| line("first tag", tag)));
            lines
        }
        Err(error) => vec![line("problem", Shown::problem(&error))],
    }
}

fn environment(common: &Common) -> Vec<(Shown, Shown)> {
    let Ok(venv) = super::run::environment(None, common) else {
        return vec![line("there", Shown::word("no"))];
    };
    let mut lines = vec![line("there", Shown::path(&venv, &common.env))];
    let maker = if venv.join(crate::environment::manifest::MANIFEST).is_file() {
        "venvoy"
    } else {
        "another program"
    };
    lines.push(line("made by", Shown::word(maker)));
    match Installed::read(&venv) {
        Ok(installed) => {
            lines.push(line("Python", Shown::figure(&installed.markers.python_full_version)));
            lines.push(line("distributions", Shown::figure(installed.distributions.len())));
        }
        Err(error) => lines.push(line("problem", Shown::problem(&error))),
    }
    if let Ok(Some(freshness)) = freshness(common, &venv) {
        let differences = freshness.differences.len();
        lines.push(line("unlike the lock", Shown::figure(count(differences, "package"))));
        lines.push(line("categories", Shown::list(freshness.categories.into_iter().map(Shown::figure))));
    }
    lines
}

fn cache(common: &Common) -> Vec<(Shown, Shown)> {
    let dir = &common.cache_dir;
    let mut lines = vec![line("directory", Shown::path(dir, &common.env))];
    if !dir.is_dir() {
        lines.push(line("there", Shown::word("no: it is made by the first run")));
        return lines;
    }
    let cache = Cache::open(dir, CacheOptions::default());
    let usage = cache.usage();
    let all: u64 = usage.values().map(|usage| usage.bytes).sum();
    let files: u64 = usage.values().map(|usage| usage.files).sum();
    lines.push(line("holds", Shown::figure(format!("{files} files, {}", size(all)))));
    lines.push(line("writable", Shown::word(if cache.is_read_only() { "no" } else { "yes" })));
    lines.push(line("file system", Shown::list(file_system(dir))));
    lines.push(line("the project's", Shown::list(file_system(&common.project.dir))));
    let device = |path: &Path| rustix::fs::stat(path).ok().map(|stat| stat.st_dev);
    let links = if device(dir) == device(&common.project.dir) {
        "perhaps: one file system"
    } else {
        "no: two file systems"
    };
    lines.push(line("links possible", Shown::word(links)));
    if let Ok(stat) = rustix::fs::statvfs(dir) {
        lines.push(line("free there", Shown::figure(size(stat.f_bavail.saturating_mul(stat.f_frsize)))));
    }
    lines
}

/// The file system of a path, by `f_type` of statfs(2).
#[cfg(target_os = "linux")]
fn file_system(path: &Path) -> Option<Shown> {
    #[allow(clippy::unnecessary_cast, reason = "its type differs between C libraries")]
    let magic = rustix::fs::statfs(path).ok()?.f_type as i64;
    Some(match magic {
        0xEF53 => Shown::word("ext4"),
        0x9123_683E => Shown::word("btrfs"),
        0x5846_5342 => Shown::word("xfs"),
        0x794C_7630 => Shown::word("overlay"),
        0x0102_1994 => Shown::word("tmpfs"),
        0x6969 => Shown::word("nfs"),
        0x2FC1_2FC1 => Shown::word("zfs"),
        0x6573_5546 => Shown::word("fuse"),
        other => Shown::figure(format!("{other:#x}")),
    })
}

/// Elsewhere it has no number that is worth a name.
#[cfg(not(target_os = "linux"))]
fn file_system(_path: &Path) -> Option<Shown> {
    None
}

fn sources(common: &Common) -> Vec<(Shown, Shown)> {
    let Some(file) = &common.project.lock else { return Vec::new() };
    let Ok(Some(lock)) = lock(common, file) else { return Vec::new() };
    let mut lines = Vec::new();
    for source in &lock.sources {
        let name = source.name.clone().unwrap_or_else(|| "(unnamed)".to_owned());
        let value = match source.url() {
            Ok(url) => {
                let login = if url.credentials().is_some() {
                    "with a login in its URL"
                } else {
                    "no login in its URL"
                };
                let verified =
                    if source.verify_ssl { "certificates verified" } else { "certificates not verified" };
                Shown::list([Shown::host(url), Shown::word(login), Shown::word(verified)])
            }
            Err(error) => Shown::problem(&error),
        };
        lines.push((Shown::figure(name), value));
    }
    let told = "`venvoy auth` shows which credentials each source gets";
    if !lines.is_empty() {
        lines.push(line("credentials", Shown::word(told)));
    }
    lines
}

/// Which variables that decide something are set, and whether `.env` set them.
fn variables(all: &Env, outer: &Env) -> Vec<(Shown, Shown)> {
    let listed = |name: &str| {
        VARIABLES.iter().any(|row| row.0.iter().any(|known| known.eq_ignore_ascii_case(name)))
            || ["PIPENV_", "PIP_", "VENVOY_"].iter().any(|prefix| name.starts_with(prefix))
    };
    let mut lines = Vec::new();
    for (name, value) in all.iter().filter(|(name, _)| listed(name)) {
        let from = if outer.get_raw(name) == Some(value) { "" } else { " (by .env)" };
        let shown = if OPEN.contains(&name) && value.len() <= 40 {
            format!("{value}{from}")
        } else if value.is_empty() {
            format!("empty{from}")
        } else {
            format!("set{from}")
        };
        lines.push((Shown::figure(name), Shown(shown)));
    }
    lines
}

impl Section {
    /// The part as lines of text.
    pub(crate) fn text(&self) -> Vec<String> {
        let width = self.lines.iter().map(|(name, _)| name.0.chars().count()).max().unwrap_or(0);
        let mut text = vec![self.title.to_owned()];
        for (name, value) in &self.lines {
            text.push(format!("  {:<width$}  {value}", name.to_string()).trim_end().to_owned());
        }
        if self.lines.is_empty() {
            text.push("  none".to_owned());
        }
        text
    }
}
