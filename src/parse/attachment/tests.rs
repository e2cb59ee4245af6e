use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

const XML: &[u8] = b"<?xml version=\"1.0\"?>\n<feedback><version>1.0</version></feedback>\n";
const JSON: &[u8] = b"{\"organization-name\":\"x\",\"policies\":[]}";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Base64 in lines, as mails carry it.
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

/// A mail with one attachment behind a text.
fn mail(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let data = base64(bytes);
    format!(
        "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\npreamble\r\n--=_b\r\n\r\n\
         See <feedback> attached.\r\n--=_b\r\n{kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{data}\r\n--=_b--\r\n"
    )
    .into_bytes()
}

fn look(bytes: &[u8]) -> Unpacked {
    unpack(bytes, None, &Limits::default())
}

/// The documents of an input of which nothing is refused.
#[track_caller]
fn documents(bytes: &[u8]) -> Vec<Vec<u8>> {
    let found = look(bytes);
    assert_eq!(found.refused, [], "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(500)]));
    found.documents.into_iter().map(|document| document.bytes).collect()
}

/// Why an input without a document is refused.
#[track_caller]
fn reason(bytes: &[u8]) -> String {
    let found = look(bytes);
    assert_eq!(found.documents, []);
    found.refused.into_iter().map(|refusal| refusal.reason).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_bare_document_is_found_in_every_packing() {
    let utf16: Vec<u8> = String::from_utf8_lossy(XML).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [XML, JSON, &utf16] {
        for packed in [
            bytes.to_vec(),
            gzip(bytes),
            gzip(&gzip(bytes)),
            zip(&[("a.xml", bytes)]),
            zip(&[("a.zip", &zip(&[("b", &gzip(bytes))]))]),
            [&gzip(bytes), &b"left over from an older file"[..]].concat(),
            base64(&gzip(bytes)).into_bytes(),
        ] {
            assert_eq!(documents(&packed), [bytes]);
        }
    }
    let halves = [gzip(&XML[..10]), gzip(&XML[10..])].concat();
    assert_eq!(documents(&halves), [XML]);
}

#[test]
fn a_mail_is_searched_whatever_its_attachment_is_called() {
    let named = "Content-Type: application/gzip; name=\"a.xml.gz\"";
    for kind in [
        named,
        "Content-Type: application/octet-stream",
        "Content-Type: text/plain; name=notes.txt",
        "Content-Type: image/png",
        "Content-Type: application/zip",
        "Content-Disposition: attachment; filename*=utf-8''%61.doc",
        "X-Nothing: at all",
    ] {
        for packed in [XML.to_vec(), gzip(XML), zip(&[("x", XML)])] {
            assert_eq!(documents(&mail(kind, &packed)), [XML], "{kind}");
        }
    }
    let found = look(&mail("Content-Type: application/gzip; name=\"../x/a!b!1.xml.gz\"", &gzip(XML)));
    assert_eq!(found.documents[0].name, "a!b!1.xml");
}

#[test]
fn a_mail_may_be_odd() {
    let data = base64(&gzip(XML));
    let head = "From: a@b.example\r\nSubject: x\r\n";
    let inner = String::from_utf8(mail("Content-Type: application/gzip", &gzip(XML))).unwrap();
    let junk = data.replace('H', "*!H-\u{e4}\r\n ");
    let quoted = String::from_utf8_lossy(XML).replace('=', "=3D").replace("<v", "<=\r\nv");
    for text in [
        // The whole body.
        format!("{head}Content-Type: application/gzip\r\nContent-Transfer-Encoding: BASE64\r\n\r\n{data}"),
        // The same with plain line ends, and without a last one.
        format!("{head}Content-Transfer-Encoding: base64\n\n{data}").replace("\r\n", "\n"),
        // Nobody says that it is base64.
        format!("{head}Content-Type: application/gzip\r\n\r\n{data}\r\n"),
        // Junk between.
        format!("{head}Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n{junk}"),
        // The report as text of the mail.
        format!("{head}\r\n{}", String::from_utf8_lossy(XML).trim_end()),
        format!("{head}Content-Transfer-Encoding: quoted-printable\r\n\r\n{}", quoted.trim_end()),
        // A mail in a mail, attached, digested, packed, and from an mbox.
        format!("{head}Content-Type: message/rfc822\r\n\r\n{inner}"),
        format!(
            "{head}Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
            base64(inner.as_bytes())
        ),
        format!("{head}Content-Type: application/octet-stream\r\n\r\n{inner}"),
        format!("{head}Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n{inner}\r\n--b--\r\n"),
        format!("From a@b.example Tue\r\n{inner}"),
        // A multipart whose parts are in base64, and one without an end.
        format!(
            "{head}Content-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
            base64(
                format!("--c\r\nContent-Type: text/xml\r\n\r\n{}--c--", String::from_utf8_lossy(XML))
                    .as_bytes()
            )
        ),
        format!(
            "{head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n{data}"
        ),
        // The boundary of the inside begins with that of the outside.
        format!(
            "{head}Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=b2\r\n\r\n\
             --b2\r\nContent-Transfer-Encoding: base64\r\n\r\n{data}\r\n--b2--\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--b--"
        ),
    ] {
        let found = documents(text.as_bytes());
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].trim_ascii(), XML.trim_ascii(), "{text}");
    }
}

#[test]
fn every_report_of_an_input_is_found() {
    let archive = zip(&[("a.xml", XML), ("dir/", b""), ("__MACOSX/._a.xml", b"\0\x05"), ("b.json", JSON)]);
    assert_eq!(documents(&archive), [XML, JSON]);
    let found = look(&zip(&[("a.xml", XML), ("b.xml", b"hello")]));
    assert_eq!(
        (found.documents.len(), found.refused.len()),
        (1, 1),
        "the good one is taken, the other is told"
    );
    assert_eq!(found.refused[0].name, "b.xml");
}

#[test]
fn reports_behind_each_other_are_told_apart() {
    let other = b"<feedback><version>2</version></feedback> rest of an older <file></feedback>".to_vec();
    let both = [XML, &other].concat();
    let expected = [XML.trim_ascii_end().to_vec(), other.clone()];
    for packed in [both.clone(), gzip(&both), [gzip(XML), gzip(&other)].concat()] {
        assert_eq!(documents(&packed), expected);
    }
    let marked = [XML, b"\xEF\xBB\xBF", &other].concat();
    assert_eq!(documents(&marked), [expected[0].clone(), [b"\xEF\xBB\xBF", &other[..]].concat()]);
    // One report in two members stays one.
    let (begin, end) = XML.split_at(30);
    assert_eq!(documents(&[gzip(begin), gzip(end)].concat()), [XML]);
    let found = look(&b"<feedback></feedback>".repeat(Limits::default().members * 3));
    assert_eq!(found.documents.len(), Limits::default().members);
    assert!(found.refused[0].reason.contains("the rest was left out"), "{:?}", found.refused);
}

#[test]
fn what_looks_like_a_report_in_a_mail_is_never_passed_over() {
    let late = [b"<?xml version=\"1.0\"?><!--", &b"x".repeat(5000)[..], b"--><feedback></feedback>"].concat();
    assert_eq!(documents(&mail("Content-Type: application/octet-stream", &late)), [late]);
    let whole = mail("Content-Type: text/xml", XML);
    assert_eq!(documents(&[b"\r\n", &whole[..]].concat()), [XML]);
    let nameless = String::from_utf8(whole).unwrap().replace("; boundary=\"=_b\"", "");
    assert_eq!(documents(nameless.replace("preamble", "").as_bytes()), [XML]);
    let tnef = mail("Content-Type: application/ms-tnef; name=\"winmail.dat\"", b"\x78\x9f\x3e\x22\x01");
    assert!(reason(&tnef).contains("TNEF"), "{}", reason(&tnef));
    let text = "From: a@b.example\r\n\r\nSee below.\r\n";
    let packed = "begin 644 a!b!1!2.xml.gz\r\n#0V%T\r\n`\r\nend\r\n";
    assert!(reason(format!("{text}{packed}").as_bytes()).contains("uuencode"));
    for prose in ["begin 644 a.txt\r\n", "We begin 644 a.zip\r\n", "begin now a.zip\r\n"] {
        assert!(look(format!("{text}{prose}").as_bytes()).is_foreign(), "{prose}");
    }
}

#[test]
fn what_is_no_report_is_refused_with_its_reason() {
    let failure = "From: a@b.example\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
        --b\r\n\r\nThis is a failure report.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: auth-failure\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: text/xml\r\n\r\n<feedback></feedback>\r\n--b--\r\n";
    for (bytes, expected) in [
        (failure.as_bytes().to_vec(), "failure report"),
        (b"From: a@b.example\r\nSubject: x\r\n\r\nHello <feedback>\r\n".to_vec(), "no report inside"),
        (mail("Content-Type: image/png", b"\x89PNG"), "no report inside"),
        (mail("Content-Type: application/gzip", b"hello"), "neither a mail"),
        (
            mail(
                "Content-Type: application/pkcs7-mime",
                b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02",
            ),
            "S/MIME",
        ),
        (b"<html><body>Log in</body></html>".to_vec(), "web page"),
        (b"".to_vec(), "empty"),
        (gzip(b""), "empty"),
        (b"hello".to_vec(), "neither a mail"),
        (gzip(XML)[..30].to_vec(), "broken"),
        (zip(&[("a", XML)])[..60].to_vec(), "broken"),
        (zip(&[]), "empty"),
    ] {
        let reason = reason(&bytes);
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

#[test]
fn a_checksum_that_is_wrong_is_refused() {
    let mut packed = gzip(XML);
    let at = packed.len() - 6;
    packed[at] ^= 1;
    assert!(reason(&packed).contains("broken"));
    let mut packed = zip(&[("a", XML)]);
    for at in (0..packed.len() - 4).filter(|at| packed[*at..].starts_with(b"PK\x01\x02")).collect::<Vec<_>>()
    {
        packed[at + 16] ^= 1;
    }
    assert!(reason(&packed).contains("broken"), "{}", reason(&packed));
}

const BOMB: usize = 200 << 20;

/// What a bomb may leave behind: no document, and a reason.
#[track_caller]
fn is_refused(bytes: &[u8], expected: &str) {
    let reason = reason(bytes);
    assert!(reason.contains(expected), "{expected}: {reason}");
}

#[test]
fn bombs_of_gzip_are_refused() {
    let bomb = gzip(&vec![b' '; BOMB]);
    is_refused(&bomb, "more than 200 times its size");
    is_refused(&gzip(&bomb), "more than 200 times its size");
    is_refused(&mail("Content-Type: application/gzip", &bomb), "more than 200 times its size");
    let wide = Limits { ratio: usize::MAX, ..Limits::default() };
    let found = unpack(&bomb, None, &wide);
    assert_eq!(found.refused[0].reason, "unpacks to more than 64 MiB");
    // Members of gzip are limited together.
    let many = gzip(&vec![b' '; 900_000]).repeat(100);
    is_refused(&many, "more than 200 times its size");
    assert_eq!(unpack(&many, None, &wide).refused[0].reason, "unpacks to more than 64 MiB");
}

#[test]
fn bombs_of_zip_are_refused() {
    let zeros = vec![b' '; BOMB];
    is_refused(&zip(&[("a.xml", &zeros)]), "more than 200 times its size");
    let inner = zip(&[("a.xml", &zeros)]);
    is_refused(&zip(&[("a.zip", &inner), ("b.zip", &inner)]), "more than 200 times its size");
    // Many members, each within bounds: the sum counts.
    let bomb = [XML, &vec![b' '; 900_000]].concat();
    let members: Vec<(String, &[u8])> = (0..500).map(|n| (format!("{n}.xml"), &bomb[..])).collect();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let found = unpack(&zip(&members), None, &Limits { ratio: usize::MAX, ..Limits::default() });
    assert!(
        found.documents.iter().map(|document| document.bytes.len()).sum::<usize>()
            <= Limits::default().output
    );
    assert_eq!(found.refused.len(), 1);
    assert_eq!(found.refused[0].reason, "unpacks to more than 64 MiB");
}

#[test]
fn a_declared_size_is_not_believed() {
    let mut packed = zip(&[("a.xml", &[XML, &vec![b' '; BOMB]].concat())]);
    for (mark, field) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        let at = memchr::memmem::find(&packed, mark).unwrap() + field;
        packed[at..at + 4].copy_from_slice(&64_u32.to_le_bytes());
    }
    is_refused(&packed, "zip");
}

#[test]
fn too_many_members_are_refused_before_there_is_room_for_them() {
    let names: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    is_refused(&zip(&members), "more than 1000 members");
    // An archive that says to have more members than it has room for, in the long record at its end (zip64).
    let mut lie = vec![0; 10_000];
    lie[..4].copy_from_slice(b"PK\x03\x04");
    let at = lie.len() as u64;
    lie.extend_from_slice(b"PK\x06\x06");
    lie.extend_from_slice(&44_u64.to_le_bytes());
    lie.extend_from_slice(&[0; 12]);
    for field in [9_000_u64, 9_000, 0, 0] {
        lie.extend_from_slice(&field.to_le_bytes());
    }
    lie.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    lie.extend_from_slice(&at.to_le_bytes());
    lie.extend_from_slice(
        b"\x01\0\0\0PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
    );
    is_refused(&lie, "more than 1000 members");
}

#[test]
fn depth_is_limited() {
    let mut packed = gzip(XML);
    for _ in 0..40 {
        packed = gzip(&packed);
    }
    is_refused(&packed, "packed more than 16 times over");
    let mut packed = zip(&[("a", XML)]);
    for _ in 0..40 {
        packed = zip(&[("a", &packed)]);
    }
    is_refused(&packed, "packed more than 16 times over");
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(200_000);
    is_refused(nested.as_bytes(), "more than 16 mails");
    let mut nested = String::from("From: a@b.example\r\n");
    for n in 0..50_000 {
        nested += &format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    }
    is_refused(nested.as_bytes(), "more than 16 mails");
}

#[test]
fn many_parts_and_long_headers_are_limited() {
    let head = "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    is_refused(format!("{head}{}", "--b\r\n\r\nx\r\n".repeat(500_000)).as_bytes(), "more than 1000 parts");
    let report = format!("--b\r\n\r\n{}\r\n", String::from_utf8_lossy(XML));
    let found = look(format!("{head}{}", report.repeat(2000)).as_bytes());
    assert_eq!((found.documents.len(), found.refused.len()), (999, 1), "the mail itself is the first part");
    let long =
        format!("From: a@b.example\r\n{}\r\n{}", "a:b\r\n".repeat(1_000_000), String::from_utf8_lossy(XML));
    assert_eq!(documents(long.as_bytes()).len(), 1);
    assert_eq!(head_length(long.as_bytes()), 256 * 1024);
}

fn head_length(mail: &[u8]) -> usize {
    head(mail).len()
}

#[test]
fn base64_counts_like_everything_that_is_decoded() {
    let wide = Limits { input: usize::MAX, ..Limits::default() };
    let huge =
        format!("From: a@b.example\r\nContent-Transfer-Encoding: base64\r\n\r\n{}", "QUFB".repeat(23 << 20));
    let found = unpack(huge.as_bytes(), None, &wide);
    assert_eq!(found.refused[0].reason, "unpacks to more than 64 MiB");
    assert!(reason(huge.as_bytes()).contains("larger than 32 MiB"));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..900_usize, which in 0..4_usize) {
        let base = match which {
            0 => mail("Content-Type: application/gzip", &gzip(XML)),
            1 => zip(&[("a.xml", XML), ("b.gz", &gzip(XML))]),
            2 => gzip(XML),
            _ => Vec::new(),
        };
        let mut input = base;
        let at = at.min(input.len());
        let end = (at + bytes.len() / 8).min(input.len());
        input.splice(at..end, bytes);
        let found = look(&input);
        prop_assert!(!found.documents.is_empty() || !found.refused.is_empty());
        for document in found.documents {
            let _ = crate::parse::report::read(&document.bytes);
        }
        let _ = crate::parse::envelope::look(&input);
    }
}
