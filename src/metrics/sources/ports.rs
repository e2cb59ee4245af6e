//! Ports of the mail host, and its web interface.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};

use super::Reach;
use crate::{
    metrics::{collector::Outcome, modules::tls as m, samples::Samples},
    model::sample::{Labels, State},
    remote::{Cause, Error, http::Http, ports},
};

/// How long a server may take to accept a connection, or to greet.
const PATIENCE: Duration = Duration::from_secs(8);
/// A page of more bytes is none of Mailcow's.
const PAGE: usize = 8 << 20;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let host = reach.probes.peer()?.via;
        // A name that nobody knows is no closed port.
        ports::find(host, PATIENCE).await?;
        let tries = reach.probes.ports.iter().map(|port| ports::open_after(host, *port, PATIENCE));
        let (http, base) = reach.probes.web.as_ref().map_err(Clone::clone)?;
        let (open, answers) = tokio::join!(join_all(tries), answers(http, base.clone()));
        let numbers = reach.probes.ports.iter().map(|port| port.number);
        tell(&numbers.zip(open).collect::<Vec<_>>(), answers, out);
        Ok(())
    }
    .boxed()
}

/// Whether a page comes, or the way to one.
async fn answers(http: &Http, base: url::Url) -> bool {
    match http.fetch(base, PAGE, "Mailcow's web interface").await {
        Ok(answer) => (200..300).contains(&answer.status),
        Err(Error { cause, .. }) => matches!(cause, Cause::Redirect(_)),
    }
}

pub(super) fn tell(open: &[(u16, Option<Duration>)], answers: bool, out: &mut Samples) {
    for (port, after) in open {
        let labels = || Labels::one("port", &port.to_string());
        out.set_each(&m::EACH_PORT_OPEN, labels(), after.is_some());
        // Whole tenths: what hardly changes costs hardly anything.
        let seconds = after.map(|after| (after.as_secs_f64() * 10.0).round() / 10.0);
        let closed = || State::Unknown("the port is closed".to_owned());
        out.set_each(&m::EACH_PORT_SECONDS, labels(), seconds.map_or_else(closed, State::Number));
    }
    for (number, metric) in [(443, &m::HTTPS_CHECK), (993, &m::IMAPS_CHECK), (587, &m::SUBMISSION_CHECK)] {
        match open.iter().find(|(port, _)| *port == number) {
            Some((_, after)) => out.set(metric, after.is_some()),
            None => out.not_in_use(metric, &format!("Add {number} to PROBE_PORTS.")),
        }
    }
    out.set(&m::UI_CHECK, answers);
}
