//! Every setting, declared once. Parsing, faults, `.env.example` and `docs/settings.md` follow from here.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use url::Url;

use super::{
    LogFormat, brands,
    database::{self, DatabaseSettings, MysqlAddress},
    kind::{self, Kind},
    mailboxes,
    roles::{self, DomainAdmin},
};
use crate::{ingest::fetch::After, model::brand::DomainBrand, remote::imap::Security};

/// What is declared about a setting, whatever its type.
pub struct Entry {
    /// Its name in the environment and in `.env`.
    pub name: &'static str,
    /// Further names, which count while the first is not set.
    pub aliases: &'static [&'static str],
    /// What it does: Markdown lines.
    pub help: &'static str,
    /// What its value must be; completes "Give …".
    pub form: &'static str,
    /// Whether it must be given.
    pub need: Need,
    /// Whether its value is never shown.
    pub secret: bool,
}

/// Whether a setting must be given, with an example or the default.
#[derive(Clone, Copy)]
pub enum Need {
    /// Must be given; the example.
    Required(&'static str),
    /// This value is used unless another is given.
    Default(&'static str),
    /// May be left out; the example.
    Optional(&'static str),
}

/// A setting whose value is a `T`.
pub struct Setting<T: 'static> {
    /// What is declared about it.
    pub entry: Entry,
    /// Reads the value; the error continues a sentence that starts with the name or the value.
    pub parse: fn(&str) -> Result<T, String>,
}

impl<T> Setting<T> {
    /// The value of a word on the command line; the error is a whole sentence.
    pub fn read_word(&self, word: &str) -> Result<T, String> {
        (self.parse)(word).map_err(|wrong| format!("It {wrong}. Give {}.", self.entry.form))
    }
}

/// Settings that belong together.
pub struct Section {
    /// A short heading.
    pub title: &'static str,
    /// The settings, in the order in which they are printed.
    pub entries: &'static [&'static Entry],
}

impl Entry {
    /// All names, the preferred one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The name for the mailbox of this number: `IMAP_HOST`, `IMAP_2_HOST`, ….
    pub fn nth_name(&self, number: u8) -> String {
        match self.name.split_once('_') {
            Some((room, rest)) if number > 1 => format!("{room}_{number}_{rest}"),
            _ => self.name.to_owned(),
        }
    }
}

macro_rules! settings {
    ($($title:literal {$(
        $(#[doc = $help:literal])+
        $name:ident $(or $alias:literal)*: $type:ty = $kind:expr, $need:ident $example:literal;
    )+})+) => {
        $($(
            $(#[doc = $help])+
            pub static $name: Setting<$type> = {
                let kind: Kind<$type> = $kind;
                Setting {
                    entry: Entry {
                        name: stringify!($name),
                        aliases: &[$($alias),*],
                        help: concat!($($help, "\n"),+),
                        form: kind.form,
                        need: Need::$need($example),
                        secret: kind.secret,
                    },
                    parse: kind.parse,
                }
            };
        )+)+

        /// Every setting.
        pub static SECTIONS: &[Section] = &[
            $(Section { title: $title, entries: &[$(&$name.entry),+] }),+
        ];
    };
}

settings! {
    "Mailcow" {
        /// The Mailcow server, as in its own `MAILCOW_HOSTNAME`. `https` is assumed; plain `http://` is taken only for this
        /// very machine (`http://127.0.0.1:8081`).
        MAILCOW_DOMAIN: Url = kind::MAILCOW, Required "mail.example.org";

        /// Where to connect to instead of the address of `MAILCOW_DOMAIN`, whose name stays in requests and in the
        /// certificate: from container to container, without going out and in again.
        MAILCOW_CONNECT: (String, u16) = kind::PLACE, Optional "nginx-mailcow:443";

        /// Client id of the OAuth2 app in Mailcow (System, Configuration, Access, OAuth2 apps). Its redirect URI is
        /// `PUBLIC_URL` followed by `/` and `MAILCOW_CALLBACK`.
        MAILCOW_CLIENT_ID: String = kind::TEXT, Required "1a2b3c4d5e6f";

        /// Client secret of the same OAuth2 app.
        MAILCOW_CLIENT_SECRET: SecretString = kind::SECRET, Required "";

        /// The end of the redirect URI that is registered with that app: `callback`, or `callback.php` as the PHP app had it.
        /// Not set, it is `callback`; but `callback.php` with a settings file of the PHP app, which is known by `DB_HOST`
        /// without `PUBLIC_URL` and `BASE_PATH`.
        MAILCOW_CALLBACK: &'static str = kind::CALLBACK, Optional "callback.php";

        /// API key of Mailcow. The read-only key is enough; this program never changes anything in Mailcow. Mailcow must
        /// allow the address of this machine for that key.
        MAILCOW_API_KEY: SecretString = kind::SECRET, Required "";

        /// Further root certificates that Mailcow's own may be signed with. Mostly given as a file: `MAILCOW_CA_FILE`.
        MAILCOW_CA: String = kind::CERTIFICATES, Optional "";

        /// How many Postfix lines one poll asks for at first. More are asked for when these do not reach back far enough.
        POSTFIX_COUNT: u32 = kind::ROWS, Default "1000";

        /// How many Rspamd rows one poll asks for at first.
        RSPAMD_COUNT: u32 = kind::ROWS, Default "100";

        /// The longest pause between two polls. The pause adapts to the traffic and is shorter when much comes in.
        POLL_INTERVAL: Duration = kind::POLL_PAUSE, Default "60s";
    }

    "Database" {
        /// Where the data lives: `sqlite:PATH`, or `mysql://USER:PASSWORD@HOST:PORT/DATABASE` for MariaDB and MySQL
        /// (`?socket=/path` for a Unix socket). Special characters in the password are percent-encoded here, `#` as `%23`.
        /// `DB_HOST` and its companions do without that; they count while `DATABASE_URL` is not set.
        DATABASE_URL: DatabaseSettings = database::URL, Default "sqlite:mailcow-status.sqlite";

        /// Host of a MariaDB or MySQL server, with `:port` unless it is 3306, or the path of its Unix socket. Inside
        /// Mailcow it is `mysql`.
        DB_HOST: MysqlAddress = database::HOST, Optional "mysql";

        /// Name of the database. Needed with `DB_HOST`.
        DB_DATABASE or "DB_NAME": String = kind::TEXT, Optional "mailcowstatus";

        /// User of the database. Needed with `DB_HOST`.
        DB_USER: String = kind::TEXT, Optional "status";

        /// Password of that user, as it is, without any encoding. Needed with `DB_HOST`.
        DB_PASSWORD or "DB_PASS": SecretString = kind::SECRET, Optional "";

        /// For how many days mails and their stories are kept.
        RETENTION: Duration = kind::DAYS, Default "120";

        /// For how many days the raw log lines are kept.
        RETENTION_LINES: Duration = kind::DAYS, Default "14";
    }

    "Reports" {
        /// Host of the mailbox that DMARC and TLS reports come to. Not set, it is `MAILCOW_DOMAIN` where `IMAP_USER` is
        /// set; without either, no reports are fetched. More mailboxes: `IMAP_2_HOST`, `IMAP_2_USER` and so on, up to
        /// `IMAP_9_`; each of the settings `IMAP_…` exists for each of them.
        IMAP_HOST: String = mailboxes::HOST, Optional "mail.example.org";

        /// Login name of that mailbox.
        IMAP_USER: String = kind::TEXT, Optional "dmarc@example.org";

        /// Its password. An app password of Mailcow that allows IMAP only is best.
        IMAP_PASS: SecretString = kind::SECRET, Optional "";

        /// How the connection is encrypted; `plain` only to this very machine. Certificates are always verified.
        IMAP_TLS: Security = mailboxes::SECURITY, Default "tls";

        /// Port. Not set, it is 993 with `tls`, else 143.
        IMAP_PORT: u16 = kind::PORT, Optional "993";

        /// Further root certificates that the server's own may be signed with. Mostly given as a file: `IMAP_CA_FILE`.
        IMAP_CA: String = kind::CERTIFICATES, Optional "";

        /// Folders that are read. Other mail programs may use them, too: what they mark as read makes no difference.
        IMAP_FOLDER: Vec<String> = mailboxes::FOLDERS, Default "INBOX";

        /// What becomes of a mail once all its reports are in the database: `keep` it as it is, `move:FOLDER`, or `delete`
        /// it. Mails without reports, and those that could not be read, are left alone in any case. A server without
        /// UIDPLUS (RFC 4315) marks what is to go, and leaves it to others to expunge.
        IMAP_AFTER: After = mailboxes::AFTER, Default "keep";

        /// The pause between two looks into the mailboxes.
        REPORT_INTERVAL: Duration = kind::REPORT_PAUSE, Default "6h";

        /// Names under which your mail servers write `Authentication-Results`. Only what they found out about the sender of
        /// a report counts. Not set, it is for each mailbox its `IMAP_HOST`; `MAILCOW_DOMAIN` where that is no full name.
        REPORT_AUTHSERV: Vec<String> = mailboxes::HOSTS, Optional "mail.example.org";

        /// For how many days reports are kept. DMARC reports that another program, as dmarcts-report-parser, wrote into the
        /// same database are not removed unless this is set; what is set, be it 400, holds for them, too.
        RETENTION_REPORTS: Duration = kind::DAYS, Default "400";
    }

    "What is measured" {
        /// The file that `mailcow-status collect` (or the collector of the Zabbix package) writes on the mail host. Not set,
        /// what only the host can tell is not in use.
        COLLECTOR_FILE: String = kind::TEXT, Optional "/var/lib/mailcow-monitor/mailcow-monitor.json";

        /// Key with which `mailcow-status collect --portal` may post what it sees, where portal and mail host share no file. Not
        /// set, posts are refused; with `COLLECTOR_FILE` set, the file counts.
        COLLECTOR_KEY: SecretString = kind::SECRET, Optional "";

        /// Mailcow's containers that are off on purpose, separated by commas: stopped or missing, they are no trouble. Any other
        /// that was there and is missing does not run, until it was seen to be down for seven days.
        CONTAINERS_OFF: Vec<String> = mailboxes::HOSTS, Optional "clamd,solr";

        /// The mail host whose ports, certificates, reverse names and relaying are looked at over the network. Not set, that of
        /// `MAILCOW_DOMAIN`; where that is plain `http://`, nothing is looked at.
        MAIL_HOST: String = mailboxes::HOST, Optional "mail.example.org";

        /// Where to connect to instead of the address of `MAIL_HOST`, whose name stays in certificates and in DNS: where the
        /// public address leads nowhere from inside.
        MAIL_CONNECT: String = mailboxes::HOST, Optional "172.22.1.1";

        /// Ports of the mail host that must be open, and whose certificates are looked at, separated by commas. Leave out what
        /// you do not offer. `443@8443` is what others find at 443, and is reached at 8443 from here.
        PROBE_PORTS: Vec<(u16, u16)> = kind::PORTS, Default "25,110,143,443,465,587,993,995,4190";

        /// Whether the mail host is asked once an hour if it relays for strangers. No mail is ever sent; its log shows the
        /// refusal.
        PROBE_RELAY: bool = kind::SWITCH, Default "on";

        /// DNS block lists that are asked for the mail host's addresses, separated by commas. Their owners learn the addresses and
        /// which name server asks, so none is asked unless you name it.
        BLOCK_LISTS: Vec<String> = mailboxes::HOSTS, Optional "zen.spamhaus.org,bl.spamcop.net";

        /// Mailcow's project at GitHub's API, which is asked once an hour for the newest release and how far the installed one is
        /// behind. GitHub learns your address and version, so it is not asked unless you name it.
        RELEASES: Url = kind::FEED, Optional "https://api.github.com/repos/mailcow/mailcow-dockerized";

        /// SOGo's Memcached. It is reached from Mailcow's Docker network only.
        MEMCACHED: (String, u16) = kind::PEER, Optional "memcached:11211";

        /// The ClamAV daemon. It is reached from Mailcow's Docker network only.
        CLAMD: (String, u16) = kind::PEER, Optional "clamd:3310";

        /// For how many days each single change of a metric is kept.
        RETENTION_SAMPLES: Duration = kind::DAYS, Default "2";

        /// For how many days the roll-ups of five minutes are kept.
        RETENTION_SAMPLES_5M: Duration = kind::DAYS, Default "30";

        /// For how many days the roll-ups of an hour and of a day are kept.
        RETENTION_SAMPLES_HOURLY: Duration = kind::DAYS, Default "730";

        /// For how many days the roll-ups of an hour are kept of what is measured for each single mailbox, which is most of it
        /// where there are thousands. Beyond that, its charts show days.
        RETENTION_SAMPLES_MAILBOXES: Duration = kind::DAYS, Default "60";
    }

    "Who may see what" {
        /// Addresses of those who see everything, separated by commas. They must be mailboxes, because only mailboxes can
        /// log in.
        ADMIN: Vec<String> = roles::ADDRESSES, Optional "admin@example.org";

        /// Mailboxes that see all mails of some domains. `ann@a.test:a.test,b.test` names the domains;
        /// `ann@a.test=alphaadmin` takes those that the Mailcow domain admin `alphaadmin` has at that time. Several entries
        /// are separated by `;`, white space or commas: whatever contains an `@` starts a new entry.
        DOMAIN_ADMINS: Vec<DomainAdmin> = roles::DOMAIN_ADMINS, Optional "ann@a.test:a.test,b.test; bob@b.test=betaadmin";

        /// With `postmaster`, the mailbox `postmaster@a.test` sees all mails of `a.test`; and so in every domain. Exactly
        /// this local part counts. Not set, nobody becomes domain admin by name.
        DOMAIN_ADMIN_PREFIX: String = roles::LOCAL_PART, Optional "postmaster";

        /// A login ends after this time without a visit.
        SESSION_IDLE: Duration = kind::SESSION, Default "12h";

        /// A login ends after this time in any case.
        SESSION_MAX: Duration = kind::SESSION, Default "7d";

        /// For how many days it is kept who signed in and who looked at what. What strangers can make many of, as refused
        /// sign-ins and wrong keys, is kept for 30 days at most.
        RETENTION_ACCESS: Duration = kind::DAYS, Default "180";

        /// Key for `/cron/update`, `/cron/dmarc` and `/cron/prune`, sent as `Authorization: Bearer KEY` or `?key=KEY`. Not
        /// set, these addresses refuse everybody; the program keeps its own schedule and does not need them.
        CRON_KEY: SecretString = kind::SECRET, Optional "";

        /// Token for `/metrics` (Prometheus) and `/api/metrics` (JSON, for Zabbix), sent as `Authorization: Bearer TOKEN`. It
        /// shows all metrics, those of each mailbox, too. Not set, only admins who are signed in see them.
        API_TOKEN: SecretString = kind::SECRET, Optional "";

        /// `on` shows everybody, without sign-in, a page at `/public` with those services and announcements that an admin
        /// chose and wrote at System, Public page; with a feed at `/public.atom` and JSON at `/public.json`.
        PUBLIC_STATUS: bool = kind::SWITCH, Default "off";
    }

    "Addresses" {
        /// Address and port to listen on.
        LISTEN: SocketAddr = kind::LISTEN, Default "127.0.0.1:8080";

        /// The address that visitors type. Not set, it is `https://MAILCOW_DOMAIN` with `BASE_PATH`; or `http://LISTEN`
        /// with `BASE_PATH` where Mailcow itself is on this very machine.
        PUBLIC_URL: Url = kind::PUBLIC_URL, Optional "https://mail.example.org/status";

        /// The path that all addresses start with. Not set, it is the path of `PUBLIC_URL`. Without that, too, it is
        /// `/status` beside a Mailcow, whose own pages start at `/`, and `/` where Mailcow is on this very machine.
        BASE_PATH: String = kind::BASE_PATH, Optional "/status";

        /// Networks of the proxies in front of this program, separated by commas. Only what they say in `X-Forwarded-For`
        /// is believed. Not set, nobody is believed.
        TRUSTED_PROXIES: Vec<IpNet> = kind::NETWORKS, Optional "172.22.1.0/24, fd4d:6169:6c63:6f77::/64";
    }

    "Open tracking" {
        /// `YES` counts when mails are opened: mails of mailboxes that have the Mailcow attribute `OPEN_TRACKING=YES`, and
        /// single mails with the header `X-Track-Opens: yes`. Needs `TRACKER_KEY`, and the Lua file for Rspamd.
        OPEN_TRACKING: bool = kind::SWITCH, Default "NO";

        /// The secret that this program and Rspamd share, 32 characters or more, for example from `openssl rand -hex 32`.
        TRACKER_KEY: SecretString = kind::SECRET, Optional "";
    }

    "Names of hosts" {
        /// Whether the host names of addresses in reports are looked up by reverse DNS. It happens in the background; names
        /// are kept for a week.
        RESOLVE_NAMES: bool = kind::SWITCH, Default "on";

        /// Name servers to ask, separated by commas. Not set, those of this machine (`/etc/resolv.conf`).
        DNS_RESOLVER: Vec<SocketAddr> = kind::RESOLVERS, Optional "172.22.1.254";
    }

    "Backup" {
        /// Encrypts what `mailcow-status backup` writes, and opens it again; 16 characters or more, for example from
        /// `openssl rand -base64 24`. Whoever loses it loses the backups. Best given as a file: `BACKUP_PASSPHRASE_FILE`. Not
        /// set, backups are not encrypted, unless the command names a file with a passphrase.
        BACKUP_PASSPHRASE: SecretString = kind::PASSPHRASE, Optional "";
    }

    "Look" {
        /// Language for visitors whose browser asks for none that there is: `en` or `de`.
        DEFAULT_LANG: String = kind::LANGUAGE, Default "en";

        /// Time zone of dates, where the visitor has not chosen one. Not set, that of this machine.
        TIME_ZONE: TimeZone = kind::TIME_ZONE, Optional "Europe/Berlin";

        /// Logo on dark ground: an address, or a path on the same host, as `/img/cow_mailcow.svg`, Mailcow's own, beside it.
        LOGO_DARK: String = kind::LOGO, Optional "/img/logo-dark.svg";

        /// Logo on light ground, in the same way. Not set, the portal has a mark of its own in the colour of Mailcow's buttons.
        LOGO_LIGHT: String = kind::LOGO, Optional "/img/logo-light.svg";

        /// Name at the foot of each page.
        FOOTER_COMPANY: String = kind::TEXT, Optional "Example Ltd";

        /// Where that name leads to.
        FOOTER_COMPANY_URL: String = kind::LINK, Optional "https://example.org";

        /// Name and colour of the portal for those who sign in with an address of a domain: `a.test=Alpha Mail#0a6699`, only
        /// the name, or only the colour. Several domains before the `=` are separated by commas, entries by `;`. Links and
        /// buttons take the colour, made darker or brighter where it could not be read (WCAG AA). Nobody sees the look of
        /// another domain.
        BRANDS: Vec<DomainBrand> = brands::BRANDS, Optional "a.test=Alpha Mail#0a6699; b.test,c.test=Beta";
    }

    "Log of this program" {
        /// How much this program logs: `error`, `warn`, `info`, `debug` or `trace`; `--log-level` on the command line wins.
        /// No level tells addresses, subjects, keys or sessions.
        LOG_LEVEL: tracing::Level = kind::LOG_LEVEL, Default "info";

        /// `text` for people, `json` for machines: one object a line; `--log-format` on the command line wins.
        LOG_FORMAT: LogFormat = kind::LOG_FORMAT, Default "text";
    }
}
