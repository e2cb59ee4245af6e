//! Marks by which setup knows what it wrote: a header on top of whole files, and lines around pieces in files of others.

use anyhow::bail;

use crate::model::token::digest;

const BEGIN: &str = ">>> mailcow-status setup: leave these marks, --remove needs them";
const BEGINS: &str = ">>> mailcow-status setup";
const END: &str = "<<< mailcow-status setup";
const HEADER: &str = "Written by `mailcow-status setup`, check ";

/// A piece between marks. `comment` is what begins a comment in that file; `indent` goes before each mark.
pub fn marked(comment: &str, indent: &str, piece: &str) -> String {
    format!("{indent}{comment} {BEGIN}\n{piece}{indent}{comment} {END}\n")
}

/// A text without the pieces between marks. Fails on marks that do not match, rather than guess.
pub fn without(text: &str) -> anyhow::Result<String> {
    Ok(split(text)?.0)
}

/// The pieces between marks, without these.
pub fn within(text: &str) -> anyhow::Result<String> {
    Ok(split(text)?.1)
}

/// What is outside and inside of marks.
fn split(text: &str) -> anyhow::Result<(String, String)> {
    let (mut kept, mut ours) = (String::new(), String::new());
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        match (is_begin(line), unmarked(line).starts_with(END)) {
            (true, _) if inside => bail!("a second \"{BEGINS}\" comes before the end of the first"),
            (true, _) => inside = true,
            (_, true) if !inside => bail!("\"{END}\" has no beginning"),
            (_, true) => inside = false,
            _ if inside => ours.push_str(line),
            _ => kept.push_str(line),
        }
    }
    if inside {
        bail!("\"{BEGINS}\" has no end");
    }
    Ok((kept, ours))
}

/// A text with the piece in place of what stood between marks, or at its end.
pub fn appended(text: &str, comment: &str, piece: &str) -> anyhow::Result<String> {
    let rest = without(text)?;
    let before: usize = text.split_inclusive('\n').take_while(|line| !is_begin(line)).map(str::len).sum();
    let (before, after) = rest.split_at_checked(before).unwrap_or((&rest, ""));
    let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{before}{end}{}{after}", marked(comment, "", piece)))
}

/// Settings of ours by their names; `None`: not now.
pub type Settings = Vec<(String, Option<String>)>;

/// A text with the settings between marks. What somebody added there under other names stays. Of a whole file that an
/// earlier version wrote without marks, too, only that stays.
pub fn with_settings(text: &str, settings: &Settings) -> anyhow::Result<String> {
    let is_ours = |line: &str| {
        let name = line.trim().trim_start_matches("export ").split('=').next().unwrap_or_default().trim();
        settings.iter().any(|(ours, _)| ours == name)
    };
    let earlier = origin(text) != Origin::Foreign;
    let kept = |(at, line): &(usize, &str)| !earlier || *at > 0 && !is_ours(line);
    let text: String = text.split_inclusive('\n').enumerate().filter(kept).map(|(_, line)| line).collect();
    let mut piece = String::new();
    for (name, value) in settings.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        piece.push_str(&format!("{name}={}\n", quoted(value)));
    }
    for line in within(&text)?.lines() {
        if !is_ours(line) {
            piece.push_str(&format!("{line}\n"));
        }
    }
    appended(&text, "#", &piece)
}

/// A value that Compose, systemd and shells read as it is. It may hold neither `'` nor `\`.
fn quoted(value: &str) -> String {
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "@.,:/_+-".contains(c));
    if plain { value.to_owned() } else { format!("'{value}'") }
}

fn is_begin(line: &str) -> bool {
    unmarked(line).starts_with(BEGINS)
}

fn unmarked(line: &str) -> &str {
    line.trim().trim_start_matches(['#', '-', ' '])
}

/// A whole file with a header, which tells later whether somebody changed it.
pub fn whole(comment: &str, text: &str) -> String {
    format!("{comment} {HEADER}{}\n{text}", check(text))
}

/// Whose text a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Not of setup.
    Foreign,
    /// Of setup, as it was written.
    Ours,
    /// Of setup, changed since.
    Edited,
}

/// Whose text this is.
pub fn origin(text: &str) -> Origin {
    let (head, rest) = text.split_once('\n').unwrap_or((text, ""));
    match head.split_once(HEADER) {
        None => Origin::Foreign,
        Some((_, found)) if found.trim() == check(rest) => Origin::Ours,
        Some(_) => Origin::Edited,
    }
}

fn check(text: &str) -> String {
    digest(text).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_comes_and_goes_without_a_trace() {
        for text in ["", "A=1\n", "# a\n\nA='x y'\n", "a\r\nb\r\n"] {
            let with = appended(text, "#", "B=2\n").unwrap();
            assert!(with.starts_with(text) && with.contains("\nB=2\n"), "{with}");
            assert_eq!(appended(&with, "#", "B=2\n").unwrap(), with);
            assert_eq!(without(&with).unwrap(), text);
            let later = format!("{with}LATER=1\n");
            assert_eq!(without(&later).unwrap(), format!("{text}LATER=1\n"), "what came later stays");
            assert_eq!(appended(&later, "#", "B=2\n").unwrap(), later, "and stays where it is");
        }
        assert!(appended("A=1", "#", "B=2\n").unwrap().starts_with("A=1\n#"), "a missing line end is added");
    }

    #[test]
    fn broken_marks_are_not_guessed_at() {
        let begin = "# >>> mailcow-status setup\n";
        let end = "# <<< mailcow-status setup\n";
        for broken in [format!("{begin}A=1\n"), end.to_owned(), format!("{begin}{begin}{end}")] {
            assert!(without(&broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_file_tells_whether_it_was_changed() {
        let file = whole("--", "return 1\n");
        assert_eq!(origin(&file), Origin::Ours);
        assert_eq!(origin(&file.replace("1\n", "2\n")), Origin::Edited);
        assert_eq!(origin("return 1\n"), Origin::Foreign);
        assert_eq!(origin(""), Origin::Foreign);
    }
}
