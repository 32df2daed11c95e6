//! A finished run of the command, and what is expected of it.

use std::{path::Path, process::Output};

use serde_json::Value;

/// A finished run. Its texts name the test's directory `{root}` and its server's port `{port}`.
#[derive(Debug)]
pub struct Run {
    /// The exit code; nothing where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// What came of a run below `root`, with texts that are the same in every run.
    pub fn of(output: &Output, root: &Path, port: Option<u16>) -> Self {
        let root = root.to_str().expect("a path in UTF-8");
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(root, "{root}");
            port.map_or(text.clone(), |port| text.replace(&format!(":{port}"), ":{port}"))
        };
        Run {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: without_times(&text(&output.stderr)),
        }
    }

    /// It succeeded and said exactly this on standard error.
    #[track_caller]
    pub fn says(&self, lines: &[&str]) -> &Self {
        self.ends(0, lines)
    }

    /// It failed with this exit code and said exactly this on standard error.
    #[track_caller]
    pub fn ends(&self, code: i32, lines: &[&str]) -> &Self {
        let said: Vec<&str> = self.stderr.lines().collect();
        assert!(
            self.code == Some(code) && said == lines,
            "expected exit code {code} and\n{}\n\ngot {:?} and\n{}\nstdout: {}",
            lines.join("\n"),
            self.code,
            self.stderr,
            self.stdout
        );
        self
    }

    /// It succeeded.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        self.ends_with(0)
    }

    /// It ended with this exit code.
    #[track_caller]
    pub fn ends_with(&self, code: i32) -> &Self {
        assert!(
            self.code == Some(code),
            "expected {code}, got {:?}\n{}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// It failed with this exit code, and standard error has these lines in this order, perhaps among others.
    #[track_caller]
    pub fn fails(&self, code: i32, lines: &[&str]) -> &Self {
        self.ends_with(code);
        let mut said = self.stderr.lines();
        for line in lines {
            assert!(said.any(|said| said == *line), "no line {line:?} (in this order) in\n{}", self.stderr);
        }
        self
    }

    /// Standard output or error holds each of these.
    #[track_caller]
    pub fn mentions(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.holds(text), "{text:?} is not in\n{}{}", self.stdout, self.stderr);
        }
        self
    }

    #[track_caller]
    pub fn never_mentions(&self, text: &str) -> &Self {
        assert!(!self.holds(text), "{text:?} is in\n{}{}", self.stdout, self.stderr);
        self
    }

    fn holds(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", self.stdout, self.stderr))
    }
}

/// `13.7 kB in 0.05 s` as `{size} in {time} s`: the size differs between interpreters.
fn without_times(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 3..words.len().saturating_sub(1) {
        let is_time = words[at - 1] == "in" && words[at + 1].starts_with('s');
        if is_time && words[at].parse::<f64>().is_ok() {
            words[at] = "{time}".into();
            // Of a run that changed an environment: `2 kept, in 0.05 s`.
            if words[at - 2] != "kept," {
                words[at - 3] = "{size}".into();
                words.remove(at - 2);
            }
            break;
        }
    }
    words.join(" ")
}
