//! On SQLite, and on MariaDB where there is one.

use super::*;
use crate::{model::scope::Holdings, store::fresh::databases};

const AT: Millis = Millis(1_795_000_000_000 - 1_795_000_000_000 % HOUR);

fn figures(mails: u64) -> Traffic {
    Traffic { mails, ..Traffic::default() }
}

async fn seen(db: &Db, scope: &Scope, whose: &Whose<'_>) -> Vec<u64> {
    let hours = hours(db, scope, whose, (AT, Millis(AT.0 + 10 * HOUR))).await.unwrap();
    hours.into_iter().map(|(_, traffic)| traffic.mails).collect()
}

#[tokio::test]
async fn each_sees_the_figures_of_their_domains_only() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        for (hour, factor) in [(0, 1), (1, 2)] {
            let mut figured = Hour { all: figures(100 * factor), ..Hour::default() };
            for (domain, mails) in [("alpha.test", 7), ("beta.test", 20), ("alpha.test.example", 50)] {
                figured.domains.insert((domain.to_owned(), Side::In), figures(mails * factor));
                figured.domains.insert((domain.to_owned(), Side::Out), figures(factor));
            }
            let mut tx = db.begin().await.unwrap();
            write(&mut tx, Millis(AT.0 + hour * HOUR), figured).await.unwrap();
            tx.commit().await.unwrap();
        }
        let only = |domains: &[&str]| {
            let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
            Scope::Only(Holdings { domains, ..Holdings::default() })
        };
        assert_eq!(seen(&db, &Scope::All, &Whose::All(Side::In)).await, [100, 200]);
        assert_eq!(seen(&db, &Scope::All, &Whose::Domains(Side::In)).await, [77, 154]);
        assert_eq!(seen(&db, &Scope::All, &Whose::Domain("beta.test", Side::In)).await, [20, 40]);
        assert_eq!(seen(&db, &only(&["alpha.test"]), &Whose::All(Side::In)).await, [7, 14]);
        assert_eq!(seen(&db, &only(&["alpha.test", "beta.test"]), &Whose::All(Side::In)).await, [27, 54]);
        assert_eq!(seen(&db, &only(&["alpha.test"]), &Whose::Domain("alpha.test", Side::Out)).await, [1, 2]);
        assert!(seen(&db, &only(&["alpha.test"]), &Whose::Domain("beta.test", Side::In)).await.is_empty());
        assert!(seen(&db, &only(&["alpha.test"]), &Whose::Domain("", Side::In)).await.is_empty());
        let user = Scope::mailbox("ann@alpha.test", Millis(0));
        for whose in [Whose::All(Side::In), Whose::Domains(Side::Out), Whose::Domain("alpha.test", Side::In)]
        {
            assert!(seen(&db, &user, &whose).await.is_empty(), "users have no page of mail flow");
        }
        db.close().await;
    }
}

#[tokio::test]
async fn an_hour_that_changes_while_it_is_counted_stays_due() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let id = |hour: i64| MailId::floor(Millis(AT.0 + hour * HOUR + 5_000));
        let mut tx = db.begin().await.unwrap();
        note(&mut tx, [id(0), id(0), id(2)].into_iter()).await.unwrap();
        tx.commit().await.unwrap();
        let later = Millis(AT.0 + 2 * HOUR);
        assert_eq!(due(&db, 9).await.unwrap(), [later, AT], "newest first, each once");
        assert!(!is_complete(&db, (AT, Millis(AT.0 + 9 * HOUR))).await.unwrap());
        // Somebody claims it, and a mail of it changes before the figures are written.
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("UPDATE traffic_due SET claimed = 1 WHERE at = ?").bind(later)).await.unwrap();
        note(&mut tx, [id(2)].into_iter()).await.unwrap();
        tx.execute(sql("DELETE FROM traffic_due WHERE at = ? AND claimed = 1").bind(later)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(due(&db, 9).await.unwrap().len(), 2);
        catch_up(&db).await.unwrap();
        assert!(due(&db, 9).await.unwrap().is_empty());
        assert!(is_complete(&db, (AT, Millis(AT.0 + 9 * HOUR))).await.unwrap());
        db.close().await;
    }
}

#[tokio::test]
async fn a_page_reads_index_ranges_only() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        if !matches!(db, Db::Sqlite { .. }) {
            continue;
        }
        for text in [
            "SELECT at, data FROM traffic_hour WHERE side = ? AND at >= ? AND at < ? AND domain IN (?, ?)",
            "SELECT id, server, story FROM mail_story WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        ] {
            let values = [1_i64; 5].into_iter().take(text.matches('?').count());
            let steps: Vec<(i64, i64, i64, String)> =
                db.fetch(sql(text).bind_all(values).explained(&db)).await.unwrap();
            assert!(steps.iter().all(|step| !step.3.starts_with("SCAN")), "{text}: {steps:?}");
        }
        db.close().await;
    }
}

#[test]
fn figures_in_another_form_are_damage() {
    let written = written(&Traffic::default()).unwrap();
    // Whoever changes the fields, or how many kinds of status there are, changes FORM, and then this.
    assert_eq!(written, [vec![1], vec![0; 52]].concat());
    assert_eq!(read(&written).ok(), Some(Traffic::default()));
    assert!(
        read(&[&*written, &[0]].concat()).is_err() && read(&written[..52]).is_err() && read(&[]).is_err()
    );
    let of_old = serde_json::to_vec(&Traffic::default()).unwrap();
    assert!(read(&of_old).is_err());
}
