//! Hosts with tasks of a group, by how many they have, lowest id first among equals.
//!
//! For each number of tasks a set of hosts: a bit a host, in blocks and spans of ids as in [`ById`], each of which knows
//! the most room in it. Rooms themselves are kept once a pool, by id, so that a host whose room changes costs a look at a
//! few words for each group it has tasks of; the B-tree over (number, id) that this was before cost a descent in each of
//! them and several times the memory: a placement by the default strategies of a service on ten thousand hosts took three
//! times as long.

use crate::ecs::cluster::by_id::{ById, bits, place};
use crate::ecs::cluster::room::Room;
use crate::ecs::ids::InstanceId;
use crate::ecs::small_map::SmallMap;

/// Any number of tasks.
pub(crate) const ALL_COUNTS: (u32, u32) = (0, u32::MAX);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByCount {
    levels: SmallMap<u32, Level>,
}

/// The hosts with one number of tasks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    len: u32,
    most: Room,
    spans: SmallMap<u32, Span>,
}

#[derive(Clone, Debug, Default)]
struct Span {
    len: u32,
    most: Room,
    /// Blocks with a host of the level.
    occupied: u64,
    /// Those, in their order.
    blocks: Vec<Block>,
}

#[derive(Clone, Debug, Default)]
struct Block {
    /// Hosts of the level, never none.
    members: u64,
    most: Room,
}

impl ByCount {
    /// Number of hosts.
    pub(crate) fn len(&self) -> u32 {
        self.levels.values().map(|level| level.len).sum()
    }

    /// The hosts with so many tasks.
    pub(crate) fn level(&self, count: u32) -> Option<&Level> {
        self.levels.get(&count)
    }

    /// A host had so many tasks and so much room, and has; none where it was not in, or is not. `rooms` knows already.
    pub(crate) fn follow(&mut self, id: InstanceId, was: Option<(u32, Room)>, is: Option<(u32, Room)>, rooms: &ById) {
        if let (Some((before, had)), Some((count, room))) = (was, is)
            && before == count
        {
            if let Some(level) = self.levels.get_mut(&count) {
                level.rebound(id, had, room, rooms);
            }
            return;
        }
        if let Some((count, had)) = was
            && let Some(level) = self.levels.get_mut(&count)
        {
            level.remove(id, had, rooms);
            if level.len == 0 {
                self.levels.remove(&count);
            }
        }
        if let Some((count, room)) = is {
            self.levels.get_or_insert_with(count, Level::default).insert(id, room);
        }
    }

    /// The first host with a number of tasks in `counts` that has room and that `accept` takes, and that number.
    pub(crate) fn first_fit(
        &self,
        counts: (u32, u32),
        needs: Room,
        rooms: &ById,
        accept: &mut impl FnMut(InstanceId) -> bool,
    ) -> Option<(u32, InstanceId)> {
        let levels = self.levels.iter().filter(|(count, _)| (counts.0..=counts.1).contains(*count));
        levels.into_iter().find_map(|(count, level)| Some((*count, level.first_fit(needs, rooms, accept)?)))
    }

    /// Whether the host is in with that number of tasks, and every bound above it is right.
    pub(crate) fn verify(&self, count: u32, id: InstanceId, rooms: &ById) -> bool {
        let (block, bit, span_number, block_bit) = place(id);
        let most = |rooms: &mut dyn Iterator<Item = Room>| rooms.fold(Room::default(), Room::max);
        self.levels.get(&count).is_some_and(|level| {
            level.spans.get(&span_number).is_some_and(|span| {
                let known = span.occupied & block_bit != 0 && span.occupied.count_ones() as usize == span.blocks.len();
                known && {
                    let here = &span.blocks[span.place(block_bit)];
                    here.members & bit != 0
                        && here.most == most(&mut rooms.rooms_of(block, here.members))
                        && span.most == most(&mut span.blocks.iter().map(|block| block.most))
                        && span.len == span.blocks.iter().map(|block| block.members.count_ones()).sum::<u32>()
                        && level.most == most(&mut level.spans.values().map(|span| span.most))
                        && level.len == level.spans.values().map(|span| span.len).sum::<u32>()
                }
            })
        })
    }
}

impl Level {
    /// Number of hosts.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// The host with `before` others of lower ids before it.
    pub(crate) fn nth(&self, mut before: u32) -> Option<InstanceId> {
        let mut here = |len: u32| {
            let found = before < len;
            before -= if found { 0 } else { len };
            found
        };
        let (number, span) = self.spans.iter().find(|(_, span)| here(span.len))?;
        let (block, members) = span.blocks().find(|(_, block)| here(block.members.count_ones()))?;
        let slot = bits(members.members).nth(before as usize)?;
        Some(InstanceId((number * u64::BITS + block) * u64::BITS + slot))
    }

    /// The first host that has room and that `accept` takes.
    pub(crate) fn first_fit(
        &self,
        needs: Room,
        rooms: &ById,
        accept: &mut impl FnMut(InstanceId) -> bool,
    ) -> Option<InstanceId> {
        if !self.most.covers(needs) {
            return None;
        }
        for (number, span) in self.spans.iter().filter(|(_, span)| span.most.covers(needs)) {
            for (block, here) in span.blocks().filter(|(_, block)| block.most.covers(needs)) {
                let block = number * u64::BITS + block;
                for (slot, room) in bits(here.members).zip(rooms.rooms_of(block, here.members)) {
                    let id = InstanceId(block * u64::BITS + slot);
                    if room.covers(needs) && accept(id) {
                        return Some(id);
                    }
                }
            }
        }
        None
    }

    fn insert(&mut self, id: InstanceId, room: Room) {
        let (_, bit, span_number, block_bit) = place(id);
        let span = self.spans.get_or_insert_with(span_number, Span::default);
        let place = span.place(block_bit);
        if span.occupied & block_bit == 0 {
            span.occupied |= block_bit;
            span.blocks.insert(place, Block::default());
        }
        let block = &mut span.blocks[place];
        block.members |= bit;
        block.most = block.most.max(room);
        span.most = span.most.max(room);
        span.len += 1;
        self.most = self.most.max(room);
        self.len += 1;
    }

    fn remove(&mut self, id: InstanceId, had: Room, rooms: &ById) {
        let (_, bit, span_number, block_bit) = place(id);
        let Some(span) = self.spans.get_mut(&span_number) else {
            return;
        };
        let place = span.place(block_bit);
        span.blocks[place].members &= !bit;
        span.len -= 1;
        self.len -= 1;
        let (last_of_block, last_of_span) = (span.blocks[place].members == 0, span.len == 0);
        self.rebound(id, had, Room::default(), rooms);
        if last_of_span {
            self.spans.remove(&span_number);
        } else if last_of_block && let Some(span) = self.spans.get_mut(&span_number) {
            span.blocks.remove(place);
            span.occupied &= !block_bit;
        }
    }

    /// One of the hosts had `was` and has `is`: the bounds above it follow.
    fn rebound(&mut self, id: InstanceId, was: Room, is: Room, rooms: &ById) {
        let (number, _, span_number, block_bit) = place(id);
        let Some(span) = self.spans.get_mut(&span_number) else {
            return;
        };
        let place = span.place(block_bit);
        let block = &mut span.blocks[place];
        let block_was = block.most;
        block.most = block_was.after(was, is, |bound| Room::most(rooms.rooms_of(number, block.members), bound));
        let (block_is, span_was) = (block.most, span.most);
        span.most =
            span_was.after(block_was, block_is, |bound| Room::most(span.blocks.iter().map(|block| block.most), bound));
        let span_is = span.most;
        self.most =
            (self.most).after(span_was, span_is, |bound| Room::most(self.spans.values().map(|span| span.most), bound));
    }
}

impl Span {
    /// Where a block is, or would be.
    fn place(&self, bit: u64) -> usize {
        (self.occupied & (bit - 1)).count_ones() as usize
    }

    /// The blocks with their numbers in the span.
    fn blocks(&self) -> impl Iterator<Item = (u32, &Block)> {
        bits(self.occupied).zip(&self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::ecs::container_instance::Resources;
    use crate::units::{CpuUnits, MiB};

    fn room(cpu: u64, memory: u64) -> Room {
        Room::free(&Resources { cpu: CpuUnits(cpu), memory: MiB(memory), ..Resources::default() })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Hosts in several blocks and spans come, go, and change what they have, also both at once.
        #[test]
        fn it_is_a_sorted_set_that_knows_its_room(
            steps in prop::collection::vec((0..150u32, 0..5u32, 0..4u64, 0..4u64), 0..400),
            (cpu, memory, low, high) in (0..4u64, 0..4u64, 0..5u32, 0..5u32),
        ) {
            let (mut by_count, mut by_id) = (ByCount::default(), ById::default());
            let mut model: BTreeMap<InstanceId, (u32, Room)> = BTreeMap::new();
            for (number, count, free_cpu, free_memory) in steps {
                let id = InstanceId(number * 97);
                let is = (count > 0).then_some((count, room(free_cpu, free_memory)));
                match is {
                    Some((_, room)) => by_id.set(id, room),
                    None => by_id.remove(id),
                }
                by_count.follow(id, model.get(&id).copied(), is, &by_id);
                match is {
                    Some(is) => model.insert(id, is),
                    None => model.remove(&id),
                };
            }
            prop_assert_eq!(by_count.len() as usize, model.len());
            for (id, (count, _)) in &model {
                prop_assert!(by_count.verify(*count, *id, &by_id), "{:?}", id);
            }
            let mut sorted: Vec<_> = model.iter().map(|(id, (count, room))| (*count, *id, *room)).collect();
            sorted.sort_unstable_by_key(|(count, id, _)| (*count, *id));
            let needs = room(cpu, memory);
            let mut found = Vec::new();
            by_count.first_fit((low, high), needs, &by_id, &mut |id| {
                found.push(id);
                false
            });
            let fits = sorted.iter().filter(|(count, _, room)| (low..=high).contains(count) && room.covers(needs));
            let expected: Vec<_> = fits.map(|(count, id, _)| (*count, *id)).collect();
            prop_assert!(found.iter().eq(expected.iter().map(|(_, id)| id)));
            prop_assert_eq!(by_count.first_fit((low, high), needs, &by_id, &mut |_| true), expected.first().copied());
            let of_level: Vec<_> = sorted.iter().filter(|(count, ..)| *count == low).map(|(_, id, _)| Some(*id)).collect();
            if let Some(level) = by_count.level(low) {
                prop_assert_eq!(level.len() as usize, of_level.len());
                let all: Vec<_> = (0..level.len()).map(|before| level.nth(before)).collect();
                prop_assert_eq!(all, of_level);
                prop_assert_eq!(level.nth(level.len()), None);
            } else {
                prop_assert_eq!(of_level, []);
            }
        }
    }
}
