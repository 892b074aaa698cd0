//! `FOLD_BACKLOG`: what waits for a throttled destination becomes as few posts as fit. Pure.

use crate::domain::delivery::Post;
use crate::domain::message::Message;

/// The most messages that are folded into one post.
pub(super) const MAX: usize = 50;

/// The first post with as many of those behind it as fit and look the same: a heading or a colour of its own stands
/// alone. And how many that are.
pub(super) fn fold(
    first: Post,
    behind: impl Iterator<Item = Post>,
    fits: impl Fn(&Post) -> bool,
) -> (Post, usize) {
    let (mut folded, mut count) = (first, 1);
    if !is_plain(&folded) {
        return (folded, count);
    }
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
    }
    (folded, count)
}

fn is_plain(post: &Post) -> bool {
    post.title.is_none() && post.link.is_none() && post.level.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::DeliveryId;
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
    fn one_post_holds_a_bounded_number() {
        let behind = (0..200).map(|_| post("x")).collect();

        assert_eq!(folded(post("x"), behind, 10_000).1, MAX);
    }
}
