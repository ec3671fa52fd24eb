//! What is kept of each EC2 instance that is there now, by its id.

use std::collections::VecDeque;

use crate::ecs::ids::InstanceId;

/// Ids of one page: so few that a page is small, so many that the directory of pages is.
const PAGE: usize = 64;

/// A table over the instances that are there now.
///
/// Ids rise with every launch and are never given again, so a vector by id would grow with every instance that ever was
/// (design, promise 6). Here ids that are near each other share a page, and a page goes with its last entry: memory
/// follows what is alive, but for eight bytes for every 64 ids between the oldest and the newest that live. A look-up is
/// two steps, O(1); in the map that this was before, look-ups were a twentieth of all instructions of a run of ten
/// thousand hosts.
#[derive(Clone, Debug)]
pub struct InstanceTable<T> {
    /// The pages from the `first` on; the one at either end is never empty.
    pages: VecDeque<Option<Box<Page<T>>>>,
    first: usize,
    len: usize,
}

#[derive(Clone, Debug)]
struct Page<T> {
    entries: [Option<T>; PAGE],
    used: usize,
}

impl<T> Default for InstanceTable<T> {
    fn default() -> Self {
        Self { pages: VecDeque::new(), first: 0, len: 0 }
    }
}

const fn place(id: InstanceId) -> (usize, usize) {
    (id.0 as usize / PAGE, id.0 as usize % PAGE)
}

impl<T> InstanceTable<T> {
    /// The entry of an instance.
    pub fn get(&self, id: InstanceId) -> Option<&T> {
        let (page, place) = place(id);
        self.pages.get(page.checked_sub(self.first)?)?.as_ref()?.entries[place].as_ref()
    }

    /// The entry of an instance, to change it.
    pub fn get_mut(&mut self, id: InstanceId) -> Option<&mut T> {
        let (page, place) = place(id);
        self.pages.get_mut(page.checked_sub(self.first)?)?.as_mut()?.entries[place].as_mut()
    }

    /// Sets the entry of an instance and returns the one it had.
    pub fn insert(&mut self, id: InstanceId, entry: T) -> Option<T> {
        let (number, place) = place(id);
        if self.pages.is_empty() {
            self.first = number;
        }
        while number < self.first {
            self.pages.push_front(None);
            self.first -= 1;
        }
        while number >= self.first + self.pages.len() {
            self.pages.push_back(None);
        }
        let empty = || Box::new(Page { entries: std::array::from_fn(|_| None), used: 0 });
        let page = self.pages[number - self.first].get_or_insert_with(empty);
        let before = page.entries[place].replace(entry);
        page.used += usize::from(before.is_none());
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes out the entry of an instance.
    pub fn remove(&mut self, id: InstanceId) -> Option<T> {
        let (number, place) = place(id);
        let slot = self.pages.get_mut(number.checked_sub(self.first)?)?;
        let page = slot.as_mut()?;
        let entry = page.entries[place].take()?;
        page.used -= 1;
        self.len -= 1;
        if page.used == 0 {
            *slot = None;
            while matches!(self.pages.back(), Some(None)) {
                self.pages.pop_back();
            }
            while matches!(self.pages.front(), Some(None)) {
                self.pages.pop_front();
                self.first += 1;
            }
        }
        Some(entry)
    }

    /// The entries with their instances, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (InstanceId, &T)> {
        let pages = (self.first..).zip(&self.pages).filter_map(|(number, page)| Some((number, page.as_ref()?)));
        pages.flat_map(|(number, page)| {
            let ids = (number * PAGE..).map(|id| InstanceId(id as u32));
            ids.zip(&page.entries).filter_map(|(id, entry)| Some((id, entry.as_ref()?)))
        })
    }

    /// Number of entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Places held, empty ones included: what the table takes in memory.
    pub fn capacity(&self) -> usize {
        self.pages.iter().flatten().count() * PAGE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
            prop_assert!(table.iter().map(|(id, value)| (id.0, *value)).eq(map.clone()));
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
        assert!(table.pages.len() <= 2, "{}", table.pages.len());
    }
}
