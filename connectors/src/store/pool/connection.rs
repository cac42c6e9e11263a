//! One connection in use, and the transaction that it is in.
//! Promise: a transaction that was not committed is rolled back when it is dropped; a connection whose BEGIN failed or was
//! given up goes back to no pool, since nobody knows what it is in.

use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use futures::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Any, Arguments, Describe, Either, Execute, Executor, TransactionManager,
    any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTransactionManager, AnyTypeInfo},
    error::BoxDynError,
    pool::PoolConnection,
};

use super::{Claim, Probe};

/// Takes statements as sqlx's own connection does.
#[derive(Debug)]
pub(crate) struct Connection {
    inner: PoolConnection<Any>,
    is_postgres: bool,
}

/// Rolled back when it is dropped.
pub(crate) struct Transaction {
    connection: Connection,
    probe: Option<Arc<dyn Probe>>,
    is_open: bool,
}

impl Connection {
    pub(super) fn new(inner: PoolConnection<Any>, is_postgres: bool) -> Self {
        Self { inner, is_postgres }
    }

    pub(in crate::store) fn is_postgres(&self) -> bool {
        self.is_postgres
    }
}

impl Transaction {
    pub(super) async fn begin(
        connection: Connection,
        statement: Option<&'static str>,
        claim: Option<&Claim>,
        probe: Option<Arc<dyn Probe>>,
    ) -> sqlx::Result<Self> {
        let mut entering = Entering(Some(connection));
        if let Some(connection) = &mut entering.0 {
            AnyTransactionManager::begin(&mut connection.inner, statement.map(Cow::Borrowed)).await?;
            if let Some(claim) = claim {
                claim.make(connection).await?;
            }
        }
        let connection = entering.0.take().ok_or(sqlx::Error::BeginFailed)?;
        Ok(Self { connection, probe, is_open: true })
    }

    /// An error tells nothing: the commit may have taken effect.
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        let Some(probe) = self.probe.clone() else { return self.end().await };
        probe.before("COMMIT").await?;
        self.end().await?;
        Ok(probe.after("COMMIT").await?)
    }

    /// As [`Transaction::commit`], seen by nobody.
    pub(super) async fn end(mut self) -> sqlx::Result<()> {
        AnyTransactionManager::commit(&mut self.connection.inner).await?;
        self.is_open = false;
        Ok(())
    }

    pub(crate) async fn rollback(mut self) -> sqlx::Result<()> {
        AnyTransactionManager::rollback(&mut self.connection.inner).await?;
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.is_open {
            AnyTransactionManager::start_rollback(&mut self.connection.inner);
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A connection whose transaction is being begun.
struct Entering(Option<Connection>);

impl Drop for Entering {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.inner.close_on_drop();
        }
    }
}

/// Whether the other side is gone, rather than of another opinion.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // Connection failures, and servers that shut down.
        sqlx::Error::Database(told) => told.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P")),
        _ => false,
    }
}

/// Whether the server does not take the role with its password; pgbouncer says so by a code of the protocol's.
pub(super) fn is_login_refused(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(told) => told.code().is_some_and(|code| matches!(code.as_ref(), "28P01" | "28000" | "08P01")),
        _ => false,
    }
}

/// A statement that PostgreSQL forgets with its answer: behind a pooler, the next one meets another session. One that binds
/// nothing goes there and back in one message.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Any>> Execute<'q, Any> for Unnamed<E> {
    fn sql(&self) -> &'q str {
        self.0.sql()
    }

    fn statement(&self) -> Option<&AnyStatement<'q>> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments<'q>>, BoxDynError> {
        Ok(self.0.take_arguments()?.filter(|arguments| arguments.len() > 0))
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self.is_postgres {
            true => self.inner.fetch_many(Unnamed(query)),
            false => self.inner.fetch_many(query),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match self.is_postgres {
            true => self.inner.fetch_optional(Unnamed(query)),
            false => self.inner.fetch_optional(query),
        }
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement<'q>>>
    where
        'c: 'e,
    {
        self.inner.prepare_with(sql, parameters)
    }

    fn describe<'e, 'q: 'e>(self, sql: &'q str) -> BoxFuture<'e, sqlx::Result<Describe<Any>>>
    where
        'c: 'e,
    {
        self.inner.describe(sql)
    }
}
