//! Questions that are asked now and fetched later; and how many may be at work at once.
//! Promise: a job is seen by its own tenant alone; what it keeps is bounded and let go after some minutes.
//! Never: an answer larger than the bound is cut: it fails, and says so.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use bonded_queries::Wire;
use bonded_schemas::TenantId;
use futures::TryStreamExt;
use tokio::{sync::OwnedSemaphorePermit, sync::Semaphore, task::AbortHandle, time::Instant};
use uuid::Uuid;

use super::{
    permit::Call,
    problem::{Answer, Problem},
    routes::sql,
};
use crate::error::{Error, ErrorKind};

const KEPT_FOR: Duration = Duration::from_secs(15 * 60);
const TENANT_JOBS_MAX: usize = 8;

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Running,
    Done { bytes: u64 },
    Failed(String),
}

#[derive(Debug, Default)]
pub struct Jobs(Mutex<HashMap<(TenantId, Uuid), Job>>);

#[derive(Debug)]
struct Job {
    seen: Seen,
    kind: &'static str,
    pieces: Vec<Bytes>,
    until: Instant,
    work: Option<AbortHandle>,
}

impl Jobs {
    fn held(&self) -> MutexGuard<'_, HashMap<(TenantId, Uuid), Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn look(&self, tenant: &TenantId, id: Uuid) -> Option<Seen> {
        let mut jobs = self.held();
        forget(&mut jobs);
        jobs.get(&(tenant.clone(), id)).map(|job| job.seen.clone())
    }

    pub fn pieces(&self, tenant: &TenantId, id: Uuid) -> Option<(&'static str, Vec<Bytes>)> {
        self.held().get(&(tenant.clone(), id)).map(|job| (job.kind, job.pieces.clone()))
    }

    /// `false` when there is none of this tenant's.
    pub fn cancel(&self, tenant: &TenantId, id: Uuid) -> bool {
        let Some(job) = self.held().remove(&(tenant.clone(), id)) else { return false };
        if let Some(work) = job.work {
            work.abort();
        }
        true
    }
}

fn forget(jobs: &mut HashMap<(TenantId, Uuid), Job>) {
    let now = Instant::now();
    jobs.retain(|_, job| job.until > now || job.seen == Seen::Running);
}

pub fn begin(call: &Call, sql: String, wire: Wire, kind: &'static str) -> Answer<Uuid> {
    let front = call.front.clone();
    let tenant = call.scope.tenant().clone();
    let seat = front.queries.seat(&tenant)?;
    let id = Uuid::new_v4();
    let mut jobs = front.jobs.held();
    forget(&mut jobs);
    if jobs.keys().filter(|(of, _)| *of == tenant).count() >= TENANT_JOBS_MAX {
        return Err(Problem::busy("this tenant keeps as many answers as it may; delete one", 60));
    }
    let key = (tenant, id);
    let job = Job { seen: Seen::Running, kind, pieces: Vec::new(), until: Instant::now() + KEPT_FOR, work: None };
    jobs.insert(key.clone(), job);
    let (call, at) = (call.clone(), key.clone());
    let work = tokio::spawn(async move {
        let _seat = seat;
        let worked = work(&call, &sql, wire).await;
        // A job that was cancelled meanwhile is gone, and so is its answer.
        if let Some(job) = call.front.jobs.held().get_mut(&at) {
            job.until = Instant::now() + KEPT_FOR;
            match worked {
                Ok(pieces) => {
                    let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
                    (job.seen, job.pieces) = (Seen::Done { bytes }, pieces);
                }
                Err(problem) => job.seen = Seen::Failed(problem.detail().to_owned()),
            }
        }
    });
    if let Some(job) = jobs.get_mut(&key) {
        job.work = Some(work.abort_handle());
    }
    Ok(id)
}

async fn work(call: &Call, sql: &str, wire: Wire) -> Answer<Vec<Bytes>> {
    let bytes_max = call.house().settings.api.job_bytes_max;
    let answer = sql::answer(call, sql).await?;
    let mut stream = Box::pin(answer.stream(wire).map_err(Error::from)?);
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while let Some(piece) = stream.try_next().await.map_err(Error::from)? {
        bytes += piece.len();
        if bytes > bytes_max {
            let message =
                format!("the answer has more than {bytes_max} bytes; narrow it, or ask for it as a stream: POST /v1/sql");
            return Err(Error::new(ErrorKind::Refused, message).into());
        }
        pieces.push(piece);
    }
    Ok(pieces)
}

/// Seats for questions, or for pieces of uploads: so many over all, and so many of one tenant.
#[derive(Debug)]
pub struct Queries {
    all: Arc<Semaphore>,
    of_one_max: usize,
    of_one: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    _one: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Queries {
    pub fn new(max: usize, of_one_max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(max)), of_one_max, of_one: Mutex::default() }
    }

    pub fn seat(&self, tenant: &TenantId) -> Answer<Seat> {
        let own = {
            let mut of_one = self.of_one.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody sits in need not be remembered.
            of_one.retain(|_, seats| Arc::strong_count(seats) > 1 || seats.available_permits() < self.of_one_max);
            of_one.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.of_one_max))).clone()
        };
        let busy = |_| Problem::busy("as many questions as may be are at work", 2);
        let _one = own.try_acquire_owned().map_err(busy)?;
        let _all = self.all.clone().try_acquire_owned().map_err(busy)?;
        Ok(Seat { _one, _all })
    }
}
