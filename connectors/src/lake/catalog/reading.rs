//! What readers get of a tenant's catalog: loading and listing within its one namespace, by Iceberg's own interface.
//! Never: anything is changed through it.

use std::collections::HashMap;

use async_trait::async_trait;
use iceberg::{Catalog, Namespace, NamespaceIdent, TableCommit, TableCreation, TableIdent, table::Table};

use super::EncryptedCatalog;
use crate::error::{Error, ErrorKind};

fn unsupported<T>(what: &str) -> iceberg::Result<T> {
    Err(iceberg::Error::new(
        iceberg::ErrorKind::FeatureUnsupported,
        format!("{what} goes through `Tables`, not through the reading catalog"),
    ))
}

fn as_iceberg(error: Error) -> iceberg::Error {
    let kind = match error.kind() {
        ErrorKind::Input => iceberg::ErrorKind::TableNotFound,
        ErrorKind::Damaged => iceberg::ErrorKind::DataInvalid,
        _ => iceberg::ErrorKind::Unexpected,
    };
    iceberg::Error::new(kind, error.to_string()).with_source(error)
}

#[async_trait]
impl Catalog for EncryptedCatalog {
    async fn list_namespaces(&self, _: Option<&NamespaceIdent>) -> iceberg::Result<Vec<NamespaceIdent>> {
        Ok(vec![self.namespace.clone()])
    }

    async fn get_namespace(&self, namespace: &NamespaceIdent) -> iceberg::Result<Namespace> {
        match self.namespace_exists(namespace).await? {
            true => Ok(Namespace::new(namespace.clone())),
            false => Err(iceberg::Error::new(iceberg::ErrorKind::NamespaceNotFound, format!("no namespace {namespace}"))),
        }
    }

    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> iceberg::Result<bool> {
        Ok(namespace == &self.namespace)
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> iceberg::Result<Vec<TableIdent>> {
        if namespace != &self.namespace {
            return Ok(Vec::new());
        }
        let names = self.table_names().await.map_err(as_iceberg)?;
        Ok(names.into_iter().map(|name| TableIdent::new(self.namespace.clone(), name)).collect())
    }

    async fn load_table(&self, table: &TableIdent) -> iceberg::Result<Table> {
        self.load(table).await.map_err(as_iceberg)
    }

    async fn table_exists(&self, table: &TableIdent) -> iceberg::Result<bool> {
        Ok(self.pointer(table).await.map_err(as_iceberg)?.is_some())
    }

    async fn create_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> iceberg::Result<Namespace> {
        unsupported("creating a namespace")
    }

    async fn update_namespace(&self, _: &NamespaceIdent, _: HashMap<String, String>) -> iceberg::Result<()> {
        unsupported("changing a namespace")
    }

    async fn drop_namespace(&self, _: &NamespaceIdent) -> iceberg::Result<()> {
        unsupported("dropping a namespace")
    }

    async fn create_table(&self, _: &NamespaceIdent, _: TableCreation) -> iceberg::Result<Table> {
        unsupported("creating a table")
    }

    async fn drop_table(&self, _: &TableIdent) -> iceberg::Result<()> {
        unsupported("dropping a table")
    }

    async fn purge_table(&self, _: &TableIdent) -> iceberg::Result<()> {
        unsupported("purging a table")
    }

    async fn rename_table(&self, _: &TableIdent, _: &TableIdent) -> iceberg::Result<()> {
        unsupported("renaming a table")
    }

    async fn register_table(&self, _: &TableIdent, _: String) -> iceberg::Result<Table> {
        unsupported("registering a table")
    }

    async fn update_table(&self, _: TableCommit) -> iceberg::Result<Table> {
        unsupported("changing a table")
    }
}
