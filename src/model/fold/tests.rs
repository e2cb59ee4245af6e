//! What became of mails that somebody stopped on their way.

use super::*;
use crate::model::{
    event::Client,
    scope::{Holding, Holdings, Scope},
};

const SMTPD: &str = "postfix/smtpd";
const CLEANUP: &str = "postfix/cleanup";
const QMGR: &str = "postfix/qmgr";
const POSTSUPER: &str = "postfix/postsuper";

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
fn what_an_admin_deletes_is_neither_held_nor_delayed() {
    let held = (CLEANUP, Fact::Refused(rule("hold", "header", "look")));
    let placed = (POSTSUPER, Fact::Held { reason: "placed on hold" });
    let deleted = (POSTSUPER, Fact::Removed);
    for facts in [
        vec![client(), (CLEANUP, Fact::MessageId("m@x")), held, deleted],
        vec![client(), queued(), attempt("r@y.test", "deferred"), deleted],
        vec![client(), queued(), attempt("r@y.test", "deferred"), placed, deleted],
    ] {
        let mail = fold(&facts);
        assert_eq!((mail.status, rows(&mail)), (Status::Discarded, vec![("r@y.test", Status::Discarded)]));
        assert!(mail.has(&StepKind::Deleted) && !mail.has(&StepKind::Removed) && mail.removed.is_some());
    }
    let untold = fold(&[client(), queued(), deleted]);
    assert_eq!(untold.status, Status::Discarded);
    let gap = fold(&[client(), queued(), attempt("r@y.test", "deferred"), (QMGR, Fact::Removed)]);
    assert_eq!((gap.status, gap.has(&StepKind::Deleted)), (Status::Unknown, false), "lines are missing");
}

#[test]
fn who_has_a_mail_already_does_not_see_that_the_rest_was_deleted() {
    let (one, two) = (attempt("a@y.test", "sent"), attempt("b@y.test", "deferred"));
    let mail = fold(&[client(), queued(), one, two, (POSTSUPER, Fact::Removed)]);
    assert_eq!(rows(&mail), [("a@y.test", Status::Sent), ("b@y.test", Status::Discarded)]);
    for (address, sees) in [("a@y.test", false), ("b@y.test", true)] {
        let holding = (address.to_owned(), Holding { since: Millis(0), sends: Some(Millis(0)) });
        let scope = Scope::Only(Holdings { addresses: [holding].into(), ..Holdings::default() });
        let seen = scope.view(mail.clone()).unwrap();
        assert_eq!(seen.has(&StepKind::Deleted), sees, "{address}");
    }
}

#[test]
fn a_requeued_mail_goes_on_under_another_queue_id() {
    let requeued = (POSTSUPER, Fact::Requeued);
    let mail = fold(&[
        client(),
        queued(),
        attempt("a@y.test", "bounced"),
        attempt("r@y.test", "deferred"),
        requeued,
    ]);
    assert_eq!(rows(&mail), [("a@y.test", Status::Bounced), ("r@y.test", Status::Sent)]);
    assert!(mail.removed.is_some() && mail.has(&StepKind::Requeued));
    let row = &mail.recipients[1];
    assert!(row.goes_on() && row.delay.is_empty() && !mail.recipients[0].goes_on());
    let held = (CLEANUP, Fact::Refused(rule("hold", "header", "look")));
    assert_eq!(rows(&fold(&[client(), held, requeued])), [("r@y.test", Status::Sent)]);
    // The queue id is free for another mail.
    let lives = split(events(&[client(), queued(), requeued, client(), queued()]));
    assert_eq!(lives.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn what_is_no_mime_is_refused_for_good() {
    let refusal = rule("reject", "mime-error", "MIME nesting exceeds safety limit: Content-Type: x");
    let mail = fold(&[client(), (CLEANUP, Fact::MessageId("m@x")), (CLEANUP, Fact::Refused(refusal))]);
    assert_eq!((mail.status, mail.sender.as_deref()), (Status::Rejected, Some("s@x.test")));
    assert_eq!(rows(&mail), [("r@y.test", Status::Rejected)]);
}

#[test]
fn a_hold_names_a_recipient_until_deliveries_do() {
    let held = (CLEANUP, Fact::Refused(rule("hold", "header", "look")));
    let mail = fold(&[client(), (CLEANUP, Fact::MessageId("m@x")), held]);
    assert_eq!((mail.status, mail.sender.as_deref()), (Status::Held, Some("s@x.test")));
    assert_eq!(rows(&mail), [("r@y.test", Status::Held)]);
    assert!(mail.has(&StepKind::Held("look".to_owned())));
    // It does not end the mail.
    let whole = [client(), held, (CLEANUP, Fact::MessageId("m@x")), (POSTSUPER, Fact::Released), queued()];
    assert_eq!(split(events(&whole)).len(), 1);
    assert_eq!(rows(&fold(&whole)), [("r@y.test", Status::Queued)]);
    let (program, Fact::Attempt(sent)) = attempt("bob@y.test", "sent") else { panic!("an attempt") };
    let sent = (program, Fact::Attempt(Attempt { orig_to: Some("r@y.test"), ..sent }));
    let [a, b, c, d, e] = whole;
    assert_eq!(rows(&fold(&[a, b, c, d, e, sent])), [("bob@y.test", Status::Sent)]);
}

#[test]
fn all_recipients_that_the_spam_filter_names_are_there_until_deliveries_are() {
    let checked = Checked {
        action: "no action",
        score: 0,
        limit: None,
        junk_limit: None,
        subject: None,
        subject_hidden: false,
        rcpts: "a@y.test\nb@y.test",
        ip: None,
        size: 400,
        virus: false,
        forced_by: None,
        signed_for: None,
        scan: 1,
    };
    let held = (CLEANUP, Fact::Refused(rule("milter-hold", "END-OF-MESSAGE", "milter triggers HOLD action")));
    let mail = fold(&[client(), ("rspamd", Fact::Checked(checked)), held]);
    let expected = ["a@y.test", "b@y.test", "r@y.test"].map(|rcpt| (rcpt, Status::Held));
    assert_eq!(rows(&mail), expected);
    let mail = fold(&[client(), ("rspamd", Fact::Checked(checked)), queued()]);
    assert_eq!(rows(&mail), [("a@y.test", Status::Queued), ("b@y.test", Status::Queued)]);
}

#[test]
fn with_soft_bounce_the_server_tries_again() {
    let mail = fold(&[client(), queued(), attempt("r@y.test", "SOFTBOUNCE")]);
    assert_eq!((mail.status, rows(&mail)), (Status::Delayed, vec![("r@y.test", Status::Delayed)]));
}

#[test]
fn a_mail_on_hold_is_silent_for_as_long_as_it_takes() {
    let hold = rule("hold", "header", "Subject: x");
    let day = 86_400;
    let lives = |facts: &[(i64, Fact<'static>)]| {
        let event = |(second, fact): &(i64, Fact<'static>)| Event {
            at: Millis::from_secs(1_795_000_000 + second),
            fact: *fact,
            program: CLEANUP,
        };
        split(facts.iter().map(event).collect()).len()
    };
    let (client, sent) = (client().1, attempt("r@y.test", "sent").1);
    for held in [Fact::Refused(hold), Fact::Held { reason: "placed on hold" }] {
        assert_eq!(lives(&[(0, client), (1, held), (8 * day, Fact::Released), (8 * day + 1, sent)]), 1);
        // Somebody else comes in under its queue id: it is gone, though no line tells.
        assert_eq!(lives(&[(0, client), (1, held), (8 * day, client), (8 * day + 1, sent)]), 2);
        // Released and then silent for longer than Postfix tries: what comes is another.
        assert_eq!(lives(&[(0, client), (1, held), (2, Fact::Released), (8 * day, sent)]), 2);
    }
    assert_eq!(lives(&[(0, client), (8 * day, sent)]), 2);
}

#[test]
fn a_queue_id_that_begins_long_after_its_begin_is_of_another_mail() {
    let day = 86_400;
    let lives = |facts: &[(i64, Fact<'static>)]| -> Vec<usize> {
        let event = |(second, fact): &(i64, Fact<'static>)| Event {
            at: Millis::from_secs(1_795_000_000 + second),
            fact: *fact,
            program: CLEANUP,
        };
        split(facts.iter().map(event).collect()).iter().map(Vec::len).collect()
    };
    let (client, delayed, id) = (client().1, attempt("r@y.test", "deferred").1, Fact::MessageId("m@x"));
    for begin in [client, Fact::Pickup { uid: 0, sender: "root" }, id] {
        assert_eq!(lives(&[(0, client), (day, delayed), (day + 1, begin), (day + 2, delayed)]), [2, 2]);
        assert_eq!(lives(&[(0, client), (1, delayed), (day, begin), (day + 2, delayed)]), [4]);
    }
    // What waits is the same mail for as long as it is tried.
    assert_eq!(lives(&[(0, client), (3 * day, delayed), (5 * day, delayed)]), [3]);
}

#[test]
fn what_was_tried_and_is_on_hold_waits_for_an_admin() {
    let held = (POSTSUPER, Fact::Held { reason: "placed on hold" });
    let whole = [client(), queued(), attempt("r@y.test", "deferred"), attempt("q@y.test", "sent"), held];
    let mail = fold(&whole);
    assert_eq!(mail.status, Status::Held);
    assert_eq!(rows(&mail), [("q@y.test", Status::Sent), ("r@y.test", Status::Held)]);
    let scope = Scope::mailbox("r@y.test", Millis(0));
    assert_eq!(scope.view(mail).map(|mail| mail.status), Some(Status::Held));
    let mail = fold(&[whole[0], whole[1], whole[2], whole[3], whole[4], (POSTSUPER, Fact::Released)]);
    assert_eq!(rows(&mail), [("q@y.test", Status::Sent), ("r@y.test", Status::Delayed)]);
}

#[test]
fn who_has_not_been_tried_sees_that_the_mail_was_put_into_the_queue_anew() {
    let held = (CLEANUP, Fact::Refused(rule("hold", "header", "look")));
    let mail = fold(&[client(), (CLEANUP, Fact::MessageId("m@x")), held, (POSTSUPER, Fact::Requeued)]);
    let seen = Scope::mailbox("r@y.test", Millis(0)).view(mail).unwrap();
    assert!(seen.has(&StepKind::Requeued) && seen.recipients[0].goes_on());
    assert_eq!(seen.recipients[0].last_attempt, Millis::from_secs(1_795_000_003));
}
