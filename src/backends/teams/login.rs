//! What the login service's answers mean. PURE. It is asked for a token before anything is posted, so no
//! failure in here leaves a post in doubt.

use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;

use crate::backends::wire::{Answer, StatusGroup, WireError};
use crate::domain::delivery::{Failure, Later, Refusal};

/// Shorter lifetimes are taken for this, so that a broken clock there cannot make us ask without end.
const MIN_LIFETIME: Duration = Duration::from_secs(60);
/// Longer ones are cut: Entra's longest is 28 hours.
const MAX_LIFETIME: Duration = Duration::from_secs(28 * 3600);

/// A token as granted. It has no `Debug` that shows it.
pub struct Granted {
    /// The whole value of `Authorization`, marked sensitive.
    pub authorization: HeaderValue,
    /// How long it is good for.
    pub lifetime: Duration,
}

#[derive(Deserialize)]
struct TokenAnswer<'a> {
    token_type: std::borrow::Cow<'a, str>,
    access_token: std::borrow::Cow<'a, str>,
    expires_in: Option<Seconds>,
}

/// A number as documented; older endpoints write it as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Granted({:?})", self.lifetime)
    }
}

/// Reads the answer to a request for a token.
///
/// # Errors
/// [`Failure`], never `Unknown`.
pub fn classify(answer: &Answer) -> Result<Granted, Failure> {
    match answer.group() {
        StatusGroup::Success if answer.status == 200 => {
            granted(answer).ok_or_else(|| unusable(answer))
        }
        StatusGroup::Redirect => Err(Failure::refused(
            Refusal::Misconfigured,
            "",
            "the login service redirects to somewhere else; set TEAMS_LOGIN_URL to the final address",
        )),
        StatusGroup::Throttled => Err(later(answer, Later::Throttled)),
        StatusGroup::Unavailable => Err(later(answer, Later::Unavailable)),
        StatusGroup::Refused => Err(refused(answer)),
        StatusGroup::Success | StatusGroup::Strange => Err(unusable(answer)),
    }
}

/// The failure of a request for a token that got no answer.
#[must_use]
pub fn no_answer(error: WireError) -> Failure {
    Failure::later(
        Later::Unreachable,
        None,
        format!("the login service of Teams: {error}"),
    )
}

fn granted(answer: &Answer) -> Option<Granted> {
    let token: TokenAnswer<'_> = answer.json()?;
    let is_plain =
        !token.access_token.is_empty() && token.access_token.bytes().all(|b| b.is_ascii_graphic());
    if !token.token_type.eq_ignore_ascii_case("bearer") || !is_plain {
        return None;
    }
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.access_token)).ok()?;
    authorization.set_sensitive(true);
    let lifetime = token.expires_in.map_or(MIN_LIFETIME, lifetime);
    Some(Granted {
        authorization,
        lifetime,
    })
}

fn lifetime(seconds: Seconds) -> Duration {
    let seconds = match seconds {
        Seconds::Number(n) => n,
        Seconds::Text(text) => text.trim().parse().unwrap_or_default(),
    };
    // A NaN or an infinity from a text, or a negative number, is no duration.
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(MIN_LIFETIME)
        .clamp(MIN_LIFETIME, MAX_LIFETIME)
}

fn later(answer: &Answer, reason: Later) -> Failure {
    let detail = format!(
        "the login service of Teams gives no token at the moment (HTTP {})",
        answer.status
    );
    Failure::later(reason, answer.retry_after, detail)
}

/// Nothing was posted, so a broken answer is a reason to ask again.
fn unusable(answer: &Answer) -> Failure {
    let detail = format!(
        "the login service of Teams answered HTTP {} without a usable token; is TEAMS_LOGIN_URL right?",
        answer.status
    );
    Failure::later(Later::Unavailable, answer.retry_after, detail)
}

fn refused(answer: &Answer) -> Failure {
    let Some(problem) = answer.json::<Problem>().filter(|p| !p.error.is_empty()) else {
        return Failure::refused(
            Refusal::Misconfigured,
            "",
            format!(
                "TEAMS_LOGIN_URL answers HTTP {} but not as Microsoft's login service does; check it",
                answer.status
            ),
        );
    };
    if matches!(&*problem.error, "temporarily_unavailable" | "server_error") {
        return later(answer, Later::Unavailable);
    }
    let code = aadsts(&problem);
    let shown = if code.is_empty() {
        &problem.error
    } else {
        &code
    };
    Failure::refused(Refusal::Credentials, shown, cure(&code))
}

/// `AADSTS7000215`, from the list of codes or from the start of the description.
fn aadsts(problem: &Problem) -> String {
    if let Some(number) = problem.error_codes.first() {
        return format!("AADSTS{number}");
    }
    let rest = problem.error_description.strip_prefix("AADSTS");
    let digits = rest.map(|rest| rest.chars().take_while(char::is_ascii_digit));
    match digits.map(Iterator::collect::<String>) {
        Some(number) if !number.is_empty() => format!("AADSTS{number}"),
        _ => String::new(),
    }
}

fn cure(code: &str) -> &'static str {
    match code {
        "AADSTS7000215" => {
            "the login service refuses TEAMS_APP_PASSWORD: it is wrong. Perhaps the secret's id was pasted instead of its \
             value? The value is shown once, when the secret is made"
        }
        "AADSTS7000222" => {
            "the client secret in TEAMS_APP_PASSWORD has expired: make a new one in the app registration and set its value"
        }
        "AADSTS7000229" => {
            "the app has no service principal in TEAMS_TENANT_ID: grant it consent in that tenant, or correct the tenant"
        }
        "AADSTS700016" => {
            "the app TEAMS_APP_ID is not in the directory TEAMS_TENANT_ID: one of the two is wrong. A single-tenant bot \
             needs its own directory's id; an older multi-tenant bot needs botframework.com"
        }
        "AADSTS90002" | "AADSTS900023" => {
            "the login service knows no directory TEAMS_TENANT_ID: copy the \"Directory (tenant) ID\" of the app registration"
        }
        _ => {
            "the login service refuses the bot's credentials: check TEAMS_APP_ID, TEAMS_APP_PASSWORD and TEAMS_TENANT_ID \
             (platform_code says why)"
        }
    }
}
