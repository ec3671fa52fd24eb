//! The pictures of a sweep: lines over one parameter, heat maps over two, a panel a parameter over more.

use plotters::style::WHITE;

use super::PlotError;
use super::chart::{Canvas, Entry, Frame, Mark, Panel, Type, ValueAxis, fitted, picture};
use super::run::Named;
use super::theme::{
    AXIS, BLUE, FAINT, GREEN, GRID, GUTTER, HEIGHT, INK, LABEL, MARGIN, ORANGE, PURPLE, VERMILION, WIDTH,
};
use crate::report::format::for_people;
use crate::report::summary::{Figure, Unit, label};
use crate::report::sweep::SweepTables;
use crate::study::design::position;

/// Every picture of a sweep; none of one without points or without figures.
pub(super) fn all(tables: &SweepTables<'_>) -> Result<Vec<Named>, PlotError> {
    let study = &tables.sweep.study;
    if tables.sweep.records.is_empty() || tables.key_metrics(1).is_empty() {
        return Ok(Vec::new());
    }
    let grid = study.layout == "grid";
    let svg = match study.paths.len() {
        1 => lines(tables)?,
        2 if grid && study.shard.is_none() => heat_maps(tables)?,
        _ => scatter(tables)?,
    };
    Ok(vec![("sweep".to_owned(), svg)])
}

fn subtitle(tables: &SweepTables<'_>, what: &str) -> String {
    let study = &tables.sweep.study;
    let runs = match study.replications {
        1 => "1 replication".to_owned(),
        more => format!("{more} replications of each point on the same random numbers"),
    };
    format!("{}: {runs}; {what}", study.scenario)
}

/// Where the values of one parameter lie along an axis.
struct Across {
    /// Of each value, in order of first use.
    at: Vec<f64>,
    labels: Vec<String>,
    numeric: bool,
}

impl Across {
    fn of(values: &[&str]) -> Self {
        let labels = values.iter().map(|value| if value.is_empty() { "as it is" } else { value }.to_owned()).collect();
        match values.iter().map(|value| position(value)).collect::<Option<Vec<f64>>>() {
            Some(at) if at.len() > 1 => Self { at, labels, numeric: true },
            _ => Self { at: (0..values.len()).map(|place| place as f64).collect(), labels, numeric: false },
        }
    }

    /// The ends of the axis, with room beside the outermost values.
    fn ends(&self) -> (f64, f64) {
        let (low, high) =
            self.at.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(*at), high.max(*at)));
        let room = if self.numeric { (high - low) * 0.04 } else { 0.5 };
        (low - room, high + room)
    }

    /// Ticks under a panel: every value, or as many as have room, the first ones in order of place.
    fn draw(&self, canvas: &Canvas<'_>, panel: &Panel, caption: &str) -> Result<(), PlotError> {
        let Frame { left, right, top, bottom } = panel.frame;
        canvas.path(vec![(left, bottom), (right, bottom)], AXIS, 2)?;
        let mut order: Vec<usize> = (0..self.at.len()).collect();
        order.sort_by(|a, b| self.at[*a].total_cmp(&self.at[*b]));
        let mut free = i32::MIN;
        for place in order {
            let x = panel.x(self.at[place]);
            let text = fitted(&self.labels[place], LABEL, (right - left) / 3);
            let half = super::chart::text_width(&text, LABEL) / 2;
            if x - half < free {
                continue;
            }
            free = x + half + 12;
            canvas.path(vec![(x, top), (x, bottom)], GRID, 1)?;
            canvas.path(vec![(x, bottom), (x, bottom + 7)], AXIS, 2)?;
            canvas.text((x, bottom + 24), &text, Type::new(LABEL, FAINT).centred())?;
        }
        if !caption.is_empty() {
            canvas.text((right, bottom + 52), caption, Type::new(LABEL, INK).right())?;
        }
        Ok(())
    }
}

/// What a value is multiplied with on an axis, and the unit it then has.
fn scale(unit: Unit) -> (f64, &'static str) {
    match unit {
        Unit::Ratio => (100.0, "%"),
        Unit::Count | Unit::Requests => (1.0, ""),
        other => (1.0, other.as_str()),
    }
}

fn axis_name(key: &str, unit: Unit) -> String {
    match scale(unit).1 {
        "" => label(key),
        unit => format!("{} [{unit}]", label(key)),
    }
}

/// The highest value that anything of a metric reaches.
fn reach(figures: &[Option<Figure>]) -> f64 {
    let high = |figure: &Figure| figure.ci95.map_or(figure.mean, |[_, high]| high);
    // One wild interval must not squeeze all others flat: it is cut at twice the highest mean.
    let mean = figures.iter().flatten().map(|figure| figure.mean).fold(0.0, f64::max);
    figures.iter().flatten().map(high).fold(0.0, f64::max).min(2.0 * mean)
}

fn lines(tables: &SweepTables<'_>) -> Result<String, PlotError> {
    let metrics = tables.key_metrics(4);
    let path = &tables.sweep.study.paths[0];
    let values: Vec<&str> = tables.sweep.records.iter().map(|record| record.values[0].as_str()).collect();
    let across = Across::of(&values);
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| across.at[*a].total_cmp(&across.at[*b]));
    let count = i32::try_from(metrics.len()).unwrap_or(1);
    let height = HEIGHT.max(260 + 290 * count);
    let what = if across.numeric { "means, shaded: 95 % intervals" } else { "means with 95 % intervals" };
    picture(&tables.headline(), &subtitle(tables, what), height, |canvas| {
        let frames = canvas.panels(metrics.len());
        for (place, (((key, unit), frame), colour)) in
            metrics.iter().zip(frames).zip([BLUE, VERMILION, PURPLE, GREEN]).enumerate()
        {
            let figures = tables.figures(key);
            let scale = scale(*unit).0;
            let panel = Panel::new(frame, across.ends(), ValueAxis::from_zero(reach(&figures) * scale));
            let last = place + 1 == metrics.len();
            across.draw(canvas, &panel, if last { path } else { "" })?;
            canvas.value_axis(&panel, &axis_name(key, *unit))?;
            let points: Vec<(f64, Figure)> =
                order.iter().filter_map(|point| Some((across.at[*point], figures[*point]?))).collect();
            if across.numeric {
                let end = |which: usize| {
                    points
                        .iter()
                        .map(move |(at, figure)| (*at, figure.ci95.map_or(figure.mean, |ends| ends[which]) * scale))
                };
                let lower = end(0).map(|(at, value)| panel.at(at, value));
                let upper = end(1).map(|(at, value)| panel.at(at, value));
                let band: Vec<(i32, i32)> = upper.chain(lower.collect::<Vec<_>>().into_iter().rev()).collect();
                canvas.fill(band, colour, 0.2)?;
                let line = points.iter().map(|(at, figure)| panel.at(*at, figure.mean * scale)).collect();
                canvas.path(line, colour, 3)?;
            }
            for (at, figure) in &points {
                whisker(canvas, &panel, *at, figure, scale, colour, !across.numeric)?;
            }
        }
        Ok(())
    })
}

/// A mean as a dot, and its interval as an upright line through it.
fn whisker(
    canvas: &Canvas<'_>,
    panel: &Panel,
    at: f64,
    figure: &Figure,
    scale: f64,
    colour: plotters::style::RGBColor,
    interval: bool,
) -> Result<(), PlotError> {
    if let Some(ends) = figure.ci95.filter(|_| interval) {
        canvas.path(ends.map(|end| panel.at(at, end * scale)).to_vec(), colour, 3)?;
    }
    canvas.disc(panel.at(at, figure.mean * scale), 6, colour)
}

fn scatter(tables: &SweepTables<'_>) -> Result<String, PlotError> {
    const MOST: usize = 4;
    let study = &tables.sweep.study;
    let Some((key, unit)) = tables.key_metrics(1).into_iter().next() else {
        return Err(PlotError::Draw("a sweep without figures".to_owned()));
    };
    let figures = tables.figures(&key);
    let scale = scale(unit).0;
    let shown = study.paths.len().min(MOST);
    let more = match study.paths.len() - shown {
        0 => String::new(),
        more => format!("; {more} parameters more are in sweep.csv"),
    };
    let height = HEIGHT.max(230 + 340 * i32::try_from(shown).unwrap_or(1));
    let what = format!("every point against each parameter, 95 % intervals{more}");
    picture(&tables.headline(), &subtitle(tables, &what), height, |canvas| {
        for (path, frame) in canvas.panels(shown).into_iter().enumerate() {
            let values: Vec<&str> = tables.sweep.records.iter().map(|record| record.values[path].as_str()).collect();
            let numeric = values.iter().all(|value| position(value).is_some());
            let distinct: indexmap::IndexSet<&str> = values.iter().copied().collect();
            let across = Across::of(&distinct.iter().copied().collect::<Vec<_>>());
            let frame = Frame { bottom: frame.bottom - 30, ..frame };
            let panel = Panel::new(frame, across.ends(), ValueAxis::from_zero(reach(&figures) * scale));
            across.draw(canvas, &panel, &study.paths[path])?;
            canvas.value_axis(&panel, &axis_name(&key, unit))?;
            for (value, figure) in values.iter().zip(&figures) {
                let (Some(figure), Some(place)) = (figure, distinct.get_index_of(value)) else { continue };
                whisker(canvas, &panel, across.at[place], figure, scale, if numeric { BLUE } else { PURPLE }, true)?;
            }
        }
        Ok(())
    })
}

fn heat_maps(tables: &SweepTables<'_>) -> Result<String, PlotError> {
    let metrics = tables.key_metrics(2);
    let column = |path: usize| -> Vec<&str> {
        let values: indexmap::IndexSet<&str> =
            tables.sweep.records.iter().map(|record| record.values[path].as_str()).collect();
        values.into_iter().collect()
    };
    let (across, along) = (column(0), column(1));
    let count = |length: usize| i32::try_from(length.max(1)).unwrap_or(i32::MAX);
    let (columns, rows) = (count(across.len()), count(along.len()));
    let each = (rows * 44 + 150).clamp(320, 1400);
    let height = 200 + each * i32::try_from(metrics.len()).unwrap_or(1);
    picture(&tables.headline(), &subtitle(tables, "means"), height, |canvas| {
        let legend = [
            Entry::new("low", BLUE, Mark::Area(opacity(0.0))),
            Entry::new("high", BLUE, Mark::Area(opacity(1.0))),
            Entry::new("lowest", ORANGE, Mark::Line),
        ];
        canvas.legend(&legend)?;
        let [name_across, name_along] = [0, 1].map(|path| tables.short_paths()[path].clone());
        for ((key, unit), frame) in metrics.iter().zip(canvas.panels(metrics.len())) {
            let figures = tables.figures(key);
            let means = || figures.iter().flatten().map(|figure| figure.mean);
            let (low, high) = (means().fold(f64::INFINITY, f64::min), means().fold(f64::NEG_INFINITY, f64::max));
            let frame = Frame { left: MARGIN + GUTTER + 60, bottom: frame.bottom - 16, ..frame };
            let x = |place: i32| frame.left + (frame.right - frame.left) * place / columns;
            let y = |place: i32| frame.bottom - (frame.bottom - frame.top) * place / rows;
            canvas.text((MARGIN, frame.top - 32), &label(key), Type::new(LABEL, INK).bold())?;
            let mut lowest = None;
            for (place, figure) in (0..).zip(&figures) {
                let Some(figure) = figure else { continue };
                let (at, up) = (place / rows, place % rows);
                let corners = [(x(at) + 1, y(up + 1) + 1), (x(at + 1) - 1, y(up) - 1)];
                let share = if high > low { (figure.mean - low) / (high - low) } else { 0.0 };
                canvas.rectangle(corners, BLUE, opacity(share))?;
                let colour = if share > 0.6 { WHITE } else { INK };
                let text = fitted(&for_people(figure.mean, *unit), LABEL, corners[1].0 - corners[0].0);
                let middle = (i32::midpoint(corners[0].0, corners[1].0), i32::midpoint(corners[0].1, corners[1].1));
                canvas.text(middle, &text, Type::new(LABEL, colour).centred())?;
                if figure.mean == low && lowest.is_none() {
                    lowest = Some(corners);
                }
            }
            if let Some([(left, top), (right, bottom)]) = lowest {
                let round = vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
                canvas.path(round, ORANGE, 5)?;
            }
            for (place, value) in (0..).zip(&across) {
                let text = fitted(value, LABEL, (frame.right - frame.left) / columns - 6);
                let middle = i32::midpoint(x(place), x(place + 1));
                canvas.text((middle, frame.bottom + 20), &text, Type::new(LABEL, FAINT).centred())?;
            }
            for (place, value) in (0..).zip(&along) {
                let text = fitted(value, LABEL, GUTTER - 10);
                let middle = i32::midpoint(y(place), y(place + 1));
                canvas.text((frame.left - 12, middle), &text, Type::new(LABEL, FAINT).right())?;
            }
            let beside = (MARGIN + 16, i32::midpoint(frame.top, frame.bottom));
            canvas.text(
                beside,
                &fitted(&name_along, LABEL, frame.bottom - frame.top),
                Type::new(LABEL, INK).centred().upright(),
            )?;
            canvas.text((WIDTH - MARGIN - 12, frame.bottom + 46), &name_across, Type::new(LABEL, INK).right())?;
        }
        Ok(())
    })
}

/// How dark a cell is, from the lowest value to the highest.
fn opacity(share: f64) -> f64 {
    0.1 + 0.8 * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sweep::tests::sweep;

    fn drawn(vary: &[&str]) -> String {
        let sweep = sweep(vary);
        let mut pictures = all(&SweepTables::new(&sweep)).unwrap();
        assert_eq!(pictures.len(), 1);
        pictures.remove(0).1
    }

    #[test]
    fn each_kind_of_sweep_has_its_picture() {
        let lines = drawn(&["services.web.desiredCount=2,4,8"]);
        assert!(lines.contains("services.web.desiredCount") && lines.contains("latency, p99 [s]"), "{lines}");
        let words = drawn(&["services.web.placementStrategy=[],[{type: random}]"]);
        assert!(words.contains("[{type: random}]"));
        let heat = drawn(&["a.desiredCount=2,4,8", "b.TargetValue=40,60"]);
        assert!(heat.contains("desiredCount") && heat.contains("TargetValue") && heat.contains("lowest"));
        let many = drawn(&["a=1,2", "b=3,4", "c=x,y"]);
        assert!(many.contains(">c</text>") || many.contains("\nc\n"), "a panel a parameter");
    }

    #[test]
    fn a_sweep_without_points_has_no_picture() {
        let mut none = sweep(&["a=1"]);
        none.records.clear();
        assert!(all(&SweepTables::new(&none)).unwrap().is_empty());
    }

    #[test]
    fn values_lie_where_their_numbers_do() {
        assert_eq!(Across::of(&["1m", "2m", "10m"]).at, [1.0, 2.0, 10.0]);
        let words = Across::of(&["x", "2"]);
        assert_eq!((words.at.as_slice(), words.ends()), (&[0.0, 1.0][..], (-0.5, 1.5)));
    }
}
