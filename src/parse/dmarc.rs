//! DMARC aggregate reports (RFC 7489 appendix C, RFC 9990) in one pass from text to [`Report`].
//!
//! Tolerant in what it takes: any namespace, any order, words that no standard knows, parts that are missing. Strict
//! where leniency would invent something: a document that is cut off, a report without domain, name or dates, and a
//! record without a count are faults.

mod places;
mod shape;
mod xml;

use std::{borrow::Cow, net::IpAddr};

use places::{Field, Node, Place};
use shape::{Act, Draft, Shape};
use xml::{Token, Tokens, resolve};

use super::report::{Fault, NAME_MAX, TEXT_MAX, domain, moment, quoted, report_id, tidy};
use crate::model::{
    report::{DkimResult, Evaluation, Policy, Reason, Record, Report, SpfResult},
    time::Millis,
};

/// How deep elements may be nested; the standards need six levels.
const DEPTH_MAX: usize = 32;

/// Records, results, reasons and errors together: what a report of 64 MiB may hold.
const PIECES_MAX: usize = 400_000;

/// Records, which take more memory than the others.
const RECORDS_MAX: usize = 150_000;

/// Mails in one record; the dmarcts tables count no further.
const COUNT_MAX: u64 = u32::MAX as u64;

/// Reads an aggregate report.
///
/// # Errors
/// When the text is no aggregate report, is cut off, or lacks what a report cannot do without.
pub(super) fn parse(text: &str) -> Result<Report, Fault> {
    let mut tokens = Tokens::new(text);
    let mut reading = Reading::new();
    loop {
        let begin = tokens.at();
        if let Some((name, place)) = reading.path.last().copied() {
            if place == Place::Node(Node::Feedback) && reading.record_alike(&mut tokens)? {
                continue;
            }
            // What nearly always comes behind a value, and behind the last element inside of another.
            if tokens.closes(name) {
                reading.path.pop();
                reading.note(place, begin, tokens.at());
                reading.close(place)?;
                if reading.done {
                    return reading.finish();
                }
                continue;
            }
        }
        let Some(token) = tokens.next()? else { break };
        match token {
            Token::Open(name) => {
                let place = reading.open(name)?;
                if place == Place::Node(Node::Record) {
                    reading.draft = Some(Draft::new(text, begin));
                }
                reading.value_at = tokens.at();
            }
            Token::Empty(name) => {
                reading.draft = None;
                reading.open(name)?;
                reading.close_named(name, tokens.at())?;
            }
            Token::Close(name) => {
                reading.draft = None;
                reading.close_named(name, tokens.at())?;
            }
            Token::Text(raw) => reading.text(raw, resolve),
            Token::Literal(raw) => reading.text(raw, Cow::Borrowed),
        }
        // What follows the last element does not matter: some senders leave bytes of older files there. Another document
        // behind it has been taken apart before (`parse::attachment`).
        if reading.done {
            return reading.finish();
        }
    }
    Err(match reading.path.last() {
        Some((name, _)) => Fault::Truncated(quoted(name)),
        None => Fault::Foreign,
    })
}

/// A report in the making.
struct Reading<'a> {
    /// The open elements, from the outside in.
    path: Vec<(&'a str, Place)>,
    /// The text of the innermost one, where a text is wanted.
    text: Cow<'a, str>,
    report: Report,
    begin: Option<Millis>,
    end: Option<Millis>,
    record: Record,
    count: Option<u64>,
    dkim: DkimResult,
    spf: SpfResult,
    reason: Reason,
    pieces: usize,
    done: bool,
    /// Where the value of the innermost element begins.
    value_at: usize,
    /// How the record that is being read is written, and how the last one was.
    draft: Option<Draft<'a>>,
    shape: Option<Shape<'a>>,
}

impl<'a> Reading<'a> {
    fn new() -> Self {
        Self {
            path: Vec::with_capacity(DEPTH_MAX),
            text: Cow::Borrowed(""),
            report: Report::default(),
            begin: None,
            end: None,
            record: Record::default(),
            count: None,
            dkim: DkimResult::default(),
            spf: SpfResult::default(),
            reason: Reason::default(),
            pieces: 0,
            done: false,
            value_at: 0,
            draft: None,
            shape: None,
        }
    }

    /// Reads the record that begins here, if it is written as the last one was.
    fn record_alike(&mut self, tokens: &mut Tokens<'a>) -> Result<bool, Fault> {
        let Some(shape) = self.shape.take() else { return Ok(false) };
        let fitting = shape.fit(tokens.rest());
        if let Some((values, length)) = &fitting {
            let mut values = values.iter();
            for act in &shape.acts {
                match act {
                    Act::Fill(_, field) => {
                        let text = resolve(values.next().copied().unwrap_or_default());
                        self.fill(*field, text.trim_ascii())?;
                    }
                    Act::Leave(node) => self.leave(*node)?,
                }
            }
            tokens.take(*length);
        }
        self.shape = Some(shape);
        Ok(fitting.is_some())
    }

    /// Notes for the shape of the record that an element was complete, whose end tag stands here.
    fn note(&mut self, place: Place, begin: usize, end: usize) {
        let Some(mut draft) = self.draft.take() else { return };
        match place {
            Place::Leaf(field) if !draft.fill(field, self.value_at, begin) => return,
            Place::Node(Node::Record) => {
                draft.leave(Node::Record);
                self.shape = draft.done(end);
                return;
            }
            Place::Node(node) => draft.leave(node),
            _ => {}
        }
        self.draft = Some(draft);
    }

    fn open(&mut self, name: &'a str) -> Result<Place, Fault> {
        if self.path.len() >= DEPTH_MAX {
            return Err(Fault::Deep);
        }
        let parent = self.path.last().map_or(Place::Node(Node::Outside), |(_, place)| *place);
        let place = places::enter(parent, name);
        if self.path.is_empty() && place != Place::Node(Node::Feedback) {
            return Err(Fault::Root(format!("<{}>", quoted(name))));
        }
        self.text = Cow::Borrowed("");
        self.path.push((name, place));
        Ok(place)
    }

    fn text(&mut self, raw: &'a str, resolve: impl FnOnce(&'a str) -> Cow<'a, str>) {
        if !matches!(self.path.last(), Some((_, Place::Leaf(_)))) {
            return;
        }
        match self.text.is_empty() {
            true => self.text = resolve(raw),
            false => self.text.to_mut().push_str(&resolve(raw)),
        }
    }

    fn close_named(&mut self, name: &str, at: usize) -> Result<(), Fault> {
        let Some((_, place)) = self.path.pop_if(|(open, _)| *open == name) else {
            return Err(Fault::Syntax { at, what: "an end tag that fits no begin tag" });
        };
        self.close(place)
    }

    /// The innermost element, which was this place, is complete.
    fn close(&mut self, place: Place) -> Result<(), Fault> {
        match place {
            Place::Leaf(field) => {
                let text = std::mem::take(&mut self.text);
                self.fill(field, text.trim_ascii())
            }
            Place::Node(node) => self.leave(node),
            Place::Other => Ok(()),
        }
    }

    /// An element that holds elements is complete.
    fn leave(&mut self, node: Node) -> Result<(), Fault> {
        match node {
            Node::Reason => push(&mut self.record.reasons, &mut self.reason),
            Node::Dkim => push(&mut self.record.dkim_results, &mut self.dkim),
            Node::Spf => push(&mut self.record.spf_results, &mut self.spf),
            Node::Record => {
                let mut record = std::mem::take(&mut self.record);
                record.count =
                    self.count.take().ok_or(Fault::Missing("count of mails in one of its records"))?;
                if self.report.records.len() >= RECORDS_MAX {
                    return Err(Fault::Many);
                }
                self.report.records.push(record);
            }
            Node::Feedback => self.done = true,
            _ => return Ok(()),
        }
        self.count_piece()
    }

    fn count_piece(&mut self) -> Result<(), Fault> {
        self.pieces += 1;
        if self.pieces > PIECES_MAX { Err(Fault::Many) } else { Ok(()) }
    }

    /// A value is complete.
    fn fill(&mut self, field: Field, text: &str) -> Result<(), Fault> {
        match field {
            Field::Version => self.report.version = some(text),
            Field::Org => self.report.org = tidy(text, NAME_MAX).into_owned(),
            Field::Email => self.report.email = some(text),
            Field::Contact => self.report.extra_contact_info = some(text),
            Field::ReportId => self.report.report_id = report_id(text)?,
            Field::Generator => self.report.generator = some(text),
            Field::Error => {
                self.report.errors.extend(some(text));
                self.count_piece()?;
            }
            Field::Begin => self.begin = date("begin of the report", text)?,
            Field::End => self.end = date("end of the report", text)?,
            Field::Domain | Field::P | Field::Sp | Field::Np | Field::Adkim | Field::Aspf => {
                fill_policy(&mut self.report.policy, field, text)?;
            }
            Field::Pct | Field::Fo | Field::Testing | Field::Discovery => {
                fill_policy(&mut self.report.policy, field, text)?;
            }
            Field::DkimDomain => self.dkim.domain = lower_domain(text),
            Field::DkimSelector => self.dkim.selector = some(text),
            Field::DkimResult => self.dkim.result = lower(text),
            Field::DkimWords => self.dkim.human_result = some(text),
            Field::SpfDomain => self.spf.domain = lower_domain(text),
            Field::SpfScope => self.spf.scope = some_lower(text),
            Field::SpfResult => self.spf.result = lower(text),
            Field::SpfWords => self.spf.human_result = some(text),
            Field::ReasonType => self.reason.kind = lower(text),
            Field::ReasonComment => self.reason.comment = some(text),
            Field::Count => self.count = Some(count(text)?),
            _ => fill_record(&mut self.record, field, text),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Report, Fault> {
        if self.report.policy.domain.is_empty() {
            return Err(Fault::Missing("domain"));
        }
        if self.report.report_id.is_empty() {
            return Err(Fault::Missing("report id"));
        }
        self.report.begin = self.begin.ok_or(Fault::Missing("begin"))?;
        self.report.end = self.end.ok_or(Fault::Missing("end"))?;
        if self.report.org.is_empty() {
            let email = self.report.email.as_deref().unwrap_or_default();
            self.report.org = email.rsplit_once('@').map_or(email, |(_, domain)| domain).to_owned();
        }
        Ok(self.report)
    }
}

fn fill_policy(policy: &mut Policy, field: Field, text: &str) -> Result<(), Fault> {
    match field {
        Field::Domain if text.is_empty() => {}
        Field::Domain => {
            let odd = || Fault::Odd { what: "the domain", value: quoted(text) };
            policy.domain = domain(text).ok_or_else(odd)?;
        }
        Field::P => policy.p = some_lower(text),
        Field::Sp => policy.sp = some_lower(text),
        Field::Np => policy.np = some_lower(text),
        Field::Adkim => policy.adkim = some_lower(text),
        Field::Aspf => policy.aspf = some_lower(text),
        Field::Pct => policy.pct = text.trim_end_matches('%').trim_end().parse().ok(),
        Field::Fo => policy.fo = some_lower(text),
        Field::Testing => policy.testing = some_lower(text),
        Field::Discovery => policy.discovery = some_lower(text),
        _ => {}
    }
    Ok(())
}

fn fill_record(record: &mut Record, field: Field, text: &str) {
    match field {
        Field::Source => {
            record.source = address(text);
            record.source_text = if record.source.is_none() { some(text) } else { None };
        }
        Field::Disposition => record.disposition = lower(text),
        Field::DkimAligned => record.dkim = evaluation(text),
        Field::SpfAligned => record.spf = evaluation(text),
        Field::HeaderFrom => record.header_from = lower_domain(text),
        Field::EnvelopeFrom => {
            record.envelope_from = Some(lower_domain(text)).filter(|text| !text.is_empty())
        }
        Field::EnvelopeTo => record.envelope_to = Some(lower_domain(text)).filter(|text| !text.is_empty()),
        _ => {}
    }
}

/// Moves what is complete to its list. Nearly all lists have one entry: room for more would be most of a report's memory.
fn push<T: Default>(list: &mut Vec<T>, item: &mut T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(std::mem::take(item));
}

fn evaluation(text: &str) -> Evaluation {
    match text {
        "pass" => Evaluation::Pass,
        "fail" => Evaluation::Fail,
        other => Evaluation::from_code(&lower(other)),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| tidy(text, TEXT_MAX).into_owned())
}

fn lower(text: &str) -> String {
    let mut text = tidy(text, NAME_MAX).into_owned();
    text.make_ascii_lowercase();
    text
}

fn some_lower(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| lower(text))
}

/// A domain in its one form; what is none stays as written.
fn lower_domain(text: &str) -> String {
    domain(text).unwrap_or_else(|| lower(text))
}

fn date(what: &'static str, text: &str) -> Result<Option<Millis>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    moment(text).map(Some).ok_or_else(|| Fault::Odd { what, value: quoted(text) })
}

/// A number of mails; some write it with a fraction of zero.
fn count(text: &str) -> Result<u64, Fault> {
    if let Some(count) = text.parse().ok().filter(|count| *count <= COUNT_MAX) {
        return Ok(count);
    }
    let whole = text.split_once('.').map_or(text, |(whole, fraction)| match fraction.trim_matches('0') {
        "" => whole,
        _ => text,
    });
    let number = whole.parse().ok().filter(|count| *count <= COUNT_MAX);
    number.ok_or_else(|| Fault::Odd { what: "the count of mails in a record", value: quoted(text) })
}

/// An address; IPv4 written as IPv6 is IPv4, brackets are left out.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests;
