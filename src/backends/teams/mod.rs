//! Microsoft Teams: a bot over the Bot Connector, and flows' incoming webhooks.
//!
//! One delivery is: the token, one request, and what the answer means. A token that has aged is replaced
//! once; everything else that could be tried again is the dispatcher's. Targets are ids; `ALLOW_MENTIONS`
//! changes nothing here (see `text`), and a post has no link, because the connector gives none.

pub mod answer;
mod card;
pub mod login;
mod markup;
mod place;
mod render;
mod settings;
mod text;
mod token;
pub mod trust;
pub mod webhook;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod reader;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use http::Uri;

use super::conversations::{Conversations, Reference};
use super::wire::{Answer, Call};
use super::{Backend, Kind, Listing, Part, Recipient, Shared, Wire};
use crate::domain::delivery::{Failure, Post, Posted, Refusal};
use crate::domain::web_url::{WebUrl, WebUrlError};
use crate::env::Reader;
use place::Place;
use render::Envelope;
use settings::{Settings, Tenant};
use token::{Token, Tokens};
use trust::{TrustedHosts, service_of};

/// Teams as a platform.
pub const KIND: Kind = Kind {
    name: "teams",
    vars: settings::VARS,
    recognises: place::recognises,
    configure,
    webhooks: Some(webhook::WEBHOOKS),
    // The connector takes 7 in one second but only 60 in 30 s and 1800 in an hour for one conversation
    // (reference/teams.md 2.8, checked 2026-11-21); webhooks take 4/s. Its Retry-After does the rest.
    pace: "1/s",
};

const PLATFORM: &str = "Teams";
/// The connector names the channels of a team only to who knows its id already (reference/teams.md 2, 5.3).
const NO_LIST: &str = "Teams shows a bot no list of channels: say '@bot where' in a channel to be told its address, or take the \
     part that begins 19: and ends @thread.tacv2 from the channel's link (Get link to channel), percent-decoded";
/// The answer that may be the token's age rather than wrong credentials.
const UNAUTHORIZED: u16 = 401;

/// The configured bot.
struct Teams {
    tokens: Tokens,
    tenant: Tenant,
    service: WebUrl,
    trusted: TrustedHosts,
    conversations: Arc<Conversations>,
}

/// Whom received activities must be for, and where they may say that answers go.
#[derive(Debug, Clone)]
pub struct Door {
    /// `TEAMS_APP_ID`, in lower case as the platform writes it.
    pub app_id: String,
    /// The directory of a bot that belongs to one.
    pub tenant: Option<String>,
    /// `TEAMS_OPENID_URL`
    pub openid: WebUrl,
    trusted: TrustedHosts,
}

impl Door {
    /// The door of the configured bot. Its faults are those that [`KIND`]'s own reading notes.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let settings = settings::read(reader)?;
        Some(Self {
            app_id: settings.app_id.to_ascii_lowercase(),
            tenant: match settings.tenant {
                Tenant::Single(id) => Some(id),
                Tenant::Multi(_) => None,
            },
            openid: settings.openid,
            trusted: settings.trusted,
        })
    }

    /// E2: whether the bot's token may go to this service.
    #[must_use]
    pub fn trusts(&self, service_url: &str) -> bool {
        service_of(service_url, &self.trusted).is_some()
    }
}

fn configure(reader: &mut Reader<'_>, shared: &Shared) -> Option<Arc<dyn Backend>> {
    let settings = settings::read(reader)?;
    match Teams::new(settings, Arc::clone(&shared.conversations)) {
        Ok(teams) => Some(Arc::new(teams)),
        Err(fault) => {
            reader.fault("TEAMS_SERVICE_URL or TEAMS_LOGIN_URL", fault);
            None
        }
    }
}

impl Teams {
    fn new(settings: Settings, conversations: Arc<Conversations>) -> Result<Self, WebUrlError> {
        let tenant = settings.tenant.as_str();
        let login = settings
            .login
            .join(&format!("/{tenant}/oauth2/v2.0/token"))?;
        let scope = settings.scope();
        settings.service.to_uri()?;
        Ok(Self {
            tokens: Tokens::new(login, &settings.app_id, &settings.password, scope),
            tenant: settings.tenant,
            service: settings.service,
            trusted: settings.trusted,
            conversations,
        })
    }

    /// What is known of the conversation of this target.
    fn known(&self, target: &str) -> Option<Reference> {
        self.conversations.get(place::bare(target))
    }

    /// Where a post to this place goes: the service that the platform named for the conversation, else the configured one.
    /// What was remembered under another list of trusted hosts may not be trusted any more.
    fn uri(&self, target: &str) -> Result<Uri, Failure> {
        let path = match Place::parse(target)? {
            Place::Channel(_) => "/v3/conversations".to_owned(),
            Place::Conversation(id) => {
                format!("/v3/conversations/{}/activities", place::encoded(id))
            }
        };
        let known = self.known(target);
        let service = known.and_then(|known| service_of(&known.service_url, &self.trusted));
        let service = service.as_ref().unwrap_or(&self.service);
        service.join(&path).map_err(|_| {
            let detail = "this Teams id cannot be part of a URL; copy it again";
            Failure::refused(Refusal::UnknownChannel, "", detail)
        })
    }

    async fn post(&self, wire: &dyn Wire, target: &str, part: &Part) -> Result<Posted, Failure> {
        let uri = self.uri(target)?;
        let token = self.tokens.get(wire).await?;
        let mut answer = send(wire, &uri, &token, part).await?;
        if answer.status == UNAUTHORIZED {
            self.tokens.forget(&token);
            let fresh = self.tokens.get(wire).await?;
            answer = send(wire, &uri, &fresh, part).await?;
        }
        answer::classify(&answer).map(|posted| Posted {
            channel: Some(place::bare(target).to_owned()),
            ..posted
        })
    }
}

async fn send(wire: &dyn Wire, uri: &Uri, token: &Token, part: &Part) -> Result<Answer, Failure> {
    let call = Call::post_json(uri, Some(token.authorization()), part.body.clone());
    let answer = wire.call(call).await;
    answer.map_err(|e| e.into_failure(PLATFORM))
}

impl Backend for Teams {
    fn render(&self, post: &Post, to: &Recipient) -> Vec<Part> {
        let known = self.known(to.channel());
        let tenant = known.as_ref().and_then(|known| known.tenant_id.as_deref());
        let tenant = tenant.or(match &self.tenant {
            Tenant::Single(id) => Some(id.as_str()),
            Tenant::Multi(_) => None,
        });
        // A target that cannot be posted to is refused by `deliver`; a dry run still shows the message.
        let envelope = match Place::parse(to.channel()) {
            Ok(Place::Channel(channel)) => Envelope::Thread { tenant, channel },
            Ok(Place::Conversation(_)) | Err(_) => Envelope::Reply,
        };
        render::parts(post, envelope)
    }

    fn deliver<'a>(
        &'a self,
        wire: &'a dyn Wire,
        to: &'a Recipient,
        part: &'a Part,
    ) -> LocalBoxFuture<'a, Result<Posted, Failure>> {
        Box::pin(self.post(wire, to.channel(), part))
    }

    fn check<'a>(&'a self, wire: &'a dyn Wire) -> LocalBoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.tokens.check(wire))
    }
    fn list<'a>(
        &'a self,
        _wire: &'a dyn Wire,
        _cursor: Option<&'a str>,
    ) -> LocalBoxFuture<'a, Result<Listing, Failure>> {
        Box::pin(async { Ok(Listing::None(NO_LIST)) })
    }
}
