//! The synthetic traces of `scenarios/traces`: what their generator writes, and shaped as they claim.

#[path = "../../examples/make_traces/traces.rs"]
mod generator;

use std::path::Path;

fn columns(name: &str) -> Vec<Vec<f64>> {
    let (_, text) = generator::all().into_iter().find(|(file, _)| *file == name).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_committed_traces_are_what_the_generator_writes() {
    for (name, text) in generator::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/traces").join(name);
        let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Not assert_eq: its message would hold both files.
        assert!(committed.replace("\r\n", "\n") == text, "{name} is stale: cargo run --example make_traces");
        assert!(text.len() <= 200_000, "{name} has {} bytes", text.len());
    }
}

#[test]
fn the_web_week_has_nights_peaks_and_crowds() {
    let rows = columns("web-week.csv");
    assert_eq!(rows.len(), 7 * 24 * 60);
    assert!(rows.iter().enumerate().all(|(minute, row)| row[0] == 60.0 * minute as f64 && row[1] >= 0.0));
    let mean = |from: usize, to: usize| rows[from..to].iter().map(|row| row[1]).sum::<f64>() / (to - from) as f64;
    let hour = |day: usize, hour: usize| mean((day * 24 + hour) * 60, (day * 24 + hour + 1) * 60);
    for day in 0..5 {
        let (night, noon) = (hour(day, 4), hour(day, 14));
        assert!(noon > 2.5 * night, "day {day}: {noon} by day, {night} by night");
    }
    let outage = (2 * 24 + 15) * 60 + 12;
    assert!(mean(outage, outage + 11) < 0.1 * mean(outage - 20, outage), "the outage");
    let crowd = (3 * 24 + 20) * 60 + 31;
    assert!(mean(crowd + 3, crowd + 8) > 1.8 * mean(crowd - 10, crowd), "the crowd");
}

#[test]
fn the_batch_week_comes_in_bursts_with_a_heavy_tail() {
    let rows = columns("batch-nightly.csv");
    assert!((1500..6000).contains(&rows.len()), "{} jobs", rows.len());
    assert!(rows.is_sorted_by(|one, next| one[0] <= next[0]));
    let first_minutes = rows.iter().filter(|row| (3600.0..3800.0).contains(&row[0])).count();
    assert!(first_minutes >= 100, "the nightly run starts with {first_minutes} jobs");
    let mut durations: Vec<f64> = rows.iter().map(|row| row[3]).collect();
    durations.sort_by(f64::total_cmp);
    let quantile = |share: f64| durations[(share * durations.len() as f64) as usize];
    assert!(quantile(0.99) > 10.0 * quantile(0.5), "{} against {}", quantile(0.99), quantile(0.5));
}
