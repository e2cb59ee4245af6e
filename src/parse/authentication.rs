//! The `Authentication-Results` header of a mail (RFC 8601): what a mail server found out about who sent it.
//!
//! Senders choose some of the words in it. Comments are dropped and quotes kept together, so that nothing inside of them
//! counts as a result.

/// One such header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authentication {
    /// Which server says so, lower case.
    pub server: String,
    /// What it found.
    pub results: Vec<Finding>,
}

/// The result of one method.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finding {
    /// `dkim`, `spf`, `dmarc`, …, lower case.
    pub method: String,
    /// `pass`, `fail`, …, lower case.
    pub result: String,
    /// Names as `header.d`, lower case, with their values.
    pub properties: Vec<(String, String)>,
}

impl Finding {
    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the value of the header. What is malformed gives fewer results, never others.
pub fn read(value: &str) -> Authentication {
    let tokens = tokens(value);
    let mut segments = tokens.split(|token| *token == Token::Semicolon);
    let server = match segments.next().and_then(<[Token]>::first) {
        Some(Token::Word(word)) => word.to_ascii_lowercase(),
        _ => String::new(),
    };
    Authentication { server, results: segments.filter_map(finding).collect() }
}

/// Reads `dkim=pass header.d=a.test`.
fn finding(segment: &[Token]) -> Option<Finding> {
    let mut pairs = Vec::new();
    let mut rest = segment;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if let (Token::Word(name), [Token::Equals, Token::Word(value), behind @ ..]) = (first, behind) {
            pairs.push((name.to_ascii_lowercase(), value.clone()));
            rest = behind;
        }
    }
    // The first pair is the result; `dkim/1=pass` names a version.
    let at_front = matches!(segment, [Token::Word(_), Token::Equals, Token::Word(_), ..]);
    let mut pairs = pairs.into_iter();
    let (method, result) = pairs.next().filter(|_| at_front)?;
    let method = method.split('/').next().unwrap_or_default().to_owned();
    Some(Finding { method, result: result.to_ascii_lowercase(), properties: pairs.collect() })
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Equals,
    Semicolon,
}

fn tokens(value: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut depth) = (false, 0_usize);
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted || depth > 0 => {
                let next = chars.next();
                word.extend(next.filter(|_| depth == 0));
            }
            '"' if depth == 0 => quoted = !quoted,
            _ if quoted => word.push(c),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if c.is_whitespace() => end(&mut word, &mut found),
            // In a value, as a signature's, it is a letter like others.
            '=' if !matches!(found.last(), Some(Token::Equals)) || word.is_empty() => {
                end(&mut word, &mut found);
                found.push(Token::Equals);
            }
            ';' => {
                end(&mut word, &mut found);
                found.push(Token::Semicolon);
            }
            _ => word.push(c),
        }
    }
    end(&mut word, &mut found);
    found
}

fn end(word: &mut String, found: &mut Vec<Token>) {
    if !word.is_empty() {
        found.push(Token::Word(std::mem::take(word)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shapes(value: &str) -> Vec<(String, String)> {
        read(value).results.into_iter().map(|it| (it.method, it.result)).collect()
    }

    #[test]
    fn the_header_of_a_mailcow_is_read() {
        let read = read(
            "Mail.A.test; dkim=pass header.d=b.test header.s=s1 header.b=\"Ab+/==\"; dmarc=pass (policy=reject) \
             header.from=b.test; spf=pass (mail.a.test: domain of \"x; y\"@b.test designates 192.0.2.1 as permitted \
             sender) smtp.mailfrom=noreply@b.test",
        );
        assert_eq!(read.server, "mail.a.test");
        assert_eq!(shapes_of(&read), ["dkim=pass", "dmarc=pass", "spf=pass"]);
        assert_eq!(read.results[0].property("header.b"), Some("Ab+/=="));
        assert_eq!(read.results[1].property("header.from"), Some("b.test"));
        assert_eq!(read.results[2].property("smtp.mailfrom"), Some("noreply@b.test"));
    }

    fn shapes_of(read: &Authentication) -> Vec<String> {
        read.results.iter().map(|it| format!("{}={}", it.method, it.result)).collect()
    }

    #[test]
    fn what_senders_write_into_comments_and_quotes_counts_for_nothing() {
        let evil = "a.test; spf=fail (domain of x; dmarc=pass header.from=b.test) smtp.mailfrom=\"a; dmarc=pass b\"@c.test";
        assert_eq!(shapes(evil), [("spf".to_owned(), "fail".to_owned())]);
        assert_eq!(read(evil).results[0].property("smtp.mailfrom"), Some("a; dmarc=pass b@c.test"));
        assert_eq!(
            shapes("a.test; spf=fail (one (two) dmarc=pass) \\"),
            [("spf".to_owned(), "fail".to_owned())]
        );
    }

    #[test]
    fn odd_forms_are_read_and_broken_ones_give_nothing() {
        assert_eq!(
            shapes("a.test 1; dkim/1 = Pass header.b=Zz1=A reason=\"x\""),
            [("dkim".into(), "pass".into())]
        );
        assert_eq!(read("a.test; none").results, []);
        assert_eq!(shapes("a.test; pass dkim=pass"), []);
        assert_eq!(read("").server, "");
        assert_eq!(read("; dkim=pass").server, "");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(value in "[a-c=;()\"\\\\ ./]{0,60}|\\PC{0,60}") {
            read(&value);
        }
    }
}
