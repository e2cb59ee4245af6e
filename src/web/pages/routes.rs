//! The handlers of the pages: take the visitor and the query, ask the store, build the view, render.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use axum::{
    Form,
    body::Body,
    extract::{Path, Query as Pairs, RawQuery, State},
    http::{HeaderMap, header},
    response::{Html, IntoResponse, Response},
    routing::{MethodRouter, get},
};
use futures_util::stream;
use serde::Deserialize;

use super::{
    csv,
    find::{self, Asked, Question},
    frame::{Entry, Frame, Freshness},
    ingestion, mail,
    mails::{self, Whose},
    paste::{Id, extract_ids},
    proof,
    query::Query,
    start,
};
use crate::{
    model::{
        filter::{Filter, Place},
        mail::{MailId, VisibleMail},
        scope::{Role, Scope},
        time::Millis,
        user::Visitor,
    },
    parse::postfix,
    store::{
        self,
        ingestion::{Gap, Source},
        lines, scans,
    },
    web::{errors::WebError, state::AppState, visitor::Guest},
};

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// `GET /`.
pub fn start() -> MethodRouter<AppState> {
    get(show_start)
}

/// `GET /find` with the three questions; `POST /find` with a pasted text.
pub fn find() -> MethodRouter<AppState> {
    get(show_find).post(show_paste)
}

/// `GET /mails`.
pub fn mails() -> MethodRouter<AppState> {
    get(show_mails)
}

/// `GET /mails.csv`.
pub fn mails_csv() -> MethodRouter<AppState> {
    get(export)
}

/// `GET /mails/{id}`.
pub fn mail() -> MethodRouter<AppState> {
    get(show_mail)
}

/// `GET /mails/{id}/proof`.
pub fn proof() -> MethodRouter<AppState> {
    get(show_proof)
}

/// `GET /ingestion`.
pub fn ingestion() -> MethodRouter<AppState> {
    get(show_ingestion)
}

/// A page's frame, with the state of the log in the range that the page shows.
async fn around(
    state: &AppState,
    guest: &Guest,
    visitor: &Visitor,
    (entry, here): (Entry, &str),
    (from, to): (Millis, Millis),
) -> Result<(Frame, Vec<Source>, Vec<Gap>), WebError> {
    let sources = store::ingestion::sources(&state.db).await?;
    let gaps = store::ingestion::gaps(&state.db, from, to).await?;
    let mut frame = Frame::around(state, guest, Some(visitor), here);
    frame.entry = Some(entry);
    frame.freshness = Some(Freshness::of(&sources, &gaps, guest.now));
    Ok((frame, sources, gaps))
}

fn show(page: &impl Template) -> Result<Html<String>, WebError> {
    page.render().map(Html).map_err(WebError::broken)
}

fn whose(visitor: &Visitor) -> Whose {
    match (visitor.role, visitor.scope.as_ref()) {
        (Role::Admin, _) => Whose::All,
        (Role::DomainAdmin, Scope::Only(holdings)) => {
            Whose::Domains(holdings.domains.iter().cloned().collect())
        }
        _ => Whose::Own,
    }
}

async fn show_start(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
) -> Result<Html<String>, WebError> {
    let now = guest.now;
    let (frame, sources, gaps) =
        around(&state, &guest, &visitor, (Entry::Start, "/"), (now.minus(DAY * 7), now)).await?;
    let (db, scope) = (&state.db, visitor.scope.as_ref());
    let troubled = start::trouble_filter(now);
    let troubles = store::mails::search(db, scope, &troubled, Place::Newest, start::TROUBLES).await?;
    let latest = store::mails::search(db, scope, &Filter::default(), Place::Newest, start::LATEST).await?;
    let hours = store::mails::hours(db, scope, start::week_begin(&frame), now.plus(DAY)).await?;
    let whose = whose(&visitor);
    let input = start::Input {
        troubles: &troubles.mails,
        latest: &latest.mails,
        hours: &hours,
        sources: &sources,
        gaps: &gaps,
        whose: &whose,
    };
    show(&start::view(&frame, &state.dictionary, input))
}

async fn show_mails(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
    RawQuery(text): RawQuery,
) -> Result<Html<String>, WebError> {
    let query = Query::parse(text.as_deref().unwrap_or_default());
    let filter = query.filter(&guest.zone, guest.now);
    let range = (filter.from.unwrap_or(Millis(0)), filter.to.unwrap_or(guest.now));
    let here = format!("/mails{}", query.link());
    let (frame, _, gaps) = around(&state, &guest, &visitor, (Entry::Mails, &here), range).await?;
    let page =
        store::mails::search(&state.db, &visitor.scope, &filter, query.place(), mails::PER_PAGE).await?;
    let whose = whose(&visitor);
    let retention_days = state.settings.retention_days.1;
    let input = mails::Input { page: &page, gaps: &gaps, whose: &whose, retention_days };
    show(&mails::view(&frame, &state.dictionary, &query, input))
}

/// How many mails are read at once for an export.
const EXPORT_STRIDE: usize = 500;

async fn export(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
    RawQuery(text): RawQuery,
) -> Response {
    let query = Query::parse(text.as_deref().unwrap_or_default());
    let filter = query.filter(&guest.zone, guest.now);
    let frame = Frame::around(&state, &guest, Some(&visitor), "/mails");
    let name = match whose(&visitor) {
        Whose::Domains(domains) => domains.join("-"),
        Whose::Own => visitor.address.clone(),
        Whose::All => String::new(),
    };
    let name = csv::file_name(&name, &query, &frame.formats);
    let rows = Rows { state, scope: Arc::clone(&visitor.scope), filter, formats: frame.formats };
    let head = stream::iter([Ok::<_, std::io::Error>(csv::HEAD.to_owned())]);
    let body =
        futures_util::StreamExt::chain(head, stream::try_unfold(Some((rows, Place::Newest)), Rows::next));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// The rows of an export still to come.
struct Rows {
    state: AppState,
    scope: Arc<Scope>,
    filter: Filter,
    formats: crate::web::format::Formats,
}

impl Rows {
    /// The next rows; a failure breaks the download off, so that half a file is never taken for a whole one.
    async fn next(at: Option<(Self, Place)>) -> std::io::Result<Option<(String, Option<(Self, Place)>)>> {
        let Some((rows, place)) = at else { return Ok(None) };
        let page = store::mails::search(&rows.state.db, &rows.scope, &rows.filter, place, EXPORT_STRIDE)
            .await
            .map_err(std::io::Error::other)?;
        let mut text = String::new();
        page.mails.iter().for_each(|mail| csv::write(&mut text, mail, &rows.formats));
        Ok(Some((text, page.older.map(|id| (rows, Place::Before(id))))))
    }
}

/// Everything that a story is made of.
struct Told {
    frame: Frame,
    mail: VisibleMail,
    related: Vec<VisibleMail>,
    symbols: Vec<crate::model::scan::Symbol>,
    lines: lines::Lines,
    gaps: Vec<Gap>,
}

impl Told {
    async fn read(state: &AppState, guest: &Guest, visitor: &Visitor, id: &str) -> Result<Self, WebError> {
        let (db, scope) = (&state.db, visitor.scope.as_ref());
        let number: i64 = id.parse().map_err(|_| WebError::NotFound)?;
        let mail = store::mails::find(db, scope, MailId(number)).await?.ok_or(WebError::NotFound)?;
        let to = if mail.status.is_final() { mail.last_seen } else { guest.now };
        let here = format!("/mails/{number}");
        let (frame, _, gaps) =
            around(state, guest, visitor, (Entry::Mails, &here), (mail.first_seen, to)).await?;
        Ok(Self {
            frame,
            related: store::mails::related(db, scope, &mail).await?,
            symbols: scans::symbols(db, scope, &mail).await?,
            lines: lines::of_mail(db, scope, &mail, postfix::parse).await?,
            mail,
            gaps,
        })
    }

    fn input<'a>(&'a self, state: &AppState, back: Option<&'a str>) -> mail::Input<'a> {
        mail::Input {
            mail: &self.mail,
            related: &self.related,
            symbols: &self.symbols,
            lines: &self.lines,
            gaps: &self.gaps,
            back,
            retention_days: state.settings.retention_days,
        }
    }
}

async fn show_mail(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, WebError> {
    let told = Told::read(&state, &guest, &visitor, &id).await?;
    let back = list_before(&state, &headers);
    show(&mail::view(&told.frame, &state.dictionary, told.input(&state, back.as_deref())))
}

/// The list with its filter, if that is where the visitor came from.
fn list_before(state: &AppState, headers: &HeaderMap) -> Option<String> {
    let before = url::Url::parse(headers.get(header::REFERER)?.to_str().ok()?).ok()?;
    let ours =
        before.origin() == state.settings.public_url.origin() && before.path() == state.settings.at("/mails");
    ours.then(|| state.settings.at("/mails") + &Query::parse(before.query().unwrap_or_default()).link())
}

async fn show_proof(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, WebError> {
    let told = Told::read(&state, &guest, &visitor, &id).await?;
    let whole = query.as_deref() == Some("lines=all");
    show(&proof::view(&told.frame, &state.dictionary, told.input(&state, None), whole))
}

async fn show_find(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
    Pairs(asked): Pairs<BTreeMap<String, String>>,
) -> Result<Html<String>, WebError> {
    let value = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let question = Question::new(value("way"), value("who"), value("from"));
    let Some(question) = question else {
        return answer(&state, &guest, &visitor, Asked::Nothing, &[], (guest.now, guest.now)).await;
    };
    let filter = question.query().filter(&guest.zone, guest.now);
    let page = store::mails::search(&state.db, &visitor.scope, &filter, Place::Newest, find::MOST).await?;
    let range = (filter.from.unwrap_or(Millis(0)), guest.now);
    answer(&state, &guest, &visitor, Asked::Question(question), &page.mails, range).await
}

/// The form of a pasted text.
#[derive(Deserialize)]
struct Pasted {
    text: String,
}

async fn show_paste(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
    Form(pasted): Form<Pasted>,
) -> Result<Html<String>, WebError> {
    let mut hits: Vec<VisibleMail> = Vec::new();
    for id in extract_ids(&pasted.text) {
        let filter = match id {
            Id::Message(id) => Filter { message_id: Some(id), ..Filter::default() },
            Id::Queue(id) => Filter { queue_id: Some(id), ..Filter::default() },
        };
        let page =
            store::mails::search(&state.db, &visitor.scope, &filter, Place::Newest, find::MOST).await?;
        for mail in page.mails {
            if hits.len() < find::MOST && hits.iter().all(|hit| hit.id != mail.id) {
                hits.push(mail);
            }
        }
    }
    hits.sort_by_key(|mail| std::cmp::Reverse(mail.id));
    answer(&state, &guest, &visitor, Asked::Paste, &hits, (guest.now, guest.now)).await
}

async fn answer(
    state: &AppState,
    guest: &Guest,
    visitor: &Visitor,
    asked: Asked,
    hits: &[VisibleMail],
    range: (Millis, Millis),
) -> Result<Html<String>, WebError> {
    let (frame, _, gaps) = around(state, guest, visitor, (Entry::Find, "/find"), range).await?;
    let input = find::Input { asked: &asked, hits, gaps: &gaps };
    show(&find::view(&frame, &state.dictionary, input))
}

async fn show_ingestion(
    State(state): State<AppState>,
    guest: Guest,
    visitor: Visitor,
) -> Result<Html<String>, WebError> {
    let month = guest.now.minus(DAY * ingestion::DAYS.unsigned_abs() as u32);
    let here = (Entry::Ingestion, "/ingestion");
    let (frame, sources, gaps) = around(&state, &guest, &visitor, here, (month, guest.now)).await?;
    let ledger = store::ingestion::ledger(&state.db, guest.now.minus(DAY * 2)).await?;
    let unknown = store::ingestion::unknown(&state.db).await?;
    let phrases = store::ingestion::phrases(&state.db).await?;
    let input = ingestion::Input {
        sources: &sources,
        gaps: &gaps,
        ledger: &ledger,
        unknown: &unknown,
        phrases: &phrases,
    };
    show(&ingestion::view(&frame, input))
}
