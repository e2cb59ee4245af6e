use proptest::prelude::*;

use super::*;

/// Every element of RFC 7489 and RFC 9990, with values that can be told apart.
const FULL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <version>1.0</version>
  <report_metadata>
    <org_name>Post &amp; <![CDATA[<Co>]]></org_name>
    <email>dmarc@post.example</email>
    <extra_contact_info lang="en">https://post.example/help</extra_contact_info>
    <report_id>r-1</report_id>
    <date_range><begin>1700000000</begin><end>1700086399.0</end></date_range>
    <error>first</error><error>second</error>
    <generator>maker 1.2</generator>
  </report_metadata>
  <policy_published>
    <domain>Alpha.Example.</domain>
    <discovery_method>treewalk</discovery_method>
    <p>reject</p><sp>Quarantine</sp><np>none</np>
    <adkim>r</adkim><aspf>s</aspf><pct>50</pct><fo>1:d</fo><testing>n</testing>
  </policy_published>
  <extension><x:policy_published xmlns:x="y"><domain>evil.example</domain></x:policy_published></extension>
  <record>
    <row>
      <source_ip> ::ffff:192.0.2.7 </source_ip>
      <count>12</count>
      <policy_evaluated>
        <disposition>None</disposition><dkim>pass</dkim><spf>fail</spf>
        <reason><type>forwarded</type><comment>list &#8211; ok</comment></reason>
        <reason><type>other</type></reason>
      </policy_evaluated>
    </row>
    <identifiers>
      <envelope_to>beta.example</envelope_to>
      <envelope_from>bounce.alpha.example</envelope_from>
      <header_from>Alpha.example</header_from>
    </identifiers>
    <auth_results>
      <dkim><domain>alpha.example</domain><selector>s1</selector><result>pass</result><human_result>fine</human_result></dkim>
      <dkim><domain>esp.example</domain><selector>s2</selector><result>Klingon</result></dkim>
      <spf><domain>bounce.alpha.example</domain><scope>mfrom</scope><result>softfail</result><human_result>no</human_result></spf>
      <spf><domain>mx.alpha.example</domain><scope>helo</scope><result>none</result></spf>
    </auth_results>
  </record>
</feedback>
"#;

#[test]
fn every_element_is_kept() {
    let some = |text: &str| Some(text.to_owned());
    let report = parse(FULL).unwrap();
    assert_eq!(report.org, "Post & <Co>");
    assert_eq!(report.email, some("dmarc@post.example"));
    assert_eq!(report.extra_contact_info, some("https://post.example/help"));
    assert_eq!((report.report_id.as_str(), report.version), ("r-1", some("1.0")));
    assert_eq!((report.begin.secs(), report.end.secs()), (1_700_000_000, 1_700_086_399));
    assert_eq!((report.generator, report.errors), (some("maker 1.2"), vec!["first".into(), "second".into()]));
    let policy = Policy {
        domain: "alpha.example".into(),
        p: some("reject"),
        sp: some("quarantine"),
        np: some("none"),
        adkim: some("r"),
        aspf: some("s"),
        pct: Some(50),
        fo: some("1:d"),
        testing: some("n"),
        discovery: some("treewalk"),
    };
    assert_eq!(report.policy, policy);
    let dkim = |domain: &str, selector, result: &str, human_result| DkimResult {
        domain: domain.into(),
        selector,
        result: result.into(),
        human_result,
    };
    let spf = |domain: &str, scope, result: &str, human_result| SpfResult {
        domain: domain.into(),
        scope,
        result: result.into(),
        human_result,
    };
    let record = Record {
        source: Some("192.0.2.7".parse().unwrap()),
        source_text: None,
        count: 12,
        disposition: "none".into(),
        dkim: Evaluation::Pass,
        spf: Evaluation::Fail,
        reasons: vec![
            Reason { kind: "forwarded".into(), comment: some("list \u{2013} ok") },
            Reason { kind: "other".into(), comment: None },
        ],
        header_from: "alpha.example".into(),
        envelope_from: some("bounce.alpha.example"),
        envelope_to: some("beta.example"),
        dkim_results: vec![
            dkim("alpha.example", some("s1"), "pass", some("fine")),
            dkim("esp.example", some("s2"), "klingon", None),
        ],
        spf_results: vec![
            spf("bounce.alpha.example", some("mfrom"), "softfail", some("no")),
            spf("mx.alpha.example", some("helo"), "none", None),
        ],
    };
    assert_eq!(report.records, [record]);
}

#[test]
fn a_prefix_and_another_order_change_nothing() {
    let report = parse(FULL).unwrap();
    let named = prefixed(FULL);
    assert_eq!(parse(&named), Ok(report.clone()));
    let (head, rest) = FULL.split_once("  <policy_published>").unwrap();
    let (policy, rest) = rest.split_once("</policy_published>").unwrap();
    let moved =
        rest.replace("</feedback>", &format!("<policy_published>{policy}</policy_published></feedback>"));
    assert_eq!(parse(&format!("{head}{moved}")), Ok(report));
}

/// The document with a namespace prefix on each element.
fn prefixed(text: &str) -> String {
    text.replace("</", "\u{1}")
        .replace("<?", "\u{2}")
        .replace("<!", "\u{3}")
        .replace("<x:", "\u{4}")
        .replace("<Co>", "\u{5}")
        .replace('<', "<d:")
        .replace("\u{1}x:", "\u{6}")
        .replace('\u{1}', "</d:")
        .replace('\u{2}', "<?")
        .replace('\u{3}', "<!")
        .replace('\u{4}', "<x:")
        .replace('\u{5}', "<Co>")
        .replace('\u{6}', "</x:")
}

#[test]
fn missing_parts_are_missing_and_not_invented() {
    let text = "<feedback><report_metadata><email>a@post.example</email><report_id>1</report_id><date_range><begin>1</begin>\
        <end>2</end></date_range></report_metadata><policy_published><domain>a.example</domain><pct>all</pct></policy_published>\
        <record><row><source_ip>unknown</source_ip><count>3.0</count></row></record><record><row><count>1</count>\
        <policy_evaluated><dkim>softfail</dkim><spf/></policy_evaluated></row><auth_results><dkim/></auth_results></record></feedback>";
    let report = parse(text).unwrap();
    assert_eq!(report.org, "post.example");
    assert_eq!((report.policy.p, report.policy.pct), (None, None));
    let [first, second] = &report.records[..] else { panic!("two records") };
    assert_eq!((first.source, first.source_text.as_deref(), first.count), (None, Some("unknown"), 3));
    assert_eq!(
        (first.dkim, first.spf, first.disposition.as_str()),
        (Evaluation::Unknown, Evaluation::Unknown, "")
    );
    assert_eq!(
        (second.dkim, second.spf, second.source_text.as_deref()),
        (Evaluation::Unknown, Evaluation::Unknown, None)
    );
    assert_eq!(second.dkim_results, [DkimResult::default()]);
}

#[test]
fn what_a_report_cannot_do_without_is_missed() {
    for (piece, fault) in [
        ("<domain>Alpha.Example.</domain>", Fault::Missing("domain")),
        ("<report_id>r-1</report_id>", Fault::Missing("report id")),
        ("<begin>1700000000</begin>", Fault::Missing("begin")),
        ("<end>1700086399.0</end>", Fault::Missing("end")),
        ("<count>12</count>", Fault::Missing("count of mails in one of its records")),
    ] {
        assert_eq!(parse(&FULL.replace(piece, "")), Err(fault.clone()), "{piece}");
        let (name, _) = piece.split_once('>').unwrap();
        let emptied = FULL.replace(piece, &format!("{name}/>"));
        let expected = if piece.starts_with("<count") { "cannot be understood" } else { &fault.to_string() };
        assert!(parse(&emptied).unwrap_err().to_string().contains(expected), "{piece}");
    }
}

#[test]
fn odd_values_are_faults_where_they_would_mislead() {
    for (piece, other) in [
        (">12<", ">-3<"),
        (">12<", ">many<"),
        (">12<", ">1.5<"),
        (">12<", ">99999999999999999999<"),
        (">1700000000<", ">yesterday<"),
        (">Alpha.Example.<", ">a b<"),
    ] {
        assert!(matches!(parse(&FULL.replace(piece, other)), Err(Fault::Odd { .. })), "{other}");
    }
    let long = FULL.replace(">r-1<", &format!(">{}<", "r".repeat(NAME_MAX + 1)));
    assert!(matches!(parse(&long), Err(Fault::Odd { .. })));
}

#[test]
fn report_ids_are_measured_in_characters() {
    let id = |text: &str| parse(&FULL.replace(">r-1<", &format!(">{text}<"))).map(|report| report.report_id);
    let longest = "ü".repeat(NAME_MAX);
    assert_eq!(id(&longest), Ok(longest.clone()));
    assert!(matches!(id(&format!("{longest}x")), Err(Fault::Odd { what, .. }) if what.contains("too long")));
    assert_eq!(id("\u{a0}r\u{85}1\u{a0}"), Ok("r 1".to_owned()));
}

#[test]
fn half_a_report_is_none() {
    let end = FULL.rfind("</feedback>").unwrap();
    for cut in 1..end + "</feedback".len() {
        let fault = parse(&FULL[..cut]);
        assert!(
            matches!(fault, Err(Fault::Truncated(_) | Fault::Syntax { .. } | Fault::Foreign)),
            "{cut}: {fault:?}"
        );
    }
    assert_eq!(parse(&FULL[..end]), Err(Fault::Truncated("feedback".into())));
    assert!(parse(&format!("{FULL}<feedb\0")).is_ok(), "what follows the report does not matter");
    assert!(matches!(parse(&FULL.replace("</row>", "</record>")), Err(Fault::Syntax { .. })));
}

#[test]
fn no_document_brings_definitions() {
    let mut laughs = String::from("<!DOCTYPE lolz [<!ENTITY lol \"lol\">");
    for n in 1..10 {
        laughs += &format!("<!ENTITY lol{n} \"{}\">", "&lol;".repeat(10));
    }
    let text = FULL.replace("<feedback ", &format!("{laughs}]><feedback ")).replace(">r-1<", ">&lol9;<");
    assert_eq!(parse(&text), Err(Fault::Definitions));
    let outside = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>";
    assert_eq!(parse(&FULL.replace("<feedback ", &format!("{outside}<feedback "))), Err(Fault::Definitions));
    let later = FULL.replace("<version>", "<!DOCTYPE a [<!ENTITY x 'y'>]><version>");
    assert_eq!(parse(&later), Err(Fault::Definitions));
    // An entity that nobody defined stays as it stands.
    assert_eq!(parse(&FULL.replace(">r-1<", ">&lol9;<")).unwrap().report_id, "&lol9;");
    assert!(
        parse(&FULL.replace("<feedback ", "<!DOCTYPE feedback SYSTEM \"http://x.example/\"><feedback "))
            .is_ok()
    );
}

#[test]
fn depth_length_and_number_are_limited() {
    assert_eq!(parse(&"<feedback>".repeat(100_000)), Err(Fault::Deep));
    let long = parse(&FULL.replace(">fine<", &format!(">{}<", "\u{e4}".repeat(100_000)))).unwrap();
    let words = long.records[0].dkim_results[0].human_result.as_ref().unwrap();
    assert_eq!(words.len(), TEXT_MAX);
    for piece in ["<dkim/>", "<spf/>"] {
        let many = FULL.replace("<auth_results>", &format!("<auth_results>{}", piece.repeat(PIECES_MAX)));
        assert_eq!(parse(&many), Err(Fault::Many), "{piece}");
    }
    let many = "<record><row><count>1</count></row></record>".repeat(RECORDS_MAX);
    assert_eq!(parse(&FULL.replace("  <record>", &format!("{many}<record>"))), Err(Fault::Many));
    let many = "<error>x</error>".repeat(PIECES_MAX + 1);
    assert_eq!(parse(&FULL.replace("<generator>", &format!("{many}<generator>"))), Err(Fault::Many));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(at in 0..FULL.len(), length in 0..40_usize, junk in "[<>/&;!\\[\\]\"'a-z0-9\u{e4} ?-]{0,20}") {
        let (begin, end) = (FULL.floor_char_boundary(at), FULL.floor_char_boundary((at + length).min(FULL.len())));
        let _ = parse(&format!("{}{junk}{}", &FULL[..begin], &FULL[end..]));
        let _ = parse(&junk);
    }
}

/// Records that are written alike are read in one step; with a comment that differs in each, tag by tag.
#[test]
fn records_that_are_written_alike_are_read_as_any_other() {
    let record = |number: usize, noted: bool| {
        let note = if noted { format!("<!-- {number} -->") } else { String::new() };
        let odd = match number % 7 {
            0 => "<reason><type>forwarded</type><comment>a &amp; b</comment></reason>",
            1 => "<new><![CDATA[<x>]]></new><dkim>pass</dkim>",
            2 => "<dkim><!-- no value --></dkim><spf/>",
            _ => "<dkim>pass</dkim><spf> Fail\n</spf>",
        };
        let more = if number.is_multiple_of(5) {
            "<dkim><domain>two.test</domain><result>pass</result></dkim>"
        } else {
            ""
        };
        let selector = if number.is_multiple_of(3) { "" } else { "s1" };
        format!(
            "  <record>{note}<row><source_ip>192.0.2.{number}</source_ip><count>{number}</count><policy_evaluated>\
             <disposition>none</disposition>{odd}</policy_evaluated></row><identifiers><header_from>a&#46;test\
             </header_from></identifiers><auth_results>{more}<dkim><domain>One.test</domain><selector>{selector}</selector>\
             <result>pass</result></dkim><spf><domain>a.test</domain><result>fail</result></spf></auth_results></record>\n"
        )
    };
    let document = |numbers: &[usize], noted| {
        let records: String = numbers.iter().map(|number| record(*number, noted)).collect();
        format!(
            "<feedback><report_metadata><org_name>o</org_name><report_id>1</report_id><date_range><begin>1700000000\
             </begin><end>1700086399</end></date_range></report_metadata><policy_published><domain>a.test</domain>\
             </policy_published>\n{records}</feedback>"
        )
    };
    let numbers: Vec<usize> = (1..=60).chain([8, 8, 8, 14, 14, 9, 9, 15, 15, 4, 4]).collect();
    let report = parse(&document(&numbers, false)).unwrap();
    assert_eq!(report, parse(&document(&numbers, true)).unwrap());
    assert_eq!(report.records.len(), numbers.len());
    assert!(report.records.iter().zip(&numbers).all(|(record, number)| record.count == *number as u64));
    for broken in ["<count>x</count>", "<cuont>8</count>", ""] {
        let text = document(&[8, 9, 8, 8], false);
        let (before, after) = text.rsplit_once("<count>8</count>").unwrap();
        assert!(parse(&format!("{before}{broken}{after}")).is_err(), "{broken}");
    }
    let text = document(&[8, 8], false);
    for cut in text.char_indices().map(|(at, _)| at) {
        assert!(parse(&text[..cut]).is_err(), "cut at {cut}");
    }
}
