//! The front desk's certificate: whether it reads, goes with its key, names the desk, and how long it is good for.

use bonded_connectors::tls;
use chrono::{DateTime, Utc};
use url::Url;

use super::{Chart, about};
use crate::{error::Result, settings::Settings};

pub(super) fn look(settings: &Settings, now: DateTime<Utc>, chart: &mut Chart) -> Result<()> {
    let api = &settings.api;
    if api.plain {
        chart.not_asked("certificate", "api.plain: a proxy on this machine shows its own");
        return Ok(());
    }
    let (Some(certificate), Some(private_key)) = (&api.certificate, &api.private_key) else {
        return own(settings, chart);
    };
    let object = certificate.display().to_string();
    if let Err(error) = tls::server_config(certificate, private_key) {
        chart.failed(&object, &error.into());
        return Ok(());
    }
    let shown = tls::Shown::read(certificate)?;
    let mend = "have it renewed and put chain and key in place; a running desk takes them up within a minute";
    let day = shown.until.format("%Y-%m-%d");
    let left = shown.until - now;
    if shown.from > now {
        chart.fail(&object, format!("is good only from {} on", shown.from.to_rfc3339()), "put the one back that is good today");
    } else if left <= chrono::TimeDelta::zero() {
        chart.fail(&object, format!("has been out of date since {day}: every client refuses it"), mend);
    } else if left.num_days() < settings.doctor.certificate_days_min {
        chart.warn(&object, format!("runs out in {} ({day})", about(left)), mend);
    } else {
        chart.ok(&object, format!("goes with its key and is good for {} ({day})", about(left)));
    }
    if let Some(host) = settings.desk.url.as_deref().and_then(host_of) {
        match shown.is_for(&host) {
            true => chart.ok(format!("{object}: names"), format!("is for {host}")),
            false => {
                let what = format!("is not for {host}, where desk.url says that people reach the desk");
                chart.fail(format!("{object}: names"), what, "have one made for that name, or mend desk.url");
            }
        }
    }
    Ok(())
}

/// One that was made here, which nobody else trusts.
fn own(settings: &Settings, chart: &mut Chart) -> Result<()> {
    match settings.api.address()?.ip().is_loopback() {
        true => chart.ok("certificate", "made here, for this machine alone; the desk listens nowhere else"),
        false => chart.warn(
            "certificate",
            format!("made here, which no client trusts, and the desk listens on {}", settings.api.listen),
            "set api.certificate and api.private_key to ones that your users trust",
        ),
    }
    Ok(())
}

fn host_of(url: &str) -> Option<String> {
    let host = Url::parse(url).ok()?.host_str()?.to_owned();
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}
