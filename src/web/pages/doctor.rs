//! The check-up: every part of the set-up, what is wrong first.

use askama::Template;

use crate::{
    model::{
        finding::{Finding, Health},
        time::Millis,
    },
    web::pages::frame::Frame,
};

/// One part as it is printed.
pub struct Row {
    part: &'static str,
    health: &'static str,
    tone: &'static str,
    icon: &'static str,
    says: String,
    mend: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "doctor.html")]
pub struct DoctorPage<'a> {
    frame: &'a Frame,
    tone: &'static str,
    icon: &'static str,
    title: String,
    grounds: String,
    rows: Vec<Row>,
}

/// The view of the last look, if there was one.
pub fn view<'a>(frame: &'a Frame, last: Option<&(Millis, Vec<Finding>)>) -> DoctorPage<'a> {
    let lang = frame.lang();
    let Some((at, findings)) = last else {
        let (title, grounds) = (lang.t("doctor.never").to_owned(), lang.t("doctor.never.grounds").to_owned());
        return DoctorPage { frame, tone: "idle", icon: "clock", title, grounds, rows: Vec::new() };
    };
    let count = |wanted: Health| findings.iter().filter(|finding| finding.health == wanted).count() as i64;
    let (wrong, doubtful) = (count(Health::Wrong), count(Health::Doubtful));
    let (worst, title) = match (wrong, doubtful) {
        (0, 0) => (Health::Fine, lang.t("doctor.fine").to_owned()),
        (0, doubtful) => (Health::Doubtful, lang.tn("doctor.doubtful", doubtful, &[])),
        (wrong, _) => (Health::Wrong, lang.tn("doctor.wrong", wrong, &[])),
    };
    let grounds = lang.tf("doctor.looked", &[("when", &frame.formats.moment(*at))]);
    let mut rows: Vec<&Finding> = findings.iter().collect();
    rows.sort_by_key(|finding| std::cmp::Reverse(finding.health));
    let rows = rows.into_iter().map(|finding| row(frame, finding)).collect();
    let (icon, tone) = sign(worst);
    DoctorPage { frame, tone, icon, title, grounds, rows }
}

fn row(frame: &Frame, finding: &Finding) -> Row {
    let lang = frame.lang();
    let values: Vec<(&str, &str)> =
        finding.values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (icon, tone) = sign(finding.health);
    Row {
        part: lang.t_in("doctor_part", finding.part),
        health: lang.t_in("doctor_health", finding.health.code()),
        tone,
        icon,
        says: lang.tf_in("doctor_says", finding.says, &values),
        mend: finding.has_remedy().then(|| lang.tf_in("doctor_mend", finding.says, &values)),
    }
}

fn sign(health: Health) -> (&'static str, &'static str) {
    match health {
        Health::Fine => ("check-circle", "ok"),
        Health::Idle => ("dash-circle", "idle"),
        Health::Unknown => ("question-circle", "idle"),
        Health::Doubtful => ("exclamation-triangle", "wait"),
        Health::Wrong => ("exclamation-triangle", "bad"),
    }
}
