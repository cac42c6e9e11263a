//! Texts: the cells of one text column as an Arrow dictionary, so that a text that comes again costs a look at sixteen bytes.
//! Promise: equal texts of a batch have one key, in order of first appearance; what was judged once is not judged again.
//! Never: a sender cannot choose texts that fall on one place of the table: places depend on a secret of the process.

use std::{
    hash::{BuildHasher, RandomState},
    iter::repeat_n,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, DictionaryArray, Int32Array, StringArray},
    buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Int32Type},
};

/// A cell of at most this many bytes is known by them alone.
pub(super) const WORD_BYTES: usize = 16;
/// The word of no text: it has a NUL in the middle.
pub(super) const NO_WORD: u128 = 1 << 120;
/// The word of the empty text.
pub(super) const EMPTY_WORD: u128 = 0;

const NULL: i32 = -1;
const SLOTS_MIN: usize = 64;

/// How a text column lies in a batch.
pub(super) fn data_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The word of the text that stands in `window` from `start` to `end`, if it is short; the text holds no NUL.
#[inline]
pub(super) fn word(window: &[u8], start: usize, end: usize) -> Option<u128> {
    let length = end - start;
    if length > WORD_BYTES {
        return None;
    }
    let bits = match window.get(start..start + WORD_BYTES) {
        Some(bytes) => u128::from_le_bytes(bytes.try_into().expect("the slice has sixteen bytes")),
        None => padded(&window[start..end]),
    };
    Some(if length == WORD_BYTES { bits } else { bits & ((1 << (8 * length)) - 1) })
}

#[cold]
fn padded(text: &[u8]) -> u128 {
    let mut bytes = [0; WORD_BYTES];
    bytes[..text.len()].copy_from_slice(text);
    u128::from_le_bytes(bytes)
}

/// Where a text of the batch is found.
#[derive(Clone, Copy)]
struct Slot {
    /// The text itself, or a hash of a long one.
    word: u128,
    key: i32,
    is_long: bool,
    /// As it stands, it fits its column: nothing to mend, nothing to remark on.
    is_sound: bool,
}

const FREE: Slot = Slot { word: NO_WORD, key: NULL, is_long: false, is_sound: false };

/// The builder of one text column.
pub(super) struct Texts {
    keys: Vec<i32>,
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    secret: [u64; 2],
    state: RandomState,
    capacity: usize,
}

impl Texts {
    pub fn with_capacity(rows: usize) -> Self {
        let state = RandomState::new();
        let secret = [state.hash_one(0), state.hash_one(1) | 1];
        let keys = Vec::with_capacity(rows);
        Self { keys, offsets: vec![0], bytes: Vec::new(), slots: vec![FREE; SLOTS_MIN], secret, state, capacity: rows }
    }

    /// Appends the text of this word to this row if it was found sound in this batch before; the rows before it that are
    /// not there yet are as the last one.
    #[inline]
    pub fn append_known(&mut self, row: usize, word: u128) -> bool {
        let slot = self.slots[self.place_of(word)];
        // The first place is looked at only: a text that was pushed further on is judged once more, and found all the same.
        let is_known = slot.word == word && slot.is_sound && !slot.is_long;
        if is_known {
            if self.keys.len() < row {
                self.repeat(row - self.keys.len());
            }
            self.keys.push(slot.key);
        }
        is_known
    }

    /// `is_sound`: every cell with exactly this text may be appended without another look.
    pub fn append(&mut self, text: &str, is_sound: bool) {
        let at = self.intern(text);
        self.slots[at].is_sound |= is_sound;
        self.keys.push(self.slots[at].key);
    }

    pub fn append_nulls(&mut self, count: usize) {
        self.keys.extend(repeat_n(NULL, count));
    }

    /// The last cell so many times more.
    pub fn repeat(&mut self, count: usize) {
        let last = self.keys.last().copied().unwrap_or(NULL);
        self.keys.extend(repeat_n(last, count));
    }

    /// The cells as a dictionary array; the builder is empty then, and forgets what it knew.
    pub fn finish(&mut self) -> ArrayRef {
        let keys = std::mem::replace(&mut self.keys, Vec::with_capacity(self.capacity));
        let nulls = keys.contains(&NULL).then(|| {
            let valid = BooleanBuffer::collect_bool(keys.len(), |row| keys[row] != NULL);
            NullBuffer::new(valid)
        });
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes.reserve(bytes.len());
        self.slots.fill(FREE);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let values = StringArray::new(offsets, Buffer::from_vec(bytes), None);
        let keys = Int32Array::new(ScalarBuffer::from(keys), nulls);
        Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(values)))
    }

    /// The slot of this text, made if there is none.
    fn intern(&mut self, text: &str) -> usize {
        let bytes = text.as_bytes();
        // Cells hold no NUL; a text from elsewhere may, and its word would be that of a shorter one.
        let short = word(bytes, 0, bytes.len()).filter(|_| !bytes.contains(&0));
        let is_long = short.is_none();
        let word = short.unwrap_or_else(|| u128::from(self.state.hash_one(bytes)));
        let mask = self.slots.len() - 1;
        let mut at = self.place_of(word);
        while self.slots[at].key != NULL {
            let slot = self.slots[at];
            if slot.word == word && slot.is_long == is_long && (!is_long || self.value(slot.key) == bytes) {
                return at;
            }
            at = (at + 1) & mask;
        }
        let key = self.offsets.len() as i32 - 1;
        self.bytes.extend_from_slice(bytes);
        self.offsets.push(self.bytes.len() as i32);
        self.slots[at] = Slot { word, key, is_long, is_sound: false };
        if self.offsets.len() * 2 > self.slots.len() {
            self.grow();
            return self.intern(text);
        }
        at
    }

    fn value(&self, key: i32) -> &[u8] {
        let range = |key: usize| self.offsets[key] as usize..self.offsets[key + 1] as usize;
        &self.bytes[range(key as usize)]
    }

    #[cold]
    fn grow(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        self.slots = vec![FREE; slots.len() * 2];
        let mask = self.slots.len() - 1;
        for slot in slots.into_iter().filter(|slot| slot.key != NULL) {
            let mut at = self.place_of(slot.word);
            while self.slots[at].key != NULL {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }

    #[inline]
    fn place_of(&self, word: u128) -> usize {
        let (low, high) = (word as u64 ^ self.secret[0], (word >> 64) as u64 ^ self.secret[1]);
        let product = u128::from(low) * u128::from(high);
        let mixed = (product as u64) ^ (product >> 64) as u64;
        (mixed ^ mixed >> 32) as usize & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests;
