//! Links of a shown text whose words name one host and whose target is another.
//! Promise: what is told of a link is its two hosts, nothing else of it.

/// Links beyond this are not looked at.
const LINKS_MAX: usize = 500;
/// Told of at most.
const TOLD_MAX: usize = 5;
/// What stands between the beginning and the end of a link.
const TEXT_BYTES_MAX: usize = 2_000;

/// `shows a.example, leads to b.example`, for each such link.
pub(super) fn elsewhere(html: &str) -> Vec<String> {
    let lower = html.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut rest = lower.as_str();
    for _ in 0..LINKS_MAX {
        let Some(at) = rest.find("<a") else { break };
        rest = &rest[at + 2..];
        if !rest.starts_with(|c: char| c.is_ascii_whitespace()) {
            continue;
        }
        let Some(end) = rest.find('>') else { break };
        let (tag, behind) = (&rest[..end], &rest[end + 1..]);
        // No further than that: a text of nothing but beginnings would be read to its end for each of them.
        let near = &behind[..behind.floor_char_boundary(TEXT_BYTES_MAX.min(behind.len()))];
        let text = &near[..near.find("</a").unwrap_or(0)];
        rest = behind;
        let (Some(leads), Some(shows)) = (attribute(tag, "href").and_then(host), host(words(text).trim())) else { continue };
        if !is_same_site(&leads, &shows) && found.len() < TOLD_MAX {
            found.push(format!("shows {shows}, leads to {leads}"));
        }
    }
    found
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let value = tag[tag.find(name)? + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next(),
        _ => value.split(|c: char| c.is_ascii_whitespace()).next(),
    }
}

/// A text without its marks.
fn words(text: &str) -> String {
    let mut shown = String::new();
    let mut in_mark = false;
    for c in text.chars() {
        match c {
            '<' => in_mark = true,
            '>' => in_mark = false,
            c if !in_mark => shown.push(c),
            _ => {}
        }
    }
    shown.replace("&amp;", "&").replace("&nbsp;", " ")
}

/// The host of what is plainly an address: with its scheme, or beginning with `www.`, or a name with a known ending alone.
fn host(text: &str) -> Option<String> {
    let text = text.trim();
    let rest = ["https://", "http://", "//"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let is_bare = rest.is_none();
    let rest = rest.unwrap_or(text);
    let host = rest.split(['/', '?', '#', ':', ' ']).next()?;
    let host = host.rsplit('@').next()?.trim_end_matches('.');
    let is_host = host.contains('.')
        && host.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    let ends_well = host.starts_with("www.") || [".gov", ".com", ".org", ".net"].iter().any(|end| host.ends_with(end));
    (is_host && (!is_bare || (ends_well && !text.contains(char::is_whitespace)))).then(|| host.to_owned())
}

/// The same host, or hosts that share their last two names: `www.cbp.gov` and `ace.cbp.gov`.
fn is_same_site(one: &str, other: &str) -> bool {
    let site = |host: &str| {
        let mut names: Vec<&str> = host.rsplit('.').take(2).collect();
        names.reverse();
        names.join(".")
    };
    site(one) == site(other)
}
