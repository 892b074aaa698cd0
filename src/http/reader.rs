//! Who reads: a holder of a proxy token, or anybody where posting is open. It must not let a signed URL read anything:
//! that opens one post and nothing else.

use actix_web::http::header::HeaderMap;

use crate::domain::token::Token;
use crate::outbox::Row;

use super::Context;
use super::caller::{Caller, limit_unit, secret_of};
use super::limit::Refused;
use super::problem::{Code, Problem};

impl Context<'_> {
    /// Notes a request without good credentials, `tried` if it sent bad ones.
    ///
    /// # Errors
    /// [`Refused`] once its address has tried too many.
    pub(super) fn denied(&self, tried: bool) -> Result<(), Refused> {
        let limits = &self.state.limits;
        self.state.metrics.unauthorized();
        let key = limits.key(limit_unit(self.address));
        let taken = if tried {
            limits.bad_credentials(key)
        } else {
            limits.spent_credentials(key)
        };
        taken.inspect_err(|refused| self.state.metrics.limited(refused.policy.name()))
    }
}

/// What somebody is told who has tried too many bad credentials.
pub(super) fn too_many(refused: &Refused) -> Problem {
    let detail = "too many requests with bad credentials came from this address; good credentials are still accepted";
    Problem::new(Code::RateLimited, detail).retry_after_s(refused.retry_after_s())
}

/// Somebody who may read.
pub(super) struct Reader<'a> {
    token: Option<&'a Token>,
}

impl<'a> Reader<'a> {
    /// Finds out who asks.
    ///
    /// # Errors
    /// A [`Problem`] for whoever has no good token and needs one.
    pub(super) fn of(context: &Context<'a>) -> Result<Self, Problem> {
        let Context { state, .. } = context;
        if state.callers.is_open() {
            return Ok(Self { token: None });
        }
        let headers: &HeaderMap = context.request.headers();
        let sent = secret_of(headers).ok().flatten();
        let token = sent
            .as_ref()
            .and_then(|secret| state.callers.tokens.find(secret));
        if token.is_some() {
            return Ok(Self { token });
        }
        context
            .denied(sent.is_some())
            .map_err(|refused| too_many(&refused))?;
        let detail = "this is for holders of a proxy token; send 'Authorization: Bearer <secret>' with a secret of PROXY_TOKENS";
        Err(Problem::new(Code::Unauthorized, detail))
    }

    /// The same as a caller, who may also post.
    pub(super) fn caller(&self) -> Caller<'a> {
        self.token.map_or(Caller::Anonymous, Caller::Token)
    }

    /// The name in logs and limits.
    pub(super) fn name(&self) -> &'a str {
        self.token.map_or("anonymous", Token::name)
    }

    /// The token, unless posting is open.
    pub(super) fn token(&self) -> Option<&'a Token> {
        self.token
    }

    /// Takes one from its quota: for what asks a platform.
    ///
    /// # Errors
    /// A [`Problem`] with the time to wait.
    pub(super) fn take_quota(&self, context: &Context<'_>) -> Result<(), Problem> {
        let limits = &context.state.limits;
        let taken = match self.token {
            Some(token) => limits.named(token.name()),
            None => limits.caller(limits.key(limit_unit(context.address))),
        };
        let Err(refused) = taken else { return Ok(()) };
        let detail = "the limit 'caller' (RATE_LIMIT_CALLER) is used up";
        Err(Problem::new(Code::RateLimited, detail).retry_after_s(refused.retry_after_s()))
    }

    /// The only name whose receipts it may see; `None` sees everybody's.
    pub(super) fn own(&self) -> Option<&'a str> {
        let token = self.token?;
        token.scope().map(|_| token.name())
    }

    /// Whether it may see the receipt of these rows.
    pub(super) fn sees(&self, rows: &[Row]) -> bool {
        rows.first()
            .is_some_and(|row| self.own().is_none_or(|own| row.caller == own))
    }
}
