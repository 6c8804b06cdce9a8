//! A sum of floats that does not drift: Neumaier's compensated summation. A million records of 0.00001 add up to 10,
//! and large costs that cancel leave the small ones behind (invariant 14).

/// A running compensated sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    total: f64,
    compensation: f64,
}

impl Sum {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        let total = self.total + value;
        self.compensation +=
            if self.total.abs() >= value.abs() { (self.total - total) + value } else { (value - total) + self.total };
        self.total = total;
    }

    /// The sum so far. If finite values add up to more than f64 can hold, the sum is the largest f64 of that sign.
    pub fn value(self) -> f64 {
        let value = self.total + self.compensation;
        if value.is_finite() { value } else { self.total.clamp(f64::MIN, f64::MAX) }
    }
}

impl From<f64> for Sum {
    fn from(value: f64) -> Self {
        Sum { total: value, compensation: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(values: impl IntoIterator<Item = f64>) -> f64 {
        let mut sum = Sum::default();
        values.into_iter().for_each(|value| sum.add(value));
        sum.value()
    }

    #[test]
    fn a_million_small_costs_do_not_drift() {
        assert_eq!(sum_of(std::iter::repeat_n(0.00001, 1_000_000)), 10.0);
    }

    #[test]
    fn large_costs_that_cancel_leave_the_small_one() {
        assert_eq!(sum_of([1e16, 1.0, -1e16]), 1.0);
    }

    #[test]
    fn an_overflow_is_clamped() {
        assert_eq!(sum_of([f64::MAX, f64::MAX]), f64::MAX);
    }
}
