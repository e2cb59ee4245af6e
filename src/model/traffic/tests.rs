use proptest::prelude::*;

use super::*;
use crate::model::{
    mail::{Direction, Entrance, MailId, ServerId, Verdict},
    scope::{Holdings, Scope},
    time::Millis,
};

fn row(address: &str, orig_to: Option<&str>, status: Status) -> Recipient {
    Recipient {
        address: address.to_owned(),
        orig_to: orig_to.map(str::to_owned),
        status,
        relay: "mx1.provider.example[192.0.2.1]:25".to_owned(),
        delay: "1.5".to_owned(),
        ..Recipient::default()
    }
}

fn mail(sender: &str, login: Option<&str>, rows: Vec<Recipient>) -> Mail {
    Mail {
        id: MailId(1),
        server: ServerId(1),
        first_seen: Millis(0),
        last_seen: Millis(0),
        queue_id: Some("4cQ".to_owned()),
        message_id: None,
        sender: Some(sender.to_owned()),
        login: login.map(str::to_owned),
        client_host: None,
        client_ip: None,
        helo: None,
        client_tls: None,
        entrance: Some(Entrance::Smtp),
        size: Some(1000),
        direction: Direction::In,
        status: Status::Sent,
        verdict: Verdict::None,
        check: None,
        recipients: rows,
        refusal: None,
        notices: Vec::new(),
        parent: None,
        removed: None,
        steps: Vec::new(),
    }
}

fn ours() -> BTreeSet<String> {
    ["alpha.test", "beta.test"].map(str::to_owned).into()
}

fn hour(mails: &[Mail]) -> Hour {
    let mut hour = Hour::default();
    mails.iter().for_each(|mail| hour.add(mail, &ours()));
    hour
}

#[test]
fn what_became_of_mails_is_counted_once_for_each_recipient() {
    let rows = vec![
        row("ann@alpha.test", None, Status::Sent),
        row("bob@alpha.test", None, Status::Junk),
        row("carla@beta.test", None, Status::Delayed),
        row("x@far.example", None, Status::Bounced),
    ];
    let hour = hour(&[mail("news@garden.example", None, rows)]);
    let all = &hour.all;
    assert_eq!((all.mails, all.bytes, all.delivered(), all.bytes_delivered), (1, 1000, 2, 2000));
    assert_eq!((all.waiting(), all.bounced(), all.rejected()), (1, 1, 0));
    assert_eq!((all.mean_delay(), all.delay_max), (Some(1500), 1500));
    assert!(
        all.delay_at(0.95).is_some_and(|about| (1200..=1500).contains(&about)),
        "{:?}",
        all.delay_at(0.95)
    );
    let to = &hour.domains[&("alpha.test".to_owned(), Side::In)];
    assert_eq!((to.mails, to.delivered(), to.waiting(), to.bounced()), (1, 2, 0, 0));
    assert_eq!(to.senders.busiest()[0].0, "news@garden.example");
    assert!(!hour.domains.keys().any(|(domain, side)| domain.contains("far") || *side == Side::Out));
    assert_eq!(all.providers.busiest()[0].0, "provider.example");
}

#[test]
fn refusals_have_a_reason() {
    let refusal = |reply: &str| Refused {
        verb: "reject".to_owned(),
        stage: "RCPT".to_owned(),
        code: 554,
        dsn: "5.7.1".to_owned(),
        reply: reply.to_owned(),
    };
    let mut listed = mail("spam@bad.example", None, vec![row("ann@alpha.test", None, Status::Rejected)]);
    listed.queue_id = None;
    listed.refusal = Some(refusal("554 5.7.1 Service unavailable; client blocked using zen.example"));
    let mut early = mail("spam@bad.example", None, Vec::new());
    early.queue_id = None;
    early.refusal = Some(refusal("450 4.7.1 Helo command rejected"));
    let hour = hour(&[listed, early]);
    assert_eq!((hour.all.mails, hour.all.rejected(), hour.all.refused), (0, 2, 1));
    assert_eq!(hour.all.reasons, BTreeMap::from([("list".to_owned(), 1), ("other".to_owned(), 1)]));
    for (reply, expected) in [
        ("550 5.1.1 <x@a.test>: Recipient address rejected: User unknown in virtual mailbox table", "user"),
        ("554 5.7.1 <x@far.test>: Relay access denied", "relay"),
        ("450 4.1.8 <x@y>: Sender address rejected: Domain not found", "domain"),
        ("4.7.1 Try again later", "greylist"),
        ("552 5.2.2 over quota", "quota"),
        ("553 5.7.1 <x@y>: Sender address rejected: not owned by user bob", "sender"),
        ("5.7.1 Spam message rejected", "spam"),
        (
            "550 5.1.1 <virus@a.test>: Recipient address rejected: User unknown in virtual mailbox table",
            "user",
        ),
        ("hello", "other"),
    ] {
        assert_eq!(refused(Status::Rejected, reply, "", None), expected, "{reply}");
    }
    assert_eq!(refused(Status::Virus, "5.7.1 ClamAV: Eicar", "5.7.1", None), "virus");
}

#[test]
fn lists_keep_the_busiest_and_count_the_rest() {
    let mails: Vec<Mail> = (0..200)
        .map(|n| {
            mail(
                &format!("s{}@x.example", n / 2 + n % 2),
                None,
                vec![row("ann@alpha.test", None, Status::Sent)],
            )
        })
        .collect();
    let cut = hour(&mails).all.cut();
    assert_eq!(cut.senders.names.len(), NAMES);
    let named: u64 = cut.senders.names.values().map(Fate::count).sum();
    assert_eq!(named + cut.senders.others.count(), 200);
    assert!(cut.senders.is_cut() && !cut.recipients.is_cut());
    let bytes = serde_json::to_vec(&cut).unwrap();
    assert_eq!(serde_json::from_slice::<Traffic>(&bytes).unwrap(), cut);
}

proptest! {
    /// Steps are in order, and the middle of a step is near its delays.
    #[test]
    fn delays_are_known_by_about_a_tenth(millis in 1_u64..1_000_000_000) {
        let middle = middle_of(step_of(millis)) as f64;
        prop_assert!((middle / millis as f64 - 1.0).abs() < 0.12 || millis < 20, "{millis} {middle}");
        prop_assert!(step_of(millis) <= step_of(millis + 1));
    }

    /// Nobody's figures hold a mail that the scope does not show, and figures of domains add up without counting twice.
    #[test]
    fn figures_of_a_domain_are_within_its_scope(
        senders in prop::collection::vec(0_usize..4, 1..20),
        logins in prop::collection::vec(prop::option::of(0_usize..4), 20),
        rows in prop::collection::vec(prop::collection::vec((0_usize..4, prop::option::of(0_usize..4)), 0..4), 20),
    ) {
        const DOMAINS: [&str; 4] = ["alpha.test", "Beta.test", "gamma.example", "alpha.test.example"];
        let address = |who: &str, at: usize| format!("{who}@{}", DOMAINS[at]);
        let mails: Vec<Mail> = senders.iter().zip(&logins).zip(&rows).map(|((sender, login), rows)| {
            let rows = rows.iter().enumerate().map(|(n, (to, before))| {
                let before = before.map(|at| address("alias", at));
                row(&address(&format!("r{n}"), *to), before.as_deref(), Status::ALL[n % 13])
            });
            mail(&address("s", *sender), login.map(|at| address("l", at)).as_deref(), rows.collect())
        }).collect();
        let hour = hour(&mails);
        for domain in ours() {
            let scope = Scope::Only(Holdings { domains: [domain.clone()].into(), ..Holdings::default() });
            let visible: Vec<_> = mails.iter().filter_map(|mail| scope.view(mail.clone())).collect();
            let seen = visible.iter().map(|mail| mail.recipients.len() as u64).sum::<u64>();
            for side in Side::ALL {
                let Some(traffic) = hour.domains.get(&(domain.clone(), side)) else { continue };
                prop_assert!(traffic.mails <= visible.len() as u64);
                prop_assert!(traffic.rows.iter().sum::<u64>() <= seen);
                for name in traffic.recipients.names.keys() {
                    let shows = visible.iter().any(|mail| mail.recipients.iter().any(|row| row.address == *name));
                    prop_assert!(shows, "{name} is not for {domain}");
                }
                for name in traffic.senders.names.keys() {
                    prop_assert!(visible.iter().any(|mail| mail.sender.as_deref() == Some(name)));
                }
            }
        }
        for side in Side::ALL {
            let both: u64 = hour.domains.iter().filter(|((_, own), _)| *own == side)
                .map(|(_, traffic)| traffic.rows.iter().sum::<u64>()).sum();
            prop_assert!(both <= hour.all.rows.iter().sum::<u64>());
        }
    }
}
