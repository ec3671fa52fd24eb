//! `ecr:PutImage`: what is pushed under a tag, and whether any container runs it (TD-29).

use super::convert::ecs::behaviour;
use super::decode::{At, Decode, Opaque, Raw, object};
use super::diagnostic::{Problem, Reading, code};
use super::input::{BehaviourInput, ScenarioFile};
use super::tree::Node;
use crate::arn;
use crate::control_plane::api::{ApiCall, PutImage};
use crate::control_plane::estate::Estate;
use crate::ecs::image::Reference;

object! {
    /// Input of `ecr put-image`.
    struct PutImageInput("a PutImage call") {
        /// Repository, as images name it between the host and the tag.
        repository: At<String> = "repositoryName",
        /// The tag that names the image from now on.
        tag: At<String> = "imageTag",
        /// sha256: and 64 hexadecimal digits. One that has been pushed before is that image again. Absent: a new one.
        digest: Option<At<String>> = "imageDigest",
        /// How containers of this image behave (ecsim's own). Absent: as their task definition says.
        behaviour: Option<BehaviourInput> = "behaviour",
        /// What the image is made of; see `image` of `behaviour`.
        manifest: Option<Opaque> = "imageManifest",
    }
    ignored {
        "imageManifestMediaType": "it changes nothing",
        "registryId": "there is one registry",
    }
}

/// The call of an action.
pub(super) fn put_image(node: &Node, reading: &mut Reading) -> Option<ApiCall> {
    let input = PutImageInput::decode(node, reading)?;
    if let Some(digest) = &input.digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            let message = format!("`{}` is no digest: `sha256:` and 64 hexadecimal digits", digest.value);
            let problem = Problem::aws("InvalidParameterException", "TD-29", digest.place, message);
            reading.report(problem.help("without `imageDigest` the image gets one of its own"));
            return None;
        }
    }
    let behaves = match &input.behaviour {
        Some(said) => {
            if let Some(name) = said.missing_secrets.iter().chain(&said.missing_roles).next() {
                let message = "secrets and roles are the task definition's, whatever image it names";
                reading.report(Problem::new(code::INVALID, name.place, message).label("not the image's"));
                return None;
            }
            Some(behaviour(said, &[], &[], reading)?)
        }
        None => None,
    };
    Some(ApiCall::PutImage(Box::new(PutImage {
        repository: arn::name(&input.repository).to_owned(),
        tag: input.tag.value,
        digest: input.digest.map(|digest| digest.value),
        behaviour: behaves,
    })))
}

/// Images that no container runs.
pub(super) fn check(file: &ScenarioFile, estate: &Estate, reading: &mut Reading) {
    let later = estate.actions.iter().filter_map(|action| match &action.call {
        ApiCall::RegisterTaskDefinition(call) => Some(&**call),
        _ => None,
    });
    let containers = estate.task_definitions.iter().chain(later).flat_map(|call| &call.definition.containers);
    let images: Vec<Reference<'_>> = containers.map(|container| Reference::of(&container.image)).collect();
    // With an entry that could not be used the two do not pair up, but then there will be no run either.
    for (input, action) in file.actions.iter().zip(&estate.actions) {
        let ApiCall::PutImage(call) = &action.call else { continue };
        let runs = |image: &Reference<'_>| image.repository == call.repository && image.tag == call.tag;
        if images.iter().any(|image| runs(image) && image.digest.is_none()) {
            continue;
        }
        let place = input.with.as_ref().map_or(input.call.place, |Raw(node)| node.place);
        let pushed = format!("{}:{}", call.repository, call.tag);
        let message = format!("no container runs the tag `{pushed}`: nothing comes of this push");
        let problem = Problem::new(code::SUSPICIOUS, place, message);
        let tags: Vec<String> = images.iter().map(|image| format!("{}:{}", image.repository, image.tag)).collect();
        reading.report(problem.nearest(&pushed, tags.iter().map(String::as_str)).into_warning());
    }
}
