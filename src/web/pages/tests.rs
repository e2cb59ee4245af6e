//! Every page with samples, for every role and language: well formed, labelled, without inline code, in its weight.

mod access;
mod answers;
mod operation;
mod public;
mod reports;
mod system;
mod traffic;

use std::{collections::BTreeMap, io::Write, path::Path, sync::Arc, time::Duration};

use askama::Template;
use scraper::{ElementRef, Html, Selector};

use super::{
    doctor,
    find::{self, Asked, Question},
    frame::{Entry, Frame},
    ingestion,
    known::Known,
    mail,
    mails::{self, Whose},
    plain::{self, Plain, Trouble},
    proof,
    query::Query,
    samples, start, tracking,
};
use crate::{
    ingest::opens::Numbers,
    metrics::health::judge,
    model::{
        explain::Dictionary,
        finding::{Finding, Health},
        mail::{Mail, VisibleMail},
        scope::Role,
    },
    store::{mailbox_cursor::Account, mails::Page},
    web::text::Lang,
};

/// How long mails are kept.
const KEPT: Duration = Duration::from_secs(120 * 86_400);

const ROLES: [Role; 3] = [Role::User, Role::DomainAdmin, Role::Admin];

fn whose(role: Role) -> Whose {
    match role {
        Role::User => Whose::Own,
        Role::DomainAdmin => Whose::Domains(vec!["alpha.test".to_owned()]),
        Role::Admin => Whose::All,
    }
}

fn list(frame: &Frame, query: &Query, page: &Page, gaps: &[crate::store::ingestion::Gap]) -> String {
    let whose = whose(frame.role());
    let opened = page.mails.iter().take(2).map(|mail| (mail.id, samples::NOW)).collect();
    let filter = query.filter(&frame.formats.zone, samples::NOW, None);
    let sources = [samples::source("postfix")];
    let known = Known::new(&sources, gaps, KEPT, (filter.from, filter.to), samples::NOW);
    let input = mails::Input { page, opened: &opened, known, whose: &whose, retention_days: 120 };
    let rows = mails::Rows::new(frame, Arc::new(Dictionary::built_in()), query, input);
    mails::view(frame, query, input, &rows).render().unwrap()
}

fn story(frame: &Frame, mail: &VisibleMail, gaps: &[crate::store::ingestion::Gap], paper: bool) -> String {
    let related = samples::visible(frame.role(), vec![samples::notice()]);
    let (lines, symbols, opens) = (samples::lines(mail), samples::symbols(), samples::opens(mail));
    let input = mail::Input {
        mail,
        related: &related,
        symbols: &symbols,
        lines: &lines,
        opens: &opens,
        gaps,
        back: None,
        retention_days: (14, 120),
    };
    let dictionary = Dictionary::built_in();
    if paper {
        proof::view(frame, &dictionary, input, false).render().unwrap()
    } else {
        mail::view(frame, &dictionary, input).render().unwrap()
    }
}

fn begin(frame: &Frame, troubles: &[VisibleMail], latest: &[VisibleMail], calm: bool) -> String {
    let healths = if calm { Vec::new() } else { judge(&[]) };
    begin_with(frame, troubles, latest, &healths, calm)
}

/// Of the troubles, those of each kind that the page asks for.
fn begin_with(
    frame: &Frame,
    troubles: &[VisibleMail],
    latest: &[VisibleMail],
    healths: &[crate::metrics::health::Health<'_>],
    calm: bool,
) -> String {
    let whose = whose(frame.role());
    let hours = samples::hours();
    let mut sources = [samples::source("postfix"), samples::source("rspamd")];
    if calm {
        sources[0].ring_peak = 0.1;
    }
    let gaps = if calm { vec![] } else { vec![samples::gap()] };
    let found = start::filters((start::week_begin(frame), samples::NOW)).map(|filter| {
        let mut fits = troubles.iter().filter(|mail| filter.matches(mail)).cloned();
        let mails: Vec<VisibleMail> = fits.by_ref().take(start::TROUBLES).collect();
        let older = fits.next().map(|mail| mail.id);
        Arc::new(Page { mails, older, ..Page::default() })
    });
    let input = start::Input {
        found: &found,
        latest,
        hours: if latest.is_empty() { &[] } else { &hours },
        sources: &sources,
        gaps: &gaps,
        whose: &whose,
        healths,
        since: &[],
    };
    start::view(frame, &Dictionary::built_in(), input).render().unwrap()
}

/// All pages of a role in a language, by name.
fn pages(role: Role, lang: Lang) -> BTreeMap<String, String> {
    let mut frame = samples::frame(role, lang);
    let mut pages = BTreeMap::new();
    let dictionary = Dictionary::built_in();
    frame.entry = Some(Entry::Start);
    let troubles = samples::visible(role, vec![samples::bounced(), samples::delayed()]);
    let latest: Vec<_> = samples::visible(role, samples::all()).into_iter().take(6).collect();
    pages.insert("start".to_owned(), begin(&frame, &troubles, &latest, role != Role::Admin));
    pages.insert("start-calm".to_owned(), begin(&frame, &[], &latest, true));
    pages.insert("start-empty".to_owned(), begin(&frame, &[], &[], true));

    frame.entry = Some(Entry::Mails);
    let page = samples::page(role);
    pages.insert("mails".to_owned(), list(&frame, &Query::default(), &page, &[]));
    pages.insert("mails-gap".to_owned(), list(&frame, &Query::default(), &page, &[samples::gap()]));
    let query = Query::parse(
        "q=offer&status=delayed&status=bounced&from=2020-01-02&ip=x&size_from=many&relay=mx&dir=out",
    );
    pages.insert("mails-filtered".to_owned(), list(&frame, &query, &page, &[]));
    let none = Query::parse("status=delayed&rcpt=info@delta.example");
    pages.insert("mails-none".to_owned(), list(&frame, &none, &Page::default(), &[]));
    for one in samples::visible(role, samples::all()) {
        let name = format!("mail-{}-{}", one.status.code(), one.id.0 & 0xff);
        pages.insert(name, story(&frame, &one, &[], false));
    }
    for one in samples::visible(role, vec![samples::bounced()]) {
        pages.insert("proof".to_owned(), story(&frame, &one, &[], true));
        let gap =
            crate::store::ingestion::Gap { from_at: one.first_seen, to_at: one.last_seen, ..samples::gap() };
        pages.insert("mail-gap".to_owned(), story(&frame, &one, &[gap], false));
    }

    for (name, on, tracked) in [
        (
            "tracking",
            true,
            vec![frame.visitor.as_ref().unwrap().address.clone(), "bob@alpha.test".to_owned()],
        ),
        ("tracking-none", true, vec![]),
        ("tracking-off", false, vec![]),
    ] {
        let stored = (role == Role::Admin).then(|| tracking::Stored {
            numbers: Numbers { map_read: Some(samples::NOW), ..Numbers::default() },
            opens: 7,
            refused: 3,
        });
        let input = tracking::Input { on, tracked: &tracked, stored, days: 120 };
        pages.insert(name.to_owned(), tracking::view(&frame, input).render().unwrap());
    }

    if role == Role::Admin {
        let findings = [
            Finding::new("clock", Health::Fine, "clock_fine"),
            Finding::new("hook", Health::Idle, "hook_off"),
            Finding::new("hook", Health::Unknown, "hook_elsewhere"),
            Finding::new("files", Health::Doubtful, "files_open").with("path", "/a/<b>"),
            Finding::new("oauth", Health::Wrong, "oauth_redirect")
                .with("redirect", "https://x.test/callback"),
        ];
        for (name, findings) in [("doctor", &findings[..]), ("doctor-fine", &findings[..2])] {
            let last = (samples::NOW, findings.to_vec());
            pages.insert(name.to_owned(), doctor::view(&frame, Some(&last)).render().unwrap());
        }
        pages.insert("doctor-never".to_owned(), doctor::view(&frame, None).render().unwrap());
    }

    frame.entry = Some(Entry::Find);
    let ask = |way| Asked::Question(Question::new(way, "mila@epsilon.example", "any").unwrap());
    for (name, asked, hits, gaps) in [
        ("find", Asked::Nothing, 0, vec![]),
        ("find-one", ask("sent"), 1, vec![]),
        ("find-some", ask("waiting"), 6, vec![]),
        ("find-none", ask("waiting"), 0, vec![]),
        ("find-none-sent", ask("sent"), 0, vec![]),
        ("find-gap", ask("waiting"), 0, vec![samples::gap()]),
        ("find-paste-none", Asked::Paste, 0, vec![]),
    ] {
        let hits = latest.get(..hits.min(latest.len())).unwrap();
        let sources = [samples::source("postfix")];
        let known = Known::new(&sources, &gaps, KEPT, (Some(samples::ago(3 * 86_400)), None), samples::NOW);
        let input = find::Input { asked: &asked, hits, known };
        pages.insert(name.to_owned(), find::view(&frame, &dictionary, input).render().unwrap());
    }
    if role >= Role::DomainAdmin {
        reports::pages(&mut frame, &mut pages);
        traffic::pages(&mut frame, &mut pages);
    }
    if role == Role::Admin {
        ingestions(&mut frame, &mut pages);
        operation::pages(&mut frame, &mut pages);
        system::pages(&mut frame, &mut pages);
        access::pages(&mut frame, &mut pages);
        public::pages(&mut frame, &mut pages);
    }
    access::own_pages(&mut frame, &mut pages);
    system::own_pages(&mut frame, &mut pages);
    public::open_pages(&mut frame, &mut pages);
    plains(&mut frame, &mut pages);
    pages
}

fn ingestions(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    frame.entry = Some(Entry::Ingestion);
    let mut refused = samples::source("postfix");
    refused.refused = true;
    refused.error = Some("401 Unauthorized <b>".to_owned());
    refused.error_since = Some(samples::ago(900));
    let fresh = crate::store::ingestion::Source::new(crate::model::mail::ServerId(0), "postfix");
    let calm = crate::store::ingestion::Source { ring_peak: 0.1, ..samples::source("postfix") };
    let (ledger, unknown, phrases) = (samples::ledger(), samples::unknown(), samples::phrases());
    let mut mailboxes = vec![Account::new("dmarc@alpha.test at mail.alpha.test", "INBOX"); 2];
    mailboxes[0].succeed(samples::ago(60));
    mailboxes[1].fail(samples::ago(60), "certificate <expired>");
    for (name, sources, gaps) in [
        ("ingestion", vec![samples::source("postfix"), samples::source("rspamd")], vec![samples::gap()]),
        ("ingestion-fine", vec![calm, samples::source("rspamd")], vec![]),
        ("ingestion-refused", vec![refused], vec![]),
        ("ingestion-new", vec![fresh], vec![]),
    ] {
        let input = ingestion::Input {
            sources: &sources,
            gaps: &gaps,
            ledger: &ledger,
            unknown: &unknown,
            phrases: &phrases,
            mailboxes: &mailboxes,
        };
        pages.insert(name.to_owned(), ingestion::view(frame, input).render().unwrap());
    }
}

fn plains(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    frame.entry = None;
    let mut show = |frame: &Frame, name: &str, plain: Plain| {
        pages.insert(name.to_owned(), plain::view(frame, &plain).render().unwrap());
    };
    show(frame, "not-found", Plain::NotFound);
    show(frame, "broke", Plain::Broke { id: "7f3a91".to_owned() });
    show(frame, "old-form", Plain::OldForm);
    show(frame, "too-large", Plain::TooLarge);
    show(frame, "unknown-zone", Plain::UnknownZone { zone: "Berlin <b>".to_owned() });
    frame.visitor = None;
    frame.freshness = None;
    let href = || "/login/start?next=".to_owned();
    show(frame, "sign-in", Plain::SignIn { href: href(), trouble: None });
    for (name, trouble) in [
        ("no-mailbox", Trouble::NoMailbox),
        ("too-late", Trouble::TooLate),
        ("unreachable", Trouble::Unreachable),
        ("refused", Trouble::Refused),
        ("first", Trouble::First),
        ("link-spent", Trouble::LinkSpent),
    ] {
        show(frame, name, Plain::SignIn { href: href(), trouble: Some(trouble) });
    }
    show(frame, "link", Plain::Link { address: "ann@alpha.test".to_owned() });
    show(frame, "signed-out", Plain::SignedOut { href: href() });
    show(frame, "too-many", Plain::TooMany { wait: std::time::Duration::from_secs(120) });
}

fn each(mut look: impl FnMut(&str, &str)) {
    for role in ROLES {
        for lang in Lang::ALL {
            for (name, page) in pages(role, lang) {
                look(&format!("{name} {} {}", role.code(), lang.code()), &page);
            }
        }
    }
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    page.select(&Selector::parse(selector).unwrap()).collect()
}

/// The first tag that closes what is not open, or stays open. Our templates close every tag but the void ones.
fn unbalanced(text: &str) -> Option<String> {
    const VOID: [&str; 6] = ["meta", "link", "input", "img", "col", "source"];
    let mut open: Vec<&str> = Vec::new();
    for tag in text.split('<').skip(1).filter_map(|part| part.split_once('>').map(|(tag, _)| tag)) {
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if tag.starts_with('!') || VOID.contains(&name) || name == "br" || name == "hr" || tag.ends_with('/')
        {
            continue;
        }
        if !tag.starts_with('/') {
            open.push(name);
        } else if open.pop() != Some(name) {
            return Some(tag.to_owned());
        }
    }
    open.last().map(|name| (*name).to_owned())
}

#[test]
fn pages_are_well_formed_and_say_one_thing_first() {
    each(|name, text| {
        let page = Html::parse_document(text);
        assert_eq!(unbalanced(text), None, "{name}");
        assert_eq!(all(&page, "h1").len(), 1, "{name}");
        assert_eq!(all(&page, "main").len(), 1, "{name}");
        let title = all(&page, "title")[0].text().collect::<String>();
        assert!(title.len() > 12, "{name}: {title}");
        let lang = all(&page, "html")[0].value().attr("lang").unwrap();
        assert!(name.ends_with(lang), "{name}");
        assert!(!text.contains("{{") && !text.contains("{%"), "{name}");
    });
}

#[test]
fn headings_never_jump() {
    each(|name, text| {
        let page = Html::parse_document(text);
        let mut level = 0;
        for heading in all(&page, "main h1, main h2, main h3, main h4") {
            let own: u32 = heading.value().name()[1..].parse().unwrap();
            assert!(own <= level + 1, "{name}: {}", heading.text().collect::<String>());
            level = own;
        }
    });
}

#[test]
fn no_heading_stands_before_the_first() {
    each(|name, text| {
        let page = Html::parse_document(text);
        let first = all(&page, "h1, h2, h3, h4, h5, h6").first().map(|heading| heading.value().name());
        assert_eq!(first, Some("h1"), "{name}");
    });
}

#[test]
fn every_field_has_a_name_and_every_id_is_one() {
    each(|name, text| {
        let page = Html::parse_document(text);
        let mut ids = std::collections::BTreeSet::new();
        for element in all(&page, "[id]") {
            let id = element.value().attr("id").unwrap();
            assert!(ids.insert(id.to_owned()), "{name}: id {id} twice");
        }
        for field in all(&page, "input:not([type=hidden]), select, textarea") {
            let value = field.value();
            let labelled =
                value.attr("id").is_some_and(|id| !all(&page, &format!("label[for='{id}']")).is_empty());
            let inside =
                field.ancestors().filter_map(ElementRef::wrap).any(|up| up.value().name() == "label");
            assert!(labelled || inside || value.attr("aria-label").is_some(), "{name}: {}", field.html());
        }
        for reference in ["aria-describedby", "aria-labelledby"] {
            for element in all(&page, &format!("[{reference}]")) {
                assert!(ids.contains(element.value().attr(reference).unwrap()), "{name}: {}", element.html());
            }
        }
        for button in all(&page, "button, a, summary") {
            let words = button.text().collect::<String>();
            assert!(
                !words.trim().is_empty() || button.value().attr("aria-label").is_some(),
                "{name}: {}",
                button.html()
            );
        }
    });
}

#[test]
fn no_page_carries_code_or_style_of_its_own() {
    each(|name, text| {
        let page = Html::parse_document(text);
        assert!(all(&page, "style, iframe, object, embed, base").is_empty(), "{name}");
        for script in all(&page, "script") {
            assert!(
                script.value().attr("src").is_some() && script.text().all(|text| text.trim().is_empty()),
                "{name}"
            );
        }
        for element in all(&page, "*") {
            for (attribute, value) in element.value().attrs() {
                let code = attribute == "style" || attribute.starts_with("on");
                assert!(!code, "{name}: {attribute}");
                let leads = matches!(attribute, "href" | "src" | "action" | "srcset");
                assert!(
                    !leads || !value.trim_start().to_lowercase().starts_with("javascript:"),
                    "{name}: {value}"
                );
                assert!(!value.starts_with("data:"), "{name}: {value}");
            }
        }
    });
}

#[test]
fn hostile_texts_come_out_as_texts() {
    for payload in samples::PAYLOADS {
        for role in ROLES {
            let frame = samples::frame(role, Lang::De);
            let mails = samples::visible(role, vec![samples::hostile(payload)]);
            let page = Page { mails: mails.clone(), ..Page::default() };
            let mut query = Query::default();
            for name in
                ["q", "sender", "rcpt", "subject", "queue_id", "message_id", "relay", "domain", "ip", "from"]
            {
                query.add(name, payload);
            }
            let mut texts = vec![list(&frame, &query, &page, &[]), begin(&frame, &mails, &mails, true)];
            texts.extend(
                mails
                    .iter()
                    .flat_map(|mail| [story(&frame, mail, &[], false), story(&frame, mail, &[], true)]),
            );
            if role == Role::Admin {
                texts.extend(reports::hostile(&frame, payload));
                texts.extend(system::hostile(&frame, payload));
                texts.extend(access::hostile(&frame, payload));
                texts.extend(public::hostile(&frame, payload));
                texts.push(traffic::hostile(&frame, payload));
            }
            for text in texts {
                let page = Html::parse_document(&text);
                assert!(
                    all(&page, "script:not([src]), img[onerror], [onfocus], [autofocus], b > b").is_empty()
                );
                assert!(
                    all(&page, "*")
                        .iter()
                        .all(|element| element.value().attrs().all(|(name, _)| !name.starts_with("on")))
                );
                let words: String = page.root_element().text().collect();
                assert!(words.contains(payload), "{payload} was lost");
            }
        }
    }
}

#[test]
fn one_recipient_learns_nothing_of_the_others() {
    let frame = samples::frame(Role::User, Lang::En);
    let mut mail: Mail = samples::bounced();
    mail.sender = Some("news@garden.example".to_owned());
    mail.login = None;
    mail.recipients[0].address = "ann@alpha.test".to_owned();
    let visible = samples::visible(Role::User, vec![mail]);
    let related: Vec<VisibleMail> = Vec::new();
    let lines = crate::store::lines::Lines { lines: Vec::new(), gone: false };
    let input = mail::Input {
        mail: &visible[0],
        related: &related,
        symbols: &[],
        lines: &lines,
        opens: &[],
        gaps: &[],
        back: None,
        retention_days: (14, 120),
    };
    let text = mail::view(&frame, &Dictionary::built_in(), input).render().unwrap();
    for trace in ["hannah", "orders", "gamma", "person", "people", "3 recipients", "three", "more"] {
        let body = text.split("<main").nth(1).unwrap();
        let shown: String = Html::parse_fragment(body).root_element().text().collect();
        assert!(!shown.to_lowercase().contains(trace), "{trace}");
    }
}

#[test]
fn what_was_given_up_is_not_said_to_go_on() {
    let frame = samples::frame(Role::User, Lang::En);
    let mails = samples::visible(Role::User, vec![samples::expired()]);
    let text = story(&frame, &mails[0], &[], false);
    assert!(text.contains("We do not try again.") && !text.contains("keeps trying"));
    assert!(text.contains("37 more tries with the same answer"));
}

#[test]
fn templates_never_mark_a_text_as_safe() {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("|safe") && !text.contains("| safe") && !text.contains("escape none"),
            "{path:?}"
        );
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn every_icon_that_is_shown_is_in_the_sprite() {
    let sprite = String::from_utf8(crate::web::assets::read("icons.svg").unwrap().into_owned()).unwrap();
    each(|name, text| {
        for icon in text.split("icons.svg#").skip(1) {
            let icon = icon.split('"').next().unwrap();
            assert!(sprite.contains(&format!("id=\"{icon}\"")), "{name}: {icon}");
        }
    });
}

#[test]
fn a_full_list_stays_within_its_weight() {
    let frame = samples::frame(Role::Admin, Lang::De);
    let mut mails = Vec::new();
    for number in 0..50 {
        let mut kinds = [
            samples::mail(1, 1),
            samples::bounced(),
            samples::delayed(),
            samples::rejected(),
            samples::junk(),
        ];
        let mut mail = kinds[number % 5].clone();
        kinds[0].status = mail.status;
        mail.id = crate::model::mail::MailId(mail.id.0 - number as i64 * 7_919_777);
        mail.queue_id = Some(format!("4cQ{:x}", number * 77_777_777));
        mail.message_id = Some(format!("{:x}.{number}@garden{number}.example", number * 991_111));
        mails.push(mail);
    }
    let page = Page { mails: samples::visible(Role::Admin, mails), ..Page::default() };
    let text = list(&frame, &Query::default(), &page, &[]);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    let bytes = packer.finish().unwrap().len();
    let elements = all(&Html::parse_document(&text), "*").len();
    assert!(bytes <= 20_000, "{bytes} bytes");
    assert!(elements < 1500, "{elements} elements");
    println!("{bytes} bytes, {elements} elements");
}

/// Writes all pages to `target/pages/ROLE-LANG/`, to be looked at behind a web server in `target/pages`.
#[test]
#[ignore = "writes files to look at"]
fn write_pages() {
    let target = std::env::var("PAGES_DIR").unwrap_or_else(|_| "target/pages".to_owned());
    for role in ROLES {
        for lang in Lang::ALL {
            let folder = Path::new(&target).join(format!("{}-{}", role.code(), lang.code()));
            std::fs::create_dir_all(&folder).unwrap();
            for (name, page) in pages(role, lang) {
                std::fs::write(folder.join(format!("{name}.html")), &page).unwrap();
                let dark = page.replacen("<html ", "<html data-bs-theme=\"dark\" ", 1);
                std::fs::write(folder.join(format!("{name}-dark.html")), dark).unwrap();
            }
        }
    }
    std::fs::write(Path::new(&target).join("version"), crate::web::assets::version()).unwrap();
}
