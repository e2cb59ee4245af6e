//! What strangers see, for admins: which services under which names, and what is announced to them.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use jiff::civil::DateTime;

use super::{Which, shell::Shell, uptime::name};
use crate::{
    metrics::{
        health::{Health, Standing},
        uptime::{Board, Line},
    },
    model::{
        announcement::{Announcement, Kind, TEXT, TITLE, Update},
        time::Millis,
    },
    store::public::Shown,
    web::pages::{
        frame::Frame,
        public::{self, Told},
    },
};

/// Longest public name of a service, in characters.
const NAME: usize = 60;
/// As `<input type=datetime-local>` writes it.
const MOMENT: &str = "%Y-%m-%dT%H:%M";

/// What the page is made of.
pub struct Input<'a> {
    /// Whether strangers see the page at all.
    pub on: bool,
    /// Address of the public page.
    pub address: &'a str,
    /// All modules, for the list at the left.
    pub healths: &'a [Health<'a>],
    /// What is watched.
    pub lines: &'a [Line],
    /// What strangers see of it.
    pub shown: &'a [Shown],
    /// The public page as it is now.
    pub board: &'a Board,
    /// A form that was sent and has faults.
    pub draft: Option<&'a Draft>,
}

/// The page.
#[derive(Template)]
#[template(path = "announce.html")]
pub struct AnnouncePage<'a> {
    frame: &'a Frame,
    title: &'static str,
    shell: Shell,
    on: bool,
    address: &'a str,
    rows: Vec<Row>,
    faults: Vec<&'static str>,
    fresh: Form,
    notes: Vec<Note>,
}

struct Row {
    code: String,
    name: String,
    public: String,
    place: usize,
}

struct Note {
    told: Told,
    form: Form,
    open: bool,
    ended: bool,
}

/// The fields of an announcement.
struct Form {
    /// Tells the ids of fields apart.
    id: String,
    draft: Draft,
    services: Vec<Choice>,
}

struct Choice {
    code: String,
    name: String,
    chosen: bool,
}

/// An announcement as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// Which one; `None` for a new one.
    pub id: Option<i64>,
    /// Incident or maintenance.
    pub kind: String,
    /// In one sentence.
    pub title: String,
    /// Begin, in the admin's zone.
    pub from: String,
    /// End, in the admin's zone; may be empty.
    pub until: String,
    /// What is added.
    pub text: String,
    /// Outages meanwhile do not count.
    pub excuses: bool,
    /// Codes of services.
    pub services: BTreeSet<String>,
    /// What is wrong with it: words of texts.
    pub faults: Vec<&'static str>,
}

impl Draft {
    /// Reads the fields of a form.
    pub fn parse(id: Option<i64>, body: &str) -> Self {
        let mut draft = Self { id, ..Self::default() };
        for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
            match &*name {
                "kind" => draft.kind = value.into_owned(),
                "title" => draft.title = tidy(&value, TITLE),
                "from" => draft.from = value.into_owned(),
                "until" => draft.until = value.into_owned(),
                "text" => draft.text = tidy_lines(&value, TEXT),
                "excuses" => draft.excuses = true,
                "service" => {
                    draft.services.insert(value.into_owned());
                }
                _ => {}
            }
        }
        draft
    }

    /// The draft of what is announced already.
    fn of(frame: &Frame, note: &Announcement) -> Self {
        let moment = |at: Millis| at.in_zone(&frame.formats.zone).strftime(MOMENT).to_string();
        Self {
            id: Some(note.id),
            kind: note.kind.code().to_owned(),
            title: note.title.clone(),
            from: moment(note.from),
            until: note.until.map(moment).unwrap_or_default(),
            text: String::new(),
            excuses: note.excuses,
            services: note.services.clone(),
            faults: Vec::new(),
        }
    }

    /// The announcement, or the faults of the draft. `before`: what is changed, with what was told so far.
    pub fn announcement(
        &self,
        frame: &Frame,
        known: &BTreeSet<String>,
        before: Option<&Announcement>,
    ) -> Result<Announcement, Vec<&'static str>> {
        let now = frame.formats.now;
        let moment = |text: &str| -> Option<Millis> {
            let at =
                DateTime::strptime(MOMENT, text.trim()).ok()?.to_zoned(frame.formats.zone.clone()).ok()?;
            Some(Millis(at.timestamp().as_millisecond()))
        };
        let kind = Kind::from_code(&self.kind);
        // What just begins need not be typed.
        let from = if self.from.trim().is_empty() { Some(now) } else { moment(&self.from) };
        let until = moment(&self.until);
        let open_end = self.until.trim().is_empty();
        let mut faults = Vec::new();
        let mut check = |bad: bool, fault| {
            if bad {
                faults.push(fault)
            }
        };
        check(kind.is_none(), "kind");
        check(self.title.is_empty(), "title");
        check(from.is_none(), "from");
        check(!open_end && until.is_none(), "until");
        check(open_end && kind == Some(Kind::Maintenance), "end");
        check(from.zip(until).is_some_and(|(from, until)| until <= from), "order");
        check(before.is_none() && self.text.is_empty(), "text");
        let (Some(kind), Some(from), true) = (kind, from, faults.is_empty()) else { return Err(faults) };
        let mut updates = before.map(|note| note.updates.clone()).unwrap_or_default();
        if !self.text.is_empty() {
            updates.push(Update { at: now, text: self.text.clone() });
        }
        Ok(Announcement {
            id: before.map_or(now.0, |note| note.id),
            kind,
            title: self.title.clone(),
            from,
            until,
            excuses: kind == Kind::Maintenance && self.excuses,
            services: self.services.intersection(known).cloned().collect(),
            changed: now,
            updates,
        })
    }
}

/// One line of text, without control characters.
pub fn tidy(text: &str, longest: usize) -> String {
    tidy_lines(text, longest).replace('\n', " ").trim().to_owned()
}

/// Lines of text, without other control characters: XML cannot hold them.
fn tidy_lines(text: &str, longest: usize) -> String {
    let text = text.replace("\r\n", "\n");
    let sound = |c: &char| *c == '\n' || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
    text.trim().chars().filter(sound).take(longest).collect::<String>().trim().to_owned()
}

/// The services that a form names, in its order: `name-CODE` and `place-CODE`.
pub fn chosen(body: &str, known: &BTreeSet<String>) -> Vec<Shown> {
    let mut fields: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for (field, value) in url::form_urlencoded::parse(body.as_bytes()) {
        let Some((part, code)) = field.split_once('-').filter(|(_, code)| known.contains(*code)) else {
            continue;
        };
        let entry = fields.entry(code.to_owned()).or_default();
        match part {
            "name" => entry.1 = tidy(&value, NAME),
            "place" => entry.0 = value.trim().parse().unwrap_or(i64::MAX),
            _ => {}
        }
    }
    let mut named: Vec<(i64, Shown)> = fields
        .into_iter()
        .filter(|(_, (_, name))| !name.is_empty())
        .map(|(code, (place, name))| (place, Shown { code, name }))
        .collect();
    named.sort_by_key(|(place, _)| *place);
    named.into_iter().map(|(_, shown)| shown).collect()
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: &Input<'a>) -> AnnouncePage<'a> {
    let lang = frame.lang();
    let (standing, title, grounds) = match input.on {
        true => (Standing::Fine, lang.t("announce.on"), lang.t("announce.on.how")),
        false => (Standing::NotInUse, lang.t("announce.off"), lang.t("announce.off.how")),
    };
    let fresh = match input.draft.filter(|draft| draft.id.is_none()) {
        Some(draft) => draft.clone(),
        None => Draft { kind: Kind::Incident.code().to_owned(), ..Draft::default() },
    };
    AnnouncePage {
        frame,
        title,
        shell: Shell::new(frame, input.healths, Which::Public, standing, grounds.to_owned()),
        on: input.on,
        address: input.address,
        rows: input.lines.iter().map(|line| row(frame, line, input.shown)).collect(),
        faults: input
            .draft
            .map(|draft| draft.faults.iter().map(|fault| lang.t_in("announce_fault", fault)).collect())
            .unwrap_or_default(),
        fresh: form(input, "new".to_owned(), fresh),
        notes: input.board.announced.iter().map(|one| note(frame, input, one)).collect(),
    }
}

fn row(frame: &Frame, line: &Line, shown: &[Shown]) -> Row {
    let place = shown.iter().position(|one| one.code == line.code);
    Row {
        code: line.code.clone(),
        name: name(frame, line),
        public: place.and_then(|place| shown.get(place)).map(|one| one.name.clone()).unwrap_or_default(),
        place: place.unwrap_or(shown.len()) + 1,
    }
}

fn note(frame: &Frame, input: &Input<'_>, note: &Announcement) -> Note {
    let draft = input.draft.filter(|draft| draft.id == Some(note.id));
    Note {
        told: public::told(frame, input.board, note),
        open: draft.is_some(),
        form: form(input, note.id.to_string(), draft.cloned().unwrap_or_else(|| Draft::of(frame, note))),
        ended: note.until.is_some_and(|until| until <= input.board.at),
    }
}

fn form(input: &Input<'_>, id: String, draft: Draft) -> Form {
    let choice = |one: &Shown| Choice {
        chosen: draft.services.contains(&one.code),
        code: one.code.clone(),
        name: one.name.clone(),
    };
    Form { id, services: input.shown.iter().map(choice).collect(), draft }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::scope::Role,
        web::{pages::samples, text::Lang},
    };

    fn known() -> BTreeSet<String> {
        ["web", "port-587"].map(str::to_owned).into()
    }

    #[test]
    fn a_form_becomes_an_announcement_in_the_admins_zone() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let body = "kind=maintenance&title=+Update%0A&from=2026-11-29T06:00&until=2026-11-29T07:00\
            &text=One%0D%0A%07two&excuses=1&service=web&service=nonsense";
        let note = Draft::parse(None, body).announcement(&frame, &known(), None).unwrap();
        assert_eq!((note.title.as_str(), note.id, note.excuses), ("Update", frame.formats.now.0, true));
        assert_eq!(frame.formats.iso(note.from), "2026-11-29T06:00:00+01:00");
        assert_eq!(note.updates[0].text, "One\ntwo");
        assert_eq!(note.services.into_iter().collect::<Vec<_>>(), ["web"]);
        // Without a begin it begins now; only planned work needs an end, and only it excuses.
        let body = "kind=incident&title=x&text=y&excuses=1";
        let note = Draft::parse(None, body).announcement(&frame, &known(), None).unwrap();
        assert_eq!((note.from, note.until, note.excuses), (frame.formats.now, None, false));
        let later = Draft::parse(Some(note.id), "kind=incident&title=z&until=2026-11-20T23:00&text=");
        let later = later.announcement(&frame, &known(), Some(&note)).unwrap();
        assert_eq!((later.id, later.updates.len(), later.title.as_str()), (note.id, 1, "z"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let faults =
            |body: &str| Draft::parse(None, body).announcement(&frame, &known(), None).unwrap_err().join(" ");
        assert_eq!(faults(""), "kind title text");
        assert_eq!(faults("kind=maintenance&title=x&text=y"), "end");
        assert_eq!(faults("kind=incident&title=x&text=y&from=soon&until=later"), "from until");
        let body = "kind=incident&title=x&text=y&from=2026-11-29T06:00&until=2026-11-29T06:00";
        assert_eq!(faults(body), "order");
    }

    #[test]
    fn services_are_chosen_by_their_names_and_nothing_else_is() {
        let body =
            "name-web=Webmail&place-web=2&name-port-587=Sending&place-port-587=1&name-port-25=&name-x=y&z=1";
        let codes: Vec<_> = chosen(body, &known()).into_iter().map(|one| (one.code, one.name)).collect();
        let expected = [("port-587", "Sending"), ("web", "Webmail")];
        assert_eq!(codes, expected.map(|(code, name)| (code.to_owned(), name.to_owned())));
        assert!(chosen("name-web=+&place-web=1", &known()).is_empty());
    }
}
