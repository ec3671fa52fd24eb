//! `ecsim watch SCENARIO`: the run live in the terminal, paused, stepped and sped up at will.
//!
//! The model knows nothing of it: the view takes a [`Session`] through time as fast as the clock on the wall and the
//! chosen speed say, and draws what is true between two events. The same seed shows the same run.

mod feed;
mod view;

use std::cell::RefCell;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::cli::run::Changes;
use crate::cli::{Console, Outcome};
use crate::control_plane::{RunOptions, Session};
use crate::engine::time::{SimDuration, SimTime};

use feed::{Feed, Feeder};
use view::View;

/// Watch a run in the terminal: hosts filling, tasks waiting, alarms, the cost, each decision with its reason.
///
/// Examples:
///   ecsim watch scenarios/quickstart.yaml
///   ecsim watch scenarios/scale-from-zero.yaml --speed 30s
///   ecsim watch scenarios/spot-wave.yaml --from 2h --set services.web.desiredCount=40
///
/// Keys: space pauses, + and - change the speed, d goes to the next decision, e to the next event, h an hour on, End to the
/// end, arrows scroll the decisions, q quits.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct WatchArgs {
    /// The scenario file (YAML or JSON).
    pub scenario: PathBuf,
    /// Virtual time that passes in a second, for example 5m; by default the whole run takes two minutes.
    #[arg(long, value_name = "T")]
    pub speed: Option<SimDuration>,
    /// Begin to watch at this time.
    #[arg(long, value_name = "T")]
    pub from: Option<SimDuration>,
    /// What is changed of the scenario.
    #[command(flatten)]
    pub changes: Changes,
}

/// How long the whole run takes by default.
const WATCH_SECS: u64 = 120;

/// A picture is drawn this often.
const FRAME: Duration = Duration::from_millis(50);

/// The speeds that + and - go through: virtual time a second.
const SPEEDS: [SimDuration; 14] = [
    SimDuration::from_secs(1),
    SimDuration::from_secs(5),
    SimDuration::from_secs(15),
    SimDuration::from_secs(30),
    SimDuration::from_mins(1),
    SimDuration::from_mins(2),
    SimDuration::from_mins(5),
    SimDuration::from_mins(10),
    SimDuration::from_mins(20),
    SimDuration::from_mins(60),
    SimDuration::from_mins(180),
    SimDuration::from_mins(720),
    SimDuration::from_mins(2880),
    SimDuration::from_mins(60 * 24 * 14),
];

/// How fast virtual time passes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pace {
    /// Virtual time a second.
    speed: SimDuration,
    paused: bool,
}

impl Pace {
    fn faster(&mut self) {
        let next = SPEEDS.into_iter().find(|speed| *speed > self.speed);
        self.speed = next.unwrap_or(self.speed);
    }

    fn slower(&mut self) {
        let next = SPEEDS.into_iter().rev().find(|speed| *speed < self.speed);
        self.speed = next.unwrap_or(self.speed);
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Quit,
    Pause,
    Faster,
    Slower,
    NextDecision,
    NextEvent,
    HourOn,
    End,
    ScrollBack(usize),
    ScrollOn(usize),
}

fn wish(key: KeyEvent) -> Option<Wish> {
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
        KeyCode::Char(' ' | 'p') => Wish::Pause,
        KeyCode::Char('+' | '=') | KeyCode::Right => Wish::Faster,
        KeyCode::Char('-' | '_') | KeyCode::Left => Wish::Slower,
        KeyCode::Char('d') | KeyCode::Enter => Wish::NextDecision,
        KeyCode::Char('e') => Wish::NextEvent,
        KeyCode::Char('h') => Wish::HourOn,
        KeyCode::End => Wish::End,
        KeyCode::Up => Wish::ScrollBack(1),
        KeyCode::PageUp => Wish::ScrollBack(20),
        KeyCode::Down => Wish::ScrollOn(1),
        KeyCode::PageDown => Wish::ScrollOn(20),
        _ => return None,
    })
}

/// A run and how it is looked at.
struct Watch<'a> {
    name: &'a str,
    session: Session<'a>,
    feed: Rc<RefCell<Feed>>,
    pace: Pace,
    /// Lines of the decision log that are scrolled back.
    scrolled: usize,
    color: bool,
}

impl Watch<'_> {
    fn draw(&self, frame: &mut ratatui::Frame<'_>) {
        let view = View {
            name: self.name,
            now: self.session.now(),
            end: self.session.end(),
            state: self.session.state(),
            feed: &self.feed.borrow(),
            pace: &self.pace,
            scrolled: self.scrolled,
            color: self.color,
        };
        view.draw(frame);
    }

    /// Does what a key asked for; false to quit.
    fn grant(&mut self, wish: Wish) -> bool {
        match wish {
            Wish::Quit => return false,
            Wish::Pause => self.pace.paused = !self.pace.paused,
            Wish::Faster => self.pace.faster(),
            Wish::Slower => self.pace.slower(),
            Wish::NextDecision => {
                self.pace.paused = true;
                let before = self.feed.borrow().decided;
                while self.feed.borrow().decided == before && self.session.step() {}
            }
            Wish::NextEvent => {
                self.pace.paused = true;
                self.session.step();
            }
            Wish::HourOn => self.session.run_until(self.session.now() + SimDuration::from_mins(60)),
            Wish::End => self.session.run_until(self.session.end()),
            Wish::ScrollBack(lines) => {
                let kept = self.feed.borrow().decisions.len();
                self.scrolled = (self.scrolled + lines).min(kept.saturating_sub(1));
            }
            Wish::ScrollOn(lines) => self.scrolled = self.scrolled.saturating_sub(lines),
        }
        true
    }

    /// Lets `passed` go by on the wall, unless paused; what takes the model longer than a frame goes on in the next.
    fn advance(&mut self, passed: Duration) {
        if self.pace.paused {
            return;
        }
        let nanos = u128::from(self.pace.speed.as_nanos()) * passed.as_nanos() / 1_000_000_000;
        let due = self.session.now() + SimDuration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 4));
        let target = due.min(self.session.end());
        let begun = Instant::now();
        // Slices, so that a crowded minute does not freeze the keys.
        let slice = (target.saturating_since(self.session.now()) / 64).max(SimDuration::from_nanos(1));
        while self.session.now() < target && begun.elapsed() < FRAME {
            self.session.run_until((self.session.now() + slice).min(target));
        }
    }

    fn run(&mut self, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
        let mut last = Instant::now();
        loop {
            terminal.draw(|frame| self.draw(frame))?;
            let wait = FRAME.saturating_sub(last.elapsed());
            // A finished or paused run needs no new picture until a key is pressed.
            let still = self.pace.paused || self.session.now() >= self.session.end();
            if event::poll(if still { Duration::from_millis(500) } else { wait })?
                && let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && let Some(wish) = wish(key)
                && !self.grant(wish)
            {
                return Ok(());
            }
            let now = Instant::now();
            self.advance(now - last);
            last = now;
        }
    }
}

/// Watches the scenario.
pub fn run(args: &WatchArgs, console: &Console) -> anyhow::Result<Outcome> {
    let scenario = args.changes.load(&args.scenario, None, console)?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("`watch` needs a terminal; `ecsim run` writes the same run to files, and `ecsim explain` tells it");
    }
    let estate = &scenario.estate;
    let feed = Feed::new(estate);
    let mut feeder = Feeder(Rc::clone(&feed));
    let options = RunOptions { replication: 0, paranoid: args.changes.paranoid };
    let speed = args.speed.unwrap_or(estate.duration / WATCH_SECS).max(SimDuration::from_millis(1));
    let mut watch = Watch {
        name: &estate.name,
        session: Session::new(estate, options, &mut feeder),
        feed: Rc::clone(&feed),
        pace: Pace { speed, paused: false },
        scrolled: 0,
        color: console.color(),
    };
    if let Some(from) = args.from {
        watch.session.run_until(SimTime::ZERO + from);
    }
    let mut terminal = ratatui::try_init()?;
    let looked = watch.run(&mut terminal);
    ratatui::restore();
    looked?;
    let now = watch.session.now();
    let feed = feed.borrow();
    console.say(&format!(
        "{}: {now} watched, ${:.2} for hosts and Fargate, {} decisions; `ecsim run` writes it all down",
        estate.name,
        feed.spent(now),
        feed.decided
    ));
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::scenario::{LoadOptions, load_str};

    const TEXT: &str = "
name: small
duration: 2h
delays: {preset: constant}
autoScalingGroups: [{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 40}]
capacityProviders: [{name: cp, autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}}]
clusters: [{clusterName: default, capacityProviders: [cp], defaultCapacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}]
taskDefinitions: [{family: web, networkMode: bridge, containerDefinitions: [{name: app, image: a, cpu: 1024, memory: 512}]}]
services: [{serviceName: web, taskDefinition: web, desiredCount: 3}]
";

    fn with_watch<R>(text: &str, look: impl FnOnce(&mut Watch<'_>) -> R) -> R {
        let scenario = load_str("small.yaml", text, &LoadOptions::default()).expect("a valid scenario");
        let feed = Feed::new(&scenario.estate);
        let mut feeder = Feeder(Rc::clone(&feed));
        let pace = Pace { speed: SimDuration::from_mins(1), paused: false };
        let session = Session::new(&scenario.estate, RunOptions::default(), &mut feeder);
        look(&mut Watch { name: "small", session, feed, pace, scrolled: 0, color: false })
    }

    fn picture(watch: &Watch<'_>, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| watch.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_picture_tells_what_is_true_at_the_moment() {
        with_watch(TEXT, |watch| {
            while watch.session.state().groups[0].instances().next().is_none() {
                watch.session.step();
            }
            let early = picture(watch, 120, 30);
            assert!(early.contains("3 waiting") && early.contains("hosts: 2,"), "{early}");
            assert!(early.contains("desired   3 running   0") && early.contains("booting"), "{early}");
            watch.session.run_until(SimTime::from_secs(600));
            let later = picture(watch, 120, 30);
            assert!(later.contains("running   3") && later.contains("00:10:00 of 02:00:00"), "{later}");
            assert!(later.contains("active") && later.contains("████"), "{later}");
            assert!(later.contains("in ALARM") && later.contains("PRV-1"), "{later}");
        });
    }

    #[test]
    fn the_meter_agrees_with_the_bill() {
        let per_hour = 0.096;
        with_watch(TEXT, |watch| {
            watch.session.run_until(SimTime::from_secs(7200));
            let feed = watch.feed.borrow();
            let hours: f64 = watch
                .session
                .state()
                .groups
                .iter()
                .flat_map(crate::ec2::auto_scaling_group::AutoScalingGroup::instances)
                .map(|host| host.billed_seconds(watch.session.now()) as f64 / 3600.0)
                .sum();
            let spent = feed.spent(watch.session.now());
            // Root volumes are on the meter too: 30 GB at 8 cents a month, a third of a cent an hour.
            assert!(spent > hours * per_hour && spent < hours * (per_hour + 0.004), "{spent} for {hours} hours");
        });
    }

    #[test]
    fn keys_pause_step_and_jump() {
        with_watch(TEXT, |watch| {
            assert!(watch.grant(Wish::NextDecision) && watch.pace.paused);
            assert_eq!(
                watch.feed.borrow().decided,
                5,
                "a deployment that begins, one round of the service, three tasks"
            );
            let at = watch.session.now();
            watch.advance(Duration::from_secs(5));
            assert_eq!(watch.session.now(), at, "paused");
            watch.grant(Wish::Pause);
            watch.advance(Duration::from_secs(1));
            assert_eq!(watch.session.now(), at + SimDuration::from_mins(1), "a minute a second");
            watch.grant(Wish::HourOn);
            assert_eq!(watch.session.now(), at + SimDuration::from_mins(61));
            watch.grant(Wish::End);
            assert!(picture(watch, 100, 24).contains("finished"));
            watch.grant(Wish::NextDecision);
            watch.grant(Wish::ScrollBack(3));
            let newest = watch.feed.borrow().decisions.back().cloned().expect("there are some");
            assert!(!picture(watch, 100, 24).contains(newest.rule), "scrolled away");
            watch.grant(Wish::ScrollOn(9));
            assert!(picture(watch, 100, 24).contains(newest.rule), "the newest is in view");
            watch.grant(Wish::ScrollBack(3));
            assert!(picture(watch, 100, 24).contains("3 newer below"));
            assert!(!watch.grant(Wish::Quit));
        });
        let key = |code| wish(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(key(KeyCode::Char('q')), Some(Wish::Quit));
        assert_eq!(key(KeyCode::Char('x')), None);
        assert_eq!(wish(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Wish::Quit));
    }

    #[test]
    fn speeds_have_a_slowest_and_a_fastest() {
        let mut pace = Pace { speed: SimDuration::from_secs(12 * 60), paused: false };
        pace.faster();
        assert_eq!(pace.speed, SimDuration::from_mins(20));
        pace.slower();
        assert_eq!(pace.speed, SimDuration::from_mins(10));
        for _ in 0..30 {
            pace.slower();
        }
        assert_eq!(pace.speed, SPEEDS[0]);
        for _ in 0..30 {
            pace.faster();
        }
        assert_eq!(pace.speed, SPEEDS[SPEEDS.len() - 1]);
    }

    #[test]
    fn a_picture_fits_every_terminal() {
        let crowd = TEXT.replace("desiredCount: 3", "desiredCount: 60");
        with_watch(&crowd, |watch| {
            watch.session.run_until(SimTime::from_secs(900));
            assert!(picture(watch, 120, 30).contains("more"), "hosts that do not fit are counted");
            for (width, height) in [(1, 1), (10, 3), (40, 12), (80, 24), (300, 90)] {
                picture(watch, width, height);
            }
        });
    }
}
