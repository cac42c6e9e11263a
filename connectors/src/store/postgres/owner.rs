//! What only the owner's role does: schemas, tables and their policies, privileges, the application's role, the digests of
//! proofs. For `bonded init`, `bonded tenant add` and `bonded restore`; nothing else is given its password.
//! Promise: a table comes with its policy and its privileges in one transaction; what is as it is made is left alone, so that
//! making again locks nothing that others use.
//! Never: a digest that stands is put another in its place, once the lake has a record of its own.

use bonded_schemas::TenantId;
use sqlx::{AnyConnection, ConnectOptions, Connection as _, Executor, Row, any::AnyConnectOptions};

use super::{Claim, SHARED_SCHEMA, guard::halves_of, not_reached, quoted, role_of, schema, scram};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher,
    store::{
        identity::LakeRecord,
        tables::{self, May, Table},
    },
};

/// One making at a time, and none that waits for ever behind a table in use.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '30s'; SELECT pg_advisory_xact_lock(7011881935022017)";
/// The digests of the proofs, which the application has no privilege on.
const PROOFS: &str = "CREATE TABLE proofs (tenant TEXT PRIMARY KEY, digest TEXT NOT NULL);
    ALTER TABLE proofs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY of_owner ON proofs TO CURRENT_USER USING (true) WITH CHECK (true);
    REVOKE ALL ON proofs FROM PUBLIC";
/// Says whether a proof is given. A digest is compared, never the proof, so that comparing tells nothing. The path is pinned,
/// `pg_temp` last, as everywhere. In PL/pgSQL, which keeps its plan for the session: three times as fast as in SQL.
const MAY: &str = "CREATE OR REPLACE FUNCTION bonded.may(whose text) RETURNS boolean
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS $$ BEGIN RETURN COALESCE(whose = current_setting('bonded.tenant', true), false) AND EXISTS (
            SELECT FROM bonded.proofs p WHERE p.tenant = whose
            AND p.digest = encode(sha256(convert_to(current_setting('bonded.proof', true), 'UTF8')), 'hex')); END $$;
    REVOKE ALL ON FUNCTION bonded.may(text) FROM PUBLIC";
/// Gives out what is needed to make the first proof: a ciphertext.
const LAKE_RECORD: &str = "CREATE OR REPLACE FUNCTION bonded.lake_record()
        RETURNS TABLE (key_id text, wrapped_secret text, public_key text, created_at text)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS $$ SELECT l.key_id, l.wrapped_secret, l.public_key, l.created_at FROM bonded.lake_identity l $$;
    REVOKE ALL ON FUNCTION bonded.lake_record() FROM PUBLIC";
const LAKE_RECORD_POLICY: &str = "CREATE POLICY of_owner ON lake_identity FOR SELECT TO CURRENT_USER USING (true)";

/// A connection of the owner's role. What is not committed when it is dropped is rolled back by the server.
#[derive(Debug)]
pub(in crate::store) struct Owner {
    connection: AnyConnection,
    /// The application's role.
    role: String,
    /// The same, quoted.
    app: String,
}

impl Owner {
    /// # Errors
    /// `Setup` when no owner is named, and when the application's role neither is there nor can be made.
    pub async fn connect(url: &str, owner: Option<&str>) -> Result<Self> {
        let owner = named(owner)?;
        let (role, password) = role_of(url)?;
        sqlx::any::install_default_drivers();
        // A role's verifier stands in the text of the statement that makes it, and a log is no place for that.
        let options: AnyConnectOptions = owner.parse().map_err(not_reached)?;
        let mut connection = options.disable_statement_logging().connect().await.map_err(not_reached)?;
        let there = sqlx::query("SELECT 1 FROM pg_roles WHERE rolname = $1").bind(&role).fetch_optional(&mut connection).await?;
        let app = quoted(&role);
        if there.is_none() {
            make_role(&mut connection, &app, password.as_deref().map(String::as_str)).await?;
        }
        Ok(Self { connection, role, app })
    }

    /// The shared half, and what later versions added to the tenants' halves that are there.
    pub async fn make_all(&mut self) -> Result<()> {
        self.make(&TenantId::lake()).await?;
        for tenant in halves_of(&mut self.connection).await? {
            self.make(&tenant).await?;
        }
        Ok(())
    }

    /// One tenant's half, and its proof from now on.
    pub async fn make_tenant(&mut self, claim: &Claim) -> Result<()> {
        self.make(&claim.tenant).await?;
        self.register(claim).await
    }

    async fn make(&mut self, tenant: &TenantId) -> Result<()> {
        let made = self.try_make(tenant).await;
        if made.is_err() {
            // The failure is what is told, not what came of clearing up behind it.
            drop(self.connection.execute("ROLLBACK").await);
        }
        made
    }

    async fn try_make(&mut self, tenant: &TenantId) -> Result<()> {
        let schema = schema(tenant);
        let (name, app) = (quoted(&schema), self.app.clone());
        self.begin(None).await?;
        self.run(&format!("CREATE SCHEMA IF NOT EXISTS {name}")).await?;
        self.run(&format!("REVOKE ALL ON SCHEMA {name} FROM PUBLIC; GRANT USAGE ON SCHEMA {name} TO {app}")).await?;
        self.run("COMMIT").await?;
        if schema != SHARED_SCHEMA {
            for table in tables::tenant() {
                self.make_table(table, tenant).await?;
            }
            return Ok(());
        }
        self.begin(Some(&schema)).await?;
        if !self.is_there(&schema, "proofs").await? {
            self.run(PROOFS).await?;
        }
        self.run(MAY).await?;
        self.run(&format!("GRANT EXECUTE ON FUNCTION bonded.may(text) TO {app}")).await?;
        self.run("COMMIT").await?;
        for table in tables::shared() {
            self.make_table(table, tenant).await?;
        }
        self.begin(Some(&schema)).await?;
        let policy =
            "SELECT 1 FROM pg_policies WHERE schemaname = 'bonded' AND tablename = 'lake_identity' AND policyname = 'of_owner'";
        if sqlx::query(policy).fetch_optional(&mut self.connection).await?.is_none() {
            self.run(LAKE_RECORD_POLICY).await?;
        }
        self.run(LAKE_RECORD).await?;
        self.run(&format!("GRANT EXECUTE ON FUNCTION bonded.lake_record() TO {app}")).await?;
        self.run("COMMIT").await
    }

    async fn begin(&mut self, schema: Option<&str>) -> Result<()> {
        self.run(BEGIN).await?;
        match schema {
            Some(schema) => self.run(&format!("SET LOCAL search_path TO {}, pg_temp", quoted(schema))).await,
            None => Ok(()),
        }
    }

    async fn make_table(&mut self, table: &Table, tenant: &TenantId) -> Result<()> {
        let schema = schema(tenant);
        self.begin(Some(&schema)).await?;
        for statement in table.ddl {
            // A table or an index that is there is not asked for again: even that takes a lock.
            let is_there = match made_by(statement) {
                Some(name) => self.is_there(&schema, name).await?,
                None => false,
            };
            if !is_there {
                self.run(statement).await?;
            }
        }
        if !self.is_as_made(table, &schema).await? {
            let (name, app) = (quoted(table.name), self.app.clone());
            self.run(&format!(
                "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                 DROP POLICY IF EXISTS proven ON {name};
                 CREATE POLICY proven ON {name} USING ((SELECT bonded.may('{tenant}'))) WITH CHECK ((SELECT bonded.may('{tenant}')));
                 REVOKE ALL ON {name} FROM PUBLIC, {app}; GRANT {} ON {name} TO {app}",
                privileges(table)
            ))
            .await?;
        }
        self.run("COMMIT").await
    }

    async fn is_there(&mut self, schema: &str, name: &str) -> Result<bool> {
        let sql =
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
        Ok(sqlx::query(sql).bind(schema).bind(name).fetch_optional(&mut self.connection).await?.is_some())
    }

    /// Whether the table has its policy, and the application just these privileges on it.
    async fn is_as_made(&mut self, table: &Table, schema: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = $2 AND c.relrowsecurity AND c.relforcerowsecurity
             AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'proven')
             AND $3 = (SELECT string_agg(a.privilege_type, ', ' ORDER BY array_position(
                     ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'], a.privilege_type))
                 FROM aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee WHERE r.rolname = $4)";
        let asked = sqlx::query(sql).bind(schema).bind(table.name).bind(privileges(table)).bind(self.role.as_str());
        Ok(asked.fetch_optional(&mut self.connection).await?.is_some())
    }

    /// Takes the claim's proof as the tenant's, where none stands yet.
    ///
    /// # Errors
    /// `Refused` when another one does: the rows are of another lake.
    pub async fn register(&mut self, claim: &Claim) -> Result<()> {
        sqlx::query("INSERT INTO bonded.proofs VALUES ($1, $2) ON CONFLICT (tenant) DO NOTHING")
            .bind(claim.tenant.as_str())
            .bind(claim.digest())
            .execute(&mut self.connection)
            .await?;
        let stands = sqlx::query("SELECT digest FROM bonded.proofs WHERE tenant = $1").bind(claim.tenant.as_str());
        match stands.fetch_one(&mut self.connection).await?.try_get::<String, _>(0)? == claim.digest() {
            true => Ok(()),
            false => Err(strange(&claim.tenant)),
        }
    }

    /// The lake's first record and its proof, both or neither; `false` when there is a record already.
    pub async fn found(&mut self, record: &LakeRecord, claim: &Claim) -> Result<bool> {
        let mut transaction = self.connection.begin().await?;
        transaction.execute("SELECT pg_advisory_xact_lock(7011881935022017)").await?;
        if sqlx::query("SELECT 1 FROM bonded.lake_identity").fetch_optional(&mut *transaction).await?.is_some() {
            return Ok(false);
        }
        // A proof without a record is of a founding that was cut short, or the one of a restore that comes to its end here.
        sqlx::query("DELETE FROM bonded.proofs WHERE tenant = $1").bind(claim.tenant.as_str()).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO bonded.proofs VALUES ($1, $2)")
            .bind(claim.tenant.as_str())
            .bind(claim.digest())
            .execute(&mut *transaction)
            .await?;
        claim.settings().execute(&mut *transaction).await?;
        record.insert().execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    pub async fn close(self) {
        // Nothing is open, so nothing is lost with a connection that does not part well.
        drop(self.connection.close().await);
    }

    async fn run(&mut self, statements: &str) -> Result<()> {
        let done = self.connection.execute(statements).await;
        done.map(|_| ()).map_err(|error| {
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            match code.as_str() {
                "42501" => {
                    let mend =
                        "it needs CREATE on the database, and tables that another role made must be given to it (REASSIGN OWNED)";
                    Error::new(ErrorKind::Setup, format!("the role of store.postgres_owner may not make the schemas; {mend}"))
                        .with_source(error)
                }
                "55P03" => Error::new(ErrorKind::Retry, "a table is in use; run it again").with_source(error),
                _ => error.into(),
            }
        })
    }
}

/// The owner's URL, or how to give it.
pub(in crate::store) fn named(owner: Option<&str>) -> Result<&str> {
    owner.ok_or_else(|| {
        let mend = "for this command set store.postgres_owner to where the URL of the role that owns the schemas can be read";
        Error::new(ErrorKind::Setup, format!("the application's role may make nothing in PostgreSQL; {mend}"))
    })
}

fn privileges(table: &Table) -> &'static str {
    match table.may {
        May::Append => "SELECT, INSERT",
        May::Change => "SELECT, INSERT, UPDATE",
        May::Remove => "SELECT, INSERT, UPDATE, DELETE",
    }
}

/// What a statement like `CREATE TABLE IF NOT EXISTS name (` makes.
fn made_by(statement: &str) -> Option<&str> {
    let rest = statement
        .strip_prefix("CREATE TABLE IF NOT EXISTS ")
        .or_else(|| statement.strip_prefix("CREATE INDEX IF NOT EXISTS "))?;
    rest.split([' ', '(']).next()
}

pub(super) fn strange(tenant: &TenantId) -> Error {
    let what = "the database knows another proof: its rows are of another lake, or the keyring is";
    Error::new(ErrorKind::Refused, format!("the half of {tenant} does not open; {what}"))
}

/// Where the owner may: a login with no other right.
async fn make_role(connection: &mut AnyConnection, app: &str, password: Option<&str>) -> Result<()> {
    let mut statement =
        format!("CREATE ROLE {app} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT");
    let by_hand = |why: &str| Error::new(ErrorKind::Setup, format!("the role {app} of store.postgres is not there, and {why}"));
    if let Some(password) = password {
        if !password.is_ascii() || password.is_empty() {
            return Err(by_hand("its password is not ASCII: make the role by hand (CREATE ROLE ... LOGIN PASSWORD ...)"));
        }
        statement.push_str(&format!(" PASSWORD '{}'", scram::verifier(password, &cipher::random_bytes())));
    }
    connection.execute(statement.as_str()).await.map(|_| ()).map_err(|error| {
        by_hand("the role of store.postgres_owner may not make it: make it by hand (CREATE ROLE ... LOGIN)").with_source(error)
    })
}
