//! The ClamAV daemon.

use std::time::Duration;

use futures_util::FutureExt;
use jiff::{civil::DateTime, fmt::strtime, tz::TimeZone};

use super::Reach;
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        modules::clamav as m,
        samples::Samples,
    },
    remote::clamd::version,
};

const PATIENCE: Duration = Duration::from_secs(5);
const LACKING: &str = "clamd has no daily database yet";

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let Some((host, port)) = &reach.probes.clamd else {
            let how = "Join the portal's container to Mailcow's Docker network, and set CLAMD to clamd:3310.";
            return Err(Trouble::NotGranted(how.to_owned()));
        };
        tell(&version(host, *port, PATIENCE).await?, out)
    }
    .boxed()
}

/// `ClamAV 1.4.3/27412/Thu Nov 19 09:32:11 2026`. The time is in clamd's own zone, which it does not tell: the age may be
/// wrong by half a day.
pub(super) fn tell(answer: &str, out: &mut Samples) -> Result<(), Trouble> {
    let Some(answer) = answer.strip_prefix("ClamAV ") else {
        let begin: String = answer.chars().take(60).collect();
        return Err(Trouble::Failed(format!("clamd answered {begin:?}")));
    };
    let mut parts = answer.splitn(3, '/');
    out.set(&m::VERSION, parts.next().unwrap_or_default());
    let daily = parts.next().and_then(|number| number.parse::<u32>().ok());
    out.set_or(&m::DAILY_VERSION, daily, LACKING);
    let build = parts.next().map(str::trim);
    out.set_or(&m::DAILY_BUILD, build, LACKING);
    let built = build.and_then(|text| strtime::parse("%a %b %e %H:%M:%S %Y", text).ok());
    let built = built.and_then(|parsed| parsed.to_datetime().ok()).and_then(seconds);
    let age = built.map(|built| (out.at().secs() - built).max(0).div_euclid(86_400));
    out.set_or(&m::DAILY_AGE, age, LACKING);
    Ok(())
}

fn seconds(moment: DateTime) -> Option<i64> {
    moment.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second())
}
