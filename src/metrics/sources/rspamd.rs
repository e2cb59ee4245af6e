//! Rspamd's counters, and what its Bayes filter learned.

use futures_util::FutureExt;

use super::{Reach, window};
use crate::{
    metrics::{collector::Outcome, modules::rspamd as m, registry::Metric, samples::Samples},
    model::{history::Span, mail::ServerId, scope::Scope, time::Millis},
    remote::status::RspamdStats,
    store::{
        self, Db,
        samples::{Track, tracks},
    },
};

/// Said of a counter that the reply lacks.
const LACKING: &str = "Rspamd did not tell it";

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let stats = reach.mailcow.rspamd_stats().await?;
        let now = reach.clock.now();
        let past = past(&reach.db, reach.server, now).await?;
        tell(&stats, &past, now, out);
        Ok(())
    }
    .boxed()
}

/// What the share of spam is made of, over the last hour: scanned, rejected, marked.
const COUNTED: [&Metric; 3] = [&m::SCANNED, &m::REJECT_TOTAL, &m::ADD_HEADER];

/// The histories of [`COUNTED`] in the last hour, so that a restart of the portal costs nothing of it.
async fn past(db: &Db, server: ServerId, now: Millis) -> store::Result<Vec<Track>> {
    let keys = COUNTED.map(|metric| metric.key);
    tracks(db, &Scope::All, server, &keys, (now.minus(window::HOUR), now)).await
}

pub(super) fn tell(stats: &RspamdStats, past: &[Track], now: Millis, out: &mut Samples) {
    for (metric, action) in [
        (&m::GREYLIST, "greylist"),
        (&m::HAM, "no action"),
        (&m::REWRITE, "rewrite subject"),
        (&m::SOFT_REJECT, "soft reject"),
        (&m::SPAM, "reject"),
        (&m::REJECT_TOTAL, "reject"),
        (&m::ADD_HEADER, "add header"),
    ] {
        out.set_or(metric, stats.actions.get(action).copied(), LACKING);
    }
    out.set_or(&m::LEARNED, stats.learned, LACKING);
    out.set_or(&m::SCANNED, stats.scanned, LACKING);
    out.set_or(&m::UPTIME, stats.uptime, LACKING);
    out.set_or(&m::VERSION, stats.version.clone(), LACKING);
    let told = stats.actions.iter().filter(|(_, count)| **count > 0.0);
    let told: Vec<String> =
        told.map(|(action, count)| format!("{}:{count}", action.replace(' ', "_"))).collect();
    out.set(&m::ACTION_DETAIL, if told.is_empty() { "-".to_owned() } else { told.join(",") });
    let spam = ["reject", "add header"].map(|action| stats.actions.get(action).copied());
    match (stats.scanned, spam) {
        (Some(scanned), [Some(rejected), Some(marked)]) => {
            let counts = Counts { scanned, spam: rejected + marked };
            match rate(past, counts, now) {
                Ok(rate) => out.set_or(&m::SPAM_RATE, rate, "nothing was scanned in the last hour"),
                Err(why) => out.unknown(&m::SPAM_RATE, &why),
            }
        }
        _ => out.unknown(&m::SPAM_RATE, LACKING),
    }
    tell_bayes(stats, out);
}

/// Rspamd's counters at one moment.
#[derive(Debug, Clone, Copy)]
struct Counts {
    scanned: f64,
    spam: f64,
}

/// The share of spam in the last hour, in percent; none where nothing was scanned. An error as long as the counters of an
/// hour ago are not known.
fn rate(past: &[Track], counts: Counts, now: Millis) -> Result<Option<f64>, String> {
    let before = earlier(past);
    window::covers(Some(before.first().map_or(now, |(at, _)| *at)), now)?;
    let (mut scanned, mut spam) = (0.0, 0.0);
    let all: Vec<Counts> = before.into_iter().map(|(_, counts)| counts).chain([counts]).collect();
    for pair in all.windows(2) {
        let [one, next] = pair else { continue };
        // Counters that fell began anew.
        let fell = next.scanned < one.scanned;
        scanned += if fell { next.scanned } else { next.scanned - one.scanned };
        spam += if fell { next.spam } else { (next.spam - one.spam).max(0.0) };
    }
    Ok((scanned > 0.0).then(|| (spam / scanned * 1000.0).round() / 10.0))
}

/// The counters at each moment at which the number of scanned mails is known, oldest first.
fn earlier(past: &[Track]) -> Vec<(Millis, Counts)> {
    let pieces = |metric: &Metric| {
        let own = past.iter().find(|track| track.metric == metric.key);
        own.map(|track| track.pieces.as_slice()).unwrap_or_default()
    };
    let [scanned, rejected, marked] = COUNTED.map(pieces);
    let at = |pieces: &[Span], at: Millis| {
        pieces.iter().find(|piece| piece.at <= at && at < piece.until).and_then(|piece| piece.last)
    };
    let counts = |piece: &Span| {
        let spam = at(rejected, piece.at)? + at(marked, piece.at)?;
        Some((piece.at, Counts { scanned: piece.last?, spam }))
    };
    scanned.iter().filter_map(counts).collect()
}

fn tell_bayes(stats: &RspamdStats, out: &mut Samples) {
    let learned = |symbol: &str| {
        let files = stats.statfiles.iter().filter(|file| file.symbol == symbol);
        // With Bayes per user there are several files of one symbol.
        files
            .map(|file| file.revision)
            .reduce(|one, other| one.zip(other).map(|(one, other)| one + other))
            .flatten()
    };
    let (ham, spam) = (learned("BAYES_HAM"), learned("BAYES_SPAM"));
    out.set_or(&m::BAYES_HAM_LEARNED, ham, LACKING);
    out.set_or(&m::BAYES_SPAM_LEARNED, spam, LACKING);
    let Some((ham, spam)) = ham.zip(spam) else {
        for metric in [&m::BAYES_TOTAL_LEARNED, &m::BAYES_RATIO, &m::BAYES_STATUS] {
            out.unknown(metric, LACKING);
        }
        return;
    };
    let total = ham + spam;
    out.set(&m::BAYES_TOTAL_LEARNED, total);
    let ratio = (total > 0.0).then(|| (ham / total * 1000.0).round() / 10.0);
    out.set_or(&m::BAYES_RATIO, ratio, "nothing was learned yet");
    let status = match total {
        0.0 => "untrained",
        ..200.0 => "low",
        _ if ham < 50.0 || spam < 50.0 => "unbalanced",
        ..1000.0 => "good",
        _ => "excellent",
    };
    out.set(&m::BAYES_STATUS, status);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::sample::State,
        store::{
            fresh::databases,
            samples::{Batch, Book},
        },
    };

    const SERVER: ServerId = ServerId(1);
    const START: Millis = Millis::from_secs(1_795_132_800);

    #[tokio::test]
    async fn the_share_of_spam_is_that_of_the_last_hour_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            // Each look is that of a portal that was just started.
            let look = async |minute: i64, scanned: u32, spam: u32| {
                let text = format!(
                    r#"{{"scanned":{scanned},"actions":{{"reject":{},"add header":{}}}}}"#,
                    spam / 2,
                    spam - spam / 2
                );
                let (stats, at) = (serde_json::from_str(&text).unwrap(), Millis(START.0 + minute * 60_000));
                let past = past(&db, SERVER, at).await.unwrap();
                let mut out = Samples::new(at);
                tell(&stats, &past, at, &mut out);
                let (took, period, samples) = (Duration::ZERO, Duration::from_secs(60), out.list());
                let batch =
                    Batch { server: SERVER, source: "rspamd", at, took, period, error: None, samples };
                Book::default().append(&db, batch).await.unwrap();
                samples.iter().find(|it| it.metric == m::SPAM_RATE.key).unwrap().state.clone()
            };
            let unknown = |why: &str| State::Unknown(why.to_owned());
            let soon = |minutes: u32| unknown(&format!("counted for {minutes} of the 60 minutes so far"));
            assert_eq!(look(0, 1000, 500).await, soon(0), "not the share since Rspamd was started");
            for minute in 1..60 {
                let state = look(minute, 1000, 500).await;
                assert!(minute == 59 || state == soon(minute as u32), "{minute}: {state:?}");
            }
            assert_eq!(look(60, 1010, 501).await, State::Number(10.0));
            assert_eq!(look(61, 1010, 501).await, State::Number(10.0));
            assert_eq!(look(62, 4, 1).await, State::Number(14.3), "counters that began anew: 2 of 14");
            assert_eq!(look(80, 24, 1).await, State::Number(5.9), "a pause within the hour: 2 of 34");
            for minute in 81..144 {
                look(minute, 24, 1).await;
            }
            assert_eq!(look(144, 24, 1).await, unknown("nothing was scanned in the last hour"));
            assert_eq!(look(300, 1024, 901).await, soon(0), "what came in hours is not that of the last");
            assert_eq!(look(330, 1034, 901).await, soon(30));
            for minute in 331..360 {
                look(minute, 1034, 901).await;
            }
            assert_eq!(look(360, 1034, 901).await, State::Number(0.0));
            db.close().await;
        }
    }
}
