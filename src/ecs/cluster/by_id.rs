//! Hosts by id in blocks of 64: the lowest id that has room, with or without a task of some group.

use crate::ecs::cluster::room::Room;
use crate::ecs::ids::InstanceId;
use crate::ecs::small_map::SmallMap;

/// Ids in a block, and blocks in a span: bits of a word.
const WORD: u32 = 64;

/// Hosts by id; each block of 64 ids, and each span of 64 blocks, knows the most room in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ById {
    spans: SmallMap<u32, Span>,
}

/// What searches read of all spans lies together, and so does what they read of the blocks of one: of a hundred thousand
/// hosts there are 25 spans, and each of them cost a miss of the cache when they held their blocks themselves.
#[derive(Clone, Debug, Default)]
struct Span {
    /// Blocks with a host.
    occupied: u64,
    most: Room,
    blocks: Box<Blocks>,
}

/// By block. Its rooms are looked at only when it may hold the answer.
#[derive(Clone, Debug)]
struct Blocks {
    /// The most room in it.
    most: [Room; WORD as usize],
    /// Ids with a host.
    hosts: [u64; WORD as usize],
    rooms: [Option<Box<Rooms>>; WORD as usize],
}

/// Rooms of the hosts of a block; none where there is no host.
type Rooms = [Room; WORD as usize];

/// A set of hosts to be left out of a search, and the blocks that it fills.
#[derive(Clone, Debug, Default)]
pub(crate) struct Present {
    spans: SmallMap<u32, PresentSpan>,
}

#[derive(Clone, Debug, Default)]
struct PresentSpan {
    /// Blocks with a member.
    occupied: u64,
    /// Blocks all of whose hosts are members. A block may be missing here though it is full.
    full: u64,
    /// Members of the occupied blocks, in their order.
    members: Vec<u64>,
}

/// Block, bit in the block, span, bit in the span.
pub(super) const fn place(id: InstanceId) -> (u32, u64, u32, u64) {
    let block = id.0 / WORD;
    (block, 1 << (id.0 % WORD), block / WORD, 1 << (block % WORD))
}

/// Positions of the bits of a word, lowest first.
pub(super) fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            most: [Room::default(); WORD as usize],
            hosts: [0; WORD as usize],
            rooms: [const { None }; WORD as usize],
        }
    }
}

impl Span {
    /// Gives a slot of a block a new room and brings the bounds up to date.
    fn set(&mut self, block: usize, slot: usize, room: Room) {
        let rooms = self.blocks.rooms[block].get_or_insert_with(|| Box::new([Room::default(); WORD as usize]));
        let was = std::mem::replace(&mut rooms[slot], room);
        let before = self.blocks.most[block];
        let now = before.after(was, room, |bound| Room::most(rooms.iter().copied(), bound));
        self.blocks.most[block] = now;
        self.most = self.most.after(before, now, |bound| Room::most(self.blocks.most.iter().copied(), bound));
    }
}

impl ById {
    /// Adds a host, or changes its room.
    pub(crate) fn set(&mut self, id: InstanceId, room: Room) {
        let (block, bit, span, block_bit) = place(id);
        let span = self.spans.get_or_insert_with(span, Span::default);
        span.occupied |= block_bit;
        span.blocks.hosts[(block % WORD) as usize] |= bit;
        span.set((block % WORD) as usize, (id.0 % WORD) as usize, room);
    }

    /// Takes a host out.
    pub(crate) fn remove(&mut self, id: InstanceId) {
        let (block, bit, span_number, block_bit) = place(id);
        let Some(span) = self.spans.get_mut(&span_number) else {
            return;
        };
        let block = (block % WORD) as usize;
        span.set(block, (id.0 % WORD) as usize, Room::default());
        span.blocks.hosts[block] &= !bit;
        if span.blocks.hosts[block] == 0 {
            span.blocks.rooms[block] = None;
            span.occupied &= !block_bit;
        }
        if span.occupied == 0 {
            self.spans.remove(&span_number);
        }
    }

    /// Whether some host might have room: false is certain.
    pub(crate) fn may_cover(&self, needs: Room) -> bool {
        self.spans.values().any(|span| span.most.covers(needs))
    }

    /// Hands hosts with room that are not in `without` to `accept`, lowest id first, until it takes one.
    pub(crate) fn first_fit(
        &self,
        without: Option<&Present>,
        needs: Room,
        accept: &mut impl FnMut(InstanceId) -> bool,
    ) -> Option<InstanceId> {
        for (number, span) in self.spans.iter().filter(|(_, span)| span.most.covers(needs)) {
            let present = without.and_then(|present| present.spans.get(number));
            for block in bits(span.occupied & !present.map_or(0, |present| present.full)) {
                if !span.blocks.most[block as usize].covers(needs) {
                    continue;
                }
                let Some(rooms) = span.blocks.rooms[block as usize].as_deref() else {
                    continue;
                };
                let members = present.map_or(0, |present| present.members_of(1 << block));
                for slot in bits(span.blocks.hosts[block as usize] & !members) {
                    let id = InstanceId((number * WORD + block) * WORD + slot);
                    if rooms[slot as usize].covers(needs) && accept(id) {
                        return Some(id);
                    }
                }
            }
        }
        None
    }

    /// Whether the host is in, with that room, and the bounds above it are right.
    pub(crate) fn verify(&self, id: InstanceId, room: Room) -> bool {
        let (block, bit, span, _) = place(id);
        let most = |rooms: &[Room]| rooms.iter().copied().fold(Room::default(), Room::max);
        self.spans.get(&span).is_some_and(|span| {
            let block = (block % WORD) as usize;
            let blocks = &span.blocks;
            blocks.rooms[block].as_deref().is_some_and(|rooms| {
                blocks.hosts[block] & bit != 0
                    && rooms[(id.0 % WORD) as usize] == room
                    && blocks.most[block] == most(rooms)
                    && span.most == most(&blocks.most)
            })
        })
    }

    /// The rooms of some hosts of a block, a bit each, lowest id first.
    pub(super) fn rooms_of(&self, block: u32, hosts: u64) -> impl Iterator<Item = Room> + '_ {
        let rooms =
            self.spans.get(&(block / WORD)).and_then(|span| span.blocks.rooms[(block % WORD) as usize].as_deref());
        rooms.into_iter().flat_map(move |rooms| bits(hosts).map(move |slot| rooms[slot as usize]))
    }

    /// The room of a host; none where it is not in.
    pub(crate) fn room(&self, id: InstanceId) -> Option<Room> {
        let (block, bit, ..) = place(id);
        self.rooms_of(block, bit & self.hosts_of(block)).next()
    }

    fn hosts_of(&self, block: u32) -> u64 {
        self.spans.get(&(block / WORD)).map_or(0, |span| span.blocks.hosts[(block % WORD) as usize])
    }
}

impl PresentSpan {
    /// Where the members of a block are, or would be.
    fn place(&self, bit: u64) -> usize {
        (self.occupied & (bit - 1)).count_ones() as usize
    }

    /// The members in a block.
    fn members_of(&self, bit: u64) -> u64 {
        if self.occupied & bit == 0 { 0 } else { self.members[self.place(bit)] }
    }
}

impl Present {
    /// Adds a host that is in `hosts`.
    pub(crate) fn insert(&mut self, id: InstanceId, hosts: &ById) {
        let (block, bit, span, block_bit) = place(id);
        let span = self.spans.get_or_insert_with(span, PresentSpan::default);
        let place = span.place(block_bit);
        if span.occupied & block_bit == 0 {
            span.occupied |= block_bit;
            span.members.insert(place, 0);
        }
        span.members[place] |= bit;
        if hosts.hosts_of(block) & !span.members[place] == 0 {
            span.full |= block_bit;
        }
    }

    /// Takes a host out.
    pub(crate) fn remove(&mut self, id: InstanceId) {
        let (_, bit, span_number, block_bit) = place(id);
        let Some(span) = self.spans.get_mut(&span_number).filter(|span| span.occupied & block_bit != 0) else {
            return;
        };
        span.full &= !block_bit;
        let place = span.place(block_bit);
        span.members[place] &= !bit;
        if span.members[place] == 0 {
            span.members.remove(place);
            span.occupied &= !block_bit;
        }
        if span.occupied == 0 {
            self.spans.remove(&span_number);
        }
    }

    /// A host of that id joined, of which nothing is known: its block is not full.
    pub(crate) fn reopen(&mut self, id: InstanceId) {
        let (_, _, span, block_bit) = place(id);
        if let Some(span) = self.spans.get_mut(&span) {
            span.full &= !block_bit;
        }
    }

    /// Whether the host is a member.
    pub(crate) fn contains(&self, id: InstanceId) -> bool {
        let (_, bit, span, block_bit) = place(id);
        self.spans.get(&span).is_some_and(|span| span.members_of(block_bit) & bit != 0)
    }
}
