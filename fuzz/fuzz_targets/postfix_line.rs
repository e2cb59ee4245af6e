//! One Postfix line: no panic, and every piece of the outcome lies inside the line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailcow_status::{
    model::event::{Fact, Parsed},
    parse::postfix,
};

fuzz_target!(|text: &str| {
    for program in ["postfix/smtpd", "postfix/postscreen", "postfix/smtp", "postfix/anvil"] {
        match postfix::parse(program, text) {
            Parsed::Mail { queue_id, fact } => {
                assert!(text.starts_with(queue_id));
                if let Fact::Attempt(attempt) = fact {
                    assert!(!attempt.status.is_empty() && text.contains(attempt.reply));
                }
            }
            Parsed::Refused(refusal) => assert!(text.contains(refusal.reply)),
            Parsed::Session(_) | Parsed::Noise | Parsed::Unknown => {}
        }
    }
});
