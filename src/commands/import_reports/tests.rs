use std::fs;

use super::*;

const DMARC: &str = "<feedback><report_metadata><org_name>Post</org_name><report_id>1</report_id><date_range><begin>10</begin>\
    <end>20</end></date_range></report_metadata><policy_published><domain>a.example</domain><p>none</p><pct>100</pct></policy_published>\
    <record><row><source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim>\
    <spf>fail</spf></policy_evaluated></row></record>\
    <record><row><source_ip>192.0.2.1</source_ip><count>4</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim>\
    <spf>pass</spf></policy_evaluated></row></record>\
    <record><row><source_ip>2001:db8::1</source_ip><count>5</count><policy_evaluated><disposition>reject</disposition>\
    <dkim>fail</dkim><spf>fail</spf></policy_evaluated></row></record></feedback>";

const TLS: &str = r#"{"organization-name":"Post","report-id":"2","date-range":{"start-datetime":"1970-01-01T00:00:10Z",
    "end-datetime":"1970-01-01T00:00:20Z"},"policies":[{"policy":{"policy-type":"sts","policy-domain":"a.example"},
    "summary":{"total-successful-session-count":7,"total-failure-session-count":2},
    "failure-details":[{"result-type":"certificate-expired","failed-session-count":2}]}]}"#;

/// What is printed of some files, and whether all were taken.
fn printed(files: &[(&str, &str)], json: bool) -> (Vec<String>, bool) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let args = ImportReportsArgs { paths: vec![folder.path().to_owned()], dry_run: true, json };
    let mut out = Vec::new();
    let taken = dry_run(&args, &mut out).is_ok();
    let place = format!("{}/", folder.path().display());
    (String::from_utf8(out).unwrap().replace(&place, "").lines().map(str::to_owned).collect(), taken)
}

#[test]
fn each_report_is_one_object_of_message_sums() {
    let (lines, taken) = printed(&[("1.xml", DMARC), ("2.json", TLS)], true);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let policy = json!({
        "p": "none", "sp": null, "np": null, "adkim": null, "aspf": null, "pct": 100, "fo": null, "testing": null,
        "discovery_method": null,
    });
    let dmarc = json!({
        "kind": "dmarc", "file": "1.xml", "document": "1.xml", "org": "Post", "report_id": "1", "begin": 10, "end": 20,
        "domain": "a.example", "policy": policy, "records": 3, "messages": 12, "dkim_aligned": 7, "spf_aligned": 4,
        "aligned": 7, "dispositions": {"none": 7, "reject": 5}, "sources": 2,
    });
    let tls = json!({
        "kind": "tls", "file": "2.json", "document": "2.json", "org": "Post", "report_id": "2", "begin": 10, "end": 20,
        "domains": ["a.example"], "policies": 1, "successful": 7, "failed": 2, "failures": {"certificate-expired": 2},
    });
    assert_eq!(lines, [dmarc, tls]);
    assert!(taken);
}

#[test]
fn what_is_refused_is_told_and_fails_the_command() {
    let cut = &DMARC[..DMARC.len() - 20];
    let (lines, taken) = printed(&[("1.xml", DMARC), ("2.xml", cut), ("3.txt", "hello")], true);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].get("error").is_none());
    assert_eq!(lines[1]["file"], "2.xml");
    assert!(lines[1]["error"].as_str().unwrap().contains("cut off"), "{}", lines[1]);
    assert!(lines[2]["error"].as_str().unwrap().contains("neither a mail"), "{}", lines[2]);
    assert!(!taken);
}

#[test]
fn people_get_words() {
    let (lines, _) = printed(&[("1.xml", DMARC), ("2.json", TLS), ("3.txt", "hello")], false);
    assert_eq!(
        lines,
        [
            "1.xml: DMARC report 1 of Post on a.example: 12 messages, 7 aligned",
            "2.json: TLS report 2 of Post: 7 sessions encrypted, 2 failed",
            "3.txt: refused: neither a mail nor XML, JSON, gzip or zip",
        ]
    );
}

/// Walks `tests/fixtures/dmarc`: beside each input lies what is printed of it, as `<input>.expected.json`.
#[test]
fn every_fixture_says_what_is_expected_of_it() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dmarc");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.to_string_lossy().ends_with(EXPECTED));
    assert!(files.len() > 20, "the fixtures were not found");
    let mut faults = Vec::new();
    for path in files {
        let bytes = fs::read(&path).map_err(|error| error.to_string());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = Value::from(lines(&Input { name, bytes }, &Limits::default()));
        let expected = PathBuf::from(format!("{}{EXPECTED}", path.display()));
        let expected = fs::read_to_string(expected).unwrap_or_else(|_| "null".into());
        if found != serde_json::from_str::<Value>(&expected).unwrap() {
            faults.push(format!("{}: found {found:#}", path.display()));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

const EXPECTED: &str = ".expected.json";
