//! SIGINT, SIGTERM, SIGHUP and SIGQUIT as a flag that long work looks at, so that it can tidy up and stop.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::words::{
    error::{Error, Kind, Result},
    files, threads,
};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// How long work has to notice the flag and tidy up before the process ends regardless. What is left
/// behind then is swept by the next run.
const GRACE: Duration = Duration::from_secs(5);

/// Whether the user asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// The flag itself, for work that takes one.
pub(crate) fn flag() -> &'static AtomicBool {
    &REQUESTED
}

/// An error if the user asked to stop: long work calls this between its steps.
pub(crate) fn check() -> Result<()> {
    if requested() {
        return Err(Error::new(Kind::Interrupted, "interrupted")
            .help("nothing was changed; run the same command again to go on"));
    }
    Ok(())
}

/// The signals that ask to stop.
const SIGNALS: [i32; 4] = [
    signal_hook::consts::SIGINT,
    signal_hook::consts::SIGTERM,
    signal_hook::consts::SIGHUP,
    signal_hook::consts::SIGQUIT,
];

/// Whether whoever started this process had it ignore a signal (`nohup`, a shell's background job), from the text of `/proc/self/status`.
fn is_ignored(signal: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

/// Starts to listen: the first signal sets the flag, a second one or the end of the grace period ends
/// the process with exit code 130.
pub(crate) fn listen() -> std::io::Result<()> {
    let status = files::read_text(Path::new("/proc/self/status"), files::LARGEST_TEXT).unwrap_or_default();
    let wanted = SIGNALS.into_iter().filter(|signal| !is_ignored(*signal, &status));
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    threads::start("signals", move || {
        let mut seen = false;
        for _ in signals.forever() {
            if seen {
                leave();
            }
            seen = true;
            REQUESTED.store(true, Ordering::Relaxed);
            let grace = || {
                std::thread::sleep(GRACE);
                leave();
            };
            // Without a thread that waits, a second signal is what ends a run that does not.
            let _ = threads::start("grace", grace);
        }
    })?;
    Ok(())
}

/// Sleeps unless or until the user asks to stop.
pub(crate) fn pause(time: Duration) -> Result<()> {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = time;
    while !left.is_zero() {
        check()?;
        let step = left.min(STEP);
        std::thread::sleep(step);
        left -= step;
    }
    check()
}

/// Ends the process from the signals' thread, while work may be stuck in a system call.
fn leave() -> ! {
    eprintln!(
        "error: interrupted\n  help: run the same command again; it removes what this one left half done"
    );
    std::process::exit(Kind::Interrupted.exit_code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_stays_ignored() {
        let status = "Name:\tvenvoy\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000000\n";
        assert!(is_ignored(signal_hook::consts::SIGHUP, status));
        assert!(!is_ignored(signal_hook::consts::SIGINT, status));
        assert!(!is_ignored(signal_hook::consts::SIGHUP, ""));
    }
}
