//! Zombies: a worker whose lease ran out commits nothing, whenever it wakes. On SQLite, on PostgreSQL, and with the pointers
//! in Glue.

use super::*;
use crate::store::fence::Fence;

/// Runs the case on both backends, and beside Glue.
macro_rules! everywhere {
    ($case:ident, $sqlite:ident, $postgresql:ident, $glue:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $sqlite() {
            $case(World::new().await).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $postgresql() {
            if let Some(cluster) = PrivatePostgres::start() {
                $case(World::on(Some(on(&cluster))).await).await;
            }
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $glue() {
            if let Some(world) = super::glue::world().await {
                $case(world).await;
            }
        }
    };
}

fn fence(token: i64) -> Fence {
    Fence { keyed_digest: "d1".into(), token }
}

fn mark() -> Mark {
    Mark { report: Report::Es003, keyed_digest: "d1".into() }
}

impl Room {
    /// What a worker with this lease holds.
    async fn worker(&self, token: i64) -> Tables {
        self.ledger.raise_fence(&fence(token)).await.expect("raised");
        self.tables.behind(fence(token))
    }

    async fn snapshots(&self) -> usize {
        self.load().await.metadata().snapshots().len()
    }
}

everywhere!(
    zombie_before,
    a_zombie_that_wakes_before_the_second_commit_is_refused,
    a_zombie_is_refused_on_postgresql_too,
    a_zombie_is_refused_beside_glue_too
);

async fn zombie_before(world: World) {
    let room = world.room("acme").await;
    room.land("d1").await.expect("landed");
    let zombie = room.worker(1).await;
    let slept_over = room.written(0, 100).await;
    let second = room.worker(2).await;
    let before = room.objects().await;
    assert!(before.iter().any(|path| path.contains("/data/")), "the zombie wrote its files");

    let refused = zombie.append("es_003", slept_over, &mark()).await.expect_err("its lease is not the last");
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("another worker has the delivery"), "{refused}");
    assert_eq!(room.snapshots().await, 0);
    assert_eq!(room.ledger.delivery_by_digest("d1").await.unwrap().unwrap().state, bonded_schemas::DeliveryState::Landed);
    let left: Vec<String> =
        room.objects().await.into_iter().filter(|path| path.contains("/data/") || path.ends_with(".avro")).collect();
    assert_eq!(left, Vec::<String>::new(), "the refused commit's files stayed behind");

    let outcome = second.append("es_003", room.written(0, 100).await, &mark()).await.expect("committed");
    assert!(matches!(outcome, Outcome::Committed { attempts: 1, .. }), "{outcome:?}");
    assert_eq!((room.snapshots().await, room.rows().await.len()), (1, 100));
}

everywhere!(
    zombie_after,
    a_zombie_that_wakes_after_the_second_commit_finds_it_done,
    a_zombie_finds_it_done_on_postgresql_too,
    a_zombie_finds_it_done_beside_glue_too
);

async fn zombie_after(world: World) {
    let room = world.room("acme").await;
    room.land("d1").await.expect("landed");
    let zombie = room.worker(1).await;
    let slept_over = room.written(0, 100).await;
    let second = room.worker(2).await;
    second.append("es_003", room.written(0, 100).await, &mark()).await.expect("committed");
    let outcome = zombie.append("es_003", slept_over, &mark()).await.expect("told");
    assert!(matches!(outcome, Outcome::AlreadyCommitted { .. }), "{outcome:?}");
    // Nor does it get in with something else: another file, a column.
    room.land("d2").await.expect("landed");
    let other = Mark { keyed_digest: "d2".into(), ..mark() };
    let refused = zombie.append("es_003", room.written(100, 10).await, &other).await.expect_err("fenced");
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let fields = [Field::new("late", DataType::Utf8, true)];
    assert_eq!(zombie.add_columns("es_003", &fields).await.expect_err("fenced").kind(), ErrorKind::Refused);
    assert_eq!((room.snapshots().await, room.rows().await.len()), (1, 100));
}

everywhere!(
    zombie_at_the_door,
    a_lease_raised_while_the_zombie_commits_shuts_it_out,
    a_zombie_is_shut_out_at_the_door_on_postgresql_too,
    a_zombie_is_shut_out_at_the_door_beside_glue_too
);

/// The narrowest place: the second worker raises the fence in a transaction that is still open while the zombie commits.
async fn zombie_at_the_door(world: World) {
    let room = Arc::new(world.room("acme").await);
    room.land("d1").await.expect("landed");
    let zombie = room.worker(1).await;
    let slept_over = room.written(0, 100).await;
    let mut raising = room.ledger.pool.begin().await.expect("begun");
    sqlx::query("UPDATE fences SET token = 2 WHERE keyed_digest = 'd1'").execute(&mut *raising).await.expect("raised");
    let committing = tokio::spawn(async move { zombie.append("es_003", slept_over, &mark()).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!committing.is_finished(), "it must wait for the one that raises");
    raising.commit().await.expect("raised for good");
    assert_eq!(committing.await.expect("no panic").expect_err("fenced").kind(), ErrorKind::Refused);
    assert_eq!(room.snapshots().await, 0);
}

everywhere!(
    stale,
    a_stale_or_equal_token_raises_nothing,
    a_stale_token_raises_nothing_on_postgresql_too,
    a_stale_token_raises_nothing_beside_glue_too
);

async fn stale(world: World) {
    let room = world.room("acme").await;
    room.ledger.raise_fence(&fence(5)).await.expect("raised");
    for token in [4, 5] {
        assert_eq!(room.ledger.raise_fence(&fence(token)).await.expect_err("stale").kind(), ErrorKind::Refused);
    }
    room.ledger.raise_fence(&fence(6)).await.expect("raised");
    // A lease that never raised its fence commits nothing either.
    room.land("d1").await.expect("landed");
    let refused = room.tables.behind(fence(7)).append("es_003", room.written(0, 10).await, &mark()).await;
    assert_eq!(refused.expect_err("fenced").kind(), ErrorKind::Refused);
}

everywhere!(
    everyone_at_once,
    eight_leases_and_a_console_at_once_make_one_snapshot,
    eight_leases_at_once_make_one_snapshot_on_postgresql_too,
    eight_leases_at_once_make_one_snapshot_beside_glue_too
);

/// Every lease takes over from the one before while that is still at work, and someone delivers the same file by hand.
async fn everyone_at_once(world: World) {
    let room = Arc::new(world.room("acme").await);
    room.land("d1").await.expect("landed");
    let mut workers = Vec::new();
    for token in 0..=8 {
        // Token 0 is the console: it has no lease.
        let tables = if token == 0 { room.tables.clone() } else { room.worker(token).await };
        let written = room.written(0, 50).await;
        workers.push(tokio::spawn(async move { tables.append("es_003", written, &mark()).await }));
    }
    let mut committed = 0;
    for worker in workers {
        match worker.await.expect("no panic") {
            Ok(Outcome::Committed { .. }) => committed += 1,
            Ok(Outcome::AlreadyCommitted { .. }) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{error}"),
        }
    }
    assert_eq!((committed, room.snapshots().await, room.rows().await.len()), (1, 1, 50));
}
