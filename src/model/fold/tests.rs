//! What became of mails.

use super::*;
use crate::model::event::Client;

const SMTPD: &str = "postfix/smtpd";
const QMGR: &str = "postfix/qmgr";

/// Facts of one mail, a second apart.
fn events<'a>(facts: &[(&'a str, Fact<'a>)]) -> Vec<Event<'a>> {
    let event = |(second, (program, fact)): (i64, &(&'a str, Fact<'a>))| Event {
        at: Millis::from_secs(1_795_000_000 + second),
        fact: *fact,
        program,
    };
    (0..).zip(facts).map(event).collect()
}

fn fold(facts: &[(&str, Fact<'_>)]) -> Mail {
    Mail::from_events(ServerId::FIRST, Some("4AAAAA0002"), "4AAAAA0002", &events(facts))
}

/// An attempt that got no queue id.
fn without_id(refusal: Refusal<'_>) -> Mail {
    Mail::from_events(ServerId::FIRST, None, "name", &events(&[(SMTPD, Fact::Refused(refusal))]))
}

fn client() -> (&'static str, Fact<'static>) {
    let client = Client { host: "x.test", ip: "192.0.2.5", login: None, parent: None, tls: None };
    (SMTPD, Fact::Client(client))
}

fn queued() -> (&'static str, Fact<'static>) {
    (QMGR, Fact::Queued { sender: "s@x.test", size: 500, nrcpt: 2 })
}

fn attempt(to: &'static str, status: &'static str) -> (&'static str, Fact<'static>) {
    let attempt = Attempt {
        to,
        orig_to: None,
        relay: "mx.y.test[192.0.2.9]:25",
        delay: "1.5",
        delays: "0/0/1/0",
        dsn: "4.4.1",
        status,
        reply: "Connection timed out",
        tls: None,
    };
    ("postfix/smtp", Fact::Attempt(attempt))
}

fn rule(verb: &'static str, stage: &'static str, reply: &'static str) -> Refusal<'static> {
    Refusal {
        verb,
        stage,
        host: "x.test",
        ip: "192.0.2.5",
        reply,
        from: Some("s@x.test"),
        to: Some("r@y.test"),
        ..Refusal::default()
    }
}

fn rows(mail: &Mail) -> Vec<(&str, Status)> {
    mail.recipients.iter().map(|row| (row.address.as_str(), row.status)).collect()
}

#[test]
fn only_a_milter_tells_of_a_virus_and_by_words_of_its_own() {
    for (verb, reply, expected) in [
        (
            "reject",
            "550 5.1.1 <virus-reports@y.test>: Recipient address rejected: User unknown",
            Status::Rejected,
        ),
        ("reject", "554 5.7.1 blocked using bl.test; see https://antivirus.example/", Status::Rejected),
        ("reject", "554 5.7.1 virus", Status::Rejected),
        ("milter-reject", "550 5.7.1 <virus-reports@y.test>: not now", Status::Rejected),
        ("milter-reject", "550 5.7.1 <\"a virus\"@y.test>: not now", Status::Rejected),
        ("milter-reject", "550 5.7.1 see https://antivirus.example/ or virus@y.test", Status::Rejected),
        ("milter-reject", "550 5.7.1 ClamAV: Eicar", Status::Virus),
        ("milter-reject", "550 5.7.1 <r@y.test>: VIRUS found", Status::Virus),
        ("milter-reject", "451 4.7.1 virus scanner is away", Status::SoftRejected),
    ] {
        let code = reply[..3].parse().unwrap();
        let mail = without_id(Refusal { code, ..rule(verb, "RCPT", reply) });
        assert_eq!((mail.status, mail.recipients[0].status), (expected, expected), "{verb}: {reply}");
    }
}

#[test]
fn with_soft_bounce_the_server_tries_again() {
    let mail = fold(&[client(), queued(), attempt("r@y.test", "SOFTBOUNCE")]);
    assert_eq!((mail.status, rows(&mail)), (Status::Delayed, vec![("r@y.test", Status::Delayed)]));
}
