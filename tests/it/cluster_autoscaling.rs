//! Worked examples of `spec/cluster-autoscaling.md` that need the whole control plane.

use crate::lab::run_text;

/// One cluster with one provider; a task fills half a host.
const ESTATE: &str = "
name: lab
duration: 1h
clusters:
  - {clusterName: c, capacityProviders: [cp]}
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 20, DesiredCapacity: 1, cluster: c,
     AvailabilityZones: [us-east-1a], registeredResources: {cpu: 2048, memory: 7600}}
capacityProviders:
  - name: cp
    autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}
taskDefinitions:
  - family: t1
    networkMode: bridge
    containerDefinitions: [{name: app, image: app, cpu: 1024, memory: 2048}]
";

fn run_tasks(at: &str, count: u32) -> String {
    format!(
        "  - {{at: {at}, call: 'ecs:RunTask', with: {{cluster: c, taskDefinition: t1, count: {count}, \
         capacityProviderStrategy: [{{capacityProvider: cp, weight: 1}}]}}}}\n"
    )
}

#[test]
fn ex_cas_23_a_scale_out_takes_its_time_step_by_step() {
    // D = 1, the one host is full since before the task arrives; ticks at 0, 60, …; the example's t = 10 is 610 here.
    let text = format!("{ESTATE}actions:\n{}{}", run_tasks("5m", 2), run_tasks("610s", 1));
    let log = run_text(&text);
    let desired: Vec<(f64, f64)> = log.level("asg/g", "GroupDesiredCapacity");
    assert_eq!(desired[1], (675.0, 2.0), "visible at 665, alarm and action at 675: {desired:?}");
    assert_eq!(log.step(1, "Launched"), Some(680.0));
    assert_eq!(log.step(1, "Registered"), Some(725.0));
    let waited = log.times("family:t1", "PENDING");
    assert_eq!(waited.last(), Some(&730.0), "placed 5 s after the host registered");
}
