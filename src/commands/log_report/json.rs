//! The report as one JSON object.

use serde_json::{Map, Value, json};

use crate::model::{
    flow::{Count, Fate, Flow, HOURLY, Names, Reason, Volume, percentile},
    time::Millis,
};

/// Counts with their names in the object.
const COUNTS: [(&str, Count); 9] = [
    ("received", Count::Received),
    ("delivered", Count::Delivered),
    ("forwarded", Count::Forwarded),
    ("bounced", Count::Bounced),
    ("expired", Count::Expired),
    ("rejected", Count::Rejected),
    ("reject_warnings", Count::RejectWarnings),
    ("held", Count::Held),
    ("discarded", Count::Discarded),
];

/// The object. Lists have `most` entries at most. Delays are in seconds, times are of UTC.
pub(super) fn object(flow: &Flow, most: usize) -> Value {
    let mut totals: Map<String, Value> =
        COUNTS.iter().map(|(name, count)| ((*name).to_owned(), flow.count(*count).into())).collect();
    for (name, value) in [
        ("deferred", flow.deferred.len() as u64),
        ("deferrals", flow.count(Count::Deferrals)),
        ("bytes_received", flow.bytes_received),
        ("bytes_delivered", flow.bytes_delivered),
        ("senders", flow.senders.len() as u64),
        ("sending_domains", flow.origins.len() as u64),
        ("recipients", flow.recipients.len() as u64),
        ("recipient_domains", flow.to.iter().filter(|(_, fate)| fate.delivered.count > 0).count() as u64),
    ] {
        totals.insert(name.to_owned(), value.into());
    }
    // Beyond so many, names are counted together: then their numbers are the least that there were.
    totals.insert("names_are_all".to_owned(), told_apart(flow).into());
    totals.insert("reject_rate".to_owned(), json!(flow.share(Count::Rejected)));
    json!({
        "totals": totals,
        "delay": delay(flow),
        "hours": hours(flow),
        "senders": volumes(&flow.senders, most),
        "recipients": volumes(&flow.recipients, most),
        "sending_domains": volumes(&flow.origins, most),
        "recipient_domains": fates(&flow.to, most),
        "rate_by_sender_domain": fates(&flow.from, most),
        "providers": fates(&flow.providers, most),
        "deferred": reasons(flow, Reason::Deferred, most),
        "bounced": reasons(flow, Reason::Bounced, most),
        "rejected": reasons(flow, Reason::Rejected, most),
        "warnings": reasons(flow, Reason::Warning, most),
        "errors": reasons(flow, Reason::Error, most),
    })
}

/// Whether there were no more names and mails than are told apart.
pub(super) fn told_apart(flow: &Flow) -> bool {
    let volumes = [&flow.senders, &flow.origins, &flow.recipients];
    let fates = [&flow.from, &flow.to, &flow.providers];
    volumes.iter().all(|names| names.others().is_none())
        && fates.iter().all(|names| names.others().is_none())
        && !flow.deferred.is_open()
}

fn delay(flow: &Flow) -> Value {
    let all: u64 = flow.delays.values().sum();
    let sum: u64 = flow.delays.iter().map(|(delay, count)| delay * count).sum();
    let average = (all > 0).then(|| sum as f64 / all as f64 / 1000.0);
    let share = |share| percentile(&flow.delays, share).map(|delay| delay as f64 / 1000.0);
    json!({ "average": average, "p50": share(0.5), "p90": share(0.9), "p99": share(0.99), "longest": share(1.0) })
}

fn hours(flow: &Flow) -> Value {
    let names = ["received", "delivered", "deferrals", "bounced", "rejected"];
    const { assert!(HOURLY.len() == 5) };
    let row = |(hour, counts): (&i64, &[u64; HOURLY.len()])| {
        let mut row: Map<String, Value> =
            names.iter().zip(counts).map(|(name, count)| ((*name).to_owned(), (*count).into())).collect();
        let start = Millis(hour * 3_600_000).in_zone(&jiff::tz::TimeZone::UTC).timestamp();
        row.insert("from".to_owned(), start.to_string().into());
        Value::Object(row)
    };
    flow.hours.iter().map(row).collect()
}

/// The `most` first entries of a map in order: greatest first, then by name.
pub(super) fn first<'a, T, O: Ord>(
    all: impl Iterator<Item = (&'a str, &'a T)>,
    most: usize,
    by: impl Fn(&T) -> O,
) -> Vec<(&'a str, &'a T)> {
    let mut list: Vec<(&str, &T)> = all.collect();
    let order = |(a, x): &(&str, &T), (b, y): &(&str, &T)| by(y).cmp(&by(x)).then(a.cmp(b));
    if most < list.len() {
        list.select_nth_unstable_by(most, order);
        list.truncate(most);
    }
    list.sort_unstable_by(order);
    list
}

fn volumes(names: &Names<Volume>, most: usize) -> Value {
    let row = |(name, volume): (&str, &Volume)| json!({ "name": name, "count": volume.count, "bytes": volume.bytes });
    first(names.iter(), most, |volume| (volume.count, volume.bytes)).into_iter().map(row).collect()
}

fn fates(names: &Names<Fate>, most: usize) -> Value {
    let row = |(name, fate): (&str, &Fate)| {
        let average =
            (fate.delivered.count > 0).then(|| fate.delay_sum as f64 / fate.delivered.count as f64 / 1000.0);
        json!({
            "name": name,
            "delivered": fate.delivered.count,
            "bytes": fate.delivered.bytes,
            "deferrals": fate.deferrals,
            "bounced": fate.bounced,
            "rate": fate.rate(),
            "delay_average": average,
            "delay_longest": fate.delay_max as f64 / 1000.0,
        })
    };
    first(names.iter(), most, Fate::attempts).into_iter().map(row).collect()
}

fn reasons(flow: &Flow, what: Reason, most: usize) -> Value {
    let places = flow.reasons.get(&what).into_iter().flatten();
    places
        .map(|(place, texts)| {
            let texts = texts.iter().map(|(text, count)| (text.as_str(), count));
            let list = first(texts, most, |count| *count).into_iter();
            let list: Vec<Value> =
                list.map(|(text, count)| json!({ "text": text, "count": count })).collect();
            (place.clone(), Value::from(list))
        })
        .collect::<Map<String, Value>>()
        .into()
}
