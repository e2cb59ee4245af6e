//! The shape of a record. A reporter writes all records of a report alike but for the values: what stands between them
//! is compared in one step, instead of tag by tag.

use super::places::{Field, Node};

/// What reading a record does, in order.
#[derive(Debug)]
pub(super) enum Act<'a> {
    /// What stands in front of a value, and which one it is.
    Fill(&'a str, Field),
    /// An element that holds elements is complete.
    Leave(Node),
}

/// How a record was written.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    pub(super) acts: Vec<Act<'a>>,
    /// What stands behind the last value, up to the end of the record.
    tail: &'a str,
}

impl<'a> Shape<'a> {
    /// The values of the record that begins here, and its length; `None` when it is written otherwise.
    pub(super) fn fit<'t>(&self, text: &'t str) -> Option<(Vec<&'t str>, usize)> {
        let (mut values, mut at) = (Vec::new(), 0);
        for act in &self.acts {
            let Act::Fill(gap, _) = act else { continue };
            let value = text.get(at..)?.strip_prefix(gap)?;
            if values.is_empty() {
                values.reserve_exact(self.acts.len());
            }
            let value = value.get(..memchr::memchr(b'<', value.as_bytes())?)?;
            values.push(value);
            at += gap.len() + value.len();
        }
        text.get(at..)?.starts_with(self.tail).then_some((values, at + self.tail.len()))
    }
}

/// A shape in the making, while a record is read tag by tag.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    text: &'a str,
    acts: Vec<Act<'a>>,
    /// Where the last value ended; at first, where the record begins.
    end: usize,
}

impl<'a> Draft<'a> {
    /// Begins with the tag that opens the record.
    pub(super) const fn new(text: &'a str, begin: usize) -> Self {
        Self { text, acts: Vec::new(), end: begin }
    }

    /// A value stood here. False when it is no plain text: other records can then not be compared with this one.
    pub(super) fn fill(&mut self, field: Field, begin: usize, end: usize) -> bool {
        let parts = self.text.get(self.end..begin).zip(self.text.get(begin..end));
        let Some((gap, _)) = parts.filter(|(_, value)| !value.contains('<')) else { return false };
        self.acts.push(Act::Fill(gap, field));
        self.end = end;
        true
    }

    /// An element was complete.
    pub(super) fn leave(&mut self, node: Node) {
        self.acts.push(Act::Leave(node));
    }

    /// The record ended here.
    pub(super) fn done(self, end: usize) -> Option<Shape<'a>> {
        Some(Shape { acts: self.acts, tail: self.text.get(self.end..end)? })
    }
}
