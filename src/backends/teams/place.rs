//! What a target of Teams can be, and where it is posted to. PURE. Targets are ids, never names: Teams
//! has no address of a channel by name that a bot may use without first knowing its team.

use crate::domain::delivery::{Failure, Refusal};
use crate::domain::percent;

/// A target that can be posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// A channel: a post opens a new thread there.
    Channel(&'a str),
    /// A thread, a group chat, a meeting or a personal chat: a post goes into it.
    Conversation(&'a str),
}

/// What separates a channel from the thread in it.
pub(super) const THREAD_MARK: &str = ";messageid=";
/// How ids of channels end: reference/teams.md 0.
const CHANNEL_ENDS: [&str; 2] = ["@thread.tacv2", "@thread.skype"];

const WHERE_IDS_ARE: &str = "this is no Teams channel id. In Teams, choose \"Get link to channel\": the part of that \
     link between /channel/ and the next slash, percent-decoded, is the id and looks like 19:abc@thread.tacv2 (a chat: \
     19:abc@thread.v2 or a:abc)";

/// Whether a target has the shape of an id of Teams.
pub(super) fn recognises(target: &str) -> bool {
    target.starts_with("a:") || (target.starts_with("19:") && target.contains("@thread."))
}

/// The channel of a target: what stands before the thread in it.
pub(super) fn bare(target: &str) -> &str {
    target.split(';').next().unwrap_or(target)
}

/// An id as one segment of a path: what RFC 3986 calls unreserved stays (reference/teams.md 0).
pub(super) fn encoded(id: &str) -> String {
    percent::encode(id)
}

impl<'a> Place<'a> {
    /// Reads a target. The alphabet of ids is not documented, so only what could change the meaning of a
    /// URL is refused beyond the shape.
    pub(super) fn parse(target: &'a str) -> Result<Self, Failure> {
        let refused = || Failure::refused(Refusal::UnknownChannel, "", WHERE_IDS_ARE);
        if !recognises(target) || target.contains(is_unfit) {
            return Err(refused());
        }
        match target.split_once(THREAD_MARK) {
            Some((base, root)) if is_message_id(root) && !base.contains(';') => {
                Ok(Self::Conversation(target))
            }
            _ if target.contains(';') => Err(refused()),
            _ if CHANNEL_ENDS.iter().any(|end| target.ends_with(end)) => Ok(Self::Channel(target)),
            _ => Ok(Self::Conversation(target)),
        }
    }
}

fn is_unfit(c: char) -> bool {
    matches!(c, '/' | '\\' | '?' | '#' | '%') || c.is_whitespace() || c.is_control()
}

fn is_message_id(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_each_target_is() {
        use Place::{Channel, Conversation};
        for (target, want) in [
            (
                "19:ops_Alerts-01@thread.tacv2",
                Some(Channel("19:ops_Alerts-01@thread.tacv2")),
            ),
            ("19:abc@thread.skype", Some(Channel("19:abc@thread.skype"))),
            (
                "19:abc@thread.tacv2;messageid=1776390257332",
                Some(Conversation("19:abc@thread.tacv2;messageid=1776390257332")),
            ),
            ("19:abc@thread.v2", Some(Conversation("19:abc@thread.v2"))),
            (
                "19:meeting_x@thread.new",
                Some(Conversation("19:meeting_x@thread.new")),
            ),
            ("a:1b_2-C", Some(Conversation("a:1b_2-C"))),
            ("19:abc@thread.tacv2;messageid=", None),
            ("19:abc@thread.tacv2;messageid=0", None),
            ("19:abc@thread.tacv2;messageid=1a", None),
            ("19:abc@thread.tacv2;messageid=1;messageid=2", None),
            ("19:abc@thread.tacv2;other=1", None),
            ("19:abc@thread.tacv2;other=1;messageid=1", None),
            ("19:a/../b@thread.tacv2", None),
            ("19:a\\b@thread.tacv2", None),
            ("19:a?b@thread.tacv2", None),
            ("19:a#b@thread.tacv2", None),
            ("19:a%2Fb@thread.tacv2", None),
            ("19:a b@thread.tacv2", None),
            ("19:a\nb@thread.tacv2", None),
            ("19:a\u{85}b@thread.tacv2", None),
            ("19:abc", None),
            ("general", None),
            ("29:1abc", None),
            ("", None),
        ] {
            assert_eq!(Place::parse(target).ok(), want, "{target}");
        }
    }

    #[test]
    fn ids_are_one_segment() {
        assert_eq!(
            encoded("19:abc@thread.tacv2;messageid=1776390257332"),
            "19%3Aabc%40thread.tacv2%3Bmessageid%3D1776390257332"
        );
        assert_eq!(
            bare("19:abc@thread.tacv2;messageid=1"),
            "19:abc@thread.tacv2"
        );
    }

    proptest! {
        /// B4, E2: whatever the target, it cannot leave its segment of the path.
        #[test]
        fn an_encoded_id_is_plain_ascii(id in any::<String>()) {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
            prop_assert!(encoded(&id).bytes().all(plain));
        }
    }
}
