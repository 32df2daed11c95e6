//! `pip_args` of an entry and `--extra-pip-args`: what of them a build understands.

use std::collections::BTreeMap;

use crate::words::error::{Error, Kind, Result};

/// pip's arguments, sorted by who they are for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `--config-settings KEY=VALUE` (PEP 517); a repeated key collects its values.
    /// `--build-option` and `--global-option` are keys of setuptools' own.
    pub config: BTreeMap<String, Vec<String>>,
    /// `--no-build-isolation`: the hooks run in the target interpreter's own environment.
    pub no_isolation: bool,
    /// The rest, for the installation of build requirements.
    pub pip: Vec<String>,
}

/// Options that would add an index, install elsewhere or write the arguments' secrets to a command line.
const REFUSED: &[&str] = &[
    "--index-url",
    "-i",
    "--extra-index-url",
    "--target",
    "-t",
    "--prefix",
    "--root",
    "--user",
    "--requirement",
    "-r",
    "--editable",
    "-e",
    "--python",
    "--log",
    "--report",
    "--src",
    "--download-cache",
];

/// Options of pip that take no value.
const FLAGS: &[&str] = &[
    "--pre",
    "--no-deps",
    "--no-index",
    "--prefer-binary",
    "--no-cache-dir",
    "--no-clean",
    "--require-hashes",
    "--use-pep517",
    "--verbose",
    "-v",
    "-vv",
    "-vvv",
    "--quiet",
    "-q",
    "--no-color",
    "--no-compile",
    "--compile",
    "--ignore-requires-python",
    "--isolated",
    "--debug",
    "--no-input",
    "--force-reinstall",
    "--upgrade",
    "-U",
    "--ignore-installed",
    "-I",
    "--disable-pip-version-check",
    "--check-build-dependencies",
    "--no-warn-script-location",
    "--no-warn-conflicts",
    "--break-system-packages",
    "--no-use-pep517",
    "--exists-action",
];

/// Flags that concern what pip would install, not the requirements of a build.
const IRRELEVANT: &[&str] = &[
    "--no-deps",
    "--use-pep517",
    "--no-use-pep517",
    "--require-hashes",
    "--no-compile",
    "--compile",
    "--upgrade",
    "-U",
    "--force-reinstall",
    "--ignore-installed",
    "-I",
    "--no-clean",
    "--check-build-dependencies",
    "--no-warn-script-location",
    "--no-warn-conflicts",
    "--break-system-packages",
    "--ignore-requires-python",
    "--isolated",
];

/// Whether pip would take a word for one of [`REFUSED`]: it knows long options by any beginning that tells them
/// apart, and short ones in one word with flags before and a value after them.
fn is_refused(name: &str) -> bool {
    if name.starts_with("--") {
        let known = FLAGS.contains(&name) || IRRELEVANT.contains(&name);
        return !known && REFUSED.iter().any(|refused| refused.starts_with(name));
    }
    let Some(letters) = name.strip_prefix('-') else { return false };
    let after_flags = letters.trim_start_matches(['v', 'q', 'U', 'I']);
    REFUSED.iter().any(|refused| {
        refused
            .strip_prefix('-')
            .is_some_and(|letter| !letter.starts_with('-') && after_flags.starts_with(letter))
    })
}

/// Whether a URL with a password is part of a word.
fn has_password(word: &str) -> bool {
    let urls = word.split(['=', ' ', ',']).filter(|part| part.contains("://"));
    urls.filter_map(|part| url::Url::parse(part).ok()).any(|url| url.password().is_some())
}

impl Settings {
    /// Reads pip's arguments, each one word (`--opt value` as two or `--opt=value` as one).
    ///
    /// Fails with [`Kind::Usage`] for options that would add an index or change where pip installs.
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut settings = Settings::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) if word.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            if is_refused(name) {
                return Err(Error::new(Kind::Usage, format!("{name} cannot be passed on to pip"))
                    .help("indexes come from the lock's sources; where packages go is venvoy's to decide"));
            }
            let mut value = |joined: Option<String>| {
                joined
                    .or_else(|| words.next().cloned())
                    .ok_or_else(|| Error::new(Kind::Usage, format!("pip's option {name} lacks its value")))
            };
            match name {
                "--no-build-isolation" => settings.no_isolation = true,
                "--config-settings" | "--config-setting" | "-C" => {
                    settings.config_setting(&value(joined)?)?;
                }
                "--build-option" | "--global-option" => {
                    let value = value(joined)?;
                    settings.config.entry(name.to_owned()).or_default().push(value);
                }
                _ if word.starts_with("-C") => settings.config_setting(&word[2..])?,
                _ if !word.starts_with('-') => {
                    return Err(Error::new(Kind::Usage, format!("{word:?} is no option of pip")).help(
                        "values belong to an option before them, such as --config-settings KEY=VALUE",
                    ));
                }
                _ if IRRELEVANT.contains(&name) => {}
                _ if joined.is_some() || FLAGS.contains(&name) => settings.pip.push(word.clone()),
                _ => {
                    let value = value(None)?;
                    settings.pip.extend([word.clone(), value]);
                }
            }
        }
        if settings.pip.iter().any(|word| has_password(word)) {
            return Err(Error::new(
                Kind::Usage,
                "an argument for pip holds a URL with a password (not shown): everyone can read arguments",
            )
            .help("give a proxy's in https_proxy, an index's in the lock's sources or netrc"));
        }
        Ok(settings)
    }

    fn config_setting(&mut self, text: &str) -> Result<()> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Error::new(Kind::Usage, format!("config setting {text:?} lacks its value"))
                .help("expected --config-settings KEY=VALUE")
        })?;
        self.config.entry(key.to_owned()).or_default().push(value.to_owned());
        Ok(())
    }

    /// The settings as text for a key.
    pub(crate) fn key(&self) -> String {
        format!("{:?} {} {:?}", self.config, self.no_isolation, self.pip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Settings> {
        Settings::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn config_settings_are_read_in_every_spelling() {
        let settings = parse(&[
            "--config-settings",
            "a=1",
            "--config-settings=a=2",
            "-Cb=c=d",
            "-C",
            "e=",
            "--global-option=--fast",
            "--no-build-isolation",
            "--no-deps",
            "--proxy",
            "http://proxy.example",
            "--pre",
            "--timeout=9",
        ])
        .expect("settings");
        assert_eq!(settings.config["a"], ["1", "2"]);
        assert_eq!(settings.config["b"], ["c=d"]);
        assert_eq!(settings.config["e"], [""]);
        assert_eq!(settings.config["--global-option"], ["--fast"]);
        assert!(settings.no_isolation);
        assert_eq!(settings.pip, ["--proxy", "http://proxy.example", "--pre", "--timeout=9"]);
    }

    #[test]
    fn what_would_add_an_index_or_move_the_installation_is_refused() {
        for words in [
            &["--extra-index-url", "https://evil.example"][..],
            &["-i=x"],
            &["--index-url=x"],
            &["--target=/"],
            // pip understands beginnings of long options, and short ones with their values.
            &["--extra-index", "https://evil.example"],
            &["--index=https://evil.example"],
            &["-ihttps://evil.example"],
            &["-qvihttps://evil.example"],
            &["-r/etc/passwd"],
            &["--use=x"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        for words in [
            &["--proxy", "http://u:canary@proxy.example"][..],
            &["--find-links=https://u:canary@h.example/x"],
        ] {
            let error = parse(words).expect_err("refused").report();
            assert!(error.contains("everyone can read arguments") && !error.contains("canary"), "{error}");
        }
        for (words, why) in
            [(&["-C"][..], "lacks its value"), (&["evil"], "no option of pip"), (&["-Ckey"], "KEY=VALUE")]
        {
            let error = parse(words).expect_err("refused").report();
            assert!(error.contains(why), "{error}");
        }
    }
}
