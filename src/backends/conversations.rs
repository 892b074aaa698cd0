//! The conversations that a bot was seen in, where the platform says for each where it is posted to (Teams: reference/teams.md
//! 5.3). In memory; whoever teaches it something new writes that down as well. Only what was verified may come in here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};

/// The most that are remembered; beyond, the one that was not heard of for longest is forgotten.
pub const MAX_CONVERSATIONS: usize = 20_000;
/// No id and no service URL of the platform comes near.
const MAX_FIELD_BYTES: usize = 512;

/// What is known of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its id, without the thread.
    pub conversation: String,
    /// Where it is posted to.
    pub service_url: String,
    /// Its directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The team whose channel it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// `personal`, `groupChat` or `channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_type: Option<String>,
    /// The bot, as the platform calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<String>,
}

/// All that are known.
#[derive(Debug, Default)]
pub struct Conversations {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<String, Entry>,
    /// By when it was last heard of.
    by_age: BTreeMap<u64, String>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    reference: Reference,
    age: u64,
    /// Whether the next process will know it.
    is_written: bool,
}

impl Reference {
    /// Whether it is of a size to be kept.
    fn is_usable(&self) -> bool {
        let optional = [
            &self.tenant_id,
            &self.team_id,
            &self.conversation_type,
            &self.bot_id,
        ];
        let fields = optional.into_iter().flatten();
        let mut all = fields.chain([&self.conversation, &self.service_url]);
        all.all(|field| !field.is_empty() && field.len() <= MAX_FIELD_BYTES)
    }

    /// What the older one knows and this one does not say.
    fn with_gaps_filled(mut self, older: &Self) -> Self {
        let fill = |gap: &mut Option<String>, known: &Option<String>| {
            if gap.is_none() {
                gap.clone_from(known);
            }
        };
        fill(&mut self.tenant_id, &older.tenant_id);
        fill(&mut self.team_id, &older.team_id);
        fill(&mut self.conversation_type, &older.conversation_type);
        fill(&mut self.bot_id, &older.bot_id);
        self
    }
}

impl Conversations {
    /// Learns of a conversation; what is newest wins. The whole reference is returned until it is known to be
    /// [written](Self::written).
    pub fn learn(&self, reference: Reference) -> Option<Reference> {
        if !reference.is_usable() {
            return None;
        }
        self.write().put(reference)
    }

    /// Takes note that a reference was written down as it is here; what has changed since then is yet to be written.
    pub fn written(&self, reference: &Reference) {
        let mut known = self.write();
        let entry = known.by_id.get_mut(&reference.conversation);
        if let Some(entry) = entry.filter(|entry| entry.reference == *reference) {
            entry.is_written = true;
        }
    }

    /// Forgets a conversation, and with a team all of its channels. Returns those that were known.
    pub fn forget(&self, conversation: &str, team: Option<&str>) -> Vec<String> {
        let mut known = self.write();
        let is_meant = |reference: &Reference| {
            reference.conversation == conversation
                || (team.is_some() && reference.team_id.as_deref() == team)
        };
        let all = known.by_id.values().map(|entry| &entry.reference);
        let gone: Vec<String> = all
            .filter(|reference| is_meant(reference))
            .map(|reference| reference.conversation.clone())
            .collect();
        gone.iter().for_each(|id| drop(known.remove(id)));
        gone
    }

    /// What is known of the conversation of this id.
    #[must_use]
    pub fn get(&self, conversation: &str) -> Option<Reference> {
        let known = self.read();
        let entry = known.by_id.get(conversation)?;
        Some(entry.reference.clone())
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, reference: Reference) -> Option<Reference> {
        let id = reference.conversation.clone();
        let older = self.remove(&id);
        let reference = match &older {
            Some(older) => reference.with_gaps_filled(&older.reference),
            None => reference,
        };
        let is_written =
            older.is_some_and(|older| older.is_written && older.reference == reference);
        while self.by_id.len() >= MAX_CONVERSATIONS {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            self.by_id.remove(&oldest);
        }
        self.by_age.insert(self.next, id.clone());
        let entry = Entry {
            reference: reference.clone(),
            age: self.next,
            is_written,
        };
        self.by_id.insert(id, entry);
        self.next += 1;
        (!is_written).then_some(reference)
    }

    fn remove(&mut self, id: &str) -> Option<Entry> {
        let entry = self.by_id.remove(id)?;
        self.by_age.remove(&entry.age);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(conversation: &str, service: &str) -> Reference {
        Reference {
            conversation: conversation.to_owned(),
            service_url: service.to_owned(),
            tenant_id: None,
            team_id: None,
            conversation_type: None,
            bot_id: None,
        }
    }

    const HERE: &str = "19:a@thread.tacv2";

    #[test]
    fn only_what_is_not_written_is_told() {
        let known = Conversations::default();
        let in_team = Reference {
            team_id: Some("19:t@thread.tacv2".to_owned()),
            ..reference(HERE, "https://one.test/")
        };

        assert_eq!(known.learn(in_team.clone()), Some(in_team.clone()));
        assert_eq!(known.learn(in_team.clone()), Some(in_team.clone()));
        known.written(&in_team);
        assert_eq!(known.learn(in_team.clone()), None);
        // An activity that says less is no change.
        assert_eq!(known.learn(reference(HERE, "https://one.test/")), None);
        let moved = known.learn(reference(HERE, "https://two.test/")).unwrap();
        assert_eq!(moved.team_id, in_team.team_id);
        assert_eq!(known.get(HERE), Some(moved));
        // The end of a write that something newer has overtaken.
        known.written(&in_team);
        assert!(known.learn(reference(HERE, "https://two.test/")).is_some());
    }

    #[test]
    fn leaving_a_team_forgets_its_channels() {
        let known = Conversations::default();
        let team = Some("19:t@thread.tacv2".to_owned());
        for id in [HERE, "19:b@thread.tacv2"] {
            known.learn(Reference {
                team_id: team.clone(),
                ..reference(id, "https://one.test/")
            });
        }
        known.learn(reference("a:personal", "https://one.test/"));

        let mut gone = known.forget("19:t@thread.tacv2", team.as_deref());
        gone.sort();
        assert_eq!(gone, [HERE, "19:b@thread.tacv2"]);
        assert!(known.get(HERE).is_none() && known.get("a:personal").is_some());
        assert_eq!(known.forget("a:personal", None), ["a:personal"]);
        assert!(known.forget("a:personal", None).is_empty());
    }

    #[test]
    fn what_is_of_no_sensible_size_is_not_kept() {
        let known = Conversations::default();
        let long = format!("19:{}@thread.tacv2", "a".repeat(600));
        for id in ["", &long] {
            let refused = known.learn(reference(id, "https://one.test/"));
            assert_eq!(refused, None, "{id}");
        }
        assert_eq!(
            known.learn(reference(HERE, &format!("https://{long}"))),
            None
        );
    }

    #[test]
    fn its_size_is_bounded_and_the_one_heard_of_longest_ago_goes() {
        let known = Conversations::default();
        let id = |n: usize| format!("19:{n}@thread.tacv2");
        for n in 0..MAX_CONVERSATIONS {
            known.learn(reference(&id(n), "https://one.test/"));
        }
        known.learn(reference(&id(0), "https://one.test/"));
        known.learn(reference(HERE, "https://one.test/"));

        assert!(known.get(&id(0)).is_some() && known.get(HERE).is_some());
        assert!(known.get(&id(1)).is_none());
        let inner = known.read();
        assert_eq!(
            (inner.by_id.len(), inner.by_age.len()),
            (MAX_CONVERSATIONS, MAX_CONVERSATIONS)
        );
    }
}
