//! Charts over time: what they show as `plotly` figures, thinned so that a page of a long run stays small.

use std::fmt::Write as _;

use plotly::common::{DashType, Fill, HoverInfo, Line, LineShape, Mode, Title};
use plotly::layout::{Axis, AxisRange, RangeMode};
use plotly::{Layout, Scatter, Trace};
use plotters::style::RGBColor;
use serde::{Serialize, Serializer};

use super::html::escaped;
use crate::report::format::json_number;

/// A line with more points than this is thinned.
pub(super) const POINTS: usize = 3000;

/// A number as short as it can be told: to the millisecond, or six significant digits.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Short(f64);

impl Short {
    fn time(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() / 1000.0)
    }

    fn value(value: f64) -> Self {
        if value == 0.0 || !value.is_finite() {
            return Self(0.0);
        }
        let digits = 6 - 1 - value.abs().log10().floor() as i32;
        // Read back from its decimals: a product with a power of ten would bring digits that nobody asked for.
        let decimals = usize::try_from(digits).unwrap_or(0);
        Self(format!("{value:.decimals$}").parse().unwrap_or(value))
    }
}

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json_number(self.0).serialize(serializer)
    }
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mark {
    /// A level that holds from each change to the next.
    Steps,
    /// A level, as one of several that lie on top of one another.
    Stacked(f64),
    /// Where [`Mark::OnTop`] begins, itself unseen.
    Base,
    /// A level on top of another one.
    OnTop,
    /// Datapoints, joined.
    Line,
    /// A level of one of several runs, told from the others by its dashes too.
    Dashed(usize),
    /// The same of what changes between its points.
    Sloped(usize),
    /// A bound.
    Bound,
    /// Spans over the whole height while the level is 1.
    Span,
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) colour: RGBColor,
    pub(super) mark: Mark,
    pub(super) points: Vec<(f64, f64)>,
}

/// One chart: a finding, and the lines that show it.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) id: String,
    /// What it is a chart of, in two or three words.
    pub(super) kind: &'static str,
    /// The finding.
    pub(super) title: String,
    /// What qualifies it.
    pub(super) more: String,
    /// What the values are, with their unit.
    pub(super) axis: String,
    /// The unit alone, as it is said behind a value; `$` stands before it.
    pub(super) unit: &'static str,
    /// The service it is about, when not about all.
    pub(super) service: Option<String>,
    /// Least height of the value axis, to be comparable with another chart.
    pub(super) top: Option<f64>,
    pub(super) series: Vec<Series>,
}

/// Counts what was thinned, to say so.
#[derive(Debug, Default)]
pub(super) struct Thinned {
    lines: usize,
    longest: usize,
}

impl Thinned {
    /// What the reader must know.
    pub(super) fn note(&self) -> String {
        if self.lines == 0 {
            return "Every point of series.csv is in the charts.".to_owned();
        }
        format!(
            "{} with more than {POINTS} points (up to {}) {} thinned: of each of {} equal spans of the run the charts show the \
             first, the lowest, the highest and the last value, so that no peak is lost. series.csv has every point.",
            crate::report::plot::findings::plural(self.lines as f64, "line"),
            crate::report::format::grouped(self.longest as f64, 0),
            if self.lines == 1 { "is" } else { "are" },
            POINTS / 4
        )
    }

    fn thin(&mut self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        if points.len() > POINTS {
            self.lines += 1;
            self.longest = self.longest.max(points.len());
        }
        thinned(points, POINTS)
    }
}

/// At most about `limit` of `points`, in order of time: of each of `limit / 4` equal spans the first, the lowest, the
/// highest and the last.
pub(super) fn thinned(points: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= limit {
        return points.to_vec();
    }
    let spans = (limit / 4).max(1) as f64;
    let length = ((last.0 - first.0) / spans).max(f64::MIN_POSITIVE);
    let span_of = |at: f64| ((at - first.0) / length).floor().min(spans - 1.0);
    let mut kept = Vec::with_capacity(limit);
    for span in points.chunk_by(|a, b| span_of(a.0) == span_of(b.0)) {
        let extreme = |better: fn(f64, f64) -> bool| {
            (1..span.len()).fold(0, |best, now| if better(span[now].1, span[best].1) { now } else { best })
        };
        let mut places = [0, extreme(|a, b| a < b), extreme(|a, b| a > b), span.len() - 1].to_vec();
        places.sort_unstable();
        places.dedup();
        kept.extend(places.into_iter().map(|place| span[place]));
    }
    kept
}

/// Layers of a stack from rows: each layer has a point at each row, thinned all alike by their sum.
pub(super) fn stacked(rows: &[(f64, Vec<f64>)], layers: &[(String, RGBColor)], until: f64) -> Vec<Series> {
    let sums: Vec<(f64, f64)> =
        rows.iter().enumerate().map(|(place, (_, levels))| (place as f64, levels.iter().sum())).collect();
    let kept = thinned(&sums, POINTS);
    layers
        .iter()
        .enumerate()
        .filter(|(layer, _)| rows.iter().any(|(_, levels)| levels[*layer] > 0.0))
        .map(|(layer, (name, colour))| {
            let points: Vec<(f64, f64)> = kept
                .iter()
                .map(|(place, _)| {
                    let (at, levels) = &rows[*place as usize];
                    (*at, levels[layer])
                })
                .collect();
            Series { name: name.clone(), colour: *colour, mark: Mark::Stacked(0.75), points: held(points, until) }
        })
        .collect()
}

/// A level with its last value held to the end of the run.
pub(super) fn held(mut points: Vec<(f64, f64)>, until: f64) -> Vec<(f64, f64)> {
    if let Some(&(at, value)) = points.last()
        && at < until
    {
        points.push((until, value));
    }
    points
}

/// `#rrggbb`.
pub(super) fn hex(colour: RGBColor) -> String {
    format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2)
}

fn faded(colour: RGBColor, opacity: f64) -> String {
    format!("rgba({},{},{},{opacity})", colour.0, colour.1, colour.2)
}

/// A figure for the page's script: `data` and `layout` as Plotly takes them, times in seconds since the start.
#[derive(Serialize)]
pub(super) struct Drawn {
    unit: &'static str,
    /// Whether each trace changes evenly from one point to the next; else it holds its value until then.
    sloped: Vec<bool>,
    data: Vec<Box<dyn Trace>>,
    layout: Layout,
}

impl Figure {
    /// As a `plotly` figure.
    pub(super) fn draw(&self, thinning: &mut Thinned) -> Drawn {
        let data = self.series.iter().map(|series| trace(series, thinning)).collect();
        let top = self.top.map(|top| AxisRange::from(vec![0.0, top]));
        let mut values = Axis::new()
            .title(Title::from(self.axis.as_str()))
            .range_mode(RangeMode::ToZero)
            .fixed_range(true)
            .n_ticks(6);
        if let Some(top) = top {
            values = values.range(top);
        }
        let mut layout = Layout::new().y_axis(values);
        if self.series.iter().any(|series| series.mark == Mark::Span) {
            let whole =
                Axis::new().overlaying("y").range(AxisRange::from(vec![0.0, 1.0])).fixed_range(true).visible(false);
            layout = layout.y_axis2(whole.anchor("x"));
        }
        let sloped = self.series.iter().map(|series| matches!(series.mark, Mark::Sloped(_))).collect();
        Drawn { unit: self.unit, sloped, data, layout }
    }

    /// Its place in the page: finding, chart, and a legend that says the values and hides a line at a press.
    pub(super) fn html(&self) -> String {
        let id = escaped(&self.id);
        let service =
            self.service.as_ref().map(|name| format!(" data-service=\"{}\"", escaped(name))).unwrap_or_default();
        let more = if self.more.is_empty() { String::new() } else { format!(" <span>{}</span>", escaped(&self.more)) };
        let mut html = format!(
            "<figure data-figure=\"{id}\"{service}>\n<figcaption><small>{}</small><h3 id=\"{id}-title\">{}</h3>{more}</figcaption>\n\
             <div class=\"chart\" id=\"{id}\" role=\"img\" aria-labelledby=\"{id}-title\"></div>\n<ul class=\"legend\">",
            escaped(self.kind),
            escaped(&self.title)
        );
        for (place, series) in self.series.iter().enumerate().filter(|(_, series)| series.mark != Mark::Base) {
            let swatch = match series.mark {
                Mark::Stacked(_) | Mark::Base | Mark::OnTop => "area",
                Mark::Span => "span",
                Mark::Bound => "bound",
                Mark::Steps | Mark::Line => "line",
                Mark::Dashed(place) | Mark::Sloped(place) => ["line", "dash", "dot", "dashdot"][place % 4],
            };
            let _ = write!(
                html,
                "<li><button type=\"button\" aria-pressed=\"true\" data-trace=\"{place}\"><i class=\"{swatch}\" style=\"--c:{}\"></i>{}\
                 <output></output></button></li>",
                hex(series.colour),
                escaped(&series.name)
            );
        }
        html.push_str("</ul>\n</figure>\n");
        html
    }
}

fn dash(place: usize) -> DashType {
    [DashType::Solid, DashType::Dash, DashType::Dot, DashType::DashDot][place % 4].clone()
}

fn trace(series: &Series, thinning: &mut Thinned) -> Box<dyn Trace> {
    let colour = series.colour;
    let points = match series.mark {
        // Thinned as rows, so that the layers stay aligned.
        Mark::Stacked(_) | Mark::Base | Mark::OnTop => series.points.clone(),
        _ => thinning.thin(&series.points),
    };
    let x = points.iter().map(|point| Short::time(point.0)).collect();
    let y = points.iter().map(|point| Short::value(point.1)).collect();
    let line = Line::new().color(hex(colour)).simplify(true);
    let drawn = Scatter::new(x, y).mode(Mode::Lines).name(&series.name).hover_info(HoverInfo::Skip);
    match series.mark {
        Mark::Steps => drawn.line(line.shape(LineShape::Hv).width(2.0)),
        Mark::Line => drawn.line(line.width(1.8)),
        Mark::Dashed(place) => drawn.line(line.shape(LineShape::Hv).width(2.0).dash(dash(place))),
        Mark::Sloped(place) => drawn.line(line.width(2.0).dash(dash(place))),
        Mark::Bound => drawn.line(line.width(1.5).dash(DashType::Dash)),
        Mark::Stacked(opacity) => {
            drawn.line(line.shape(LineShape::Hv).width(0.0)).stack_group("stack").fill_color(faded(colour, opacity))
        }
        Mark::Base => {
            drawn.line(line.shape(LineShape::Hv).width(0.0)).stack_group("top").fill_color(faded(colour, 0.0))
        }
        Mark::OnTop => {
            drawn.line(line.shape(LineShape::Hv).width(0.0)).stack_group("top").fill_color(faded(colour, 0.6))
        }
        Mark::Span => drawn
            .line(line.shape(LineShape::Hv).width(0.0))
            .fill(Fill::ToZeroY)
            .fill_color(faded(colour, 0.22))
            .y_axis("y2"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_every_peak_and_the_order() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), f64::from(n % 7))).collect();
        points[54_321].1 = 1000.0;
        points[77_777].1 = -5.0;
        let kept = thinned(&points, 400);
        assert!(kept.len() <= 400, "{}", kept.len());
        assert!(kept.contains(&(54_321.0, 1000.0)) && kept.contains(&(77_777.0, -5.0)));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[99_999]));
        assert_eq!(thinned(&points[..400], 400), points[..400], "short lines stay as they are");
        assert_eq!(thinned(&[(1.0, 2.0); 50], 8).len(), 2, "many values at one instant: the first and the last");
        let mut thinning = Thinned::default();
        thinning.thin(&points);
        assert!(thinning.note().starts_with("1 line with more than 3000 points (up to 100,000) is thinned"));
    }

    #[test]
    fn numbers_are_short_and_true() {
        let json = |number: Short| serde_json::to_string(&number).unwrap();
        assert_eq!(json(Short::time(41.273_883_882)), "41.274");
        assert_eq!(json(Short::time(60.0)), "60");
        for (value, expected) in [
            (92.282_674_965_835_4, "92.2827"),
            (0.000_123_456_789, "0.000123457"),
            (1_234_567.8, "1234568"),
            (-0.0, "0"),
            (f64::NAN, "0"),
            (0.1 + 0.2, "0.3"),
        ] {
            assert_eq!(json(Short::value(value)), expected);
        }
    }

    #[test]
    fn layers_of_a_stack_share_their_instants() {
        let rows: Vec<(f64, Vec<f64>)> = (0..9000).map(|n| (f64::from(n), vec![f64::from(n % 5), 1.0, 0.0])).collect();
        let layers = ["a", "b", "none"].map(|name| (name.to_owned(), RGBColor(1, 2, 3)));
        let series = stacked(&rows, &layers, 9500.0);
        assert_eq!(series.len(), 2, "a layer that is never there is left out");
        let times = |series: &Series| series.points.iter().map(|point| point.0).collect::<Vec<_>>();
        assert_eq!(times(&series[0]), times(&series[1]));
        assert_eq!(series[0].points.last(), Some(&(9500.0, 4.0)), "the last level is held to the end");
        assert!(series[0].points.len() <= POINTS + 1);
    }
}
