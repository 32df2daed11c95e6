//! Commands that run one after the other, with this process standing in front of them: what it is told by a
//! signal, they are told.

use std::{
    path::PathBuf,
    process::{Child, Command},
};

use parking_lot::Mutex;
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
};

use super::run::{Failure, code_of, not_run};
use crate::words::{
    error::{Error, Kind},
    threads,
};

/// The command that runs now. Held while one starts, so that whoever is told something then waits until there is one to
/// tell, and while one is reaped, so that no process is told that has its number by then.
static CURRENT: Mutex<Current> = Mutex::new(Current { command: None, unheard: None });

struct Current {
    command: Option<Pid>,
    /// A signal that came while no command ran.
    unheard: Option<i32>,
}

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
        let mut current = CURRENT.lock();
        if let Some(unheard) = current.unheard {
            result = Ok(u8::try_from(128 + unheard).unwrap_or(1));
            break;
        }
        let started = command.spawn().map_err(|e| not_run(&program, e));
        current.command = started.as_ref().ok().map(Pid::from_child);
        drop(current);
        result = started.and_then(waited);
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
    // Until it is reaped, its number is nobody else's.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(Pid::from_child(&child)), ended), Err(Errno::INTR)) {}
    let mut current = CURRENT.lock();
    let status = child.wait();
    current.command = None;
    status.map(code_of).map_err(|e| Error::new(Kind::Io, "cannot wait for the command").because(e).into())
}

fn tell(signal: i32) {
    let mut current = CURRENT.lock();
    match (current.command, Signal::from_named_raw(signal)) {
        // It may have ended meanwhile.
        (Some(command), Some(named)) if kill_process(command, named).is_ok() => {}
        _ => current.unheard = Some(signal),
    }
}

/// Whether a terminal's keys reach this process, and so those it runs.
fn in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(&terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
