//! The parser seen from outside: everything that parses prints back to the same tree, nothing panics or hangs, and
//! mistakes are reported once each, where they are.

use clef_frontend::diagnostic::Diagnostic;
use clef_frontend::span::{FileId, LineIndex};
use clef_frontend::{ast, parse};
use std::path::{Path, PathBuf};

fn read(text: &str) -> (ast::File, Vec<Diagnostic>) {
    parse::parse(FileId(0), text)
}

/// The tree without spans.
fn shape(file: &ast::File) -> String {
    let text = format!("{file:#?}");
    let mut out = String::with_capacity(text.len());
    let mut skip = 0;
    for line in text.lines() {
        let t = line.trim();
        if t.contains("Span {") {
            skip = 1;
        } else if skip > 0 {
            skip += usize::from(t.ends_with('{') || t.ends_with('('));
            skip -= usize::from(t.starts_with('}') || t.starts_with(')'));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn show(text: &str, diagnostics: &[Diagnostic]) -> String {
    let lines = LineIndex::new(text);
    diagnostics
        .iter()
        .map(|d| {
            let (line, column) = lines.line_column(d.span().map_or(0, |s| s.start));
            format!("{line}:{column} {} {}\n", d.code, d.headline)
        })
        .collect()
}

fn first_difference(a: &str, b: &str) -> String {
    let at = a.lines().zip(b.lines()).position(|(x, y)| x != y).unwrap_or(0);
    let part = |s: &str| s.lines().skip(at.saturating_sub(12)).take(24).collect::<Vec<_>>().join("\n");
    format!("--- first\n{}\n--- printed and read again\n{}", part(a), part(b))
}

fn check_round_trip(name: &str, text: &str) {
    let (tree, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{name}:\n{}", show(text, &diagnostics));
    let printed = parse::print::print(&tree);
    let (again, diagnostics) = read(&printed);
    assert!(diagnostics.is_empty(), "{name} printed:\n{}\n{printed}", show(&printed, &diagnostics));
    let (a, b) = (shape(&tree), shape(&again));
    assert!(a == b, "{name}: {}", first_difference(&a, &b));
    assert_eq!(printed, parse::print::print(&again), "{name}: printing is not stable");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Clef files under a folder of the tree, in order of name.
fn programs(folder: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(dir) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for path in entries.flatten().map(|e| e.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "clef")
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                out.push((path.display().to_string(), text));
            }
        }
    }
    out.sort();
    out
}

#[test]
fn listings_print_back_to_the_same_tree() {
    let listings = programs("examples/listings");
    assert_eq!(listings.len(), 8);
    for (name, text) in listings {
        check_round_trip(&name, &text);
    }
}

#[test]
fn every_construct_prints_back_to_the_same_tree() {
    let all = programs("frontend/tests/syntax");
    assert!(!all.is_empty());
    for (name, text) in all {
        check_round_trip(&name, &text);
        check_round_trip(&format!("{name} with CRLF"), &text.replace('\n', "\r\n"));
    }
}

#[test]
fn library_prints_back_to_the_same_tree() {
    for (name, text) in programs("stdlib") {
        check_round_trip(&name, &text);
    }
}

/// A short form of a binding's body, with every operator and application bracketed.
fn short(e: &ast::Expr) -> String {
    use ast::ExprKind as K;
    let list = |items: &[ast::Expr]| items.iter().map(short).collect::<Vec<_>>().join(" ");
    match &e.kind {
        K::Lit(ast::Lit::Int { value, negative, .. }) => {
            format!("{}{value}", if *negative { "-" } else { "" })
        }
        K::Lit(ast::Lit::Unit) => "()".into(),
        K::Name(n) => n.name.to_string(),
        K::OpName(n) => format!("({})", n.name),
        K::Dot(e, n) => format!("{}.{}", short(e), n.name),
        K::Index(e, args) => format!("{}[{}]", short(e), args.len()),
        K::App(f, args) => format!("({} {})", short(f), list(args)),
        K::TypeApp(f, args) => format!("{}<{}>", short(f), args.len()),
        K::Prefix(op, e) => format!("({}{})", op.name, short(e)),
        K::Infix(op, a, b) => format!("({} {} {})", short(a), op.name, short(b)),
        K::Paren(e) => format!("[{}]", short(e)),
        K::Tuple(items) => format!("(tuple {})", list(items)),
        K::Seq(items) => format!("(seq {})", list(items)),
        K::If { cond, then, otherwise } => format!(
            "(if {} {} {})",
            short(cond),
            short(then),
            otherwise.as_ref().map_or("-".into(), |e| short(e))
        ),
        K::Match { scrutinee, arms } => {
            let arms: Vec<String> = arms.iter().map(|a| short(&a.body)).collect();
            format!("(match {} {})", short(scrutinee), arms.join(" "))
        }
        K::Let { group, body } => format!("(let {} {})", short(&group.bindings[0].body), short(body)),
        K::Lambda { body, .. } => format!("(fun {})", short(body)),
        K::Lazy(e) => format!("(lazy {})", short(e)),
        K::Assign(a, b) => format!("({} <- {})", short(a), short(b)),
        K::List(items) => format!("(list {})", list(items)),
        K::Comprehension { body, .. } => format!("(each {})", short(body)),
        K::ForIn { source, body, .. } => format!("(for {} {})", short(source), short(body)),
        K::Yield { value, .. } => format!("(yield {})", short(value)),
        K::Range { from, to, .. } => format!("({}..{})", short(from), short(to)),
        other => format!("<{other:?}>"),
    }
}

fn body(text: &str) -> String {
    let (file, diagnostics) = read(&format!("let it =\n{text}\n"));
    assert!(diagnostics.is_empty(), "{text}\n{}", show(text, &diagnostics));
    match &file.decls[0].kind {
        ast::DeclKind::Let(group) => short(&group.bindings[0].body),
        other => format!("{other:?}"),
    }
}

#[test]
fn operators_bind_as_in_fsharp() {
    for (text, tree) in [
        ("  a + b * c - d", "((a + (b * c)) - d)"),
        ("  a :: b :: c @ d", "((a :: (b :: c)) @ d)"),
        ("  a |> f |> g", "((a |> f) |> g)"),
        ("  f <| g x + 1", "(f <| ((g x) + 1))"),
        ("  a = b && c < d || e", "(((a = b) && (c < d)) || e)"),
        ("  a ** b ** c", "(a ** (b ** c))"),
        ("  a &&& 1 = 0", "((a &&& 1) = 0)"),
        ("  1 <<< n - 1", "(1 <<< (n - 1))"),
        ("  -a * b", "((-a) * b)"),
        ("  -f x", "(-(f x))"),
        ("  f -x", "(f (-x))"),
        ("  f - x", "(f - x)"),
        ("  f-x", "(f - x)"),
        ("  f -1", "(f -1)"),
        ("  a := b := c", "(a := (b := c))"),
        ("  a, b + 1, c", "(tuple a (b + 1) c)"),
        ("  f(a).g x", "((f [a]).g x)"),
        ("  f (a).g x", "(f [a].g x)"),
        ("  g f(x) y", "(g (f [x]) y)"),
        ("  !r + 1", "((!r) + 1)"),
        ("  f<int> x < y", "((f<1> x) < y)"),
        ("  a<b && c>d", "((a < b) && (c > d))"),
        ("  a >>= b >>= c", "((a >>= b) >>= c)"),
        ("  lazy f x + 1", "((lazy (f x)) + 1)"),
        ("  fun x -> x + 1, 2", "(fun (tuple (x + 1) 2))"),
        ("  f [i] + f[i]", "((f (list i)) + f[1])"),
        ("  a <- b |> c", "(a <- (b |> c))"),
    ] {
        assert_eq!(body(text), tree, "{text}");
    }
}

#[test]
fn lines_belong_to_blocks_as_in_fsharp() {
    for (text, tree) in [
        ("  f a\n    b\n  g", "(seq (f a b) g)"),
        ("  xs\n  |> f\n  |> g", "((xs |> f) |> g)"),
        ("  let y =\n    a\n    |> b\n  y", "(let (a |> b) y)"),
        ("  let y = a\n          |> b\n  y", "(let (a |> b) y)"),
        ("  let y = a\n    |> b\n  y", "(let (a |> b) y)"),
        ("  let y = if a then b\n          else c\n          |> d\n  y", "(let ((if a b c) |> d) y)"),
        ("  match a with\n  | 1 -> b\n  | _ -> c\n  |> d", "((match a b c) |> d)"),
        ("  match a with\n  | 1 ->\n    match b with\n    | _ -> c\n  | _ -> d", "(match a (match b c) d)"),
        ("  if a then\n    if b then c\n  else d", "(if a (if b c -) d)"),
        ("  if a then b\n  elif c then d\n  else e", "(if a b (if c d e))"),
        ("  xs |> map (fun x ->\n    let y = x\n    y) |> g", "((xs |> (map [(fun (let x y))])) |> g)"),
        ("  a +\n  b", "(a + b)"),
        ("  a\n  + b", "(a + b)"),
        ("  f a\n  -b", "(seq (f a) (-b))"),
        ("  (let x = 1 in x) + 2", "([(let 1 x)] + 2)"),
        ("  [\n    a\n    b c\n      d\n  ]", "(list a (b c d))"),
        ("  [ for x in 1 .. 2 -> x ]", "(each (for (1..2) (yield x)))"),
        ("  [ if a then b else c; d ]", "(list (if a b c) d)"),
        ("  if a then b; c\n  d", "(seq (if a (seq b c) -) d)"),
        ("  f a (fun x -> x)\n    b", "(f a [(fun x)] b)"),
        ("  xs\n    .map(f)\n    .g", "(xs.map [f]).g"),
    ] {
        assert_eq!(body(text), tree, "{text}");
    }
}

/// Reads a text on a small stack and within a bounded time.
fn survives(text: String) -> Vec<Diagnostic> {
    let start = std::time::Instant::now();
    let (file, diagnostics) = read(&text);
    let printed = parse::print::print(&file);
    assert!(start.elapsed().as_secs() < 20, "slow: {}", text.chars().take(60).collect::<String>());
    drop(printed);
    diagnostics
}

#[test]
fn nesting_and_length_are_bounded() {
    let deep =
        |open: &str, close: &str, n: usize| format!("let x = {}1{}\n", open.repeat(n), close.repeat(n));
    for text in [
        deep("(", ")", 10_000),
        deep("[", "]", 10_000),
        deep("(", "", 10_000),
        deep("{ A = ", " }", 5_000),
        deep("f (", ")", 10_000),
        deep("- ", "", 10_000),
        deep("-", "", 10_000),
        deep("!(", ")", 10_000),
        deep("lazy ", "", 10_000),
        deep("fun x -> ", "", 10_000),
        deep("if a then ", "", 10_000),
        deep("match a with | _ -> ", "", 10_000),
        deep("a :: ", "", 10_000),
        deep("a <- ", "", 10_000),
        format!("let x = 1{}\n", "+1".repeat(100_000)),
        format!("let x = a{}\n", ".b".repeat(100_000)),
        format!("let x = f{}\n", "(1)".repeat(100_000)),
        format!("let f (x: {}int{}) = x\n", "(".repeat(5_000), ")".repeat(5_000)),
        format!("let f (x: {}int) = x\n", "int -> ".repeat(5_000)),
        format!("let {}x{} = 1\n", "(".repeat(5_000), ")".repeat(5_000)),
        format!("let f x = match x with | {}A -> 1\n", "A | ".repeat(20_000)),
        format!("let f (x: int<{}m>) = x\n", "m / ".repeat(20_000)),
        format!("let f (x: int{}) = x\n", " list".repeat(20_000)),
        format!("let f (x{}) = x\n", " & x".repeat(20_000)),
        format!("let f () =\n{}  x\n", "  let x = 1\n".repeat(20_000)),
        format!(
            "let x =\n{}",
            (0..3_000).map(|i| format!("{}if a then\n", " ".repeat(i + 1))).collect::<String>()
        ),
    ] {
        let head: String = text.chars().take(40).collect();
        let diagnostics = survives(text);
        assert!(!diagnostics.is_empty(), "{head}");
        assert!(diagnostics.len() < 4, "{head}: {}", show("", &diagnostics));
    }
    let long = (0..20_000).map(|i| format!("let f{i} x = x + {i}\n")).collect::<String>();
    assert_eq!(survives(long).len(), 0);
    assert_eq!(survives(format!("let x = [{}]\n", "1; ".repeat(100_000))).len(), 0);
    for nothing in ["", "\n\n", "// only a comment", "(* and another *)\n", "/// doc", "\u{feff}", "\r\n"] {
        assert_eq!(survives(nothing.into()).len(), 0, "{nothing:?}");
    }
}

#[test]
fn every_prefix_of_every_program_is_read() {
    let all = ["examples/listings", "tests/bench", "frontend/tests/syntax"];
    for (name, text) in all.into_iter().flat_map(programs) {
        // Every byte of short programs; of long ones, every byte would take minutes.
        let step = (text.len() * text.len() / 6_000_000).max(1);
        for end in (0..text.len()).step_by(step).filter(|&i| text.is_char_boundary(i)) {
            let (_, diagnostics) = read(&text[..end]);
            assert!(diagnostics.len() < 12, "{name} cut at {end}:\n{}", show(&text[..end], &diagnostics));
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_located() {
    let error = parse::bytes_to_text(FileId(0), b"let a = \xff").map(str::len);
    assert_eq!(error.map_err(|d| d.span().map(|s| s.start)), Err(Some(8)));
}

/// Random edits of real programs: no panic, no hang. Fixed seed, bounded count.
#[test]
fn mutated_programs_are_read() {
    let sources = programs("examples/listings").into_iter().chain(programs("frontend/tests/syntax"));
    let sources: Vec<String> = sources.map(|s| s.1).collect();
    let pieces = [
        "(", ")", "[", "]", "{", "}", "|", "let ", "=", "\n", "  ", "\"", "(*", "->", "<", ">", "'", "$\"",
        "\t", "type ", "match ", "with", "then ", "\u{e9}", "[<", ">]", "0x", "1.", "..", ",", ";", "fun ",
        "module ", "and ", "member ",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % n.max(1) as u64) as usize
    };
    for _ in 0..600 {
        let source = &sources[next(sources.len())];
        let from = next(source.len());
        let part: String = source.chars().skip(from).take(600).collect();
        let mut chars: Vec<char> = part.chars().collect();
        for _ in 0..=next(6) {
            let at = next(chars.len());
            if next(2) == 0 && !chars.is_empty() {
                let end = (at + next(8)).min(chars.len());
                chars.drain(at..end);
            } else {
                let piece = pieces[next(pieces.len())];
                chars.splice(at..at, piece.chars());
            }
        }
        let text: String = chars.into_iter().collect();
        let (file, diagnostics) = read(&text);
        if diagnostics.is_empty() {
            let printed = parse::print::print(&file);
            let (again, found) = read(&printed);
            assert!(found.is_empty(), "{text}\n--- printed\n{printed}\n{}", show(&printed, &found));
            assert!(shape(&file) == shape(&again), "{text}\n--- printed\n{printed}");
        }
    }
}

#[test]
fn ten_independent_mistakes_give_ten_diagnostics() {
    let text = "\
module Ten

let a = (1 +
let b = [1; 2
let c x =
    let y =
    y + 1
let d = if x then
let e x =
    match x with
    | 1 - 2
    | _ -> 3
let f = 1 + * 2
type G = { A: int; B }
let h = foo )
let i = 'unclosed
let j = 0y9abc
let k x =
    x +
    let = 3
    x
let fine = 1
";
    let (file, diagnostics) = read(text);
    let lines = LineIndex::new(text);
    let mut at: Vec<u32> =
        diagnostics.iter().filter_map(|d| d.span()).map(|s| lines.line_column(s.start).0).collect();
    at.dedup();
    let shown = show(text, &diagnostics);
    assert!(at.len() >= 9, "{shown}");
    assert!(diagnostics.len() <= 12, "{shown}");
    let fine = file.decls.iter().any(|d| {
        matches!(&d.kind, ast::DeclKind::Let(g) if matches!(&g.bindings[0].head,
        ast::BindingHead::Name { name, .. } if name.name == "fine"))
    });
    assert!(fine, "the last declaration is lost\n{shown}");
}

#[test]
fn mistakes_are_told_in_the_users_words() {
    for (text, told) in [
        ("let f x =\nlet g = 1\n", "1:10 CLEF0005 expected an expression after `=`\n"),
        ("let f x = x +\n", "1:14 CLEF0005 expected an expression after `+`\n"),
        ("let f x = (x + 1\nlet g = 1\n", "1:11 CLEF0009 this parenthesis `(` is not closed\n"),
        ("let f x = x)\n", "1:12 CLEF0009 `)` closes nothing\n"),
        ("let f x = if x 1 else 2\n", "1:18 CLEF0005 expected `then` after the condition of `if`\n"),
        ("let f x =\n    match x with\nlet g = 1\n", "2:17 CLEF0005 expected a case after `with`\n"),
        ("let f x =\n    let y = x\n", "2:5 CLEF0005 nothing follows this binding in its block\n"),
        (
            "let f x =\n    g x\n        y\n      z\n   w\n",
            "5:4 CLEF0006 unexpected `w` on a line indented further\n",
        ),
        ("let x = \"abc\nlet y = 1\n", "1:9 CLEF0003 this text is not closed\n"),
        (
            "let x = (* abc\n",
            "1:8 CLEF0005 expected an expression after `=`\n1:9 CLEF0003 this comment is not closed\n",
        ),
        ("let x = 300uy\n", "1:9 CLEF0004 `300uy` does not fit byte\n"),
        ("let x = 12abc\n", "1:9 CLEF0004 `abc` is no suffix of a number\n"),
        ("let x = \"a\\q\"\n", "1:9 CLEF0004 `\\q` is no escape\n"),
        ("let f () =\n\tx\n", "2:1 CLEF0008 this line is indented with a tab\n"),
        (
            "let x = try f () with _ -> 1\n",
            "1:9 CLEF0400 `try` is outside the subset: there are no exceptions\n",
        ),
        ("type I =\n    interface\n    end\nlet x = 1\n", "2:5 CLEF0401 `interface` is outside the subset\n"),
        ("let x = y :> obj\n", "1:11 CLEF0402 a cast between types of a hierarchy is outside the subset\n"),
        ("let x = new Foo()\n", "1:9 CLEF0403 `new` is outside the subset\n"),
        ("let x = <@ 1 @>\n", "1:9 CLEF0404 a quotation is outside the subset\n"),
        ("let x = struct (1, 2)\n", "1:9 CLEF0405 a struct tuple is outside the subset\n"),
        ("let x = null\n", "1:9 CLEF0406 `null` is outside the subset: every value is there\n"),
        ("let x = 1.5m\n", "1:9 CLEF0413 a decimal number is outside the subset\n"),
        ("exception E of string\nlet x = 1\n", "1:1 CLEF0400 `exception` is outside the subset\n"),
        (
            "let f<'T when 'T : equality> (x: 'T) = x\n",
            "1:10 CLEF0409 constraints on type parameters are outside the subset\n",
        ),
    ] {
        let (_, diagnostics) = read(text);
        assert_eq!(show(text, &diagnostics), told, "{text}");
    }
}
