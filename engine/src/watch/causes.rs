//! Why a run may be missing: causes ranked by what was seen, with the steps that would settle each.
//! Promise: every cause says what speaks for it; what is not known of ACE is said to be not known.
//! Never: a cause is proven by what did not come, nor is another tenant named. The order is by strength of evidence, not a
//! probability.

use bonded_schemas::{
    DeliveryState, Report, Severity,
    calendar::holiday,
    mail::{MailClass, MailReport},
    window::State,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Elsewhere, Expected, Kept};
use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
    receipts,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It is here, and our own queue has not come to it.
    QueueBehind,
    /// It came and lies in quarantine.
    Quarantined,
    /// A file stays in the drop folder.
    DropFolder,
    /// A mail came back, was refused, or looks like a forgery.
    MailTrouble,
    /// A file that is no report we know came instead.
    ReportRenamed,
    /// Others miss theirs too.
    Outage,
    Holiday,
    /// The schedule in ACE ended, was paused or deleted.
    ScheduleExpired,
    /// The ACE password of whoever owns the schedule expired, or the account was locked.
    PasswordExpired,
    /// It is sent to an address that is not ours any more.
    WrongAddress,
    /// None of these; only said by whoever closes a check.
    Other,
}

impl Cause {
    pub const ALL: [Cause; 11] = [
        Cause::QueueBehind,
        Cause::Quarantined,
        Cause::DropFolder,
        Cause::MailTrouble,
        Cause::ReportRenamed,
        Cause::Outage,
        Cause::Holiday,
        Cause::ScheduleExpired,
        Cause::PasswordExpired,
        Cause::WrongAddress,
        Cause::Other,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Cause::QueueBehind => "queue_behind",
            Cause::Quarantined => "quarantined",
            Cause::DropFolder => "drop_folder",
            Cause::MailTrouble => "mail_trouble",
            Cause::ReportRenamed => "report_renamed",
            Cause::Outage => "outage",
            Cause::Holiday => "holiday",
            Cause::ScheduleExpired => "schedule_expired",
            Cause::PasswordExpired => "password_expired",
            Cause::WrongAddress => "wrong_address",
            Cause::Other => "other",
        }
    }
}

impl std::str::FromStr for Cause {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let known = || Cause::ALL.map(Cause::as_str).join(", ");
        Cause::ALL
            .into_iter()
            .find(|cause| cause.as_str() == text)
            .ok_or_else(|| format!("no cause `{}`; use one of {}", text.escape_default(), known()))
    }
}

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Whoever keeps the schedule in ACE.
    Tenant,
    /// Whoever runs this machine.
    Operator,
}

/// A cause, how much speaks for it (of 100), and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Likely {
    pub cause: Cause,
    pub weight: u32,
    pub seen: String,
}

/// What was seen from the opening of the window until now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    pub last_received_at: Option<DateTime<Utc>>,
    /// Runs in a row that are missing, this one included.
    pub missed_in_a_row: u64,
    /// Other reports of the tenant that arrived.
    pub other_reports: Vec<Report>,
    pub unfinished: u64,
    pub quarantined_like_it: u64,
    pub quarantined_unknown: u64,
    /// The header of this report changed.
    pub drifted: u64,
    pub in_drop_folder: u64,
    pub mails_in_trouble: u64,
    /// Mails of CBP's portal that speak of a password.
    pub password_notices: u64,
    /// Anything at all arrived, whatever became of it.
    pub arrived: u64,
    /// Of so many other tenants, so many miss a run due at the same time.
    pub others_missing: (usize, usize),
    pub holiday: Option<String>,
}

/// Gathers what is to be seen of a missing run.
pub async fn gather(
    house: &Lakehouse,
    tenant: &Tenant,
    schedule: &Kept,
    expected: &Expected,
    elsewhere: &Elsewhere,
) -> Result<Evidence> {
    let (report, window) = (schedule.report, &expected.window);
    let mut evidence = Evidence {
        others_missing: elsewhere.missing(window.due_at),
        holiday: holiday(window.local_day).map(str::to_owned),
        ..Evidence::default()
    };
    for row in tenant.ledger.deliveries().await? {
        if row.report == Some(report) && row.state == DeliveryState::Committed {
            evidence.last_received_at = evidence.last_received_at.max(Some(row.received_at));
        }
        if row.received_at < window.opens_at {
            continue;
        }
        evidence.arrived += 1;
        let receipt = receipts::unsealed(tenant, &row)?;
        if let Some(mail) = receipt.as_ref().and_then(|receipt| receipt.mail.as_ref()) {
            let set_apart = row.state == DeliveryState::Quarantined;
            evidence.mails_in_trouble +=
                u64::from(set_apart || matches!(mail.class, MailClass::Bounce | MailClass::PhishingSuspect));
            evidence.password_notices += u64::from(speaks_of_password(mail));
            continue;
        }
        match (row.state, &receipt) {
            (DeliveryState::Landed, _) | (DeliveryState::Committed, None) => evidence.unfinished += 1,
            (DeliveryState::Quarantined, Some(receipt)) => {
                let nearest = receipt.quarantine.as_ref().and_then(|quarantine| quarantine.nearest).or(receipt.report);
                match nearest {
                    Some(nearest) if nearest == report => evidence.quarantined_like_it += 1,
                    Some(_) => {}
                    None => evidence.quarantined_unknown += 1,
                }
            }
            (DeliveryState::Committed, Some(_)) => {
                if let Some(other) = row.report.filter(|other| *other != report && !evidence.other_reports.contains(other)) {
                    evidence.other_reports.push(other);
                }
            }
            (DeliveryState::Unpacked, _) | (DeliveryState::Quarantined, None) => {}
        }
    }
    let since = |text: &str| DateTime::parse_from_rfc3339(text).is_ok_and(|at| at >= window.opens_at);
    for alert in tenant.ledger.alerts("drift").await? {
        evidence.drifted +=
            u64::from(alert.report == report.code() && alert.severity != Severity::Info.as_str() && since(&alert.last_at));
    }
    for alert in tenant.ledger.alerts(crate::serve::INBOX_ALERT).await? {
        evidence.in_drop_folder += u64::from(alert.state == "open" && since(&alert.last_at));
    }
    for alert in tenant.ledger.alerts("mail").await? {
        evidence.mails_in_trouble += u64::from(since(&alert.last_at));
    }
    let now = house.clock.now();
    let windows = super::windows(tenant, now - super::LOOK_BACK, window.due_at).await?;
    let earlier =
        windows.iter().rev().filter(|other| other.schedule_id == expected.schedule_id && other.window.due_at < window.due_at);
    let missed = |other: &&Expected| matches!(other.window.state, State::Missed | State::Excused);
    let missed_before = earlier.take_while(missed).filter(|other| other.window.state == State::Missed).count();
    evidence.missed_in_a_row = 1 + missed_before as u64;
    Ok(evidence)
}

/// A notice of the portal whose signs name a password.
fn speaks_of_password(mail: &MailReport) -> bool {
    let names_it = |seen: &str| seen.to_ascii_lowercase().contains("password");
    mail.class == MailClass::PortalNotice && mail.evidence.iter().any(|sign| names_it(&sign.seen))
}

/// Causes by how much speaks for each, the strongest first.
pub fn rank(report: Report, evidence: &Evidence) -> Vec<Likely> {
    let mut likely = Vec::new();
    let mut add = |cause, weight: u32, seen: String| {
        if weight > 0 {
            likely.push(Likely { cause, weight, seen });
        }
    };
    let count = |count: u64, one: &str, many: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {many}") };
    if evidence.unfinished > 0 {
        add(
            Cause::QueueBehind,
            90,
            format!(
                "{} landed since the window opened and not done",
                count(evidence.unfinished, "delivery is", "deliveries are")
            ),
        );
    }
    if evidence.quarantined_like_it > 0 {
        let files = count(evidence.quarantined_like_it, "file", "files");
        add(Cause::Quarantined, 85, format!("{files} that resemble {report} came since the window opened and lie in quarantine"));
    }
    if evidence.in_drop_folder > 0 {
        add(
            Cause::DropFolder,
            80,
            format!("{} in the drop folder could not be taken", count(evidence.in_drop_folder, "file", "files")),
        );
    }
    if evidence.mails_in_trouble > 0 {
        let mails = count(evidence.mails_in_trouble, "mail", "mails");
        add(Cause::MailTrouble, 78, format!("{mails} since the window opened came back, were set apart or look like a forgery"));
    }
    if evidence.quarantined_unknown + evidence.drifted > 0 {
        let seen = format!(
            "{} of no report we know, and {} of {report} with a changed header since the window opened",
            count(evidence.quarantined_unknown, "file", "files"),
            count(evidence.drifted, "file", "files")
        );
        add(Cause::ReportRenamed, if evidence.quarantined_unknown > 0 { 70 } else { 45 }, seen);
    }
    let (missing, others) = evidence.others_missing;
    if missing > 0 {
        // One other may be chance; half of several is not.
        let weight = if missing >= 3 && missing * 2 >= others { 75 } else { 20 + u32::try_from(missing.min(20)).unwrap_or(20) };
        add(
            Cause::Outage,
            weight,
            format!("{missing} of {others} other tenants miss a run that was due within a day of this one"),
        );
    }
    if let Some(name) = &evidence.holiday {
        add(Cause::Holiday, 60, format!("it was due on {name}"));
    }
    if evidence.password_notices > 0 {
        let mails = count(evidence.password_notices, "notice", "notices");
        add(Cause::PasswordExpired, 82, format!("{mails} of CBP's portal since the window opened speak of a password"));
    }
    let since = match evidence.last_received_at {
        Some(at) => format!("{report} last arrived {}", at.format("%Y-%m-%d")),
        None => format!("{report} never arrived"),
    };
    let row = evidence.missed_in_a_row;
    let runs = if row > 1 { format!("; {row} runs in a row are missing") } else { String::new() };
    let others: Vec<&str> = evidence.other_reports.iter().map(|report| report.code()).collect();
    let more = u32::try_from(row.saturating_sub(1).min(2)).unwrap_or(2) * 5;
    match others.is_empty() {
        false => {
            let seen =
                format!("{since}{runs}; {} arrived since the window opened, so account and address work", others.join(", "));
            add(Cause::ScheduleExpired, 65 + more, seen);
        }
        true => {
            add(Cause::ScheduleExpired, 35 + more, format!("{since}{runs}"));
            let nothing = if evidence.arrived == 0 { "nothing at all arrived" } else { "no other report arrived" };
            let known =
                "ACE passwords expire (CSMS 49635008); after how many days, and whether a schedule stops then, we do not know";
            add(
                Cause::PasswordExpired,
                if evidence.arrived == 0 { 50 + more } else { 25 },
                format!("{nothing} since the window opened; {known}"),
            );
            if evidence.arrived == 0 {
                add(Cause::WrongAddress, 40, "nothing at all arrived since the window opened".to_owned());
            }
        }
    }
    likely.sort_by_key(|likely| (std::cmp::Reverse(likely.weight), likely.cause));
    likely
}

/// What each side can do about a cause.
pub fn steps(cause: Cause) -> &'static [(Side, &'static str)] {
    use Side::{Operator, Tenant};
    match cause {
        Cause::QueueBehind => &[(Operator, "see `bonded queue list`: what waits, what failed and why; retry what is poisoned")],
        Cause::Quarantined => &[
            (Operator, "see `bonded drift` and the receipt for the reason; accept the header or ask for the file again"),
            (Tenant, "export the report again as CSV, unchanged, and deliver it"),
        ],
        Cause::DropFolder => {
            &[(Operator, "see `bonded queue list` for the file and what is wrong with it; mend its rights or its name")]
        }
        Cause::MailTrouble => &[
            (Operator, "see the alerts over mails since the window opened: bounce, refused sender, no report in it"),
            (Tenant, "send the report from the address that was agreed"),
        ],
        Cause::ReportRenamed => &[
            (Operator, "see `bonded drift`: which header came instead; accept it if it is the report"),
            (Tenant, "say whether the report or its columns were changed in ACE"),
        ],
        Cause::Outage => &[
            (Operator, "look for a CSMS message of an outage of ACE Reports; note its number with the check"),
            (Tenant, "run the report by hand once ACE is back, and deliver it"),
        ],
        Cause::Holiday => {
            &[(Operator, "decide whether holidays are to be skipped or moved: `bonded windows schedule set --holidays`")]
        }
        Cause::ScheduleExpired => &[
            (Tenant, "in ACE Reports, open the schedule of the report: has it an end date, is it paused, did its last run fail?"),
            (Tenant, "set it up again, run it once by hand, and deliver that file for the missing run"),
        ],
        Cause::PasswordExpired => &[
            (Tenant, "sign in to ACE as the owner of the schedule; if the password expired or the account is locked, renew it"),
            (Tenant, "see in ACE Reports whether the schedule still runs after the renewal"),
        ],
        Cause::WrongAddress => &[
            (Tenant, "hold the address in the schedule against the one that was handed over"),
            (Operator, "see whether the tenant's address was rotated or suspended since the last arrival"),
        ],
        Cause::Other => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(evidence: &Evidence) -> Cause {
        rank(Report::Es003, evidence)[0].cause
    }

    #[test]
    fn what_was_seen_ranks_above_what_can_only_be_supposed() {
        let silent = Evidence { missed_in_a_row: 1, ..Evidence::default() };
        let causes =
            |evidence: &Evidence| rank(Report::Es003, evidence).into_iter().map(|likely| likely.cause).collect::<Vec<_>>();
        assert_eq!(causes(&silent), [Cause::PasswordExpired, Cause::WrongAddress, Cause::ScheduleExpired]);
        // Another report of the tenant came: neither password nor address can be it.
        let others = Evidence { other_reports: vec![Report::Es001], arrived: 1, ..silent.clone() };
        assert_eq!(causes(&others), [Cause::ScheduleExpired]);
        assert_eq!(first(&Evidence { others_missing: (9, 10), ..silent.clone() }), Cause::Outage);
        assert_ne!(first(&Evidence { others_missing: (1, 10), ..silent.clone() }), Cause::Outage, "one other may be chance");
        assert_eq!(first(&Evidence { holiday: Some("Labor Day".into()), ..silent.clone() }), Cause::Holiday);
        assert_eq!(first(&Evidence { quarantined_unknown: 1, arrived: 1, ..others.clone() }), Cause::ReportRenamed);
        assert_eq!(first(&Evidence { mails_in_trouble: 1, arrived: 1, ..others.clone() }), Cause::MailTrouble);
        assert_eq!(first(&Evidence { password_notices: 1, arrived: 1, ..silent.clone() }), Cause::PasswordExpired);
        assert_eq!(first(&Evidence { in_drop_folder: 1, ..others.clone() }), Cause::DropFolder);
        assert_eq!(first(&Evidence { quarantined_like_it: 1, arrived: 1, ..others.clone() }), Cause::Quarantined);
        assert_eq!(first(&Evidence { unfinished: 1, quarantined_like_it: 1, arrived: 2, ..others }), Cause::QueueBehind);
    }

    #[test]
    fn every_cause_has_a_name_and_steps_that_someone_can_do() {
        for cause in Cause::ALL {
            assert_eq!(cause.as_str().parse(), Ok(cause));
            assert_eq!(serde_json::to_value(cause).expect("JSON"), cause.as_str());
            assert_eq!(steps(cause).is_empty(), cause == Cause::Other);
        }
        assert!("magic".parse::<Cause>().is_err());
    }

    #[test]
    fn only_the_portal_itself_speaks_of_its_password() {
        let seen =
            bonded_schemas::mail::Evidence { sign: bonded_schemas::mail::Sign::PortalWords, seen: "ACE Password expires".into() };
        let notice = MailReport { class: MailClass::PortalNotice, evidence: vec![seen], ..MailReport::default() };
        assert!(speaks_of_password(&notice));
        assert!(!speaks_of_password(&MailReport { class: MailClass::PhishingSuspect, ..notice.clone() }));
        assert!(!speaks_of_password(&MailReport { evidence: Vec::new(), ..notice }));
    }
}
