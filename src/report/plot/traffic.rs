//! The picture of a service whose traffic moves between two target groups (DEP-20).

use super::PlotError;
use super::chart::{Entry, Mark, Panel, TimeAxis, ValueAxis, picture};
use super::folder::{Folder, ServicePlan, layered};
use super::theme::{BLUE, GREEN, INK};
use crate::report::format::span;

/// Requests by target group, the new revision's share, and the targets of each group; nothing for a service whose traffic
/// has never moved.
pub(super) fn traffic(folder: &Folder, service: &ServicePlan) -> Result<Option<String>, PlotError> {
    let share = folder.series(&service.resource, "new_revision_traffic_percent");
    let [first, second] = &service.target_groups[..] else { return Ok(None) };
    let resources = [first, second].map(|name| format!("target-group/{name}"));
    let requests = resources.each_ref().map(|resource| folder.series(resource, "RequestCount"));
    let healthy = resources.each_ref().map(|resource| folder.series(resource, "HealthyHostCount"));
    if share.is_empty() {
        return Ok(None);
    }
    let axis = TimeAxis::new(folder.plan.start, folder.times());
    let name = service.resource.rsplit('/').next().unwrap_or_default();
    let plan = &folder.plan;
    let run =
        format!("{} · {}, {} simulated, seed {}", service.resource, plan.scenario, span(plan.duration_s), plan.seed);
    picture(&title(name, share), &run, 1180, |canvas| {
        canvas.legend(&[
            Entry::new(format!("target group {first}"), BLUE, Mark::Area(0.6)),
            Entry::new(format!("target group {second}"), GREEN, Mark::Area(0.6)),
            Entry::new("share of the newer revision", INK, Mark::Line),
        ])?;
        let frames = canvas.panels(3);
        let by_group = layered(&requests, &[0, 1], 2);
        let total = |rows: &[(f64, Vec<f64>)]| rows.iter().map(|(_, levels)| levels.iter().sum()).fold(0.0, f64::max);
        let targets = layered(&healthy, &[0, 1], 2);
        let panels = [
            (ValueAxis::from_zero(total(&by_group)), "requests a minute"),
            (ValueAxis::from_zero(100.0), "share of the traffic [%]"),
            (ValueAxis::counts(total(&targets)), "healthy targets"),
        ];
        for (place, ((values, label), frame)) in panels.into_iter().zip(frames).enumerate() {
            let panel = Panel::new(frame, folder.times(), values);
            canvas.backdrop(&panel, plan)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, label)?;
            match place {
                0 => canvas.stack(&panel, &by_group, &[BLUE, GREEN], 0.6)?,
                1 => canvas.steps(&panel, share, INK, 3)?,
                _ => canvas.stack(&panel, &targets, &[BLUE, GREEN], 0.6)?,
            }
        }
        canvas.time_caption(&axis, plan)
    })
    .map(Some)
}

/// How often a newer revision had all the traffic.
fn title(name: &str, share: &[(f64, f64)]) -> String {
    let arrives = |pair: &&[(f64, f64)]| pair[0].1 < 100.0 && pair[1].1 == 100.0;
    let times = match share.windows(2).filter(arrives).count() {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    };
    format!("A newer revision of {name} had all its traffic {times}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_counts_arrivals_not_steps() {
        assert_eq!(title("web", &[(0.0, 0.0), (60.0, 5.0)]), "A newer revision of web had all its traffic never");
        let twice = [(0.0, 0.0), (60.0, 5.0), (600.0, 100.0), (900.0, 0.0), (960.0, 100.0), (990.0, 0.0)];
        assert_eq!(title("web", &twice), "A newer revision of web had all its traffic twice");
    }
}
