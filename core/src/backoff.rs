//! The waits before a failed action is tried again. They double from 100 ms to 30 s.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after this many failures in a row.
pub fn wait_after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        _ => FIRST.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST),
    }
}

/// Counts failures in a row and tells how long to wait.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts one more failure and returns how long to wait.
    pub fn fail(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        wait_after(self.failures)
    }

    /// Starts over after a success.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_over_after_a_success() {
        let waits: Vec<_> = (0..40).map(wait_after).collect();
        assert_eq!(waits[..4], [0, 100, 200, 400].map(Duration::from_millis));
        assert_eq!(waits.last(), Some(&LONGEST));
        assert_eq!(wait_after(u32::MAX), LONGEST);
        let mut backoff = Backoff::default();
        assert_eq!([backoff.fail(), backoff.fail()], [waits[1], waits[2]]);
        backoff.succeed();
        assert_eq!(backoff.fail(), FIRST);
    }
}
