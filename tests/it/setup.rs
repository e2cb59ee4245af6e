//! `mailcow-status setup` as its user runs it: what it writes is sound YAML, with every safeguard, also merged with services
//! of others.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

fn setup(mailcow: &Path, more: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_mailcow-status"))
        .args(["setup", "--yes", "--mailcow", mailcow.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// What PyYAML makes of a text; `None`, with a word, where there is none. `tests/run` sees to it.
fn yaml(text: &str) -> Option<Value> {
    let program = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    if !Command::new("python3").args(["-c", "import yaml"]).status().is_ok_and(|status| status.success()) {
        eprintln!("left out: python3 with PyYAML is not here (tests/run sees to it)");
        return None;
    }
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{text}");
    Some(serde_json::from_slice(&done.stdout).unwrap())
}

#[test]
fn the_override_is_sound_and_keeps_the_portal_in_bounds() {
    let theirs =
        "services:\n    roundcube:\n        image: x\n\nnetworks:\n    other: {}\nvolumes:\n    more: {}\n";
    for (present, more) in [
        ("", vec![]),
        ("", vec!["--open-tracking", "--ofelia", "--database", "sqlite"]),
        (theirs, vec!["--open-tracking", "--ofelia", "--database", "sqlite"]),
        (theirs, vec!["--host", "status.example.org", "--network", "10.9.8.0/29"]),
        ("---\nservices:\n  a:\n    image: x\n", vec!["--image", "registry.example.org/status:1"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("data/conf/nginx")).unwrap();
        fs::write(dir.path().join("mailcow.conf"), "MAILCOW_HOSTNAME=mail.example.org\n").unwrap();
        let compose = dir.path().join("docker-compose.override.yml");
        if !present.is_empty() {
            fs::write(&compose, present).unwrap();
        }
        setup(dir.path(), &more);
        let Some(all) = yaml(&fs::read_to_string(&compose).unwrap()) else { return };
        let portal = &all["services"]["status-mailcow"];
        assert_eq!(portal["networks"], json!({ "status-network": {} }), "{more:?}");
        assert_eq!((&portal["read_only"], &portal["cap_drop"]), (&json!(true), &json!(["ALL"])));
        assert_eq!(portal["security_opt"], json!(["no-new-privileges:true"]));
        assert_eq!(portal["healthcheck"]["test"], json!(["CMD", "/mailcow-status", "health"]));
        assert!(portal["mem_limit"].is_string() && portal["ports"].is_null());
        assert!(!all.to_string().contains("docker.sock") && !all.to_string().contains("DBROOT"));
        assert_eq!(all["services"]["nginx-mailcow"]["networks"], json!({ "status-network": {} }));
        assert!(all["networks"]["status-network"]["ipam"]["config"][0]["subnet"].is_string());
        let tracked = more.contains(&"--open-tracking");
        assert_eq!(all["services"]["rspamd-mailcow"].is_object(), tracked);
        assert_eq!(portal["labels"].is_object(), more.contains(&"--ofelia"));
        assert_eq!(
            portal["pull_policy"].is_null(),
            more.contains(&"--image"),
            "an image made here is never pulled"
        );
        let sqlite = more.contains(&"sqlite");
        assert_eq!(all["services"]["mysql-mailcow"].is_object(), !sqlite);
        assert_eq!(all["volumes"].get("status-vol-1").is_some(), sqlite);
        if let Some(before) = yaml(present).filter(Value::is_object) {
            for (key, entries) in before.as_object().unwrap() {
                for (name, entry) in entries.as_object().unwrap() {
                    assert_eq!(&all[key][name], entry, "theirs is as it was");
                }
            }
        }
    }
}

/// What a unit says under a name; the last one counts.
fn said<'a>(unit: &'a str, name: &str) -> Option<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).next_back()
}

#[test]
fn the_units_and_the_words_about_them_fit_together() {
    let portal = include_str!("../../deploy/systemd/mailcow-status.service");
    let collector = include_str!("../../deploy/systemd/mailcow-status-collect.service");
    let words = include_str!("../../docs/operating.md");
    // The user of a dynamic unit is there only while it runs, and only on this way; nor may a static group have its name.
    assert_eq!((said(portal, "DynamicUser"), said(portal, "User")), (Some("yes"), None));
    let group = said(collector, "Group").unwrap();
    assert_ne!(group, "mailcow-status");
    assert!(words.contains(&format!("groupadd -f -r {group}\n")), "it is made before the timer begins");
    assert!(words.contains(&format!("SupplementaryGroups={group}\\n")), "the portal becomes a member");
    // The portal sees neither /tmp nor /var/tmp of the host.
    let folder = format!("/var/lib/{}", said(collector, "StateDirectory").unwrap());
    let file = said(collector, "ExecStart").unwrap().split_once("--output ").unwrap().1;
    assert_eq!(Path::new(file).parent().unwrap(), Path::new(&folder), "it may write there only");
    assert_eq!(said(collector, "StateDirectoryMode"), Some("0750"));
    assert!(words.contains(&format!("echo COLLECTOR_FILE={file} >>")));
    assert_eq!(said(collector, "ProtectSystem"), Some("strict"));
    assert!(said(collector, "ReadWritePaths").is_none());
}
