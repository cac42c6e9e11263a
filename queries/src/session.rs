//! One tenant's tables behind SQL, and nothing else.
//! Promise: a session holds the catalog it was given; every name resolves in it or nowhere. Memory, time and rows
//! are limited, and a limit that is hit is an error.
//! Never: nothing is written, no file is opened by name, nothing spills to disk in the clear.

use std::{collections::HashMap, fmt, sync::Arc};

use bonded_schemas::{Registry, Report, RuleBook, table::schema};
use datafusion::{
    arrow::array::RecordBatch,
    catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider},
    datasource::{MemTable, TableProvider, empty::EmptyTable},
    execution::{
        SessionStateBuilder, SessionStateDefaults,
        context::{SessionContext, SessionState},
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{GreedyMemoryPool, TrackConsumersPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    physical_plan::execute_stream,
    prelude::SessionConfig,
};
use futures::future::BoxFuture;
use iceberg::{Catalog, NamespaceIdent, TableIdent};
use object_store::ObjectStore;
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    answer::Answer,
    error::{Error, Result},
    lake::{LakeRoot, OnlyTheLake},
    library::{Values, bind},
    limits::Limits,
    provider::{History, HistoryTable},
    reconcile::{WORK, Works},
    rules,
};

mod casts;
mod functions;
mod history;
mod instant;
mod masking;
mod pauses;
mod refusal;

pub use masking::{ImporterNumbers, TellApart};

const CATALOG: &str = "bonded";
const TABLES: &str = "public";
const META: &str = "meta";
/// Named in the error when memory runs out.
const LARGEST_CONSUMERS_TOLD: std::num::NonZeroUsize = std::num::NonZeroUsize::new(3).expect("three is not zero");

/// The ledger's tables, to come.
pub type Ledger = BoxFuture<'static, std::result::Result<Vec<(String, RecordBatch)>, Box<dyn std::error::Error + Send + Sync>>>;

/// What a session is made of. Whoever makes it has already decided whose it is.
pub struct SessionParts {
    /// Holds this tenant's tables, and opens them with this tenant's key.
    pub catalog: Arc<dyn Catalog>,
    /// Where in the catalog `es_001`, `es_002`, `es_003` and `cape_claim_details` lie.
    pub namespace: NamespaceIdent,
    /// The lake's objects.
    pub store: Arc<dyn ObjectStore>,
    /// The URL that the store's paths are relative to: `file:///srv/lake`, `s3://bucket/prefix`, `memory:///`.
    pub root_url: String,
    /// Tables of the tenant's ledger, shown under `meta`: `("deliveries", rows)` is `meta.deliveries`. Awaited when a question
    /// first names that schema: most name none, and the ledger may be long.
    pub meta: Ledger,
    /// The audit trail, shown under `meta`, too; awaited when a question first names it. None for who may not read it: then
    /// there is no such table.
    pub trail: Option<Ledger>,
    /// Shown as `meta.rules_*`, and what checks judge by.
    pub rules: RuleBook,
    /// Whether personal numbers are shown; anything but [`ImporterNumbers::Masked`] needs a reason.
    pub importer_numbers: ImporterNumbers,
    pub limits: Limits,
}

impl fmt::Debug for SessionParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionParts")
            .field("namespace", &self.namespace)
            .field("root_url", &self.root_url)
            .field("importer_numbers", &self.importer_numbers)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// SQL over one tenant's tables as they were when the session opened.
///
/// Tables: `es_001`, `es_002`, `es_003`, `cape_claim_details` (append-only history). Views: `entry_summaries`, `entry_lines`,
/// `tariff_lines`, `cape_claims` (current truth), `sightings` and `vanished`. Functions: `entry_summaries_as_of(t)`, `entry_lines_as_of(t)`,
/// `tariff_lines_as_of(t)`, `changes(from, to)`, `columns_delivered('es_001')` and `at('es_003', snapshot or time)`; of values: `check_digit_ok(entry)`,
/// `check_digit(entry)`, `round_half_up_to_cents(amount)`. Schema `meta`: the ledger and the rules. Schema `work`: what checks share.
pub struct Session {
    context: SessionContext,
    limits: Limits,
    rules: RuleBook,
    works: Works,
    /// Until it was asked for.
    ledger: Mutex<Option<Ledger>>,
    /// The same.
    trail: Mutex<Option<Ledger>>,
    importer_numbers: ImporterNumbers,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Session {
    /// Loads the tenant's tables and prepares the views. A table that was never made shows without rows.
    ///
    /// # Errors
    /// `Damaged` when one does not open (a disabled key, say).
    pub async fn open(parts: SessionParts) -> Result<Self> {
        let SessionParts { catalog, namespace, store, root_url, meta, trail, rules, importer_numbers, limits } = parts;
        let root = LakeRoot::new(&root_url);
        let mut histories = HashMap::new();
        let mut tables: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
        let loading = Report::ALL.map(|report| {
            let ident = TableIdent::new(namespace.clone(), report.table().to_owned());
            let catalog = catalog.clone();
            async move {
                match catalog.load_table(&ident).await {
                    Ok(table) => Ok((report, Some(table))),
                    Err(error) if error.kind() == iceberg::ErrorKind::TableNotFound => Ok((report, None)),
                    Err(error) => Err(Error::from(error)),
                }
            }
        });
        for (report, table) in futures::future::try_join_all(loading).await? {
            let provider: Arc<dyn TableProvider> = match table {
                Some(table) => {
                    let history =
                        Arc::new(History::new(table, root.clone(), |schema| importer_numbers.hidden(report.table(), schema))?);
                    histories.insert(report.table(), history.clone());
                    Arc::new(HistoryTable::current(history)?)
                }
                // Nothing of this report was ever committed: no rows, and the columns that its edition has.
                None => Arc::new(EmptyTable::new(Arc::new(schema(&Registry::builtin().edition(report).columns)))),
            };
            tables.push((report.table().to_owned(), provider));
        }
        let session = Self::over_rules(tables, Vec::new(), &rules, store, limits, importer_numbers.clone()).await?;
        *session.ledger.lock().await = Some(meta);
        *session.trail.lock().await = trail;
        history::settle(&session.context, session.schema(TABLES)?.as_ref(), &histories).await?;
        session.context.register_udtf("columns_delivered", Arc::new(history::ColumnsDelivered::new(histories.clone())));
        session.context.register_udtf("at", Arc::new(history::At::new(histories, importer_numbers)));
        Ok(session)
    }

    /// A session over any tables that have the reports' names; tests bring their own.
    #[cfg(test)]
    pub(crate) async fn over(
        tables: Vec<(String, Arc<dyn TableProvider>)>,
        meta: Vec<(String, RecordBatch)>,
        store: Arc<dyn ObjectStore>,
        limits: Limits,
    ) -> Result<Self> {
        Self::over_rules(tables, meta, RuleBook::builtin(), store, limits, ImporterNumbers::Whole).await
    }

    pub(crate) async fn over_rules(
        tables: Vec<(String, Arc<dyn TableProvider>)>,
        meta: Vec<(String, RecordBatch)>,
        book: &RuleBook,
        store: Arc<dyn ObjectStore>,
        limits: Limits,
        importer_numbers: ImporterNumbers,
    ) -> Result<Self> {
        let context = SessionContext::new_with_state(state(&limits, store)?);
        let public = Arc::new(MemorySchemaProvider::new());
        for (name, table) in tables {
            let shown = importer_numbers.over(&name, table)?;
            public.register_table(name, shown)?;
        }
        let facts: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
        show(facts.as_ref(), meta, &importer_numbers)?;
        show(facts.as_ref(), rules::tables(book)?, &ImporterNumbers::Whole)?;
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(TABLES, public.clone())?;
        catalog.register_schema(META, facts)?;
        catalog.register_schema(WORK, Arc::new(MemorySchemaProvider::new()))?;
        context.register_catalog(CATALOG, Arc::new(catalog));
        functions::register(&context);
        history::register(&context, public.as_ref()).await?;
        let rules = book.clone();
        Ok(Self {
            context,
            limits,
            rules,
            works: Works::default(),
            ledger: Mutex::default(),
            trail: Mutex::default(),
            importer_numbers,
        })
    }

    /// Plans the question and starts to answer it.
    ///
    /// # Errors
    /// `Input` for bad SQL and unknown names, `Refused` for anything but reading, `Limit`, `Damaged`.
    pub async fn query(&self, sql: &str) -> Result<Answer> {
        self.run(sql, None).await
    }

    /// The same, with literals in the place of the question's `$name`s.
    pub(crate) async fn ask(&self, sql: &str, values: &Values) -> Result<Answer> {
        self.run(sql, Some(values.clone())).await
    }

    async fn run(&self, sql: &str, values: Option<Values>) -> Result<Answer> {
        let deadline = Instant::now() + self.limits.time_max;
        for (named, tables) in [(may_name_ledger(sql), &self.ledger), (may_name_trail(sql), &self.trail)] {
            if named {
                timeout_at(deadline, self.open_later(tables)).await.map_err(|_| crate::answer::out_of_time(&self.limits))??;
            }
        }
        let context = self.context.clone();
        let sql = sql.to_owned();
        // In a task of its own: planning works without pause, and the deadline must not wait for it.
        let mut planning = JoinSet::new();
        planning.spawn(async move {
            let mut statement = refusal::parse(&sql)?;
            if let Some(values) = values {
                bind(&mut statement, &values)?;
            }
            let state = context.state();
            let plan = refusal::plan(&state, statement).await?;
            let physical = state.create_physical_plan(&plan).await?;
            Ok::<_, Error>(execute_stream(physical, context.task_ctx())?)
        });
        match timeout_at(deadline, planning.join_next()).await {
            Ok(Some(Ok(stream))) => Ok(Answer::new(stream?, deadline, self.limits.clone())),
            Ok(_) => Err(Error::internal("the planner stopped short")),
            Err(_) => Err(crate::answer::out_of_time(&self.limits)),
        }
    }

    /// Brings tables of the ledger in, once.
    async fn open_later(&self, tables: &Mutex<Option<Ledger>>) -> Result<()> {
        let mut waiting = tables.lock().await;
        // One that fails, or is given up for lack of time, is not asked again: a session without a ledger says so by name.
        let Some(ledger) = waiting.take() else { return Ok(()) };
        let tables = ledger.await.map_err(|error| Error::damaged("the ledger does not open").with_source(error))?;
        show(self.schema(META)?.as_ref(), tables, &self.importer_numbers)
    }

    pub(crate) fn schema(&self, name: &str) -> Result<Arc<dyn SchemaProvider>> {
        let schema = self.context.catalog(CATALOG).and_then(|catalog| catalog.schema(name));
        schema.ok_or_else(|| Error::internal(format!("the session has no schema `{name}`")))
    }

    /// All rows of an answer, within the session's limits.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let mut answer = self.query(sql).await?;
        let mut batches = Vec::new();
        while let Some(batch) = answer.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    pub(crate) fn rules(&self) -> &RuleBook {
        &self.rules
    }

    pub(crate) fn works(&self) -> &Works {
        &self.works
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Whether the text has the name of the ledger's schema in it, or asks which tables there are.
fn may_name_ledger(sql: &str) -> bool {
    let sql = sql.to_lowercase();
    ["meta", "information_schema", "show"].iter().any(|word| sql.contains(word))
}

/// The same of the audit trail.
fn may_name_trail(sql: &str) -> bool {
    let sql = sql.to_lowercase();
    may_name_ledger(&sql) && ["audit", "information_schema", "show"].iter().any(|word| sql.contains(word))
}

fn show(schema: &dyn SchemaProvider, tables: Vec<(String, RecordBatch)>, importer_numbers: &ImporterNumbers) -> Result<()> {
    for (name, rows) in tables {
        let name = name.strip_prefix("meta.").unwrap_or(&name).to_owned();
        let rows = importer_numbers.in_ledger(rows)?;
        schema.register_table(name, Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))?;
    }
    Ok(())
}

fn state(limits: &Limits, store: Arc<dyn ObjectStore>) -> Result<SessionState> {
    // Built up from nothing: no file formats, no table factories, no listing tables, no URL tables.
    Ok(SessionStateBuilder::new()
        .with_config(config(limits))
        .with_runtime_env(runtime(limits, store)?)
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_analyzer_rule(Arc::new(casts::KeepNarrowingCasts))
        .with_physical_optimizer_rule(Arc::new(pauses::PauseInJoins))
        .build())
}

fn config(limits: &Limits) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, TABLES)
        .with_information_schema(true)
        .with_target_partitions(limits.target_partitions.max(1));
    let options = config.options_mut();
    // Without it `amount = 123456789.01` compares as floats and finds nothing.
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some("+00:00".to_owned());
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    config
}

fn runtime(limits: &Limits, store: Arc<dyn ObjectStore>) -> Result<Arc<RuntimeEnv>> {
    let pool = TrackConsumersPool::new(GreedyMemoryPool::new(limits.memory_bytes_max), LARGEST_CONSUMERS_TOLD);
    Ok(RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        // A spill file would be the tenant's rows in the clear.
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .with_object_store_registry(Arc::new(OnlyTheLake(store)))
        .build_arc()?)
}

#[cfg(test)]
mod tests;
