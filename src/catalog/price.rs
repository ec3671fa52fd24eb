//! Prices of the catalogue: where each comes from and how far to trust it.

use std::fmt;

use serde::Deserialize;

use crate::units::Usd;

/// Hours in a month, where AWS quotes by the month: the convention of its own calculator.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// Linux on-demand price of an instance type in a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Per instance-hour.
    pub usd_per_hour: Usd,
    /// How it was obtained.
    pub basis: PriceBasis,
    /// Date of the list it rests on.
    pub as_of: &'static str,
}

/// How an on-demand price was obtained, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PriceBasis {
    /// On the list of us-east-1.
    Listed,
    /// Bare metal, at the price of the virtual size with the same vCPUs and memory.
    MetalEquivalent,
    /// Bare metal as listed; may be the dearer dedicated tenancy.
    MetalUnchecked,
    /// On the older list of its region, and agreeing with its family.
    RegionalList,
    /// us-east-1 times the regional ratio of its family.
    FamilyRatio,
    /// The same, resting on one or two sizes.
    FamilyRatioWeak,
    /// us-east-1 times the regional ratio of its class (c, m, r, ...).
    ClassRatio,
}

impl PriceBasis {
    /// The basis a letter of the data file stands for.
    pub(super) const fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'L' => Self::Listed,
            b'M' => Self::MetalEquivalent,
            b'U' => Self::MetalUnchecked,
            b'R' => Self::RegionalList,
            b'F' => Self::FamilyRatio,
            b'W' => Self::FamilyRatioWeak,
            b'C' => Self::ClassRatio,
            _ => return None,
        })
    }

    /// Date of the price list that a price of this basis rests on.
    pub const fn as_of(self) -> &'static str {
        match self {
            Self::Listed | Self::MetalEquivalent | Self::MetalUnchecked => "2026-07-20",
            Self::RegionalList | Self::FamilyRatio | Self::FamilyRatioWeak | Self::ClassRatio => "2025-03-02",
        }
    }

    /// The words reports use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::MetalEquivalent => "as the virtual size",
            Self::MetalUnchecked => "listed, unchecked",
            Self::RegionalList => "regional list",
            Self::FamilyRatio => "family ratio",
            Self::FamilyRatioWeak => "family ratio, weak",
            Self::ClassRatio => "class ratio",
        }
    }
}

/// Spot price and reclaim rate of an instance type in a region: slow weather, not a property of the type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpotMarket {
    /// Estimate: the on-demand price less the published saving.
    pub usd_per_hour: Usd,
    /// Published saving off on-demand, in percent.
    pub savings_pct: u8,
    /// How often EC2 reclaims: the Spot Instance Advisor's bucket.
    pub interruption_bucket: InterruptionBucket,
    /// Constant reclaim rate of one instance, per hour, that matches the middle of the bucket.
    pub hazard_per_hour: f64,
    /// Date of the Advisor's snapshot.
    pub as_of: &'static str,
}

/// A bucket of the Spot Instance Advisor: the share of instances reclaimed in a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterruptionBucket {
    /// Under 5 %.
    Below5Pct,
    /// 5 to 10 %.
    From5To10Pct,
    /// 10 to 15 %.
    From10To15Pct,
    /// 15 to 20 %.
    From15To20Pct,
    /// Over 20 %.
    Above20Pct,
}

impl InterruptionBucket {
    /// Every bucket, calmest first.
    const ALL: [Self; 5] =
        [Self::Below5Pct, Self::From5To10Pct, Self::From10To15Pct, Self::From15To20Pct, Self::Above20Pct];

    /// The bucket of the Advisor's number, 0 to 4.
    pub fn from_number(number: usize) -> Option<Self> {
        Self::ALL.get(number).copied()
    }

    /// The Advisor's number, 0 to 4.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Share reclaimed in a month, taken at the middle of the bucket; the open one at 25 %.
    pub const fn monthly_probability(self) -> f64 {
        match self {
            Self::Below5Pct => 0.025,
            Self::From5To10Pct => 0.075,
            Self::From10To15Pct => 0.125,
            Self::From15To20Pct => 0.175,
            Self::Above20Pct => 0.25,
        }
    }

    /// Reclaims per instance-hour: `-ln(1 - p) / 730`. A constant rate is an assumption; real reclaims come in waves.
    pub fn hazard_per_hour(self) -> f64 {
        -libm::log1p(-self.monthly_probability()) / HOURS_PER_MONTH
    }
}

impl fmt::Display for InterruptionBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below5Pct => "<5 %",
            Self::From5To10Pct => "5-10 %",
            Self::From10To15Pct => "10-15 %",
            Self::From15To20Pct => "15-20 %",
            Self::Above20Pct => ">20 %",
        })
    }
}

/// How far a figure is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Not published for this case: scaled by us from a case that is.
    Estimated,
    /// One old or second-hand sighting, or an assumption.
    Low,
    /// Second-hand, or assumed equal to a verified region.
    Medium,
    /// From a price list or a bill.
    High,
}

impl Confidence {
    /// The word reports use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Estimated => "estimated",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A price or a billing constant that is neither EC2's nor Fargate's: load balancers, EBS, CloudWatch, transfer, ...
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct OtherPrice {
    /// Service, as `alb`; ends in `_definition`, or is `billing` or `convention`, where the value is no price.
    pub service: String,
    /// What is charged, as `lcu_hour`.
    pub item: String,
    /// The region the figure was seen in, or `any`; may differ from the region asked for.
    pub region: String,
    /// What one is charged for, as `GB-month`.
    pub unit: String,
    /// US dollars per unit, or the constant.
    pub value: f64,
    /// When it was seen; `-` for a convention.
    pub as_of: String,
    /// How far to trust it.
    pub confidence: Confidence,
    /// Free allowances and the like.
    pub note: String,
}

impl OtherPrice {
    /// Whether the value is money.
    pub fn is_price(&self) -> bool {
        !(self.service.ends_with("_definition") || matches!(self.service.as_str(), "billing" | "convention"))
    }

    /// The value as money per unit.
    pub const fn usd(&self) -> Usd {
        Usd(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hazards_match_the_middle_of_their_bucket() {
        // The published estimates, to the digits they were published with.
        let published = [3.468e-5, 1.068e-4, 1.8292e-4, 2.6352e-4, 3.9409e-4];
        for (number, expected) in published.into_iter().enumerate() {
            let bucket = InterruptionBucket::from_number(number).unwrap();
            assert_eq!(usize::from(bucket.number()), number);
            assert!(
                (bucket.hazard_per_hour() - expected).abs() < 6e-9,
                "bucket {number}: {}",
                bucket.hazard_per_hour()
            );
        }
        assert_eq!(InterruptionBucket::from_number(5), None);
    }
}
