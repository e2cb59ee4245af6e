//! Reads a `.env` file as Docker Compose and the PHP library phpdotenv understand it.
//!
//! One `NAME=value` a line, optionally after `export`. A `#` at the start of a line or after white space begins a
//! comment. Plain values end with the line; values in `"` know `\" \\ \$ \n \r \t` and may span lines; values in `'`
//! are taken as they are. `${NAME}` stands for a value known so far, except in `'`; an unknown one is left alone.

use super::fault::Fault;

type NameValue = (String, String);

/// The settings of a `.env` text in file order; later ones win. `known` answers `${NAME}` for names that the text
/// has not set. Lines that cannot be read become faults, which tell the line number and never the line.
pub fn parse(text: &str, known: impl Fn(&str) -> Option<String>) -> (Vec<NameValue>, Vec<Fault>) {
    let mut found: Vec<NameValue> = Vec::new();
    let mut faults = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let total = rest.matches('\n').count();
    while !rest.is_empty() {
        let line = total - rest.matches('\n').count() + 1;
        let look_up = |name: &str| {
            let here = found.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            here.or_else(|| known(name))
        };
        match entry(rest, look_up) {
            Ok((entry, after)) => {
                found.extend(entry);
                rest = after;
            }
            Err(wrong) => {
                faults.push(Fault::new(
                    format!(".env line {line}"),
                    wrong,
                    "Write NAME=value, and put values with quotes, # or line ends in single quotes.",
                ));
                rest = after_line(rest);
            }
        }
    }
    (found, faults)
}

/// The entry of the first line, if it has one, and the text behind it.
fn entry(text: &str, look_up: impl Fn(&str) -> Option<String>) -> Result<(Option<NameValue>, &str), &str> {
    let line = text.split('\n').next().unwrap_or(text);
    let content = line.trim();
    if content.is_empty() || content.starts_with('#') {
        return Ok((None, after_line(text)));
    }
    let Some((name, _)) = line.split_once('=') else {
        // A name alone asks for the variable of the surrounding environment, which is read anyway.
        let alone = is_name(without_export(content));
        return if alone { Ok((None, after_line(text))) } else { Err("has no =") };
    };
    let value = text.get(name.len() + 1..).unwrap_or_default().trim_start_matches([' ', '\t']);
    let name = without_export(name.trim());
    if !is_name(name) {
        return Err("does not start with a name of letters, digits and _");
    }
    let (value, after) = match value.chars().next() {
        Some('"') => double_quoted(value.get(1..).unwrap_or_default(), look_up)?,
        Some('\'') => single_quoted(value.get(1..).unwrap_or_default())?,
        _ => plain(value, look_up),
    };
    Ok((Some((name.to_owned(), value)), after))
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, after)| after)
}

fn without_export(name: &str) -> &str {
    match name.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => name,
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

fn plain(text: &str, look_up: impl Fn(&str) -> Option<String>) -> (String, &str) {
    let line = text.split('\n').next().unwrap_or(text);
    let mut before = ' ';
    let comment = line.char_indices().find(|&(_, c)| {
        let starts = c == '#' && before.is_whitespace();
        before = c;
        starts
    });
    let value = line.get(..comment.map_or(line.len(), |(at, _)| at)).unwrap_or(line).trim();
    let mut out = String::new();
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if let Some((value, after)) = (c == '$').then(|| reference(rest, &look_up)).flatten() {
            out.push_str(&value);
            rest = after;
        } else {
            out.push(c);
        }
    }
    (out, after_line(text))
}

fn single_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let (value, after) = text.split_once('\'').ok_or("opens a ' that is never closed")?;
    Ok((value.to_owned(), end_of_entry(after)?))
}

fn double_quoted(
    text: &str,
    look_up: impl Fn(&str) -> Option<String>,
) -> Result<(String, &str), &'static str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '"' => return Ok((out, end_of_entry(rest)?)),
            '\\' => {
                let escaped = rest.chars().next().ok_or("ends after a \\")?;
                rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                match escaped {
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    '"' | '\\' | '$' => out.push(escaped),
                    other => out.extend(['\\', other]),
                }
            }
            '$' => match reference(rest, &look_up) {
                Some((value, after)) => {
                    out.push_str(&value);
                    rest = after;
                }
                None => out.push('$'),
            },
            '\r' if rest.starts_with('\n') => {}
            other => out.push(other),
        }
    }
    Err("opens a \" that is never closed")
}

/// The value of a `{NAME}` at the start of `text`, and what follows it.
fn reference(text: &str, look_up: impl Fn(&str) -> Option<String>) -> Option<(String, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    Some((look_up(name)?, after))
}

/// What follows the closing quote up to the end of the line must be nothing or a comment.
fn end_of_entry(text: &str) -> Result<&str, &'static str> {
    let behind = text.split('\n').next().unwrap_or(text).trim();
    if behind.is_empty() || behind.starts_with('#') {
        Ok(after_line(text))
    } else {
        Err("has text behind the closing quote")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<NameValue> {
        let (found, faults) = parse(text, |name| (name == "HOST").then(|| "mail.example.org".to_owned()));
        assert!(faults.is_empty(), "{faults:?}");
        found
    }

    fn value(text: &str) -> String {
        read(&format!("V={text}\nLAST=1")).remove(0).1
    }

    #[test]
    fn an_old_file_of_the_php_app_is_read() {
        let text = "\u{feff}# Mailcow\r\nMAILCOW_DOMAIN=mail.example.org\r\n\r\nexport ADMIN=\"a@x.test,b@x.test\" # us\r\nCRON_KEY=\r\n";
        let expected =
            [("MAILCOW_DOMAIN", "mail.example.org"), ("ADMIN", "a@x.test,b@x.test"), ("CRON_KEY", "")];
        assert_eq!(read(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn values_keep_what_belongs_to_them() {
        for (text, expected) in [
            ("plain words  # comment", "plain words"),
            ("pass#word", "pass#word"),
            ("#comment", ""),
            (r#"a"b'c\n"#, r#"a"b'c\n"#),
            (r#""a # b" # comment"#, "a # b"),
            (r#""say \"hi\" \\ \n\x""#, "say \"hi\" \\ \n\\x"),
            ("\"two\nlines\"", "two\nlines"),
            (r"'$HOME \n ${HOST} # x'", r"$HOME \n ${HOST} # x"),
            ("https://${HOST}/$HOME/${NONE}", "https://mail.example.org/$HOME/${NONE}"),
            (r#""${HOST}\${HOST}""#, "mail.example.org${HOST}"),
            ("a=b==", "a=b=="),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        assert_eq!(read("A=1\nB=${A}2\nA=3")[1].1, "12");
        assert_eq!(read("  NAME = spaced \nALONE\n"), [("NAME".to_owned(), "spaced".to_owned())]);
    }

    #[test]
    fn unreadable_lines_are_told_by_number_and_never_shown() {
        let (found, faults) = parse("A=1\nhush secret\nB='open\nC=\"x\" hush\n1X=hush\nD=2", |_| None);
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["A", "D"]);
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with(".env line 2: has no =."), "{told:?}");
        assert_eq!(
            told.iter().map(|t| &t[..11]).collect::<Vec<_>>(),
            [".env line 2", ".env line 3", ".env line 4", ".env line 5"]
        );
        assert!(!told.concat().contains("hush"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_stops_the_parser(text in ".{0,60}(\n.{0,60}){0,3}") {
            let _ = parse(&text, |_| None);
        }

        #[test]
        fn single_quotes_keep_everything(value in "[^']{0,40}") {
            proptest::prop_assert_eq!(&read(&format!("V='{value}'"))[0].1, &value);
        }
    }
}
