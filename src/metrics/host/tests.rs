//! A made-up host, with a Docker that answers on a socket.

use std::{collections::BTreeSet, fs, path::Path};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
};

use super::*;
use crate::{
    metrics::{
        modules::{self, backup as b, docker as d, dovecot, postfix},
        registry::Origin,
    },
    model::sample::State,
};

fn put(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn host_at(root: &Path, now: Millis) {
    let volume = |name: &str| format!("var/lib/docker/volumes/cow_{name}-vol-1/_data");
    put(
        root,
        "opt/mailcow-dockerized/mailcow.conf",
        "COMPOSE_PROJECT_NAME=cow\nMAILCOW_HOSTNAME=mail.a.test\nTZ=Europe/Berlin\n",
    );
    put(root, "opt/mailcow-dockerized/.git/HEAD", "ref: refs/heads/master\n");
    put(root, "opt/mailcow-dockerized/.git/packed-refs", "# pack-refs\n0123456789abcdef refs/heads/master\n");
    put(root, "opt/mailcow-dockerized/update.sh", "");
    put(root, "proc/loadavg", "0.52 1.5 0.40 2/345 12345\n");
    put(root, "proc/meminfo", "MemTotal:       102400 kB\nMemAvailable:       1024 kB\n");
    put(root, "proc/stat", "cpu0 10 0 5 30 5 0 0 0\n");
    put(
        root,
        "proc/1/net/dev",
        "  eth0: 1000 9 0 0 0 0 0 0 2000 8 0 0 0 0 0 0\n veth1: 1 0 0 0 0 0 0 0 1 0\n",
    );
    put(root, "proc/1/mounts", "/dev/vda1 / ext4 rw 0 0\n");
    let pages = (10 << 20) / proc::page_size(&fs::read("/proc/self/auxv").unwrap()).unwrap();
    put(root, "proc/1/stat", format!("1 (init) S{} {pages} 0\n", " 0".repeat(20)));
    put(root, "proc/7/stat", "7 (x) y) Z 1\n");
    put(root, "proc/8/stat", format!("8 (a,b:c) S{} {pages} 0\n", " 0".repeat(20)));
    put(root, "proc/9/stat", format!("9 (init) S{} {pages} 0\n", " 0".repeat(20)));
    put(root, "proc/9/cmdline", "init\0--password=secret\0");
    put(
        root,
        "proc/42/net/tcp",
        "  sl\n   0: 0100007F:0019 0200007F:C350 01 0\n   1: 0100007F:03E1 0200007F:C350 01 0\n",
    );
    put(root, "sys/class/hwmon/hwmon0/name", "coretemp\n");
    put(root, "sys/class/hwmon/hwmon0/temp1_input", "45500\n");
    let stamp = now
        .minus(Duration::from_secs(600))
        .in_zone(&jiff::tz::TimeZone::UTC)
        .strftime("%Y-%m-%dT%H:%M:%S+00:00")
        .to_string();
    put(
        root,
        "var/log/auth.log",
        format!(
            "2020-01-01T00:00:00+00:00 mail sshd[5]: Failed password for root from 198.51.100.9 port 5 ssh2\n\
        {stamp} mail sshd[5]: Failed password for root from 198.51.100.9 port 5 ssh2\n"
        ),
    );
    put(
        root,
        "var/log/fail2ban.log",
        "2020-01-01 00:00:00,1 fail2ban.actions [7]: NOTICE  [sshd] Ban 198.51.100.9\n",
    );
    for (name, head) in [
        ("daily.cld", "ClamAV-VDB:20 Nov 2026 09-30 +0000:27456:2000000:90:"),
        ("main.cvd", "ClamAV-VDB:16 Sep 2021 08-32 -0400:62:6000000:90:"),
    ] {
        put(root, &format!("{}/{name}", volume("clamd-db")), head);
    }
    put(root, &format!("{}/mail", volume("vmail")), "x".repeat(5000));
    put(root, &format!("{}/x", volume("postfix")), "");
    put(root, "opt/backup/mailcow-2026-11-20/a.tar.gz", "");
    put(root, "opt/backup/other/b", "");
}

/// Answers as Docker does, to each question on a connection of its own.
fn docker_at(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut question = vec![0; 4096];
                let length = stream.read(&mut question).await.unwrap();
                let question = String::from_utf8_lossy(&question[..length]).into_owned();
                let path = question.split(' ').nth(1).unwrap_or_default();
                assert!(question.starts_with("GET "), "{question}");
                let body = if path.starts_with("/containers/json") {
                    r#"[{"Id":"aa","Names":["/cow-postfix-mailcow-1"],"State":"running","SizeRw":1048576},
                    {"Id":"bb","Names":["/cow-dovecot-mailcow-1"],"State":"running","SizeRw":5242880},
                    {"Id":"dd","Names":["/cow-clamd-mailcow-1"],"State":"exited","SizeRw":0},
                    {"Id":"cc","Names":["/other"],"State":"running"}]"#
                } else if path.contains("/json") && path.contains("dd") {
                    r#"{"RestartCount":0,"State":{"Pid":0,"StartedAt":"2026-11-20T10:00:00Z"}}"#
                } else if path.ends_with("/json") {
                    r#"{"RestartCount":2,"State":{"Pid":42,"StartedAt":"2026-11-20T10:00:00Z","Health":{"Status":"healthy"}}}"#
                } else {
                    r#"{"cpu_stats":{"cpu_usage":{"total_usage":300},"system_cpu_usage":2000,"online_cpus":4},
                    "precpu_stats":{"cpu_usage":{"total_usage":200},"system_cpu_usage":1000},
                    "memory_stats":{"usage":10485760,"limit":104857600},"pids_stats":{"current":7}}"#
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + body).as_bytes()).await.unwrap();
            });
        }
    });
}

#[tokio::test]
async fn every_declared_key_of_the_host_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (root, now) = (dir.path(), Millis::now());
    host_at(root, now);
    docker_at(&root.join("docker.sock"));
    let places = Places {
        root: root.to_owned(),
        mailcow: "/opt/mailcow-dockerized".into(),
        backup: None,
        docker: "/docker.sock".into(),
    };
    let mut samples = look(&places, &CollectorFile::default(), now).await;
    let errors = modules::by_key("host.collector.errors").unwrap();
    let is = |samples: &Samples, metric: &Metric| {
        samples.list().iter().find(|it| it.metric == metric.key).map(|it| it.state.clone())
    };
    assert_eq!(is(&samples, errors), Some(State::from("-")));
    for (metric, expected) in [
        (&d::RESTARTS_TOTAL, 4.0),
        (&d::MEM_TOTAL_MB, 20.0),
        (&d::CPU_TOTAL, 80.0),
        (&postfix::CONNECTIONS, 1.0),
        (&dovecot::CONNECTIONS, 1.0),
        (&clamav::SIGNATURES, 8_000_000.0),
        (&clamav::MAIN_VERSION, 62.0),
        (&host::SSH_FAILED, 1.0),
        (&host::BANS, 0.0),
        (&host::BANNED, 1.0),
        (&host::ZOMBIES, 1.0),
        (&host::LOAD_PER_CORE, 150.0),
        (&host::VMAIL_PERMISSIONS, 0.0),
        (&b::COUNT, 1.0),
        (&b::ZERO_FILES, 1.0),
    ] {
        assert_eq!(is(&samples, metric), Some(State::Number(expected)), "{}", metric.key);
    }
    assert_eq!(is(&samples, &host::TOP_MEMORY), Some(State::from("init:20.0%,a_b_c:10.0%")));
    assert_eq!(
        is(&samples, &disk::DOCKER_TOP_CONTAINERS),
        Some(State::from("dovecot:5.0MB,postfix:1.0MB,clamd:0.0MB"))
    );
    assert_eq!(
        (is(&samples, &updates::VERSION_BRANCH), is(&samples, &updates::VERSION_COMMIT)),
        (Some(State::from("master")), Some(State::from("0123456")))
    );
    // The file is read as the portal reads it: by then every declared key is there.
    // One core reading is the other's, so nothing moved; only this cannot be told by files that stand still.
    samples.set_each(&host::EACH_CORE, crate::model::sample::Labels::one("core", "0"), 5.0);
    samples.set(&host::TOP_CPU, "init:1.0%");
    let file = file_of(&samples, &CollectorFile::default(), now);
    let mut out = Samples::new(now);
    let declared = [Origin::Docker, Origin::HostFiles, Origin::Host];
    file.tell(modules::of(&declared), now, &mut out);
    let told: BTreeSet<&str> =
        out.list().iter().filter(|it| it.state.is_known()).map(|it| it.metric).collect();
    let declared: BTreeSet<&str> = modules::of(&declared).map(|metric| metric.key).collect();
    assert_eq!(told, declared);
    // The next minute, what takes long is taken over.
    let next = look(&places, &file, now.plus(Duration::from_secs(60))).await;
    assert_eq!(is(&next, &disk::VMAIL_MAILDIR_SIZE), None);
    let next = file_of(&next, &file, now.plus(Duration::from_secs(60)));
    assert_eq!(next.state(&disk::VMAIL_MAILDIR_SIZE), file.state(&disk::VMAIL_MAILDIR_SIZE));
    assert_eq!(next.slow_at(SLOW_AT), file.slow_at(SLOW_AT));
}

fn places(root: &Path) -> Places {
    Places { root: root.to_owned(), mailcow: "/opt/x".into(), backup: None, docker: "/none.sock".into() }
}

/// What one part of a look tells, and what it could not read.
fn partly(places: &Places, part: fn(&mut Look<'_>)) -> (Samples, String) {
    let now = Millis::now();
    let mut out = Samples::new(now);
    let (faults, slow_faults) = (Faults::new(), Faults::new());
    let mut look = Look { places, out: &mut out, faults, slow_faults, slow: true, now };
    part(&mut look);
    let faults = format!("{:?} {:?}", look.faults, look.slow_faults);
    (out, faults)
}

fn number(samples: &Samples, metric: &Metric) -> Option<f64> {
    samples.list().iter().find(|it| it.metric == metric.key).and_then(|it| it.state.number())
}

/// What may not be read looks the same to root as what is damaged: a folder that is a link to itself.
fn close(path: &Path) {
    let _ = fs::remove_dir_all(path);
    std::os::unix::fs::symlink(path, path).unwrap();
}

#[test]
fn a_size_of_a_part_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "x/a/b", "x".repeat(5000));
    put(root, "x/empty", "");
    let size = files::size(&root.join("x"), Millis::now()).unwrap();
    assert!(size.bytes >= 4096.0 && size.empty == 1, "{size:?}");
    assert!(files::size(&root.join("gone"), Millis::now()).unwrap_err().contains("No such file"));
    let vanished = fs::metadata(root.join("gone"));
    assert!(matches!(files::unless_gone(vanished), Ok(None)), "what vanishes meanwhile is no error");
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    assert!(files::unless_gone::<()>(Err(denied)).is_err());
}

/// Only who is not root is kept out by modes.
#[test]
fn what_one_may_not_read_is_no_zero() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "opt/backup/mailcow-1/a.tar.gz", "x");
    put(root, "opt/backup/mailcow-2/part/b.tar.gz", "x");
    let places = places(root);
    if fs::read_dir("/proc/1/fd").is_ok() {
        eprintln!("left out: root may read everything");
        return;
    }
    let mode = |path: &str, mode| {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("opt/backup", 0o000);
    let (out, faults) = partly(&places, backup::look);
    mode("opt/backup", 0o755);
    assert_eq!((number(&out, &b::COUNT), number(&out, &b::DIR_EXISTS)), (None, Some(1.0)));
    assert!(faults.contains("Permission denied"), "{faults}");
    mode("opt/backup/mailcow-2/part", 0o000);
    let (out, faults) = partly(&places, backup::look);
    mode("opt/backup/mailcow-2/part", 0o755);
    assert_eq!(number(&out, &b::COUNT), Some(2.0));
    assert_eq!((number(&out, &b::SIZE), number(&out, &b::ZERO_FILES)), (None, None));
    assert!(faults.contains("Permission denied"), "{faults}");
    mode("opt", 0o000);
    let (out, faults) = partly(&places, backup::look);
    mode("opt", 0o755);
    assert_eq!(number(&out, &b::DIR_EXISTS), None, "nobody knows");
    assert!(faults.contains("Permission denied"), "{faults}");
}

#[test]
fn a_backup_folder_that_cannot_be_looked_at_is_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("opt")).unwrap();
    let (out, faults) = partly(&places(root), backup::look);
    assert_eq!(number(&out, &b::DIR_EXISTS), Some(0.0), "{faults}");
    close(&root.join("opt/backup"));
    let (out, faults) = partly(&places(root), backup::look);
    assert_eq!((number(&out, &b::DIR_EXISTS), number(&out, &b::COUNT)), (None, None));
    assert!(faults.contains("opt/backup: "), "{faults}");
}

#[test]
fn slow_values_that_fail_are_not_those_of_before() {
    let start = Millis::from_secs(1_795_200_000);
    let of = |at: Millis, size: Option<u32>, fault: Option<&str>| {
        let mut samples = Samples::new(at);
        if let Some(size) = size {
            samples.set(&b::SIZE, size);
        }
        if let Some(fault) = fault {
            samples.set(&SLOW_FAULTS, fault);
        }
        samples
    };
    let after = |minutes: u64| start.plus(Duration::from_secs(60 * minutes));
    let first = file_of(&of(start, Some(5), None), &CollectorFile::default(), start);
    let second = file_of(&of(after(1), None, None), &first, after(1));
    assert_eq!(second.state(&b::SIZE), Some(State::Number(5.0)));
    let failed = file_of(&of(after(61), None, Some("backup: closed")), &second, after(61));
    assert_eq!(failed.state(&b::SIZE), None);
    assert_eq!(failed.slow_at(SLOW_AT), Some(after(61)));
    let later = file_of(&of(after(62), None, None), &failed, after(62));
    assert_eq!(later.state(&SLOW_FAULTS), Some(State::from("backup: closed")), "said as long as it lacks");
    let well = file_of(&of(after(130), Some(6), None), &later, after(130));
    assert_eq!((well.state(&SLOW_FAULTS), well.state(&b::SIZE)), (None, Some(State::Number(6.0))));
}

/// A syslog line and a line of fail2ban so many hours ago.
fn lines(now: Millis, hours: u64, address: &str) -> [String; 2] {
    let at = now.minus(Duration::from_secs(3600 * hours)).in_zone(&jiff::tz::TimeZone::system());
    let stamp = at.strftime("%Y-%m-%dT%H:%M:%S%:z");
    let failed = format!("{stamp} mail sshd[5]: Failed password for root from {address} port 5 ssh2\n");
    let stamp = at.strftime("%Y-%m-%d %H:%M:%S");
    [failed, format!("{stamp},1 fail2ban.actions [7]: NOTICE  [sshd] Ban {address}\n")]
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_day_reaches_into_what_was_rotated_away() {
    let dir = tempfile::tempdir().unwrap();
    let (root, now) = (dir.path(), Millis::now());
    let of = |index: usize, all: &[(u64, &str)]| -> String {
        all.iter().map(|(hours, address)| lines(now, *hours, address)[index].clone()).collect()
    };
    let told = || {
        let (out, faults) = partly(&places(root), logs::look);
        let values = [&host::SSH_FAILED, &host::BANS, &host::BANNED].map(|metric| number(&out, metric));
        (values, faults)
    };
    let old = |path: &str, hours: u64| {
        let at = std::time::SystemTime::now() - Duration::from_secs(3600 * hours);
        fs::File::options().write(true).open(root.join(path)).unwrap().set_modified(at).unwrap();
    };
    // Rotated an hour ago, with nothing left before.
    put(root, "var/log/auth.log", of(0, &[(1, "192.0.2.1")]));
    put(root, "var/log/fail2ban.log", of(1, &[(1, "192.0.2.1")]));
    let (values, faults) = told();
    assert_eq!(values, [None; 3], "the window is not covered");
    assert!(faults.contains("ssh") && faults.contains("fail2ban"), "{faults}");
    // The day before, packed or not, and in between a file without a line.
    put(
        root,
        "var/log/auth.log.2.gz",
        gzipped(&of(0, &[(40, "192.0.2.3"), (5, "192.0.2.2"), (3, "192.0.2.2")])),
    );
    put(root, "var/log/auth.log.1", "");
    put(root, "var/log/fail2ban.log.1", of(1, &[(40, "192.0.2.3"), (3, "192.0.2.2")]));
    for (path, hours) in [("auth.log.2.gz", 2), ("auth.log.1", 1), ("fail2ban.log.1", 2)] {
        old(&format!("var/log/{path}"), hours);
    }
    let (values, faults) = told();
    assert_eq!(values, [Some(3.0), Some(2.0), Some(3.0)], "{faults}");
    // What was rotated away before tells of nothing that is needed; of bans it does.
    put(root, "var/log/auth.log.3.xz", "no text");
    put(root, "var/log/fail2ban.log.2.gz", gzipped(&of(1, &[(24 * 6, "192.0.2.4")])));
    for path in ["auth.log.3.xz", "fail2ban.log.2.gz"] {
        old(&format!("var/log/{path}"), 41);
    }
    assert_eq!(told().0, [Some(3.0), Some(2.0), Some(4.0)]);
    // Damaged.
    put(root, "var/log/auth.log.2.gz", &gzipped(&of(0, &[(40, "192.0.2.3")]))[..20]);
    old("var/log/auth.log.2.gz", 2);
    let (values, faults) = told();
    assert_eq!(values[0], None);
    assert!(faults.contains("auth.log.2.gz"), "{faults}");
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        root: dir.path().to_owned(),
        mailcow: "/opt/x".into(),
        backup: None,
        docker: "/none.sock".into(),
    };
    let samples = look(&places, &CollectorFile::default(), Millis::now()).await;
    let find = |metric: &Metric| samples.list().iter().find(|it| it.metric == metric.key);
    for metric in [
        &d::CPU_TOTAL,
        &d::CONTAINER_DATA,
        &host::LOAD_1,
        &host::SSH_FAILED,
        &b::AGE,
        &b::COUNT,
        &clamav::SIGNATURES,
        &disk::DOCKER_USED,
    ] {
        assert!(find(metric).is_none(), "{} has a value", metric.key);
    }
    let Some(State::Text(errors)) = find(&host::COLLECTOR_ERRORS).map(|it| it.state.clone()) else {
        panic!()
    };
    for topic in ["docker: ", "load: ", "ssh: ", "backup: "] {
        assert!(errors.contains(topic), "{errors}");
    }
}
