//! A post, from its URL to its receipt.

use std::borrow::Cow;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::web;

use crate::dispatch::PRODUCT;
use crate::domain::channel::{Channel, Destination, ResolveError};
use crate::domain::delivery::DeliveryId;
use crate::domain::options::{PostOptions, parse_key, parse_wait};
use crate::domain::signing::Signed;

use super::Context;
use super::body::{self, Rules};
use super::caller::{Caller, Denied, limit_unit};
use super::extract::Decoded;
use super::limit::{Policy, Refused, Standing};
use super::preview::is_preview;
use super::problem::{Code, Problem};
use super::reader::too_many;
use super::receipt::Receipt;
use super::route::{Form, Route};
use super::span::Facts;
use super::submit::{Patience, Submission, not_stored};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// How long a caller waits unless it says otherwise.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// What the limits said of this post, for the headers.
#[derive(Default)]
pub(super) struct Standings {
    /// Caller, channel, global.
    pub known: [Option<Standing>; 3],
    /// The one that refused.
    pub refused: Option<Refused>,
}

/// A post on its way through this module.
pub(super) struct Request<'a> {
    pub context: &'a Context<'a>,
    pub route: Route<'a>,
    pub standings: Standings,
    pub facts: Facts,
    /// The destinations given by name, by their place among all, and what each was counted for.
    pub names: Vec<(usize, u64)>,
}

impl<'a> Request<'a> {
    /// Answers a post.
    pub(super) async fn answer(
        &mut self,
        channel: &[u8],
        form: Form<'_>,
        payload: web::Payload,
    ) -> Result<Receipt, Problem> {
        self.check_method()?;
        let decoded = Decoded::read(channel, form, self.context.query());
        let caller = self.authorise(&decoded)?;
        self.facts.caller = Some(caller.name().to_owned());
        self.limit_caller(caller)?;
        refuse_loop(self.context.request.headers())?;
        let (channel, message, options) =
            decoded.check(self.context.state.settings.own_url.as_ref())?;
        let options = self.with_key(options)?;
        let patience = self.patience(&options)?;
        let destinations = self.resolve(&channel)?;
        // Before the limits: who may not post there must not use them up.
        self.context
            .check_scope(caller, &destinations, patience.deadline)
            .await?;
        self.limit_post(&destinations)?;
        let rules = Rules {
            max: self.context.state.settings.max_body_bytes,
            keep: false,
            too_large: |max| {
                format!("the body is larger than {max} bytes (MAX_BODY); a post needs none")
            },
        };
        body::read(self.context.request.headers(), payload, rules).await?;
        // Boxed: it is handed on several times.
        let submission = Box::new(Submission {
            id: DeliveryId::generate(),
            caller,
            channel: channel.as_str(),
            message,
            options,
            destinations: &destinations,
            patience,
        });
        self.submit(submission).await
    }

    fn check_method(&self) -> Result<(), Problem> {
        let Context { state, request, .. } = self.context;
        let get_posts = state.settings.get_posts;
        let method = request.method();
        if method == Method::POST || method == Method::PUT {
            return Ok(());
        }
        if method != Method::GET || !get_posts {
            let detail = if method == Method::GET {
                "a GET posts only where ALLOW_GET=true is set; send a POST (curl -X POST …)"
                    .to_owned()
            } else {
                format!(
                    "this method posts nothing; send one of {}",
                    self.route.allow(get_posts)
                )
            };
            return Err(Problem {
                allow: Some(self.route.allow(get_posts)),
                ..Problem::new(Code::MethodNotAllowed, detail)
            });
        }
        if is_preview(request.headers()) {
            let detail = "this looks like a link preview or a prefetch, which posts nothing; send the request yourself, with POST";
            return Err(Problem::new(Code::PreviewRefused, detail));
        }
        Ok(())
    }

    fn authorise(&mut self, decoded: &Decoded) -> Result<Caller<'a>, Problem> {
        let context: &'a Context<'a> = self.context;
        let Context { state, request, .. } = context;
        let signed = Signed {
            channel: decoded.channel.as_deref().unwrap_or_default(),
            message: decoded.message.as_deref().unwrap_or_default(),
            options: &decoded.options.given,
        };
        let now = || state.clock.unix().as_secs();
        let denied = match state
            .callers
            .identify(request.headers(), &decoded.options, signed, now)
        {
            Ok(caller) => return Ok(caller),
            Err(denied) => denied,
        };
        let tried = match denied {
            Denied::Bad => context.denied(true),
            Denied::Missing => context.denied(false),
            Denied::Expired => {
                state.metrics.unauthorized();
                Ok(())
            }
        };
        if let Err(refused) = tried {
            // To those outside it is a limit of the caller: its address has none left.
            self.standings.refused = Some(Refused {
                policy: Policy::Caller,
                ..refused
            });
            return Err(too_many(&refused));
        }
        Err(denied_problem(denied))
    }

    fn limit_caller(&mut self, caller: Caller<'_>) -> Result<(), Problem> {
        let Context { state, address, .. } = self.context;
        let limits = &state.limits;
        let standing = match caller {
            Caller::Token(token) => limits.named(token.name()),
            Caller::Signed | Caller::Anonymous => limits.caller(limits.key(limit_unit(*address))),
        };
        self.note_limit(0, standing)?;
        state.metrics.post(caller.name());
        Ok(())
    }

    fn limit_post(&mut self, destinations: &[Destination]) -> Result<(), Problem> {
        let Context {
            state, dispatcher, ..
        } = self.context;
        let limits = &state.limits;
        for (index, destination) in destinations.iter().enumerate() {
            // By its place: another spelling has no budget of its own.
            let place = dispatcher.place(destination);
            let key = limits.key(&*place);
            if matches!(place, Cow::Owned(_)) {
                self.names.push((index, key));
            }
            self.note_limit(1, limits.channel(key))?;
        }
        self.note_limit(2, limits.global())
    }

    /// What was counted for a name, because nobody knew whose it is, is counted for the id that it turned out to have:
    /// else every new spelling of a channel would let in posts beyond its limit.
    pub(super) fn limit_looked_up(&mut self, destinations: &[Destination]) -> Result<(), Problem> {
        let Context {
            state, dispatcher, ..
        } = self.context;
        let limits = &state.limits;
        for (index, counted) in mem::take(&mut self.names) {
            let place = destinations.get(index).map(|to| dispatcher.place(to));
            let key = place.map(|place| limits.key(&*place));
            if let Some(key) = key.filter(|key| *key != counted) {
                self.note_limit(1, limits.channel(key))?;
            }
        }
        Ok(())
    }

    fn note_limit(
        &mut self,
        place: usize,
        standing: Result<Option<Standing>, Refused>,
    ) -> Result<(), Problem> {
        match standing {
            Ok(standing) => {
                if let Some(known) = self.standings.known.get_mut(place) {
                    *known = standing;
                }
                Ok(())
            }
            Err(refused) => {
                if let Some(known) = self.standings.known.get_mut(place) {
                    // That of another destination; a policy is listed once.
                    *known = None;
                }
                self.standings.refused = Some(refused);
                self.context.state.metrics.limited(refused.policy.name());
                let seconds = refused.retry_after_s();
                let detail = format!(
                    "the limit '{}' (RATE_LIMIT_{}) is used up; try again in {seconds} s",
                    refused.policy.name(),
                    refused.policy.name().to_uppercase()
                );
                Err(Problem::new(Code::RateLimited, detail).retry_after_s(seconds))
            }
        }
    }

    /// The caller's patience: the option, else `Prefer`, else ten seconds. Without an outbox nothing can be stored, so
    /// answering before the platform has is not on offer.
    fn patience(&self, options: &PostOptions) -> Result<Patience, Problem> {
        let stores = self.context.dispatcher.desk().is_some();
        let preferred = || preferred_wait(self.context.request.headers());
        let wait = match options.wait {
            Some(Duration::ZERO) if !stores => {
                return Err(Problem::new(
                    Code::BadOption,
                    "wait=0 asks for an answer as soon as the message is stored, and this proxy has no outbox to store it in; leave it out or write wait=1 to wait=60",
                ));
            }
            Some(wait) => wait,
            None => preferred()
                .filter(|wait| stores || !wait.is_zero())
                .unwrap_or(DEFAULT_WAIT),
        };
        Ok(Patience {
            deadline: self.context.begun + wait,
            is_async: wait.is_zero(),
        })
    }

    /// The idempotency key may also stand in a header.
    fn with_key(&self, options: PostOptions) -> Result<PostOptions, Problem> {
        let mut given = self.context.request.headers().get_all(IDEMPOTENCY_KEY);
        let Some(header) = given.next() else {
            return Ok(options);
        };
        let bad = |detail| Problem::new(Code::BadOption, detail);
        if given.any(|other| other != header) {
            return Err(bad(
                "the header Idempotency-Key is there twice, with different keys; send one",
            ));
        }
        let key = header.to_str().ok().and_then(parse_key).ok_or_else(|| {
            bad("the header Idempotency-Key takes 1 to 255 visible ASCII characters")
        })?;
        if options.once.as_ref().is_some_and(|once| *once != key) {
            return Err(bad(
                "the header Idempotency-Key and the option 'once' differ; give one of them",
            ));
        }
        Ok(PostOptions {
            once: Some(key),
            ..options
        })
    }

    /// A full disk, or a file that is gone, takes no promise; deliveries go on (contract, section 4).
    pub(super) fn refuse_if_full(&self) -> Result<(), Problem> {
        let desk = self.context.dispatcher.desk();
        let refusal = desk.and_then(|desk| desk.store.health().refusal());
        refusal.map_or(Ok(()), |error| Err(not_stored(&error.into())))
    }

    fn resolve(&mut self, channel: &Channel) -> Result<Arc<[Destination]>, Problem> {
        let destinations = self.context.resolve(channel)?;
        if let [only] = &*destinations {
            self.facts.backend = Some(only.backend);
            self.facts.channel = Some(only.channel().to_owned());
        }
        Ok(destinations)
    }
}

impl Context<'_> {
    /// The destinations of a channel.
    pub(super) fn resolve(&self, channel: &Channel) -> Result<Arc<[Destination]>, Problem> {
        self.state.directory.resolve(channel).map_err(|error| match error {
            ResolveError::Ambiguous { choices } => Problem::new(
                Code::AmbiguousChannel,
                format!(
                    "this channel could belong to {}; write it as {}:… or set DEFAULT_BACKEND",
                    choices.join(" or "),
                    choices.first().copied().unwrap_or_default()
                ),
            ),
            ResolveError::NoTarget(backend) => Problem::new(
                Code::EmptyChannel,
                format!("nothing follows '{backend}:'; write the channel's id or name after it"),
            ),
            ResolveError::NoBackend => Problem::new(
                Code::UnknownChannel,
                "this is no alias, and no configured backend takes a channel's id or name; the operator configures one (a webhook takes none) or adds an alias to CHANNELS",
            ),
            ResolveError::UnknownAlias => Problem::new(
                Code::UnknownChannel,
                "this proxy posts only to its aliases, and this is none of them; the operator adds one to CHANNELS",
            ),
            ResolveError::Url => Problem::new(
                Code::UnknownChannel,
                "a URL is no channel; an incoming webhook's is a credential: the operator gives it a name in CHANNELS, which is written instead",
            ),
        })
    }
}

/// Two proxies whose webhooks name each other would post for ever (B9); a proxy has no reason to post to one.
fn refuse_loop(headers: &HeaderMap) -> Result<(), Problem> {
    let agent = headers
        .get(header::USER_AGENT)
        .map(header::HeaderValue::as_bytes);
    if agent.is_some_and(|agent| agent.starts_with(PRODUCT.as_bytes())) {
        let detail = "another message-webhook-proxy posts here; a webhook in its CHANNELS must be a platform's, not a proxy's";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok(())
}

/// `Prefer: wait=N` (RFC 7240), if it is a wait that is on offer; `respond-async` alone is no wait at all.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let items = || {
        let prefer = headers
            .get_all(PREFER)
            .filter_map(|value| value.to_str().ok());
        prefer
            .flat_map(|value| value.split([',', ';']))
            .map(str::trim)
    };
    let wait = items().find_map(|item| {
        let (name, value) = item.split_once('=')?;
        let is_wait = name.trim_end().eq_ignore_ascii_case("wait");
        let value = value.trim_start();
        let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        parse_wait(quoted.unwrap_or(value)).filter(|_| is_wait)
    });
    let is_async = || items().any(|item| item.eq_ignore_ascii_case("respond-async"));
    wait.or_else(|| is_async().then_some(Duration::ZERO))
}

/// One answer to all failures (A3), so that a guess learns nothing; it names every fix.
fn denied_problem(denied: Denied) -> Problem {
    match denied {
        Denied::Missing | Denied::Bad => Problem::new(
            Code::Unauthorized,
            "credentials are missing or not good; send 'Authorization: Bearer <secret>' with a secret of PROXY_TOKENS, or a signature (?sig=…) made for exactly this channel, message and options; a token in the query counts only with ALLOW_QUERY_TOKEN=true, because URLs are logged",
        ),
        Denied::Expired => Problem::new(
            Code::SignatureExpired,
            "the signature of this URL has expired; sign a new one with a later expiry",
        ),
    }
}
