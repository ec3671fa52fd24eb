//! The pictures of a comparison.

use plotters::style::RGBColor;

use super::chart::{Canvas, Entry, Mark, Panel, TimeAxis, Type, ValueAxis, fitted, picture};
use super::compare_service;
use super::findings::{plural, rounded};
use super::folder::{Folder, integral};
use super::levels::accumulated;
use super::run::Named;
use super::theme::{AXIS, FAINT, GREEN, GRID, HEIGHT, INK, LABEL, MARGIN, OTHER, SERIES, VERMILION, WIDTH};
use super::{PlotError, queue};
use crate::report::compare::{Comparison, Effect, Row, percent, signed};
use crate::report::format::{money, span};
use crate::report::output::safe_name;
use crate::report::summary::{WARMUP_NOTE, is_share, label};

/// Every picture of a comparison.
pub(super) fn all(comparison: &Comparison, runs: &[(String, Folder)]) -> Result<Vec<Named>, PlotError> {
    let mut pictures = Vec::new();
    if let Some(svg) = differences(comparison)? {
        pictures.push(("differences".to_owned(), svg));
    }
    if let Some(svg) = overlay(comparison, runs)? {
        pictures.push(("variants".to_owned(), svg));
    }
    pictures.extend(compare_service::all(comparison, runs)?);
    let queues = runs.first().map_or(&[][..], |(_, run)| &run.plan.queues);
    for plan in queues {
        if let Some(svg) = queue::overlay(&comparison.scenario, runs, plan)? {
            pictures.push((safe_name(&format!("queue-{}", queue::name_of(plan))), svg));
        }
    }
    Ok(pictures)
}

/// At most this many metrics a variant: what does not fit is in the table.
const ROWS: usize = 20;

/// Whether a metric is only a part of another one that is shown.
fn is_part(metric: &str) -> bool {
    metric.starts_with("cost_") && metric != "cost_usd"
        || metric.starts_with("idle_") && metric.ends_with("_usd") && metric != "idle_cost_usd"
        || is_share(metric)
}

/// One line of the picture of differences.
struct Line<'c> {
    row: &'c Row,
    /// Relative difference [%] and its interval.
    mean: f64,
    interval: Option<[f64; 2]>,
    absolute: f64,
    effect: Effect,
}

fn lines(comparison: &Comparison, variant: usize) -> Vec<Line<'_>> {
    comparison
        .rows
        .iter()
        .filter(|row| !is_part(&row.metric))
        .filter_map(|row| {
            let difference = row.differences[variant].as_ref()?;
            let relative = difference.relative.as_ref()?;
            // What reads as 0.0 %, its interval too, needs no line.
            let nothing = |share: f64| share.abs() < 0.0005;
            let unchanged = nothing(relative.mean) && relative.half_width().is_none_or(nothing);
            (!unchanged).then(|| Line {
                row,
                mean: relative.mean * 100.0,
                interval: relative.ci95.map(|bounds| bounds.map(|bound| bound * 100.0)),
                absolute: difference.absolute.mean,
                effect: row.effect(variant),
            })
        })
        .take(ROWS)
        .collect()
}

/// How far the axis reaches: one wild metric must not squeeze all others flat, so an arrow stands for a mean that is more
/// than three times as far out as the next, and for an interval that would take more than twice the room of the means.
pub(in crate::report) fn reach(means: &[f64], intervals: &[[f64; 2]]) -> f64 {
    let sorted = |mut sizes: Vec<f64>| {
        sizes.retain(|size| *size > 0.0);
        sizes.sort_by(f64::total_cmp);
        sizes
    };
    let sizes = sorted(means.iter().map(|mean| mean.abs()).collect());
    // A loss of everything is 100 %: what is no further out is never wild.
    let wild = |pair: &[f64]| pair[1] > 100.0 && pair[1] > 3.0 * pair[0];
    let gap = sizes.windows(2).skip(sizes.len() / 2).position(wild);
    let means = match gap {
        Some(place) => sizes[sizes.len() / 2 + place],
        None => sizes.last().copied().unwrap_or(0.0),
    };
    let ends = sorted(intervals.iter().map(|[low, high]| low.abs().max(high.abs())).collect());
    let usual = ends.get(ends.len() / 2).copied().unwrap_or(0.0);
    let least = means.max(usual);
    let reach = ends.into_iter().filter(|end| *end <= 2.0 * least).fold(least, f64::max);
    if reach > 0.0 { reach } else { 1.0 }
}

fn differences(comparison: &Comparison) -> Result<Option<String>, PlotError> {
    const ROW: i32 = 40;
    const HEADING: i32 = 52;
    const LABELS: i32 = 470;
    const FIGURES: i32 = 300;
    let blocks: Vec<(&str, Vec<Line<'_>>)> = comparison.variants[1..]
        .iter()
        .enumerate()
        .map(|(place, name)| (name.as_str(), lines(comparison, place)))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    if blocks.is_empty() {
        return Ok(None);
    }
    let all = || blocks.iter().flat_map(|(_, lines)| lines);
    let intervals: Vec<[f64; 2]> = all().map(|line| line.interval.unwrap_or([line.mean; 2])).collect();
    let reach = reach(&all().map(|line| line.mean).collect::<Vec<_>>(), &intervals);
    let ends = || intervals.iter().flatten().map(|end| end.clamp(-reach, reach));
    let (lowest, highest) = (ends().fold(0.0, f64::min), ends().fold(0.0, f64::max));
    let axis = ValueAxis::spanning(lowest, highest);
    let count: usize = blocks.iter().map(|(_, lines)| lines.len()).sum();
    let note = if comparison.has_warmup() { 30 } else { 0 };
    let height =
        340 + note + i32::try_from(blocks.len()).unwrap_or(1) * HEADING + i32::try_from(count).unwrap_or(1) * ROW;
    let title = comparison.headlines.first().map_or("Variants compared", String::as_str);
    let subtitle = format!(
        "{}: difference to {}, {} replications on the same random numbers, 95 % intervals of paired differences",
        comparison.scenario, comparison.variants[0], comparison.replications
    );
    picture(title, &subtitle, height, |canvas| {
        let mut legend = vec![
            Entry::new("better", GREEN, Mark::Dot),
            Entry::new("worse", VERMILION, Mark::Dot),
            Entry::new("different, neither better nor worse", INK, Mark::Dot),
            Entry::new("interval holds 0, or there is none", OTHER, Mark::Dot),
        ];
        let (low, high) = axis.range();
        if intervals.iter().flatten().any(|end| !(low..=high).contains(end)) {
            legend.push(Entry::new("beyond the axis", INK, Mark::Arrow));
        }
        canvas.legend(&legend)?;
        let (left, right) = (MARGIN + LABELS, WIDTH - MARGIN - FIGURES);
        let x = |percent: f64| {
            let share = ((percent - low) / (high - low)).clamp(0.0, 1.0);
            left + (share * f64::from(right - left)).round() as i32
        };
        let arrow = |canvas: &Canvas<'_>, end: f64, y: i32, colour: RGBColor| {
            let (tip, back) = if end > high { (right + 6, right - 12) } else { (left - 6, left + 12) };
            canvas.fill(vec![(tip, y), (back, y - 9), (back, y + 9)], colour, 1.0)
        };
        let top = canvas.top + 10;
        let bottom = height - MARGIN - 60 - note;
        for tick in axis.ticks() {
            let at = x(tick);
            let (colour, width) = if tick == 0.0 { (INK, 2) } else { (GRID, 1) };
            canvas.path(vec![(at, top), (at, bottom)], colour, width)?;
            let sign = if tick > 0.0 { "+" } else { "" };
            let text = format!("{sign}{} %", axis.label(tick));
            canvas.text((at, bottom + 22), &text, Type::new(LABEL, FAINT).centred())?;
        }
        let caption = format!("difference to {} [% of its mean]", comparison.variants[0]);
        canvas.text((i32::midpoint(left, right), bottom + 54), &caption, Type::new(LABEL, INK).centred())?;
        let mut y = top;
        for (name, lines) in &blocks {
            y += HEADING;
            canvas.text((MARGIN, y - 18), name, Type::new(LABEL + 2, INK).bold())?;
            canvas.path(vec![(MARGIN, y), (WIDTH - MARGIN, y)], AXIS, 1)?;
            for line in lines {
                let middle = y + ROW / 2;
                let colour = match line.effect {
                    Effect::Better => GREEN,
                    Effect::Worse => VERMILION,
                    Effect::Different => INK,
                    Effect::Unclear | Effect::Same => OTHER,
                };
                let label = fitted(&label(&line.row.metric), LABEL, LABELS - 24);
                canvas.text((left - 24, middle), &label, Type::new(LABEL, INK).right())?;
                if let Some([from, to]) = line.interval {
                    canvas.path(vec![(x(from), middle), (x(to), middle)], colour, 4)?;
                    for end in [from, to] {
                        if (low..=high).contains(&end) {
                            canvas.path(vec![(x(end), middle - 8), (x(end), middle + 8)], colour, 3)?;
                        } else {
                            arrow(canvas, end, middle, colour)?;
                        }
                    }
                }
                if (low..=high).contains(&line.mean) {
                    canvas.disc((x(line.mean), middle), 7, colour)?;
                } else {
                    arrow(canvas, line.mean, middle, colour)?;
                }
                let relative = percent(line.mean / 100.0);
                canvas.text((WIDTH - MARGIN - 150, middle), &relative, Type::new(LABEL, INK).right())?;
                let absolute = signed(line.absolute, line.row.unit);
                canvas.text((WIDTH - MARGIN, middle), &absolute, Type::new(LABEL, FAINT).right())?;
                y += ROW;
            }
        }
        if comparison.has_warmup() {
            canvas.footnote(WARMUP_NOTE)?;
        }
        Ok(())
    })
    .map(Some)
}

/// What one variant shows over time.
struct Curves {
    /// Hosts, at each change.
    hosts: Vec<(f64, f64)>,
    /// Cost of hosts and Fargate tasks so far.
    cost: Vec<(f64, f64)>,
}

fn overlay(comparison: &Comparison, runs: &[(String, Folder)]) -> Result<Option<String>, PlotError> {
    if runs.len() < 2 {
        return Ok(None);
    }
    let shown = &runs[..runs.len().min(SERIES.len())];
    let until = shown.iter().map(|(_, run)| run.plan.duration_s).fold(0.0, f64::max);
    let axis = TimeAxis::new(shown[0].1.plan.start, (0.0, until));
    let curves: Vec<Curves> = shown
        .iter()
        .map(|(_, run)| {
            let mut changes: Vec<(f64, f64)> = run
                .hosts
                .iter()
                .flat_map(|host| [Some((host.launched_s, 1.0)), host.terminated_s.map(|at| (at, -1.0))])
                .flatten()
                // What waits in a warm pool is no host that anything runs on.
                .chain(run.pooled().into_iter().map(|(at, by)| (at, -by)))
                .collect();
            changes.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut count = 0.0;
            let hosts = changes
                .into_iter()
                .map(|(at, by)| {
                    count += by;
                    (at, count)
                })
                .collect();
            let cost = accumulated(&run.total("cost_per_hour_usd"), run.plan.duration_s);
            Curves { hosts, cost }
        })
        .collect();
    let spent = |place: usize| curves[place].cost.last().map_or(0.0, |last| last.1);
    let order = |a: &usize, b: &usize| spent(*a).total_cmp(&spent(*b));
    let (Some(cheapest), Some(dearest)) = ((0..shown.len()).min_by(order), (0..shown.len()).max_by(order)) else {
        return Ok(None);
    };
    let title = if spent(cheapest) == spent(dearest) {
        format!("All variants spend {} on hosts and Fargate", money(spent(cheapest)))
    } else {
        format!(
            "{} spends {} on hosts and Fargate, {} spends {}",
            shown[cheapest].0,
            money(spent(cheapest)),
            shown[dearest].0,
            money(spent(dearest))
        )
    };
    let left_out = runs.len() - shown.len();
    let more = if left_out > 0 { format!("; {left_out} variants more are not shown") } else { String::new() };
    let subtitle =
        format!("{}: replication 0 of each variant, {}, same random numbers{more}", comparison.scenario, span(until));
    picture(&title, &subtitle, HEIGHT + 100, |canvas| {
        let legend: Vec<Entry> = shown
            .iter()
            .zip(SERIES)
            .zip(&curves)
            .map(|(((name, run), colour), Curves { hosts, cost })| {
                let (from, to) = (run.plan.warmup_s, run.plan.duration_s);
                let mean = if to > from { integral(hosts, from, to) / (to - from) } else { 0.0 };
                let total = cost.last().map_or(0.0, |last| last.1);
                let hosts =
                    if hosts.is_empty() { String::new() } else { format!("{}, ", plural(rounded(mean), "host")) };
                Entry::new(format!("{name}: {hosts}{}", money(total)), colour, Mark::Line)
            })
            .collect();
        canvas.legend(&legend)?;
        // Without hosts there is nothing to show of them.
        let hosted = curves.iter().any(|curves| !curves.hosts.is_empty());
        let mut frames = canvas.panels(if hosted { 2 } else { 1 });
        let costs = frames.pop();
        let top = |pick: fn(&Curves) -> &Vec<(f64, f64)>| {
            curves.iter().flat_map(pick).map(|(_, value)| *value).fold(0.0, f64::max)
        };
        let cost_axis = ValueAxis::from_zero(top(|curves| &curves.cost));
        let costs = costs.map(|frame| Panel::new(frame, (0.0, until), cost_axis));
        let host_axis = ValueAxis::counts(top(|curves| &curves.hosts));
        let hosts = frames.pop().map(|frame| Panel::new(frame, (0.0, until), host_axis));
        for (panel, name) in [(&hosts, "hosts"), (&costs, "cost of hosts and Fargate so far [USD]")] {
            let Some(panel) = panel else { continue };
            canvas.backdrop(panel, &shown[0].1.plan)?;
            canvas.time_axis(panel, &axis)?;
            canvas.value_axis(panel, name)?;
        }
        for (Curves { hosts: levels, cost: sums }, colour) in curves.iter().zip(SERIES) {
            if let Some(hosts) = &hosts {
                canvas.steps(hosts, levels, colour, 3)?;
            }
            if let Some(costs) = &costs {
                canvas.slope(costs, sums, colour, 3)?;
            }
        }
        let shaded = "shaded: the warm-up, which the means leave out and the dollars do not";
        canvas.time_caption_with(&axis, &shown[0].1.plan, shaded)
    })
    .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wide_interval_does_not_squeeze_the_others() {
        let narrow = [[-8.0, -4.0], [10.0, 14.0], [1.0, 3.0], [-1.0, 1.0]];
        let means = [-6.0, 12.0, 2.0, 0.0, 5.0];
        let all = |wide: [f64; 2]| narrow.into_iter().chain([wide]).collect::<Vec<_>>();
        assert_eq!(reach(&means, &all([-190.0, 200.0])), 14.0, "clipped, with an arrow");
        assert_eq!(reach(&means, &all([-15.0, 20.0])), 20.0, "wide, but shown whole");
    }

    #[test]
    fn one_wild_mean_does_not_squeeze_the_others() {
        let means = [-6.0, 12.0, 2.0, 400.0];
        let intervals = means.map(|mean| [mean - 1.0, mean + 1.0]);
        assert_eq!(reach(&means, &intervals), 13.0);
        assert_eq!(reach(&[], &[]), 1.0);
        let all_gone = [-7.0, -100.0, 4.3];
        assert_eq!(reach(&all_gone, &all_gone.map(|mean| [mean; 2])), 100.0, "a loss of everything is shown");
    }
}
