//! What runs in a container (see [`crate::ecs::process`]).

use crate::ecs::process::{Link, Mount, MountSource, Process, Ulimit};
use crate::scenario::input::{ContainerInput, TaskDefinitionInput};

/// What a real container of this definition runs, and what it sees of the machine.
pub(crate) fn of_container(input: &ContainerInput, definition: &TaskDefinitionInput) -> Process {
    // What is said of the whole task is said of its first essential container.
    let main = definition.containers.iter().find(|container| container.essential.unwrap_or(true));
    let is_main = main.is_some_and(|main| main.name.value == input.name.value);
    let behaviour = input.behaviour.as_ref().or(definition.behaviour.as_ref().filter(|_| is_main));
    Process {
        real_image: behaviour.and_then(|behaviour| behaviour.real_image.clone()),
        entry_point: input.entry_point.clone(),
        command: input.command.clone(),
        working_directory: input.working_directory.clone(),
        user: input.user.clone(),
        read_only_root: input.read_only_root.unwrap_or(false),
        init: input.linux.as_ref().and_then(|linux| linux.init).unwrap_or(false),
        privileged: input.privileged.as_ref().is_some_and(|at| at.value),
        ulimits: (input.ulimits.iter())
            .map(|limit| Ulimit { name: limit.name.clone(), soft: limit.soft.signed(), hard: limit.hard.signed() })
            .collect(),
        links: input.links.iter().map(|link| Link::parse(link)).collect(),
        mounts: mounts(input, definition),
        health_command: input.health_check.as_ref().map(|check| check.command.clone()).unwrap_or_default(),
    }
}

/// A directory of the host is mounted as it is; whatever else a volume is made of, its files live as long as the task.
fn mounts(input: &ContainerInput, definition: &TaskDefinitionInput) -> Vec<Mount> {
    let mounts = input.mount_points.iter().filter_map(|mount| {
        let (name, path) = (mount.volume.as_ref()?, mount.path.clone()?);
        let volume = definition.volumes.iter().find(|volume| volume.name.value == name.value)?;
        let host = volume.host.as_ref().and_then(|host| host.source_path.as_ref());
        let source = match host {
            Some(path) => MountSource::Host(path.value.clone()),
            None => MountSource::Task(name.value.clone()),
        };
        Some(Mount { source, path, read_only: mount.read_only.unwrap_or(false) })
    });
    mounts.collect()
}
