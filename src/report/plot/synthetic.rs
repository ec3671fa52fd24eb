//! A run's folder made by formula, to draw pictures of.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{
    AlarmPlan, DefinitionPlan, MachinePlan, Occurrence, PLAN, PicturePlan, QueuePlan, ServicePlan, TrackedSeries,
};

const DAY: f64 = 86_400.0;

/// Requests of a day: low at night, high in the evening.
fn load(at: f64) -> f64 {
    let hour = at / 3600.0;
    6.0 + 5.0 * libm::sin((hour - 8.0) / 24.0 * std::f64::consts::TAU) + 1.5 * libm::sin(hour * 2.1)
}

/// Writes every file that pictures are drawn from.
pub(in crate::report) fn write(folder: &Path, scale: f64) {
    fs::create_dir_all(folder).unwrap();
    let service = "service/default/web";
    let plan = PicturePlan {
        scenario: "web-day".into(),
        seed: 7,
        start: "2026-01-05T00:00:00Z".parse().unwrap(),
        duration_s: DAY,
        warmup_s: 3600.0,
        occurrences: vec![
            Occurrence { from_s: 36_000.0, to_s: Some(43_200.0), what: "azOutage us-east-1b".into(), fault: true },
            Occurrence { from_s: 64_800.0, to_s: None, what: "ecs:UpdateService".into(), fault: false },
        ],
        requests: 864_000.0,
        requests_failed: 0.0,
        tasks_refused: 0,
        services: vec![ServicePlan {
            resource: service.into(),
            metrics: vec![TrackedSeries {
                resource: service.into(),
                metric: "CPUUtilization".into(),
                target: Some(60.0),
            }],
            alarms: [("AlarmHigh", 60.0, true), ("AlarmLow", 54.0, false)]
                .map(|(name, threshold, high)| AlarmPlan {
                    name: name.into(),
                    threshold,
                    high,
                    metric: Some("CPUUtilization".into()),
                })
                .to_vec(),
            target_groups: Vec::new(),
        }],
        definitions: vec![DefinitionPlan { name: "web:1".into(), cpu: 1024, memory_mib: 2048 }],
        machines: vec![MachinePlan { asg: "web".into(), kind: "m5.large".into(), cpu: 2048, memory_mib: 7680 }],
        queues: vec![QueuePlan { resource: "queue/jobs".into(), service: Some(service.into()) }],
    };
    fs::write(folder.join(PLAN), serde_json::to_string(&plan).unwrap()).unwrap();
    let mut series = String::from("time_s,resource,metric,value\n");
    let mut alarms =
        String::from("time_s,alarm,state,reason\n0,AlarmHigh,INSUFFICIENT_DATA,\n0,AlarmLow,INSUFFICIENT_DATA,\n");
    let mut instances = String::from(
        "instance,asg,type,az,market,launched_s,in_service_s,registered_s,draining_s,terminating_s,terminated_s,billed_s,cost_usd,reason\n",
    );
    let mut state = [false; 2];
    let mut live: Vec<f64> = Vec::new();
    let mut number = 0;
    let mut host = |launched: f64, terminating: Option<f64>| {
        let zone = ["us-east-1a", "us-east-1b", "us-east-1c"][number % 3];
        let text = |at: Option<f64>| at.map(|at| at.to_string()).unwrap_or_default();
        let gone = terminating.map(|at| at + 900.0);
        writeln!(
            instances,
            "i-0{number:08x}00000000,web,m5.large,{zone},on-demand,{launched},{},{},{},{},{},1000,0.5,scale-in",
            launched + 90.0,
            launched + 120.0,
            text(terminating),
            text(terminating.map(|at| at + 800.0)),
            text(gone),
        )
        .unwrap();
        number += 1;
    };
    for minute in 0..1440 {
        let at = f64::from(minute) * 60.0;
        let demand = load(at) * scale;
        let mut put =
            |resource: &str, metric: &str, value: f64| writeln!(series, "{at},{resource},{metric},{value}").unwrap();
        let wanted = (load(at - 600.0) * scale / 0.6).ceil().max(1.0);
        let running = (load(at - 720.0) * scale / 0.6).ceil().max(1.0);
        if minute % 10 == 0 {
            put(service, "DesiredCount", wanted);
            put(service, "RunningCount", running.min(wanted));
            put(service, "PendingCount", (wanted - running).max(0.0));
        }
        let cpu = 100.0 * demand.max(0.0) / running * if minute % 97 == 0 { 1.3 } else { 1.0 };
        put(service, "CPUUtilization", cpu);
        let p50 = 0.04 / (1.3 - (cpu / 100.0).min(1.2));
        put(service, "latency_p50_s", p50);
        put(service, "latency_p99_s", p50 * if minute % 200 == 3 { 9.0 } else { 3.0 });
        put(service, "latency_mean_s", p50 * 1.2);
        let backlog = (100.0 * (demand - 0.6 * running)).max(0.0).round();
        put("queue/jobs", "backlog", backlog);
        put("queue/jobs", "in_flight", running * 4.0);
        put("queue/jobs", "age_s", 10.0 + backlog);
        let hosts = (running / 2.0).ceil() + 1.0;
        put("cluster/default", "registered_cpu_vcpu", hosts * 2.0);
        put("cluster/default", "reserved_cpu_vcpu", running.min(wanted).min(hosts * 2.0));
        put("cluster/default", "demanded_cpu_vcpu", wanted);
        put("cluster/default", "registered_memory_mib", hosts * 7680.0);
        put("cluster/default", "reserved_memory_mib", running.min(wanted) * 2048.0);
        put("cluster/default", "demanded_memory_mib", wanted * 2048.0);
        put("cluster/default", "fargate_cpu_vcpu", 0.0);
        put("asg/web", "cost_per_hour_usd", hosts * 0.096);
        put("asg/spot", "cost_per_hour_usd", (hosts / 2.0).floor() * 0.035);
        put("cluster/default", "cost_per_hour_usd", if minute > 800 { 0.3 } else { 0.0 });
        while (live.len() as f64) < hosts {
            live.push(at);
        }
        while live.len() as f64 > hosts {
            host(live.remove(0), Some(at));
        }
        for (place, (name, now)) in [("AlarmHigh", cpu > 60.0), ("AlarmLow", cpu < 54.0)].into_iter().enumerate() {
            if now != state[place] {
                state[place] = now;
                writeln!(alarms, "{at},{name},{},\"Threshold Crossed, really\"", if now { "ALARM" } else { "OK" })
                    .unwrap();
            }
        }
    }
    for launched in live {
        host(launched, None);
    }
    let mut packing =
        String::from("time_s,instance,az,registered_cpu,reserved_cpu,registered_memory_mib,reserved_memory_mib\n");
    for place in 0..14 {
        let cpu = if place == 13 { 0 } else { 2048 - (place % 4) * 256 };
        writeln!(packing, "43200,i-0{place:08x}00000000,us-east-1a,2048,{cpu},7680,{}", cpu * 3).unwrap();
    }
    fs::write(folder.join("series.csv"), series).unwrap();
    fs::write(folder.join("alarms.csv"), alarms).unwrap();
    fs::write(folder.join("instances.csv"), instances).unwrap();
    fs::write(folder.join("packing.csv"), packing).unwrap();
    let mut idle = String::from("instance,asg,cause,rule,from_s,to_s,usd_per_hour\n");
    for hour in 0..24 {
        let at = hour * 3600;
        writeln!(idle, "i-0,web,boot,EC2-20,{at},{},0.096", at + 120).unwrap();
        writeln!(idle, "i-0,web,alarm_window,CAS-22,{},{},0.096", at + 1800, at + 2700).unwrap();
    }
    fs::write(folder.join("idle.csv"), idle).unwrap();
    fs::write(folder.join("cost.csv"), "item,resource,quantity,unit,unit_price_usd,cost_usd\nec2_on_demand,i-0,10,h,0.096,14.5\nload_balancer,web,24,h,0.0225,0.54\n").unwrap();
}
