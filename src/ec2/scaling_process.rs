//! The processes of a group, each of which can be suspended (ASG-43).

use std::fmt;
use std::str::FromStr;

/// A process of a group that can be suspended (ASG-43).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScalingProcess {
    /// `Launch`: no instance is added.
    Launch,
    /// `Terminate`: none is removed.
    Terminate,
    /// `AddToLoadBalancer`.
    AddToLoadBalancer,
    /// `AlarmNotification`: policies are ignored.
    AlarmNotification,
    /// `AZRebalance`: no rebalancing; scaling still balances.
    AzRebalance,
    /// `HealthCheck`.
    HealthCheck,
    /// `InstanceRefresh`.
    InstanceRefresh,
    /// `ReplaceUnhealthy`.
    ReplaceUnhealthy,
    /// `ScheduledActions`: missed ones are lost.
    ScheduledActions,
}

impl ScalingProcess {
    /// Every process: what a call that names none means.
    pub const ALL: [Self; 9] = [
        Self::Launch,
        Self::Terminate,
        Self::AddToLoadBalancer,
        Self::AlarmNotification,
        Self::AzRebalance,
        Self::HealthCheck,
        Self::InstanceRefresh,
        Self::ReplaceUnhealthy,
        Self::ScheduledActions,
    ];

    /// AWS's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Launch => "Launch",
            Self::Terminate => "Terminate",
            Self::AddToLoadBalancer => "AddToLoadBalancer",
            Self::AlarmNotification => "AlarmNotification",
            Self::AzRebalance => "AZRebalance",
            Self::HealthCheck => "HealthCheck",
            Self::InstanceRefresh => "InstanceRefresh",
            Self::ReplaceUnhealthy => "ReplaceUnhealthy",
            Self::ScheduledActions => "ScheduledActions",
        }
    }
}

impl fmt::Display for ScalingProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scaling process; AWS knows {all}", all = ScalingProcess::ALL.map(ScalingProcess::name).join(", "))]
pub struct UnknownProcess(pub String);

impl FromStr for ScalingProcess {
    type Err = UnknownProcess;

    fn from_str(name: &str) -> Result<Self, UnknownProcess> {
        Self::ALL.into_iter().find(|process| process.name() == name).ok_or_else(|| UnknownProcess(name.to_owned()))
    }
}
