//! The Dovecot of the tests with somebody else's mail program on it, and servers that misbehave on purpose.

use std::sync::{Arc, Mutex};

use mailcow_status::remote::imap::{Account, Security};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// The Dovecot that `tests/run` starts. Everybody has a mailbox there, under one password.
pub struct Dovecot {
    pub plain: u16,
    pub tls: u16,
    pub password: String,
    /// The authority that signed its certificate, for `localhost` and 127.0.0.1.
    pub ca: String,
    pub ca_file: String,
}

impl Dovecot {
    /// `None`, with a word, when the tests run without.
    pub fn find() -> Option<Self> {
        let Ok(text) = std::env::var("MAILCOW_STATUS_TEST_IMAP") else {
            eprintln!("left out: MAILCOW_STATUS_TEST_IMAP is not set (tests/run sets it)");
            return None;
        };
        let url = url::Url::parse(&text).unwrap();
        let value = |name: &str| url.query_pairs().find(|(its, _)| its == name).unwrap().1.into_owned();
        let ca_file = value("ca");
        Some(Self {
            plain: url.port().unwrap(),
            tls: value("tls").parse().unwrap(),
            password: url.password().unwrap().to_owned(),
            ca: std::fs::read_to_string(&ca_file).unwrap(),
            ca_file,
        })
    }

    /// A new mailbox, over TLS as it should be.
    pub fn account(&self) -> Account {
        Account {
            host: "localhost".to_owned(),
            port: self.tls,
            security: Security::Tls,
            user: format!("u{:016x}", getrandom::u64().unwrap()),
            password: self.password.clone().into(),
            roots_pem: Some(self.ca.clone()),
        }
    }

    /// Somebody else's mail program in the same mailbox.
    pub async fn client(&self, user: &str) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.plain)).await.unwrap();
        let mut client = Client { stream: BufReader::new(stream) };
        client.line().await;
        client.say(&format!("LOGIN {user} {}", self.password)).await;
        client
    }
}

/// A mail program that takes orders.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.unwrap();
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// Sends a command, which must go well; the lines of the answer.
    pub async fn say(&mut self, command: &str) -> Vec<String> {
        self.stream.get_mut().write_all(format!("x {command}\r\n").as_bytes()).await.unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(end) = line.strip_prefix("x ") {
                assert!(end.starts_with("OK"), "{command}: {end}");
                return lines;
            }
            lines.push(line);
        }
    }

    /// Puts mails into a folder.
    pub async fn append(&mut self, folder: &str, mails: &[String]) {
        for mail in mails {
            let command = format!("APPEND {folder} {{{}+}}\r\n{mail}", mail.len());
            self.say(&command).await;
        }
    }

    /// How many mails a folder holds; none where there is no folder.
    pub async fn count(&mut self, folder: &str) -> usize {
        if self.say(&format!("LIST \"\" {folder}")).await.is_empty() {
            return 0;
        }
        let lines = self.say(&format!("STATUS {folder} (MESSAGES)")).await;
        let digits = lines[0].rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
        digits.unwrap().parse().unwrap()
    }
}

/// What a server does with a line from its client.
pub enum Act {
    /// Sends this.
    Say(Vec<u8>),
    /// Sends this and hangs up.
    Leave(Vec<u8>),
    /// Sends this over and over.
    Repeat(Vec<u8>),
    /// Does nothing more.
    Stall,
}

/// A server in a few words: what it does for each line; an empty line stands for the greeting.
pub struct Scripted {
    pub account: Account,
    /// Everything that clients said.
    pub heard: Arc<Mutex<String>>,
}

impl Scripted {
    pub async fn start(security: Security, act: impl FnMut(&str) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(String::new()));
        tokio::spawn(serve(listener, act, Arc::clone(&heard)));
        let account = Account {
            host: "127.0.0.1".to_owned(),
            port,
            security,
            user: "dmarc".to_owned(),
            password: "hush hush".into(),
            roots_pem: None,
        };
        Self { account, heard }
    }
}

async fn serve(listener: TcpListener, mut act: impl FnMut(&str) -> Act, heard: Arc<Mutex<String>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        loop {
            match act(line.trim_end()) {
                Act::Say(words) => _ = stream.get_mut().write_all(&words).await,
                Act::Leave(words) => {
                    let _ = stream.get_mut().write_all(&words).await;
                    break;
                }
                Act::Repeat(words) => while stream.get_mut().write_all(&words).await.is_ok() {},
                Act::Stall => tokio::time::sleep(std::time::Duration::from_secs(60)).await,
            }
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                break;
            }
            heard.lock().unwrap().push_str(&line);
        }
    }
}

/// What a sound server says to a line, for a folder with these mails.
pub fn sound(line: &str, mails: &[(u32, String)]) -> Vec<u8> {
    let (tag, command) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = command.split(' ').collect();
    let mut answer = String::new();
    match words[..] {
        _ if line.is_empty() => return b"* OK ready\r\n".to_vec(),
        // A literal of the login follows, or has come.
        _ if line.ends_with('}') => return b"+ go on\r\n".to_vec(),
        _ if line == "hush hush" => return b"A1 OK welcome\r\n".to_vec(),
        ["EXAMINE" | "SELECT", ..] => answer.push_str("* OK [UIDVALIDITY 7] valid\r\n"),
        ["UID", "FETCH", uids, ref what @ ..] => {
            let wanted = |uid: u32| {
                uids.split(',').any(|part| match part.split_once(':') {
                    Some((from, to)) => {
                        uid >= from.parse().unwrap() && to.parse().is_ok_and(|to: u32| uid <= to)
                            || to == "*" && uid >= from.parse().unwrap()
                    }
                    None => part.parse() == Ok(uid),
                })
            };
            for (uid, mail) in mails.iter().filter(|(uid, _)| wanted(*uid)) {
                answer.push_str(&match what.contains(&"RFC822.SIZE)") {
                    true => format!("* {uid} FETCH (UID {uid} RFC822.SIZE {})\r\n", mail.len()),
                    false => format!("* {uid} FETCH (UID {uid} BODY[]<0> {{{}}}\r\n{mail})\r\n", mail.len()),
                });
            }
        }
        _ => {}
    }
    answer.push_str(tag);
    answer.push_str(" OK done\r\n");
    answer.into_bytes()
}
