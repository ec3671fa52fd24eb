//! Dense indices that name the entities of one run, and the ids that AWS would print for them.
//!
//! Indices are cheap to copy, hash nothing and order entities by creation. Tasks come and go by the million, so
//! their key is a slot with a generation ([`TaskKey`]); all else is numbered once and for ever.

use std::fmt;

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position of this entity in its table.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index! {
    /// A cluster.
    ClusterId,
    /// An EC2 instance, in launch order; its container instance goes by the same number.
    InstanceId,
    /// An Auto Scaling group.
    GroupId,
    /// An Auto Scaling group capacity provider.
    ProviderId,
    /// One revision of a task definition.
    TaskDefinitionId,
    /// The images that the tags of a revision named at some time (TD-29).
    SoftwareId,
    /// A service.
    ServiceId,
    /// A target group.
    TargetGroupId,
    /// A scalable target of Application Auto Scaling.
    ScalableTargetId,
    /// A scaling policy (Application Auto Scaling or Auto Scaling group).
    PolicyId,
    /// A CloudWatch alarm.
    AlarmId,
    /// An SQS queue.
    QueueId,
    /// A workload of the scenario.
    WorkloadId,
    /// An EventBridge rule of the scenario.
    RuleId,
    /// A set of requirements, interned: tasks that reserve the same share one shape.
    ShapeId,
    /// Placement constraints and strategies, interned: tasks placed by the same rules share one profile.
    ProfileId,
    /// An Availability Zone, by its position in the region.
    ZoneId,
    /// A container image, interned by name and content: what a host's cache holds.
    ImageId,
    /// A layer of images, interned by name and size.
    LayerId,
    /// A task group (`service:web`, `family:batch`, …), interned: what spread and distinctInstance count.
    TaskGroupId,
}

/// CPU that the messages of a queue, or the requests of a workload, share while they compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StationId {
    /// That of a task under a hard cap.
    Task(TaskKey),
    /// That of a host, for all tasks there without one.
    Host(InstanceId),
}

slotmap::new_key_type! {
    /// A message that a task works on.
    pub struct HandlingKey;

    /// A request that has no answer yet, or a probe on its way.
    pub struct RequestKey;

    /// CPU that requests share, by its place in its workload's table: looked up at every request.
    pub struct StationKey;

    /// A task that is alive, or stopped and not yet forgotten.
    pub struct TaskKey;
}

impl InstanceId {
    /// The EC2-style id, `i-` and 17 hexadecimal digits.
    ///
    /// Ids rise in launch order, so "lowest instance id" (PLACE-12) means the same for the text and for the number;
    /// the low digits are a hash of the number and carry no meaning.
    pub fn ec2_id(self) -> Ec2Id {
        Ec2Id(self)
    }
}

/// Prints an [`InstanceId`] as EC2 would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ec2Id(InstanceId);

impl fmt::Display for Ec2Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.0;
        write!(f, "i-0{number:08x}{:08x}", mix(u64::from(number)) as u32)
    }
}

/// A bijective mixing of 64 bits (the finaliser of `SplitMix64`, Steele et al. 2014): ids that look random and never clash.
pub const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random (version 4) UUID of 128 given bits.
pub fn uuid(high: u64, low: u64) -> String {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ec2_ids_rise_in_launch_order() {
        let ids: Vec<String> = (0..300).map(|n| InstanceId(n).ec2_id().to_string()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.len() == 19), "{}", ids[0]);
    }
}
