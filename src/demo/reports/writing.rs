//! Reports as receivers write them: aggregate reports as XML (RFC 7489 appendix C, RFC 9990), TLS reports as JSON
//! (RFC 8460 section 4).

use std::fmt::{Display, Write};

use askama::filters::{Escaper, Html};
use serde_json::{Value, json};

use crate::model::{
    report::{Policy, Record, Report, TlsFailure, TlsPolicy, TlsReport},
    time::Millis,
};

/// The XML of an aggregate report. What a report does not say is left out.
pub fn xml(report: &Report) -> String {
    let mut out = Out(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n"));
    // Elements of RFC 9990 come in its namespace; reporters of RFC 7489 write none.
    let modern = report.generator.is_some() || report.policy.discovery.is_some();
    let space = if modern { " xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\"" } else { "" };
    let _ = write!(out.0, "<feedback{space}>");
    out.maybe("version", report.version.as_ref());
    out.within("report_metadata", |out| {
        out.text("org_name", &report.org);
        out.maybe("email", report.email.as_ref());
        out.maybe("extra_contact_info", report.extra_contact_info.as_ref());
        out.text("report_id", &report.report_id);
        out.within("date_range", |out| {
            out.text("begin", report.begin.secs());
            out.text("end", report.end.secs());
        });
        report.errors.iter().for_each(|error| out.text("error", error));
        out.maybe("generator", report.generator.as_ref());
    });
    out.within("policy_published", |out| policy(out, &report.policy));
    report.records.iter().for_each(|row| out.within("record", |out| record(out, row)));
    out.0.push_str("</feedback>\n");
    out.0
}

fn policy(out: &mut Out, policy: &Policy) {
    out.text("domain", &policy.domain);
    out.maybe("adkim", policy.adkim.as_ref());
    out.maybe("aspf", policy.aspf.as_ref());
    out.maybe("p", policy.p.as_ref());
    out.maybe("sp", policy.sp.as_ref());
    out.maybe("np", policy.np.as_ref());
    out.maybe("pct", policy.pct);
    out.maybe("fo", policy.fo.as_ref());
    out.maybe("testing", policy.testing.as_ref());
    out.maybe("discovery_method", policy.discovery.as_ref());
}

fn record(out: &mut Out, record: &Record) {
    out.within("row", |out| {
        out.maybe("source_ip", record.source.map(|ip| ip.to_string()).or(record.source_text.clone()));
        out.text("count", record.count);
        out.within("policy_evaluated", |out| {
            out.text("disposition", &record.disposition);
            out.text("dkim", record.dkim.code());
            out.text("spf", record.spf.code());
            for reason in &record.reasons {
                out.within("reason", |out| {
                    out.text("type", &reason.kind);
                    out.maybe("comment", reason.comment.as_ref());
                });
            }
        });
    });
    out.within("identifiers", |out| {
        out.maybe("envelope_to", record.envelope_to.as_ref());
        out.maybe("envelope_from", record.envelope_from.as_ref());
        out.text("header_from", &record.header_from);
    });
    out.within("auth_results", |out| checks(out, record));
}

fn checks(out: &mut Out, record: &Record) {
    for dkim in &record.dkim_results {
        out.within("dkim", |out| {
            out.text("domain", &dkim.domain);
            out.maybe("selector", dkim.selector.as_ref());
            out.text("result", &dkim.result);
            out.maybe("human_result", dkim.human_result.as_ref());
        });
    }
    for spf in &record.spf_results {
        out.within("spf", |out| {
            out.text("domain", &spf.domain);
            out.maybe("scope", spf.scope.as_ref());
            out.text("result", &spf.result);
            out.maybe("human_result", spf.human_result.as_ref());
        });
    }
}

/// XML under way.
struct Out(String);

impl Out {
    fn text(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.0, "<{name}>");
        let _ = Html.write_escaped_str(&mut self.0, &value.to_string());
        let _ = write!(self.0, "</{name}>");
    }

    fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn within(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name}>");
        inner(self);
        let _ = writeln!(self.0, "</{name}>");
    }
}

/// The JSON of a TLS report.
pub fn json(report: &TlsReport) -> String {
    let policies: Vec<Value> = report.policies.iter().map(tls_policy).collect();
    let report = json!({
        "organization-name": report.org,
        "date-range": {"start-datetime": moment(report.begin), "end-datetime": moment(report.end)},
        "contact-info": report.contact,
        "report-id": report.report_id,
        "policies": policies,
    });
    report.to_string()
}

fn tls_policy(policy: &TlsPolicy) -> Value {
    let failures: Vec<Value> = policy.failures.iter().map(tls_failure).collect();
    json!({
        "policy": {
            "policy-type": policy.kind,
            "policy-string": policy.text,
            "policy-domain": policy.domain,
            "mx-host": policy.mx_hosts,
        },
        "summary": {
            "total-successful-session-count": policy.successful,
            "total-failure-session-count": policy.failed,
        },
        "failure-details": failures,
    })
}

fn tls_failure(failure: &TlsFailure) -> Value {
    json!({
        "result-type": failure.kind,
        "sending-mta-ip": failure.sending_ip,
        "receiving-mx-hostname": failure.mx,
        "receiving-mx-helo": failure.mx_helo,
        "receiving-ip": failure.receiving_ip,
        "failed-session-count": failure.sessions,
        "additional-information": failure.more,
        "failure-reason-code": failure.reason_code,
    })
}

/// A moment as RFC 3339 has it.
fn moment(at: Millis) -> String {
    at.in_zone(&jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
