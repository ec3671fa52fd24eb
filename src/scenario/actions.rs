//! The operator's timeline: each action's `with` is the input of the call it makes.
//!
//! What AWS would refuse is not a mistake of the scenario here: the call becomes one that is refused when it is made
//! (design, section 3), and the run goes on.

use super::convert::auto_scaling::{
    group, group_policy, group_scheduled_action, hook_result, put_lifecycle_hook, put_warm_pool, start_refresh,
    update_group,
};
use super::convert::cloudwatch::{metric_data, set_alarm_state};
use super::convert::ecs::{cluster, cluster_providers, run_task, service, task_definition, update_service};
use super::convert::scaling::{alarm, resource_id, scalable_target, scaling_policy, scheduled_action};
use super::convert::{Context, cluster_name};
use super::decode::{At, Count, Decode, Opaque, Raw, Whole, keyword, object};
use super::deployment_calls::{
    continue_deployment, create_code_deployment, create_task_set, delete_task_set, stop_deployment,
    update_primary_task_set, update_task_set,
};
use super::diagnostic::{Problem, Reading, code};
use super::input::{
    ActionInput, AlarmInput, ClusterInput, ClusterProvidersInput, GroupInput, GroupPolicyInput,
    GroupScheduledActionInput, HookInput, MetricDataInput, RunTaskInput, ScalableTargetInput, ScalingPolicyInput,
    ScheduledActionInput, ServiceInput, SetAlarmStateInput, StartRefreshInput, TaskDefinitionInput, UpdateGroupInput,
    UpdateServiceInput, WarmPoolInput,
};
use super::read_calls;
use super::registry;
use super::tree::{Node, Value};
use crate::arn;
use crate::control_plane::api::ApiCall;
use crate::control_plane::estate::Action;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::scalable_target::ScaledResource;

/// Reads the input of a call and makes the call of it.
type Reader = fn(&Node, &Context, &mut Reading) -> Option<ApiCall>;

const CALLS: &[(&str, Reader)] = &[
    ("ecs:CreateCluster", |node, _, reading| {
        let input = ClusterInput::decode(node, reading)?;
        Some(ApiCall::CreateCluster(cluster(&input, reading)))
    }),
    ("ecs:PutClusterCapacityProviders", |node, _, reading| {
        let input = ClusterProvidersInput::decode(node, reading)?;
        Some(ApiCall::PutClusterCapacityProviders(cluster_providers(&input, reading)))
    }),
    ("ecs:DeleteCapacityProvider", |node, _, reading| {
        let input = DeleteProviderInput::decode(node, reading)?;
        Some(ApiCall::DeleteCapacityProvider(arn::name(&input.provider).to_owned()))
    }),
    ("ecs:RegisterTaskDefinition", |node, _, reading| {
        let input = TaskDefinitionInput::decode(node, reading)?;
        Some(ApiCall::RegisterTaskDefinition(Box::new(task_definition(&input, node.json_bytes(), reading)?)))
    }),
    ("ecs:DeregisterTaskDefinition", |node, _, reading| {
        let input = DeregisterInput::decode(node, reading)?;
        Some(ApiCall::DeregisterTaskDefinition(arn::name(&input.task_definition).to_owned()))
    }),
    ("ecs:DeleteTaskDefinitions", |node, _, reading| {
        Some(ApiCall::DeleteTaskDefinitions(names(&DeleteDefinitionsInput::decode(node, reading)?.definitions)))
    }),
    ("ecs:DeleteCluster", |node, _, reading| {
        Some(ApiCall::DeleteCluster(cluster_name(Some(&DeleteClusterInput::decode(node, reading)?.cluster))))
    }),
    ("ecs:DescribeTasks", |node, _, reading| read_calls::describe_tasks(node, reading)),
    ("ecs:ListTasks", |node, _, reading| read_calls::list_tasks(node, reading)),
    ("ecs:DescribeServices", |node, _, reading| read_calls::describe_services(node, reading)),
    ("ecs:ListServices", |node, _, reading| read_calls::list_services(node, reading)),
    ("ecs:DescribeContainerInstances", |node, _, reading| read_calls::describe_instances(node, reading)),
    ("ecs:ListContainerInstances", |node, _, reading| read_calls::list_instances(node, reading)),
    ("ecs:DescribeClusters", |node, _, reading| read_calls::describe_clusters(node, reading)),
    ("ecs:ListClusters", |node, _, reading| read_calls::list_clusters(node, reading)),
    ("ecs:DescribeTaskDefinition", |node, _, reading| read_calls::describe_definition(node, reading)),
    ("ecs:ListTaskDefinitions", |node, _, reading| read_calls::list_definitions(node, reading)),
    ("elasticloadbalancing:DescribeTargetHealth", |node, _, reading| read_calls::describe_targets(node, reading)),
    ("ecs:CreateService", |node, context, reading| {
        let input = ServiceInput::decode(node, reading)?;
        Some(ApiCall::CreateService(Box::new(service(&input, true, context, reading)?)))
    }),
    ("ecs:UpdateService", |node, context, reading| {
        let input = UpdateServiceInput::decode(node, reading)?;
        Some(ApiCall::UpdateService(Box::new(update_service(&input, context, reading)?)))
    }),
    ("ecs:DeleteService", |node, _, reading| {
        let input = DeleteServiceInput::decode(node, reading)?;
        Some(ApiCall::DeleteService {
            cluster: cluster_name(input.cluster.as_ref()),
            service: arn::name(&input.service).to_owned(),
            force: input.force.unwrap_or(false),
        })
    }),
    ("ecs:StopServiceDeployment", |node, _, reading| stop_deployment(node, reading)),
    ("ecs:ContinueServiceDeployment", |node, _, reading| continue_deployment(node, reading)),
    ("ecs:CreateTaskSet", create_task_set),
    ("ecs:UpdateTaskSet", |node, _, reading| update_task_set(node, reading)),
    ("ecs:UpdateServicePrimaryTaskSet", |node, _, reading| update_primary_task_set(node, reading)),
    ("ecs:DeleteTaskSet", |node, _, reading| delete_task_set(node, reading)),
    ("codedeploy:CreateDeployment", |node, _, reading| create_code_deployment(node, reading)),
    ("ecs:UpdateTaskProtection", |node, _, reading| {
        let input = ProtectTasksInput::decode(node, reading)?;
        let period = SimDuration::from_mins(u64::from(input.expires.map_or(120, Whole::get)));
        Some(ApiCall::UpdateTaskProtection {
            cluster: cluster_name(input.cluster.as_ref()),
            tasks: names(&input.tasks),
            protect_for: input.enabled.then_some(period),
        })
    }),
    ("ecs:RunTask", |node, context, reading| {
        let input = RunTaskInput::decode(node, reading)?;
        Some(ApiCall::RunTask(Box::new(run_task(&input, context, reading)?)))
    }),
    ("ecs:StartTask", |node, context, reading| {
        let input = RunTaskInput::decode(node, reading)?;
        let instances = names(&input.container_instances);
        Some(ApiCall::StartTask { task: Box::new(run_task(&input, context, reading)?), instances })
    }),
    ("ecs:StopTask", |node, _, reading| {
        let input = StopTaskInput::decode(node, reading)?;
        Some(ApiCall::StopTask {
            cluster: cluster_name(input.cluster.as_ref()),
            task: arn::name(&input.task).to_owned(),
            reason: input.reason,
        })
    }),
    ("ecs:UpdateContainerInstancesState", |node, _, reading| {
        let input = InstancesStateInput::decode(node, reading)?;
        Some(ApiCall::UpdateContainerInstancesState {
            cluster: cluster_name(input.cluster.as_ref()),
            instances: names(&input.instances),
            draining: input.status == InstanceStateWord::Draining,
        })
    }),
    ("ecs:PutAccountSettingDefault", account_setting),
    ("ecs:PutAccountSetting", account_setting),
    ("autoscaling:CreateAutoScalingGroup", |node, context, reading| {
        let input = GroupInput::decode(node, reading)?;
        Some(ApiCall::CreateAutoScalingGroup(Box::new(group(&input, context, reading)?)))
    }),
    ("autoscaling:UpdateAutoScalingGroup", |node, context, reading| {
        let input = UpdateGroupInput::decode(node, reading)?;
        Some(ApiCall::UpdateAutoScalingGroup(Box::new(update_group(&input, context, reading)?)))
    }),
    ("autoscaling:SetDesiredCapacity", |node, context, reading| {
        let input = UpdateGroupInput::decode(node, reading)?;
        if input.desired_capacity.is_none() {
            let message = "SetDesiredCapacity needs `DesiredCapacity`";
            reading.report(Problem::new(code::MISSING_KEY, input.place, message).label("`DesiredCapacity` is missing"));
        }
        Some(ApiCall::UpdateAutoScalingGroup(Box::new(update_group(&input, context, reading)?)))
    }),
    ("autoscaling:SetInstanceProtection", |node, _, reading| {
        let input = ProtectionInput::decode(node, reading)?;
        Some(ApiCall::SetInstanceProtection {
            group: arn::name(&input.group).to_owned(),
            instances: names(&input.instances),
            protected: input.protected,
        })
    }),
    ("autoscaling:SetInstanceHealth", |node, _, reading| {
        let input = InstanceHealthInput::decode(node, reading)?;
        if !["Healthy", "Unhealthy"].contains(&input.status.as_str()) {
            let message = format!("Invalid health status {}: use Healthy or Unhealthy", input.status.value);
            reading.report(Problem::aws("ValidationError", "ASG-16", input.status.place, message));
            return None;
        }
        Some(ApiCall::SetInstanceHealth {
            instance: arn::name(&input.instance).to_owned(),
            unhealthy: input.status.value == "Unhealthy",
            respects_grace: input.respects_grace.unwrap_or(true),
        })
    }),
    ("autoscaling:PutLifecycleHook", |node, _, reading| {
        let input = HookInput::decode(node, reading)?;
        Some(ApiCall::PutLifecycleHook(Box::new(put_lifecycle_hook(&input, reading)?)))
    }),
    ("autoscaling:DeleteLifecycleHook", |node, _, reading| {
        let input = DeleteHookInput::decode(node, reading)?;
        Some(ApiCall::DeleteLifecycleHook { group: input.group.value, name: input.name.value })
    }),
    ("autoscaling:CompleteLifecycleAction", |node, _, reading| {
        let input = CompleteActionInput::decode(node, reading)?;
        let result = hook_result(&input.result, reading)?;
        let (group, hook) = (input.group.value, input.hook.value);
        Some(ApiCall::CompleteLifecycleAction { group, hook, instance: input.instance.value, result })
    }),
    ("autoscaling:RecordLifecycleActionHeartbeat", |node, _, reading| {
        let input = HeartbeatInput::decode(node, reading)?;
        let (group, hook) = (input.group.value, input.hook.value);
        Some(ApiCall::RecordLifecycleActionHeartbeat { group, hook, instance: input.instance.value })
    }),
    ("autoscaling:EnterStandby", |node, _, reading| {
        let input = SetAsideInput::decode(node, reading)?;
        let instances = names(&input.instances);
        Some(ApiCall::EnterStandby { group: input.group.value, instances, decrement: input.decrement })
    }),
    ("autoscaling:ExitStandby", |node, _, reading| {
        let input = ExitStandbyInput::decode(node, reading)?;
        Some(ApiCall::ExitStandby { group: input.group.value, instances: names(&input.instances) })
    }),
    ("autoscaling:DetachInstances", |node, _, reading| {
        let input = SetAsideInput::decode(node, reading)?;
        let instances = names(&input.instances);
        Some(ApiCall::DetachInstances { group: input.group.value, instances, decrement: input.decrement })
    }),
    ("autoscaling:StartInstanceRefresh", |node, _, reading| {
        let input = StartRefreshInput::decode(node, reading)?;
        Some(ApiCall::StartInstanceRefresh(Box::new(start_refresh(&input, reading)?)))
    }),
    ("autoscaling:RollbackInstanceRefresh", |node, _, reading| {
        Some(ApiCall::RollbackInstanceRefresh(CancelRefreshInput::decode(node, reading)?.group.value))
    }),
    ("autoscaling:PutWarmPool", |node, _, reading| {
        let input = WarmPoolInput::decode(node, reading)?;
        Some(ApiCall::PutWarmPool(put_warm_pool(&input, reading)?))
    }),
    ("autoscaling:DeleteWarmPool", |node, _, reading| {
        let input = DeleteWarmPoolInput::decode(node, reading)?;
        let group = arn::name(&input.group).to_owned();
        Some(ApiCall::DeleteWarmPool { group, force: input.force.unwrap_or(false) })
    }),
    ("autoscaling:CancelInstanceRefresh", |node, _, reading| {
        Some(ApiCall::CancelInstanceRefresh(CancelRefreshInput::decode(node, reading)?.group.value))
    }),
    ("autoscaling:TerminateInstanceInAutoScalingGroup", |node, _, reading| {
        let input = TerminateInput::decode(node, reading)?;
        Some(ApiCall::TerminateInstance { instance: input.instance.value, decrement: input.decrement })
    }),
    ("autoscaling:SuspendProcesses", |node, _, reading| suspend(node, true, reading)),
    ("autoscaling:ResumeProcesses", |node, _, reading| suspend(node, false, reading)),
    ("application-autoscaling:RegisterScalableTarget", |node, _, reading| {
        let input = ScalableTargetInput::decode(node, reading)?;
        Some(ApiCall::RegisterScalableTarget(scalable_target(&input, false, reading)?))
    }),
    ("application-autoscaling:PutScalingPolicy", |node, _, reading| {
        let input = ScalingPolicyInput::decode(node, reading)?;
        Some(ApiCall::PutScalingPolicy(Box::new(scaling_policy(&input, reading)?)))
    }),
    ("application-autoscaling:DeregisterScalableTarget", |node, _, reading| {
        let input = DeregisterTargetInput::decode(node, reading)?;
        let (cluster, service) = resource_id(&input.resource, reading)?;
        Some(ApiCall::DeregisterScalableTarget { cluster, service })
    }),
    ("application-autoscaling:DeleteScalingPolicy", |node, _, reading| {
        let input = DeleteScalingPolicyInput::decode(node, reading)?;
        let (cluster, service) = resource_id(&input.resource, reading)?;
        let resource = ScaledResource::Service { cluster, service };
        Some(ApiCall::DeleteScalingPolicy { name: input.name.value, resource })
    }),
    ("application-autoscaling:PutScheduledAction", |node, context, reading| {
        let input = ScheduledActionInput::decode(node, reading)?;
        Some(ApiCall::PutScheduledAction(Box::new(scheduled_action(&input, false, context, reading)?)))
    }),
    ("application-autoscaling:DeleteScheduledAction", |node, _, reading| {
        let input = DeleteScheduledActionInput::decode(node, reading)?;
        let (cluster, service) = resource_id(&input.resource, reading)?;
        let resource = ScaledResource::Service { cluster, service };
        Some(ApiCall::DeleteScheduledAction { name: input.name.value, resource })
    }),
    ("autoscaling:PutScheduledUpdateGroupAction", |node, context, reading| {
        let input = GroupScheduledActionInput::decode(node, reading)?;
        Some(ApiCall::PutScheduledAction(Box::new(group_scheduled_action(&input, false, context, reading)?)))
    }),
    ("autoscaling:DeleteScheduledAction", |node, _, reading| {
        let input = DeleteGroupScheduledActionInput::decode(node, reading)?;
        let resource = ScaledResource::Group { group: arn::name(&input.group).to_owned() };
        Some(ApiCall::DeleteScheduledAction { name: input.name.value, resource })
    }),
    ("autoscaling:PutScalingPolicy", |node, _, reading| {
        let input = GroupPolicyInput::decode(node, reading)?;
        Some(ApiCall::PutScalingPolicy(Box::new(group_policy(&input, reading)?)))
    }),
    ("autoscaling:DeletePolicy", |node, _, reading| {
        let input = DeletePolicyInput::decode(node, reading)?;
        Some(ApiCall::DeleteScalingPolicy {
            name: input.name.value,
            resource: ScaledResource::Group { group: arn::name(&input.group).to_owned() },
        })
    }),
    ("cloudwatch:PutMetricAlarm", |node, context, reading| {
        let input = AlarmInput::decode(node, reading)?;
        Some(ApiCall::PutMetricAlarm(Box::new(alarm(&input, context, reading)?)))
    }),
    ("cloudwatch:PutMetricData", |node, _, reading| {
        let input = MetricDataInput::decode(node, reading)?;
        Some(ApiCall::PutMetricData(metric_data(&input, reading)?))
    }),
    ("cloudwatch:SetAlarmState", |node, _, reading| {
        let input = SetAlarmStateInput::decode(node, reading)?;
        Some(ApiCall::SetAlarmState(set_alarm_state(&input, reading)?))
    }),
    ("events:EnableRule", |node, _, reading| {
        let rule = EventRuleNameInput::decode(node, reading)?.name.value;
        Some(ApiCall::SetRuleEnabled { rule, enabled: true })
    }),
    ("events:DisableRule", |node, _, reading| {
        let rule = EventRuleNameInput::decode(node, reading)?.name.value;
        Some(ApiCall::SetRuleEnabled { rule, enabled: false })
    }),
    ("ecr:PutImage", |node, _, reading| registry::put_image(node, reading)),
    ("cloudwatch:DeleteAlarms", |node, _, reading| {
        Some(ApiCall::DeleteAlarms(names(&AlarmNamesInput::decode(node, reading)?.names)))
    }),
    ("cloudwatch:EnableAlarmActions", |node, _, reading| {
        let alarms = names(&AlarmNamesInput::decode(node, reading)?.names);
        Some(ApiCall::SetAlarmActions { alarms, enabled: true })
    }),
    ("cloudwatch:DisableAlarmActions", |node, _, reading| {
        let alarms = names(&AlarmNamesInput::decode(node, reading)?.names);
        Some(ApiCall::SetAlarmActions { alarms, enabled: false })
    }),
];

/// Mutating calls of these services that a scenario may ask for and nothing answers yet.
const UNMODELLED: &[&str] = &[
    "ecs:CreateCapacityProvider",
    "ecs:UpdateCapacityProvider",
    "ecs:UpdateCluster",
    "ecs:PutAttributes",
    "ecs:DeleteAttributes",
    "ecs:DeregisterContainerInstance",
    "ecs:UpdateContainerAgent",
    "autoscaling:DeleteAutoScalingGroup",
    "autoscaling:ExecutePolicy",
    "elasticloadbalancing:CreateTargetGroup",
    "events:PutRule",
];

/// The action of an entry, or what is wrong with the entry.
pub(crate) fn action(input: &ActionInput, context: &Context, reading: &mut Reading) -> Option<Action> {
    let full = full_name(&input.call);
    let Some((name, read)) = CALLS.iter().find(|(name, _)| *name == full) else {
        let known: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
        let problem = if UNMODELLED.contains(&full.as_str()) {
            Problem::new(code::NOT_MODELLED, input.call.place, format!("`{full}` is not modelled yet"))
                .label("would change the result")
        } else {
            Problem::new(code::UNKNOWN_VALUE, input.call.place, format!("there is no call `{}`", input.call.value))
                .nearest(&full, known.iter().chain(UNMODELLED).copied())
                .help_if_none("calls are written service:Operation, for example ecs:UpdateService")
        };
        reading.report(problem);
        return None;
    };
    let empty = Node::empty_map(input.place);
    let with = input.with.as_ref().map_or(&empty, |Raw(node)| node);
    let before = reading.problems.len();
    let call = read(with, context, reading);
    let at = SimTime::ZERO + input.at.value;
    let found = reading.problems.split_off(before);
    let refused = found.iter().find_map(|problem| {
        let refusal = problem.refusal.as_ref().filter(|_| !problem.warning)?;
        Some(Refused { code: refusal.code, message: problem.message.clone(), rule: refusal.rule })
    });
    // What is wrong with the file stays wrong; what AWS refuses is refused at run time.
    reading.problems.extend(found.into_iter().filter(|problem| problem.warning || problem.refusal.is_none()));
    let call = match refused {
        Some(refused) => ApiCall::AlwaysRefused(refused),
        None => call?,
    };
    Some(Action { at, call, name: (*name).to_owned() })
}

/// Whether the input of `ecs:RegisterTaskDefinition` says how the tasks behave.
pub(crate) fn says_behaviour(with: &Node) -> bool {
    let containers = match with.get("containerDefinitions") {
        Some(Node { value: Value::List(containers), .. }) => containers.as_slice(),
        _ => &[],
    };
    std::iter::once(with)
        .chain(containers)
        .any(|node| node.get("behaviour").is_some_and(|said| said.value != Value::Null))
}

/// `UpdateService`, `elbv2:…` and such, as this file writes them: the service may be left out.
pub(crate) fn full_name(call: &str) -> String {
    if call.contains(':') {
        return call.replace("elbv2:", "elasticloadbalancing:");
    }
    let all = CALLS.iter().map(|(name, _)| *name).chain(UNMODELLED.iter().copied());
    let mut matching = all.filter(|name| name.rsplit(':').next() == Some(call));
    matching.next().map_or_else(|| call.to_owned(), str::to_owned)
}

fn names(list: &[At<String>]) -> Vec<String> {
    list.iter().map(|name| arn::name(name).to_owned()).collect()
}

/// Account settings that are modelled (EC2-12, FG-10).
const TRUNKING: &str = "awsvpcTrunking";
const RETIREMENT_WAIT: &str = "fargateTaskRetirementWaitPeriod";

fn account_setting(node: &Node, _: &Context, reading: &mut Reading) -> Option<ApiCall> {
    let input = AccountSettingInput::decode(node, reading)?;
    let allowed: &[&str] = match input.name.as_str() {
        TRUNKING => &["enabled", "disabled"],
        RETIREMENT_WAIT => &["0", "7", "14"],
        other => {
            let message = format!("the account setting `{other}` is not modelled yet");
            let problem = Problem::new(code::NOT_MODELLED, input.name.place, message);
            reading.report(problem.nearest(other, [TRUNKING, RETIREMENT_WAIT]));
            return None;
        }
    };
    if !allowed.contains(&input.value.as_str()) {
        let message = format!("`{}` is {}, not {}", input.name.value, allowed.join(" or "), input.value.value);
        let problem = Problem::new(code::UNKNOWN_VALUE, input.value.place, message);
        reading.report(problem.nearest(&input.value, allowed.iter().copied()));
        return None;
    }
    Some(match input.value.parse::<u64>() {
        Ok(days) => ApiCall::PutFargateRetirementWait(SimDuration::from_secs(days * 86_400)),
        Err(_) => ApiCall::PutAwsvpcTrunking(input.value.value == "enabled"),
    })
}

fn suspend(node: &Node, suspend: bool, reading: &mut Reading) -> Option<ApiCall> {
    let input = ProcessesInput::decode(node, reading)?;
    let group = arn::name(&input.group).to_owned();
    Some(ApiCall::SetSuspendedProcesses { group, processes: names(&input.processes), suspend })
}

object! {
    /// Input of `ecs deregister-task-definition`.
    struct DeregisterInput("a DeregisterTaskDefinition call") {
        /// family:revision.
        task_definition: At<String> = "taskDefinition",
    }
}

object! {
    /// Input of `ecs delete-task-definitions`.
    struct DeleteDefinitionsInput("a DeleteTaskDefinitions call") {
        /// family:revision, ten at most; INACTIVE ones.
        definitions: Vec<At<String>> = "taskDefinitions",
    }
}

object! {
    /// Input of `ecs delete-cluster`.
    struct DeleteClusterInput("a DeleteCluster call") {
        /// Cluster.
        cluster: At<String> = "cluster",
    }
}

object! {
    /// Input of `ecs delete-service`.
    struct DeleteServiceInput("a DeleteService call") {
        /// Cluster.
        cluster: Option<At<String>> = "cluster",
        /// Service.
        service: At<String> = "service",
        /// Even when it is scaled above 0.
        force: Option<bool> = "force",
    }
}

object! {
    /// Input of `ecs stop-task`.
    struct StopTaskInput("a StopTask call") {
        /// Cluster.
        cluster: Option<At<String>> = "cluster",
        /// Id of a task, or a task group, of which the oldest running task is stopped.
        task: At<String> = "task",
        /// Why.
        reason: Option<String> = "reason",
    }
}

object! {
    /// Input of `ecs:UpdateTaskProtection`.
    struct ProtectTasksInput("an UpdateTaskProtection call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Ids of tasks, or task groups (`service:web`): each entry means its oldest task that no earlier one means.
        tasks: Vec<At<String>> = "tasks",
        /// Whether they are protected.
        enabled: bool = "protectionEnabled",
        /// For how many minutes. Default 120.
        expires: Option<Count> = "expiresInMinutes",
    }
}

keyword! {
    /// State of a container instance.
    enum InstanceStateWord {
        /// Takes tasks.
        Active = "ACTIVE",
        /// Takes none.
        Draining = "DRAINING",
    }
}

object! {
    /// Input of `ecs update-container-instances-state`.
    struct InstancesStateInput("an UpdateContainerInstancesState call") {
        /// Cluster.
        cluster: Option<At<String>> = "cluster",
        /// Instances, by id or launch number (#0).
        instances: Vec<At<String>> = "containerInstances",
        /// ACTIVE or DRAINING.
        status: InstanceStateWord = "status",
    }
}

object! {
    /// Input of `ecs put-account-setting-default`.
    struct AccountSettingInput("a PutAccountSettingDefault call") {
        /// Setting.
        name: At<String> = "name",
        /// enabled or disabled; of `fargateTaskRetirementWaitPeriod`, days: 0, 7 or 14.
        value: At<String> = "value",
        /// Opaque.
        principal: Opaque = "principalArn",
    }
}

object! {
    /// Input of `autoscaling set-instance-protection`.
    struct ProtectionInput("a SetInstanceProtection call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Instances, by id or launch number (#0).
        instances: Vec<At<String>> = "InstanceIds",
        /// Protected or not.
        protected: bool = "ProtectedFromScaleIn",
    }
}

object! {
    /// Input of `autoscaling set-instance-health`.
    struct InstanceHealthInput("a SetInstanceHealth call") {
        /// Instance, by id or launch number (#0).
        instance: At<String> = "InstanceId",
        /// Healthy or Unhealthy.
        status: At<String> = "HealthStatus",
        /// Whether the group's grace period holds. Default true.
        respects_grace: Option<bool> = "ShouldRespectGracePeriod",
    }
}

object! {
    /// Input of `autoscaling delete-warm-pool`.
    struct DeleteWarmPoolInput("a DeleteWarmPool call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Whether its instances go without their hooks. Default false.
        force: Option<bool> = "ForceDelete",
    }
}

object! {
    /// Input of `ecs delete-capacity-provider`.
    struct DeleteProviderInput("a DeleteCapacityProvider call") {
        /// Provider, by name or ARN.
        provider: At<String> = "capacityProvider",
        /// The cluster that has it; it has to have been taken from it before.
        cluster: Opaque = "cluster",
    }
}

object! {
    /// Input of `autoscaling cancel-instance-refresh` and `rollback-instance-refresh`.
    struct CancelRefreshInput("a CancelInstanceRefresh or RollbackInstanceRefresh call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
    }
}

object! {
    /// Input of `autoscaling delete-lifecycle-hook`.
    struct DeleteHookInput("a DeleteLifecycleHook call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Hook.
        name: At<String> = "LifecycleHookName",
    }
}

object! {
    /// Input of `autoscaling complete-lifecycle-action`.
    struct CompleteActionInput("a CompleteLifecycleAction call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Hook.
        hook: At<String> = "LifecycleHookName",
        /// Instance, by id or launch number (#0).
        instance: At<String> = "InstanceId",
        /// CONTINUE or ABANDON.
        result: At<String> = "LifecycleActionResult",
        /// Opaque.
        token: Opaque = "LifecycleActionToken",
    }
}

object! {
    /// Input of `autoscaling record-lifecycle-action-heartbeat`.
    struct HeartbeatInput("a RecordLifecycleActionHeartbeat call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Hook.
        hook: At<String> = "LifecycleHookName",
        /// Instance, by id or launch number (#0).
        instance: At<String> = "InstanceId",
        /// Opaque.
        token: Opaque = "LifecycleActionToken",
    }
}

object! {
    /// Input of `autoscaling enter-standby` and `detach-instances`.
    struct SetAsideInput("an EnterStandby or DetachInstances call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Instances, by id or launch number (#0).
        instances: Vec<At<String>> = "InstanceIds",
        /// Whether the group shrinks by them.
        decrement: bool = "ShouldDecrementDesiredCapacity",
    }
}

object! {
    /// Input of `autoscaling exit-standby`.
    struct ExitStandbyInput("an ExitStandby call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Instances, by id or launch number (#0).
        instances: Vec<At<String>> = "InstanceIds",
    }
}

object! {
    /// Input of `autoscaling terminate-instance-in-auto-scaling-group`.
    struct TerminateInput("a TerminateInstanceInAutoScalingGroup call") {
        /// Instance, by id or launch number (#0).
        instance: At<String> = "InstanceId",
        /// Whether the group shrinks by it.
        decrement: bool = "ShouldDecrementDesiredCapacity",
    }
}

object! {
    /// Input of `autoscaling suspend-processes` and `resume-processes`.
    struct ProcessesInput("a SuspendProcesses or ResumeProcesses call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Processes; none means all.
        processes: Vec<At<String>> = "ScalingProcesses",
    }
}

object! {
    /// Input of `application-autoscaling delete-scaling-policy`.
    struct DeleteScalingPolicyInput("a DeleteScalingPolicy call") {
        /// Policy.
        name: At<String> = "PolicyName",
        /// service/<cluster>/<service>.
        resource: At<String> = "ResourceId",
        /// Opaque.
        namespace: Opaque = "ServiceNamespace",
        /// Opaque.
        dimension: Opaque = "ScalableDimension",
    }
}

object! {
    /// Input of `application-autoscaling deregister-scalable-target`.
    struct DeregisterTargetInput("a DeregisterScalableTarget call") {
        /// service/<cluster>/<service>.
        resource: At<String> = "ResourceId",
        /// Opaque.
        namespace: Opaque = "ServiceNamespace",
        /// Opaque.
        dimension: Opaque = "ScalableDimension",
    }
}

object! {
    /// Input of `application-autoscaling delete-scheduled-action`.
    struct DeleteScheduledActionInput("a DeleteScheduledAction call") {
        /// Scheduled action.
        name: At<String> = "ScheduledActionName",
        /// service/<cluster>/<service>.
        resource: At<String> = "ResourceId",
        /// Opaque.
        namespace: Opaque = "ServiceNamespace",
        /// Opaque.
        dimension: Opaque = "ScalableDimension",
    }
}

object! {
    /// Input of `autoscaling delete-scheduled-action`.
    struct DeleteGroupScheduledActionInput("a DeleteScheduledAction call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Scheduled action.
        name: At<String> = "ScheduledActionName",
    }
}

object! {
    /// Input of `autoscaling delete-policy`.
    struct DeletePolicyInput("a DeletePolicy call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Policy.
        name: At<String> = "PolicyName",
    }
}

object! {
    /// Input of `events enable-rule` and `disable-rule`.
    struct EventRuleNameInput("a call about an event rule") {
        /// Rule.
        name: At<String> = "Name",
    }
    ignored { "EventBusName": "there is one bus", }
}

object! {
    /// Input of `cloudwatch delete-alarms` and its kin.
    struct AlarmNamesInput("a call about alarms") {
        /// Alarms.
        names: Vec<At<String>> = "AlarmNames",
    }
}
