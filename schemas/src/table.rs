//! The shape of a history table: the report's columns, typed, and ours that trace each row to its byte.
//! Ours start with `_`, so that no CBP column can ever collide with them.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};

use crate::edition::Column;

pub const DELIVERY_ID: &str = "_delivery_id";
pub const ROW: &str = "_row";
pub const LINE: &str = "_line";
pub const BYTE: &str = "_byte";
pub const AS_OF: &str = "_as_of";
pub const RESCUED: &str = "_rescued";
pub const REPAIRS: &str = "_repairs";

/// Columns of ours, in the order in which they follow the report's.
pub fn system_fields() -> Vec<Field> {
    let entries = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
    vec![
        doc(Field::new(DELIVERY_ID, DataType::Utf8, false), "delivery that brought the row (UUID version 7)"),
        doc(Field::new(ROW, DataType::Int64, false), "1-based data row in the received file"),
        doc(Field::new(LINE, DataType::Int64, false), "1-based line where the record starts in the received file"),
        doc(Field::new(BYTE, DataType::Int64, false), "byte offset where the record starts in the received file"),
        doc(
            Field::new(AS_OF, DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), false),
            "when CBP ran the report, as far as known; the time of receipt otherwise",
        ),
        doc(
            Field::new(RESCUED, DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entries), false)), false), true),
            "cells of unknown columns and cells that failed their type, original text by header name",
        ),
        doc(
            Field::new(REPAIRS, DataType::List(Arc::new(Field::new("element", DataType::Utf8, false))), true),
            "what was mended in this row",
        ),
    ]
}

/// The table's Arrow schema for these columns: the report's, nullable and in edition order, then ours.
pub fn schema(columns: &[Column]) -> Schema {
    let reported = columns.iter().map(|column| doc(Field::new(column.field(), column.kind.arrow(), true), &column.name));
    Schema::new(reported.chain(system_fields()).collect::<Vec<_>>())
}

fn doc(field: Field, text: &str) -> Field {
    field.with_metadata(HashMap::from([("doc".to_owned(), text.to_owned())]))
}
