//! Programs from source through graph and interpreter.
//!
//! `programs/NAME.clef` begins with the expected output as `// > ` lines, of which there is at least one.
//! `CLEFC_TRY=FILE [CLEFC_ARGS="a b"] [CLEFC_DUMP=1] cargo test -p clef-psg --test programs -- --nocapture one_file`
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
    let text = fs::read_to_string(&path).expect("a text");
    let psg = support::build(&path, &text).unwrap_or_else(|e| panic!("{e}"));
    if std::env::var("CLEFC_DUMP").is_ok() {
        eprintln!("{}", clef_psg::text::print(&psg));
    }
    let args = std::env::var("CLEFC_ARGS").unwrap_or_default();
    let args: Vec<&str> = args.split_whitespace().collect();
    let (out, code) = support::run(&psg, &args);
    eprintln!("{out}exit {code}, {} nodes, {} functions", psg.nodes.len(), psg.funcs.len());
}
