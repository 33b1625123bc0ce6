//! Prints generated programs: `cargo run --release -p clef-tests --example random_program -- agents FIRST COUNT`.

use clef_tests::agent_programs;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize| arguments.get(n).and_then(|a| a.parse().ok()).unwrap_or(1u64);
    let text = match arguments.first().map(String::as_str) {
        Some("agents") => agent_programs::batch(number(1), number(2) as usize),
        _ => "give a kind of program: agents\n".to_owned(),
    };
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
