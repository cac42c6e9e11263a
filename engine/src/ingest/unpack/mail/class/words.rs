//! Words that CBP's portal and auto-repliers use.
//! Promise: a portal's notice names the portal and says one of a few things; one of the two alone is nothing.

/// Who speaks.
const PORTAL: [&str; 9] = [
    "ace portal",
    "ace secure data portal",
    "ace reports",
    "automated commercial environment",
    "ace.cbp.gov",
    "ace.cbp.dhs.gov",
    "cbp.dhs.gov",
    "csms #",
    "cargo systems messaging service",
];
/// What is said, and what that means for who waits for a report.
const SAID: [(&str, &str); 20] = [
    ("password will expire", "a password expires"),
    ("password has expired", "a password expired"),
    ("password expires", "a password expires"),
    ("password expiration", "a password expires"),
    ("reset your password", "a password is to be set"),
    ("account has been locked", "an account is locked"),
    ("account is locked", "an account is locked"),
    ("account has been disabled", "an account is disabled"),
    ("account will be deactivated", "an account ends"),
    ("schedule has expired", "a schedule expired"),
    ("schedule will expire", "a schedule expires"),
    ("scheduled report has failed", "a report failed"),
    ("report has failed", "a report failed"),
    ("report failed", "a report failed"),
    ("report is ready", "a report waits in the portal"),
    ("report is available", "a report waits in the portal"),
    ("report has completed", "a report waits in the portal"),
    ("outage", "an outage"),
    ("scheduled maintenance", "maintenance"),
    ("unavailable", "an outage"),
];

/// What a portal's notice says; none when no portal speaks.
pub(super) fn portal(text: &str) -> Vec<&'static str> {
    let text = folded(text);
    if !PORTAL.iter().any(|name| text.contains(name)) {
        return Vec::new();
    }
    let mut said: Vec<&str> = SAID.iter().filter(|(words, _)| text.contains(words)).map(|(_, means)| *means).collect();
    said.sort_unstable();
    said.dedup();
    said
}

pub(super) fn is_auto_reply(subject: &str) -> bool {
    let subject = folded(subject);
    let starts =
        ["automatic reply", "auto reply", "autoreply", "auto:", "out of office", "out of the office", "abwesen", "vacation"];
    starts.iter().any(|start| subject.starts_with(start))
}

/// Small letters, each blank one space.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
