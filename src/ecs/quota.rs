//! Service quotas as they were over the years (LIM-1).

/// The quotas of one date that calls are checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// From this day on, `YYYY-MM`.
    pub since: &'static str,
    /// Clusters per Region and account.
    pub clusters: usize,
    /// Services per cluster.
    pub services_per_cluster: usize,
    /// Tasks per service: the largest desired count.
    pub tasks_per_service: u32,
    /// Target groups per service.
    pub target_groups_per_service: usize,
    /// Container instances per cluster.
    pub instances_per_cluster: usize,
    /// Tasks on Fargate and on Fargate Spot per account, where they are counted; later their vCPUs are (FG-8).
    pub fargate_tasks: Option<[u32; 2]>,
    /// Launches per service and minute on EC2 and on Fargate, where a quota is known (SVC-14).
    pub launches_per_minute: Option<[u32; 2]>,
    /// Size of a task definition as JSON, in KiB.
    pub definition_kib: usize,
    /// Capacity providers per cluster.
    pub providers_per_cluster: usize,
}

/// The columns of the specification's table (section 12), oldest first.
pub const QUOTA_SETS: [Quotas; 7] = [
    column("2018-01", [1000, 500, 1000, 1000], 1, 32).with_fargate_tasks(20, 20),
    column("2019-02", [2000, 1000, 1000, 2000], 1, 32).with_fargate_tasks(50, 50),
    column("2020-06", [10_000, 1000, 1000, 2000], 5, 32).with_fargate_tasks(100, 250),
    column("2021-01", [10_000, 2000, 2000, 2000], 5, 64).with_fargate_tasks(500, 500),
    column("2021-06", [10_000, 5000, 5000, 2000], 5, 64).with_fargate_tasks(1000, 1000),
    column("2022-04", [10_000, 5000, 5000, 5000], 5, 64).with_launches(250, 500),
    Quotas { providers_per_cluster: 20, ..column("2026", [10_000, 5000, 5000, 5000], 5, 64).with_launches(500, 500) },
];

/// A column with its clusters, services per cluster, tasks per service and container instances per cluster.
const fn column(
    since: &'static str,
    [clusters, services, tasks, instances]: [u32; 4],
    target_groups: usize,
    definition_kib: usize,
) -> Quotas {
    Quotas {
        since,
        clusters: clusters as usize,
        services_per_cluster: services as usize,
        tasks_per_service: tasks,
        target_groups_per_service: target_groups,
        instances_per_cluster: instances as usize,
        fargate_tasks: None,
        launches_per_minute: None,
        definition_kib,
        providers_per_cluster: 10,
    }
}

impl Quotas {
    const fn with_fargate_tasks(self, on_demand: u32, spot: u32) -> Self {
        Self { fargate_tasks: Some([on_demand, spot]), ..self }
    }

    const fn with_launches(self, ec2: u32, fargate: u32) -> Self {
        Self { launches_per_minute: Some([ec2, fargate]), ..self }
    }

    /// Tags of a resource, ever since.
    pub const TAGS: usize = 50;
    /// Revisions of a family, ever since (TD-4).
    pub const REVISIONS: u32 = 1_000_000;

    /// Tasks of a service with service discovery, at most (NET-7).
    pub const TASKS_WITH_DISCOVERY: u32 = 1000;

    /// The column in force on a day, `YYYY-MM-DD`: the newest that is not younger, else the oldest.
    pub fn on(day: &str) -> usize {
        QUOTA_SETS.iter().rposition(|quotas| quotas.since <= day).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lim_1_the_column_of_a_day_is_the_newest_before_it() {
        let since = |day| QUOTA_SETS[Quotas::on(day)].since;
        assert_eq!(since("2017-05-01"), "2018-01");
        assert_eq!(since("2020-06-01"), "2020-06");
        assert_eq!(since("2021-05-31"), "2021-01");
        assert_eq!(since("2025-12-31"), "2022-04");
        assert_eq!(since("2026-01-05"), "2026");
    }
}
