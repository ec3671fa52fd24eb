//! What the pictures of a run need beside its data.

use crate::control_plane::api::PutScalingPolicy;
use crate::control_plane::record::Resource;
use crate::control_plane::state::State;
use crate::ecs::ids::ServiceId;
use crate::ecs::service::Service;
use crate::report::plot::{AlarmPlan, ServicePlan, TrackedSeries};
use crate::scaling::alarm::{MetricKey, Watched};
use crate::scaling::policy::{PolicyDefinition, TrackedMetric};
use crate::scaling::scalable_target::ScaledResource;

/// What scales a service, and which series and alarms show it.
pub(super) fn service_plan(
    id: ServiceId,
    service: &Service,
    policies: &[PutScalingPolicy],
    state: &State,
) -> ServicePlan {
    let resource = state.resource_name(Resource::Service(id));
    let mut metrics: Vec<TrackedSeries> = Vec::new();
    let mut add = |series: Option<(String, String)>, target: Option<f64>| {
        if let Some((resource, metric)) = series
            && !metrics.iter().any(|known| known.resource == resource && known.metric == metric)
        {
            metrics.push(TrackedSeries { resource, metric, target });
        }
    };
    let cluster = state.cluster_name(service.cluster);
    for policy in policies {
        let ScaledResource::Service { cluster: its_cluster, service: its_name } = &policy.resource else {
            continue;
        };
        if its_cluster != cluster || *its_name != service.name {
            continue;
        }
        if let PolicyDefinition::TargetTracking(tracking) = &policy.policy {
            let series = match &tracking.metric {
                TrackedMetric::ServiceCpu { .. } => Some((resource.clone(), "CPUUtilization".to_owned())),
                TrackedMetric::ServiceMemory { .. } => Some((resource.clone(), "MemoryUtilization".to_owned())),
                TrackedMetric::RequestCountPerTarget { target_group, .. } => {
                    Some((format!("target-group/{target_group}"), "RequestCountPerTarget".to_owned()))
                }
                TrackedMetric::Custom { metric, .. } => series_of(metric),
                // An expression is no series of its own.
                TrackedMetric::Math(_) | TrackedMetric::GroupCpu => None,
            };
            add(series, Some(tracking.target));
        }
    }
    let about: Vec<_> = state.alarms.iter().filter(|entry| entry.resource == Some(Resource::Service(id))).collect();
    for entry in &about {
        // Of an expression, which is no series of its own, what goes into it.
        for (key, _) in entry.alarm.definition.watched.metrics() {
            add(series_of(key), None);
        }
    }
    let alarms = about
        .iter()
        .map(|entry| {
            let definition = &entry.alarm.definition;
            AlarmPlan {
                name: definition.name.clone(),
                threshold: definition.threshold,
                high: definition.operator.is_upward(),
                metric: match &definition.watched {
                    Watched::Metric(key, _) => Some(key.name.clone()),
                    Watched::Math(_) => None,
                },
            }
        })
        .collect();
    let first = service.load_balancers.first().map(|(_, entry)| entry);
    let target_groups = first
        .and_then(|entry| entry.alternate.clone().map(|alternate| vec![entry.target_group.clone(), alternate]))
        .unwrap_or_default();
    ServicePlan { resource, metrics, alarms, target_groups }
}

/// Where `series.csv` has a metric, as resource and name.
fn series_of(key: &MetricKey) -> Option<(String, String)> {
    let dimension = |name: &str| key.dimensions.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str());
    let resource = match key.namespace.as_str() {
        "AWS/ECS" => match (dimension("ClusterName")?, dimension("ServiceName")) {
            (cluster, Some(service)) => format!("service/{cluster}/{service}"),
            (cluster, None) => format!("cluster/{cluster}"),
        },
        "AWS/ApplicationELB" | "AWS/NetworkELB" => format!("target-group/{}", dimension("TargetGroup")?),
        "AWS/SQS" => format!("queue/{}", dimension("QueueName")?),
        "AWS/ECS/ManagedScaling" => format!("capacity-provider/{}", dimension("CapacityProviderName")?),
        _ => return None,
    };
    Some((resource, key.name.clone()))
}
