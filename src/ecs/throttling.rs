//! Token buckets of the ECS API, one set per account and Region (LIM-3).

use crate::ecs::service::TokenBucket;

/// A bucket that calls draw on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiBucket {
    /// Clusters and their settings.
    ClusterModify,
    /// Capacity providers.
    CapacityProviderModify,
    /// Task definitions.
    TaskDefinitionModify,
    /// RunTask, StartTask, StopTask and the state of container instances.
    ClusterResourceModify,
    /// Account settings.
    SettingModify,
    /// Services and their deployments.
    ServiceModify,
    /// Task scale-in protection.
    TaskProtection,
    /// Deleted task definitions.
    TaskDefinitionDelete,
    /// Clusters, read.
    ClusterRead,
    /// Task definitions, read.
    TaskDefinitionRead,
    /// Tasks and container instances, read.
    ClusterResourceRead,
    /// Services, read.
    ServiceRead,
}

impl ApiBucket {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ClusterModify,
        Self::CapacityProviderModify,
        Self::TaskDefinitionModify,
        Self::ClusterResourceModify,
        Self::SettingModify,
        Self::ServiceModify,
        Self::TaskProtection,
        Self::TaskDefinitionDelete,
        Self::ClusterRead,
        Self::TaskDefinitionRead,
        Self::ClusterResourceRead,
        Self::ServiceRead,
    ];

    /// Its name in a scenario.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterModify => "clusterModify",
            Self::CapacityProviderModify => "capacityProviderModify",
            Self::TaskDefinitionModify => "taskDefinitionModify",
            Self::ClusterResourceModify => "clusterResourceModify",
            Self::SettingModify => "settingModify",
            Self::ServiceModify => "serviceModify",
            Self::TaskProtection => "taskProtection",
            Self::TaskDefinitionDelete => "taskDefinitionDelete",
            Self::ClusterRead => "clusterRead",
            Self::TaskDefinitionRead => "taskDefinitionRead",
            Self::ClusterResourceRead => "clusterResourceRead",
            Self::ServiceRead => "serviceRead",
        }
    }

    /// The bucket of a call, for example `ecs:RunTask`; `None` for calls of other services.
    pub fn of(call: &str) -> Option<Self> {
        Some(match call.strip_prefix("ecs:")? {
            "CreateCluster"
            | "DeleteCluster"
            | "UpdateCluster"
            | "UpdateClusterSettings"
            | "PutClusterCapacityProviders" => Self::ClusterModify,
            "CreateCapacityProvider" | "UpdateCapacityProvider" | "DeleteCapacityProvider" => {
                Self::CapacityProviderModify
            }
            "RegisterTaskDefinition" | "DeregisterTaskDefinition" => Self::TaskDefinitionModify,
            "RunTask"
            | "StartTask"
            | "StopTask"
            | "UpdateContainerInstancesState"
            | "RegisterContainerInstance"
            | "DeregisterContainerInstance"
            | "UpdateContainerAgent" => Self::ClusterResourceModify,
            "PutAccountSetting" | "PutAccountSettingDefault" | "DeleteAccountSetting" => Self::SettingModify,
            "CreateService"
            | "UpdateService"
            | "DeleteService"
            | "StopServiceDeployment"
            | "ContinueServiceDeployment"
            | "CreateTaskSet"
            | "UpdateTaskSet"
            | "UpdateServicePrimaryTaskSet"
            | "DeleteTaskSet" => Self::ServiceModify,
            "UpdateTaskProtection" => Self::TaskProtection,
            "DeleteTaskDefinitions" => Self::TaskDefinitionDelete,
            "DescribeClusters" | "ListClusters" => Self::ClusterRead,
            "DescribeTaskDefinition" | "ListTaskDefinitions" => Self::TaskDefinitionRead,
            "DescribeTasks" | "ListTasks" | "DescribeContainerInstances" | "ListContainerInstances" => {
                Self::ClusterResourceRead
            }
            "DescribeServices" | "ListServices" => Self::ServiceRead,
            _ => return None,
        })
    }

    /// Burst, and tokens a second.
    pub const fn limits(self) -> (u32, u32) {
        match self {
            Self::ClusterModify | Self::TaskDefinitionModify => (20, 1),
            Self::CapacityProviderModify | Self::SettingModify => (10, 1),
            Self::ClusterResourceModify => (100, 40),
            Self::ServiceModify => (50, 5),
            Self::TaskProtection => (200, 80),
            Self::TaskDefinitionDelete => (5, 1),
            Self::ClusterRead | Self::TaskDefinitionRead => (50, 20),
            Self::ClusterResourceRead | Self::ServiceRead => (100, 20),
        }
    }

    /// A full bucket with `permille` thousandths of its limits left.
    pub fn full(self, permille: u32) -> TokenBucket {
        let (burst, rate) = self.limits();
        // Sixty tokens a minute for each a second; thousandths of it are whole ones but for the slowest.
        TokenBucket::new(rate * 60 * permille / 1000, burst * permille / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::SimTime;

    #[test]
    fn ex_lim_1_an_empty_bucket_is_full_after_two_and_a_half_seconds() {
        let mut bucket = TokenBucket::new(20 * 60, 50);
        assert_eq!(bucket.take(50, SimTime::ZERO), 50);
        assert_eq!(bucket.take(50, SimTime::from_nanos(2_499_999_999)), 49);
        bucket.put_back(49);
        assert_eq!(bucket.take(60, SimTime::from_nanos(2_500_000_000)), 50, "and no fuller");
    }

    #[test]
    fn lim_3_each_call_draws_on_its_bucket() {
        assert_eq!(ApiBucket::of("ecs:StopTask"), Some(ApiBucket::ClusterResourceModify));
        assert_eq!(ApiBucket::of("ecs:UpdateService"), Some(ApiBucket::ServiceModify));
        for call in ["CreateTaskSet", "UpdateServicePrimaryTaskSet", "DeleteTaskSet", "ContinueServiceDeployment"] {
            assert_eq!(ApiBucket::of(&format!("ecs:{call}")), Some(ApiBucket::ServiceModify), "{call}");
        }
        assert_eq!(ApiBucket::of("autoscaling:SetDesiredCapacity"), None);
        assert_eq!(ApiBucket::of("ecs:DescribeServices").map(ApiBucket::limits), Some((100, 20)));
        let mut tenth = ApiBucket::ClusterResourceModify.full(100);
        assert_eq!(tenth.take(100, SimTime::ZERO), 10);
        assert_eq!(tenth.take(100, SimTime::from_secs(1)), 4);
        assert_eq!(ApiBucket::ServiceModify.full(0).take(1, SimTime::from_secs(3600)), 0);
    }
}
