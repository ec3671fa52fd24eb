//! Managed scaling at work: the metric of each capacity provider, its alarms, its actions on the group (CAS-*, TP-*).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::control_plane::alarms::{ActionTarget, AlarmActions};
use crate::control_plane::event::Event;
use crate::control_plane::explain;
use crate::control_plane::hosts;
use crate::control_plane::record::Resource;
use crate::control_plane::scaling_log::evidence;
use crate::ec2::auto_scaling_group::ScalingProcess;
use crate::ec2::instance::Lifecycle;
use crate::ecs::container_instance::{ContainerInstance, reserved_tcp_ports};
use crate::ecs::ids::{AlarmId, GroupId, InstanceId, ProfileId, ProviderId, ShapeId};
use crate::ecs::task_definition::OperatingSystem;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::placement::constraint::Constraint;
use crate::scaling::alarm::{Evaluation, MetricKey};
use crate::scaling::managed_scaling::{
    self, HostShape, ManagedGroupView, ProviderView, Reservation, WaitingGroup, hypothetical_hosts,
};
use crate::scaling::metric::{Publication, SeriesId, StatisticSet};
use crate::scaling::policy::Verdict;

/// What managed scaling keeps of one capacity provider.
#[derive(Debug)]
pub(super) struct ManagedScalingRuntime {
    series: SeriesId,
    /// Its two alarms.
    pub(super) alarms: [AlarmId; 2],
    /// `Small` and `Large` of the group's types (CAS-11).
    hosts: (HostShape, HostShape),
    /// The newest values with the time of their tick, exact: an action uses the last one in the datapoint that its alarm
    /// has seen.
    recent: VecDeque<(SimTime, Reservation)>,
    /// Whether a fresh host of the group would satisfy the constraints of a profile (CAS-16).
    template_matches: BTreeMap<ProfileId, bool>,
}

/// How long a tick is kept beyond the delays until an alarm acts on it: its own minute, and that of the alarm.
const RECENT: SimDuration = SimDuration::from_mins(2);

impl ControlPlane<'_> {
    /// A capacity provider with managed scaling gets its metric and its two alarms (CAS-1, CAS-22).
    pub(super) fn start_managed_scaling(&mut self, id: ProviderId, schedule: &mut Schedule<Event>) {
        let behaviour = &self.estate.behaviour;
        let hosts = self.managed_hosts(id);
        let provider = &self.state.providers[id.index()];
        let group = &self.state.groups[provider.group.index()];
        let (Some(settings), Some(hosts)) = (provider.definition.managed_scaling, hosts) else {
            return;
        };
        let cluster = self.state.cluster_name(provider.cluster).to_owned();
        let name = provider.definition.name.clone();
        let series = self.cloudwatch.store.intern(&MetricKey::capacity_provider_reservation(&cluster, &name));
        self.cloudwatch
            .store
            .publish(series, Publication::after_start(behaviour.cas_period, behaviour.cas_publish_delay));
        let chance = std::array::from_fn(|_| self.alarm_chance.next_u64());
        let (high, low) =
            managed_scaling::reservation_alarms(&group.definition.name, &cluster, &name, &settings, chance);
        // CAS-35: the alarms look at each datapoint a fixed time after it shows, not at a tick of their own.
        let phase = behaviour.cas_publish_delay + behaviour.alarm_eval_delay;
        let alarms = [(high, true), (low, false)].map(|(definition, high)| {
            let actions = AlarmActions::on_alarm(ActionTarget::ManagedScaling { provider: id, high });
            let alarm = self.add_alarm(definition, Some(Resource::Provider(id)), actions, Some(phase), schedule);
            if !high {
                self.state.providers[id.index()].low_alarm = Some(alarm);
            }
            alarm
        });
        if self.managed.len() <= id.index() {
            self.managed.resize_with(id.index() + 1, || None);
        }
        self.managed[id.index()] = Some(ManagedScalingRuntime {
            series,
            alarms,
            hosts,
            recent: VecDeque::new(),
            template_matches: BTreeMap::new(),
        });
        if !std::mem::replace(&mut self.state.providers[id.index()].sampled, true) {
            schedule.at(schedule.now(), Event::ReservationTick(id));
        }
    }

    /// `Small` and `Large` of what the provider's group may launch now (CAS-11, CAS-17).
    fn managed_hosts(&self, id: ProviderId) -> Option<(HostShape, HostShape)> {
        let group = &self.state.groups[self.state.providers[id.index()].group.index()];
        let shapes: Vec<HostShape> = group
            .instance_types()
            .iter()
            // Hosts that cannot register are none (EC2-2).
            .filter_map(|name| hosts::registered_resources(group, name, self.host_settings()).ok())
            .map(|registered| HostShape {
                cpu: registered.cpu,
                memory: registered.memory,
                gpus: registered.gpus,
                eni_slots: registered.eni_slots,
                reserved_tcp_ports: reserved_tcp_ports(OperatingSystem::Linux, self.estate.behaviour.reserve_51680)
                    .to_vec(),
            })
            .collect();
        hypothetical_hosts(&shapes)
    }

    /// The account opts in to `awsvpcTrunking`, or out: hosts launched from now on have a trunk or none (EC2-12), and
    /// managed scaling counts on what they will hold.
    pub(super) fn put_awsvpc_trunking(&mut self, enabled: bool) {
        self.awsvpc_trunking = enabled;
        for place in 0..self.managed.len() {
            let hosts = self.managed_hosts(ProviderId(place as u32));
            if let (Some(runtime), Some(hosts)) = (&mut self.managed[place], hosts) {
                runtime.hosts = hosts;
            }
        }
    }

    /// What a group launches, or where, has changed: what managed scaling knew of its next hosts is out of date (CAS-16).
    pub(super) fn launch_template_changed(&mut self, group: GroupId) {
        let provider = self.groups[group.index()].provider;
        let Some(provider) = provider else { return };
        let hosts = self.managed_hosts(provider);
        if let Some(Some(runtime)) = self.managed.get_mut(provider.index()) {
            runtime.template_matches.clear();
            if let Some(hosts) = hosts {
                runtime.hosts = hosts;
            }
        }
    }

    /// CAS-2…17: the metric of one provider, sampled.
    pub(super) fn on_reservation_tick(&mut self, id: ProviderId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        if self.state.providers[id.index()].deleted.is_some() {
            return;
        }
        schedule.after(self.estate.behaviour.cas_period, Event::ReservationTick(id));
        let waiting = self.waiting_groups(id);
        let provider = &self.state.providers[id.index()];
        let (Some(settings), Some(Some(runtime))) = (provider.definition.managed_scaling, self.managed.get(id.index()))
        else {
            return;
        };
        let (mut instances, mut busy) = (0, 0);
        for host in self.counted_instances(id) {
            instances += 1;
            busy += u32::from(host.busy > 0);
        }
        let group = &self.state.groups[provider.group.index()];
        let view = ProviderView {
            instances,
            busy,
            waiting: &waiting,
            small: &runtime.hosts.0,
            large: &runtime.hosts.1,
            mixed: group.instance_types().len() > 1 || group.zones().len() > 1,
            settings,
        };
        let reservation = managed_scaling::reservation(&view, &self.estate.behaviour);
        let (series, group) = (runtime.series, provider.group);
        self.state.providers[id.index()].reservation = Some(reservation);
        self.outlook_changed(group, now);
        // An alarm that looks now sees the minute that ended this long ago at the latest, or the tick before it.
        let behaviour = &self.estate.behaviour;
        let lag = behaviour.cas_publish_delay.saturating_add(behaviour.alarm_eval_delay).saturating_add(RECENT);
        if let Some(Some(runtime)) = self.managed.get_mut(id.index()) {
            runtime.recent.push_back((now, reservation));
            while runtime.recent.get(1).is_some_and(|(next, _)| next.saturating_add(lag) < now) {
                runtime.recent.pop_front();
            }
        }
        let sample = StatisticSet::of(reservation.percent.as_f64());
        self.publish(series, Resource::Provider(id), "CapacityProviderReservation", now, &sample, now);
    }

    /// CAS-5: ACTIVE or DRAINING container instances whose lifecycle state is InService.
    fn counted_instances(&self, id: ProviderId) -> impl Iterator<Item = &ContainerInstance> {
        let provider = &self.state.providers[id.index()];
        let group = &self.state.groups[provider.group.index()];
        let cluster = &self.state.clusters[provider.cluster.index()].cluster;
        cluster.provider_instances(id).filter_map(move |instance| {
            let in_service = group.instance(instance).is_some_and(|member| member.lifecycle() == Lifecycle::InService);
            cluster.instance(instance).filter(|host| in_service && host.status.counts())
        })
    }

    /// CAS-10: waiting tasks with identical requirements and constraints, counted together.
    fn waiting_groups(&mut self, id: ProviderId) -> Vec<WaitingGroup> {
        let mut kinds: BTreeMap<(ShapeId, ProfileId), u32> = BTreeMap::new();
        for key in self.state.providers[id.index()].waiting.values() {
            let task = &self.state.tasks[*key];
            *kinds.entry((task.shape, task.profile)).or_default() += 1;
        }
        kinds
            .into_iter()
            .map(|((shape, profile), tasks)| WaitingGroup {
                tasks,
                requirements: self.state.requirements(shape).clone(),
                distinct_instance: self.state.profiles[profile.index()]
                    .constraints
                    .iter()
                    .any(|constraint| matches!(constraint, Constraint::DistinctInstance)),
                template_matches: self.template_matches(id, profile),
            })
            .collect()
    }

    /// CAS-16: `memberOf`, zones and platform, judged on what a launch would give: type, zone, custom attributes.
    fn template_matches(&mut self, id: ProviderId, profile_id: ProfileId) -> bool {
        let known = self
            .managed
            .get(id.index())
            .and_then(Option::as_ref)
            .and_then(|runtime| runtime.template_matches.get(&profile_id).copied());
        if let Some(known) = known {
            return known;
        }
        let provider = &self.state.providers[id.index()];
        let group = &self.state.groups[provider.group.index()];
        let cluster = &self.state.clusters[provider.cluster.index()].cluster;
        let profile = &self.state.profiles[profile_id.index()];
        let matches = group.instance_types().iter().any(|instance_type: &Arc<str>| {
            let known = self.estate.instance_type(instance_type);
            let architecture = known.map_or_else(Default::default, |known| known.architecture);
            architecture == profile.architecture
                && group.zones().iter().any(|zone| {
                    if !profile.zones.is_empty() && !profile.zones.contains(zone) {
                        return false;
                    }
                    let registration = hosts::registration(
                        group,
                        // A host that does not exist yet has no id to match; the largest stands for "some new one".
                        InstanceId(u32::MAX),
                        Arc::clone(instance_type),
                        self.host_settings(),
                        (*zone, Arc::clone(&self.state.zones[zone.index()])),
                        Some(id),
                        SimTime::ZERO,
                    );
                    let Ok(registration) = registration else { return false };
                    let host = ContainerInstance::hypothetical(registration);
                    let suits = host.operating_system == profile.operating_system
                        && host.capabilities.cover(profile.capabilities);
                    suits
                        && profile.constraints.iter().all(|constraint| match constraint {
                            Constraint::DistinctInstance => true,
                            Constraint::MemberOf(query) => query.matches(&host, cluster),
                        })
                })
        });
        if let Some(Some(runtime)) = self.managed.get_mut(id.index()) {
            runtime.template_matches.insert(profile_id, matches);
        }
        matches
    }

    /// An alarm of the provider is in ALARM: scale out (CAS-24…27) or in (CAS-28…30).
    pub(super) fn on_reservation_action(
        &mut self,
        id: ProviderId,
        high: bool,
        alarm: AlarmId,
        evaluation: &Evaluation,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let provider = &self.state.providers[id.index()];
        let (group_id, Some(settings)) = (provider.group, provider.definition.managed_scaling) else { return };
        let group = &self.state.groups[group_id.index()];
        if group.is_suspended(ScalingProcess::AlarmNotification) {
            return;
        }
        let (Some(seen), Some(Some(runtime))) = (evaluation.newest(), self.managed.get(id.index())) else { return };
        let seen_until = seen.start.saturating_add(SimDuration::MINUTE);
        let in_sight = runtime.recent.iter().rev().find(|(tick, _)| *tick < seen_until);
        let Some((_, reservation)) = in_sight.copied() else { return };
        let warm_since = |joined: SimTime| now.saturating_since(joined) < settings.instance_warmup;
        let alive = || group.instances().filter(|instance| instance.lifecycle().counts_against_desired());
        let view = ManagedGroupView {
            desired: group.desired(),
            min: group.min(),
            max: group.max(),
            // ASG-41: one that was taken from the warm pool is as young as that.
            warming: alive().filter(|instance| warm_since(instance.joined)).count() as u32,
            youngest_launch: alive().map(|instance| instance.joined).max(),
            last_scale_out: group.last_scale_out,
        };
        let behaviour = &self.estate.behaviour;
        let verdict = if high {
            managed_scaling::scale_out(reservation.percent, &view, &settings, behaviour, now)
        } else {
            managed_scaling::scale_in(reservation.percent, &view, &settings, behaviour, now)
        };
        self.decide_scaling(
            Resource::Provider(id),
            "managed-scaling",
            view.desired,
            &verdict,
            |state| {
                let alarm = &state.alarms[alarm.index()].alarm.definition;
                let mut evidence = evidence(alarm, &evaluation.datapoints, None);
                let numbers = reservation.inputs();
                evidence.extend(numbers.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
                evidence.insert("metric_rule".to_owned(), json!(reservation.rule()));
                evidence.insert("group".to_owned(), json!(state.groups[group_id.index()].definition.name));
                if high {
                    evidence.insert("waiting".to_owned(), json!(explain::waiting_kinds(state, id)));
                }
                evidence
            },
            now,
        );
        if !high {
            self.unprotect_empty_instances(id, schedule);
        }
        if let Verdict::SetDesired { to, .. } = verdict {
            let alarm = if high { "above" } else { "below" };
            let cause = format!(
                "CapacityProviderReservation {} {alarm} target {}: instances needed {}, there {}; changing the desired \
                 capacity from {} to {to}",
                reservation.percent, settings.target_capacity, reservation.needed, reservation.instances, view.desired
            );
            self.set_group_desired(group_id, to, cause, schedule);
        }
    }

    /// TP-2, TP-3: while a scale-in is wanted, every host without a non-daemon task loses its protection.
    fn unprotect_empty_instances(&mut self, id: ProviderId, schedule: &mut Schedule<Event>) {
        let provider = &self.state.providers[id.index()];
        if !provider.definition.managed_termination_protection {
            return;
        }
        let group = provider.group;
        let empty: Vec<InstanceId> =
            self.counted_instances(id).filter(|host| host.non_daemon == 0).map(|host| host.id).collect();
        for instance in empty {
            self.set_protection(instance, false, schedule.now());
        }
        // TP-5: an earlier reduction may have waited for exactly this.
        if self.state.groups[group.index()].surplus() > 0 {
            self.reconcile_soon(group, schedule);
        }
    }
}
