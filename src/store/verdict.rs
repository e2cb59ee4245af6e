//! What Rspamd said of a mail beyond the fact [`Checked`]: all that gives the scan back, in few bytes.
//!
//! It lies in the story of the mail that has claimed the scan, or in the row of a scan that waits for its mail.
//! Layout: postcard, in columns, because equal kinds of values side by side are packed best.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::db::{Error, Result};
use crate::model::{event::Checked, scan::Scan, scope::domain_of, time::Millis};

/// Options are details; what is longer is cut, so that one mail cannot fill the database.
const OPTIONS_KEPT: usize = 8;
const OPTION_LENGTH: usize = 120;
/// Stands for the sender's domain in options, most of which name it.
const DOMAIN: char = '\u{1}';

/// The domain that [`DOMAIN`] stands for: none that is longer than a domain can be (RFC 1035, 2.3.4), so that damaged bytes
/// cannot ask for any amount of memory.
fn domain(sender: &str) -> Option<&str> {
    domain_of(sender).filter(|domain| (1..=255).contains(&domain.len()))
}

/// The bytes of a verdict.
#[derive(Serialize, Deserialize)]
struct Layout<'a> {
    #[serde(borrow)]
    user: User<'a>,
    sender: &'a str,
    /// [`DOMAIN`] stands for the sender's domain: not where an option has such a character itself.
    short: bool,
    /// Numbers of the symbols in their order, each as its distance from the one before.
    numbers: Vec<u64>,
    /// In hundredths.
    scores: Vec<i32>,
    /// The options of each symbol, one a line.
    options: Vec<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
enum User<'a> {
    Nobody,
    Sender,
    Other(&'a str),
}

/// A symbol: its number, its score in hundredths, its options, one a line.
pub type StoredSymbol = (i64, i32, String);

/// A verdict read back.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    sender: String,
    user: Option<String>,
    /// What hit.
    pub symbols: Vec<StoredSymbol>,
}

/// The bytes of a scan's verdict with these symbols.
pub fn encode(scan: &Scan, mut symbols: Vec<StoredSymbol>) -> Vec<u8> {
    symbols.sort_unstable();
    let domain = domain(&scan.sender);
    let short = domain.is_some() && !symbols.iter().any(|(.., options)| options.contains(DOMAIN));
    let mut mark = [0; 4];
    let mark = &*DOMAIN.encode_utf8(&mut mark);
    let mut last = 0;
    let (mut numbers, mut scores, mut options) = (Vec::new(), Vec::new(), Vec::new());
    for (number, score, text) in &symbols {
        numbers.push(number.abs_diff(last));
        last = *number;
        scores.push(*score);
        options.push(match domain.filter(|_| short) {
            Some(domain) => text.replace(domain, mark).into(),
            None => text.as_str().into(),
        });
    }
    let user = match scan.user.as_deref() {
        None => User::Nobody,
        Some(user) if user == scan.sender => User::Sender,
        Some(user) => User::Other(user),
    };
    let layout = Layout { user, sender: &scan.sender, short, numbers, scores, options };
    // Serialising plain strings and numbers into a growing buffer cannot fail.
    postcard::to_stdvec(&layout).unwrap_or_default()
}

/// What is kept of a check's options, one a line.
pub fn kept<'a>(options: impl Iterator<Item = &'a str>) -> String {
    let mut kept = String::new();
    for option in options.take(OPTIONS_KEPT) {
        if !kept.is_empty() {
            kept.push('\n');
        }
        kept.extend(option.chars().take(OPTION_LENGTH));
    }
    kept
}

impl Verdict {
    /// Reads bytes of [`encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let layout: Layout =
            postcard::from_bytes(bytes).map_err(|_| Error::Damaged("a verdict that cannot be read"))?;
        let domain = domain(layout.sender).filter(|_| layout.short);
        let mut number = 0_u64;
        let symbols = layout.numbers.into_iter().zip(layout.scores).zip(layout.options);
        let symbols = symbols.map(|((distance, score), options)| {
            number = number.wrapping_add(distance);
            let options = match domain {
                Some(domain) => options.replace(DOMAIN, domain),
                None => options.into_owned(),
            };
            (number.cast_signed(), score, options)
        });
        let user = match layout.user {
            User::Nobody => None,
            User::Sender => Some(layout.sender.to_owned()),
            User::Other(user) => Some(user.to_owned()),
        };
        Ok(Self { sender: layout.sender.to_owned(), user, symbols: symbols.collect() })
    }

    /// The scan as it was before a mail claimed it, without its hits.
    pub fn scan(self, at: Millis, message_id: &str, checked: &Checked<'_>) -> Scan {
        Scan {
            message_id: Some(message_id.to_owned()),
            sender: self.sender,
            user: self.user,
            ..Scan::unclaimed(at, checked)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scans() -> impl Strategy<Value = Scan> {
        let word = || "[a-z\u{1}\n@. ]{0,12}";
        let address =
            || prop_oneof![Just("ann@alpha.test".to_owned()), "[a-z@.]{0,9}".prop_map(String::from)];
        let texts = (prop::option::of(word()), prop::option::of(address()), address(), word());
        let facts = (any::<u32>(), any::<i32>(), prop::option::of(any::<i32>()), any::<bool>());
        let rcpts = prop::collection::vec("[a-z@.]{1,9}", 0..3);
        (texts, facts, rcpts).prop_map(
            |((subject, user, sender, action), (size, score, limit, virus), rcpts)| Scan {
                at: Millis(i64::from(size) * 77),
                message_id: Some("m@x.example".to_owned()),
                subject_hidden: virus,
                ip: subject.clone(),
                forced_by: user.clone(),
                signed_for: subject.clone(),
                subject,
                size: size.into(),
                user,
                sender,
                rcpts,
                action,
                score,
                limit,
                junk_limit: limit,
                virus,
                hits: Vec::new(),
            },
        )
    }

    proptest! {
        /// A mail's facts and its verdict give back what Rspamd said.
        #[test]
        fn a_scan_comes_back_whole(
            scan in scans(),
            symbols in prop::collection::vec((1..9_000_i64, any::<i32>(), "[a-z.\u{1}\n@]{0,9}(alpha\\.test)?"), 0..9),
        ) {
            let bytes = encode(&scan, symbols.clone());
            let verdict = Verdict::decode(&bytes).unwrap();
            let mut sorted = symbols;
            sorted.sort_unstable();
            prop_assert_eq!(&verdict.symbols, &sorted);
            prop_assert_eq!(&encode(&scan, verdict.symbols.clone()), &bytes);
            let rcpts = scan.rcpts.join("\n");
            let back = verdict.scan(scan.at, "m@x.example", &scan.checked(&rcpts, 7));
            prop_assert_eq!(back, scan);
        }

        #[test]
        fn damage_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Verdict::decode(&bytes);
        }
    }

    #[test]
    fn options_are_cut() {
        let long = "ä".repeat(200);
        let many = std::iter::repeat_n(long.as_str(), 20);
        let kept = kept(many);
        assert_eq!((kept.lines().count(), kept.chars().count()), (8, 8 * 120 + 7));
        assert_eq!(super::kept(std::iter::empty()), "");
    }

    /// The sender's domain is what most options name.
    #[test]
    fn the_senders_domain_takes_one_byte_each_time() {
        let scan = Scan { sender: "ann@long-domain-name.example".to_owned(), ..Scan::default() };
        let options = "long-domain-name.example:+\nlong-domain-name.example:s=dkim".to_owned();
        let bytes = encode(&scan, vec![(3, 0, options)]);
        assert_eq!(bytes.len(), 1 + 1 + scan.sender.len() + 1 + 2 + 2 + 1 + 1 + 3 + 1 + 8);
        // What is no domain is left as it is.
        let long = format!("a@{}", "b".repeat(256));
        let scan = Scan { sender: long.clone(), ..Scan::default() };
        let symbols = vec![(3, 0, long)];
        let bytes = encode(&scan, symbols.clone());
        assert!(bytes.len() > 2 * 256 && Verdict::decode(&bytes).unwrap().symbols == symbols);
    }
}
