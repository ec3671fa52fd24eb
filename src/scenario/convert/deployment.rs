//! `deploymentConfiguration`: limits, circuit breaker, alarms, strategies, lifecycle hooks (DEP-*).

use crate::ecs::deployment::{BreakerThreshold, CircuitBreaker, DeploymentAlarms};
use crate::ecs::service::{DeploymentChange, DeploymentConfiguration};
use crate::ecs::traffic_shift::{DeploymentStrategy, HookAnswer, HookTarget, LifecycleHook, LifecycleStage};
use crate::engine::time::SimDuration;
use crate::scenario::decode::{At, Whole};
use crate::scenario::diagnostic::{Problem, Reading};
use crate::scenario::input::{
    BreakerThresholdInput, BreakerThresholdWord, ContinueWord, DeploymentConfigurationInput, DeploymentHookInput,
    DeploymentStrategyWord, HookAnswerWord, HookTargetWord, LifecycleStageWord,
};
use crate::scenario::source::Place;

const PARAMETER: &str = "InvalidParameterException";

/// DEP-1, DEP-10, DEP-16, DEP-22 and SVC-4.
pub(super) fn deployment_change(input: &DeploymentConfigurationInput, reading: &mut Reading) -> DeploymentChange {
    // Each limit by itself, so that both are said and each where it is written.
    let mut check = |alone: DeploymentConfiguration, place: Place| {
        if let Err(refused) = alone.check() {
            reading.report(Problem::refused(refused, place));
        }
    };
    let defaults = DeploymentConfiguration::default;
    if let Some(at) = &input.maximum_percent {
        check(DeploymentConfiguration { maximum_percent: at.get(), ..defaults() }, at.place);
    }
    if let Some(at) = &input.minimum_healthy_percent {
        check(DeploymentConfiguration { minimum_healthy_percent: at.get(), ..defaults() }, at.place);
    }
    let strategy = input.strategy.as_ref().map(|strategy| deployment_strategy(strategy, input, reading));
    let on = |enable: Option<&At<bool>>| enable.is_some_and(|enable| enable.value);
    DeploymentChange {
        minimum_healthy_percent: input.minimum_healthy_percent.as_ref().map(|percent| percent.get()),
        maximum_percent: input.maximum_percent.as_ref().map(|percent| percent.get()),
        circuit_breaker: input.circuit_breaker.as_ref().map(|breaker| {
            let threshold = breaker_threshold(breaker.threshold.as_ref(), reading);
            on(breaker.enable.as_ref()).then(|| CircuitBreaker {
                rollback: breaker.rollback.unwrap_or(false),
                reset_on_healthy_task: breaker.reset.unwrap_or(true),
                threshold,
            })
        }),
        alarms: input.alarms.as_ref().map(|alarms| {
            on(alarms.enable.as_ref()).then(|| DeploymentAlarms {
                names: alarms.names.iter().map(|name| name.value.clone()).collect(),
                rollback: alarms.rollback.unwrap_or(false),
            })
        }),
        bake_time: input.bake_time.map(minutes),
        strategy,
        hooks: input
            .hooks
            .as_ref()
            .map(|hooks| hooks.iter().filter_map(|hook| lifecycle_hook(hook, reading)).collect()),
    }
}

fn minutes<const MIN: i64, const MAX: i64>(value: Whole<MIN, MAX>) -> SimDuration {
    SimDuration::from_mins(u64::from(value.get()))
}

/// DEP-20, DEP-23 to DEP-25.
fn deployment_strategy(
    word: &At<DeploymentStrategyWord>,
    input: &DeploymentConfigurationInput,
    reading: &mut Reading,
) -> DeploymentStrategy {
    let mut permille = |at: Option<&At<f64>>, default: f64, least: f64, rule: &'static str| {
        let percent = at.map_or(default, |at| at.value);
        let tenths = percent * 10.0;
        if let Some(at) = at
            && (!(least..=100.0).contains(&percent) || (tenths - tenths.round()).abs() > 1e-6)
        {
            let message = format!("The percentage must be between {least:.1} and 100.0 in steps of 0.1.");
            reading.report(Problem::aws(PARAMETER, rule, at.place, message));
        }
        tenths.round().clamp(1.0, 1000.0) as u32
    };
    match word.value {
        DeploymentStrategyWord::Rolling => DeploymentStrategy::Rolling,
        DeploymentStrategyWord::BlueGreen => {
            if input.bake_time.is_none() {
                let message = "bakeTimeInMinutes is required for the BLUE_GREEN deployment strategy.";
                reading.report(Problem::aws(PARAMETER, "DEP-23", word.place, message));
            }
            DeploymentStrategy::BlueGreen
        }
        DeploymentStrategyWord::Linear => {
            let linear = input.linear.as_ref();
            let step_permille = permille(linear.and_then(|linear| linear.step.as_ref()), 10.0, 3.0, "DEP-24");
            let bake = linear.and_then(|linear| linear.bake).map_or(SimDuration::from_mins(6), minutes);
            DeploymentStrategy::Linear { step_permille, bake }
        }
        DeploymentStrategyWord::Canary => {
            let canary = input.canary.as_ref();
            let permille = permille(canary.and_then(|canary| canary.percent.as_ref()), 5.0, 0.1, "DEP-25");
            let bake = canary.and_then(|canary| canary.bake).map_or(SimDuration::from_mins(10), minutes);
            DeploymentStrategy::Canary { permille, bake }
        }
    }
}

/// DEP-11: half the desired count within bounds unless said.
fn breaker_threshold(input: Option<&BreakerThresholdInput>, reading: &mut Reading) -> BreakerThreshold {
    let Some(input) = input else { return BreakerThreshold::BoundedPercent(50) };
    let value = input.value.as_ref().map_or(50, |value| value.get());
    let kind = input.kind.unwrap_or(BreakerThresholdWord::BoundedPercent);
    let valid = value >= 1 && (kind == BreakerThresholdWord::Count || value <= 100);
    if !valid {
        let place = input.value.as_ref().map_or(input.place, |value| value.place);
        let message = "Invalid deployment circuit breaker threshold value.";
        reading.report(Problem::aws(PARAMETER, "DEP-11", place, message));
    }
    match kind {
        BreakerThresholdWord::BoundedPercent => BreakerThreshold::BoundedPercent(value),
        BreakerThresholdWord::UnboundedPercent => BreakerThreshold::UnboundedPercent(value),
        BreakerThresholdWord::Count => BreakerThreshold::Count(value),
    }
}

/// DEP-22: a function with its answers, or a pause, at its stages.
fn lifecycle_hook(input: &DeploymentHookInput, reading: &mut Reading) -> Option<LifecycleHook> {
    let pauses = input.kind == Some(HookTargetWord::Pause);
    let mut valid = true;
    let mut refuse = |place: Place, message: String| {
        reading.report(Problem::aws(PARAMETER, "DEP-22", place, message));
        valid = false;
    };
    if input.stages.is_empty() {
        refuse(input.stages.place, "A lifecycle hook needs at least one lifecycle stage.".to_owned());
    }
    let stages: Vec<LifecycleStage> = input.stages.iter().map(|word| stage(word.value)).collect();
    for (word, stage) in input.stages.iter().zip(&stages) {
        if pauses && !stage.takes_pauses() {
            refuse(word.place, format!("PAUSE hooks are not supported at {}.", stage.as_str()));
        }
    }
    match (pauses, &input.target, &input.behaviour) {
        (true, Some(target), _) => {
            refuse(target.place, "hookTargetArn is not applicable for PAUSE hooks.".to_owned());
        }
        (false, None, _) => refuse(input.place, "hookTargetArn is required for AWS_LAMBDA hooks.".to_owned()),
        (true, None, Some(behaviour)) => refuse(behaviour.place, "a PAUSE has no function that answers".to_owned()),
        _ => {}
    }
    let answers = input.behaviour.iter().flat_map(|behaviour| &behaviour.answers).map(|word| match word {
        HookAnswerWord::Succeeded => HookAnswer::Succeeded,
        HookAnswerWord::Failed => HookAnswer::Failed,
        HookAnswerWord::InProgress => HookAnswer::InProgress,
    });
    let timeout = input.timeout.as_ref();
    let hook = LifecycleHook {
        name: input.target.as_ref().map_or_else(|| "PAUSE".to_owned(), |target| function_name(target).to_owned()),
        stages,
        target: if pauses { HookTarget::Pause } else { HookTarget::Lambda(answers.collect()) },
        timeout: timeout.and_then(|timeout| timeout.minutes).map_or(LifecycleHook::DEFAULT_TIMEOUT, minutes),
        continues_on_timeout: timeout.and_then(|timeout| timeout.action) == Some(ContinueWord::Continue),
    };
    valid.then_some(hook)
}

/// The name in `arn:aws:lambda:<region>:<account>:function:<name>`, or the text itself.
fn function_name(arn: &str) -> &str {
    arn.rsplit_once(":function:").map_or(arn, |(_, name)| name)
}

fn stage(word: LifecycleStageWord) -> LifecycleStage {
    match word {
        LifecycleStageWord::ReconcileService => LifecycleStage::ReconcileService,
        LifecycleStageWord::PreScaleUp => LifecycleStage::PreScaleUp,
        LifecycleStageWord::PostScaleUp => LifecycleStage::PostScaleUp,
        LifecycleStageWord::TestTrafficShift => LifecycleStage::TestTrafficShift,
        LifecycleStageWord::PostTestTrafficShift => LifecycleStage::PostTestTrafficShift,
        LifecycleStageWord::PreProductionTrafficShift => LifecycleStage::PreProductionTrafficShift,
        LifecycleStageWord::ProductionTrafficShift => LifecycleStage::ProductionTrafficShift,
        LifecycleStageWord::PostProductionTrafficShift => LifecycleStage::PostProductionTrafficShift,
    }
}
