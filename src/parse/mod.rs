//! Bytes to model: pure functions that turn what Mailcow and Postfix say into the words of [`crate::model`].
//!
//! Everything here reads hostile input: no function panics, guesses, or takes more than linear time. What cannot
//! be read is reported (`None`, an error, or [`Parsed::Unknown`](crate::model::event::Parsed::Unknown)) and counted
//! by the caller. The same entry points are fuzzed (`fuzz/`).
//!
//! | file | from | to |
//! |---|---|---|
//! | [`postfix`] | one Postfix log line | a fact about a mail |
//! | [`syslog`] | one syslog line | its time, program and text |
//! | [`repeat`] | a line in which rsyslog tells how often it came | the line, as often |
//! | [`docker`] | a line as Docker keeps or prints it | the line |
//! | [`lines`] | a plain or gzipped stream | byte lines of bounded length |
//! | [`api`] | the body of a log answer of Mailcow's API | its rows |
//! | [`proc`] | files below `/proc` and their kin | numbers |
//! | [`rspamd`] | one row of Rspamd's history | what the spam filter thought of a mail |
//! | [`php_app`] | a text of the tables of the PHP app | its status, recipients or verdict |
//! | [`attachment`] | a mail or an archive | the report documents in it, within limits |
//! | [`report`] | such a document, XML or JSON | a DMARC or TLS report |
//! | [`envelope`] | a mail | who says to have sent it, and what our server found out about that |
//! | [`records`] | a DNS record | whether mail can rely on it, and what is wrong |
//! | [`mbox`] | a stream of mails in one file | the mails, one by one |

pub mod api;
pub mod attachment;
pub mod authentication;
mod charset;
mod dmarc;
pub mod docker;
pub mod envelope;
pub mod lines;
mod loose;
pub mod mbox;
pub mod php_app;
pub mod postfix;
pub mod proc;
pub mod records;
pub mod repeat;
pub mod report;
pub mod rspamd;
pub mod syslog;
mod tlsrpt;
