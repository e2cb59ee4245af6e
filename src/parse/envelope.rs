//! The header of a mail: who says to have sent it, and what our own server found out about that.

use mail_parser::{Address, HeaderName, HeaderValue, MessageParser};

use super::attachment::head;
use crate::model::{scope::normalise_address, time::Millis};

/// What the header of a mail says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The address in the From header, lower case. `None` when there is none, or more than one: then nobody can say
    /// whose mail it is.
    pub from: Option<String>,
    /// The subject, decoded.
    pub subject: Option<String>,
    /// The message id, without angle brackets.
    pub message_id: Option<String>,
    /// When the mail says to have been written.
    pub date: Option<Millis>,
    /// The Authentication-Results headers from top to bottom, as they stand but on one line (RFC 8601).
    pub authentication_results: Vec<String>,
}

/// Reads the header of a mail. `None` when there is no header.
pub fn look(mail: &[u8]) -> Option<Envelope> {
    let head = head(mail);
    let message = MessageParser::default().parse_headers(head)?;
    if message.headers().is_empty() {
        return None;
    }
    let mut envelope = Envelope {
        subject: message.subject().map(str::to_owned),
        message_id: message.message_id().map(str::to_owned),
        date: message.date().map(|date| Millis::from_secs(date.to_timestamp())),
        ..Envelope::default()
    };
    let mut senders = Vec::new();
    for header in message.headers() {
        match (&header.name, &header.value) {
            (HeaderName::From, HeaderValue::Address(address)) => senders.push(only(address)),
            (HeaderName::From, _) => senders.push(None),
            (name, _) if name.as_str().eq_ignore_ascii_case("Authentication-Results") => {
                let raw = head.get(header.offset_start as usize..header.offset_end as usize);
                envelope.authentication_results.push(unfolded(raw.unwrap_or_default()));
            }
            _ => {}
        }
    }
    if let [Some(sender)] = &senders[..] {
        envelope.from = normalise_address(sender);
    }
    Some(envelope)
}

/// The one address of a list.
fn only(addresses: &Address<'_>) -> Option<String> {
    let mut all = addresses.iter().filter_map(|one| one.address());
    match (all.next(), all.next()) {
        (Some(address), None) => Some(address.to_owned()),
        _ => None,
    }
}

/// A header's value on one line, with single blanks.
fn unfolded(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read() {
        let mail = b"Return-Path: <x@example.net>\r\nAuthentication-Results: mx.ours.example;\r\n\tdkim=pass header.d=example.net;\r\n spf=pass\r\nauthentication-results: mx.theirs.example; dkim=fail\r\nFrom: =?utf-8?q?R=C3=BCd?= <Reports@Example.NET>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@example.net>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nFrom: body@example.org\r\n";
        let expected = Envelope {
            from: Some("reports@example.net".into()),
            subject: Some("Gr\u{fc}\u{df}e".into()),
            message_id: Some("1@example.net".into()),
            date: Some(Millis::from_secs(1_700_000_000)),
            authentication_results: vec![
                "mx.ours.example; dkim=pass header.d=example.net; spf=pass".into(),
                "mx.theirs.example; dkim=fail".into(),
            ],
        };
        assert_eq!(look(mail), Some(expected));
    }

    #[test]
    fn two_senders_are_no_sender() {
        for head in [
            "From: a@x.example\r\nFrom: b@y.example\r\n\r\n",
            "From: a@x.example, b@y.example\r\n\r\n",
            "From: nobody\r\n\r\n",
            "Subject: x\r\n\r\n",
        ] {
            assert_eq!(look(head.as_bytes()).expect("a header").from, None, "{head}");
        }
    }

    #[test]
    fn no_header_is_nothing() {
        assert_eq!(look(b""), None);
        assert_eq!(look(b"\r\n\r\nbody"), None);
    }
}
