//! The wording of a reply, made comparable: one line in lower case, its codes, and the text without names.

use memchr::memmem;

/// An enhanced status code (RFC 3463) of class 2, 4 or 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced {
    /// 2 (success), 4 (for now) or 5 (for good).
    pub class: u8,
    /// What it is about, 0 to 999.
    pub subject: u16,
    /// The detail, 0 to 999.
    pub detail: u16,
}

impl Enhanced {
    /// Reads a whole `X.Y.Z`; anything before or behind it makes it `None`.
    pub fn read(text: &str) -> Option<Self> {
        let (code, end) = enhanced_at(text.as_bytes(), 0)?;
        (end == text.len()).then_some(code)
    }
}

/// A reply or local text of a mail server, taken apart once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// The normalised text, see [`normalise`].
    pub whole: String,
    /// The same without host names and addresses, whose words ("spam", "virus") must not match.
    pub bare: String,
    /// Three-digit reply code (RFC 5321, 4.2).
    pub basic: Option<u16>,
    /// Enhanced code behind the reply code, else the first in the text.
    pub enhanced: Option<Enhanced>,
    /// Our own server refused something: the text begins with `reject:` or its kin, with or without a queue id before it.
    pub own: bool,
}

/// How smtpd(8), postscreen(8) and cleanup(8) begin what they refuse.
const OWN_REFUSALS: [&str; 3] = ["reject: ", "milter-reject: ", "proxy-reject: "];

/// `NOQUEUE`, or the shortest queue id.
const SHORTEST_ID: usize = 6;

impl Wording {
    /// Takes any text apart; never fails, time grows with the length only.
    pub fn read(text: &str) -> Self {
        let line = collapse(text);
        let reply = find_reply(&line);
        let whole = reply.map_or_else(|| line.clone(), |reply| join_lines(&line, reply));
        let bare = without_names(&whole);
        let enhanced = match reply {
            Some(reply) => reply
                .enhanced
                .or_else(|| first_enhanced(before_envelope(&line).get(reply.end..).unwrap_or_default())),
            None => first_enhanced(&bare),
        };
        let own = is_own_refusal(&whole);
        Self { whole, bare, basic: reply.map(|reply| reply.code), enhanced, own }
    }

    /// The enhanced code; that of the log line where the text has no code at all.
    pub fn enhanced_or(&self, dsn: Option<&str>) -> Option<Enhanced> {
        match (self.basic, self.enhanced) {
            (None, None) => dsn.and_then(Enhanced::read),
            (_, enhanced) => enhanced,
        }
    }

    /// 4 for "not now", 5 for "never": the class of the reply code, else of the enhanced code.
    pub fn class(&self, dsn: Option<&str>) -> Option<u8> {
        let basic = self.basic.and_then(|code| u8::try_from(code / 100).ok());
        basic.or_else(|| self.enhanced_or(dsn).map(|code| code.class))
    }
}

/// Lower case, one space for any run of white space, and a reply of several lines made one sentence.
pub fn normalise(text: &str) -> String {
    Wording::read(text).whole
}

/// The phrase behind an unknown reply, to group such replies: codes stay, while addresses, hosts, links,
/// ids and numbers become marks. At most 200 characters.
pub fn phrase_key(text: &str) -> String {
    let bare = Wording::read(text).bare;
    let mut key = String::new();
    let mut before = "";
    for (place, word) in bare.split(' ').enumerate() {
        let code = place < 4 && (is_reply_code(word) || Enhanced::read(word).is_some());
        let mark = if code { word } else { blotted(word) };
        // A run of equal marks says no more than one of them.
        if mark == before && mark.starts_with('{') {
            continue;
        }
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(mark);
        before = mark;
        if key.len() > 800 {
            break;
        }
    }
    key.chars().take(200).collect()
}

fn is_own_refusal(line: &str) -> bool {
    let is_id = |id: &str| id.len() >= SHORTEST_ID && id.bytes().all(|b| b.is_ascii_alphanumeric());
    let behind_id = line.split_once(": ").filter(|(id, _)| is_id(id)).map(|(_, rest)| rest);
    OWN_REFUSALS.iter().any(|verb| behind_id.unwrap_or(line).starts_with(verb))
}

fn is_reply_code(word: &str) -> bool {
    word.len() == 3 && reply_code_at(word.as_bytes(), 0).is_some()
}

fn blotted(word: &str) -> &str {
    let core = word.trim_matches(|c: char| !c.is_alphanumeric());
    let has_digit = core.bytes().any(|b| b.is_ascii_digit());
    let inner_dot = core.split('.').count() > 1 && !core.contains("..");
    if word.contains('@') || word == "<>" || word.starts_with("<>") {
        "{address}"
    } else if word.contains("://") || core.starts_with("www.") {
        "{link}"
    } else if inner_dot || core.matches(':').count() > 1 {
        "{host}"
    } else if has_digit && core.bytes().all(|b| b.is_ascii_digit()) {
        "{number}"
    } else if has_digit || core.chars().count() > 40 {
        "{id}"
    } else {
        word
    }
}

fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = !out.is_empty();
            continue;
        }
        if gap {
            out.push(' ');
            gap = false;
        }
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

/// The first reply code: where it begins, where the text behind it begins, and its enhanced code.
#[derive(Clone, Copy)]
struct Reply {
    start: usize,
    end: usize,
    code: u16,
    enhanced: Option<Enhanced>,
}

fn find_reply(line: &str) -> Option<Reply> {
    let bytes = line.as_bytes();
    let opens = |start: usize| match start {
        0 => true,
        1 => bytes.first() == Some(&b'('),
        _ => match bytes.get(start - 2..start) {
            Some([_, b'(']) => true,
            Some([a, b' ']) => matches!(a, b':' | b';'),
            _ => false,
        },
    };
    let begins = |start: &usize| opens(*start) && reply_code_at(bytes, *start).is_some();
    let start = (0..bytes.len()).find(begins)?;
    let code = reply_code_at(bytes, start)?;
    let end = (start + 4).min(bytes.len());
    match enhanced_at(bytes, end) {
        Some((enhanced, end)) => Some(Reply { start, end, code, enhanced: Some(enhanced) }),
        None => Some(Reply { start, end, code, enhanced: None }),
    }
}

fn reply_code_at(bytes: &[u8], at: usize) -> Option<u16> {
    let &[a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = bytes.get(at..at + 3)? else { return None };
    match bytes.get(at + 3) {
        None | Some(b' ' | b'-') => {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        Some(_) => None,
    }
}

/// Removes the codes that begin each further line of a reply (`550-5.7.1 `, `550 `), which would split phrases.
fn join_lines(line: &str, reply: Reply) -> String {
    let code = line.get(reply.start..reply.start + 3).unwrap_or_default();
    let (head, rest) = line.split_at_checked(reply.end).unwrap_or((line, ""));
    let mut out = String::with_capacity(line.len());
    out.push_str(head);
    let mut after_code = false;
    for (place, word) in rest.split(' ').enumerate() {
        // The first word hangs on the head: `550-gmx.net`, `550 5.1.1:`.
        let word =
            if place == 0 { word } else { word.strip_prefix(code).map_or(word, |tail| repeated(word, tail)) };
        let dropped = place > 0 && (word.is_empty() || (after_code && Enhanced::read(word).is_some()));
        after_code = place > 0 && word.is_empty();
        if dropped {
            continue;
        }
        if place > 0 && !out.ends_with(' ') {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// What is left of a word that begins with the code: nothing, or the text behind `550-`.
fn repeated<'a>(word: &'a str, tail: &'a str) -> &'a str {
    match tail.strip_prefix('-') {
        _ if tail.is_empty() => "",
        Some(text) if Enhanced::read(text).is_some() => "",
        Some(text) => text,
        None => word,
    }
}

fn first_enhanced(text: &str) -> Option<Enhanced> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find_map(|at| enhanced_at(bytes, at)).map(|(code, _)| code)
}

/// `X.Y.Z` at this place, unless it is part of an address (`5.6.7.8`) or of a name (`x5.1.2`, `5.1.2.example`).
fn enhanced_at(bytes: &[u8], at: usize) -> Option<(Enhanced, usize)> {
    let class = bytes.get(at).filter(|b| matches!(b, b'2' | b'4' | b'5'))? - b'0';
    let before = at.checked_sub(1).and_then(|place| bytes.get(place));
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'.') {
        return None;
    }
    let (subject, end) = dotted_number(bytes, at + 1)?;
    let (detail, end) = dotted_number(bytes, end)?;
    let goes_on = match (bytes.get(end), bytes.get(end + 1)) {
        (Some(b'.'), Some(next)) => next.is_ascii_alphanumeric(),
        (Some(next), _) => next.is_ascii_digit(),
        (None, _) => false,
    };
    (!goes_on).then_some((Enhanced { class, subject, detail }, end))
}

fn dotted_number(bytes: &[u8], at: usize) -> Option<(u16, usize)> {
    if bytes.get(at) != Some(&b'.') {
        return None;
    }
    let digits = bytes.iter().skip(at + 1).take(3).take_while(|b| b.is_ascii_digit());
    let (value, count) =
        digits.fold((0, 0), |(value, count), b| (value * 10 + u16::from(b - b'0'), count + 1));
    (count > 0).then_some((value, at + 1 + count))
}

/// Cuts the addresses and the HELO name that end a line about a refusal.
fn before_envelope(line: &str) -> &str {
    let end = memmem::find(line.as_bytes(), b"; from=<").unwrap_or(line.len());
    line.get(..end).unwrap_or(line)
}

/// `host NAME said:` becomes `host said:`, `<user@domain>` becomes `<>`, what follows `; from=<` goes.
fn without_names(whole: &str) -> String {
    let text = before_envelope(whole);
    let mut out = String::with_capacity(text.len());
    let mut words = text.split(' ').peekable();
    let mut before = "";
    while let Some(word) = words.next() {
        let spoke = matches!(words.peek(), Some(&"said:" | &"refused"));
        let named = std::mem::replace(&mut before, word);
        if named == "host" && spoke {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        // `RCPT from NAME[IP]:` of our own refusals.
        let client = (named == "from" && word.contains("]:")).then(|| word.find('[')).flatten();
        push_without_addresses(&mut out, client.and_then(|at| word.get(at..)).unwrap_or(word));
    }
    out
}

/// An address is at most 320 bytes long (RFC 3696), so the look ahead for its end is bounded.
fn push_without_addresses(out: &mut String, word: &str) {
    let mut rest = word;
    while let Some((head, tail)) = rest.split_once('<') {
        out.push_str(head);
        out.push('<');
        let end = tail.bytes().take(330).position(|b| matches!(b, b'<' | b'>')).unwrap_or(0);
        rest = match tail.split_at_checked(end) {
            Some((address, behind)) if address.contains('@') && behind.starts_with('>') => behind,
            _ => tail,
        };
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_several_lines_becomes_one_sentence() {
        let text = "host mx.spam.example[192.0.2.1] said: 550-5.7.1 Likely\r\n\t550-5.7.1 unsolicited 550 5.7.1 MAIL 550-end";
        let wording = Wording::read(text);
        assert_eq!(
            wording.whole,
            "host mx.spam.example[192.0.2.1] said: 550-5.7.1 likely unsolicited mail end"
        );
        assert_eq!(wording.bare, "host said: 550-5.7.1 likely unsolicited mail end");
        assert_eq!(wording.basic, Some(550));
        assert_eq!(wording.enhanced, Some(Enhanced { class: 5, subject: 7, detail: 1 }));
    }

    #[test]
    fn the_first_line_may_lack_an_enhanced_code() {
        let wording = Wording::read("554-gmx.example ESMTP 554-No service 554 5.7.1 see");
        assert_eq!(wording.whole, "554-gmx.example esmtp no service see");
        assert_eq!(wording.enhanced, Enhanced::read("5.7.1"));
    }

    #[test]
    fn a_reply_code_stands_at_its_places_only() {
        for (text, code) in [
            ("550 no", Some(550)),
            ("smtp; 451 later", Some(451)),
            ("x (250 ok)", Some(250)),
            ("(421 busy", Some(421)),
            ("said: 550", Some(550)),
            ("port 550 no", None),
            ("said: 5500 no", None),
            ("said: 650 no", None),
            ("limit:550 no", None),
            ("", None),
        ] {
            assert_eq!(Wording::read(text).basic, code, "{text}");
        }
    }

    #[test]
    fn addresses_and_names_are_no_enhanced_codes() {
        for (text, code) in [
            ("550 5.6.7.8 is blocked", None),
            ("550 host 4.5.6.7, (#5.1.1)", Some("5.1.1")),
            ("550 see 5.1.2.example.org", None),
            ("550 it is 5.1.1.", Some("5.1.1")),
            ("550 Postfix x4.5.6 and 3.4.5", None),
            ("ended: [4.7.1] wait", Some("4.7.1")),
            ("said: 550 no; from=<a@b.test> helo=<5.1.1>", None),
            ("550 5.1.1x", Some("5.1.1")),
        ] {
            assert_eq!(Wording::read(text).enhanced, code.and_then(Enhanced::read), "{text}");
        }
    }

    #[test]
    fn names_and_addresses_leave_the_bare_text() {
        let bare = |text| Wording::read(text).bare;
        assert_eq!(
            bare("host virus.example refused to talk to me: 421 x"),
            "host refused to talk to me: 421 x"
        );
        assert_eq!(
            bare(
                "NOQUEUE: reject: RCPT from spam.example[192.0.2.7]: 550 <spam@a.test>: no; from=<spam@b.test>"
            ),
            "noqueue: reject: rcpt from [192.0.2.7]: 550 <>: no"
        );
        assert_eq!(bare("550 <<a@b> bare <LF>"), "550 <<> bare <lf>");
    }

    #[test]
    fn our_own_refusals_are_known_by_their_begin() {
        for (text, own) in [
            ("NOQUEUE: reject: RCPT from a[192.0.2.1]: 550 no", true),
            ("4ABC123: Reject: header Subject: x", true),
            ("milter-reject: END-OF-MESSAGE from a[192.0.2.1]: 4.7.1 no", true),
            ("proxy-reject: END-OF-MESSAGE: 554 no", true),
            ("host a said: 550 reject: no", false),
            ("reject_warning: RCPT from a[192.0.2.1]: 550 no", false),
            ("said: reject: no", false),
            ("550 5.7.1 reject: no", false),
        ] {
            assert_eq!(Wording::read(text).own, own, "{text}");
        }
    }

    #[test]
    fn unknown_phrases_are_grouped_without_their_particulars() {
        let key = phrase_key(
            "550 5.7.1 No, <ann@a.test> 192.0.2.1 via mx1.b.example said 17 times Q4X77 https://b.example/x?17",
        );
        assert_eq!(key, "550 5.7.1 no, {address} {host} via {host} said {number} times {id} {link}");
        assert_eq!(
            key,
            phrase_key(
                "550 5.7.1 No, <bob@c.test> 198.51.100.2 via h.d.example said 3 times R5Y88 http://c.example/y"
            )
        );
        assert!(phrase_key(&"word ".repeat(1000)).len() <= 200);
    }
}
