//! What Postfix's log said in the last hour: read from our own store, line by line, each line once.

use futures_util::FutureExt;

use self::report::tell;
use super::{
    Reach,
    window::{HOUR, Window},
};
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        modules::mailboxes::EACH_DOMAIN_ACTIVE,
        samples::Samples,
    },
    model::{
        flow::{self, Flow, Reader},
        scope::Scope,
        time::Millis,
    },
    parse::postfix,
    store::{
        ingestion, lines,
        samples::{self, Which},
    },
};

mod report;

/// The name of the log in the store.
const LOG: &str = "postfix";
/// A log that was not read for so long says nothing of the present.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Memory {
    window: Window<Flow>,
    reader: Reader,
    /// The last chunk that was counted.
    chunk: Option<i64>,
}

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let now = reach.clock.now();
        let mut memory = reach.memory.postfix.lock().await;
        let read_from = read_from(reach, now).await?;
        memory.window.cover_from(read_from);
        loop {
            let after = memory.chunk.unwrap_or(0);
            let chunk =
                lines::next_chunk(&reach.db, &Scope::All, reach.server, LOG, after, now.minus(HOUR)).await?;
            let Some((id, lines)) = chunk else { break };
            memory.chunk = Some(id);
            for line in lines {
                memory.count(line.at, &line.program, &line.text);
            }
            tokio::task::yield_now().await;
        }
        let domains = domains(reach, now).await?;
        memory.reader.forget(now.minus(HOUR));
        match memory.window.hour(now) {
            Ok(minutes) => tell(minutes, &domains, out),
            Err(why) => return Err(Trouble::Failed(why)),
        }
        Ok(())
    }
    .boxed()
}

/// The domains of this server, as their own source told them.
async fn domains(reach: &Reach, now: Millis) -> Result<Vec<String>, Trouble> {
    let wanted = Which::Metrics(&[EACH_DOMAIN_ACTIVE.key]);
    let told = samples::latest(&reach.db, &Scope::All, reach.server, wanted, now).await?;
    Ok(told.into_iter().filter_map(|series| series.labels.domain()).collect())
}

impl Memory {
    fn count(&mut self, at: Millis, program: &str, text: &str) {
        let flow = self.window.at(at);
        let step = flow::count(at, program, text, &postfix::parse(program, text), flow);
        step.into_iter().for_each(|step| self.reader.step(&step, flow));
    }
}

/// From when on no line of the log is missing.
async fn read_from(reach: &Reach, now: Millis) -> Result<Millis, Trouble> {
    let sources = ingestion::sources(&reach.db).await?;
    let log = sources.into_iter().find(|log| log.server == reach.server && log.source == LOG);
    let Some(log) = log else { return Err(Trouble::Failed("the Postfix log was not read yet".to_owned())) };
    if log.succeeded_at.is_none_or(|at| now.since(at) > PATIENCE) {
        let why = log.error.unwrap_or_else(|| "nobody reads it".to_owned());
        return Err(Trouble::Failed(format!("the Postfix log is not up to date: {why}")));
    }
    let gaps = ingestion::gaps(&reach.db, now.minus(HOUR), now).await?;
    let gap = gaps.into_iter().filter(|gap| gap.source == LOG).map(|gap| gap.to_at).max();
    Ok(log.started_at.unwrap_or(now).max(gap.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
