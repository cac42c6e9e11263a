//! What the catalog must say before a database is believed: of the application's role, and of every table in our schemas.
//! Promise: asked of the catalog, not of our own list, so that a table that someone adds by hand cannot forget its policy.
//! Never: a finding is mended here; what is wrong is told with its mend.

use bonded_schemas::TenantId;
use sqlx::{AnyConnection, AnyPool, Row, any::AnyRow};

use super::{SHARED_SCHEMA, schema};
use crate::{
    error::{Error, ErrorKind, Result},
    store::tables::{self, May, Table},
};

/// Our schemas, by their names.
const OURS: &str = "(n.nspname = 'bonded' OR n.nspname LIKE 'bonded\\_%')";

/// Each answers one line a finding. `MEMBER` counts what the role could become by SET ROLE, and what it is.
const OF_ROLE: &[(&str, &str)] = &[
    (
        "SELECT CAST(r.rolname AS TEXT) FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'MEMBER') AND (r.rolsuper
             OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication OR r.rolname IN ('pg_read_server_files',
             'pg_write_server_files', 'pg_execute_server_program', 'pg_database_owner'))",
        "is or may become a role that policies do not bind",
    ),
    (
        "SELECT CAST(n.nspname || '.' || c.relname AS TEXT) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {ours} AND pg_has_role(current_user, c.relowner, 'MEMBER')
         UNION ALL SELECT CAST('schema ' || n.nspname AS TEXT) FROM pg_namespace n
         WHERE {ours} AND pg_has_role(current_user, n.nspowner, 'MEMBER')
         UNION ALL SELECT CAST('function ' || n.nspname || '.' || p.proname AS TEXT) FROM pg_proc p
         JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {ours} AND pg_has_role(current_user, p.proowner, 'MEMBER')",
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
pub(in crate::store) async fn guard(pool: &AnyPool) -> Result<()> {
    for (sql, finding) in OF_ROLE {
        let found: Vec<String> = texts(pool, sql).await?;
        if let Some(first) = found.first() {
            let message = format!(
                "the role of store.postgres {finding} {first}{}; give it a role of its own that owns nothing (LOGIN NOSUPERUSER \
                 NOBYPASSRLS NOCREATEROLE, no memberships), give what it owns to the owner (REASSIGN OWNED), then run `bonded init` \
                 with store.postgres_owner",
                others(found.len())
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
    }
    let found = unguarded(pool).await?;
    if let Some(first) = found.first() {
        let mend =
            "`bonded init` with store.postgres_owner gives our tables their policies; what is not ours belongs in another schema";
        return Err(Error::new(ErrorKind::Refused, format!("{first}{}; {mend}", others(found.len()))));
    }
    let lacks = missing(pool, &TenantId::lake(), tables::shared()).await?;
    match lacks.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Setup,
            format!(
                "no lake in the PostgreSQL control store, or one of an older version (it lacks {}); run `bonded init` with store.postgres_owner",
                lacks.join(", ")
            ),
        )),
    }
}

/// What of a half is not as it is made; empty when all is well.
pub(in crate::store) async fn halves(pool: &AnyPool, tenant: &TenantId) -> Result<Vec<String>> {
    let is_shared = *tenant == TenantId::lake();
    let lacks = match is_shared {
        true => missing(pool, tenant, tables::shared()).await?,
        false => missing(pool, tenant, tables::tenant()).await?,
    };
    let mut found: Vec<String> = lacks.into_iter().map(|table| format!("is not as it is made: lacks {table}")).collect();
    let prefix = format!("{}.", schema(tenant));
    found.extend(unguarded(pool).await?.into_iter().filter(|finding| finding.starts_with(&prefix)));
    Ok(found)
}

async fn unguarded(pool: &AnyPool) -> Result<Vec<String>> {
    let sql = filled(OF_TABLES).replace("asked", ASKED);
    let rows = sqlx::query(&sql).persistent(false).fetch_all(pool).await?;
    let line = |row: &AnyRow| Ok(format!("{} {}", row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?));
    rows.iter().map(line).collect()
}

/// Tables of ours that are not there, or that the application may do less or more with than they are made for.
async fn missing(pool: &AnyPool, tenant: &TenantId, tables: impl Iterator<Item = &'static Table>) -> Result<Vec<String>> {
    let sql = "SELECT CAST(c.relname AS TEXT), has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'),
            has_any_column_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE')
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";
    let rows = sqlx::query(sql).bind(schema(tenant)).persistent(false).fetch_all(pool).await?;
    let mut lacks = Vec::new();
    for table in tables {
        let row = rows.iter().find(|row| row.try_get::<String, _>(0).is_ok_and(|name| name == table.name));
        let as_made = match row {
            None => false,
            Some(row) => {
                let (update, delete): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
                row.try_get::<bool, _>(1)? && update == (table.may != May::Append) && delete == (table.may == May::Remove)
            }
        };
        if !as_made {
            lacks.push(match row {
                None => table.name.to_owned(),
                Some(_) => format!("{} with its privileges", table.name),
            });
        }
    }
    Ok(lacks)
}

/// The tenants that have a half in this database.
pub(super) async fn halves_of(connection: &mut AnyConnection) -> Result<Vec<TenantId>> {
    let sql = "SELECT CAST(nspname AS TEXT) FROM pg_namespace WHERE nspname LIKE 'bonded\\_%' ORDER BY 1";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let names = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<std::result::Result<Vec<_>, _>>()?;
    let prefix = SHARED_SCHEMA.len() + 1;
    Ok(names.iter().filter_map(|name| name[prefix..].parse().ok()).collect())
}

async fn texts(pool: &AnyPool, sql: &str) -> Result<Vec<String>> {
    let sql = filled(sql);
    let rows = sqlx::query(&sql).persistent(false).fetch_all(pool).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<std::result::Result<Vec<_>, _>>()?)
}

fn filled(sql: &str) -> String {
    sql.replace("{ours}", OURS)
}

fn others(found: usize) -> String {
    match found {
        1 => String::new(),
        more => format!(" and {} more", more - 1),
    }
}
