//! How fast log lines are read: `cargo bench --bench parse`.
//!
//! With `MAILCOW_STATUS_BENCH_LOG=FILE` a syslog file of your own is read instead of the built-in lines.

use std::{fmt::Write, hint::black_box};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use mailcow_status::{
    model::{event::Parsed, time::Millis},
    parse::{api, postfix, syslog},
};

/// The lives of `mails` mails as Mailcow logs them: from outside, from a user, refused.
fn log(mails: u32) -> String {
    let mut log = String::new();
    for n in 0..mails {
        let (minute, second) = (n / 60 % 60, n % 60);
        let stamp = format!("Nov  3 12:{minute:02}:{second:02} mail postfix");
        let (id, long) = (format!("4{n:08X}B"), format!("4bT{n:07}zhQ1J"));
        let ip = format!("198.51.100.{}", n % 250);
        let lines = [
            format!("{stamp}/postscreen[372]: CONNECT from [{ip}]:4{n:04} to [172.22.1.253]:25"),
            format!("{stamp}/postscreen[372]: PASS OLD [{ip}]:4{n:04}"),
            format!("{stamp}/smtpd[{n}]: connect from mx{n}.remote.example[{ip}]"),
            format!(
                "{stamp}/smtpd[{n}]: Anonymous TLS connection established from mx{n}.remote.example[{ip}]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256"
            ),
            format!("{stamp}/smtpd[{n}]: {id}: client=mx{n}.remote.example[{ip}]"),
            format!("{stamp}/cleanup[{n}]: {id}: message-id=<{n}.20261103.abcdef@remote.example>"),
            format!(
                "{stamp}/qmgr[381]: {id}: from=<sender{n}@remote.example>, size={n}, nrcpt=1 (queue active)"
            ),
            format!(
                "{stamp}/smtpd[{n}]: disconnect from mx{n}.remote.example[{ip}] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7"
            ),
            format!(
                "{stamp}/lmtp[{n}]: {id}: to=<user{n}@alpha.example>, orig_to=<info@alpha.example>, relay=dovecot[172.22.1.250]:24, delay=0.6, delays=0.3/0.01/0.1/0.2, dsn=2.0.0, status=sent (250 2.0.0 <user{n}@alpha.example> 8PpwCI+MAGvuCAAAg+zDdQ Saved)"
            ),
            format!("{stamp}/qmgr[381]: {id}: removed"),
            format!(
                "{stamp}/submission/smtpd[{n}]: {long}: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=user{n}@alpha.example"
            ),
            format!(
                "{stamp}/smtp[{n}]: {long}: to=<friend{n}@remote.example>, relay=mx1.remote.example[{ip}]:25, delay=1.7, delays=0.3/0.01/1.1/0.3, dsn=4.7.1, status=deferred (host mx1.remote.example[{ip}] said: 451 4.7.1 <friend{n}@remote.example>: Recipient address rejected: Greylisted, see https://postgrey.example/help (in reply to RCPT TO command))"
            ),
            format!(
                "{stamp}/smtpd[{n}]: NOQUEUE: reject: RCPT from unknown[{ip}]: 550 5.1.1 <ghost{n}@alpha.example>: Recipient address rejected: User unknown in virtual mailbox table; from=<x{n}@spam.example> to=<ghost{n}@alpha.example> proto=ESMTP helo=<mx{n}.remote.example>"
            ),
            format!(
                "{stamp}/smtps/smtpd[{n}]: warning: unknown[{ip}]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=user{n}@alpha.example"
            ),
        ];
        for line in lines {
            writeln!(log, "{line}").expect("in memory");
        }
    }
    log
}

/// Reads a whole log and counts the lines that say something about a mail.
fn read(log: &[u8]) -> usize {
    let mut clock = syslog::YearGuess::new(TimeZone::UTC, Millis(1_795_257_000_000));
    let (mut start, mut mails) = (0, 0);
    for end in memchr::memchr_iter(b'\n', log) {
        let text = syslog::text(&log[start..end]);
        start = end + 1;
        if let Some(line) = syslog::parse_line(&text, &mut clock) {
            mails += usize::from(matches!(
                black_box(postfix::parse(line.program, line.text)),
                Parsed::Mail { .. }
            ));
        }
    }
    mails
}

/// The answer of `get/logs/postfix/N` with the lines of a log, pretty-printed as Mailcow does.
fn answer(log: &str, lines: usize) -> String {
    let mut clock = syslog::YearGuess::new(TimeZone::UTC, Millis(1_795_257_000_000));
    let rows = log.lines().take(lines).filter_map(|line| {
        let line = syslog::parse_line(line, &mut clock)?;
        let (program, text) = (line.program.replace('/', "\\/"), line.text.replace('/', "\\/").replace('"', "\\\""));
        let time = line.at.secs();
        Some(format!("    {{\n        \"time\": \"{time}\",\n        \"program\": \"{program}\",\n        \"priority\": \"info\",\n        \"message\": \"{text}\"\n    }}"))
    });
    format!("[\n{}\n]", rows.collect::<Vec<_>>().join(",\n"))
}

fn benches(criterion: &mut Criterion) {
    let log = match std::env::var_os("MAILCOW_STATUS_BENCH_LOG") {
        Some(file) => std::fs::read(file).expect("MAILCOW_STATUS_BENCH_LOG is readable"),
        None => log(10_000).into_bytes(),
    };
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(log.len() as u64)).sample_size(20);
    group.bench_function("syslog and postfix", |bencher| bencher.iter(|| read(&log)));
    let body = answer(&String::from_utf8_lossy(&log), 10_000);
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("answer of 10,000 lines", |bencher| {
        bencher.iter(|| {
            let mut reader = api::Reader::default();
            let read = reader.push(body.as_bytes(), |row| black_box(api::Line::read(row)).is_ok());
            read.and_then(|()| reader.end()).expect("a list").rows
        });
    });
    group.finish();
}

criterion_group!(parse, benches);
criterion_main!(parse);
