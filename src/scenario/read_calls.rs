//! Calls that read: Describe and List (TASK-18).

use super::convert::cluster_name;
use super::decode::{AnyWhole, At, Decode, keyword, object};
use super::diagnostic::Reading;
use super::tree::Node;
use crate::arn;
use crate::control_plane::api::ApiCall;
use crate::control_plane::reads::{Page, ReadCall, TaskFilter};
use crate::ecs::container_instance::ContainerInstanceStatus;
use crate::ecs::task_definition::DefinitionStatus;

fn read(call: ReadCall) -> ApiCall {
    ApiCall::Read(Box::new(call))
}

fn names(list: &[At<String>]) -> Vec<String> {
    list.iter().map(|name| arn::name(name).to_owned()).collect()
}

/// `ecs:DescribeTasks`.
pub(super) fn describe_tasks(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = DescribeTasksInput::decode(node, reading)?;
    Some(read(ReadCall::DescribeTasks { cluster: cluster_name(input.cluster.as_ref()), tasks: names(&input.tasks) }))
}

/// `ecs:ListTasks`.
pub(super) fn list_tasks(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = ListTasksInput::decode(node, reading)?;
    let filter = TaskFilter {
        family: input.family,
        service: input.service,
        started_by: input.started_by,
        instance: input.instance.map(|at| arn::name(&at).to_owned()),
        launch_type: input.launch_type,
        stopped: input.desired_status == Some(DesiredStatusWord::Stopped),
    };
    let page = page(input.max_results.as_ref(), input.next_token);
    Some(read(ReadCall::ListTasks { cluster: cluster_name(input.cluster.as_ref()), filter, page }))
}

/// `ecs:DescribeServices`.
pub(super) fn describe_services(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = DescribeServicesInput::decode(node, reading)?;
    let services = names(&input.services);
    Some(read(ReadCall::DescribeServices { cluster: cluster_name(input.cluster.as_ref()), services }))
}

/// `ecs:ListServices`.
pub(super) fn list_services(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = ListServicesInput::decode(node, reading)?;
    let page = page(input.max_results.as_ref(), input.next_token);
    Some(read(ReadCall::ListServices { cluster: cluster_name(input.cluster.as_ref()), page }))
}

/// `ecs:DescribeContainerInstances`.
pub(super) fn describe_instances(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = DescribeInstancesInput::decode(node, reading)?;
    let instances = names(&input.instances);
    Some(read(ReadCall::DescribeContainerInstances { cluster: cluster_name(input.cluster.as_ref()), instances }))
}

/// `ecs:ListContainerInstances`.
pub(super) fn list_instances(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = ListInput::decode(node, reading)?;
    let status = input.status.map(|status| match status {
        InstanceStatusWord::Active => ContainerInstanceStatus::Active,
        InstanceStatusWord::Draining => ContainerInstanceStatus::Draining,
        InstanceStatusWord::Registering => ContainerInstanceStatus::Registering,
        InstanceStatusWord::Deregistering => ContainerInstanceStatus::Deregistering,
    });
    let page = page(input.max_results.as_ref(), input.next_token);
    Some(read(ReadCall::ListContainerInstances { cluster: cluster_name(input.cluster.as_ref()), status, page }))
}

/// `ecs:DescribeClusters`: `default` unless said.
pub(super) fn describe_clusters(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = DescribeClustersInput::decode(node, reading)?;
    let clusters = if input.clusters.is_empty() { vec!["default".to_owned()] } else { names(&input.clusters) };
    Some(read(ReadCall::DescribeClusters { clusters }))
}

/// `ecs:ListClusters`.
pub(super) fn list_clusters(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = ListClustersInput::decode(node, reading)?;
    Some(read(ReadCall::ListClusters { page: page(input.max_results.as_ref(), input.next_token) }))
}

/// `ecs:DescribeTaskDefinition`.
pub(super) fn describe_definition(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = DescribeDefinitionInput::decode(node, reading)?;
    Some(read(ReadCall::DescribeTaskDefinition(arn::name(&input.task_definition).to_owned())))
}

/// `ecs:ListTaskDefinitions`.
pub(super) fn list_definitions(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = ListDefinitionsInput::decode(node, reading)?;
    let status = match input.status {
        Some(DefinitionStatusWord::Inactive) => DefinitionStatus::Inactive,
        Some(DefinitionStatusWord::DeleteInProgress) => DefinitionStatus::DeleteInProgress,
        Some(DefinitionStatusWord::Active) | None => DefinitionStatus::Active,
    };
    let page = page(input.max_results.as_ref(), input.next_token);
    Some(read(ReadCall::ListTaskDefinitions { family: input.family, status, page }))
}

/// `elasticloadbalancing:DescribeTargetHealth`.
pub(super) fn describe_targets(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = DescribeTargetsInput::decode(node, reading)?;
    Some(read(ReadCall::DescribeTargetHealth(arn::name(&input.group).to_owned())))
}

fn page(max_results: Option<&AnyWhole>, next_token: Option<String>) -> Page {
    // What is below zero is refused as zero is.
    Page { max_results: max_results.map(|most| most.get()), next_token }
}

keyword! {
    /// `desiredStatus` of a ListTasks call.
    enum DesiredStatusWord {
        /// Tasks that are to run.
        Running = "RUNNING",
        /// Tasks told to stop, and those that have.
        Stopped = "STOPPED",
    }
}

keyword! {
    /// `status` of a ListContainerInstances call.
    enum InstanceStatusWord {
        /// Takes tasks.
        Active = "ACTIVE",
        /// Takes none.
        Draining = "DRAINING",
        /// Its trunk is being attached.
        Registering = "REGISTERING",
        /// Its trunk is being removed.
        Deregistering = "DEREGISTERING",
    }
}

keyword! {
    /// `status` of a ListTaskDefinitions call.
    enum DefinitionStatusWord {
        /// In use.
        Active = "ACTIVE",
        /// Deregistered.
        Inactive = "INACTIVE",
        /// Deleted.
        DeleteInProgress = "DELETE_IN_PROGRESS",
    }
}

object! {
    /// Input of `ecs describe-tasks`.
    struct DescribeTasksInput("a DescribeTasks call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Ids of tasks, or task groups (`service:web`): each entry means its oldest task that no earlier one means.
        tasks: Vec<At<String>> = "tasks",
    }
    ignored { "include": "tags change nothing", }
}

object! {
    /// Input of `ecs list-tasks`.
    struct ListTasksInput("a ListTasks call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Family of their task definitions.
        family: Option<String> = "family",
        /// Their service.
        service: Option<String> = "serviceName",
        /// Who started them.
        started_by: Option<String> = "startedBy",
        /// Their host, by id or launch number (#0).
        instance: Option<At<String>> = "containerInstance",
        /// EC2 or FARGATE.
        launch_type: Option<String> = "launchType",
        /// RUNNING or STOPPED. Default RUNNING.
        desired_status: Option<DesiredStatusWord> = "desiredStatus",
        /// Entries of a page. Default 100.
        max_results: Option<AnyWhole> = "maxResults",
        /// Where the page before ended.
        next_token: Option<String> = "nextToken",
    }
}

object! {
    /// Input of `ecs describe-services`.
    struct DescribeServicesInput("a DescribeServices call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Services, ten at most.
        services: Vec<At<String>> = "services",
    }
    ignored { "include": "tags change nothing", }
}

object! {
    /// Input of `ecs list-services`.
    struct ListServicesInput("a ListServices call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Entries of a page. Default 100.
        max_results: Option<AnyWhole> = "maxResults",
        /// Where the page before ended.
        next_token: Option<String> = "nextToken",
    }
}

object! {
    /// Input of `ecs list-container-instances`.
    struct ListInput("a ListContainerInstances call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Status of container instances. Default: any.
        status: Option<InstanceStatusWord> = "status",
        /// Entries of a page. Default 100.
        max_results: Option<AnyWhole> = "maxResults",
        /// Where the page before ended.
        next_token: Option<String> = "nextToken",
    }
}

object! {
    /// Input of `ecs describe-container-instances`.
    struct DescribeInstancesInput("a DescribeContainerInstances call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Instances, by id or launch number (#0).
        instances: Vec<At<String>> = "containerInstances",
    }
    ignored { "include": "tags change nothing", }
}

object! {
    /// Input of `ecs describe-clusters`.
    struct DescribeClustersInput("a DescribeClusters call") {
        /// Clusters. Default `default`.
        clusters: Vec<At<String>> = "clusters",
    }
    ignored { "include": "tags change nothing", }
}

object! {
    /// Input of `ecs list-clusters`.
    struct ListClustersInput("a ListClusters call") {
        /// Entries of a page. Default 100.
        max_results: Option<AnyWhole> = "maxResults",
        /// Where the page before ended.
        next_token: Option<String> = "nextToken",
    }
}

object! {
    /// Input of `ecs describe-task-definition`.
    struct DescribeDefinitionInput("a DescribeTaskDefinition call") {
        /// Family, or family:revision.
        task_definition: At<String> = "taskDefinition",
    }
    ignored { "include": "tags change nothing", }
}

object! {
    /// Input of `ecs list-task-definitions`.
    struct ListDefinitionsInput("a ListTaskDefinitions call") {
        /// Family.
        family: Option<String> = "familyPrefix",
        /// ACTIVE, INACTIVE or DELETE_IN_PROGRESS. Default ACTIVE.
        status: Option<DefinitionStatusWord> = "status",
        /// Entries of a page. Default 100.
        max_results: Option<AnyWhole> = "maxResults",
        /// Where the page before ended.
        next_token: Option<String> = "nextToken",
    }
}

object! {
    /// Input of `elbv2 describe-target-health`.
    struct DescribeTargetsInput("a DescribeTargetHealth call") {
        /// Target group, by name or ARN.
        group: At<String> = "TargetGroupArn",
    }
}
