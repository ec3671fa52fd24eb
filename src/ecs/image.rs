//! Container images: names, layers, and what the agent does when a container needs one (IMG-*).

use std::collections::{BTreeMap, BTreeSet};

use crate::ecs::ids::{ImageId, LayerId};

/// What the scenario says of a container's image (`behaviour: image`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageSettings {
    /// Compressed size of the whole image, in MiB; that of its layers when absent.
    pub size_mib: Option<f64>,
    /// Layers by name, with their compressed sizes in MiB. Layers of one name and size are the same layer in every image.
    pub layers: Vec<(String, f64)>,
    /// What the image takes once it is unpacked, in MiB; by `image_uncompressed_ratio` when absent (FG-9).
    pub uncompressed_mib: Option<f64>,
    /// Whether the registry has no such image: every try of a pull fails.
    pub missing: bool,
    /// Whether its layers are compressed with zstd (IMG-8).
    pub zstd: bool,
    /// Whether its repository has a SOCI index of it (FG-11).
    pub soci_index: bool,
}

/// An image that some revision of a task definition names.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The reference as the task definition has it.
    pub name: String,
    /// Its layers, with their sizes in MiB; none when nothing is said of its size.
    pub layers: Vec<(LayerId, f64)>,
    /// `imageDigest`, `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// How many images had been pushed in the run when this one was, itself included; 0 for those of before.
    pub push: u32,
    /// See [`ImageSettings::uncompressed_mib`].
    pub uncompressed_mib: Option<f64>,
    /// See [`ImageSettings::zstd`].
    pub zstd: bool,
    /// See [`ImageSettings::soci_index`].
    pub soci_index: bool,
    /// Where it is pulled from.
    pub registry: Registry,
}

/// Registries that differ in how images come from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    /// Docker Hub: no registry is named, or Docker's own (IMG-6).
    DockerHub,
    /// A private repository of ECR.
    PrivateEcr,
    /// Another.
    Other,
}

impl Registry {
    /// Where an image called so is.
    fn of(name: &str) -> Self {
        match Reference::of(name).registry {
            None | Some("docker.io" | "index.docker.io" | "registry-1.docker.io") => Self::DockerHub,
            Some(host) if host.contains(".dkr.ecr.") => Self::PrivateEcr,
            Some(_) => Self::Other,
        }
    }
}

impl Image {
    /// Compressed size, in MiB.
    pub fn size_mib(&self) -> f64 {
        self.layers.iter().map(|(_, mib)| mib).sum()
    }

    /// Whether it is in a private ECR repository.
    pub fn in_ecr(&self) -> bool {
        self.registry == Registry::PrivateEcr
    }

    /// Whether it is on Docker Hub (IMG-6).
    pub fn on_docker_hub(&self) -> bool {
        self.registry == Registry::DockerHub
    }
}

/// The parts of an image reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The host, if one is named.
    pub registry: Option<&'a str>,
    /// What comes between host and tag.
    pub repository: &'a str,
    /// The tag, `latest` unless said.
    pub tag: &'a str,
    /// The digest, which then counts in place of the tag.
    pub digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart: `host/repository:tag@digest`.
    pub fn of(image: &'a str) -> Self {
        let (named, digest) = image.split_once('@').map_or((image, None), |(named, digest)| (named, Some(digest)));
        // The first part is a host when it looks like one.
        let host = named.split_once('/').filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost");
        let (registry, path) = host.map_or((None, named), |(host, path)| (Some(host), path));
        let (repository, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
        Self { registry, repository, tag, digest }
    }
}

/// A digest for an image of which none is said: of its name, its content and when it was pushed.
///
/// FNV-1a (Fowler, Noll, Vo) four times over, so that digests look as they do in AWS; nothing is kept secret by them.
fn made_up_digest(name: &str, settings: &ImageSettings, push: u32) -> String {
    let text = format!("{name} {push} {settings:?}");
    let mut digest = String::from("sha256:");
    for part in 0..4_u8 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in [part].into_iter().chain(text.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        digest.push_str(&format!("{hash:016x}"));
    }
    digest
}

/// What makes an image this one: name, push, layers, unpacked size as bits, zstd, SOCI index.
type Content = (String, u32, Vec<LayerId>, Option<u64>, bool, bool);

/// Every image and layer of a run, interned.
#[derive(Clone, Debug, Default)]
pub struct ImageTable {
    images: Vec<Image>,
    by_content: BTreeMap<Content, ImageId>,
    layers: BTreeMap<(String, u64), LayerId>,
}

impl ImageTable {
    /// The image called `name` with this content. The same name with other content is another image.
    ///
    /// What of the size no layer accounts for is a layer of the image's own.
    pub fn intern(&mut self, name: &str, settings: &ImageSettings) -> ImageId {
        self.intern_push(name, settings, 0, None)
    }

    /// The same as pushed under this name in the run, with the digest it was given.
    ///
    /// It shares the layers that have a name with those of before; what is its own is new.
    pub fn intern_push(&mut self, name: &str, settings: &ImageSettings, push: u32, digest: Option<&str>) -> ImageId {
        let mut layers: Vec<(LayerId, f64)> = Vec::new();
        for (layer, mib) in &settings.layers {
            layers.push((self.layer(layer, *mib), *mib));
        }
        let named: f64 = settings.layers.iter().map(|(_, mib)| mib).sum();
        let own = settings.size_mib.map_or(0.0, |size| size - named);
        if own > 0.0 {
            // A slash cannot stand in the name of a layer, nor a blank in that of an image: this one is nobody else's.
            let layer = if push == 0 { format!("/{name}") } else { format!("/{name} {push}") };
            layers.push((self.layer(&layer, own), own));
        }
        layers.sort_by_key(|(id, _)| *id);
        layers.dedup_by_key(|(id, _)| *id);
        let ids = layers.iter().map(|(id, _)| *id).collect();
        let fresh = ImageId(self.images.len() as u32);
        let (uncompressed_mib, zstd, soci_index) = (settings.uncompressed_mib, settings.zstd, settings.soci_index);
        let content = (name.to_owned(), push, ids, uncompressed_mib.map(f64::to_bits), zstd, soci_index);
        let id = *self.by_content.entry(content).or_insert(fresh);
        if id == fresh {
            let given = digest.or(Reference::of(name).digest).map(str::to_owned);
            let digest = given.unwrap_or_else(|| made_up_digest(name, settings, push));
            let (name, registry) = (name.to_owned(), Registry::of(name));
            self.images.push(Image { name, layers, digest, push, uncompressed_mib, zstd, soci_index, registry });
        }
        id
    }

    fn layer(&mut self, name: &str, mib: f64) -> LayerId {
        let fresh = LayerId(self.layers.len() as u32);
        *self.layers.entry((name.to_owned(), mib.to_bits())).or_insert(fresh)
    }

    /// Size of all layers of images in private ECR repositories, each once, in MiB.
    pub fn stored_in_ecr_mib(&self) -> f64 {
        let stored = self.images.iter().filter(|image| image.in_ecr());
        stored.flat_map(|image| image.layers.iter().copied()).collect::<BTreeMap<LayerId, f64>>().values().sum()
    }

    /// FG-9: what these images take together once they are unpacked, in MiB, with each image and layer once.
    ///
    /// An image that does not say takes `ratio` times its compressed size.
    pub fn uncompressed_mib(&self, images: impl IntoIterator<Item = ImageId>, ratio: f64) -> f64 {
        let images: BTreeSet<ImageId> = images.into_iter().collect();
        let mut there: BTreeSet<LayerId> = BTreeSet::new();
        let mut total = 0.0;
        for image in images.into_iter().map(|id| self.get(id)) {
            let fresh: f64 = image.layers.iter().filter(|(layer, _)| there.insert(*layer)).map(|(_, mib)| mib).sum();
            let size = image.size_mib();
            total += match image.uncompressed_mib {
                Some(unpacked) if size > 0.0 => unpacked * (fresh / size),
                Some(unpacked) => unpacked,
                None => fresh * ratio,
            };
        }
        total
    }

    /// The image with this id.
    pub fn get(&self, id: ImageId) -> &Image {
        &self.images[id.index()]
    }
}

/// `ECS_IMAGE_PULL_BEHAVIOR` (IMG-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullBehaviour {
    /// Pull; when that fails, use the copy on the host.
    #[default]
    Default,
    /// Pull; when that fails, so does the task. What Fargate does.
    Always,
    /// Pull what this host has not pulled before, or has removed since; when that fails, so does the task.
    Once,
    /// Use the copy on the host, pull when there is none; images are not cleaned up.
    PreferCached,
}

impl PullBehaviour {
    /// Whether a pull is tried, given that the host has a copy or not.
    pub const fn pulls(self, has_copy: bool) -> bool {
        match self {
            Self::Default | Self::Always => true,
            Self::Once | Self::PreferCached => !has_copy,
        }
    }

    /// Whether the copy on the host will do when a pull has failed.
    pub const fn falls_back(self, has_copy: bool) -> bool {
        matches!(self, Self::Default) && has_copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(size_mib: f64, layers: &[(&str, f64)]) -> ImageSettings {
        let layers = layers.iter().map(|(name, mib)| ((*name).to_owned(), *mib)).collect();
        ImageSettings { size_mib: Some(size_mib), layers, ..ImageSettings::default() }
    }

    #[test]
    fn ex_img_3_which_pull_behaviours_do_without_the_registry() {
        use PullBehaviour::{Always, Default, Once, PreferCached};
        // The registry is down; the image is on the host.
        let runs = |behaviour: PullBehaviour| !behaviour.pulls(true) || behaviour.falls_back(true);
        assert_eq!([Default, Always, Once, PreferCached].map(runs), [true, false, true, true]);
        // And without a copy nothing runs.
        let runs = |behaviour: PullBehaviour| !behaviour.pulls(false) || behaviour.falls_back(false);
        assert_eq!([Default, Always, Once, PreferCached].map(runs), [false; 4]);
    }

    #[test]
    fn images_share_the_layers_of_one_name_and_size() {
        let mut table = ImageTable::default();
        let web = table.intern("repo/web:1", &sized(150.0, &[("debian", 100.0)]));
        let api = table.intern("repo/api:1", &sized(130.0, &[("debian", 100.0)]));
        let [web, api] = [web, api].map(|id| table.get(id).clone());
        assert_eq!((web.size_mib(), api.size_mib()), (150.0, 130.0));
        let shared = web.layers.iter().filter(|layer| api.layers.contains(layer)).count();
        assert_eq!((web.layers.len(), shared), (2, 1));
        let again = table.intern("repo/web:1", &sized(150.0, &[("debian", 100.0)]));
        assert_eq!(table.get(again), &web);
        assert_eq!(table.stored_in_ecr_mib(), 0.0);
        for name in ["web", "api"] {
            let image = format!("111122223333.dkr.ecr.us-east-1.amazonaws.com/{name}:1");
            table.intern(&image, &sized(150.0, &[("debian", 100.0)]));
        }
        assert_eq!(table.stored_in_ecr_mib(), 200.0, "IMG-7: the layer of both is stored once");
        let other = table.intern("repo/web:1", &sized(150.0, &[("debian", 101.0)]));
        assert_ne!(again, other, "other content under the same name");
    }

    #[test]
    fn fg_9_unpacked_images_share_their_layers() {
        let mut table = ImageTable::default();
        let web = table.intern("web", &sized(150.0, &[("debian", 100.0)]));
        let api = table.intern("api", &sized(130.0, &[("debian", 100.0)]));
        let own = |name: &str, size_mib: Option<f64>| ImageSettings {
            size_mib,
            uncompressed_mib: Some(1000.0),
            ..sized(0.0, &[(name, 50.0)][..usize::from(size_mib.is_some())])
        };
        let (model, empty) = (table.intern("model", &own("m", Some(100.0))), table.intern("empty", &own("e", None)));
        assert_eq!(table.uncompressed_mib([web, api, web], 2.0), 360.0, "180 MiB in three layers");
        assert_eq!(table.uncompressed_mib([model, empty], 2.0), 2000.0, "as they say themselves");
    }

    #[test]
    fn td_29_what_is_pushed_under_a_tag_is_another_image() {
        let mut table = ImageTable::default();
        let settings = sized(150.0, &[("debian", 100.0)]);
        let before = table.intern("repo/web:1", &settings);
        let pushed = table.intern_push("repo/web:1", &settings, 1, None);
        let named = table.intern_push("repo/web:1", &settings, 2, Some("sha256:abc"));
        assert_eq!(table.intern_push("repo/web:1", &settings, 1, None), pushed);
        let [before, pushed, named] = [before, pushed, named].map(|id| table.get(id).clone());
        assert_eq!((before.digest.len(), before.digest == pushed.digest), (71, false));
        assert_eq!(named.digest, "sha256:abc");
        let shared: f64 =
            pushed.layers.iter().filter(|layer| before.layers.contains(layer)).map(|(_, size)| size).sum();
        assert_eq!((pushed.size_mib(), shared), (150.0, 100.0), "the layer with a name is there already");
    }

    #[test]
    fn references_are_taken_apart() {
        let of = |image| {
            let Reference { registry, repository, tag, digest } = Reference::of(image);
            (registry, repository, tag, digest)
        };
        assert_eq!(of("nginx"), (None, "nginx", "latest", None));
        assert_eq!(of("repo/app:1"), (None, "repo/app", "1", None));
        assert_eq!(of("localhost:5000/app"), (Some("localhost:5000"), "app", "latest", None));
        let ecr = "111122223333.dkr.ecr.us-east-1.amazonaws.com";
        let private = format!("{ecr}/team/app:v2");
        assert_eq!(of(&private), (Some(ecr), "team/app", "v2", None));
        assert_eq!(of("app:1@sha256:12"), (None, "app", "1", Some("sha256:12")));
    }

    #[test]
    fn the_registry_is_read_off_the_reference() {
        let image = |name: &str| {
            let layers = Vec::new();
            let (digest, uncompressed_mib) = (String::new(), None);
            Image {
                name: name.into(),
                layers,
                digest,
                push: 0,
                uncompressed_mib,
                zstd: false,
                soci_index: false,
                registry: Registry::of(name),
            }
        };
        assert!(image("nginx:1").on_docker_hub() && image("library/nginx").on_docker_hub());
        assert!(image("docker.io/library/nginx").on_docker_hub());
        assert!(!image("public.ecr.aws/nginx/nginx").on_docker_hub());
        let private = image("111122223333.dkr.ecr.us-east-1.amazonaws.com/app:1");
        assert!(private.in_ecr() && !private.on_docker_hub());
        assert!(!image("localhost:5000/app").on_docker_hub());
    }
}
