//! The built-in knowledge: our table of replies, read once, its words read again only when they are shown.

use std::sync::OnceLock;

use super::phrases::Phrases;
use super::wording::{Enhanced, Wording};

/// One row a line, the first is the head; fields as in [`super::Entry`].
const REPLIES: &str = include_str!("replies.csv");

/// The rows and what makes each of them match.
pub(super) struct Table {
    phrases: Phrases,
    rows: Vec<Row>,
}

struct Row {
    line: &'static str,
    /// Whether it speaks of what our own server refused, or of what other servers said: no row does both.
    own: bool,
    rule: Rule,
}

enum Rule {
    /// All of these phrases stand in the whole text.
    Whole(Box<[u16]>),
    /// All of these phrases stand in the text without names.
    Bare(Box<[u16]>),
    /// The enhanced code; `None` stands for any number.
    Enhanced { class: u8, subject: Option<u16>, detail: Option<u16> },
    /// The reply code.
    Basic(u16),
    /// The last row of either kind.
    Always,
}

/// The row that matched.
pub(super) struct Hit {
    /// The row's line of the table.
    pub line: &'static str,
    /// False where only the class of the code, or nothing at all, was recognised.
    pub matched: bool,
}

impl Table {
    /// The table, read at the first use.
    pub(super) fn shared() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::read(REPLIES))
    }

    fn read(csv: &'static str) -> Self {
        let mut phrases = Phrases::default();
        let rows = csv.lines().skip(1).filter_map(|line| read_row(line, &mut phrases)).collect();
        phrases.index();
        Self { phrases, rows }
    }

    /// The first row that fits. `dsn` counts where the text has no code of its own.
    pub(super) fn find(&self, wording: &Wording, dsn: Option<&str>) -> Option<Hit> {
        let bare = self.phrases.found_in(&wording.bare);
        let other = (wording.whole != wording.bare).then(|| self.phrases.found_in(&wording.whole));
        let whole = other.as_ref().unwrap_or(&bare);
        let enhanced = wording.enhanced_or(dsn);
        let mut rows = self.rows.iter().filter(|row| row.own == wording.own);
        let row = rows.find(|row| match &row.rule {
            Rule::Whole(all) => whole.contain(all),
            Rule::Bare(all) => bare.contain(all),
            Rule::Enhanced { class, subject, detail } => match enhanced {
                Some(code) => fits(*class, *subject, *detail, code),
                None => subject.is_none() && wording.basic.map(|code| code / 100) == Some(u16::from(*class)),
            },
            Rule::Basic(code) => wording.basic == Some(*code),
            Rule::Always => true,
        })?;
        let vague = matches!(row.rule, Rule::Always | Rule::Enhanced { class: 3.., subject: None, .. });
        Some(Hit { line: row.line, matched: !vague })
    }
}

fn fits(class: u8, subject: Option<u16>, detail: Option<u16>, code: Enhanced) -> bool {
    code.class == class
        && subject.is_none_or(|subject| subject == code.subject)
        && detail.is_none_or(|detail| detail == code.detail)
}

fn read_row(line: &'static str, phrases: &mut Phrases) -> Option<Row> {
    let mut fields = Fields(Some(line));
    let kind = fields.nth(1)?;
    let pattern = fields.next()?;
    let own = kind.strip_prefix("own_");
    let rule = read_rule(own.unwrap_or(&kind), &pattern, phrases)?;
    Some(Row { line, own: own.is_some(), rule })
}

fn read_rule(kind: &str, pattern: &str, phrases: &mut Phrases) -> Option<Rule> {
    let mut all = || pattern.split(" && ").map(|phrase| phrases.add(phrase)).collect();
    Some(match kind {
        "phrase" if pattern == "*" => Rule::Always,
        "phrase" => Rule::Bare(all()),
        "postfix_local" => Rule::Whole(all()),
        "basic_code" => Rule::Basic(pattern.parse().ok()?),
        "enhanced_code" => {
            let mut numbers = pattern.split('.');
            let class = numbers.next()?.parse().ok()?;
            let mut number = || numbers.next().and_then(|number| number.parse().ok());
            Rule::Enhanced { class, subject: number(), detail: number() }
        }
        _ => return None,
    })
}

/// The fields of one CSV line (RFC 4180, without line breaks in fields).
pub(super) struct Fields<'a>(pub(super) Option<&'a str>);

impl<'a> Iterator for Fields<'a> {
    type Item = std::borrow::Cow<'a, str>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.0?;
        let Some(quoted) = line.strip_prefix('"') else {
            let (field, rest) =
                line.split_once(',').map_or((line, None), |(field, rest)| (field, Some(rest)));
            self.0 = rest;
            return Some(field.into());
        };
        let end = closing_quote(quoted);
        let field = quoted.get(..end).unwrap_or(quoted);
        self.0 = quoted.get(end + 2..);
        Some(if field.contains('"') { field.replace("\"\"", "\"").into() } else { field.into() })
    }
}

fn closing_quote(quoted: &str) -> usize {
    let bytes = quoted.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'"', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes.get(at + 1) != Some(&b'"') {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn fields_are_read_with_and_without_quotes() {
        let fields: Vec<_> = Fields(Some(r#"a,"b, ""c""",,"",d"#)).collect();
        assert_eq!(fields, ["a", r#"b, "c""#, "", "", "d"]);
    }

    #[test]
    fn every_row_of_the_table_is_usable() {
        let head = REPLIES.lines().next().expect("head");
        assert_eq!(
            head,
            "id,match_kind,match,provider,class,permanent,who_acts,text_en,text_de,next_en,next_de,admin_hint_en,admin_hint_de,link"
        );
        let table = Table::shared();
        assert_eq!(table.rows.len(), REPLIES.lines().count() - 1);
        assert!(table.rows.iter().all(|row| Fields(Some(row.line)).count() == 14));
        let ids: HashSet<_> = table.rows.iter().filter_map(|row| Fields(Some(row.line)).next()).collect();
        assert_eq!(ids.len(), table.rows.len());
        for own in [false, true] {
            let last = table.rows.iter().rfind(|row| row.own == own);
            assert!(matches!(last.map(|row| &row.rule), Some(Rule::Always)));
        }
    }
}
