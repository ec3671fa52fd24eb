//! Records to summary, tables and pictures.

pub mod compare;
pub mod format;
pub mod output;
pub mod plot;
pub mod summary;
pub mod table;

#[cfg(test)]
pub(crate) mod tests {
    use crate::control_plane::estate::{Behaviour, Delays, Estate, Prices};
    use crate::engine::time::SimDuration;
    use crate::workload::distribution::Distribution;

    /// An estate with nothing in it, an hour long.
    pub(crate) fn estate() -> Estate {
        let constant = || Distribution::Constant(1.0);
        Estate {
            name: "empty".into(),
            description: String::new(),
            start: "2026-01-05T00:00:00Z".parse().expect("RFC 3339"),
            duration: SimDuration::HOUR,
            warmup: SimDuration::ZERO,
            seed: 7,
            replications: 1,
            region: "us-east-1".into(),
            availability_zones: ["a", "b", "c"].map(|zone| format!("us-east-1{zone}")).to_vec(),
            clusters: Vec::new(),
            groups: Vec::new(),
            capacity_providers: Vec::new(),
            task_definitions: Vec::new(),
            load_balancers: Vec::new(),
            target_groups: Vec::new(),
            services: Vec::new(),
            scalable_targets: Vec::new(),
            policies: Vec::new(),
            alarms: Vec::new(),
            metrics: Vec::new(),
            workloads: Vec::new(),
            actions: Vec::new(),
            delays: Delays {
                asg_reaction: constant(),
                instance_launch: constant(),
                instance_in_service: constant(),
                agent_register: constant(),
                instance_terminate: constant(),
                image_pull: None,
                pull_throughput: constant(),
                pull_base: constant(),
                task_start: constant(),
                eni_attach: constant(),
                fargate_provision: constant(),
                fargate_pull_throughput_small: constant(),
                fargate_pull_throughput_large: constant(),
                fargate_start: constant(),
                healthy: constant(),
                task_stop: constant(),
            },
            behaviour: Behaviour::default(),
            prices: Prices::default(),
            slo: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
