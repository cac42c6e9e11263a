//! Numbers of one column chunk: kept as they come, and only at the end told whether a dictionary pays.

use arrow::{array::PrimitiveArray, datatypes::ArrowPrimitiveType};

use super::{Body, seed::Seed, texts::valid};
use crate::lake::write::hybrid::{bits, hybrid};

/// A number as Parquet stores it.
pub trait Number: Copy + Ord {
    fn word(self) -> u64;
    /// `width`: bytes of a fixed-length column.
    fn put(self, out: &mut Vec<u8>, width: usize);
}

impl Number for i32 {
    fn word(self) -> u64 {
        self as u64
    }

    fn put(self, out: &mut Vec<u8>, _: usize) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Number for i64 {
    fn word(self) -> u64 {
        self as u64
    }

    fn put(self, out: &mut Vec<u8>, _: usize) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

/// Decimals that 64 bits may not hold: big-endian, in as many bytes as their precision needs.
impl Number for i128 {
    fn word(self) -> u64 {
        self as u64 ^ (self >> 64) as u64
    }

    fn put(self, out: &mut Vec<u8>, width: usize) {
        let bytes = self.to_be_bytes();
        out.extend_from_slice(&bytes[bytes.len() - width..]);
    }
}

pub struct Numbers<T> {
    pub numbers: Vec<T>,
    seed: Seed,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { numbers: Vec::new(), seed: Seed::default() }
    }
}

impl<T: Number> Numbers<T> {
    pub fn append<A: ArrowPrimitiveType>(&mut self, array: &PrimitiveArray<A>, each: impl Fn(A::Native) -> T) {
        for (from, to) in valid(array) {
            self.numbers.extend(array.values()[from..to].iter().map(|number| each(*number)));
        }
    }

    pub fn memory_bytes(&self) -> usize {
        size_of::<T>() * self.numbers.capacity()
    }

    pub fn bounds(&self) -> Option<(T, T)> {
        Some((*self.numbers.iter().min()?, *self.numbers.iter().max()?))
    }

    /// A dictionary and indices, or the numbers themselves where most of them are different.
    pub fn encode(&self, out: &mut Vec<u8>, width: usize) -> Body {
        let Some((dictionary, indices)) = self.dictionary().filter(|(dictionary, _)| !dictionary.is_empty()) else {
            self.numbers.iter().for_each(|number| number.put(out, width));
            return Body::Plain;
        };
        let bits = bits(dictionary.len() as u64 - 1);
        out.push(bits as u8);
        hybrid(out, &indices, bits);
        let mut page = Vec::with_capacity(dictionary.len() * width);
        dictionary.iter().for_each(|number| number.put(&mut page, width));
        Body::Dictionary { page, distinct: dictionary.len() }
    }

    fn dictionary(&self) -> Option<(Vec<T>, Vec<u32>)> {
        const FREE: u32 = u32::MAX;
        let mut slots = vec![FREE; 256];
        let mut dictionary: Vec<T> = Vec::new();
        let mut indices = Vec::with_capacity(self.numbers.len());
        let mut before = None;
        for (row, number) in self.numbers.iter().enumerate() {
            if let Some((other, index)) = before
                && other == *number
            {
                indices.push(index);
                continue;
            }
            let mut at = self.seed.of_word(number.word()) as usize & (slots.len() - 1);
            let index = loop {
                match slots[at] {
                    FREE => break FREE,
                    index if dictionary[index as usize] == *number => break index,
                    _ => at = (at + 1) & (slots.len() - 1),
                }
            };
            let index = if index == FREE {
                let index = dictionary.len() as u32;
                slots[at] = index;
                dictionary.push(*number);
                // Half of them different: a dictionary would only come on top.
                if dictionary.len() > 1_024 && dictionary.len() * 2 > row {
                    return None;
                }
                if dictionary.len() * 2 > slots.len() {
                    slots = self.places(&dictionary, slots.len() * 2);
                }
                index
            } else {
                index
            };
            indices.push(index);
            before = Some((*number, index));
        }
        Some((dictionary, indices))
    }

    fn places(&self, dictionary: &[T], length: usize) -> Vec<u32> {
        let mut slots = vec![u32::MAX; length];
        for (index, number) in dictionary.iter().enumerate() {
            let mut at = self.seed.of_word(number.word()) as usize & (length - 1);
            while slots[at] != u32::MAX {
                at = (at + 1) & (length - 1);
            }
            slots[at] = index as u32;
        }
        slots
    }
}
