//! Which netrc files there are, and reading them.

use std::path::{Path, PathBuf};

use super::{AuthOptions, Netrc};
use crate::words::error::{Error, Kind, Result, Warnings};

/// The netrc files in the order they are asked, and what to say about where was looked.
#[derive(Default)]
pub(super) struct NetrcFiles {
    pub files: Vec<Netrc>,
    pub looked_in: Vec<String>,
    pub warnings: Warnings,
}

impl NetrcFiles {
    /// `--netrc` or else NETRC names the only file; else a build secret, then the home directory's.
    pub(super) fn load(options: &AuthOptions) -> Result<Self> {
        let mut found = NetrcFiles::default();
        if let Some(path) = &options.netrc_path {
            if !found.read(path, path.display().to_string(), true)? {
                return Err(Error::new(Kind::Auth, format!("{} does not exist", path.display()))
                    .help("--netrc names a netrc file; leave it out to use NETRC or ~/.netrc"));
            }
        } else if let Some(path) = options.variable("NETRC") {
            let path = match (path.strip_prefix("~/"), &options.home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => PathBuf::from(path),
            };
            found.read(&path, format!("NETRC={}", path.display()), true)?;
        } else {
            if let Some(path) = &options.secret_netrc {
                found.read(path, path.display().to_string(), false)?;
            }
            if let Some(home) = &options.home
                && !found.read(&home.join(".netrc"), "~/.netrc".into(), false)?
                && home.join("_netrc").exists()
            {
                found.read(&home.join("_netrc"), "~/_netrc".into(), false)?;
            }
        }
        Ok(found)
    }

    /// Reads one file; false if it does not exist.
    fn read(&mut self, path: &Path, label: String, named_by_user: bool) -> Result<bool> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                use std::io::ErrorKind as Io;
                let missing = matches!(error.kind(), Io::NotFound | Io::NotADirectory);
                if !missing && named_by_user {
                    return Err(Error::new(Kind::Auth, format!("cannot read {}", path.display()))
                        .because(error)
                        .help("make it readable for the user that runs venvoy"));
                }
                if !missing {
                    self.warnings.push(format!("cannot read {}: {error}", path.display()));
                }
                let state = if missing { "does not exist" } else { "cannot be read" };
                self.looked_in.push(format!("{label} ({state})"));
                return Ok(!missing);
            }
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = 1 + memchr::memchr_iter(b'\n', &error.as_bytes()[..valid]).count();
            Error::new(Kind::Auth, format!("{}, line {line}: not UTF-8", path.display()))
                .help("save the file as UTF-8")
        })?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            if std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o044 != 0) {
                self.warnings.push(format!(
                    "{path} holds passwords and can be read by other users; run: chmod 600 {path}",
                    path = path.display()
                ));
            }
        }
        self.files.push(Netrc::parse(&text, path)?);
        self.looked_in.push(label);
        Ok(true)
    }
}
