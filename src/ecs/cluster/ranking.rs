//! Hosts in the order of a number, lowest id first among equals, searchable for the first that has room.
//!
//! A B-tree whose nodes know the most room below them and the number of hosts, so that a search passes by whole subtrees
//! of full hosts: all that is asked of it, and every change, is logarithmic in the hosts. A node holds up to [`WIDTH`]
//! entries side by side: ten thousand hosts are three levels, where the binary tree this was at first (a treap) had
//! thirty, each of them a miss of the cache; a change costs a third of its instructions. The simple way is a scan of all
//! hosts.

use crate::ecs::cluster::room::Room;
use crate::ecs::ids::InstanceId;

/// Entries of a node before it is split.
const WIDTH: usize = 32;

/// Where a host stands: by rank, then by id.
type Key = (u64, InstanceId);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    root: Subtree,
}

/// Some hosts in a row, and what searches have to know of them.
#[derive(Clone, Debug)]
struct Subtree {
    /// A bound: no host of the subtree stands before it, and all of the one to its left do.
    first: Key,
    /// The most of each resource that a host here has free.
    most: Room,
    /// Hosts here.
    size: u32,
    node: Node,
}

/// All leaves are equally far from the root; none but the root is empty.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<Entry>),
    Branch(Vec<Subtree>),
}

/// A host: 24 bytes, where a key and a room side by side would be 32.
#[derive(Clone, Copy, Debug)]
struct Entry {
    rank: u64,
    id: InstanceId,
    room: Room,
}

impl Entry {
    fn key(&self) -> Key {
        (self.rank, self.id)
    }
}

impl Default for Ranking {
    fn default() -> Self {
        Self { root: Subtree::of(Node::Leaf(Vec::new())) }
    }
}

impl Ranking {
    /// Number of hosts.
    pub(crate) fn len(&self) -> u32 {
        self.root.size
    }

    /// Whether some host might have room: false is certain.
    pub(crate) fn may_cover(&self, needs: Room) -> bool {
        self.len() > 0 && self.root.most.covers(needs)
    }

    /// Adds a host that is not in.
    pub(crate) fn insert(&mut self, rank: u64, id: InstanceId, room: Room) {
        let right = self.root.insert(Entry { rank, id, room });
        self.grow(right);
    }

    /// Takes out a host of that rank, if it is in.
    pub(crate) fn remove(&mut self, rank: u64, id: InstanceId) {
        self.root.remove((rank, id));
        self.shrink();
    }

    /// Another level, when the root had to be split.
    fn grow(&mut self, right: Option<Subtree>) {
        if let Some(right) = right {
            let left = std::mem::replace(&mut self.root, Subtree::of(Node::Leaf(Vec::new())));
            self.root = Subtree::of(Node::Branch(vec![left, right]));
        }
    }

    /// A level less, when the root has only one child.
    fn shrink(&mut self) {
        if let Node::Branch(children) = &mut self.root.node
            && children.len() == 1
            && let Some(only) = children.pop()
        {
            self.root = only;
        }
    }

    /// Gives a host of rank `was` a new rank and room.
    pub(crate) fn update(&mut self, was: u64, rank: u64, id: InstanceId, room: Room) {
        if was == rank {
            self.root.set_room((rank, id), room);
            return;
        }
        let (_, right) = self.root.relocate((was, id), Entry { rank, id, room });
        self.grow(right);
        self.shrink();
    }

    /// The first host with a rank in `ranks` that has room and that `accept` takes, and its rank.
    pub(crate) fn first_fit(
        &self,
        ranks: (u64, u64),
        needs: Room,
        accept: &mut impl FnMut(InstanceId) -> bool,
    ) -> Option<(u64, InstanceId)> {
        self.root.first_fit(ranks, needs, accept)
    }

    /// Hands every host with a rank in `ranks` that has room to `visit`.
    pub(crate) fn for_each_fit(&self, ranks: (u64, u64), needs: Room, visit: &mut impl FnMut(InstanceId)) {
        self.first_fit(ranks, needs, &mut |id| {
            visit(id);
            false
        });
    }

    /// The number of hosts with a rank below `rank`.
    pub(crate) fn count_below(&self, rank: u64) -> u32 {
        let (mut count, mut node) = (0, &self.root.node);
        loop {
            match node {
                Node::Leaf(entries) => return count + entries.partition_point(|entry| entry.rank < rank) as u32,
                Node::Branch(children) => {
                    let at = children.partition_point(|child| child.first.0 < rank).saturating_sub(1);
                    count += children[..at].iter().map(|child| child.size).sum::<u32>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The host with `before` others before it, and its room.
    pub(crate) fn nth(&self, mut before: u32) -> Option<(InstanceId, Room)> {
        let mut node = &self.root.node;
        loop {
            match node {
                Node::Leaf(entries) => return entries.get(before as usize).map(|entry| (entry.id, entry.room)),
                Node::Branch(children) => {
                    let holds = |child: &&Subtree| {
                        let here = before < child.size;
                        before -= if here { 0 } else { child.size };
                        here
                    };
                    node = &children.iter().find(holds)?.node;
                }
            }
        }
    }

    /// Whether the host is in with that rank and room, and every bound above it agrees.
    pub(crate) fn verify(&self, rank: u64, id: InstanceId, room: Room) -> bool {
        let mut subtree = &self.root;
        loop {
            let found = subtree.node.sum();
            if found != (subtree.most, subtree.size) || (rank, id) < subtree.first {
                return false;
            }
            match &subtree.node {
                Node::Leaf(entries) => {
                    return entries.iter().any(|entry| entry.key() == (rank, id) && entry.room == room)
                        && entries.is_sorted_by_key(Entry::key);
                }
                Node::Branch(children) => {
                    if !children.is_sorted_by_key(|child| child.first) {
                        return false;
                    }
                    subtree = &children[child_of(children, (rank, id))];
                }
            }
        }
    }
}

/// The child that has a key, or would have it.
fn child_of(children: &[Subtree], key: Key) -> usize {
    children.partition_point(|child| child.first <= key).saturating_sub(1)
}

impl Node {
    /// Entries or children.
    fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch(children) => children.len(),
        }
    }

    /// The most room here, and the number of hosts.
    fn sum(&self) -> (Room, u32) {
        match self {
            Self::Leaf(entries) => {
                (entries.iter().fold(Room::default(), |most, entry| most.max(entry.room)), entries.len() as u32)
            }
            Self::Branch(children) => children
                .iter()
                .fold((Room::default(), 0), |(most, size), child| (most.max(child.most), size + child.size)),
        }
    }

    /// What [`Node::sum`] says of the most room, where it is known to be at most `bound`.
    ///
    /// Asked from behind: the hosts with the most memory come last by memory, so that a look at one or two is enough.
    fn most(&self, bound: Room) -> Room {
        match self {
            Self::Leaf(entries) => Room::most(entries.iter().rev().map(|entry| entry.room), bound),
            Self::Branch(children) => Room::most(children.iter().rev().map(|child| child.most), bound),
        }
    }

    /// Its second half.
    fn split(&mut self) -> Self {
        // Each half has room for all that it may come to hold.
        fn halve<T>(all: &mut Vec<T>) -> Vec<T> {
            let mut right = Vec::with_capacity(WIDTH + 1);
            right.extend(all.drain(all.len() / 2..));
            right
        }
        match self {
            Self::Leaf(entries) => Self::Leaf(halve(entries)),
            Self::Branch(children) => Self::Branch(halve(children)),
        }
    }

    /// Adds all that its right neighbour holds.
    fn append(&mut self, right: Self) {
        match (self, right) {
            (Self::Leaf(entries), Self::Leaf(more)) => entries.extend(more),
            (Self::Branch(children), Self::Branch(more)) => children.extend(more),
            _ => unreachable!("neighbours are equally far from the root"),
        }
    }
}

impl Subtree {
    fn of(node: Node) -> Self {
        let (most, size) = node.sum();
        let first = match &node {
            Node::Leaf(entries) => entries.first().map_or((0, InstanceId(0)), Entry::key),
            Node::Branch(children) => children[0].first,
        };
        Self { first, most, size, node }
    }

    /// Adds an entry; its second half when it had to be split.
    fn insert(&mut self, entry: Entry) -> Option<Self> {
        self.first = self.first.min(entry.key());
        self.most = self.most.max(entry.room);
        self.size += 1;
        match &mut self.node {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|other| other.key() < entry.key());
                entries.insert(at, entry);
            }
            Node::Branch(children) => {
                let at = child_of(children, entry.key());
                if let Some(right) = children[at].insert(entry) {
                    children.insert(at + 1, right);
                }
            }
        }
        self.split_if_full()
    }

    /// Its second half, when it holds too much.
    fn split_if_full(&mut self) -> Option<Self> {
        (self.node.len() > WIDTH).then(|| {
            let right = Self::of(self.node.split());
            (self.most, self.size) = self.node.sum();
            right
        })
    }

    /// Moves a host from one key to another; what room it had, and the second half when this had to be split.
    ///
    /// Below the node where the two ways part it is a removal and an insertion; to do both from the root looked twice at
    /// the levels above, where a removal nearly always has to look for the most room anew, since most hosts are alike.
    fn relocate(&mut self, from: Key, to: Entry) -> (Option<Room>, Option<Self>) {
        self.first = self.first.min(to.key());
        let was = match &mut self.node {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|other| other.key() < to.key());
                if let Ok(place) = entries.binary_search_by_key(&from, Entry::key) {
                    let was = entries[place].room;
                    // Those between move up by one.
                    let at = if place < at {
                        entries[place..at].rotate_left(1);
                        at - 1
                    } else {
                        entries[at..=place].rotate_right(1);
                        at
                    };
                    entries[at] = to;
                    Some(was)
                } else {
                    entries.insert(at, to);
                    None
                }
            }
            Node::Branch(children) => {
                let mut source = child_of(children, from);
                let target = child_of(children, to.key());
                let (was, right) = if source == target {
                    children[target].relocate(from, to)
                } else {
                    let right = children[target].insert(to);
                    (children[source].remove(from), right)
                };
                if let Some(right) = right {
                    children.insert(target + 1, right);
                    source += usize::from(target < source);
                }
                if children[source].node.len() < WIDTH / 4 {
                    mend(children, source);
                }
                was
            }
        };
        self.size += u32::from(was.is_none());
        self.most = self.most.max(to.room);
        if let Some(was) = was {
            self.room_left(was, to.room);
        }
        (was, self.split_if_full())
    }

    /// Takes an entry out, and returns its room.
    fn remove(&mut self, key: Key) -> Option<Room> {
        let was = match &mut self.node {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by_key(&key, Entry::key).ok()?;
                entries.remove(at).room
            }
            Node::Branch(children) => {
                let at = child_of(children, key);
                let was = children[at].remove(key)?;
                if children[at].node.len() < WIDTH / 4 {
                    mend(children, at);
                }
                was
            }
        };
        self.size -= 1;
        self.room_left(was, Room::default());
        Some(was)
    }

    /// Gives an entry a new room, and returns the old.
    fn set_room(&mut self, key: Key, room: Room) -> Option<Room> {
        let was = match &mut self.node {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by_key(&key, Entry::key).ok()?;
                std::mem::replace(&mut entries[at].room, room)
            }
            Node::Branch(children) => {
                let at = child_of(children, key);
                children[at].set_room(key, room)?
            }
        };
        self.most = self.most.max(room);
        self.room_left(was, room);
        Some(was)
    }

    /// One of the hosts had `was` and has `is`: the bound is looked for anew if it may have rested on that.
    fn room_left(&mut self, was: Room, is: Room) {
        if was.carries(self.most, is) {
            self.most = self.node.most(self.most);
        }
    }

    fn first_fit(
        &self,
        ranks: (u64, u64),
        needs: Room,
        accept: &mut impl FnMut(InstanceId) -> bool,
    ) -> Option<(u64, InstanceId)> {
        if !self.most.covers(needs) {
            return None;
        }
        match &self.node {
            Node::Leaf(entries) => entries[entries.partition_point(|entry| entry.rank < ranks.0)..]
                .iter()
                .take_while(|entry| entry.rank <= ranks.1)
                .find(|entry| entry.room.covers(needs) && accept(entry.id))
                .map(Entry::key),
            Node::Branch(children) => {
                let from = children.partition_point(|child| child.first.0 < ranks.0).saturating_sub(1);
                let upto = children[from..].iter().take_while(|child| child.first.0 <= ranks.1);
                upto.into_iter().find_map(|child| child.first_fit(ranks, needs, accept))
            }
        }
    }
}

/// Joins a child that has become small to a neighbour, if one node can hold both and more.
fn mend(children: &mut Vec<Subtree>, at: usize) {
    let fits = |left: usize, children: &[Subtree]| {
        left + 1 < children.len() && children[left].node.len() + children[left + 1].node.len() <= WIDTH * 3 / 4
    };
    let left = match at.checked_sub(1) {
        Some(before) if fits(before, children) => before,
        _ if fits(at, children) => at,
        _ => {
            // Between two that are well filled it stays as it is, unless it is empty.
            if children[at].node.len() == 0 {
                children.remove(at);
            }
            return;
        }
    };
    let right = children.remove(left + 1);
    let child = &mut children[left];
    child.most = child.most.max(right.most);
    child.size += right.size;
    child.node.append(right.node);
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

    fn check(ranking: &Ranking, model: &BTreeMap<Key, Room>, needs: Room, ranks: (u64, u64)) {
        assert_eq!(ranking.len() as usize, model.len());
        for ((rank, id), room) in model {
            assert!(ranking.verify(*rank, *id, *room), "{rank} {id:?}");
        }
        let mut fits = Vec::new();
        ranking.for_each_fit(ranks, needs, &mut |id| fits.push(id));
        let in_range = |rank: u64| (ranks.0..=ranks.1).contains(&rank);
        let expected: Vec<Key> = model
            .iter()
            .filter(|((rank, _), room)| in_range(*rank) && room.covers(needs))
            .map(|(key, _)| *key)
            .collect();
        assert!(fits.iter().eq(expected.iter().map(|(_, id)| id)));
        assert_eq!(ranking.first_fit(ranks, needs, &mut |_| true), expected.first().copied());
        assert_eq!(ranking.count_below(ranks.0) as usize, model.keys().filter(|(rank, _)| *rank < ranks.0).count());
        for (place, ((_, id), room)) in model.iter().enumerate() {
            assert_eq!(ranking.nth(place as u32), Some((*id, *room)));
        }
        assert_eq!(ranking.nth(ranking.len()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Few ranks and many, growing and shrinking to nothing.
        #[test]
        fn it_is_a_sorted_map_that_knows_its_room(
            steps in prop::collection::vec((0..400u32, 0..60u64, 0..4u64, 0..4u64), 0..1500),
            (cpu, memory, low, high) in (0..4u64, 0..4u64, 0..60u64, 0..60u64),
        ) {
            let (mut ranking, mut model, mut ranks) = (Ranking::default(), BTreeMap::new(), BTreeMap::new());
            for (count, (id, rank, free_cpu, free_memory)) in steps.iter().enumerate() {
                let (id, is) = (InstanceId(*id), room(*free_cpu, *free_memory));
                match ranks.remove(&id) {
                    Some(was) if rank % 3 == 0 => {
                        ranking.remove(was, id);
                        model.remove(&(was, id));
                    }
                    Some(was) => {
                        // Every other change keeps the rank.
                        let rank = if rank % 2 == 0 { was } else { *rank };
                        ranking.update(was, rank, id, is);
                        model.remove(&(was, id));
                        model.insert((rank, id), is);
                        ranks.insert(id, rank);
                    }
                    None => {
                        ranking.insert(*rank, id, is);
                        model.insert((*rank, id), is);
                        ranks.insert(id, *rank);
                    }
                }
                if count % 500 == 250 {
                    check(&ranking, &model, room(cpu, memory), (low, high));
                }
            }
            check(&ranking, &model, room(cpu, memory), (low, high));
            for (id, rank) in ranks {
                ranking.remove(rank, id);
                model.remove(&(rank, id));
                prop_assert_eq!(ranking.len() as usize, model.len());
            }
            check(&ranking, &model, room(cpu, memory), (low, high));
        }
    }
}
