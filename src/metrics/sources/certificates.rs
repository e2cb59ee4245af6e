//! Certificates that the mail host shows.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use jiff::Timestamp;

use super::Reach;
use crate::{
    metrics::{
        collector::Outcome,
        facts::{self, Shown},
        modules::tls as m,
        registry::Metric,
        samples::Samples,
    },
    model::{
        sample::{Labels, State},
        time::Millis,
    },
    remote::{Error, tls::Served},
};

/// How long a connection may take, and the handshake after it. Postscreen lets new clients wait for six seconds.
const PATIENCE: Duration = Duration::from_secs(12);
const DAY: i64 = 86_400;
/// Where Mailcow's own certificate is looked for, best place first.
const MAIN: [u16; 4] = [443, 993, 465, 587];

/// What a port showed.
type Look = (u16, Result<Served, Error>);

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let (peer, prober) = (reach.probes.peer()?, reach.probes.prober()?);
        let looks = reach
            .probes
            .ports
            .iter()
            .map(|port| async { (port.number, prober.look(peer, *port, PATIENCE).await) });
        let looks = join_all(looks).await;
        tell(&looks, out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(looks: &[Look], out: &mut Samples) {
    let now = out.at();
    for (port, look) in looks {
        tell_each(*port, look, now, out);
    }
    for (port, days, raw) in [
        (443, &m::CERT_DAYS_443, &m::CERT_RAW_443),
        (587, &m::CERT_DAYS_587, &m::CERT_RAW_587),
        (993, &m::CERT_DAYS_993, &m::CERT_RAW_993),
    ] {
        let look = looks.iter().find(|(number, _)| *number == port).map(|(_, look)| look);
        let absent = || State::NotInUse(format!("Add {port} to PROBE_PORTS."));
        let mut note = |metric: &Metric, value: fn(&Served, Millis) -> State| {
            out.set(metric, look.map_or_else(absent, |look| state(look, |served| value(served, now))));
        };
        note(days, |served, now| days_left(served, now).into());
        note(raw, |served, _| {
            let it = &served.certificate;
            format!("notAfter={} subject=CN={}", date(it.until), it.subject).into()
        });
    }
    tell_main(looks, now, out);
}

fn tell_each(port: u16, look: &Result<Served, Error>, now: Millis, out: &mut Samples) {
    let labels = || Labels::one("port", &port.to_string());
    out.set_each(&m::EACH_CERT_DAYS, labels(), state(look, |served| days_left(served, now).into()));
    out.set_each(&m::EACH_CERT_TRUSTED, labels(), state(look, |served| served.faults.is_empty().into()));
    out.set_each(&m::EACH_CERT_DETAIL, labels(), state(look, |served| detail(served).into()));
    out.set_each(&m::EACH_CERT_FACTS, labels(), state(look, |served| facts::write(&shown(served)).into()));
}

/// Mailcow's certificate: what clients meet first.
fn tell_main(looks: &[Look], now: Millis, out: &mut Samples) {
    let of = |port: &u16| looks.iter().find(|(number, _)| number == port).map(|(_, look)| look);
    let found: Vec<&Result<Served, Error>> = MAIN.iter().filter_map(of).collect();
    let look = found.iter().find(|look| look.is_ok()).or(found.first());
    let mut note = |metric: &Metric, value: &dyn Fn(&Served) -> State| match look {
        Some(look) => out.set(metric, state(look, value)),
        None => out.not_in_use(metric, "Add 443 or 993 to PROBE_PORTS."),
    };
    note(&m::CERT_EXISTS, &|_| true.into());
    note(&m::CERT_SUBJECT, &|served| served.certificate.subject.as_str().into());
    note(&m::CERT_ISSUER, &|served| served.certificate.issuer.as_str().into());
    note(&m::CERT_VALID_FROM, &|served| served.certificate.from.into());
    note(&m::CERT_VALID_UNTIL, &|served| served.certificate.until.into());
    note(&m::CERT_DAYS_LEFT, &|served| days_left(served, now).into());
    note(&m::RENEWAL_OVERDUE, &|served| {
        let it = &served.certificate;
        facts::overdue(facts::renewal(it.from, it.until), now.secs()).into()
    });
    note(&m::CERT_SERIAL, &|served| served.certificate.serial.as_str().into());
}

fn state(look: &Result<Served, Error>, value: impl Fn(&Served) -> State) -> State {
    match look {
        Ok(served) => value(served),
        Err(error) => State::Unknown(error.to_string()),
    }
}

/// Whole days; the last day has 0, an expired certificate less.
fn days_left(served: &Served, now: Millis) -> i64 {
    (served.certificate.until - now.secs()).div_euclid(DAY)
}

fn shown(served: &Served) -> Shown {
    let it = served.certificate.clone();
    Shown {
        subject: it.subject,
        issuer: it.issuer,
        names: it.names,
        serial: it.serial,
        from: it.from,
        until: it.until,
        faults: served.faults.iter().map(ToString::to_string).collect(),
        chain: served.owners(),
        version: served.version.clone(),
    }
}

fn detail(served: &Served) -> String {
    let it = &served.certificate;
    let faults: Vec<String> = served.faults.iter().map(ToString::to_string).collect();
    let verdict = if faults.is_empty() { "trusted".to_owned() } else { faults.join(", ") };
    format!(
        "{verdict}; {}, by {}, until {}; chain of {}; {}",
        it.subject,
        it.issuer,
        date(it.until),
        served.chain.len(),
        served.version
    )
}

fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |moment| moment.to_string())
}
