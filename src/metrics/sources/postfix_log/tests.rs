//! A made-up hour of a log.

use std::collections::BTreeSet;

use super::*;
use crate::{
    metrics::{
        modules::{self, flow as f, host, mailflow as m, postfix as p},
        registry::{Metric, Origin},
    },
    model::sample::State,
};

const LOG: &str = "\
postfix/smtpd|4A1B2C3D4E: client=mx.example.org[192.0.2.10]
postfix/cleanup|4A1B2C3D4E: message-id=<1@example.org>
postfix/qmgr|4A1B2C3D4E: from=<ann@Example.org>, size=1000, nrcpt=2 (queue active)
postfix/lmtp|4A1B2C3D4E: to=<bob@a.test>, relay=dovecot[172.22.1.250]:24, delay=0.5, delays=0.1/0/0.2/0.2, dsn=2.0.0, status=sent (250 2.0.0 <bob@a.test> Saved)
postfix/smtp|4A1B2C3D4E: to=<far@b.test>, relay=mx.b.test[192.0.2.20]:25, delay=1.5, delays=0.1/0/0.7/0.7, dsn=4.7.1, status=deferred (host mx.b.test[192.0.2.20] said: 450 4.7.1 greylisted (in reply to RCPT TO command))
postfix/qmgr|4A1B2C3D4E: from=<ann@Example.org>, size=1000, nrcpt=1 (queue active)
postfix/smtp|4A1B2C3D4E: to=<far@b.test>, relay=mx.b.test[192.0.2.20]:25, delay=300, delays=299/0/0.5/0.5, dsn=4.7.1, status=deferred (host mx.b.test[192.0.2.20] said: 450 4.7.1 greylisted (in reply to RCPT TO command))
sogo/smtpd|5A1B2C3D4F: client=sogo[172.22.1.248], sasl_method=PLAIN, sasl_username=bob@a.test
postfix/qmgr|5A1B2C3D4F: from=<bob@a.test>, size=500, nrcpt=1 (queue active)
enforced-tls-smtp/smtp|5A1B2C3D4F: to=<x@c.test>, relay=mx.c.test[192.0.2.30]:25, delay=2.5, delays=0.1/0/1/1.4, dsn=5.1.1, status=bounced (host mx.c.test[192.0.2.30] said: 550 5.1.1 no such user (in reply to RCPT TO command))
postfix/qmgr|5A1B2C3D4F: removed
postfix/postscreen|CONNECT from [198.51.100.66]:2222 to [172.22.1.253]:25
postfix/postscreen|PREGREET 14 after 0.05 from [198.51.100.66]:2222: EHLO x\\r\\n
postfix/postscreen|DNSBL rank 8 for [198.51.100.66]:2222
postfix/postscreen|NOQUEUE: reject: RCPT from [198.51.100.66]:2222: 550 5.7.1 Service unavailable; client [198.51.100.66] blocked using zen.example.org; from=<x@example.net>, to=<bob@a.test>, proto=ESMTP, helo=<x>
postfix/postscreen|DISCONNECT [198.51.100.66]:2222
postfix/postscreen|ALLOWLISTED [192.0.2.11]:41001
postfix/smtpd|NOQUEUE: reject: RCPT from unknown[198.51.100.9]: 550 5.1.1 <nobody@a.test>: Recipient address rejected: User unknown in virtual mailbox table; from=<x@example.net> to=<nobody@a.test> proto=ESMTP helo=<x>
postfix/smtps/smtpd|warning: unknown[198.51.100.9]: SASL LOGIN authentication failed: (reason unavailable), sasl_username=bob@a.test
postfix/dnsblog|warning: dnsblog_query: lookup error for DNS query 66.100.51.198.zen.example.org: timed out
postfix/smtp|connect to mx.d.test[192.0.2.40]:25: Connection timed out
postfix/master|fatal: bind 0.0.0.0 port 25: Address already in use
watchdog/smtpd|connect from unknown[172.22.1.1]
";

#[test]
fn an_hour_is_told_by_every_declared_key() {
    let mut memory = Memory::default();
    memory.window.cover_from(Millis(0));
    let now = Millis::from_secs(1_795_200_000);
    for (index, line) in LOG.lines().enumerate() {
        let (program, text) = line.split_once('|').unwrap();
        memory.count(
            now.minus(HOUR / 2).plus(std::time::Duration::from_secs(20 * index as u64)),
            program,
            text,
        );
    }
    let mut out = Samples::new(now);
    tell(memory.window.hour(now).unwrap(), &["a.test".to_owned(), "z.test".to_owned()], &mut out);
    let told: BTreeSet<&str> = out.list().iter().map(|sample| sample.metric).collect();
    let declared: BTreeSet<&str> = modules::of(&[Origin::PostfixLog]).map(|metric| metric.key).collect();
    assert_eq!(told, declared);
    let is = |metric: &Metric| out.list().iter().find(|it| it.metric == metric.key).unwrap().state.clone();
    for (metric, expected) in [
        (&m::RECEIVED, 2.0),
        (&m::DELIVERED, 1.0),
        (&m::DEFERRED, 1.0),
        (&m::BOUNCED, 1.0),
        (&m::REJECTED, 2.0),
        (&m::REJECT_RATE, 66.0),
        (&m::BYTES_RECEIVED, 1500.0),
        (&m::BYTES_DELIVERED, 1000.0),
        (&m::SENDERS, 2.0),
        (&m::RECIPIENTS, 1.0),
        (&m::REJECT_RBL, 1.0),
        (&m::REJECT_UNKNOWN_USER, 1.0),
        (&m::WARNINGS_SASL, 1.0),
        (&m::WARNINGS_DNS, 1.0),
        (&host::DELIVERY_TIME, 0.5),
        (&f::DELAY_95, 0.5),
        (&f::DELIVERY_RATE, 50.0),
        (&f::DEFERRALS, 2.0),
        (&p::LOG_WARNINGS, 2.0),
        (&p::LOG_ERRORS, 1.0),
        (&p::LOG_SASL_AUTH_FAILED, 1.0),
        (&p::LOG_CONNECTION_TIMEOUT, 1.0),
        (&p::POSTSCREEN_CONNECT, 1.0),
        (&p::POSTSCREEN_REJECT, 1.0),
        (&p::POSTSCREEN_PREGREET, 1.0),
        (&p::POSTSCREEN_WHITELISTED, 1.0),
        (&p::POSTSCREEN_ACTIVE, 1.0),
    ] {
        assert_eq!(is(metric), State::Number(expected), "{}", metric.key);
    }
    let each = |metric: &Metric, thing: &str| {
        let mut found = out.list().iter().filter(|it| it.metric == metric.key);
        found.find(|it| it.labels.iter().any(|(_, own)| own == thing)).unwrap().state.clone()
    };
    assert_eq!(each(&f::EACH_DOMAIN_DELIVERED, "a.test"), State::Number(1.0));
    assert_eq!(each(&f::EACH_DOMAIN_BOUNCED, "a.test"), State::Number(1.0));
    assert_eq!(each(&f::EACH_DOMAIN_SENT, "z.test"), State::Number(0.0));
    assert_eq!(each(&f::EACH_PROVIDER_DEFERRALS, "b.test"), State::Number(2.0));
    assert_eq!(is(&m::BOUNCE_DETAIL), State::from("5.1.1:1"));
    assert_eq!(is(&m::REJECT_DETAIL), State::from("RBL:1,UnknownUser:1"));
    assert_eq!(is(&m::TOP_SENDERS), State::from("ann@example.org:1,bob@a.test:1"));
}
