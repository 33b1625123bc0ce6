//! Tests of the analysis on litmus texts ([`crate::skeleton::dsl`]).

mod classics;
mod examples;
mod queues;
mod random;
mod scale;

use super::plan;
use super::tables::find;
use crate::plan::FencePlan;
use crate::skeleton::{Skeleton, dsl};

pub(crate) fn litmus(text: &str) -> Skeleton {
    match dsl::parse(text) {
        Ok(skeleton) => skeleton,
        Err(why) => panic!("{text}: {why}"),
    }
}

pub(crate) fn planned(text: &str, table: &str) -> FencePlan {
    plan(&litmus(text), &find(table).expect("a table"))
}
