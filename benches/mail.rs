//! How long a mail takes from the `250` that answers for it to its rows being in the table: one after the other, each with an
//! ES-003 of its own as attachment, through the real door, the queue and a worker.
//! Promise: one lake on a local folder, real keyring, SQLite and fsync; the clock runs from the moment that the client has read
//! the answer to the moment that the ledger has the attachment as committed, which is when a query sees its rows. All rows
//! are counted by a query at the end; a run that lost or doubled one ends in an error, not a table.
//!
//! Settings (environment): BONDED_BENCH_MAILS (100), BONDED_BENCH_MB (10, of the attachment before base64), BONDED_BENCH_DIR.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bonded::{
    answers::session,
    demo::corpus::{Corpus, Plan},
    intake::{self, Gate, gates::Paper},
    lakehouse::{Doors, Lakehouse, Tenant},
    serve::{Role, run as serve},
    settings::Settings,
};
use bonded_connectors::clock::SystemClock;
use bonded_queries::Format;
use bonded_schemas::{DeliveryState, Report, TenantId, TenantScope};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::oneshot,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const TENANT: &str = "fictional-lantern";
/// How often the ledger is looked at: the error of each figure.
const LOOK_EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(120);
/// As mail servers write base64.
const LINE_CHARS: usize = 76;

fn main() -> ExitCode {
    let parent = env::var_os("BONDED_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let folder = parent.join(format!("bonded-bench-{}", uuid::Uuid::new_v4()));
    let outcome = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| runtime.block_on(run(&folder)));
    let cleaned = std::fs::remove_dir_all(&folder);
    match outcome.and(cleaned.map_err(Into::into)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[expect(clippy::disallowed_methods, reason = "whoever starts a bench holds the keys")]
fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::establish(tenant, "bench")
}

async fn run(folder: &Path) -> Outcome<()> {
    let (mails, bytes) = (number("BONDED_BENCH_MAILS", 100), number("BONDED_BENCH_MB", 10) * 1_000_000);
    let mut settings = Settings { lake: folder.join("lake").display().to_string(), ..Settings::default() };
    settings.mail_in.domain = Some("reports.example".into());
    settings.mail_in.listen = "127.0.0.1:0".into();
    settings.mail_in.starttls_required = false;
    let (house, _) = Lakehouse::init(settings, Doors::new(Arc::new(SystemClock))).await?;
    let house = Arc::new(house);
    let of_tenant = scope(TENANT.parse()?);
    house.add_tenant(&of_tenant).await?;
    let tenant = house.tenant(&of_tenant).await?;
    let paper = Paper { reference: "BENCH-1".into(), date: "2026-01-05".parse()? };
    let papers = Gate::ALL.into_iter().map(|gate| (gate, paper.clone())).collect();
    intake::engage(&house, &tenant, &papers, "bench").await?;
    let address = intake::issue(&house, &tenant).await?.address.reveal().to_owned();

    let (told, ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(
        house.clone(),
        &[Role::Worker, Role::Mail],
        Arc::new(scope),
        move |ready| {
            // Nobody waits for it when the bench has failed already.
            told.send(ready.mail.clone()).ok();
            Ok(())
        },
        async {
            stopped.await.ok();
        },
    ));
    let listens = ready.await?;
    let at = listens.first().and_then(|address| address.strip_prefix("smtp://")).ok_or("no address")?.to_owned();

    // Entries of about so many bytes, none of them twice: as many as the first ones show to be needed.
    let entries = Plan::for_size_bytes(7, bytes)?.entries;
    let mut first = Vec::new();
    Corpus::new(Plan::new(7, entries))?.write_entries(Report::Es003, 0..entries, &mut first)?;
    let entries = u32::try_from(u64::from(entries) * bytes / first.len() as u64)?.max(1);
    let corpus = Corpus::new(Plan::new(7, entries * u32::try_from(mails)?))?;
    let (mut times, mut rows) = (Vec::new(), 0);
    for n in 0..u32::try_from(mails)? {
        let mut csv = Vec::new();
        rows += corpus.write_entries(Report::Es003, n * entries..(n + 1) * entries, &mut csv)?.rows;
        let message = message(n, &csv);
        send(&at, &address, &message).await?;
        let answered = Instant::now();
        while committed(&tenant).await? < n as usize + 1 {
            if answered.elapsed() > PATIENCE {
                return Err(format!("the rows of mail {n} are not there after {PATIENCE:?}").into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        times.push(answered.elapsed());
        if n == 0 {
            println!(
                "{mails} mails, each with {:.1} MB of ES-003 ({:.1} MB as base64)",
                csv.len() as f64 / 1e6,
                message.len() as f64 / 1e6
            );
        }
    }
    let mut counted = Vec::new();
    let asked = session(&house, &tenant).await?.query("SELECT count(*) AS n FROM es_003").await?;
    asked.write(Format::JsonLines, &mut counted).await?;
    let counted: serde_json::Value = serde_json::from_slice(&counted)?;
    if counted["n"] != rows {
        return Err(format!("{rows} rows were mailed, and the table has {}", counted["n"]).into());
    }
    times.sort();
    let of = |share: f64| times[((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1].as_secs_f64();
    println!("from 250 to queryable, seconds: {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}", "min", "p50", "p90", "p95", "p99", "max");
    println!("{:>38.3} {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>6.3}", of(0.0), of(0.5), of(0.9), of(0.95), of(0.99), of(1.0));
    // It may have ended by itself, and says so below.
    stop.send(()).ok();
    serving.await??;
    Ok(())
}

async fn committed(tenant: &Tenant) -> Outcome<usize> {
    let rows = tenant.ledger.deliveries().await?;
    let done = |state: DeliveryState| state == DeliveryState::Committed;
    Ok(rows.iter().filter(|row| done(row.state) && row.sealed_receipt.is_some()).count())
}

fn message(n: u32, csv: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "From: ace@sender.example\r\nSubject: ACE Report {n}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=b\"\r\n\r\n\
         --=b\r\nContent-Type: text/plain\r\n\r\nYour report is attached.\r\n\
         --=b\r\nContent-Type: text/csv; name=\"ES-003-{n}.csv\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"ES-003-{n}.csv\"\r\n\r\n"
    )
    .into_bytes();
    for line in STANDARD.encode(csv).as_bytes().chunks(LINE_CHARS) {
        message.extend_from_slice(line);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"--=b--\r\n");
    message
}

/// Comes back when the server has answered for it.
async fn send(at: &str, to: &str, message: &[u8]) -> Outcome<()> {
    let mut socket = BufReader::new(TcpStream::connect(at).await?);
    expect(&mut socket, "220").await?;
    for (line, code) in [
        ("EHLO sender.example".to_owned(), "250"),
        ("MAIL FROM:<ace@sender.example>".to_owned(), "250"),
        (format!("RCPT TO:<{to}>"), "250"),
        ("DATA".to_owned(), "354"),
    ] {
        socket.get_mut().write_all(format!("{line}\r\n").as_bytes()).await?;
        expect(&mut socket, code).await?;
    }
    socket.get_mut().write_all(message).await?;
    socket.get_mut().write_all(b".\r\n").await?;
    expect(&mut socket, "250").await
}

async fn expect(socket: &mut BufReader<TcpStream>, code: &str) -> Outcome<()> {
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await?;
        if !line.starts_with(code) {
            return Err(format!("{code} was expected, not `{}`", line.trim_end()).into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
