//! What is kept of requests incrementally, counted again (design, promise 3).

use slotmap::SecondaryMap;

use super::{Front, Role, Stage};
use crate::ecs::ids::TaskKey;

impl Front {
    /// Recounts what is kept incrementally.
    pub(in crate::control_plane::requests) fn audit(&self) -> Result<(), String> {
        let mut asked = 0;
        let mut waiting = 0;
        let mut present: SecondaryMap<TaskKey, [u32; 5]> = SecondaryMap::new();
        for (_, request) in self.requests.iter() {
            asked += if request.role == Role::Asked { u64::from(request.counts) } else { 0 };
            if matches!(request.stage, Stage::Pauses) {
                continue;
            }
            waiting += usize::from(request.role == Role::Asked);
            let Some(entry) = present.entry(request.task) else {
                return Err("a request is in a task that is gone".to_owned());
            };
            let counts = entry.or_default();
            counts[0] += 1;
            counts[1] += u32::from(request.role == Role::Asked);
            counts[2] += u32::from(matches!(request.role, Role::Probe { .. }));
            counts[3] += u32::from(matches!(request.stage, Stage::Floor(_) | Stage::Computes(_) | Stage::Asks));
            counts[4] += u32::from(matches!(request.stage, Stage::Waits));
        }
        if self.arrived != self.ended + asked {
            return Err(format!("{} requests came, {} ended and {asked} are in flight", self.arrived, self.ended));
        }
        if self.requests.waiting().count() != waiting {
            return Err(format!("{waiting} requests wait for answers, listed are others"));
        }
        for (task, counts) in &present {
            if !self.servers.contains_key(task) {
                return Err(format!("{} requests are in a task that answers none", counts[0]));
            }
        }
        for (task, server) in &self.servers {
            let counted = present.get(task).copied().unwrap_or_default();
            let slots = (server.slots.busy(), server.slots.waiting() as u32);
            let kept = [server.present, server.outstanding, server.probes, slots.0, slots.1];
            if counted != kept {
                return Err(format!("a task is said to have {kept:?} requests and has {counted:?}"));
            }
            let pooled = self.pools.get(&server.pool).is_some_and(|pool| pool.contains(task));
            if pooled != server.open {
                return Err(format!("a task that is open ({}) is sent requests ({pooled})", server.open));
            }
            if server.leaked < 0.0 || kept[3] > self.kind.spec.concurrency.unwrap_or(u32::MAX) {
                return Err(format!("a task works on {} requests", kept[3]));
            }
        }
        let computing: usize = self.stations.values().map(|station| station.cpu.len()).sum();
        let said = self.requests.iter().filter(|(_, request)| matches!(request.stage, Stage::Computes(_))).count();
        if computing != said {
            return Err(format!("{said} requests compute, the CPUs have {computing}"));
        }
        Ok(())
    }
}
