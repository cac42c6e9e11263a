//! Every table of the control store, in two lists: what makes it, and what the application may do to its rows.
//! Promise: on PostgreSQL each table of these lists gets row-level security, its policy and these privileges by itself; the
//! start refuses a database in which one lacks them.
//! Never: the application gets TRUNCATE, REFERENCES or TRIGGER, or any privilege on a table that is in neither list.

use super::{alerts, answered, audit, health, identifiers, identity, mail_policy, people, queue, shreds, uploads, windows};

/// What the application's role may do to the rows of a table on PostgreSQL. SQLite has no roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// SELECT and INSERT: what was written stays.
    Append,
    /// And UPDATE.
    Change,
    /// And DELETE.
    Remove,
}

/// One table and its indexes, in SQL that both backends read; each statement makes what is missing and leaves what is there.
#[derive(Debug)]
pub(super) struct Table {
    pub name: &'static str,
    pub may: May,
    pub ddl: &'static [&'static str],
}

impl Table {
    pub const fn new(name: &'static str, may: May, ddl: &'static [&'static str]) -> Self {
        Self { name, may, ddl }
    }
}

const SHARED: &[Table] = &[Table::new(
    "tenants",
    May::Change,
    &["CREATE TABLE IF NOT EXISTS tenants (
        tenant TEXT PRIMARY KEY, key_id TEXT NOT NULL, wrapped_secret TEXT NOT NULL, created_at TEXT NOT NULL)"],
)];

const TENANT: &[Table] = &[
    // The standard schema of Java's JdbcCatalog and pyiceberg's SqlCatalog, and one column of ours.
    Table::new(
        "iceberg_tables",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS iceberg_tables (
        catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
        metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
        metadata_sha256 TEXT,
        PRIMARY KEY (catalog_name, table_namespace, table_name))"],
    ),
    Table::new(
        "iceberg_namespace_properties",
        May::Append,
        &["CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
        catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL,
        property_value VARCHAR(1000), PRIMARY KEY (catalog_name, namespace, property_key))"],
    ),
    Table::new(
        "deliveries",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS deliveries (
        delivery_id TEXT PRIMARY KEY, keyed_digest TEXT NOT NULL UNIQUE, state TEXT NOT NULL, report TEXT,
        received_at TEXT NOT NULL, as_of TEXT NOT NULL, raw_path TEXT NOT NULL, size_bytes BIGINT NOT NULL,
        snapshot_id BIGINT, sealed_receipt TEXT)"],
    ),
    Table::new(
        "alerts",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS alerts (
        kind TEXT NOT NULL, report TEXT NOT NULL, fingerprint TEXT NOT NULL, state TEXT NOT NULL, severity TEXT NOT NULL,
        raised_at TEXT NOT NULL, last_at TEXT NOT NULL, deliveries BIGINT NOT NULL, sealed TEXT NOT NULL,
        PRIMARY KEY (kind, report, fingerprint))"],
    ),
    Table::new("mappings", May::Change, &["CREATE TABLE IF NOT EXISTS mappings (report TEXT PRIMARY KEY, sealed TEXT NOT NULL)"]),
    Table::new(
        "findings",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS findings (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, severity TEXT NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL,
        runs BIGINT NOT NULL, sealed TEXT NOT NULL)"],
    ),
    // Every metadata.json that the pointer ever named, so that older ones can be checked as long as they are kept.
    Table::new(
        "metadata_files",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS metadata_files (location TEXT PRIMARY KEY, sha256 TEXT NOT NULL)"],
    ),
    // Swings of pointers in a catalog beside this store that were begun here, and may not be known to have ended.
    Table::new(
        "swings",
        May::Remove,
        &["CREATE TABLE IF NOT EXISTS swings (
        to_location TEXT PRIMARY KEY, table_name TEXT NOT NULL, from_location TEXT, sha256 TEXT NOT NULL, keyed_digest TEXT,
        report TEXT, snapshot_id BIGINT, fence_digest TEXT, fence_token BIGINT)"],
    ),
    // Keyed digests of clear cells that change in place: one for each alert and its life.
    Table::new(
        "marks",
        May::Change,
        &[
            "CREATE TABLE IF NOT EXISTS marks (what TEXT NOT NULL, name TEXT NOT NULL, mark TEXT NOT NULL, PRIMARY KEY (what, name))",
        ],
    ),
    Table::new("litter", May::Remove, &["CREATE TABLE IF NOT EXISTS litter (path TEXT PRIMARY KEY, seen_at TEXT NOT NULL)"]),
    Table::new(
        "scores",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS scores (delivery_id TEXT PRIMARY KEY, scored_at TEXT NOT NULL, sealed TEXT NOT NULL)"],
    ),
    Table::new(
        "fences",
        May::Change,
        &["CREATE TABLE IF NOT EXISTS fences (keyed_digest TEXT PRIMARY KEY, token BIGINT NOT NULL)"],
    ),
];

/// Of the shared half. A new one needs nothing but its place here.
pub(super) fn shared() -> impl Iterator<Item = &'static Table> {
    [
        SHARED,
        alerts::SHARED,
        audit::TABLES,
        identity::TABLES,
        queue::TABLES,
        shreds::TABLES,
        people::SHARED,
        identifiers::SHARED,
        health::TABLES,
    ]
    .into_iter()
    .flatten()
}

/// Of each tenant's half.
pub(super) fn tenant() -> impl Iterator<Item = &'static Table> {
    [
        TENANT,
        alerts::TABLES,
        answered::TABLES,
        audit::TABLES,
        people::TENANT,
        mail_policy::TABLES,
        identifiers::TENANT,
        uploads::TABLES,
        windows::TABLES,
    ]
    .into_iter()
    .flatten()
}
