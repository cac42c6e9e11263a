//! Maintenance of one tenant: re-wrap, compact, expire, remove orphans. For the console, and for a schedule.
//! Promise: safe beside running ingest, and run twice it does nothing the second time; each step that is run is in the audit trail.
//! Never: rows, history, the delivery ledger and landed files stay as they are.

use bonded_connectors::{
    lake::maintain::{Compacted, Expired, Rewrapped, Swept},
    raw::StagingSwept,
};
use futures::TryStreamExt;
use serde::Serialize;

use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
    uploads,
};

/// What maintenance consists of, in the order in which it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Table keys and tenant secret under the newest version of the tenant's key
    Rewrap,
    /// Join small data files and manifests
    Compact,
    /// Drop old Iceberg snapshots from the metadata; history by as-of time stays
    Expire,
    /// Remove objects that nothing has referred to for long
    Orphans,
}

impl Step {
    pub const ALL: [Self; 4] = [Self::Rewrap, Self::Compact, Self::Expire, Self::Orphans];

    fn action(self) -> &'static str {
        match self {
            Self::Rewrap => "maintain.rewrap",
            Self::Compact => "maintain.compact",
            Self::Expire => "maintain.expire",
            Self::Orphans => "maintain.orphans",
        }
    }
}

/// Which steps, and whether they only tell what they would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub dry_run: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { steps: Step::ALL.to_vec(), dry_run: false }
    }
}

/// What one step did to one thing, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    pub tenant: String,
    pub step: Step,
    /// A table, `secret`, `warehouse`, `raw/staging` or `raw/uploads`.
    pub object: String,
    pub dry_run: bool,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Rewrapped(Rewrapped),
    Compacted(Compacted),
    Expired(Expired),
    Swept(Swept),
    Staging(StagingSwept),
    /// Uploads in pieces that were not ended in their time, or long ago.
    Uploads {
        forgotten: usize,
    },
    /// Landed objects, and how many of them the ledger does not know: a crash between the two. They stay, for ever.
    Raw {
        objects: usize,
        unknown_to_ledger: usize,
    },
}

impl Outcome {
    /// In words, for the table and the audit trail.
    pub fn text(&self) -> String {
        match self {
            Self::Rewrapped(done) => format!("{} of {} wraps renewed", done.rewrapped, done.wraps),
            Self::Compacted(done) => {
                let mut text = format!("{} of {} files joined", done.files_joined, done.files_before);
                if done.files_made > 0 {
                    text.push_str(&format!(" into {}", done.files_made));
                }
                if done.manifests_after > 0 {
                    text.push_str(&format!("; {} manifests became {}", done.manifests_before, done.manifests_after));
                }
                if done.files_lost_to_others > 0 {
                    text.push_str(&format!("; {} wait, others changed them", done.files_lost_to_others));
                }
                text
            }
            Self::Expired(done) => {
                let pruned = done.keys_pruned;
                format!("{} of {} snapshots expired, {pruned} keys pruned", done.snapshots_expired, done.snapshots_before)
            }
            Self::Swept(done) if done.retained > 0 => {
                let others = Self::Swept(Swept { retained: 0, ..done.clone() });
                format!("{}; {} received objects got the retention that they lacked", others.text(), done.retained)
            }
            Self::Swept(done) => format!(
                "{} of {} objects removed ({} bytes); kept: {} referred to, {} young, {} waiting",
                done.removed + done.uploads_removed,
                done.listed,
                done.removed_bytes,
                done.referenced,
                done.young,
                done.waiting
            ),
            Self::Staging(done) => format!(
                "{} objects removed ({} bytes); kept: {} young",
                done.removed + done.uploads_removed,
                done.removed_bytes,
                done.young
            ),
            Self::Uploads { forgotten } => format!("{forgotten} uploads forgotten"),
            Self::Raw { objects, unknown_to_ledger } => {
                format!("{objects} objects kept, {unknown_to_ledger} of them not in the ledger; old key versions open them")
            }
        }
    }
}

/// Runs the plan's steps for one tenant, in their order. An error leaves what was done until then, and it may be run again.
pub async fn run(house: &Lakehouse, tenant: &Tenant, plan: &Plan) -> Result<Vec<Done>> {
    let mut all = Vec::new();
    for step in Step::ALL.into_iter().filter(|step| plan.steps.contains(step)) {
        let outcomes = match step {
            Step::Rewrap => rewrap(house, tenant, plan.dry_run).await,
            Step::Compact => compact(house, tenant, plan.dry_run).await,
            Step::Expire => expire(house, tenant, plan.dry_run).await,
            Step::Orphans => orphans(house, tenant, plan.dry_run).await,
        };
        if !plan.dry_run {
            let told = match &outcomes {
                Ok(done) => done.iter().map(|(object, done)| format!("{object}: {}", done.text())).collect::<Vec<_>>().join("; "),
                Err(error) => format!("failed: {:?}", error.kind()).to_lowercase(),
            };
            tenant.audit(house.clock.as_ref(), step.action(), tenant.scope.tenant().as_str(), &told).await?;
        }
        all.extend(outcomes?.into_iter().map(|(object, outcome)| Done {
            tenant: tenant.scope.tenant().to_string(),
            step,
            object,
            dry_run: plan.dry_run,
            outcome,
        }));
    }
    Ok(all)
}

type Outcomes = Vec<(String, Outcome)>;

async fn rewrap(house: &Lakehouse, tenant: &Tenant, dry_run: bool) -> Result<Outcomes> {
    let renewed = house.rewrap_secret(&tenant.scope, dry_run).await?;
    let secret = Rewrapped { wraps: 1, rewrapped: usize::from(renewed) };
    let mut outcomes = vec![("secret".to_owned(), Outcome::Rewrapped(secret))];
    for table in tenant.tables.names().await? {
        let done = tenant.tables.rewrap(&table, house.keys.as_ref(), dry_run).await?;
        outcomes.push((table, Outcome::Rewrapped(done)));
    }
    Ok(outcomes)
}

async fn compact(house: &Lakehouse, tenant: &Tenant, dry_run: bool) -> Result<Outcomes> {
    let compaction = house.settings.maintain.compaction();
    let mut outcomes = Vec::new();
    for table in tenant.tables.names().await? {
        let done = tenant.tables.compact(&table, &compaction, dry_run).await?;
        outcomes.push((table, Outcome::Compacted(done)));
    }
    Ok(outcomes)
}

async fn expire(house: &Lakehouse, tenant: &Tenant, dry_run: bool) -> Result<Outcomes> {
    let retention = house.settings.maintain.retention()?;
    let mut outcomes = Vec::new();
    for table in tenant.tables.names().await? {
        let done = tenant.tables.expire(&table, &retention, dry_run).await?;
        outcomes.push((table, Outcome::Expired(done)));
    }
    Ok(outcomes)
}

async fn orphans(house: &Lakehouse, tenant: &Tenant, dry_run: bool) -> Result<Outcomes> {
    let grace = house.settings.maintain.orphan_grace()?;
    let swept = house.lake.sweep(&tenant.scope, &tenant.tables, grace, dry_run).await?;
    let staging = house.raw.sweep_staging(&tenant.scope, house.lake.local_root(), grace, dry_run).await?;
    let uploads = match dry_run {
        true => tenant.ledger.uploads_before(uploads::over_ms(house)).await?.len(),
        false => uploads::sweep(house, tenant).await?,
    };
    let known = tenant.ledger.raw_paths().await?;
    let (mut objects, mut unknown_to_ledger) = (0, 0);
    let mut listed = house.raw.list(&tenant.scope);
    while let Some(path) = listed.try_next().await? {
        objects += 1;
        unknown_to_ledger += usize::from(!known.contains(&path));
    }
    Ok(vec![
        ("warehouse".to_owned(), Outcome::Swept(swept)),
        ("raw/staging".to_owned(), Outcome::Staging(staging)),
        ("raw/uploads".to_owned(), Outcome::Uploads { forgotten: uploads }),
        ("raw".to_owned(), Outcome::Raw { objects, unknown_to_ledger }),
    ])
}
