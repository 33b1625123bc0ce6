//! Programs from source through graph and interpreter.
//!
//! `programs/NAME.clef` begins with the expected output as `// > ` lines, of which there is at least one.
//! `CLEFC_TRY=FILE:FILE [CLEFC_ARGS="a b"] [CLEFC_DUMP=1] cargo test -p clef-psg --test programs -- --nocapture one_file`
//! runs one more.

mod support;

use std::fs;
use std::path::Path;

#[test]
fn programs_print_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path()).collect();
    paths.sort();
    let mut wrong = Vec::new();
    for path in paths {
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let text = fs::read_to_string(&path).expect("a text");
        let expected: String =
            text.lines().filter_map(|l| l.strip_prefix("// > ")).map(|l| format!("{l}\n")).collect();
        assert!(!expected.is_empty(), "{name} expects nothing");
        match support::build(&name, &text) {
            Ok(psg) => {
                let (found, _) = support::run(&psg, &[]);
                if found != expected {
                    wrong.push(format!("{name}\n--- expected\n{expected}--- found\n{found}"));
                }
            }
            Err(errors) => wrong.push(format!("{name}\n{errors}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_file() {
    let Ok(path) = std::env::var("CLEFC_TRY") else { return };
    let files = path.split(':').map(|p| (p.to_owned(), fs::read_to_string(p).expect("a text"))).collect();
    let psg = support::build_files(files).unwrap_or_else(|e| panic!("{e}"));
    if std::env::var("CLEFC_DUMP").is_ok() {
        eprintln!("{}", clef_psg::text::print(&psg));
    }
    let args = std::env::var("CLEFC_ARGS").unwrap_or_default();
    let args: Vec<&str> = args.split_whitespace().collect();
    let (out, code) = support::run(&psg, &args);
    eprintln!("{out}exit {code}, {} nodes, {} functions", psg.nodes.len(), psg.funcs.len());
}

/// `dumps/NAME.psg` is the graph of `dumps/NAME.clef`; `CLEFC_BLESS=1` writes it.
#[test]
fn graphs_look_as_they_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dumps");
    let mut paths: Vec<_> = fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "clef"));
    paths.sort();
    for path in paths {
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let text = fs::read_to_string(&path).expect("a text");
        let psg = support::build(&name, &text).unwrap_or_else(|e| panic!("{e}"));
        let found = clef_psg::text::print(&psg);
        let golden = path.with_extension("psg");
        if std::env::var("CLEFC_BLESS").is_ok() {
            fs::write(&golden, &found).expect("a golden file");
            continue;
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(found, expected, "{name} differs; CLEFC_BLESS=1 accepts it");
    }
}
