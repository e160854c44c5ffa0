//! A check as the file has it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::needs::{RawNeed, needs};

use crate::binary::reach::Through;
use crate::claim::catalogue::{Catalogue, Check, Compile, Source};
use crate::claim::facts::{
    BinaryFact, Bound, Calls, Code, Comparison, Ending, EnteredFact, HostFact, Layout,
    LayoutExpect, Place, Presence, Ratio, Reach, ReachExpect, Shape, Symbol,
};
use crate::claim::{Claim, parse};
use crate::model::summary::VerdictWord;

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Raw {
    Trace {
        experiment: String,
        rule: String,
        #[serde(default)]
        needs: BTreeMap<String, RawNeed>,
    },
    Output {
        experiment: String,
        expect: OneOrMore,
    },
    Entries {
        experiment: String,
        function: String,
        expect: String,
    },
    Status {
        experiment: String,
        expect: String,
    },
    Symbol {
        experiment: String,
        name: String,
        expect: Presence,
    },
    Calls {
        experiment: String,
        function: String,
        #[serde(default)]
        only: Vec<String>,
        #[serde(default)]
        never: Vec<String>,
        #[serde(default)]
        always: Vec<String>,
    },
    Reach {
        experiment: String,
        function: String,
        call: String,
        expect: ReachExpect,
        through: Option<RawThrough>,
    },
    Layout {
        experiment: String,
        structure: String,
        field: Option<String>,
        offset: Option<u64>,
        size: Option<u64>,
        expect: Option<Presence>,
    },
    Code {
        experiment: String,
        function: String,
        instruction: Option<String>,
        compares: Option<i64>,
        stores_result_of: Option<String>,
        expect: Presence,
    },
    Compile {
        source: Option<String>,
        text: Option<String>,
        language: Language,
        expect: String,
    },
    Ratio {
        left: String,
        right: Option<String>,
        expect: String,
    },
    Host {
        kernel_symbol: Option<String>,
        pte_bit: Option<String>,
        bit: Option<u32>,
        expect: Option<Presence>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawThrough {
    Work,
    WriteBarrier,
    StackGrowth,
    Panic,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    Go,
    Rust,
}

impl Raw {
    /// `id` and `statement` are those of the claim.
    pub fn read(self, id: &str, statement: &str, catalogue: &Catalogue) -> Result<Check, String> {
        let binary = |experiment, fact| Ok(Check::Binary { experiment, fact });
        match self {
            Self::Trace {
                experiment,
                rule,
                needs,
            } => trace(experiment, &rule, needs, (id, statement), catalogue),
            Self::Output { experiment, expect } => {
                let texts = match expect {
                    OneOrMore::One(text) => vec![text],
                    OneOrMore::More(texts) => texts,
                };
                let expect: Vec<_> = texts
                    .iter()
                    .map(|text| Comparison::parse(text))
                    .collect::<Result<_, _>>()?;
                match expect.is_empty() {
                    true => Err("nothing is compared".into()),
                    false => Ok(Check::Output { experiment, expect }),
                }
            }
            Self::Entries {
                experiment,
                function,
                expect,
            } => {
                let counted = catalogue.experiment(&experiment);
                if !counted.is_some_and(|one| one.entries.contains(&function)) {
                    return Err(format!("{experiment} does not count entries of {function}"));
                }
                let fact = EnteredFact::parse(function, &expect)?;
                Ok(Check::Entries { experiment, fact })
            }
            Self::Status { experiment, expect } => {
                let expect =
                    Ending::parse(&expect).ok_or_else(|| format!("'{expect}' is no way to end"))?;
                Ok(Check::Status { experiment, expect })
            }
            Self::Symbol {
                experiment,
                name,
                expect,
            } => binary(experiment, BinaryFact::Symbol(Symbol { name, expect })),
            Self::Calls {
                experiment,
                function,
                only,
                never,
                always,
            } => {
                if only.is_empty() && never.is_empty() && always.is_empty() {
                    return Err("'calls' needs 'only', 'never' or 'always'".into());
                }
                let fact = Calls {
                    function,
                    only,
                    never,
                    always,
                };
                binary(experiment, BinaryFact::Calls(fact))
            }
            Self::Reach {
                experiment,
                function,
                call,
                expect,
                through,
            } => {
                let fact = Reach {
                    function,
                    call: call.parse().map_err(|why| format!("'{call}': {why}"))?,
                    expect,
                    through: through.map_or(Through::Panic, RawThrough::read),
                };
                binary(experiment, BinaryFact::Reach(fact))
            }
            Self::Layout {
                experiment,
                structure,
                field,
                offset,
                size,
                expect,
            } => {
                let expect = match (offset, size, expect) {
                    (Some(offset), None, None) if field.is_some() => LayoutExpect::Offset(offset),
                    (None, Some(size), None) if field.is_none() => LayoutExpect::Size(size),
                    (None, None, Some(expect)) => LayoutExpect::There(expect),
                    _ => {
                        return Err(
                            "'layout' needs a field's 'offset', a structure's 'size', or 'expect'"
                                .into(),
                        );
                    }
                };
                let fact = Layout {
                    structure,
                    field,
                    expect,
                };
                binary(experiment, BinaryFact::Layout(fact))
            }
            Self::Code {
                experiment,
                function,
                instruction,
                compares,
                stores_result_of,
                expect,
            } => {
                let shape = match (instruction, compares, stores_result_of) {
                    (Some(word), None, None) => Shape::Instruction(word),
                    (None, Some(number), None) => Shape::Compares(number),
                    (None, None, Some(callee)) => Shape::StoresResultOf(callee),
                    _ => {
                        return Err(
                            "'code' needs one of 'instruction', 'compares', 'stores_result_of'"
                                .into(),
                        );
                    }
                };
                let fact = Code {
                    function,
                    shape,
                    expect,
                };
                binary(experiment, BinaryFact::Code(fact))
            }
            Self::Compile {
                source,
                text,
                language,
                expect,
            } => compile(source, text, &language, &expect),
            Self::Ratio {
                left,
                right,
                expect,
            } => ratio(&left, right.as_deref(), &expect),
            Self::Host {
                kernel_symbol,
                pte_bit,
                bit,
                expect,
            } => host(kernel_symbol, pte_bit, bit, expect),
        }
    }
}

impl RawThrough {
    fn read(self) -> Through {
        match self {
            Self::Work => Through::Work,
            Self::WriteBarrier => Through::WriteBarrier,
            Self::StackGrowth => Through::StackGrowth,
            Self::Panic => Through::Panic,
        }
    }
}

fn trace(
    experiment: String,
    rule: &str,
    raw: BTreeMap<String, RawNeed>,
    (id, statement): (&str, &str),
    catalogue: &Catalogue,
) -> Result<Check, String> {
    let regions: Vec<String> = catalogue
        .experiment(&experiment)
        .map_or_else(Vec::new, |one| {
            one.regions.iter().map(|(name, _)| name.clone()).collect()
        });
    let needs = needs(raw, &regions)?;
    let rule = parse(rule, &regions).map_err(|why| format!("'{rule}': {why}"))?;
    let claim = Claim {
        id: id.to_owned(),
        statement: statement.to_owned(),
        rule,
        needs,
        expected: VerdictWord::Supported,
    };
    Ok(Check::Trace {
        experiment,
        claim: Box::new(claim),
    })
}

fn compile(
    source: Option<String>,
    text: Option<String>,
    language: &Language,
    expect: &str,
) -> Result<Check, String> {
    let source = match (source, text) {
        (Some(name), None) if !name.split('/').any(|part| part == ".." || part.is_empty()) => {
            Source::File(name)
        }
        (None, Some(text)) => Source::Text(text),
        _ => return Err("'compile' needs a 'source' or a 'text'".into()),
    };
    let refusal = match expect.split_once(':') {
        None if expect == "compiles" => None,
        None if expect == "fails" => Some(String::new()),
        Some(("fails", text)) => Some(text.trim().to_owned()),
        _ => {
            return Err(format!(
                "'{expect}' is not 'compiles', 'fails' or 'fails: TEXT'"
            ));
        }
    };
    Ok(Check::Compile(Compile {
        source,
        go: matches!(language, Language::Go),
        refusal,
    }))
}

fn ratio(left: &str, right: Option<&str>, expect: &str) -> Result<Check, String> {
    let place =
        |text: &str| Place::parse(text).ok_or_else(|| format!("'{text}' is not EXPERIMENT.KEY"));
    Ok(Check::Ratio(Ratio {
        left: place(left)?,
        right: right.map(place).transpose()?,
        bound: Bound::parse(expect).ok_or_else(|| format!("'{expect}' is no bound"))?,
    }))
}

fn host(
    kernel_symbol: Option<String>,
    pte_bit: Option<String>,
    bit: Option<u32>,
    expect: Option<Presence>,
) -> Result<Check, String> {
    match (kernel_symbol, pte_bit, bit, expect) {
        (Some(name), None, None, Some(expect)) => {
            Ok(Check::Host(HostFact::KernelSymbol { name, expect }))
        }
        (None, Some(name), Some(bit), None) if HostFact::knows_bit(&name) => {
            Ok(Check::Host(HostFact::PteBit { name, bit }))
        }
        _ => Err(
            "'host' needs 'kernel_symbol' and 'expect', or 'pte_bit' (present, writable, user, no_execute) and 'bit'"
                .into(),
        ),
    }
}
