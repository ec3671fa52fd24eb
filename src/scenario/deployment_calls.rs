//! Calls about deployments: task sets, CodeDeploy, and what becomes of a deployment under way (DEP-8, DEP-22, DEP-26, DEP-27).

use super::convert::ecs::{
    check_public_ip, has_network, has_public_ip, launch_choice, network_zones, service_load_balancer,
};
use super::convert::{Context, cluster_name};
use super::decode::{At, Decode, Opaque, Whole, keyword, object};
use super::diagnostic::{Problem, Reading, code};
use super::input::{ContinueWord, LaunchTypeWord, NetworkInput, ServiceLoadBalancerInput, StrategyItemInput};
use super::source::Place;
use super::tree::Node;
use crate::arn;
use crate::control_plane::api::{ApiCall, CreateCodeDeployment, CreateTaskSet};
use crate::ecs::task_set::Scale;
use crate::ecs::traffic_shift::ShiftPlan;
use crate::engine::time::SimDuration;

/// Cluster and service of a service deployment, by its ARN or by name.
fn service_of(
    cluster: Option<&At<String>>,
    service: Option<&At<String>>,
    deployment: Option<&str>,
    (call, place): (&str, Place),
    reading: &mut Reading,
) -> Option<(String, String)> {
    // arn:aws:ecs:<region>:<account>:service-deployment/<cluster>/<service>/<id>
    let mut parts = deployment.unwrap_or_default().split('/').skip(1);
    let (in_arn, in_arn_service) = (parts.next(), parts.next());
    let Some(service) = service.map(|name| arn::name(name)).or(in_arn_service) else {
        let message = format!("{call} needs `service`, or a `serviceDeploymentArn` that names it");
        reading.report(Problem::new(code::MISSING_KEY, place, message).label("`service` is missing"));
        return None;
    };
    let cluster = in_arn.map_or_else(|| cluster_name(cluster), str::to_owned);
    Some((cluster, service.to_owned()))
}

/// `ecs:StopServiceDeployment`.
pub(super) fn stop_deployment(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = StopDeploymentInput::decode(node, reading)?;
    let call = ("StopServiceDeployment", input.place);
    let (cluster, service) =
        service_of(input.cluster.as_ref(), input.service.as_ref(), input.deployment.as_deref(), call, reading)?;
    let rollback = input.stop_type != Some(StopTypeWord::Abort);
    Some(ApiCall::StopServiceDeployment { cluster, service, rollback })
}

/// `ecs:ContinueServiceDeployment`.
pub(super) fn continue_deployment(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = ContinueDeploymentInput::decode(node, reading)?;
    let call = ("ContinueServiceDeployment", input.place);
    let (cluster, service) =
        service_of(input.cluster.as_ref(), input.service.as_ref(), input.deployment.as_deref(), call, reading)?;
    let rollback = input.action == Some(ContinueWord::Rollback);
    Some(ApiCall::ContinueServiceDeployment { cluster, service, rollback })
}

/// `codedeploy:CreateDeployment`.
pub(super) fn create_code_deployment(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = CodeDeploymentInput::decode(node, reading)?;
    let ends_after = input.termination_wait.map_or(60, Whole::get);
    let name = input.configuration.as_ref().map_or("CodeDeployDefault.ECSAllAtOnce", |name| name.value.as_str());
    let Some(plan) = ShiftPlan::code_deploy(name, SimDuration::from_mins(u64::from(ends_after))) else {
        let place = input.configuration.as_ref().map_or(input.place, |name| name.place);
        let message = format!("No deployment configuration found for name: {name}");
        let problem = Problem::aws("DeploymentConfigDoesNotExistException", "DEP-26", place, message);
        reading.report(problem.nearest(name, ShiftPlan::CODE_DEPLOY_CONFIGURATIONS));
        return None;
    };
    Some(ApiCall::CreateCodeDeployment(Box::new(CreateCodeDeployment {
        cluster: cluster_name(input.cluster.as_ref()),
        service: arn::name(&input.service).to_owned(),
        task_definition: arn::name(&input.task_definition).to_owned(),
        plan,
    })))
}

/// `ecs:CreateTaskSet`.
pub(super) fn create_task_set(node: &Node, context: &Context, reading: &mut Reading) -> Option<ApiCall> {
    let input = CreateTaskSetInput::decode(node, reading)?;
    let launch = launch_choice(input.launch_type.as_ref(), input.strategy.as_ref(), reading);
    let availability_zones = network_zones(input.network.as_ref(), context, reading);
    check_public_ip(input.network.as_ref(), launch.as_ref(), reading);
    // The API's default is 0 %: a task set without tasks.
    let scale = input.scale.as_ref().map_or(Some(Scale::default()), |scale| scale.percent(reading));
    Some(ApiCall::CreateTaskSet(Box::new(CreateTaskSet {
        cluster: cluster_name(input.cluster.as_ref()),
        service: arn::name(&input.service).to_owned(),
        external_id: input.external_id.clone(),
        task_definition: arn::name(&input.task_definition).to_owned(),
        launch: launch?,
        load_balancers: input.load_balancers.iter().map(service_load_balancer).collect(),
        availability_zones: availability_zones?,
        has_network: has_network(input.network.as_ref()),
        public_ip: has_public_ip(input.network.as_ref()),
        scale: scale?,
    })))
}

/// `ecs:UpdateTaskSet`.
pub(super) fn update_task_set(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = UpdateTaskSetInput::decode(node, reading)?;
    Some(ApiCall::UpdateTaskSet {
        cluster: cluster_name(input.cluster.as_ref()),
        service: arn::name(&input.service).to_owned(),
        task_set: arn::name(&input.task_set).to_owned(),
        scale: input.scale.percent(reading)?,
    })
}

/// `ecs:UpdateServicePrimaryTaskSet`.
pub(super) fn update_primary_task_set(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = PrimaryTaskSetInput::decode(node, reading)?;
    Some(ApiCall::UpdateServicePrimaryTaskSet {
        cluster: cluster_name(input.cluster.as_ref()),
        service: arn::name(&input.service).to_owned(),
        task_set: arn::name(&input.task_set).to_owned(),
    })
}

/// `ecs:DeleteTaskSet`.
pub(super) fn delete_task_set(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = DeleteTaskSetInput::decode(node, reading)?;
    Some(ApiCall::DeleteTaskSet {
        cluster: cluster_name(input.cluster.as_ref()),
        service: arn::name(&input.service).to_owned(),
        task_set: arn::name(&input.task_set).to_owned(),
        force: input.force.unwrap_or(false),
    })
}

object! {
    /// Input of `ecs:StopServiceDeployment`; the service may be named instead of the deployment.
    struct StopDeploymentInput("a StopServiceDeployment call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Service whose deployment under way is meant.
        service: Option<At<String>> = "service",
        /// The deployment, of which the names of cluster and service count.
        deployment: Option<String> = "serviceDeploymentArn",
        /// ROLLBACK or ABORT. Default ROLLBACK.
        stop_type: Option<StopTypeWord> = "stopType",
    }
}

keyword! {
    /// How a deployment is stopped.
    enum StopTypeWord {
        /// Back to the last completed one.
        Rollback = "ROLLBACK",
        /// As it stands.
        Abort = "ABORT",
    }
}

object! {
    /// Input of `ecs:ContinueServiceDeployment`; the service may be named instead of the deployment, and every hook that
    /// pauses it is meant.
    struct ContinueDeploymentInput("a ContinueServiceDeployment call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Service whose deployment under way is meant.
        service: Option<At<String>> = "service",
        /// The deployment, of which the names of cluster and service count.
        deployment: Option<String> = "serviceDeploymentArn",
        /// Opaque.
        hook: Opaque = "hookId",
        /// CONTINUE or ROLLBACK. Default CONTINUE.
        action: Option<ContinueWord> = "action",
    }
}

object! {
    /// Input of `codedeploy:CreateDeployment`, with what its AppSpec and deployment group say of the service.
    struct CodeDeploymentInput("a CreateDeployment call") {
        /// Opaque.
        application: Opaque = "applicationName",
        /// Opaque.
        group: Opaque = "deploymentGroupName",
        /// How the traffic moves. Default CodeDeployDefault.ECSAllAtOnce.
        configuration: Option<At<String>> = "deploymentConfigName",
        /// Cluster of the service. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// The service.
        service: At<String> = "service",
        /// The revision of the AppSpec.
        task_definition: At<String> = "taskDefinition",
        /// Minutes from the end of the shift to that of the old tasks. Default 60.
        termination_wait: Option<Whole<0, 2880>> = "terminationWaitTimeInMinutes",
    }
}

object! {
    /// `scale` of a task set.
    struct ScaleInput("scale") {
        /// Percent of the desired count.
        value: At<f64> = "value",
        /// Opaque.
        unit: Opaque = "unit",
    }
}

impl ScaleInput {
    fn percent(&self, reading: &mut Reading) -> Option<Scale> {
        let refuse = |refused| reading.report(Problem::refused(refused, self.value.place));
        Scale::percent(self.value.value).map_err(refuse).ok()
    }
}

object! {
    /// Input of `ecs create-task-set`.
    struct CreateTaskSetInput("a CreateTaskSet call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Service.
        service: At<String> = "service",
        /// What later calls name it by.
        external_id: Option<String> = "externalId",
        /// Family, or family:revision.
        task_definition: At<String> = "taskDefinition",
        /// EC2 or FARGATE.
        launch_type: Option<At<LaunchTypeWord>> = "launchType",
        /// Capacity provider strategy.
        strategy: Option<At<Vec<StrategyItemInput>>> = "capacityProviderStrategy",
        /// Target groups.
        load_balancers: Vec<ServiceLoadBalancerInput> = "loadBalancers",
        /// Subnets, as Availability Zone names.
        network: Option<NetworkInput> = "networkConfiguration",
        /// Percent of the desired count. Default 0.
        scale: Option<ScaleInput> = "scale",
        /// Opaque.
        token: Opaque = "clientToken",
    }
    ignored {
        "tags": "tags change nothing",
        "platformVersion": "all platforms are alike",
        "serviceRegistries": "discovery of task sets is not simulated",
    }
}

object! {
    /// Input of `ecs update-task-set`.
    struct UpdateTaskSetInput("an UpdateTaskSet call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Service.
        service: At<String> = "service",
        /// The task set, by external id or id.
        task_set: At<String> = "taskSet",
        /// Percent of the desired count.
        scale: ScaleInput = "scale",
    }
}

object! {
    /// Input of `ecs update-service-primary-task-set`.
    struct PrimaryTaskSetInput("an UpdateServicePrimaryTaskSet call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Service.
        service: At<String> = "service",
        /// The task set, by external id or id.
        task_set: At<String> = "primaryTaskSet",
    }
}

object! {
    /// Input of `ecs delete-task-set`.
    struct DeleteTaskSetInput("a DeleteTaskSet call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Service.
        service: At<String> = "service",
        /// The task set, by external id or id.
        task_set: At<String> = "taskSet",
        /// Even when it is scaled above 0.
        force: Option<bool> = "force",
    }
}
