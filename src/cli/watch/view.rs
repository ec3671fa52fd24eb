//! One picture of a run: hosts filling, services, alarms, the cost, and the decisions as they scroll.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

use super::Pace;
use super::feed::Feed;
use crate::control_plane::record::Resource;
use crate::control_plane::state::State;
use crate::ec2::auto_scaling_group::AutoScalingGroup;
use crate::ec2::instance::{Instance, Lifecycle};
use crate::ecs::container_instance::{ContainerInstance, ContainerInstanceStatus};
use crate::ecs::ids::ServiceId;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::AlarmState;

/// What is drawn.
pub(super) struct View<'a> {
    /// Name of the scenario.
    pub(super) name: &'a str,
    pub(super) now: SimTime,
    pub(super) end: SimTime,
    pub(super) state: &'a State,
    pub(super) feed: &'a Feed,
    pub(super) pace: &'a Pace,
    /// Lines of the decision log that are scrolled back.
    pub(super) scrolled: usize,
    /// Whether colour is welcome.
    pub(super) color: bool,
}

const KEYS: &str = "space pause · + − speed · d next decision · e next event · h +1 hour · end · ↑ ↓ log · q quit";

/// How far back a service's sparkline looks, at least.
const SPARK_WINDOW: SimDuration = SimDuration::from_mins(60);

impl View<'_> {
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let services = self.state.services.len() as u16;
        let area = frame.area();
        // A service has a row of figures and, where there is room, a row of its past.
        let wanted = (services * 2 + 3).clamp(5, (area.height / 2).max(5));
        let [head, middle, log, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(wanted.max(area.height.saturating_sub(3) / 2)),
            Constraint::Min(4),
            Constraint::Length(1),
        ])
        .areas(area);
        let [hosts, right] = Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(middle);
        let [services, alarms] = Layout::vertical([Constraint::Min(4), Constraint::Length(5)]).areas(right);
        self.head(frame, head);
        self.hosts(frame, hosts);
        self.services(frame, services);
        self.alarms(frame, alarms);
        self.decisions(frame, log);
        frame.render_widget(Paragraph::new(KEYS).style(dim()), foot);
    }

    fn tinted(&self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    fn head(&self, frame: &mut Frame<'_>, area: Rect) {
        let wall = self.state.start + std::time::Duration::from_nanos(self.now.as_nanos());
        let pace = match (self.now >= self.end, self.pace.paused) {
            (true, _) => "finished".to_owned(),
            (false, true) => "paused".to_owned(),
            (false, false) => format!("{} a second", self.pace.speed),
        };
        let top = Line::from(vec![
            Span::from(self.name.to_owned()).bold(),
            format!("  {} of {}", clock(self.now), clock(self.end)).into(),
            Span::styled(format!("  {}  ", wall.strftime("%a %F %TZ")), dim()),
            Span::styled(pace, self.tinted(Color::Cyan).add_modifier(Modifier::BOLD)),
        ]);
        let totals = self.state.clusters.iter().map(|entry| entry.cluster.totals());
        let (mut registered, mut reserved) = (0, 0);
        for total in totals {
            registered += total.registered_cpu.0;
            reserved += total.reserved_cpu.0;
        }
        let waiting: usize = self.state.clusters.iter().map(|entry| entry.waiting).sum();
        let feed = self.feed;
        let below = format!(
            "${:.4} so far, ${:.3} an hour · {} tasks started, {} stopped, {waiting} waiting · CPU reserved {}",
            feed.spent(self.now),
            feed.rate(),
            feed.tasks_started,
            feed.tasks_stopped,
            share(reserved, registered),
        );
        frame.render_widget(Paragraph::new(vec![top, Line::from(below)]), area);
    }

    fn hosts(&self, frame: &mut Frame<'_>, area: Rect) {
        let instances: Vec<&Instance> = self.state.groups.iter().flat_map(AutoScalingGroup::instances).collect();
        let title = format!(" hosts: {}, CPU reserved by tasks ", instances.len());
        let rows = usize::from(area.height.saturating_sub(3));
        // Those that do not fit are said, not dropped.
        let (shown, hidden) = match instances.len().checked_sub(rows) {
            Some(more) if more > 0 => (rows.saturating_sub(1), more + 1),
            _ => (instances.len(), 0),
        };
        let width = usize::from(area.width.saturating_sub(46)).clamp(4, 24);
        let mut lines: Vec<Row<'_>> = instances.iter().take(shown).map(|host| self.host_row(host, width)).collect();
        if hidden > 0 {
            lines.push(Row::new([format!("… {hidden} more")]).style(dim()));
        }
        let widths = [
            Constraint::Length(10),
            Constraint::Length(12),
            Constraint::Length(2),
            Constraint::Length(width as u16),
            Constraint::Length(5),
            Constraint::Min(9),
        ];
        let header = Row::new(["instance", "type", "az", "CPU", "tasks", "state"]).style(dim());
        frame.render_widget(Table::new(lines, widths).header(header).block(Block::bordered().title(title)), area);
    }

    fn host_row(&self, instance: &Instance, width: usize) -> Row<'_> {
        let mut clusters = self.state.clusters.iter();
        let host = clusters.find_map(|entry| entry.cluster.instance(instance.id));
        let (word, color) = host_state(instance, host);
        let (bar, tasks) = match host {
            Some(host) => {
                let (all, left) = (host.registered.cpu.0, host.remaining.cpu.0);
                (bar(all.saturating_sub(left), all, width), host.tasks.len().to_string())
            }
            None => ("·".repeat(width), String::new()),
        };
        let zone = self.state.zone_name(instance.zone());
        let id = instance.id.ec2_id().to_string();
        Row::new([
            id[id.len().saturating_sub(9)..].to_owned(),
            instance.instance_type.to_string(),
            zone[zone.len().saturating_sub(1)..].to_owned(),
            bar,
            tasks,
            word.to_owned(),
        ])
        .style(self.tinted(color))
    }

    fn services(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(format!(" services: {} ", self.state.services.len()));
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let count = self.state.services.len();
        if count == 0 || inner.height == 0 {
            return;
        }
        let with_past = usize::from(inner.height) >= count * 2;
        let each = if with_past { 2 } else { 1 };
        let mut top = inner.y;
        for place in 0..count {
            if top + each > inner.bottom() {
                break;
            }
            self.service(frame, Rect { y: top, height: each, ..inner }, ServiceId(place as u32));
            top += each;
        }
    }

    fn service(&self, frame: &mut Frame<'_>, area: Rect, id: ServiceId) {
        let service = &self.state.services[id.index()];
        let short = service.desired > service.running;
        let cpu = self.feed.datapoints.get(&(Resource::Service(id), "CPUUtilization"));
        let text = format!(
            "{:<16} desired {:>3} running {:>3} pending {:>3}{}{}",
            service.name,
            service.desired,
            service.running,
            service.pending(),
            cpu.map_or_else(String::new, |value| format!(" CPU {value:.0} %")),
            if service.is_deploying() { " deploying" } else { "" },
        );
        let style = if short { self.tinted(Color::Yellow) } else { Style::new() };
        frame.render_widget(Paragraph::new(text).style(style), Rect { height: 1, ..area });
        if area.height > 1 {
            let past = self.past(id, usize::from(area.width));
            let spark = Sparkline::default().data(&past).style(self.tinted(Color::Green));
            frame.render_widget(spark, Rect { y: area.y + 1, height: 1, ..area });
        }
    }

    /// RUNNING tasks at `width` instants up to now.
    fn past(&self, id: ServiceId, width: usize) -> Vec<u64> {
        let Some(changes) = self.feed.running.get(&id) else { return Vec::new() };
        let window = SPARK_WINDOW.max(self.end.saturating_since(SimTime::ZERO) / 4).as_nanos();
        let begin = self.now.as_nanos().saturating_sub(window);
        let span = self.now.as_nanos() - begin;
        (1..=width as u64)
            .map(|place| {
                // Widened: nanoseconds of years times columns would not fit 64 bits.
                let at = begin + (u128::from(span) * u128::from(place) / (width as u128)) as u64;
                let after = changes.partition_point(|(time, _)| time.as_nanos() <= at);
                after.checked_sub(1).map_or(0, |before| changes[before].1 as u64)
            })
            .collect()
    }

    fn alarms(&self, frame: &mut Frame<'_>, area: Rect) {
        let alive = || self.state.alarms.iter().filter(|entry| entry.deleted.is_none());
        let raised: Vec<&str> = alive()
            .filter(|entry| entry.alarm.state == AlarmState::Alarm)
            .map(|entry| entry.alarm.definition.name.as_str())
            .collect();
        let title = format!(" alarms: {} of {} in ALARM ", raised.len(), alive().count());
        let style = if raised.is_empty() { dim() } else { self.tinted(Color::Red) };
        let text = raised.join("\n");
        frame.render_widget(Paragraph::new(text).style(style).block(Block::bordered().title(title)), area);
    }

    fn decisions(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = usize::from(area.height.saturating_sub(2));
        let last = self.feed.decisions.len().saturating_sub(self.scrolled);
        let first = last.saturating_sub(rows);
        let lines: Vec<Line<'_>> = self
            .feed
            .decisions
            .range(first..last)
            .map(|line| {
                let subject =
                    if line.subject.len() > 28 { &line.subject[line.subject.len() - 8..] } else { &line.subject };
                Line::from(vec![
                    Span::styled(format!("{:>12} ", clock(line.time)), dim()),
                    Span::styled(format!("{:<10}", line.rule), self.tinted(Color::Cyan)),
                    Span::from(format!("{subject} {} {} ", line.action, line.change)).bold(),
                    Span::from(line.reason.clone()),
                ])
            })
            .collect();
        let more = if self.scrolled > 0 { format!(", {} newer below", self.scrolled) } else { String::new() };
        let block = Block::bordered().title(format!(" decisions: {}{more} ", self.feed.decided));
        // One row a decision, cut at the edge: wrapped, the newest would fall off the end.
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }
}

/// What is there to be found, not to be seen first.
fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// A host's state in a word, and its colour.
fn host_state(instance: &Instance, host: Option<&ContainerInstance>) -> (&'static str, Color) {
    match (instance.lifecycle(), host) {
        (Lifecycle::Terminating | Lifecycle::TerminatingWait | Lifecycle::TerminatingProceed, _) => {
            ("leaving", Color::Magenta)
        }
        (_, Some(host)) if host.status == ContainerInstanceStatus::Draining => ("draining", Color::Magenta),
        (Lifecycle::Standby, _) => ("standby", Color::DarkGray),
        (_, Some(host)) if host.is_idle() => ("idle", Color::Yellow),
        (_, Some(_)) => ("active", Color::Green),
        (_, None) => ("booting", Color::Blue),
    }
}

/// A bar of `width` cells, `part` of `whole` filled, to an eighth of a cell.
fn bar(part: u64, whole: u64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part.min(whole) * width as u64 * 8).checked_div(whole).unwrap_or(0) as usize;
    let mut text = "█".repeat(eighths / 8);
    if eighths / 8 < width {
        text.push(EIGHTHS[eighths % 8]);
        text.push_str(&"░".repeat(width - eighths / 8 - 1));
    }
    text
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.0} %", part as f64 / whole as f64 * 100.0) }
}

/// `2d 03:04:05`, days only where there are some.
fn clock(time: SimTime) -> String {
    let secs = time.as_nanos() / 1_000_000_000;
    let (days, rest) = (secs / 86_400, secs % 86_400);
    let of_day = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days > 0 { format!("{days}d {of_day}") } else { of_day }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_it_says() {
        assert_eq!(bar(0, 4, 4), " ░░░");
        assert_eq!(bar(1, 2, 4), "██ ░");
        assert_eq!(bar(9, 16, 4), "██▎░");
        assert_eq!(bar(4, 4, 4), "████");
        assert_eq!(bar(9, 4, 4), "████", "never longer than its room");
        assert_eq!(bar(0, 0, 4), " ░░░", "nothing of nothing");
    }

    #[test]
    fn the_clock_shows_days_when_there_are_some() {
        assert_eq!(clock(SimTime::from_secs(3_661)), "01:01:01");
        assert_eq!(clock(SimTime::from_secs(2 * 86_400 + 59)), "2d 00:00:59");
    }
}
