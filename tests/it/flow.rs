//! `log-report` beside the real pflogsumm, on a log that both know all services of.

use std::{collections::BTreeMap, process::Command};

const LOG: &str = include_str!("../fixtures/flow.log");

/// The numbers of the first section by their words.
fn totals(report: &str) -> BTreeMap<String, String> {
    let lines = report.lines().skip_while(|line| !line.starts_with("messages")).skip(1);
    let lines = lines.take_while(|line| !line.starts_with("Per-") && !line.starts_with("Delivery"));
    let pair = |line: &str| {
        let (number, words) = line.trim().split_once(' ')?;
        Some((words.split_whitespace().collect::<Vec<_>>().join(" "), number.to_owned()))
    };
    lines.filter_map(pair).collect()
}

/// What a program prints about the log.
fn report(program: &str, args: &[&str], path: &std::path::Path) -> String {
    let output = Command::new(program).args(args).arg(path).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_totals_are_those_of_pflogsumm() {
    let pflogsumm = "/usr/sbin/pflogsumm";
    assert!(
        std::path::Path::new(pflogsumm).exists(),
        "install the Debian package pflogsumm, or use tests/run"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mail.log");
    std::fs::write(&path, LOG).unwrap();
    let mut ours = totals(&report(env!("CARGO_BIN_EXE_mailcow-status"), &["log-report"], &path));
    let theirs = totals(&report(pflogsumm, &[], &path));
    assert_eq!(ours.remove("expired").as_deref(), Some("1"), "pflogsumm does not count them");
    assert!(theirs.len() >= 14, "{theirs:?}");
    assert_eq!(ours, theirs);
}
