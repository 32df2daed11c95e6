//! What a build's processes find in their environment: the user's compilers and flags, none of the
//! user's secrets, nothing that makes the output depend on the day.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt::Write as _,
    os::unix::ffi::OsStrExt as _,
};

use crate::words::{secret_names::names_secret, vocab::Secret};

/// pip's settings that reach the installation of build requirements. The others are dropped: they name
/// other indexes, other places to install to, or files of the user's own.
const PIP_SETTINGS: &[&str] = &[
    "PIP_BUILD_CONSTRAINT",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_CONSTRAINT",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_FIND_LINKS",
    "PIP_NO_BINARY",
    "PIP_NO_INDEX",
    "PIP_ONLY_BINARY",
    "PIP_PREFER_BINARY",
    "PIP_PROXY",
    "PIP_RETRIES",
    "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
    "PIP_USE_DEPRECATED",
    "PIP_USE_FEATURE",
];

/// Variables that would change how an interpreter or git behaves in a build, by prefix.
const MISLEADING: &[&str] =
    &["PYTHON", "PIP_", "PIPENV_", "VENVOY_", "UV_", "POETRY_", "GIT_", "TWINE_", "BASH_FUNC_"];

/// Variables whose value decides what a compiler makes: part of the key of a built wheel.
const FLAGS: &[&str] = &[
    "AR",
    "ARCHFLAGS",
    "BLAS",
    "CARGO_BUILD_TARGET",
    "CC",
    "CFLAGS",
    "CMAKE_ARGS",
    "CPATH",
    "CPP",
    "CPPFLAGS",
    "CXX",
    "CXXFLAGS",
    "DISTUTILS_DEBUG",
    "F77",
    "FC",
    "FFLAGS",
    "LAPACK",
    "LD",
    "LDFLAGS",
    "LDSHARED",
    "LIBRARY_PATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "OPENBLAS",
    "PBR_VERSION",
    "PKG_CONFIG_PATH",
    "RUSTFLAGS",
    "STATIC_DEPS",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
];

/// Prefixes of further such variables.
const FLAG_PREFIXES: &[&str] = &[
    "CYTHON_",
    "MESON",
    "PIP_CONSTRAINT",
    "PIP_BUILD_CONSTRAINT",
    "SETUPTOOLS_",
    "SKBUILD_",
    "CMAKE_",
    "MATURIN_",
    "HATCH_",
    "PDM_BUILD_",
];

/// An environment to start children with.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// What of the user's environment a build may see. Left out are
    ///
    /// - variables named like secrets (`*_TOKEN`, `*_PASSWORD`, `*_SECRET`, `*_API_KEY`, ...), those that
    ///   contain one of `secrets`, and those whose value is a URL with a password (a proxy's excepted:
    ///   nothing could be fetched without it);
    /// - settings of Python, pip (see [`Environment::for_pip`]), pipenv, git and venvoy itself.
    pub(super) fn for_build(user: &[(OsString, OsString)], secrets: &[Secret]) -> Self {
        let kept = user.iter().filter(|(name, value)| {
            let text = name.to_string_lossy().to_ascii_uppercase();
            !MISLEADING.iter().any(|prefix| text.starts_with(prefix))
                && !matches!(
                    text.as_str(),
                    "VIRTUAL_ENV" | "__PYVENV_LAUNCHER__" | "NETRC" | "SSH_ASKPASS" | "PWD" | "OLDPWD"
                )
                && !names_secret(&text)
                && (is_proxy(&text) || !holds_secret(value, secrets))
        });
        let mut environment = Environment(kept.cloned().collect());
        // Hash order reaches the output of some builds.
        environment.set("PYTHONHASHSEED", "0");
        environment.set("PYTHONNOUSERSITE", "1");
        environment.set("PYTHONUNBUFFERED", "1");
        environment.set("PYTHONIOENCODING", "utf-8");
        environment
    }

    /// The same, with those of pip's settings that say how build requirements are found. The
    /// environment adds no index; configuration files are off.
    pub(super) fn for_pip(user: &[(OsString, OsString)], secrets: &[Secret]) -> Self {
        let mut environment = Environment::for_build(user, secrets);
        for (name, value) in user {
            if PIP_SETTINGS.iter().any(|setting| name == setting) && !holds_secret(value, secrets) {
                environment.0.insert(name.clone(), value.clone());
            }
        }
        environment.set("PIP_CONFIG_FILE", "/dev/null");
        environment.set("PIP_NO_INPUT", "1");
        environment.set("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        environment
    }

    /// The user's environment for git: its own settings stay (a pipeline may rewrite URLs with them),
    /// what names another repository goes, and nothing ever asks at a terminal.
    pub(super) fn for_git(user: &[(OsString, OsString)]) -> Self {
        const OTHER_REPOSITORY: &[&str] = &[
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_COMMON_DIR",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_NAMESPACE",
            "GIT_PREFIX",
            "GIT_CEILING_DIRECTORIES",
        ];
        // Passwords of indexes are no business of git's; others may be what a credential helper reads.
        let ours = |name: &OsString| name.as_bytes().starts_with(b"VENVOY_");
        let kept = user
            .iter()
            .filter(|(name, _)| !ours(name) && !OTHER_REPOSITORY.iter().any(|other| name == other));
        let mut environment = Environment(kept.cloned().collect());
        environment.set("GIT_TERMINAL_PROMPT", "0");
        environment.set("GIT_OPTIONAL_LOCKS", "0");
        environment.set("LC_ALL", "C");
        if !environment.has("GIT_SSH_COMMAND") && !environment.has("GIT_SSH") {
            environment.set("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
        }
        environment
    }

    /// Sets one variable.
    pub(super) fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.0.insert(name.into(), value.as_ref().to_owned());
    }

    /// Unsets one variable.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(OsStr::new(name));
    }

    /// Whether a variable is set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(OsStr::new(name))
    }

    /// A variable's value.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// All variables, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }

    /// What of this environment decides the built bytes, as text for a key.
    pub(super) fn flags(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.0 {
            let text = name.to_string_lossy();
            if FLAGS.contains(&text.as_ref()) || FLAG_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
                let _ = writeln!(out, "{text}={}", value.to_string_lossy().escape_debug());
            }
        }
        out
    }
}

/// What of the user's environment must not be shown, should a child come across it all the same: values of
/// variables named like secrets, and passwords in URLs. A proxy's is among them, which children do get.
pub(super) fn secrets(user: &[(OsString, OsString)]) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for (name, value) in user {
        let Some(value) = value.to_str() else { continue };
        // A switch such as `USE_AUTH=true` is no secret.
        if value.len() >= 8 && names_secret(&name.to_string_lossy()) {
            secrets.push(Secret::new(value));
        }
        for url in value.split_whitespace().filter_map(|word| url::Url::parse(word).ok()) {
            let Some(password) = url.password() else { continue };
            let decoded = percent_encoding::percent_decode_str(password).decode_utf8_lossy();
            secrets.push(Secret::new(decoded));
            // As it is written there, which need not be how we would encode it.
            secrets.push(Secret::new(password));
        }
    }
    secrets
}

fn is_proxy(upper: &str) -> bool {
    matches!(upper, "HTTP_PROXY" | "HTTPS_PROXY" | "ALL_PROXY" | "FTP_PROXY" | "NO_PROXY")
}

fn holds_secret(value: &OsStr, secrets: &[Secret]) -> bool {
    let bytes = value.as_bytes();
    // A short "secret" such as "ci" would take half the environment with it.
    let known = secrets.iter().map(|s| s.expose().as_bytes()).filter(|secret| secret.len() >= 4);
    if known.into_iter().any(|secret| memchr::memmem::find(bytes, secret).is_some()) {
        return true;
    }
    value.to_str().is_some_and(|text| {
        text.split_whitespace()
            .filter(|word| word.contains("://"))
            .filter_map(|word| url::Url::parse(word).ok())
            .any(|url| url.password().is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn secrets_stay_out_of_builds_and_flags_reach_them() {
        let user = user(&[
            ("CI_JOB_TOKEN", "canary"),
            ("VENVOY_INDEX_MAIN_PASSWORD", "canary"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
            ("MYSQLPASSWORD", "canary"),
            ("GIT_CONFIG_VALUE_0", "canary"),
            ("INDEX", "https://ci:canary@index.example/simple"),
            ("INNOCENT", "prefix-canary-suffix"),
            ("PIP_INDEX_URL", "https://canary.example/simple"),
            ("PYTHONPATH", "/canary"),
            ("CFLAGS", "-O2"),
            ("PATH", "/usr/bin"),
            ("HTTPS_PROXY", "http://user:word@proxy.example:3128"),
            ("SSH_AUTH_SOCK", "/run/agent"),
        ]);
        let secrets = [Secret::new("canary"), Secret::new("a")];
        for environment in [Environment::for_build(&user, &secrets), Environment::for_pip(&user, &secrets)] {
            assert!(!format!("{environment:?}").contains("canary"), "{environment:?}");
            for kept in ["CFLAGS", "PATH", "HTTPS_PROXY", "SSH_AUTH_SOCK"] {
                assert!(environment.has(kept), "{kept}");
            }
            assert_eq!(environment.get("PYTHONHASHSEED"), Some(OsStr::new("0")));
        }
    }

    #[test]
    fn what_must_not_be_shown_is_found_by_name_and_in_urls() {
        let user = user(&[
            ("CI_JOB_TOKEN", "canary-by-name"),
            ("USE_AUTH", "true"),
            ("https_proxy", "http://user:canary%2Fof+proxy@proxy.example:3128"),
            ("PATH", "/usr/bin"),
        ]);
        let found = secrets(&user);
        let found: Vec<&str> = found.iter().map(Secret::expose).collect();
        assert_eq!(found, ["canary-by-name", "canary/of+proxy", "canary%2Fof+proxy"]);
    }

    #[test]
    fn git_gets_no_passwords_of_indexes() {
        let user = user(&[("VENVOY_INDEX_MAIN_PASSWORD", "canary"), ("GIT_ASKPASS", "/askpass")]);
        let environment = Environment::for_git(&user);
        assert!(!environment.has("VENVOY_INDEX_MAIN_PASSWORD") && environment.has("GIT_ASKPASS"));
    }

    #[test]
    fn the_environment_adds_no_index_but_says_where_wheels_lie() {
        let user = user(&[("PIP_EXTRA_INDEX_URL", "https://evil.example"), ("PIP_FIND_LINKS", "/wheels")]);
        let environment = Environment::for_pip(&user, &[]);
        assert!(!environment.has("PIP_EXTRA_INDEX_URL"));
        assert_eq!(environment.get("PIP_FIND_LINKS"), Some(OsStr::new("/wheels")));
        assert!(!Environment::for_build(&user, &[]).has("PIP_FIND_LINKS"));
    }

    #[test]
    fn only_what_decides_the_output_is_part_of_the_flags() {
        let of = |pairs| Environment::for_build(&user(pairs), &[]).flags();
        assert_eq!(of(&[("HOME", "/a"), ("TERM", "x")]), of(&[("HOME", "/b")]));
        assert_ne!(of(&[("CFLAGS", "-O2")]), of(&[("CFLAGS", "-O3")]));
    }
}
