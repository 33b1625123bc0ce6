//! The typed tree as text: types in the user's words, signatures, and a dump of whole programs for `clefc emit typed`.
//!
//! Deterministic: everything is printed in the order in which the tree holds it.

use crate::ast::{FloatKind, IntKind};
use crate::typed::{
    Body, DefId, DefKind, ExprId, ExprKind, ForStep, FormatPart, Hint, Measure, MeasureAtom, PatId, PatKind,
    Program, TyId, Type, TypeArg, TypeDefKind, TypeParamDef,
};
use std::fmt::Write;

pub fn int_name(kind: IntKind) -> &'static str {
    match kind {
        IntKind::I8 => "sbyte",
        IntKind::U8 => "byte",
        IntKind::I16 => "int16",
        IntKind::U16 => "uint16",
        IntKind::I32 => "int",
        IntKind::U32 => "uint32",
        IntKind::I64 => "int64",
        IntKind::U64 => "uint64",
        IntKind::ISize => "nativeint",
        IntKind::USize => "unativeint",
    }
}

pub fn float_name(kind: FloatKind) -> &'static str {
    match kind {
        FloatKind::F16 => "float16",
        FloatKind::BF16 => "bfloat16",
        FloatKind::F32 => "float32",
        FloatKind::F64 => "float",
    }
}

/// Types that are written after their argument: `int list`.
pub(crate) fn is_postfix(name: &str) -> bool {
    matches!(name, "list" | "option")
}

/// The n-th type variable of a type: `'a`, `'b`, ... `'a1`.
pub(crate) fn letter(n: u32) -> String {
    let c = char::from(b'a' + (n % 26) as u8);
    if n < 26 { format!("'{c}") } else { format!("'{c}{}", n / 26) }
}

pub(crate) fn ordinal(n: usize) -> String {
    match n {
        1 => "the first".to_owned(),
        2 => "the second".to_owned(),
        3 => "the third".to_owned(),
        n => format!("the {n}th"),
    }
}

/// A unit: `kg m / s^2`; `1` without factors.
pub(crate) fn measure(m: &Measure, name: impl Fn(MeasureAtom) -> String) -> String {
    let part = |(a, n): (MeasureAtom, i32)| if n == 1 { name(a) } else { format!("{}^{n}", name(a)) };
    let above: Vec<String> = m.factors.iter().filter(|f| f.1 > 0).map(|&f| part(f)).collect();
    let below: Vec<String> = m.factors.iter().filter(|f| f.1 < 0).map(|&(a, n)| part((a, -n))).collect();
    let top = if above.is_empty() { "1".to_owned() } else { above.join(" ") };
    match below.as_slice() {
        [] => top,
        [one] => format!("{top} / {one}"),
        many => format!("{top} / ({})", many.join(" ")),
    }
}

/// A type in the user's words: `int<bytes>`, `UnifiedBuffer<float32>`, `'a list`.
pub fn type_text(program: &Program, params: &[TypeParamDef], ty: TyId) -> String {
    Printer { program, params }.ty(ty, 0)
}

/// `name : type`, with the type parameters that inference found.
pub fn signature(program: &Program, def: DefId) -> String {
    let d = &program.defs[def.index()];
    format!("{} : {}", d.path, type_text(program, &d.params, d.ty))
}

struct Printer<'p> {
    program: &'p Program,
    params: &'p [TypeParamDef],
}

impl Printer<'_> {
    fn ty(&self, ty: TyId, prec: u8) -> String {
        let wrap = |s: String, own: u8| if own < prec { format!("({s})") } else { s };
        match self.program.types.get(ty) {
            Type::Unit => "unit".to_owned(),
            Type::Bool => "bool".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "string".to_owned(),
            Type::Error => "_".to_owned(),
            Type::Int(k, m) => format!("{}{}", int_name(*k), self.unit(m)),
            Type::Float(k, m) => format!("{}{}", float_name(*k), self.unit(m)),
            Type::Param(n) => self.param(*n),
            Type::Array(e) => format!("{}[]", self.ty(*e, 3)),
            Type::NativePtr(e) => format!("nativeptr<{}>", self.ty(*e, 0)),
            Type::Tuple(items) => {
                wrap(items.iter().map(|&t| self.ty(t, 2)).collect::<Vec<_>>().join(" * "), 1)
            }
            Type::Fun(a, b) => wrap(format!("{} -> {}", self.ty(*a, 1), self.ty(*b, 0)), 0),
            Type::AnonRecord(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(n, t)| format!("{n}: {}", self.ty(*t, 0))).collect();
                format!("{{| {} |}}", fields.join("; "))
            }
            Type::Named(d, args) => {
                let name = self.program.type_defs[d.index()].name;
                if let (true, [TypeArg::Type(one)]) = (is_postfix(name.as_str()), args.as_slice()) {
                    return format!("{} {name}", self.ty(*one, 2));
                }
                if args.is_empty() {
                    return name.to_string();
                }
                format!("{name}<{}>", self.args(args))
            }
        }
    }

    fn args(&self, args: &[TypeArg]) -> String {
        let one = |a: &TypeArg| match a {
            TypeArg::Type(t) => self.ty(*t, 0),
            TypeArg::Measure(m) => self.measure(m),
            TypeArg::Hint(Hint::Known(name) | Hint::Written(name)) => name.to_string(),
            TypeArg::Hint(Hint::Unknown | Hint::Open(_)) => String::new(),
        };
        args.iter().map(one).filter(|a| !a.is_empty()).collect::<Vec<_>>().join(", ")
    }

    fn param(&self, n: u32) -> String {
        self.params.get(n as usize).map_or_else(|| letter(n), |p| format!("'{}", p.name))
    }

    fn unit(&self, m: &Measure) -> String {
        if m.factors.is_empty() { String::new() } else { format!("<{}>", self.measure(m)) }
    }

    fn measure(&self, m: &Measure) -> String {
        measure(m, |a| match a {
            MeasureAtom::Base(d) => self.program.type_defs[d.index()].name.to_string(),
            MeasureAtom::Param(n) => self.param(n),
        })
    }
}

/// The program as text: types, then definitions with their bodies.
pub fn dump(program: &Program) -> String {
    let mut out = String::new();
    for def in &program.type_defs {
        let p = Printer { program, params: &def.params };
        let params: Vec<String> = def.params.iter().map(|q| format!("'{}", q.name)).collect();
        let params = if params.is_empty() { String::new() } else { format!("<{}>", params.join(", ")) };
        let _ = write!(out, "type {}{params} =", def.path);
        match &def.kind {
            TypeDefKind::Record(fields) | TypeDefKind::Class(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|f| format!("{}: {}", f.name, p.ty(f.ty, 0))).collect();
                let _ = writeln!(out, " {{ {} }}", fields.join("; "));
            }
            TypeDefKind::Union(cases) => {
                for c in cases {
                    let fields: Vec<String> = c.fields.iter().map(|f| p.ty(f.ty, 2)).collect();
                    let of = if fields.is_empty() { "" } else { " of " };
                    let _ = write!(out, " | {}{of}{}", c.name, fields.join(" * "));
                }
                out.push('\n');
            }
            TypeDefKind::Enum(cases) => {
                for c in cases {
                    let _ = write!(out, " | {} = {}", c.0, c.1);
                }
                out.push('\n');
            }
            TypeDefKind::Measure => out.push_str(" measure\n"),
        }
    }
    for (n, def) in program.defs.iter().enumerate() {
        let id = DefId(n as u32);
        let word = match &def.kind {
            DefKind::Function(_) => "fn",
            DefKind::Value { is_mutable: true, .. } => "mutable",
            DefKind::Value { .. } => "value",
            DefKind::Extern(_) => "extern",
            DefKind::Intrinsic { .. } => "intrinsic",
        };
        let entry = if program.entry == Some(id) { " [entry]" } else { "" };
        let _ = writeln!(out, "{word} {}{entry}", signature(program, id));
        let p = Printer { program, params: &def.params };
        match &def.kind {
            DefKind::Function(f) => {
                let params: Vec<String> =
                    f.params.iter().map(|q| format!("{}#{}", q.name, q.local.0)).collect();
                let _ = writeln!(out, "  ({})", params.join(" "));
                dump_body(&p, &f.body, &mut out);
            }
            DefKind::Value { body, .. } => dump_body(&p, body, &mut out),
            DefKind::Extern(e) => {
                let _ = writeln!(out, "  {}:{}", e.library, e.entry);
            }
            DefKind::Intrinsic { name, .. } => {
                let _ = writeln!(out, "  {name}");
            }
        }
    }
    out
}

fn dump_body(p: &Printer<'_>, body: &Body, out: &mut String) {
    if let Some(root) = body.root {
        Dump { p, body }.expr(root, 1, out);
    }
}

struct Dump<'d, 'p> {
    p: &'d Printer<'p>,
    body: &'d Body,
}

impl Dump<'_, '_> {
    fn local(&self, l: crate::typed::LocalId) -> String {
        format!("{}#{}", self.body.locals[l.index()].name, l.0)
    }

    fn expr(&self, id: ExprId, depth: usize, out: &mut String) {
        let e = &self.body[id];
        let mut children: Vec<ExprId> = Vec::new();
        let head = self.head(&e.kind, &mut children);
        let _ = writeln!(out, "{}{head} : {}", "  ".repeat(depth), self.p.ty(e.ty, 0));
        if let ExprKind::Match { scrutinee, arms } = &e.kind {
            self.expr(*scrutinee, depth + 1, out);
            for arm in arms {
                let mut text = String::new();
                self.pat(arm.pat, &mut text);
                let _ = writeln!(out, "{}| {text}", "  ".repeat(depth));
                if let Some(guard) = arm.guard {
                    let _ = writeln!(out, "{}when", "  ".repeat(depth + 1));
                    self.expr(guard, depth + 2, out);
                }
                self.expr(arm.body, depth + 1, out);
            }
        }
        for child in children {
            self.expr(child, depth + 1, out);
        }
    }

    fn head(&self, kind: &ExprKind, children: &mut Vec<ExprId>) -> String {
        use ExprKind as K;
        let mut add = |ids: &[ExprId]| children.extend_from_slice(ids);
        match kind {
            K::Unit => "()".to_owned(),
            K::Bool(b) => b.to_string(),
            K::Char(c) => format!("{c:?}"),
            K::String(s) => format!("{:?}", s.as_str()),
            K::Int(n) => n.to_string(),
            K::Float(x) => format!("{x:?}"),
            K::Local(l) => self.local(*l),
            K::Def(d, args) => {
                let path = self.p.program.defs[d.index()].path;
                if args.is_empty() { path.to_string() } else { format!("{path}<{}>", self.p.args(args)) }
            }
            K::App(f, args) => {
                add(&[*f]);
                add(args);
                "call".to_owned()
            }
            K::Lambda { params, body } => {
                add(&[*body]);
                let params: Vec<String> = params.iter().map(|&l| self.local(l)).collect();
                format!("fun {}", params.join(" "))
            }
            K::Let { local, value, body } => {
                add(&[*value, *body]);
                let word = if self.body.locals[local.index()].is_mutable { "let mutable" } else { "let" };
                format!("{word} {}", self.local(*local))
            }
            K::LetRec { bindings, body } => {
                bindings.iter().for_each(|b| add(&[b.1]));
                add(&[*body]);
                let names: Vec<String> = bindings.iter().map(|b| self.local(b.0)).collect();
                format!("let rec {}", names.join(" and "))
            }
            K::Seq(items) => {
                add(items);
                "seq".to_owned()
            }
            K::If { cond, then, otherwise } => {
                add(&[*cond, *then, *otherwise]);
                "if".to_owned()
            }
            K::And(a, b) => {
                add(&[*a, *b]);
                "&&".to_owned()
            }
            K::Or(a, b) => {
                add(&[*a, *b]);
                "||".to_owned()
            }
            K::Match { .. } => "match".to_owned(),
            K::While { cond, body } => {
                add(&[*cond, *body]);
                "while".to_owned()
            }
            K::For { var, from, to, step, parallel, body } => {
                add(&[*from, *to]);
                let step = match step {
                    ForStep::Up => "to",
                    ForStep::Down => "downto",
                    ForStep::By(s) => {
                        add(&[*s]);
                        "by"
                    }
                };
                add(&[*body]);
                format!("for{} {} {step}", if *parallel { " parallel" } else { "" }, self.local(*var))
            }
            K::Assign(l, v) => {
                add(&[*v]);
                format!("{} <-", self.local(*l))
            }
            K::AssignDef(d, v) => {
                add(&[*v]);
                format!("{} <-", self.p.program.defs[d.index()].path)
            }
            K::Record { fields, order } => {
                add(fields);
                format!("record {order:?}")
            }
            K::With { base, fields } => {
                add(&[*base]);
                fields.iter().for_each(|f| add(&[f.1]));
                format!("with {:?}", fields.iter().map(|f| f.0).collect::<Vec<_>>())
            }
            K::Union { case, fields } => {
                add(fields);
                format!("case {case}")
            }
            K::Tuple(items) => {
                add(items);
                "tuple".to_owned()
            }
            K::Array(items) => {
                add(items);
                "array".to_owned()
            }
            K::Field(b, i) => {
                add(&[*b]);
                format!("field {i}")
            }
            K::AssignField(b, i, v) => {
                add(&[*b, *v]);
                format!("field {i} <-")
            }
            K::Prim(prim, args) => {
                add(args);
                format!("{prim:?}")
            }
            K::Index(a, b) => {
                add(&[*a, *b]);
                "index".to_owned()
            }
            K::AssignIndex(a, b, c) => {
                add(&[*a, *b, *c]);
                "index <-".to_owned()
            }
            K::Convert(a) => {
                add(&[*a]);
                "convert".to_owned()
            }
            K::Format { sink, parts } => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        FormatPart::Text(t) => text.push_str(t),
                        FormatPart::Hole { value, spec } => {
                            add(&[*value]);
                            text.push('%');
                            text.push(spec.conversion);
                        }
                    }
                }
                format!("format {sink:?} {text:?}")
            }
            K::Dispatch(d) => {
                add(&d.args);
                let path = self.p.program.defs[d.kernel.index()].path;
                format!("dispatch {:?} {}:{} {path} {:?}", d.agent, d.device, d.queue, d.order)
            }
            K::Marker(a) => {
                add(&[*a]);
                "marker".to_owned()
            }
            K::Fail(a) => {
                add(&[*a]);
                "fail".to_owned()
            }
            K::Error => "error".to_owned(),
        }
    }

    fn pat(&self, id: PatId, out: &mut String) {
        let many = |ids: &[PatId], out: &mut String| {
            for (n, &id) in ids.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                self.pat(id, out);
            }
        };
        match &self.body[id].kind {
            PatKind::Wild => out.push('_'),
            PatKind::Bind(l) => out.push_str(&self.local(*l)),
            PatKind::As(p, l) => {
                self.pat(*p, out);
                let _ = write!(out, " as {}", self.local(*l));
            }
            PatKind::Bool(b) => {
                let _ = write!(out, "{b}");
            }
            PatKind::Char(c) => {
                let _ = write!(out, "{c:?}");
            }
            PatKind::String(s) => {
                let _ = write!(out, "{:?}", s.as_str());
            }
            PatKind::Int(n) => {
                let _ = write!(out, "{n}");
            }
            PatKind::Float(x) => {
                let _ = write!(out, "{x:?}");
            }
            PatKind::Unit => out.push_str("()"),
            PatKind::Case { case, fields } => {
                let _ = write!(out, "case {case}(");
                many(fields, out);
                out.push(')');
            }
            PatKind::Fields(fields) => {
                out.push('{');
                for (n, (i, p)) in fields.iter().enumerate() {
                    let _ = write!(out, "{}{i} = ", if n == 0 { "" } else { "; " });
                    self.pat(*p, out);
                }
                out.push('}');
            }
            PatKind::Array(items) => {
                out.push_str("[|");
                many(items, out);
                out.push_str("|]");
            }
            PatKind::Or(a, b) => {
                self.pat(*a, out);
                out.push_str(" | ");
                self.pat(*b, out);
            }
            PatKind::And(a, b) => {
                self.pat(*a, out);
                out.push_str(" & ");
                self.pat(*b, out);
            }
            PatKind::Active { case, pat, .. } => {
                let _ = write!(out, "active {case:?} ");
                self.pat(*pat, out);
            }
            PatKind::Error => out.push_str("error"),
        }
    }
}
