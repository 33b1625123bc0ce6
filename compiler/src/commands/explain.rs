//! `clefc explain`: the page of a diagnostic.

use crate::output;
use crate::render::{self, Format};
use crate::session::Session;
use clef_frontend::codes;
use clef_frontend::diagnostic::Diagnostic;

/// (code number, text) of every page in docs/diagnostics, by number.
static PAGES: &[(u16, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

pub fn run(code: &str) -> u8 {
    let digits = code.trim().to_ascii_uppercase();
    let number = digits.strip_prefix("CLEF").unwrap_or(&digits).parse::<u16>().ok();
    let page = number.and_then(|n| PAGES.iter().find(|(code, _)| *code == n));
    match page {
        Some((_, text)) => match output::stdout(text.as_bytes()) {
            Ok(()) => 0,
            Err(_) => output::USAGE,
        },
        None => {
            let diagnostic =
                Diagnostic::without_place(codes::NO_SUCH_CODE, format!("there is no diagnostic `{code}`"))
                    .help("a code looks like `CLEF0201`; it stands in brackets in each report");
            render::show(&Session::default(), &[diagnostic], Format::Human);
            output::USAGE
        }
    }
}
