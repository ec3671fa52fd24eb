//! Image pulls: try, wait, transfer, give up (IMG-1…6, TASK-22).

use crate::catalog::FARGATE_INCLUDED_STORAGE_GIB;
use crate::control_plane::ControlPlane;
use crate::control_plane::estate::PullFailure;
use crate::control_plane::event::{Event, PullSite, TaskStep};
use crate::control_plane::execution::{ContainerCommand, ContainerStart};
use crate::control_plane::record::Record;
use crate::ecs::container::{ContainerStatus, ImageProgress};
use crate::ecs::ids::TaskKey;
use crate::ecs::image::PullBehaviour;
use crate::ecs::image_store::{Fetch, ImageCleanup, ImageStore, Pull, PullNumber, PullPhase};
use crate::ecs::task::StopCode;
use crate::ecs::task_definition::OperatingSystem;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};

/// IMG-5: so many tries, the last of which ends the pull.
const TRIES: u32 = 5;
/// IMG-5: from a failed try to the next, doubled each time, up to [`RETRY_CAP`].
const RETRY_BASE: SimDuration = SimDuration::from_millis(1100);
const RETRY_CAP: SimDuration = SimDuration::from_secs(5);
/// TASK-22: the longest pull.
const PULL_LIMIT: SimDuration = SimDuration::from_secs(2 * 3600);
/// TASK-22: a try of which nothing comes for so long is given up.
const INACTIVITY_LIMIT: SimDuration = SimDuration::from_mins(1);
/// IMG-8: what zstd saves of a transfer.
const ZSTD_FACTOR: f64 = 0.8;
/// FG-11: the size from which an index helps, in MiB.
const SOCI_FROM_MIB: f64 = 250.0;

/// A try of a pull that fails.
struct Refusal {
    /// What is wrong, in the words of the agent.
    why: String,
    /// How long the try lasts.
    after: SimDuration,
}

/// IMG-5: from the failure number `failures`, counted from one, to the next try.
fn wait_after(failures: u32) -> SimDuration {
    (RETRY_BASE * (1 << (failures - 1).min(10))).min(RETRY_CAP)
}

impl ControlPlane<'_> {
    /// Gets the image of a container to where it is to run; [`ControlPlane::image_is_ready`] goes on from there.
    ///
    /// Everything of the start is drawn here, so that the order of the draws is that of the starts, however long the
    /// pulls take (common random numbers).
    pub(super) fn pull_image(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        if self.ask_for_image(key, place) {
            self.state.tasks[key].times.pull_started.get_or_insert(now);
            return;
        }
        let delays = &self.estate.delays;
        self.follow_tag(key, place);
        let task = &self.state.tasks[key];
        let definition = task.definition.index();
        let software = &self.state.software[task.software.index()];
        let (behaviour, id) = (&software.behaviours[place], software.images[place]);
        let image = self.images.get(id);
        let draws = &mut self.definition_chance[definition];
        let (site, rate, base, start) = match task.instance {
            None => {
                // FG-6: no cache between tasks; the rate depends on the task's size.
                let large = self.state.shapes[task.shape.index()].cpu.0 > 1024;
                let rate =
                    if large { &delays.fargate_pull_throughput_large } else { &delays.fargate_pull_throughput_small };
                let rate = if image.size_mib() > 0.0 { rate.sample(&mut draws.start) } else { 1.0 };
                let base = delays.pull_base.sample(&mut draws.start);
                (PullSite::Fargate(key), rate, base, delays.fargate_start.sample(&mut draws.start))
            }
            Some(instance) => {
                let rate = delays.pull_throughput.sample(&mut draws.start);
                let base = delays.pull_base.sample(&mut draws.start);
                (PullSite::Host(instance), rate, base, delays.task_start.sample(&mut draws.start))
            }
        };
        // `delays.imagePull` is the whole pull: nothing is left to transfer.
        let whole = delays.image_pull.as_ref().map(|dist| dist.sample(&mut draws.start));
        let startup = behaviour.startup.as_ref().map(|dist| dist.sample_duration(&mut draws.health));
        let entry = &self.state.definitions[definition].definition;
        let soci = task.instance.is_none() && entry.operating_system == OperatingSystem::Linux && image.in_ecr();
        let zstd = if image.zstd { ZSTD_FACTOR } else { 1.0 };
        let factor = if soci && image.soci_index && image.size_mib() > SOCI_FROM_MIB {
            zstd * self.estate.behaviour.soci_pull_factor
        } else {
            zstd
        };
        // VOL-4: mounting EFS file systems is part of the start.
        let mount = if entry.mounts_efs { self.estate.behaviour.efs_mount } else { SimDuration::ZERO };
        let create = delays.container_create.as_ref().map(|dist| dist.sample_duration(&mut draws.start));
        let container = &mut self.state.tasks[key].containers[place];
        container.create_delay = create.unwrap_or(SimDuration::ZERO);
        container.start_delay = SimDuration::from_secs_f64(start).saturating_add(mount);
        container.startup = startup.unwrap_or(SimDuration::ZERO);
        let pull = Pull {
            task: key,
            place,
            image: id,
            base: SimDuration::from_secs_f64(whole.unwrap_or(base)).min(SimDuration::CENTURY),
            rate: rate.max(0.001) / factor.max(1e-6),
            began: now,
            failures: 0,
            failure: None,
            phase: PullPhase::Retry,
        };
        let must = match site {
            PullSite::Host(instance) => {
                self.hosts.get_mut(instance).is_none_or(|host| host.images.pulls(id, &self.images, now))
            }
            PullSite::Fargate(_) => true,
        };
        if !must {
            self.state.tasks[key].containers[place].image = ImageProgress::Ready;
            self.image_is_ready(key, place, SimDuration::ZERO, schedule);
            return;
        }
        let task = &mut self.state.tasks[key];
        task.times.pull_started.get_or_insert(now);
        // The usual case costs one event, that of the start.
        let simple = whole.is_some()
            || self.images.get(id).layers.is_empty()
            || self.store(site, now).is_none_or(|(store, images)| store.is_up_to_date(id, images));
        let refusal = self.pull_refusal(&pull, now);
        let starts = self.state.tasks[key].containers[place].status == ContainerStatus::Starting;
        let fits = self.fits_storage(key, place);
        if simple && fits && refusal.is_none() && starts && pull.base <= PULL_LIMIT {
            let base = pull.base;
            if let PullSite::Host(_) = site
                && let Some((store, images)) = self.store(site, now)
            {
                store.pulled(id, images, now + base);
            }
            self.pull_is_over(key, place, now + base);
            self.image_is_ready(key, place, base, schedule);
            return;
        }
        let Some((store, _)) = self.store(site, now) else { return };
        let number = store.begin(pull);
        self.state.tasks[key].containers[place].image = ImageProgress::Pulling(number);
        schedule.after(PULL_LIMIT, Event::Task { task: key, step: TaskStep::PullTimeout(number) });
        self.after_answer(site, number, refusal, schedule);
    }

    /// Asks the engine of real containers for an image; false when there is none.
    fn ask_for_image(&mut self, key: TaskKey, place: usize) -> bool {
        let task = &self.state.tasks[key];
        let at = ContainerStart { task: key, place: place as u8, start: task.containers[place].starts };
        let definition = &self.state.definitions[task.definition.index()].definition;
        let image = definition.containers[place].real_image();
        let asked = self.execution.ask(|| ContainerCommand::Pull { at, image: image.to_owned() });
        if asked {
            self.state.tasks[key].containers[place].image = ImageProgress::Asked;
        }
        asked
    }

    /// The engine of real containers has the image.
    pub(super) fn on_image_had(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        if self.state.tasks[key].containers[place].image == ImageProgress::Asked {
            self.pull_is_over(key, place, schedule.now());
            self.image_is_ready(key, place, SimDuration::ZERO, schedule);
        }
    }

    /// The images where a task runs, and what images are made of; a Fargate task's store is made when it is asked for.
    fn store(&mut self, site: PullSite, now: SimTime) -> Option<(&mut ImageStore, &crate::ecs::image::ImageTable)> {
        let store = match site {
            PullSite::Host(instance) => &mut self.hosts.get_mut(instance)?.images,
            PullSite::Fargate(key) => {
                let fair = self.estate.behaviour.pull_sharing_fair;
                let fresh = || ImageStore::new(PullBehaviour::Always, ImageCleanup::default(), fair, now);
                self.fargate_images.entry(key)?.or_insert_with(fresh)
            }
        };
        Some((store, &self.images))
    }

    fn site_of(&self, key: TaskKey) -> PullSite {
        self.state.tasks[key].instance.map_or(PullSite::Fargate(key), PullSite::Host)
    }

    /// Why the registry does not answer a try of this pull, if it does not: the one place where a pull can fail.
    ///
    /// A try that is answered counts towards the limit of Docker Hub (IMG-6).
    fn pull_refusal(&mut self, pull: &Pull, now: SimTime) -> Option<Refusal> {
        let task = &self.state.tasks[pull.task];
        let image = self.images.get(pull.image);
        let entry = &self.state.definitions[task.definition.index()];
        let zone = task.zone.map(|zone| &*self.state.zones[zone.index()]);
        let refuse = |why: String| Some(Refusal { why, after: pull.base });
        let failure = self.impairments.pull_failure(&image.name, &entry.definition.family, zone);
        let refusal = if failure == Some(PullFailure::Stalls) {
            let why = format!("inactivity time exceeded timeout while pulling image {}", image.name);
            Some(Refusal { why, after: INACTIVITY_LIMIT })
        } else if failure.is_some() {
            refuse(format!("failed to do request to the registry of {}: i/o timeout", image.name))
        } else if self.state.software[task.software.index()].behaviours[pull.place].image.missing {
            refuse(format!("failed to resolve reference \"{name}\": {name}: not found", name = image.name))
        } else if image.on_docker_hub() && !self.registry.hub_allows(task.instance, now) {
            let limit = "toomanyrequests: You have reached your pull rate limit. You may increase the limit by \
                         authenticating and upgrading: https://www.docker.com/increase-rate-limit";
            refuse(limit.to_owned())
        } else {
            None
        };
        if refusal.is_none() && image.on_docker_hub() {
            self.registry.note_hub_pull(task.instance, now);
        }
        refusal
    }

    /// Another try of a pull begins.
    fn try_pull(&mut self, site: PullSite, number: PullNumber, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(pull) = self.store(site, now).and_then(|(store, _)| store.pull(number).cloned()) else { return };
        let refusal = self.pull_refusal(&pull, now);
        self.after_answer(site, number, refusal, schedule);
    }

    /// The registry has answered a try, or will turn out not to when the base time is over.
    fn after_answer(
        &mut self,
        site: PullSite,
        number: PullNumber,
        refusal: Option<Refusal>,
        schedule: &mut Schedule<Event>,
    ) {
        let whole = self.estate.delays.image_pull.is_some();
        let Some((store, images)) = self.store(site, schedule.now()) else { return };
        let Some(pull) = store.pull_mut(number) else { return };
        let (task, base) = (pull.task, pull.base);
        let due = Event::Task { task, step: TaskStep::Pull(number) };
        if let Some(refusal) = refusal {
            pull.failures += 1;
            pull.failure = Some(refusal.why.into());
            pull.phase = PullPhase::Retry;
            let wait = if pull.failures < TRIES { wait_after(pull.failures) } else { SimDuration::ZERO };
            schedule.after(refusal.after.saturating_add(wait), due);
        } else if whole {
            pull.phase = PullPhase::Manifest;
            schedule.after(base, due);
        } else if store.read_manifest(number, images) == PullPhase::Manifest {
            schedule.after(base, due);
        }
    }

    /// A pull has read its manifest, or is due for its next try.
    pub(super) fn on_pull_due(&mut self, key: TaskKey, number: PullNumber, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let site = self.site_of(key);
        let whole = self.estate.delays.image_pull.is_some();
        let Some((store, _)) = self.store(site, now) else { return };
        let Some(pull) = store.pull(number).filter(|pull| pull.task == key) else { return };
        match pull.phase {
            PullPhase::Retry if pull.failures >= TRIES => {
                let why = pull.failure.as_deref().unwrap_or_default();
                let reason =
                    format!("CannotPullContainerError: pull image manifest has been retried {TRIES} time(s): {why}");
                self.pull_fails(site, number, &reason, schedule);
            }
            PullPhase::Retry => self.try_pull(site, number, schedule),
            PullPhase::Manifest if whole => self.finish_pull(site, number, schedule),
            PullPhase::Manifest => {
                self.fetch_layers(site, number, schedule);
                self.await_layers(site, schedule);
            }
            PullPhase::Queued | PullPhase::Transfer => {}
        }
    }

    fn fetch_layers(&mut self, site: PullSite, number: PullNumber, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some((store, images)) = self.store(site, now) else { return };
        if store.fetch(number, images, now) == Fetch::Complete {
            self.finish_pull(site, number, schedule);
        }
    }

    /// The first of the transfers under way may be over.
    pub(super) fn on_layers_arrive(&mut self, site: PullSite, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        // The task that a Fargate machine was for, or the host, may be gone.
        if matches!(site, PullSite::Fargate(key) if !self.fargate_images.contains_key(key)) {
            return;
        }
        let Some((store, images)) = self.store(site, now) else { return };
        let over = store.transfers_over(images, now);
        let mib = store.take_transferred_mib();
        if mib > 0.0 {
            self.observer.observe(now, &Record::LayersPulled { mib }, &self.state);
        }
        for number in over {
            self.fetch_layers(site, number, schedule);
        }
        self.await_layers(site, schedule);
    }

    /// Has the first end among the transfers under way told of. What was foreseen before and is too early finds nothing
    /// over and asks again; what is too late cannot be, as every change comes here.
    fn await_layers(&mut self, site: PullSite, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some((store, _)) = self.store(site, now) else { return };
        let next = store.next_transfer_end();
        if let Some(foreseen) = store.alarm.take() {
            schedule.cancel(foreseen);
        }
        store.alarm = next.map(|at| schedule.at(at, Event::LayersArrive(site)));
    }

    /// The image is there: the container may start, and whoever waited for the image tries again (IMG-3).
    fn finish_pull(&mut self, site: PullSite, number: PullNumber, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some((store, _)) = self.store(site, now) else { return };
        let Some((task, place)) = store.pull(number).map(|pull| (pull.task, pull.place)) else { return };
        if !self.fits_storage(task, place) {
            let image = self.state.software[self.state.tasks[task].software.index()].images[place];
            let reason = format!(
                "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer of {}: no space left \
                 on device",
                self.images.get(image).name
            );
            self.pull_fails(site, number, &reason, schedule);
            return;
        }
        let Some((store, images)) = self.store(site, now) else { return };
        let waiting = store.complete(number, images, now);
        self.pull_is_over(task, place, now);
        self.image_is_ready(task, place, SimDuration::ZERO, schedule);
        for next in waiting {
            self.try_pull(site, next, schedule);
        }
    }

    /// FG-9: whether a Fargate task has the storage for the image of this container, beside those that are there.
    ///
    /// What its volumes hold is not known; the disks of hosts are not limited (AGENT-10).
    fn fits_storage(&self, key: TaskKey, place: usize) -> bool {
        let task = &self.state.tasks[key];
        if !task.launch.is_fargate() {
            return true;
        }
        let definition = task.definition.index();
        let there = task.containers.iter().zip(&self.state.software[task.software.index()].images).enumerate();
        let there = there
            .filter(|(other, (container, _))| *other == place || container.image == ImageProgress::Ready)
            .map(|(_, (_, image))| *image);
        let used = self.images.uncompressed_mib(there, self.estate.behaviour.image_uncompressed_ratio);
        let storage = self.state.definitions[definition].definition.ephemeral_storage_gib;
        used <= f64::from(storage.unwrap_or(FARGATE_INCLUDED_STORAGE_GIB)) * 1024.0
    }

    /// A pull is given up: the copy on the host does, or the task fails (IMG-1).
    fn pull_fails(&mut self, site: PullSite, number: PullNumber, reason: &str, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some((store, _)) = self.store(site, now) else { return };
        let Some(pull) = store.pull(number).cloned() else { return };
        let falls_back = store.falls_back(pull.image);
        self.give_up_pull(site, number, schedule);
        if falls_back {
            self.pull_is_over(pull.task, pull.place, now);
            self.image_is_ready(pull.task, pull.place, SimDuration::ZERO, schedule);
        } else {
            self.stop_task(pull.task, StopCode::TaskFailedToStart, reason, schedule);
            self.count_unresolved(pull.task, pull.place, schedule);
        }
    }

    /// TASK-22: a pull lasts two hours at most.
    pub(super) fn on_pull_timeout(&mut self, key: TaskKey, number: PullNumber, schedule: &mut Schedule<Event>) {
        let site = self.site_of(key);
        let Some((store, _)) = self.store(site, schedule.now()) else { return };
        if store.pull(number).is_some_and(|pull| pull.task == key) {
            let reason = "ContainerRuntimeTimeoutError: Could not transition to pulled; timed out after waiting 2h0m0s";
            self.pull_fails(site, number, reason, schedule);
        }
    }

    fn give_up_pull(&mut self, site: PullSite, number: PullNumber, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some((store, images)) = self.store(site, now) else { return };
        let released = store.cancel(number, images, now);
        for next in released.same_image {
            self.try_pull(site, next, schedule);
        }
        for next in released.layers {
            self.fetch_layers(site, next, schedule);
        }
        self.await_layers(site, schedule);
    }

    /// The pulls of a task that is not wanted any more are given up.
    pub(super) fn give_up_pulls(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let site = self.site_of(key);
        for place in 0..self.state.tasks[key].containers.len() {
            let container = &mut self.state.tasks[key].containers[place];
            match std::mem::replace(&mut container.image, ImageProgress::Absent) {
                ImageProgress::Pulling(number) => self.give_up_pull(site, number, schedule),
                ImageProgress::Ready => container.image = ImageProgress::Ready,
                ImageProgress::Asked | ImageProgress::Absent => {}
            }
        }
    }

    fn pull_is_over(&mut self, key: TaskKey, place: usize, at: SimTime) {
        let task = &mut self.state.tasks[key];
        task.containers[place].image = ImageProgress::Ready;
        task.times.pull_stopped = Some(task.times.pull_stopped.map_or(at, |other| other.max(at)));
    }

    /// A container has started: its host remembers that its image is in use (AGENT-8).
    pub(super) fn note_image_use(&mut self, key: TaskKey, place: usize, first: bool, now: SimTime) {
        let task = &self.state.tasks[key];
        let image = self.state.software[task.software.index()].images[place];
        if let Some(host) = task.instance.and_then(|instance| self.hosts.get_mut(instance)) {
            host.images.used(image, first, now);
        }
    }

    /// A task is STOPPED: its containers stay on the host for a while, its Fargate machine is gone (AGENT-8).
    pub(super) fn let_images_go(&mut self, key: TaskKey, now: SimTime) {
        self.fargate_images.remove(key);
        let task = &self.state.tasks[key];
        let Some(host) = task.instance.and_then(|instance| self.hosts.get_mut(instance)) else { return };
        for (container, image) in task.containers.iter().zip(&self.state.software[task.software.index()].images) {
            if container.has_started() {
                host.images.let_go(*image, &self.images, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn img_5_waits_double_up_to_five_seconds() {
        let waits: Vec<f64> = (1..TRIES).map(|failures| wait_after(failures).as_secs_f64()).collect();
        assert_eq!(waits, [1.1, 2.2, 4.4, 5.0]);
    }
}
