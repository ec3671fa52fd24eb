//! Why a host without work is still there: what keeps it, in the order in which the mechanism asks.
//!
//! A host is idle while it is billed and no task but daemons is bound to it. Every second of it has exactly one
//! [`IdleCause`]: the first of them that holds. The order follows the way that a host has to go: it must be there and
//! ready, nothing else may hold its group, the metric must fall below the target, the low alarm must go off, its pauses
//! must be over, and then its turn must come.

use std::fmt;

use crate::engine::time::SimTime;

/// Why an idle host is there; `idle_<cause>_usd`. In order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdleCause {
    /// It is on its way out: DRAINING, or held in a Terminating state (DRN-2, DRN-3, ASG-13).
    Draining,
    /// Somebody set it aside: Standby or detached, still billed (ASG-20).
    Standby,
    /// It waits in the group's warm pool with its machine running (ASG-41).
    WarmPool,
    /// It is billed and not in service yet, or its agent has not registered (EC2-20, CAS-35).
    Boot,
    /// The desired capacity is below the group's size, and the host is protected from scale-in (TP-5).
    TerminationProtection,
    /// A process of the group is suspended that would take it away (ASG-43).
    Suspended,
    /// The group holds more than it wants while it replaces others: launched ahead, or not to go yet (ASG-11).
    Replacement,
    /// Zones are evened out: hosts are launched ahead (ASG-9), or a busy host of a fuller zone went instead (ASG-4).
    AzBalance,
    /// The group is at its `MinSize`: nobody may take a host (ASG-1).
    MinSize,
    /// Tasks of its provider wait, and it is not for them, or they have not been placed yet: empty hosts do not
    /// reduce what managed scaling asks for (CAS-8, PRV-5).
    WaitingTasks,
    /// Nobody removes it: its group has no managed scaling, and daemons keep it reserved (CAS-6, LEG-1).
    DaemonOnly,
    /// Nobody removes it: its group has no managed scaling (CAS-21).
    Unmanaged,
    /// A target capacity below 100 % keeps spare hosts (CAS-19).
    TargetCapacity,
    /// The low alarm has not seen its 15 datapoints below the target (CAS-22, CAS-29).
    AlarmWindow,
    /// The 15 minutes after a scale-out are not over (CAS-30).
    Cooldown,
    /// Another host of the group still warms up (CAS-30).
    WarmUp,
    /// Scale-in is under way and takes its steps: at most half a minute's hosts, then the group's reaction (CAS-28).
    ScaleInStep,
}

impl IdleCause {
    /// All of them, in order of precedence.
    pub const ALL: [Self; 17] = [
        Self::Draining,
        Self::Standby,
        Self::WarmPool,
        Self::Boot,
        Self::TerminationProtection,
        Self::Suspended,
        Self::Replacement,
        Self::AzBalance,
        Self::MinSize,
        Self::WaitingTasks,
        Self::DaemonOnly,
        Self::Unmanaged,
        Self::TargetCapacity,
        Self::AlarmWindow,
        Self::Cooldown,
        Self::WarmUp,
        Self::ScaleInStep,
    ];

    /// Its name in keys and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Standby => "standby",
            Self::WarmPool => "warm_pool",
            Self::Boot => "boot",
            Self::TerminationProtection => "termination_protection",
            Self::Suspended => "suspended",
            Self::Replacement => "replacement",
            Self::AzBalance => "az_balance",
            Self::MinSize => "min_size",
            Self::WaitingTasks => "waiting_tasks",
            Self::DaemonOnly => "daemon_only",
            Self::Unmanaged => "unmanaged",
            Self::TargetCapacity => "target_capacity",
            Self::AlarmWindow => "alarm_window",
            Self::Cooldown => "cooldown",
            Self::WarmUp => "warm_up",
            Self::ScaleInStep => "scale_in_step",
        }
    }

    /// The cause called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }

    /// The rule that keeps the host.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Draining => "DRN-3",
            Self::Standby => "ASG-20",
            Self::WarmPool => "ASG-41",
            Self::Boot => "EC2-20",
            Self::TerminationProtection => "TP-5",
            Self::Suspended => "ASG-43",
            Self::Replacement => "ASG-11",
            Self::AzBalance => "ASG-4",
            Self::MinSize => "ASG-1",
            Self::WaitingTasks => "CAS-8",
            Self::DaemonOnly => "CAS-6",
            Self::Unmanaged => "CAS-21",
            Self::TargetCapacity => "CAS-19",
            Self::AlarmWindow => "CAS-22",
            Self::Cooldown | Self::WarmUp => "CAS-30",
            Self::ScaleInStep => "CAS-28",
        }
    }

    /// For people, after "idle: ".
    pub const fn label(self) -> &'static str {
        match self {
            Self::Draining => "leaving",
            Self::Standby => "set aside",
            Self::WarmPool => "in the warm pool",
            Self::Boot => "booting",
            Self::TerminationProtection => "termination protection",
            Self::Suspended => "process suspended",
            Self::Replacement => "replacement under way",
            Self::AzBalance => "zone balance",
            Self::MinSize => "minimum size",
            Self::WaitingTasks => "waiting tasks not on it yet",
            Self::DaemonOnly => "daemons only, unmanaged",
            Self::Unmanaged => "no managed scaling",
            Self::TargetCapacity => "target capacity below 100 %",
            Self::AlarmWindow => "low alarm's 15 minutes",
            Self::Cooldown => "pause after a scale-out",
            Self::WarmUp => "another host warms up",
            Self::ScaleInStep => "scale-in under way",
        }
    }

    /// Why the host stayed, as the end of a sentence.
    pub const fn because(self) -> &'static str {
        match self {
            Self::Draining => "it was on its way out and its last tasks or hooks held it",
            Self::Standby => "somebody had set it aside",
            Self::WarmPool => "it waited in the warm pool, running",
            Self::Boot => "it was booting: not in service, or its agent not registered",
            Self::TerminationProtection => "the group wanted fewer hosts, but this one was protected from scale-in",
            Self::Suspended => "the process that would have taken it away was suspended",
            Self::Replacement => "the group held more hosts than it wanted while it replaced others",
            Self::AzBalance => "zones were evened out first",
            Self::MinSize => "the group was at its minimum size",
            Self::WaitingTasks => "tasks waited for capacity, and this host did not help them yet",
            Self::DaemonOnly => "nobody removes it: daemons keep it reserved, and its group has no managed scaling",
            Self::Unmanaged => "nobody removes it: its group has no managed scaling",
            Self::TargetCapacity => "the target capacity below 100 % asks for spare hosts",
            Self::AlarmWindow => "the low alarm had not seen its 15 datapoints below the target",
            Self::Cooldown => "the 15 minutes after the last scale-out were not over",
            Self::WarmUp => "another host of the group was still warming up",
            Self::ScaleInStep => "scale-in was under way, and its turn had not come",
        }
    }
}

impl fmt::Display for IdleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What matters of an idle host itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostView {
    /// DRAINING or terminating.
    pub leaving: bool,
    /// In Standby, or detached.
    pub set_aside: bool,
    /// In the warm pool of its group.
    pub warmed: bool,
    /// In service, and its agent has registered.
    pub ready: bool,
    /// Protected from scale-in.
    pub protected: bool,
    /// A busy host of a fuller zone went in its stead (ASG-4).
    pub passed_over: bool,
    /// Daemons run on it.
    pub daemons: bool,
}

/// What matters of its group; equal views give equal causes, and [reduced](GroupView::reduced) ones rarely change without
/// the causes changing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupView {
    /// The group holds more than it wants: somebody has to go (TP-5).
    pub surplus: bool,
    /// `Terminate` or, with managed scaling, `AlarmNotification` is suspended.
    pub suspended: bool,
    /// It holds hosts ahead of replacements.
    pub replacing: bool,
    /// It holds hosts ahead of moves between zones.
    pub moving: bool,
    /// The desired capacity is the minimum.
    pub at_min: bool,
    /// With managed scaling.
    pub managed: Option<ManagedView>,
}

/// What managed scaling makes of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagedView {
    /// Tasks wait for capacity.
    pub waiting: bool,
    /// The newest metric asks for fewer hosts than are desired (CAS-28).
    pub wants_fewer: bool,
    /// The target capacity is below 100 %.
    pub spare: bool,
    /// The low alarm is in ALARM.
    pub low_alarm: bool,
    /// End of the pause after a scale-out.
    pub cooldown_until: Option<SimTime>,
    /// When the youngest host is warm.
    pub warm_at: Option<SimTime>,
}

impl GroupView {
    /// The view without what cannot matter, as something that comes first decides: a group whose hosts boot one after the
    /// other then changes its view once, not once a host.
    #[must_use]
    pub fn reduced(self) -> Self {
        let nothing = Self::default();
        if self.surplus {
            return Self { surplus: true, suspended: self.suspended, ..nothing };
        }
        if self.moving {
            return Self { moving: true, ..nothing };
        }
        if self.replacing {
            return Self { replacing: true, ..nothing };
        }
        if self.at_min {
            return Self { at_min: true, ..nothing };
        }
        let Some(managed) = self.managed else { return nothing };
        let fewer = ManagedView { wants_fewer: true, low_alarm: true, ..ManagedView::default() };
        let (suspended, managed) = if managed.waiting {
            (false, ManagedView { waiting: true, ..ManagedView::default() })
        } else if !managed.wants_fewer {
            (false, ManagedView { spare: managed.spare, ..ManagedView::default() })
        } else if !managed.low_alarm {
            (false, ManagedView::default())
        } else if self.suspended {
            (true, fewer)
        } else {
            (false, ManagedView { cooldown_until: managed.cooldown_until, warm_at: managed.warm_at, ..fewer })
        };
        Self { suspended, managed: Some(managed), ..nothing }
    }
}

/// Why an idle host is there at `now`, and until when at the latest if nothing but time goes by.
pub fn cause(host: &HostView, group: &GroupView, now: SimTime) -> (IdleCause, Option<SimTime>) {
    let ahead = |end: Option<SimTime>| end.filter(|end| now < *end);
    let cause = if host.leaving {
        IdleCause::Draining
    } else if host.set_aside {
        IdleCause::Standby
    } else if host.warmed {
        IdleCause::WarmPool
    } else if !host.ready {
        IdleCause::Boot
    } else if group.surplus && group.suspended {
        IdleCause::Suspended
    } else if group.surplus && host.protected {
        IdleCause::TerminationProtection
    } else if group.surplus {
        IdleCause::ScaleInStep
    } else if group.moving || host.passed_over {
        IdleCause::AzBalance
    } else if group.replacing {
        IdleCause::Replacement
    } else if group.at_min {
        IdleCause::MinSize
    } else if let Some(managed) = &group.managed {
        if managed.waiting {
            IdleCause::WaitingTasks
        } else if !managed.wants_fewer && managed.spare {
            IdleCause::TargetCapacity
        } else if !managed.wants_fewer || !managed.low_alarm {
            IdleCause::AlarmWindow
        } else if group.suspended {
            IdleCause::Suspended
        } else if let Some(end) = ahead(managed.cooldown_until) {
            return (IdleCause::Cooldown, Some(end));
        } else if let Some(end) = ahead(managed.warm_at) {
            return (IdleCause::WarmUp, Some(end));
        } else {
            IdleCause::ScaleInStep
        }
    } else if host.daemons {
        IdleCause::DaemonOnly
    } else {
        IdleCause::Unmanaged
    };
    (cause, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SimTime = SimTime::from_secs(1000);

    fn ready() -> HostView {
        HostView { ready: true, ..HostView::default() }
    }

    /// A provider whose low alarm is in ALARM, with nothing else in the way.
    fn scaling_in() -> ManagedView {
        ManagedView {
            waiting: false,
            wants_fewer: true,
            spare: false,
            low_alarm: true,
            cooldown_until: None,
            warm_at: None,
        }
    }

    fn managed(view: ManagedView) -> GroupView {
        GroupView { managed: Some(view), ..GroupView::default() }
    }

    #[test]
    fn a_reduced_view_gives_the_same_causes() {
        let times = [None, Some(NOW), Some(NOW + crate::engine::time::SimDuration::MINUTE)];
        let bit = |bits: u32, place: u32| bits >> place & 1 == 1;
        for bits in 0..1u32 << 10 {
            for (cooldown_until, warm_at) in times.into_iter().flat_map(|a| times.map(|b| (a, b))) {
                let managed = ManagedView {
                    waiting: bit(bits, 0),
                    wants_fewer: bit(bits, 1),
                    spare: bit(bits, 2),
                    low_alarm: bit(bits, 3),
                    cooldown_until,
                    warm_at,
                };
                let view = GroupView {
                    surplus: bit(bits, 4),
                    suspended: bit(bits, 5),
                    replacing: bit(bits, 6),
                    moving: bit(bits, 7),
                    at_min: bit(bits, 8),
                    managed: bit(bits, 9).then_some(managed),
                };
                assert_eq!(view.reduced().reduced(), view.reduced(), "{view:?}");
                for bits in 0..8 {
                    let host = HostView {
                        protected: bit(bits, 0),
                        passed_over: bit(bits, 1),
                        daemons: bit(bits, 2),
                        ..ready()
                    };
                    assert_eq!(cause(&host, &view.reduced(), NOW), cause(&host, &view, NOW), "{host:?} {view:?}");
                }
            }
        }
    }

    #[test]
    fn each_cause_has_its_own_situation() {
        use IdleCause as C;
        let (host, way) = (ready(), scaling_in());
        let later = Some(NOW + crate::engine::time::SimDuration::MINUTE);
        let surplus = GroupView { surplus: true, ..managed(way) };
        let cases = [
            (HostView { leaving: true, ..host }, managed(way), C::Draining),
            (HostView { set_aside: true, ..host }, managed(way), C::Standby),
            (HostView { warmed: true, ready: false, ..host }, managed(way), C::WarmPool),
            (HostView { ready: false, ..host }, managed(way), C::Boot),
            (HostView { protected: true, ..host }, surplus, C::TerminationProtection),
            (host, GroupView { suspended: true, ..surplus }, C::Suspended),
            (host, surplus, C::ScaleInStep),
            (host, GroupView { replacing: true, ..managed(way) }, C::Replacement),
            (host, GroupView { moving: true, ..managed(way) }, C::AzBalance),
            (HostView { passed_over: true, ..host }, managed(way), C::AzBalance),
            (host, GroupView { at_min: true, ..managed(way) }, C::MinSize),
            (host, managed(ManagedView { waiting: true, ..way }), C::WaitingTasks),
            (HostView { daemons: true, ..host }, GroupView::default(), C::DaemonOnly),
            (host, GroupView::default(), C::Unmanaged),
            (host, managed(ManagedView { wants_fewer: false, spare: true, ..way }), C::TargetCapacity),
            (host, managed(ManagedView { wants_fewer: false, ..way }), C::AlarmWindow),
            (host, managed(ManagedView { low_alarm: false, ..way }), C::AlarmWindow),
            (host, managed(ManagedView { cooldown_until: later, ..way }), C::Cooldown),
            (host, managed(ManagedView { warm_at: later, ..way }), C::WarmUp),
            (host, managed(way), C::ScaleInStep),
            (HostView { daemons: true, ..host }, managed(way), C::ScaleInStep),
        ];
        for (host, group, expected) in cases {
            assert_eq!(cause(&host, &group, NOW).0, expected, "{host:?} {group:?}");
        }
        let met: std::collections::BTreeSet<C> = cases.iter().map(|case| case.2).collect();
        assert_eq!(met.len(), C::ALL.len(), "every cause is met");
    }

    #[test]
    fn what_only_time_ends_says_when() {
        let end = SimTime::from_secs(1060);
        let group = managed(ManagedView { cooldown_until: Some(end), warm_at: Some(NOW), ..scaling_in() });
        assert_eq!(cause(&ready(), &group, NOW), (IdleCause::Cooldown, Some(end)));
        assert_eq!(cause(&ready(), &group, end), (IdleCause::ScaleInStep, None), "what has ended holds nothing");
    }

    #[test]
    fn names_are_their_own_and_rules_exist() {
        for cause in IdleCause::ALL {
            assert_eq!(IdleCause::named(cause.as_str()), Some(cause));
            assert!(crate::rules::find(cause.rule()).is_some(), "{cause}");
        }
    }
}
