//! The rows of a few entries out of many.
//! Promise: few entries are written into the question, so that files and pages without them are not read; many are joined.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema},
    },
    common::JoinType,
    dataframe::DataFrame,
    prelude::{col, lit},
};

use crate::{error::Result, session::Session};

/// More entries than this are joined: a longer list costs more for each row than a hash join.
const LISTED_MAX: usize = 1000;

pub(super) fn of_entries(session: &Session, frame: DataFrame, entries: BTreeSet<String>) -> Result<DataFrame> {
    let key = "entry_summary_number";
    if entries.len() <= LISTED_MAX {
        let listed = entries.iter().map(|entry| lit(entry.as_str())).collect();
        return Ok(frame.filter(col(key).in_list(listed, false))?);
    }
    let wanted: ArrayRef = Arc::new(StringArray::from_iter_values(entries));
    let schema = Arc::new(Schema::new(vec![Field::new("wanted_entry", DataType::Utf8, false)]));
    let wanted = session.context().read_batch(RecordBatch::try_new(schema, vec![wanted])?)?;
    Ok(frame.join(wanted, JoinType::LeftSemi, &[key], &["wanted_entry"], None)?)
}
