//! Every table of the control store, in two lists: what makes it, and what the application may do to its rows.
//! Promise: on PostgreSQL each table of these lists gets row-level security, its policy and these privileges by itself; the
//! start refuses a database in which one lacks them.
//! Never: the application gets TRUNCATE, REFERENCES or TRIGGER, or any privilege on a table that is in neither list.

use super::{SHARED, TENANT, answered, audit, identity, people, queue, shreds};

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

/// Of the shared half. A new one needs nothing but its place here.
pub(super) fn shared() -> impl Iterator<Item = &'static Table> {
    [SHARED, audit::TABLES, identity::TABLES, queue::TABLES, shreds::TABLES, people::SHARED].into_iter().flatten()
}

/// Of each tenant's half.
pub(super) fn tenant() -> impl Iterator<Item = &'static Table> {
    [TENANT, answered::TABLES, audit::TABLES, people::TENANT].into_iter().flatten()
}
