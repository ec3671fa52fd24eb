//! How long a group takes to scale out and in: does the cost of an instance grow with the group?
//!
//! Each run launches a whole group and takes it down again, step by step, and asserts that every instance came and went.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ecsim::control_plane::estate::Estate;
use ecsim::control_plane::record::{InstanceStep, Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{self, RunOptions};
use ecsim::engine::time::SimTime;
use ecsim::scenario::{LoadOptions, load_str};

/// Launches and ends, and what the state still holds when the run is over.
#[derive(Debug, Default)]
struct Count {
    launched: u32,
    terminated: u32,
    left: usize,
}

impl Observer for Count {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn observe(&mut self, _: SimTime, record: &Record<'_>, _: &State) {
        match record {
            Record::Instance { step: InstanceStep::Launched, .. } => self.launched += 1,
            Record::Instance { step: InstanceStep::Terminated, .. } => self.terminated += 1,
            _ => {}
        }
    }

    fn finish(&mut self, _: SimTime, state: &State) {
        self.left = state.instance_groups.len();
    }
}

/// A group that grows to `hosts` in ten steps and shrinks to nothing in ten, a step every five minutes.
fn estate(hosts: u32) -> Estate {
    let mut actions = String::new();
    for step in 1..=20u32 {
        let size = if step <= 10 { hosts / 10 * step } else { hosts / 10 * (20 - step) };
        actions.push_str(&format!(
            "  - {{at: {}m, call: 'autoscaling:SetDesiredCapacity', with: {{AutoScalingGroupName: g, DesiredCapacity: {size}}}}}\n",
            5 * step
        ));
    }
    let text = format!(
        "name: group\nduration: 2h\ndelays: {{preset: realistic}}\nbehaviour: {{run_instances_bucket: {hosts}, quota_set: none}}\n\
         autoScalingGroups:\n  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: {hosts}}}\n\
         actions:\n{actions}"
    );
    match load_str("group.yaml", &text, &LoadOptions::default()) {
        Ok(scenario) => scenario.estate,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    }
}

fn out_and_in(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a group scales out and in");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(10));
    for hosts in [100, 1_000, 10_000] {
        let estate = estate(hosts);
        group.throughput(Throughput::Elements(u64::from(hosts)));
        group.bench_function(BenchmarkId::from_parameter(hosts), |bencher| {
            bencher.iter(|| {
                let mut count = Count::default();
                control_plane::run(black_box(&estate), RunOptions::default(), &mut count, |_| {});
                assert!(count.launched >= hosts && count.terminated == count.launched, "{count:?}");
                assert_eq!(count.left, 0, "nothing is kept of what is gone");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, out_and_in);
criterion_main!(benches);
