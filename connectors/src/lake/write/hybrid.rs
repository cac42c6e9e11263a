//! Parquet's packed numbers: the hybrid of runs and bit-packed groups for levels and dictionary indices, and the packed
//! differences of numbers that only grow.
//! Promise: what is written here is what the format says under "Run Length Encoding / Bit-Packing Hybrid" and "Delta Encoding".

const GROUP: usize = 8;
const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// Bits that hold every number up to `max`.
pub fn bits(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

pub fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// `count` times the same number.
pub fn run(out: &mut Vec<u8>, number: u32, count: usize, width: u32) {
    if count > 0 {
        varint(out, (count as u64) << 1);
        out.extend_from_slice(&number.to_le_bytes()[..width.div_ceil(8) as usize]);
    }
}

/// Numbers of one bit each, which lie packed already, from the first bit on.
pub fn packed_bits(out: &mut Vec<u8>, bits: &[u8], count: usize) {
    let bytes = count.div_ceil(GROUP);
    varint(out, (bytes as u64) << 1 | 1);
    out.extend_from_slice(&bits[..bytes]);
}

/// Groups of eight that are one number become runs, the others are packed.
pub fn hybrid(out: &mut Vec<u8>, numbers: &[u32], width: u32) {
    let (mut packed_from, mut at) = (0, 0);
    while at < numbers.len() {
        let first = numbers[at];
        let group = &numbers[at..numbers.len().min(at + GROUP)];
        if group.len() < GROUP || group.iter().any(|number| *number != first) {
            at = numbers.len().min(at + GROUP);
            continue;
        }
        packed(out, &numbers[packed_from..at], width);
        let count = numbers[at..].iter().take_while(|number| **number == first).count();
        run(out, first, count, width);
        at += count;
        packed_from = at;
    }
    packed(out, &numbers[packed_from..], width);
}

/// All but the last group of a file's page are whole; what the last lacks is filled up with zeros.
fn packed(out: &mut Vec<u8>, numbers: &[u32], width: u32) {
    if !numbers.is_empty() {
        varint(out, (numbers.len().div_ceil(GROUP) as u64) << 1 | 1);
        pack(out, numbers.iter().map(|number| u64::from(*number)), width);
        pad(out, numbers.len(), width);
    }
}

/// Each number in `width` bits, the lowest first; up to the next whole byte.
fn pack(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>, width: u32) {
    let (mut word, mut filled) = (0u128, 0);
    for number in numbers {
        word |= u128::from(number) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(word as u64).to_le_bytes());
            word >>= 64;
            filled -= 64;
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8) as usize]);
}

fn pad(out: &mut Vec<u8>, count: usize, width: u32) {
    let written = (count * width as usize).div_ceil(8);
    let whole = count.div_ceil(GROUP) * width as usize;
    out.resize(out.len() + whole - written, 0);
}

/// `DELTA_BINARY_PACKED`.
pub fn deltas(out: &mut Vec<u8>, numbers: &[i64]) {
    varint(out, BLOCK as u64);
    varint(out, (BLOCK / MINIBLOCK) as u64);
    varint(out, numbers.len() as u64);
    let Some(first) = numbers.first() else { return varint(out, 0) };
    varint(out, zigzag(*first));
    let mut before = *first;
    for block in numbers[1..].chunks(BLOCK) {
        let mut differences = [0i64; BLOCK];
        for (difference, number) in differences.iter_mut().zip(block) {
            *difference = number.wrapping_sub(before);
            before = *number;
        }
        let differences = &differences[..block.len()];
        let least = differences.iter().copied().min().unwrap_or(0);
        varint(out, zigzag(least));
        let above = |difference: &i64| difference.wrapping_sub(least) as u64;
        let width = |part: &[i64]| bits(part.iter().map(above).max().unwrap_or(0));
        let widths_at = out.len();
        out.extend_from_slice(&[0; BLOCK / MINIBLOCK]);
        for (at, part) in differences.chunks(MINIBLOCK).enumerate() {
            let width = width(part);
            out[widths_at + at] = width as u8;
            // A miniblock is whole, whatever it holds.
            let padding = std::iter::repeat_n(0, MINIBLOCK - part.len());
            pack(out, part.iter().map(above).chain(padding), width);
        }
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}
