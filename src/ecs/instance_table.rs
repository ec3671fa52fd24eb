//! What is kept of each EC2 instance that is there now, by its id.

use std::collections::BTreeMap;

use crate::ecs::ids::InstanceId;

/// Ids of one page: so few that a page is small, so many that there are few pages to search.
const PAGE: usize = 64;

/// A table over the instances that are there now.
///
/// Ids rise with every launch and are never given again, so a vector by id would grow with every instance that ever was
/// (design, promise 6). Here ids that are near each other share a page, and a page goes with its last entry: memory
/// follows what is alive, and a look-up costs the logarithm of the pages.
#[derive(Clone, Debug)]
pub struct InstanceTable<T> {
    pages: BTreeMap<u32, Page<T>>,
}

#[derive(Clone, Debug)]
struct Page<T> {
    entries: Box<[Option<T>; PAGE]>,
    used: usize,
}

impl<T> Default for InstanceTable<T> {
    fn default() -> Self {
        Self { pages: BTreeMap::new() }
    }
}

const fn place(id: InstanceId) -> (u32, usize) {
    (id.0 / PAGE as u32, id.0 as usize % PAGE)
}

impl<T> InstanceTable<T> {
    /// The entry of an instance.
    pub fn get(&self, id: InstanceId) -> Option<&T> {
        let (page, place) = place(id);
        self.pages.get(&page)?.entries[place].as_ref()
    }

    /// The entry of an instance, to change it.
    pub fn get_mut(&mut self, id: InstanceId) -> Option<&mut T> {
        let (page, place) = place(id);
        self.pages.get_mut(&page)?.entries[place].as_mut()
    }

    /// Sets the entry of an instance and returns the one it had.
    pub fn insert(&mut self, id: InstanceId, entry: T) -> Option<T> {
        let (page, place) = place(id);
        let empty = || Page { entries: Box::new(std::array::from_fn(|_| None)), used: 0 };
        let page = self.pages.entry(page).or_insert_with(empty);
        let before = page.entries[place].replace(entry);
        page.used += usize::from(before.is_none());
        before
    }

    /// Takes out the entry of an instance.
    pub fn remove(&mut self, id: InstanceId) -> Option<T> {
        let (number, place) = place(id);
        let page = self.pages.get_mut(&number)?;
        let entry = page.entries[place].take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages.remove(&number);
        }
        Some(entry)
    }

    /// The entries, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.values().flat_map(|page| page.entries.iter().flatten())
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.pages.values().map(|page| page.used).sum()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Places held, empty ones included: what the table takes in memory.
    pub fn capacity(&self) -> usize {
        self.pages.len() * PAGE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_by_id(operations in prop::collection::vec((0..300u32, any::<Option<u8>>()), 0..200)) {
            let (mut table, mut map) = (InstanceTable::default(), BTreeMap::new());
            for (id, value) in operations {
                let before = match value {
                    Some(value) => (table.insert(InstanceId(id), value), map.insert(id, value)),
                    None => (table.remove(InstanceId(id)), map.remove(&id)),
                };
                prop_assert_eq!(before.0, before.1);
                prop_assert_eq!(table.len(), map.len());
                prop_assert_eq!(table.is_empty(), map.is_empty());
            }
            for id in 0..300 {
                prop_assert_eq!(table.get(InstanceId(id)), map.get(&id));
                prop_assert_eq!(table.get_mut(InstanceId(id)), map.get_mut(&id));
            }
        }
    }

    #[test]
    fn memory_follows_what_is_alive_and_not_what_ever_was() {
        let mut table = InstanceTable::default();
        for id in 0..1_000_000 {
            table.insert(InstanceId(id), id);
            if id >= 10 {
                assert_eq!(table.remove(InstanceId(id - 10)), Some(id - 10));
            }
        }
        assert_eq!(table.len(), 10);
        assert!(table.capacity() <= 2 * PAGE, "{}", table.capacity());
    }
}
