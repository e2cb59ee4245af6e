//! Which mails a pasted notice of non-delivery, or the header of a mail, talks about: their ids.

use std::collections::BTreeSet;

/// An id found in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// A message id, without angle brackets.
    Message(String),
    /// A Postfix queue id.
    Queue(String),
}

/// How much of a text is read.
const LONGEST_TEXT: usize = 1 << 20;
/// How many ids are taken from it.
const MOST: usize = 12;
/// RFC 5322 allows lines of 998 characters; ids are far shorter.
const LONGEST_ID: usize = 250;

/// Headers whose value is a message id: RFC 5322, 3.6.4, and those of delivery reports.
const MESSAGE_HEADERS: [&str; 4] =
    ["message-id:", "original-message-id:", "x-original-message-id:", "in-reply-to:"];
/// What stands before a queue id: Postfix's notices, its Received lines and its answers.
const QUEUE_MARKS: [&str; 6] =
    ["x-postfix-queue-id:", "queued as ", "esmtpsa id ", "esmtps id ", "smtp id ", "queue id "];

/// The ids in a text: first those named as such, then whatever looks like a message id. Bounded in time and number.
pub fn extract_ids(text: &str) -> Vec<Id> {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = unfold(text.get(..end).unwrap_or_default());
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut add = |id: Id| {
        if found.len() < MOST && seen.insert(id.clone()) {
            found.push(id);
        }
    };
    for line in text.lines() {
        named(line).into_iter().for_each(&mut add);
    }
    for line in text.lines() {
        bracketed(line).into_iter().for_each(&mut add);
    }
    // A single word is an id of one kind or the other.
    let word = text.trim();
    if found.is_empty() && !word.contains(char::is_whitespace) {
        let id = message_id(word).map(Id::Message).or_else(|| queue_id(word).map(Id::Queue));
        found.extend(id);
    }
    found
}

/// Joins folded header lines (RFC 5322, 2.2.3) and takes quote marks of replies off.
fn unfold(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for line in text.lines() {
        let bare = line.trim_end().trim_start_matches(['>', '|']);
        // A quote mark is followed by a blank of its own.
        let line =
            if bare.len() < line.trim_end().len() { bare.strip_prefix(' ').unwrap_or(bare) } else { bare };
        if !line.starts_with([' ', '\t']) {
            whole.push('\n');
        }
        whole.push_str(line);
    }
    whole
}

fn named(line: &str) -> Vec<Id> {
    let lower = line.to_ascii_lowercase();
    let mut ids = Vec::new();
    if let Some(header) = MESSAGE_HEADERS.into_iter().find(|header| lower.trim_start().starts_with(header)) {
        let value = line.trim_start().get(header.len()..).unwrap_or_default();
        ids.extend(value.split_whitespace().filter_map(message_id).map(Id::Message));
    }
    for mark in QUEUE_MARKS {
        for (at, _) in lower.match_indices(mark).take(4) {
            let word = line.get(at + mark.len()..).and_then(|rest| rest.split_whitespace().next());
            ids.extend(word.and_then(queue_id).map(Id::Queue));
        }
    }
    ids
}

fn bracketed(line: &str) -> Vec<Id> {
    let words = line.split('<').skip(1).filter_map(|tail| tail.split_once('>').map(|(id, _)| id));
    words.take(MOST).filter(|id| !is_address(id)).filter_map(message_id).map(Id::Message).collect()
}

/// In running text, what stands in angle brackets is mostly an address. Message ids carry digits or are long.
fn is_address(text: &str) -> bool {
    let Some((local, _)) = text.split_once('@') else { return false };
    let digits = local.bytes().filter(u8::is_ascii_digit).count();
    digits < 4 && local.len() < 24
}

fn message_id(word: &str) -> Option<String> {
    let id = word.trim_matches(['<', '>', ',', ';', '"', '\'', '(', ')']);
    let (left, right) = id.rsplit_once('@')?;
    let sound = !left.is_empty()
        && !right.is_empty()
        && id.len() <= LONGEST_ID
        && !id.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>'));
    sound.then(|| id.to_owned())
}

/// Short ids are at least six hexadecimal digits, long ones letters without vowels and digits (postconf(5)
/// `enable_long_queue_ids`).
fn queue_id(word: &str) -> Option<String> {
    let id = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let short =
        (6..=20).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    let long = (10..=24).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() && !b"aeiouAEIOU".contains(&byte));
    (short || long).then(|| id.to_owned())
}

#[cfg(test)]
mod tests;
