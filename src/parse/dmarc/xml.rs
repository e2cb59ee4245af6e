//! The tokens of an XML document, as little of XML as reports need. There are no definitions, so no text can grow and
//! nothing outside of the document can be asked for; a document type that defines something is a fault.
//!
//! Written for speed: a general reader spends more time on a report's tags than unpacking and everything else together.

use std::borrow::Cow;

use super::super::report::Fault;

/// A piece of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `<name …>`, with the name as written.
    Open(&'a str),
    /// `<name …/>`
    Empty(&'a str),
    /// `</name>`
    Close(&'a str),
    /// Text between tags, references not yet resolved.
    Text(&'a str),
    /// `<![CDATA[…]]>`, to be taken as it stands.
    Literal(&'a str),
}

/// Reads tokens one after the other.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next token begins.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Takes the end tag of this element, if it is what comes next, written plainly.
    pub(super) fn closes(&mut self, name: &str) -> bool {
        let rest = self.rest().as_bytes();
        let closes = rest.starts_with(b"</")
            && rest.get(2..).is_some_and(|rest| rest.starts_with(name.as_bytes()))
            && rest.get(name.len() + 2) == Some(&b'>');
        if closes {
            self.at += name.len() + 3;
        }
        closes
    }

    /// The next token but comments and instructions, or `None` at the end of the document.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Fault> {
        loop {
            let rest = self.rest();
            let Some(first) = rest.as_bytes().first() else { return Ok(None) };
            if *first != b'<' {
                let end = memchr::memchr(b'<', rest.as_bytes()).unwrap_or(rest.len());
                return Ok(Some(Token::Text(self.take(end))));
            }
            match rest.as_bytes().get(1) {
                Some(b'/') => return self.close().map(Some),
                Some(b'!') => {
                    if let Some(literal) = self.declaration()? {
                        return Ok(Some(literal));
                    }
                }
                Some(b'?') => {
                    self.until("?>", "an instruction without end")?;
                }
                _ => return self.open().map(Some),
            }
        }
    }

    fn close(&mut self) -> Result<Token<'a>, Fault> {
        let rest = self.rest();
        let Some(end) = rest.bytes().position(|byte| byte == b'>') else {
            return Err(Fault::Syntax { at: self.at, what: "a tag without end" });
        };
        self.at += end + 1;
        Ok(Token::Close(rest.get(2..end).unwrap_or_default().trim_ascii_end()))
    }

    fn open(&mut self) -> Result<Token<'a>, Fault> {
        let start = self.at;
        // What nearly all tags are: a plain name and nothing else.
        let behind = self.rest().get(1..).unwrap_or_default();
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'_');
        let end = behind.bytes().position(|byte| !plain(byte)).unwrap_or(0);
        if end > 0 && behind.as_bytes().get(end) == Some(&b'>') {
            self.at += end + 2;
            return Ok(Token::Open(behind.get(..end).unwrap_or_default()));
        }
        let tag = self.tag()?;
        let (inner, empty) = match tag.strip_suffix('/') {
            Some(inner) => (inner, true),
            None => (tag, false),
        };
        let end = inner.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(inner.len());
        let name = inner.get(..end).unwrap_or_default();
        let begins = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':' | 0x80..);
        let odd = |byte: u8| matches!(byte, b'<' | b'/' | b'=' | b'"' | b'\'');
        if !name.as_bytes().first().is_some_and(begins) || name.bytes().any(odd) {
            return Err(Fault::Syntax { at: start, what: "a < that begins no tag" });
        }
        Ok(if empty { Token::Empty(name) } else { Token::Open(name) })
    }

    /// What stands between `<` and the `>` of a tag; a `>` in a quoted attribute does not end it.
    fn tag(&mut self) -> Result<&'a str, Fault> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut quote = None;
        for (at, byte) in bytes.iter().enumerate().skip(1) {
            match (quote, *byte) {
                (None, b'>') => {
                    self.at += at + 1;
                    return Ok(rest.get(1..at).unwrap_or_default());
                }
                (None, b'"' | b'\'') => quote = Some(*byte),
                (Some(open), byte) if open == byte => quote = None,
                _ => {}
            }
        }
        Err(Fault::Syntax { at: self.at, what: "a tag without end" })
    }

    /// A comment, a literal text, or a document type.
    fn declaration(&mut self) -> Result<Option<Token<'a>>, Fault> {
        const LITERAL: &str = "<![CDATA[";
        let rest = self.rest();
        if rest.starts_with("<!--") {
            self.take(4);
            self.until("-->", "a comment without end")?;
        } else if rest.starts_with(LITERAL) {
            self.take(LITERAL.len());
            let text = self.until("]]>", "a literal text without end")?;
            return Ok(Some(Token::Literal(text.strip_suffix("]]>").unwrap_or(text))));
        } else {
            let tag = self.tag()?;
            if tag.contains('[') || !tag.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("!DOCTYPE")) {
                return Err(Fault::Definitions);
            }
        }
        Ok(None)
    }

    /// Everything up to and with `end`.
    fn until(&mut self, end: &str, fault: &'static str) -> Result<&'a str, Fault> {
        let rest = self.rest();
        match memchr::memmem::find(rest.as_bytes(), end.as_bytes()) {
            Some(found) => Ok(self.take(found + end.len())),
            None => Err(Fault::Syntax { at: self.at, what: fault }),
        }
    }

    /// What is left of the document.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes so many bytes.
    pub(super) fn take(&mut self, length: usize) -> &'a str {
        let taken = self.rest().get(..length).unwrap_or_default();
        self.at += taken.len();
        taken
    }
}

/// The text with its references resolved: characters by number and the five names of XML. Others stay as they are,
/// like a bare `&`.
pub(super) fn resolve(raw: &str) -> Cow<'_, str> {
    if memchr::memchr(b'&', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, behind)) = rest.split_once('&') {
        text.push_str(before);
        // No name is long: a far semicolon belongs to something else.
        let name = behind.get(..behind.floor_char_boundary(12)).and_then(|near| near.split_once(';'));
        match name.and_then(|(name, _)| Some((name, reference(name)?))) {
            Some((name, c)) => {
                text.push(c);
                rest = behind.get(name.len() + 1..).unwrap_or_default();
            }
            None => {
                text.push('&');
                rest = behind;
            }
        }
    }
    text.push_str(rest);
    Cow::Owned(text)
}

fn reference(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<Token<'_>>, Fault> {
        let mut tokens = Tokens::new(text);
        let mut all = Vec::new();
        while let Some(token) = tokens.next()? {
            all.push(token);
        }
        Ok(all)
    }

    #[test]
    fn a_document_falls_into_its_tokens() {
        let text = "<?xml version='1.0'?><!DOCTYPE feedback SYSTEM \"http://x/a>b.dtd\"><n:a b='>' c=\"'/\"><!-- <b> --> t&amp;\n<e f/><![CDATA[<x>&amp;]]></n:a >";
        let expected = [
            Token::Open("n:a"),
            Token::Text(" t&amp;\n"),
            Token::Empty("e"),
            Token::Literal("<x>&amp;"),
            Token::Close("n:a"),
        ];
        assert_eq!(tokens(text).unwrap(), expected);
    }

    #[test]
    fn what_is_broken_is_a_fault() {
        for text in ["<a", "<a b='>", "</a", "<!-- a", "<![CDATA[ a", "<?a", "< a>", "<>", "<1>", "<a<b>"] {
            assert!(matches!(tokens(text), Err(Fault::Syntax { .. })), "{text}: {:?}", tokens(text));
        }
        for text in ["<!DOCTYPE a [<!ENTITY b 'c'>]>", "<!ENTITY b 'c'>", "<!doctype a [", "<!>"] {
            let fault = tokens(text);
            assert!(fault.is_err(), "{text}: {fault:?}");
        }
        assert_eq!(tokens("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"), Err(Fault::Definitions));
    }

    #[test]
    fn references_are_resolved_once() {
        assert_eq!(
            resolve("a &lt;&#65;&#x42;&gt; &amp;amp; AT&T &nbsp; &#0;&#xD800; &"),
            "a <AB> &amp; AT&T &nbsp; \0&#xD800; &"
        );
        assert_eq!(resolve("&lol9;"), "&lol9;");
    }
}
