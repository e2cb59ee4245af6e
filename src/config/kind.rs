//! The forms that values take, and how each is read. Errors continue a sentence that starts with the value.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use url::{Host, Url};

use super::LogFormat;

/// A form of value.
pub struct Kind<T> {
    /// What the value must be; completes "Give …".
    pub form: &'static str,
    /// Whether the value is never shown.
    pub secret: bool,
    /// Reads the value.
    pub parse: fn(&str) -> Result<T, String>,
}

const fn open<T>(form: &'static str, parse: fn(&str) -> Result<T, String>) -> Kind<T> {
    Kind { form, secret: false, parse }
}

/// Any text of one line.
pub const TEXT: Kind<String> = open("one line of text", one_line);
/// A text that is never shown.
pub const SECRET: Kind<SecretString> = Kind {
    form: "the secret text, or its file by the same name with _FILE",
    secret: true,
    parse: |text| Ok(text.into()),
};
/// A passphrase that nobody finds by trying.
pub const PASSPHRASE: Kind<SecretString> = Kind {
    form: "16 characters or more, best as a file, by the same name with _FILE",
    secret: true,
    parse: |text| match text.chars().count() {
        0..16 => Err("is too short".to_owned()),
        _ => Ok(text.into()),
    },
};
/// PEM certificates. Not secret, but too long to be repeated in a fault.
pub const CERTIFICATES: Kind<String> = Kind {
    form: "certificates in PEM form, best as a file, by the same name with _FILE",
    secret: true,
    parse: certificates,
};
/// Rows of a log page.
pub const ROWS: Kind<u32> = open("a number of rows from 1 to 100000", number::<1, 100_000>);
/// Whole days.
pub const DAYS: Kind<Duration> = open("a number of days from 1 to 36500", days);
/// A pause between polls.
pub const POLL_PAUSE: Kind<Duration> = open("a time from 5s to 1h, as 30s or 5m", span::<5, 3600>);
/// A pause between looks into mailboxes.
pub const REPORT_PAUSE: Kind<Duration> = open("a time from 1m to 7d, as 30m or 6h", span::<60, 604_800>);
/// A port of TCP.
pub const PORT: Kind<u16> = open("a port from 1 to 65535", |text| {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| "is no port".to_owned())
});
/// Ports of TCP.
pub const PORTS: Kind<Vec<(u16, u16)>> = open(
    "ports from 1 to 65535, separated by commas, each with @ and another one if it is reached there",
    ports,
);
/// A server.
pub const PEER: Kind<(String, u16)> = open("a host name or an IP address, a colon and a port", peer);
/// The life of a session.
pub const SESSION: Kind<Duration> = open("a time from 1m to 365d, as 30m, 12h or 7d", span::<60, 31_536_000>);
/// The Mailcow server.
pub const MAILCOW: Kind<Url> = open("the host name of your Mailcow, with :port if it is not 443", mailcow);
/// Data that are fetched.
pub const FEED: Kind<Url> = open("an https address", secure_url);
/// A host with a port.
pub const PLACE: Kind<(String, u16)> = open("a host name with :port", place);
/// The portal's own address.
pub const PUBLIC_URL: Kind<Url> = open("the https address that visitors type", public_url);
/// The end of a redirect URI that the portal answers at.
pub const CALLBACK: Kind<&'static str> = open("callback or callback.php", |text| {
    one_of(text, &[("callback", "callback"), ("callback.php", "callback.php")])
});
/// A path prefix.
pub const BASE_PATH: Kind<String> = open("a path of letters, digits and - _ . ~ between slashes", base_path);
/// A socket address.
pub const LISTEN: Kind<SocketAddr> = open("an IP address and a port", |text| {
    text.parse().map_err(|_| "is no IP address with a port".to_owned())
});
/// Networks.
pub const NETWORKS: Kind<Vec<IpNet>> = open("networks separated by commas", networks);
/// Name servers.
pub const RESOLVERS: Kind<Vec<SocketAddr>> = open("IP addresses, each with :port if it is not 53", resolvers);
/// On or off.
pub const SWITCH: Kind<bool> = open("on or off", |text| {
    let on = ["on", "yes", "true", "1"].map(|word| (word, true));
    let off = ["off", "no", "false", "0"].map(|word| (word, false));
    one_of(text, &[on, off].concat())
});
/// A language that the texts exist in.
pub const LANGUAGE: Kind<String> =
    open("en or de", |text| one_of(text, &[("en", "en".into()), ("de", "de".into())]));
/// A time zone of the IANA database.
pub const TIME_ZONE: Kind<TimeZone> = open("a name from the IANA time zone database", |text| {
    TimeZone::get(text).map_err(|_| "is no known time zone".to_owned())
});
/// An image.
pub const LOGO: Kind<String> = open("an https address, or a path on the same host", logo);
/// A link that a visitor may follow.
pub const LINK: Kind<String> = open("an address that starts with https:// or http://", link);
/// How much is logged.
pub const LOG_LEVEL: Kind<tracing::Level> = open("error, warn, info, debug or trace", |text| {
    use tracing::Level;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    one_of(text, &levels)
});
/// How the log is written.
pub const LOG_FORMAT: Kind<LogFormat> =
    open("text or json", |text| one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)]));

/// The value of a word, whatever its case.
pub fn one_of<T: Clone>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    found.map(|(_, value)| value.clone()).ok_or_else(|| "is not among the known words".to_owned())
}

/// A text without control characters.
pub fn one_line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("contains a line end or another control character".to_owned());
    }
    Ok(text.to_owned())
}

fn certificates(text: &str) -> Result<String, String> {
    let sound = text.contains("-----BEGIN CERTIFICATE-----") && text.contains("-----END CERTIFICATE-----");
    sound.then(|| text.to_owned()).ok_or_else(|| "holds no PEM certificate".to_owned())
}

fn number<const MIN: u32, const MAX: u32>(text: &str) -> Result<u32, String> {
    let number: u32 = text.parse().map_err(|_| "is no whole number".to_owned())?;
    (MIN..=MAX).contains(&number).then_some(number).ok_or_else(|| "is out of range".to_owned())
}

fn days(text: &str) -> Result<Duration, String> {
    let days = number::<1, 36_500>(text.strip_suffix('d').unwrap_or(text))?;
    Ok(Duration::from_secs(u64::from(days) * 86_400))
}

/// A number of seconds, or of the unit behind it.
fn span<const MIN: u64, const MAX: u64>(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u64 = text
        .strip_suffix(unit)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| "is no number with a unit".to_owned())?;
    let seconds = match unit.trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("has an unknown unit; s, m, h and d are known".to_owned()),
    };
    let total = count.saturating_mul(seconds);
    (MIN..=MAX)
        .contains(&total)
        .then(|| Duration::from_secs(total))
        .ok_or_else(|| "is too short or too long".to_owned())
}

fn mailcow(text: &str) -> Result<Url, String> {
    let url = if text.contains("://") { secure_url(text)? } else { secure_url(&format!("https://{text}"))? };
    if url.path() != "/" {
        return Err("has a path, but Mailcow is at the root of its host".to_owned());
    }
    Ok(url)
}

fn public_url(text: &str) -> Result<Url, String> {
    let mut url = secure_url(text)?;
    let base = base_path(url.path())?;
    url.set_path(&base);
    Ok(url)
}

/// An `https` address, or an `http` one on this very machine, with host, port and path only.
fn secure_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no address ({error})"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host name".to_owned());
    }
    if !(url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url)) {
        return Err(
            "is not https, and plain http is allowed on 127.0.0.1, [::1] and localhost only".to_owned()
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user name or a password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("contains a ? or a #".to_owned());
    }
    Ok(url)
}

/// Whether an address leads to this very machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Empty for the root, else with a slash before and none behind.
pub fn base_path(text: &str) -> Result<String, String> {
    let inner = text.trim_matches('/');
    let sound = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
    };
    match inner {
        "" => Ok(String::new()),
        _ if inner.split('/').all(sound) => Ok(format!("/{inner}")),
        _ => Err("is no plain path".to_owned()),
    }
}

fn place(text: &str) -> Result<(String, u16), String> {
    let wrong = || "is no host name with a port".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    match Host::parse(host) {
        Ok(Host::Ipv6(ip)) => Ok((ip.to_string(), port)),
        Ok(host) => Ok((host.to_string(), port)),
        Err(_) => Err(wrong()),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split([',', ' ', '\t', '\n']).map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let network = part.parse().or_else(|_| part.parse::<std::net::IpAddr>().map(IpNet::from));
            network.map_err(|_| format!("contains {part:?}, which is no network"))
        })
        .collect()
}

fn resolvers(text: &str) -> Result<Vec<SocketAddr>, String> {
    let parts = text.split([',', ' ', '\t', '\n']).map(str::trim).filter(|part| !part.is_empty());
    let server = |part: &str| {
        let alone = part.parse::<std::net::IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        part.parse().or(alone).map_err(|_| format!("contains {part:?}, which is no IP address"))
    };
    parts.map(server).collect()
}

fn ports(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let parts = text.split([',', ' ', '\t', '\n']).map(str::trim).filter(|part| !part.is_empty());
    let port = |part: &str| {
        let (number, at) = part.split_once('@').unwrap_or((part, part));
        let both = (PORT.parse)(number).and_then(|number| Ok((number, (PORT.parse)(at)?)));
        both.map_err(|_| format!("contains {part:?}, which is no port"))
    };
    let mut ports: Vec<(u16, u16)> = parts.map(port).collect::<Result<_, _>>()?;
    ports.sort_unstable();
    ports.dedup_by_key(|(number, _)| *number);
    Ok(ports)
}

fn peer(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| "has no port".to_owned())?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok(((super::mailboxes::HOST.parse)(bare)?, (PORT.parse)(port)?))
}

fn logo(text: &str) -> Result<String, String> {
    if text.contains(':') { link(text) } else { one_line(text) }
}

fn link(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("is no address ({error})"))?;
    match url.scheme() {
        "http" | "https" => Ok(url.into()),
        _ => Err("does not start with https:// or http://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailcow_is_reached_safely() {
        for (text, expected) in [
            ("mail.example.org", "https://mail.example.org/"),
            ("Mail.Example.org:8443", "https://mail.example.org:8443/"),
            ("https://mail.example.org/", "https://mail.example.org/"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/"),
            ("http://[::1]:8081", "http://[::1]:8081/"),
            ("http://localhost:1", "http://localhost:1/"),
        ] {
            assert_eq!(mailcow(text).unwrap().as_str(), expected);
        }
        for text in [
            "http://mail.example.org",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
            "ftp://127.0.0.1",
            "mail.example.org/status",
            "https://user:hush@mail.example.org",
            "mail.example.org?x",
            "mail example.org",
            "https://",
        ] {
            assert!(mailcow(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_normalised() {
        for (text, expected) in [("/", ""), ("status", "/status"), ("/a/b/", "/a/b"), ("//x//", "/x")] {
            assert_eq!(base_path(text).unwrap(), expected);
        }
        for text in ["/a//b", "/../x", "/a b", "/%2f", "/ä", "/a?b"] {
            assert!(base_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units_and_bounds() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("90", 90), ("1h", 3600)] {
            assert_eq!(span::<5, 3600>(text), Ok(Duration::from_secs(seconds)));
        }
        for text in
            ["4", "2h", "", "s", "-5s", "5 minutes", "1.5h", "99999999999999999999d", "9999999999999999999d"]
        {
            assert!(span::<5, 3600>(text).is_err(), "{text}");
        }
        assert_eq!(days("14"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(days("14d"), days("14"));
        assert!(days("0").is_err() && days("-1").is_err());
    }

    #[test]
    fn links_and_logos_are_no_scripts() {
        assert_eq!(link("https://example.org").unwrap(), "https://example.org/");
        assert!(link("javascript:alert(1)").is_err() && link("example.org").is_err());
        assert!(logo("/img/x.svg").is_ok() && logo("data:image/svg+xml,x").is_err());
    }

    #[test]
    fn a_place_has_a_host_and_a_port() {
        let place = |text: &str| (PLACE.parse)(text);
        assert_eq!(place("nginx-mailcow:8443"), Ok(("nginx-mailcow".to_owned(), 8443)));
        assert_eq!(place("[fd4d::1]:443"), Ok(("fd4d::1".to_owned(), 443)));
        for wrong in ["nginx-mailcow", "nginx-mailcow:0", ":443", "a b:1", "https://a.test:443"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_may_be_single_addresses() {
        let read = networks("10.0.0.0/8, ::1").unwrap();
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
        assert!(networks("10.0.0.0/33").is_err() && networks("all").is_err());
    }

    #[test]
    fn servers_have_ports() {
        assert_eq!(ports("993, 25,25"), Ok(vec![(25, 25), (993, 993)]));
        assert_eq!(ports("443@8443 25"), Ok(vec![(25, 25), (443, 8443)]));
        assert!(ports("25,0").is_err() && ports("smtp").is_err() && ports("443@").is_err());
        assert_eq!(peer("memcached:11211"), Ok(("memcached".to_owned(), 11211)));
        assert_eq!(peer("[::1]:3310"), Ok(("::1".to_owned(), 3310)));
        assert!(peer("clamd").is_err() && peer("clamd:x").is_err() && peer("a b:1").is_err());
    }

    #[test]
    fn name_servers_are_addresses_and_switches_are_words() {
        let read = resolvers("127.0.0.1:5353, ::1 [fd00::53]:54\t192.0.2.1").unwrap();
        let shown: Vec<String> = read.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:5353", "[::1]:53", "[fd00::53]:54", "192.0.2.1:53"]);
        for text in ["dns.example", "192.0.2.1:x", "192.0.2.1:99999", "https://192.0.2.1"] {
            assert!(resolvers(text).is_err(), "{text}");
        }
        let switch = SWITCH.parse;
        assert!(["on", "Yes", "TRUE", "1"].iter().all(|text| switch(text) == Ok(true)));
        assert!(["off", "No", "false", "0"].iter().all(|text| switch(text) == Ok(false)));
        assert!(switch("maybe").is_err());
    }
}
