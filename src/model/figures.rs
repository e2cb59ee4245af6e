//! What pages show of reports: sums, sources and lists. All figures are sums of messages, never counts of rows.

use std::net::IpAddr;

use super::{
    report::{Arrival, Proof, Report, TlsReport},
    time::Millis,
};

/// Sums over the rows of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Sums {
    /// All messages.
    pub messages: u64,
    /// Messages with aligned DKIM that passed.
    pub dkim: u64,
    /// Messages with aligned SPF that passed.
    pub spf: u64,
    /// Messages with either: they passed DMARC.
    pub aligned: u64,
    /// Messages that the receiver put aside (`quarantine`).
    pub quarantined: u64,
    /// Messages that the receiver refused (`reject`).
    pub rejected: u64,
}

impl Sums {
    /// Messages that failed DMARC.
    pub fn failed(&self) -> u64 {
        self.messages.saturating_sub(self.aligned)
    }
}

/// Messages of a source that failed DMARC although a mailing list or a forwarder seems to hand them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handed {
    /// The receiver says so: `forwarded`, `mailing_list`, `trusted_forwarder`, or `local_policy` with a chain of ARC seals
    /// that holds (RFC 7489 appendix C, RFC 9990).
    pub told: u64,
    /// The receiver says nothing, but the source sends under a name of its own, which both SPF and DKIM prove.
    pub own: u64,
}

impl Handed {
    /// Both together.
    pub fn all(&self) -> u64 {
        self.told.saturating_add(self.own)
    }

    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        self.told = self.told.saturating_add(more.told);
        self.own = self.own.saturating_add(more.own);
    }
}

/// What counts towards figures: a span, and maybe one domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Span {
    /// Reports that begin at or after.
    pub from: Millis,
    /// Reports that begin before.
    pub to: Millis,
    /// What begins at or after this comes from the future: it tells neither of policies nor of when a source was seen.
    pub horizon: Millis,
    /// Only this domain, normalised.
    pub domain: Option<String>,
}

/// One day of one domain (of all domains, when the span names none).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Day {
    /// Midnight UTC, at which the day begins.
    pub at: Millis,
    /// Sums of the reports that begin on this day.
    pub sums: Sums,
}

/// One domain of the overview.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainFigures {
    /// The domain.
    pub domain: String,
    /// Sums of the span.
    pub sums: Sums,
    /// Sums of the span of the same length before.
    pub before: Sums,
    /// Reports in the span.
    pub reports: u64,
    /// Receivers that reported in the span.
    pub receivers: u64,
    /// First and last day with a report in the span.
    pub first: Option<Millis>,
    /// See `first`.
    pub last: Option<Millis>,
    /// Policy words of the newest report.
    pub policy: PolicySeen,
    /// The policy before it and the begin of the first report with the present one, when it changed in our memory.
    pub policy_before: Option<(PolicySeen, Millis)>,
    /// Sources that were first seen within the span.
    pub new_sources: u64,
    /// Reports of the span that do not count because their sender is not proven ([`Proof::Failed`]).
    pub set_aside: u64,
}

/// The words of a policy that pages speak of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySeen {
    /// `none`, `quarantine`, `reject`; empty when no report told.
    pub p: String,
    /// The same for subdomains.
    pub sp: Option<String>,
    /// Of a hundred mails.
    pub pct: Option<u8>,
    /// Whether it is only tested (`t=y`, RFC 9990), as the newest report says that speaks of it.
    pub testing: bool,
}

impl PolicySeen {
    /// What receivers do with what fails: while a policy is tested, one step less.
    pub fn in_force(&self) -> &str {
        match self.p.as_str() {
            "reject" if self.testing => "quarantine",
            "quarantine" if self.testing => "none",
            p => p,
        }
    }
}

/// What an admin says of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// One of ours.
    Ours,
    /// Known, sends on our behalf or forwards.
    Known,
    /// Not ours.
    Foreign,
}

impl Verdict {
    /// All.
    pub const ALL: [Self; 4] = [Self::Unsaid, Self::Ours, Self::Known, Self::Foreign];

    /// The word in the database and in addresses.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unsaid => "unsaid",
            Self::Ours => "ours",
            Self::Known => "known",
            Self::Foreign => "foreign",
        }
    }

    /// The verdict of a [`Verdict::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }
}

/// One source: the address that mails in the name of a domain came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The address; IPv6 sources stand for themselves.
    pub ip: IpAddr,
    /// Its name by reverse DNS, confirmed by a forward lookup; `None` while unknown or none.
    pub name: Option<String>,
    /// What the admin calls it.
    pub label: Option<String>,
    /// What the admin says of it.
    pub verdict: Verdict,
    /// Sums of the span.
    pub sums: Sums,
    /// What of it seems to be handed on.
    pub handed: Handed,
    /// First seen ever, begin of the report.
    pub first: Millis,
    /// Last seen ever, begin of the report.
    pub last: Millis,
}

/// Which sources are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceFilter {
    /// Span and domain.
    pub span: Span,
    /// Only with messages that failed.
    pub failing: bool,
    /// Only first seen within the span.
    pub new: bool,
    /// Order.
    pub sort: SourceSort,
}

/// Order of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceSort {
    /// Most messages first.
    #[default]
    Messages,
    /// By name, then address.
    Name,
    /// Last seen first.
    LastSeen,
}

/// What one source did, by receiver or by signing domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceShare {
    /// Receiver or signing domain (empty: not signed).
    pub name: String,
    /// Its sums.
    pub sums: Sums,
}

impl SourceShare {
    /// The domain of a share by signing domain, where the signatures hold.
    pub fn signed_domain(&self) -> Option<&str> {
        self.name.strip_suffix(" (pass)").filter(|domain| !domain.is_empty())
    }
}

/// One source in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDetail {
    /// The source with its sums of the span.
    pub source: Source,
    /// Per receiver, most messages first, at most 50.
    pub receivers: Vec<SourceShare>,
    /// Per signing domain and result text `domain (result)`, at most 50.
    pub signers: Vec<SourceShare>,
    /// Per day.
    pub days: Vec<Day>,
}

/// State of a whole report (S4-25).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReportState {
    /// All messages passed DMARC.
    Pass,
    /// None passed.
    Fail,
    /// Some passed.
    Mixed,
    /// No messages, or neither pass nor fail was told.
    #[default]
    Other,
}

impl ReportState {
    /// All.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Mixed, Self::Other];

    /// The word in the database and in addresses.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Mixed => "mixed",
            Self::Other => "other",
        }
    }

    /// The state of a [`ReportState::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// The five filters of the report list (S4-24).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportFilter {
    /// Only this state.
    pub state: Option<ReportState>,
    /// Only reports that begin in this month: its year and month in UTC.
    pub month: Option<(i16, i8)>,
    /// Only this domain, exactly.
    pub domain: Option<String>,
    /// A part of the receiver's name, without regard to case.
    pub org: Option<String>,
    /// A part of the report id, without regard to case.
    pub report_id: Option<String>,
    /// Only reports that do not count, for this reason.
    pub aside: Option<Aside>,
}

/// Why a report does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Its sender is disproven ([`Proof::Failed`]).
    Unproven,
    /// Its domain is not hosted here.
    Foreign,
}

impl Aside {
    /// All.
    pub const ALL: [Self; 2] = [Self::Unproven, Self::Foreign];

    /// The word in addresses and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Foreign => "foreign",
        }
    }

    /// The reason of an [`Aside::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aside| aside.code() == code)
    }
}

/// Where in a list of reports a page begins: begin of the span, then serial, both falling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportPlace {
    /// Begin of the last report that was shown.
    pub begin: Millis,
    /// Its serial.
    pub serial: i64,
}

/// One line of the report list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportLine {
    /// Number of the report in our database.
    pub serial: i64,
    /// Domain.
    pub domain: String,
    /// Receiver.
    pub org: String,
    /// The receiver's name of it.
    pub report_id: String,
    /// Begin of the span.
    pub begin: Millis,
    /// End of the span.
    pub end: Millis,
    /// Sums.
    pub sums: Sums,
    /// State.
    pub state: ReportState,
    /// Whether it is proven who sent it.
    pub proof: Proof,
    /// Another body came under the same key; that many.
    pub variants: u64,
}

/// One stored report with all it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReport {
    /// Its line in the list.
    pub line: ReportLine,
    /// What it says.
    pub report: Report,
    /// How it came, when we took it ourselves.
    pub arrival: Option<Arrival>,
    /// Whether the XML is at hand.
    pub has_xml: bool,
    /// Bodies that came under the same key, with when each came: number and arrival.
    pub others: Vec<(i64, Arrival)>,
}

/// One line of the list of TLS reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsLine {
    /// Number of the report in our database.
    pub id: i64,
    /// Domain of the policy.
    pub domain: String,
    /// Receiver.
    pub org: String,
    /// The receiver's name of it.
    pub report_id: String,
    /// Begin of the span.
    pub begin: Millis,
    /// End of the span.
    pub end: Millis,
    /// Sessions that succeeded.
    pub successful: u64,
    /// Sessions that failed.
    pub failed: u64,
    /// Whether it is proven who sent it.
    pub proof: Proof,
    /// Another body came under the same key; that many.
    pub variants: u64,
}

/// Sessions of one day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsDay {
    /// Midnight UTC, at which the day begins.
    pub at: Millis,
    /// Sessions that succeeded.
    pub successful: u64,
    /// Sessions that failed.
    pub failed: u64,
}

/// One kind of failure over a span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFailureSum {
    /// The kind, as in the reports.
    pub kind: String,
    /// Name of the receiving server, empty when not told.
    pub mx: String,
    /// Sessions.
    pub sessions: u64,
    /// Begin of the newest report with it.
    pub last: Millis,
}

/// One stored TLS report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTlsReport {
    /// Its number in our database.
    pub id: i64,
    /// What it says; only the policies that the visitor may see.
    pub report: TlsReport,
    /// How it came.
    pub arrival: Arrival,
    /// Whether the visitor may see all that it says, and so its JSON.
    pub whole: bool,
    /// Bodies that came under the same key, with when each came: number and arrival. Only where the visitor may see them.
    pub others: Vec<(i64, Arrival)>,
}

/// Something that could not be read as a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number in our database.
    pub id: i64,
    /// How it came.
    pub arrival: Arrival,
    /// Why, in words for people.
    pub reason: String,
    /// Bytes, before compression.
    pub bytes: u64,
    /// Whether the bytes are kept, so that a better parser can try again (too big: not kept).
    pub kept: bool,
}
