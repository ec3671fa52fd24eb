//! Pictures of an offered load.

use super::PlotError;
use super::chart::{Entry, Mark, Panel, TimeAxis, ValueAxis, picture};
use super::theme::{BLUE, FAINT, HEIGHT};
use crate::report::format::span;
use crate::report::offered::{OfferedLoad, plain};
use crate::report::output::safe_name;

/// A picture of each load, by name of its file.
pub(super) fn all(
    scenario: &str,
    start: jiff::Timestamp,
    loads: &[OfferedLoad],
) -> Result<Vec<(String, String)>, PlotError> {
    loads.iter().map(|load| Ok((file_name(load), one(scenario, start, load)?))).collect()
}

/// `load-shoppers`, or with what is counted where one workload offers two things.
fn file_name(load: &OfferedLoad) -> String {
    let name = load.resource.rsplit('/').next().unwrap_or_default();
    let what = if load.what == "MiB" { "-memory" } else { "" };
    format!("load-{}{what}", safe_name(name))
}

fn one(scenario: &str, start: jiff::Timestamp, load: &OfferedLoad) -> Result<String, PlotError> {
    let (peak_at, peak) = load.peak();
    let mean = load.mean();
    let end = load.series.last().map_or(0.0, |(at, _)| at + load.width);
    let times = (0.0, end);
    let axis = TimeAxis::new(start, times);
    let name = load.resource.rsplit('/').next().unwrap_or_default();
    let title = if mean > 0.0 {
        format!(
            "{name} peaks at {} {}, {:.1} times its mean, after {}",
            plain(peak),
            load.unit(),
            peak / mean,
            span(peak_at)
        )
    } else {
        format!("{name} offers nothing in this run")
    };
    let subtitle = format!("{} · {scenario}, {}, in steps of {}", load.resource, span(end), span(load.width));
    picture(&title, &subtitle, HEIGHT, |canvas| {
        canvas.legend(&[
            Entry::new(format!("offered load, {}", load.unit()), BLUE, Mark::Area(0.5)),
            Entry::new(format!("mean, {}", plain(mean)), FAINT, Mark::Dashes),
        ])?;
        let frames = canvas.panels(1);
        for frame in frames {
            let panel = Panel::new(frame, times, ValueAxis::from_zero(peak));
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, &load.unit())?;
            let mut series = load.series.clone();
            series.extend(load.series.last().map(|(_, value)| (end, *value)));
            canvas.area(&panel, &series, BLUE, 0.5)?;
            canvas.steps(&panel, &series, BLUE, 2)?;
            canvas.dashed(&[panel.at(0.0, mean), panel.at(end, mean)], FAINT, 3)?;
        }
        canvas.clock_caption(&axis)
    })
}
