//! A name server for the simulated world: it knows the hosts that it was told of, answers over UDP like a real one,
//! and fails as a test wants it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{MX, PTR, TLSA, TXT},
    },
};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

/// How long answers may be remembered, in seconds.
const TTL: u32 = 300;

/// What a question is answered with.
#[derive(Debug, Clone)]
enum Answer {
    Records(Vec<RData>),
    Failure,
    Silence,
}

/// The name server.
#[derive(Debug, Clone, Default)]
pub struct NameServer {
    answers: BTreeMap<(Name, RecordType), Answer>,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    /// Knows a host: its address leads to the name, and the name to its address.
    #[must_use]
    pub fn host(self, ip: IpAddr, name: &str) -> Self {
        self.pointer(ip, name).address(name, ip)
    }

    /// Lets an address claim a name, whoever holds that name. A name of odd bytes is taken as it is.
    #[must_use]
    pub fn pointer(mut self, ip: IpAddr, name: &str) -> Self {
        let labels = name.split('.').map(str::as_bytes);
        if let Ok(target) = Name::from_labels(labels) {
            self.add(ip.into(), RecordType::PTR, RData::PTR(PTR(target)));
        }
        self
    }

    /// Gives a name an address.
    #[must_use]
    pub fn address(mut self, name: &str, ip: IpAddr) -> Self {
        if let Ok(name) = Name::from_ascii(name) {
            self.add(name, kind_of(ip), ip.into());
        }
        self
    }

    /// Gives a name a text.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        if let Ok(name) = Name::from_ascii(name) {
            // A piece of a text has at most 255 bytes.
            let pieces = text.as_bytes().chunks(255).map(|piece| String::from_utf8_lossy(piece).into_owned());
            self.add(name, RecordType::TXT, RData::TXT(TXT::new(pieces.collect())));
        }
        self
    }

    /// Gives a domain a mail server.
    #[must_use]
    pub fn exchange(mut self, domain: &str, preference: u16, host: &str) -> Self {
        if let (Ok(domain), Ok(host)) = (Name::from_ascii(domain), Name::from_ascii(host)) {
            self.add(domain, RecordType::MX, RData::MX(MX::new(preference, host)));
        }
        self
    }

    /// Gives a mail server a TLSA record: usage, selector, matching and data.
    #[must_use]
    pub fn tlsa(mut self, host: &str, kind: [u8; 3], data: &[u8]) -> Self {
        let [usage, selector, matching] = kind;
        if let Ok(name) = Name::from_ascii(format!("_25._tcp.{host}")) {
            let record = TLSA::new(usage.into(), selector.into(), matching.into(), data.to_vec());
            self.add(name, RecordType::TLSA, RData::TLSA(record));
        }
        self
    }

    /// Fails (`SERVFAIL`) when asked for the texts of this name.
    #[must_use]
    pub fn failing_text(self, name: &str) -> Self {
        self.texts_answer(name, Answer::Failure)
    }

    /// Never answers when asked for the texts of this name.
    #[must_use]
    pub fn silent_text(self, name: &str) -> Self {
        self.texts_answer(name, Answer::Silence)
    }

    fn texts_answer(mut self, name: &str, answer: Answer) -> Self {
        if let Ok(name) = Name::from_ascii(name) {
            self.answers.insert((key(name), RecordType::TXT), answer);
        }
        self
    }

    /// Fails (`SERVFAIL`) when asked for the name of this address.
    #[must_use]
    pub fn failing(mut self, ip: IpAddr) -> Self {
        self.answers.insert((key(ip.into()), RecordType::PTR), Answer::Failure);
        self
    }

    /// Fails when asked for an address of this name, of the family of `ip`.
    #[must_use]
    pub fn failing_back(mut self, name: &str, ip: IpAddr) -> Self {
        if let Ok(name) = Name::from_ascii(name) {
            self.answers.insert((key(name), kind_of(ip)), Answer::Failure);
        }
        self
    }

    /// Never answers when asked for the name of this address.
    #[must_use]
    pub fn silent(mut self, ip: IpAddr) -> Self {
        self.answers.insert((key(ip.into()), RecordType::PTR), Answer::Silence);
        self
    }

    /// Questions so far, in all clones.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Answers until `stop`.
    pub async fn serve(self, socket: UdpSocket, stop: CancellationToken) {
        let mut packet = [0_u8; 1500];
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = socket.recv_from(&mut packet) => received,
            };
            // What goes wrong with one packet is no reason to stop.
            let Ok((length, peer)) = received else { continue };
            if let Some(reply) = packet.get(..length).and_then(|packet| self.reply(packet)) {
                let _ = socket.send_to(&reply, peer).await;
            }
        }
    }

    fn add(&mut self, name: Name, kind: RecordType, data: RData) {
        match self.answers.entry((key(name), kind)).or_insert_with(|| Answer::Records(Vec::new())) {
            Answer::Records(records) => records.push(data),
            other => *other = Answer::Records(vec![data]),
        }
    }

    /// The packet that answers a packet; `None`: silence.
    fn reply(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let question = Message::from_vec(packet).ok()?;
        let query = question.queries.first()?.clone();
        self.asked.fetch_add(1, Ordering::Relaxed);
        let name = key(query.name.clone());
        let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
        reply.metadata.recursion_desired = question.metadata.recursion_desired;
        reply.metadata.recursion_available = true;
        match self.answers.get(&(name.clone(), query.query_type)) {
            Some(Answer::Silence) => return None,
            Some(Answer::Failure) => reply.metadata.response_code = ResponseCode::ServFail,
            Some(Answer::Records(records)) => {
                let record = |data: &RData| Record::from_rdata(query.name.clone(), TTL, data.clone());
                reply.answers.extend(records.iter().map(record));
            }
            None if self.answers.keys().any(|(known, _)| *known == name) => {}
            None => reply.metadata.response_code = ResponseCode::NXDomain,
        }
        reply.queries.push(query);
        reply.to_vec().ok()
    }
}

fn kind_of(ip: IpAddr) -> RecordType {
    if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA }
}

/// A name as it is looked up: lower case, complete.
fn key(name: Name) -> Name {
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    name
}
