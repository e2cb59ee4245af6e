//! Reports coming in, from wherever: one mail or file is unpacked, read, and stored with all that is in it.

use super::trust::{by_hand, of_report};
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
        reports::{self, Incoming, MOST_PACKED, Packed, Stored},
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

    /// The same documents, none of which can be read: for this reason, where they could.
    fn unstorable(&self, reason: &str) -> Self {
        let mut other = Self { documents: Vec::new(), foreign: self.foreign };
        for Document { name, arrival, bytes, content } in &self.documents {
            let reason = match content {
                Content::Unreadable(own) => own,
                _ => reason,
            };
            other.refuse(arrival, name.clone(), bytes, reason.to_owned());
        }
        other
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
            let arrival = of_report(mail, &report.org, report.email.as_deref());
            (arrival, if packed.fits() { Content::Dmarc(report, packed) } else { too_large() })
        }
        Parsed::Tls(report) => {
            let arrival = of_report(mail, &report.org, report.contact.as_deref());
            (arrival, if tls_reports::fits(&report, &bytes) { Content::Tls(report) } else { too_large() })
        }
    };
    Document { name, arrival, bytes, content }
}

fn too_large() -> Content {
    let most = MOST_PACKED >> 20;
    Content::Unreadable(format!(
        "the report takes more than {most} MiB when it is packed, and no more is kept"
    ))
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
    store_alone(db, &reading).await
}

/// Reads something unreadable again, by the parser of today. It is forgotten unless it is still what cannot be read; parts
/// of it that cannot be read are kept on their own.
pub async fn retry(db: &Db, id: i64, arrival: &Arrival, input: Vec<u8>) -> store::Result<Vec<Taken>> {
    let arrival = arrival.clone();
    let (reading, input) = blocking(move || (read(&arrival, &input), input)).await;
    let taken = store_alone(db, &reading).await?;
    let refused = reading.documents.iter().zip(&taken).filter(|(_, it)| matches!(it.fate, Fate::Refused(_)));
    let remains = refused.map(|(document, _)| &document.bytes).any(|bytes| *bytes == input);
    if !(remains || reading.foreign) {
        let mut tx = db.begin().await?;
        unreadable::remove(&mut tx, id).await?;
        tx.commit().await?;
    }
    Ok(taken)
}

/// Stores one input, all of it or nothing; as unreadable where the database refuses it.
pub async fn store_alone(db: &Db, reading: &Reading) -> store::Result<Vec<Taken>> {
    let attempt = async |reading: &Reading| -> store::Result<Vec<Taken>> {
        let mut tx = db.begin().await?;
        let taken = store(&mut tx, &[reading]).await?;
        tx.commit().await?;
        Ok(taken.into_iter().flatten().collect())
    };
    match attempt(reading).await {
        Err(error) if !error.is_busy() => {}
        taken => return taken,
    }
    // Another process may have been in the way, which stored the same report.
    match attempt(reading).await {
        Err(error) => attempt(&instead(db, reading, error).await?).await,
        taken => taken,
    }
}

/// What any database stores that works: a report of each kind, and something unreadable.
const SAMPLES: [&[u8]; 3] = [
    b"<feedback><report_metadata><org_name>sample.invalid</org_name><report_id>1</report_id><date_range>\
      <begin>1700000000</begin><end>1700086399</end></date_range></report_metadata><policy_published>\
      <domain>sample.invalid</domain></policy_published><record><row><source_ip>192.0.2.1</source_ip>\
      <count>1</count></row></record></feedback>",
    br#"{"organization-name": "sample.invalid", "report-id": "1", "date-range": {"start-datetime": 1700000000,
        "end-datetime": 1700086399}, "policies": [{"policy": {"policy-domain": "sample.invalid"}, "failure-details":
        [{"result-type": "certificate-expired", "failed-session-count": 1}]}]}"#,
    b"<feedback>",
];

/// What to store in place of an input that the database refused: its documents, as unreadable. So that one that cannot be
/// stored keeps no other out.
///
/// # Errors
/// When the input is not to blame: the database is busy, or refuses a sample, too.
pub async fn instead(db: &Db, reading: &Reading, error: store::Error) -> store::Result<Reading> {
    if error.is_busy() {
        return Err(error);
    }
    let mut tx = db.begin().await?;
    let samples = SAMPLES.map(|sample| read(&by_hand("sample", "sample", Millis(0)), sample));
    store(&mut tx, &samples.each_ref()).await?;
    drop(tx);
    tracing::warn!(%error, "the database refused a report; it is kept as unreadable");
    Ok(reading.unstorable(&format!("it cannot be stored: {error}")))
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

#[cfg(test)]
mod tests;
