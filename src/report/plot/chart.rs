//! The pieces that pictures are made of: a canvas, panels with axes, series, a legend.

use indexmap::IndexSet;
use jiff::tz::TimeZone;
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle, FontTransform, IntoFont as _, RGBColor, ShapeStyle, TextStyle};

use super::theme::{AXIS, FAINT, FONT, GRID, GUTTER, INK, LABEL, MARGIN, SUBTITLE, TITLE, VERMILION, WIDTH};
use super::{Occurrence, PicturePlan, PlotError};
use crate::report::format::grouped;

/// A picture in the making.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    height: i32,
    /// Where the next thing may begin, from above.
    pub(super) top: i32,
}

/// Length of a mark in a legend [px].
const SWATCH: i32 = 30;
/// From the top of a panel up to the middle of its caption [px].
const CAPTION: i32 = 32;

pub(super) type Drawn = Result<(), PlotError>;

/// How a text is set.
#[derive(Clone, Copy)]
pub(super) struct Type {
    size: i32,
    bold: bool,
    colour: RGBColor,
    across: HPos,
    along: VPos,
    upright: bool,
}

impl Type {
    /// Left-aligned, centred on its line.
    pub(super) const fn new(size: i32, colour: RGBColor) -> Self {
        Self { size, bold: false, colour, across: HPos::Left, along: VPos::Center, upright: false }
    }

    pub(super) const fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    pub(super) const fn right(mut self) -> Self {
        self.across = HPos::Right;
        self
    }

    pub(super) const fn centred(mut self) -> Self {
        self.across = HPos::Center;
        self
    }

    /// Turned, to be read from below.
    pub(super) const fn upright(mut self) -> Self {
        self.upright = true;
        self
    }
}

/// Draws a picture `height` pixels high: title and subtitle, then what `draw` adds.
pub(super) fn picture(
    title: &str,
    subtitle: &str,
    height: i32,
    draw: impl FnOnce(&mut Canvas<'_>) -> Drawn,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&plotters::style::WHITE).map_err(drawing)?;
        let mut canvas = Canvas { area, height, top: MARGIN };
        canvas.head(title, subtitle)?;
        draw(&mut canvas)?;
        canvas.area.present().map_err(drawing)?;
    }
    // Screen readers say the finding; the backend knows no such element.
    let head = svg.find('>').map_or(0, |end| end + 1);
    let described = format!("\n<title>{}</title><desc>{}</desc>", escaped(title), escaped(subtitle));
    svg.insert_str(head, &described);
    Ok(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

// By value, to be the function of a `map_err`.
#[expect(clippy::needless_pass_by_value)]
fn drawing<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> PlotError {
    PlotError::Draw(error.to_string())
}

/// About how wide a text is [px]; DejaVu Sans, generously.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    let ems: f64 = text
        .chars()
        .map(|letter| match letter {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | 'I' => 0.34,
            'f' | 't' | 'r' | '(' | ')' | '/' | '-' => 0.42,
            'm' | 'M' | 'W' | 'w' | '%' | '@' => 0.95,
            'A'..='Z' => 0.72,
            _ => 0.64,
        })
        .sum();
    (ems * f64::from(size)).ceil() as i32
}

/// `text`, cut with an ellipsis to at most `width` pixels.
pub(super) fn fitted(text: &str, size: i32, width: i32) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while kept.pop().is_some() {
        let short = format!("{}…", kept.trim_end());
        if text_width(&short, size) <= width {
            return short;
        }
    }
    String::new()
}

/// `text` in lines of at most `width` pixels, where its words allow it; the third line and later ones are joined to the
/// second.
fn wrapped(text: &str, size: i32, width: i32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if still_fits(line, word, size, width) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > 2 {
        let rest = lines.split_off(1).join(" ");
        lines.push(rest);
    }
    lines
}

fn still_fits(line: &str, word: &str, size: i32, width: i32) -> bool {
    text_width(line, size) + text_width(word, size) + size / 3 <= width
}

impl Canvas<'_> {
    fn head(&mut self, title: &str, subtitle: &str) -> Drawn {
        const SMALLEST: i32 = 26;
        let width = WIDTH - 2 * MARGIN;
        // Bold letters are an eighth wider.
        let room = width * 8 / 9;
        let size = (SMALLEST..=TITLE).rev().find(|size| text_width(title, *size) <= room).unwrap_or(SMALLEST);
        let lines = wrapped(title, size, room);
        for line in &lines {
            self.text((MARGIN, self.top + 16), &fitted(line, size, room), Type::new(size, INK).bold())?;
            self.top += size + 10;
        }
        let subtitle = fitted(subtitle, SUBTITLE, width);
        self.text((MARGIN, self.top + 14), &subtitle, Type::new(SUBTITLE, FAINT))?;
        self.top += 40;
        Ok(())
    }

    /// Writes a text at a point.
    pub(super) fn text(&self, at: (i32, i32), text: &str, set: Type) -> Drawn {
        // The backend divides sizes by 1.24.
        let font = (FONT, f64::from(set.size) * 1.24);
        let mut font = if set.bold { (font.0, font.1, FontStyle::Bold).into_font() } else { font.into_font() };
        if set.upright {
            font = font.transform(FontTransform::Rotate270);
        }
        let style = TextStyle::from(font).color(&set.colour).pos(Pos::new(set.across, set.along));
        self.area.draw(&Text::new(text.to_owned(), at, style)).map_err(drawing)
    }

    /// Draws an open path.
    pub(super) fn path(&self, points: Vec<(i32, i32)>, colour: RGBColor, width: u32) -> Drawn {
        if points.len() < 2 {
            return Ok(());
        }
        self.area.draw(&PathElement::new(points, colour.stroke_width(width))).map_err(drawing)
    }

    /// Draws a dashed path of horizontal and vertical pieces.
    pub(super) fn dashed(&self, points: &[(i32, i32)], colour: RGBColor, width: u32) -> Drawn {
        const DASH: i32 = 14;
        const GAP: i32 = 9;
        // How far into the pattern the path is: it carries on around corners.
        let mut phase = 0;
        let mut dash: Vec<(i32, i32)> = Vec::new();
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let length = (to.0 - from.0).abs().max((to.1 - from.1).abs());
            let step = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
            let at = |along: i32| (from.0 + step.0 * along, from.1 + step.1 * along);
            let mut done = 0;
            while done < length {
                let (inked, left) = if phase < DASH { (true, DASH - phase) } else { (false, DASH + GAP - phase) };
                let end = (done + left).min(length);
                if inked {
                    if dash.is_empty() {
                        dash.push(at(done));
                    }
                    dash.push(at(end));
                }
                phase = (phase + end - done) % (DASH + GAP);
                if !inked || phase == DASH {
                    self.path(std::mem::take(&mut dash), colour, width)?;
                }
                done = end;
            }
        }
        self.path(dash, colour, width)
    }

    /// Fills a polygon.
    pub(super) fn fill(&self, points: Vec<(i32, i32)>, colour: RGBColor, opacity: f64) -> Drawn {
        if points.len() < 3 {
            return Ok(());
        }
        self.area.draw(&Polygon::new(points, colour.mix(opacity).filled())).map_err(drawing)
    }

    /// Fills a rectangle.
    pub(super) fn rectangle(&self, corners: [(i32, i32); 2], colour: RGBColor, opacity: f64) -> Drawn {
        let style: ShapeStyle = colour.mix(opacity).filled();
        self.area.draw(&Rectangle::new(corners, style)).map_err(drawing)
    }

    /// Fills a disc.
    pub(super) fn disc(&self, centre: (i32, i32), radius: i32, colour: RGBColor) -> Drawn {
        self.area.draw(&Circle::new(centre, radius, colour.filled())).map_err(drawing)
    }

    /// A legend in rows above the panels, where it cannot hide data.
    pub(super) fn legend(&mut self, entries: &[Entry]) -> Drawn {
        const ROW: i32 = 32;
        let (mut x, mut y) = (MARGIN, self.top + ROW / 2);
        for entry in entries {
            let width = entry.width();
            if x > MARGIN && x + width > WIDTH - MARGIN {
                x = MARGIN;
                y += ROW;
            }
            self.entry((x, y), entry)?;
            x += width;
        }
        self.top = y + ROW / 2 + 4;
        Ok(())
    }

    /// The legend of one panel, beside the name of its value axis.
    pub(super) fn panel_legend(&self, panel: &Panel, name: &str, entries: &[Entry]) -> Drawn {
        let mut x = MARGIN + text_width(name, LABEL) * 9 / 8 + 40;
        for entry in entries {
            self.entry((x, panel.frame.top - CAPTION), entry)?;
            x += entry.width();
        }
        Ok(())
    }

    fn entry(&self, (x, y): (i32, i32), entry: &Entry) -> Drawn {
        match entry.mark {
            Mark::Line => self.path(vec![(x, y), (x + SWATCH, y)], entry.colour, 4)?,
            Mark::Dashes => self.dashed(&[(x, y), (x + SWATCH, y)], entry.colour, 3)?,
            Mark::Area(opacity) => self.rectangle([(x, y - 9), (x + SWATCH, y + 9)], entry.colour, opacity)?,
            Mark::Dot => self.disc((x + SWATCH / 2, y), 8, entry.colour)?,
            Mark::Arrow => self.fill(vec![(x + SWATCH - 6, y), (x + 6, y - 9), (x + 6, y + 9)], entry.colour, 1.0)?,
        }
        self.text((x + SWATCH + 10, y), &entry.text(), Type::new(LABEL, INK))
    }

    /// Cuts what is left into `count` panels of equal height, one under the other, each with room for its axes.
    pub(super) fn panels(&self, count: usize) -> Vec<Frame> {
        const HEAD: i32 = 54;
        const TICKS: i32 = 40;
        let count = i32::try_from(count.max(1)).unwrap_or(1);
        // The time axis has a caption of its own below the last panel.
        let available = self.height - MARGIN - 24 - self.top;
        let each = available / count;
        (0..count)
            .map(|place| Frame {
                left: MARGIN + GUTTER,
                right: WIDTH - MARGIN - 12,
                top: self.top + place * each + HEAD,
                bottom: self.top + (place + 1) * each - TICKS,
            })
            .collect()
    }

    /// Grid, ticks and the name of the value axis with its unit, which reads above it.
    pub(super) fn value_axis(&self, panel: &Panel, name: &str) -> Drawn {
        let Frame { left, right, top, .. } = panel.frame;
        for tick in panel.values.ticks() {
            let y = panel.y(tick);
            self.path(vec![(left, y), (right, y)], if tick == 0.0 { AXIS } else { GRID }, 1)?;
            self.text((left - 12, y), &panel.values.label(tick), Type::new(LABEL, FAINT).right())?;
        }
        self.text((MARGIN, top - CAPTION), name, Type::new(LABEL, INK).bold())
    }

    /// Ticks of the time axis.
    pub(super) fn time_axis(&self, panel: &Panel, time: &TimeAxis) -> Drawn {
        let Frame { left, right, top, bottom } = panel.frame;
        self.path(vec![(left, bottom), (right, bottom)], AXIS, 2)?;
        for (at, label) in time.ticks() {
            let x = panel.x(at);
            self.path(vec![(x, top), (x, bottom)], GRID, 1)?;
            self.path(vec![(x, bottom), (x, bottom + 7)], AXIS, 2)?;
            let half = text_width(&label, LABEL) / 2;
            self.text((x.min(WIDTH - MARGIN / 2 - half), bottom + 24), &label, Type::new(LABEL, FAINT).centred())?;
        }
        Ok(())
    }

    /// What the time axis counts, below the last panel, and what its shaded beginning is.
    pub(super) fn time_caption(&self, time: &TimeAxis, plan: &PicturePlan) -> Drawn {
        self.time_caption_with(time, plan, "shaded: the warm-up, which the figures leave out")
    }

    /// The same, with `shaded` to say what the warm-up means here; faults and calls are told behind it.
    pub(super) fn time_caption_with(&self, time: &TimeAxis, plan: &PicturePlan, shaded: &str) -> Drawn {
        let room = WIDTH - 2 * MARGIN - text_width(&time.caption(), LABEL - 2) - 40;
        let warmup = (plan.warmup_s > 0.0).then(|| shaded.to_owned());
        let marks = [("red", true), ("dotted", false)].into_iter().filter_map(|(how, fault)| {
            let told: Vec<&Occurrence> = plan.occurrences.iter().filter(|one| one.fault == fault).collect();
            let names: IndexSet<&str> = told.iter().filter_map(|one| one.what.rsplit(':').next()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            (!told.is_empty()).then(|| format!("{how}: {}", names.join(", ")))
        });
        let told: Vec<String> = warmup.into_iter().chain(marks).collect();
        if !told.is_empty() {
            self.footnote(&fitted(&told.join("; "), LABEL - 2, room))?;
        }
        self.clock_caption(time)
    }

    /// What the time axis counts, in the lower right corner.
    pub(super) fn clock_caption(&self, time: &TimeAxis) -> Drawn {
        self.text((WIDTH - MARGIN, self.height - MARGIN + 6), &time.caption(), Type::new(LABEL - 2, FAINT).right())
    }

    /// A remark in the lower left corner.
    pub(super) fn footnote(&self, text: &str) -> Drawn {
        self.text((MARGIN, self.height - MARGIN + 6), text, Type::new(LABEL - 2, FAINT))
    }

    /// Marks on the upper edge where a series is beyond the axis, and a note of how far it reaches.
    pub(super) fn beyond(&self, panel: &Panel, series: &[(f64, f64)], time: &TimeAxis, colour: RGBColor) -> Drawn {
        const HALF: i32 = 8;
        let (_, high) = panel.values.range();
        let beyond = || series.iter().filter(|(_, value)| *value > high);
        let Some((at, most)) = beyond().copied().reduce(|best, now| if now.1 > best.1 { now } else { best }) else {
            return Ok(());
        };
        let mut columns: Vec<i32> = beyond().map(|(at, _)| panel.x(*at)).collect();
        columns.dedup_by(|now, before| *now - *before < 2 * HALF);
        let top = panel.frame.top;
        for x in columns {
            self.fill(vec![(x, top - 14), (x - HALF, top), (x + HALF, top)], colour, 1.0)?;
        }
        let note = format!("beyond the axis: up to {} ({})", grouped(most, 0), time.moment(at));
        self.text((panel.frame.right, top - CAPTION), &note, Type::new(LABEL - 2, FAINT).right())
    }

    /// What lies behind the curves: the warm-up is shaded, faults are red for as long as they last, and calls are dotted
    /// lines.
    pub(super) fn backdrop(&self, panel: &Panel, plan: &PicturePlan) -> Drawn {
        let Frame { left, right, top, bottom } = panel.frame;
        if plan.warmup_s > panel.times.0 {
            self.rectangle([(left, top), (panel.x(plan.warmup_s), bottom)], AXIS, 0.14)?;
        }
        let (begin, end) = panel.times;
        for one in plan.occurrences.iter().filter(|one| one.from_s <= end && one.to_s.unwrap_or(one.from_s) >= begin) {
            let x = panel.x(one.from_s).clamp(left, right);
            if one.fault {
                // A strike of an instant is as wide as can be seen.
                let to = one.to_s.map_or(x, |to| panel.x(to)).clamp(x + 3, right.max(x + 3));
                self.rectangle([(x, top), (to, bottom)], VERMILION, 0.16)?;
            } else {
                for y in (top..bottom).step_by(12) {
                    self.path(vec![(x, y), (x, (y + 5).min(bottom))], FAINT, 2)?;
                }
            }
        }
        Ok(())
    }

    /// A level over time as a line of steps.
    pub(super) fn steps(&self, panel: &Panel, series: &[(f64, f64)], colour: RGBColor, width: u32) -> Drawn {
        self.path(panel.step_path(series), colour, width)
    }

    /// A level over time as an area down to zero.
    pub(super) fn area(&self, panel: &Panel, series: &[(f64, f64)], colour: RGBColor, opacity: f64) -> Drawn {
        let mut outline = panel.step_path(series);
        let (Some(first), Some(last)) = (outline.first().copied(), outline.last().copied()) else { return Ok(()) };
        let base = panel.y(0.0);
        outline.extend([(last.0, base), (first.0, base)]);
        self.fill(outline, colour, opacity)
    }

    /// Datapoints joined by lines, broken where some are missing.
    pub(super) fn line(&self, panel: &Panel, series: &[(f64, f64)], colour: RGBColor, width: u32) -> Drawn {
        let spacing = series.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(f64::INFINITY, f64::min);
        for run in series.chunk_by(|a, b| b.0 - a.0 <= 2.5 * spacing) {
            let points: Vec<_> = panel.thinned(run).into_iter().map(|(at, value)| panel.at(at, value)).collect();
            match points[..] {
                [alone] => self.disc(alone, 3, colour)?,
                _ => self.path(points, colour, width)?,
            }
        }
        Ok(())
    }

    /// A quantity that grows between its points.
    pub(super) fn slope(&self, panel: &Panel, series: &[(f64, f64)], colour: RGBColor, width: u32) -> Drawn {
        self.path(panel.thinned(series).into_iter().map(|(at, value)| panel.at(at, value)).collect(), colour, width)
    }

    /// Levels over time, one on top of the other; `rows` holds the values of all layers at each change.
    pub(super) fn stack(&self, panel: &Panel, rows: &[(f64, Vec<f64>)], colours: &[RGBColor], opacity: f64) -> Drawn {
        let kept = panel.thinned_rows(rows);
        for (layer, colour) in colours.iter().enumerate() {
            let edge = |upto: usize| -> Vec<(f64, f64)> {
                kept.iter().map(|(at, values)| (*at, values.iter().take(upto).sum())).collect()
            };
            let mut outline = panel.raw_steps(&edge(layer + 1));
            let mut below = panel.raw_steps(&edge(layer));
            below.reverse();
            outline.extend(below);
            self.fill(outline, *colour, opacity)?;
        }
        Ok(())
    }

    /// Fills from a lower level to an upper one, the two values of each row, wherever they differ; an outline keeps what
    /// is thinner than a pixel in sight.
    pub(super) fn between(
        &self,
        panel: &Panel,
        rows: &[(f64, Vec<f64>)],
        colour: RGBColor,
        opacity: f64,
        outlined: bool,
    ) -> Drawn {
        let height = |row: &(f64, Vec<f64>)| row.1[1] - row.1[0];
        let kept = thin(rows, |row| panel.x(row.0), height);
        let ends: Vec<f64> = kept.iter().skip(1).map(|row| row.0).chain([panel.times.1]).collect();
        let spans: Vec<(&(f64, Vec<f64>), f64)> = kept.into_iter().zip(ends).collect();
        let apart = |span: &(&(f64, Vec<f64>), f64)| height(span.0) > 1e-9;
        for run in spans.chunk_by(|a, b| apart(a) == apart(b)).filter(|run| apart(&run[0])) {
            let end = run[run.len() - 1].1;
            let edge = |value: usize| -> Vec<(i32, i32)> {
                panel.steps_until(&run.iter().map(|(row, _)| (row.0, row.1[value])).collect::<Vec<_>>(), end)
            };
            let (mut lower, upper) = (edge(0), edge(1));
            if outlined {
                let ends = [lower.first(), lower.last()].map(|point| point.copied().into_iter());
                let [first, last] = ends;
                self.path(first.chain(upper.iter().copied()).chain(last).collect(), colour, 2)?;
            }
            lower.reverse();
            self.fill(upper.into_iter().chain(lower).collect(), colour, opacity)?;
        }
        Ok(())
    }
}

/// One entry of a legend.
pub(super) struct Entry {
    label: String,
    colour: RGBColor,
    mark: Mark,
}

impl Entry {
    pub(super) fn new(label: impl Into<String>, colour: RGBColor, mark: Mark) -> Self {
        Self { label: label.into(), colour, mark }
    }

    fn text(&self) -> String {
        fitted(&self.label, LABEL, WIDTH / 2)
    }

    fn width(&self) -> i32 {
        SWATCH + 10 + text_width(&self.text(), LABEL) + 30
    }
}

/// How a series is drawn.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// A solid line.
    Line,
    /// A dashed line.
    Dashes,
    /// An area of this opacity.
    Area(f64),
    /// A dot.
    Dot,
    /// An arrow's head.
    Arrow,
}

/// Where a panel lies on the canvas [px].
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
}

/// A panel: a frame, and what its axes show.
pub(super) struct Panel {
    pub(super) frame: Frame,
    /// First and last second.
    times: (f64, f64),
    pub(super) values: ValueAxis,
}

impl Panel {
    /// A panel over `times` [s].
    pub(super) fn new(frame: Frame, times: (f64, f64), values: ValueAxis) -> Self {
        Self { frame, times: (times.0, if times.1 > times.0 { times.1 } else { times.0 + 1.0 }), values }
    }

    /// Where a second lies.
    pub(super) fn x(&self, at: f64) -> i32 {
        let share = ((at - self.times.0) / (self.times.1 - self.times.0)).clamp(0.0, 1.0);
        self.frame.left + (share * f64::from(self.frame.right - self.frame.left)).round() as i32
    }

    /// Where a value lies.
    pub(super) fn y(&self, value: f64) -> i32 {
        let share = ((value - self.values.low) / (self.values.high - self.values.low)).clamp(0.0, 1.0);
        self.frame.bottom - (share * f64::from(self.frame.bottom - self.frame.top)).round() as i32
    }

    /// Where a point lies.
    pub(super) fn at(&self, time: f64, value: f64) -> (i32, i32) {
        (self.x(time), self.y(value))
    }

    fn step_path(&self, series: &[(f64, f64)]) -> Vec<(i32, i32)> {
        self.raw_steps(&self.thinned(&settled(series)))
    }

    fn raw_steps(&self, series: &[(f64, f64)]) -> Vec<(i32, i32)> {
        self.steps_until(series, self.times.1)
    }

    fn steps_until(&self, series: &[(f64, f64)], end: f64) -> Vec<(i32, i32)> {
        let mut path = Vec::with_capacity(series.len() * 2 + 1);
        let mut level = None;
        for &(at, value) in series {
            if let Some(before) = level {
                path.push(self.at(at, before));
            }
            path.push(self.at(at, value));
            level = Some(value);
        }
        if let Some(last) = level {
            path.push(self.at(end, last));
        }
        path.dedup();
        path
    }

    fn thinned(&self, series: &[(f64, f64)]) -> Vec<(f64, f64)> {
        thin(series, |point| self.x(point.0), |point| point.1).into_iter().copied().collect()
    }

    fn thinned_rows<'r>(&self, rows: &'r [(f64, Vec<f64>)]) -> Vec<&'r (f64, Vec<f64>)> {
        thin(rows, |row| self.x(row.0), |row| row.1.iter().sum())
    }
}

/// Of the changes at one instant only the last lasts.
fn settled(series: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::with_capacity(series.len());
    for point in series {
        match kept.last_mut() {
            Some(last) if last.0 == point.0 => *last = *point,
            _ => kept.push(*point),
        }
    }
    kept
}

/// Leaves at most four items of each pixel column: the first, the lowest, the highest and the last, so that no peak
/// is lost.
fn thin<T>(items: &[T], column: impl Fn(&T) -> i32, value: impl Fn(&T) -> f64) -> Vec<&T> {
    let mut kept = Vec::new();
    let mut start = 0;
    for run in items.chunk_by(|a, b| column(a) == column(b)) {
        let by_value = |a: &usize, b: &usize| value(&run[*a]).total_cmp(&value(&run[*b]));
        let lowest = (0..run.len()).min_by(by_value).unwrap_or(0);
        let highest = (0..run.len()).max_by(by_value).unwrap_or(0);
        let mut chosen = [0, lowest, highest, run.len() - 1];
        chosen.sort_unstable();
        let mut last = None;
        for place in chosen {
            if last != Some(place) {
                kept.push(&items[start + place]);
                last = Some(place);
            }
        }
        start += run.len();
    }
    kept
}

/// An axis of values from a round number to a round number.
#[derive(Clone, Copy)]
pub(super) struct ValueAxis {
    low: f64,
    high: f64,
    step: f64,
}

impl ValueAxis {
    /// From zero, so that heights compare, to the next round number above `highest`.
    pub(super) fn from_zero(highest: f64) -> Self {
        let highest = if highest.is_finite() && highest > 0.0 { highest } else { 1.0 };
        let step = round_step(highest / 5.0);
        Self { low: 0.0, high: (highest / step - 1e-9).ceil() * step, step }
    }

    /// The same for what can only be counted: no tick lies between two whole numbers.
    pub(super) fn counts(highest: f64) -> Self {
        let highest = if highest.is_finite() { highest.max(1.0) } else { 1.0 };
        let step = match round_step(highest / 5.0) {
            step if step <= 1.0 => 1.0,
            2.5 => 5.0,
            step => step,
        };
        Self { low: 0.0, high: (highest / step - 1e-9).ceil() * step, step }
    }

    /// From the round number below `lowest` to the one above `highest`.
    pub(super) fn spanning(lowest: f64, highest: f64) -> Self {
        let span = if highest > lowest { highest - lowest } else { 1.0 };
        let step = round_step(span / 5.0);
        let low = (lowest / step + 1e-9).floor() * step;
        Self { low, high: ((highest / step - 1e-9).ceil() * step).max(low + step), step }
    }

    /// Lowest and highest value.
    pub(super) const fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Round numbers along it.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let Self { low, high, step } = *self;
        let count = ((high - low) / step).round() as u32;
        (0..=count).map(move |place| {
            let tick = low + f64::from(place) * step;
            // Sums of steps miss zero by a hair.
            if tick.abs() < step * 1e-6 { 0.0 } else { tick }
        })
    }

    /// A tick with the decimals its distance to the next one needs.
    pub(super) fn label(&self, tick: f64) -> String {
        grouped(tick, decimals(self.step))
    }
}

fn decimals(step: f64) -> usize {
    (0..9)
        .find(|places| {
            let scaled = step * 10f64.powi(*places);
            (scaled - scaled.round()).abs() < 1e-6 * scaled.max(1e-12)
        })
        .map_or(9, |places| places as usize)
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powi(least.log10().floor() as i32);
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(least)
}

/// The time axis, by the clock of the estate.
pub(super) struct TimeAxis {
    start: jiff::Timestamp,
    /// First and last second.
    pub(super) times: (f64, f64),
}

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

impl TimeAxis {
    /// Seconds since `start`.
    pub(super) const fn new(start: jiff::Timestamp, times: (f64, f64)) -> Self {
        Self { start, times }
    }

    /// Seconds and labels of the ticks.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        const STEPS: [i64; 24] = [
            1,
            2,
            5,
            10,
            15,
            30,
            MINUTE,
            2 * MINUTE,
            5 * MINUTE,
            10 * MINUTE,
            15 * MINUTE,
            30 * MINUTE,
            HOUR,
            2 * HOUR,
            3 * HOUR,
            6 * HOUR,
            12 * HOUR,
            DAY,
            2 * DAY,
            7 * DAY,
            14 * DAY,
            28 * DAY,
            91 * DAY,
            364 * DAY,
        ];
        let span = self.times.1 - self.times.0;
        let fits = |step: &i64| span / *step as f64 <= 9.0;
        // Longer than nine years: whole multiples of the longest step.
        let longest = 364 * DAY * ((span / (9.0 * 364.0 * DAY as f64)).ceil() as i64).max(1);
        let step = STEPS.into_iter().find(fits).unwrap_or(longest);
        // By the clock, ticks fall on whole hours and midnights of the estate's day.
        let offset = self.start.as_second().rem_euclid(DAY);
        let first = (self.times.0 as i64 + offset).div_euclid(step) * step - offset;
        // Nine ticks fit the span; two more are those outside its ends.
        (0..=11)
            .map(|place| first + place * step)
            .filter(|at| (self.times.0 - 1e-9..=self.times.1 + 1e-9).contains(&(*at as f64)))
            .map(|at| (at as f64, self.label(at, step)))
            .collect()
    }

    fn label(&self, at: i64, step: i64) -> String {
        let clock = self.clock(at as f64);
        let midnight = (clock.hour(), clock.minute(), clock.second()) == (0, 0, 0);
        let form = match step {
            _ if step >= DAY || midnight => "%a %-d %b",
            _ if step < MINUTE => "%H:%M:%S",
            _ => "%H:%M",
        };
        clock.strftime(form).to_string()
    }

    fn clock(&self, at: f64) -> jiff::Zoned {
        let instant =
            self.start.checked_add(jiff::SignedDuration::from_secs(at as i64)).unwrap_or(jiff::Timestamp::MAX);
        instant.to_zoned(TimeZone::UTC)
    }

    /// The instant of a second, for titles.
    pub(super) fn moment(&self, at: f64) -> String {
        let form = match self.times.1 - self.times.0 {
            span if span > DAY as f64 => "%H:%M on %a %-d %b",
            span if span > 2.0 * HOUR as f64 => "%H:%M",
            _ => "%H:%M:%S",
        };
        self.clock(at).strftime(form).to_string()
    }

    fn caption(&self) -> String {
        format!("UTC; the run starts {}", self.clock(0.0).strftime("%a %-d %b %Y, %H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel() -> Panel {
        let frame = Frame { left: 0, right: 10, top: 0, bottom: 100 };
        Panel::new(frame, (0.0, 1000.0), ValueAxis::from_zero(100.0))
    }

    #[test]
    fn thinning_keeps_every_peak() {
        let mut series: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n) / 100.0, f64::from(n % 7))).collect();
        series[54_321].1 = 99.0;
        series[77_777].1 = -3.0;
        let thinned = panel().thinned(&series);
        assert!(thinned.len() <= 4 * 11, "{}", thinned.len());
        assert!(thinned.contains(&series[54_321]) && thinned.contains(&series[77_777]));
        assert_eq!((thinned[0], thinned.last().copied()), (series[0], series.last().copied()));
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn a_level_that_lasts_no_time_is_not_drawn() {
        assert_eq!(settled(&[(0.0, 1.0), (5.0, 9.0), (5.0, 2.0)]), [(0.0, 1.0), (5.0, 2.0)]);
        assert_eq!(panel().step_path(&[(0.0, 0.0), (500.0, 50.0)]), [(0, 100), (5, 100), (5, 50), (10, 50)]);
    }

    #[test]
    fn a_short_wait_is_drawn_however_long_the_run_is() {
        let draw = |rows: &[(f64, Vec<f64>)]| {
            picture("waiting", "", 300, |canvas| canvas.between(&panel(), rows, GRID, 0.5, true)).unwrap()
        };
        let nothing = draw(&[(0.0, vec![5.0, 5.0]), (500.0, vec![7.0, 7.0])]);
        let blink = draw(&[(0.0, vec![5.0, 5.0]), (500.0, vec![5.0, 80.0]), (500.001, vec![7.0, 7.0])]);
        assert!(!nothing.contains("<polyline"), "{nothing}");
        assert!(blink.contains("<polyline") && blink.contains("5,20"), "{blink}");
    }

    #[test]
    fn value_axes_begin_at_zero_and_end_on_a_round_number() {
        let labels = |axis: ValueAxis| axis.ticks().map(|tick| axis.label(tick)).collect::<Vec<_>>();
        assert_eq!(labels(ValueAxis::from_zero(100.0)), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(ValueAxis::from_zero(0.37)), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(labels(ValueAxis::from_zero(7321.0)), ["0", "2,000", "4,000", "6,000", "8,000"]);
        assert_eq!(labels(ValueAxis::counts(2.0)), ["0", "1", "2"]);
        assert_eq!(labels(ValueAxis::counts(12.0)), ["0", "5", "10", "15"]);
        assert_eq!(labels(ValueAxis::from_zero(f64::NAN)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(ValueAxis::spanning(-12.0, 31.0)), ["−20", "−10", "0", "10", "20", "30", "40"]);
    }

    #[test]
    fn the_time_axis_and_the_titles_show_the_clock() {
        let axis = |secs: f64, start: &str| TimeAxis::new(start.parse().unwrap(), (0.0, secs));
        let labels = |axis: TimeAxis| axis.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(axis(600.0, "2026-01-05T00:00:00Z"))[..3], ["Mon 5 Jan", "00:02", "00:04"]);
        assert_eq!(
            labels(axis(86_400.0, "2026-01-05T00:00:00Z")),
            ["Mon 5 Jan", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "Tue 6 Jan"]
        );
        // Ticks fall on round hours of the clock, not of the run.
        let odd = axis(14_400.0, "2026-01-05T10:17:00Z").ticks();
        assert_eq!(odd[0], (13.0 * 60.0, "10:30".to_owned()));
        assert_eq!(labels(axis(30.0, "2026-01-05T00:00:00Z"))[1], "00:00:05");
        let moment = |secs: f64| axis(secs, "2026-01-05T10:17:00Z").moment(81.0);
        assert_eq!(
            [moment(3600.0), moment(86_400.0), moment(2e5)],
            ["10:18:21", "10:18", "10:18 on Mon 5 Jan"].map(str::to_owned)
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let short = fitted("a-service-with-a-very-long-name-indeed", 20, 200);
        assert!(short.ends_with('…') && text_width(&short, 20) <= 200, "{short}");
        assert_eq!(fitted("web", 20, 200), "web");
    }

    #[test]
    fn a_picture_says_its_finding_to_those_who_cannot_see_it() {
        let svg = picture("a < b", "c & d", 300, |_| Ok(())).unwrap();
        assert!(svg.contains("<title>a &lt; b</title><desc>c &amp; d</desc>"), "{svg}");
    }
}
