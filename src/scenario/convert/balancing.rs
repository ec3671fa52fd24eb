//! Load balancers and target groups (ELB-*).

use super::not_modelled;
use crate::control_plane::api::CreateLoadBalancer;
use crate::ecs::target_group::{
    BalancerKind, CheckProtocol, CreateTargetGroup, RoutingAlgorithm, Stickiness, StickinessType, TargetType,
};
use crate::engine::time::SimDuration;
use crate::scenario::decode::{At, Whole};
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::input::{AttributeInput, LoadBalancerInput, LoadBalancerWord, TargetGroupInput};

/// `create-target-group`, with its attributes.
pub(crate) fn target_group(input: &TargetGroupInput, reading: &mut Reading) -> CreateTargetGroup {
    if let Some(at) = input.check_enabled.as_ref().filter(|enabled| !enabled.value) {
        not_modelled(at.place, "target groups without health checks", reading);
    }
    let interval = input.interval.map_or(30, Whole::get);
    if input.timeout.is_some_and(|timeout| timeout.get() >= interval) {
        let message = "Health check interval must be greater than the timeout.";
        reading.report(Problem::aws("ValidationError", "ELB-3", input.place, message));
    }
    let defaults = CreateTargetGroup::named(&input.name.value);
    let mut group = CreateTargetGroup {
        load_balancer: input.load_balancer.as_ref().map(|name| name.value.clone()),
        health_check_interval: SimDuration::from_secs(u64::from(interval)),
        healthy_threshold: input.healthy.map_or(defaults.healthy_threshold, Whole::get),
        unhealthy_threshold: input.unhealthy.map_or(defaults.unhealthy_threshold, Whole::get),
        timeout: input.timeout.map(|timeout| SimDuration::from_secs(u64::from(timeout.get()))),
        check_protocol: match input.check_protocol.as_deref() {
            Some("HTTP") => CheckProtocol::Http,
            Some("HTTPS") => CheckProtocol::Https,
            _ => CheckProtocol::Tcp,
        },
        check_path: check_path(input, reading).unwrap_or(defaults.check_path),
        matcher: input.matcher.as_ref().and_then(|matcher| matcher.http.as_ref()).and_then(|at| matcher(at, reading)),
        target_type: input.target_type.as_ref().and_then(|at| target_type(at, reading)),
        ..CreateTargetGroup::named(&input.name.value)
    };
    let (sticky, others): (Vec<_>, Vec<_>) =
        input.attributes.iter().partition(|attribute| attribute.key.starts_with("stickiness."));
    group.stickiness = stickiness(&sticky, reading);
    for attribute in others {
        target_group_attribute(attribute, &mut group, reading);
    }
    if group.algorithm == RoutingAlgorithm::LeastOutstandingRequests && !group.slow_start.is_zero() {
        let message = "Slow start is not supported with the least_outstanding_requests routing algorithm.";
        reading.report(Problem::aws(INVALID, "ELB-8", input.place, message));
    }
    group
}

const INVALID: &str = "InvalidConfigurationRequest";

/// ELB-3: the path of HTTP probes.
fn check_path(input: &TargetGroupInput, reading: &mut Reading) -> Option<String> {
    let at = input.check_path.as_ref()?;
    if !at.starts_with('/') || at.len() > 1024 {
        let message = "Health check path must begin with a '/' character and have at most 1024 characters.";
        reading.report(Problem::aws("ValidationError", "ELB-3", at.place, message));
        return None;
    }
    Some(at.value.clone())
}

/// ELB-3: `200`, `200,202` or `200-299`, of 200 to 499 (599 for a Network Load Balancer).
fn matcher(at: &At<String>, reading: &mut Reading) -> Option<Vec<(u16, u16)>> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
        (200 <= range.0 && range.0 <= range.1 && range.1 <= 599).then_some(range)
    };
    let ranges: Option<Vec<(u16, u16)>> = at.split(',').map(|text| range(text.trim())).collect();
    if ranges.is_none() {
        let message = format!("Health check matcher HTTP code '{}' is not valid.", at.value);
        reading.report(
            Problem::aws("ValidationError", "ELB-3", at.place, message).help("such as 200, 200,202 or 200-299"),
        );
    }
    ranges
}

/// ELB-2: what its targets are; tasks with interfaces of their own need `ip`, the others `instance`.
fn target_type(at: &At<String>, reading: &mut Reading) -> Option<TargetType> {
    match at.as_str() {
        "ip" => Some(TargetType::Ip),
        "instance" => Some(TargetType::Instance),
        other => {
            let message = format!("targets of type `{other}` are no tasks");
            reading.report(Problem::new(code::UNKNOWN_VALUE, at.place, message).help("ip or instance"));
            None
        }
    }
}

fn target_group_attribute(attribute: &AttributeInput, group: &mut CreateTargetGroup, reading: &mut Reading) {
    let (key, value) = (attribute.key.as_str(), &attribute.value);
    let mut refuse = |rule, allowed: &str| {
        let message = format!("'{key}' must be {allowed}, not `{}`", value.value);
        reading.report(Problem::aws(INVALID, rule, value.place, message));
    };
    let seconds = value.parse::<u32>().ok();
    match key {
        "deregistration_delay.timeout_seconds" => match seconds.filter(|seconds| *seconds <= 3600) {
            Some(seconds) => group.deregistration_delay = SimDuration::from_secs(u64::from(seconds)),
            None => refuse("ELB-9", "0 to 3600 seconds"),
        },
        "slow_start.duration_seconds" => {
            match seconds.filter(|seconds| *seconds == 0 || (30..=900).contains(seconds)) {
                Some(seconds) => group.slow_start = SimDuration::from_secs(u64::from(seconds)),
                None => refuse("ELB-8", "30 to 900 seconds, or 0 for none"),
            }
        }
        "load_balancing.algorithm.type" => match value.as_str() {
            "round_robin" => group.algorithm = RoutingAlgorithm::RoundRobin,
            "least_outstanding_requests" => group.algorithm = RoutingAlgorithm::LeastOutstandingRequests,
            "weighted_random" => group.algorithm = RoutingAlgorithm::WeightedRandom,
            _ => refuse("ELB-7", "round_robin, least_outstanding_requests or weighted_random"),
        },
        "load_balancing.cross_zone.enabled" => match value.as_str() {
            "true" => group.cross_zone = Some(true),
            "false" => group.cross_zone = Some(false),
            "use_load_balancer_configuration" => group.cross_zone = None,
            _ => refuse("ELB-12", "true, false or use_load_balancer_configuration"),
        },
        _ => ignored_attribute(attribute, reading),
    }
}

/// ELB-7: `stickiness.*`; `None` unless it is enabled.
fn stickiness(attributes: &[&AttributeInput], reading: &mut Reading) -> Option<Stickiness> {
    let mut sticky = Stickiness::default();
    let (mut enabled, mut cookie_name) = (false, false);
    for attribute in attributes {
        let (key, value) = (attribute.key.as_str(), &attribute.value);
        let mut refuse = |allowed: &str| {
            let message = format!("'{key}' must be {allowed}, not `{}`", value.value);
            reading.report(Problem::aws(INVALID, "ELB-7", value.place, message));
        };
        match (key, value.as_str()) {
            ("stickiness.enabled", "true") => enabled = true,
            ("stickiness.enabled", "false") => enabled = false,
            ("stickiness.enabled", _) => refuse("true or false"),
            ("stickiness.type", "lb_cookie") => sticky.kind = Some(StickinessType::LbCookie),
            ("stickiness.type", "app_cookie") => sticky.kind = Some(StickinessType::AppCookie),
            ("stickiness.type", "source_ip") => sticky.kind = Some(StickinessType::SourceIp),
            ("stickiness.type", _) => refuse("lb_cookie, app_cookie or source_ip"),
            ("stickiness.lb_cookie.duration_seconds" | "stickiness.app_cookie.duration_seconds", seconds) => {
                match seconds.parse().ok().filter(|seconds| (1..=604_800).contains(seconds)) {
                    Some(seconds) if key.contains("lb_cookie") => sticky.lb_cookie = SimDuration::from_secs(seconds),
                    Some(seconds) => sticky.app_cookie = SimDuration::from_secs(seconds),
                    None => refuse("1 to 604800 seconds"),
                }
            }
            ("stickiness.app_cookie.cookie_name", name) => {
                // These are the balancer's own.
                if name.is_empty() || name.starts_with("AWSALB") {
                    refuse("a name that does not begin with AWSALB");
                }
                cookie_name = true;
            }
            _ => ignored_attribute(attribute, reading),
        }
    }
    let switch = attributes.iter().find(|attribute| attribute.key.as_str() == "stickiness.enabled");
    if let Some(switch) = switch.filter(|_| enabled && sticky.kind == Some(StickinessType::AppCookie) && !cookie_name) {
        let message = "A cookie name must be specified for application-based stickiness";
        let problem = Problem::aws(INVALID, "ELB-7", switch.key.place, message);
        reading.report(problem.help("Attributes: [{Key: stickiness.app_cookie.cookie_name, Value: SESSION}]"));
    }
    enabled.then_some(sticky)
}

/// An attribute that changes nothing here, or that does not exist.
fn ignored_attribute(attribute: &AttributeInput, reading: &mut Reading) {
    const KNOWN: [&str; 3] = ["load_balancing.", "target_", "deregistration_delay."];
    const OTHERS: [&str; 3] =
        ["preserve_client_ip.enabled", "proxy_protocol_v2.enabled", "lambda.multi_value_headers.enabled"];
    let key = attribute.key.as_str();
    if KNOWN.iter().any(|prefix| key.starts_with(prefix)) || OTHERS.contains(&key) {
        let message = format!("attribute `{key}` is accepted and not modelled");
        reading.warn_once(key, Problem::new(code::IGNORED, attribute.key.place, message));
        return;
    }
    let message = format!("Target group attribute key '{key}' is not recognized");
    let problem = Problem::aws("ValidationError", "ELB-3", attribute.key.place, message);
    reading.report(problem.nearest(
        key,
        [
            "deregistration_delay.timeout_seconds",
            "slow_start.duration_seconds",
            "load_balancing.algorithm.type",
            "load_balancing.cross_zone.enabled",
            "stickiness.enabled",
            "stickiness.type",
            "stickiness.lb_cookie.duration_seconds",
            "stickiness.app_cookie.duration_seconds",
            "stickiness.app_cookie.cookie_name",
        ],
    ));
}

/// `create-load-balancer`, with the attributes that decide where traffic goes and how long an answer may take.
pub(crate) fn load_balancer(input: &LoadBalancerInput, reading: &mut Reading) -> CreateLoadBalancer {
    let kind = match input.kind.as_ref().map(|kind| kind.value) {
        Some(LoadBalancerWord::Network) => BalancerKind::Network,
        Some(LoadBalancerWord::Classic) => BalancerKind::Classic,
        Some(LoadBalancerWord::Application) | None => BalancerKind::Application,
    };
    // ELB-12: always on for an Application Load Balancer; off for the others unless said.
    let mut cross_zone = kind == BalancerKind::Application;
    let mut idle_timeout = kind.idle_timeout();
    for attribute in &input.attributes {
        let (key, value) = (attribute.key.as_str(), &attribute.value);
        match (key, value.as_str()) {
            ("load_balancing.cross_zone.enabled", "true") => cross_zone = true,
            ("load_balancing.cross_zone.enabled", "false") if kind != BalancerKind::Application => cross_zone = false,
            ("load_balancing.cross_zone.enabled", _) => {
                let message = "Cross-zone load balancing cannot be turned off for an Application Load Balancer.";
                reading.report(Problem::aws(INVALID, "ELB-12", value.place, message));
            }
            // Of a Network Load Balancer it is an attribute of the listener.
            ("idle_timeout.timeout_seconds", seconds) if kind != BalancerKind::Network => {
                if let Some(seconds) = seconds.parse().ok().filter(|seconds| (1..=4000).contains(seconds)) {
                    idle_timeout = SimDuration::from_secs(seconds);
                } else {
                    let message = format!("'{key}' must be 1 to 4000 seconds, not `{}`", value.value);
                    reading.report(Problem::aws(INVALID, "ELB-7", value.place, message));
                }
            }
            _ => {
                let message = format!("attribute `{key}` of a load balancer is accepted and not modelled");
                reading.warn_once(key, Problem::new(code::IGNORED, attribute.key.place, message));
            }
        }
    }
    let classic_only =
        [input.health_check.as_ref().map(|check| check.place), input.draining.as_ref().map(|draining| draining.place)];
    for place in classic_only.into_iter().flatten().filter(|_| kind != BalancerKind::Classic) {
        let message = "only a Classic Load Balancer has this itself; others have it in their target groups";
        reading.report(Problem::new(code::INVALID, place, message).help("Type: classic"));
    }
    CreateLoadBalancer { name: input.name.value.clone(), kind, cross_zone, idle_timeout }
}

/// The instances behind a Classic Load Balancer, which stand for its target group.
pub(crate) fn classic_instances(input: &LoadBalancerInput) -> Option<CreateTargetGroup> {
    let classic = input.kind.as_ref().is_some_and(|kind| kind.value == LoadBalancerWord::Classic);
    if !classic {
        return None;
    }
    let seconds = |value: u32| SimDuration::from_secs(u64::from(value));
    let mut group = CreateTargetGroup::of_classic(&input.name.value);
    if let Some(check) = &input.health_check {
        group.health_check_interval = check.interval.map_or(group.health_check_interval, |value| seconds(value.get()));
        group.healthy_threshold = check.healthy.map_or(group.healthy_threshold, Whole::get);
        group.unhealthy_threshold = check.unhealthy.map_or(group.unhealthy_threshold, Whole::get);
        group.timeout = check.timeout.map(|value| seconds(value.get()));
    }
    if let Some(draining) = &input.draining {
        let waits = draining.timeout.map_or(300, Whole::get);
        group.deregistration_delay = seconds(if draining.enabled { waits } else { 0 });
    }
    Some(group)
}
