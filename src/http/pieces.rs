//! A body that is written a piece at a time.
//!
//! actix copies what a body yields into the connection's buffer, and asks for more only once little of that is left: a
//! slow reader of a body in one piece would hold a copy of all of it (I6), this one holds the buffer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

/// Beside actix' buffer of 32 KiB it is little, and most answers are smaller.
const PIECE: usize = 8 * 1024;

/// The bytes that are still to be written.
pub(super) struct Pieces(pub(super) Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = &mut self.get_mut().0;
        let piece = rest.split_to(rest.len().min(PIECE));
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        if self.0.len() <= PIECE {
            Ok(self.0)
        } else {
            Err(self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn the_pieces_are_the_whole() {
        for length in [0, 1, PIECE, PIECE + 1, 5 * PIECE - 1] {
            let whole: Bytes = (0u8..=255).cycle().take(length).collect();
            let mut body = Pieces(whole.clone());
            assert_eq!(body.size(), BodySize::Sized(length as u64));

            let mut read = Vec::new();
            while let Some(piece) = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
                let piece = piece.unwrap_or_else(|never| match never {});
                assert!((1..=PIECE).contains(&piece.len()));
                read.extend_from_slice(&piece);
            }

            assert_eq!(read, whole);
            assert_eq!(Pieces(whole).try_into_bytes().is_ok(), length <= PIECE);
        }
    }
}
