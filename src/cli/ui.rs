//! What the user sees while work goes on: messages and a progress bar, on standard error.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::Mutex,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{error::Warnings, options::Env, pipeline::Progress, vocab::Concealed};

/// Messages by importance, and one progress bar where a person is watching.
pub struct Ui {
    verbosity: u8,
    colour: bool,
    bar: Option<ProgressBar>,
    warned: Mutex<Warnings>,
    concealed: Concealed,
}

impl Ui {
    /// Prints as much as `verbosity` says: 0 errors only, 1 normal, 2 details, 3 requests.
    pub fn new(verbosity: u8, env: &Env) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && verbosity > 0 && !env.flag("CI")).then(|| {
            let bar = ProgressBar::no_length();
            let style =
                ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        let colour = terminal && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb");
        Ui { verbosity, colour, bar, warned: Mutex::default(), concealed: env.concealed().clone() }
    }

    /// Says what was done.
    pub fn done(&self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.line(1, message);
    }

    /// Says how a failed run ended.
    pub fn error(&self, report: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let label = if self.colour { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
        self.line(0, &format!("{label} {report}"));
    }

    fn line(&self, from: u8, message: &str) {
        if self.verbosity < from {
            return;
        }
        let message = self.concealed.hide(message);
        // A closed standard error is no reason to fail.
        let print = || drop(writeln!(std::io::stderr(), "{message}"));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Progress for Ui {
    fn warn(&self, warning: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if warned.0.iter().any(|said| said == warning) {
            return;
        }
        warned.push(warning);
        let label = if self.colour { "\x1b[1;33mwarning:\x1b[0m" } else { "warning:" };
        self.line(1, &format!("{label} {warning}"));
    }

    fn detail(&self, message: &str) {
        self.line(2, message);
    }

    fn request(&self, url: &url::Url) {
        let mut shown = url.clone();
        // A query may be a signature.
        shown.set_query(None);
        self.line(3, &format!("asking {shown}"));
    }

    fn packages(&self, done: usize, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("Fetching {done}/{of} packages"));
        }
    }

    fn stage(&self, name: &str, total_bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(name.to_owned());
            bar.set_length(total_bytes);
            bar.set_position(0);
        }
    }

    fn expect(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc_length(bytes);
        }
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }
}
