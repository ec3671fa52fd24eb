//! Which capacity providers a cluster has, and when one can be taken away or deleted (CP-11, CP-12).

use crate::arn;
use crate::control_plane::ControlPlane;
use crate::control_plane::api::CreateCluster;
use crate::control_plane::event::Event;
use crate::ecs::capacity_provider::Provider;
use crate::ecs::ids::{ClusterId, ProviderId};
use crate::ecs::service::{ResolvedLaunch, Service, ServiceStatus};
use crate::ecs::task::LaunchTarget;
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::refused::Refused;

impl ControlPlane<'_> {
    /// PutClusterCapacityProviders: what the cluster has from now on, and its default strategy; tasks and services that
    /// are there keep what they chose (CP-11).
    pub(super) fn put_cluster_providers(
        &mut self,
        call: &CreateCluster,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let cluster = self.find_cluster(&call.name)?;
        let providers = self.check_providers(Some(cluster), call)?;
        let present = self.state.clusters[cluster.index()].providers.clone();
        for gone in present.iter().filter(|provider| !providers.contains(provider)) {
            // CP-12: only what no task and no service of the cluster uses.
            if self.uses(*gone, Some(cluster)) {
                return Err(Refused {
                    code: "ResourceInUseException",
                    message: format!(
                        "The specified capacity provider is in use and cannot be removed: {}.",
                        self.state.provider_name(*gone)
                    ),
                    rule: "CP-12",
                });
            }
        }
        for gone in present.iter().filter(|provider| !providers.contains(provider)) {
            if let Provider::Group(id) = *gone {
                self.stop_managed_scaling(id, schedule.now());
            }
        }
        self.associate_providers(cluster, call)?;
        for new in providers.iter().filter(|provider| !present.contains(provider)) {
            if let Provider::Group(id) = *new {
                self.start_managed_scaling(id, schedule);
            }
        }
        Ok(())
    }

    /// DeleteCapacityProvider (CP-12).
    pub(super) fn delete_capacity_provider(&mut self, name: &str, now: SimTime) -> Result<(), Refused> {
        let refuse = |code, message: String| Err(Refused { code, message, rule: "CP-12" });
        let name = arn::name(name);
        let id = match self.find_provider(name) {
            Some(Provider::Group(id)) => id,
            // CP-1: those with a reserved name are always there.
            Some(_) => {
                let message = format!("The capacity provider {name} is reserved and cannot be deleted.");
                return refuse("InvalidParameterException", message);
            }
            None => {
                let message = format!("The specified capacity provider was not found: {name}.");
                return refuse("InvalidParameterException", message);
            }
        };
        let provider = Provider::Group(id);
        if let Some(cluster) = self.state.clusters.iter().find(|cluster| cluster.providers.contains(&provider)) {
            return refuse(
                "ClientException",
                format!(
                    "The capacity provider {name} cannot be deleted because it is associated with cluster: {}. Remove \
                     the capacity provider from the cluster and try again.",
                    cluster.name
                ),
            );
        }
        if self.uses(provider, None) {
            let message = format!("The capacity provider {name} is in use by a service and cannot be deleted.");
            return refuse("ClientException", message);
        }
        self.stop_managed_scaling(id, now);
        let entry = &mut self.state.providers[id.index()];
        entry.deleted = Some(now);
        let group = entry.group;
        self.groups[group.index()].provider = None;
        Ok(())
    }

    /// Whether a task is bound to a provider, or a service would bind its next one to it; in one cluster, or in any.
    fn uses(&self, provider: Provider, cluster: Option<ClusterId>) -> bool {
        let here = |of: ClusterId| cluster.is_none_or(|cluster| cluster == of);
        let chooses = |service: &Service| match &service.launch {
            ResolvedLaunch::Strategy(items) => items.iter().any(|item| item.provider == provider),
            ResolvedLaunch::Type(_) => false,
        };
        let alive = |service: &&Service| service.status == ServiceStatus::Active && here(service.cluster);
        self.state.services.iter().filter(alive).any(chooses)
            || self
                .state
                .tasks
                .values()
                .any(|task| here(task.cluster) && task.launch == LaunchTarget::Provider(provider))
    }

    /// The alarms of managed scaling go, and its policy with them.
    fn stop_managed_scaling(&mut self, id: ProviderId, now: SimTime) {
        if let Some(runtime) = self.managed.get_mut(id.index()).and_then(Option::take) {
            for alarm in runtime.alarms {
                self.state.alarms[alarm.index()].deleted.get_or_insert(now);
            }
        }
    }
}
