//! The databases that a bench of the control store runs on, each round on one of its own.

use bonded_connectors::store::Place;
use tempfile::TempDir;

use crate::private_postgres::PrivatePostgres;

pub const DATABASES: [&str; 2] = ["SQLite", "PostgreSQL"];

/// `None` where PostgreSQL is not installed. `name` is that of a database which is not there yet.
pub fn place(database: &str, folder: &TempDir, cluster: Option<&PrivatePostgres>, name: &str) -> Option<Place> {
    if database == "SQLite" {
        return Some(Place::Sqlite(folder.path().into()));
    }
    let (url, owner) = cluster?.another(name);
    Some(Place::Postgres { url, owner: Some(owner) })
}

/// Ours and the peer, every other round the other way round.
pub fn in_turn(round: usize) -> [usize; 2] {
    if round.is_multiple_of(2) { [0, 1] } else { [1, 0] }
}
