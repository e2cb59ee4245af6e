//! Whether a line without a line break behind it is a whole one: the last line of a file that Postfix still writes may be
//! cut anywhere, and half of a fact is a wrong fact.

use crate::model::event::{Fact, Parsed};

/// Whether a text that means `parsed` has an end mark of its own at its end. Where the grammar has none (the name of a login, the
/// reason of a hold), only a line break can tell, and this is false.
pub fn is_whole(text: &str, parsed: &Parsed<'_>) -> bool {
    match parsed {
        Parsed::Mail { fact, .. } => match fact {
            Fact::Removed | Fact::Released | Fact::Requeued | Fact::Queued { .. } => true,
            Fact::Client(client) => client.login.is_none() && text.ends_with(']'),
            Fact::MessageId(_) | Fact::Pickup { .. } => text.ends_with('>'),
            Fact::Attempt(_) => is_closed(text),
            Fact::Refused(_) => true,
            _ => false,
        },
        // Some refusals end with the name of the client, some with a login, some with a text: what can be read of one counts.
        Parsed::Refused(_) | Parsed::Session(_) | Parsed::Noise => true,
        Parsed::Unknown => false,
    }
}

/// `(REPLY)` at the end, and as many brackets closed as opened: a reply has brackets of its own.
fn is_closed(text: &str) -> bool {
    let count = |bracket| memchr::memchr_iter(bracket, text.as_bytes()).count();
    text.ends_with(')') && count(b'(') == count(b')')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::postfix::parse;

    const WHOLE: [&str; 8] = [
        "4AAAA70001: message-id=<abcdefgh@example.test>",
        "4AAAA70001: from=<s@x.test>, size=500, nrcpt=1 (queue active)",
        "4AAAA70001: to=<r@y.test>, relay=y.test[192.0.2.9]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4B)",
        "4AAAA70001: to=<r@y.test>, relay=y.test[192.0.2.9]:25, delay=1, delays=0/0/1/0, dsn=4.2.0, status=deferred (host y.test[192.0.2.9] said: 450 4.2.0 no (in reply to RCPT TO command))",
        "4AAAA70001: removed",
        "4AAAA70001: client=x[192.0.2.3]",
        "4AAAA70001: uid=1000 from=<bob>",
        "disconnect from x[192.0.2.3]",
    ];

    #[test]
    fn a_fact_is_whole_only_when_it_is_there_to_its_end() {
        for line in WHOLE {
            assert!(is_whole(line, &parse("postfix/x", line)), "{line}");
            for cut in (0..line.len()).filter(|at| line.is_char_boundary(*at)) {
                let part = &line[..cut];
                let parsed = parse("postfix/x", part);
                let says_nothing = matches!(parsed, Parsed::Noise | Parsed::Session(_));
                assert!(says_nothing || !is_whole(part, &parsed), "{part}");
            }
        }
    }

    #[test]
    fn what_has_no_end_mark_needs_a_line_break() {
        for line in [
            "4AAAA70001: message-id=abc",
            "4AAAA70001: client=x[192.0.2.3], sasl_method=PLAIN, sasl_username=bob@a.test",
            "4AAAA70001: sender non-delivery notification: 4B",
            "something odd",
        ] {
            assert!(!is_whole(line, &parse("postfix/x", line)), "{line}");
        }
    }

    #[test]
    fn of_a_refusal_counts_what_is_there() {
        for line in [
            "4AAAA70001: reject: RCPT from x[192.0.2.3]: 550 5.1.1 <n@a.test>: no; from=<a@b.test> to=<n@a.test> proto=ESMTP helo=<x>",
            "NOQUEUE: reject: RCPT from x[192.0.2.3]: 550 5.1.1 <n@a.test>: no; from=<a@b.test> to=<n@a.test> proto=ESMTP helo=<x>",
            "NOQUEUE: reject: CONNECT from [192.0.2.3]:1337: too many connections",
        ] {
            assert!(is_whole(line, &parse("postfix/x", line)), "{line}");
        }
    }
}
