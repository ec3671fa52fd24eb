//! Describe and List calls: what somebody may ask the estate (TASK-5, TASK-18).
//!
//! An answer names what was found; [`report::answers`](crate::report::answers) writes it as AWS would.

use std::collections::{BTreeMap, BTreeSet};

use crate::arn;
use crate::control_plane::ControlPlane;
use crate::control_plane::network::Target;
use crate::ecs::container::HealthStatus;
use crate::ecs::container_instance::ContainerInstanceStatus;
use crate::ecs::ids::{ClusterId, InstanceId, ServiceId, TaskDefinitionId, TaskKey, ZoneId};
use crate::ecs::service::ServiceStatus;
use crate::ecs::task::{Task, TaskStatus};
use crate::ecs::task_definition::DefinitionStatus;
use crate::engine::time::SimTime;
use crate::refused::Refused;

/// TASK-18: entries of a page of a List call.
const PAGE: u32 = 100;

/// A call that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadCall {
    /// `ecs:DescribeTasks`.
    DescribeTasks {
        /// `cluster`.
        cluster: String,
        /// `tasks`: ids, or task groups, each of which means its oldest task that no earlier entry means.
        tasks: Vec<String>,
    },
    /// `ecs:ListTasks`.
    ListTasks {
        /// `cluster`.
        cluster: String,
        /// Which of its tasks.
        filter: TaskFilter,
        /// Which part of the answer.
        page: Page,
    },
    /// `ecs:DescribeServices`.
    DescribeServices {
        /// `cluster`.
        cluster: String,
        /// `services`.
        services: Vec<String>,
    },
    /// `ecs:ListServices`.
    ListServices {
        /// `cluster`.
        cluster: String,
        /// Which part of the answer.
        page: Page,
    },
    /// `ecs:DescribeContainerInstances`.
    DescribeContainerInstances {
        /// `cluster`.
        cluster: String,
        /// `containerInstances`, by instance id or launch number (`#0`).
        instances: Vec<String>,
    },
    /// `ecs:ListContainerInstances`.
    ListContainerInstances {
        /// `cluster`.
        cluster: String,
        /// `status`; all when absent.
        status: Option<ContainerInstanceStatus>,
        /// Which part of the answer.
        page: Page,
    },
    /// `ecs:DescribeClusters`.
    DescribeClusters {
        /// `clusters`.
        clusters: Vec<String>,
    },
    /// `ecs:ListClusters`.
    ListClusters {
        /// Which part of the answer.
        page: Page,
    },
    /// `ecs:DescribeTaskDefinition`, by family or `family:revision`.
    DescribeTaskDefinition(String),
    /// `ecs:ListTaskDefinitions`.
    ListTaskDefinitions {
        /// `familyPrefix`: a family.
        family: Option<String>,
        /// `status`, ACTIVE unless said.
        status: DefinitionStatus,
        /// Which part of the answer.
        page: Page,
    },
    /// `elasticloadbalancing:DescribeTargetHealth`, by name of the target group.
    DescribeTargetHealth(String),
}

/// Which tasks `ecs:ListTasks` lists: those that meet all of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// `family`.
    pub family: Option<String>,
    /// `serviceName`.
    pub service: Option<String>,
    /// `startedBy`.
    pub started_by: Option<String>,
    /// `containerInstance`.
    pub instance: Option<String>,
    /// `launchType`.
    pub launch_type: Option<String>,
    /// `desiredStatus: STOPPED` (else RUNNING).
    pub stopped: bool,
}

/// `maxResults` and `nextToken` of a List call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Entries, 1 to 100; 100 unless said.
    pub max_results: Option<u32>,
    /// Where the page before ended.
    pub next_token: Option<String>,
}

/// Something that a Describe call was asked for and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its ARN, were it there.
    pub arn: String,
}

impl Missing {
    /// `reason`.
    pub const REASON: &'static str = "MISSING";
}

/// The answer to a [`ReadCall`]; everything in it is in the state, but for stopped tasks.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Tasks with their health (TD-18).
    Tasks(Vec<(Task, Option<HealthStatus>)>, Vec<Missing>),
    /// Services.
    Services(Vec<ServiceId>, Vec<Missing>),
    /// Container instances of a cluster.
    ContainerInstances(ClusterId, Vec<InstanceId>, Vec<Missing>),
    /// Clusters.
    Clusters(Vec<ClusterId>, Vec<Missing>),
    /// A task definition.
    TaskDefinition(TaskDefinitionId),
    /// A page of ARNs under this key, with the token of the next.
    Arns(&'static str, Vec<String>, Option<String>),
    /// Targets of a target group.
    Targets(Vec<TargetHealth>),
}

/// A target as its group sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    /// Which.
    pub target: Target,
    /// Its zone.
    pub zone: Option<ZoneId>,
    /// initial, healthy, unhealthy or draining (ELB-4).
    pub state: &'static str,
    /// Why it is unhealthy.
    pub description: Option<String>,
}

impl ReadCall {
    /// Its name with the service, for example `ecs:DescribeTasks`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DescribeTasks { .. } => "ecs:DescribeTasks",
            Self::ListTasks { .. } => "ecs:ListTasks",
            Self::DescribeServices { .. } => "ecs:DescribeServices",
            Self::ListServices { .. } => "ecs:ListServices",
            Self::DescribeContainerInstances { .. } => "ecs:DescribeContainerInstances",
            Self::ListContainerInstances { .. } => "ecs:ListContainerInstances",
            Self::DescribeClusters { .. } => "ecs:DescribeClusters",
            Self::ListClusters { .. } => "ecs:ListClusters",
            Self::DescribeTaskDefinition(_) => "ecs:DescribeTaskDefinition",
            Self::ListTaskDefinitions { .. } => "ecs:ListTaskDefinitions",
            Self::DescribeTargetHealth(_) => "elasticloadbalancing:DescribeTargetHealth",
        }
    }
}

impl ControlPlane<'_> {
    /// Answers a call that reads.
    ///
    /// # Errors
    /// What AWS refuses: an unknown cluster, too many ids, a token that it has not given.
    pub(super) fn answer(&self, call: &ReadCall, now: SimTime) -> Result<Answer, Refused> {
        match call {
            ReadCall::DescribeTasks { cluster, tasks } => self.describe_tasks(cluster, tasks, now),
            ReadCall::ListTasks { cluster, filter, page } => self.list_tasks(cluster, filter, page, now),
            ReadCall::DescribeServices { cluster, services } => self.describe_services(cluster, services),
            ReadCall::ListServices { cluster, page } => {
                let cluster = self.find_cluster(cluster)?;
                let listed = self.state.services.iter().filter(|service| {
                    // SVC-17: what is being deleted is no longer listed.
                    service.cluster == cluster && service.status == ServiceStatus::Active
                });
                let arns = listed.map(|service| self.state.service_arn(cluster, &service.name));
                paged("serviceArns", arns.collect(), page)
            }
            ReadCall::DescribeContainerInstances { cluster, instances } => self.describe_instances(cluster, instances),
            ReadCall::ListContainerInstances { cluster, status, page } => {
                let cluster = self.find_cluster(cluster)?;
                let of_status = self.state.clusters[cluster.index()]
                    .cluster
                    .instances()
                    .filter(|instance| status.is_none_or(|status| instance.status == status));
                let arns = of_status.map(|instance| self.state.container_instance_arn(cluster, instance.id));
                paged("containerInstanceArns", arns.collect(), page)
            }
            ReadCall::DescribeClusters { clusters } => {
                at_most("clusters", clusters, 100)?;
                let (mut found, mut missing) = (Vec::new(), Vec::new());
                for name in clusters {
                    match self.find_cluster(name) {
                        Ok(cluster) => found.push(cluster),
                        Err(_) => missing.push(self.missing(&format!("cluster/{}", arn::name(name)))),
                    }
                }
                Ok(Answer::Clusters(found, missing))
            }
            ReadCall::ListClusters { page } => {
                let there = self.state.clusters.iter().filter(|entry| !entry.deleted);
                let arns = there.map(|entry| self.state.ecs_arn(&format!("cluster/{}", entry.name)));
                paged("clusterArns", arns.collect(), page)
            }
            ReadCall::DescribeTaskDefinition(name) => self.describe_definition(name),
            ReadCall::ListTaskDefinitions { family, status, page } => {
                let listed = self.state.definitions.iter().enumerate().filter(|(place, entry)| {
                    let of_family = family.as_ref().is_none_or(|family| entry.definition.family == *family);
                    of_family && self.definition_status(TaskDefinitionId(*place as u32)) == Some(*status)
                });
                let arn = |name: String| self.state.ecs_arn(&format!("task-definition/{name}"));
                paged("taskDefinitionArns", listed.map(|(_, entry)| arn(entry.definition.name())).collect(), page)
            }
            ReadCall::DescribeTargetHealth(group) => self.describe_targets(group, now),
        }
    }

    fn missing(&self, resource: &str) -> Missing {
        Missing { arn: self.state.ecs_arn(resource) }
    }

    fn describe_tasks(&self, cluster: &str, names: &[String], now: SimTime) -> Result<Answer, Refused> {
        let cluster = self.find_cluster(cluster)?;
        at_most("tasks", names, 100)?;
        let by_id: BTreeMap<u128, TaskKey> = self
            .state
            .tasks
            .iter()
            .filter(|(_, task)| task.cluster == cluster)
            .map(|(key, task)| (task.id, key))
            .collect();
        let stopped: BTreeMap<u128, &Task> =
            self.describable(now).filter(|task| task.cluster == cluster).map(|task| (task.id, task)).collect();
        let (mut found, mut missing, mut told) = (Vec::new(), Vec::new(), BTreeSet::new());
        for name in names {
            let short = name.rsplit('/').next().unwrap_or(name);
            let id = u128::from_str_radix(short, 16).ok().filter(|_| short.len() == 32);
            let group = |task: &&Task| self.state.task_group_name(task.group) == name && !told.contains(&task.id);
            let oldest_of_group =
                || by_id.values().map(|key| &self.state.tasks[*key]).filter(group).min_by_key(|task| task.number);
            let task = match id {
                Some(id) => by_id.get(&id).map(|key| &self.state.tasks[*key]).or_else(|| stopped.get(&id).copied()),
                None => oldest_of_group(),
            };
            match task {
                Some(task) => {
                    told.insert(task.id);
                    found.push((task.clone(), self.container_health(task)));
                }
                None => missing.push(self.missing(&format!("task/{}/{short}", self.state.cluster_name(cluster)))),
            }
        }
        Ok(Answer::Tasks(found, missing))
    }

    fn list_tasks(&self, cluster: &str, filter: &TaskFilter, page: &Page, now: SimTime) -> Result<Answer, Refused> {
        let cluster = self.find_cluster(cluster)?;
        let instance =
            match &filter.instance {
                Some(name) => Some(self.find_instance(name).ok_or_else(|| {
                    Refused::parameter("TASK-18", format!("Container instance {name} was not found."))
                })?),
                None => None,
            };
        let service = match &filter.service {
            Some(name) => Some(self.find_service(self.state.cluster_name(cluster), arn::name(name))?),
            None => None,
        };
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let listed = |task: &&Task| {
            task.cluster == cluster
                && task.desired_running() != filter.stopped
                && instance.is_none_or(|instance| task.instance == Some(instance))
                && service.is_none_or(|service| task.owner.is_some_and(|owner| owner.service == service))
                && same(&filter.family, &self.state.definitions[task.definition.index()].definition.family)
                && same(&filter.launch_type, task.launch.launch_type())
                && same(&filter.started_by, &self.state.started_by(task).unwrap_or_default())
        };
        let alive = self.state.tasks.values();
        let mut tasks: Vec<&Task> = alive.chain(self.describable(now)).filter(listed).collect();
        tasks.sort_unstable_by_key(|task| task.number);
        let arns = tasks.into_iter().map(|task| self.state.task_arn(cluster, task.id)).collect();
        paged("taskArns", arns, page)
    }

    fn describe_services(&self, cluster: &str, names: &[String]) -> Result<Answer, Refused> {
        at_most("services", names, 10)?;
        let id = self.find_cluster(cluster)?;
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            let short = arn::name(name);
            match self.find_service(cluster, short) {
                Ok(service) => found.push(service),
                Err(_) => missing.push(self.missing(&format!("service/{}/{short}", self.state.cluster_name(id)))),
            }
        }
        Ok(Answer::Services(found, missing))
    }

    fn describe_instances(&self, cluster: &str, names: &[String]) -> Result<Answer, Refused> {
        at_most("containerInstances", names, 100)?;
        let id = self.find_cluster(cluster)?;
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            let registered =
                |instance: &InstanceId| self.state.clusters[id.index()].cluster.instance(*instance).is_some();
            if let Some(instance) = self.find_instance(name).filter(registered) {
                found.push(instance);
            } else {
                let cluster = self.state.cluster_name(id);
                missing.push(self.missing(&format!("container-instance/{cluster}/{name}")));
            }
        }
        Ok(Answer::ContainerInstances(id, found, missing))
    }

    /// A family means its newest ACTIVE revision; a revision may be inactive too (TD-2).
    fn describe_definition(&self, name: &str) -> Result<Answer, Refused> {
        let (family, revision) = arn::revision(name);
        let found = self.state.definitions.iter().enumerate().rev().find(|(place, entry)| {
            let status = self.definition_status(TaskDefinitionId(*place as u32));
            let wanted = match revision {
                Some(revision) => status.is_some() && entry.definition.revision == revision,
                None => status == Some(DefinitionStatus::Active),
            };
            entry.definition.family == family && wanted
        });
        let id = found.map(|(place, _)| TaskDefinitionId(place as u32));
        // Here AWS has other words than where a task is to be run.
        id.map(Answer::TaskDefinition)
            .ok_or_else(|| Refused::new("ClientException", "TD-3", "Unable to describe task definition."))
    }

    fn describe_targets(&self, name: &str, now: SimTime) -> Result<Answer, Refused> {
        let group = self
            .find_target_group(arn::name(name))
            .ok_or_else(|| Refused::new("TargetGroupNotFound", "ELB-2", format!("Target groups '{name}' not found")))?;
        let mut tasks: Vec<&Task> = self.state.tasks.values().filter(|task| task.owner.is_some()).collect();
        tasks.sort_unstable_by_key(|task| task.number);
        let mut targets = Vec::new();
        for task in tasks {
            let Some(owner) = task.owner else { continue };
            let state = match (task.registered, task.target_health) {
                (true, None) => "initial",
                (true, Some(true)) => "healthy",
                (true, Some(false)) => "unhealthy",
                (false, _) if task.last_status == TaskStatus::Deactivating => "draining",
                (false, _) => continue,
            };
            let balancers = self.state.services[owner.service.index()].load_balancers_of(owner.deployment);
            for (id, balancer) in balancers.iter().filter(|(id, _)| *id == group) {
                let Some(target) = self.state.target_of(task, balancer) else { continue };
                let description = (state == "unhealthy").then(|| self.failed_check_reason(task, (*id, balancer), now));
                targets.push(TargetHealth { target, zone: task.zone, state, description });
            }
        }
        Ok(Answer::Targets(targets))
    }

    /// TASK-5: a task that has stopped can be described for a while, if anybody may ask.
    pub(super) fn keep_stopped(&mut self, task: Task, now: SimTime) {
        if !self.answers_reads {
            return;
        }
        while self.stopped.front().is_some_and(|task| !self.is_describable(task, now)) {
            self.stopped.pop_front();
        }
        self.stopped.push_back(task);
    }

    fn is_describable(&self, stopped: &Task, now: SimTime) -> bool {
        let retention = self.estate.behaviour.stopped_retention;
        stopped.times.stopped.is_some_and(|at| at.saturating_add(retention) > now)
    }

    /// Stopped tasks that are not forgotten yet; those that are may still be in the list until the next one stops.
    fn describable(&self, now: SimTime) -> impl Iterator<Item = &Task> {
        self.stopped.iter().filter(move |task| self.is_describable(task, now))
    }

    /// What of a definition is left: `None` once it is deleted and nothing refers to it any more (TD-2).
    pub(super) fn definition_status(&self, id: TaskDefinitionId) -> Option<DefinitionStatus> {
        let status = self.state.definitions[id.index()].definition.status;
        let refers = || {
            let runs = |running: TaskDefinitionId| self.without_proxy(running) == id;
            self.state.tasks.values().any(|task| runs(task.definition))
                || self
                    .state
                    .services
                    .iter()
                    .filter(|service| service.status != ServiceStatus::Inactive)
                    .any(|service| service.deployments.iter().any(|deployment| runs(deployment.definition)))
        };
        match status {
            DefinitionStatus::Internal => None,
            DefinitionStatus::DeleteInProgress => refers().then_some(status),
            DefinitionStatus::Active | DefinitionStatus::Inactive => Some(status),
        }
    }
}

/// TASK-18: how many ids a Describe call takes.
fn at_most(key: &str, ids: &[String], most: usize) -> Result<(), Refused> {
    if ids.is_empty() {
        return Err(Refused::parameter("TASK-18", format!("{key} can not be empty.")));
    }
    if ids.len() > most {
        return Err(Refused::parameter("TASK-18", format!("{key} can have at most {most} items.")));
    }
    Ok(())
}

/// TASK-18: the page of a list that a call asks for. Tokens are places in the list.
fn paged(key: &'static str, mut all: Vec<String>, page: &Page) -> Result<Answer, Refused> {
    let size = page.max_results.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&size) {
        return Err(Refused::parameter("TASK-18", format!("maxResults must be between 1 and {PAGE}, not {size}.")));
    }
    let from = match &page.next_token {
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|place| *place < all.len())
            .ok_or_else(|| Refused::parameter("TASK-18", "Invalid token provided."))?,
        None => 0,
    };
    let to = all.len().min(from + size as usize);
    let next = (to < all.len()).then(|| to.to_string());
    all.truncate(to);
    all.drain(..from);
    Ok(Answer::Arns(key, all, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_18_lists_come_in_pages_of_a_hundred() {
        let all: Vec<String> = (0..250).map(|number| format!("task {number}")).collect();
        let mut page = Page::default();
        let mut seen = Vec::new();
        loop {
            let Answer::Arns("taskArns", part, next) = paged("taskArns", all.clone(), &page).unwrap() else { panic!() };
            assert!(part.len() <= 100);
            seen.extend(part);
            let Some(token) = next else { break };
            page.next_token = Some(token);
        }
        assert_eq!(seen, all);
        for (max_results, next_token) in [(Some(101), None), (Some(0), None), (None, Some("250".to_owned()))] {
            let refused = paged("taskArns", all.clone(), &Page { max_results, next_token }).unwrap_err();
            assert_eq!(refused.code, "InvalidParameterException");
        }
    }

    #[test]
    fn task_18_a_call_describes_so_many() {
        let ids = |count: usize| vec!["x".to_owned(); count];
        assert!(at_most("services", &ids(10), 10).is_ok());
        assert!(at_most("services", &ids(11), 10).is_err() && at_most("tasks", &[], 100).is_err());
    }
}
