//! Mailcow's public releases, asked of GitHub's API or of a mirror that answers as it does:
//! <https://docs.github.com/rest/releases/releases#get-the-latest-release>,
//! <https://docs.github.com/rest/commits/commits#compare-two-commits>.

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{Cause, Error, http::Http};

/// What is released.
const BRANCH: &str = "master";
/// A release has a text of some kilobytes; of a comparison one commit at most is asked for, and no files.
const LIMIT: usize = 1 << 20;

/// How far the installed version is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distance {
    /// Commits that the installed version lacks.
    pub behind: u64,
    /// When the installed version was made.
    pub made: Timestamp,
}

/// The name of the newest release, as `2026-08`.
///
/// # Errors
/// When it cannot be asked for, or the answer is none.
pub async fn latest(http: &Http, feed: &Url) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Release {
        tag_name: String,
    }
    let release: Release = ask(http, feed, &["releases", "latest"], None).await?;
    Ok(release.tag_name)
}

/// How far a version is behind what is released.
///
/// # Errors
/// When it cannot be asked for: also when there is no such version.
pub async fn distance(http: &Http, feed: &Url, version: &str) -> Result<Distance, Error> {
    #[derive(Deserialize)]
    struct Comparison {
        ahead_by: u64,
        base_commit: Base,
    }
    #[derive(Deserialize)]
    struct Base {
        commit: Commit,
    }
    #[derive(Deserialize)]
    struct Commit {
        committer: Committer,
    }
    #[derive(Deserialize)]
    struct Committer {
        date: Timestamp,
    }
    // The first page would name all files that have changed.
    let page = Some("per_page=1&page=2");
    let found: Comparison = ask(http, feed, &["compare", &format!("{version}...{BRANCH}")], page).await?;
    Ok(Distance { behind: found.ahead_by, made: found.base_commit.commit.committer.date })
}

async fn ask<T: DeserializeOwned>(
    http: &Http,
    feed: &Url,
    path: &[&str],
    query: Option<&str>,
) -> Result<T, Error> {
    let mut url = feed.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url.set_query(query);
    let target = url.to_string();
    let body = http.fetch(url, LIMIT, &target).await?.usable(&target)?;
    serde_json::from_slice(&body).map_err(|error| Error { target, cause: Cause::Json(error.to_string()) })
}
