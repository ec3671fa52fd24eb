//! Rates that chance moves: `noise`, `mmpp`, `flashCrowds`, `onOff`.

use super::convert::Context;
use super::decode::{At, Decode, Raw, Whole, object};
use super::diagnostic::{Problem, Reading, code};
use super::quantity::{Dist, Kind, Seconds};
use super::tree::Node;
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::arrivals::{Mmpp, MmppState};
use crate::workload::distribution::Distribution;
use crate::workload::random_rate::{FlashCrowds, Noise, OnOff, RandomRate};
use crate::workload::rate::Rate;

/// The forms of this module.
pub(super) const FORMS: [&str; 4] = ["noise", "mmpp", "flashCrowds", "onOff"];

object! {
    /// A factor around one, for a `product`.
    struct NoiseInput("`noise`") {
        /// Standard deviation of the factor; its mean is 1.
        cv: At<f64> = "cv",
        /// How long one value lasts. Default 1m.
        every: Option<SimDuration> = "every",
        /// Correlation of one value with the next, 0 to below 1. Default 0.
        correlation: Option<f64> = "correlation",
    }
}

object! {
    /// A rate that jumps at random.
    struct MmppInput("`mmpp`") {
        /// Two states or more; each is followed by any other, alike.
        states: Vec<MmppStateInput> = "states",
    }
}

object! {
    /// One state of an mmpp.
    struct MmppStateInput("a state of `mmpp`") {
        /// Its rate.
        rate: Raw = "rate",
        /// How long it lasts on average.
        mean_stay: SimDuration = "meanStay",
    }
}

object! {
    /// Crowds that come at once, stay, and ebb away.
    struct FlashCrowdsInput("`flashCrowds`") {
        /// Rate that a crowd adds at its peak.
        height: Raw = "height",
        /// When the first one begins. Default: after the first `every`.
        at: Option<SimDuration> = "at",
        /// From the beginning of one to that of the next. Absent: there is one.
        every: Option<Dist<Seconds>> = "every",
        /// How long it rises. Default 1m.
        rise: Option<SimDuration> = "rise",
        /// How long it stays. Default 10m.
        lasts: Option<Dist<Seconds>> = "for",
        /// Time constant of its ebb. Default 20m.
        decay: Option<SimDuration> = "decay",
    }
}

object! {
    /// Sources that are on and off for heavy-tailed times: bursts on every scale of time.
    struct OnOffInput("`onOff`") {
        /// How many.
        sources: Whole<1, 100_000> = "sources",
        /// Rate of one that is on.
        rate: Raw = "rate",
        /// Mean time on.
        on: SimDuration = "on",
        /// Mean time off.
        off: SimDuration = "off",
        /// Hurst parameter of their sum, above 0.5 and below 1. Default 0.8.
        hurst: Option<f64> = "hurst",
    }
}

/// The modulated process of an `mmpp`, its rates of kind `K`.
pub(super) fn mmpp<K: Kind>(node: &Node, reading: &mut Reading) -> Option<Mmpp> {
    let input = MmppInput::decode(node, reading)?;
    let states: Vec<Option<MmppState>> = input
        .states
        .iter()
        .map(|state| Some(MmppState { rate: K::read(&state.rate.0, reading)?, mean_stay: state.mean_stay }))
        .collect();
    Some(Mmpp { states: states.into_iter().collect::<Option<_>>()? })
}

/// A rate of one of the [`FORMS`].
pub(super) fn random_rate<K: Kind>(form: &str, node: &Node, context: &Context, reading: &mut Reading) -> Option<Rate> {
    let random = match form {
        "noise" => {
            let input = NoiseInput::decode(node, reading)?;
            RandomRate::Noise(Noise {
                cv: input.cv.value,
                every: input.every.unwrap_or(SimDuration::MINUTE),
                correlation: input.correlation.unwrap_or(0.0),
            })
        }
        "mmpp" => RandomRate::Mmpp(mmpp::<K>(node, reading)?),
        "flashCrowds" => {
            let input = FlashCrowdsInput::decode(node, reading)?;
            let minutes = SimDuration::from_mins;
            RandomRate::FlashCrowds(FlashCrowds {
                height: K::read(&input.height.0, reading)?,
                first: input.at.map(|at| SimTime::ZERO + at),
                every: input.every.map(|every| every.distribution),
                rise: input.rise.unwrap_or(SimDuration::MINUTE),
                lasts: input.lasts.map_or(Distribution::Constant(600.0), |lasts| lasts.distribution),
                decay: input.decay.unwrap_or(minutes(20)),
            })
        }
        _ => {
            let input = OnOffInput::decode(node, reading)?;
            RandomRate::OnOff(OnOff {
                sources: input.sources.get(),
                rate: K::read(&input.rate.0, reading)?,
                on: input.on,
                off: input.off,
                hurst: input.hurst.unwrap_or(0.8),
            })
        }
    };
    match random.validate(context.run) {
        Ok(()) => Some(Rate::Random(random)),
        Err(error) => {
            reading.report(Problem::new(code::INVALID, node.place, error.to_string()).label("makes no rate"));
            None
        }
    }
}
