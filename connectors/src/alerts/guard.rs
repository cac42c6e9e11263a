//! Where a webhook may reach: the open internet, and nothing behind our own walls (server-side request forgery).
//! Promise: the addresses that were judged are the ones that are called; a name that resolves to one bad address among good
//! ones is refused whole.
//! Never: plain HTTP to anything but this machine, and to this machine only where the settings allow it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

/// What else the settings allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// This machine, and networks that are nobody's on the internet: for receivers in the same house.
    pub private: bool,
}

const URL_BYTES_MAX: usize = 2048;

/// Well formed and of a kind that may be called; where it leads is judged when it is called.
pub fn checked(text: &str, reach: Reach) -> Result<Url> {
    // A URL may hold a secret, so none is repeated.
    let wrong = |why: &str| Error::new(ErrorKind::Input, format!("the webhook's URL {why}"));
    if text.len() > URL_BYTES_MAX {
        return Err(wrong("is longer than 2048 bytes"));
    }
    let url = Url::parse(text).map_err(|_| wrong("is none: write https://host/path"))?;
    let host = url.host().ok_or_else(|| wrong("names no host"))?;
    let literal = match host {
        Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        Host::Domain(name) => (name == "localhost" || name.ends_with(".localhost")).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    };
    let is_loopback = literal.is_some_and(|ip| ip.to_canonical().is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_loopback && reach.private => {}
        _ => return Err(wrong("is not https://")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong("must have no user, no password and no fragment"));
    }
    match literal {
        Some(ip) if !may_call(ip, reach) => Err(wrong(BEHIND)),
        _ => Ok(url),
    }
}

const BEHIND: &str = "leads behind our own walls; alerts.webhook_private allows that";

/// All of the addresses that a name came to, or none of them.
pub fn judged(addresses: Vec<SocketAddr>, reach: Reach) -> Result<Vec<SocketAddr>> {
    if addresses.is_empty() {
        return Err(Error::new(ErrorKind::Retry, "the webhook's host has no address"));
    }
    match addresses.iter().all(|address| may_call(address.ip(), reach)) {
        true => Ok(addresses),
        false => Err(Error::new(ErrorKind::Input, format!("the webhook's URL {BEHIND}"))),
    }
}

/// Whether the address may be called.
pub fn may_call(ip: IpAddr, reach: Reach) -> bool {
    // Never a receiver, whatever is allowed: no host, everybody, and the clouds' metadata.
    let ip = inner(ip);
    let never = ip.is_unspecified()
        || ip.is_multicast()
        || match ip {
            IpAddr::V4(ip) => ip.is_broadcast() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local() || METADATA_V6.contains(&ip),
        };
    !never && (reach.private || is_public(ip))
}

/// AWS and others give credentials away here, to whoever asks from inside.
const METADATA_V6: [Ipv6Addr; 1] = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)];

/// The IPv4 address in one that stands for it: mapped, NAT64, 6to4.
fn inner(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // IPv4-compatible, long out of use, and still understood somewhere.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => IpAddr::V6(v6),
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let reserved = a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (b & 0xfe) == 18);
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_documentation() || reserved)
        }
        IpAddr::V6(ip) => {
            let s = ip.segments();
            // What is given out to the internet begins with 2 or 3; of that, not what is for examples and tunnels.
            (s[0] & 0xe000) == 0x2000
                && !(s[0] == 0x2001 && (s[1] == 0xdb8 || s[1] < 0x200))
                && !(s[0] == 0x3fff && s[1] < 0x1000)
        }
    }
}
