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
    status: &'a str,
    database_status: Option<&'a str>,
    filestore_status: Option<&'a str>,
}

/// The failure of a refused request once the server's health is known: `refused` stands if the server is well.
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
        Ok(health) if is_healthy(&health) => refused,
        Ok(health) => Failure::later(Later::Unavailable, health.retry_after, ILL),
        Err(_) => Failure::later(Later::Unavailable, None, ILL),
    }
}

/// Whether a ping's answer says that all is well.
fn is_healthy(answer: &Answer) -> bool {
    let well = |status: Option<&str>| status != Some("UNHEALTHY");
    answer.status == 200
        && answer.json::<Status<'_>>().is_some_and(|s| {
            s.status == "OK" && well(s.database_status) && well(s.filestore_status)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_ok_is_healthy() {
        for (status, body, healthy) in [
            (200, r#"{"status":"OK","AndroidLatestVersion":""}"#, true),
            (
                200,
                r#"{"status":"OK","database_status":"OK","filestore_status":"OK"}"#,
                true,
            ),
            (
                200,
                r#"{"status":"OK","database_status":"UNHEALTHY"}"#,
                false,
            ),
            (200, r#"{"status":"UNHEALTHY"}"#, false),
            (
                500,
                r#"{"status":"UNHEALTHY","database_status":"UNHEALTHY"}"#,
                false,
            ),
            (500, r#"{"status":"OK"}"#, false),
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
            assert_eq!(is_healthy(&answer), healthy, "{status} {body}");
        }
    }
}
