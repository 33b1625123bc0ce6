//! Parses the files named on the command line and prints their diagnostics; with `--time`, the time per function;
//! with `--tree`, the tree.
#![allow(clippy::print_stdout)]

use clef_frontend::span::{FileId, LineIndex};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (time, tree) = (args.iter().any(|a| a == "--time"), args.iter().any(|a| a == "--tree"));
    for name in args.iter().filter(|a| !a.starts_with("--")) {
        let Ok(text) = std::fs::read_to_string(name) else {
            println!("{name}: unreadable");
            continue;
        };
        let mut best = f64::MAX;
        for _ in 0..if time { 10 } else { 1 } {
            let start = std::time::Instant::now();
            let result = clef_frontend::parse::parse(FileId(0), &text);
            best = best.min(start.elapsed().as_secs_f64());
            drop(result);
        }
        let (file, diagnostics) = clef_frontend::parse::parse(FileId(0), &text);
        if tree {
            println!("{file:#?}");
        }
        let lines = LineIndex::new(&text);
        println!("{name}: {} declarations, {} diagnostics", file.decls.len(), diagnostics.len());
        for d in &diagnostics {
            let (line, column) = lines.line_column(d.span().map_or(0, |s| s.start));
            let here = d.labels.first().map_or("", |l| l.text.as_str());
            println!("  {line}:{column} {} {} ({here})", d.code, d.headline);
        }
        if time {
            println!(
                "  {:.2} ms, {:.2} us a declaration",
                best * 1e3,
                best * 1e6 / file.decls.len().max(1) as f64
            );
        }
    }
}
