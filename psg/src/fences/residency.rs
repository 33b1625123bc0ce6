//! stub
use crate::{graph::Psg, skeleton::Skeleton};
use clef_frontend::diagnostic::Diagnostic;
pub fn check(_: &Psg, _: &Skeleton) -> Vec<Diagnostic> {
    Vec::new()
}
