//! What the host collector wrote: everything that needs a look at the host.

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        collector_file::CollectorFile,
        modules,
        registry::{Origin, Privilege},
        samples::Samples,
    },
    model::time::Millis,
};

/// What is older says nothing of the present: also the Zabbix package says so.
const OLDEST: u64 = 300;
/// A file of more bytes is none of a collector.
const LARGEST: u64 = 64 << 20;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let Some(path) = &reach.collector_file else {
            return Err(Trouble::NotGranted(Privilege::Host.grant().to_owned()));
        };
        let failed = |error: std::io::Error| Trouble::Failed(format!("{}: {error}", path.display()));
        if tokio::fs::metadata(path).await.map_err(failed)?.len() > LARGEST {
            return Err(Trouble::Failed(format!("{} is too large", path.display())));
        }
        tell(&tokio::fs::read(path).await.map_err(failed)?, reach.clock.now(), out)
    }
    .boxed()
}

pub(super) fn tell(text: &[u8], now: Millis, out: &mut Samples) -> Result<(), Trouble> {
    let file = CollectorFile::parse(text).map_err(Trouble::Failed)?;
    let Some(written) = file.written() else {
        return Err(Trouble::Failed("the collector's file does not say when it was written".to_owned()));
    };
    let age = now.since(written).as_secs();
    if age > OLDEST {
        return Err(Trouble::Failed(format!("the host collector last wrote {age} s ago: does it run?")));
    }
    file.tell(modules::of(&[Origin::Docker, Origin::HostFiles, Origin::Host]), now, out);
    Ok(())
}
