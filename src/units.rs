//! Quantities that must not be mixed up: CPU units and thousandths of them, MiB, US dollars, exact ratios.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub, SubAssign};

/// CPU units: 1,024 make one vCPU (EC2-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuUnits(pub u64);

/// Thousandths of a CPU unit: CPU in use. Whole, so that sums return to zero exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuMilliUnits(pub u64);

/// Mebibytes (2^20 bytes), the unit of every ECS memory setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MiB(pub u64);

impl CpuUnits {
    /// CPU units in one vCPU.
    pub const PER_VCPU: u64 = 1024;

    /// The CPU units of `vcpus` whole vCPUs.
    pub const fn from_vcpus(vcpus: u64) -> Self {
        Self(vcpus * Self::PER_VCPU)
    }

    /// This many CPU units in vCPUs.
    pub fn as_vcpus(self) -> f64 {
        self.0 as f64 / Self::PER_VCPU as f64
    }
}

impl CpuMilliUnits {
    /// Thousandths in one CPU unit.
    pub const PER_UNIT: u64 = 1000;
    /// The most that [`CpuMilliUnits::from_vcpus`] gives, about a million vCPUs: 2^23 such amounts can be added up.
    pub const MOST: Self = Self(1 << 40);

    /// So many vCPUs, to the nearest thousandth of a CPU unit; 0 for a negative number, [`CpuMilliUnits::MOST`] at most.
    pub fn from_vcpus(vcpus: f64) -> Self {
        // The cast saturates, and takes NaN for 0.
        Self((vcpus * (CpuUnits::PER_VCPU * Self::PER_UNIT) as f64).round() as u64).min(Self::MOST)
    }

    /// This amount in vCPUs.
    pub fn as_vcpus(self) -> f64 {
        self.0 as f64 / (CpuUnits::PER_VCPU * Self::PER_UNIT) as f64
    }
}

impl From<CpuUnits> for CpuMilliUnits {
    fn from(units: CpuUnits) -> Self {
        Self(units.0.saturating_mul(Self::PER_UNIT)).min(Self::MOST)
    }
}

macro_rules! additive {
    ($($name:ident),*) => {$(
        impl $name {
            /// `self - other`, or `None` when `other` is larger.
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(rest) => Some(Self(rest)),
                    None => None,
                }
            }

            /// `self - other`, or zero when `other` is larger.
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.checked_sub(other.0).unwrap_or_else(|| panic!("{self} - {other} is negative")))
            }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }
        impl Mul<u64> for $name {
            type Output = Self;
            fn mul(self, factor: u64) -> Self {
                Self(self.0 * factor)
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
                parts.fold(Self(0), Add::add)
            }
        }
    )*};
}
additive!(CpuUnits, CpuMilliUnits, MiB);

impl fmt::Display for CpuUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPU units", self.0)
    }
}

impl fmt::Display for CpuMilliUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} thousandths of a CPU unit", self.0)
    }
}

impl fmt::Display for MiB {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

/// US dollars before tax.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Usd(pub f64);

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Mul<f64> for Usd {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self(0.0), Add::add)
    }
}

/// An exact non-negative fraction, for percentages that feed a `ceil` (CAS-22, TT-14).
///
/// Compared by cross-multiplication; never reduced, so keep terms below 2^63.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    numerator: u64,
    denominator: u64,
}

impl Ratio {
    /// `numerator / denominator`.
    ///
    /// # Panics
    /// When `denominator` is zero.
    pub fn new(numerator: u64, denominator: u64) -> Self {
        assert!(denominator > 0, "a ratio needs a positive denominator");
        Self { numerator, denominator }
    }

    /// The whole number `value`.
    pub const fn integer(value: u64) -> Self {
        Self { numerator: value, denominator: 1 }
    }

    /// `ceil(self * factor / divisor)`, exact.
    ///
    /// # Panics
    /// When `divisor` is zero.
    pub fn scaled_ceil(self, factor: u64, divisor: u64) -> u64 {
        assert!(divisor > 0, "a ratio is scaled by a positive divisor");
        let top = u128::from(self.numerator) * u128::from(factor);
        let bottom = u128::from(self.denominator) * u128::from(divisor);
        u64::try_from(top.div_ceil(bottom)).unwrap_or(u64::MAX)
    }

    /// The nearest `f64`, for reports.
    pub fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ratio {}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u128::from(self.numerator) * u128::from(other.denominator);
        let right = u128::from(other.numerator) * u128::from(self.denominator);
        left.cmp(&right)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.numerator.is_multiple_of(self.denominator) {
            write!(f, "{}", self.numerator / self.denominator)
        } else {
            write!(f, "{:.2}", self.as_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_compare_and_round_exactly() {
        // 100 * 2/3 at a target of 100: the float 66.666…67 * 3 / 100 would round up to 3 (CAS-22).
        let cpr = Ratio::new(200, 3);
        assert_eq!(cpr.scaled_ceil(3, 100), 2);
        assert!(cpr < Ratio::integer(67) && cpr > Ratio::integer(66));
        assert_eq!(Ratio::new(2, 4), Ratio::new(1, 2));
    }

    #[test]
    fn cpu_in_use_is_whole_and_bounded() {
        assert_eq!(CpuMilliUnits::from_vcpus(0.25), CpuUnits(256).into());
        assert_eq!(CpuMilliUnits::from_vcpus(1.5).as_vcpus(), 1.5);
        for (odd, expected) in [(-1.0, CpuMilliUnits(0)), (f64::NAN, CpuMilliUnits(0)), (1e300, CpuMilliUnits::MOST)] {
            assert_eq!(CpuMilliUnits::from_vcpus(odd), expected, "{odd}");
        }
        assert_eq!(CpuMilliUnits::from(CpuUnits(u64::MAX)), CpuMilliUnits::MOST);
    }
}
