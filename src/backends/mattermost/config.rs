//! From variables to a bot. The older proxy's names are understood beside the new ones.

use std::sync::Arc;

use envconfig::Envconfig;
use http::HeaderValue;

use super::Bot;
use crate::backends::{Backend, Shared};
use crate::domain::message::clean_line;
use crate::domain::web_url::WebUrl;
use crate::env::{Reader, Var};

const URL: &str = "MATTERMOST_URL";
const TOKEN: &str = "MATTERMOST_TOKEN";
const OLD_URL: &str = "MM_URL";
const OLD_TOKEN: &str = "MM_PROXY_TOKEN";
const NAME: &str = "MM_PROXY_USERNAME";

/// Display names longer than this are cut by the clients.
const MAX_NAME_CHARS: usize = 80;

pub(super) const VARS: &[Var] = &[
    Var {
        name: URL,
        default: "",
        secret: false,
        doc: "the Mattermost site, such as `https://chat.example.com` (with its subpath, if any)",
    },
    Var {
        name: TOKEN,
        default: "",
        secret: true,
        doc: "access token of the Mattermost bot",
    },
    Var {
        name: OLD_URL,
        default: "",
        secret: false,
        doc: "older name of `MATTERMOST_URL`; also the full `…/api/v4/posts`",
    },
    Var {
        name: OLD_TOKEN,
        default: "",
        secret: true,
        doc: "older name of `MATTERMOST_TOKEN`",
    },
    Var {
        name: NAME,
        default: "",
        secret: false,
        doc: "the name that Mattermost posts without `as` appear under, where the server allows it",
    },
];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "MATTERMOST_URL")]
    url: Option<String>,
    #[envconfig(from = "MATTERMOST_TOKEN")]
    token: Option<String>,
    #[envconfig(from = "MM_URL")]
    old_url: Option<String>,
    #[envconfig(from = "MM_PROXY_TOKEN")]
    old_token: Option<String>,
    #[envconfig(from = "MM_PROXY_USERNAME")]
    name: Option<String>,
}

/// The bot, if it is configured; everything that is wrong is noted.
pub(super) fn configure(reader: &mut Reader<'_>, shared: &Shared) -> Option<Arc<dyn Backend>> {
    let vars: Vars = reader.vars();
    let url_set = reader.is_given(URL) || reader.is_given(OLD_URL);
    let token_set = reader.is_given(TOKEN) || reader.is_given(OLD_TOKEN);
    match (url_set, token_set) {
        (false, false) => return None,
        (true, false) => reader.fault(
            TOKEN,
            "is missing: the URL of Mattermost is set, the bot's token is not",
        ),
        (false, true) => reader.fault(
            URL,
            "is missing: the bot's token is set, the URL of Mattermost is not",
        ),
        (true, true) => {}
    }
    let url = parsed(reader, URL, vars.url.as_deref(), parse_base);
    let old_url = parsed(reader, OLD_URL, vars.old_url.as_deref(), parse_base);
    let base = either(reader, (URL, url), (OLD_URL, old_url));
    let token = parsed(reader, TOKEN, vars.token.as_deref(), parse_token);
    let old_token = parsed(reader, OLD_TOKEN, vars.old_token.as_deref(), parse_token);
    let authorization = either(reader, (TOKEN, token), (OLD_TOKEN, old_token));
    let name = parsed(reader, NAME, vars.name.as_deref(), parse_name);

    let bot = Bot::try_new(base?, authorization?, name, shared.mentions.clone());
    match bot {
        Ok(bot) => Some(Arc::new(bot)),
        Err(fault) => {
            reader.fault(URL, fault);
            None
        }
    }
}

fn parsed<T>(
    reader: &mut Reader<'_>,
    name: &str,
    value: Option<&str>,
    parse: fn(&str) -> Result<T, String>,
) -> Option<T> {
    reader.value(name, value, None, |text| parse(text).map(Some))
}

/// The value of a variable or of its older name; both only if they agree.
fn either<T: PartialEq>(
    reader: &mut Reader<'_>,
    (name, new): (&str, Option<T>),
    (old_name, old): (&str, Option<T>),
) -> Option<T> {
    let disagree = matches!((&new, &old), (Some(new), Some(old)) if new != old);
    if disagree {
        reader.fault(
            name,
            format_args!("{old_name}, its older name, is set to something else; keep one"),
        );
    }
    new.or(old)
}

/// A site's address, also from the full address of its posts; without slashes at its end.
fn parse_base(text: &str) -> Result<WebUrl, String> {
    WebUrl::parse(text).map_err(|e| e.to_string())?;
    if text.contains(['?', '#']) {
        return Err("expected the site's address without ? and #".to_owned());
    }
    if text.contains("/hooks/") {
        return Err(
            "this is an incoming webhook: put it into CHANNELS as alias=mattermost+https://…"
                .to_owned(),
        );
    }
    let site = text.trim_end_matches('/');
    let site = ["/api/v4/posts", "/api/v4"]
        .iter()
        .find_map(|api| site.strip_suffix(api))
        .unwrap_or(site);
    WebUrl::parse(site.trim_end_matches('/')).map_err(|e| e.to_string())
}

/// The value of `Authorization`. Exactly one space before the token (reference 2).
fn parse_token(text: &str) -> Result<HeaderValue, String> {
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "expected the token alone (usually 26 letters and digits), without 'Bearer', spaces or other characters"
                .to_owned(),
        );
    }
    let mut value = HeaderValue::try_from(format!("Bearer {text}"))
        .map_err(|_| "cannot be sent as a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn parse_name(text: &str) -> Result<String, String> {
    clean_line(text)
        .filter(|name| name.chars().count() <= MAX_NAME_CHARS)
        .ok_or_else(|| format!("expected 1 to {MAX_NAME_CHARS} visible characters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Env, Faults};

    const SITE: &str = "https://chat.example.com";
    const SECRET: &str = "4yoxbndrfg8ejkmcpqxot1uwis";

    fn configured(pairs: &[(&str, &str)]) -> (bool, Vec<String>) {
        let env = Env::of(pairs);
        let mut reader = Reader::new(&env, Faults::default());
        let on = configure(&mut reader, &Shared::default()).is_some();
        (on, reader.finish().lines().to_vec())
    }

    #[test]
    fn old_and_new_names_and_every_form_of_the_url() {
        for url in [
            SITE,
            "https://chat.example.com/",
            "https://chat.example.com/api/v4/posts",
            "https://chat.example.com/api/v4/posts//",
            "https://chat.example.com/api/v4/",
        ] {
            assert_eq!(parse_base(url).unwrap().as_str(), SITE, "{url}");
            assert_eq!(configured(&[(URL, url), (TOKEN, SECRET)]), (true, vec![]));
            assert_eq!(
                configured(&[(OLD_URL, url), (OLD_TOKEN, SECRET)]),
                (true, vec![])
            );
            assert_eq!(
                configured(&[
                    (URL, SITE),
                    (OLD_URL, url),
                    (TOKEN, SECRET),
                    (OLD_TOKEN, SECRET)
                ]),
                (true, vec![])
            );
        }
        let subpath = parse_base("http://10.0.0.5:8065/chat/api/v4/posts").unwrap();
        assert_eq!(subpath.as_str(), "http://10.0.0.5:8065/chat");
    }

    #[test]
    fn nothing_set_is_no_backend_and_no_fault() {
        assert_eq!(configured(&[]), (false, vec![]));
        assert_eq!(configured(&[(NAME, "ci")]), (false, vec![]));
    }

    /// G1: no fault shows a credential.
    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        let hook = "https://chat.example.com/hooks/4yoxbndrfg8ejkmcpqxot1uwis";
        for (pairs, variable) in [
            (&[(URL, SITE)][..], TOKEN),
            (&[(OLD_URL, SITE)], TOKEN),
            (&[(TOKEN, SECRET)], URL),
            (&[(OLD_TOKEN, SECRET)], URL),
            (
                &[(URL, SITE), (TOKEN, "Bearer 4yoxbndrfg8ejkmcpqxot1uwis")],
                TOKEN,
            ),
            (
                &[(URL, SITE), (TOKEN, "4yox\u{7}bndrfg8ejkmcpqxot1uwis")],
                TOKEN,
            ),
            (&[(URL, "chat.example.com"), (TOKEN, SECRET)], URL),
            (
                &[(URL, "https://chat.example.com/?a=b"), (TOKEN, SECRET)],
                URL,
            ),
            (
                &[
                    (URL, "https://bot:4yoxbndrfg8ejkmcpqxot1uwis@h/"),
                    (TOKEN, SECRET),
                ],
                URL,
            ),
            (&[(URL, hook), (TOKEN, SECRET)], URL),
            (&[(OLD_URL, "ftp://h"), (TOKEN, SECRET)], OLD_URL),
            (
                &[(URL, SITE), (OLD_URL, "https://other"), (TOKEN, SECRET)],
                URL,
            ),
            (
                &[(URL, SITE), (TOKEN, SECRET), (OLD_TOKEN, "another")],
                TOKEN,
            ),
            (&[(URL, SITE), (TOKEN, SECRET), (NAME, "\u{1b}[0m")], NAME),
        ] {
            let (_, faults) = configured(pairs);
            assert_eq!(faults.len(), 1, "{pairs:?} {faults:?}");
            assert!(
                faults[0].starts_with(&format!("{variable}: ")),
                "{faults:?}"
            );
            assert!(
                !faults[0].contains(SECRET) && !faults[0].contains("another"),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn the_token_is_a_header_that_is_not_shown() {
        let value = parse_token(SECRET).unwrap();
        assert_eq!(value.as_bytes(), format!("Bearer {SECRET}").as_bytes());
        assert_eq!(format!("{value:?}"), "Sensitive");
    }
}
