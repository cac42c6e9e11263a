//! Which manifests of a snapshot are written together as one, so that a list stays short however many deliveries came.
//! Promise: classes by size, so that an entry is written again a few times in its life and not at each merge.
//! Never: no manifest of another partition spec, none that is large already.

use std::collections::BTreeMap;

use iceberg::spec::ManifestFile;

/// What one merged manifest holds at most, by the stored bytes of its sources.
const TARGET_BYTES: u64 = 8 << 20;
/// As many of one class are merged by the commit that finds them (Iceberg's `commit.manifest.min-count-to-merge`).
const MANY: usize = 100;

/// How eagerly a commit merges the manifests it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Only a class that has grown long: what an ingest does by the way.
    WhenMany,
    /// As soon as so many small ones lie there: what maintenance does.
    AtLeast(usize),
}

/// Places in `list` of the manifests to write anew, a group for each new manifest: the `affected` ones in any case.
pub fn groups(list: &[ManifestFile], merge: Merge, affected: &[bool]) -> Vec<Vec<usize>> {
    let mut classes: BTreeMap<(i32, u32), Vec<usize>> = BTreeMap::new();
    for (at, manifest) in list.iter().enumerate() {
        if !affected[at] && bytes(manifest) < TARGET_BYTES / 2 {
            let class = match merge {
                Merge::WhenMany => live_files(manifest).max(1).ilog(MANY as u64),
                Merge::AtLeast(_) => 0,
            };
            classes.entry((manifest.partition_spec_id, class)).or_default().push(at);
        }
    }
    let least = match merge {
        Merge::WhenMany => MANY,
        Merge::AtLeast(least) => least.max(2),
    };
    let mut chosen: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for ((spec, _), members) in classes {
        if members.len() >= least {
            chosen.entry(spec).or_default().extend(members);
        }
    }
    for at in (0..list.len()).filter(|at| affected[*at]) {
        chosen.entry(list[at].partition_spec_id).or_default().push(at);
    }
    chosen
        .into_values()
        .flat_map(|mut members| {
            members.sort_unstable();
            filled(list, &members)
        })
        .collect()
}

/// In order, cut where a group is full.
fn filled(list: &[ManifestFile], members: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut held = 0;
    for &at in members {
        held += bytes(&list[at]);
        match groups.last_mut() {
            Some(group) if held <= TARGET_BYTES => group.push(at),
            _ => {
                held = bytes(&list[at]);
                groups.push(vec![at]);
            }
        }
    }
    groups
}

fn bytes(manifest: &ManifestFile) -> u64 {
    u64::try_from(manifest.manifest_length).unwrap_or(0)
}

/// Files that the manifest says are live, as far as it says.
fn live_files(manifest: &ManifestFile) -> u64 {
    u64::from(manifest.added_files_count.unwrap_or(0)) + u64::from(manifest.existing_files_count.unwrap_or(0))
}
