//! Orders on a lake in a temporary folder, with a clock that the test moves.

use std::sync::Arc;

use bonded_connectors::{
    clock::{Clock, HandClock},
    seal::SigningKey,
};
use bonded_schemas::{Channel, TenantScope};
use chrono::TimeDelta;
use tempfile::TempDir;

use super::*;
use crate::{
    ingest::{Source, ingest},
    lakehouse::{Doors, Tenant},
    settings::Settings,
};

const CSV: &[u8] = b"Entry Summary Number,Entry Type Code,Entry Date\nABC12345676,01,04/02/2025\n";

struct Place {
    folder: TempDir,
    clock: Arc<HandClock>,
}

impl Place {
    fn new() -> Self {
        let at = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
        Self { folder: TempDir::new().unwrap(), clock: Arc::new(HandClock::at(at)) }
    }

    fn settings(&self) -> Settings {
        let lake = self.folder.path().join("lake").display().to_string();
        Settings { lake, ..Settings::default() }
    }

    async fn house(&self) -> Lakehouse {
        Lakehouse::init(self.settings(), Doors::new(self.clock.clone())).await.unwrap().0
    }

    fn owner(&self, name: &str) -> SigningKey {
        SigningKey::create(&self.folder.path().join(name)).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test establishes its own scopes")]
fn scope(tenant: &str) -> TenantScope {
    TenantScope::establish(tenant.parse().unwrap(), "test")
}

async fn deliver(house: &Lakehouse, name: &str) -> crate::Result<crate::ingest::Ingested> {
    let tenant = house.tenant(&scope(name)).await?;
    let mut bytes = CSV;
    let source = Source {
        file_name: "ES-001.csv".into(),
        bytes: &mut bytes,
        channel: Channel::Console,
        as_of: None,
        envelope: None,
        poa: None,
    };
    ingest(house, &tenant, source).await
}

/// Two tenants with a delivery each, and an owner of the first.
async fn two(place: &Place) -> (Lakehouse, SigningKey) {
    let house = place.house().await;
    for name in ["fictional-lantern", "fictional-kettle"] {
        house.add_tenant(&scope(name)).await.unwrap();
        deliver(&house, name).await.unwrap();
    }
    let key = place.owner("owner.key");
    let lantern = "fictional-lantern".parse().unwrap();
    assert!(add_owner(&house, "test", &lantern, "Owner of Lantern", &key.public_key(), None).await.unwrap());
    (house, key)
}

async fn rows(house: &Lakehouse, tenant: &Tenant) -> crate::Result<usize> {
    let session = crate::answers::session(house, tenant).await?;
    let (mut answer, mut rows) = (session.query("SELECT entry_summary_number FROM es_001").await?, 0);
    while let Some(batch) = answer.next().await? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

fn lantern() -> TenantId {
    "fictional-lantern".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_order_makes_everything_of_the_tenant_unreadable_and_nothing_of_another() {
    let place = Place::new();
    let (house, owner) = two(&place).await;
    // What a running server may hold: rooms already opened, table keys already cached.
    let held = house.tenant(&scope("fictional-lantern")).await.unwrap();
    let path = held.ledger.deliveries().await.unwrap()[0].raw_path.clone();
    assert_eq!(rows(&house, &held).await.unwrap(), 1);

    let order = request(&house, "test", &lantern(), "contract ended", 7).await.unwrap();
    assert_eq!(order.state, State::Requested);
    deliver(&house, "fictional-lantern").await.expect("asking alone changes nothing");

    let order = approve(&house, "test", &order.id, &owner.sign(order.text.as_bytes())).await.unwrap();
    assert_eq!((order.state, order.destroy_at), (State::Scheduled, Some(place.clock.now() + TimeDelta::days(7))));
    let refused = |error: &dyn std::fmt::Display| assert!(error.to_string().contains("pending deletion"), "{error}");
    refused(&deliver(&house, "fictional-lantern").await.unwrap_err());
    refused(&rows(&house, &held).await.unwrap_err());
    refused(&house.raw.open(&held.scope, &held.key, &path).await.unwrap_err());
    assert!(finish(&house, "test").await.unwrap().is_empty(), "not due yet");

    // Another process, and the waiting is over.
    place.clock.forward(TimeDelta::days(7));
    let other = place.house().await;
    let done = finish(&other, "test").await.unwrap();
    assert_eq!(
        done.iter().map(|order| (order.id.as_str(), order.state)).collect::<Vec<_>>(),
        [(order.id.as_str(), State::Destroyed)]
    );
    let gone = |error: &dyn std::fmt::Display| assert!(error.to_string().contains("deleted"), "{error}");
    gone(&rows(&house, &held).await.unwrap_err());
    gone(&house.raw.open(&held.scope, &held.key, &path).await.unwrap_err());
    gone(&house.tenant(&scope("fictional-lantern")).await.unwrap_err());
    let keyring = std::fs::read_to_string(place.settings().keys_dir().unwrap().join("keyring.json")).unwrap();
    let keyring: serde_json::Value = serde_json::from_str(&keyring).unwrap();
    for key in keyring["keys"].as_array().unwrap() {
        let destroyed = key["versions"].as_array().unwrap().iter().all(|version| version["wrapped"] == "");
        assert_eq!(destroyed, key["tenant"] == "fictional-lantern", "{}", key["tenant"]);
    }
    // The other tenant is untouched, and the proof holds.
    assert!(deliver(&other, "fictional-kettle").await.unwrap().duplicate);
    let proof = find(&other, &order.id).await.unwrap().proof.unwrap();
    let body = verify(&proof, Some(&proof.public_key)).unwrap();
    assert_eq!((body.tenant, body.approvals[0].owner.as_str()), (lantern(), "Owner of Lantern"));
    assert!(finish(&other, "test").await.unwrap().is_empty(), "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_owner_can_put_an_order_into_effect() {
    let place = Place::new();
    let (house, owner) = two(&place).await;
    let kettle: TenantId = "fictional-kettle".parse().unwrap();
    let unowned = request(&house, "test", &kettle, "a mistake", 7).await.unwrap_err();
    assert!(unowned.to_string().contains("no owner"), "{unowned}");
    let order = request(&house, "test", &lantern(), "contract ended", 7).await.unwrap();
    let stranger = place.owner("stranger.key");
    let other_text = order.text.replace("days: 7", "days: 8");
    for signature in [stranger.sign(order.text.as_bytes()), owner.sign(other_text.as_bytes()), String::new(), "AAAA".into()] {
        let refused = approve(&house, "test", &order.id, &signature).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    }
    deliver(&house, "fictional-lantern").await.expect("still open");
    let second = request(&house, "test", &lantern(), "again", 7).await.unwrap_err();
    assert!(second.to_string().contains("already"), "{second}");
    // A further owner needs the signature of the first.
    let add = async |approval: Option<String>| {
        add_owner(&house, "test", &lantern(), "Second", &stranger.public_key(), approval.as_deref()).await
    };
    let text = owner_text(&lantern(), "Second", &stranger.public_key());
    assert_eq!(add(None).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(add(Some(stranger.sign(text.as_bytes()))).await.unwrap_err().kind(), ErrorKind::Refused);
    assert!(add(Some(owner.sign(text.as_bytes()))).await.unwrap());
    approve(&house, "test", &order.id, &stranger.sign(order.text.as_bytes())).await.expect("an owner now");
    // Each refusal stands in the lake's own trail.
    let refusals = house.trail().await.unwrap().into_iter().filter(|(_, event)| event.result.starts_with("refused")).count();
    assert_eq!(refusals, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_can_be_taken_back_until_the_keys_are_gone() {
    let place = Place::new();
    let (house, owner) = two(&place).await;
    let order = request(&house, "test", &lantern(), "contract ended", 7).await.unwrap();
    approve(&house, "test", &order.id, &owner.sign(order.text.as_bytes())).await.unwrap();
    assert_eq!(cancel(&house, "test", &order.id).await.unwrap().state, State::Cancelled);
    assert!(deliver(&house, "fictional-lantern").await.unwrap().duplicate);
    let again = approve(&house, "test", &order.id, &owner.sign(order.text.as_bytes())).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Refused, "an old signature revives no order");
    let order = request(&house, "test", &lantern(), "contract ended", 7).await.unwrap();
    approve(&house, "test", &order.id, &owner.sign(order.text.as_bytes())).await.unwrap();
    place.clock.forward(TimeDelta::days(7));
    let late = cancel(&house, "test", &order.id).await.unwrap_err();
    assert!(late.to_string().contains("too late"), "{late}");
    assert_eq!(find(&house, &order.id).await.unwrap().state, State::Scheduled);
    assert_eq!(finish(&house, "test").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_proof_is_refused() {
    let place = Place::new();
    let (house, owner) = two(&place).await;
    let order = request(&house, "test", &lantern(), "contract ended", 7).await.unwrap();
    approve(&house, "test", &order.id, &owner.sign(order.text.as_bytes())).await.unwrap();
    place.clock.forward(TimeDelta::days(7));
    let proof = finish(&house, "test").await.unwrap().remove(0).proof.unwrap();
    verify(&proof, None).unwrap();
    let altered = Proof { body: proof.body.replace("fictional-lantern", "fictional-kettle"), ..proof.clone() };
    assert!(verify(&altered, None).is_err());
    let other = place.owner("another.key");
    assert!(verify(&proof, Some(&other.public_key())).is_err());
    // Signed by somebody else: whole in itself, and not this lake's.
    let forged = Proof { signature: other.sign(proof.body.as_bytes()), public_key: other.public_key(), body: proof.body.clone() };
    assert!(verify(&forged, None).is_ok() && verify(&forged, Some(&proof.public_key)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_takes_the_name_of_the_lake() {
    let place = Place::new();
    let house = place.house().await;
    assert_eq!(house.add_tenant(&scope("bonded-lake")).await.unwrap_err().kind(), ErrorKind::Input);
}
