use super::*;

const REPORT: &str = r#"{
  "organization-name": "Company-X",
  "date-range": {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z"},
  "contact-info": "sts-reporting@company-x.example",
  "report-id": "5065427c-23d3",
  "policies": [{
    "policy": {
      "policy-type": "STS", "policy-domain": "Company-Y.example.",
      "policy-string": ["version: STSv1", "mode: testing"], "mx-host": "*.mail.company-y.example"
    },
    "summary": {"total-successful-session-count": 5326, "total-failure-session-count": "303"},
    "failure-details": [
      {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8:abcd:12::1",
       "receiving-mx-hostname": "mx1.mail.company-y.example", "failed-session-count": 100},
      {"result-type": "odd-one", "receiving-ip": "203.0.113.58", "receiving-mx-helo": "mx", "failed-session-count": 203.0,
       "additional-information": "https://reports.example/1", "failure-reason-code": "X"}
    ]
  }]
}"#;

#[test]
fn a_report_is_read_whole() {
    let report = parse(REPORT).unwrap();
    assert_eq!((report.org.as_str(), report.report_id.as_str()), ("Company-X", "5065427c-23d3"));
    assert_eq!(report.contact.as_deref(), Some("sts-reporting@company-x.example"));
    assert_eq!((report.begin, report.end), (Millis(1_459_468_800_000), Millis(1_459_555_199_000)));
    let [policy] = &report.policies[..] else { panic!("one policy") };
    assert_eq!((policy.kind.as_str(), policy.domain.as_str()), ("sts", "company-y.example"));
    assert_eq!(policy.text, ["version: STSv1", "mode: testing"]);
    assert_eq!(policy.mx_hosts, ["*.mail.company-y.example"]);
    assert_eq!((policy.successful, policy.failed), (5326, 303));
    let failure = TlsFailure {
        kind: "odd-one".into(),
        receiving_ip: Some("203.0.113.58".into()),
        mx_helo: Some("mx".into()),
        sessions: 203,
        more: Some("https://reports.example/1".into()),
        reason_code: Some("X".into()),
        ..TlsFailure::default()
    };
    assert_eq!(policy.failures.get(1), Some(&failure));
}

#[test]
fn odd_types_are_taken() {
    let text = REPORT.replace("\"5065427c-23d3\"", "17").replace("2016-04-01T00:00:00Z", "1459468800");
    let report = parse(&text.replace(": [{", ": {").replace("}]\n}", "}\n}")).unwrap();
    assert_eq!((report.report_id.as_str(), report.begin), ("17", Millis(1_459_468_800_000)));
    assert_eq!(report.policies.len(), 1);
}

#[test]
fn sums_that_are_missing_are_counted_or_asked_for() {
    let without = REPORT.replace("\"summary\"", "\"summery\"");
    assert_eq!(parse(&without).unwrap().policies[0].failed, 303);
    let without = without.replace("failure-details", "details");
    assert_eq!(parse(&without), Err(Fault::Missing("number of sessions of a policy")));
}

#[test]
fn what_a_report_cannot_do_without_is_missed() {
    for (name, fault) in [
        ("report-id", Fault::Missing("report id")),
        ("start-datetime", Fault::Missing("start-datetime")),
        ("end-datetime", Fault::Missing("end-datetime")),
        ("policy-domain", Fault::Missing("domain of a policy")),
        ("policies", Fault::Missing("policies")),
        ("failed-session-count", Fault::Missing("number of sessions of a failure")),
    ] {
        assert_eq!(parse(&REPORT.replace(&format!("\"{name}\""), "\"x\"")), Err(fault), "{name}");
    }
    assert!(matches!(parse(&REPORT.replace("date-range", "x")), Err(Fault::Root(_))));
    assert!(matches!(parse(&REPORT.replace("5326", "-1")), Err(Fault::Odd { .. })));
    assert!(matches!(parse(&REPORT.replace("5065427c", &"5".repeat(300))), Err(Fault::Odd { .. })));
}

#[test]
fn half_a_report_is_none() {
    for end in 1..REPORT.len() {
        assert!(matches!(parse(&REPORT[..end]), Err(Fault::Truncated(_))), "{end}");
    }
}

#[test]
fn depth_and_number_are_limited() {
    assert!(matches!(parse(&"{\"a\":".repeat(100_000)), Err(Fault::Json(_))));
    let many = REPORT.replace("\"version: STSv1\"", &vec!["0"; PIECES_MAX].join(","));
    assert_eq!(parse(&many), Err(Fault::Many));
}
