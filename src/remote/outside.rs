//! Looking at an address as a stranger does: status, clock, and where it leads, without a key and without a cookie.

use reqwest::{Method, Url};

use super::{
    Error,
    http::{self, Http},
};
use crate::model::time::Millis;

/// Most bytes that are read of an answer.
const LIMIT: usize = 256 << 10;

/// What a stranger sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// HTTP status.
    pub status: u16,
    /// The peer's clock (`Date`, RFC 9110, section 6.6.1); whole seconds.
    pub date: Option<Millis>,
    body: Vec<u8>,
}

impl Seen {
    /// Whether the body holds these bytes.
    pub fn holds(&self, part: &str) -> bool {
        memchr::memmem::find(&self.body, part.as_bytes()).is_some()
    }

    /// Whether the body is exactly this, but for white space around it.
    pub fn is(&self, text: &str) -> bool {
        self.body.trim_ascii() == text.as_bytes()
    }
}

/// Looks at addresses.
#[derive(Debug, Clone)]
pub struct Outside(Http);

impl Outside {
    /// Fails on a certificate that cannot be read.
    pub fn new(settings: &http::Settings) -> Result<Self, Error> {
        Ok(Self(Http::new(settings)?))
    }

    /// Asks for an address and follows nothing. `target` names it in errors.
    pub async fn look(&self, url: Url, target: &str) -> Result<Seen, Error> {
        let request = self.0.request(Method::GET, url).build();
        let request =
            request.map_err(|_| Error { target: target.to_owned(), cause: super::Cause::BadName })?;
        let (status, date, body) = self.0.peek(request, LIMIT, target).await?;
        Ok(Seen { status, date: date.as_deref().and_then(moment), body })
    }
}

fn moment(date: &str) -> Option<Millis> {
    let zoned = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(Millis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(moment("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Millis::from_secs(784_111_777)));
        assert_eq!(moment("yesterday"), None);
    }
}
