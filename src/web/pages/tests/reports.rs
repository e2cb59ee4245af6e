//! The pages of reports with samples.

use std::{collections::BTreeMap, net::IpAddr};

use askama::Template;

use crate::{
    ingest::reports::{Fate, Summary, Taken},
    model::{
        advice::{Demand, Goal, Judge, Step, Stray, Survey, WINDOW_DAYS},
        figures::{DomainFigures, PolicySeen, ReportLine, SourceDetail, SourceShare, Sums},
        report::Reason,
        scope::Role,
    },
    web::pages::{
        dmarc::{self, domains, foreign, period::Period, publish},
        frame::{Entry, Frame},
        report, reports, samples, source, sources, tls, tls_report, unreadable, upload,
    },
};

const NAMES: [&str; 2] = ["alpha.test", "beta.test"];

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).into()
}

fn overview(frame: &Frame, figures: &DomainFigures, days: u64, calm: bool) -> String {
    let mut found = samples::sources();
    if calm {
        found.retain(|source| source.sums.aligned > 0);
    }
    let span = |days| Period { days }.span(frame.formats.now, None);
    let judge = Judge::of(&frame.brand.host, &span(days), figures);
    let lately = Judge::of(&frame.brand.host, &span(WINDOW_DAYS), figures);
    let input = dmarc::Input {
        figures,
        days: &samples::days(),
        judge,
        survey: &Survey::of_all(&judge, &found),
        sources: &found,
        earlier: &found,
        recent: figures,
        lately,
        recent_survey: &Survey::of_all(&lately, &found),
        signers: &BTreeMap::new(),
        period: Period { days },
        domains: &names(),
    };
    dmarc::view(frame, input).render().unwrap()
}

fn detail(octet: usize, text: &str) -> SourceDetail {
    let share = |name: &str| SourceShare { name: name.to_owned(), sums: samples::sums(40, 30, 0) };
    SourceDetail {
        source: samples::sources().remove(octet),
        receivers: vec![share("bigmail.example"), share(text)],
        signers: vec![share("alpha.test (pass)"), share(""), share(text)],
        days: samples::days(),
    }
}

fn judge(frame: &Frame) -> Judge<'_> {
    let figures = samples::figures("alpha.test", "none");
    Judge::of(&frame.brand.host, &Period::default().span(frame.formats.now, None), &figures)
}

fn one_source(frame: &Frame, detail: &SourceDetail) -> String {
    let input = source::Input {
        detail,
        judge: judge(frame),
        domain: "alpha.test",
        domains: &names(),
        period: Period::default(),
        mails_from: samples::ago(90 * 86_400),
    };
    source::view(frame, input).render().unwrap()
}

fn one_report(frame: &Frame, text: &str) -> String {
    let stored = samples::report(text);
    let ip = IpAddr::from([203, 0, 113, 10]);
    let names: BTreeMap<IpAddr, String> = [(ip, "mail.alpha.test".to_owned())].into();
    let xml = format!("<?xml version=\"1.0\"?><feedback>{text}</feedback>");
    let input = report::Input {
        stored: &stored,
        xml: Some(xml.as_bytes()),
        names: &names,
        labels: &[(ip, text.to_owned())].into(),
        back: None,
        mails_from: samples::ago(90 * 86_400),
    };
    report::view(frame, input).render().unwrap()
}

fn list(frame: &Frame, text: &str, empty: bool) -> String {
    let query = reports::Query::parse(text);
    let lines = if empty { Vec::new() } else { samples::report_lines() };
    let months = [(2026, 11), (2026, 10)];
    let input = reports::Input { query: &query, lines: &lines, months: &months, domains: &names() };
    reports::view(frame, input).render().unwrap()
}

fn answers(text: &str) -> Vec<upload::Sent> {
    let fates = [Fate::New(1), Fate::Known(2), Fate::Variant(3), Fate::Refused(text.to_owned())];
    let about = Summary {
        org: text.to_owned(),
        domain: text.to_owned(),
        begin: samples::ago(90_000),
        end: samples::ago(3600),
    };
    let one = |fate: Fate| upload::Sent {
        file: text.to_owned(),
        taken: Taken { name: format!("{text}.xml"), fate, summary: Some(about.clone()) },
    };
    fates.map(one).into()
}

fn tls_list(frame: &Frame, text: &str, bad: bool) -> String {
    let (mut days, mut failures) = (samples::tls_days(), samples::tls_failures(text));
    if !bad {
        days.iter_mut().for_each(|day| day.failed = 0);
        failures.clear();
    }
    let input = tls::Input {
        domain: "",
        domains: &names(),
        period: Period::default(),
        days: &days,
        failures: &failures,
        lines: &samples::tls_lines(),
        paged: bad,
    };
    tls::view(frame, input).render().unwrap()
}

fn asks(frame: &Frame, kind: publish::Kind, mailbox: Option<&str>, quiet: bool) -> String {
    let input = publish::Input {
        kind,
        domain: "alpha.test",
        domains: &names(),
        mailbox,
        period: Period::default(),
        quiet,
    };
    publish::view(frame, input).render().unwrap()
}

/// All pages of reports, by name.
pub(super) fn pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    frame.entry = Some(Entry::Reports);
    let frame = &*frame;
    let mut add = |name: &str, page: String| drop(pages.insert(name.to_owned(), page));
    let figures = samples::figures("alpha.test", "none");
    let strict = DomainFigures {
        policy: PolicySeen { p: "reject".to_owned(), ..PolicySeen::default() },
        policy_before: None,
        set_aside: 0,
        ..figures.clone()
    };
    let quiet = DomainFigures { sums: Sums::default(), first: None, last: None, ..figures.clone() };
    let young =
        DomainFigures { before: Sums::default(), first: Some(samples::ago(200_000)), ..figures.clone() };
    add("dmarc", overview(frame, &figures, 30, false));
    add("dmarc-calm", overview(frame, &DomainFigures { policy_before: None, ..figures.clone() }, 7, true));
    add("dmarc-strict", overview(frame, &strict, 90, false));
    add("dmarc-year", overview(frame, &young, 365, true));
    add("dmarc-quiet", overview(frame, &quiet, 30, true));
    let many = [figures.clone(), samples::figures("beta.test", "reject"), quiet];
    add(
        "dmarc-domains",
        domains::view(frame, &many, &["gamma.test".to_owned()], Period::default()).render().unwrap(),
    );
    add("dmarc-silent", domains::view(frame, &[], &names(), Period::default()).render().unwrap());
    add(
        "dmarc-foreign",
        foreign::view(frame, "gamma.example", &names(), 40, Period::default()).render().unwrap(),
    );
    for (name, kind, mailbox, quiet) in [
        ("dmarc-first", publish::Kind::Dmarc, None, false),
        ("dmarc-none", publish::Kind::Dmarc, Some("reports@hosting.example"), true),
        ("tls-first", publish::Kind::Tls, Some("dmarc@alpha.test"), false),
    ] {
        add(name, asks(frame, kind, mailbox, quiet));
    }
    for (name, text, found) in [
        ("sources", "sort=name", samples::sources()),
        ("sources-filtered", "domain=alpha.test&standing=forged&show=failing", samples::sources()),
        ("sources-none", "range=7", Vec::new()),
    ] {
        let query = sources::Query::parse(text);
        let judge = judge(frame);
        let survey = Survey::of_all(&judge, &found);
        let input =
            sources::Input { query: &query, survey: &survey, sources: &found, judge, domains: &names() };
        add(name, sources::view(frame, input).render().unwrap());
    }
    for (place, name) in
        ["mailcow", "known", "new", "forwarder", "nameless", "forged"].into_iter().enumerate()
    {
        add(&format!("source-{name}"), one_source(frame, &detail(place, "")));
    }
    add("reports", list(frame, "", false));
    add(
        "reports-filtered",
        list(frame, "status=mixed&month=2026-11&org=big&domain=delta.test&report_id=1&after=1.1", false),
    );
    add("reports-none", list(frame, "status=other", true));
    add("reports-empty", list(frame, "", true));
    add("report", one_report(frame, ""));
    add("tls", tls_list(frame, "made-up", true));
    add("tls-fine", tls_list(frame, "", false));
    add(
        "tls-report",
        tls_report::view(frame, &samples::tls_report(""), &samples::tls_now("", true)).render().unwrap(),
    );
    if frame.role() == Role::Admin {
        let inputs = [samples::unreadable("not a report"), samples::unreadable("")];
        add("unreadable", unreadable::view(frame, &inputs, false).render().unwrap());
        add("unreadable-none", unreadable::view(frame, &[], false).render().unwrap());
        add(
            "unreadable-later",
            unreadable::view(frame, &vec![inputs[0].clone(); 51], true).render().unwrap(),
        );
        add("upload", upload::view(frame, None).render().unwrap());
        add("upload-done", upload::view(frame, Some(&answers("big.zip"))).render().unwrap());
        add("upload-nothing", upload::view(frame, Some(&[])).render().unwrap());
    }
}

/// The pages with a hostile text wherever strangers may write.
pub(super) fn hostile(frame: &Frame, payload: &str) -> Vec<String> {
    let mut hostile = detail(2, payload);
    hostile.source.name = Some(payload.to_owned());
    hostile.source.label = Some(payload.to_owned());
    let mut figures = samples::figures("alpha.test", payload);
    figures.policy.sp = Some(payload.to_owned());
    vec![
        one_report(frame, payload),
        one_source(frame, &hostile),
        overview(frame, &figures, 30, false),
        tls_list(frame, payload, true),
        tls_report::view(frame, &samples::tls_report(payload), &samples::tls_now(payload, true))
            .render()
            .unwrap(),
        unreadable::view(frame, &[samples::unreadable(payload)], false).render().unwrap(),
        upload::view(frame, Some(&answers(payload))).render().unwrap(),
    ]
}

#[test]
fn a_download_has_a_name_that_is_safe_in_a_header() {
    for payload in
        samples::PAYLOADS.into_iter().chain(["../../etc/passwd", "a\r\nb: c", "ä\"; x=\"", "...", ""])
    {
        let stored = samples::report(payload);
        let name = report::file_name(payload, &stored.line.org, stored.line.begin, "7.xml");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{name}");
        assert!(!name.starts_with('.') && name.ends_with("_7.xml") && name.len() < 220, "{name}");
    }
}

#[test]
fn a_failing_record_leads_to_its_mails_in_our_log() {
    let frame = samples::frame(Role::DomainAdmin, crate::web::text::Lang::En);
    let page = one_report(&frame, "");
    let own = "/mails?dir=out&#38;from=2026-11-19&#38;to=2026-11-20&#38;rcpt=%40bigmail.example&#38;domain=alpha.test";
    assert!(
        page.contains(own),
        "{}",
        page.split("/mails?").nth(1).unwrap_or_default().get(..200).unwrap_or_default()
    );
    assert!(page.contains("/mails?from=2026-11-19&#38;to=2026-11-20&#38;ip=203.0.113.201"));
    assert_eq!(
        page.matches("href=\"/mails?").count(),
        2,
        "what passed, and what has no address, leads nowhere"
    );
}

/// A receiver may write any number of results, reasons and errors; the page stays short and says how many there are.
#[test]
fn a_report_with_endless_lists_makes_a_short_page() {
    let frame = samples::frame(Role::DomainAdmin, crate::web::text::Lang::En);
    let mut stored = samples::report("");
    let report = &mut stored.report;
    let record = &mut report.records[0];
    record.dkim_results = vec![record.dkim_results[0].clone(); 300_000];
    record.spf_results = vec![record.spf_results[0].clone(); 20_000];
    record.reasons = vec![Reason { kind: "other".to_owned(), comment: Some("x".repeat(5000)) }; 3000];
    report.errors = vec!["e".repeat(5000); 4000];
    let input = report::Input {
        stored: &stored,
        xml: None,
        names: &BTreeMap::new(),
        labels: &BTreeMap::new(),
        back: None,
        mails_from: samples::ago(90 * 86_400),
    };
    let page = report::view(&frame, input).render().unwrap();
    assert!(page.len() < 150_000, "{}", page.len());
    for all in ["300,000", "20,000", "3,000", "4,000"] {
        assert!(page.contains(&format!("of {all} are shown")), "{all}");
    }
}

#[test]
fn a_report_from_the_future_says_that_it_does_not_count() {
    let frame = samples::frame(Role::DomainAdmin, crate::web::text::Lang::En);
    let page = |days: u64| {
        let begin = frame.formats.now.plus(std::time::Duration::from_secs(days * 86_400));
        let line = ReportLine { begin, ..samples::report_lines().remove(0) };
        let input = reports::Input {
            query: &reports::Query::default(),
            lines: &[line],
            months: &[],
            domains: &names(),
        };
        reports::view(&frame, input).render().unwrap()
    };
    assert!(page(4).contains("from the future"));
    assert!(!page(1).contains("from the future"));
}

#[test]
fn a_policy_is_told_with_all_that_makes_it_milder() {
    let seen = |sp: Option<&str>, pct, testing| {
        let sp = sp.map(str::to_owned);
        dmarc::words::policy_tag(&PolicySeen { p: "reject".to_owned(), sp, pct, testing })
    };
    assert_eq!(seen(Some("none"), Some(50), true), "p=reject; sp=none; pct=50; t=y");
    assert_eq!(seen(Some("reject"), Some(100), false), "p=reject");
    let frame = samples::frame(Role::DomainAdmin, crate::web::text::Lang::En);
    let policy = PolicySeen {
        p: "reject".to_owned(),
        sp: Some("none".to_owned()),
        testing: true,
        ..PolicySeen::default()
    };
    let figures = DomainFigures { policy, ..samples::figures("alpha.test", "reject") };
    let page = overview(&frame, &figures, 30, true);
    assert!(page.contains("take t=y out of the record"), "the next step");
    assert!(page.contains(frame.lang().t_in("policy_testing", "y")) && !page.contains("nothing stricter"));
}

#[test]
fn advice_names_the_mails_that_would_be_refused() {
    let frame = samples::frame(Role::DomainAdmin, crate::web::text::Lang::En);
    let text = |failed| {
        let step = Step::Tighten(Goal::Policy(Demand::Reject), Stray { failed, messages: 19_000 });
        dmarc::words::advice(&frame, &step, &judge(&frame), "alpha.test", &PolicySeen::default()).text
    };
    assert!(text(99).contains("of 19,000 mails from your sources in 14 days 99 failed"), "{}", text(99));
    assert!(text(99).contains("would have been refused"));
    assert!(text(0).contains("no mail from a source of yours has failed"));
}

#[test]
fn a_source_that_may_be_ours_is_a_question_with_both_answers() {
    let page = |role| {
        let frame = samples::frame(role, crate::web::text::Lang::En);
        overview(&frame, &samples::figures("alpha.test", "none"), 30, false)
    };
    for (role, how) in
        [(Role::Admin, "say “Not ours” on its page"), (Role::DomainAdmin, "let your admin note that")]
    {
        let page = page(role);
        assert!(page.contains("Is dsl-31.access.example a service of yours?"), "{role:?}");
        assert!(page.contains("If it is yours: ") && page.contains(how), "{role:?}");
        assert!(
            page.contains("204 mails of the last 14 days came from sources that may be yours"),
            "{role:?}"
        );
        assert!(!page.contains("is safe now") && !page.contains("is safe by the rule"), "{role:?}");
    }
}

#[test]
fn only_admins_are_offered_to_judge() {
    let page = |role| one_source(&samples::frame(role, crate::web::text::Lang::En), &detail(2, ""));
    assert!(page(Role::Admin).contains("/judgement"));
    assert!(!page(Role::DomainAdmin).contains("/judgement"));
}
