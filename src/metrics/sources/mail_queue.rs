//! The queue as Postfix lists it.

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{collector::Outcome, modules::postfix as m, samples::Samples},
    model::time::Millis,
    remote::status::QueuedMail,
};

/// Mailcow lists no more.
const MOST: usize = 10_000;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let queue = reach.mailcow.queue().await?;
        // An empty list also comes when there is no Postfix container: only one that runs makes it a zero.
        if queue.is_empty() {
            let containers = reach.mailcow.containers().await?;
            if containers.get("postfix-mailcow").is_none_or(|it| it.state != "running") {
                return Err(crate::metrics::collector::Trouble::Failed("Postfix does not run".to_owned()));
            }
        }
        tell(&queue, reach.clock.now(), out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(queue: &[QueuedMail], now: Millis, out: &mut Samples) {
    let in_queue = |name: &str| queue.iter().filter(|mail| mail.queue_name == name).count();
    if queue.len() >= MOST {
        // What lies beyond is not listed: the counts of the parts would be too small.
        let why = "the queue holds more messages than Mailcow lists";
        for metric in [&m::QUEUE_DEFERRED, &m::QUEUE_ACTIVE, &m::QUEUE_HOLD, &m::QUEUE_AGE_OLDEST_HOURS] {
            out.unknown(metric, why);
        }
        out.set(&m::PFMAILQ, queue.len());
        return;
    }
    out.set(&m::PFMAILQ, queue.len());
    out.set(&m::QUEUE_DEFERRED, in_queue("deferred"));
    out.set(&m::QUEUE_ACTIVE, in_queue("active"));
    out.set(&m::QUEUE_HOLD, in_queue("hold"));
    let deferred = queue.iter().filter(|mail| mail.queue_name == "deferred");
    let arrivals: Option<Vec<f64>> = deferred.map(|mail| mail.arrival_time).collect();
    let hours = arrivals.map(|arrivals| {
        let oldest = arrivals.into_iter().reduce(f64::min);
        oldest.map_or(0.0, |oldest| ((now.secs() as f64 - oldest) / 3600.0).max(0.0).floor())
    });
    out.set_or(&m::QUEUE_AGE_OLDEST_HOURS, hours, "a message has no arrival time");
}
