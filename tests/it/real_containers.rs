//! Tasks as containers of a real Docker engine, with an image called `ecsim-busybox`; `.ci/run` makes both. The logic is
//! tested without an engine, in `adapters::containers`.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::{Desk, code, text};

/// How a task ended, as EventBridge tells it.
#[derive(Debug)]
struct End {
    definition: String,
    code: String,
    reason: String,
    exit_codes: Vec<Option<i64>>,
}

/// A host that is there after some seconds, and the sections that `more` adds.
fn scenario(name: &str, duration: &str, more: &str) -> String {
    format!(
        "name: {name}\nduration: {duration}\ndelays: {{preset: constant, instanceLaunch: 1s, agentRegister: 1s}}\n\
         autoScalingGroups: [{{AutoScalingGroupName: hosts, InstanceType: m5.xlarge, MinSize: 1, MaxSize: 1}}]\n{more}"
    )
}

/// The ends of all tasks of a run.
fn ends(desk: &Desk, folder: &str) -> Vec<End> {
    let events = fs::read_to_string(desk.path(folder).join("events.jsonl")).expect("events");
    let mut ends = Vec::new();
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let detail = &event["detail"];
        if event["detail-type"] != "ECS Task State Change" || detail["lastStatus"] != "STOPPED" {
            continue;
        }
        let name = detail["taskDefinitionArn"].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an ARN");
        let containers = detail["containers"].as_array().expect("containers");
        ends.push(End {
            definition: name.split(':').next().unwrap_or_default().to_owned(),
            code: detail["stopCode"].as_str().unwrap_or_default().to_owned(),
            reason: detail["stoppedReason"].as_str().unwrap_or_default().to_owned(),
            exit_codes: containers.iter().map(|container| container["exitCode"].as_i64()).collect(),
        });
    }
    ends
}

/// The only end of a task of this family.
fn end_of<'a>(ends: &'a [End], definition: &str) -> &'a End {
    let mut found = ends.iter().filter(|end| end.definition == definition);
    let end = found.next().unwrap_or_else(|| panic!("no task of {definition} has stopped: {ends:?}"));
    assert!(found.next().is_none(), "several tasks of {definition} have stopped: {ends:?}");
    end
}

fn docker_at(host: Option<&str>, args: &[&str]) -> String {
    let mut command = Command::new("docker");
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    let output = command.args(args).output().expect("docker is there");
    assert!(output.status.success(), "docker {args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn docker(args: &[&str]) -> String {
    docker_at(None, args)
}

/// Names of a scenario's containers that exist.
fn containers(scenario: &str) -> Vec<String> {
    let filter = format!("label=ecsim.scenario={scenario}");
    docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]).lines().map(str::to_owned).collect()
}

/// Waits until something is there, for as long as a busy machine may take.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} is not there");
        sleep(Duration::from_millis(100));
    }
}

/// The running container of this name in its task.
fn running(scenario: &str, name: &str) -> String {
    let labels = [format!("label=ecsim.scenario={scenario}"), format!("label=ecsim.container={name}")];
    wait_for(name, || {
        let args = ["ps", "--filter", &labels[0], "--filter", &labels[1], "--format", "{{.Names}}"];
        docker(&args).lines().next().map(str::to_owned)
    })
}

fn spawn(desk: &Desk, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ecsim"))
        .current_dir(desk.path(""))
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn run_at<'a>(pace: &'a str, file: &'a str) -> Vec<&'a str> {
    vec!["run", file, "--containers", "docker", "--pace", pace, "--out", "out", "--no-report", "--quiet"]
}

#[test]
#[ignore = "needs a Docker engine"]
fn each_end_has_its_state_and_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let container = |more: &str| format!("{{name: app, image: ecsim-busybox, cpu: 64, memory: 16, {more}}}");
    let family =
        |name: &str, more: &str| format!("  - {{family: {name}, containerDefinitions: [{}]}}\n", container(more));
    let mut definitions = String::from("taskDefinitions:\n");
    definitions += &family("plain", "command: [sh, -c, 'echo hello; sleep 1']");
    definitions += &family("fails", "command: [sh, -c, exit 3]");
    definitions += &family("greedy", "command: [tail, /dev/zero]");
    definitions += &family("no-program", "command: [no-such-program]");
    definitions += &family(
        "set-up",
        "entryPoint: [sh, -c], workingDirectory: /bin, user: '1000', \
        environment: [{name: COLOUR, value: blue}], ulimits: [{name: nofile, softLimit: 99, hardLimit: 99}], \
        command: ['test $COLOUR = blue && test $(pwd) = /bin && test $(id -u) = 1000 && test $(ulimit -n) = 99']",
    );
    let port = format!("portMappings: [{{containerPort: 80, hostPort: {port}}}], command: [sleep, '60']");
    definitions += &family("no-port", &port);
    definitions += "  - {family: no-image, containerDefinitions: [{name: app, image: '127.0.0.1:1/no/image:1', cpu: 64, memory: 16}]}\n";
    definitions += "  - {family: deaf, containerDefinitions: [{name: app, image: ecsim-busybox, cpu: 64, memory: 16, \
                    stopTimeout: 2, command: [sh, -c, \"trap '' TERM; while true; do sleep 0.1; done\"]}]}\n";
    definitions += "
  - family: ordered
    volumes: [{name: shared}]
    containerDefinitions:
      - {name: app, image: ecsim-busybox, cpu: 64, memory: 16, links: ['helper:friend'],
         mountPoints: [{sourceVolume: shared, containerPath: /shared, readOnly: true}],
         command: [sh, -c, 'grep -q friend /etc/hosts && exit $(cat /shared/code)'],
         dependsOn: [{containerName: init, condition: SUCCESS}, {containerName: helper, condition: START}]}
      - {name: init, image: ecsim-busybox, cpu: 64, memory: 16, essential: false,
         mountPoints: [{sourceVolume: shared, containerPath: /shared}], command: [sh, -c, 'echo 7 > /shared/code']}
      - {name: helper, image: ecsim-busybox, cpu: 64, memory: 16, command: [sleep, '60'], stopTimeout: 2}
  - family: own-network
    networkMode: awsvpc
    containerDefinitions:
      - {name: app, image: ecsim-busybox, cpu: 64, memory: 16, portMappings: [{containerPort: 80}],
         command: [test, -e, /sys/class/net/eth0]}
  - family: no-network
    networkMode: none
    containerDefinitions:
      - {name: app, image: ecsim-busybox, cpu: 64, memory: 16, command: [test, '!', -e, /sys/class/net/eth0]}
services:
  - {serviceName: deaf, taskDefinition: deaf, desiredCount: 1, launchType: EC2}
";
    let mut actions = String::from("actions:\n");
    for name in [
        "plain",
        "fails",
        "greedy",
        "no-program",
        "set-up",
        "no-port",
        "no-image",
        "ordered",
        "own-network",
        "no-network",
    ] {
        let network = if name == "own-network" {
            ", networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-1]}}"
        } else {
            ""
        };
        actions += &format!("  - {{at: 7s, call: ecs:RunTask, with: {{taskDefinition: {name}, count: 1{network}}}}}\n");
    }
    actions += "  - {at: 28s, call: ecs:UpdateService, with: {service: deaf, desiredCount: 0}}\n";
    let desk = Desk::new();
    desk.file("s.yaml", scenario("each-end", "40s", &(definitions + &actions)));
    let output = desk.ecsim(&run_at("2", "s.yaml"));
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));

    let ends = ends(&desk, "out");
    let essential = ("EssentialContainerExited", "Essential container in task exited");
    for (name, exits) in [
        ("plain", vec![Some(0)]),
        ("fails", vec![Some(3)]),
        ("set-up", vec![Some(0)]),
        ("own-network", vec![Some(0)]),
        ("no-network", vec![Some(0)]),
        // SIGTERM means nothing to the first process of a container.
        ("ordered", vec![Some(7), Some(0), Some(137)]),
    ] {
        let end = end_of(&ends, name);
        assert_eq!((&*end.code, &*end.reason), essential, "{end:?}");
        assert_eq!(end.exit_codes, exits, "{end:?}");
    }
    let greedy = end_of(&ends, "greedy");
    assert_eq!(
        (&*greedy.reason, &*greedy.exit_codes),
        ("OutOfMemoryError: Container killed due to memory usage", &[Some(137)][..])
    );
    let deaf = end_of(&ends, "deaf");
    assert_eq!((&*deaf.code, &*deaf.exit_codes), ("ServiceSchedulerInitiated", &[Some(137)][..]));
    for (name, error) in [
        ("no-program", "CannotStartContainerError: Error response from daemon: "),
        ("no-port", "CannotStartContainerError: Error response from daemon: "),
        ("no-image", "CannotPullContainerError: Error response from daemon: "),
    ] {
        let end = end_of(&ends, name);
        assert_eq!(end.code, "TaskFailedToStart", "{end:?}");
        assert!(end.reason.starts_with(error), "{end:?}");
    }
    assert!(end_of(&ends, "no-port").reason.contains("address already in use"), "{ends:?}");
    let logs = desk.bytes("out/logs");
    assert!(logs.values().any(|log| log == b"hello\n"), "{:?}", logs.keys());
    assert_eq!(containers("each-end"), Vec::<String>::new());
}

#[test]
#[ignore = "needs a Docker engine"]
fn killed_paused_and_sick_containers_are_what_ecs_makes_of_them() {
    let desk = Desk::new();
    let more = "
taskDefinitions:
  - {family: victim, containerDefinitions: [{name: victim, image: ecsim-busybox, cpu: 64, memory: 16, stopTimeout: 2, command: [sleep, '90']}]}
  - {family: frozen, containerDefinitions: [{name: frozen, image: ecsim-busybox, cpu: 64, memory: 16, stopTimeout: 2,
     command: [sh, -c, \"trap 'exit 9' TERM; while true; do sleep 0.1; done\"]}]}
  - {family: sick, containerDefinitions: [{name: sick, image: ecsim-busybox, cpu: 64, memory: 16, stopTimeout: 2, command: [sleep, '90'],
     healthCheck: {command: [CMD, test, -e, /never], interval: 5, timeout: 2, retries: 1}}]}
services:
  - {serviceName: victim, taskDefinition: victim, desiredCount: 1, launchType: EC2}
  - {serviceName: frozen, taskDefinition: frozen, desiredCount: 1, launchType: EC2}
  - {serviceName: sick, taskDefinition: sick, desiredCount: 1, launchType: EC2,
     deploymentConfiguration: {minimumHealthyPercent: 0, maximumPercent: 100}}
actions:
  - {at: 26s, call: ecs:UpdateService, with: {service: frozen, desiredCount: 0}}
";
    desk.file("s.yaml", scenario("faults", "36s", more));
    let child = spawn(&desk, &run_at("2", "s.yaml"));
    let frozen = running("faults", "frozen");
    docker(&["pause", &frozen]);
    docker(&["kill", &running("faults", "victim")]);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let ends = ends(&desk, "out");
    let victim = end_of(&ends, "victim");
    assert_eq!((&*victim.code, &*victim.exit_codes), ("EssentialContainerExited", &[Some(137)][..]));
    // Nothing had happened to the frozen one as far as ECS knows, until it was told to stop; Docker thaws it for that.
    let frozen = end_of(&ends, "frozen");
    assert_eq!((&*frozen.code, &*frozen.exit_codes), ("ServiceSchedulerInitiated", &[Some(9)][..]));
    let sick: Vec<&End> = ends.iter().filter(|end| end.definition == "sick").collect();
    assert!(!sick.is_empty(), "{ends:?}");
    assert!(sick.iter().all(|end| end.reason == "Task failed container health checks"), "{sick:?}");
    assert_eq!(containers("faults"), Vec::<String>::new());
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_run_that_is_broken_off_removes_everything_and_one_that_is_killed_is_pruned() {
    let desk = Desk::new();
    let more = "
taskDefinitions:
  - {family: t, networkMode: awsvpc, volumes: [{name: v}],
     containerDefinitions: [{name: app, image: ecsim-busybox, cpu: 64, memory: 16, command: [sleep, '90'],
       mountPoints: [{sourceVolume: v, containerPath: /v}]}]}
services:
  - {serviceName: s, taskDefinition: t, desiredCount: 1, launchType: EC2,
     networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-1]}}}
";
    let left = |name: &str| {
        let filter = format!("label=ecsim.scenario={name}");
        let networks = docker(&["network", "ls", "--quiet", "--filter", &filter]).lines().count();
        let volumes = docker(&["volume", "ls", "--quiet", "--filter", &filter]).lines().count();
        (containers(name).len(), networks, volumes)
    };
    for (name, signal, status) in [("interrupted", "-INT", Some(1)), ("shot", "-KILL", None)] {
        desk.file("s.yaml", scenario(name, "10m", more));
        let child = spawn(&desk, &run_at("5", "s.yaml"));
        running(name, "app");
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
        assert!(killed.success());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), status, "{}", text(&output.stderr));
        if status.is_some() {
            assert_eq!(left(name), (0, 0, 0), "nothing is left behind");
            let files = desk.bytes("out");
            assert!(files.contains_key(std::path::Path::new("summary.json")), "the outputs are whole");
        }
    }
    assert_eq!(left("shot"), (1, 1, 1), "nobody could clean up");
    let pruned = desk.ecsim(&["containers", "prune"]);
    assert_eq!(code(&pruned), 0, "{}", text(&pruned.stderr));
    assert_eq!(left("shot"), (0, 0, 0));
}

/// A Docker engine of our own that can be stopped, with the image.
struct Engine {
    folder: tempfile::TempDir,
    daemon: Child,
}

impl Engine {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let daemon = Self::daemon(folder.path());
        let engine = Self { folder, daemon };
        engine.wait();
        let image = engine.folder.path().join("image.tar").display().to_string();
        docker(&["save", "--output", &image, "ecsim-busybox"]);
        docker_at(Some(&engine.host()), &["load", "--input", &image]);
        engine
    }

    fn daemon(folder: &std::path::Path) -> Child {
        let at = |name: &str| folder.join(name).display().to_string();
        // In a network of its own: an engine without a bridge would take away the one of the engine beside it.
        Command::new("unshare")
            .args(["--net", "dockerd"])
            .args(["--bridge", "none", "--iptables=false", "--data-root", &at("data"), "--exec-root", &at("exec")])
            .args(["--pidfile", &at("pid"), "--host", &format!("unix://{}", at("socket"))])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dockerd is there")
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    fn wait(&self) {
        wait_for("the engine", || {
            let answers = Command::new("docker").env("DOCKER_HOST", self.host()).arg("info").output().expect("docker");
            answers.status.success().then_some(())
        });
    }

    fn stop(&mut self) {
        if let Ok(None) = self.daemon.try_wait() {
            let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
            let _ = self.daemon.wait();
        }
    }

    fn restart(&mut self) {
        self.stop();
        self.daemon = Self::daemon(self.folder.path());
        self.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn an_engine_that_restarts_and_then_goes_for_good() {
    let mut engine = Engine::start();
    let desk = Desk::new();
    let more = "
taskDefinitions:
  - {family: t, networkMode: none, containerDefinitions: [{name: app, image: ecsim-busybox, cpu: 64, memory: 16, command: [sleep, '600']}]}
services: [{serviceName: s, taskDefinition: t, desiredCount: 1, launchType: EC2}]
";
    desk.file("s.yaml", scenario("lost", "10m", more));
    let mut args = run_at("2", "s.yaml");
    args.extend(["--engine-patience", "8s"]);
    let child = Command::new(env!("CARGO_BIN_EXE_ecsim"))
        .current_dir(desk.path(""))
        .env("DOCKER_HOST", engine.host())
        .args(&args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let up = |engine: &Engine| {
        let host = engine.host();
        wait_for("the container", || {
            docker_at(Some(&host), &["ps", "--format", "{{.Names}}"]).lines().next().map(str::to_owned)
        })
    };
    let first = up(&engine);
    engine.restart();
    // The service has replaced what the restart has ended.
    assert_ne!(up(&engine), first);
    engine.stop();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    let ends = ends(&desk, "out");
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert_eq!(ends[0].reason, "Essential container in task exited");
    assert!(ends[1].reason.starts_with("CannotInspectContainerError: the Docker engine at "), "{ends:?}");
    assert!(desk.bytes("out").contains_key(std::path::Path::new("summary.json")), "the outputs are whole");
}

#[test]
fn without_an_engine_nothing_starts() {
    let desk = Desk::new();
    desk.file("s.yaml", scenario("none", "1m", ""));
    let output = Command::new(env!("CARGO_BIN_EXE_ecsim"))
        .current_dir(desk.path(""))
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .args(["run", "s.yaml", "--containers", "docker", "--out", "out"])
        .output()
        .expect("it starts");
    assert_eq!(code(&output), 2);
    let said = text(&output.stderr);
    assert!(said.contains("no Docker engine at unix:///nowhere/docker.sock"), "{said}");
    assert_eq!(desk.entries(), ["s.yaml"]);
}
