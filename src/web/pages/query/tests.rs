use proptest::prelude::*;

use super::*;

const NOW: Millis = Millis(1_795_196_712_000);

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

#[test]
fn every_parameter_reaches_the_filter() {
    let query = Query::parse(
        "q=offer+2026&dir=out&status=delayed&status=bounced&from=2026-11-14&to=2026-11-20&sender=ann%40alpha.test\
         &rcpt=%40delta.example&subject=min&ip=192.0.2.14&queue_id=4cQ&message_id=%3Ca%40b%3E&size_from=100K&size_to=5M\
         &verdict=junk&relay=mx1&code=5.1.1&tls=yes&domain=alpha.test&server=7&nonsense=1",
    );
    assert_eq!(query.faults(), []);
    let filter = query.filter(&berlin(), NOW, None);
    assert_eq!(filter.q.as_deref(), Some("offer 2026"));
    assert_eq!(filter.direction, Some(Direction::Out));
    assert_eq!(filter.statuses, [Status::Delayed, Status::Bounced]);
    // 14 November begins at 23:00 UTC of the 13th in Berlin, and 20 November is included.
    assert_eq!(filter.from, Some(Millis(1_794_610_800_000)));
    assert_eq!(filter.to, Some(Millis(1_794_610_800_000 + 7 * 86_400_000)));
    assert_eq!(filter.sender.as_deref(), Some("ann@alpha.test"));
    assert_eq!(filter.rcpt.as_deref(), Some("@delta.example"));
    assert_eq!(filter.subject.as_deref(), Some("min"));
    assert_eq!(filter.ip.as_deref(), Some("192.0.2.14"));
    assert_eq!(filter.queue_id.as_deref(), Some("4cQ"));
    assert_eq!(filter.message_id.as_deref(), Some("<a@b>"));
    assert_eq!((filter.size_from, filter.size_to), (Some(100 << 10), Some(5 << 20)));
    assert_eq!(filter.verdicts, [Verdict::Junk]);
    assert_eq!(filter.relay.as_deref(), Some("mx1"));
    assert_eq!(filter.code.as_deref(), Some("5.1.1"));
    assert_eq!(filter.tls, Some(true));
    assert_eq!(filter.domain.as_deref(), Some("alpha.test"));
}

#[test]
fn bad_values_are_named_and_the_rest_is_applied() {
    let query = Query::parse(
        "from=yesterday&to=2026-11-20&ip=here&status=open&size_from=-1&tls=perhaps&before=x&q=ok",
    );
    let names: Vec<_> = query.faults().iter().map(|fault| fault.name).collect();
    assert_eq!(names, ["from", "ip", "status", "size_from", "tls", "before"]);
    assert_eq!(query.value("q"), "ok");
    assert_eq!(query.value("to"), "2026-11-20");
    assert_eq!(query.link(), "?q=ok&to=2026-11-20");
}

#[test]
fn without_dates_the_last_seven_days_are_meant() {
    let seven = Query::default().filter(&berlin(), NOW, None);
    assert_eq!(seven.from, Some(Millis(1_794_610_800_000)));
    assert_eq!(seven.to, None);
    let all = Query::parse("from=any").filter(&berlin(), NOW, None);
    assert_eq!((all.from, all.to), (None, None));
}

#[test]
fn about_with_an_attachment_means_a_size() {
    let with = Query::parse("attachment=1&size_from=10K").filter(&berlin(), NOW, None);
    assert_eq!((with.size_from, with.size_to), (Some(100_000), None));
    let without = Query::parse("attachment=0").filter(&berlin(), NOW, None);
    assert_eq!((without.size_from, without.size_to), (None, Some(99_999)));
}

#[test]
fn a_changed_filter_begins_at_the_newest_page() {
    let query = Query::parse("q=a&status=sent&status=held&before=77");
    assert_eq!(query.place(), Place::Before(MailId(77)));
    assert_eq!(query.without("status", Some("sent")).link(), "?q=a&status=held");
    assert_eq!(query.without("q", None).link(), "?status=sent&status=held");
    assert_eq!(query.with("q", "b").link(), "?q=b&status=sent&status=held");
    assert_eq!(query.at(Place::After(MailId(5))).link(), "?q=a&status=sent&status=held&after=5");
    assert_eq!(query.at(Place::Newest).link(), "?q=a&status=sent&status=held");
}

#[test]
fn sizes_are_read_in_all_their_writings() {
    for (text, bytes) in
        [("0", 0), ("300", 300), ("300 b", 300), ("2k", 2048), ("2 KiB", 2048), ("1G", 1 << 30)]
    {
        assert_eq!(size(text), Some(bytes), "{text}");
    }
    for text in ["", "x", "1.5M", "-1", "99999999999999999999", "9999999999999999G"] {
        assert_eq!(size(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn links_lead_back_to_the_same_query(pairs in prop::collection::vec(
        (prop::sample::select(NAMES.to_vec()), prop_oneof![
            "\\PC{1,40}",
            prop::sample::select(vec!["in", "delayed", "Soft Rejected", "2026-11-14", "192.0.2.1", "2001:DB8::1", "100K", "1", "yes", "junk", "any", "5.1.1", "-12"]).prop_map(str::to_owned),
        ]), 0..12)) {
        let mut query = Query::default();
        for (name, value) in &pairs {
            query.add(name, value.trim());
        }
        let link = query.link();
        let again = Query::parse(link.strip_prefix('?').unwrap_or(&link));
        prop_assert_eq!(again.faults(), &[]);
        prop_assert_eq!(&again.pairs, &query.pairs);
        prop_assert_eq!(again.filter(&TimeZone::UTC, NOW, None), query.filter(&TimeZone::UTC, NOW, None));
        prop_assert!(link.is_ascii() && !link.contains(['"', '<', '>', ' ', '\'']));
    }

    #[test]
    fn nothing_makes_parsing_fail(text in "\\PC{0,200}") {
        let query = Query::parse(&text);
        let _ = query.filter(&TimeZone::UTC, NOW, None);
        let _ = query.link();
    }
}
