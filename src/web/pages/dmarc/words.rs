//! Words, icons and colours of what reports say.

use crate::{
    model::{
        advice::{self, Flaw, Goal, Harm, Judge, Lack, Standing, Step, Stray, Turn, WINDOW_DAYS},
        figures::{PolicySeen, ReportState, Source, Sums},
        report::{Evaluation, Proof},
        time::Millis,
    },
    web::pages::{dmarc::chart::noon, frame::Frame},
};

/// An icon with a word, as [`crate::web::pages::look::Look`], but of words that are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// Name in the icon file.
    pub icon: &'static str,
    /// `ok`, `wait`, `bad`, `info`, `junk` or `idle`.
    pub tone: &'static str,
    /// The word.
    pub word: String,
}

fn badge(icon: &'static str, tone: &'static str, word: impl Into<String>) -> Badge {
    Badge { icon, tone, word: word.into() }
}

/// The number as people write it.
pub fn number(frame: &Frame, value: u64) -> String {
    frame.formats.number(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The number in the form that chooses between one and many.
pub fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The day of a report, which counts in UTC.
pub fn day(frame: &Frame, at: Millis) -> String {
    frame.formats.short_date(noon(at))
}

/// State of a report.
pub fn state(frame: &Frame, state: ReportState) -> Badge {
    let (icon, tone) = match state {
        ReportState::Pass => ("check-circle", "ok"),
        ReportState::Fail => ("x-circle", "bad"),
        ReportState::Mixed => ("circle-half", "wait"),
        ReportState::Other => ("question-circle", "idle"),
    };
    badge(icon, tone, frame.lang().t_in("report_state", state.code()))
}

/// Whether it is proven who sent a report.
pub fn proof(frame: &Frame, proof: Proof) -> Badge {
    let (icon, tone) = match proof {
        Proof::Proven => ("shield-check", "ok"),
        Proof::Unchecked => ("question-circle", "idle"),
        Proof::Failed => ("shield-exclamation", "wait"),
    };
    badge(icon, tone, frame.lang().t_in("report_proof", proof.code()))
}

/// Judgement of a source.
pub fn standing(frame: &Frame, standing: Standing, source: &Source) -> Badge {
    let (icon, tone) = match standing {
        Standing::Mailcow | Standing::Ours | Standing::Known => ("check-circle", "ok"),
        Standing::New => ("eye", "wait"),
        Standing::Unclear => ("question-circle", "wait"),
        Standing::Forwarder | Standing::List => ("arrow-left-right", "idle"),
        Standing::Forged => ("exclamation-triangle", "bad"),
        Standing::Foreign => ("slash-circle", "idle"),
    };
    let word = match standing {
        Standing::New => frame.lang().tf("source.new_since", &[("day", &day(frame, source.first))]),
        _ => frame.lang().t_in("standing", standing.code()).to_owned(),
    };
    badge(icon, tone, word)
}

/// What a source is called: by the admin, as our Mailcow, by its name, or as unknown.
pub fn source_name(frame: &Frame, judge: &Judge, source: &Source) -> String {
    match (&source.label, &source.name) {
        (Some(label), _) => label.clone(),
        _ if judge.is_mailcow(source) => frame.t("source.mailcow").to_owned(),
        (None, Some(name)) => name.clone(),
        (None, None) => frame.t("source.nameless").to_owned(),
    }
}

/// The line below a source's name: what the name leaves out.
pub fn source_second(shown: &str, source: &Source) -> String {
    match &source.name {
        Some(name) if name != shown => format!("{name} · {}", source.ip),
        _ => source.ip.to_string(),
    }
}

/// How one of the two checks went for all mails of a source: `passed` of them by it.
pub fn check(frame: &Frame, sums: &Sums, passed: u64) -> Badge {
    let failed = sums.messages.saturating_sub(passed);
    match passed {
        _ if sums.messages == 0 => badge("question-circle", "idle", frame.t("check.none")),
        passed if passed > 0 && failed * 100 <= sums.messages => {
            badge("check-circle", "ok", frame.t("check.passes"))
        }
        0 if !advice::fails(sums) => badge("dash-circle", "idle", frame.t("check.not_aligned")),
        0 => badge("x-circle", "bad", frame.t("check.fails")),
        passed if !advice::fails(sums) => {
            badge("circle-half", "idle", frame.formats.share(passed, sums.messages))
        }
        passed => badge("circle-half", "wait", frame.formats.share(passed, sums.messages)),
    }
}

/// How one of the two checks went for one record.
pub fn evaluation(frame: &Frame, evaluation: Evaluation) -> Badge {
    match evaluation {
        Evaluation::Pass => badge("check-circle", "ok", frame.t("check.aligned")),
        Evaluation::Fail => badge("x-circle", "bad", frame.t("check.not")),
        Evaluation::Unknown => badge("question-circle", "idle", frame.t("check.none")),
    }
}

/// What receivers did with the mails of a source.
pub fn treatment(frame: &Frame, sums: &Sums) -> String {
    let lang = frame.lang();
    let part = |key: &'static str, mails: u64| (mails > 0).then(|| (key, number(frame, mails)));
    let parts = [part("quarantined", sums.quarantined), part("rejected", sums.rejected)];
    let words: Vec<String> = parts
        .into_iter()
        .flatten()
        .map(|(word, mails)| format!("{mails} {}", lang.t_in("treatment", word)))
        .collect();
    if words.is_empty() { frame.t("treatment.delivered").to_owned() } else { words.join(", ") }
}

/// What a receiver did with the mails of a record; a word that no standard knows stays as it is.
pub fn disposition(frame: &Frame, word: &str) -> String {
    match word {
        "none" | "pass" | "quarantine" | "reject" => frame.lang().t_in("disposition", word).to_owned(),
        "" => frame.t("disposition.unknown").to_owned(),
        other => other.to_owned(),
    }
}

/// Why a receiver did not do as the policy says.
pub fn reason(frame: &Frame, kind: &str) -> String {
    const KNOWN: [&str; 8] = [
        "forwarded",
        "mailing_list",
        "trusted_forwarder",
        "sampled_out",
        "local_policy",
        "policy_test_mode",
        "other",
        "authenticated",
    ];
    if KNOWN.contains(&kind) { frame.lang().t_in("reason", kind).to_owned() } else { kind.to_owned() }
}

/// The meaning of `p`, `sp` or `np`.
pub fn policy(frame: &Frame, word: &str) -> &'static str {
    frame.lang().t_in("policy", word)
}

/// `p=none`, with `sp` where it is another, with `pct` where it is not all, and with `t` where it is only tested.
pub fn policy_tag(policy: &PolicySeen) -> String {
    if policy.p.is_empty() {
        return "p=?".to_owned();
    }
    let sp = policy.sp.as_ref().filter(|sp| **sp != policy.p).map(|sp| format!("sp={sp}"));
    let pct = policy.pct.filter(|pct| *pct < 100).map(|pct| format!("pct={pct}"));
    let testing = policy.testing.then(|| "t=y".to_owned());
    let tags = [Some(format!("p={}", policy.p)), sp, pct, testing];
    tags.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Who acts, as the visitor reads it.
pub fn turn(frame: &Frame, turn: Turn) -> &'static str {
    match turn {
        Turn::Admin if frame.is_admin() => frame.t("turn.yours"),
        Turn::You => frame.t("turn.yours"),
        turn => frame.lang().t_in("whose", turn.code()),
    }
}

/// One piece of advice.
pub struct Advice {
    /// What to do.
    pub title: String,
    /// Why.
    pub text: String,
    /// Who.
    pub turn: &'static str,
}

/// A piece of advice in words.
pub fn advice(frame: &Frame, step: &Step, judge: &Judge, domain: &str, policy: &PolicySeen) -> Advice {
    let (title, text) = match step {
        Step::Mend { source, flaw, .. } => mend(frame, source, *flaw, judge, domain),
        Step::Ask { source, signer } => ask(frame, source, *signer, judge, domain),
        Step::Tighten(goal, stray) => (tighten_title(frame, *goal), safe(frame, *goal, *stray)),
        Step::NotYet(goal, mails) => (then_title(frame, *goal), harm(frame, *goal, *mails)),
        Step::Wait(goal, lack) => wait(frame, *goal, *lack),
        Step::Silent(last) => silent(frame, *last),
        Step::Keep => (frame.t("advice.keep").to_owned(), frame.t("advice.keep.text").to_owned()),
        Step::Ignore(mails) => {
            let text = match policy.in_force() {
                "quarantine" | "reject" => frame.t("advice.ignore.stopped"),
                _ => frame.t("advice.ignore.text"),
            };
            (frame.lang().tn("advice.ignore", count(*mails), &[]), text.to_owned())
        }
        Step::Lists(mails) => {
            let text = match policy.p.as_str() {
                "reject" => frame.t("advice.lists.reject"),
                _ => frame.t("advice.lists.text"),
            };
            (frame.lang().tn("advice.lists", count(*mails), &[]), text.to_owned())
        }
    };
    Advice { title, text, turn: turn(frame, step.turn()) }
}

fn mend(frame: &Frame, source: &Source, flaw: Flaw, judge: &Judge, domain: &str) -> (String, String) {
    let lang = frame.lang();
    let (name, ip) = (source_name(frame, judge, source), source.ip.to_string());
    let shown = if source.name.is_none() && source.label.is_none() { &ip } else { &name };
    let (mails, all) = (number(frame, source.sums.failed()), number(frame, source.sums.messages));
    let values = [("mails", mails.as_str()), ("all", all.as_str()), ("domain", domain)];
    match flaw {
        Flaw::Mailcow => {
            (lang.tf("advice.mailcow", &[("domain", domain)]), lang.tf("advice.mailcow.text", &values))
        }
        Flaw::Direct => {
            (lang.tf("advice.direct", &[("name", shown)]), lang.tf("advice.direct.text", &[("ip", &ip)]))
        }
        Flaw::Elsewhere(signer) => (
            lang.tf("advice.partly", &[("name", shown), ("domain", domain)]),
            lang.tf("advice.elsewhere.text", &[("ip", &ip), ("signer", signer), ("domain", domain)]),
        ),
        Flaw::Partly => (
            lang.tf("advice.partly", &[("name", shown), ("domain", domain)]),
            lang.tf("advice.partly.text", &values),
        ),
    }
}

fn tighten_title(frame: &Frame, goal: Goal) -> String {
    let values = [("p", goal.p())];
    match goal {
        Goal::Policy(_) => frame.lang().tf("advice.tighten", &values),
        Goal::InForce(_) => frame.lang().tf("advice.in_force", &values),
        Goal::Whole(_) => frame.lang().tf("advice.full", &values),
        Goal::Subdomains(_) => frame.lang().tf("advice.subdomains", &values),
    }
}

fn then_title(frame: &Frame, goal: Goal) -> String {
    match goal {
        Goal::Policy(_) => frame.lang().tf("advice.then", &[("p", goal.p())]),
        _ => later_title(frame, goal),
    }
}

fn later_title(frame: &Frame, goal: Goal) -> String {
    frame.lang().tf("advice.later", &[("step", &tighten_title(frame, goal))])
}

fn safe(frame: &Frame, goal: Goal, stray: Stray) -> String {
    let (days, all) = (number(frame, WINDOW_DAYS), number(frame, stray.messages));
    let values = [("p", goal.p()), ("days", days.as_str()), ("all", &all)];
    match (stray.failed, goal.p()) {
        (0, _) => frame.lang().tf("advice.safe", &values),
        (failed, "reject") => frame.lang().tn("advice.safe_reject.but", count(failed), &values),
        (failed, _) => frame.lang().tn("advice.safe.but", count(failed), &values),
    }
}

fn harm(frame: &Frame, goal: Goal, harm: Harm) -> String {
    let lang = frame.lang();
    let days = number(frame, WINDOW_DAYS);
    let values = [("days", days.as_str())];
    let own = match goal.p() {
        "reject" => lang.tn("advice.harm_reject", count(harm.own), &values),
        _ => lang.tn("advice.harm", count(harm.own), &values),
    };
    let asked = match goal.p() {
        "reject" => lang.tn("advice.harm_reject.asked", count(harm.asked), &values),
        _ => lang.tn("advice.harm.asked", count(harm.asked), &values),
    };
    let parts = [(harm.own, own), (harm.asked, asked)];
    let parts: Vec<String> =
        parts.into_iter().filter(|(mails, _)| *mails > 0).map(|(_, text)| text).collect();
    parts.join(" ")
}

/// Whether a source is a service of ours, with what to do for either answer.
fn ask(
    frame: &Frame,
    source: &Source,
    signer: Option<&str>,
    judge: &Judge,
    domain: &str,
) -> (String, String) {
    let lang = frame.lang();
    let (name, ip) = (source_name(frame, judge, source), source.ip.to_string());
    let shown = if source.name.is_none() && source.label.is_none() { &ip } else { &name };
    let since = day(frame, source.first);
    let values = [("ip", ip.as_str()), ("since", &since), ("domain", domain)];
    let what = lang.tn("advice.ask.what", count(source.sums.messages), &values);
    let mend = match signer {
        Some(signer) => lang.tf("advice.ask.signs", &[("signer", signer), ("domain", domain)]),
        None => lang.tf("advice.ask.direct", &values),
    };
    let note = if frame.is_admin() { lang.t("advice.ask.note") } else { lang.t("advice.ask.tell") };
    (lang.tf("advice.ask", &[("name", shown)]), format!("{what} {mend} {note}"))
}

fn wait(frame: &Frame, goal: Goal, lack: Lack) -> (String, String) {
    let lang = frame.lang();
    let title = match goal {
        Goal::Policy(_) => lang.tf("advice.wait", &[("p", goal.p())]),
        _ => later_title(frame, goal),
    };
    let days = number(frame, WINDOW_DAYS);
    match lack {
        Lack::Days { seen } => (title, lang.tn("advice.wait.days", count(seen), &[("needed", &days)])),
        Lack::Mails { mails, receivers } => {
            let receivers = number(frame, receivers);
            (title, lang.tn("advice.wait.mails", count(mails), &[("receivers", &receivers), ("days", &days)]))
        }
        Lack::Silent { last } => silent(frame, last),
    }
}

fn silent(frame: &Frame, last: Millis) -> (String, String) {
    let title = frame.lang().tf("advice.silent", &[("day", &day(frame, last))]);
    (title, frame.t("advice.silent.text").to_owned())
}
