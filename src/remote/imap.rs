//! An IMAP mailbox (RFC 3501, UIDPLUS of RFC 4315, MOVE of RFC 6851): just what fetching reports needs.
//!
//! Mails are read with PEEK, so that no other program notices. Certificates are always verified. The protocol is spoken
//! here rather than by a library, because those that we tried take memory as the server announces it, and pass over the
//! `NO` at the end of a FETCH.

mod answer;
mod tls;
mod wire;

use std::fmt::Write as _;

use secrecy::{ExposeSecret, SecretString};

pub use self::wire::Limits;
use self::{
    answer::{Answer, Fetch, State},
    wire::{SMALL, Wire},
};
use super::{Cause, Error, http::shown};

/// Most mails that one look at a folder takes in; the rest comes with the next look.
const LISTED: usize = 100_000;

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From the first byte.
    Tls,
    /// After STARTTLS; a server without is refused.
    StartTls,
    /// Not at all, to this very machine only.
    Plain,
}

impl Security {
    /// The usual port.
    pub const fn port(self) -> u16 {
        match self {
            Self::Tls => 993,
            Self::StartTls | Self::Plain => 143,
        }
    }
}

/// Whom to ask, as whom.
#[derive(Debug, Clone)]
pub struct Account {
    /// Host name; the certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// Login name.
    pub user: String,
    /// Password.
    pub password: SecretString,
    /// Further root certificates, PEM, for an internal authority.
    pub roots_pem: Option<String>,
}

impl Account {
    /// Name for pages and the database: `dmarc@a.test at mail.a.test`.
    pub fn name(&self) -> String {
        format!("{} at {}", self.user, self.host)
    }
}

/// Whether a folder may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The server refuses every change (EXAMINE).
    Read,
    /// Mails may be moved and removed (SELECT).
    Change,
}

/// A mail in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its number, which it keeps while the folder's UIDVALIDITY stays.
    pub uid: u32,
    /// Its size in bytes, as the server says.
    pub size: u64,
}

/// A mail with its UID.
pub type Mail = (u32, Vec<u8>);

/// A connection on which somebody has logged in.
pub struct Session {
    wire: Wire,
    tags: u32,
    target: String,
    password: SecretString,
    capabilities: Option<Vec<String>>,
}

impl Session {
    /// Connects and logs in.
    pub async fn open(account: &Account, limits: &Limits) -> Result<Self, Error> {
        let target = format!("IMAP {}", account.name());
        let wire = tls::connect(account, limits).await;
        let wire =
            wire.map_err(|cause| Error { target: target.clone(), cause: cleaned(cause, &account.password) })?;
        let mut session =
            Self { wire, tags: 0, target, password: account.password.clone(), capabilities: None };
        let done = session.log_in(account).await;
        session.told(done)?;
        Ok(session)
    }

    /// Name and password go as literals, so that every character may be in them.
    async fn log_in(&mut self, account: &Account) -> Result<(), Cause> {
        let password = account.password.expose_secret();
        if [account.user.as_str(), password].iter().any(|text| text.contains('\0')) {
            return Err(Cause::Denied("name or password hold a zero byte".to_owned()));
        }
        let parts = [
            format!("LOGIN {{{}}}", account.user.len()),
            format!("{} {{{}}}", account.user, password.len()),
            password.to_owned(),
        ];
        let tag = self.tag();
        self.wire.allow(SMALL);
        let mut begin = format!("{tag} ");
        for part in parts {
            begin.push_str(&part);
            begin.push_str("\r\n");
            self.wire.send(begin.as_bytes()).await?;
            begin.clear();
            match self.reply(&tag).await? {
                None => {}
                Some(state) if state.word == "OK" => return Ok(()),
                Some(state) => return Err(Cause::Denied(said(&state))),
            }
        }
        Err(Cause::Garbled("the server asks for more than name and password".to_owned()))
    }

    /// What the server says to a part of a command: `None` for "go on".
    async fn reply(&mut self, tag: &str) -> Result<Option<State>, Cause> {
        loop {
            match answer::read(self.wire.answer().await?) {
                Answer::Go => return Ok(None),
                Answer::Done(its, state) if its == tag => return Ok(Some(state)),
                Answer::State(state) if state.word == "BYE" => return Err(Cause::Broken(said(&state))),
                _ => {}
            }
        }
    }

    /// Opens a folder and returns its UIDVALIDITY.
    pub async fn enter(&mut self, folder: &str, access: Access) -> Result<u32, Error> {
        let word = if access == Access::Read { "EXAMINE" } else { "SELECT" };
        let mut validity = None;
        self.command(&format!("{word} {}", quoted(folder)), SMALL, |answer| {
            if let Answer::State(state) = answer {
                validity = state.number("UIDVALIDITY").or(validity);
            }
        })
        .await?;
        let without = || Cause::Garbled(format!("no UIDVALIDITY for the folder {folder:?}"));
        self.told(validity.ok_or_else(without))
    }

    /// The mails with this UID and above, lowest first.
    pub async fn list(&mut self, from: u32) -> Result<Vec<Listed>, Error> {
        let mut found = std::collections::BTreeMap::new();
        self.command(&format!("UID FETCH {from}:* (UID RFC822.SIZE)"), SMALL, |answer| {
            // `n:*` names the last mail also where its UID is below n.
            if let Answer::Fetch(Fetch { uid: Some(uid), size, .. }) = answer
                && uid >= from
            {
                found.insert(uid, size.unwrap_or(0));
                if found.len() > LISTED {
                    found.pop_last();
                }
            }
        })
        .await?;
        Ok(found.into_iter().map(|(uid, size)| Listed { uid, size }).collect())
    }

    /// Reads mails, of each at most `most` bytes and of all together `room`, and puts them into `mails` as they come:
    /// after a failure, those that came before are there.
    pub async fn read(
        &mut self,
        uids: &[u32],
        most: usize,
        room: usize,
        mails: &mut Vec<Mail>,
    ) -> Result<(), Error> {
        let command = format!("UID FETCH {} (UID BODY.PEEK[]<0.{most}>)", set(uids));
        self.command(&command, room, |answer| {
            if let Answer::Fetch(Fetch { uid: Some(uid), body: Some(body), .. }) = answer
                // Neither what was not asked for, nor anything twice.
                && uids.contains(&uid)
                && !mails.iter().any(|(there, _)| *there == uid)
            {
                mails.push((uid, body));
            }
        })
        .await
    }

    /// Whether the server has an extension.
    pub async fn can(&mut self, extension: &str) -> Result<bool, Error> {
        if self.capabilities.is_none() {
            let mut found = Vec::new();
            self.command("CAPABILITY", SMALL, |answer| {
                if let Answer::Capability(words) = answer {
                    found = words;
                }
            })
            .await?;
            self.capabilities = Some(found);
        }
        Ok(self.capabilities.iter().flatten().any(|word| word == extension))
    }

    /// Moves mails to another folder in one step. UIDs that are gone are passed over.
    pub async fn move_to(&mut self, uids: &[u32], folder: &str) -> Result<(), Error> {
        self.transfer("MOVE", uids, folder).await
    }

    /// Copies mails to another folder.
    pub async fn copy_to(&mut self, uids: &[u32], folder: &str) -> Result<(), Error> {
        self.transfer("COPY", uids, folder).await
    }

    /// Moves or copies; makes the folder when there is none.
    async fn transfer(&mut self, word: &str, uids: &[u32], folder: &str) -> Result<(), Error> {
        let command = format!("UID {word} {} {}", set(uids), quoted(folder));
        match self.command(&command, SMALL, |_| ()).await {
            Err(Error { cause: Cause::Answer(text), .. }) if text.contains("TRYCREATE") => {
                self.command(&format!("CREATE {}", quoted(folder)), SMALL, |_| ()).await?;
                self.command(&command, SMALL, |_| ()).await
            }
            done => done,
        }
    }

    /// Removes mails. A server without UIDPLUS can only remove all that anybody has marked; there they are but marked.
    pub async fn remove(&mut self, uids: &[u32]) -> Result<(), Error> {
        let set = set(uids);
        self.command(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"), SMALL, |_| ()).await?;
        if self.can("UIDPLUS").await? {
            self.command(&format!("UID EXPUNGE {set}"), SMALL, |_| ()).await?;
        }
        Ok(())
    }

    /// How many mails with this Message-ID, told without its brackets, the open folder holds.
    pub async fn count(&mut self, message_id: &str) -> Result<usize, Error> {
        let mut found = 0;
        // Servers look for parts of the header: with the brackets, `1@a.test` is not found in `21@a.test`.
        let message_id = format!("<{message_id}>");
        self.command(&format!("UID SEARCH HEADER Message-ID {}", quoted_raw(&message_id)), SMALL, |answer| {
            if let Answer::Search(uids) = answer {
                found = uids.len();
            }
        })
        .await?;
        Ok(found)
    }

    /// Says good-bye; a failure of that is none.
    pub async fn close(mut self) {
        let _ = self.command("LOGOUT", SMALL, |_| ()).await;
    }

    /// Sends a command and takes the answers up to its end, which must be OK. `room`: bytes of literals among them.
    async fn command(&mut self, text: &str, room: usize, take: impl FnMut(Answer)) -> Result<(), Error> {
        let done = self.converse(text, room, take).await;
        self.told(done)
    }

    async fn converse(&mut self, text: &str, room: usize, mut take: impl FnMut(Answer)) -> Result<(), Cause> {
        let tag = self.tag();
        self.wire.allow(room);
        self.wire.send(format!("{tag} {text}\r\n").as_bytes()).await?;
        let mut farewell = None;
        loop {
            let raw = self.wire.answer().await.map_err(|cause| match (cause, farewell.take()) {
                (Cause::Broken(_), Some(words)) => Cause::Broken(words),
                (cause, _) => cause,
            })?;
            match answer::read(raw) {
                Answer::Done(its, state) if its == tag && state.word == "OK" => return Ok(()),
                Answer::Done(its, state) if its == tag => return Err(Cause::Answer(said(&state))),
                Answer::State(state) if state.word == "BYE" => farewell = Some(said(&state)),
                answer => take(answer),
            }
        }
    }

    fn tag(&mut self) -> String {
        self.tags += 1;
        format!("A{}", self.tags)
    }

    fn told<T>(&self, done: Result<T, Cause>) -> Result<T, Error> {
        done.map_err(|cause| Error { target: self.target.clone(), cause: cleaned(cause, &self.password) })
    }
}

/// The words of a state answer as we show them.
fn said(state: &State) -> String {
    let code = if state.code.is_empty() { String::new() } else { format!("[{}] ", state.code) };
    shown(&format!("{} {code}{}", state.word, state.text))
}

/// A server may repeat the password that it refuses.
fn cleaned(cause: Cause, password: &SecretString) -> Cause {
    let password = password.expose_secret();
    let clean = |text: String| if password.is_empty() { text } else { text.replace(password, "…") };
    match cause {
        Cause::Denied(text) => Cause::Denied(clean(text)),
        Cause::Answer(text) => Cause::Answer(clean(text)),
        Cause::Broken(text) => Cause::Broken(clean(text)),
        Cause::Garbled(text) => Cause::Garbled(clean(text)),
        Cause::Tls(text) => Cause::Tls(clean(text)),
        cause => cause,
    }
}

/// UIDs as IMAP writes them: `1:3,7`.
fn set(uids: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = uids.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while rest.peek().is_some_and(|next| last.checked_add(1) == Some(*next)) {
            last = rest.next().unwrap_or(last);
        }
        let comma = if text.is_empty() { "" } else { "," };
        let _ = if first == last {
            write!(text, "{comma}{first}")
        } else {
            write!(text, "{comma}{first}:{last}")
        };
    }
    text
}

/// A folder's name as IMAP writes it.
fn quoted(folder: &str) -> String {
    quoted_raw(&utf7(folder))
}

/// A quoted string; what cannot stand in one is left out.
fn quoted_raw(text: &str) -> String {
    let plain = text.chars().filter(|c| c.is_ascii() && !c.is_ascii_control());
    let escaped: String =
        plain.flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

/// The modified UTF-7 of folder names (RFC 3501 section 5.1.3).
fn utf7(name: &str) -> String {
    let mut out = String::new();
    let mut foreign: Vec<u8> = Vec::new();
    for c in name.chars() {
        if !c.is_ascii() {
            foreign.extend(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
            continue;
        }
        end_foreign(&mut out, &mut foreign);
        out.push(c);
        if c == '&' {
            out.push('-');
        }
    }
    end_foreign(&mut out, &mut foreign);
    out
}

fn end_foreign(out: &mut String, bytes: &mut Vec<u8>) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    if bytes.is_empty() {
        return;
    }
    out.push('&');
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for letter in 0..=three.len() {
            let index = (bits >> (18 - 6 * letter)) & 63;
            out.extend(LETTERS.get(index as usize).map(|letter| char::from(*letter)));
        }
    }
    out.push('-');
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_written_as_servers_expect_them() {
        assert_eq!(quoted("INBOX"), "\"INBOX\"");
        // The example of RFC 3501, and one pair of surrogates.
        assert_eq!(utf7("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(utf7("Entwürfe & mehr"), "Entw&APw-rfe &- mehr");
        assert_eq!(utf7("😀"), "&2D3eAA-");
        assert_eq!(quoted("a\"b\\c\r\nA2 DELETE INBOX"), "\"a\\\"b\\\\cA2 DELETE INBOX\"");
    }

    #[test]
    fn uids_are_written_as_ranges() {
        assert_eq!(set(&[1, 2, 3, 7, 9, 10]), "1:3,7,9:10");
        assert_eq!(set(&[u32::MAX - 1, u32::MAX]), "4294967294:4294967295");
    }

    #[test]
    fn a_password_that_the_server_repeats_is_taken_out() {
        let cause = cleaned(Cause::Denied("NO bad password hush!".to_owned()), &"hush!".into());
        assert_eq!(cause, Cause::Denied("NO bad password …".to_owned()));
    }
}
