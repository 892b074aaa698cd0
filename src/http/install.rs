//! `GET /slack/install` and where Slack sends the administrator back: the app becomes installed in a workspace.
//!
//! Whoever comes back must be the browser that was sent out: its `state` is known here, once and for a while, and its cookie
//! belongs to that state. Nothing else is looked at before. Answers are plain text for people; none shows a code or a token.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::dispatch::InstallError;
use crate::domain::delivery::PlatformCode;
use crate::domain::percent::decode_form;
use crate::domain::secret::Secret;

use super::Context;
use super::caller::limit_unit;
use super::problem::{Code, Problem};
use super::reply::{PLAIN, Reply};
use super::route::Route;

/// The platform of these routes.
const BACKEND: &str = "slack";
/// How long an administrator may take to agree: as long as Slack's own client gives, and its code lives
/// (reference/slack.md 7, checked 2026-11-21).
const STATE_LIFETIME: Duration = Duration::from_secs(600);
/// The most administrators who are on their way; beyond, the oldest begins again.
const MAX_STATES: usize = 4096;
/// The same from one address, so that no stranger pushes the others out.
const MAX_STATES_OF_ADDRESS: usize = 64;
/// 256 bits; the reference asks for 128.
const STATE_BYTES: usize = 32;
/// A longer code or state is none of ours or Slack's.
const MAX_FIELD_BYTES: usize = 1024;

type Digest = [u8; 32];

/// The installations that were begun. Only digests are kept, which are compared instead of what they stand for.
#[derive(Default)]
pub(super) struct Begun(Mutex<VecDeque<Ticket>>);

struct Ticket {
    state: Digest,
    cookie: Digest,
    address: IpAddr,
    since: Instant,
}

/// What the browser brings back.
#[derive(Default)]
struct Returned {
    state: Option<Secret>,
    code: Option<Secret>,
    error: Option<String>,
    is_odd: bool,
}

impl Begun {
    fn note(&self, ticket: Ticket) {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = ticket.since;
        tickets.retain(|old| old.is_good(now));
        let of_address = |old: &Ticket| old.address == ticket.address;
        if tickets.iter().filter(|old| of_address(old)).count() >= MAX_STATES_OF_ADDRESS
            && let Some(oldest) = tickets.iter().position(of_address)
        {
            tickets.remove(oldest);
        }
        if tickets.len() >= MAX_STATES {
            tickets.pop_front();
        }
        tickets.push_back(ticket);
    }

    /// Whether this browser was sent out with this state; it is good for once.
    fn take(&self, state: &Digest, cookies: &[Digest], now: Instant) -> bool {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |ticket: &Ticket| {
            ticket.state == *state && cookies.contains(&ticket.cookie) && ticket.is_good(now)
        };
        let found = tickets.iter().position(is_it);
        found.and_then(|at| tickets.remove(at)).is_some()
    }
}

impl Ticket {
    fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < STATE_LIFETIME
    }
}

/// Whether workspaces can install the app here at all.
pub(super) fn is_on(context: &Context<'_>) -> bool {
    context.dispatcher.consent_url(BACKEND, "", None).is_some()
}

/// `GET /slack/install`: sends the browser to Slack.
pub(super) fn begin(context: &Context<'_>) -> Result<Reply, Problem> {
    let state = context.state;
    let (Ok(ticket), Ok(cookie)) = (clock::random(), clock::random()) else {
        let detail = "the system gives no random bytes; try again in a moment";
        return Err(Problem::new(Code::Internal, detail));
    };
    let [ticket, cookie] = [ticket, cookie].map(|bytes: [u8; STATE_BYTES]| text_of(&bytes));
    let redirect = redirect(&state.settings.public_url);
    let url = context
        .dispatcher
        .consent_url(BACKEND, &ticket, redirect.as_deref());
    let Some(location) = url else {
        return Err(super::not_found());
    };
    state.begun.note(Ticket {
        state: digest(&ticket),
        cookie: digest(&cookie),
        address: limit_unit(context.address),
        since: state.clock.now(),
    });
    let (name, secure) = cookie_form(&state.settings.public_url);
    let seconds = STATE_LIFETIME.as_secs();
    let cookie =
        format!("{name}={cookie}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    Ok(Reply::Redirect { location, cookie })
}

/// `GET /no-auth/provider-token/slack`: Slack has sent the browser back.
pub(super) async fn finish(context: &Context<'_>) -> Reply {
    let state = context.state;
    let returned = Returned::read(context.query());
    let ticket = returned.state.as_ref().map(|text| digest(text.expose()));
    let cookies = cookies(context, cookie_form(&state.settings.public_url).0);
    let is_known =
        ticket.is_some_and(|ticket| state.begun.take(&ticket, &cookies, state.clock.now()));
    if !is_known || returned.is_odd {
        tracing::info!("an installation is refused: its state was not given to this browser");
        return says(
            401,
            "This installation was not begun in this browser, or more than 10 minutes ago, or it was finished before. Begin again at /slack/install.",
        );
    }
    if let Some(error) = returned.error {
        return says(403, &declined(&error));
    }
    let Some(code) = returned.code else {
        return says(400, "Slack sent no code. Begin again at /slack/install.");
    };
    let redirect = redirect(&state.settings.public_url);
    let install = std::sync::Arc::clone(context.dispatcher).install(
        BACKEND,
        code.expose().to_owned(),
        redirect,
    );
    match install.await {
        Ok(installed) => says(200, &greeting(&installed.workspace, &installed.name)),
        Err(error) => {
            tracing::warn!(reason = %error, "an installation failed");
            says(status_of(&error), &format!("Not installed: {error}."))
        }
    }
}

fn greeting(workspace: &str, name: &str) -> String {
    format!(
        "Installed in \"{name}\" ({workspace}). Invite the app to a channel there with /invite, then post to slack:{workspace}/CHANNEL: POST /post/channel/slack:{workspace}%2FCHANNEL/msg/hello"
    )
}

fn declined(error: &str) -> String {
    if error == "access_denied" {
        return "The installation was cancelled in Slack (access_denied): nothing is installed. Begin again at /slack/install.".to_owned();
    }
    let code = PlatformCode::new(error);
    let code = code.as_ref().map_or("no known code", PlatformCode::as_str);
    format!(
        "Slack did not install the app ({code}): nothing is installed. Begin again at /slack/install."
    )
}

fn status_of(error: &InstallError) -> u16 {
    match error {
        InstallError::Failed(_) => 502,
        InstallError::NoRoom(_) | InstallError::NotStored(_) | InstallError::NotSealed => 503,
    }
}

fn says(status: u16, text: &str) -> Reply {
    Reply::Text(status, PLAIN, format!("{text}\n").into())
}

impl Returned {
    fn read(query: &[u8]) -> Self {
        let mut returned = Self::default();
        for field in query.split(|&byte| byte == b'&') {
            let mut halves = field.splitn(2, |&byte| byte == b'=');
            let (name, value) = (
                halves.next().unwrap_or_default(),
                halves.next().unwrap_or_default(),
            );
            let Ok(value) = decode_form(value) else {
                returned.is_odd = true;
                continue;
            };
            // Given twice, or of no use: whoever wrote this was not Slack.
            let is_taken = match name {
                b"state" => returned.state.is_some(),
                b"code" => returned.code.is_some(),
                b"error" => returned.error.is_some(),
                _ => continue,
            };
            returned.is_odd |= is_taken || value.is_empty() || value.len() > MAX_FIELD_BYTES;
            match name {
                b"state" => returned.state = Some(Secret::new(value.into_owned())),
                b"code" => returned.code = Some(Secret::new(value.into_owned())),
                _ => returned.error = Some(value.into_owned()),
            }
        }
        returned
    }
}

/// Where Slack sends the browser back, if the proxy knows its own address; else Slack knows it.
fn redirect(public_url: &str) -> Option<String> {
    let path = Route::SlackInstalled.pattern();
    (!public_url.is_empty()).then(|| format!("{public_url}{path}"))
}

/// The cookie's name, and what makes it one for HTTPS alone. With the prefix no neighbouring host can set it; on loopback,
/// where one tries things out, there is no HTTPS.
fn cookie_form(public_url: &str) -> (&'static str, &'static str) {
    let is_tried_out = crate::domain::web_url::WebUrl::parse(public_url)
        .is_ok_and(|url| url.is_loopback() && !url.is_https());
    if is_tried_out {
        ("slack-install", "")
    } else {
        ("__Host-slack-install", "; Secure")
    }
}

/// The digests of all cookies with this name: a browser may hold several.
fn cookies(context: &Context<'_>, name: &str) -> Vec<Digest> {
    let headers = context
        .request
        .headers()
        .get_all(actix_web::http::header::COOKIE);
    let pairs = headers.filter_map(|value| value.to_str().ok());
    let pairs = pairs.flat_map(|value| value.split(';')).map(str::trim);
    let values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values.take(8).map(digest).collect()
}

fn text_of(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};

    fn ticket(number: usize, address: u8, since: Instant) -> Ticket {
        Ticket {
            state: digest(&format!("state {number}")),
            cookie: digest(&format!("cookie {number}")),
            address: IpAddr::from([127, 0, 0, address]),
            since,
        }
    }

    fn take(begun: &Begun, state: usize, cookie: usize, now: Instant) -> bool {
        let cookies = [digest("another"), digest(&format!("cookie {cookie}"))];
        begun.take(&digest(&format!("state {state}")), &cookies, now)
    }

    #[test]
    fn a_state_is_good_for_once_and_for_its_own_browser() {
        let (clock, begun) = (ManualClock::default(), Begun::default());
        let now = clock.now();
        begun.note(ticket(1, 1, now));
        begun.note(ticket(2, 1, now));

        assert!(!take(&begun, 1, 2, now));
        assert!(!take(&begun, 3, 1, now));
        assert!(!begun.take(&digest("state 1"), &[], now));
        assert!(take(&begun, 1, 1, now));
        assert!(!take(&begun, 1, 1, now));
        assert!(take(&begun, 2, 2, now));
    }

    #[test]
    fn a_state_is_good_for_ten_minutes() {
        let (clock, begun) = (ManualClock::default(), Begun::default());
        begun.note(ticket(1, 1, clock.now()));
        begun.note(ticket(2, 1, clock.now()));

        clock.advance(STATE_LIFETIME - Duration::from_millis(1));
        assert!(take(&begun, 1, 1, clock.now()));
        clock.advance(Duration::from_millis(1));
        assert!(!take(&begun, 2, 2, clock.now()));
    }

    #[test]
    fn their_number_is_bounded_and_no_address_pushes_the_others_out() {
        let (clock, begun) = (ManualClock::default(), Begun::default());
        let now = clock.now();
        begun.note(ticket(0, 1, now));
        for number in 1..=MAX_STATES_OF_ADDRESS + 1 {
            begun.note(ticket(number, 2, now));
        }

        assert!(take(&begun, 0, 0, now));
        assert!(!take(&begun, 1, 1, now));
        assert!(take(&begun, 2, 2, now));
        for number in 0..MAX_STATES * 2 {
            let address = u8::try_from(number % 250).unwrap();
            begun.note(ticket(10_000 + number, address, now));
        }
        assert!(begun.0.lock().unwrap().len() <= MAX_STATES);
        clock.advance(STATE_LIFETIME);
        begun.note(ticket(1, 1, clock.now()));
        assert_eq!(begun.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn what_comes_back_is_read_strictly() {
        let read = |query: &str| Returned::read(query.as_bytes());
        let good = read("code=1.2%2B&state=s&x=y");
        assert_eq!(good.code.unwrap().expose(), "1.2+");
        assert_eq!(good.state.unwrap().expose(), "s");
        assert!(!good.is_odd);
        for odd in ["state=a&state=b", "state=", "code=%FF&state=a", "error="] {
            assert!(read(odd).is_odd, "{odd}");
        }
        assert!(read(&format!("code={}", "x".repeat(1025))).is_odd);
        assert!(read("").state.is_none());
    }

    #[test]
    fn the_cookie_is_for_https_but_on_loopback() {
        assert_eq!(cookie_form("https://p.example").1, "; Secure");
        assert_eq!(cookie_form("http://p.example").1, "; Secure");
        assert_eq!(cookie_form("").1, "; Secure");
        assert_eq!(cookie_form("http://127.0.0.1:3000").1, "");
    }
}
