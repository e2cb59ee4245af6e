//! The mails that bring reports: an attachment, packed in one of the usual ways, with the checks that our own server
//! notes at the top of a mail it takes.

use std::{
    fmt::Write as _,
    io::{Cursor, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use jiff::tz::TimeZone;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{demo::world::domain_of, model::time::Millis};

/// Our server, as it calls itself when it notes what it checked.
pub const HOST: &str = "mail.alpha.test";
/// Where reports go.
pub const MAILBOX: &str = "dmarc@alpha.test";

/// How a receiver packs what it attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `application/gzip`.
    Gzip,
    /// `application/zip`.
    Zip,
    /// A gzip file, sent as `application/octet-stream`.
    Unnamed,
    /// As it is, as text.
    Plain,
    /// A TLS report in gzip, as RFC 8460 section 3 wants it.
    Tls,
}

/// What our own server found when it took the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// DKIM, SPF and DMARC pass.
    Pass,
    /// None passes: somebody else wrote it.
    Fail,
    /// The mail came without.
    None,
}

/// A mail with a report.
#[derive(Debug, Clone)]
pub struct Mail {
    /// When it came.
    pub at: Millis,
    /// Sender's address.
    pub from: String,
    /// Subject.
    pub subject: String,
    /// Name of the report's file, without the ending that packing adds.
    pub file: String,
    /// The report.
    pub body: String,
    /// How it is packed.
    pub packing: Packing,
    /// What our server noted.
    pub checks: Checks,
}

impl Mail {
    /// The mail's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let (name, kind, content) = self.attachment();
        self.with(&name, kind, &content)
    }

    /// The mail's bytes with the second half of the attachment missing, as when a gateway cuts mails.
    pub fn cut(&self) -> Vec<u8> {
        let (name, kind, content) = self.attachment();
        self.with(&name, kind, &content[..content.len() / 2])
    }

    fn with(&self, name: &str, kind: &str, content: &[u8]) -> Vec<u8> {
        let mut mail = self.head();
        let boundary = format!("=_{}", self.at.0);
        let (outer, extra) = match self.packing {
            Packing::Tls => ("multipart/report; report-type=tlsrpt", "TLS-Required: No\r\n"),
            _ => ("multipart/mixed", ""),
        };
        let _ = write!(
            mail,
            "{extra}MIME-Version: 1.0\r\nContent-Type: {outer}; boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
             This is a report by {}.\r\n\r\n\
             --{boundary}\r\nContent-Type: {kind}; name=\"{name}\"\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             {}--{boundary}--\r\n",
            self.domain(),
            base64(content)
        );
        mail.into_bytes()
    }

    fn head(&self) -> String {
        let date = self.at.in_zone(&TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        let Self { from, subject, .. } = self;
        format!(
            "{}From: {from}\r\nTo: {MAILBOX}\r\nSubject: {subject}\r\nDate: {date}\r\nMessage-ID: <{}.report@{}>\r\n",
            self.results(),
            self.at.0,
            self.domain()
        )
    }

    /// The header as Rspamd writes it in a Mailcow.
    fn results(&self) -> String {
        let (from, domain) = (&self.from, self.domain());
        match self.checks {
            Checks::Pass => format!(
                "Authentication-Results: {HOST};\r\n\tdkim=pass header.d={domain} header.s=s1 header.b=Qx7bT1ab;\r\n\
                 \tdmarc=pass (policy=reject) header.from={domain};\r\n\tspf=pass ({HOST}: domain of {from} \
                 designates 192.0.2.25 as permitted sender) smtp.mailfrom={from}\r\n"
            ),
            Checks::Fail => format!(
                "Authentication-Results: {HOST};\r\n\tdkim=none;\r\n\tdmarc=fail reason=\"No valid SPF, No valid \
                 DKIM\" header.from={domain} (policy=none);\r\n\tspf=softfail ({HOST}: 203.0.113.66 is neither \
                 permitted nor denied by domain of {from}) smtp.mailfrom={from}\r\n"
            ),
            Checks::None => String::new(),
        }
    }

    fn domain(&self) -> &str {
        domain_of(&self.from)
    }

    /// Name, type and bytes of the attachment.
    fn attachment(&self) -> (String, &'static str, Vec<u8>) {
        let (file, body) = (&self.file, self.body.as_bytes());
        match self.packing {
            Packing::Gzip => (format!("{file}.gz"), "application/gzip", gzip(body)),
            Packing::Unnamed => (format!("{file}.gz"), "application/octet-stream", gzip(body)),
            Packing::Tls => (format!("{file}.gz"), "application/tlsrpt+gzip", gzip(body)),
            Packing::Plain => (file.clone(), "text/xml", body.to_vec()),
            Packing::Zip => {
                let archive = file.trim_end_matches(".xml");
                (format!("{archive}.zip"), "application/zip", zipped(file, body))
            }
        }
    }
}

/// Gzip with nothing but the content in it, so that the same report has the same bytes.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// A zip archive with one file.
pub fn zipped(name: &str, body: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let started = archive.start_file(name, SimpleFileOptions::default());
    if started.is_ok() {
        let _ = archive.write_all(body);
    }
    archive.finish().map(Cursor::into_inner).unwrap_or_default()
}

/// Base64 in lines of 76 letters (RFC 2045 section 6.8), each with its end.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + bytes.len() / 28 + 8);
    for line in bytes.chunks(57) {
        for group in line.chunks(3) {
            let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
                text.push(if place > group.len() { '=' } else { char::from(letter) });
            }
        }
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_written_in_lines() {
        for (bytes, text) in [("", ""), ("f", "Zg==\r\n"), ("fo", "Zm8=\r\n"), ("foobar", "Zm9vYmFy\r\n")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        let long = base64(&[0; 58]);
        assert_eq!(long.lines().map(str::len).collect::<Vec<_>>(), [76, 4]);
    }
}
