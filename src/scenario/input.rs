//! The inputs as they are written: one type per AWS call, spelled as in `aws … --cli-input-json`, and ecsim's own
//! sections (design, section 3). What AWS knows and ecsim does not model is listed with the reason.

use super::decode::{AnyWhole, At, Count, Measured, Named, Opaque, Raw, Said, Section, Whole, keyword, object};
use super::event_rules::EventRuleInput;
use super::messages::MessagesInput;
use super::quantity::{Dist, Mebibytes, Plain, Quantity, Seconds};
use crate::ecs::image::PullBehaviour;
use crate::ecs::service::SchedulingStrategy;
use crate::ecs::software::VersionConsistency;
use crate::ecs::task_definition::{CpuArchitecture, NetworkMode, Protocol};
use crate::engine::time::SimDuration;
use crate::scaling::alarm::{AlarmState, ComparisonOperator, MissingData};
use crate::scaling::policy::{AdjustmentType, Aggregation};
use crate::workload::per_request::OnTimeout;
use crate::workload::trace::Gaps;

object! {
    /// A scenario of ecsim: an ECS estate, what the outside world asks of it, and how long to watch.
    pub(crate) struct ScenarioFile("the scenario") {
        /// Name of the scenario; the output folder is called after it. Default: the file's name.
        name: Section<Option<At<String>>> = "name",
        /// What the scenario shows.
        description: Section<Option<String>> = "description",
        /// Wall-clock instant of time zero, RFC 3339. Default 2026-01-05T00:00:00Z, a Monday.
        start: Section<Option<At<String>>> = "start",
        /// How long to simulate. Default 1d.
        duration: Section<Option<At<SimDuration>>> = "duration",
        /// Excluded from statistics. Default 0s.
        warmup: Section<Option<At<SimDuration>>> = "warmup",
        /// Seed of all chance. Default 1.
        seed: Section<Option<Whole<0, { i64::MAX }>>> = "seed",
        /// How many runs with different chance. Default 1.
        replications: Section<Option<Whole<1, 1_000_000>>> = "replications",
        /// AWS Region. Default us-east-1.
        region: Section<Option<At<String>>> = "region",
        /// Inputs of `ecs create-cluster`; `default` exists.
        clusters: Section<Vec<ClusterInput>> = "clusters",
        /// Inputs of `ecs create-capacity-provider`.
        capacity_providers: Section<Vec<CapacityProviderInput>> = "capacityProviders",
        /// Inputs of `autoscaling create-auto-scaling-group`, with what the hosts bring to ECS.
        auto_scaling_groups: Section<Vec<GroupInput>> = "autoScalingGroups",
        /// Inputs of `autoscaling put-lifecycle-hook`.
        lifecycle_hooks: Section<Vec<HookInput>> = "lifecycleHooks",
        /// Inputs of `autoscaling put-warm-pool`.
        warm_pools: Section<Vec<WarmPoolInput>> = "warmPools",
        /// Inputs of `ecs register-task-definition`, with `behaviour`.
        task_definitions: Section<Vec<Measured<TaskDefinitionInput>>> = "taskDefinitions",
        /// Inputs of `ecs create-service`.
        services: Section<Vec<ServiceInput>> = "services",
        /// Inputs of `elbv2 create-target-group`, with `Attributes` and `loadBalancer`.
        target_groups: Section<Vec<TargetGroupInput>> = "targetGroups",
        /// Inputs of `elbv2 create-load-balancer`.
        load_balancers: Section<Vec<LoadBalancerInput>> = "loadBalancers",
        /// Inputs of `application-autoscaling register-scalable-target`.
        scalable_targets: Section<Vec<ScalableTargetInput>> = "scalableTargets",
        /// Inputs of `application-autoscaling put-scaling-policy`.
        scaling_policies: Section<Vec<ScalingPolicyInput>> = "scalingPolicies",
        /// Inputs of `autoscaling put-scaling-policy`.
        asg_policies: Section<Vec<GroupPolicyInput>> = "asgPolicies",
        /// Inputs of `application-autoscaling put-scheduled-action`.
        scheduled_actions: Section<Vec<ScheduledActionInput>> = "scheduledActions",
        /// Inputs of `autoscaling put-scheduled-update-group-action`.
        asg_scheduled_actions: Section<Vec<GroupScheduledActionInput>> = "asgScheduledActions",
        /// Inputs of `cloudwatch put-metric-alarm`.
        alarms: Section<Vec<AlarmInput>> = "alarms",
        /// Replayed CloudWatch series.
        metrics: Section<Vec<MetricInput>> = "metrics",
        /// What the outside world asks for.
        workloads: Section<Vec<WorkloadInput>> = "workloads",
        /// EventBridge rules: inputs of `events put-rule`, each with its targets.
        event_rules: Section<Vec<EventRuleInput>> = "eventRules",
        /// The operator's timeline.
        actions: Section<Vec<ActionInput>> = "actions",
        /// What goes wrong, at a time or at random.
        faults: Section<Vec<FaultInput>> = "faults",
        /// Spot capacity of types in zones: price, room over time, rate of interruptions.
        spot_pools: Section<Vec<SpotPoolInput>> = "spotPools",
        /// A program that places tasks in place of ECS.
        scheduler: Section<Option<SchedulerInput>> = "scheduler",
        /// Every latency as a distribution.
        delays: Section<Option<DelaysInput>> = "delays",
        /// The knobs of the specification, under the names they have there.
        behaviour: Section<Option<Raw>> = "behaviour",
        /// Instance types that the catalogue lacks, as `ec2 describe-instance-types` answers.
        instance_types: Section<Vec<InstanceTypeInput>> = "instanceTypes",
        /// Overrides of the price catalogue.
        prices: Section<Option<PricesInput>> = "prices",
        /// Bounds on summary metrics, judged and reported.
        slo: Section<Vec<SloInput>> = "slo",
        /// Named changes to this file.
        variants: Section<Named<VariantInput>> = "variants",
        /// Other files merged in first.
        include: Section<Option<Raw>> = "include",
    }
}

// ---------------------------------------------------------------------------------------------------------- ECS

object! {
    /// Input of `ecs create-cluster`.
    pub(crate) struct ClusterInput("a cluster") {
        /// Name of the cluster. Default `default`.
        name: Option<At<String>> = "clusterName",
        /// Capacity providers associated with it.
        capacity_providers: Vec<At<String>> = "capacityProviders",
        /// Strategy of tasks and services that choose nothing themselves.
        default_strategy: Vec<StrategyItemInput> = "defaultCapacityProviderStrategy",
        /// Whether it has Container Insights, which costs.
        settings: Vec<ClusterSettingInput> = "settings",
    }
    ignored {
        "tags": "tags change nothing",
        "configuration": "how commands are executed in containers changes nothing",
        "serviceConnectDefaults": "Service Connect is not simulated",
    }
}

object! {
    /// A setting of a cluster.
    pub(crate) struct ClusterSettingInput("a cluster setting") {
        /// The only one there is.
        name: ClusterSettingWord = "name",
        /// Container Insights, whole or not at all. Default disabled.
        value: InsightsWord = "value",
    }
}

keyword! {
    /// What a setting of a cluster is about.
    pub(crate) enum ClusterSettingWord {
        /// Container Insights.
        ContainerInsights = "containerInsights",
    }
}

keyword! {
    /// How much of Container Insights there is.
    pub(crate) enum InsightsWord {
        /// The metrics of clusters and services.
        Enabled = "enabled",
        /// Those of tasks and containers too, which nobody here watches.
        Enhanced = "enhanced",
        /// None.
        Disabled = "disabled",
    }
}

object! {
    /// Input of `ecs put-cluster-capacity-providers`.
    pub(crate) struct ClusterProvidersInput("a PutClusterCapacityProviders call") {
        /// Cluster.
        cluster: At<String> = "cluster",
        /// All the capacity providers it is to have.
        capacity_providers: Vec<At<String>> = "capacityProviders",
        /// Strategy of tasks and services that choose nothing themselves.
        default_strategy: Vec<StrategyItemInput> = "defaultCapacityProviderStrategy",
    }
}

object! {
    /// An item of a capacity provider strategy.
    pub(crate) struct StrategyItemInput("a strategy item") {
        /// Name of the provider, `FARGATE` or `FARGATE_SPOT`.
        provider: At<String> = "capacityProvider",
        /// Share of the tasks above base. Default 0.
        weight: Option<Whole<0, 1000>> = "weight",
        /// Tasks that go there first. Default 0.
        base: Option<Whole<0, 100_000>> = "base",
    }
}

keyword! {
    /// A switch as ECS spells it.
    pub(crate) enum Switch {
        /// On.
        Enabled = "ENABLED",
        /// Off.
        Disabled = "DISABLED",
    }
}

object! {
    /// Input of `ecs create-capacity-provider`.
    pub(crate) struct CapacityProviderInput("a capacity provider") {
        /// Name of the provider.
        name: At<String> = "name",
        /// The group and how it is scaled.
        group_provider: GroupProviderInput = "autoScalingGroupProvider",
        /// Cluster it is associated with, when no cluster lists it.
        cluster: Option<At<String>> = "cluster",
    }
    ignored { "tags": "tags change nothing", }
    refused { "managedInstancesProvider": "ECS Managed Instances (CP-1)", }
}

object! {
    /// The Auto Scaling group of a capacity provider.
    pub(crate) struct GroupProviderInput("autoScalingGroupProvider") {
        /// Name or ARN of the group.
        group: At<String> = "autoScalingGroupArn",
        /// Managed scaling. Absent: disabled.
        managed_scaling: Option<ManagedScalingInput> = "managedScaling",
        /// Keeps hosts with tasks from scale-in. Default DISABLED.
        termination_protection: Option<Switch> = "managedTerminationProtection",
        /// Drains hosts before they go. Default ENABLED.
        draining: Option<Switch> = "managedDraining",
    }
}

object! {
    /// Managed scaling of a capacity provider.
    pub(crate) struct ManagedScalingInput("managedScaling") {
        /// ENABLED or DISABLED. Default ENABLED when `managedScaling` is given.
        status: Option<Switch> = "status",
        /// Utilisation to keep, percent. Default 100.
        target_capacity: Option<Whole<1, 100>> = "targetCapacity",
        /// Fewest instances a scale-out adds. Default 1.
        minimum_step: Option<Whole<1, 10_000>> = "minimumScalingStepSize",
        /// Most instances a scale-out adds. Default 10000.
        maximum_step: Option<Whole<1, 10_000>> = "maximumScalingStepSize",
        /// Seconds a new instance warms up. Default 300.
        instance_warmup: Option<Whole<0, 10_000>> = "instanceWarmupPeriod",
    }
}

keyword! {
    /// A launch type.
    pub(crate) enum LaunchTypeWord {
        /// EC2 container instances.
        Ec2 = "EC2",
        /// Fargate.
        Fargate = "FARGATE",
        /// ECS Anywhere.
        External = "EXTERNAL",
        /// ECS Managed Instances.
        ManagedInstances = "MANAGED_INSTANCES",
    }
}

object! {
    /// Input of `ecs register-task-definition`, with how its tasks behave.
    pub(crate) struct TaskDefinitionInput("a task definition") {
        /// Family; a second definition of a family is its next revision.
        family: At<String> = "family",
        /// Network mode. Default bridge.
        network_mode: Option<At<NetworkMode>> = "networkMode",
        /// The containers.
        containers: Vec<ContainerInput> = "containerDefinitions",
        /// Constraints of every task of the definition.
        placement_constraints: Vec<ConstraintInput> = "placementConstraints",
        /// Launch types it is validated for.
        requires_compatibilities: Vec<At<LaunchTypeWord>> = "requiresCompatibilities",
        /// Task CPU: units ("1024") or vCPUs ("1 vCPU").
        cpu: Option<At<String>> = "cpu",
        /// Task memory: MiB ("2048") or GB ("2 GB").
        memory: Option<At<String>> = "memory",
        /// Fargate storage beyond the 20 GiB included.
        ephemeral_storage: Option<EphemeralStorageInput> = "ephemeralStorage",
        /// Volumes: bind mounts, EFS, or EBS configured at launch.
        volumes: Vec<VolumeInput> = "volumes",
        /// CPU architecture and operating system.
        runtime_platform: Option<RuntimePlatformInput> = "runtimePlatform",
        /// Whose processes its containers see: host or task.
        pid_mode: Option<At<String>> = "pidMode",
        /// Whose memory its containers share: host, task or none.
        ipc_mode: Option<At<String>> = "ipcMode",
        /// Role of its containers; `missingRoles` of a behaviour says which do not exist.
        task_role: Option<At<String>> = "taskRoleArn",
        /// Role that pulls its images and reads its secrets.
        execution_role: Option<At<String>> = "executionRoleArn",
        /// At most 50.
        tags: Vec<At<Opaque>> = "tags",
        /// How its tasks behave. Absent: as those of the family's revision before.
        behaviour: Option<BehaviourInput> = "behaviour",
    }
    ignored {
        "proxyConfiguration": "App Mesh is not simulated",
        "enableFaultInjection": "faults are injected by the scenario",
    }
    refused { "inferenceAccelerators": "Elastic Inference", }
}

object! {
    /// One container of a task definition.
    pub(crate) struct ContainerInput("a container definition") {
        /// Name, unique in the task.
        name: At<String> = "name",
        /// Image; opaque.
        image: Option<String> = "image",
        /// CPU units, relative shares. Default 0.
        cpu: Option<At<Count>> = "cpu",
        /// Hard limit, MiB.
        memory: Option<At<Count>> = "memory",
        /// Soft limit, MiB: what is reserved when given.
        memory_reservation: Option<At<Count>> = "memoryReservation",
        /// Whether its end stops the task. Default true.
        essential: Option<bool> = "essential",
        /// Ports.
        port_mappings: Vec<PortMappingInput> = "portMappings",
        /// GPUs.
        resource_requirements: Vec<ResourceRequirementInput> = "resourceRequirements",
        /// Environment; opaque.
        environment: Vec<KeyValueInput> = "environment",
        /// Seconds from SIGTERM to SIGKILL. Default 30.
        stop_timeout: Option<At<Count>> = "stopTimeout",
        /// How tasks of the definition behave; on one container, or on the task. Absent: as the revision before.
        behaviour: Option<BehaviourInput> = "behaviour",
        /// Restarts in place of a container that has ended.
        restart_policy: Option<RestartPolicyInput> = "restartPolicy",
        /// Containers of the task that it starts after.
        depends_on: Vec<DependencyInput> = "dependsOn",
        /// Seconds that its dependents wait for more than its start. Default: for ever.
        start_timeout: Option<Count> = "startTimeout",
        /// Whether it may do anything on the host; not on Fargate.
        privileged: Option<At<bool>> = "privileged",
        /// Containers of the same instance; bridge mode only.
        links: Vec<At<String>> = "links",
        /// The container's own health check.
        health_check: Option<HealthCheckInput> = "healthCheck",
        /// Where its task's volumes are mounted.
        mount_points: Vec<MountPointInput> = "mountPoints",
        /// Secrets in its environment; `missingSecrets` of a behaviour says which do not exist.
        secrets: Vec<SecretInput> = "secrets",
        /// Files of environment variables in S3, at most ten.
        environment_files: Vec<At<Opaque>> = "environmentFiles",
        /// Where its logs go.
        log: Option<LogInput> = "logConfiguration",
        /// Kernel features; few of them on Fargate.
        linux: Option<LinuxParametersInput> = "linuxParameters",
        /// enabled (default): all tasks of a deployment run what the tag named when it began; or disabled.
        version_consistency: Option<VersionConsistency> = "versionConsistency",
        /// Not on Fargate.
        disable_networking: Option<At<bool>> = "disableNetworking",
        /// Not on Fargate.
        dns_servers: Vec<At<String>> = "dnsServers",
        /// Not on Fargate.
        dns_search_domains: Vec<At<String>> = "dnsSearchDomains",
        /// Not on Fargate.
        extra_hosts: Vec<At<Opaque>> = "extraHosts",
        /// Not on Fargate.
        docker_security_options: Vec<At<String>> = "dockerSecurityOptions",
        /// What a real container runs; a simulation is told by `behaviour`. Default: the image's.
        command: Vec<String> = "command",
        /// What `command` is given to. Default: the image's.
        entry_point: Vec<String> = "entryPoint",
        /// Where a real container begins.
        working_directory: Option<String> = "workingDirectory",
        /// As whom a real container runs.
        user: Option<String> = "user",
        /// Whether a real container cannot write to its image's files. Default false.
        read_only_root: Option<bool> = "readonlyRootFilesystem",
        /// Limits of a real container's processes.
        ulimits: Vec<UlimitInput> = "ulimits",
    }
    ignored {
        "hostname": "it changes nothing",
        "firelensConfiguration": "logging neither blocks nor costs anything",
        "volumesFrom": "volumes hold no task back",
        "dockerLabels": "labels change nothing",
        "interactive": "it changes nothing",
        "pseudoTerminal": "it changes nothing",
        "systemControls": "it changes nothing",
        "credentialSpecs": "it changes nothing",
        "repositoryCredentials": "it changes nothing",
    }
}

object! {
    /// A limit of a container's processes.
    pub(crate) struct UlimitInput("a ulimit") {
        /// Name, for example nofile.
        name: String = "name",
        /// Soft limit.
        soft: Whole<-1, { i64::MAX }> = "softLimit",
        /// Hard limit.
        hard: Whole<-1, { i64::MAX }> = "hardLimit",
    }
}

object! {
    /// A secret in the environment of a container.
    pub(crate) struct SecretInput("a secret") {
        /// Name of the variable.
        name: At<String> = "name",
        /// Where it is kept.
        value_from: At<String> = "valueFrom",
    }
}

object! {
    /// Where the logs of a container go.
    pub(crate) struct LogInput("logConfiguration") {
        /// awslogs, splunk, awsfirelens; others on hosts only.
        driver: At<String> = "logDriver",
        /// Opaque.
        options: Opaque = "options",
        /// Secrets of the log driver; opaque.
        secret_options: Opaque = "secretOptions",
    }
}

object! {
    /// Kernel features of a container.
    pub(crate) struct LinuxParametersInput("linuxParameters") {
        /// Linux capabilities.
        capabilities: Option<KernelCapabilitiesInput> = "capabilities",
        /// Opaque.
        devices: Opaque = "devices",
        /// Whether a real container has an init process. Default false.
        init: Option<bool> = "initProcessEnabled",
        /// Opaque.
        shared_memory: Opaque = "sharedMemorySize",
        /// Volumes in memory.
        tmpfs: Vec<TmpfsInput> = "tmpfs",
        /// MiB; not on Fargate.
        max_swap: Option<At<AnyWhole>> = "maxSwap",
        /// 0 to 100; not on Fargate.
        swappiness: Option<At<Whole<0, 100>>> = "swappiness",
    }
}

object! {
    /// Linux capabilities that a container has beyond Docker's, or has not.
    pub(crate) struct KernelCapabilitiesInput("capabilities") {
        /// On Fargate, SYS_PTRACE only.
        add: Vec<At<String>> = "add",
        /// Any.
        drop: Vec<At<String>> = "drop",
    }
}

object! {
    /// A volume in memory.
    pub(crate) struct TmpfsInput("a tmpfs volume") {
        /// Where it is mounted.
        path: At<String> = "containerPath",
        /// MiB; part of the memory of its container.
        size: At<Count> = "size",
        /// Opaque.
        options: Opaque = "mountOptions",
    }
}

object! {
    /// A volume of a task definition.
    pub(crate) struct VolumeInput("a volume") {
        /// Name.
        name: At<String> = "name",
        /// A directory of the host; without a path, one that lives as long as the task.
        host: Option<At<HostVolumeInput>> = "host",
        /// A volume of Docker's; opaque.
        docker: Option<At<Opaque>> = "dockerVolumeConfiguration",
        /// A file system on EFS; opaque.
        efs: Option<At<Opaque>> = "efsVolumeConfiguration",
        /// A file system on FSx for Windows File Server; opaque.
        fsx: Option<At<Opaque>> = "fsxWindowsFileServerVolumeConfiguration",
        /// Whether it is an EBS volume that the call or service configures.
        configured_at_launch: Option<At<bool>> = "configuredAtLaunch",
    }
    refused { "s3filesVolumeConfiguration": "S3 file systems", }
}

object! {
    /// A directory of the host.
    pub(crate) struct HostVolumeInput("host") {
        /// Its path.
        source_path: Option<At<String>> = "sourcePath",
    }
}

object! {
    /// Where a volume is mounted.
    pub(crate) struct MountPointInput("a mount point") {
        /// Name of the volume.
        volume: Option<At<String>> = "sourceVolume",
        /// Where in a real container.
        path: Option<String> = "containerPath",
        /// Whether a real container can only read it. Default false.
        read_only: Option<bool> = "readOnly",
    }
}

object! {
    /// An EBS volume of a call or service.
    pub(crate) struct VolumeConfigurationInput("a volume configuration") {
        /// Name of the volume in the task definition.
        name: At<String> = "name",
        /// The volume.
        ebs: Option<EbsVolumeInput> = "managedEBSVolume",
    }
}

object! {
    /// An EBS volume that ECS manages.
    pub(crate) struct EbsVolumeInput("managedEBSVolume") {
        /// GiB; may be left out when it comes from a snapshot.
        size: Option<At<Count>> = "sizeInGiB",
        /// gp2, gp3, io1, io2, st1, sc1 or standard. Default gp3.
        kind: Option<At<String>> = "volumeType",
        /// Operations per second.
        iops: Option<At<Count>> = "iops",
        /// Snapshot it is made from.
        snapshot: Option<At<String>> = "snapshotId",
    }
    ignored {
        "encrypted": "it changes nothing",
        "kmsKeyId": "it changes nothing",
        "throughput": "disks are as fast as needed",
        "volumeInitializationRate": "volumes take the time of `ebs_attach_s` to attach",
        "tagSpecifications": "tags change nothing",
        "roleArn": "roles change nothing",
        "filesystemType": "it changes nothing",
        "terminationPolicy": "a volume goes with its task; its storage is not billed",
    }
}

object! {
    /// A container that another one waits for.
    pub(crate) struct DependencyInput("an entry of dependsOn") {
        /// Which.
        container: At<String> = "containerName",
        /// What it waits for.
        condition: At<ConditionWord> = "condition",
    }
}

keyword! {
    /// Condition of a dependency between containers.
    pub(crate) enum ConditionWord {
        /// It has started.
        Start = "START",
        /// It has ended.
        Complete = "COMPLETE",
        /// It has ended with 0.
        Success = "SUCCESS",
        /// Its health check has passed.
        Healthy = "HEALTHY",
    }
}

object! {
    /// A container health check.
    pub(crate) struct HealthCheckInput("healthCheck") {
        /// What a real container is probed with; in a simulation `behaviour` tells whether it passes.
        command: Vec<String> = "command",
        /// Seconds between probes. Default 30.
        interval: Option<Whole<5, 300>> = "interval",
        /// Seconds until a probe fails. Default 5.
        timeout: Option<Whole<2, 60>> = "timeout",
        /// Failures in a row that make it unhealthy. Default 3.
        retries: Option<Whole<1, 10>> = "retries",
        /// Seconds in which failures do not count.
        start_period: Option<Whole<0, 300>> = "startPeriod",
    }
}

object! {
    /// Restarts in place.
    pub(crate) struct RestartPolicyInput("a restart policy") {
        /// Whether it is on.
        enabled: Option<bool> = "enabled",
        /// Exit codes that are not restarted.
        ignored_exit_codes: Option<At<Vec<Whole<0, 255>>>> = "ignoredExitCodes",
        /// Seconds that it has to have run before. Default 300.
        attempt_period: Option<At<Count>> = "restartAttemptPeriod",
    }
}

object! {
    /// One port of a container.
    pub(crate) struct PortMappingInput("a port mapping") {
        /// Port inside the container.
        container_port: Option<At<Whole<0, 65_535>>> = "containerPort",
        /// Port on the host; absent or 0 is dynamic in bridge mode.
        host_port: Option<At<Whole<0, 65_535>>> = "hostPort",
        /// Ports in a row, in place of one: `80-85`. The host's are as many in a row, chosen by the agent.
        container_port_range: Option<At<String>> = "containerPortRange",
        /// tcp or udp. Default tcp.
        protocol: Option<Protocol> = "protocol",
    }
    ignored { "name": "Service Connect is not simulated", "appProtocol": "Service Connect is not simulated", }
}

object! {
    /// A special resource of a container.
    pub(crate) struct ResourceRequirementInput("a resource requirement") {
        /// GPU.
        kind: At<String> = "type",
        /// How many.
        value: At<String> = "value",
    }
}

object! {
    /// A name and a value.
    pub(crate) struct KeyValueInput("an environment entry") {
        /// Name.
        name: String = "name",
        /// Value.
        value: Option<String> = "value",
    }
}

keyword! {
    /// Kind of a placement constraint.
    pub(crate) enum ConstraintWord {
        /// No two on one instance.
        DistinctInstance = "distinctInstance",
        /// Only instances that match the expression.
        MemberOf = "memberOf",
    }
}

object! {
    /// A placement constraint.
    pub(crate) struct ConstraintInput("a placement constraint") {
        /// distinctInstance or memberOf.
        kind: At<ConstraintWord> = "type",
        /// Expression of the cluster query language.
        expression: Option<At<String>> = "expression",
    }
}

keyword! {
    /// Kind of a placement strategy.
    pub(crate) enum StrategyWord {
        /// Any.
        Random = "random",
        /// Evenly over the field.
        Spread = "spread",
        /// The fullest that fits.
        Binpack = "binpack",
    }
}

object! {
    /// A placement strategy.
    pub(crate) struct PlacementStrategyInput("a placement strategy") {
        /// random, spread or binpack.
        kind: At<StrategyWord> = "type",
        /// instanceId, host, attribute:…, cpu or memory.
        field: Option<At<String>> = "field",
    }
}

object! {
    /// Fargate storage.
    pub(crate) struct EphemeralStorageInput("ephemeralStorage") {
        /// Total size.
        size: Whole<21, 200> = "sizeInGiB",
    }
}

object! {
    /// Platform of a task.
    pub(crate) struct RuntimePlatformInput("runtimePlatform") {
        /// X86_64 or ARM64. Default X86_64.
        cpu_architecture: Option<CpuArchitecture> = "cpuArchitecture",
        /// LINUX or a Windows family. Default LINUX.
        operating_system: Option<At<String>> = "operatingSystemFamily",
    }
}

object! {
    /// How the tasks of a definition behave (ecsim's own).
    pub(crate) struct BehaviourInput("`behaviour` of a task") {
        /// Container start until its probes pass and it takes requests; RUNNING does not wait for it.
        startup: Option<Dist<Seconds>> = "startup",
        /// How long it runs, drawn anew at each start; longer with less CPU than it asks for. Absent: for ever.
        runs_for: Option<Dist<Seconds>> = "runsFor",
        /// SIGTERM to exit, cut by `stopTimeout`.
        shutdown: Option<Dist<Seconds>> = "shutdown",
        /// Spans since container start in which no probe is answered.
        unresponsive: Vec<At<Vec<SimDuration>>> = "unresponsive",
        /// Exit code when `runsFor` is over. Default 0.
        exit_code: Option<Whole<0, 255>> = "exitCode",
        /// CPU it would use by itself, as a fraction of the reservation; above 1 it takes idle CPU of its host.
        cpu: Option<Dist<Plain>> = "cpu",
        /// Memory used, page cache left out; a task that draws more than its hard limit is killed. Absent: half the
        /// reservation.
        memory: Option<Dist<Mebibytes>> = "memory",
        /// Bytes a second that it receives, while it runs. Default 0B.
        network_rx: Option<Quantity<Mebibytes>> = "networkRx",
        /// Bytes a second that it sends.
        network_tx: Option<Quantity<Mebibytes>> = "networkTx",
        /// Bytes a second that it reads from storage.
        storage_read: Option<Quantity<Mebibytes>> = "storageRead",
        /// Bytes a second that it writes to storage.
        storage_write: Option<Quantity<Mebibytes>> = "storageWrite",
        /// The image.
        image: Option<ImageInput> = "image",
        /// Crashes at random times.
        crashes: Option<CrashesInput> = "crashes",
        /// Names of its secrets that do not exist: its tasks fail before they pull an image.
        missing_secrets: Vec<At<String>> = "missingSecrets",
        /// Roles of its definition that do not exist, or that ECS may not assume: its tasks fail before they pull an image.
        missing_roles: Vec<At<String>> = "missingRoles",
        /// HTTP status that it answers health checks of a path with: `{/health: 200}`. Other paths answer 404; without any,
        /// all answer 200.
        probe_status: Named<Whole<100, 599>> = "probeStatus",
        /// What a real container is made of, in place of the definition's `image`.
        real_image: Option<String> = "realImage",
    }
}

object! {
    /// Crashes of a container.
    pub(crate) struct CrashesInput("`crashes` of a behaviour") {
        /// Time from a start to the crash, drawn anew at each start.
        mtbf: Dist<Seconds> = "mtbf",
    }
}

object! {
    /// What is pulled before a container starts.
    pub(crate) struct ImageInput("`image` of a behaviour") {
        /// Compressed size, MiB.
        size_mib: Option<Quantity<Plain>> = "sizeMiB",
        /// Layers that other images may have too: name to compressed size in MiB. A bare number of layers changes nothing.
        layers: Option<Raw> = "layers",
        /// What it takes on a disk, MiB. Default: `image_uncompressed_ratio` times its compressed size.
        uncompressed_mib: Option<Quantity<Plain>> = "uncompressedMiB",
        /// Whether the registry has no such image: its pulls fail. Default false.
        missing: Option<bool> = "missing",
        /// gzip or zstd. Default gzip.
        compression: Option<CompressionWord> = "compression",
        /// Whether its repository has a SOCI index of it. Default false.
        soci_index: Option<bool> = "sociIndex",
    }
}

keyword! {
    /// How the layers of an image are compressed.
    pub(crate) enum CompressionWord {
        /// As most are.
        Gzip = "gzip",
        /// Faster to unpack.
        Zstd = "zstd",
    }
}

object! {
    /// Input of `ecs create-service`.
    pub(crate) struct ServiceInput("a service") {
        /// Name.
        name: At<String> = "serviceName",
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Family, or family:revision; task sets of an EXTERNAL controller have their own.
        task_definition: Option<At<String>> = "taskDefinition",
        /// How many tasks.
        desired_count: Option<At<AnyWhole>> = "desiredCount",
        /// EC2 or FARGATE.
        launch_type: Option<At<LaunchTypeWord>> = "launchType",
        /// Capacity provider strategy.
        strategy: Option<At<Vec<StrategyItemInput>>> = "capacityProviderStrategy",
        /// REPLICA or DAEMON. Default REPLICA.
        scheduling: Option<At<SchedulingStrategy>> = "schedulingStrategy",
        /// Placement constraints.
        placement_constraints: Vec<ConstraintInput> = "placementConstraints",
        /// Placement strategies, applied in order.
        placement_strategy: Vec<PlacementStrategyInput> = "placementStrategy",
        /// How deployments proceed.
        deployment: Option<DeploymentConfigurationInput> = "deploymentConfiguration",
        /// Target groups.
        load_balancers: Vec<ServiceLoadBalancerInput> = "loadBalancers",
        /// Seconds after RUNNING in which health checks are ignored. Default 0.
        grace_period: Option<Count> = "healthCheckGracePeriodSeconds",
        /// Subnets, as Availability Zone names; ids of subnets say no zone, and stand for all of them.
        network: Option<NetworkInput> = "networkConfiguration",
        /// Platform of Fargate tasks: LATEST (default), or its three numbers. Fargate Spot needs a recent one.
        platform_version: Option<At<String>> = "platformVersion",
        /// Rebalancing of tasks over zones.
        rebalancing: Option<At<Switch>> = "availabilityZoneRebalancing",
        /// Who deploys: ECS unless said.
        controller: Option<ControllerInput> = "deploymentController",
        /// Resolution of metrics.
        monitoring: Option<MonitoringInput> = "monitoring",
        /// A call with the token of an earlier one asks for nothing new.
        client_token: Option<At<String>> = "clientToken",
        /// Service discovery: at most 1000 tasks.
        registries: Option<Said<Opaque>> = "serviceRegistries",
        /// Service Connect.
        service_connect: Option<ServiceConnectInput> = "serviceConnectConfiguration",
        /// Volumes; a change starts a deployment.
        volumes: Option<Said<Vec<VolumeConfigurationInput>>> = "volumeConfigurations",
        /// VPC Lattice; a change starts a deployment.
        lattice: Option<Said<Opaque>> = "vpcLatticeConfigurations",
    }
    ignored {
        "tags": "tags change nothing",
        "enableECSManagedTags": "tags change nothing",
        "propagateTags": "tags change nothing",
        "role": "roles change nothing",
        "enableExecuteCommand": "it changes nothing",
    }
}

object! {
    /// Service Connect of a service.
    pub(crate) struct ServiceConnectInput("serviceConnectConfiguration") {
        /// Whether it is on.
        enabled: bool = "enabled",
        /// Opaque.
        namespace: Opaque = "namespace",
        /// Opaque.
        services: Opaque = "services",
        /// Opaque.
        log_configuration: Opaque = "logConfiguration",
        /// Opaque.
        access_log: Opaque = "accessLogConfiguration",
    }
}

object! {
    /// How often the metrics of a service are published.
    pub(crate) struct MonitoringInput("monitoring") {
        /// Metrics at another resolution than 60 s.
        configurations: Vec<MetricConfigurationInput> = "metricConfigurations",
    }
}

object! {
    /// The resolution of some metrics of a service.
    pub(crate) struct MetricConfigurationInput("a metric configuration") {
        /// CPUUtilization, MemoryUtilization.
        metrics: Vec<At<String>> = "metricNames",
        /// 20 or 60.
        resolution: At<Count> = "resolutionSeconds",
    }
}

object! {
    /// Who deploys a service.
    pub(crate) struct ControllerInput("deploymentController") {
        /// ECS, CODE_DEPLOY or EXTERNAL.
        kind: ControllerWord = "type",
    }
}

keyword! {
    /// Kind of a deployment controller.
    pub(crate) enum ControllerWord {
        /// ECS itself.
        Ecs = "ECS",
        /// AWS CodeDeploy.
        CodeDeploy = "CODE_DEPLOY",
        /// Whoever makes the task sets.
        External = "EXTERNAL",
    }
}

object! {
    /// How deployments proceed.
    pub(crate) struct DeploymentConfigurationInput("deploymentConfiguration") {
        /// Upper limit in percent of the desired count. Default 200.
        maximum_percent: Option<At<Count>> = "maximumPercent",
        /// Lower limit in percent of the desired count. Default 100.
        minimum_healthy_percent: Option<At<Count>> = "minimumHealthyPercent",
        /// The circuit breaker.
        circuit_breaker: Option<CircuitBreakerInput> = "deploymentCircuitBreaker",
        /// Alarms that fail a deployment.
        alarms: Option<DeploymentAlarmsInput> = "alarms",
        /// ROLLING, BLUE_GREEN, LINEAR or CANARY. Default ROLLING.
        strategy: Option<At<DeploymentStrategyWord>> = "strategy",
        /// Minutes in which alarms are watched, and both revisions run, when all is done.
        bake_time: Option<Whole<0, 1440>> = "bakeTimeInMinutes",
        /// Steps of a LINEAR deployment.
        linear: Option<LinearInput> = "linearConfiguration",
        /// The first step of a CANARY deployment.
        canary: Option<CanaryInput> = "canaryConfiguration",
        /// What holds a deployment at its stages.
        hooks: Option<Vec<DeploymentHookInput>> = "lifecycleHooks",
    }
}

object! {
    /// A lifecycle hook of a deployment.
    pub(crate) struct DeploymentHookInput("a lifecycle hook of a deployment") {
        /// AWS_LAMBDA or PAUSE. Default AWS_LAMBDA.
        kind: Option<HookTargetWord> = "targetType",
        /// The Lambda function.
        target: Option<At<String>> = "hookTargetArn",
        /// Opaque.
        role: Opaque = "roleArn",
        /// Opaque.
        details: Opaque = "hookDetails",
        /// Where it holds the deployment.
        stages: At<Vec<At<LifecycleStageWord>>> = "lifecycleStages",
        /// How long, and what then.
        timeout: Option<HookTimeoutInput> = "timeoutConfiguration",
        /// What the Lambda function answers.
        behaviour: Option<HookBehaviourInput> = "behaviour",
    }
}

keyword! {
    /// What a hook waits for.
    pub(crate) enum HookTargetWord {
        /// A function.
        Lambda = "AWS_LAMBDA",
        /// ContinueServiceDeployment.
        Pause = "PAUSE",
    }
}

keyword! {
    /// A stage that a hook may be put at.
    pub(crate) enum LifecycleStageWord {
        /// More than one revision is there.
        ReconcileService = "RECONCILE_SERVICE",
        /// Before the new tasks start.
        PreScaleUp = "PRE_SCALE_UP",
        /// They are there.
        PostScaleUp = "POST_SCALE_UP",
        /// Test traffic moves.
        TestTrafficShift = "TEST_TRAFFIC_SHIFT",
        /// It has moved.
        PostTestTrafficShift = "POST_TEST_TRAFFIC_SHIFT",
        /// Before each step of the production traffic.
        PreProductionTrafficShift = "PRE_PRODUCTION_TRAFFIC_SHIFT",
        /// Each step.
        ProductionTrafficShift = "PRODUCTION_TRAFFIC_SHIFT",
        /// All of it has moved.
        PostProductionTrafficShift = "POST_PRODUCTION_TRAFFIC_SHIFT",
    }
}

object! {
    /// Time-out of a hook.
    pub(crate) struct HookTimeoutInput("timeoutConfiguration") {
        /// Minutes. Default 1440.
        minutes: Option<Whole<1, 20_160>> = "timeoutInMinutes",
        /// ROLLBACK or CONTINUE. Default ROLLBACK.
        action: Option<ContinueWord> = "action",
    }
}

keyword! {
    /// What becomes of a deployment that a hook holds.
    pub(crate) enum ContinueWord {
        /// It goes on.
        Continue = "CONTINUE",
        /// It goes back.
        Rollback = "ROLLBACK",
    }
}

object! {
    /// How the function of a hook behaves.
    pub(crate) struct HookBehaviourInput("`behaviour` of a lifecycle hook") {
        /// SUCCEEDED, FAILED or IN_PROGRESS, call by call; the last one stays. Default SUCCEEDED.
        answers: Vec<HookAnswerWord> = "answers",
    }
}

keyword! {
    /// `hookStatus`.
    pub(crate) enum HookAnswerWord {
        /// Go on.
        Succeeded = "SUCCEEDED",
        /// Go back.
        Failed = "FAILED",
        /// Ask again.
        InProgress = "IN_PROGRESS",
    }
}

keyword! {
    /// How a deployment proceeds.
    pub(crate) enum DeploymentStrategyWord {
        /// Batch by batch within the limits.
        Rolling = "ROLLING",
        /// A second set of tasks, and all traffic at once.
        BlueGreen = "BLUE_GREEN",
        /// A second set of tasks, and traffic step by step.
        Linear = "LINEAR",
        /// A second set of tasks, a little traffic first, then all.
        Canary = "CANARY",
    }
}

object! {
    /// Steps of a LINEAR deployment.
    pub(crate) struct LinearInput("linearConfiguration") {
        /// Percent of the traffic a step, 3.0 to 100.0. Default 10.
        step: Option<At<f64>> = "stepPercent",
        /// Minutes between steps. Default 6.
        bake: Option<Whole<0, 1440>> = "stepBakeTimeInMinutes",
    }
}

object! {
    /// The first step of a CANARY deployment.
    pub(crate) struct CanaryInput("canaryConfiguration") {
        /// Percent of the traffic, 0.1 to 100.0. Default 5.
        percent: Option<At<f64>> = "canaryPercent",
        /// Minutes before the rest follows. Default 10.
        bake: Option<Whole<0, 1440>> = "canaryBakeTimeInMinutes",
    }
}

object! {
    /// The deployment circuit breaker.
    pub(crate) struct CircuitBreakerInput("deploymentCircuitBreaker") {
        /// Whether it is on.
        enable: Option<At<bool>> = "enable",
        /// Whether it rolls back.
        rollback: Option<bool> = "rollback",
        /// Whether a healthy task resets the count. Default true.
        reset: Option<bool> = "resetOnHealthyTask",
        /// When it trips. Default: half the desired count, 3 to 200.
        threshold: Option<BreakerThresholdInput> = "thresholdConfiguration",
    }
}

object! {
    /// When the deployment circuit breaker trips.
    pub(crate) struct BreakerThresholdInput("thresholdConfiguration") {
        /// BOUNDED_PERCENT, UNBOUNDED_PERCENT or COUNT.
        kind: Option<BreakerThresholdWord> = "type",
        /// Percent, or failures.
        value: Option<At<Count>> = "value",
    }
}

keyword! {
    /// How the threshold of a circuit breaker is meant.
    pub(crate) enum BreakerThresholdWord {
        /// Percent of the desired count, 3 to 200.
        BoundedPercent = "BOUNDED_PERCENT",
        /// Percent of the desired count.
        UnboundedPercent = "UNBOUNDED_PERCENT",
        /// Failures.
        Count = "COUNT",
    }
}

object! {
    /// Alarms that fail a deployment.
    pub(crate) struct DeploymentAlarmsInput("alarms of a deployment") {
        /// Names.
        names: Vec<At<String>> = "alarmNames",
        /// Whether they are watched.
        enable: Option<At<bool>> = "enable",
        /// Whether they roll back.
        rollback: Option<bool> = "rollback",
    }
}

object! {
    /// A target group of a service.
    pub(crate) struct ServiceLoadBalancerInput("a load balancer of a service") {
        /// Name or ARN of the target group.
        target_group: Option<At<String>> = "targetGroupArn",
        /// Name of a Classic Load Balancer, instead of a target group.
        balancer: Option<At<String>> = "loadBalancerName",
        /// Container.
        container: At<String> = "containerName",
        /// Its port.
        port: At<Whole<0, 65_535>> = "containerPort",
        /// Where the other revision registers.
        advanced: Option<AdvancedInput> = "advancedConfiguration",
    }
}

object! {
    /// Target groups and listener rules of a blue/green deployment.
    pub(crate) struct AdvancedInput("advancedConfiguration") {
        /// The target group of the other revision.
        alternate: Option<At<String>> = "alternateTargetGroupArn",
        /// Opaque.
        production_rule: Opaque = "productionListenerRule",
        /// Opaque.
        test_rule: Opaque = "testListenerRule",
        /// Opaque.
        role: Opaque = "roleArn",
    }
}

object! {
    /// Where the tasks of a service live in the network.
    pub(crate) struct NetworkInput("networkConfiguration") {
        /// For awsvpc.
        awsvpc: Option<AwsvpcInput> = "awsvpcConfiguration",
    }
}

object! {
    /// Network of awsvpc tasks.
    pub(crate) struct AwsvpcInput("awsvpcConfiguration") {
        /// Availability Zone names stand in for subnets; ids of subnets stand for every zone.
        subnets: Vec<At<String>> = "subnets",
        /// At most five.
        security_groups: Vec<At<String>> = "securityGroups",
        /// ENABLED: tasks on Fargate have a public IPv4 address each, which is billed. Default DISABLED.
        public_ip: Option<At<Switch>> = "assignPublicIp",
    }
}

object! {
    /// Input of `ecs run-task`.
    pub(crate) struct RunTaskInput("a RunTask call") {
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// Family, or family:revision.
        task_definition: At<String> = "taskDefinition",
        /// How many, 1 to 10. Default 1.
        count: Option<At<AnyWhole>> = "count",
        /// EC2 or FARGATE.
        launch_type: Option<At<LaunchTypeWord>> = "launchType",
        /// Capacity provider strategy.
        strategy: Option<At<Vec<StrategyItemInput>>> = "capacityProviderStrategy",
        /// Task group. Default family:<family>.
        group: Option<At<String>> = "group",
        /// Who asked.
        started_by: Option<At<String>> = "startedBy",
        /// Placement constraints.
        placement_constraints: Vec<ConstraintInput> = "placementConstraints",
        /// Placement strategies, applied in order.
        placement_strategy: Vec<PlacementStrategyInput> = "placementStrategy",
        /// Subnets, as Availability Zone names; ids of subnets say no zone, and stand for all of them.
        network: Option<NetworkInput> = "networkConfiguration",
        /// Platform of Fargate tasks: LATEST (default), or its three numbers. Fargate Spot needs a recent one.
        platform_version: Option<At<String>> = "platformVersion",
        /// Overrides of the task's size.
        overrides: Option<Said<OverridesInput>> = "overrides",
        /// Container instances, for StartTask only.
        container_instances: Vec<At<String>> = "containerInstances",
        /// When calls arrive, for workloads only.
        arrivals: Option<Raw> = "arrivals",
        /// A call with the token of an earlier one asks for nothing new.
        client_token: Option<At<String>> = "clientToken",
        /// EBS volumes of the tasks.
        volumes: Vec<VolumeConfigurationInput> = "volumeConfigurations",
    }
    ignored {
        "tags": "tags change nothing",
        "enableECSManagedTags": "tags change nothing",
        "propagateTags": "tags change nothing",
        "referenceId": "it changes nothing",
        "enableExecuteCommand": "it changes nothing",
    }
}

object! {
    /// What one call changes of its task definition.
    pub(crate) struct OverridesInput("`overrides`") {
        /// Task CPU.
        cpu: Option<At<String>> = "cpu",
        /// Task memory.
        memory: Option<At<String>> = "memory",
    }
    ignored { "taskRoleArn": "roles change nothing", "executionRoleArn": "roles change nothing", }
    refused {
        "containerOverrides": "overrides of single containers",
        "inferenceAcceleratorOverrides": "Elastic Inference",
        "ephemeralStorage": "overrides of storage",
    }
}

object! {
    /// Input of `ecs update-service`.
    pub(crate) struct UpdateServiceInput("an UpdateService call") {
        /// Service.
        service: At<String> = "service",
        /// Cluster. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// How many tasks.
        desired_count: Option<At<AnyWhole>> = "desiredCount",
        /// Family, or family:revision.
        task_definition: Option<At<String>> = "taskDefinition",
        /// How deployments proceed.
        deployment: Option<DeploymentConfigurationInput> = "deploymentConfiguration",
        /// Capacity provider strategy.
        strategy: Option<At<Vec<StrategyItemInput>>> = "capacityProviderStrategy",
        /// Placement constraints.
        placement_constraints: Option<Vec<ConstraintInput>> = "placementConstraints",
        /// Placement strategies.
        placement_strategy: Option<Vec<PlacementStrategyInput>> = "placementStrategy",
        /// Seconds after RUNNING in which health checks are ignored.
        grace_period: Option<Count> = "healthCheckGracePeriodSeconds",
        /// A new deployment with nothing changed.
        force: Option<bool> = "forceNewDeployment",
        /// Rebalancing of tasks over zones.
        rebalancing: Option<At<Switch>> = "availabilityZoneRebalancing",
        /// Resolution of metrics.
        monitoring: Option<MonitoringInput> = "monitoring",
        /// Subnets, as Availability Zone names.
        network: Option<NetworkInput> = "networkConfiguration",
        /// Version of the Fargate platform.
        platform_version: Option<String> = "platformVersion",
        /// Target groups.
        load_balancers: Option<Vec<ServiceLoadBalancerInput>> = "loadBalancers",
        /// Service discovery.
        registries: Option<Said<Opaque>> = "serviceRegistries",
        /// Service Connect.
        service_connect: Option<ServiceConnectInput> = "serviceConnectConfiguration",
        /// Volumes.
        volumes: Option<Said<Vec<VolumeConfigurationInput>>> = "volumeConfigurations",
        /// VPC Lattice.
        lattice: Option<Said<Opaque>> = "vpcLatticeConfigurations",
    }
    ignored {
        "enableECSManagedTags": "tags change nothing",
        "propagateTags": "tags change nothing",
        "enableExecuteCommand": "it changes nothing",
    }
    refused {
        "deploymentController": "a change of controller",
    }
}

// -------------------------------------------------------------------------------------------------- Auto Scaling

object! {
    /// Input of `autoscaling create-auto-scaling-group`, with what its hosts bring to ECS.
    pub(crate) struct GroupInput("an Auto Scaling group") {
        /// Name.
        name: At<String> = "AutoScalingGroupName",
        /// Smallest size.
        min_size: At<Count> = "MinSize",
        /// Largest size.
        max_size: At<Count> = "MaxSize",
        /// Size at the start. Default `MinSize`.
        desired_capacity: Option<At<Count>> = "DesiredCapacity",
        /// Zones. Default: a, b and c of the Region.
        availability_zones: Vec<At<String>> = "AvailabilityZones",
        /// Zones again, separated by commas; ids of subnets stand for every zone.
        vpc_zone_identifier: Option<At<String>> = "VPCZoneIdentifier",
        /// Instance type, in place of a launch template.
        instance_type: Option<At<String>> = "InstanceType",
        /// Only named; its version tells how outdated an instance is.
        launch_template: Option<LaunchTemplateInput> = "LaunchTemplate",
        /// Only named.
        launch_configuration: Option<At<String>> = "LaunchConfigurationName",
        /// Several types, on demand and Spot.
        mixed: Option<MixedInstancesInput> = "MixedInstancesPolicy",
        /// New instances start protected from scale-in.
        new_protected: Option<bool> = "NewInstancesProtectedFromScaleIn",
        /// Which instances go first.
        termination_policies: Vec<At<String>> = "TerminationPolicies",
        /// Seconds; default 300.
        default_cooldown: Option<Count> = "DefaultCooldown",
        /// Seconds; -1 clears it.
        default_instance_warmup: Option<Whole<-1, 3600>> = "DefaultInstanceWarmup",
        /// Whether Spot instances are replaced when EC2 recommends it.
        capacity_rebalance: Option<bool> = "CapacityRebalance",
        /// Seconds an instance may live, a day at least; 0 is for ever.
        max_lifetime: Option<At<Count>> = "MaxInstanceLifetime",
        /// Seconds after InService in which only EC2's own health checks count. Default 0.
        health_check_grace: Option<Count> = "HealthCheckGracePeriod",
        /// EC2, or with its load balancers' checks EC2,ELB. Default EC2.
        health_check_type: Option<At<String>> = "HealthCheckType",
        /// Target groups that its hosts are added to, and checked by; requests go to tasks.
        target_groups: Vec<At<String>> = "TargetGroupARNs",
        /// Classic Load Balancers, likewise.
        classic_balancers: Vec<At<String>> = "LoadBalancerNames",
        /// Between which sizes the group stays while it replaces instances.
        maintenance_policy: Option<MaintenancePolicyInput> = "InstanceMaintenancePolicy",
        /// balanced-best-effort (default), balanced-only or reservations-then-balanced.
        zone_distribution: Option<ZoneDistributionInput> = "AvailabilityZoneDistribution",
        /// The agent's ECS_ENABLE_SPOT_INSTANCE_DRAINING. Default false.
        ecs_spot_instance_draining: Option<bool> = "ecsSpotInstanceDraining",
        /// Lifecycle hooks, put with the group.
        hooks: Vec<HookSpecificationInput> = "LifecycleHookSpecificationList",
        /// Cluster its hosts join when no capacity provider says so. Default `default`.
        cluster: Option<At<String>> = "cluster",
        /// What the Lambda function among `TerminationPolicies` returns: container instances that match this expression of
        /// the cluster query language.
        termination_function: Option<At<String>> = "terminationFunction",
        /// Custom attributes of its hosts.
        ecs_attributes: Named<At<String>> = "ecsAttributes",
        /// The agent's ECS_IMAGE_PULL_BEHAVIOR: default, always, once or prefer-cached.
        image_pull_behaviour: Option<PullBehaviour> = "ecsImagePullBehavior",
        /// The agent's ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT. Default false.
        pull_dependents_upfront: Option<bool> = "ecsPullDependentContainersUpfront",
        /// The agent's ECS_CONTAINER_STOP_TIMEOUT. Default 30s.
        container_stop_timeout: Option<At<SimDuration>> = "ecsContainerStopTimeout",
        /// The agent's ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION. Default 3h.
        cleanup_wait: Option<At<SimDuration>> = "ecsEngineTaskCleanupWaitDuration",
        /// The agent's ECS_IMAGE_CLEANUP_INTERVAL. Default 30m.
        image_cleanup_interval: Option<At<SimDuration>> = "ecsImageCleanupInterval",
        /// The agent's ECS_IMAGE_MINIMUM_CLEANUP_AGE. Default 1h.
        image_minimum_age: Option<SimDuration> = "ecsImageMinimumCleanupAge",
        /// The agent's ECS_NUM_IMAGES_DELETE_PER_CYCLE. Default 5.
        images_per_cycle: Option<Whole<1, 1000>> = "ecsNumImagesDeletePerCycle",
        /// The agent's ECS_DISABLE_IMAGE_CLEANUP. Default false.
        disable_image_cleanup: Option<bool> = "ecsDisableImageCleanup",
        /// What its hosts run: LINUX (default) or a Windows family such as WINDOWS_SERVER_2022_CORE.
        operating_system: Option<At<String>> = "operatingSystemFamily",
        /// Version of the ECS agent. Default 1.105.1.
        ecs_agent_version: Option<String> = "ecsAgentVersion",
        /// MiB kept from tasks (ECS_RESERVED_MEMORY). Default 0.
        ecs_reserved_memory: Option<Count> = "ecsReservedMemory",
        /// {cpu, memory} that a host registers, or one pair per instance type.
        registered_resources: Option<Raw> = "registeredResources",
        /// What the operating system calls total memory.
        host_memory_bytes: Option<Whole<0, { i64::MAX }>> = "hostMemoryBytes",
    }
    ignored {
        "Tags": "tags change nothing",
        "ServiceLinkedRoleARN": "roles change nothing",
        "PlacementGroup": "it changes nothing",
        "DesiredCapacityType": "capacity is counted in instances",
        "Context": "it changes nothing",
        "TrafficSources": "`TargetGroupARNs` and `LoadBalancerNames` say the same",
        "SkipZonalShiftValidation": "it changes nothing",
        "AvailabilityZoneIds": "zones are named in `AvailabilityZones`",
    }
    refused {
        "InstanceId": "a group made after an instance",
        "AvailabilityZoneImpairmentPolicy": "zonal shift",
        "CapacityReservationSpecification": "capacity reservations",
        "InstanceLifecyclePolicy": "instance lifecycle policies",
    }
}

object! {
    /// Bounds of a group while it replaces instances, percent of its desired capacity.
    pub(crate) struct MaintenancePolicyInput("InstanceMaintenancePolicy") {
        /// 0 to 100, or -1 for none.
        min_healthy: Whole<-1, 2_147_483_647> = "MinHealthyPercentage",
        /// 100 to 200, or -1 for none.
        max_healthy: Whole<-1, 2_147_483_647> = "MaxHealthyPercentage",
    }
}

object! {
    /// Input of `autoscaling put-lifecycle-hook`.
    pub(crate) struct HookInput("a lifecycle hook") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Name.
        name: At<String> = "LifecycleHookName",
        /// autoscaling:EC2_INSTANCE_LAUNCHING or autoscaling:EC2_INSTANCE_TERMINATING.
        transition: At<String> = "LifecycleTransition",
        /// Seconds, 30 to 7200. Default 3600.
        heartbeat: Option<At<Count>> = "HeartbeatTimeout",
        /// CONTINUE or ABANDON (default).
        default_result: Option<At<String>> = "DefaultResult",
        /// How soon whatever the hook notifies completes it with CONTINUE. Default: nobody does.
        completes_after: Option<Dist<Seconds>> = "completesAfter",
    }
    ignored {
        "NotificationTargetARN": "notifications of hooks go nowhere; completesAfter says when they are answered",
        "NotificationMetadata": "notifications of hooks go nowhere; completesAfter says when they are answered",
        "RoleARN": "roles change nothing",
    }
}

object! {
    /// A launch template, by name or id, and its version.
    pub(crate) struct LaunchTemplateInput("a launch template") {
        /// Name.
        name: Option<At<String>> = "LaunchTemplateName",
        /// Id.
        id: Option<At<String>> = "LaunchTemplateId",
        /// A number, $Latest or $Default.
        version: Option<Raw> = "Version",
    }
}

object! {
    /// Input of `autoscaling put-warm-pool`.
    pub(crate) struct WarmPoolInput("a warm pool") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Instances it holds at least. Default 0.
        min_size: Option<Count> = "MinSize",
        /// Instances of group and pool together; -1 stands for the group's MaxSize, the default.
        max_prepared: Option<Whole<-1, 2_147_483_647>> = "MaxGroupPreparedCapacity",
        /// Stopped (default), Running or Hibernated.
        state: Option<At<String>> = "PoolState",
        /// Whether scale-in puts instances back.
        reuse: Option<ReusePolicyInput> = "InstanceReusePolicy",
    }
}

object! {
    /// Whether scale-in puts instances back into the warm pool.
    pub(crate) struct ReusePolicyInput("InstanceReusePolicy") {
        /// Default false.
        on_scale_in: Option<bool> = "ReuseOnScaleIn",
    }
}

object! {
    /// Input of `autoscaling start-instance-refresh`.
    pub(crate) struct StartRefreshInput("a StartInstanceRefresh call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Rolling.
        strategy: Opaque = "Strategy",
        /// How it goes about it.
        preferences: Option<RefreshPreferencesInput> = "Preferences",
        /// What the group launches from when the refresh begins.
        desired: Option<DesiredConfigurationInput> = "DesiredConfiguration",
    }
}

object! {
    /// What a refresh replaces instances with.
    pub(crate) struct DesiredConfigurationInput("DesiredConfiguration") {
        /// Launch template.
        launch_template: Option<LaunchTemplateInput> = "LaunchTemplate",
        /// Instance type, in place of what the template holds.
        instance_type: Option<At<String>> = "InstanceType",
        /// Several types, on demand and Spot.
        mixed: Option<MixedInstancesInput> = "MixedInstancesPolicy",
    }
}

object! {
    /// How an instance refresh goes about it.
    pub(crate) struct RefreshPreferencesInput("Preferences") {
        /// Percent of the desired capacity that stays in service. Default 90.
        min_healthy: Option<Count> = "MinHealthyPercentage",
        /// Percent of the desired capacity that there may be. Default 100.
        max_healthy: Option<Count> = "MaxHealthyPercentage",
        /// Seconds a replacement warms up.
        warmup: Option<Count> = "InstanceWarmup",
        /// Percentages after which it pauses, ascending.
        checkpoints: Vec<Whole<1, 100>> = "CheckpointPercentages",
        /// Seconds of a pause. Default 3600.
        checkpoint_delay: Option<Count> = "CheckpointDelay",
        /// Wait (default), Refresh or Ignore.
        protected: Option<At<String>> = "ScaleInProtectedInstances",
        /// Wait (default), Terminate or Ignore.
        standby: Option<At<String>> = "StandbyInstances",
        /// Leave what was launched from the group's present settings. Default false.
        skip_matching: Option<bool> = "SkipMatching",
        /// Alarms that fail it.
        alarms: Option<RefreshAlarmsInput> = "AlarmSpecification",
        /// Seconds it goes on looking at its alarms at the end, 0 to 172800. Default 0.
        bake: Option<Whole<0, 172_800>> = "BakeTime",
        /// Take it back when it fails. Default false.
        auto_rollback: Option<bool> = "AutoRollback",
    }
}

object! {
    /// Alarms of an instance refresh.
    pub(crate) struct RefreshAlarmsInput("AlarmSpecification") {
        /// Names.
        alarms: Vec<At<String>> = "Alarms",
    }
}

object! {
    /// A lifecycle hook of a new group.
    pub(crate) struct HookSpecificationInput("a lifecycle hook") {
        /// Name.
        name: At<String> = "LifecycleHookName",
        /// autoscaling:EC2_INSTANCE_LAUNCHING or autoscaling:EC2_INSTANCE_TERMINATING.
        transition: At<String> = "LifecycleTransition",
        /// Seconds, 30 to 7200. Default 3600.
        heartbeat: Option<At<Count>> = "HeartbeatTimeout",
        /// CONTINUE or ABANDON (default).
        default_result: Option<At<String>> = "DefaultResult",
        /// How soon whatever the hook notifies completes it with CONTINUE. Default: nobody does.
        completes_after: Option<Dist<Seconds>> = "completesAfter",
    }
    ignored {
        "NotificationTargetARN": "notifications of hooks go nowhere; completesAfter says when they are answered",
        "NotificationMetadata": "notifications of hooks go nowhere; completesAfter says when they are answered",
        "RoleARN": "roles change nothing",
    }
}

object! {
    /// What a group does when a zone has no capacity.
    pub(crate) struct ZoneDistributionInput("AvailabilityZoneDistribution") {
        /// balanced-best-effort, balanced-only or reservations-then-balanced.
        strategy: Option<At<String>> = "CapacityDistributionStrategy",
    }
}

object! {
    /// A mixed instances policy.
    pub(crate) struct MixedInstancesInput("MixedInstancesPolicy") {
        /// The types.
        launch_template: Option<MixedTemplateInput> = "LaunchTemplate",
        /// On demand and Spot.
        distribution: Option<DistributionInput> = "InstancesDistribution",
    }
}

object! {
    /// The types of a mixed instances policy.
    pub(crate) struct MixedTemplateInput("LaunchTemplate of a MixedInstancesPolicy") {
        /// Only named; its version tells how outdated an instance is.
        specification: Option<LaunchTemplateInput> = "LaunchTemplateSpecification",
        /// Types in order of priority.
        overrides: Vec<TypeOverrideInput> = "Overrides",
    }
}

object! {
    /// One type of a mixed instances policy.
    pub(crate) struct TypeOverrideInput("an override") {
        /// Instance type.
        instance_type: At<String> = "InstanceType",
        /// Only named.
        specification: Opaque = "LaunchTemplateSpecification",
        /// Units of capacity that one instance counts for, 1 to 999.
        weight: Option<Raw> = "WeightedCapacity",
    }
    refused {
        "InstanceRequirements": "attribute-based instance selection",
    }
}

object! {
    /// On-demand and Spot shares of a group.
    pub(crate) struct DistributionInput("InstancesDistribution") {
        /// prioritized (default) or lowest-price.
        on_demand_allocation: Option<At<String>> = "OnDemandAllocationStrategy",
        /// On-demand instances before any share. Default 0.
        on_demand_base: Option<Count> = "OnDemandBaseCapacity",
        /// Share of on-demand above the base, percent. Default 100.
        on_demand_percentage: Option<Whole<0, 100>> = "OnDemandPercentageAboveBaseCapacity",
        /// How Spot pools are chosen.
        spot_allocation: Option<At<String>> = "SpotAllocationStrategy",
        /// Number of pools of lowest-price.
        spot_pools: Option<Whole<1, 20>> = "SpotInstancePools",
        /// Dollars per hour; default: the on-demand price.
        spot_max_price: Option<At<String>> = "SpotMaxPrice",
    }
}

object! {
    /// Input of `autoscaling put-scaling-policy`.
    pub(crate) struct GroupPolicyInput("a policy of a group") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Name.
        name: At<String> = "PolicyName",
        /// SimpleScaling (default), StepScaling or TargetTrackingScaling.
        kind: Option<At<String>> = "PolicyType",
        /// How the adjustment is meant.
        adjustment_type: Option<AdjustmentType> = "AdjustmentType",
        /// Least change of a percentage.
        min_magnitude: Option<Count> = "MinAdjustmentMagnitude",
        /// Adjustment of simple scaling.
        adjustment: Option<Whole<-1_000_000, 1_000_000>> = "ScalingAdjustment",
        /// Seconds, simple scaling only.
        cooldown: Option<Count> = "Cooldown",
        /// Average, Minimum or Maximum.
        aggregation: Option<Aggregation> = "MetricAggregationType",
        /// Steps.
        steps: Vec<StepInput> = "StepAdjustments",
        /// Seconds a new instance warms up.
        estimated_warmup: Option<Count> = "EstimatedInstanceWarmup",
        /// Target tracking.
        target_tracking: Option<TargetTrackingInput> = "TargetTrackingConfiguration",
        /// Whether it is on.
        enabled: Option<At<bool>> = "Enabled",
    }
    refused {
        "MinAdjustmentStep": "the deprecated name of MinAdjustmentMagnitude",
        "PredictiveScalingConfiguration": "predictive scaling",
    }
}

object! {
    /// Input of `autoscaling update-auto-scaling-group`.
    pub(crate) struct UpdateGroupInput("an UpdateAutoScalingGroup call") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Smallest size.
        min_size: Option<Count> = "MinSize",
        /// Largest size.
        max_size: Option<Count> = "MaxSize",
        /// Size.
        desired_capacity: Option<Count> = "DesiredCapacity",
        /// New instances start protected from scale-in.
        new_protected: Option<bool> = "NewInstancesProtectedFromScaleIn",
        /// Of SetDesiredCapacity: wait for the cooldown.
        honor_cooldown: Option<bool> = "HonorCooldown",
        /// Zones; instances elsewhere are moved.
        availability_zones: Vec<At<String>> = "AvailabilityZones",
        /// Zones again, separated by commas.
        vpc_zone_identifier: Option<At<String>> = "VPCZoneIdentifier",
        /// Which instances go first.
        termination_policies: Option<Vec<At<String>>> = "TerminationPolicies",
        /// Seconds.
        default_cooldown: Option<Count> = "DefaultCooldown",
        /// Seconds; -1 clears it.
        default_instance_warmup: Option<Whole<-1, 3600>> = "DefaultInstanceWarmup",
        /// Seconds after InService in which only EC2's own health checks count.
        health_check_grace: Option<Count> = "HealthCheckGracePeriod",
        /// Seconds an instance may live, a day at least; 0 is for ever.
        max_lifetime: Option<At<Count>> = "MaxInstanceLifetime",
        /// Whether Spot instances are replaced when EC2 recommends it.
        capacity_rebalance: Option<bool> = "CapacityRebalance",
        /// Between which sizes the group stays while it replaces instances; -1 twice clears it.
        maintenance_policy: Option<MaintenancePolicyInput> = "InstanceMaintenancePolicy",
        /// balanced-best-effort, balanced-only or reservations-then-balanced.
        zone_distribution: Option<ZoneDistributionInput> = "AvailabilityZoneDistribution",
        /// Launch template, and its version: what is launched from now on.
        launch_template: Option<LaunchTemplateInput> = "LaunchTemplate",
        /// Launch configuration.
        launch_configuration: Option<At<String>> = "LaunchConfigurationName",
        /// Instance type, in place of what the template holds: by itself a new version of it.
        instance_type: Option<At<String>> = "InstanceType",
        /// Several types, on demand and Spot.
        mixed: Option<MixedInstancesInput> = "MixedInstancesPolicy",
    }
}

// ---------------------------------------------------------------------------------------------------------- ELB

object! {
    /// Input of `elbv2 create-target-group`.
    pub(crate) struct TargetGroupInput("a target group") {
        /// Name.
        name: At<String> = "Name",
        /// Seconds between probes. Default 30.
        interval: Option<Whole<5, 300>> = "HealthCheckIntervalSeconds",
        /// Passes in a row that make an unhealthy target healthy. Default 5.
        healthy: Option<Whole<2, 10>> = "HealthyThresholdCount",
        /// Failures in a row that make a target unhealthy. Default 2.
        unhealthy: Option<Whole<2, 10>> = "UnhealthyThresholdCount",
        /// Seconds until a probe fails.
        timeout: Option<Whole<2, 120>> = "HealthCheckTimeoutSeconds",
        /// Attributes, as of modify-target-group-attributes.
        attributes: Vec<AttributeInput> = "Attributes",
        /// The load balancer that routes to it.
        load_balancer: Option<At<String>> = "loadBalancer",
        /// Whether there are probes.
        check_enabled: Option<At<bool>> = "HealthCheckEnabled",
        /// Opaque.
        protocol: Opaque = "Protocol",
        /// Opaque.
        protocol_version: Opaque = "ProtocolVersion",
        /// Opaque.
        port: Opaque = "Port",
        /// Opaque.
        vpc: Opaque = "VpcId",
        /// ip or instance.
        target_type: Option<At<String>> = "TargetType",
        /// HTTP, HTTPS, TCP and the like: it decides the default time-out.
        check_protocol: Option<String> = "HealthCheckProtocol",
        /// Opaque.
        check_port: Opaque = "HealthCheckPort",
        /// What HTTP probes ask for; what it answers there is told by `probeStatus` of a behaviour. Default /.
        check_path: Option<At<String>> = "HealthCheckPath",
        /// HTTP statuses that pass. Default 200, of a Network Load Balancer 200-399.
        matcher: Option<MatcherInput> = "Matcher",
        /// Opaque.
        address_type: Opaque = "IpAddressType",
    }
    ignored { "Tags": "tags change nothing", "TargetControlPort": "target optimizer is not simulated", }
}

object! {
    /// HTTP statuses that pass a health check.
    pub(crate) struct MatcherInput("Matcher") {
        /// Such as 200, 200,202 or 200-299.
        http: Option<At<String>> = "HttpCode",
        /// Opaque.
        grpc: Opaque = "GrpcCode",
    }
}

object! {
    /// An attribute of a target group.
    pub(crate) struct AttributeInput("an attribute") {
        /// Key.
        key: At<String> = "Key",
        /// Value.
        value: At<String> = "Value",
    }
}

object! {
    /// Input of `elbv2 create-load-balancer`.
    pub(crate) struct LoadBalancerInput("a load balancer") {
        /// Name.
        name: At<String> = "Name",
        /// application (default), network, or classic for one of `elb create-load-balancer`.
        kind: Option<At<LoadBalancerWord>> = "Type",
        /// Attributes, as of modify-load-balancer-attributes.
        attributes: Vec<AttributeInput> = "Attributes",
        /// Health check of a classic one.
        health_check: Option<ClassicCheckInput> = "HealthCheck",
        /// Draining of a classic one.
        draining: Option<ConnectionDrainingInput> = "ConnectionDraining",
        /// Opaque.
        subnets: Opaque = "Subnets",
        /// Opaque.
        subnet_mappings: Opaque = "SubnetMappings",
        /// Opaque.
        security_groups: Opaque = "SecurityGroups",
        /// Opaque.
        scheme: Opaque = "Scheme",
        /// Opaque.
        address_type: Opaque = "IpAddressType",
    }
    ignored { "Tags": "tags change nothing", }
}

keyword! {
    /// Type of a load balancer.
    pub(crate) enum LoadBalancerWord {
        /// ALB.
        Application = "application",
        /// NLB.
        Network = "network",
        /// CLB.
        Classic = "classic",
    }
}

object! {
    /// Health check of a Classic Load Balancer.
    pub(crate) struct ClassicCheckInput("HealthCheck") {
        /// Opaque.
        target: Opaque = "Target",
        /// Seconds between probes. Default 30.
        interval: Option<Whole<5, 300>> = "Interval",
        /// Seconds until a probe fails. Default 5.
        timeout: Option<Whole<2, 60>> = "Timeout",
        /// Failures in a row that make an instance unhealthy. Default 2.
        unhealthy: Option<Whole<2, 10>> = "UnhealthyThreshold",
        /// Passes in a row that make an unhealthy instance healthy. Default 10.
        healthy: Option<Whole<2, 10>> = "HealthyThreshold",
    }
}

object! {
    /// Connection draining of a Classic Load Balancer.
    pub(crate) struct ConnectionDrainingInput("ConnectionDraining") {
        /// Whether requests in flight are waited for.
        enabled: bool = "Enabled",
        /// Seconds. Default 300.
        timeout: Option<Whole<1, 3600>> = "Timeout",
    }
}

// ------------------------------------------------------------------------------------- Application Auto Scaling

object! {
    /// Input of `application-autoscaling register-scalable-target`.
    pub(crate) struct ScalableTargetInput("a scalable target") {
        /// ecs.
        namespace: Option<At<String>> = "ServiceNamespace",
        /// service/<cluster>/<service>.
        resource: At<String> = "ResourceId",
        /// ecs:service:DesiredCount.
        dimension: Option<At<String>> = "ScalableDimension",
        /// Fewest tasks.
        min: Option<At<Count>> = "MinCapacity",
        /// Most tasks.
        max: Option<At<Count>> = "MaxCapacity",
        /// What is suspended.
        suspended: Option<SuspendedInput> = "SuspendedState",
    }
    ignored { "RoleARN": "roles change nothing", "Tags": "tags change nothing", }
}

object! {
    /// What is suspended of a scalable target.
    pub(crate) struct SuspendedInput("SuspendedState") {
        /// No scale-in by policies.
        scale_in: Option<bool> = "DynamicScalingInSuspended",
        /// No scale-out by policies.
        scale_out: Option<bool> = "DynamicScalingOutSuspended",
        /// No scheduled scaling.
        scheduled: Option<bool> = "ScheduledScalingSuspended",
    }
}

object! {
    /// Input of `application-autoscaling put-scheduled-action`.
    pub(crate) struct ScheduledActionInput("a scheduled action") {
        /// Name.
        name: At<String> = "ScheduledActionName",
        /// ecs.
        namespace: Option<At<String>> = "ServiceNamespace",
        /// service/<cluster>/<service>.
        resource: At<String> = "ResourceId",
        /// ecs:service:DesiredCount.
        dimension: Option<At<String>> = "ScalableDimension",
        /// at(…), rate(…) or cron(…) with six fields.
        schedule: Option<At<String>> = "Schedule",
        /// IANA name of the zone that at and cron are written in. Default UTC.
        time_zone: Option<At<String>> = "Timezone",
        /// Runs at this instant first; UTC.
        start: Option<At<String>> = "StartTime",
        /// Nothing runs after it; UTC.
        end: Option<At<String>> = "EndTime",
        /// The new bounds.
        action: Option<ScalableTargetActionInput> = "ScalableTargetAction",
    }
}

object! {
    /// What a scheduled action sets.
    pub(crate) struct ScalableTargetActionInput("ScalableTargetAction") {
        /// Fewest tasks.
        min: Option<Count> = "MinCapacity",
        /// Most tasks.
        max: Option<Count> = "MaxCapacity",
    }
}

object! {
    /// Input of `autoscaling put-scheduled-update-group-action`.
    pub(crate) struct GroupScheduledActionInput("a scheduled action of a group") {
        /// Group.
        group: At<String> = "AutoScalingGroupName",
        /// Name.
        name: At<String> = "ScheduledActionName",
        /// Five fields of Unix cron; absent: once, at StartTime.
        recurrence: Option<At<String>> = "Recurrence",
        /// IANA name of the recurrence's zone. Default UTC.
        time_zone: Option<At<String>> = "TimeZone",
        /// Runs at this instant first; UTC.
        start: Option<At<String>> = "StartTime",
        /// Nothing runs after it; UTC.
        end: Option<At<String>> = "EndTime",
        /// Fewest instances.
        min_size: Option<Count> = "MinSize",
        /// Most instances.
        max_size: Option<Count> = "MaxSize",
        /// Instances wanted.
        desired_capacity: Option<Count> = "DesiredCapacity",
    }
    refused { "Time": "the deprecated name of StartTime", }
}

object! {
    /// Input of `application-autoscaling put-scaling-policy`.
    pub(crate) struct ScalingPolicyInput("a scaling policy") {
        /// Name.
        name: At<String> = "PolicyName",
        /// ecs.
        namespace: Option<At<String>> = "ServiceNamespace",
        /// service/<cluster>/<service>.
        resource: At<String> = "ResourceId",
        /// ecs:service:DesiredCount.
        dimension: Option<At<String>> = "ScalableDimension",
        /// StepScaling (default), TargetTrackingScaling or PredictiveScaling.
        kind: Option<At<String>> = "PolicyType",
        /// Step scaling.
        step: Option<StepScalingInput> = "StepScalingPolicyConfiguration",
        /// Target tracking.
        target_tracking: Option<TargetTrackingInput> = "TargetTrackingScalingPolicyConfiguration",
        /// Predictive scaling.
        predictive: Option<PredictiveInput> = "PredictiveScalingPolicyConfiguration",
    }
}

object! {
    /// Predictive scaling.
    pub(crate) struct PredictiveInput("PredictiveScalingPolicyConfiguration") {
        /// The load, what a task carries of it, and the target: one entry.
        metrics: Vec<PredictiveMetricInput> = "MetricSpecifications",
        /// ForecastOnly (default) or ForecastAndScale.
        mode: Option<ForecastModeWord> = "Mode",
        /// Seconds that the capacity is there before its hour. Default 300.
        buffer: Option<Count> = "SchedulingBufferTime",
        /// HonorMaxCapacity (default) or IncreaseMaxCapacity.
        breach: Option<At<BreachWord>> = "MaxCapacityBreachBehavior",
        /// Percent above the forecast to which the maximum rises.
        max_buffer: Option<At<Count>> = "MaxCapacityBuffer",
    }
}

object! {
    /// The metrics of a predictive policy.
    pub(crate) struct PredictiveMetricInput("a metric specification") {
        /// What a task is to carry.
        target: At<f64> = "TargetValue",
        /// Load and scaling metric at once.
        pair: Option<PredefinedMetricInput> = "PredefinedMetricPairSpecification",
        /// The load of all tasks.
        load: Option<PredefinedMetricInput> = "PredefinedLoadMetricSpecification",
        /// A task's share of it.
        scaling: Option<PredefinedMetricInput> = "PredefinedScalingMetricSpecification",
        /// The load, of metrics of one's own.
        own_load: Option<DataQueriesInput> = "CustomizedLoadMetricSpecification",
        /// What a task shows of it.
        own_scaling: Option<DataQueriesInput> = "CustomizedScalingMetricSpecification",
        /// How many tasks there were. Default: those that ran.
        own_capacity: Option<DataQueriesInput> = "CustomizedCapacityMetricSpecification",
    }
}

object! {
    /// A metric of one's own, hour by hour.
    pub(crate) struct DataQueriesInput("a customized metric specification") {
        /// Metrics and an expression over them.
        queries: Vec<MetricQueryInput> = "MetricDataQueries",
    }
}

keyword! {
    /// What a predictive policy does with its forecast.
    pub(crate) enum ForecastModeWord {
        /// Nothing.
        ForecastOnly = "ForecastOnly",
        /// Scales out ahead of it.
        ForecastAndScale = "ForecastAndScale",
    }
}

keyword! {
    /// What a forecast near or above the maximum does.
    pub(crate) enum BreachWord {
        /// Stops at the maximum.
        Honor = "HonorMaxCapacity",
        /// Raises it.
        Increase = "IncreaseMaxCapacity",
    }
}

object! {
    /// Step scaling.
    pub(crate) struct StepScalingInput("StepScalingPolicyConfiguration") {
        /// How the adjustment is meant.
        adjustment_type: AdjustmentType = "AdjustmentType",
        /// The steps.
        steps: Vec<StepInput> = "StepAdjustments",
        /// Least change of a percentage.
        min_magnitude: Option<Count> = "MinAdjustmentMagnitude",
        /// Seconds. Default 300.
        cooldown: Option<Count> = "Cooldown",
        /// Average, Minimum or Maximum. Default Average.
        aggregation: Option<Aggregation> = "MetricAggregationType",
    }
}

object! {
    /// One step.
    pub(crate) struct StepInput("a step adjustment") {
        /// From, relative to the threshold; absent is minus infinity.
        lower: Option<f64> = "MetricIntervalLowerBound",
        /// To, relative to the threshold; absent is infinity.
        upper: Option<f64> = "MetricIntervalUpperBound",
        /// The adjustment.
        adjustment: Whole<-1_000_000, 1_000_000> = "ScalingAdjustment",
    }
}

object! {
    /// Target tracking.
    pub(crate) struct TargetTrackingInput("a target tracking configuration") {
        /// Where to keep the metric.
        target: At<f64> = "TargetValue",
        /// A metric that AWS defines.
        predefined: Option<PredefinedMetricInput> = "PredefinedMetricSpecification",
        /// A metric of one's own.
        custom: Option<CustomMetricInput> = "CustomizedMetricSpecification",
        /// Seconds. Default 300.
        scale_out_cooldown: Option<Count> = "ScaleOutCooldown",
        /// Seconds. Default 300.
        scale_in_cooldown: Option<Count> = "ScaleInCooldown",
        /// Scale out only.
        disable_scale_in: Option<bool> = "DisableScaleIn",
    }
}

object! {
    /// A metric that AWS defines.
    pub(crate) struct PredefinedMetricInput("PredefinedMetricSpecification") {
        /// Which.
        kind: At<String> = "PredefinedMetricType",
        /// app/<lb>/<id>/targetgroup/<tg>/<id>; names alone will do.
        label: Option<At<String>> = "ResourceLabel",
    }
}

object! {
    /// A metric of one's own.
    pub(crate) struct CustomMetricInput("CustomizedMetricSpecification") {
        /// Namespace.
        namespace: Option<At<String>> = "Namespace",
        /// Name.
        name: Option<At<String>> = "MetricName",
        /// Dimensions.
        dimensions: Vec<DimensionInput> = "Dimensions",
        /// Statistic.
        statistic: Option<At<String>> = "Statistic",
        /// Samples of other units are ignored.
        unit: Option<At<String>> = "Unit",
        /// Metrics and an expression over them, instead of one metric.
        metrics: Option<Vec<MetricQueryInput>> = "Metrics",
        /// Seconds of a datapoint, of a group's metric: 10, 30 or 60. Default 60.
        period: Option<At<Count>> = "Period",
    }
}

// --------------------------------------------------------------------------------------------------- CloudWatch

object! {
    /// A dimension of a metric.
    pub(crate) struct DimensionInput("a dimension") {
        /// Name.
        name: String = "Name",
        /// Value.
        value: String = "Value",
    }
}

object! {
    /// An entry of `Metrics`: a metric, or an expression over others.
    pub(crate) struct MetricQueryInput("an entry of Metrics") {
        /// What expressions call it; begins with a small letter.
        id: At<String> = "Id",
        /// A metric and its statistic.
        stat: Option<MetricStatInput> = "MetricStat",
        /// Metric math over other ids.
        expression: Option<At<String>> = "Expression",
        /// Opaque.
        label: Opaque = "Label",
        /// Whether this is what is watched. Default true.
        return_data: Option<bool> = "ReturnData",
        /// Seconds of an expression's period; that of its metrics.
        period: Option<At<Count>> = "Period",
    }
    refused { "AccountId": "metrics of other accounts", }
}

object! {
    /// A metric of an entry of `Metrics`.
    pub(crate) struct MetricStatInput("MetricStat") {
        /// The metric.
        metric: MetricReferenceInput = "Metric",
        /// Seconds of a period. Default 60.
        period: Option<At<Count>> = "Period",
        /// Average, Sum, Minimum, Maximum, SampleCount, a percentile (p99) or a trimmed statistic (tm90).
        statistic: At<String> = "Stat",
        /// Samples of other units are ignored.
        unit: Option<At<String>> = "Unit",
    }
}

object! {
    /// Which metric.
    pub(crate) struct MetricReferenceInput("Metric") {
        /// Namespace.
        namespace: At<String> = "Namespace",
        /// Name.
        name: At<String> = "MetricName",
        /// Dimensions.
        dimensions: Vec<DimensionInput> = "Dimensions",
    }
}

object! {
    /// Input of `cloudwatch put-metric-alarm`.
    pub(crate) struct AlarmInput("an alarm") {
        /// Name.
        name: At<String> = "AlarmName",
        /// Opaque.
        description: Opaque = "AlarmDescription",
        /// Whether actions run. Default true.
        actions_enabled: Option<bool> = "ActionsEnabled",
        /// On OK.
        ok_actions: Vec<At<String>> = "OKActions",
        /// On ALARM: names of policies, or anything to be notified.
        alarm_actions: Vec<At<String>> = "AlarmActions",
        /// On INSUFFICIENT_DATA.
        insufficient_actions: Vec<At<String>> = "InsufficientDataActions",
        /// Metric.
        metric: Option<At<String>> = "MetricName",
        /// Namespace.
        namespace: Option<At<String>> = "Namespace",
        /// Average, Sum, Minimum, Maximum or SampleCount.
        statistic: Option<At<String>> = "Statistic",
        /// A percentile, p99, or a trimmed statistic, TM(10%:90%).
        extended_statistic: Option<At<String>> = "ExtendedStatistic",
        /// Dimensions.
        dimensions: Vec<DimensionInput> = "Dimensions",
        /// Seconds of a period.
        period: Option<Count> = "Period",
        /// Samples of other units are ignored.
        unit: Option<At<String>> = "Unit",
        /// Metrics and an expression over them, instead of one metric.
        metrics: Option<Vec<MetricQueryInput>> = "Metrics",
        /// N.
        evaluation_periods: At<Count> = "EvaluationPeriods",
        /// M. Default N.
        datapoints_to_alarm: Option<Count> = "DatapointsToAlarm",
        /// Threshold.
        threshold: f64 = "Threshold",
        /// Comparison.
        operator: ComparisonOperator = "ComparisonOperator",
        /// What missing data means. Default missing.
        missing: Option<MissingData> = "TreatMissingData",
        /// `ignore` keeps the state while a percentile has too few samples. Default evaluate.
        low_samples: Option<LowSampleWord> = "EvaluateLowSampleCountPercentile",
        /// Sliding (default), or of whole periods of the clock.
        window: Option<EvaluationWindowInput> = "EvaluationWindow",
        /// How long a new alarm stays silent.
        warm_up: Option<WarmUpInput> = "WarmUpConfiguration",
    }
    ignored { "Tags": "tags change nothing", }
    refused {
        "ThresholdMetricId": "anomaly detection",
        "EvaluationCriteria": "alarms over many series",
        "EvaluationInterval": "evaluation intervals",
    }
}

object! {
    /// Which periods an alarm looks at.
    pub(crate) struct EvaluationWindowInput("EvaluationWindow") {
        /// Opaque.
        sliding: Option<Opaque> = "SlidingWindow",
        /// Whole periods of the clock.
        wall_clock: Option<WallClockInput> = "WallClockWindow",
    }
}

object! {
    /// Periods that begin on the hour, at midnight or on Monday.
    pub(crate) struct WallClockInput("WallClockWindow") {
        /// Time zone whose clock it is. Default UTC.
        zone: Option<At<String>> = "Timezone",
    }
}

object! {
    /// How long a new alarm stays silent.
    pub(crate) struct WarmUpInput("WarmUpConfiguration") {
        /// 1 to 2880 minutes.
        minutes: Count = "WarmUpPeriodDurationInMinutes",
        /// Whether it lasts in full though the window is filled earlier. Default false.
        in_full: Option<bool> = "OnlyStartEvaluatingAfterWarmUpPeriodEnds",
    }
}

keyword! {
    /// What too few samples mean for a percentile.
    pub(crate) enum LowSampleWord {
        /// Evaluate all the same.
        Evaluate = "evaluate",
        /// Keep the state.
        Ignore = "ignore",
    }
}

object! {
    /// Input of `cloudwatch put-metric-data`.
    pub(crate) struct MetricDataInput("a PutMetricData call") {
        /// Namespace; those that begin with AWS/ are AWS's own.
        namespace: At<String> = "Namespace",
        /// Samples.
        data: Vec<MetricDatumInput> = "MetricData",
        /// Opaque.
        strict: Opaque = "StrictEntityValidation",
    }
    refused { "EntityMetricData": "metrics of entities", }
}

object! {
    /// Samples of one metric.
    pub(crate) struct MetricDatumInput("an entry of MetricData") {
        /// Name.
        name: At<String> = "MetricName",
        /// Dimensions.
        dimensions: Vec<DimensionInput> = "Dimensions",
        /// When. Default: the time of the call.
        stamp: Option<At<String>> = "Timestamp",
        /// One sample.
        value: Option<f64> = "Value",
        /// Several samples.
        values: Option<Vec<f64>> = "Values",
        /// How often each of them occurred. Default once.
        counts: Option<Vec<f64>> = "Counts",
        /// Samples that were added up before.
        statistics: Option<StatisticSetInput> = "StatisticValues",
        /// Unit. Default None.
        unit: Option<At<String>> = "Unit",
        /// 1 or 60 (default) seconds.
        resolution: Option<At<Count>> = "StorageResolution",
    }
}

object! {
    /// Samples that were added up before.
    pub(crate) struct StatisticSetInput("StatisticValues") {
        /// How many.
        samples: f64 = "SampleCount",
        /// Their sum.
        sum: f64 = "Sum",
        /// The smallest.
        minimum: f64 = "Minimum",
        /// The largest.
        maximum: f64 = "Maximum",
    }
}

object! {
    /// Input of `cloudwatch set-alarm-state`.
    pub(crate) struct SetAlarmStateInput("a SetAlarmState call") {
        /// Alarm.
        name: At<String> = "AlarmName",
        /// State.
        state: AlarmState = "StateValue",
        /// Why.
        reason: String = "StateReason",
        /// JSON with `queryDate` and `recentDatapoints`; scaling actions need it.
        data: Option<At<String>> = "StateReasonData",
    }
}

object! {
    /// A replayed CloudWatch series (ecsim's own).
    pub(crate) struct MetricInput("a replayed metric") {
        /// Namespace.
        namespace: String = "Namespace",
        /// Name.
        name: At<String> = "MetricName",
        /// Dimensions.
        dimensions: Vec<DimensionInput> = "Dimensions",
        /// Unit of the values; without one they count as of any.
        unit: Option<At<String>> = "Unit",
        /// Seconds of a bucket: 1, 5, 10, 20, 30 or whole minutes. Default 60.
        period: Option<At<Whole<1, 86_400>>> = "Period",
        /// One value a bucket from the start on; null is a missing datapoint.
        values: Option<Vec<Option<f64>>> = "values",
        /// The series from a file.
        trace: Option<TraceInput> = "trace",
    }
}

// -------------------------------------------------------------------------------------------- ecsim's own

object! {
    /// A trace: any CSV, by column names.
    pub(crate) struct TraceInput("a trace") {
        /// CSV file, relative to the file this is written in.
        file: At<String> = "file",
        /// Column of the times, rising.
        time: Option<At<String>> = "time",
        /// Column of the interarrival times, each since the row before, in place of `time`.
        interarrival: Option<At<String>> = "interarrival",
        /// Column of the values.
        value: Option<At<String>> = "value",
        /// Unit of the times (s, ms, min, h), or of a rate's values (/min, /5min) beside times in seconds.
        unit: Option<At<String>> = "unit",
        /// The values are multiplied by this. Default 1.
        scale: Option<Quantity<Plain>> = "scale",
        /// Start again when the trace is over. Default false.
        repeat: Option<At<bool>> = "repeat",
        /// Leave out what comes earlier: a duration of the trace's own time, or a date as its time column writes it.
        start: Option<At<String>> = "start",
        /// Leave out arrivals from here on, in the trace's own time.
        end: Option<At<SimDuration>> = "end",
        /// What a stretch without data means: hold (default), zero or refuse.
        gaps: Option<Gaps> = "gaps",
        /// Every span takes this many times as long. Default 1.
        stretch: Option<Quantity<Plain>> = "stretch",
        /// Columns that override the task of each row.
        columns: Option<TraceColumnsInput> = "columns",
    }
}

object! {
    /// Columns of a trace of tasks.
    pub(crate) struct TraceColumnsInput("`columns` of a trace") {
        /// How long each task runs.
        runs_for: Option<ColumnInput> = "runsFor",
        /// CPU units of each task.
        cpu: Option<ColumnInput> = "cpu",
        /// MiB of each task.
        memory: Option<ColumnInput> = "memory",
        /// GPUs of each task.
        gpus: Option<ColumnInput> = "gpus",
    }
}

object! {
    /// A column of a trace.
    pub(crate) struct ColumnInput("a column of a trace") {
        /// Name of the column.
        column: At<String> = "column",
        /// Unit of its values.
        unit: Option<At<String>> = "unit",
        /// The values are multiplied by this. Default 1.
        scale: Option<Quantity<Plain>> = "scale",
    }
}

object! {
    /// One workload: a name and one kind of demand.
    pub(crate) struct WorkloadInput("a workload") {
        /// Name; its chance is drawn under it.
        name: At<String> = "name",
        /// Requests to a service.
        requests: Option<RequestsInput> = "requests",
        /// Messages of an SQS queue.
        messages: Option<MessagesInput> = "messages",
        /// RunTask arrivals.
        tasks: Option<At<RunTaskInput>> = "tasks",
        /// The demand of all tasks of a service together.
        utilization: Option<UtilizationInput> = "utilization",
    }
}

object! {
    /// Requests to a service.
    pub(crate) struct RequestsInput("`requests`") {
        /// Service, by name if one cluster has it, or cluster/service.
        service: At<String> = "service",
        /// Requests per second.
        rate: Raw = "rate",
        /// CPU time a request takes.
        cpu_per_request: At<Dist<Seconds>> = "cpuPerRequest",
        /// Latency that does not depend on load. Default 0s.
        latency_floor: Option<At<Dist<Seconds>>> = "latencyFloor",
        /// A request that would wait longer fails. Default 30s.
        timeout: Option<At<SimDuration>> = "timeout",
        /// On real containers: the path that is asked for, with its query. Default /.
        path: Option<At<String>> = "path",
        /// fluid (default) or perRequest.
        model: Option<At<RequestModelWord>> = "model",
        /// perRequest: requests that a task works on at once. Absent: any number, sharing its CPU.
        concurrency: Option<At<Whole<1, 1_000_000>>> = "concurrency",
        /// perRequest: requests that wait in a task while it works on as many as it may; more are refused. Absent: any number.
        backlog: Option<At<Whole<0, 1_000_000>>> = "backlog",
        /// perRequest: how often a client tries again after a failure. Default 0.
        retries: Option<At<Whole<0, 100>>> = "retries",
        /// perRequest: time from a failure to the next try. Default 100ms.
        retry_backoff: Option<At<Dist<Seconds>>> = "retryBackoff",
        /// perRequest: memory that a request takes while it is in a task. Default none.
        memory_per_request: Option<At<Quantity<Mebibytes>>> = "memoryPerRequest",
        /// perRequest: memory that a task never gives back after a request. Default none.
        memory_leak: Option<At<Quantity<Mebibytes>>> = "memoryLeakPerRequest",
        /// perRequest: share of the requests that the application answers with an error. Default 0.
        failure_ratio: Option<At<f64>> = "failureRatio",
        /// perRequest: what a task does with a request whose client has gone: abandon (default) or finish.
        on_timeout: Option<At<OnTimeout>> = "onTimeout",
        /// perRequest: clients that are there at once, for target groups that are sticky. Absent: each request is of another.
        clients: Option<At<Whole<1, 1_000_000>>> = "clients",
        /// perRequest: requests that a client sends before a new one, without a cookie, takes its place. Absent: no end.
        requests_per_session: Option<At<Dist<Plain>>> = "requestsPerSession",
        /// perRequest: CPU time of a load balancer's probe, which takes its turn among the requests. Default 1ms.
        cpu_per_probe: Option<At<Dist<Seconds>>> = "cpuPerProbe",
    }
}

keyword! { impl VersionConsistency { Enabled = "enabled", Disabled = "disabled", } }
keyword! { impl OnTimeout { Abandon = "abandon", Finish = "finish", } }

keyword! {
    /// How requests are simulated.
    pub(crate) enum RequestModelWord {
        /// As a flow.
        Fluid = "fluid",
        /// One by one.
        PerRequest = "perRequest",
    }
}

object! {
    /// The demand of all tasks of a service together.
    pub(crate) struct UtilizationInput("`utilization`") {
        /// Service, by name if one cluster has it, or cluster/service.
        service: At<String> = "service",
        /// vCPUs.
        cpu: Option<Raw> = "cpu",
        /// MiB.
        memory: Option<Raw> = "memory",
    }
}

object! {
    /// An operator's call at an instant.
    pub(crate) struct ActionInput("an action") {
        /// When, since the start.
        at: At<SimDuration> = "at",
        /// The call, service:Operation.
        call: At<String> = "call",
        /// Its input.
        with: Option<Raw> = "with",
    }
}

object! {
    /// Something that goes wrong.
    pub(crate) struct FaultInput("a fault") {
        /// When, since the start.
        at: Option<At<SimDuration>> = "at",
        /// From strike to strike, in place of `at`.
        every: Option<Dist<Seconds>> = "every",
        /// How long it lasts: a shortage, an outage. Default: to the end.
        lasts: Option<At<SimDuration>> = "for",
        /// spotInterruption, rebalanceRecommendation, instanceFailure, insufficientCapacity, azOutage, azImpairment,
        /// degradedHost, agentDisconnect, taskCrash, platformRetirement, imagePullFailure, slowBoot, metricDelay, metricGap or
        /// apiThrottling.
        fault: At<String> = "fault",
        /// Whom it strikes.
        with: Option<Raw> = "with",
    }
}

object! {
    /// Spot capacity of a type in a zone.
    pub(crate) struct SpotPoolInput("a Spot pool") {
        /// Type.
        instance_type: Option<At<String>> = "InstanceType",
        /// FARGATE_SPOT, in place of a type: how often its tasks are taken back.
        provider: Option<At<String>> = "capacityProvider",
        /// Zone. Default: the same in every zone.
        zone: Option<At<String>> = "AvailabilityZone",
        /// Dollars per hour: a number, `steps`, or a `trace`. Default: the catalogue's estimate.
        price: Option<Raw> = "pricePerHour",
        /// Instances it holds: a number, or `steps`. Default: no limit.
        capacity: Option<Raw> = "capacity",
        /// How often one instance or task is taken back, per hour. Default: the catalogue's; of Fargate Spot, never.
        interruptions: Option<Quantity<Plain>> = "interruptionsPerHour",
    }
}

object! {
    /// An instance type that the catalogue lacks, in the shape of `ec2 describe-instance-types`.
    pub(crate) struct InstanceTypeInput("an instance type") {
        /// Its name.
        name: At<String> = "InstanceType",
        /// Its vCPUs.
        vcpus: VcpuInfoInput = "VCpuInfo",
        /// Its memory.
        memory: MemoryInfoInput = "MemoryInfo",
        /// Its processor. Default x86_64.
        processor: Option<ProcessorInfoInput> = "ProcessorInfo",
        /// Its GPUs. Default none.
        gpus: Option<GpuInfoInput> = "GpuInfo",
        /// Its network interfaces. Default 2.
        network: Option<NetworkInfoInput> = "NetworkInfo",
    }
    ignored {
        "CurrentGeneration": "generations change nothing",
        "FreeTierEligible": "there is no free tier here",
        "SupportedUsageClasses": "every type is there on demand and as Spot",
        "SupportedRootDeviceTypes": "root volumes are EBS",
        "SupportedVirtualizationTypes": "how a type is virtualised changes nothing",
        "BareMetal": "what a type runs on changes nothing",
        "Hypervisor": "what a type runs on changes nothing",
        "InstanceStorageSupported": "instance stores are not simulated",
        "InstanceStorageInfo": "instance stores are not simulated",
        "EbsInfo": "bandwidth of volumes is not simulated",
        "PlacementGroupInfo": "placement groups are not simulated",
        "HibernationSupported": "any type may hibernate",
        "BurstablePerformanceSupported": "CPU credits are not simulated",
        "DedicatedHostsSupported": "there are no dedicated hosts",
        "AutoRecoverySupported": "instances do not recover",
        "SupportedBootModes": "how a type boots changes nothing",
        "NitroEnclavesSupport": "enclaves are not simulated",
        "NitroTpmSupport": "enclaves are not simulated",
        "NitroTpmInfo": "enclaves are not simulated",
        "PhcSupport": "the hardware clock is not simulated",
    }
}

object! {
    /// vCPUs of an instance type.
    pub(crate) struct VcpuInfoInput("`VCpuInfo`") {
        /// As the operating system sees them.
        vcpus: Whole<1, 4096> = "DefaultVCpus",
    }
    ignored {
        "DefaultCores": "vCPUs are what counts",
        "DefaultThreadsPerCore": "vCPUs are what counts",
        "ValidCores": "vCPUs are what counts",
        "ValidThreadsPerCore": "vCPUs are what counts",
    }
}

object! {
    /// Memory of an instance type.
    pub(crate) struct MemoryInfoInput("`MemoryInfo`") {
        /// Advertised, in MiB; what hosts register follows EC2-5, unless `registeredResources` says it.
        size: Whole<1, 100_000_000> = "SizeInMiB",
    }
}

object! {
    /// Processor of an instance type.
    pub(crate) struct ProcessorInfoInput("`ProcessorInfo`") {
        /// The first one known counts.
        architectures: Vec<ArchitectureWord> = "SupportedArchitectures",
    }
    ignored {
        "SustainedClockSpeedInGhz": "a vCPU is a vCPU",
        "Manufacturer": "a vCPU is a vCPU",
    }
}

keyword! {
    /// A processor architecture, as EC2 spells it.
    pub(crate) enum ArchitectureWord {
        /// 32 bits of the same.
        I386 = "i386",
        /// Intel and AMD.
        X86 = "x86_64",
        /// Graviton.
        Arm = "arm64",
    }
}

object! {
    /// GPUs of an instance type.
    pub(crate) struct GpuInfoInput("`GpuInfo`") {
        /// By model.
        gpus: Vec<GpuInput> = "Gpus",
    }
    ignored { "TotalGpuMemoryInMiB": "GPU memory is not simulated", }
}

object! {
    /// GPUs of one model.
    pub(crate) struct GpuInput("a GPU") {
        /// How many.
        count: Whole<0, 1024> = "Count",
        /// Model.
        name: Option<At<String>> = "Name",
    }
    ignored {
        "Manufacturer": "who makes a GPU changes nothing",
        "MemoryInfo": "GPU memory is not simulated",
    }
}

object! {
    /// Network of an instance type.
    pub(crate) struct NetworkInfoInput("`NetworkInfo`") {
        /// Network interfaces: one is the host's own, the others are for awsvpc tasks (EC2-12).
        interfaces: Whole<1, 64> = "MaximumNetworkInterfaces",
    }
    ignored {
        "NetworkPerformance": "bandwidth of hosts is not simulated",
        "MaximumNetworkCards": "network cards are not simulated",
        "DefaultNetworkCardIndex": "network cards are not simulated",
        "NetworkCards": "network cards are not simulated",
        "Ipv4AddressesPerInterface": "addresses are unlimited",
        "Ipv6AddressesPerInterface": "addresses are unlimited",
        "Ipv6Supported": "addresses are unlimited",
        "EnaSupport": "the network's driver changes nothing",
        "EfaSupported": "the network's driver changes nothing",
        "EnaSrdSupported": "the network's driver changes nothing",
        "EncryptionInTransitSupported": "encryption changes nothing",
    }
}

object! {
    /// Every latency of the control plane.
    pub(crate) struct DelaysInput("`delays`") {
        /// realistic (default) or constant.
        preset: Option<PresetWord> = "preset",
        /// A change of desired capacity to the launch call.
        asg_reaction: Option<Dist<Seconds>> = "asgReaction",
        /// Launch call to EC2 state running.
        instance_launch: Option<Dist<Seconds>> = "instanceLaunch",
        /// Running to InService without a hook.
        instance_in_service: Option<Dist<Seconds>> = "instanceInService",
        /// Launch call to ECS agent registered.
        agent_register: Option<Dist<Seconds>> = "agentRegister",
        /// Start of a stopped instance of a warm pool to ECS agent registered.
        warm_start: Option<Dist<Seconds>> = "warmStart",
        /// Terminate call to terminated.
        instance_terminate: Option<Dist<Seconds>> = "instanceTerminate",
        /// Image pull; absent: by rule IMG-2 from the image's size.
        image_pull: Option<Dist<Seconds>> = "imagePull",
        /// Pull throughput of an EC2 host, MiB/s.
        pull_throughput: Option<Dist<Plain>> = "pullThroughput",
        /// Fixed part of a pull.
        pull_base: Option<Dist<Seconds>> = "pullBase",
        /// Creation of a container; absent: part of `taskStart` and `fargateStart`.
        container_create: Option<Dist<Seconds>> = "containerCreate",
        /// Container create and start on EC2.
        task_start: Option<Dist<Seconds>> = "taskStart",
        /// ENI attachment on EC2.
        eni_attach: Option<Dist<Seconds>> = "eniAttach",
        /// Fargate: accepted to start of pull.
        fargate_provision: Option<Dist<Seconds>> = "fargateProvision",
        /// Fargate pull rate up to 1 vCPU, MiB/s.
        fargate_pull_throughput_small: Option<Dist<Plain>> = "fargatePullThroughputSmall",
        /// Fargate pull rate above 1 vCPU, MiB/s.
        fargate_pull_throughput_large: Option<Dist<Plain>> = "fargatePullThroughputLarge",
        /// Fargate: end of pull to RUNNING.
        fargate_start: Option<Dist<Seconds>> = "fargateStart",
        /// The wait of SVC-7 for tasks without checks.
        healthy: Option<Dist<Seconds>> = "healthy",
        /// SIGTERM to exit.
        task_stop: Option<Dist<Seconds>> = "taskStop",
    }
}

keyword! {
    /// What delays are when nothing is said.
    pub(crate) enum PresetWord {
        /// Fitted distributions.
        Realistic = "realistic",
        /// The specification's constants, no chance at all.
        Constant = "constant",
    }
}

object! {
    /// What differs from the price catalogue.
    pub(crate) struct PricesInput("`prices`") {
        /// Dollars per hour by instance type.
        on_demand: Named<Quantity<Plain>> = "onDemand",
        /// Dollars per hour by instance type.
        spot: Named<Quantity<Plain>> = "spot",
        /// Dollars per vCPU-hour.
        fargate_vcpu_hour: Option<Quantity<Plain>> = "fargateVcpuHour",
        /// Dollars per GB-hour.
        fargate_gb_hour: Option<Quantity<Plain>> = "fargateGbHour",
        /// Gigabytes of gp3 root volume billed per host. Default 30.
        root_volume_gib: Option<Quantity<Plain>> = "rootVolumeGiB",
        /// Whether each host has a billed public IPv4 address. Default false.
        public_ipv4: Option<bool> = "publicIpv4",
        /// Whether image pulls pass a NAT gateway, which charges for their bytes. Default false.
        nat_gateway: Option<bool> = "natGateway",
        /// Discount on on-demand instance prices, 0 to 1. Default 0.
        savings_plan_discount: Option<At<f64>> = "savingsPlanDiscount",
    }
    refused { "reserved": "counts of reserved instances", }
}

object! {
    /// A custom scheduler: a program that answers each line of JSON with a line of JSON.
    pub(crate) struct SchedulerInput("`scheduler`") {
        /// Program and arguments, started in the folder of this file.
        command: Vec<At<String>> = "command",
        /// The longest it may take for one answer, by the wall clock. Default 10s.
        timeout: Option<At<SimDuration>> = "timeout",
        /// Clusters whose tasks it places. Default: all.
        clusters: Vec<At<String>> = "clusters",
    }
}

object! {
    /// A bound on a summary metric.
    pub(crate) struct SloInput("an SLO") {
        /// Key of the metric, for example service/default/web:latency_p99_s.
        metric: At<String> = "metric",
        /// Largest value that holds.
        max: Option<f64> = "max",
        /// Smallest value that holds.
        min: Option<f64> = "min",
        /// Error budget: the share of its minutes in which it may be missed. Default: of a quantile what may be beyond it,
        /// of an availability what is missing from 1.
        budget: Option<At<f64>> = "budget",
    }
}

object! {
    /// A named change to the scenario.
    pub(crate) struct VariantInput("a variant") {
        /// Values by path.
        set: Option<Raw> = "set",
        /// What the variant is about.
        description: Opaque = "description",
    }
}

// ------------------------------------------------------------------------------------------- words of the model

keyword! { impl NetworkMode { Bridge = "bridge", Host = "host", Awsvpc = "awsvpc", None = "none", WindowsDefault = "default", } }
keyword! { impl Protocol { Tcp = "tcp", Udp = "udp", } }
keyword! { impl CpuArchitecture { X86_64 = "X86_64", Arm64 = "ARM64", } }
keyword! {
    impl PullBehaviour { Default = "default", Always = "always", Once = "once", PreferCached = "prefer-cached", }
}
keyword! { impl SchedulingStrategy { Replica = "REPLICA", Daemon = "DAEMON", } }
keyword! {
    impl AdjustmentType {
        ChangeInCapacity = "ChangeInCapacity",
        ExactCapacity = "ExactCapacity",
        PercentChangeInCapacity = "PercentChangeInCapacity",
    }
}
keyword! { impl Aggregation { Average = "Average", Minimum = "Minimum", Maximum = "Maximum", } }
keyword! {
    impl ComparisonOperator {
        GreaterThanOrEqualToThreshold = "GreaterThanOrEqualToThreshold",
        GreaterThanThreshold = "GreaterThanThreshold",
        LessThanThreshold = "LessThanThreshold",
        LessThanOrEqualToThreshold = "LessThanOrEqualToThreshold",
    }
}
keyword! {
    impl MissingData {
        Missing = "missing",
        Ignore = "ignore",
        Breaching = "breaching",
        NotBreaching = "notBreaching",
    }
}
keyword! { impl AlarmState { InsufficientData = "INSUFFICIENT_DATA", Ok = "OK", Alarm = "ALARM", } }
keyword! { impl Gaps { Hold = "hold", Zero = "zero", Refuse = "refuse", } }
