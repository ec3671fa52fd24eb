//! The steps of offered load: a second each, and longer ones while the load is calm.
//!
//! A step of the fluid model that leaves no backlog remembers nothing: what comes out of it depends on the rate alone and
//! on the conditions under which it was taken (who takes load, with what CPU, which part of the traffic). So while nothing
//! changes, ten steps of a second are one of ten seconds, and that is how they are taken: a day of a calm service costs
//! a tenth of what it would second by second (16,000 instructions each).
//!
//! The step that begins now is a long one when
//!
//! - the last one left it calm: nothing waits and nothing has failed,
//! - no other workload loads the service, since what a rival takes moves by the second, and none of its tasks is in slow
//!   start (ELB-8), where shares of traffic do,
//! - the rate moves by [`DRIFT`] at most and does not jump before the step ends, and at its highest it uses [`BUSY`] of
//!   what each lane has, at most: processor sharing at the mean rate is then within a thousandth of the mean latency.
//!   A `utilization` workload asks for no more than there is.
//!
//! A long step ends at the next multiple of ten seconds, so that readings, minutes and the division of hosts' CPU find
//! every load stepped up to them; before that with the last whole second before its rate jumps or the warm-up is over.
//!
//! Whatever changes its conditions breaks it off ([`Load::disturb`], looked at after each event): the whole seconds
//! before the change are stepped under the conditions that held, which the step keeps, and the second in which the change
//! falls is a step of its own under those at its end, as all steps of a second are. A change between two seconds counts from
//! there on. So nothing differs from a run second by second but the last digits of sums, and within the bounds above the
//! latencies; and where a metric lies on a threshold to the last digit, what follows from that. `--paranoid` holds what is
//! kept against what is, after every event.
//!
//! Others see the demand of the last step, which is up to ten seconds old, and [`DRIFT`] off. Queues, requests that are
//! simulated one by one, and runs with real containers keep to the second.

use std::collections::BTreeMap;

use super::{LaneLoad, Load, LoadKind, ServiceLoad};
use crate::control_plane::ControlPlane;
use crate::control_plane::cpu_sharing::{self, Part};
use crate::control_plane::event::Event;
use crate::control_plane::record::Record;
use crate::control_plane::traffic::{LaneKey, TrafficPart};
use crate::ecs::ids::{ServiceId, WorkloadId};
use crate::engine::calendar::EventKey;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::fluid::{self, Offered, Request, StepOutcome};
use crate::workload::processor_sharing::CpuUse;
use crate::workload::rate::Rate;

/// Length of a step: short against the minute of the metrics, long against a request.
const STEP: SimDuration = SimDuration::from_secs(1);

/// Longest step of a calm load.
pub(super) const LONG: SimDuration = cpu_sharing::INTERVAL;

/// How far a rate may move within a long step, as a share of its highest.
const DRIFT: f64 = 0.01;

/// The most that a lane may be utilised in a long step.
const BUSY: f64 = 0.9;

/// How a workload is stepped.
#[derive(Debug)]
pub(super) struct Pace {
    /// Up to when it has been stepped.
    stepped: SimTime,
    /// When the step under way ends.
    ends: SimTime,
    event: Option<EventKey>,
    /// Whether the last step left nothing behind.
    calm: bool,
    held: Conditions,
    /// The service's [epoch](super::ServiceUse::epoch) when `held` was taken.
    epoch: u64,
}

impl Pace {
    /// Before the first step.
    pub(super) fn new() -> Self {
        Self {
            stepped: SimTime::ZERO,
            ends: SimTime::ZERO,
            event: None,
            calm: false,
            held: Conditions::default(),
            epoch: 0,
        }
    }

    fn is_long(&self) -> bool {
        self.calm && self.ends.saturating_since(self.stepped) > STEP
    }
}

/// What a step of a modelled workload depends on besides time and what waits.
#[derive(Clone, Debug, Default, PartialEq)]
struct Conditions {
    /// None before it exists.
    service: Option<ServiceId>,
    /// Tasks of the service that run.
    running: u32,
    /// vCPUs that the workload can use of the service's.
    capacity: f64,
    /// All of the service's.
    whole: f64,
    /// Of requests: how their traffic is divided.
    parts: Vec<TrafficPart>,
    /// Whether that division, or the capacity, moves by itself.
    moves: bool,
}

impl Load {
    /// What steps on a service depend on has changed, or may have.
    pub(in crate::control_plane) fn disturb(&mut self, id: ServiceId) {
        let used = &mut self.services[id.index()];
        used.epoch += 1;
        if let [only] = used.loads[..]
            && self.workloads[only.index()].as_ref().is_some_and(|load| load.pace.is_long())
        {
            self.disturbed.push(only);
        }
    }

    /// Tasks of a service take load in a lane, or more of it.
    pub(in crate::control_plane) fn add_part(&mut self, id: ServiceId, lane: LaneKey, part: Part) {
        self.services[id.index()].add_part(lane, part);
        self.disturb(id);
    }

    /// They no longer do.
    pub(in crate::control_plane) fn remove_part(&mut self, id: ServiceId, lane: LaneKey, part: Part) {
        self.services[id.index()].remove_part(lane, part);
        self.disturb(id);
    }
}

impl ServiceLoad {
    /// When a step that begins at `now` has to end because the rate moves, if it may be as long as `until`.
    fn calm_until(&self, now: SimTime, until: SimTime) -> Option<SimTime> {
        let held = &self.pace.held;
        if !self.pace.calm || held.moves {
            return None;
        }
        let rates: [Option<&Rate>; 2] = match &self.kind {
            LoadKind::Requests { rate, .. } => [Some(rate), None],
            LoadKind::Utilization { cpu, memory } => [cpu.as_ref(), memory.as_ref()],
            LoadKind::Messages | LoadKind::PerRequest => return None,
        };
        let jumps = rates.into_iter().flatten().filter_map(|rate| rate.next_change(now));
        let end = jumps.fold(until, |end, jump| end.min(jump.previous_multiple_of(STEP)));
        if end <= now + STEP {
            return None;
        }
        let mut highest = [0.0; 2];
        for (highest, rate) in highest.iter_mut().zip(rates) {
            *highest = rate.map_or(Some(0.0), |rate| steady(rate, now, end))?;
        }
        let fits = match &self.kind {
            LoadKind::Requests { request, .. } => {
                let part_of = held.part_of();
                held.parts.iter().all(|part| {
                    let asks = highest[0] * part.share * request.cpu;
                    part.tasks > 0 && asks <= BUSY * part.capacity * part_of
                })
            }
            _ => highest[0] <= held.capacity,
        };
        fits.then_some(end)
    }
}

/// The highest value of a rate that does not jump between `from` and `to`, if it hardly moves.
fn steady(rate: &Rate, from: SimTime, to: SimTime) -> Option<f64> {
    let first = rate.at(from);
    if rate.is_piecewise_constant() {
        return Some(first);
    }
    // It may jump at `to`. What is smooth turns once in hours, so that its ends say enough of ten seconds.
    let last = rate.at(to - SimDuration::from_nanos(1));
    let highest = first.max(last);
    (highest - first.min(last) <= DRIFT * highest).then_some(highest)
}

impl Conditions {
    /// With rivals for the tasks of its service, a workload has its part of every lane.
    fn part_of(&self) -> f64 {
        if self.whole > 0.0 { self.capacity / self.whole } else { 0.0 }
    }
}

impl ControlPlane<'_> {
    /// A workload on a service offers load from time zero on.
    pub(in crate::control_plane) fn start_load(&mut self, id: WorkloadId, schedule: &mut Schedule<Event>) {
        self.step_until(id, schedule.now() + STEP, schedule);
    }

    /// The next step of a workload's offered load is due.
    pub(in crate::control_plane) fn on_load_step(&mut self, id: WorkloadId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(load) = &self.load.workloads[id.index()] else { return };
        if load.is_modelled() {
            self.step_modelled(id, now, now);
            self.plan_step(id, schedule);
        } else {
            self.step_until(id, now + STEP, schedule);
            self.step_jobs(id, Some(schedule), now);
        }
    }

    /// Ends the long steps that end now, for whoever looks at demand at this instant.
    pub(in crate::control_plane) fn take_due_steps(&mut self, schedule: &mut Schedule<Event>) {
        for place in 0..self.load.workloads.len() {
            let Some(load) = &self.load.workloads[place] else { continue };
            if load.pace.is_long() && load.pace.ends == schedule.now() {
                if let Some(event) = load.pace.event {
                    schedule.cancel(event);
                }
                self.on_load_step(WorkloadId(place as u32), schedule);
            }
        }
    }

    /// Breaks off the long steps whose conditions the last event has changed.
    pub(in crate::control_plane) fn break_disturbed_steps(&mut self, schedule: &mut Schedule<Event>) {
        while let Some(id) = self.load.disturbed.pop() {
            self.break_step(id, schedule);
        }
    }

    fn break_step(&mut self, id: WorkloadId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(pace) = self.load.workloads[id.index()].as_ref().map(|load| &load.pace) else { return };
        if !pace.is_long() {
            return;
        }
        let (fresh, epoch) = self.conditions(id, now);
        let unchanged = fresh == pace.held;
        let (stepped, event) = (pace.stepped, pace.event);
        let whole = now.previous_multiple_of(STEP);
        if !unchanged {
            if let Some(event) = event {
                schedule.cancel(event);
            }
            if whole > stepped {
                self.step_modelled(id, whole, now);
            }
        }
        let Some(load) = &mut self.load.workloads[id.index()] else { return };
        (load.pace.held, load.pace.epoch) = (fresh, epoch);
        if unchanged {
            return;
        }
        if whole == now {
            self.plan_step(id, schedule);
        } else {
            self.step_until(id, whole + STEP, schedule);
        }
    }

    /// The end of the run is also the end of a step, whole or not: what was asked for until then counts.
    pub(in crate::control_plane) fn finish_loads(&mut self, end: SimTime) {
        for place in 0..self.load.workloads.len() {
            let id = WorkloadId(place as u32);
            match &self.load.workloads[place] {
                Some(load) if load.is_modelled() => self.step_modelled(id, end, end),
                Some(_) => self.step_jobs(id, None, end),
                None => {}
            }
        }
    }

    /// Schedules the end of the step that begins now: of a long one, if it may be that.
    fn plan_step(&mut self, id: WorkloadId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let mut until = now.saturating_add(SimDuration::from_nanos(1)).next_multiple_of(self.load.longest_step);
        let warm = SimTime::ZERO + self.estate.warmup;
        if now < warm {
            until = until.min(warm.previous_multiple_of(STEP));
        }
        let load = self.load.workloads[id.index()].as_ref().filter(|_| !self.execution.is_real());
        let calm = load.and_then(|load| load.calm_until(now, until));
        self.step_until(id, calm.unwrap_or(now + STEP), schedule);
    }

    fn step_until(&mut self, id: WorkloadId, end: SimTime, schedule: &mut Schedule<Event>) {
        if let Some(load) = &mut self.load.workloads[id.index()] {
            load.pace.ends = end;
            load.pace.event = Some(schedule.at(end, Event::LoadStep(id)));
        }
    }

    /// What a step of a modelled workload that ends now depends on, and the epoch of it.
    fn conditions(&self, id: WorkloadId, now: SimTime) -> (Conditions, u64) {
        let Some(load) = &self.load.workloads[id.index()] else { return Default::default() };
        let Some(service) = load.service else { return Default::default() };
        let used = &self.load.services[service.index()];
        let parts = match load.kind {
            LoadKind::Requests { .. } => self.traffic_parts(service, now),
            _ => Vec::new(),
        };
        let moves = used.loads.len() > 1 || parts.iter().any(|part| part.lane.is_slow());
        let conditions = Conditions {
            service: Some(service),
            running: self.state.services[service.index()].running,
            capacity: self.load.capacity(id, service),
            whole: used.part.capacity.as_vcpus(),
            parts,
            moves,
        };
        (conditions, used.epoch)
    }

    /// The time that a step of a workload takes counts for the tasks of its service that ran, whatever its kind: once.
    fn count_task_seconds(&mut self, id: WorkloadId, service: ServiceId, running: u32, seconds: f64) {
        let used = &mut self.load.services[service.index()];
        if used.loads.first() == Some(&id) {
            used.task_seconds += f64::from(running) * seconds;
        }
    }

    /// One step of a modelled workload, from where the last one ended to `to`. Observers are told `now`: the same, or less
    /// than a second later.
    fn step_modelled(&mut self, id: WorkloadId, to: SimTime, now: SimTime) {
        let Some(load) = &self.load.workloads[id.index()] else { return };
        let pace = &load.pace;
        let dt = to.saturating_since(pace.stepped);
        if dt.is_zero() {
            return;
        }
        let known = pace.held.service == load.service
            && !pace.held.moves
            && load.service.is_none_or(|service| self.load.services[service.index()].epoch == pace.epoch);
        let renewed = (!pace.is_long() && !known).then(|| self.conditions(id, now));
        let Some(load) = &mut self.load.workloads[id.index()] else { return };
        if let Some(renewed) = renewed {
            (load.pace.held, load.pace.epoch) = renewed;
        }
        let held = std::mem::take(&mut load.pace.held);
        if let Some(service) = held.service {
            self.count_task_seconds(id, service, held.running, dt.as_secs_f64());
        }
        let calm = self.offer(id, &held, dt, now);
        if let Some(load) = &mut self.load.workloads[id.index()] {
            load.pace.stepped = to;
            load.pace.held = held;
            load.pace.calm = calm;
        }
    }

    /// A workload offers its load for `dt` under these conditions; tells whether nothing is left of it.
    fn offer(&mut self, id: WorkloadId, held: &Conditions, dt: SimDuration, now: SimTime) -> bool {
        let seconds = dt.as_secs_f64();
        let Some(load) = &mut self.load.workloads[id.index()] else { return false };
        let from = load.pace.stepped;
        let to = from + dt;
        match &mut load.kind {
            LoadKind::Requests { rate, request, lanes } => {
                let arrivals = rate.mean_over(from, to) * seconds;
                let request = *request;
                let Some(service) = held.service else {
                    // A service may be created after its workload; until then there is nobody to answer.
                    load.demand = request.cpu * arrivals / seconds;
                    return false;
                };
                let steps = step_lanes(lanes, held, arrivals, dt, request);
                load.demand = lanes.values().map(|load| load.demand).sum();
                for (part, step) in held.parts.iter().zip(&steps) {
                    let used = &mut self.load.services[service.index()];
                    used.since_reading += step.cpu_used;
                    used.since_minute += step.cpu_used;
                    for target_group in part.target_groups.iter() {
                        let idle_timeout = self.state.target_groups[target_group.index()].idle_timeout.as_secs_f64();
                        let client_leaves_first = request.timeout <= idle_timeout;
                        self.load.count_fluid(*target_group, step, client_leaves_first);
                    }
                }
                let record = Record::Fluid { workload: id, service, ends: to, dt, steps: &steps };
                self.observer.observe(now, &record, &self.state);
                steps.iter().all(|step| step.backlog == 0.0 && step.failed.total() == 0.0)
            }
            LoadKind::Utilization { cpu, memory } => {
                let demand = cpu.as_ref().map_or(0.0, |rate| rate.mean_over(from, to));
                let memory = memory.as_ref().map(|rate| rate.mean_over(from, to));
                load.demand = demand;
                let Some(service) = held.service else { return false };
                let used = &mut self.load.services[service.index()];
                let vcpus = demand.min(held.capacity);
                used.since_reading += vcpus * seconds;
                used.since_minute += vcpus * seconds;
                used.memory_mib = memory;
                let record = Record::Utilization { service, dt, demand, used: vcpus };
                self.observer.observe(now, &record, &self.state);
                vcpus == demand
            }
            LoadKind::Messages | LoadKind::PerRequest => false,
        }
    }

    /// One step of a workload whose jobs are simulated one by one: what they have used is counted.
    fn step_jobs(&mut self, id: WorkloadId, schedule: Option<&mut Schedule<Event>>, now: SimTime) {
        let Some(load) = &mut self.load.workloads[id.index()] else { return };
        let dt = now.saturating_since(load.pace.stepped);
        if dt.is_zero() {
            return;
        }
        load.pace.stepped = now;
        let seconds = dt.as_secs_f64();
        let messages = matches!(load.kind, LoadKind::Messages);
        let Some(service) = load.service else { return };
        let running = self.state.services[service.index()].running;
        self.count_task_seconds(id, service, running, seconds);
        if messages {
            self.step_messages(id, service, seconds, schedule, now);
        } else {
            let taken = self.step_requests(id, service, schedule, now);
            self.count_use(id, service, taken, seconds);
        }
    }

    /// One step of a queue's load: what its messages have used of their service's CPU.
    fn step_messages(
        &mut self,
        id: WorkloadId,
        service: ServiceId,
        seconds: f64,
        schedule: Option<&mut Schedule<Event>>,
        now: SimTime,
    ) {
        let Some(queue) = self.queue_of(id) else { return };
        let share = self.share_of_service(id, service);
        let taken = self.take_message_use(queue, share, schedule, now);
        self.count_use(id, service, taken, seconds);
        let used = taken.used;
        self.observer.observe(now, &Record::Messages { service, used }, &self.state);
    }

    /// What jobs that are simulated one by one have used of their service's CPU in a step of `seconds`.
    fn count_use(&mut self, id: WorkloadId, service: ServiceId, taken: CpuUse, seconds: f64) {
        let CpuUse { used, wanted } = taken;
        if let Some(load) = &mut self.load.workloads[id.index()] {
            load.demand = wanted / seconds;
        }
        let total = &mut self.load.services[service.index()];
        total.since_reading += used;
        total.since_minute += used;
    }

    /// Holds what steps keep of their conditions against what there is (see [`super::super::audit`]).
    pub(in crate::control_plane) fn audit_steps(&self, now: SimTime) -> Result<(), String> {
        for (place, load) in self.load.workloads.iter().enumerate() {
            let Some(load) = load.as_ref().filter(|load| load.is_modelled()) else { continue };
            let (fresh, epoch) = self.conditions(WorkloadId(place as u32), now);
            let held = &load.pace.held;
            let claimed = load.pace.is_long() || (held.service == load.service && epoch == load.pace.epoch);
            if claimed && !held.moves && *held != fresh {
                return Err(format!("workload {place} is stepped under {held:?}, but there is {fresh:?}"));
            }
        }
        Ok(())
    }
}

/// One step of `arrivals` requests over the lanes of a service, in the order of its parts.
fn step_lanes(
    lanes: &mut BTreeMap<LaneKey, LaneLoad>,
    held: &Conditions,
    arrivals: f64,
    dt: SimDuration,
    request: Request,
) -> Vec<StepOutcome> {
    // What waits is to be gone by the next time that demand is looked at.
    let patience = cpu_sharing::INTERVAL.as_secs_f64();
    let parts = &held.parts;
    let part_of = held.part_of();
    // What waited for tasks that are gone goes to the others, as new requests do.
    let mut orphans = 0.0;
    if lanes.len() != parts.len() || parts.iter().any(|part| !lanes.contains_key(&part.lane)) {
        let mut before = std::mem::take(lanes);
        for part in parts {
            lanes.insert(part.lane, before.remove(&part.lane).unwrap_or_default());
        }
        orphans = before.values().map(|load| load.backlog).sum();
    }
    let step = |part: &TrafficPart| {
        let lane = lanes.entry(part.lane).or_default();
        let offered = Offered {
            dt,
            arrivals: arrivals * part.share,
            tasks: part.tasks,
            queues: part.queues,
            capacity: part.capacity * part_of,
            request,
        };
        let step = fluid::step(lane.backlog + orphans * part.share, &offered);
        let demand = request.cpu * (offered.arrivals / dt.as_secs_f64() + step.backlog / patience);
        *lane = LaneLoad { backlog: step.backlog, demand };
        step
    };
    parts.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::record::{Observer, Resource, Wants};
    use crate::control_plane::state::State;
    use crate::control_plane::{RunOptions, Session};
    use crate::report::Recorder;
    use crate::report::summary::ReplicationSummary;
    use crate::scenario::LoadOptions;
    use crate::workload::rate::Diurnal;

    const DAY: &str = include_str!("../../../scenarios/quickstart.yaml");

    /// A service whose traffic moves to a new revision by a canary; a host that two other services share, one of which
    /// is scaled, loses its machine; and one that the noise of its rate keeps awake.
    const BUSY_HOURS: &str = "
name: both
duration: 2h
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 2, AvailabilityZones: [us-east-1a, us-east-1b]}
targetGroups:
  - {Name: blue, loadBalancer: front, HealthCheckIntervalSeconds: 10}
  - {Name: green, loadBalancer: front, HealthCheckIntervalSeconds: 10}
taskDefinitions:
  - &app
    family: old
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: '1024'
    memory: '2048'
    containerDefinitions: [{name: app, image: app, portMappings: [{containerPort: 80}]}]
  - {<<: *app, family: new}
  - &small {family: small, networkMode: bridge, containerDefinitions: [{name: app, image: app, cpu: 256, memory: 128}]}
  - {<<: *small, family: other}
services:
  - serviceName: web
    taskDefinition: old
    desiredCount: 4
    launchType: FARGATE
    networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a, us-east-1b]}}
    deploymentConfiguration: {strategy: CANARY, bakeTimeInMinutes: 5,
      canaryConfiguration: {canaryPercent: 20.0, canaryBakeTimeInMinutes: 10}}
    loadBalancers: [{targetGroupArn: blue, containerName: app, containerPort: 80,
                     advancedConfiguration: {alternateTargetGroupArn: green}}]
  - {serviceName: small, taskDefinition: small, desiredCount: 4, launchType: EC2}
  - {serviceName: other, taskDefinition: other, desiredCount: 4, launchType: EC2}
workloads:
  - {name: web, requests: {service: web, cpuPerRequest: 100ms, latencyFloor: 10ms, timeout: 10s,
     rate: {sum: [{diurnal: {base: 5, peak: 15, peakAt: 1h}}, {spikes: {height: 25, at: 90m, for: 45s}}]}}}
  - {name: small, utilization: {service: small, cpu: {diurnal: {base: 0.5, peak: 2, peakAt: 2h}}, memory: 300}}
  - {name: other, requests: {service: other, cpuPerRequest: 20ms, timeout: 5s,
     rate: {product: [{noise: {cv: 0.3, every: 7500ms}}, {constant: 40}]}}}
actions:
  - {at: 600250ms, call: 'ecs:UpdateService', with: {service: web, taskDefinition: new}}
  - {at: 3000s, call: 'ecs:UpdateService', with: {service: small, desiredCount: 6}}
  - {at: 4003s, call: 'ecs:UpdateService', with: {service: small, desiredCount: 3}}
";

    /// What a run tells, and in how many steps.
    struct Telling {
        recorder: Recorder,
        /// Levels and datapoints.
        told: Vec<(SimTime, Resource, &'static str, f64)>,
        steps: u32,
        longest: SimDuration,
    }

    impl Observer for Telling {
        fn wants(&self) -> Wants {
            Wants { series: true, ..self.recorder.wants() }
        }

        fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
            match *record {
                Record::Level { resource, metric, value } => self.told.push((now, resource, metric, value)),
                Record::Datapoint { resource, metric, period_start, value } => {
                    self.told.push((period_start, resource, metric, value));
                }
                Record::Fluid { dt, .. } | Record::Utilization { dt, .. } => {
                    self.steps += 1;
                    self.longest = self.longest.max(dt);
                }
                _ => {}
            }
            self.recorder.observe(now, record, state);
        }

        fn finish(&mut self, now: SimTime, state: &State) {
            self.recorder.finish(now, state);
        }
    }

    fn told(text: &str, longest: SimDuration) -> (Telling, ReplicationSummary) {
        let scenario = crate::scenario::load_str("both.yaml", text, &LoadOptions::default()).expect("a scenario");
        let recorder = Recorder::new(&scenario.estate);
        let mut telling = Telling { recorder, told: Vec::new(), steps: 0, longest: SimDuration::ZERO };
        let mut session =
            Session::new(&scenario.estate, RunOptions { paranoid: true, ..Default::default() }, &mut telling);
        session.simulation.model_mut().load.longest_step = longest;
        session.run_until(session.end());
        session.finish();
        let recorder = std::mem::replace(&mut telling.recorder, Recorder::new(&scenario.estate));
        (telling, recorder.into_summary(None).expect("nothing is written"))
    }

    fn assert_near(long: f64, short: f64, within: f64, what: &str) {
        assert!(
            (long - short).abs() <= within * short.abs().max(1e-9),
            "{what}: {long} in long steps, {short} by seconds"
        );
    }

    /// The same events at the same instants, all values but those of latency to the last digits, and these within a
    /// thousandth; quantiles within the width of a bucket.
    #[test]
    fn long_steps_tell_what_seconds_tell() {
        let morning = DAY.replace("duration: 24h", "duration: 5h").replace("peakAt: 20h", "peakAt: 4h");
        for (text, saved) in [(BUSY_HOURS, 3), (&morning, 7)] {
            let ((long, by_ten), (short, by_one)) = (told(text, LONG), told(text, STEP));
            assert!(long.steps * saved <= short.steps, "{} and {}", long.steps, short.steps);
            assert_eq!((long.longest, short.longest), (LONG, STEP));
            assert_eq!(long.told.len(), short.told.len());
            for (ten, one) in long.told.iter().zip(&short.told) {
                let (at, resource, metric, value) = *ten;
                assert_eq!((at, resource, metric), (one.0, one.1, one.2));
                let within = if metric == "TargetResponseTime" { 1e-3 } else { 1e-9 };
                assert_near(value, one.3, within, &format!("{resource:?} {metric} at {at}"));
            }
            let [tens, ones] = [&by_ten, &by_one].map(|summary| summary.iter().collect::<Vec<_>>());
            assert_eq!(tens.len(), ones.len());
            for ((name, ten, _), (same, one, _)) in tens.into_iter().zip(ones) {
                assert_eq!(name, same);
                let within = match name.rsplit_once(':').map_or(name, |(_, metric)| metric) {
                    "latency_mean_s" => 1e-3,
                    metric if metric.starts_with("latency_p") => 0.016,
                    _ => 1e-9,
                };
                assert_near(ten, one, within, name);
            }
        }
    }

    fn load(rate: Rate, part: &TrafficPart) -> ServiceLoad {
        let request = Request { cpu: 0.1, cpu_cv: 1.0, floor: 0.0, floor_cv: 0.0, timeout: 10.0 };
        let held = Conditions {
            service: Some(ServiceId(0)),
            running: part.tasks,
            capacity: part.capacity,
            whole: part.capacity,
            parts: vec![part.clone()],
            moves: false,
        };
        let kind = LoadKind::Requests { rate, request, lanes: BTreeMap::new() };
        let pace = Pace { calm: true, held, ..Pace::new() };
        ServiceLoad { service: Some(ServiceId(0)), demand: 0.0, kind, pace }
    }

    fn part() -> TrafficPart {
        let lane = LaneKey::default();
        TrafficPart { lane, share: 1.0, tasks: 4, queues: 4, capacity: 4.0, target_groups: [].into() }
    }

    fn until(load: &ServiceLoad) -> Option<u64> {
        let end = load.calm_until(SimTime::from_secs(100), SimTime::from_secs(110));
        end.map(|end| end.as_nanos() / STEP.as_nanos())
    }

    #[test]
    fn calm_is_a_rate_that_hardly_moves_and_tasks_with_cpu_to_spare() {
        let steady = |rate| load(Rate::Constant(rate), &part());
        assert_eq!(until(&steady(36.0)), Some(110));
        assert_eq!(until(&steady(36.1)), None, "busier than nine tenths");
        let mut unsettled = steady(10.0);
        unsettled.pace.calm = false;
        assert_eq!(until(&unsettled), None, "something waits or has failed");
        let mut moving = steady(10.0);
        moving.pace.held.moves = true;
        assert_eq!(until(&moving), None, "slow start, or a rival");
        assert_eq!(until(&load(Rate::Constant(0.0), &TrafficPart { tasks: 0, capacity: 0.0, ..part() })), None);
        assert_eq!(until(&load(Rate::Constant(30.0), &TrafficPart { share: 0.5, capacity: 2.0, ..part() })), Some(110));
    }

    #[test]
    fn a_long_step_ends_before_a_jump() {
        let jump =
            |millis| Rate::steps(&[(SimTime::ZERO, 10.0), (SimTime::ZERO + SimDuration::from_millis(millis), 20.0)]);
        for (millis, expected) in [
            (99_000, Some(110)),
            (100_000, Some(110)),
            (101_900, None),
            (102_000, Some(102)),
            (107_300, Some(107)),
            (110_000, Some(110)),
            (111_000, Some(110)),
        ] {
            assert_eq!(until(&load(jump(millis).unwrap(), &part())), expected, "{millis}");
        }
    }

    #[test]
    fn a_rate_that_slopes_is_as_good_as_constant_for_a_while() {
        let day = |base, peak| Diurnal::new(base, peak, SimDuration::ZERO, 1.0, SimDuration::ZERO).unwrap();
        assert_eq!(until(&load(Rate::Diurnal(day(1.0, 30.0)), &part())), Some(110));
        // To the 4000th power a cosine falls by a per cent within these ten seconds.
        let steep = Rate::Product(vec![Rate::Diurnal(day(0.0, 1.0)); 4000]);
        assert!(steep.at(SimTime::from_secs(100)) > 0.9);
        let falls = 1.0 - steep.at(SimTime::from_secs(110)) / steep.at(SimTime::from_secs(100));
        assert_eq!((falls > DRIFT, until(&load(steep, &part()))), (true, None), "{falls}");
    }

    #[test]
    fn a_utilization_is_calm_while_there_is_enough() {
        let mut load = load(Rate::Constant(0.0), &part());
        for (cpu, memory, expected) in [(4.0, 100.0, Some(110)), (4.1, 100.0, None)] {
            load.kind = LoadKind::Utilization { cpu: Some(Rate::Constant(cpu)), memory: Some(Rate::Constant(memory)) };
            assert_eq!(until(&load), expected);
        }
        let leap = Rate::steps(&[(SimTime::from_secs(105), 100.0)]).unwrap();
        load.kind = LoadKind::Utilization { cpu: Some(Rate::Constant(1.0)), memory: Some(leap) };
        assert_eq!(until(&load), Some(105));
    }
}
