//! Names that the compiler itself defines: operators, numeric functions, conversions, printing.
//!
//! They are looked up last, so that the library and the program may define the same names. Used without all of their
//! arguments they become function values.

use super::Checker;
use super::apply::Arg;
use super::ops::Class;
use super::types::{Ty, Want, Why};
use crate::ast::{FloatKind, IntKind, TypeArg as SrcArg};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::typed::{ExprId, ExprKind, FormatSink, LocalId, ParamKind, Prim, Type, TypeArg};
use rustc_hash::FxHashMap;
use std::sync::OnceLock;
use ustr::Ustr;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Builtin {
    Unary(Prim),
    Binary(Prim),
    And,
    Or,
    ToInt(IntKind),
    ToFloat(FloatKind),
    ToChar,
    ToText,
    ToEnum,
    Print { sink: FormatSink, line: bool },
    FailFormat,
    Fail,
    Cons,
    Append,
    Pipe,
    PipeBack,
    Compose,
    ComposeBack,
    Deref,
    SetRef,
    Raise,
}

fn table() -> &'static FxHashMap<Ustr, Builtin> {
    static TABLE: OnceLock<FxHashMap<Ustr, Builtin>> = OnceLock::new();
    TABLE.get_or_init(|| {
        use Builtin as B;
        use FormatSink as S;
        let unary = [
            ("not", Prim::Not),
            ("abs", Prim::Abs),
            ("sign", Prim::Sign),
            ("sqrt", Prim::Sqrt),
            ("floor", Prim::Floor),
            ("ceil", Prim::Ceil),
            ("round", Prim::Round),
            ("truncate", Prim::Truncate),
            ("exp", Prim::Exp),
            ("log", Prim::Log),
            ("log2", Prim::Log2),
            ("log10", Prim::Log10),
            ("sin", Prim::Sin),
            ("cos", Prim::Cos),
            ("tan", Prim::Tan),
            ("asin", Prim::Asin),
            ("acos", Prim::Acos),
            ("atan", Prim::Atan),
            ("sinh", Prim::Sinh),
            ("cosh", Prim::Cosh),
            ("tanh", Prim::Tanh),
            ("hash", Prim::Hash),
            ("~-", Prim::Neg),
            ("~~~", Prim::BitNot),
        ];
        let binary = [
            ("+", Prim::Add),
            ("-", Prim::Sub),
            ("*", Prim::Mul),
            ("/", Prim::Div),
            ("%", Prim::Rem),
            ("**", Prim::Pow),
            ("&&&", Prim::BitAnd),
            ("|||", Prim::BitOr),
            ("^^^", Prim::BitXor),
            ("<<<", Prim::Shl),
            (">>>", Prim::Shr),
            ("=", Prim::Eq),
            ("<>", Prim::Ne),
            ("<", Prim::Lt),
            ("<=", Prim::Le),
            (">", Prim::Gt),
            (">=", Prim::Ge),
            ("compare", Prim::Compare),
            ("min", Prim::Min),
            ("max", Prim::Max),
            ("atan2", Prim::Atan2),
        ];
        let ints = [
            ("int", IntKind::I32),
            ("int32", IntKind::I32),
            ("sbyte", IntKind::I8),
            ("int8", IntKind::I8),
            ("byte", IntKind::U8),
            ("uint8", IntKind::U8),
            ("int16", IntKind::I16),
            ("uint16", IntKind::U16),
            ("uint", IntKind::U32),
            ("uint32", IntKind::U32),
            ("int64", IntKind::I64),
            ("uint64", IntKind::U64),
            ("nativeint", IntKind::ISize),
            ("unativeint", IntKind::USize),
        ];
        let floats = [
            ("float", FloatKind::F64),
            ("double", FloatKind::F64),
            ("float64", FloatKind::F64),
            ("float32", FloatKind::F32),
            ("single", FloatKind::F32),
            ("float16", FloatKind::F16),
            ("bfloat16", FloatKind::BF16),
        ];
        let other = [
            ("&&", B::And),
            ("||", B::Or),
            ("char", B::ToChar),
            ("string", B::ToText),
            ("enum", B::ToEnum),
            ("printf", B::Print { sink: S::Stdout, line: false }),
            ("printfn", B::Print { sink: S::Stdout, line: true }),
            ("eprintf", B::Print { sink: S::Stderr, line: false }),
            ("eprintfn", B::Print { sink: S::Stderr, line: true }),
            ("sprintf", B::Print { sink: S::String, line: false }),
            ("failwithf", B::FailFormat),
            ("failwith", B::Fail),
            ("::", B::Cons),
            ("@", B::Append),
            ("|>", B::Pipe),
            ("<|", B::PipeBack),
            (">>", B::Compose),
            ("<<", B::ComposeBack),
            ("!", B::Deref),
            (":=", B::SetRef),
            ("raise", B::Raise),
        ];
        let mut map = FxHashMap::default();
        map.extend(unary.map(|(n, p)| (Ustr::from(n), B::Unary(p))));
        map.extend(binary.map(|(n, p)| (Ustr::from(n), B::Binary(p))));
        map.extend(ints.map(|(n, k)| (Ustr::from(n), B::ToInt(k))));
        map.extend(floats.map(|(n, k)| (Ustr::from(n), B::ToFloat(k))));
        map.extend(other.map(|(n, b)| (Ustr::from(n), b)));
        map
    })
}

impl Builtin {
    pub fn named(name: Ustr) -> Option<Self> {
        table().get(&name).copied()
    }

    pub fn names() -> impl Iterator<Item = Ustr> {
        table().keys().copied()
    }

    fn arity(self) -> usize {
        match self {
            Self::Binary(_)
            | Self::And
            | Self::Or
            | Self::Append
            | Self::Pipe
            | Self::PipeBack
            | Self::Compose
            | Self::ComposeBack
            | Self::SetRef => 2,
            _ => 1,
        }
    }
}

impl<'a> Checker<'a> {
    /// A builtin with arguments: fewer than it takes make a function, more are given to its result.
    pub(crate) fn builtin_app(
        &mut self,
        b: Builtin,
        targs: Option<&'a [SrcArg]>,
        args: Vec<Arg<'a>>,
        at: Span,
        span: Span,
        want: Want,
    ) -> ExprId {
        if let Builtin::Print { .. } | Builtin::FailFormat = b {
            return self.format_app(b, args, at, span, want);
        }
        let arity = b.arity();
        if args.len() < arity {
            return self.builtin_partial(b, targs, args, span, want);
        }
        let mut args = args;
        let rest = args.split_off(arity);
        let inner = if rest.is_empty() { want } else { Want::ANY };
        let mut ids = Vec::with_capacity(arity);
        for arg in args {
            let id = match (b, ids.first()) {
                (Builtin::Fail, _) => {
                    let string = self.types.known.string;
                    self.argument(arg, Want::new(string, Why::Argument(0, at)))
                }
                _ => self.argument(arg, Want::ANY),
            };
            ids.push(id);
        }
        let id = self.builtin_call(b, targs, ids, span, inner);
        self.call_rest(id, rest, span, want)
    }

    pub(crate) fn builtin_value(&mut self, b: Builtin, span: Span, want: Want) -> ExprId {
        if let Builtin::Print { .. } | Builtin::FailFormat = b {
            self.diags.push(
                Diagnostic::error(codes::BAD_FORMAT, span, "a format text must follow here")
                    .help("write it as `printfn \"%d\"`, or use `Console.writeln` for a plain text"),
            );
            return self.error_expr(span);
        }
        self.builtin_partial(b, None, Vec::new(), span, want)
    }

    /// `(+)`, `(+) 1`, `float`: a lambda for the missing arguments.
    fn builtin_partial(
        &mut self,
        b: Builtin,
        targs: Option<&'a [SrcArg]>,
        args: Vec<Arg<'a>>,
        span: Span,
        want: Want,
    ) -> ExprId {
        let given: Vec<ExprId> = args.into_iter().map(|a| self.argument(a, Want::ANY)).collect();
        let mut lets: Vec<(LocalId, ExprId)> = Vec::new();
        let mut ids = Vec::new();
        let mut outer = Vec::new();
        for id in given {
            let ty = self.ty(id);
            let local = self.temp("given", ty, span);
            lets.push((local, id));
            outer.push(local);
        }
        self.cx.depth += 1;
        let mut rest = want.ty;
        let mut params = Vec::new();
        let mut tys: Vec<Ty> = Vec::new();
        for _ in lets.len()..b.arity() {
            let parts = rest.filter(|&t| !self.types.is_var(t)).and_then(|t| self.types.as_fun(t));
            let ty = parts.map_or_else(|| self.types.fresh(), |p| p.0);
            rest = parts.map(|p| p.1);
            params.push(self.temp("value", ty, span));
            tys.push(ty);
        }
        for &local in outer.iter().chain(&params) {
            ids.push(self.local_expr(local, span));
        }
        let inner = rest.map_or(Want::ANY, |t| Want::new(t, Why::Nothing));
        let body = self.builtin_call(b, targs, ids, span, inner);
        self.cx.depth -= 1;
        let ret = self.ty(body);
        let ty = self.types.funs(&tys, ret);
        let mut id = self.push(ExprKind::Lambda { params, body }, ty, span);
        for (local, value) in lets.into_iter().rev() {
            id = self.push(ExprKind::Let { local, value, body: id }, ty, span);
        }
        self.coerce(id, want)
    }

    fn builtin_call(
        &mut self,
        b: Builtin,
        targs: Option<&'a [SrcArg]>,
        ids: Vec<ExprId>,
        span: Span,
        want: Want,
    ) -> ExprId {
        let known = self.types.known;
        let first = ids[0];
        let second = ids.get(1).copied().unwrap_or(first);
        let id = match b {
            Builtin::Unary(p) | Builtin::Binary(p) => self.operate(p, ids, span),
            Builtin::And | Builtin::Or => {
                for id in [first, second] {
                    self.coerce(id, Want::new(known.bool, Why::Condition));
                }
                let kind = if b == Builtin::And {
                    ExprKind::And(first, second)
                } else {
                    ExprKind::Or(first, second)
                };
                self.push(kind, known.bool, span)
            }
            Builtin::ToInt(_) | Builtin::ToFloat(_) | Builtin::ToChar => {
                let ty = self.conversion_target(b, targs);
                self.convert(first, ty, span)
            }
            Builtin::ToEnum => {
                let ty = match targs {
                    Some([arg]) => match self.type_arg(ParamKind::Type, arg) {
                        TypeArg::Type(t) => t,
                        _ => known.error,
                    },
                    _ => want.ty.unwrap_or_else(|| self.types.fresh()),
                };
                self.coerce(first, Want::new(known.int, Why::Nothing));
                self.push(ExprKind::Convert(first), ty, span)
            }
            Builtin::ToText => self.text_of(first, span),
            Builtin::Fail => {
                self.coerce(first, Want::new(known.string, Why::Nothing));
                let ty = want.ty.unwrap_or_else(|| self.types.fresh());
                self.push(ExprKind::Fail(first), ty, span)
            }
            Builtin::Raise => {
                self.outside("raise", span);
                self.error_expr(span)
            }
            Builtin::Cons => {
                // `(::)` takes a pair.
                let (x, xs) = (self.types.fresh(), self.types.fresh());
                let pair = self.types.make(Type::Tuple(vec![x, xs]));
                self.coerce(first, Want::new(pair, Why::Nothing));
                let a = self.push(ExprKind::Field(first, 0), x, span);
                let b = self.push(ExprKind::Field(first, 1), xs, span);
                self.cons(a, b, span)
            }
            Builtin::Append => self.call_syntax("append", &ids, span),
            Builtin::Pipe => self.call_value(second, first, span),
            Builtin::PipeBack => self.call_value(first, second, span),
            Builtin::Compose | Builtin::ComposeBack => {
                let (f, g) = if b == Builtin::Compose { (first, second) } else { (second, first) };
                self.compose_values(f, g, span)
            }
            Builtin::Deref => self.reference_value(first, span),
            Builtin::SetRef => {
                let place = self.reference_value(first, span);
                let ty = self.ty(place);
                self.coerce(second, Want::new(ty, Why::Assigned(self.span(first))));
                let kind = match self.cx.body[place].kind {
                    ExprKind::Field(base, index) => ExprKind::AssignField(base, index, second),
                    _ => ExprKind::Error,
                };
                self.push(kind, known.unit, span)
            }
            Builtin::Print { .. } | Builtin::FailFormat => self.error_expr(span),
        };
        self.coerce(id, want)
    }

    fn conversion_target(&mut self, b: Builtin, targs: Option<&'a [SrcArg]>) -> Ty {
        let m = match targs {
            Some([arg]) => match self.type_arg(ParamKind::Measure, arg) {
                TypeArg::Measure(m) => m,
                _ => Default::default(),
            },
            _ => Default::default(),
        };
        match b {
            Builtin::ToInt(k) => self.types.make(Type::Int(k, m)),
            Builtin::ToFloat(k) => self.types.make(Type::Float(k, m)),
            _ => self.types.known.char,
        }
    }

    fn call_value(&mut self, f: ExprId, x: ExprId, span: Span) -> ExprId {
        let from = self.ty(x);
        let to = self.types.fresh();
        let ty = self.types.fun(from, to);
        let found = self.ty(f);
        self.unify_at(ty, found, span, Why::Nothing);
        self.push(ExprKind::App(f, vec![x]), to, span)
    }

    fn compose_values(&mut self, f: ExprId, g: ExprId, span: Span) -> ExprId {
        let (a, b, c) = (self.types.fresh(), self.types.fresh(), self.types.fresh());
        for (id, from, to) in [(f, a, b), (g, b, c)] {
            let ty = self.types.fun(from, to);
            let found = self.ty(id);
            self.unify_at(ty, found, span, Why::Nothing);
        }
        self.cx.depth += 1;
        let x = self.temp("value", a, span);
        self.cx.depth -= 1;
        let arg = self.local_expr(x, span);
        let inner = self.push(ExprKind::App(f, vec![arg]), b, span);
        let body = self.push(ExprKind::App(g, vec![inner]), c, span);
        let ty = self.types.fun(a, c);
        self.push(ExprKind::Lambda { params: vec![x], body }, ty, span)
    }

    /// The content of a `ref` cell, as a field.
    fn reference_value(&mut self, cell: ExprId, span: Span) -> ExprId {
        let Some(reference) = self.core.reference else { return self.error_expr(span) };
        let element = self.types.fresh();
        let args = smallvec::SmallVec::from_vec(vec![TypeArg::Type(element)]);
        let ty = self.types.make(Type::Named(reference, args));
        self.coerce(cell, Want::new(ty, Why::Nothing));
        self.push(ExprKind::Field(cell, 0), element, span)
    }

    pub(crate) fn cons(&mut self, head: ExprId, tail: ExprId, span: Span) -> ExprId {
        let element = self.ty(head);
        let list = self.list_of(element);
        let tail = self.coerce(tail, Want::new(list, Why::Operand(self.span(head))));
        self.push(ExprKind::Union { case: 1, fields: vec![head, tail] }, list, span)
    }

    /// The class that an operation's operand must be of.
    pub(crate) fn class_of(prim: Prim) -> Class {
        match prim {
            Prim::Sqrt
            | Prim::Floor
            | Prim::Ceil
            | Prim::Round
            | Prim::Truncate
            | Prim::Exp
            | Prim::Log
            | Prim::Log2
            | Prim::Log10
            | Prim::Sin
            | Prim::Cos
            | Prim::Tan
            | Prim::Asin
            | Prim::Acos
            | Prim::Atan
            | Prim::Atan2
            | Prim::Sinh
            | Prim::Cosh
            | Prim::Tanh
            | Prim::Pow => Class::Float,
            Prim::BitAnd | Prim::BitOr | Prim::BitXor | Prim::BitNot | Prim::Shl | Prim::Shr => {
                Class::Integer
            }
            _ => Class::Number,
        }
    }
}
