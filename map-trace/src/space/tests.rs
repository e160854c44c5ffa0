//! Tests of the replay: against a naive model, against the running kernel, and rule by rule.

mod build;
mod naive;
mod processes;
mod real;
mod rules;
mod text;
mod told;
