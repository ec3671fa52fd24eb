//! A map of a few entries side by side in memory.

use smallvec::SmallVec;

/// A map as a vector sorted by key, of which the first `N` entries need no memory of their own.
///
/// A host has a handful of tasks and fewer task groups: looking one up touches one or two lines of the cache, where the
/// B-tree that this was before had its nodes all over memory. A look-up is logarithmic; to add or take out an entry moves
/// those behind it, 24 bytes a task, which stays below a microsecond at a thousand tasks on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallMap<K, V, const N: usize = 0>(SmallVec<[(K, V); N]>);

impl<K, V, const N: usize> Default for SmallMap<K, V, N> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<K: Copy + Ord, V, const N: usize> SmallMap<K, V, N> {
    /// The entry of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    /// The entry of `key`, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|place| &mut self.0[place].1)
    }

    /// The entry of `key`, set to what `new` makes where there is none.
    pub fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let place = self.place(&key).unwrap_or_else(|place| {
            self.0.insert(place, (key, new()));
            place
        });
        &mut self.0[place].1
    }

    /// Sets the entry of `key` and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                self.0.insert(place, (key, value));
                None
            }
        }
    }

    /// Takes out the entry of `key`.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().map(|place| self.0.remove(place).1)
    }

    /// Drops the entries that do not pass.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keeps(key, value));
    }

    /// All entries by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values, by key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..20u8, 0..8u8), 0..100)) {
            let (mut small, mut map) = (SmallMap::<_, _, 3>::default(), BTreeMap::new());
            for (key, value) in steps {
                match value {
                    0 => prop_assert_eq!(small.remove(&key), map.remove(&key)),
                    1 => {
                        *small.get_or_insert_with(key, || 7) += value;
                        *map.entry(key).or_insert(7) += value;
                    }
                    3 => {
                        small.retain(|key, kept| (key ^ kept) & 1 == 0);
                        map.retain(|key, kept| (*key ^ *kept) & 1 == 0);
                    }
                    2 => prop_assert_eq!(
                        small.get_mut(&key).map(|at| std::mem::replace(at, value)),
                        map.get_mut(&key).map(|at| std::mem::replace(at, value))
                    ),
                    _ => prop_assert_eq!(small.insert(key, value), map.insert(key, value)),
                }
                prop_assert_eq!(small.get(&key), map.get(&key));
                prop_assert!(small.iter().eq(&map) && small.keys().eq(map.keys()) && small.values().eq(map.values()));
                prop_assert_eq!((small.len(), small.is_empty()), (map.len(), map.is_empty()));
            }
        }
    }
}
