//! Behind a pooler that gives each transaction whatever session is free, and with sessions that die.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bonded_schemas::Severity;
use sqlx::{AnyConnection, Connection as _, Executor, Row};
use tempfile::TempDir;

use super::*;

/// A real pgbouncer in transaction mode, with a Unix socket of its own; ended when dropped.
struct Bouncer {
    folder: TempDir,
    process: Child,
}

const PORT: u16 = 6432;
const SERVER_CONNECTIONS: usize = 2;
const SESSIONS: &str = "SELECT pid FROM pg_stat_activity WHERE usename = 'bonded_app'";

impl Bouncer {
    /// `None`, said aloud, where it is not installed.
    fn before(cluster: &PrivatePostgres) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|program| Path::new(program).is_file());
        let Some(program) = program else {
            println!("skipped: pgbouncer is not installed (Debian package pgbouncer)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("bonded-bouncer").tempdir().expect("a temporary folder");
        let (at, (role, password)) = (folder.path().display(), cluster.app());
        std::fs::write(folder.path().join("users"), format!("\"{role}\" \"{password}\"\n")).expect("written");
        let settings = format!(
            "[databases]\nbonded = host={} dbname=bonded\n[pgbouncer]\nlisten_port = {PORT}\nunix_socket_dir = {at}\n\
             auth_type = scram-sha-256\nauth_file = {at}/users\npool_mode = transaction\n\
             default_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 200\nignore_startup_parameters = extra_float_digits\n\
             logfile = {at}/log\n",
            cluster.folder().display()
        );
        let file = folder.path().join("bouncer.ini");
        std::fs::write(&file, settings).expect("written");
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
        let mut command = match is_root {
            // It refuses to run as root.
            true => {
                let owned = Command::new("chown").args(["-R", "postgres"]).arg(folder.path()).status().expect("chown runs");
                assert!(owned.success());
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
                command
            }
            false => Command::new(program),
        };
        let process = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let bouncer = Self { folder, process };
        for _ in 0..200 {
            if bouncer.folder.path().join(format!(".s.PGSQL.{PORT}")).exists() {
                return Some(bouncer);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("pgbouncer does not listen: {:?}", std::fs::read_to_string(bouncer.folder.path().join("log")));
    }

    fn url(&self, cluster: &PrivatePostgres) -> String {
        let (there, here) = (cluster.folder().display().to_string(), self.folder.path().display().to_string());
        cluster.url().replace(&there, &here).replace("@localhost:5432/", &format!("@localhost:{PORT}/"))
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

const CLIENTS: usize = 16;
const ROUNDS: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_of_two_tenants_share_two_sessions_and_see_their_own_rows_only() {
    let Some((cluster, store)) = peopled().await else { return };
    store.close().await;
    // A pool that is closed while a session comes back to it may leave that one open: it is none of the bouncer's.
    let before = cluster.sql(SESSIONS).lines().collect::<Vec<_>>().join(",");
    let Some(bouncer) = Bouncer::before(&cluster) else { return };
    let place = Place::Postgres { url: bouncer.url(&cluster), owner: None };
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (tenant, digest) = [("acme", "d1"), ("zenith", "d2")][client % 2];
        let store = opened(&place).await;
        clients.push(tokio::spawn(async move {
            let half = store.open_tenant(&scope(tenant)).await.expect("opened");
            let mut leaks = 0;
            for n in 0..ROUNDS {
                let rows = half.deliveries().await.expect("listed");
                leaks += rows.iter().filter(|row| row.keyed_digest != digest).count();
                assert_eq!(rows.len(), 1);
                // A transaction of several statements, a lone write, and the shared half beside them.
                let alert = format!("{tenant} {client} {n}");
                let raised = half.raise_alert("drift", None, &alert, Severity::Warning, DateTime::UNIX_EPOCH, "s").await;
                assert!(raised.expect("raised"));
                let alerts = half.alerts("drift").await.expect("listed");
                leaks += alerts.iter().filter(|alert| !alert.fingerprint.starts_with(tenant)).count();
                half.put_mapping(bonded_schemas::Report::Es003, tenant).await.expect("put");
                assert_eq!(half.mapping(bonded_schemas::Report::Es003).await.expect("read").as_deref(), Some(tenant));
                assert_eq!(store.tenants().await.expect("listed").len(), 2);
            }
            leaks
        }));
    }
    // Meanwhile someone with the password leaves in the sessions whatever a session keeps.
    let url = bouncer.url(&cluster);
    let attacker = tokio::spawn(async move {
        let mut connection = AnyConnection::connect(&url).await.expect("connected");
        let mut seen = 0;
        for n in 0..200 {
            for statement in [
                "SET bonded.tenant = 'acme'".to_owned(),
                format!("SET search_path = pg_temp, {}", ["bonded_acme", "bonded_zenith"][n % 2]),
                format!("PREPARE p{n} AS SELECT count(*) FROM bonded_zenith.deliveries"),
                "CREATE TEMP TABLE IF NOT EXISTS deliveries AS SELECT 'trap'::text AS delivery_id, 'trap'::text AS keyed_digest"
                    .to_owned(),
            ] {
                connection.execute(statement.as_str()).await.expect("it is its own session's business");
            }
            let counted = "SELECT (SELECT count(*) FROM bonded_acme.deliveries) + (SELECT count(*) FROM bonded_zenith.deliveries)
                 + (SELECT count(*) FROM bonded.tenants) + length(coalesce(current_setting('bonded.proof', true), ''))";
            seen += connection.fetch_one(counted).await.expect("answered").try_get::<i64, _>(0).expect("a count");
        }
        seen
    });
    let mut leaks = 0;
    for client in clients {
        leaks += client.await.expect("no panic");
    }
    assert_eq!((leaks, attacker.await.expect("no panic")), (0, 0));
    // What the bouncer let go may still be ending: the server takes its time.
    let many = || cluster.sql(&format!("{SESSIONS} AND NOT pid = ANY ('{{{before}}}')")).lines().count();
    let mut sessions = many();
    for _ in 0..400 {
        if sessions <= SERVER_CONNECTIONS {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
        sessions = many();
    }
    assert!((1..=SERVER_CONNECTIONS).contains(&sessions), "{sessions} sessions");
    assert_eq!(cluster.sql("SELECT count(*) FROM bonded_acme.alerts"), (CLIENTS * ROUNDS / 2).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_die_while_idle_are_left_for_the_next() {
    let Some((cluster, store)) = peopled().await else { return };
    let acme = store.open_tenant(&scope("acme")).await.expect("opened");
    for _ in 0..5 {
        let read = || {
            let acme = acme.clone();
            tokio::spawn(async move { acme.deliveries().await.expect("listed").len() })
        };
        for one in (0..8).map(|_| read()).collect::<Vec<_>>() {
            assert_eq!(one.await.expect("no panic"), 1);
        }
        let ended = cluster.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'bonded_app'");
        assert_ne!(ended, "0");
    }
    assert_eq!(acme.deliveries().await.expect("listed").len(), 1);
}

/// Wherever a transaction is given up, whoever comes next to the same session is in none, and sees their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_given_up_halfway_leaves_nothing_open() {
    let Some((cluster, store)) = peopled().await else { return };
    let acme = store.open_tenant(&scope("acme")).await.expect("opened");
    let zenith = store.open_tenant(&scope("zenith")).await.expect("opened");
    for micros in (0..3000).step_by(20) {
        let given_up = async {
            let mut transaction = acme.pool.begin().await?;
            sqlx::query("UPDATE deliveries SET state = 'quarantined'").execute(&mut *transaction).await?;
            transaction.commit().await
        };
        drop(tokio::time::timeout(Duration::from_micros(micros), given_up).await);
        assert_eq!(zenith.deliveries().await.expect("listed")[0].keyed_digest, "d2");
    }
    // What is rolled back or closed behind the answer is done a moment later.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'bonded_app' AND state LIKE 'idle in%'";
    assert_eq!(cluster.sql(open), "0");
    assert_eq!(cluster.sql("SELECT state FROM bonded_zenith.deliveries"), "landed");
}
