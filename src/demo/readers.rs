//! People who read what `ann@alpha.test` sends them. They load the image that the hook in Rspamd would have put into her
//! mails, by the portal's own route, and they come in all kinds that the portal tells apart.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Letter, Mailcow};
use crate::model::open::TrackerKey;

/// The pause until she writes again.
const PAUSE: Duration = Duration::from_secs(600);
const SENDER: &str = "ann@alpha.test";
/// Where she sits when she sends.
const DESK: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 23));

/// One load of an image: so long after the mail was sent, from there, by this program.
struct Look(u64, IpAddr, &'static str);

/// A mail, and who looks at it.
struct Tracked {
    to: &'static str,
    subject: &'static str,
    looks: &'static [Look],
}

const fn home(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, last))
}

const THUNDERBIRD: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0";
const PHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148";
const IMAGE_PROXY: &str =
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";

const MAILS: &[Tracked] = &[
    Tracked {
        to: "lena.maier@bigmail.example",
        subject: "Angebot Nr. 4711",
        looks: &[Look(9, home(50), THUNDERBIRD), Look(25, home(50), THUNDERBIRD), Look(40, home(51), PHONE)],
    },
    Tracked {
        to: "yuki@tokyo-trade.example",
        subject: "Our meeting on Thursday",
        looks: &[Look(1, home(60), THUNDERBIRD), Look(12, home(61), IMAGE_PROXY)],
    },
    Tracked {
        to: "m.rossi@outmail.example",
        subject: "Rückfrage zur Rechnung",
        looks: &[Look(15, DESK, THUNDERBIRD), Look(30, home(70), "curl/8.5.0"), Look(35, home(71), PHONE)],
    },
];

/// Lets her write, and others read, until `stop`.
pub async fn read(mailcow: Arc<Mailcow>, portal: SocketAddr, key: TrackerKey, stop: CancellationToken) {
    let Ok(client) = reqwest::Client::builder().no_proxy().build() else { return };
    loop {
        let mails = MAILS.iter().map(|mail| mail.pass(&mailcow, portal, &key, &client));
        let pass = async {
            // As the hook does: whom it may track, the portal tells.
            let list = client.get(format!("http://{portal}/internal/tracked.map"));
            load(list.bearer_auth(key.map_key())).await;
            futures_util::future::join_all(mails).await;
            tokio::time::sleep(PAUSE).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = pass => {}
        }
    }
}

impl Tracked {
    async fn pass(&self, mailcow: &Mailcow, portal: SocketAddr, key: &TrackerKey, client: &reqwest::Client) {
        let posted = mailcow.push(&Letter::outgoing(SENDER, &[self.to], self.subject));
        let token = key.token(&posted.queue_id, &posted.message_id, mailcow.now(), DESK);
        let mut passed = 0;
        for Look(after, from, agent) in self.looks {
            tokio::time::sleep(Duration::from_secs(after - passed)).await;
            passed = *after;
            let image = client.get(format!("http://{portal}/track/{token}.gif"));
            load(image.header("user-agent", *agent).header("x-forwarded-for", from.to_string())).await;
        }
    }
}

async fn load(request: reqwest::RequestBuilder) {
    if let Err(error) = request.send().await.and_then(reqwest::Response::error_for_status) {
        tracing::warn!(error = %error.without_url(), "the simulation could not load what it wanted");
    }
}
