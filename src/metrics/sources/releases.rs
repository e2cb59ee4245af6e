//! Mailcow's public releases, and how far behind the installed version is.

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        modules::updates as m,
        samples::Samples,
    },
    remote::releases::{Distance, distance, latest},
};

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let Some(feed) = &reach.probes.releases else {
            let how = "Set RELEASES to https://api.github.com/repos/mailcow/mailcow-dockerized to have GitHub asked once an hour.";
            return Err(Trouble::NotGranted(how.to_owned()));
        };
        let http = reach.probes.public.as_ref().map_err(Clone::clone)?;
        let newest = latest(http, feed).await?;
        let installed = reach.mailcow.version().await?;
        let distance = match installed.is_empty() {
            true => Err("Mailcow did not tell its version".to_owned()),
            false => distance(http, feed, &installed).await.map_err(|error| error.to_string()),
        };
        tell(&newest, &installed, distance, out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(newest: &str, installed: &str, distance: Result<Distance, String>, out: &mut Samples) {
    out.set(&m::VERSION_LATEST, newest);
    match distance {
        Ok(Distance { behind, made }) => {
            // Who is ahead of the newest release, by a nightly build, has nothing to fetch.
            out.set(&m::UPDATES_AVAILABLE, behind > 0);
            out.set(&m::UPDATES_COMMITS_BEHIND, behind as f64);
            out.set(&m::VERSION_DATE, made.strftime("%Y-%m-%d").to_string());
        }
        Err(why) => {
            // Without a comparison, the same name still says that there is nothing newer.
            match newest == installed {
                true => out.set(&m::UPDATES_AVAILABLE, false),
                false => out.unknown(&m::UPDATES_AVAILABLE, &why),
            }
            for metric in [&m::UPDATES_COMMITS_BEHIND, &m::VERSION_DATE] {
                out.unknown(metric, &why);
            }
        }
    }
}
