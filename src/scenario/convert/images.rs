//! Images, and how agents treat them (IMG-*, AGENT-8).

use crate::ecs::agent::AgentConfig;
use crate::ecs::image::ImageSettings;
use crate::ecs::image_store::ImageCleanup;
use crate::engine::time::SimDuration;
use crate::scenario::decode::{At, Decode, Named, Whole};
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::input::{CompressionWord, GroupInput, ImageInput};
use crate::scenario::quantity::{Plain, Quantity};
use crate::scenario::tree::Value;

/// `image` of a behaviour.
pub(crate) fn settings(input: &ImageInput, reading: &mut Reading) -> Option<ImageSettings> {
    let layers = match &input.layers {
        // So many layers of its own: they are pulled together.
        Some(raw) if !matches!(raw.0.value, Value::Map(_)) => {
            Whole::<0, 1000>::decode(&raw.0, reading)?;
            Vec::new()
        }
        Some(raw) => Named::<Quantity<Plain>>::decode(&raw.0, reading)?.0,
        None => Vec::new(),
    };
    let layers: Vec<(String, f64)> = layers.into_iter().map(|(name, mib)| (name.value, mib.value)).collect();
    let named: f64 = layers.iter().map(|(_, mib)| mib).sum();
    let size_mib = input.size_mib.as_ref().map(|size| size.value);
    if let (Some(size), Some(raw)) = (size_mib, &input.layers)
        && named > size
    {
        let message = format!("the layers have {named} MiB together, the image {size} MiB");
        let problem = Problem::new(code::INVALID, raw.0.place, message).label("more than the image");
        reading.report(problem.help("leave `sizeMiB` out: it is then what the layers have together"));
        return None;
    }
    Some(ImageSettings {
        size_mib,
        layers,
        uncompressed_mib: input.uncompressed_mib.as_ref().map(|size| size.value),
        missing: input.missing.unwrap_or(false),
        zstd: input.compression == Some(CompressionWord::Zstd),
        soci_index: input.soci_index.unwrap_or(false),
    })
}

/// The agent's `ECS_…` variables of a group.
pub(crate) fn agent_config(input: &GroupInput, reading: &mut Reading) -> AgentConfig {
    let defaults = AgentConfig::default();
    let interval = least(input.image_cleanup_interval.as_ref(), 600, "ECS_IMAGE_CLEANUP_INTERVAL", reading);
    let cleanup = ImageCleanup {
        containers_after: least(input.cleanup_wait.as_ref(), 60, "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", reading)
            .unwrap_or(defaults.cleanup.containers_after),
        interval: interval.or(defaults.cleanup.interval).filter(|_| input.disable_image_cleanup != Some(true)),
        minimum_age: input.image_minimum_age.unwrap_or(defaults.cleanup.minimum_age),
        per_cycle: input.images_per_cycle.map_or(defaults.cleanup.per_cycle, Whole::get),
    };
    AgentConfig {
        pull_behaviour: input.image_pull_behaviour.unwrap_or_default(),
        pull_dependents_upfront: input.pull_dependents_upfront.unwrap_or(false),
        stop_timeout: least(input.container_stop_timeout.as_ref(), 1, "ECS_CONTAINER_STOP_TIMEOUT", reading)
            .unwrap_or(defaults.stop_timeout),
        cleanup,
    }
}

/// A duration that the agent takes from `seconds` on.
fn least(at: Option<&At<SimDuration>>, seconds: u64, variable: &str, reading: &mut Reading) -> Option<SimDuration> {
    let at = at?;
    let least = SimDuration::from_secs(seconds);
    if at.value < least {
        let message = format!("{variable} is {least} at least");
        reading.report(Problem::new(code::OUT_OF_RANGE, at.place, message).label("too short"));
        return None;
    }
    Some(at.value)
}
