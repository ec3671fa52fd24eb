//! Whether requests to real containers have somewhere to go: looked at before anything starts.

use crate::control_plane::estate::{Demand, Estate};
use crate::ecs::task_definition::Protocol;

/// What is wrong with each workload whose requests no container could get, as sentences.
///
/// Only services that are there from the beginning are looked at. A load balancer's port is checked with the scenario.
pub fn unreachable(estate: &Estate) -> Vec<String> {
    let mut refused = Vec::new();
    for workload in &estate.workloads {
        let Demand::Requests { service: (cluster, name), .. } = &workload.demand else { continue };
        let service = estate.services.iter().find(|service| service.cluster == *cluster && service.name == *name);
        let Some(service) = service.filter(|service| service.load_balancers.is_empty()) else { continue };
        let family = service.task_definition.as_deref().unwrap_or_default();
        let family = family.split_once(':').map_or(family, |(family, _)| family);
        let entry = estate.task_definitions.iter().rev().find(|entry| entry.definition.family == family);
        let Some(definition) = entry.map(|entry| &entry.definition) else { continue };
        let container = &definition.containers[definition.main_container()];
        if !container.port_mappings.iter().any(|mapping| mapping.protocol == Protocol::Tcp) {
            refused.push(format!(
                "workload {} sends requests to service {name}, and container {} of {family} has no port mapping",
                workload.name, container.name
            ));
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{LoadOptions, load_str};

    #[test]
    fn requests_need_a_port() {
        let refused = |ports: &str| {
            let text = format!(
                "name: reach\ntaskDefinitions:\n  - family: web\n    networkMode: awsvpc\n    requiresCompatibilities: [FARGATE]\n    \
                 cpu: '256'\n    memory: '512'\n    containerDefinitions: [{{name: app, image: app{ports}}}]\nservices:\n  \
                 - serviceName: web\n    launchType: FARGATE\n    taskDefinition: web\n    desiredCount: 1\n    \
                 networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}\nworkloads:\n  \
                 - {{name: shoppers, requests: {{service: web, rate: 1, cpuPerRequest: 1ms}}}}\n"
            );
            unreachable(&load_str("reach.yaml", &text, &LoadOptions::default()).unwrap().estate)
        };
        assert!(refused(", portMappings: [{containerPort: 80}]").is_empty());
        let why = "workload shoppers sends requests to service web, and container app of web has no port mapping";
        assert_eq!(refused(""), [why]);
        assert_eq!(refused(", portMappings: [{containerPort: 80, protocol: udp}]"), [why]);
    }
}
