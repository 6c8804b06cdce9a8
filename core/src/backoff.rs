//! How long to wait before a fold that failed is tried again: doubling from 100 ms to 30 s.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes one more failure and returns how long to wait.
    pub fn fail(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        wait.min(LONGEST)
    }

    pub fn succeed(&mut self) {
        self.failures = 0;
    }

    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.fail()).collect();
        assert_eq!(waits[..3], [100, 200, 400].map(Duration::from_millis));
        assert_eq!(waits.last(), Some(&LONGEST));
        backoff.succeed();
        assert_eq!(backoff.fail(), FIRST);
    }
}
