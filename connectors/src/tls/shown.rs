//! What a certificate says of itself: from when until when, for which names.
//! Promise: read from the file as a client would be shown it; dates by the rules of RFC 5280 (4.1.2.5).
//! Never: whether anybody trusts it is judged here.

use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
};

use crate::error::{Error, ErrorKind, Result};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first certificate of a chain: the server's own.
#[derive(Debug)]
pub struct Shown {
    der: CertificateDer<'static>,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl Shown {
    /// # Errors
    /// `Setup`, naming the file, when it holds no certificate.
    pub fn read(certificate: &Path) -> Result<Self> {
        let setup = |what: &str| Error::new(ErrorKind::Setup, format!("{} {what}", certificate.display()));
        let der = CertificateDer::from_pem_file(certificate).map_err(|error| setup("cannot be read").with_source(error))?;
        let (from, until) = validity(&der).ok_or_else(|| setup("has no dates that read"))?;
        Ok(Self { der, from, until })
    }

    /// Whether a client that asks for this name, or address, is content with it.
    pub fn is_for(&self, name: &str) -> bool {
        let (Ok(parsed), Ok(name)) = (ParsedCertificate::try_from(&self.der), ServerName::try_from(name)) else { return false };
        verify_server_name(&parsed, &name).is_ok()
    }
}

/// `Certificate { tbs { [0] version?, serial, signature, issuer, validity { from, until }, ... } ... }`.
fn validity(der: &[u8]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let (tag, certificate, _) = element(der)?;
    let (inner, tbs, _) = element(certificate)?;
    if tag != SEQUENCE || inner != SEQUENCE {
        return None;
    }
    let (first, _, mut rest) = element(tbs)?;
    // Serial, signature and issuer are before it; the version, where there is one, before them.
    for _ in 0..if first == VERSION { 3 } else { 2 } {
        rest = element(rest)?.2;
    }
    let (_, dates, _) = element(rest)?;
    let (from_tag, from, behind) = element(dates)?;
    let (until_tag, until, _) = element(behind)?;
    Some((time(from_tag, from)?, time(until_tag, until)?))
}

/// Tag, content and what comes behind.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from 2050 on.
fn time(tag: u8, text: &[u8]) -> Option<DateTime<Utc>> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |digits: &[u8]| digits.iter().fold(0u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let short = number(&digits[..2]);
            (short + if short < 50 { 2000 } else { 1900 }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| number(&rest[at..at + 2]));
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(NaiveDateTime::new(date, NaiveTime::from_hms_opt(hour, minute, second)?).and_utc())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made(from: (i32, u8, u8), until: (i32, u8, u8)) -> Shown {
        let mut parameters = CertificateParams::new(vec!["desk.nordwind.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        parameters.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let made = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), made.pem()).unwrap();
        Shown::read(file.path()).unwrap()
    }

    #[test]
    fn dates_are_read_on_both_sides_of_2050_and_names_as_clients_take_them() {
        for (from, until) in [((2026, 1, 2), (2026, 12, 31)), ((2049, 12, 31), (2050, 1, 1)), ((1999, 6, 7), (2104, 2, 29))] {
            let shown = made(from, until);
            let day = |(year, month, day): (i32, u8, u8)| {
                NaiveDate::from_ymd_opt(year, month.into(), day.into()).unwrap().and_time(NaiveTime::MIN).and_utc()
            };
            assert_eq!((shown.from, shown.until), (day(from), day(until)));
            assert!(shown.is_for("desk.nordwind.example") && shown.is_for("127.0.0.1"));
            assert!(!shown.is_for("nordwind.example") && !shown.is_for("127.0.0.2") && !shown.is_for(""));
        }
    }

    #[test]
    fn what_is_no_certificate_or_a_cut_one_is_told_and_nothing_falls_over() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no certificate").unwrap();
        assert_eq!(Shown::read(file.path()).unwrap_err().kind(), ErrorKind::Setup);
        let whole = made((2026, 1, 2), (2026, 12, 31)).der;
        for cut in 0..120.min(whole.len()) {
            assert!(validity(&whole[..cut]).is_none(), "{cut}");
        }
        for (tag, text) in
            [(UTC_TIME, "2613010000000Z"), (UTC_TIME, "261301000000Z"), (UTC_TIME, "260101000000"), (0x0c, "260101000000Z")]
        {
            assert!(time(tag, text.as_bytes()).is_none(), "{text}");
        }
    }
}
