//! Compaction: small data files of a month joined, small manifests merged; one `replace` snapshot for many of them.
//! Promise: the rows of a joined file are those of its sources, in delivery order, lineage included, or it is not committed;
//! deliveries that are committed meanwhile stay, and none waits. In memory: one stored file and some batches of it.

use std::collections::{HashMap, HashSet};

use iceberg::{
    arrow::schema_to_arrow_schema,
    spec::{DataFile, ManifestFile, NestedFieldRef, Operation, Schema, Type},
    table::Table,
};

use super::{
    super::{
        Outcome, TableWriter, Tables, Written,
        commit::{Change, commit},
        manifests::{Merge, groups},
        read,
        staging::with_row_ids,
        write::{Partition, Shape},
    },
    Compacted, Compaction, bins,
    bins::LiveFile,
    lineage,
};
use crate::error::{Error, ErrorKind, Result};

/// Bins of one commit: enough to be few snapshots, few enough that little is lost when someone else replaces a file.
const BINS_PER_COMMIT_MAX: usize = 64;
const BYTES_PER_COMMIT_MAX: u64 = 1 << 30;

/// The live files of a table, and what they share.
struct Live {
    list: Vec<ManifestFile>,
    files: Vec<LiveFile>,
    /// Field ids that files hold, each set once.
    columns: Vec<Vec<i32>>,
}

pub async fn compact(tables: &Tables, table: &str, compaction: &Compaction, dry_run: bool) -> Result<Compacted> {
    let loaded = tables.catalog.load(&tables.ident(table)).await?;
    let live = live(&loaded).await?;
    let mut done = Compacted { files_before: live.files.len(), manifests_before: live.list.len(), ..Compacted::default() };
    let bins = bins::bins(live.files, compaction);
    if dry_run {
        done.files_joined = bins.iter().map(Vec::len).sum();
        return Ok(done);
    }
    for batch in batches(bins) {
        // What was committed for the batch before has moved the list on; the files of this one are where they were.
        let loaded = tables.catalog.load(&tables.ident(table)).await?;
        join(tables, &loaded, table, &batch, &live.columns, compaction, &mut done).await?;
    }
    if done.files_made > 0 {
        done.manifests_after = list(&tables.catalog.load(&tables.ident(table)).await?).await?.len();
    }
    Ok(done)
}

fn batches(bins: Vec<Vec<LiveFile>>) -> Vec<Vec<Vec<LiveFile>>> {
    let mut batches: Vec<Vec<Vec<LiveFile>>> = Vec::new();
    let mut bytes = 0;
    for bin in bins {
        bytes += bin.iter().map(|file| file.size_bytes).sum::<u64>();
        match batches.last_mut() {
            Some(batch) if batch.len() < BINS_PER_COMMIT_MAX && bytes <= BYTES_PER_COMMIT_MAX => batch.push(bin),
            _ => {
                bytes = bin.iter().map(|file| file.size_bytes).sum();
                batches.push(vec![bin]);
            }
        }
    }
    batches
}

/// Writes the joined files of some bins and commits them in the place of their sources.
async fn join(
    tables: &Tables,
    loaded: &Table,
    table: &str,
    bins: &[Vec<LiveFile>],
    columns: &[Vec<i32>],
    compaction: &Compaction,
    done: &mut Compacted,
) -> Result<()> {
    let remove: HashSet<&str> = bins.iter().flatten().map(|file| file.path.as_str()).collect();
    let (entries, unaffected) = pick(loaded, &remove).await?;
    if entries.len() < remove.len() {
        done.files_lost_to_others += remove.len();
        return Ok(());
    }
    let mut joined = Written::default();
    for bin in bins {
        match write(loaded, bin, &entries, columns, compaction).await {
            Ok(written) => {
                joined.rows += written.rows;
                joined.files.extend(written.files);
            }
            Err(error) => {
                tables.discard(table, joined).await?;
                return Err(error);
            }
        }
    }
    let files_joined = remove.len();
    let change = Change {
        unaffected,
        merge: Merge::AtLeast(compaction.files_min),
        ..Change::replace(&joined.files, remove, Operation::Replace)
    };
    match commit(tables, table, &change).await {
        Ok(Outcome::Committed { .. } | Outcome::AlreadyCommitted { .. }) => {
            done.files_joined += files_joined;
            done.files_made += joined.files.len();
            done.rows_moved += joined.rows;
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Refused => {
            tracing::info!(target: "lake.maintain.lost", table, %error);
            done.files_lost_to_others += files_joined;
            tables.discard(table, joined).await
        }
        // Whether it landed is not known, so that its files are left to the sweep.
        Err(error) if error.kind() == ErrorKind::Ambiguous => Err(error),
        Err(error) => {
            tables.discard(table, joined).await?;
            Err(error)
        }
    }
}

/// One file with the rows of the bin's files.
async fn write(
    loaded: &Table,
    bin: &[LiveFile],
    entries: &HashMap<String, DataFile>,
    columns: &[Vec<i32>],
    compaction: &Compaction,
) -> Result<Written> {
    let schema = loaded.metadata().current_schema();
    let held = &columns[bin.first().map_or(0, |file| file.columns)];
    let full = schema_to_arrow_schema(schema)?;
    let fields = schema.as_struct().fields().iter().zip(full.fields());
    let fields: Vec<_> = fields.filter(|(field, _)| holds(field, held)).map(|(_, arrow)| arrow.clone()).collect();
    let shape = lineage::with_lineage(&arrow::datatypes::Schema::new(fields));
    let one = Shape { encoders_max: 1, file_target_bytes: compaction.file_target_bytes };
    let mut writer = TableWriter::shaped(loaded, shape.clone(), one)?;
    let copied = async {
        for file in bin {
            let entry = entries.get(&file.path).ok_or_else(|| Error::new(ErrorKind::Internal, "a picked file has no entry"))?;
            let mut next_row_id = file.first_row_id;
            for batch in read::open(loaded, entry, &shape).await? {
                let batch = lineage::fill(&batch?, next_row_id, file.sequence)?;
                next_row_id += batch.num_rows() as i64;
                writer.write(&batch).await?;
            }
        }
        Ok(())
    };
    let copied: Result<()> = copied.await;
    let written = writer.finish().await?;
    let expected: u64 = bin.iter().map(|file| file.rows).sum();
    let failed = match copied {
        Err(error) => error,
        Ok(()) if written.rows == expected => return Ok(written),
        Ok(()) => {
            Error::new(ErrorKind::Damaged, format!("files of {expected} rows by their manifest hold {} rows", written.rows))
        }
    };
    for file in &written.files {
        loaded.file_io().delete(file.file_path()).await?;
    }
    Err(failed)
}

/// Live files of the default partition spec whose columns are known.
async fn live(loaded: &Table) -> Result<Live> {
    let mut live = Live { list: list(loaded).await?, files: Vec::new(), columns: Vec::new() };
    let schema = loaded.metadata().current_schema();
    let mut sets: HashMap<Vec<i32>, usize> = HashMap::new();
    for entry in &live.list {
        let manifest = entry.load_manifest(loaded.file_io()).await?;
        if entry.partition_spec_id != loaded.metadata().default_partition_spec_id() {
            continue;
        }
        for (alive, first_row_id) in with_row_ids(entry, &manifest) {
            let file = alive.data_file();
            let held = held(file, schema);
            let (Some(first_row_id), Some(partition), false) = (first_row_id, month(file), held.is_empty()) else { continue };
            let fresh = sets.len();
            live.files.push(LiveFile {
                path: file.file_path().to_owned(),
                size_bytes: file.file_size_in_bytes(),
                rows: file.record_count(),
                partition,
                columns: *sets.entry(held).or_insert(fresh),
                sequence: alive.sequence_number().unwrap_or(entry.sequence_number),
                first_row_id,
            });
        }
    }
    live.columns = vec![Vec::new(); sets.len()];
    for (held, at) in sets {
        live.columns[at] = held;
    }
    Ok(live)
}

/// The manifests of the current snapshot.
async fn list(loaded: &Table) -> Result<Vec<ManifestFile>> {
    match loaded.metadata().current_snapshot() {
        Some(current) => Ok(loaded.manifest_list_reader(current).load().await?.consume_entries().into_iter().collect()),
        None => Ok(Vec::new()),
    }
}

/// The partition of our one-field spec; `None` for a file of another shape.
fn month(file: &DataFile) -> Option<Partition> {
    match file.partition().fields() {
        [None] => Some(None),
        [Some(literal)] => match literal.as_primitive_literal() {
            Some(iceberg::spec::PrimitiveLiteral::Int(month)) => Some(Some(month)),
            _ => None,
        },
        _ => None,
    }
}

/// Ids of the table's columns that the file holds, parts of nested ones included, in order.
fn held(file: &DataFile, schema: &Schema) -> Vec<i32> {
    let mut ids: Vec<i32> = file.column_sizes().keys().copied().filter(|id| schema.field_by_id(*id).is_some()).collect();
    ids.sort_unstable();
    ids
}

fn holds(field: &NestedFieldRef, held: &[i32]) -> bool {
    let inside = |id: i32| held.binary_search(&id).is_ok();
    match field.field_type.as_ref() {
        Type::Primitive(_) => inside(field.id),
        Type::Struct(fields) => fields.fields().iter().any(|field| holds(field, held)),
        Type::List(list) => holds(&list.element_field, held),
        Type::Map(map) => holds(&map.key_field, held) || holds(&map.value_field, held),
    }
}

/// The entries of these files as they are now, and the manifests that hold none of them.
async fn pick(loaded: &Table, paths: &HashSet<&str>) -> Result<(HashMap<String, DataFile>, HashSet<String>)> {
    let (mut entries, mut unaffected) = (HashMap::new(), HashSet::new());
    for manifest in list(loaded).await? {
        let read = manifest.load_manifest(loaded.file_io()).await?;
        let before = entries.len();
        for entry in read.entries().iter().filter(|entry| entry.is_alive() && paths.contains(entry.file_path())) {
            entries.insert(entry.file_path().to_owned(), entry.data_file().clone());
        }
        if entries.len() == before {
            unaffected.insert(manifest.manifest_path);
        }
    }
    Ok((entries, unaffected))
}

/// Merges small manifests where no data file has to move.
pub async fn merge_manifests(tables: &Tables, table: &str, least: usize, dry_run: bool) -> Result<(usize, usize)> {
    let loaded = tables.catalog.load(&tables.ident(table)).await?;
    let list = list(&loaded).await?;
    let merge = Merge::AtLeast(least);
    let due: Vec<Vec<usize>> = groups(&list, merge, &vec![false; list.len()]);
    let merged: usize = due.iter().filter(|group| group.len() > 1).map(Vec::len).sum();
    if merged == 0 || dry_run {
        return Ok((list.len(), 0));
    }
    commit(tables, table, &Change { merge, ..Change::replace(&[], HashSet::new(), Operation::Replace) }).await?;
    let after = due.iter().filter(|group| group.len() > 1).count();
    Ok((list.len(), list.len() - merged + after))
}
