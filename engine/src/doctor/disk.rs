//! The room that is left where files are written.

use std::path::PathBuf;

use bonded_connectors::{
    disk::{Space, space},
    lake::lake_folder,
};

use super::{Chart, Verdict};
use crate::{error::Result, settings::Settings};

/// Below this nothing large is taken in any more.
const BYTES_MIN: u64 = 512 << 20;

pub(super) fn look(settings: &Settings, chart: &mut Chart) -> Result<()> {
    let mut places: Vec<(&str, PathBuf)> = Vec::new();
    if let Ok(lake) = lake_folder(&settings.lake) {
        places.push(("lake", lake));
    }
    if let Ok(keys) = settings.keys_dir() {
        places.push(("keys", keys));
    }
    places.push(("temporary files", std::env::temp_dir()));
    for (what, folder) in places {
        // One that is not there yet is told by who opens it.
        if !folder.exists() {
            continue;
        }
        let object = format!("{what}: {}", folder.display());
        match space(&folder) {
            Ok(space) => {
                let percent_min = settings.doctor.disk_free_percent_min;
                let says = format!("{:.1} GB of {:.1} GB are free", gigabytes(space.free_bytes), gigabytes(space.total_bytes));
                let mend = "free space or make it larger; what was taken in until then is kept when it is full";
                match judged(space, percent_min) {
                    Verdict::Fail => chart.fail(object, says, mend),
                    Verdict::Warn => chart.warn(object, format!("{says}, less than {percent_min} %"), mend),
                    Verdict::Ok | Verdict::NotAsked => chart.ok(object, says),
                }
            }
            Err(error) => chart.failed(object, &error.into()),
        }
    }
    Ok(())
}

pub(super) fn judged(space: Space, percent_min: u8) -> Verdict {
    let enough = u128::from(space.total_bytes) * u128::from(percent_min) / 100;
    match u128::from(space.free_bytes) {
        free if free < u128::from(BYTES_MIN) => Verdict::Fail,
        free if free < enough => Verdict::Warn,
        _ => Verdict::Ok,
    }
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
