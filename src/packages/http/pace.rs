//! How fast a body comes: a server that sends a byte now and then is not waited for.

use std::time::{Duration, Instant};

use super::failure::Failure;

/// The least a body may bring in each second, seen over a whole window. Far below what any line in use gives, even to
/// one of many connections.
const LEAST: u64 = 100;

/// Watches one body.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// The window is as long as a server may be silent.
    pub(super) fn new(window: Duration) -> Self {
        Pace { window, waited: Duration::ZERO, bytes: 0 }
    }

    /// So many bytes came since `from`. What was done with earlier bytes before `from` is not the server's fault.
    pub(super) fn came(&mut self, bytes: usize, from: Instant, place: &str) -> Result<(), Failure> {
        self.waited += from.elapsed();
        self.bytes += bytes as u64;
        if self.waited < self.window {
            return Ok(());
        }
        let seconds = self.waited.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "compared with a rate")]
        let rate = self.bytes as f64 / seconds;
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        if rate < LEAST as f64 {
            return Err(Failure::passing(format!(
                "{place} sends too slowly: {} bytes in {seconds:.1} s, expected at least {LEAST} a second",
                self.bytes
            )));
        }
        self.waited = Duration::ZERO;
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_noticed_after_a_window_and_a_slow_line_is_not() {
        let window = Duration::from_secs(30);
        let ago = |seconds: u64| Instant::now().checked_sub(Duration::from_secs(seconds)).expect("a time");
        let mut pace = Pace::new(window);
        assert!(pace.came(10, ago(20), "host").is_ok(), "not yet");
        let Err(Failure::Passing(error, _)) = pace.came(5, ago(20), "host") else { panic!("too slow") };
        assert!(error.report().starts_with("host sends too slowly: 15 bytes in 40."), "{}", error.report());
        let mut pace = Pace::new(window);
        for _ in 0..10 {
            assert!(pace.came(3_000, ago(20), "host").is_ok());
        }
    }
}
