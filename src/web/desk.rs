//! The handlers of the pages that people read: take the visitor and the query, ask `store`, build the view, render.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get, post},
};
use futures_util::stream;

use super::{
    errors::{Bare, WebError},
    operation::run_by_hand,
    pages::{
        csv,
        find::{self, Asked, Question},
        frame::Entry,
        ingestion,
        known::Known,
        mail, mails,
        mails::Whose,
        paste, proof,
        query::Query,
        reports, start,
    },
    state::AppState,
    system,
    visit::{Desk, Fresh, render},
};
use crate::{
    metrics::health::judge,
    model::{
        filter::{Filter, Place},
        mail::{MailId, VisibleMail},
        open::Open,
        time::Millis,
    },
    parse::postfix,
    store::{
        self,
        audit::Action,
        ingestion::{Gap, Source},
        lines, mails as shelf, opens, scans,
    },
};

/// Rows of one piece of an export.
const EXPORT_PIECE: usize = 500;
/// A pasted text is looked at up to this many bytes.
const PASTE: usize = 1 << 20;
/// How long after its last fact a gap may still be part of a mail's story.
const AFTERMATH: Duration = Duration::from_secs(60);

/// `/`: is my mail all right?
pub fn start_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        if let Some(old) = old_address(&desk) {
            return Ok(old.into_response());
        }
        let now = desk.now();
        let week = start::week_begin(&desk.frame);
        // To the minute, so that the same is asked again.
        let minute = Millis(now.0 - now.0.rem_euclid(60_000));
        let end = minute.plus(Duration::from_secs(61));
        let Fresh { lists, sources, gaps } = desk.freshness_of_list(Entry::Start, week, end).await?;
        let mut found = Vec::new();
        for filter in start::filters((week, end)) {
            found.push(lists.page(&filter, Place::Newest, start::TROUBLES).await?);
        }
        let latest = lists.page(&Filter::default(), Place::Newest, start::LATEST).await?;
        let hours = lists.hours(week, end).await?;
        let shown = found.iter().flat_map(|page| &page.mails).chain(&latest.mails);
        desk.looked_at_list(Action::Mails, "", shown);
        // The system is the admins' alone.
        let series = if desk.frame.is_admin() { system::notable(&desk).await? } else { Vec::new() };
        let healths = if desk.frame.is_admin() { judge(&series) } else { Vec::new() };
        let since = system::begins(&desk, &healths, start::LOOKS).await?;
        let whose = desk.whose();
        let dictionary = desk.dictionary().await?;
        let input = start::Input {
            found: &found,
            latest: &latest.mails,
            hours: &hours,
            sources: &sources,
            gaps: &gaps,
            whose: &whose,
            healths: &healths,
            since: &since,
        };
        render(&start::view(&desk.frame, &dictionary, input))
    })
}

/// Addresses of the PHP app lead on, with their filters.
fn old_address(desk: &Desk) -> Option<Redirect> {
    let pairs = || url::form_urlencoded::parse(desk.query.as_bytes());
    let value = |wished: &str| pairs().find(|(name, _)| name == wished).map(|(_, value)| value);
    match &*value("task")? {
        "monitor" => {}
        "dmarc" => return Some(Redirect::to(&reports::Query::parse(&desk.query).link(&desk.frame))),
        "ajax" if value("action").as_deref() == Some("dmarc-report") => {
            let serial: i64 = value("report_id")?.parse().ok()?;
            return Some(Redirect::to(&desk.frame.url(&format!("/dmarc/reports/{serial}"))));
        }
        "download" if value("action").as_deref() == Some("dmarc-xml") => {
            let serial: i64 = value("report_id")?.parse().ok()?;
            return Some(Redirect::to(&desk.frame.url(&format!("/dmarc/reports/{serial}/xml"))));
        }
        // Also `logout`: whoever follows a link must not be signed out by it.
        _ => return Some(Redirect::to(&desk.frame.url("/"))),
    }
    let query = old_filters(&desk.query);
    let mark = if query.is_empty() { "" } else { "?" };
    Some(Redirect::to(&desk.frame.url(&format!("/mails{mark}{query}"))))
}

/// The query of the list that asks for what a filter of the PHP app's list asked for. What has no like is handed on as it is:
/// the list says that it does not understand it.
fn old_filters(query: &str) -> String {
    const STATUSES: [(&str, &str); 7] = [
        ("status", "sent"),
        ("status", "delayed"),
        ("status", "bounced"),
        ("opened", "1"),
        ("status", "soft-rejected"),
        ("status", "rejected"),
        ("status", "junk"),
    ];
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let value = value.trim().to_owned();
        if value.is_empty() {
            continue;
        }
        match &*name {
            "timestamp" => pairs.extend([("from", value.clone()), ("to", value)]),
            "recipient" => pairs.push(("rcpt", value)),
            "status" => pairs.push(match value.parse::<usize>().ok().and_then(|code| STATUSES.get(code)) {
                Some((name, word)) => (name, (*word).to_owned()),
                None => ("status", value),
            }),
            "ip" => pairs.push((if is_part_of_ip(&value) { "q" } else { "ip" }, value)),
            "queue_id" => pairs.push(("queue_id", value)),
            "message_id" => pairs.push(("message_id", value)),
            "sender" => pairs.push(("sender", value)),
            "subject" => pairs.push(("subject", value)),
            "attachment" => pairs.push(("attachment", value)),
            _ => {}
        }
    }
    // The app's list had no days of its own: its filters looked at all mails.
    if !pairs.is_empty() && !pairs.iter().any(|(name, _)| *name == "from") {
        pairs.push(("from", "any".to_owned()));
    }
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Such as `192.0.2`, which the PHP app found in addresses.
fn is_part_of_ip(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_err()
        && text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':'))
}

/// `/mails`: the list.
pub fn mails_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        let query = Query::parse(&desk.query);
        let filter = query.filter(&desk.frame.formats.zone, desk.now(), desk.state.opens.key());
        let (from, to) = (filter.from.unwrap_or(Millis(0)), filter.to.unwrap_or(Millis(i64::MAX)));
        let Fresh { lists, sources, gaps } = desk.freshness_of_list(Entry::Mails, from, to).await?;
        let key = desk.state.opens.key();
        let page = lists.page_with_opens(&filter, query.place(), mails::PER_PAGE, key).await?;
        let (page, opened) = &*page;
        let words = searched(&query);
        let action = if words.is_empty() { Action::Mails } else { Action::Search };
        desk.looked_at_list(action, &words, &page.mails);
        let whose = desk.whose();
        let dictionary = desk.dictionary().await?;
        let input = mails::Input {
            page,
            opened,
            known: known(&desk, &sources, &gaps, (filter.from, filter.to)),
            whose: &whose,
            retention_days: desk.retention_days().1,
        };
        let made = mails::Rows::made_for(&desk.frame);
        let kept = made.as_ref().and_then(|made| lists.recall(&filter, query.place(), made));
        let kept = kept.filter(|rows: &Arc<mails::Rows>| Arc::ptr_eq(&rows.dictionary, &dictionary));
        let rows = kept.unwrap_or_else(|| {
            let rows = Arc::new(mails::Rows::new(&desk.frame, dictionary, &query, input));
            if let Some(made) = &made {
                lists.keep(&filter, query.place(), made, Arc::clone(&rows));
            }
            rows
        });
        render(&mails::view(&desk.frame, &query, input, &rows))
    })
}

/// What a query searches for, without where its page begins and how its rows look.
fn searched(query: &Query) -> String {
    let rest = query.at(Place::Newest).without("ids", None).link();
    rest.trim_start_matches('?').to_owned()
}

/// `/mails.csv`: what the filter shows, complete, one line a visible recipient.
pub fn mails_csv() -> MethodRouter<AppState> {
    get(async |desk: Desk| {
        desk.admit_export()?;
        let query = Query::parse(&desk.query);
        let complaints = mails::complaints(&desk.frame, &query);
        if !complaints.is_empty() {
            return Ok(refused_export(&desk, &complaints));
        }
        let filter = query.filter(&desk.frame.formats.zone, desk.now(), desk.state.opens.key());
        let words = searched(&query);
        let name = csv::file_name(&export_name(&desk), &query, &desk.frame.formats);
        let disposition = format!("attachment; filename=\"{name}\"");
        let begin = Export { desk, filter, words, place: Some(Place::Newest), first: true };
        let rows = stream::try_unfold(begin, export_piece);
        let mut response = Body::from_stream(rows).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        let disposition = HeaderValue::from_str(&disposition).map_err(WebError::broken)?;
        headers.insert(header::CONTENT_DISPOSITION, disposition);
        Ok::<_, WebError>(response)
    })
}

/// A file of other mails than those asked for would be taken for the right one.
fn refused_export(desk: &Desk, complaints: &[String]) -> Response {
    let text = format!("{}\n{}\n", complaints.join("\n"), desk.frame.t("mails.export.refused"));
    (StatusCode::BAD_REQUEST, Extension(Bare), text).into_response()
}

/// An export under way: what is left of it.
struct Export {
    desk: Desk,
    filter: Filter,
    words: String,
    place: Option<Place>,
    first: bool,
}

async fn export_piece(export: Export) -> Result<Option<(String, Export)>, std::io::Error> {
    let Export { desk, filter, words, place, first } = export;
    let Some(place) = place else { return Ok(None) };
    let page = shelf::search(desk.db(), desk.scope(), &filter, place, EXPORT_PIECE).await;
    let page = page.map_err(|error| {
        tracing::error!(%error, "an export broke off");
        std::io::Error::other("the export broke off")
    })?;
    let mut text = if first { csv::HEAD.to_owned() } else { String::new() };
    for mail in &page.mails {
        csv::write(&mut text, mail, &desk.frame.formats);
    }
    desk.looked(Action::Export, &words, desk.owners(&page.mails));
    let place = page.older.map(Place::Before);
    Ok(Some((text, Export { desk, filter, words, place, first: false })))
}

fn export_name(desk: &Desk) -> String {
    match desk.whose() {
        Whose::All => "all".to_owned(),
        Whose::Domains(domains) => domains.join("_"),
        Whose::Own => desk.visitor.address.clone(),
    }
}

/// The parts of a story.
struct Told {
    mail: VisibleMail,
    related: Vec<VisibleMail>,
    symbols: Vec<crate::model::scan::Symbol>,
    lines: lines::Lines,
    opens: Vec<Open>,
    gaps: Arc<Vec<Gap>>,
}

async fn told(desk: &mut Desk, id: &str, action: Action) -> Result<Told, WebError> {
    let id = id.parse().map(MailId).map_err(|_| WebError::NotFound)?;
    let mail = shelf::find(desk.db(), desk.scope(), id).await?.ok_or(WebError::NotFound)?;
    let end = if mail.status.is_final() { mail.last_seen.plus(AFTERMATH) } else { desk.now() };
    let Fresh { gaps, .. } = desk.freshness(Entry::Mails, mail.first_seen, end).await?;
    let (db, scope) = (desk.db(), desk.scope());
    let related = shelf::related(db, scope, &mail).await?;
    let symbols = scans::symbols(db, scope, &mail).await?;
    let lines = lines::of_mail(db, scope, &mail, postfix::parse).await?;
    let opens = opens::of_mail(db, scope, desk.state.opens.key(), &mail).await?;
    desk.looked(action, &id.0.to_string(), desk.owners([&mail]));
    Ok(Told { mail, related, symbols, lines, opens, gaps })
}

impl Told {
    fn input<'a>(&'a self, back: Option<&'a str>, retention_days: (i64, i64)) -> mail::Input<'a> {
        mail::Input {
            mail: &self.mail,
            related: &self.related,
            symbols: &self.symbols,
            lines: &self.lines,
            opens: &self.opens,
            gaps: &self.gaps,
            back,
            retention_days,
        }
    }
}

/// `/mails/{id}`: the story. A foreign, missing or pruned id is not found, all the same.
pub fn mail_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk, Path(id): Path<String>| {
        let told = told(&mut desk, &id, Action::Story).await?;
        let dictionary = desk.dictionary().await?;
        render(&mail::view(&desk.frame, &dictionary, told.input(desk.back.as_deref(), desk.retention_days())))
    })
}

/// `/mails/{id}/proof`: the story on paper.
pub fn proof_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk, Path(id): Path<String>| {
        let told = told(&mut desk, &id, Action::Proof).await?;
        let dictionary = desk.dictionary().await?;
        let whole = url::form_urlencoded::parse(desk.query.as_bytes())
            .any(|(name, value)| name == "lines" && value == "all");
        render(&proof::view(&desk.frame, &dictionary, told.input(None, desk.retention_days()), whole))
    })
}

/// `/find`: where is my mail?
pub fn find_page() -> MethodRouter<AppState> {
    get(async |desk: Desk| {
        let mut fields = std::collections::HashMap::new();
        for (name, value) in url::form_urlencoded::parse(desk.query.as_bytes()) {
            fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        let question = Question::new(field("way"), field("who"), field("from"));
        show_find(desk, question.map_or(Asked::Nothing, Asked::Question), Vec::new()).await
    })
    .post(async |desk: Desk, body: String| {
        let pasted = url::form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "text");
        let pasted = pasted.map(|(_, text)| text.into_owned()).unwrap_or_default();
        let cut = (0..=pasted.len().min(PASTE)).rev().find(|at| pasted.is_char_boundary(*at));
        let ids = paste::extract_ids(pasted.get(..cut.unwrap_or(0)).unwrap_or_default());
        show_find(desk, Asked::Paste, ids).await
    })
}

async fn show_find(mut desk: Desk, asked: Asked, ids: Vec<paste::Id>) -> Result<Response, WebError> {
    let filters: Vec<Filter> = match &asked {
        Asked::Question(question) => vec![question.filter(&desk.frame)],
        Asked::Paste => ids.into_iter().map(id_filter).collect(),
        Asked::Nothing => Vec::new(),
    };
    // Without a first day, all time is asked for.
    let from = filters.iter().map(|filter| filter.from).min().flatten();
    let Fresh { sources, gaps, .. } =
        desk.freshness(Entry::Find, from.unwrap_or(Millis(0)), desk.now()).await?;
    let mut hits: Vec<VisibleMail> = Vec::new();
    for filter in &filters {
        let page = shelf::search(desk.db(), desk.scope(), filter, Place::Newest, find::MOST).await?;
        hits.extend(page.mails);
    }
    hits.sort_by_key(|mail| std::cmp::Reverse(mail.id));
    hits.dedup_by_key(|mail| mail.id);
    hits.truncate(find::MOST);
    if let Some(words) = asked_for(&asked) {
        desk.looked_at_list(Action::Search, &words, &hits);
    }
    let dictionary = desk.dictionary().await?;
    let known = known(&desk, &sources, &gaps, (from, None));
    let input = find::Input { asked: &asked, hits: &hits, known };
    render(&find::view(&desk.frame, &dictionary, input))
}

/// What was asked for, for the access log; `None` when nothing was.
fn asked_for(asked: &Asked) -> Option<String> {
    match asked {
        Asked::Question(question) => Some(searched(&question.query())),
        Asked::Paste => Some("pasted".to_owned()),
        Asked::Nothing => None,
    }
}

/// What the log tells of a span of time.
fn known<'a>(
    desk: &Desk,
    sources: &[Source],
    gaps: &'a [Gap],
    span: (Option<Millis>, Option<Millis>),
) -> Known<'a> {
    Known::new(sources, gaps, desk.state.settings.keep_mails, span, desk.now())
}

fn id_filter(id: paste::Id) -> Filter {
    match id {
        paste::Id::Message(id) => Filter { message_id: Some(id), ..Filter::default() },
        paste::Id::Queue(id) => Filter { queue_id: Some(id), ..Filter::default() },
    }
}

/// `/ingestion`: is the log complete?
pub fn ingestion_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        let now = desk.now();
        let from = now.minus(Duration::from_secs(86_400 * ingestion::DAYS.unsigned_abs()));
        let Fresh { sources, gaps, .. } = desk.freshness(Entry::Ingestion, from, now).await?;
        let ledger = store::ingestion::ledger(desk.db(), from).await?;
        let unknown = store::ingestion::unknown(desk.db()).await?;
        let phrases = store::ingestion::phrases(desk.db()).await?;
        let input = ingestion::Input {
            sources: &sources,
            gaps: &gaps,
            ledger: &ledger,
            unknown: &unknown,
            phrases: &phrases,
            mailboxes: &store::mailbox_cursor::accounts(desk.db()).await?,
        };
        render(&ingestion::view(&desk.frame, input))
    })
}

/// `/ingestion/read`: read the log now.
pub fn read_now() -> MethodRouter<AppState> {
    post(async |desk: Desk| {
        run_by_hand(&desk, "poll").await?;
        Ok::<_, WebError>(Redirect::to(&desk.frame.url("/ingestion")))
    })
}
