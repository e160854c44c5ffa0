//! From variables and values to conditions.

use serde::Serialize;

use super::vary::{Variable, Vary};

/// Most conditions of a comparison.
pub const MAX_CONDITIONS: usize = 32;
/// Most runs of one condition.
pub const MAX_REPEAT: u32 = 100;

/// A variable with one of its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub variable: Variable,
    /// Empty: a variable of the environment that is not set.
    pub value: String,
}

/// What the program runs under: one setting for each variable, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    pub settings: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("nothing to vary")]
    Nothing,
    #[error("{0} is varied twice")]
    Twice(String),
    #[error("{0} conditions, at most {MAX_CONDITIONS}")]
    TooMany(usize),
    #[error("go and program both say what is run")]
    GoAndProgram,
}

impl Condition {
    /// `GODEBUG=efence=1, THP=never`
    pub fn say(&self) -> String {
        let settings = self.settings.iter().map(Setting::say);
        settings.collect::<Vec<_>>().join(", ")
    }

    /// The number of the only variable in which this differs from another condition of the same plan.
    pub fn only_difference(&self, other: &Self) -> Option<usize> {
        let pairs = self.settings.iter().zip(&other.settings).enumerate();
        let mut differing = pairs.filter(|(_, (a, b))| a != b);
        let (number, _) = differing.next()?;
        differing.next().is_none().then_some(number)
    }
}

impl Setting {
    pub fn say(&self) -> String {
        match (&self.variable, self.value.as_str()) {
            (Variable::Environment(name), "") => format!("{name} unset"),
            (variable, value) => format!("{}={value}", variable.name()),
        }
    }
}

/// The conditions to run, the first being that of all first values.
///
/// Without `cross`, one variable at a time leaves its first value: 1 + (n1 - 1) + (n2 - 1) + ... conditions. With it,
/// every combination.
///
/// # Errors
/// Nothing varies, a variable is named twice, or there are more than [`MAX_CONDITIONS`].
pub fn plan(varies: &[Vary], cross: bool) -> Result<Vec<Condition>, PlanError> {
    if varies.is_empty() {
        return Err(PlanError::Nothing);
    }
    for (index, vary) in varies.iter().enumerate() {
        let mut before = varies.iter().take(index);
        if before.any(|before| before.variable == vary.variable) {
            return Err(PlanError::Twice(vary.variable.name().to_owned()));
        }
    }
    let has = |variable: Variable| varies.iter().any(|vary| vary.variable == variable);
    if has(Variable::Go) && has(Variable::Program) {
        return Err(PlanError::GoAndProgram);
    }
    let lengths = varies.iter().map(|vary| vary.values.len());
    let count = match cross {
        true => lengths.fold(1, usize::saturating_mul),
        false => lengths.fold(1, |sum: usize, length| {
            sum.saturating_add(length.saturating_sub(1))
        }),
    };
    if count > MAX_CONDITIONS {
        return Err(PlanError::TooMany(count));
    }
    Ok(match cross {
        true => crossed(varies),
        false => one_at_a_time(varies),
    })
}

fn setting(vary: &Vary, value: &str) -> Setting {
    Setting {
        variable: vary.variable.clone(),
        value: value.to_owned(),
    }
}

fn crossed(varies: &[Vary]) -> Vec<Condition> {
    let empty = Condition {
        settings: Vec::new(),
    };
    varies.iter().fold(vec![empty], |conditions, vary| {
        let extended = |condition: Condition| {
            vary.values.iter().map(move |value| {
                let mut condition = condition.clone();
                condition.settings.push(setting(vary, value));
                condition
            })
        };
        conditions.into_iter().flat_map(extended).collect()
    })
}

fn one_at_a_time(varies: &[Vary]) -> Vec<Condition> {
    let firsts = varies
        .iter()
        .filter_map(|vary| Some(setting(vary, vary.values.first()?)));
    let base = Condition {
        settings: firsts.collect(),
    };
    let mut conditions = vec![base.clone()];
    for (number, vary) in varies.iter().enumerate() {
        for value in vary.values.iter().skip(1) {
            let mut condition = base.clone();
            if let Some(slot) = condition.settings.get_mut(number) {
                *slot = setting(vary, value);
            }
            conditions.push(condition);
        }
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varies(texts: &[&str]) -> Vec<Vary> {
        texts
            .iter()
            .map(|text| Vary::parse(text).unwrap())
            .collect()
    }

    fn said(texts: &[&str], cross: bool) -> Vec<String> {
        let conditions = plan(&varies(texts), cross).unwrap();
        conditions.iter().map(Condition::say).collect()
    }

    #[test]
    fn one_variable_at_a_time_leaves_its_first_value() {
        let texts = ["A=,1,2", "nice=0,5"];
        let one = [
            "A unset, nice=0",
            "A=1, nice=0",
            "A=2, nice=0",
            "A unset, nice=5",
        ];
        assert_eq!(said(&texts, false), one);
    }

    #[test]
    fn a_cross_has_every_combination_once() {
        let all = said(&["A=1,2,3", "B=1,2"], true);
        assert_eq!(all.len(), 6);
        assert_eq!(all.first().unwrap(), "A=1, B=1");
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), 6);
    }

    #[test]
    fn the_number_of_conditions_is_bounded() {
        let six = ["A=1,2", "B=1,2", "C=1,2", "D=1,2", "E=1,2", "F=1,2"];
        assert_eq!(plan(&varies(&six), true), Err(PlanError::TooMany(64)));
        assert_eq!(plan(&varies(&six[..5]), true).unwrap().len(), 32);
        assert_eq!(plan(&varies(&six), false).unwrap().len(), 7);
    }

    #[test]
    fn contradictory_wishes_are_refused() {
        assert_eq!(plan(&[], false), Err(PlanError::Nothing));
        let twice = varies(&["A=1,2", "A=3,4"]);
        assert_eq!(plan(&twice, false), Err(PlanError::Twice("A".to_owned())));
        let both = varies(&["go=1.19,1.23", "program=a,b"]);
        assert_eq!(plan(&both, false), Err(PlanError::GoAndProgram));
    }

    #[test]
    fn conditions_know_the_one_variable_in_which_they_differ() {
        let conditions = plan(&varies(&["A=1,2", "B=1,2"]), true).unwrap();
        let [a, b, c, d] = &conditions[..] else {
            panic!("four: {conditions:?}")
        };
        assert_eq!(a.only_difference(b), Some(1));
        assert_eq!(a.only_difference(c), Some(0));
        assert_eq!(a.only_difference(d), None);
        assert_eq!(a.only_difference(a), None);
    }
}
