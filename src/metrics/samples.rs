//! What a source tells in one run.

use super::registry::{Kind, Metric};
use crate::model::{
    sample::{Labels, Sample, State},
    time::Millis,
};

/// The samples of one run, all of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    at: Millis,
    list: Vec<Sample>,
}

impl Samples {
    /// None yet.
    pub fn new(at: Millis) -> Self {
        Self { at, list: Vec::new() }
    }

    /// The moment of all of them.
    pub fn at(&self) -> Millis {
        self.at
    }

    /// The value of a metric without labels.
    pub fn set(&mut self, metric: &Metric, value: impl Into<State>) {
        self.set_each(metric, Labels::NONE, value);
    }

    /// The value of a metric without labels, where there is one; the reason why it is unknown where not.
    pub fn set_or(&mut self, metric: &Metric, value: Option<impl Into<State>>, why: &str) {
        match value {
            Some(value) => self.set(metric, value),
            None => self.unknown(metric, why),
        }
    }

    /// The value of one series of a metric with labels.
    pub fn set_each(&mut self, metric: &Metric, labels: Labels, value: impl Into<State>) {
        let state = value.into();
        let state = if metric.kind == Kind::Json { state.sound_json() } else { state.sound() };
        self.list.push(Sample { metric: metric.key, labels, state, at: self.at });
    }

    /// The metric should have a value, but has none.
    pub fn unknown(&mut self, metric: &Metric, why: &str) {
        self.set(metric, State::Unknown(why.to_owned()));
    }

    /// The metric has no value, because the thing is not there.
    pub fn not_in_use(&mut self, metric: &Metric, how: &str) {
        self.set(metric, State::NotInUse(how.to_owned()));
    }

    /// The samples.
    pub fn list(&self) -> &[Sample] {
        &self.list
    }

    /// Gives each of these metrics without labels that was not told so far the same state.
    pub fn fill<'a>(&mut self, metrics: impl Iterator<Item = &'a Metric>, state: &State) {
        let told: std::collections::HashSet<&str> = self.list.iter().map(|sample| sample.metric).collect();
        let missing = metrics.filter(|metric| metric.labels.is_empty() && !told.contains(metric.key));
        let missing: Vec<&Metric> = missing.collect();
        for metric in missing {
            self.set(metric, state.clone());
        }
    }

    /// Leaves out all samples of metrics that are not among these, and those whose labels are not as declared.
    pub fn keep<'a>(&mut self, metrics: impl Iterator<Item = &'a Metric>) {
        let known: std::collections::HashMap<&str, &Metric> =
            metrics.map(|metric| (metric.key, metric)).collect();
        self.list.retain(|sample| {
            known.get(sample.metric).is_some_and(|metric| {
                sample.labels.iter().map(|(name, _)| name).eq(metric.labels.iter().copied())
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::registry::{Metric, Unit},
        *,
    };

    static A: Metric = Metric::gauge("a", Unit::Count);
    static B: Metric = Metric::gauge("b", Unit::Count);
    static EACH: Metric = Metric::gauge("each[{#X}]", Unit::Count).per(&["x"]);

    #[test]
    fn what_a_source_leaves_out_is_filled_and_what_it_invents_is_dropped() {
        let mut samples = Samples::new(Millis(5));
        samples.set(&A, 1_u32);
        samples.set_each(&EACH, Labels::one("y", "1"), 1_u32);
        samples.set_each(&EACH, Labels::one("x", "1"), 1_u32);
        samples.set(&Metric::gauge("c", Unit::Count), 1_u32);
        samples.keep([&A, &B, &EACH].into_iter());
        samples.fill([&A, &B, &EACH].into_iter(), &State::Unknown("not told".to_owned()));
        let found: Vec<_> =
            samples.list().iter().map(|it| (it.metric, it.labels.text(), it.state.clone())).collect();
        let expected = [
            ("a", String::new(), State::Number(1.0)),
            ("each[{#X}]", "x=1".to_owned(), State::Number(1.0)),
            ("b", String::new(), State::Unknown("not told".to_owned())),
        ];
        assert_eq!(found, expected);
    }
}
