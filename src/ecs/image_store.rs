//! The images of one host: what is there, what is being pulled, what is cleaned up (IMG-1…3, AGENT-8).
//!
//! A pull reads the manifest, which takes a base time, and then transfers the layers that are not there yet, all pulls of
//! the host sharing its rate. A layer that another pull transfers already is waited for, not transferred twice, and so is
//! an image that another pull has not finished. A Fargate task has a store of its own, empty when it starts (FG-6).

use std::collections::{BTreeMap, BTreeSet};

use crate::ecs::ids::{ImageId, LayerId, TaskKey};
use crate::ecs::image::{Image, ImageTable, PullBehaviour};
use crate::ecs::shared_link::SharedLink;
use crate::ecs::small_map::SmallMap;
use crate::engine::calendar::EventKey;
use crate::engine::time::{SimDuration, SimTime};

/// Number of a pull, rising over the pulls of one store.
pub type PullNumber = u64;

/// How long an agent keeps containers and images: its `ECS_…` variables (AGENT-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageCleanup {
    /// `ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION`: how long the containers of a stopped task stay.
    pub containers_after: SimDuration,
    /// `ECS_IMAGE_CLEANUP_INTERVAL`; images stay for good when absent.
    pub interval: Option<SimDuration>,
    /// `ECS_IMAGE_MINIMUM_CLEANUP_AGE`: from its pull to the earliest removal of an image.
    pub minimum_age: SimDuration,
    /// `ECS_NUM_IMAGES_DELETE_PER_CYCLE`.
    pub per_cycle: u32,
}

impl Default for ImageCleanup {
    /// The agent's defaults (AGENT-8).
    fn default() -> Self {
        Self {
            containers_after: SimDuration::from_secs(3 * 3600),
            interval: Some(SimDuration::from_secs(1800)),
            minimum_age: SimDuration::from_secs(3600),
            per_cycle: 5,
        }
    }
}

/// One pull under way.
#[derive(Clone, Debug)]
pub struct Pull {
    /// The task it is for.
    pub task: TaskKey,
    /// Which of its containers.
    pub place: usize,
    /// What is pulled.
    pub image: ImageId,
    /// Manifest, authorisation, first byte.
    pub base: SimDuration,
    /// What it transfers in a second when it has the host to itself, in MiB.
    pub rate: f64,
    /// When it began.
    pub began: SimTime,
    /// Tries that have failed so far (IMG-5).
    pub failures: u32,
    /// Why the last try failed.
    pub failure: Option<Box<str>>,
    /// What it is at.
    pub phase: PullPhase,
}

/// What a pull is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPhase {
    /// A try has failed, or none has begun: the next one is due.
    Retry,
    /// Another pull of the image is under way: it waits for that one (IMG-3).
    Queued,
    /// It reads the manifest.
    Manifest,
    /// Its layers are under way, by itself or by other pulls.
    Transfer,
}

/// What became of a pull that went to fetch its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// All are there.
    Complete,
    /// Some are under way.
    UnderWay,
}

/// An image on the host.
#[derive(Clone, Copy, Debug)]
struct LocalImage {
    pulled: SimTime,
    last_used: SimTime,
    /// Containers of tasks that have not stopped.
    containers: u32,
    /// Until when a stopped container refers to it.
    referred_until: SimTime,
}

/// The images of one host.
#[derive(Clone, Debug)]
pub struct ImageStore {
    behaviour: PullBehaviour,
    cleanup: ImageCleanup,
    next_cleanup: SimTime,
    images: SmallMap<ImageId, LocalImage, 1>,
    /// Layers that are there, with the number of images that have them.
    layers: SmallMap<LayerId, u32, 2>,
    /// Layers under way, by the pull that transfers them.
    claimed: BTreeMap<LayerId, PullNumber>,
    pulls: BTreeMap<PullNumber, Pull>,
    next_number: PullNumber,
    /// The pull of each image that others of the same image wait for, with those.
    leaders: BTreeMap<ImageId, (PullNumber, BTreeSet<PullNumber>)>,
    /// Pulls whose own transfer is over and that wait for layers of others: at most one per image.
    sharing: BTreeSet<PullNumber>,
    link: SharedLink,
    /// Layers that have arrived and were not told of yet, in MiB.
    transferred_mib: f64,
    /// The event that tells of the next end of a transfer.
    pub alarm: Option<EventKey>,
}

impl ImageStore {
    /// A store without images; cleaned up first an interval after `now`.
    pub fn new(behaviour: PullBehaviour, cleanup: ImageCleanup, fair: bool, now: SimTime) -> Self {
        Self {
            behaviour,
            cleanup,
            next_cleanup: cleanup.interval.map_or(SimTime::MAX, |interval| now.saturating_add(interval)),
            images: SmallMap::default(),
            layers: SmallMap::default(),
            claimed: BTreeMap::new(),
            pulls: BTreeMap::new(),
            next_number: 0,
            leaders: BTreeMap::new(),
            sharing: BTreeSet::new(),
            link: SharedLink::new(fair),
            transferred_mib: 0.0,
            alarm: None,
        }
    }

    /// IMG-1: whether a container that needs `image` has it pulled first.
    pub fn pulls(&mut self, image: ImageId, table: &ImageTable, now: SimTime) -> bool {
        self.clean_up(table, now);
        self.behaviour.pulls(self.images.get(&image).is_some())
    }

    /// IMG-1: whether the copy that is there will do after a failed pull.
    pub fn falls_back(&self, image: ImageId) -> bool {
        self.behaviour.falls_back(self.images.get(&image).is_some())
    }

    /// Whether a pull of `image` would transfer nothing and wait for nobody: its base time is all it takes.
    pub fn is_up_to_date(&self, image: ImageId, table: &ImageTable) -> bool {
        !self.leaders.contains_key(&image) && self.has_layers(table.get(image))
    }

    fn has_layers(&self, image: &Image) -> bool {
        image.layers.iter().all(|(layer, _)| self.layers.get(layer).is_some())
    }

    /// Enters a pull.
    pub fn begin(&mut self, pull: Pull) -> PullNumber {
        let number = self.next_number;
        self.next_number += 1;
        self.pulls.insert(number, pull);
        number
    }

    /// A pull under way.
    pub fn pull(&self, number: PullNumber) -> Option<&Pull> {
        self.pulls.get(&number)
    }

    /// A pull under way.
    pub fn pull_mut(&mut self, number: PullNumber) -> Option<&mut Pull> {
        self.pulls.get_mut(&number)
    }

    /// Lets a pull read the manifest, or wait for the pull of the image that is under way (IMG-3).
    pub fn read_manifest(&mut self, number: PullNumber, table: &ImageTable) -> PullPhase {
        let Some(image) = self.pulls.get(&number).map(|pull| pull.image) else { return PullPhase::Retry };
        let lacks = !self.has_layers(table.get(image));
        let phase = if let Some((_, waiting)) = self.leaders.get_mut(&image) {
            waiting.insert(number);
            PullPhase::Queued
        } else {
            if lacks {
                self.leaders.insert(image, (number, BTreeSet::new()));
            }
            PullPhase::Manifest
        };
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.phase = phase;
        }
        phase
    }

    /// Transfers what nobody else does of the layers that are not there.
    pub fn fetch(&mut self, number: PullNumber, table: &ImageTable, now: SimTime) -> Fetch {
        let Some(pull) = self.pulls.get_mut(&number) else { return Fetch::UnderWay };
        pull.phase = PullPhase::Transfer;
        let missing = || table.get(pull.image).layers.iter().filter(|(layer, _)| self.layers.get(layer).is_none());
        if missing().next().is_none() {
            return Fetch::Complete;
        }
        let own: Vec<(LayerId, f64)> =
            missing().filter(|(layer, _)| !self.claimed.contains_key(layer)).copied().collect();
        if own.is_empty() {
            self.sharing.insert(number);
            return Fetch::UnderWay;
        }
        let mib: f64 = own.iter().map(|(_, mib)| mib).sum();
        let work = SimDuration::from_secs_f64(mib / pull.rate).min(SimDuration::CENTURY);
        self.claimed.extend(own.iter().map(|(layer, _)| (*layer, number)));
        self.link.begin(number, work, now);
        Fetch::UnderWay
    }

    /// When the first transfer under way is over, if no other comes.
    pub fn next_transfer_end(&self) -> Option<SimTime> {
        self.link.next_end()
    }

    /// Brings in the layers whose transfers are over, and returns the pulls that may now be complete: those that brought
    /// them, and those that waited for layers of others. [`ImageStore::fetch`] tells.
    pub fn transfers_over(&mut self, table: &ImageTable, now: SimTime) -> BTreeSet<PullNumber> {
        let mut over = BTreeSet::new();
        while let Some(number) = self.link.take_ended(now) {
            self.settle_claims(number, table, true);
            over.insert(number);
        }
        if !over.is_empty() {
            over.append(&mut self.sharing);
        }
        over
    }

    /// Compressed size of the layers that have arrived since this was last asked, in MiB.
    pub fn take_transferred_mib(&mut self) -> f64 {
        std::mem::take(&mut self.transferred_mib)
    }

    /// The layers that a pull has claimed are there, or have been given up.
    fn settle_claims(&mut self, number: PullNumber, table: &ImageTable, arrived: bool) {
        let Some(pull) = self.pulls.get(&number) else { return };
        for (layer, mib) in &table.get(pull.image).layers {
            if self.claimed.get(layer) == Some(&number) {
                self.claimed.remove(layer);
                if arrived {
                    self.layers.insert(*layer, 0);
                    self.transferred_mib += mib;
                }
            }
        }
    }

    /// A pull is complete: the image is there. Returns the pulls that have waited for it.
    pub fn complete(&mut self, number: PullNumber, table: &ImageTable, now: SimTime) -> BTreeSet<PullNumber> {
        let Some(pull) = self.pulls.remove(&number) else { return BTreeSet::new() };
        self.pulled(pull.image, table, now);
        self.leave(number, pull.image)
    }

    /// Gives up a pull, with what it has transferred so far. Returns the pulls that may go on in its place: those of the
    /// same image, and those that waited for its layers.
    pub fn cancel(&mut self, number: PullNumber, table: &ImageTable, now: SimTime) -> Released {
        self.settle_claims(number, table, false);
        self.link.cancel(number, now);
        self.sharing.remove(&number);
        let Some(pull) = self.pulls.remove(&number) else { return Released::default() };
        if self.pulls.is_empty() {
            // Layers that arrived for images that nobody pulls any more.
            self.layers.retain(|_, images| *images > 0);
        }
        Released { same_image: self.leave(number, pull.image), layers: std::mem::take(&mut self.sharing) }
    }

    /// The pull is no longer under way: who waited for it may go on.
    fn leave(&mut self, number: PullNumber, image: ImageId) -> BTreeSet<PullNumber> {
        match self.leaders.get_mut(&image) {
            Some((leader, _)) if *leader == number => self.leaders.remove(&image).map(|(_, waiting)| waiting),
            Some((_, waiting)) => {
                waiting.remove(&number);
                None
            }
            None => None,
        }
        .unwrap_or_default()
    }

    /// The image called so that the host starts containers from without asking the registry, if it has one: of several,
    /// which a tag has named, the one pulled last (IMG-1).
    pub fn copy_that_will_do(&self, name: &str, table: &ImageTable) -> Option<ImageId> {
        let copies = self.images.iter().filter(|(id, _)| table.get(**id).name == name);
        let (newest, _) = copies.max_by_key(|(id, copy)| (copy.pulled, **id))?;
        (!self.behaviour.pulls(true)).then_some(*newest)
    }

    /// The image is there, as of `now`.
    pub fn pulled(&mut self, image: ImageId, table: &ImageTable, now: SimTime) {
        if let Some(known) = self.images.get_mut(&image) {
            // An image pulled again is as old as its last pull; what refers to it still does.
            known.pulled = now;
            return;
        }
        let fresh = LocalImage { pulled: now, last_used: now, containers: 0, referred_until: SimTime::ZERO };
        self.images.insert(image, fresh);
        for (layer, _) in &table.get(image).layers {
            *self.layers.get_or_insert_with(*layer, || 0) += 1;
        }
    }

    /// A container of the image starts, for the first time or again.
    pub fn used(&mut self, image: ImageId, first: bool, now: SimTime) {
        if let Some(local) = self.images.get_mut(&image) {
            local.last_used = now;
            local.containers += u32::from(first);
        }
    }

    /// The task of a container that has started is STOPPED: the container stays for a while (AGENT-8).
    pub fn let_go(&mut self, image: ImageId, table: &ImageTable, now: SimTime) {
        self.clean_up(table, now);
        if let Some(local) = self.images.get_mut(&image) {
            local.containers = local.containers.saturating_sub(1);
            local.referred_until = local.referred_until.max(now.saturating_add(self.cleanup.containers_after));
        }
    }

    /// AGENT-8: runs the cleanups that were due, each as if at its time; nobody looks at a store in between.
    ///
    /// Cleanups and pulls exclude each other: one that falls due while something is pulled runs afterwards.
    fn clean_up(&mut self, table: &ImageTable, now: SimTime) {
        let Some(interval) = self.cleanup.interval else { return };
        if self.behaviour == PullBehaviour::PreferCached || !self.pulls.is_empty() {
            return;
        }
        while self.next_cleanup <= now {
            let at = self.next_cleanup;
            self.next_cleanup = at.saturating_add(interval);
            let mut unused: Vec<(SimTime, ImageId)> = Vec::new();
            let mut waits = false;
            for (id, image) in self.images.iter().filter(|(_, image)| image.containers == 0) {
                let removable = image.referred_until.max(image.pulled.saturating_add(self.cleanup.minimum_age));
                waits |= removable > at;
                if removable <= at {
                    unused.push((image.last_used, *id));
                }
            }
            unused.sort_unstable();
            let all = unused.len() <= self.cleanup.per_cycle as usize;
            for (_, id) in unused.into_iter().take(self.cleanup.per_cycle as usize) {
                self.remove(id, table);
            }
            if all && !waits {
                // Nothing is left to remove: the cleanups up to now find nothing either.
                let skipped = now.saturating_since(at).as_nanos() / interval.as_nanos().max(1);
                self.next_cleanup = at.saturating_add(interval * skipped.saturating_add(1));
            }
        }
    }

    fn remove(&mut self, id: ImageId, table: &ImageTable) {
        if self.images.remove(&id).is_none() {
            return;
        }
        for (layer, _) in &table.get(id).layers {
            if let Some(images) = self.layers.get_mut(layer) {
                *images = images.saturating_sub(1);
                if *images == 0 {
                    self.layers.remove(layer);
                }
            }
        }
    }

    /// Compares the books of the store with each other.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn audit(&self, table: &ImageTable) -> Result<(), String> {
        let mut counted: BTreeMap<LayerId, u32> = BTreeMap::new();
        for id in self.images.keys() {
            for (layer, _) in &table.get(*id).layers {
                *counted.entry(*layer).or_default() += 1;
            }
        }
        for (layer, count) in self.layers.iter() {
            let really = counted.remove(layer).unwrap_or(0);
            if really != *count {
                return Err(format!("layer {layer:?} is of {really} images, but {count} are counted"));
            }
        }
        if let Some((layer, _)) = counted.first_key_value() {
            return Err(format!("layer {layer:?} of an image on the host is not there"));
        }
        for (layer, number) in &self.claimed {
            let pull = self.pulls.get(number).ok_or_else(|| format!("a pull that is over claims {layer:?}"))?;
            if pull.phase != PullPhase::Transfer || self.layers.get(layer).is_some() {
                return Err(format!("pull {number} claims {layer:?}, which it does not transfer"));
            }
        }
        let led = self.leaders.values().all(|(leader, waiting)| {
            self.pulls.contains_key(leader) && waiting.iter().all(|number| self.pulls.contains_key(number))
        });
        if led { Ok(()) } else { Err("a pull that is over leads or waits".to_owned()) }
    }
}

/// The pulls that may go on after one was given up.
#[derive(Clone, Debug, Default)]
pub struct Released {
    /// They waited for the whole image: a new try is theirs.
    pub same_image: BTreeSet<PullNumber>,
    /// They waited for single layers.
    pub layers: BTreeSet<PullNumber>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::image::ImageSettings;

    const HOUR: u64 = 3600;

    fn at(secs: u64) -> SimTime {
        SimTime::from_secs(secs)
    }

    fn image(table: &mut ImageTable, name: &str, size_mib: f64) -> ImageId {
        table.intern(name, &ImageSettings { size_mib: Some(size_mib), ..ImageSettings::default() })
    }

    fn store(behaviour: PullBehaviour) -> ImageStore {
        ImageStore::new(behaviour, ImageCleanup::default(), true, SimTime::ZERO)
    }

    fn pull(image: ImageId, rate: f64) -> Pull {
        Pull {
            task: TaskKey::default(),
            place: 0,
            image,
            base: SimDuration::ZERO,
            rate,
            began: SimTime::ZERO,
            failures: 0,
            failure: None,
            phase: PullPhase::Retry,
        }
    }

    #[test]
    fn agent_8_an_unused_image_goes_with_the_first_cleanup_after_its_containers() {
        let mut table = ImageTable::default();
        let web = image(&mut table, "web", 10.0);
        let mut store = store(PullBehaviour::Once);
        store.pulled(web, &table, at(0));
        store.used(web, true, at(10));
        assert!(!store.pulls(web, &table, at(9 * HOUR)), "a running container keeps its image");
        store.let_go(web, &table, at(9 * HOUR + 60));
        // The container is removed at 12 h 1 min, the image at the cleanup of 12 h 30 min.
        assert!(!store.pulls(web, &table, at(12 * HOUR + 1799)));
        assert!(store.pulls(web, &table, at(12 * HOUR + 1800)));
        assert!(store.audit(&table).is_ok() && store.layers.is_empty());
    }

    #[test]
    fn agent_8_five_images_a_cleanup_and_the_longest_unused_first() {
        let mut table = ImageTable::default();
        let mut store = store(PullBehaviour::Once);
        let images: Vec<ImageId> = (0..7).map(|n| image(&mut table, &format!("image-{n}"), 1.0)).collect();
        for (n, id) in images.iter().enumerate() {
            store.pulled(*id, &table, at(0));
            store.used(*id, true, at(100 - n as u64));
            store.let_go(*id, &table, at(200));
        }
        let present = |store: &mut ImageStore, now: u64| {
            let there = images.iter().enumerate().filter(|(_, id)| !store.pulls(**id, &table, at(now)));
            there.map(|(n, _)| n).collect::<Vec<_>>()
        };
        // The containers are gone at 11000 s; cleanups are at 12600 s and 14400 s.
        assert_eq!(present(&mut store, 12_599).len(), 7);
        assert_eq!(present(&mut store, 12_600), [0, 1], "used last");
        assert_eq!(present(&mut store, 14_400), Vec::<usize>::new());
    }

    #[test]
    fn agent_8_no_cleanup_with_prefer_cached_nor_while_something_is_pulled() {
        let mut table = ImageTable::default();
        let [old, new] = [image(&mut table, "old", 1.0), image(&mut table, "new", 1.0)];
        let mut cached = store(PullBehaviour::PreferCached);
        cached.pulled(old, &table, at(0));
        assert!(!cached.pulls(old, &table, at(1000 * HOUR)));
        let mut busy = store(PullBehaviour::Once);
        busy.pulled(old, &table, at(0));
        let number = busy.begin(pull(new, 1.0));
        assert!(!busy.pulls(old, &table, at(5 * HOUR)), "the cleanup waits for the pull");
        busy.cancel(number, &table, at(5 * HOUR));
        assert!(busy.pulls(old, &table, at(5 * HOUR)));
    }

    #[test]
    fn a_layer_under_way_is_waited_for_and_taken_over_when_its_pull_is_given_up() {
        let mut table = ImageTable::default();
        let shared = |size_mib: f64| ImageSettings {
            size_mib: Some(size_mib),
            layers: vec![("base".to_owned(), 100.0)],
            ..ImageSettings::default()
        };
        let (a, b) = (table.intern("a", &shared(100.0)), table.intern("b", &shared(110.0)));
        let mut store = store(PullBehaviour::Default);
        let (first, second) = (store.begin(pull(a, 10.0)), store.begin(pull(b, 10.0)));
        assert_eq!(store.read_manifest(first, &table), PullPhase::Manifest);
        assert_eq!(store.read_manifest(second, &table), PullPhase::Manifest, "another image");
        assert_eq!(store.fetch(first, &table, at(0)), Fetch::UnderWay);
        assert_eq!(store.fetch(second, &table, at(0)), Fetch::UnderWay);
        // The second transfers its own 10 MiB at half the rate, then waits for the first one's layer.
        assert_eq!(store.next_transfer_end(), Some(at(2)));
        assert_eq!(store.transfers_over(&table, at(2)).into_iter().collect::<Vec<_>>(), [second]);
        assert_eq!(store.fetch(second, &table, at(2)), Fetch::UnderWay);
        assert_eq!(store.next_transfer_end(), Some(at(11)));
        let released = store.cancel(first, &table, at(5));
        assert_eq!(released.layers.into_iter().collect::<Vec<_>>(), [second]);
        assert_eq!(store.fetch(second, &table, at(5)), Fetch::UnderWay);
        assert_eq!(store.next_transfer_end(), Some(at(15)), "from the start: what was transferred is lost");
        assert_eq!(store.transfers_over(&table, at(15)).len(), 1);
        assert_eq!(store.fetch(second, &table, at(15)), Fetch::Complete);
        store.complete(second, &table, at(15));
        store.audit(&table).unwrap();
        assert!(!store.falls_back(a) && store.falls_back(b));
    }
}
