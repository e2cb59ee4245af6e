use super::*;
use crate::model::mail::{Direction, Mail as Folded, Status};

const AT: i64 = 1_795_000_000;

fn row(status: Option<i64>) -> Mail {
    Mail {
        id: 7,
        queue_id: Some("A00000000007".to_owned()),
        message_id: Some("m1@alpha.test".to_owned()),
        recipient: Some("bob@other.example".to_owned()),
        sender: Some("ann@alpha.test".to_owned()),
        at: Some(AT),
        status,
        subject: Some("Hello".to_owned()),
        ip: Some("192.0.2.7".to_owned()),
        size: Some(1234),
    }
}

fn entry(at: i64, status: i64, text: &str) -> Entry {
    Entry { mail_id: 7, at: Some(at), status, description: Some(text.to_owned()) }
}

fn fold(mail: &Mail, history: &[Entry]) -> Folded {
    let told = Told::new(mail, history, &BTreeSet::from(["alpha.test".to_owned()])).unwrap();
    let kept = told.kept();
    let mut events = kept.events.clone();
    events.sort_unstable();
    Folded::from_events(ServerId(1), Some(kept.queue_id), kept.queue_id, &events)
}

#[test]
fn what_alone_is_kept_of_a_mail_is_shown_and_no_more() {
    for (status, expected) in [
        (Some(0), Status::Unknown),
        (None, Status::Unknown),
        (Some(1), Status::Delayed),
        (Some(2), Status::Bounced),
        (Some(4), Status::SoftRejected),
        (Some(5), Status::Rejected),
        (Some(6), Status::Junk),
    ] {
        let mail = fold(&row(status), &[]);
        assert_eq!(mail.status, expected, "{status:?}");
        assert_eq!(mail.recipients.iter().map(|row| row.status).collect::<Vec<_>>(), [expected]);
        assert_eq!((mail.message_id.as_deref(), mail.size), (Some("m1@alpha.test"), Some(1234)));
        assert_eq!(mail.client_ip.as_deref(), Some("192.0.2.7"));
        let check = mail.check.unwrap();
        assert_eq!((check.subject.as_deref(), check.action.as_str()), (Some("Hello"), ""), "no verdict");
        assert_eq!(mail.entrance, None);
    }
}

#[test]
fn lines_of_postfix_tell_the_delivery() {
    let sent = "A00000000007: to=<bob@other.example>, relay=mx.other.example[203.0.113.9]:25, delay=1.2, \
                delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 77)";
    let mail = fold(&row(Some(3)), &[entry(AT, 0, sent), entry(AT + 60, 3, "0badf00d")]);
    assert_eq!((mail.status, mail.direction), (Status::Sent, Direction::Out), "an open changes nothing");
    assert_eq!(mail.recipients[0].relay, "mx.other.example[203.0.113.9]:25");
    // The same line, kept without the queue id.
    let bare = sent.strip_prefix("A00000000007: ").unwrap();
    assert_eq!(fold(&row(Some(0)), &[entry(AT, 0, bare)]).status, Status::Sent);
    let inbox = sent.replace("mx.other.example[203.0.113.9]:25", "dovecot[172.22.1.250]:24");
    assert!(fold(&row(Some(0)), &[entry(AT, 0, &inbox)]).recipients[0].local);
    // Expired, which the app took for sent.
    let expired = "A00000000007: from=<ann@alpha.test>, status=expired, returned to sender";
    assert_eq!(fold(&row(Some(0)), &[entry(AT, 0, expired)]).status, Status::Expired);
}

#[test]
fn a_text_that_is_no_line_is_shown_as_it_is() {
    let mail = fold(&row(Some(1)), &[entry(AT, 1, "something else")]);
    let noted = mail.steps.iter().any(|step| {
        matches!(&step.kind, crate::model::mail::StepKind::Noted(Status::Delayed, text) if text.ends_with("something else"))
    });
    assert!(noted, "{:?}", mail.steps);
    assert_eq!(mail.status, Status::Delayed);
}

#[test]
fn of_several_recipients_none_is_given_the_status_of_another() {
    let mail = Mail { recipient: Some("a@other.example, b@other.example".to_owned()), ..row(Some(2)) };
    let folded = fold(&mail, &[]);
    assert_eq!(folded.status, Status::Bounced);
    assert!(folded.recipients.iter().all(|row| row.status == Status::Unknown));
    let whole = fold(&Mail { status: Some(5), ..mail }, &[]);
    assert!(
        whole.recipients.iter().all(|row| row.status == Status::Rejected),
        "the filter refuses a whole mail"
    );
}

#[test]
fn verdicts_come_back_to_their_moment() {
    let said = r#"Spam Score 9.5 : {"DKIM_SIGNED":{"score":0,"options":["alpha.test:s=dkim"]}}"#;
    let mail = row(Some(6));
    let early = [entry(AT + 2 - 2 * 86_400, 6, said)];
    let told = Told::new(&mail, &early, &BTreeSet::new()).unwrap();
    let scan = told.scan().unwrap();
    assert_eq!((scan.at, scan.score, scan.action.as_str()), (Millis::from_secs(AT + 2), 950, "add header"));
    assert!(told.ours, "we signed it");
    assert_eq!(told.first, Millis::from_secs(AT));
    // Without a message id no mail could claim it: then it is shown as it is.
    let nameless = Mail { message_id: None, ..mail };
    let told = Told::new(&nameless, &early, &BTreeSet::new()).unwrap();
    let events = told.kept().events;
    assert!(told.scan().is_none() && events.iter().any(|event| matches!(event.fact, Fact::Noted { .. })));
}

#[test]
fn rows_without_a_moment_are_of_no_use() {
    let mail = Mail { at: None, ..row(Some(1)) };
    assert!(Told::new(&mail, &[], &BTreeSet::new()).is_none());
    assert!(Told::new(&mail, &[entry(AT, 1, "x")], &BTreeSet::new()).is_some());
}
