//! SIGINT and SIGTERM as a flag that long work looks at, so that it can tidy up and stop.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::words::error::{Error, Kind, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// How long work has to notice the flag and tidy up before the process ends regardless. What is left
/// behind then is swept by the next run.
const GRACE: Duration = Duration::from_secs(5);

/// Whether the user asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// The flag itself, for work that takes one.
pub fn flag() -> &'static AtomicBool {
    &REQUESTED
}

/// An error if the user asked to stop: long work calls this between its steps.
pub fn check() -> Result<()> {
    if requested() {
        return Err(Error::new(Kind::Interrupted, "interrupted")
            .help("nothing was changed; run the same command again to go on"));
    }
    Ok(())
}

/// Starts to listen: the first signal sets the flag, a second one or the end of the grace period ends
/// the process with exit code 130.
pub fn listen() -> std::io::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut seen = false;
        for _ in signals.forever() {
            if seen {
                leave();
            }
            seen = true;
            REQUESTED.store(true, Ordering::Relaxed);
            std::thread::spawn(|| {
                std::thread::sleep(GRACE);
                leave();
            });
        }
    })?;
    Ok(())
}

/// Sleeps unless or until the user asks to stop.
pub fn pause(time: Duration) -> Result<()> {
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
