//! HTTP/1.1 as bytes, shared by the client and the fake servers. Strict: what is not well-formed is an error.

use std::io::{self, BufRead, Error, ErrorKind, Read};

/// Header fields in order of arrival, with names as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first field of that name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).into_iter().next()
    }

    /// Every field of that name, in order.
    pub fn get_all(&self, name: &str) -> Vec<&str> {
        let same = |(field, _): &&(String, String)| field.eq_ignore_ascii_case(name);
        self.0
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// A start line and the fields below it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub line: String,
    pub headers: Headers,
}

fn malformed(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, what.into())
}

/// One line without its CRLF; `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    // 1 MiB: longer than any head a test sends, short enough to notice a runaway peer.
    reader.by_ref().take(1 << 20).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Err(malformed(format!(
            "line does not end in CRLF: {}",
            String::from_utf8_lossy(&line)
        )));
    };
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

/// Reads a head; `None` if the peer closed before its first byte.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(line) = read_line(reader)? else {
        return Ok(None);
    };
    let mut headers = Headers::default();
    loop {
        let field = read_line(reader)?.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        if field.is_empty() {
            return Ok(Some(Head { line, headers }));
        }
        let (name, value) = field
            .split_once(':')
            .ok_or_else(|| malformed(format!("no colon in field: {field}")))?;
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            return Err(malformed(format!("bad field name: {name:?}")));
        }
        headers
            .0
            .push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
}

/// Reads the body that `headers` announce; without an announcement it ends with the stream if `until_close`.
pub fn read_body(
    reader: &mut impl BufRead,
    headers: &Headers,
    until_close: bool,
) -> io::Result<Vec<u8>> {
    let lengths = headers.get_all("content-length");
    let codings = headers.get_all("transfer-encoding");
    let mut body = Vec::new();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) if until_close => {
            reader.read_to_end(&mut body)?;
        }
        ([], []) => {}
        ([length], []) => {
            let length = length
                .parse()
                .map_err(|_| malformed(format!("bad Content-Length: {length}")))?;
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => read_chunks(reader, &mut body)?,
        _ => {
            return Err(malformed(format!(
                "ambiguous framing: {lengths:?} {codings:?}"
            )));
        }
    }
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    let line =
        |reader: &mut _| read_line(reader)?.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof));
    loop {
        let size = line(reader)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16)
            .map_err(|_| malformed(format!("bad chunk size: {size}")))?;
        if length == 0 {
            // Trailers, if any, end at an empty line.
            while !line(reader)?.is_empty() {}
            return Ok(());
        }
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..])?;
        if !line(reader)?.is_empty() {
            return Err(malformed("chunk is longer than it says"));
        }
    }
}
