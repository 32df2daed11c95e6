//! Commands that run one after the other, with this process standing in front of them: what it is told by a
//! signal, they are told.

use std::{
    path::PathBuf,
    process::{Child, Command},
    sync::atomic::{AtomicI32, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
};

use super::run::{Failure, code_of, not_run};
use crate::words::{
    error::{Error, Kind},
    threads,
};

/// The command that runs now; 0 for none.
static CURRENT: AtomicI32 = AtomicI32::new(0);
/// A signal that came while none ran; 0 for none.
static UNHEARD: AtomicI32 = AtomicI32::new(0);

/// Runs commands in their order until one fails; gives its exit code, or 0.
pub(super) fn relayed(commands: impl Iterator<Item = (Command, PathBuf)>) -> Result<u8, Failure> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])
        .map_err(|e| Failure::from(Error::new(Kind::Io, "cannot listen for signals").because(e)))?;
    let handle = signals.handle();
    let listener = threads::start("signals", move || {
        for signal in &mut signals {
            // The terminal tells all of its foreground group: those that run have heard it.
            if matches!(signal, SIGINT | SIGQUIT) && in_foreground() {
                continue;
            }
            tell(signal);
        }
    })
    .map_err(|e| Failure::from(Error::new(Kind::Io, "cannot listen for signals").because(e)))?;
    let mut result = Ok(0);
    for (mut command, program) in commands {
        let unheard = UNHEARD.load(Ordering::SeqCst);
        if unheard != 0 {
            result = Ok(u8::try_from(128 + unheard).unwrap_or(1));
            break;
        }
        result = command.spawn().map_err(|e| not_run(&program, e)).and_then(waited);
        if result.as_ref().map_or(true, |code| *code != 0) {
            break;
        }
    }
    handle.close();
    // Only a thread that panicked has no result, and this one has nothing to panic of.
    let _ = listener.join();
    result
}

fn waited(mut child: Child) -> Result<u8, Failure> {
    CURRENT.store(i32::try_from(child.id()).unwrap_or(0), Ordering::SeqCst);
    let status = child.wait();
    CURRENT.store(0, Ordering::SeqCst);
    status.map(code_of).map_err(|e| Error::new(Kind::Io, "cannot wait for the command").because(e).into())
}

fn tell(signal: i32) {
    let child = Pid::from_raw(CURRENT.load(Ordering::SeqCst));
    match (child, Signal::from_named_raw(signal)) {
        // It may have ended meanwhile.
        (Some(child), Some(named)) if kill_process(child, named).is_ok() => {}
        _ => UNHEARD.store(signal, Ordering::SeqCst),
    }
}

/// Whether a terminal's keys reach this process, and so those it runs.
fn in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
