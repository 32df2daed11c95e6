//! The environment variables that are read, for `--envs`, `doctor` and the README, which has the same table.

/// A row: the variables, and what they mean.
pub(crate) struct Row(pub &'static [&'static str], pub &'static str);

/// Every variable that decides something, as the README lists them.
pub(crate) const VARIABLES: &[Row] = &[
    Row(&["VENVOY_CACHE_DIR", "PIPENV_CACHE_DIR"], "where the cache is (the latter with `/venvoy`)"),
    Row(&["VENVOY_OFFLINE", "VENVOY_LINK", "VENVOY_CACHE_FROM"], "as `--offline`, `--link`, `--cache-from`"),
    Row(&["VENVOY_INDEX_<NAME>_USERNAME", "_PASSWORD"], "credentials of the source called NAME"),
    Row(&["NETRC"], "the netrc file (also `/run/secrets/netrc`, `~/.netrc`)"),
    Row(
        &["CI_JOB_TOKEN", "CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD"],
        "used in GitLab CI for `CI_SERVER_HOST`, else for the one source with GitLab's package API \
         ([docs/gitlab.md](docs/gitlab.md))",
    ),
    Row(&["PIPENV_PIPFILE", "PIPENV_MAX_DEPTH", "PIPENV_NO_INHERIT"], "where the project is"),
    Row(&["PIPENV_PYTHON", "PIPENV_DEFAULT_PYTHON_VERSION"], "which interpreter"),
    Row(
        &[
            "PIPENV_DEV",
            "PIPENV_CATEGORIES",
            "PIPENV_DEFAULT_CATEGORIES",
            "PIPENV_ALL_CATEGORIES",
            "PIPENV_DEPLOY",
            "PIPENV_IGNORE_PIPFILE",
            "PIPENV_EXTRA_PIP_ARGS",
            "PIPENV_QUIET",
            "PIPENV_VIRTUALENV_COPIES",
            "PIPENV_SYSTEM",
        ],
        "as the options",
    ),
    Row(
        &["PIPENV_DONT_LOAD_ENV", "PIPENV_DOTENV_LOCATION"],
        "the project's `.env`, in which all that does not say where project, `.env` and cache are may stand",
    ),
    Row(&["PIPENV_PYPI_MIRROR"], "replaces the public index"),
    Row(
        &["PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_NO_BUILD_ISOLATION"],
        "as in pip",
    ),
    Row(
        &["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CLIENT_CERT"],
        "certificates",
    ),
    Row(&["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"], "proxies"),
    Row(
        &["VIRTUAL_ENV"],
        "the active virtual environment, which `sync` and `install` install into unless venvoy or pipenv made it; where \
         `run` finds an environment if the project has none",
    ),
    Row(&["PIPENV_IGNORE_VIRTUALENVS", "PIPENV_ACTIVE"], "the active virtual environment does not count"),
    Row(
        &["PIP_USER", "PYTHONUSERBASE", "PIP_BREAK_SYSTEM_PACKAGES"],
        "with `--system`: the user's own packages and where they are; as `--break-system-packages`",
    ),
    Row(&["SOURCE_DATE_EPOCH"], "the time of everything written (default 1980-01-01)"),
    Row(&["NO_COLOR", "CI"], "plain output"),
];

#[cfg(test)]
mod tests {
    use super::{Row, VARIABLES};

    /// The table as Markdown.
    fn markdown() -> String {
        let row = |Row(names, meaning): &Row| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("| {} | {meaning} |\n", names.join(", "))
        };
        let rows: String = VARIABLES.iter().map(row).collect();
        format!("| variable | meaning |\n|---|---|\n{rows}")
    }

    /// A table that is kept in two places would soon be two tables.
    #[test]
    fn the_readme_has_this_table() {
        let readme = include_str!("../../../README.md");
        let table = markdown();
        assert!(readme.contains(&table), "expected in the README, as it is here:\n{table}");
    }
}
