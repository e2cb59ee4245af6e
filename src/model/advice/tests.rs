use std::time::Duration;

use super::*;
use crate::model::figures::Day;

/// A day in spring 2027, at noon.
const NOW: Millis = Millis(1_805_716_800_000 + 43_200_000);

fn days_ago(days: u64) -> Millis {
    NOW.minus(Duration::from_secs(days * DAY))
}

fn sums(messages: u64, dkim: u64, spf: u64) -> Sums {
    Sums { messages, dkim, spf, aligned: dkim.max(spf), ..Sums::default() }
}

fn source(last_octet: u8, sums: Sums) -> Source {
    Source {
        ip: std::net::IpAddr::from([192, 0, 2, last_octet]),
        name: None,
        label: None,
        verdict: Verdict::Unsaid,
        sums,
        handed: Handed::default(),
        first: days_ago(200),
        last: days_ago(1),
    }
}

fn own(sums: Sums) -> Source {
    Source { name: Some("Mail.Alpha.Test.".into()), ..source(1, sums) }
}

fn figures(p: &str, messages: u64) -> DomainFigures {
    DomainFigures {
        domain: "alpha.test".into(),
        sums: sums(messages, messages, messages),
        before: sums(messages, messages, messages),
        receivers: 9,
        first: Some(days_ago(14)),
        last: Some(days_ago(1)),
        policy: PolicySeen { p: p.into(), ..PolicySeen::default() },
        ..DomainFigures::default()
    }
}

fn judge(figures: &DomainFigures) -> Judge<'static> {
    Judge::of("mail.alpha.test", days_ago(14), figures)
}

fn steps<'a>(recent: &'a DomainFigures, sources: &'a [Source]) -> Vec<Step<'a>> {
    static NONE: BTreeMap<IpAddr, String> = BTreeMap::new();
    Situation { now: NOW, recent, sources, judge: judge(recent), signers: &NONE }.steps()
}

#[test]
fn a_source_is_whose_it_shows_itself_to_be() {
    let figures = figures("none", 10_000);
    let standing = |source: Source| judge(&figures).standing(&source);
    let recent = |source: Source| Source { first: days_ago(5), ..source };
    assert_eq!(standing(own(sums(50, 0, 0))), Standing::Mailcow, "even if all fails");
    let alike = Source { name: Some("mail.alpha.test.evil.example".into()), ..source(2, sums(50, 0, 0)) };
    assert_eq!(standing(alike), Standing::Forged);
    assert_eq!(standing(source(2, sums(50, 0, 40))), Standing::Known, "the SPF record names it");
    assert_eq!(standing(source(2, sums(900, 900, 0))), Standing::Known, "it has a key and sends much");
    assert_eq!(standing(source(2, sums(40, 40, 0))), Standing::Forwarder);
    assert_eq!(standing(source(2, sums(40, 5, 0))), Standing::Forwarder, "some signatures hold");
    assert_eq!(standing(source(2, sums(40, 0, 0))), Standing::Forged);
    assert_eq!(standing(recent(source(2, sums(40, 0, 0)))), Standing::New);
    let handed = |told, own| Source { handed: Handed { told, own }, ..source(2, sums(40, 0, 0)) };
    assert_eq!(standing(handed(1, 19)), Standing::List, "one receiver says so, and it uses its own name");
    assert_eq!(standing(recent(handed(20, 0))), Standing::List, "also when it is new");
    assert_eq!(standing(handed(0, 40)), Standing::Forged, "nobody says that it hands on");
    assert_eq!(standing(handed(1, 18)), Standing::Forged, "most of it is something else");
    let disowned = Source { verdict: Verdict::Foreign, ..handed(40, 0) };
    assert_eq!(standing(disowned), Standing::Foreign, "an admin knows better");
    assert_eq!(standing(recent(source(2, sums(3, 0, 0)))), Standing::Forged, "too few to be a device");
    let once = Source { first: days_ago(1), ..source(2, sums(400, 0, 0)) };
    assert_eq!(standing(once), Standing::Forged, "one wave");
}

#[test]
fn a_source_that_signs_for_another_domain_is_told_apart_from_one_that_does_not_sign() {
    let recent = figures("none", 1200);
    let said = |octet| Source { verdict: Verdict::Known, ..source(octet, sums(204, 0, 0)) };
    let sources = [own(sums(990, 990, 985)), said(2), said(3)];
    let judge = judge(&recent);
    assert_eq!(silent(&sources, &judge).len(), 2);
    let signers = BTreeMap::from([(sources[1].ip, "newsletter-hub.example".to_owned())]);
    let steps = Situation { now: NOW, recent: &recent, sources: &sources, judge, signers: &signers }.steps();
    let flaws: Vec<Flaw> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Mend { flaw, .. } => Some(*flaw),
            _ => None,
        })
        .collect();
    assert_eq!(flaws, [Flaw::Elsewhere("newsletter-hub.example"), Flaw::Direct]);
}

#[test]
fn an_admins_word_wins() {
    let figures = figures("none", 10_000);
    let said = |verdict, source: Source| judge(&figures).standing(&Source { verdict, ..source });
    assert_eq!(said(Verdict::Ours, source(2, sums(40, 0, 0))), Standing::Ours);
    assert_eq!(said(Verdict::Known, source(2, sums(40, 0, 0))), Standing::Known);
    assert_eq!(said(Verdict::Foreign, source(2, sums(40, 40, 40))), Standing::Foreign);
    assert_eq!(said(Verdict::Foreign, own(sums(40, 40, 40))), Standing::Foreign);
    assert_eq!(said(Verdict::Ours, own(sums(40, 40, 40))), Standing::Mailcow);
}

#[test]
fn nothing_is_new_where_nothing_was_before() {
    let mut figures = figures("none", 10_000);
    figures.before = Sums::default();
    let fresh = Source { first: days_ago(5), ..source(2, sums(40, 0, 0)) };
    assert_eq!(judge(&figures).standing(&fresh), Standing::Forged);
}

#[test]
fn a_nameless_portal_recognises_nobody() {
    let figures = figures("none", 10_000);
    let nameless = Judge { mailcow: "", ..judge(&figures) };
    assert!(!nameless.is_mailcow(&source(1, sums(1, 1, 1))));
    assert!(!nameless.is_mailcow(&Source { name: Some(".".into()), ..source(1, sums(1, 1, 1)) }));
}

#[test]
fn mailing_lists_are_neither_mended_nor_called_forged() {
    let list = Source { handed: Handed { told: 3, own: 37 }, ..source(2, sums(40, 0, 0)) };
    let sources = [own(sums(990, 990, 985)), list, source(9, sums(10, 0, 0))];
    let figures = figures("none", 1000);
    assert_eq!(
        steps(&figures, &sources),
        [Step::Tighten(Goal::Quarantine), Step::Ignore(10), Step::Lists(40)],
        "they keep nobody from a stricter policy"
    );
    assert_eq!(steps(&figures, &sources)[2].turn(), Turn::Nobody);
}

#[test]
fn the_next_policy_is_safe_after_two_weeks_without_trouble() {
    let calm = [own(sums(990, 990, 985)), source(9, sums(10, 0, 0))];
    for (p, goal) in [("none", Goal::Quarantine), ("quarantine", Goal::Reject)] {
        let figures = figures(p, 1000);
        assert_eq!(steps(&figures, &calm), [Step::Tighten(goal), Step::Ignore(10)], "{p}");
    }
    assert_eq!(steps(&figures("reject", 1000), &calm), [Step::Keep, Step::Ignore(10)]);
    assert_eq!(steps(&figures("", 1000), &calm), [Step::Ignore(10)], "no policy was told");
    let mut partly = figures("reject", 1000);
    partly.policy.pct = Some(20);
    assert_eq!(steps(&partly, &calm[..1]), [Step::Tighten(Goal::FullReject)]);
    partly.policy.p = "quarantine".into();
    assert_eq!(steps(&partly, &calm[..1]), [Step::Tighten(Goal::FullQuarantine)]);
}

#[test]
fn a_failing_source_of_ones_own_comes_first_and_bars_the_way() {
    let recent = figures("none", 1200);
    let printer = Source { first: days_ago(8), ..source(2, sums(204, 0, 0)) };
    let sources = [own(sums(990, 990, 985)), printer.clone(), source(9, sums(42, 0, 0))];
    let mend = Step::Mend { source: &printer, standing: Standing::New, flaw: Flaw::Direct };
    assert_eq!(steps(&recent, &sources), [mend, Step::NotYet(Goal::Quarantine, 204), Step::Ignore(42)]);
    assert_eq!(mend.turn(), Turn::You);
    // Said not to be ours, it is no reason to wait.
    let mut disowned = sources.clone();
    disowned[1].verdict = Verdict::Foreign;
    assert_eq!(steps(&recent, &disowned), [Step::Tighten(Goal::Quarantine), Step::Ignore(246)]);
    // The own Mailcow is its admin's to mend.
    let sick = [own(sums(990, 800, 100))];
    let first = steps(&recent, &sick)[0];
    assert_eq!((first.turn(), steps(&recent, &sick).len()), (Turn::Admin, 2));
    assert_eq!(steps(&recent, &sick)[1], Step::NotYet(Goal::Quarantine, 190));
}

#[test]
fn stray_failures_do_not_count() {
    assert!(!fails(&sums(1000, 990, 0)));
    assert!(fails(&sums(1000, 989, 0)));
    assert!(!fails(&sums(0, 0, 0)));
}

#[test]
fn advice_is_never_more_than_four() {
    let recent = figures("none", 12_000);
    let sources: Vec<Source> = (0..20)
        .map(|n| Source { verdict: Verdict::Ours, ..source(n, sums(100 + u64::from(n), 0, 0)) })
        .chain([source(99, sums(5, 0, 0))])
        .collect();
    let steps = steps(&recent, &sources);
    assert_eq!(steps.len(), MOST_STEPS);
    let Step::Mend { source, .. } = steps[0] else { panic!("{steps:?}") };
    assert_eq!(source.sums.messages, 119, "the worst first");
    assert!(matches!(steps[3], Step::Ignore(5)));
}

#[test]
fn too_little_is_known_at_first() {
    let sources = [own(sums(60, 60, 60))];
    let mut young = figures("none", 500);
    (young.before, young.first) = (Sums::default(), Some(days_ago(4)));
    assert_eq!(steps(&young, &sources), [Step::Wait(Goal::Quarantine, Lack::Days { seen: 4 })]);
    young.first = Some(days_ago(14));
    assert_eq!(steps(&young, &sources), [Step::Tighten(Goal::Quarantine)]);
    let mut few = figures("none", 99);
    few.receivers = 4;
    let lack = Lack::Mails { mails: 99, receivers: 4 };
    assert_eq!(steps(&few, &sources), [Step::Wait(Goal::Quarantine, lack)]);
    few.receivers = 5;
    assert_eq!(steps(&few, &sources), [Step::Tighten(Goal::Quarantine)], "five receivers will do");
    let (mut none, lack) = (figures("none", 0), Lack::Mails { mails: 0, receivers: 0 });
    (none.first, none.last) = (None, None);
    assert_eq!(steps(&none, &[]), [Step::Wait(Goal::Quarantine, lack)]);
}

#[test]
fn old_reports_make_nothing_safe() {
    let sources = [own(sums(990, 990, 985))];
    let mut silent = figures("none", 1000);
    silent.last = Some(days_ago(6));
    let lack = Lack::Silent { last: days_ago(6) };
    assert_eq!(steps(&silent, &sources), [Step::Wait(Goal::Quarantine, lack)]);
    silent.policy.p = "reject".into();
    assert_eq!(steps(&silent, &sources), [Step::Silent(days_ago(6))]);
    silent.last = Some(days_ago(4));
    assert_eq!(steps(&silent, &sources), [Step::Keep]);
}

fn day(back: u64, messages: u64, aligned: u64) -> Day {
    Day { at: days_ago(back), sums: sums(messages, aligned, 0) }
}

#[test]
fn a_share_that_moved_is_told_with_its_day() {
    let mut days: Vec<Day> = (9..30).rev().map(|back| day(back, 100, 99)).collect();
    assert_eq!(shift(&days), None);
    days.extend((0..9).rev().map(|back| day(back, 100, 90)));
    let Some(Change::Share { before, after, at }) = shift(&days) else { panic!() };
    assert_eq!((before.aligned, after.messages, at), (2079, 900, days_ago(8)));
    // Two points exactly are no move; few mails are no share.
    let still: Vec<Day> = (0..20).rev().map(|back| day(back, 100, if back < 9 { 97 } else { 99 })).collect();
    assert_eq!(shift(&still), None);
    let few: Vec<Day> = (0..20).rev().map(|back| day(back, 1, u64::from(back > 9))).collect();
    assert_eq!(shift(&few), None);
    assert_eq!(shift(&[]), None);
    assert_eq!(shift(&[day(1, 100, 0)]), None);
}

#[test]
fn changes_are_told_newest_first() {
    let mut figures = figures("quarantine", 1000);
    figures.policy_before = Some((PolicySeen { p: "none".into(), ..PolicySeen::default() }, days_ago(6)));
    let fresh = Source { first: days_ago(8), ..source(2, sums(204, 204, 0)) };
    let stray = Source { first: days_ago(2), ..source(3, sums(2, 0, 0)) };
    let gone = Source { last: days_ago(10), ..source(4, sums(300, 300, 0)) };
    let (days, sources, earlier) = (vec![], [fresh.clone(), stray, gone.clone()], [gone.clone()]);
    let history = History {
        now: NOW,
        figures: &figures,
        days: &days,
        sources: &sources,
        earlier: &earlier,
        judge: judge(&figures),
    };
    let changes = history.changes();
    let Change::Policy { before, now, at } = changes[0] else { panic!("{changes:?}") };
    assert_eq!((before.p.as_str(), now.p.as_str(), at), ("none", "quarantine", days_ago(6)));
    assert_eq!(changes[1..], [Change::New(&fresh), Change::Gone(&gone)]);
    // When reports stop, their sources are not gone.
    let mut silent = figures.clone();
    silent.last = Some(days_ago(9));
    let history = History { figures: &silent, ..history };
    assert_eq!(history.changes().len(), 2);
}

#[test]
fn a_table_of_domains_has_the_worst_first() {
    let of =
        |p: &str, messages, aligned| DomainFigures { sums: sums(messages, aligned, 0), ..figures(p, 1000) };
    assert_eq!(Glance::at(&of("reject", 1000, 900)), Glance::Harm);
    assert_eq!(Glance::at(&of("none", 1000, 900)), Glance::Mend);
    assert_eq!(Glance::at(&of("none", 1000, 990)), Glance::Tighten);
    assert_eq!(Glance::at(&of("reject", 1000, 990)), Glance::Fine);
    assert_eq!(Glance::at(&DomainFigures { new_sources: 1, ..of("none", 1000, 990) }), Glance::Look);
    assert_eq!(Glance::at(&DomainFigures { receivers: 2, ..of("none", 10, 1) }), Glance::Wait);
    assert!(Glance::Harm < Glance::Mend && Glance::Mend < Glance::Fine);
}

#[test]
fn every_word_leads_back() {
    for standing in Standing::ALL {
        assert_eq!(Standing::from_code(standing.code()), Some(standing));
    }
    assert_eq!(Standing::from_code("x"), None);
    assert_eq!(tls_turn("certificate-expired"), Turn::Admin);
    assert_eq!(tls_turn("sts-policy-fetch-error"), Turn::You);
    assert_eq!(tls_turn("validation-failure"), Turn::Later);
    assert_eq!(tls_turn("made-up"), Turn::Later);
}
