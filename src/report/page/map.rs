//! The map of hosts: which tasks were packed on which host, at any moment of the run.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::figure::hex;
use crate::report::format::grouped;
use crate::report::plot::PlotError;
use crate::report::plot::folder::{Folder, each_row};
use crate::report::plot::theme::{OTHER, SERIES};

/// More hosts than this are no map any more.
const HOSTS: usize = 400;
/// More stays than this on a page are looked at only so often.
pub(super) const STAYS: usize = 20_000;
/// How often then.
const FRAMES: f64 = 288.0;

/// The map as the page's script reads it.
#[derive(Debug, Default, Serialize)]
pub(super) struct HostMap {
    hosts: Vec<Host>,
    /// Whose tasks there are, with a colour; those that reserved most first.
    pub(super) groups: Vec<Group>,
    /// CPU units and MiB of a task, by definition.
    definitions: Vec<(u64, u64)>,
    /// `[host, group, definition, from, to]`.
    stays: Vec<(usize, usize, usize, f64, f64)>,
    /// Seconds between the moments that the map knows; 0 when it knows all.
    pub(super) frame_s: f64,
    /// What is left out; empty when nothing is.
    pub(super) note: String,
}

/// `[id, zone, group, type, launched, registered, leaving, gone, CPU units, MiB]`; null for what did not happen.
#[derive(Debug, Serialize)]
struct Host(String, String, String, String, f64, Option<f64>, Option<f64>, Option<f64>, u64, u64);

/// A task group with its colour.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) colour: String,
}

/// What of `tasks.csv` is needed.
#[derive(Deserialize)]
struct Row {
    task: String,
    group: String,
    task_definition: String,
    instance: String,
    created_s: f64,
    pending_s: Option<f64>,
    stopped_s: Option<f64>,
}

impl HostMap {
    /// Reads who stayed where, `placed` saying since when by task: empty when the run had no hosts, or was not written in full detail.
    ///
    /// More than `most` stays are thinned.
    pub(super) fn read(
        path: &Path,
        folder: &Folder,
        placed: &BTreeMap<String, f64>,
        most: usize,
    ) -> Result<Self, PlotError> {
        let end = folder.plan.duration_s;
        let mut map = Self::default();
        let mut place_of: BTreeMap<&str, usize> = BTreeMap::new();
        let lives: Vec<f64> =
            folder.hosts.iter().map(|host| host.terminated_s.unwrap_or(end) - host.launched_s).collect();
        for place in longest(&lives, |kept| kept <= HOSTS) {
            let host = &folder.hosts[place];
            let machine =
                folder.plan.machines.iter().find(|machine| machine.asg == host.asg && machine.kind == host.kind);
            let (cpu, memory) = machine.map_or((0, 0), |machine| (machine.cpu, machine.memory_mib));
            let leaving = [host.draining_s, host.terminating_s].into_iter().flatten().reduce(f64::min);
            place_of.insert(&host.instance, map.hosts.len());
            map.hosts.push(Host(
                host.instance.clone(),
                host.az.clone(),
                host.asg.clone(),
                host.kind.clone(),
                milli(host.launched_s),
                host.registered_s.map(milli),
                leaving.map(milli),
                host.terminated_s.map(milli),
                cpu,
                memory,
            ));
        }
        let definition_of: BTreeMap<&str, usize> =
            folder.plan.definitions.iter().enumerate().map(|(place, one)| (one.name.as_str(), place)).collect();
        let mut groups: BTreeMap<String, f64> = BTreeMap::new();
        let mut stays: Vec<(usize, String, usize, f64, f64)> = Vec::new();
        each_row(path, "tasks.csv", |row: Row| {
            let (Some(&host), Some(&definition)) =
                (place_of.get(row.instance.as_str()), definition_of.get(row.task_definition.as_str()))
            else {
                return;
            };
            // The decision says when room was reserved; the agent hears of it a little later.
            let from = placed.get(row.task.as_str()).copied().or(row.pending_s).unwrap_or(row.created_s);
            let to = row.stopped_s.unwrap_or(end);
            if to > from {
                let cpu = folder.plan.definitions[definition].cpu as f64;
                *groups.entry(row.group.clone()).or_default() += cpu * (to - from);
                stays.push((host, row.group, definition, from, to));
            }
        })?;
        if stays.is_empty() {
            return Ok(Self::default());
        }
        let mut by_weight: Vec<(String, f64)> = groups.into_iter().collect();
        by_weight.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let group_of: BTreeMap<&str, usize> =
            by_weight.iter().enumerate().map(|(place, (name, _))| (name.as_str(), place)).collect();
        map.stays = stays
            .iter()
            .map(|(host, group, definition, from, to)| {
                (*host, group_of[group.as_str()], *definition, milli(*from), milli(*to))
            })
            .collect();
        map.stays.sort_by(|a, b| a.3.total_cmp(&b.3).then(a.0.cmp(&b.0)).then(a.1.cmp(&b.1)));
        map.groups = by_weight
            .iter()
            .enumerate()
            .map(|(place, (name, _))| Group {
                name: name.clone(),
                colour: hex(SERIES.get(place).copied().unwrap_or(OTHER)),
            })
            .collect();
        map.definitions = folder.plan.definitions.iter().map(|one| (one.cpu, one.memory_mib)).collect();
        map.thin(end, folder.hosts.len(), most);
        Ok(map)
    }

    /// Keeps a map of a long run small: what it shows stays true, at fewer moments or of fewer hosts.
    fn thin(&mut self, end: f64, hosts: usize, most: usize) {
        let mut notes = Vec::new();
        if self.stays.len() > most {
            self.frame_s = (end / FRAMES).max(1.0).ceil();
            let frame_s = self.frame_s;
            // From the first moment looked at within the stay to the first one after it.
            let next = |at: f64| (at / frame_s).ceil() * frame_s;
            self.stays.retain_mut(|stay| {
                (stay.3, stay.4) = (next(stay.3), next(stay.4));
                stay.4 > stay.3
            });
            notes.push(format!("it shows every {}", crate::report::format::span(frame_s)));
        }
        if self.stays.len() > 2 * most {
            let mut counts = vec![0; self.hosts.len()];
            for stay in &self.stays {
                counts[stay.0] += 1;
            }
            let lives: Vec<f64> = self.hosts.iter().map(|host| host.7.unwrap_or(end) - host.4).collect();
            let mut sum = 0;
            let mut by_length = longest_first(&lives).into_iter();
            let kept = longest(&lives, |_| {
                sum += by_length.next().map_or(0, |place| counts[place]);
                sum <= 2 * most
            });
            let place_of: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
            let mut place = 0..;
            self.hosts.retain(|_| place.next().is_some_and(|place| place_of.contains_key(&place)));
            self.stays.retain_mut(|stay| {
                let new = place_of.get(&stay.0);
                stay.0 = new.copied().unwrap_or(0);
                new.is_some()
            });
        }
        if self.hosts.len() < hosts {
            let [kept, all] = [self.hosts.len(), hosts].map(|count| grouped(count as f64, 0));
            notes.push(format!("the {kept} of {all} hosts that were there longest"));
        }
        if !notes.is_empty() {
            self.note = format!("This is a large run: {}.", notes.join(", "));
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.stays.is_empty()
    }
}

/// Places by length of life, the longest first.
fn longest_first(lives: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..lives.len()).collect();
    places.sort_by(|a, b| lives[*b].total_cmp(&lives[*a]).then(a.cmp(b)));
    places
}

/// The longest lives, as many as `fits` allows of each further count; in their own order.
fn longest(lives: &[f64], mut fits: impl FnMut(usize) -> bool) -> Vec<usize> {
    let mut kept: Vec<usize> = longest_first(lives)
        .into_iter()
        .enumerate()
        .take_while(|(count, _)| fits(count + 1))
        .map(|(_, place)| place)
        .collect();
    kept.sort_unstable();
    kept
}

fn milli(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        Host(name.into(), "a".into(), "g".into(), "m5.large".into(), 0.0, Some(1.0), None, None, 2048, 4096)
    }

    #[test]
    fn a_large_map_shows_fewer_moments_but_none_wrongly() {
        let mut map = HostMap { hosts: vec![host("i-1"), host("i-2")], ..HostMap::default() };
        map.stays = (0..30_000).map(|n| (0, 0, 0, f64::from(n) * 2.0, f64::from(n) * 2.0 + 1.0)).collect();
        map.stays.push((1, 0, 0, 100.0, 50_000.0));
        map.thin(60_000.0, 2, STAYS);
        assert_eq!(map.frame_s, 209.0);
        assert!(map.stays.contains(&(1, 0, 0, 209.0, 50_160.0)), "there from the first moment looked at on");
        // At an even moment a short stay is there, at an odd one none is; 209 is odd.
        assert_eq!(map.stays.iter().filter(|stay| stay.0 == 0).count(), 144);
        assert_eq!(map.note, "This is a large run: it shows every 3.48 min.");
    }

    #[test]
    fn a_crowd_of_hosts_is_cut_and_it_is_said() {
        let mut map = HostMap { hosts: (0..10).map(|n| host(&format!("i-{n}"))).collect(), ..HostMap::default() };
        // The first four are gone soon.
        for host in &mut map.hosts[..4] {
            host.7 = Some(600.0);
        }
        map.stays = (0..60_000).map(|n| (n % 10, 0, 0, 0.0, 60_000.0)).collect();
        map.thin(60_000.0, 5000, STAYS);
        let names: Vec<&str> = map.hosts.iter().map(|host| host.0.as_str()).collect();
        assert_eq!(names, ["i-4", "i-5", "i-6", "i-7", "i-8", "i-9"]);
        assert_eq!(map.stays.len(), 36_000);
        assert!(map.stays.iter().all(|stay| stay.0 < 6));
        assert!(map.note.ends_with("the 6 of 5,000 hosts that were there longest."), "{}", map.note);
    }
}
