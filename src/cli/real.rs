//! `ecsim run --containers docker`: the one replication whose tasks are real containers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::adapters::containers::{
    ContainerEngine as _, DockerEngine, DriveOptions, Ending, Limits, Pacer, RunLabels, Which, drive, peak, prune,
    refusals,
};
use crate::adapters::http::{HttpCompanion, unreachable};
use crate::cli::Console;
use crate::cli::console::Progress;
use crate::cli::replications::Plan;
use crate::control_plane::estate::Estate;
use crate::control_plane::{RunOptions, Session};
use crate::engine::time::SimDuration;
use crate::report::recorder::Recorder;
use crate::report::summary::ReplicationSummary;

/// Name of the folder of the containers' logs, among the outputs.
const LOGS: &str = "logs";

/// Real containers in place of simulated ones.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct RealArgs {
    /// Run tasks as real containers of an engine of this machine, in real time; see docs/containers.md.
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub containers: Option<EngineChoice>,
    /// Simulated seconds in a second: hosts boot and alarms wait so much faster, containers are as fast as they are.
    #[arg(long, value_name = "P", requires = "containers")]
    pub pace: Option<f64>,
    /// The most containers at once; 50 when absent.
    #[arg(long, value_name = "N", requires = "containers")]
    pub max_containers: Option<usize>,
    /// How long an engine that has gone may take to come back; 30s when absent.
    #[arg(long, value_name = "T", requires = "containers")]
    pub engine_patience: Option<SimDuration>,
    /// Let containers mount directories of this machine.
    #[arg(long, requires = "containers")]
    pub allow_host_mounts: bool,
}

/// Engines that can run containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// The Docker engine that DOCKER_HOST names, else the one at /var/run/docker.sock.
    Docker,
}

/// How long an engine may take to come back, unless `--engine-patience` says otherwise.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);
/// Containers at once, unless `--max-containers` says otherwise.
const MAX_CONTAINERS: usize = 50;

impl RealArgs {
    /// The most containers at once.
    fn most(&self) -> usize {
        self.max_containers.unwrap_or(MAX_CONTAINERS)
    }

    /// The options that the same run needs again.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(EngineChoice::Docker) = self.containers {
            words.extend(["--containers".to_owned(), "docker".to_owned()]);
        }
        if let Some(pace) = self.pace {
            words.extend(["--pace".to_owned(), pace.to_string()]);
        }
        if let Some(most) = self.max_containers {
            words.extend(["--max-containers".to_owned(), most.to_string()]);
        }
        if let Some(patience) = self.engine_patience {
            words.extend(["--engine-patience".to_owned(), patience.to_string().replace(' ', "")]);
        }
        words.extend(self.allow_host_mounts.then(|| "--allow-host-mounts".to_owned()));
        words
    }
}

/// The threads that talk to an engine.
pub fn runtime() -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().context("cannot start the threads")
}

/// An engine that is there and may run the scenario.
#[derive(Debug)]
pub struct RealRun {
    runtime: Runtime,
    engine: Arc<DockerEngine>,
    pacer: Pacer,
    args: RealArgs,
}

impl RealRun {
    /// Looks whether the engine is there and whether the scenario may run on it, before anything starts; `None` when the
    /// containers are simulated.
    ///
    /// There is one replication with real containers, whatever the scenario says.
    pub fn prepare(
        args: &RealArgs,
        estate: &mut Estate,
        once: bool,
        console: &Console,
    ) -> anyhow::Result<Option<Self>> {
        let Some(EngineChoice::Docker) = args.containers else { return Ok(None) };
        let pacer = Pacer::new(args.pace.unwrap_or(1.0)).map_err(anyhow::Error::msg)?;
        if !once {
            bail!("`--precision` asks for replications, and with real containers there is one");
        }
        if estate.replications > 1 {
            console.warn("with real containers there is one replication");
            estate.replications = 1;
        }
        let runtime = runtime()?;
        let (engine, machine) = runtime.block_on(async {
            let engine = DockerEngine::from_environment()?;
            let machine = engine.machine().await?;
            anyhow::Ok((engine, machine))
        })?;
        let limits = Limits { max_containers: args.most(), host_mounts: args.allow_host_mounts };
        let mut refused = refusals(estate, &machine, peak(estate), limits);
        refused.extend(unreachable(estate));
        if !refused.is_empty() {
            bail!("the scenario cannot run with real containers here:\n  {}", refused.join("\n  "));
        }
        console.say(&format!(
            "tasks are containers of Docker {} ({} CPUs, {} MiB), at {} simulated seconds a second",
            machine.version,
            machine.cpus,
            machine.memory >> 20,
            pacer.pace()
        ));
        Ok(Some(Self { runtime, engine: Arc::new(engine), pacer, args: *args }))
    }

    /// Runs the replication, and removes what it made however that goes.
    pub fn replication(
        &self,
        estate: &Estate,
        plan: Plan<'_>,
        progress: &Progress,
    ) -> anyhow::Result<(ReplicationSummary, Ending)> {
        let Some((output, detail)) = plan.output else { bail!("a run with real containers writes its outputs") };
        let logs: PathBuf = output.path().join(LOGS);
        let mut recorder = Recorder::to_files(estate, detail, output)?;
        let options = RunOptions { replication: 0, paranoid: plan.paranoid };
        let labels = RunLabels::new(&estate.name);
        let cleanup = Cleanup { real: self, labels: &labels };
        let mut session = Session::with_real_containers(estate, options, &mut recorder, self.pacer.pace());
        let patience = self.args.engine_patience.map(|patience| Duration::from_nanos(patience.as_nanos()));
        let drive_options = DriveOptions {
            pacer: self.pacer,
            max_containers: self.args.most(),
            engine_patience: patience.unwrap_or(ENGINE_PATIENCE),
            logs: Some(logs),
        };
        let wake = Arc::new(Notify::new());
        let mut http = HttpCompanion::new(self.runtime.handle().clone(), Arc::clone(&wake));
        let driven = self.runtime.block_on(drive(
            self.engine.clone(),
            &labels,
            &mut session,
            &drive_options,
            &mut http,
            wake,
            interrupted(),
            progress.follow(),
        ));
        session.finish();
        drop(cleanup);
        http.measured(estate, &driven, self.pacer.pace())
            .write(output.path())
            .context("cannot write what was measured")?;
        for warning in &driven.warnings {
            progress.warn(warning);
        }
        match driven.ending {
            Ending::Complete => {}
            Ending::Interrupted => progress.warn("broken off; the outputs go as far as the run did"),
            Ending::EngineLost => {
                progress.warn(
                    "the Docker engine has gone and not come back: the outputs go as far as the run did, and what it has left \
                     is removed by `ecsim containers prune` when it is there again",
                );
            }
        }
        Ok((recorder.into_summary(Some(output))?, driven.ending))
    }
}

/// Ctrl-C, or a polite kill.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Dropped, after a panic too, it removes whatever the run has left.
struct Cleanup<'a> {
    real: &'a RealRun,
    labels: &'a RunLabels,
}

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        let which = Which::Run(&self.labels.id);
        // An engine that is gone has nothing left to remove, or keeps it for `ecsim containers prune`.
        let _ = self.real.runtime.block_on(prune(&*self.real.engine, which));
    }
}
