//! `mailcow-status log-report FILE…`: what a Postfix log says about the flow of mail, in the sections of pflogsumm. Needs
//! no settings and no database.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use jiff::tz::TimeZone;

use crate::parse::lines::unpacked;

mod json;
mod print;
mod reading;

/// Arguments of `log-report`.
#[derive(Debug, clap::Args)]
pub struct LogReportArgs {
    /// Log files in order of time, plain or gzip; `-` is standard input
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Longest lists; 0 for whole ones, as pflogsumm prints them
    #[arg(long, default_value_t = 20)]
    pub top: usize,
    /// Time zone of time stamps without one (RFC 3164), and of the report, such as Europe/Berlin
    #[arg(long, default_value = "UTC")]
    pub zone: String,
}

/// Reads the files and prints what they tell.
pub fn run(args: &LogReportArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let zone =
        TimeZone::get(&args.zone).with_context(|| format!("--zone {}: no such time zone", args.zone))?;
    let most = if args.top == 0 { usize::MAX } else { args.top };
    let streams = args.files.iter().map(|path| match open(path) {
        Ok(stream) => Ok((path, stream)),
        Err(error) => Err((path, error)),
    });
    let read = reading::read(streams, &zone, reading::threads());
    let (flow, seen) = read.map_err(|(path, error)| {
        anyhow::Error::new(error).context(format!("cannot read {}", path.display()))
    })?;
    if seen.unreadable > 0 {
        eprintln!("{} of {} lines are no syslog lines and were left out", seen.unreadable, seen.lines);
    }
    match args.json {
        true => writeln!(out, "{:#}", json::object(&flow, most))?,
        false => print::report(&flow, &zone, most, out)?,
    }
    Ok(out.flush()?)
}

fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    if path.as_os_str() == "-" {
        return unpacked(io::stdin());
    }
    unpacked(File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::{reading::Seen, *};
    use crate::model::flow::{Count, Flow};

    const LOG: &str = "\
Nov 20 09:59:58 mail postfix/smtpd[7]: 4A1B2C3D4E: client=mx.example.org[192.0.2.10]
Nov 20 09:59:59 mail postfix/qmgr[8]: 4A1B2C3D4E: from=<ann@Example.org>, size=1000, nrcpt=2 (queue active)
Nov 20 10:00:00 mail postfix/lmtp[9]: 4A1B2C3D4E: to=<bob@a.test>, relay=dovecot[172.22.1.250]:24, delay=0.5, delays=0.1/0/0.2/0.2, dsn=2.0.0, status=sent (250 2.0.0 <bob@a.test> Saved)
Nov 20 10:00:01 mail postfix/smtp[9]: 4A1B2C3D4E: to=<far@b.test>, relay=mx.b.test[192.0.2.20]:25, delay=1.5, delays=0.1/0/0.7/0.7, dsn=4.7.1, status=deferred (host mx.b.test[192.0.2.20] said: 450 4.7.1 greylisted (in reply to RCPT TO command))
Nov 21 11:00:00 mail postfix/qmgr[8]: 4A1B2C3D4E: from=<ann@Example.org>, size=1000, nrcpt=1 (queue active)
Nov 21 11:00:01 mail postfix/smtp[9]: 4A1B2C3D4E: to=<far@b.test>, relay=mx.b.test[192.0.2.20]:25, delay=90000, delays=1/0/0.7/0.7, dsn=2.0.0, status=sent (250 ok)
not a line
Nov 21 11:00:02 mail postfix/smtpd[7]: NOQUEUE: reject: RCPT from unknown[198.51.100.9]: 550 5.1.1 <nobody@a.test>: Recipient address rejected: User unknown in virtual mailbox table; from=<x@example.net> to=<nobody@a.test> proto=ESMTP helo=<x>
";

    fn flow(parts: &[&str]) -> (Flow, Seen) {
        let streams = parts.iter().map(|part| Ok::<_, ((), io::Error)>(((), part.as_bytes())));
        reading::read(streams, &TimeZone::UTC, 2).unwrap()
    }

    #[test]
    fn a_mail_is_counted_once_however_often_it_is_tried_and_wherever_its_log_is_cut() {
        for cut in [0, LOG.find("Nov 21").unwrap()] {
            let (first, second) = LOG.split_at(cut);
            let (flow, seen) = flow(&[first, second]);
            assert_eq!(seen, Seen { lines: 8, unreadable: 1 });
            let count = |count| flow.count(count);
            assert_eq!((count(Count::Received), count(Count::Delivered)), (1, 2));
            assert_eq!((flow.deferred.len(), count(Count::Deferrals), count(Count::Rejected)), (1, 1, 1));
            assert_eq!((flow.bytes_received, flow.bytes_delivered), (1000, 2000));
            assert_eq!(flow.from.get("example.org").unwrap().delivered.count, 2);
            assert_eq!(flow.providers.get("b.test").unwrap().deferrals, 1);
        }
    }

    #[test]
    fn a_log_of_docker_is_read() {
        let json = |line: &str| serde_json::json!({ "log": format!("{line}\n"), "stream": "stdout" });
        let files = LOG.lines().map(|line| format!("{}\n", json(line)));
        let service = LOG.lines().map(|line| format!("postfix-mailcow-1  | {line}\n"));
        let plain = json::object(&flow(&[LOG]).0, 1);
        let mixed = LOG.lines().enumerate().map(|(number, line)| match number % 2 {
            0 => format!("{line}\n"),
            _ => format!("{}\n", json(line)),
        });
        for log in [files.collect::<String>(), service.collect(), mixed.collect()] {
            assert_eq!(json::object(&flow(&[&log]).0, 1), plain);
        }
    }

    #[test]
    fn the_text_has_the_sections_of_pflogsumm() {
        let mut out = Vec::new();
        print::report(&flow(&[LOG]).0, &TimeZone::UTC, 20, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        for line in [
            "       1   received\n",
            "       1   deferred  (1  deferrals)\n",
            "       1   rejected (33%)\n",
            "\nPer-Day Traffic Summary\n",
            "    0900-1000            1          0          0          0          0\n",
            "    1100-1200            0          1          0          0          1\n",
            "       1     1000  ann@example.org\n",
            "message bounce detail (by relay): none\n",
            "  smtp (total: 1)\n",
            "longest 1.0 d\n",
        ] {
            assert!(out.contains(line), "{line} is not in\n{out}");
        }
        assert!(!out.contains('\u{1b}'));
    }

    #[test]
    fn the_object_has_the_same_numbers() {
        let object = json::object(&flow(&[LOG]).0, 1);
        assert_eq!(object["totals"]["received"], 1);
        assert_eq!(object["totals"]["reject_rate"], 33);
        assert_eq!(object["delay"]["longest"], 90_000.0);
        assert_eq!(object["recipients"].as_array().unwrap().len(), 1, "lists have an end");
        assert_eq!(object["hours"].as_array().unwrap().len(), 3);
        assert_eq!(object["hours"][0]["from"], "2026-11-20T09:00:00Z");
        assert_eq!(object["rejected"]["RCPT"][0]["count"], 1);
    }
}
