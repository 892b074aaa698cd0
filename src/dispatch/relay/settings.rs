//! Where verified requests go.

use envconfig::Envconfig;

use crate::domain::web_url::WebUrl;
use crate::env::{Reader, Var};

/// The internal API.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// `RELAY_URL`: scheme, host, port, and a path in front of every other if it has one.
    pub base: WebUrl,
}

/// The variables of the relay.
pub const VARS: &[Var] = &[Var {
    name: "RELAY_URL",
    default: "",
    secret: false,
    doc: "the internal API: requests that Slack or Microsoft has signed go there with the same path, query, method and body; not set: they are answered 200 and only the proxy's own commands act",
}];

#[derive(Envconfig, Default)]
struct Vars {
    #[envconfig(from = "RELAY_URL")]
    url: Option<String>,
}

/// Reads the variable; `None` if it is not set or wrong, which is then noted.
pub fn read(reader: &mut Reader<'_>) -> Option<RelaySettings> {
    let vars: Vars = reader.vars();
    let base = reader.value("RELAY_URL", vars.url.as_deref(), None, |text| {
        parse(text).map(Some)
    })?;
    Some(RelaySettings { base })
}

fn parse(text: &str) -> Result<WebUrl, String> {
    let url = WebUrl::parse(text).map_err(|fault| fault.to_string())?;
    if text.contains(['?', '#']) || url.to_uri().is_err() {
        return Err(
            "expected the address of the internal API such as http://api.internal:8080, without '?' or '#'"
                .to_owned(),
        );
    }
    Ok(url)
}
