//! Open tracking: the token in an image's address, who may have loaded the image, and how readers are told apart
//! without knowing them. The Lua file in `deploy/rspamd` makes the same tokens.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::{
    mail::Mail,
    time::Millis,
    token::{hex, mac},
};

/// Loads by one reader within this time are one open.
pub const WINDOW: Duration = Duration::from_secs(3600);
/// So soon after the mail was checked, nobody can have read it: it has hardly left.
const TOO_SOON: Duration = Duration::from_secs(4);
/// Digits of a token's parts: mail, hidden time, sender's network, seal.
const PARTS: [usize; 4] = [16, 8, 8, 24];

/// Makes and checks tokens; only the portal and Rspamd have the key.
///
/// A token is a MAC over the mail's queue id and message id; then the moment of sending, hidden by adding a MAC; then
/// a MAC over the network that the mail came from; then a MAC over all that. Nothing of it can be read or made without
/// the key, and nothing needs to be stored when a mail is sent: the portal knows its own tokens at once, and finds a
/// mail's opens by the mail's own ids, also those from before the log was read.
#[derive(Debug, Clone)]
pub struct TrackerKey(SecretString);

/// A wish for mails that were opened, with the key of their tokens; without it only old links tell of opens.
#[derive(Debug, Clone)]
pub struct Opened(pub Option<TrackerKey>);

/// There is one key at a time.
impl PartialEq for Opened {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_some() == other.0.is_some()
    }
}

impl Eq for Opened {}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Stands for the mail, see [`marks_of`].
    pub mail: i64,
    /// When Rspamd saw the mail; whole seconds.
    pub sent: Millis,
    network: String,
}

impl TrackerKey {
    /// The key of a secret; what is short can be guessed, so it is none.
    pub fn new(secret: SecretString) -> Option<Self> {
        (secret.expose_secret().trim().len() >= 32).then_some(Self(secret))
    }

    /// The token of a mail that came from `client`. `message_id` is empty when Rspamd saw none.
    pub fn token(&self, queue_id: &str, message_id: &str, sent: Millis, client: IpAddr) -> String {
        let mail = self.mail(queue_id, message_id);
        let digits = hex(&mail.to_be_bytes());
        let seconds = u32::try_from(sent.secs()).unwrap_or(0);
        let time = seconds.wrapping_add(self.pad(&digits));
        let body = format!("{digits}{time:08x}{}", self.network(mail, client));
        let seal = self.digits("token", &body, PARTS[3]);
        body + &seal
    }

    /// What a token says; `None` when it is none of ours. Takes the same time for all that comes.
    pub fn read(&self, text: &str) -> Option<Token> {
        let length = PARTS.iter().sum();
        let well_formed = text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let nothing = "0".repeat(length);
        let (body, seal) = if well_formed { text } else { &nothing }.split_at(length - PARTS[3]);
        let (mail, rest) = body.split_at(PARTS[0]);
        let (time, network) = rest.split_at(PARTS[1]);
        let ours: bool = self.digits("token", body, PARTS[3]).as_bytes().ct_eq(seal.as_bytes()).into();
        let time = u32::from_str_radix(time, 16).unwrap_or(0);
        let sent = Millis::from_secs(time.wrapping_sub(self.pad(mail)).into());
        let mail = u64::from_str_radix(mail, 16).unwrap_or(0).cast_signed();
        (ours && well_formed).then(|| Token { mail, sent, network: network.to_owned() })
    }

    /// Whether this is the network that the token's mail came from.
    pub fn is_from(&self, token: &Token, client: IpAddr) -> bool {
        self.network(token.mail, client) == token.network
    }

    /// The key that opens the list of those who opted in. It travels; the secret itself never does.
    pub fn map_key(&self) -> String {
        hex(&mac(self.0.expose_secret().as_bytes(), &[b"map"]))
    }

    fn mail(&self, queue_id: &str, message_id: &str) -> i64 {
        first_eight(self.mac("mail", &format!("{queue_id}\n{message_id}")))
    }

    fn network(&self, mail: i64, client: IpAddr) -> String {
        let of = format!("{}\n{}", hex(&mail.to_be_bytes()), network(client));
        self.digits("network", &of, PARTS[2])
    }

    fn pad(&self, mail: &str) -> u32 {
        let [a, b, c, d, ..] = self.mac("time", mail);
        u32::from_be_bytes([a, b, c, d])
    }

    fn digits(&self, what: &str, data: &str, count: usize) -> String {
        hex(&self.mac(what, data)).chars().take(count).collect()
    }

    fn mac(&self, what: &str, data: &str) -> [u8; 32] {
        mac(self.0.expose_secret().as_bytes(), &[what.as_bytes(), b"\n", data.as_bytes()])
    }
}

/// All marks under which opens of a mail may stand: by its token, by that of a mail to which Postfix gave its message
/// id after Rspamd saw it, and by the old link.
pub fn marks_of(key: Option<&TrackerKey>, mail: &Mail) -> Vec<i64> {
    let Some(queue_id) = mail.queue_id.as_deref() else { return Vec::new() };
    let message_id = mail.message_id.as_deref().unwrap_or_default();
    let new = key.map(|key| [key.mail(queue_id, message_id), key.mail(queue_id, "")]);
    new.into_iter().flatten().chain([old_mail(queue_id, message_id)]).collect()
}

/// An address without what changes by itself: of IPv6, the first 64 bits.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip) >> 64 << 64)),
        ip => ip,
    }
}

fn first_eight(mac: [u8; 32]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = mac;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Stands for a mail of the PHP app's tracker, whose links anybody could make. Not secret, and not meant to be.
pub fn old_mail(queue_id: &str, message_id: &str) -> i64 {
    first_eight(mac(b"track.php", &[queue_id.as_bytes(), b"|", message_id.as_bytes()]))
}

/// Queue id and message id of an old link: upper-case hex of both with `|` between.
pub fn old_link(hex: &str) -> Option<(String, String)> {
    let sound =
        hex.len() <= 2400 && hex.len().is_multiple_of(2) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = if sound { (0..hex.len()).step_by(2).map(digits).collect() } else { None };
    let text = String::from_utf8(bytes?).ok()?;
    let (queue_id, message_id) = text.split_once('|')?;
    (!queue_id.is_empty()).then(|| (queue_id.to_owned(), message_id.to_owned()))
}

/// Who loaded an image, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// Probably somebody's mail program.
    Person = 0,
    /// A provider's image service (Gmail, Yahoo, Apple), which may load images that nobody looks at.
    Relay = 1,
    /// A virus scanner, a link checker, a program.
    Scanner = 2,
    /// The network that the mail was sent from: the sender's own copy, or a colleague.
    Own = 3,
}

impl Reader {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Person, Self::Relay, Self::Scanner, Self::Own];

    /// The word in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Relay => "relay",
            Self::Scanner => "scanner",
            Self::Own => "own",
        }
    }

    /// Tells by the browser's name for itself and by the time since the mail was sent, where that is known.
    pub fn of(agent: &str, since_sent: Option<Duration>) -> Self {
        const RELAYS: [&str; 3] = ["googleimageproxy", "ggpht.com", "yahoomailproxy"];
        const PROGRAMS: [&str; 16] = [
            "barracuda",
            "crawl",
            "curl/",
            "go-http-client",
            "headless",
            "java/",
            "libwww",
            "mimecast",
            "okhttp",
            "preview",
            "proofpoint",
            "python",
            "scan",
            "spider",
            "symantec",
            "wget/",
        ];
        let name = agent.trim().to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        // A phone's make ends in "bot", too.
        let robot = |word: &str| word.ends_with("bot") && word != "cubot";
        if has(&RELAYS) || name == "mozilla/5.0" {
            return Self::Relay; // Apple's mail privacy protection says just "Mozilla/5.0".
        }
        let too_soon = since_sent.is_some_and(|since| since < TOO_SOON);
        let program = name.is_empty() || has(&PROGRAMS);
        match program || too_soon || name.split(|c: char| !c.is_alphanumeric()).any(robot) {
            true => Self::Scanner,
            false => Self::Person,
        }
    }
}

/// Tells readers of one mail apart for one day (UTC) and no longer: its key is forgotten with the day, and no two
/// mails share a mark.
#[derive(Clone)]
pub struct DayKey {
    day: i64,
    key: [u8; 32],
}

impl DayKey {
    /// A key of random bytes for the day of this moment.
    pub fn new(now: Millis, key: [u8; 32]) -> Self {
        Self { day: day(now), key }
    }

    /// Whether the key is still of the day.
    pub fn is_of(&self, now: Millis) -> bool {
        self.day == day(now)
    }

    /// The mark of a reader of a mail.
    pub fn reader(&self, mail: i64, client: IpAddr, agent: &str) -> i64 {
        let client = network(client).to_string();
        first_eight(mac(&self.key, &[&mail.to_be_bytes(), client.as_bytes(), b"\n", agent.as_bytes()]))
    }
}

fn day(at: Millis) -> i64 {
    at.secs().div_euclid(86_400)
}

/// The begin of the window that a moment lies in.
pub fn window(at: Millis) -> Millis {
    let length = i64::try_from(WINDOW.as_millis()).unwrap_or(1);
    Millis(at.0 - at.0.rem_euclid(length))
}

/// One open, as its story tells it: one reader within one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The first load.
    pub at: Millis,
    /// Who.
    pub reader: Reader,
    /// How often within the window.
    pub loads: i64,
    /// Whether the link was ours; links of the old tracker could be made by anybody.
    pub verified: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TrackerKey {
        TrackerKey::new("0123456789abcdef0123456789abcdef".into()).unwrap()
    }

    const SENT: Millis = Millis::from_secs(1_795_196_712);

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_is_read_by_its_key_only() {
        let token = key().token("4XyZ12abcd", "m1@alpha.test", SENT, client("192.0.2.7"));
        assert_eq!(token.len(), 56);
        let read = key().read(&token).unwrap();
        assert_eq!((read.mail, read.sent), (key().mail("4XyZ12abcd", "m1@alpha.test"), SENT));
        let other = TrackerKey::new("f123456789abcdef0123456789abcdef".into()).unwrap();
        assert_eq!(other.read(&token), None);
        assert!(TrackerKey::new("short".into()).is_none());
        assert!(!format!("{:?}", key()).contains("0123"), "no secret in a log");
    }

    #[test]
    fn a_changed_token_is_none() {
        let token = key().token("4XyZ12abcd", "m1@alpha.test", SENT, client("192.0.2.7"));
        for at in 0..token.len() {
            let mut digits = token.clone().into_bytes();
            digits[at] = if digits[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(key().read(std::str::from_utf8(&digits).unwrap()), None, "digit {at}");
        }
        let (longer, upper) = (format!("{token}0"), token.to_uppercase());
        for text in ["", "0", &token[1..], &longer, &"é".repeat(28), &"0".repeat(56), &upper] {
            assert_eq!(key().read(text), None, "{text}");
        }
    }

    #[test]
    fn tokens_of_two_mails_share_nothing() {
        let token = |queue_id, message_id| key().token(queue_id, message_id, SENT, client("192.0.2.7"));
        let (first, second) = (token("A1", "x@y"), token("A2", "x@y"));
        for part in [0..16, 16..24, 24..32, 32..56] {
            assert_ne!(first[part.clone()], second[part]);
        }
        assert_ne!(token("A1", "x@y")[..16], token("A1", "z@y")[..16], "a queue id that came back");
    }

    #[test]
    fn the_senders_own_network_is_known_again() {
        let read = |from: &str| key().read(&key().token("A1", "x@y", SENT, client(from))).unwrap();
        assert!(key().is_from(&read("192.0.2.7"), client("::ffff:192.0.2.7")));
        assert!(!key().is_from(&read("192.0.2.7"), client("192.0.2.8")));
        assert!(key().is_from(&read("2001:db8::1"), client("2001:db8::ffff")));
        assert!(!key().is_from(&read("2001:db8::1"), client("2001:db8:0:1::1")));
    }

    #[test]
    fn old_links_are_understood() {
        let hex: String = "4XyZ|a|b@alpha.test".bytes().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(old_link(&hex), Some(("4XyZ".to_owned(), "a|b@alpha.test".to_owned())));
        for text in ["", "7C", "4", "zz", "FF7C41", "é", "4142", &"41".repeat(3000)] {
            assert_eq!(old_link(text), None, "{text:.20}");
        }
    }

    #[test]
    fn readers_are_told_apart_where_they_can_be() {
        let later = Some(Duration::from_secs(60));
        let thunderbird = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0";
        for (agent, expected) in [
            (thunderbird, Reader::Person),
            ("Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36", Reader::Person),
            (
                "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
                Reader::Relay,
            ),
            ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", Reader::Relay),
            ("Mozilla/5.0", Reader::Relay),
            ("", Reader::Scanner),
            ("curl/8.5.0", Reader::Scanner),
            ("Mozilla/5.0 (compatible; bingbot/2.0)", Reader::Scanner),
            ("BarracudaCentral", Reader::Scanner),
        ] {
            assert_eq!(Reader::of(agent, later), expected, "{agent}");
            assert_eq!(Reader::of(agent, None), expected, "{agent}");
        }
        assert_eq!(Reader::of(thunderbird, Some(Duration::from_secs(1))), Reader::Scanner, "before delivery");
    }

    #[test]
    fn marks_last_a_day_and_join_no_two_mails() {
        let day = DayKey::new(SENT, [7; 32]);
        let mark = |key: &DayKey, mail, from: &str, agent| key.reader(mail, client(from), agent);
        let own = mark(&day, 1, "192.0.2.1", "a");
        assert_eq!(mark(&day, 1, "::ffff:192.0.2.1", "a"), own);
        assert_ne!(mark(&day, 2, "192.0.2.1", "a"), own);
        assert_ne!(mark(&day, 1, "192.0.2.2", "a"), own);
        assert_ne!(mark(&day, 1, "192.0.2.1", "b"), own);
        assert_ne!(mark(&DayKey::new(SENT, [8; 32]), 1, "192.0.2.1", "a"), own);
        assert_eq!(mark(&day, 1, "2001:db8::1", "a"), mark(&day, 1, "2001:db8::2", "a"));
        let midnight = Millis::from_secs(1_795_219_200);
        assert!(day.is_of(SENT) && day.is_of(Millis(midnight.0 - 1)) && !day.is_of(midnight));
    }

    #[test]
    fn windows_are_hours() {
        assert_eq!(window(Millis(7_300_000)), Millis(7_200_000));
        assert_eq!(window(Millis(7_200_000)), Millis(7_200_000));
    }
}
