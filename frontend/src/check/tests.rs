//! Tables: source to inferred signatures, source to codes and places, and whole programs against the real library.

use super::{CheckInput, check};
use crate::ast;
use crate::diagnostic::Diagnostic;
use crate::parse::parse;
use crate::span::{FileId, LineIndex};
use crate::typed::{DefKind, Program};
use crate::typed_print;
use std::path::{Path, PathBuf};

/// The library's files in an order in which each comes after those it opens.
fn library() -> Vec<ast::File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let rank = |p: &PathBuf| {
        let name = p.strip_prefix(&root).unwrap_or(p).to_string_lossy().replace('\\', "/");
        let group = match name.as_str() {
            "Core.clef" => 0,
            "Alloy.clef" => 1,
            "HSARuntime.clef" => 2,
            n if n.starts_with("BAREWire/") => 3,
            n if n.starts_with("Members/") => 5,
            _ => 4,
        };
        (group, name)
    };
    paths.sort_by_key(rank);
    let mut files = Vec::new();
    for (n, path) in paths.iter().enumerate() {
        let text = std::fs::read_to_string(path).unwrap();
        let (file, diags) = parse(FileId(1000 + n as u32), &text);
        assert!(diags.is_empty(), "{}: {diags:?}", path.display());
        files.push(file);
    }
    files
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "clef") {
            out.push(path);
        }
    }
}

thread_local! {
    static LIBRARY: Vec<ast::File> = library();
}

fn check_text(text: &str) -> (Program, Vec<Diagnostic>) {
    let (file, parsed) = parse(FileId(0), text);
    assert!(parsed.is_empty(), "does not parse: {parsed:?}\n{text}");
    LIBRARY.with(|library| check(&CheckInput { files: &[file], library }))
}

fn shown(text: &str, diags: &[Diagnostic]) -> String {
    let lines = LineIndex::new(text);
    diags
        .iter()
        .map(|d| {
            let (place, file) = d.span().map_or(((0, 0), 0), |s| (lines.line_column(s.start), s.file.0));
            let labels: Vec<&str> = d.labels.iter().map(|l| l.text.as_str()).collect();
            format!("{file}@{place:?} {} {} {labels:?} {:?} {:?}\n", d.code, d.headline, d.notes, d.help)
        })
        .collect()
}

/// Runs on programs named by `CLEFC_TRY` (`a.clef+b.clef:c.clef` are two), for work on the checker.
#[test]
fn try_file() {
    let Ok(programs) = std::env::var("CLEFC_TRY") else { return };
    for program in programs.split(':') {
        let mut texts = Vec::new();
        let mut files = Vec::new();
        for (n, path) in program.split('+').enumerate() {
            let text = std::fs::read_to_string(path).unwrap();
            let (file, parsed) = parse(FileId(n as u32), &text);
            eprintln!("== {path}\n{}", shown(&text, &parsed));
            texts.push(text);
            files.push(file);
        }
        LIBRARY.with(|library| {
            let start = std::time::Instant::now();
            let (program, diags) = check(&CheckInput { files: &files, library });
            let took = start.elapsed();
            for d in &diags {
                let text = d.span().and_then(|s| texts.get(s.file.0 as usize)).map_or("", String::as_str);
                eprint!("{}", shown(text, std::slice::from_ref(d)));
            }
            eprintln!("{took:?}, {} defs", program.defs.len());
            if std::env::var("CLEFC_DUMP").is_ok() {
                eprintln!("{}", typed_print::dump(&program));
            }
        });
    }
}

/// Signatures of the program's own definitions.
fn signatures(text: &str) -> String {
    let (program, diags) = check_text(text);
    assert!(diags.is_empty(), "{}", shown(text, &diags));
    let mut out = String::new();
    for (n, def) in program.defs.iter().enumerate() {
        if def.span.file == FileId(0) && !matches!(def.kind, DefKind::Intrinsic { .. }) {
            let line = typed_print::signature(&program, crate::typed::DefId(n as u32));
            out.push_str(line.strip_prefix("T.").unwrap_or(&line));
            out.push('\n');
        }
    }
    out
}

/// Every body of the library, not only those that some program reaches.
#[test]
fn the_whole_library_checks() {
    LIBRARY.with(|library| {
        let mut checker = super::Checker::new();
        for file in library {
            checker.register_library(file);
        }
        checker.find_core();
        for lib in 0..checker.libs.len() as u32 {
            checker.force_lib(lib);
            checker.check_reached_library();
        }
        let (program, diags) = checker.finish();
        let list: String = diags.iter().map(|d| shown("", std::slice::from_ref(d))).collect();
        assert!(diags.is_empty(), "{list}");
        assert!(program.defs.len() > 100);
    });
}

/// The example on each page of this stage's codes gives that code.
#[test]
fn pages_show_what_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diagnostics");
    let own = |n: u16| matches!(n, 101..=289 | 301..=399 | 450..=499 | 501..=519);
    let mut wrong = String::new();
    for (code, _) in crate::codes::ALL.iter().filter(|(c, _)| own(c.0)) {
        let page = std::fs::read_to_string(root.join(format!("{code}.md"))).unwrap_or_default();
        let example = page.split("```clef\n").nth(1).and_then(|t| t.split("```").next()).unwrap_or_default();
        let (file, _) = parse(FileId(0), example);
        let (_, diags) = LIBRARY.with(|library| check(&CheckInput { files: &[file], library }));
        if !diags.iter().any(|d| d.code == *code) {
            wrong.push_str(&format!("{code}: {}\n", shown(example, &diags)));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn signatures_are_inferred() {
    let table = [
        ("let id2 x = x", "id2 : 'a -> 'a"),
        ("let add a b = a + b", "add : int -> int -> int"),
        ("let f x = x * 2.0", "f : float -> float"),
        ("let compose f g x = g (f x)", "compose : ('a -> 'b) -> ('b -> 'c) -> 'a -> 'c"),
        ("let inline add a b = a + b", "add : 'a -> 'a -> 'a"),
        ("let swap (a, b) = (b, a)", "swap : 'a * 'b -> 'b * 'a"),
        ("let rec len xs = match xs with [] -> 0 | _ :: r -> 1 + len r", "len : 'a list -> int"),
        ("let twice<'T> (f: 'T -> 'T) (x: 'T) : 'T = f (f x)", "twice : ('T -> 'T) -> 'T -> 'T"),
        ("let sq (x: float<'u>) = x * x", "sq : float<'u> -> float<'u^2>"),
        ("let root (x: float<'u^2>) = sqrt x", "root : float<'u^2> -> float<'u>"),
        ("let names = List.map (fun (s: string) -> s.Length)", "names : string list -> int list"),
        ("let pair x = let f y = (y, x) in (f 1, f \"a\")", "pair : 'a -> (int * 'a) * (string * 'a)"),
        ("let show = printfn \"%d %s\"", "show : int -> string -> unit"),
        ("let xs = [ for i in 1 .. 3 -> float i ]", "xs : float list"),
        ("let s = seq { yield 1 }", "s : seq<int>"),
        ("let a = {| B = 1; A = \"x\" |}", "a : {| A: string; B: int |}"),
    ];
    for (source, expected) in table {
        let text = format!("module T\n{source}\n");
        assert_eq!(signatures(&text).trim_end(), expected, "{source}");
    }
}

#[test]
fn units_are_inferred() {
    let text = "module T
[<Measure>] type m
[<Measure>] type s
[<Measure>] type v = m / s
let speed (d: float<m>) (t: float<s>) = d / t
let same (x: float<v>) (d: float<m>) (t: float<s>) = x + speed d t
let half x = x / 2.0<s>
";
    assert_eq!(
        signatures(text),
        "speed : float<m> -> float<s> -> float<m / s>\n\
         same : float<m / s> -> float<m> -> float<s> -> float<m / s>\n\
         half : float -> float<1 / s>\n"
    );
}

/// Code and line of each error of a text.
fn errors(text: &str) -> Vec<(u16, u32)> {
    let (_, diags) = check_text(text);
    let lines = LineIndex::new(text);
    diags.iter().map(|d| (d.code.0, d.span().map_or(0, |s| lines.line_column(s.start).0))).collect()
}

#[test]
fn ten_errors_are_ten() {
    let text = "module T
let e1 = 1 + \"x\"
let e2 = if 1 then 2 else 3
let e3 : string = 5
let e4 = lenght \"abc\"
let e5 (xs: int list) = xs.Lenght
let e6 = List.mapp id [1]
let e7 f = f f
let e8 = printfn \"%d\" \"x\"
let e9 (x: intt) = x
let e10 = (fun x -> x + 1) 1 2
let fine = e1 + e4 + e6 1 + e9 2
";
    let found = errors(text);
    let expected = [
        (201, 2),
        (201, 3),
        (201, 4),
        (101, 5),
        (105, 6),
        (101, 7),
        (205, 8),
        (211, 9),
        (102, 10),
        (204, 11),
    ];
    assert_eq!(found, expected);
}

#[test]
fn missing_values_are_shown() {
    let table = [
        ("(b: bool)", "true -> 1", "false"),
        ("(x: int option)", "None -> 1", "Some _"),
        ("(x: int list)", "[] -> 1 | [_] -> 2", "_ :: _ :: _"),
        ("(x: bool * bool)", "(true, _) -> 1 | (_, true) -> 2", "false, false"),
        ("(n: int)", "0 -> 1 | 1 -> 2", "2"),
        ("(s: string)", "\"\" -> 1", "\"a\""),
        ("(x: Result<int, string>)", "Ok 1 -> 1 | Error _ -> 2", "Ok 0"),
    ];
    for (param, arms, example) in table {
        let text = format!(
            "module T\nlet f {param} x2 = match x2 with | _ -> 0\nlet g {param} =\n    match {} with\n    | {}\n",
            param[1..].split(':').next().unwrap(),
            arms.replace(" | ", "\n    | ")
        );
        let (_, diags) = check_text(&text);
        let found: Vec<&Diagnostic> = diags.iter().filter(|d| d.code.0 == 301).collect();
        assert_eq!(found.len(), 1, "{}", shown(&text, &diags));
        assert!(found[0].headline.contains(&format!("`{example}`")), "{example}: {}", found[0].headline);
    }
}

#[test]
fn complete_matches_are_quiet() {
    let text = "module T
type U = A | B of int | C of U * bool
let f u = match u with A -> 1 | B 0 -> 2 | B _ -> 3 | C (_, true) -> 4 | C (A, _) -> 5 | C ((B _ | C _), false) -> 6
let (|Even|Odd|) n = if n % 2 = 0 then Even else Odd
let g n = match n with Even -> 0 | Odd -> 1
let h (a, b) = match a, b with | Some x, _ -> x | None, Some y -> y | None, None -> 0
";
    assert_eq!(errors(text), []);
}

/// Broken programs: every prefix, and lines left out, of programs that use the whole language.
#[test]
fn broken_programs_do_not_panic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/run");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let mut texts: Vec<String> = paths.iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
    texts.push(include_str!("surface.clef").to_owned());
    LIBRARY.with(|library| {
        let run = |text: &str| {
            let (file, _) = parse(FileId(0), text);
            check(&CheckInput { files: &[file], library });
        };
        for text in &texts {
            let lines: Vec<&str> = text.lines().collect();
            let step = lines.len() / 12 + 1;
            for skip in (0..lines.len()).step_by(step) {
                let mut some = lines.clone();
                some.remove(skip);
                run(&some.join("\n"));
            }
            for end in (1..text.len()).step_by(text.len() / 12 + 1) {
                if text.is_char_boundary(end) {
                    run(&text[..end]);
                }
            }
        }
    });
}

/// One program with a bit of everything checks without a word.
#[test]
fn the_surface_checks() {
    let text = include_str!("surface.clef");
    let (_, diags) = check_text(text);
    assert!(diags.is_empty(), "{}", shown(text, &diags));
}

#[test]
fn names_of_dotnet_get_what_takes_their_place() {
    for (text, help, errors) in [
        ("open System.Collections.Generic\nlet s = HashSet<int>()", "functions need no `open`", 2),
        ("let b = box 3", "make the function generic", 1),
        ("let f (d: Dictionary<int, string>) = 1", "use `Map`", 1),
        ("let d = System.DateTime.Now", "Clock.nanoseconds", 1),
    ] {
        let (_, diags) = check_text(text);
        let all: Vec<String> = diags.iter().filter_map(|d| d.help.clone()).collect();
        assert!(all.iter().any(|h| h.contains(help)), "{text}: {all:?}");
        assert_eq!(diags.iter().filter(|d| d.is_error()).count(), errors, "{text}: {diags:?}");
    }
}
