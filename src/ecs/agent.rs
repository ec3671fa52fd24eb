//! The agent of one host: its settings and its resource book, in which tasks queue first in, first out (AGENT-2…6).
//!
//! The control plane gives a stopping task's share back at once, the host only when the task has stopped (AGENT-5), so
//! a task can be placed on a host that has no room for it yet. It then waits PENDING in this queue.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::ecs::ids::TaskKey;
use crate::ecs::image::PullBehaviour;
use crate::ecs::image_store::ImageCleanup;
use crate::ecs::task_definition::Requirements;
use crate::engine::time::SimDuration;
use crate::units::{CpuUnits, MiB};

/// How the agents of a group's hosts are set up: their `ECS_…` variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// `ECS_IMAGE_PULL_BEHAVIOR` (IMG-1).
    pub pull_behaviour: PullBehaviour,
    /// `ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT` (IMG-4).
    pub pull_dependents_upfront: bool,
    /// `ECS_CONTAINER_STOP_TIMEOUT` (TD-15).
    pub stop_timeout: SimDuration,
    /// How long containers and images stay (AGENT-8).
    pub cleanup: ImageCleanup,
}

impl Default for AgentConfig {
    /// The agent's defaults; on Fargate, what it does.
    fn default() -> Self {
        Self {
            pull_behaviour: PullBehaviour::Default,
            pull_dependents_upfront: false,
            stop_timeout: SimDuration::from_secs(30),
            cleanup: ImageCleanup::default(),
        }
    }
}

/// A version of the agent: dotted numbers, compared part by part (CQL-9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentVersion(Vec<u64>);

impl AgentVersion {
    /// A version as somebody writes it; `None` when a part is no number.
    pub fn strict(text: &str) -> Option<Self> {
        text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>().map(Self::trimmed)
    }

    /// As an agent reports it: what is no number counts as 0.
    pub fn lenient(text: &str) -> Self {
        Self::trimmed(text.split('.').map(|part| part.parse().unwrap_or(0)).collect())
    }

    fn trimmed(mut parts: Vec<u64>) -> Self {
        while parts.last() == Some(&0) {
            parts.pop();
        }
        Self(parts)
    }
}

/// The first agent with a resource book (AGENT-6).
const FIRST_WITH_BOOK: &str = "1.73.0";

/// What a host's agent holds and who waits for it.
#[derive(Clone, Debug)]
pub struct ResourceBook {
    /// The older way: no resources are counted, see [`LegacyQueue`].
    legacy: Option<Box<LegacyQueue>>,
    total_gpus: u32,
    free_cpu: CpuUnits,
    free_memory: MiB,
    free_gpus: u32,
    tcp_ports: Vec<u16>,
    udp_ports: Vec<u16>,
    waiting: VecDeque<(TaskKey, Arc<Requirements>)>,
}

/// AGENT-6: a new task waits while any task that came earlier is still stopping.
#[derive(Clone, Debug, Default)]
struct LegacyQueue {
    /// Tasks that have started and were told to stop.
    stopping: BTreeSet<TaskKey>,
    /// Those that wait, and for whom.
    waiting: Vec<(TaskKey, BTreeSet<TaskKey>)>,
}

impl ResourceBook {
    /// A host with these resources and nothing on it, whose agent is of this version; `legacy` asks for the older queue
    /// whatever the version (`agent_queue`).
    pub fn of_agent(version: &str, legacy: bool, (cpu, memory, gpus): (CpuUnits, MiB, u32)) -> Self {
        let old = AgentVersion::lenient(version) < AgentVersion::lenient(FIRST_WITH_BOOK);
        Self { legacy: (legacy || old).then(Box::default), ..Self::new(cpu, memory, gpus) }
    }

    /// A host with these resources and nothing on it.
    pub fn new(cpu: CpuUnits, memory: MiB, gpus: u32) -> Self {
        Self {
            legacy: None,
            total_gpus: gpus,
            free_cpu: cpu,
            free_memory: memory,
            free_gpus: gpus,
            tcp_ports: Vec::new(),
            udp_ports: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// A task arrives from the control plane; true when it may start now, false when it waits (AGENT-3).
    pub fn arrive(&mut self, task: TaskKey, needs: &Arc<Requirements>) -> bool {
        if let Some(legacy) = &mut self.legacy {
            if !legacy.stopping.is_empty() {
                legacy.waiting.push((task, legacy.stopping.clone()));
            }
            return legacy.stopping.is_empty();
        }
        if self.waiting.is_empty() && self.fits(needs) {
            self.take(needs);
            true
        } else {
            self.waiting.push_back((task, Arc::clone(needs)));
            false
        }
    }

    /// A task that still waits is told to stop; false when it is not waiting (AGENT-4).
    ///
    /// Removing the head can let others in: call [`ResourceBook::admit`] afterwards.
    pub fn withdraw(&mut self, task: TaskKey) -> bool {
        if let Some(legacy) = &mut self.legacy {
            let before = legacy.waiting.len();
            legacy.waiting.retain(|(waiting, _)| *waiting != task);
            return legacy.waiting.len() < before;
        }
        match self.waiting.iter().position(|(waiting, _)| *waiting == task) {
            Some(place) => {
                self.waiting.remove(place);
                true
            }
            None => false,
        }
    }

    /// A task that had started is told to stop: those that come after it wait for its end, where agents are old (AGENT-6).
    pub fn note_stopping(&mut self, task: TaskKey) {
        if let Some(legacy) = &mut self.legacy {
            legacy.stopping.insert(task);
        }
    }

    /// A task that had started has stopped: its share is free again.
    pub fn give_back(&mut self, task: TaskKey, needs: &Requirements) {
        if let Some(legacy) = &mut self.legacy {
            legacy.stopping.remove(&task);
            for (_, awaited) in &mut legacy.waiting {
                awaited.remove(&task);
            }
            return;
        }
        self.free_cpu += needs.cpu;
        self.free_memory += needs.memory;
        self.free_gpus += self.gpus_of(needs);
        self.tcp_ports.retain(|port| !needs.tcp_ports.contains(port));
        self.udp_ports.retain(|port| !needs.udp_ports.contains(port));
    }

    /// The next waiting task that may start, head first; the head blocks all behind it (AGENT-3).
    pub fn admit(&mut self) -> Option<TaskKey> {
        if let Some(legacy) = &mut self.legacy {
            let free = legacy.waiting.iter().position(|(_, awaited)| awaited.is_empty())?;
            return Some(legacy.waiting.remove(free).0);
        }
        let fits = self.waiting.front().is_some_and(|(_, needs)| self.fits(needs));
        if !fits {
            return None;
        }
        let (task, needs) = self.waiting.pop_front()?;
        self.take(&needs);
        Some(task)
    }

    /// GPUs that a task holds: with `ALL`, those of the host (TD-24).
    fn gpus_of(&self, needs: &Requirements) -> u32 {
        if needs.all_gpus { self.total_gpus } else { needs.gpus }
    }

    fn fits(&self, needs: &Requirements) -> bool {
        needs.cpu <= self.free_cpu
            && needs.memory <= self.free_memory
            && self.gpus_of(needs) <= self.free_gpus
            && !needs.tcp_ports.iter().any(|port| self.tcp_ports.contains(port))
            && !needs.udp_ports.iter().any(|port| self.udp_ports.contains(port))
    }

    fn take(&mut self, needs: &Requirements) {
        self.free_cpu -= needs.cpu;
        self.free_memory -= needs.memory;
        self.free_gpus -= self.gpus_of(needs);
        self.tcp_ports.extend(&needs.tcp_ports);
        self.udp_ports.extend(&needs.udp_ports);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    fn needs(cpu: u64) -> Arc<Requirements> {
        Arc::new(Requirements { cpu: CpuUnits(cpu), ..Requirements::default() })
    }

    fn keys<const N: usize>() -> [TaskKey; N] {
        let mut tasks: SlotMap<TaskKey, ()> = SlotMap::with_key();
        std::array::from_fn(|_| tasks.insert(()))
    }

    #[test]
    fn ex_agent_1_a_placed_task_waits_for_a_stopping_one() {
        let [a, b] = keys();
        let mut book = ResourceBook::new(CpuUnits(1024), MiB(0), 0);
        assert!(book.arrive(a, &needs(1024)));
        assert!(!book.arrive(b, &needs(1024)));
        assert_eq!(book.admit(), None);
        book.give_back(a, &needs(1024));
        assert_eq!(book.admit(), Some(b));
    }

    #[test]
    fn ex_agent_2_a_small_task_waits_behind_a_large_one() {
        let [a, c, d] = keys();
        let mut book = ResourceBook::new(CpuUnits(1024), MiB(0), 0);
        assert!(book.arrive(a, &needs(512)));
        assert!(!book.arrive(c, &needs(1024)));
        assert!(!book.arrive(d, &needs(256)), "AGENT-3: the head blocks");
        book.give_back(a, &needs(512));
        assert_eq!((book.admit(), book.admit()), (Some(c), None));
        book.give_back(c, &needs(1024));
        assert_eq!(book.admit(), Some(d));
    }

    #[test]
    fn agent_4_a_withdrawn_head_lets_the_next_in() {
        let [a, c, d] = keys();
        let mut book = ResourceBook::new(CpuUnits(1024), MiB(0), 0);
        assert!(book.arrive(a, &needs(512)));
        assert!(!book.arrive(c, &needs(1024)) && !book.arrive(d, &needs(256)));
        assert!(book.withdraw(c));
        assert_eq!(book.admit(), Some(d));
        assert!(!book.withdraw(a), "a task that has started does not wait");
    }

    #[test]
    fn agent_6_older_agents_let_new_tasks_wait_for_any_stopping_one() {
        let [a, b, c, d] = keys();
        let mut book = ResourceBook::of_agent("1.72.0", false, (CpuUnits(1024), MiB(0), 0));
        assert!(book.arrive(a, &needs(100)) && book.arrive(b, &needs(1000)), "nothing is counted");
        book.note_stopping(a);
        assert!(!book.arrive(c, &needs(1)), "however small it is");
        book.note_stopping(b);
        assert!(!book.arrive(d, &needs(1)));
        book.give_back(a, &needs(100));
        assert_eq!((book.admit(), book.admit()), (Some(c), None), "b was told to stop after c had come");
        book.give_back(b, &needs(1000));
        assert_eq!(book.admit(), Some(d));
        let mut new = ResourceBook::of_agent("1.73.0", false, (CpuUnits(1024), MiB(0), 0));
        assert!(new.arrive(a, &needs(100)));
        new.note_stopping(a);
        assert!(new.arrive(c, &needs(1)), "there is room");
    }

    #[test]
    fn td_24_all_gpus_are_those_of_the_host() {
        let [a, b] = keys();
        let mut book = ResourceBook::new(CpuUnits(1024), MiB(0), 4);
        let all = Arc::new(Requirements { gpus: 1, all_gpus: true, ..Requirements::default() });
        assert!(book.arrive(a, &all));
        assert!(!book.arrive(b, &Arc::new(Requirements { gpus: 1, ..Requirements::default() })));
        book.give_back(a, &all);
        assert_eq!(book.admit(), Some(b));
    }
}
