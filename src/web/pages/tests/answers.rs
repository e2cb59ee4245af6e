//! What the pages say first is true: of mails with several recipients, of other people's mails, of what was never
//! recorded, and of how many there are.

use scraper::Html;

use super::*;
use crate::{
    metrics::modules::postfix,
    model::{
        mail::{Check, Recipient, Refused, Status},
        sample::{Labels, State},
        time::Millis,
    },
    store::{
        ingestion::{Gap, Source},
        samples::Latest,
    },
};

/// What people read between the bar and the foot.
fn read(page: &str) -> String {
    let main = page.split("<main").nth(1).unwrap();
    let text: String = Html::parse_fragment(&format!("<main{main}")).root_element().text().collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn one(role: Role, mail: Mail) -> VisibleMail {
    samples::visible(role, vec![mail]).remove(0)
}

fn row(address: &str, status: Status, dsn: &str, reply: &str) -> Recipient {
    Recipient {
        address: address.to_owned(),
        status,
        dsn: dsn.to_owned(),
        reply: reply.to_owned(),
        relay: "mx.gamma.example[198.51.100.61]:25".to_owned(),
        attempts: 1,
        last_attempt: samples::ago(300),
        ..Recipient::default()
    }
}

/// Two are lost for different reasons, one waits, two have it.
fn mixed() -> Mail {
    let mut mail = samples::bounced();
    mail.removed = None;
    mail.recipients.push(row("tom@delta.example", Status::Bounced, "5.2.2", "552 5.2.2 Mailbox full"));
    mail.recipients.push(row(
        "eve@theta.example",
        Status::Delayed,
        "4.7.1",
        "451 4.7.1 Greylisted, please try again later",
    ));
    mail
}

#[test]
fn each_cause_is_told_with_its_recipients_and_its_next_step() {
    let frame = samples::frame(Role::User, Lang::En);
    let mail = one(Role::User, mixed());
    let text = read(&story(&frame, &mail, &[], false));
    let heading = "Two of five recipients did not get this mail: there are several reasons. One is still waiting for it.";
    assert!(text.contains(heading), "{text}");
    for (who, cause) in [
        ("orders@gamma.example", "does not know the address you wrote to"),
        ("tom@delta.example", "mailbox is full"),
        ("eve@theta.example", "We keep trying until"),
    ] {
        let card = text.split("Whose turn is it?").nth(1).unwrap().split("Recipients").next().unwrap();
        let own = card.split(who).nth(1).unwrap();
        assert!(own.contains(cause), "{who}: {card}");
    }
    let begin = read(&begin(&frame, std::slice::from_ref(&mail), &[], true));
    let row = begin.split("Needs a look").nth(1).unwrap();
    let (lost, waits) = row.split_once("eve@theta.example:").unwrap();
    assert!(lost.contains("Check the address letter by letter"), "the advice is lost: {row}");
    assert!(!lost.contains("We try again at") && waits.contains("We try again at"), "{row}");
}

#[test]
fn one_cause_of_several_recipients_stands_in_the_heading() {
    let frame = samples::frame(Role::User, Lang::En);
    let text = read(&story(&frame, &one(Role::User, samples::bounced()), &[], false));
    assert!(text.contains("One of three recipients did not get this mail: the recipient's"), "{text}");
    assert!(text.contains("The others have it."), "{text}");
}

#[test]
fn a_virus_is_a_virus_on_the_whole_page() {
    for (role, lang) in [(Role::User, Lang::En), (Role::Admin, Lang::De), (Role::Admin, Lang::En)] {
        let mut mail = samples::rejected();
        let reply = "554 5.7.1 This message does not meet our delivery requirements";
        mail.status = Status::Virus;
        mail.check = Some(Check { virus: true, action: "reject".to_owned(), ..samples::check("x", 2000) });
        mail.refusal = Some(Refused {
            verb: "milter-reject".to_owned(),
            stage: "END-OF-MESSAGE".to_owned(),
            code: 554,
            dsn: "5.7.1".to_owned(),
            reply: reply.to_owned(),
        });
        mail.recipients[0] = row("ann@alpha.test", Status::Virus, "5.7.1", reply);
        let text = read(&story(&samples::frame(role, lang), &one(role, mail), &[], false));
        for wrong in ["spam filter refused", "Taken for spam", "allow the sender", "Für Spam", "freizugeben"]
        {
            assert!(!text.contains(wrong), "{wrong}: {text}");
        }
        assert!(text.contains("Contained a virus") || text.contains("Enthielt einen Virus"), "{text}");
    }
}

#[test]
fn it_is_said_whose_turn_it_is() {
    let full = || {
        let mut mail = samples::bounced();
        mail.recipients = vec![row("tom@delta.example", Status::Bounced, "5.2.2", "552 5.2.2 Mailbox full")];
        mail
    };
    for (role, mail, word) in [
        (Role::User, samples::bounced(), "Bounced · Your turn"),
        (Role::User, full(), "Bounced · The recipient's turn"),
        (Role::User, samples::delayed(), "Delayed · Their server's turn"),
        (Role::Admin, samples::bounced(), "Bounced · The sender's turn"),
    ] {
        let frame = samples::frame(role, Lang::En);
        let text = read(&begin(&frame, &[one(role, mail)], &[], true));
        assert!(text.contains(word), "{word}: {text}");
    }
    let mut virus = samples::rejected();
    virus.status = Status::Virus;
    virus.recipients[0].status = Status::Virus;
    let text = read(&begin(&samples::frame(Role::User, Lang::En), &[one(Role::User, virus)], &[], true));
    assert!(text.contains("Virus · Nothing to do"), "{text}");
}

#[test]
fn others_than_the_sender_are_not_spoken_to_as_the_sender() {
    for lang in Lang::ALL {
        let frame = samples::frame(Role::Admin, lang);
        let text = read(&story(&frame, &one(Role::Admin, samples::bounced()), &[], false));
        for wrong in ["you wrote to", "Sie geschrieben haben"] {
            assert!(!text.contains(wrong), "{text}");
        }
        let advice = ["Advice for the sender: ", "Rat für den Absender: "];
        assert!(advice.iter().any(|advice| text.contains(advice)), "{text}");
        let frame = samples::frame(Role::User, lang);
        let own = read(&story(&frame, &one(Role::User, samples::bounced()), &[], false));
        assert!(!advice.iter().any(|advice| own.contains(advice)), "{own}");
    }
}

#[test]
fn figures_stop_with_more_than() {
    let frame = samples::frame(Role::User, Lang::En);
    let many = |count: i64| -> Vec<VisibleMail> {
        let mails = (0..count).map(|number| {
            let mut mail = samples::bounced();
            mail.id.0 += number;
            mail
        });
        samples::visible(Role::User, mails.collect())
    };
    let text = read(&begin(&frame, &many(51), &[], true));
    assert!(text.contains("More than 50 mails did not arrive."), "{text}");
    let text = read(&begin(&frame, &many(50), &[], true));
    assert!(text.contains("50 mails did not arrive."), "{text}");
    assert!(!text.contains("More than"), "{text}");
    // The figures of the week say that two of 84 mails are problems.
    let latest = samples::visible(Role::User, samples::all());
    let text = read(&begin(&frame, &many(6), &latest, true));
    assert!(text.contains("84 mails in the last 7 days; to be looked at: 2."), "{text}");
    assert!(text.contains("All: 2") && text.contains("Problems 2"), "{text}");
}

#[test]
fn the_admin_hears_of_the_system() {
    let frame = samples::frame(Role::Admin, Lang::En);
    let told = |number: f64| {
        vec![Latest {
            metric: postfix::QUEUE_DEFERRED.key.to_owned(),
            labels: Labels::NONE,
            state: State::Number(number),
            since: samples::ago(600),
            source: "x".to_owned(),
            told: samples::ago(10),
            fresh: true,
        }]
    };
    let latest = samples::visible(Role::Admin, samples::all());
    let page = |number: f64| {
        let told = told(number);
        read(&begin_with(&frame, &[], &latest, &judge(&told), true))
    };
    let (fine, ill) = (page(1.0), page(51.0));
    assert!(fine.contains("Nothing needs you."), "{fine}");
    assert!(ill.contains("One thing needs you.") && !ill.contains("Nothing needs you"), "{ill}");
    assert!(ill.contains("What needs you"), "{ill}");
    let dark = read(&begin_with(&frame, &[], &latest, &judge(&[]), true));
    assert!(!dark.contains("Everything works"), "nothing is known: {dark}");
    // A mail that waits for an admin needs one, too.
    let mut held = samples::mail(77, 900);
    held.status = Status::Held;
    held.recipients[0].status = Status::Held;
    let (told, held) = (told(1.0), samples::visible(Role::Admin, vec![held]));
    let text = read(&begin_with(&frame, &held, &latest, &judge(&told), true));
    assert!(text.contains("One thing needs you.") && text.contains("Held · Your turn"), "{text}");
}

#[test]
fn the_list_claims_nothing_of_a_time_that_was_not_recorded() {
    let frame = samples::frame(Role::User, Lang::En);
    let page = samples::page(Role::User);
    let said = |query: &str| read(&list(&frame, &Query::parse(query), &page, &[]));
    assert!(said("").contains("The log is complete for this period up to now."));
    assert!(said("from=2026-11-10&to=2026-11-12").contains("The log is complete for this period."));
    for query in ["from=any", "from=2020-01-01"] {
        let text = said(query);
        assert!(
            text.contains("The log begins on 6 Nov 2026; nothing is recorded of the time before."),
            "{text}"
        );
        assert!(!text.contains("is complete"), "{text}");
    }
    let text = said("from=2020-01-01&to=2020-02-01");
    assert!(text.contains("The log begins on 6 Nov 2026: nothing is recorded of this period."), "{text}");
    let text = said("from=2027-01-01");
    assert!(text.contains("This period is still to come.") && !text.contains("is complete"), "{text}");
}

#[test]
fn find_cannot_tell_of_a_time_that_was_not_recorded() {
    let frame = samples::frame(Role::User, Lang::En);
    let said = |asked: Asked, from: Option<Millis>| {
        let sources = [samples::source("postfix")];
        let known = Known::new(&sources, &[], KEPT, (from, None), samples::NOW);
        let input = find::Input { asked: &asked, hits: &[], known };
        read(&find::view(&frame, &Dictionary::built_in(), input).render().unwrap())
    };
    let ask = || Asked::Question(Question::new("waiting", "mila@epsilon.example", "any").unwrap());
    for (asked, from) in [(ask(), None), (Asked::Paste, None), (ask(), Some(samples::ago(20 * 86_400)))] {
        let text = said(asked, from);
        assert!(text.contains("We cannot tell: our log begins on 6 Nov 2026"), "{text}");
    }
    let text = said(ask(), Some(samples::ago(3 * 86_400)));
    assert!(text.contains("no mail from mila@epsilon.example to you reached our server"), "{text}");
}

#[test]
fn what_the_list_does_not_understand_is_said() {
    let frame = samples::frame(Role::User, Lang::En);
    let page = samples::page(Role::User);
    for (query, complaint) in [
        ("status=zzz", "We do not understand the filter Status: zzz."),
        ("dir=up", "We do not understand the filter Direction: up."),
        ("verdict=x", "We do not understand the filter Spam verdict: x."),
        ("tls=maybe", "We do not understand the filter Encrypted: maybe."),
        ("attachment=2", "We do not understand the filter About with an attachment: 2."),
        ("before=x", "We do not understand the filter before: x."),
        ("from=2026-11-20&to=2026-11-14", "The first day lies behind the last one"),
    ] {
        let text = read(&list(&frame, &Query::parse(query), &page, &[]));
        assert!(text.contains(complaint), "{query}: {text}");
    }
    let text = read(&list(&frame, &Query::parse("status=sent&from=2026-11-14&to=2026-11-14"), &page, &[]));
    assert!(!text.contains("We do not understand") && !text.contains("behind the last one"), "{text}");
}

#[test]
fn the_log_is_not_complete_since_before_its_gaps() {
    let frame = samples::frame(Role::Admin, Lang::En);
    let said = |sources: &[Source], gaps: &[Gap]| {
        let input =
            ingestion::Input { sources, gaps, ledger: &[], unknown: &[], phrases: &[], mailboxes: &[] };
        read(&ingestion::view(&frame, input).render().unwrap())
    };
    let calm = Source { ring_peak: 0.1, ..samples::source("postfix") };
    let old = |days: u64| {
        let end = samples::ago(days * 86_400);
        Gap { from_at: end.minus(Duration::from_secs(60)), to_at: end, ..samples::gap() }
    };
    let text = said(std::slice::from_ref(&calm), &[old(13), old(14)]);
    assert!(text.contains("The log is complete since 7 Nov, 18:45; there are 2 gaps before."), "{text}");
    let text = said(std::slice::from_ref(&calm), &[]);
    assert!(text.contains("The log is complete since 6 Nov."), "{text}");
    let tight = Source { ring_peak: 0.94, ..calm };
    let text = said(&[tight], &[]);
    assert!(
        text.contains("The Postfix log nearly ran over: 94") && text.contains("Nearly run over"),
        "{text}"
    );
}

#[test]
fn the_proof_names_no_server_where_there_was_none() {
    let mut mail = samples::expired();
    mail.recipients[0].relay = "none".to_owned();
    let frame = samples::frame(Role::User, Lang::De);
    let text = story(&frame, &one(Role::User, mail), &[], true);
    assert!(!text.contains("<td>none</td>"), "{text}");
    let heads = all(&Html::parse_document(&text), "table[aria-labelledby=happened] th[scope=col]").len();
    assert_eq!(heads, 2);
}

#[test]
fn the_sender_sees_how_many_more_got_a_mail_also_without_ids() {
    let frame = samples::frame(Role::User, Lang::En);
    let page = Page { mails: vec![one(Role::User, samples::bounced())], ..Page::default() };
    assert!(read(&list(&frame, &Query::parse("ids=0"), &page, &[])).contains("+2 more"));
    let mut mail = samples::bounced();
    (mail.sender, mail.login) = (Some("news@garden.example".to_owned()), None);
    mail.recipients[0].address = "ann@alpha.test".to_owned();
    let page = Page { mails: vec![one(Role::User, mail)], ..Page::default() };
    assert!(!read(&list(&frame, &Query::parse("ids=1"), &page, &[])).contains(" more"), "others show");
}
