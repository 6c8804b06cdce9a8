//! How long to wait before what failed is tried again: doubling from 100 ms to 30 s.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after so many failures in a row.
pub fn wait_after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        _ => FIRST.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST),
    }
}

/// Counts failures in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes one more failure and returns how long to wait.
    pub fn fail(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        wait_after(self.failures)
    }

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
