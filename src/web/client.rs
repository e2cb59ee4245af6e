//! Where a request comes from: its address, as far as trusted proxies tell it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use axum::{extract::ConnectInfo, http::request};
use ipnet::IpNet;

/// Where a request comes from, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// From this address.
    At(IpAddr),
    /// From beyond a trusted proxy that said nothing readable of it. All of these count as one stranger, and not as
    /// the proxy, from whose address programs of this machine may come.
    Unknown,
}

impl Client {
    /// The word for [`Client::Unknown`] in the database.
    pub const UNKNOWN: &str = "unknown";

    /// Where a request comes from: the peer, or, when the peer is a trusted proxy, the rightmost entry of `X-Forwarded-For`
    /// that is no trusted proxy. What stands left of it anybody may have written. Several lines are one list in their order
    /// (RFC 9110, 5.3). An entry that cannot be read ends the trust: whoever it was, it was not the proxy.
    pub fn of(trusted: &[IpNet], parts: &request::Parts) -> Self {
        let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let mut client = peer.map_or(Self::Unknown, |peer| Self::At(peer.0.ip().to_canonical()));
        let lines = parts.headers.get_all("x-forwarded-for").iter().rev();
        for entry in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
            match client {
                Self::At(proxy) if is_trusted(&proxy) => {
                    client = forwarded_ip(entry).map_or(Self::Unknown, Self::At);
                }
                _ => break,
            }
        }
        client
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(ip) => ip.fmt(f),
            Self::Unknown => f.write_str(Self::UNKNOWN),
        }
    }
}

/// The address of an entry as proxies write them: alone or with a port, that of IPv6 also in brackets, perhaps in
/// quotes (RFC 7239, 6, has the same forms).
fn forwarded_ip(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip()).ok();
    let in_brackets = || {
        let bare = text.strip_prefix('[')?.strip_suffix(']')?;
        bare.parse::<Ipv6Addr>().map(IpAddr::V6).ok()
    };
    let ip = text.parse::<IpAddr>().ok().or_else(with_port).or_else(in_brackets)?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;

    use super::*;

    const PROXY: [&str; 1] = ["127.0.0.1/32"];

    fn client<Line: AsRef<[u8]>>(trusted: &[&str], peer: &str, forwarded: &[Line]) -> String {
        let mut request = Request::builder();
        for line in forwarded {
            request = request.header("x-forwarded-for", line.as_ref());
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        Client::of(&trusted, &parts).to_string()
    }

    #[test]
    fn only_trusted_proxies_say_where_a_request_comes_from() {
        let proxies = ["10.0.0.0/8", "127.0.0.1/32"];
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client(&proxies, "192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "a stranger's claim");
        assert_eq!(client(&proxies, "10.0.0.5", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            client(&proxies, "10.0.0.5", &["203.0.113.9, 198.51.100.7"]),
            "198.51.100.7",
            "the left is forged"
        );
        assert_eq!(client(&proxies, "10.0.0.5", &["203.0.113.9", "198.51.100.7, 10.1.1.1"]), "198.51.100.7");
        assert_eq!(client::<&str>(&proxies, "10.0.0.5", &[]), "10.0.0.5", "a program beside the proxy");
        assert_eq!(client(&proxies, "10.0.0.5", &["10.1.1.1"]), "10.1.1.1");
        assert_eq!(client(&proxies, "::ffff:127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn addresses_are_read_in_each_form_that_proxies_write() {
        for (entry, expected) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            (" 203.0.113.7\t", "203.0.113.7"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"203.0.113.7\"", "203.0.113.7"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ] {
            assert_eq!(client(&PROXY, "127.0.0.1", &[entry]), expected, "{entry}");
            let behind = format!("198.51.100.7, {entry}, [::ffff:127.0.0.1]:4711");
            assert_eq!(client(&PROXY, "127.0.0.1", &[&behind]), expected, "{behind}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_nobody_and_never_the_proxy() {
        // A browser's own bytes stand left of what the proxy appends.
        assert_eq!(client(&PROXY, "127.0.0.1", &[b"\xe9, 203.0.113.6"]), "203.0.113.6");
        assert_eq!(client(&PROXY, "127.0.0.1", &[&b"\xe9"[..], b"203.0.113.6"]), "203.0.113.6");
        let unreadable: [&[&[u8]]; 13] = [
            &[b"\xe9"],
            &[b"203.0.113.6, \xe9"],
            &[b"203.0.113.6", b"\xe9"],
            &[b"203.0.113.6, \xe9, 127.0.0.1"],
            &[b"nonsense"],
            &[b"203.0.113.6, unknown"],
            &[b"unix:"],
            &[b""],
            &[b"203.0.113.6,"],
            &[b"203.0.113.6 198.51.100.7"],
            &[b"203.0.113.6:99999"],
            &[b"[203.0.113.6]"],
            &[b"\"203.0.113.6"],
        ];
        for lines in unreadable {
            assert_eq!(client(&PROXY, "127.0.0.1", lines), "unknown", "{lines:?}");
            assert_eq!(client(&PROXY, "192.0.2.1", lines), "192.0.2.1", "{lines:?}");
        }
    }
}
