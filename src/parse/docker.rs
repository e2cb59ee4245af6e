//! What Docker puts around a line of a log: its json-file (`{"log":"LINE\n","stream":"stdout","time":"…"}`), and the
//! names, colours and times of `docker compose logs` (`postfix-mailcow-1  | LINE`).

use std::borrow::Cow;

use serde::Deserialize;

/// A line of Docker's json-file (`daemon/logger/jsonfilelog` of Moby).
#[derive(Deserialize)]
struct Logged<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
}

/// The line inside a line of a json-file, behind Docker's time as `docker logs -t` prints it; any other as it is.
pub fn unpacked(line: Cow<'_, str>) -> Cow<'_, str> {
    if !line.starts_with('{') {
        return line;
    }
    let inner = serde_json::from_str(&line).ok().map(|Logged { log, time }| {
        let log = log.trim_end_matches(['\n', '\r']);
        if time.is_empty() { log.to_owned() } else { format!("{time} {log}") }
    });
    inner.map_or(line, Cow::Owned)
}

/// What stands behind `SERVICE  | `, with or without colours.
pub(super) fn without_service(line: &str) -> Option<&str> {
    let line = without_colour(line);
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let end = line.bytes().position(|b| !is_name(b)).filter(|end| *end > 0)?;
    let rest = line.get(end..)?.trim_start_matches(' ').strip_prefix('|')?;
    let rest = without_colour(rest);
    Some(without_colour(rest.strip_prefix(' ').unwrap_or(rest)))
}

/// Drops one change of colour (`ESC [ 3 6 m`, ECMA-48, SGR).
fn without_colour(text: &str) -> &str {
    let colour = text.strip_prefix("\u{1b}[");
    let end = colour.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    end.and_then(|end| end.strip_prefix('m')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_line_out_of_a_json_file() {
        for (line, inner) in [
            (
                r#"{"log":"a \u003cb\u003e \"c\"\n","stream":"stdout","time":"2026-11-22T10:00:00.1Z"}"#,
                "2026-11-22T10:00:00.1Z a <b> \"c\"",
            ),
            (r#"{"log": "a\r\n", "stream": "stdout", "attrs": {"tag": "x"}}"#, "a"),
            (r#"{"log": 7}"#, r#"{"log": 7}"#),
            (r#"{"log":"cut"#, r#"{"log":"cut"#),
            ("Nov 22 {", "Nov 22 {"),
        ] {
            assert_eq!(unpacked(line.into()), inner);
        }
    }

    #[test]
    fn drops_names_of_services_and_their_colours() {
        for (line, inner) in [
            ("postfix-mailcow-1  | Nov 22", Some("Nov 22")),
            ("mailcowdockerized_postfix-mailcow_1 | Nov 22", Some("Nov 22")),
            ("\u{1b}[36mpostfix-mailcow-1  | \u{1b}[0mNov 22", Some("Nov 22")),
            ("\u{1b}[36;1mpostfix-mailcow-1  |\u{1b}[0m Nov 22", Some("Nov 22")),
            ("postfix-mailcow-1  |", Some("")),
            ("| Nov 22", None),
            ("Nov 22 10:00:00 mail a | b", None),
            ("", None),
        ] {
            assert_eq!(without_service(line), inner, "{line}");
        }
    }
}
