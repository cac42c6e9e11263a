//! One suite for uploads, run on SQLite and on a private PostgreSQL.

use chrono::DateTime;

use super::*;
use crate::store::{
    Place,
    tests::{made, on_both_stores, record, scope},
};

const ROOM: UploadLimits = UploadLimits { open_max: 3, bytes_max: 1_000 };

on_both_stores!();

async fn conforms(place: Place) {
    let store = made(place).await;
    let mut tenants = Vec::new();
    for name in ["acme", "zenith", "globex"] {
        store.add_tenant(&record(name)).await.unwrap();
        tenants.push(store.open_tenant(&scope(name)).await.unwrap());
    }
    an_upload_moves_on_by_one_piece_at_a_time(&tenants[0], &tenants[1]).await;
    limits_hold_for_those_who_ask_at_the_same_moment(&tenants[1]).await;
    an_upload_ends_once_and_gives_up_its_pieces(&tenants[2]).await;
}

fn told(sealed: &str) -> NewEvent<'_> {
    NewEvent { at: DateTime::from_timestamp(1_780_000_000, 0).unwrap(), sealed }
}

fn row(id: &str, size_bytes: u64) -> UploadRow {
    UploadRow {
        upload_id: id.into(),
        caller: "machine-1".into(),
        keyed_digest: format!("digest of {id}"),
        size_bytes,
        offset_bytes: 0,
        delivery_id: String::new(),
        begun_ms: 10,
        sealed: "sealed".into(),
    }
}

fn piece_at(offset_bytes: u64, size_bytes: u64, name: &str) -> PieceRow {
    PieceRow { offset_bytes, size_bytes, name: name.into() }
}

async fn an_upload_moves_on_by_one_piece_at_a_time(acme: &TenantStore, other: &TenantStore) {
    let first = row("u1", 100);
    assert_eq!(acme.begin_upload(&first, ROOM, told("begun")).await.unwrap(), Begun::New);
    let events = acme.audit().await.unwrap().len();
    // The same bytes once more are the same upload; of another caller they are another.
    let again = UploadRow { upload_id: "u2".into(), ..first.clone() };
    assert_eq!(acme.begin_upload(&again, ROOM, told("x")).await.unwrap(), Begun::There(first.clone()));
    assert_eq!(acme.audit().await.unwrap().len(), events, "nothing was begun, nothing is told");
    assert_eq!(acme.upload("u1", "machine-2").await.unwrap(), None);
    assert_eq!(other.upload("u1", "machine-1").await.unwrap(), None);

    assert!(!acme.add_piece("u1", &piece_at(10, 5, "early")).await.unwrap(), "not where the upload is");
    let (one, two) = (piece_at(0, 60, "one"), piece_at(0, 60, "two"));
    let (one, two) = tokio::join!(acme.add_piece("u1", &one), acme.add_piece("u1", &two));
    let won = |answer: &Result<bool>| match answer {
        Ok(won) => *won,
        // On SQLite the later of two transactions may be told to come again.
        Err(error) => panic!("{error}"),
    };
    assert_eq!(u32::from(won(&one)) + u32::from(won(&two)), 1, "one wins: {one:?} {two:?}");
    assert!(!acme.add_piece("u1", &piece_at(60, 41, "long")).await.unwrap(), "more than was announced");
    assert!(acme.add_piece("u1", &piece_at(60, 40, "last")).await.unwrap());
    assert_eq!(acme.upload("u1", "machine-1").await.unwrap().unwrap().offset_bytes, 100);
    let names: Vec<u64> = acme.pieces("u1").await.unwrap().iter().map(|piece| piece.offset_bytes).collect();
    assert_eq!(names, [0, 60]);
}

async fn limits_hold_for_those_who_ask_at_the_same_moment(acme: &TenantStore) {
    let rows: Vec<UploadRow> = (0..6).map(|n| row(&format!("u{n}"), 10)).collect();
    let asked = rows.iter().map(|row| acme.begin_upload(row, ROOM, told("begun")));
    let answers: Vec<Begun> = futures::future::join_all(asked).await.into_iter().collect::<Result<_>>().unwrap();
    assert_eq!(answers.iter().filter(|answer| **answer == Begun::New).count(), 3, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| **answer == Begun::TooMany).count(), 3, "{answers:?}");
    let open = acme.uploads_before(11).await.unwrap();
    assert_eq!(open.len(), 3);
    assert_eq!(acme.uploads_before(10).await.unwrap(), []);
    acme.forget_upload(&open[0].upload_id, Some(told("gone"))).await.unwrap().unwrap();
    assert_eq!(acme.begin_upload(&row("large", 981), ROOM, told("x")).await.unwrap(), Begun::TooLarge);
    assert_eq!(acme.begin_upload(&row("fits", 980), ROOM, told("begun")).await.unwrap(), Begun::New);
}

async fn an_upload_ends_once_and_gives_up_its_pieces(acme: &TenantStore) {
    acme.begin_upload(&row("u1", 7), ROOM, told("begun")).await.unwrap();
    acme.add_piece("u1", &piece_at(0, 7, "all")).await.unwrap();
    let events = acme.audit().await.unwrap().len();
    assert_eq!(acme.end_upload("u1", "d1", told("ended")).await.unwrap(), Some(vec![piece_at(0, 7, "all")]));
    assert_eq!(acme.end_upload("u1", "d2", told("x")).await.unwrap(), None);
    assert_eq!(acme.audit().await.unwrap().len(), events + 1);
    let ended = acme.upload("u1", "machine-1").await.unwrap().unwrap();
    assert_eq!((ended.delivery_id.as_str(), acme.pieces("u1").await.unwrap()), ("d1", vec![]));
    assert!(!acme.add_piece("u1", &piece_at(7, 0, "late")).await.unwrap());
    // It takes no room any more.
    for n in 0..3 {
        assert_eq!(acme.begin_upload(&row(&format!("n{n}"), 300), ROOM, told("begun")).await.unwrap(), Begun::New);
    }
    assert_eq!(acme.forget_upload("u1", Some(told("gone"))).await.unwrap(), Some(vec![]));
    assert_eq!(acme.forget_upload("u1", None).await.unwrap(), None);
}
