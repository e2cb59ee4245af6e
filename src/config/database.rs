//! Which database, and how to reach it.

use std::{fmt, path::PathBuf};

use secrecy::SecretString;
use url::Url;

use super::{kind::Kind, reader::Reader, settings};

/// Where the data lives.
#[derive(Debug, Clone)]
pub enum DatabaseSettings {
    /// An SQLite file, made when missing.
    Sqlite(PathBuf),
    /// A MariaDB or MySQL server.
    Mysql(MysqlSettings),
}

/// A database on a MariaDB or MySQL server. The password is as it was chosen, not encoded in any way.
#[derive(Debug, Clone)]
pub struct MysqlSettings {
    /// Where the server listens.
    pub address: MysqlAddress,
    /// The user's name.
    pub user: String,
    /// The user's password; may be empty.
    pub password: SecretString,
    /// Name of the database.
    pub database: String,
}

/// Where a MariaDB or MySQL server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MysqlAddress {
    /// Over the network.
    Tcp {
        /// Host name or address, IPv6 without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// On a Unix socket.
    Socket(PathBuf),
}

/// A database address; secret, because it holds the password.
pub const URL: Kind<DatabaseSettings> =
    Kind { form: "sqlite:PATH or mysql://USER:PASSWORD@HOST/DATABASE", secret: true, parse: parse_url };

/// Where the server is.
pub const HOST: Kind<MysqlAddress> = Kind {
    form: "a host name, with :port unless it is 3306, or a socket path",
    secret: false,
    parse: parse_host,
};

impl fmt::Display for DatabaseSettings {
    /// For logs and pages: everything but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Mysql(MysqlSettings { address, user, database, .. }) => match address {
                MysqlAddress::Tcp { host, port } => write!(f, "mysql://{user}@{host}:{port}/{database}"),
                MysqlAddress::Socket(path) => write!(f, "mysql://{user}@{}/{database}", path.display()),
            },
        }
    }
}

impl DatabaseSettings {
    /// Reads an address as `DATABASE_URL` has it. Errors never repeat it.
    pub fn from_url(text: &str) -> Result<Self, String> {
        parse_url(text)
    }

    /// From `DATABASE_URL`, else from `DB_HOST` and its companions, else the default.
    pub(super) fn take(reader: &mut Reader) -> Option<Self> {
        let given = reader.has(&settings::DATABASE_URL);
        let url = reader.take(&settings::DATABASE_URL);
        let address = reader.take(&settings::DB_HOST);
        let database = reader.take(&settings::DB_DATABASE);
        let user = reader.take(&settings::DB_USER);
        let password = reader.take(&settings::DB_PASSWORD);
        let companions = [
            ("DB_HOST", reader.has(&settings::DB_HOST)),
            ("DB_DATABASE", reader.has(&settings::DB_DATABASE)),
            ("DB_USER", reader.has(&settings::DB_USER)),
            ("DB_PASSWORD", reader.has(&settings::DB_PASSWORD)),
        ];
        if given || companions.iter().all(|(_, set)| !set) {
            return url;
        }
        for (name, _) in companions.iter().filter(|(_, set)| !set) {
            reader.fault(
                name,
                "is not set, though other DB_ settings are",
                "Set DB_HOST, DB_DATABASE, DB_USER and DB_PASSWORD, or none of them for SQLite.",
            );
        }
        Some(Self::Mysql(MysqlSettings {
            address: address?,
            user: user?,
            password: password?,
            database: database?,
        }))
    }
}

fn parse_url(text: &str) -> Result<DatabaseSettings, String> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("sqlite:") {
        return sqlite(path);
    }
    let Some(("mysql" | "mariadb", _)) = text.split_once("://") else {
        return Err("starts with neither sqlite: nor mysql://".to_owned());
    };
    let hint =
        "percent-encode special characters in the password (# is %23), or use DB_HOST and its companions";
    let url = Url::parse(text).map_err(|error| format!("is no address ({error}; {hint})"))?;
    if url.fragment().is_some() {
        return Err(format!("contains a # ({hint})"));
    }
    let database = decoded(url.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains('/') {
        return Err(format!("names no database behind the host ({hint})"));
    }
    let user = decoded(url.username())?;
    if user.is_empty() {
        return Err("names no user".to_owned());
    }
    Ok(DatabaseSettings::Mysql(MysqlSettings {
        address: mysql_address(&url)?,
        user,
        password: decoded(url.password().unwrap_or_default())?.into(),
        database,
    }))
}

fn sqlite(path: &str) -> Result<DatabaseSettings, String> {
    let path = path.strip_prefix("//").unwrap_or(path);
    match path {
        "" => Err("names no file".to_owned()),
        ":memory:" => Err("would lose everything at the end; a file is needed".to_owned()),
        _ if path.contains('?') => Err("has options behind a ?, which are not known".to_owned()),
        _ => Ok(DatabaseSettings::Sqlite(path.into())),
    }
}

fn mysql_address(url: &Url) -> Result<MysqlAddress, String> {
    let mut socket = None;
    for (name, value) in url.query_pairs() {
        match &*name {
            "socket" => socket = Some(PathBuf::from(&*value)),
            _ => return Err("has an unknown option behind the ?; only socket is known".to_owned()),
        }
    }
    if let Some(path) = socket {
        return Ok(MysqlAddress::Socket(path));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("has no host name")?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(MysqlAddress::Tcp { host, port: url.port().unwrap_or(3306) })
}

fn parse_host(text: &str) -> Result<MysqlAddress, String> {
    if text.starts_with('/') {
        return Ok(MysqlAddress::Socket(text.into()));
    }
    let url = Url::parse(&format!("mysql://{text}")).map_err(|_| "is no host name".to_owned())?;
    let bare = url.username().is_empty() && matches!(url.path(), "" | "/") && url.query().is_none();
    if !bare || url.password().is_some() || url.fragment().is_some() || text.contains(char::is_whitespace) {
        return Err("is more than a host name and a port".to_owned());
    }
    mysql_address(&url)
}

/// Undoes percent-encoding (RFC 3986, section 2.1). A lone `%` stands for itself.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = hex.filter(|_| *first == b'%').filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
        match byte.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 once decoded".to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn mysql(text: &str) -> MysqlSettings {
        match parse_url(text).unwrap() {
            DatabaseSettings::Mysql(settings) => settings,
            DatabaseSettings::Sqlite(path) => panic!("{path:?}"),
        }
    }

    #[test]
    fn sqlite_addresses_name_a_file() {
        for (text, path) in
            [("sqlite:a.db", "a.db"), ("sqlite:///var/a.db", "/var/a.db"), ("sqlite:/a b.db", "/a b.db")]
        {
            assert!(
                matches!(parse_url(text), Ok(DatabaseSettings::Sqlite(found)) if found.as_os_str() == path)
            );
        }
        for text in ["sqlite:", "sqlite::memory:", "sqlite:a?mode=ro", "postgres://x/y", "a.db", ""] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mysql_addresses_are_taken_apart() {
        let found = mysql(
            "mysql://status:p%40%23%25s+:/@mysql:3307/mailcowstatus".replace(":/@", "%3A%2F@").as_str(),
        );
        assert_eq!(found.address, MysqlAddress::Tcp { host: "mysql".into(), port: 3307 });
        assert_eq!((found.user.as_str(), found.database.as_str()), ("status", "mailcowstatus"));
        assert_eq!(found.password.expose_secret(), "p@#%s+:/");
        assert_eq!(
            mysql("mariadb://u@[::1]/d").address,
            MysqlAddress::Tcp { host: "::1".into(), port: 3306 }
        );
        let socket = mysql("mysql://u:p@localhost/d?socket=/run/mysqld/mysqld.sock").address;
        assert_eq!(socket, MysqlAddress::Socket("/run/mysqld/mysqld.sock".into()));
    }

    #[test]
    fn faults_of_an_address_never_show_the_password() {
        for text in [
            "mysql://u:hush#x@h/d",
            "mysql://u:hu/sh@h/d",
            "mysql://u:hush@h",
            "mysql://:hush@h/d",
            "mysql://u:hush@h/d?x=hush",
        ] {
            let wrong = parse_url(text).unwrap_err();
            assert!(!wrong.contains("hush") && !wrong.contains("hu/"), "{wrong}");
        }
        let settings = parse_url("mysql://u:hush@h/d").unwrap();
        assert!(!format!("{settings:?} {settings}").contains("hush"));
    }

    #[test]
    fn hosts_have_ports_or_are_sockets() {
        assert_eq!(parse_host("mysql"), Ok(MysqlAddress::Tcp { host: "mysql".into(), port: 3306 }));
        assert_eq!(parse_host("db:33"), Ok(MysqlAddress::Tcp { host: "db".into(), port: 33 }));
        assert_eq!(parse_host("/run/x.sock"), Ok(MysqlAddress::Socket("/run/x.sock".into())));
        for text in ["a b", "u@h", "h/d", "h:port", ":3306"] {
            assert!(parse_host(text).is_err(), "{text}");
        }
    }
}
