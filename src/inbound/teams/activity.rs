//! What an activity says (reference/teams.md 5). PURE. Unknown members and types are passed over, never refused; whoever reads
//! must have verified the token in front of it.

use serde_json::Value;

use crate::domain::digest;
use crate::inbound::Mark;

/// The body is no activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the body is no activity; expected a JSON object with type, channelId, serviceUrl and conversation.id"
)]
pub struct NoActivity;

/// A received activity.
#[derive(Debug)]
pub struct Activity {
    root: Value,
}

/// What an activity says about where the bot is.
#[derive(Debug, PartialEq, Eq)]
pub enum Lesson<'a> {
    /// The bot is in its conversation.
    Here,
    /// The bot was taken out of this conversation, and of the team if it is one's.
    Gone {
        /// The conversation.
        conversation: &'a str,
        /// The team that it stands for.
        team: Option<&'a str>,
    },
}

impl Activity {
    /// Reads a body.
    ///
    /// # Errors
    /// [`NoActivity`].
    pub fn parse(body: &[u8]) -> Result<Self, NoActivity> {
        let root: Value = serde_json::from_slice(body).map_err(|_| NoActivity)?;
        let activity = Self { root };
        let needed = ["/type", "/channelId", "/serviceUrl", "/conversation/id"];
        let is_whole = needed
            .iter()
            .all(|pointer| activity.text(pointer).is_some_and(|text| !text.is_empty()));
        is_whole.then_some(activity).ok_or(NoActivity)
    }

    pub(super) fn value(&self, pointer: &str) -> Option<&Value> {
        self.root.pointer(pointer)
    }

    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.value(pointer)?.as_str()
    }

    /// A member that [`Activity::parse`] has found.
    fn needed(&self, pointer: &str) -> &str {
        self.text(pointer).unwrap_or_default()
    }

    /// `message`, `invoke`, `conversationUpdate`, …
    #[must_use]
    pub fn kind(&self) -> &str {
        self.needed("/type")
    }

    pub(super) fn channel(&self) -> &str {
        self.needed("/channelId")
    }

    /// Where answers go.
    #[must_use]
    pub fn service_url(&self) -> &str {
        self.needed("/serviceUrl")
    }

    /// The conversation, without the thread in it.
    #[must_use]
    pub fn conversation(&self) -> &str {
        let id = self.needed("/conversation/id");
        id.split_once(";messageid=").map_or(id, |(bare, _)| bare)
    }

    /// `personal`, `groupChat` or `channel`.
    #[must_use]
    pub fn conversation_type(&self) -> Option<&str> {
        self.text("/conversation/conversationType")
    }

    /// The bot, as the platform calls it.
    #[must_use]
    pub fn bot(&self) -> Option<&str> {
        self.text("/recipient/id")
    }

    /// The team whose channel it is.
    #[must_use]
    pub fn team(&self) -> Option<&str> {
        self.text("/channelData/team/id")
    }

    /// The directory that it comes from.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.text("/channelData/tenant/id")
            .or_else(|| self.text("/conversation/tenantId"))
    }

    pub(super) fn names_no_tenant_but(&self, tenant: &str) -> bool {
        ["/channelData/tenant/id", "/conversation/tenantId"]
            .iter()
            .filter_map(|pointer| self.value(pointer))
            .filter(|named| !named.is_null())
            .all(|named| {
                named
                    .as_str()
                    .is_some_and(|named| named.eq_ignore_ascii_case(tenant))
            })
    }

    /// Whether the bot did it itself: relayed, its own words would come back to it for ever (threats.md F6). Being added to a
    /// conversation is no deed of the bot's, whoever is named as its author.
    #[must_use]
    pub fn is_own(&self, app_id: &str) -> bool {
        let is_about_members = ["conversationUpdate", "installationUpdate"].contains(&self.kind());
        let from = self.text("/from/id").filter(|_| !is_about_members);
        from.is_some_and(|from| {
            Some(from) == self.bot()
                || from
                    .strip_prefix("28:")
                    .is_some_and(|id| id.eq_ignore_ascii_case(app_id))
        })
    }

    /// What its repeats have in common with it (reference/teams.md 5.4); `None` where it has no id.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let id = self.text("/id").filter(|id| !id.is_empty())?;
        let timestamp = self.text("/timestamp").unwrap_or_default();
        let conversation = self.needed("/conversation/id");
        let texts = [conversation, self.kind(), id, timestamp];
        Some(digest::first(digest::of_list("msteams", texts)))
    }

    /// What tells it from every other, in words.
    #[must_use]
    pub fn names(&self) -> [&str; 4] {
        let text = |pointer| self.text(pointer).unwrap_or_default();
        [
            "msteams",
            self.needed("/conversation/id"),
            text("/id"),
            text("/timestamp"),
        ]
    }

    /// What it says about where the bot is: any activity says that the bot is there, unless it says that it left.
    #[must_use]
    pub fn lesson(&self) -> Lesson<'_> {
        let is_gone = match self.kind() {
            "installationUpdate" => self
                .text("/action")
                .is_some_and(|action| action.to_ascii_lowercase().starts_with("remove")),
            "conversationUpdate" => self.removes_bot(),
            _ => false,
        };
        let conversation = self.conversation();
        if is_gone {
            let team = self.team();
            Lesson::Gone { conversation, team }
        } else {
            Lesson::Here
        }
    }

    fn removes_bot(&self) -> bool {
        let removed = self.value("/membersRemoved").and_then(Value::as_array);
        let is_bot = |member: &Value| {
            let id = member.get("id").and_then(Value::as_str);
            id.is_some() && id == self.bot()
        };
        removed.is_some_and(|members| members.iter().any(is_bot))
    }
}
