//! Whether the server's database is ill. A server without its database answers 400, 401, 403 or 404 to
//! requests that are in order (reference 8), so a refusal of that kind is checked before it is final.
//! It must not be asked for every message: the ping writes to the database (reference 14).

use http::Uri;
use serde::Deserialize;

use super::answer::is_doubtful;
use crate::backends::wire::{Answer, Call, Wire};
use crate::domain::delivery::{Failure, Later};

/// The ping that looks at the database too.
pub(super) const PING: &str = "/api/v4/system/ping?get_server_status=true";

const ILL: &str = "Mattermost refuses the request, and reports that it is unwell itself (its database may be away)";

#[derive(Deserialize)]
struct Status<'a> {
    status: Option<&'a str>,
    database_status: Option<&'a str>,
}

/// The failure of a refused request once the server's health is known: `refused` stands unless the server is ill.
pub(super) async fn confirm(
    wire: &dyn Wire,
    ping: &Uri,
    answer: &Answer,
    refused: Failure,
) -> Failure {
    if !is_doubtful(answer) {
        return refused;
    }
    // No token: the ping needs none, and a refused one must not spoil it.
    match wire.call(Call::get(ping, None)).await {
        Ok(health) if is_ill(&health) => {
            Failure::later(Later::Unavailable, health.retry_after, ILL)
        }
        Ok(_) => refused,
        Err(_) => Failure::later(Later::Unavailable, None, ILL),
    }
}

/// Whether a ping's answer says that the database is away (reference 6). One that says nothing of it, such as that of a
/// front end which passes posts alone, leaves a refusal as final as it is; an ill file store refuses no post.
fn is_ill(answer: &Answer) -> bool {
    let unwell = |status| status == Some("UNHEALTHY");
    match answer.json::<Status<'_>>() {
        Some(said) if said.database_status.is_some() => unwell(said.database_status),
        Some(said) => unwell(said.status) || answer.status >= 500,
        None => answer.status >= 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_so_is_ill() {
        for (status, body, ill) in [
            (200, r#"{"status":"OK","AndroidLatestVersion":""}"#, false),
            (
                200,
                r#"{"status":"OK","database_status":"OK","filestore_status":"OK"}"#,
                false,
            ),
            (
                200,
                r#"{"status":"OK","database_status":"UNHEALTHY"}"#,
                true,
            ),
            (200, r#"{"status":"UNHEALTHY"}"#, true),
            (
                500,
                r#"{"status":"UNHEALTHY","database_status":"UNHEALTHY"}"#,
                true,
            ),
            (
                500,
                r#"{"status":"UNHEALTHY","database_status":"OK","filestore_status":"UNHEALTHY"}"#,
                false,
            ),
            (500, r#"{"status":"OK"}"#, true),
            (503, "<html>down</html>", true),
            (200, "<html>OK</html>", false),
            (200, "", false),
            (404, "", false),
            (302, "", false),
        ] {
            let answer = Answer {
                status,
                body: body.into(),
                ..Answer::default()
            };
            assert_eq!(is_ill(&answer), ill, "{status} {body}");
        }
    }
}
