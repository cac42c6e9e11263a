//! The connections of a control store, and a place beside them from which each statement is seen.
//! Promise: a probe is asked before anything is sent and after it took effect, before the answer is believed. On PostgreSQL
//! every statement runs in a transaction that says for itself whose it is; on SQLite nothing is added.
//! Never: a PostgreSQL session keeps a setting, a named statement or an open transaction from one use to the next, and no
//! proof stands in the text of a statement, which other sessions of the same role can read in `pg_stat_activity`.

use std::{fmt, io, sync::Arc};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyPool, Describe, Either, Execute, Executor,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
};

mod connection;
mod renewal;

pub(crate) use connection::{Connection, Transaction};
pub(super) use renewal::Renewal;

use super::postgres::Claim;

/// Stands beside the control store. An error from it is what the caller is told; a future that never ends is a crash.
#[async_trait]
pub trait Probe: Send + Sync + fmt::Debug {
    /// `statement` is its SQL, or `BEGIN`, or `COMMIT`.
    async fn before(&self, statement: &str) -> io::Result<()>;
    async fn after(&self, statement: &str) -> io::Result<()>;
}

/// Used as sqlx's own pool is. A lone statement on PostgreSQL is a transaction of its own.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: AnyPool,
    /// Whose rows on PostgreSQL, and the proof of it; none on SQLite, where a file has one owner.
    claim: Option<Arc<Claim>>,
    probe: Option<Arc<dyn Probe>>,
    renewal: Option<Arc<Renewal>>,
}

/// How often a transaction is begun again because the connection had died in the pool; as many as may lie there, and one.
const BEGIN_ATTEMPTS_MAX: u32 = super::CONNECTIONS_MAX + 1;
/// One moment of the store for all that is read.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

impl Pool {
    pub(super) fn new(inner: AnyPool, claim: Option<Claim>, probe: Option<Arc<dyn Probe>>) -> Self {
        Self { inner, claim: claim.map(Arc::new), probe, renewal: None }
    }

    pub(super) fn renew_by(&mut self, renewal: Renewal) {
        self.renewal = Some(Arc::new(renewal));
    }

    pub(super) fn watch(&mut self, probe: Arc<dyn Probe>) {
        self.probe = Some(probe);
    }

    /// The same connections for someone else's rows.
    pub(super) fn claiming(&self, claim: Claim) -> Self {
        Self { claim: Some(Arc::new(claim)), ..self.clone() }
    }

    /// The same, with no probe beside it: for what makes the tables, looks at all of them, or copies them.
    pub(crate) fn unwatched(&self) -> Self {
        Self { probe: None, ..self.clone() }
    }

    /// What lies beneath, outside any claim.
    pub(super) fn bare(&self) -> &AnyPool {
        &self.inner
    }

    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction> {
        if let Some(probe) = &self.probe {
            probe.before("BEGIN").await?;
        }
        self.enter(None).await
    }

    /// All that is read in it is of one moment.
    pub(super) async fn begin_reading(&self) -> sqlx::Result<Transaction> {
        self.enter(self.claim.is_some().then_some(BEGIN_READING)).await
    }

    /// Until BEGIN is answered nothing was done, so a connection that died while it was idle is left for the next one.
    async fn enter(&self, statement: Option<&'static str>) -> sqlx::Result<Transaction> {
        let mut attempt = 1;
        loop {
            let connection = Connection::new(self.acquire().await?, self.claim.is_some());
            let begun = Transaction::begin(connection, statement, self.claim.as_deref(), self.probe.clone()).await;
            match begun {
                Err(error) if self.claim.is_some() && attempt < BEGIN_ATTEMPTS_MAX && connection::is_lost(&error) => attempt += 1,
                begun => return begun,
            }
        }
    }

    /// A new connection logs in; if that is refused and there is another login by now, then with that one.
    async fn acquire(&self) -> sqlx::Result<PoolConnection<Any>> {
        let Some(renewal) = &self.renewal else { return self.inner.acquire().await };
        let times = renewal.times();
        match self.inner.acquire().await {
            Err(error) if connection::is_login_refused(&error) && renewal.renew(&self.inner, times).await => {
                self.inner.acquire().await
            }
            acquired => acquired,
        }
    }

    async fn before(&self, statement: &str) -> io::Result<()> {
        match &self.probe {
            Some(probe) => probe.before(statement).await,
            None => Ok(()),
        }
    }

    async fn after(&self, statement: &str) -> io::Result<()> {
        match &self.probe {
            Some(probe) => probe.after(statement).await,
            None => Ok(()),
        }
    }
}

/// Whether the transaction of a lone statement may end behind the answer: it changed nothing, so nobody waits for its end.
fn only_reads(statement: &str) -> bool {
    statement.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("SELECT"))
}

impl<'p> Executor<'p> for &'_ Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        if self.probe.is_none() && self.claim.is_none() {
            return self.inner.fetch_many(query);
        }
        let pool = self.clone();
        let watched = async move {
            let statement = query.sql();
            pool.before(statement).await?;
            let answers: Vec<_> = match pool.claim.is_some() {
                false => pool.inner.fetch_many(query).collect().await,
                true => {
                    let mut transaction = pool.enter(None).await?;
                    let answers: Vec<_> = (&mut *transaction).fetch_many(query).collect().await;
                    if answers.iter().all(|answer: &sqlx::Result<_>| answer.is_ok()) && !only_reads(statement) {
                        transaction.end().await?;
                    }
                    answers
                }
            };
            pool.after(statement).await?;
            Ok::<_, sqlx::Error>(stream::iter(answers))
        };
        stream::once(watched).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        if self.probe.is_none() && self.claim.is_none() {
            return self.inner.fetch_optional(query);
        }
        let pool = self.clone();
        Box::pin(async move {
            let statement = query.sql();
            pool.before(statement).await?;
            let answer = match pool.claim.is_some() {
                false => pool.inner.fetch_optional(query).await,
                true => {
                    let mut transaction = pool.enter(None).await?;
                    let answer = (&mut *transaction).fetch_optional(query).await;
                    if answer.is_ok() && !only_reads(statement) {
                        transaction.end().await?;
                    }
                    answer
                }
            };
            pool.after(statement).await?;
            answer
        })
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement<'q>>>
    where
        'p: 'e,
    {
        self.inner.prepare_with(sql, parameters)
    }

    fn describe<'e, 'q: 'e>(self, sql: &'q str) -> BoxFuture<'e, sqlx::Result<Describe<Any>>>
    where
        'p: 'e,
    {
        self.inner.describe(sql)
    }
}
