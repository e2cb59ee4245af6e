//! A log that Mailcow keeps: newest rows of a list, cut from time to time, read by number or range.

use std::collections::VecDeque;

/// One log. Rows are kept as the text that the answer will show.
#[derive(Debug)]
pub(crate) struct Book {
    rows: VecDeque<Box<str>>,
    limit: usize,
}

/// What the last part of a log's address asks for, before the log's own rule for ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// So many of the newest.
    Newest(usize),
    /// `A-B`.
    Range(usize, usize),
    /// Anything that Mailcow does not understand.
    Nonsense,
}

/// How a log counts the `A-B` form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Redis lists: records A to B, counted from 1, both included.
    FromOne,
    /// Rspamd's history: the same, but counted from 0.
    FromZero,
    /// SQL tables: B records from record A on, counted from 1.
    Count,
}

impl Span {
    /// Reads the address part; without one, the newest 1000.
    pub fn parse(part: Option<&str>) -> Self {
        let Some(part) = part else { return Self::Newest(1000) };
        // Everything but digits and the dash is dropped, so `5.5` means 55.
        let part: String = part.chars().filter(|letter| letter.is_ascii_digit() || *letter == '-').collect();
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
        match part.split_once('-') {
            None => number(&part).map_or(Self::Nonsense, Self::Newest),
            Some((low, high)) => match (number(low), number(high)) {
                (Some(low), Some(high)) if low <= high => Self::Range(low, high),
                _ => Self::Nonsense,
            },
        }
    }

    /// How many rows to skip and how many to take.
    pub fn bounds(self, rule: Rule) -> (usize, usize) {
        match (self, rule) {
            (Self::Newest(count), _) => (0, count),
            (Self::Range(low, high), Rule::FromOne) => (low - 1, high - low + 1),
            (Self::Range(low, high), Rule::FromZero) => (low, high - low + 1),
            (Self::Range(low, count), Rule::Count) => (low - 1, count),
            (Self::Nonsense, _) => (0, 0),
        }
    }
}

impl Book {
    /// An empty log of which `limit` rows are kept.
    pub fn new(limit: usize) -> Self {
        Self { rows: VecDeque::new(), limit }
    }

    /// Adds a row; `text` is pretty JSON below one level.
    pub fn push(&mut self, text: String) {
        self.rows.push_back(text.into());
    }

    /// Cuts the log to its limit plus `extra`.
    pub fn trim(&mut self, extra: usize) {
        let surplus = self.rows.len().saturating_sub(self.limit.saturating_add(extra));
        self.rows.drain(..surplus);
    }

    /// Rows at present.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Raises the limit to at least `limit`.
    pub fn widen(&mut self, limit: usize) {
        self.limit = self.limit.max(limit);
    }

    /// Changes the limit.
    pub fn resize(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The answer to `span`: a list, newest first, or `{}`.
    pub fn page(&self, span: Span, rule: Rule) -> String {
        let (skip, take) = span.bounds(rule);
        list(self.rows.iter().rev().skip(skip).take(take).map(AsRef::as_ref))
    }
}

/// A pretty list of rows that are pretty below one level; an empty one is `{}`.
pub(crate) fn list<'a>(rows: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for row in rows {
        out.push_str(if out.is_empty() { "[\n    " } else { ",\n    " });
        out.push_str(row);
    }
    if out.is_empty() {
        return "{}".to_owned();
    }
    out.push_str("\n]");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_like_mailcow() {
        let parse = |part| Span::parse(Some(part));
        assert_eq!(Span::parse(None), Span::Newest(1000));
        assert_eq!(parse("5.5"), Span::Newest(55));
        assert_eq!(parse("2-4"), Span::Range(2, 4));
        for bad in ["0", "-3", "abc", "5-2", "0-3", ""] {
            assert_eq!(parse(bad), Span::Nonsense, "{bad}");
        }
    }

    #[test]
    fn each_rule_counts_its_own_way() {
        let mut book = Book::new(10);
        (1..=8).for_each(|row| book.push(row.to_string()));
        let rows = |part, rule| book.page(Span::parse(Some(part)), rule).replace([' ', '\n'], "");
        assert_eq!(rows("2-4", Rule::FromOne), "[7,6,5]");
        assert_eq!(rows("2-4", Rule::FromZero), "[6,5,4]");
        assert_eq!(rows("2-4", Rule::Count), "[7,6,5,4]");
        assert_eq!(rows("9-12", Rule::FromOne), "{}");
    }
}
