//! What the host collector wrote or posted: everything that needs a look at the host.

use std::path::Path;

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        collector_file::{CollectorFile, OLDEST},
        modules,
        registry::{Origin, Privilege},
        samples::Samples,
    },
    model::time::Millis,
    store::collector_posts,
};

/// A file of more bytes is none of a collector.
const LARGEST: u64 = 64 << 20;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let text = match &reach.collector_file {
            Some(path) => read(path).await?,
            None if reach.collector_posts => posted(reach).await?,
            None => return Err(Trouble::NotGranted(Privilege::Host.grant().to_owned())),
        };
        tell(&text, reach.clock.now(), out)
    }
    .boxed()
}

async fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    let failed = |error: std::io::Error| Trouble::Failed(format!("{}: {error}", path.display()));
    if tokio::fs::metadata(path).await.map_err(failed)?.len() > LARGEST {
        return Err(Trouble::Failed(format!("{} is too large", path.display())));
    }
    tokio::fs::read(path).await.map_err(failed)
}

async fn posted(reach: &Reach) -> Result<Vec<u8>, Trouble> {
    let newest = collector_posts::newest(&reach.db, reach.server).await?;
    let text =
        newest.ok_or_else(|| Trouble::Failed("the host collector has not posted so far".to_owned()))?;
    Ok(text.into_bytes())
}

pub(super) fn tell(text: &[u8], now: Millis, out: &mut Samples) -> Result<(), Trouble> {
    let file = CollectorFile::parse(text).map_err(Trouble::Failed)?;
    let Some(written) = file.written() else {
        return Err(Trouble::Failed("the collector's file does not say when it was written".to_owned()));
    };
    let age = now.since(written);
    if age > OLDEST {
        let age = age.as_secs();
        return Err(Trouble::Failed(format!("the host collector last wrote {age} s ago: does it run?")));
    }
    if let Some(ahead) = file.ahead(now) {
        let ahead = ahead.as_secs();
        return Err(Trouble::Failed(format!(
            "the clock of the mail host is {ahead} s ahead of the portal's"
        )));
    }
    file.tell(modules::of(&[Origin::Docker, Origin::HostFiles, Origin::Host]), now, out);
    Ok(())
}
