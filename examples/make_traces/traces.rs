//! The models behind the traces: the daily shape and the bursts of real ones, with chance from named streams.

use std::f64::consts::TAU;
use std::fmt::Write;

use ecsim::engine::streams::{Stream, Streams};

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;
/// Traces start on a Monday at midnight, as scenarios do by default.
const WEEK: u32 = 7 * DAY;
const SEED: u64 = 2026;

/// Every trace, as file name and contents.
pub(crate) fn all() -> [(&'static str, String); 2] {
    [("web-week.csv", web_week()), ("batch-nightly.csv", batch_nightly())]
}

/// A week of a shop's front page, requests per second for each minute.
fn web_week() -> String {
    /// Sudden crowds: start, rise [min], decay [min], height in multiples of the rate at that hour.
    const CROWDS: [(u32, f64, f64, f64); 4] = [
        (DAY + 10 * HOUR + 7 * MINUTE, 4.0, 35.0, 1.1),
        (3 * DAY + 20 * HOUR + 31 * MINUTE, 2.0, 18.0, 1.9),
        (4 * DAY + 18 * HOUR, 6.0, 75.0, 0.9),
        (6 * DAY + 2 * HOUR + 44 * MINUTE, 3.0, 12.0, 2.6),
    ];
    /// An upstream outage on Wednesday: hardly a request gets through, and then all come at once.
    const OUTAGE: std::ops::Range<u32> = 2 * DAY + 15 * HOUR + 12 * MINUTE..2 * DAY + 15 * HOUR + 23 * MINUTE;
    /// From one minute to the next the drift keeps this share of itself: it is gone after about an hour.
    const PERSISTENCE: f64 = 0.98;
    const DRIFT: f64 = 0.07;

    let mut chance = Streams::new(SEED, 0).named("traces/web-week");
    let mut drift = 0.0;
    let mut text = String::from("t_s,requests_per_s\n");
    for t in (0..WEEK).step_by(MINUTE as usize) {
        drift = PERSISTENCE * drift + DRIFT * (1.0 - PERSISTENCE * PERSISTENCE).sqrt() * normal(&mut chance);
        let mut rate = usual_rate(t) * libm::exp(drift);
        for (start, rise, decay, height) in CROWDS {
            if t >= start {
                let minutes = f64::from(t - start) / f64::from(MINUTE);
                rate *= 1.0 + height * (1.0 - libm::exp(-minutes / rise)) * libm::exp(-minutes / decay);
            }
        }
        if OUTAGE.contains(&t) {
            rate *= 0.04;
        } else if (OUTAGE.end..OUTAGE.end + 5 * MINUTE).contains(&t) {
            rate *= 1.6;
        }
        // A minute's count of independent requests varies as a Poisson one; at these rates a normal one is as good.
        let minute = f64::from(MINUTE);
        let count = (rate * minute + (rate * minute).sqrt() * normal(&mut chance)).round().max(0.0);
        writeln!(text, "{t},{:.1}", count / minute).expect("writing to a String does not fail");
    }
    text
}

/// Requests per second that the hour and the day of the week let expect: two humps a day, a quiet weekend morning.
fn usual_rate(t: u32) -> f64 {
    const OF_DAY: [f64; 7] = [1.0, 1.03, 1.05, 1.04, 1.1, 0.86, 0.92];
    let hour = f64::from(t % DAY) / f64::from(HOUR);
    let day = t / DAY;
    let weekend = day >= 5;
    let (morning, evening) = if weekend { (0.35, 0.55) } else { (0.55, 0.45) };
    // The two largest harmonics of a day of web traffic, in the logarithm: troughs are long, peaks are not sharp.
    let shape = morning * libm::cos(TAU * (hour - 13.0) / 24.0)
        + evening * libm::cos(TAU * (hour - 20.0) / 24.0)
        + 0.18 * libm::cos(TAU * (hour - 9.5) / 12.0);
    let today = OF_DAY[day as usize % OF_DAY.len()];
    180.0 * today * libm::exp(shape)
}

/// A week of batch jobs: a nightly run in waves, and by day what people submit.
fn batch_nightly() -> String {
    let streams = Streams::new(SEED, 0);
    let mut jobs = Vec::new();
    let mut nightly = streams.named("traces/batch-nightly/nightly");
    for day in 0..7 {
        let mut start = day * DAY + HOUR;
        // The stages of the nightly run: jobs, and the typical minutes of one. Sunday night is the weekly one.
        let scale = if day == 6 { 2 } else { 1 };
        for (jobs_of_stage, minutes) in [(120 * scale, 6.0), (60 * scale, 14.0), (16 * scale, 45.0), (3, 70.0)] {
            let mut longest = 0;
            for _ in 0..jobs_of_stage {
                // A launcher submits some two a second, so that a stage arrives as a burst.
                start += u32::from(nightly.bernoulli(0.5));
                let job = Job::draw(start, minutes, &mut nightly);
                longest = longest.max(job.duration_s.min(2 * HOUR));
                jobs.push(job);
            }
            // The next stage waits for nearly all of this one: for a fixed share of its longest job.
            start += longest / 2 + 2 * MINUTE;
        }
    }
    let mut by_day = streams.named("traces/batch-nightly/by-day");
    let mut t = 0.0;
    // Thinning (Lewis and Shedler 1979): candidates at the highest rate, kept with the share the hour allows.
    let highest_per_s = 40.0 / f64::from(HOUR);
    loop {
        t -= libm::log(by_day.open_uniform()) / highest_per_s;
        if t >= f64::from(WEEK) {
            break;
        }
        let submit_s = t as u32;
        if by_day.bernoulli(working_share(submit_s)) {
            // People try a thing several times with other parameters.
            let copies = if by_day.bernoulli(0.08) { 4 + by_day.below(12) as u32 } else { 1 };
            for copy in 0..copies {
                jobs.push(Job::draw(submit_s + 2 * copy, 9.0, &mut by_day));
            }
        }
    }
    jobs.retain(|job| job.submit_s < WEEK);
    jobs.sort_by_key(|job| job.submit_s);
    let mut text = String::from("submit_s,cpu_units,memory_mib,duration_s\n");
    for Job { submit_s, cpu_units, memory_mib, duration_s } in jobs {
        writeln!(text, "{submit_s},{cpu_units},{memory_mib},{duration_s}").expect("writing to a String does not fail");
    }
    text
}

/// How busy people are at `t`, as a share of their busiest hour.
fn working_share(t: u32) -> f64 {
    let hour = f64::from(t % DAY) / f64::from(HOUR);
    let quiet = if t / DAY >= 5 { 0.15 } else { 1.0 };
    quiet * if (8.0..19.0).contains(&hour) { 0.55 - 0.45 * libm::cos(TAU * (hour - 8.0) / 11.0) } else { 0.06 }
}

/// One job of the batch trace.
struct Job {
    submit_s: u32,
    cpu_units: u32,
    memory_mib: u32,
    duration_s: u32,
}

impl Job {
    /// A job submitted at `submit_s` that typically takes `minutes`: few are large, and a few take very long.
    fn draw(submit_s: u32, minutes: f64, chance: &mut Stream) -> Self {
        /// CPU units, MiB and how many of a hundred jobs ask for them.
        const SIZES: [(u32, u32, f64); 6] = [
            (256, 512, 30.0),
            (512, 1024, 28.0),
            (1024, 2048, 20.0),
            (1024, 6144, 10.0),
            (2048, 4096, 8.0),
            (4096, 15360, 4.0),
        ];
        let mut left = 100.0 * chance.uniform();
        let (cpu_units, memory_mib) = SIZES
            .iter()
            .find(|(_, _, share)| {
                left -= share;
                left < 0.0
            })
            .map_or((256, 512), |&(cpu, memory, _)| (cpu, memory));
        let typical = minutes * f64::from(MINUTE);
        let body = typical * libm::exp(0.8 * normal(chance));
        // One job in 25 has a Pareto tail of index 1.3; a scheduler's time limit of eight hours ends it.
        let seconds = if chance.bernoulli(0.04) { body * libm::pow(chance.open_uniform(), -1.0 / 1.3) } else { body };
        Self { submit_s, cpu_units, memory_mib, duration_s: (seconds as u32).clamp(5, 8 * HOUR) }
    }
}

/// A standard normal number (Box and Muller 1958).
fn normal(chance: &mut Stream) -> f64 {
    (-2.0 * libm::log(chance.open_uniform())).sqrt() * libm::cos(TAU * chance.uniform())
}
