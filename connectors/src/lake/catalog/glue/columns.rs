//! A table's columns as Glue shows them, the way Iceberg's own GlueCatalog writes them: Hive's types, ids as parameters.
//! They are for people and for query planners; readers take the schema from metadata.json.

use aws_sdk_glue::types::Column;
use iceberg::spec::{NestedField, PrimitiveType, TableMetadata, Type};

use super::unbuilt;
use crate::error::Result;

/// Glue's limit of a comment, in bytes.
const COMMENT_BYTES_MAX: usize = 255;

pub(super) fn columns(metadata: &TableMetadata) -> Result<Vec<Column>> {
    metadata.current_schema().as_struct().fields().iter().map(|field| column(field)).collect()
}

fn column(field: &NestedField) -> Result<Column> {
    let comment = field.doc.as_deref().map(|doc| doc[..doc.floor_char_boundary(COMMENT_BYTES_MAX)].to_owned());
    Column::builder()
        .name(&field.name)
        .r#type(hive(&field.field_type))
        .set_comment(comment)
        .parameters("iceberg.field.id", field.id.to_string())
        .parameters("iceberg.field.optional", (!field.required).to_string())
        .parameters("iceberg.field.current", "true")
        .build()
        .map_err(unbuilt)
}

pub(super) fn hive(kind: &Type) -> String {
    match kind {
        Type::Struct(nested) => {
            let fields: Vec<String> =
                nested.fields().iter().map(|field| format!("{}:{}", field.name, hive(&field.field_type))).collect();
            format!("struct<{}>", fields.join(","))
        }
        Type::List(list) => format!("array<{}>", hive(&list.element_field.field_type)),
        Type::Map(map) => format!("map<{},{}>", hive(&map.key_field.field_type), hive(&map.value_field.field_type)),
        Type::Primitive(PrimitiveType::Decimal { precision, scale }) => format!("decimal({precision},{scale})"),
        Type::Primitive(plain) => match plain {
            PrimitiveType::Boolean => "boolean",
            PrimitiveType::Int => "int",
            PrimitiveType::Long => "bigint",
            PrimitiveType::Float => "float",
            PrimitiveType::Double => "double",
            PrimitiveType::Date => "date",
            PrimitiveType::Timestamp | PrimitiveType::Timestamptz | PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => {
                "timestamp"
            }
            PrimitiveType::Fixed(_) | PrimitiveType::Binary => "binary",
            _ => "string",
        }
        .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{ListType, MapType, StructType};

    use super::*;

    #[test]
    fn nested_types_are_written_as_hive_writes_them() {
        let text = || Type::Primitive(PrimitiveType::String);
        let map = Type::Map(MapType::new(
            NestedField::map_key_element(2, text()).into(),
            NestedField::map_value_element(3, Type::Primitive(PrimitiveType::Timestamptz), false).into(),
        ));
        let list = Type::List(ListType::new(NestedField::list_element(4, map.clone(), true).into()));
        let fields = vec![
            NestedField::optional(5, "when", Type::Primitive(PrimitiveType::Date)).into(),
            NestedField::optional(6, "what", list).into(),
        ];
        assert_eq!(hive(&map), "map<string,timestamp>");
        assert_eq!(hive(&Type::Struct(StructType::new(fields))), "struct<when:date,what:array<map<string,timestamp>>>");
    }
}
