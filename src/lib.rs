//! ecsim: a discrete-event simulator of Amazon ECS cluster scheduling and autoscaling.
//!
//! A scenario becomes an [`Estate`](control_plane::estate::Estate); [`control_plane::run`] lives it in virtual time and
//! tells an [`Observer`](control_plane::record::Observer) everything; a [`Recorder`](report::recorder::Recorder) makes
//! figures of that.
//!
//! ```
//! use ecsim::control_plane::{RunOptions, run};
//! use ecsim::report::recorder::Recorder;
//! use ecsim::scenario::{LoadOptions, load_str};
//!
//! let text = "
//! name: one-host
//! duration: 1h
//! autoScalingGroups: [{AutoScalingGroupName: hosts, InstanceType: m5.large, MinSize: 1, MaxSize: 1}]
//! taskDefinitions:
//!   - {family: job, containerDefinitions: [{name: app, image: app, cpu: 256, memory: 512}], behaviour: {runsFor: 2m}}
//! workloads:
//!   - {name: jobs, tasks: {taskDefinition: job, arrivals: {poisson: 30/h}}}
//! ";
//! let scenario = load_str("one-host.yaml", text, &LoadOptions::default()).expect("a valid scenario");
//! let mut recorder = Recorder::new(&scenario.estate);
//! run(&scenario.estate, RunOptions::default(), &mut recorder, |_| {});
//! let summary = recorder.into_summary(None).expect("nothing is written");
//! assert!(summary.get("tasks_started").unwrap() > 10.0);
//! // An hour of an m5.large is 9.6 cents; it boots for some seconds before it is billed.
//! assert!((summary.get("cost_ec2_on_demand_usd").unwrap() - 0.096).abs() < 0.002);
//! ```
//!
//! The map of the crate: [`engine`] knows time, events and chance; [`ecs`] and [`ec2`] hold state and legal transitions;
//! [`placement`], [`scaling`] and [`workload`] decide; [`control_plane`] applies; [`scenario`] reads, [`report`] writes,
//! [`cli`] talks; [`adapters`] are the rim, where other programs meet the crate's traits. `README.md` has an ARCHITECTURE section with the walk of one task arrival.

pub mod adapters;
pub mod arn;
pub mod behaviour;
pub mod catalog;
pub mod cli;
pub mod control_plane;
pub mod ec2;
pub mod ecs;
pub mod engine;
pub mod placement;
pub mod refused;
pub mod report;
pub mod rules;
pub mod scaling;
pub mod scenario;
pub mod schedule;
pub mod stats;
pub mod units;
pub mod workload;
