//! The network of tasks: addresses of their interfaces, dynamic ports of their containers, and what of it their load
//! balancers see (NET-4, TD-23, ELB-2).

use std::fmt;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::execution::PublishedPort;
use crate::control_plane::state::State;
use crate::ecs::host_ports::HostPort;
use crate::ecs::ids::TaskKey;
use crate::ecs::service::ServiceLoadBalancer;
use crate::ecs::task::{StopCode, Task};
use crate::ecs::task_definition::{NetworkMode, Protocol};
use crate::engine::simulation::Schedule;

/// What a load balancer sends requests to (ELB-2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The address of a task's interface, or the id of the instance.
    pub id: String,
    /// The port of the container, or of the host.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.port)
    }
}

impl State {
    /// ELB-2: the target that a task is for one of its service's load balancers: its own address and the container's port
    /// under awsvpc, else its host and the port there. `None` until it has them.
    pub fn target_of(&self, task: &Task, balancer: &ServiceLoadBalancer) -> Option<Target> {
        let definition = &self.definitions[task.definition.index()].definition;
        let place = definition.container_named(&balancer.container);
        let mappings = &definition.containers[place].port_mappings;
        let number = mappings.iter().position(|mapping| mapping.container_port == balancer.container_port)?;
        if definition.network_mode == NetworkMode::Awsvpc {
            return Some(Target { id: task.address?.to_string(), port: balancer.container_port });
        }
        let dynamic = || {
            let of_mapping =
                |port: &&HostPort| (usize::from(port.container), usize::from(port.mapping)) == (place, number);
            task.ports.iter().find(of_mapping).map(|port| port.host_port)
        };
        let port = mappings[number].static_port(definition.network_mode).or_else(dynamic)?;
        Some(Target { id: task.instance?.ec2_id().to_string(), port })
    }
}

impl ControlPlane<'_> {
    /// TD-23: a container that starts for the first time gets its dynamic ports, one after the other; when one is
    /// not to be had, those it got go back as its task stops.
    ///
    /// # Errors
    /// The `stoppedReason` of its task when the host has no more ports, or not so many in a row.
    pub(super) fn assign_ports(&mut self, key: TaskKey, place: usize) -> Result<(), String> {
        let task = &mut self.state.tasks[key];
        let definition = &self.state.definitions[task.definition.index()].definition;
        let mappings = &definition.containers[place].port_mappings;
        let mode = definition.network_mode;
        let dynamic = || mappings.iter().enumerate().filter(|(_, mapping)| mapping.is_dynamic(mode));
        if task.containers[place].has_started() || dynamic().next().is_none() {
            return Ok(());
        }
        if self.execution.is_real() {
            // The engine has chosen.
            let published = self.execution.published_ports(key, place);
            task.ports.extend(dynamic().filter_map(|(number, mapping)| {
                let leads = |port: &&PublishedPort| {
                    (port.container_port, port.protocol) == (mapping.container_port, mapping.protocol)
                };
                Some(HostPort {
                    container: place as u8,
                    mapping: number as u8,
                    host_port: published.iter().find(leads)?.host_port,
                    count: mapping.count,
                    protocol: mapping.protocol,
                })
            }));
            return Ok(());
        }
        let Some(id) = task.instance else { return Ok(()) };
        let Some(host) = self.state.clusters[task.cluster.index()].cluster.instance(id) else { return Ok(()) };
        let Some(runtime) = self.hosts.get_mut(id) else { return Ok(()) };
        for (number, mapping) in dynamic() {
            let statics = match mapping.protocol {
                Protocol::Tcp => &host.tcp_ports,
                Protocol::Udp => &host.udp_ports,
            };
            let taken = |port| statics.binary_search(&port).is_ok();
            let Some(host_port) = runtime.ports.assign(mapping.protocol, mapping.count, taken) else {
                let count = mapping.count;
                return Err(format!("CannotCreateContainerError: {count} contiguous host ports are unavailable"));
            };
            task.ports.push(HostPort {
                container: place as u8,
                mapping: number as u8,
                host_port,
                count: mapping.count,
                protocol: mapping.protocol,
            });
        }
        Ok(())
    }

    /// The dynamic ports of a container that has ended, or of the whole task, are free again.
    pub(super) fn give_back_ports(&mut self, key: TaskKey, place: Option<usize>) {
        let task = &mut self.state.tasks[key];
        if task.ports.is_empty() {
            return;
        }
        let mut host = task.instance.and_then(|id| self.hosts.get_mut(id));
        task.ports.retain(|port| {
            let goes = place.is_none_or(|place| usize::from(port.container) == place);
            if goes && let Some(host) = host.as_mut() {
                host.ports.give_back(*port);
            }
            !goes
        });
    }

    /// NET-4: the interface of a task gets an address of the subnet in its zone; false when there is none left.
    pub(super) fn take_address(&mut self, key: TaskKey) -> bool {
        let task = &mut self.state.tasks[key];
        task.address = task.zone.and_then(|zone| self.subnets[zone.index()].take());
        task.address.is_some()
    }

    /// NET-4: no address, no interface.
    pub(super) fn on_no_address(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let zone = task.zone.map_or("", |zone| self.state.zone_name(zone));
        let public = if self.state.profiles[task.profile.index()].extras.public_ip { "enabled" } else { "disabled" };
        let reason = format!(
            "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment {public} in \
             subnet '{zone}': InsufficientFreeAddressesInSubnet"
        );
        self.stop_task(key, StopCode::TaskFailedToStart, &reason, schedule);
    }

    /// The interface of a task is gone.
    pub(super) fn give_back_address(&mut self, key: TaskKey) {
        let task = &mut self.state.tasks[key];
        if let (Some(address), Some(zone)) = (task.address.take(), task.zone) {
            self.subnets[zone.index()].give_back(address);
        }
    }

    /// Checks addresses and ports in use against the tasks that have them (see [`super::audit`]).
    pub(super) fn audit_network(&self) -> Result<(), String> {
        let addresses = self.state.tasks.values().filter(|task| task.address.is_some()).count();
        let taken: usize = self.subnets.iter().map(crate::ecs::subnet::Subnet::in_use).sum();
        if addresses != taken {
            return Err(format!("{addresses} tasks have addresses, {taken} are taken"));
        }
        let on_hosts =
            self.state.tasks.values().filter(|task| task.instance.is_some_and(|id| self.hosts.get(id).is_some()));
        let ports: usize = on_hosts.flat_map(|task| &task.ports).map(|port| usize::from(port.count)).sum();
        let in_use: usize = self.hosts.iter().map(|(_, host)| host.ports.in_use()).sum();
        if ports != in_use {
            return Err(format!("containers have {ports} dynamic ports, their hosts count {in_use}"));
        }
        Ok(())
    }
}
