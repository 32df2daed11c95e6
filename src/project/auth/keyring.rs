//! The `keyring` command, asked for credentials in the way pip's subprocess provider does.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde::Deserialize;

use crate::words::{
    error::{Error, Kind, Result},
    vocab::{Credentials, Secret},
};

/// How to ask the user's keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyring {
    /// Runs this program (usually `keyring` on PATH) as `keyring --mode=creds --output=json get SERVICE [USER]`.
    Subprocess(PathBuf),
}

/// What the program prints.
#[derive(Deserialize)]
struct Answer {
    username: Option<String>,
    password: Option<String>,
}

impl Keyring {
    /// The credentials for a service (an index's URL without userinfo, or a host), those of `user` where one is
    /// known; `None` if the keyring has none. The program does not get the variables named in `hide`.
    pub fn get(&self, service: &str, user: Option<&str>, hide: &[String]) -> Result<Option<Credentials>> {
        let output = self.ask(&["--mode=creds", "--output=json"], service, user, hide)?;
        if output.status.success() {
            // What cannot be read is not shown.
            let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| self.unreadable())?;
            let user = answer.username.or_else(|| user.map(str::to_owned)).unwrap_or_default();
            let password = answer.password.filter(|password| !password.is_empty());
            return Ok(password.map(|password| Credentials::new(user, Secret::new(password))));
        }
        // Before 25.2 the command knew passwords of known users only.
        let old = output.status.code() == Some(2)
            && String::from_utf8_lossy(&output.stderr).contains("unrecognized arguments");
        let Some(user) = user.filter(|_| old) else { return Ok(None) };
        let output = self.ask(&[], service, Some(user), hide)?;
        if !output.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8(output.stdout).map_err(|_| self.unreadable())?;
        let password = text.trim_end_matches(['\r', '\n']);
        Ok((!password.is_empty()).then(|| Credentials::new(user, Secret::new(password))))
    }

    fn ask(&self, options: &[&str], service: &str, user: Option<&str>, hide: &[String]) -> Result<Output> {
        let Keyring::Subprocess(program) = self;
        let mut command = Command::new(program);
        command.args(options).args(["get", service]).args(user);
        command.env("PYTHONIOENCODING", "utf-8").stdin(Stdio::null());
        for variable in hide {
            command.env_remove(variable);
        }
        // A keyring that has to be unlocked asks at the terminal itself.
        command.output().map_err(|error| {
            Error::new(Kind::Auth, format!("cannot run {} to ask for a password", program.display()))
                .because(error)
                .help("install the keyring command, or leave out --keyring")
        })
    }

    fn unreadable(&self) -> Error {
        let Keyring::Subprocess(program) = self;
        Error::new(Kind::Auth, format!("the answer of {} cannot be read (not shown)", program.display()))
            .help("expected a JSON object with username and password: is it the keyring of PyPI, 25.2 or newer?")
    }
}
