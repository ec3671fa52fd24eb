//! Which images tasks run: tags that move, and deployments that hold on to what they found (TD-29).

use std::collections::BTreeMap;

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::control_plane::api::PutImage;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Resource};
use crate::ecs::ids::{ImageId, SoftwareId, TaskDefinitionId, TaskKey};
use crate::ecs::image::{ImageSettings, Reference};
use crate::ecs::software::{Resolution, SoftwareVersion, VersionConsistency};
use crate::ecs::task::TaskOwner;
use crate::engine::simulation::Schedule;
use crate::refused::Refused;
use crate::workload::behaviour::ContainerBehaviour;

/// What has been pushed in the run, and what tags name since.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    /// By their numbers, from one.
    pushed: Vec<Pushed>,
    /// The number of the push that a repository's tag names; what was there at time zero has none.
    tags: BTreeMap<(String, String), u32>,
    /// Each definition's versions by the pushes of its containers.
    known: BTreeMap<(TaskDefinitionId, Vec<u32>), SoftwareId>,
    /// Each definition's version as its tags are now, so that a new task need not resolve them.
    current: Vec<SoftwareId>,
}

#[derive(Debug)]
struct Pushed {
    repository: String,
    digest: Option<String>,
    behaviour: Option<ContainerBehaviour>,
}

impl Pushes {
    /// The push that the tag of an image reference names now; 0 for what was there at time zero, and for a digest.
    fn named_by(&self, image: &str) -> u32 {
        let reference = Reference::of(image);
        if reference.digest.is_some() || self.tags.is_empty() {
            return 0;
        }
        let tag = (reference.repository.to_owned(), reference.tag.to_owned());
        self.tags.get(&tag).copied().unwrap_or(0)
    }

    fn push(&self, number: u32) -> Option<&Pushed> {
        self.pushed.get(number.checked_sub(1)? as usize)
    }

    /// `ecr:PutImage`: the tag names this image from now on.
    fn put(&mut self, call: &PutImage) -> Result<(), Refused> {
        let known = call.digest.as_ref().and_then(|digest| {
            let same = |pushed: &Pushed| pushed.repository == call.repository && pushed.digest.as_ref() == Some(digest);
            self.pushed.iter().position(same)
        });
        let number = known.unwrap_or(self.pushed.len()) as u32 + 1;
        let tag = (call.repository.clone(), call.tag.clone());
        if known.is_some() && self.tags.get(&tag) == Some(&number) {
            let message = format!(
                "Image with digest '{}' and tag '{}' already exists in the repository with name '{}'",
                call.digest.as_deref().unwrap_or_default(),
                call.tag,
                call.repository
            );
            return Err(Refused::new("ImageAlreadyExistsException", "TD-29", message));
        }
        if known.is_none() {
            self.pushed.push(Pushed {
                repository: call.repository.clone(),
                digest: call.digest.clone(),
                behaviour: call.behaviour.clone(),
            });
        }
        self.tags.insert(tag, number);
        Ok(())
    }
}

impl ControlPlane<'_> {
    /// `ecr:PutImage`. Definitions that name the tag have another version from now on; who runs it, their tasks decide.
    pub(super) fn put_image(&mut self, call: &PutImage) -> Result<(), Refused> {
        self.pushes.put(call)?;
        self.pushes.current.clear();
        for place in 0..self.state.definitions.len() {
            self.resolve_tags(TaskDefinitionId(place as u32));
        }
        Ok(())
    }

    /// A definition is there, the next in the order of their ids: what its tags name is looked up.
    pub(super) fn resolve_tags(&mut self, definition: TaskDefinitionId) {
        let containers = &self.state.definitions[definition.index()].definition.containers;
        let pushes = containers.iter().map(|container| self.pushes.named_by(&container.image)).collect();
        let software = self.software(definition, pushes);
        self.pushes.current.push(software);
    }

    /// A definition with its containers' images as pushed so.
    fn software(&mut self, definition: TaskDefinitionId, pushes: Vec<u32>) -> SoftwareId {
        if let Some(known) = self.pushes.known.get(&(definition, pushes.clone())) {
            return *known;
        }
        let entry = &self.state.definitions[definition.index()];
        let (mut images, mut digests, mut behaviours) = (Vec::new(), Vec::new(), Vec::new());
        for ((container, registered), number) in entry.definition.containers.iter().zip(&entry.behaviours).zip(&pushes)
        {
            let put = self.pushes.push(*number);
            let mut behaviour = registered.clone();
            if let Some(said) = put.and_then(|put| put.behaviour.as_ref()) {
                behaviour = said.clone();
                // Secrets and roles are the definition's, and an image of which nothing is said is as large as before.
                behaviour.missing_secrets.clone_from(&registered.missing_secrets);
                behaviour.missing_roles.clone_from(&registered.missing_roles);
                if behaviour.image == ImageSettings::default() {
                    behaviour.image.clone_from(&registered.image);
                }
            }
            let nameless;
            let name = if container.image.is_empty() {
                nameless = format!("{}/{}", entry.definition.name(), container.name);
                &nameless
            } else {
                &container.image
            };
            let digest = put.and_then(|put| put.digest.as_deref());
            let image = self.images.intern_push(name, &behaviour.image, *number, digest);
            digests.push(self.images.get(image).digest.clone());
            images.push(image);
            behaviours.push(behaviour);
        }
        let id = SoftwareId(self.state.software.len() as u32);
        self.pushes.known.insert((definition, pushes.clone()), id);
        self.state.software.push(SoftwareVersion { definition, images, digests, pushes, behaviours });
        id
    }

    /// What a new task runs, and whether its deployment holds on to that (TD-29).
    ///
    /// The first task of a deployment resolves the tags, if the registry answers. Tasks that run by themselves resolve them
    /// each, as do containers without `versionConsistency`.
    pub(super) fn software_of_new(
        &mut self,
        definition: TaskDefinitionId,
        owner: Option<TaskOwner>,
    ) -> (SoftwareId, bool) {
        let current = self.pushes.current[definition.index()];
        let Some(resolution) = owner.and_then(|owner| self.resolution(owner).copied()) else { return (current, false) };
        match resolution {
            Resolution::Resolved(held) if self.state.software[held.index()].definition == definition => {
                (self.held_software(held, current), true)
            }
            Resolution::Unresolved { .. } if self.registry_answers(current) => {
                if let Some(resolution) = owner.and_then(|owner| self.resolution(owner)) {
                    *resolution = Resolution::Resolved(current);
                }
                (current, true)
            }
            Resolution::Resolved(_) | Resolution::Unresolved { .. } | Resolution::ByTask => (current, false),
        }
    }

    fn resolution(&mut self, owner: TaskOwner) -> Option<&mut Resolution> {
        let service = &mut self.state.services[owner.service.index()];
        let mut deployments = service.deployments.iter_mut();
        Some(&mut deployments.find(|deployment| deployment.number == owner.deployment)?.resolution)
    }

    /// What was held on to, but for containers that follow their tags.
    fn held_software(&mut self, held: SoftwareId, current: SoftwareId) -> SoftwareId {
        if held == current {
            return held;
        }
        let [held, current] = [held, current].map(|id| &self.state.software[id.index()]);
        let definition = held.definition;
        let containers = &self.state.definitions[definition.index()].definition.containers;
        let pushes =
            containers.iter().zip(held.pushes.iter().zip(&current.pushes)).map(|(container, (held, current))| {
                match container.version_consistency {
                    VersionConsistency::Enabled => *held,
                    VersionConsistency::Disabled => *current,
                }
            });
        let pushes = pushes.collect();
        self.software(definition, pushes)
    }

    /// Whether every tag that a deployment holds on to can be resolved now.
    fn registry_answers(&self, software: SoftwareId) -> bool {
        let version = &self.state.software[software.index()];
        let definition = &self.state.definitions[version.definition.index()].definition;
        let mut containers = definition.containers.iter().zip(&version.behaviours).zip(&version.images);
        containers.all(|((container, behaviour), image)| {
            let name = &self.images.get(*image).name;
            let failure = self.impairments.pull_failure(name, &definition.family, None);
            container.version_consistency == VersionConsistency::Disabled
                || !behaviour.image.missing && failure.is_none()
        })
    }

    /// An image is about to be pulled: one that follows its tag is what the tag names now, or on a host that does without the
    /// registry what it named when the host pulled it last.
    pub(super) fn follow_tag(&mut self, key: TaskKey, place: usize) {
        let task = &self.state.tasks[key];
        let version = &self.state.software[task.software.index()];
        let container = &self.state.definitions[version.definition.index()].definition.containers[place];
        if self.pushes.tags.is_empty()
            || task.holds_software && container.version_consistency == VersionConsistency::Enabled
        {
            return;
        }
        let name = &self.images.get(version.images[place]).name;
        let on_host = task.instance.and_then(|id| self.hosts.get(id)?.images.copy_that_will_do(name, &self.images));
        let number =
            on_host.map_or_else(|| self.pushes.named_by(&container.image), |copy: ImageId| self.images.get(copy).push);
        if version.pushes[place] == number {
            return;
        }
        let (definition, mut pushes) = (version.definition, version.pushes.clone());
        pushes[place] = number;
        let software = self.software(definition, pushes);
        let draws = &mut self.definition_chance[definition.index()];
        let runs_for = self.state.software[software.index()].behaviours[place].runs_for.as_ref();
        let task = &mut self.state.tasks[key];
        task.software = software;
        task.containers[place].runs_for = runs_for.map(|dist| dist.sample_duration(&mut draws.service_time));
    }

    /// A task could not pull the image of a container: its deployment has tried in vain to resolve the tag, and goes on without
    /// after the third time; with a circuit breaker it fails.
    pub(super) fn count_unresolved(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let container = &self.state.definitions[task.definition.index()].definition.containers[place];
        let counts = container.version_consistency == VersionConsistency::Enabled && !task.holds_software;
        let Some(owner) = task.owner.filter(|_| counts) else { return };
        let Some(resolution) = self.resolution(owner) else { return };
        let before = std::mem::replace(resolution, resolution.after_failure());
        if before == Resolution::ByTask || *resolution != Resolution::ByTask {
            return;
        }
        self.decide(schedule.now(), |state| Decision {
            actor: "service-scheduler",
            subject: state.resource_name(Resource::Service(owner.service)),
            action: "do-without-digests",
            from: json!("versionConsistency"),
            to: json!("tags"),
            reason: "the tags of the deployment's images could not be resolved".to_owned(),
            rule: "TD-29",
            inputs: json!({ "tries": Resolution::TRIES }),
        });
        self.fail_unresolved(owner, schedule);
    }
}
