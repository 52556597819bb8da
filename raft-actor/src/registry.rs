//! Who is where.

use std::collections::BTreeMap;
use std::hash::Hash;

use dashmap::DashMap;

/// A concurrent map that hands out clones only. A guard into a `DashMap` that is
/// held across an `await` can deadlock its thread, and the compiler does not object.
#[derive(Debug)]
pub(crate) struct Registry<K: Eq + Hash, V> {
    map: DashMap<K, V>,
}

impl<K: Eq + Hash, V> Default for Registry<K, V> {
    fn default() -> Self {
        // Few entries, rarely written: many shards would only cost memory.
        Self { map: DashMap::with_shard_amount(2) }
    }
}

impl<K: Eq + Hash + Ord + Clone, V: Clone> Registry<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.map.get(key).map(|entry| entry.value().clone())
    }

    /// Does something quick with a value, where it would be dear to clone it. It must not come back to this map.
    pub(crate) fn with<T>(&self, key: &K, work: impl FnOnce(&V) -> T) -> Option<T> {
        self.map.get(key).map(|entry| work(entry.value()))
    }

    pub(crate) fn insert(&self, key: K, value: V) -> Option<V> {
        self.map.insert(key, value)
    }

    pub(crate) fn remove(&self, key: &K) -> Option<V> {
        self.map.remove(key).map(|(_, value)| value)
    }

    pub(crate) fn remove_if(&self, key: &K, condition: impl FnOnce(&V) -> bool) -> Option<V> {
        self.map.remove_if(key, |_, value| condition(value)).map(|(_, value)| value)
    }

    /// In the order of their keys, so that whoever goes through them does so in the same order each time.
    pub(crate) fn values(&self) -> Vec<V> {
        let sorted: BTreeMap<K, V> =
            self.map.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect();
        sorted.into_values().collect()
    }
}
