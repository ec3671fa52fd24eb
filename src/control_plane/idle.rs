//! What the state says of why an idle host is still there: the views that [`crate::scaling::idle`] judges.

use crate::control_plane::state::State;
use crate::ec2::auto_scaling_group::ScalingProcess;
use crate::ec2::instance::{Instance, Lifecycle};
use crate::ecs::container_instance::ContainerInstanceStatus;
use crate::ecs::ids::GroupId;
use crate::scaling::alarm::AlarmState;
use crate::scaling::idle::{GroupView, HostView, ManagedView};
use crate::scaling::managed_scaling::{SCALE_IN_PAUSE, wanted_size};

impl State {
    /// What matters of an instance for the cause of its idleness.
    pub fn idle_host(&self, instance: &Instance) -> HostView {
        let host = self.container_instance(instance);
        let lifecycle = instance.lifecycle();
        let draining = host.is_some_and(|host| host.status == ContainerInstanceStatus::Draining);
        HostView {
            leaving: draining || lifecycle.is_terminating(),
            set_aside: matches!(
                lifecycle,
                Lifecycle::EnteringStandby | Lifecycle::Standby | Lifecycle::Detaching | Lifecycle::Detached
            ),
            warmed: lifecycle.is_warmed(),
            ready: host.is_some() && lifecycle == Lifecycle::InService,
            protected: instance.is_protected(),
            passed_over: instance.passed_over,
            daemons: host.is_some_and(|host| host.tasks.values().any(|bound| bound.daemon)),
        }
    }

    /// What matters of a group, and of the managed scaling behind it.
    pub fn idle_group(&self, id: GroupId) -> GroupView {
        let group = &self.groups[id.index()];
        let provider = self.providers.iter().find(|provider| provider.group == id);
        let managed = provider.and_then(|provider| {
            let settings = provider.definition.managed_scaling?;
            let target = settings.target_capacity.max(1);
            let wanted = provider.reservation.map(|seen| wanted_size(seen.percent, group.desired(), target));
            let low = provider.low_alarm.map(|alarm| self.alarms[alarm.index()].alarm.state);
            Some(ManagedView {
                waiting: !provider.waiting.is_empty(),
                wants_fewer: wanted.is_some_and(|wanted| wanted < u64::from(group.desired())),
                spare: target < 100,
                low_alarm: low == Some(AlarmState::Alarm),
                cooldown_until: group.last_scale_out.map(|out| out.saturating_add(SCALE_IN_PAUSE)),
                warm_at: group.youngest_launch().map(|launch| launch.saturating_add(settings.instance_warmup)),
            })
        });
        GroupView {
            surplus: group.surplus() > 0,
            suspended: group.is_suspended(ScalingProcess::Terminate)
                || managed.is_some() && group.is_suspended(ScalingProcess::AlarmNotification),
            replacing: group.ahead() > 0,
            moving: group.moving() > 0,
            at_min: group.desired() <= group.min(),
            managed,
        }
        .reduced()
    }
}
