//! Levels of one column chunk: which cells are null, and for lists and maps where a row begins.

use arrow::array::{Array, NullBufferBuilder};

use crate::lake::write::hybrid::{hybrid, packed_bits, run};

pub enum Levels {
    /// No cell is null.
    Required { rows: usize },
    /// A cell is a value or null.
    Flat(NullBufferBuilder),
    /// Runs of definition and repetition levels.
    Nested { runs: Vec<(u32, u32, usize)>, values: usize, definition_max: u32 },
}

impl Levels {
    pub fn new(definition_max: i16, repetition_max: i16) -> Self {
        match (definition_max, repetition_max) {
            (0, 0) => Levels::Required { rows: 0 },
            (1, 0) => Levels::Flat(NullBufferBuilder::new(0)),
            _ => Levels::Nested { runs: Vec::new(), values: 0, definition_max: definition_max.unsigned_abs().into() },
        }
    }

    pub fn append(&mut self, array: &dyn Array) {
        match self {
            Levels::Required { rows } => *rows += array.len(),
            Levels::Flat(builder) => match array.nulls().filter(|nulls| nulls.null_count() > 0) {
                Some(nulls) if nulls.null_count() == nulls.len() => builder.append_n_nulls(nulls.len()),
                Some(nulls) => builder.append_buffer(nulls),
                None => builder.append_n_non_nulls(array.len()),
            },
            Levels::Nested { .. } => self.push(0, 0, array.len()),
        }
    }

    /// Levels of a list's or map's leaf.
    pub fn push(&mut self, definition: u32, repetition: u32, count: usize) {
        if let Levels::Nested { runs, values, .. } = self {
            *values += count;
            match runs.last_mut() {
                Some((d, r, known)) if (*d, *r) == (definition, repetition) => *known += count,
                _ => runs.push((definition, repetition, count)),
            }
        }
    }

    /// Cells, null ones with them.
    pub fn len(&self) -> usize {
        match self {
            Levels::Required { rows } => *rows,
            Levels::Flat(builder) => builder.len(),
            Levels::Nested { values, .. } => *values,
        }
    }

    pub fn memory_bytes(&self) -> usize {
        match self {
            Levels::Required { .. } => 0,
            Levels::Flat(builder) => builder.allocated_size(),
            Levels::Nested { runs, .. } => runs.len() * size_of::<(u32, u32, usize)>(),
        }
    }

    /// Appends the levels as a data page has them, each behind its length; the builder is empty then.
    pub fn encode(&mut self, out: &mut Vec<u8>) {
        match self {
            Levels::Required { rows } => *rows = 0,
            Levels::Flat(builder) => {
                let count = builder.len();
                let nulls = builder.finish();
                with_length(out, |out| match nulls {
                    None => run(out, 1, count, 1),
                    Some(nulls) if nulls.null_count() == count => run(out, 0, count, 1),
                    Some(nulls) => packed_bits(out, nulls.validity(), count),
                });
            }
            Levels::Nested { runs, values, definition_max } => {
                let width = u32::BITS - definition_max.leading_zeros();
                let repetitions: Vec<(u32, usize)> = runs.iter().map(|(_, repetition, count)| (*repetition, *count)).collect();
                let definitions: Vec<(u32, usize)> = runs.iter().map(|(definition, _, count)| (*definition, *count)).collect();
                with_length(out, |out| runs_of(out, &repetitions, 1));
                with_length(out, |out| runs_of(out, &definitions, width));
                runs.clear();
                *values = 0;
            }
        }
    }
}

fn runs_of(out: &mut Vec<u8>, runs: &[(u32, usize)], width: u32) {
    match runs {
        [(number, count)] => run(out, *number, *count, width),
        _ => {
            let numbers: Vec<u32> = runs.iter().flat_map(|(number, count)| std::iter::repeat_n(*number, *count)).collect();
            hybrid(out, &numbers, width);
        }
    }
}

fn with_length(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    put(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}
