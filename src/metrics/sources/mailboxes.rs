//! Mailboxes: counts, and what each takes.

use futures_util::FutureExt;
use serde_json::{Map, Value, json};

use super::Reach;
use crate::{
    metrics::{collector::Outcome, modules::mailboxes as m, samples::Samples},
    model::sample::{Labels, MAILBOX},
    remote::status::MailboxUse,
};

/// Mailboxes in the list of the largest.
const TOP: usize = 5;
/// Percent from which on a mailbox counts as full.
const FULL: f64 = 80.0;
pub(super) const MIB: f64 = 1_048_576.0;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        tell(&reach.mailcow.mailbox_use().await?, out);
        Ok(())
    }
    .boxed()
}

/// Whole MiB.
pub(super) fn mib(bytes: f64) -> f64 {
    (bytes / MIB).floor()
}

/// How full, in percent with one decimal; 0 without a limit.
pub(super) fn usage(used: f64, quota: f64) -> f64 {
    if quota > 0.0 { (used / quota * 1000.0).round() / 10.0 } else { 0.0 }
}

pub(super) fn tell(mailboxes: &[MailboxUse], out: &mut Samples) {
    let active = |it: &&MailboxUse| it.active == Some(1.0);
    out.set(&m::MAILBOX_TOTAL, mailboxes.len());
    out.set(&m::MAILBOX_ACTIVE, mailboxes.iter().filter(active).count());
    out.set(
        &m::MAILBOX_UNLIMITED,
        mailboxes.iter().filter(active).filter(|it| it.quota == Some(0.0)).count(),
    );
    let used: Option<f64> = mailboxes.iter().map(|it| it.quota_used).sum();
    out.set_or(&m::MAILBOX_QUOTA_USED_TOTAL, used.map(mib), "Mailcow did not tell what each mailbox takes");
    let percent =
        |it: &MailboxUse| Some((it.quota_used? / it.quota.filter(|quota| *quota > 0.0)? * 100.0).floor());
    let full: Vec<(&str, f64)> = mailboxes
        .iter()
        .filter(active)
        .filter_map(|it| Some((it.username.as_str(), percent(it).filter(|percent| *percent >= FULL)?)))
        .collect();
    out.set(&m::MAILBOX_OVER_QUOTA, full.len());
    let detail: Vec<String> = full.iter().map(|(name, percent)| format!("{name}:{percent}%")).collect();
    out.set(&m::MAILBOX_OVER_DETAIL, if detail.is_empty() { "-".to_owned() } else { detail.join(",") });
    let mut largest: Vec<(&str, f64)> =
        mailboxes.iter().filter_map(|it| Some((it.username.as_str(), it.quota_used?))).collect();
    largest.sort_by(|one, other| other.1.total_cmp(&one.1));
    let largest: Vec<String> =
        largest.iter().take(TOP).map(|(name, bytes)| format!("{name}:{}MB", mib(*bytes))).collect();
    out.set(&m::MAILBOX_TOP5, if largest.is_empty() { "-".to_owned() } else { largest.join(",") });
    let mut data = Map::new();
    for mailbox in mailboxes {
        data.insert(mailbox.username.clone(), tell_each(mailbox, out));
    }
    let list = mailboxes.iter().map(|it| {
        json!({"{#MAILBOX}": it.username, "{#DOMAIN}": it.domain, "{#ACTIVE}": it.active.unwrap_or(0.0) as i64})
    });
    out.set(&m::LLD_MAILBOXES, Value::Array(list.collect()).to_string());
    out.set(&m::LLD_MAILBOX_DATA, Value::Object(data).to_string());
}

/// The series of one mailbox; what is told of it to others as JSON.
fn tell_each(mailbox: &MailboxUse, out: &mut Samples) -> Value {
    let labels = || Labels::one(MAILBOX, &mailbox.username);
    let mut data = json!({ "domain": mailbox.domain });
    let mut note = |name: &str, metric, value: Option<f64>| {
        if let Some(value) = value {
            out.set_each(metric, labels(), value);
            data[name] = json!(value);
        }
    };
    note("active", &m::EACH_MAILBOX_ACTIVE, mailbox.active.map(|active| f64::from(u8::from(active == 1.0))));
    note("quota_mb", &m::EACH_MAILBOX_QUOTA_MB, mailbox.quota.map(mib));
    note("used_mb", &m::EACH_MAILBOX_USED_MB, mailbox.quota_used.map(mib));
    let percent = mailbox.quota_used.zip(mailbox.quota).map(|(used, quota)| usage(used, quota));
    note("usage_pct", &m::EACH_MAILBOX_USAGE_PCT, percent);
    data
}
