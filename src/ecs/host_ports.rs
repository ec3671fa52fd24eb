//! Dynamic host ports: which port of its host a container in bridge mode gets (TD-22, TD-23).
//!
//! The agent hands out the ports of the kernel's range one after the other and starts again at the bottom, passing over
//! what is in use. Static ports are placement's business ([`ContainerInstance`](super::container_instance::ContainerInstance));
//! dynamic ones never hold a task back.

use std::collections::BTreeSet;

use crate::ecs::task_definition::{OperatingSystem, Protocol};

/// `ip_local_port_range` of a Linux host (ECS AMIs), first and last.
const LINUX_RANGE: (u16, u16) = (32_768, 60_999);
/// The dynamic ports of Windows, first and last.
const WINDOWS_RANGE: (u16, u16) = (49_152, 65_535);

/// A port of a container, and the host's port that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Position of the container in its task definition.
    pub container: u8,
    /// Position of the mapping in its container.
    pub mapping: u8,
    /// The first port of the host.
    pub host_port: u16,
    /// How many ports in a row: one, unless the mapping is a range.
    pub count: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// The dynamic ports of one host.
#[derive(Clone, Debug)]
pub struct DynamicPorts {
    first: u16,
    last: u16,
    /// Where the search begins: behind the port assigned last.
    next: u16,
    in_use: BTreeSet<(Protocol, u16)>,
}

impl DynamicPorts {
    /// A host of this operating system on which no dynamic port is in use.
    pub fn new(operating_system: OperatingSystem) -> Self {
        let (first, last) = match operating_system {
            OperatingSystem::Linux => LINUX_RANGE,
            OperatingSystem::Windows => WINDOWS_RANGE,
        };
        Self { first, last, next: first, in_use: BTreeSet::new() }
    }

    /// Takes `count` ports in a row, the first ones that are free from the port assigned last on, and returns the first
    /// of them; `None` when there are not so many. `taken` says which ports static mappings have.
    ///
    /// Ports in a row do not go round the end of the range. O(ports in use) at worst, usually O(count · log ports).
    pub fn assign(&mut self, protocol: Protocol, count: u16, taken: impl Fn(u16) -> bool) -> Option<u16> {
        let free = |port: u16| !self.in_use.contains(&(protocol, port)) && !taken(port);
        let (first, next, last) = (u32::from(self.first), u32::from(self.next), u32::from(self.last));
        let count = u32::from(count.max(1));
        // Behind the last one, then from the bottom on; a row may lie across the place where the search began.
        let starts = (next..=last).chain(first..(next + count - 1).min(last + 1));
        let mut run = 0_u32;
        let mut before = None;
        for port in starts {
            run = if before.is_some_and(|before: u32| before + 1 == port) { run } else { 0 };
            run = if free(port as u16) { run + 1 } else { 0 };
            before = Some(port);
            if run == count {
                let begin = (port + 1 - count) as u16;
                self.in_use.extend((0..count as u16).map(|offset| (protocol, begin + offset)));
                self.next = if port == last { self.first } else { port as u16 + 1 };
                return Some(begin);
            }
        }
        None
    }

    /// Gives back what [`DynamicPorts::assign`] gave.
    pub fn give_back(&mut self, port: HostPort) {
        for offset in 0..port.count {
            self.in_use.remove(&(port.protocol, port.host_port + offset));
        }
    }

    /// Ports in use.
    pub fn in_use(&self) -> usize {
        self.in_use.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port(host_port: u16, count: u16) -> HostPort {
        HostPort { container: 0, mapping: 0, host_port, count, protocol: Protocol::Tcp }
    }

    fn linux() -> DynamicPorts {
        DynamicPorts::new(OperatingSystem::Linux)
    }

    #[test]
    fn ex_td_11_the_range_wraps_around_past_a_busy_port() {
        let mut ports = linux();
        ports.next = 60_999;
        assert_eq!(ports.assign(Protocol::Tcp, 1, |_| false), Some(60_999));
        let busy = |port| port == 32_768;
        assert_eq!(ports.assign(Protocol::Tcp, 1, busy), Some(32_769));
        assert_eq!(ports.assign(Protocol::Tcp, 1, busy), Some(32_770));
    }

    #[test]
    fn td_23_a_port_that_came_back_waits_for_its_turn() {
        let mut ports = linux();
        let first: Vec<_> = (0..3).filter_map(|_| ports.assign(Protocol::Tcp, 1, |_| false)).collect();
        assert_eq!(first, [32_768, 32_769, 32_770]);
        ports.give_back(port(32_768, 1));
        assert_eq!(ports.assign(Protocol::Tcp, 1, |_| false), Some(32_771), "the next, not the lowest");
        assert_eq!(DynamicPorts::new(OperatingSystem::Windows).assign(Protocol::Udp, 1, |_| false), Some(49_152));
    }

    #[test]
    fn td_22_a_range_is_contiguous_and_does_not_go_round_the_end() {
        let mut ports = linux();
        assert_eq!(ports.assign(Protocol::Tcp, 3, |port| port == 32_770), Some(32_771));
        ports.next = 60_998;
        assert_eq!(ports.assign(Protocol::Tcp, 3, |_| false), Some(32_768), "60998 and 60999 are only two");
        assert_eq!(ports.assign(Protocol::Udp, 3, |_| false), Some(32_771), "UDP has ports of its own");
        assert_eq!(linux().assign(Protocol::Tcp, 2, |port| port % 2 == 0), None, "no two free ones in a row");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn no_port_is_given_twice(steps in prop::collection::vec((1..5_u16, any::<bool>()), 1..60)) {
            let mut ports = linux();
            let mut held: Vec<HostPort> = Vec::new();
            for (count, gives_back) in steps {
                if gives_back && let Some(port) = held.pop() {
                    ports.give_back(port);
                }
                let got = port(ports.assign(Protocol::Tcp, count, |_| false).unwrap(), count);
                for other in &held {
                    let apart = got.host_port >= other.host_port + other.count
                        || other.host_port >= got.host_port + got.count;
                    prop_assert!(apart, "{got:?} and {other:?}");
                }
                held.push(got);
                let total: usize = held.iter().map(|port| usize::from(port.count)).sum();
                prop_assert_eq!(ports.in_use(), total);
            }
        }
    }
}
