//! Everything that a tenant's tables refer to: metadata, its log, manifest lists, manifests, data files of retained snapshots.
//! Promise: complete or an error; a list or manifest that cannot be read ends the sweep before anything is deleted.

use std::collections::{HashMap, HashSet};

use iceberg::{
    spec::{ManifestFile, SnapshotRef},
    table::Table,
};

use super::super::Tables;
use crate::error::Result;

/// Grows with each look: what was referred to at any look of one sweep is kept.
#[derive(Debug, Default)]
pub struct References {
    locations: HashSet<String>,
    /// Table -> where its pointer stood at the last look.
    pointers: HashMap<String, String>,
}

impl References {
    pub fn holds(&self, location: &str) -> bool {
        self.locations.contains(location)
    }

    /// Looks at every table whose pointer moved since the last look; says whether one did.
    pub async fn look(&mut self, tables: &Tables) -> Result<bool> {
        let mut moved = false;
        for table in tables.names().await? {
            let ident = tables.ident(&table);
            let location = tables.catalog.location(&ident).await?;
            if location.as_ref() == self.pointers.get(&table) {
                continue;
            }
            // The pointer may move on between the two; what is loaded is then newer, and the next look sees the move.
            let loaded = tables.catalog.load(&ident).await?;
            self.add(&loaded).await?;
            self.pointers.insert(table, loaded.metadata_location_result()?.to_owned());
            moved = true;
        }
        Ok(moved)
    }

    async fn add(&mut self, table: &Table) -> Result<()> {
        let metadata = table.metadata();
        self.locations.insert(table.metadata_location_result()?.to_owned());
        self.locations.extend(metadata.metadata_log().iter().map(|entry| entry.metadata_file.clone()));
        self.locations.extend(metadata.statistics_iter().map(|file| file.statistics_path.clone()));
        self.locations.extend(metadata.partition_statistics_iter().map(|file| file.statistics_path.clone()));
        let snapshots: Vec<SnapshotRef> = metadata.snapshots().cloned().collect();
        for snapshot in snapshots {
            if self.locations.contains(snapshot.manifest_list()) {
                continue;
            }
            let list = table.manifest_list_reader(&snapshot).load().await?;
            let manifests: Vec<ManifestFile> = list.consume_entries().into_iter().collect();
            for manifest in manifests {
                if self.locations.contains(&manifest.manifest_path) {
                    continue;
                }
                let entries = manifest.load_manifest(table.file_io()).await?;
                let live = entries.entries().iter().filter(|entry| entry.is_alive());
                self.locations.extend(live.map(|entry| entry.file_path().to_owned()));
                self.locations.insert(manifest.manifest_path);
            }
            self.locations.insert(snapshot.manifest_list().to_owned());
        }
        Ok(())
    }
}
