//! What the catalog must say before a database is believed: of the application's role, and of every table in our schemas.
//! Promise: asked of the catalog, not of our own list, so that a table that someone adds by hand cannot forget its policy.
//! Never: a finding is mended here; what is wrong is told with its mend.

use std::collections::{BTreeMap, BTreeSet};

use bonded_schemas::TenantId;
use sqlx::{AnyConnection, Row, any::AnyRow};

use super::{SHARED_SCHEMA, schema};
use crate::{
    error::{Error, ErrorKind, Result},
    store::{
        Connection, Pool,
        tables::{self, May, Table},
    },
};

/// Our schemas, by their names.
const OURS: &str = "(n.nspname = 'bonded' OR n.nspname LIKE 'bonded\\_%')";

/// Each answers one line a finding. `MEMBER` counts what the role could become by SET ROLE, and what it is.
const OF_ROLE: &[(&str, &str)] = &[
    (
        "SELECT CAST(r.rolname AS TEXT) FROM pg_roles r WHERE pg_has_role(session_user, r.oid, 'MEMBER') AND (r.rolsuper
             OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication OR r.rolname IN ('pg_read_server_files',
             'pg_write_server_files', 'pg_execute_server_program', 'pg_database_owner'))",
        "is or may become a role that policies do not bind",
    ),
    (
        "SELECT CAST(n.nspname || '.' || c.relname AS TEXT) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {ours} AND pg_has_role(session_user, c.relowner, 'MEMBER')
         UNION ALL SELECT CAST('schema ' || n.nspname AS TEXT) FROM pg_namespace n
         WHERE {ours} AND pg_has_role(session_user, n.nspowner, 'MEMBER')
         UNION ALL SELECT CAST('function ' || n.nspname || '.' || p.proname AS TEXT) FROM pg_proc p
         JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {ours} AND pg_has_role(session_user, p.proowner, 'MEMBER')",
        "owns, or is a member of the role that owns",
    ),
    (
        "SELECT CAST('the database ' || current_database() AS TEXT) WHERE has_database_privilege(current_database(), 'CREATE')
         UNION ALL SELECT CAST('schema ' || n.nspname AS TEXT) FROM pg_namespace n
         WHERE {ours} AND has_schema_privilege(n.oid, 'CREATE')",
        "may create in",
    ),
    (
        "SELECT CAST(n.nspname || '.' || c.relname AS TEXT) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {ours} AND c.relkind IN ('r', 'p') AND (has_table_privilege(c.oid, 'TRUNCATE, TRIGGER')
             OR has_any_column_privilege(c.oid, 'REFERENCES')
             OR (c.relname = 'proofs' AND n.nspname = 'bonded' AND has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE')))",
        "has more privileges than it may have on",
    ),
];

/// Tables without their policy, and what needs one and cannot have it. A policy for the owner alone is not counted.
const OF_TABLES: &str = "
    SELECT CAST(n.nspname || '.' || c.relname AS TEXT) AS named, CAST(CASE
        WHEN c.relkind IN ('m', 'f') THEN 'is a materialized view or a foreign table, which no policy can guard'
        WHEN c.relkind = 'v' THEN 'is a view without security_invoker'
        WHEN NOT c.relrowsecurity THEN 'has no row-level security'
        WHEN NOT c.relforcerowsecurity THEN 'does not force row-level security on its owner'
        WHEN NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) THEN 'has no policy'
        ELSE 'has a policy that asks for no proof' END AS TEXT) AS finding
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {ours} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND CASE
        WHEN c.relkind = 'v' THEN NOT COALESCE(c.reloptions && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false)
        WHEN c.relkind IN ('m', 'f') THEN true
        ELSE NOT c.relrowsecurity OR NOT c.relforcerowsecurity
            OR NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
            OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polroles <> ARRAY[c.relowner] AND p.polpermissive
                AND (COALESCE(replace(pg_get_expr(p.polqual, p.polrelid), 'bonded.may(', 'may('), asked) <> asked
                    OR COALESCE(replace(pg_get_expr(p.polwithcheck, p.polrelid), 'bonded.may(', 'may('), asked) <> asked)) END
    ORDER BY 1";

/// What a policy asks for, as PostgreSQL writes it; without the schema, which it leaves out where a role is called `bonded`.
const ASKED: &str = "format('( SELECT may(%L::text) AS may)', CASE n.nspname WHEN 'bonded' THEN 'bonded-lake'
    ELSE substr(n.nspname, 8) END)";

/// Refuses a database that does not keep the tenants apart by itself; asked by the application's role at each start.
pub(in crate::store) async fn guard(pool: &Pool) -> Result<()> {
    // A transaction, because a pooler may hand the second half of a lone statement to another session.
    let mut transaction = pool.begin_reading().await?;
    let guarded = guarded(&mut transaction).await;
    transaction.rollback().await?;
    guarded
}

async fn guarded(connection: &mut Connection) -> Result<()> {
    for (sql, finding) in OF_ROLE {
        let found: Vec<String> = texts(connection, sql).await?;
        if !found.is_empty() {
            let message = format!(
                "the role of store.postgres {finding} {}; give it a role of its own that owns nothing (LOGIN NOSUPERUSER \
                 NOBYPASSRLS NOCREATEROLE, no memberships), give what it owns to the owner (REASSIGN OWNED), then run `bonded init` \
                 with store.postgres_owner",
                some(&found)
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
    }
    let found = unguarded(connection).await?;
    if !found.is_empty() {
        let mend =
            "`bonded init` with store.postgres_owner gives our tables their policies; what is not ours belongs in another schema";
        return Err(Error::new(ErrorKind::Refused, format!("{}; {mend}", some(&found))));
    }
    let there = there(connection).await?;
    let halves: BTreeSet<&str> = there.keys().map(|(schema, _)| schema.as_str()).chain([SHARED_SCHEMA]).collect();
    let lacks: Vec<String> = halves.into_iter().flat_map(|schema| missing(&there, schema)).collect();
    match lacks.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Setup,
            format!(
                "the PostgreSQL control store has no lake, or one of another version: it lacks {}; run `bonded init` with \
                 store.postgres_owner",
                some(&lacks)
            ),
        )),
    }
}

/// What of a half is not as it is made; empty when all is well.
pub(in crate::store) async fn halves(pool: &Pool, tenant: &TenantId) -> Result<Vec<String>> {
    let mut transaction = pool.unwatched().begin_reading().await?;
    let schema = schema(tenant);
    let lacks = missing(&there(&mut transaction).await?, &schema);
    let mut found: Vec<String> = lacks.into_iter().map(|table| format!("is not as it is made: lacks {table}")).collect();
    let prefix = format!("{schema}.");
    found.extend(unguarded(&mut transaction).await?.into_iter().filter(|finding| finding.starts_with(&prefix)));
    transaction.rollback().await?;
    Ok(found)
}

async fn unguarded(connection: &mut Connection) -> Result<Vec<String>> {
    let sql = filled(OF_TABLES).replace("asked", ASKED);
    let rows = sqlx::query(&sql).fetch_all(connection).await?;
    let line = |row: &AnyRow| Ok(format!("{} {}", row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?));
    rows.iter().map(line).collect()
}

/// What the application may do to the rows of each table in our schemas.
async fn there(connection: &mut Connection) -> Result<BTreeMap<(String, String), Option<May>>> {
    let sql = filled(
        "SELECT CAST(n.nspname AS TEXT), CAST(c.relname AS TEXT),
            has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'),
            has_any_column_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE')
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours} AND c.relkind IN ('r', 'p')",
    );
    let rows = sqlx::query(&sql).fetch_all(connection).await?;
    let one = |row: &AnyRow| {
        let may = match (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?) {
            (true, false, false) => Some(May::Append),
            (true, true, false) => Some(May::Change),
            (true, true, true) => Some(May::Remove),
            _ => None,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), may))
    };
    rows.iter().map(one).collect()
}

/// Tables of a half that are not there, or that the application may do less or more to than they are made for.
fn missing(there: &BTreeMap<(String, String), Option<May>>, schema: &str) -> Vec<String> {
    let tables: Vec<&Table> = if schema == SHARED_SCHEMA { tables::shared().collect() } else { tables::tenant().collect() };
    let lacks = |table: &&Table| match there.get(&(schema.to_owned(), table.name.to_owned())) {
        Some(may) if *may == Some(table.may) => None,
        Some(_) => Some(format!("{schema}.{} with just the privileges it is made with", table.name)),
        None => Some(format!("{schema}.{}", table.name)),
    };
    tables.iter().filter_map(lacks).collect()
}

/// The tenants that have a half in this database.
pub(super) async fn halves_of(connection: &mut AnyConnection) -> Result<Vec<TenantId>> {
    let sql = "SELECT CAST(nspname AS TEXT) FROM pg_namespace WHERE nspname LIKE 'bonded\\_%' ORDER BY 1";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let names = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<std::result::Result<Vec<_>, _>>()?;
    let prefix = SHARED_SCHEMA.len() + 1;
    Ok(names.iter().filter_map(|name| name[prefix..].parse().ok()).collect())
}

async fn texts(connection: &mut Connection, sql: &str) -> Result<Vec<String>> {
    let sql = filled(sql);
    let rows = sqlx::query(&sql).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<std::result::Result<Vec<_>, _>>()?)
}

fn filled(sql: &str) -> String {
    sql.replace("{ours}", OURS)
}

/// The first few, and how many more.
fn some(found: &[String]) -> String {
    const TOLD_MAX: usize = 3;
    let told = found[..found.len().min(TOLD_MAX)].join(", ");
    match found.len().saturating_sub(TOLD_MAX) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
