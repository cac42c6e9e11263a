//! Uploads on a lake in a temporary folder, with a clock that the test moves.

use std::sync::Arc;

use bonded_connectors::{
    clock::{Clock, HandClock},
    lake::copy::sha256,
};
use bonded_schemas::{DeliveryState, TenantScope};
use tempfile::TempDir;

use super::*;
use crate::{
    ErrorKind,
    demo::corpus::{Corpus, Plan as CorpusPlan},
    lakehouse::Doors,
    settings::{Settings, UploadSettings},
};

const US: &str = "machine-1";
const LANTERN: &str = "fictional-lantern";
const KETTLE: &str = "fictional-kettle";

struct Place {
    folder: TempDir,
    clock: Arc<HandClock>,
    house: Lakehouse,
    tenant: Tenant,
}

impl Place {
    async fn new(uploads: UploadSettings) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(HandClock::at(DateTime::from_timestamp(1_780_000_000, 0).unwrap()));
        let lake = folder.path().join("lake").display().to_string();
        let settings = Settings { lake, uploads, ..Settings::default() };
        let house = Lakehouse::init(settings, Doors::new(clock.clone())).await.unwrap().0;
        for name in [LANTERN, KETTLE] {
            house.add_tenant(&scope(name)).await.unwrap();
        }
        let tenant = house.tenant(&scope(LANTERN)).await.unwrap();
        Self { folder, clock, house, tenant }
    }

    async fn announce(&self, bytes: &[u8]) -> Start {
        let what = Announced { file_name: "a.csv".into(), size_bytes: bytes.len() as u64, sha256: sha256(bytes), as_of: None };
        begin(&self.house, &self.tenant, US, Some("POA-7"), &what).await.unwrap()
    }

    async fn begun(&self, bytes: &[u8]) -> Uuid {
        match self.announce(bytes).await {
            Start::New(upload) => upload.id.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn add(&self, id: Uuid, at: usize, plain: &[u8]) -> Added {
        add(&self.house, &self.tenant, US, id, at as u64, plain).await.unwrap()
    }

    async fn land(&self, id: Uuid) -> Whole {
        land(&self.house, &self.tenant, US, Some("POA-7".into()), id).await.unwrap()
    }

    fn staged(&self) -> usize {
        let staging = self.folder.path().join(format!("lake/tenants/{LANTERN}/raw/staging"));
        std::fs::read_dir(staging).map(Iterator::count).unwrap_or_default()
    }

    async fn told(&self) -> Vec<String> {
        let trail = self.tenant.trail().await.unwrap();
        trail.into_iter().map(|(_, event)| format!("{} {}", event.action, event.result)).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().unwrap(), "machine:machine-1")
}

fn sample(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8).collect()
}

const PIECE: usize = PIECE_BYTES_MIN as usize;

#[tokio::test]
async fn pieces_become_a_delivery_like_any_other_under_its_power_of_attorney() {
    let place = Place::new(UploadSettings::default()).await;
    let bytes = sample(2 * PIECE + 7);
    let id = place.begun(&bytes).await;
    assert_eq!(place.add(id, 0, &bytes[..PIECE]).await, Added::Kept(PIECE as u64));
    // Announced again it is the same one, where it stands.
    match place.announce(&bytes).await {
        Start::There(upload) => assert_eq!((upload.id, upload.offset_bytes), (id.to_string(), PIECE as u64)),
        other => panic!("{other:?}"),
    }
    assert_eq!(place.add(id, 0, &bytes[..PIECE]).await, Added::Elsewhere(PIECE as u64));
    assert_eq!(place.add(id, PIECE, &bytes[PIECE..PIECE + 5]).await, Added::Unfit, "too short, and not the last");
    assert_eq!(place.add(id, PIECE, &[]).await, Added::Unfit);
    assert_eq!(place.add(id, PIECE, &sample(2 * PIECE)).await, Added::Unfit, "more than is missing");
    assert!(matches!(place.land(id).await, Whole::Incomplete(at) if at == PIECE as u64));
    assert_eq!(place.add(id, PIECE, &bytes[PIECE..2 * PIECE]).await, Added::Kept(2 * PIECE as u64));
    assert_eq!(place.add(id, 2 * PIECE, &bytes[2 * PIECE..]).await, Added::Kept(bytes.len() as u64));
    assert_eq!(place.staged(), 3);

    let Whole::Landed(row) = place.land(id).await else { panic!("whole") };
    assert_eq!((row.state, row.size_bytes), (DeliveryState::Landed, bytes.len() as u64));
    for first in [true, false] {
        let change = Change::made(&json!({ "power_of_attorney": "POA-7" })).unwrap();
        assert_eq!(end(&place.house, &place.tenant, id, &row, "landed", change).await.unwrap(), first);
    }
    assert_eq!(place.staged(), 0);
    // Whoever did not hear the answer asks again, and whoever lost all begins again.
    assert!(matches!(place.land(id).await, Whole::Landed(again) if again.delivery_id == row.delivery_id));
    assert!(matches!(place.announce(&bytes).await, Start::Known(known) if known.delivery_id == row.delivery_id));
    let told = place.told().await;
    assert_eq!(told.iter().filter(|line| *line == "deliver landed").count(), 1, "{told:?}");

    let receipt = ingest::replay(&place.house, &place.tenant, *row).await.unwrap();
    assert_eq!((receipt.delivery.poa.as_deref(), receipt.sha256), (Some("POA-7"), sha256(&bytes)));
    // In another tenant nobody knows of these bytes.
    let kettle = place.house.tenant(&scope(KETTLE)).await.unwrap();
    let what = Announced { file_name: "a".into(), size_bytes: bytes.len() as u64, sha256: sha256(&bytes), as_of: None };
    assert!(matches!(begin(&place.house, &kettle, US, None, &what).await.unwrap(), Start::New(_)));
}

#[tokio::test]
async fn an_upload_is_its_callers_alone() {
    let place = Place::new(UploadSettings::default()).await;
    let bytes = sample(PIECE);
    let id = place.begun(&bytes).await;
    let (house, tenant) = (&place.house, &place.tenant);
    assert_eq!(look(house, tenant, "machine-2", id).await.unwrap(), None);
    assert_eq!(add(house, tenant, "machine-2", id, 0, &bytes).await.unwrap(), Added::Missing);
    assert!(matches!(land(house, tenant, "machine-2", None, id).await.unwrap(), Whole::Missing));
    assert!(!cancel(house, tenant, "machine-2", id).await.unwrap());
    assert_eq!(place.add(id, 0, &bytes).await, Added::Kept(bytes.len() as u64));
    assert!(cancel(house, tenant, US, id).await.unwrap());
    assert_eq!((look(house, tenant, US, id).await.unwrap(), place.staged()), (None, 0));
    assert!(place.told().await.contains(&"upload.end given up".to_owned()));
}

#[tokio::test]
async fn what_is_not_what_was_announced_is_not_landed_and_not_kept() {
    let place = Place::new(UploadSettings::default()).await;
    let id = place.begun(&sample(PIECE)).await;
    let other = vec![7; PIECE];
    assert_eq!(place.add(id, 0, &other).await, Added::Kept(PIECE as u64));
    assert!(matches!(place.land(id).await, Whole::Broken));
    assert!(matches!(place.land(id).await, Whole::Missing));
    assert_eq!(place.staged(), 0);
    assert_eq!(place.tenant.ledger.deliveries().await.unwrap(), []);
    // A piece that was lost from the disk is no whole either; begun anew it goes well.
    let bytes = sample(PIECE);
    let id = place.begun(&bytes).await;
    place.add(id, 0, &bytes).await;
    let pieces = place.tenant.ledger.pieces(&id.to_string()).await.unwrap();
    place.house.raw.unstage_pieces(&place.tenant.scope, &pieces).await;
    assert!(matches!(place.land(id).await, Whole::Broken));
    let id = place.begun(&bytes).await;
    place.add(id, 0, &bytes).await;
    assert!(matches!(place.land(id).await, Whole::Landed(_)));
    let what = Announced { file_name: "a".into(), size_bytes: 1, sha256: "no digest".into(), as_of: None };
    let error = begin(&place.house, &place.tenant, US, None, &what).await.expect_err("no digest");
    assert_eq!(error.kind(), ErrorKind::Input);
}

#[tokio::test]
async fn an_upload_is_over_after_its_time_and_takes_no_room_then() {
    let place = Place::new(UploadSettings { open_max: 2, bytes_max: 3 * PIECE_BYTES_MIN, ..UploadSettings::default() }).await;
    let first = sample(PIECE);
    let id = place.begun(&first).await;
    place.add(id, 0, &first).await;
    assert!(matches!(place.announce(&sample(3 * PIECE + 1)).await, Start::TooLarge));
    assert!(matches!(place.announce(&sample(3 * PIECE)).await, Start::Full), "with what is open it is too much");
    place.begun(&sample(PIECE + 1)).await;
    assert!(matches!(place.announce(&sample(PIECE + 2)).await, Start::Full));

    place.clock.forward(TimeDelta::hours(24) - TimeDelta::milliseconds(1));
    assert!(look(&place.house, &place.tenant, US, id).await.unwrap().is_some());
    assert_eq!(sweep(&place.house, &place.tenant).await.unwrap(), 0);
    place.clock.forward(TimeDelta::milliseconds(1));
    assert_eq!(look(&place.house, &place.tenant, US, id).await.unwrap(), None);
    assert!(matches!(place.land(id).await, Whole::Missing));
    assert_eq!(place.staged(), 1);
    // Whoever begins another makes room, and so does maintenance.
    place.begun(&sample(PIECE + 2)).await;
    assert_eq!(place.staged(), 0);
    assert_eq!(place.told().await.iter().filter(|line| *line == "upload.end its time is over").count(), 2);
    place.clock.forward(TimeDelta::hours(24));
    assert_eq!(sweep(&place.house, &place.tenant).await.unwrap(), 1);
    assert_eq!(sweep(&place.house, &place.tenant).await.unwrap(), 0);
}

#[tokio::test]
async fn a_large_file_must_come_in_large_pieces() {
    let place = Place::new(UploadSettings::default()).await;
    let what = |size_bytes| Announced { file_name: "a".into(), size_bytes, sha256: sha256(b"large"), as_of: None };
    let limit = place.house.settings.ingest.file_bytes_max;
    assert!(matches!(begin(&place.house, &place.tenant, US, None, &what(limit + 1)).await.unwrap(), Start::TooLarge));
    let size = PIECES_MAX * PIECE_BYTES_MIN + 1;
    match begin(&place.house, &place.tenant, US, None, &what(size)).await.unwrap() {
        Start::New(upload) => assert_eq!(upload.piece_bytes_min, PIECE_BYTES_MIN + 1),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_says_that_it_is_of_a_time_to_come_or_long_ago_is_refused_however_it_comes() {
    let place = Place::new(UploadSettings::default()).await;
    let now = place.clock.now();
    for (as_of, taken) in [
        ("+12026-01-01T00:00:00Z".parse().unwrap(), false),
        ("1999-12-31T23:59:59Z".parse().unwrap(), false),
        (now + TimeDelta::hours(25), false),
        (now + TimeDelta::hours(23), true),
        ("2000-01-01T00:00:00Z".parse().unwrap(), true),
    ] {
        let bytes = format!("of {as_of}");
        let sha256 = sha256(bytes.as_bytes());
        let what = Announced { file_name: "a.csv".into(), size_bytes: bytes.len() as u64, sha256, as_of: Some(as_of) };
        let begun = begin(&place.house, &place.tenant, US, None, &what).await;
        let mut bytes = bytes.as_bytes();
        let (channel, as_of) = (Channel::Api, Some(as_of));
        let source = Source { file_name: "a.csv".into(), bytes: &mut bytes, channel, as_of, envelope: None, poa: None };
        let landed = ingest::land_only(&place.house, &place.tenant, source).await;
        let kinds = [begun.err(), landed.err()].map(|error| error.map(|error| error.kind()));
        assert_eq!(kinds, if taken { [None; 2] } else { [Some(ErrorKind::Input); 2] }, "{:?}", what.as_of);
    }
    assert_eq!(place.tenant.ledger.deliveries().await.unwrap().len(), 2);
}

#[tokio::test]
async fn known_bytes_that_are_announced_again_are_a_repeat_of_the_time_that_was_announced() {
    let place = Place::new(UploadSettings::default()).await;
    let mut bytes = Vec::new();
    let corpus = Corpus::new(CorpusPlan::new(7, 20)).unwrap();
    corpus.write(bonded_schemas::Report::Es003, &mut bytes).unwrap();
    let mut plain = bytes.as_slice();
    let source =
        Source { file_name: "a.csv".into(), bytes: &mut plain, channel: Channel::Api, as_of: None, envelope: None, poa: None };
    let first = ingest::ingest(&place.house, &place.tenant, source).await.unwrap().receipt.delivery;
    place.clock.forward(TimeDelta::days(7));
    let (now, as_of) = (place.clock.now(), place.clock.now() - TimeDelta::hours(3));
    let size_bytes = bytes.len() as u64;
    let what = Announced { file_name: "a.csv".into(), size_bytes, sha256: sha256(&bytes), as_of: Some(as_of) };
    assert!(matches!(begin(&place.house, &place.tenant, US, None, &what).await.unwrap(), Start::Known(_)));
    let repeat = RepeatRow { delivery_id: first.id, received_at: now, as_of };
    assert_eq!(place.tenant.ledger.repeats().await.unwrap(), [repeat]);
}
