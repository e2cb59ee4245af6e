//! Who sees what, against an oracle that knows nothing of the program: random mails, tricky addresses, every way to look.

use std::collections::{BTreeMap, BTreeSet};

use mailcow_status::{
    demo::Rng,
    ingest::{
        correlate::{Batch, Novelty, take},
        sessions::Sessions,
    },
    model::{
        event::LogLine,
        filter::{Filter, Place},
        mail::{Direction, MailId, Status, VisibleMail},
        scan::{Check, Hit, Scan},
        scope::{Holding, Holdings, Scope, Sight},
        time::Millis,
    },
    parse::postfix,
    store::{Db, lines, mails, scans},
};

use super::support::{
    db::{fresh_databases, sqlite},
    portal::{Portal, Surfer, Wishes},
    rig::{SERVER, open},
};

/// Addresses that look like one another, mean the same, or want to be a pattern.
const ADDRESSES: &[&str] = &[
    "ann@alpha.test",
    "Ann@Alpha.TEST",
    "ann+shop@alpha.test",
    "nn@alpha.test",
    "joann@alpha.test",
    "ann@alpha.tes",
    "ann@alpha.test.evil.example",
    "ann@xalpha.test",
    "bob@alpha.test",
    "bob+x@alpha.test",
    "sales@alpha.test",
    "info@alpha.test",
    "carla@beta.test",
    "emil@beta.test",
    "office@beta.test",
    "%@alpha.test",
    "_nn@alpha.test",
    "*@alpha.test",
    "grüße@alpha.test",
    "ann@alpha-alias.test",
    "al@x.example",
    "sal@x.example",
    "x@kunde-gmbh.example",
];

#[derive(Debug)]
struct Row {
    address: String,
    orig_to: Option<String>,
    status: &'static str,
    local: bool,
    /// Stands in the answer of this recipient's server and nowhere else.
    token: String,
}

#[derive(Debug)]
struct Truth {
    at: Millis,
    /// Empty for an attempt that got none.
    queue_id: String,
    sender: String,
    login: Option<String>,
    rows: Vec<Row>,
}

/// What the oracle says of a visitor and a mail: the rows that may be seen; `None`: no mail at all.
fn oracle(scope: &Scope, mail: &Truth) -> Option<BTreeSet<String>> {
    let tokens = |keep: &dyn Fn(&Row) -> bool| -> BTreeSet<String> {
        mail.rows.iter().filter(|row| keep(row)).map(|row| row.token.clone()).collect()
    };
    let Scope::Only(Holdings { domains, addresses }) = scope else { return Some(tokens(&|_| true)) };
    let lower = |address: &str| address.to_lowercase();
    let domain = |address: &str| address.rsplit('@').next().unwrap().to_lowercase();
    let runs = |address: &str| address.contains('@') && domains.contains(&domain(address));
    let bare = |address: &str| {
        let address = lower(address);
        let (local, domain) = address.rsplit_once('@').unwrap_or((&address, ""));
        format!("{}@{domain}", local.split('+').next().unwrap())
    };
    let held = |address: &str| addresses.get(&lower(address)).or_else(|| addresses.get(&bare(address)));
    let in_time = |holding: &&Holding| holding.since <= mail.at;
    let sends = |holding: Option<&Holding>| {
        holding.filter(in_time).is_some_and(|it| it.sends.is_some_and(|since| since <= mail.at))
    };
    let wrote = match &mail.login {
        // Who was logged in has a name: a tag of somebody else's address may be an alias of their own.
        Some(login) => {
            let named = addresses.get(&lower(&mail.sender)).filter(|_| !mail.sender.contains('+'));
            runs(login) || sends(held(login)) || sends(named)
        }
        None => sends(held(&mail.sender)),
    };
    if wrote || runs(&mail.sender) {
        return Some(tokens(&|_| true));
    }
    let own = tokens(&|row| {
        runs(&row.address)
            || row.orig_to.as_deref().is_some_and(runs)
            || held(&row.address).filter(in_time).is_some()
    });
    (!own.is_empty()).then_some(own)
}

/// A random mail, its log lines and the filter's verdict.
fn mail(rng: &mut Rng, number: usize, at: Millis) -> (Truth, Vec<(String, String)>, Option<Scan>) {
    let sender = if rng.chance(8) { "" } else { rng.pick(ADDRESSES) }.to_owned();
    let login = rng.chance(35).then(|| rng.pick(ADDRESSES).to_lowercase());
    let refused = login.is_none() && rng.chance(12);
    let count = if refused { 1 } else { 1 + rng.below(4) };
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for place in 0..count {
        let orig_to = rng.chance(35).then(|| rng.pick(ADDRESSES).to_owned()).filter(|_| !refused);
        let address = rng.pick(ADDRESSES).to_owned();
        if !seen.insert((address.clone(), orig_to.clone())) {
            continue;
        }
        let local = address.to_lowercase().ends_with("a.test");
        let status = *["sent", "sent", "sent", "deferred", "bounced"].get(rng.below(5) as usize).unwrap();
        rows.push(Row { address, orig_to, status, local, token: format!("tok{number}x{place}y") });
    }
    let queue_id = if refused { String::new() } else { format!("A{number:09}") };
    let truth = Truth { at, queue_id: queue_id.clone(), sender: sender.clone(), login: login.clone(), rows };
    if refused {
        let row = &truth.rows[0];
        let text = format!(
            "NOQUEUE: reject: RCPT from mx.x.example[192.0.2.9]: 550 5.1.1 <{to}>: Recipient address rejected: \
             {token}; from=<{sender}> to=<{to}> proto=ESMTP helo=<mx.x.example>",
            to = row.address,
            token = row.token
        );
        return (truth, vec![("postfix/smtpd".to_owned(), text)], None);
    }
    let mut texts = Vec::new();
    let mut say =
        |program: &str, text: String| texts.push((program.to_owned(), format!("{queue_id}: {text}")));
    match &login {
        Some(login) => say(
            "postfix/submission/smtpd",
            format!("client=pc.example[192.0.2.8], sasl_method=PLAIN, sasl_username={login}"),
        ),
        None => say("postfix/smtpd", "client=mx.x.example[192.0.2.9]".to_owned()),
    }
    say("postfix/cleanup", format!("message-id=<{number}@x.example>"));
    let nrcpt = truth.rows.len();
    say("postfix/qmgr", format!("from=<{sender}>, size=4321, nrcpt={nrcpt} (queue active)"));
    for row in &truth.rows {
        let orig_to = row.orig_to.as_ref().map(|it| format!(" orig_to=<{it}>,")).unwrap_or_default();
        let (program, relay) = match row.local {
            true => ("postfix/lmtp", "dovecot[172.22.1.250]:24"),
            false => ("postfix/smtp", "mx.far.example[203.0.113.7]:25"),
        };
        let (dsn, reply) = match row.status {
            "sent" => ("2.0.0", "250 2.0.0 Ok"),
            "deferred" => ("4.2.0", "host said: 450 4.2.0 later"),
            _ => ("5.1.1", "host said: 550 5.1.1 no"),
        };
        say(
            program,
            format!(
                "to=<{}>,{orig_to} relay={relay}, delay=1.2, delays=0.1/0/0.1/1, dsn={dsn}, status={} ({reply} {})",
                row.address, row.status, row.token
            ),
        );
    }
    let notified = truth.sender.contains('@') && truth.rows.iter().any(|row| row.status == "bounced");
    if notified {
        say("postfix/bounce", format!("sender non-delivery notification: B{number:09}"));
    }
    if truth.rows.iter().all(|row| row.status != "deferred") {
        say("postfix/qmgr", "removed".to_owned());
    }
    let first = |row: &Row| row.orig_to.clone().unwrap_or_else(|| row.address.clone());
    let rcpts: Vec<String> = truth.rows.iter().map(first).collect();
    let symbol = |name: &str, options: &[String]| {
        let check = Check { name: name.to_owned(), description: None };
        Hit::new(check.into(), 100, options.iter().map(String::as_str).collect())
    };
    let scan = Scan {
        at,
        message_id: Some(format!("{number}@x.example")),
        subject: Some(format!("about {number}")),
        ip: Some(if login.is_some() { "192.0.2.8" } else { "192.0.2.9" }.to_owned()),
        user: login,
        sender,
        action: "no action".to_owned(),
        hits: vec![
            symbol("R_SPF_ALLOW", &["+ip4".to_owned()]),
            symbol("RCPT_COUNT_FIVE", &["5".to_owned()]),
            symbol("FREEMAIL_ENVRCPT", &rcpts),
            symbol("FREEMAIL_TO", &rcpts),
            symbol("TAGGED_RCPT", &rcpts),
            symbol("BCC", &rcpts),
            symbol("TO_DN_SOME", &[]),
            symbol("FUZZY_DENIED", &rcpts),
        ],
        rcpts,
        size: 4300,
        ..Scan::default()
    };
    if notified {
        texts.extend(notice(number, &truth.sender));
    }
    (truth, texts, Some(scan))
}

/// The lines of the notice that a sender gets.
fn notice(number: usize, to: &str) -> Vec<(String, String)> {
    let local = to.to_lowercase().ends_with("a.test");
    let (program, relay) = match local {
        true => ("postfix/lmtp", "dovecot[172.22.1.250]:24"),
        false => ("postfix/smtp", "mx.far.example[203.0.113.7]:25"),
    };
    let texts = [
        ("postfix/cleanup", format!("message-id=<n{number}@mail.alpha.test>")),
        ("postfix/qmgr", "from=<>, size=2222, nrcpt=1 (queue active)".to_owned()),
        (
            program,
            format!(
                "to=<{to}>, relay={relay}, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok tok{number}x9y)"
            ),
        ),
        ("postfix/qmgr", "removed".to_owned()),
    ];
    texts.into_iter().map(|(program, text)| (program.to_owned(), format!("B{number:09}: {text}"))).collect()
}

/// The same notice as the oracle knows it.
fn notice_truth(number: usize, mail: &Truth) -> Option<Truth> {
    let bounced = mail.rows.iter().any(|row| row.status == "bounced");
    let notified = !mail.queue_id.is_empty() && mail.sender.contains('@') && bounced;
    notified.then(|| Truth {
        at: mail.at,
        queue_id: format!("B{number:09}"),
        sender: String::new(),
        login: None,
        rows: vec![Row {
            address: mail.sender.clone(),
            orig_to: None,
            status: "sent",
            local: mail.sender.to_lowercase().ends_with("a.test"),
            token: format!("tok{number}x9y"),
        }],
    })
}

async fn world(db: &Db, seed: u64, count: usize, begin: Millis) -> Vec<Truth> {
    let mut rng = Rng::new(seed);
    let (mut truths, mut log, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..count {
        // Several in a second, too: refused attempts of one client differ in the recipient only.
        let at = Millis(begin.0 + (number as i64 / 3) * 97_000);
        let (truth, texts, scan) = mail(&mut rng, number, at);
        log.extend(texts.into_iter().map(|(program, text)| (at, program, text)));
        verdicts.extend(scan);
        let notice = notice_truth(number, &truth);
        truths.push(truth);
        truths.extend(notice);
    }
    let lines: Vec<LogLine<'_>> =
        log.iter().map(|(at, program, text)| LogLine { at: *at, program, text }).collect();
    let mut tx = db.begin().await.unwrap();
    let batch = Batch {
        server: SERVER,
        lines: &lines,
        scans: verdicts.into(),
        quarantined: &[],
        novelty: Novelty::New,
    };
    take(&mut tx, &batch, &mut Sessions::default()).await.unwrap();
    lines::append(&mut tx, SERVER, "postfix", &lines).await.unwrap();
    tx.commit().await.unwrap();
    truths
}

fn only(domains: &[&str], addresses: &[(&str, Millis, bool)]) -> Scope {
    Scope::Only(Holdings {
        domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        addresses: addresses
            .iter()
            .map(|&(address, since, sends)| {
                (address.to_owned(), Holding { since, sends: sends.then_some(since) })
            })
            .collect(),
    })
}

fn scopes(begin: Millis) -> Vec<(&'static str, Scope)> {
    let always = Millis(0);
    let later = Millis(begin.0 + 40 * 97_000);
    vec![
        ("nobody", only(&[], &[])),
        (
            "ann",
            only(
                &[],
                &[
                    ("ann@alpha.test", always, true),
                    ("sales@alpha.test", always, true),
                    ("info@alpha.test", always, false),
                    ("ann@alpha-alias.test", always, true),
                ],
            ),
        ),
        ("bob", only(&[], &[("bob@alpha.test", later, true), ("info@alpha.test", later, false)])),
        ("carla", only(&[], &[("carla@beta.test", always, true), ("office@beta.test", always, false)])),
        ("sal", only(&[], &[("sal@x.example", always, true)])),
        ("percent", only(&[], &[("%@alpha.test", always, true)])),
        ("underscore", only(&[], &[("_nn@alpha.test", always, true)])),
        ("unicode", only(&[], &[("grüße@alpha.test", always, true)])),
        ("postmaster", only(&["alpha.test", "alpha-alias.test"], &[("bob@alpha.test", always, true)])),
        ("beta admin", only(&["beta.test"], &[])),
        ("x admin", only(&["x.example"], &[])),
        ("admin", Scope::All),
    ]
}

/// The tokens in a text.
fn tokens(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("tok").map(|(at, _)| &text[at..]);
    let ends = starts.filter_map(|rest| Some(&rest[..=rest.find('y')?]));
    ends.filter(|token| token[3..].bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

async fn listed(db: &Db, scope: &Scope, filter: &Filter) -> Vec<VisibleMail> {
    let (mut all, mut place) = (Vec::new(), Place::Newest);
    loop {
        let page = mails::search(db, scope, filter, place, 7).await.unwrap();
        all.extend(page.mails);
        match page.older {
            Some(older) => place = Place::Before(older),
            None => return all,
        }
    }
}

/// Everything that the store tells of a mail, as text.
async fn told(db: &Db, scope: &Scope, mail: &VisibleMail) -> String {
    let symbols = scans::symbols(db, scope, mail).await.unwrap();
    let raw = lines::of_mail(db, scope, mail, postfix::parse).await.unwrap();
    format!("{mail:?} {symbols:?} {raw:?}")
}

fn truth_of<'a>(truths: &'a [Truth], mail: &VisibleMail) -> &'a Truth {
    let fits = |truth: &&Truth| match &mail.queue_id {
        Some(id) => truth.queue_id == *id,
        None => {
            let reply = &mail.refusal.as_ref().unwrap().reply;
            truth.queue_id.is_empty() && reply.contains(&truth.rows[0].token)
        }
    };
    truths.iter().find(fits).unwrap_or_else(|| panic!("a mail that never was: {mail:?}"))
}

#[tokio::test]
async fn everybody_sees_what_is_theirs_and_nothing_else() {
    let begin = Millis::from_secs(1_795_000_000);
    for seed in 1..=3 {
        for fresh in if seed == 1 { fresh_databases().await } else { vec![sqlite()] } {
            let db = open(&fresh).await;
            let truths = world(&db, seed, 240, begin).await;
            let everything = listed(&db, &Scope::All, &Filter::default()).await;
            for (name, scope) in scopes(begin) {
                let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
                for truth in &truths {
                    if let Some(rows) = oracle(&scope, truth) {
                        wanted.insert(truth.rows[0].token.clone(), rows);
                    }
                }
                let list = listed(&db, &scope, &Filter::default()).await;
                let mut found = BTreeMap::new();
                for mail in &list {
                    let truth = truth_of(&truths, mail);
                    let what = format!("{name}, seed {seed}, {truth:?}");
                    let text = told(&db, &scope, mail).await;
                    let rows = oracle(&scope, truth).unwrap_or_else(|| panic!("{what} is not theirs"));
                    assert_eq!(tokens(&text), rows, "{what}");
                    check_traces(mail, truth, &text, &what);
                    for other in mails::related(&db, &scope, mail).await.unwrap() {
                        let wanted = oracle(&scope, truth_of(&truths, &other));
                        assert_eq!(Some(tokens(&format!("{other:?}"))), wanted, "{what}: {other:?}");
                    }
                    found.insert(truth.rows[0].token.clone(), rows);
                    assert_eq!(mails::find(&db, &scope, mail.id).await.unwrap().as_ref(), Some(mail));
                }
                assert_eq!(found, wanted, "{name}, seed {seed}");
                let ids: BTreeSet<MailId> = list.iter().map(|mail| mail.id).collect();
                for foreign in everything.iter().filter(|mail| !ids.contains(&mail.id)) {
                    assert_eq!(mails::find(&db, &scope, foreign.id).await.unwrap(), None, "{name}");
                }
                check_filters(&db, &scope, &list, &truths, name).await;
                let hours =
                    mails::hours(&db, &scope, begin, Millis(begin.0 + 90 * 86_400_000)).await.unwrap();
                let counted: i64 = hours.iter().map(|hour| hour.received + hour.sent + hour.problems).sum();
                assert_eq!(counted, list.len() as i64, "{name}: the week counts each visible mail once");
            }
        }
    }
}

/// Nothing of the other recipients but tokens, which are checked before.
fn check_traces(mail: &VisibleMail, truth: &Truth, text: &str, what: &str) {
    if mail.sight() != Sight::Recipients {
        return;
    }
    assert!(!text.contains("nrcpt="), "{what}: {text}");
    for word in ["RCPT_", "ENVRCPT", "FREEMAIL_TO", "TAGGED", "TO_DN", "\"BCC\""] {
        assert!(!text.contains(word), "{what}: {word} in {text}");
    }
    let known = |address: &str| {
        let seen = mail.recipients.iter().flat_map(|row| [Some(&row.address), row.orig_to.as_ref()]);
        let seen = seen.flatten().chain(&mail.sender).chain(&mail.login);
        seen.into_iter().any(|own| own.to_lowercase().contains(&address.to_lowercase()))
    };
    for row in &truth.rows {
        for address in [Some(&row.address), row.orig_to.as_ref()].into_iter().flatten() {
            if !known(address) {
                assert!(
                    !text.to_lowercase().contains(&format!("<{}>", address.to_lowercase())),
                    "{what}: {address}"
                );
                assert!(
                    !text.to_lowercase().contains(&format!("\"{}\"", address.to_lowercase())),
                    "{what}: {address}"
                );
            }
        }
    }
    let own: Vec<&Row> = truth.rows.iter().filter(|row| text.contains(&row.token)).collect();
    let worst = own.iter().map(|row| match row.status {
        "sent" => Status::Sent,
        "deferred" => Status::Delayed,
        _ => Status::Bounced,
    });
    if mail.refusal.is_none() && !truth.queue_id.starts_with('B') {
        assert_eq!(mail.status, worst.max().unwrap(), "{what}: the status of others");
        assert_eq!(mail.removed, None, "{what}");
        let house = own.iter().all(|row| row.local);
        let wanted = match truth.login.is_some() {
            false => Direction::In,
            true if house => Direction::Internal,
            true => Direction::Out,
        };
        if own.iter().any(|row| row.local) == house {
            assert_eq!(mail.direction, wanted, "{what}: the way of others");
        }
    }
}

/// A filter shows exactly those of the visible mails that it should, whatever index it went by.
async fn check_filters(db: &Db, scope: &Scope, list: &[VisibleMail], truths: &[Truth], name: &str) {
    let mut filters: Vec<Filter> = Vec::new();
    for status in [Status::Sent, Status::Delayed, Status::Bounced, Status::Rejected, Status::Unknown] {
        filters.push(Filter { statuses: vec![status], ..Filter::default() });
    }
    for direction in Direction::ALL {
        filters.push(Filter { direction: Some(direction), ..Filter::default() });
    }
    for &address in ADDRESSES {
        filters.push(Filter { rcpt: Some(address.to_owned()), ..Filter::default() });
        filters.push(Filter { sender: Some(address.to_owned()), ..Filter::default() });
        filters.push(Filter { q: Some(address.to_owned()), ..Filter::default() });
    }
    for domain in ["alpha.test", "beta.test", "x.example", "far.example", "%", "alpha_test"] {
        filters.push(Filter { domain: Some(domain.to_owned()), ..Filter::default() });
        filters.push(Filter { relay: Some(domain.to_owned()), ..Filter::default() });
    }
    for code in ["550", "5.1.1", "4.2.0"] {
        filters.push(Filter { code: Some(code.to_owned()), ..Filter::default() });
    }
    for truth in truths.iter().take(20) {
        filters.push(Filter { queue_id: Some(truth.queue_id.clone()), ..Filter::default() });
    }
    for filter in filters {
        let wanted: Vec<MailId> =
            list.iter().filter(|mail| filter.matches(mail)).map(|mail| mail.id).collect();
        let found: Vec<MailId> = listed(db, scope, &filter).await.iter().map(|mail| mail.id).collect();
        let differ: Vec<_> =
            list.iter().filter(|mail| found.contains(&mail.id) != wanted.contains(&mail.id)).collect();
        assert!(found == wanted, "{name}: {filter:?}: {differ:?}");
    }
}

async fn page(browser: &mut Surfer, path: &str) -> String {
    let answer = browser.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

#[tokio::test]
async fn pages_and_exports_hold_no_byte_of_a_foreign_recipient() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let begin = Millis(portal.now().0 - 3 * 3_600_000);
        let db = &portal.state.db;
        let truths = world(db, 9, 90, begin).await;
        let everything = listed(db, &Scope::All, &Filter::default()).await;
        let always = Millis(0);
        let visitors = [
            (
                "ann@alpha.test",
                only(
                    &[],
                    &[
                        ("ann@alpha.test", always, true),
                        ("sales@alpha.test", always, true),
                        ("info@alpha.test", always, false),
                        ("ann@alpha-alias.test", always, true),
                        ("sales@alpha-alias.test", always, true),
                        ("info@alpha-alias.test", always, false),
                    ],
                ),
            ),
            (
                "carla@beta.test",
                only(&[], &[("carla@beta.test", always, true), ("office@beta.test", always, false)]),
            ),
            ("postmaster@alpha.test", only(&["alpha.test", "alpha-alias.test"], &[])),
            ("admin@alpha.test", Scope::All),
        ];
        for (address, scope) in visitors {
            let mut browser = portal.signed_in(address).await;
            let allowed: BTreeSet<String> =
                truths.iter().filter_map(|mail| oracle(&scope, mail)).flatten().collect();
            let none: BTreeSet<String> = BTreeSet::new();
            for path in
                ["/", "/mails", "/mails?q=tok", "/mails?columns=ids", "/find?way=in&who=&from=", "/mails.csv"]
            {
                let text = page(&mut browser, path).await;
                let foreign: BTreeSet<_> = tokens(&text).difference(&allowed).cloned().collect();
                assert_eq!(foreign, none, "{address} {path}");
            }
            let csv = page(&mut browser, "/mails.csv").await;
            let rows: usize =
                truths.iter().filter_map(|mail| oracle(&scope, mail)).map(|rows| rows.len()).sum();
            assert_eq!(csv.lines().count() - 1, rows, "{address}: one line a visible recipient");
            let mut missing = everything.iter().map(|mail| mail.id.0).max().unwrap() + 77;
            for mail in &everything {
                let truth = truth_of(&truths, mail);
                for tail in ["", "/proof", "/proof?lines=all"] {
                    let path = format!("/mails/{}{tail}", mail.id.0);
                    let Some(rows) = oracle(&scope, truth) else {
                        let foreign = browser.get(&path).await;
                        missing += 1;
                        let other = browser.get(&format!("/mails/{missing}{tail}")).await;
                        assert_eq!((foreign.status, other.status), (404, 404), "{address} {path}");
                        let same = |body: &str, id: i64| body.replace(&id.to_string(), "ID");
                        assert_eq!(
                            same(&foreign.body, mail.id.0),
                            same(&other.body, missing),
                            "{address} {path}"
                        );
                        continue;
                    };
                    let text = page(&mut browser, &path).await;
                    let own_lines = tail != "/proof";
                    let seen = tokens(&text);
                    assert!(seen.is_subset(&rows), "{address} {path} {truth:?}: {seen:?}");
                    assert!(!own_lines || seen == rows, "{address} {path} {truth:?}: {seen:?} of {rows:?}");
                    if rows.len() < truth.rows.len() {
                        assert!(!text.contains("nrcpt="), "{address} {path}");
                        check_page(&text, truth, &rows, &format!("{address} {path} {truth:?}"));
                    }
                }
            }
        }
    }
}

/// No address of a hidden row, unless a visible part of the mail or the visitor's own world holds it, too.
fn check_page(text: &str, truth: &Truth, rows: &BTreeSet<String>, what: &str) {
    let visible = truth.rows.iter().filter(|row| rows.contains(&row.token));
    let visible: Vec<String> = visible
        .flat_map(|row| [Some(row.address.clone()), row.orig_to.clone()])
        .chain([Some(truth.sender.clone()), truth.login.clone()])
        .flatten()
        .map(|address| address.to_lowercase())
        .collect();
    let text = text.to_lowercase();
    for row in truth.rows.iter().filter(|row| !rows.contains(&row.token)) {
        for address in [Some(&row.address), row.orig_to.as_ref()].into_iter().flatten() {
            let address = address.to_lowercase();
            // The visitor's own name stands at the top of each page.
            let own = ["ann@alpha.test", "carla@beta.test", "postmaster@alpha.test"];
            let part = |whole: &str| whole.contains(&address);
            if !visible.iter().any(|it| part(it)) && !own.iter().any(|it| part(it)) {
                assert!(!text.contains(&address), "{what}: {address}");
            }
        }
    }
}

/// Takes lines of one second, `QUEUE_ID: text` behind each program, and the verdicts.
async fn logged(db: &Db, at: Millis, lines: &[(&str, &str)], scans: Vec<Scan>) {
    let lines: Vec<LogLine<'_>> =
        lines.iter().map(|&(program, text)| LogLine { at, program, text }).collect();
    let mut tx = db.begin().await.unwrap();
    let batch =
        Batch { server: SERVER, lines: &lines, scans: scans.into(), quarantined: &[], novelty: Novelty::New };
    take(&mut tx, &batch, &mut Sessions::default()).await.unwrap();
    tx.commit().await.unwrap();
}

const AT: Millis = Millis::from_secs(1_795_000_000);

/// The one mail that a scope sees, as text; `None` where it sees none.
async fn seen(db: &Db, scope: &Scope) -> Option<(Sight, String)> {
    let list = listed(db, scope, &Filter::default()).await;
    assert!(list.len() < 2, "{list:?}");
    let hours = mails::hours(db, scope, Millis(0), Millis(AT.0 * 2)).await.unwrap();
    let counted: i64 = hours.iter().map(|hour| hour.received + hour.sent + hour.problems).sum();
    assert_eq!(counted, list.len() as i64, "the week counts what is seen");
    let mail = list.first()?;
    Some((mail.sight(), told(db, scope, mail).await))
}

#[tokio::test]
async fn the_words_of_a_rule_tell_a_recipient_nothing_of_others() {
    let sent = |to: &str| {
        format!(
            "A000000001: to=<{to}>, relay=dovecot[172.22.1.250]:24, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"
        )
    };
    let (zoe, hidden) = (sent("zoe@alpha.test"), sent("hidden@beta.test"));
    let held = "A000000001: hold: RCPT from mx.x.example[192.0.2.9]: <hidden@beta.test>: Recipient address triggers HOLD \
                action; from=<s@x.example> to=<hidden@beta.test> proto=ESMTP helo=<mx.x.example>";
    // The other server may be slow, or its line may be lost.
    for tried in [true, false] {
        let fresh = sqlite();
        let db = open(&fresh).await;
        let mut lines = vec![
            ("postfix/smtpd", "A000000001: client=mx.x.example[192.0.2.9]"),
            ("postfix/smtpd", held),
            ("postfix/cleanup", "A000000001: message-id=<1@x.example>"),
            ("postfix/qmgr", "A000000001: from=<s@x.example>, size=9, nrcpt=2 (queue active)"),
            ("postfix/lmtp", &zoe),
        ];
        lines.extend(tried.then_some(("postfix/lmtp", hidden.as_str())));
        logged(&db, AT, &lines, Vec::new()).await;
        let (sight, text) = seen(&db, &Scope::mailbox("zoe@alpha.test", Millis(0))).await.unwrap();
        assert_eq!(sight, Sight::Recipients);
        assert!(text.contains("Held") && !text.contains("hidden") && !text.contains("triggers"), "{text}");
        let (_, text) = seen(&db, &Scope::All).await.unwrap();
        assert!(text.contains("hidden@beta.test") && text.contains("triggers"), "{text}");
    }
}

#[tokio::test]
async fn the_copy_of_a_bcc_map_is_not_for_the_sender() {
    let fresh = sqlite();
    let db = open(&fresh).await;
    logged(
        &db,
        AT,
        &[
            ("postfix/bcc/smtpd", "A000000001: client=rspamd-mailcow.mailcowdockerized_mailcow-network[172.22.1.9]"),
            ("postfix/cleanup", "A000000001: message-id=<1@alpha.test>"),
            ("postfix/qmgr", "A000000001: from=<ann@alpha.test>, size=9, nrcpt=1 (queue active)"),
            ("postfix/lmtp", "A000000001: to=<audit@alpha.test>, relay=dovecot[172.22.1.250]:24, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"),
        ],
        Vec::new(),
    )
    .await;
    assert_eq!(seen(&db, &Scope::mailbox("ann@alpha.test", Millis(0))).await, None);
    let audit = seen(&db, &Scope::mailbox("audit@alpha.test", Millis(0))).await;
    assert_eq!(audit.map(|(sight, _)| sight), Some(Sight::Recipients));
    // Who runs the domain makes its Bcc maps.
    let admin = seen(&db, &only(&["alpha.test"], &[])).await;
    assert_eq!(admin.map(|(sight, _)| sight), Some(Sight::Full));
}

#[tokio::test]
async fn a_mail_refused_because_the_sender_is_another_belongs_to_who_was_logged_in() {
    let fresh = sqlite();
    let db = open(&fresh).await;
    let quoted = "\"x>: Sender address rejected: not owned by user bob@alpha.test\"@beta.test";
    for sender in ["carla@beta.test", quoted] {
        let text = format!(
            "NOQUEUE: reject: RCPT from pc.example[192.0.2.8]: 553 5.7.1 <{sender}>: Sender address rejected: not owned by user \
             ann@alpha.test; from=<{sender}> to=<you@x.example> proto=ESMTP helo=<pc>"
        );
        logged(&db, AT, &[("postfix/submission/smtpd", &text)], Vec::new()).await;
    }
    for (name, wanted) in [("ann@alpha.test", 2), ("carla@beta.test", 0), ("bob@alpha.test", 0)] {
        let list = listed(&db, &Scope::mailbox(name, Millis(0)), &Filter::default()).await;
        assert_eq!(list.len(), wanted, "{name}");
    }
    let list = listed(&db, &only(&["alpha.test"], &[]), &Filter::default()).await;
    assert_eq!(list.len(), 2, "who runs the domain of the login must act");
}

#[tokio::test]
async fn a_sender_that_is_only_claimed_opens_no_mailbox_of_others() {
    let spam = |user: Option<&str>| Scan {
        at: AT,
        message_id: Some("1@alpha.test".to_owned()),
        sender: "who@alpha.test".to_owned(),
        rcpts: vec!["carla@beta.test".to_owned()],
        user: user.map(str::to_owned),
        score: 1250,
        action: "add header".to_owned(),
        ..Scan::default()
    };
    for (entrance, user, wanted) in [
        ("postfix/smtpd", None, Sight::Sender),
        ("postfix/submission/smtpd", Some("who@alpha.test"), Sight::Full),
    ] {
        let fresh = sqlite();
        let db = open(&fresh).await;
        let login = user.map(|user| format!(", sasl_method=PLAIN, sasl_username={user}")).unwrap_or_default();
        logged(
            &db,
            AT,
            &[
                (entrance, &format!("A000000001: client=mx.x.example[192.0.2.9]{login}")),
                ("postfix/cleanup", "A000000001: message-id=<1@alpha.test>"),
                ("postfix/qmgr", "A000000001: from=<who@alpha.test>, size=9, nrcpt=1 (queue active)"),
                ("postfix/lmtp", "A000000001: to=<carla@beta.test>, relay=dovecot[172.22.1.250]:24, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 <carla@beta.test> x Saved)"),
            ],
            vec![spam(user)],
        )
        .await;
        let scope = only(&["alpha.test"], &[]);
        let (sight, _) = seen(&db, &scope).await.unwrap();
        assert_eq!(sight, wanted, "{entrance}");
        let list = listed(&db, &scope, &Filter::default()).await;
        let score = list[0].check.as_ref().map_or(0, |check| check.score);
        assert_eq!(score > 0, wanted == Sight::Full, "{entrance}: what the filter of others said");
    }
}

#[tokio::test]
async fn who_comes_to_hold_an_alias_alone_does_not_get_what_others_sent_in_its_name() {
    let fresh = sqlite();
    let db = open(&fresh).await;
    logged(
        &db,
        AT,
        &[
            ("postfix/submission/smtpd", "A000000001: client=pc[192.0.2.8], sasl_method=PLAIN, sasl_username=bob@alpha.test"),
            ("postfix/qmgr", "A000000001: from=<team@alpha.test>, size=9, nrcpt=1 (queue active)"),
            ("postfix/smtp", "A000000001: to=<secret@x.example>, relay=mx.x.example[203.0.113.7]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"),
        ],
        Vec::new(),
    )
    .await;
    let team = |sends: Option<Millis>| {
        let holding = Holding { since: Millis(0), sends };
        Scope::Only(Holdings {
            addresses: [("team@alpha.test".to_owned(), holding)].into(),
            ..Holdings::default()
        })
    };
    assert_eq!(seen(&db, &team(Some(Millis(AT.0 + 1)))).await, None);
    assert_eq!(seen(&db, &team(None)).await, None);
    let held = seen(&db, &team(Some(AT))).await;
    assert_eq!(held.map(|(sight, _)| sight), Some(Sight::Sender));
}

#[tokio::test]
async fn the_week_counts_all_mails_of_a_busy_mailbox() {
    let fresh = sqlite();
    let db = open(&fresh).await;
    let texts: Vec<String> = (0..1_100)
        .map(|n| format!("A{n:09}: from=<ann@alpha.test>, size=9, nrcpt=1 (queue active)"))
        .collect();
    let lines: Vec<(&str, &str)> = texts.iter().map(|text| ("postfix/qmgr", text.as_str())).collect();
    logged(&db, AT, &lines, Vec::new()).await;
    let scope = Scope::mailbox("ann@alpha.test", Millis(0));
    let hours = mails::hours(&db, &scope, Millis(AT.0 - 1), Millis(AT.0 + 1000)).await.unwrap();
    assert_eq!(hours.iter().map(|hour| hour.received + hour.sent + hour.problems).sum::<i64>(), 1_100);
}

/// Two addresses with one key: a search for such a pair takes seconds.
#[tokio::test]
async fn an_address_that_hashes_alike_counts_nothing_of_the_other() {
    let (mine, other) = ("x14f3397@alpha.test", "partner@kunde-gmbh.example");
    // As `store::keys` makes them.
    let key = |address: &str| twox_hash::XxHash3_64::oneshot_with_seed(1, address.as_bytes()) >> 32;
    assert_eq!(key(mine), key(other));
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        logged(
            &db,
            AT,
            &[
                ("postfix/submission/smtpd", "A000000001: client=pc[192.0.2.8], sasl_method=PLAIN, sasl_username=bob@alpha.test"),
                ("postfix/qmgr", "A000000001: from=<bob@alpha.test>, size=9, nrcpt=1 (queue active)"),
                ("postfix/smtp", &format!("A000000001: to=<{other}>, relay=mx.x.example[203.0.113.7]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)")),
            ],
            Vec::new(),
        )
        .await;
        assert_eq!(seen(&db, &Scope::mailbox(mine, Millis(0))).await, None);
        assert!(seen(&db, &Scope::mailbox("bob@alpha.test", Millis(0))).await.is_some());
    }
}
