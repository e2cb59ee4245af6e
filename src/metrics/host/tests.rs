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
            "{stamp} mail sshd[5]: Failed password for root from 198.51.100.9 port 5 ssh2\n\
        2020-01-01T00:00:00+00:00 mail sshd[5]: Failed password for root from 198.51.100.9 port 5 ssh2\n"
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
