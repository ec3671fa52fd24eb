//! Delays, prices and SLOs.

use crate::control_plane::estate::{Delays, Prices, Slo};
use crate::scenario::convert::instance_types::known_type;
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::input::{DelaysInput, PresetWord, PricesInput, SloInput};
use crate::scenario::quantity::{Dist, Plain, Quantity};
use crate::workload::distribution::Distribution;

/// The delays of a run: the preset, with single entries on top of it.
///
/// `constants` is the constant preset, in which knobs of `behaviour` that name a latency have already had their say;
/// `slow_boots` is `ec2_bad_boot_probability`.
pub(crate) fn delays(input: Option<&DelaysInput>, constants: Delays, slow_boots: f64) -> Delays {
    let mut realistic = Delays::realistic();
    if slow_boots > 0.0 {
        realistic.agent_register = realistic.agent_register.with_rare(slow_boots, 3.0);
    }
    let Some(input) = input else { return realistic };
    let mut delays = match input.preset {
        Some(PresetWord::Constant) => constants,
        None | Some(PresetWord::Realistic) => realistic,
    };
    put(&mut delays.asg_reaction, input.asg_reaction.as_ref());
    put(&mut delays.instance_launch, input.instance_launch.as_ref());
    put(&mut delays.instance_in_service, input.instance_in_service.as_ref());
    put(&mut delays.agent_register, input.agent_register.as_ref());
    put(&mut delays.warm_start, input.warm_start.as_ref());
    put(&mut delays.instance_terminate, input.instance_terminate.as_ref());
    put(&mut delays.pull_throughput, input.pull_throughput.as_ref());
    put(&mut delays.pull_base, input.pull_base.as_ref());
    put(&mut delays.task_start, input.task_start.as_ref());
    put(&mut delays.eni_attach, input.eni_attach.as_ref());
    put(&mut delays.fargate_provision, input.fargate_provision.as_ref());
    put(&mut delays.fargate_pull_throughput_small, input.fargate_pull_throughput_small.as_ref());
    put(&mut delays.fargate_pull_throughput_large, input.fargate_pull_throughput_large.as_ref());
    put(&mut delays.fargate_start, input.fargate_start.as_ref());
    put(&mut delays.healthy, input.healthy.as_ref());
    put(&mut delays.task_stop, input.task_stop.as_ref());
    if let Some(pull) = &input.image_pull {
        delays.image_pull = Some(pull.distribution.clone());
    }
    if let Some(create) = &input.container_create {
        delays.container_create = Some(create.distribution.clone());
    }
    delays
}

fn put<K>(delay: &mut Distribution, entry: Option<&Dist<K>>) {
    if let Some(entry) = entry {
        *delay = entry.distribution.clone();
    }
}

/// Overrides of the catalogue's prices.
pub(crate) fn prices(input: &PricesInput, reading: &mut Reading) -> Prices {
    for (name, _) in input.on_demand.0.iter().chain(&input.spot.0) {
        // What is wrong with it has been reported; its price then prices nothing.
        let _ = known_type(name, reading);
    }
    let discount = input.savings_plan_discount.as_ref().map_or(0.0, |discount| discount.value);
    if let Some(at) = input.savings_plan_discount.as_ref().filter(|discount| !(0.0..=1.0).contains(&discount.value)) {
        let message = format!("a discount is between 0 and 1, not {}", at.value);
        reading.report(Problem::new(code::OUT_OF_RANGE, at.place, message).help("0.28 takes 28 % off"));
    }
    let list = |entries: &[(crate::scenario::decode::At<String>, Quantity<Plain>)]| {
        entries.iter().map(|(name, price)| (name.value.clone(), price.value)).collect()
    };
    Prices {
        on_demand: list(&input.on_demand.0),
        spot: list(&input.spot.0),
        fargate_vcpu_hour: input.fargate_vcpu_hour.as_ref().map(|price| price.value),
        fargate_gb_hour: input.fargate_gb_hour.as_ref().map(|price| price.value),
        root_volume_gib: input.root_volume_gib.as_ref().map(|size| size.value),
        public_ipv4: input.public_ipv4.unwrap_or(false),
        nat_gateway: input.nat_gateway.unwrap_or(false),
        savings_plan_discount: discount,
    }
}

/// A bound on a summary metric.
pub(crate) fn slo(input: &SloInput, reading: &mut Reading) -> Slo {
    match (input.max, input.min) {
        (None, None) => {
            reading
                .report(Problem::new(code::MISSING_KEY, input.place, "an SLO needs `max` or `min`").label("no bound"));
        }
        (Some(max), Some(min)) if min > max => {
            let message = format!("no value is at least {min} and at most {max}");
            reading.report(Problem::new(code::INVALID, input.place, message));
        }
        _ => {}
    }
    if let Some(at) = input.budget.as_ref().filter(|budget| !(budget.value > 0.0 && budget.value <= 1.0)) {
        let message = format!("a budget is a share of the minutes, above 0 and at most 1, not {}", at.value);
        reading.report(Problem::new(code::OUT_OF_RANGE, at.place, message).help("budget: 0.01 is 1 %"));
    }
    // Accuracies relate an excess to the demand and may be above 1; the other ratios are parts of a whole.
    let is_share = input.metric.ends_with("_ratio") && !input.metric.ends_with("_accuracy_ratio");
    let mut bounds = [input.max, input.min].into_iter().flatten();
    if let Some(bound) = bounds.find(|bound| is_share && !(0.0..=1.0).contains(bound)) {
        let message = format!("a ratio is from 0 to 1, not {bound}");
        reading.report(Problem::new(code::OUT_OF_RANGE, input.place, message).help("min: 0.999 is 99.9 %"));
    }
    let budget = input.budget.as_ref().map(|budget| budget.value);
    Slo { metric: input.metric.value.clone(), max: input.max, min: input.min, budget }
}
