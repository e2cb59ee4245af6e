//! The answer to "is everything all right?" in six blocks: services, queue, disks, certificate, ports, DNS.

use super::{
    exports::{Told, title, told},
    modules::{clamav, collector, disk, dovecot, host, postfix, rspamd, security, tls, watchdog},
    registry::{Kind, Metric, Severity},
};
use crate::{model::sample::State, store::samples::Latest};

/// Metrics that belong together.
#[derive(Debug)]
pub struct Block {
    /// A short heading, which is its word in JSON, too.
    pub name: &'static str,
    /// What is looked at, most important first; a discovered metric stands for all its series. Without any, nothing is said
    /// of it, so that a block has one without labels of the same source.
    pub metrics: &'static [&'static Metric],
}

/// The blocks, in the order of the page.
pub static BLOCKS: [Block; 6] = [
    Block {
        name: "services",
        metrics: &[
            &postfix::PROCESS_RUNNING,
            &dovecot::RUNNING,
            &rspamd::RUNNING,
            &clamav::RUNNING,
            &watchdog::OVERALL,
            &collector::RUNNING,
        ],
    },
    Block {
        name: "queue",
        metrics: &[
            &postfix::PFMAILQ,
            &postfix::QUEUE_DEFERRED,
            &postfix::QUEUE_AGE_OLDEST_HOURS,
            &host::DELIVERY_TIME,
        ],
    },
    Block {
        name: "disks",
        metrics: &[&disk::ROOT_USED, &disk::DOCKER_USED, &disk::VMAIL_USED, &disk::LOG_USED],
    },
    Block {
        name: "certificate",
        metrics: &[&tls::CERT_DAYS_LEFT, &tls::EACH_CERT_TRUSTED, &tls::EACH_CERT_DAYS],
    },
    Block { name: "ports", metrics: &[&tls::UI_CHECK, &tls::EACH_PORT_OPEN] },
    Block {
        name: "dns",
        metrics: &[
            &security::DNS_SPF_EXISTS,
            &security::DNS_DKIM_EXISTS,
            &security::DNS_DMARC_EXISTS,
            &security::DNS_PTR_VALID,
            &security::RBL_LISTED,
            &security::OPEN_RELAY,
        ],
    },
];

/// How a row is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Not granted or not there; says nothing about the server.
    NotInUse,
    /// All right.
    Well,
    /// Should be known, but is not.
    Unknown,
    /// Look at it soon.
    Warning,
    /// Do something now.
    Bad,
}

impl Mark {
    /// The word in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotInUse => "not in use",
            Self::Well => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The metric's key.
    pub key: &'static str,
    /// What it means.
    pub title: String,
    /// The value with its unit, or why there is none.
    pub value: String,
    /// How that is.
    pub mark: Mark,
}

/// The rows of each block.
pub fn summary(list: &[Latest]) -> Vec<(&'static str, Vec<Row>)> {
    let rows = |block: &Block| block.metrics.iter().flat_map(|metric| rows(metric, list)).collect();
    BLOCKS.iter().map(|block| (block.name, rows(block))).collect()
}

/// The worst mark of all rows; `NotInUse` where nothing is in use.
pub fn worst(summary: &[(&'static str, Vec<Row>)]) -> Mark {
    summary.iter().flat_map(|(_, rows)| rows).map(|row| row.mark).max().unwrap_or(Mark::NotInUse)
}

fn rows(metric: &'static Metric, list: &[Latest]) -> Vec<Row> {
    let own = list.iter().filter(|series| series.metric == metric.key);
    let rows: Vec<Row> = own.map(|series| row(metric, series)).collect();
    if rows.is_empty() && metric.labels.is_empty() {
        let value = "nothing has told it yet".to_owned();
        return vec![Row { key: metric.key, title: title(metric), value, mark: Mark::Unknown }];
    }
    rows
}

fn row(metric: &'static Metric, series: &Latest) -> Row {
    let (value, mark) = match told(series) {
        Told::Value(state) => (shown(metric, state), mark(metric.severity_of(&series.labels, state))),
        Told::Unknown(why) => (why.to_owned(), Mark::Unknown),
        Told::NotInUse(how) => (how.to_owned(), Mark::NotInUse),
    };
    let things: String = series.labels.iter().map(|(_, thing)| format!("{thing}: ")).collect();
    Row { key: metric.key, title: things + &title(metric), value, mark }
}

const fn mark(severity: Option<Severity>) -> Mark {
    match severity {
        None | Some(Severity::Info) => Mark::Well,
        Some(Severity::Warning) => Mark::Warning,
        Some(Severity::High | Severity::Disaster) => Mark::Bad,
    }
}

fn shown(metric: &Metric, state: &State) -> String {
    match state {
        State::Number(number) if metric.kind == Kind::Flag => {
            if *number == 0.0 { "no" } else { "yes" }.to_owned()
        }
        State::Number(number) => match metric.unit.code() {
            "" | "count" => number.to_string(),
            unit => format!("{number} {unit}"),
        },
        State::Text(text) | State::Unknown(text) | State::NotInUse(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::exports::samples::series, *};
    use crate::model::sample::Labels;

    fn found(list: &[Latest], metric: &Metric) -> Row {
        let summary = summary(list);
        summary.into_iter().flat_map(|(_, rows)| rows).find(|row| row.key == metric.key).unwrap()
    }

    #[test]
    fn limits_decide_and_what_is_not_known_is_never_well() {
        let row = |state: State| found(&[series(&postfix::PFMAILQ, Labels::NONE, state)], &postfix::PFMAILQ);
        assert_eq!((row(0_u32.into()).mark, row(0_u32.into()).value.as_str()), (Mark::Well, "0"));
        assert_eq!(row(51_u32.into()).mark, Mark::Warning);
        assert_eq!(row(501_u32.into()).mark, Mark::Bad);
        assert_eq!(row(State::Unknown("no answer".to_owned())).mark, Mark::Unknown);
        assert_eq!(row(State::NotInUse("set it".to_owned())).mark, Mark::NotInUse);
        assert_eq!(found(&[], &postfix::PFMAILQ).mark, Mark::Unknown);
        let mut silent = series(&postfix::PFMAILQ, Labels::NONE, 0_u32);
        silent.fresh = false;
        assert_eq!(found(&[silent], &postfix::PFMAILQ).mark, Mark::Unknown);
    }

    #[test]
    fn the_worst_row_decides() {
        let up = series(&postfix::PROCESS_RUNNING, Labels::NONE, true);
        let down = series(&dovecot::RUNNING, Labels::NONE, false);
        let all = summary(&[up, down]);
        assert_eq!(worst(&all), Mark::Bad);
        assert_eq!(
            all.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            BLOCKS.each_ref().map(|it| it.name)
        );
        assert_eq!(found(&[], &dovecot::RUNNING).mark, Mark::Unknown);
        assert_eq!(worst(&[]), Mark::NotInUse);
    }

    #[test]
    fn values_have_their_units() {
        let rate = found(&[series(&disk::ROOT_USED, Labels::NONE, 91.0)], &disk::ROOT_USED);
        assert_eq!((rate.value.as_str(), rate.mark), ("91 %", Mark::Bad));
        let up = found(&[series(&tls::UI_CHECK, Labels::NONE, false)], &tls::UI_CHECK);
        assert_eq!((up.value.as_str(), up.mark), ("no", Mark::Bad));
    }

    #[test]
    fn any_closed_port_and_any_bad_certificate_counts() {
        let mut well = Vec::new();
        for port in ["25", "143", "443", "465", "587", "993"] {
            well.push(series(&tls::EACH_PORT_OPEN, Labels::one("port", port), true));
            well.push(series(&tls::EACH_CERT_TRUSTED, Labels::one("port", port), true));
            well.push(series(&tls::EACH_CERT_DAYS, Labels::one("port", port), 80_u32));
        }
        let mark = |list: &[Latest], block: &str, port: &str| {
            let summary = summary(list);
            let rows = summary.into_iter().find(|(name, _)| *name == block).unwrap().1;
            rows.into_iter()
                .filter(|row| row.title.starts_with(&format!("{port}: ")))
                .map(|row| row.mark)
                .max()
        };
        for (metric, block, bad) in [
            (&tls::EACH_PORT_OPEN, "ports", State::Number(0.0)),
            (&tls::EACH_CERT_TRUSTED, "certificate", State::Number(0.0)),
            (&tls::EACH_CERT_DAYS, "certificate", State::Number(13.0)),
        ] {
            for port in ["25", "143", "465"] {
                assert_eq!(mark(&well, block, port), Some(Mark::Well), "{}: {port}", metric.key);
                let mut list = well.clone();
                let is_it =
                    |it: &&mut Latest| it.metric == metric.key && it.labels.value("port") == Some(port);
                list.iter_mut().find(is_it).unwrap().state = bad.clone();
                assert_eq!(mark(&list, block, port), Some(Mark::Bad), "{}: {port}", metric.key);
            }
        }
    }
}
