//! Style, faces, icons and script: embedded, and served under an address that changes with their content.

use std::{borrow::Cow, sync::OnceLock};

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use sha2::{Digest, Sha256};

/// The route of [`files`], below the base path.
pub const ROUTE: &str = "/static/{version}/{*name}";

#[derive(rust_embed::Embed)]
#[folder = "static/"]
struct Files;

/// A few characters that change when any file changes: the folder below which all are served, so that
/// links between them stay relative.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut names: Vec<_> = Files::iter().collect();
        names.sort();
        let mut sum = Sha256::new();
        for name in names {
            sum.update(name.as_bytes());
            sum.update(read(&name).unwrap_or_default());
        }
        sum.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect()
    })
}

/// The address of a file on pages; `base_path` is empty or begins with a slash and ends without one.
pub fn href(base_path: &str, name: &str) -> String {
    format!("{base_path}/static/{}/{name}", version())
}

/// A file's content as browsers get it: a style sheet without the pictures that it carries in `data:` addresses.
///
/// The policy forbids those, and what stands in for them is in our own sheet. That does not help while the
/// vendored sheet is there and ours is still on its way: a browser that draws the page then complains.
pub fn read(name: &str) -> Option<Cow<'static, [u8]>> {
    let data = Files::get(name)?.data;
    Some(if name.ends_with(".css") { without_carried_pictures(data) } else { data })
}

fn without_carried_pictures(sheet: Cow<'static, [u8]>) -> Cow<'static, [u8]> {
    const BEGIN: &[u8] = b"url(\"data:";
    const END: &[u8] = b"\")";
    let mut rest = &sheet[..];
    let mut kept = Vec::new();
    while let Some((before, picture)) = split(rest, BEGIN) {
        let Some((_, after)) = split(picture, END) else { break };
        kept.extend_from_slice(before);
        kept.extend_from_slice(b"none");
        rest = after;
    }
    if rest.len() == sheet.len() {
        return sheet;
    }
    kept.extend_from_slice(rest);
    kept.into()
}

/// What stands before and after the first `mark`.
fn split<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(text, mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}

/// `GET /static/...`.
pub fn files<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    get(serve)
}

/// Answers with a file: kept for a year under the present version. Under another one, which a page of an older
/// process may still name, the present file is given for the moment.
pub async fn serve(Path((asked, name)): Path<(String, String)>) -> Response {
    let Some(bytes) = read(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let keep = if asked == version() { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, content_type(&name)), (header::CACHE_CONTROL, keep)], bytes.into_owned())
        .into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests;
