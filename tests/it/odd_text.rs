//! Anybody can mail a report, and write into it what they like. Whatever it is, pages show it as text.

use mailcow_status::{
    demo::reports::{Checks, Mail, Packing, json, xml},
    model::{
        figures::Verdict,
        report::{
            Arrival, DkimResult, Policy, Reason, Record, Report, SpfResult, TlsFailure, TlsPolicy, TlsReport,
        },
        time::Millis,
    },
    store::{names, reports},
};
use scraper::Html;

use super::support::{
    crawl::crawl,
    portal::{Answer, Portal, Wishes},
    reports::take,
};

/// Each wants out of its place in its own way: as an element, an attribute, a link, a comment, a header, a formula.
const PAYLOADS: &[&str] = &[
    "<xss-probe>",
    "\"><xss-probe data-xss-probe=\"1\">",
    "' data-xss-probe='1' x='",
    "\" onmouseover=\"probe()\" data-xss-probe=\"1",
    "x onfocus=probe() data-xss-probe autofocus ",
    "</title></textarea></style></select><xss-probe>",
    "</script><script>xss-probe</script>",
    "javascript:xss-probe()",
    "data:text/html,<xss-probe>",
    "--><xss-probe><!--",
    "]]><xss-probe><![CDATA[",
    "&lt;xss-probe&gt; &#60;xss-probe&#62; &amp;lt;xss-probe&amp;gt;",
    "%3Cxss-probe%3E",
    "{{ 7*7 }} ${7*7} <%= 7*7 %>",
    "=HYPERLINK(\"xss-probe\")",
    "../../../etc/passwd",
    "line\r\nSet-Cookie: xss-probe=1\r\n\r\n<xss-probe>",
    "\u{202e}desrever\u{2028}\u{200b}\u{feff}<xss-probe>",
    "Größe 📦 中文 ﷽ <xss-probe>",
    "`<xss-probe x=`y`>",
];

/// The moment of the portal's clock.
fn day(ago: i64) -> Millis {
    Millis::from_secs(1_795_000_000 - 40_000 - ago * 86_400)
}

/// A payload with the name of its place, so that it can be found again.
struct Pen(usize);

impl Pen {
    fn write(&self, place: &str) -> String {
        format!("{}q{}q {}", place, self.0, PAYLOADS[self.0])
    }

    fn maybe(&self, place: &str) -> Option<String> {
        Some(self.write(place))
    }
}

fn aggregate(pen: &Pen, domain: &str) -> Report {
    let begin = day(pen.0 as i64 + 1);
    Report {
        org: pen.write("org"),
        email: pen.maybe("email"),
        extra_contact_info: pen.maybe("contact"),
        report_id: pen.write("id"),
        begin,
        end: Millis(begin.0 + 86_399_000),
        version: pen.maybe("version"),
        generator: pen.maybe("generator"),
        errors: vec![pen.write("error")],
        policy: Policy {
            domain: domain.to_owned(),
            p: pen.maybe("p"),
            sp: pen.maybe("sp"),
            np: pen.maybe("np"),
            adkim: pen.maybe("adkim"),
            aspf: pen.maybe("aspf"),
            pct: Some(100),
            fo: pen.maybe("fo"),
            testing: pen.maybe("testing"),
            discovery: pen.maybe("discovery"),
        },
        records: vec![record(pen, false), record(pen, true)],
    }
}

fn record(pen: &Pen, with_address: bool) -> Record {
    let address = format!("192.0.2.{}", pen.0 + 1);
    Record {
        source: with_address.then(|| address.parse().unwrap()),
        source_text: pen.maybe("source"),
        count: 7,
        disposition: pen.write("disposition"),
        dkim: Default::default(),
        spf: Default::default(),
        reasons: vec![Reason { kind: pen.write("reason"), comment: pen.maybe("comment") }],
        header_from: pen.write("from"),
        envelope_from: pen.maybe("mfrom"),
        envelope_to: pen.maybe("rcpt"),
        dkim_results: vec![DkimResult {
            domain: pen.write("dkim"),
            selector: pen.maybe("selector"),
            result: pen.write("dkimresult"),
            human_result: pen.maybe("dkimwords"),
        }],
        spf_results: vec![SpfResult {
            domain: pen.write("spf"),
            scope: pen.maybe("scope"),
            result: pen.write("spfresult"),
            human_result: pen.maybe("spfwords"),
        }],
    }
}

fn tls(pen: &Pen, domain: &str) -> TlsReport {
    let begin = day(pen.0 as i64 + 1);
    TlsReport {
        org: pen.write("tlsorg"),
        contact: pen.maybe("tlscontact"),
        report_id: pen.write("tlsid"),
        begin,
        end: Millis(begin.0 + 86_399_000),
        policies: vec![TlsPolicy {
            kind: pen.write("tlskind"),
            domain: domain.to_owned(),
            text: vec![pen.write("tlstext")],
            mx_hosts: vec![pen.write("tlsmxhost")],
            successful: 3,
            failed: 2,
            failures: vec![TlsFailure {
                kind: pen.write("tlsfailure"),
                sending_ip: pen.maybe("tlssending"),
                mx: pen.maybe("tlsmx"),
                mx_helo: pen.maybe("tlshelo"),
                receiving_ip: pen.maybe("tlsreceiving"),
                sessions: 2,
                more: pen.maybe("tlsmore"),
                reason_code: pen.maybe("tlsreason"),
            }],
        }],
    }
}

/// Reports that carry every payload in every place.
async fn portal() -> Portal {
    let portal = Portal::start(Wishes::default()).await;
    let db = &portal.state.db;
    for (number, payload) in PAYLOADS.iter().enumerate() {
        let pen = Pen(number);
        let arrival = Arrival {
            at: portal.now(),
            via: pen.write("via"),
            name: pen.write("file"),
            sender: pen.maybe("sender"),
            ..Arrival::default()
        };
        take(db, &arrival, xml(&aggregate(&pen, "alpha.test")).as_bytes()).await;
        // Nobody hosts such a domain; admins see it all the same.
        take(db, &arrival, xml(&aggregate(&pen, &pen.write("domain"))).as_bytes()).await;
        take(db, &arrival, json(&tls(&pen, "alpha.test")).as_bytes()).await;
        let broken = Mail {
            at: portal.now(),
            from: format!("{}@bigmail.example", number),
            subject: pen.write("subject"),
            file: pen.write("attached").replace(['\r', '\n', '"'], "_"),
            body: format!("<feedback>{payload}"),
            packing: Packing::Gzip,
            checks: Checks::None,
        };
        take(db, &arrival, &broken.bytes()).await;
        let ip = format!("192.0.2.{}", number + 1).parse().unwrap();
        let mut tx = db.begin().await.unwrap();
        names::note(&mut tx, ip, Some(&pen.write("ptr")), portal.now()).await.unwrap();
        reports::judge(&mut tx, ip, Some(&pen.write("label")), Verdict::Known).await.unwrap();
        tx.commit().await.unwrap();
    }
    portal
}

/// Fails where a payload became more than text.
fn is_tame(address: &str, answer: &Answer) {
    assert!(answer.status < 400 || answer.status == 404, "{address}: {}", answer.status);
    assert!(!answer.cookies.iter().any(|cookie| cookie.contains("probe")), "{address}: {:?}", answer.cookies);
    let header = |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap_or("odd"));
    if !header("content-type").starts_with("text/html") {
        assert!(header("content-disposition").starts_with("attachment"), "{address}: {:?}", answer.headers);
        assert_eq!(header("x-content-type-options"), "nosniff", "{address}");
        return;
    }
    for element in Html::parse_document(&answer.body).root_element().descendent_elements() {
        let value = element.value();
        assert!(!value.name().contains("probe"), "{address}: an element of its own");
        if value.name() == "script" || value.name() == "style" {
            assert!(!element.text().any(|text| text.contains("probe")), "{address}: in a script");
        }
        for (name, content) in value.attrs() {
            assert!(!name.starts_with("on") && !name.contains("probe"), "{address}: {name}");
            let link = matches!(name, "href" | "src" | "action" | "formaction" | "poster");
            let start = content.trim_start().to_lowercase();
            let scheme = ["javascript:", "data:", "vbscript:"].iter().any(|it| start.starts_with(it));
            assert!(!(link && scheme), "{address}: {name}={content}");
        }
    }
}

#[tokio::test]
async fn whatever_a_report_says_is_text() {
    let portal = portal().await;
    for (who, expected) in [
        ("admin@alpha.test", MUST_SEE.iter().chain(ADMIN_SEES).copied().collect::<Vec<_>>()),
        ("postmaster@alpha.test", MUST_SEE.to_vec()),
    ] {
        let visitor = portal.signed_in(who).await;
        let starts = [
            "/dmarc",
            "/dmarc/alpha.test",
            "/dmarc/sources",
            "/dmarc/reports",
            "/tls-reports",
            "/dmarc/unreadable",
        ];
        let starts: Vec<&str> = starts
            .into_iter()
            .filter(|path| who.starts_with("admin") || !path.contains("unreadable"))
            .collect();
        let pages = crawl(&visitor, &starts, &["/dmarc", "/tls-reports"]).await;
        let mut text = String::new();
        for (address, answer) in &pages {
            is_tame(address, answer);
            text.extend(Html::parse_document(&answer.body).root_element().text());
        }
        for place in &expected {
            for number in 0..PAYLOADS.len() {
                let mark = format!("{place}q{number}q");
                assert!(text.contains(&mark), "{who} never sees {mark} on {} pages", pages.len());
            }
        }
        assert!(text.contains("<xss-probe>"), "the payloads are shown as they stand");
    }
}

/// Places that a domain admin finds on some page.
const MUST_SEE: &[&str] =
    &["org", "id", "error", "comment", "from", "dkim", "dkimwords", "spf", "label", "tlsorg", "tlsfailure"];
/// Places that only an admin finds.
const ADMIN_SEES: &[&str] = &["domain", "file"];
