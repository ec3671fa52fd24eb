//! Hosts in the order of a number, lowest id first among equals, searchable for the first that has room.
//!
//! A treap (Seidel and Aragon, "Randomized Search Trees", 1996) whose nodes know the most room below them, so that a
//! search passes by whole subtrees of full hosts. Priorities are a hash of the id: the shape depends on the contents
//! only. Nodes keep their handle for as long as their host is in, and a change of room climbs only as far as it matters.

use crate::ecs::cluster::room::Room;
use crate::ecs::ids::{InstanceId, mix};

/// Names a host's place in a [`Ranking`].
pub(crate) type Handle = u32;

/// No node.
const NIL: Handle = Handle::MAX;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    nodes: Vec<Node>,
    free: Vec<Handle>,
    root: Handle,
}

/// One cache line: a walk down the tree costs one miss a level.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Node {
    rank: u64,
    id: InstanceId,
    priority: u32,
    left: Handle,
    right: Handle,
    parent: Handle,
    /// Hosts in this subtree.
    size: u32,
    own: Room,
    /// The most of each resource that a host of this subtree has free.
    most: Room,
}

impl Default for Ranking {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NIL }
    }
}

impl Ranking {
    /// Number of hosts.
    pub(crate) fn len(&self) -> u32 {
        self.size(self.root)
    }

    /// Whether some host might have room: false is certain.
    pub(crate) fn may_cover(&self, needs: Room) -> bool {
        self.root != NIL && self.at(self.root).most.covers(needs)
    }

    /// Adds a host.
    pub(crate) fn insert(&mut self, rank: u64, id: InstanceId, room: Room) -> Handle {
        let node = Node {
            rank,
            id,
            priority: mix(u64::from(id.0)) as u32,
            left: NIL,
            right: NIL,
            parent: NIL,
            size: 1,
            own: room,
            most: room,
        };
        let handle = if let Some(handle) = self.free.pop() {
            self.nodes[handle as usize] = node;
            handle
        } else {
            self.nodes.push(node);
            Handle::try_from(self.nodes.len() - 1).expect("fewer hosts than handles")
        };
        self.link(handle);
        handle
    }

    /// Takes a host out.
    pub(crate) fn remove(&mut self, handle: Handle) {
        self.unlink(handle);
        self.free.push(handle);
    }

    /// Gives a host a new rank and room.
    pub(crate) fn update(&mut self, handle: Handle, rank: u64, room: Room) {
        let node = &mut self.nodes[handle as usize];
        if node.rank == rank {
            let was = std::mem::replace(&mut node.own, room);
            self.refresh_room(handle, was);
        } else {
            self.unlink(handle);
            let node = &mut self.nodes[handle as usize];
            (node.rank, node.own) = (rank, room);
            self.link(handle);
        }
    }

    /// The first host with a rank in `ranks` that has room and that `accept` takes, and its rank.
    pub(crate) fn first_fit(
        &self,
        ranks: (u64, u64),
        needs: Room,
        accept: &mut impl FnMut(InstanceId) -> bool,
    ) -> Option<(u64, InstanceId)> {
        self.first_below(self.root, ranks, needs, accept)
    }

    /// Hands every host with a rank in `ranks` that has room to `visit`.
    pub(crate) fn for_each_fit(&self, ranks: (u64, u64), needs: Room, visit: &mut impl FnMut(InstanceId)) {
        self.first_below(self.root, ranks, needs, &mut |id| {
            visit(id);
            false
        });
    }

    /// The number of hosts with a rank below `rank`.
    pub(crate) fn count_below(&self, rank: u64) -> u32 {
        let (mut count, mut at) = (0, self.root);
        while at != NIL {
            let node = self.at(at);
            if node.rank < rank {
                count += self.size(node.left) + 1;
                at = node.right;
            } else {
                at = node.left;
            }
        }
        count
    }

    /// The host with `before` others before it, and its room.
    pub(crate) fn nth(&self, mut before: u32) -> Option<(InstanceId, Room)> {
        let mut at = self.root;
        while at != NIL {
            let node = self.at(at);
            let left = self.size(node.left);
            match before.cmp(&left) {
                std::cmp::Ordering::Less => at = node.left,
                std::cmp::Ordering::Equal => return Some((node.id, node.own)),
                std::cmp::Ordering::Greater => {
                    before -= left + 1;
                    at = node.right;
                }
            }
        }
        None
    }

    /// Whether the node holds that host with that rank and room, and every bound above it agrees.
    pub(crate) fn verify(&self, handle: Handle, rank: u64, id: InstanceId, room: Room) -> bool {
        let node = self.at(handle);
        let mut right = (node.rank, node.id, node.own) == (rank, id, room);
        let mut at = handle;
        while at != NIL {
            let node = self.at(at);
            let children = [node.left, node.right];
            let most = children.iter().filter(|child| **child != NIL).map(|child| self.at(*child).most);
            right &= most.fold(node.own, Room::max) == node.most;
            right &= node.size == 1 + self.size(node.left) + self.size(node.right);
            right &= node.parent == NIL || [self.at(node.parent).left, self.at(node.parent).right].contains(&at);
            right &= node.parent != NIL || at == self.root;
            at = node.parent;
        }
        right
    }

    fn at(&self, handle: Handle) -> &Node {
        &self.nodes[handle as usize]
    }

    fn size(&self, handle: Handle) -> u32 {
        if handle == NIL { 0 } else { self.at(handle).size }
    }

    fn first_below(
        &self,
        at: Handle,
        ranks: (u64, u64),
        needs: Room,
        accept: &mut impl FnMut(InstanceId) -> bool,
    ) -> Option<(u64, InstanceId)> {
        if at == NIL {
            return None;
        }
        let node = self.at(at);
        if !node.most.covers(needs) {
            return None;
        }
        if node.rank < ranks.0 {
            return self.first_below(node.right, ranks, needs, accept);
        }
        if let Some(found) = self.first_below(node.left, ranks, needs, accept) {
            return Some(found);
        }
        if node.rank > ranks.1 {
            return None;
        }
        if node.own.covers(needs) && accept(node.id) {
            return Some((node.rank, node.id));
        }
        self.first_below(node.right, ranks, needs, accept)
    }

    /// Puts a node that has no links into the tree, by its key and priority.
    fn link(&mut self, handle: Handle) {
        let Node { rank, id, priority, own, .. } = *self.at(handle);
        let key = (rank, id);
        let (mut parent, mut at, mut goes_right) = (NIL, self.root, false);
        while at != NIL {
            let node = &mut self.nodes[at as usize];
            if node.priority < priority {
                break;
            }
            // What will be below it counts at once, so that nothing has to be climbed again.
            node.size += 1;
            node.most = node.most.max(own);
            parent = at;
            goes_right = (node.rank, node.id) < key;
            at = if goes_right { node.right } else { node.left };
        }
        let (left, right) = self.split(at, key);
        let node = &mut self.nodes[handle as usize];
        (node.left, node.right, node.parent) = (left, right, parent);
        self.pull(handle);
        self.hang(parent, goes_right, handle);
    }

    /// Takes a node out of the tree.
    fn unlink(&mut self, handle: Handle) {
        let Node { left, right, parent, own, .. } = *self.at(handle);
        let merged = self.merge(left, right);
        if merged != NIL {
            self.nodes[merged as usize].parent = parent;
        }
        self.hang(parent, parent != NIL && self.at(parent).right == handle, merged);
        let mut at = parent;
        while at != NIL {
            let node = &mut self.nodes[at as usize];
            node.size -= 1;
            let next = node.parent;
            if own.reaches(node.most) {
                self.pull(at);
            }
            at = next;
        }
    }

    /// Makes `child` the child of `parent` on one side, or the root.
    fn hang(&mut self, parent: Handle, right: bool, child: Handle) {
        if parent == NIL {
            self.root = child;
        } else if right {
            self.nodes[parent as usize].right = child;
        } else {
            self.nodes[parent as usize].left = child;
        }
    }

    fn key(&self, handle: Handle) -> (u64, InstanceId) {
        let node = self.at(handle);
        (node.rank, node.id)
    }

    /// Splits a subtree into what lies before `key` and the rest.
    fn split(&mut self, at: Handle, key: (u64, InstanceId)) -> (Handle, Handle) {
        if at == NIL {
            return (NIL, NIL);
        }
        if self.key(at) < key {
            let (left, right) = self.split(self.at(at).right, key);
            self.nodes[at as usize].right = left;
            self.pull(at);
            (at, right)
        } else {
            let (left, right) = self.split(self.at(at).left, key);
            self.nodes[at as usize].left = right;
            self.pull(at);
            (left, at)
        }
    }

    /// Joins two subtrees, all of `left` before all of `right`.
    fn merge(&mut self, left: Handle, right: Handle) -> Handle {
        if left == NIL || right == NIL {
            return if left == NIL { right } else { left };
        }
        if self.at(left).priority >= self.at(right).priority {
            let merged = self.merge(self.at(left).right, right);
            self.nodes[left as usize].right = merged;
            self.pull(left);
            left
        } else {
            let merged = self.merge(left, self.at(right).left);
            self.nodes[right as usize].left = merged;
            self.pull(right);
            right
        }
    }

    /// Recomputes what a node knows of its children, and makes itself their parent.
    fn pull(&mut self, handle: Handle) {
        let Node { left, right, own, .. } = *self.at(handle);
        let (mut size, mut most) = (1, own);
        for child in [left, right] {
            if child != NIL {
                let below = &mut self.nodes[child as usize];
                below.parent = handle;
                size += below.size;
                most = most.max(below.most);
            }
        }
        let node = &mut self.nodes[handle as usize];
        (node.size, node.most) = (size, most);
    }

    /// Carries a changed room upwards as far as it changes a bound.
    fn refresh_room(&mut self, mut at: Handle, was: Room) {
        let is = self.at(at).own;
        while at != NIL {
            let Node { left, right, own, most, parent, .. } = *self.at(at);
            let mut new = most.max(is);
            if !is.covers(was) && was.reaches(most) {
                new = own;
                for child in [left, right] {
                    if child != NIL {
                        new = new.max(self.at(child).most);
                    }
                }
            }
            if new == most {
                return;
            }
            self.nodes[at as usize].most = new;
            at = parent;
        }
    }
}
