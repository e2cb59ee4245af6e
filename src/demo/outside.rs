//! What the probes over the network would have found in the past week: a closed port, an hour without an answer, a slow
//! service, and certificates that grow old.

use std::time::Duration;

use super::doors::{CERTIFICATES, CLOSED};
use crate::{
    metrics::{
        modules::{security, tls, updates},
        registry::{Metric, Origin},
        samples::Samples,
    },
    model::sample::{DOMAIN, Labels, State},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A stretch of the past, in seconds before the present: from, until.
type Stretch = (u64, u64);

/// When which port was closed, longest ago first.
const OUTAGES: [(u16, Stretch); 4] = [
    (993, (4 * DAY, 4 * DAY - 3 * HOUR)),
    (587, (7 * HOUR, 7 * HOUR - 20 * MINUTE)),
    (4190, (2 * DAY, 2 * DAY - HOUR)),
    (CLOSED, (26 * HOUR, 0)),
];
/// When nobody could find the host at all.
const SILENCE: Stretch = (12 * HOUR, 10 * HOUR);
/// When the web server was slow.
const SLOW: Stretch = (5 * HOUR, 4 * HOUR);

fn within(ago: Duration, (from, until): Stretch) -> bool {
    (until..=from).contains(&ago.as_secs())
}

/// Tells what these origins would have told so long ago.
pub(super) fn tell(origins: &[Origin], ago: Duration, out: &mut Samples) {
    for origin in origins {
        match origin {
            Origin::Ports => tell_ports(ago, out),
            Origin::Certificates => tell_certificates(ago, out),
            Origin::Dns => tell_domains(ago, out),
            Origin::Releases => tell_releases(ago, out),
            _ => {}
        }
    }
}

fn tell_ports(ago: Duration, out: &mut Samples) {
    let named = [(443, &tls::HTTPS_CHECK), (993, &tls::IMAPS_CHECK), (587, &tls::SUBMISSION_CHECK)];
    let ports = CERTIFICATES.iter().flat_map(|(_, ports)| ports.iter().copied()).chain([CLOSED]);
    for port in ports {
        let labels = || Labels::one("port", &port.to_string());
        let open = !OUTAGES.iter().any(|(closed, stretch)| *closed == port && within(ago, *stretch));
        let seconds = if port == 443 && within(ago, SLOW) { 2.6 } else { 0.0 };
        let (state, seconds) = match (within(ago, SILENCE), open) {
            (true, _) => (unfound(), unfound()),
            (false, true) => (true.into(), State::Number(seconds)),
            (false, false) => (false.into(), State::Unknown("the port is closed".to_owned())),
        };
        if let Some((_, metric)) = named.iter().find(|(number, _)| *number == port) {
            out.set(metric, state.clone());
        }
        out.set_each(&tls::EACH_PORT_OPEN, labels(), state);
        out.set_each(&tls::EACH_PORT_SECONDS, labels(), seconds);
    }
    out.set(&tls::UI_CHECK, if within(ago, SILENCE) { unfound() } else { true.into() });
}

fn unfound() -> State {
    State::Unknown("mail.alpha.test: cannot be reached (no name server)".to_owned())
}

fn tell_certificates(ago: Duration, out: &mut Samples) {
    let past = (ago.as_secs() / DAY) as i64;
    let named = [(443, &tls::CERT_DAYS_443), (587, &tls::CERT_DAYS_587), (993, &tls::CERT_DAYS_993)];
    for ((_, until), ports) in CERTIFICATES {
        let days = until + past;
        for port in ports {
            let labels = || Labels::one("port", &port.to_string());
            if let Some((_, metric)) = named.iter().find(|(number, _)| number == port) {
                out.set(metric, days);
            }
            out.set_each(&tls::EACH_CERT_DAYS, labels(), days);
            out.set_each(&tls::EACH_CERT_TRUSTED, labels(), days >= 0);
            if *port == 443 {
                out.set(&tls::CERT_DAYS_LEFT, days);
            }
        }
    }
}

/// Two days ago there was a release.
fn tell_releases(ago: Duration, out: &mut Samples) {
    out.set(&updates::UPDATES_AVAILABLE, true);
    out.set(&updates::UPDATES_COMMITS_BEHIND, if ago.as_secs() < 2 * DAY { 37_u32 } else { 12 });
}

/// The second domain lost a point when its key was changed.
fn tell_domains(ago: Duration, out: &mut Samples) {
    let changed = ago.as_secs() < 3 * DAY;
    let set = |out: &mut Samples, metric: &Metric, domain: &str, points: u32| {
        out.set_each(metric, Labels::one(DOMAIN, domain), points);
    };
    set(out, &security::EACH_SCORE, "alpha.test", 6);
    set(out, &security::EACH_SCORE, "beta.test", if changed { 3 } else { 4 });
    out.set(&security::AUDIT_SCORE, if changed { 4_u32 } else { 5 });
}
