//! An environment's own files: pyvenv.cfg, the interpreter's links, activators.

use std::path::{Path, PathBuf};

use crate::{
    project::python::Target,
    words::{
        error::{Error, Kind, Result},
        vocab::RelPath,
    },
};

/// How an environment's own files find the environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// From where they themselves are: the environment can be moved.
    #[default]
    Relative,
    /// It will be exactly here (an absolute path).
    At(PathBuf),
}

/// A file of the environment's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// Where it goes, relative to the environment.
    pub path: RelPath,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// 0755 rather than 0644.
    pub executable: bool,
}

/// A symbolic link of the environment's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvLink {
    /// Where it goes, relative to the environment.
    pub path: RelPath,
    /// What it points to, exactly as stored in the link.
    pub target: String,
}

/// The environment's own files and links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Sorted by path.
    pub files: Vec<EnvFile>,
    /// Sorted by path.
    pub links: Vec<EnvLink>,
}

/// The files and links every environment for `target` has. Activators show `prompt`, or the name of the
/// environment's directory.
///
/// # Errors
/// [`Kind::Target`] or [`Kind::Usage`] for paths that cannot be named in these files (line breaks in the
/// interpreter's, bytes that are not UTF-8, a relative path in `place`).
pub fn environment(target: &Target, place: &Place, prompt: Option<&str>) -> Result<Environment> {
    // A control character in a prompt can only do harm, and pyvenv.cfg has one line for it.
    let prompt: Option<String> =
        prompt.map(|text| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect());
    let prompt = prompt.as_deref();
    let executable = text_of(&target.executable, Kind::Target, "the interpreter")?;
    let at = match place {
        Place::Relative => None,
        Place::At(path) if path.is_absolute() => Some(text_of(path, Kind::Usage, "the environment's place")?),
        Place::At(path) => {
            return Err(Error::new(Kind::Usage, format!("{}: not an absolute path", path.display()))
                .help("say where the environment will be with a path such as /.venv"));
        }
    };

    // An environment inside a checkout is not part of it: virtualenv and venv say so in the same way.
    let mut files = vec![file(".gitignore", "*\n".to_owned())?, file("pyvenv.cfg", config(target, prompt)?)?];
    for activator in ACTIVATORS {
        let locate = match at {
            None => activator.locate.trim_end().to_owned(),
            Some(at) => (activator.assign)(&(activator.quote)(at)),
        };
        let text = fill(
            activator.template,
            &[
                ("@LOCATE@", &locate),
                ("@PROMPT@", &(activator.quote)(prompt.unwrap_or_default())),
                ("@SITE_PACKAGES@", &(activator.quote)(target.site_packages.as_str())),
            ],
        );
        files.push(file(activator.path, text)?);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));

    let mut links = Vec::new();
    for name in target.bin_names() {
        links.push(link(&format!("bin/{name}"), if name == "python" { executable } else { "python" })?);
    }
    if target.lib64 {
        links.push(link("lib64", "lib")?);
    }
    links.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Environment { files, links })
}

fn file(path: &str, text: String) -> Result<EnvFile> {
    Ok(EnvFile { path: path.parse()?, bytes: text.into_bytes(), executable: false })
}

fn link(path: &str, target: &str) -> Result<EnvLink> {
    Ok(EnvLink { path: path.parse()?, target: target.to_owned() })
}

fn text_of<'p>(path: &'p Path, kind: Kind, what: &str) -> Result<&'p str> {
    path.to_str().ok_or_else(|| {
        Error::new(kind, format!("{}: the path of {what} is not UTF-8", path.display()))
            .help("use a path of UTF-8 characters")
    })
}

/// `pyvenv.cfg` (PEP 405). Names only where the base interpreter is, nothing of the build.
fn config(target: &Target, prompt: Option<&str>) -> Result<String> {
    let home = text_of(&target.home, Kind::Target, "the interpreter's directory")?;
    if home.contains(['\n', '\r']) {
        return Err(Error::new(
            Kind::Target,
            format!("{home:?}: the interpreter's directory has a line break"),
        )
        .help("pyvenv.cfg cannot name such a directory: use another interpreter"));
    }
    let mut text =
        format!("home = {home}\ninclude-system-site-packages = false\nversion = {}\n", target.version_text());
    if let Some(prompt) = prompt {
        text.push_str("prompt = ");
        text.push_str(prompt);
        text.push('\n');
    }
    Ok(text)
}

/// An activator: a template, how it finds its environment, and its language's quoting.
struct Activator {
    path: &'static str,
    template: &'static str,
    locate: &'static str,
    assign: fn(&str) -> String,
    quote: fn(&str) -> String,
}

const ACTIVATORS: [Activator; 6] = [
    Activator {
        path: "bin/activate",
        template: include_str!("templates/activate.sh"),
        locate: include_str!("templates/locate.sh"),
        assign: |at| format!("_venvoy_env={at}"),
        quote: quote_sh,
    },
    Activator {
        path: "bin/activate.fish",
        template: include_str!("templates/activate.fish"),
        locate: include_str!("templates/locate.fish"),
        assign: |at| format!("set -g _venvoy_env {at}"),
        quote: quote_fish,
    },
    Activator {
        path: "bin/activate.csh",
        template: include_str!("templates/activate.csh"),
        locate: include_str!("templates/locate.csh"),
        assign: |at| format!("set _venvoy_env = {at}"),
        quote: quote_csh,
    },
    Activator {
        path: "bin/activate.nu",
        template: include_str!("templates/activate.nu"),
        locate: "let environment = $env.FILE_PWD | path dirname",
        assign: |at| format!("let environment = {at}"),
        quote: quote_nu,
    },
    Activator {
        path: "bin/Activate.ps1",
        template: include_str!("templates/Activate.ps1"),
        locate: "$_venvoyEnv = [System.IO.Path]::GetDirectoryName($PSScriptRoot)",
        assign: |at| format!("$_venvoyEnv = {at}"),
        quote: quote_powershell,
    },
    Activator {
        path: "bin/activate_this.py",
        template: include_str!("templates/activate_this.py"),
        locate: "",
        assign: |_| String::new(),
        quote: quote_python,
    },
];

/// Replaces placeholders in one pass: what a value holds is never looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 1024);
    let mut rest = template;
    while let Some((at, name, value)) = values
        .iter()
        .filter_map(|(name, value)| rest.find(name).map(|at| (at, *name, *value)))
        .min_by_key(|(at, _, _)| *at)
    {
        out.push_str(&rest[..at]);
        out.push_str(value);
        rest = &rest[at + name.len()..];
    }
    out.push_str(rest);
    out
}

/// POSIX: everything between single quotes stands for itself.
fn quote_sh(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// fish: between single quotes, a backslash escapes itself and the quote.
fn quote_fish(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// csh: history expansion and line breaks need a backslash even between single quotes.
fn quote_csh(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace('!', r"\!").replace('\n', "\\\n"))
}

/// Nushell: a raw string with more `#` than any run in the text.
fn quote_nu(text: &str) -> String {
    let hashes = "#".repeat(text.split(|c| c != '#').map(str::len).max().unwrap_or(0) + 1);
    format!("r{hashes}'{text}'{hashes}")
}

/// PowerShell: a quote is doubled between single quotes, and typographic ones are quotes to it as well.
fn quote_powershell(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// Python: JSON's strings are Python's, once everything but ASCII is escaped.
fn quote_python(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}
