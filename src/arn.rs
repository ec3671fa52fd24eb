//! Names in ARNs: AWS's calls take either, the model goes by names.

/// The name in an ARN, or the text itself when it is none.
///
/// ```
/// use ecsim::arn::name;
/// assert_eq!(name("web"), "web");
/// assert_eq!(name("arn:aws:ecs:us-east-1:123456789012:service/shop/web"), "web");
/// assert_eq!(name("arn:aws:ecs:us-east-1:123456789012:task-definition/web:3"), "web:3");
/// ```
pub fn name(text: &str) -> &str {
    if !text.starts_with("arn:") {
        return text;
    }
    if let Some((_, policy)) = policy(text) {
        return policy;
    }
    // The name of these two is followed by an id.
    if let Some((_, rest)) = text.split_once(":targetgroup/") {
        return rest.split('/').next().unwrap_or(rest);
    }
    if let Some((_, rest)) = text.split_once(":loadbalancer/") {
        return rest.split('/').nth(1).unwrap_or(rest);
    }
    text.rsplit('/').next().unwrap_or(text)
}

/// A task definition by name or ARN: its family, and the revision when it says one.
///
/// A family has no colon, so what is no revision is part of a family that does not exist.
pub fn revision(text: &str) -> (&str, Option<u32>) {
    let short = name(text);
    match short.rsplit_once(':').map(|(family, revision)| (family, revision.parse())) {
        Some((family, Ok(revision))) => (family, Some(revision)),
        _ => (short, None),
    }
}

/// A queue by name or by the ARN in `deadLetterTargetArn`.
pub fn queue(text: &str) -> &str {
    if text.starts_with("arn:") { text.rsplit(':').next().unwrap_or(text) } else { text }
}

/// The policy that an alarm's action names, by an ARN with what the policy scales (the part before the name) or simply
/// by name. `None` for the ARN of anything else, such as a topic to notify.
pub fn policy(action: &str) -> Option<(Option<&str>, &str)> {
    if !action.starts_with("arn:") {
        return Some((None, action));
    }
    let (scope, named) = action.split_once(":policyName/")?;
    // Application Auto Scaling appends who made the policy.
    Some((Some(scope), named.split_once(":createdBy/").map_or(named, |(name, _)| name)))
}

/// A service as `web`, `shop/web`, `service/shop/web` or by its ARN: the cluster, when it is said, and the name.
pub fn service(text: &str) -> (Option<&str>, &str) {
    let path = match text.split_once(":service/") {
        Some((_, path)) if text.starts_with("arn:") => path,
        _ => text.strip_prefix("service/").unwrap_or(text),
    };
    match path.split_once('/') {
        Some((cluster, service)) => (Some(cluster), service),
        None => (None, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_arn_gives_its_name() {
        for (text, expected) in [
            ("web", "web"),
            ("a/b", "a/b"),
            ("arn:aws:ecs:us-east-1:1:cluster/shop", "shop"),
            ("arn:aws:ecs:us-east-1:1:capacity-provider/hosts", "hosts"),
            ("arn:aws:ecs:us-east-1:1:task-definition/web:3", "web:3"),
            ("arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/73e2d6bc24d8a067", "web"),
            ("arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/front/50dc6c495c0c9188", "front"),
            ("arn:aws:autoscaling:us-east-1:1:autoScalingGroup:930d940e:autoScalingGroupName/hosts", "hosts"),
            ("arn:aws:autoscaling:us-east-1:1:scalingPolicy:6d89:resource/ecs/service/shop/web:policyName/up", "up"),
        ] {
            assert_eq!(name(text), expected, "{text}");
        }
    }

    #[test]
    fn a_queue_is_named_at_the_end_of_its_arn() {
        assert_eq!(queue("arn:aws:sqs:us-east-1:123456789012:jobs-dlq"), "jobs-dlq");
        assert_eq!(queue("jobs-dlq"), "jobs-dlq");
    }

    #[test]
    fn an_action_names_a_policy_unless_it_is_the_arn_of_something_else() {
        let of_service = "arn:aws:autoscaling:us-east-1:1:scalingPolicy:6d89:resource/ecs/service/shop/web";
        for suffix in ["", ":createdBy/9f1b"] {
            let arn = format!("{of_service}:policyName/up/fast{suffix}");
            assert_eq!(policy(&arn), Some((Some(of_service), "up/fast")));
        }
        assert_eq!(policy("up"), Some((None, "up")));
        assert_eq!(policy("arn:aws:sns:us-east-1:1:pager"), None);
        assert_eq!(policy("arn:aws:ssm-incidents::1:response-plan/up"), None);
    }

    #[test]
    fn a_service_may_say_its_cluster() {
        for (text, expected) in [
            ("web", (None, "web")),
            ("shop/web", (Some("shop"), "web")),
            ("service/shop/web", (Some("shop"), "web")),
            ("arn:aws:ecs:us-east-1:1:service/shop/web", (Some("shop"), "web")),
            ("arn:aws:ecs:us-east-1:1:service/web", (None, "web")),
        ] {
            assert_eq!(service(text), expected, "{text}");
        }
    }
}
