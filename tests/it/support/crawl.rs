//! Follows the links of the portal as a visitor would, and keeps what it saw.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use scraper::{Html, Selector};

use super::portal::{Answer, Surfer};

/// Pages with other queries that are looked at for one path.
const QUERIES: usize = 8;

/// Visits `starts` and whatever they lead to, as long as the path begins with one of `areas`; each address once.
pub async fn crawl(surfer: &Surfer, starts: &[&str], areas: &[&str]) -> BTreeMap<String, Answer> {
    let mut waiting: VecDeque<String> = starts.iter().map(|&start| start.to_owned()).collect();
    let mut queries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    while let Some(address) = waiting.pop_front() {
        let (path, query) = address.split_once('?').unwrap_or((&address, ""));
        let known = queries.entry(path.to_owned()).or_default();
        if known.len() >= QUERIES || !known.insert(query.to_owned()) {
            continue;
        }
        let answer = surfer.clone().get(&address).await;
        let wanted = |path: &&String| areas.iter().any(|area| path.starts_with(area));
        waiting.extend(links(&answer.body).iter().filter(wanted).cloned());
        seen.insert(address, answer);
        assert!(seen.len() < 3_000, "the links never end");
    }
    seen
}

/// The addresses within the portal that a page links to, without the base path.
fn links(page: &str) -> Vec<String> {
    let anchors = Selector::parse("a[href]").unwrap();
    let page = Html::parse_document(page);
    let hrefs = page.select(&anchors).filter_map(|anchor| anchor.value().attr("href"));
    let inside = hrefs.filter_map(|href| href.strip_prefix("/status"));
    inside.map(|path| path.split('#').next().unwrap_or_default().to_owned()).collect()
}
