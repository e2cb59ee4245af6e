use std::time::Duration;

use super::*;
use crate::model::figures::{Day, Handed};

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
    let span = Span { from: days_ago(14), to: NOW, ..Span::default() };
    Judge::of("mail.alpha.test", &span, figures)
}

const QUARANTINE: Goal = Goal::Policy(Demand::Quarantine);
const REJECT: Goal = Goal::Policy(Demand::Reject);

/// Mails that fail of a source that passes by the rule.
fn stray(failed: u64, messages: u64) -> Stray {
    Stray { failed, messages }
}

fn survey(recent: &DomainFigures, sources: &[Source]) -> Survey {
    Survey::of_all(&judge(recent), sources)
}

fn steps<'a>(recent: &'a DomainFigures, survey: &'a Survey) -> Vec<Step<'a>> {
    static NONE: BTreeMap<IpAddr, String> = BTreeMap::new();
    let has_past = judge(recent).has_past;
    Situation { now: NOW, recent, survey, has_past, signers: &NONE }.steps()
}

/// The steps that follow from sources, of which none is spoken of one by one.
fn calm_steps(recent: &DomainFigures, sources: &[Source]) -> Vec<Step<'static>> {
    let survey = survey(recent, sources);
    steps(recent, &survey)
        .into_iter()
        .map(|step| match step {
            Step::Mend { .. } | Step::Ask { .. } => panic!("{step:?}"),
            Step::Tighten(goal, stray) => Step::Tighten(goal, stray),
            Step::NotYet(goal, harm) => Step::NotYet(goal, harm),
            Step::Wait(goal, lack) => Step::Wait(goal, lack),
            Step::Silent(last) => Step::Silent(last),
            Step::Keep => Step::Keep,
            Step::Ignore(mails) => Step::Ignore(mails),
            Step::Lists(mails) => Step::Lists(mails),
        })
        .collect()
}

/// A source of which nothing passes, first and last seen so many days ago.
fn failing(messages: u64, first: u64, last: u64) -> Source {
    Source { first: days_ago(first), last: days_ago(last), ..source(2, sums(messages, 0, 0)) }
}

fn under_its_own_name(source: Source) -> Source {
    Source { handed: Handed { told: 0, own: source.sums.messages.div_ceil(2) }, ..source }
}

#[test]
fn a_source_is_whose_it_shows_itself_to_be() {
    let figures = figures("none", 10_000);
    let standing = |source: Source| judge(&figures).standing(&source);
    assert_eq!(standing(own(sums(50, 0, 0))), Standing::Mailcow, "even if all fails");
    let alike = Source { name: Some("mail.alpha.test.evil.example".into()), ..failing(19, 200, 1) };
    assert_eq!(standing(alike), Standing::Forged);
    assert_eq!(standing(source(2, sums(50, 0, 40))), Standing::Known, "the SPF record names it");
    assert_eq!(standing(source(2, sums(900, 900, 0))), Standing::Known, "it has a key and sends much");
    assert_eq!(standing(source(2, sums(40, 40, 0))), Standing::Forwarder);
    assert_eq!(standing(source(2, sums(40, 5, 0))), Standing::Forwarder, "some signatures hold");
    let handed = |told, own| Source { handed: Handed { told, own }, ..source(2, sums(40, 0, 0)) };
    assert_eq!(standing(handed(1, 19)), Standing::List, "one receiver says so, and it uses its own name");
    let recent = |source: Source| Source { first: days_ago(5), ..source };
    assert_eq!(standing(recent(handed(20, 0))), Standing::List, "also when it is new");
    assert_eq!(standing(handed(0, 40)), Standing::Unclear, "nobody says that it hands on");
    assert_eq!(standing(handed(1, 18)), Standing::Unclear, "most of it is something else");
    let disowned = Source { verdict: Verdict::Foreign, ..handed(40, 0) };
    assert_eq!(standing(disowned), Standing::Foreign, "an admin knows better");
}

#[test]
fn who_comes_again_is_asked_about_and_who_sprays_is_a_forger() {
    let figures = figures("none", 10_000);
    let standing = |source: Source| judge(&figures).standing(&source);
    assert_eq!(standing(failing(20, 200, 1)), Standing::Unclear, "a scanner");
    assert_eq!(standing(failing(840, 40, 0)), Standing::Unclear, "a service that nobody told to sign");
    assert_eq!(standing(failing(20, 20, 13)), Standing::Unclear, "a week between the first and the last");
    assert_eq!(standing(failing(20, 19, 13)), Standing::Forged, "less");
    assert_eq!(standing(under_its_own_name(failing(20, 19, 13))), Standing::Unclear, "but it proves a name");
    assert_eq!(standing(under_its_own_name(failing(400, 1, 1))), Standing::Forged, "one wave");
    assert_eq!(standing(failing(400, 1, 1)), Standing::Forged, "one wave");
    assert_eq!(standing(failing(40, 5, 1)), Standing::New);
    for few in [failing(19, 200, 1), failing(19, 5, 1), under_its_own_name(failing(19, 200, 1))] {
        assert_eq!(standing(few), Standing::Forged, "forgers send few mails from each address");
    }
    // What was new stays a question when it is new no longer.
    let at = |days| Judge { from: NOW.minus(Duration::from_secs(days * DAY)), ..judge(&figures) };
    assert_eq!(at(14).standing(&failing(40, 14, 1)), Standing::New);
    assert_eq!(at(14).standing(&failing(40, 15, 1)), Standing::Unclear);
}

#[test]
fn a_longer_span_needs_more_mails_for_the_same_judgement() {
    let figures = figures("none", 10_000);
    let year = Judge { from: days_ago(364), has_past: false, ..judge(&figures) };
    let standing = |source: Source| year.standing(&source);
    assert_eq!(standing(failing(519, 400, 1)), Standing::Forged);
    assert_eq!(standing(failing(520, 400, 1)), Standing::Unclear, "20 mails in each of 26 fortnights");
    assert_eq!(standing(failing(20, 14, 1)), Standing::Unclear, "it has come two weeks ago only");
}

#[test]
fn a_provider_that_never_signed_for_the_domain_bars_a_stricter_policy_until_an_admin_has_answered() {
    let recent = figures("none", 2240);
    let provider = under_its_own_name(failing(840, 40, 0));
    let forger = |octet| Source { ip: source(octet, Sums::default()).ip, ..failing(3, 9, 9) };
    let mut sources = vec![own(sums(1400, 1400, 1400)), provider.clone()];
    sources.extend((100..140).map(forger));
    let known = survey(&recent, &sources);
    let ask = Step::Ask { source: &provider, signer: None };
    let not_yet = Step::NotYet(QUARANTINE, Harm { own: 0, asked: 840 });
    assert_eq!(steps(&recent, &known), [ask, not_yet, Step::Ignore(120)]);
    assert_eq!(ask.turn(), Turn::You);
    sources[1].verdict = Verdict::Foreign;
    let safe = Step::Tighten(QUARANTINE, stray(0, 1400));
    assert_eq!(calm_steps(&recent, &sources), [safe, Step::Ignore(960)], "not ours");
    sources[1].verdict = Verdict::Known;
    let known = survey(&recent, &sources);
    let mend = Step::Mend { source: &sources[1], standing: Standing::Known, flaw: Flaw::Direct };
    let not_yet = Step::NotYet(QUARANTINE, Harm { own: 840, asked: 0 });
    assert_eq!(steps(&recent, &known), [mend, not_yet, Step::Ignore(120)], "ours");
}

#[test]
fn a_survey_counts_all_and_knows_the_worst() {
    let recent = figures("none", 2000);
    let mut sources: Vec<Source> = (10..20)
        .map(|octet| Source {
            ip: source(octet, Sums::default()).ip,
            ..failing(100 + u64::from(octet), 200, 1)
        })
        .collect();
    sources.push(Source { verdict: Verdict::Ours, ..source(30, sums(50, 0, 0)) });
    sources.push(own(sums(1000, 990, 990)));
    let survey = survey(&recent, &sources);
    let names: Vec<(Standing, u64)> =
        survey.failing().iter().map(|(standing, source)| (*standing, source.sums.messages)).collect();
    let unclear = Standing::Unclear;
    assert_eq!(
        names,
        [(Standing::Ours, 50), (unclear, 119), (unclear, 118)],
        "what is surely own comes first"
    );
    let all = survey.of(|_| true);
    assert_eq!((all.sources, all.messages, all.failed), (12, 2195, 1205));
    assert_eq!((all.failing, all.harmed), (11, 1195), "the strays of Mailcow do not count");
}

#[test]
fn a_source_that_signs_for_another_domain_is_told_apart_from_one_that_does_not_sign() {
    let recent = figures("none", 1200);
    let said = |octet| Source { verdict: Verdict::Known, ..source(octet, sums(204, 0, 0)) };
    let sources = [own(sums(990, 990, 985)), said(2), said(3)];
    let survey = survey(&recent, &sources);
    assert_eq!(silent(&survey).count(), 2);
    let signers = BTreeMap::from([(sources[1].ip, "newsletter-hub.example".to_owned())]);
    let situation =
        Situation { now: NOW, recent: &recent, survey: &survey, has_past: true, signers: &signers };
    let flaws: Vec<Flaw> = situation
        .steps()
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
        calm_steps(&figures, &sources),
        [Step::Tighten(QUARANTINE, stray(0, 990)), Step::Ignore(10), Step::Lists(40)],
        "they keep nobody from a stricter policy"
    );
    assert_eq!(calm_steps(&figures, &sources)[2].turn(), Turn::Nobody);
}

#[test]
fn the_next_policy_is_safe_after_two_weeks_without_trouble() {
    let calm = [own(sums(990, 990, 985)), source(9, sums(10, 0, 0))];
    for (p, goal) in [("none", QUARANTINE), ("quarantine", REJECT)] {
        let safe = Step::Tighten(goal, stray(0, 990));
        assert_eq!(calm_steps(&figures(p, 1000), &calm), [safe, Step::Ignore(10)], "{p}");
    }
    assert_eq!(calm_steps(&figures("reject", 1000), &calm), [Step::Keep, Step::Ignore(10)]);
    assert_eq!(calm_steps(&figures("", 1000), &calm), [Step::Ignore(10)], "no policy was told");
}

#[test]
fn a_policy_for_a_part_for_no_subdomains_or_in_test_is_not_the_strictest() {
    let goal = |p: &str, sp: Option<&str>, pct, testing| {
        Goal::after(&PolicySeen { p: p.into(), sp: sp.map(str::to_owned), pct, testing })
    };
    let (put_aside, refuse) = (Demand::Quarantine, Demand::Reject);
    assert_eq!(goal("reject", Some("none"), None, true), Some(Goal::InForce(refuse)));
    assert_eq!(goal("quarantine", None, None, true), Some(Goal::InForce(put_aside)));
    assert_eq!(goal("none", None, None, true), Some(QUARANTINE), "nothing is in force, tested or not");
    assert_eq!(goal("reject", Some("none"), Some(20), false), Some(Goal::Whole(refuse)));
    assert_eq!(goal("quarantine", None, Some(20), false), Some(Goal::Whole(put_aside)));
    assert_eq!(goal("reject", Some("none"), Some(100), false), Some(Goal::Subdomains(refuse)));
    assert_eq!(goal("reject", Some("quarantine"), None, false), Some(Goal::Subdomains(refuse)));
    assert_eq!(goal("quarantine", Some("none"), None, false), Some(Goal::Subdomains(put_aside)));
    assert_eq!(goal("quarantine", Some("reject"), None, false), Some(REJECT), "stricter than the domain's");
    for sp in [None, Some("reject"), Some("odd")] {
        assert_eq!(goal("reject", sp, None, false), None, "{sp:?}");
    }
    let seen = |p: &str, testing| PolicySeen { p: p.into(), testing, ..PolicySeen::default() };
    let in_force = ["reject", "quarantine", "none"].map(|p| seen(p, true).in_force().to_owned());
    assert_eq!(in_force, ["quarantine", "none", "none"], "one step milder");
    assert_eq!(seen("reject", false).in_force(), "reject");
}

#[test]
fn a_failing_source_of_ones_own_comes_first_and_bars_the_way() {
    let recent = figures("none", 1200);
    let printer = Source { first: days_ago(8), ..source(2, sums(204, 0, 0)) };
    let sources = [own(sums(990, 990, 985)), printer.clone(), source(9, sums(19, 0, 0))];
    let known = survey(&recent, &sources);
    let ask = Step::Ask { source: &printer, signer: None };
    let not_yet = Step::NotYet(QUARANTINE, Harm { own: 0, asked: 204 });
    assert_eq!(steps(&recent, &known), [ask, not_yet, Step::Ignore(19)]);
    assert_eq!(ask.turn(), Turn::You);
    // Said not to be ours, it is no reason to wait.
    let mut disowned = sources.clone();
    disowned[1].verdict = Verdict::Foreign;
    let safe = Step::Tighten(QUARANTINE, stray(0, 990));
    assert_eq!(calm_steps(&recent, &disowned), [safe, Step::Ignore(223)]);
    // The own Mailcow is its admin's to mend.
    let sick = survey(&recent, &[own(sums(990, 800, 100))]);
    let sick = steps(&recent, &sick);
    assert_eq!((sick[0].turn(), sick.len()), (Turn::Admin, 2));
    assert_eq!(sick[1], Step::NotYet(QUARANTINE, Harm { own: 190, asked: 0 }));
}

#[test]
fn stray_failures_bar_nothing_but_are_told() {
    let recent = figures("none", 10_000);
    let sources = [own(sums(9000, 9000, 9000)), source(2, sums(10_000, 9901, 9901))];
    let safe = Step::Tighten(QUARANTINE, stray(99, 19_000));
    assert_eq!(calm_steps(&recent, &sources), [safe]);
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
    let survey = survey(&recent, &sources);
    let steps = steps(&recent, &survey);
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
    assert_eq!(calm_steps(&young, &sources), [Step::Wait(QUARANTINE, Lack::Days { seen: 4 })]);
    young.first = Some(days_ago(14));
    assert_eq!(calm_steps(&young, &sources), [Step::Tighten(QUARANTINE, stray(0, 60))]);
    let mut few = figures("none", 99);
    few.receivers = 4;
    let lack = Lack::Mails { mails: 99, receivers: 4 };
    assert_eq!(calm_steps(&few, &sources), [Step::Wait(QUARANTINE, lack)]);
    few.receivers = 5;
    assert_eq!(
        calm_steps(&few, &sources),
        [Step::Tighten(QUARANTINE, stray(0, 60))],
        "five receivers will do"
    );
    let (mut none, lack) = (figures("none", 0), Lack::Mails { mails: 0, receivers: 0 });
    (none.first, none.last) = (None, None);
    assert_eq!(calm_steps(&none, &[]), [Step::Wait(QUARANTINE, lack)]);
}

#[test]
fn old_reports_make_nothing_safe() {
    let sources = [own(sums(990, 990, 985))];
    let mut silent = figures("none", 1000);
    silent.last = Some(days_ago(6));
    let lack = Lack::Silent { last: days_ago(6) };
    assert_eq!(calm_steps(&silent, &sources), [Step::Wait(QUARANTINE, lack)]);
    silent.policy.p = "reject".into();
    assert_eq!(calm_steps(&silent, &sources), [Step::Silent(days_ago(6))]);
    silent.last = Some(days_ago(4));
    assert_eq!(calm_steps(&silent, &sources), [Step::Keep]);
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
