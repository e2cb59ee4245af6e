//! Signing in at Mailcow: OAuth2, authorisation code with PKCE. Who somebody is, only the profile tells: Mailcow
//! gives codes and tokens to nobody in particular, and its profile then answers 200 with `success` false.

use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    TokenResponse, TokenUrl, basic::BasicClient,
};
use reqwest::{Method, Url, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    Cause, Error,
    http::{self, Http},
};
use crate::model::scope::normalise_address;

/// Most bytes of an answer.
const LIMIT: usize = 64 << 10;

/// What Mailcow calls a mailbox without a name.
const NAMELESS: &str = "mailcow administrative user";

/// Where and as whom people sign in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where this server reaches Mailcow.
    pub base: Url,
    /// Where browsers reach Mailcow; mostly the same.
    pub browser_base: Url,
    /// Client id, as Mailcow shows it.
    pub client_id: String,
    /// Client secret.
    pub client_secret: SecretString,
    /// Where Mailcow sends browsers back to, exactly as registered there.
    pub redirect: String,
    /// How the HTTP client behaves.
    pub http: http::Settings,
}

/// Mailcow as the one who says who somebody is.
#[derive(Clone)]
pub struct OAuth {
    client: BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>,
    http: Http,
    profile: Url,
}

/// A proven identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The mailbox, normalised.
    pub address: String,
    /// Display name, may be empty.
    pub name: String,
    /// When the mailbox was made, as Mailcow's text; may be empty.
    pub created: String,
}

/// Why nobody was signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// Mailcow answered, but not with an active mailbox: an admin's account, or one that is switched off.
    #[error("the account has no active mailbox")]
    NoMailbox,
    /// The code was not taken: used, too old, or for somebody else.
    #[error("Mailcow did not take the code: {0}")]
    BadCode(String),
    /// Mailcow does not know this portal: client id, secret or redirect address are wrong.
    #[error("Mailcow did not take this portal's client id, secret or redirect address: {0}")]
    Misconfigured(String),
    /// Mailcow could not be asked.
    #[error(transparent)]
    Remote(#[from] Error),
}

impl OAuth {
    /// Builds the client. Fails when an address is none.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let below = |base: &Url, path: &str| format!("{}/oauth/{path}", base.as_str().trim_end_matches('/'));
        let wrong = |_| Error { target: "OAuth2 address".to_owned(), cause: Cause::BadName };
        let client = BasicClient::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(settings.client_secret.expose_secret().to_owned()))
            // In the body: proxies before Mailcow have been seen to drop an Authorization header.
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::new(below(&settings.browser_base, "authorize")).map_err(wrong)?)
            .set_token_uri(TokenUrl::new(below(&settings.base, "token")).map_err(wrong)?)
            .set_redirect_uri(RedirectUrl::new(settings.redirect.clone()).map_err(wrong)?);
        let profile = Url::parse(&below(&settings.base, "profile")).map_err(wrong)?;
        Ok(Self { client, http: Http::new(&settings.http)?, profile })
    }

    /// Where to send a browser that wants to sign in. `verifier` is 43 to 128 characters (RFC 7636) that only
    /// this sign-in knows.
    pub fn authorize_url(&self, state: &str, verifier: &str) -> Url {
        let challenge =
            PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.to_owned()));
        let state = state.to_owned();
        let request = self.client.authorize_url(move || CsrfToken::new(state));
        request.add_scope(Scope::new("profile".to_owned())).set_pkce_challenge(challenge).url().0
    }

    /// Turns the code that a browser brought back into an identity.
    pub async fn identify(&self, code: &str, verifier: &str) -> Result<Identity, SignInError> {
        let token = self.redeem(code, verifier).await?;
        let target = "Mailcow oauth/profile";
        let bearer = header::HeaderValue::from_str(&format!("Bearer {token}"));
        let mut bearer = bearer.map_err(|_| SignInError::BadCode("the token is no token".to_owned()))?;
        bearer.set_sensitive(true);
        let request =
            self.http.request(Method::GET, self.profile.clone()).header(header::AUTHORIZATION, bearer);
        let request = request.build().map_err(|_| failed(target, Cause::BadName))?;
        let body = self.http.send(request, LIMIT, target).await?.usable(target)?;
        Profile::read(&body).ok_or(SignInError::NoMailbox)
    }

    async fn redeem(&self, code: &str, verifier: &str) -> Result<String, SignInError> {
        let http = self.http.clone();
        let send = move |request: HttpRequest| forward(http.clone(), request);
        let outcome = self
            .client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .request_async(&send)
            .await;
        match outcome {
            Ok(token) => Ok(token.access_token().secret().clone()),
            Err(RequestTokenError::ServerResponse(refusal)) => {
                let text = refusal.to_string();
                Err(match refusal.error().as_ref() {
                    "invalid_grant" | "invalid_request" => SignInError::BadCode(text),
                    _ => SignInError::Misconfigured(text),
                })
            }
            Err(RequestTokenError::Request(error)) => Err(error.into()),
            Err(RequestTokenError::Parse(error, _)) => {
                Err(failed("Mailcow oauth/token", Cause::Json(error.into_inner().to_string())))
            }
            Err(RequestTokenError::Other(text)) => Err(failed("Mailcow oauth/token", Cause::Json(text))),
        }
    }
}

/// Sends what the `oauth2` crate wants to ask through our client, with its limits.
async fn forward(http: Http, request: HttpRequest) -> Result<HttpResponse, Error> {
    let target = "Mailcow oauth/token";
    let broken = || Error { target: target.to_owned(), cause: Cause::BadName };
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string()).map_err(|_| broken())?;
    let request = http.request(parts.method, url).headers(parts.headers).body(body);
    let answer = http.send(request.build().map_err(|_| broken())?, LIMIT, target).await?;
    let mut response = HttpResponse::new(answer.body);
    *response.status_mut() = reqwest::StatusCode::from_u16(answer.status).map_err(|_| broken())?;
    Ok(response)
}

fn failed(target: &str, cause: Cause) -> SignInError {
    SignInError::Remote(Error { target: target.to_owned(), cause })
}

#[derive(Deserialize)]
struct Profile {
    success: serde_json::Value,
    email: serde_json::Value,
    #[serde(default)]
    full_name: serde_json::Value,
    #[serde(default)]
    created: serde_json::Value,
    active: Option<serde_json::Value>,
}

impl Profile {
    /// The identity, only when `success` is exactly `true` and the address is one. Everything else is nobody.
    fn read(body: &[u8]) -> Option<Identity> {
        let profile: Self = serde_json::from_slice(body).ok()?;
        if profile.success != serde_json::Value::Bool(true) {
            return None;
        }
        if profile.active.is_some_and(|active| active != 1 && active != "1" && active != true) {
            return None;
        }
        let address = normalise_address(profile.email.as_str()?)?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().trim().to_owned();
        let name = Some(text(&profile.full_name)).filter(|name| name != NAMELESS).unwrap_or_default();
        Some(Identity { address, name, created: text(&profile.created) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oauth() -> OAuth {
        OAuth::new(&Settings {
            base: "http://mailcow.test/".parse().unwrap(),
            browser_base: "https://mail.example.org".parse().unwrap(),
            client_id: "0123456789ab".into(),
            client_secret: "s3cret".to_owned().into(),
            redirect: "https://mail.example.org/status/callback".into(),
            http: http::Settings::default(),
        })
        .unwrap()
    }

    #[test]
    fn only_a_true_success_with_an_address_is_somebody() {
        let good = br#"{"success":true,"email":"Ann@Alpha.Test","full_name":"Ann"}"#;
        assert_eq!(Profile::read(good).unwrap().address, "ann@alpha.test");
        for body in [
            r#"{"success":false}"#,
            r#"{"success":false,"email":"ann@alpha.test"}"#,
            r#"{"success":"true","email":"ann@alpha.test"}"#,
            r#"{"success":1,"email":"ann@alpha.test"}"#,
            r#"{"success":null,"email":"ann@alpha.test"}"#,
            r#"{"email":"ann@alpha.test"}"#,
            r#"{"success":true}"#,
            r#"{"success":true,"email":null}"#,
            r#"{"success":true,"email":""}"#,
            r#"{"success":true,"email":"ann"}"#,
            r#"{"success":true,"email":"@alpha.test"}"#,
            r#"{"success":true,"email":["ann@alpha.test"]}"#,
            r#"{"success":true,"email":"ann@alpha.test","active":0}"#,
            r#"{"success":true,"email":"ann@alpha.test","active":2}"#,
            "[]",
            "null",
            "",
        ] {
            assert_eq!(Profile::read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn the_way_to_mailcow_carries_state_scope_and_challenge() {
        let url = oauth().authorize_url("st4te", &"v".repeat(64));
        let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(url.origin().ascii_serialization(), "https://mail.example.org");
        assert_eq!(url.path(), "/oauth/authorize");
        assert_eq!(query["scope"], "profile");
        assert_eq!(query["state"], "st4te");
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["redirect_uri"], "https://mail.example.org/status/callback");
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(!url.as_str().contains("vvvv"), "the verifier stays here");
    }
}
