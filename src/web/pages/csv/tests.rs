use super::*;
use crate::{
    model::scope::Role,
    web::{pages::samples, text::Lang},
};

fn formats() -> Formats {
    samples::frame(Role::Admin, Lang::De).formats
}

fn rows(mails: Vec<crate::model::mail::Mail>, role: Role) -> Vec<String> {
    let mut out = String::new();
    for mail in samples::visible(role, mails) {
        write(&mut out, &mail, &formats());
    }
    assert!(out.is_empty() || out.ends_with("\r\n"));
    out.split("\r\n").filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_head_names_the_columns_behind_a_byte_order_mark() {
    assert_eq!(
        HEAD,
        "\u{feff}time,queue_id,message_id,direction,sender,recipient,status,dsn,subject,ip,size,verdict,score,relay,delay\r\n"
    );
}

#[test]
fn each_visible_recipient_has_a_line() {
    let lines = rows(vec![samples::bounced()], Role::Admin);
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[2],
        "2026-11-20T17:58:32+01:00,4cQk0b6TmFz1h,f3b1c2@alpha.test,out,ann@alpha.test,orders@gamma.example,bounced,5.1.1,\
         Offer 2026-118,192.0.2.14,319488,clean,-1.90,mx.gamma.example[198.51.100.61]:25,2.1"
    );
    let mut to_ann = samples::bounced();
    to_ann.sender = Some("x@y.example".to_owned());
    to_ann.login = None;
    to_ann.recipients[0].address = "ann@alpha.test".to_owned();
    let own = rows(vec![to_ann], Role::User);
    assert_eq!(own.len(), 1);
    assert!(!own[0].contains("gamma"), "a foreign recipient leaked");
}

#[test]
fn cells_are_quoted_and_formulas_are_text() {
    let show = |value: &str| {
        let mut out = String::new();
        cell(&mut out, value, false);
        out
    };
    for sign in ['=', '+', '-', '@'] {
        assert_eq!(show(&format!("{sign}1+2")), format!("'{sign}1+2"));
    }
    assert_eq!(show("\tx"), "\"'\tx\"");
    assert_eq!(show("\rx"), "\"'\rx\"");
    assert_eq!(show("a,b"), "\"a,b\"");
    assert_eq!(show("say \"hi\""), "\"say \"\"hi\"\"\"");
    assert_eq!(show("two\nlines"), "\"two\nlines\"");
    assert_eq!(show("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
    assert_eq!(show("plain"), "plain");
    assert_eq!(show("a-b@c.test+1=2"), "a-b@c.test+1=2");
}

#[test]
fn formulas_are_text_wherever_a_spreadsheet_parts_the_cells() {
    let show = |value: &str| {
        let mut out = String::new();
        cell(&mut out, value, false);
        out
    };
    assert_eq!(show("a;b"), "\"a;b\"");
    assert_eq!(show("x;=HYPERLINK(\"u\";\"v\")"), "\"x;'=HYPERLINK(\"\"u\"\";\"\"v\"\")\"");
    assert_eq!(show("x\t@y"), "\"x\t'@y\"");
    assert_eq!(show("x\n=y"), "\"x\n'=y\"");
    assert_eq!(show("x;;-y"), "\"x;;'-y\"");
}

#[test]
fn a_number_of_ours_may_be_negative() {
    let lines = rows(vec![samples::delayed()], Role::Admin);
    assert!(lines[0].contains(",-1.90,"), "{}", lines[0]);
}

#[test]
fn a_mail_without_known_recipient_has_a_line_too() {
    let mut mail = samples::rejected();
    mail.recipients.clear();
    let lines = rows(vec![mail], Role::Admin);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(",rejected,5.7.1,"), "{}", lines[0]);
}

#[test]
fn the_file_is_named_after_its_days() {
    let query = Query::parse("from=2026-11-14&to=2026-11-20");
    assert_eq!(file_name("alpha.test", &query, &formats()), "mails_alpha.test_2026-11-14_2026-11-20.csv");
    assert_eq!(file_name("", &Query::parse("from=any"), &formats()), "mails_2026-11-20.csv");
    assert_eq!(file_name("a\"b/../c\r\n", &query, &formats()), "mails_ab..c_2026-11-14_2026-11-20.csv");
}
