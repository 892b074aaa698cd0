//! Problems: every refusal, as `application/problem+json` (RFC 9457) or one plain line.
//!
//! [`CODES`] is the contract's table of statuses and codes; the README and `/problems` are made from it.

use std::borrow::Cow;

use crate::domain::delivery::PlatformCode;
use crate::domain::json::push_members;
use actix_web::http::StatusCode;

use super::receipt::Delivery;

/// One row of the table.
pub struct Row {
    /// The `code`.
    pub code: Code,
    /// Its text.
    pub text: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What it means, in a few words.
    pub title: &'static str,
    /// How to fix it.
    pub fix: &'static str,
}

macro_rules! codes {
    ($($code:ident $text:literal $status:literal $title:literal $fix:literal;)*) => {
        /// What went wrong, as a program reads it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`")] $code,)*
        }

        /// The table, in the order of statuses.
        pub const CODES: &[Row] = &[
            $(Row { code: Code::$code, text: $text, status: $status, title: $title, fix: $fix },)*
        ];

        impl Code {
            fn row(self) -> &'static Row {
                match self {
                    $(Self::$code => &Row { code: Self::$code, text: $text, status: $status, title: $title, fix: $fix },)*
                }
            }
        }
    };
}

codes! {
    BadRequest "bad-request" 400 "The request is not well-formed HTTP/1.1" "Send one Host, at most one Content-Length or Transfer-Encoding, and CRLF line ends.";
    BadEncoding "bad-encoding" 400 "The URL does not decode to text" "Percent-encode the UTF-8 bytes of the text, or use the base64url form /b64/.";
    BadCharacter "bad-character" 400 "The text holds a character that no platform takes" "Take the NUL out of the message.";
    BadBody "bad-body" 400 "The body is not what is taken here" "Send what the detail names, as the platform does.";
    EmptyMessage "empty-message" 400 "There is nothing to post" "Write the message after /msg/, percent-encoded, or in ?message=.";
    EmptyChannel "empty-channel" 400 "The channel is empty" "Write the channel after /post/channel/.";
    BadOption "bad-option" 400 "An option of the query is wrong" "Write a '?' of the message as %3F; the detail names the option and what it takes.";
    AmbiguousChannel "ambiguous-channel" 400 "The channel could belong to several backends" "Write backend:channel, or set DEFAULT_BACKEND.";
    Unauthorized "unauthorized" 401 "The credentials are missing or not good" "Send Authorization: Bearer with a secret of PROXY_TOKENS, or a signed URL.";
    Forbidden "forbidden" 403 "These credentials do not open this channel" "Add the channel to the token's list after '@' in PROXY_TOKENS, or use another token.";
    SignatureExpired "signature-expired" 403 "The signed URL has expired" "Sign a new URL with a later expiry.";
    PreviewRefused "preview-refused" 403 "Previews and prefetches post nothing" "Send the request yourself, with POST.";
    NotFound "not-found" 404 "There is nothing here" "The form is /post/channel/{channel}/msg/{message}.";
    UnknownChannel "unknown-channel" 404 "Nobody knows this channel" "Check the alias, the id or the name; the platform may hide a channel its bot is not in.";
    MethodNotAllowed "method-not-allowed" 405 "This method is not accepted here" "Use POST (or PUT); ALLOW_GET=true lets GET post.";
    RequestTimeout "request-timeout" 408 "The request did not arrive in time" "Send the whole request head and body within 5 seconds.";
    InProgress "in-progress" 409 "It is under way" "Wait until it has ended, and look at it again.";
    Settled "already-settled" 409 "The delivery has ended" "There is nothing left to do to it; its receipt says how it ended.";
    MessageTooLong "message-too-long" 413 "The message is longer than MAX_PARTS posts" "Shorten it, or raise MAX_PARTS.";
    BodyTooLarge "body-too-large" 413 "The body is larger than MAX_BODY" "A post needs no body; leave it out.";
    UriTooLong "uri-too-long" 414 "The request target is longer than MAX_URL" "Shorten the message, or raise MAX_URL.";
    KeyReused "key-reused" 422 "The idempotency key belongs to another post" "Use a new key for a new message; a repeat must have the same channel, message and options.";
    RateLimited "rate-limited" 429 "Too many requests" "Wait as long as Retry-After says.";
    HeadersTooLarge "headers-too-large" 431 "More than 64 header fields, or more than 16 KiB of them" "Send fewer or shorter header fields.";
    Internal "internal-error" 500 "The proxy failed" "Look into its log for this request id.";
    BackendRejected "backend-rejected" 502 "The platform refused the post for good" "The detail names the cure; platform_code is the platform's own word.";
    PartlyRejected "partly-rejected" 502 "Not every destination took the post" "Each entry of deliveries says what became of it.";
    RelayFailed "relay-failed" 502 "The internal API gave no usable answer" "See whether RELAY_URL is right and the internal API is up; its own log tells more.";
    BackendUnavailable "backend-unavailable" 503 "The platform could not be reached in time" "Try again after Retry-After.";
    OutboxFull "outbox-full" 503 "Too many messages wait to be delivered" "Try again after Retry-After; OUTBOX_MAX bounds how many may wait.";
    StoreUnavailable "store-unavailable" 503 "The outbox cannot store anything now" "Free space on its disk, or put its file back; try again after Retry-After.";
    ShuttingDown "shutting-down" 503 "The proxy is stopping" "Try again after Retry-After; another instance may answer.";
    TooManyConnections "too-many-connections" 503 "Too many connections are open" "Close idle connections; try again after Retry-After. The start of the log says how many there may be.";
    RelayTimeout "relay-timeout" 504 "The internal API did not answer in time" "Have the internal API answer at once and do its work afterwards.";
}

/// What a document without deliveries hardly ever exceeds.
const USUAL_BYTES: usize = 1024;

/// A refusal and everything the caller is told about it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// What was expected, what came, and how to fix it; never the message or a secret.
    pub detail: Cow<'static, str>,
    /// The message's id, or one of its own.
    pub id: String,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
    /// The platform's own code.
    pub platform_code: Option<PlatformCode>,
    /// One entry for each destination, where there are several.
    pub deliveries: Vec<Delivery>,
    /// Whether some of the message was posted or promised all the same: it must not be made again.
    pub is_begun: bool,
    /// Whether some of the message may have been posted and nobody knows.
    pub is_in_doubt: bool,
    /// `Allow` of a 405.
    pub allow: Option<&'static str>,
    /// `WWW-Authenticate` of a 401, if it is not the callers'.
    pub challenge: Option<&'static str>,
    /// Whether the connection must not be used any more.
    pub close: bool,
}

impl Code {
    /// The text of the code.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.row().text
    }

    /// The status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl Problem {
    /// A problem with its detail.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            id: String::new(),
            retry_after_s: None,
            platform_code: None,
            deliveries: Vec::new(),
            is_begun: false,
            is_in_doubt: false,
            allow: None,
            challenge: None,
            close: false,
        }
    }

    /// The same, to be tried again after so many seconds.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// The same, and the connection closes.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The JSON document. `base` is `PUBLIC_URL` without a slash at its end, or empty.
    #[must_use]
    pub fn to_json(&self, base: &str) -> Vec<u8> {
        let row = self.code.row();
        let kind = format!("{base}/problems#{}", row.text);
        let status = format!(",\"status\":{},\"detail\":", row.status);
        let mut json = Vec::with_capacity(USUAL_BYTES);
        let members = [
            ("{\"type\":", Some(&*kind)),
            (",\"title\":", Some(row.title)),
            (&*status, Some(&*self.detail)),
            (",\"code\":", Some(row.text)),
            (",\"id\":", Some(&*self.id)),
            (
                ",\"platform_code\":",
                self.platform_code.as_ref().map(PlatformCode::as_str),
            ),
        ];
        push_members(&mut json, &members);
        if !self.deliveries.is_empty() {
            json.extend_from_slice(b",\"deliveries\":");
            // Writing to memory cannot fail.
            serde_json::to_writer(&mut json, &self.deliveries).ok();
        }
        json.extend_from_slice(b"}\n");
        json
    }

    /// One plain line.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!(
            "{} {}: {}\n",
            self.code.row().status,
            self.code.text(),
            self.detail
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_each_names_its_fix() {
        for (index, row) in CODES.iter().enumerate() {
            assert!(
                !CODES[..index].iter().any(|other| other.text == row.text),
                "{}",
                row.text
            );
            assert!(
                row.fix.ends_with('.') && !row.title.ends_with('.'),
                "{}",
                row.text
            );
            assert_eq!(row.code.status().as_u16(), row.status);
        }
        assert!(CODES.is_sorted_by_key(|row| row.status));
    }

    #[test]
    fn the_document_is_rfc_9457() {
        let problem = Problem {
            id: "1".into(),
            ..Problem::new(Code::NotFound, "nothing here")
        };
        let json: serde_json::Value =
            serde_json::from_slice(&problem.to_json("https://p")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"type": "https://p/problems#not-found", "title": "There is nothing here", "status": 404,
                "detail": "nothing here", "code": "not-found", "id": "1"})
        );
        assert_eq!(problem.to_line(), "404 not-found: nothing here\n");
    }

    #[test]
    fn what_a_platform_and_the_destinations_said_is_told_too() {
        let problem = Problem {
            id: "1".into(),
            platform_code: PlatformCode::new("channel_not_found"),
            deliveries: vec![Delivery::default()],
            ..Problem::new(Code::PartlyRejected, "a \"quoted\" detail\n")
        };
        let body = problem.to_json("");
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["detail"], "a \"quoted\" detail\n");
        assert_eq!(json["platform_code"], "channel_not_found");
        assert_eq!(
            json["deliveries"],
            serde_json::to_value(&problem.deliveries).unwrap()
        );
        assert!(body.ends_with(b"}\n"));
    }
}
