//! Mail flow with samples: some, one side of a domain, nothing at all.

use std::collections::BTreeMap;

use askama::Template;

use crate::{
    model::{mail::Mail, time::Millis, traffic::Traffic},
    web::pages::{
        frame::{Entry, Frame},
        samples,
        traffic::{self, Input, Reach},
    },
};

fn mails(text: &str) -> Vec<Mail> {
    let mut mails = samples::all();
    mails.push(samples::hostile(text));
    mails
}

/// Figures of a few mails, one of them with a text of a stranger.
pub fn some(text: &str) -> Traffic {
    let mut traffic = Traffic::default();
    for mail in mails(text) {
        traffic.add(&mail, &mail.recipients);
    }
    traffic.cut()
}

fn page(frame: &Frame, hours: &[(Millis, Traffic)], reach: Reach, of: Option<&str>) -> String {
    let domains = ["alpha.test".to_owned(), "beta.test".to_owned()];
    let side = (!frame.is_admin() || of.is_some()).then_some(crate::model::traffic::Side::Out);
    let input = Input { reach, side, domain: of, domains: &domains, hours, complete: reach == Reach::Day };
    traffic::view(frame, &input).render().unwrap()
}

/// The pages for domain admins and admins.
pub fn pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    frame.entry = Some(Entry::Domains);
    let hours: Vec<(Millis, Traffic)> =
        [80_000, 20_000, 100].map(|ago| (samples::ago(ago), some("x"))).into();
    pages.insert("flow".to_owned(), page(frame, &hours, Reach::Day, None));
    pages.insert("flow-domain".to_owned(), page(frame, &hours, Reach::Month, Some("beta.test")));
    pages.insert("flow-empty".to_owned(), page(frame, &[], Reach::Day, None));
    pages.insert("flow-counting".to_owned(), page(frame, &[], Reach::Week, None));
}

/// The page with a hostile text wherever a stranger may write.
pub fn hostile(frame: &Frame, payload: &str) -> String {
    page(frame, &[(samples::ago(100), some(payload))], Reach::Day, None)
}

#[test]
fn what_is_not_counted_yet_is_not_told_as_none() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let (none, counting) = (page(&frame, &[], Reach::Day, None), page(&frame, &[], Reach::Week, None));
    assert!(none.contains("No mails in the last 24 hours.") && none.contains("<dd>0</dd>"), "{none}");
    assert!(counting.contains("These mails are still being counted.") && !counting.contains("<dd>"));
}

#[test]
fn each_hour_stands_in_its_bar_and_nothing_is_lost() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let one = some("x");
    for reach in Reach::ALL {
        let (from, to) = reach.span(&frame);
        let hours: Vec<(Millis, Traffic)> = (0..)
            .map(|hour| Millis(from.0 + hour * 3_600_000))
            .take_while(|at| *at < to)
            .map(|at| (at, one.clone()))
            .collect();
        let page = page(&frame, &hours, reach, None);
        let all = one.mails * hours.len() as u64;
        let shown = frame.formats.number(i64::try_from(all).unwrap());
        assert!(page.contains(&format!("<dd>{shown}</dd>")), "{}: {all} mails", reach.code());
        let bars = page.matches("class=\"tip\"").count();
        assert_eq!(
            bars,
            match reach {
                Reach::Day => 24,
                Reach::Week => 7,
                Reach::Month => 30,
            }
        );
    }
}

#[test]
fn the_heading_tells_what_was_refused_and_times_in_plain_words() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let page_of = |traffic: Traffic| page(&frame, &[(samples::ago(100), traffic)], Reach::Day, None);
    let refused = some("x").rejected();
    assert!(refused > 0);
    let words = if refused == 1 { "One was refused.".to_owned() } else { format!("{refused} were refused.") };
    assert!(page_of(some("x")).contains(&format!(" were reached. {words}</h1>")), "{}", page_of(some("x")));
    let none = Traffic { refused: 0, rows: Default::default(), mails: 3, ..Traffic::default() };
    let quick = page_of(Traffic { delays: [(1, 40)].into(), ..none });
    assert!(
        quick.contains("95 of 100 deliveries took under 1 s.") && !quick.contains("refused.</h1>"),
        "{quick}"
    );
}
