//! `FOLD_BACKLOG`: what waits for a throttled destination becomes as few posts as fit. Pure.

use std::collections::HashMap;

use crate::domain::delivery::{DeliveryId, Post};
use crate::domain::message::Message;
use crate::outbox::{Kind, Lane, Progress, Row};

/// The most messages that are folded into one post.
pub(super) const MAX: usize = 50;

/// The most lanes whose refused posts are remembered; beyond, all are forgotten, and folded in vain once more.
const MAX_APART: usize = 10_000;

/// Up to where in a lane each message is posted alone, because one post of all these was refused.
#[derive(Default)]
pub(super) struct Apart {
    until: HashMap<Lane, i64>,
}

impl Apart {
    /// The messages up to this place in the order of the lane are posted alone.
    pub(super) fn add(&mut self, lane: Lane, last: i64) {
        if self.until.len() >= MAX_APART {
            self.until.clear();
        }
        self.until.insert(lane, last);
    }

    /// Whether the message at this place, now the first of its lane, is one of them.
    pub(super) fn holds(&mut self, lane: Lane, first: i64) -> bool {
        let is_held = self.until.get(&lane).is_some_and(|last| first <= *last);
        if !is_held {
            self.until.remove(&lane);
        }
        is_held
    }
}

/// The first post with as many of those behind it as fit and look the same: a heading or a colour of its own stands
/// alone. And how many that are.
///
/// The id is one of exactly these messages: by the id of the first alone, a platform that has that one already would
/// take the post for its repeat, and the others would never be shown.
pub(super) fn fold(
    first: Post,
    behind: impl Iterator<Item = Post>,
    fits: impl Fn(&Post) -> bool,
) -> (Post, usize) {
    let (mut folded, mut count) = (first, 1);
    if !is_plain(&folded) {
        return (folded, count);
    }
    let mut ids = vec![folded.id];
    for next in behind.take(MAX - 1) {
        let is_alike =
            is_plain(&next) && next.format == folded.format && next.as_name == folded.as_name;
        let text = format!("{}\n{}", folded.message.as_str(), next.message.as_str());
        let (true, Ok(message)) = (is_alike, Message::parse(&text)) else {
            break;
        };
        let longer = Post {
            message,
            ..folded.clone()
        };
        if !fits(&longer) {
            break;
        }
        (folded, count) = (longer, count + 1);
        ids.push(next.id);
    }
    if count > 1 {
        folded.id = DeliveryId::of_all(&ids);
    }
    (folded, count)
}

/// The progress of a message in a post with others. A webhook's channel is the alias, and the first one's may be another.
pub(super) fn progress_before(row: &Row, rows: &[Row]) -> Progress {
    let before = row.delivery.progress.clone();
    let target = &row.delivery.to.target;
    let is_another = rows.iter().any(|row| row.delivery.to.target != *target);
    let is_alias = matches!(row.delivery.to.kind, Kind::Webhook(_));
    let own = (is_another && is_alias).then(|| target.clone());
    Progress {
        channel: before.channel.or(own),
        ..before
    }
}

fn is_plain(post: &Post) -> bool {
    post.title.is_none() && post.link.is_none() && post.level.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::options::Format;

    fn post(text: &str) -> Post {
        Post::bare(
            DeliveryId::generate(),
            Message::parse(text).unwrap(),
            Format::Markup,
        )
    }

    fn folded(first: Post, behind: Vec<Post>, max_bytes: usize) -> (String, usize) {
        let fits = |post: &Post| post.message.as_str().len() <= max_bytes;
        let (post, count) = fold(first, behind.into_iter(), fits);
        (post.message.as_str().to_owned(), count)
    }

    #[test]
    fn as_many_as_fit_become_one_in_order() {
        let behind = || vec![post("two"), post("three"), post("four")];

        assert_eq!(
            folded(post("one"), behind(), 100),
            ("one\ntwo\nthree\nfour".into(), 4)
        );
        assert_eq!(
            folded(post("one"), behind(), 13),
            ("one\ntwo\nthree".into(), 3)
        );
        assert_eq!(folded(post("one"), behind(), 4), ("one".into(), 1));
    }

    #[test]
    fn a_post_of_other_messages_has_another_id() {
        let [one, two, three] = ["one", "two", "three"].map(post);
        let id_of = |behind: &[&Post]| {
            let behind = behind.iter().map(|post| (*post).clone());
            fold(one.clone(), behind, |_| true).0.id
        };

        let ids = [
            id_of(&[]),
            id_of(&[&two]),
            id_of(&[&three]),
            id_of(&[&two, &three]),
            id_of(&[&one]),
        ];

        assert_eq!(ids[0], one.id);
        let different: std::collections::BTreeSet<_> = ids.iter().map(|id| id.to_bytes()).collect();
        assert_eq!(different.len(), ids.len());
        assert_eq!(id_of(&[&two, &three]), ids[3], "a repeat has the same");
    }

    #[test]
    fn what_looks_different_stands_alone() {
        let titled = Post {
            title: Some("T".into()),
            ..post("b")
        };
        let named = Post {
            as_name: Some("ci".into()),
            ..post("b")
        };
        let literal = Post {
            format: Format::Plain,
            ..post("b")
        };

        for other in [titled.clone(), named, literal] {
            assert_eq!(
                folded(post("a"), vec![other, post("c")], 100),
                ("a".into(), 1)
            );
        }
        assert_eq!(folded(titled, vec![post("c")], 100), ("b".into(), 1));
    }

    #[test]
    fn what_was_refused_as_one_goes_alone_up_to_its_last() {
        let (mut apart, lane) = (Apart::default(), Lane(1));
        apart.add(lane, 7);

        assert!(apart.holds(lane, 3) && apart.holds(lane, 7));
        assert!(!apart.holds(Lane(2), 3));
        assert!(!apart.holds(lane, 8));
        assert!(apart.until.is_empty());
    }

    #[test]
    fn the_lanes_that_are_remembered_are_bounded() {
        let mut apart = Apart::default();

        (0..30_000).for_each(|lane| apart.add(Lane(lane), 1));

        assert!(apart.until.len() <= MAX_APART);
        assert!(apart.holds(Lane(29_999), 1));
    }

    #[test]
    fn one_post_holds_a_bounded_number() {
        let behind = (0..200).map(|_| post("x")).collect();

        assert_eq!(folded(post("x"), behind, 10_000).1, MAX);
    }
}
