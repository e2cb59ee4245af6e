//! The pages of the simulated server: login form, consent, and their style.

use axum::{http::header, response::IntoResponse};

/// The style sheet.
pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("demo.css"))
}

/// The login form; `hints` are sample addresses to offer.
pub(super) fn login(failed: bool, hints: &[String]) -> String {
    let alert = if failed { "<p class=\"alert\" role=\"alert\">Login failed</p>" } else { "" };
    let mut samples = String::new();
    if !hints.is_empty() {
        let rows: String =
            hints.iter().map(|hint| format!("<li><code>{}</code></li>", escape(hint))).collect();
        samples = format!(
            "<section class=\"hints\"><h2>Sample logins</h2><ul>{rows}</ul><p>Password: <code>demo</code></p></section>"
        );
    }
    page(
        "Sign in",
        &format!(
            "{alert}<form method=\"post\" action=\"/\">\
             <label>Username <input name=\"login_user\" autocomplete=\"username\" autofocus required></label>\
             <label>Password <input name=\"pass_user\" type=\"password\" autocomplete=\"current-password\" required></label>\
             <button>Login</button></form>{samples}"
        ),
    )
}

/// The question whether the client may read the profile.
pub(super) fn consent(user: &str, csrf: &str) -> String {
    page(
        "Application authorization",
        &format!(
            "<p>An application asks for permission to read your profile.</p>\
             <p>You are logged in as <strong>{}</strong>.</p>\
             <form method=\"post\"><input type=\"hidden\" name=\"csrf_token\" value=\"{}\">\
             <button name=\"authorized\" value=\"1\">Authorize</button></form>\
             <p class=\"note\">To refuse, go back or close this page.</p>",
            escape(user),
            escape(csrf)
        ),
    )
}

/// What a logged-in user sees at the root.
pub(super) fn home(user: &str) -> String {
    page("Signed in", &format!("<p>You are logged in as <strong>{}</strong>.</p>", escape(user)))
}

fn page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · simulated Mailcow</title><link rel=\"stylesheet\" href=\"/demo.css\"></head>\
         <body><main><p class=\"brand\">Simulated Mailcow</p><h1>{title}</h1>{content}</main></body></html>"
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
