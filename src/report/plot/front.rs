//! The picture of a search: what each point costs against the service quality it gives, and the front of the best.

use super::PlotError;
use super::chart::{Entry, Mark, Panel, Type, ValueAxis, fitted, picture, text_width};
use super::run::Named;
use super::theme::{AXIS, BLUE, FAINT, GREEN, GRID, HEIGHT, INK, LABEL, ORANGE, OTHER, VERMILION};
use crate::report::format::for_people;
use crate::report::optimize::Search;
use crate::report::summary::{Unit, label};

/// The front of a search; nothing when there is no figure to draw the cost against.
pub(super) fn all(search: &Search) -> Result<Vec<Named>, PlotError> {
    let Some(metric) = search.quality.first() else { return Ok(Vec::new()) };
    let unit = |key: &str| search.points.iter().find_map(|point| point.summary.unit(key)).unwrap_or(Unit::Count);
    let mean = |point: usize, key: &str| search.points[point].summary.get(key).map(|figure| figure.mean);
    let points: Vec<(usize, f64, f64)> = (0..search.points.len())
        .filter_map(|point| Some((point, mean(point, metric)?, mean(point, &search.asked.objective)?)))
        .collect();
    if points.is_empty() {
        return Ok(Vec::new());
    }
    let limits: Vec<f64> = search
        .asked
        .constraints
        .iter()
        .filter(|constraint| constraint.metric == *metric)
        .map(|constraint| constraint.limit)
        .collect();
    // What is far beyond every limit must not squeeze the rest: it lies on the border.
    let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let limit = limits.iter().copied().fold(0.0, f64::max);
    let right = ValueAxis::from_zero(if limit > 0.0 { most.min(3.0 * limit).max(1.2 * limit) } else { most });
    let dearest = points.iter().map(|point| point.2).fold(0.0, f64::max);
    let subtitle = format!(
        "{}: a dot for each point that ran; the front: no point is both cheaper and better{}",
        search.asked.scenario,
        if most > right.range().1 { "; on the right border: beyond it" } else { "" }
    );
    let svg = picture(&search.headline(), &subtitle, HEIGHT, |canvas| {
        let mut legend = vec![
            Entry::new("meets the constraints", BLUE, Mark::Dot),
            Entry::new("misses one", OTHER, Mark::Dot),
            Entry::new("front", GREEN, Mark::Line),
        ];
        if search.winner.is_some() {
            legend.push(Entry::new("best", ORANGE, Mark::Dot));
        }
        if !limits.is_empty() {
            legend.push(Entry::new("limit", VERMILION, Mark::Dashes));
        }
        canvas.legend(&legend)?;
        let frame = canvas.panels(1)[0];
        let panel = Panel::new(frame, right.range(), ValueAxis::from_zero(dearest));
        for tick in right.ticks() {
            let x = panel.x(tick);
            canvas.path(vec![(x, frame.top), (x, frame.bottom)], GRID, 1)?;
            canvas.text((x, frame.bottom + 24), &right.label(tick), Type::new(LABEL, FAINT).centred())?;
        }
        canvas.path(vec![(frame.left, frame.bottom), (frame.right, frame.bottom)], AXIS, 2)?;
        canvas.value_axis(
            &panel,
            &format!("{} [{}]", label(&search.asked.objective), unit(&search.asked.objective).as_str()),
        )?;
        let caption = format!("{} [{}]", label(metric), unit(metric).as_str());
        canvas.text((frame.right, frame.bottom + 52), &caption, Type::new(LABEL, INK).right())?;
        for limit in &limits {
            let x = panel.x(*limit);
            canvas.dashed(&[(x, frame.top), (x, frame.bottom)], VERMILION, 3)?;
        }
        let mut front: Vec<(f64, f64)> = points
            .iter()
            .filter(|(point, ..)| search.points[*point].on_front)
            .map(|(_, quality, cost)| (*quality, *cost))
            .collect();
        front.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        // Between two points of the front nothing is known: it goes along the worse of both.
        let mut steps: Vec<(i32, i32)> = Vec::new();
        for (quality, cost) in &front {
            let at = panel.at(*quality, *cost);
            if let Some(last) = steps.last().copied() {
                steps.push((at.0, last.1));
            }
            steps.push(at);
        }
        canvas.path(steps, GREEN, 3)?;
        for (point, quality, cost) in &points {
            let colour = if search.points[*point].feasible { BLUE } else { OTHER };
            canvas.disc(panel.at(*quality, *cost), 7, colour)?;
        }
        if let Some((point, quality, cost)) = points.iter().find(|(point, ..)| search.winner == Some(*point)) {
            let at = panel.at(*quality, *cost);
            canvas.disc(at, 11, ORANGE)?;
            let text = format!("{}: {}", search.settings(*point), for_people(*cost, unit(&search.asked.objective)));
            let set = Type::new(LABEL, INK).bold();
            // Below and left of the front there is no point; on its other side there may be.
            let width = text_width(&text, LABEL) * 9 / 8;
            if at.0 - frame.left > width + 20 {
                canvas.text((at.0 - 16, (at.1 + 24).min(frame.bottom - 14)), &text, set.right())?;
            } else {
                let text = fitted(&text, LABEL, frame.right - at.0 - 20);
                canvas.text((at.0 + 16, (at.1 - 24).max(frame.top)), &text, set)?;
            }
        }
        Ok(())
    })?;
    Ok(vec![("front".to_owned(), svg)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::optimize::tests::search;

    #[test]
    fn the_front_shows_the_best_and_the_limit() {
        let pictures = all(&search(0.32)).unwrap();
        let (name, svg) = &pictures[0];
        assert_eq!(name, "front");
        for part in ["best: a 2 with cost", "a 2: $2", "limit", "default/web: latency, p99 [s]"] {
            assert!(svg.contains(part), "{part} is not in the picture");
        }
        let none = all(&search(0.01)).unwrap();
        assert!(none[0].1.contains("none of 4 points meets every constraint"), "{}", none[0].1);
        let nothing = Search { points: Vec::new(), ..search(0.32) };
        assert!(all(&nothing).unwrap().is_empty());
    }
}
