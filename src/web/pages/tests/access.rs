//! The pages of the access log and of the roles.

use std::{collections::BTreeMap, time::Duration};

use askama::Template;

use super::super::{
    access::{self, Query},
    frame::{Entry as Nav, Frame},
    own_access,
    roles::{self, Holder, Origin},
    samples,
};
use crate::{
    model::scope::Role,
    store::audit::{Action, Crowd, Entry, Summary},
    web::{
        client::Client,
        limits::{Class, Limits},
    },
};

/// One entry of each kind, newest first.
fn entries() -> Vec<Entry> {
    let mail = samples::bounced().id.0.to_string();
    let entry = |(place, action): (usize, &Action)| {
        let at = samples::ago(60 * (1 + place as u64) * (1 + place as u64));
        let entry = Entry::new(at, "postmaster@alpha.test", *action, "2001:db8::7").role(Role::DomainAdmin);
        let owners =
            ["alpha.test", "ann@alpha.test", "bob@alpha.test", "carla@alpha.test", "dora@alpha.test"];
        match action {
            Action::Story | Action::Proof => entry.detail(&mail).about(owners.map(str::to_owned)),
            Action::Mails => entry.about(owners.map(str::to_owned)),
            Action::Search | Action::Export => entry.detail("rcpt=carla%40alpha.test&status=bounced"),
            Action::Report | Action::ReportXml | Action::TlsReport => {
                entry.detail("7").about(["alpha.test".to_owned()])
            }
            Action::RoleChanged => entry.detail("user"),
            Action::LinkMade => Entry { client: "command line".to_owned(), ..entry },
            Action::Limited => Entry { actor: String::new(), role: String::new(), ..entry }.detail("guess"),
            _ => entry,
        }
    };
    Action::ALL.iter().enumerate().map(entry).collect()
}

fn log(frame: &Frame, entries: &[Entry], summary: &Summary, lost: u64, query: &str) -> String {
    let limits = Limits::default();
    let client = Client::At([192, 0, 2, 1].into());
    while limits.admit(Class::SignIn, client, samples::NOW).is_ok() {}
    let kept = Duration::from_secs(180 * 86_400);
    let query = Query::parse(query);
    let input = access::Input { query: &query, entries, summary, lost, limits: &limits, kept };
    access::view(frame, input).render().unwrap()
}

fn own(frame: &Frame, others: &[Entry], mine: &[Entry], paged: bool) -> String {
    let mails = samples::visible(frame.role(), vec![samples::bounced()]);
    own_access::view(frame, own_access::Input { others, paged, mine, mails: &mails }).render().unwrap()
}

fn holders() -> Vec<Holder> {
    let holder = |address: &str, role, origin| Holder::new(address.to_owned(), role, origin);
    let domains = || vec!["alpha.test".to_owned(), "beta.test".to_owned()];
    let mut admin = holder("admin@alpha.test", Role::Admin, Origin::Setting(Vec::new()));
    (admin.last, admin.can_sign_in) = (Some(samples::ago(600)), true);
    vec![
        admin,
        holder("dora@alpha.test", Role::DomainAdmin, Origin::Setting(domains())),
        holder("bob@alpha.test", Role::DomainAdmin, Origin::Mailcow("alphaadmin".to_owned())),
        holder("postmaster@alpha.test", Role::DomainAdmin, Origin::Prefix),
        holder("owner@host.test", Role::DomainAdmin, Origin::Link(domains())),
    ]
}

/// The pages that everybody has.
pub fn own_pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    frame.entry = Some(Nav::Mailbox);
    let entries = entries();
    let (others, mine) = entries.split_at(5);
    pages.insert("own-access".to_owned(), own(frame, others, mine, false));
    pages.insert("own-access-none".to_owned(), own(frame, &[], &[], false));
    let many = vec![others.first().unwrap().clone(); own_access::PER_PAGE + 1];
    pages.insert("own-access-many".to_owned(), own(frame, &many, mine, true));
}

/// The pages of admins.
pub fn pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    frame.entry = Some(Nav::Ingestion);
    let calm = Summary { people: 14, stories: 132, ..Summary::default() };
    let crowd = Crowd { actor: "postmaster@alpha.test".into(), owner: "ann@alpha.test".into(), stories: 41 };
    let odd = Summary {
        crowd: Some(crowd),
        refused: (23, "203.0.113.9".to_owned()),
        keys: (2, "203.0.113.9".to_owned()),
        roles: 1,
        ..calm.clone()
    };
    pages.insert("access".to_owned(), log(frame, &entries(), &calm, 0, ""));
    let query = "person=ann@alpha.test&owner=alpha.test&kind=story&days=30&after=5.3";
    pages.insert("access-odd".to_owned(), log(frame, &entries(), &odd, 3, query));
    pages.insert("access-none".to_owned(), log(frame, &[], &Summary::default(), 0, "kind=proof"));
    let many = vec![entries().remove(0); access::PER_PAGE + 1];
    pages.insert("access-many".to_owned(), log(frame, &many, &calm, 0, ""));
    for (name, holders, mailboxes) in [("roles", holders(), 431), ("roles-none", Vec::new(), 1)] {
        let input = roles::Input { holders: &holders, mailboxes };
        pages.insert(name.to_owned(), roles::view(frame, input).render().unwrap());
    }
}

/// The pages with a text that wants to be code.
pub fn hostile(frame: &Frame, payload: &str) -> Vec<String> {
    let actor = format!("{payload}@alpha.test");
    let entry = Entry::new(samples::NOW, &actor, Action::SignInRefused, payload).detail(payload);
    let entry = entry.about([payload.to_owned()]);
    let holder = Holder::new(payload.to_owned(), Role::DomainAdmin, Origin::Mailcow(payload.to_owned()));
    let input = roles::Input { holders: &[holder], mailboxes: 2 };
    vec![
        log(frame, std::slice::from_ref(&entry), &Summary::default(), 0, ""),
        own(frame, std::slice::from_ref(&entry), &[], false),
        roles::view(frame, input).render().unwrap(),
    ]
}

#[test]
fn looks_that_read_the_same_are_told_once() {
    let frame = samples::frame(Role::User, crate::web::text::Lang::En);
    let look = |seconds: u64| {
        Entry::new(samples::ago(seconds), "postmaster@alpha.test", Action::Search, "192.0.2.7")
            .role(Role::DomainAdmin)
            .detail(format!("q={seconds}"))
    };
    let mut others: Vec<Entry> = (60..82).map(look).collect();
    others.push(look(9000));
    let page = own(&frame, &others, &[], false);
    assert_eq!(page.matches("Searched mails").count(), 2, "{page}");
    assert!(page.contains("22 times, 18:43 to 18:44"), "{page}");
}
