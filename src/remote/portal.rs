//! A portal, as the host collector meets it: it gives what it knows, and takes what the host tells.

use std::time::Duration;

use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::{
    Cause, Error,
    http::{self, Http},
};

/// The host collector waits no longer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of what the portal knows: 5,000 mailboxes are 3 MB.
const LIMIT: usize = 32 << 20;
/// Most bytes of an answer to a post.
const WORDS: usize = 64 << 10;

/// How to reach a portal.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its public address with its base path.
    pub base: Url,
    /// Opens what it knows; without one, it is not asked.
    pub api_token: Option<SecretString>,
    /// Lets post; without one, nothing is posted.
    pub collector_key: Option<SecretString>,
    /// Further root certificates, PEM.
    pub roots_pem: Option<String>,
}

/// A client of one portal.
#[derive(Debug, Clone)]
pub struct Portal {
    http: Http,
    base: Url,
    api_token: Option<HeaderValue>,
    collector_key: Option<HeaderValue>,
}

impl Portal {
    /// Builds the client. Fails when a secret cannot stand in a header, when a certificate cannot be read, and when
    /// secrets would leave this machine without encryption.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let failed = |target: &str, cause| Error { target: target.to_owned(), cause };
        if !is_safe(&settings.base) {
            let why = "the address must begin with https://, or lead to this very machine".to_owned();
            return Err(failed("portal", Cause::Tls(why)));
        }
        let header = |secret: &Option<SecretString>, name: &str| {
            let Some(secret) = secret else { return Ok(None) };
            let text = format!("Bearer {}", secret.expose_secret().trim());
            let mut value = HeaderValue::from_str(&text).map_err(|_| failed(name, Cause::BadName))?;
            value.set_sensitive(true);
            Ok(Some(value))
        };
        let http = http::Settings {
            timeout: TIMEOUT,
            roots_pem: settings.roots_pem.clone(),
            ..http::Settings::default()
        };
        Ok(Self {
            http: Http::new(&http)?,
            base: settings.base.clone(),
            api_token: header(&settings.api_token, "API_TOKEN")?,
            collector_key: header(&settings.collector_key, "COLLECTOR_KEY")?,
        })
    }

    /// What the portal knows at present, by key; nothing where there is no token.
    pub async fn values(&self) -> Result<Map<String, Value>, Error> {
        let Some(token) = &self.api_token else { return Ok(Map::new()) };
        let body = self.ask(Method::GET, "api/metrics", token, None, LIMIT).await?;
        let unreadable = |why: String| Error { target: target("api/metrics"), cause: Cause::Json(why) };
        let mut answer: Value =
            serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
        match answer.get_mut("values").map(Value::take) {
            Some(Value::Object(values)) => Ok(values),
            _ => Err(unreadable("no values".to_owned())),
        }
    }

    /// Posts what the host tells, where there is a key.
    pub async fn post(&self, text: String) -> Result<(), Error> {
        let Some(key) = &self.collector_key else { return Ok(()) };
        self.ask(Method::POST, "api/collector", key, Some(text), WORDS).await.map(drop)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        secret: &HeaderValue,
        body: Option<String>,
        limit: usize,
    ) -> Result<Vec<u8>, Error> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        let mut request = self.http.request(method, url).header("Authorization", secret.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let request = request.build().map_err(|_| Error { target: target(path), cause: Cause::BadName })?;
        self.http.send(request, limit, &target(path)).await?.usable(&target(path))
    }
}

fn target(path: &str) -> String {
    format!("portal {path}")
}

/// Whether secrets may be sent there: encrypted, or not over any network.
fn is_safe(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    base.scheme() == "https" || (base.scheme() == "http" && here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_cross_a_network_in_the_clear() {
        for (base, safe) in [
            ("https://mail.example.org/status", true),
            ("http://localhost:8080/", true),
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]:8080/", true),
            ("http://mail.example.org/status", false),
            ("http://localhost.example.org/", false),
            ("http://10.0.0.1/", false),
            ("ftp://localhost/", false),
        ] {
            assert_eq!(is_safe(&base.parse().unwrap()), safe, "{base}");
        }
    }
}
