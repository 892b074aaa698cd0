//! The head that goes downstream where the original would be misread there.
//!
//! Pure, and lossless for the application: an added escape decodes to the byte it stands for.
//! It must not touch a head that needs nothing: the common case is passed on without a copy.

use super::fields::{self, Field, Fields};
use super::head::{Class, RequestLine, TARGET};

/// The replacement for the head that ends at `fields.end`, or `None` if the original will do.
pub(super) fn rewrite(input: &[u8], line: &RequestLine, fields: &Fields) -> Option<Vec<u8>> {
    // actix answers an HTTP/1.0 POST without a length with an empty 400; without a length there is no body.
    let add_length =
        line.minor == 0 && fields.length.is_none() && &input[..line.method_end] == b"POST";
    if !line.absolute && line.escapes == 0 && !fields.upgrade && !add_length {
        return None;
    }
    let mut head = Vec::with_capacity(fields.end + 2 * line.escapes + 24);
    head.extend_from_slice(&input[..=line.method_end]);
    if line.absolute && input[line.target.start] != b'/' {
        head.push(b'/');
    }
    push_target(&mut head, &input[line.target.clone()]);
    head.extend_from_slice(&input[line.target.end..line.end]);
    push_fields(&mut head, &input[line.end..fields.end]);
    if add_length {
        head.extend_from_slice(b"content-length: 0\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Some(head)
}

fn push_target(head: &mut Vec<u8>, target: &[u8]) {
    let mut query = false;
    for &byte in target {
        let class = TARGET[usize::from(byte)];
        query |= class == Class::Question;
        if class.is_escaped(query) {
            head.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
        } else {
            head.push(byte);
        }
    }
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'A' + nibble - 10
    }
}

fn push_fields(head: &mut Vec<u8>, mut section: &[u8]) {
    // The section has been read once; what cannot be read is its final empty line.
    while let Ok(Field { name, value, len }) = fields::field(section) {
        if name.eq_ignore_ascii_case(b"connection") {
            push_connection(head, value);
        } else if !name.eq_ignore_ascii_case(b"upgrade") {
            head.extend_from_slice(&section[..len]);
        }
        section = &section[len..];
    }
}

/// `Connection` without `upgrade`: actix would repeat that word in its answer.
fn push_connection(head: &mut Vec<u8>, value: &[u8]) {
    for option in fields::options(value).filter(|option| !fields::is_upgrade(option)) {
        head.extend_from_slice(b"connection: ");
        head.extend_from_slice(option);
        head.extend_from_slice(b"\r\n");
    }
}
