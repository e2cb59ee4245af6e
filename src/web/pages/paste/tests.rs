use proptest::prelude::*;

use super::*;

fn message(id: &str) -> Id {
    Id::Message(id.to_owned())
}

fn queue(id: &str) -> Id {
    Id::Queue(id.to_owned())
}

#[test]
fn a_notice_of_postfix_tells_its_ids() {
    let text = "This is the mail system at host mail.alpha.test.\n\n<orders@gamma.example>: host mx.gamma.example[198.51.100.61] said: 550 5.1.1\n\
        \x20   User unknown (in reply to RCPT TO command)\n\nReporting-MTA: dns; mail.alpha.test\nX-Postfix-Queue-ID: 4cQk0b6TmFz1h\n\
        X-Postfix-Sender: rfc822; ann@alpha.test\nArrival-Date: Fri, 20 Nov 2026 17:58:32 +0100 (CET)\n\n\
        Final-Recipient: rfc822; orders@gamma.example\n\nMessage-ID: <f3b1c7@alpha.test>\nSubject: Offer\n";
    assert_eq!(extract_ids(text), [queue("4cQk0b6TmFz1h"), message("f3b1c7@alpha.test")]);
}

#[test]
fn a_header_tells_its_ids_folded_or_quoted() {
    let text = "> Received: from [192.0.2.14] (unknown [192.0.2.14])\n>  by mail.alpha.test (Postcow) with ESMTPSA id 7F21B0C4A9\n\
        >  for <hannah@gamma.example>; Fri, 20 Nov 2026 17:58:32 +0100\n> Message-ID:\n>  <a.b.c$1@alpha.test>\n";
    assert_eq!(extract_ids(text), [queue("7F21B0C4A9"), message("a.b.c$1@alpha.test")]);
}

#[test]
fn an_answer_and_a_single_word_tell_theirs() {
    assert_eq!(extract_ids("250 2.0.0 Ok: queued as 4cQjt33Wqyz1g"), [queue("4cQjt33Wqyz1g")]);
    assert_eq!(extract_ids(" <20261120.8841@garden.example> "), [message("20261120.8841@garden.example")]);
    assert_eq!(extract_ids("9A04DE77"), [queue("9A04DE77")]);
    assert_eq!(extract_ids("Original-Message-ID: <x@y.example>"), [message("x@y.example")]);
}

#[test]
fn addresses_and_plain_words_are_no_ids() {
    assert_eq!(extract_ids("Dear <ann@alpha.test>, your mail was queued as usual."), []);
    assert_eq!(extract_ids(""), []);
    assert_eq!(extract_ids("hello"), []);
}

#[test]
fn much_text_is_read_quickly_and_gives_few_ids() {
    let text = "<1234567890.1@a.example> queued as 4cQjt33Wqyz1g ".repeat(60_000);
    let start = std::time::Instant::now();
    assert!(extract_ids(&text).len() <= 12);
    let many: String = (0..20_000).map(|n| format!("Message-ID: <{n}.x@a.example>\n")).collect();
    assert_eq!(extract_ids(&many).len(), 12);
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

proptest! {
    #[test]
    fn nothing_makes_it_fail(text in "\\PC{0,300}") {
        prop_assert!(extract_ids(&text).len() <= 12);
    }
}
