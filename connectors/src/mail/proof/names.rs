//! The seam to DNS: this machine's resolver, answers that were recorded, or nobody.
//! Promise: recorded answers are all there is to ask: a name that is not among them does not exist, and no packet is sent.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};

use mail_auth::{
    DnsError, DnssecStatus, Error as ProofError, MX, MessageAuthenticator, RecordSet, ResolverCache, Txt,
    common::{parse::TxtRecordParser, verify::DomainKey},
    dmarc::Dmarc,
    hickory_resolver::{
        config::{ResolverConfig, ResolverOpts},
        proto::op::ResponseCode,
    },
    spf::Spf,
};

use crate::error::{Error, ErrorKind, Result};

/// Who is asked for names.
#[derive(Clone)]
pub struct Names(Kind);

#[derive(Clone)]
enum Kind {
    System(Arc<(MessageAuthenticator, Answers)>),
    Recorded(Arc<(MessageAuthenticator, Answers)>),
    Off,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::System(_) => "Names(system)",
            Kind::Recorded(_) => "Names(recorded)",
            Kind::Off => "Names(off)",
        })
    }
}

impl Names {
    /// As this machine is set up (`/etc/resolv.conf`).
    ///
    /// # Errors
    /// `Setup` when it names no servers that can be read.
    pub fn system() -> Result<Self> {
        let asker = MessageAuthenticator::new_system_conf().map_err(|error| {
            let message = "the name servers of this machine cannot be read; set mail_in.dns to off, or mend /etc/resolv.conf";
            Error::new(ErrorKind::Setup, message).with_source(error)
        })?;
        Ok(Self(Kind::System(Arc::new((asker, Answers::default())))))
    }

    /// # Errors
    /// `Input` for a record that is none.
    pub fn recorded(recorded: &Recorded) -> Result<Self> {
        // It has no server, so that nothing leaves the machine even if something were not among the answers.
        let asker = MessageAuthenticator::new(ResolverConfig::default(), ResolverOpts::default())
            .map_err(|error| Error::new(ErrorKind::Setup, "a resolver without servers").with_source(error))?;
        Ok(Self(Kind::Recorded(Arc::new((asker, recorded.answers()?)))))
    }

    /// One server at a port of this test's own.
    #[cfg(test)]
    pub(super) fn asking(server: IpAddr, port: u16) -> Result<Self> {
        let mut udp = mail_auth::hickory_resolver::config::NameServerConfig::udp(server);
        udp.connections.iter_mut().for_each(|connection| connection.port = port);
        let asker = MessageAuthenticator::new(ResolverConfig::from_name_servers(vec![udp]), ResolverOpts::default())
            .map_err(|error| Error::new(ErrorKind::Setup, "a resolver of a test").with_source(error))?;
        Ok(Self(Kind::System(Arc::new((asker, Answers::default())))))
    }

    pub fn off() -> Self {
        Self(Kind::Off)
    }

    pub(super) fn asker(&self) -> Option<&MessageAuthenticator> {
        match &self.0 {
            Kind::System(both) | Kind::Recorded(both) => Some(&both.0),
            Kind::Off => None,
        }
    }

    pub(super) fn answers(&self) -> &Answers {
        static NONE: std::sync::OnceLock<Answers> = std::sync::OnceLock::new();
        match &self.0 {
            Kind::System(both) | Kind::Recorded(both) => &both.1,
            Kind::Off => NONE.get_or_init(Answers::default),
        }
    }
}

/// Answers as they were given: names without the last point.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Recorded {
    /// The text of an SPF, DKIM or DMARC record.
    pub txt: HashMap<String, String>,
    pub a: HashMap<String, Vec<Ipv4Addr>>,
    pub aaaa: HashMap<String, Vec<Ipv6Addr>>,
    /// Preference and host.
    pub mx: HashMap<String, Vec<(u16, String)>>,
    /// Names whose servers do not answer.
    pub silent: Vec<String>,
}

impl Recorded {
    fn answers(&self) -> Result<Answers> {
        let key = |name: &str| format!("{}.", name.trim_end_matches('.').to_lowercase()).into_boxed_str();
        let mut txts = HashMap::new();
        for (name, text) in &self.txt {
            let parsed = match name {
                name if name.contains("._domainkey.") => DomainKey::parse(text.as_bytes()).map(Txt::from),
                name if name.starts_with("_dmarc.") => Dmarc::parse(text.as_bytes()).map(Txt::from),
                _ => Spf::parse(text.as_bytes()).map(Txt::from),
            };
            let parsed = parsed.map_err(|error| {
                Error::new(ErrorKind::Input, format!("the recorded answer for `{}` cannot be read", name.escape_default()))
                    .with_source(error)
            })?;
            txts.insert(key(name), parsed);
        }
        for name in &self.silent {
            txts.insert(key(name), Txt::Error(ProofError::Dns(DnsError::Resolver("silent".to_owned()))));
        }
        let absent = Txt::Error(ProofError::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain)));
        let mxs = self.mx.iter().map(|(name, hosts)| {
            let hosts: Vec<MX> = hosts
                .iter()
                .map(|(preference, host)| MX { exchanges: [host.clone().into_boxed_str()].into(), preference: *preference })
                .collect();
            (key(name), set(hosts))
        });
        Ok(Answers {
            txts: Cache::of(txts, absent),
            mxs: Cache::of(mxs.collect(), set(Vec::new())),
            v4s: Cache::of(self.a.iter().map(|(name, hosts)| (key(name), set(hosts.clone()))).collect(), set(Vec::new())),
            v6s: Cache::of(self.aaaa.iter().map(|(name, hosts)| (key(name), set(hosts.clone()))).collect(), set(Vec::new())),
            ptrs: Cache::of(HashMap::new(), set(Vec::new())),
        })
    }
}

fn set<T>(records: Vec<T>) -> RecordSet<T> {
    RecordSet { rrset: records.into(), dnssec_status: DnssecStatus::Indeterminate }
}

pub(super) type Txts = Cache<Box<str>, Txt>;
pub(super) type Mxs = Cache<Box<str>, RecordSet<MX>>;
pub(super) type V4s = Cache<Box<str>, RecordSet<Ipv4Addr>>;
pub(super) type V6s = Cache<Box<str>, RecordSet<Ipv6Addr>>;
pub(super) type Ptrs = Cache<IpAddr, RecordSet<Box<str>>>;

/// What mail-auth looks at before it asks; empty where this machine's resolver is asked, which has a cache of its own.
#[derive(Default)]
pub(super) struct Answers {
    pub txts: Txts,
    pub mxs: Mxs,
    pub v4s: V4s,
    pub v6s: V6s,
    pub ptrs: Ptrs,
}

pub(super) struct Cache<K, V> {
    known: HashMap<K, V>,
    /// For what is not known; none where somebody else is to be asked.
    otherwise: Option<V>,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), otherwise: None }
    }
}

impl<K, V> Cache<K, V> {
    fn of(known: HashMap<K, V>, otherwise: V) -> Self {
        Self { known, otherwise: Some(otherwise) }
    }
}

impl<K: Hash + Eq, V: Clone> ResolverCache<K, V> for Cache<K, V> {
    fn get<Q>(&self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.known.get(name).or(self.otherwise.as_ref()).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: K, _: V, _: Instant) {}
}
