//! Instance types: those that a scenario describes, and whether a name is one of them or of the catalogue's (EC2-5).

use crate::catalog::{Hypervisor, InstanceType, RegisteredBasis, catalog, registered_memory_rule};
use crate::ecs::task_definition::CpuArchitecture;
use crate::scenario::decode::At;
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::input::{ArchitectureWord, InstanceTypeInput};
use crate::units::MiB;

/// The types of `instanceTypes`; their registered memory follows the rule of thumb.
pub(crate) fn instance_types<'i>(
    inputs: impl Iterator<Item = &'i InstanceTypeInput>,
    reading: &mut Reading,
) -> Vec<InstanceType> {
    let mut types: Vec<InstanceType> = Vec::new();
    for input in inputs {
        let name = &input.name;
        let problem = |message: String| Problem::new(code::INVALID, name.place, message);
        if catalog().instance_type(name).is_some() {
            let message = format!("the catalogue knows `{}` already", name.value);
            reading.report(problem(message).help("`registeredResources` of a group overrides what its hosts register"));
            continue;
        }
        if types.iter().any(|known| known.name == name.value) {
            reading.report(problem(format!("`{}` is described twice", name.value)));
            continue;
        }
        types.push(instance_type(input));
    }
    types
}

fn instance_type(input: &InstanceTypeInput) -> InstanceType {
    let memory = MiB(u64::from(input.memory.size.get()));
    let architectures = input.processor.as_ref().map_or(&[][..], |processor| &processor.architectures);
    let arm = architectures.first() == Some(&ArchitectureWord::Arm);
    let gpus = input.gpus.as_ref().map_or(&[][..], |info| &info.gpus);
    let max_enis = input.network.as_ref().map_or(2, |network| network.interfaces.get());
    InstanceType {
        name: input.name.value.clone(),
        vcpus: u64::from(input.vcpus.vcpus.get()),
        memory,
        registered_memory: registered_memory_rule(memory),
        registered_basis: RegisteredBasis::Rule,
        architecture: if arm { CpuArchitecture::Arm64 } else { CpuArchitecture::X86_64 },
        gpus: gpus.iter().map(|gpu| gpu.count.get()).sum(),
        gpu_model: gpus.iter().find_map(|gpu| gpu.name.as_ref()).map(|name| name.value.clone()),
        max_enis,
        awsvpc_slots: max_enis - 1,
        // AWS publishes which types take a trunk; of one that nobody knows, no.
        awsvpc_slots_trunking: None,
        hypervisor: Hypervisor::Nitro,
        burstable: false,
        bare_metal: false,
        current_generation: true,
    }
}

/// Whether an instance type is known; reported when it is not.
pub(crate) fn known_type(name: &At<String>, reading: &mut Reading) -> Option<()> {
    let described = || reading.instance_types.iter().any(|known| known.name == name.value);
    if catalog().instance_type(name).is_some() || described() {
        return Some(());
    }
    let message = format!("the catalogue has no instance type `{}`", name.value);
    let near: Vec<String> = catalog()
        .nearest_instance_types(name, 1)
        .into_iter()
        .map(ToString::to_string)
        .chain(reading.instance_types.iter().map(|known| known.name.clone()))
        .collect();
    let problem = Problem::new(code::UNKNOWN_NAME, name.place, message).label("unknown instance type");
    reading.report(
        problem
            .nearest(name, near.iter().map(String::as_str))
            .help_if_none("`instanceTypes` takes what `aws ec2 describe-instance-types` says of a type"),
    );
    None
}
