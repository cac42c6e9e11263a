//! What letters and calls say of an alert: its kind, report, count and severity, where to look, and how far the trail had come.
//! Never: a cell, the name of a column or of a file, or a person's name.

use std::fmt::Write;

use bonded_schemas::{Severity, TenantId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::State;

/// What happened that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Event {
    Raised,
    /// It was resolved and is there again.
    Recurred,
    /// It was muted and still stands.
    Unmuted,
    /// Nobody acknowledged it in time.
    Escalated,
    Resolved,
    /// Somebody tries a route out.
    Test,
}

impl Event {
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Raised => "raised",
            Event::Recurred => "recurred",
            Event::Unmuted => "unmuted",
            Event::Escalated => "escalated",
            Event::Resolved => "resolved",
            Event::Test => "test",
        }
    }

    fn says(self) -> &'static str {
        match self {
            Event::Raised => "is new",
            Event::Recurred => "is back after it was resolved",
            Event::Unmuted => "was muted until now and still stands",
            Event::Escalated => "is not acknowledged by anybody yet",
            Event::Resolved => "is resolved",
            Event::Test => "tries out this route, and stands for nothing",
        }
    }
}

/// One alert, as much of it as may be told outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    pub tenant: TenantId,
    pub alert: String,
    pub event: Event,
    pub kind: String,
    pub report: Option<String>,
    pub severity: Severity,
    pub state: State,
    pub deliveries: i64,
    pub opened: i64,
    pub raised_at: String,
    pub at: DateTime<Utc>,
    /// `<events> <hash>`: where the tenant's trail stood.
    pub head: String,
}

/// What each kind is about, in words that need no data.
fn about(kind: &str) -> &'static str {
    match kind {
        "drift" => "a report came with other columns than its edition has",
        "quarantine" => "a file could not be taken in; its bytes are kept",
        "inbox" => "a dropped file could not be taken",
        "rejects" => "more rows of a delivery than usual could not be read",
        "attest" => "a second engine counts otherwise than the tables",
        "verify" => "stored data is damaged",
        "suspicion" => "somebody tries to sign in to an account of the team, and fails",
        "key" => "the tenant's key changed its state",
        "window" => "a report that was expected did not come in time",
        "watch" => "it cannot be told which expected reports came",
        "mail" => "a mail could not be taken as it came",
        "heartbeat" => "for some time nobody watched for alerts",
        "test" => "this message was asked for by hand",
        _ => "something needs to be looked at",
    }
}

impl Item {
    fn title(&self) -> String {
        match &self.report {
            Some(report) => format!("{} {} of {report}", self.severity, self.kind),
            None => format!("{} {}", self.severity, self.kind),
        }
    }

    fn link(&self, desk: Option<&str>) -> Option<String> {
        desk.map(|desk| format!("{}/alerts/{}", desk.trim_end_matches('/'), self.alert))
    }

    fn command(&self) -> String {
        format!("bonded alerts show --tenant {} {}", self.tenant, self.alert)
    }

    fn facts(&self) -> String {
        let times = |count: i64, one: &str, more: &str| if count == 1 { one.to_owned() } else { format!("{count} {more}") };
        format!(
            "{}; {}; {}; first seen {}",
            about(&self.kind),
            self.state.as_str(),
            times(self.deliveries, "seen once", "times seen"),
            self.raised_at.get(..16).unwrap_or(&self.raised_at).replace('T', " "),
        )
    }
}

/// Subject, text, and the same as HTML.
pub(super) fn letter(items: &[Item], desk: Option<&str>) -> (String, String, String) {
    let worst = items.iter().map(|item| item.severity).max().unwrap_or(Severity::Info);
    let tenant = items.first().map(|item| item.tenant.as_str()).unwrap_or_default();
    let subject = match items {
        [one] => format!("[{tenant}] {}: {}", one.title(), one.event.as_str()),
        several => format!("[{tenant}] {} alerts, the worst an {worst}", several.len()).replace("an warning", "a warning"),
    };
    let mut text = String::new();
    let mut html = String::from("<!DOCTYPE html><html><body style=\"font-family:sans-serif\">\n");
    for item in items {
        let (title, says, facts) = (item.title(), item.event.says(), item.facts());
        let _ = writeln!(text, "{title} {says}.\n  {facts}\n  {}", item.command());
        let _ = write!(html, "<p><b>{}</b> {}.<br>{}<br>", escaped(&title), escaped(says), escaped(&facts));
        if let Some(link) = item.link(desk) {
            let _ = writeln!(text, "  {link}");
            let _ = write!(html, "<a href=\"{0}\">{0}</a><br>", escaped(&link));
        }
        text.push('\n');
        let _ = writeln!(html, "<code>{}</code></p>", escaped(&item.command()));
    }
    // Kept with the letter, it tells for ever whether the trail up to it is still as it was.
    if let Some(last) = items.last() {
        let proof = format!("Head of the audit trail of {tenant}: {}", last.head);
        let _ = writeln!(text, "-- \n{proof}");
        let _ = writeln!(html, "<hr><p><small>{}</small></p>", escaped(&proof));
    }
    html.push_str("</body></html>\n");
    (subject, text, html)
}

/// Our own form of a call.
pub(super) fn call(id: &str, items: &[Item], desk: Option<&str>) -> Value {
    let alerts: Vec<Value> = items
        .iter()
        .map(|item| {
            json!({
                "alert": item.alert, "event": item.event, "tenant": item.tenant, "kind": item.kind, "report": item.report,
                "severity": item.severity, "state": item.state, "deliveries": item.deliveries, "opened": item.opened,
                "raised_at": item.raised_at, "at": item.at, "link": item.link(desk),
            })
        })
        .collect();
    json!({ "delivery": id, "alerts": alerts, "audit_head": items.last().map(|item| &item.head) })
}

/// `{"text": ...}`.
pub(super) fn slack(items: &[Item], desk: Option<&str>) -> Value {
    let lines: Vec<String> = items
        .iter()
        .map(|item| {
            let link = item.link(desk).map(|link| format!(" <{link}|look>")).unwrap_or_default();
            let line = format!("[{}] {} {}: {}", item.tenant, item.title(), item.event.says(), item.facts());
            line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;") + &link
        })
        .collect();
    json!({ "text": lines.join("\n") })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
