//! What the live view remembers of a run: decisions, datapoints, counts over time, and the cost so far.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::control_plane::estate::Estate;
use crate::control_plane::record::{InstanceStep, Observer, Record, Resource, Wants};
use crate::control_plane::state::State;
use crate::ecs::ids::{InstanceId, ServiceId};
use crate::ecs::task::TaskStatus;
use crate::engine::time::SimTime;
use crate::report::bill::{FargateTask, PriceList};

/// Decisions kept.
const DECISIONS: usize = 1000;

/// Changes kept of each service's counts.
const CHANGES: usize = 4096;

/// A decision, as one line shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) time: SimTime,
    pub(super) subject: String,
    pub(super) action: &'static str,
    /// `4 → 6`, or empty.
    pub(super) change: String,
    pub(super) reason: String,
    pub(super) rule: &'static str,
}

/// Everything kept.
#[derive(Debug)]
pub(super) struct Feed {
    prices: PriceList,
    /// The newest last.
    pub(super) decisions: VecDeque<Line>,
    /// Decisions made so far, those forgotten included.
    pub(super) decided: u64,
    /// The newest datapoint of each metric.
    pub(super) datapoints: BTreeMap<(Resource, &'static str), f64>,
    /// RUNNING tasks of each service, a pair a change.
    pub(super) running: BTreeMap<ServiceId, VecDeque<(SimTime, f64)>>,
    pub(super) tasks_started: u64,
    pub(super) tasks_stopped: u64,
    /// Dollars an hour of each billed host.
    hosts: BTreeMap<InstanceId, f64>,
    /// Dollars an hour of each task on Fargate, by number.
    fargate: BTreeMap<u64, f64>,
    /// Dollars an hour, now.
    rate: f64,
    /// Dollars until `settled`.
    spent: f64,
    settled: SimTime,
}

impl Feed {
    /// An empty feed at time zero.
    pub(super) fn new(estate: &Estate) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            prices: PriceList::new(estate),
            decisions: VecDeque::new(),
            decided: 0,
            datapoints: BTreeMap::new(),
            running: BTreeMap::new(),
            tasks_started: 0,
            tasks_stopped: 0,
            hosts: BTreeMap::new(),
            fargate: BTreeMap::new(),
            rate: 0.0,
            spent: 0.0,
            settled: SimTime::ZERO,
        }))
    }

    /// What hosts and Fargate have cost until `now`, in dollars: the meter, not the bill with its rounding and its extras.
    pub(super) fn spent(&self, now: SimTime) -> f64 {
        self.spent + self.rate * now.saturating_since(self.settled).as_secs_f64() / 3600.0
    }

    /// Dollars an hour, now.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    fn change_rate(&mut self, now: SimTime, by: f64) {
        self.spent = self.spent(now);
        self.settled = now;
        self.rate += by;
        if self.hosts.is_empty() && self.fargate.is_empty() {
            // Nothing left over from rounding.
            self.rate = 0.0;
        }
    }

    fn on_instance(&mut self, now: SimTime, id: InstanceId, step: InstanceStep, state: &State) {
        match step {
            InstanceStep::Running | InstanceStep::Repriced => {
                let Some(host) = state.instance(id) else { return };
                let zone = &state.zones[host.zone().index()];
                let hour = self.prices.host_hour(&host.instance_type, host.market(), zone, now).0;
                let before = match self.hosts.get(&id) {
                    // A price that moves while the machine is not yet on the bill.
                    None if step == InstanceStep::Repriced => return,
                    before => before.copied().unwrap_or_default(),
                };
                self.hosts.insert(id, hour);
                self.change_rate(now, hour - before);
            }
            InstanceStep::ShuttingDown => {
                if let Some(hour) = self.hosts.remove(&id) {
                    self.change_rate(now, -hour);
                }
            }
            _ => {}
        }
    }
}

/// The observer that fills a [`Feed`].
#[derive(Debug)]
pub(super) struct Feeder(pub(super) Rc<RefCell<Feed>>);

impl Observer for Feeder {
    fn wants(&self) -> Wants {
        Wants { decisions: true, series: true, ..Wants::default() }
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
        let mut feed = self.0.borrow_mut();
        match record {
            Record::Decision(decision) => {
                let change = match (&decision.from, &decision.to) {
                    (serde_json::Value::Null, serde_json::Value::Null) => String::new(),
                    (serde_json::Value::Null, to) => format!("→ {}", bare(to)),
                    (from, serde_json::Value::Null) => bare(from),
                    (from, to) => format!("{} → {}", bare(from), bare(to)),
                };
                feed.decided += 1;
                feed.decisions.push_back(Line {
                    time: now,
                    subject: decision.subject.clone(),
                    action: decision.action,
                    change,
                    reason: decision.reason.clone(),
                    rule: decision.rule,
                });
                if feed.decisions.len() > DECISIONS {
                    feed.decisions.pop_front();
                }
            }
            Record::Datapoint { resource, metric, value, .. } => {
                feed.datapoints.insert((*resource, metric), *value);
            }
            Record::Level { resource: Resource::Service(id), metric: "RunningCount", value } => {
                let changes = feed.running.entry(*id).or_default();
                changes.push_back((now, *value));
                if changes.len() > CHANGES {
                    changes.pop_front();
                }
            }
            Record::Instance { instance, step } => feed.on_instance(now, *instance, *step, state),
            Record::Task { task, from, .. } => {
                let entered = *from != Some(task.last_status);
                feed.tasks_started += u64::from(entered && task.last_status == TaskStatus::Running);
                feed.tasks_stopped += u64::from(entered && task.last_status == TaskStatus::Stopped);
                if task.launch.is_fargate() {
                    // FG-2: billed from the pull of its image until it is STOPPED.
                    let billed = task.times.pull_started.is_some() && task.last_status != TaskStatus::Stopped;
                    if billed && !feed.fargate.contains_key(&task.number) {
                        let hour = feed.prices.fargate_hour(FargateTask::of(task, state)).0;
                        feed.fargate.insert(task.number, hour);
                        feed.change_rate(now, hour);
                    } else if !billed && let Some(hour) = feed.fargate.remove(&task.number) {
                        feed.change_rate(now, -hour);
                    }
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _now: SimTime, _state: &State) {}
}

/// A value without the quotes of a text.
fn bare(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
