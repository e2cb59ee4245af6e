//! Report mails per second from bytes to [`Report`](mailcow_status::model::report::Report), unpacking included, on
//! one thread.
//!
//! `MAILCOW_STATUS_BENCH_REPORTS` names a folder of report mails to be read instead of the built-in ones.

use std::{fmt::Write as _, hint::black_box, io::Write as _};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compression, write::GzEncoder};
use mailcow_status::parse::{
    attachment::{Limits, unpack},
    report::{Parsed, read},
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// Report mails of a usual week: most have a few records, few have thousands.
const MAILS: usize = 1000;

/// Numbers without an order, the same in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn records(dice: &mut Dice) -> u64 {
    match dice.throw(100) {
        0..70 => 1 + dice.throw(10),
        70..90 => 11 + dice.throw(90),
        90..99 => 101 + dice.throw(900),
        _ => 1001 + dice.throw(4000),
    }
}

fn xml(dice: &mut Dice, number: usize) -> String {
    let begin = 1_793_491_200 + number / 200 * 86_400;
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<feedback>\n  <report_metadata>\n    <org_name>post{}.example</org_name>\n    <email>dmarc@post.example</email>\n    <report_id>{number}</report_id>\n    <date_range>\n      <begin>{begin}</begin>\n      <end>{}</end>\n    </date_range>\n  </report_metadata>\n  <policy_published>\n    <domain>corp{}.example</domain>\n    <adkim>r</adkim>\n    <aspf>r</aspf>\n    <p>none</p>\n    <sp>none</sp>\n    <pct>100</pct>\n  </policy_published>\n",
        number % 10,
        begin + 86_399,
        number % 20,
    );
    for _ in 0..records(dice) {
        let (address, count, domain) = (dice.throw(65_536), 1 + dice.throw(20), number % 20);
        let (dkim, spf) = (dice.throw(100) < 85, dice.throw(100) < 80);
        let word = |passed: bool| if passed { "pass" } else { "fail" };
        writeln!(
            xml,
            "  <record>\n    <row>\n      <source_ip>198.18.{}.{}</source_ip>\n      <count>{count}</count>\n      <policy_evaluated>\n        <disposition>none</disposition>\n        <dkim>{}</dkim>\n        <spf>{}</spf>\n      </policy_evaluated>\n    </row>\n    <identifiers>\n      <header_from>corp{domain}.example</header_from>\n    </identifiers>\n    <auth_results>\n      <dkim>\n        <domain>corp{domain}.example</domain>\n        <selector>s1</selector>\n        <result>{}</result>\n      </dkim>\n      <spf>\n        <domain>corp{domain}.example</domain>\n        <scope>mfrom</scope>\n        <result>{}</result>\n      </spf>\n    </auth_results>\n  </record>",
            address >> 8, address & 255, word(dkim), word(spf), word(dkim), word(spf),
        )
        .expect("in memory");
    }
    xml.push_str("</feedback>\n");
    xml
}

fn packed(xml: &str, as_zip: bool) -> Vec<u8> {
    if !as_zip {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
        gzip.write_all(xml.as_bytes()).expect("in memory");
        return gzip.finish().expect("in memory");
    }
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("report.xml", SimpleFileOptions::default()).expect("in memory");
    zip.write_all(xml.as_bytes()).expect("in memory");
    zip.finish().expect("in memory").into_inner()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (index, chunk) in bytes.chunks(3).enumerate() {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= chunk.len() { DIGITS[value] as char } else { '=' });
        }
        if index % 19 == 18 {
            text.push_str("\r\n");
        }
    }
    text
}

fn mail(dice: &mut Dice, number: usize) -> Vec<u8> {
    let xml = xml(dice, number);
    let (kind, data) = match number % 20 {
        0 => ("text/xml", xml.into_bytes()),
        n if n % 2 == 0 => ("application/gzip", packed(&xml, false)),
        _ => ("application/zip", packed(&xml, true)),
    };
    let data = base64(&data);
    format!("From: dmarc@post.example\r\nSubject: Report\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n--=_b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{data}\r\n--=_b--\r\n").into_bytes()
}

fn mails() -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("MAILCOW_STATUS_BENCH_REPORTS") else {
        let mut dice = Dice(42);
        return (0..MAILS).map(|number| mail(&mut dice, number)).collect();
    };
    let files = std::fs::read_dir(folder).expect("a folder of mails");
    files.map(|file| std::fs::read(file.expect("a file").path()).expect("a mail")).collect()
}

/// Reads all mails; the number of records.
fn take(mails: &[Vec<u8>]) -> usize {
    let limits = Limits::default();
    let documents = mails.iter().flat_map(|mail| unpack(mail, None, &limits).documents);
    documents
        .map(|document| match black_box(read(&document.bytes)) {
            Ok(Parsed::Aggregate(report)) => report.records.len(),
            other => panic!("no aggregate report: {other:?}"),
        })
        .sum()
}

fn benches(criterion: &mut Criterion) {
    let mails = mails();
    let documents: Vec<Vec<u8>> = mails
        .iter()
        .flat_map(|mail| unpack(mail, None, &Limits::default()).documents)
        .map(|document| document.bytes)
        .collect();
    println!("{} mails with {} records", mails.len(), take(&mails));
    let mut group = criterion.benchmark_group("reports");
    group.sample_size(10).throughput(Throughput::Elements(mails.len() as u64));
    group.bench_function("mails", |bencher| bencher.iter(|| take(&mails)));
    group.throughput(Throughput::Bytes(documents.iter().map(|bytes| bytes.len() as u64).sum()));
    group.bench_function("documents", |bencher| {
        bencher.iter(|| documents.iter().filter(|bytes| black_box(read(bytes)).is_ok()).count());
    });
    group.finish();
}

criterion_group!(reports, benches);
criterion_main!(reports);
