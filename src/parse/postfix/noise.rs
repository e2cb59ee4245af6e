//! Lines of known kinds that say nothing about one mail: sessions, statistics, warnings.

/// Postfix's programs (master.cf and the commands of postfix(1)).
pub(super) fn is_daemon(name: &str) -> bool {
    matches!(name, "smtpd" | "smtp" | "lmtp" | "cleanup" | "qmgr" | "pickup" | "bounce" | "local" | "virtual")
        || matches!(
            name,
            "pipe" | "error" | "retry" | "discard" | "relay" | "postscreen" | "dnsblog" | "tlsproxy"
        )
        || is_silent(name)
        || matches!(
            name,
            "postsuper" | "sendmail" | "postdrop" | "qmqpd" | "oqmgr" | "nqmgr" | "defer" | "trace"
        )
}

/// Programs that never speak of one mail's way.
fn is_silent(name: &str) -> bool {
    matches!(name, "anvil" | "scache" | "tlsmgr" | "verify" | "master" | "dnsblog" | "trivial-rewrite")
        || matches!(name, "proxymap" | "flush" | "showq" | "spawn" | "postlogd" | "tlsproxy-helper")
        || matches!(name, "postfix-script" | "postmap" | "postalias" | "postconf" | "postqueue" | "postlog")
        || matches!(name, "postmulti" | "postkick" | "postcat" | "postfix" | "post-install")
}

/// Whether a line without queue id is of a known kind.
pub(super) fn is_known(daemon: &str, text: &str) -> bool {
    let starts = |starts: &[&str]| begins_with_one(text, starts);
    let common = match text.as_bytes().first() {
        Some(b'c') => starts(&["connect from ", "connect to ", "certificate ", "cache ", "close database "]),
        Some(b'd') => starts(&["disconnect from ", "discarding EHLO keywords", "daemon started", "dict_"]),
        Some(b'w') => starts(&["warning: "]),
        Some(b'l') => starts(&["lost connection "]),
        Some(b't') => starts(&["timeout after ", "too many errors after ", "terminating on ", "table "]),
        Some(b's') => starts(&["statistics: ", "setting up TLS ", "server certificate ", "starting "]),
        Some(b'f' | b'e' | b'p') => starts(&["fatal: ", "error: ", "panic: ", "proxy-accept: "]),
        Some(b'S') => starts(&["SSL_accept", "SSL_connect", "SASL ", "SNI "]),
        Some(b'i') => starts(&["improper command pipelining ", "initializing ", "idle timeout "]),
        Some(b'b') => starts(&["bare <"]),
        Some(b'a') => starts(&["addr ", "abort "]),
        Some(b'h') => starts(&["host "]),
        Some(b'r') => starts(&["reload ", "refreshing ", "redirecting "]),
        Some(b'm') => starts(&["message repeated ", "milter "]),
        Some(b'n') => starts(&["numeric ", "name service error "]),
        Some(b'u') => starts(&["using backwards-compatible ", "unable to "]),
        Some(b'A'..=b'Z') => starts(&SHOUTED) || starts(&TLS_DETAILS),
        _ => false,
    };
    common || is_silent(daemon)
}

/// postscreen(8) and postsuper(1).
const SHOUTED: [&str; 26] = [
    "CONNECT from ",
    "PASS ",
    "DISCONNECT ",
    "PREGREET ",
    "HANGUP ",
    "DNSBL rank ",
    "DNSBL ",
    "WHITELISTED ",
    "ALLOWLISTED ",
    "BLACKLISTED ",
    "DENYLISTED ",
    "WHITELIST VETO ",
    "ALLOWLIST VETO ",
    "COMMAND TIME LIMIT ",
    "COMMAND COUNT LIMIT ",
    "COMMAND LENGTH LIMIT ",
    "COMMAND PIPELINING ",
    "NON-SMTP COMMAND ",
    "BARE NEWLINE ",
    "DATA without ",
    "Deleted: ",
    "Requeued: ",
    "Placed on hold: ",
    "Released from hold: ",
    "Expired: ",
    "ENFORCE ",
];

/// TLS library and certificate messages of smtp(8) and smtpd(8).
const TLS_DETAILS: [&str; 9] = [
    "TLS SNI ",
    "TLS library ",
    "Host offered STARTTLS",
    "Server certificate ",
    "Name service error ",
    "Cannot start TLS",
    "Untrusted: ",
    "Trusted: ",
    "Verified: ",
];

/// Verbs of access tables, header checks and milters that let a mail go its way.
pub(super) fn is_verb(verb: &str) -> bool {
    matches!(verb, "reject_warning" | "warn" | "warning" | "info" | "filter" | "redirect" | "bcc" | "prepend")
        || matches!(verb, "replace" | "strip" | "delay" | "permit" | "accept" | "pass")
        || matches!(verb, "milter-quarantine" | "proxy-accept" | "trigger")
}

/// Whether a line behind a queue id is of a known kind without a fact in it.
pub(super) fn is_known_of_mail(rest: &str) -> bool {
    let verb = memchr::memchr(b':', rest.as_bytes()).and_then(|end| rest.get(..end));
    if let Some(verb) = verb
        && (is_verb(verb) || matches!(verb, "error" | "fatal" | "panic"))
    {
        return true;
    }
    const STARTS: [&str; 23] = [
        "host ",
        "lost connection ",
        "conversation with ",
        "connect to ",
        "skipped, still being delivered",
        "expired",
        "resent-message-id=",
        "enabling PIX workarounds",
        "disabling ",
        "breaking line ",
        "Cannot start TLS",
        "TLS is required",
        "SASL authentication failed",
        "Server certificate ",
        "certificate ",
        "non-ESMTP ",
        "timeout ",
        "read timeout ",
        "queue file size limit ",
        "smtp session ",
        "no TLSA ",
        "passing ",
        "released ",
    ];
    begins_with_one(rest, &STARTS)
}

/// Whether a text begins with one of these. The first byte decides most.
fn begins_with_one(text: &str, starts: &[&str]) -> bool {
    let first = text.as_bytes().first();
    starts.iter().any(|start| start.as_bytes().first() == first && text.starts_with(start))
}
