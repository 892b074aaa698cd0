//! What the files for a platform are made of: where it reaches the proxy, and what the app is called. Pure, and
//! strict, because a platform says no later and less clearly.

use clap::{Arg, ArgMatches};

/// The proxy as a platform reaches it: `proxy.example.org`, with a port if it is not 443.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    name: String,
    port: Option<u16>,
}

/// It does not show what was typed: before an `@` that may be a password.
const FORM: &str = "--host: expected the public host name of the proxy, such as proxy.example.org or \
                    proxy.example.org:8443, without scheme, path, user or spaces (a name, no IP address; beyond ASCII \
                    as punycode, xn--…)";

/// RFC 1035 2.3.4.
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;
const HTTPS_PORT: u16 = 443;

const DEFAULT_NAME: &str = "Message Proxy";

/// `--host HOST`
pub(super) fn host_arg() -> Arg {
    Arg::new("host")
        .long("host")
        .value_name("HOST")
        .required(true)
        .help("The public host name of the proxy, such as proxy.example.org")
}

/// `--name NAME`
pub(super) fn name_arg() -> Arg {
    Arg::new("name")
        .long("name")
        .value_name("NAME")
        .default_value(DEFAULT_NAME)
        .help("What the app is called on the platform")
}

/// The value of [`host_arg`].
pub(super) fn host(arguments: &ArgMatches) -> Result<Host, &'static str> {
    let text = arguments.get_one::<String>("host");
    Host::parse(text.map_or("", String::as_str)).ok_or(FORM)
}

/// The value of [`name_arg`], at most so many characters.
pub(super) fn name(arguments: &ArgMatches, max_chars: usize) -> Result<&str, String> {
    let text = arguments.get_one::<String>("name");
    let name = text.map_or(DEFAULT_NAME, |text| text.trim());
    let fits = (1..=max_chars).contains(&name.chars().count());
    if !fits || name.chars().any(char::is_control) {
        return Err(format!(
            "--name: expected 1 to {max_chars} characters in one line, the most the platform takes"
        ));
    }
    Ok(name)
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(parse_port(port)?)),
            None => (text, None),
        };
        let top = name.rsplit('.').next()?;
        let is_name = name.len() <= MAX_NAME_BYTES
            && name.split('.').all(is_label)
            // Also not an address: `10.0.0.1`, `0x7f.1`.
            && top.starts_with(|c: char| c.is_ascii_alphabetic());
        is_name.then(|| Self {
            name: name.to_ascii_lowercase(),
            port: port.filter(|port| *port != HTTPS_PORT),
        })
    }

    /// Lower case, without the port.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The `https` URL of a path there.
    pub(super) fn url(&self, path: &str) -> String {
        match self.port {
            Some(port) => format!("https://{}:{port}{path}", self.name),
            None => format!("https://{}{path}", self.name),
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label
            .bytes()
            .all(|b| b == b'-' || b.is_ascii_alphanumeric())
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn parse_port(text: &str) -> Option<u16> {
    // `parse` alone would take a sign.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits)?;
    (port != 0).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_with_or_without_a_port() {
        for (text, url) in [
            ("proxy.example.org", "https://proxy.example.org/x"),
            ("Proxy.Example.ORG:8443", "https://proxy.example.org:8443/x"),
            ("proxy.example.org:443", "https://proxy.example.org/x"),
            ("xn--bcher-kva.example", "https://xn--bcher-kva.example/x"),
            ("localhost:1", "https://localhost:1/x"),
        ] {
            assert_eq!(Host::parse(text).unwrap().url("/x"), url);
        }
    }

    #[test]
    fn everything_else_is_no_host() {
        let long = format!("{}.example", ["a"; 130].join("."));
        let label = format!("{}.example", "a".repeat(64));
        for text in [
            "",
            " ",
            ".",
            "a..b",
            "a.b.",
            "-a.b",
            "a-.b",
            "a_b.c",
            "https://a.b",
            "a.b/c",
            "a.b?c",
            "a.b#c",
            "a b.c",
            " a.b",
            "a.b\n",
            "u@a.b",
            "u:p@a.b",
            "bücher.example",
            "10.0.0.1",
            "0x7f.0x1",
            "[::1]",
            "::1",
            "a.b:",
            "a.b:0",
            "a.b:+1",
            "a.b:65536",
            "a.b:1:2",
            "a.b\\c",
            "*.a.b",
            "a.b\",\"x\":\"",
            &long,
            &label,
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }
}
