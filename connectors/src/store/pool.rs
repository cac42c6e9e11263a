//! The connections of a control store, and a place beside them from which each statement is seen.
//! Promise: a probe is asked before anything is sent and after it took effect, before the answer is believed.
//! Without one nothing is added: the statement goes straight to the pool.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyConnection, AnyPool, Describe, Either, Execute, Executor,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
};

/// Stands beside the control store. An error from it is what the caller is told; a future that never ends is a crash.
#[async_trait]
pub trait Probe: Send + Sync + fmt::Debug {
    /// `statement` is its SQL, or `BEGIN`, or `COMMIT`.
    async fn before(&self, statement: &str) -> io::Result<()>;
    async fn after(&self, statement: &str) -> io::Result<()>;
}

/// Used as sqlx's own pool is.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: AnyPool,
    probe: Option<Arc<dyn Probe>>,
}

/// Rolled back when it is dropped.
pub(crate) struct Transaction {
    inner: sqlx::Transaction<'static, Any>,
    probe: Option<Arc<dyn Probe>>,
}

impl Pool {
    pub(super) fn new(inner: AnyPool, probe: Option<Arc<dyn Probe>>) -> Self {
        Self { inner, probe }
    }

    pub(super) fn watch(&mut self, probe: Arc<dyn Probe>) {
        self.probe = Some(probe);
    }

    /// For what makes the tables.
    pub(crate) fn unwatched(&self) -> &AnyPool {
        &self.inner
    }

    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction> {
        if let Some(probe) = &self.probe {
            probe.before("BEGIN").await?;
        }
        Ok(Transaction { inner: self.inner.begin().await?, probe: self.probe.clone() })
    }
}

impl Transaction {
    /// An error tells nothing: the commit may have taken effect.
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        let Some(probe) = self.probe else { return self.inner.commit().await };
        probe.before("COMMIT").await?;
        self.inner.commit().await?;
        Ok(probe.after("COMMIT").await?)
    }

    pub(crate) async fn rollback(self) -> sqlx::Result<()> {
        self.inner.rollback().await
    }
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.inner
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}

impl<'p> Executor<'p> for &'_ Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Some(probe) = self.probe.clone() else { return self.inner.fetch_many(query) };
        let inner = self.inner.clone();
        let watched = async move {
            let statement = query.sql();
            probe.before(statement).await?;
            let answers: Vec<_> = inner.fetch_many(query).collect().await;
            probe.after(statement).await?;
            Ok::<_, sqlx::Error>(stream::iter(answers))
        };
        stream::once(watched).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Some(probe) = self.probe.clone() else { return self.inner.fetch_optional(query) };
        let inner = self.inner.clone();
        Box::pin(async move {
            let statement = query.sql();
            probe.before(statement).await?;
            let answer = inner.fetch_optional(query).await;
            probe.after(statement).await?;
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
