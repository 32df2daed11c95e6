//! What an environment becomes, and where that goes: `pack`'s part of the command line.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use crate::{
    artifact::{
        pack::{copied::Copy, image::Settings, store::Members, tar::Owner},
        registry::Reference,
    },
    run::options::absolute,
    words::{
        args::ArtifactArgs,
        choices::{EngineKind, SbomFormat},
        error::{Error, Kind, Result},
    },
};

/// What an environment becomes.
#[derive(Debug, Clone)]
#[allow(clippy::option_option, reason = "an option that may have a value")]
pub(crate) struct PackOptions {
    /// A tar, and where it goes.
    pub archive: Option<Archive>,
    /// An OCI image layout, and where it goes.
    pub oci: Option<Oci>,
    /// Where the image is pushed to.
    pub push: Option<Reference>,
    /// Which engine the image is loaded into, if any; inside `None` for whichever there is.
    pub load: Option<Option<EngineKind>>,
    /// What the layers are put on, as it was typed.
    pub base: Option<String>,
    /// Whether the interpreter comes along.
    pub with_python: bool,
    /// What the image is called: `NAME:TAG`.
    pub name: String,
    /// How many layers at most.
    pub layers: usize,
    /// How each is compressed.
    pub members: Members,
    /// Whom the files belong to.
    pub owner: Owner,
    /// How the image is run.
    pub settings: Settings,
    /// What comes along.
    pub copies: Vec<Copy>,
    /// Lists of what is inside.
    pub sboms: Vec<(SbomFormat, SbomTo)>,
}

/// Where a list of what is inside goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SbomTo {
    /// A file, which appears whole.
    File(PathBuf),
    /// Beside the image that is pushed.
    Attach,
}

/// Where a file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// Standard output.
    Stdout,
    /// A file, which appears whole.
    File(PathBuf),
}

/// A tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Where it goes.
    pub to: To,
    /// How it is compressed.
    pub form: Form,
}

/// How a tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the formats")]
pub(crate) enum Form {
    Plain,
    Gzip,
    Zstd,
}

/// An OCI image layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Oci {
    /// A directory.
    Directory(PathBuf),
    /// A tar.
    Tar(To),
}

impl PackOptions {
    /// For layers that only go into the cache.
    pub(crate) fn of_layers(owner: &str, layers: u16) -> Result<Self> {
        Ok(PackOptions {
            archive: None,
            oci: None,
            push: None,
            base: None,
            with_python: false,
            name: String::new(),
            layers: layers.into(),
            members: Members::One,
            owner: self::owner(owner)?,
            settings: Settings::default(),
            load: None,
            sboms: Vec::new(),
            copies: Vec::new(),
        })
    }

    /// Checks what was typed.
    pub(crate) fn new(args: &ArtifactArgs) -> Result<Self> {
        let settings = Settings {
            cmd: args.cmd.as_deref().map(|text| words("--cmd", text)).transpose()?,
            entrypoint: args.entrypoint.as_deref().map(|text| words("--entrypoint", text)).transpose()?,
            env: pairs("--env", &args.env)?,
            user: args.user.clone(),
            workdir: args.workdir.clone(),
            labels: pairs("--label", &args.label)?,
        };
        if let Some(dir) = args.workdir.as_deref().filter(|dir| !dir.starts_with('/')) {
            return Err(Error::new(Kind::Usage, format!("--workdir {dir} is not absolute"))
                .help("expected something like --workdir /srv/app"));
        }
        let oci = args.oci.as_deref().map(|path| {
            Ok::<_, Error>(match path.to_str() {
                Some("-") => Oci::Tar(To::Stdout),
                Some(_) if path.extension().is_some_and(|end| end == "tar") => {
                    Oci::Tar(To::File(absolute(path)?))
                }
                _ => Oci::Directory(absolute(path)?),
            })
        });
        let options = PackOptions {
            archive: args.output.as_deref().map(archive).transpose()?,
            oci: oci.transpose()?,
            push: args.push.as_deref().map(push).transpose()?,
            load: args.load,
            base: args.base.clone(),
            with_python: args.with_python,
            name: name(&args.name)?,
            layers: if args.single_layer { 1 } else { args.max_layers.into() },
            members: if args.lazy { Members::PerFile } else { Members::One },
            owner: owner(&args.owner)?,
            settings,
            copies: args.copy.iter().map(|text| copy(text)).collect::<Result<_>>()?,
            sboms: args.sbom.chunks_exact(2).map(sbom).collect::<Result<_>>()?,
        };
        if options.push.is_none() && options.sboms.iter().any(|(_, to)| *to == SbomTo::Attach) {
            return Err(Error::new(Kind::Usage, "--sbom attach attaches to an image that is pushed")
                .help("add --push, or name a file"));
        }
        let stdout = [
            options.archive.as_ref().is_some_and(|archive| archive.to == To::Stdout),
            options.oci == Some(Oci::Tar(To::Stdout)),
        ];
        if stdout == [true, true] {
            return Err(Error::new(Kind::Usage, "--output - and --oci - both want standard output")
                .help("write one of them to a file"));
        }
        Ok(options)
    }

    /// Whether an image is wanted, beside a tar or alone, be it only to have its layers in the cache.
    pub(crate) fn wants_image(&self) -> bool {
        self.archive.is_none() || self.oci.is_some() || self.push.is_some() || self.load.is_some()
    }

    /// Whether standard output is taken by what is made.
    pub(crate) fn takes_stdout(&self) -> bool {
        self.oci == Some(Oci::Tar(To::Stdout))
            || self.archive.as_ref().is_some_and(|archive| archive.to == To::Stdout)
    }
}

/// Where to push to.
fn push(text: &str) -> Result<Reference> {
    let reference: Reference = text.parse()?;
    if reference.digest.is_some() {
        return Err(Error::new(Kind::Usage, format!("--push {text}: an image is pushed to a tag"))
            .help("its digest is what comes of it: leave it out"));
    }
    Ok(reference)
}

/// Where a file goes that was typed: `-` is standard output.
pub(super) fn to(path: &Path) -> Result<To> {
    Ok(if path == Path::new("-") { To::Stdout } else { To::File(absolute(path)?) })
}

fn sbom(pair: &[String]) -> Result<(SbomFormat, SbomTo)> {
    let format = SbomFormat::from_str(&pair[0], true).map_err(|_| {
        Error::new(Kind::Usage, format!("--sbom {}: there is no such format", pair[0]))
            .help("expected cyclonedx or spdx, and a file or `attach`")
    })?;
    let to = if pair[1] == "attach" { SbomTo::Attach } else { SbomTo::File(absolute(Path::new(&pair[1]))?) };
    Ok((format, to))
}

fn archive(path: &Path) -> Result<Archive> {
    let text = path.to_str().unwrap_or_default();
    if text == "-" {
        return Ok(Archive { to: To::Stdout, form: Form::Plain });
    }
    let forms = [
        (".tar", Form::Plain),
        (".tar.gz", Form::Gzip),
        (".tgz", Form::Gzip),
        (".tar.zst", Form::Zstd),
        (".tzst", Form::Zstd),
    ];
    let form = forms.iter().find(|(end, _)| text.ends_with(end)).map(|(_, form)| *form).ok_or_else(|| {
        Error::new(Kind::Usage, format!("--output {}: no kind of tar has such a name", path.display()))
            .help("expected FILE.tar, FILE.tar.gz, FILE.tar.zst or -")
    })?;
    Ok(Archive { to: To::File(absolute(path)?), form })
}

/// A command: a JSON array of strings, or words as a shell has them.
fn words(option: &str, text: &str) -> Result<Vec<String>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| {
            Error::new(Kind::Usage, format!("{option} {text:?} begins as JSON and is no array of strings"))
                .because(error)
                .help("expected something like [\"gunicorn\", \"app:app\"], or plain words")
        });
    }
    shlex::split(text)
        .ok_or_else(|| Error::new(Kind::Usage, format!("{option} {text:?} has a quote that is not closed")))
}

fn pairs(option: &str, texts: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| {
        text.split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            // Not quoted: what is no pair may be a secret.
            .ok_or_else(|| Error::new(Kind::Usage, format!("{option} takes NAME=VALUE")))
    };
    texts.iter().map(pair).collect()
}

fn owner(text: &str) -> Result<Owner> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    match (user.parse(), group.parse()) {
        (Ok(user), Ok(group)) => Ok(Owner { user, group }),
        _ => Err(Error::new(Kind::Usage, format!("--owner {text:?} is not UID or UID:GID"))
            .help("expected numbers, as names mean something else in every image: --owner 1099:1099")),
    }
}

/// A name with a tag, as engines take it.
fn name(text: &str) -> Result<String> {
    let slash = text.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match text[slash..].find(':') {
        Some(at) => (&text[..slash + at], &text[slash + at + 1..]),
        None => (text, "latest"),
    };
    let path_is_right = !path.is_empty()
        && path.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-/:".contains(&c))
        && path.split('/').all(|part| !part.is_empty());
    let tag_is_right = !tag.is_empty()
        && tag.len() <= 128
        && tag.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
        && !tag.starts_with(['.', '-']);
    if path_is_right && tag_is_right {
        return Ok(format!("{path}:{tag}"));
    }
    Err(Error::new(Kind::Usage, format!("{text:?} is no image's name"))
        .help("expected something like shop:1.4 or registry.example/team/shop:1.4: small letters, a tag after the colon"))
}

fn copy(text: &str) -> Result<Copy> {
    let (from, to) =
        text.rsplit_once(':').filter(|(from, to)| !from.is_empty() && !to.is_empty()).ok_or_else(|| {
            Error::new(Kind::Usage, format!("--copy {text:?} is not SRC:DST"))
                .help("expected something like --copy app:/srv/app")
        })?;
    Ok(Copy { from: PathBuf::from(from), to: to.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_json_or_words() {
        let both = ["[\"a\", \"b c\"]", "a 'b c'"].map(|text| words("--cmd", text).expect(text));
        assert_eq!(both, [["a", "b c"], ["a", "b c"]]);
        assert!(words("--cmd", "[\"a\"").is_err() && words("--cmd", "a 'b").is_err());
    }

    #[test]
    fn names_get_a_tag_and_are_those_of_images() {
        assert_eq!(name("shop").expect("a name"), "shop:latest");
        assert_eq!(name("localhost:5000/a/shop").expect("a name"), "localhost:5000/a/shop:latest");
        assert_eq!(name("localhost:5000/shop:V1").expect("a name"), "localhost:5000/shop:V1");
        for wrong in ["", "Shop", "a//b", "shop:", "shop:-x", "a b"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn owners_are_numbers() {
        assert_eq!(owner("1099").expect("a number"), Owner { user: 1099, group: 1099 });
        assert_eq!(owner("1:2").expect("numbers"), Owner { user: 1, group: 2 });
        assert!(owner("root").is_err() && owner("1:x").is_err() && owner("-1").is_err());
    }

    #[test]
    fn a_pair_that_is_none_is_not_quoted() {
        let error = pairs("--env", &["hunter2".to_owned()]).expect_err("no pair");
        assert!(!error.report().contains("hunter2"));
    }
}
