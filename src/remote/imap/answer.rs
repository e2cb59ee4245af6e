//! What an IMAP server says (RFC 3501 section 7), as far as we asked for it. The server may be hostile: nothing here
//! recurses, and whatever is not understood is [`Answer::Other`] or nothing.

/// One answer: its line with each literal, in order. `{5}` and a line feed stand in the line where a literal was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Raw {
    /// The line without its end.
    pub line: Vec<u8>,
    /// The literals.
    pub literals: Vec<Vec<u8>>,
}

/// An answer, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The server waits for more of the command.
    Go,
    /// The end of the command with this tag.
    Done(String, State),
    /// News about the connection or the folder.
    State(State),
    /// What the server can.
    Capability(Vec<String>),
    /// Message numbers or UIDs that were searched for.
    Search(Vec<u32>),
    /// Parts of one mail.
    Fetch(Fetch),
    /// Anything else.
    Other,
}

/// A state answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// `OK`, `NO`, `BAD`, `BYE` or `PREAUTH`.
    pub word: String,
    /// What stands in brackets: `UIDVALIDITY 7`.
    pub code: String,
    /// Words for people.
    pub text: String,
}

impl State {
    /// The number behind a code: 7 in `UIDVALIDITY 7`.
    pub fn number(&self, code: &str) -> Option<u32> {
        let (word, number) = self.code.split_once(' ')?;
        if word.eq_ignore_ascii_case(code) { number.trim().parse().ok() } else { None }
    }
}

/// What was told of one mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetch {
    /// Its UID.
    pub uid: Option<u32>,
    /// Its size in bytes, as the server says.
    pub size: Option<u64>,
    /// The mail or its first part.
    pub body: Option<Vec<u8>>,
}

/// Understands an answer.
pub fn read(raw: Raw) -> Answer {
    let line = String::from_utf8_lossy(&raw.line).into_owned();
    let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
    match first {
        "+" => Answer::Go,
        "*" => untagged(rest, raw),
        tag => state(rest).map_or(Answer::Other, |state| Answer::Done(tag.to_owned(), state)),
    }
}

/// Whether an answer that begins so may have literals. Words for people may end in `{5}` and mean nothing by it.
pub fn may_hold_literals(line: &[u8]) -> bool {
    line.strip_prefix(b"* ").is_some_and(|rest| state(&String::from_utf8_lossy(rest)).is_none())
}

fn state(text: &str) -> Option<State> {
    let (word, text) = text.split_once(' ').unwrap_or((text, ""));
    let word = word.to_ascii_uppercase();
    if !matches!(word.as_str(), "OK" | "NO" | "BAD" | "BYE" | "PREAUTH") {
        return None;
    }
    let coded = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    let (code, text) = coded.unwrap_or(("", text));
    Some(State { word, code: code.to_owned(), text: text.trim().to_owned() })
}

fn untagged(text: &str, raw: Raw) -> Answer {
    if let Some(state) = state(text) {
        return Answer::State(state);
    }
    let mut words = text.split_ascii_whitespace();
    let first = words.next().unwrap_or_default().to_ascii_uppercase();
    match first.as_str() {
        "CAPABILITY" => Answer::Capability(words.map(str::to_ascii_uppercase).collect()),
        "SEARCH" => Answer::Search(words.filter_map(|word| word.parse().ok()).collect()),
        _ if words.next().is_some_and(|word| word.eq_ignore_ascii_case("FETCH")) => {
            fetch(raw).map_or(Answer::Other, Answer::Fetch)
        }
        _ => Answer::Other,
    }
}

/// Reads `* 3 FETCH (UID 7 RFC822.SIZE 9 BODY[]<0> {9}…)`.
fn fetch(raw: Raw) -> Option<Fetch> {
    let begin = raw.line.iter().position(|byte| *byte == b'(')?;
    let mut tokens = Tokens { line: raw.line.get(begin + 1..)?, literals: raw.literals.into_iter() };
    let mut fetch = Fetch::default();
    loop {
        let name = match tokens.next()? {
            Token::Close => return Some(fetch),
            Token::Word(name) => name.to_ascii_uppercase(),
            Token::Open | Token::Text(_) => return None,
        };
        match (name.as_slice(), tokens.next()?) {
            (b"UID", Token::Word(word)) => fetch.uid = number(&word),
            (b"RFC822.SIZE", Token::Word(word)) => fetch.size = number(&word),
            (name, Token::Text(bytes)) if name.starts_with(b"BODY[]") => fetch.body = Some(bytes),
            (_, Token::Open) => tokens.skip_list()?,
            (_, Token::Close) => return None,
            _ => {}
        }
    }
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

enum Token {
    Open,
    Close,
    Word(Vec<u8>),
    Text(Vec<u8>),
}

struct Tokens<'a> {
    line: &'a [u8],
    literals: std::vec::IntoIter<Vec<u8>>,
}

impl Tokens<'_> {
    /// The next token; `None` at the end, or where the line is broken.
    fn next(&mut self) -> Option<Token> {
        self.line = self.line.trim_ascii_start();
        match self.line.first()? {
            b'(' => Some(self.cut(1, Token::Open)),
            b')' => Some(self.cut(1, Token::Close)),
            b'"' => self.quoted(),
            b'{' => {
                let end = self.line.iter().position(|byte| *byte == b'\n')?;
                let literal = self.literals.next()?;
                Some(self.cut(end + 1, Token::Text(literal)))
            }
            _ => {
                let ends = |byte: &u8| matches!(byte, b' ' | b'(' | b')' | b'"' | b'\n');
                let end = self.line.iter().position(ends).unwrap_or(self.line.len());
                let word = self.line.get(..end)?.to_vec();
                Some(self.cut(end.max(1), Token::Word(word)))
            }
        }
    }

    fn cut(&mut self, length: usize, token: Token) -> Token {
        self.line = self.line.get(length..).unwrap_or_default();
        token
    }

    fn quoted(&mut self) -> Option<Token> {
        let mut text = Vec::new();
        let mut bytes = self.line.iter().enumerate().skip(1);
        loop {
            match bytes.next()? {
                (at, b'"') => return Some(self.cut(at + 1, Token::Text(text))),
                (_, b'\\') => text.push(*bytes.next()?.1),
                (_, byte) => text.push(*byte),
            }
        }
    }

    fn skip_list(&mut self) -> Option<()> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next()? {
                Token::Open => depth += 1,
                Token::Close => depth -= 1,
                Token::Word(_) | Token::Text(_) => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(line: &str) -> Answer {
        read(Raw { line: line.as_bytes().to_vec(), literals: Vec::new() })
    }

    #[test]
    fn states_are_told_with_their_codes() {
        let Answer::Done(tag, state) = plain("A3 no [TRYCREATE] No such folder") else { panic!() };
        assert_eq!((tag.as_str(), state.word.as_str(), state.code.as_str()), ("A3", "NO", "TRYCREATE"));
        assert_eq!(state.text, "No such folder");
        let Answer::State(state) = plain("* OK [UIDVALIDITY 1700000000] UIDs valid") else { panic!() };
        assert_eq!(state.number("uidvalidity"), Some(1_700_000_000));
        assert_eq!(state.number("UIDNEXT"), None);
        assert_eq!(plain("+ go on"), Answer::Go);
        assert_eq!(plain("* SEARCH 3 5 x"), Answer::Search(vec![3, 5]));
        assert_eq!(
            plain("* capability imap4rev1 Move"),
            Answer::Capability(vec!["IMAP4REV1".into(), "MOVE".into()])
        );
        for line in ["", "*", "* ", "* 3 EXISTS", "A1", "A1 PERHAPS", "* LIST () \"/\" INBOX"] {
            assert_eq!(plain(line), Answer::Other, "{line}");
        }
    }

    #[test]
    fn a_fetch_gives_what_was_asked_for_and_passes_over_the_rest() {
        let raw = Raw {
            line:
                b"* 3 FETCH (FLAGS (\\Seen (deep \"q\\\"\")) UID 7 X \"a b\" BODY[]<0> {4}\n RFC822.SIZE 99)"
                    .to_vec(),
            literals: vec![b"a)\r\n".to_vec()],
        };
        let expected = Fetch { uid: Some(7), size: Some(99), body: Some(b"a)\r\n".to_vec()) };
        assert_eq!(read(raw), Answer::Fetch(expected));
        assert_eq!(
            plain("* 3 FETCH (UID 7 BODY[]<0> \"\")"),
            Answer::Fetch(Fetch { uid: Some(7), size: None, body: Some(Vec::new()) })
        );
        for line in ["* 3 FETCH (UID 7", "* 3 FETCH UID 7", "* 3 FETCH (BODY[] {5}\n)", "* 3 FETCH (UID \"7)"]
        {
            assert_eq!(plain(line), Answer::Other, "{line}");
        }
    }

    #[test]
    fn words_for_people_have_no_literals() {
        assert!(may_hold_literals(b"* 3 FETCH (BODY[] {5}"));
        for line in ["* OK see {5}", "* bye {5}", "A1 NO {5}", "+ {5}"] {
            assert!(!may_hold_literals(line.as_bytes()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_says_makes_it_panic(
            line in proptest::collection::vec(any::<u8>(), 0..80), literal in proptest::collection::vec(any::<u8>(), 0..9)
        ) {
            let fetch = [b"* 1 FETCH (BODY[] {1}\n".as_slice(), &line].concat();
            read(Raw { line, literals: Vec::new() });
            read(Raw { line: fetch, literals: vec![literal] });
        }
    }
}
