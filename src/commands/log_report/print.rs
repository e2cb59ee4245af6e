//! The report as text, in the order and with the headings of pflogsumm, so that who knows one can read the other.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use jiff::tz::TimeZone;

use super::json::{first, told_apart};
use crate::model::{
    flow::{Count, Fate, Flow, HOURLY, Names, Reason, Volume, percentile},
    time::Millis,
};

/// What names are counted as that are too many to be told apart.
const OTHERS: &str = "(others)";

/// Counts of an hour or a day.
type Hourly = [u64; HOURLY.len()];

/// Prints all sections; lists have `most` entries at most.
pub(super) fn report(flow: &Flow, zone: &TimeZone, most: usize, out: &mut impl Write) -> io::Result<()> {
    totals(flow, out)?;
    delays(flow, out)?;
    traffic(flow, zone, out)?;
    fates("Host/Domain Summary: Message Delivery", &flow.to, most, out)?;
    volumes("Host/Domain Summary: Messages Received", &flow.origins, |it| (it.count, it.bytes), most, out)?;
    fates("Delivery by Sender's Domain", &flow.from, most, out)?;
    fates("Delivery by Provider", &flow.providers, most, out)?;
    volumes("Senders by message count", &flow.senders, |it| (it.count, it.bytes), most, out)?;
    volumes("Recipients by message count", &flow.recipients, |it| (it.count, it.bytes), most, out)?;
    volumes("Senders by message size", &flow.senders, |it| (it.bytes, it.count), most, out)?;
    volumes("Recipients by message size", &flow.recipients, |it| (it.bytes, it.count), most, out)?;
    for (title, what) in [
        ("message deferral detail", Reason::Deferred),
        ("message bounce detail (by relay)", Reason::Bounced),
        ("message reject detail", Reason::Rejected),
        ("Warnings", Reason::Warning),
        ("Errors", Reason::Error),
    ] {
        reasons(title, flow, what, most, out)?;
    }
    Ok(())
}

fn heading(title: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{title}\n{}", "-".repeat(title.len()))
}

fn totals(flow: &Flow, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Grand Totals\n------------\nmessages\n")?;
    let [rejected, discarded] =
        [Count::Rejected, Count::Discarded].map(|count| flow.share(count).unwrap_or(0));
    let deferrals = match flow.count(Count::Deferrals) {
        0 => String::new(),
        count => format!("  ({}  deferrals)", short(count)),
    };
    for (number, words) in [
        (flow.count(Count::Received), "received".to_owned()),
        (flow.count(Count::Delivered), "delivered".to_owned()),
        (flow.count(Count::Forwarded), "forwarded".to_owned()),
        (flow.deferred.len() as u64, format!("deferred{deferrals}")),
        (flow.count(Count::Bounced), "bounced".to_owned()),
        (flow.count(Count::Expired), "expired".to_owned()),
        (flow.count(Count::Rejected), format!("rejected ({rejected}%)")),
        (flow.count(Count::RejectWarnings), "reject warnings".to_owned()),
        (flow.count(Count::Held), "held".to_owned()),
        (flow.count(Count::Discarded), format!("discarded ({discarded}%)")),
    ] {
        writeln!(out, "{:>8}   {words}", short(number))?;
    }
    writeln!(out)?;
    let destinations = flow.to.iter().filter(|(_, fate)| fate.delivered.count > 0).count();
    for (number, words) in [
        (flow.bytes_received, "bytes received"),
        (flow.bytes_delivered, "bytes delivered"),
        (flow.senders.len() as u64, "senders"),
        (flow.origins.len() as u64, "sending hosts/domains"),
        (flow.recipients.len() as u64, "recipients"),
        (destinations as u64, "recipient hosts/domains"),
    ] {
        writeln!(out, "{:>8}   {words}", short(number))?;
    }
    if !told_apart(flow) {
        writeln!(
            out,
            "\nThere were more names than are told apart: those that count least are counted as others,"
        )?;
        writeln!(
            out,
            "and numbers of senders, recipients, hosts and deferred mails are the least that there were."
        )?;
    }
    Ok(())
}

fn delays(flow: &Flow, out: &mut impl Write) -> io::Result<()> {
    heading("Delivery Time", out)?;
    let all: u64 = flow.delays.values().sum();
    if all == 0 {
        return writeln!(out, " nothing was delivered");
    }
    let sum: u64 = flow.delays.iter().map(|(delay, count)| delay * count).sum();
    let share = |share| span(percentile(&flow.delays, share).unwrap_or(0) as f64);
    let (half, ninety, most, longest) = (share(0.5), share(0.9), share(0.99), share(1.0));
    let average = span(sum as f64 / all as f64);
    writeln!(
        out,
        " average {average}, 50% within {half}, 90% within {ninety}, 99% within {most}, longest {longest}"
    )
}

fn traffic(flow: &Flow, zone: &TimeZone, out: &mut impl Write) -> io::Result<()> {
    let mut days: BTreeMap<String, Hourly> = BTreeMap::new();
    let mut hours: BTreeMap<i8, Hourly> = (0..24).map(|hour| (hour, Hourly::default())).collect();
    for (hour, counts) in &flow.hours {
        let local = Millis(hour * 3_600_000).in_zone(zone);
        for sums in
            [days.entry(local.date().to_string()).or_default(), hours.entry(local.hour()).or_default()]
        {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    if days.len() > 1 {
        heading("Per-Day Traffic Summary", out)?;
        table("date", days.iter().map(|(day, counts)| (day.clone(), *counts)), out)?;
    }
    heading("Per-Hour Traffic Summary", out)?;
    let label = |hour: i8| format!("{hour:02}00-{:02}00", hour + 1);
    table("time", hours.into_iter().map(|(hour, counts)| (label(hour), counts)), out)
}

fn table(first: &str, rows: impl Iterator<Item = (String, Hourly)>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "    {first:<12}  received  delivered  deferrals    bounced   rejected")?;
    for (name, counts) in rows {
        let cells: String = counts.iter().map(|count| format!("{:>11}", short(*count))).collect();
        writeln!(out, "    {name:<11}{cells}")?;
    }
    Ok(())
}

fn fates(title: &str, names: &Names<Fate>, most: usize, out: &mut impl Write) -> io::Result<()> {
    heading(title, out)?;
    writeln!(out, "    sent    bytes   defers  bounced   rate   avg dly   max dly  host/domain")?;
    let list = first(names.iter(), most, Fate::attempts).into_iter();
    for (name, fate) in list.chain(names.others().map(|others| (OTHERS, others))) {
        let average = match fate.delivered.count {
            0 => "-".to_owned(),
            count => span(fate.delay_sum as f64 / count as f64),
        };
        let rate = fate.rate().map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}%"));
        writeln!(
            out,
            "{:>8} {:>8} {:>8} {:>8} {rate:>6} {average:>9} {:>9}  {}",
            short(fate.delivered.count),
            short(fate.delivered.bytes),
            short(fate.deferrals),
            short(fate.bounced),
            span(fate.delay_max as f64),
            plain(name),
        )?;
    }
    Ok(())
}

fn volumes(
    title: &str,
    names: &Names<Volume>,
    by: impl Fn(&Volume) -> (u64, u64),
    most: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    heading(title, out)?;
    writeln!(out, "   count    bytes")?;
    let list = first(names.iter(), most, by).into_iter();
    for (name, volume) in list.chain(names.others().map(|others| (OTHERS, others))) {
        writeln!(out, "{:>8} {:>8}  {}", short(volume.count), short(volume.bytes), plain(name))?;
    }
    Ok(())
}

fn reasons(title: &str, flow: &Flow, what: Reason, most: usize, out: &mut impl Write) -> io::Result<()> {
    let places: BTreeMap<_, _> = flow.reasons.get(&what).into_iter().flatten().collect();
    if places.is_empty() {
        return writeln!(out, "\n{title}: none");
    }
    heading(title, out)?;
    for (place, texts) in places {
        let all: u64 = texts.values().sum();
        writeln!(out, "  {} (total: {})", plain(place), short(all))?;
        let texts = texts.iter().map(|(text, count)| (text.as_str(), count));
        for (text, count) in first(texts, most, |count| *count) {
            writeln!(out, "  {:>8}   {}", short(*count), plain(text))?;
        }
    }
    Ok(())
}

/// Strangers chose these words: none may steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A number as pflogsumm shortens it: `k` above 512 Ki, `m` above 512 Mi.
fn short(number: u64) -> String {
    const KIB: u64 = 1024;
    match number {
        number if number > 512 * KIB * KIB => format!("{}m", number / (KIB * KIB)),
        number if number > 512 * KIB => format!("{}k", number / KIB),
        number => number.to_string(),
    }
}

/// Milliseconds as `1.2 s`, `35.0 m`, `1.1 h` or `2.0 d`.
fn span(milliseconds: f64) -> String {
    let seconds = milliseconds / 1000.0;
    match seconds {
        seconds if seconds < 60.0 => format!("{seconds:.1} s"),
        seconds if seconds < 3600.0 => format!("{:.1} m", seconds / 60.0),
        seconds if seconds < 86_400.0 => format!("{:.1} h", seconds / 3600.0),
        seconds => format!("{:.1} d", seconds / 86_400.0),
    }
}
