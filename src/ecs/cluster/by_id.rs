//! Hosts by id in blocks of 64: the lowest id that has room, with or without a task of some group.

use std::collections::BTreeMap;

use crate::ecs::cluster::room::Room;
use crate::ecs::ids::InstanceId;

/// Ids in a block, and blocks in a span: bits of a word.
const WORD: u32 = 64;

/// Hosts by id; each block of 64 ids, and each span of 64 blocks, knows the most room in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ById {
    spans: BTreeMap<u32, Span>,
}

#[derive(Clone, Debug)]
struct Span {
    /// Blocks with a host.
    occupied: u64,
    most: Room,
    blocks: Vec<Option<Box<Block>>>,
}

#[derive(Clone, Debug)]
struct Block {
    /// Ids with a host.
    hosts: u64,
    most: Room,
    rooms: [Room; WORD as usize],
}

/// A set of hosts to be left out of a search, and the blocks that it fills.
#[derive(Clone, Debug, Default)]
pub(crate) struct Present {
    /// Members by block.
    members: BTreeMap<u32, u64>,
    /// By span: blocks all of whose hosts are members. A block may be missing here though it is full.
    full: BTreeMap<u32, u64>,
}

/// Block, bit in the block, span, bit in the span.
const fn place(id: InstanceId) -> (u32, u64, u32, u64) {
    let block = id.0 / WORD;
    (block, 1 << (id.0 % WORD), block / WORD, 1 << (block % WORD))
}

/// Positions of the bits of a word, lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

impl ById {
    /// Adds a host, or changes its room.
    pub(crate) fn set(&mut self, id: InstanceId, room: Room) {
        let (block, bit, span, block_bit) = place(id);
        let span = self.spans.entry(span).or_insert_with(|| Span {
            occupied: 0,
            most: Room::default(),
            blocks: vec![None; WORD as usize],
        });
        span.occupied |= block_bit;
        let block = span.blocks[(block % WORD) as usize].get_or_insert_with(|| {
            Box::new(Block { hosts: 0, most: Room::default(), rooms: [Room::default(); WORD as usize] })
        });
        let slot = &mut block.rooms[(id.0 % WORD) as usize];
        let was = if block.hosts & bit == 0 { Room::default() } else { *slot };
        *slot = room;
        block.hosts |= bit;
        if room.covers(was) {
            // More of everything: the bounds can only rise.
            block.most = block.most.max(room);
            span.most = span.most.max(room);
        } else {
            let before = block.most;
            block.measure();
            if block.most != before {
                span.measure();
            }
        }
    }

    /// Takes a host out.
    pub(crate) fn remove(&mut self, id: InstanceId) {
        let (block, bit, span_number, block_bit) = place(id);
        let Some(span) = self.spans.get_mut(&span_number) else {
            return;
        };
        let slot = &mut span.blocks[(block % WORD) as usize];
        if let Some(block) = slot {
            block.hosts &= !bit;
            block.rooms[(id.0 % WORD) as usize] = Room::default();
            if block.hosts == 0 {
                *slot = None;
                span.occupied &= !block_bit;
            } else {
                block.measure();
            }
        }
        span.measure();
        if span.occupied == 0 {
            self.spans.remove(&span_number);
        }
    }

    /// Hands hosts with room that are not in `without` to `accept`, lowest id first, until it takes one.
    pub(crate) fn first_fit(
        &self,
        without: Option<&Present>,
        needs: Room,
        accept: &mut impl FnMut(InstanceId) -> bool,
    ) -> Option<InstanceId> {
        for (number, span) in self.spans.iter().filter(|(_, span)| span.most.covers(needs)) {
            let full = without.and_then(|present| present.full.get(number)).copied().unwrap_or(0);
            for place in bits(span.occupied & !full) {
                let Some(block) = span.blocks[place as usize].as_deref().filter(|block| block.most.covers(needs))
                else {
                    continue;
                };
                let number = number * WORD + place;
                let members = without.and_then(|present| present.members.get(&number)).copied().unwrap_or(0);
                for bit in bits(block.hosts & !members) {
                    let id = InstanceId(number * WORD + bit);
                    if block.rooms[bit as usize].covers(needs) && accept(id) {
                        return Some(id);
                    }
                }
            }
        }
        None
    }

    /// Whether the host is in, with that room, and within the bounds above it.
    pub(crate) fn verify(&self, id: InstanceId, room: Room) -> bool {
        let (block, bit, span, _) = place(id);
        self.spans.get(&span).is_some_and(|span| {
            let block = span.blocks[(block % WORD) as usize].as_deref();
            block.is_some_and(|block| {
                let measured = bits(block.hosts).map(|bit| block.rooms[bit as usize]).fold(Room::default(), Room::max);
                block.hosts & bit != 0
                    && block.rooms[(id.0 % WORD) as usize] == room
                    && block.most == measured
                    && span.most.covers(block.most)
            })
        })
    }

    fn hosts_of(&self, block: u32) -> u64 {
        let span = self.spans.get(&(block / WORD));
        span.and_then(|span| span.blocks[(block % WORD) as usize].as_deref()).map_or(0, |block| block.hosts)
    }
}

impl Block {
    /// Slots without a host have no room, so the bound is over all of them, in one straight loop.
    fn measure(&mut self) {
        self.most = self.rooms.iter().copied().fold(Room::default(), Room::max);
    }
}

impl Span {
    fn measure(&mut self) {
        self.most = self.blocks.iter().flatten().map(|block| block.most).fold(Room::default(), Room::max);
    }
}

impl Present {
    /// Adds a host that is in `hosts`.
    pub(crate) fn insert(&mut self, id: InstanceId, hosts: &ById) {
        let (block, bit, span, block_bit) = place(id);
        let members = self.members.entry(block).or_insert(0);
        *members |= bit;
        if hosts.hosts_of(block) & !*members == 0 {
            *self.full.entry(span).or_insert(0) |= block_bit;
        }
    }

    /// Takes a host out.
    pub(crate) fn remove(&mut self, id: InstanceId) {
        let (block, bit, _, _) = place(id);
        self.reopen(id);
        if let Some(members) = self.members.get_mut(&block) {
            *members &= !bit;
            if *members == 0 {
                self.members.remove(&block);
            }
        }
    }

    /// A host of that id joined, of which nothing is known: its block is not full.
    pub(crate) fn reopen(&mut self, id: InstanceId) {
        let (_, _, span, block_bit) = place(id);
        if let Some(full) = self.full.get_mut(&span) {
            *full &= !block_bit;
            if *full == 0 {
                self.full.remove(&span);
            }
        }
    }

    /// Whether the host is a member.
    pub(crate) fn contains(&self, id: InstanceId) -> bool {
        let (block, bit, _, _) = place(id);
        self.members.get(&block).is_some_and(|members| members & bit != 0)
    }
}
