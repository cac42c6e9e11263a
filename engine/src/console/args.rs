//! The command line's words: what `--help` teaches.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod alerting;
mod asking;
mod auditing;
mod keeping;
mod mail;
mod people;
mod pushing;
mod serving;
mod taking;
mod watching;

pub use alerting::*;
pub use asking::*;
pub use auditing::*;
pub use keeping::*;
pub use mail::*;
pub use people::*;
pub use pushing::*;
pub use serving::*;
pub use taking::*;
pub use watching::*;

/// CBP ACE Reports become encrypted, queryable, provable history.
///
/// Bonded takes the ES-001, ES-002 and ES-003 reports as CSV, keeps the exact bytes under the tenant's own key,
/// writes encrypted Iceberg tables, and answers reconciliation and audit questions. It observes, reconciles and
/// surfaces; it never files (19 U.S.C. 1641).
#[derive(Debug, Parser)]
#[command(name = "bonded", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Args {
    /// Settings file (TOML); `BONDED_SECTION_KEY` variables lie over it
    #[arg(long, global = true, env = "BONDED_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder or file:// URL of the lake [default: ./lake]
    #[arg(long, global = true, env = "BONDED_LAKE", value_name = "URL")]
    pub lake: Option<String>,
    /// Answer as JSON: one object, or one object a line for lists
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  bonded init
  bonded tenant add acme-imports
  bonded ingest --tenant acme-imports reports/
  bonded reconcile --tenant acme-imports
  bonded query --tenant acme-imports \"SELECT country_of_origin_code, sum(line_duty_amount) FROM entry_lines GROUP BY 1\"

Exit codes:
  0 done                      4 refused (unknown tenant, disabled key)
  1 internal failure          5 kept, but quarantined
  2 wrong usage or input      6 damaged data
  3 set-up is wrong           7 busy; run it again";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a lake and its keyring where there is none
    #[command(after_help = "Examples:\n  bonded init\n  bonded --lake /srv/customs init")]
    Init,
    /// Add a tenant, or list them
    Tenant {
        #[command(subcommand)]
        action: TenantAction,
    },
    /// Take in files: seal, parse, check, write, commit; twice is the same as once
    #[command(
        after_help = "Examples:\n  bonded ingest --tenant acme-imports ES-003.csv\n  bonded ingest --tenant acme-imports --as-of 2026-01-31 reports/\n  zcat ES-002.csv.gz | bonded ingest --tenant acme-imports -\n  bonded ingest --tenant acme-imports --enqueue reports/"
    )]
    Ingest(Ingest),
    /// Stay and work: take landed deliveries to their end, watch the drop folders; ends on SIGTERM or Ctrl-C
    #[command(
        after_help = "Examples:\n  bonded serve\n  BONDED_SERVE_INBOX=/srv/inbox bonded serve\n  bonded serve --roles worker\n\nFiles are dropped as <inbox>/<tenant>/<file>. A file is taken when it has not changed for serve.settle (2s), and removed\nonce it is safely landed; write under .name or name.part and rename at the end. The first line on standard output is\none JSON object, written when all roles have started."
    )]
    Serve(Serve),
    /// Deliver files to a front desk elsewhere, or watch a folder and deliver what is put there: an agent that needs no lake
    #[command(
        after_help = "Examples:\n  bonded push ES-003.csv --to https://bonded.example --token file:/etc/bonded/token\n  bonded push --watch /srv/outgoing --to https://bonded.example --token env:BONDED_TOKEN\n  bonded push --watch /srv/outgoing --once --to https://bonded.example --token env:BONDED_TOKEN --pin sha256/...=\n\nA pin is the SHA-256 of the public key in the server's certificate:\n  openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64\n\nLines that break, a busy server, a killed agent: what was kept there is not sent again. Exit codes: 0 all taken, 2 something\nwas refused, 3 the set-up is wrong, 4 the token or the server's key is not the right one, 7 given up, run it again."
    )]
    Push(Push),
    /// What waits for a worker, is in work, or was given up
    #[command(after_help = "Examples:\n  bonded queue list\n  bonded queue retry 0198f3c2-...")]
    Queue {
        #[command(subcommand)]
        action: QueueAction,
    },
    /// What was delivered
    Deliveries(Which),
    /// What one delivery became: counts, control totals, drift, rejects
    Receipt(WhichDelivery),
    /// Columns that changed, and what to do about it
    #[command(
        after_help = "Examples:\n  bonded drift\n  bonded drift accept --tenant acme-imports 4f1c... --column \"Special Program Fee=money\"\n  bonded drift accept --tenant acme-imports 4f1c... --rename \"Duty Amt=Line Duty Amount\""
    )]
    Drift(Drift),
    /// Ask SQL over one tenant's tables, views (entry_summaries, entry_lines, tariff_lines) and meta.* tables
    #[command(
        after_help = "Examples:\n  bonded query --tenant acme-imports \"SELECT count(*) FROM tariff_lines\"\n  bonded query --tenant acme-imports --format csv \"SELECT * FROM meta.deliveries\"\n  bonded query --tenant acme-imports --format parquet --output lines.parquet \"SELECT * FROM entry_lines\""
    )]
    Query(Query),
    /// Compare ES-001, ES-002 and ES-003 to the cent, and judge fees, tariff numbers and rates by the rules
    #[command(
        after_help = "Examples:\n  bonded reconcile --tenant acme-imports\n  bonded reconcile --tenant acme-imports --check line_duty --json\n  bonded reconcile --tenant acme-imports --check rate_outlier --param rows_min=5"
    )]
    Reconcile(Reconcile),
    /// The checks that `reconcile` runs: what each asks, by which rule, what it needs
    #[command(
        after_help = "Examples:\n  bonded checks\n  bonded checks line_mpf\n  bonded --json checks\n\nYour own checks are .sql files in the folder that the setting query.checks_dir names."
    )]
    Checks(Checks),
    /// Totals and breakdowns: by month, filer, port, family of chapter 99, product
    #[command(
        after_help = "Examples:\n  bonded report\n  bonded report --tenant acme-imports statement_months\n  bonded report --tenant acme-imports classifications --param digits=8 --format csv"
    )]
    Report(Report),
    /// The dated rules that checks judge by, and what this lake adds to them
    #[command(
        after_help = "Examples:\n  bonded rules list\n  bonded rules list mpf\n  bonded rules add mpf --from 2026-10-01 --minimum 34.00 --maximum 660.00 --mark V --source \"the notice, with its number\"\n\nThe amounts above are made up; take them from the notice."
    )]
    Rules {
        #[command(subcommand)]
        action: RulesAction,
    },
    /// What CBP said of one entry on each date, and what changed
    #[command(after_help = "Example:\n  bonded history --tenant acme-imports XZ910000013")]
    History(History),
    /// What changed between two points in time: entries, lines and tariff rows, column by column
    #[command(
        after_help = "Examples:\n  bonded changes --tenant acme-imports --from 2026-02-01 --to 2026-03-01\n  bonded changes --tenant acme-imports --from 2026-02-01 --json"
    )]
    Changes(Changes),
    /// Entries that a later delivery should hold and does not
    #[command(after_help = "Example:\n  bonded vanished --tenant acme-imports")]
    Vanished(OneTenant),
    /// What expires next: protests, corrections, reconciliations, CAPE; with the duty at stake
    #[command(
        after_help = "Examples:\n  bonded deadlines --tenant acme-imports --within 30d\n  bonded deadlines --tenant acme-imports --within 90d --ics deadlines.ics\n  bonded deadlines --tenant acme-imports --all --json\n\nNot legal advice; confirm with your broker or counsel."
    )]
    Deadlines(Deadlines),
    /// IEEPA duty by entry, who can claim it in which phase of CAPE, and the files to upload
    #[command(
        after_help = "Examples:\n  bonded cape --tenant acme-imports\n  bonded cape --tenant acme-imports --phase 1 --out cape/\n  bonded cape read --tenant acme-imports CapeClaimDetails.csv\n\nBonded files nothing: whoever may file uploads the files."
    )]
    Cape(Cape),
    /// Findings of all runs: open, explained, resolved, recurring; each with the received lines that it rests on
    #[command(
        after_help = "Examples:\n  bonded finding list --tenant acme-imports\n  bonded finding show --tenant acme-imports 4f1c...\n  bonded finding explain --tenant acme-imports 4f1c... --note \"corrected by PSC of 2026-03-02\""
    )]
    Finding {
        #[command(subcommand)]
        action: FindingAction,
    },
    /// A second opinion: count every delivery again from the received bytes with another engine; exit code 6 if it differs
    #[command(
        after_help = "Example:\n  bonded attest --tenant acme-imports\n\nPolars reads the raw zone's bytes with a reader and a typing of its own, and rows, distinct entries, money sums and\nmonths are held against the tables and the receipt. It reads UTF-8 text (comma, tab, semicolon, vertical bar) of at\nmost attest.file_bytes_max; every other delivery is shown as not attested, with the reason."
    )]
    Attest(OneTenant),
    /// How clean each delivery and each month was, from 0 to 100
    #[command(
        after_help = "Examples:\n  bonded score --tenant acme-imports\n  bonded query --tenant acme-imports \"SELECT * FROM meta.score_months\"\n\nOf 100 points, 40 are for completeness (cells with a value in the columns that some use needs), 25 for rows (one\nunreadable row in ten loses all), 15 for the header (an error costs 15, a warning 5), 20 for findings (one entry in\nten with an error loses all; a warning counts a quarter; explained and resolved ones do not count). A quarantined\ndelivery scores 0. A month is the mean of its deliveries by as-of time. Run it after `bonded reconcile`."
    )]
    Score(Score),
    /// When each report is expected, which delivery closed which window, and what to do about a missing one
    #[command(
        after_help = "Examples:\n  bonded windows suggest --tenant acme-imports\n  bonded windows schedule set --tenant acme-imports --report ES-003 --cadence \"weekly Mon 06:00\" --zone America/New_York --grace 6h\n  bonded windows list --state missed\n  bonded windows check list\n  bonded windows check close --tenant acme-imports 4f1c2a90 --cause schedule_expired --note \"end date was 31 March\"\n\n`bonded serve` (role watch) tells of a run at the end of its grace, and a day after it was due at the latest."
    )]
    Windows {
        #[command(subcommand)]
        action: WindowsAction,
    },
    /// How fresh each report is, and months in numbers
    #[command(
        after_help = "Examples:\n  bonded freshness\n  bonded --json freshness --tenant acme-imports\n  bonded freshness --month 2026-10"
    )]
    Freshness(Freshness),
    /// The encrypted tables and their sizes
    Tables(Which),
    /// Join small files, drop old snapshots, remove orphans, re-wrap keys; safe while files are being taken in
    #[command(
        after_help = "Examples:\n  bonded maintain --dry-run\n  bonded maintain --tenant acme-imports\n  bonded maintain --only compact --only expire\n\nRows, history by as-of time and received files stay as they are. An object that nothing refers to is removed by the\nsecond run that finds it so, maintain.orphan_grace after the first: run this once a day."
    )]
    Maintain(Maintain),
    /// Received mail: what a message was found to be, and which messages are taken
    #[command(after_help = "Examples:\n  bonded mail show 0198f3c2-...\n  bonded mail policy show --tenant acme-imports")]
    Mail {
        #[command(subcommand)]
        action: MailAction,
    },
    /// The received bytes
    Raw {
        #[command(subcommand)]
        action: RawAction,
    },
    /// Who did what, when, and what was refused: a tenant's trail, or the lake's own without one
    #[command(
        after_help = "Examples:\n  bonded audit --tenant acme-imports --action drift --since 2026-02-01\n  bonded audit\n  bonded audit head\n  bonded audit export --tenant acme-imports --to trail.csv --format csv\n  bonded audit verify --export trail.csv --head \"1234 5f0c...\" --public-key BASE64\n\nEvents are chained and signed. Keep the heads that `bonded audit head` prints somewhere else: with one of them anybody\ncan tell, from an export alone, whether anything up to it was changed or cut off since."
    )]
    Audit(Audit),
    /// Open everything that the lake holds and name what is damaged; exit code 6 if anything is
    #[command(
        after_help = "Examples:\n  bonded verify\n  bonded verify --tenant acme-imports --quick\n  bonded --json verify\n\nDamage is named with what follows from it and what mends it. Litter (objects that nothing refers to) and unfinished\ndeliveries are told, and are no damage."
    )]
    Verify(Verify),
    /// Look at the whole set-up as it runs: what is wrong, and what mends it; for monitors, too
    #[command(
        after_help = "Examples:\n  bonded doctor\n  bonded doctor --all\n  bonded --json doctor\n  bonded doctor --accept\n\nExit codes: 0 all is well, 1 something to look at, 2 something is wrong (3 and others: the settings do not load). It looks\nat secrets, files, certificate, disk, keys, control store, clocks, catalog, queue, letters, trails, backups, and at what of\nthe settings changed on this machine since somebody last accepted them."
    )]
    Doctor(Doctor),
    /// Make catalog, ledger and tables again from the raw zone and the keys alone
    #[command(
        after_help = "Examples:\n  bonded rebuild --to /srv/customs-new\n  bonded rebuild                 (after the control store was lost)\n  bonded rebuild --tenant acme-imports --replace\n\nDeliveries keep their ids, times and places. The audit trail is not in the raw zone: it comes from a backup."
    )]
    Rebuild(Rebuild),
    /// Keep control store, catalog and lake apart, online; keys go elsewhere
    #[command(
        after_help = "Examples:\n  bonded backup --to /backups/2026-04-01\n  bonded backup --to /backups/2026-04-01 --copy --keys-to /vault/customs-keys\n\nNo key is in a backup, so what is destroyed with its key stays destroyed in every backup. The key folder holds one file\na key under the passphrase that the setting backup.keys_passphrase names; a destroyed key's file becomes a tombstone."
    )]
    Backup(Backup),
    /// Make a lake of a backup; every digest is checked before it can be opened
    #[command(
        after_help = "Examples:\n  bonded restore --from /backups/2026-04-01 --to /srv/customs-new --keys-from /vault/customs-keys\n  bonded restore --from /backups/2026-01-01 --newer /backups/2026-04-01"
    )]
    Restore(Restore),
    /// A tenant's team: owners, admins, operators, viewers
    #[command(
        after_help = "Examples:\n  bonded member invite --tenant acme-imports owner@acme.example --role owner\n  bonded member list --tenant acme-imports\n  bonded member role --tenant acme-imports owner@acme.example admin\n  bonded member suspend --tenant acme-imports viewer@acme.example\n\nThe code of an invite goes by mail.smtp, or as a file into mail.outbox (<lake>.outbox without it)."
    )]
    Member {
        #[command(subcommand)]
        action: MemberAction,
    },
    /// A tenant's API tokens, for its own programs
    #[command(
        after_help = "Examples:\n  bonded token create --tenant acme-imports \"nightly export\" --grant read,query --days 90\n  bonded token revoke --tenant acme-imports 6f0c..."
    )]
    Token {
        #[command(subcommand)]
        action: TokenAction,
    },
    /// Machine identities of brokers: they deliver under a power of attorney, and read nothing
    #[command(
        after_help = "Example:\n  bonded machine add --tenant acme-imports \"broker's upload\" --poa POA-2026-014 --until 2026-12-31"
    )]
    Machine {
        #[command(subcommand)]
        action: MachineAction,
    },
    /// The addresses that tenants' reports are mailed to
    #[command(
        after_help = "Examples:\n  bonded identifier issue --tenant acme-imports\n  bonded identifier rotate --tenant acme-imports --grace 14d\n  bonded identifier suspend --tenant acme-imports 0197...\n\nAn address is a secret: whoever has it can deliver for the tenant. `bonded serve --roles mail,worker` listens for it; with\nthe role ses it is SES that does."
    )]
    Identifier {
        #[command(subcommand)]
        action: IdentifierAction,
    },
    /// What somebody has to look at: acknowledge, resolve, mute; and who is told of it
    #[command(
        after_help = "Examples:\n  bonded alerts list\n  bonded alerts ack --tenant acme-imports 4f1c... --note \"asking the broker\"\n  bonded alerts resolve --tenant acme-imports 4f1c... --cause \"the portal changed a column\"\n  bonded alerts routes add --tenant acme-imports \"on call\" --role operator --severity error --escalate-after 4h\n  bonded alerts routes add --tenant acme-imports ticketing --webhook env:TICKETS_URL\n\n`bonded serve --roles notify` tells people and programs. Drift and quarantine are decided on by `bonded drift`, which\nresolves their alerts. A tenant without a route tells its owners and admins of errors."
    )]
    Alerts {
        #[command(subcommand)]
        action: AlertsAction,
    },
    /// The tenants' keys
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Make a lake with two tenants and planted discrepancies, and find them
    Demo(Demo),
    /// Shell completions
    #[command(after_help = "Example:\n  bonded completions bash > /etc/bash_completion.d/bonded")]
    Completions { shell: clap_complete::Shell },
}
