//! How fast a body comes: a server that sends a byte now and then is not waited for.

use std::time::{Duration, Instant};

use super::{failure::Failure, options::Patience};

/// Watches one body over windows that are as long as a server may be silent.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Patience,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(patience: Patience) -> Self {
        Pace { patience, waited: Duration::ZERO, bytes: 0 }
    }

    /// So many bytes came since `from`. What was done with earlier bytes before `from` is not the server's fault.
    pub(super) fn came(&mut self, bytes: usize, from: Instant, place: &str) -> Result<(), Failure> {
        self.waited += from.elapsed();
        self.bytes += bytes as u64;
        if self.waited < self.patience.read {
            return Ok(());
        }
        let (seconds, least) = (self.waited.as_secs_f64(), self.patience.least);
        #[allow(clippy::cast_precision_loss, reason = "compared with a rate")]
        let rate = self.bytes as f64 / seconds;
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        if rate < least as f64 {
            return Err(self.patience.exhausted(format!(
                "{place} sends too slowly: {} bytes in {seconds:.1} s, expected at least {least} a second",
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
    use crate::packages::http::FetchOptions;

    #[test]
    fn a_trickle_is_noticed_after_a_window_and_a_slow_line_is_not() {
        let patience = FetchOptions::default().patience();
        let ago = |seconds: u64| Instant::now().checked_sub(Duration::from_secs(seconds)).expect("a time");
        let mut pace = Pace::new(patience);
        assert!(pace.came(10, ago(20), "host").is_ok(), "not yet");
        let Err(Failure::Passing(error, _)) = pace.came(5, ago(20), "host") else { panic!("too slow") };
        assert!(error.report().starts_with("host sends too slowly: 15 bytes in 40."), "{}", error.report());
        let mut pace = Pace::new(patience);
        for _ in 0..10 {
            assert!(pace.came(3_000, ago(20), "host").is_ok());
        }
        // Who asks for a cache's sake wants more, and does not wait again.
        let mut pace = Pace::new(Patience { least: 1000, again: false, ..patience });
        assert!(matches!(pace.came(3_000, ago(31), "host"), Err(Failure::Final(_))));
    }
}
