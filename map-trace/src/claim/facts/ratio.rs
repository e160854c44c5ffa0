//! Ratios of medians, with what chance alone makes of them.

use std::fmt;

use super::Ruling;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2_000;
/// Fewest values of a side.
const FEWEST: usize = 5;
/// Share of resamples left out at each end: a 95 % interval.
const TAIL: f64 = 0.025;

/// What an experiment printed under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub experiment: String,
    pub key: String,
}

impl Place {
    /// `EXPERIMENT.KEY`
    pub fn parse(text: &str) -> Option<Self> {
        let (experiment, key) = text.split_once('.')?;
        (!experiment.is_empty() && !key.is_empty()).then(|| Self {
            experiment: experiment.to_owned(),
            key: key.to_owned(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Below,
    Above,
}

/// `< 1`, `> 0.5`; in thousandths, so that claims compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    way: Way,
    thousandths: i64,
}

impl Bound {
    /// Reads `< NUMBER` or `> NUMBER`; with `=` the same, since an interval is compared.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let way = match text.chars().next()? {
            '<' => Way::Below,
            '>' => Way::Above,
            _ => return None,
        };
        let number: f64 = text[1..].trim_start_matches('=').trim().parse().ok()?;
        let thousandths = number * 1000.0;
        (thousandths.is_finite() && thousandths.abs() < 1e15).then_some(Self {
            way,
            thousandths: thousandths.round() as i64,
        })
    }

    fn number(self) -> f64 {
        self.thousandths as f64 / 1000.0
    }
}

/// A ratio of medians over runs taken in turn, or one median.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ratio {
    pub left: Place,
    pub right: Option<Place>,
    pub bound: Bound,
}

impl Ratio {
    pub fn experiments(&self) -> Vec<&str> {
        let right = self.right.iter();
        std::iter::once(&self.left)
            .chain(right)
            .map(|place| place.experiment.as_str())
            .collect()
    }

    /// `right` is empty when there is none. The values of one repetition stand at one place.
    pub fn judge(&self, left: &[f64], right: &[f64]) -> Ruling {
        let ratio = self.right.is_some();
        if left.len() < FEWEST || (ratio && right.len() < FEWEST) {
            let fewest = if ratio {
                left.len().min(right.len())
            } else {
                left.len()
            };
            return Ruling::open(format!("{fewest} repetitions, {FEWEST} needed"));
        }
        let ordinary = |values: &[f64]| values.iter().all(|value| value.is_finite());
        if !ordinary(left) || !ordinary(right) || (ratio && right.iter().any(|one| *one <= 0.0)) {
            return Ruling::open("not every value can be divided");
        }
        let point = quotient(median(&mut left.to_vec()), ratio, right);
        let (low, high) = interval(left, right, ratio);
        let reason = format!(
            "{} ({} to {}, 95 %, {} runs)",
            shown(point),
            shown(low),
            shown(high),
            left.len()
        );
        let bound = self.bound.number();
        let (holds, fails) = match self.bound.way {
            Way::Below => (high < bound, low >= bound),
            Way::Above => (low > bound, high <= bound),
        };
        match holds || fails {
            true => Ruling::of(holds, reason),
            false => Ruling::open(format!("{reason} is not clear of {}", shown(bound))),
        }
    }
}

fn quotient(left: f64, ratio: bool, right: &[f64]) -> f64 {
    match ratio {
        true => left / median(&mut right.to_vec()),
        false => left,
    }
}

/// Percentile bootstrap of the quotient of medians. The numbers come from a fixed seed: the same runs, the same
/// interval.
fn interval(left: &[f64], right: &[f64], ratio: bool) -> (f64, f64) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |values: &[f64]| -> f64 {
        let mut sample: Vec<f64> = values
            .iter()
            .map(|_| values[(next(&mut state) % values.len() as u64) as usize])
            .collect();
        median(&mut sample)
    };
    let mut quotients: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let above = draw(left);
            match ratio {
                true => above / draw(right),
                false => above,
            }
        })
        .collect();
    quotients.sort_by(f64::total_cmp);
    let cut = (RESAMPLES as f64 * TAIL) as usize;
    (quotients[cut], quotients[RESAMPLES - 1 - cut])
}

/// xorshift64* (Vigna 2016).
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
}

/// The middle value, or the mean of the two middle ones; 0 of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        len if len.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// Three digits.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "median {}.{}", self.left.experiment, self.left.key)?;
        if let Some(right) = &self.right {
            write!(f, " / {}.{}", right.experiment, right.key)?;
        }
        let sign = match self.bound.way {
            Way::Below => '<',
            Way::Above => '>',
        };
        write!(f, " {sign} {}", self.bound.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::summary::VerdictWord;

    fn ruling(bound: &str, left: &[f64], right: &[f64]) -> VerdictWord {
        let ratio = Ratio {
            left: Place::parse("a.ns").unwrap(),
            right: Place::parse("b.ns"),
            bound: Bound::parse(bound).unwrap(),
        };
        ratio.judge(left, right).verdict
    }

    #[test]
    fn a_ratio_is_decided_only_when_its_interval_is_clear_of_the_bound() {
        let slow = [200.0, 210.0, 190.0, 205.0, 195.0, 202.0, 198.0];
        let fast = [100.0, 104.0, 96.0, 101.0, 99.0, 102.0, 98.0];
        assert_eq!(ruling("> 1", &slow, &fast), VerdictWord::Supported);
        assert_eq!(ruling("< 1", &slow, &fast), VerdictWord::Refuted);
        assert_eq!(ruling("> 2.0", &slow, &fast), VerdictWord::Inconclusive);
        let noisy = [50.0, 300.0, 90.0, 20.0, 400.0, 110.0, 105.0];
        assert_eq!(ruling("> 1", &noisy, &fast), VerdictWord::Inconclusive);
    }

    #[test]
    fn too_few_runs_or_values_that_cannot_be_divided_decide_nothing() {
        let four = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(ruling("> 1", &four, &four), VerdictWord::Inconclusive);
        let zero = [0.0; 7];
        assert_eq!(ruling("> 1", &[5.0; 7], &zero), VerdictWord::Inconclusive);
        assert_eq!(
            ruling("> 1", &[f64::NAN; 7], &[1.0; 7]),
            VerdictWord::Inconclusive
        );
    }

    #[test]
    fn bounds_are_read_or_refused() {
        assert!(Bound::parse("<1").is_some() && Bound::parse(">= 0.5").is_some());
        for wrong in ["", "1", "== 1", "< x", "< inf", "<"] {
            assert_eq!(Bound::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Place::parse("a"), None);
    }
}
