//! Metrics with labels, for those that are counted at every request.

use std::sync::OnceLock;

/// A metric with labels. The first few that are counted are found again without the lock and the hashes of
/// prometheus: all workers would write to that lock for every request.
pub(super) struct Labelled<T, const LABELS: usize> {
    find: Box<Find<T, LABELS>>,
    first: [OnceLock<([String; LABELS], T)>; FIRST],
}

type Find<T, const LABELS: usize> = dyn Fn(&[&str; LABELS]) -> T + Send + Sync;

/// Enough for what a proxy sees day by day; the others cost a little more.
const FIRST: usize = 16;

impl<T, const LABELS: usize> Labelled<T, LABELS> {
    /// In front of the metric itself: how it is found by its labels.
    pub(super) fn new(find: impl Fn(&[&str; LABELS]) -> T + Send + Sync + 'static) -> Self {
        Self {
            find: Box::new(find),
            first: [const { OnceLock::new() }; FIRST],
        }
    }

    /// Counts under these labels.
    pub(super) fn count(&self, labels: [&str; LABELS], count: impl FnOnce(&T)) {
        for place in &self.first {
            let (own, metric) =
                place.get_or_init(|| (labels.map(str::to_owned), (self.find)(&labels)));
            if *own == labels {
                return count(metric);
            }
        }
        count(&(self.find)(&labels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{IntCounterVec, Opts};

    #[test]
    fn every_label_has_its_own_count_however_many_there_are() {
        let all = IntCounterVec::new(Opts::new("n", "n"), &["a", "b"]).unwrap();
        let own = all.clone();
        let labelled = Labelled::new(move |labels| own.with_label_values(labels));
        let names: Vec<String> = (0..FIRST + 4).map(|n| n.to_string()).collect();

        for round in 0..3 {
            for name in names.iter().cycle().skip(round).take(names.len()) {
                labelled.count([name, "x"], prometheus::IntCounter::inc);
                labelled.count(["x", name], |counter| counter.inc_by(10));
            }
        }

        for name in &names {
            assert_eq!(all.with_label_values(&[name, "x"]).get(), 3);
            assert_eq!(all.with_label_values(&["x", name]).get(), 30);
        }
    }
}
