//! How production traffic moves from one revision to the next: strategies, stages, hooks (DEP-20…26).

use crate::engine::time::{SimDuration, SimTime};

/// DEP-21: how long a stage may last.
pub const STAGE_LIMIT: SimDuration = SimDuration::from_secs(24 * 3600);

/// DEP-21: how long a whole deployment may last.
pub const DEPLOYMENT_LIMIT: SimDuration = SimDuration::from_secs(30 * 24 * 3600);

/// `strategy` of a deployment configuration (DEP-20). Shares are tenths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeploymentStrategy {
    /// Within the limits, batch by batch.
    #[default]
    Rolling,
    /// All traffic at once.
    BlueGreen,
    /// Step by step (DEP-24).
    Linear {
        /// `stepPercent`.
        step_permille: u32,
        /// `stepBakeTimeInMinutes`.
        bake: SimDuration,
    },
    /// A little first, then all (DEP-25).
    Canary {
        /// `canaryPercent`.
        permille: u32,
        /// `canaryBakeTimeInMinutes`.
        bake: SimDuration,
    },
}

impl DeploymentStrategy {
    /// The new revision's share after each step, and how long it bakes before the next; the last one is followed by the
    /// bake time of the deployment.
    pub fn steps(self) -> Vec<(u32, SimDuration)> {
        match self {
            Self::Rolling => Vec::new(),
            Self::Linear { step_permille, bake } => {
                let step = step_permille.clamp(1, 1000);
                let count = 1000_u32.div_ceil(step);
                (1..=count).map(|place| ((place * step).min(1000), bake)).collect()
            }
            Self::Canary { permille, bake } if permille < 1000 => vec![(permille, bake), (1000, SimDuration::ZERO)],
            Self::BlueGreen | Self::Canary { .. } => vec![(1000, SimDuration::ZERO)],
        }
    }

    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "ROLLING",
            Self::BlueGreen => "BLUE_GREEN",
            Self::Linear { .. } => "LINEAR",
            Self::Canary { .. } => "CANARY",
        }
    }

    /// The rule that says how its traffic moves.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Rolling => "DEP-3",
            Self::BlueGreen => "DEP-20",
            Self::Linear { .. } => "DEP-24",
            Self::Canary { .. } => "DEP-25",
        }
    }
}

/// How the traffic of one deployment moves, fixed when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShiftPlan {
    /// All at once, step by step, or rolling.
    pub strategy: DeploymentStrategy,
    /// `bakeTimeInMinutes`: both revisions run on after the last shift (DEP-23).
    pub bake: SimDuration,
    /// Hooks that may hold it (DEP-22).
    pub hooks: Vec<LifecycleHook>,
    /// Whether CodeDeploy moves the traffic, by its own time limits (DEP-26).
    pub code_deploy: bool,
}

impl ShiftPlan {
    /// DEP-26: CodeDeploy waits so long for the green tasks to be steady.
    const CODE_DEPLOY_SCALE_UP: SimDuration = SimDuration::from_secs(3600);

    /// DEP-26: so long traffic goes on moving while green tasks are missing.
    const CODE_DEPLOY_UNSTEADY: SimDuration = SimDuration::from_secs(300);

    /// How CodeDeploy carries out a deployment configuration that it comes with; `None` for other names (DEP-26).
    pub fn code_deploy(configuration: &str, blue_ends_after: SimDuration) -> Option<Self> {
        let minutes = SimDuration::from_mins;
        let strategy = match configuration.strip_prefix("CodeDeployDefault.").unwrap_or(configuration) {
            "ECSAllAtOnce" => DeploymentStrategy::BlueGreen,
            "ECSLinear10PercentEvery1Minutes" => DeploymentStrategy::Linear { step_permille: 100, bake: minutes(1) },
            "ECSLinear10PercentEvery3Minutes" => DeploymentStrategy::Linear { step_permille: 100, bake: minutes(3) },
            "ECSCanary10Percent5Minutes" => DeploymentStrategy::Canary { permille: 100, bake: minutes(5) },
            "ECSCanary10Percent15Minutes" => DeploymentStrategy::Canary { permille: 100, bake: minutes(15) },
            _ => return None,
        };
        Some(Self { strategy, bake: blue_ends_after, hooks: Vec::new(), code_deploy: true })
    }

    /// Names of the deployment configurations that CodeDeploy comes with.
    pub const CODE_DEPLOY_CONFIGURATIONS: [&'static str; 5] = [
        "CodeDeployDefault.ECSAllAtOnce",
        "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
        "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
        "CodeDeployDefault.ECSCanary10Percent5Minutes",
        "CodeDeployDefault.ECSCanary10Percent15Minutes",
    ];

    /// The steps of the shift. Without a balancer or Service Connect there is no traffic to move: the stages of the shift
    /// pass at once (DEP-20).
    pub fn steps(&self, traffic_is_managed: bool) -> Vec<(u32, SimDuration)> {
        if traffic_is_managed { self.strategy.steps() } else { DeploymentStrategy::BlueGreen.steps() }
    }

    /// How long a stage may last, but for hooks that may take longer.
    pub fn limit(&self, stage: LifecycleStage) -> SimDuration {
        if self.code_deploy && stage == LifecycleStage::ScaleUp { Self::CODE_DEPLOY_SCALE_UP } else { STAGE_LIMIT }
    }

    /// How long green tasks may be missing while traffic moves; `None` for as long as the stage lasts.
    pub fn patience(&self) -> Option<SimDuration> {
        self.code_deploy.then_some(Self::CODE_DEPLOY_UNSTEADY)
    }

    /// The rule that says how its traffic moves.
    pub fn rule(&self) -> &'static str {
        if self.code_deploy { "DEP-26" } else { self.strategy.rule() }
    }
}

/// A stage of a deployment with a second set of tasks, in the order they come (DEP-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifecycleStage {
    /// Whatever belongs to neither revision goes; only when there is such a thing.
    ReconcileService,
    /// Before the new tasks start.
    PreScaleUp,
    /// The new tasks start.
    ScaleUp,
    /// They are there.
    PostScaleUp,
    /// Test traffic moves; nobody's here, so that only hooks take time.
    TestTrafficShift,
    /// It has moved.
    PostTestTrafficShift,
    /// Before each step of the production traffic.
    PreProductionTrafficShift,
    /// Each step, until it has baked.
    ProductionTrafficShift,
    /// All of it has moved.
    PostProductionTrafficShift,
    /// Both sets of tasks run (DEP-23).
    BakeTime,
    /// The old tasks go.
    CleanUp,
}

impl LifecycleStage {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::ReconcileService,
        Self::PreScaleUp,
        Self::ScaleUp,
        Self::PostScaleUp,
        Self::TestTrafficShift,
        Self::PostTestTrafficShift,
        Self::PreProductionTrafficShift,
        Self::ProductionTrafficShift,
        Self::PostProductionTrafficShift,
        Self::BakeTime,
        Self::CleanUp,
    ];

    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReconcileService => "RECONCILE_SERVICE",
            Self::PreScaleUp => "PRE_SCALE_UP",
            Self::ScaleUp => "SCALE_UP",
            Self::PostScaleUp => "POST_SCALE_UP",
            Self::TestTrafficShift => "TEST_TRAFFIC_SHIFT",
            Self::PostTestTrafficShift => "POST_TEST_TRAFFIC_SHIFT",
            Self::PreProductionTrafficShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            Self::ProductionTrafficShift => "PRODUCTION_TRAFFIC_SHIFT",
            Self::PostProductionTrafficShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            Self::BakeTime => "BAKE_TIME",
            Self::CleanUp => "CLEAN_UP",
        }
    }

    /// The stage after it.
    pub fn next(self) -> Self {
        let place = Self::ALL.iter().position(|stage| *stage == self).unwrap_or(0);
        Self::ALL[(place + 1).min(Self::ALL.len() - 1)]
    }

    /// Whether hooks may be put here (DEP-22).
    pub const fn takes_hooks(self) -> bool {
        !matches!(self, Self::ScaleUp | Self::BakeTime | Self::CleanUp)
    }

    /// Whether a PAUSE may be put here: not while traffic moves (DEP-22).
    pub const fn takes_pauses(self) -> bool {
        self.takes_hooks() && !matches!(self, Self::TestTrafficShift | Self::ProductionTrafficShift)
    }
}

/// Where a deployment is on its way (DEP-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nowhere: a rolling deployment, or a first one, or one that is done.
    Rolling,
    /// It runs a second set of tasks beside the `blue` one.
    Staged {
        /// Number of the deployment that was in production when it began.
        blue: u32,
        /// The stage.
        at: LifecycleStage,
        /// Since when.
        since: SimTime,
        /// Position of the step of the shift.
        step: usize,
        /// Since when green tasks have been missing (DEP-26).
        missing_since: Option<SimTime>,
    },
}

impl Stage {
    /// The first stage of a deployment beside `blue`.
    pub const fn first(blue: u32, reconciles: bool, now: SimTime) -> Self {
        let at = if reconciles { LifecycleStage::ReconcileService } else { LifecycleStage::PreScaleUp };
        Self::Staged { blue, at, since: now, step: 0, missing_since: None }
    }

    /// The deployment that was in production when this one began.
    pub const fn blue(self) -> Option<u32> {
        match self {
            Self::Rolling => None,
            Self::Staged { blue, .. } => Some(blue),
        }
    }

    /// The stage, unless it just rolls.
    pub const fn at(self) -> Option<LifecycleStage> {
        match self {
            Self::Rolling => None,
            Self::Staged { at, .. } => Some(at),
        }
    }
}

/// An entry of `lifecycleHooks` (DEP-22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleHook {
    /// What its messages call it: the Lambda function, or `PAUSE`.
    pub name: String,
    /// `lifecycleStages`.
    pub stages: Vec<LifecycleStage>,
    /// What it waits for.
    pub target: HookTarget,
    /// `timeoutConfiguration.timeoutInMinutes`, 1440 unless said.
    pub timeout: SimDuration,
    /// `timeoutConfiguration.action: CONTINUE` instead of ROLLBACK.
    pub continues_on_timeout: bool,
}

impl LifecycleHook {
    /// `timeoutInMinutes` unless said.
    pub const DEFAULT_TIMEOUT: SimDuration = SimDuration::from_mins(1440);

    /// What a Lambda function answers when it is asked for the `asked`-th time, from 0; the last answer stays.
    pub fn answer(&self, asked: usize) -> Option<HookAnswer> {
        match &self.target {
            HookTarget::Lambda(answers) => {
                let last = answers.len().checked_sub(1);
                Some(last.map_or(HookAnswer::Succeeded, |last| answers[asked.min(last)]))
            }
            HookTarget::Pause => None,
        }
    }
}

/// `targetType` of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookTarget {
    /// AWS_LAMBDA: a function, and what it answers call by call. Without answers it succeeds at once.
    Lambda(Vec<HookAnswer>),
    /// PAUSE: ContinueServiceDeployment, or the time-out.
    Pause,
}

/// `hookStatus`, as a Lambda function answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookAnswer {
    /// Go on.
    Succeeded,
    /// Go back.
    Failed,
    /// Ask again.
    InProgress,
}

/// A hook that holds a deployment at its present stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingHook {
    /// Its place among the hooks of the deployment.
    pub hook: usize,
    /// How often its Lambda function has been asked.
    pub asked: usize,
    /// When it is asked next; never for a PAUSE.
    pub due: Option<SimTime>,
    /// When it times out.
    pub expires: SimTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dep_24_and_25_steps_end_at_all_the_traffic() {
        let minutes = SimDuration::from_mins;
        let shares = |strategy: DeploymentStrategy| -> Vec<u32> {
            strategy.steps().into_iter().map(|(share, _)| share).collect()
        };
        let linear = |step_permille| DeploymentStrategy::Linear { step_permille, bake: minutes(6) };
        assert_eq!(shares(linear(100)), [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
        assert_eq!(shares(linear(333)), [333, 666, 999, 1000]);
        assert_eq!(shares(linear(1000)), [1000]);
        assert_eq!(shares(DeploymentStrategy::Canary { permille: 50, bake: minutes(10) }), [50, 1000]);
        assert_eq!(shares(DeploymentStrategy::Canary { permille: 1000, bake: minutes(10) }), [1000]);
    }

    #[test]
    fn dep_21_stages_follow_each_other_and_the_last_stays() {
        let mut stage = LifecycleStage::ReconcileService;
        for expected in &LifecycleStage::ALL[1..] {
            stage = stage.next();
            assert_eq!(stage, *expected);
        }
        assert_eq!(stage.next(), LifecycleStage::CleanUp);
    }

    #[test]
    fn dep_22_a_pause_has_no_place_where_traffic_moves() {
        let pauses: Vec<&str> =
            LifecycleStage::ALL.iter().filter(|stage| stage.takes_pauses()).map(|stage| stage.as_str()).collect();
        assert_eq!(
            pauses,
            [
                "RECONCILE_SERVICE",
                "PRE_SCALE_UP",
                "POST_SCALE_UP",
                "POST_TEST_TRAFFIC_SHIFT",
                "PRE_PRODUCTION_TRAFFIC_SHIFT",
                "POST_PRODUCTION_TRAFFIC_SHIFT"
            ]
        );
        assert!(LifecycleStage::ProductionTrafficShift.takes_hooks() && !LifecycleStage::BakeTime.takes_hooks());
    }

    #[test]
    fn dep_26_code_deploy_moves_a_tenth_at_a_time_or_a_tenth_first() {
        let plan = |name: &str| ShiftPlan::code_deploy(name, SimDuration::from_mins(60));
        let steps = plan("CodeDeployDefault.ECSLinear10PercentEvery3Minutes").unwrap().steps(true);
        let until_all = steps[1..].iter().fold(SimDuration::ZERO, |sum, _| sum + steps[0].1);
        assert_eq!((steps[0].0, steps.len(), until_all), (100, 10, SimDuration::from_mins(27)), "EX-DEP-33");
        assert_eq!(plan("ECSCanary10Percent5Minutes").unwrap().steps(true)[0], (100, SimDuration::from_mins(5)));
        assert_eq!(plan("ECSHalfAtOnce"), None);
        assert!(ShiftPlan::CODE_DEPLOY_CONFIGURATIONS.iter().all(|name| plan(name).is_some()));
    }
}
