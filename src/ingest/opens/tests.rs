use super::*;

fn key() -> TrackerKey {
    TrackerKey::new("0123456789abcdef0123456789abcdef".into()).unwrap()
}

const NOW: Millis = Millis::from_secs(1_795_196_712);

fn caller(agent: &str) -> Caller {
    Caller { client: "192.0.2.1".parse().unwrap(), agent: agent.to_owned(), at: NOW }
}

fn token(number: usize) -> String {
    let sent = NOW.minus(Duration::from_secs(600));
    key().token(&format!("4Q{number}"), "m@alpha.test", sent, "198.51.100.1".parse().unwrap())
}

#[test]
fn what_comes_in_is_bounded_and_counted() {
    let opens = Opens::new(Some(key()));
    let agent = "x".repeat(100_000);
    for number in 0..MOST_LOADS + 10 {
        opens.note(&token(number), caller(&agent));
    }
    opens.note("forged", caller("x"));
    let numbers = opens.numbers();
    assert_eq!((numbers.waiting, numbers.lost, numbers.strange), (MOST_LOADS as u64, 10, 1));
    assert!(opens.buffers().loads.iter().all(|load| load.caller.agent.len() == AGENT));
}

#[test]
fn rows_of_one_mail_push_out_no_others() {
    let opens = Opens::new(Some(key()));
    for reader in 0..MOST_OF_ONE + 7 {
        opens.note(&token(0), caller(&format!("reader {reader}")));
    }
    opens.note(&token(1), caller("reader"));
    opens.digest(NOW);
    assert_eq!(opens.numbers().waiting, MOST_OF_ONE as u64 + 1);
    assert_eq!(opens.numbers().lost, 7);
}

#[test]
fn rows_are_bounded_while_the_database_is_away() {
    let opens = Opens::new(Some(key()));
    for round in 0..4 {
        for number in 0..MOST_LOADS {
            opens.note(&token(round * MOST_LOADS + number), caller("reader"));
        }
        opens.digest(NOW);
    }
    let numbers = opens.numbers();
    assert_eq!(numbers.waiting, MOST_ROWS as u64);
    assert_eq!(numbers.lost, (4 * MOST_LOADS - MOST_ROWS) as u64);
}

#[test]
fn a_reader_counts_once_in_a_window_and_keeps_no_mark_after_the_day() {
    let opens = Opens::new(Some(key()));
    let later = |seconds| Caller { at: NOW.plus(Duration::from_secs(seconds)), ..caller("reader") };
    for seconds in [0, 5, 10] {
        opens.note(&token(0), later(seconds));
    }
    opens.note(&token(0), later(3600));
    opens.digest(NOW);
    let rows: Vec<_> = opens.buffers().rows.values().copied().collect();
    assert_eq!(rows.iter().map(|row| row.loads).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(rows[0].reader, rows[1].reader);
    let tomorrow = 24 * 3600;
    opens.note(&token(0), later(tomorrow));
    opens.digest(NOW.plus(Duration::from_secs(tomorrow)));
    let readers: Vec<i64> = opens.buffers().rows.values().map(|row| row.reader).collect();
    assert_eq!(readers.iter().filter(|reader| **reader == rows[0].reader).count(), 2);
    assert_eq!(readers.len(), 3);
}

/// Such as a preview shows it while the mail is on its way, and a person some seconds later.
#[test]
fn who_loads_too_soon_and_again_is_a_person_from_then_on() {
    let opens = Opens::new(Some(key()));
    let link = key().token("4Q0", "m@alpha.test", NOW, "198.51.100.1".parse().unwrap());
    for seconds in [1, 60, 90] {
        opens.note(&link, Caller { at: NOW.plus(Duration::from_secs(seconds)), ..caller("reader") });
    }
    opens.digest(NOW);
    let rows: Vec<_> = opens.buffers().rows.values().copied().collect();
    let first = NOW.plus(Duration::from_secs(60));
    assert_eq!(
        rows.iter().map(|row| (row.class, row.at, row.loads)).collect::<Vec<_>>(),
        [(Reader::Person, first, 3)]
    );
}

#[test]
fn without_a_key_only_old_links_count() {
    let opens = Opens::new(None);
    opens.note(&token(0), caller("reader"));
    assert_eq!(opens.numbers(), Numbers::default());
    opens.note_old("417C42", caller("reader"));
    assert_eq!(opens.digest(NOW).len(), 1);
}
