//! What receivers report of a domain: DMARC aggregate reports (RFC 7489 appendix C, RFC 9990) and TLS reports
//! (RFC 8460). Plain data: everything a report says is kept, words that no standard knows included.
//!
//! `store` keeps reports as these types serialise: a change of their fields is a new version there
//! (`store/reports/body.rs`).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::time::Millis;

/// A DMARC aggregate report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Who reports (`org_name`).
    pub org: String,
    /// Whom to ask there.
    pub email: Option<String>,
    /// More about whom to ask.
    pub extra_contact_info: Option<String>,
    /// The reporter's name of the report.
    pub report_id: String,
    /// Begin of the span.
    pub begin: Millis,
    /// End of the span, as written: inclusive with most reporters.
    pub end: Millis,
    /// Version of the format, as written.
    pub version: Option<String>,
    /// Which program made it (RFC 9990 `generator`).
    pub generator: Option<String>,
    /// What the reporter could not do (`error`).
    pub errors: Vec<String>,
    /// The policy that the reporter saw; its domain is the domain of the report.
    pub policy: Policy,
    /// What came from where.
    pub records: Vec<Record>,
}

/// The policy as the reporter found it published. Words as written, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Domain of the policy, normalised: lower case, ASCII form, no dot at the end.
    pub domain: String,
    /// `p`: what to do with mails that fail.
    pub p: Option<String>,
    /// `sp`: the same for subdomains.
    pub sp: Option<String>,
    /// `np`: the same for subdomains that do not exist (RFC 9989).
    pub np: Option<String>,
    /// `adkim`: `r` or `s`.
    pub adkim: Option<String>,
    /// `aspf`: `r` or `s`.
    pub aspf: Option<String>,
    /// `pct`: to how many of a hundred mails the policy applies.
    pub pct: Option<u8>,
    /// `fo`: what to send failure reports for.
    pub fo: Option<String>,
    /// `testing` (RFC 9990), `y` or `n`.
    pub testing: Option<String>,
    /// `discovery_method` (RFC 9990): `psl` or `treewalk`.
    pub discovery: Option<String>,
}

/// One row of an aggregate report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// Where the mails came from; `None` when what is written is no address.
    pub source: Option<IpAddr>,
    /// The address as written, when it is none.
    pub source_text: Option<String>,
    /// Mails.
    pub count: u64,
    /// What the receiver did, as written in lower case (`none`, `quarantine`, `reject`, `pass` of RFC 9990, or odd).
    pub disposition: String,
    /// Whether an aligned DKIM signature passed, by the receiver's own evaluation.
    pub dkim: Evaluation,
    /// Whether an aligned SPF check passed, by the receiver's own evaluation.
    pub spf: Evaluation,
    /// Why the receiver did not do as the policy says.
    pub reasons: Vec<Reason>,
    /// Domain of the From header, normalised.
    pub header_from: String,
    /// Domain of the envelope sender.
    pub envelope_from: Option<String>,
    /// Domain of the envelope recipient.
    pub envelope_to: Option<String>,
    /// Each DKIM signature.
    pub dkim_results: Vec<DkimResult>,
    /// Each SPF check.
    pub spf_results: Vec<SpfResult>,
}

impl Record {
    /// Whether the mails passed DMARC: either check is aligned and passed.
    pub fn aligned(&self) -> bool {
        self.dkim == Evaluation::Pass || self.spf == Evaluation::Pass
    }
}

/// A receiver's word on one of the two checks of DMARC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Evaluation {
    /// Passed and aligned.
    Pass,
    /// Not.
    Fail,
    /// Not told, or a word that no standard knows.
    #[default]
    Unknown,
}

impl Evaluation {
    /// The word of the standard and of the database.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }

    /// The evaluation of a word; what is neither pass nor fail is unknown.
    pub fn from_code(code: &str) -> Self {
        match code {
            "pass" => Self::Pass,
            "fail" => Self::Fail,
            _ => Self::Unknown,
        }
    }
}

/// Why a receiver did not do as the policy says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reason {
    /// `forwarded`, `mailing_list`, `local_policy`, …, as written in lower case.
    pub kind: String,
    /// The receiver's comment.
    pub comment: Option<String>,
}

/// One DKIM signature of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DkimResult {
    /// Signing domain.
    pub domain: String,
    /// Selector of the key.
    pub selector: Option<String>,
    /// `pass`, `fail`, `temperror`, …, as written in lower case.
    pub result: String,
    /// The receiver's words (`human_result`).
    pub human_result: Option<String>,
}

/// One SPF check of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpfResult {
    /// Domain that was checked.
    pub domain: String,
    /// `mfrom` or `helo`.
    pub scope: Option<String>,
    /// `pass`, `fail`, `softfail`, …, as written in lower case.
    pub result: String,
    /// The receiver's words (`human_result`).
    pub human_result: Option<String>,
}

/// A TLS report (RFC 8460).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TlsReport {
    /// Who reports (`organization-name`).
    pub org: String,
    /// Whom to ask there.
    pub contact: Option<String>,
    /// The reporter's name of the report.
    pub report_id: String,
    /// Begin of the span.
    pub begin: Millis,
    /// End of the span.
    pub end: Millis,
    /// Figures per policy.
    pub policies: Vec<TlsPolicy>,
}

/// What a TLS report says of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TlsPolicy {
    /// `sts`, `tlsa`, `no-policy-found`, or as written.
    pub kind: String,
    /// Domain of the policy, normalised.
    pub domain: String,
    /// The policy's text, line by line (`policy-string`).
    pub text: Vec<String>,
    /// Patterns of mail server names (`mx-host`).
    pub mx_hosts: Vec<String>,
    /// Sessions that were encrypted as the policy asks.
    pub successful: u64,
    /// Sessions that were not.
    pub failed: u64,
    /// What failed.
    pub failures: Vec<TlsFailure>,
}

/// One kind of failure in a TLS report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TlsFailure {
    /// `starttls-not-supported`, `certificate-expired`, …, or as written (RFC 8460 section 4.3).
    pub kind: String,
    /// Address of the sending server.
    pub sending_ip: Option<String>,
    /// Name of the receiving server.
    pub mx: Option<String>,
    /// How the receiving server called itself.
    pub mx_helo: Option<String>,
    /// Address of the receiving server.
    pub receiving_ip: Option<String>,
    /// Sessions.
    pub sessions: u64,
    /// Where to read more.
    pub more: Option<String>,
    /// A further code.
    pub reason_code: Option<String>,
}

/// Whether it is proven who sent a report, by our own server's check of the mail that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Proof {
    /// The mail passed DMARC, or an aligned DKIM or SPF check, with our server. Or an admin brought it by hand.
    Proven,
    /// No check of ours is known: the mail came without, or another program stored the report.
    #[default]
    Unchecked,
    /// Our server's check failed.
    Failed,
}

impl Proof {
    /// All, in order of trust.
    pub const ALL: [Self; 3] = [Self::Proven, Self::Unchecked, Self::Failed];

    /// The word in the database and in addresses.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unchecked => "unchecked",
            Self::Failed => "failed",
        }
    }

    /// The proof of a [`Proof::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proof| proof.code() == code)
    }
}

/// How a report came to us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrival {
    /// When we took it.
    pub at: Millis,
    /// Where from: an IMAP account and folder, `upload`, `import` and the like. Never a secret.
    pub via: String,
    /// File name or subject, for people.
    pub name: String,
    /// Address in the From header of the mail, if it came by mail.
    pub sender: Option<String>,
    /// Whether it is proven who sent it.
    pub proof: Proof,
    /// Which check said so, in words for people: `dkim=pass header.d=google.com`.
    pub evidence: Option<String>,
}
