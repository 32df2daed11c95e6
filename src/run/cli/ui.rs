//! What the user sees while work goes on: messages, and a progress bar or now and then a line, on standard error.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::words::{
    env::Env,
    error::Warnings,
    progress::Progress,
    vocab::{Concealed, fit_to_show, shown_url, size},
};

/// How often a log gets a line about work that takes long.
const EVERY: Duration = Duration::from_secs(10);

/// Messages by importance, and how far the work is: a bar where a person is watching, lines elsewhere.
pub(super) struct Ui {
    verbosity: AtomicU8,
    colour: bool,
    bar: Option<ProgressBar>,
    log: Log,
    builds: Arc<Builds>,
    warned: Mutex<Warnings>,
    concealed: Concealed,
}

impl Ui {
    /// Prints as much as `verbosity` says: 0 errors only, 1 normal, 2 details, 3 requests.
    pub(super) fn new(verbosity: u8, env: &Env) -> Self {
        let terminal = std::io::stderr().is_terminal() && !env.flag("CI");
        let builds = Arc::new(Builds::default());
        let bar = (terminal && verbosity > 0 && env.get("TERM") != Some("dumb")).then(|| bar(&builds));
        let colour = terminal && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb");
        let concealed = env.concealed().clone();
        Ui {
            verbosity: AtomicU8::new(verbosity),
            colour,
            bar,
            log: Log::new(EVERY),
            builds,
            warned: Mutex::default(),
            concealed,
        }
    }

    /// Prints as much as this says from now on.
    pub(super) fn print(&self, verbosity: u8) {
        self.verbosity.store(verbosity, Ordering::Relaxed);
        if let Some(bar) = self.bar.as_ref().filter(|_| verbosity == 0) {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    fn verbosity(&self) -> u8 {
        self.verbosity.load(Ordering::Relaxed)
    }

    /// Says what was done.
    pub(super) fn done(&self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.line(1, message);
    }

    /// Says how a failed run ended.
    pub(super) fn error(&self, report: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.labelled(0, "31", "error:", report);
    }

    fn line(&self, from: u8, message: &str) {
        self.say(from, "", message);
    }

    fn labelled(&self, from: u8, colour: &str, label: &str, message: &str) {
        let label =
            if self.colour { format!("\x1b[1;{colour}m{label}\x1b[0m ") } else { format!("{label} ") };
        self.say(from, &label, message);
    }

    /// Every line goes through here: whatever a lock, an index or a build put into it does not write to the terminal.
    fn say(&self, from: u8, label: &str, message: &str) {
        if self.verbosity() < from {
            return;
        }
        let message = self.concealed.hide(message);
        let message = [label, &fit_to_show(&message)].concat();
        // A closed standard error is no reason to fail.
        let print = || drop(writeln!(std::io::stderr(), "{message}"));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn log_line(&self) {
        if let Some(line) = self.log.due(&self.builds) {
            self.line(1, &line);
        }
    }
}

/// What is being built, and since when.
#[derive(Default)]
struct Builds(Mutex<Vec<(String, Instant)>>);

impl Builds {
    /// How many are named in one line.
    const NAMED: usize = 3;

    /// `, building demo 1.0 (12 s)`, or nothing.
    fn shown(&self) -> String {
        let builds = self.0.lock();
        if builds.is_empty() {
            return String::new();
        }
        let one = |(what, since): &(String, Instant)| format!("{what} ({} s)", since.elapsed().as_secs());
        let named: Vec<String> = builds.iter().take(Self::NAMED).map(one).collect();
        let more = match builds.len().saturating_sub(Self::NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(", building {}{more}", named.join(", "))
    }
}

fn bar(builds: &Arc<Builds>) -> ProgressBar {
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("{msg}{builds} {wide_bar} {far} {decimal_bytes_per_sec}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let far = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = out.write_str(&far(state.pos(), state.len().unwrap_or(0)));
    };
    let builds = Arc::clone(builds);
    let builds = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = out.write_str(&builds.shown());
    };
    bar.set_style(style.with_key("far", far).with_key("builds", builds));
    bar
}

/// `1.2 MB/3.4 MB`, or without the second where it is not known yet.
fn far(done: u64, of: u64) -> String {
    if of < done.max(1) { size(done) } else { format!("{}/{}", size(done), size(of)) }
}

/// Where the work is, for the lines of a log.
struct Log {
    start: Instant,
    every: u64,
    /// Milliseconds after the start.
    next: AtomicU64,
    what: Mutex<String>,
    bytes: AtomicU64,
    of: AtomicU64,
}

impl Log {
    fn new(every: Duration) -> Self {
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        Log {
            start: Instant::now(),
            every,
            next: AtomicU64::new(every),
            what: Mutex::default(),
            bytes: AtomicU64::new(0),
            of: AtomicU64::new(0),
        }
    }

    fn what(&self, what: String) {
        *self.what.lock() = what;
    }

    /// The line that is due, for one of the threads that ask.
    fn due(&self, builds: &Builds) -> Option<String> {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = self.next.load(Ordering::Relaxed);
        if now < next {
            return None;
        }
        let later = now.saturating_add(self.every);
        self.next.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let what = self.what.lock().clone();
        let builds = builds.shown();
        Some(format!(
            "{what}{builds}: {}",
            far(self.bytes.load(Ordering::Relaxed), self.of.load(Ordering::Relaxed))
        ))
    }
}

impl Progress for Ui {
    fn warn(&self, warning: &str) {
        let mut warned = self.warned.lock();
        if warned.0.iter().any(|said| said == warning) {
            return;
        }
        warned.push(warning);
        self.labelled(1, "33", "warning:", warning);
    }

    fn detail(&self, message: &str) {
        self.line(2, message);
    }

    fn request(&self, url: &url::Url) {
        self.line(3, &format!("asking {}", shown_url(url)));
    }

    fn packages(&self, done: usize, of: usize) {
        let message = format!("Fetching {done}/{of} packages");
        if let Some(bar) = &self.bar {
            bar.set_message(message);
        } else {
            self.log.what(message);
            self.log_line();
        }
    }

    fn stage(&self, name: &str, total_bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(name.to_owned());
            bar.set_length(total_bytes);
            bar.set_position(0);
            // While a server says nothing, the bar still shows that work goes on, and how slowly.
            bar.enable_steady_tick(Duration::from_millis(200));
        } else {
            self.log.what(name.to_owned());
            self.log.bytes.store(0, Ordering::Relaxed);
            self.log.of.store(total_bytes, Ordering::Relaxed);
        }
    }

    fn expect(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc_length(bytes);
        } else {
            self.log.of.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        } else {
            self.log.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.log_line();
        }
    }

    fn build_begins(&self, what: &str) {
        self.builds.0.lock().push((what.to_owned(), Instant::now()));
        self.detail(&format!("building {what}"));
    }

    fn build_ends(&self, what: &str) {
        let mut builds = self.builds.0.lock();
        let Some(at) = builds.iter().position(|(name, _)| name == what) else { return };
        let (_, since) = builds.remove(at);
        drop(builds);
        // What a log named as it went on has an end there, too.
        if self.bar.is_none() && since.elapsed() >= EVERY {
            self.line(1, &format!("{what} is built, in {} s", since.elapsed().as_secs()));
        }
    }

    fn tick(&self) {
        if self.bar.is_none() {
            self.log_line();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_shown_beside_what_there_is_once_that_is_known() {
        assert_eq!(far(0, 0), "0 B");
        assert_eq!(far(1_500, 0), "1.5 kB");
        assert_eq!(far(1_500, 3_000_000), "1.5 kB/3.0 MB");
    }

    #[test]
    fn a_log_gets_a_line_now_and_then() {
        let often = Log::new(Duration::ZERO);
        let builds = Builds::default();
        often.what("Fetching 1/3 packages".into());
        often.bytes.fetch_add(2_000, Ordering::Relaxed);
        assert_eq!(often.due(&builds).as_deref(), Some("Fetching 1/3 packages: 2.0 kB"));
        builds.0.lock().push(("demo 1.0".into(), Instant::now()));
        often.of.fetch_add(9_000, Ordering::Relaxed);
        let line = often.due(&builds);
        assert_eq!(line.as_deref(), Some("Fetching 1/3 packages, building demo 1.0 (0 s): 2.0 kB/9.0 kB"));
        assert_eq!(Log::new(Duration::from_hours(1)).due(&builds), None);
    }
}
