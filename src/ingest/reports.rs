//! Reports coming in, from wherever: one mail or file is unpacked, read, and stored with all that is in it.

use crate::{
    model::{
        report::{Arrival, Report, TlsReport},
        time::Millis,
    },
    parse::{
        attachment::{Limits, unpack},
        report::{self, Parsed},
    },
    store::{
        self, Db, Tx,
        reports::{self, Incoming, Packed, Stored},
        tls_reports, unreadable,
    },
};

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// File name, or what comes nearest.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// What it says about itself; `None` when it cannot be read.
    pub summary: Option<Summary>,
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Stored.
    New(i64),
    /// There already, the very same.
    Known(i64),
    /// One with the same key and another body is there; this one is kept beside it.
    Variant(i64),
    /// Not readable, for this reason. Kept as such, unless the input has nothing to do with reports.
    Refused(String),
}

/// What a report says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Who reports.
    pub org: String,
    /// The domains that are reported on, separated by commas.
    pub domain: String,
    /// Begin of the span.
    pub begin: Millis,
    /// End of the span.
    pub end: Millis,
}

/// An input that has been read and can be stored.
#[derive(Debug, Default)]
pub struct Reading {
    documents: Vec<Document>,
    /// The input has nothing to do with reports: it is stored nowhere.
    pub foreign: bool,
}

#[derive(Debug)]
struct Document {
    name: String,
    arrival: Arrival,
    bytes: Vec<u8>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Dmarc(Box<Report>, Packed),
    Tls(Box<TlsReport>),
    Unreadable(String),
}

impl Document {
    fn incoming(&self) -> Option<Incoming<'_>> {
        let Content::Dmarc(report, packed) = &self.content else { return None };
        Some(Incoming { arrival: &self.arrival, report, xml: &self.bytes, packed })
    }
}

impl Reading {
    /// Whether every document is a report that can be read.
    pub fn is_sound(&self) -> bool {
        !self.documents.is_empty()
            && self.documents.iter().all(|it| !matches!(it.content, Content::Unreadable(_)))
    }

    /// Bytes of all documents.
    pub fn bytes(&self) -> usize {
        self.documents.iter().map(|it| it.bytes.len()).sum()
    }

    fn refuse(&mut self, arrival: &Arrival, name: String, bytes: &[u8], reason: String) {
        let (arrival, bytes) = (arrival.clone(), bytes.to_vec());
        self.documents.push(Document { name, arrival, bytes, content: Content::Unreadable(reason) });
    }
}

/// Unpacks and reads an input. Takes its time: not for an async thread.
pub fn read(arrival: &Arrival, input: &[u8]) -> Reading {
    let unpacked = unpack(
        input,
        Some(&arrival.name).filter(|name| !name.is_empty()).map(String::as_str),
        &Limits::default(),
    );
    let mut reading = Reading { documents: Vec::new(), foreign: unpacked.is_foreign() };
    for document in unpacked.documents {
        match report::read(&document.bytes) {
            Ok(parsed) => reading.documents.push(sound(arrival, document.name, document.bytes, parsed)),
            Err(fault) => reading.refuse(arrival, document.name, &document.bytes, fault.to_string()),
        }
    }
    if !unpacked.refused.is_empty() {
        // What could not be unpacked is kept once, packed as it came.
        let names: Vec<&str> = unpacked.refused.iter().map(|it| it.name.as_str()).collect();
        let reasons = unpacked.refused.iter().map(|it| format!("{}: {}", it.name, it.reason));
        let reason = match &unpacked.refused[..] {
            [only] => only.reason.clone(),
            _ => reasons.collect::<Vec<_>>().join("; "),
        };
        reading.refuse(arrival, names.join(", "), input, reason);
    }
    reading
}

/// Reads the begin of a mail that is too large: kept as unreadable if it looks like one with reports.
pub fn read_begin(arrival: &Arrival, begin: &[u8], size: u64, most: usize) -> Reading {
    let foreign = unpack(begin, None, &Limits::default()).is_foreign();
    let mut reading = Reading { documents: Vec::new(), foreign };
    if !foreign {
        let reason =
            format!("the mail has {size} bytes, and {most} are the most that is taken; this is its begin");
        reading.refuse(arrival, arrival.name.clone(), begin, reason);
    }
    reading
}

fn sound(mail: &Arrival, name: String, bytes: Vec<u8>, parsed: Parsed) -> Document {
    let (arrival, content) = match parsed {
        Parsed::Aggregate(report) => {
            let packed = Packed::of(&report, &bytes);
            let arrival = super::trust::of_report(mail, &report.org, report.email.as_deref());
            (arrival, Content::Dmarc(report, packed))
        }
        Parsed::Tls(report) => {
            (super::trust::of_report(mail, &report.org, report.contact.as_deref()), Content::Tls(report))
        }
    };
    Document { name, arrival, bytes, content }
}

/// Stores inputs that were read; what became of the documents of each.
pub async fn store(tx: &mut Tx, readings: &[&Reading]) -> store::Result<Vec<Vec<Taken>>> {
    let documents = readings.iter().flat_map(|reading| &reading.documents);
    let incoming: Vec<Incoming<'_>> = documents.filter_map(Document::incoming).collect();
    let mut stored = reports::insert(tx, &incoming).await?.into_iter();
    let mut all = Vec::with_capacity(readings.len());
    for reading in readings {
        let mut taken = Vec::with_capacity(reading.documents.len());
        for Document { name, arrival, bytes, content } in &reading.documents {
            let (fate, summary) = match content {
                // One answer came for each of them.
                Content::Dmarc(report, _) => match stored.next() {
                    Some(stored) => (stored.into(), Some(of_dmarc(report))),
                    None => return Err(store::Error::Damaged("a report without an answer")),
                },
                Content::Tls(report) => {
                    let stored = tls_reports::insert(tx, arrival, report, bytes).await?;
                    (stored.into(), Some(of_tls(report)))
                }
                Content::Unreadable(reason) => {
                    if !reading.foreign {
                        unreadable::insert(tx, arrival, reason, bytes).await?;
                    }
                    (Fate::Refused(reason.clone()), None)
                }
            };
            taken.push(Taken { name: name.clone(), fate, summary });
        }
        all.push(taken);
    }
    Ok(all)
}

/// Unpacks, reads and stores one input, all of it or nothing.
pub async fn take(db: &Db, arrival: &Arrival, input: Vec<u8>) -> store::Result<Vec<Taken>> {
    let arrival = arrival.clone();
    let reading = blocking(move || read(&arrival, &input)).await;
    let mut tx = db.begin().await?;
    let taken = store(&mut tx, &[&reading]).await?;
    tx.commit().await?;
    Ok(taken.into_iter().flatten().collect())
}

/// Runs what takes its time where nobody waits for the thread.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and whoever waits for this with it: nothing must be stored as if it had been read.
            Err(_) => std::future::pending().await,
        },
    }
}

fn of_dmarc(report: &Report) -> Summary {
    let (org, domain) = (report.org.clone(), report.policy.domain.clone());
    Summary { org, domain, begin: report.begin, end: report.end }
}

fn of_tls(report: &TlsReport) -> Summary {
    let mut domains: Vec<&str> = report.policies.iter().map(|policy| policy.domain.as_str()).collect();
    domains.sort_unstable();
    domains.dedup();
    Summary { org: report.org.clone(), domain: domains.join(", "), begin: report.begin, end: report.end }
}

impl From<Stored> for Fate {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::New(id) => Self::New(id),
            Stored::Known(id) => Self::Known(id),
            Stored::Variant(id) => Self::Variant(id),
        }
    }
}
