//! A small WebDriver client (W3C WebDriver, level 2) for headless Chromium: just what the journeys need.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long `wait_for` waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser of its own with an empty profile. Closed when dropped. Everything that fails panics, with the reason.
pub struct Browser {
    client: reqwest::Client,
    driver: String,
    session: String,
    _profile: TempDir,
}

/// An element of the page. Gone once the page changes.
pub struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Browser {
    /// A new browser, or `None` where `MAILCOW_STATUS_TEST_WEBDRIVER` names no driver. `tests/run` starts one.
    pub async fn start() -> Option<Self> {
        let Ok(driver) = std::env::var("MAILCOW_STATUS_TEST_WEBDRIVER") else {
            eprintln!("left out: MAILCOW_STATUS_TEST_WEBDRIVER is not set (tests/run sets it)");
            return None;
        };
        let profile = tempfile::tempdir().expect("a temporary directory");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--accept-lang=en",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser =
            Self { client: reqwest::Client::new(), driver, session: String::new(), _profile: profile };
        let answer = browser.send(reqwest::Method::POST, "/session", Some(wanted)).await.expect("a browser");
        browser.session = format!("/session/{}", text(&answer["sessionId"]));
        Some(browser)
    }

    /// Loads a page and waits until it is complete.
    pub async fn goto(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// The address of the page.
    pub async fn url(&self) -> String {
        text(&self.get("/url").await)
    }

    /// The page as the browser has it now.
    pub async fn source(&self) -> String {
        text(&self.get("/source").await)
    }

    /// The first element that a CSS selector finds.
    pub async fn find(&self, css: &str) -> Element<'_> {
        self.try_find(css).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// All elements that a CSS selector finds.
    pub async fn find_all(&self, css: &str) -> Vec<Element<'_>> {
        let found = self.post("/elements", json!({"using": "css selector", "value": css})).await;
        found.as_array().into_iter().flatten().map(|value| self.element(value)).collect()
    }

    /// What a visitor reads in each element that a CSS selector finds.
    pub async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.find_all(css).await {
            texts.push(element.text().await);
        }
        texts
    }

    /// The first element that a CSS selector finds, as soon as there is one.
    pub async fn wait_for(&self, css: &str) -> Element<'_> {
        let start = Instant::now();
        loop {
            match self.try_find(css).await {
                Ok(element) => return element,
                Err(error) if start.elapsed() > PATIENCE => panic!("{css} at {}: {error}", self.url().await),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Runs a function body with `arguments`; what it returns.
    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": arguments})).await
    }

    /// Name and value of each cookie of the page, with all their attributes.
    pub async fn cookies(&self) -> Vec<Value> {
        self.get("/cookie").await.as_array().cloned().unwrap_or_default()
    }

    /// Forgets all cookies.
    pub async fn forget_cookies(&self) {
        self.send(reqwest::Method::DELETE, &format!("{}/cookie", self.session), None)
            .await
            .expect("no cookies");
    }

    /// Sets the size of the window, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        self.post("/window/rect", json!({"width": width, "height": height})).await;
    }

    /// What the page wrote to the console, among it each breach of the content security policy.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await;
        entries.as_array().into_iter().flatten().map(|entry| text(&entry["message"])).collect()
    }

    /// A picture of the window: a PNG in base64.
    pub async fn screenshot(&self) -> String {
        text(&self.get("/screenshot").await)
    }

    async fn try_find(&self, css: &str) -> Result<Element<'_>, String> {
        let wanted = json!({"using": "css selector", "value": css});
        let path = format!("{}/element", self.session);
        let found = self.send(reqwest::Method::POST, &path, Some(wanted)).await?;
        Ok(self.element(&found))
    }

    fn element(&self, value: &Value) -> Element<'_> {
        Element { browser: self, id: text(&value[ELEMENT]) }
    }

    async fn get(&self, path: &str) -> Value {
        let path = format!("{}{path}", self.session);
        self.send(reqwest::Method::GET, &path, None).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let path = format!("{}{path}", self.session);
        self.send(reqwest::Method::POST, &path, Some(body))
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.client.request(method, format!("{}{path}", self.driver));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let well = answer.status().is_success();
        let mut value: Value = answer.json().await.map_err(|error| error.to_string())?;
        if well { Ok(value["value"].take()) } else { Err(text(&value["value"]["message"])) }
    }
}

impl Drop for Browser {
    /// Ends the session by a plain request: there may be no runtime any more, as after a failed assertion.
    fn drop(&mut self) {
        let Some(host) = self.driver.strip_prefix("http://").filter(|_| !self.session.is_empty()) else {
            return;
        };
        if let Ok(mut stream) = TcpStream::connect(host) {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let request =
                format!("DELETE {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", self.session);
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read(&mut [0; 64]);
        }
    }
}

impl Element<'_> {
    /// The text that a visitor sees.
    pub async fn text(&self) -> String {
        text(&self.browser.get(&format!("/element/{}/text", self.id)).await)
    }

    /// An attribute, if the element has it.
    pub async fn attribute(&self, name: &str) -> Option<String> {
        let value = self.browser.get(&format!("/element/{}/attribute/{name}", self.id)).await;
        value.as_str().map(str::to_owned)
    }

    /// Clicks it, and waits for the page that this leads to.
    pub async fn click(&self) {
        self.browser.post(&format!("/element/{}/click", self.id), json!({})).await;
    }

    /// Types into it, behind what it has.
    pub async fn type_text(&self, text: &str) {
        self.browser.post(&format!("/element/{}/value", self.id), json!({"text": text})).await;
    }

    /// Empties it.
    pub async fn clear(&self) {
        self.browser.post(&format!("/element/{}/clear", self.id), json!({})).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_form_is_filled_in_and_answers() {
    use axum::{Router, extract::Query, response::Html, routing::get};
    type Words = Query<std::collections::HashMap<String, String>>;
    let page = async |Query(words): Words| {
        let word = words.get("word").cloned().unwrap_or_default();
        let form = "<form><input name=word value=x><button>Go</button></form>";
        ([("set-cookie", "seen=1; HttpOnly")], Html(format!("<title>t</title><h1>Word: {word}</h1>{form}")))
    };
    let Some(browser) = Browser::start().await else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", get(page))).await });

    browser.resize(700, 500).await;
    browser.goto(&address).await;
    let input = browser.find("input").await;
    assert_eq!(input.attribute("name").await.as_deref(), Some("word"));
    input.clear().await;
    input.type_text("grüße").await;
    browser.find("button").await.click().await;
    browser.wait_for("h1").await;
    assert_eq!(browser.find("h1").await.text().await, "Word: grüße");
    assert!(browser.url().await.ends_with("?word=gr%C3%BC%C3%9Fe"));
    assert!(browser.source().await.contains("<form>"));
    assert_eq!(browser.run("return arguments[0] + window.outerWidth", json!([1])).await, json!(701));
    assert_eq!(browser.cookies().await[0]["name"], "seen");
    browser.forget_cookies().await;
    assert!(browser.cookies().await.is_empty() && browser.find_all("input, button").await.len() == 2);
    browser.run("console.error('hello')", json!([])).await;
    assert!(browser.console().await.iter().any(|line| line.contains("hello")));
    assert!(browser.screenshot().await.starts_with("iVBOR"), "no PNG");
}
