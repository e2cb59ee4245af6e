//! Mails: the list with its filters.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;

use crate::{
    model::{
        explain::Dictionary,
        filter::Place,
        mail::{Direction, MailId, Status, Verdict, VisibleMail},
        scope::Role,
        time::Millis,
    },
    store::{ingestion::Gap, mails::Page},
    web::pages::{
        cause,
        frame::Frame,
        known::{Blind, Known},
        look::{self, Look},
        query::{Fault, Query},
    },
};

/// Rows on a page.
pub const PER_PAGE: usize = 50;

/// Whose mails the list holds, for its title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The visitor's own.
    Own,
    /// Those of administered domains.
    Domains(Vec<String>),
    /// Everybody's.
    All,
}

/// What the list is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The mails and the cursors.
    pub page: &'a Page,
    /// When mails were first opened, as far as the visitor may know.
    pub opened: &'a BTreeMap<MailId, Millis>,
    /// What the log tells of the range of the filter.
    pub known: Known<'a>,
    /// Whose mails.
    pub whose: &'a Whose,
    /// Days for which mails are kept.
    pub retention_days: i64,
}

/// The page.
#[derive(Template)]
#[template(path = "mails.html")]
pub struct MailsPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    form: Form<'a>,
    complaints: Vec<String>,
    chips: Vec<Chip>,
    clear: String,
    days: &'a [Day],
    empty: Option<Empty>,
    newer: Option<String>,
    older: Option<String>,
    per_page: String,
    export: String,
    ids: bool,
    toggle: String,
}

/// The filter bar.
struct Form<'a> {
    frame: &'a Frame,
    query: &'a Query,
    from: String,
    to: String,
    today: String,
    more: bool,
}

/// A field behind "More".
struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
    wrong: bool,
}

/// One of several words.
struct Choice {
    value: &'static str,
    word: &'static str,
    chosen: bool,
    look: Option<Look>,
    hint: &'static str,
}

/// An active filter.
struct Chip {
    name: &'static str,
    value: String,
    href: String,
    remove: String,
}

/// The mails of one day.
struct Day {
    date: jiff::civil::Date,
    head: String,
    items: Vec<Item>,
}

enum Item {
    Mail(Box<Row>),
    Hole { text: String, href: Option<String> },
}

/// An address, with its parts told apart so that a phone can leave the own domain out.
struct Address {
    local: String,
    domain: String,
    own: bool,
}

/// One mail.
struct Row {
    href: String,
    look: Look,
    why: String,
    time: String,
    seconds: String,
    iso: String,
    queue_id: String,
    way: &'static str,
    from: Address,
    ip: String,
    to: Address,
    /// Further recipients, as far as the visitor sees them.
    more: Option<String>,
    stop: String,
    subject: String,
    has_subject: bool,
    message_id: String,
    size: String,
    score: String,
}

/// What stands where no mail fits.
struct Empty {
    text: String,
    retention: Option<String>,
    widen: Option<String>,
    clear: bool,
}

/// The rows of a list, as one visitor reads them on one day.
pub struct Rows {
    /// What the causes in it were told by.
    pub dictionary: Arc<Dictionary>,
    days: Vec<Day>,
}

impl Rows {
    /// Makes them.
    pub fn new(frame: &Frame, dictionary: Arc<Dictionary>, query: &Query, input: Input<'_>) -> Self {
        Self { days: days(frame, &dictionary, query, input), dictionary }
    }

    /// All that rows depend on besides the list and the dictionary; `None` where the zone has no name to tell it by.
    pub fn made_for(frame: &Frame) -> Option<String> {
        let formats = &frame.formats;
        let (zone, today) = (formats.zone.iana_name()?, formats.now.in_zone(&formats.zone).date());
        let visitor = frame.visitor.as_ref().map(|visitor| (visitor.role, &visitor.address));
        Some(format!("rows {:?} {zone} {today} {visitor:?}", formats.lang))
    }
}

/// The list's view.
pub fn view<'a>(frame: &'a Frame, query: &'a Query, input: Input<'_>, rows: &'a Rows) -> MailsPage<'a> {
    let ids = query.ids().unwrap_or(frame.role() != Role::User);
    let chips = chips(frame, query);
    let older = input.page.older.map(|id| link(frame, &query.at(Place::Before(id))));
    MailsPage {
        frame,
        title: title(frame, input.whose),
        grounds: grounds(frame, input),
        form: form(frame, query),
        complaints: complaints(frame, query),
        clear: link(frame, &Query::default()),
        days: &rows.days,
        empty: input.page.mails.is_empty().then(|| empty(frame, query, &chips, input)),
        chips,
        newer: input.page.newer.map(|id| link(frame, &query.at(Place::After(id)))),
        older,
        per_page: frame.lang().tn("mails.per_page", PER_PAGE as i64, &[]),
        export: frame.url("/mails.csv") + &query.at(Place::Newest).link(),
        ids,
        toggle: link(frame, &query.with("ids", if ids { "0" } else { "1" })),
    }
}

/// The list's address for a query.
pub fn link(frame: &Frame, query: &Query) -> String {
    frame.url("/mails") + &query.link()
}

/// The address of a mail's story.
pub fn story_link(frame: &Frame, id: MailId) -> String {
    frame.url(&format!("/mails/{}", id.0))
}

/// What of a query cannot be searched for, each in a sentence.
pub fn complaints(frame: &Frame, query: &Query) -> Vec<String> {
    let lang = frame.lang();
    let fault = |fault: &Fault| {
        let name = label(frame, fault.name, &fault.value).unwrap_or(fault.name);
        lang.tf("mails.filter.unknown", &[("name", name), ("value", &fault.value)])
    };
    let backwards = query.is_backwards().then(|| lang.t("mails.filter.backwards").to_owned());
    query.faults().iter().map(fault).chain(backwards).collect()
}

fn title(frame: &Frame, whose: &Whose) -> String {
    match whose {
        Whose::Own => frame.t("mails.title.own").to_owned(),
        Whose::All => frame.t("mails.title.all").to_owned(),
        Whose::Domains(domains) => match domains.as_slice() {
            [domain] => frame.lang().tf("mails.title.domain", &[("domain", domain)]),
            domains => frame.lang().tn("mails.title.domains", domains.len() as i64, &[]),
        },
    }
}

fn grounds(frame: &Frame, input: Input<'_>) -> String {
    let blind = input.known.blind();
    let complete = match input.known.is_past() {
        true => frame.t("mails.complete.past"),
        false => frame.t("mails.complete"),
    };
    let mut words = vec![frame.t("mails.newest_first").to_owned()];
    words.extend(input.page.stopped.then(|| frame.t("mails.stopped").to_owned()));
    words.extend(blind.iter().map(|blind| unknown(frame, *blind)));
    words.extend((blind.is_empty() && !input.page.stopped).then(|| complete.to_owned()));
    words.join(" ")
}

/// What the log does not tell of the period.
fn unknown(frame: &Frame, blind: Blind) -> String {
    let lang = frame.lang();
    let date = |at: Millis| frame.formats.table_date(at);
    match blind {
        Blind::ToCome => lang.t("mails.to_come").to_owned(),
        Blind::Unread => lang.t("mails.unread").to_owned(),
        Blind::Before(at) => lang.tf("mails.before", &[("date", &date(at))]),
        Blind::Begins(at) => lang.tf("mails.begins", &[("date", &date(at))]),
        Blind::Stale(at) => lang.tf("mails.stale", &[("ago", &frame.formats.ago(at))]),
        Blind::Gaps(_) => lang.t("mails.incomplete").to_owned(),
    }
}

fn form<'a>(frame: &'a Frame, query: &'a Query) -> Form<'a> {
    let (from, to) = query.days(&frame.formats.zone, frame.formats.now);
    let day = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let mut form = Form {
        frame,
        query,
        from: day(from),
        to: day(to),
        today: frame.formats.now.in_zone(&frame.formats.zone).date().to_string(),
        more: false,
    };
    form.more = form.fields().iter().any(|field| !field.value.is_empty() || field.wrong)
        || ["verdict", "tls", "attachment", "opened", "size_from", "size_to"]
            .iter()
            .any(|name| !query.value(name).is_empty() || form.is_wrong(name));
    form
}

impl Form<'_> {
    fn value(&self, name: &str) -> &str {
        self.query.value(name)
    }

    fn is_wrong(&self, name: &str) -> bool {
        self.query.faults().iter().any(|fault| fault.name == name)
    }

    fn directions(&self) -> Vec<Choice> {
        let own = self.value("dir");
        let words = Direction::ALL.map(|way| (way.code(), self.frame.lang().t_in("direction", way.code())));
        [("", self.frame.t("mails.filter.all"))]
            .into_iter()
            .chain(words)
            .map(|(value, word)| Choice { value, word, chosen: own == value, look: None, hint: "" })
            .collect()
    }

    /// The words of old in front, the others behind them.
    fn statuses(&self) -> Vec<Choice> {
        let order = [
            Status::Sent,
            Status::Delayed,
            Status::Bounced,
            Status::SoftRejected,
            Status::Rejected,
            Status::Junk,
            Status::Queued,
            Status::Expired,
            Status::Held,
            Status::Quarantined,
            Status::Discarded,
            Status::Virus,
            Status::Unknown,
        ];
        let choice = |status: Status| {
            let look = look::of(status, false, self.frame.lang());
            let chosen = self.query.values("status").any(|own| own == status.code());
            let hint = self.frame.lang().t_in("meaning", status.code());
            Choice { value: status.code(), word: look.word, chosen, look: Some(look), hint }
        };
        order.into_iter().map(choice).collect()
    }

    fn status_word(&self) -> String {
        let chosen: Vec<&str> =
            self.statuses().iter().filter(|choice| choice.chosen).map(|choice| choice.word).collect();
        match chosen.as_slice() {
            [] => self.frame.t("mails.filter.any").to_owned(),
            [one] => (*one).to_owned(),
            many => self.frame.lang().tn("mails.filter.chosen", many.len() as i64, &[]),
        }
    }

    fn fields(&self) -> Vec<Field> {
        let labels = [
            ("sender", self.frame.t("mails.filter.sender")),
            ("rcpt", self.frame.t("mails.filter.recipient")),
            ("subject", self.frame.t("mails.column.subject")),
            ("domain", self.frame.t("mails.filter.domain")),
            ("ip", self.frame.t("mails.column.ip")),
            ("queue_id", self.frame.t("mails.column.queue_id")),
            ("message_id", self.frame.t("mails.column.message_id")),
            ("relay", self.frame.t("mails.filter.relay")),
            ("code", self.frame.t("mails.filter.code")),
        ];
        let field = |(name, label)| Field {
            name,
            label,
            value: self.value(name).to_owned(),
            wrong: self.is_wrong(name),
        };
        labels.into_iter().map(field).collect()
    }

    fn verdicts(&self) -> Vec<Choice> {
        let choice = |verdict: Verdict| Choice {
            value: verdict.code(),
            word: verdict_word(self.frame, verdict),
            chosen: self.value("verdict") == verdict.code(),
            look: None,
            hint: "",
        };
        Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Other).map(choice).collect()
    }

    fn encrypted(&self) -> Vec<Choice> {
        let own = self.value("tls");
        [("yes", self.frame.t("word.yes")), ("no", self.frame.t("word.no"))]
            .into_iter()
            .map(|(value, word)| Choice { value, word, chosen: own == value, look: None, hint: "" })
            .collect()
    }

    fn ids(&self) -> &str {
        self.value("ids")
    }
}

fn verdict_word(frame: &Frame, verdict: Verdict) -> &'static str {
    frame.lang().t_in("verdict", verdict.code())
}

fn chips(frame: &Frame, query: &Query) -> Vec<Chip> {
    let chip = |name: &'static str, value: String, href: &Query| {
        let whole = format!("{name}: {value}");
        let remove = frame.lang().tf("mails.filter.remove", &[("name", &whole)]);
        Chip { name, value, href: link(frame, href), remove }
    };
    let mut chips = Vec::new();
    if query.value("from").is_empty() && query.value("to").is_empty() {
        chips.push(chip(
            frame.t("mails.filter.from_day"),
            frame.t("mails.filter.last_week").to_owned(),
            &query.with("from", "any"),
        ));
    }
    for (name, value) in query.pairs() {
        let Some(label) = label(frame, name, value) else { continue };
        // The last bound gone would bring the seven days back.
        let href = match name {
            "from" if query.value("to").is_empty() => query.with("from", "any"),
            "to" if query.value("from").is_empty() => query.without("to", None).with("from", "any"),
            _ => query.without(name, Some(value)),
        };
        chips.push(chip(label, shown(frame, name, value), &href));
    }
    chips
}

/// The name of a filter on its chip; `None` for parameters that are no filter.
fn label(frame: &Frame, name: &str, value: &str) -> Option<&'static str> {
    Some(match name {
        "q" => frame.t("mails.filter.q"),
        "dir" => frame.t("mails.filter.direction"),
        "status" => frame.t("mails.column.status"),
        "from" if value == "any" => return None,
        "from" => frame.t("mails.filter.from_day"),
        "to" => frame.t("mails.filter.to_day"),
        "sender" => frame.t("mails.filter.sender"),
        "rcpt" => frame.t("mails.filter.recipient"),
        "subject" => frame.t("mails.column.subject"),
        "ip" => frame.t("mails.column.ip"),
        "queue_id" => frame.t("mails.column.queue_id"),
        "message_id" => frame.t("mails.column.message_id"),
        "size_from" => frame.t("mails.filter.size_from"),
        "size_to" => frame.t("mails.filter.size_to"),
        "attachment" => frame.t("mails.filter.attachment"),
        "verdict" => frame.t("mails.filter.verdict"),
        "relay" => frame.t("mails.filter.relay"),
        "code" => frame.t("mails.filter.code"),
        "tls" => frame.t("mails.filter.tls"),
        "opened" => frame.t("mails.filter.opened"),
        "domain" => frame.t("mails.filter.domain"),
        _ => return None,
    })
}

fn shown(frame: &Frame, name: &str, value: &str) -> String {
    let lang = frame.lang();
    match name {
        "dir" => lang.t_in("direction", value).to_owned(),
        "status" => lang.t_in("status", value).to_owned(),
        "verdict" => lang.t_in("verdict", value).to_owned(),
        "tls" | "attachment" | "opened" => {
            if matches!(value, "yes" | "1") { lang.t("word.yes") } else { lang.t("word.no") }.to_owned()
        }
        "from" | "to" => match value.parse::<jiff::civil::Date>().ok().and_then(|day| noon(frame, day)) {
            Some(noon) => frame.formats.table_date(noon),
            None => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}

fn noon(frame: &Frame, day: jiff::civil::Date) -> Option<Millis> {
    let noon = day.at(12, 0, 0, 0).to_zoned(frame.formats.zone.clone()).ok()?;
    Some(Millis(noon.timestamp().as_millisecond()))
}

fn days(frame: &Frame, dictionary: &Dictionary, query: &Query, input: Input<'_>) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    let mut add = |at: Millis, item: Item| {
        let date = at.in_zone(&frame.formats.zone).date();
        match days.last_mut() {
            Some(day) if day.date == date => day.items.push(item),
            _ => days.push(Day { date, head: frame.formats.day_head(at), items: vec![item] }),
        }
    };
    let newest = match query.place() {
        Place::Newest => Millis(i64::MAX),
        _ => input.page.mails.first().map_or(Millis(i64::MAX), |mail| mail.first_seen),
    };
    let mut gaps = input.known.gaps.iter().filter(|gap| gap.to_at <= newest).peekable();
    for mail in &input.page.mails {
        while let Some(gap) = gaps.next_if(|gap| gap.to_at >= mail.first_seen) {
            add(gap.to_at, hole(frame, gap));
        }
        add(mail.first_seen, Item::Mail(Box::new(row(frame, dictionary, mail, input.opened.get(&mail.id)))));
    }
    if input.page.older.is_none() {
        for gap in gaps {
            add(gap.to_at, hole(frame, gap));
        }
    }
    days
}

fn hole(frame: &Frame, gap: &Gap) -> Item {
    let range = frame.formats.range(gap.from_at, gap.to_at);
    if frame.is_admin() && gap.at_least > 0 {
        let text = frame.lang().tn("mails.gap_lines", gap.at_least, &[("range", &range)]);
        return Item::Hole { text, href: Some(frame.url("/ingestion")) };
    }
    Item::Hole { text: frame.lang().tf("mails.gap", &[("range", &range)]), href: None }
}

fn row(frame: &Frame, dictionary: &Dictionary, mail: &VisibleMail, opened: Option<&Millis>) -> Row {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let worst = look::worst(mail);
    let (subject, has_subject) = look::subject(mail, lang);
    let ours = matches!(mail.direction, Direction::Out | Direction::Internal);
    let stop = match worst {
        _ if mail.recipients.len() > 1 => String::new(),
        Some(row) if row.local && row.status == Status::Junk => lang.t("mails.stop.junk").to_owned(),
        Some(row) if row.local && row.status == Status::Sent => lang.t("mails.stop.mailbox").to_owned(),
        Some(row) => look::relay_host(&row.relay).to_owned(),
        None => String::new(),
    };
    let opened = opened.map(|at| lang.tf("status.opened_at", &[("time", &formats.moment(*at))]));
    let checked = mail.check.as_ref().filter(|check| !check.action.is_empty());
    Row {
        href: story_link(frame, mail.id),
        look: look::of_mail(mail, lang),
        why: cause::of(frame, dictionary, mail).map(|cause| cause.short).or(opened).unwrap_or_default(),
        seconds: seconds(&formats.time_seconds(mail.first_seen)),
        time: formats.time(mail.first_seen),
        iso: formats.iso(mail.first_seen),
        queue_id: mail.queue_id.clone().unwrap_or_else(|| lang.t("mails.no_queue_id").to_owned()),
        way: lang.t_in("direction", mail.direction.code()),
        from: address(&look::sender(mail, lang), ours),
        ip: mail.client_ip.clone().unwrap_or_default(),
        to: address(
            worst.map_or(lang.t("mails.recipient_unknown"), |row| &row.address),
            mail.direction != Direction::Out,
        ),
        more: look::more(mail, lang),
        stop,
        subject,
        has_subject,
        message_id: mail.message_id.clone().unwrap_or_default(),
        size: mail.size.map_or_else(|| "–".to_owned(), |size| formats.bytes(size)),
        score: checked.map(|check| formats.score(check.score)).unwrap_or_default(),
    }
}

/// The part behind hours and minutes, which a phone leaves out. In the hour that comes twice it would part time
/// and zone, so it is left out there.
fn seconds(time: &str) -> String {
    if time.len() == 8 { time.get(5..).unwrap_or_default().to_owned() } else { String::new() }
}

fn address(address: &str, own: bool) -> Address {
    match address.rsplit_once('@') {
        Some((local, domain)) => Address { local: local.to_owned(), domain: format!("@{domain}"), own },
        None => Address { local: address.to_owned(), domain: String::new(), own: false },
    }
}

fn empty(frame: &Frame, query: &Query, chips: &[Chip], input: Input<'_>) -> Empty {
    let (zone, now) = (&frame.formats.zone, frame.formats.now);
    let filters: Vec<String> =
        chips.iter().map(|chip| format!("{} {}", chip.name.to_lowercase(), chip.value)).collect();
    let text = if filters.is_empty() {
        frame.t("mails.none_at_all").to_owned()
    } else {
        frame.lang().tf("mails.none", &[("filters", &filters.join(", "))])
    };
    let kept_from =
        now.minus(std::time::Duration::from_secs(86_400 * input.retention_days.max(0).unsigned_abs()));
    let filter = query.filter(zone, now, None);
    let too_old = filter.from.or(filter.to).is_some_and(|from| from < kept_from);
    let retention = too_old.then(|| {
        let date = frame.formats.full_date(kept_from);
        frame.lang().tn("mails.retention", input.retention_days, &[("date", &date)])
    });
    let month = now.in_zone(zone).date().saturating_sub(jiff::Span::new().days(29));
    let narrow =
        filter.from.is_some_and(|from| from > now.minus(std::time::Duration::from_secs(86_400 * 28)));
    let widen = narrow.then(|| link(frame, &query.without("to", None).with("from", &month.to_string())));
    Empty { text, retention, widen, clear: query.pairs().next().is_some() }
}
