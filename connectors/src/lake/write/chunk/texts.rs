//! Texts of one column chunk: each distinct one once, and for every cell its index.
//! Promise: a dictionary that the parser made is looked up once for each of its texts, not once for each cell.

use arrow::{
    array::{Array, DictionaryArray, StringArray},
    datatypes::Int32Type,
};

use super::{Body, seed::Seed};
use crate::lake::write::hybrid::{bits, hybrid};

const UNKNOWN: u32 = u32::MAX;

#[derive(Default)]
pub struct Texts {
    seed: Seed,
    /// Each distinct text behind its length, as a dictionary page has them.
    page: Vec<u8>,
    ends: Vec<u32>,
    /// Hash and index of each text; open addressing.
    slots: Vec<(u64, u32)>,
    indices: Vec<u32>,
    /// Of the dictionary in hand, the index of each of its texts.
    known: Vec<u32>,
}

impl Texts {
    pub fn append_dictionary(&mut self, array: &DictionaryArray<Int32Type>, values: &StringArray) {
        let mut known = std::mem::take(&mut self.known);
        known.clear();
        known.resize(values.len(), UNKNOWN);
        let mut index_of = |texts: &mut Self, key: i32| {
            let index = &mut known[key as usize];
            if *index == UNKNOWN {
                *index = texts.intern(values.value(key as usize).as_bytes());
            }
            *index
        };
        let keys = array.keys().values();
        self.indices.reserve(keys.len());
        for (from, to) in valid(array) {
            for key in &keys[from..to] {
                let index = index_of(self, *key);
                self.indices.push(index);
            }
        }
        self.known = known;
    }

    pub fn append(&mut self, array: &StringArray) {
        for (from, to) in valid(array) {
            for row in from..to {
                self.push(array.value(row));
            }
        }
    }

    pub fn push(&mut self, text: &str) {
        let index = self.intern(text.as_bytes());
        self.indices.push(index);
    }

    /// Cells that are not null.
    pub fn cells(&self) -> usize {
        self.indices.len()
    }

    /// With room that is held and not filled.
    pub fn memory_bytes(&self) -> usize {
        let words = self.ends.capacity() + self.indices.capacity() + self.known.capacity();
        self.page.capacity() + size_of::<u32>() * words + size_of::<(u64, u32)>() * self.slots.capacity()
    }

    fn text(&self, index: u32) -> &[u8] {
        let from = match index {
            0 => 0,
            index => self.ends[index as usize - 1] as usize,
        };
        &self.page[from + 4..self.ends[index as usize] as usize]
    }

    fn intern(&mut self, text: &[u8]) -> u32 {
        if self.ends.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = self.seed.of_bytes(text);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                (_, UNKNOWN) => break,
                (other, index) if other == hash && self.text(index) == text => return index,
                _ => at = (at + 1) & mask,
            }
        }
        let index = self.ends.len() as u32;
        self.page.extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.page.extend_from_slice(text);
        self.ends.push(self.page.len() as u32);
        self.slots[at] = (hash, index);
        index
    }

    fn grow(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        self.slots = vec![(0, UNKNOWN); (slots.len() * 2).max(64)];
        let mask = self.slots.len() - 1;
        for slot in slots.into_iter().filter(|(_, index)| *index != UNKNOWN) {
            let mut at = slot.0 as usize & mask;
            while self.slots[at].1 != UNKNOWN {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }

    /// The least and the greatest text.
    pub fn bounds(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let texts = || (0..self.ends.len() as u32).map(|index| self.text(index));
        Some((texts().min()?.to_vec(), texts().max()?.to_vec()))
    }

    /// A dictionary and indices, or the texts themselves where most of them are different.
    pub fn encode(&mut self, out: &mut Vec<u8>) -> Body {
        let distinct = self.ends.len();
        if distinct == 0 {
            return Body::Plain;
        }
        if distinct > 64 && distinct * 2 > self.indices.len() {
            for index in &self.indices {
                let text = self.text(*index);
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text);
            }
            return Body::Plain;
        }
        let width = bits(distinct as u64 - 1);
        out.push(width as u8);
        hybrid(out, &self.indices, width);
        Body::Dictionary { page: std::mem::take(&mut self.page), distinct }
    }

    /// Empty again. Its memory goes too: a file of many months has as many chunks open, most of them between row groups.
    pub fn clear(&mut self) {
        *self = Self { seed: self.seed, ..Self::default() };
    }
}

/// The runs of cells that are not null.
pub fn valid(array: &dyn Array) -> Vec<(usize, usize)> {
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => vec![(0, array.len())],
        Some(nulls) => nulls.valid_slices().collect(),
    }
}
