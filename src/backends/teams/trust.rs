//! Which hosts may receive the bot's token. PURE: a table and a comparison; it resolves and connects to
//! nothing. Meant for `TEAMS_SERVICE_URL` and for the `serviceUrl` of received activities alike.

use crate::domain::web_url::WebUrl;

/// The connector's hosts: reference/teams.md 2.1, checked 2026-11-21.
pub const BUILT_IN: &[&str] = &[
    "smba.trafficmanager.net",
    "smba.infra.gcc.teams.microsoft.com",
    "smba.infra.gov.teams.microsoft.us",
    "smba.infra.dod.teams.microsoft.us",
];

const HTTPS_PORT: u16 = 443;

/// `TEAMS_TRUSTED_SERVICE_HOSTS`: hosts beyond the built-in ones, each with or without a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedHosts(Vec<(String, Option<u16>)>);

impl TrustedHosts {
    /// Parses hosts separated by white space or commas, each `host` or `host:port`.
    ///
    /// # Errors
    /// A sentence that shows the form.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text.split(|c: char| c.is_whitespace() || c == ',')
            .filter(|entry| !entry.is_empty())
            .map(|entry| host_and_port(entry).ok_or(
                "expected host names (or host:port) separated by spaces or commas, without https:// and without wildcards",
            ))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// These, and the service that the operator has configured: an activity may name it as well.
    #[must_use]
    pub fn with(mut self, service: &WebUrl) -> Self {
        self.0.push((service.host().to_owned(), port_of(service)));
        self
    }

    /// An entry without a port means the default one; on this machine it means any, because development
    /// servers choose theirs.
    fn holds(&self, url: &WebUrl, port: u16) -> bool {
        self.0
            .iter()
            .filter(|(host, _)| host == url.host())
            .any(|(_, wanted)| match wanted {
                Some(wanted) => *wanted == port,
                None => port == HTTPS_PORT || url.is_loopback(),
            })
    }
}

/// Whether the bot's token may go to this URL: https (plain http on this machine only), and a host that is
/// exactly a known one, on its default port. A loopback host is trusted only if it is listed; whether the
/// operator's own setting may name one is for the caller to say.
#[must_use]
pub fn trusted_host(url: &WebUrl, extra: &TrustedHosts) -> bool {
    let Some(port) = port_of(url) else {
        return false;
    };
    if !url.is_https() {
        return url.is_loopback() && extra.holds(url, port);
    }
    (port == HTTPS_PORT && BUILT_IN.contains(&url.host())) || extra.holds(url, port)
}

/// The service URL of an activity or a reference, if the bot's token may go there.
#[must_use]
pub fn service_of(text: &str, extra: &TrustedHosts) -> Option<WebUrl> {
    // Paths are appended to it, so nothing may follow its own.
    let url = WebUrl::parse(text)
        .ok()
        .filter(|_| !text.contains(['?', '#']))?;
    trusted_host(&url, extra).then_some(url)
}

fn port_of(url: &WebUrl) -> Option<u16> {
    let uri = url.to_uri().ok()?;
    let authority = uri.authority()?;
    match authority.port_u16() {
        Some(port) => Some(port),
        // "host:" and "host:99999": no port that we understand.
        None if authority.as_str().len() != authority.host().len() => None,
        None => Some(if url.is_https() { HTTPS_PORT } else { 80 }),
    }
}

fn host_and_port(entry: &str) -> Option<(String, Option<u16>)> {
    let authority: http::uri::Authority = entry.parse().ok()?;
    let host = authority.host();
    let port = authority.port_u16();
    let rest = entry.get(host.len()..)?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':');
    let whole = rest.is_empty() || port.is_some();
    let valid = whole && !entry.contains('@') && !host.is_empty() && host.chars().all(is_host);
    let name = host.trim_start_matches('[').trim_end_matches(']');
    valid.then(|| (name.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(url: &str, extra: &str) -> bool {
        WebUrl::parse(url).is_ok_and(|url| trusted_host(&url, &TrustedHosts::parse(extra).unwrap()))
    }

    #[test]
    fn the_connectors_hosts_are_trusted() {
        for url in [
            "https://smba.trafficmanager.net/teams/",
            "https://smba.trafficmanager.net/emea",
            "https://SMBA.TrafficManager.net/amer/",
            "https://smba.trafficmanager.net:443/teams",
            "https://smba.infra.gcc.teams.microsoft.com/teams",
            "https://smba.infra.gov.teams.microsoft.us/teams",
            "https://smba.infra.dod.teams.microsoft.us/teams",
        ] {
            assert!(trusted(url, ""), "{url}");
        }
    }

    /// E1, E2: look-alikes of a trusted host.
    #[test]
    fn nothing_else_is() {
        for url in [
            "https://smba.trafficmanager.net.evil.test/teams",
            "https://evil.smba.trafficmanager.net/teams",
            "https://evilsmba.trafficmanager.net/",
            "https://trafficmanager.net/",
            "https://smba.trafficmanager.net./teams",
            "https://smba.trafficmanager.net@evil.test/",
            "https://smba.trafficmanager.net:x@evil.test/",
            "https://evil.test/@smba.trafficmanager.net",
            "https://evil.test/smba.trafficmanager.net",
            "https://evil.test?smba.trafficmanager.net",
            "https://evil.test#smba.trafficmanager.net",
            "https://evil.test\\.smba.trafficmanager.net/",
            "https://smba.trafficmanager.net\\@evil.test/",
            "https://smba.trafficmanager.net:8443/",
            "https://smba.trafficmanager.net:80/",
            "https://smba.trafficmanager.net:/",
            "https://smba.trafficmanager.net:99999/",
            "https://smba.trafficmanager.net:443x/",
            "http://smba.trafficmanager.net/teams",
            "http://smba.trafficmanager.net:443/teams",
            "https://smba。trafficmanager。net/",
            "https://smba．trafficmanager．net/",
            "https://ѕmba.trafficmanager.net/",
            "https://smba%2Etrafficmanager.net/",
            "https://smba.trafficmanager.net%00.evil.test/",
            "https://52.113.194.132/teams",
            "https://169.254.169.254/",
            "https://[::ffff:169.254.169.254]/",
            "https://0x7f000001/",
            "https://127.0.0.1/",
            "http://127.0.0.1:4000/",
            "http://localhost:4000/",
            "ftp://smba.trafficmanager.net/",
            "//smba.trafficmanager.net/",
            "smba.trafficmanager.net",
            "",
        ] {
            assert!(!trusted(url, ""), "{url}");
        }
    }

    #[test]
    fn more_hosts_can_be_listed() {
        let extra = "canary.botapi.skype.com, gate.example.com:8443\n127.0.0.1 [::1]:9";
        for (url, want) in [
            ("https://canary.botapi.skype.com/teams", true),
            ("https://Canary.botapi.skype.com:443/", true),
            ("https://canary.botapi.skype.com:444/", false),
            ("http://canary.botapi.skype.com/", false),
            ("https://gate.example.com:8443/", true),
            ("https://gate.example.com/", false),
            ("https://x.gate.example.com:8443/", false),
            ("http://127.0.0.1:4000/", true),
            ("http://127.0.0.2:4000/", false),
            ("http://[::1]:9/", true),
            ("http://[::1]:10/", false),
        ] {
            assert_eq!(trusted(url, extra), want, "{url}");
        }
    }

    #[test]
    fn the_configured_service_is_trusted_on_its_port_alone() {
        let service = WebUrl::parse("http://127.0.0.1:4000/teams").unwrap();
        let hosts = TrustedHosts::default().with(&service);

        for (url, want) in [
            ("http://127.0.0.1:4000/emea/", true),
            ("http://127.0.0.1:4001/emea/", false),
            ("http://127.0.0.2:4000/emea/", false),
        ] {
            let url = WebUrl::parse(url).unwrap();
            assert_eq!(trusted_host(&url, &hosts), want, "{url:?}");
        }
    }

    #[test]
    fn entries_are_hosts_alone() {
        for bad in [
            "https://a.test",
            "a.test/x",
            "*.a.test",
            "u@a.test",
            "a.test:x",
            "a.test:",
            ":80",
            "ä.test",
        ] {
            assert!(TrustedHosts::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(TrustedHosts::parse(" , "), Ok(TrustedHosts::default()));
    }
}
