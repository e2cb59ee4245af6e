//! A small world for tests: mails of every status, as the pages show them.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::frame::{Brand, Frame, Freshness, VisitorBadge};
use crate::{
    model::{
        event::NoticeKind,
        mail::*,
        open::{Open, Reader},
        scan::Symbol,
        scope::{Holdings, Role, Scope},
        setting::{Line, Origin, Value},
        time::Millis,
    },
    store::{
        ingestion::{Gap, LedgerDay, Source, UnknownLine, UnknownPhrase},
        lines::{Lines, RawLine},
        mails::{HourCount, Page},
    },
    web::{format::Formats, text::Lang},
};

/// Friday 20 November 2026, 18:45:12 in Berlin.
pub const NOW: Millis = Millis(1_795_196_712_000);

pub fn ago(seconds: u64) -> Millis {
    NOW.minus(Duration::from_secs(seconds))
}

pub fn frame(role: Role, lang: Lang) -> Frame {
    let address = match role {
        Role::User => "ann@alpha.test",
        Role::DomainAdmin => "postmaster@alpha.test",
        Role::Admin => "admin@alpha.test",
    };
    let formats = Formats { lang, zone: TimeZone::get("Europe/Berlin").unwrap(), now: NOW };
    let brand = Brand {
        name: lang.t("brand.name").to_owned(),
        host: "mail.alpha.test".to_owned(),
        footer_company: "Example Hosting".to_owned(),
        footer_company_url: Some("https://hosting.example".to_owned()),
        ..Brand::default()
    };
    let freshness =
        Freshness { as_of: Some(ago(20)), complete_since: Some(ago(14 * 86_400)), gap: false, stale: None };
    Frame {
        visitor: Some(VisitorBadge::new(address, role)),
        freshness: Some(freshness),
        mailcow_url: Some("https://mail.alpha.test/".to_owned()),
        ..Frame::new(formats, "", brand)
    }
}

pub fn scope(role: Role) -> Scope {
    match role {
        Role::Admin => Scope::All,
        Role::DomainAdmin => {
            Scope::Only(Holdings { domains: ["alpha.test".to_owned()].into(), ..Holdings::default() })
        }
        Role::User => Scope::mailbox("ann@alpha.test", Millis(0)),
    }
}

/// A delivered mail from outside to ann.
pub fn mail(number: u64, seconds_ago: u64) -> Mail {
    let at = ago(seconds_ago);
    Mail {
        id: MailId((at.secs() << MailId::HASH_BITS) | number as i64),
        server: ServerId(0),
        first_seen: at,
        last_seen: at.plus(Duration::from_secs(2)),
        queue_id: Some(format!("4cQm1L2Xz{number}k")),
        message_id: Some(format!("20261120.{number}@garden.example")),
        sender: Some("news@garden.example".to_owned()),
        login: None,
        client_host: Some("mx.garden.example".to_owned()),
        client_ip: Some("198.51.100.23".to_owned()),
        helo: None,
        client_tls: Some("TLSv1.3".to_owned()),
        entrance: Some(Entrance::Smtp),
        size: Some(48 << 10),
        direction: Direction::In,
        status: Status::Sent,
        verdict: Verdict::Clean,
        check: Some(check("Newsletter of the allotment club", 210)),
        recipients: vec![local("ann@alpha.test", at)],
        refusal: None,
        notices: Vec::new(),
        parent: None,
        removed: Some(at.plus(Duration::from_secs(2))),
        steps: Vec::new(),
    }
}

pub fn check(subject: &str, score: i32) -> Check {
    Check {
        action: "no action".to_owned(),
        score,
        limit: Some(1500),
        junk_limit: Some(800),
        subject: Some(subject.to_owned()),
        subject_hidden: false,
        virus: false,
        forced_by: None,
        signed_for: None,
        scan: 1,
    }
}

fn local(address: &str, at: Millis) -> Recipient {
    Recipient {
        address: address.to_owned(),
        status: Status::Sent,
        dsn: "2.0.0".to_owned(),
        relay: "dovecot[172.22.1.250]:24".to_owned(),
        local: true,
        delay: "0.81".to_owned(),
        delays: "0.6/0/0.1/0.11".to_owned(),
        reply: "250 2.0.0 <ann@alpha.test> Saved".to_owned(),
        attempts: 1,
        last_attempt: at.plus(Duration::from_secs(1)),
        ..Recipient::default()
    }
}

fn remote(address: &str, status: Status, dsn: &str, relay: &str, reply: &str, at: Millis) -> Recipient {
    Recipient {
        address: address.to_owned(),
        status,
        dsn: dsn.to_owned(),
        relay: relay.to_owned(),
        delay: "2.1".to_owned(),
        delays: "0.6/0.01/0.9/0.6".to_owned(),
        reply: reply.to_owned(),
        tls: Some("TLSv1.3".to_owned()),
        attempts: 1,
        last_attempt: at,
        ..Recipient::default()
    }
}

/// A mail that ann sent.
fn sent_by_ann(number: u64, seconds_ago: u64, subject: &str, recipients: Vec<Recipient>) -> Mail {
    let at = ago(seconds_ago);
    let status = recipients.iter().map(|row| row.status).max().unwrap_or_default();
    let mut check = check(subject, -190);
    check.signed_for = Some("alpha.test".to_owned());
    let attempts = recipients
        .iter()
        .map(|row| Step { at: row.last_attempt, kind: StepKind::Attempt(Box::new(row.clone())) })
        .collect::<Vec<_>>();
    let begin = [StepKind::Received, StepKind::Checked, StepKind::Queued].map(|kind| Step { at, kind });
    Mail {
        sender: Some("ann@alpha.test".to_owned()),
        login: Some("ann@alpha.test".to_owned()),
        client_host: None,
        client_ip: Some("192.0.2.14".to_owned()),
        entrance: Some(Entrance::Smtps),
        message_id: Some(format!("f3b1c{number}@alpha.test")),
        direction: Direction::Out,
        status,
        check: Some(check),
        recipients,
        steps: begin.into_iter().chain(attempts).collect(),
        removed: status.is_final().then_some(at.plus(Duration::from_secs(3))),
        ..mail(number, seconds_ago)
    }
}

pub fn delayed() -> Mail {
    let began = 3181;
    let row = |attempt: u32, seconds_ago: u64, host: &str, a: &str| Recipient {
        attempts: attempt,
        delay: "3200".to_owned(),
        delays: format!("{a}/0.02/0.9/1.7"),
        ..remote(
            "info@delta.example",
            Status::Delayed,
            "4.7.1",
            &format!("{host}.delta.example[203.0.113.25]:25"),
            &format!(
                "host {host}.delta.example[203.0.113.25] said: 451 4.7.1 Greylisted, please try again later (in reply to RCPT TO command)"
            ),
            ago(seconds_ago),
        )
    };
    let rows = [row(1, began - 3, "mx1", "0.4"), row(2, 2674, "mx2", "507"), row(3, 1172, "mx1", "2008")];
    let mut mail = sent_by_ann(3, began, "Minutes of Thursday", vec![rows[2].clone()]);
    mail.steps.pop();
    mail.steps.extend(rows.map(|row| Step { at: row.last_attempt, kind: StepKind::Attempt(Box::new(row)) }));
    mail.size = Some(21 << 10);
    mail
}

pub fn bounced() -> Mail {
    let at = ago(2798);
    let unknown = "host mx.gamma.example[198.51.100.61] said: 550 5.1.1 <orders@gamma.example>: Recipient address rejected: User unknown (in reply to RCPT TO command)";
    let relay = "mx.gamma.example[198.51.100.61]:25";
    let mut mail = sent_by_ann(
        2,
        2800,
        "Offer 2026-118",
        vec![
            local("bob@alpha.test", at),
            remote(
                "hannah@gamma.example",
                Status::Sent,
                "2.0.0",
                relay,
                "250 2.0.0 Ok: queued as 7F21B0C4",
                at,
            ),
            remote("orders@gamma.example", Status::Bounced, "5.1.1", relay, unknown, at),
        ],
    );
    let notice = NoticeSent { at, kind: NoticeKind::Bounce, queue_id: "4cQk0c1TmFz2h".to_owned() };
    mail.notices.push(notice.clone());
    mail.steps.push(Step { at, kind: StepKind::Notice(notice) });
    mail.steps.push(Step { at, kind: StepKind::Removed });
    mail.queue_id = Some("4cQk0b6TmFz1h".to_owned());
    mail.size = Some(319_488);
    mail
}

pub fn notice() -> Mail {
    Mail {
        sender: Some(String::new()),
        check: None,
        verdict: Verdict::None,
        queue_id: Some("4cQk0c1TmFz2h".to_owned()),
        parent: Some("4cQk0b6TmFz1h".to_owned()),
        entrance: Some(Entrance::System),
        client_ip: None,
        client_host: None,
        ..mail(4, 2797)
    }
}

pub fn rejected() -> Mail {
    let at = ago(3800);
    let reply = "554 5.7.1 Service unavailable; client [203.0.113.77] blocked using zen.example.net";
    let refusal = Refused {
        verb: "reject".to_owned(),
        stage: "RCPT".to_owned(),
        code: 554,
        dsn: "5.7.1".to_owned(),
        reply: reply.to_owned(),
    };
    Mail {
        sender: Some("bulk@cheap.example".to_owned()),
        client_ip: Some("203.0.113.77".to_owned()),
        client_host: None,
        client_tls: None,
        queue_id: None,
        message_id: None,
        check: None,
        size: None,
        status: Status::Rejected,
        verdict: Verdict::None,
        recipients: vec![Recipient {
            relay: String::new(),
            ..remote("ann@alpha.test", Status::Rejected, "5.7.1", "", reply, at)
        }],
        refusal: Some(refusal),
        steps: vec![Step { at, kind: StepKind::Refused }],
        removed: None,
        ..mail(5, 3800)
    }
}

pub fn junk() -> Mail {
    let mut mail = mail(6, 13_300);
    mail.sender = Some("promo@lucky.example".to_owned());
    mail.check = Some(Check { action: "add header".to_owned(), ..check("You have won a voucher", 980) });
    mail.verdict = Verdict::Junk;
    mail.status = Status::Junk;
    mail.recipients[0].status = Status::Junk;
    let row = mail.recipients[0].clone();
    mail.steps = [StepKind::Received, StepKind::Checked, StepKind::Queued, StepKind::Attempt(Box::new(row))]
        .map(|kind| Step { at: mail.first_seen, kind })
        .into();
    mail
}

/// A mail that was tried many times and then given up.
pub fn expired() -> Mail {
    let row = |attempt: u32| Recipient {
        attempts: attempt,
        ..remote(
            "desk@theta.example",
            if attempt == 40 { Status::Expired } else { Status::Delayed },
            "4.4.1",
            "none",
            "connect to mx.theta.example[203.0.113.88]:25: Connection timed out",
            ago(86_400 + (40 - u64::from(attempt)) * 10_800),
        )
    };
    let mut mail = sent_by_ann(7, 86_400 + 5 * 86_400, "Quotation for the roof", vec![row(40)]);
    mail.steps.pop();
    mail.steps.extend((1..=40).map(|attempt| {
        let row = Recipient { status: Status::Delayed, ..row(attempt) };
        Step { at: row.last_attempt, kind: StepKind::Attempt(Box::new(row)) }
    }));
    mail.steps.push(Step { at: ago(86_400), kind: StepKind::Expired });
    mail.last_seen = ago(86_400);
    mail
}

/// One mail of each status that the functions above leave out.
pub fn others() -> Vec<Mail> {
    let rest = [
        Status::Queued,
        Status::Unknown,
        Status::Discarded,
        Status::SoftRejected,
        Status::Quarantined,
        Status::Held,
        Status::Virus,
    ];
    let with = |(number, status): (u64, Status)| {
        let mut mail = mail(20 + number, 20_000 + number * 3000);
        mail.status = status;
        mail.recipients[0].status = status;
        mail.removed = None;
        mail.check = Some(check(&format!("A mail that is {}", status.code()), 1820));
        if matches!(status, Status::SoftRejected) {
            mail.recipients[0].reply = "450 4.7.1 Greylisted".to_owned();
        }
        if status == Status::Queued {
            mail.recipients[0] =
                Recipient { status, address: "ann@alpha.test".to_owned(), ..Recipient::default() };
        }
        mail
    };
    (0..).zip(rest).map(with).collect()
}

/// Texts that must come out as text.
pub const PAYLOADS: [&str; 5] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)> {{ 7 * 7 }} {% raw %}",
    "' onfocus='alert(1)' autofocus x='",
    "\u{202e}moc.live\u{202c} مرحبا \u{1f48c} &lt;b&gt; &amp;",
    "javascript:alert(1)//%0d%0aSet-Cookie: a=b",
];

/// A mail with a hostile text in every field, and a subject of 300 characters.
pub fn hostile(payload: &str) -> Mail {
    let text = || payload.to_owned();
    let mut mail = bounced();
    mail.id = MailId(mail.id.0 + 99);
    mail.sender = Some(text());
    mail.login = Some("ann@alpha.test".to_owned());
    mail.queue_id = Some(text());
    mail.message_id = Some(text());
    mail.client_host = Some(text());
    mail.client_ip = Some(text());
    mail.helo = Some(text());
    mail.client_tls = Some(text());
    mail.check = Some(Check {
        subject: Some(payload.repeat(300 / payload.len() + 1)),
        signed_for: Some(text()),
        action: text(),
        ..check("", 100)
    });
    for row in &mut mail.recipients {
        row.orig_to = Some(format!("alias {payload}"));
        row.reply = format!("host {payload} said: 550 5.1.1 {payload}");
        row.relay = format!("{payload}[192.0.2.1]:25");
        row.status_word = text();
        row.tls = Some(text());
    }
    mail.steps = mail
        .recipients
        .iter()
        .flat_map(|row| {
            [StepKind::Attempt(Box::new(row.clone())), StepKind::RecipientRefused(Box::new(row.clone()))]
        })
        .chain([
            StepKind::Received,
            StepKind::Checked,
            StepKind::Queued,
            StepKind::Held(text()),
            StepKind::Discarded(text()),
        ])
        .map(|kind| Step { at: mail.first_seen, kind })
        .collect();
    mail
}

pub fn all() -> Vec<Mail> {
    let second = Mail {
        sender: Some("billing@zeta.example".to_owned()),
        check: Some(check("Invoice 40417", 30)),
        ..mail(8, 14_890)
    };
    let third = sent_by_ann(
        9,
        8664,
        "Re: Keys for the hall",
        vec![remote(
            "mila@epsilon.example",
            Status::Sent,
            "2.0.0",
            "mx.epsilon.example[198.51.100.9]:25",
            "250 2.0.0 Ok: queued as 1A2B3C",
            ago(8662),
        )],
    );
    let mut mails =
        vec![mail(1, 245), bounced(), notice(), delayed(), rejected(), third, junk(), second, expired()];
    mails.extend(others());
    mails.sort_by_key(|mail| std::cmp::Reverse(mail.id));
    mails
}

pub fn visible(role: Role, mails: Vec<Mail>) -> Vec<VisibleMail> {
    mails.into_iter().filter_map(|mail| scope(role).view(mail)).collect()
}

pub fn page(role: Role) -> Page {
    let mails = visible(role, all());
    let older = mails.last().map(|mail| mail.id);
    Page { mails, newer: None, older, stopped: false }
}

pub fn gap() -> Gap {
    Gap {
        id: 1,
        server: ServerId(0),
        source: "postfix".to_owned(),
        from_at: ago(7 * 3600 + 42 * 60 + 55),
        to_at: ago(7 * 3600 + 41 * 60 + 3),
        at_least: 3120,
        cause: "overrun".to_owned(),
    }
}

pub fn source(name: &str) -> Source {
    Source {
        newest_at: Some(ago(24)),
        started_at: Some(ago(14 * 86_400)),
        polled_at: Some(ago(20)),
        succeeded_at: Some(ago(20)),
        interval_ms: 15_000,
        ring_size: 9999,
        ring_peak: if name == "postfix" { 1.0 } else { 0.71 },
        ..Source::new(ServerId(0), name)
    }
}

pub fn ledger() -> Vec<LedgerDay> {
    let day = |source: &str, line_count, mail_count| LedgerDay {
        server: ServerId(0),
        source: source.to_owned(),
        day: Millis(NOW.0 - NOW.0.rem_euclid(86_400_000)),
        line_count,
        mail_count,
        unknown_count: 14,
        bad_count: 0,
    };
    vec![day("postfix", 148_210, 9412), day("rspamd", 10_377, 10_377)]
}

pub fn unknown() -> Vec<UnknownLine> {
    vec![UnknownLine {
        shape: "something about <*>: #".to_owned(),
        program: "postfix/smtpd".to_owned(),
        line_count: 9,
        example: "something about <*@*>: 12".to_owned(),
        last_at: ago(600),
    }]
}

pub fn phrases() -> Vec<UnknownPhrase> {
    vec![UnknownPhrase {
        phrase: "the moon is in the wrong house".to_owned(),
        phrase_count: 3,
        example: "550 The moon is in the wrong house".to_owned(),
        last_at: ago(700),
    }]
}

pub fn hours() -> Vec<HourCount> {
    let counts = [(9, 2, 0), (2, 0, 0), (13, 5, 0), (10, 4, 0), (8, 3, 0), (10, 7, 0), (6, 3, 2)];
    let at = |place: u64| ago((6 - place) * 86_400);
    (0..)
        .zip(counts)
        .map(|(place, (received, sent, problems))| HourCount { hour: at(place), received, sent, problems })
        .collect()
}

pub fn symbols() -> Vec<Symbol> {
    let symbol = |name: &str, score, text: &str| Symbol {
        name: name.to_owned(),
        score,
        description: Some(text.to_owned()),
        options: vec!["alpha.test".to_owned()],
    };
    vec![
        symbol("R_SPF_ALLOW", -20, "SPF verification allows sending"),
        symbol("BAYES_HAM", -300, "Message probably ham"),
        symbol("MIME_GOOD", -10, "Known content-type"),
    ]
}

pub fn lines(mail: &Mail) -> Lines {
    let id = mail.queue_id.clone().unwrap_or_default();
    let line =
        |program: &str, text: String| RawLine { at: mail.first_seen, program: program.to_owned(), text };
    Lines {
        lines: vec![
            line(
                "postfix/smtps/smtpd",
                format!("{id}: client=unknown[192.0.2.14], sasl_method=PLAIN, sasl_username=ann@alpha.test"),
            ),
            line("postfix/qmgr", format!("{id}: from=<ann@alpha.test>, size=319488, nrcpt=3 (queue active)")),
            line(
                "postfix/smtp",
                format!(
                    "{id}: to=<orders@gamma.example>, relay=mx.gamma.example[198.51.100.61]:25, delay=2.1, delays=0.6/0/0.9/0.6, dsn=5.1.1, status=bounced (host mx.gamma.example[198.51.100.61] said: 550 5.1.1 <orders@gamma.example>: Recipient address rejected: User unknown (in reply to RCPT TO command))"
                ),
            ),
        ],
        gone: false,
    }
}

mod reports;
pub use reports::*;

/// A person twice, and an image service by an old link.
pub fn opens(mail: &Mail) -> Vec<Open> {
    let open = |seconds, reader, verified| Open {
        at: mail.first_seen.plus(Duration::from_secs(seconds)),
        reader,
        loads: 1,
        verified,
    };
    vec![open(300, Reader::Person, true), open(4000, Reader::Person, true), open(500, Reader::Relay, false)]
}

/// A few settings: one given, one by default, one not set, one secret by a file.
pub fn settings() -> Vec<Line> {
    let line = |section, name: &'static str, value, origin, help| Line {
        section,
        name: name.to_owned(),
        declared: name,
        value,
        origin,
        file: None,
        help,
    };
    let open = |text: &str| Value::Open(text.to_owned());
    let key = "API key of Mailcow. The read-only key is enough.\n";
    vec![
        Line {
            file: Some("/run/secrets/key".to_owned()),
            ..line("Mailcow", "MAILCOW_API_KEY", Value::Hidden, Origin::Environment, key)
        },
        line("Mailcow", "POSTFIX_COUNT", open("2000"), Origin::DotEnv, "How many `lines`.\n"),
        line("Mailcow", "POLL_INTERVAL", open("60s"), Origin::Default, "The pause.\n"),
        line("Look", "LOGO_DARK", Value::Unset, Origin::Nowhere, "Logo on dark ground.\n"),
    ]
}
