use std::io::Write;

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;
use crate::store::{db::sql, fresh::databases, unreadable as shelf};

fn report(id: &str) -> String {
    format!(
        "<feedback><report_metadata><org_name>post.test</org_name><report_id>{id}</report_id><date_range>\
         <begin>1795132800</begin><end>1795219199</end></date_range></report_metadata><policy_published>\
         <domain>a.test</domain></policy_published><record><row><source_ip>192.0.2.1</source_ip><count>2</count>\
         </row></record></feedback>"
    )
}

fn by_mail(name: &str) -> Arrival {
    Arrival { at: Millis(1), via: "imap".to_owned(), name: name.to_owned(), ..Arrival::default() }
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The archive, with its last member packed by a method that nobody knows.
fn unknown_method(mut archive: Vec<u8>) -> Vec<u8> {
    for (mark, field) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let at = archive.windows(4).rposition(|bytes| bytes == mark).unwrap();
        archive[at + field] = 77;
    }
    archive
}

#[test]
fn samples_are_sound_but_the_last() {
    let sound = SAMPLES.map(|sample| read(&by_hand("", "", Millis(0)), sample).is_sound());
    assert_eq!(sound, [true, true, false]);
}

#[tokio::test]
async fn texts_of_any_length_are_kept_as_far_as_they_fit() {
    let dir = tempfile::tempdir().unwrap();
    let long = Arrival { evidence: Some("ß".repeat(90_000)), ..by_mail(&"ü".repeat(90_000)) };
    let many: Vec<(String, &[u8])> =
        (0..950).map(|n| (format!("picture-{n}.jpeg"), &b"\xff\xd8\xff"[..])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    for db in databases(&dir).await {
        let first = take(&db, &long, report("1").into_bytes()).await.unwrap();
        assert!(matches!(first[0].fate, Fate::New(_)), "{}: {first:?}", db.engine());
        let other = take(&db, &long, report("1").replace(">2<", ">3<").into_bytes()).await.unwrap();
        assert!(matches!(other[0].fate, Fate::Variant(_)), "{}: {other:?}", db.engine());
        let tls = take(&db, &long, SAMPLES[1].to_vec()).await.unwrap();
        assert!(matches!(tls[0].fate, Fate::New(_)), "{}: {tls:?}", db.engine());
        let refused = take(&db, &long, zip(&many)).await.unwrap();
        assert!(matches!(refused[..], [Taken { fate: Fate::Refused(_), .. }]), "{refused:?}");
        let kept = shelf::list(&db, None, 9).await.unwrap();
        assert_eq!(kept.len(), 1, "{}", db.engine());
        assert!(kept[0].reason.contains("picture-1.jpeg") && kept[0].reason.ends_with('…'));
        assert!(kept[0].arrival.name.ends_with("ü…"));
    }
}

#[tokio::test]
async fn a_tls_report_that_no_row_holds_is_kept_as_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = 1_u64;
    let mut noise = || -> String {
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + (state >> 58) as u8)
        };
        (0..900).map(next).filter(|c| *c != '\\').collect()
    };
    let failures: Vec<String> = (0..15_000)
        .map(|_| format!("{{\"failed-session-count\": 1, \"additional-information\": \"{}\"}}", noise()))
        .collect();
    let whole = String::from_utf8(SAMPLES[1].to_vec()).unwrap();
    let whole = whole.replace("[{\"result-type\"", &format!("[{},{{\"result-type\"", failures.join(",")));
    assert!(read(&by_mail(""), SAMPLES[1]).is_sound());
    for db in databases(&dir).await {
        let taken = take(&db, &by_mail("large"), whole.clone().into_bytes()).await.unwrap();
        let [Taken { fate: Fate::Refused(reason), .. }] = &taken[..] else { panic!("{}", db.engine()) };
        assert!(reason.contains("more than 12 MiB"), "{reason}");
        let kept = shelf::list(&db, None, 9).await.unwrap();
        assert_eq!((kept[0].bytes, kept[0].kept), (whole.len() as u64, false));
    }
}

#[tokio::test]
async fn trying_again_forgets_what_can_be_read_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (report("1"), b"<feedback><record>");
    let partly = unknown_method(zip(&[("good.xml", good.as_bytes()), ("odd.xml", b"<feedback/>")]));
    let parts = zip(&[("good.xml", good.as_bytes()), ("bad.xml", bad)]);
    for db in databases(&dir).await {
        for (input, still) in [
            (&partly[..], vec![partly.len()]),
            (&parts, vec![bad.len()]),
            (bad, vec![bad.len()]),
            (good.as_bytes(), vec![]),
            // An older version may have kept what has nothing to do with reports.
            (b"hello", vec![5]),
        ] {
            let mut tx = db.begin().await.unwrap();
            let id = shelf::insert(&mut tx, &by_mail("x"), "an old reason", input).await.unwrap();
            tx.commit().await.unwrap();
            let (arrival, bytes) = shelf::bytes(&db, id).await.unwrap().unwrap();
            retry(&db, id, &arrival, bytes).await.unwrap();
            let left = shelf::list(&db, None, 9).await.unwrap();
            let sizes: Vec<usize> = left.iter().map(|it| it.bytes as usize).collect();
            assert_eq!(sizes, still, "{}: {left:?}", db.engine());
            let mut tx = db.begin().await.unwrap();
            tx.execute(sql("DELETE FROM unreadable_report")).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
}
