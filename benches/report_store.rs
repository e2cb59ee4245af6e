//! How fast reports are stored, and how fast the overview answers beside many: `cargo bench --bench report_store`.
//!
//! Stores reports of a heavy-tailed number of records (102 on average, addresses at random: hardly a source comes twice,
//! which is the worst for sums by source) until `MAILCOW_STATUS_BENCH_RECORDS` records are there (100,000 unless told
//! otherwise), and prints the rate; then asks what the overview asks: after a restart, again, and after new reports.
//! SQLite by default; `MAILCOW_STATUS_TEST_MYSQL` (an empty database's address) measures MariaDB instead.
//! `MAILCOW_STATUS_BENCH_COMMIT` reports go into one transaction (1 unless told otherwise).

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use mailcow_status::{
    model::{
        figures::{SourceFilter, Span},
        report::{Arrival, DkimResult, Evaluation, Policy, Proof, Record, Report, SpfResult},
        scope::Scope,
        time::Millis,
    },
    store::{
        Db,
        db::Place,
        reports::{self, Incoming, Packed},
    },
};

const DAY: i64 = 86_400_000;
const END: i64 = 20_770 * DAY;
const SPAN: u64 = 365;
const PERIODS: [i64; 3] = [30, 90, 365];

/// Numbers that look random and are the same in each run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn ip(&mut self) -> IpAddr {
        if self.below(100) < 15 {
            return Ipv6Addr::new(
                0x2001,
                0xdb8,
                self.below(65_536) as u16,
                0,
                0,
                0,
                0,
                self.below(65_536) as u16,
            )
            .into();
        }
        Ipv4Addr::new(198, 18 + self.below(2) as u8, self.below(256) as u8, 1 + self.below(254) as u8).into()
    }

    /// 70 % have 1 to 10, 20 % up to 100, 9 % up to 1,000, 1 % up to 5,000.
    fn records(&mut self) -> u64 {
        match self.below(100) {
            0..70 => 1 + self.below(10),
            70..90 => 11 + self.below(90),
            90..99 => 101 + self.below(900),
            _ => 1001 + self.below(4000),
        }
    }
}

fn record(dice: &mut Dice, domain: &str, xml: &mut String) -> Record {
    let (dkim, spf) = (dice.below(100) < 85, dice.below(100) < 80);
    let word = |so: bool| if so { "pass" } else { "fail" };
    let disposition = if dkim || spf { "none" } else { "quarantine" };
    let (ip, count) = (dice.ip(), 1 + dice.below(10));
    let _ = write!(
        xml,
        "  <record>\n    <row>\n      <source_ip>{ip}</source_ip>\n      <count>{count}</count>\n      <policy_evaluated>\n        \
         <disposition>{disposition}</disposition>\n        <dkim>{0}</dkim>\n        <spf>{1}</spf>\n      </policy_evaluated>\n    \
         </row>\n    <identifiers>\n      <header_from>{domain}</header_from>\n    </identifiers>\n    <auth_results>\n      <dkim>\n        \
         <domain>{domain}</domain>\n        <selector>s1</selector>\n        <result>{0}</result>\n      </dkim>\n      <spf>\n        \
         <domain>{domain}</domain>\n        <scope>mfrom</scope>\n        <result>{1}</result>\n      </spf>\n    </auth_results>\n  </record>\n",
        word(dkim),
        word(spf),
    );
    Record {
        source: Some(ip),
        source_text: None,
        count,
        disposition: disposition.to_owned(),
        dkim: Evaluation::from_code(word(dkim)),
        spf: Evaluation::from_code(word(spf)),
        reasons: Vec::new(),
        header_from: domain.to_owned(),
        envelope_from: None,
        envelope_to: None,
        dkim_results: vec![DkimResult {
            domain: domain.to_owned(),
            selector: Some("s1".to_owned()),
            result: word(dkim).to_owned(),
            human_result: None,
        }],
        spf_results: vec![SpfResult {
            domain: domain.to_owned(),
            scope: Some("mfrom".to_owned()),
            result: word(spf).to_owned(),
            human_result: None,
        }],
    }
}

fn report(dice: &mut Dice, number: u64) -> (Report, String) {
    let domain = format!("corp{}.example", 1 + dice.below(20));
    let mut xml = String::from("<feedback>\n");
    let records = (0..dice.records()).map(|_| record(dice, &domain, &mut xml)).collect();
    xml.push_str("</feedback>\n");
    let begin = Millis(END - DAY * dice.below(SPAN) as i64);
    let report = Report {
        org: format!("receiver{}.example", number % 10),
        email: Some("dmarc@receiver.example".to_owned()),
        report_id: format!("{:x}{number}", dice.below(1 << 30)),
        begin,
        end: Millis(begin.0 + DAY - 1000),
        policy: Policy { domain, p: Some("none".to_owned()), pct: Some(100), ..Policy::default() },
        records,
        ..Report::default()
    };
    (report, xml)
}

/// Stores so many reports in one transaction; the number of their records.
async fn store(db: &Db, dice: &mut Dice, first: usize, reports: usize, busy: &mut Duration) -> usize {
    let arrival = Arrival { via: "bench".to_owned(), proof: Proof::Proven, ..Arrival::default() };
    let batch: Vec<(Report, String)> = (0..reports).map(|n| report(dice, (first + n) as u64)).collect();
    let began = Instant::now();
    let packed: Vec<Packed> = batch.iter().map(|(report, xml)| Packed::of(report, xml.as_bytes())).collect();
    let mut tx = db.begin().await.expect("a transaction");
    let both = batch.iter().zip(&packed);
    let incoming: Vec<Incoming<'_>> = both
        .map(|((report, xml), packed)| Incoming { arrival: &arrival, report, xml: xml.as_bytes(), packed })
        .collect();
    reports::insert(&mut tx, &incoming).await.expect("reports");
    tx.commit().await.expect("a commit");
    *busy += began.elapsed();
    batch.iter().map(|(report, _)| report.records.len()).sum()
}

async fn fill(db: &Db, dice: &mut Dice, wanted: usize, commit: usize) -> usize {
    let (mut stored, mut count, mut busy) = (0, 0, Duration::ZERO);
    while stored < wanted {
        stored += store(db, dice, count, commit, &mut busy).await;
        count += commit;
    }
    let seconds = busy.as_secs_f64();
    println!(
        "{}: {count} reports with {stored} records in {seconds:.1} s: {:.0} reports/s, {:.0} records/s",
        db.engine(),
        count as f64 / seconds,
        stored as f64 / seconds,
    );
    count
}

/// A process that has just begun remembers nothing and has no connection yet.
async fn restart(db: Db, place: &Place) -> Db {
    db.close().await;
    Db::open(place).await.expect("a database")
}

async fn overview(db: &Db, days: i64, round: &str) {
    let span = Span {
        from: Millis(END - days * DAY),
        to: Millis(END + DAY),
        horizon: Millis(i64::MAX),
        domain: None,
    };
    let filter = SourceFilter { span: span.clone(), ..SourceFilter::default() };
    let mut parts = Vec::new();
    let began = Instant::now();
    let mut at = began;
    let mut part = |name: &str, rows: usize| {
        parts.push(format!("{name} {:.1} ({rows})", at.elapsed().as_secs_f64() * 1e3));
        at = Instant::now();
    };
    // `/dmarc` asks for the domains only, a domain's own page for the others as well.
    part("domains", reports::domains(db, &Scope::All, &span).await.expect("domains").len());
    part("days", reports::days(db, &Scope::All, &span).await.expect("days").len());
    part("sources", reports::sources(db, &Scope::All, &filter, 500).await.expect("sources").len());
    part("receivers", reports::receivers(db, &Scope::All, &span).await.expect("receivers").len());
    println!("{days} days, {round}: {:.1} ms: {}", began.elapsed().as_secs_f64() * 1e3, parts.join(", "));
}

/// What the page of one domain asks for.
async fn page(db: &Db, days: i64, round: &str) {
    let began = Instant::now();
    let span = |from: i64, to: i64| {
        let domain = Some("corp7.example".to_owned());
        Span {
            from: Millis(END + DAY - from * DAY),
            to: Millis(END + DAY - to * DAY),
            horizon: Millis(i64::MAX),
            domain,
        }
    };
    let (period, before, window) = (span(days, 0), span(2 * days, days), span(14, 0));
    for span in [&period, &window] {
        reports::domains(db, &Scope::All, span).await.expect("domains");
    }
    reports::days(db, &Scope::All, &span(2 * days, 0)).await.expect("days");
    for span in [period, before, window] {
        let filter = SourceFilter { span, ..SourceFilter::default() };
        reports::sources(db, &Scope::All, &filter, 500).await.expect("sources");
    }
    println!("{days} days, one domain's page, {round}: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let place = match std::env::var("MAILCOW_STATUS_TEST_MYSQL") {
            Ok(url) => Place::mysql_url(&url).expect("an address"),
            Err(_) => Place::Sqlite(dir.path().join("reports.sqlite")),
        };
        let mut db = Db::open(&place).await.expect("a database");
        let mut dice = Dice(1);
        let wanted = number("MAILCOW_STATUS_BENCH_RECORDS", 100_000);
        let mut count = fill(&db, &mut dice, wanted, number("MAILCOW_STATUS_BENCH_COMMIT", 1)).await;
        overview(&db, 365, "before anything is kept").await;
        let began = Instant::now();
        reports::settle(&db).await.expect("digests");
        println!("digests of all months: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
        for days in PERIODS {
            db = restart(db, &place).await;
            page(&db, days, "after a restart").await;
            page(&db, days, "again").await;
            db = restart(db, &place).await;
            overview(&db, days, "after a restart").await;
            overview(&db, days, "again").await;
        }
        let mut spent = Duration::ZERO;
        for (reports, words) in [(1, "after a new report"), (20, "after 20 new reports")] {
            for days in PERIODS {
                count += reports;
                store(&db, &mut dice, count, reports, &mut spent).await;
                page(&db, days, words).await;
                db.forget_answers();
                overview(&db, days, words).await;
                let began = Instant::now();
                reports::settle(&db).await.expect("digests");
                let settled = began.elapsed().as_secs_f64() * 1e3;
                db.forget_answers();
                overview(&db, days, &format!("{words} and {settled:.0} ms of settling")).await;
            }
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("memory unknown"));
    });
}
