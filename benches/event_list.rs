//! How long does one event cost before the model has done anything?
//!
//! The hold model (Jones, "An Empirical Comparison of Priority-Queue and Event-Set Implementations", CACM 29(4), 1986):
//! with n events pending, take the first and schedule it again an exponential delay later. The calendar, which can
//! cancel, stands beside a plain [`BinaryHeap`], which cannot. `churn` also cancels and renews one other event per hold,
//! as timeouts and moved completions do.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ecsim::engine::calendar::{Calendar, Class, EventKey};
use ecsim::engine::streams::{Stream, Streams};
use ecsim::engine::time::{SimDuration, SimTime};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::time::Duration;

const PENDING: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const CLASSES: u8 = 6;
/// The delays are drawn beforehand: a table this long costs little cache, and its period shares no factor with n.
const DELAYS: usize = 4_093;

/// As large as an event of the control plane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Payload([u64; 4]);

/// Exponential delays with a mean of a second, over and over.
struct Delays {
    table: Vec<SimDuration>,
    next: usize,
}

impl Delays {
    fn new(stream: &mut Stream) -> Self {
        let table = (0..DELAYS).map(|_| SimDuration::from_secs_f64(-stream.open_uniform().ln())).collect();
        Self { table, next: 0 }
    }

    fn draw(&mut self) -> SimDuration {
        self.next = if self.next + 1 == DELAYS { 0 } else { self.next + 1 };
        self.table[self.next]
    }
}

fn payload(number: u64) -> Payload {
    Payload([number; 4])
}

fn class_of(event: &Payload) -> Class {
    Class((event.0[0] % u64::from(CLASSES)) as u8)
}

fn event_list(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hold");
    group.throughput(Throughput::Elements(1));
    for pending in PENDING {
        group.bench_with_input(BenchmarkId::new("calendar", pending), &pending, |bencher, &pending| {
            let mut delays = Delays::new(&mut Streams::new(1, 0).named("delays"));
            let mut calendar = Calendar::new();
            for number in 0..pending as u64 {
                let event = payload(number);
                calendar.schedule(SimTime::ZERO + delays.draw(), class_of(&event), event);
            }
            let mut last = SimTime::ZERO;
            bencher.iter(|| {
                let (now, event) = calendar.pop().expect("each hold puts back what it took");
                assert!(now >= last, "popped out of order");
                last = now;
                calendar.schedule(now + delays.draw(), class_of(&event), black_box(event));
            });
            assert_eq!(calendar.len(), pending);
        });
        group.bench_with_input(BenchmarkId::new("binary_heap", pending), &pending, |bencher, &pending| {
            let mut delays = Delays::new(&mut Streams::new(1, 0).named("delays"));
            let mut heap = BinaryHeap::new();
            let mut sequence = 0u64;
            while heap.len() < pending {
                let event = payload(sequence);
                heap.push(Reverse((SimTime::ZERO + delays.draw(), class_of(&event), sequence, event)));
                sequence += 1;
            }
            let mut last = SimTime::ZERO;
            bencher.iter(|| {
                let Reverse((now, class, _, event)) = heap.pop().expect("each hold puts back what it took");
                assert!(now >= last, "popped out of order");
                last = now;
                heap.push(Reverse((now + delays.draw(), class, sequence, black_box(event))));
                sequence += 1;
            });
            assert_eq!(heap.len(), pending);
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("churn");
    group.throughput(Throughput::Elements(1));
    for pending in PENDING {
        group.bench_with_input(BenchmarkId::new("calendar", pending), &pending, |bencher, &pending| {
            let mut stream = Streams::new(1, 0).named("delays");
            let mut delays = Delays::new(&mut stream);
            let mut calendar = Calendar::new();
            // One key per event: its number, which it carries, is its place here.
            let mut keys: Vec<EventKey> = (0..pending as u64)
                .map(|number| {
                    let event = payload(number);
                    calendar.schedule(SimTime::ZERO + delays.draw(), class_of(&event), event)
                })
                .collect();
            let victims: Vec<usize> = (0..DELAYS).map(|_| stream.below(pending as u64) as usize).collect();
            let mut last = SimTime::ZERO;
            bencher.iter(|| {
                let (now, event) = calendar.pop().expect("each hold puts back what it took");
                assert!(now >= last, "popped out of order");
                last = now;
                let number = event.0[0] as usize;
                keys[number] = calendar.schedule(now + delays.draw(), class_of(&event), event);
                let victim = victims[delays.next];
                let moved = calendar.cancel(keys[victim]).expect("every number has a pending event");
                keys[victim] = calendar.schedule(now + delays.draw(), class_of(&moved), moved);
            });
            assert_eq!(calendar.len(), pending);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = event_list
}
criterion_main!(benches);
