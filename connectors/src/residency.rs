//! Where data may lie: AWS's regions that are allowed, and what every name of a place says of its region.
//! Promise: an endpoint, a queue, a bucket, a key or a database host that names another region is refused, by the object and
//! with what mends it; so is an endpoint of a service that does not say where it is. One that is no service of AWS's passes
//! as the store of objects alone, and only where it is written exactly as a host that is allowed by name.
//! Never: a name is looked up or asked for here. What a name says of its region is read off it, whole label by whole label.

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

#[cfg(test)]
mod tests;

/// The domains that AWS's services stand under. `.api.aws` and `.on.aws` are its newer, dual-stack ones.
const AWS_DOMAINS: [&str; 7] =
    ["amazonaws.com", "amazonaws.com.cn", "api.aws", "on.aws", "amazoncognito.com", "awsapps.com", "amazonaws.eu"];
const NAME_BYTES_MAX: usize = 2048;

/// The regions in which data may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residency {
    allowed: Vec<String>,
    /// This machine stands for AWS: an emulator.
    is_emulated: bool,
    /// Hosts outside of AWS that may be the store of objects.
    hosts: Vec<String>,
}

impl Residency {
    /// `endpoint` is the one that stands for all of AWS's services; only one on this machine lets others on it pass.
    ///
    /// # Errors
    /// `Setup` when nothing is allowed, or something that is no region.
    pub fn new(allowed: &[String], endpoint: Option<&str>) -> Result<Self> {
        if allowed.is_empty() {
            return Err(setup("aws.regions_allowed is empty: name the regions in which data may lie"));
        }
        if let Some(odd) = allowed.iter().find(|region| !is_region(region)) {
            return Err(setup(format!("aws.regions_allowed has `{}`, which is not like us-east-1", odd.escape_default())));
        }
        let is_emulated = endpoint.is_some_and(|endpoint| Url::parse(endpoint).is_ok_and(|url| is_here(&url)));
        Ok(Self { allowed: allowed.to_vec(), is_emulated, hosts: Vec::new() })
    }

    /// With hosts outside of AWS at which objects may be stored, for whose place whoever names them answers.
    ///
    /// # Errors
    /// `Setup` when one is no plain name of a host, or is AWS's or this machine's, which have rules of their own.
    pub fn with_hosts(mut self, hosts: &[String]) -> Result<Self> {
        for host in hosts {
            let odd = |what: &str| Err(setup(format!("aws.hosts_allowed has `{}`, {what}", host.escape_default())));
            if !is_host_name(host) {
                return odd(
                    "which is no name of a host in lower case, without scheme, port and dot at its end (as s3.acme.example)",
                );
            }
            if is_of_aws(host) {
                return odd("which is AWS's: its regions are in aws.regions_allowed");
            }
            if host == "localhost" || host.ends_with(".localhost") {
                return odd("which is this machine: set aws.endpoint to an emulator on it");
            }
        }
        self.hosts = hosts.to_vec();
        Ok(self)
    }

    /// A region that is named as such: a setting's, or the one that a bucket says it is in.
    pub fn region(&self, what: &str, region: &str) -> Result<()> {
        if !is_region(region) {
            return Err(setup(format!("{what} `{}` is not like us-east-1", region.escape_default())));
        }
        match self.allowed.iter().any(|allowed| allowed == region) {
            true => Ok(()),
            false => Err(self.elsewhere(what, "is", region)),
        }
    }

    /// An address at which a service of AWS is asked: it must say its region, or be this machine's.
    pub fn endpoint(&self, what: &str, address: &str) -> Result<()> {
        let url = url(what, address)?;
        if is_here(&url) {
            return match self.is_emulated {
                true => Ok(()),
                false => Err(refused(format!(
                    "{what} is on this machine, and nothing says that it stands for AWS; set aws.endpoint to it, or leave it out"
                ))),
            };
        }
        if !self.host(what, &url)? {
            let mend = "write the regional endpoint, as https://s3.us-east-1.amazonaws.com";
            return Err(refused(format!("{what} does not say which region it is in; {mend}")));
        }
        Ok(())
    }

    /// As [`Residency::endpoint`], of the store of objects, which may be one that is no service of AWS's.
    pub fn store(&self, what: &str, address: &str) -> Result<()> {
        if self.is_named(address) {
            return Ok(());
        }
        self.endpoint(what, address).map_err(|error| match url(what, address) {
            Ok(url) if !is_here(&url) && url.host_str().is_some_and(|host| !is_of_aws(host.trim_end_matches('.'))) => {
                let mend = "if objects may lie there, name it in aws.hosts_allowed, and write the endpoint as https://host or https://host:port";
                refused(format!("{error}; {mend}"))
            }
            _ => error,
        })
    }

    /// A bucket at this endpoint, AWS's own when there is none: the host that it is asked for at, which has the bucket's name in
    /// front unless that stands in the path, must be named, too.
    pub fn bucket(&self, what: &str, endpoint: Option<&str>, bucket: &str, path_style: bool) -> Result<()> {
        let Some(named) = endpoint.filter(|endpoint| !path_style && self.is_named(endpoint)) else { return Ok(()) };
        let host = format!("{bucket}.{}", host_of(named).unwrap_or_default());
        match self.hosts.contains(&host) {
            true => Ok(()),
            false => {
                Err(refused(format!("{what} is asked for at {host}: set aws.path_style, or name that in aws.hosts_allowed, too")))
            }
        }
    }

    /// The region that a bucket says it is in. A store outside of AWS has names of its own for what it is in, which say nothing.
    pub fn bucket_region(&self, what: &str, endpoint: Option<&str>, region: &str) -> Result<()> {
        match endpoint.is_some_and(|endpoint| self.is_named(endpoint)) && !is_region(region) {
            true => Ok(()),
            false => self.region(what, region),
        }
    }

    /// Compared as it is written, so that no two readers of a URL can see two hosts in it.
    fn is_named(&self, address: &str) -> bool {
        host_of(address).is_some_and(|host| self.hosts.iter().any(|named| named == host))
    }

    /// An address of anything else, a database or a mail server: what names a region must name an allowed one.
    pub fn address(&self, what: &str, address: &str) -> Result<()> {
        self.host(what, &url(what, address)?).map(drop)
    }

    /// An ARN of a thing that lies in a region. S3's, which name none, go by where their bucket says it is.
    pub fn arn(&self, what: &str, arn: &str) -> Result<()> {
        let arn = Arn::read(arn).ok_or_else(|| setup(format!("{what} is no ARN")))?;
        if arn.region.is_empty() {
            return match arn.service == "s3" {
                true => Ok(()),
                false => Err(refused(format!("{what} names no region, so nobody can say where it is"))),
            };
        }
        self.region(what, arn.region)
    }

    /// What may be an ARN, or a name that says nothing of a region (an alias, a secret's plain name).
    pub fn named(&self, what: &str, name: &str) -> Result<()> {
        if name.starts_with("arn:") { self.arn(what, name) } else { Ok(()) }
    }

    /// Whether the host names a region. Every part that has the form of one counts, so that a bucket or a table of such a name
    /// passes for none.
    fn host(&self, what: &str, url: &Url) -> Result<bool> {
        let Some(Host::Domain(name)) = url.host() else { return Ok(false) };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if !is_of_aws(&name) {
            return Ok(false);
        }
        let mut any = false;
        for region in name.split('.').filter_map(region_in) {
            self.region_at(what, region)?;
            any = true;
        }
        Ok(any)
    }

    fn region_at(&self, what: &str, region: &str) -> Result<()> {
        match self.allowed.iter().any(|allowed| allowed == region) {
            true => Ok(()),
            false => Err(self.elsewhere(what, "is in", region)),
        }
    }

    fn elsewhere(&self, what: &str, verb: &str, region: &str) -> Error {
        let allowed = self.allowed.join(", ");
        let mend = "move it, or add the region to aws.regions_allowed";
        refused(format!("{what} {verb} {region}, where no data may lie (allowed: {allowed}); {mend}"))
    }
}

struct Arn<'a> {
    service: &'a str,
    region: &'a str,
}

impl<'a> Arn<'a> {
    /// `arn:partition:service:region:account:resource`.
    fn read(text: &'a str) -> Option<Self> {
        if text.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn") && parts.next().is_some_and(|partition| partition.starts_with("aws"));
        let (service, region) = (parts.next()?, parts.next()?);
        let (_account, resource) = (parts.next()?, parts.next()?);
        (is_arn && !service.is_empty() && !resource.is_empty()).then_some(Self { service, region })
    }
}

/// The region that a label of a host is, or ends with: `us-east-1`, `s3-us-west-2`, `s3-fips-us-gov-west-1`.
fn region_in(label: &str) -> Option<&str> {
    let behind = label.match_indices('-').map(|(at, _)| &label[at + 1..]);
    // The longest: `us-gov-west-1` ends with `gov-west-1`, which has the form of none.
    std::iter::once(label).chain(behind).find(|part| is_region(part))
}

/// `us-east-1`, `us-gov-west-1`, `us-iso-east-1`, `eusc-de-east-1`: an area, up to three words of which the last is a
/// direction, a number.
pub fn is_region(text: &str) -> bool {
    const DIRECTIONS: [&str; 9] =
        ["north", "south", "east", "west", "central", "northeast", "northwest", "southeast", "southwest"];
    let parts: Vec<&str> = text.splitn(6, '-').collect();
    let [area, middle @ .., direction, number] = parts.as_slice() else { return false };
    let is_lower = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase());
    // `fips` and the like stand before a region, and are none's beginning.
    let is_area = is_lower(area) && (area.len() == 2 || *area == "eusc");
    let is_middle = |word: &&str| is_lower(word) && (matches!(word.len(), 3 | 4) || *word == "de");
    let is_number = matches!(number.len(), 1 | 2) && number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
    is_area && middle.len() <= 1 && middle.iter().all(is_middle) && DIRECTIONS.contains(direction) && is_number
}

fn is_of_aws(name: &str) -> bool {
    AWS_DOMAINS.iter().any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Labels of lower-case letters, digits and hyphens; the last one has a letter, or it would be an address.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(is_label) && last.bytes().any(|b| b.is_ascii_lowercase()) && !last.starts_with("0x")
}

/// The host of `https://host`, `https://host:port` and no other form; a slash may stand at the end.
fn host_of(address: &str) -> Option<&str> {
    let rest = address.strip_prefix("https://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
    (is_host_name(host) && port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port)).then_some(host)
}

/// The whole is not shown: it may hold a password.
fn url(what: &str, address: &str) -> Result<Url> {
    if address.len() > NAME_BYTES_MAX {
        return Err(setup(format!("{what} is longer than {NAME_BYTES_MAX} bytes")));
    }
    let url = Url::parse(address).ok().filter(|url| url.host_str().is_some_and(|host| !host.is_empty()));
    url.ok_or_else(|| setup(format!("{what} is no URL with a host")))
}

/// Whether the address is of this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        // Of a scheme that is none of the web's, an address stays a name.
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        None => false,
    }
}

fn setup(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Setup, message)
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, message)
}
