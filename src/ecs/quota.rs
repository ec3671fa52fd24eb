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
}

const fn quotas(since: &'static str, clusters: usize, services: usize, tasks: u32, groups: usize) -> Quotas {
    Quotas {
        since,
        clusters,
        services_per_cluster: services,
        tasks_per_service: tasks,
        target_groups_per_service: groups,
    }
}

/// The columns of the specification's table (section 12), oldest first.
pub const QUOTA_SETS: [Quotas; 7] = [
    quotas("2018-01", 1000, 500, 1000, 1),
    quotas("2019-02", 2000, 1000, 1000, 1),
    quotas("2020-06", 10_000, 1000, 1000, 5),
    quotas("2021-01", 10_000, 2000, 2000, 5),
    quotas("2021-06", 10_000, 5000, 5000, 5),
    quotas("2022-04", 10_000, 5000, 5000, 5),
    quotas("2026", 10_000, 5000, 5000, 5),
];

impl Quotas {
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
