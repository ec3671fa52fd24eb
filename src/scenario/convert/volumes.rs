//! Volumes of task definitions, calls and services (VOL-*).

use crate::ecs::ebs::{EBS_TYPES, EbsType, EbsVolume};
use crate::scenario::decode::Said;
use crate::scenario::diagnostic::{Problem, Reading};
use crate::scenario::input::{TaskDefinitionInput, VolumeConfigurationInput, VolumeInput};

const CLIENT: &str = "ClientException";
const PARAMETER: &str = "InvalidParameterException";

/// Whether a volume is an EBS volume that the call or service configures.
pub(crate) fn is_configured_at_launch(volume: &VolumeInput) -> bool {
    volume.configured_at_launch.as_ref().is_some_and(|at| at.value)
}

/// VOL-1, VOL-2, TD-26: the volumes of a definition and where they are mounted.
pub(crate) fn check(input: &TaskDefinitionInput, fargate: bool, reading: &mut Reading) {
    for volume in &input.volumes {
        if !fargate {
            break;
        }
        let path = volume.host.as_ref().and_then(|host| host.source_path.as_ref());
        let lacks = [
            (path.map(|at| at.place), "host.sourcePath"),
            (volume.docker.as_ref().map(|at| at.place), "dockerVolumeConfiguration"),
            (volume.fsx.as_ref().map(|at| at.place), "fsxWindowsFileServerVolumeConfiguration"),
        ];
        for (place, key) in lacks {
            if let Some(place) = place {
                reading.report(Problem::aws(CLIENT, "TD-26", place, format!("Fargate does not support `{key}`.")));
            }
        }
    }
    let mut at_launch = input.volumes.iter().filter(|volume| is_configured_at_launch(volume));
    if let (Some(_), Some(second)) = (at_launch.next(), at_launch.next()) {
        let message = "Only one volume of a task definition can be configured at launch.";
        reading.report(Problem::aws(CLIENT, "VOL-2", second.name.place, message));
    }
    for mount in input.containers.iter().flat_map(|container| &container.mount_points) {
        let Some(name) = &mount.volume else { continue };
        if !input.volumes.iter().any(|volume| volume.name.value == name.value) {
            let problem = Problem::aws(CLIENT, "VOL-1", name.place, format!("Unknown volume '{}'.", name.value));
            reading.report(problem.nearest(name, input.volumes.iter().map(|volume| volume.name.as_str())));
        }
    }
}

/// The EBS volume that each task gets, when its size is said: that of a snapshot is not known.
pub(crate) fn ebs(inputs: &[VolumeConfigurationInput]) -> Option<EbsVolume> {
    let volume = inputs.iter().find_map(|input| input.ebs.as_ref())?;
    let kind = EbsType::named(volume.kind.as_ref().map_or(EBS_TYPES[0].name, |kind| kind.as_str()))?;
    Some(EbsVolume { kind, gib: volume.size.as_ref()?.get() })
}

/// The volumes that a service configures, checked, as the file says them.
pub(crate) fn configured(
    said: Option<&Said<Vec<VolumeConfigurationInput>>>,
    reading: &mut Reading,
) -> Option<(String, Option<EbsVolume>)> {
    let said = said?;
    check_configurations(&said.value, reading);
    Some((said.text.clone(), ebs(&said.value)))
}

/// VOL-2: the EBS volume that a call or service configures.
pub(crate) fn check_configurations(inputs: &[VolumeConfigurationInput], reading: &mut Reading) {
    if let Some(second) = inputs.get(1) {
        let message = "A task has one volume that is configured at launch.";
        reading.report(Problem::aws(PARAMETER, "VOL-2", second.name.place, message));
    }
    for input in inputs {
        let Some(volume) = &input.ebs else { continue };
        let name = volume.kind.as_ref().map_or(EBS_TYPES[0].name, |kind| kind.as_str());
        let Some(kind) = EbsType::named(name) else {
            let place = volume.kind.as_ref().map_or(input.name.place, |kind| kind.place);
            let problem = Problem::aws(PARAMETER, "VOL-2", place, format!("`{name}` is no type of EBS volume."));
            reading.report(problem.nearest(name, EBS_TYPES.iter().map(|known| known.name)));
            continue;
        };
        let (kind, sizes) = (kind.name, kind.sizes());
        match &volume.size {
            Some(size) if !sizes.contains(&size.get()) => {
                let message =
                    format!("A {kind} volume has {} to {} GiB, not {}.", sizes.start(), sizes.end(), size.get());
                reading.report(Problem::aws(PARAMETER, "VOL-2", size.place, message));
            }
            None if volume.snapshot.is_none() => {
                let message = "sizeInGiB or snapshotId must be specified.";
                reading.report(Problem::aws(PARAMETER, "VOL-2", input.name.place, message));
            }
            _ => {}
        }
        if let Some(iops) = volume.iops.as_ref().filter(|iops| kind == "gp3" && !(3000..=16_000).contains(&iops.get()))
        {
            let message = format!("A gp3 volume has 3000 to 16000 IOPS, not {}.", iops.get());
            reading.report(Problem::aws(PARAMETER, "VOL-2", iops.place, message));
        }
    }
}
