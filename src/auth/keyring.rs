//! The `keyring` command, asked for passwords in the way pip's subprocess provider does.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    error::{Error, Kind, Result},
    vocab::Secret,
};

/// How to ask the user's keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyring {
    /// Runs this program (usually `keyring` on PATH) as `keyring get SERVICE USER`.
    Subprocess(PathBuf),
}

impl Keyring {
    /// The password of `user` for a service (an index's URL without userinfo, or a host); `None` if the
    /// keyring has none. The program does not get the variables named in `hide`.
    pub fn get(&self, service: &str, user: &str, hide: &[String]) -> Result<Option<Secret>> {
        let Keyring::Subprocess(program) = self;
        let mut command = Command::new(program);
        command.args(["get", service, user]).env("PYTHONIOENCODING", "utf-8").stdin(Stdio::null());
        for variable in hide {
            command.env_remove(variable);
        }
        // stderr stays the user's terminal: a keyring may ask to be unlocked.
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| {
            Error::new(Kind::Auth, format!("cannot run {} to ask for a password", program.display()))
                .because(error)
                .help("install the keyring command, or leave out --keyring")
        })?;
        if !output.status.success() {
            return Ok(None);
        }
        // An undecodable answer is not shown.
        let text = String::from_utf8(output.stdout).map_err(|_| {
            Error::new(Kind::Auth, format!("{} answered with bytes that are not UTF-8", program.display()))
        })?;
        let text = text.trim_end_matches(['\r', '\n']);
        Ok((!text.is_empty()).then(|| Secret::new(text)))
    }
}
