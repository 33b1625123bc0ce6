//! Views of a plan: JSON for tools, a table for people.

mod json;
mod text;

pub use json::to_json;
pub use text::{element, to_text};

use crate::graph::Psg;
use crate::id::NodeId;

/// Where a node is: file name, line, column. Nodes made by the compiler have the place of what they were made for.
pub(crate) fn place(psg: &Psg, node: NodeId) -> (String, u32, u32) {
    let span = psg.spans.get(node).copied().unwrap_or_default();
    match psg.files.get(span.file.0 as usize) {
        Some(file) => {
            let (line, column) = file.lines.line_column(span.start);
            (file.name.clone(), line, column)
        }
        None => ("?".to_owned(), 0, 0),
    }
}
