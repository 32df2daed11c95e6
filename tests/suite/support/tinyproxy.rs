//! tinyproxy on loopback, for who knows its password.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::process::{Running, free_port};

/// A proxy that runs until it is dropped.
pub struct Proxy {
    _running: Running,
    directory: TempDir,
    port: u16,
}

impl Proxy {
    /// Starts one for the user `me`.
    pub fn start(password: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let port = free_port();
        let (config, log) = (directory.path().join("tinyproxy.conf"), log(&directory));
        let settings = format!(
            "Port {port}\nListen 127.0.0.1\nLogFile \"{}\"\nLogLevel Info\nBasicAuth me {password}\n",
            log.display()
        );
        fs::write(&config, settings).expect("written");
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(config);
        let running = Running::start(&mut command, port, "the Debian package tinyproxy");
        Proxy { _running: running, directory, port }
    }

    /// Its URL; `login` is nothing, or `USER:PASSWORD@`.
    pub fn url(&self, login: &str) -> String {
        format!("http://{login}127.0.0.1:{}", self.port)
    }

    /// How often its log says something.
    pub fn said(&self, what: &str) -> usize {
        fs::read_to_string(log(&self.directory)).expect("a log").matches(what).count()
    }
}

fn log(directory: &TempDir) -> PathBuf {
    directory.path().join("log")
}
