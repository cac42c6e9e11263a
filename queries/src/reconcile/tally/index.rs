//! Where each entry stands in the list of entries, by its key.
//! Promise: eight bytes a place, half of them empty, so that millions of entries stay near the processor; hashed under a key of
//! the process's own, so that nobody writes entry numbers that all collide.

use std::hash::{BuildHasher, RandomState};

use super::amounts::Key;

/// No entry stands here.
const EMPTY: u32 = u32::MAX;
const PLACES_MIN: usize = 1 << 10;

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Part of the hash that does not choose the place: told apart without looking at the entry.
    tag: u32,
    at: u32,
}

#[derive(Debug)]
pub(super) struct Index {
    /// As many as a power of two.
    places: Vec<Place>,
    held: usize,
    hasher: RandomState,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), held: 0, hasher: RandomState::new() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }

    /// Makes room for so many entries in all.
    pub(super) fn reserve(&mut self, entries: usize, key_of: impl Fn(u32) -> Key) {
        let wanted = (entries * 2).next_power_of_two().max(PLACES_MIN);
        if wanted <= self.places.len() {
            return;
        }
        let before = std::mem::replace(&mut self.places, vec![Place { tag: 0, at: EMPTY }; wanted]);
        for place in before.into_iter().filter(|place| place.at != EMPTY) {
            let (tag, mut slot) = self.slot(&key_of(place.at));
            while self.places[slot].at != EMPTY {
                slot = (slot + 1) & (wanted - 1);
            }
            self.places[slot] = Place { tag, at: place.at };
        }
    }

    /// Where this key stands; `next` if it stood nowhere, where it stands from now on.
    pub(super) fn find_or_put(&mut self, key: &Key, next: u32, key_of: impl Fn(u32) -> Key) -> u32 {
        if (self.held + 1) * 2 > self.places.len() {
            self.reserve((self.held + 1) * 2, &key_of);
        }
        let (tag, mut slot) = self.slot(key);
        loop {
            let place = self.places[slot];
            if place.at == EMPTY {
                self.places[slot] = Place { tag, at: next };
                self.held += 1;
                return next;
            }
            if place.tag == tag && key_of(place.at) == *key {
                return place.at;
            }
            slot = (slot + 1) & (self.places.len() - 1);
        }
    }

    fn slot(&self, key: &Key) -> (u32, usize) {
        let hash = self.hasher.hash_one(key);
        ((hash >> 32) as u32, hash as usize & (self.places.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_stands_where_it_was_put_however_often_the_places_grow() {
        let keys: Vec<Key> = (0..50_000).map(|at| Key::of(&format!("E{at}")).unwrap()).collect();
        let key_of = |at: u32| keys[at as usize];
        let mut index = Index::new();
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(index.find_or_put(key, at as u32, key_of), at as u32);
            assert_eq!(index.find_or_put(&keys[at / 2], EMPTY - 1, key_of), at as u32 / 2);
        }
        index.reserve(200_000, key_of);
        assert!(keys.iter().enumerate().all(|(at, key)| index.find_or_put(key, EMPTY - 1, key_of) == at as u32));
        assert_eq!(index.held, keys.len());
    }
}
