//! What our own probes saw last of a domain's encryption, beside what others report: nothing is probed for a page.

use super::{
    frame::Frame,
    look::Look,
    system::{dns, words},
};
use crate::{
    metrics::{
        facts::{self, Finding, Outcome, Records, Shown},
        modules::{security, tls},
    },
    model::{
        sample::{DOMAIN, State},
        scope::normalise_domain,
        time::Millis,
    },
    store::samples::Latest,
};

/// The series that are looked at.
pub const SERIES: [&str; 2] = [security::EACH_DNS_FACTS.key, tls::EACH_CERT_FACTS.key];
/// The checks of records that have to do with encryption.
const CHECKS: [&str; 4] = ["MTA-STS", "DANE", "MX", "TLS-RPT"];
/// Where mail servers knock.
const SMTP: &str = "25";

/// What one of our own checks saw.
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it ended.
    pub look: Look,
    /// What is wrong or not known; empty where nothing is.
    pub why: String,
    /// When.
    pub told: Option<String>,
}

/// Our own checks of a domain. What the visitor may not see, as the mail server's certificate for domain admins, is left
/// out; what is not known or was seen too long ago is shown as not known.
pub fn checks(frame: &Frame, domain: &str, latest: &[Latest]) -> Vec<Check> {
    let of = |metric: &str, label: &str, value: &str| {
        let mut all = latest.iter().filter(|one| one.metric == metric);
        all.find(|one| one.labels.value(label) == Some(value)).cloned()
    };
    let domain = normalise_domain(domain).unwrap_or_default();
    let records = of(security::EACH_DNS_FACTS.key, DOMAIN, &domain);
    let found: Option<Records> = records.as_ref().and_then(known).and_then(facts::read);
    let told = records.as_ref().map(|one| one.told);
    let mut checks: Vec<Check> = CHECKS
        .iter()
        .map(|name| {
            let finding =
                found.iter().flat_map(|found| &found.findings).find(|finding| finding.check == *name);
            match finding {
                Some(Finding { outcome, why, .. }) => check(frame, (*name).to_owned(), *outcome, why, told),
                None => check(
                    frame,
                    (*name).to_owned(),
                    Outcome::Unknown,
                    &missing(frame, records.as_ref()),
                    told,
                ),
            }
        })
        .collect();
    if let Some(served) = of(tls::EACH_CERT_FACTS.key, "port", SMTP) {
        checks.extend(certificate(frame, &served));
    }
    checks
}

/// The text of a series, unless it is old.
fn known(latest: &Latest) -> Option<&str> {
    match &latest.state {
        State::Text(text) if latest.fresh => Some(text),
        _ => None,
    }
}

/// Why nothing is known.
fn missing(frame: &Frame, latest: Option<&Latest>) -> String {
    match latest {
        Some(Latest { state: State::Unknown(why) | State::NotInUse(why), .. }) => {
            words::in_language(frame.lang(), why)
        }
        Some(Latest { fresh: false, .. }) => frame.t("system.stale").to_owned(),
        _ => frame.t("tls_now.never").to_owned(),
    }
}

/// STARTTLS at the port of mail servers, and the certificate there.
fn certificate(frame: &Frame, served: &Latest) -> Vec<Check> {
    let (starttls, told) = (frame.t("tls_now.starttls").to_owned(), Some(served.told));
    match known(served).and_then(facts::read::<Shown>) {
        Some(shown) => {
            let faults = shown.faults.iter().map(|fault| words::in_language(frame.lang(), fault));
            let why = faults.collect::<Vec<_>>().join("; ");
            let outcome = if why.is_empty() { Outcome::Good } else { Outcome::Bad };
            vec![
                check(frame, starttls, Outcome::Good, "", told),
                check(frame, frame.t("tls_now.certificate").to_owned(), outcome, &why, told),
            ]
        }
        None => {
            let why = missing(frame, Some(served));
            vec![check(frame, starttls, Outcome::Unknown, &why, told)]
        }
    }
}

fn check(frame: &Frame, name: String, outcome: Outcome, why: &str, told: Option<Millis>) -> Check {
    Check {
        name,
        look: dns::look(frame, outcome),
        why: words::in_language(frame.lang(), why),
        told: told.map(|at| frame.lang().tf("tls_now.told", &[("ago", &frame.formats.ago(at))])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::scope::Role,
        web::{pages::samples, text::Lang},
    };

    fn words(checks: &[Check]) -> Vec<(&str, &str, &str)> {
        checks.iter().map(|check| (check.name.as_str(), check.look.tone, check.why.as_str())).collect()
    }

    #[test]
    fn what_is_known_is_told_and_nothing_is_good_that_is_not_known() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let why = "there is no record";
        let never = "This portal has not checked it.";
        let old = "Its source has not reported for too long.";
        let seen = checks(&frame, "Alpha.Test", &samples::tls_now("", true));
        let certificate = ("Certificate, port 25", "bad", why);
        assert_eq!(
            words(&seen),
            [
                ("MTA-STS", "bad", why),
                ("DANE", "idle", why),
                ("MX", "ok", ""),
                ("TLS-RPT", "idle", never),
                ("STARTTLS, port 25", "ok", ""),
                certificate,
            ]
        );
        assert!(seen.iter().all(|check| check.told.is_some()));
        let stale = checks(&frame, "alpha.test", &samples::tls_now("", false));
        assert!(
            stale.iter().all(|check| check.look.tone == "idle" && check.why == old && check.told.is_some())
        );
        let other = checks(&frame, "beta.test", &samples::tls_now("", true));
        assert_eq!(
            words(&other)[0],
            ("MTA-STS", "idle", never),
            "another domain's checks are not this one's"
        );
        assert_eq!(words(&other)[5], certificate, "the mail server is the same");
        // A domain admin may not see the certificate: it is left out, not called good.
        assert_eq!(checks(&frame, "beta.test", &[]).len(), 4);
    }
}
