//! What two requests at the same moment could break, and one whole way, on a private PostgreSQL.

use std::path::Path;

use super::*;
use crate::settings::StoreSettings;

#[path = "../../../../connectors/src/store/private_postgres.rs"]
pub(crate) mod private_postgres;

/// Names the two roles' URLs in the settings, by files as one does.
pub(crate) fn name(store: &mut StoreSettings, folder: &Path, url: &str, owner: &str) {
    let named = |name: &str, url: &str| {
        let file = folder.join(name);
        std::fs::write(&file, url).unwrap();
        Some(format!("file:{}", file.display()))
    };
    store.postgres = named("url", url);
    store.postgres_owner = named("owner", owner);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_desk_keeps_its_promises_on_postgresql() {
    let Some(cluster) = private_postgres::PrivatePostgres::start() else { return };
    let office = Office::with(Some((cluster.url(), cluster.owner_url())), |_| {}).await;
    teams::a_team_keeps_an_owner(&office).await;
    teams::one_invite_makes_one_member(&office).await;

    let owner = office.at_work(TEAM, "first.owner@nordwind.example").await;

    // Five at once are five, here too.
    let wrong = Password::new("not the password at all");
    let origin = from("198.51.100.9");
    let tries = (0..12).map(|_| office.desk.sign_in("first.owner@nordwind.example", &wrong, &origin));
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Err(Denied::Credentials))).count(), 5, "{answers:?}");

    let caller = office.caller(&owner.token).await.unwrap();
    let scope = caller.tenant.clone().unwrap();
    let end = office.clock.now() + TimeDelta::days(1);
    let made = office.desk.create_token(&scope, Some(&caller.user), "export", &[Grant::Read], end).await.unwrap();
    assert!(office.desk.authenticate(made.secret.reveal(), &origin).await.unwrap().is_some());
    assert_eq!(office.desk.sessions(owner.token.reveal()).await.unwrap().len(), 1);
    assert!(office.letters().await.iter().any(|(_, subject, _)| subject == "Wrong sign-ins to your account"));
    assert!(office.desk.sweep().await.is_ok());
    office.desk.sign_out(owner.token.reveal(), &origin).await.unwrap();
    assert!(office.caller(&owner.token).await.is_none());
}
